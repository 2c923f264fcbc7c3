"""Read a log of somebody else's migration: QMP replies as JSON, libvirt's job statistics as text, JSON, Python or XML.

Theory of operation. Text with a line `Job type:` is what `virsh domjobinfo` prints, again and again, perhaps with the
output of `date` between. Everything else is read object by object: JSON (on one line or several, in a list or not), a
Python dictionary as `print(dom.jobStats())` writes it, or XML with libvirt's names as elements. An object may carry its
time, or a time stands before it on its line or on a line of its own. What cannot be read is a problem with its line
number, and reading goes on at the next line that begins an object.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from livemig.lab.logtime import parse_time, time_of
from livemig.lab.recording import RecordingError, read_bytes
from livemig.lab.samples import (
    Answer,
    Happened,
    Log,
    LogProblem,
    from_libvirt,
    from_qmp,
    is_libvirt,
    is_query_migrate,
)
from livemig.lab.virsh import read_virsh

__all__ = ["read_log", "read_text"]

_VIRSH = re.compile(r"^Job type:", re.MULTILINE)
_WRAPPERS = ("return", "reply", "query-migrate", "info", "stats", "jobStats", "data")
_SEEN_COMMANDS = ("migrate", "migrate_cancel", "migrate-continue", "migrate-start-postcopy", "migrate-set-parameters",
                  "stop", "cont")
_OTHER_STATUS = {"running", "singlestep", "dirty-rate", "calc-time", "sample-pages"}  # query-status, query-dirty-rate
_OTHER_REPLIES = {"QMP", "dirty-rate", "calc-time", "max-bandwidth", "downtime-limit", "base-memory", "qemu", "running"}
_BETWEEN = " \t\r\n,[]"


def read_log(path: str | Path) -> Log:
    """Read a log file (also .gz). Raises `RecordingError` when it cannot be read or is no text."""
    source = Path(path)
    try:
        text = read_bytes(source).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordingError(f"{source}: not a text file: byte {error.start} is not UTF-8") from None
    return read_text(text)


def read_text(text: str) -> Log:
    """Read the text of a log; what could not be read is in `problems`."""
    if _VIRSH.search(text):
        return read_virsh(text)
    log = Log("query-migrate")
    try:
        _read_xml(text, log) if text.lstrip().startswith("<") else _read_objects(text, log)
    except RecursionError:
        log.problems.append((1, "nested too deeply"))
    return log


# -- objects ----------------------------------------------------------------------------------------------------------
def _read_objects(text: str, log: Log) -> None:
    waiting_s: float | None = None  # a time that stood before its object
    for line, before, value in _objects(text, log):
        if before:
            waiting_s = parse_time(before)
            if waiting_s is None:
                log.problems.append((line, f"neither an object nor a time: {before[:40]!r}"))
        if value is None:
            continue
        try:
            if not isinstance(value, Mapping):
                raise LogProblem(f"{repr(value)[:40]} is not an object")
            _take(value, line, waiting_s, log)
        except LogProblem as problem:
            log.problems.append((line, str(problem)))
        waiting_s = None


def _objects(text: str, log: Log) -> Iterator[tuple[int, str, Any]]:
    """(line, what stood before it, object) for every object; (line, text, None) for a line without one."""
    decoder = json.JSONDecoder()
    at, line = 0, 1
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        start = text.find("{", at, end)
        if start < 0:
            words = text[at:end].strip(_BETWEEN)
            if words and not words.startswith("#"):
                yield line, words, None
            at, line = end + 1, line + 1
            continue
        before = text[at:start].strip(_BETWEEN)
        try:
            value, stop = decoder.raw_decode(text, start)
        except ValueError as error:
            value, stop = _python_object(text[start:end]), end
            if value is None:
                log.problems.append((line, f"not a complete JSON object: {_reason(error)}"))
                at, line = _next_object(text, end, line)
                continue
        yield line, before, value
        line += text.count("\n", at, stop)
        at = stop


def _next_object(text: str, end: int, line: int) -> tuple[int, int]:
    """Where reading goes on after a broken object: at the next line that begins one at its margin."""
    found = re.compile(r"^(?=[{\[]|[^\s{}\"'][^\n{]*\{)", re.MULTILINE).search(text, min(end + 1, len(text)))
    stop = found.start() if found else len(text)
    return stop, line + text.count("\n", end, stop)


def _python_object(text: str) -> Any:
    """A dictionary as Python's print writes it; None if it is none."""
    try:
        return ast.literal_eval(text.strip(_BETWEEN))
    except (ValueError, SyntaxError, MemoryError, TypeError):
        return None


def _reason(error: ValueError) -> str:
    return f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)


def _take(value: Mapping[str, Any], line: int, before_s: float | None, log: Log) -> None:
    """One object: an answer, an event, a command, an error, or something that is of no use here."""
    own_s = time_of(value)
    t_s = before_s if own_s is None else own_s
    if "event" in value:
        if t_s is not None:
            log.happened.append(Happened(line, t_s, "event", str(value["event"]), _object(value.get("data"))))
        return
    if "execute" in value:
        if t_s is not None and value["execute"] in _SEEN_COMMANDS:
            log.happened.append(Happened(line, t_s, "command", value["execute"], _object(value.get("arguments"))))
        return
    if "error" in value and "return" not in value:
        error = value["error"]
        raise LogProblem(f"not answered: {error.get('desc', error) if isinstance(error, Mapping) else error}")
    inner = next((value[name] for name in _WRAPPERS if isinstance(value.get(name), Mapping)), value)
    if is_libvirt(inner):
        log.form = "libvirt job statistics"
        log.answers.append(Answer(line, t_s, from_libvirt(inner)))
    elif is_query_migrate(inner) or ("status" in inner and not set(inner) & _OTHER_STATUS):
        log.answers.append(Answer(line, t_s, from_qmp(inner)))
    elif inner is not value or "return" in value or set(inner) & _OTHER_REPLIES:
        log.replies.append(inner)
    else:
        raise LogProblem("neither an answer to query-migrate nor libvirt's job statistics (no status, ram or "
                         "time_elapsed)")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


# -- XML --------------------------------------------------------------------------------------------------------------
def _read_xml(text: str, log: Log) -> None:
    """Elements that hold libvirt's names as children, such as <statistics> in a migration cookie or a status file."""
    log.form = "libvirt job statistics"
    try:
        root = ElementTree.fromstring(f"<log>{re.sub(r'<[?]xml[^>]*[?]>', '', text)}</log>")
    except ElementTree.ParseError as error:
        log.problems.append((error.position[0], f"not complete XML: {error}"))
        return
    for number, element in enumerate(root.iter(), 1):
        values = {child.tag: _whole(child.text) for child in element if _whole(child.text) is not None}
        if is_libvirt(values):
            try:
                log.answers.append(Answer(number, _xml_time(element), from_libvirt(values)))
            except LogProblem as problem:
                log.problems.append((number, f"element {element.tag}: {problem}"))


def _xml_time(element: ElementTree.Element) -> float | None:
    names = [name for name in ("t", "time", "timestamp") if name in element.attrib]
    return time_of({names[0]: element.attrib[names[0]]}) if names else None


def _whole(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if digits.isdecimal() and len(digits) < 20 else None
