"""`livemig predict`: does a migration converge, how long does it take, and what would help if it does not."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from livemig.cli.errors import DIFFERENT, say
from livemig.cli.options import parameters, read_fields
from livemig.scenario import Scenario
from livemig.units import UnitError

if TYPE_CHECKING:
    from livemig.engine.predict import Prediction
    from livemig.engine.suggest import Suggestion

__all__ = ["LiveProgress", "predict"]


def _option(name: str, annotation: Any, default: Any, *names: str, panel: str = "Output",
            **more: Any) -> inspect.Parameter:
    made = typer.Option(default, *names, rich_help_panel=panel, **more)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=made)


_OWN = (
    _option("file", Path | None, None, "--from", metavar="FILE", panel="Where the numbers come from",
            help="Saved QMP replies as JSON: query-migrate, query-migrate-parameters, query-dirty-rate, "
                 "query-memory-size-summary; or any log that `livemig replay` reads"),
    _option("socket", Path | None, None, "--qmp", metavar="SOCKET", panel="Where the numbers come from",
            help="Ask the QEMU behind this QMP socket; nothing is changed there"),
    _option("as_json", bool, False, "--json", help="Print everything as JSON (livemig-prediction/1)"),
    _option("samples", int, 24, "--samples", min=1, max=10_000, help="So many runs at least"),
    _option("suggest", bool, True, "--suggest/--no-suggest", help="Look for what would make it converge"),
)


def predict(**given: Any) -> None:
    """Say whether a migration converges, how long it takes and how long the guest stops, and how sure that is.

    Every input of `livemig run` has the same option here; they go before what --from or --qmp say. Where the writer
    stands, its pattern (without --pattern) and its working set (without --wset) are unknown: the engine runs over
    what they can be, and the answer is the range. If it does not always converge, the smallest max-bandwidth,
    downtime-limit and throttle that would make it are sought.

    The exit status is 0 if it converges in all samples, 1 if it does not, 2 for bad input.
    """
    from livemig.cli.predicted import print_prediction, print_suggestions
    from livemig.engine.predict import predict as ask
    from livemig.engine.predict import suggestions

    as_json, samples, suggest = (given.pop(name) for name in ("as_json", "samples", "suggest"))
    fields, notes, seconds = _inputs(given)
    scenario, unknown = _scenario(fields, seconds)
    progress = LiveProgress()
    try:
        answer = ask(scenario, samples=samples, suggest=False, progress=progress, **unknown)
    finally:
        progress.end()
    if not as_json:
        print_prediction(answer, fields, notes)
    found: list[Suggestion] = []
    try:
        for one in suggestions(answer, progress) if suggest else ():
            found.append(one)
    finally:  # who interrupts the search sees what was found until then
        progress.end()
        if as_json:
            _print_json(replace(answer, suggestions=tuple(found)), fields, notes)
        elif found:
            print_suggestions(found)
        sys.stdout.flush()
    if not answer.converges:
        raise typer.Exit(DIFFERENT)


predict.__signature__ = inspect.Signature([*_OWN, *parameters()])  # type: ignore[attr-defined]
predict.__annotations__ = {}  # typer would take the type of **given for each option


def _inputs(given: dict[str, Any]) -> tuple[dict[str, Any], list[str], float]:
    """Fields that are known, notes on where they come from, and in how many seconds the dirty rate was counted."""
    file, socket = given.pop("file"), given.pop("socket")
    fields = read_fields(given)
    if file is None and socket is None:
        return fields, [], 1.0
    if file is not None and socket is not None:
        raise UnitError("--from and --qmp: one of them, please")
    from livemig.lab.ask import ask
    from livemig.lab.logs import read_log
    from livemig.lab.replies import known

    where = str(socket if file is None else file)
    found = known(ask(socket) if file is None else read_log(file), where)
    missing = [text for name, text in found.missing.items() if name not in fields]
    if missing:
        raise UnitError(f"{where} does not say {' nor '.join(missing)}")
    for problem in found.problems:
        say(f"note: {where}: {problem}")
    return {**found.values, **fields}, found.notes, found.dirtied_in_s


def _scenario(fields: Mapping[str, Any], seconds: float) -> tuple[Scenario, dict[str, Any]]:
    """The scenario and what of it is unknown, as arguments of the engine's `predict`."""
    from livemig.engine.sampling import PATTERNS, working_set_range

    pattern = fields.get("pattern")
    sized = "working_set_bytes" in fields or pattern in ("idle", "phases") or fields.get("dirty_rate_bytes_per_s") == 0
    page = int(fields.get("page_bytes", 4096))
    scenario = Scenario(**{"working_set_bytes": page, **fields} if not sized else fields)
    unknown: dict[str, Any] = {"patterns": PATTERNS if pattern is None else (pattern,)}
    if not sized:
        unknown["working_sets"] = working_set_range(scenario, seconds)
    if "writer_start_writes" in fields or pattern in ("idle", "phases"):
        unknown["positions"] = 1
    return scenario, unknown


def _print_json(answer: Prediction, fields: Mapping[str, Any], notes: Sequence[str]) -> None:
    print(json.dumps({**answer.to_json(), "given": sorted(fields), "notes": list(notes)}, indent=1, allow_nan=False))


class LiveProgress:
    """What is being computed, on stderr: one line that changes, or in a file a line now and then."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._count = 0
        self._what = ""

    def __call__(self, what: str, done: int, of: int) -> None:
        self._count = self._count + 1 if what == self._what else 1
        if self._live:
            shown = f"{done + 1} of {of}" if of else str(self._count)
            print(f"\r\x1b[K{what}: run {shown}", end="", file=sys.stderr, flush=True)
        elif what != self._what:
            say(f"computing: {what}")
        self._what = what

    def end(self) -> None:
        """Leave a clean line."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
