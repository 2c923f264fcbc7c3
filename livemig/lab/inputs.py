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
from typing import Any, NamedTuple

from livemig.lab.guest import RAM_BASE
from livemig.lab.recording import lookup, rows

__all__ = ["WriterStart", "inputs", "not_modelled", "writer_start"]

MIB = 1 << 20
GIVE_UP_S = 60.0  # the recorder stops waiting after this long

Record = Mapping[str, Any]

_SPECIALS = {
    "auto-converge": "auto-converge slows the guest down; not modelled yet",
    "xbzrle": "xbzrle sends differences of pages; not modelled yet",
    "multifd": "multifd sends over several connections; not modelled yet",
    "postcopy": "postcopy is not modelled yet",
    "return-path": "the return path makes completion wait for the destination; not validated yet",
    "pause": "pause-before-switchover is not validated yet",
    "cancel-in-pause": "pause-before-switchover is not validated yet",
    "switchover-ack": "switchover-ack is not validated yet",
    "kill-dst": "a destination that dies is not validated yet",
    "kill-dst-switchover": "a destination that dies is not validated yet",
    "raise-bw": "a bandwidth limit changed on the way is not validated yet",
    "raise-dl": "a downtime limit changed on the way is not validated yet",
}
_CAPABILITIES = {
    "auto-converge": _SPECIALS["auto-converge"],
    "xbzrle": _SPECIALS["xbzrle"],
    "multifd": _SPECIALS["multifd"],
    "postcopy-ram": _SPECIALS["postcopy"],
    "return-path": _SPECIALS["return-path"],
    "pause-before-switchover": _SPECIALS["pause"],
    "switchover-ack": _SPECIALS["switchover-ack"],
}


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
        "its_devices": _its_devices(recording),
        "plan": _plan(recording),
        "give_up_s": float(params.get("max_s") or GIVE_UP_S),
    }


def not_modelled(recording: Record) -> str | None:
    """Why the engine cannot be held against this run, or None; the caller lists the run with the reason."""
    if "kvm" in recording:
        return "recorded inside an emulated KVM host: the order counts, times do not"
    if lookup(recording, "final.status") in (None, "none"):
        return "no migration took place"
    for name in recording["caps"]:
        if name != "events":
            return _CAPABILITIES.get(name, f"capability {name} is not modelled yet")
    if recording["params"].get("avail_bw"):
        return "avail-switchover-bandwidth is not modelled yet"
    special = recording["special"]
    if special:
        return _SPECIALS.get(special, f"special run ({special}) is not validated yet")
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
    return max((_agreed(points, dot_pages, rate) for rate in candidates), key=lambda found: found.agree)


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
    stop = next((at for at, name, _ in rows(recording, "trace_src") if name == "runstate_set" and at > 0), float("inf"))
    seen = [(row[t], row[dots]) for row in recording["polls"]
            if row[dots] is not None and row[t] < stop and row[status] in ("setup", "active", None)]
    last = lookup(recording, "guest_seen.src_dots")
    if isinstance(last, int) and lookup(recording, "final.status") == "completed" and stop < float("inf"):
        seen.append((stop, last))
    return seen


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
    pause = next((t for t, name, f in rows(recording, "trace_src")
                  if name == "migrate_set_state" and f["state"] == "pre-switchover"), 0.0)
    for t, text in (note[:2] for note in recording["notes"]):
        if t < 0:
            continue
        if text == "migrate_cancel":
            plan.append({"do": "cancel", "at_s": t})
        elif text == "migrate_cancel in pre-switchover":
            plan.append({"do": "cancel", "at": "pre-switchover", "at_s": max(t - pause, 0.0)})
        elif text == "migrate-continue":
            plan.append({"do": "continue", "at": "pre-switchover", "at_s": max(t - pause, 0.0)})
        elif text.startswith("destination process killed"):
            plan.append({"do": "link_failure", "at_s": t})
        elif match := re.fullmatch(r"downtime-limit (\d+(?:\.\d+)?)", text):
            plan.append({"do": "set_downtime_limit", "at_s": t, "value": float(match[1]) / 1000})
        elif match := re.fullmatch(r"max-bandwidth (\d+(?:\.\d+)?) MiB/s", text):
            plan.append({"do": "set_bandwidth", "at_s": t, "value": float(match[1]) * MIB})
    if recording["params"].get("cancel_s") and not any(step["do"] == "cancel" for step in plan):
        plan.append({"do": "cancel", "at_s": float(recording["params"]["cancel_s"])})
    return plan
