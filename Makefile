# `make demo` and `make test` set up everything they need in .venv.
.PHONY: demo test lint brokers format lock bench chaos fuzz soak clean help

PYTHON ?= python3
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
# The name holds the version, so `make test PYTHON=python3.13` makes an environment of another Python anew.
MADE := $(VENV)/.made-by-python-$(PYTHON_VERSION)
LOCK := requirements-dev.lock
CORE := $(VENV)/.core-installed
DEV := $(VENV)/.dev-installed
PLUGINS := $(wildcard plugins/*)
FUZZ_INPUTS ?= 145000
BENCH_RESULTS ?= bench-results
# Three processes on two cores, because the suite waits a lot. `worksteal` hands tests out one by one, so no process gets all the slow ones.
PYTEST_ARGS ?= -n 3 --dist worksteal
# The suite starts hundreds of processes: with this set, each of them would compile the whole of awf_core.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(CORE) ## the main job on the embedded queue, in a minute
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo/run.sh

test: lint brokers ## lint, then the whole suite, real brokers included, then the guard of four CPU ratios
	$(BIN)/pytest $(PYTEST_ARGS)
	$(BIN)/python -m bench --guard

lint: $(DEV) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lint-imports importlinter-engine.toml

brokers: ## the servers and the clock (faketime) the suite runs with, from Debian's packages where they are missing
	@command -v redis-server >/dev/null && command -v faketime >/dev/null && test -x /usr/lib/rabbitmq/bin/rabbitmq-server && exit 0; \
	command -v apt-get >/dev/null || { echo "no apt-get here: tests use AWF_TEST_REDIS_URL, AWF_TEST_RABBITMQ_URL or skip"; exit 0; }; \
	root=$$(test "$$(id -u)" = 0 || echo sudo); \
	$$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq redis-server rabbitmq-server faketime >/dev/null

format: $(DEV) ## format, and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(DEV) ## write the versions of the development environment to requirements-dev.lock; LOCK_ARGS=--upgrade takes newer ones
	@command -v uv >/dev/null || $(BIN)/pip install --quiet uv
	PATH="$(BIN):$$PATH" UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet pyproject.toml $(PLUGINS:%=%/pyproject.toml) \
		--group pyproject.toml:dev --no-emit-package awf-core --universal --python-version 3.11 --no-annotate \
		$(LOCK_ARGS) --output-file $(LOCK)

bench: $(DEV) ## throughput, start-up, memory as a page with plots in bench-results/; AWF_BENCH_PEERS=<folder> adds other workers to the run
	$(BIN)/python -m bench --out $(BENCH_RESULTS)

chaos: $(DEV) brokers ## processes, connections and clocks broken at random, full counts
	$(BIN)/python bench/chaos_sqlite.py
	$(BIN)/python -m bench.chaos_redis
	$(BIN)/python -m bench.chaos_rabbitmq
	$(BIN)/python -m bench.chaos_sqs
	for broker in embedded redis cluster rabbitmq; do $(BIN)/python -m bench.chaos_in_hand --broker $$broker || exit 1; done

fuzz: $(DEV) ## a million generated inputs for everything that reads what it did not write; FUZZ_INPUTS=<for each target>
	AWF_FUZZ_INPUTS=$(FUZZ_INPUTS) AWF_FUZZ_MUTATIONS=99 $(BIN)/pytest -n 2 --dist worksteal --timeout 0 -o faulthandler_timeout=0 tests/fuzz

soak: $(DEV) ## memory of one worker over 300,000 messages
	$(BIN)/python -m bench --only soak

clean: ## remove the environment and what runs leave behind
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(MADE):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; name another interpreter with PYTHON="; exit 1; }
	$(PYTHON) -m venv --clear $(VENV) || { apt-get update && apt-get install -y python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/pip install --quiet --upgrade pip
	@touch $@

$(CORE): $(MADE) pyproject.toml
	$(BIN)/pip install --quiet -e .
	@touch $@

$(DEV): $(CORE) pyproject.toml $(LOCK) $(PLUGINS:%=%/pyproject.toml)
	$(BIN)/pip install --quiet -c $(LOCK) -e . $(PLUGINS:%=-e %) --group dev
	@touch $@
