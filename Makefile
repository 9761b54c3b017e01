# The first commands install what they need: only Python 3.11 or newer and make are required.
#   make demo       in a minute: two models on an H100, the paper's case study, and GPT-2 on this
#                   machine, predicted and then run in NumPy
#   make demo-here  in some minutes, with PyTorch: a long measurement of this machine, and the
#                   paper's three models run on it, predicted first
#   make test       lint, types, contracts, and the fast tests
#   make test-all   the slow tests

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
PYTEST := $(BIN)/pytest -n 2 --dist loadgroup

.PHONY: help demo demo-here test test-all lint types contracts fast bench reference format \
	words-history clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/base.stamp  ## Two models on an H100, the paper's case study, GPT-2 run here: a minute
	@$(BIN)/python examples/first_look.py

demo-here:  ## Measure this machine at length, and run the paper's models on it: some minutes
	@echo 'About 10 minutes in all: installing PyTorch, 1 to 4 (once); measuring one core, 7;'
	@echo 'BERT-Base, BERT-Large and GPT-2, predicted and run, 1 to 2.'
	@$(MAKE) --no-print-directory .venv/measure.stamp
	@$(BIN)/memorywall measure --threads 1
	@$(BIN)/memorywall study paper --measured --quick --threads 1 --figure build/study-here.svg

test: .venv/test.stamp  ## Lint, types, contracts and the fast tests: within five minutes
	@$(MAKE) --no-print-directory lint types contracts fast

test-all: .venv/test.stamp  ## The slow tests, which `make test` leaves out
	$(PYTEST) -m slow

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/words.py

types: .venv/test.stamp
	$(BIN)/mypy

contracts: .venv/test.stamp
	$(BIN)/lint-imports
	$(BIN)/python tools/rooms.py

fast: .venv/test.stamp
	$(PYTEST) -m 'not slow'

bench: .venv/base.stamp  ## Time one scenario, a million, and the command as a whole
	$(BIN)/python benchmarks/analyze.py

reference: .venv/test.stamp  ## Write the generated reference pages again
	$(BIN)/python tools/reference.py
	$(BIN)/python tools/coverage.py

format: .venv/test.stamp  ## Format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

words-history:  ## List commit subjects without an imperative verb
	$(BIN)/python tools/words.py --history

clean:  ## Remove the virtual environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'memorywall requires Python 3.11 or newer: make PYTHON=python3.12 demo'; exit 2; }
	@echo 'making the virtual environment .venv'
	@$(PYTHON) -m venv .venv

.venv/base.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'installing memorywall'
	@$(PIP) --editable '.[figures]'
	@touch $@

.venv/measure.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'installing PyTorch and transformers (a minute or two)'
	@$(PIP) --editable '.[figures,measure]'
	@touch $@ .venv/base.stamp

.venv/test.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'installing memorywall with the test extras, including PyTorch (a minute or two)'
	@$(PIP) --editable '.[test]'
	@touch $@ .venv/base.stamp .venv/measure.stamp
