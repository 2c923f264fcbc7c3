"""The map of pages and the diagram of states draw what they are given, and nothing else."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, Rectangle

import livemig
from livemig.draw.pages import page_map
from livemig.draw.palette import LIGHT
from livemig.draw.states import path_of, transitions
from livemig.draw.validation import FigureError
from livemig.engine.runstate import MIGRATION_TRANSITIONS, RUNSTATE_TRANSITIONS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def one_pass(**pages):
    empty = dict.fromkeys(("todo", "sent", "before", "after", "no_turn", "left"), ())
    return SimpleNamespace(number=1, stopped=False, **{**empty, **pages})


def cells(view, colour):
    """(page, begin in the cell, width) of the rectangles of a colour, eight cells in a row."""
    found = [p for p in view.patches if isinstance(p, Rectangle) and to_hex(p.get_facecolor()) == colour]
    return sorted((int(p.get_y()) * 8 + int(p.get_x()), p.get_x() % 1, p.get_width()) for p in found)


def test_each_page_is_drawn_as_what_it_was():
    (view,) = page_map([one_pass(todo=(0, 1, 9), sent=(0, 9), before=(9,), after=(0, 9), no_turn=(3,), left=(1,))], 16)
    assert [page for page, _, _ in cells(view, LIGHT.send_tint)] == [0, 9]
    halves = [(page, begin < 0.4, begin + width > 0.6) for page, begin, width in cells(view, LIGHT.dirty)]
    assert halves == [(0, False, True), (3, True, True), (9, True, False), (9, False, True)]  # of page, left, right
    for bar in (p for p in view.patches if to_hex(p.get_facecolor()) == LIGHT.dirty):  # it touches no other page
        for low, length in ((bar.get_x() % 1, bar.get_width()), (bar.get_y() % 1, bar.get_height())):
            assert 0.05 < low < low + length < 0.95
    assert [int(p.get_x()) for p in view.patches if p.get_hatch()] == [1]
    assert len(view.texts) == 16
    assert [text.get_text() for text in view.texts if text.get_bbox_patch()] == ["1"]  # a ground where it is hatched


@pytest.mark.parametrize(("passes", "pages"), [([], 8), ([one_pass()], 0), ([one_pass(todo=(8,))], 8)])
def test_a_map_of_nothing_or_of_foreign_pages_is_refused(passes, pages):
    with pytest.raises(FigureError):
        page_map(passes, pages)


def arrows(ax, colour):
    return [p for p in ax.patches if isinstance(p, FancyArrowPatch) and to_hex(p.get_edgecolor()) == colour]


@pytest.mark.parametrize(("table", "kind", "taken"), [(RUNSTATE_TRANSITIONS, "runstate", 2),
                                                      (MIGRATION_TRANSITIONS, "status", 4)])
def test_every_allowed_transition_has_an_arrow_and_the_path_its_numbers(table, kind, taken):
    path = path_of(livemig.simulate(), kind)
    ax = transitions(table, path)
    assert len(arrows(ax, LIGHT.run)) == taken == len(path)
    assert len(arrows(ax, LIGHT.edge)) == sum(map(len, table.values())) - taken
    words = [text.get_text() for text in ax.texts]
    assert set(table) <= set(words)
    assert [word for word in words if word.isdigit()] == [str(i + 1) for i in range(taken)]


def test_a_path_taken_twice_has_both_numbers_and_both_sides_are_told_apart():
    path = path_of(livemig.recording("k06"))
    assert path == [("running", "paused"), ("paused", "running")] * 2 + [("running", "paused")]
    assert {"1, 3, 5", "2, 4"} <= {text.get_text() for text in transitions(RUNSTATE_TRANSITIONS, path).texts}
    assert path_of(livemig.simulate(), lane="dst") == [("inmigrate", "running")]


def test_a_transition_that_is_not_in_the_table_is_refused():
    with pytest.raises(FigureError, match="shutdown -> running"):
        transitions(RUNSTATE_TRANSITIONS, [("shutdown", "running")])
