"""Measuring a slider in a page: from the trusted input to the task after the frame that shows another picture.

One keyboard move at a time, a drag of 180 mouse moves asked at 60 a second, five seconds
of playing. Everything is told with the machine's load, and with the frames that an idle animation gets beside it.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import asdict, dataclass

from playwright.sync_api import Page

MOVES = 60
DRAG_MOVES = 180
DRAG_STEP_PX = 1.8

_HOOK = """([picture, image]) => {
  const M = window.livemigBench = { input: null, paints: [], inputs: [] };
  let waiting = false;
  const changed = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false; // the next change belongs to the next frame, also when it comes before this message
      const channel = new MessageChannel();
      channel.port1.onmessage = () => M.paints.push(performance.now());
      channel.port2.postMessage(0);
    });
  };
  for (const kind of ['keydown', 'pointermove']) {
    document.addEventListener(kind, () => M.inputs.push(performance.now()), true);
  }
  if (!image) {
    // The stage paints on canvases, which no observer sees: a painting is another one if its shapes differ.
    const proto = CanvasRenderingContext2D.prototype;
    let sum = 0, last = 0, painting = false;
    const watch = (name, what) => {
      const call = proto[name];
      proto[name] = function (...numbers) {
        if (this.canvas.matches(picture)) what(numbers);
        return call.apply(this, numbers);
      };
    };
    const compare = () => { if (sum !== last) changed(); last = sum; sum = 0; painting = false; };
    const add = (numbers) => {
      if (!painting) queueMicrotask(compare);
      painting = true;
      for (const n of numbers) sum = (sum * 31 + n) % 1e9;
    };
    for (const name of ['fillRect', 'strokeRect', 'moveTo', 'lineTo']) watch(name, add);
    return;
  }
  const seen = (records) => {
    for (const r of records) for (const n of r.addedNodes) {
      const img = n.nodeName === 'IMG' ? n : n.querySelector?.('img');
      if (img) img.decode().then(changed, changed);
    }
  };
  new MutationObserver(seen).observe(document.body, { childList: true, subtree: true });
}"""


@dataclass(frozen=True)
class Figures:
    """Milliseconds and frames a second; `load` is the 1-minute load before and after."""

    moves: int
    median_ms: float
    p95_ms: float
    drag_fps: float
    drain_ms: float
    load: tuple[float, float]

    def line(self, name: str) -> str:
        """One line for the report."""
        values = asdict(self)
        load = values.pop("load")
        return (f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in values.items())
                + f", load {load[0]:.1f}-{load[1]:.1f}")


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return sorted(values)[min(len(values) - 1, round(0.95 * (len(values) - 1)))]


def slider_figures(page: Page, slider: str, picture: str = ".lm canvas[data-el=shapes]", *, image: bool = False,
                   moves: int = MOVES) -> Figures:
    """Move the slider (a selector) by keys and by mouse; `picture` changes, or with `image` a new <img> comes."""
    before = os.getloadavg()[0]
    handle = page.locator(slider).first
    handle.scroll_into_view_if_needed()
    page.evaluate(_HOOK, [picture, image])
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(300)
    latencies = [_one_move(page, "ArrowRight" if i % 20 < 14 else "ArrowLeft") for i in range(moves)]
    fps, drain = _drag(page, slider)
    return Figures(len(latencies), round(statistics.median(latencies), 1), round(p95(latencies), 1), round(fps, 1),
                   round(drain, 1), (before, os.getloadavg()[0]))


def _one_move(page: Page, key: str) -> float:
    page.evaluate("() => { livemigBench.inputs = []; livemigBench.paints = []; }")
    page.keyboard.press(key)
    page.wait_for_function("() => livemigBench.paints.length && performance.now() - livemigBench.paints.at(-1) > 120",
                           timeout=15_000, polling=25)
    first = "() => { const i = livemigBench.inputs[0]; return livemigBench.paints.find(p => p >= i) - i; }"
    return float(page.evaluate(first))


def _drag(page: Page, slider: str) -> tuple[float, float]:
    box = page.locator(slider).first.bounding_box()
    assert box
    handle_only = box["width"] < 40  # noUiSlider: its handle is what is dragged
    x = box["x"] + (box["width"] / 2 if handle_only else 0.3 * box["width"])
    y = box["y"] + box["height"] / 2
    reach = 60 if handle_only else 0.4 * box["width"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.wait_for_timeout(400)
    page.evaluate("() => { livemigBench.inputs = []; livemigBench.paints = []; }")
    start = time.monotonic()
    for k in range(DRAG_MOVES):
        time.sleep(max(0.0, start + k / 60 - time.monotonic()))
        page.mouse.move(x + _there_and_back(DRAG_STEP_PX * (k + 1), reach), y)
    last = page.evaluate("() => livemigBench.inputs.at(-1)")
    page.mouse.up()
    page.wait_for_timeout(1500)
    paints, first = page.evaluate("() => [livemigBench.paints, livemigBench.inputs[0]]")
    during = [t for t in paints if t <= last]
    after = [t for t in paints if last < t < last + 1000]
    return len(during) / max(0.001, (last - first) / 1000), (after[-1] - last if after else 0.0)


def _there_and_back(way: float, reach: float) -> float:
    """Each move changes the slider's value: a short slider is dragged to and fro."""
    turn = way % (2 * reach)
    return min(turn, 2 * reach - turn)


def playback_gaps(page: Page, running: str, most_ms: float) -> list[float]:
    """Milliseconds between frames for so long: of the page as it is, started by the JavaScript `running`."""
    gaps = page.evaluate(
        "([code, most]) => new Promise(done => { eval(code); const t = []; const f = (now) => { t.push(now);"
        " if (now - t[0] < most) requestAnimationFrame(f); else done(t.slice(1).map((x, i) => x - t[i])); };"
        " requestAnimationFrame(f); })", [running, most_ms])
    return [float(g) for g in gaps]
