// The byte grid's picture, pure: which rows, which bits belong to which field, where `next` leads, what differs, in words.

import { fieldOf, littleEndian } from "./itsbytes.js";
import { esc } from "./words.js";

/** @typedef {{name: string, letter: string, hi: number, lo: number, shift: number, meaning: string}} Field */
/** @typedef {{size_bytes: number, source?: string, fields: Field[]}} Layout */
/** @typedef {{name: string, layout: string, base: number, place?: number, entry_bytes: number, fill?: string, more?: number, entries: [number, string][]}} Table */
/** @typedef {{index: number, address: number, hex: string, there: string | null}} Row there: the bytes it is compared with, null = none */

const COLOURS = { valid: "f0", next: "f1", itt_address: "f2", l2_address: "f2", pintid: "f2", rdbase: "f2" };
/** As the stage paints fields. @param {Field | undefined} f @returns {string} */
export const fieldColour = (f) => (f ? `var(--${COLOURS[f.name] ?? "f3"})` : "var(--rule)");

const KINDS = { DTE: "Device", ITE: "Event", CTE: "Place", "L1 entry": "Index", "LPI pending": "Byte", "LPI configuration": "LPI" };
/** What an entry's number is called. @param {string} layout */
export const kindOf = (layout) => KINDS[layout.replace("emulated ", "")] ?? "Index";

export const hexAddress = (/** @type {number | bigint} */ n) => `0x${n.toString(16)}`;
export const placeOf = (/** @type {Table} */ table) => table.place ?? table.base;
/** @param {Table} table @returns {string} where it lies and what it holds */
export const scopeOf = (table) => `at ${hexAddress(placeOf(table))}, ${table.entry_bytes}-byte ${/entry$/.test(table.layout) ? table.layout.replace(/entry$/, "entries") : `${table.layout}${/[Ea]$/.test(table.layout) ? "s" : " bits"}`}`;
const blank = (/** @type {Table} */ table) => (table.fill ?? "00").repeat(table.entry_bytes);

/** The table at the same address in another set. @param {Table} table @param {Table[]} others @returns {Table | undefined} */
export const partnerOf = (table, others) => others.find((one) => placeOf(one) === placeOf(table));

/** Rows of a table; an entry that only one side has is `fill` on the other. @param {Table} table @param {Table | undefined} partner @returns {Row[]} */
export function rowsOf(table, partner) {
  const here = new Map(table.entries);
  const there = new Map(partner?.entries ?? []);
  const indices = [...new Set([...here.keys(), ...there.keys()])].sort((a, b) => a - b);
  return indices.map((index) => ({
    index,
    address: table.base + index * table.entry_bytes,
    hex: here.get(index) ?? blank(table),
    there: partner ? (there.get(index) ?? blank(partner)) : null,
  }));
}

export const byteOf = (/** @type {string} */ hex, /** @type {number} */ b) => hex.slice(2 * b, 2 * b + 2);
export const byteDiffers = (/** @type {Row} */ row, /** @type {number} */ b) => row.there !== null && byteOf(row.there, b) !== byteOf(row.hex, b);

/** @param {Table[]} tables @param {Table[]} others @returns {{differ: number, of: number}} bytes */
export function countDifferences(tables, others) {
  let [differ, of] = [0, 0];
  for (const table of tables) {
    const partner = partnerOf(table, others);
    if (!partner) continue;
    for (const row of rowsOf(table, partner)) {
      for (let b = 0; b < table.entry_bytes; b += 1) {
        of += 1;
        if (byteDiffers(row, b)) differ += 1;
      }
    }
  }
  return { differ, of };
}

/** @param {Layout} layout @param {number} bit @returns {Field | undefined} */
export const fieldAt = (layout, bit) => layout.fields.find((f) => f.lo <= bit && bit <= f.hi);

/** The fields that have a bit in byte b, highest first. @param {Layout} layout @param {number} b @returns {Field[]} */
export const fieldsInByte = (layout, b) => layout.fields.filter((f) => f.lo < 8 * b + 8 && f.hi >= 8 * b).sort((x, y) => y.hi - x.hi);

/** The bytes that hold a bit of a field: [first, last]. @param {Field} f @returns {[number, number]} */
export const bytesOf = (f) => [Math.floor(f.lo / 8), Math.floor(f.hi / 8)];

/** The rule under a byte: its eight bits, highest first, hard stops. @param {Layout} layout @param {number} b @returns {string} CSS */
export function ruleOf(layout, b) {
  const stops = Array.from({ length: 8 }, (_, i) => `${fieldColour(fieldAt(layout, b * 8 + 7 - i))} ${i * 12.5}% ${(i + 1) * 12.5}%`);
  return `linear-gradient(to right,${stops.join(",")})`;
}

const bitsOf = (/** @type {Field} */ f) => (f.hi === f.lo ? `[${f.hi}]` : `[${f.hi}:${f.lo}]`);
const shown = (/** @type {Field} */ f, /** @type {bigint} */ value) => (f.shift || value > 0xffffn ? hexAddress(value) : String(value));

/** A bit of a pending table in words: what LPI it is. */
const lpiOf = (/** @type {string} */ layout, /** @type {Field} */ f, /** @type {number} */ index) => (layout === "LPI pending" ? `LPI ${8 * index + f.lo}: ` : "");

/**
 * Each field of an entry: bits, value, sentence.
 * @param {string} name of the layout @param {Layout} layout @param {Row} row
 * @returns {{field: Field, bits: string, value: string, there: string, text: string}[]} there: "" unless it differs
 */
export function partsOf(name, layout, row) {
  const here = littleEndian(row.hex);
  const there = row.there === null ? here : littleEndian(row.there);
  return layout.fields.map((field) => {
    const value = fieldOf(here, field);
    const other = fieldOf(there, field);
    const leads = field.name === "next" && value ? `; here ${row.index} + ${value} = ${BigInt(row.index) + value}` : "";
    return {
      field, bits: bitsOf(field), value: shown(field, value), there: other === value ? "" : shown(field, other),
      text: `${lpiOf(name, field, row.index)}${field.meaning}${leads}`,
    };
  });
}

/** The short last column. @param {string} name of the layout @param {Layout} layout @param {Row} row @returns {string} */
export function aboutOf(name, layout, row) {
  const value = littleEndian(row.hex);
  const get = (/** @type {string} */ field) => {
    const f = layout.fields.find((one) => one.name === field);
    return f ? fieldOf(value, f) : null;
  };
  if (name === "LPI pending") {
    const lpis = [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (value >> BigInt(bit)) & 1n).map((bit) => 8 * row.index + bit);
    return lpis.length ? `LPI ${lpis.join(", ")}` : "none";
  }
  const valid = get("valid");
  if (get("pintid") !== null) return (valid ?? get("pintid")) ? `LPI ${get("pintid")}` : "no mapping";
  if (get("rdbase") !== null) return valid ? (get("rdbase") === 0xffffffffn ? "no VCPU" : `VCPU ${get("rdbase")}`) : name === "CTE" ? "end of the list" : "no mapping";
  if (!valid) return "not valid";
  if (get("size") !== null) return `${get("size") + 1n} EventID bit${get("size") ? "s" : ""}`;
  return "";
}

/**
 * Where each `next` leads. to: the row it leads to, null = no such row (or the last). step 0 = the last.
 * @param {Layout} layout @param {Row[]} rows @returns {{from: number, to: number | null, step: number, target: number, text: string}[]}
 */
export function hopsOf(layout, rows) {
  const next = layout.fields.find((f) => f.name === "next");
  const live = layout.fields.find((f) => f.name === "valid") ?? layout.fields.find((f) => f.name === "pintid");
  if (!next || !live) return [];
  const rowAt = new Map(rows.map((row, i) => [row.index, i]));
  return rows.flatMap((row, from) => {
    const value = littleEndian(row.hex);
    if (!fieldOf(value, live)) return [];
    const step = Number(fieldOf(value, next));
    const target = row.index + step;
    const to = step ? (rowAt.get(target) ?? null) : null;
    const text = step === 0 ? "last" : to === null ? `+${step} → ${target}, not in this table` : `+${step} → ${target}`;
    return [{ from, to, step, target, text }];
  });
}

/** Lanes for arcs that would overlap: the nth free one from the right. @param {{from: number, to: number | null}[]} hops @returns {number[]} */
export function lanesOf(hops) {
  /** @type {number[]} row where each lane becomes free */
  const free = [];
  return hops.map((hop) => {
    const end = hop.to ?? hop.from;
    let lane = free.findIndex((row) => row <= hop.from);
    if (lane < 0) lane = free.length;
    free[lane] = end;
    return lane;
  });
}

/**
 * The hops as arcs with arrow heads, beside the rows. @param {number[]} middles y of each row @param {{from: number, to: number | null, step: number}[]} hops
 * @param {{width: number, q: number, selected: number}} style @returns {string} SVG
 */
export function hopsSvg(middles, hops, { width, q, selected }) {
  const lanes = lanesOf(hops);
  const right = width - 2 * q;
  return hops.map((hop, i) => {
    const y = middles[hop.from];
    const strong = hop.from === selected || hop.to === selected ? " strong" : "";
    if (hop.step === 0) return `<path class="hop${strong}" d="M${right} ${y + 4 * q}h${-7 * q}m0 ${-3 * q}v${6 * q}"/>`;
    const x = Math.max(4 * q, right - (11 + 6 * lanes[i]) * q);
    if (hop.to === null) return `<path class="hop lost${strong}" d="M${right} ${y + 2 * q}H${x}V${y + 11 * q}"/><path class="hop${strong}" d="M${x - 3 * q} ${y + 8 * q}l${6 * q} ${6 * q}m0 ${-6 * q}l${-6 * q} ${6 * q}"/>`;
    const end = middles[hop.to] - 3 * q;
    return `<path class="hop${strong}" d="M${right} ${y + 2 * q}H${x}V${end}H${right - 3 * q}"/><path class="head${strong}" d="M${right} ${end}l${-5 * q} ${-3 * q}v${6 * q}Z"/>`;
  }).join("");
}

/** The table that an entry points to (a level 2 page, an ITT). @param {Table[]} tables @param {Layout} layout @param {string} hex @returns {Table | null} */
export function targetOf(tables, layout, hex) {
  const value = littleEndian(hex);
  const valid = layout.fields.find((f) => f.name === "valid");
  const field = layout.fields.find((f) => f.name === "l2_address" || f.name === "itt_address");
  if (!field || (valid && !fieldOf(value, valid))) return null;
  const address = Number(fieldOf(value, field));
  return tables.find((one) => placeOf(one) === address) ?? null;
}

/** A byte in words, for screen readers and on hover. @param {Layout} layout @param {string} name @param {Row} row @param {number} b @param {string} label whose the other bytes are */
export function byteWords(layout, name, row, b, label) {
  const parts = partsOf(name, layout, row);
  const told = fieldsInByte(layout, b).map((f) => {
    const part = parts.find((one) => one.field === f);
    return `${f.name} ${part?.bits} = ${part?.value}${part?.there ? ` ≠ ${part.there}` : ""}`;
  });
  const differs = byteDiffers(row, b) ? ` ≠ ${byteOf(row.there ?? "", b)} in ${label}` : "";
  return `${hexAddress(row.address + b)}: ${byteOf(row.hex, b)}${differs}, bits ${8 * b + 7}:${8 * b}; ${told.join("; ") || "reserved"}`;
}

/** A table of entries (HTML, role grid). @param {Table} table @param {Layout} layout @param {Row[]} rows @param {string} label */
export function gridHtml(table, layout, rows, label) {
  const kind = kindOf(table.layout);
  const hops = new Map(hopsOf(layout, rows).map((hop) => [hop.from, hop.text]));
  const hasNext = layout.fields.some((f) => f.name === "next");
  const body = rows.map((row, i) => {
    const cells = Array.from({ length: layout.size_bytes }, (_, b) => cellHtml(layout, table.layout, row, i, b, label)).join("");
    const next = hasNext ? `<td class="mute">${esc(hops.get(i) ?? "")}</td>` : "";
    return `<tr data-row="${i}"><th scope="row">${row.index}</th><td class="mono mute">${hexAddress(row.address)}</td>${cells}${next}<td class="mute">${esc(aboutOf(table.layout, layout, row))}</td></tr>`;
  });
  const more = table.more ? `<p class="lm-note">${table.more} more entries are not shown.</p>` : "";
  return (
    `<table class="lm-hex bg-hex" role="grid" aria-label="${esc(table.name)}"><thead><tr><th scope="col">${kind}</th><th scope="col">Guest address</th>` +
    `<th scope="colgroup" colspan="${layout.size_bytes}">Bytes in RAM, lowest first</th>${hasNext ? '<th scope="col">next</th>' : ""}<th scope="col">Means</th></tr></thead>` +
    `<tbody>${body.join("")}</tbody></table>${more}`
  );
}

function cellHtml(/** @type {Layout} */ layout, /** @type {string} */ name, /** @type {Row} */ row, /** @type {number} */ i, /** @type {number} */ b, /** @type {string} */ label) {
  const words = esc(byteWords(layout, name, row, b, label));
  const differs = byteDiffers(row, b);
  const text = byteOf(row.hex, b) + (differs ? `≠${byteOf(row.there ?? "", b)}` : "");
  return `<td class="bg-b${differs ? " differs" : ""}" data-row="${i}" data-b="${b}" tabindex="-1" aria-label="${words}" title="${words}"><i style="background-image:${ruleOf(layout, b)}">${text}</i></td>`;
}

/**
 * The entry bit by bit, 32 a row, highest first, on a CSS grid of 32 columns: bits, below them each field's rule and letter.
 * @param {Layout} layout @param {Row} row @returns {string} HTML
 */
export function bitsHtml(layout, row) {
  const value = littleEndian(row.hex);
  const other = row.there === null ? value : littleEndian(row.there);
  const bits = layout.size_bytes * 8;
  const columns = Math.min(32, bits);
  let out = "";
  for (let high = bits - 1; high >= 0; high -= columns) {
    const low = Math.max(0, high - columns + 1);
    for (const f of layout.fields) out += pieceHtml(f, high, low);
    for (let bit = high; bit >= low; bit -= 1) {
      const field = fieldAt(layout, bit);
      const digit = (value >> BigInt(bit)) & 1n;
      const differs = ((other >> BigInt(bit)) & 1n) !== digit ? " differs" : "";
      out += `<b class="${field ? "" : "reserved"}${differs}" style="grid-column:${high - bit + 1};grid-row:2" data-field="${field?.name ?? ""}">${digit}</b>`;
    }
    out = `${out}\n`;
  }
  return out.trim().split("\n").map((line) => `<div class="bg-bits" style="grid-template-columns:repeat(${columns},minmax(0,1fr))">${line}</div>`).join("");
}

/** A field's part of one row of bits: numbers above, rule and letter below. */
function pieceHtml(/** @type {Field} */ f, /** @type {number} */ high, /** @type {number} */ low) {
  const [hi, lo] = [Math.min(f.hi, high), Math.max(f.lo, low)];
  if (hi < lo) return "";
  const span = `grid-column:${high - hi + 1}/${high - lo + 2}`;
  return (
    `<small class="mute" style="${span};grid-row:1">${hi === lo ? hi : `${hi}:${lo}`}</small>` +
    `<span class="rule" style="${span};grid-row:3;background:${fieldColour(f)}"></span><em style="${span};grid-row:4">${esc(f.letter)}</em>`
  );
}

/** The fields as options of a listbox (HTML). @param {string} name @param {Layout} layout @param {Row} row @param {string} uid */
export function optionsHtml(name, layout, row, uid) {
  return partsOf(name, layout, row).map(({ field, bits, value, there, text }) =>
    `<li role="option" id="${uid}f-${field.name}" data-field="${field.name}" aria-selected="false"><span class="tag" style="border-color:${fieldColour(field)}">${esc(field.letter)}</span>` +
    `<span>${esc(field.name)} <span class="mute">${bits}</span></span><span class="num${there ? " differs" : ""}">${value}${there ? ` ≠ ${there}` : ""}</span><span>${esc(text)}</span></li>`).join("");
}
