"""Recording to Trace (pure): the same Trace as the engine writes, but with nothing in it that was not observed.

Theory of operation. Four sources are merged in time order: QEMU's trace points of the source (`points`), the bursts of
RAM and the device sections (`sends`), the trace points of the destination, and the kernel's ITS calls where a recording
has them (`kernel`). QMP events, polls and the recorder's own notes are added, then the marks T0 .. Tn+4.

A recording has few calls: only `migration_stop_vm` and `vm_state_notify` have trace points at both ends; the frames
between them were not seen and are not made up. Times are seconds since `migrate`; by default the Trace ends with the
migration and leaves out what the recorder did later (a stop by hand, the end of the processes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from livemig.lab.inputs import inputs, not_modelled
from livemig.lab.kernel import its_events
from livemig.lab.points import destination_events, source_events
from livemig.lab.recording import lookup, rows
from livemig.lab.request import POLICY_FAILED
from livemig.lab.sends import send_events
from livemig.trace import Event, Trace

__all__ = ["to_trace", "inputs", "not_modelled"]

Record = Mapping[str, Any]
OBSERVED_FROM_S = -0.1  # the recorder keeps trace rows from here on
GAP_POLLS = 3  # so many missed polls are a gap

_QMP = {"dirty_sync_count": "dirty-sync-count", "dirty_pages_rate": "dirty-pages-rate",
        "expected_downtime": "expected-downtime", "precopy_bytes": "precopy-bytes", "downtime_bytes": "downtime-bytes",
        "postcopy_bytes": "postcopy-bytes", "multifd_bytes": "multifd-bytes",
        "throttle_pct": "cpu-throttle-percentage"}
_NOT_QMP = ("t", "src_dots", "dst_dots")
_COMMANDS = {"migrate_cancel": "migrate_cancel", "migrate_cancel in pre-switchover": "migrate_cancel",
             "migrate-continue": "migrate-continue", "migrate-start-postcopy": "migrate-start-postcopy"}
_QUIT = ("migration_cancel", "migrate_fd_cancel")


def to_trace(recording: Record, whole: bool = False) -> Trace:
    """The Trace of a checked recording (`recording.load_recording`).

    `whole` keeps also what came before T0 and after the migration's end (stops by hand, the end of the processes); a
    recording without a migration is always kept whole.
    """
    migrated = any(name == "migrate_set_state" for _, name, _ in rows(recording, "trace_src"))
    events = sorted(_all_events(recording, migrated), key=lambda event: event.t_s)
    if migrated and not whole:
        last = _migration_end_s(recording)
        events = [e for e in events if OBSERVED_FROM_S <= e.t_s <= last]
    return Trace(_meta(recording), tuple(_with_marks(events)) if migrated else events)


def _all_events(recording: Record, migrated: bool) -> Iterator[Event]:
    if migrated:
        yield Event(0.0, "mark", "user", "T0", 0, {"text": "migrate"})
        yield Event(0.0, "command", "user", "migrate")
    yield from source_events(recording)
    yield from send_events(recording)
    yield from destination_events(recording)
    yield from its_events(recording)
    yield from _qmp_events(recording)
    yield from _notes(recording)
    yield from _samples(recording)
    yield from _throttle_steps(recording)


def _throttle_steps(recording: Record) -> Iterator[Event]:
    """QEMU 7.2 has no trace point for the steps of auto-converge; the first answer that tells one stands for it."""
    columns = recording["poll_cols"]
    if "throttle_pct" not in columns or any(name == "cpu_throttle_set" for _, name, _ in rows(recording, "trace_src")):
        return
    before: int | None = None
    for row in recording["polls"]:
        told = row[columns.index("throttle_pct")]
        if told and told != before:
            yield Event(float(row[columns.index("t")]), "throttle", "migration", "cpu_throttle_set", 0,
                        {"percentage": told})
        before = told


def _qmp_events(recording: Record) -> Iterator[Event]:
    for _, t_s, side, name, data in (row[:5] for row in recording["events"]):
        lane = "dst" if side == "dst" else "migration"
        yield Event(float(t_s), "event", lane, name, 0, data)


def _notes(recording: Record) -> Iterator[Event]:
    """What the recorder did; what it only looked at is left out."""
    for t_s, text in (note[:2] for note in recording["notes"]):
        word = text.split(" ", 1)[0]
        if text in _COMMANDS:
            yield Event(float(t_s), "command", "user", _COMMANDS[text])
        elif word in ("stop", "cont") and not text.endswith("answered"):
            yield Event(float(t_s), "command", "user", word, 0, {"text": text})
        elif word in ("max-bandwidth", "downtime-limit", "max-cpu-throttle"):
            yield Event(float(t_s), "command", "user", "migrate-set-parameters", 0, {"text": text})
        elif text.startswith(POLICY_FAILED):
            yield Event(float(t_s), "fault", "user", "policy", 0, {"text": text})
        elif "killed" in text or "frozen" in text:
            what = "process killed" if "killed" in text else "process frozen"
            yield Event(float(t_s), "fault", "dst", what, 0, {"text": text})


def _samples(recording: Record) -> Iterator[Event]:
    columns = recording["poll_cols"]
    patience_s = GAP_POLLS * float(recording["params"].get("poll_ms") or 40) / 1000
    before_s: float | None = None
    for row in recording["polls"]:
        answer = dict(zip(columns, row, strict=True))
        t_s = float(answer["t"])
        if before_s is not None and t_s - before_s > patience_s:
            yield Event(before_s, "gap", "main", "gap", 0, {"until_s": t_s, "text": "query-migrate was not answered"})
        before_s = t_s
        data = {str(_QMP.get(k, k)): v for k, v in answer.items() if v is not None and k not in _NOT_QMP}
        yield Event(t_s, "sample", "main", "query-migrate", 0, data)


def _migration_end_s(recording: Record) -> float:
    """The last thing before the recorder turned to something else, once both sides had reported their last status."""
    settled = max(t for key in ("trace_src", "trace_dst") for t, name, _ in rows(recording, key)
                  if name == "migrate_set_state" or (key == "trace_src" and name == "migration_cleanup"))
    later = [float(t) for t, _ in (note[:2] for note in recording["notes"]) if t > settled]
    later += [t for key in ("trace_src", "trace_dst") for t, name, _ in rows(recording, key)
              if name in _QUIT and t > settled]
    return max(settled, min(later, default=settled) - 1e-6)


def _with_marks(events: list[Event]) -> Iterator[Event]:
    """T1 .. Tn at the syncs that start a pass; the other marks are among the events already."""
    syncs = [e for e in events if e.kind == "sync"]
    decided_s = next((e.t_s for e in events if e.kind == "mark" and e.name == "Tn+1"), None)
    stopped_s = next((e.t_s for e in events if e.kind == "mark" and e.name == "Tn+2"), None)
    running = [s for s in syncs if stopped_s is None or s.t_s < stopped_s]
    if decided_s is not None and len(running) > 1:
        running.pop()  # the sync that decided: no pass follows it
    numbered = {id(sync): f"T{i}" for i, sync in enumerate(running, 1)}
    for event in events:
        yield event
        if id(event) in numbered:
            text = f"sync {event.data['pass']}: pass {event.data['pass']} begins"
            yield Event(event.t_s, "mark", "migration", numbered[id(event)], 0, {"text": text})


def _meta(recording: Record) -> dict[str, Any]:
    return {
        "source": "recorded",
        "id": recording["id"],
        "special": recording["special"],
        "qemu_version": recording["qemu"]["version"],
        "params": dict(recording["params"]),
        "scenario": inputs(recording),
        "functions": {},
        "outcome": _outcome(recording),
    }


def _outcome(recording: Record) -> dict[str, Any]:
    """The fields of `Outcome`, from the last `query-migrate`; None where QEMU reported nothing."""
    final = recording["final"] or {}
    ram = final.get("ram") or {}
    return {
        "status": final.get("status", "none"),
        "reason": _reason(recording, final),
        "total_time_s": _seconds(final.get("total-time")),
        "setup_time_s": _seconds(final.get("setup-time")),
        "downtime_s": _seconds(final.get("downtime")),
        "transferred_bytes": ram.get("transferred"),
        "downtime_bytes": ram.get("downtime-bytes"),
        "normal_pages": ram.get("normal"),
        "duplicate_pages": ram.get("duplicate"),
        "dirty_sync_count": ram.get("dirty-sync-count"),
        "guest_runs_on": next((name for name, key in (("source", "status_src"), ("destination", "status_dst"))
                               if lookup(recording, key + ".running") is True), None),
    }


def _reason(recording: Record, final: Mapping[str, Any]) -> str:
    if not final:
        return "no migration took place"
    if "error-desc" in final:
        return str(final["error-desc"])
    if final.get("status") == "cancelled":
        notes = [(t, str(text)) for t, text in (note[:2] for note in recording["notes"])]
        failed = next((text for _, text in notes if text.startswith(POLICY_FAILED)), None)
        return failed or next((f"{text} at {t:g} s" for t, text in notes if "cancel" in text), "")
    return ""


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
