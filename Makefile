# Offramp: one command per task. Run `make` alone to list them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
BROWSERS := chromium chromium-browser google-chrome

OFFRAMP_PORT ?= 7860
OFFRAMP_API_PORT ?= 8000

# Set TORCH_INDEX_URL to PyTorch's package index for CPU builds to leave the CUDA packages out.
TORCH_INDEX_URL ?=
# Extra arguments for the command behind a target, for example: make test ARGS='-k parity -x'
ARGS ?=

# The stages of the shipped model, each starting where the one before it ended.
STAGES = $(addprefix configs/train/flickr8k,.yaml -text.yaml -joint.yaml -cider.yaml -finish.yaml -distil.yaml -text-embedding.yaml -premise.yaml -poolers.yaml \
	-classifier.yaml -palbert.yaml -jei-dnn.yaml -tags.yaml)
# What `make bench` measures on, and where the results go.
DATA ?= ../shared/data/flickr8k
RESULTS ?= docs/results
MEASURED_ON = --data $(DATA) --feature-cache artifacts/features
SWEEP = $(BIN)/python -m model_core sweep --split test --out $(RESULTS) $(MEASURED_ON) $(ARGS)
# One setting of each method is chosen on val, for the tables of docs/methods.md.
TUNE = $(BIN)/python -m model_core sweep --split val --policies methods \
	--batch-sizes '' --out $(RESULTS)/tuning $(MEASURED_ON)

# Tests see the same settings on every machine, whatever the shell exports.
EXPORTED_SETTINGS = $(shell env | sed -n 's/^\(OFFRAMP_[A-Z0-9_]*\)=.*/-u \1/p')

.DEFAULT_GOAL := help
.PHONY: help setup demo test manners check train soak bench bench-caption bench-others browser clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Create .venv and install everything (minutes once, then nothing)
	@echo "== setup: $(VENV) is ready"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "offramp needs Python 3.11 or newer; name one with: make PYTHON=python3.11"; exit 1; }
	@echo "== setup: installing the pinned packages into $(VENV) (3 to 10 minutes, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --no-deps \
		$(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,train]'
	@touch $@
	@echo "== setup: done"

demo: $(INSTALLED) ## Start the service and the page; Ctrl-C stops both
	@echo "== demo: starting the service and the page (under a minute)"
	@$(BIN)/python -m tools.demo --port $(OFFRAMP_PORT) --api-port $(OFFRAMP_API_PORT)

test: $(INSTALLED) browser ## Run every test, the browser test too (under 15 minutes)
	@echo "== test: running the tests (5 to 15 minutes on two cores)"
	env -u REDIS_URL -u RAY_ADDRESS $(EXPORTED_SETTINGS) $(BIN)/python -m pytest $(ARGS)

manners: $(INSTALLED) browser ## Of the tests, those of the page under axe-core, faults and ten visitors (minutes)
	env $(EXPORTED_SETTINGS) $(BIN)/python -m pytest -m manners -p no:randomly tests/e2e/test_manners.py $(ARGS)

browser:
	@for name in $(BROWSERS); do command -v $$name > /dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "== browser: installing chromium for the browser test (about a minute, once)"; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core \
			> /dev/null && exit 0; \
	fi; \
	echo "== browser: none of $(BROWSERS) found; install chromium to run the browser test," \
		"which is skipped by name otherwise"

check: $(INSTALLED) ## Format, lint, types, import contracts, spelling, dependencies (a minute or two)
	@echo "== check: format and lint"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@echo "== check: types (a minute the first time)"
	$(BIN)/mypy
	@echo "== check: import contracts"
	$(BIN)/lint-imports
	@echo "== check: spelling and dependencies"
	$(BIN)/codespell
	$(BIN)/deptry .
	@echo "== check: all passed"

train: $(INSTALLED) ## Train the shipped model (hours; resumes); ARGS='--set data.folder=DIR'
	@echo "== train: hours on two cores; a stopped run resumes where it was"
	$(BIN)/python -m model_core train --config $(STAGES) $(ARGS)

soak: $(INSTALLED) ## Load for ten minutes while replicas and Redis are killed; ARGS='--minutes 1'
	@echo "== soak: ten minutes and a start; leave the machine alone"
	env -u REDIS_URL -u RAY_ADDRESS $(EXPORTED_SETTINGS) $(BIN)/python -m tools.soak $(ARGS)

bench: $(INSTALLED) ## Every exit method on the test split, into docs/results and README (an hour)
	@echo "== bench: an hour on two idle cores; a stopped run goes on where it was"
	@echo "== bench: quality, one sweep per core"
	@$(MAKE) --no-print-directory -j 2 bench-caption bench-others
	@echo "== bench: times, one after another; leave the machine alone"
	$(SWEEP) --task caption
	$(SWEEP) --task entailment
	$(SWEEP) --task entailment --with-premise
	@echo "== bench: tables and figures"
	$(BIN)/python -m model_core report --results $(RESULTS)

bench-caption:
	$(TUNE) --task caption --num-examples 500
	$(SWEEP) --task caption --batch-sizes ''

bench-others:
	$(TUNE) --task entailment --num-examples 1000
	$(TUNE) --task entailment --with-premise --num-examples 1000
	$(SWEEP) --task entailment --batch-sizes ''
	$(SWEEP) --task entailment --with-premise --batch-sizes ''
	$(BIN)/python -m model_core judgments --data $(DATA) --out $(RESULTS)
	$(BIN)/python -m model_core conformal $(MEASURED_ON) --out $(RESULTS)
	$(BIN)/python -m model_core retrieve --data $(DATA) --out $(RESULTS) --fixed-depths --if-possible

clean: ## Remove .venv and everything that tools have cached
	rm -rf $(VENV) build *.egg-info .coverage .*_cache .hypothesis
	find app serve model_core tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
