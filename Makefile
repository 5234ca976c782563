# make demo    build, then show the whole pipeline on synthetic faces
# make test    all tests
# make check   what CI runs: formatting, lints, tests
# make fmt     put the formatting right
# make bench   our speed beside that of the usual Python tools
# make run     watch, train and serve on the corpus in CORPUS (default: the one this folder lies in)
#
# Builds go to CARGO_TARGET_DIR. A cold build takes most of an hour on two cores; further ones take seconds.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.PHONY: demo test check bench run fmt fmt-check clippy tools

export CARGO_TARGET_DIR ?= $(HOME)/.cache/marginalia/target

MARGINALIA := $(CARGO_TARGET_DIR)/debug/marginalia
BENCH := $(CARGO_TARGET_DIR)/bench
CORPUS ?=
FACES ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# cargo-nextest runs each test in a process of its own and shows what is slow; without it cargo's own runner does.
TEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo 'cargo nextest run --success-output final' || echo 'cargo test --no-fail-fast')

demo: tools
	cargo build --workspace
	$(MARGINALIA) demo

test: tools
	$(TEST) --workspace

check: fmt-check clippy test

fmt:
	cargo fmt --all

fmt-check:
	cargo fmt --all -- --check

clippy: tools
	cargo clippy --workspace --all-targets -- -D warnings

run: tools
	cargo build --workspace
	$(MARGINALIA) run $(if $(CORPUS),--corpus $(CORPUS))

# FACES is a folder of images; without one, both sides read the same synthetic faces.
bench: tools
	cargo build --workspace
	[ -x $(BENCH)/venv/bin/python ] || python3 -m venv $(BENCH)/venv
	$(BENCH)/venv/bin/pip install --quiet --requirement bench/requirements.txt
	$(MARGINALIA) bench ingest --json $(FACES)
	rm -rf $(BENCH)/faces.lance
	$(if $(FACES),$(BENCH)/venv/bin/python bench/peers/ingest.py $(FACES) $(BENCH)/faces.lance,echo 'set FACES=FOLDER to run the Python side on the same files')

# The build needs the protobuf compiler and the files it imports.
tools:
	@command -v cargo >/dev/null || { echo 'Rust is missing: https://rustup.rs installs it' >&2; exit 1; }
	@if ! command -v protoc >/dev/null || ! find -L $${PROTOC_INCLUDE:-/usr/include /usr/local/include /opt/homebrew/include} -path '*google/protobuf/empty.proto' 2>/dev/null | grep -q .; then \
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
