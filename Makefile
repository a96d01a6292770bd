# make demo            the main job on a real photo
# make test-fast       what a minute can tell: all tests but those marked slow
# make test            all tests
# make test-mindspore  the tests of the MindSpore backend, in an environment of its own
# make fuzz            damaged files for every reader, for MINUTES each, in an environment of its own
# make lint            ruff and mypy
# make bench           speed, beside other tools: runs/bench/speed.md; BENCH_ARGS=--quick for a minute
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Test files at a time; PARALLEL= runs them one after the other.
PARALLEL ?= -n 2 --dist loadfile
MINDSPORE_PYTHON ?= python3.11
MINDSPORE_VENV ?= .venv-mindspore
MINDSPORE_BIN := $(MINDSPORE_VENV)/bin

# Threads that wait must not spin: two test processes share the processors.
export OMP_WAIT_POLICY ?= PASSIVE

FUZZ_PYTHON ?= python3.11
FUZZ_VENV ?= .venv-fuzz
FUZZ_FOLDER ?= runs/fuzz
MINUTES ?= 1
READERS ?=

.PHONY: demo test test-fast test-mindspore fuzz lint bench clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.package: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.develop: pyproject.toml requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet -e ".[fast,train,web]"
	@touch $@ $(VENV)/.package

demo: $(VENV)/.package
	$(BIN)/synergynet infer examples/astronaut.jpg -o demo_output --timings

test: $(VENV)/.develop
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: $(VENV)/.develop
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

$(MINDSPORE_VENV)/.package: pyproject.toml requirements-mindspore.txt
	$(MINDSPORE_PYTHON) -m venv $(MINDSPORE_VENV)
	$(MINDSPORE_BIN)/python -m pip install --quiet -r requirements-mindspore.txt -e .
	@touch $@

test-mindspore: $(MINDSPORE_VENV)/.package
	$(MINDSPORE_BIN)/python -m pytest tests_mindspore

$(FUZZ_VENV)/.package: pyproject.toml
	$(FUZZ_PYTHON) -m venv $(FUZZ_VENV)
	$(FUZZ_VENV)/bin/python -m pip install --quiet "atheris>=3" -e ".[train,parquet]"
	@touch $@

fuzz: $(FUZZ_VENV)/.package
	rm -rf $(FUZZ_FOLDER)/seeds
	PYTHONPATH=tests $(FUZZ_VENV)/bin/python -W ignore -m corpus.make $(FUZZ_FOLDER)/seeds --seeds
	PYTHONPATH=tests $(FUZZ_VENV)/bin/python -m corpus.fuzz $(FUZZ_FOLDER) $(MINUTES) $(READERS)

lint: $(VENV)/.develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.develop
	$(BIN)/python tools/bench/speed.py -o runs/bench $(BENCH_ARGS)

clean:
	rm -rf $(VENV) $(MINDSPORE_VENV) $(FUZZ_VENV) demo_output build dist src/*.egg-info
