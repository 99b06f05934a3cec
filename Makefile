# Everything needs only make and a Python >= 3.11 with venv; it is kept in .venv, built once and again when the lock changes.

PYTHON ?= python3
WORKERS ?= 3
PYTEST_ARGS ?=
ROWS ?=
TRAIN_ARGS ?=
MCMC_ARGS ?=
DIFFUSION_ARGS ?=
PAGES ?=
PORT ?= 8000

VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
NEWEST := .venv-newest
NEWEST_INSTALLED := $(NEWEST)/.installed
GPU := .venv-gpu
GPU_INSTALLED := $(GPU)/.installed
RECORDINGS := $(VENV)/.recordings
PATIENTS := $(VENV)/.patients
FLOWS := $(VENV)/.flows
TORCH := $(VENV)/.torch
DOCS := .venv-docs
DOCS_INSTALLED := $(DOCS)/.installed
PACKAGE := .venv-package
PACKAGE_INSTALLED := $(PACKAGE)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
NEWEST_PIP := $(NEWEST)/bin/python -m pip --disable-pip-version-check --no-input
PACKAGE_PIP := $(PACKAGE)/bin/python -m pip --disable-pip-version-check --no-input

# The interpreter must be able to make an environment, and the folder to hold it.
CAN_SET_UP = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "parascan needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not installed)."; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make environments: its modules venv and ensurepip are missing."; \
		echo "Debian and Ubuntu have them in the package python3-venv; or name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; \
		exit 1; } >&2; \
	test -w . || { echo "This folder cannot be written to, and .venv is made in it: copy it to another place." >&2; exit 1; }
# What a failed installation says: pip's errors, without its warnings, and whether there was a network.
SAY_WHY = { grep -v ^WARNING $(1) >&2; if grep -qE 'NewConnectionError|name resolution|unreachable|ConnectTimeout|Max retries|ProxyError' $(1); \
		then echo "No package index could be reached: the set-up needs a network, or PIP_INDEX_URL must name an index that is there." >&2; fi; \
		echo "The set-up failed; run the same command to try again." >&2; exit 1; }

.PHONY: help setup test rounded test-optimized test-all newest-environment environments test-newest \
	check-versions matrix package torch mutants fuzz demo paper paper-page \
	train-demo mcmc-demo diffusion-demo docs docs-serve tutorials theory bench gpu-check gpu-measure lint types signatures lock clean
.DELETE_ON_ERROR:
# Each target uses all cores, or one environment: with -j they still run one after the other.
.NOTPARALLEL:

help:
	@echo "make test    run the tests, in about 15 minutes on two cores (WORKERS=3 processes; PYTEST_ARGS=... is passed on)"
	@echo "make test-all  run all tests, as programs are compiled for users: the slow and the exhaustive ones too"
	@echo "make mutants  break the package on purpose, line by line, and see whether the tests notice"
	@echo "make test-optimized  run what rests on rounding with all optimizations of the compiler, as users do"
	@echo "make test-newest  run some tests with the newest JAX, under the newest Python that is there"
	@echo "make matrix  run tests under every Python that is there, with the newest and the lowest packages, and print a table"
	@echo "make package  build the archives of a release, check them, and try the wheel in an empty environment"
	@echo "make torch   add PyTorch to the environment, for parascan.torch and its tests"
	@echo "make fuzz    solve 10000 random and 10000 adversarial problems and check every answer (FUZZ=10000)"
	@echo "make demo    reproduce table 1 of the paper: the main job on real systems"
	@echo "make paper   reproduce every figure and table of the paper, and more, within an hour on two cores"
	@echo "make paper-page  write docs/paper.md from what make paper has stored"
	@echo "make mcmc-demo   foretell and sample two posteriors (MCMC_ARGS=\"--draws 2000\" is passed on)"
	@echo "make diffusion-demo  train a small diffusion model on digits and sample it in parallel over its steps"
	@echo "make train-demo  train recurrent classifiers on real recordings (TRAIN_ARGS=\"--steps 20\" is passed on)"
	@echo "make docs    build the site of the documentation in build/site/html; a dead link or an unknown name fails it"
	@echo "make docs-serve  build it and show it at localhost, port PORT=8000"
	@echo "make tutorials  run the tutorials and store the pictures that they draw (PAGES=\"docs/tutorials/03...\" for some)"
	@echo "make theory  write docs/theory.md: the paper's statements, where they are in the code, their tests"
	@echo "make bench   measure speed against lax.scan and published-style methods (ROWS=\"1 8\" for some rows)"
	@echo "make gpu-check  compile for an H100 that need not be there, count launches, write docs/accelerators.md (4.4 GB)"
	@echo "make gpu-measure  measure on the GPU that is there, in less than 8 minutes"
	@echo "make lint    check style and formatting"
	@echo "make types   check types"
	@echo "make signatures  store the public signatures anew, after a change of them that CHANGELOG.md tells"
	@echo "make lock    resolve the pinned packages anew, with PYTHON=python3.11, and the newest ones with the newest Python"
	@echo "make clean   remove the environments and everything that can be built again, results of make demo and make paper too"

setup: $(INSTALLED)

test: setup
	@started=$$(date +%s); $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS); status=$$?; \
		echo "The tests took $$(($$(date +%s) - started)) s."; exit $$status

# What rests on how numbers are rounded is tested as users compile it too.
ROUNDED := tests/fuzz tests/chunked/test_acceptance.py tests/chunked/test_acceptance_overlooked.py tests/dropin/test_scan.py
test-optimized: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --optimized $(ROUNDED) $(PYTEST_ARGS)

rounded:
	@echo $(ROUNDED)

test-all: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --optimized -m "" $(PYTEST_ARGS)

# Those whose description holds the words of MUTANTS, or all.
MUTANTS ?=
mutants: setup
	@WORKERS=$(WORKERS) $(BIN)/python tests/mutation/mutants.py $(MUTANTS)

# The newest JAX needs a newer Python than the oldest one of this package. pyenv has those too that it does not show.
FIND_NEWEST := PYTHON="$(PYTHON)" $(PYTHON) .ci/interpreters.py 13 12
# All tests of versions; of those of platforms, whose further combinations take many minutes, what runs by default.
VERSIONS := tests/core/test_versions.py tests/structure/test_inside.py
OF_VERSIONS = -p no:cacheprovider -n $(WORKERS) --dist worksteal

newest-environment:
	@python=$$($(FIND_NEWEST)); if [ -n "$$python" ]; then \
		$(MAKE) --no-print-directory $(NEWEST_INSTALLED) NEWEST_PYTHON="$$python"; fi

# What `make docs` and `make test-newest` need, beside what `make setup` makes.
environments: $(DOCS_INSTALLED) newest-environment

test-newest: newest-environment
	@if [ ! -e $(NEWEST_INSTALLED) ]; then \
		echo "Neither Python 3.13 nor 3.12 is there, one of which the newest JAX needs: nothing is tested with it."; exit 0; fi; \
		$(NEWEST)/bin/python -c "import platform, jax; print('JAX', jax.__version__, 'under Python', platform.python_version())" && \
		$(MAKE) --no-print-directory check-versions PYTHON=$(NEWEST)/bin/python

# What differs between versions, under a Python that has the package and pytest already.
check-versions:
	@$(PYTHON) -m pytest $(OF_VERSIONS) -m "" $(VERSIONS) $(PYTEST_ARGS)
	@$(PYTHON) -m pytest $(OF_VERSIONS) tests/core/test_platform.py $(PYTEST_ARGS)

# The environments are made anew each time, in build/matrix. MATRIX="3.12:lowest 3.13:newest" is a part of it.
MATRIX ?=
MATRIX_TESTS ?= tests/core tests/dropin tests/structure tests/chunked tests/gradients
matrix:
	@PYTHON="$(PYTHON)" $(PYTHON) .ci/matrix.py --only "$(MATRIX)" --workers $(WORKERS) $(MATRIX_TESTS)

package: $(PACKAGE_INSTALLED)
	@$(PACKAGE)/bin/python .ci/package.py

torch: $(TORCH)

# The builder keeps what it has made of unchanged pages, and does not see that a docstring has changed.
docs: $(DOCS_INSTALLED)
	@$(DOCS)/bin/python docs/site/assemble.py
	@cd build/site && PATH="$(CURDIR)/$(DOCS)/bin:$$PATH" python -m zensical build --config-file mkdocs.yml --strict --clean

docs-serve: docs
	@$(PYTHON) -m http.server --directory build/site/html --bind localhost $(PORT)

# What a tutorial draws is stored; one needs the recordings, others show more where reservoirpy and BlackJAX are there.
tutorials: $(RECORDINGS)
	@$(BIN)/python tests/meta/tutorial_pictures.py $(PAGES)

theory: setup
	@$(BIN)/python tests/meta/theory_map.py

signatures: setup
	@$(BIN)/python tests/meta/signatures.py

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

mcmc-demo: $(PATIENTS)
	@$(BIN)/python -m examples.mcmc $(MCMC_ARGS)

diffusion-demo: $(PATIENTS)
	@$(BIN)/python -m examples.diffusion $(DIFFUSION_ARGS)

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
	@if [ -e $(TORCH) ]; then $(BIN)/basedpyright --pythonpath $(BIN)/python --project .ci/torch_types.json; fi

# A stamp is written by the command that must have succeeded, so neither a failure nor an interrupt leaves one behind.
# pip's warnings about the machine's own configuration are left out, its errors shown.
$(LOCKED): requirements.lock
	@$(CAN_SET_UP)
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "Installing $$(grep -c == requirements.lock) pinned packages (about 300 MB to fetch: half a minute or more)"
	@{ $(PIP) install --progress-bar off -r requirements.lock 2>$(VENV)/pip.log && touch $@.part; } | { \
		count=0; while read -r word name rest; do case $$word in \
			Collecting|Processing) count=$$((count + 1)); if [ $$((count % 10)) -eq 0 ]; then echo "  fetched $$count"; fi ;; \
			Installing) echo "  fetched $$count; unpacking" ;; \
		esac; done; }
	@mv $@.part $@ 2>/dev/null || $(call SAY_WHY,$(VENV)/pip.log)

$(INSTALLED): $(LOCKED) pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable . 2>$(VENV)/pip.log || $(call SAY_WHY,$(VENV)/pip.log)
	@touch $@
	@echo "parascan is installed in $(VENV)"

# `make matrix` pins nothing; this environment is pinned, so that a change is not held up by what others released today.
$(NEWEST_INSTALLED): requirements-newest.lock pyproject.toml
	@echo "Creating $(NEWEST) with $$("$(NEWEST_PYTHON)" --version) and the newest packages, as pinned"
	@"$(NEWEST_PYTHON)" -m venv --clear $(NEWEST)
	@$(NEWEST_PIP) install --quiet -r requirements-newest.lock 2>$(NEWEST)/pip.log || $(call SAY_WHY,$(NEWEST)/pip.log)
	@$(NEWEST_PIP) install --quiet --no-deps --no-build-isolation --editable . 2>$(NEWEST)/pip.log || $(call SAY_WHY,$(NEWEST)/pip.log)
	@touch $@

$(DOCS_INSTALLED): requirements-docs.lock
	@$(CAN_SET_UP)
	@echo "Creating $(DOCS) with the builder of the site (40 MB)"
	@$(PYTHON) -m venv --clear $(DOCS)
	@$(DOCS)/bin/python -m pip --disable-pip-version-check --no-input install --quiet -r requirements-docs.lock \
		2>$(DOCS)/pip.log || $(call SAY_WHY,$(DOCS)/pip.log)
	@touch $@

# The tools of a release are not pinned: what they newly find wrong with an archive is wanted.
$(PACKAGE_INSTALLED):
	@$(CAN_SET_UP)
	@echo "Creating $(PACKAGE) with the tools that check archives"
	@$(PYTHON) -m venv --clear $(PACKAGE)
	@$(PACKAGE_PIP) install --quiet build 'check-jsonschema>=0.35' check-wheel-contents pre-commit py-rattler-build twine \
		'validate-pyproject[all]' zizmor 2>$(PACKAGE)/pip.log || $(call SAY_WHY,$(PACKAGE)/pip.log)
	@touch $@

# PIP_INDEX_URL may name an index that has builds for CPUs alone, which are a tenth as large.
$(TORCH): $(INSTALLED)
	@echo "Installing PyTorch (200 MB, and 2 GB more where it is built for GPUs)"
	@$(PIP) install --quiet -c requirements.lock 'torch>=2.13' 2>$(VENV)/pip.log || $(call SAY_WHY,$(VENV)/pip.log)
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
$(PATIENTS): requirements-mcmc.lock
$(FLOWS): requirements-flows.lock
$(RECORDINGS): NAMED := the recordings (6 MB)
$(PATIENTS): NAMED := the data of scikit-learn (9 MB)
$(FLOWS): NAMED := the flows of dysts (90 MB)
$(RECORDINGS) $(PATIENTS) $(FLOWS): $(INSTALLED)
	@echo "Installing $(NAMED)"
	@$(PIP) install --quiet --no-deps -r $(filter requirements-%,$^) 2>$(VENV)/pip.log || $(call SAY_WHY,$(VENV)/pip.log)
	@touch $@

# Resolved on the oldest supported Python and on the newest one, so that no pin is too new for the first and none too old
# for the second; without the address of any package index.
COMPILE = pip-compile --quiet --no-config --upgrade --strip-extras --no-header --annotation-style line --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --no-emit-options
lock:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "make lock needs the oldest supported Python: make lock PYTHON=python3.11" >&2; exit 1; }
	@newest=$$($(FIND_NEWEST)); test -n "$$newest" || { \
		echo "make lock needs Python 3.13 or 3.12 as well, for requirements-newest.lock" >&2; exit 1; }; \
		$(PYTHON) -m venv --clear build/lock; "$$newest" -m venv --clear build/lock-newest
	@for each in lock lock-newest; do build/$$each/bin/python -m pip --disable-pip-version-check install --quiet pip-tools; done
	@echo "Resolving requirements.lock, requirements-newest.lock and requirements-docs.lock"
	@build/lock/bin/$(COMPILE) --build-deps-for editable --extra dev --extra plot --extra paper \
		--output-file build/requirements.lock pyproject.toml
	@printf '%s\n' editables hatchling pytest pytest-xdist > build/newest.in
	@build/lock-newest/bin/$(COMPILE) --output-file build/requirements-newest.lock pyproject.toml build/newest.in
	@printf '%s\n' latex2mathml mkdocstrings-python ruff zensical > build/docs.in
	@build/lock/bin/$(COMPILE) --output-file build/requirements-docs.lock build/docs.in
	@{ echo "# The builder of the site and what it reads docstrings with, for 'make docs', pinned by 'make lock'."; \
		cat build/requirements-docs.lock; } > requirements-docs.lock
	@{ echo "# Every package of the development environment, pinned by 'make lock' from pyproject.toml."; \
		cat build/requirements.lock; } > requirements.lock
	@{ echo "# The newest of every package that tests of versions need, pinned by 'make lock' from pyproject.toml."; \
		cat build/requirements-newest.lock; } > requirements-newest.lock
	@for each in requirements.lock requirements-newest.lock requirements-docs.lock; do echo "$$each has $$(grep -c == $$each) packages"; done

clean:
	rm -rf $(VENV) $(NEWEST) $(DOCS) $(PACKAGE) $(GPU) build dist results .pytest_cache .ruff_cache .hypothesis
	find .ci src tests benchmarks docs examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
