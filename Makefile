# Amends. `make help` lists what there is. Everything is installed into .venv/ and ~/.cache/amends, nothing elsewhere.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
export AMENDS_CACHE ?= $(HOME)/.cache/amends

.DEFAULT_GOAL := help
.PHONY: help install demo test check unit explore integration journeys screenshots chaos fuzz simulate mutants bench bench-peers bench-scale up down status docs lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/installed  ## Install what is needed into .venv/

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Amends needs Python 3.11 or later; this is $$($(PYTHON) --version). Say which to use: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into $(VENV)/ (a minute the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock || \
	  { echo "Packages could not be installed: is the Python package registry reachable? (pip's own words are above)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install  ## Show the main job, live; ARGS=--exit stops by itself after about a minute
	@$(BIN)/amends demo $(ARGS)

test: install check  ## Everything that must pass: lint, types, unit, property, contract, integration
	@$(BIN)/python -m deploy.local || { test "$$CI" != true; echo "Tests that need the parts named above are skipped."; }
	@PYTHONHASHSEED=0 $(BIN)/python -m pytest tests --durations=15 $(ARGS)

check: install  ## The quick part: lint, types, imports, generated files
	@echo "Lint, format, types, direction of imports, generated files ..."
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/amends docs --check

unit: install  ## Unit and property tests, and contract tests on simulated parts; no broker
	@PYTHONHASHSEED=0 $(BIN)/python -m pytest tests/unit tests/property tests/contract -m "not integration" $(ARGS)

explore: install  ## Property tests on examples that are drawn anew each time; a failure prints how to repeat it
	@$(BIN)/python -m pytest tests/property tests/unit -m "not integration" --hypothesis-profile=explore $(ARGS)

integration: install  ## Tests on real Kafka, database and Redis
	@$(BIN)/python -m pytest tests/contract tests/integration $(ARGS)

journeys: install  ## What people do with desk and portal, in a real browser on everything real
	@$(BIN)/python -m pytest tests/journeys $(ARGS)

screenshots: install  ## Take the pictures in docs/images/ anew
	@$(BIN)/python -m tests.journeys $(ARGS)

chaos: install  ## Inject 200 faults of every kind under load and compare what came out with what was accepted; ARGS=--faults=40
	@$(BIN)/python -m pytest tests/chaos/test_faults.py -s --chaos=long --report=docs/reliability.md $(ARGS)

simulate: install  ## Run the whole in one process on simulated parts, 10,000 seeds; ARGS='--seed N' repeats one
	@$(BIN)/python -m tests.simulation $(ARGS)

mutants: install  ## Plant bugs in a copy, and tell after how many seeds the simulation finds each
	@$(BIN)/python -m tests.simulation.mutants $(ARGS)

fuzz: install  ## Feed hostile bytes to every parser, guided by coverage; ARGS="--seconds=120 --target=smpp"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tests/fuzz/requirements.lock || \
	  { echo "The fuzzer could not be installed: it has wheels for Linux on x86-64 alone. (pip's own words are above)"; exit 1; }
	@$(BIN)/python -m tests.fuzz.run $(ARGS)

bench: install  ## Measure on real parts; writes docs/benchmarks.md
	@$(BIN)/amends bench --write $(ARGS)

bench-peers: install  ## Measure side by side with others at the same work; ARGS=--write writes docs/peers.md
	@$(BIN)/python -m tests.peers $(ARGS)

bench-scale: install  ## Overload, burst, soak, growth and cost of the whole; ARGS='--parts=overload,burst --write' writes docs/scale.md
	@$(BIN)/python -m tests.scale $(ARGS)

up: install  ## Start the local stack and all services
	@$(BIN)/amends up $(ARGS)

down: install  ## Stop what `make up` started
	@$(BIN)/amends down $(ARGS)

status: install  ## Say what runs, where, and whether it is ready
	@$(BIN)/amends status $(ARGS)

docs: install  ## Write schemas/published/ and the tables in docs/ anew from the code
	@$(BIN)/amends docs

lock: install  ## Pin dependencies anew after a change of pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra local --extra dev --upgrade --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock
	@grep -o '"atheris[^"]*"' pyproject.toml | tr -d '"' | $(BIN)/uv pip compile - --upgrade --generate-hashes --no-emit-index-url --no-header --quiet --output-file tests/fuzz/requirements.lock

clean:  ## Remove what was built and run here (the cache of downloads stays)
	@rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
