"""No test of the course may touch the progress of whoever runs it."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def progress_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kept" / "progress.json"
    monkeypatch.setenv("LIVEMIG_PROGRESS", str(path))
    return path
