"""Which scenario a recording was: values of `Scenario`'s fields in a plain dictionary (this room cannot import it).

Read from the recording are only inputs: parameters, the guest's patched words, and what was measured of the guest and
the link: the write rate, where the writer stood at T0, the speed that a paced link really carried. No outcome is used.

Where the writer stood. The guest prints a dot after each `dot_pages` page writes; who has seen k dots at time t knows
that the number of writes w lay in [k*dot_pages, (k+1)*dot_pages). The guest catches up whatever it was late, so
w(t) = w(0) + rate*t, and each poll gives an interval for w(0); so does the stop, whose time the trace has. A poll can
be answered late, or the guest be late, so a few intervals miss the truth: the answer is the interval that most of them
agree on (Marzullo's algorithm). `writer_start` reports its width; `data/README.md` has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from livemig.lab.guest import RAM_BASE
from livemig.lab.recording import lookup, rows

__all__ = ["WriterStart", "inputs", "not_modelled", "times_differ", "writer_start"]

MIB = 1 << 20
NEWEST_MODELLED = 10  # 11 traces other things and counts otherwise
GIVE_UP_S = 60.0  # the recorder stops waiting after this long
MULTIFD_CHANNELS, THROTTLE_INITIAL_PCT, THROTTLE_INCREMENT_PCT = 2, 20, 10  # QEMU's own, where a recording sets none

Record = Mapping[str, Any]

_SILENCED = re.compile(r"SIGSTOP|silent|frozen|reads nothing|stops reading")

_CAPABILITIES = {
    "xbzrle": "XBZRLE sends differences of pages: drawn, not modelled",
    "postcopy-ram": "postcopy: drawn, not modelled",
}
_MODELLED = {"events", "auto-converge", "multifd", "return-path", "pause-before-switchover", "switchover-ack"}


class WriterStart(NamedTuple):
    """Page writes before T0 lie in [low, high); `agree` of `of` polls say so at `rate_pages_per_s`."""

    low: float
    high: float
    agree: int
    of: int
    rate_pages_per_s: float

    @property
    def writes(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


def inputs(recording: Record) -> dict[str, Any]:
    """Values for `Scenario.from_dict` that describe the recorded run: sizes in bytes, times in seconds."""
    params, guest, page = recording["params"], recording["guest"], int(recording["page_size"])
    ram = int(params["ram"] * MIB)
    fill = (guest["fill_start"], guest["fill_end"]) if guest["fill_end"] > guest["fill_start"] else (RAM_BASE, RAM_BASE)
    start = writer_start(recording)
    limit = float(params["bw"]) * MIB
    link = recording.get("link_seen_mib_s", params["link"]) if params.get("link") else None
    caps = set(recording["caps"])
    return {
        "ram_bytes": ram,
        "page_bytes": page,
        "other_ram_bytes": _total_bytes(recording, ram) - ram,
        "filled_offset_bytes": fill[0] - RAM_BASE,
        "filled_bytes": fill[1] - fill[0],
        "pattern": "lab_random" if params["order"] == "rand" else "sequential",
        "dirty_rate_bytes_per_s": start.rate_pages_per_s * page,
        "working_set_bytes": guest["ws_pages"] * page,
        "working_set_offset_bytes": guest["ws_base"] - RAM_BASE,
        "writer_start_writes": start.writes,
        "bandwidth_bytes_per_s": limit or None,
        "link_bytes_per_s": link * MIB if link else None,
        "switchover_rule": "qemu",
        "downtime_limit_s": params["dl"] / 1000,
        "qemu_version": "7.2" if recording["qemu"]["version"].startswith("7.2.") else "10.0",
        "accelerator": "kvm" if "kvm" in recording or params.get("accel") == "kvm" else "tcg",
        "pause_before_switchover": "pause-before-switchover" in caps,
        "return_path": "return-path" in caps,
        "switchover_ack": "switchover-ack" in caps,
        "avail_switchover_bandwidth_bytes_per_s": float(params.get("avail_bw") or 0) * MIB or None,
        "destination_paused": "-S" in str(recording.get("command_line_dst", "")).split(),
        "multifd_channels": int(params.get("multifd") or MULTIFD_CHANNELS) if "multifd" in caps else 0,
        **_throttle(recording, start.rate_pages_per_s),
        "its_devices": _its_devices(recording),
        "plan": _plan(recording),
        "give_up_s": float(params.get("max_s") or GIVE_UP_S),
    }


def _throttle(recording: Record, rate_pages_per_s: float) -> dict[str, Any]:
    """auto-converge, and how much of its work the guest catches up after a sleep (`maxlag`; 0: all of it)."""
    params, lag_pages = recording["params"], recording["guest"].get("maxlag")
    return {
        "auto_converge": "auto-converge" in recording["caps"],
        "throttle_initial_pct": int(params.get("throttle_init") or THROTTLE_INITIAL_PCT),
        "throttle_increment_pct": int(params.get("throttle_inc") or THROTTLE_INCREMENT_PCT),
        "catch_up_s": lag_pages / rate_pages_per_s if lag_pages and rate_pages_per_s else None,
    }


def times_differ(recording: Record) -> str | None:
    """Why the times and bytes of this run cannot be compared although what happened can, or None."""
    if "kvm" in recording:
        return "recorded inside an emulated KVM host, where a second of the guest is no second: status and order only"
    return None


def not_modelled(recording: Record) -> str | None:
    """Why the engine cannot be held against this run, or None; the caller lists the run with the reason."""
    if lookup(recording, "final.status") in (None, "none"):
        return "no migration took place"
    if int(recording["qemu"]["version"].split(".")[0]) > NEWEST_MODELLED:
        return f"QEMU {recording['qemu']['version']} is newer than the rules that are modelled (those of 10.0 and 7.2)"
    unknown = [name for name in recording["caps"] if name not in _MODELLED]
    if unknown:
        return _CAPABILITIES.get(unknown[0], f"capability {unknown[0]} is not modelled")
    if "multifd" in recording["caps"] and recording["qemu"]["version"].startswith("7.2."):
        return "multifd of QEMU 7.2 is not modelled"
    return None


def writer_start(recording: Record) -> WriterStart:
    """The number of page writes before T0 and the write rate that fits the guest's dots best.

    The rate is the guest's set rate, or the measured one where more polls agree with that (a guest that gives up lag).
    """
    candidates = _rates(recording)
    points = _dots(recording)
    dot_pages = int(recording["guest"].get("dot_pages") or 0)
    if not points or not dot_pages or not any(candidates):
        return WriterStart(0.0, 0.0, 0, 0, candidates[0])
    if _forgets(recording):  # what it had forgotten by the end says nothing about its rate
        candidates = candidates[:1]
    return max((_agreed(points, dot_pages, rate) for rate in candidates), key=lambda found: found.agree)


def _forgets(recording: Record) -> bool:
    """A guest that is throttled and gives up what it is late with."""
    return bool(recording["guest"].get("maxlag")) and "auto-converge" in recording["caps"]


def _rates(recording: Record) -> list[float]:
    """Pages a second: the guest's own clockwork first, then what was measured during the run, or before it."""
    guest, page = recording["guest"], recording["page_size"]
    measured = recording.get("write_rate_during_mib_s", lookup(recording, "dirty_rate_before.writes_mib_s"))
    found = []
    if "rate" in guest:
        found.append(float(guest["rate"]))
    elif guest.get("tick_us"):
        found.append(guest.get("pages_per_tick", 0) * 1e6 / guest["tick_us"])
    if measured is not None:
        found.append(measured * MIB / page)
    return found or [recording["params"]["rate"] * MIB / page]


def _dots(recording: Record) -> list[tuple[float, int]]:
    """(t, dots seen) of the polls while the guest ran on the source, and of the stop if it never ran there again."""
    columns = recording["poll_cols"]
    if "src_dots" not in columns:
        return []
    t, dots, status = columns.index("t"), columns.index("src_dots"), columns.index("status")
    ends = ("runstate_set", "migration_throttle")  # from there on it does not run, or not at its rate
    stop = next((at for at, name, _ in rows(recording, "trace_src") if name in ends and at > 0), float("inf"))
    seen = [(row[t], row[dots]) for row in recording["polls"]
            if row[dots] is not None and row[t] < stop and row[status] in ("setup", "active", None)]
    last = lookup(recording, "guest_seen.src_dots")
    to_the_end = lookup(recording, "final.status") == "completed" and not _throttled(recording)
    if isinstance(last, int) and to_the_end and stop < float("inf"):
        seen.append((stop, last))
    return seen


def _throttled(recording: Record) -> bool:
    return any(name == "migration_throttle" for _, name, _ in rows(recording, "trace_src"))


def _agreed(points: list[tuple[float, int]], dot_pages: int, rate: float) -> WriterStart:
    """Marzullo: the interval of w(0) that lies in the most polls' intervals."""
    edges = sorted([(dot_pages * k - rate * t, 0) for t, k in points]
                   + [(dot_pages * (k + 1) - rate * t, 1) for t, k in points])
    best, depth, low, high = 0, 0, 0.0, 0.0
    for i, (edge, closes) in enumerate(edges):
        depth += -1 if closes else 1
        if depth > best:
            best, low, high = depth, edge, edges[i + 1][0]
    return WriterStart(max(low, 0.0), max(high, 0.0), best, len(points), rate)


def _total_bytes(recording: Record, ram: int) -> int:
    """All RAM blocks: ram.total, or what is pending before the first page was sent."""
    total = lookup(recording, "final.ram.total")
    if total is None:
        pending = (f["size"] for _, name, f in rows(recording, "trace_src") if name.startswith("migrate_pending"))
        total = next(pending, ram)
    return max(int(total), ram)


def _its_devices(recording: Record) -> int:
    """Devices that the guest mapped; the lab's bare-metal guest maps none."""
    commands = (lookup(recording, "its.commands") or [])[: 1 << 16]
    return len({c.split(" v=", 1)[0] for c in commands if isinstance(c, str) and c.startswith("mapd dev=")})


def _plan(recording: Record) -> list[dict[str, Any]]:
    """What the recorder did to the run, as values of `Action`; its safety cancel counts where it was never needed."""
    plan = []
    for t, text in (note[:2] for note in recording["notes"]):
        if t >= 0 and (step := _step(recording, float(t), str(text))):
            plan.append(step)
    if "pause-before-switchover" in recording["caps"] and not any(step.get("at") == "pre-switchover" for step in plan):
        plan += _continued(recording)
    if recording["params"].get("cancel_s") and not any(step["do"] == "cancel" for step in plan):
        plan.append({"do": "cancel", "at_s": float(recording["params"]["cancel_s"])})
    return plan


def _continued(recording: Record) -> list[dict[str, Any]]:
    """migrate-continue where nobody noted it: nothing else leads from pre-switchover to device."""
    states = [(t, f["state"]) for t, name, f in rows(recording, "trace_src") if name == "migrate_set_state"]
    return [{"do": "continue", "at": "pre-switchover", "at_s": end - begin}
            for (begin, one), (end, other) in pairwise(states) if (one, other) == ("pre-switchover", "device")]


def _step(recording: Record, t: float, text: str) -> dict[str, Any] | None:
    if text == "migrate_cancel":
        return {"do": "cancel", "at_s": t}
    if text.startswith("migrate_cancel in pre-switchover"):
        return _from(recording, "cancel", "pre-switchover", t)
    if text.startswith("migrate-continue"):
        return _from(recording, "continue", "pre-switchover", t)
    if _SILENCED.search(text):
        return _in_the_stop_copy(recording, "silent_peer", t)
    if text.startswith("destination") and "killed" in text:
        return _kill(recording, t)
    if "killed" in text:
        return _in_the_stop_copy(recording, "link_failure", t)
    if match := re.fullmatch(r"downtime-limit (\d+(?:\.\d+)?)", text):
        return {"do": "set_downtime_limit", "at_s": t, "value": float(match[1]) / 1000}
    if match := re.fullmatch(r"max-cpu-throttle (\d+)", text):
        return {"do": "set_max_throttle", "at_s": t, "value": int(match[1])}
    if match := re.fullmatch(r"max-bandwidth (\d+(?:\.\d+)?) MiB/s", text):
        return {"do": "set_bandwidth", "at_s": t, "value": float(match[1]) * MIB}
    return None


def _kill(recording: Record, t: float) -> dict[str, Any]:
    """The destination's end.

    Behind a proxy the source's connection may stay open although nobody reads it any more: for the source the peer is
    silent. Which of the two it was nobody noted, but a source whose connection has ended says `failed`; so that it
    never says so is an input of such a run, and what comes of it (who waits, who runs) is what is predicted.
    """
    ended = any(name == "migrate_set_state" and f["state"] == "failed" for _, name, f in rows(recording, "trace_src"))
    silent = not ended and lookup(recording, "final.status") not in ("failed", "completed", "cancelled")
    return _in_the_stop_copy(recording, "silent_peer" if silent else "destination_dies", t)


def _in_the_stop_copy(recording: Record, do: str, t: float) -> dict[str, Any]:
    """A fault in the stop-copy counts from there, because the recorder waited for that; any other one from T0."""
    stopped = next((at for at, name, f in rows(recording, "trace_src")
                    if name == "runstate_set" and "finish-migrate" in str(f.get("new_str", f.get("text")))), None)
    if stopped is None or t < stopped:
        return {"do": do, "at_s": t}
    return _from(recording, do, "stop-copy", t, stopped)  # 7.2 has no state device of its own there


def _from(recording: Record, do: str, moment: str, t: float, otherwise_s: float = 0.0) -> dict[str, Any]:
    """An action that counts from the recorded beginning of a moment (`pre-switchover`; `stop-copy` is state device)."""
    state = {"stop-copy": "device"}.get(moment, moment)
    begin = next((at for at, name, f in rows(recording, "trace_src")
                  if name == "migrate_set_state" and f["state"] == state), otherwise_s)
    return {"do": do, "at": moment, "at_s": max(t - begin, 0.0)}
