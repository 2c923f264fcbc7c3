"""`livemig its`: recorded ITS cases, table bytes out of a memory dump, differences between two decoded tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from livemig.cli.errors import DIFFERENT

__all__ = ["AsJson", "Layout", "its", "print_mappings", "print_problems", "read_number"]

its = typer.Typer(no_args_is_help=True, help="ITS tables: replay, decode, compare.")

_MAPPING_COLUMNS = ("device", ">event", ">LPI", ">collection", ">target", "ITE at")


class Layout(StrEnum):
    """Who wrote the tables: Linux KVM, or QEMU's emulated ITS."""

    kvm = "kvm"
    qemu = "qemu"


def read_number(text: str | int) -> int:
    """A number as C writes it: 0x40000000 or 1073741824."""
    try:
        return text if isinstance(text, int) else int(text, 0)  # typer reads defaults with it too
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number, such as 0x40000000 or 1073741824") from None


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@its.command(short_help="Replay recorded cases.")
def replay(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of recorded cases (*.json), or one case.")],
    kernel: Annotated[str, typer.Option(help="Whose answers to compare with: 6.1, 6.12 or 7.2.")] = "6.12",
    as_json: AsJson = False,
) -> None:
    """Run recorded cases through livemig's ITS and compare each step with what Linux KVM or QEMU answered.

    Exit status 0 if every case is equal, 1 if one differs.
    """
    from livemig.its.replay import replay_dir

    report = replay_dir(folder, kernel)
    if as_json:
        _print_json(report)
    else:
        _print_replay(report)
    if report["equal"] != report["of"]:
        raise typer.Exit(DIFFERENT)


@its.command(short_help="Decode the tables in a memory dump.")
def decode(
    dump: Annotated[Path, typer.Argument(metavar="FILE", help="Raw guest memory, such as QEMU's pmemsave writes.")],
    base: Annotated[int, typer.Option(parser=read_number, metavar="ADDRESS", help="Guest address of its first byte.")],
    baser0: Annotated[int, typer.Option(parser=read_number, metavar="NUMBER", help="GITS_BASER0 (device table).")],
    baser1: Annotated[int, typer.Option(parser=read_number, metavar="NUMBER", help="GITS_BASER1 (collection table).")],
    layout: Annotated[Layout, typer.Option(help="kvm, or qemu for the emulated ITS.")] = Layout.kvm,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the mappings as CSV.")] = False,
) -> None:
    """Decode the ITS's tables in a memory dump: the mappings, and every inconsistency by name."""
    from livemig.its.dump import decode_file

    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv: one of them, please")
    found = decode_file(dump, base, baser0, baser1, layout.value)
    if as_json:
        _print_json(found.to_json())
    elif as_csv:
        print(found.to_csv(), end="")
    else:
        print_mappings(found.to_json())
        print_problems(found.problems)


@its.command(short_help="Compare two decoded tables.")
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="Output of `livemig its decode --json`.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Compare two decoded tables by DeviceID and EventID. Exit status 0 if they are equal, 1 if not."""
    from livemig.its.diff import diff as compare

    found = compare(_read_json(before), _read_json(after))
    if as_json:
        _print_json(found)
    else:
        _print_diff(found)
    if found["only_in_a"] or found["only_in_b"] or found["changed"]:
        raise typer.Exit(DIFFERENT)


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=1))


def _read_json(path: Path) -> Any:
    from livemig.its.errors import DataError

    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON, as `livemig its decode --json` prints it: {error}") from None


def _print_replay(report: Mapping[str, Any]) -> None:
    from livemig.cli.tables import note, table

    different = [case for case in report["cases"] if not case["equal"]]
    notes = [case for case in report["cases"] if case["equal"] and case.get("note")]
    if different:
        table("Different", ("case", ">step", "operation", "expected", "got"), [_difference(case) for case in different])
    if notes:
        table("Equal, with a remark", ("case", "remark"), [(case["name"], case["note"]) for case in notes])
    steps = sum(case["steps"] for case in report["cases"])
    note(f"{report['equal']} of {report['of']} cases equal ({steps} steps, kernel {report['kernel']}).")


def _difference(case: Mapping[str, Any]) -> Sequence[str]:
    first = case["first_difference"]
    return (case["name"], str(first["step"]), first["op"], json.dumps(first["expected"]), json.dumps(first["got"]))


def _mapping(row: Mapping[str, int]) -> Sequence[str]:
    return (f"{row['device_id']:#x}", str(row["event_id"]), str(row["pintid"]), _or_none(row["icid"]),
            _or_none(row["rdbase"]), f"{row['ite_address']:#x}")


def _or_none(value: int) -> str:
    return "none" if value < 0 else str(value)


def print_mappings(found: Mapping[str, Any]) -> None:
    """Mappings of decoded tables as a table, and how many there are of what."""
    from livemig.cli.tables import note, table

    table(f"Mappings (layout {found['layout']})", _MAPPING_COLUMNS, [_mapping(row) for row in found["mappings"]])
    note(f"{len(found['devices'])} devices, {len(found['collections'])} collections, {len(found['mappings'])} mapped "
         "events.")


def print_problems(problems: Sequence[str]) -> None:
    """Inconsistencies, a paragraph each, or a word that there are none."""
    from livemig.cli.tables import note

    note(f"{len(problems)} inconsistencies:" if problems else "No inconsistencies.")
    for problem in problems:
        note(f"  {problem}")


def _print_diff(found: Mapping[str, Any]) -> None:
    from livemig.cli.tables import note, table

    for title, key in (("Only in A", "only_in_a"), ("Only in B", "only_in_b")):
        if found[key]:
            table(title, _MAPPING_COLUMNS, [_mapping(row) for row in found[key]])
    if found["changed"]:
        table("Changed", ("device", ">event", "what"), [
            (f"{row['device_id']:#x}", str(row["event_id"]),
             ", ".join(f"{name} {a} -> {b}" for name, (a, b) in row["fields"].items())) for row in found["changed"]])
    note(f"{found['equal']} mappings are equal, {len(found['changed'])} changed, {len(found['only_in_a'])} only in A, "
         f"{len(found['only_in_b'])} only in B.")
