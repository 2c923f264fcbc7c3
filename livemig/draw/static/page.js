// The stage's fixed HTML: header, controls, transport, panels, help. Elements that change are found by data-el.

const icon = (/** @type {string} */ d) => `<svg width="1em" height=".8em" viewBox="0 0 12 10" aria-hidden="true" fill="currentColor"><path d="${d}"/></svg>`;

export const ICONS = {
  play: icon("M2 0l9 5l-9 5Z"),
  pause: icon("M2 0h3v10h-3ZM7 0h3v10h-3Z"),
  next: icon("M3 0l7 5l-7 5Z"),
  previous: icon("M9 0l-7 5l7 5Z"),
  nextPass: icon("M0 0l5 5l-5 5ZM5 0l5 5l-5 5ZM10 0h2v10h-2Z"),
  previousPass: icon("M12 0l-5 5l5 5ZM7 0l-5 5l5 5ZM0 0h2v10h-2Z"),
};

const KEYS = [
  ["<kbd>space</kbd> or <kbd>.</kbd>", "play, pause"],
  ["<kbd>←</kbd> <kbd>→</kbd>", "one event back, forward (also <kbd>PgUp</kbd> <kbd>PgDn</kbd>, a presenter’s remote)"],
  ["<kbd>shift</kbd> <kbd>←</kbd> <kbd>→</kbd>", "one pass"],
  ["<kbd>Home</kbd> <kbd>End</kbd>", "first and last event"],
  ["<kbd>1</kbd> … <kbd>7</kbd>", "the lecture’s scenarios"],
  ["<kbd>P</kbd>", "pin this run, compare"],
  ["<kbd>L</kbd>", "large type"],
  ["<kbd>?</kbd>", "these keys"],
];

/** Panels that can be hidden: class letter, name. */
export const PANELS = [
  ["ctl", "Scenario"],
  ["seq", "Sequence"],
  ["mem", "Guest RAM"],
  ["its", "ITS table bytes"],
];

/** @param {string} uid makes element ids unique @param {string[]} panels those of PANELS that this stage has @returns {string} */
export function pageHtml(uid, panels) {
  const has = (/** @type {string} */ key) => panels.includes(key);
  const body = [has("ctl") && scenarioPanel(uid), timePanel(uid), sequencePanel(uid), has("mem") && memoryPanel(uid), itsPanel(uid)];
  return `${header(panels)}<div class="lm-body">${body.filter(Boolean).join("")}</div>${footer(uid)}`;
}

function header(/** @type {string[]} */ panels) {
  const boxes = PANELS.filter(([key]) => panels.includes(key))
    .map(([key, name]) => `<label><input type="checkbox" value="${key}" checked> ${name}</label>`)
    .join("");
  return `<div class="lm-head"><div><h2 data-el="outcome"></h2><p class="lm-state" data-el="state"></p><p class="sr" data-el="live" role="status" aria-live="polite"></p></div>
    <div class="lm-tools"><details class="lm-menu"><summary title="Which parts of the picture are shown">Panels</summary><fieldset data-el="panels"><legend class="sr">Show panels</legend>${boxes}</fieldset></details>
    <button data-el="pin" aria-pressed="false" title="Keep this run: it stays dashed behind the next ones, with exact differences">Pin this run</button><button data-el="large" aria-pressed="false">Large type</button>
    <button data-el="keys" aria-haspopup="dialog">Keys&nbsp;<kbd>?</kbd></button></div></div>
    ${panels.includes("ctl") ? '<div class="lm-presets" data-el="presets" role="group" aria-label="Scenarios of the lecture"></div>' : ""}
    <p class="lm-error" data-el="error" role="alert" hidden></p><p class="lm-note" data-el="why" hidden></p>
    <div class="lm-cmp" data-el="compare" hidden></div>`;
}

const scenarioPanel = (/** @type {string} */ uid) => `<section class="lm-p a-ctl" aria-labelledby="${uid}h-ctl">
  <header><h3 id="${uid}h-ctl">Scenario</h3><span class="mute" data-el="source"></span></header><div class="lm-ctl" data-el="controls"></div>
  <p class="lm-error" data-el="errorHere" aria-hidden="true" hidden></p><p class="lm-note" data-el="coarse"></p>
  <label class="lm-rec" data-el="recordingLabel" hidden title="A recorded migration of real QEMU in the model’s place, and the model’s run beside it">Recorded run <select data-el="recording"></select></label></section>`;

function timePanel(/** @type {string} */ uid) {
  const button = (/** @type {string} */ el, /** @type {string} */ label, /** @type {string} */ words) => `<button data-el="${el}" aria-label="${label}">${words}</button>`;
  return `<section class="lm-p a-time" aria-labelledby="${uid}h-time"><div class="lm-tr" role="group" aria-label="Time">
    <button class="play" data-el="play">${ICONS.play} Play</button>
    ${button("previousPass", "Previous pass", `${ICONS.previousPass} pass`)}${button("previous", "Previous event", `${ICONS.previous} event`)}
    ${button("next", "Next event", `event ${ICONS.next}`)}${button("nextPass", "Next pass", `pass ${ICONS.nextPass}`)}
    <label>Speed <select data-el="speed"><option value=".25">¼ ×</option><option value="1" selected>1 ×</option><option value="4">4 ×</option></select></label>
    <label title="Seconds, with a lens on the switchover; or the same width for each event">Axis <select data-el="axis"><option value="time">time</option><option value="step">even steps</option></select></label>
    <span class="pos" data-el="position"></span></div>
    <div class="lm-scrub"><input type="range" data-el="scrub" min="0" max="1" step="0.0005" aria-label="Time cursor"></div>
    <h3 id="${uid}h-time" class="sr">Timeline, pending and threshold</h3>
    <div class="lm-plot"><canvas data-el="shapes" aria-hidden="true"></canvas><svg data-el="time" role="img" aria-label=""></svg></div><div class="lm-leg" data-el="legend"></div></section>`;
}

const sequencePanel = (/** @type {string} */ uid) => `<section class="lm-p a-seq" aria-labelledby="${uid}h-seq">
  <header><h3 id="${uid}h-seq">Sequence</h3><span class="mute" data-el="version"></span></header><svg data-el="sequence" role="img" aria-label=""></svg>
  <ol class="lm-stack" data-el="stack" aria-label="Call stack at the cursor"></ol><p class="lm-file" data-el="file"></p></section>`;

const memoryPanel = (/** @type {string} */ uid) => `<section class="lm-p a-mem" aria-labelledby="${uid}h-mem">
  <header><h3 id="${uid}h-mem">Guest RAM</h3><span class="mute" data-el="mapScale"></span></header>
  <canvas data-el="map" role="img" aria-label=""></canvas>${mapLegend()}<p class="lm-note" data-el="mapNote"></p></section>`;

function mapLegend() {
  const box = (/** @type {string} */ marks) => `<svg width="14" height="12" viewBox="0 0 14 12" aria-hidden="true">${marks}</svg>`;
  const sent = '<rect width="14" height="12" fill="var(--send-t)"/>';
  const kinds = [
    ['<rect x=".5" y=".5" width="13" height="11" fill="none" stroke="var(--edge)"/>', "clean"],
    ['<rect y="4" width="14" height="8" fill="var(--dirty)"/>', "dirty, by its share"],
    [sent, "sent"],
    [`${sent}<rect x="3" y="5" width="8" height="2" fill="var(--send)"/>`, "sent twice"],
    [`${sent}<rect x="3" y="2" width="8" height="2" fill="var(--send)"/><rect x="3" y="8" width="8" height="2" fill="var(--send)"/>`, "more often"],
    ['<rect x="1" y="1" width="12" height="10" fill="none" stroke="var(--its)" stroke-width="2"/>', "ITS tables"],
  ];
  return `<div class="lm-leg">${kinds.map(([marks, words]) => `<span>${box(marks)}${words}</span>`).join("")}</div>`;
}

const itsPanel = (/** @type {string} */ uid) => `<section class="lm-p a-its" aria-labelledby="${uid}h-its">
  <header><h3 id="${uid}h-its">ITS table bytes</h3><label data-el="tableLabel">Table <select data-el="table"></select></label></header>
  <div class="lm-hexwrap" data-el="hexWrap" tabindex="0" role="region" aria-label="Table entries"><table class="lm-hex" data-el="hex"></table></div>
  <svg data-el="bits" role="img" aria-label=""></svg><div class="lm-fields" data-el="fields"></div><p class="lm-note" data-el="itsNote"></p></section>`;

const footer = (/** @type {string} */ uid) => `<details class="lm-alt"><summary>This picture as a table</summary>
  <div data-el="alternative" role="region" aria-label="Passes as a table" tabindex="0"></div></details>
  <dialog data-el="help" aria-labelledby="${uid}h-help"><h3 id="${uid}h-help">Keys</h3>
  <p>They work while the stage has the focus: in JupyterLab click the picture first.</p>
  <dl>${KEYS.map(([keys, what]) => `<dt>${keys}</dt><dd>${what}</dd>`).join("")}</dl><form method="dialog"><button>Close</button></form></dialog>`;

const sign = (/** @type {number} */ q, /** @type {string} */ marks) => `<svg width="${26 * q}" height="${12 * q}" viewBox="0 0 26 12" aria-hidden="true">${marks}</svg>`;

/** Only marks that cannot be labelled in place. @param {number} q @param {string} pinned name of the run beside it (HTML), or "" */
export function legendHtml(q, pinned) {
  const dashed = sign(q, '<path d="M0 6H26" stroke="var(--mute)" stroke-width="1.3" stroke-dasharray="4 2.5"/>');
  return [
    `<span>${sign(q, '<path d="M0 3H9V9H26" fill="none" stroke="var(--dirty)" stroke-width="2"/>')}estimate</span>`,
    `<span>${sign(q, '<path d="M13 1l5 5l-5 5l-5-5Z" fill="var(--paper)" stroke="var(--dirty)" stroke-width="1.8"/>')}exact, after a sync</span>`,
    pinned ? `<span>${dashed}${pinned}: pending, passes</span>` : "",
    `<span>${sign(q, '<rect x="3" y="1" width="4" height="10" fill="var(--send)"/><rect x="10" y="1" width="6" height="10" fill="var(--its)"/><rect x="18" y="1" width="5" height="10" fill="var(--edge)"/>')}thread: sends, stops the VM, device state</span>`,
  ].join("");
}
