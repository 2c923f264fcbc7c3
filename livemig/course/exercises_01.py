"""Notebook 01: what the first pass leaves, what the second begins with, and a workload. Keys: runs of 64 pages."""

from __future__ import annotations

from collections.abc import Callable

from livemig.course.model import Case, Draw, Exercise, Function, Order, Task, Wrong, number
from livemig.engine.pages import PageStory, ranges, watch_pages
from livemig.scenario import Scenario

__all__ = ["EXERCISES", "SMALL"]

PAGE = 4096
PAGES = 64
# The guest of notebook 01, which writes 20 pages a second; here all of its pages may be written.
SMALL = {"ram_bytes": PAGES * PAGE, "other_ram_bytes": 0, "filled_offset_bytes": 0, "contents": True, "its_devices": 0,
         "working_set_offset_bytes": 0, "working_set_bytes": PAGES * PAGE, "dirty_rate_bytes_per_s": 20.0 * PAGE,
         "bandwidth_bytes_per_s": 400_000.0, "downtime_limit_s": 0.05, "qemu_version": "7.2", "give_up_s": 3.0}
_RATES = (17, 19, 21, 23, 27, 29, 31, 33)  # with these no write falls on the moment at which pages are sent
_SENDS = ("Ten pages are sent at the beginning of each 100 ms, from page 0 on; at 0.6 s four pages are left, fewer "
          "than the threshold of five, and QEMU reads the dirty log (sync).")


def _watched(rate: float, offset: int, pages: int) -> PageStory:
    return watch_pages(Scenario.from_dict({
        **SMALL, "dirty_rate_bytes_per_s": rate * PAGE, "working_set_offset_bytes": offset * PAGE,
        "working_set_bytes": pages * PAGE}))


def _drawn(draw: Draw) -> tuple[str, PageStory, int]:
    """A guest that writes round and round, in words, its run, and the number of its writes in the first pass."""
    rate, pages = draw.choice(_RATES), draw.randrange(8, 21)
    offset = draw.randrange(0, 60 - pages)
    story = _watched(rate, offset, pages)
    words = (f"The guest of notebook 01 has 64 pages and writes {rate} pages a second, evenly: pages {offset} to "
             f"{offset + pages - 1} one after the other, then again from {offset}; the first "
             f"write comes {1000 / rate:.0f} ms after T0. {_SENDS}")
    return words, story, sum(len(step.pages) for step in story.steps if step.what == "write" and step.sync == 1)


def _old(draw: Draw) -> Task:
    words, story, writes = _drawn(draw)
    first = story.passes()[0]
    written = {*first.before, *first.after}
    key = number(
        len(first.after), "",
        (len(written), "Those are all pages that were written, and all of them will be sent again. Those that were "
                       "written only before their turn arrived with their new bytes."),
        (len(written) - len(first.after), "Those were written before their turn only: they arrived with their new "
                                          "bytes."),
        (writes, "That is the number of writes. Some came before the turn of their page, and a page that is written "
                 "twice is one page."),
        (0, "A page that is written after it was sent is not sent again by itself: that takes a sync."),
        tolerance=0, noun="pages")
    return Task(
        f"{words} At that sync, how many of the pages that were sent hold old bytes at the destination?", key,
        ("Of each write: had its page been sent by then?", "At 0.25 s the pages 0 to 29 have been sent.",
         "Write number k, counted from 1, comes at k divided by the rate. Go through the writes and keep those whose "
         "page is below ten times the number of windows that have begun."),
        f"Written after their turn: pages {ranges(first.after)}, {len(first.after)} of them.")


def _second(draw: Draw) -> Task:
    words, story, writes = _drawn(draw)
    first, second, *_ = story.passes()
    new, left = set(second.todo) - set(first.left), len(first.left)
    key = number(
        len(second.todo), "",
        (len(new), "Those are the dirty pages. What the first pass left over stays in the bitmap and is added."),
        (len(first.after) + left, "You counted only pages that were written after their turn. The dirty log does not "
                                  "know when a page was written, so the others go again too."),
        (writes + left, "A page that is written twice is dirty once."),
        (left, "Those are the pages that the first pass left over; what the guest wrote is added."),
        tolerance=0, noun="pages")
    return Task(
        f"{words} How many pages has the second pass to send when it begins?", key,
        ("What does a sync do to QEMU's bitmap?", "How many different pages has the guest written in 0.6 s?",
         "The dirty ones and those that were left over."),
        f"Dirty are {len(new)} pages, {ranges(sorted(new))}, and {left} are left over: {len(second.todo)}.")


def _circular(draw: Draw) -> Task:
    dirty = tuple(f"page {page}" for page in sorted(draw.sample(range(2, 58), 3)))
    written = draw.shuffled(dirty)
    numbers = [int(name.split()[1]) for name in written]
    story = watch_pages(Scenario.from_dict(SMALL), lambda n: numbers[n % 3])
    first, second, *_ = story.passes()
    left = _named(first.left)
    wrongs = (
        Wrong((*dirty, *left), "The scan does not begin at page 0 with each pass: it goes on where the last one "
                               "stopped."),
        Wrong((*left, *written), "A bitmap does not know in which order the pages were written; the scan goes by page "
                                 "number."),
        Wrong((*written, *left), "Neither the order of writing nor the oldest write counts: the scan goes by page "
                                 "number, from where it stopped."))
    right = _named(second.sent)
    return Task(
        f"In the first pass the guest of notebook 01 writes the pages {', '.join(map(str, numbers))}, in this order, "
        f"over and over. {_SENDS} Now pages {ranges(first.left)} are left over. In which order does the second pass "
        "send its pages?", Order(right, draw.shuffled(right), wrongs),
        ("Is there anything in the bitmap that says when a page was written?", "Where did the first pass stop?",
         "The scan is circular: from page 60 to the end, then from page 0 on."),
        f"{ranges(second.sent)}: on from where the first pass stopped, then round.")


def _named(pages: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"page {page}" for page in pages)


def _right(n: int, dirty: int, old: int) -> int:
    return 50 + n if n < dirty - old else n % old


def _all_old(n: int, dirty: int, old: int) -> int:
    return n % dirty


def _none_old(n: int, dirty: int, old: int) -> int:
    return 50 + n % dirty


def _sequential(n: int, dirty: int, old: int) -> int:
    return n % PAGES


def _one_short(n: int, dirty: int, old: int) -> int:
    return 50 + n if n < dirty else n % old


_SOLUTION = """\
def writes(n, dirty, old):
    if n < dirty - old:
        return 50 + n
    return n % old
"""
_WRONGS: tuple[tuple[Callable[[int, int, int], int], str], ...] = (
    (_all_old, "All of the pages that it writes had been sent before the write, so all of them are old. Write some of "
               "them early, before their turn, and then leave them alone."),
    (_none_old, "It goes on writing its pages after their turn. Those that are to arrive new must be left alone from "
                "then on."),
    (_sequential, "It goes through the memory and never comes back to a page: one page a write. Come back to pages "
                  "that you have written."),
    (_one_short, "The early pages and the late ones together are to be as many as dirty says."),
)


def _workload(draw: Draw) -> Task:
    wanted = [(dirty, draw.randrange(1, dirty - 1)) for dirty in draw.sample(range(4, 10), 3)]
    cases = tuple(Case((SMALL, dirty, old), f"pages written: {dirty}, of these old at the destination: {old}")
                  for dirty, old in wanted)
    key = Function("writes", _right, cases, tuple(Wrong(*one) for one in _WRONGS), driver="workload",
                   solution=_SOLUTION)
    told = ", ".join(f"({dirty}, {old})" for dirty, old in wanted)
    return Task(
        "You are the guest. Write writes(n, dirty, old): the page (0 to 63) that your write number n touches, n = 0, "
        f"1, 2 and so on; there is one write each 50 ms, number 0 at 50 ms. {_SENDS} (At 100 ms first you write, then "
        "ten pages are sent.) By then as many different pages as dirty says shall have been written, and as many of "
        f"them as old says shall be old at the destination. It is tried with (dirty, old) = {told}.", key,
        ("There are twelve writes before the sync, so some pages are written several times.",
         "A page arrives new if its last write came before its turn. Page 50 has its turn at 0.5 s.",
         "First write dirty - old pages from 50 on, once each; then go round among the pages below old."),
        "The pages from 50 on are written once, before their turn at 0.5 s, and arrive new. The pages from 0 on were "
        "sent at once, so each later write makes them old.")


EXERCISES = (
    Exercise("01.1", "old bytes at the destination", _old),
    Exercise("01.2", "what the second pass begins with", _second),
    Exercise("01.3", "the order of the second pass", _circular),
    Exercise("01.4", "a workload: a function", _workload),
)
