// The reason of a run that gave up, in the words of livemig/engine/simulate.py; numbers as Python formats them.

import { giveUpAfter } from "./model_plan.js";

const MIB = 1048576;
const ALL_DIGITS = 100; // as many as toExponential gives: a tie of a dyadic number shows in them

/** The digits of x rounded to `count`, halves to even, and its decimal exponent. @param {number} x @param {number} count @returns {[string, number]} */
function roundedDigits(x, count) {
  const [mantissa, power] = x.toExponential(ALL_DIGITS).split("e");
  const digits = mantissa.replace(".", "");
  const exponent = Number(power);
  if (count < 0) return ["0", exponent];
  const rest = digits.slice(count);
  const kept = BigInt(digits.slice(0, count) || "0");
  const half = `5${"0".repeat(rest.length - 1)}`;
  const up = rest > half || (rest === half && kept % 2n === 1n);
  const text = String(kept + (up ? 1n : 0n)).padStart(count, "0");
  return text.length > count ? [text, exponent + 1] : [text, exponent];
}

/** Python's format(x, ".{precision}g"). @param {number} x @param {number} precision @returns {string} */
export function general(x, precision) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  if (x === 0) return "0";
  const sign = x < 0 ? "-" : "";
  const [all, exponent] = roundedDigits(Math.abs(x), precision);
  const digits = all.slice(0, precision).replace(/0+$/, "") || "0";
  if (exponent < -4 || exponent >= precision) {
    const power = `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
    return `${sign}${digits[0]}${digits.length > 1 ? `.${digits.slice(1)}` : ""}e${power}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}${digits.length > exponent + 1 ? `.${digits.slice(exponent + 1)}` : ""}`;
}

/** Python's format(x, ".1f") of a size >= 0. @param {number} x @returns {string} */
export function oneDecimal(x) {
  const tenths = x < 1e15 ? evenTenths(x) : BigInt(x) * 10n;
  return `${tenths / 10n}.${tenths % 10n}`;
}

function evenTenths(/** @type {number} */ x) {
  if (x === 0) return 0n;
  const exponent = Number(x.toExponential(ALL_DIGITS).split("e")[1]);
  return BigInt(roundedDigits(x, exponent + 2)[0]);
}

/** A size in KiB below 1 MiB. @param {number} x bytes @returns {string} */
const small = (x) => (x >= MIB ? `${general(x / MIB, 3)} MiB` : `${general(x / 1024, 3)} KiB`);

/** Why the run ended as it did. @param {any} s the model's state @returns {string} */
export function reasonOf(s) {
  if (!s.plan.gaveUp) return s.reason;
  const exact = s.machine.rows.filter((/** @type {any[]} */ r) => r[1] === "pending" && r[3] === "exact");
  const start = `gave up after ${general(giveUpAfter(s), 6)} s: `;
  if (s.out.silent) return `${start}the peer is silent, so a write did not come to its end`;
  if (!exact.length) return `${start}the first pass was not done, ${oneDecimal(s.pendingBytes() / MIB)} MiB were still to send`;
  const smallest = exact.reduce((/** @type {number} */ low, /** @type {any[]} */ r) => Math.min(low, r[5].size_bytes), Infinity);
  const speed = Math.min(s.bandwidthLimit || Infinity, s.out.speed) / MIB;
  const f = s.fields;
  return (
    `${start}pending was never below the threshold of ${small(s.threshold)} when it was counted ` +
    `(${exact.length} times, smallest ${small(smallest)}); the guest writes ` +
    `${general(f.dirty_rate_bytes_per_s / MIB, 4)} MiB/s in a working set of ${general(f.working_set_bytes / MIB, 4)} MiB, ` +
    `the migration sends ${general(speed, 4)} MiB/s`
  );
}
