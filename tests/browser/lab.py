"""A real JupyterLab of its own for the browser tests: free port, token, no file of the user's, nothing left behind."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
# Every process of one Lab inherits this variable, kernels and what they start included: that is how none is missed.
MARK = "LIVEMIG_TEST_LAB"


class LabError(RuntimeError):
    """JupyterLab did not start; the text ends with its log."""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, its token and the folder of the notebooks it serves."""

    url: str
    token: str
    folder: Path
    log: Path

    def request(self, method: str, path: str) -> object:
        """Send one request to the server's REST interface and return the decoded answer (None when it is empty)."""
        request = urllib.request.Request(
            f"{self.url}/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def stop_kernels(self) -> None:
        """Shut down every session and its kernel."""
        sessions = self.request("GET", "api/sessions")
        assert isinstance(sessions, list)
        for session in sessions:
            self.request("DELETE", f"api/sessions/{session['id']}")

    def processes(self) -> list[psutil.Process]:
        """Return the living processes of this Lab: the server, its kernels, and what those started."""
        return [process for process in psutil.process_iter() if _mark_of(process) == self.token]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def free_port() -> int:
    """Return a TCP port that nobody listens on at 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _quiet_settings(folder: Path) -> None:
    """Switch off JupyterLab's question about news and its look for updates: both need a network."""
    settings = folder / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}))


def _environment(private: Path, token: str, project: Path) -> dict[str, str]:
    dropped = ("JUPYTER", "IPYTHON", "MPL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    folders = {
        "JUPYTER_CONFIG_DIR": private / "config",
        "JUPYTER_DATA_DIR": private / "data",
        "JUPYTER_RUNTIME_DIR": private / "runtime",
        "IPYTHONDIR": private / "ipython",
    }
    return {
        **kept,
        **{name: str(folder) for name, folder in folders.items()},
        "PYTHONPATH": os.pathsep.join(filter(None, [str(project), os.environ.get("PYTHONPATH", "")])),
        MARK: token,
    }


def _command(port: int, token: str, folder: Path, private: Path) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.user_settings_dir": private / "settings",
        "LabApp.workspaces_dir": private / "workspaces",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "jupyterlab", "--no-browser", *flags]


@contextmanager
def running_lab(folder: Path, private: Path, project: Path) -> Iterator[Lab]:
    """Run a JupyterLab that serves `folder`, keeps its own files in `private` and imports livemig from `project`.

    On exit the server, its kernels and everything they started are gone. Raises `LabError` when it does not start.
    """
    token = secrets.token_hex(16)
    port = free_port()
    _quiet_settings(private / "settings")
    lab = Lab(f"http://127.0.0.1:{port}", token, folder, private / "jupyterlab.log")
    with lab.log.open("wb") as log:
        server = subprocess.Popen(
            _command(port, token, folder, private),
            env=_environment(private, token, project),
            cwd=private,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(lab, server)
        yield lab
    finally:
        _stop(lab, server)


def _wait_until_it_answers(lab: Lab, server: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_at:
        if server.poll() is not None:
            break
        try:
            lab.request("GET", "api/status")
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    state = f"exit status {server.returncode}" if server.poll() is not None else f"no answer in {START_TIMEOUT_S:g} s"
    raise LabError(f"JupyterLab did not start ({state}); its log:\n{lab.log.read_text(errors='replace')[-4000:]}")


def _stop(lab: Lab, server: subprocess.Popen[bytes]) -> None:
    """End the server (its kernels end with it), then whatever is still marked as this Lab's."""
    processes = lab.processes()
    server.terminate()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    psutil.wait_procs(processes, timeout=5)
    leftover = lab.processes()
    for process in leftover:
        process.kill()
    psutil.wait_procs(leftover, timeout=5)
