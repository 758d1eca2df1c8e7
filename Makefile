# Two targets matter: `make demo` shows the line at work, `make test` proves it. A bare `make` prints this help.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed

.PHONY: help demo test check bench crash soak fuzz clean
help:
	@echo "make demo    a generated fleet with planted faults through the whole line (makes .venv first)"
	@echo "make test    style, types, import contracts, doctests and all tests"
	@echo "make check   the fast part of it: style, types, import contracts"
	@echo "make bench   speed and memory against polars, and what is said about published real telemetry"
	@echo "make crash   brokers, workers and agents die and sleep again and again on three Kafka nodes, through both clients; about 35 minutes"
	@echo "make soak    10,000 GPUs x 50 metrics through one worker for ten minutes: memory, lag"
	@echo "make fuzz    a million broken inputs to every parser, then SECONDS=60 led by coverage; hours, Ctrl-C stops, goes on (INPUTS=10000 for fewer)"
	@echo "make clean   remove .venv and caches"

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $(READY)

demo: $(READY)
	$(BIN)/grayscope demo
	$(BIN)/python benchmarks/real_telemetry.py failslow_drives

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest -q -m "not slow"
	$(BIN)/python -m pytest -q -m slow

bench: $(READY)
	$(BIN)/python benchmarks/replay_against_polars.py
	$(BIN)/python benchmarks/real_telemetry.py

crash: $(READY)
	GRAYSCOPE_TEST_CRASH=long GRAYSCOPE_INSTALL_SERVERS=1 $(BIN)/python -m pytest -q --durations=9 tests/pipelines/test_live_crash.py

soak: $(READY)
	$(BIN)/python benchmarks/soak.py

INPUTS ?= 1000000
SECONDS ?= 60
fuzz: $(READY)
	$(BIN)/python tests/fuzz.py --inputs $(INPUTS)
	$(BIN)/python tests/fuzz.py --guided --seconds $(SECONDS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
