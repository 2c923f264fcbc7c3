"""The handout: one A4 page in greys, with every time point and the chain as QEMU has it."""

from __future__ import annotations

import re
from pathlib import Path

import pypdf
import pytest
from typer.testing import CliRunner

import livemig
from livemig.cli.app import app
from livemig.draw.handout import handout
from livemig.engine import simulate
from livemig.scenario import Scenario

CHAIN = ["migration_completion", "migration_completion_precopy", "migration_stop_vm", "vm_stop_force_state", "vm_stop",
         "do_vm_stop", "vm_state_notify", "vm_change_state_handler"]  # of the seed document, with the one it leaves out


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> pypdf.PdfReader:
    file = tmp_path_factory.mktemp("handout") / "handout.pdf"
    done = CliRunner().invoke(app, ["handout", "--out", str(file)])
    assert done.exit_code == 0, done.output
    return pypdf.PdfReader(file)


def test_it_is_one_a4_page(pdf: pypdf.PdfReader) -> None:
    assert len(pdf.pages) == 1
    width, height = (float(side) / 72 * 25.4 for side in pdf.pages[0].mediabox[2:])
    assert (width, height) == pytest.approx((210, 297), abs=0.5)


def test_it_has_the_time_points_and_the_chain_in_order(pdf: pypdf.PdfReader) -> None:
    text = pdf.pages[0].extract_text()
    for label in ("T0", "Tn+1", "Tn+2", "Tn+3", "Tn+4"):
        assert text.count(label) >= 2, label  # in the diagram and in words; in the timeline too
    chain = text[text.index("From the thread to the handler"):]
    assert [line.split()[0] for line in chain.splitlines() if line.split()[0] in CHAIN] == CHAIN


def test_it_shows_the_migration_of_notebook_00_as_real_qemu_made_it_too(pdf: pypdf.PdfReader) -> None:
    """5.21 s and five passes: what `b05`, which notebook 00 draws beside the same inputs, was recorded with."""
    text = pdf.pages[0].extract_text()
    real = livemig.recording("b05")
    assert "30 ms of downtime allowed" in text
    assert f"completed in {real.outcome.total_time_s:.2f} s" in text
    running = [one.number for one in real.passes() if not one.final]
    assert (f"T{running[-1]}" in text, f"T{running[-1] + 1}" in text) == (True, False)


def test_it_has_no_colour(pdf: pypdf.PdfReader) -> None:
    drawn = pdf.pages[0].get_contents().get_data().decode("latin-1")  # type: ignore[union-attr]
    assert len(re.findall(r"[\d.]+ [gG]\s", drawn)) > 50  # PDF's operators for greys
    colours = re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) (?:rg|RG)\s", drawn)
    assert [c for c in colours if len(set(c)) > 1] == []


def test_a_run_that_was_never_stopped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no call of 'vm_change_state_handler'"):
        handout(simulate(Scenario(give_up_s=0.5)), tmp_path / "none.pdf")
    assert list(tmp_path.iterdir()) == []
