"""What each ITS command does to the state. A command that cannot be done is dropped; the reason is returned.

Source: Linux arch/arm64/kvm/vgic/vgic-its.c, vgic_its_cmd_handle_*; recorded in data/its.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from livemig.its.errors import ItsError, MemoryFault
from livemig.its.memory import is_ram, write_u64
from livemig.its.places import collection_has_place, device_entry_address, event_entry_address
from livemig.its.registers import EVENT_ID_BITS
from livemig.its.state import Collection
from livemig.its.vgic import FIRST_LPI, Vcpu

if TYPE_CHECKING:
    from livemig.its.device import Its

__all__ = [
    "mapd", "mapc", "mapti", "mapi", "movi", "discard", "movall", "interrupt", "clear", "inv", "invall", "sync",
    "Fields", "Handler", "HANDLERS",
]

Fields: TypeAlias = Mapping[str, int]
Handler: TypeAlias = "Callable[[Its, Fields], str]"


def _unmapped(fields: Fields) -> str:
    return f"device {fields['device_id']:#x} event {fields['event_id']} is not mapped"


def _vcpu_of(its: Its, collection: Collection) -> Vcpu | None:
    return its.vgic.vcpu_at(collection.rdbase) if collection.mapped else None


def mapd(its: Its, fields: Fields) -> str:
    """V=1 replaces a mapping and drops its events; V=0 zeroes the DTE in RAM at once and leaves the ITT stale."""
    device_id, event_id_bits = fields["device_id"], fields["size"] + 1
    place = device_entry_address(its.basers[0], its.memory, device_id)
    if place is None:
        return f"DeviceID {device_id:#x} has no place in the device table"
    if fields["valid"] and event_id_bits > EVENT_ID_BITS:
        return f"{event_id_bits} EventID bits are more than {EVENT_ID_BITS}"
    device = its.device(device_id)
    if device is not None:
        its.free_device(device)
    if fields["valid"]:
        its.add_device(device_id, fields["itt_address"], event_id_bits)
    else:
        _zero_entry(its, place)
    return ""


def _zero_entry(its: Its, address: int) -> None:
    with suppress(MemoryFault):  # the kernel ignores it too: a command has nobody to report to
        write_u64(its.memory, address, 0)


def mapc(its: Its, fields: Fields) -> str:
    """V=1 on a mapped ICID changes its VCPU in place; V=0 takes it off the list, its events stay without one."""
    icid, rdbase = fields["icid"], fields["rdbase"]
    vcpu = its.vgic.vcpu_at(rdbase)
    if vcpu is None and (fields["valid"] or its.vgic.profile.unmapc_checks_target):
        return f"RDBase {rdbase:#x} names no VCPU"
    if not fields["valid"]:
        its.free_collection(icid)
        its.translations.clear()
        return ""
    collection = its.collections.get(icid)
    if collection is None:
        if not collection_has_place(its.basers[1], its.memory, icid):
            return f"ICID {icid} has no place in the collection table"
        collection = its.add_collection(icid)
    collection.rdbase = rdbase
    for event in collection.events:
        its.vgic.retarget(event.lpi, vcpu)
    return ""


def mapti(its: Its, fields: Fields) -> str:
    """Map an event. An unknown ICID becomes a collection without VCPU; a mapped event stays as it is."""
    event_id, pintid, icid = fields["event_id"], fields["pintid"], fields["icid"]
    device = its.device(fields["device_id"])
    if device is None:
        return f"device {fields['device_id']:#x} is not mapped"
    if event_id >> device.event_id_bits or not is_ram(its.memory, event_entry_address(device.itt_address, event_id)):
        return f"EventID {event_id} has no place in an ITT of {device.event_id_bits} EventID bits"
    if not FIRST_LPI <= pintid < its.vgic.lpi_limit:
        return f"LPI {pintid} is not in {FIRST_LPI}..{its.vgic.lpi_limit - 1}"
    if event_id in device.events:
        return f"device {device.device_id:#x} event {event_id} is mapped already"
    collection = its.collections.get(icid)
    is_new = collection is None
    if collection is None:
        if not collection_has_place(its.basers[1], its.memory, icid):
            return f"ICID {icid} has no place in the collection table"
        collection = its.add_collection(icid)
    try:
        lpi = its.vgic.add_lpi(pintid, _vcpu_of(its, collection))
    except MemoryFault as fault:
        if is_new:
            its.free_collection(icid)
        return f"LPI {pintid}: {fault.message}"
    its.add_event(device, event_id, lpi, collection)
    return ""


def mapi(its: Its, fields: Fields) -> str:
    """MAPTI with the EventID as LPI number."""
    return mapti(its, {**fields, "pintid": fields["event_id"]})


def movi(its: Its, fields: Fields) -> str:
    """Both the old and the new collection must have a VCPU. The pending state goes with the LPI."""
    event = its.event(fields["device_id"], fields["event_id"])
    if event is None:
        return _unmapped(fields)
    collection = its.collections.get(fields["icid"])
    for one in (event.collection, collection):
        if one is None or not one.mapped:
            return "the old or the new collection has no VCPU"
    assert collection is not None
    event.move_to(collection)
    its.translations.clear()
    its.vgic.retarget(event.lpi, _vcpu_of(its, collection))
    return ""


def discard(its: Its, fields: Fields) -> str:
    """Unmap an event and zero its ITE in RAM at once; ignored if its collection has no VCPU."""
    device = its.device(fields["device_id"])
    event = its.event(fields["device_id"], fields["event_id"])
    if device is None or event is None:
        return _unmapped(fields)
    if event.collection is None or not event.collection.mapped:
        return "the collection of the event has no VCPU"
    its.translations.clear()
    its.free_event(device, event)
    _zero_entry(its, event_entry_address(device.itt_address, event.event_id))
    return ""


def movall(its: Its, fields: Fields) -> str:
    """Retarget the LPIs of one VCPU, or of all VCPUs on kernels with that mistake; collections stay as they are."""
    source, destination = its.vgic.vcpu_at(fields["rdbase"]), its.vgic.vcpu_at(fields["rdbase2"])
    if source is None or destination is None:
        return "one of the two RDBases names no VCPU"
    if source is not destination:
        everything = its.vgic.profile.movall_moves_all
        its.vgic.move_all(its.vgic.all_targets() if everything else (source,), destination)
        its.translations.clear()
    return ""


def interrupt(its: Its, fields: Fields) -> str:
    """INT: like an MSI of that device and event."""
    try:
        return its.trigger(fields["device_id"], fields["event_id"])
    except ItsError as busy:
        return busy.message


def clear(its: Its, fields: Fields) -> str:
    """CLEAR: the LPI is no longer pending; the pending table in RAM changes at the next save only."""
    event = its.event(fields["device_id"], fields["event_id"])
    if event is None:
        return _unmapped(fields)
    event.lpi.pending = False
    return ""


def inv(its: Its, fields: Fields) -> str:
    """INV: the configuration byte is read again; no table byte depends on it."""
    event = its.event(fields["device_id"], fields["event_id"])
    return _unmapped(fields) if event is None else ""


def invall(its: Its, fields: Fields) -> str:
    """INVALL: as INV, for all LPIs of the collection's VCPU."""
    collection = its.collections.get(fields["icid"])
    return "" if collection is not None and collection.mapped else f"collection {fields['icid']} has no VCPU"


def sync(its: Its, fields: Fields) -> str:
    """SYNC: KVM is always in sync."""
    return ""


HANDLERS: Mapping[str, Handler] = {
    "MAPD": mapd, "MAPC": mapc, "MAPTI": mapti, "MAPI": mapi, "MOVI": movi, "MOVALL": movall, "INT": interrupt,
    "CLEAR": clear, "DISCARD": discard, "INV": inv, "INVALL": invall, "SYNC": sync}
