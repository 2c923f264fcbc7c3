// User commands and faults of the plan, and giving up (livemig/engine/plan.py).

import { migration_cancel } from "./model_migration.js";

const OVER = ["completed", "failed", "cancelled", "cancelling"];
const BROKEN = "Unable to write to socket: Broken pipe";
const PARAMETER = { set_downtime_limit: "downtime-limit", set_bandwidth: "max-bandwidth", set_max_throttle: "max-cpu-throttle" };

export class PlanOfRun {
  /** @param {any} s */
  constructor(s) {
    this.s = s;
    this.released = false;
    this.gaveUp = false;
  }

  /** Actions at a time count from T0, the others from now on. @param {string} moment */
  arm(moment) {
    const base = moment === "time" ? 0 : this.s.machine.t;
    for (const action of this.s.fields.plan) {
      if (action.at === moment) this.s.machine.at(base + action.at_s, () => this.#act(action));
    }
  }

  armGiveUp() {
    this.s.machine.at(giveUpAfter(this.s), () => {
      const { status, bigLock, allSent } = this.s;
      if (!["setup", "active", "pre-switchover"].includes(status.here) || bigLock || allSent) return;
      this.gaveUp = true;
      this.#cancel();
    });
  }

  /** @param {{do: string, value: number | null}} action */
  #act(action) {
    const { s } = this;
    if (action.do === "destination_dies") this.#destinationDies();
    if (OVER.includes(s.status.here) || action.do === "destination_dies") return;
    if (action.do === "cancel") {
      if (s.allSent || s.bigLock) s.machine.emit("command", "migrate_cancel", {}, "user");
      else {
        s.reason ||= "migrate_cancel";
        this.#cancel();
      }
    } else if (action.do === "continue") {
      s.machine.emit("command", "migrate-continue", { state: "pre-switchover" }, "user");
      this.released = true;
    } else if (action.do === "link_failure") {
      s.machine.emit("fault", "link failure", { text: "the connection to the destination is gone" }, "dst");
      if (!s.allSent) s.out.error ||= BROKEN;
    } else if (action.do === "silent_peer") {
      s.machine.emit("fault", "silent peer", { text: "the peer reads nothing and does not close" }, "dst");
      s.out.silent = true;
    } else this.#setParameter(action);
  }

  #destinationDies() {
    const { s } = this;
    if (s.destinationRuns || s.destinationDied || ["failed", "cancelled"].includes(s.status.here)) return;
    s.machine.emit("fault", "process killed", { text: "the destination process is gone" }, "dst");
    s.destinationDied = true;
    s.out.error ||= BROKEN;
  }

  /** @param {any} action */
  #setParameter(action) {
    const { s } = this;
    const name = PARAMETER[/** @type {keyof typeof PARAMETER} */ (action.do)];
    s.machine.emit("command", "migrate-set-parameters", { [name]: action.value }, "user");
    if (action.do === "set_downtime_limit") s.downtimeLimitS = action.value;
    else if (action.do === "set_max_throttle") s.throttleMaxPct = action.value;
    else s.bandwidthLimit = action.value || null;
  }

  #cancel() {
    const { machine } = this.s;
    machine.emit("command", "migrate_cancel", {}, "user");
    machine.on("main", () => migration_cancel(this.s));
    this.released = true;
  }

  /** From alarm to alarm until migrate-continue or a cancel. */
  waitInPreSwitchover() {
    this.arm("pre-switchover");
    const { machine } = this.s;
    while (!this.released && machine.alarms.length) machine.advanceTo(machine.alarms[0].due);
  }
}

/** By default ten bulk copies, but a minute at least and an hour at most. @param {any} s @returns {number} seconds */
export function giveUpAfter(s) {
  if (s.fields.give_up_s != null) return s.fields.give_up_s;
  const { bulk_copies: copies, longest_run_s: longest } = s.tables.clock;
  const bulkS = s.fields.ram_bytes / Math.min(s.bandwidthLimit || Infinity, s.out.speed);
  return Math.min(Math.max(60, Math.min(copies * bulkS, 3600), 1.5 * bulkS), longest);
}
