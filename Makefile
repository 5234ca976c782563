# make demo    build, then show the whole pipeline on synthetic faces
# make test    all tests
# make check   what CI runs: formatting, lints, tests
# make fmt     put the formatting right
# make page    build the labelling page, which then becomes part of the binary
# make page-test  every page in Chromium, on the real server
# make test-cluster  a scheduler and two executors on machines of their own (network namespaces: needs root), four hosts that
#              ingest into one store, and what measures time against size, small; builds anew. BARS=1: larger, for minutes, and
#              fails where it is slower than it should be
# make torture  kills and power cuts by the hundred, SEED=… to repeat a run
# make fuzz    every reader of foreign bytes, SECONDS_EACH seconds each; what it finds lies in fuzz/artifacts
# make bench   our speed beside that of the usual Python tools, on the images in FACES
# make run     watch, train and serve on the corpus in CORPUS (default: the one this folder lies in)
#
# Builds go to CARGO_TARGET_DIR. A cold build takes most of an hour on two cores; further ones take seconds.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.PHONY: demo test test-cluster check bench torture fuzz run fmt fmt-check clippy tools page page-test

export CARGO_TARGET_DIR ?= $(HOME)/.cache/marginalia/target

MARGINALIA := $(CARGO_TARGET_DIR)/debug/marginalia
BENCH := $(CARGO_TARGET_DIR)/bench
# A test loads a checkpoint into torchvision where there is one: from `make bench` on.
export MARGINALIA_TORCH_PYTHON ?= $(wildcard $(BENCH)/venv/bin/python)
CORPUS ?=
SECONDS_EACH ?= 180
S3 := $(CARGO_TARGET_DIR)/s3
CLIENTS := $(CARGO_TARGET_DIR)/clients
SEED ?= $(shell date +%s)
FACES ?=
ONLY ?=
BARS ?=
WEB := labeling-ui/web
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# cargo-nextest runs each test in a process of its own and shows what is slow; without it cargo's own runner does.
TEST := $(shell cargo nextest --version >/dev/null 2>&1 \
	&& echo 'cargo nextest run --workspace' || echo 'cargo test --workspace --no-fail-fast -- --show-output')

demo: tools page
	cargo build --workspace
	$(MARGINALIA) demo

test: tools page
	cd $(WEB) && npm run --silent check && npm run --silent test
	$(TEST)
	@for folder in "$${MARGINALIA_REFERENCE:-../shared/reference}" "$${MARGINALIA_DATA:-../shared/data}"; do \
		[ -d "$$folder" ] || echo "no folder $$folder: the tests that read it were skipped" >&2; \
	done

# A build of its own: the feature changes what crates under Lance are built with, and the others' must not be built again.
test-cluster: export CARGO_TARGET_DIR := $(CARGO_TARGET_DIR)/cluster
test-cluster: tools page
	cargo clippy -p marginalia --features cluster --all-targets -- -D warnings
	cargo test -p marginalia --features cluster -- cluster::
	$(S3)/venv/bin/python pipeline/tests/cluster/run.py $(CARGO_TARGET_DIR)/debug/marginalia $(if $(BARS),--bars)
	$(CARGO_TARGET_DIR)/debug/marginalia bench faces $(CARGO_TARGET_DIR)/faces --faces 1000
	$(S3)/venv/bin/python bench/many_ingesters.py $(CARGO_TARGET_DIR)/debug/marginalia $(CARGO_TARGET_DIR)/faces \
		$(if $(BARS),--seconds 60 --within 3,--seconds 10)
	rm -rf $(CARGO_TARGET_DIR)/growth
	python3 bench/growth.py $(CARGO_TARGET_DIR)/debug/marginalia $(CARGO_TARGET_DIR)/growth --rows 2000,8000 --rounds 2 --runs 1
	python3 bench/scan.py $(CARGO_TARGET_DIR)/debug/marginalia $(CARGO_TARGET_DIR)/growth/8000 --runs 1

check: fmt-check clippy test

fmt:
	cargo fmt --all

fmt-check:
	cargo fmt --all -- --check

clippy: tools page
	cargo clippy --workspace --all-targets --features marginalia-fuzz/bytes,marginalia-fuzz/texts -- -D warnings

run: tools page
	cargo build --workspace
	$(MARGINALIA) run $(if $(CORPUS),--corpus $(CORPUS))

# Minutes: 300 kills of the running system, 200 power cuts of a writer, every call of a commit on ext4 and XFS.
torture: tools
	@command -v mkfs.xfs >/dev/null || ! command -v apt-get >/dev/null || $(SUDO) apt-get install -y -qq xfsprogs
	@echo "seed $(SEED): repeat with make torture SEED=$(SEED)"
	MARGINALIA_TORTURE=1 MARGINALIA_TORTURE_SEED=$(SEED) MARGINALIA_TORTURE_CUTS=200 MARGINALIA_KILL_SEED=$(SEED) \
	MARGINALIA_KILLS=300 MARGINALIA_MODEL_CASES=60 NEXTEST_SUCCESS_OUTPUT=final \
		cargo nextest run --profile torture --workspace --no-fail-fast -E 'test(durability::) | test(kill::) | test(model::) | test(remote::)' 2>&1 \
		| grep -E '^    .*(seed|kill|cuts|calls|states|lost|acknowledged|panicked)|PASS|FAIL|SKIPPED|Summary' | grep -vE 'durability::child|^    test '

# Coverage-guided on the stable compiler: the passes that cargo-fuzz switches on. fuzz/Cargo.toml says why there are two builds.
export FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1
FUZZ := $(CARGO_TARGET_DIR)/fuzz
FUZZ_HOST := $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_BYTES := $(notdir $(basename $(wildcard fuzz/src/bytes/*.rs)))
FUZZ_TEXTS := $(notdir $(basename $(wildcard fuzz/src/texts/*.rs)))
# Besides those in fuzz/corpus: what the product itself ships is where the texts start from.
FUZZ_SEEDS := config=pipeline/src/config curriculum=pipeline/src/curriculum sql=store/src/views
fuzz: tools
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build -p marginalia-fuzz --features bytes --target $(FUZZ_HOST) --target-dir $(FUZZ)
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/fuzz/instrumented-rustc cargo build --workspace --features marginalia-fuzz/texts \
		$(FUZZ_TEXTS:%=--bin fuzz-%)
	mkdir -p fuzz/artifacts
	for target in $(FUZZ_BYTES) $(FUZZ_TEXTS); do \
		mkdir -p $(FUZZ)/corpus/$$target; \
		binary=$(FUZZ)/$(FUZZ_HOST)/debug/fuzz-$$target; \
		[ -x $$binary ] || binary=$(CARGO_TARGET_DIR)/debug/fuzz-$$target; \
		echo "$$target: $$(basename $$binary), $(SECONDS_EACH) s"; \
		seeds="$$(ls -d fuzz/corpus/$$target 2>/dev/null || true)"; \
		for seed in $(FUZZ_SEEDS); do [ "$${seed%%=*}" != $$target ] || seeds="$$seeds $${seed#*=}"; done; \
		$$binary $(FUZZ)/corpus/$$target $$seeds \
			-max_total_time=$(SECONDS_EACH) -timeout=20 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
			-artifact_prefix=fuzz/artifacts/$$target- 2>&1 | grep -E 'cov:|stat::|SUMMARY|ERROR|panicked' | tail -8; \
	done

# PyTorch's package brings gigabytes for cards that are not used. The images are read once before, so that neither side finds
# them colder than the other.
bench: tools page
	@[ -d "$(FACES)" ] || { echo 'name a folder of images by class: make bench FACES=FOLDER [ONLY=step-48,score]' >&2; exit 2; }
	cargo build --workspace
	[ -x $(BENCH)/venv/bin/python ] || python3 -m venv $(BENCH)/venv
	$(BENCH)/venv/bin/pip install --quiet --requirement bench/requirements.txt
	find $(FACES) -type f -exec cat {} + > /dev/null
	$(BENCH)/venv/bin/python bench/compare.py $(MARGINALIA) $(FACES) $(if $(ONLY),--only $(ONLY))

page: $(WEB)/dist/index.html

$(WEB)/dist/index.html: $(WEB)/node_modules/.ready $(shell find $(WEB)/src $(WEB)/public $(WEB)/build $(WEB)/index.html $(WEB)/vite.config.ts -type f 2>/dev/null)
	cd $(WEB) && npm run --silent build

$(WEB)/node_modules/.ready: $(WEB)/package-lock.json
	@command -v npm >/dev/null || ! command -v apt-get >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq nodejs npm; }
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
		|| { echo 'The page is built with Node 20.19 or newer: https://nodejs.org' >&2; exit 1; }
	cd $(WEB) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.ready

# Every page in Chromium on the real server, with a corpus that takes two minutes to make.
page-test: tools page
	cargo build --workspace
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null || $(SUDO) apt-get install -y -qq chromium
	cd $(WEB) && MARGINALIA_BIN=$(MARGINALIA) npm run --silent e2e

# The build needs the protobuf compiler and the files it imports; tests of corpora on s3:// need a server, moto, those of
# `serve --postgres` and of docs/notebook.md clients: psql, and Python's libraries.
tools: $(S3)/ready $(CLIENTS)/ready
	@command -v cargo >/dev/null || { echo 'Rust is missing: https://rustup.rs installs it' >&2; exit 1; }
	@include=; for folder in $${PROTOC_INCLUDE:-/usr/include /usr/local/include /opt/homebrew/include}; do \
		[ ! -f "$$folder/google/protobuf/empty.proto" ] || include=$$folder; \
	done; \
	if [ -z "$$include" ] || ! command -v "$${PROTOC:-protoc}" >/dev/null; then \
		if command -v apt-get >/dev/null; then \
			echo 'installing protobuf-compiler and libprotobuf-dev'; \
			$(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq protobuf-compiler libprotobuf-dev; \
		else \
			echo 'The build needs protoc and the files google/protobuf/*.proto:' >&2; \
			echo '  Fedora: dnf install protobuf-compiler protobuf-devel   macOS: brew install protobuf   Arch: pacman -S protobuf' >&2; \
			echo 'or set PROTOC to the compiler and PROTOC_INCLUDE to the folder that holds google/protobuf.' >&2; \
			exit 1; \
		fi; \
	fi

$(S3)/ready: store/tests/requirements.txt
	@python3 -c 'import ensurepip, venv' 2>/dev/null || ! command -v apt-get >/dev/null \
		|| { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv; }
	@python3 -m venv $(S3)/venv && $(S3)/venv/bin/pip install --quiet --requirement $< && touch $@

$(CLIENTS)/ready: pipeline/tests/requirements.txt $(S3)/ready
	@{ command -v psql && command -v openssl; } >/dev/null || ! command -v apt-get >/dev/null \
		|| { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq postgresql-client openssl; }
	@python3 -m venv $(CLIENTS)/venv && $(CLIENTS)/venv/bin/pip install --quiet --requirement $< && touch $@
