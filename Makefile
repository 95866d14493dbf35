# Everything a person or a machine does with this checkout. Needs Python 3.11 or newer, git and make.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN = $(VENV)/bin

.DEFAULT_GOAL = help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test slow peer fetch lint format bench docs clean

help: ## List the targets
	@echo "usage: make TARGET [PYTHON=python3.12] [ARGS='what pytest or the benchmarks are given']"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.with-plain ## Show what the package does, on a server of its own
	@echo "== the demo"
	$(BIN)/astro-cloud demo

test: fetch ## Run the tests, but for the slow ones
	@echo "== the tests"
	$(BIN)/python -m pytest -m "not slow and not peer" $(ARGS)

slow: fetch ## Run the tests that take more than a few seconds each
	@echo "== the slow tests"
	@$(BIN)/python -m pytest -m "slow and not peer" --collect-only -q >/dev/null 2>&1; \
	if [ $$? -eq 5 ]; then echo "no test is marked slow"; else \
	set -x; $(BIN)/python -m pytest -m "slow and not peer" $(ARGS); fi

peer: $(VENV)/.with-test ## Run astropy's own tests of FITS over HTTP
	@echo "== other packages' tests"
	$(BIN)/python tests/fetch.py peer
	$(BIN)/python -m pytest -m peer $(ARGS)

fetch: $(VENV)/.with-test ## Fetch the servers and files that the tests read, once
	@echo "== what the tests read"
	$(BIN)/python tests/fetch.py

lint: $(VENV)/.with-test $(VENV)/.with-lint ## Judge style, types and the tiers' imports
	@echo "== ruff, mypy, import-linter"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.with-lint ## Lay the code out as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: ## Compare with other packages, which get a virtual environment of their own
	@$(MAKE) --no-print-directory VENV=.venv-bench .venv-bench/.with-bench
	@echo "== the benchmarks"
	.venv-bench/bin/python -m tests.benchmarks.headers $(ARGS)
	.venv-bench/bin/python tests/benchmarks/signing.py
	.venv-bench/bin/python -m tests.benchmarks.ranges
	.venv-bench/bin/python -m tests.benchmarks.transfers
	.venv-bench/bin/python -m tests.benchmarks.images
	.venv-bench/bin/python -m tests.benchmarks.cutouts

docs: $(VENV)/.with-docs ## Build the documentation into docs/_build/html
	@echo "== the documentation"
	$(BIN)/sphinx-build --fail-on-warning --keep-going -b html docs docs/_build/html

clean: ## Remove what was made in this folder, the virtual environment too
	rm -rf $(VENV) .venv-bench build dist docs/_build *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for the package alone and one for each of its extras; a change of what they are made from
# has them made again.
$(VENV)/.with-plain: setup.cfg pyproject.toml | $(BIN)/python
	@echo "== installing astro-cloud into $(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.with-%: setup.cfg pyproject.toml | $(BIN)/python
	@echo "== installing astro-cloud and what its extra '$*' asks for into $(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "astro-cloud needs Python 3.11 or newer, and $(PYTHON) is not: say which, as in" >&2; \
	echo "    make $(or $(MAKECMDGOALS),test) PYTHON=python3.12" >&2; exit 1; }
	@echo "== making $(VENV) with $$($(PYTHON) --version)"
	$(PYTHON) -m venv --clear $(VENV)
