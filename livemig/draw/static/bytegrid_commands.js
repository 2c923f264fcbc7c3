// The list of commands that the byte grid's tables come from, pure: HTML out, what was typed in.

import { esc } from "./words.js";

/** @typedef {{name: string, fields: Record<string, string>}} Command values as text: 52-bit numbers are not rounded on their way */
/** @typedef {{name: string, letter: string, hi: number, lo: number, shift: number, meaning: string}} FormField */
/** @typedef {Record<string, {purpose: string, fields: FormField[]}>} Forms */
/** @typedef {{ok: boolean, text: string, pages: number[]}} Outcome */

const START = { valid: "1", size: "4", pintid: "8192", itt_address: "0x41000000" };

/** "8", "0x08" -> "8"; an address field keeps hexadecimal. null = no number. @param {string} text @param {boolean} address @returns {string | null} */
export function parseValue(text, address) {
  const trimmed = text.trim().toLowerCase();
  if (!/^(0x[0-9a-f]+|[0-9]+)$/.test(trimmed) || trimmed.length > 40) return null;
  const value = BigInt(trimmed);
  return address ? `0x${value.toString(16)}` : value.toString();
}

/** Another command in the place of one: fields of the same name keep their value. @param {Forms} forms @param {string} name @param {Record<string, string>} [old] @returns {Command} */
export const commandOf = (forms, name, old = {}) => ({
  name,
  fields: Object.fromEntries(forms[name].fields.map((f) => [f.name, old[f.name] ?? START[f.name] ?? "0"])),
});

/** A list with one command moved, put in or taken out; the old list stays. @param {Command[]} list @param {number} from @param {number} to */
export function moveCommand(list, from, to) {
  if (to < 0 || to >= list.length) return list;
  const moved = [...list];
  moved.splice(to, 0, ...moved.splice(from, 1));
  return moved;
}

const words = (/** @type {string} */ name) => name.replace("_", " ").replace("pintid", "LPI").replace("icid", "ICID").replace("rdbase2", "to VCPU").replace("rdbase", "VCPU").replace("device id", "device").replace("event id", "event").replace("itt address", "ITT");

/** @param {Command[]} commands @param {Forms} forms @param {string} uid @returns {string} items of an ordered list */
export const commandsHtml = (commands, forms, uid) => commands.map((one, i) => itemHtml(one, i, commands.length, forms, uid)).join("");

function itemHtml(/** @type {Command} */ one, /** @type {number} */ i, /** @type {number} */ count, /** @type {Forms} */ forms, /** @type {string} */ uid) {
  const form = forms[one.name];
  const names = Object.keys(forms).map((name) => `<option${name === one.name ? " selected" : ""}>${name}</option>`).join("");
  const unknown = form ? "" : `<option selected>${esc(one.name)}</option>`;
  const fields = (form?.fields ?? []).map((f) => {
    const id = `${uid}c${i}-${f.name}`;
    const width = f.shift ? 11 : f.hi === f.lo ? 2 : f.hi - f.lo < 6 ? 3 : 5;
    const hint = `${f.meaning}; bits ${f.hi === f.lo ? f.hi : `${f.hi}:${f.lo}`} of the command`;
    return `<span class="bg-f"><label for="${id}" title="${esc(hint)}">${esc(words(f.name))}</label><input id="${id}" type="text" inputmode="text" autocomplete="off" spellcheck="false" data-field="${f.name}" title="${esc(hint)}" style="width:calc(${width}ch + 12px)" value="${esc(one.fields[f.name] ?? "0")}"></span>`;
  }).join("");
  const button = (/** @type {string} */ act, /** @type {string} */ label, /** @type {string} */ sign, /** @type {boolean} */ off) =>
    `<button data-act="${act}" aria-label="${label}" title="${label}"${off ? " disabled" : ""}>${sign}</button>`;
  return (
    `<li data-i="${i}"><div class="bg-cmd"><select data-el="name" aria-label="Command ${i + 1}" title="${esc(form?.purpose ?? "")}">${unknown}${names}</select><span class="bg-in">${fields}</span>` +
    `<span class="bg-acts">${button("up", `Move command ${i + 1} up`, "↑", i === 0)}${button("down", `Move command ${i + 1} down`, "↓", i === count - 1)}` +
    `${button("remove", `Remove command ${i + 1}`, "×", false)}</span></div><p class="bg-out"></p></li>`
  );
}

const pagesOf = (/** @type {number[]} */ pages) => (pages.length ? ` Marks dirty: ${pages.map((p) => `0x${p.toString(16)}`).join(", ")}.` : "");

/** What became of one command. @param {Outcome | undefined} outcome @returns {{text: string, ok: boolean}} */
export function outcomeWords(outcome) {
  if (!outcome) return { text: "", ok: true };
  const sentence = outcome.text.charAt(0).toUpperCase() + outcome.text.slice(1);
  if (outcome.ok) return { text: pagesOf(outcome.pages).trim(), ok: true };
  return { text: `✕ ${sentence}.${pagesOf(outcome.pages)}`, ok: false };
}

/** What became of the saves, a sentence each. @param {({op: string} & Outcome)[]} saves @param {(page: number) => string} name of the table there */
export const savesWords = (saves, name) =>
  saves.map(({ op, ok, text, pages }) => {
    const marked = pages.map((p) => `0x${p.toString(16)}${name(p) ? ` (${name(p)})` : ""}`).join(", ");
    return `${op.toUpperCase()}: ${ok ? text : `✕ ${text}`}; ${pages.length ? `${pages.length} page${pages.length === 1 ? "" : "s"} marked dirty: ${marked}` : "no page marked dirty"}.`;
  }).join(" ");

/** @param {Outcome[]} outcomes @returns {string} "7 commands, 2 dropped" */
export function summary(outcomes) {
  const bad = outcomes.filter((one) => !one.ok).length;
  return `${outcomes.length} command${outcomes.length === 1 ? "" : "s"}${bad ? `, ${bad} without effect` : ""}`;
}
