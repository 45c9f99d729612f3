# Two commands do everything: `make demo` audits a planted backdoor end to end, `make test` checks the project.
#
# Nothing is installed and nothing needs root: libtorch and the data set go to a user's cache, outside the checkout.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test can-test pictures chaos fuzz build env lint deny sbom release reproduce reference reference-full gpu-check image image-next rehearsal

ATTACK ?= badnet
SEED ?= 1
OUT ?= out/demo
PROFILE ?= release
OVERLAY ?= cpu
WORKER ?= lethe-worker
export CARGO_TERM_PROGRESS_WHEN ?= auto

# Every recipe that compiles begins with this; where LIBTORCH is set, nothing is fetched.
USE_LIBTORCH = scripts/prerequisites.sh; LIBTORCH=$$(scripts/libtorch.sh); export LIBTORCH
BINARIES = $${CARGO_TARGET_DIR:-target}/debug

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: build ## plant a backdoor, train the victim, audit it: ATTACK=badnet|blended SEED=1 OUT=out/demo
	@DATA=$$(scripts/fashion_mnist.sh); \
	$(BINARIES)/lethe demo --attack $(ATTACK) --seed $(SEED) --data "$$DATA" --out $(OUT)

test: can-test lint deny build ## formatter, linter, dependencies, every test, every fuzz target for 5 s; what CI runs
	@$(USE_LIBTORCH); FASHION_MNIST=$$(scripts/fashion_mnist.sh); export FASHION_MNIST; \
	ETCD=$$(scripts/etcd.sh); MOTO_SERVER=$$(scripts/s3.sh); PROMETHEUS=$$(scripts/prometheus.sh); KUBE=$$(scripts/kube.sh); \
	CHROMIUM=$$(scripts/chromium.sh); AXE=$$(scripts/axe.sh); export ETCD MOTO_SERVER PROMETHEUS KUBE CHROMIUM AXE; \
	if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --workspace --locked --no-fail-fast --final-status-level skip; \
	else cargo test --workspace --locked --no-fail-fast; fi
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-5} $(MAKE) --no-print-directory fuzz
	@scripts/skipped.sh

pictures: ## takes the pictures in docs/pages.md again, with a real browser
	@$(USE_LIBTORCH); CHROMIUM=$$(scripts/chromium.sh); AXE=$$(scripts/axe.sh); export CHROMIUM AXE; \
	LETHE_PICTURES=docs cargo test -p lethe-coordinator --locked --test browser browser_takes_pictures_of_every_page

can-test:
	@scripts/prerequisites.sh test

chaos: build ## every chaos scenario, as root for all of them: CHAOS_RUNS=20 repeats them and prints a table
	@$(USE_LIBTORCH); ETCD=$$(scripts/etcd.sh); FAKETIME_LIBRARY=$$(scripts/faketime.sh); export ETCD FAKETIME_LIBRARY; \
	scripts/chaos.sh

fuzz: ## every fuzz target for FUZZ_SECONDS (15): shards of each format, captions, checkpoint headers
	@$(USE_LIBTORCH); scripts/fuzz.sh

lint: ## formatter and clippy, warnings as errors
	@scripts/prerequisites.sh
	@cargo fmt --all --check
	@$(USE_LIBTORCH); cargo clippy --workspace --all-targets --locked -- -D warnings

deny: ## licences, bans and sources of every dependency, and advisories where their database can be reached
	@scripts/prerequisites.sh
	@scripts/deny.sh

sbom: ## a CycloneDX bill of materials of crates and libtorch, checked against the schema: out/sbom.cdx.json
	@mkdir -p out && scripts/sbom.sh out/sbom.cdx.json

release: ## an archive with binaries, bill of materials, manual pages and completions, and its SHA256SUMS, in out/release
	@$(USE_LIBTORCH); scripts/release.sh out/release

reproduce: ## builds the release twice, in two folders, and compares the archives byte by byte (twice the time)
	@$(USE_LIBTORCH); scripts/reproduce.sh

build: ## the binaries, in target/debug
	@$(USE_LIBTORCH); cargo build --workspace --bins --locked

env: ## prints the variable that a plain cargo needs: eval "$(make -s env)"
	@$(USE_LIBTORCH); echo "export LIBTORCH=$$LIBTORCH"

reference: ## makes the conformance reference again with open_clip and transformers (installs the full torch in a venv)
	@scripts/reference.sh

reference-full: ## compares ViT-B/32 and RN50 in their whole size with open_clip and transformers (slow, 2 GB)
	@$(USE_LIBTORCH); scripts/reference_full.sh

gpu-check: ## on a machine with one or more NVIDIA GPUs: NCCL, device choice and audits on CUDA; records it in out/
	@scripts/gpu_check.sh

image: ## container images, without an engine, in out/images: PROFILE=debug takes what make build makes, CUDA=1 adds the worker with CUDA (fetches 2.5 GB)
	@$(USE_LIBTORCH); cargo build --workspace --bins --locked $(if $(filter release,$(PROFILE)),--release); \
	scripts/image.sh out/images $(PROFILE) $(if $(filter 1,$(CUDA)),cuda)

image-next: ## after make image: coordinator and worker of a next version, to which the rehearsal updates (builds the workspace again)
	@$(USE_LIBTORCH); scripts/image_next.sh out/images $(PROFILE)

rehearsal: ## as root: the Kubernetes installation on this machine by those images: nodes lost, updated under load: OVERLAY=cpu|bucket WORKER=lethe-worker|lethe-worker-cuda; logs in out/rehearsal
	@FASHION_MNIST=$$(scripts/fashion_mnist.sh); export FASHION_MNIST; scripts/rehearsal.sh out/images out/rehearsal $(OVERLAY) $(WORKER)
