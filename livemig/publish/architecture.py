"""What docs/architecture.md has that is computed: tables and pictures of the rooms and of the states.

Theory of operation. The page is written by hand, with places between `<!-- name: begin -->` and `<!-- name: end -->`.
`architecture_page` fills them from DESIGN.md's block of arrows and from the engine's tables; `pictures` draws the same.
A test compares both with what is committed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from livemig.draw.rooms import room_chart
from livemig.draw.states import path_of, transitions
from livemig.draw.svg_text import svg_text
from livemig.engine import simulate
from livemig.engine.runstate import MIGRATION_TRANSITIONS, RUNSTATE_TRANSITIONS

__all__ = ["Room", "architecture_page", "pictures", "read_rooms"]

_ARROW = re.compile(r"^(?P<rooms>[a-z][\w, ]*?)\s*─►\s*(?P<rest>.*)$")
_STATES = {"runstate": RUNSTATE_TRANSITIONS, "status": MIGRATION_TRANSITIONS}


@dataclass(frozen=True)
class Room:
    """A folder or file of the package: the rooms that it may import, as DESIGN.md writes them, and the remark there."""

    name: str
    uses: tuple[str, ...]
    remark: str


def read_rooms(design: str) -> tuple[Room, ...]:
    """The rooms of DESIGN.md's block of arrows, in its order. Raises ValueError where there is no such block."""
    block = next((one for one in re.findall(r"^```\n(.*?)^```", design, re.DOTALL | re.MULTILINE) if "─►" in one), None)
    if block is None:
        raise ValueError("DESIGN.md has no block that draws arrows between rooms")
    rows = []
    for line in block.splitlines():
        if found := _ARROW.match(line):
            targets, _, remark = re.sub(r"\s{2,}", "\t", found["rest"]).partition("\t")
            rows += [(name, targets, remark) for name in re.split(r",\s*", found["rooms"])]
    return tuple(Room(name, _uses(targets, [other for other, _, _ in rows[i + 1:]]), remark)
                 for i, (name, targets, remark) in enumerate(rows))


def _uses(targets: str, below: Sequence[str]) -> tuple[str, ...]:
    if targets.startswith("everything below"):
        return tuple(below)
    return () if targets.startswith("nothing") else tuple(re.split(r",\s*", targets))


def architecture_page(page: str, design: str) -> str:
    """The text of docs/architecture.md with its places filled. Raises ValueError when a place is missing."""
    for name, text in {"rooms": _rooms_table(read_rooms(design)), **{kind: _states(kind) for kind in _STATES}}.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"docs/architecture.md: no place {begin.strip()} ... {end}")
        page = page[:page.index(begin)] + begin + text + page[page.index(end):]
    return page


def pictures(design: str) -> dict[str, str]:
    """The SVG files of the page by name; numbered arrows are the way that the default scenario takes."""
    rooms = {room.name: [use.partition(".")[0] for use in room.uses] for room in read_rooms(design)}
    trace = simulate()
    states = {f"{kind}.svg": svg_text(transitions(table, path_of(trace, kind))) for kind, table in _STATES.items()}
    return {"rooms.svg": svg_text(room_chart(rooms)), **states}


def _rooms_table(rooms: Sequence[Room]) -> str:
    every = {room.name for room in rooms}
    rows = ["| room | may use | remark in DESIGN.md |", "|---|---|---|"]
    for i, room in enumerate(rooms):
        below = {other.name for other in rooms[i + 1:]}
        words = "every room" if below and set(room.uses) == below == every - {room.name} else ", ".join(
            f"`{use}`" for use in room.uses)
        rows.append(f"| `{room.name}` | {words or 'none'} | {room.remark} |")
    return "\n".join(rows) + "\n"


def _states(kind: str) -> str:
    table: Mapping[str, Sequence[str]] = _STATES[kind]
    rows = ["| from | to |", "|---|---|"]
    rows += [f"| `{state}` | {', '.join(f'`{one}`' for one in following) or 'nowhere'} |"
             for state, following in table.items()]
    return "\n".join(rows) + "\n"
