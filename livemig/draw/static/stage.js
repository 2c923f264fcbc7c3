// The widget: traits in, DOM out. One View per displayed output; drawing is done by the pure modules, this one wires.

import { Fit } from "./fit.js";
import { ItsPanel } from "./itspanel.js";
import { actionOf, keepsKey } from "./keys.js";
import { MapPanel } from "./mappanel.js";
import { ICONS, PANELS, legendHtml, pageHtml } from "./page.js";
import { Playback } from "./playback.js";
import { atEnd, moved, toMark, toMoment, toStep } from "./player.js";
import { Rest } from "./rest.js";
import { ScenarioPanel } from "./scenario.js";
import { runOf } from "./scene.js";
import { sequenceSvg, stackWords } from "./sequence.js";
import { setAttribute, setHtml, showSvg } from "./svg.js";
import { stateSentence, tableHtml } from "./tableview.js";
import { TimePanel } from "./timepanel.js";
import { comparison, damageList, esc, outcomeSentence, plain } from "./words.js";
import { unpack } from "./wire.js";

const SAY_MS = 900; // while playing the live region changes at most this often
const PART_MS = 3; // while a slider is dragged, each frame has the timeline and one other part that takes no longer ..
const ON_TIME_MS = 18; // .. if frames come in time: 60 a second, on the whole ..
const LATE_MS = 50;
const SCRIPT_MS = 8; // .. if the model and the timeline took less than this
const REST_MS = 70; // after the last move of a drag the parts that were left out follow
const LONG_MS = 12; // where the other parts take longer than this, the timeline is shown a frame before them
const SYNC_MS = 250; // the cursor trait follows at rest, and this often while playing
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
    this.fit = new Fit(this.root, this.el, () => this.drawAll());
    this.axisKind = "time";
    this.untouched = true; // the first picture is the switchover; playing it begins at T0
    this.playback = new Playback(() => this.playState(), (cursor, isMark) => this.played(cursor, isMark));
    this.its = new ItsPanel(this.el, model.get("_layouts"));
    this.time = new TimePanel(this.el);
    this.rest = new Rest([
      () => this.drawWords(), () => this.drawSequence(), () => this.drawMap(), () => this.its.show(this.run, this.cursor.t, this.style),
    ], () => this.time.rest());
    this.saidAt = -Infinity;
    this.late = 0;
    this.streamedAt = 0;
    this.synced = { t: model.get("cursor_s"), at: 0 };
    this.map = this.el.map ? new MapPanel(this.el, () => model.get("_tables")) : null;
    this.scenario = new ScenarioPanel(model, this.el, this.uid, {
      run: (run, streamingFrom) => this.newRun(run, streamingFrom), pin: (run) => this.pin(run), say: (error) => this.sayError(error),
    });
    this.run = this.scenario.first();
    this.pinned = pinnedRun(model.get("_pinned"));
    this.cursor = toMoment(this.run, model.get("cursor_s"));
    this.listen();
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

  get playing() {
    return this.playback.playing;
  }

  get style() {
    return { q: this.q, measure: this.fit.measure, fit: this.fit };
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
    el.alternative.parentElement.addEventListener("toggle", () => this.drawAlternative());
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

  newRun(run, streamingFrom) {
    const before = this.run;
    this.run = run;
    this.cursor = moved(before, this.cursor, run);
    this.drawRun(streamingFrom);
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
    this.untouched = false;
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
    this.untouched = false;
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
        this.go(this.time.axis.pick(share));
        this.dragging = false;
      });
    }
    this.scrubbing = Number(this.el.scrub.value);
  }

  play() {
    if (this.untouched || atEnd(this.run, this.cursor)) this.cursor = toStep(this.run, 0);
    this.untouched = false;
    this.el.play.innerHTML = `${ICONS.pause} Pause`;
    this.playback.start();
  }

  playState() {
    const { run, cursor, axisKind } = this;
    return { run, cursor, axisKind, speed: Number(this.el.speed.value) };
  }

  /** A moment of playing. @param {any} cursor @param {boolean} isMark then it is said at once */
  played(cursor, isMark) {
    this.cursor = cursor;
    if (isMark) this.saidAt = -Infinity;
    this.drawCursor();
    this.syncCursor(false);
    if (atEnd(this.run, cursor)) this.stop();
  }

  stop() {
    this.playback.stop();
    this.el.play.innerHTML = `${ICONS.play} Play`;
    this.say();
    this.syncCursor(true);
  }

  // -- drawing -------------------------------------------------------------------------------------------------------
  /** Everything anew, also what depends on the stage's size, type and theme. */
  drawAll() {
    const { root } = this;
    this.fit.take();
    const width = this.fit.width / this.q;
    root.dataset.size = width >= 1540 ? "l" : width >= 1060 ? "m" : "s";
    this.drawRun();
  }

  /** @param {number | null} streamingFrom when the move came that is one of many, or null: draw all of it */
  drawRun(streamingFrom = null) {
    const { el, run, rest } = this;
    const sentence = outcomeSentence(run);
    setHtml(el.outcome, sentence);
    this.showPinned();
    this.drawTime(plain(sentence), streamingFrom !== null);
    this.moveCursor();
    rest.forget();
    if (streamingFrom === null) rest.all(LONG_MS);
    else rest.next(this.hasTime(streamingFrom) ? PART_MS : -1, REST_MS);
  }

  /** Whether a frame of a drag has room for more than the timeline. @param {number} from when its move came */
  hasTime(from) {
    this.late = 0.8 * this.late + 0.2 * Math.min(LATE_MS, from - this.streamedAt);
    this.streamedAt = from;
    return this.late < ON_TIME_MS && performance.now() - from < SCRIPT_MS;
  }

  drawWords() {
    const { el, run } = this;
    const reason = [run.outcome.reason, damageList(run.damage)].filter(Boolean).join(". ");
    el.why.hidden = !reason;
    setHtml(el.why, esc(reason.slice(0, 1).toUpperCase() + reason.slice(1)));
    setHtml(el.version, `functions of QEMU ${esc(run.version)}`);
    if (el.source) setHtml(el.source, esc(run.name));
    this.alternative = null;
    if (el.alternative.parentElement.open) this.drawAlternative();
    this.drawPosition();
    this.say();
  }

  drawAlternative() {
    this.alternative ??= tableHtml(this.run);
    setHtml(this.el.alternative, this.alternative);
  }

  drawMap() {
    const { fit } = this;
    const width = this.map && fit.widthOf("map", 0);
    if (width) this.map.show(this.run, this.cursor.t, { ...this.style, width, font: fit.font, theme: `${fit.colours} ${this.q}` });
  }

  showPinned() {
    const { el, run, beside } = this;
    setAttribute(el.pin, "aria-pressed", String(Boolean(this.pinned)));
    setHtml(el.pin, this.pinned ? "Unpin" : "Pin this run");
    el.compare.hidden = !beside;
    setHtml(el.compare, beside ? comparison(run, beside) : "");
    setHtml(el.legend, legendHtml(this.q, beside ? esc(beside.name) : ""));
  }

  drawTime(sentence, moving) {
    const { run, beside, fit } = this;
    const width = fit.widthOf("time", 600);
    const style = { ...this.style, width, plot: PLOT[this.root.dataset.size], axisKind: this.axisKind, theme: fit.colours, font: fit.font };
    this.time.show(run, beside, style, sentence, moving);
  }

  drawCursor() {
    this.moveCursor();
    const { run, cursor } = this;
    this.drawPosition();
    if (this.sequenceStep !== cursor.i) this.drawSequence();
    this.say(!this.playing || performance.now() - this.saidAt > SAY_MS);
    this.its.moveTo(run, cursor.t, this.style);
    this.map?.moveTo(cursor.t);
  }

  drawPosition() {
    setHtml(this.el.position, `event <b>${this.cursor.i + 1}</b> of ${this.run.steps.length}`);
  }

  /** The moment in words, at each event; and for those who hear it, not more often than it can be heard. */
  say(aloud = true) {
    if (!aloud && this.stated === this.cursor.i) return;
    this.stated = this.cursor.i;
    const html = stateSentence(this.run, this.cursor);
    setHtml(this.el.state, html);
    if (!aloud) return;
    setHtml(this.el.live, html);
    this.saidAt = performance.now();
  }

  moveCursor() {
    this.time.moveTo(this.cursor, this.dragging);
  }

  drawSequence() {
    const { el, run, cursor } = this;
    const width = this.fit.widthOf("sequence", 560);
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
    this.rest.forget();
    this.fit.remove();
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
