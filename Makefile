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
LOCKED := $(VENV)/.locked
LOCK_VENV := build/lock

# Whoever installs cargo later gets the native core at the next call of make.
CARGO := $(shell command -v cargo 2>/dev/null)
NATIVE := $(VENV)/.native
CORE := $(if $(CARGO)$(wildcard $(NATIVE)),$(NATIVE),$(VENV)/.wheels)
NATIVE_SOURCES := $(wildcard native/*.toml native/src/*.rs native/src/*/*.rs)
NATIVE_BUILD := build/native
NATIVE_CORE := perpchain-native

# Of crash, simulate and fuzz: sample fits into half an hour, release has no limit of time.
SIZE ?= sample

CODE := $(wildcard sequencer devnet contracts scripts tests)
PACKAGES := $(wildcard sequencer/__init__.py devnet/__init__.py contracts/__init__.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help devnet check test test-contracts contracts devnet-real test-devnet native test-native test-wheels crash kill-run simulate planted fuzz campaigns bench run run-embedded lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: $(READY) ## lint, format, types, project rules and unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict $(CODE)
	$(BIN)/pytest -q -n auto tests/test_tidy.py $(wildcard tests/unit)

test: $(READY) ## all tests
	$(BIN)/pytest -q -n auto --dist worksteal

test-contracts: $(READY) ## unit tests in Cairo, half an hour; skipped by name without node
	$(BIN)/python scripts/build_contracts.py test

contracts: $(READY) ## compile the Cairo contracts to contracts/artifacts; needs node and cargo
	$(BIN)/python scripts/build_contracts.py build

devnet-real: $(READY) ## starknet-devnet into the cache; 20 minutes once, where cargo builds it
	$(BIN)/python scripts/devnet_real.py

test-devnet: $(READY) ## what needs starknet-devnet; skipped by name without it
	$(BIN)/pytest -q -rs -n auto --dist loadfile -m devnet tests/contracts $(wildcard tests/e2e tests/crash)

native: $(LOCKED) ## build the native core and say how that goes; needs cargo
	$(BUILD_NATIVE)

test-native: $(LOCKED) ## Rust's own tests of the native core; needs cargo and a shared libpython
	PYO3_PYTHON=$(CURDIR)/$(BIN)/python CARGO_TARGET_DIR=$(CURDIR)/$(NATIVE_BUILD)/target \
		cargo test --quiet --release --lib --manifest-path native/Cargo.toml

test-wheels: $(READY) ## protocol, chain, store and engine once more, without the native core
	PERPCHAIN_HASHES=wheels $(BIN)/pytest -q -n auto --dist worksteal tests/vectors \
		tests/unit/starknet tests/unit/chain tests/unit/storage tests/unit/engine tests/properties

crash: $(READY) ## kill the engine wherever it writes; nothing acknowledged may be lost
	$(BIN)/python scripts/crash.py --size $(SIZE)

kill-run: $(READY) ## kill a whole run at 40 moments, and let it go on; 20 minutes
	$(BIN)/python scripts/kill_run.py

simulate: $(READY) ## 1,000 races of rollbacks, 10,000 cut writes, 1,000 damaged stores, money, twins
	$(BIN)/python scripts/simulate.py --size $(SIZE)

planted: $(READY) ## plant 15 bugs in copies of the tree, and see that the campaigns find each
	$(BIN)/python scripts/plant.py

fuzz: $(READY) ## 100,000 mutated requests to a devnet, 1,000,000 inputs for the native core
	$(BIN)/python scripts/fuzz.py --size $(SIZE)

campaigns: $(READY) ## add up what the campaigns came to, and say what a release still wants
	$(BIN)/python scripts/campaigns.py

bench: $(READY) ## measure hashes, signatures, the trie, the exchange, the node and its API
	$(BIN)/python scripts/bench.py

devnet: $(READY) ## an appchain for development with bots that trade, until Ctrl-C
	$(BIN)/perpchain devnet --bots

run: $(READY) ## trade a recorded market, go back, go on, prove it; 1 to 2 minutes
	$(BIN)/perpchain run --report build/report.html

run-embedded: $(READY) ## the same on the embedded devnet, which runs no Cairo and needs no cargo
	$(BIN)/perpchain run --settlement embedded --report build/report.html

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

$(READY): $(LOCKED) $(CORE)
	@touch $@

$(LOCKED): requirements.lock pyproject.toml $(PACKAGES)
	@$(or $(PYTHON),false) $(IS_PYTHON_3_11) \
		|| { echo "perpchain needs Python 3.11; name it with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# A core of other sources must not stay where the build of these fails.
define BUILD_NATIVE
mkdir -p $(NATIVE_BUILD)
rm -f $(NATIVE_BUILD)/*.whl
$(BIN)/pip uninstall --quiet --disable-pip-version-check --yes $(NATIVE_CORE)
CARGO_TARGET_DIR=$(CURDIR)/$(NATIVE_BUILD)/target $(BIN)/maturin build --quiet --release \
	--manifest-path native/Cargo.toml --interpreter $(BIN)/python --out $(NATIVE_BUILD)
$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(NATIVE_BUILD)/*.whl
endef

$(VENV)/.wheels: $(LOCKED)
	@echo "no cargo, so no native core: the hash wheels do its work, slower"
	@touch $@

$(NATIVE): $(LOCKED) $(NATIVE_SOURCES)
	@echo "building the native core, half a minute once"
	@$(MAKE) --no-print-directory native >$(VENV)/native.log 2>&1 || echo "the native core was not" \
		"built ('make native' says why); the hash wheels do its work, slower"
	@touch $@
