"""Every kept fuzzing input still ends in a result or in our own error."""

import importlib.util
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
_SPEC = importlib.util.spec_from_file_location("its_fuzz_targets", HERE / "targets.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


@pytest.mark.parametrize("name", sorted(_MODULE.targets))
def test_kept_inputs(name: str) -> None:
    files = sorted(path for path in (HERE / "corpus").glob(f"{name}/*") if path.is_file())
    crashes = sorted((HERE / "corpus").glob(f"crash-{name}-*"))
    assert len(files) > 1, "the corpus is kept with the tests"
    for path in files + crashes:
        start = time.perf_counter()
        _MODULE.targets[name](path.read_bytes())
        assert time.perf_counter() - start < 20, path.name
