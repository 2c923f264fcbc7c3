"""A desk of its own for examples that use `livemig.course`, whose names all belong to one desk."""

from pathlib import Path

import pytest

from livemig import course
from livemig.course.desk import DEFAULT_SEED


@pytest.fixture
def fresh_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No seed, no hints, and progress in a temporary file; afterwards as it was."""
    fresh = {"_path": tmp_path / "progress-of-the-test.json", "_seed": DEFAULT_SEED, "_seeds": {}, "_hints": {}}
    for name, value in fresh.items():
        assert hasattr(course._desk, name)
        monkeypatch.setattr(course._desk, name, value)
