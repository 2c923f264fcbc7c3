"""The browser tests' own tools, proven on small notebooks: a widget that works, and everything that can go wrong."""

from pathlib import Path

import nbformat
import pytest

from tests.browser.lab import LabError, running_lab
from tests.browser.notebook_page import NotebookPage

pytestmark = pytest.mark.browser

WIDGET = '''\
import anywidget
import traitlets

class Counter(anywidget.AnyWidget):
    _esm = """
    export default { render({ model, el }) {
      const button = document.createElement("button");
      const show = () => { button.textContent = `count ${model.get("count")}`; };
      button.addEventListener("click", () => { model.set("count", model.get("count") + 1); model.save_changes(); });
      model.on("change:count", show);
      show();
      el.append(button);
    } };
    """
    count = traitlets.Int(41).tag(sync=True)

counter = Counter()
counter.observe(lambda change: setattr(counter, "count", 100) if change["new"] == 42 else None, "count")
counter'''


def write_notebook(folder: Path, name: str, *sources: str) -> str:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / name)
    return name


def test_a_widget_draws_and_talks_to_its_kernel(notebook_page: NotebookPage) -> None:
    sources = ("import livemig\nlivemig.__version__", WIDGET)
    notebook_page.open(write_notebook(notebook_page.lab.folder, "harness-widget.ipynb", *sources))
    report = notebook_page.run_all()
    assert (report.executed, report.errors, report.stderr) == (2, (), ())
    assert report.foreign_requests == ()
    assert report.console_errors == ()
    button = notebook_page.output(1).locator("button")
    assert button.inner_text() == "count 41"
    button.click()
    # The kernel's observer answers 42 with 100: the round trip went through Python.
    notebook_page.page.wait_for_function("b => b.textContent === 'count 100'", arg=button.element_handle())
    shot = notebook_page.screenshot("harness-widget")
    assert shot.stat().st_size > 10_000


def test_errors_of_cells_are_reported(notebook_page: NotebookPage) -> None:
    sources = ("import sys; print('careful', file=sys.stderr)", "1 / 0", "'never'")
    notebook_page.open(write_notebook(notebook_page.lab.folder, "harness-error.ipynb", *sources))
    report = notebook_page.run_all()
    assert [(error.cell, error.name, error.text) for error in report.errors] == [
        (1, "ZeroDivisionError", "division by zero")
    ]
    assert report.stderr == ("careful\n",)
    assert report.executed == 2


def test_console_errors_and_foreign_requests_are_reported(notebook_page: NotebookPage) -> None:
    script = "console.error('from the page'); fetch('https://example.invalid/x.js').catch(() => {})"
    source = f"from IPython.display import Javascript, display\ndisplay(Javascript({script!r}))"
    notebook_page.open(write_notebook(notebook_page.lab.folder, "harness-console.ipynb", source))
    notebook_page.run_all()
    notebook_page.page.wait_for_timeout(500)
    report = notebook_page.report()
    assert any("from the page" in text for text in report.console_errors)
    assert report.foreign_requests == ("https://example.invalid/x.js",)


def test_nothing_is_left_running(root: Path, tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    with running_lab(tmp_path / "notebooks", tmp_path / "private", root) as lab:
        lab.request("POST", "api/kernels")
        assert len(lab.processes()) >= 2
    assert lab.processes() == []


def test_a_lab_that_does_not_start_says_why(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    says = f"did not start.*exit status(?s:.*){folder}"
    with pytest.raises(LabError, match=says), running_lab(folder, tmp_path, root):
        pass
