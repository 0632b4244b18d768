# DRAG: every task of the project. `make` alone lists them.
# Needs make and python3 (3.11 to 3.13) with venv; everything else goes into .venv.

.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# The newest supported Python on the PATH, unless PYTHON says which.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
RUNTIME := $(VENV)/.runtime-stamp
DEV := $(VENV)/.dev-stamp
ARGS ?=

.PHONY: help
help: ## list every target
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environment ------------------------------------------------------------------------------------------------------

define need_python
	@if [ -z "$(PYTHON)" ]; then echo "DRAG needs Python 3.11, 3.12 or 3.13; install one or say which: make PYTHON=/path/to/python3.12 $@" >&2; exit 1; fi
endef

$(VENV)/bin/python:
	$(need_python)
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }

# Stamps are keyed on the locks: an unchanged lock costs nothing, a changed one installs what changed.
$(RUNTIME): requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "==> installing what DRAG runs on (once; progress below)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "==> installing what tests and checks need (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: env
env: $(RUNTIME) $(DEV) ## make .venv with everything, tests and checks included
