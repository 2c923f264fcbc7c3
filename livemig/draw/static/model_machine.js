// The virtual clock and the traced call stack (livemig/engine/machine.py). Time passes in `advanceTo` and nowhere else.

/** @typedef {[number, string, string, string, number, Record<string, any>]} Row t_s, kind, lane, name, depth, data */

const NO_DATA = Object.freeze({});

/** The model stops here: more rows or draws than a browser can bear. The rows so far stay. */
export class ModelLimit extends Error {}

/** `goto fail` of the engine: caught where QEMU's function checks the error. */
export class MigrationError extends Error {}

/** The migration thread waits for the peer, and nothing will ever end that. */
export class PeerIsSilent extends Error {}

/** Clock (seconds since T0), rows, the current lane and its call depth, alarms of the plan. */
export class Machine {
  /** @param {number} mostRows */
  constructor(mostRows) {
    this.t = 0;
    /** @type {Row[]} */
    this.rows = [];
    this.lane = "main";
    /** @type {Record<string, number>} */
    this.depth = { main: 0, migration: 0, dst: 0 };
    /** @type {{due: number, run: () => void}[]} */
    this.alarms = [];
    this.mostRows = mostRows;
  }

  /** @param {string} kind @param {string} name @param {Record<string, any>} [data] @param {string} [lane] */
  emit(kind, name, data = NO_DATA, lane = this.lane) {
    this.push(kind, lane, name, this.depth[lane] ?? 0, data);
  }

  /** @param {string} kind @param {string} lane @param {string} name @param {number} depth @param {Record<string, any>} data */
  push(kind, lane, name, depth, data) {
    if (this.rows.length >= this.mostRows) throw new ModelLimit(`more than ${this.mostRows} events`);
    this.rows.push([this.t, kind, lane, name, depth, data]);
  }

  /** @param {string} lane @param {string} name @param {number} depth */
  leave(lane, name, depth) {
    this.depth[lane] = depth;
    this.rows.push([this.t, "return", lane, name, depth, NO_DATA]);
  }

  /** @param {number} seconds @param {() => boolean} [until] */
  spend(seconds, until) {
    this.advanceTo(this.t + seconds, until);
  }

  /** Never backwards; alarms run at their own time, and `until` may end the stretch early. @param {number} t @param {() => boolean} [until] */
  advanceTo(t, until) {
    while (this.alarms.length && this.alarms[0].due <= t) {
      const { due, run } = /** @type {{due: number, run: () => void}} */ (this.alarms.shift());
      if (due > this.t) this.t = due;
      run();
      if (until && until()) return;
    }
    if (t > this.t) this.t = t;
  }

  /** @param {number} due @param {() => void} run */
  at(due, run) {
    let place = this.alarms.length;
    while (place > 0 && this.alarms[place - 1].due > due) place -= 1;
    this.alarms.splice(place, 0, { due, run });
  }

  /** What happens in `body` belongs to another lane. @param {string} lane @param {() => void} body */
  on(lane, body) {
    const before = this.lane;
    this.lane = lane;
    try {
      body();
    } finally {
      this.lane = before;
    }
  }
}

/**
 * A function with the name of a QEMU function: its call and its return become rows.
 * @template T
 * @param {string} name @param {(s: any, a?: any, b?: any, c?: any) => T} body @returns {(s: any, a?: any, b?: any, c?: any) => T}
 */
export const traced = (name, body) => (s, a, b, c) => {
  const { machine } = s;
  const { lane } = machine;
  const depth = machine.depth[lane];
  machine.push("call", lane, name, depth, NO_DATA);
  machine.depth[lane] = depth + 1;
  try {
    return body(s, a, b, c);
  } finally {
    machine.leave(lane, name, depth);
  }
};

/** A QEMU function whose inside is not modelled. @param {any} s @param {string} name */
export function passed(s, name) {
  const { machine } = s;
  const depth = machine.depth[machine.lane];
  machine.push("call", machine.lane, name, depth, NO_DATA);
  machine.push("return", machine.lane, name, depth, NO_DATA);
}

/** A call with data of its own, such as a handler's. @param {any} s @param {string} name @param {Record<string, any>} data @param {() => void} body */
export function called(s, name, data, body) {
  const { machine } = s;
  const { lane } = machine;
  const depth = machine.depth[lane];
  machine.push("call", lane, name, depth, data);
  machine.depth[lane] = depth + 1;
  try {
    body();
  } finally {
    machine.leave(lane, name, depth);
  }
}
