// ITS table bytes: the entries as they lie in guest RAM, one entry bit by bit, its fields in words. The layouts come from
// livemig.its.layout; nothing about a field is known here but its colour. Pure: HTML and SVG text out.

import { saveAt } from "./scene.js";
import { text } from "./svg.js";
import { esc } from "./words.js";

/** @typedef {import("./scene.js").Run} Run */
/** @typedef {{name: string, letter: string, hi: number, lo: number, shift: number, meaning: string}} Field */
/** @typedef {{size_bytes: number, fields: Field[]}} Layout */
/** @typedef {{name: string, layout: string, base: number, entry_bytes: number, entries: [number, string][]}} Table */
/** @typedef {{tables: Table[], live: boolean, there: Table[] | null}} Shown there: the destination's bytes once restored */

const COLOUR = { valid: "f0", next: "f1", itt_address: "f2", l2_address: "f2", pintid: "f2", rdbase: "f2" };
const colour = (/** @type {Field | undefined} */ f) => (f ? `var(--${COLOUR[f.name] ?? "f3"})` : "var(--rule)");
const INDEX = { DTE: "Device", ITE: "Event", CTE: "Place" };
const LAST = { Device: "PCI", Event: "Interrupt", Place: "Target" };
const PENDING = "LPI pending";
const INDEX_OF = (/** @type {string} */ layout) => INDEX[layout.replace("emulated ", "")] ?? "Index";

/** What the panel shows at t. @param {Run} run @param {number} t @returns {Shown} */
export function tablesAt(run, t) {
  const save = saveAt(run, t);
  const restored = run.restored && run.restored.t <= t + 1e-7 ? run.restored : null;
  const shown = save ?? run.saves[0] ?? run.restored;
  return { tables: shown?.tables ?? [], live: save !== null, there: save ? (restored?.tables ?? null) : null };
}

/** The bytes as one number, lowest byte first. @param {string} hex @returns {bigint} */
export function littleEndian(hex) {
  let value = 0n;
  for (let i = hex.length - 2; i >= 0; i -= 2) value = (value << 8n) | BigInt(parseInt(hex.slice(i, i + 2), 16));
  return value;
}

/** @param {bigint} value @param {Field} f @returns {bigint} the decoded value, addresses in place */
export const fieldOf = (value, f) => ((value >> BigInt(f.lo)) & ((1n << BigInt(f.hi - f.lo + 1)) - 1n)) << BigInt(f.shift);

const decoded = (/** @type {Layout} */ layout, /** @type {string} */ hex, /** @type {string} */ name) => {
  const field = layout.fields.find((f) => f.name === name);
  return field ? Number(fieldOf(littleEndian(hex), field)) : null;
};

/** A table without a known layout (pending bits: one for each LPI) shows its bytes only. @returns {Layout} */
export const layoutOf = (/** @type {Record<string, Layout>} */ layouts, /** @type {Table} */ table) =>
  layouts[table.layout] ?? { size_bytes: (table.entries[0]?.[1].length ?? 16) / 2, fields: [] };

/** The LPIs whose bits are set in byte `index` of a pending table. @returns {string} */
function pendingLpis(/** @type {number} */ index, /** @type {string} */ hex) {
  const byte = parseInt(hex, 16);
  const lpis = [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => index * 8 + bit);
  return lpis.length ? `LPI ${lpis.join(", ")}` : "";
}

/** The short last column: what the entry is about. */
function about(/** @type {Table} */ table, /** @type {Layout} */ layout, /** @type {number} */ id, /** @type {string} */ hex, /** @type {boolean} */ live) {
  if (INDEX_OF(table.layout) === "Device") return `${(id >> 8).toString(16).padStart(2, "0")}:${((id >> 3) & 31).toString(16).padStart(2, "0")}.${id & 7}`;
  if (!live) return "";
  if (table.layout === PENDING) return pendingLpis(id, hex);
  const lpi = decoded(layout, hex, "pintid");
  if (lpi !== null) return lpi ? `LPI ${lpi}` : "no mapping";
  const valid = decoded(layout, hex, "valid");
  const target = decoded(layout, hex, "rdbase");
  return target !== null && valid ? `vCPU ${target}` : valid ? "" : "end of the list";
}

/**
 * The table of entries (HTML). A byte that differs at the destination gets a frame and ≠ with both values.
 * @param {Shown} shown @param {number} index of the table @param {number} selected entry @param {Record<string, Layout>} layouts
 */
export function entriesHtml(shown, index, selected, layouts) {
  const table = shown.tables[index];
  const layout = layoutOf(layouts, table);
  const kind = INDEX_OF(table.layout);
  const other = new Map((shown.there?.find((t) => t.name === table.name)?.entries ?? []));
  const last = LAST[kind] ?? (table.layout === PENDING ? "Pending" : "");
  const rows = table.entries.map(([id, hex], row) => {
    const there = other.get(id);
    const cells = Array.from({ length: layout.size_bytes }, (_, b) => byteHtml(layout, b, hex, there, shown.live)).join("");
    const address = (table.base + id * table.entry_bytes).toString(16);
    return (
      `<tr class="${row === selected ? "sel" : ""}"><td><button data-row="${row}" aria-pressed="${row === selected}" aria-label="${kind} ${id}">${id}</button></td>` +
      `<td class="mono mute">0x${address}</td><td><span class="by">${cells}</span></td><td class="mute">${about(table, layout, id, hex, shown.live)}</td></tr>`
    );
  });
  return (
    `<thead><tr><th scope="col">${kind}</th><th scope="col">Guest address</th><th scope="col">Bytes in RAM, lowest first</th>` +
    `<th scope="col">${last}</th></tr></thead><tbody>${rows.join("")}</tbody>`
  );
}

function byteHtml(/** @type {Layout} */ layout, /** @type {number} */ b, /** @type {string} */ hex, /** @type {string | undefined} */ there, /** @type {boolean} */ live) {
  const stops = Array.from({ length: 8 }, (_, i) => {
    const bit = b * 8 + 7 - i;
    const field = live ? layout.fields.find((f) => f.lo <= bit && bit <= f.hi) : undefined;
    return `${colour(field)} ${i * 12.5}% ${(i + 1) * 12.5}%`;
  });
  const here = hex.slice(b * 2, b * 2 + 2);
  const differs = live && there !== undefined && there.slice(b * 2, b * 2 + 2) !== here;
  const shown = live ? here + (differs ? `≠${there?.slice(b * 2, b * 2 + 2)}` : "") : "··";
  return `<i style="background-image:linear-gradient(to right,${stops.join(",")})" class="${live ? "" : "mute"}${differs ? "differs" : ""}">${shown}</i>`;
}

/**
 * The selected entry bit by bit, 32 bits a row, highest first.
 * @param {Layout} layout @param {string} hex @param {boolean} live
 * @param {{width: number, q: number, measure: (text: string, size: number, weight?: number) => number}} style
 */
export function bitsSvg(layout, hex, live, { width, q, measure }) {
  const value = littleEndian(hex);
  const top = layout.size_bytes * 8 - 1;
  const rows = Math.ceil(layout.size_bytes / 4);
  const [cell, tall, size] = [width / 32, 19 * q, 12 * q];
  let out = "";
  for (let row = 0; row < rows; row += 1) {
    const y = (16 + row * 54) * q;
    const high = top - row * 32;
    for (let c = 0; c < 32 && high - c >= 0; c += 1) {
      const used = layout.fields.some((f) => f.lo <= high - c && high - c <= f.hi);
      const digit = live ? String((value >> BigInt(high - c)) & 1n) : "·";
      out += `<rect x="${(c * cell + 0.5).toFixed(1)}" y="${y}" width="${(cell - 1).toFixed(1)}" height="${tall}" fill="var(--${used ? "paper" : "well"})" stroke="var(--rule)"/>`;
      out += text((c + 0.5) * cell, y + 14 * q, digit, "middle", `font-size="${size}" class="${live && used ? "code" : "code mute"}"`);
    }
    for (const f of layout.fields) out += fieldRule(f, high, cell, y, tall, q, measure);
  }
  return { svg: out, height: (rows * 54 + 4) * q };
}

/** A field's part in one row of bits: bit numbers above, rule and letter below. */
function fieldRule(/** @type {Field} */ f, /** @type {number} */ high, /** @type {number} */ cell, /** @type {number} */ y, /** @type {number} */ tall, /** @type {number} */ q, /** @type {(text: string, size: number, weight?: number) => number} */ measure) {
  const [hi, lo] = [Math.min(f.hi, high), Math.max(f.lo, high - 31)];
  if (hi < lo) return "";
  const x = (high - hi) * cell;
  const w = (hi - lo + 1) * cell;
  const numbers = hi === lo ? `${hi}` : `${hi}:${lo}`;
  const fits = w > measure(numbers, 11 * q) + 2 || hi === lo;
  return (
    `<rect x="${(x + 1).toFixed(1)}" y="${y + tall + 2 * q}" width="${(w - 2).toFixed(1)}" height="${4 * q}" fill="${colour(f)}"/>` +
    (fits ? text(x + w / 2, y - 4 * q, numbers, "middle", `font-size="${11 * q}" class="mute"`) : "") +
    text(x + w / 2, y + tall + 17 * q, f.letter.toUpperCase(), "middle", `font-size="${11.5 * q}" font-weight="700"`)
  );
}

/** Each field with its value and its meaning (HTML). @param {Layout} layout @param {number} id @param {string} hex @param {boolean} live */
export function fieldsHtml(layout, id, hex, live) {
  const value = littleEndian(hex);
  return layout.fields
    .map((f) => {
      const v = fieldOf(value, f);
      const shown = f.shift ? `0x${v.toString(16)}` : String(v);
      const next = f.name === "next" && v ? `; here ${id} + ${v} = ${BigInt(id) + v}` : "";
      return (
        `<span class="tag" style="border-color:${colour(f)}">${esc(f.letter.toUpperCase())}</span><span>${esc(f.name)}</span>` +
        `<span class="num">${live ? shown : "·"}</span><span class="${live ? "" : "mute"}">${live ? esc(f.meaning + next) : "not written yet"}</span>`
      );
    })
    .join("");
}

const MOMENTS = { stop: "when the VM had stopped", t0: "at T0, while the guest ran on", each_sync: "at a sync, while the guest ran on", pre_save: "in pre_save, after RAM had been sent" };

/** The sentence below. @param {Run} run @param {Shown} shown @param {number} t @returns {string} */
export function tablesNote(run, shown, t) {
  const when = MOMENTS[run.scenario.save_tables_when] ? run.scenario.save_tables_when : "stop";
  const differ = shown.there ? differences(shown) : 0;
  const end = differ ? ` ${differ} byte${differ === 1 ? "" : "s"} differ at the destination (≠).` : shown.there ? " The destination restored exactly these bytes." : "";
  if (shown.live) return `Written at ${(saveAt(run, t)?.t ?? 0).toFixed(6)} s, ${MOMENTS[when]}.${end}`;
  if (!run.saves.length) return notSaved(run);
  return "The kernel (KVM) holds the mappings; these bytes reach guest RAM only when the tables are saved.";
}

function notSaved(/** @type {Run} */ run) {
  if (!run.calls) return "This recording shows no saving of ITS tables.";
  if (run.scenario.save_tables_when === "never") return "This run never writes its ITS tables into guest RAM: the destination finds none.";
  return run.stopS === null ? "The tables reach guest RAM when the VM stops; in this run it never did." : "This run wrote no ITS tables.";
}

/** @param {Shown} shown @returns {number} bytes that differ between source and destination */
function differences(shown) {
  let count = 0;
  for (const table of shown.tables) {
    const other = new Map(shown.there?.find((t) => t.name === table.name)?.entries ?? []);
    for (const [id, hex] of table.entries) {
      const there = other.get(id) ?? hex;
      for (let i = 0; i < hex.length; i += 2) if (hex.slice(i, i + 2) !== there.slice(i, i + 2)) count += 1;
    }
  }
  return count;
}
