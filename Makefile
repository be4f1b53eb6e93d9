# The one door to everything: `make` lists what there is.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
ROUNDS ?= 30
CARGO_TARGET_DIR ?= target
# cargo-nextest and cargo-deny are installed here.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# .cargo/config.toml sets build.target, so results lie in a folder of the host's name.
HOST = $(shell rustc --print host-tuple)
DOOR = $(CARGO_TARGET_DIR)/$(HOST)/release/forgeone
PROFILE := --locked --profile ci

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build the release and run a container from the built-in image
	@$(DOOR) run self

build: ## build the release of forgeone
	@.ci/prepare build
	@.ci/lane build cargo build --locked --release --package forgeone

test: ## install what the tests need (as root; otherwise name it), run everything, tell the sum
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite </dev/null

check: ## check format, lints, documentation, licences and sources of dependencies
	@.ci/prepare check
	@.ci/lane fmt cargo fmt --all --check
	@.ci/lane clippy cargo clippy $(PROFILE) --workspace --all-targets -- --deny warnings
	@.ci/lane rustdoc env RUSTDOCFLAGS='--deny warnings' cargo doc $(PROFILE) --workspace --no-deps --document-private-items
	@.ci/lane deny .ci/deny

bench: ## as root: compare with other runtimes, ROUNDS=30 times; writes docs/performance.md and .svg
	@.ci/prepare bench
	@cargo build --quiet --locked --release --package forgeone --package forgeone-benches
	@$(dir $(DOOR))bench --rounds $(ROUNDS)

install: ## install below PREFIX (/usr/local), inside DESTDIR if set
	@if type cargo >/dev/null 2>&1; then $(MAKE) build; fi
	install -D -m 0755 $(DOOR) $(DESTDIR)$(PREFIX)/bin/forgeone
	install -d -m 0755 $(DESTDIR)$(PREFIX)/libexec/forgeone

clean: ## remove what was built
	cargo clean

.PHONY: help run build test check bench install clean
