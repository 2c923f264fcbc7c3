"""The lecture's scenarios: what each shows, and the inputs that differ from `Scenario()`.

Tests run each one and assert what its title claims.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livemig.draw.inputs import INPUTS

__all__ = ["LECTURE", "Preset", "whole"]

_MIB = 1 << 20


@dataclass(frozen=True)
class Preset:
    """A name for its button, a sentence for its tooltip, and the Scenario's fields that it sets."""

    name: str
    shows: str
    fields: Mapping[str, Any] = field(default_factory=dict)


LECTURE: tuple[Preset, ...] = (
    Preset("Converges at once", "The guest writes little: the first count after the bulk copy is below the threshold.",
           {"dirty_rate_bytes_per_s": 2.0 * _MIB}),
    Preset("Converges slowly", "The guest writes nearly as fast as the migration sends: each pass is a little shorter.",
           {"dirty_rate_bytes_per_s": 50.0 * _MIB, "working_set_bytes": 128 * _MIB, "downtime_limit_s": 0.03}),
    Preset("Never converges", "The guest writes faster than the migration sends: pending stays where it was.",
           {"dirty_rate_bytes_per_s": 128.0 * _MIB, "downtime_limit_s": 0.1, "give_up_s": 20.0}),
    Preset("Working set below threshold", "However fast it writes, the guest cannot dirty more than its working set.",
           {"dirty_rate_bytes_per_s": 500.0 * _MIB, "working_set_bytes": 16 * _MIB}),
    Preset("Fixed at 64 KiB", "The threshold that the document names: 8 bitmap syncs, where rate × 300 ms needs 5.",
           {"dirty_rate_bytes_per_s": 28.0 * _MIB, "switchover_rule": "fixed", "fixed_threshold_bytes": 64 << 10}),
    Preset("Too fast, converges all the same", "Recording n11's inputs: the dirty rate is above the bandwidth, and "
           "still one count finds pending below the threshold.",
           {"dirty_rate_bytes_per_s": 90.0 * _MIB, "working_set_bytes": 24 * _MIB, "downtime_limit_s": 0.25,
            "writer_start_writes": 32472.576, "give_up_s": 60.0}),
    Preset("Tables saved too early", "SAVE_TABLES at T0, while the guest still maps and unmaps: the destination loses "
           "mappings.", {"save_tables_when": "t0"}),
)


def whole(presets: Sequence[Preset], scenario: Any) -> list[dict[str, Any]]:
    """The presets as the browser gets them: what one claims holds whatever the stage started from.

    So the fields that have a control or that any preset sets get the default of `scenario`'s class where a preset
    leaves them open.
    """
    names = {item.name for item in INPUTS}.union(*(one.fields for one in presets))
    defaults = {item.name: item.default for item in dataclasses.fields(scenario) if item.name in names}
    return [{"name": one.name, "shows": one.shows, "fields": {**defaults, **one.fields}} for one in presets]
