# The two commands: `make run` and `make test`. Each makes .venv with the pinned versions first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q

.PHONY: run test lint test-harness test-suites test-agreement test-figures test-reference test-numpy test-torch test-tensorflow test-jax overhead alarms support clean

run: .venv/installed
	$(BIN)/gradgauge run

# One framework a process: the backends' tests run in processes of their own, two at a time.
test: .venv/installed lint
	$(MAKE) -j2 --output-sync=target test-harness test-jax test-tensorflow test-agreement \
		test-figures test-suites test-torch test-numpy test-reference

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-harness test-suites test-agreement test-figures: test-%: .venv/installed
	$(PYTEST) tests/$*

test-reference test-numpy test-torch test-tensorflow test-jax: test-%: .venv/installed
	$(PYTEST) tests/backends --backend $*

# What the harness's own loop costs, beside raw expert loops, interleaved in one run.
overhead: .venv/installed
	$(BIN)/python -m suites.overhead

# False alarms and detections of speed comparisons: about an hour each.
alarms: .venv/installed
	$(BIN)/python -m suites.alarms
	$(BIN)/python -m suites.alarms --planted 0.05

# The table of what is native and composed, from the backends' own answers.
support: .venv/installed
	$(BIN)/python -m harness.support > docs/support.md

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs
