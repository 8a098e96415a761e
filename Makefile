# Bare `make` lists the targets.
PYTHON ?= python3
EMBEDDINGS_HOME ?= data
DAGSTER_HOME := $(abspath $(EMBEDDINGS_HOME))/dagster
UV := $(shell command -v uv 2>/dev/null)
BIN := .venv/bin
export EMBEDDINGS_HOME DAGSTER_HOME

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test lint speed clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-7s %s\n", $$1, $$2}'

setup: .venv/installed ## make .venv and install what the lock file says

.venv/installed: pyproject.toml uv.lock
ifdef UV
	uv sync --frozen --python $(PYTHON)
else
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv sync --frozen --inexact --python $(BIN)/python
endif
	@touch $@

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@cp $< $@

demo: setup $(DAGSTER_HOME)/dagster.yaml ## eight weeks of every embedding on the synthetic source, then a look at them
	@$(BIN)/python -m embedding_assets.demo

dev: setup $(DAGSTER_HOME)/dagster.yaml ## Dagster's web UI and daemon on http://127.0.0.1:3000
	@$(BIN)/dagster dev -h 127.0.0.1 -w workspace.yaml

lint: setup ## format check, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: lint ## everything that CI runs: lint, types, layers, tests
	$(BIN)/python -m pytest

speed: setup ## our trainers against the libraries people use (installs the peers; minutes)
	$(if $(UV),uv,$(BIN)/uv) sync --frozen --inexact --group speed
	$(BIN)/python -m tests.speed

clean: ## remove .venv, caches and build output; the data in EMBEDDINGS_HOME stays
	rm -rf .venv dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
