"""Guests too large for the browser, computed with coarser pages (draw/static/model_coarse.js has the same rules).

A browser answers a slider within a frame only while a guest has about a million pages. Beyond that a few pages are
taken together. What a page costs on the wire and how many bytes are gathered before a flush stay those of the small
pages; the counts of pages, and which pages lie beside each other, become coarse. The Trace says so in
`meta["coarsened_page_bytes"]`.
"""

from __future__ import annotations

from dataclasses import replace

from livemig.engine.monitor import Policy, applied
from livemig.engine.multifd import Packets
from livemig.engine.rules import Wire
from livemig.engine.simulate import run, simulate
from livemig.engine.state import MigrationState
from livemig.scenario import Scenario, its_area_offset
from livemig.trace import Trace

__all__ = ["MOST_PAGES", "coarsened", "simulate_coarse"]

MOST_PAGES = 1 << 20


def coarsened(scenario: Scenario, most_pages: int = MOST_PAGES) -> Scenario:
    """The scenario with at most `most_pages` pages of RAM; sizes become multiples of the larger page.

    RAM and offsets are rounded down, the other blocks up, the working set to the nearest. A scenario with few enough
    pages, or with real bytes, comes back as it is.
    """
    s = scenario
    if s.ram_pages <= most_pages or s.contents:
        return s
    page = s.page_bytes
    while s.ram_bytes // page > most_pages:
        page *= 2
    ram_bytes = s.ram_bytes // page * page
    room_bytes = its_area_offset(ram_bytes) // page * page if s.its_devices and s.accelerator == "kvm" else ram_bytes
    set_bytes = _rounded(s.working_set_bytes, page, room_bytes)
    return replace(
        s,
        ram_bytes=ram_bytes,
        page_bytes=page,
        other_ram_bytes=-(-s.other_ram_bytes // page) * page,
        filled_offset_bytes=s.filled_offset_bytes // page * page,
        working_set_bytes=set_bytes,
        working_set_offset_bytes=min(s.working_set_offset_bytes // page * page, room_bytes - set_bytes),
        costs=replace(s.costs, zero_page_s=s.costs.zero_page_s * (page // s.page_bytes)),
    )


def _rounded(size_bytes: int, page: int, room_bytes: int) -> int:
    nearest = (size_bytes + page // 2) // page * page
    return min(max(nearest, page), room_bytes) if size_bytes else 0


def simulate_coarse(scenario: Scenario, most_pages: int = MOST_PAGES, policy: Policy | None = None) -> Trace:
    """`simulate`, with coarser pages where the guest has more than `most_pages`."""
    scenario = applied(policy, scenario)
    coarse = coarsened(scenario, most_pages)
    if coarse is scenario:
        return simulate(scenario, policy=policy)
    taken = coarse.page_bytes // scenario.page_bytes
    state = MigrationState(coarse)
    small = state.channel.wire
    state.channel.wire = Wire(
        coarse.page_bytes, small.header_bytes * taken, small.zero_page_extra_bytes * taken, small.block_name_bytes
    )
    if state.channel.packets is not None:
        state.channel.packets = Packets(coarse.multifd_channels, coarse.page_bytes, coarse.pages, taken)
    state.rules = replace(state.rules, flush_pages=max(1, state.rules.flush_pages // taken))
    trace = run(state, policy=policy)
    trace.meta["coarsened_page_bytes"] = coarse.page_bytes
    return trace
