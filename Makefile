# `make demo` and `make test` set up everything they need in .venv.
.PHONY: demo test lint brokers format bench chaos soak clean help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core-installed
DEV := $(VENV)/.dev-installed
PLUGINS := $(wildcard plugins/*)
# Two processes: the suite waits a good deal. Work is given out test by test, so that no process ends up with the slow ones.
PYTEST_ARGS ?= -n 2 --dist worksteal

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(CORE) ## the main job on the embedded queue, in a minute
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo/run.sh

test: lint brokers ## lint, then the whole suite, real brokers included
	$(BIN)/pytest $(PYTEST_ARGS)

lint: $(DEV) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lint-imports importlinter-engine.toml

brokers: ## the servers the suite runs against, from Debian's packages where they are missing
	@command -v redis-server >/dev/null && test -x /usr/lib/rabbitmq/bin/rabbitmq-server && exit 0; \
	command -v apt-get >/dev/null || { echo "no apt-get here: tests use AWF_TEST_REDIS_URL, AWF_TEST_RABBITMQ_URL or skip"; exit 0; }; \
	root=$$(test "$$(id -u)" = 0 || echo sudo); \
	$$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq redis-server rabbitmq-server >/dev/null

format: $(DEV) ## format and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEV) ## throughput, start-up, memory; AWF_BENCH_PEERS=<folder> adds other workers to the run
	$(BIN)/python -m bench

chaos: $(DEV) ## processes killed at random, full counts
	$(BIN)/python bench/chaos_sqlite.py
	$(BIN)/python -m bench.chaos_redis
	$(BIN)/python -m bench.chaos_rabbitmq

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

$(DEV): $(CORE) pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	$(BIN)/pip install --quiet -e . $(PLUGINS:%=-e %) --group dev
	@touch $@
