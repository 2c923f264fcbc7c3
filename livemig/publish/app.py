"""A notebook as an app: Voilà runs it for each visitor and shows text, outputs and controls, and no code.

Where no code is shown no exercise can be answered: Voilà gets a copy without them (`readers.to_use`).
Voilà's page asks addresses of the network for icons; the template in `jupyter/voila/templates/livemig` leaves them out,
so the app works where there is no network.
"""

from __future__ import annotations

import os
import tempfile
from importlib.resources import files
from pathlib import Path

import nbformat

from livemig.publish.notebooks import PublishError, read
from livemig.publish.readers import to_use

__all__ = ["serve", "voila_arguments"]

# Others that are installed beside JupyterLab want parts of it that Voilà does not have.
_EXTENSIONS = ("@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget")
_TEMPLATES = files("livemig.publish").joinpath("jupyter")


def serve(notebook: Path, port: int, browser: bool) -> None:
    """Serve `notebook` to this machine only (127.0.0.1) until interrupted; the next free port if `port` is taken."""
    try:
        from voila.app import Voila
    except ImportError as error:
        raise PublishError(f"Voilà is not usable in this Python ({error}); pip install voila") from None
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(_TEMPLATES), before]))
    with tempfile.TemporaryDirectory(prefix="livemig-app-") as folder:
        shown = Path(folder, notebook.name)
        nbformat.write(to_use(read(notebook)), shown)  # type: ignore[no-untyped-call]
        Voila.launch_instance(voila_arguments(shown, port, browser))


def voila_arguments(notebook: Path, port: int, browser: bool) -> list[str]:
    """Voilà's command line."""
    return [str(notebook), "--Voila.ip=127.0.0.1", f"--port={port}", "--template=livemig",
            "--VoilaConfiguration.allow_template_override=NO",
            *(f"--VoilaConfiguration.extension_allowlist={name}" for name in _EXTENSIONS),
            *([] if browser else ["--no-browser"])]
