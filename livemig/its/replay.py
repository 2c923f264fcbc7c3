"""Run recorded ITS cases against the model and compare every answer.

A case (`kvm-its-golden/1`, or `qemu-its-golden/1` of the emulated ITS) is a list of steps: inputs, and what the real
kernel or the real QEMU answered. A machine (replay_kvm.py, replay_qemu.py) does the inputs; this file compares results,
dumps, registers and dirty logs, and knows where the chosen kernel answered differently or crashed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from livemig.its.errors import DataError, ItsError, KernelCrash
from livemig.its.profile import PROFILES, REFERENCE
from livemig.its.replay_kvm import KvmMachine
from livemig.its.replay_qemu import QemuMachine

__all__ = [
    "Machine", "CaseResult", "load_case", "replay_dir", "replay_case", "Step", "MAX_CASE_FILE_BYTES",
]

Step = Mapping[str, Any]
MAX_CASE_FILE_BYTES = 1 << 26


class Machine(Protocol):
    """Something that does the input part of a step and returns its answer in the recorded form."""

    def run(self, step: Step) -> Any:
        """The answer, None if the step has none. KernelCrash where the host kernel would go down."""

    def responses(self, step: Step) -> int:
        """How many lines the recording driver printed for such a step: a crash is recorded by their number."""


@dataclass(frozen=True)
class CaseResult:
    """`kernel`: whose answers were compared. `first_difference` is None if all `steps` are equal."""

    name: str
    kernel: str
    steps: int
    first_difference: Mapping[str, Any] | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {"name": self.name, "kernel": self.kernel, "steps": self.steps,
                               "equal": self.first_difference is None, "first_difference": self.first_difference}
        return row | ({"note": self.note} if self.note else {})


def load_case(path: Path) -> dict[str, Any]:
    """Read one case file. DataError if it is too large, no JSON, or no case."""
    if path.stat().st_size > MAX_CASE_FILE_BYTES:
        raise DataError(f"{path.name}: more than {MAX_CASE_FILE_BYTES} bytes; that is no recorded case")
    try:
        case = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: not JSON: {error}") from error
    if not isinstance(case, dict) or not isinstance(case.get("steps"), list):
        raise DataError(f"{path.name}: not a recorded case: it has no list 'steps'")
    return case


def replay_dir(path: str | Path, kernel: str = REFERENCE) -> dict[str, Any]:
    """Replay every case (*.json) in directory `path`, or the one case file `path`.

    Returns {"kernel", "cases": [{"name", "kernel", "steps", "equal", "first_difference"}], "equal": n, "of": n}. A case
    that was never run on `kernel` is replayed as a kernel that did run it; its row says so in "kernel" and "note".
    DataError if there is no case; ItsError(EINVAL) for an unknown kernel name.
    """
    root = Path(path)
    files = [root] if root.is_file() else sorted(root.glob("*.json"))
    if not files:
        raise DataError(f"{root}: no case files (*.json) there")
    if kernel not in PROFILES:
        raise ItsError("EINVAL", f"no kernel profile {kernel!r}; there are {', '.join(PROFILES)}")
    results = [replay_case(load_case(file), kernel) for file in files]
    return {"kernel": kernel, "cases": [result.to_json() for result in results],
            "equal": sum(result.first_difference is None for result in results), "of": len(results)}


def replay_case(case: Mapping[str, Any], kernel: str = REFERENCE) -> CaseResult:
    """Replay one case. DataError if a step is malformed; other failures of the model are differences."""
    name = str(case.get("name", "unnamed"))
    if "agreeing_versions" in case:
        return _compare(name, "QEMU TCG", QemuMachine(), case["steps"], {}, None)
    used, note = _kernel_for(case, kernel)
    crash = next((crash for key, crash in case.get("crashed", {}).items() if _is_kernel(key, used)), None)
    differs: list[Step] = next((rows for key, rows in case.get("differs", {}).items() if _is_kernel(key, used)), [])
    answers = {row["step"]: row["result"] for row in differs}
    crash_after = None if crash is None else int(crash["completed_responses"])
    return _compare(name, used, KvmMachine(used), case["steps"], answers, crash_after, note)


def _is_kernel(release: str, name: str) -> bool:
    return re.match(re.escape(name) + r"(?![0-9])", release) is not None


def _kernel_for(case: Mapping[str, Any], kernel: str) -> tuple[str, str]:
    ran = [*case.get("agreeing_kernels", ()), *case.get("differs", {}), *case.get("crashed", {})]
    if any(_is_kernel(release, kernel) for release in ran):
        return kernel, ""
    for name in PROFILES:
        if any(_is_kernel(release, name) for release in case.get("agreeing_kernels", ())):
            return name, f"was not recorded on {kernel}; compared as {name}"
    return kernel, f"was not recorded on {kernel}"


def _compare(name: str, kernel: str, machine: Machine, steps: list[Step], answers: Mapping[int, Any],
             crash_after: int | None, note: str = "") -> CaseResult:
    printed = 0
    for number, step in enumerate(steps):
        try:
            got = machine.run(step)
        except KernelCrash as crash:
            if printed == crash_after:
                return CaseResult(name, kernel, number + 1, None, crash.message)
            return CaseResult(name, kernel, number + 1, _row(number, step, "no crash here", crash.message), note)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise DataError(f"case {name}, step {number}: malformed step: {error!r}") from error
        printed += machine.responses(step)
        expected = answers.get(number, step.get("result"))
        if step["op"] == "dump":
            expected = answers.get(number, step["regions"])
        difference = _difference(step, expected, got)
        if difference is not None:
            return CaseResult(name, kernel, number + 1, _row(number, step, *difference), note)
    missing = None if crash_after is None else _row(len(steps), {"op": "end"}, "a crash of the host kernel", "none")
    return CaseResult(name, kernel, len(steps), missing, note)


def _row(number: int, step: Step, expected: Any, got: Any) -> dict[str, Any]:
    return {"step": number, "op": step["op"], "expected": expected, "got": got}


def _difference(step: Step, expected: Any, got: Any) -> tuple[Any, Any] | None:
    """None if equal, else (expected, got) of the first part that differs."""
    if step["op"] == "dump":
        return _dump_difference(step, expected, got)
    if expected is None or _normal(expected) == _normal(got):
        return None
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in expected:
            if _normal(expected[key]) != _normal(got.get(key)):
                return {key: expected[key]}, {key: got.get(key)}
    return expected, got


def _normal(value: Any) -> Any:
    """Hexadecimal text as a number, so that "0x0f" and "0xf" are equal."""
    if isinstance(value, str) and re.fullmatch("0x[0-9a-f]+", value):
        return int(value, 16)
    if isinstance(value, dict):
        return {key: _normal(one) for key, one in value.items()}
    return [_normal(one) for one in value] if isinstance(value, list) else value


def _dump_difference(step: Step, expected: Any, got: Mapping[str, bytes]) -> tuple[Any, Any] | None:
    runs = {region["name"]: region["data"] for region in expected}
    for region in step["regions"]:
        name, have = region["name"], got[region["name"]]
        want = bytearray(bytes.fromhex(region["fill"]) * len(have))
        for offset, text in runs[name].items():
            data = bytes.fromhex(text)
            want[int(offset, 16):int(offset, 16) + len(data)] = data
        if want != have:
            at = next(i for i, (a, b) in enumerate(zip(want, have, strict=True)) if a != b) & ~7
            return ({"region": name, "offset": hex(at), "bytes": want[at:at + 8].hex()},
                    {"region": name, "offset": hex(at), "bytes": have[at:at + 8].hex()})
    return None
