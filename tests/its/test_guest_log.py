"""Dumps of real migrations (data/recordings/k*): the guest's command log through our device gives every byte."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from livemig.its import guest_log, migration
from livemig.its.dump import decode
from livemig.its.errors import DataError
from livemig.its.guest_log import LoggedGuest, parse_command, replay_recording, stops_that_explain, unseen_stops
from livemig.its.memory import RamSlots
from livemig.its.registers import GITS_BASER

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings"
FILES = sorted(RECORDINGS.glob("k*.json"))
BASER0 = GITS_BASER.encode(valid=1, indirect=1, address=0x41000000, page_size=2)
BASER1 = GITS_BASER.encode(valid=1, address=0x41040000, page_size=2)


def load(path: Path) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(path.read_bytes())
    return recording


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_dump_equal(path: Path) -> None:
    recording = load(path)
    results = replay_recording(recording, "7.2" if "7.2" in path.stem else "6.12")
    assert [result.name for result in results] == list(recording["its"]["dumps"])
    assert [(result.name, result.first_difference) for result in results if result.first_difference] == []


def test_failed_migration_left_tables_of_its_stop() -> None:
    """k05: the source saved, the destination was killed, the source ran on; RAM keeps the tables of that stop."""
    recording = load(RECORDINGS / "k05-kill-dst.json")
    near = unseen_stops(recording)
    places = stops_that_explain(recording, near)
    assert places == list(range(places[0], places[-1] + 1))
    assert near[0] < places[0], "not every place near the stop explains the dumps"
    assert places[-1] < near[-1]
    assert [path.stem for path in FILES if unseen_stops(load(path))] == ["k05-kill-dst"]


def test_k10_mapping_is_lost_for_the_reason_recorded() -> None:
    """The destination restores 65/2 -> 12002, which the guest had unmapped, and loses 65/8 -> 12008."""
    recording = load(RECORDINGS / "k10-stale-itt.json")
    stale = recording["its"]["check"]["dst-loaded-not-run"]["examples_stale"]
    assert [(row["dev/ev"], row["table"], row["commands"]) for row in stale] == [
        ("65/2", [12002, 0], None), ("65/8", None, [12008, 0])]
    log = [parse_command(text) for text in recording["its"]["commands"]]
    source = LoggedGuest.booted("6.12", zero_itt=False)
    for dump in ("src-stopped-early", "src-stopped"):
        source.run(log, recording["its"]["dumps"][dump]["guest_books"]["commands_queued"])
        source.stop()
    destination = source.migrate("6.12")
    assert {row[:3] for row in source.its.mappings() if row[0] == 65} == {(65, 8, 12008)}
    assert {row[:3] for row in destination.its.mappings() if row[0] == 65} == {(65, 2, 12002)}
    zeroing = LoggedGuest.booted("6.12", zero_itt=True)
    for dump in ("src-stopped-early", "src-stopped"):
        zeroing.run(log, recording["its"]["dumps"][dump]["guest_books"]["commands_queued"])
        zeroing.stop()
    assert zeroing.migrate("6.12").its.mappings() == zeroing.its.mappings(), "a guest that zeroes its ITT loses nothing"


class Watch:
    """Records which pages the model writes, in order, during saves and restores."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[tuple[str, int, list[str]]] = []
        self.pages: list[str] = []
        plain_write = RamSlots.write

        def write(ram: RamSlots, address: int, data: bytes) -> None:
            self.pages.append(hex(address >> 12))
            plain_write(ram, address, data)

        monkeypatch.setattr(RamSlots, "write", write)
        for name in ("save_tables", "save_pending_tables"):
            monkeypatch.setattr(guest_log, name, self.watched(name, getattr(guest_log, name)))
        monkeypatch.setattr(migration, "restore_tables", self.watched("restore_tables", migration.restore_tables))

    def watched(self, name: str, action: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: Any) -> None:
            self.pages.clear()
            action(*arguments)
            short = name.replace("_pending_tables", "_pending")
            self.rows.append((short, len(self.pages), list(dict.fromkeys(self.pages))))
        return wrapped


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_write_of_save_and_restore_as_the_kernel_made_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernel probes counted the writes of each save and restore, and listed the pages in the order of their marks."""
    recording = load(path)
    recorded = [(row[2].removeprefix("kernel "), row[3]["n_marks"], row[3]["marks_dirty"])
                for row in recording["kvm"]["rows"] if row[2] in (
                    "kernel save_tables", "kernel save_pending", "kernel restore_tables")]
    watch = Watch(monkeypatch)
    replay_recording(recording)
    assert watch.rows[-len(recorded):] == recorded
    if not unseen_stops(recording):  # else several places were tried
        assert len(watch.rows) - len(recorded) == (2 if path.stem == "k10-stale-itt" else 0), (
            "k10: its early stop came before the kernel's trace began")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_decoded_dumps_have_as_many_mappings_as_another_program_counted(path: Path) -> None:
    its = load(path)["its"]
    for name, dump in its["dumps"].items():
        ram = RamSlots()
        ram.add(0, 0x40000000, 0x4000000)
        for region in dump["tables"]:
            for offset, text in region["data"].items():
                ram.poke(int(region["gpa"], 16) + int(offset, 16), bytes.fromhex(text))
        found = decode(ram, BASER0, BASER1)
        assert len(found.rows) == its["check"][name]["mappings_in_tables"], name


def test_bad_logs_are_named() -> None:
    with pytest.raises(DataError, match="unknown field 'color'"):
        parse_command("mapti color=1")
    with pytest.raises(DataError, match="not a recording with an ITS command log"):
        replay_recording({"its": {}})
