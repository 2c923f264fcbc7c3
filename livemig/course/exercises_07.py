"""Notebook 07: reading what real QEMU answers. Keys are what recordings say; no QEMU is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from livemig.course.model import Case, Draw, Exercise, Function, Task, Wrong, number
from livemig.datadir import data_dir
from livemig.lab.convert import to_trace
from livemig.lab.recording import load_recording
from livemig.scenario import MIB
from livemig.trace import Trace
from livemig.units import format_rate, format_size, format_time

__all__ = ["COMPLETED", "EXERCISES", "SLOW_LINK", "Window", "recorded", "windows"]

# Plain recordings of QEMU 10.0.13 that completed, and those among them whose link carried less than max-bandwidth.
COMPLETED = ("a01", "a03", "a04", "a05", "a06", "a08", "b01", "b02", "b04", "b05", "b07", "b09", "b10", "b11", "b13",
             "b15", "b16", "b18", "c01", "c03", "c04", "c05", "c06", "e01", "e02", "e04", "e05", "e07", "l01", "l02",
             "l04", "l06", "l07", "l09", "l10", "n03", "n05", "n07", "n09", "n10", "n11")
_OF_7_2 = ("n13", "v01", "v02", "v04", "v06", "v07", "v09")  # their last reply has the same fields
SLOW_LINK = ("l04", "l06", "l07", "l09", "l10", "n09", "n10")
_CASES = ("b02", "b16", "d03", "d06", "e05", "l06", "l09", "l11", "n09")
_BITS = "mbps counts bits: 8 of them are a byte."


@cache
def recorded(name: str) -> Trace:
    """One of the recordings that livemig ships."""
    return to_trace(load_recording(data_dir() / "recordings" / f"{name}.json"))


def _limit_s(name: str) -> float:
    return float(recorded(name).meta["scenario"]["downtime_limit_s"])


# -- a reply ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Window:
    """An answer to query-migrate, and the threshold that QEMU itself traced for the window that it tells of."""

    answer: Mapping[str, Any]
    threshold_bytes: int


@cache
def windows(name: str) -> tuple[Window, ...]:
    """The answers of a recording that can be held against a traced threshold: the last window is the same one."""
    trace, found = recorded(name), []
    traced = [(event.t_s, event.data) for event in trace.select("threshold")]
    for sample in trace.select("sample"):
        before = [data for t_s, data in traced if t_s <= sample.t_s]
        mbps, left = sample.data.get("mbps"), sample.data.get("remaining")
        if before and mbps and left and abs(before[-1]["bandwidth_bytes_per_s"] * 8 / 1e6 - mbps) < 0.002 * mbps:
            found.append(Window(sample.data, before[-1]["size_bytes"]))
    return tuple(found)


def _reply(answer: Mapping[str, Any], *names: str) -> str:
    return json.dumps({name: answer[name] for name in names})


def _threshold(draw: Draw) -> Task:
    name = draw.choice([one for one in COMPLETED if windows(one)])
    window = draw.choice(windows(name))
    mbps, limit_ms = window.answer["mbps"], round(_limit_s(name) * 1000)
    key = number(
        window.threshold_bytes, "bytes",
        (8 * window.threshold_bytes, _BITS),
        (window.answer["remaining"], "That is what is left; the threshold is what it is compared with."),
        (mbps * MIB / 8 * limit_ms / 1000, "A megabit has 1,000,000 bits, not 1,048,576."),
        (window.threshold_bytes * 1000 / limit_ms, "That is what one second carries. The guest may be stopped for the "
                                                   "downtime limit only."),
        (64 << 10, "64 KiB is the document's threshold; QEMU multiplies what it measured by the limit."),
        tolerance=0.01)
    reply = _reply(window.answer, "transferred", "remaining", "dirty-sync-count", "mbps")
    return Task(
        f"In recording {name}, query-migrate said {reply}, and query-migrate-parameters "
        f'{{"downtime-limit": {limit_ms}}}. How large was the threshold then?', key,
        ("Which number of the reply is the measured bandwidth, and in what unit?",
         "mbps is in millions of bits a second, downtime-limit in milliseconds.",
         f"{mbps:.6g} x 1,000,000 / 8 bytes a second, times {limit_ms / 1000:g} s."),
        f"{mbps:.6g} Mbit/s are {format_rate(mbps * 1e6 / 8)}; in {limit_ms} ms that is "
        f"{format_size(window.threshold_bytes, 4)}. QEMU traced {window.threshold_bytes} bytes "
        "(migrate_transferred).")


# -- the last reply ---------------------------------------------------------------------------------------------------
def _final(name: str) -> tuple[Mapping[str, Any], float, float]:
    """The last answer, and of the whole migration the seconds and the bytes that QEMU reported."""
    trace = recorded(name)
    answer = [sample.data for sample in trace.select("sample")][-1]
    assert trace.outcome.total_time_s is not None
    assert trace.outcome.transferred_bytes is not None
    return answer, trace.outcome.total_time_s, trace.outcome.transferred_bytes


def _total(draw: Draw) -> Task:
    name, asked = draw.choice(COMPLETED + _OF_7_2), draw.choice(("time", "bytes"))
    answer, seconds, sent = _final(name)
    mbps, per_s = answer["mbps"], answer["mbps"] * 1e6 / 8
    begin = f"When recording {name} had completed, query-migrate said"
    if asked == "time":
        key = number(
            seconds, "s", (seconds / 8, _BITS), (seconds * 1e6 / MIB, "A megabit has 1,000,000 bits."),
            (sent / (mbps * MIB), "mbps is no number of MiB a second."), tolerance=0.01)
        question = f"{begin} {_reply(answer, 'transferred', 'mbps')}. How long had the migration taken?"
        worked = f"{sent} bytes at {format_rate(per_s)}: {format_time(seconds, 4)}; total-time says so."
    else:
        key = number(
            sent, "bytes", (8 * sent, _BITS), (sent * MIB / 1e6, "A megabit has 1,000,000 bits."),
            (sent / 8, "Divide by 8 once: bits to bytes."),
            tolerance=0.01)
        question = (f'{begin} {{"total-time": {round(seconds * 1000)}, "mbps": {mbps}}}. How much had been '
                    "transferred?")
        worked = f"{format_rate(per_s)} for {seconds:g} s: {format_size(sent, 4)}; transferred says {sent:.0f}."
    return Task(question, key,
                ("In the last reply mbps is the average over the whole migration.",
                 "A time times a bandwidth is a size; total-time is in milliseconds.",
                 f"{mbps:.6g} Mbit/s are {mbps / 8:.6g} million bytes a second."), worked)


# -- the stop ---------------------------------------------------------------------------------------------------------
def _downtime(draw: Draw) -> Task:
    name, link = draw.choice(SLOW_LINK), draw.randrange(16, 400, 4)
    trace = recorded(name)
    pending, ram = trace.passes()[-1].todo_bytes, trace.meta["scenario"]["ram_bytes"]
    here = trace.meta["params"]["link"]
    stopped_s = trace.outcome.downtime_s
    assert stopped_s is not None
    key = number(
        stopped_s * here / link, "s",
        (stopped_s, "That is what was recorded, on the link that it had. The last pages go at the speed of the link."),
        (stopped_s * link / here, "It is the other way round: a faster link makes the stop shorter."),
        (_limit_s(name), "The limit decides when the guest may be stopped. How long it stands is the pages and the "
                         "link."),
        (ram / (link * MIB), "Not all of the memory is sent in the stop, only what is pending."),
        (stopped_s * here / link / 8, "MiB/s are bytes already."), tolerance=0.06)
    return Task(
        f"In recording {name} {format_size(pending, 4)} were pending when QEMU stopped the guest, and its link of "
        f"{here:g} MiB/s made the downtime {stopped_s * 1000:.0f} ms (limit {_limit_s(name) * 1000:.0f} ms). What "
        f"would the downtime have been with the same pages and {link} MiB/s in the stop?", key,
        ("What is done while the guest stands?", "The last pages are sent as fast as the link carries them.",
         f"{format_size(pending, 4)} / {link} MiB/s, or the recorded time x {here:g} / {link}."),
        f"{format_size(pending, 4)} / {here:g} MiB/s = {format_time(pending / here / MIB)}, recorded "
        f"{format_time(stopped_s)}; with {link} MiB/s {format_time(stopped_s * here / link)}.")


# -- many replies -----------------------------------------------------------------------------------------------------
Polls = Sequence[Mapping[str, float]]


def _right(polls: Polls, limit_ms: float) -> float | None:
    return next((one["t_s"] for one in polls if one["remaining"] < one["mbps"] * 1e6 / 8 * limit_ms / 1000), None)


def _bits(polls: Polls, limit_ms: float) -> float | None:
    return _right(polls, 8 * limit_ms)


def _seconds(polls: Polls, limit_ms: float) -> float | None:
    return _right(polls, 1000 * limit_ms)


def _last(polls: Polls, limit_ms: float) -> float | None:
    return _right(polls[::-1], limit_ms)


def _nothing_left(polls: Polls, limit_ms: float) -> float | None:
    return next((one["t_s"] for one in polls if one["remaining"] == 0), None)


_SOLUTION = """\
def switchover(polls, limit_ms):
    for poll in polls:
        threshold = poll["mbps"] * 1e6 / 8 * limit_ms / 1000
        if poll["remaining"] < threshold:
            return poll["t_s"]
    return None
"""


@cache
def _polls(name: str) -> tuple[dict[str, float], ...]:
    """Every fourth answer of a migration under way, by which QEMU has measured a bandwidth."""
    under_way = [sample for sample in recorded(name).select("sample") if sample.data.get("remaining")]
    return tuple({"t_s": round(sample.t_s, 3), "remaining": sample.data["remaining"], "mbps": sample.data["mbps"]}
                 for sample in under_way[::4] if sample.data["mbps"])


def _moment(draw: Draw) -> Task:
    cases = []
    for name in draw.sample(_CASES, 4):
        found = [limit for limit in (100, 200, 300, 400, 500, 700, 1000, 1500, 2000)
                 if _right(_polls(name), limit) not in (None, _last(_polls(name), limit), _bits(_polls(name), limit))]
        given = (list(_polls(name)), draw.choice(found))
        cases.append(Case(given, _right(*given)))
    never = [(list(_polls(name)), limit) for name in _CASES for limit in (5, 4, 3, 2, 1)
             if _right(_polls(name), limit) is None]
    cases.append(Case(draw.choice(never), None))
    key = Function("switchover", _right, tuple(cases), (
        Wrong(_bits, _BITS),
        Wrong(_seconds, "limit_ms is in milliseconds: it has to be divided by 1000."),
        Wrong(_last, "It returns the last such moment. QEMU acts at the first."),
        Wrong(_nothing_left, "It waits until nothing is left. Less than the threshold is enough.")),
        solution=_SOLUTION)
    return Task(
        "Write switchover(polls, limit_ms). polls are answers of query-migrate, in order: a list of dictionaries with "
        "'t_s' (seconds), 'remaining' (bytes) and 'mbps'. Return the t_s of the first at which less remains than the "
        "threshold for this downtime limit, or None if there is none. (There QEMU reads the dirty log and counts "
        "exactly; whether it then stops the guest no poll can say.) It is tried with polls of real recordings.", key,
        ("Each poll has its own threshold, since the bandwidth is measured anew.",
         "The threshold in bytes: mbps x 1,000,000 / 8 x limit_ms / 1000.",
         "Go through the polls in order and return at the first whose 'remaining' is below it."),
        "For each poll mbps x 1e6 / 8 x limit_ms / 1000; the first with less remaining counts.")


EXERCISES = (
    Exercise("07.1", "the threshold behind a reply", _threshold),
    Exercise("07.2", "the last reply", _total),
    Exercise("07.3", "another link in the stop", _downtime),
    Exercise("07.4", "the moment, from polls: a function", _moment),
)
