# The two commands of the README, and what they need. `make help` lists all.
# Everything is installed into .venv beside this file; nothing outside it is touched
# except, as root, the system packages that scripts/setup.sh names.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STORAGE := $(VENV)/.storage-ready
ISOLATION := $(VENV)/.isolation-ready

.PHONY: demo test bench check setup clean help

demo: $(READY) ## run real jobs on an embedded server with two pilots, live in this terminal
	@$(BIN)/ppilot demo $(ARGS)

test: $(READY) $(STORAGE) $(ISOLATION) ## all checks and tests
	@scripts/test.sh $(ARGS)

check: $(READY) ## the static checks alone (format, lint, types, import rules, dead code, file length)
	@scripts/check.sh

bench: $(READY) $(STORAGE) ## measure speed and size; prints figures, judges nothing
	@scripts/alone.sh $(BIN)/python benchmarks/run.py $(ARGS)

setup: $(READY) ## only install

# A virtual environment knows its own place: after the checkout was moved or copied it is made again.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY) $(STORAGE) $(ISOLATION)
endif

$(READY): pyproject.toml scripts/setup.sh
	@scripts/setup.sh $(VENV)

$(STORAGE): scripts/setup_storage.sh tests/node/package.json tests/node/package-lock.json tests/rucio-requirements.txt | $(READY)
	@scripts/setup_storage.sh $(VENV)

# After the other one: both may call apt-get.
$(ISOLATION): scripts/setup_isolation.sh | $(READY) $(STORAGE)
	@scripts/setup_isolation.sh $(VENV)

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile
