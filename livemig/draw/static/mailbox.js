// Messages to the kernel: one in flight, and only the newest inputs after it.

const PATIENCE_MS = 10000;

/** Sends the first inputs at once, merges what comes while an answer is awaited, sends that when the answer is there. */
export class Mailbox {
  /**
   * @param {(id: string, inputs: Record<string, any>) => void} send @param {string} name makes ids unique
   * @param {() => number} clock ms @param {() => void} late called when no answer came for a long time
   */
  constructor(send, name, clock = () => Date.now(), late = () => {}) {
    this.send = send;
    this.name = name;
    this.clock = clock;
    this.late = late;
    this.count = 0;
    this.flying = "";
    this.since = 0;
    /** @type {Record<string, any> | null} */
    this.waiting = null;
  }

  /** @param {Record<string, any>} inputs changed since the last call */
  post(inputs) {
    this.waiting = { ...this.waiting, ...inputs };
    const lost = this.flying && this.clock() - this.since > PATIENCE_MS; // the kernel was restarted meanwhile
    if (!this.flying || lost) this.flush();
  }

  /** @param {string} id of the message that was answered; others' answers change nothing */
  answered(id) {
    if (id !== this.flying) return;
    this.close();
    this.flying = "";
    if (this.waiting) this.flush();
  }

  flush() {
    const inputs = this.waiting ?? {};
    this.waiting = null;
    this.count += 1;
    this.flying = `${this.name}-${this.count}`;
    this.since = this.clock();
    this.close();
    this.timer = setTimeout(this.late, PATIENCE_MS);
    this.timer.unref?.(); // node's tests need not wait for it
    this.send(this.flying, inputs);
  }

  close() {
    clearTimeout(this.timer);
  }
}
