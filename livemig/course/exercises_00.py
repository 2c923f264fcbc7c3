"""Notebook 00: the threshold, the order of the stop, and what the working set decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from livemig.course.model import Draw, Exercise, Order, Task, Wrong, number
from livemig.engine import simulate
from livemig.engine.rules import BUFFER_DELAY_S, threshold_bytes
from livemig.scenario import MIB, Scenario
from livemig.trace import Event
from livemig.units import format_rate, format_size, format_time

__all__ = ["EXERCISES", "STEPS", "order_of_the_stop"]

FIXED_BYTES = 64 << 10


def _threshold(draw: Draw) -> Task:
    bandwidth, limit_ms = draw.choice((20, 25, 32, 40, 48, 80, 96, 112)), draw.randrange(30, 500, 10)
    limit_s, speed = limit_ms / 1000, bandwidth * MIB
    value = threshold_bytes("qemu", FIXED_BYTES, speed, limit_s)
    key = number(
        value, "bytes",
        (FIXED_BYTES, "64 KiB is the fixed threshold of the document. QEMU has no such constant: it multiplies the "
                      "bandwidth that it measured by the downtime limit."),
        (bandwidth * 1e6 * limit_s, "You took MiB for MB: 1 MiB is 1,048,576 bytes, not 1,000,000."),
        (speed * BUFFER_DELAY_S, "That is what one window of 100 ms carries. The window is how long QEMU measures; the "
                                 "downtime limit is what it multiplies by."),
        (value / 8, "MiB/s are bytes already, nothing is to be divided by 8."),
        (speed, "That is what one second carries; the guest may be stopped for the downtime limit only."),
        (1000 * value, f"A thousand times too large: {limit_ms} ms are {limit_s:g} s."),
        (speed / limit_s, "You divided by the limit. The longer the guest may be stopped, the more may be left: it is "
                          "a product."),
        tolerance=0.01)
    return Task(
        f"QEMU measures that it sends {bandwidth} MiB/s. The downtime limit is {limit_ms} ms. Below how many pending "
        f"bytes "
        "does it stop the guest?", key,
        ("What is pending must be sent while the guest is stopped. For how long may it be stopped?",
         "The threshold is a bandwidth times a time.",
         f"Write {limit_ms} ms in seconds, then multiply by {bandwidth} MiB/s."),
        f"{bandwidth} MiB/s x {limit_s:g} s = {format_size(value, 4)} (QEMU: migration_update_counters).")


def _is_call(name: str) -> Callable[[Event], bool]:
    return lambda event: event.kind == "call" and event.name == name


# What is asked for, and the row of a Trace that shows it; of several such rows the last one of the source counts.
STEPS: dict[str, Callable[[Event], bool]] = {
    "the run state becomes finish-migrate":
        lambda e: e.kind == "state" and e.name == "runstate" and e.data["new"] == "finish-migrate",
    "the virtual CPUs are halted (pause_all_vcpus)": _is_call("pause_all_vcpus"),
    "the ITS tables are saved (SAVE_TABLES)": lambda e: e.kind == "its" and e.name == "SAVE_TABLES",
    "the event STOP is sent": lambda e: e.kind == "event" and e.name == "STOP",
    "the dirty bitmap is read for the last time (sync)": lambda e: e.kind == "sync",
    "the last pages are sent": lambda e: e.kind == "send" and e.name == "ram",
}
SAVE, SYNC, PAGES, CPUS, STOP = (list(STEPS)[i] for i in (2, 4, 5, 1, 3))


@cache
def order_of_the_stop() -> tuple[str, ...]:
    """The steps in the order in which a simulated migration goes through them."""
    events = simulate(Scenario(ram_bytes=64 * MIB, working_set_bytes=16 * MIB)).events
    last = {name: max(i for i, event in enumerate(events) if event.lane != "dst" and shows(event))
            for name, shows in STEPS.items()}
    return tuple(sorted(last, key=last.__getitem__))


def _moved(order: tuple[str, ...], what: str, behind: str) -> tuple[str, ...]:
    rest = [one for one in order if one != what]
    at = rest.index(behind) + 1
    return (*rest[:at], what, *rest[at:])


def _stop(draw: Draw) -> Task:
    chosen = {SAVE, SYNC, PAGES, CPUS, draw.choice([one for one in STEPS if one not in (SAVE, SYNC, PAGES, CPUS)])}
    right = tuple(one for one in order_of_the_stop() if one in chosen)
    shown = draw.shuffled(right)
    before_cpus = tuple(one for one in right if one != SAVE)
    at = before_cpus.index(CPUS)
    wrongs: tuple[Wrong, ...] = (
        Wrong(_moved(right, SAVE, SYNC), "The save writes pages of guest memory. A sync that came before it does not "
                                         "know "
                                         "of them, and the tables would stay behind."),
        Wrong(_moved(right, SAVE, PAGES), "Then the tables would be written into memory that has been sent already: "
                                          "that "
                                          "is what saving in pre_save would do."),
        Wrong((*before_cpus[:at], SAVE, *before_cpus[at:]), "While a virtual CPU runs, it can change its mappings; KVM "
                                                            "refuses to save then (EBUSY)."))
    if STOP in chosen:
        rest = tuple(one for one in right if one != STOP)
        wrongs += (Wrong((STOP, *rest), "STOP comes after the stop: do_vm_stop sends it when the processors are halted "
                                        "and the handlers have run. It tells others what has happened."),)
    return Task(
        "Put these steps of the switchover into QEMU's order.", Order(right, shown, wrongs),
        ("Who could still change the tables while they are saved?",
         "The tables are saved into guest memory. So what has to come after the save, for them to travel?",
         "do_vm_stop: run state, virtual CPUs, handlers, event; then migration_completion_precopy goes on with RAM."),
        "The guest is halted first, then its tables are saved, then the bitmap is read once more, then the last pages "
        "go. "
        "The order is that of the trace: livemig.draw.calls.call_tree(trace, 'migration_stop_vm') shows it.")


def _any_rate(draw: Draw) -> Task:
    bandwidth, working_set = draw.choice((32, 40, 50, 64, 80)), draw.choice((8, 12, 16, 24, 48))
    rate, ram = bandwidth * draw.choice((2, 3, 4)), draw.choice((256, 512, 1024))
    key = number(
        working_set / bandwidth, "s",
        (ram / bandwidth, "That is the time for all of the memory. The guest writes only on its working set, so no "
                          "later "
                          "pass leaves more than that."),
        (working_set / rate, "You divided by the dirty rate. How fast the guest writes no longer matters once all of "
                             "its "
                             "working set is dirty; what matters is how fast that is sent."),
        (bandwidth / working_set, "You divided the wrong way round: a time is bytes divided by bytes per second."),
        (ram / rate, "Neither all of the memory nor the dirty rate counts: the working set has to be sent."),
        tolerance=0.02)
    value = format_time(working_set / bandwidth, 4)
    return Task(
        f"A guest of {format_size(ram * MIB)} writes {format_rate(rate * MIB)} all over a working set of "
        f"{working_set} MiB. The "
        f"migration sends {bandwidth} MiB/s, so it is slower than the guest. From which downtime limit on does it "
        "converge all the same (by the textbook)?", key,
        ("How much can be dirty at most after any pass but the first?",
         "It converges when all of that fits under the threshold.",
         f"{working_set} MiB must be less than {bandwidth} MiB/s x limit."),
        f"After every pass at most {working_set} MiB are dirty. {working_set} MiB / {bandwidth} MiB/s = {value}.")


EXERCISES = (
    Exercise("00.1", "how little is little enough", _threshold),
    Exercise("00.2", "the order of the stop", _stop),
    Exercise("00.3", "a guest that writes faster than it is sent", _any_rate),
)
