// Whether the inputs describe a possible run: the same sentences as livemig.scenario.ScenarioError, without a kernel.
// Only what the stage's controls can bring about is checked here; Python checks everything.

import { general } from "./model_words.js";

/** @typedef {import("./controls.js").Control} Control */

const DIGITS = 6;
const STEP_BYTES = 65536;

/**
 * Why these inputs cannot be simulated, or "".
 * @param {Record<string, any>} f the scenario's fields @param {Control[]} controls with the fields' limits @param {number} areaBytes of the ITS's tables
 * @returns {string}
 */
export function problemOf(f, controls, areaBytes) {
  return controls.map((c) => outOfRange(c, f[c.name])).find(Boolean) || together(f, areaBytes);
}

/** @param {Control} c @param {any} value @returns {string} */
function outOfRange(c, value) {
  if (c.kind === "choice" || value === null) return "";
  const number = (/** @type {number} */ x) => general(x, DIGITS);
  if (Number.isNaN(value)) return `${c.name} = nan: expected a number of ${c.field_unit}`;
  const [low, high] = c.limits;
  const over = value < low ? `below the smallest allowed value, ${number(low)}` : value > high ? `above the largest allowed value, ${number(high)}` : "";
  return over && `${c.name} = ${number(value)} ${c.field_unit}: ${over} (${c.source})`;
}

/** @param {Record<string, any>} f @param {number} areaBytes @returns {string} */
function together(f, areaBytes) {
  const size = f.working_set_bytes;
  const offset = f.working_set_offset_bytes;
  const room = f.ram_bytes - offset;
  if (size > room) {
    return `working_set_bytes = ${size}: larger than the ${Math.max(room, 0)} bytes of RAM (${f.ram_bytes}) behind working_set_offset_bytes = ${offset}`;
  }
  const itsRoom = Math.floor((f.ram_bytes - areaBytes) / STEP_BYTES) * STEP_BYTES;
  if (f.its_devices && f.accelerator === "kvm" && offset + size > itsRoom) {
    return (
      `working_set_bytes = ${size}: the ITS's tables need ${areaBytes} bytes at the end of RAM, ` +
      `so the working set must end at ${itsRoom} at the latest (or its_devices = 0)`
    );
  }
  if (f.pattern !== "idle" && f.pattern !== "phases" && f.dirty_rate_bytes_per_s > 0 && !size) {
    return "working_set_bytes = 0: a guest that writes needs a working set (or pattern idle, rate 0)";
  }
  return f.qemu_version === "7.2" ? notIn72(f) : "";
}

/** What a scenario that was made for 10.0 cannot have once the version is changed. @param {Record<string, any>} f @returns {string} */
function notIn72(f) {
  if (f.switchover_ack) return "switchover_ack = True: QEMU 7.2 has no such capability (10.0 has)";
  const avail = f.avail_switchover_bandwidth_bytes_per_s;
  if (avail != null) {
    return `avail_switchover_bandwidth_bytes_per_s = ${general(avail, DIGITS)}: QEMU 7.2 has no such parameter (10.0 has)`;
  }
  return f.multifd_channels ? `multifd_channels = ${f.multifd_channels}: only the multifd of QEMU 10.0 is modelled` : "";
}
