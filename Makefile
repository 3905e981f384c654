# Every target creates what it needs: the virtual environment in .venv is rebuilt when the dependencies or the
# native engine change.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SOURCES := proto protocol node simulations proofs tests vectors benchmarks

.PHONY: install test-tools proof-tools demo test test-slow test-portable check spec-check proofs vectors fmt proto bench bench-peers bench-simulator bench-signatures soak bench-watch clean

install: $(VENV)/.installed

NATIVE := protocol/native/Cargo.toml protocol/native/.cargo/config.toml $(wildcard protocol/native/src/*.rs)

$(VENV)/.installed: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,extract,simulations,test,dev]'
	@touch $@

demo: install
	$(BIN)/mandorla demo

# The report's test looks at it in a real browser; the time stamps' test runs OpenSSL's authority; the store's tests run
# a PostgreSQL server of their own; systemd judges its unit, and iproute2 gives the labs of the operators' guide addresses
# of their own; shells complete the command line.
test-tools:
	@command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || \
		{ apt-get update -qq && apt-get install -y -qq postgresql; } > /dev/null || \
		echo "no PostgreSQL, and apt cannot install it: tests of the store in it will be skipped"
	@command -v openssl > /dev/null || { apt-get update -qq && apt-get install -y -qq openssl; } > /dev/null
	@command -v systemd-analyze > /dev/null && command -v ip > /dev/null || \
		{ apt-get update -qq && apt-get install -y -qq systemd iproute2; } > /dev/null || \
		echo "no systemd or iproute2, and apt cannot install them: some tests of the packaging are left out"
	@command -v zsh > /dev/null && command -v fish > /dev/null || \
		{ apt-get update -qq && apt-get install -y -qq zsh fish; } > /dev/null || \
		echo "no zsh or fish, and apt cannot install them: their completion is not tested"
	@command -v chromium > /dev/null || command -v google-chrome > /dev/null || \
		{ apt-get update -qq && apt-get install -y -qq chromium; } > /dev/null || \
		echo "no Chromium, and apt cannot install it: the report's browser test will fail"

# The tests that depend on the engine, and on the columns of the native extension: the vectors and the other VOPRF, batches,
# labels, tables, sessions, audits, nodes in rounds with honest and with hostile peers, and nodes as processes. The other
# tests do not call the engine, or make the same calls. The two that are left out wait for a deadline, or ask for 8,193
# elements of a peer.
PORTABLE_TESTS := tests/vectors/test_replay.py tests/interop tests/protocol/engine tests/protocol/test_labels.py \
	tests/protocol/test_table.py tests/protocol/session tests/protocol/audit \
	tests/node/rounds/test_rounds.py tests/node/audit/test_bundle.py tests/adversarial/test_hostile_holder.py \
	tests/adversarial/test_hostile_querier.py \
	tests/node/cli/test_homes.py::test_doctor_finds_a_home_well \
	tests/e2e/test_demo.py::test_three_labs_find_exactly_what_their_lists_share \
	--deselect tests/adversarial/test_hostile_holder.py::test_a_peer_that_goes_silent_or_away_ends_the_round_with_its_name \
	--deselect tests/adversarial/test_hostile_holder.py::test_a_holder_that_fails_half_way_learns_nothing_from_the_next_round

# Nodes and commands start hundreds of times, so what is compiled is kept, whatever the environment says. Neighbours
# share what was made for their module: they stay on one core, until another has nothing left to do.
test test-slow test-portable: export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# All but the slow ones, with the engine that `auto` takes; and if that is the native one, what depends on it again without
# the extension.
test: install test-tools
	$(PYTEST) -m 'not slow'
	@if $(BIN)/python -c 'import mandorla_protocol._native' 2> /dev/null; then $(MAKE) --no-print-directory test-portable; fi

# What takes long and seldom finds what no other test does: floods, nodes that are killed again and again, simulations.
test-slow: install test-tools
	$(PYTEST) -m slow

test-portable: install
	PYTHONPATH=$(CURDIR)/tests/support/portable MANDORLA_ENGINE=portable $(PYTEST) -m 'not slow' $(PORTABLE_TESTS)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python proto/generate.py --check
	@if command -v cargo > /dev/null; then \
		cd protocol/native && cargo fmt --check && cargo clippy --quiet --all-features -- -D warnings && cargo test --quiet; \
	else echo "no cargo: the native engine is not checked"; fi

# SPEC.md says what the code does: algorithms, requirements and their tests, sections, names.
spec-check: install
	$(BIN)/python tools/spec_check.py

# Coq, and the library of algebra that the proofs in proofs/coq stand on.
proof-tools:
	@command -v coqchk > /dev/null || { apt-get update -qq && apt-get install -y -qq \
		coq libcoq-mathcomp-ssreflect libcoq-mathcomp-fingroup libcoq-mathcomp-algebra; } > /dev/null

# Every claim of proofs/CLAIMS.toml, and the mutant that its checker must refute.
proofs: install proof-tools
	$(BIN)/python proofs/run.py

# The test vectors and their schema; a test requires that nothing differs.
vectors: install
	$(BIN)/python -m vectors.make

fmt: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: install
	$(BIN)/python proto/generate.py

# Each writes benchmarks/results and its table in benchmarks/README.md, in minutes; LARGE=1 adds rounds of 1,048,576.
bench: install
	$(BIN)/python -m benchmarks.bench $(if $(LARGE),--large)

# Each peer is installed in an environment of its own, under .venv-peers.
bench-peers: install
	$(BIN)/python -m benchmarks.against $(if $(LARGE),--large)

# An hour of three labs whose nodes are killed every 30 seconds; MINUTES=10 takes ten.
soak: install
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),60) --kill-every 30

bench-simulator: install
	$(BIN)/python benchmarks/simulator.py

# What fingerprints find and what they find falsely, on real data where it is there, and on what is generated.
bench-signatures: install
	$(BIN)/python -m benchmarks.signatures

# Checks at a rate, and the way of a flag from one lab to another; TAGS=1000000 for a table of that size.
bench-watch: install
	$(BIN)/python -m benchmarks.gateway $(if $(TAGS),--tags $(TAGS))

clean:
	rm -rf $(VENV) .venv-peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
