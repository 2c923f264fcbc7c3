"""Record a real live migration: two QEMUs on this machine, one recording as in data/recordings.

Theory of operation. `record` turns a scenario's values into a `Request`, starts a pair of QEMUs (`vm.pair`), lets the
guest fill its memory, measures how fast it writes, sends `migrate` and then asks `query-migrate` every 40 ms until it
is over, while the plan (`steps.Steps`) does its part. Times are host time in seconds since `migrate` was sent. What
QEMU said is kept verbatim; its trace points come out of its logs at the end. The result passes `check_recording`, and
`to_trace`, `inputs` and `validate` read it like those that livemig ships.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livemig.lab.guest import DOT_PAGES, PAGE_BYTES
from livemig.lab.observe import EVENT_COLS, POLL_COLS, Reading, available_bytes, event_rows, poll_row, rates, sanity
from livemig.lab.recording import FORMAT, Record, check_recording
from livemig.lab.request import MIB, POLL_S, Request, RequestError
from livemig.lab.tracelog import between, parse_trace
from livemig.lab.worker import run_beside
from livemig.units import format_size, format_time

if TYPE_CHECKING:  # these need a POSIX system; the rest of the room does not
    from livemig.lab.qemu import Qemu
    from livemig.lab.steps import Steps
    from livemig.lab.vm import Pair, Vm

__all__ = ["Progress", "print_progress", "record"]

FINAL = ("completed", "failed", "cancelled")
ACCELERATORS = ("auto", "kvm", "tcg")
SETTLE_S = 0.3  # before the measurement, and from the end to the last questions
AFTER_S = 1.0  # trace points so long after the end are still kept
GRACE_S = 10.0  # a QEMU that does not even cancel is left after this
FILL_BYTES_PER_S = 20 * MIB  # the slowest filling of RAM that is waited for
PER_QEMU_BYTES = 128 * MIB  # what a QEMU needs beside the guest's RAM
PRINT_S = 0.25
SAMPLE_PAGES = 4096  # calc-dirty-rate


_STAGES = {"starting": "starting two QEMUs", "filling": "the guest fills its memory", "measuring":
           "measuring the dirty rate", "migrating": "migrating", "ending": "asking both sides how it ended"}


@dataclass(frozen=True)
class Progress:
    """How far a recording is. `elapsed_s` counts from `migrate`; the process ids are those of the two QEMUs."""

    stage: str = "starting"  # starting, filling, measuring, migrating, ending
    elapsed_s: float = 0.0
    status: str = "none"  # of the migration, as QEMU says it
    total_bytes: int = 0
    remaining_bytes: int | None = None
    transferred_bytes: int = 0
    dirty_sync_count: int = 0
    source_pid: int | None = None
    destination_pid: int | None = None

    def __str__(self) -> str:
        what = _STAGES[self.stage]
        if self.stage != "migrating":
            return what
        left = "" if self.remaining_bytes is None else f", {format_size(self.remaining_bytes)} left"
        return (f"{what}: {format_time(self.elapsed_s)}, {self.status}, {self.dirty_sync_count} syncs, "
                f"{format_size(self.transferred_bytes)} sent{left}")


def print_progress(progress: Progress) -> None:
    """One line on standard output that changes a few times a second; for notebooks."""
    before, now = (int(t_s / PRINT_S) for t_s in (progress.elapsed_s - POLL_S, progress.elapsed_s))
    if progress.stage == "migrating" and before == now:
        return
    print(f"\r{progress!s:<100}", end="\n" if progress.stage == "ending" else "", flush=True)


def record(fields: Mapping[str, Any], name: str = "recording", *, progress: Callable[[Progress], None] | None = None,
           qemu: str | Path | None = None, accelerator: str = "auto", capabilities: Sequence[str] = (),
           parameters: Mapping[str, int] | None = None, scratch: str | Path | None = None,
           measure: bool = True, monitor: Any = None) -> Record:
    """Run one live migration of real QEMU and return its recording (`save.save_recording` writes it).

    `fields`: values of `Scenario`'s fields, see `request`; a plan's faults are made real (`steps`). `name` is
    the recording's id. `progress` is called in the caller's thread, about every 40 ms; what it raises ends the
    recording, as Ctrl-C does. `qemu`: program or path. `accelerator`: auto (KVM if this machine's can run the guest),
    kvm or tcg. `capabilities`, `parameters`: further ones, by QEMU's names. `scratch`: where the private folder with
    the sockets is made. `measure`: measure the dirty rate first (1.4 s). `monitor`: watches the migration and may
    change or cancel it: `interval_s` and `look(sample)`, which returns actions (`do`, `value`); see `steps.Watcher`.

    When this returns or raises, both QEMUs are gone, and so are sockets and folder. Raises `RequestError` (an input),
    `QemuError` (missing, too old, ends early, refuses a command), `PrivateDirError`, `RecordingError`.
    """
    request = Request.of(fields, capabilities, parameters)
    if accelerator not in ACCELERATORS:
        raise RequestError(f"accelerator = {accelerator!r}: expected one of {', '.join(ACCELERATORS)}")
    if os.name != "posix":
        raise RequestError("recording needs unix sockets and POSIX processes, which this system does not have")
    _check_memory(request.ram_bytes)
    from livemig.lab.qemu import QemuError, find_qemu, has_kvm

    found, kvm = find_qemu(qemu), accelerator != "tcg" and has_kvm()
    if accelerator == "kvm" and not kvm:
        raise QemuError("accelerator = 'kvm': /dev/kvm of this machine cannot run an AArch64 guest with a GICv3 for "
                        "this user ('auto' takes TCG then)")

    def work(tell: Callable[[Progress], None]) -> Any:
        return _Recorder(request, name, found, kvm, tell, monitor).run(scratch, measure)

    recording: Record = run_beside(work, progress)
    return check_recording(recording, name)


def _check_memory(ram_bytes: int) -> None:
    available, needed = available_bytes(), 2 * (ram_bytes + PER_QEMU_BYTES)
    if available is not None and needed > available:
        raise RequestError(f"ram_bytes = {ram_bytes}: source and destination need {needed} bytes of this machine's "
                           f"memory, {available} are available")


class _Recorder:
    def __init__(self, request: Request, name: str, qemu: Qemu, kvm: bool, tell: Callable[[Progress], None],
                 monitor: Any = None) -> None:
        self.request, self.name, self.qemu, self.kvm, self.monitor = request, name, qemu, kvm, monitor
        self._tell, self._progress = tell, Progress()

    def tell(self, **changes: Any) -> None:
        self._progress = replace(self._progress, **changes)
        self._tell(self._progress)

    async def run(self, scratch: str | Path | None, measure: bool) -> Record:
        from livemig.lab.steps import KILLED
        from livemig.lab.vm import pair

        self.tell()
        started = pair(self.qemu, self.request.ram_bytes, self.request.words, self.kvm, scratch,
                       self.request.destination_paused)
        async with started as vms:
            self.tell(stage="filling", source_pid=vms.source.process.pid, destination_pid=vms.destination.process.pid)
            recording = await self.describe(vms)
            await self.fill(vms)
            if measure:
                self.tell(stage="measuring")
                recording["dirty_rate_before"] = await self.measure(vms.source)
            await self.set_parameters(vms)
            recording["caps"] = ["events", *self.request.capabilities]
            recording.update(await self.migrate(vms))
        if any(text == KILLED for _, text in recording["notes"]):  # also when somebody else did it
            recording["special"] = recording["special"] or "kill-dst"
        return recording

    async def describe(self, vms: Pair) -> Record:
        """What is known before the guest starts."""
        from livemig.lab.qemu import command_line

        version = await vms.source.execute("query-version")
        lines = {side: " ".join(command_line(self.qemu, vms.folder, side, self.request.ram_bytes, self.kvm,
                                             self.request.destination_paused)[1:]).replace(str(vms.folder), "DIR")
                 for side in ("src", "dst")}
        params = self.request.params(self.name, self.qemu.short_version)
        return {"format": FORMAT, "id": self.name, "special": self.request.special,
                "params": params | {"accel": "kvm" if self.kvm else "tcg"}, "guest": self.request.words.to_dict(),
                "command_line": lines["src"], **({"command_line_dst": lines["dst"]} if "-S" in lines["dst"] else {}),
                "qemu": {"version": "{major}.{minor}.{micro}".format(**version["qemu"]), "package": version["package"]},
                "page_size": PAGE_BYTES}

    async def fill(self, vms: Pair) -> None:
        """Start the guest and wait until its memory is filled."""
        from livemig.lab.qemu import QemuError

        source = vms.source
        await source.execute("cont")
        limit_s = 30 + self.request.ram_bytes / FILL_BYTES_PER_S
        until_s = time.monotonic() + limit_s
        while not source.serial.ready.is_set():
            for vm in vms.vms:
                vm.check()
            if time.monotonic() > until_s:
                raise QemuError(f"the guest has not filled its {self.request.ram_bytes} bytes of RAM in {limit_s:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(source.serial.ready.wait(), 0.1)
            self.tell()
        if not any(row[1] == "runstate_set" for row in self.trace(source, 0.0)):
            raise QemuError(f"{self.qemu.program}: writes no trace of what it does; it was built without the trace "
                            "backend 'log' (Debian's and Ubuntu's have it)")

    async def measure(self, source: Vm) -> dict[str, Any]:
        """The guest's write rate, by its own dots and by QEMU's sampling (which under TCG is the mode that works)."""
        await asyncio.sleep(SETTLE_S)
        dots, start_s = source.serial.dots, time.time()
        await source.execute("calc-dirty-rate", calc_time=1, mode="page-sampling", sample_pages=SAMPLE_PAGES)
        await asyncio.sleep(1.1)
        for _ in range(50):
            answer = await source.execute("query-dirty-rate")
            if answer["status"] == "measured":
                break
            await asyncio.sleep(0.05)
        written = (source.serial.dots - dots) * DOT_PAGES * PAGE_BYTES / MIB
        return {"calc_dirty_rate_mib_s": answer.get("dirty-rate"), "mode": "page-sampling",
                "calc_time_s": answer.get("calc-time"), "writes_mib_s": round(written / (time.time() - start_s), 3)}

    async def set_parameters(self, vms: Pair) -> None:
        """Capabilities and further parameters on both sides, limits on the source."""
        switched_on = [{"capability": name, "state": True} for name in ("events", *self.request.capabilities)]
        for vm in vms.vms:
            await vm.execute("migrate-set-capabilities", capabilities=switched_on)
            if self.request.parameters:
                await vm.execute("migrate-set-parameters", **self.request.parameters)
        await vms.source.execute("migrate-set-parameters", max_bandwidth=self.request.bandwidth_bytes_per_s,
                                 downtime_limit=self.request.downtime_limit_ms)

    async def migrate(self, vms: Pair) -> Record:
        """From `migrate` to the end, and everything that the recording has about it."""
        from livemig.lab.steps import Steps

        uri = await vms.listen(self.request.link_bytes_per_s)
        pids = [vm.process.pid for vm in vms.vms]
        vms.source.serial.longest_gap = (0.0, None)
        before = Reading.take(*pids)
        await vms.source.execute("migrate", uri=uri)
        steps = Steps(vms, self.request.plan, before.wall_s, "pause-before-switchover" in self.request.capabilities)
        try:
            polls, answer = await self.poll(vms, steps, before.wall_s)
        finally:
            await steps.end()
        after = Reading.take(*pids)
        self.tell(stage="ending")
        await asyncio.sleep(SETTLE_S)
        asked = await self.ask_at_the_end(vms, answer)
        events = event_rows([(vm.side, vm.events) for vm in vms.vms], before.wall_s)
        found = asked | {"notes": steps.notes, "events": events, "event_cols": list(EVENT_COLS),
                         "poll_cols": list(POLL_COLS), "polls": polls,
                         "guest_seen": self.guest_seen(vms, before.wall_s)}
        await vms.quit()
        end_s = after.wall_s - before.wall_s + AFTER_S
        trace_src, trace_dst = (between(self.trace(vm, before.wall_s), end_s) for vm in vms.vms)
        found |= {"sanity": sanity(before, after, trace_src, found["final"]), "trace_src": trace_src,
                  "trace_dst": trace_dst}
        for vm in vms.vms:
            found["stderr_" + vm.side] = vm.output().replace(str(vms.folder), "DIR")[:2000]
        return found | rates(polls, trace_src, bool(self.request.link_bytes_per_s))

    async def poll(self, vms: Pair, steps: Steps, t0_s: float) -> tuple[list[list[Any]], dict[str, Any]]:
        """Ask every 40 ms until the migration is over; returns the rows and the last answer."""
        from livemig.lab.steps import Watcher
        from livemig.lab.vm import NoAnswer

        watcher = None if self.monitor is None else Watcher(self.monitor, steps, self.request.ram_bytes)
        rows: list[list[Any]] = []
        answer: dict[str, Any] = {}
        limit_s, next_s, cancelled = self.request.give_up_s, t0_s, False
        try:
            while True:
                t_s = time.time() - t0_s
                answer = await vms.source.execute("query-migrate", timeout_s=max(limit_s + GRACE_S - t_s, 1.0))
                rows.append(poll_row(t_s, answer, vms.source.serial.dots, vms.destination.serial.dots))
                self._tell_about(answer, t_s)
                steps.look_at_destination()
                if watcher is not None:
                    await watcher.see(vms.source, answer, t_s, max(limit_s + GRACE_S - t_s, 1.0))
                if answer.get("status") in FINAL:
                    return rows, answer
                if t_s > limit_s + GRACE_S:
                    break
                if t_s > limit_s and not cancelled:
                    cancelled = True
                    await steps.cancel(answer.get("status") == "pre-switchover")
                next_s = max(next_s + POLL_S, time.time())
                await asyncio.sleep(next_s - time.time())
        except NoAnswer:
            pass  # a source that waits for ever with its lock held
        steps.note("gave up")
        return rows, answer

    def _tell_about(self, answer: Mapping[str, Any], t_s: float) -> None:
        ram = answer.get("ram", {})
        self.tell(stage="migrating", elapsed_s=t_s, status=answer.get("status", "none"),
                  total_bytes=ram.get("total", 0), remaining_bytes=ram.get("remaining"),
                  transferred_bytes=ram.get("transferred", 0), dirty_sync_count=ram.get("dirty-sync-count", 0))

    async def ask_at_the_end(self, vms: Pair, answer: dict[str, Any]) -> Record:
        """The last words of both sides; a side that is gone is named as such."""
        from livemig.lab.qemu import QemuError
        from livemig.lab.vm import LAST_S, NoAnswer

        found: Record = {"final": answer}
        with contextlib.suppress(NoAnswer):
            if not vms.source.silent:
                found["final"] = await vms.source.execute("query-migrate", timeout_s=LAST_S)
        for vm in vms.vms:
            try:
                found["status_" + vm.side] = await vm.execute("query-status", timeout_s=LAST_S)
            except QemuError as error:
                found["status_" + vm.side] = {"gone": type(error).__name__}
        found["dst_query_migrate"] = None
        with contextlib.suppress(QemuError):
            if not vms.destination.silent:
                found["dst_query_migrate"] = await vms.destination.execute("query-migrate", timeout_s=LAST_S)
        return found

    def guest_seen(self, vms: Pair, t0_s: float) -> dict[str, Any]:
        """When the guest was last and first seen to run, on which side."""
        source, destination = vms.source.serial, vms.destination.serial
        gap_s, since_s = source.longest_gap

        def since_t0(at_s: float | None) -> float | None:
            return None if at_s is None else round(at_s - t0_s, 5)

        return {"beat_period_s": self.request.words.beat_us / 1e6, "src_last_beat": since_t0(source.last_beat_s),
                "dst_first_beat": since_t0(destination.first_beat_s), "src_longest_beat_gap_s": round(gap_s, 5),
                "src_longest_beat_gap_at": since_t0(since_s), "src_dots": source.dots, "dst_dots": destination.dots}

    def trace(self, vm: Vm, t0_s: float) -> list[list[Any]]:
        """QEMU's trace points so far."""
        with contextlib.suppress(OSError):
            return parse_trace(vm.log.read_text(errors="replace").splitlines(), t0_s)
        return []
