"""Notebook 02: the series by hand, and the working set. Keys are the textbook's (`engine.closed_form`)."""

from __future__ import annotations

import math

from livemig.course.model import Case, Draw, Exercise, Function, Task, Wrong, number
from livemig.engine.closed_form import Textbook, textbook
from livemig.scenario import MIB
from livemig.units import format_rate, format_size, format_time

__all__ = ["EXERCISES"]


def _series(draw: Draw) -> tuple[dict[str, float], Textbook, str]:
    """A guest that converges in a few rounds and writes all over its memory, and the sentence that describes it.

    What is left is never the threshold exactly: there the textbook stops and QEMU, whose test is <, goes on.
    """
    while True:
        given, told, words = _one_series(draw)
        if not math.isclose(told.dirty_bytes, given["bandwidth_bytes_per_s"] * given["downtime_limit_s"]):
            return given, told, words


def _one_series(draw: Draw) -> tuple[dict[str, float], Textbook, str]:
    ram, bandwidth = draw.choice((512, 1024, 2048, 4096)), draw.choice((64, 80, 100, 125, 200))
    rate, limit_ms = round(bandwidth * draw.randrange(20, 65, 5) / 100), draw.choice((50, 100, 200))
    given = {"ram_bytes": ram * MIB, "dirty_rate_bytes_per_s": rate * MIB, "working_set_bytes": ram * MIB,
             "bandwidth_bytes_per_s": bandwidth * MIB, "downtime_limit_s": limit_ms / 1000}
    words = (f"A guest of {format_size(ram * MIB)} writes {rate} MiB/s on ever new pages. The migration sends "
             f"{bandwidth} MiB/s, "
             f"the downtime limit is {limit_ms} ms.")
    return given, textbook(**given), words


def _total_time(draw: Draw) -> Task:
    given, told, words = _series(draw)
    bulk_s = given["ram_bytes"] / given["bandwidth_bytes_per_s"]
    factor = given["dirty_rate_bytes_per_s"] / given["bandwidth_bytes_per_s"]
    decimal = textbook(**{**given, "ram_bytes": given["ram_bytes"] * 1000 / 1024})
    key = number(
        told.total_time_s, "s",
        (bulk_s / (1 - factor), "That is the sum of infinitely many rounds. Pre-copy ends as soon as what is left fits "
                                "under the threshold; that rest is sent in the stop."),
        (bulk_s, "That is the first round only. What the guest wrote meanwhile has to be sent too, and so on."),
        (bulk_s * (1 + factor), "Those are two rounds. Go on until what is left fits under the threshold."),
        (bulk_s * (told.rounds + 1), "The rounds are not equally long: each one sends only what the one before left."),
        (decimal.total_time_s, "You took 1 GiB for 1000 MiB; it has 1024."),
        tolerance=0.001, example="78.91 s")
    lengths = [bulk_s * factor**k for k in range(told.rounds)]
    return Task(
        f"{words} How long does the migration take by the textbook, the stop included?", key,
        ("How long does the first round take, and how much is written meanwhile?",
         f"Each round is R/B = {factor:.3g} times as long as the one before.",
         "Stop adding as soon as what is left is less than bandwidth x downtime limit; that rest is sent in the stop."),
        f"Rounds of {', '.join(format_time(one) for one in lengths)}, then {format_time(told.downtime_s)} stopped: "
        f"{format_time(told.total_time_s, 4)} in all.")


def _rounds(draw: Draw) -> Task:
    given, told, words = _series(draw)
    threshold = given["bandwidth_bytes_per_s"] * given["downtime_limit_s"]
    key = number(
        told.rounds, "",
        (told.rounds + 1, "One too many: the last part is sent while the guest is stopped, which is no round of "
                          "pre-copy."),
        (told.rounds - 1, "One too few: the first round, which sends all of the memory, counts too. Or you stopped "
                          "before "
                          "what was left fitted under the threshold."),
        (told.dirty_sync_count, "That is how often QEMU would read the dirty log: once at the start, once after each "
                                "round, "
                                "once after the stop."),
        tolerance=0.0, noun="rounds")
    return Task(
        f"{words} How many rounds are sent while the guest runs (by the textbook)?", key,
        (f"The threshold is {format_size(threshold)}.",
         "Write down what is left after each round until it is below the threshold.",
         "After round k, RAM x (R/B)^k is left."),
        f"After {told.rounds} rounds {format_size(told.dirty_bytes)} are left, below the threshold of "
        f"{format_size(threshold)}.")


def _capped(draw: Draw) -> Task:
    ram, bandwidth, rate = draw.choice((512, 1024, 2048)), draw.choice((64, 100, 128)), draw.choice((40, 48, 60))
    working_set = draw.choice((24, 32, 48, 64, 96))
    untamed = rate * ram / bandwidth
    key = number(
        min(untamed, working_set) * MIB, "bytes",
        (untamed * MIB, "You forgot the working set. A page that is written twice is dirty once, so no more can be "
                        "dirty "
                        "than the guest writes on."),
        (ram * MIB, "Not all of the memory becomes dirty: the guest writes only on its working set."),
        (min(untamed, working_set) * 1e6, "You took MiB for MB: 1 MiB is 1,048,576 bytes."),
        (rate * MIB, "That is what one second writes; the first round takes longer."),
        tolerance=0.01)
    return Task(
        f"A guest of {format_size(ram * MIB)} writes {rate} MiB/s on a working set of {working_set} MiB; the "
        f"migration sends "
        f"{bandwidth} MiB/s. How much is dirty at the end of the first round?", key,
        (f"The first round takes {format_time(ram / bandwidth)}.",
         "How often does the guest write each page of its working set in that time?",
         "A page can be dirty only once."),
        f"{rate} MiB/s x {format_time(ram / bandwidth)} are {format_size(untamed * MIB)} written, on {working_set} "
        f"MiB of pages: "
        f"{working_set} MiB are dirty.")


def _right(ram_bytes: float, rate: float, working_set_bytes: float, bandwidth: float, limit_s: float) -> bool:
    return textbook(ram_bytes, rate, working_set_bytes, bandwidth, limit_s).converges


def _only_rate(ram_bytes: float, rate: float, working_set_bytes: float, bandwidth: float, limit_s: float) -> bool:
    return rate < bandwidth


def _not_less(ram_bytes: float, rate: float, working_set_bytes: float, bandwidth: float, limit_s: float) -> bool:
    return rate <= bandwidth or working_set_bytes <= bandwidth * limit_s


def _in_words(ram_bytes: float, rate: float, working_set_bytes: float, bandwidth: float, limit_s: float) -> str:
    return (f"the guest writes {format_rate(rate)} on a working set of {format_size(working_set_bytes)}, the migration "
            f"sends {format_rate(bandwidth)}, and in {format_time(limit_s)} that is {format_size(bandwidth * limit_s)}")


def _only_set(ram_bytes: float, rate: float, working_set_bytes: float, bandwidth: float, limit_s: float) -> bool:
    return working_set_bytes <= bandwidth * limit_s


def _whole_ram(ram_bytes: float, rate: float, working_set_bytes: float, bandwidth: float, limit_s: float) -> bool:
    return rate < bandwidth or ram_bytes <= bandwidth * limit_s


_SOLUTION = """\
def converges(ram_bytes, rate, working_set_bytes, bandwidth, limit_s):
    return rate < bandwidth or working_set_bytes < bandwidth * limit_s
"""


def _converges(draw: Draw) -> Task:
    at_once = (128 * MIB, 400.0 * MIB, draw.choice((32, 64, 96)) * MIB, 100.0 * MIB, 2.0)  # its RAM fits, too
    cases = [Case(at_once, _right(*at_once))]
    for slow, small in ((True, False), (False, True), (False, False), (True, True), (False, True), (False, False)):
        bandwidth, limit_s = draw.choice((32, 64, 100)) * MIB, draw.choice((0.1, 0.3, 0.5))
        rate = bandwidth * (draw.choice((0.3, 0.6, 0.9)) if slow else draw.choice((1.2, 2, 4)))
        working_set = bandwidth * limit_s * (draw.choice((0.5, 0.9)) if small else draw.choice((1.5, 4)))
        given = (1024 * MIB, rate, working_set, bandwidth, limit_s)
        cases.append(Case(given, _right(*given)))
    speed = draw.choice((32, 64, 100)) * float(MIB)
    equal = (1024 * MIB, speed, 2 * speed, speed, 0.3)
    cases.append(Case(equal, _right(*equal)))
    key = Function("converges", _right, tuple(cases), told=_in_words, wrongs=(
        Wrong(_only_rate, "It behaves as if only the rates were compared: the second way never came true. Does it "
                          "use working_set_bytes? Are its units bytes, bytes/s and seconds?"),
        Wrong(_not_less, "At R = B each round is as long as the one before: nothing shrinks."),
        Wrong(_only_set, "It looks at the working set only. A guest that writes more slowly than the migration sends "
                         "converges with any working set."),
        Wrong(_whole_ram, "It never uses working_set_bytes: a guest that writes faster than the migration sends "
                          "converges for it only where all of the memory fits under the threshold. After the first "
                          "round only the working set can be dirty.")), solution=_SOLUTION)
    return Task(
        "Write converges(ram_bytes, rate, working_set_bytes, bandwidth, limit_s): True if the textbook's migration "
        "converges. Rates are in bytes per second.", key,
        ("There are two ways to converge, and one of them is enough.",
         "With R < B the rounds shrink. What else can make what is left small?",
         "No round after the first leaves more than the working set."),
        "Rounds that shrink, or a working set that fits under the threshold: one of the two is enough. (QEMU stops "
        "below the threshold, <. No case has it exactly there, so <= is right too.)")


EXERCISES = (
    Exercise("02.1", "the series by hand", _total_time),
    Exercise("02.2", "how many rounds", _rounds),
    Exercise("02.3", "what the working set does", _capped),
    Exercise("02.4", "does it converge: a function", _converges),
)
