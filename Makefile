# Election Monitor. Needs Python 3.11 with venv and pip, make and a C compiler.
#
#   make run      everything on this machine: http://127.0.0.1:8000/ (PORT=, DEMO=0)
#   make test     the whole test suite; further words for pytest: make test ARGS="-n 2"
#   make bench    the benchmarks, each figure beside its limit
#   make chaos    two hundred faults in a quarter of an hour, then every figure recounted
#   make check    make lint, make audit, then make test
#   make clean    stop the embedded services and remove their data (asks; FORCE=1 does not)
#   make lock     write the pins anew: make lock ARGS=--upgrade for newer versions

PYTHON ?= python3.11
VAR_DIR ?= var
ARGS ?=
VENV := .venv/bin
PIP := $(VENV)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input
# Like production, and nothing that could be reached: these checks need no service.
LINT_ENV := DEBUG=0 SECRET_KEY=only-for-make-lint-0123456789-abcdefghijklmnopqrstuvwxyz \
	ALLOWED_HOSTS=monitor.example.org LOG_FORMAT=console \
	DATABASE_URL=postgresql://lint@127.0.0.1:9/lint REDIS_URL=redis://127.0.0.1:9/0
PIN := $(VENV)/uv pip compile --quiet --no-header --annotation-style line

.PHONY: help setup setup-dev browser typescript run test bench chaos lint audit check clean lock

help:
	@sed -n '3,9s/^#   //p' Makefile

# ---- set-up: done again when a list of requirements is newer than its stamp ----

setup: .venv/.setup
setup-dev: .venv/.setup-dev

.venv/.setup: requirements.txt
	@[ -x $(VENV)/python ] || { echo "Setting up .venv …"; $(PYTHON) -m venv .venv; }
	@$(PIP) -r requirements.txt
	@touch $@

.venv/.setup-dev: requirements-dev.txt .venv/.setup
	@echo "Installing what checks and tests …"
	@$(PIP) -r requirements-dev.txt
	@touch $@

# Only a convenience: without a Chromium the browser tests say why they are skipped.
browser:
	@command -v chromium >/dev/null && exit; \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0; \
	echo "Installing Chromium for the browser tests …"; \
	export DEBIAN_FRONTEND=noninteractive; \
	{ timeout 120 apt-get update && \
	  timeout 600 apt-get install --yes --no-install-recommends chromium; \
	} >/dev/null 2>&1 </dev/null || echo "No Chromium: browser tests will be skipped."

# As the browser: without npm the test of the TypeScript client says why it is skipped.
typescript: tests/typescript/node_modules/.setup
tests/typescript/node_modules/.setup: tests/typescript/package-lock.json
	@command -v npm >/dev/null || exit 0; \
	echo "Installing the TypeScript compiler …"; \
	{ npm --prefix tests/typescript ci --ignore-scripts --no-audit --no-fund --loglevel=error \
	  >/dev/null && touch $@; } || echo "No compiler: the TypeScript client will not be tested."

# ---- running ----

run: setup
	@exec $(VENV)/python -m election_monitor.run

clean:
	@if [ -e $(VAR_DIR)/run.lock ] && ! flock --nonblock $(VAR_DIR)/run.lock true; then \
	    echo "Election Monitor runs in $(VAR_DIR): stop it first."; exit 1; fi
	@[ "$(FORCE)" = 1 ] || { printf "Remove $(VAR_DIR) with all its data? [y/N] "; \
	    read -r answer && [ "$$answer" = y ]; } || { echo "Kept."; exit 1; }
	@if [ -x $(VENV)/python ] && [ -d $(VAR_DIR)/embedded ]; then \
	    env -u DATABASE_URL -u REDIS_URL -u DEBUG $(VENV)/python manage.py services stop; fi
	@rm -rf $(VAR_DIR)

# ---- checking ----

test: setup-dev browser typescript
	@$(VENV)/python -m pytest $(ARGS)

bench: setup-dev
	@$(VENV)/python -m benchmarks $(ARGS)

chaos: setup-dev
	@$(VENV)/python -m tests.chaos $(ARGS)

lint: setup-dev
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy .
	$(VENV)/lint-imports
	env $(LINT_ENV) $(VENV)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	env $(LINT_ENV) $(VENV)/python manage.py check --deploy --fail-level WARNING
	env $(LINT_ENV) $(VENV)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

# A registry that does not answer, or does not know, is no fault of what is installed.
audit: setup-dev
	@found=$$($(VENV)/pip-audit --requirement requirements.txt --no-deps --disable-pip \
	  --progress-spinner off 2>&1); code=$$?; \
	if echo "$$found" | grep --quiet "^Found [0-9]"; then echo "$$found"; exit $$code; \
	elif [ $$code != 0 ]; then echo "Known holes: not looked up, nobody answers."; \
	else echo "Known holes: none;" \
	  "not looked up: $$(echo "$$found" | grep --count "could not be audited") packages."; fi

check: lint audit test

lock: setup-dev
	@$(PIN) $(ARGS) requirements.in --output-file requirements.txt
	@$(PIN) $(ARGS) requirements-dev.in --output-file requirements-dev.txt
