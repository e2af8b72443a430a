# The tasks of a contributor; `make help` lists them. CI runs .ci/run, which calls the same commands.
PYTHON ?= python3

help:  ## list the tasks
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install:  ## install with everything a contributor needs
	$(PYTHON) -m pip install -e '.[dev]'
	pre-commit install

lint:  ## ruff and mypy
	ruff check . && ruff format --check . && mypy

format:  ## let ruff mend what it can
	ruff check --fix . && ruff format .

test:  ## the default tests
	pytest

demo:  ## the embedded example, the whole way
	prodrec demo

.PHONY: help install lint format test demo
