PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes, each with the tests of whole files, since files share what they train; one thread for the
# arithmetic of each. (Not one for TensorFlow's other pool: devices that wait for each other need two.)
PYTEST := TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: setup demo test test-all test-core lint docs docs-outputs dist format clean

## setup: the virtual environment with everything, in .venv
setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt -e ".[dev]"
	touch $@

## demo: train on the embedded data, evaluate, export (about 4 minutes on 2 cores)
demo: setup
	$(BIN)/python train.py --name demo --compat scaled
	$(BIN)/python evaluate.py runs/demo
	@echo "next: open runs/demo/evaluation/report.html; then, to see where it looked after each epoch,"
	@echo "      source $(BIN)/activate && tensorboard --logdir runs"

## test: the default tests, in two processes (about 6 minutes on 2 cores)
test: setup
	$(PYTEST)

## test-all: the default tests and the slow ones
test-all: setup
	$(PYTEST) -m "slow or not slow"

## test-core: layers and models alone, on JAX and on PyTorch, at the newest and the lowest versions
test-core:
	PYTHON=$(PYTHON) .ci/core

## lint: style, form and types
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## docs: the documentation as a site, in build/docs; every warning is an error
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

## docs-outputs: what docs/photographs.md shows as printed, from the run of `make demo`
docs-outputs: setup
	$(BIN)/python docs/write_outputs.py runs/demo

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	touch $@

## dist: wheel and sdist, in dist, and a test of the wheel in a bare environment
dist: setup
	rm -rf dist
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir dist
	PYTHON=$(PYTHON) .ci/wheel dist/*.whl

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-core build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
