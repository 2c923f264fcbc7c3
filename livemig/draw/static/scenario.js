// Which run is shown: the inputs' own (computed here, or by the kernel), a pushed trace, or a recording with the model
// beside it. Owns the controls, the presets, the choice of recordings, and what goes to Python.

import { controlsHtml, inWords, markWrong, showValues, valueOf } from "./controls.js";
import { computed, covers } from "./local.js";
import { Mailbox } from "./mailbox.js";
import { runOf } from "./scene.js";
import { setAttribute, setHtml } from "./svg.js";
import { esc } from "./words.js";
import { unpack } from "./wire.js";

/** @typedef {import("./scene.js").Run} Run @typedef {Record<string, any>} Fields */
/** @typedef {{run: (run: Run, streamingFrom: number | null) => void, pin: (run: Run | null) => void, say: (error: string) => void}} Show */

const STREAM_MS = 150; // moves that follow each other faster than this are one drag
const QUICK = { turns: 100 }; // within a drag: a run of minutes with fewer rows of its many equal windows
const TELL_MS = 250; // while a slider is dragged Python hears of it this often; the picture does not wait for that

export class ScenarioPanel {
  /** @param {any} model @param {Record<string, any>} el @param {string} uid @param {Show} show */
  constructor(model, el, uid, show) {
    Object.assign(this, { model, el, show, controls: model.get("_controls"), presets: model.get("_presets") ?? [] });
    this.home = this.fields();
    /** @type {Fields} moved here and not told yet */
    this.wanted = {};
    this.held = null;
    this.movedAt = -Infinity;
    this.streaming = false;
    this.wrong = "";
    this.asked = "";
    this.mailbox = new Mailbox((id, inputs) => this.ask(id, inputs), uid, () => Date.now(), () => show.say(SILENT));
    if (el.controls) el.controls.innerHTML = controlsHtml(this.controls, this.home, uid);
    if (el.presets) el.presets.innerHTML = this.presets.map(presetHtml).join("");
    this.showChoices();
    this.listen();
  }

  /** All of the scenario's fields as they stand here. @returns {Fields} */
  fields() {
    const { model } = this;
    const named = Object.fromEntries(this.controls.map((c) => [c.name, model.get(c.name)]));
    return { ...model.get("_fields"), ...named, ...this.wanted };
  }

  get tables() {
    return this.model.get("_tables");
  }

  get isLocal() {
    return covers(this.fields(), this.tables);
  }

  listen() {
    const { el, model } = this;
    this.offs = [];
    const on = (/** @type {string} */ name, /** @type {() => void} */ what) => {
      model.on(`change:${name}`, what);
      this.offs.push(() => model.off(`change:${name}`, what));
    };
    for (const c of this.controls) on(c.name, () => this.inputChanged());
    for (const name of ["_fields", "_tables", "_shown", "_packed"]) on(name, () => this.schedule());
    on("_library", () => this.libraryCame());
    on("_status", () => this.answered());
    el.controls?.addEventListener("input", (/** @type {any} */ e) => this.moved(e.target));
    el.controls?.addEventListener("change", () => this.letGo());
    el.controls?.addEventListener("keydown", decimalComma);
    el.presets?.addEventListener("click", (/** @type {any} */ e) => this.preset(Number(e.target.closest("button")?.dataset.preset ?? NaN)));
    if (el.recording) el.recording.onchange = () => this.choose(el.recording.value);
  }

  // -- which run -----------------------------------------------------------------------------------------------------
  /** What is to be drawn, told apart cheaply: equal keys, equal runs. */
  key() {
    const shown = this.model.get("_shown");
    if (this.model.get("_library")?.[shown]) return shown;
    return shown === "" && this.isLocal ? JSON.stringify(this.fields()) : this.model.get("_packed");
  }

  /** @returns {{run: Run | null, error: string, thinned?: boolean}} */
  now() {
    const recorded = this.model.get("_library")?.[this.model.get("_shown")];
    const packed = recorded ?? this.model.get("_packed");
    if (!recorded && this.model.get("_shown") === "" && this.isLocal) return computed(this.fields(), this.tables, this.controls, this.streaming ? QUICK : {});
    return { run: packed?.head ? runOf(unpack(packed)) : null, error: "" };
  }

  /** The first picture. @returns {Run} */
  first() {
    this.drawn = this.key();
    const { run, error } = this.now();
    if (!run) throw new Error(error || "the stage has no run to draw");
    this.showInputs();
    this.tellCoarse(run);
    return run;
  }

  inputChanged() {
    this.showInputs();
    this.schedule();
  }

  schedule() {
    this.again = true;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (this.again) this.refresh();
    });
  }

  /** The user's own moves come just before a frame: they go into that frame, but only one in each. */
  refreshNow() {
    const first = this.frame === undefined;
    if (first) this.refresh();
    this.schedule();
    this.again = !first;
  }

  refresh() {
    this.again = false;
    const key = this.key();
    if (key !== this.drawn) {
      this.drawn = key;
      const { run, error, thinned } = this.now();
      this.thinned = thinned;
      if (run) this.draw(run);
      if (this.isLocal || error) this.tellError(error);
    }
    if (!Object.keys(this.wanted).length) this.showInputs();
  }

  tellError(/** @type {string} */ error) {
    if (error !== this.wrong && this.el.controls) markWrong(this.el.controls, error);
    this.wrong = error;
    const words = error && `${inWords(error, this.controls, this.wanted)}. The picture is still the last run.`;
    this.show.say(words);
    if (this.el.errorHere) {
      this.el.errorHere.hidden = !words;
      setHtml(this.el.errorHere, esc(words));
    }
  }

  draw(/** @type {Run} */ run) {
    const before = this.recorded;
    this.recorded = run.source === "recorded" ? run : null;
    this.show.run(run, this.streaming ? this.movedAt : null);
    this.tellCoarse(run);
    if (this.recorded) this.show.pin(this.modelOf(run));
    else if (before) this.show.pin(before);
  }

  /** The model's run of a recording's inputs. @param {Run} run @returns {Run | null} */
  modelOf(run) {
    const fields = { ...this.tables?.defaults, ...run.scenario };
    if (!covers(fields, this.tables)) return null;
    const beside = computed(fields, this.tables, []).run;
    return beside && { ...beside, name: "the model" };
  }

  tellCoarse(/** @type {Run} */ run) {
    const size = run.coarsePage ? `more than ${this.tables.most_pages.toLocaleString("en")} pages: computed with pages of ${run.coarsePage / 1024} KiB` : "";
    const cut = run.cutOff ? `computed up to here only: ${run.cutOff}` : "";
    if (this.el.coarse) setHtml(this.el.coarse, esc([size, cut].filter(Boolean).join("; ")));
  }

  // -- controls ------------------------------------------------------------------------------------------------------
  moved(/** @type {any} */ target) {
    const control = this.controls.find((c) => c.name === target.dataset.name);
    const value = control && valueOf(target, control);
    if (value === undefined) return;
    const away = this.model.get("_shown") !== "";
    const now = performance.now();
    this.streaming = now - this.movedAt < STREAM_MS;
    this.movedAt = now;
    clearTimeout(this.resting);
    if (this.streaming) this.resting = setTimeout(() => this.rest(), STREAM_MS);
    this.wanted = { ...this.wanted, [control.name]: value };
    this.held = target;
    this.showInputs();
    if (!this.isLocal) {
      this.mailbox.post({ [control.name]: value });
      return;
    }
    if (away) this.model.set("_shown", "");
    this.refreshNow();
    this.teller ??= setTimeout(() => this.tell(), TELL_MS);
  }

  /** The drag pauses or is over: what was computed with fewer rows is computed whole. */
  rest() {
    clearTimeout(this.resting);
    this.streaming = false;
    if (this.thinned) this.drawn = "";
    this.refresh();
  }

  /** Python hears of it: one update in flight, newest wins, as ipywidgets has it. */
  tell() {
    clearTimeout(this.teller);
    this.teller = undefined;
    if (!this.isLocal || !Object.keys(this.wanted).length) return;
    for (const [name, value] of Object.entries(this.wanted)) this.model.set(name, value);
    this.wanted = {};
    this.model.save_changes();
  }

  /** Only now may the element be written: writing a range that is dragged, or a number half typed, breaks it. */
  letGo() {
    this.held = null;
    this.rest();
    this.tell();
    this.showInputs();
  }

  showInputs() {
    const fields = this.fields();
    if (this.el.controls) showValues(this.el.controls, this.controls, fields, this.held);
    this.presets.forEach((/** @type {any} */ one, /** @type {number} */ i) => {
      const here = this.model.get("_shown") === "" && same({ ...this.home, ...one.fields }, fields);
      setAttribute(this.el.presets.children[i], "aria-pressed", String(here));
    });
    const shown = this.model.get("_shown");
    const recording = shown in (this.model.get("_library") ?? {}) ? shown : "";
    if (this.el.recording && this.el.recording.value !== recording) this.el.recording.value = recording;
  }

  // -- presets and recordings ----------------------------------------------------------------------------------------
  preset(/** @type {number} */ i) {
    if (this.presets[i]) this.setAll({ ...this.home, ...this.presets[i].fields }, "");
  }

  /** @param {Fields} fields @param {string} shown */
  setAll(fields, shown) {
    const { model } = this;
    this.wanted = {};
    if (shown === "" && !covers(fields, this.tables)) {
      const named = Object.fromEntries(this.controls.map((c) => [c.name, fields[c.name]]));
      this.mailbox.post({ ...named, _fields: fields });
      return;
    }
    for (const c of this.controls) model.set(c.name, fields[c.name]);
    model.set("_fields", fields);
    model.set("_shown", shown);
    model.save_changes();
    this.refresh();
  }

  choose(/** @type {string} */ name) {
    this.asked = name;
    if (!name) this.setAll(this.home, "");
    else if (this.model.get("_library")?.[name]) this.libraryCame();
    else this.model.send({ type: "recording", id: `recording-${name}`, name });
  }

  libraryCame() {
    this.showChoices();
    const packed = this.model.get("_library")?.[this.asked];
    if (!packed) return;
    const name = this.asked;
    this.asked = "";
    this.setAll({ ...this.home, ...this.tables?.defaults, ...packed.meta.scenario }, name);
  }

  showChoices() {
    const { el, model } = this;
    if (!el.recording) return;
    const names = [...new Set([...(model.get("_recordings") ?? []), ...Object.keys(model.get("_library") ?? {})])].sort();
    const html = `<option value="">none: the model</option>${choicesHtml(names)}`;
    if (html !== this.choices) el.recording.innerHTML = html;
    this.choices = html;
    el.recordingLabel.hidden = names.length === 0;
  }

  // -- the kernel ----------------------------------------------------------------------------------------------------
  ask(/** @type {string} */ id, /** @type {Fields} */ inputs) {
    const { _fields: fields, ...named } = inputs;
    this.model.send({ type: "simulate", id, inputs: named, ...(fields ? { fields } : {}) });
  }

  answered() {
    const { reply, error } = this.model.get("_status") ?? {};
    if (reply) this.mailbox.answered(reply);
    if (!this.mailbox.flying && !this.isLocal) this.wanted = {};
    this.tellError(error ?? "");
    this.showInputs();
  }

  remove() {
    this.mailbox.close();
    clearTimeout(this.teller);
    clearTimeout(this.resting);
    cancelAnimationFrame(this.frame);
    for (const off of this.offs) off();
  }
}

/** What the recordings have in common, by the letter their names begin with. */
const KINDS = [
  ["abcde", "sizes, rates, limits (QEMU 10.0, TCG)"], ["n", "more of them"], ["l", "a slow link"], ["v", "QEMU 7.2"],
  ["k", "KVM with an ITS"], ["s", "one special thing each"],
];

/** @param {string[]} names @returns {string} options in groups */
function choicesHtml(names) {
  const option = (/** @type {string} */ name) => `<option value="${esc(name)}">${esc(name)}</option>`;
  const known = (/** @type {string} */ name) => KINDS.find(([letters]) => /^[a-z]\d\d/.test(name) && letters.includes(name[0]))?.[1] ?? "others";
  const groups = [...KINDS.map(([, words]) => words), "others"].map((words) => [words, names.filter((name) => known(name) === words)]);
  return groups.filter(([, all]) => all.length).map(([words, all]) => `<optgroup label="${words}">${/** @type {string[]} */ (all).map(option).join("")}</optgroup>`).join("");
}

const SILENT = "The kernel does not answer: it is busy, or it was restarted. Run the cell again if this stays.";

/** Where a browser takes a point only, a comma would vanish: 20,5 became 205. */
function decimalComma(/** @type {any} */ e) {
  if (e.key !== "," || e.target.type !== "number") return;
  e.preventDefault();
  document.execCommand("insertText", false, "."); // old, and the only way that keeps the cursor and undo
}

/** Whether all fields agree; phases and plan are lists. */
const same = (/** @type {Fields} */ a, /** @type {Fields} */ b) =>
  Object.keys(a).every((key) => a[key] === b[key] || JSON.stringify(a[key]) === JSON.stringify(b[key]));

const presetHtml = (/** @type {any} */ one, /** @type {number} */ i) =>
  `<button data-preset="${i}" aria-pressed="false" title="${esc(one.shows)}">${esc(one.name)} <kbd>${i + 1}</kbd></button>`;
