"""The sequence diagram as data: its rows, told from what the Trace has; a row whose event is missing is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from livemig.draw.units import count, size
from livemig.trace import Event, Trace

__all__ = ["Row", "story"]

CHAIN = (("migration_completion", "migration"), ("migration_completion_precopy", "migration"),
         ("migration_stop_vm", "migration"), ("vm_stop_force_state", "vm"), ("vm_stop", "vm"), ("do_vm_stop", "vm"),
         ("vm_state_notify", "vm"), ("vm_change_state_handler", "its"))
"""The chain of the switchover: function, and the lifeline it acts on (all of it runs in the migration thread)."""


@dataclass(frozen=True)
class Row:
    """One line of the diagram.

    `kind`: call (opens an activation bar), step (does not), enter (opens one on the target), message, return (closes
    the bars of `source`), pop (closes its innermost one), note, loop, alt, else, end. `stops` and `resumes` change the
    VM's lifeline.
    """

    kind: str
    source: str = "migration"
    target: str = "migration"
    text: str = ""
    mark: str = ""
    stops: bool = False
    resumes: bool = False


class _Teller:
    """Reads a Trace once and answers what the rows need."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.calls = {e.name for e in trace.select("call") if e.lane != "dst"}
        self.stop_s = trace.mark("Tn+2")
        # By place, not by time: the model's last count and its stop have the same time.
        stops = [i for i, e in enumerate(trace.events) if e.kind == "mark" and e.name == "Tn+2"]
        at = stops[0] if stops else len(trace.events)
        self.early, self.late = trace.events[:at], trace.events[at:]
        self.decided_s = trace.mark("Tn+1")
        self.final_s = trace.mark("Tn+3")
        self.bursts = [e for e in trace.select("send", "ram") if e.lane == "migration"]
        self.last_burst_s = max((e.t_s for e in self.bursts), default=0.0)
        self.saves = [e for e in trace.events if e.kind == "its" and e.lane == "its" and "SAVE" in e.name]

    def before_stop(self, event: Event) -> bool:
        return self.stop_s is None or event.t_s < self.stop_s

    def waiting_at_the_event(self) -> set[str]:
        """The source's functions that had been called, and had not returned, when the stop's event STOP was sent."""
        waiting: list[str] = []
        for event in self.late:
            if event.lane == "dst":
                continue
            if event.kind == "event" and event.name == "STOP":
                break
            if event.kind == "call":
                waiting.append(event.name)
            elif event.kind == "return" and event.name in waiting:
                waiting.remove(event.name)
        return set(waiting)

    def saved(self, low_s: float | None, high_s: float | None) -> list[Event]:
        low = -1.0 if low_s is None else low_s
        high = float("inf") if high_s is None else high_s
        return [e for e in self.saves if low <= e.t_s < high]


def story(trace: Trace) -> list[Row]:
    """The rows from T0 to the end, in the order of the Trace."""
    teller = _Teller(trace)
    if trace.mark("T0") is None:
        return list(_without_migration(trace))
    return [*_start(teller), *_loop(teller), *_interrupted(teller, before=True), *_stop(teller), *_pause(teller),
            *_last(teller),
            *_interrupted(teller, before=False), *_end(teller)]


def _start(t: _Teller) -> Iterator[Row]:
    yield Row("message", "user", "migration", "migrate", "T0")
    yield Row("note", text="thread starts; the VM runs on")
    early = t.saved(None, t.trace.mark("T1"))
    if early:
        yield from _save_rows(early, "migration")
        yield Row("return", "its", "migration")


def _loop(t: _Teller) -> Iterator[Row]:
    number = sum(1 for p in t.trace.passes() if not p.final)
    if not number:
        return
    marks = "T1" if number == 1 else f"T1…T{number}"
    yield Row("loop", text=f"pre-copy: {count(number, 'pass')}")
    if "migration_iteration_run" in t.calls:
        yield Row("step", text="migration_iteration_run()", mark=marks)
        marks = ""
    counted = {e.name for e in t.trace.select("pending")}
    syncs = sum(1 for e in t.early if e.kind == "sync")
    yield Row("step", text=f"bitmap sync: {count(syncs, 'time')}", mark=marks)
    if counted:
        yield Row("step", text="pending: " + ("estimate, then exact" if len(counted) > 1 else counted.pop()))
    in_loop = t.saved(t.trace.mark("T1"), t.stop_s)
    if in_loop:
        yield Row("message", "migration", "its", f"SAVE_TABLES, too early: {len(in_loop)} ×")
    sent = [e for e in t.bursts if t.before_stop(e)]
    yield Row("alt", text="[ pending ≥ threshold ]")
    yield Row("step", text=f"send {size(sum(e.data.get('bytes', 0) for e in sent))} in {count(len(sent), 'burst')}")
    yield Row("note", "vm", "vm", "VM runs, dirties pages")
    if t.decided_s is not None:
        yield Row("else", text="[ pending < threshold ]")
        yield Row("step", text="converged: get ready to stop", mark="Tn+1")
    yield Row("end")
    yield Row("end")


def _stop(t: _Teller) -> Iterator[Row]:
    if t.stop_s is None:
        return
    saves = t.saved(t.stop_s, t.final_s)
    at, mark = "migration", "Tn+2"
    for name, lane in CHAIN:
        if name == "vm_stop_force_state" and name not in t.calls and (change := _runstate_change(t)):
            yield Row("message", at, "vm", change, mark)
            at, mark = "vm", ""
        if name not in t.calls or (lane == "its" and not saves):
            continue
        here = mark if name in ("migration_stop_vm", "vm_stop_force_state") else ""
        mark = "" if here else mark
        yield Row("call" if lane == at else "enter", at, lane, f"{name}()", here, stops=name == "vm_state_notify")
        at = lane
        if name == "vm_state_notify":
            yield Row("note", "vm", "vm", "VM stopped")
    if saves:
        yield from _save_rows(saves, at)
        yield Row("return", "its", "vm")
    yield from _stop_is_told(t)
    if "migration_stop_vm" in t.calls:
        yield Row("pop")


def _stop_is_told(t: _Teller) -> Iterator[Row]:
    """The event STOP and the return to the migration thread, in the Trace's order: a function of the VM's that is still
    running sends it (`do_vm_stop`, after its handlers); where none was seen, the thread does.
    """
    back = Row("return", "vm", "migration")
    told = any(e.name == "STOP" and e.kind == "event" and e.lane != "dst" for e in t.late)
    waiting = t.waiting_at_the_event()
    inside = [name for name, lane in CHAIN if lane == "vm" and name in waiting]
    if not told or not inside:
        yield from [back, Row("message", "migration", "user", "event STOP")] if told else [back]
        return
    over = sum(lane == "vm" and name in t.calls and name not in waiting for name, lane in CHAIN)
    yield from [Row("pop", "vm")] * over
    yield from [Row("message", "vm", "user", "event STOP"), back]


def _pause(t: _Teller) -> Iterator[Row]:
    """pause-before-switchover: the VM stands already, QEMU waits for the user."""
    for event in t.trace.events:
        if event.kind == "state" and event.data.get("new") == "pre-switchover" and event.lane != "dst":
            yield Row("step", text="state: pre-switchover, waits for the user")
        elif event.kind == "command" and event.name == "migrate-continue":
            yield Row("message", "user", "migration", "migrate-continue")


def _without_migration(trace: Trace) -> Iterator[Row]:
    """A run without a migration: what the user did, and each stop's handlers."""
    for event in trace.events:
        if event.kind == "command":
            yield Row("message", "user", "vm", event.name)
        elif event.kind == "call" and event.name == "vm_state_notify":
            running = bool(event.data.get("running"))
            kind = "step" if running else "call"
            yield Row(kind, "vm", "vm", "vm_state_notify()", stops=not running, resumes=running)
        elif event.kind == "its" and event.lane == "its" and "SAVE" in event.name:
            yield Row("message", "vm", "its", event.name)
        elif event.kind == "event" and event.name == "STOP" and event.lane != "dst":
            yield Row("pop", "vm")


def _runstate_change(t: _Teller) -> str:
    for event in t.trace.select("state", "runstate"):
        if event.lane != "dst" and event.t_s >= (t.stop_s or 0.0):
            return f"runstate: {event.data['old']} → {event.data['new']}"
    return ""


def _save_rows(saves: list[Event], at: str) -> Iterator[Row]:
    """The handler's calls into the kernel, and the pages that they made dirty."""
    if not saves:
        return
    for save in saves:
        yield Row("step" if at == "its" else "enter", at, "its", save.name)
        at = "its"
    pages = sum(len(save.data.get("pages", ())) for save in saves)
    yield Row("note", "its", "its", "tables → guest RAM" + (f": {count(pages, 'page')}" if pages else ""))


def _last(t: _Teller) -> Iterator[Row]:
    if t.final_s is None:
        return
    final = next((e for e in t.late if e.kind == "sync"), None)
    if final is not None:
        new = count(int(final.data.get("new_dirty_pages", 0)), "page")
        yield Row("step", text=f"final sync: {new} newly dirty", mark="Tn+3")
    last = [e for e in t.bursts if e.t_s >= t.final_s]
    if last:
        sent = sum(e.data.get("bytes", 0) for e in last)
        yield Row("step", text=f"send the last {size(sent) if sent else 'pages'}", mark="" if final else "Tn+3")
    late = t.saved(t.final_s, None)
    if late:
        yield Row("enter", "migration", "its", f"{late[0].name}, too late: RAM was sent")
        yield Row("return", "its", "migration")
    devices = sum(1 for e in t.trace.select("send") if e.name != "ram" and e.lane == "migration")
    if devices:
        yield Row("step", text=f"send device state: {count(devices, 'section')}")


def _interrupted(t: _Teller, before: bool) -> Iterator[Row]:
    """Cancels and faults, before or after the stop."""
    for event in t.trace.events:
        if event.lane == "dst" and event.name != "link failure" and event.kind != "command":
            continue
        if t.before_stop(event) == before:
            if event.kind == "command" and event.name == "migrate_cancel":
                yield Row("message", "user", "migration", "migrate_cancel")
            elif event.kind == "fault":
                text = str(event.data.get("text") or event.name)
                yield Row("step", text=text if len(text) < 44 else text[:42] + "…")


def _end(t: _Teller) -> Iterator[Row]:
    status = t.trace.outcome.status
    if status != "none":
        yield Row("step", text=f"migration {status}", mark="Tn+4" if t.trace.mark("Tn+4") is not None else "")
    resumed = [e for e in t.trace.select("event", "RESUME") if e.lane != "dst" and e.t_s > (t.stop_s or 0.0)]
    if resumed:
        yield Row("step", "vm", "vm", "the VM runs on here", resumes=True)
