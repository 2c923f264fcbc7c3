"""The stage: one migration as sequence diagram, timeline, pending curve, call stack and ITS bytes, with a time cursor.

Theory of operation. The browser draws; the kernel computes. A moved slider becomes one message `simulate` with the
changed inputs; Python sets the traits, calls the `simulate` function it was given and answers by changing `_packed`
(the new trace, see `wire`) and `_status` (which message is answered, and what was wrong with it). The browser keeps one
message in flight and sends only the newest after it. Python code that sets an input or `stage.trace` takes the same way
without a message. This room knows neither engine nor lab: whoever makes a Stage hands both in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from livemig.draw.inputs import INPUTS, controls, scenario_values
from livemig.draw.modules import script, style
from livemig.draw.wire import pack
from livemig.its.layout import LAYOUTS
from livemig.trace import Trace

__all__ = ["Stage"]

Simulate = Callable[[dict[str, Any]], Trace]
_NAMES = tuple(item.name for item in INPUTS)


def _number() -> Any:
    return traitlets.Float(None, allow_none=True).tag(sync=True)


def _whole() -> Any:
    return traitlets.Int(None, allow_none=True).tag(sync=True)


def _choice() -> Any:
    return traitlets.Unicode(None, allow_none=True).tag(sync=True)


class Stage(anywidget.AnyWidget):
    """Draws `trace`, and a new one whenever an input changes.

    trace: the run to draw; without it `simulate` computes one from `scenario`.
    simulate: called with a dictionary of all Scenario fields, returns a Trace; a ValueError's text shows in the stage.
    scenario: the Scenario whose values the controls start from and whose field metadata gives their labels and ranges.
    recorded: another Trace, drawn dashed and grey beside the run, with exact differences in words.

    Every input and `cursor_s` is a trait (bytes, seconds, bytes per second) and can be linked with other widgets;
    `trace` is the current Trace, and setting it draws another. Raises ValueError when there is nothing to draw.
    """

    _esm = script()
    _css = style()

    dirty_rate_bytes_per_s = _number()
    bandwidth_bytes_per_s = _number()
    switchover_rule = _choice()
    downtime_limit_s = _number()
    fixed_threshold_bytes = _whole()
    ram_bytes = _whole()
    working_set_bytes = _whole()
    pattern = _choice()
    qemu_version = _choice()
    save_tables_when = _choice()
    cursor_s = traitlets.Float(0.0).tag(sync=True)

    trace = traitlets.Instance(Trace)

    _packed = traitlets.Dict().tag(sync=True)
    _pinned = traitlets.Dict().tag(sync=True)
    _status = traitlets.Dict().tag(sync=True)
    _controls: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _layouts = traitlets.Dict().tag(sync=True)

    def __init__(self, trace: Trace | None = None, *, simulate: Simulate | None = None, scenario: Any = None,
                 recorded: Trace | None = None) -> None:
        if (simulate is None) != (scenario is None):
            raise ValueError("simulate and scenario go together: the controls' labels and values are the scenario's")
        self._simulate = simulate
        self._values = scenario_values(scenario) if scenario is not None else {}
        shown = trace if trace is not None else simulate(dict(self._values)) if simulate is not None else recorded
        if shown is None:
            raise ValueError("nothing to draw: give a trace, a recorded trace, or simulate with a scenario")
        super().__init__(
            trace=shown, _packed=pack(shown), _status={"reply": "", "error": ""}, cursor_s=_still_s(shown),
            _pinned=pack(recorded) if recorded is not None and recorded is not shown else {},
            _controls=controls(scenario) if scenario is not None else [], _layouts=_layouts(),
            **{name: self._values[name] for name in _NAMES if name in self._values})
        self._simulated = self._inputs()
        self.observe(self._inputs_changed, names=list(_NAMES))
        self.observe(self._send_trace, names=["trace"])
        self.on_msg(self._message)

    # -- inputs -> trace -------------------------------------------------------------------------------------------
    def _inputs(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _NAMES}

    def _message(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        """`simulate` from the browser: inputs that changed there. Always answered, also when it fails."""
        if content.get("type") != "simulate":
            return
        reply = str(content.get("id", ""))
        try:
            changed = {name: value for name, value in content["inputs"].items() if name in _NAMES}
            self._simulated = self._inputs() | changed
            with self.hold_sync():
                with self.hold_trait_notifications():  # or each of them would compute a run of its own
                    for name, value in changed.items():
                        setattr(self, name, value)
                self._compute(reply)
        except Exception as error:  # whatever went wrong, the browser waits for an answer
            self._status = {"reply": reply, "error": _error_text(error)}

    def _inputs_changed(self, _: Any) -> None:
        """An input set by Python or by a linked widget; the error is shown in the stage and raised here."""
        if self._simulate is None or self._inputs() == self._simulated:
            return
        self._simulated = self._inputs()
        try:
            self._compute("")
        except ValueError as error:
            self._status = {"reply": "", "error": _error_text(error)}
            raise

    def _compute(self, reply: str) -> None:
        if self._simulate is None:
            raise ValueError("this stage draws a trace that was handed in; it has nothing to compute with")
        trace = self._simulate(self._values | self._inputs())
        with self.hold_sync():
            self.trace = trace
            self._status = {"reply": reply, "error": ""}

    def _send_trace(self, change: Mapping[str, Any]) -> None:
        self._packed = pack(change["new"])

    # -- where no JavaScript runs ------------------------------------------------------------------------------------
    def describe(self) -> str:
        """The outcome in one sentence, for readers without the picture."""
        return describe(self.trace)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"] = self.describe()
        return bundle


def describe(trace: Trace) -> str:
    """How a run ended, in words: status, times, bytes, passes and its marks."""
    outcome = trace.outcome
    total_s = trace.end_s if outcome.total_time_s is None else outcome.total_time_s
    parts = [f"Live migration, {trace.meta.get('source', 'run')}: {outcome.status} after {total_s:.3f} s"]
    if outcome.downtime_s is not None:
        parts.append(f"VM stopped for {outcome.downtime_s * 1e3:.1f} ms")
    if outcome.transferred_bytes is not None:
        parts.append(f"{outcome.transferred_bytes / (1 << 20):.1f} MiB sent")
    if outcome.dirty_sync_count is not None:
        parts.append(f"{outcome.dirty_sync_count} passes")
    marks = ", ".join(f"{mark.label} {mark.t_s:.6f} s" for mark in trace.marks() if mark.label.startswith(("T0", "Tn")))
    reason = f" {outcome.reason}." if outcome.reason else ""
    return ", ".join(parts) + "." + reason + (f" {marks}." if marks else "")


def _error_text(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _still_s(trace: Trace) -> float:
    """Where the cursor stands first: the moment that the whole story leads to."""
    moments = [e.t_s for e in trace.select("its", "SAVE_TABLES") if e.lane != "dst"]
    stop_s = trace.mark("Tn+2")
    return moments[-1] if moments else stop_s if stop_s is not None else 0.6 * trace.end_s


def _layouts() -> dict[str, Any]:
    """The bit layouts by name, as the browser colours and explains them."""
    every = {layout.name: layout for kinds in LAYOUTS.values() for layout in kinds.values()}
    return {name: {"size_bytes": layout.size_bytes, "fields": [
        {"name": f.name, "letter": f.letter, "hi": f.hi, "lo": f.lo, "shift": f.shift, "meaning": f.meaning}
        for f in layout.fields]} for name, layout in every.items()}
