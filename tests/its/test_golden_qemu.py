"""QEMU's emulated ITS: every recorded case."""

from pathlib import Path

from livemig.its import RamSlots, command
from livemig.its.emulated import EmulatedIts
from livemig.its.replay import load_case, replay_case, replay_dir

DATA = Path(__file__).parents[2] / "data"


def test_every_case_equal() -> None:
    result = replay_dir(DATA / "its-qemu-tcg")
    assert [row for row in result["cases"] if not row["equal"]] == []
    assert result["equal"] == result["of"] == 9


def test_kvm_layout_is_not_what_qemu_writes() -> None:
    """The two ITSes differ in every byte grid: a KVM case's dump is a difference for the emulated ITS."""
    case = load_case(DATA / "its" / "one-device-one-event-poisoned.json")
    setup = {"op": "setup", "cpus": 1, "redist": [
        {"cpu": 0, "GICR_PROPBASER": "0x4040000f", "GICR_PENDBASER": "0x40500000", "GICR_CTLR": "0x1"}]}
    steps = [setup] + [step for step in case["steps"] if step["op"] in ("set_reg", "commands", "dump")]
    for step in steps:
        if step["op"] != "dump":
            step.pop("result", None)
    first = replay_case({"name": "kvm as qemu", "agreeing_versions": [], "steps": steps}).first_difference
    assert first is not None
    assert first["op"] == "dump"


def test_unreadable_memory_stalls_the_queue_and_bad_fields_do_not() -> None:
    """QEMU hw/intc/arm_gicv3_its.c: CMD_STALL for memory errors (GITS_CREADR bit 0), CMD_CONTINUE for bad fields."""
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x1000000)
    its = EmulatedIts(ram, 1)
    its.write_register("GITS_BASER0", 0xB800000040100600)
    its.write_register("GITS_BASER1", 0xB800000040200600)
    its.write_register("GITS_CBASER", 0xB80000004030040F)
    queue = [command("MAPC", icid=9000, valid=1), command("MAPD", device_id=1, size=4, itt_address=0x80000000, valid=1),
             command("MAPTI", device_id=1, event_id=0, pintid=8192), command("MAPC", icid=1, valid=1)]
    ram.poke(0x40300000, b"".join(one.raw for one in queue))
    its.write_register("GITS_CTLR", 1)
    its.write_register("GITS_CWRITER", 0x80)
    assert its.read_register("GITS_CREADR") == 0x41, "stalled at the MAPTI, the third command"
    assert ram.peek(0x40200008, 8) == bytes(8), "the MAPC behind it did not run"
    assert its.translate(1, 0).startswith("read of 12 bytes at 0x80000000")
