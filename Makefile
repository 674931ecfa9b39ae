# Every target sets up what it needs: the first one makes .venv from requirements.lock.

# The locked hash wheels exist for Python 3.11 and no later one.
IS_PYTHON_3_11 := -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'
PYTHON ?= $(shell for name in python3 python3.11; do \
	$$name $(IS_PYTHON_3_11) 2>/dev/null && echo $$name && break; done)
UV_VERSION := 0.13.9
LOCK_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
LOCK_VENV := build/lock

CODE := $(wildcard sequencer devnet contracts scripts tests)
PACKAGES := $(wildcard sequencer/__init__.py devnet/__init__.py contracts/__init__.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help check test test-contracts contracts crash bench run lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: $(READY) ## lint, format, types, project rules and unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict $(CODE)
	$(BIN)/pytest -q -n auto tests/test_tidy.py $(wildcard tests/unit)

test: $(READY) ## all tests
	$(BIN)/pytest -q -n auto

test-contracts: $(READY) ## unit tests in Cairo, 5 minutes; skipped by name without node
	$(BIN)/python scripts/build_contracts.py test

contracts: $(READY) ## compile the Cairo contracts to contracts/artifacts; needs node and cargo
	$(BIN)/python scripts/build_contracts.py build

crash: $(READY) ## kill the engine wherever it writes; nothing acknowledged may be lost
	$(BIN)/python scripts/crash.py

bench: $(READY) ## measure hashes, signatures, the trie and the exchange
	$(BIN)/python scripts/bench.py

run: $(READY) ## recompute published blocks, trade a recorded market, seal and verify blocks
	$(BIN)/perpchain vectors tests/vectors/starknet
	$(BIN)/perpchain run

lock: ## remake requirements.lock; LOCK_FLAGS=--upgrade moves every pin
	$(PYTHON) -m venv --clear $(LOCK_VENV)
	$(LOCK_VENV)/bin/pip install --quiet uv==$(UV_VERSION)
	$(LOCK_VENV)/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --strip-extras \
		--custom-compile-command "make lock" --extra dev $(LOCK_FLAGS) \
		--output-file requirements.lock pyproject.toml

clean: ## remove the environment, caches and build output
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml $(PACKAGES)
	@$(or $(PYTHON),false) $(IS_PYTHON_3_11) \
		|| { echo "perpchain needs Python 3.11; name it with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
