"""livemig: live migration of a QEMU/KVM guest with an ARM GICv3 ITS, simulated, recorded and explained.

>>> import livemig
>>> trace = livemig.simulate(livemig.Scenario(dirty_rate_bytes_per_s=40e6))
>>> livemig.stage()                          # in a notebook: the animated picture with its controls
>>> livemig.recording("b02").outcome         # what real QEMU did

The names below are loaded when they are first used, so that `import livemig` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from livemig.datadir import data_dir
    from livemig.draw import figures
    from livemig.draw.bytegrid import ByteGrid
    from livemig.draw.stage import Stage
    from livemig.engine import Handler, policies, simulate
    from livemig.engine.compare import compare
    from livemig.engine.predict import predict
    from livemig.lab.record import Progress
    from livemig.scenario import Action, Costs, Phase, Scenario, ScenarioError
    from livemig.sweeps.sweep import sweep
    from livemig.trace import Trace

__version__ = "0.1.0"

__all__ = ["simulate", "Scenario", "Trace", "stage", "figures", "recording", "recordings", "record", "replay",
           "predict", "sweep", "compare", "policies", "validate", "its_bench", "Handler", "Action", "Phase",
           "Costs", "ScenarioError", "Stage", "data_dir", "__version__"]

# Where the names that are not defined here come from: (module, attribute); None is the module itself.
_ORIGINS: dict[str, tuple[str, str | None]] = {
    "simulate": ("livemig.engine", "simulate"),
    "Scenario": ("livemig.scenario", "Scenario"),
    "Trace": ("livemig.trace", "Trace"),
    "figures": ("livemig.draw.figures", None),
    "Handler": ("livemig.engine", "Handler"),
    "predict": ("livemig.engine.predict", "predict"),
    "compare": ("livemig.engine.compare", "compare"),
    "policies": ("livemig.engine.policies", None),
    "sweep": ("livemig.sweeps.sweep", "sweep"),
    "Action": ("livemig.scenario", "Action"),
    "Phase": ("livemig.scenario", "Phase"),
    "Costs": ("livemig.scenario", "Costs"),
    "ScenarioError": ("livemig.scenario", "ScenarioError"),
    "Stage": ("livemig.draw.stage", "Stage"),
    "data_dir": ("livemig.datadir", "data_dir"),
}


def __getattr__(name: str) -> Any:
    if name not in _ORIGINS:
        raise AttributeError(f"module 'livemig' has no attribute {name!r}; its names are {', '.join(__all__)}")
    module, attribute = _ORIGINS[name]
    loaded = importlib.import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value  # the next time it is an ordinary name
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def stage(scenario: Scenario | Trace | None = None, recorded: Trace | str | Path | None = None) -> Stage:
    """The animated picture of one migration, with controls that simulate anew: sequence diagram, timeline, ITS bytes.

    `scenario`: what the controls start from (default: `Scenario()`); or a Trace (of `replay`, `recording` or
    `simulate`), which is drawn as it is, without controls. `recorded`: a Trace, or what `recording` takes,
    drawn beside the simulated run. The browser computes, so sliders answer without the kernel, and `stage().to_html()`
    works without one. Raises `RecordingError` for an unknown recording.
    """
    from livemig.draw.stage import Stage
    from livemig.scenario import Scenario
    from livemig.trace import Trace

    beside = recorded if recorded is None or isinstance(recorded, Trace) else recording(recorded)
    if isinstance(scenario, Trace):
        return Stage(scenario, recorded=beside)
    return Stage(simulate=_simulate_fields, scenario=scenario or Scenario(), tables=_model_tables, recorded=beside,
                 recordings=recordings(), recording=recording)


def recording(name_or_path: str | Path) -> Trace:
    """The Trace of a recording of real QEMU: one of `recordings()` ("b02", "k01-converge", also "k01"), or a file.

    >>> import livemig
    >>> livemig.recording("b05").outcome.total_time_s
    5.211

    Raises `livemig.lab.recording.RecordingError`: an unknown name (with the names that are near it), or a file that
    cannot be read.
    """
    from livemig.lab.convert import to_trace
    from livemig.lab.recording import load_recording

    return to_trace(load_recording(_recording_file(name_or_path)))


def recordings() -> list[str]:
    """Names of the recordings that livemig ships, sorted; `recording` takes them.

    >>> import livemig
    >>> livemig.recordings()[:3]
    ['a01', 'a03', 'a04']
    """
    from livemig.lab.recording import recording_files, recording_name

    return [recording_name(file) for file in recording_files(_recordings_dir())]


def record(scenario: Scenario | None = None, output: str | Path | None = None, *,
           progress: Callable[[Progress], None] | bool = False, otherwise: str | Path | None = None,
           policy: Any = None, **how: Any) -> Trace:
    """Run one live migration of real QEMU on this machine with a scenario's inputs, and return its Trace.

    `scenario`: default `Scenario()`; what only the model has (host costs, the ITS of the drawn guest, the seed) is not
    read, `trace.meta["scenario"]` has what was recorded. `output`: write the recording into this file too, for
    `recording` and `validate`. `progress`: True prints one line that changes; a function is called about every 40 ms
    with a `livemig.lab.record.Progress`; what it raises, and Ctrl-C, end the run. `otherwise`: where this machine has
    no QEMU that can be used, say so and return this recording (what `recording` takes). `policy`: watches the
    migration and changes or cancels it, the same object that `simulate` and `compare` take, or a name.
    `how`: `qemu`, `accelerator`, `capabilities`, `parameters`, `scratch`, `measure` of `livemig.lab.record.record`.

    When this returns or raises, both QEMUs are gone. Raises `QemuError` (missing, too old, ends early),
    `RequestError` (what the lab cannot do), `OutputError` (before anything is started where that can be known).
    """
    from livemig.engine.compare import named
    from livemig.engine.monitor import Monitor, applied
    from livemig.lab.convert import to_trace
    from livemig.lab.qemu import QemuError, find_qemu
    from livemig.lab.record import print_progress
    from livemig.lab.record import record as run
    from livemig.lab.recording import recording_name
    from livemig.lab.save import check_output, save_recording
    from livemig.scenario import Scenario

    if otherwise is not None:
        try:
            find_qemu(how.get("qemu"))
        except QemuError as error:
            print(f"Nothing is recorded: {error}. This is recording {otherwise} instead.")
            return recording(otherwise)
    target = None if output is None else check_output(output)
    chosen = scenario or Scenario()
    if policy is not None:
        ((_, policy),) = named([policy]).items()
        chosen = applied(policy, chosen)
        how["monitor"] = Monitor(policy)
    made = run(chosen.to_dict(), "now" if target is None else recording_name(target),
               progress=print_progress if progress is True else progress or None, **how)
    if target is not None:
        save_recording(made, target)
    return to_trace(made)


def replay(path: str | Path, migration: int = 0, gap_s: float | None = None) -> Trace:
    """The Trace of a log of somebody else's migration: query-migrate replies, `virsh domjobinfo`, libvirt's jobStats.

    `migration`: which of several in the log, from 1 (0: the last). `gap_s`: so long without an answer is a gap
    (default: three usual intervals). Raises `RecordingError` when there is none in it, and `BrokenLog` (its `trace`
    has all that could be read) when some of its lines cannot be read; see `livemig.lab.replay`.
    """
    from livemig.lab.replay import replay as read

    return read(path, migration, gap_s)


def validate(folder: str | Path | None = None, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Simulate each recording of a folder from its inputs and compare: {"runs": [...], "summary": {...}}.

    >>> import livemig
    >>> report = livemig.validate(livemig.data_dir() / "recordings" / "b05.json")
    >>> report["summary"]["status_right"]
    [1, 1]

    `folder`: a folder or one recording, default the recordings that livemig ships. `progress` is called with each
    recording's name. Errors are relative, times in seconds; see `livemig.lab.validate`. Raises `RecordingError` when
    the folder cannot be read.
    """
    from livemig.lab.validate import validate_dir

    return validate_dir(_recordings_dir() if folder is None else folder, _simulate_fields, progress, _textbook_fields)


def its_bench(case: str | Path | Mapping[str, Any] = "roundtrip-small", kernel: str = "6.12",
              **shown: Any) -> ByteGrid:
    """Commands in, bytes out: a recorded ITS case in the byte grid, its commands to edit, the recorded bytes beside.

    >>> import livemig
    >>> grid = livemig.its_bench("roundtrip-small")
    >>> len(grid.commands)
    7

    `case`: a name in data/its, data/its-qemu-tcg or data/its-linux-guest, a case file, or a parsed case. `kernel`: the
    profile that runs the commands. `shown`: other arguments of `ByteGrid` (title, note, select). Raises `ItsError` for
    what is no such case.
    """
    from livemig.draw.bytegrid import ByteGrid
    from livemig.its.bench import Bench

    bench = Bench.of_case(_its_case(case) if isinstance(case, str) else case, kernel)

    def apply(commands: list[dict[str, Any]], save: bool) -> dict[str, Any]:
        run = bench.run(commands, save)
        return {"tables": run.tables, "outcomes": run.outcomes, "saves": run.saves}

    writer = "QEMU's own ITS" if bench.emulated else f"Linux {bench.kernel}"
    defaults = {"title": bench.name, "compare_label": f"what {writer} wrote", "can_save": not bench.emulated}
    return ByteGrid(commands=bench.rows, apply=apply, compare=bench.recorded, **{**defaults, **shown})


def _its_case(name: str) -> Path:
    from pathlib import Path

    from livemig.datadir import data_dir
    from livemig.its.errors import DataError

    folders = ("its", "its-qemu-tcg", "its-linux-guest")
    shipped = {file.stem: file for folder in folders for file in sorted((data_dir() / folder).glob("*.json"))}
    if name in shipped:
        return shipped[name]
    if name.endswith(".json"):
        return Path(name)
    near = sorted(known for known in shipped if known.startswith(name[:4]))[:5]
    raise DataError(f"no recorded ITS case {name!r}; names like it: {', '.join(near) or 'none'} "
                    f"(data/its/INDEX.tsv lists them)")


def _simulate_fields(fields: dict[str, Any]) -> Trace:
    from livemig.engine import simulate
    from livemig.scenario import Scenario

    return simulate(Scenario.from_dict(fields))


def _textbook_fields(fields: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    from livemig.engine.closed_form import textbook_of
    from livemig.scenario import Scenario

    told = textbook_of(Scenario.from_dict(fields))
    return {**asdict(told), "dirty_sync_count": told.dirty_sync_count}


def _model_tables(fields: dict[str, Any]) -> dict[str, Any]:
    from livemig.engine.model_tables import model_tables
    from livemig.scenario import Scenario

    return model_tables(Scenario.from_dict(fields))


def _recordings_dir() -> Path:
    from livemig.datadir import data_dir

    return data_dir() / "recordings"


def _recording_file(name_or_path: str | Path) -> Path:
    from pathlib import Path

    from livemig.lab.recording import RecordingError, recording_files, recording_name

    shipped = {recording_name(file): file for file in recording_files(_recordings_dir())}
    name = str(name_or_path)
    if name in shipped:
        return shipped[name]
    if isinstance(name_or_path, Path) or name.endswith((".json", ".json.gz")):
        return Path(name_or_path)
    longer = [known for known in shipped if known.startswith(f"{name}-")]
    if len(longer) == 1:
        return shipped[longer[0]]
    beginnings = [name[:length] for length in range(len(name) + 1)]
    near = sorted(shipped, key=lambda known: -sum(map(known.startswith, beginnings)))[:5]
    raise RecordingError(f"no recording {name!r}; the nearest are {', '.join(near)} (livemig.recordings() lists all "
                         f"{len(shipped)}; a file's name ends in .json or .json.gz)")
