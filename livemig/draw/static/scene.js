// Trace -> Run: what the panels draw, computed once for a trace. Pure; seconds and bytes.
// Passes and spans follow livemig/trace.py (Trace.passes, Trace.spans); a test compares the two.

import { hasCalls, rowTimes, stepsOf } from "./steps.js";

/** @typedef {import("./wire.js").Row} Row @typedef {import("./wire.js").Trace} Trace */
/** @typedef {{label: string, t: number, text: string}} Mark */
/** @typedef {{number: number, label: string, a: number, b: number, todo: number, final: boolean}} Pass */
/** @typedef {{what: string, a: number, b: number}} Span */
/** @typedef {{t: number, tables: Record<string, any>[]}} Save */
/**
 * @typedef {object} Run
 * @property {string} name @property {string} version @property {boolean} ok @property {boolean} calls
 * @property {Record<string, any>} outcome @property {Record<string, any>} scenario @property {Record<string, string>} files
 * @property {number} end @property {number} page @property {Mark[]} marks @property {Pass[]} passes
 * @property {Span[]} vm @property {Span[]} thread @property {number[][]} pending @property {number[][]} exact
 * @property {number[][]} threshold @property {import("./steps.js").Step[]} steps @property {Record<string, number>} seen
 * @property {{a: number, b: number, zero: number} | null} lens @property {number | null} stopS @property {number} stoppedS
 * @property {Save[]} saves @property {Save | null} restored @property {number} loopPasses
 * @property {Record<string, any[]> | null} damage mappings that the destination lost, has stale or has wrong
 * @property {{a: number, b: number}[]} gaps stretches in which nothing was observed
 * @property {Row[]} events @property {string} source simulated, recorded @property {[number, number][]} pauses when the vCPUs were out
 * @property {number | null} coarsePage bytes of a page, where the browser took several together @property {string} cutOff why it stopped early
 */

const PAGE_BYTES = 4096;

/** @param {Trace} trace @returns {Run} */
export function runOf(trace) {
  const { meta, events } = trace;
  const end = Math.max(1e-3, ...lastTimes(events));
  const marks = events.filter((r) => r[1] === "mark").map((r) => ({ label: r[3], t: r[0], text: String(r[5].text ?? "") }));
  const at = (/** @type {string} */ label) => marks.find((m) => m.label === label)?.t ?? null;
  const page = meta.scenario?.page_bytes ?? PAGE_BYTES;
  const outcome = meta.outcome ?? { status: "unknown" };
  const vm = vmSpans(events, at("Tn+2"), end);
  const stopped = vm.filter((s) => s.what === "stopped");
  const steps = stepsOf(trace);
  const calls = hasCalls(trace);
  const passes = passesOf(events, at, end);
  const run = {
    name: [meta.source, meta.id].filter(Boolean).join(" ") || "run", version: String(meta.qemu_version ?? "10.0"),
    ok: outcome.status === "completed", calls, outcome, scenario: meta.scenario ?? {}, files: meta.functions ?? {},
    end, page, marks, passes, vm, thread: threadSpans(events, at("Tn+2")),
    pending: pendingCurve(events, page, outcome.status === "completed"), exact: series(events, "pending", "exact"),
    threshold: series(events, "threshold"), steps, seen: rowTimes(steps, calls),
    lens: lensOf(at, stopped, end), stopS: at("Tn+2") === null ? null : (stopped[0]?.a ?? null),
    stoppedS: stopped.reduce((sum, s) => sum + s.b - s.a, 0),
    saves: savesOf(events, "SAVE_TABLES"), restored: savesOf(events, "RESTORE_TABLES").at(-1) ?? null, damage: meta.its?.report ?? null,
    loopPasses: passes.filter((p) => !p.final).length,
    gaps: events.filter((r) => r[1] === "gap").map((r) => ({ a: r[0], b: r[5].until_s })),
    events, source: String(meta.source ?? ""), pauses: pausesOf(events, vm), coarsePage: meta.coarsened_page_bytes ?? null, cutOff: String(meta.cut_off ?? ""),
  };
  return run;
}

// Math.max(...all) would overflow the stack on long traces; rows are in time order, so the last few are enough.
const lastTimes = (/** @type {Row[]} */ events) => events.slice(-50).map((r) => r[0]);

/** @param {Row[]} events @param {string} kind @param {string} [name] @returns {number[][]} [t, bytes] */
function series(events, kind, name) {
  return events
    .filter((r) => r[1] === kind && (!name || r[3] === name) && r[5].size_bytes != null)
    .map((r) => [r[0], r[5].size_bytes]);
}

/** @param {Row[]} events @param {string} name SAVE_TABLES or RESTORE_TABLES @returns {Save[]} */
function savesOf(events, name) {
  return events
    .filter((r) => r[1] === "its" && r[3] === name && r[5].tables)
    .map((r) => ({ t: r[0], tables: r[5].tables }));
}

/**
 * Sync to sync; the sync that decided the switchover has no pass of its own, the final sync starts the last pass.
 * @param {Row[]} events @param {(label: string) => number | null} at @param {number} end @returns {Pass[]}
 */
function passesOf(events, at, end) {
  const syncs = events.filter((r) => r[1] === "sync");
  const stop = at("Tn+2");
  const decided = at("Tn+1");
  const deciding = decided === null ? null : syncs.filter((s) => s[0] <= decided).at(-1);
  const starts = syncs
    .map((sync) => ({ sync, final: stop !== null && sync[0] > stop }))
    .filter(({ sync, final }) => final || sync !== deciding || syncs.length < 2 || sync === syncs[0]);
  const sends = events.filter((r) => r[1] === "send" && r[3] === "ram" && r[2] === "migration");
  return starts.map(({ sync, final }, i) => {
    const a = sync[5].start_s ?? sync[0];
    const next = starts[i + 1]?.sync;
    let b = next ? (next[5].start_s ?? next[0]) : end;
    if (!final && decided !== null && a <= decided && decided < b) b = decided;
    if (final) b = sends.filter((s) => s[0] >= a).at(-1)?.[0] ?? b;
    return { number: sync[5].pass, label: `T${i + 1}`, a, b, todo: sync[5].remaining_bytes ?? 0, final };
  });
}

/** VM rows: stopped begins when the vCPUs are out, not at the STOP event. @returns {Span[]} */
function vmSpans(/** @type {Row[]} */ events, /** @type {number | null} */ stop, /** @type {number} */ end) {
  /** @type {Span[]} */
  const spans = [];
  let from = 0;
  let what = "running";
  for (const [t, kind, , name] of events) {
    if (kind !== "event" || (name !== "STOP" && name !== "RESUME")) continue;
    const now = name === "RESUME" ? "running" : "stopped";
    if (now === what) continue;
    const edge = now === "stopped" && stop !== null && from <= stop && stop <= t ? stop : t;
    spans.push({ what, a: from, b: edge });
    [from, what] = [edge, now];
  }
  spans.push({ what, a: from, b: Math.max(end, from) });
  return spans;
}

/**
 * When the guest wrote nothing: from the end of pause_all_vcpus, where calls were seen. @param {Row[]} events @param {Span[]} vm
 * @returns {[number, number][]}
 */
function pausesOf(events, vm) {
  const out = events.filter((r) => r[1] === "return" && r[3] === "pause_all_vcpus" && r[2] !== "dst").map((r) => r[0]);
  return vm.filter((s) => s.what === "stopped").map((s) => [out.find((t) => t >= s.a - 1e-9 && t <= s.b) ?? s.a, s.b]);
}

/** What the migration thread did: sends (RAM), handlers (from Tn+2 until the stop is done), device sections. @returns {Span[]} */
function threadSpans(/** @type {Row[]} */ events, /** @type {number | null} */ stop) {
  /** @type {Span[]} */
  const spans = [];
  for (const [t, kind, lane, name, , data] of events) {
    if (kind === "send" && lane === "migration") spans.push({ what: name === "ram" ? "send" : "device", a: data.start_s ?? t, b: t });
  }
  const done = stopDone(events, stop);
  if (stop !== null && done !== null) spans.push({ what: "handlers", a: stop, b: done });
  return spans;
}

/** When migration_stop_vm returned (7.2 has none: vm_stop_force_state); without those the STOP event. @returns {number | null} */
function stopDone(/** @type {Row[]} */ events, /** @type {number | null} */ stop) {
  const first = (/** @type {string} */ kind, /** @type {string} */ name) =>
    events.find((r) => r[1] === kind && r[3] === name && r[2] !== "dst" && stop !== null && r[0] >= stop);
  return (first("return", "migration_stop_vm") ?? first("return", "vm_stop_force_state") ?? first("event", "STOP"))?.[0] ?? null;
}

/**
 * Pending over time: flat while the thread sleeps, falling while it sends, up at a sync.
 * @param {Row[]} events @param {number} page @param {boolean} completed then nothing is left after the last pages
 * @returns {number[][]} [t, bytes]
 */
function pendingCurve(events, page, completed) {
  /** @type {number[][]} */
  const points = [];
  let value = null;
  const push = (/** @type {number} */ t, /** @type {number} */ v) => points.push([Math.max(t, points.at(-1)?.[0] ?? 0), v]);
  const nextEstimate = nextEstimates(events);
  const sends = (/** @type {Row} */ [, kind, lane, name]) => kind === "send" && name === "ram" && lane === "migration";
  const last = completed ? events.findLastIndex(sends) : -1;
  events.forEach((row, i) => {
    const [t, kind, , , , data] = row;
    if (kind === "gap" && value !== null) {
      push(t, value);
      value = null;
    }
    const size = kind === "pending" ? data.size_bytes : kind === "sync" ? data.remaining_bytes : null;
    if (size != null) {
      if (value !== null) push(t, value);
      push(t, (value = size));
    } else if (value !== null && sends(row)) {
      push(data.start_s ?? t, value);
      const sent = data.pages == null ? null : (data.pages + (data.zero_pages ?? 0)) * page;
      value = i === last ? 0 : Math.max(0, sent === null ? (nextEstimate[i] ?? value) : value - sent);
      push(t, value);
    }
  });
  if (value !== null && events.length) push(events[events.length - 1][0], value);
  return points;
}

/** For each row the next estimate's bytes, unless a sync comes first. @returns {(number | null)[]} */
function nextEstimates(/** @type {Row[]} */ events) {
  const found = new Array(events.length).fill(null);
  let next = null;
  for (let i = events.length - 1; i >= 0; i -= 1) {
    found[i] = next;
    const [, kind, , name, , data] = events[i];
    if (kind === "pending" && name === "estimate") next = data.size_bytes;
    else if (kind === "pending" || kind === "sync") next = null;
  }
  return found;
}

/**
 * The stretch that the lens enlarges, or null where nothing stopped or nothing would be gained. `zero` is its 0 ms.
 * @param {(label: string) => number | null} at @param {Span[]} stopped @param {number} end
 */
function lensOf(at, stopped, end) {
  const zero = at("Tn+2");
  if (zero === null) return null;
  const low = at("Tn+1") ?? zero;
  const last = at("Tn+4") ?? stopped[0]?.b ?? end;
  const span = Math.max(last - low, 1e-5);
  const a = Math.max(0, low - Math.min(0.008, Math.max(0.00106, 0.3 * span)));
  const b = (end - last < span ? end : last) + 0.1 * span; // with what the destination does next, if it is near
  return end / (b - a) < 4 ? null : { a, b, zero };
}

/** The last point at or before t. @param {number[][]} points [t, value] @param {number} t @returns {number | null} */
export function valueAt(points, t) {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= t + 1e-9) low = middle + 1;
    else high = middle;
  }
  return low ? points[low - 1][1] : null;
}

/** Pending at t, on the falling line between two points. @param {Run} run @param {number} t @returns {number | null} */
export function pendingAt(run, t) {
  if (run.gaps.some(({ a, b }) => t > a + 1e-9 && t < b - 1e-9)) return null; // nobody looked
  const before = valueAt(run.pending, t);
  const next = run.pending.find((p) => p[0] > t + 1e-9);
  const last = run.pending.filter((p) => p[0] <= t + 1e-9).at(-1);
  if (before === null || !next || !last || next[0] === last[0]) return before;
  return last[1] + ((next[1] - last[1]) * (t - last[0])) / (next[0] - last[0]);
}

/** The last step at or before t. @param {Run} run @param {number} t @returns {number} */
export function stepAt(run, t) {
  let low = 0;
  let high = run.steps.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (run.steps[middle].t <= t + 1e-7) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The last mark at or before t. @param {Run} run @param {number} t @returns {string} */
export const markAt = (run, t) => run.marks.filter((m) => m.t <= t + 1e-7).at(-1)?.label ?? run.marks[0]?.label ?? "T0";

/** Whether the guest stands still at t. @param {Run} run @param {number} t @returns {boolean} */
export const stoppedAt = (run, t) => run.vm.some((s) => s.what === "stopped" && s.a <= t + 1e-7 && t < s.b - 1e-9);

/** The tables that are in guest RAM at t: the last save. @param {Run} run @param {number} t @returns {Save | null} */
export const saveAt = (run, t) => run.saves.filter((s) => s.t <= t + 1e-7).at(-1) ?? null;
