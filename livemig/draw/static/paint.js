// A sheet's shapes on a canvas.

import { inkOf, timeOf } from "./sheet.js";

/** @typedef {import("./sheet.js").Shape} Shape @typedef {import("./sheet.js").Label} Label @typedef {import("./sheet.js").Look} Look @typedef {Record<string, string>} Inks */

const NAMES = ["paper", "well", "ink", "mute", "edge", "rule", "send", "send-t", "dirty", "run", "run-t", "its", "its-t"];

/** Passes: settled, solid, or an outline that is still to come. @type {Record<string, Look>} */
const DATED = {
  past: { fill: "send-t", stroke: "send", width: 1 },
  now: { fill: "send", stroke: "send", width: 1 },
  future: { stroke: "edge", width: 1, dash: [3, 2] },
};

/** The style sheet's colours as they are in this theme. @param {Element} element @returns {Inks} */
export function readInks(element) {
  const css = getComputedStyle(element);
  const inks = Object.fromEntries(NAMES.map((name) => [name, css.getPropertyValue(`--${name}`).trim()]));
  return { ...inks, paper: inks.paper || "#fff" };
}

/** Nothing shines through: the browser need not blend it with what is below. */
export const OPAQUE = { alpha: false };

/** Make a canvas as large as its picture, in the screen's own pixels. @returns {CanvasRenderingContext2D} */
export function sized(/** @type {HTMLCanvasElement} */ canvas, /** @type {number} */ width, /** @type {number} */ height) {
  const ratio = globalThis.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    [canvas.width, canvas.height] = [w, h];
    canvas.style.height = `${height}px`;
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", OPAQUE));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

const TILE = 20; // enlarged, so that a pattern keeps its edges when it is turned

/** @param {CanvasRenderingContext2D} context @param {DOMMatrix} turn @param {string} ground @param {string} ink @param {(pen: CanvasRenderingContext2D) => void} draw */
function pattern(context, turn, ground, ink, draw) {
  const tile = Object.assign(document.createElement("canvas"), { width: TILE, height: TILE });
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.fillStyle = ground;
  pen.fillRect(0, 0, TILE, TILE);
  pen.fillStyle = ink;
  draw(pen);
  const made = /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
  made.setTransform(turn);
  return made;
}

/** What shapes are filled with: colours of the theme, diagonal ink (the VM is stopped), dots (nobody looked). */
export function fillsOf(/** @type {CanvasRenderingContext2D} */ context, /** @type {Inks} */ inks, /** @type {number} */ q) {
  const hatch = pattern(context, new DOMMatrix().rotate(45).scale((5 * q) / TILE), inks.paper, inks.ink, (pen) => pen.fillRect(0, 0, 0.3 * TILE, TILE));
  const dots = pattern(context, new DOMMatrix().scale((6 * q) / TILE), inks.well, inks.edge, (pen) => {
    pen.arc(TILE / 2, TILE / 2, TILE / 6, 0, 2 * Math.PI);
    pen.fill();
  });
  return { ...inks, hatch, dots };
}

/**
 * @param {CanvasRenderingContext2D} context @param {Shape[]} shapes
 * @param {{width: number, height: number, fills: ReturnType<typeof fillsOf>, t: number, x: number}} at the cursor's time and place
 */
export function paint(context, shapes, at) {
  context.fillStyle = at.fills.paper;
  context.fillRect(0, 0, at.width, at.height);
  context.lineJoin = "round";
  let clip = "";
  for (const shape of shapes) {
    const wanted = clipOf(shape.look, at.x);
    if (wanted && wanted[0] >= wanted[1]) continue;
    const key = wanted ? wanted.join() : "";
    if (key !== clip) {
      if (clip) context.restore();
      if (wanted) clipTo(context, wanted, at.height);
      clip = key;
    }
    one(context, shape, at);
  }
  if (clip) context.restore();
}

/** @returns {number[] | null} left and right edge */
function clipOf(/** @type {Look} */ { clip, side }, /** @type {number} */ x) {
  if (!clip || !side) return clip ?? null;
  return side === "past" ? [clip[0], Math.min(clip[1], x)] : [Math.max(clip[0], x), clip[1]];
}

function clipTo(/** @type {CanvasRenderingContext2D} */ context, /** @type {number[]} */ [left, right], /** @type {number} */ height) {
  context.save();
  context.beginPath();
  context.rect(left, 0, Math.max(0, right - left), height);
  context.clip();
}

function one(/** @type {CanvasRenderingContext2D} */ context, /** @type {Shape} */ { box, points, closed, look }, /** @type {any} */ { fills, t }) {
  const { fill, stroke, width = 1, dash, cap = "butt" } = look.dated ? DATED[timeOf(look.dated, t)] : look;
  if (box) {
    const [x, y, w, h] = box;
    if (fill) {
      context.fillStyle = fills[fill];
      context.fillRect(x, y, w, h);
    }
    if (!stroke) return;
    pen(context, fills[stroke], width, dash, cap);
    context.strokeRect(x, y, w, h);
    return;
  }
  context.beginPath();
  points?.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (closed) context.closePath();
  if (fill) {
    context.fillStyle = fills[fill];
    context.fill();
  }
  if (!stroke) return;
  pen(context, fills[stroke], width, dash, cap);
  context.stroke();
}

const SOLID = /** @type {number[]} */ ([]);

function pen(/** @type {any} */ context, /** @type {string} */ colour, /** @type {number} */ width, /** @type {number[]} */ dash = SOLID, /** @type {string} */ cap = "butt") {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineCap = cap;
  context.setLineDash(dash);
}

/**
 * Words as the style sheet has them in the SVG. @param {CanvasRenderingContext2D} context @param {Label[]} labels
 * @param {{fills: any, t: number, font: string, halo: number}} at halo: width in px of the ground around a word
 */
export function write(context, labels, { fills, t, font, halo }) {
  const set = setter(context);
  context.setLineDash(SOLID);
  for (const label of labels) {
    const { ink, weight, halo: kept } = inkOf(label, t);
    set("font", `${weight} ${label.size}px ${font}`);
    set("textAlign", ALIGN[label.anchor]);
    set("fillStyle", fills[ink]);
    if (kept) {
      set("strokeStyle", fills.paper);
      set("lineWidth", halo);
    }
    if (label.upright) upright(context, label, kept);
    else put(context, label.words, label.x, label.y, kept);
  }
}

/** Setting what is set already costs as much as drawing a rectangle. @param {any} context @returns {(name: string, value: any) => void} */
function setter(context) {
  /** @type {Record<string, any>} */
  const shown = {};
  return (name, value) => {
    if (shown[name] !== value) context[name] = shown[name] = value;
  };
}

/** @type {Record<string, CanvasTextAlign>} */
const ALIGN = { start: "start", middle: "center", end: "end" };

function put(/** @type {CanvasRenderingContext2D} */ context, /** @type {string} */ words, /** @type {number} */ x, /** @type {number} */ y, /** @type {boolean} */ halo) {
  if (halo) context.strokeText(words, x, y);
  context.fillText(words, x, y);
}

function upright(/** @type {CanvasRenderingContext2D} */ context, /** @type {Label} */ { words, x, y }, /** @type {boolean} */ halo) {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 2);
  put(context, words, 0, 0, halo);
  context.restore();
}
