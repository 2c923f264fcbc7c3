import assert from "node:assert/strict";
import { test } from "node:test";

import { innerOf, positionOf, shownAt, shownOf, valueOf } from "../../livemig/draw/static/controls.js";
import { bitsSvg, entriesHtml, fieldOf, fieldsHtml, littleEndian, tablesAt, tablesNote } from "../../livemig/draw/static/itsbytes.js";
import { actionOf, keepsKey } from "../../livemig/draw/static/keys.js";
import { Mailbox } from "../../livemig/draw/static/mailbox.js";
import { advance, moved, toMark, toMoment, toStep } from "../../livemig/draw/static/player.js";
import { runOf } from "../../livemig/draw/static/scene.js";
import { stateSentence, tableHtml } from "../../livemig/draw/static/tableview.js";
import { unpack } from "../../livemig/draw/static/wire.js";
import { bytes, comparison, duration, esc, exactSeconds, outcomeSentence, plain } from "../../livemig/draw/static/words.js";
import { DTE, cancelled, converging, measure, table } from "./traces.js";

const run = runOf(converging());
const focus = (tag, type = "", scrubber = false) => ({ tag, type, scrubber });

test("numbers in words", () => {
  assert.deepEqual([0, 512, 4096, 65536, 1048576, 20447232, 402792448, 3 * 2 ** 40].map(bytes),
    ["0 B", "512 B", "4 KiB", "64 KiB", "1 MiB", "19.5 MiB", "384 MiB", "3 TiB"]);
  assert.deepEqual([0, 0.00012, 0.0009999, 0.0015, 0.3, 0.9999, 5.214].map(duration),
    ["0 ms", "120 µs", "1 ms", "1.5 ms", "300 ms", "1.00 s", "5.21 s"]);
  assert.equal(exactSeconds(5.21016), "5.210\u202f160 s");
  assert.equal(plain(`<b>a</b> ${esc('<"&>')}`), 'a <"&>');
});

test("the outcome in a sentence; what the destination lost is said first", () => {
  assert.equal(plain(outcomeSentence(run)), "Completed in 2.01 s, VM stopped for 10 ms, 12 MiB sent, 3 bitmap syncs");
  assert.equal(plain(outcomeSentence(runOf(cancelled()))), "Cancelled after 5.00 s, VM never stopped, 1 bitmap sync");
  const trace = converging();
  trace.meta.its = { report: { lost: [[8, 0, 8192, 0, 0]], stale: [], wrong: [[[8, 1], [8, 1]]] } };
  assert.match(plain(outcomeSentence(runOf(trace))), /^ITS mappings at the destination: 1 lost, 1 wrong\. Completed/);
});

test("two runs compared in exact differences, or told apart", () => {
  const other = converging();
  other.meta.outcome = { ...other.meta.outcome, total_time_s: 1.5, downtime_s: 0.0125, dirty_sync_count: 3 };
  assert.equal(plain(comparison(run, runOf(other)).replace(/<\/span>/g, " ")).trim(),
    "This run minus literal x1: total +0.510 s stopped −2.5 ms sent ±0.00 MiB bitmap syncs ±0");
  assert.match(plain(comparison(run, runOf(cancelled()))), /Beside literal: Cancelled after/);
});

test("the present moment in a line, the run as a table", () => {
  const i = run.steps.findIndex((s) => s.row === "save");
  assert.equal(plain(stateSentence(run, { t: 2.002, i })),
    "Tn+2 at 2.002\u202f000 s. SAVE_TABLES: the ITS tables are written into guest RAM; those pages are dirty now. VM stopped; pending 3 MiB, threshold 4 MiB.");
  assert.match(plain(stateSentence(run, { t: 0, i: 0 })), /pending not counted yet, threshold not known yet/);
  const rows = [...tableHtml(run).matchAll(/<th scope="row">([^<]+)<\/th><td>[^<]*<\/td><td>([^<]*)<\/td><td>([^<]*)</g)].map((m) => m.slice(1, 4));
  assert.deepEqual(rows, [["T0", "1 ms", ""], ["T1", "2.00 s", "8 MiB"], ["Tn+1", "0 ms", ""], ["Tn+2", "3 ms", ""], ["Tn+3", "7 ms", "3 MiB"], ["Tn+4", "0 ms", ""]]);
});

test("text of a trace cannot become markup", () => {
  const trace = converging();
  trace.events.push([2.02, "fault", "vm", "<img src=x>", 0, { text: "<script>x" }]);
  trace.meta.outcome.status = "<i>";
  const bad = runOf(trace);
  assert.ok(!bad.steps.some((s) => /<(script|img)/.test(s.text)));
  assert.ok(!outcomeSentence(bad).includes("<i>"));
});

test("bytes lie lowest first; fields come from the layout", () => {
  const value = littleEndian("04e0ff0900001080");
  assert.equal(value, 0x8010000009ffe004n);
  assert.deepEqual(DTE.fields.map((f) => fieldOf(value, f)), [1n, 8n, 0x4fff0000n, 4n]); // as livemig.its.layout.DTE decodes it
  const { svg } = bitsSvg(DTE, "04e0ff0900001080", true, { width: 640, q: 1, measure });
  const digits = [...svg.matchAll(/class="code">([01])</g)].map((m) => m[1]).join("");
  assert.equal(BigInt(`0b${digits}`), value);
  assert.match(plain(fieldsHtml(DTE, 8, "04e0ff0900001080", true)), /0x4fff0000.*/);
  assert.match(fieldsHtml(DTE, 8, "04e0ff0900001080", true), /here 8 \+ 8 = 16/);
});

test("before the save the bytes are dots, after the restore a byte that differs shows both values", () => {
  const before = tablesAt(run, 2);
  assert.equal(before.live, false);
  assert.ok(!entriesHtml(before, 0, 0, { DTE }).includes("e0"));
  const after = tablesAt(run, 2.01);
  const html = entriesHtml(after, 0, 0, { DTE });
  assert.match(html, /differs">80≠00</);
  assert.equal((html.match(/differs/g) ?? []).length, 1);
  assert.match(tablesNote(run, after, 2.01), /1 byte differs|1 byte differ/);
  assert.match(tablesNote(run, before, 1), /KVM/);
});

test("pending tables have no fields: bytes, and the LPIs whose bits are set", () => {
  const pending = { name: "pending_vcpu0", layout: "LPI pending", base: 0x41080000, entry_bytes: 1, entries: [[1024, "18"], [8191, "80"]] };
  const html = entriesHtml({ tables: [pending], live: true, there: null }, 0, 0, { DTE });
  assert.match(html, /0x41080400.*LPI 8195, 8196.*0x41081fff.*LPI 65535/); // KVM's recording k02
});

test("QEMU's downtime of 0 ms is less than one", () => {
  const trace = converging();
  trace.meta.outcome.downtime_s = 0;
  assert.match(plain(outcomeSentence(runOf(trace))), /VM stopped for less than 1 ms/);
});

test("a table that is sent again unchanged is sent once", () => {
  const packed = {
    meta: { id: "p" }, heads: [["its", "its", "SAVE_TABLES", 0], ["mark", "user", "T0", 0]], steps_us: [0, 1500000, 250], head: [1, 0, 0],
    data: { 1: { tables: [0] }, 2: { tables: [0, 1] } }, pool: [table("00"), table("01")],
  };
  const trace = unpack(packed);
  assert.deepEqual(trace.events.map((r) => [r[0], r[1], r[3]]), [[0, "mark", "T0"], [1.5, "its", "SAVE_TABLES"], [1.50025, "its", "SAVE_TABLES"]]);
  assert.deepEqual(trace.events[2][5].tables, [table("00"), table("01")]);
});

const RATE = { name: "r", label: "R", kind: "number", unit: "MiB/s", scale: 1048576, low: 0, high: 512 };
const RAM = { name: "m", label: "M", kind: "number", unit: "MiB", scale: 1048576, low: 64, high: 65536, grain: 4096, whole: true };

test("sliders: both ends exact, 0 has its stop, the way back is stable", () => {
  assert.deepEqual([shownAt(RATE, 0), shownAt(RATE, 1000), shownAt(RAM, 0), shownAt(RAM, 1000)], [0, 512, 64, 65536]);
  for (const c of [RATE, RAM]) {
    for (let p = 0; p <= 1000; p += 1) {
      const shown = shownAt(c, p);
      assert.ok(shown >= c.low && shown <= c.high);
      assert.ok(Math.abs(positionOf(c, shown) - p) <= (c.whole ? 6 : 2), `${p} -> ${shown} -> ${positionOf(c, shown)}`);
      if (c.whole) assert.equal(innerOf(c, shown) % 4096, 0);
    }
  }
});

test("typed values: as they are, empty where no limit is allowed, half typed is nothing", () => {
  assert.equal(valueOf({ type: "number", value: "20" }, RATE), 20971520);
  assert.equal(valueOf({ type: "number", value: "" }, RATE), undefined);
  assert.equal(valueOf({ type: "number", value: "", validity: { badInput: false } }, { ...RATE, nullable: true }), null);
  assert.equal(valueOf({ type: "number", value: "", validity: { badInput: true } }, { ...RATE, nullable: true }), undefined);
  assert.equal(valueOf({ type: "number", value: "0.001" }, { ...RATE, grain: 1 }), 1049);
  assert.equal(shownOf(RATE, null), null);
});

test("one message in flight, the newest wins, others' answers change nothing", () => {
  const sent = [];
  let now = 0;
  const box = new Mailbox((id, inputs) => sent.push([id, inputs]), "v", () => now);
  box.post({ a: 1 });
  box.post({ a: 2 });
  box.post({ b: 5 });
  box.post({ a: 3 });
  assert.deepEqual(sent, [["v-1", { a: 1 }]]);
  box.answered("other-1");
  assert.equal(sent.length, 1);
  box.answered("v-1");
  assert.deepEqual(sent[1], ["v-2", { a: 3, b: 5 }]);
  box.answered("v-2");
  assert.equal(sent.length, 2);
  assert.equal(box.flying, "");
  box.post({ a: 4 });
  now = 20000; // the kernel was restarted: the answer never comes
  box.post({ a: 5 });
  assert.deepEqual(sent.at(-1), ["v-4", { a: 5 }]);
});

test("keys: what they do, and to whom they are left", () => {
  const svg = focus("SECTION");
  assert.equal(actionOf(" ", false, svg), "play");
  assert.equal(actionOf("ArrowRight", false, svg), "next");
  assert.equal(actionOf("ArrowRight", true, svg), "nextPass");
  assert.equal(actionOf("PageUp", false, svg), "previous");
  assert.equal(actionOf("Home", false, focus("INPUT", "range", true)), "first");
  assert.equal(actionOf("ArrowLeft", false, focus("INPUT", "range", true)), "previous");
  assert.equal(actionOf("ArrowLeft", false, focus("INPUT", "range")), null); // a slider keeps its arrows
  assert.equal(actionOf(" ", false, focus("BUTTON")), null);
  assert.equal(actionOf("5", false, svg), "preset5");
  assert.equal(actionOf("0", false, svg), null);
  assert.equal(actionOf("5", false, focus("INPUT", "number")), null);
  assert.equal(actionOf(".", false, focus("INPUT", "number")), null);
  const plainKey = { ctrlKey: false, metaKey: false, altKey: false };
  assert.equal(keepsKey({ ...plainKey, key: "x" }), true); // JupyterLab would cut the cell
  assert.equal(keepsKey({ ...plainKey, key: "Tab" }), false);
  assert.equal(keepsKey({ ...plainKey, key: "s", ctrlKey: true }), false);
});

test("playing: real time before the lens, 9 s inside it, evenly on even steps", () => {
  const before = advance(run, { t: 1, i: 9 }, 0.5, "time");
  assert.equal(before.t, 1.5);
  assert.ok(Math.abs(advance(run, { t: 1.9, i: 9 }, 5, "time").t - run.lens.a) < 1e-12); // stops at its edge
  let cursor = { t: run.lens.a, i: 9 };
  let seconds = 0;
  while (cursor.t < 2.01 && seconds < 20) {
    cursor = advance(run, cursor, 0.05, "time");
    seconds += 0.05;
  }
  assert.ok(seconds > 7 && seconds < 9.1, `${seconds} s`);
  assert.equal(advance(run, { t: 0, i: 0 }, 1, "step").i, 12);
});

test("by pass, by moment, and onto another run", () => {
  assert.equal(toMark(run, { t: 1, i: 7 }, 1).t, 2);
  assert.equal(toMark(run, { t: 1, i: 7 }, -1).t, 0.001);
  assert.equal(run.steps[toMoment(run, 2.002).i].row, "save"); // the first of those that share the time
  assert.equal(run.steps[toMoment(run, 2.0020004).i].row, "save"); // rounded to a microsecond
  const last = toStep(run, Infinity);
  assert.deepEqual(last, { t: 2.01, i: run.steps.length - 1 });
  const there = runOf(cancelled());
  assert.equal(moved(run, last, there).i, there.steps.length - 1);
  assert.equal(moved(run, toMoment(run, 2.002), run).i, toMoment(run, 2.002).i);
  assert.equal(moved(run, { t: 0.5, i: 6 }, there).t, 0.5);
});
