// The widget: traits in, DOM out. One View per displayed output; drawing is done by the pure modules, this one wires.

import { axisOf } from "./axis.js";
import { ItsPanel, setHtml, showSvg } from "./itspanel.js";
import { actionOf, keepsKey } from "./keys.js";
import { MapPanel } from "./mappanel.js";
import { textMeasure } from "./measure.js";
import { ICONS, PANELS, legendHtml, pageHtml } from "./page.js";
import { advance, atEnd, moved, toMark, toMoment, toStep } from "./player.js";
import { ScenarioPanel } from "./scenario.js";
import { markAt, runOf } from "./scene.js";
import { sequenceSvg, stackWords } from "./sequence.js";
import { stateSentence, tableHtml } from "./tableview.js";
import { timelineName, timelineSvg } from "./timeline.js";
import { comparison, damageList, esc, exactSeconds, outcomeSentence, plain } from "./words.js";
import { unpack } from "./wire.js";

const SAY_MS = 900; // the state line is a live region: while playing it changes at most this often
const FRAME_MS = 19; // a run that comes later than this after the one before it shows its timeline first
const REST_MS = 70;
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
    this.root = document.createElement("section");
    this.root.className = "lm";
    this.root.setAttribute("aria-label", "Live migration stage");
    this.root.tabIndex = -1;
    this.gone = new Set([!model.get("_controls").length && "ctl", !model.get("_tables")?.format && "mem"].filter(Boolean));
    this.root.dataset.gone = [...this.gone].join(" ");
    this.root.innerHTML = pageHtml(this.uid, PANELS.map(([key]) => key).filter((key) => !this.gone.has(key)));
    /** @type {Record<string, any>} */
    this.el = {};
    for (const e of this.root.querySelectorAll("[data-el]")) this.el[e.dataset.el] = e;
    el.append(this.root);
    this.measure = textMeasure(() => this.font);
    this.widthOf = (name, otherwise) => (this.widths[name] ||= this.el[name].clientWidth) || otherwise; // asked once: it lays out the page
    this.axisKind = "time";
    this.playing = false;
    this.its = new ItsPanel(this.el, model.get("_layouts"));
    this.said = { html: "", at: 0 };
    this.cost = 0;
    this.drawnAt = 0;
    this.synced = { t: model.get("cursor_s"), at: 0 };
    this.map = this.el.map ? new MapPanel(this.el, () => model.get("_tables")) : null;
    this.scenario = new ScenarioPanel(model, this.el, this.uid, {
      run: (run) => this.newRun(run), pin: (run) => this.pin(run), say: (error) => this.sayError(error),
    });
    this.run = this.scenario.first();
    this.pinned = pinnedRun(model.get("_pinned"));
    this.cursor = toMoment(this.run, model.get("cursor_s"));
    this.listen();
    this.resizer = new ResizeObserver(() => this.width !== this.root.clientWidth && this.drawAll());
    this.resizer.observe(this.root);
    this.themed = new MutationObserver(() => this.theme !== this.shownTheme && this.drawAll());
    this.themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    this.sayError(model.get("_status")?.error ?? "");
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
    return { q: this.q, measure: this.measure, widthOf: this.widthOf };
  }

  get theme() {
    return this.root.closest("[data-jp-theme-light]")?.dataset.jpThemeLight ?? "";
  }

  // -- events ------------------------------------------------------------------------------------------------------
  listen() {
    const { el, model } = this;
    const on = (name, what) => {
      model.on(name, what);
      this.offs = [...(this.offs ?? []), () => model.off(name, what)];
    };
    on("change:_pinned", () => this.pin(pinnedRun(model.get("_pinned"))));
    on("change:cursor_s", () => this.cursorFromModel());
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
    el.alternative.parentElement.addEventListener("toggle", () => (el.alternative.innerHTML = this.alternative));
    el.panels.addEventListener("change", (e) => {
      this.gone[e.target.checked ? "delete" : "add"](e.target.value);
      this.root.querySelector(`.a-${e.target.value}`).hidden = !e.target.checked;
      this.root.dataset.gone = [...this.gone].join(" ");
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
    else if (action.startsWith("preset")) this.scenario.preset(Number(action.slice(6)) - 1);
    else this.el[action].click();
  }

  sayError(error) {
    this.el.error.hidden = !error;
    if (this.el.error.textContent !== error) this.el.error.textContent = error;
  }

  newRun(run) {
    const before = this.run;
    this.run = run;
    this.cursor = moved(before, this.cursor, run);
    this.drawRun();
    const now = performance.now(); // slider to slider, as it is dragged: with what the browser itself needs for layout and paint
    if (now - this.drawnAt < 1000) this.cost = 0.7 * this.cost + 0.3 * (now - this.drawnAt);
    else this.cost = 0;
    this.drawnAt = now;
    this.settle();
  }

  pin(run) {
    this.pinned = run;
    this.drawRun();
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
    this.settle();
  }

  /** At rest the cursor's trait follows. */
  settle() {
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
  /** Everything anew, also what depends on the stage's size, type and theme. */
  drawAll() {
    const { root } = this;
    this.width = root.clientWidth;
    this.font = getComputedStyle(root).fontFamily;
    this.widths = {};
    const width = this.width / this.q;
    root.dataset.size = width >= 1540 ? "l" : width >= 1060 ? "m" : "s";
    this.shownTheme = this.theme;
    this.drawRun();
  }

  drawRun() {
    const { el, run } = this;
    const sentence = outcomeSentence(run);
    setHtml(el.outcome, sentence);
    this.showPinned();
    this.drawTime(plain(sentence));
    this.moveCursor();
    clearTimeout(this.resting);
    if (this.cost > FRAME_MS) this.resting = setTimeout(() => this.drawRest(), REST_MS);
    else this.drawRest();
  }

  /** What may come a moment later where a frame is short: at once on a machine that is fast enough. */
  drawRest() {
    const { el, run } = this;
    const reason = [run.outcome.reason, damageList(run.damage)].filter(Boolean).join(". ");
    el.why.hidden = !reason;
    el.why.textContent = reason;
    setHtml(el.version, `functions of QEMU ${esc(run.version)}`);
    if (el.source) setHtml(el.source, esc(run.name));
    this.alternative = tableHtml(run);
    if (el.alternative.parentElement.open) el.alternative.innerHTML = this.alternative;
    const width = this.map && this.widthOf("map", 0);
    if (width) this.map.show(run, this.cursor.t, { ...this.style, width, font: this.font, theme: `${this.shownTheme} ${this.q}` });
    this.its.show(run, this.cursor.t, this.style);
    this.sequenceStep = -1;
    this.drawCursor();
  }

  showPinned() {
    const { el, run, beside } = this;
    el.pin.setAttribute("aria-pressed", String(Boolean(this.pinned)));
    setHtml(el.pin, this.pinned ? "Unpin" : "Pin this run");
    el.compare.hidden = !beside;
    setHtml(el.compare, beside ? comparison(run, beside) : "");
    setHtml(el.legend, legendHtml(this.q, beside ? esc(beside.name) : ""));
  }

  drawTime(sentence) {
    const { el, run, beside } = this;
    const width = this.widthOf("time", 600);
    const style = { ...this.style, plot: PLOT[this.root.dataset.size], uid: this.uid };
    this.axis = axisOf(run, width, this.q, this.axisKind, beside);
    const { parts, over, rows } = timelineSvg(run, this.axis, beside, style);
    this.rows = rows;
    showSvg(el.time, parts, width, rows.height, timelineName(run, sentence));
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
    this.map?.moveTo(cursor.t);
  }

  say() {
    const html = stateSentence(this.run, this.cursor);
    setHtml(this.el.state, html);
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
    const width = this.widthOf("sequence", 560);
    const style = { ...this.style, width, row: ROW[this.root.dataset.size] };
    const { parts, height, label } = sequenceSvg(run, cursor.i, style);
    showSvg(el.sequence, parts, width, height, label);
    const { items, file } = stackWords(run, cursor.i);
    setHtml(el.stack, items);
    setHtml(el.file, esc(file));
    this.sequenceStep = cursor.i;
  }

  remove() {
    this.stop();
    clearTimeout(this.settling);
    clearTimeout(this.resting);
    this.resizer.disconnect();
    this.themed.disconnect();
    this.scenario.remove();
    this.map?.remove();
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
