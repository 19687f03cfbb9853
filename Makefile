# Every target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
PROTOS := proto/jobs_grpc/v1
# The contract as last released; what is in it may not break.
CONTRACT := tests/meta/contract.binpb
WORKERS ?= 2
# How many worlds `make simulate` makes, and from which seed on.
SEEDS ?= 2000
FROM ?= 0

.PHONY: help setup demo test check unit oracle simulate proto check-proto generate-into release-contract bench run-dev chaos kills flood clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the virtual environment with everything in it

# Editable, so the sources are what runs; the groups are those of pyproject.toml.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev --group proto
	touch $@

demo: $(STAMP) ## Run the examples until Ctrl-C (or for DEMO_SECONDS)
	@$(BIN)/python examples/demo.py

run-dev: $(STAMP) ## Start a server and a worker on loopback
	$(BIN)/jobs-grpc dev

test: check ## Everything that must pass: checks and all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

check: $(STAMP) ## Format, lint, types, import contracts, protos, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/buf breaking --against $(CONTRACT)
	$(MAKE) --no-print-directory check-proto

unit: $(STAMP) ## The fast tests only
	$(BIN)/python -m pytest tests/unit tests/meta -n $(WORKERS)

simulate: $(STAMP) ## Let SEEDS simulated worlds live under faults, from seed FROM on
	PYTHONPATH=tests $(BIN)/python -m simulation --seeds $(SEEDS) --first $(FROM) --jobs $(WORKERS)

oracle: $(STAMP) ## Judge schedules around each clock change of 30 years (EXPRESSIONS, SEED)
	PYTHONPATH=tests $(BIN)/python -m oracle

bench: $(STAMP) ## Measure the performance goals (GOALS="P1 P10" for some); run it alone
	PYTHONPATH=tests $(BIN)/python -m bench $(GOALS)

kills: $(STAMP) ## kill -9 of session process, keeper and job, KILLS times each (10)
	KILL_TIMES=$(or $(KILLS),10) $(BIN)/python -m pytest tests/integration/worker/test_kills.py -q

flood: $(STAMP) ## A gigabyte from one job, a follower that never reads: who holds how much memory
	PYTHONPATH=tests $(BIN)/python -m bench.flood $(FLOOD)

chaos: $(STAMP) ## Real faults for ten minutes, judged by witnesses (CHAOS="--seed 7 --only disk")
	PYTHONPATH=tests $(BIN)/python -m chaos $(CHAOS)

proto: $(STAMP) ## Generate the code beside the .proto files
	rm -f $(PROTOS)/*_pb2*.py $(PROTOS)/*_pb2*.pyi
	$(MAKE) --no-print-directory generate-into INTO=proto

generate-into:
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m grpc_tools.protoc -I proto --python_out=$(INTO) --mypy_out=quiet:$(INTO) $(PROTOS)/*.proto
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m grpc_tools.protoc -I proto --grpc_python_out=$(INTO) --mypy_grpc_out=quiet:$(INTO) $(PROTOS)/*_service.proto

release-contract: $(STAMP) ## Make today's protos the contract that may not break
	$(BIN)/buf build -o $(CONTRACT)

check-proto: $(STAMP) ## Fail if the committed generated code is stale
	@fresh=$$(mktemp -d) && $(MAKE) --no-print-directory generate-into INTO=$$fresh >/dev/null && \
	  for made in $$fresh/jobs_grpc/v1/*; do \
	    cmp -s $$made $(PROTOS)/$$(basename $$made) || { echo "stale: $$(basename $$made); run make proto"; exit 1; }; \
	  done; status=$$?; rm -rf $$fresh; exit $$status

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-data
