"""The figures: what they draw is what the Trace has, and every label can be read."""

import ast
import inspect
import itertools
import re
from functools import cache
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

import livemig.draw.figures
from livemig.datadir import data_dir
from livemig.draw.describe import describe
from livemig.draw.figures import pending, sequence, timeline
from livemig.draw.fit import SpreadLabels, spread
from livemig.draw.palette import DARK, LIGHT
from livemig.draw.story import story
from livemig.draw.units import count, duration, size
from livemig.engine.simulate import simulate
from livemig.lab.convert import to_trace
from livemig.lab.recording import load_recording
from livemig.scenario import Scenario
from livemig.trace import Event, Trace

MIB = 1 << 20
RECORDED = ("b05", "b16", "d03", "d07", "l06", "v04", "s16-zero-rate0", "s20-downtime-limit-0", "s22-cancel-in-pause",
            "k01-converge", "k02-converge-dst-paused", "k05-kill-dst", "k06-stop-cont", "s05-pause")
MODELS = {
    "default": {}, "never": {"dirty_rate_bytes_per_s": 90.0 * MIB, "give_up_s": 20.0},
    "fixed": {"switchover_rule": "fixed"}, "idle": {"pattern": "idle"}, "tcg": {"accelerator": "tcg"},
    "t0": {"save_tables_when": "t0"}, "each_sync": {"save_tables_when": "each_sync"},
    "pre_save": {"save_tables_when": "pre_save"}, "never_saved": {"save_tables_when": "never"},
    "large": {"ram_bytes": 8 << 30, "bandwidth_bytes_per_s": 1024.0 * MIB},
}
EVERY = [*RECORDED, *MODELS]
LOOKED_AT = ["b05", "b16", "d03", "l06", "s16-zero-rate0", "k01-converge", "k05-kill-dst", "k06-stop-cont", "default",
             "fixed", "idle", "pre_save"]


@cache
def run(name):
    if name in MODELS:
        return simulate(Scenario(**MODELS[name]))
    return to_trace(load_recording(data_dir() / "recordings" / f"{name}.json"))


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    monkeypatch.setitem(mpl.rcParams, "figure.dpi", 72)
    yield
    plt.close("all")


def tick_labels_off_axis(figure):
    """Texts of ticks outside the view: matplotlib keeps them but does not draw them."""
    hidden = set()
    for axes in figure.findobj(mpl.axes.Axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not axes.axison or not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    hidden |= {id(tick.label1), id(tick.label2)}
    return hidden


def assert_readable(figure):
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    hidden = tick_labels_off_axis(figure)
    found = [(t.get_text(), t.get_window_extent(renderer)) for t in figure.findobj(mpl.text.Text)
             if t.get_text().strip() and t.get_visible() and id(t) not in hidden
             and not (isinstance(t.axes, mpl.axes.Axes) and not t.axes.axison and t in (
                 t.axes.xaxis.label, t.axes.yaxis.label))]
    for labels in figure.findobj(SpreadLabels):
        found += [(labels.labels[i].get_text(), labels.labels[i].get_window_extent(renderer)) for i in labels.shown]
    width, height = figure.canvas.get_width_height()
    for words, box in found:
        assert -1 <= box.x0 <= box.x1 <= width + 1, f"{words!r} is cut at a side: {box}"
        assert -1 <= box.y0 <= box.y1 <= height + 1, f"{words!r} is cut above or below: {box}"
    for (a, one), (b, two) in itertools.combinations(found, 2):
        across = min(one.x1, two.x1) - max(one.x0, two.x0)
        down = min(one.y1, two.y1) - max(one.y0, two.y0)
        assert across < 1.5 or down < 1.5, f"{a!r} and {b!r} overlap by {across:.0f} x {down:.0f} px"
    return [words for words, _ in found]


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("figure", [timeline, pending, sequence])
def test_labels_neither_overlap_nor_are_cut(name, figure):
    result = figure(run(name))
    drawn = result.ax.figure if figure is not sequence else result.figure
    words = assert_readable(drawn)
    if figure is timeline and run(name).mark("T0") is not None:
        assert "T0" in words


@pytest.mark.parametrize("inches", [(8, 2.6), (14, 3.5)])
@pytest.mark.parametrize("name", ["b16", "k01-converge", "d07"])
def test_a_timeline_in_other_sizes(name, inches):
    figure, ax = plt.subplots(figsize=inches)
    figure.subplots_adjust(left=0.1, right=0.98, top=0.76, bottom=0.22)
    panels = timeline(run(name), ax=ax, recorded=run("b05"))
    assert panels.ax is ax
    assert plt.get_fignums() == [figure.number]
    assert_readable(figure)


def test_a_small_sequence_diagram_has_small_type():
    figure, ax = plt.subplots(figsize=(6, 5.6))
    figure.subplots_adjust(left=0.02, right=0.98, top=0.97, bottom=0.02)
    assert sequence(run("default"), ax=ax) is ax
    assert_readable(figure)


@pytest.mark.parametrize("name", ["b05", "l06", "v04", "default", "never", "d03"])
def test_the_timeline_has_the_passes_and_the_stop(name):
    trace = run(name)
    panels = timeline(trace)
    bars = [p for p in panels.whole.patches
            if isinstance(p, Rectangle) and to_hex(p.get_facecolor()) == LIGHT.send_tint]
    assert [(b.get_x(), b.get_width()) for b in bars] == [
        (pytest.approx(p.start_s), pytest.approx(p.end_s - p.start_s)) for p in trace.passes()]
    hatched = [p for p in panels.whole.patches if isinstance(p, Rectangle) and p.get_hatch()]
    stopped = [s for s in trace.spans() if s.row == "vm" and s.what == "stopped"]
    assert len(hatched) == len(stopped)
    assert (panels.lens is None) == (trace.mark("Tn+2") is None)
    if panels.lens is not None:
        low, high = panels.lens.get_xlim()
        assert low < 0 < (trace.mark("Tn+4") - trace.mark("Tn+2")) * 1e3 < high
        (bar,) = [p for p in panels.lens.patches if isinstance(p, Rectangle) and p.get_hatch()]
        assert bar.get_x() == pytest.approx(0, abs=1e-9)
        assert bar.get_width() == pytest.approx((stopped[0].end_s - stopped[0].start_s) * 1e3)


def test_a_run_that_never_stopped_says_so():
    assert "never stopped" in assert_readable(timeline(run("d03")).ax.figure)
    assert "never stopped" not in assert_readable(timeline(run("b05")).ax.figure)


@pytest.mark.parametrize("name", ["b05", "v04", "default"])
def test_the_pending_curve_goes_through_every_count(name):
    trace = run(name)
    panels = pending(trace)
    curve = next(line for line in panels.whole.lines if line.get_color() == LIGHT.dirty and line.get_linestyle() == "-")
    points = set(zip(np.round(curve.get_xdata(), 9), curve.get_ydata(), strict=True))
    for event in trace.select("pending"):
        assert (round(event.t_s, 9), float(event.data["size_bytes"])) in points
    diamonds = next(line for line in panels.whole.lines if line.get_marker() == "D")
    t_s, exact = trace.series("exact")
    np.testing.assert_allclose(diamonds.get_xdata(), t_s)
    np.testing.assert_allclose(diamonds.get_ydata(), exact)
    assert panels.whole.get_ylim()[0] < 0  # 0 has a place
    assert curve.get_ydata()[-1] == 0 or trace.outcome.status != "completed"


def test_the_thresholds_and_the_documents():
    words = assert_readable(pending(run("b05")).ax.figure)
    assert "threshold 1.95 MiB = bandwidth × 30 ms" in words  # RUNS: 1.95 MiB at the switchover
    assert "the document's 64 KiB" in words
    fixed = assert_readable(pending(run("fixed")).ax.figure)
    assert "threshold 64 KiB, fixed" in fixed
    assert "the document's 64 KiB" not in fixed


def test_the_other_run_is_dashed_on_top_and_named():
    panels = pending(run("default"), recorded=run("b05"))
    lines = panels.whole.lines
    (other,) = [line for line in lines if line.get_linestyle() == "--" and len(line.get_xdata()) > 100]
    (mine,) = [line for line in lines if line.get_color() == LIGHT.dirty and line.get_linestyle() == "-"]
    assert other.get_xdata()[-1] == pytest.approx(run("b05").end_s)
    assert lines[:].index(other) > lines[:].index(mine)  # drawn later, and narrower: it is seen where both agree
    assert other.get_linewidth() < mine.get_linewidth() / 2
    assert "- - -  recorded b05" in assert_readable(panels.ax.figure)
    strip = timeline(run("default"), recorded=run("b05"))
    grey = [p for p in strip.whole.patches if to_hex(p.get_facecolor()) in (LIGHT.edge, LIGHT.rule)
            and p.get_height() == pytest.approx(0.14)]
    assert len(grey) == len(run("b05").passes())


def test_the_band_tells_qemus_downtime_where_it_is_another():
    """QEMU's ends when the source is done; the guest runs later, at the destination."""
    for name, counted in (("default", "7.66 ms"), ("k02-converge-dst-paused", "78 ms")):
        trace = run(name)
        again_s = next(e.t_s for e in trace.events if e.lane == "dst" and e.kind == "state"
                       and e.data["new"] in ("running", "paused"))  # k02's destination was started with -S
        band = duration(again_s - trace.mark("Tn+2"))
        assert f"stopped {band}\n(QEMU counts {counted})" in assert_readable(timeline(trace).ax.figure)
    assert not [text for text in assert_readable(timeline(run("d03")).ax.figure) if "QEMU counts" in text]


@pytest.mark.parametrize("name", ["default", "b05", "k02-converge-dst-paused", "v04"])
def test_the_sequence_counts_all_syncs_but_the_final_one(name):
    """QEMU's own count has the final one too."""
    (told,) = [row.text for row in story(run(name)) if row.text.startswith("bitmap sync")]
    assert told == f"bitmap sync: {run(name).outcome.dirty_sync_count - 1} times"


CHAIN = ["migration_completion()", "migration_completion_precopy()", "migration_stop_vm()", "vm_stop_force_state()",
         "vm_stop()", "do_vm_stop()", "vm_state_notify()", "vm_change_state_handler()"]


def test_the_sequence_of_a_simulated_run_is_the_documents():
    rows = [r.text for r in story(run("default"))]
    assert [t for t in rows if t in CHAIN] == CHAIN
    for earlier, later in itertools.pairwise(["migrate", "migration_iteration_run()", "[ pending ≥ threshold ]",
                                              "VM runs, dirties pages", "[ pending < threshold ]", CHAIN[0],
                                              "VM stopped", "vm_change_state_handler()", "SAVE_TABLES",
                                              "SAVE_PENDING_TABLES", "event STOP", "migration completed"]):
        assert rows.index(earlier) < rows.index(later), (earlier, later)
    marks = [r.mark for r in story(run("default")) if r.mark]
    assert marks == ["T0", "T1…T4", "Tn+1", "Tn+2", "Tn+3", "Tn+4"]
    drawn = assert_readable(sequence(run("default")).figure)
    assert {"User", "Migration thread", "VM", "ITS", "loop", "alt", *CHAIN, *marks} <= set(drawn)


@pytest.mark.parametrize("name", EVERY)
def test_no_row_is_made_up(name):
    """Each function in the diagram was called in the Trace, and each ITS call was seen."""
    trace = run(name)
    calls = {e.name for e in trace.select("call")}
    its = {e.name for e in trace.select("its") if e.lane == "its"}
    for row in story(trace):
        for function in re.findall(r"(\w+)\(\)", row.text):
            assert function in calls
        for word in re.findall(r"SAVE\w*TABLES", row.text):
            assert word in its
    marks = {m.label for m in trace.marks()}
    assert {r.mark for r in story(trace) if r.mark.startswith("Tn")} <= marks
    words = {r.text for r in story(trace)}
    assert ("migrate" in words) == ("T0" in marks)
    assert ("VM stopped" in words) == (trace.mark("Tn+2") is not None)
    opened = sum(r.kind in ("loop", "alt") for r in story(trace))
    assert opened == sum(r.kind == "end" for r in story(trace))


@pytest.mark.parametrize(("name", "order"), [
    ("t0", ["migrate", "SAVE_TABLES", "bitmap sync", "VM stopped"]),
    ("each_sync", ["bitmap sync", "SAVE_TABLES, too early", "send ", "VM stopped"]),
    ("default", ["bitmap sync", "VM stopped", "SAVE_TABLES", "final sync", "send the last"]),
    ("pre_save", ["VM stopped", "send the last", "SAVE_TABLES, too late", "send device state"])])
def test_the_tables_stand_where_they_were_saved(name, order):
    rows = [r.text for r in story(run(name))]
    places = [next(i for i, text in enumerate(rows) if text.startswith(start)) for start in order]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["default", "tcg", "b05", "k02-converge-dst-paused", "s05-pause"])
def test_the_event_of_the_stop_comes_from_who_sends_it(name):
    """From the VM's lifeline and before its return where `do_vm_stop` still runs; else the thread's, as recorded."""
    events = [(e.kind, e.name) for e in run(name).events if e.lane == "migration"]
    sent = events.index(("event", "STOP"))
    inside = ("return", "do_vm_stop") in events[sent:]
    assert inside == (name in ("default", "tcg"))
    rows = story(run(name))
    (row,) = [r for r in rows if r.text == "event STOP"]
    back = next(i for i, r in enumerate(rows) if (r.kind, r.source) == ("return", "vm"))
    assert (row.source, rows.index(row) < back) == (("vm", True) if inside else ("migration", False))


def test_a_time_point_without_room_for_its_name_keeps_a_tick():
    trace = run("default")
    panels = timeline(trace)
    assert_readable(panels.ax.figure)
    (labels,) = panels.whole.findobj(SpreadLabels)
    to_seconds = panels.whole.transData.inverted()
    at = [line.get_xdata()[0] for i, line in enumerate(labels.leaders) if i in (*labels.shown, *labels.nameless)]
    assert len(labels.nameless) > 0
    assert [float(to_seconds.transform((x, 0))[0]) for x in at] == pytest.approx(
        sorted(m.t_s for m in trace.marks()), abs=1e-6)


def test_the_threads_colours_have_a_key():
    for name, words in (("default", ["sends", "stops the VM, handlers", "device state"]), ("d03", ["sends"])):
        legend = timeline(run(name)).whole.get_legend()
        told = {text.get_text(): to_hex(patch.get_facecolor())
                for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)}
        assert [word for word in told if word != "Thread:"] == words
        assert told["sends"] == LIGHT.send


def test_cancel_and_failure():
    cancelled = [r.text for r in story(run("d03"))]
    assert cancelled[-2:] == ["migrate_cancel", "migration cancelled"]
    assert "event STOP" not in cancelled
    failed = story(run("k05-kill-dst"))
    assert failed[-1].resumes
    assert [r.text for r in failed][-3:] == [
        "Unable to write to socket: Broken pipe", "migration failed", "the VM runs on here"]


def test_a_run_without_a_migration_shows_its_stops():
    rows = story(run("k06-stop-cont"))
    one = ["stop", "vm_state_notify()", "SAVE_TABLES", "SAVE_PENDING_TABLES", "", "cont", "vm_state_notify()"]
    assert [r.text for r in rows][:7] == one
    assert sum(r.stops for r in rows) == 3
    assert "never stopped" not in assert_readable(timeline(run("k06-stop-cont")).ax.figure)


def test_a_pause_before_the_switchover_is_told():
    rows = [r.text for r in story(run("s05-pause"))]
    assert rows.index("event STOP") < rows.index("state: pre-switchover, waits for the user")
    assert rows.index("migrate-continue") < rows.index("send the last 3.33 MiB")


def test_both_themes_and_a_tight_box_as_notebooks_use_it(tmp_path):
    for palette in (LIGHT, DARK):
        for figure in (timeline, pending, sequence):
            result = figure(run("k01-converge"), palette=palette)
            drawn = result.figure if figure is sequence else result.ax.figure
            assert to_hex(drawn.get_facecolor()) == palette.paper
            drawn.savefig(tmp_path / "x.png", bbox_inches="tight", dpi=50)
            assert (tmp_path / "x.png").stat().st_size > 3000


def test_an_empty_trace_and_one_without_syncs_are_drawn():
    for trace in (Trace({}, ()), Trace({"outcome": {"status": "failed"}}, (
            Event(0.0, "mark", "user", "T0"), Event(0.2, "fault", "migration", "refused", 0, {"text": "refused"})))):
        for figure in (timeline, pending, sequence):
            result = figure(trace)
            assert_readable(result.figure if figure is sequence else result.ax.figure)
        assert describe(trace)


def test_the_text_alternative():
    text = describe(run("k01-converge"))
    for words in ("recorded k01-converge (QEMU 10.0.13): completed after 4.36 s, downtime 123 ms",
                  "3 passes while the VM ran", "pending 240 KiB, below the threshold", "It runs on at the destination",
                  "written to guest RAM at 4.2752 s (4 pages dirty)", "The destination restored them"):
        assert words in text
    assert "The VM never stopped." in describe(run("d03"))
    assert "no migration, watched for" in describe(run("k06-stop-cont"))
    assert "The VM was stopped 3 times." in describe(run("k06-stop-cont"))


def polled(missing_from_s, missing_to_s):
    """A Trace as a log of polls gives one: 20 answers in 2 s, and those in between missing."""
    seen = [t / 10 for t in range(1, 21) if not missing_from_s < t / 10 < missing_to_s]
    rows = [Event(0.0, "mark", "user", "T0", 0, {}),
            Event(0.0, "sync", "migration", "migration_bitmap_sync", 0, {"pass": 1, "remaining_bytes": 100 * MIB})]
    for before, t in itertools.pairwise(seen):
        if t - before > 0.15:
            rows.append(Event(before, "gap", "migration", "gap", 0, {"until_s": t}))
        else:
            rows.append(Event(t, "send", "migration", "ram", 0, {"start_s": before, "bytes": MIB, "pages": 256}))
        rows.append(Event(t, "pending", "migration", "estimate", 0, {"size_bytes": round(100 * MIB - 10 * t * MIB)}))
    meta = {"source": "recorded", "id": "log", "outcome": {"status": "active"}}
    return Trace(meta, sorted(rows, key=lambda row: row.t_s))


def test_no_line_crosses_a_gap():
    drawn = pending(polled(0.75, 1.45))
    curves = [line for line in drawn.whole.lines if to_hex(line.get_color()) == LIGHT.dirty and line.get_ls() == "-"]
    (curve,) = curves
    x, y = curve.get_data()
    ends = np.flatnonzero(np.isnan(y))
    assert len(ends) == 1
    assert x[ends[0] - 1] == pytest.approx(0.7)
    assert x[ends[0] + 1] == pytest.approx(1.5)
    for panel in (drawn, timeline(polled(0.75, 1.45))):
        bands = [p for p in panel.whole.patches if p.get_hatch() == LIGHT.gap_hatch]
        assert [(round(b.get_x(), 3), round(b.get_x() + b.get_width(), 3)) for b in bands] == [(0.7, 1.5)]
        assert "not observed" in assert_readable(panel.ax.figure)


def test_a_silent_monitor_breaks_no_curve_that_trace_points_know():
    assert [e for e in run("s05-pause").select("gap") if e.lane == "main"]
    assert run("s05-pause").gaps() == ()
    drawn = pending(run("s05-pause"))
    assert not np.isnan(np.concatenate([line.get_ydata() for line in drawn.whole.lines])).any()


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(1, 80)), max_size=12))
def test_spread_never_overlaps_and_keeps_the_order(items):
    wanted = sorted(w for w, _ in items)
    widths = [w for _, w in items]
    places = spread(wanted, widths, 0, 1000)
    edges = [(x - w / 2, x + w / 2) for x, w in zip(places, widths, strict=True)]
    assert all(a[1] <= b[0] + 1e-6 for a, b in itertools.pairwise(edges))
    if sum(widths) <= 1000 and edges:
        assert edges[0][0] >= -1e-6
        assert edges[-1][1] <= 1000 + 1e-6


def test_numbers_in_words():
    assert [size(n) for n in (0, 512, 65536, 1.95 * MIB, 384 * MIB, 2 << 30)] == [
        "0", "512 B", "64 KiB", "1.95 MiB", "384 MiB", "2 GiB"]
    assert [duration(t) for t in (5.211, 0.289, 0.0077, 12e-5, 100.0)] == [
        "5.21 s", "289 ms", "7.7 ms", "120 µs", "100 s"]
    assert [count(1, "pass"), count(2, "pass"), count(1, "page"), count(0, "page")] == [
        "1 pass", "2 passes", "1 page", "0 pages"]


def test_figures_import_only_what_the_design_allows():
    folder = Path(inspect.getfile(livemig.draw.figures)).parent
    for name in ("figures", "lens", "fit", "palette", "sequence", "story", "describe", "units"):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livemig"):
                assert node.module in ("livemig.trace", "livemig.its.layout") or node.module.startswith("livemig.draw.")
