"""What can be known of Binder without Binder: environment.yml is parsed by a conda library, its pins are solved on PyPI
for three systems and with the packages that repo2docker starts from, and repo2docker's dry run says what it would do.

Nothing here solves with conda or builds an image; docs/howto/hosting.md says so too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import rattler
import yaml
from packaging.utils import canonicalize_name

from tests.conftest import in_ci
from tests.project.locks import BINDER, CONDA_NAMES, LOCKS, ONLY_CONDA, conda_lines, pypi_pins, versions

# A package that only this system needs: the answers are for three systems and not three times for this one.
SYSTEMS = {"linux": "pexpect", "macos": "appnope", "windows": "pywinpty"}
BASE = "environment.py-{python}"  # what repo2docker installs before environment.yml: .yml asked for, .lock solved
VIEWS = ("lab/tree/", "voila/render/")  # what a server's address begins with to open a file
BASE_NAMES = {"jupyterhub-singleuser": "jupyterhub"}


# -- (a) conda's own grammar -----------------------------------------------------------------------------------------
def test_every_line_is_a_match_spec_and_takes_the_locked_version(root: Path) -> None:
    locked = {**versions(root / LOCKS[0], BINDER), "python": BINDER["python_full_version"]}
    specs = [rattler.MatchSpec(line, strict=True) for line in conda_lines(root / "environment.yml")]
    names = [spec.name.normalized for spec in specs]
    assert len(set(names)) == len(names) > 10
    for name, spec in zip(names, specs, strict=True):
        version = locked.get(canonicalize_name(CONDA_NAMES.get(name, name)))
        assert (version is None) == (name in ONLY_CONDA.keys() - {"python"}), name
        if version is not None:
            assert rattler.VersionSpec(str(spec.version)).matches(rattler.Version(version)), f"{spec} and {version}"
            assert not rattler.VersionSpec(str(spec.version)).matches(rattler.Version("99.0")), f"{spec} takes anything"


@pytest.mark.parametrize("line", ["numpy=2.4=", "numpy==2..4", "-e .", "numpy 2.4 & 3", "numpy ="])
def test_the_parser_refuses_what_is_none(line: str) -> None:
    with pytest.raises(Exception, match=r"not valid|unable to parse|malformed"):
        rattler.MatchSpec(line, strict=True)


# -- (b) the same pins on PyPI ----------------------------------------------------------------------------------------
def solved(requirements: list[str], system: str, **environment: str) -> dict[str, str]:
    """{canonical name: version} that `uv pip compile` finds for a system, from wheels alone.

    Fails in CI when no package index answers; elsewhere it skips. Raises `ValueError` when there is no solution.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary",
               ":all:", "--python-version", BINDER["python_version"], "--python-platform", system, "-"]
    done = subprocess.run(command, input="\n".join(requirements), text=True, capture_output=True, check=False,
                          env={**os.environ, **environment})
    if done.returncode and "No solution found" not in done.stderr:
        message = f"no package index answers, the pins of environment.yml were not solved: {done.stderr.strip()}"
        if in_ci():
            pytest.fail(f"{message}; CI=true forbids to skip", pytrace=False)
        pytest.skip(message)
    if done.returncode:
        raise ValueError(done.stderr)
    found = dict(line.split(";")[0].strip().split("==") for line in done.stdout.splitlines() if line.strip())
    return {canonicalize_name(name): version for name, version in found.items()}


def ours(root: Path) -> list[str]:
    return [f"{name}=={pin}.*" for name, pin in pypi_pins(root / "environment.yml").items()]


def base_packages(python: str) -> dict[str, str]:
    """{PyPI name: version} that repo2docker's frozen base has of what it asks for itself (its Jupyter, no more)."""
    spec = find_spec("repo2docker")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "buildpacks" / "conda"
    asked = yaml.safe_load((folder / f"{BASE.format(python=python)}.yml").read_text(encoding="utf-8"))["dependencies"]
    names = {re.split(r"[=<> ]", line)[0] for line in asked if isinstance(line, str)}
    lock = (folder / f"{BASE.format(python=python)}-linux-64.lock").read_text(encoding="utf-8")
    frozen = dict(re.findall(r"/([a-z0-9_.-]+)-(\d[^-]*)-[^-/]+\.(?:conda|tar\.bz2)", lock))
    assert frozen["python"].startswith(f"{python}."), "repo2docker has no frozen base for this Python"
    return {canonicalize_name(BASE_NAMES.get(name, name)): frozen[name] for name in names - {"python", "pip", "nodejs"}}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_pins_are_solved_on_pypi(root: Path, system: str) -> None:
    found = solved(ours(root), system)
    for name, pin in pypi_pins(root / "environment.yml").items():
        assert f"{found[name]}.".startswith(f"{pin}."), name
    assert SYSTEMS[system] in found
    assert not {other for other in SYSTEMS.values() if other in found} - {SYSTEMS[system], "pexpect"}


def test_the_pins_go_with_what_repo2docker_has_installed_before(root: Path) -> None:
    """Its JupyterHub, its extensions and its server stay as they were frozen; only what environment.yml pins moves."""
    pins = pypi_pins(root / "environment.yml")
    kept = [f"{name}=={version}" for name, version in base_packages(BINDER["python_version"]).items()
            if name not in pins]
    assert len(kept) >= 3
    solved(ours(root) + kept, "linux")
    without = [line for line in ours(root) if not line.startswith("notebook==")]
    old = base_packages(BINDER["python_version"])["notebook"]
    with pytest.raises(ValueError, match=r"notebook.*depends on jupyterlab"):  # why environment.yml pins notebook
        solved([*without, f"notebook=={old}"], "linux")


def test_without_an_index_ci_fails_and_others_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0",
               "UV_CACHE_DIR": str(tmp_path), "UV_FIND_LINKS": ""}
    for value, outcome in (("true", pytest.fail.Exception), ("false", pytest.skip.Exception)):
        monkeypatch.setenv("CI", value)
        with pytest.raises(outcome, match="no package index answers"):
            solved(["numpy"], "linux", **nowhere)


# -- (c) repo2docker's dry run ----------------------------------------------------------------------------------------
def dockerfile(folder: Path, cwd: Path) -> list[str]:
    """The lines of the Dockerfile that repo2docker would build; it asks for neither Docker nor a network."""
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "--user-id", "1000", "--user-name",
               "jovyan", str(folder)]
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [line.strip() for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]


def escaped(name: str) -> str:
    """A file name as the Dockerfile spells it: other characters than letters and digits as their hexadecimal codes."""
    return re.sub(r"[^A-Za-z0-9]", lambda found: f"-{ord(found[0]):x}", name)


def steps(lines: list[str], packages: list[str]) -> list[int]:
    """The places of the steps that livemig's files ask for, in the order in which they have to come. -1: is missing."""
    wanted = (
        f"COPY .*{escaped(BASE.format(python=BINDER['python_version']) + '-linux-64.lock')}-",
        rf"apt-get install --yes --no-install-recommends {' '.join(packages)} &&",
        r"COPY --chown=1000:1000 src/ \$\{REPO_DIR\}/$",
        r'.*\$\{MAMBA_EXE\} env update -p \$\{NB_PYTHON_PREFIX\} --file "environment\.yml"',
        r"RUN chmod \+x postBuild$",
        r"RUN \./postBuild$",
    )
    return [next((i for i, line in enumerate(lines) if re.match(pattern, line)), -1) for pattern in wanted]


def test_repo2docker_takes_conda_apt_and_post_build_in_this_order(root: Path, tmp_path: Path) -> None:
    packages = (root / "apt.txt").read_text(encoding="utf-8").split()
    found = steps(dockerfile(root, tmp_path), packages)
    assert found == sorted(found)
    assert -1 not in found


def test_a_folder_that_hides_these_files_would_be_seen(root: Path, tmp_path: Path) -> None:
    """With a folder .binder repo2docker reads nothing else; without environment.yml it takes another Python."""
    for name in ("apt.txt", "environment.yml", "postBuild"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / ".binder").mkdir()
    assert -1 in steps(dockerfile(tmp_path, tmp_path), ["qemu-system-arm"])
    assert not [folder for folder in ("binder", ".binder", "Dockerfile", "runtime.txt") if (root / folder).exists()]


@pytest.mark.skipif(sys.platform == "win32", reason="Binder's image is Linux; sh")
def test_post_build_runs_and_leaves_a_jupyterlab_without_questions(root: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([root / "postBuild"], cwd=root, text=True, capture_output=True, check=False, env={
        **os.environ, "PATH": path, "NB_PYTHON_PREFIX": str(tmp_path), "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    (settings,) = tmp_path.glob("share/jupyter/lab/settings/overrides.json")
    assert '"fetchNews": "false"' in settings.read_text(encoding="utf-8")
    (picture,) = tmp_path.glob("*/run.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


# -- the link ---------------------------------------------------------------------------------------------------------
def test_the_link_in_the_docs_opens_notebook_00_in_jupyterlab(root: Path) -> None:
    page = (root / "docs/howto/hosting.md").read_text(encoding="utf-8")
    links = re.findall(r"https://mybinder\.org/v2/\S+?(?=[)\s`])", page)
    assert links
    for link in links:
        assert re.fullmatch(r"/v2/gh/OWNER/REPOSITORY/[A-Za-z0-9.]+", urlsplit(link).path), link
        (opens,) = parse_qs(urlsplit(link).query)["urlpath"]
        assert opens.startswith(VIEWS), link
        assert (root / re.sub("|".join(VIEWS), "", opens)).is_file(), link
