# The two commands of the project are `make demo` and `make test`; the others are their parts and longer campaigns.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROMETHEUS := $(VENV)/prometheus
KILLS ?= 20
# Compiled bytecode makes every command start three times sooner.
unexport PYTHONDONTWRITEBYTECODE
SEED ?= 7

.PHONY: demo test bench lint types chaos faces screenshots size lock clean unit

demo: $(READY)
	$(BIN)/touchline demo --seed $(SEED) --home demo-output $$(test -t 1 && echo --serve)

# One fresh database and one set of loopback servers per test. Four workers for two cores: tests wait for processes half of the time.
test: lint types unit

unit: $(READY) .chromium .prometheus
	rm -f .coverage .coverage.*
	$(BIN)/pytest -n 4 --dist worksteal --cov --cov-report= tests
	$(BIN)/coverage report --fail-under=95

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks $(CASES)

chaos: $(READY)
	TOUCHLINE_CHAOS_KILLS=$(KILLS) $(BIN)/pytest -n 2 tests/faults

# Tests of the pages and the API, each on both databases.
faces: $(READY) .chromium
	TOUCHLINE_EVERY_DATABASE=1 $(BIN)/pytest -n 2 tests/web

# The pictures in docs/web.md.
screenshots: $(READY) .chromium
	$(BIN)/python tests/screenshots.py

size:
	@find src -name '*.py' -exec wc -l {} + | sort -rn | head -30

lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--group dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) demo-output .coverage .coverage.* .mypy_cache .ruff_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Touchline needs Python 3.11 or newer on PATH (or: make PYTHON=/path/to/python3)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $(READY)

# The browser tests drive Chromium. It is installed where the package manager and the rights are there; else the run says how.
.PHONY: .chromium
.chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			echo "installing chromium"; (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) >/dev/null; \
		else echo "The tests need Chromium. On Debian: sudo apt-get install chromium"; exit 1; fi; }

# Rules and dashboard are tried on a real Prometheus. Where none is on PATH the package is only unpacked: that needs no rights
# and starts no service.
.PHONY: .prometheus
.prometheus: $(READY)
	@{ { command -v prometheus && command -v promtool; } || test -d $(PROMETHEUS); } >/dev/null || { \
		command -v apt-get >/dev/null && echo "unpacking prometheus" && rm -rf $(PROMETHEUS).new && mkdir $(PROMETHEUS).new && \
		{ [ "$$(id -u)" != 0 ] || apt-get update -qq; } && cd $(PROMETHEUS).new && \
		apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg -x *.deb . && rm *.deb && mv ../prometheus.new ../prometheus; \
	} || { echo "The tests need prometheus and promtool. On Debian: sudo apt-get update, then this again. Elsewhere put both on PATH:" \
		"https://prometheus.io/download"; exit 1; }
