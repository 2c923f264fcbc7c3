"""A missing tool skips a test on a user's machine and fails it in CI."""

import sys

import pytest

from tests.conftest import find_tool


@pytest.mark.parametrize("tool", ["chromium", "qemu", "node", "aarch64 assembler"])
def test_a_missing_tool_skips_and_names_its_package(tool: str, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt install"):
        find_tool(tool, path=str(tmp_path))


@pytest.mark.parametrize("tool", ["chromium", "qemu", "node"])
def test_a_missing_tool_fails_in_ci(tool: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt install"):
        find_tool(tool, path=str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="makes a file executable")
def test_the_tool_on_the_path_is_found(tmp_path) -> None:
    program = tmp_path / "chromium-browser"
    program.touch(mode=0o755)
    assert find_tool("chromium", path=str(tmp_path)) == program
