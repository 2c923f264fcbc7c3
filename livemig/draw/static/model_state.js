// Everything the model's functions share, as QEMU's MigrationState does (livemig/engine/state.py), and state changes.

import { Outgoing } from "./model_channel.js";
import { GuestPages } from "./model_memory.js";
import { Machine, PeerIsSilent, called, traced } from "./model_machine.js";
import { ItsPicked } from "./model_its.js";
import { Thinned } from "./model_thin.js";
import { Throttle } from "./model_throttle.js";
import { Writer } from "./model_workload.js";

/** @typedef {import("./model_coarse.js").Fields} Fields */
/** @typedef {Record<string, any>} ModelTables as livemig.engine.model_tables.model_tables returns them */
/** @typedef {{rows: number, draws: number, turns: number}} Limits */

/** A state change that QEMU does not allow; the run ends there, and the trace's meta says so. */
export class TransitionRefused extends Error {}

export class ModelState {
  /** @param {Fields} f @param {number} taken small pages in one page @param {ModelTables} tables @param {Limits} limits */
  constructor(f, taken, tables, limits) {
    this.fields = f;
    this.tables = tables;
    const rules = tables.rules[f.qemu_version];
    this.rules = { ...rules, flush_pages: Math.max(1, Math.floor(rules.flush_pages / taken)) };
    this.machine = new Machine(limits.rows);
    this.memory = new GuestPages(f, new Writer(f, tables.draws, limits.draws));
    this.out = new Outgoing(f, tables.wire, taken, tables.multifd);
    this.throttle = new Throttle(f.catch_up_s, tables.clock.throttle_slice_s);
    this.bandwidthLimit = f.bandwidth_bytes_per_s;
    this.downtimeLimitS = f.downtime_limit_s;
    this.throttleMaxPct = f.throttle_max_pct;
    this.threshold = f.switchover_rule === "fixed" ? f.fixed_threshold_bytes : 0;
    this.status = { here: "none", there: "active" };
    this.runstate = { here: "running", there: "inmigrate" };
    this.counters = { normal: 0, duplicate: 0, downtimeBytes: 0, deviceBytes: 0, syncs: 0 };
    this.windowStart = 0;
    this.windowInitial = 0;
    /** @type {number | null} */
    this.downtimeStart = null;
    /** @type {number | null} */
    this.downtimeS = null;
    /** @type {number | null} */
    this.totalS = null;
    /** @type {number | null} */
    this.setupS = null;
    this.rates = { start: 0, dirtyPages: 0, sentBefore: 0, high: 0 };
    this.syncTimerOn = false;
    this.syncsAtTimer = 0;
    this.syncDue = false;
    this.syncTick = () => {};
    this.sending = false;
    this.bigLock = false;
    /** @type {number | null} */
    this.pausedAt = null;
    this.pausedGuest = 0;
    this.pausedTotal = 0;
    this.reason = "";
    this.markedPass = 0;
    this.allSent = false;
    this.destinationRuns = false;
    this.destinationLoaded = false;
    this.destinationDied = false;
    /** @type {number[] | null} */
    this.differentPages = null;
    /** @type {any} */
    this.plan = null;
    this.thin = limits.turns === Infinity ? null : new Thinned(limits.turns);
    this.its = f.its_devices && f.accelerator === "kvm" ? new ItsPicked(this, tables.its) : null;
  }

  /** Seconds in which the vCPUs ran. @returns {number} */
  guestS() {
    if (this.pausedAt !== null) return this.pausedGuest;
    return this.throttle.workS(this.machine.t) - this.pausedTotal;
  }

  guestRuns() {
    const guestS = this.guestS();
    this.its?.guestRunsUntil(guestS);
    this.memory.guestRunsUntil(guestS);
  }

  pauseGuest() {
    if (this.pausedAt !== null) return;
    this.guestRuns();
    this.pausedGuest = this.guestS();
    this.throttle.vmStops(this.machine.t);
    this.pausedAt = this.machine.t;
  }

  resumeGuest() {
    if (this.pausedAt === null) return;
    this.pausedTotal += this.machine.t - this.pausedAt;
    this.pausedAt = null;
  }

  /** A write to a peer that reads nothing blocks until the connection ends, without any timeout. */
  waitWhileSilent() {
    const { alarms } = this.machine;
    while (this.out.silent && this.out.error === null) {
      if (!alarms.length) throw new PeerIsSilent();
      this.machine.advanceTo(alarms[0].due);
    }
  }

  /** A burst is over; a sync that waited for it comes now. */
  sentAll() {
    this.sending = false;
    if (!this.syncDue) return;
    this.syncDue = false;
    this.syncTick();
  }

  /** @returns {number} bytes the bitmap still holds */
  pendingBytes() {
    return this.memory.pending * this.fields.page_bytes;
  }

  /** @returns {number} bytes a window may send */
  windowLimit() {
    return this.bandwidthLimit == null ? Infinity : Math.floor(Math.trunc(this.bandwidthLimit) / 10);
  }

  /** One call of ram_save_iterate. @returns {ReturnType<Outgoing["gather"]>} */
  gathered() {
    return this.out.gather(this.rules.flush_pages, this.windowLimit() - this.out.used, this.tables.clock);
  }

  /** @param {"status" | "runstate"} what @param {string} next */
  change(what, next) {
    const side = this.machine.lane === "dst" ? "there" : "here";
    const old = this[what][side];
    const allowed = this.tables.transitions[what][old] ?? [];
    if (!allowed.includes(next)) {
      throw new TransitionRefused(`${old} -> ${next} is not allowed; from ${old} one may go to ${allowed.join(", ") || "nowhere"}`);
    }
    this[what][side] = next;
    this.machine.emit("state", what, { old, new: next });
  }

  /** @param {string} label @param {string} text */
  mark(label, text) {
    this.machine.emit("mark", label, { text });
  }

  /** @param {string} name of a QMP event @param {Record<string, any>} [data] */
  event(name, data = {}) {
    this.machine.emit("event", name, data);
  }
}

export const migrate_set_state = traced("migrate_set_state", (s, /** @type {string} */ next) => {
  if (s.status.here === "cancelling" && next !== "cancelled" && s.machine.lane !== "dst") return;
  s.change("status", next);
  called(s, "migrate_generate_event", {}, () => s.event("MIGRATION", { status: next }));
});

export const runstate_set = traced("runstate_set", (s, /** @type {string} */ next) => s.change("runstate", next));
