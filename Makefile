# Two commands: `make demo` trains a character model and writes with it, `make test` checks everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TESTED := $(VENV)/.installed-test
TIMED := $(VENV)/.installed-bench

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench bench-quick clean

help:
	@echo "make demo   install recurra into .venv, train a character model for 3 minutes, print 500 characters"
	@echo "make test   install the test packages too, and run the tests"
	@echo "make bench  time the layers beside torch, JAX, Keras, ONNX Runtime (10 minutes; make bench-quick: 1)"
	@echo "make lint   check style     make types   check types     make clean   remove .venv and runs/demo"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("recurra needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(TESTED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

$(TIMED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

test: $(TESTED)
	$(BIN)/python -m pytest --numprocesses 2 --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TESTED)
	$(BIN)/mypy

bench: $(TIMED)
	$(BIN)/python benchmarks/run.py $(if $(JSON),--json $(JSON))

bench-quick: $(INSTALLED)
	$(BIN)/python benchmarks/run.py --quick $(if $(JSON),--json $(JSON))

clean:
	rm -rf $(VENV) runs/demo
