"""`livemig run`: an option for every input, units, the three forms of output."""

import csv
import gzip
import io
import json
import re
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from livemig.cli.app import app
from livemig.cli.options import option_name, parameters, read_scenario
from livemig.engine import simulate
from livemig.scenario import MIB, Action, Phase, Scenario
from livemig.trace import Trace

QUICK = ("--ram", "16MiB", "--wset", "4MiB", "--other-ram", "0", "--rate", "1MiB/s")

# What to write for each field, and the value that Scenario must have then. Compared with all fields below.
VALUES = {
    "ram_bytes": ("512MiB", 512 * MIB),
    "page_bytes": ("64KiB", 65536),
    "other_ram_bytes": ("64 MiB", 64 * MIB),
    "filled_offset_bytes": ("4MiB", 4 * MIB),
    "filled_bytes": ("100MiB", 100 * MIB),
    "contents": (None, True),
    "pattern": ("uniform", "uniform"),
    "dirty_rate_bytes_per_s": ("30MiB/s", 30.0 * MIB),
    "working_set_bytes": ("32MiB", 32 * MIB),
    "working_set_offset_bytes": ("8MiB", 8 * MIB),
    "writer_start_writes": ("1000", 1000),
    "hot_fraction": ("20%", 0.2),
    "hot_share": ("0.8", 0.8),
    "zipf_exponent": ("1.5", 1.5),
    "phases": ("2s sequential 20MiB/s, 5 s idle", (Phase(2.0, "sequential", 20.0 * MIB), Phase(5.0, "idle", 0.0))),
    "seed": ("7", 7),
    "bandwidth_bytes_per_s": ("1Gbit/s", 1.25e8),
    "link_bytes_per_s": ("100 MB/s", 1e8),
    "switchover_rule": ("fixed", "fixed"),
    "downtime_limit_s": ("250ms", 0.25),
    "fixed_threshold_bytes": ("128KiB", 131072),
    "avail_switchover_bandwidth_bytes_per_s": ("1GiB/s", 1024.0 * MIB),
    "qemu_version": ("7.2", "7.2"),
    "accelerator": ("tcg", "tcg"),
    "pause_before_switchover": (None, True),
    "return_path": (None, True),
    "switchover_ack": (None, True),
    "destination_paused": (None, True),
    "multifd_channels": ("2", 2),
    "auto_converge": (None, True),
    "throttle_initial_pct": ("40", 40),
    "throttle_increment_pct": ("5", 5),
    "throttle_max_pct": ("80", 80),
    "throttle_trigger_pct": ("60", 60),
    "catch_up_s": ("3ms", 0.003),
    "its_devices": ("2", 2),
    "its_events_per_device": ("8", 8),
    "its_command_period_s": ("20ms", 0.02),
    "save_tables_when": ("never", "never"),
    "plan": ("3s cancel", (Action("cancel", 3.0),)),
    "give_up_s": ("2 min", 120.0),
    "costs": ("sync_s=1ms", None),
}


def invoke(*arguments: str):
    return CliRunner().invoke(app, arguments)


def scenario_of(*arguments: str) -> Scenario:
    """The scenario that a run of the command line simulated."""
    done = invoke("run", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    return Scenario.from_dict(json.loads(done.stdout)["meta"]["scenario"])


@pytest.mark.parametrize("name", [item.name for item in fields(Scenario)])
def test_every_field_has_an_option(name) -> None:
    text, value = VALUES[name]
    given_with = [option_name(name)] if text is None else [option_name(name), text]
    if name == "switchover_ack":
        given_with.append("--return-path")
    if name == "page_bytes":
        given_with += ["--other-ram", "128MiB"]
    made = scenario_of(*given_with)
    if name == "costs":
        assert made.costs.sync_s == 0.001
    else:
        assert getattr(made, name) == value
        assert getattr(made, name) != getattr(Scenario(), name)


def test_the_table_of_values_and_the_options_have_the_same_fields() -> None:
    names = [item.name for item in fields(Scenario)]
    assert sorted(VALUES) == sorted(names)
    assert [parameter.name for parameter in parameters()] == names


def test_help_names_every_option_in_eighty_columns() -> None:
    done = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "80"})
    for item in fields(Scenario):
        assert re.search(rf"^  {option_name(item.name)}[, ]", done.stdout, re.MULTILINE), item.name
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "a result, and the exit status is 0" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("option", "alias"),
    [
        ("--working-set", "--wset"), ("--dirty-rate", "--rate"), ("--page", "--page-size"),
        ("--fixed-threshold", "--threshold"), ("--cost", "--costs"), ("--writer-start-writes", "--writer-start"),
    ],
)
def test_aliases(option, alias) -> None:
    text = {"--dirty-rate": "1MiB/s", "--cost": "sync_s=1ms"}.get(option, "8192")
    assert scenario_of(option, text) == scenario_of(alias, text) != Scenario()


def test_nothing_given_is_the_default_scenario() -> None:
    assert scenario_of() == Scenario()


def test_none_takes_a_limit_away() -> None:
    assert scenario_of("--bandwidth", "none").bandwidth_bytes_per_s is None
    assert scenario_of("--give-up", "None", *QUICK).give_up_s is None


def test_a_plan_has_moments_and_values() -> None:
    text = ("pre-switchover+0.5s continue, stop-copy+1ms link-failure; 3s set_downtime_limit 1s, "
            "4 s set_bandwidth 64 MiB/s, 5s set_bandwidth none, pre-switchover cancel")
    assert scenario_of("--plan", text, "--pause-before-switchover").plan == (
        Action("continue", 0.5, "pre-switchover"), Action("link_failure", 0.001, "stop-copy"),
        Action("set_downtime_limit", 3.0, "time", 1.0), Action("set_bandwidth", 4.0, "time", 64.0 * MIB),
        Action("set_bandwidth", 5.0, "time", 0.0), Action("cancel", 0.0, "pre-switchover"))


def test_phases_imply_their_pattern_unless_another_is_named() -> None:
    assert scenario_of("--phases", "1s idle", *QUICK).pattern == "phases"
    assert scenario_of("--phases", "1s idle", "--pattern", "zipf", *QUICK).pattern == "zipf"


def test_several_costs() -> None:
    costs = scenario_of("--cost", "sync_s=1ms, load_s=2ms", "--cost", "memory_bytes_per_s=1 GB/s",
                        "--cost", "device_state_bytes=1KiB", *QUICK).costs
    assert (costs.sync_s, costs.load_s, costs.memory_bytes_per_s, costs.device_state_bytes) == (0.001, 0.002, 1e9, 1024)


# -- output -----------------------------------------------------------------------------------------------------------
def test_json_is_the_trace() -> None:
    printed = Trace.from_json(json.loads(invoke("run", "--json", *QUICK).stdout))
    direct = simulate(read_scenario({"ram_bytes": "16MiB", "working_set_bytes": "4MiB", "other_ram_bytes": "0",
                                     "dirty_rate_bytes_per_s": "1MiB/s"}))
    assert json.loads(json.dumps(direct.to_json())) == printed.to_json()


def test_json_has_no_infinity_or_nan() -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    json.loads(invoke("run", "--json", "--bandwidth", "none", *QUICK).stdout, parse_constant=refuse)


def test_csv_has_a_line_a_pass() -> None:
    rows = list(csv.DictReader(io.StringIO(invoke("run", "--csv").stdout)))
    passes = simulate().passes()
    assert [int(row["number"]) for row in rows] == [one.number for one in passes]
    assert [float(row["end_s"]) for row in rows] == [one.end_s for one in passes]
    assert [int(row["sent_bytes"]) for row in rows] == [one.sent_bytes for one in passes]
    assert [row["final"] for row in rows] == ["False"] * (len(rows) - 1) + ["True"]


@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
def test_output_into_a_file_by_its_name(tmp_path, name) -> None:
    done = invoke("run", *QUICK, "-o", str(tmp_path / name))
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"trace written to {tmp_path / name}" in done.stderr
    assert Trace.load(tmp_path / name).outcome.status == "completed"
    raw = (tmp_path / name).read_bytes()
    assert json.loads(gzip.decompress(raw) if name.endswith("gz") else raw)["schema"] == "livemig-trace/1"


def test_output_form_by_option(tmp_path) -> None:
    invoke("run", *QUICK, "--csv", "-o", str(tmp_path / "passes"))
    assert (tmp_path / "passes").read_text().startswith("number,start_s,end_s")


def test_the_tables_show_each_mark_and_each_pass() -> None:
    done = invoke("run")
    trace = simulate()
    lines = done.stdout.splitlines()
    for mark in trace.marks():
        assert any(line.split()[:3] == [mark.label, f"{mark.t_s:.6f}", "s"] for line in lines)
    passes = lines[lines.index("Passes") + 3:]
    assert [line.split()[0] for line in passes[:5]] == ["1", "2", "3", "4", "final"]
    assert "Status completed: total time 5.01 s, downtime 7.66 ms" in done.stdout


def test_the_tables_are_plain_text_in_eighty_columns() -> None:
    for arguments in ((), ("--save-tables-when", "t0"), ("--rate", "100MiB/s"), ("--contents", *QUICK)):
        done = invoke("run", *arguments)
        assert "\x1b" not in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert all(line == line.rstrip() for line in done.stdout.splitlines())


def test_the_its_report_names_what_was_lost() -> None:
    done = invoke("run", "--save-tables-when", "t0")
    report = simulate(Scenario(save_tables_when="t0")).meta["its"]["report"]
    assert report["lost"]
    assert f"{len(report['lost'])} lost (mapped at the source, not at the destination):" in done.stdout
    device_id, event_id, lpi, icid, target = report["lost"][0]
    assert f"device {device_id:#x} event {event_id} -> LPI {lpi}, collection {icid}, target {target}" in done.stdout
    assert "Every mapping and every pending interrupt arrived." not in done.stdout
    assert "Every mapping and every pending interrupt arrived." in invoke("run").stdout


def test_a_run_that_does_not_converge_is_a_result() -> None:
    done = invoke("run", "--dirty-rate", "100MiB/s")
    assert done.exit_code == 0
    text = " ".join(done.stdout.split())
    assert "Status cancelled" in text
    assert "gave up after 60 s: pending was never below the threshold" in text
    assert "more: --csv" in text
    assert "The guest runs on the source." in text


def test_contents_are_compared() -> None:
    assert "every byte at the destination equals" in invoke("run", "--contents", *QUICK).stdout


def test_a_number_of_the_other_rule_is_pointed_out() -> None:
    assert "--fixed-threshold has no effect" in invoke("run", "--threshold", "1MiB", *QUICK).stderr
    assert "--downtime-limit has no effect" in invoke("run", "--switchover-rule", "fixed", "--downtime-limit", "1s",
                                                     "--threshold", "8MiB", *QUICK).stderr
    assert invoke("run", "--downtime-limit", "1s", *QUICK).stderr == ""


# -- bad input --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bandwidth", "fast"], "--bandwidth: 'fast' is not a rate, such as 32MiB/s"),
        (["--bandwidth", "0"], "bandwidth_bytes_per_s = 0"),
        (["--dirty-rate", "-5MiB/s"], "dirty_rate_bytes_per_s = -5.24288e+06"),
        (["--ram", "64Mb"], "--ram: '64Mb': Mb could be bits or bytes"),
        (["--ram", "none"], "--ram: 'none' is not a size"),
        (["--wset", "1GiB"], "working_set_bytes = 1073741824: larger than"),
        (["--page-size", "5KiB"], "page_bytes = 5120: not a power of two"),
        (["--pattern", "wild"], "pattern = 'wild': expected one of idle"),
        (["--seed", "1.5"], "seed = 1.5: expected a whole number"),
        (["--contents", "--ram", "2GiB"], "real bytes are for guests up to"),
        (["--phases", "sequential 20MiB/s"], "how long?"),
        (["--phases", "2s sequential"], "how fast?"),
        (["--phases", "2s walking 20MiB/s"], "it has none of idle, sequential, uniform, hot_cold, zipf"),
        (["--phases", ","], "phases is empty"),
        (["--plan", "cancel"], "when? it begins with a time"),
        (["--plan", "2s explode"], "it has none of cancel, link_failure"),
        (["--plan", "stop-copy-1ms cancel"], "when? it begins with"),
        (["--plan", "3s set_downtime_limit"], "needs a value, such as '3s set_downtime_limit 1s'"),
        (["--plan", "3s cancel 5s"], "cancel takes no value, found '5s'"),
        (["--plan", "-1s cancel"], "a plan cannot begin before T0"),
        (["--plan", "pre-switchover continue"], "needs pause_before_switchover = True"),
        (["--cost", "sync=1ms"], "'sync=1ms' is not NAME=VALUE with one of the names memory_bytes_per_s"),
        (["--cost", "sync_s"], "is not NAME=VALUE"),
        (["--cost", "sync_s=-1ms"], "sync_s must be at least 0"),
        (["--cost", "memory_bytes_per_s=0"], "memory_bytes_per_s must be above 0"),
        (["--json", "--csv"], "--json and --csv: one of them"),
        (["-o", "trace.txt"], "which form?"),
        (["-o", "/nowhere/x.json"], "/nowhere/x.json: No such file or directory"),
    ],
)
def test_bad_input_is_one_message_and_status_two(arguments, says) -> None:
    done = invoke("run", *arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.startswith("livemig: ")
    assert done.stderr.count("\n") == 1


@settings(max_examples=150)
@given(st.sampled_from([item.name for item in fields(Scenario) if "flag" not in item.metadata]),
       st.text(max_size=30) | st.from_regex(r"-?[0-9]{1,4}(\.[0-9])?(e[0-9]{1,3})? ?([kMG]i?B)?(/s)?", fullmatch=True)
       | st.sampled_from(["nan", "inf", "-1", "1e308", "none", "0", "", "1s idle", "2s cancel", "sync_s=1", "\x00"]))
def test_odd_values_make_a_scenario_or_one_message(name, text) -> None:
    """No simulation here: whatever reads options either makes a valid scenario or raises one of two errors."""
    from livemig.scenario import ScenarioError
    from livemig.units import UnitError

    given_text = [text] if name == "costs" else text
    try:
        made = read_scenario({name: given_text})
    except (UnitError, ScenarioError) as error:
        assert len(str(error)) > 10  # noqa: PT017 - a message there must be
    else:
        assert Scenario.from_dict(made.to_dict()) == made
