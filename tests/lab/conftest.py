"""The recordings of the repository, read once for all tests of this folder."""

from functools import cache

import pytest

from livemig.datadir import data_dir
from livemig.lab.convert import to_trace
from livemig.lab.recording import load_recording, recording_files, recording_name

FOLDER = data_dir() / "recordings"
NAMES = [recording_name(path) for path in recording_files(FOLDER)]


@cache
def recording(name):
    return load_recording(FOLDER / f"{name}.json")


@cache
def trace(name):
    return to_trace(recording(name))


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", NAMES)


@pytest.fixture
def rec():
    return recording


@pytest.fixture
def tra():
    return trace


@pytest.fixture
def all_recordings():
    return [(name, recording(name)) for name in NAMES]
