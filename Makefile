# `make demo` and `make test` set up everything they need in .venv.
.PHONY: demo test lint format bench chaos soak clean help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core-installed
DEV := $(VENV)/.dev-installed
PYTEST_ARGS ?=

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(CORE) ## the main job on the embedded queue, in a minute
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo/run.sh

test: lint ## lint, then the whole suite
	$(BIN)/pytest $(PYTEST_ARGS)

lint: $(DEV) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## format and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEV) ## throughput, start-up, memory; AWF_BENCH_PEERS=<folder> adds other workers to the run
	$(BIN)/python -m bench

chaos: $(DEV) ## processes killed at random, full counts
	$(BIN)/python bench/chaos_sqlite.py

soak: $(DEV) ## memory of one worker over 300,000 messages
	$(BIN)/python -m bench --only soak

clean: ## remove the environment and what runs leave behind
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { apt-get update && apt-get install -y python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/pip install --quiet --upgrade pip

$(CORE): $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet -e .
	@touch $@

$(DEV): $(CORE) pyproject.toml
	$(BIN)/pip install --quiet -e . --group dev
	@touch $@
