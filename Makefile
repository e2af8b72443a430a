# The tasks of a contributor; `make help` lists them. CI runs .ci/run, which calls the same commands.
PYTHON ?= python3

help:  ## list the tasks
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install:  ## install with everything a contributor needs
	$(PYTHON) -m pip install -e '.[dev]'
	pre-commit install

lint:  ## ruff and mypy
	ruff check . && ruff format --check . && mypy

format:  ## apply ruff's fixes and format
	ruff check --fix . && ruff format .

test:  ## the default tests
	pytest -n auto

TRIALS ?= 3000
SEED ?= 1

fuzz:  ## damage files at random and look how commands end; TRIALS=3000 SEED=1
	PRODREC_TRIALS=$(TRIALS) PRODREC_SEED=$(SEED) pytest -n auto tests/campaigns/test_damaged_files.py

kill:  ## kill commands at random moments and run them again; TRIALS=60 (of each command) SEED=1
	PRODREC_TRIALS=$(TRIALS) PRODREC_SEED=$(SEED) pytest -n auto tests/campaigns/test_killed_commands.py

fill:  ## run commands on full disks and with few file handles; TRIALS=60 (of each command) SEED=1
	PRODREC_TRIALS=$(TRIALS) PRODREC_SEED=$(SEED) pytest -n auto tests/campaigns/test_full_disks.py

docs:  ## build the documentation into site/; a warning is an error
	sphinx-build --fail-on-warning --quiet docs site

demo:  ## the embedded example, from a table to a report
	prodrec demo

bench:  ## the benchmarks of the classifier and of MCR, side by side with what one would use instead
	$(PYTHON) benchmarks/classifier.py
	$(PYTHON) benchmarks/mcr.py

.PHONY: help install lint format test fuzz kill fill docs demo bench
