# Every target is one line that calls the command line or pytest; `make up` and `make test` need nothing set up before.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# One process more than cores, since many tests wait; what needs the machine for itself stays in one of them
# (tests/conftest.py), and begins first, as the longest.
SIDE_BY_SIDE := -n $(shell expr $$(nproc) + 1) --no-loadscope-reorder

# Debian ships Python's venv module apart.
INSTALL_VENV = $(if $(findstring --no-install,$(FLAGS)),echo "Python's venv module is missing; install it with: apt-get install python3-venv" >&2; exit 3,echo "Installing python3-venv"; apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv)

.DEFAULT_GOAL := help
.PHONY: help up prove bench down check test test-faults reference requirements

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile

up: $(READY) ## build what is needed, start the cluster, provision the platform, run a first workload, report
	$(BIN)/seatrial up $(if $(PARTS),--parts $(PARTS)) $(if $(WITH),--with $(WITH)) $(FLAGS)

prove: $(READY) ## put the running platform through its proofs
	$(BIN)/seatrial prove local $(FLAGS)

bench: $(READY) ## measure the running platform, then judge what was measured (about an hour)
	$(BIN)/seatrial bench local $(FLAGS) && $(BIN)/seatrial bench check reports/bench/*.json --junit reports/bench/bench.xml

down: $(READY) ## stop everything and leave nothing behind but the cache
	$(BIN)/seatrial down --yes

check: $(READY) ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(READY) ## all tests but the long fault runs
	$(BIN)/seatrial setup --parts core $(FLAGS)
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not faults" $(PYTEST)

test-faults: $(READY) ## everything, with kills, full disks and dead parts
	$(BIN)/seatrial setup --parts core $(FLAGS)
	$(BIN)/pytest $(SIDE_BY_SIDE) $(PYTEST)

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Seatrial needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version). Name another with: make PYTHON=python3.12 …" >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(INSTALL_VENV); }
	@echo "Setting up Python packages in .venv (about 2 min, 900 MB, once)"
	rm -f $@
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

reference: $(READY) ## make docs/reference again from the code
	$(BIN)/python -m typer seatrial.cli utils docs --name seatrial --output docs/reference/commands.md
	$(BIN)/python -m seatrial.reference

PIN := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --no-annotate
RECIPES := local/images/recipes

requirements: $(READY) ## pin the newest fitting Python packages, with hashes
	$(PIN) --python-version 3.11 requirements/runtime.in -o requirements/runtime.txt
	$(PIN) --python-version 3.11 -c requirements/runtime.txt requirements/dev.in -o requirements/dev.txt
	$(PIN) --python-version 3.11 -c requirements/runtime.txt requirements/load.in -o requirements/load.txt
	$(PIN) --python-version 3.13 -c requirements/dev.txt $(RECIPES)/booking-api/requirements.in -o $(RECIPES)/booking-api/requirements.txt
	$(PIN) --python-version 3.13 $(RECIPES)/envoy/requirements.in -o $(RECIPES)/envoy/requirements.txt
	$(PIN) --python-version 3.13 $(RECIPES)/mlflow/requirements.in -o $(RECIPES)/mlflow/requirements.txt
	$(PIN) --python-version 3.13 $(RECIPES)/optuna-dashboard/requirements.in -o $(RECIPES)/optuna-dashboard/requirements.txt
	$(PIN) --python-version 3.13 -c requirements/dev.txt $(RECIPES)/react/requirements.in -o $(RECIPES)/react/requirements.txt
	$(PIN) --python-version 3.13 $(RECIPES)/workloads-base/requirements.in -o $(RECIPES)/workloads-base/requirements.txt
	$(PIN) --python-version 3.13 -c $(RECIPES)/workloads-base/requirements.txt $(RECIPES)/watch-drift/requirements.in -o $(RECIPES)/watch-drift/requirements.txt
	$(PIN) --python-version 3.13 $(RECIPES)/watch-drift/evidently.in -o $(RECIPES)/watch-drift/evidently.txt
	$(PIN) --python-version 3.13 -c $(RECIPES)/workloads-base/requirements.txt $(RECIPES)/workloads-tensorflow-base/requirements.in -o $(RECIPES)/workloads-tensorflow-base/requirements.txt
	$(PIN) --python-version 3.13 --override $(RECIPES)/storage-initializer/overrides $(RECIPES)/storage-initializer/requirements.in -o $(RECIPES)/storage-initializer/requirements.txt
	$(PIN) --python-version 3.13 -c $(RECIPES)/workloads-base/requirements.txt --override $(RECIPES)/model-server-base/overrides $(RECIPES)/model-server-base/requirements.in -o $(RECIPES)/model-server-base/requirements.txt
	$(PIN) --python-version 3.13 --no-deps $(RECIPES)/workloads-base/torch.in -o $(RECIPES)/workloads-base/torch.txt
	$(PIN) --python-version 3.13 --no-deps -c $(RECIPES)/workloads-base/requirements.txt $(RECIPES)/horovod/horovod.in -o $(RECIPES)/horovod/horovod.txt
