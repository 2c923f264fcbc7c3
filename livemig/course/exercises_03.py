"""Notebook 03: threshold, last pass, limit zero. Keys come from runs of the engine and from its rules."""

from __future__ import annotations

from functools import cache

from livemig.course.model import Case, Draw, Exercise, Function, Task, Wrong, number
from livemig.engine import simulate
from livemig.engine.rules import threshold_bytes
from livemig.scenario import MIB, Scenario
from livemig.trace import Pass
from livemig.units import format_size, format_time

__all__ = ["EXERCISES"]

FIXED_BYTES = 64 << 10
GBIT = 125e6  # bytes per second


@cache
def _final_pass(**inputs: float) -> Pass:
    """The last pass of a small guest's migration that completes."""
    small = {"ram_bytes": 128 * MIB, "other_ram_bytes": 0, "its_devices": 0}
    trace = simulate(Scenario.from_dict({**small, **inputs}))
    assert trace.outcome.status == "completed", inputs
    return trace.passes()[-1]


def _last_pass(draw: Draw) -> Task:
    bandwidth, link = draw.choice((16, 24, 32)), draw.choice((0.5, 1, 2, 2.5))
    limit_s, rate = draw.choice((0.2, 0.3, 0.5)), bandwidth * draw.choice((0.4, 0.5, 0.6))
    final = _final_pass(bandwidth_bytes_per_s=bandwidth * MIB, link_bytes_per_s=link * GBIT, downtime_limit_s=limit_s,
                        dirty_rate_bytes_per_s=rate * MIB, working_set_bytes=48 * MIB)
    pending = final.todo_bytes
    key = number(
        final.end_s - final.start_s, "s",
        (pending / (bandwidth * MIB), "You used max-bandwidth for the last pass. That limit is lifted once the guest "
                                      "is "
                                      "stopped (ram_save_complete): the link is what counts."),
        (pending / (8 * link * GBIT), "You took bits for bytes: a link of 1 Gbit/s carries 125 million bytes a "
                                      "second."),
        (limit_s, "The limit is what the guest may be stopped for at most, not how long it is."),
        tolerance=0.05)
    return Task(
        f"QEMU stops a guest with {format_size(pending, 4)} pending. max-bandwidth is {bandwidth} MiB/s, the downtime "
        f"limit "
        f"{format_time(limit_s)}, the link carries {link:g} Gbit/s. How long does sending the last pages take?", key,
        ("Which of the two speeds holds while the guest is stopped?",
         "max-bandwidth leaves room for others while the guest runs. Nobody wants to wait for that in the stop.",
         f"{link:g} Gbit/s are {link * 125:g} million bytes a second."),
        f"{pending} bytes at {link * 125:g} million bytes a second: {format_time(final.end_s - final.start_s)} with "
        f"the "
        "pages' headers.")


def _threshold(draw: Draw) -> Task:
    link, limit_ms = draw.choice((1, 2.5, 5, 10, 25)), draw.randrange(30, 600, 10)
    value = threshold_bytes("qemu", FIXED_BYTES, link * GBIT, limit_ms / 1000)
    key = number(
        value, "bytes",
        (8 * value, "You took bits for bytes: 1 Gbit/s is 125 million bytes a second."),
        (FIXED_BYTES, "64 KiB is the fixed threshold of the document; QEMU multiplies the measured bandwidth by the "
                      "limit."),
        (value * 2**30 / 1e9, "A link's Gbit is decimal: 1,000,000,000 bits, not 2^30."),
        (link * GBIT, "That is what one second carries; the guest may be stopped for the downtime limit only."),
        tolerance=0.01)
    return Task(
        f"max-bandwidth is 0 (no limit), and QEMU fills a link of {link:g} Gbit/s. The downtime limit is {limit_ms} "
        f"ms. How "
        "large is the threshold?", key,
        ("The measured bandwidth is the link's.", "Bits to bytes first.", f"{link * 125:g} MB/s x {limit_ms / 1000:g} "
                                                                          f"s."),
        f"{link:g} Gbit/s = {link * 125:g} MB/s; x {limit_ms} ms = {value} bytes = {format_size(value)}.")


def _right(sent_bytes: float, window_s: float, limit_s: float) -> float:
    return threshold_bytes("qemu", FIXED_BYTES, sent_bytes / window_s, limit_s)


def _no_window(sent_bytes: float, window_s: float, limit_s: float) -> float:
    return sent_bytes * limit_s


def _no_limit(sent_bytes: float, window_s: float, limit_s: float) -> float:
    return sent_bytes / window_s


def _fixed(sent_bytes: float, window_s: float, limit_s: float) -> float:
    return FIXED_BYTES


_SOLUTION = """\
def threshold(sent_bytes, window_s, limit_s):
    return sent_bytes / window_s * limit_s
"""


def _measured(draw: Draw) -> Task:
    inputs = [(draw.randrange(1, 40) * MIB, draw.choice((0.1, 0.104, 0.15, 0.25)), draw.choice((0.03, 0.2, 0.3, 1.5)))
              for _ in range(6)]
    key = Function("threshold", _right, tuple(Case(one, _right(*one)) for one in inputs), (
        Wrong(_no_window, "It multiplies bytes by the limit. The bandwidth is bytes divided by the time of the "
                          "window."),
        Wrong(_no_limit, "It returns the bandwidth. The threshold is what that carries within the downtime limit."),
        Wrong(_fixed, "It returns 64 KiB always: that is the document's rule. QEMU's depends on what it measured.")),
        tolerance=1e-3, solution=_SOLUTION)
    return Task(
        "Write threshold(sent_bytes, window_s, limit_s): QEMU has sent so many bytes in a window of so many seconds; "
        "how "
        "many bytes may be pending when it stops the guest?", key,
        ("First the bandwidth, then the threshold.", "Bandwidth is bytes by seconds.", "Then times the limit."),
        "The bandwidth of the window, times the downtime limit.")


def _limit_zero(draw: Draw) -> Task:
    bandwidth, working_set = draw.choice((32, 48, 64)), draw.randrange(6, 34, 2)
    rate = draw.randrange(20, 31)
    final = _final_pass(bandwidth_bytes_per_s=bandwidth * MIB, downtime_limit_s=0.0,
                        working_set_bytes=working_set * MIB, dirty_rate_bytes_per_s=rate * MIB)
    key = number(
        final.todo_bytes, "bytes",
        (0, "That is the trap. With a threshold of 0 QEMU never reads the dirty log again: its own bitmap is empty "
            "after "
            "one pass over the memory, so it believes that nothing is left."),
        (FIXED_BYTES, "64 KiB is the document's threshold and has no part in this."),
        (128 * MIB, "All of the memory has been sent once; only what the guest wrote since then is left."),
        (rate * 128 / bandwidth * MIB, "You forgot the working set: no more can be dirty than the guest writes on."),
        tolerance=0.05)
    return Task(
        f"A guest of 128 MiB writes {rate} MiB/s on a working set of {working_set} MiB; max-bandwidth is {bandwidth} "
        f"MiB/s and the "
        "downtime limit 0. How much is sent while the guest is stopped?", key,
        ("When does QEMU read the dirty log, and is that ever the case with a threshold of 0?",
         "It sends all of the memory once, and then its own bitmap is empty.",
         "What has the guest written since, and how much of it can be dirty at most?"),
        f"One pass takes {format_time(128 / bandwidth)}; by then all {working_set} MiB of the working set are dirty "
        f"and nobody has "
        f"looked. The final sync finds them: {format_size(final.todo_bytes)}.")


EXERCISES = (
    Exercise("03.1", "the last pass", _last_pass),
    Exercise("03.2", "the threshold of a link", _threshold),
    Exercise("03.3", "the measured threshold: a function", _measured),
    Exercise("03.4", "a limit of zero", _limit_zero),
)
