# Every target sets up what it needs: a bare machine with Python 3.11+ is enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# Byte code is kept whatever this machine says: else each of the many processes of the tests compiles the sources anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}'

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@echo "Installing what tests and checks need into $(VENV): 1.2 GB, some minutes; only the first time."
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) --no-build-isolation --editable .
	$(BIN)/python -m replicator_service.core.compiled.build
	@touch $@

# The demo needs a quarter of that. Byte code is left to the first import: most of it is never imported.
$(VENV)/.demo: requirements/demo.txt pyproject.toml
	@echo "Installing what the demo needs into $(VENV): 275 MB (80 MB to download), one or two minutes; only the first time."
	$(PYTHON) -m venv $(VENV)
	$(PIP) --no-compile --require-hashes -r requirements/demo.txt
	$(PIP) --no-compile --no-build-isolation --editable .
	@touch $@

# What is there for the tests does for the demo, and workers of Airflow need it.
DEMO_VENV = $(if $(or $(wildcard $(VENV)/.installed),$(filter-out 0,$(WORKERS))),$(VENV)/.installed,$(VENV)/.demo)

.PHONY: install
install: ## Create .venv with the console scripts, and no more than the demo needs
	@$(MAKE) --no-print-directory --silent $(DEMO_VENV)

.PHONY: venv
venv: $(VENV)/.installed ## Create .venv with everything that tests and checks need

.PHONY: machine
machine:
	@$(PYTHON) devstack/machine.py

# How many workers run the tasks of Airflow; none: its own scheduler does.
WORKERS ?= 0

.PHONY: demo
demo: machine ## Run the whole system on this machine until Ctrl-C (WORKERS=2: Airflow's tasks in two workers)
	@$(MAKE) --no-print-directory --silent $(DEMO_VENV)
	@$(BIN)/python -m devstack.demo --workers $(WORKERS)

.PHONY: demo-check
demo-check: machine ## The same, bounded in time, with an exit code
	@$(MAKE) --no-print-directory --silent $(DEMO_VENV)
	@$(BIN)/python -m devstack.demo --check --workers $(WORKERS)

.PHONY: test
test: machine venv ## Run the tests on real servers, but for those that take minutes each
	sh tests/tools.sh $(BIN)
	$(BIN)/pytest --numprocesses 3 --dist worksteal -m "not slow"

.PHONY: test-unit
test-unit: venv ## Run the tests that need no servers, on a fifth of the examples and histories: half a minute
	EXAMPLES=0.2 $(BIN)/pytest --quiet --numprocesses 2 --dist worksteal -m "not slow and not servers" \
		tests/unit tests/property tests/simulation

.PHONY: test-slow
test-slow: machine venv ## Run the tests that take minutes: failovers, poolers, secondaries, TLS, data sets, killed workers
	sh tests/tools.sh $(BIN)
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m slow

# What is in the name of a run, such as ONLY="MongoDB 5.0" or ONLY="Python 3.13".
ONLY ?=

.PHONY: test-matrix
test-matrix: machine venv ## Run the tests that need servers on all versions that this machine can have (ONLY="MongoDB 5.0")
	sh tests/tools.sh $(BIN)
	$(BIN)/python -m tests.matrix --only "$(ONLY)"

.PHONY: test-workers
test-workers: machine venv ## Run Airflow's end-to-end tests with each of its executors for many machines
	sh tests/tools.sh $(BIN)
	AIRFLOW_EXECUTOR=celery $(BIN)/pytest tests/e2e/test_airflow.py
	AIRFLOW_EXECUTOR=edge $(BIN)/pytest tests/e2e/test_airflow.py

SEEDS ?= 1..2000

.PHONY: simulate
simulate: venv ## Run the whole service on models of both servers, SEEDS=FIRST..LAST
	$(BIN)/python -m simulation --seeds $(SEEDS)

.PHONY: compiled
compiled: venv ## Compile the hot path anew, after a change of its sources
	$(BIN)/python -m replicator_service.core.compiled.build

SANITIZED := LD_PRELOAD=$$($(or $(CC),cc) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc

FUZZ_SECONDS ?= 60

.PHONY: fuzz-compiled
fuzz-compiled: venv ## Run the compiled path on broken bytes under the sanitizers, FUZZ_SECONDS=60
	$(BIN)/python -m replicator_service.core.compiled.build -g -fsanitize=address,undefined -fno-sanitize-recover
	{ $(SANITIZED) $(BIN)/python -m tests.support.fuzzing $(FUZZ_SECONDS) && \
		$(SANITIZED) $(BIN)/pytest --timeout 1800 tests/property/test_compiled_properties.py; }; status=$$?; \
		$(BIN)/python -m replicator_service.core.compiled.build; exit $$status

.PHONY: lint
lint: venv ## Check style, import rules, names that nothing refers to, and SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/sqlfluff lint sql

.PHONY: types
types: venv ## Check types
	$(BIN)/mypy

# What builds the site of the documentation is no part of the project's own environment.
SITE_VENV := .venv-docs

$(SITE_VENV)/.installed: requirements/docs.txt
	@echo "Installing what builds the documentation's site into $(SITE_VENV): 170 MB; only the first time."
	$(PYTHON) -m venv $(SITE_VENV)
	$(SITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/docs.txt
	@touch $@

.PHONY: docs
docs: venv $(SITE_VENV)/.installed ## Write the reference from the code, and build the site of the documentation into site/
	$(BIN)/python -m devstack.reference
	NO_MKDOCS_2_WARNING=1 $(SITE_VENV)/bin/mkdocs build --strict --quiet
	@echo "The documentation: site/index.html, which needs neither a server nor the network."

.PHONY: release-check
release-check: ## Say what is in the way of a release: versions that differ, an open changelog
	$(PYTHON) -m deploy.release check

.PHONY: pictures
pictures: machine venv ## Take the pictures of the docs of a running system (needs Chromium)
	sh tests/tools.sh $(BIN)
	$(BIN)/python -m devstack.pictures

.PHONY: compose-check
compose-check: venv ## Check docker-compose.yml and the images, as far as there is a container engine
	$(BIN)/python -m deploy.check

# Further options of the benchmark: OPTIONS="--scale 0.1 --rounds 1", OPTIONS=--ten-million.
OPTIONS ?=
RESULTS ?= .devstack/bench.json

.PHONY: bench
bench: machine venv ## Measure speed against the raw limits in one run of three rounds; RESULTS=FILE gets its JSON
	mkdir -p $(dir $(RESULTS))
	$(BIN)/python -m benchmarks.replication --json $(RESULTS) $(OPTIONS)

.PHONY: bench-peers
bench-peers: machine venv ## The same for ingestr, Sling and dlt beside the service, each in an environment of its own
	mkdir -p $(dir $(RESULTS))
	$(BIN)/python -m benchmarks.replication --only peers --json $(RESULTS) $(OPTIONS)

.PHONY: bench-marts
bench-marts: machine venv ## Measure the loads of the marts
	$(BIN)/python -m benchmarks.marts --scale 0.1

.PHONY: bench-plot
bench-plot: venv ## Write the pictures and tables of the docs from RESULTS
	$(BIN)/python -m benchmarks.publish $(RESULTS)

# What the published image of Airflow lacks, or may lack: providers without their own dependencies, which it has.
PROVIDERS := apache-airflow-providers-mongo apache-airflow-providers-edge3 retryhttp aiofiles
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header

.PHONY: lock
lock: ## Compute requirements/*.txt anew (needs uv)
	$(COMPILE) --upgrade pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra aws --extra compression -c requirements/dev.txt -o requirements/service.txt
	$(COMPILE) pyproject.toml --extra warehouse --extra airflow --group editable -c requirements/dev.txt -o requirements/demo.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) --upgrade --python-version 3.11 requirements/docs.in -o requirements/docs.txt
	$(COMPILE) pyproject.toml --extra warehouse -c requirements/dev.txt -o requirements/airflow.txt
	printf '%s\n' $(PROVIDERS) | $(COMPILE) --no-deps - -c requirements/dev.txt >> requirements/airflow.txt
