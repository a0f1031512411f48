# Everything a person types. Needs Python 3.11, Go 1.26 (or an installed Pulumi CLI), make and git; nothing is put into
# the operating system. What is made lies in .venv, .toolchain and .sandbox, all ignored by git.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Most tests wait for servers to start: six workers keep two cores busy. The order is that of tests/conftest.py, within a
# ring it is random; the seed makes it the same one in every run, so that a change fails for what it changes.
PYTEST_ARGS ?= -n 6 --dist loadfile --no-loadscope-reorder --randomly-seed=20261128 --durations=12
# Only CI fails for too little of it (docs/proof.md): a person may run a part.
COVERAGE := --cov --cov-report=term:skip-covered $(if $(filter true,$(CI)),--cov-fail-under=95)
# CI runs every test. For a person those marked `long` would make it half an hour on two cores.
SELECT := $(if $(filter true,$(CI)),,-m "not long")
VENV_PYTHON := .venv/bin/python

# With it each of the many short processes would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup test test-all test-fast test-plugins prove-real sweep mutate check check-monitoring audit bench demo demo-rollback demo-stop

help: ## show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv, the Pulumi CLI and its plugins ready (does nothing when they are)
	@$(PYTHON) -m toolchain setup

test: setup check ## all set-up, the checks and the tests; with CI=true the long ones too
	@$(VENV_PYTHON) -m toolchain run $(VENV_PYTHON) -m pytest $(PYTEST_ARGS) $(SELECT) $(COVERAGE)

test-all: SELECT :=
test-all: test ## every test, as CI runs them

test-fast: setup ## the tests that need nothing but Python
	@$(VENV_PYTHON) -m toolchain run $(VENV_PYTHON) -m pytest -n 2 -q tests/pure

test-plugins: ## the plugins' contract tests with the official CLI on PATH and the real plugins, which it downloads
	@$(PYTHON) -m toolchain official
	@$(PYTHON) -m toolchain setup
	@$(VENV_PYTHON) -m toolchain run $(VENV_PYTHON) -m pytest -v tests/contract/plugins

prove-real: setup ## Fly's contract tests against the API that CONTRACT_FLY_* name, with throw-away apps (docs/unproven.md)
	@: "$${CONTRACT_FLY_MACHINES_URL:?docs/unproven.md says what to set}" "$${CONTRACT_FLY_TOKEN:?an org token}" "$${CONTRACT_FLY_ORG:?the slug of an organization}"
	@$(VENV_PYTHON) -m toolchain run $(VENV_PYTHON) -m pytest -v tests/contract/fly

sweep: setup ## a fault or crash at each call of each operation; hours, resumed where it was ended (docs/proof.md)
	@$(VENV_PYTHON) -m toolchain run $(VENV_PYTHON) -m proof

mutate: setup ## changes the code that must not be wrong and names what no test notices; NAMES="clients.redaction.*" (docs/proof.md)
	@$(VENV_PYTHON) -m toolchain run $(VENV_PYTHON) -m toolchain.mutate $(NAMES)

check: setup ## lint, format, types, house rules, workflows
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy .
	@$(VENV_PYTHON) -m toolchain.house
	@$(VENV_PYTHON) -m toolchain.workflows

check-monitoring: ## the alert rules and their tests, with promtool, which is built first (about 3 minutes, once)
	@$(PYTHON) -m toolchain.monitoring

audit: ## known vulnerabilities of the locked packages, by pip-audit, which asks pypi.org (docs/unproven.md)
	@$(PYTHON) -m toolchain.audit

bench: setup ## what the commands cost, as ratios, into docs/bench.md and docs/bench-up.md (ends a demo that runs)
	@$(VENV_PYTHON) -m toolchain run $(VENV_PYTHON) -m bench.commands
	@$(VENV_PYTHON) -m toolchain run $(VENV_PYTHON) -m bench.up

demo: setup ## deploy a real Prefect server into the sandbox and show what came of it
	@$(VENV_PYTHON) -m sandbox.demo up

demo-rollback: setup ## undo it: the orchestrator back to ephemeral mode, then the server gone
	@$(VENV_PYTHON) -m sandbox.demo rollback

demo-stop: setup ## end what the demo started, nothing else
	@$(VENV_PYTHON) -m sandbox.demo stop
