PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test test-all lint format clean

## setup: the virtual environment with everything, in .venv
setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

## demo: train on the embedded data, evaluate, export (about 4 minutes on 2 cores)
demo: setup
	$(BIN)/python train.py --name demo
	$(BIN)/python evaluate.py runs/demo
	@echo "next: open runs/demo/evaluation/report.html; then, to see where it looked after each epoch,"
	@echo "      source $(BIN)/activate && tensorboard --logdir runs"

## test: the default tests (under 10 minutes on 2 cores)
test: setup
	$(BIN)/python -m pytest

## test-all: the default tests and the slow ones
test-all: setup
	$(BIN)/python -m pytest -m "slow or not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
