# make run · test · check · fmt · golden · bench · migration NAME=... · test-nightly · mutants · sbom
# Needs make and Python 3.11, 3.12 or 3.13; everything else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
PYTEST := $(BIN)/python -m pytest

.PHONY: run test check fmt golden bench migration test-nightly mutants sbom

run: .venv/.runtime
	@exec $(BIN)/billing serve --demo $(ARGS)

test: check

check: .venv/.dev
	$(BIN)/ruff format --check --quiet src tests bench tools
	$(BIN)/ruff check --quiet src tests bench tools
	$(BIN)/basedpyright --warnings
	$(BIN)/lint-imports --no-logo
	$(PYTEST) -q -n 2 --dist worksteal $(ARGS)

fmt: .venv/.dev
	$(BIN)/ruff check --quiet --fix-only src tests bench tools
	$(BIN)/ruff format --quiet src tests bench tools

# Write the expected files (schema, API description, stories) as the code now makes them; read the difference before a commit.
golden: .venv/.dev
	$(PYTEST) -q -n 0 -m golden --rewrite-golden

# The checks of `make test` with their whole figures, and the slow ones; then those that must be alone on the machine. What hangs
# where no exception reaches it ends after an hour with its stacks.
NIGHT := --nightly -o faulthandler_timeout=3600 -o faulthandler_exit_on_timeout=true

test-nightly: .venv/.dev
	@$(PYTEST) -q -n 2 --dist worksteal $(NIGHT) $(ARGS); beside=$$?; test $$beside -le 1 || exit $$beside; \
	  $(PYTEST) -q -n 0 $(NIGHT) --alone $(ARGS); alone=$$?; \
	  echo "nightly.md tells how each promise ended"; exit $$((beside || alone))

# Changes of the program that would cost money or show another's data, each of which a test has to notice: part of the night.
mutants: .venv/.dev
	$(PYTEST) -q -n 1 --nightly tests/mutation tests/store/test_kernel_mutations.py tests/store/test_more_mutations.py \
	  tests/store/test_cost_mutations.py tests/store/test_account_filters.py $(ARGS)

# Speed against yardsticks; some rows alone: make bench ROWS="G2 G3".
bench: .venv/.dev
	@$(BIN)/python -m bench $(ROWS)

# What the program is made of, as CycloneDX.
sbom:
	@$(PYTHON) tools/sbom.py

migration: .venv/.dev
	@test -n "$(NAME)" || { echo "make migration NAME=what_it_does" >&2; exit 2; }
	@$(BIN)/dbmate --migrations-dir src/billing/sql/migrations new "$(NAME)"

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one with: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "$(PYTHON) could not make .venv; its venv module may be a package of its own (python3-venv)" >&2; exit 1; }

.venv/.runtime: requirements.txt pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing into .venv ..."
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
