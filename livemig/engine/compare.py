"""One guest, several policies: what each makes of it, over a distribution of guests if one is asked for.

Theory of operation. A guest is a case of the scenario (`sampling.cases`): the scenario itself, or samples over where
its writer stands, which pages it prefers and how many. Each case is run once with each policy, pages taken together
where there are many; the whole guest is run, because policies look at the clock. A policy that fails has its error in
its row, and the others go on; who interrupts keeps what was run until then.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from livemig.engine.coarse import coarsened, simulate_coarse
from livemig.engine.monitor import Policy, PolicyError, policy_name
from livemig.engine.policies import POLICIES
from livemig.engine.sampling import Case, cases, no_collector, time_limit_s, with_case
from livemig.scenario import Scenario, ScenarioError
from livemig.trace import Trace

__all__ = ["COLUMNS", "Comparison", "Row", "Summary", "compare", "compared", "guests", "named", "row_of"]

FINEST_PAGES = 1 << 18
COLUMNS = ("total_time_s", "downtime_s", "passes", "transferred_bytes", "throttled_s")
Progress = Callable[[str, int, int], None]
Span = tuple[float, float, float]


@dataclass(frozen=True)
class Row:
    """One run. `guest` counts the cases from 0; `error` is not empty where the policy itself failed.

    `throttled_s`: so long auto-converge made the vCPUs sleep. Times and downtime are None where it did not complete.
    """

    policy: str
    guest: int
    pattern: str
    working_set_bytes: int
    status: str
    reason: str
    error: str
    total_time_s: float | None
    downtime_s: float | None
    passes: int | None
    transferred_bytes: int | None
    throttled_s: float
    commands: int


@dataclass(frozen=True)
class Summary:
    """A policy's rows: smallest, middle and largest of those that completed (None: none did); how the others ended."""

    policy: str
    runs: int
    completed: int
    failed: int
    spans: Mapping[str, Span | None]
    reason: str


@dataclass(frozen=True)
class Comparison:
    """All rows; `interrupted`: some are missing."""

    scenario: Scenario
    rows: tuple[Row, ...]
    guests: int
    interrupted: bool = False

    @property
    def policies(self) -> tuple[str, ...]:
        """Their names, in the order in which they were given."""
        return tuple(dict.fromkeys(row.policy for row in self.rows))

    def summaries(self) -> tuple[Summary, ...]:
        """One a policy."""
        return tuple(_summary(name, [row for row in self.rows if row.policy == name]) for name in self.policies)

    def to_json(self) -> dict[str, Any]:
        """Plain values (livemig-comparison/1)."""
        return {"schema": "livemig-comparison/1", "scenario": self.scenario.to_dict(), "guests": self.guests,
                "interrupted": self.interrupted, "rows": [asdict(row) for row in self.rows],
                "summaries": [asdict(one) for one in self.summaries()]}


def named(policies: Mapping[str, Policy | str] | Sequence[Policy | str] | None) -> dict[str, Policy]:
    """Policies by the name that a table shows; a text is one of `POLICIES`. Raises `PolicyError`."""
    if policies is None:
        return dict(POLICIES)
    if isinstance(policies, Mapping):
        return {name: _known(policy) for name, policy in policies.items()}
    found: dict[str, Policy] = {}
    for policy in map(_known, policies):
        name = policy_name(policy)
        while name in found:
            name += "'"
        found[name] = policy
    return found


def _known(policy: Policy | str) -> Policy:
    if isinstance(policy, str) and policy not in POLICIES:
        raise PolicyError(f"no policy {policy!r}; known are {', '.join(POLICIES)}")
    return POLICIES[policy] if isinstance(policy, str) else policy


def guests(scenario: Scenario, samples: int = 1, patterns: Sequence[str] = (),
           working_sets: Sequence[int] = ()) -> list[tuple[Case, Scenario]]:
    """The scenario, or so many cases of it, each with the scenario that it makes and a time limit."""
    s = replace(scenario, give_up_s=time_limit_s(scenario))
    if samples == 1 and not patterns and not working_sets:
        return [(Case(s.pattern, s.working_set_bytes, -1.0), replace(s, contents=False, its_devices=0))]
    tried = cases(s, patterns or (s.pattern,), working_sets or (s.working_set_bytes,), samples)
    return [(case, _placed(with_case(s, case), case)) for case in tried]


def _placed(s: Scenario, case: Case) -> Scenario:
    """The writer where the case has it, in the pages that the run will have; another seed for another position."""
    if case.position < 0:
        return s
    coarse = coarsened(s, _most_pages(s))
    return replace(s, writer_start_writes=float(int(case.position * (coarse.working_set_bytes // coarse.page_bytes))),
                   seed=(s.seed + int(case.position * 1e6)) % (1 << 32))


def compared(scenario: Scenario, policies: Mapping[str, Policy], tried: Sequence[tuple[Case, Scenario]],
             progress: Progress | None = None) -> Iterator[Row]:
    """Run each guest with each policy, one after the other."""
    of = len(tried) * len(policies)
    for number, (case, guest) in enumerate(tried):
        for place, (name, policy) in enumerate(policies.items()):
            if progress is not None:
                progress(name, number * len(policies) + place, of)
            yield _run(name, number, case, guest, policy)


def compare(scenario: Scenario | None = None, policies: Mapping[str, Policy] | Sequence[Policy | str] | None = None, *,
            samples: int = 1, patterns: Sequence[str] = (), working_sets: Sequence[int] = (),
            progress: Progress | None = None) -> Comparison:
    """Run a guest with several policies (default: all that livemig knows) and return what each made of it.

    >>> import livemig
    >>> fast = livemig.Scenario(ram_bytes=128 << 20, working_set_bytes=64 << 20, dirty_rate_bytes_per_s=90e6,
    ...                         give_up_s=20.0)
    >>> [(row.policy, row.status) for row in livemig.compare(fast, ["qemu", "xen"]).rows]
    [('qemu', 'cancelled'), ('xen', 'completed')]

    `policies`: names of `POLICIES`, policies (`engine.monitor` says what that is), or both by name. `samples` above 1:
    so many guests at least, over where the writer stands, `patterns` and `working_sets` (bytes).
    `progress(policy, done, of)` is called before each run. An interrupt (Ctrl-C) returns what was run until then.
    Raises `PolicyError` for an unknown name and `ScenarioError` for an impossible guest.
    """
    base = scenario or Scenario()
    chosen, tried = named(policies), guests(base, samples, patterns, working_sets)
    rows: list[Row] = []
    try:
        for row in compared(base, chosen, tried, progress):
            rows.append(row)
    except KeyboardInterrupt:
        return Comparison(base, tuple(rows), len(tried), True)
    return Comparison(base, tuple(rows), len(tried))


def _run(name: str, number: int, case: Case, guest: Scenario, policy: Policy) -> Row:
    try:
        with no_collector():
            trace = simulate_coarse(guest, _most_pages(guest), policy)
    except (PolicyError, ScenarioError) as error:
        return Row(name, number, case.pattern, case.working_set_bytes, "not run", str(error), str(error), None, None,
                   None, None, 0.0, 0)
    return row_of(trace, name, number, case)


def row_of(trace: Trace, name: str, number: int, case: Case) -> Row:
    """The row of a run; also of a recorded one."""
    outcome, error = trace.outcome, str(trace.meta.get("policy", {}).get("error", ""))
    done = outcome.status == "completed"
    return Row(name, number, case.pattern, case.working_set_bytes, outcome.status, outcome.reason, error,
               outcome.total_time_s if done else None, outcome.downtime_s if done else None, outcome.dirty_sync_count,
               outcome.transferred_bytes, _throttled_s(trace),
               sum(1 for _ in trace.select("command", "migrate-set-parameters")))


def _throttled_s(trace: Trace) -> float:
    """Seconds that the vCPUs were made to sleep: percentage x time, until the stop or the end."""
    steps = [(event.t_s, float(event.data["percentage"])) for event in trace.select("throttle")]
    stop_s = trace.mark("Tn+2")
    end_s = trace.end_s if stop_s is None else stop_s
    ends = [*(t_s for t_s, _ in steps[1:]), end_s]
    return sum((max(end - t_s, 0.0)) * percent / 100 for (t_s, percent), end in zip(steps, ends, strict=False))


def _most_pages(s: Scenario) -> int:
    """At most so many pages, unless a page would be a large part of the working set."""
    most = FINEST_PAGES
    while coarsened(s, most).page_bytes * 256 > max(s.working_set_bytes, s.page_bytes * 256):
        most *= 2
    return most


def _summary(name: str, rows: Sequence[Row]) -> Summary:
    done = [row for row in rows if row.status == "completed"]
    spans: dict[str, Span | None] = {}
    for column in COLUMNS:
        values = [float(getattr(row, column)) for row in done]
        spans[column] = (min(values), statistics.median(values), max(values)) if values else None
    failed = [row for row in rows if row.error]
    left = failed or [row for row in rows if row.status != "completed"]
    return Summary(name, len(rows), len(done), len(failed), spans, left[0].reason if left else "")
