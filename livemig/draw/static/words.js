// Numbers and sentences. Pure: text in, text out; seconds and bytes inside, MiB and ms only in the words.

/** @param {unknown} s text that becomes part of HTML or SVG @returns {string} */
export const esc = (s) =>
  String(s).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

/** The words of an HTML sentence, for aria labels and aria-valuetext. @param {string} html @returns {string} */
export const plain = (html) =>
  html.replace(/<[^>]*>/g, "").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&amp;/g, "&");

/** n significant digits, no exponent. @param {number} x @param {number} [n] @returns {string} */
export function digits(x, n = 3) {
  if (x === 0) return "0";
  const after = Math.max(0, n - 1 - Math.floor(Math.log10(Math.abs(x))));
  return x.toFixed(Math.min(after, n - 1));
}

const UNITS = ["KiB", "MiB", "GiB", "TiB"];

/** @param {number} n bytes @returns {string} such as "64 KiB" */
export function bytes(n) {
  if (n === 0) return "0 B";
  if (Math.abs(n) < 1024) return `${Math.round(n)} B`;
  let unit = 0;
  let value = n / 1024;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(digits(value)) % 1 ? digits(value) : Math.round(value)} ${UNITS[unit]}`;
}

/** @param {number} t seconds @returns {string} to the microsecond */
export function exactSeconds(t) {
  const s = t.toFixed(6);
  return `${s.slice(0, -3)}\u202f${s.slice(-3)} s`;
}

/** A duration in the unit that suits it. @param {number} t seconds @returns {string} */
export function duration(t) {
  if (t >= 0.9995) return `${t.toFixed(2)} s`;
  if (t >= 0.0009995 || t === 0) return `${Number(digits(t * 1e3))} ms`;
  return `${Number(digits(t * 1e6))} µs`;
}

const plural = (/** @type {number} */ n, /** @type {string} */ word) => `${n} ${word}${n === 1 ? "" : "es"}`;

/** How long the VM stood; QEMU reports whole milliseconds, so its 0 is less than one. @param {import("./scene.js").Run} run */
export function downtime(run) {
  const told = run.outcome.downtime_s;
  return told === 0 ? "less than 1 ms" : duration(told ?? run.stoppedS);
}

const ENDINGS = {
  none: "No migration",
  cancelled: "Cancelled",
  failed: "Failed",
};

/** The outcome as a sentence (HTML). @param {import("./scene.js").Run} run @returns {string} */
export function outcomeSentence(run) {
  const o = run.outcome;
  const parts = [];
  if (run.ok) parts.push(`Completed in <b>${duration(o.total_time_s ?? run.end)}</b>`);
  else parts.push(`${ENDINGS[o.status] ?? `Still in state ${esc(o.status)}`} after <b>${duration(o.total_time_s ?? run.end)}</b>`);
  if (run.stoppedS > 0 || o.downtime_s > 0) parts.push(`VM stopped for <b>${downtime(run)}</b>`);
  else if (!run.ok) parts.push("VM never stopped");
  if (o.transferred_bytes != null) parts.push(`<b>${bytes(o.transferred_bytes)}</b> sent`);
  if (o.dirty_sync_count != null) parts.push(syncs(o.dirty_sync_count));
  return damageWords(run.damage) + parts.join(", ");
}

const SYNCS = "QEMU’s dirty-sync-count: one at the beginning of each pass, one that finds little enough left, one after the stop";
const syncs = (/** @type {number} */ n) => `<span title="${SYNCS}"><b>${n}</b> bitmap ${n === 1 ? "sync" : "syncs"}</span>`;

/** What the destination's ITS lost; it is said first. @returns {string} */
function damageWords(/** @type {Record<string, any[]> | null} */ damage) {
  const kinds = [["lost", "lost"], ["stale", "stale"], ["wrong", "wrong"]].filter(([key]) => damage?.[key]?.length);
  if (!damage || !kinds.length) return "";
  const told = kinds.map(([key, word]) => `<b>${damage[key].length}</b> ${word}`).join(", ");
  return `ITS mappings at the destination: ${told}. `;
}

/** Those mappings one by one, for the line below the header. @param {Record<string, any[]> | null} damage @returns {string} */
export function damageList(damage) {
  const pair = (/** @type {number[]} */ m) => `${m[0]}/${m[1]}`;
  const told = [
    ["lost", damage?.lost ?? [], pair], ["stale", damage?.stale ?? [], pair],
    ["wrong", damage?.wrong ?? [], (/** @type {number[][]} */ m) => pair(m[0])],
  ].filter(([, list]) => list.length);
  return told.map(([word, list, name]) => `${word} (DeviceID/EventID): ${list.map(name).join(", ")}`).join("; ");
}

const signed = (/** @type {number} */ x, /** @type {number} */ n, /** @type {string} */ unit) =>
  `${x > 0 ? "+" : x < 0 ? "−" : "±"}${Math.abs(x).toFixed(n)}${unit}`;

/**
 * Exact differences of two runs, in words (HTML).
 * @param {import("./scene.js").Run} run @param {import("./scene.js").Run} other @returns {string}
 */
export function comparison(run, other) {
  const a = run.outcome;
  const b = other.outcome;
  const name = `<b>${esc(other.name)}</b>`;
  if (a.status !== b.status) return `<span>Beside ${name}: ${outcomeSentence(other)}.</span>`;
  const rows = [
    ["total", a.total_time_s, b.total_time_s, 1, 3, " s"],
    ["stopped", a.downtime_s, b.downtime_s, 1e3, 1, " ms"],
    ["sent", a.transferred_bytes, b.transferred_bytes, 1 / 1048576, 2, " MiB"],
    ["bitmap syncs", a.dirty_sync_count, b.dirty_sync_count, 1, 0, ""],
  ];
  const told = rows
    .filter(([, x, y]) => x != null && y != null)
    .map(([word, x, y, scale, n, unit]) => `<span>${word} <b>${signed((x - y) * scale, n, unit)}</b></span>`);
  return `<span>This run minus ${name}:</span>${told.join("")}`;
}
