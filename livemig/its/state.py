"""What KVM holds inside for one ITS: collections, devices, events. Nothing here touches guest RAM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from livemig.its.layout import UNMAPPED_RDBASE
from livemig.its.vgic import Lpi, Vgic

__all__ = ["Collection", "Event", "Device", "ItsState"]


@dataclass(eq=False)
class Collection:
    """ICID -> VCPU. `rdbase` is UNMAPPED_RDBASE until a MAPC."""

    icid: int
    rdbase: int = UNMAPPED_RDBASE
    events: dict[Event, None] = field(default_factory=dict)

    @property
    def mapped(self) -> bool:
        return self.rdbase != UNMAPPED_RDBASE


@dataclass(eq=False)
class Event:
    """One EventID of a device: an LPI and its collection (None once the collection was unmapped)."""

    event_id: int
    lpi: Lpi
    collection: Collection | None

    def move_to(self, collection: Collection | None) -> None:
        if self.collection is not None:
            self.collection.events.pop(self, None)
        self.collection = collection
        if collection is not None:
            collection.events[self] = None


@dataclass(eq=False)
class Device:
    """A DeviceID with its ITT place and its events by EventID."""

    device_id: int
    itt_address: int
    event_id_bits: int
    events: dict[int, Event] = field(default_factory=dict)

    def in_order(self) -> list[Event]:
        """Events by EventID: the order in which SAVE writes them."""
        return [self.events[event_id] for event_id in sorted(self.events)]


class ItsState:
    """Collections in mapping order, devices by DeviceID, and the MSI translation cache.

    A second RESTORE_TABLES can leave one DeviceID twice (recorded: restore-twice-devices-only); the first one answers.
    """

    def __init__(self, vgic: Vgic) -> None:
        self.vgic = vgic
        self.collections: dict[int, Collection] = {}
        self.devices: dict[int, list[Device]] = {}
        self.translations: dict[tuple[int, int], Lpi] = {}

    def device(self, device_id: int) -> Device | None:
        found = self.devices.get(device_id)
        return found[0] if found else None

    def event(self, device_id: int, event_id: int) -> Event | None:
        device = self.device(device_id)
        return device.events.get(event_id) if device is not None else None

    def all_devices(self) -> Iterator[Device]:
        for same_id in self.devices.values():
            yield from same_id

    def add_collection(self, icid: int) -> Collection:
        self.collections[icid] = Collection(icid)
        return self.collections[icid]

    def free_collection(self, icid: int) -> None:
        """Unmap a collection; its events stay, without one (Linux vgic_its_free_collection)."""
        collection = self.collections.pop(icid, None)
        if collection is None:
            return
        for event in collection.events:
            event.collection = None
        collection.events.clear()

    def free_collections(self) -> None:
        for icid in list(self.collections):
            self.free_collection(icid)

    def add_device(self, device_id: int, itt_address: int, event_id_bits: int) -> Device:
        device = Device(device_id, itt_address, event_id_bits)
        self.devices.setdefault(device_id, []).append(device)
        return device

    def free_device(self, device: Device) -> None:
        for event in list(device.events.values()):
            self.free_event(device, event)
        self.translations.clear()
        same_id = self.devices[device.device_id]
        same_id.remove(device)
        if not same_id:
            del self.devices[device.device_id]

    def free_devices(self) -> None:
        for device in list(self.all_devices()):
            self.free_device(device)

    def add_event(self, device: Device, event_id: int, lpi: Lpi, collection: Collection) -> Event:
        event = Event(event_id, lpi, None)
        event.move_to(collection)
        device.events[event_id] = event
        return event

    def free_event(self, device: Device, event: Event) -> None:
        del device.events[event.event_id]
        event.move_to(None)
        self.vgic.put_lpi(event.lpi)

    def devices_in_save_order(self) -> list[Device]:
        """Devices by DeviceID. Equal ids swap places at each SAVE: the kernel's list sort puts later ones first."""
        ordered: list[Device] = []
        for device_id in sorted(self.devices):
            same_id = self.devices[device_id]
            same_id.reverse()
            ordered += same_id
        return ordered

    def mappings(self) -> tuple[tuple[int, int, int, int, int], ...]:
        """All mappings, sorted: (DeviceID, EventID, LPI, ICID, target VCPU as RDBase); -1 where there is none."""
        return tuple(sorted(
            (device.device_id, event.event_id, event.lpi.intid,
             event.collection.icid if event.collection else -1,
             event.collection.rdbase if event.collection and event.collection.mapped else -1)
            for device in self.all_devices() for event in device.events.values()))
