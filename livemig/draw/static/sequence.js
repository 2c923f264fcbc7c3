// The document's sequence diagram as SVG text: four lifelines, loop and alt frames, notes, activation bars that nest like
// the call stack. Past is solid, now is inverted ink, future is dashed. Pure, given a text measurer.

import { text } from "./svg.js";
import { valueAt } from "./scene.js";
import { bytes, esc, plain } from "./words.js";

/** @typedef {import("./scene.js").Run} Run */
/** @typedef {{key: string, from: number, to: number, text: string, short?: string, mark?: string, call?: boolean, level?: number}} Message */
/** @typedef {{width: number, q: number, row: number, measure: (text: string, size: number, weight?: number) => number}} Style */

const [USER, THREAD, VM, ITS] = [0, 1, 2, 3];
const LIFELINES = [
  { name: "User", colour: "var(--ink)", tint: "" },
  { name: "Migration thread", colour: "var(--send)", tint: "var(--send-t)" },
  { name: "VM", colour: "var(--run)", tint: "var(--run-t)" },
  { name: "ITS", colour: "var(--its)", tint: "var(--its-t)" },
];
const LAST_WORDS = { completed: "migration completed", cancelled: "migration cancelled", failed: "migration failed" };

/** QEMU 7.2's migration_completion calls vm_stop_force_state itself; these two frames came later. */
const NEWER = ["complp", "stopvm"];

/** @param {Run} run @returns {(Message | {key: string, from?: undefined})[]} rows from the top; those without `from` are frames and notes */
function diagramRows(run) {
  const seven = run.version.startsWith("7");
  const self = (/** @type {string} */ key, /** @type {string} */ words, more = {}) => ({ key, from: THREAD, to: THREAD, text: words, ...more });
  const rest = run.passes.find((p) => p.final)?.todo;
  const size = rest ? `, ${bytes(rest)}` : "";
  const vm = (/** @type {string} */ key, /** @type {string} */ words) => ({ key, from: VM, to: VM, text: words, call: true });
  const rows = [
    { key: "migrate", from: USER, to: THREAD, text: "migrate", mark: "T0" }, { key: "start" }, { key: "loop" },
    self("iter", "migration_iteration_run()", { mark: "T1…Tn", call: true }), self("pend", "pending: estimate, then exact", { short: "pending: estimate, exact" }),
    { key: "alt" }, self("send", "send dirty pages"), { key: "else" },
    self("conv", "converged: get ready to stop", { mark: "Tn+1" }), { key: "end" },
    self("compl", "migration_completion()", { call: true }), self("complp", "migration_completion_precopy()", { call: true }),
    self("stopvm", "migration_stop_vm()", { mark: "Tn+2", call: true }),
    { key: "vsfs", from: THREAD, to: VM, text: "vm_stop_force_state()", mark: seven ? "Tn+2" : undefined },
    vm("vs", "vm_stop()"), vm("dvs", "do_vm_stop()"), vm("vsn", "vm_state_notify()"),
    { key: "hand", from: VM, to: ITS, text: "vm_change_state_handler()" }, { key: "save" }, { key: "ret" },
    self("final", `send the last dirty pages${size}`, { short: `send the last${size}`, mark: "Tn+3" }), self("dev", "send device state"),
    self("done", LAST_WORDS[run.outcome.status] ?? "end of the run", { mark: run.ok ? "Tn+4" : undefined }),
  ];
  return rows.filter((r) => !seven || !NEWER.includes(r.key));
}

/** Activation bars: lifeline, level, first row, last row. @param {Run} run @returns {[number, number, string, string][]} */
function barsOf(run) {
  const seven = run.version.startsWith("7");
  const completion = seven ? ["compl"] : ["compl", "complp"];
  return [
    [THREAD, 0, "migrate", "done"], [THREAD, 1, "iter", "dev"],
    ...completion.map((key, i) => /** @type {[number, number, string, string]} */ ([THREAD, 2 + i, key, "dev"])),
    ...(seven ? [] : [/** @type {[number, number, string, string]} */ ([THREAD, 4, "stopvm", "ret"])]),
    [VM, 0, "vsfs", "ret"], [VM, 1, "vs", "ret"], [VM, 2, "dvs", "ret"], [VM, 3, "vsn", "ret"], [ITS, 0, "hand", "ret"],
  ];
}

/** Heights of the rows and frames. @param {ReturnType<typeof diagramRows>} rows @param {number} row @param {number} start */
function places(rows, row, start) {
  const before = { start: 1.02, loop: 0.62, alt: 0.5, else: 0.55, end: 0.55, save: 1.15, ret: 0.75 };
  const after = { loop: 0.55, alt: 0.62, else: 0.55, end: 0.4, save: 0.35 };
  /** @type {Record<string, number>} */
  const y = {};
  let at = start;
  for (const { key } of rows) {
    at += row * (before[key] ?? 1);
    y[key] = at;
    at += row * (after[key] ?? 0);
  }
  y.foot = at + row * 0.9;
  return y;
}

/**
 * @param {Run} run @param {number} i step at the cursor @param {Style} style
 * @returns {{svg: string, parts: string[], height: number, label: string}} the picture whole, and in parts
 */
export function sequenceSvg(run, i, style) {
  const { q, width } = style;
  const rows = diagramRows(run);
  const gutter = 53 * q;
  const x = lifelinePlaces(style, gutter);
  const now = run.steps[i].row;
  const state = (/** @type {string} */ key) => (key === now ? "now" : (run.seen[key] ?? Infinity) <= i ? "past" : "future");
  const pen = { run, i, rows, bars: barsOf(run), x, y: places(rows, style.row * q, 34 * q), now, state, gutter, q, size: 12 * q, bar: 8 * q, nest: 5 * q, style };
  const body = [frames(pen), lifelines(pen), activations(pen), returns(pen)];
  const texts = [frameWords(pen)];
  for (const row of rows) if (row.from !== undefined) messages(pen, /** @type {Message} */ (row), body, texts);
  texts.push(...notes(pen));
  const parts = [...body, ...texts];
  return { svg: parts.join(""), parts, height: pen.y.foot, label: `Sequence diagram with four lifelines. Now: ${plain(run.steps[i].text)}` };
}

/** User, thread, VM, ITS; the VM leaves room for the name of the handler's call. @returns {number[]} */
function lifelinePlaces(/** @type {Style} */ { q, width, measure }, /** @type {number} */ gutter) {
  const its = width - 27 * q;
  const thread = gutter + Math.max(102 * q, (width - gutter) * 0.185);
  const room = measure("vm_change_state_handler()", 12 * q) + 32 * q;
  return [gutter + 4 * q, thread, Math.max(thread + 110 * q, Math.min(gutter + (width - gutter) * 0.588, its - room)), its];
}

/** @typedef {Record<string, any>} Pen what every part needs: run, rows, bars, places x and y, sizes, state of a row */

const leftOf = (/** @type {Pen} */ pen, /** @type {number} */ life, /** @type {number} */ level) => pen.x[life] - pen.bar / 2 + level * pen.nest;

/** The level on which a message of this lifeline ends: its own bar, or the innermost one that spans its row. */
function levelOf(/** @type {Pen} */ pen, /** @type {string} */ key, /** @type {number} */ life) {
  const own = pen.bars.find((b) => b[2] === key && b[0] === life);
  if (own) return own[1];
  const at = pen.y[key];
  const spanning = pen.bars.filter((b) => b[0] === life && pen.y[b[2]] <= at && at <= pen.y[b[3]] + 1);
  return spanning.length ? spanning[spanning.length - 1][1] : 0;
}

const insideLoop = (/** @type {string} */ row) => ["iter", "pend", "send", "conv"].includes(row);

/** The frames' words, above the lifelines: what the loop is at, and the two conditions, with the number where it has room. @param {Pen} pen */
function frameWords({ run, y, x, q, size, now, i, style }) {
  const t = run.steps[i].t;
  const number = run.passes.filter((/** @type {any} */ p) => !p.final && p.a <= t + 1e-9).length || 1;
  const of = insideLoop(now) ? `pass ${number} of ${run.loopPasses}` : `${run.loopPasses} pass${run.loopPasses === 1 ? "" : "es"}`;
  const room = x[VM] - 6 * q - (x[THREAD] + 16 * q);
  const loop = [`pre-copy while active: ${of}`, `while active: ${of}`].find((words) => style.measure(words, size) < room) ?? of;
  const limit = valueAt(run.threshold, t);
  const mute = `font-size="${size}" class="mute halo"`;
  const at = x[THREAD] + 22 * q;
  const full = limit === null ? "threshold" : `threshold, ${bytes(limit)}`;
  const name = at + style.measure(`[ pending ≥ ${full} ]`, size) < x[VM] - 6 * q ? full : "threshold";
  return [
    text(x[THREAD] + 16 * q, y.loop + 12.5 * q, loop, "start", mute),
    text(at, y.alt + 12.5 * q, `[ pending ≥ ${name} ]`, "start", mute), text(at, y.else + 13.5 * q, `[ pending < ${name} ]`, "start", mute),
  ].join("");
}

/** The loop and its two branches; inside it the frame turns ink and the taken branch gets the well. @param {Pen} pen */
function frames(pen) {
  const { y, x, q, now } = pen;
  const left = x[THREAD] - 48 * q;
  const wide = x[VM] + 82 * q - left;
  const inside = insideLoop(now);
  const rect = (/** @type {number} */ px, /** @type {number} */ a, /** @type {number} */ w, /** @type {number} */ b, /** @type {string} */ more) =>
    `<rect x="${px}" y="${a}" width="${w}" height="${b - a}" ${more}/>`;
  const branch = now === "send" ? ["alt", "else"] : now === "conv" ? ["else", "end"] : null;
  return [
    rect(left - 8 * q, y.loop, wide + 16 * q, y.end + 7 * q, `fill="none" stroke="var(--${inside ? "ink" : "edge"})" stroke-width="${(inside ? 1.6 : 1) * q}"`),
    tab(pen, left - 8 * q, y.loop, "loop"),
    branch ? rect(left, y[branch[0]], wide, y[branch[1]], 'fill="var(--well)"') : "",
    rect(left, y.alt, wide, y.end, `fill="none" stroke="var(--edge)" stroke-width="${q}"`), tab(pen, left, y.alt, "alt"),
    `<path d="M${left} ${y.else}h${wide}" stroke="var(--edge)" stroke-dasharray="${5 * q} ${3 * q}"/>`,
  ].join("");
}

function tab(/** @type {Pen} */ { q, size, style }, /** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ s) {
  const w = style.measure(s, size, 650) + 14 * q;
  return (
    `<path d="M${x} ${y}h${w}v${10 * q}l${-6 * q} ${7 * q}h${-w + 6 * q}Z" fill="var(--well)" stroke="var(--edge)"/>` +
    text(x + 5 * q, y + 12.5 * q, s, "start", `font-size="${size}" font-weight="650"`)
  );
}

/** VM: thick while it runs, dotted after do_vm_stop. @param {Pen} pen */
function lifelines({ run, x, y, q, size, state, style }) {
  const top = 34 * q;
  const foot = y.foot - 4 * q;
  const stops = run.stopS !== null;
  return LIFELINES.map(({ name, colour }, life) => {
    const w = style.measure(name, size, 650) + 18 * q;
    const ends = life === VM && stops ? y.dvs : foot;
    const dash = `stroke-dasharray="${3 * q} ${3 * q}"`;
    let out = `<path d="M${x[life]} ${top}V${ends}" stroke="${life === VM ? colour : "var(--edge)"}" stroke-width="${(life === VM ? 3 : 1) * q}" ${life === VM ? "" : dash}/>`;
    if (ends < foot) {
      out += `<path d="M${x[life]} ${ends}V${foot}" stroke="var(--${state("dvs") === "future" ? "edge" : "ink"})" stroke-width="${q}" stroke-dasharray="${1.5 * q} ${4 * q}"/>`;
    }
    out += `<rect x="${x[life] - w / 2}" y="${8 * q}" width="${w}" height="${22 * q}" fill="var(--paper)" stroke="${colour}" stroke-width="${1.5 * q}"/>`;
    return out + text(x[life], 23 * q, name, "middle", `font-size="${size}" font-weight="650"`);
  }).join("");
}

/** Tint = on the stack, solid = innermost frame, paper = returned, dotted = still to come. @param {Pen} pen */
function activations(pen) {
  const { bars, y, q, now, state, bar } = pen;
  const here = y[now] ?? 0;
  const reached = (/** @type {string} */ key) => state(key) !== "future";
  const foot = (/** @type {number} */ life, /** @type {number} */ level, /** @type {string} */ last) =>
    last !== "ret" ? y[last] + 8 * q : y.ret + (life === THREAD ? 3 * q : life === VM ? (level - 1) * q : 0);
  const open = bars.filter(([life, level, a, b]) => reached(a) && y[a] <= here + 1 && here <= foot(life, level, b) + 1);
  const inner = open[open.length - 1];
  return bars
    .map((item) => {
      const [life, level, first, last] = item;
      const { colour, tint } = LIFELINES[life];
      const a = y[first] - (life === THREAD && level === 0 ? 0 : 2 * q);
      const b = foot(life, level, last);
      const px = leftOf(pen, life, level);
      const on = open.includes(item);
      const stroke = reached(first) ? colour : "var(--edge)";
      const dash = reached(first) && !on ? "" : `stroke-dasharray="${2 * q} ${2 * q}"`;
      const outline = `<rect x="${px}" y="${a}" width="${bar}" height="${b - a}" fill="var(--paper)" stroke="${stroke}" stroke-width="${q}" ${dash}/>`;
      if (!on) return outline;
      const end = Math.max(a + 6 * q, Math.min(b, here + 3 * q));
      return `${outline}<rect x="${px}" y="${a}" width="${bar}" height="${end - a}" fill="${item === inner ? colour : tint}" stroke="${colour}" stroke-width="${q}"/>`;
    })
    .join("");
}

/** Line style of past, now and future. */
const lineOf = (/** @type {string} */ state, /** @type {number} */ q) => ({
  ink: state === "future" ? "var(--edge)" : "var(--ink)",
  width: { now: 2.2, past: 1.3, future: 1 }[state] * q,
  dash: state === "future" ? `stroke-dasharray="${4 * q} ${3 * q}"` : "",
});

const head = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ way, /** @type {string} */ colour, /** @type {number} */ q) =>
  `<path d="M${x} ${y}l${-way * 7 * q} ${-3.6 * q}v${7.2 * q}Z" fill="${colour}"/>`;

/** The triangle in the gutter finds the current row without colour. */
const pointer = (/** @type {Pen} */ { gutter, q }, /** @type {number} */ y) =>
  `<path class="pointer" d="M${gutter - 9 * q} ${y - 5 * q}l${8 * q} ${5 * q}l${-8 * q} ${5 * q}Z" fill="var(--ink)"/>`;

/** A message's words; those of now are a pill. @returns {string} */
function words(/** @type {Pen} */ { size, q, style }, /** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ s, /** @type {string} */ anchor, /** @type {string} */ state) {
  const w = style.measure(s, size, 650);
  const left = anchor === "end" ? x - w : anchor === "middle" ? x - w / 2 : x;
  const pill = `<rect x="${left - 5 * q}" y="${y - 12.5 * q}" width="${w + 10 * q}" height="${17 * q}" rx="${2 * q}" fill="var(--ink)"/>`;
  return (state === "now" ? pill : "") + text(x, y, s, anchor, `font-size="${size}" class="sq ${state}"`);
}

/** One arrow with its words and its mark. @param {Pen} pen @param {Message} m @param {string[]} body @param {string[]} texts */
function messages(pen, m, body, texts) {
  const { q, y, x, bar, state, gutter, size } = pen;
  const at = y[m.key];
  const now = state(m.key);
  const { ink, width, dash } = lineOf(now, q);
  if (m.from === m.to) {
    const level = levelOf(pen, m.key, m.from);
    const out = leftOf(pen, m.from, m.call ? Math.max(0, level - 1) : level) + bar;
    const back = leftOf(pen, m.from, level) + bar;
    const edge = Math.max(out, back) + 11 * q;
    body.push(`<path d="M${out} ${at - 7 * q}H${edge}V${at}H${back + 5 * q}" fill="none" stroke="${ink}" stroke-width="${width}" ${dash}/>`, head(back, at, -1, ink, q));
    const crosses = m.from === THREAD && edge + 5 * q + pen.style.measure(m.text, size, 650) > x[VM] - 6 * q;
    texts.push(words(pen, edge + 5 * q, at + q, (crosses && m.short) || m.text, "start", now));
  } else {
    const start = m.from === USER ? x[USER] : leftOf(pen, m.from, callerLevel(pen, m)) + bar;
    const end = leftOf(pen, m.to, 0);
    body.push(`<path d="M${start} ${at}H${end - 5 * q}" fill="none" stroke="${ink}" stroke-width="${width}" ${dash}/>`, head(end, at, 1, ink, q));
    texts.push(m.to === ITS ? words(pen, end - 7 * q, at - 5 * q, m.text, "end", now) : words(pen, (start + end - 4 * q) / 2, at - 5 * q, m.text, "middle", now));
  }
  if (m.mark) texts.push(text(gutter - 13 * q, at + 4 * q, m.mark, "end", `font-size="${size}" font-weight="${now === "future" ? 400 : 650}" class="sq ${now === "future" ? "future" : "past"}"`));
  if (now === "now") texts.push(pointer(pen, at));
}

const callerLevel = (/** @type {Pen} */ pen, /** @type {Message} */ m) =>
  Math.max(0, ...pen.bars.filter((b) => b[0] === m.from && pen.y[b[2]] < pen.y[m.key] && pen.y[m.key] < pen.y[b[3]]).map((b) => b[1]));

/** The dashed way back from the handlers. @param {Pen} pen */
function returns(pen) {
  const { y, x, q, bar, state, run } = pen;
  const now = state("ret");
  const { ink, width } = lineOf(now, q);
  const seven = run.version.startsWith("7");
  const ends = [leftOf(pen, VM, 3) + bar, leftOf(pen, THREAD, seven ? 2 : 4) + bar];
  const at = y.ret;
  const out = `<path d="M${x[ITS] - bar / 2} ${at}H${ends[0] + 5 * q}M${leftOf(pen, VM, 0)} ${at + 3 * q}H${ends[1] + 5 * q}" stroke="${ink}" stroke-width="${width}" stroke-dasharray="${6 * q} ${3 * q}" fill="none"/>`;
  return out + head(ends[0], at, -1, ink, q) + head(ends[1], at + 3 * q, -1, ink, q);
}

/** The document's notes, with a cut corner. @param {Pen} pen @returns {string[]} */
function notes(pen) {
  const { run, x, y, q, state } = pen;
  const quiet = (/** @type {string} */ key) => (state(key) === "now" ? "past" : state(key));
  const stopped = run.seen.dvs <= pen.i ? "past" : "future";
  const free = wordsEnd(pen, "send") + 8 * q;
  const out = [
    note(pen, x[THREAD] + 52 * q, y.start, "thread starts; the VM runs on", "var(--edge)", state("start")),
    note(pen, x[VM] + 4 * q, y.send + 2 * q, fitting(pen, ["VM runs, dirties pages", "VM dirties pages", "VM runs"], free), "var(--run)", quiet("send"), free),
    note(pen, x[ITS] - 44 * q, y.save, "tables → guest RAM", "var(--its)", state("save")),
    note(pen, x[VM] - 62 * q, y.vsn, "VM stopped", "var(--ink)", stopped),
    words(pen, (x[THREAD] + x[VM]) / 2 + 10 * q, y.ret - 2.5 * q, "return", "middle", state("ret")),
  ];
  for (const key of ["start", "save", "ret"]) if (state(key) === "now") out.push(pointer(pen, y[key]));
  return out;
}

/** Where the words of a message of the thread to itself end. @returns {number} */
function wordsEnd(/** @type {Pen} */ pen, /** @type {string} */ key) {
  const message = pen.rows.find((/** @type {any} */ r) => r.key === key);
  const start = leftOf(pen, THREAD, levelOf(pen, key, THREAD)) + pen.bar + 16 * pen.q;
  return start + pen.style.measure(message.text, pen.size, 650);
}

const noteWidth = (/** @type {Pen} */ { size, q, style }, /** @type {string} */ s) => style.measure(s, size, 650) + 16 * q;

/** The first wording that has room right of `left`; the last one if none has. @param {Pen} pen @param {string[]} variants @param {number} left */
const fitting = (pen, variants, left) => variants.find((s) => left + noteWidth(pen, s) < pen.style.width) ?? variants[variants.length - 1];

function note(/** @type {Pen} */ pen, /** @type {number} */ centre, /** @type {number} */ y, /** @type {string} */ s, /** @type {string} */ colour, /** @type {string} */ state, least = 0) {
  const { q, size, style } = pen;
  const w = noteWidth(pen, s);
  const x = Math.min(Math.max(centre - w / 2, least), style.width - w - 1);
  const h = 19 * q;
  const dash = state === "future" ? `stroke-dasharray="${3 * q} ${2 * q}"` : "";
  return (
    `<path d="M${x} ${y - h / 2}h${w - 6 * q}l${6 * q} ${6 * q}v${h - 6 * q}h${-w}Z" fill="var(--${state === "now" ? "ink" : "paper"})" ` +
    `stroke="${state === "future" ? "var(--edge)" : colour}" stroke-width="${1.2 * q}" ${dash}/>` +
    text(x + 7 * q, y + 4.2 * q, s, "start", `font-size="${size}" class="sq ${state}"`)
  );
}

/** The call stack in words (HTML list items) and what is known about its innermost frame. @param {Run} run @param {number} i */
export function stackWords(run, i) {
  const { stack, derived } = run.steps[i];
  const inner = stack[stack.length - 1] ?? "";
  const how = derived ? "the recording has no calls: these frames are QEMU’s source, not observed" : "";
  return {
    items: stack.map((f) => `<li>${esc(f)}</li>`).join(""),
    file: [inner ? run.files[inner] : "no function is on the stack", how].filter(Boolean).join(" · "),
  };
}
