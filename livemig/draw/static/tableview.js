// The run in words: state line and table, for readers who do not see the picture. Pure.

import { markAt, pendingAt, stoppedAt, valueAt } from "./scene.js";
import { bytes, duration, esc, exactSeconds } from "./words.js";

/** @typedef {import("./scene.js").Run} Run */

/** The present moment in one line (HTML). @param {Run} run @param {import("./player.js").Cursor} cursor @returns {string} */
export function stateSentence(run, cursor) {
  const step = run.steps[cursor.i];
  const pending = pendingAt(run, cursor.t);
  const threshold = valueAt(run.threshold, cursor.t);
  const vm = stoppedAt(run, cursor.t) ? "<b>stopped</b>" : "running";
  const count = pending === null ? "not counted yet" : bytes(Math.round(pending / run.page) * run.page);
  return (
    `<b>${esc(markAt(run, cursor.t))}</b> at ${exactSeconds(cursor.t)}. ${step.text} VM ${vm}; pending ${count}, ` +
    `threshold ${threshold === null ? "not known yet" : bytes(threshold)}.`
  );
}

/** Marks and passes as a table (HTML). @param {Run} run @returns {string} */
export function tableHtml(run) {
  const todo = new Map(run.passes.map((p) => [p.final ? "Tn+3" : p.label, p.todo]));
  const rows = run.marks.map((m, i) => {
    const next = run.marks[i + 1]?.t ?? run.end;
    const size = todo.get(m.label);
    const cells = [exactSeconds(m.t), duration(Math.max(0, next - m.t)), size == null ? "" : bytes(size), esc(m.text)];
    return `<tr><th scope="row">${esc(m.label)}</th>${cells.map((c) => `<td>${c}</td>`).join("")}</tr>`;
  });
  const count = run.outcome.dirty_sync_count;
  const why = run.ok && count != null
    ? `QEMU counts ${count} bitmap syncs (dirty-sync-count): T1 to T${run.loopPasses}, the sync that finds pending below the threshold, and the last sync with the VM stopped.`
    : "";
  const heads = ["Mark", "Starts at", "Lasts", "To send", "What happens"].map((h) => `<th scope="col">${h}</th>`).join("");
  return `<p>${count === run.loopPasses + 2 ? why : ""}</p><table><thead><tr>${heads}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
}
