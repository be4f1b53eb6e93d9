# The one door to everything: `make` lists what there is.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
ROUNDS ?= 30
SOAK ?= 50
MINUTES ?= 10
CARGO_TARGET_DIR ?= target
# cargo-nextest and cargo-deny are installed here.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# .cargo/config.toml sets build.target, so results lie in a folder of the host's name.
# Who installs with sudo may not have rustc, and make doesn't look for it where it looks for cargo.
HOST = $(or $(shell PATH='$(PATH)' rustc --print host-tuple 2>/dev/null),$(shell uname -m)-unknown-linux-gnu)
DOOR = $(CARGO_TARGET_DIR)/$(HOST)/release/forgeone
SHARE = $(dir $(DOOR))share
HELPERS = $(addprefix $(dir $(DOOR)),forgeone-standalone forgeone-image)
PROFILE := --locked --profile ci
# The tests of containers: all but the clients, which have users and cgroups of their own.
CONTAINERS := $(addprefix forgeone-tests::,privileged attacks faults)

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build the release and run a container from the built-in image
	@$(DOOR) run self

build: ## build the release of forgeone
	@.ci/prepare build
	@.ci/lane build cargo build --locked --release --package forgeone

helpers: ## build the programs that the door hands work on to
	@.ci/prepare build
	@.ci/lane helpers cargo build --locked --release --package forgeone-standalone --package forgeone-image

test: ## install what the tests need (as root; otherwise name it), run everything, tell the sum
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite </dev/null

test-clients: ## the part of it that runs Podman, containerd, Docker and Buildah with forgeone
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite clients </dev/null

test-attacks: ## the part of it that attacks containers as other runtimes were, with figures
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite attacks </dev/null

test-faults: ## the part of it in which commands fail, run out of room or are killed, with figures
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite faults </dev/null

test-defences: ## take one defence away at a time: its attack has to succeed
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite defences </dev/null

soak: ## attacks and faults for hours: SOAK=50 times the rounds
	@.ci/prepare test
	@FORGEONE_TEST_SOAK=$(SOAK) cargo run --quiet $(PROFILE) --package testkit --bin suite attacks </dev/null
	@FORGEONE_TEST_SOAK=$(SOAK) cargo run --quiet $(PROFILE) --package testkit --bin suite faults </dev/null

fuzz: ## search the readers of foreign bytes for findings, MINUTES=10 each (TARGETS='config dbus' for some)
	@.ci/prepare build
	@cargo run --quiet $(PROFILE) --package testkit --bin suite fuzz $(MINUTES) $(TARGETS) </dev/null

test-vm: ## run what needs the guest alone: cgroup v2, systemd, AppArmor, Podman with systemd
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite guest </dev/null

test-vm-full: ## run all tests of containers in the guest: with each driver, and as a user (hours without KVM)
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite guest cgroupfs systemd user $(CONTAINERS) </dev/null

test-vm-selinux: ## boot the guest with SELinux, and run the tests of its labels
	@.ci/prepare test
	@cargo run --quiet $(PROFILE) --package testkit --bin suite guest selinux </dev/null

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

bench-standalone: helpers ## as root: what a network costs a run and carries, and what 500 detached containers take
	@.ci/prepare bench
	@cargo build --quiet --locked --release --package forgeone --package forgeone-benches
	@env FORGEONE_BIN=$(DOOR) FORGEONE_STANDALONE_BIN=$(dir $(DOOR))forgeone-standalone FORGEONE_IMAGE_BIN=$(dir $(DOOR))forgeone-image $(dir $(DOOR))bench-standalone

bench-config: ## how long it takes to load and validate a configuration of 200 lines
	@.ci/prepare build
	@cargo bench --quiet --locked --package forgeone-config --bench load

bench-images: ## as root: how long an image of a gigabyte takes to load, and how much memory, beside podman load
	@.ci/prepare build
	@cargo bench --quiet --locked --package forgeone-image --bench load

man: build helpers ## write manual pages and shell completions below target/.../release/share
	@rm -rf $(SHARE)
	@cargo run --quiet $(PROFILE) --package testkit --bin manual -- $(DOOR) $(SHARE) </dev/null

install: ## install below PREFIX (/usr/local), inside DESTDIR if set
	@if type cargo >/dev/null 2>&1; then $(MAKE) man helpers; fi
	install -D -m 0755 $(DOOR) $(DESTDIR)$(PREFIX)/bin/forgeone
	install -d -m 0755 $(DESTDIR)$(PREFIX)/libexec/forgeone
	@for helper in $(HELPERS); do \
		if test -e $$helper; then install -m 0755 $$helper $(DESTDIR)$(PREFIX)/libexec/forgeone; \
		else echo "without $${helper##*/}: make helpers builds it"; fi; done
	install -d -m 0755 $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/,system user)
	for kind in system user; do sed 's#@PREFIX@#$(PREFIX)#' packaging/systemd/forgeone-restart.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/$$kind/forgeone-restart.service; done
	@test -d $(SHARE) || echo 'without manual pages and completion: make man writes them'
	@test ! -d $(SHARE) || (cd $(SHARE) && find . -type f) | while read -r file; do \
		install -D -m 0644 $(SHARE)/$$file $(DESTDIR)$(PREFIX)/share/$$file; done

clean: ## remove what was built
	cargo clean

.PHONY: help run build helpers test test-attacks test-faults test-defences soak fuzz test-clients test-vm test-vm-full test-vm-selinux check bench bench-standalone bench-config bench-images man install clean
