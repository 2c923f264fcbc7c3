// Guests with more pages than a browser can scan within a frame: coarser pages, as livemig/engine/coarse.py has them.

/**
 * The fields of livemig.scenario.Scenario, in bytes, seconds and bytes per second.
 * @typedef {Record<string, any>} Fields
 */

/** Where in RAM the ITS's tables begin. @param {number} ramBytes @param {number} areaBytes @returns {number} */
export const itsAreaOffset = (ramBytes, areaBytes) => Math.floor((ramBytes - areaBytes) / 65536) * 65536;

const floorTo = (/** @type {number} */ bytes, /** @type {number} */ page) => Math.floor(bytes / page) * page;

/**
 * The fields with at most `mostPages` pages of RAM, or the same object if they have no more.
 * @param {Fields} f @param {number} mostPages @param {number} areaBytes of the ITS's tables @returns {Fields}
 */
export function coarseFields(f, mostPages, areaBytes) {
  if (f.ram_bytes / f.page_bytes <= mostPages) return f;
  let page = f.page_bytes;
  while (Math.floor(f.ram_bytes / page) > mostPages) page *= 2;
  const ram = floorTo(f.ram_bytes, page);
  const room = f.its_devices && f.accelerator === "kvm" ? floorTo(itsAreaOffset(ram, areaBytes), page) : ram;
  const nearest = floorTo(f.working_set_bytes + page / 2, page);
  const set = f.working_set_bytes ? Math.min(Math.max(nearest, page), room) : 0;
  return {
    ...f,
    ram_bytes: ram,
    page_bytes: page,
    other_ram_bytes: Math.ceil(f.other_ram_bytes / page) * page,
    filled_offset_bytes: floorTo(f.filled_offset_bytes, page),
    working_set_bytes: set,
    working_set_offset_bytes: Math.min(floorTo(f.working_set_offset_bytes, page), room - set),
    costs: { ...f.costs, zero_page_s: f.costs.zero_page_s * (page / f.page_bytes) },
  };
}
