"""The ITS of the story as plain data, so that the browser's model needs no ITS of its own.

The guest's commands repeat (`its_guest`), so the ITS after k commands is one of a few states. For each state this file
has the real ITS save its tables and writes down what came of it. Only addresses depend on the size of RAM: an entry
that holds one grows by a fixed amount for each 64 KiB that the tables lie higher, which is measured here, not assumed.
`draw/static/model_its.js` picks from this data; tests compare it with the engine's ITS.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from livemig.engine.contents import RAM_BASE
from livemig.engine.devices import ItsModel
from livemig.engine.its_guest import CYCLE, device_id, running_command
from livemig.engine.state import MigrationState
from livemig.its.migration import POST_LOAD_ORDER, migration_state
from livemig.its.tables import save_pending_tables, save_tables
from livemig.scenario import MIB, Scenario, its_area_offset

__all__ = ["its_story"]

_STEP_BYTES = 0x10000
_FINE_PAGE_BYTES = 512


class _Guest:
    """The engine's ITS in a guest whose tables lie `steps` times 64 KiB above the lowest place."""

    def __init__(self, devices: int, events: int, steps: int = 0) -> None:
        scenario = Scenario(
            ram_bytes=MIB + steps * _STEP_BYTES,
            page_bytes=_FINE_PAGE_BYTES,
            other_ram_bytes=0,
            pattern="idle",
            working_set_bytes=0,
            working_set_offset_bytes=0,
            its_devices=devices,
            its_events_per_device=events,
        )
        state = MigrationState(scenario)
        self.memory = state.memory
        self.model = ItsModel(state)
        self.base = RAM_BASE + its_area_offset(scenario.ram_bytes)
        self.steps = self.base // _STEP_BYTES

    def tables(self) -> list[dict[str, Any]]:
        save_tables(self.model.source)
        return self.model.tables(self.memory.read)

    def registers(self) -> dict[str, int]:
        return migration_state(self.model.source)


@lru_cache(maxsize=32)
def its_story(devices: int, events: int) -> dict[str, Any]:
    """What the browser shows of a guest with `devices` x `events` mappings; plain JSON, below 100 kB.

    tables: the tables whose entries stay (offset in bytes from the ITS's area; ids of the entries; values: 16 hex
    digits each, lowest byte first, at address 0; step: what an entry grows by for each 64 KiB of address). mappings:
    five numbers each (DeviceID, EventID, LPI, ICID, VCPU). spare: the table whose entries come and go, with `states`
    (after 0, 1, .. commands; state k >= cycle is cycle + (k - cycle) % cycle): for each mapped event the index in the
    spare's `mappings` and `values`. discards: the event whose entry command k zeroes in RAM, or -1. pending: LPIs, and
    the offsets of the bytes that hold their bits. registers, load_order: what pre_save reads and post_load writes.
    """
    guest, higher = _Guest(devices, events), _Guest(devices, events, 1)
    shown = list(zip(guest.tables(), higher.tables(), strict=True))
    stays = [_table(guest, one, two) for one, two in shown]
    spare = stays.pop()
    fixed = [number for mapping in guest.model.source.mappings() for number in mapping]
    return {
        "devices": devices,
        "events": events,
        "cycle": CYCLE,
        "ram_base": RAM_BASE,
        "tables": stays,
        "mappings": fixed,
        "spare": {"name": spare["name"], "layout": spare["layout"], "offset": spare["offset"]}
        | _spare_states(devices),
        "pending": _pending(_Guest(devices, events)),
        "registers": _registers(guest, higher),
        "load_order": list(POST_LOAD_ORDER),
    }


def _table(guest: _Guest, one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """A table at the lowest place, with its growth; entries that are always zero stay zero."""
    low = {i: int.from_bytes(bytes.fromhex(value), "little") for i, value in one["entries"]}
    high = {i: int.from_bytes(bytes.fromhex(value), "little") for i, value in two["entries"]}
    grown = {high[i] - low[i] for i in low if low[i]} or {0}
    assert len(grown) == 1, f"entries of {one['name']} depend on their address in different ways"
    step = grown.pop()
    values = [_hex(value - step * guest.steps if value else 0) for value in low.values()]
    return {
        "name": one["name"],
        "layout": one["layout"],
        "offset": one["base"] - guest.base,
        "step": step,
        "ids": list(low),
        "values": "".join(values),
    }


def _hex(value: int) -> str:
    return value.to_bytes(8, "little").hex()


@lru_cache(maxsize=32)
def _spare_states(devices: int) -> dict[str, Any]:
    """The spare device's table after 0 .. 2 cycles - 1 commands; how many events the others have changes nothing."""
    guest = _Guest(devices, 1)
    its, spare_id = guest.model.source, device_id(devices)
    mappings: dict[tuple[int, ...], int] = {}
    values: dict[str, int] = {}
    states, discards = [], []
    for k in range(2 * CYCLE):
        bytes_of = dict(guest.tables()[-1]["entries"])
        mapped = [m for m in its.mappings() if m[0] == spare_id]
        states.append(
            [[mappings.setdefault(m, len(mappings)), values.setdefault(bytes_of[m[1]], len(values))] for m in mapped]
        )
        before = {m[1] for m in mapped}
        its.apply(running_command(k, devices))
        gone = before - {m[1] for m in its.mappings() if m[0] == spare_id}
        discards.append(gone.pop() if gone else -1)
    return {"mappings": [list(m) for m in mappings], "values": list(values), "states": states, "discards": discards}


def _pending(guest: _Guest) -> dict[str, Any]:
    """Pending LPIs, and which bytes of the pending tables SAVE_PENDING_TABLES writes."""
    before = set(guest.memory.take_device_pages())
    save_pending_tables(guest.model.source)
    pages = sorted(set(guest.memory.take_device_pages()) - before)
    first_page = (guest.base - RAM_BASE) // _FINE_PAGE_BYTES
    lpis = [lpi for lpis in guest.model.source.vgic.pending_lpis().values() for lpi in lpis]
    return {"lpis": sorted(lpis), "offsets": [(page - first_page) * _FINE_PAGE_BYTES for page in pages]}


def _registers(guest: _Guest, higher: _Guest) -> list[list[Any]]:
    """Name, value at address 0, growth for each 64 KiB; in pre_save's order."""
    low, high = guest.registers(), higher.registers()
    rows = []
    for name, value in low.items():
        step = high[name] - value
        rows.append([name, f"{value - step * guest.steps:#x}", step])
    return rows
