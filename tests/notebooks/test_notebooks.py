"""Every notebook runs from top to bottom, has no outputs in git, short cells, and the headings of the house."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest

from livemig.publish.notebooks import execute

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")


def names() -> list[str]:
    return [path.stem for path in NOTEBOOKS]


@pytest.fixture(params=NOTEBOOKS, ids=names())
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(request.param, as_version=4)


def test_there_are_notebooks():
    assert "00_start_here" in names()


def test_it_is_stored_without_outputs_and_with_a_kernel(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_cells_are_short_and_import_only_the_package_and_pandas(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 12, cell.source
            for line in cell.source.splitlines():
                assert len(line) <= 95, f"cut off in a window of 1280 px: {line}"
                if line.startswith(("import ", "from ")):
                    assert line.split()[1].split(".")[0] in ("livemig", "pandas"), line


def test_it_predicts_before_it_runs_and_names_its_sources(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "What you will see" in text
    assert text.index("### Predict") < text.index("### Run") < text.index("### Reveal")
    assert "## Exercises" in text
    assert "## Sources" in text


# What the prose of a notebook takes from its cells' output, tables too. Blanks and line ends count as one blank.
SAYS = {
    "00_start_here": (
        "5.21 s in all, 1.5 ms stopped: one part in 3454",
        "64.9 MiB/s x 30 ms = 1.95 MiB, 52 times measured smallest in this run: 1979 KiB; the document says 64 KiB",
        "qemu completed: 4.71 s, downtime 8.21 ms, 5 bitmap syncs, 17061 KiB sent while stopped",
        "fixed completed: 5.51 s, downtime 1.51 ms, 8 bitmap syncs, 56 KiB sent while stopped",
        "vm_stop_force_state system/cpus.c vm_stop system/cpus.c do_vm_stop system/cpus.c runstate_set",
        "[STOP] bdrv_drain_all",
        "Tn+1 5.208274 5.210071 4.471998", "Tn+4 5.209783 5.211115 4.550274",  # b05: a millisecond
        "final sync 4.481817 s, completed 4.550274 s, restored 4.648920 s",
        "stop 0 0 0 0 44 t0 21 0 0 0 45 each_sync 1 0 0 0 45 pre_save 44 0 0 6 44 never 44 0 0 6 44",
        "7 pages written by the two saves, 7 of them among the 17 pages of the final pass",
        "n11: writes 90 MiB/s, sends 64 MiB/s; 4.512 s recorded, 4.512 s simulated; 7 and 7 syncs"),
    "01_the_two_phases": (
        " 76 pages sent while it ran, 64 different ones\n  2 pages sent while it stood, 2 different ones",
        "before their turn: 24-27; sent again: 24-27",
        "after their turn : 28-35; sent again: 28-35",
        "0.6006 s estimate  4 pages left, threshold 5.0 pages\n0.6008 s exact    16 pages left",
        "left over by pass 1: 60-63",
        "17 0.7007 runs send 30-35 0 2 18 0.7010 runs sync 36-37 2 2 19 0.7013 stands sync none 2 2",
        "1 runs 98338 98338 0 2 runs 16384 15616 768", "8 runs 1040 832 208 10 stands 724 724 0",
        "pages that differ in the end: 0"),
    "02_precopy_convergence": (
        "4 7.812 0.122 5.763 5 2.441 0.038 5.801",
        "total, s 5.45 5.21 5.21 downtime, ms 9.54 1.51 1.00 syncs 7.00 7.00 7.00 sent, MiB 348.81 344.94 345.01",
        "3600 by the textbook, 400 by QEMU's rules",
        "writes 90, sends 64 MiB/s recorded completed in 4.51 s, engine 4.51 s, textbook converges: False"),
    "03_threshold_and_downtime": (
        "QEMU 19.538 5.013 7.655 6.0 the document 0.062 5.210 1.508 7.0",
        "the smallest 974 KiB",
        "pending at the stop 15.2 MiB; at 64 MiB/s that would be 238 ms the guest stood for 7.7 ms",
        "c05 64.0 1000.0 35.0 l04 18.4 300.0 289.0", "limit 1000 ms, downtime 1000 ms",
        "simulated, limit 0 3.94 27.36 2.0 64.14 recorded s20, limit 0 3.96 37.00 2.0 64.13"),
    "04_its_tables_byte_by_byte": (
        "9 bytes of 65536 are not zero", "next [62:49] = 3999 (0xf9f)",
        "MAPTI 4000 40 8200 1 -> dropped: EventID 40 has no place in an ITT of 5 EventID bits",
        "not queued: icid = 0x11170 needs more than its 16 bits",
        "device 16386: next = 16383, the next device is 32770",
        "its: 133 of 133 recorded cases equal its-linux-guest: 1 of 1 recorded cases equal",
        "its-qemu-tcg: 9 of 9 recorded cases equal", "0 of 352 bytes differ from what Linux 6.12 wrote",
        "LPI 8192: byte 1024, value 0x01 LPI 8193: byte 1024, value 0x02", "1 x emulated ITE of 96 bits",
        "arm_gicv3_its at byte 683986: 96 bytes", "same GITS_BASER0: True"),
    "05_when_to_save": (
        "stop every byte equal each_sync {'Events of device 56': 4} t0 {'Events of device 56': 78} pre_save",
        "lost: device 56 event 0 -> LPI 8384 on VCPU 1 source: 0100c02000000200",
        "src-running-before 21 0 0 src-stopped-early 22 22 22 src-running-precopy 22 11 11",  # k10: half is missing
        "k08-dirty-ring 3.949345 3.956608 7 7 completed k10-stale-itt 2.92618 2.931315 4 4 completed",
        "k08-dirty-ring 1 reads of the bitmap, 1 of them after the save",
        "k12-linux-7.2-ring 1 reads of the bitmap, 1 of them after the save",
        "k12-linux-7.2-ring 1 saves at the source, guest activity in the 30 ms after them: [0]",
        "src-running-after {'mapped': 23, 'in memory': 13, 'right': 11}",
        "tables first 0 of 2 True", "CREADR forgotten 2 of 2 True 0xe0 2", "CTLR first 2 of 2 False",
        "EINVAL: ITE of device 0x1 event 0", "EEXIST: CTE at", "EFAULT: read of 1 bytes",
        "s dst RAM loaded 4.647941 s dst arm_gicv3 loaded 4.648157 s dst GITS_IIDR set",
        "(65, 8, 12008, 0, 0) what a walk over the saved bytes finds: (65, 2, 12002, 0, 0)"),
    "06_the_handler_chain": (
        "o01: thread mig/src/main, 9 frames, the simulated ones too",
        "o03: thread mig/src/main, 9 frames, the simulated ones too",
        "  stop  mine → ITS → GICv3 → CPUs → net\n  start net → CPUs → GICv3 → ITS → mine\npriority -1:",
        "  stop  ITS → GICv3 → CPUs → net → mine\n  start mine → net → CPUs → GICv3 → ITS",
        "10.0 mine (prepare) → late (prepare) → mine → ITS → GICv3 → CPUs → net → late",
        "0 handlers of mine: the last sync found 4 new pages; pages that differ at the destination: []",
        "1 handlers of mine: the last sync found 5 new pages; pages that differ at the destination: []",
        "3 stops, 3 saves of the tables",
        "o05, cancelled in pre-copy: no handler was called",
        "o07, destination killed in the stop-copy: ['src running 0', 'src running 1']",
        "k04, cancelled, KVM: 0 saves",
        "broken link: failed, the guest runs on: source"),
    # Of 07 what the model says; what real QEMU does on this machine is another time another thing.
    "07_real_qemu": (
        "7.11 s, 14 readings of the dirty log, 292 MiB sent", "after 20 s: device, the guest runs on: None"),
    "08_when_it_does_not_converge": (
        "gave up after 300 s: pending was never below the threshold of 19.5 MiB",
        "auto-converge completed 24.1", "ovirt-minimal completed 27.6", "ovirt-suspend completed 27.6",
        "xen completed 13.86", "0.051855 7 0 1", "0.008422 19 4.57", "0.003669 19 5.9",
        "nova cancelled None None 153 0 2", "kubevirt-ramp cancelled None None 55 0 6"),
}


def said(notebook) -> str:
    """All that the cells print and show as text, with single blanks."""
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return one_line(" ".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs))


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", names())
def test_it_runs_and_says_what_its_prose_says(name, run_of):
    run = run_of(name)
    assert stderr(run) == []
    found = said(run)
    assert not [words for words in SAYS[name] if one_line(words) not in found]


@pytest.mark.timeout(300)
def test_07_runs_without_qemu_too_and_says_so():
    run = execute(NOTEBOOKS[0].parent / "07_real_qemu.ipynb", env={**os.environ, "PATH": ""})
    assert stderr(run) == []
    found = said(run)
    assert found.count("Nothing is recorded: qemu-system-aarch64 is missing") == 3
    assert "QEMU 10.0.13: completed in 5.21 s" in found
    assert "failed; the guest runs on: source" in found


def stderr(run) -> list[str]:
    return [o.text for cell in run.cells for o in cell.get("outputs", []) if o.get("name") == "stderr"]
