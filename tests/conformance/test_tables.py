"""What model.js is given: ITS bytes as the engine saves them, coarse pages against fine ones, sizes, one file."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from livemig.draw.modules import join
from livemig.engine import simulate
from livemig.engine.coarse import coarsened, simulate_coarse
from livemig.engine.its_story import its_story
from livemig.engine.model_tables import model_tables
from livemig.scenario import MIB, Costs, Scenario, its_area_offset
from tests.conformance.node import NODE

STATIC = Path(__file__).parents[2] / "livemig" / "draw" / "static"
LARGEST_BYTES = 100_000


@pytest.mark.parametrize(("devices", "events"), [(1, 1), (6, 4), (64, 32)])
def test_the_its_story_is_small_enough_to_fetch(devices, events):
    assert len(json.dumps(its_story(devices, events), separators=(",", ":"))) < LARGEST_BYTES


@pytest.mark.parametrize("ram_bytes", [80 * MIB, 3 * 1024 * MIB + 64 * 1024])
@pytest.mark.parametrize("period_s", [0, 0.3, 0.004])
def test_story_bytes_are_those_that_the_engine_saves(ram_bytes, period_s):
    """A table's value grows by its step for each 64 KiB of address: against SAVE_TABLES at two places in RAM."""
    scenario = Scenario(
        ram_bytes=ram_bytes, filled_bytes=0, dirty_rate_bytes_per_s=0, its_command_period_s=period_s
    )
    trace = simulate(scenario)
    saved = next(trace.select("its", "SAVE_TABLES")).data["tables"]
    story = its_story(scenario.its_devices, scenario.its_events_per_device)
    steps = (story["ram_base"] + its_area_offset(ram_bytes)) // 0x10000
    for table, shown in zip(story["tables"], saved, strict=False):
        values = [table["values"][i : i + 16] for i in range(0, len(table["values"]), 16)]
        raised = [_raised(value, steps * table["step"]) for value in values]
        assert [list(entry) for entry in zip(table["ids"], raised, strict=True)] == shown["entries"]
    commands = trace.meta["its"]["guest_commands"]
    index = commands if commands < story["cycle"] else story["cycle"] + (commands - story["cycle"]) % story["cycle"]
    spare = story["spare"]
    assert saved[-1]["entries"] == [[spare["mappings"][m][1], spare["values"][v]] for m, v in spare["states"][index]]


def _raised(value: str, growth: int) -> str:
    number = int.from_bytes(bytes.fromhex(value), "little")
    return (number + growth if number else 0).to_bytes(8, "little").hex()


def test_tables_are_plain_json_and_name_their_format():
    tables = model_tables()
    assert json.loads(json.dumps(tables)) == json.loads(json.dumps(tables, default=str))
    assert tables["format"] in (STATIC / "model.js").read_text()


GUEST = Scenario(
    ram_bytes=512 * MIB,
    working_set_bytes=96 * MIB,
    dirty_rate_bytes_per_s=40.0 * MIB,
    bandwidth_bytes_per_s=160.0 * MIB,
)


@pytest.mark.parametrize("version", ["10.0", "7.2"])
@pytest.mark.parametrize("pattern", ["sequential", "uniform"])
@pytest.mark.parametrize("taken", [2, 16])
def test_coarse_pages_tell_the_same_story(pattern, version, taken):
    """131,072 pages computed as such, and 2 or 16 taken together: total time and bytes differ by less than 3 %."""
    scenario = Scenario.from_dict(GUEST.to_dict() | {"pattern": pattern, "qemu_version": version})
    fine, coarse = simulate(scenario), simulate_coarse(scenario, scenario.ram_pages // taken)
    assert coarse.meta["coarsened_page_bytes"] == taken * scenario.page_bytes
    assert "coarsened_page_bytes" not in fine.meta
    for name in ("total_time_s", "transferred_bytes"):
        assert getattr(coarse.outcome, name) == pytest.approx(getattr(fine.outcome, name), rel=0.03)
    assert coarse.outcome.status == fine.outcome.status == "completed"


def test_coarsened_by_hand():
    """4097 pages of 4 KiB in at most 1000: pages of 32 KiB; the working set keeps away from the ITS's tables."""
    page = 4096
    fine = Scenario(
        ram_bytes=4097 * page,
        other_ram_bytes=3 * page,
        filled_offset_bytes=9 * page,
        working_set_offset_bytes=3900 * page,
        working_set_bytes=12 * page,
    )
    coarse = coarsened(fine, 1000)
    big = 8 * page
    assert coarse.page_bytes == big
    assert (coarse.ram_bytes, coarse.other_ram_bytes, coarse.filled_offset_bytes) == (512 * big, big, big)
    assert (coarse.working_set_offset_bytes, coarse.working_set_bytes) == (487 * big, 2 * big)
    assert coarse.costs.zero_page_s == 8 * Costs().zero_page_s
    assert coarsened(fine, 4097) is fine
    assert coarsened(Scenario(ram_bytes=80 * MIB, contents=True), 10).page_bytes == page


def model_modules() -> list[str]:
    """model.js and all it imports, each behind those it imports from."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for other in re.findall(r'^\}? ?.*from "\./([\w.]+)";$', (STATIC / name).read_text(), re.MULTILINE):
            visit(other)
        order.append(name)

    visit("model.js")
    return order


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_model_works_joined_into_one_module(tmp_path):
    """As anywidget gets it: one module, no imports, no name twice."""
    joined = tmp_path / "joined.mjs"
    joined.write_text(join([(STATIC / name).read_text() for name in model_modules()]) + "\nexport { simulate };\n")
    tables = tmp_path / "tables.json"
    tables.write_text(json.dumps(model_tables()))
    script = (
        f"import {{ simulate }} from {joined.as_uri()!r}; import {{ readFileSync }} from 'node:fs';"
        f"console.log(simulate({{}}, JSON.parse(readFileSync({str(tables)!r}))).events.length)"
    )
    assert NODE is not None
    done = subprocess.run([NODE, "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(simulate().events)
