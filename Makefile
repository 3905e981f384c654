# Every target creates what it needs: the virtual environment in .venv is rebuilt when the dependencies change.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SOURCES := proto protocol node simulations tests benchmarks

.PHONY: install demo test check fmt proto clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,simulations,test,dev]'
	@touch $@

demo: install
	$(BIN)/mandorla demo

test: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python proto/generate.py --check
	@if command -v cargo > /dev/null; then \
		cd protocol/native && cargo fmt --check && cargo clippy --quiet --all-features -- -D warnings && cargo test --quiet; \
	else echo "no cargo: the native engine is not checked"; fi

fmt: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: install
	$(BIN)/python proto/generate.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
