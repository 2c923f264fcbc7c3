// The scenario's inputs as native controls. What they are (label, unit, range) comes from Scenario's field metadata.

import { setAttribute } from "./svg.js";
import { digits, esc } from "./words.js";

/**
 * @typedef {object} Control
 * @property {string} name of the scenario's field @property {string} label @property {"number" | "choice"} kind
 * @property {string} [unit] @property {number} [scale] inner units (bytes, seconds) in one shown unit
 * @property {number} [low] @property {number} [high] of the slider, in shown units @property {boolean} [nullable] empty = no limit
 * @property {number} [grain] inner values are multiples of it @property {[string, string][]} [choices] value, words
 * @property {[number | null, number | null]} [limits] smallest and largest value of the field, in inner units
 * @property {[string, string]} [only] shown only while that field has that value
 */

const STOPS = 1000;

/** Sliders are logarithmic; one that starts at 0 has its first stop there. @param {Control} c @param {number | null} shown @returns {number} 0..STOPS */
export function positionOf(c, shown) {
  if (shown === null) return STOPS;
  const bottom = c.low || c.high / 1024;
  if (shown < bottom) return 0;
  const share = Math.log(Math.min(shown, c.high) / bottom) / Math.log(c.high / bottom);
  return Math.round(c.low ? share * STOPS : 1 + share * (STOPS - 1));
}

/** @param {Control} c @param {number} position @returns {number} shown units, three digits */
export function shownAt(c, position) {
  if (!c.low && position === 0) return 0;
  const bottom = c.low || c.high / 1024;
  const share = c.low ? position / STOPS : (position - 1) / (STOPS - 1);
  return Number(digits(bottom * (c.high / bottom) ** share, position === 0 || position === STOPS ? 6 : 3));
}

/** Shown number -> the scenario's value. @param {Control} c @param {number | null} shown @returns {number | null} */
export function innerOf(c, shown) {
  if (shown === null) return null;
  const inner = shown * c.scale;
  return c.grain ? Math.round(inner / c.grain) * c.grain : inner;
}

/** @param {Control} c @param {number | null} inner @returns {number | null} */
export const shownOf = (c, inner) => (inner === null || inner === undefined ? null : Number((inner / c.scale).toPrecision(6)));

/** @param {Control[]} controls @param {Record<string, any>} values @param {string} uid @returns {string} HTML */
export function controlsHtml(controls, values, uid) {
  return controls.map((c) => (c.kind === "choice" ? choiceHtml(c, values[c.name], uid) : numberHtml(c, values[c.name], uid))).join("");
}

function choiceHtml(/** @type {Control} */ c, /** @type {string} */ value, /** @type {string} */ uid) {
  const options = c.choices.map(([v, words]) => `<option value="${esc(v)}" ${v === value ? "selected" : ""}>${esc(words)}</option>`).join("");
  return `<div class="row sel" data-row="${c.name}"><label for="${uid}${c.name}">${esc(c.label)}</label><select id="${uid}${c.name}" data-name="${c.name}">${options}</select></div>`;
}

function numberHtml(/** @type {Control} */ c, /** @type {number | null} */ value, /** @type {string} */ uid) {
  const shown = shownOf(c, value);
  return (
    `<div class="row" data-row="${c.name}"><label for="${uid}${c.name}">${esc(c.label)}</label><span class="val"><input type="number" step="any" ${rangeOf(c)}data-name="${c.name}" ` +
    `aria-label="${esc(c.label)}, ${esc(c.unit)}" ${c.nullable ? 'placeholder="none"' : ""} value="${shown ?? ""}"><span>${esc(c.unit)}</span></span>` +
    `<input type="range" id="${uid}${c.name}" data-name="${c.name}" min="0" max="${STOPS}" step="1" value="${positionOf(c, shown)}" aria-valuetext="${spoken(c, shown)}"></div>`
  );
}

/** The field's own limits, in shown units. */
const rangeOf = (/** @type {Control} */ { limits: [low, high] = [null, null], scale = 1 }) =>
  (low == null ? "" : `min="${low / scale}" `) + (high == null ? "" : `max="${high / scale}" `);

/**
 * An error about one input, with its label and in the unit that is shown; others as they are.
 * @param {string} error @param {Control[]} controls @param {Record<string, any>} wanted values that were just given @returns {string}
 */
export function inWords(error, controls, wanted) {
  const c = controls.find((one) => one.name === error.split(" = ")[0]);
  if (!c) return error;
  const [low, high] = c.limits ?? [null, null];
  const value = wanted[c.name];
  const told = (/** @type {number} */ inner) => `${shownOf(c, inner)} ${c.unit}`;
  if (low != null && value < low) return `${c.label} ${told(value)}: at least ${told(low)}`;
  if (high != null && value > high) return `${c.label} ${told(value)}: at most ${told(high)}`;
  return `${c.label}: ${error}`;
}

/** The input that an error names in its first words is marked; "" marks none. @param {HTMLElement} root @param {string} error */
export function markWrong(root, error) {
  const wrong = error.split(" = ")[0];
  for (const input of root.querySelectorAll("[data-name]")) {
    if (/** @type {HTMLElement} */ (input).dataset.name === wrong) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
}

const spoken = (/** @type {Control} */ c, /** @type {number | null} */ shown) => (shown === null ? "no limit" : `${shown} ${c.unit}`);

/**
 * Show values; the element that the user holds is left alone (writing a range that is dragged breaks the drag).
 * @param {HTMLElement} root @param {Control[]} controls @param {Record<string, any>} values @param {Element | null} held
 */
export function showValues(root, controls, values, held) {
  for (const c of controls) {
    const row = root.querySelector(`[data-row="${c.name}"]`);
    row.toggleAttribute("hidden", Boolean(c.only) && values[c.only[0]] !== c.only[1]);
    for (const input of row.querySelectorAll("input,select")) showValue(input, c, values[c.name], input === held);
  }
}

function showValue(/** @type {any} */ input, /** @type {Control} */ c, /** @type {any} */ value, /** @type {boolean} */ held) {
  const shown = c.kind === "choice" ? value : shownOf(c, value);
  if (input.type === "range") setAttribute(input, "aria-valuetext", spoken(c, shown));
  if (held) return;
  const text = String(c.kind === "choice" ? value : input.type === "range" ? positionOf(c, shown) : (shown ?? ""));
  if (input.value !== text) input.value = text;
}

/** What the user's input means, or undefined while a number is half typed. @param {any} input @param {Control} c @returns {any} */
export function valueOf(input, c) {
  if (c.kind === "choice") return input.value;
  if (input.type === "range") return innerOf(c, shownAt(c, Number(input.value)));
  if (input.value === "") return c.nullable && !input.validity?.badInput ? null : undefined;
  return innerOf(c, Number(input.value));
}
