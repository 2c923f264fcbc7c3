// Trace -> steps: what the cursor visits one by one, each with its row in the sequence diagram, its sentence and its
// call stack. A recording has no call rows: its stacks are those of QEMU's source for that row, and say so.

import { bytes, duration, esc } from "./words.js";

/** @typedef {import("./wire.js").Row} Row @typedef {import("./wire.js").Trace} Trace */
/** @typedef {{t: number, row: string, text: string, stack: string[], derived: boolean}} Step text is HTML */

const LOOP = ["migration_thread", "migration_iteration_run"];
const COMPLETION = [...LOOP, "migration_completion", "migration_completion_precopy"];
const COMPLETION_7 = [...LOOP, "migration_completion"];
const STOP = ["migration_stop_vm", "vm_stop_force_state"];
const TO_HANDLER = ["vm_stop", "do_vm_stop", "vm_state_notify", "vm_change_state_handler"];

/** QEMU function -> row of the diagram. */
const ROW_OF = {
  qmp_migrate: "migrate", migration_thread: "start", migration_iteration_run: "iter", migration_completion: "compl",
  migration_completion_precopy: "complp", migration_stop_vm: "stopvm", vm_stop_force_state: "vsfs", vm_stop: "vs",
  do_vm_stop: "dvs", vm_state_notify: "vsn", vm_change_state_handler: "hand", migration_switchover_start: "final",
  qemu_savevm_state_complete_precopy: "final", ram_save_complete: "final",
  qemu_savevm_state_complete_precopy_non_iterable: "dev", migration_completion_end: "done", migration_iteration_finish: "done",
};

/** Their effect is a row of its own. */
const TOLD_BY_STATE = ["migrate_set_state", "migrate_generate_event", "runstate_set"];

const SAID = {
  qmp_migrate: "<b>qmp_migrate</b> runs in the main thread.",
  migration_thread: "<b>migration_thread</b> starts; the VM runs on.",
  migration_iteration_run: "One look round the loop: <b>migration_iteration_run</b>.",
  vm_stop: "<b>vm_stop</b>, which the document leaves out.",
  pause_all_vcpus: "<b>pause_all_vcpus</b>: the vCPUs leave the guest.",
  vm_state_notify: "<b>vm_state_notify</b> calls the handlers.",
};

/** Rows in the order of the switchover: a recording that shows a later one has passed the earlier ones. */
const ORDER = [
  ["start", "iter", "pend"],
  ["conv", "compl", "complp", "stopvm", "vsfs", "vs", "dvs", "vsn", "hand", "save", "ret", "final", "dev"],
];

/** Whether the run's calls were recorded one by one; a recording of QEMU has the ends of two functions at most. */
export const hasCalls = (/** @type {Trace} */ trace) => trace.events.some((r) => r[1] === "call" && r[3] === "migration_iteration_run");

/** Whose stack a lane shows: the handlers and the VM's stop run in the migration thread. */
const threadOf = (/** @type {string} */ lane) => (lane === "dst" ? "dst" : lane === "main" || lane === "user" ? "main" : "migration");

/** @param {Trace} trace @returns {Step[]} in time order, at least one */
export function stepsOf(trace) {
  const calls = hasCalls(trace);
  const seven = String(trace.meta.qemu_version ?? "").startsWith("7");
  /** @type {Record<string, string[]>} */
  const stacks = {};
  /** @type {Context} */
  const context = { calls, completing: false, stopped: false, threshold: 0, decided: false, page: trace.meta.scenario?.page_bytes ?? 4096 };
  /** @type {Step[]} */
  const steps = [];
  for (const row of trace.events) {
    const [t, kind, lane, name, depth, data] = row;
    const stack = (stacks[threadOf(lane)] ??= []);
    if (kind === "call" || kind === "return") stack.length = Math.min(stack.length, depth);
    if (kind === "call") stack.push(name);
    const made = SAY[kind]?.(row, stack, context);
    if (made) {
      const [at, text, start] = made;
      const shown = calls ? [...stack] : derivedStack(at, seven);
      if (kind === "return") shown.push(name);
      steps.push({ t: start ?? (kind === "send" ? (data.start_s ?? t) : t), row: at, text, stack: shown, derived: !calls });
    }
    if (name === "migration_completion" && kind === "call") context.completing = true;
  }
  steps.sort((a, b) => a.t - b.t);
  return steps.length ? steps : [{ t: 0, row: "migrate", text: "Nothing was recorded.", stack: [], derived: !calls }];
}

/**
 * @typedef {object} Context what earlier rows said
 * @property {boolean} calls @property {boolean} completing @property {boolean} stopped @property {boolean} decided
 * @property {number} threshold @property {number} page
 */
/** @typedef {[string, string, number?] | null} Said row, HTML sentence, time */

/** @type {Record<string, (row: Row, stack: string[], context: Context) => Said>} */
const SAY = {
  command: ([, , , name, , data], _stack, context) => {
    if (name === "migrate") return ["migrate", "The user says <b>migrate</b>; the VM runs on."];
    const values = Object.entries(data).filter(([key]) => key !== "state").map(([key, value]) => (key === "text" ? ` ${esc(value)}` : ` ${esc(key)} = ${esc(value)}`));
    return [COMMAND_ROWS[name] ?? (context.stopped ? "final" : "pend"), `The user says <b>${esc(name)}</b>${values.join(",")}.`];
  },
  throttle: ([, , , , , data]) => ["pend", `Auto-converge: the guest’s vCPUs are made to sleep <b>${esc(data.percentage)} %</b> of the time.`],
  call: (row, stack, context) => sayCall(row, stack, context),
  return: ([, , , name]) => (name === "vm_stop_force_state" ? ["ret", "The handlers have returned; the VM is stopped."] : null),
  threshold: (row, _stack, context) => {
    context.threshold = row[5].size_bytes ?? 0;
    return null;
  },
  pending: ([, , , name, , data], _stack, context) => {
    const size = bytes(data.size_bytes);
    if (name === "exact") return ["pend", `The dirty log is read: exactly ${size} to send.`];
    const low = data.size_bytes < context.threshold;
    return ["pend", `Estimate: ${size} still marked, ${low ? "below the threshold: count exactly" : "not below the threshold: go on"}.`];
  },
  sync: ([t, , , , , data], _stack, context) => {
    const left = data.remaining_bytes == null ? "" : `: ${bytes(data.remaining_bytes)} to send`;
    if (context.stopped) return ["final", `The last sync, with the VM stopped${left}; it brings the table pages in.`, data.start_s ?? t];
    return data.pass === 1 ? ["start", `The first sync${left}.`] : null; // the others show as exact counts
  },
  send: ([t, , lane, name, , data], _stack, context) => {
    if (lane === "dst") return [thereRow(context), `Destination: loads ${esc(name)}.`];
    const start = data.start_s ?? t;
    if (name !== "ram") return ["dev", `Device state: ${esc(name)} (${duration(t - start)}).`];
    const pages = data.pages == null ? "pages" : bytes((data.pages + (data.zero_pages ?? 0)) * context.page);
    const time = duration(t - start);
    if (context.stopped) return ["final", `The last ${pages} of RAM go out at link speed (${time}).`];
    return ["send", `Sends ${pages} in ${time}; the VM runs and dirties more.`];
  },
  state: ([, , lane, name, , data], _stack, context) => {
    if (lane === "dst") return [thereRow(context), `Destination: ${esc(name)} ${esc(data.new)}.`];
    if (name === "runstate") return [runstateRow(data.new, context), `Run state <b>${esc(data.new)}</b>.`];
    return STATUS_ROWS[data.new] ? [STATUS_ROWS[data.new], `Status <b>${esc(data.new)}</b>.`] : null;
  },
  event: ([, , lane, name], _stack, context) => {
    if (lane === "dst") return [thereRow(context), `Destination: QMP event ${esc(name)}.`];
    if (name === "STOP") {
      if (!context.decided) return ["dvs", "QMP event <b>STOP</b>."];
      context.stopped = true;
      return ["ret", "QMP event <b>STOP</b>: sent after the handlers."];
    }
    if (name === "RESUME") context.stopped = false;
    return name === "RESUME" ? ["done", "QMP event <b>RESUME</b>: the VM runs."] : null;
  },
  its: ([, , lane, name, , data]) => {
    if (lane === "dst") return ["done", `Destination: ${esc(name)}.`];
    if (data.errno) return ["save", `${esc(name)} fails with ${esc(data.errno)}: it is only reported, the migration goes on.`];
    if (name === "SAVE_TABLES") return ["save", "<b>SAVE_TABLES</b>: the ITS tables are written into guest RAM; those pages are dirty now."];
    return name.startsWith("SAVE") ? ["save", `${esc(name)}: more pages become dirty.`] : ["dev", `ITS: ${esc(name)}.`];
  },
  fault: ([, , , name, , data]) => ["done", `Fault: ${esc(data.text ?? name)}.`],
  load: ([, , , name], _stack, context) => [thereRow(context), `Destination: loads ${esc(name)}.`],
  mark: (row, _stack, context) => sayMark(row, context),
};

/** Other commands change the loop that they come into. @type {Record<string, string>} */
const COMMAND_ROWS = { migrate_cancel: "done", "migrate-cancel": "done", "migrate-continue": "final" };

/** @type {Record<string, string>} */
const STATUS_ROWS = { device: "final", completed: "done", cancelling: "done", cancelled: "done", failed: "done", "pre-switchover": "final" };

function runstateRow(/** @type {string} */ state, /** @type {Context} */ context) {
  if (state === "finish-migrate" || state === "paused") return "dvs";
  return context.completing || context.decided ? "done" : "migrate";
}

/** @param {Row} row @param {string[]} stack @param {Context} context @returns {Said} */
function sayCall([, , lane, name, , data], stack, context) {
  if (TOLD_BY_STATE.includes(name)) return null;
  if (lane === "dst") return [thereRow(context), `Destination: <b>${esc(name)}</b>${owner(data)}.`];
  if (!context.calls && name !== "vm_state_notify") return null; // the mark Tn+2 says it already
  const inLoop = context.calls && !context.completing && name !== "migration_completion";
  if (inLoop && !["qmp_migrate", "migration_thread", "migration_iteration_run"].includes(name)) return null;
  if (lane !== "migration" && name !== "qmp_migrate") return null;
  if (name === "vm_stop_force_state") context.stopped = true;
  const row = rowOfCall(name, stack, data);
  if (row === "hand") return [row, `<b>vm_change_state_handler</b>${owner(data)}: KVM is asked to save the ITS tables.`];
  return [row, SAID[name] ?? `<b>${esc(name)}</b> is called${owner(data)}.`];
}

/** The row of what the destination does: it prepares while the thread starts, and finishes the run. */
const thereRow = (/** @type {Context} */ context) => (context.decided ? "done" : "start");

const owner = (/** @type {Record<string, any>} */ data) => (data.owner ? ` of ${esc(data.owner)}` : "");

/** The row of the function, or of the innermost caller that has one; a handler that is not the ITS's stays above. */
function rowOfCall(/** @type {string} */ name, /** @type {string[]} */ stack, /** @type {Record<string, any>} */ data) {
  if (name === "vm_change_state_handler" && data.owner && !/its/i.test(data.owner)) return "vsn";
  for (let i = stack.length - 1; i >= 0; i -= 1) if (ROW_OF[stack[i]]) return ROW_OF[stack[i]];
  return "start";
}

/** Marks are steps of their own only where no call shows the moment. @returns {Said} */
function sayMark(/** @type {Row} */ [, , , label], /** @type {Context} */ context) {
  if (label === "Tn+1") {
    context.decided = true;
    return ["conv", "Pending is below the threshold: leave the loop."];
  }
  if (label === "Tn+2") context.stopped = true;
  if (context.calls) return null;
  if (label === "Tn+2") return ["stopvm", "The VM is being stopped."];
  return label === "Tn+4" ? ["done", "Completed; the destination runs."] : null;
}

/** The frames that QEMU's source has for a row; used where nothing recorded the calls. @returns {string[]} */
function derivedStack(/** @type {string} */ row, /** @type {boolean} */ seven) {
  const base = seven ? COMPLETION_7 : COMPLETION;
  const stop = seven ? [...base, "vm_stop_force_state"] : [...base, ...STOP];
  const frames = {
    migrate: ["qmp_migrate"], start: LOOP.slice(0, 1), iter: LOOP, pend: LOOP, send: LOOP, conv: LOOP,
    compl: base.slice(0, 3), complp: base, stopvm: stop.slice(0, -1), vsfs: stop, vs: [...stop, ...TO_HANDLER.slice(0, 1)],
    dvs: [...stop, ...TO_HANDLER.slice(0, 2)], vsn: [...stop, ...TO_HANDLER.slice(0, 3)], hand: [...stop, ...TO_HANDLER],
    save: [...stop, ...TO_HANDLER], ret: [...stop, ...TO_HANDLER.slice(0, 2)],
    final: [...base, "qemu_savevm_state_complete_precopy"], dev: [...base, "qemu_savevm_state_complete_precopy"], done: LOOP.slice(0, 1),
  };
  return frames[row] ?? [];
}

/**
 * When each row was first reached, as an index into the steps; Infinity for those never reached.
 * @param {Step[]} steps @param {boolean} calls @returns {Record<string, number>}
 */
export function rowTimes(steps, calls) {
  /** @type {Record<string, number>} */
  const seen = {};
  steps.forEach((s, i) => (seen[s.row] ??= i));
  for (const group of ORDER) {
    let later = Infinity;
    for (const row of [...group].reverse()) {
      const own = seen[row] ?? Infinity;
      later = Math.min(later, own);
      seen[row] = calls ? own : later;
    }
  }
  seen.send ??= Infinity;
  seen.migrate ??= 0;
  seen.done ??= Infinity;
  return seen;
}
