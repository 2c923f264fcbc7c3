import assert from "node:assert/strict";
import { test } from "node:test";

import { aboutOf, bitsHtml, bytesOf, byteWords, countDifferences, fieldColour, fieldsInByte, gridHtml, hopsOf, hopsSvg, lanesOf, optionsHtml, partsOf, rowsOf, ruleOf, scopeOf, targetOf } from "../../livemig/draw/static/bytegrid_cells.js";
import { commandOf, commandsHtml, moveCommand, outcomeWords, parseValue, savesWords, summary } from "../../livemig/draw/static/bytegrid_commands.js";
import { fieldsHtml } from "../../livemig/draw/static/itsbytes.js";
import { plain } from "../../livemig/draw/static/words.js";

const field = (name, letter, hi, lo, shift = 0) => ({ name, letter, hi, lo, shift, meaning: `what ${name} means` });
const DTE = { size_bytes: 8, fields: [field("valid", "V", 63, 63), field("next", "n", 62, 49), field("itt_address", "a", 48, 5, 8), field("size", "s", 4, 0)] };
const ITE = { size_bytes: 8, fields: [field("next", "n", 63, 48), field("pintid", "p", 47, 16), field("icid", "c", 15, 0)] };
const CTE = { size_bytes: 8, fields: [field("valid", "V", 63, 63), field("rdbase", "r", 51, 16), field("icid", "c", 15, 0)] };
const EMULATED = { size_bytes: 12, fields: [field("valid", "V", 0, 0), field("physical", "t", 1, 1), field("pintid", "p", 25, 2), field("icid", "c", 47, 32), field("vpeid", "v", 63, 48), field("doorbell", "d", 95, 64)] };
const PENDING = { size_bytes: 1, fields: [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => field(`bit${bit}`, String(bit), bit, bit)) };
// Written by Linux: data/its/roundtrip-small.json.
const devices = { name: "Device table", layout: "DTE", base: 0x40100000, entry_bytes: 8, entries: [[1, "0300200800003e9f"], [4000, "2400200800000080"]] };
const events = { name: "Events of device 4000", layout: "ITE", base: 0x41000100, entry_bytes: 8, entries: [[2, "0300092000001d00"], [31, "0100082000000000"]] };

test("rows lie at their addresses; what only one side has is fill on the other", () => {
  const other = { ...devices, fill: "a5", entries: [[4000, "2400200800000081"], [4001, "0100000000000080"]] };
  assert.deepEqual(rowsOf(devices, other).map((r) => [r.index, r.address, r.hex, r.there]), [
    [1, 0x40100008, "0300200800003e9f", "a5a5a5a5a5a5a5a5"],
    [4000, 0x40107d00, "2400200800000080", "2400200800000081"],
    [4001, 0x40107d08, "0000000000000000", "0100000000000080"],
  ]);
  assert.equal(rowsOf(devices, undefined)[0].there, null);
  assert.deepEqual(countDifferences([devices], [other]), { differ: 8 + 1 + 2, of: 24 });
  assert.deepEqual(countDifferences([devices], [events]), { differ: 0, of: 0 }, "tables at other addresses are not compared");
  const second = { ...devices, place: 0x40110000, base: 0x40100000 };
  assert.deepEqual(countDifferences([second], [devices]), { differ: 0, of: 0 }, "a level 2 page is told by its place");
});

test("each bit belongs to the field of the layout", () => {
  assert.deepEqual(fieldsInByte(DTE, 7).map((f) => f.name), ["valid", "next"]);
  assert.deepEqual(fieldsInByte(DTE, 6).map((f) => f.name), ["next", "itt_address"]);
  assert.deepEqual(fieldsInByte(DTE, 0).map((f) => f.name), ["itt_address", "size"]);
  assert.deepEqual(fieldsInByte(CTE, 7).map((f) => f.name), ["valid"]);
  assert.deepEqual(DTE.fields.map(bytesOf), [[7, 7], [6, 7], [0, 6], [0, 0]]);
  const stops = ruleOf(DTE, 7).match(/var\(--\w+\)/g);
  assert.deepEqual(stops, ["var(--f0)", ...Array(7).fill("var(--f1)")], "the highest bit first");
  assert.deepEqual(ruleOf(CTE, 7).match(/var\(--\w+\)/g), ["var(--f0)", ...Array(7).fill("var(--rule)")], "reserved bits are grey");
});

test("fields have the colours of the stage", () => {
  for (const layout of [DTE, ITE, CTE]) {
    const stage = [...fieldsHtml(layout, 0, "00".repeat(8), true).matchAll(/border-color:(var\(--\w+\))/g)].map((m) => m[1]);
    assert.deepEqual(layout.fields.map(fieldColour), stage);
  }
});

test("field values, the hop in words, and both values where they differ", () => {
  const [row] = rowsOf(devices, { ...devices, entries: [[1, "0300200800003e1f"], [4000, "2400200800000080"]] });
  assert.deepEqual(partsOf("DTE", DTE, row).map((p) => [p.bits, p.value, p.there]), [
    ["[63]", "1", "0"], ["[62:49]", "3999", ""], ["[48:5]", "0x41000000", ""], ["[4:0]", "3", ""]]);
  assert.match(partsOf("DTE", DTE, row)[1].text, /here 1 \+ 3999 = 4000$/);
  assert.equal(byteWords(DTE, "DTE", row, 7, "the destination"), "0x4010000f: 9f ≠ 1f in the destination, bits 63:56; valid [63] = 1 ≠ 0; next [62:49] = 3999");
  assert.match(optionsHtml("DTE", DTE, row, "u"), /class="num differs">1 ≠ 0</);
  assert.equal(aboutOf("DTE", DTE, row), "4 EventID bits");
  assert.deepEqual(rowsOf(events).map((r) => aboutOf("ITE", ITE, r)), ["LPI 8201", "LPI 8200"]);
  const about = (hex) => aboutOf("CTE", CTE, { index: 0, address: 0, hex, there: null });
  assert.deepEqual(["0300010000000080", "0100ffffffff0080", "0000000000000000"].map(about), ["VCPU 1", "no VCPU", "end of the list"]);
});

test("a byte of a pending table names its LPIs", () => {
  const row = { index: 1024, address: 0x40510400, hex: "82", there: null };
  assert.equal(aboutOf("LPI pending", PENDING, row), "LPI 8193, 8199");
  assert.match(partsOf("LPI pending", PENDING, row)[6].text, /^LPI 8193: /);
});

test("the 96 bits of an emulated ITE: three rows of 32, every bit once", () => {
  const row = { index: 0, address: 0x41000000, hex: "0380000000000000ff030000", there: null };
  assert.deepEqual(partsOf("emulated ITE", EMULATED, row).map((p) => p.value), ["1", "1", "8192", "0", "0", "1023"]);
  const html = bitsHtml(EMULATED, row);
  assert.equal(html.split('class="bg-bits"').length - 1, 3);
  const digits = [...html.matchAll(/data-field="\w*">([01])</g)].map((m) => m[1]).join("");
  assert.equal(digits.length, 96);
  assert.equal(BigInt(`0b${digits}`), 0x3ff_00000000_00008003n);
});

test("next leads from row to row, to the end, or to nothing", () => {
  const rows = rowsOf({ ...devices, entries: [...devices.entries, [4005, "2400200800000880"]] });
  assert.deepEqual(hopsOf(DTE, rows).map((h) => [h.from, h.to, h.step, h.text]), [
    [0, 1, 3999, "+3999 → 4000"], [1, null, 0, "last"], [2, null, 4, "+4 → 4009, not in this table"]]);
  assert.deepEqual(hopsOf(CTE, rows), [], "a layout without next has no hops");
  assert.deepEqual(hopsOf(ITE, rowsOf({ ...events, entries: [[2, "0000000000000100"]] })), [], "an empty entry is no place to hop from");
});

test("arcs: neighbours share a lane, one that jumps over others gets its own", () => {
  assert.deepEqual(lanesOf([{ from: 0, to: 1 }, { from: 1, to: 2 }, { from: 2, to: null }]), [0, 0, 0]);
  assert.deepEqual(lanesOf([{ from: 0, to: 3 }, { from: 1, to: 2 }, { from: 3, to: 4 }]), [0, 1, 0]);
  const svg = hopsSvg([10, 30, 50], [{ from: 0, to: 2, step: 5 }, { from: 2, to: null, step: 0 }], { width: 34, q: 1, selected: 0 });
  assert.match(svg, /M32 12H21V47H29/, "out below the middle of row 0, in above the middle of row 2");
  assert.equal(svg.match(/strong/g).length, 2, "arc and head of the chosen row");
});

test("an entry points to the table at its address, if it is valid", () => {
  const table = { ...events, place: 0x41000100 };
  assert.equal(targetOf([devices, table], DTE, "2400200800000080"), table);
  assert.equal(targetOf([devices, table], DTE, "2400200800000000"), null);
  assert.equal(targetOf([devices, table], ITE, "0300092000001d00"), null);
  assert.equal(scopeOf({ ...devices, layout: "L1 entry" }), "at 0x40100000, 8-byte L1 entries");
  assert.equal(scopeOf(devices), "at 0x40100000, 8-byte DTEs");
});

test("the grid is one row an entry, a cell a byte, ≠ with both values", () => {
  const rows = rowsOf(events, { ...events, entries: [[2, "0300092000001d00"], [31, "0200082000000000"]] });
  const html = gridHtml(events, ITE, rows, "the destination");
  assert.equal((html.match(/<tr data-row/g) ?? []).length, 2);
  assert.equal((html.match(/class="bg-b/g) ?? []).length, 16);
  assert.deepEqual([...html.matchAll(/bg-b differs"[^>]*><i[^>]*>([^<]*)</g)].map((m) => m[1]), ["01≠02"]);
  assert.match(gridHtml({ ...events, name: "<b>" }, ITE, rows, "x"), /aria-label="&lt;b&gt;"/);
});

const forms = {
  MAPD: { purpose: "map a device", fields: [field("device_id", "d", 63, 32), field("size", "s", 68, 64), field("itt_address", "a", 179, 136, 8), field("valid", "V", 191, 191)] },
  MAPTI: { purpose: "map an event", fields: [field("device_id", "d", 63, 32), field("event_id", "e", 95, 64), field("pintid", "p", 127, 96), field("icid", "c", 143, 128)] },
};

test("numbers as people type them; what is none stays unsent", () => {
  assert.deepEqual(["8", " 0x10 ", "010", "0X1F"].map((t) => parseValue(t, false)), ["8", "16", "10", "31"]);
  assert.equal(parseValue("1090519040", true), "0x41000000");
  assert.deepEqual(["", "x", "-1", "1.5", "0x", "1e3", "9".repeat(60)].map((t) => parseValue(t, false)), Array(7).fill(null));
  assert.equal(parseValue("0xfffffffffff00", true), "0xfffffffffff00", "52 bits are not rounded");
});

test("another command keeps the values of fields of the same name", () => {
  assert.deepEqual(commandOf(forms, "MAPD", { device_id: "7", icid: "1" }).fields, { device_id: "7", size: "4", itt_address: "0x41000000", valid: "1" });
  const list = ["a", "b", "c"];
  assert.deepEqual([moveCommand(list, 0, 2), moveCommand(list, 2, 1), moveCommand(list, 0, -1), moveCommand(list, 2, 3)], [["b", "c", "a"], ["a", "c", "b"], list, list]);
});

test("every input has a label, every button a name; text cannot become markup", () => {
  const html = commandsHtml([commandOf(forms, "MAPTI"), { name: "<b>", fields: {} }], forms, "u");
  const ids = [...html.matchAll(/<input id="([^"]+)"/g)].map((m) => m[1]);
  assert.equal(ids.length, 4);
  assert.deepEqual([...html.matchAll(/<label for="([^"]+)"/g)].map((m) => m[1]), ids);
  assert.equal((html.match(/<button[^>]*aria-label="(Move|Remove) command/g) ?? []).length, 6);
  assert.ok(!html.includes("<b>"));
});

test("what became of commands and saves", () => {
  assert.deepEqual(outcomeWords({ ok: true, text: "done", pages: [] }), { text: "", ok: true });
  assert.deepEqual(outcomeWords({ ok: true, text: "done", pages: [0x40100000] }), { text: "Marks dirty: 0x40100000.", ok: true });
  assert.deepEqual(outcomeWords({ ok: false, text: "dropped: no", pages: [] }), { text: "✕ Dropped: no.", ok: false });
  assert.equal(savesWords([{ op: "save_tables", ok: true, text: "written", pages: [0x40100000] }], () => "Device table"),
    "SAVE_TABLES: written; 1 page marked dirty: 0x40100000 (Device table).");
  assert.equal(summary([{ ok: true }, { ok: false }]), "2 commands, 1 without effect");
  assert.equal(plain("<b>x</b>"), "x");
});
