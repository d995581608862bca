# Everything below makes .venv first, if it is missing or out of date.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check serve stubs format lock test-slow sanitize bench bench-setup bench-accuracy bench-latency bench-mser clean

PY := .venv/bin/python
export PYTHONPATH :=

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup:  ## make .venv, with system packages where they are missing
	@deploy/setup.sh

demo: setup  ## start a server with its jails, send documents through gRPC, show and keep what was read
	@$(PY) -m deploy.demo

test: setup  ## all tests but the slow ones
	@$(PY) -m pytest -m "not slow"

test-slow: setup  ## the slow tests
	@$(PY) -m pytest -m slow --timeout=1800

check: setup  ## ruff, mypy, policy lint, generated stubs
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m jail.seccomp --check
	@$(PY) proto/generate.py --check

serve: setup  ## serve on 127.0.0.1:50051
	@.venv/bin/cloister serve

format: setup  ## put the code in order
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

stubs: setup  ## generate the protobuf stubs anew
	@$(PY) proto/generate.py

lock: setup  ## resolve the dependencies anew: names, versions and hashes
	@$(PY) -m pip install --quiet uv
	@.venv/bin/uv pip compile -q pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --upgrade -o requirements.lock
	@.venv/bin/uv pip compile -q pyproject.toml --extra dev --extra bench --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --upgrade -o requirements-bench.lock

bench-setup: setup
	@command -v tesseract >/dev/null || { $$([ "$$(id -u)" = 0 ] || echo sudo) apt-get install -y -qq tesseract-ocr >/dev/null; }
	@$(PY) -c "import rapidocr" 2>/dev/null || $(PY) -m pip install --quiet --require-hashes -r requirements-bench.lock

clean:  ## delete what was made, .venv too
	rm -rf .venv build out .mypy_cache .ruff_cache .pytest_cache .hypothesis
