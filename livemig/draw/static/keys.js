// What a key does in the stage. Pure; `key`, `shift` and the element that has the focus in, a name out.

/** Keys that stay JupyterLab's and the browser's. */
const FOREIGN = ["Escape", "Tab", "Enter"];

const ACTIONS = {
  " ": "play", ".": "play", PageDown: "next", PageUp: "previous", "?": "keys", p: "pin", P: "pin", l: "large", L: "large",
  Home: "first", End: "last", ArrowRight: "next", ArrowLeft: "previous",
};
const SHIFTED = { ArrowRight: "nextPass", ArrowLeft: "previousPass" };

/** Whether the stage keeps a key to itself: every plain one, or JupyterLab would cut cells and eat arrows. */
export const keepsKey = (/** @type {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean}} */ e) =>
  !(e.ctrlKey || e.metaKey || e.altKey || FOREIGN.includes(e.key));

/**
 * @param {string} key @param {boolean} shift
 * @param {{tag: string, type: string, scrubber: boolean}} focus the element under the keys
 * @returns {string | null} a button's name, first, last, preset1 ...; null leaves the key to that element
 */
export function actionOf(key, shift, focus) {
  if (focus.tag === "SELECT" || focus.type === "number") return null;
  if (key === " " && (focus.tag === "BUTTON" || focus.tag === "SUMMARY" || focus.type === "checkbox")) return null;
  if (focus.type === "range" && !focus.scrubber && /^(Arrow|Home|End|Page)/.test(key)) return null;
  if (/^[1-9]$/.test(key)) return `preset${key}`;
  return (shift ? SHIFTED[key] : null) ?? ACTIONS[key] ?? null;
}
