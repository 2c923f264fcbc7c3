"""What is to be recorded: values of `Scenario`'s fields, checked against what the lab's guest and real QEMU can do.

Theory of operation. The lab takes the inputs that the engine takes, as plain values (this room does not know
`Scenario`), so one scenario can be simulated and recorded. Fields that only a model has (costs of the host, the ITS of
the drawn guest, the seed, the version of QEMU, where the writer stands at T0) are not read: in a recording they are
what they are. Fields that ask for what the lab cannot do are refused by name. `Request.params` and `Request.words` are
what a recording has under `params` and `guest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livemig.lab.guest import PAGE_BYTES, RAM_BASE, RANDOM_ORDER, RESERVED_BYTES, SPIN, Words

__all__ = ["FIELDS", "POLICY_FAILED", "Request", "RequestError", "Step", "plain"]

MIB = 1 << 20
LEAST_RAM_BYTES = 8 * MIB
POLL_S = 0.040
POLICY_FAILED = "policy failed: "  # how the note of a policy that raised begins
LEAST_GIVE_UP_S, MOST_GIVE_UP_S, BULK_COPIES = 60.0, 3600.0, 10  # as the model's own default
LEAST_LAG_PAGES = 64  # a throttled guest must not catch up, or throttling would do nothing,
LAG_TICKS = 2.5  # but what one or two wake-ups bring is not late
FASTEST_COUNTER_HZ = 1e9  # of the guest's timer: rate x time x this must fit 64 bits (guest.s)

# Fields of Scenario that are read here, in its order.
FIELDS = (
    "ram_bytes", "filled_offset_bytes", "filled_bytes", "pattern", "dirty_rate_bytes_per_s", "working_set_bytes",
    "working_set_offset_bytes", "bandwidth_bytes_per_s", "link_bytes_per_s", "downtime_limit_s",
    "avail_switchover_bandwidth_bytes_per_s", "pause_before_switchover", "return_path", "switchover_ack",
    "destination_paused", "multifd_channels", "auto_converge", "throttle_initial_pct", "throttle_increment_pct",
    "throttle_max_pct", "throttle_trigger_pct", "catch_up_s", "plan", "give_up_s")

_ORDERS = {"sequential": "seq", "lab_random": "rand", "idle": "seq"}
_CAPABILITIES = {"pause_before_switchover": "pause-before-switchover", "return_path": "return-path",
                 "switchover_ack": "switchover-ack", "multifd_channels": "multifd", "auto_converge": "auto-converge"}
# Action of the plan to what the recorder does; without a paced link nothing but the destination's end can cut a link.
_DOES = {"cancel": "cancel", "continue": "continue", "set_downtime_limit": "set_downtime_limit",
         "set_bandwidth": "set_bandwidth", "set_max_throttle": "set_max_throttle", "link_failure": "cut",
         "destination_dies": "kill", "silent_peer": "freeze"}
_SPECIALS = {"kill": "kill-dst", "cut": "kill-link", "set_bandwidth": "raise-bw", "set_downtime_limit": "raise-dl",
             "freeze": "silent-dst"}
_PARAMETERS = {  # QMP name to (key of `params`, what its unit is there)
    "avail-switchover-bandwidth": ("avail_bw", MIB), "max-postcopy-bandwidth": ("postcopy_bw", MIB),
    "multifd-channels": ("multifd", 1), "cpu-throttle-initial": ("throttle_init", 1),
    "cpu-throttle-increment": ("throttle_inc", 1), "xbzrle-cache-size": ("xbzrle_cache", MIB)}


class RequestError(ValueError):
    """An input that cannot be recorded; the message names it, its value, the limit and the reason."""


@dataclass(frozen=True)
class Step:
    """Something to do to a running migration: `at_s` seconds after `at` ("time" is T0). `value`: s or bytes/s."""

    do: str
    at_s: float
    at: str = "time"
    value: float | None = None


@dataclass(frozen=True)
class Request:
    """Everything that one recording needs; make it with `Request.of`."""

    ram_bytes: int
    order: str
    words: Words
    bandwidth_bytes_per_s: int  # 0: no limit
    link_bytes_per_s: float | None
    downtime_limit_ms: int
    capabilities: tuple[str, ...]
    parameters: Mapping[str, int] = field(default_factory=dict)
    plan: tuple[Step, ...] = ()
    give_up_s: float = LEAST_GIVE_UP_S
    rate_bytes_per_s: float = 0.0
    special: str = ""
    destination_paused: bool = False  # started with -S, as libvirt does

    @classmethod
    def of(cls, fields: Mapping[str, Any], capabilities: Sequence[str] = (),
           parameters: Mapping[str, int] | None = None) -> Request:
        """Read values of `Scenario`'s fields (`Scenario.to_dict()`).

        `capabilities` and `parameters` are further ones by QEMU's names ("xbzrle", {"xbzrle-cache-size": 1 << 27}).
        Raises `RequestError`.
        """
        _refuse(fields)
        link = fields.get("link_bytes_per_s")
        plan = tuple(_step(i, step, bool(link)) for i, step in enumerate(fields.get("plan", ())))
        caps = tuple(dict.fromkeys([*(name for key, name in _CAPABILITIES.items() if fields.get(key)), *capabilities]))
        words = _words(fields, "auto-converge" in caps)
        bandwidth = int(fields.get("bandwidth_bytes_per_s") or 0)
        give_up_s = fields.get("give_up_s") or _give_up_s(fields["ram_bytes"], bandwidth, link)
        if words.rate * FASTEST_COUNTER_HZ * (give_up_s + LEAST_GIVE_UP_S) >= 1 << 64:
            raise RequestError(f"dirty_rate_bytes_per_s = {words.rate * PAGE_BYTES:g}: too fast for a run of "
                               f"{give_up_s:g} s, the guest's count of writes times its clock must fit 64 bits")
        return cls(ram_bytes=fields["ram_bytes"], order=_ORDERS[fields["pattern"]], words=words,
                   bandwidth_bytes_per_s=bandwidth, link_bytes_per_s=link,
                   downtime_limit_ms=_milliseconds("downtime_limit_s", fields["downtime_limit_s"]), capabilities=caps,
                   parameters=_parameters(fields) | dict(parameters or {}), plan=plan, give_up_s=float(give_up_s),
                   rate_bytes_per_s=fields["dirty_rate_bytes_per_s"] if words.rate else 0.0,
                   special=_special(plan, caps), destination_paused=bool(fields.get("destination_paused")))

    def params(self, name: str, version: str) -> dict[str, Any]:
        """`params` of a recording: MiB, MiB/s, ms and s."""
        words = self.words
        known = {key: plain(self.parameters.get(qmp, 0) / unit) for qmp, (key, unit) in _PARAMETERS.items()}
        other = {qmp: value for qmp, value in self.parameters.items() if qmp not in _PARAMETERS}
        raised = {{"set_downtime_limit": "dl2", "set_bandwidth": "bw2"}[step.do]: _raised(step)
                  for step in self.plan if step.do in _SPECIALS and step.value is not None}
        filled_mib = None if words.fill_end == RAM_BASE + self.ram_bytes else plain(
            max(words.fill_end - RAM_BASE, 0) / MIB)
        return {"id": name, "version": version, "ram": plain(self.ram_bytes / MIB),
                "wset": plain(words.ws_pages * PAGE_BYTES / MIB), "rate": plain(self.rate_bytes_per_s / MIB),
                "bw": plain(self.bandwidth_bytes_per_s / MIB), "dl": self.downtime_limit_ms, "order": self.order,
                "fill": filled_mib, "spin": int(bool(words.flags & SPIN)), "maxlag": words.maxlag,
                "cancel_s": self.give_up_s, "caps": "+".join(self.capabilities), "special": self.special,
                "at_s": self.plan[0].at_s if self.plan else 0.0, "poll_ms": round(POLL_S * 1000),
                "beat_us": words.beat_us, "link": plain((self.link_bytes_per_s or 0) / MIB), **known, **raised,
                **({"parameters": other} if other else {}), "max_s": self.give_up_s}


def _refuse(fields: Mapping[str, Any]) -> None:
    """What a model can have and the lab cannot."""
    pattern, ram, page = fields["pattern"], fields["ram_bytes"], fields.get("page_bytes", PAGE_BYTES)
    if pattern not in _ORDERS:
        raise RequestError(f"pattern = {pattern!r}: the lab's guest writes {', '.join(_ORDERS)} only")
    if page != PAGE_BYTES:
        raise RequestError(f"page_bytes = {page}: QEMU's virt machine has pages of {PAGE_BYTES} bytes")
    if fields.get("switchover_rule", "qemu") != "qemu":
        raise RequestError(f"switchover_rule = {fields['switchover_rule']!r}: real QEMU knows no fixed threshold, only "
                           "measured bandwidth x downtime-limit (rule 'qemu')")
    if ram < LEAST_RAM_BYTES or ram % MIB:
        raise RequestError(f"ram_bytes = {ram}: a real guest needs a whole number of MiB, {LEAST_RAM_BYTES} bytes at "
                           "least")


def _words(fields: Mapping[str, Any], auto_converge: bool) -> Words:
    ram, offset, size = fields["ram_bytes"], fields["working_set_offset_bytes"], fields["working_set_bytes"]
    filled = fields["filled_bytes"]
    fill_from = fields["filled_offset_bytes"] if filled != 0 else RESERVED_BYTES  # where nothing begins is no matter
    rate = 0 if fields["pattern"] == "idle" else int(fields["dirty_rate_bytes_per_s"] / PAGE_BYTES)
    for name, value in (("working_set_offset_bytes", offset), ("filled_offset_bytes", fill_from)):
        if value < RESERVED_BYTES or value % PAGE_BYTES:
            raise RequestError(f"{name} = {value}: a whole page from {RESERVED_BYTES} on, the guest's code lies below")
    if rate and not PAGE_BYTES <= size <= ram - offset:
        raise RequestError(f"working_set_bytes = {size}: a guest that writes needs one page at least, and no more than "
                           f"the {ram - offset} bytes of RAM behind working_set_offset_bytes = {offset}")
    end = ram if filled is None else fill_from + filled
    if end > ram or end % PAGE_BYTES:
        raise RequestError(f"filled_bytes = {filled}: whole pages, and no more than the {ram - fill_from} bytes of RAM "
                           f"behind filled_offset_bytes = {fill_from}")
    return Words(fill_start=RAM_BASE + fill_from, fill_end=RAM_BASE + end if end > fill_from else 0,
                 ws_base=RAM_BASE + offset, ws_pages=min(size, max(ram - offset, 0)) // PAGE_BYTES, rate=rate,
                 flags=(RANDOM_ORDER if fields["pattern"] == "lab_random" else 0) | (SPIN if auto_converge else 0),
                 maxlag=_lag_pages(rate, fields.get("catch_up_s", 0.0)) if auto_converge else 0)


def _lag_pages(rate_pages_per_s: int, catch_up_s: float | None) -> int:
    """`maxlag` of a guest that catches up so much after a throttle's sleep; 0: all of it."""
    if catch_up_s is None:
        return 0
    return max(LEAST_LAG_PAGES, round(rate_pages_per_s * LAG_TICKS / 1000), round(rate_pages_per_s * catch_up_s))


def _parameters(fields: Mapping[str, Any]) -> dict[str, int]:
    """Parameters of QEMU that are not at its default."""
    found = {}
    if fields.get("avail_switchover_bandwidth_bytes_per_s"):
        found["avail-switchover-bandwidth"] = int(fields["avail_switchover_bandwidth_bytes_per_s"])
    if fields.get("multifd_channels"):
        found["multifd-channels"] = int(fields["multifd_channels"])
    if fields.get("auto_converge"):
        for key, name in (("throttle_initial_pct", "cpu-throttle-initial"), ("throttle_max_pct", "max-cpu-throttle"),
                          ("throttle_increment_pct", "cpu-throttle-increment"),
                          ("throttle_trigger_pct", "throttle-trigger-threshold")):
            if key in fields:
                found[name] = int(fields[key])
    return found


def _step(i: int, step: Mapping[str, Any], link: bool) -> Step:
    do, at, value = _DOES.get(step["do"]), step.get("at", "time"), step.get("value")
    do = "kill" if do == "cut" and not link else do
    if do is None:
        raise RequestError(f"plan[{i}].do = {step['do']!r}: the recorder can do {', '.join(_DOES)}")
    if do == "continue" and at != "pre-switchover":
        raise RequestError(f"plan[{i}].at = {at!r}: real QEMU takes migrate-continue in pre-switchover only")
    if do == "set_downtime_limit":
        _milliseconds(f"plan[{i}].value", value or 0.0)
    return Step(do, float(step.get("at_s", 0.0)), at, value)


def _milliseconds(name: str, value_s: float) -> int:
    whole = round(value_s * 1000)
    if abs(value_s * 1000 - whole) > 1e-6:
        raise RequestError(f"{name} = {value_s:g} s: QEMU's downtime-limit is a whole number of milliseconds")
    return whole


def _give_up_s(ram_bytes: int, bandwidth_bytes_per_s: float, link_bytes_per_s: float | None) -> float:
    speed = min(bandwidth_bytes_per_s or float("inf"), link_bytes_per_s or float("inf"))
    bulk_s = ram_bytes / speed
    return max(LEAST_GIVE_UP_S, min(BULK_COPIES * bulk_s, MOST_GIVE_UP_S), 1.5 * bulk_s)


def _special(plan: Sequence[Step], capabilities: Sequence[str]) -> str:
    """One word for what is special about the run, as the recordings in data/ have it."""
    if "pause-before-switchover" in capabilities:
        return "cancel-in-pause" if any(s.do == "cancel" and s.at == "pre-switchover" for s in plan) else "pause"
    for step in plan:
        if step.do in _SPECIALS:
            return _SPECIALS[step.do] + ("-switchover" if step.do == "kill" and step.at == "stop-copy" else "")
    for name in ("auto-converge", "xbzrle", "multifd", "postcopy-ram", "switchover-ack", "return-path"):
        if name in capabilities:
            return name.removesuffix("-ram")
    return ""


def _raised(step: Step) -> float:
    assert step.value is not None
    return plain(step.value / MIB if step.do == "set_bandwidth" else step.value * 1000)


def plain(value: float) -> float:
    """Whole numbers without a decimal point, as a person writes them."""
    return int(value) if value == int(value) else value
