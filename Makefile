# Everything builds its own .venv from the hashed locks in requirements/; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
# Bytecode is written at installation: without it every start compiles, and costs memory.
PIP := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check fmt fuzz bench reference lock clean
# Also with -j: the targets share a .venv.
.NOTPARALLEL:

demo: .venv/demo ## two services, sidecars and a collector, until Ctrl-C; DEMO are its options
	@$(BIN)/outrider demo $(DEMO)

# Four at once also on two cores: those that start programs wait most of the time. In the order of their folders,
# in which these come first, and not by how many tests a file has.
test: .venv/dev ## all tests; those that need a part which is not installed say so
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

check: .venv/dev ## formatting, lint, types, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m dashboards --check

fmt: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: .venv/dev ## hostile bytes for FUZZ_SECONDS, reproducible by FUZZ_SEED, which is printed
	$(BIN)/python -m tests.fuzz --seconds $(or $(FUZZ_SECONDS),60) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

bench: .venv/dev ## at rest, and the relay and logs beside the OpenTelemetry Collector: three quarters of an hour; needs Go and nginx
	.ci/tools
	$(BIN)/python -m bench rest
	$(BIN)/python -m bench relay --publish
	$(BIN)/python -m bench logs --publish

reference: .venv/dev ## writes docs/reference/ and dashboards/generated/ anew
	$(BIN)/python docs/generate.py
	$(BIN)/python -m dashboards

lock: ## writes requirements/*.txt anew (needs uv)
	requirements/lock.sh

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache

# A stamp, because a .venv that was begun and not finished has its python too.
.venv/made:
	$(PYTHON) -m venv .venv
	@touch $@

.venv/demo: .venv/made requirements/demo.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/demo.txt
	$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

.venv/dev: .venv/made requirements/dev.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@ .venv/demo
