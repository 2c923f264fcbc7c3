"""Who calls a learner's function, and how what it returns is written down for the comparison.

Theory of operation. A driver gets the function and a case's arguments and returns a value; `plain` makes it something
that JSON can hold. The same drivers call our own functions (the right one, the usual wrong ones) in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["CARRIED", "DRIVERS", "plain"]

CARRIED = "<dynamic-code>"  # the file name that cloudpickle gives to code which it carries by value


def plain(value: Any) -> Any:
    """A value as JSON can hold it; what it cannot hold as its repr, with its type."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value[:100]]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a number of numpy's
        return plain(value.item())
    return {"type": type(value).__name__, "repr": repr(value)[:200]}


def _call(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return function(*args)


def _policy(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Runs a migration with the function as policy: ["completed", downtime below the limit, throttled or not]."""
    from livemig.engine import simulate
    from livemig.engine.monitor import PolicyError
    from livemig.scenario import Scenario

    fields, longest_downtime_s = args
    failed: list[BaseException] = []

    def watched(sample: Mapping[str, Any], memory: dict[str, Any]) -> Any:
        try:
            return function(sample, memory)
        except Exception as error:
            failed.append(error)
            raise

    watched.__name__ = getattr(function, "__name__", "policy")
    try:
        outcome = simulate(Scenario.from_dict(fields), policy=watched).outcome
    except PolicyError as error:
        return f"the policy cannot be asked: {error}"
    if failed:
        raise failed[0]
    if outcome.status != "completed":
        return f"the migration ended {outcome.status}: {outcome.reason}"
    stopped_s = outcome.downtime_s or 0.0
    return "completed" if stopped_s <= longest_downtime_s else "completed, but the guest was stopped too long"


DRIVERS: Mapping[str, Callable[[Callable[..., Any], tuple[Any, ...]], Any]] = {"plain": _call, "policy": _policy}
