#!/usr/bin/env bash
# Runs the conformance suite of the collectives on NCCL where a GPU is; where none is, says in one line what it needs.
#
# It never counts a case as passed that did not run: those of worlds larger than the machine are listed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/say.sh

torch_with_cuda="LIBTORCH must name a torch 2.13.0 with CUDA (pip install torch==2.13.0, then its folder site-packages/torch)"
nvidia-smi -L >/dev/null 2>&1 || fail "make gpu-check needs an NVIDIA GPU, and nvidia-smi finds none here; $torch_with_cuda"
[ -f "${LIBTORCH:-}/lib/libtorch_cuda.so" ] || fail "make gpu-check needs CUDA's libtorch: $torch_with_cuda"

scripts/prerequisites.sh
LETHE_NCCL=$(scripts/nccl.sh)
export LETHE_NCCL
notes=${CARGO_TARGET_DIR:-target}/tmp/collective/skipped
record=out/gpu-check.log

check() {
    say "on $(nvidia-smi -L | wc -l) GPU(s): $(nvidia-smi -L | head -1), commit $(git rev-parse --short HEAD)"
    local status=0
    # One case at a time: two groups on one device may each wait for the other's kernels.
    cargo test -p lethe-collective --locked --test conformance -- nccl:: --ignored --test-threads=1 --nocapture || status=$?
    cargo test -p lethe-collective --locked --test nccl -- --nocapture || status=$?
    cat "$notes"/* 2>/dev/null || true
    return "$status"
}

rm -rf "$notes"
mkdir -p out
status=0
check 2>&1 | tee "$record" || status=$?
say "the record is $record"
exit "$status"
