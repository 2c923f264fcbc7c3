"""Every recorded KVM case, on every kernel it was recorded on: results, registers, dumps, dirty logs, crashes."""

import time
from pathlib import Path

import pytest

from livemig.its.replay import load_case, replay_case, replay_dir

DATA = Path(__file__).parents[2] / "data"
CASES = sorted((DATA / "its").glob("*.json"))


@pytest.mark.parametrize("kernel", ["6.12", "6.1", "7.2"])
def test_every_case_equal(kernel: str) -> None:
    result = replay_dir(DATA / "its", kernel)
    assert [row for row in result["cases"] if not row["equal"]] == []
    assert result["equal"] == result["of"] == 133


def test_index_lists_the_cases_and_where_kernels_differ() -> None:
    """INDEX.tsv was written with the recordings: our reading of `differs` and `crashed` must agree with it."""
    rows = [line.split("\t") for line in (DATA / "its" / "INDEX.tsv").read_text().splitlines()[1:]]
    assert {row[1] for row in rows} == {path.stem for path in CASES}
    for _, name, _, _, crashed in rows:
        for kernel in filter(None, crashed.split(",")):
            result = replay_case(load_case(DATA / "its" / f"{name}.json"), kernel)
            assert result.first_difference is None
            assert "host kernel crashes" in result.note


@pytest.mark.parametrize("name", ["pending-movall", "vcpu-ids-sparse", "baser0-rewrite-other",
                                  "indirect-l1-cleared-before-save", "collection-bad-rdbase"])
def test_kernels_really_differ(name: str) -> None:
    """Replaying a case that differs with the wrong kernel's answers must fail: the comparison is not blind."""
    case = load_case(DATA / "its" / f"{name}.json")
    assert case["differs"]
    case["agreeing_kernels"] += list(case["differs"])
    case["differs"] = {}
    results = [replay_case(case, kernel).first_difference for kernel in ("6.1", "6.12", "7.2")]
    assert any(results)
    assert not all(results)


def test_a_changed_answer_is_found() -> None:
    """One flipped hex digit in any kind of recorded answer is a difference, at that step."""
    for number in range(len(load_case(DATA / "its" / "dirty-log-commands.json")["steps"])):
        case = load_case(DATA / "its" / "dirty-log-commands.json")
        step = case["steps"][number]
        if step["op"] == "dump":
            data = step["regions"][1]["data"]
            data["0x0"] = "f" + data["0x0"][1:]
        elif step["op"] == "get_dirty_log" and step["result"]["dirty_pages"] == ["0x41000000"]:
            step["result"]["dirty_pages"] = []
        elif step["op"] == "commands":
            step["result"]["creadr_after"] = "0x0"
        else:
            continue
        first = replay_case(case).first_difference
        assert first is not None
        assert first["step"] == number


def test_real_linux_guest_queue() -> None:
    result = replay_dir(DATA / "its-linux-guest")
    assert (result["equal"], result["of"]) == (1, 1)


def test_replaying_all_cases_takes_at_most_5_s() -> None:
    start = time.perf_counter()
    replay_dir(DATA / "its")
    assert time.perf_counter() - start < 5
