# Everything a checkout needs: `make help` lists it. Nothing is written outside the checkout: the environment is
# .venv, every cache and every installed target is under .cache, so that two clones never meet.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
# One environment, one installer at a time; the tests spread over the cores by themselves.
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
CACHE := $(ROOT)/.cache

export PIP_CACHE_DIR := $(CACHE)/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export npm_config_cache := $(CACHE)/npm
export UV_CACHE_DIR := $(CACHE)/uv-cache
export DOORWARD_TARGETS := $(CACHE)/targets

# Only what a lock names, by its hash, and only as wheels: a source distribution would run its own build, and install
# what that asks for without a hash.
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --only-binary :all:
# The project itself, in place; its build backend comes from a lock too.
INSTALL_SELF := $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
PUBLISHED := $(BIN)/python -m doorward.lab.targets.published

# Arguments for the verb behind a target: make demo ARGS=--json\ -
ARGS ?=
# What each other Python is tried with by `make test`: what a version of the language can break. `make soak` takes all.
PURE := tests/wire tests/protocol tests/policy tests/judge tests/relay tests/audit
# What depends on the kernel and on the machine's numbers of calls.
WALLS := tests/confine/test_calls.py tests/confine/test_cgroups.py tests/confine/test_escapes.py
# Worker processes of the test run.
WORKERS ?= 2
SPREAD := -n $(WORKERS) --dist loadfile

##@ Use it

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMPS)/demo ## Attack unprotected servers, then the same servers behind Doorward
	@$(PUBLISHED) --unreachable-is-no-failure
	$(BIN)/doorward demo $(ARGS)

##@ Develop it

.PHONY: setup
setup: $(STAMPS)/dev $(STAMPS)/fixture ## Make .venv with everything for development, and install the published targets
	@$(PUBLISHED)
	$(PUBLISHED) --locks tests/peers

.PHONY: test
test: MACHINE := --install
test: setup $(STAMPS)/wheelhouse check ## Install what the tests need, judge the source, run all tests
	@sh tools/browser.sh --install
	sh tools/bus.sh --install
	$(BIN)/python -m pytest $(SPREAD) --no-loadscope-reorder -m 'not soak' $(ARGS)
	sh tools/pythons.sh $(CACHE) $(SPREAD) -m 'not soak' $(PURE)

.PHONY: check
check: $(STAMPS)/dev ## Judge the source only: lint, format, types, floors
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir $(CACHE)/import-linter

.PHONY: soak
soak: setup ## Look for what `make test` does not: new examples, every cell of the peers, every drawn attack, half an hour of churn
	@DOORWARD_EXPLORE=1 $(BIN)/python -m pytest $(SPREAD) --timeout 1800 -m 'not soak' \
		tests/content tests/property tests/wire tests/relay tests/audit tests/policy $(ARGS)
	DOORWARD_WHOLE=1 $(BIN)/python -m pytest $(SPREAD) tests/e2e tests/lab \
		tests/gateway/test_fetching.py $(ARGS)
	$(BIN)/python -m pytest -m soak -rP tests/gateway $(ARGS)
	sh tools/pythons.sh $(CACHE) $(SPREAD) -m 'not soak' tests

.PHONY: kernel
kernel: setup ## Try the walls under Debian's kernel in an emulated machine, of x86_64 and of aarch64: control groups of version 2
	@for machine in x86_64 aarch64; do
		sh tools/kernel.sh $(CACHE) $$machine pytest -q -o cache_dir=/tmp/cache --timeout 1800 $(WALLS) $(ARGS)
	done

.PHONY: bench
bench: bench-stdio bench-http bench-capacity bench-flood ## Measure what Doorward costs, as users install it: the wheel, alone

.PHONY: bench-stdio
bench-stdio: shipped ## ... `wrap`: start-up, one call, memory
	@$(BIN)/python bench/run.py --doorward $(CACHE)/shipped/bin/doorward $(ARGS)

.PHONY: bench-http
bench-http: shipped ## ... `serve`: one core of it beside nginx and other gateways
	@sh tools/bench.sh --install
	$(PUBLISHED) --locks bench/peers
	$(BIN)/python bench/throughput.py --doorward $(CACHE)/shipped/bin/doorward $(ARGS)

.PHONY: bench-flood
bench-flood: shipped ## ... `serve`: what an honest client has of a flood
	@sh tools/bench.sh --install
	$(BIN)/python bench/flood.py --doorward $(CACHE)/shipped/bin/doorward $(ARGS)

.PHONY: bench-capacity
bench-capacity: shipped ## ... `serve`: ten thousand idle sessions, a thousand open streams
	@sh tools/bench.sh --install
	$(BIN)/python bench/capacity.py --doorward $(CACHE)/shipped/bin/doorward $(ARGS)

.PHONY: shipped
# Where the distribution has a Python of our version, that one: it is what its users run, and built with optimisation,
# which the builds of a version manager often are not. What was taken is printed with the figures.
shipped: setup $(STAMPS)/wheelhouse wheel
	@python=/usr/bin/python$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	[ -x "$$python" ] || python=$(BIN)/python
	"$$python" -m venv --clear --without-pip $(CACHE)/shipped
	$(BIN)/python -m pip --python $(CACHE)/shipped/bin/python install --quiet --no-index --no-deps \
		$(CACHE)/wheelhouse/*.whl dist/*.whl

.PHONY: bench-judge
bench-judge: $(STAMPS)/dev ## Measure single judgments against what is promised of them, from the checkout
	@$(BIN)/python bench/judge.py $(ARGS)

.PHONY: bench-relay
bench-relay: $(STAMPS)/dev ## Measure the CPU time of one call in the relay and the archive, from the checkout
	@$(BIN)/python bench/relay.py $(ARGS)

.PHONY: wheel
wheel: $(STAMPS)/dev ## Build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist .

.PHONY: lock
lock: $(STAMPS)/dev $(STAMPS)/uv ## Choose versions anew within the .in files (UPGRADE=1: all of them)
	@sh tools/lock.sh $(CACHE)/uv/bin/uv $(BIN)/python

.PHONY: changes
changes: $(STAMPS)/dev ## Show what the next release notes will say
	@$(BIN)/towncrier build --draft --version next

.PHONY: clean
clean: ## Remove everything that make made
	@rm -rf $(VENV) $(CACHE) build dist out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What follows happens once: each file stands for something installed, and depends on the lock it was installed from.
# They live inside .venv, so removing it takes them along.

$(STAMPS)/venv:
	@python=$$(sh tools/machine.sh $(MACHINE))
	"$$python" -m venv --clear $(VENV)
	mkdir -p $(@D) $(CACHE)
	touch $@

$(STAMPS)/demo-locked: requirements/build.txt requirements/demo.txt $(STAMPS)/venv
	@echo 'doorward: installing what the demo needs'
	$(INSTALL) -r requirements/build.txt -r requirements/demo.txt
	touch $@

$(STAMPS)/dev-locked: requirements/dev.txt $(STAMPS)/venv
	@echo 'doorward: installing everything for development'
	$(INSTALL) -r requirements/dev.txt
	touch $@

$(STAMPS)/demo: pyproject.toml $(STAMPS)/demo-locked
	@$(INSTALL_SELF)
	touch $@

$(STAMPS)/dev: pyproject.toml $(STAMPS)/dev-locked
	@$(INSTALL_SELF)
	touch $@

# The wheel test installs into clean environments from here, so that it needs no registry.
$(STAMPS)/wheelhouse: requirements/runtime.txt $(STAMPS)/venv
	@echo 'doorward: fetching the wheels for the wheel test'
	rm -rf $(CACHE)/wheelhouse
	$(BIN)/python -m pip download --quiet --require-hashes --only-binary :all: \
		-r requirements/runtime.txt --dest $(CACHE)/wheelhouse
	touch $@

# The reference server of the conformance tests stands in the SDK's source distribution only. That is unpacked and never
# built: the backend that pip asks for its metadata is ours.
FIXTURE := examples/servers/everything-server
$(STAMPS)/fixture: requirements/fixture.txt $(wildcard tools/unbuilt/hatchling/*.py) $(STAMPS)/venv
	@echo 'doorward: fetching the reference server of the conformance tests'
	rm -rf $(CACHE)/sdist $(DOORWARD_TARGETS)/fixture
	mkdir -p $(DOORWARD_TARGETS)/fixture
	PYTHONPATH=$(ROOT)/tools/unbuilt $(BIN)/python -m pip download --quiet --require-hashes --no-deps --no-binary :all: \
		--no-build-isolation -r requirements/fixture.txt --dest $(CACHE)/sdist
	tar -xzf $(CACHE)/sdist/*.tar.gz -C $(DOORWARD_TARGETS)/fixture --strip-components=4 --wildcards '*/$(FIXTURE)/*'
	touch $@

$(STAMPS)/uv: requirements/lock.txt $(STAMPS)/venv
	@$(BIN)/python -m venv --clear $(CACHE)/uv
	$(CACHE)/uv/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements/lock.txt
	touch $@
