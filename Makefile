# `make help` lists what there is. Nothing here needs more than make, a shell and Python.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Stamps are named after what they were made from, so only a changed dependency or a moved folder
# installs again: neither a fresh checkout's file times nor a lint rule do.
KEY    := $(shell { awk '/^\[/ { on = /^\[(build-system|project|tool\.hatch)/ } on' pyproject.toml; \
            pwd; } | cksum | cut -d' ' -f1)
STAMPS := $(VENV)/.stamps
BASE   := $(STAMPS)/base-$(KEY)
TEST   := $(STAMPS)/test-$(KEY)
DOCS   := $(STAMPS)/docs-$(KEY)
PARTS  := $(STAMPS)/parts-$(KEY)

# One thread per process: two test processes with two threads each are slower than both with one.
RUN_TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
WORKERS   ?= 2
# What `make test-components` installs and tests; `none` leaves all out.
COMPONENTS ?= ray slurm postgresql
# What a machine without CUDA and internet runs; `slow` tests are part of it.
MARKS     := not gpu and not science and not network and not cluster

.DEFAULT_GOAL := help
.PHONY: help setup setup-test setup-check run test test-fast test-science test-gpu test-components \
        check lint golden bench faults damage mutants coverage docs hooks wheel clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | \
	  awk -F'\t' '{ printf "  make %-13s %s\n", $$1, $$2 }'

run: $(BASE)  ## Set up, then train, measure and print the dp_vs_fairness table (offline)
	$(BIN)/python $(BIN)/trustbench run +experiment=dp_vs_fairness

test: $(TEST)  ## Set up, then run every test that needs no GPU, no network and no long statistics
	$(RUN_TESTS) -n $(WORKERS) --dist worksteal -m "$(MARKS)"

setup: $(BASE)  ## Make .venv and install trustbench (a clean install downloads several GB: torch)

setup-test: $(TEST)  ## The same, with what tests and lint need

setup-check: $(STAMPS)/venv  ## The same, and what the site needs, in one installation
	@echo 'Installing trustbench; the first time this downloads several GB, most of it torch.'
	@[ -e $(TEST) -a -e $(DOCS) ] || { $(PIP) -e '.[test,docs]' && $(COMPILE); }
	@rm -f $(STAMPS)/base-* $(STAMPS)/test-* $(STAMPS)/docs-*
	@touch $(BASE) && touch $(TEST) $(DOCS)

check: lint docs test  ## What CI runs: lint, types, import rules, the site, tests

lint: $(TEST)  ## ruff, ruff format, mypy --strict, import-linter
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python $(BIN)/lint-imports

test-fast: $(TEST)  ## Tests under five seconds each
	$(RUN_TESTS) -n $(WORKERS) --dist worksteal

test-science: $(TEST)  ## Statistical claims; minutes
	$(RUN_TESTS) -m science

test-components: $(if $(filter none,$(COMPONENTS)),,$(PARTS))  ## Tests on a real Ray, SLURM and PostgreSQL; installs them (Debian, root); minutes
	scripts/components.sh $(COMPONENTS)

test-gpu: $(TEST)  ## Tests that need CUDA
	$(RUN_TESTS) -m gpu

coverage: $(TEST)  ## Tests with branch coverage
	$(RUN_TESTS) -n $(WORKERS) --dist worksteal -m "$(MARKS)" --cov --cov-report=term-missing

golden: $(TEST)  ## Write golden files anew and show what moved; reviewers read that diff
	TRUSTBENCH_UPDATE_GOLDEN=1 $(RUN_TESTS) -m "$(MARKS)" -k golden
	git --no-pager diff --stat --patch -- tests

bench: $(BASE)  ## Time the main commands; prints machine, n and ratios
	for script in scripts/bench_*.py; do $(BIN)/python $$script || exit; done

faults: $(TEST)  ## Kill, fill, cut and damage the smoke sweep 200 times; an hour or more
	$(BIN)/python scripts/faults.py

damage: $(TEST)  ## Damage every file of a store in 500 trials: no wrong value may be read; minutes
	$(BIN)/python scripts/damage.py

mutants: $(TEST)  ## Change the core modules one thing at a time, and list what no test notices; hours
	$(PIP) -e '.[mutants]'
	OMP_NUM_THREADS=1 $(BIN)/python scripts/mutants.py

docs: $(DOCS)  ## Build the site of the documentation into site/; strict, offline
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

hooks: $(TEST)  ## Install the pre-commit hooks
	$(BIN)/python -m pip install -q 'pre-commit>=4'
	$(BIN)/pre-commit install

wheel: $(TEST)  ## Build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

clean:  ## Remove caches and builds; .venv and outputs stay
	rm -rf dist build site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.*

# --- set-up ------------------------------------------------------------------------------------

RECENT  := import sys; sys.exit(sys.version_info < (3, 11))
TOO_OLD := trustbench needs Python 3.11 or newer, and `$(PYTHON)` is missing or older; \
  name one that is new enough: make PYTHON=python3.12 $(MAKECMDGOALS)
# Byte code is made once, on all processors: pip would use one, and under PYTHONDONTWRITEBYTECODE
# each later import would make it again, three times slower. Some templates in site-packages are not
# Python, which is fine.
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
COMPILE := { $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true; }

$(STAMPS)/venv:
	@$(PYTHON) -c '$(RECENT)' 2>/dev/null || { echo '$(TOO_OLD)' >&2; exit 2; }
	@if [ -x $(BIN)/python ] && ! $(BIN)/python -c '$(RECENT)'; then \
	  echo '$(VENV) was made with an older Python; remove it and run make again.' >&2; exit 2; fi
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# pip leaves alone what satisfies pyproject.toml, so a stale stamp downloads nothing again.
$(BASE): $(STAMPS)/venv
	@echo 'Installing trustbench; the first time this downloads several GB, most of it torch.'
	$(PIP) -e .
	@$(COMPILE)
	@rm -f $(STAMPS)/base-* && touch $@

$(TEST): $(BASE)
	$(PIP) -e '.[test]'
	@$(COMPILE)
	@rm -f $(STAMPS)/test-* && touch $@

$(PARTS): $(TEST)
	$(PIP) -e '.[ray,slurm,server]'
	@$(COMPILE)
	@rm -f $(STAMPS)/parts-* && touch $@

$(DOCS): $(BASE)
	$(PIP) -e '.[docs]'
	@$(COMPILE)
	@rm -f $(STAMPS)/docs-* && touch $@
