"""The byte grid: ITS tables as they lie in RAM, byte for byte, with commands that can be edited.

Theory of operation. Tables come in as plain data: {"name", "layout", "base", "entry_bytes", "entries": [[index, hex],
...]}, as a Trace's save and restore events hold them and as `livemig.its.entries` cuts them out of any memory. The
bits' meaning comes from `livemig.its.layout`, as JSON; the browser decodes and draws. With `apply`, the browser edits a
list of commands and sends it, one message in flight, the newest wins; `apply` runs them and gives tables, one outcome a
command and the pages that became dirty. Every message is answered; after an error the last tables stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from livemig.draw.modules import join, read_static, style
from livemig.its.layout import COMMANDS, L1, LAYOUTS, LPI_CONFIG, LPI_PENDING, Layout

__all__ = ["ByteGrid", "differences"]

Apply = Callable[[list[dict[str, Any]], bool], Mapping[str, Any]]
Table = Mapping[str, Any]

# itsbytes.js for the decoding of fields; what it imports besides is used by the stage only.
_MODULES = ("words.js", "mailbox.js", "keys.js", "itsbytes.js", "bytegrid_cells.js", "bytegrid_commands.js",
            "bytegrid_panel.js", "bytegrid.js")
MAX_COMMANDS = 4096


class ByteGrid(anywidget.AnyWidget):
    """Draws `tables`; beside each byte what `compare` has in its place, framed and with "≠" where it differs.

    tables: see the module. Unknown layouts raise ValueError.
    compare: tables in the same form, matched by address; compare_label: whose they are ("the destination").
    commands: [{"name": "MAPD", "fields": {"device_id": 8, ...}}], shown and edited if there is an `apply`.
    apply: (commands, save) -> {"tables", "outcomes": [{"ok", "text", "pages"}], "saves": [{"op", "ok", "text",
    "pages"}]}; `save` is what the box "save the tables" says. Its exceptions are shown, not raised.
    can_save: whether there is such a box (the emulated ITS has no save).
    title, note: the heading, and a sentence below it.   select: (table's name, entry) to begin with.

    `tables` and `commands` can be set from Python; `result` is what `apply` gave last; `selected` is the chosen entry
    as {"table", "index", "field"}.
    """

    _esm = join([read_static(name) for name in _MODULES])
    _css = style() + read_static("bytegrid.css")

    tables: traitlets.List[Any] = traitlets.List().tag(sync=True)
    compare: traitlets.List[Any] = traitlets.List().tag(sync=True)
    selected = traitlets.Dict().tag(sync=True)
    save = traitlets.Bool(True).tag(sync=True)
    commands: traitlets.List[Any] = traitlets.List()
    result = traitlets.Dict()

    _about = traitlets.Dict().tag(sync=True)
    _layouts = traitlets.Dict().tag(sync=True)
    _forms = traitlets.Dict().tag(sync=True)
    _state = traitlets.Dict().tag(sync=True)

    def __init__(self, tables: Sequence[Table] = (), *, compare: Sequence[Table] = (),
                 compare_label: str = "the destination", commands: Sequence[Mapping[str, Any]] = (),
                 apply: Apply | None = None, can_save: bool = True, title: str = "ITS tables, byte for byte",
                 note: str = "", select: tuple[str, int] | None = None) -> None:
        self._apply = apply
        rows = [_row(one) for one in commands]
        result = dict(apply(rows, True)) if apply is not None else {}
        shown = [dict(one) for one in result.get("tables", tables)]
        other = [dict(one) for one in compare]
        _check(shown + other)
        super().__init__(
            tables=shown, compare=other, commands=rows, result=result,
            selected={"table": select[0], "index": select[1], "field": ""} if select else {},
            _about={"title": title, "note": note, "compare_label": compare_label, "editable": apply is not None,
                    "can_save": can_save and apply is not None},
            _layouts=_layouts(), _forms=_forms() if apply is not None else {},
            _state=_state("", "", rows, result))
        self.observe(self._commands_set, names=["commands", "save"])
        self.on_msg(self._message)

    # -- commands -> tables ----------------------------------------------------------------------------------------
    def _message(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        """`apply` from the browser. Always answered, also when it fails."""
        if content.get("type") != "apply":
            return
        reply = str(content.get("id", ""))
        try:
            inputs = content["inputs"]
            rows = [_row(one) for one in inputs["commands"]]
            self._run(reply, rows, bool(inputs.get("save", True)))
        except Exception as error:  # whatever went wrong, the browser waits for an answer
            self._state = {**self._state, "reply": reply, "error": _error_text(error)}

    def _commands_set(self, _: Any) -> None:
        """Set from Python: run; what fails is raised, and the commands are again those of the last run."""
        try:
            rows = [_row(one) for one in self.commands]
        except ValueError:
            self.commands = self._state["commands"]
            raise
        if self._apply is None or (rows, self.save) == (self._state["commands"], self._state["save"]):
            return
        self._run("", rows, self.save)

    def _run(self, reply: str, rows: list[dict[str, Any]], save: bool) -> None:
        if self._apply is None:
            raise ValueError("this grid shows tables that were handed in; it has nothing to run commands with")
        if len(rows) > MAX_COMMANDS:
            raise ValueError(f"{len(rows)} commands are more than the limit of {MAX_COMMANDS}")
        result = dict(self._apply(rows, save))
        tables = [dict(one) for one in result["tables"]]
        _check(tables)
        with self.hold_sync():
            self._state = _state(reply, "", rows, result, save)
            self.commands, self.save, self.tables, self.result = rows, save, tables, result

    # -- in words ----------------------------------------------------------------------------------------------------
    def describe(self) -> str:
        """The tables as text: a line for each entry, the fields of each in words; what differs, first."""
        lines = [self._about["title"]]
        if self.compare:
            count, of = differences(self.tables, self.compare)
            lines.append(f"{count} of {of} bytes differ from {self._about['compare_label']}")
        every = _every_layout()
        for table in self.tables:
            layout = every[table["layout"]]
            lines.append(f"{table['name']} at {table.get('place', table['base']):#x}, {len(table['entries'])} x "
                         f"{layout.name} of {8 * layout.size_bytes} bits")
            for index, raw in table["entries"]:
                words = ", ".join(f"{name} {value:#x}" if layout.by_name[name].shift else f"{name} {value}"
                                  for name, value in layout.decode(bytes.fromhex(raw)).items())
                lines.append(f"  {index:>5}  {table['base'] + index * layout.size_bytes:#x}  {raw}  {words}")
        return "\n".join(lines)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/plain"] = self.describe()
        return bundle


def differences(tables: Sequence[Table], compare: Sequence[Table]) -> tuple[int, int]:
    """(bytes that differ, bytes compared) of tables at the same address; an entry that one of them lacks is `fill`."""
    other = {one.get("place", one["base"]): one for one in compare}
    differ = of = 0
    for table in tables:
        partner = other.get(table.get("place", table["base"]))
        if partner is None:
            continue
        here, there = dict(table["entries"]), dict(partner["entries"])
        for index in here.keys() | there.keys():
            a = bytes.fromhex(here.get(index) or _blank(table))
            b = bytes.fromhex(there.get(index) or _blank(partner))
            differ += sum(x != y for x, y in zip(a, b, strict=True))
            of += len(a)
    return differ, of


def _blank(table: Table) -> str:
    return str(table.get("fill", "00")) * int(table["entry_bytes"])


def _every_layout() -> dict[str, Layout]:
    every = [layout for kinds in LAYOUTS.values() for layout in kinds.values()]
    return {layout.name: layout for layout in (*every, L1, LPI_CONFIG, LPI_PENDING)}


def _layouts() -> dict[str, Any]:
    """The bit layouts by name, as the browser colours and explains them."""
    return {name: {"size_bytes": layout.size_bytes, "source": layout.source, "fields": _fields(layout)}
            for name, layout in _every_layout().items()}


def _fields(layout: Layout) -> list[dict[str, Any]]:
    return [{"name": one.name, "letter": one.letter, "hi": one.hi, "lo": one.lo, "shift": one.shift,
             "meaning": one.meaning} for one in layout.fields]


def _forms() -> dict[str, Any]:
    """What the browser must know of each command: its purpose and its fields, without the opcode."""
    return {name: {"purpose": layout.source, "fields": [one for one in _fields(layout) if one["name"] != "opcode"]}
            for name, layout in COMMANDS.items()}


def _check(tables: Sequence[Table]) -> None:
    known = _every_layout()
    for table in tables:
        if table["layout"] not in known:
            raise ValueError(f"table {table['name']!r}: no layout {table['layout']!r}; there are {', '.join(known)}")
        if table["entry_bytes"] != known[table["layout"]].size_bytes:
            raise ValueError(f"table {table['name']!r}: entries of {table['entry_bytes']} bytes, "
                             f"{table['layout']} has {known[table['layout']].size_bytes}")


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    """A command as both sides keep it: values as text, so that no number of 52 bits is rounded on its way."""
    if not isinstance(one, Mapping) or not isinstance(one.get("fields"), Mapping):
        raise ValueError(f"a command is {{'name': ..., 'fields': {{...}}}}, not {str(one)[:80]}")
    return {"name": str(one.get("name")), "fields": {str(name): str(value) for name, value in one["fields"].items()}}


def _state(reply: str, error: str, rows: Sequence[Mapping[str, Any]], result: Mapping[str, Any],
           save: bool = True) -> dict[str, Any]:
    return {"reply": reply, "error": error, "commands": list(rows), "save": save,
            "outcomes": list(result.get("outcomes", ())), "saves": list(result.get("saves", ()))}


def _error_text(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
