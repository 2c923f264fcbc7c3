// The widget: traits in, DOM out. One View per displayed output; drawing is done by the pure modules, this one wires.

import { axisOf } from "./axis.js";
import { controlsHtml, showValues, valueOf } from "./controls.js";
import { ItsPanel, showSvg } from "./itspanel.js";
import { actionOf, keepsKey } from "./keys.js";
import { Mailbox } from "./mailbox.js";
import { ICONS, legendHtml, pageHtml } from "./page.js";
import { advance, atEnd, moved, toMark, toMoment, toStep } from "./player.js";
import { markAt, runOf } from "./scene.js";
import { sequenceSvg, stackWords } from "./sequence.js";
import { stateSentence, tableHtml } from "./tableview.js";
import { timelineName, timelineSvg } from "./timeline.js";
import { comparison, damageList, esc, exactSeconds, outcomeSentence, plain } from "./words.js";
import { unpack } from "./wire.js";

const SAY_MS = 900; // the state line is a live region: while playing it changes at most this often
const SYNC_MS = 250; // the cursor trait follows at rest, and this often while playing
const MARK_MS = 1500; // prefers-reduced-motion: from mark to mark
const PLOT = { s: 150, m: 196, l: 236 };
const ROW = { s: 25, m: 25, l: 29 };
let views = 0;

class View {
  constructor(model, el) {
    views += 1;
    this.model = model;
    this.uid = `lm${Math.random().toString(36).slice(2, 8)}${views}`;
    this.controls = model.get("_controls");
    this.root = document.createElement("section");
    this.root.className = "lm";
    this.root.setAttribute("aria-label", "Live migration stage");
    this.root.tabIndex = -1;
    this.root.innerHTML = pageHtml(this.uid, this.controls.length > 0);
    /** @type {Record<string, any>} */
    this.el = {};
    for (const e of this.root.querySelectorAll("[data-el]")) this.el[e.dataset.el] = e;
    el.append(this.root);
    this.canvas = document.createElement("canvas").getContext("2d");
    this.measure = (text, size, weight = 400) => {
      this.canvas.font = `${weight} ${size}px ${this.font}`;
      return this.canvas.measureText(text).width;
    };
    this.axisKind = "time";
    this.playing = false;
    this.its = new ItsPanel(this.el, model.get("_layouts"));
    this.said = { html: "", at: 0 };
    this.synced = { t: model.get("cursor_s"), at: 0 };
    this.run = runOf(unpack(model.get("_packed")));
    this.pinned = pinnedRun(model.get("_pinned"));
    this.cursor = toMoment(this.run, model.get("cursor_s"));
    this.mailbox = new Mailbox((id, inputs) => model.send({ type: "simulate", id, inputs }), this.uid);
    this.listen();
    this.resizer = new ResizeObserver(() => this.width !== this.root.clientWidth && this.drawAll());
    this.resizer.observe(this.root);
    if (this.el.controls) this.el.controls.innerHTML = controlsHtml(this.controls, this.inputs(), this.uid);
    this.showInputs();
    this.showStatus();
  }

  /** Type scale: 1, or 1.5 for large type. */
  get q() {
    return this.root.hasAttribute("data-large") ? 1.5 : 1;
  }

  /** The pinned run, unless it is the one that is shown. */
  get beside() {
    return this.pinned && this.pinned.steps !== this.run.steps ? this.pinned : null;
  }

  get style() {
    return { q: this.q, measure: this.measure };
  }

  inputs() {
    return Object.fromEntries(this.controls.map((c) => [c.name, this.model.get(c.name)]));
  }

  // -- events ------------------------------------------------------------------------------------------------------
  listen() {
    const { el, model } = this;
    const on = (name, what) => {
      model.on(name, what);
      this.offs = [...(this.offs ?? []), () => model.off(name, what)];
    };
    on("change:_packed", () => this.newTrace());
    on("change:_pinned", () => this.pin(pinnedRun(model.get("_pinned"))));
    on("change:_status", () => this.showStatus());
    on("change:cursor_s", () => this.cursorFromModel());
    for (const c of this.controls) on(`change:${c.name}`, () => this.showInputs());
    el.controls?.addEventListener("input", (e) => this.inputMoved(e.target));
    el.controls?.addEventListener("change", () => this.letGo());
    el.play.onclick = () => (this.playing ? this.stop() : this.play());
    el.previous.onclick = () => this.go(toStep(this.run, this.cursor.i - 1));
    el.next.onclick = () => this.go(toStep(this.run, this.cursor.i + 1));
    el.previousPass.onclick = () => this.go(toMark(this.run, this.cursor, -1));
    el.nextPass.onclick = () => this.go(toMark(this.run, this.cursor, 1));
    el.scrub.addEventListener("input", () => this.scrubbed());
    el.axis.onchange = () => {
      this.axisKind = el.axis.value;
      this.drawAll();
    };
    el.pin.onclick = () => this.pin(this.pinned ? null : { ...this.run, name: "the pinned run" });
    el.large.onclick = () => {
      this.root.toggleAttribute("data-large");
      el.large.setAttribute("aria-pressed", String(this.q > 1));
      this.drawAll();
    };
    el.keys.onclick = () => el.help.showModal();
    el.panels.addEventListener("change", (e) => {
      this.root.querySelector(`.a-${e.target.value}`).hidden = !e.target.checked;
      this.drawAll();
    });
    this.root.addEventListener("keydown", (e) => this.key(e));
    this.root.addEventListener("pointerup", (e) => this.takeFocus(e.target));
  }

  /** A click on the picture must leave the keys with the stage. */
  takeFocus(target) {
    if (target.closest("button,input,select,summary,label,dialog,[tabindex='0']")) return;
    if (!this.root.contains(document.activeElement)) this.root.focus({ preventScroll: true });
  }

  key(e) {
    if (!keepsKey(e)) return;
    e.stopPropagation();
    if (this.el.help.open) return;
    const focus = { tag: e.target.tagName, type: e.target.type ?? "", scrubber: e.target === this.el.scrub };
    const action = actionOf(e.key, e.shiftKey, focus);
    if (!action) return;
    e.preventDefault();
    if (action === "first") this.go(toStep(this.run, 0));
    else if (action === "last") this.go(toStep(this.run, Infinity));
    else this.el[action].click();
  }

  inputMoved(target) {
    const control = this.controls.find((c) => c.name === target.dataset.name);
    const value = control && valueOf(target, control);
    if (value === undefined) return;
    this.wanted = { ...this.wanted, [control.name]: value };
    this.held = target;
    this.showInputs();
    this.mailbox.post({ [control.name]: value });
  }

  /** Only now may the element be written: writing a range that is dragged, or a number half typed, breaks it. */
  letGo() {
    this.held = null;
    this.showInputs();
  }

  showInputs() {
    if (!this.el.controls) return;
    showValues(this.el.controls, this.controls, { ...this.inputs(), ...this.wanted }, this.held ?? null);
  }

  showStatus() {
    const { reply, error } = this.model.get("_status");
    if (reply) this.mailbox.answered(reply);
    if (!this.mailbox.flying) this.wanted = undefined;
    this.el.error.hidden = !error;
    this.el.error.textContent = error ? `${error}. The picture is still the last run.` : "";
    this.showInputs();
  }

  newTrace() {
    const before = this.run;
    this.run = runOf(unpack(this.model.get("_packed")));
    this.cursor = moved(before, this.cursor, this.run);
    this.drawAll();
    this.syncCursor(true);
  }

  pin(run) {
    this.pinned = run;
    this.drawAll();
  }

  cursorFromModel() {
    const t = this.model.get("cursor_s");
    if (Math.abs(t - this.synced.t) < 1e-9) return;
    this.synced.t = t;
    if (this.playing) this.stop();
    this.cursor = toMoment(this.run, t);
    this.drawCursor();
  }

  syncCursor(now) {
    const time = performance.now();
    if ((!now && time - this.synced.at < SYNC_MS) || this.synced.t === this.cursor.t) return;
    this.synced = { t: this.cursor.t, at: time };
    this.model.set("cursor_s", this.cursor.t);
    this.model.save_changes();
  }

  // -- time ----------------------------------------------------------------------------------------------------------
  go(cursor) {
    if (this.playing) this.stop();
    this.cursor = cursor;
    this.drawCursor();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.syncCursor(true), SYNC_MS);
  }

  scrubbed() {
    if (this.scrubbing === undefined) {
      requestAnimationFrame(() => {
        const share = this.scrubbing;
        this.scrubbing = undefined;
        this.dragging = true;
        this.go(this.axis.pick(share));
        this.dragging = false;
      });
    }
    this.scrubbing = Number(this.el.scrub.value);
  }

  play() {
    if (atEnd(this.run, this.cursor)) this.cursor = toStep(this.run, 0);
    this.playing = true;
    this.el.play.innerHTML = `${ICONS.pause} Pause`;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.playMarks();
    else this.playFrames(performance.now());
  }

  playFrames(before) {
    this.frame = requestAnimationFrame((now) => {
      if (!this.playing) return;
      const dt = (Math.min(200, Math.max(0, now - before)) / 1000) * Number(this.el.speed.value);
      this.cursor = advance(this.run, this.cursor, dt, this.axisKind);
      this.drawCursor();
      this.syncCursor(false);
      if (atEnd(this.run, this.cursor)) this.stop();
      else this.playFrames(now);
    });
  }

  playMarks() {
    this.cursor = toMark(this.run, this.cursor, 1);
    this.said.at = 0;
    this.drawCursor();
    this.syncCursor(false);
    if (atEnd(this.run, this.cursor)) this.stop();
    else this.timer = setTimeout(() => this.playMarks(), MARK_MS);
  }

  stop() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.el.play.innerHTML = `${ICONS.play} Play`;
    this.say();
    this.syncCursor(true);
  }

  // -- drawing -------------------------------------------------------------------------------------------------------
  drawAll() {
    const { el, run, root } = this;
    this.width = root.clientWidth;
    this.font = getComputedStyle(root).fontFamily;
    const width = this.width / this.q;
    root.dataset.size = width >= 1540 ? "l" : width >= 1060 ? "m" : "s";
    const sentence = outcomeSentence(run);
    el.outcome.innerHTML = sentence;
    const reason = [run.outcome.reason, damageList(run.damage)].filter(Boolean).join(". ");
    el.why.hidden = !reason;
    el.why.textContent = reason;
    el.version.textContent = `functions of QEMU ${run.version}`;
    if (el.source) el.source.textContent = run.name;
    this.showPinned();
    this.drawTime(plain(sentence));
    el.alternative.innerHTML = tableHtml(run);
    this.its.show(run, this.cursor.t, this.style);
    this.sequenceStep = -1;
    this.drawCursor();
  }

  showPinned() {
    const { el, run, beside } = this;
    el.pin.setAttribute("aria-pressed", String(Boolean(this.pinned)));
    el.pin.textContent = this.pinned ? "Unpin" : "Pin this run";
    el.compare.hidden = !beside;
    el.compare.innerHTML = beside ? comparison(run, beside) : "";
    el.legend.innerHTML = legendHtml(this.q, beside ? esc(beside.name) : "");
  }

  drawTime(sentence) {
    const { el, run, beside } = this;
    const width = el.time.clientWidth || 600;
    const style = { ...this.style, plot: PLOT[this.root.dataset.size], uid: this.uid };
    this.axis = axisOf(run, width, this.q, this.axisKind, beside);
    const { svg, over, rows } = timelineSvg(run, this.axis, beside, style);
    this.rows = rows;
    showSvg(el.time, svg, width, rows.height, timelineName(run, sentence));
    showSvg(el.over, over, width, rows.height, "");
    el.scrub.style.left = `${this.axis.left - 8}px`;
    el.scrub.style.width = `${this.axis.right - this.axis.left + 16}px`;
    el.legend.style.paddingLeft = `${this.axis.left}px`;
    this.dated = [...el.time.querySelectorAll(".pass,.pt,.mk")].map((e) => ({ e, kind: e.classList[0], a: Number(e.dataset.a ?? e.dataset.t), b: Number(e.dataset.b ?? e.dataset.t) }));
    this.shapes = Object.fromEntries(["cursor", "head", "twin", "past"].map((name) => [name, el.over.querySelector(`.${name}`)]));
  }

  drawCursor() {
    this.moveCursor();
    const { el, run, cursor } = this;
    el.position.innerHTML = `event <b>${cursor.i + 1}</b> of ${run.steps.length}`;
    if (this.sequenceStep !== cursor.i) this.drawSequence();
    if (!this.playing || performance.now() - this.said.at > SAY_MS) this.say();
    this.its.moveTo(run, cursor.t, this.style);
  }

  say() {
    const html = stateSentence(this.run, this.cursor);
    if (html !== this.said.html) this.el.state.innerHTML = html;
    this.said = { html, at: performance.now() };
  }

  moveCursor() {
    const { axis, rows, q, cursor, shapes, el } = this;
    const { t } = cursor;
    const x = axis.cursor(t, cursor.i);
    shapes.cursor.setAttribute("d", `M${x} ${rows.pass - 7 * q}V${rows.axis - 9 * q}M${x} ${rows.axis + 5 * q}V${rows.zero + 8}`);
    shapes.head.setAttribute("d", `M${x - 5 * q} ${rows.pass - 8 * q}h${10 * q}l${-5 * q} ${7 * q}Z`);
    const wide = axis.regions[0];
    shapes.twin.setAttribute("d", axis.inLens(t) ? `M${wide.x(t)} ${rows.pass - 4}V${rows.zero + 4}` : "");
    shapes.past.setAttribute("width", String(Math.max(0, x)));
    if (!this.dragging) el.scrub.value = String((x - axis.left) / (axis.right - axis.left));
    el.scrub.setAttribute("aria-valuetext", `${exactSeconds(t)}, ${markAt(this.run, t)}`);
    for (const { e, kind, a, b } of this.dated) {
      const time = t >= b - 1e-7 ? "past" : t >= a - 1e-7 ? "now" : "future";
      if (e.classList[1] !== time) e.setAttribute("class", `${kind} ${time}`);
    }
  }

  drawSequence() {
    const { el, run, cursor } = this;
    const width = el.sequence.clientWidth || 560;
    const style = { ...this.style, width, row: ROW[this.root.dataset.size] };
    const { svg, height, label } = sequenceSvg(run, cursor.i, style);
    showSvg(el.sequence, svg, width, height, label);
    const { items, file } = stackWords(run, cursor.i);
    el.stack.innerHTML = items;
    el.file.textContent = file;
    this.sequenceStep = cursor.i;
  }

  remove() {
    this.stop();
    clearTimeout(this.settling);
    this.resizer.disconnect();
    for (const off of this.offs) off();
  }
}

const pinnedRun = (packed) => (packed?.head ? runOf(unpack(packed)) : null);

export default {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.remove();
  },
};
