"""A prediction for people: one screen of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from livemig.cli.tables import note, table
from livemig.units import format_number, format_quantity, format_rate, format_size, format_time

if TYPE_CHECKING:
    from livemig.engine.predict import Prediction, Range
    from livemig.engine.sampling import Sample
    from livemig.engine.suggest import Suggestion

__all__ = ["print_prediction", "print_suggestions"]


def print_prediction(answer: Prediction, given: Mapping[str, Any], notes: Sequence[str]) -> None:
    """The inputs, the answer, its range, by what it differs, and what was assumed."""
    note(_inputs(answer, given))
    print()
    note(_verdict(answer))
    print()
    if answer.converged:
        table("If it converges", ("", ">smallest", ">middle", ">largest"), [
            ("total time", *_three(answer.total_time_s, format_time)),
            ("downtime", *_three(answer.downtime_s, format_time)),
            ("sent", *_three(answer.transferred_bytes, format_size)),
            ("bitmap syncs", *_three(answer.passes, _whole))])
    kinds = _kinds(answer.samples)
    if len(kinds) > 1:
        table("By what nobody knows", ("pattern", ">working set", ">converges", ">total time", ">downtime"),
              [_kind_row(key, samples) for key, samples in kinds.items()])
    for text in (*_assumed(answer), *notes):
        note(f"  - {text[0].upper()}{text[1:]}.")
    print()


def print_suggestions(found: Sequence[Suggestion]) -> None:
    """What would make it converge, each alone."""
    table("To make it converge (each alone)", ("what", ">now", ">smallest", ">converges", ">longest stop"),
          [_suggestion(one) for one in found])
    note("Each was run with the value shown. A smaller one may do now and then: whether leftover and new pages overlap "
         "decides. A throttle is taken as the writer's rate less that share.")


def _inputs(answer: Prediction, given: Mapping[str, Any]) -> str:
    s = answer.scenario
    parts = [
        ("ram_bytes", f"{format_size(s.ram_bytes)} of RAM"),
        ("dirty_rate_bytes_per_s", f"dirty rate {format_rate(s.dirty_rate_bytes_per_s)}"),
        ("bandwidth_bytes_per_s", "no max-bandwidth" if s.bandwidth_bytes_per_s is None
         else f"max-bandwidth {format_rate(s.bandwidth_bytes_per_s)}"),
        ("link_bytes_per_s", "" if s.link_bytes_per_s is None else f"link {format_rate(s.link_bytes_per_s)}"),
        ("downtime_limit_s", f"downtime-limit {format_time(s.downtime_limit_s)}") if s.switchover_rule == "qemu"
        else ("fixed_threshold_bytes", f"threshold {format_size(s.fixed_threshold_bytes)}"),
        ("qemu_version", f"QEMU {s.qemu_version}"),
    ]
    shown = [text + ("" if name in given else " (default)") for name, text in parts if text]
    return f"A migration: {', '.join(shown)}."


def _verdict(answer: Prediction) -> str:
    of = len(answer.samples)
    limit = format_time(answer.time_limit_s)
    if answer.converges:
        return f"It converges: in all {of} runs." if of > 1 else "It converges."
    near = [sample for sample in answer.samples if not sample.converged]
    least = min((s.least_pending_bytes for s in near if s.least_pending_bytes is not None), default=None)
    threshold = max((s.threshold_bytes or 0 for s in near), default=0)
    why = "" if least is None else (f" There pending was never below {format_size(least)} when it was counted; the "
                                    f"threshold is {format_size(threshold)}.")
    if not answer.converged:
        return f"It does not converge: in none of {of} runs within {limit} (--give-up).{why}"
    return f"It may not converge: it did in {answer.converged} of {of} runs within {limit} (--give-up).{why}"


def _assumed(answer: Prediction) -> list[str]:
    s = answer.scenario
    positions = len({sample.case.position for sample in answer.samples})
    texts = []
    if positions > 1:
        texts.append(f"where the writer stands is unknown: {len(answer.samples)} runs, positions spread evenly")
    if len({sample.case.pattern for sample in answer.samples}) > 1:
        texts.append("which pages it prefers is unknown (--pattern): in turn, anywhere, and "
                     f"{100 * s.hot_share:g} % of the writes in {100 * s.hot_fraction:g} % of the set")
    if len({sample.case.working_set_bytes for sample in answer.samples}) > 1:
        texts.append("how many pages it writes is unknown (--wset): from what the dirty rate touches in a second (or "
                     "was counted in) to all of RAM")
    if s.link_bytes_per_s is None:
        speed = format_rate(s.costs.memory_bytes_per_s)
        texts.append(f"the last pages, with the guest stopped, go at {speed} (--link); max-bandwidth does not hold for "
                     "them")
    texts.append("total time and bytes have 2 % more on both sides, the model's own error")
    if answer.page_bytes > s.page_bytes:
        texts.append(f"{format_size(answer.page_bytes)} of memory are taken as one page, to answer in seconds")
    return texts


def _kinds(samples: Sequence[Sample]) -> dict[tuple[str, int], list[Sample]]:
    kinds: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        kinds.setdefault((sample.case.pattern, sample.case.working_set_bytes), []).append(sample)
    return kinds


def _kind_row(key: tuple[str, int], samples: Sequence[Sample]) -> Sequence[str]:
    done = [sample for sample in samples if sample.converged]
    return (key[0], format_size(key[1]), f"{len(done)} of {len(samples)}",
            _from_to([s.total_time_s or 0.0 for s in done]), _from_to([s.downtime_s or 0.0 for s in done]))


def _from_to(values: Sequence[float]) -> str:
    if not values:
        return "-"
    low, high = format_time(min(values)), format_time(max(values))
    return low if low == high else f"{low} to {high}"


def _whole(value: float) -> str:
    return str(round(value))


def _three(found: Range | None, shown: Any) -> tuple[str, str, str]:
    return ("-", "-", "-") if found is None else (shown(found.low), shown(found.median), shown(found.high))


def _suggestion(one: Suggestion) -> Sequence[str]:
    def value(number: float) -> str:
        return f"{format_number(number)} %" if one.unit == "%" else format_quantity(number, one.unit, 4)

    if one.value is None:
        return (one.label, value(one.now), f"not even {value(one.most)}", f"not in all {one.of}", "-")
    stop = "-" if one.downtime_s is None else format_time(one.downtime_s)
    return (one.label, value(one.now), value(one.value), f"{one.converged} of {one.of}", stop)
