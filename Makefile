# make lab   JupyterLab on notebook 00, from the pinned packages        make test   every check and every test
# make site  the notebooks as a static site in site/                 make slides, make handout, make app  see README.md
# make lock  the lock files anew from pyproject.toml                    make clean  remove .venv and caches
# make docs  docs/ anew where it is generated, and the glossary's marks in the notebooks (make terms: only these)
# Another Python: make lab PYTHON=python3.12. A part of the tests: make test PYTEST_ARGS="-k wheel".

PYTHON ?= python3
VENV ?= .venv
NOTEBOOK ?= notebooks/00_start_here.ipynb
LAB_ARGS ?=
APP_ARGS ?=
PYTEST_ARGS ?=

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
LOCK := $(PY) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --group build \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_ARGS)

.PHONY: help lab site slides handout app test check docs terms debian-packages lock clean
.NOTPARALLEL:

help:
	@sed -n '1,4s/^# //p' Makefile

# The shell is named because the server else starts a login shell, which puts PATH back: its terminals would have no livemig.
lab: $(VENV)/.installed
	@test -f $(NOTEBOOK) || { echo "make lab: $(NOTEBOOK) is missing; is this a complete clone?" >&2; exit 1; }
	PATH="$(abspath $(VENV))/bin:$$PATH" $(PY) -m jupyterlab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=. \
		--LabApp.default_url=/lab/tree/$(NOTEBOOK) "--ServerApp.terminado_settings={'shell_command': ['$${SHELL:-sh}']}" $$([ "$$(id -u)" != 0 ] || echo --allow-root) $(LAB_ARGS)

site: $(VENV)/.installed
	$(VENV)/bin/livemig site --out site

slides: $(VENV)/.installed
	$(VENV)/bin/livemig slides --out slides

handout: $(VENV)/.installed
	$(VENV)/bin/livemig handout --out handout.pdf

app: $(VENV)/.installed
	$(VENV)/bin/livemig app $(APP_ARGS)

test: debian-packages check

check: $(VENV)/.installed-test
	$(PY) -m ruff check .
	$(PY) -m mypy --strict livemig
	@sh .ci/node-tests
	$(PY) -m pytest tests $(PYTEST_ARGS)

docs: $(VENV)/.installed-test terms
	$(PY) -m livemig.publish.written

terms: $(VENV)/.installed
	$(PY) -m livemig.course.mark notebooks/*.ipynb

debian-packages:
	@PYTHON=$(PYTHON) sh .ci/debian-packages

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "livemig needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

# The stamps make a second run start at once; a changed lock or pyproject.toml installs again.
$(VENV)/.installed: requirements.lock pyproject.toml | $(PY)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@sh .ci/lab-settings $(VENV)
	@touch $@

$(VENV)/.installed-test: requirements-test.lock $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements-test.lock
	@touch $@

# LOCK_ARGS=--upgrade takes the newest versions; without it what is pinned stays pinned.
lock: $(VENV)/.installed-test
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra test --constraint requirements.lock --output-file requirements-test.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/browser/shots
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
