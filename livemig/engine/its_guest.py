"""The guest's ITS driver: what it maps at boot, and the events it maps, moves and unmaps while it runs.

It follows the guest of data/recordings k01 to k12: some devices whose events stay, and a spare device whose events come
and go, so that tables which are saved early are stale at once.
"""

from __future__ import annotations

from functools import lru_cache

from livemig.its.commands import Command, command

__all__ = ["EVENT_BITS", "ITT_BYTES", "VCPUS", "boot_commands", "device_id", "running_command"]

VCPUS = (0, 1)
EVENT_BITS = 5
EVENTS = 1 << EVENT_BITS
ITT_BYTES = 8 * EVENTS
FIRST_LPI = 8192
CYCLE = 4 * EVENTS // 2  # commands after which the spare device's turn begins anew
LIFETIME_EVENTS = 7  # an event of the spare device is unmapped when so many have been mapped after it


def device_id(number: int) -> int:
    """DeviceIDs as a PCI bus gives them: bus, device, function."""
    return (number + 1) << 3


def _mapti(number: int, event_id: int, icid: int) -> Command:
    lpi = FIRST_LPI + number * EVENTS + event_id
    return command("MAPTI", device_id=device_id(number), event_id=event_id, icid=icid, pintid=lpi)


@lru_cache(maxsize=64)
def boot_commands(devices: int, events: int, itts_address: int) -> tuple[Command, ...]:
    """Collections, devices (the last one is the spare), events; the first event of each device is pending."""
    commands = [command("MAPC", icid=icid, rdbase=icid, valid=1) for icid in VCPUS]
    for number in range(devices + 1):
        address = itts_address + number * ITT_BYTES
        commands.append(command("MAPD", device_id=device_id(number), size=EVENT_BITS - 1, itt_address=address, valid=1))
    for number in range(devices):
        commands += [_mapti(number, event_id, event_id & 1) for event_id in range(events)]
        commands.append(command("INT", device_id=device_id(number), event_id=0))
    return tuple(commands)


def running_command(k: int, spare: int) -> Command:
    """Command number k of the running guest: map, map, move, unmap, over and over, on device number `spare`."""
    return _cycle(spare)[k % CYCLE]


@lru_cache(maxsize=64)
def _cycle(spare: int) -> tuple[Command, ...]:
    commands: list[Command] = []
    for turn in range(CYCLE // 4):
        event = 2 * turn
        commands += [_mapti(spare, event, 0), _mapti(spare, event + 1, 0)]
        commands.append(command("MOVI", device_id=device_id(spare), event_id=event, icid=1))
        old = (event - LIFETIME_EVENTS) % EVENTS
        commands.append(command("DISCARD", device_id=device_id(spare), event_id=old))
    return tuple(commands)
