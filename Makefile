# `make` alone lists the targets. What set-up does is in .make/.
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.PHONY: help setup install demo train batch test lint black isort pylint fmt bench torture clean

# DATE, ENV and WORKSPACE count only as `make train ENV=…`: other programs set variables of these names too.
given = $(if $(findstring command,$(origin $1)),'$(subst ','\'',$($1))')
option = $(if $(call given,$2),$1 $(call given,$2))
OPTIONS = $(call option,-C,WORKSPACE) $(call option,--env,ENV)
DAY = $(call option,--date,DATE)
RECSYS := .venv/bin/recsys
DEMO_DAY := 2026-07-01

# The tools' own caches stay in the checkout.
export BLACK_CACHE_DIR := $(CURDIR)/.venv/.cache/black
export PYLINTHOME := $(CURDIR)/.venv/.cache/pylint
LINTERS := 'black --check --quiet .' 'isort --check-only --quiet .' flake8 'pylint recsys_cli tests' mypy lint-imports

help: ## list the targets
	@echo 'make TARGET, with DATE=2026-07-01, ENV=production or WORKSPACE=folder where they apply:'
	@sed -n 's/^\([a-z]*\):[^#]*## /  \1	/p' Makefile | expand -t 12

setup: ## install poetry into .poetry and the locked packages into .venv
	@sh .make/setup $(if $(filter setup install,$(MAKECMDGOALS)),,--silent-if-done)

install: setup ## the same as setup

demo: setup ## generate demo data, train, score, and explain one user's list
	$(RECSYS) init --preset demo
	$(RECSYS) --env demo train --date $(DEMO_DAY)
	$(RECSYS) --env demo score --date $(DEMO_DAY)
	$(RECSYS) --env demo explain --date $(DEMO_DAY)
	@echo 'next: make batch DATE=$(DEMO_DAY)    what cron calls every night'
	@echo '      $(RECSYS) init FOLDER --preset generic --interactions FILE    your own data'
	@echo '      $(RECSYS) evaluate --date 2026-06-17    the two stages against each alone'

train: setup ## train both stages on all events before DATE (default: today)
	$(RECSYS) $(OPTIONS) train $(DAY)

# A crontab calls `make -s -C FOLDER batch`: without -s make names the folder. Where recsys fails make ends with its
# own exit code 2; the line that it adds has recsys's, as in `Error 3`.
batch: ## what cron calls: checks, features and recommendations for DATE (default: today), silent unless something is new or wrong
	@sh .make/setup --check
	@exec $(RECSYS) --quiet $(OPTIONS) batch $(DAY)

test: setup ## run the tests
	.venv/bin/pytest -n auto --dist loadfile

lint: setup ## run every check: black, isort, flake8, pylint, mypy, import-linter
	@failed=; \
	for linter in $(LINTERS); do \
	    echo "$$linter"; \
	    .venv/bin/$$linter || failed="$$failed $${linter%% *}"; \
	done; \
	if [ -n "$$failed" ]; then echo "lint failed:$$failed" >&2; exit 1; fi

black: setup ## reformat the code
	.venv/bin/black .

isort: setup ## sort the imports
	.venv/bin/isort .

pylint: setup ## run pylint
	.venv/bin/pylint recsys_cli tests

fmt: isort black ## sort the imports and reformat the code

bench: setup ## run the benchmarks in tests/benchmarks
	.venv/bin/python -m tests.benchmarks

torture: setup ## kill, starve and feed scoring runs with every fault of the table
	.venv/bin/python -m tests.torture

clean: ## remove caches and built packages; never data, models or recommendations
	rm -rf dist .mypy_cache .pytest_cache .import_linter_cache .hypothesis .bench .venv/.cache .poetry/cache
	find recsys_cli tests -name __pycache__ -type d -prune -exec rm -rf {} +
