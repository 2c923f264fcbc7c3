"""A notebook open in JupyterLab in Chromium: run it, collect its errors, look at it."""

import re
import urllib.parse
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, Request

from tests.browser.lab import Lab

SHOTS = Path(__file__).resolve().parent / "shots"
# Chromium's switches: root in a container, no graphics card, and no network but this machine's own.
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
LOCAL = re.compile(r"(https?|wss?)://127\.0\.0\.1[:/]|(data|blob|about|chrome):")

KERNEL_IS_IDLE = """() => {
  const widget = window.jupyterapp?.shell.currentWidget;
  return widget?.sessionContext?.session?.kernel?.status === 'idle' && widget.content?.model?.cells.length > 0;
}"""
START_ALL = """() => {
  window.livemigTestRan = null;
  window.jupyterapp.commands.execute('notebook:run-all-cells')
    .then(ok => { window.livemigTestRan = String(ok); }, error => { window.livemigTestRan = String(error); });
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"""


@dataclass(frozen=True)
class CellError:
    """An exception that a cell raised: the cell's number from 0, the exception and its text, the traceback."""

    cell: int
    name: str
    text: str
    traceback: str


@dataclass(frozen=True)
class RunReport:
    """What running all cells left: cells executed, exceptions, text on stderr, errors in the browser's console."""

    executed: int
    errors: tuple[CellError, ...]
    stderr: tuple[str, ...]
    console_errors: tuple[str, ...]
    foreign_requests: tuple[str, ...]


@dataclass
class NotebookPage:
    """One browser page on one Lab. `console_errors` and `foreign_requests` fill up from the moment it is made."""

    page: Page
    lab: Lab
    console_errors: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        if not LOCAL.match(request.url):
            self.foreign_requests.append(request.url)

    def open(self, name: str, timeout_s: float = 90) -> None:
        """Open the notebook `name` of the Lab's folder in a workspace of its own, and wait until its kernel is idle."""
        path = f"lab/workspaces/{uuid.uuid4().hex}/tree/{urllib.parse.quote(name)}?token={self.lab.token}"
        self.page.goto(f"{self.lab.url}/{path}", timeout=timeout_s * 1e3)
        self.page.wait_for_function(KERNEL_IS_IDLE, timeout=timeout_s * 1e3)

    def run_all(self, timeout_s: float = 180) -> RunReport:
        """Run all cells as the menu does, wait until they are done and the kernel is idle, and report."""
        self.page.evaluate(START_ALL)
        self.page.wait_for_function("() => window.livemigTestRan !== null", timeout=timeout_s * 1e3)
        self.page.wait_for_function(KERNEL_IS_IDLE, timeout=timeout_s * 1e3)
        return self.report()

    def report(self) -> RunReport:
        """Return what the notebook's cells and the browser's console say now."""
        cells = self.cells()
        outputs = [(number, output) for number, cell in enumerate(cells) for output in cell.get("outputs", [])]
        return RunReport(
            executed=sum(cell.get("execution_count") is not None for cell in cells),
            errors=tuple(_cell_error(number, output) for number, output in outputs if output["output_type"] == "error"),
            stderr=tuple(_text(output["text"]) for _, output in outputs if output.get("name") == "stderr"),
            console_errors=tuple(self.console_errors),
            foreign_requests=tuple(self.foreign_requests),
        )

    def cells(self) -> list[dict[str, Any]]:
        """Return the notebook's cells as they are in the page, outputs included (nbformat 4)."""
        return self.page.evaluate(CELLS)  # type: ignore[no-any-return]

    def output(self, cell: int) -> Locator:
        """Return the locator of the output area of cell number `cell`, from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-Cell-outputArea")

    def screenshot(self, name: str) -> Path:
        """Save what the window shows as tests/browser/shots/`name`.png and return the path."""
        SHOTS.mkdir(exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def _cell_error(number: int, output: dict[str, Any]) -> CellError:
    traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
    return CellError(number, output["ename"], output["evalue"], traceback)


def _text(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
