"""What the browser's model needs from Python: every constant and name of the engine, and the ITS's bytes.

`draw/static/model.js` mirrors the engine's flow; the facts it works with come from here, so each has one home.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from livemig.engine import channel, multifd, plan, rules, runstate, savevm, throttle, workload
from livemig.engine.coarse import MOST_PAGES
from livemig.engine.its_story import its_story
from livemig.engine.machine import FUNCTIONS
from livemig.engine.vmstop import default_handlers
from livemig.scenario import ACCELERATORS, ITS_AREA_BYTES, LONGEST_RUN_S, Action, Scenario

__all__ = ["FORMAT", "model_tables"]

FORMAT = "livemig-model-tables/1"


def model_tables(scenario: Scenario | None = None) -> dict[str, Any]:
    """Plain JSON for `simulate(fields, tables)` of model.js.

    It fits every scenario that has the same `its_devices` and `its_events_per_device` as the one given; all other
    inputs may change without a new table. `defaults` and `action` hold the inputs that the fields leave out.
    """
    s = scenario or Scenario()
    return {
        "format": FORMAT,
        "defaults": Scenario().to_dict(),
        "action": asdict(Action("")),
        "most_pages": MOST_PAGES,
        "rules": {version: asdict(one) for version, one in rules.RULES.items()},
        "wire": {key: value for key, value in asdict(rules.Wire(0)).items() if key != "page_bytes"},
        "clock": {
            "buffer_delay_s": rules.BUFFER_DELAY_S,
            "max_wait_s": rules.MAX_WAIT_S,
            "slice_pages": rules.SLICE_PAGES,
            "rates_period_s": rules.RATES_PERIOD_S,
            "buffer_bytes": channel._BUFFER_BYTES,
            "bulk_copies": plan._BULK_COPIES,
            "longest_run_s": LONGEST_RUN_S,
            "throttle_slice_s": throttle.SLICE_S,
        },
        "multifd": {
            "packet_bytes": multifd.PACKET_BYTES,
            "header_bytes": multifd.HEADER_BYTES,
            "offset_bytes": multifd.OFFSET_BYTES,
            "hello_bytes": multifd.HELLO_BYTES,
            "flush_bytes": multifd.FLUSH_BYTES,
        },
        "draws": {"zipf_bins": workload._ZIPF_BINS, "per_page": workload._DRAWS_PER_PAGE},
        "sections": [list(section) for section in savevm.DEVICE_SECTIONS],
        "pre_save": {section: save.__name__ for section, save in savevm._PRE_SAVE.items()},
        "handlers": {
            accelerator: [
                {"name": h.name, "owner": h.owner or h.name, "priority": h.priority, "file": h.file}
                for h in default_handlers(accelerator)
            ]
            for accelerator in ACCELERATORS
        },
        "functions": dict(FUNCTIONS),
        "transitions": {
            "runstate": {old: list(new) for old, new in runstate.RUNSTATE_TRANSITIONS.items()},
            "status": {old: list(new) for old, new in runstate.MIGRATION_TRANSITIONS.items()},
        },
        "its_area_bytes": ITS_AREA_BYTES,
        "its": its_story(s.its_devices, s.its_events_per_device) if s.its_devices else None,
    }
