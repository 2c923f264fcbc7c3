"""Notebook 05: when the tables are saved, and the order at the destination.

Keys: what simulated migrations lost; the order of calls of `its.migration`.
"""

from __future__ import annotations

from functools import cache

from livemig.course.model import Case, Draw, Exercise, Function, Order, Task, Wrong
from livemig.engine import simulate
from livemig.its.migration import POST_LOAD_ORDER
from livemig.scenario import MIB, Scenario

__all__ = ["EXERCISES", "lost_mappings"]

MOMENTS = {"stop": "at the stop", "each_sync": "at each sync of the dirty bitmap", "t0": "at T0", "never": "never"}
PERIODS_S = (0.0006, 0.0008, 0.001, 0.0012)


@cache
def lost_mappings(period_s: float) -> dict[str, int]:
    """How many mappings the destination does not know, by when the tables are saved (a simulated migration each)."""
    small = {"ram_bytes": 64 * MIB, "working_set_bytes": 16 * MIB, "its_command_period_s": period_s}
    runs = {when: simulate(Scenario.from_dict({**small, "save_tables_when": when})) for when in MOMENTS}
    return {when: len(run.meta["its"]["report"]["lost"]) for when, run in runs.items()}


def _moments(draw: Draw) -> Task:
    told_apart = [one for one in PERIODS_S if len(set(lost_mappings(one).values())) == len(MOMENTS)]
    lost = lost_mappings(draw.choice(told_apart))
    names = sorted(MOMENTS, key=lost.__getitem__)
    right = tuple(MOMENTS[name] for name in names)
    at = {name: MOMENTS[name] for name in MOMENTS}
    wrongs = (
        Wrong((at["each_sync"], at["stop"], at["t0"], at["never"]), "The last of the syncs in pre-copy comes before "
                                                                    "the stop: "
              "what the guest maps between the two is lost."),
        Wrong((at["stop"], at["t0"], at["each_sync"], at["never"]), "A save at T0 is the oldest of all; each sync "
                                                                    "saves "
              "again, so less is missing."),
        Wrong((at["stop"], at["each_sync"], at["never"], at["t0"]), "Under KVM nothing is in guest memory until it is "
                                                                    "saved; "
              "never loses everything, T0 only what was mapped since."),
        Wrong(tuple(reversed(right)), "That is the reverse: fewest lost comes first."))
    told = ", ".join(f"{MOMENTS[name]}: {lost[name]}" for name in names)
    return Task(
        "The guest maps and unmaps interrupts all the time while it is migrated. Order these moments of saving the "
        "tables "
        "from fewest to most mappings lost.", Order(right, draw.shuffled(right), wrongs),
        ("What is lost is what the guest mapped after the last save.",
         "Which save is the last before the guest stops?",
         "Is a table in guest memory at all, under KVM, that nobody has saved?"),
        f"Lost in a simulated migration: {told}.")


def _restore(draw: Draw) -> Task:
    chosen = ("GITS_CBASER", "GITS_CREADR", "GITS_BASER0", "GITS_BASER1", "RESTORE_TABLES", "GITS_CTLR")
    right = tuple(step for step in POST_LOAD_ORDER if step in chosen)

    def moved(what: str, before: str) -> tuple[str, ...]:
        rest = [one for one in right if one != what]
        at = rest.index(before)
        return (*rest[:at], what, *rest[at:])

    first = right[0]
    wrongs = (
        Wrong(moved("RESTORE_TABLES", first), "Without base registers there are no tables to read: everything is "
                                              "lost, and "
                                              "the answer is OK."),
        Wrong(moved("GITS_CTLR", first), "CTLR switches the ITS on, which is refused while it has no tables: it stays "
                                         "off."),
        Wrong(moved("RESTORE_TABLES", "GITS_BASER1"), "GITS_BASER1 is where the collections are: without them the "
                                                      "events name "
                                                      "collections that are not there (EINVAL)."),
        Wrong(moved("GITS_CREADR", "GITS_CBASER"), "Writing CBASER resets the queue's pointers, so CREADR comes after "
                                                   "it."))
    return Task(
        "The destination loads its ITS. Put these steps into QEMU's order.",
        Order(right, draw.shuffled(right), wrongs),
        ("Which register switches the ITS on?", "Where does RESTORE_TABLES learn where the tables are?",
         "The queue comes first: its base, then its pointers."),
        f"{', '.join(right)} (QEMU: kvm_arm_its_post_load).")


def _right(running: bool, runstate: str) -> bool:
    return not running


def _only_migration(running: bool, runstate: str) -> bool:
    return runstate == "finish-migrate"


def _always(running: bool, runstate: str) -> bool:
    return True


def _inverted(running: bool, runstate: str) -> bool:
    return running


_SOLUTION = """\
def saves(running, runstate):
    return not running
"""


def _handler(draw: Draw) -> Task:
    given = [(False, "finish-migrate"), (True, "running"), (False, "paused"), (False, "save-vm"), (False, "io-error")]
    cases = tuple(Case(one, _right(*one)) for one in draw.sample(given, len(given)))
    key = Function("saves", _right, cases, (
        Wrong(_only_migration, "It saves for a migration only. The handler does not know why the machine stops; KVM's "
                               "tables "
                               "are saved at every stop."),
        Wrong(_always, "It saves when the guest starts, too: then virtual CPUs run, and there is nothing to save for."),
        Wrong(_inverted, "It is the wrong way round: the tables are saved when the guest stops.")),
        solution=_SOLUTION)
    return Task(
        "Write saves(running, runstate): QEMU calls vm_change_state_handler of the ITS with these two at every stop "
        "and "
        "every start (running: True at a start). Return True if it saves the tables.", key,
        ("The handler is called at a stop and at a start.", "Does the handler know about migration?",
         "In notebook 05, k10 was stopped and continued before its migration. What was in its memory afterwards?"),
        "At every stop and at no start; the run state does not matter.")


EXERCISES = (
    Exercise("05.1", "when to save", _moments),
    Exercise("05.2", "the order at the destination", _restore),
    Exercise("05.3", "the handler: a function", _handler),
)
