"""`livemig compare`: the table, ranges over guests, one's own policy, the figure, and what is said of bad input."""

import json

import pytest

from tests.cli.test_commands import bad, invoke

SMALL = ("--ram", "64MiB", "--wset", "16MiB", "--rate", "20MiB/s", "--give-up", "10s")
MINE = """
from livemig import Action

def mine(sample, memory):
    return Action("set_downtime_limit", value=1.0) if sample["total-time"] > 500 else None

def boom(sample, memory):
    raise KeyError("x")
"""


def test_all_policies_in_one_table() -> None:
    done = invoke("compare", *SMALL)
    assert done.exit_code == 0
    for text in ("policy", "total time", "downtime", "syncs", "sent", "throttled", "seed", "qemu", "auto-converge",
                 "nova", "ovirt-minimal", "ovirt-suspend", "kubevirt-ramp", "kubevirt-stall", "xen", "1/1"):
        assert text in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_ranges_your_own_policy_and_the_figure(tmp_path) -> None:
    file, figure = tmp_path / "mine.py", tmp_path / "f.svg"
    file.write_text(MINE, encoding="utf-8")
    chosen = ("--policy", f"{file}:mine", "--policy", f"{file}:boom", "--policy", "nova:steps=5,delay_s=30")
    done = invoke("compare", *SMALL, *chosen, "--samples", "3", "--figure", figure)
    assert done.exit_code == 0
    assert "over 3 guests" in done.stdout
    assert "0/3" in done.stdout
    assert "KeyError: 'x'" in done.stdout
    drawn = figure.read_text(encoding="utf-8")
    assert "<svg" in drawn
    shown = json.loads(invoke("compare", *SMALL, *chosen, "--json").stdout)
    assert shown["schema"] == "livemig-comparison/1"
    mine, boom, nova = shown["rows"]
    assert (mine["status"], mine["error"]) == ("completed", "")
    assert mine["commands"] == 1  # at 0.502 s; by the next look it was over
    assert "policy boom at 0.002 s: KeyError" in boom["error"]
    assert nova["policy"] == "nova:steps=5,delay_s=30"


@pytest.mark.parametrize(("policy", "says"), [
    ("novva", "no policy 'novva'; known are seed, qemu"), ("nova:step=5", "is not NAME=VALUE with one of downtime_ms"),
    ("nova:steps=x", "steps = 'x' is not a number"), ("nova:steps=2.5", "expected a whole number above 0"),
    ("nova:steps=0", "expected a whole number above 0"), ("nowhere.py:f", "there is no file nowhere.py"),
    ("ovirt-minimal:auto_converge=1", "expected true or false")])
def test_a_wrong_policy_is_one_message(policy, says) -> None:
    bad(invoke("compare", *SMALL, "--policy", policy), says)


def test_a_wrong_file_or_figure_is_one_message(tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    bad(invoke("compare", *SMALL, "--policy", f"{file}:other"),
        "has no 'other' (say FILE.py:NAME; it has Action, boom, mine)")
    file.write_text("1 / 0", encoding="utf-8")
    bad(invoke("compare", *SMALL, "--policy", f"{file}:mine"), "ZeroDivisionError")
    bad(invoke("compare", *SMALL, "--figure", tmp_path / "f.doc"), "its name must end in")
