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


def _workload(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The function says which page each write touches: what the first pass leaves behind, in words."""
    from livemig.engine.pages import watch_pages
    from livemig.scenario import Scenario, ScenarioError

    fields, *wanted = args
    try:
        story = watch_pages(Scenario.from_dict(fields), lambda number: function(number, *wanted))
    except ScenarioError as error:
        return f"the workload cannot be run: {error}"
    first = story.passes()[0]
    written = {*first.before, *first.after, *first.no_turn}
    return f"pages written: {len(written)}, of these old at the destination: {len(first.after)}"


def _handler(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The function is registered as a handler: the bytes that it has left at an address, in words.

    What happens: "completes" (looked at on the destination), "link breaks" after the stop, "stop" without a migration.
    """
    from livemig.engine.simulate import run
    from livemig.engine.state import MigrationState
    from livemig.engine.vmstop import Handler, HandlerError, vm_stop_force_state
    from livemig.scenario import Action, Scenario

    fields, what, address, texts = args
    plan = (Action("link_failure", at="stop-copy"),) if what == "link breaks" else ()
    state = MigrationState(Scenario.from_dict({**fields, "plan": plan}))
    handler = Handler("mine", 0, function)
    try:
        if what == "stop":
            state.handlers.append(handler)
            vm_stop_force_state(state, "paused")
        else:
            run(state, [handler])
    except HandlerError as error:
        raise error.__cause__ or error from None
    side = state.memory.there if what == "completes" else state.memory.here
    found = side.read(address, max(len(text) for text in texts))
    return next((f"{text!r} is there" for text in texts if found.startswith(text)), "nothing of yours is there")


DRIVERS: Mapping[str, Callable[[Callable[..., Any], tuple[Any, ...]], Any]] = {
    "plain": _call, "policy": _policy, "workload": _workload, "handler": _handler}
