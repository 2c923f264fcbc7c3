// The byte grid's commands: a list that can be edited, sent to the kernel, and told what became of each.

import { commandOf, commandsHtml, moveCommand, outcomeWords, parseValue, savesWords, summary } from "./bytegrid_commands.js";
import { Mailbox } from "./mailbox.js";

export const commandPanelHtml = (/** @type {string} */ uid, /** @type {boolean} */ canSave) => `
  <section class="lm-p bg-ctl" aria-labelledby="${uid}h-ctl"><header><h3 id="${uid}h-ctl">Commands</h3><span class="mute" data-el="summary"></span></header>
  <ol class="bg-cmds" data-el="commands"></ol>
  <div class="lm-tools"><button data-el="add">Add a command</button><button data-el="original">Original commands</button></div>
  ${canSave ? '<label class="bg-save"><input type="checkbox" data-el="save"> then save the tables</label>' : ""}<p class="lm-note" data-el="saves"></p></section>`;

export class CommandPanel {
  /** @param {any} model @param {Record<string, any>} el the grid's parts @param {HTMLElement} root @param {string} uid */
  constructor(model, el, root, uid) {
    Object.assign(this, { model, el, root, uid, about: model.get("_about"), forms: model.get("_forms") });
    this.draft = model.get("_state").commands;
    this.original = this.draft;
    this.mailbox = new Mailbox((id, inputs) => model.send({ type: "apply", id, inputs }), uid);
    if (this.about.editable) this.listen();
    this.draw();
    this.showState();
  }

  listen() {
    const { el } = this;
    el.commands.addEventListener("input", (e) => this.typed(e.target));
    el.commands.addEventListener("click", (e) => this.acted(e.target.closest("[data-act]")));
    el.add.onclick = () => this.edit([...this.draft, commandOf(this.forms, "MAPTI", this.draft.at(-1)?.fields)], this.draft.length, "select");
    el.original.onclick = () => this.edit(this.original, -1, "");
    if (el.save) el.save.onchange = () => this.post();
  }

  typed(input) {
    const i = Number(input.closest("li").dataset.i);
    const old = this.draft[i];
    if (input.tagName === "SELECT") {
      const one = commandOf(this.forms, input.value, old.fields);
      return this.edit(this.draft.map((c, n) => (n === i ? one : c)), i, "select");
    }
    const { field } = input.dataset;
    const form = this.forms[old.name].fields.find((f) => f.name === field);
    const value = parseValue(input.value, form.shift > 0);
    if (value === null) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    if (value === null) return this.showOutcome(i, { ok: false, text: `${field} must be a number such as 8 or 0x41000000; the last one still counts`, pages: [] });
    if (value === old.fields[field]) return this.showOutcome(i, this.model.get("_state").outcomes[i]);
    this.draft = this.draft.map((c, n) => (n === i ? { ...c, fields: { ...c.fields, [field]: value } } : c));
    this.post();
    return undefined;
  }

  acted(button) {
    if (!button) return;
    const i = Number(button.closest("li").dataset.i);
    if (button.dataset.act === "remove") this.edit(this.draft.filter((_, n) => n !== i), Math.min(i, this.draft.length - 2), "[data-act=remove]");
    else {
      const to = i + (button.dataset.act === "up" ? -1 : 1);
      this.edit(moveCommand(this.draft, i, to), to, `[data-act=${button.dataset.act}]`);
    }
  }

  /** Another list of commands; the focus goes to `part` of command `i`. */
  edit(commands, i, part) {
    this.draft = commands;
    this.draw();
    const item = this.el.commands.children[i];
    const goal = part && item ? item.querySelector(`${part}:not([disabled])`) ?? item.querySelector("select") : i === -1 ? this.el.original : this.el.add;
    goal?.focus();
    this.post();
  }

  post() {
    this.mailbox.post({ commands: this.draft, save: this.el.save ? this.el.save.checked : true });
  }

  draw() {
    if (!this.about.editable) return;
    this.el.commands.innerHTML = commandsHtml(this.draft, this.forms, this.uid);
    if (!this.about.fixed) return; // else no kernel runs them: they can be read only, and scrolled by keyboard
    for (const e of this.root.querySelectorAll(".bg-ctl :is(button, input, select)")) e.disabled = true;
    this.el.commands.tabIndex = 0;
  }

  showOutcome(i, outcome) {
    const out = this.el.commands.children[i]?.querySelector(".bg-out");
    if (!out) return;
    const { text, ok } = outcomeWords(outcome);
    out.textContent = text;
    out.classList.toggle("bad", !ok);
  }

  showState() {
    const { el } = this;
    const state = this.model.get("_state");
    if (state.reply) this.mailbox.answered(state.reply);
    el.error.hidden = !state.error;
    el.error.textContent = state.error ? `${state.error}. The tables are still those of the last run.` : "";
    if (!this.about.editable || this.mailbox.flying) return;
    if (!state.error && JSON.stringify(state.commands) !== JSON.stringify(this.draft)) {
      this.draft = state.commands;
      this.draw();
    }
    if (el.save) el.save.checked = state.save;
    el.summary.textContent = summary(state.outcomes);
    this.draft.forEach((_, i) => {
      if (!el.commands.children[i]?.querySelector("[aria-invalid]")) this.showOutcome(i, state.outcomes[i]);
    });
    const named = (page) => this.model.get("tables").find((t) => t.entries.some(([index]) => Math.floor((t.base + index * t.entry_bytes) / 4096) * 4096 === page))?.name ?? "";
    el.saves.textContent = savesWords(state.saves, named);
  }
}
