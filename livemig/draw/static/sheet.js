// A picture as lists: shapes for a canvas, texts for the SVG above it. Pure.
//
// Why both. A slider that is dragged changes the whole time panel in each frame. As SVG its 230 shapes took a frame's time
// for parsing, style, layout and tiles; on a canvas they take a millisecond. Words at rest are SVG text: sharp at any zoom,
// selectable, and their boxes can be tested. While the slider moves they are on the canvas too: 44 texts cost as much
// style and layout as everything else in the frame.

/**
 * @typedef {object} Look how a shape is drawn; colours are names of the style sheet's variables, or "hatch" or "dots"
 * @property {string} [fill] @property {string} [stroke] @property {number} [width] of the stroke @property {number[]} [dash]
 * @property {"round" | "butt"} [cap] @property {number[]} [clip] left and right edge
 * @property {"past" | "ahead"} [side] drawn up to the cursor, or from it on, only @property {[number, number]} [dated] from, to: drawn as past, now or future
 */
/** @typedef {{box?: number[], points?: number[][], closed?: boolean, look: Look}} Shape box: x, y, width, height */
/**
 * @typedef {object} Label
 * @property {number} x @property {number} y the base line @property {string} words @property {number} size px
 * @property {"start" | "middle" | "end"} anchor @property {number} [weight] @property {string} [look] mute, paper, or halo with a colour; dated: pass or mark @property {boolean} [upright] turned by a quarter
 * @property {[number, number]} [dated] from, to: drawn as past, now or future
 */

/**
 * How a label looks when the cursor stands at t: its colour's name, its weight, whether it keeps the lines below it away.
 * @param {Label} label @param {number} t @returns {{ink: "ink" | "mute" | "paper" | "dirty", weight: number, halo: boolean}}
 */
export function inkOf({ look = "", weight = 400, dated }, t) {
  const plain = { ink: OWN[look] ?? "ink", weight, halo: look.startsWith("halo") };
  return dated ? { ...plain, ...DATED[look][timeOf(dated, t)] } : plain;
}

/** @type {Record<string, "mute" | "paper" | "dirty">} */
const OWN = { mute: "mute", paper: "paper", "halo dirty": "dirty", "halo mute": "mute" };

/** Words on a pass, names of marks: settled, now, still to come. @type {Record<string, Record<string, any>>} */
const DATED = {
  pass: { past: {}, now: { ink: "paper", weight: 650 }, future: { ink: "mute" } },
  mark: { past: {}, now: {}, future: { ink: "mute", weight: 400 } },
};

/** Which of past, now, future a stretch is when the cursor stands at t. @param {[number, number]} dated @param {number} t */
export const timeOf = ([a, b], t) => (t >= b - 1e-7 ? "past" : t >= a - 1e-7 ? "now" : "future");

export class Sheet {
  constructor() {
    /** @type {Shape[]} */
    this.shapes = [];
    /** @type {Label[]} */
    this.texts = [];
  }

  /** @param {number} x @param {number} y @param {number} w @param {number} h @param {Look} look */
  rect(x, y, w, h, look) {
    this.shapes.push({ box: [x, y, w, h], look });
  }

  /** @param {number[][]} points [px, py] @param {Look} look @param {boolean} [closed] */
  line(points, look, closed = false) {
    if (points.length) this.shapes.push({ points, closed, look });
  }

  /** @param {number} x @param {number} y @param {string} words @param {number} size @param {Partial<Label>} [more] */
  text(x, y, words, size, more = {}) {
    this.texts.push({ x, y, words, size, anchor: "start", ...more });
  }
}
