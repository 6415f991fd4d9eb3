# One command for each thing a contributor does; `.ci/run` and the README use the same ones.
PYTHON ?= python3

.PHONY: check format test test-slow types imports artifacts

check: ## everything that must be green before a commit
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	lint-imports
	$(PYTHON) -m ledger.artifacts.compile --check
	$(PYTHON) -m pytest

format: ## put the code into its one form
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

test: ## the tests that take seconds
	$(PYTHON) -m pytest

test-slow: ## the tests that take minutes, and those on a real node
	$(PYTHON) -m pytest -m "slow or anvil"

types:
	$(PYTHON) -m mypy

imports:
	lint-imports

artifacts: ## compile the contracts again
	$(PYTHON) -m ledger.artifacts.compile
