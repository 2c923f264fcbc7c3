"""What QMP's answers say of a migration to come: replies as QEMU gives them, with what each of them leaves open."""

import json
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from livemig.lab import ask as asking
from livemig.lab.ask import QUERIES, ask
from livemig.lab.logs import read_text
from livemig.lab.recording import RecordingError
from livemig.lab.replies import known

MIB = 1 << 20
MIGRATE = {"status": "active", "total-time": 12_000, "expected-downtime": 300, "setup-time": 3, "ram": {
    "total": 402_792_448, "transferred": 400_000_000, "remaining": 50_000_000, "duplicate": 60_000, "normal": 90_000,
    "normal-bytes": 368_640_000, "dirty-pages-rate": 5120, "mbps": 268.4, "dirty-sync-count": 4, "page-size": 4096}}
PARAMETERS = {"max-bandwidth": 33_554_432, "downtime-limit": 100, "multifd-channels": 2, "tls-creds": ""}
DIRTY_RATE = {"status": "measured", "dirty-rate": 14, "start-time": 5, "calc-time": 2, "sample-pages": 512,
              "mode": "page-sampling", "calc-time-unit": "second"}
MEMORY = {"base-memory": 268_435_456, "plugged-memory": 0}
VERSION = {"qemu": {"micro": 13, "minor": 0, "major": 10}, "package": "Debian"}
ALL = (VERSION, MEMORY, PARAMETERS, DIRTY_RATE, MIGRATE)


def of(*replies):
    return known(read_text("\n".join(json.dumps({"return": reply}) for reply in replies)))


def test_all_replies_make_a_scenario() -> None:
    found = of(*ALL)
    zero_bytes = 60_000 * 4096 - (402_792_448 - 268_435_456)
    assert found.values == {
        "qemu_version": "10.0", "ram_bytes": 268_435_456, "other_ram_bytes": 402_792_448 - 268_435_456,
        "bandwidth_bytes_per_s": 33_554_432.0, "downtime_limit_s": 0.1, "dirty_rate_bytes_per_s": 14.0 * MIB,
        "filled_offset_bytes": 0, "filled_bytes": 268_435_456 - zero_bytes}
    assert found.missing == {}
    assert found.dirtied_in_s == 2.0
    assert any("under way for 12.0 s" in note for note in found.notes)


def test_query_migrate_alone_has_a_rate_and_a_speed() -> None:
    found = of(MIGRATE)
    assert found.values["ram_bytes"] == 402_792_448
    assert found.values["dirty_rate_bytes_per_s"] == 5120 * 4096
    assert found.values["bandwidth_bytes_per_s"] == pytest.approx(268.4e6 / 8)
    assert any("max-bandwidth is taken from the measured throughput, 32 MiB/s" in note for note in found.notes)
    assert any("downtime-limit is not in the reply" in note for note in found.notes)


def test_a_throughput_below_the_limit_is_the_link() -> None:
    slow = {**MIGRATE, "ram": {**MIGRATE["ram"], "mbps": 100.0}}
    assert of(PARAMETERS, slow).values["link_bytes_per_s"] == 12_500_000
    assert "link_bytes_per_s" not in of(PARAMETERS, MIGRATE).values
    assert of({**PARAMETERS, "max-bandwidth": 0}, slow).values["bandwidth_bytes_per_s"] is None
    early = {**slow, "total-time": 500}
    assert "link_bytes_per_s" not in of(PARAMETERS, early).values


def test_what_is_missing_is_named_with_the_reason() -> None:
    found = of(DIRTY_RATE)
    assert list(found.missing) == ["ram_bytes"]
    assert found.values["bandwidth_bytes_per_s"] == 128 * MIB  # QEMU's default
    unstarted = of(MEMORY, {"status": "unstarted", "start-time": 0, "calc-time": 0, "sample-pages": 512})
    assert "query-dirty-rate is unstarted" in unstarted.missing["dirty_rate_bytes_per_s"]
    still = {**MIGRATE, "ram": {**MIGRATE["ram"], "dirty-pages-rate": 0}}
    assert "dirty-pages-rate is 0" in of(still).missing["dirty_rate_bytes_per_s"]
    assert of(MEMORY, {**DIRTY_RATE, "calc-time": 250, "calc-time-unit": "millisecond"}).dirtied_in_s == 0.25


@pytest.mark.parametrize(("version", "taken"), [((10, 0), "10.0"), ((7, 2), "7.2"), ((8, 2), "7.2"), ((9, 1), "10.0")])
def test_versions(version, taken) -> None:
    found = of({"qemu": {"major": version[0], "minor": version[1], "micro": 0}}, MEMORY)
    assert found.values["qemu_version"] == taken
    assert any("is taken as" in note for note in found.notes) == (".".join(map(str, version)) != taken)


def test_bad_replies_are_refused() -> None:
    with pytest.raises(RecordingError, match="base-memory is 'much', expected a number"):
        of({"base-memory": "much"})
    with pytest.raises(RecordingError, match="max-bandwidth is -1"):
        of({"max-bandwidth": -1})
    with pytest.raises(RecordingError, match="no answer to query-migrate"):
        known(read_text("nothing here"))
    with pytest.raises(RecordingError, match="line 1: not a complete JSON object"):
        known(read_text('{"return": {"status": "acti'))


# -- a QEMU that runs -------------------------------------------------------------------------------------------------
@pytest.fixture
def folder():
    """A short path: a socket's has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="q") as name:
        yield Path(name)


def serve(path: Path, answer) -> threading.Thread:
    """A monitor for one client, in a thread; `answer(command)` is a reply, or None for no answer at all."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)
    listening.settimeout(20)

    def say(client, message) -> None:
        client.sendall(json.dumps(message).encode() + b"\r\n")

    def serve_one() -> None:
        with listening, listening.accept()[0] as client:
            version = {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": ""}
            say(client, {"QMP": {"version": version, "capabilities": []}})
            waiting = ""
            while part := client.recv(4096):
                waiting += part.decode()
                while waiting.strip():  # a client need not end its messages with a line
                    try:
                        message, end = json.JSONDecoder().raw_decode(waiting.lstrip())
                    except ValueError:
                        break
                    waiting = waiting.lstrip()[end:]
                    reply = {} if message["execute"] == "qmp_capabilities" else answer(message["execute"])
                    if reply is not None:
                        told = {"id": message["id"]} if "id" in message else {}
                        say(client, {**(reply if "error" in reply else {"return": reply}), **told})

    thread = threading.Thread(target=serve_one, daemon=True)
    thread.start()
    return thread


def test_only_queries_are_sent_and_all_answers_come_back(folder) -> None:
    asked = []

    def answer(command):
        asked.append(command)
        if command == "query-memory-size-summary":
            return {"error": {"class": "CommandNotFound", "desc": "no such command"}}
        return dict(zip(QUERIES, ALL, strict=True))[command]

    thread = serve(folder / "s", answer)
    found = known(ask(folder / "s"))
    thread.join(5)
    assert tuple(asked) == QUERIES
    assert all(command.startswith("query-") for command in asked)
    assert found.values["ram_bytes"] == 402_792_448  # without the memory summary: ram.total
    assert found.values["downtime_limit_s"] == 0.1


def test_a_silent_monitor_is_given_up(folder, monkeypatch) -> None:
    monkeypatch.setattr(asking, "TIMEOUT_S", 0.5)
    thread = serve(folder / "s", lambda command: None)
    with pytest.raises(RecordingError, match=r"no answer within 0\.5 s"):
        ask(folder / "s")
    thread.join(5)


def test_sockets_that_cannot_be_asked(folder) -> None:
    with pytest.raises(RecordingError, match="no such socket"):
        ask(folder / "none")
    (folder / "file").touch()
    with pytest.raises(RecordingError, match="not a socket"):
        ask(folder / "file")
    with pytest.raises(RecordingError, match="at most 107 bytes, this one has"):
        ask(folder / ("x" * 120))
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(str(folder / "deaf"))  # bound, but nobody listens
    with pytest.raises(RecordingError, match="QMP does not answer there"):
        ask(folder / "deaf")
    deaf.close()


@pytest.mark.qemu
def test_a_real_qemu_is_asked(folder, qemu_path) -> None:
    path = folder / "qmp"
    process = subprocess.Popen([qemu_path, "-M", "virt", "-cpu", "cortex-a57", "-m", "256M", "-S", "-nodefaults",
                                "-display", "none", "-qmp", f"unix:{path},server=on,wait=off"])
    try:
        until = time.monotonic() + 20
        while not path.is_socket() and time.monotonic() < until:
            time.sleep(0.05)
        found = known(ask(path))
    finally:
        process.kill()
        process.wait(10)
    assert found.values["ram_bytes"] == 256 * MIB
    assert found.values["bandwidth_bytes_per_s"] == 128 * MIB  # QEMU's own default
    assert found.values["downtime_limit_s"] == 0.3
    assert "query-dirty-rate is unstarted" in found.missing["dirty_rate_bytes_per_s"]
