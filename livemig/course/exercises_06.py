"""Notebook 06: the handler list, the stack of the stop, what follows a stop that failed, and a handler. Keys: runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from livemig.course.model import Case, Draw, Exercise, Function, Order, Task, Wrong, number
from livemig.draw.calls import call_path, handler_calls
from livemig.engine import Handler, simulate
from livemig.scenario import MIB, Action, Scenario
from livemig.trace import Event, Trace

__all__ = ["EXERCISES", "INNERMOST", "STEPS", "after_the_stop", "frames"]

_SMALL = {"ram_bytes": 16 * MIB, "other_ram_bytes": 0, "working_set_bytes": 4 * MIB, "downtime_limit_s": 0.02}
_DEVICES = ("disk", "network card", "random numbers", "balloon", "console", "graphics", "sound", "serial port")


def _nothing(state: Any, running: bool, runstate: str) -> None:
    """A handler that only has to be called."""


# -- the list ---------------------------------------------------------------------------------------------------------
def _called(handlers: list[Handler], when: str) -> tuple[str, ...]:
    names = {handler.name for handler in handlers}
    return tuple(row["of"] for row in handler_calls(simulate(Scenario.from_dict(_SMALL), handlers))
                 if row["VM"] == when and row["of"] in names)


def _list(draw: Draw) -> Task:
    devices, levels = draw.sample(_DEVICES, 5), draw.sample(range(1, 7), 4)
    priorities = draw.sample([*levels, levels[0]], 5)  # one priority twice
    when = draw.choice(("stop", "start"))
    handlers = [Handler(name, priority, _nothing) for name, priority in zip(devices, priorities, strict=True)]
    right = _called(handlers, when)
    twins = [name for name, priority in zip(devices, priorities, strict=True) if priority == levels[0]]
    swapped = tuple({twins[0]: twins[1], twins[1]: twins[0]}.get(name, name) for name in right)
    wrongs = (
        Wrong(right[::-1], "That is the other way round: a start walks the list forward, from the lowest priority; a "
                           "stop walks it backward."),
        Wrong(swapped, "Within one priority the list has the order of registration, and a stop walks that backward, "
                       "too."),
        Wrong(tuple(devices), "That is the order of registration. The list is sorted by priority."))
    told = ", ".join(f"{name} with priority {priority}" for name, priority in zip(devices, priorities, strict=True))
    return Task(
        f"Five devices register handlers in this order: {told}. The VM is to {when}. In which order are they called?",
        Order(right, draw.shuffled(right), wrongs),
        ("Write down the list first: ascending by priority.", "Two have the same priority: who registered first?",
         "A start walks the list forward, a stop backward."),
        f"At the {when}: {', '.join(right)}.")


# -- the stack --------------------------------------------------------------------------------------------------------
INNERMOST = ("pause_all_vcpus", "cpu_disable_ticks", "vm_state_notify", "bdrv_drain_all", "vm_change_state_handler",
             "all_vcpus_paused")
_STOP = "vm_stop_force_state", "vm_stop", "do_vm_stop"


@cache
def frames(innermost: str) -> tuple[str, ...]:
    """The functions that stand on the stack while `innermost` runs in the stop, the outermost first."""
    trace = simulate(Scenario.from_dict(_SMALL))
    return tuple(row["function"] for row in call_path(trace, innermost))


def _stack(draw: Draw) -> Task:
    path = frames(draw.choice(INNERMOST))
    others = [name for name in path[:-1] if name not in _STOP]
    chosen = {path[-1], *_STOP, *draw.sample(others, min(3, len(others)))}
    right = tuple(name for name in path if name in chosen)
    low, middle, high = (right.index(name) for name in _STOP)
    rotated = list(right)
    rotated[low], rotated[middle], rotated[high] = right[middle], right[high], right[low]
    early = list(right)
    early[middle], early[high] = right[high], right[middle]
    wrongs = (
        Wrong(right[::-1], "That is from the innermost to the outermost; the outermost, which was called first, comes "
                           "first."),
        Wrong(tuple(rotated), "vm_stop_force_state is the one that migration calls: it looks whether the VM runs at "
                              "all, and calls vm_stop only then."),
        Wrong(tuple(early), "vm_stop calls do_vm_stop: first it is settled which thread does the work, then it is "
                            "done."))
    return Task(
        f"The VM is being stopped for a migration, and {path[-1]} runs. These functions stand on the stack. Put them "
        "in order, the outermost first.", Order(right, draw.shuffled(right), wrongs),
        ("Which of them is the thread's own function, or nearest to it?",
         "From the migration's functions one comes into those of the VM through vm_stop_force_state.",
         "A function named do_... is called by the one without do_."),
        f"{', '.join(right)} (of {len(path)} frames).")


# -- how often --------------------------------------------------------------------------------------------------------
_ENDS: Mapping[str, tuple[str, dict[str, Any]]] = MappingProxyType({
    "completes": ("The migration completes.", {}),
    "breaks": ("The connection breaks after the stop.", {"plan": (Action("link_failure", at="stop-copy"),)}),
    "cancelled": ("The user cancels while the guest still runs.", {"plan": (Action("cancel", at_s=0.05),)}),
})


def _calls(end: str, devices: int, prepares: int, version: str) -> int:
    fields = {**_SMALL, **_ENDS[end][1], "qemu_version": version}
    handlers = [Handler(f"device {i}", i, _nothing, _nothing if i < prepares else None) for i in range(devices)]
    trace = simulate(Scenario.from_dict(fields), handlers)
    return sum(row["side"] == "source" for row in handler_calls(trace))


def _count(draw: Draw) -> Task:
    devices, version = draw.randrange(2, 9), draw.choice(("10.0", "10.0", "7.2"))
    prepares, end = draw.randrange(1, devices + 1), draw.choice(("completes", "breaks", "breaks", "cancelled"))
    value, once = _calls(end, devices, prepares, version), devices + 4
    other = _calls(end, devices, prepares, "7.2" if version == "10.0" else "10.0")
    rounds = ("QEMU 10.0 calls the prepare callbacks too, in a round of their own." if version == "10.0" else
              "QEMU 7.2 has no prepare callbacks: one call for each handler.")
    walked = ("After the stop has failed the guest goes on at the source: the list is walked twice, backward and then "
              "forward." if end == "breaks" else
              "The VM was never stopped, so nothing called the handlers." if end == "cancelled" else
              "The start is the destination's: the source walks its list once.")
    of_the_four = "The machine has four handlers of its own: network, processors, interrupt controller, ITS."
    usual = {"completes": ((2 * value, walked), (other, rounds), (value - 4, of_the_four)),
             "breaks": ((value // 2, walked), (other, rounds), (value - 8, of_the_four)),
             "cancelled": ((once, walked), (2 * once, "A VM that was never stopped is not started either."))}
    key = number(value, "", *usual[end], (devices, "Those are the devices; the question is how often their callbacks, "
                                                   "and the machine's, are called."), tolerance=0, noun="calls")
    return Task(
        f"A virt machine with KVM runs QEMU {version}. Besides its own four handlers {devices} devices have registered "
        f"one each, {prepares} of them with a prepare callback too. {_ENDS[end][0]} How many calls of callbacks does "
        "the source make?", key,
        ("Is the VM stopped on the source, and is it started there again?",
         "In which version is there a round of prepare callbacks?",
         f"The machine's own four and the {devices} devices, once for each time that the list is walked."),
        f"{walked} {rounds} That makes {value}.")


# -- after the stop ---------------------------------------------------------------------------------------------------
def _state(kind: str, new: str) -> Callable[[Event], bool]:
    return lambda e: e.kind == "state" and e.name == kind and e.data["new"] == new


def _event(name: str) -> Callable[[Event], bool]:
    return lambda e: e.kind == "event" and e.name == name


# What is asked for, and the row of a Trace that shows it.
STEPS: Mapping[str, Callable[[Event], bool]] = MappingProxyType({
    "run state finish-migrate": _state("runstate", "finish-migrate"),
    "event STOP": _event("STOP"),
    "status pre-switchover": _state("status", "pre-switchover"),
    "status cancelling": _state("status", "cancelling"),
    "status device": _state("status", "device"),
    "status failed": _state("status", "failed"),
    "event RESUME": _event("RESUME"),
    "run state running": _state("runstate", "running"),
    "status cancelled": _state("status", "cancelled"),
})
_STORIES: Mapping[str, tuple[str, dict[str, Any]]] = MappingProxyType({
    "cancel": ("The migration pauses before the switchover, and in this pause the user cancels.",
               {"pause_before_switchover": True, "plan": (Action("cancel", at_s=0.1, at="pre-switchover"),)}),
    "dies": ("The destination dies while the last pages are sent.",
             {"plan": (Action("destination_dies", at="stop-copy"),)}),
})


def after_the_stop(trace: Trace) -> tuple[str, ...]:
    """Those of `STEPS` that a trace's source goes through, in order."""
    return tuple(name for event in trace.events if event.lane != "dst" for name, shows in STEPS.items() if shows(event))


def _moved(order: tuple[str, ...], what: str, behind: str) -> tuple[str, ...]:
    rest = [one for one in order if one != what]
    at = rest.index(behind) + 1
    return (*rest[:at], what, *rest[at:])


def _after(draw: Draw) -> Task:
    told, fields = _STORIES[draw.choice(tuple(_STORIES))]
    right = after_the_stop(simulate(Scenario.from_dict({**_SMALL, **fields})))
    wrongs = (
        Wrong(_moved(right, "run state finish-migrate", "event STOP"),
              "The run state changes first, while the guest still runs; STOP is sent when the handlers have run."),
        Wrong(_moved(right, "event RESUME", "run state running"),
              "At the start it is the other way round than at the stop: RESUME is sent before the run state changes."),
        Wrong(_moved(right, right[-2], right[1]),
              "Nobody starts the guest before it is settled that the migration is over."))
    return Task(
        f"{told} Put what the source goes through into order.", Order(right, draw.shuffled(right), wrongs),
        ("The guest was stopped and goes on: so there are a stop and a start.",
         "do_vm_stop changes the run state at its beginning and sends STOP at its end.",
         "vm_prepare_start sends RESUME first, and the guest is started once the status says that it is over."),
        f"{', '.join(right)}. The run state ends where it began: the guest runs on at the source.")


# -- a handler --------------------------------------------------------------------------------------------------------
_TEXTS = ((b"held", b"goes"), (b"halt", b"move"), (b"quiet", b"alive"), (b"frozen", b"thawed"), (b"asleep", b"awake!"))
_BYTES = {**_SMALL, "contents": True, "its_devices": 0}


def _solution(address: int, held: bytes, goes: bytes) -> str:
    return ("def handler(state, running, runstate):\n"
            f"    state.memory.write({address:#x}, {goes!r} if running else {held!r})\n")


def _handler(draw: Draw) -> Task:
    address = 0x4080_0000 + 0x1000 * draw.randrange(1, 2000) + 0x100 * draw.randrange(16)
    texts = held, goes = draw.choice(_TEXTS)

    def right(state: Any, running: bool, runstate: str) -> None:
        state.memory.write(address, goes if running else held)

    def always(state: Any, running: bool, runstate: str) -> None:
        state.memory.write(address, held)

    def inverted(state: Any, running: bool, runstate: str) -> None:
        state.memory.write(address, held if running else goes)

    def only_migration(state: Any, running: bool, runstate: str) -> None:
        if runstate != "paused":
            right(state, running, runstate)

    expected = {"completes": held, "link breaks": goes, "stop": held}
    cases = tuple(Case((_BYTES, what, address, texts), f"{text!r} is there") for what, text in expected.items())
    key = Function("handler", right, cases, (
        Wrong(always, "It does the same at a start. When the connection breaks after the stop, the guest goes on at "
                      "the source, and the handler is called with running = True."),
        Wrong(inverted, "It is the wrong way round: running says whether the VM is going to run."),
        Wrong(only_migration, "It acts for a migration only. A handler is called at every stop; its run state may be "
                              "paused.")),
        driver="handler", solution=_solution(address, held, goes))
    return Task(
        f"Write handler(state, running, runstate). At every stop it writes {held!r} to the guest address {address:#x}, "
        f"at every start {goes!r} to the same place; state.memory.write(address, data) writes. It is tried in a "
        "migration that completes (case 1, looked at on the destination), in one whose connection breaks after the "
        "stop (case 2, on the source), and in a stop without a migration (case 3).", key,
        ("Which of the three arguments tells a stop from a start?",
         "In case 2 the handler is called twice on the source; which bytes are there in the end?",
         f"if running: write {goes!r}, else: write {held!r}; the run state does not matter."),
        f"{held!r} if the VM is not going to run, else {goes!r}. What is written at the stop travels with the last "
        "pages.")


EXERCISES = (
    Exercise("06.1", "the order of the list", _list),
    Exercise("06.2", "who stands on the stack", _stack),
    Exercise("06.3", "how many calls", _count),
    Exercise("06.4", "a stop that is taken back", _after),
    Exercise("06.5", "a handler: a function", _handler),
)
