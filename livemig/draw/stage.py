"""The stage: one migration as sequence diagram, timeline, pending curve, call stack and ITS bytes, with a time cursor.

Theory of operation. With `tables` the browser computes: a moved slider becomes a run by `static/model.js`, drawn in the
same frame, and only the input traits travel to Python, one update in flight, newest wins (ipywidgets does that). The
kernel stays the reference: `trace` is computed from the inputs when somebody asks, at once where somebody observes it.
`_shown` says what the picture is: "" the inputs' run, "trace" one that Python pushed (`_packed`), else a recording's
name, whose packed trace lies in `_library`.

Without `tables` the kernel computes: a moved slider becomes one message `simulate` with the changed inputs, answered by
`_packed` and `_status` (which message, and what was wrong with it); the browser keeps one in flight. This room knows
neither engine nor lab: whoever makes a Stage hands in what it needs of them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from livemig.draw.export import page, picture
from livemig.draw.inputs import INPUTS, controls, scenario_values
from livemig.draw.modules import script, style
from livemig.draw.presets import LECTURE, Preset, whole
from livemig.draw.wire import pack
from livemig.its.layout import LAYOUTS
from livemig.trace import Trace

__all__ = ["Stage", "describe"]

Simulate = Callable[[dict[str, Any]], Trace]
Tables = Callable[[dict[str, Any]], dict[str, Any]]
_NAMES = tuple(item.name for item in INPUTS)


def _number() -> Any:
    return traitlets.Float(None, allow_none=True).tag(sync=True)


def _whole() -> Any:
    return traitlets.Int(None, allow_none=True).tag(sync=True)


def _choice() -> Any:
    return traitlets.Unicode(None, allow_none=True).tag(sync=True)


class Stage(anywidget.AnyWidget):
    """Draws `trace`, and a new one whenever an input changes.

    trace: the run to draw; without it that of `scenario`.
    simulate: called with a dictionary of all Scenario fields, returns a Trace; a ValueError's text shows in the stage.
    scenario: the Scenario whose values the controls start from and whose field metadata gives their labels and ranges.
    tables: called with the fields, returns what model.js needs (`livemig.engine.model_tables`); then the browser
        computes, which needs no kernel. Not for a `simulate` that does something else than `livemig.simulate`.
    recorded: another Trace, drawn dashed and grey beside the run, with exact differences in words.
    presets: scenarios to choose by button or key. recordings, recording: names that can be chosen, and name -> Trace.

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
    _fields = traitlets.Dict().tag(sync=True)
    _tables = traitlets.Dict().tag(sync=True)
    _presets: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _recordings: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _library = traitlets.Dict().tag(sync=True)
    _shown = traitlets.Unicode("").tag(sync=True)

    def __init__(self, trace: Trace | None = None, *, simulate: Simulate | None = None, scenario: Any = None,
                 tables: Tables | None = None, recorded: Trace | None = None, presets: Sequence[Preset] = LECTURE,
                 recordings: Sequence[str] = (), recording: Callable[[str], Trace] | None = None) -> None:
        if (simulate is None) != (scenario is None):
            raise ValueError("simulate and scenario go together: the controls' labels and values are the scenario's")
        self._simulate, self._tables_of, self._recording = simulate, tables, recording
        self._from_browser = False
        values = scenario_values(scenario) if scenario is not None else {}
        first = trace if trace is not None else simulate(dict(values)) if simulate is not None else recorded
        if first is None:
            raise ValueError("nothing to draw: give a trace, a recorded trace, or simulate with a scenario")
        local = tables is not None and simulate is not None and not values.get("contents")
        own = local and trace is None
        super().__init__(
            trace=first, _shown="" if trace is None and simulate is not None else "trace",
            _packed={} if own else pack(first), cursor_s=_still_s(first),
            _status={"reply": "", "error": ""},
            _pinned=pack(recorded) if recorded is not None and recorded is not first else {},
            _controls=controls(scenario) if scenario is not None else [], _layouts=_layouts(), _fields=values,
            _tables=tables(dict(values)) if local and tables is not None else {},
            _presets=whole(presets, scenario) if simulate is not None else [],
            _recordings=list(recordings) if recording is not None else [],
            **{name: values[name] for name in _NAMES if name in values})
        self._simulated = self._inputs()
        self.observe(self._inputs_changed, names=[*_NAMES, "_fields", "_shown"])
        self.observe(self._trace_set, names=["trace"])
        self.on_msg(self._message)

    # -- inputs -> trace -------------------------------------------------------------------------------------------
    def _inputs(self) -> dict[str, Any]:
        """All fields of the Scenario, and which recording is shown instead."""
        named = {name: getattr(self, name) for name in _NAMES} if self._simulate is not None else {}
        return {**self._fields, **named, "_shown": self._shown}

    def _fields_now(self) -> dict[str, Any]:
        return {name: value for name, value in self._inputs().items() if name != "_shown"}

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """A change that comes from the browser (ipywidgets calls this): nothing is computed until somebody asks."""
        self._from_browser = True
        try:
            super().set_state(sync_data)
        finally:
            self._from_browser = False

    @traitlets.default("trace")
    def _computed_trace(self) -> Trace:
        """The reference: the kernel's own run of the present inputs, or the recording that is shown."""
        if self._shown not in ("", "trace") and self._recording is not None:
            return self._recording(self._shown)
        if self._simulate is None:
            raise ValueError("this stage draws a trace that was handed in; it has nothing to compute with")
        return self._simulate(self._fields_now())

    def _message(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        """From the browser: `simulate` with inputs that changed there, or `recording`. Always answered."""
        answers = {"simulate": self._answer_inputs, "recording": self._answer_recording}
        answer = answers.get(str(content.get("type")))
        if answer is None:
            return
        reply = str(content.get("id", ""))
        try:
            answer(content, reply)
        except Exception as error:  # whatever went wrong, the browser waits for an answer
            self._status = {"reply": reply, "error": _error_text(error)}

    def _answer_inputs(self, content: Mapping[str, Any], reply: str) -> None:
        changed = {name: value for name, value in content["inputs"].items() if name in _NAMES}
        fields = content.get("fields")
        self._simulated = {**self._inputs(), **(fields or {}), **changed, "_shown": ""}
        with self.hold_sync():
            with self.hold_trait_notifications():  # or each of them would compute a run of its own
                if fields:
                    self._fields = {**self._fields, **fields}
                self._shown = ""
                for name, value in changed.items():
                    setattr(self, name, value)
            self._compute(reply, send=True)

    def _answer_recording(self, content: Mapping[str, Any], reply: str) -> None:
        name = str(content["name"])
        if self._recording is None or name not in self._recordings:
            raise ValueError(f"no recording {name!r} on this stage; it has {', '.join(self._recordings) or 'none'}")
        with self.hold_sync():
            self.embed(name)
            self._status = {"reply": reply, "error": ""}

    def embed(self, *names: str) -> None:
        """Take recordings into the stage, so that `to_html()` has them without a kernel. Raises what loading raises."""
        if self._recording is None:
            raise ValueError("this stage was made without recordings")
        missing = [name for name in names if name not in self._library]
        self._library = {**self._library, **{name: pack(self._recording(name)) for name in missing}}

    def _inputs_changed(self, change: Mapping[str, Any]) -> None:
        """An input changed. By Python or a link: computed now, an error shows in the stage and is raised here."""
        if self._inputs() == self._simulated or self._simulate is None:
            return
        if not self._from_browser and self._shown and change["name"] != "_shown":
            self._shown = ""  # what was shown gives way to the inputs' run; comes back here
            return
        self._simulated = self._inputs()
        if self._tables and self._from_browser:
            self._forget_trace()
            return
        try:
            self._compute("")
        except ValueError as error:
            self._status = {"reply": "", "error": _error_text(error)}
            raise

    def _forget_trace(self) -> None:
        """The next one who asks for `trace` has it computed; who observes it gets it now."""
        self._fit_tables()
        if self._trait_notifiers.get("trace", {}).get("change") != [self._trace_set]:
            try:
                self._compute("")
            except ValueError as error:  # the browser has shown the same sentence already
                self._status = {"reply": "", "error": _error_text(error)}
        else:
            self._trait_values.pop("trace", None)

    def _fit_tables(self) -> None:
        """Other numbers of devices or events need other tables."""
        fields = self._fields_now()
        made = self._tables.get("its") or {"devices": 0, "events": 1}
        wanted = (fields.get("its_devices"), fields.get("its_events_per_device"))
        if self._tables_of is not None and wanted[0] and wanted != (made["devices"], made["events"]):
            self._tables = self._tables_of(fields)

    def _compute(self, reply: str, send: bool = False) -> None:
        trace = self._computed_trace()
        self._fit_tables()
        with self.hold_sync():
            self._pushing = False
            try:
                self.trace = trace
            finally:
                self._pushing = True
            if send or not self._tables:
                self._packed = pack(trace)
            self._status = {"reply": reply, "error": ""}

    _pushing = True

    def _trace_set(self, change: Mapping[str, Any]) -> None:
        """Python pushed a Trace (not: one was computed from the inputs)."""
        if self._pushing:
            with self.hold_sync():
                self._packed = pack(change["new"])
                self._shown = "trace"
            self._simulated = self._inputs()

    # -- where no JavaScript runs ------------------------------------------------------------------------------------
    def describe(self) -> str:
        """The outcome in one sentence, for readers without the picture."""
        return describe(self.trace)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"] = self.describe()
            data["image/png"] = base64.b64encode(picture(self.trace)).decode("ascii")
        return bundle

    def to_html(self, file: str | Path | None = None, title: str = "Live migration") -> str:
        """The stage as one HTML page that needs neither network nor kernel; also written to `file` if one is given.

        Sliders work where `tables` were given. Recordings are those taken in by `embed` or chosen before.
        """
        text = page(self.get_state(), title, self.describe())
        if file is not None:
            Path(file).write_text(text, encoding="utf-8")
        return text


def describe(trace: Trace) -> str:
    """How a run ended, in words: status, times, bytes, bitmap syncs and its marks."""
    outcome = trace.outcome
    total_s = trace.end_s if outcome.total_time_s is None else outcome.total_time_s
    parts = [f"Live migration, {trace.meta.get('source', 'run')}: {outcome.status} after {total_s:.3f} s"]
    if outcome.downtime_s is not None:
        parts.append(f"VM stopped for {outcome.downtime_s * 1e3:.1f} ms")
    if outcome.transferred_bytes is not None:
        parts.append(f"{outcome.transferred_bytes / (1 << 20):.1f} MiB sent")
    if outcome.dirty_sync_count is not None:
        parts.append(f"{outcome.dirty_sync_count} bitmap syncs")
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
