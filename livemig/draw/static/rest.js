// Parts of the picture that may come after the timeline. Each remembers how long it took.

const AGED = 0.7; // what was measured before counts that much

export class Rest {
  /** @param {(() => void)[]} parts @param {() => void} last when nothing moves any more */
  constructor(parts, last) {
    this.last = last;
    this.parts = parts.map((draw) => ({ draw, cost: 0, due: false }));
    this.turn = 0;
  }

  /** Nothing is waited for any more. */
  forget() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame ?? 0);
  }

  /** Another run within a drag: one cheap part now, in turn, the others when it rests. @param {number} most ms @param {number} wait ms */
  next(most, wait) {
    for (const part of this.parts) part.due = true;
    for (let k = 0; k < this.parts.length; k += 1) {
      const part = this.parts[(this.turn + k) % this.parts.length];
      if (part.cost > most) continue;
      this.turn += k + 1;
      this.draw(part);
      break;
    }
    this.timer = setTimeout(() => this.drawDue(), wait);
  }

  /** Everything: at once, or a frame later where it takes longer than `most`. @param {number} most ms */
  all(most) {
    let cost = 0;
    for (const part of this.parts) {
      part.due = true;
      cost += part.cost;
    }
    if (cost <= most) this.drawDue();
    else this.frame = requestAnimationFrame(() => (this.timer = setTimeout(() => this.drawDue())));
  }

  drawDue() {
    this.last();
    for (const part of this.parts) if (part.due) this.draw(part);
  }

  draw(/** @type {{draw: () => void, cost: number, due: boolean}} */ part) {
    const began = performance.now();
    part.draw();
    part.due = false;
    part.cost = AGED * part.cost + (1 - AGED) * (performance.now() - began);
  }
}
