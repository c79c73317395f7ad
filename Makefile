# Two commands do everything: `make demo` and `make test`. Both set up what they need in .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test lint types rules drill skews bench recorder s3 soak torch spark lock clean

help:  ## what can be made
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/.ready: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "whimbrel needs Python 3.11 or newer; say which: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/.ready  ## a real model, real flights, a tiny fault: watch it being found (FAULT=none|NAME)
	$(BIN)/whimbrel demo $(if $(FAULT),--fault $(FAULT))

test: .venv/.ready  ## lint, types, import rules, tests
	$(MAKE) --no-print-directory -j 2 types lint rules
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.ready
	$(BIN)/mypy

rules: .venv/.ready
	$(BIN)/lint-imports --no-cache

drill: .venv/.ready  ## plant every fault in every app, 300 windows with nothing wrong, score what is found (hours; goes on where it was stopped)
	$(BIN)/whimbrel drill --untouched 300 --html drill.html

skews: .venv/.ready  ## plant train/serve skews, score what parity finds (minutes)
	$(BIN)/python -m tests.replay.skews table
	$(BIN)/python -m tests.replay.skews heldout

bench: .venv/.ready  ## speed and memory, peers beside us (minutes)
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python -m benchmarks.recorder

recorder: .venv/.ready  ## whimbrel-recorder, the recorder alone, as a wheel in dist/
	cd recorder && ../$(BIN)/python -m hatchling build -t wheel -d ../dist

torch: .venv/.ready  ## PyTorch: the door and the replay, tested against PyTorch itself (downloads gigabytes)
	test -d .venv/torch || $(BIN)/python -m pip install --quiet --disable-pip-version-check --target .venv/torch torch
	PYTHONPATH=.venv/torch $(BIN)/python -m pytest tests/doors/test_torch.py tests/replay/test_torch.py

spark: .venv/.ready  ## Spark: every engine's tests on a cluster of a master and two workers (downloads 480 MB, needs Java 17)
	test -d .venv/spark || $(BIN)/python -m pip install --quiet --disable-pip-version-check --target .venv/spark pyspark
	PYTHONPATH=.venv/spark $(BIN)/python -m pytest tests/engine

s3: .venv/.ready  ## the log's tables in S3, tested against a server started here (downloads moto)
	test -d .venv/s3 || $(BIN)/python -m pip install --quiet --disable-pip-version-check --target .venv/s3 "moto[s3]" flask flask-cors
	$(BIN)/python -m pytest tests/store/test_s3.py

soak: .venv/.ready  ## the recorder, the store and the ledger under kills, forks and threads, every fault in every app, at full count (minutes)
	WHIMBREL_SOAK=full $(BIN)/python -m pytest tests/record/test_soak.py tests/record/test_mapped.py tests/ledger/test_writer.py tests/store/test_kills.py tests/drill/test_faults.py

lock: .venv/.ready  ## renew requirements/dev.lock (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  --extra demo --extra encrypt --extra gpu --extra ledger --group dev pyproject.toml -o requirements/dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
