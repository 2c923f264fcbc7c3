"""The byte grid's Python side: messages always answered, tables checked, words where nothing draws."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import livemig
from livemig.draw.bytegrid import _MODULES, ByteGrid, differences
from livemig.its.errors import DataError
from livemig.its.layout import COMMANDS, DTE, QEMU_ITE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TABLE = {"name": "Device table", "layout": "DTE", "base": 0x40100000, "entry_bytes": 8,
         "entries": [[1, "0300200800003e9f"], [4000, "2400200800000080"]]}


def send(grid: ByteGrid, inputs: Any, reply: str = "a-1") -> dict[str, Any]:
    """A message as the browser sends it; what the browser gets back."""
    grid._message(grid, {"type": "apply", "id": reply, "inputs": inputs}, [])
    return dict(grid._state)


@pytest.fixture
def grid() -> ByteGrid:
    return livemig.its_bench("roundtrip-small")


def changed(grid: ByteGrid, number: int, **fields: object) -> list[dict[str, Any]]:
    rows = [{"name": one["name"], "fields": dict(one["fields"])} for one in grid.commands]
    rows[number]["fields"].update({name: str(value) for name, value in fields.items()})
    return rows


def test_the_bytes_are_those_that_linux_wrote(grid: ByteGrid) -> None:
    case = json.loads((livemig.data_dir() / "its" / "roundtrip-small.json").read_bytes())
    dump = next(step for step in case["steps"] if step["op"] == "dump")
    recorded = {int(region["gpa"], 16): region["data"] for region in dump["regions"]}
    shown = {table["place"]: dict(table["entries"]) for table in grid.tables}
    assert shown[0x40100000] == {int(at, 16) // 8: text for at, text in recorded[0x40100000].items()}
    assert differences(grid.tables, grid.compare) == (0, 64)


def test_an_edited_command_changes_its_bytes(grid: ByteGrid) -> None:
    state = send(grid, {"commands": changed(grid, 2, size=4), "save": True})
    assert (state["reply"], state["error"]) == ("a-1", "")
    before = DTE.decode(bytes.fromhex("0300200800003e9f"))
    assert DTE.decode(bytes.fromhex(dict(grid.tables[0]["entries"])[1])) == before | {"size": 4}
    assert differences(grid.tables, grid.compare)[0] == 1
    assert grid.commands[2]["fields"]["size"] == "4"
    assert [one["pages"] for one in grid.result["saves"]] == [[0x40100000, 0x40107000, 0x40200000, 0x41000000]]


def test_a_command_that_cannot_be_done_says_why_and_the_others_count(grid: ByteGrid) -> None:
    state = send(grid, {"commands": changed(grid, 5, event_id=40), "save": True})
    assert [one["ok"] for one in state["outcomes"]] == [True, True, True, True, True, False, True]
    assert state["outcomes"][5]["text"] == "dropped: EventID 40 has no place in an ITT of 5 EventID bits"
    state = send(grid, {"commands": changed(grid, 5, event_id="0x200000000"), "save": True})
    assert state["outcomes"][5]["text"].startswith("not queued: event_id = 0x200000000 needs more than its 32 bits")
    state = send(grid, {"commands": [{"name": "MAPX", "fields": {}}], "save": True})
    assert "there is no ITS command 'MAPX'" in state["outcomes"][0]["text"]


def test_without_a_save_only_what_commands_write_is_there(grid: ByteGrid) -> None:
    rows = [*changed(grid, 0), {"name": "DISCARD", "fields": {"device_id": "1", "event_id": "3"}}]
    state = send(grid, {"commands": rows, "save": False})
    assert state["saves"] == []
    assert [entries for table in grid.tables for entries in table["entries"] if int(entries[1], 16)] == []
    assert state["outcomes"][-1]["pages"] == [0x41000000]


@pytest.mark.parametrize("inputs", [None, {}, {"commands": 5}, {"commands": [5]}, {"commands": [{"name": "MAPD"}]},
                                    {"commands": [{"name": "SYNC", "fields": {}}] * 5000}])
def test_bad_messages_are_answered_and_nothing_is_lost(grid: ByteGrid, inputs: Any) -> None:
    tables, commands = grid.tables, grid.commands
    state = send(grid, inputs, "b-7")
    assert state["reply"] == "b-7"
    assert state["error"]
    assert "Traceback" not in state["error"]
    assert (grid.tables, grid.commands) == (tables, commands)
    assert send(grid, {"commands": commands, "save": True}, "b-8")["error"] == ""


def test_an_apply_that_raises_is_told_in_the_grid() -> None:
    def broken(commands: list[dict[str, Any]], save: bool) -> dict[str, Any]:
        if commands:
            raise RuntimeError("no")
        return {"tables": [TABLE]}

    grid = ByteGrid(apply=broken)
    state = send(grid, {"commands": [{"name": "SYNC", "fields": {"rdbase": "0"}}]})
    assert state["error"] == "RuntimeError: no"
    assert grid.tables == [TABLE]


def test_commands_set_from_python_run_too(grid: ByteGrid) -> None:
    grid.commands = changed(grid, 6, pintid=8300)
    assert grid._state["reply"] == ""
    assert differences(grid.tables, grid.compare)[0] == 1
    with pytest.raises(ValueError, match="a command is"):
        grid.commands = [{"name": "MAPD"}]
    grid.save = False
    assert grid.result["saves"] == []


def test_a_grid_without_apply_has_nothing_to_edit() -> None:
    grid = ByteGrid([TABLE])
    assert send(grid, {"commands": [], "save": True})["error"].startswith("this grid shows tables that were handed in")


def test_tables_of_unknown_form_are_refused() -> None:
    with pytest.raises(ValueError, match="no layout 'XTE'"):
        ByteGrid([{**TABLE, "layout": "XTE"}])
    with pytest.raises(ValueError, match="entries of 12 bytes, DTE has 8"):
        ByteGrid([{**TABLE, "entry_bytes": 12}])


def test_differences_count_bytes_of_both_sides() -> None:
    other = {**TABLE, "entries": [[1, "0300200800003e1f"], [5, "0000000000000080"]]}
    assert differences([TABLE], [other]) == (1 + 1 + 4, 24)
    assert differences([TABLE], [{**TABLE, "base": 0x40200000}]) == (0, 0)


def test_what_the_browser_needs_is_what_the_layouts_say(grid: ByteGrid) -> None:
    assert set(grid._forms) == set(COMMANDS)
    for name, form in grid._forms.items():
        assert [one["name"] for one in form["fields"]] == [f.name for f in COMMANDS[name].fields if f.name != "opcode"]
    assert grid._layouts["emulated ITE"]["size_bytes"] == QEMU_ITE.size_bytes
    json.dumps(grid.get_state())


def test_a_text_fallback_says_what_differs_first(grid: ByteGrid) -> None:
    grid.commands = changed(grid, 2, size=4)
    text = grid._repr_mimebundle_()[0]["text/plain"]
    assert text.splitlines()[1] == "1 of 64 bytes differ from what Linux 6.12 wrote"
    assert "0x40100008  0400200800003e9f  valid 1, next 3999, itt_address 0x41000000, size 4" in text


@pytest.mark.parametrize("case", ["linux-guest-1", "indirect-two-l2", "qemu-pending", "one-device-one-event-poisoned"])
def test_other_machines_and_layouts(case: str) -> None:
    grid = livemig.its_bench(case)
    differ, of = differences(grid.tables, grid.compare)
    assert differ == 0
    assert of > 20
    assert grid._about["can_save"] is not case.startswith("qemu")


def test_an_unknown_case_names_those_like_it() -> None:
    with pytest.raises(DataError, match="names like it: roundtrip-big-indirect"):
        livemig.its_bench("roundtripsmall")
    with pytest.raises(DataError, match="nothing for a bench"):
        livemig.its_bench("pending-basic")


def test_the_module_is_one_text_without_double_names(tmp_path: Path, node_path: Path) -> None:
    text = str(ByteGrid._esm)
    assert not re.search(r"^import ", text, re.MULTILINE)
    names = re.findall(r"^(?:export )?(?:const|let|class|function|async function) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    (tmp_path / "grid.mjs").write_text(text, encoding="utf-8")
    subprocess.run([node_path, "--check", tmp_path / "grid.mjs"], check=True)
    assert _MODULES[-1] == "bytegrid.js"
