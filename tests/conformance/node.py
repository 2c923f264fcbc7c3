"""model.js in one node process that answers scenario after scenario (JSON lines)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from livemig.engine.model_tables import model_tables
from livemig.scenario import Scenario

NODE = shutil.which("node")
_DRIVER = Path(__file__).with_name("drive.mjs")


class Model:
    """`with Model() as model: model.ask(fields); model.answer()`; one process, ended with it."""

    def __enter__(self) -> Model:
        assert NODE is not None
        self._process = subprocess.Popen(
            [NODE, str(_DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1 << 20
        )
        self._known: set[str] = set()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait(timeout=10)

    def ask(self, fields: dict[str, Any], most_pages: int | None = None) -> None:
        """Let node compute a scenario while Python does something else; `answer` waits for it."""
        scenario = Scenario.from_dict(fields)
        key = f"{scenario.its_devices} x {scenario.its_events_per_device}"
        if key not in self._known:
            self._say({"tables": {key: model_tables(scenario)}})
            self._known.add(key)
        self._say({"run": fields, "tables": key, "most_pages": most_pages})

    def answer(self) -> dict[str, Any]:
        """The trace that model.js made; raises AssertionError with the stack if it threw."""
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline() or '{"thrown": "node has ended"}')
        assert "thrown" not in answer, answer["thrown"]
        return dict(answer)

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
