"""`livemig stream`: what a QEMU migration stream holds, and the ITS in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from livemig.cli.its import AsJson, print_mappings, print_problems, read_number

__all__ = ["stream"]

stream = typer.Typer(no_args_is_help=True, help="QEMU migration streams: sections, and the ITS.")

_Stream = Annotated[str, typer.Argument(metavar="FILE", help="A migration stream, also .xz; - is standard input.")]
_RAM_BASE_ADDRESS = 0x4000_0000  # QEMU's machine `virt`; a stream does not say it


@stream.command(short_help="List sections, RAM and devices.")
def show(file: _Stream, as_json: AsJson = False) -> None:
    """List the sections of a stream with offsets and sizes, its RAM blocks, and (--json) all device fields."""
    from livemig.its.stream import show as read

    found = read(file)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        _print_stream(found)


@stream.command("its", short_help="Registers, tables and pending interrupts.")
def show_its(
    file: _Stream,
    ram_base: Annotated[int, typer.Option(parser=read_number, metavar="ADDRESS", show_default=False,
                                          help="Guest address where RAM begins [0x40000000, the machine virt].")
                        ] = _RAM_BASE_ADDRESS,
    block: Annotated[str, typer.Option(metavar="NAME", help="RAM block that holds the tables [the largest].",
                                       show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Take the ITS out of a migration stream: registers, mappings, pending interrupts, and whether it all fits."""
    from livemig.its.stream_its import its as read

    found = read(file, ram_base, block)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        _print_its(found)


def _print_stream(found: Mapping[str, Any]) -> None:
    from livemig.cli.tables import note, shortened, table

    rows: list[Sequence[str]] = [(f"{one['offset']:#x}", one["kind"], f"{one['name']}/{one['instance']}",
                                  str(one["version"]), str(one["size_bytes"])) for one in found["sections"]]
    table("Sections", (">offset", "kind", "name", ">version", ">bytes"), shortened(rows, "--json"))
    table("RAM", ("block", ">bytes", ">pages", ">zero pages"), [
        (one["name"], str(one["size_bytes"]), str(one["pages"]), str(one["zero_pages"])) for one in found["ram"]])
    note(f"Machine {found['machine']}: {found['size_bytes']} bytes, {len(found['devices'])} described device sections.")
    print_problems(found["problems"])


def _print_its(found: Mapping[str, Any]) -> None:
    from livemig.cli.tables import note, table

    table(f"Registers (section at {found['section']['offset']:#x})", ("register", ">value"),
          [(name, value) for name, value in found["registers"].items()])
    print_mappings(found)
    for vcpu, lpis in found["pending"].items():
        note(f"Pending on VCPU {vcpu}: {', '.join(map(str, lpis)) or 'nothing'}")
    note(f"{len(found['commands'])} commands in the queue. RESTORE_TABLES: {found['restore'] or 'not tried'}.")
    print_problems(found["problems"])

