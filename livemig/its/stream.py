"""QEMU migration streams: sections with offsets and sizes, RAM pages, device state, and out of these the ITS.

A stream is read once from front to back, from a file, a pipe or an .xz file; it may be larger than memory. Its layout:
magic and version, configuration, then sections until end-of-file, then a JSON description of the device sections. RAM
describes itself; the length of a device section is known only from the description that comes later, so its end is
found by its footer and checked when the description arrives.
Source: QEMU 10.0 migration/savevm.c (qemu_savevm_state_*, qemu_loadvm_state_main), migration/ram.c.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from livemig.its.errors import DataError
from livemig.its.stream_ram import RamReader
from livemig.its.stream_source import ByteSource
from livemig.its.vmstate import Values, decode_device, parse_description

__all__ = [
    "Section", "Stream", "open_stream", "read_stream", "show", "its", "MAGIC", "VERSION", "MAX_SECTIONS",
    "MAX_DEVICE_BYTES", "MAX_LISTED_PARTS",
]

MAGIC = b"QEVM"
VERSION = 3
EOF, START, PART, END, FULL, SUBSECTION, DESCRIPTION, CONFIGURATION, COMMAND, FOOTER = 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7E
_KIND = {START: "START", PART: "PART", END: "END", FULL: "FULL"}
MAX_SECTIONS = 100_000
MAX_DEVICE_BYTES = 1 << 25
MAX_LISTED_PARTS = 1000
_PAGE_BITS = 12


@dataclass
class Section:
    """offset: of the section's first byte.   data_offset, size_bytes: of its contents, without header and footer."""

    kind: str
    name: str
    offset: int
    section_id: int = 0
    instance: int = 0
    version: int = 0
    data_offset: int = 0
    size_bytes: int = 0
    data: bytes = field(default=b"", repr=False)

    def to_json(self) -> dict[str, Any]:
        return {"offset": self.offset, "kind": self.kind, "name": self.name, "section_id": self.section_id,
                "instance": self.instance, "version": self.version, "size_bytes": self.size_bytes}


@dataclass
class Stream:
    """What a stream holds. sections: at most MAX_LISTED_PARTS parts of RAM are listed; `parts` counts them all."""

    machine: str = ""
    sections: list[Section] = field(default_factory=list)
    ram: RamReader = field(default_factory=RamReader)
    parts: int = 0
    description: dict[str, Any] | None = None
    size_bytes: int = 0
    problems: list[str] = field(default_factory=list)

    def device(self, name: str, instance: int = 0) -> Section | None:
        return next((one for one in self.sections
                     if one.kind == "FULL" and (one.name, one.instance) == (name, instance)), None)

    def values(self, section: Section) -> Values:
        """The fields of a device section by the stream's description; DataError if it has none or does not fit."""
        for device in self.description.get("devices", ()) if self.description else ():
            if isinstance(device, dict) and (device.get("name"), device.get("instance_id")) == (
                    section.name, section.instance):
                return decode_device(device, section.data, section.data_offset)
        raise DataError(f"the stream does not describe device {section.name} {section.instance}", section.offset)


@contextmanager
def open_stream(where: str | Path | BinaryIO) -> Iterator[ByteSource]:
    """A `ByteSource` for a path, "-" (standard input) or an open binary file; closed at the end."""
    if isinstance(where, (str, Path)):
        file: BinaryIO = sys.stdin.buffer if str(where) == "-" else open(where, "rb")  # noqa: SIM115
    else:
        file = where
    with ByteSource(file) as source:
        yield source


def read_stream(source: ByteSource, keep_ram: bool = False) -> Stream:
    """Read a whole stream. keep_ram: remember where page contents are (`stream_its` needs them).

    DataError with the byte offset for a stream that is cut, damaged or uses what is not understood.
    """
    return _StreamReader(source, keep_ram).read()


def show(where: str | Path | BinaryIO) -> dict[str, Any]:
    """Sections, RAM blocks and device fields of a stream, as JSON-ready data; errors as `read_stream`.

    Keys: machine, size_bytes, sections [{offset, kind, name, ...}], ram_parts, ram [{name,
    size_bytes, pages, zero_pages}], devices {"name/instance": fields}, problems.
    """
    with open_stream(where) as source:
        stream = read_stream(source)
    devices: dict[str, Any] = {}
    for section in stream.sections:
        if section.kind == "FULL" and stream.description:
            try:
                devices[f"{section.name}/{section.instance}"] = stream.values(section)
            except DataError as error:
                stream.problems.append(error.message)
    return {"machine": stream.machine, "size_bytes": stream.size_bytes,
            "sections": [section.to_json() for section in stream.sections], "ram_parts": stream.parts,
            "ram": [{"name": block.name, "size_bytes": block.size_bytes, "pages": block.pages,
                     "zero_pages": block.zero_pages} for block in stream.ram.blocks.values()],
            "devices": devices, "problems": stream.problems}


def its(where: str | Path | BinaryIO) -> dict[str, Any]:
    """The ITS of a stream; `stream_its.its` with the RAM of machine `virt`."""
    from livemig.its import stream_its  # it builds on this module

    return stream_its.its(where)


class _StreamReader:
    def __init__(self, source: ByteSource, keep_ram: bool) -> None:
        self.source = source
        self.stream = Stream(ram=RamReader(keep_ram))
        self.names: dict[int, tuple[str, int, int]] = {}

    def read(self) -> Stream:
        source = self.source
        magic = source.take(8, "magic and version")
        if magic[:4] != MAGIC or int.from_bytes(magic[4:], "big") != VERSION:
            raise DataError(f"no QEMU migration stream: it begins with {magic.hex()}, not with QEVM and version 3", 0)
        while True:
            at = source.offset
            kind = source.number(1, "a section type")
            if kind == EOF:
                break
            if len(self.stream.sections) > MAX_SECTIONS:
                raise DataError(f"more than {MAX_SECTIONS} sections", at)
            if kind == CONFIGURATION:
                self._configuration(at)
            elif kind == COMMAND:
                command = source.number(2, "a command")
                self._add(Section("COMMAND", str(command), at, size_bytes=source.number(2, "a command length")))
                source.skip(self.stream.sections[-1].size_bytes, "a command's data")
            elif kind in _KIND:
                self._section(kind, at)
            else:
                raise DataError(f"section type {kind:#x} is not known", at)
        self._end()
        return self.stream

    def _add(self, section: Section) -> None:
        if section.kind == "PART":
            self.stream.parts += 1
            if self.stream.parts > MAX_LISTED_PARTS:
                return
        self.stream.sections.append(section)

    def _configuration(self, at: int) -> None:
        source = self.source
        count = source.number(4, "the machine name's length")
        if count > 255:
            raise DataError(f"a machine name of {count} characters", at)
        self.stream.machine = source.take(count, "the machine name").decode("ascii", "replace")
        while source.more(1) and source.window[source.at] == SUBSECTION:
            source.skip(1, "a subsection")
            name = source.text("a subsection name")
            source.skip(4, "a subsection version")
            self._configuration_part(name)
        self._add(Section("CONFIGURATION", self.stream.machine, at, size_bytes=source.offset - at - 1))

    def _configuration_part(self, name: str) -> None:
        source, at = self.source, self.source.offset
        if name == "configuration/target-page-bits":
            bits = source.number(4, "the page size")
            if bits != _PAGE_BITS:
                raise DataError(f"pages of 2^{bits} bytes; only 4 KiB pages are understood", at)
        elif name == "configuration/capabilities":
            for _ in range(min(source.number(4, "the number of capabilities"), 256)):
                capability = source.text("a capability")
                if capability in ("mapped-ram", "x-ignore-shared", "multifd", "postcopy-ram"):
                    raise DataError(f"the stream uses {capability}, which is not understood", at)
        elif name == "configuration/uuid":
            source.skip(16, "the UUID")
        else:
            raise DataError(f"configuration subsection {name}, which is not understood", at)

    def _section(self, kind: int, at: int) -> None:
        source = self.source
        section_id = source.number(4, "a section number")
        if kind in (START, FULL):
            name = source.text("a section name")
            self.names[section_id] = (name, source.number(4, "an instance"), source.number(4, "a version"))
        if section_id not in self.names:
            raise DataError(f"section {section_id} goes on, but never started", at)
        name, instance, version = self.names[section_id]
        section = Section(_KIND[kind], name, at, section_id, instance, version, source.offset)
        if name == "ram":
            self.stream.ram.read(source)
        elif kind == FULL:
            section.data = self._device_data(section)
        else:
            raise DataError(f"section {name} comes in parts, which is understood for ram only", at)
        section.size_bytes = source.offset - section.data_offset
        footer = source.take(5, f"the footer of section {name}")
        if footer[0] != FOOTER or int.from_bytes(footer[1:], "big") != section_id:
            raise DataError(f"section {name} has no footer: {footer.hex()}", source.offset - 5)
        self._add(section)

    def _device_data(self, section: Section) -> bytes:
        """Bytes up to the footer: the first place that looks like the footer and is followed by a section."""
        source, looked = self.source, 0
        mark = bytes([FOOTER]) + section.section_id.to_bytes(4, "big")
        while True:
            found = source.window.find(mark, source.at + looked)
            if found >= 0 and source.left >= found - source.at + len(mark) + 1:
                if self._plausible(found + len(mark)):
                    return source.take(found - source.at, "device data")
                looked = found - source.at + 1
                continue
            looked = max(0, (found if found >= 0 else len(source.window) - len(mark)) - source.at)
            if source.left > MAX_DEVICE_BYTES or not source.more(source.left + 1):
                raise DataError(f"no end of section {section.name} within {min(source.left, MAX_DEVICE_BYTES)} bytes",
                                section.offset)

    def _plausible(self, at: int) -> bool:
        window = self.source.window
        kind = window[at]
        if kind in (START, FULL) and len(window) > at + 5:
            name = window[at + 6:at + 6 + window[at + 5]]
            return bool(name) and all(32 <= byte < 127 for byte in name)
        return kind in (EOF, START, PART, END, FULL, COMMAND)

    def _end(self) -> None:
        source = self.source
        if source.more(1):
            at = source.offset
            if source.number(1, "the description") != DESCRIPTION:
                raise DataError("something other than a description follows the end of the sections", at)
            size_bytes = source.number(4, "the description's length")
            raw = source.take(size_bytes, "the description")
            self.stream.description = parse_description(raw, at + 5)
            self._add(Section("DESCRIPTION", "vmdesc", at, data_offset=at + 5, size_bytes=size_bytes))
        if source.more(1):
            raise DataError("bytes follow the end of the stream", source.offset)
        self.stream.size_bytes = source.offset
