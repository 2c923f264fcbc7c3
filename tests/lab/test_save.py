"""A recording is written whole or not at all."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from livemig.datadir import data_dir
from livemig.lab.recording import load_recording, recording_files
from livemig.lab.save import OutputError, check_output, recording_text, save_recording

FILES = recording_files(data_dir() / "recordings")
B05 = data_dir() / "recordings" / "b05.json"


def test_the_layout_is_that_of_the_recordings() -> None:
    """Byte by byte, for those of the QEMU lab."""
    for file in (file for file in FILES if not file.name.startswith("k")):
        assert recording_text(load_recording(file)) == file.read_text(encoding="utf-8"), file.name


@pytest.mark.parametrize("filename", ["x.json", "x.json.gz"])
def test_written_and_read(tmp_path: Path, filename: str) -> None:
    recording = load_recording(B05)
    assert save_recording(recording, tmp_path / filename) == tmp_path / filename
    assert load_recording(tmp_path / filename) == recording
    assert os.listdir(tmp_path) == [filename]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "x.json").write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"\A.*x\.json: cannot be written, nothing was left behind: No space left"):
        save_recording(load_recording(B05), tmp_path / "x.json")
    assert (tmp_path / "x.json").read_text() == "old"
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_write_that_the_kernel_cuts_off_leaves_nothing(tmp_path: Path) -> None:
    """The kernel's own limit on the size of a file stands for the end of a disk."""
    code = ("import sys; from livemig.lab.recording import load_recording; from livemig.lab.save import *\n"
            "recording = load_recording(sys.argv[1])\n"
            "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "try: save_recording(recording, sys.argv[2])\n"
            "except OutputError as error: print(error)\n")
    done = subprocess.run([sys.executable, "-c", code, B05, tmp_path / "x.json"], capture_output=True, text=True)
    assert "x.json: cannot be written, nothing was left behind: File too large" in done.stdout, done.stderr
    assert os.listdir(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


def test_what_could_not_be_written_is_known_before(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "folder.json").mkdir()
    for path, says in (
        (tmp_path / "x.txt", "a recording's name ends in .json or .json.gz"),
        (tmp_path / "none" / "x.json", "No such file or directory"),
        (tmp_path / "folder.json", "is there and not an ordinary file"),
        (B05 / "x.json", "Not a directory"),
    ):
        with pytest.raises(OutputError) as caught:
            check_output(path)
        assert says in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    (tmp_path / "kept.json").touch(mode=0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(OutputError, match="may not be written"):
        check_output(tmp_path / "kept.json")
    assert sorted(os.listdir(tmp_path)) == ["folder.json", "kept.json"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "x.json").symlink_to(tmp_path / "there" / "y.json")
    save_recording(load_recording(B05), tmp_path / "x.json")
    assert (tmp_path / "x.json").is_symlink()
    assert load_recording(tmp_path / "there" / "y.json")["id"] == "b05"
