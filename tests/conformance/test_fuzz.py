"""Python's engine and model.js on random scenarios: order and whole numbers equal, times to 1e-9 relative.

LIVEMIG_FUZZ=20000 runs more, LIVEMIG_FUZZ_SEED=7 others. A failure prints the scenario's fields.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter

import pytest

from tests.conformance.compare import differences, reference
from tests.conformance.draw_scenario import random_fields
from tests.conformance.node import NODE, Model

COUNT = int(os.environ.get("LIVEMIG_FUZZ", "1500"))
SEED = int(os.environ.get("LIVEMIG_FUZZ_SEED", "1"))
SHOWN = 8

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


@pytest.mark.timeout(60 + COUNT)
def test_random_scenarios_are_equal():
    rng = random.Random(SEED)
    seen: Counter[str] = Counter()
    failures: list[str] = []
    with Model() as model:
        for _ in range(COUNT):
            fields = random_fields(rng)
            most_pages = rng.choice((None, None, None, 100))
            model.ask(fields, most_pages)
            python = reference(fields, *([most_pages] if most_pages else []))
            found = list(differences(python, model.answer()))
            seen[python["meta"]["outcome"]["status"] if "meta" in python else "refused"] += 1
            if found:
                failures.append(f"{json.dumps(fields)} most_pages={most_pages}\n  " + "\n  ".join(found[:SHOWN]))
    print(f"\n{COUNT} random scenarios, seed {SEED}: {dict(seen)}, {len(failures)} with differences")
    assert not failures, f"{len(failures)} of {COUNT} differ; the first:\n" + "\n".join(failures[:3])
    assert COUNT < 500 or {"completed", "cancelled", "failed"} <= seen.keys()
