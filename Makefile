# DRAG: every task of the project. `make` alone lists them.
# Needs make and python3 (3.11 to 3.13) with venv; everything else goes into .venv.

.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The first supported Python on the PATH, unless PYTHON says which.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
TRAIN := .venv-train
RUNTIME := $(VENV)/.runtime-stamp
DEV := $(VENV)/.dev-stamp
PACKAGES_STAMP := $(VENV)/.packages-stamp
PROGRESS := sed -u -n 's/ (from .*//; s/ packages: .*/ packages/; s/^\(Collecting\|Installing\) /    &/p'
SOURCES := shared deploy services tests $(wildcard benchmarks) $(wildcard training)
PACKAGES := drag_shared drag_imaging drag_ingest drag_inference drag_api drag_viewer drag_launcher
# More for the tool of a target: make test ARGS='-k letterbox', make submit ARGS='photo.jpg --wait'.
ARGS ?=

.PHONY: help
help: ## list every target (this)
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# --- environment ------------------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "DRAG needs Python 3.11, 3.12 or 3.13 with venv (Debian, Ubuntu: apt-get install python3-venv)," >&2; \
	  echo "or say where it is: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# Stamps hold the hash of what was installed: the second start costs nothing, a changed lock installs what changed.
$(PACKAGES_STAMP): requirements.lock | $(VENV)/bin/python
	@if [ "$$(cat $@ 2>/dev/null)" != "$$(cksum < $<)" ]; then \
	  set -e -o pipefail; \
	  echo "==> installing what DRAG runs on: $$(grep -c '^[a-z0-9].*==' $<) packages, some 200 MB, once"; \
	  $(PIP) install --progress-bar off --require-hashes -r $< | $(PROGRESS); \
	  cksum < $< > $@; \
	else touch $@; fi

$(RUNTIME): pyproject.toml requirements-build.lock $(PACKAGES_STAMP)
	@if [ "$$(cat $@ 2>/dev/null)" != "$$(cat pyproject.toml requirements-build.lock | cksum)" ]; then \
	  set -e; \
	  echo "==> installing DRAG itself"; \
	  $(PIP) install --quiet --require-hashes -r requirements-build.lock; \
	  $(PIP) install --quiet --no-deps --no-build-isolation --editable .; \
	  cat pyproject.toml requirements-build.lock | cksum > $@; \
	else touch $@; fi

$(DEV): requirements-dev.lock $(RUNTIME)
	@if [ "$$(cat $@ 2>/dev/null)" != "$$(cksum < $<)" ]; then \
	  set -e -o pipefail; \
	  echo "==> installing what tests and checks need, once"; \
	  $(PIP) install --progress-bar off --require-hashes -r requirements-dev.lock | $(PROGRESS); \
	  cksum < $< > $@; \
	else touch $@; fi

.PHONY: env
env: $(RUNTIME) $(DEV) ## make .venv with everything, tests and checks included

# --- use --------------------------------------------------------------------------------------------------------------

.PHONY: run
run: $(RUNTIME) ## start everything here; Ctrl-C stops it (page: port 5001, API: port 5000)
	@exec $(BIN)/drag run

.PHONY: demo
demo: $(RUNTIME) ## find the gauges in a real photo, print the answer and the annotated picture's path
	@exec $(BIN)/drag demo $(ARGS)

.PHONY: doctor
doctor: $(RUNTIME) ## check this machine and say what to fix
	@exec $(BIN)/drag doctor $(ARGS)

# --- proof ------------------------------------------------------------------------------------------------------------

.PHONY: test
test: $(DEV) ## run the tests (make test ARGS='-k letterbox')
	@$(BIN)/python -m pytest -m "not faults and not gpu" $(ARGS)

.PHONY: test-faults
test-faults: $(DEV) ## kill services and servers under load, and audit after (some 20 minutes; SHORT=1: one)
	@SHORT=$(SHORT) $(BIN)/python -m pytest -m faults --timeout=1800 $(ARGS) tests/faults

.PHONY: bench
bench: $(DEV) ## measure throughput and latency beside other servers and queues (half an hour)
	@$(MAKE) -C benchmarks ARGS="$(ARGS)"

.PHONY: bench-short
bench-short: $(DEV) ## a quick look at the same, in a minute
	@$(MAKE) -C benchmarks ARGS="--short $(ARGS)"

.PHONY: check
check: lint types arch test ## everything that must be right before a commit

.PHONY: lint
lint: $(DEV) ## check style and format
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

.PHONY: format
format: $(DEV) ## put the code into the project's format
	@$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

.PHONY: types
types: $(DEV) ## check types (mypy, strict)
	@$(BIN)/mypy $(addprefix -p ,$(PACKAGES))

.PHONY: arch
arch: $(DEV) ## check which package may import which
	@$(BIN)/lint-imports

# --- upkeep -----------------------------------------------------------------------------------------------------------

.PHONY: docs
docs: $(DEV) ## write docs/configuration.md and deploy/drag.env.example from the settings
	@$(BIN)/python -m drag_shared.config_docs

.PHONY: lock
lock: $(DEV) ## pin all dependencies anew, with hashes (make lock ARGS=--upgrade)
	@echo 'setuptools>=77' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" $(ARGS) - -o requirements-build.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-package drag --custom-compile-command "make lock" $(ARGS) pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-package drag --custom-compile-command "make lock" $(ARGS) --extra dev -c requirements.lock \
	  pyproject.toml -o requirements-dev.lock

$(TRAIN)/.stamp: training/requirements.txt
	@if [ -z "$(PYTHON)" ]; then echo "DRAG needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.12 train" >&2; exit 1; fi
	@test -x $(TRAIN)/bin/python || $(PYTHON) -m venv $(TRAIN)
	@echo "==> installing what training needs (torch and more: some GB, once)"
	@$(TRAIN)/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	@touch $@

.PHONY: train
train: $(TRAIN)/.stamp ## train the gauge detector, best on a GPU (renders alone without ARGS="--photos DIR ...")
	@$(TRAIN)/bin/python -m training.train --out training-run $(ARGS)

.PHONY: test-training
test-training: $(TRAIN)/.stamp ## prove on the CPU that the training code works: its tests and a tiny run
	@$(TRAIN)/bin/python -m pytest --noconftest tests/training
	@$(MAKE) train ARGS=--tiny

.PHONY: clean
clean: ## remove environments, caches and builds (the jobs in .drag stay)
	@rm -rf $(VENV) $(TRAIN) .venv-bench demo-output training-run build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
