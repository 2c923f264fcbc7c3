// The packed trace that Python sends (livemig/draw/wire.py packs it): rows refer to a table of heads, times are
// microsecond steps, tables of ITS bytes lie in a pool. Unpacked it is a livemig-trace/1 again.

/**
 * @typedef {[number, string, string, string, number, Record<string, any>]} Row t_s, kind, lane, name, depth, data
 * @typedef {{meta: Record<string, any>, events: Row[]}} Trace
 * @typedef {{meta: Record<string, any>, heads: [string, string, string, number][], steps_us: number[],
 *            head: number[], data: Record<string, Record<string, any>>, pool: Record<string, any>[]}} Packed
 */

/** @param {Packed} packed @returns {Trace} */
export function unpack(packed) {
  let t = 0;
  const events = packed.head.map((h, i) => {
    t += packed.steps_us[i];
    const [kind, lane, name, depth] = packed.heads[h];
    return /** @type {Row} */ ([t / 1e6, kind, lane, name, depth, details(packed, i)]);
  });
  return { meta: packed.meta, events };
}

function details(/** @type {Packed} */ packed, /** @type {number} */ i) {
  const data = packed.data[i] ?? {};
  return data.tables ? { ...data, tables: data.tables.map((/** @type {number} */ k) => packed.pool[k]) } : data;
}
