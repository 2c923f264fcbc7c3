"""`validate`, `lab`, `its`, `stream`, and what every command does with bad input."""

import json
import lzma
import shutil
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import livemig
from livemig.cli import errors, lab
from livemig.cli.app import app
from livemig.cli.validate import print_report

DATA = livemig.data_dir()
RECORDINGS = DATA / "recordings"


def invoke(*arguments: object, **more):
    return CliRunner().invoke(app, [str(one) for one in arguments], **more)


def bad(done, *says: str) -> None:
    """One message, nothing of a traceback, status 2."""
    assert done.exit_code == 2, done.output
    for text in says:
        assert text in done.stderr
    assert "Traceback" not in done.output


# -- the frame --------------------------------------------------------------------------------------------------------
def test_version_and_help() -> None:
    assert invoke("--version").stdout == f"livemig {livemig.__version__}\n"
    shown = invoke("--help").stdout
    for command in ("run", "validate", "lab", "its", "stream"):
        assert f"\n  {command} " in shown


def test_wrong_usage() -> None:
    bad(invoke("fly"), "No such command 'fly'")
    bad(invoke("run", "--bandwith", "3"), "No such option", "--bandwidth")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (KeyboardInterrupt(), 130, "livemig: interrupted\n"),
        (BrokenPipeError(), 141, ""),
        (MemoryError("Unable to allocate 8. GiB"), 2, "not enough memory for this: Unable to allocate 8. GiB"),
        (OSError(28, "No space left on device", "out.json"), 2, "out.json: No space left on device"),
        (ZeroDivisionError("division by zero"), 2, "internal error, please report it: ZeroDivisionError"),
    ],
)
def test_what_a_command_raises(monkeypatch, error, status, says) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("livemig.engine.simulate", fail)
    done = invoke("run")
    assert done.exit_code == status
    assert says in done.stderr if says else done.stderr == ""
    assert "Traceback" not in done.output


def test_errors_of_livemig_are_messages(monkeypatch) -> None:
    from livemig.engine import HandlerError
    from livemig.its.errors import ItsError
    from livemig.trace import TraceError

    for error in (HandlerError("handler 'mine' raised"), ItsError("EINVAL", "bad"), TraceError("cut off")):
        assert errors.message(error) == str(error)


# -- validate ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def few(tmp_path):
    for name in ("b02", "c03", "k01-converge", "l10"):
        shutil.copy(RECORDINGS / f"{name}.json", tmp_path)
    return tmp_path


def test_validate_json_is_the_report(few) -> None:
    done = invoke("validate", few, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == json.loads(json.dumps(livemig.validate(few)))
    assert "simulating b02" in done.stderr


def test_validate_table(few) -> None:
    done = invoke("validate", few)
    assert [line.split()[0] for line in done.stdout.splitlines()[3:5]] == ["b02", "c03"]
    told = " ".join(done.stdout.split())
    assert "4 of 4 recordings are modelled" in told
    assert "Times and bytes are compared in 3" in told
    assert "k01-converge" in told
    assert "inside an emulated KVM host" in told
    assert "3 plain runs" in told
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_validate_shows_where_recording_and_prediction_differ(capsys) -> None:
    run = {"id": "x9", "group": "x", "modelled": True, "times_compared": True, "reason": None,
           "status_recorded": "failed", "status_predicted": "completed", "guest_runs_on_recorded": "source",
           "guest_runs_on_predicted": "destination", "order_same": False, "converged_recorded": True,
           "converged_predicted": False, "passes_recorded": 5, "passes_predicted": 6, "total_time_error": -0.015,
           "transferred_error": None, "downtime_recorded_s": 0.012, "downtime_predicted_s": None,
           "throttle_recorded": [20, 30], "throttle_predicted": [20], "textbook": None}
    failed = {**run, "id": "x10", "status_predicted": None, "passes_predicted": None, "reason": "too odd"}
    untimed = {**run, "id": "x11", "times_compared": False, "reason": "an odd clock"}
    right = {f"{key}_right": [0, 3] for key in ("status", "order", "converges", "throttle")}
    nothing = {"median": None, "p90": None}
    print_report({"runs": [run, failed, untimed], "summary": {
        "modelled": 3, "of": 3, "times_compared": 2, **right, "total_time": nothing,
        "passes": {"median": 0.2, "p90": 0.2}, "transferred": nothing, "downtime": {**nothing, "n": 0}, "groups": {},
        "textbook": None}})
    shown = " ".join(capsys.readouterr().out.split())
    assert "failed src, not completed dst" in shown
    assert "5/6" in shown
    assert "-1.50" in shown
    assert " 12/- " in shown
    assert "too odd" in shown
    assert "an odd clock" in shown
    assert "20 30 20" in shown
    assert "differs" in shown
    assert "20.00 %" in shown


def test_validate_draws_a_figure(few, tmp_path) -> None:
    file = tmp_path / "figure.svg"
    done = invoke("validate", few, "--figure", file)
    assert done.exit_code == 0
    assert "group of recordings" in file.read_text()
    assert f"wrote {file}" in done.stderr


def test_validate_a_figure_that_cannot_be_written_is_refused_before_the_work(few, tmp_path) -> None:
    for name, why in (("figure.doc", "must end in one of .png, .svg, .pdf"), ("none/x.png", "there is no folder")):
        done = invoke("validate", few, "--figure", tmp_path / name)
        bad(done, why)
        assert "simulating" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff\xfe"])
def test_validate_a_broken_recording(few, content) -> None:
    (few / "b99.json").write_bytes(content)
    done = invoke("validate", few, "--json")
    bad(done, "b99.json", "1 recording could not be read")
    assert [run["id"] for run in json.loads(done.stdout)["runs"]] == ["b02", "c03", "k01-converge", "l10"]


def test_validate_a_cut_recording(few) -> None:
    whole = (few / "b02.json").read_bytes()
    (few / "b02.json").write_bytes(whole[: len(whole) // 2])
    bad(invoke("validate", few), "b02.json: not a complete JSON file")


def test_validate_a_bad_folder(tmp_path) -> None:
    bad(invoke("validate", tmp_path), "holds no recording")
    bad(invoke("validate", tmp_path / "none"), "no such folder")
    bad(invoke("validate", __file__), "not a folder")
    assert "1 of 1 recordings are modelled" in invoke("validate", RECORDINGS / "b02.json").stdout


# -- lab --------------------------------------------------------------------------------------------------------------
def test_lab_without_notebooks_says_where_it_looked(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    bad(invoke("lab", "--notebooks", tmp_path), f"no 00_start_here.ipynb in {tmp_path}", "--notebooks DIR")


def test_lab_starts_jupyterlab_on_this_machine_only(tmp_path, monkeypatch) -> None:
    started = []
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / lab.FIRST).write_text("{}")
    monkeypatch.chdir(tmp_path)
    jupyterlab = SimpleNamespace(LabApp=SimpleNamespace(launch_instance=started.append))  # the real one takes seconds
    monkeypatch.setitem(sys.modules, "jupyterlab", SimpleNamespace(labapp=jupyterlab))
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", jupyterlab)
    assert invoke("lab", "--port", "9123", "--no-browser").exit_code == 0
    assert "--ServerApp.ip=127.0.0.1" in started[0]
    assert f"--ServerApp.root_dir={tmp_path}" in started[0]
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in started[0]
    assert "--ServerApp.port=9123" in started[0]
    assert "--no-browser" in started[0]


def test_lab_without_jupyterlab(tmp_path, monkeypatch) -> None:
    (tmp_path / lab.FIRST).write_text("{}")
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    bad(invoke("lab", "--notebooks", tmp_path), "pip install jupyterlab")


# -- its --------------------------------------------------------------------------------------------------------------
def test_its_replay_of_a_few_cases(tmp_path) -> None:
    for name in ("empty-its", "movall", "solo-mapc-unmap-with-events"):
        shutil.copy(DATA / "its" / f"{name}.json", tmp_path)
    done = invoke("its", "replay", tmp_path, "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (report["kernel"], report["equal"], report["of"]) == ("6.12", 3, 3)
    assert "3 of 3 cases equal" in invoke("its", "replay", tmp_path).stdout


def test_its_replay_of_a_case_that_differs(tmp_path) -> None:
    case = json.loads((DATA / "its" / "movall.json").read_text())
    step = next(step for step in case["steps"] if step.get("result") not in (None, {}) and step["op"] != "dump")
    step["result"] = {"made": "up"}
    (tmp_path / "movall.json").write_text(json.dumps(case))
    done = invoke("its", "replay", tmp_path)
    assert done.exit_code == 1
    assert "movall" in done.stdout
    assert "0 of 1 cases equal" in done.stdout


def test_its_replay_of_bad_input(tmp_path) -> None:
    bad(invoke("its", "replay", tmp_path), "no case files")
    bad(invoke("its", "replay", tmp_path / "none.json"))
    bad(invoke("its", "replay", DATA / "its", "--kernel", "9.9"), "no kernel profile '9.9'")
    (tmp_path / "x.json").write_text("[1")
    bad(invoke("its", "replay", tmp_path), "x.json: not JSON")


STREAM = DATA / "stream" / "6.12-A.mig.xz"


def test_stream_its_is_what_the_kernel_had() -> None:
    """The mappings that the recording's own guest made (data/stream, its log is the queue)."""
    shown = json.loads(invoke("stream", "its", STREAM, "--json").stdout)
    oracle = json.loads((DATA / "stream" / "stream-6.12.json").read_text())["streams"]["A.mig"]
    assert shown["section"]["offset"] == int(next(s for s in oracle["sections"] if s[2] == "arm_gicv3_its")[0], 16)
    assert shown["restore"] == "OK"
    text = invoke("stream", "its", STREAM).stdout
    for row in shown["mappings"]:
        assert f"{row['device_id']:#x}" in text
        assert str(row["pintid"]) in text


def test_stream_show() -> None:
    oracle = json.loads((DATA / "stream" / "stream-6.12.json").read_text())["streams"]["A.mig"]
    shown = json.loads(invoke("stream", "show", STREAM, "--json").stdout)
    have = [[hex(s["offset"]), s["kind"], s["name"], s["instance"], s["version"], s["size_bytes"]]
            for s in shown["sections"]]
    assert oracle["sections"]
    assert [section for section in oracle["sections"] if section not in have] == []
    text = invoke("stream", "show", STREAM)
    assert text.exit_code == 0
    assert "mach-virt.ram" in text.stdout


def test_stream_of_bad_input(tmp_path) -> None:
    bad(invoke("stream", "show", tmp_path / "none"), "none: No such file or directory")
    cut = tmp_path / "cut.mig"
    cut.write_bytes(lzma.decompress(STREAM.read_bytes())[:300_000])
    bad(invoke("stream", "its", cut), "at byte offset")
    bad(invoke("stream", "show", tmp_path))
    bad(invoke("stream", "its", STREAM, "--ram-base", "zz"), "'zz' is not a number")
    bad(invoke("stream", "its", STREAM, "--block", "nvram"), "no RAM block 'nvram'")


def test_its_decode_and_diff(tmp_path) -> None:
    """The RAM of a real stream as a raw dump: decoding it gives the stream's mappings."""
    from livemig.its.stream import open_stream, read_stream
    from livemig.its.stream_its import stream_memory

    base, size = 0x4100_0000, 0x20_0000
    with open_stream(STREAM) as source:
        ram = bytearray(stream_memory(read_stream(source, keep_ram=True)).read(base, size))
    (tmp_path / "a.bin").write_bytes(ram)
    shown = json.loads(invoke("stream", "its", STREAM, "--json").stdout)
    registers = ["--base", hex(base), "--baser0", shown["registers"]["GITS_BASER0"],
                 "--baser1", shown["registers"]["GITS_BASER1"]]
    decoded = invoke("its", "decode", tmp_path / "a.bin", *registers, "--json")
    assert json.loads(decoded.stdout)["mappings"] == shown["mappings"]
    rows = invoke("its", "decode", tmp_path / "a.bin", *registers, "--csv").stdout.splitlines()
    assert len(rows) == 1 + len(shown["mappings"])
    assert "No inconsistencies." in invoke("its", "decode", tmp_path / "a.bin", *registers).stdout

    at = shown["mappings"][0]["ite_address"] - base
    ram[at:at + 8] = bytes(8)
    (tmp_path / "b.bin").write_bytes(ram)
    for name in "ab":
        text = invoke("its", "decode", tmp_path / f"{name}.bin", *registers, "--json").stdout
        (tmp_path / f"{name}.json").write_text(text)
    same = invoke("its", "diff", tmp_path / "a.json", tmp_path / "a.json")
    assert (same.exit_code, "0 changed, 0 only in A, 0 only in B" in " ".join(same.stdout.split())) == (0, True)
    other = invoke("its", "diff", tmp_path / "a.json", tmp_path / "b.json", "--json")
    assert other.exit_code == 1
    assert shown["mappings"][0] in json.loads(other.stdout)["only_in_a"]
    assert "Only in A" in invoke("its", "diff", tmp_path / "a.json", tmp_path / "b.json").stdout


def test_its_decode_and_diff_of_bad_input(tmp_path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    registers = ["--base", "0x40000000", "--baser0", "0", "--baser1", "0"]
    bad(invoke("its", "decode", tmp_path / "empty", *registers), "an empty file is no memory dump")
    bad(invoke("its", "decode", tmp_path / "none", *registers), "No such file or directory")
    bad(invoke("its", "decode", tmp_path / "empty", *registers, "--json", "--csv"), "one of them")
    bad(invoke("its", "decode", tmp_path / "empty", *registers[:-1], "x"), "'x' is not a number")
    bad(invoke("its", "decode", tmp_path / "empty", "--base", "-5", *registers[2:]), "negative")
    bad(invoke("its", "diff", tmp_path / "empty", tmp_path / "empty"), "not JSON")
    (tmp_path / "list.json").write_text("[]")
    bad(invoke("its", "diff", tmp_path / "list.json", tmp_path / "list.json"), "not a decoded table")
