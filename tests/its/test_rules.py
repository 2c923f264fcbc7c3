"""Rules that few recorded cases touch, one small test each. Sources: Linux arch/arm64/kvm/vgic (function named in each
test), and what was recorded of it (data/its/README.md)."""

import pytest

from livemig.its import Its, RamSlots, restore_tables, save_pending_tables, save_tables
from livemig.its.commands import command, decode_command
from livemig.its.errors import ItsError
from livemig.its.layout import CTE, DTE, ITE

ITT = 0x41000000
PROPBASER = 0x4040000F


def machine(kernel: str = "6.12", propbaser: int = PROPBASER) -> Its:
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x2000000, log_dirty=True)
    its = Its.create(ram, (0, 1), kernel, propbaser, (0x40500000, 0x40510000))
    for register, value in (("GITS_BASER0", 0xB800000040100600), ("GITS_BASER1", 0xB800000040200600),
                            ("GITS_CBASER", 0xB80000004030040F), ("GITS_CTLR", 1)):
        its.write_register(register, value)
    return its


def do(its: Its, name: str, **fields: int) -> str:
    return its.apply(command(name, **fields))


def mapped(kernel: str = "6.12") -> Its:
    """ICIDs 0 and 1 on VCPUs 0 and 1, device 1 event 0 -> LPI 8192 on ICID 0."""
    its = machine(kernel)
    assert do(its, "MAPC", icid=0, rdbase=0, valid=1) == ""
    assert do(its, "MAPC", icid=1, rdbase=1, valid=1) == ""
    assert do(its, "MAPD", device_id=1, size=4, itt_address=ITT, valid=1) == ""
    assert do(its, "MAPTI", device_id=1, event_id=0, pintid=8192, icid=0) == ""
    return its


@pytest.mark.parametrize("unmap", [
    {"name": "DISCARD", "device_id": 1, "event_id": 0}, {"name": "MAPC", "icid": 0, "rdbase": 0},
    {"name": "MAPD", "device_id": 1}])
def test_translations_that_were_used_do_not_outlive_their_mapping(unmap: dict[str, object]) -> None:
    """vgic_its_invalidate_cache: an MSI that went through once is blocked after DISCARD, MAPC V=0, MAPD V=0."""
    its = mapped()
    assert its.signal_msi(1, 0) == 1
    fields = {key: int(str(value)) for key, value in unmap.items() if key != "name"}
    assert do(its, str(unmap["name"]), **fields) == ""
    assert its.signal_msi(1, 0) == 0


def test_disabling_the_its_drops_translations() -> None:
    """vgic_mmio_write_its_ctlr."""
    its = mapped()
    assert its.signal_msi(1, 0) == 1
    its.write_register("GITS_CTLR", 0)
    with pytest.raises(ItsError, match=r"EBUSY: GITS_CTLR\.Enabled is 0"):
        its.signal_msi(1, 0)


def test_mapc_takes_the_pending_lpis_along() -> None:
    """update_affinity_collection: MAPC V=1 to another VCPU retargets the LPIs of the collection."""
    its = mapped()
    its.signal_msi(1, 0)
    assert do(its, "MAPC", icid=0, rdbase=1, valid=1) == ""
    assert its.vgic.pending_lpis() == {1: (8192,)}


@pytest.mark.parametrize(("icid", "left"), [(0, [0]), (7, [0])])
def test_mapti_whose_configuration_byte_is_not_ram_leaves_nothing(icid: int, left: list[int]) -> None:
    """vgic_its_cmd_handle_mapi: a new collection goes again, one that was there stays."""
    its = machine(propbaser=0x1000000F)
    do(its, "MAPC", icid=0, valid=1)
    do(its, "MAPD", device_id=1, size=4, itt_address=ITT, valid=1)
    assert do(its, "MAPTI", device_id=1, event_id=0, pintid=8192, icid=icid).startswith("LPI 8192: read of 1 bytes")
    assert list(its.collections) == left
    assert its.mappings() == ()


def test_movi_and_discard_need_collections_with_a_vcpu() -> None:
    """vgic_its_cmd_handle_movi, _discard: neither from nor to a collection that only a MAPTI named."""
    its = mapped()
    do(its, "MAPTI", device_id=1, event_id=1, pintid=8193, icid=9)
    before = its.mappings()
    assert before == ((1, 0, 8192, 0, 0), (1, 1, 8193, 9, -1))
    for event_id, icid in ((0, 9), (1, 0), (0, 5)):
        assert do(its, "MOVI", device_id=1, event_id=event_id, icid=icid) == "the old or the new collection has no VCPU"
    assert do(its, "DISCARD", device_id=1, event_id=1) == "the collection of the event has no VCPU"
    assert do(its, "DISCARD", device_id=1, event_id=2) == "device 0x1 event 2 is not mapped"
    assert do(its, "DISCARD", device_id=2, event_id=0) == "device 0x2 event 0 is not mapped"
    assert its.mappings() == before


def test_movall_needs_two_vcpus() -> None:
    """vgic_its_cmd_handle_movall."""
    for kernel in ("6.1", "6.12", "7.2"):
        its = mapped(kernel)
        its.signal_msi(1, 0)
        for source, destination in ((0, 7), (7, 1)):
            assert do(its, "MOVALL", rdbase=source, rdbase2=destination) == "one of the two RDBases names no VCPU"
            assert its.vgic.pending_lpis() == {0: (8192,)}
        assert do(its, "MOVALL", rdbase=0, rdbase2=0) == ""
        assert do(its, "MOVALL", rdbase=0, rdbase2=1) == ""
        assert its.vgic.pending_lpis() == {1: (8192,)}


def test_inv_and_invall_say_what_is_missing() -> None:
    its = mapped()
    assert do(its, "INV", device_id=1, event_id=0) == do(its, "INVALL", icid=0) == do(its, "SYNC") == ""
    assert do(its, "INV", device_id=1, event_id=3) == "device 0x1 event 3 is not mapped"
    assert do(its, "INVALL", icid=4) == "collection 4 has no VCPU"
    do(its, "MAPTI", device_id=1, event_id=1, pintid=8193, icid=9)
    assert do(its, "INVALL", icid=9) == "collection 9 has no VCPU"


@pytest.mark.parametrize(("address", "inside"), [
    (0x808FFFF, True), (0x8080000, True), (0x809FFFF, True), (0x80A0000, False), (0x807FFFF, False)])
def test_an_msi_anywhere_in_the_frame_reaches_the_its(address: int, inside: bool) -> None:
    """kvm_io_bus_get_dev: the device whose range holds the address, not the doorbell register alone."""
    assert mapped().doorbell(address) is inside
    assert not Its(mapped().vgic, None).doorbell(address)


@pytest.mark.parametrize(("register", "name"), [
    (0x2, "EINVAL"), (0xC, "EINVAL"), (0x84, "EINVAL"), (0x98, "ENXIO"), (0x140, "ENXIO"), (0x10, "ENXIO"),
    (0xFFCC, "EINVAL"), (0xFFC8, "ENXIO"), (0xFFD2, "EINVAL"), (0x10000, "ENXIO"), ("GITS_COLOR", "ENXIO")])
def test_registers_that_do_not_exist(register: int | str, name: str) -> None:
    """vgic_its_attr_regs_access."""
    for access in (lambda its: its.read_register(register), lambda its: its.write_register(register, 0)):
        with pytest.raises(ItsError) as failure:
            access(machine())
        assert failure.value.name == name


def test_id_registers() -> None:
    """vgic_mmio_read_its_idregs: Arm's GICv3 part number; holes read as 0; writes are ignored."""
    its = machine()
    values = [its.read_register(offset) for offset in range(0xFFD0, 0x10000, 4)]
    assert values == [0x40, 0, 0, 0, 0x92, 0xB4, 0x3B, 0, 0x0D, 0xF0, 0x05, 0xB1]
    its.write_register(0xFFE0, 1)
    assert its.read_register("GITS_PIDR0") == 0x92


def test_creadr_limits() -> None:
    """vgic_mmio_uaccess_write_its_creadr."""
    its = machine()
    with pytest.raises(ItsError, match="EBUSY"):
        its.write_register("GITS_CREADR", 0)
    its.write_register("GITS_CTLR", 0)
    its.write_register("GITS_CREADR", 0xFFE0)
    assert its.read_register("GITS_CREADR") == 0xFFE0
    with pytest.raises(ItsError, match="EINVAL: GITS_CREADR = 0x10000 is past the queue of 0x10000 bytes"):
        its.write_register("GITS_CREADR", 0x10000)
    its.write_register("GITS_CTLR", 1)
    its.write_register("GITS_CWRITER", 0x10000)
    assert its.read_register("GITS_CWRITER") == 0, "a place past the queue is ignored"


def test_a_queue_that_is_not_ram_is_stepped_over() -> None:
    """vgic_its_process_commands: a command that cannot be read is skipped, CREADR moves on."""
    its = machine()
    its.write_register("GITS_CTLR", 0)
    its.write_register("GITS_CBASER", 0xB800000010000400)
    its.write_register("GITS_CTLR", 1)
    its.write_register("GITS_CWRITER", 0x80)
    assert its.read_register("GITS_CREADR") == 0x80


def test_enabling_lpis_takes_bits_of_lpis_that_are_mapped() -> None:
    """its_sync_lpi_pending_table: the bits are taken up, and stay in RAM; PTZ says there are none."""
    for ptz, pending in ((0, {0: (8192,)}), (1 << 62, {})):
        ram = RamSlots()
        ram.add(0, 0x40000000, 0x2000000)
        its = Its.create(ram, (0,))
        vcpu = its.vgic.vcpus[0]
        its.vgic.write_redistributor(vcpu, "GICR_PROPBASER", PROPBASER)
        its.vgic.write_redistributor(vcpu, "GICR_PENDBASER", 0x40500000 | ptz)
        its.write_register("GITS_BASER0", 0xB800000040100600)
        its.write_register("GITS_BASER1", 0xB800000040200600)
        do(its, "MAPC", valid=1)
        do(its, "MAPD", device_id=1, size=4, itt_address=ITT, valid=1)
        for event_id in (0, 1):
            assert do(its, "MAPTI", device_id=1, event_id=event_id, pintid=8192 + event_id) == ""
        ram.poke(0x40500400, b"\x05")
        its.vgic.write_redistributor(vcpu, "GICR_CTLR", 1)
        assert its.vgic.pending_lpis() == pending
        assert ram.peek(0x40500400, 1) == b"\x05"
        assert its.vgic.read_redistributor(vcpu)["GICR_PENDBASER"] == 0x40500180
        its.vgic.write_redistributor(vcpu, "GICR_PENDBASER", 0x40600000)
        assert vcpu.pending_table_address == 0x40500000, "a base is fixed while LPIs are enabled"
        its.vgic.write_redistributor(vcpu, "GICR_CTLR", 0)
        its.write_register("GITS_CBASER", 0xB80000004030040F)
        its.write_register("GITS_CTLR", 1)
        with pytest.raises(ItsError, match="EnableLPIs = 0"):
            its.signal_msi(1, 0)
        with pytest.raises(ItsError, match="ENXIO"):
            its.vgic.write_redistributor(vcpu, "GICR_COLOR", 0)


def test_save_skips_tables_that_are_not_valid() -> None:
    """vgic_its_save_device_tables, _collection_table: without V nothing is written, and nothing fails."""
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x2000000, log_dirty=True)
    its = Its.create(ram, (0,))
    save_tables(its)
    restore_tables(its)
    assert ram.take_dirty_log(0) == ()
    its.write_register("GITS_BASER1", 0xB800000040200600)
    save_tables(its)
    assert ram.take_dirty_log(0) == (0x40200000,)


def test_pending_bits_of_two_vcpus_interleaved() -> None:
    """vgic_v3_save_pending_tables: each LPI's byte in its own VCPU's table, whatever the order."""
    its = mapped()
    assert isinstance(its.memory, RamSlots)
    for event_id, icid in ((1, 1), (2, 0), (3, 1)):
        do(its, "MAPTI", device_id=1, event_id=event_id, pintid=8192 + event_id, icid=icid)
    for event_id in range(4):
        its.signal_msi(1, event_id)
    its.memory.poke(0x40500400, b"\xf0")
    its.memory.take_dirty_log(0)
    save_pending_tables(its)
    assert (its.memory.peek(0x40500400, 1), its.memory.peek(0x40510400, 1)) == (b"\xf5", b"\x0a")
    assert its.memory.take_dirty_log(0) == (0x40500000, 0x40510000)
    save_pending_tables(its)
    assert its.memory.take_dirty_log(0) == (), "only changed bytes are written"
    do(its, "CLEAR", device_id=1, event_id=0)
    save_pending_tables(its)
    assert its.memory.peek(0x40500400, 1) == b"\xf4"


def test_restore_takes_each_lpi_of_another_itt_page() -> None:
    """A walk over empty pages of an ITT finds what lies behind them."""
    its = machine()
    assert isinstance(its.memory, RamSlots)
    its.memory.poke(0x40200000, CTE.pack(valid=1))
    its.memory.poke(0x40100000, DTE.pack(valid=1, itt_address=ITT, size=15))
    its.memory.poke(ITT + 8 * 3000, ITE.pack(next=1000, pintid=8200))
    its.memory.poke(ITT + 8 * 4000, ITE.pack(pintid=8201))
    restore_tables(its)
    assert its.mappings() == ((0, 3000, 8200, 0, 0), (0, 4000, 8201, 0, 0))


def test_running_vcpu_blocks_everything() -> None:
    its = mapped()
    its.vgic.vcpu_running = True
    for action in (lambda: save_tables(its), lambda: restore_tables(its), lambda: save_pending_tables(its), its.reset,
                   lambda: its.control(9), lambda: its.read_register("GITS_CTLR")):
        with pytest.raises(ItsError, match="EBUSY"):
            action()


def test_unknown_commands_say_so() -> None:
    assert machine().apply(decode_command(bytes([0x42]) + bytes(31))) == "no command has opcode 0x42"


def test_redistributor_registers_read_back_as_kvm_keeps_them() -> None:
    """vgic_sanitise_propbaser, _pendbaser; the guest of data/stream wrote 0x4106000f and 0x41070000."""
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x2000000)
    vgic = Its.create(ram, (0, 1)).vgic
    first, second = vgic.vcpus
    assert vgic.read_redistributor(first) == {"GICR_PROPBASER": 0x580, "GICR_PENDBASER": 0, "GICR_CTLR": 6}
    vgic.write_redistributor(first, "GICR_PROPBASER", 0x4106000F)
    vgic.write_redistributor(first, "GICR_PENDBASER", 0x41070000)
    vgic.write_redistributor(first, "GICR_CTLR", 1)
    assert vgic.read_redistributor(first) == {
        "GICR_PROPBASER": 0x4106018F, "GICR_PENDBASER": 0x41070180, "GICR_CTLR": 7}
    assert vgic.read_redistributor(second)["GICR_CTLR"] == 6
    vgic.write_redistributor(first, "GICR_PROPBASER", 0)
    assert vgic.propbaser == 0x4106018F, "fixed for a VCPU whose LPIs are enabled"
    for value, kept in ((0xFFFF_FFFF_FFFF_FFFF, 0x000F_FFFF_FFFF_FF9F), (0x0100_0000_0000_0900, 0x0100_0000_0000_0500),
                        (0x0200_0000_0000_0480, 0x0000_0000_0000_0580)):
        vgic.write_redistributor(second, "GICR_PROPBASER", value)
        assert vgic.propbaser == kept
    vgic.write_redistributor(second, "GICR_PENDBASER", 0xFFFF_FFFF_FFFF_FFFF)
    assert second.pendbaser == 0x400F_FFFF_FFFF_0F80
    assert vgic.read_redistributor(second)["GICR_PENDBASER"] == 0x000F_FFFF_FFFF_0F80


def test_lpi_numbers_that_fit() -> None:
    """max_lpis_propbaser: GICR_PROPBASER.IDbits + 1 bits, at most 16."""
    for id_bits, limit in ((13, 1 << 14), (15, 1 << 16), (20, 1 << 16), (0, 2)):
        assert machine(propbaser=0x40400000 | id_bits).vgic.lpi_limit == limit


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.2"])
def test_lpis_follow_movall_movi_and_leave_with_their_events(kernel: str) -> None:
    """However LPIs were moved together, each goes on its own afterwards."""
    its = mapped(kernel)
    for event_id in (1, 2, 3):
        do(its, "MAPTI", device_id=1, event_id=event_id, pintid=8192 + event_id, icid=event_id // 3)
    for event_id in range(4):
        do(its, "INT", device_id=1, event_id=event_id)
    assert its.vgic.pending_lpis() == {0: (8192, 8193, 8194), 1: (8195,)}
    do(its, "MOVALL", rdbase=0, rdbase2=1)
    assert its.vgic.pending_lpis() == {1: (8192, 8193, 8194, 8195)}
    do(its, "MOVI", device_id=1, event_id=1, icid=0)
    assert its.vgic.pending_lpis() == {0: (8193,), 1: (8192, 8194, 8195)}
    do(its, "DISCARD", device_id=1, event_id=0)
    assert its.vgic.pending_lpis() == {0: (8193,), 1: (8194, 8195)}
    do(its, "MOVALL", rdbase=1, rdbase2=0)
    do(its, "DISCARD", device_id=1, event_id=3)
    assert its.vgic.pending_lpis() == {0: (8193, 8194)}
    assert sorted(its.vgic.lpis) == [8193, 8194]
    do(its, "MAPD", device_id=1)
    assert (its.vgic.lpis, its.vgic.pending_lpis(), its.mappings()) == ({}, {}, ())


def test_an_lpi_that_two_events_share_lives_until_the_second_goes() -> None:
    """vgic_add_lpi, vgic_put_irq: one structure, counted; its target stays that of the first mapping."""
    its = mapped()
    do(its, "MAPTI", device_id=1, event_id=1, pintid=8192, icid=1)
    do(its, "INT", device_id=1, event_id=1)
    assert its.vgic.pending_lpis() == {0: (8192,)}
    do(its, "DISCARD", device_id=1, event_id=0)
    assert its.vgic.pending_lpis() == {0: (8192,)}
    do(its, "DISCARD", device_id=1, event_id=1)
    assert its.vgic.lpis == {}


def test_save_pending_walks_lpis_as_the_kernel_does() -> None:
    """6.12 walks by number, 6.1 in mapping order; seen where a table that is not RAM stops the walk."""
    for kernel, written in (("6.12", b"\x01"), ("6.1", b"\x00")):
        ram = RamSlots()
        ram.add(0, 0x40000000, 0x2000000)
        its = Its.create(ram, (0, 1), kernel, PROPBASER, (0x40500000, 0x40510000))
        for register, value in (("GITS_BASER0", 0xB800000040100600), ("GITS_BASER1", 0xB800000040200600),
                                ("GITS_CBASER", 0xB80000004030040F), ("GITS_CTLR", 1)):
            its.write_register(register, value)
        for icid in (0, 1):
            do(its, "MAPC", icid=icid, rdbase=icid, valid=1)
        do(its, "MAPD", device_id=1, size=4, itt_address=ITT, valid=1)
        do(its, "MAPTI", device_id=1, event_id=0, pintid=9000, icid=1)
        do(its, "MAPTI", device_id=1, event_id=1, pintid=8192, icid=0)
        for event_id in (0, 1):
            do(its, "INT", device_id=1, event_id=event_id)
        its.vgic.vcpus[1].pendbaser = 0x10000000
        with pytest.raises(ItsError, match="EFAULT"):
            save_pending_tables(its)
        assert ram.peek(0x40500400, 1) == written


def test_two_devices_of_one_id_swap_at_each_save() -> None:
    """list_sort of equal ids (recorded: restore-twice-devices-only): the last one written is what RAM shows."""
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x2000000)
    its = Its.create(ram, (0,), "6.12", PROPBASER, (0x40500000,))
    its.write_register("GITS_BASER0", 0xB800000040100600)
    for itt_address in (ITT, ITT + 0x1000):
        ram.poke(0x40100008, DTE.pack(valid=1, itt_address=itt_address, size=4))
        restore_tables(its)
    for expected in (ITT, ITT + 0x1000, ITT):
        save_tables(its)
        entry = DTE.decode(ram.peek(0x40100008, 8))
        assert (entry["itt_address"], entry["next"]) == (expected, 0)


def test_iidr_takes_revision_0_only() -> None:
    """vgic_mmio_uaccess_write_its_iidr: the table ABI revision; other bits do not matter."""
    its = machine()
    its.write_register("GITS_IIDR", 0xFFFF0FFF)
    with pytest.raises(ItsError, match="EINVAL: GITS_IIDR asks for table ABI revision 1; KVM knows only 0"):
        its.write_register("GITS_IIDR", 0x4B00143B)
    assert its.read_register("GITS_IIDR") == 0x4B00043B


def test_a_new_its() -> None:
    """vgic_its_create: tables not valid, default attributes, empty queue, disabled."""
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x1000)
    its = Its.create(ram)
    names = ("GITS_CTLR", "GITS_CBASER", "GITS_CREADR", "GITS_CWRITER", "GITS_BASER0", "GITS_BASER1", "GITS_BASER2")
    assert [its.read_register(name) for name in names] == [
        0x80000000, 0, 0, 0, 0x1907000000000600, 0x1C07000000000600, 0]
    its.write_register("GITS_CTLR", 1)
    assert its.read_register("GITS_CTLR") == 0x80000000, "not without valid tables and queue"


def test_base_registers_keep_what_kvm_accepts() -> None:
    """vgic_sanitise_its_baser, _cbaser: attributes, page size, type and entry size; BASER1 has one level."""
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x1000)
    its = Its.create(ram)
    for register, value, kept in (
            ("GITS_BASER0", 0xFFFF_FFFF_FFFF_FFFF, 0xF907_FFFF_FFFF_FEFF), ("GITS_BASER1", 0x4000_0000_0000_0000,
                                                                            0x1C07_0000_0000_0200),
            ("GITS_BASER0", 0x0820_0000_0000_0900, 0x1927_0000_0000_0600), ("GITS_BASER3", 1 << 63, 0),
            ("GITS_CBASER", 0xFFFF_FFFF_FFFF_FFFF, 0xFF1F_FFFF_FFFF_0FFF)):
        its.write_register(register, value)
        assert hex(its.read_register(register)) == hex(kept), register


def test_a_table_that_becomes_invalid_takes_its_mappings_along() -> None:
    """vgic_mmio_write_its_baser: V=0 in BASER1 unmaps the collections, in BASER0 the devices; nothing while enabled."""
    its = mapped()
    its.write_register("GITS_BASER1", 0x40200000)
    assert its.mappings() == ((1, 0, 8192, 0, 0),)
    its.write_register("GITS_CTLR", 0)
    its.write_register("GITS_BASER1", 0x40200000)
    assert its.mappings() == ((1, 0, 8192, -1, -1),)
    assert its.collections == {}
    its.write_register("GITS_BASER0", 0x40100000)
    assert (its.mappings(), its.vgic.lpis) == ((), {})


@pytest.mark.parametrize("invalid", ["GITS_BASER0", "GITS_BASER1", "GITS_CBASER"])
def test_enabling_needs_both_tables_and_the_queue(invalid: str) -> None:
    """vgic_mmio_write_its_ctlr."""
    its = machine()
    its.write_register("GITS_CTLR", 0)
    its.write_register(invalid, 0x40800000)
    its.write_register("GITS_CTLR", 1)
    assert its.read_register("GITS_CTLR") == 0x80000000
    its.write_register(invalid, 0xB800000040800400)
    its.write_register("GITS_CTLR", 1)
    assert its.read_register("GITS_CTLR") == 0x80000001
