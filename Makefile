# The two commands: `make run` and `make test`. Each makes .venv with the pinned versions first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q

.PHONY: run test lint test-harness test-suites test-agreement test-figures test-reference test-numpy test-torch \
	test-tensorflow test-jax figures bench-quick bench bench-all overhead observation findings detection alarms support clean

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

# Hundreds of steps are compiled and each is run a few times: half the optimization is half the time.
test-jax: export XLA_FLAGS = --xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false

# asv on this commit: three minutes in the present environment; in one that it builds itself, under an hour, or hours.
ASV := $(BIN)/asv
QUICK := --bench 'speed.Modes' --bench 'convergence.*(loss|diverged)\(.*digits.*[^12].\)'
bench-quick bench bench-all: .venv/installed .asv/machine
bench-quick: ; $(ASV) run --python=same --set-commit-hash $$(git rev-parse HEAD) --record-samples $(QUICK)
bench: ; $(ASV) run --record-samples HEAD^!
bench-all: ; GRADGAUGE_BENCH=all $(ASV) run --record-samples HEAD^!
.asv/machine: .venv/installed
	$(ASV) machine --yes
	mkdir -p .asv && touch $@

# What the harness's own loop costs, beside raw expert loops, interleaved in one run.
overhead: .venv/installed
	$(BIN)/python -m suites.overhead

# Whether all backends see and say the same of every problem of the catalogue: a quarter of an hour.
findings: .venv/installed
	for name in numpy torch tensorflow jax; do \
		$(PYTEST) tests/backends/conformance/test_findings.py \
			tests/backends/conformance/test_curvature.py --whole --backend $$name || exit 1; done

# How often a diagnosis is right, on labelled runs that it was not tuned on: a quarter of an hour.
detection: .venv/installed
	$(BIN)/python -m suites.detection --part unseen

# What health measurements add to plain training, interleaved in one run.
observation: .venv/installed
	$(BIN)/python -m suites.observation

# False alarms and detections of speed comparisons, sides in turn and apart: an hour each.
alarms: .venv/installed
	$(BIN)/python -m suites.alarms
	$(BIN)/python -m suites.alarms --apart

# Every case in every framework from three seeds: 15 minutes.
figures: .venv/installed
	$(PYTEST) tests/figures --every-figure

# The table of what is native and composed, from the backends' own answers.
support: .venv/installed
	$(BIN)/python -m harness.support > docs/support.md

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs
