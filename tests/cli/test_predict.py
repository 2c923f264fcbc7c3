"""`livemig predict`: one screen, exit statuses, where the numbers come from, bad input."""

import json

import pytest

from tests.cli.test_commands import bad, invoke

MIGRATE = {"status": "active", "total-time": 12_000, "ram": {
    "total": 402_792_448, "transferred": 400_000_000, "remaining": 50_000_000, "duplicate": 33_308, "normal": 90_000,
    "dirty-pages-rate": 5120, "mbps": 268.4, "dirty-sync-count": 4, "page-size": 4096}}
FAST = ("--samples", "3", "--ram", "64MiB")
HOPELESS = (*FAST, "--rate", "160MiB/s", "--wset", "50MiB", "--bandwidth", "32MiB/s", "--give-up", "15s")


def test_a_migration_that_converges() -> None:
    done = invoke("predict")
    assert done.exit_code == 0
    for text in ("256 MiB of RAM (default)", "It converges: in all 27 runs.", "total time", "downtime", "sent",
                 "sequential", "hot_cold", "254 MiB", "27 runs, positions spread evenly", "--pattern", "--wset",
                 "2 % more on both sides"):
        assert text in done.stdout
    assert "To make it converge" not in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) <= 45
    assert all(len(line) <= 80 for line in lines)


def test_a_migration_that_does_not_is_helped() -> None:
    done = invoke("predict", *HOPELESS)
    assert done.exit_code == 1
    for text in ("It may not converge: it did in 1 of 3 runs within 15 s (--give-up)", "threshold is",
                 "max-bandwidth", "downtime-limit", "throttle", "3 of 3", "the writer's rate"):
        assert text in done.stdout
    never = invoke("predict", *HOPELESS, "--pattern", "uniform", "--no-suggest")
    assert (never.exit_code, "It does not converge: in none of 3 runs within 15 s" in never.stdout) == (1, True)
    assert "To make it" not in invoke("predict", *HOPELESS, "--no-suggest").stdout


def test_what_is_given_is_not_varied() -> None:
    shown = json.loads(invoke("predict", "--pattern", "uniform", "--wset", "64MiB", "--json").stdout)
    assert {one["case"]["pattern"] for one in shown["samples"]} == {"uniform"}
    assert {one["case"]["working_set_bytes"] for one in shown["samples"]} == {64 << 20}
    assert len(shown["samples"]) == 24
    assert shown["schema"] == "livemig-prediction/1"
    assert shown["given"] == ["pattern", "working_set_bytes"]
    fixed = json.loads(invoke("predict", "--pattern", "sequential", "--wset", "64MiB", "--writer-start", "0",
                              "--json").stdout)
    assert len(fixed["samples"]) == 1
    assert fixed["total_time_s"]["low"] < fixed["samples"][0]["total_time_s"] < fixed["total_time_s"]["high"]
    idle = invoke("predict", "--rate", "0")
    assert (idle.exit_code, "It converges." in idle.stdout) == (0, True)
    assert invoke("predict", "--phases", "1s sequential 20MiB/s, 5s idle").exit_code == 0


def test_numbers_of_a_saved_reply(tmp_path) -> None:
    file = tmp_path / "reply.json"
    file.write_text(json.dumps({"return": MIGRATE}), encoding="utf-8")
    shown = json.loads(invoke("predict", "--from", file, "--wset", "64MiB", "--samples", "3", "--json").stdout)
    assert shown["scenario"]["dirty_rate_bytes_per_s"] == 5120 * 4096
    assert shown["scenario"]["ram_bytes"] == 402_792_448
    assert any("dirty-pages-rate" in note for note in shown["notes"])
    own = json.loads(invoke("predict", "--from", file, "--rate", "1MiB/s", "--samples", "3", "--json").stdout)
    assert own["scenario"]["dirty_rate_bytes_per_s"] == 1 << 20
    text = invoke("predict", "--from", file, "--samples", "3")
    assert "A migration is under way for 12.0 s" in text.stdout
    assert "The dirty rate is query-migrate's dirty-pages-rate, 20 MiB/s" in text.stdout


def test_replies_that_do_not_say_enough(tmp_path) -> None:
    file = tmp_path / "reply.json"
    file.write_text('{"return": {"base-memory": 268435456, "plugged-memory": 0}}', encoding="utf-8")
    bad(invoke("predict", "--from", file), "does not say how fast the guest writes (--rate)")
    assert invoke("predict", "--from", file, "--rate", "5MiB/s", "--samples", "3").exit_code == 0
    file.write_text('{"return": {"status": "measured", "dirty-rate": 4, "calc-time": 1}}', encoding="utf-8")
    bad(invoke("predict", "--from", file), "does not say how much RAM the guest has (--ram)")
    assert invoke("predict", "--from", file, "--ram", "1GiB", "--samples", "3").exit_code == 0
    file.write_text('{"return": {"dirty-rate": 4', encoding="utf-8")
    bad(invoke("predict", "--from", file), "not a complete JSON object")


@pytest.mark.parametrize(("arguments", "says"), [
    (("--rate", "fast"), "--dirty-rate: 'fast' is not a rate"),
    (("--ram", "12"), "ram_bytes"),
    (("--ram", "64MiB", "--wset", "64MiB"), "working_set_bytes = 67108864: larger than"),
    (("--from", "no-such-file"), "no such file"),
    (("--qmp", "no-such-socket"), "no such socket"),
    (("--from", "a", "--qmp", "b"), "--from and --qmp: one of them"),
    (("--pattern", "zigzag"), "expected one of idle, sequential"),
])
def test_bad_input(arguments, says) -> None:
    done = invoke("predict", *arguments)
    bad(done, says)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_an_interrupted_search_shows_what_it_has(monkeypatch) -> None:
    from livemig.engine import predict as engine

    found = engine.suggestions

    def interrupted(answer, progress):
        yield next(found(answer, progress))
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "suggestions", interrupted)
    done = invoke("predict", *HOPELESS)
    assert done.exit_code == 130
    assert "It may not converge" in done.stdout
    assert "max-bandwidth   32 MiB/s" in done.stdout
    assert "downtime-limit  " not in done.stdout
    assert "interrupted" in done.stderr
