"""docs/teaching.md: what it names exists, and its keys are what livemig computes."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

import livemig
from livemig.draw.presets import LECTURE
from livemig.engine.closed_form import textbook

MIB = 1 << 20


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs/teaching.md").read_text(encoding="utf-8")


def test_every_section_and_recording_that_it_names_exists(root: Path, text: str) -> None:
    headings = {}
    for path in (root / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
        headings[path.stem[:2]] = {m[1] for line in lines if (m := re.match(r"## (\d+)\. ", line))}
    named = re.findall(r"notebook (\d\d), sections? (\d)(?: and (\d))?", text)
    assert len(named) > 12
    for number, *sections in named:
        assert {s for s in sections if s} <= headings[number], (number, sections)
    recordings = re.findall(r"`([a-z]\d\d)`", text)
    assert len(recordings) >= 5
    for name in recordings:
        assert livemig.recording(name).events
    assert {int(n) for n in re.findall(r"(?:preset |^\|[^|]*\|[^|]*\| `)(\d)", text, re.M)} <= set(
        range(1, len(LECTURE) + 1))


def test_the_thresholds_that_it_counts(text: str) -> None:
    names = [name for name in livemig.recordings() if name[0] in "abcdelnv"]
    seen = np.concatenate([livemig.recording(name).series("threshold")[1] for name in names])
    assert f"{len(seen):,} recorded thresholds, the smallest {seen.min() / 1024:.0f} KiB" in text


def test_the_keys_of_the_first_questions() -> None:
    one = textbook(1024 * MIB, 40 * MIB, 64 * MIB, 100 * MIB, 0.3)
    assert (one.converges, one.rounds, one.dirty_bytes / MIB) == (True, 2, pytest.approx(25.6))
    assert not textbook(1024 * MIB, 400 * MIB, 64 * MIB, 100 * MIB, 0.3).converges
    longer = textbook(1024 * MIB, 400 * MIB, 64 * MIB, 100 * MIB, 0.7)
    assert (longer.converges, longer.rounds) == (True, 1)


def test_the_order_of_the_third_question() -> None:
    trace = livemig.simulate(livemig.Scenario())
    start = next(i for i, e in enumerate(trace.events) if e.kind == "mark" and e.name == "Tn+2")
    steps = [next(i for i, e in enumerate(trace.events) if i > start and is_it(e)) for is_it in (
        lambda e: e.kind == "state" and e.data["new"] == "finish-migrate",
        lambda e: e.kind == "its" and e.name == "SAVE_TABLES",
        lambda e: e.kind == "event" and e.name == "STOP",
        lambda e: e.kind == "sync",
        lambda e: e.kind == "send" and e.name == "ram",
        lambda e: e.kind == "send" and e.name == "arm_gicv3_its")]
    assert steps == sorted(steps)
