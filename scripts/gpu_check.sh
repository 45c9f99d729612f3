#!/usr/bin/env bash
# Runs on a GPU what can only run there, and records it; where no GPU is, says in one line what it needs.
#
# It never counts as passed what did not run: cases of worlds larger than the machine are listed as skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/say.sh

torch_with_cuda="LIBTORCH must name a torch 2.13.0 with CUDA (pip install torch==2.13.0, then its folder site-packages/torch)"
nvidia-smi -L >/dev/null 2>&1 || fail "make gpu-check needs an NVIDIA GPU, and nvidia-smi finds none here; $torch_with_cuda"
[ -f "${LIBTORCH:-}/lib/libtorch_cuda.so" ] || fail "make gpu-check needs CUDA's libtorch: $torch_with_cuda"

scripts/prerequisites.sh
LETHE_NCCL=$(scripts/nccl.sh)
DATA=$(scripts/fashion_mnist.sh)
export LETHE_NCCL
binaries=${CARGO_TARGET_DIR:-target}/debug
notes=${CARGO_TARGET_DIR:-target}/tmp/collective/skipped
drill=out/gpu-check
log=out/gpu-check.log
record=out/gpu-check.json
outcomes=()

# A step's name, then its command.
check() {
    local name=$1 status=0 began=$SECONDS
    shift
    say "$name: $*"
    "$@" || status=$?
    outcomes+=("$name=$status=$((SECONDS - began))")
}

# One case at a time: two groups on one device may each wait for the other's kernels.
conformance() { cargo test -p lethe-collective --locked --test conformance -- nccl:: --ignored --test-threads=1 --nocapture; }
loading() { cargo test -p lethe-collective --locked --test nccl -- --nocapture; }
build() { cargo build --workspace --bins --locked; }

# What CUDA the executor finds, in its own words.
devices() { "$binaries/lethe-worker" --list-devices | tail -n 1 | tee "$drill/devices.json" && grep -q Gpus "$drill/devices.json"; }

plant() { "$binaries/lethe" redteam plant --attack badnet --seed 1 --data "$DATA" --out "$drill/drill"; }

# The drill is trained on the CPU, its victim audited on one GPU. A rejected audit (3) ran all the same. Fewer pairs than the
# drill's own number have no backdoor to find, and nothing would be unlearned.
audit() {
    local status=0
    "$binaries/lethe" audit "$1" --out "$2" --workers 1 --device cuda || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 3 ]
}

# The same spec with its trainings in bf16.
bf16() {
    sed 's/^precision = "f32"$/precision = "bf16"/' "$drill/drill/audit.toml" >"$drill/drill/bf16.toml"
    grep -q '"bf16"' "$drill/drill/bf16.toml" && audit "$drill/drill/bf16.toml" "$drill/bf16"
}

# What ran, for machines: an outcome is its exit status, 0 where it passed.
write_record() {
    python3 - "$record" "$(git rev-parse HEAD)" "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader)" \
        "$(cat "$notes"/* 2>/dev/null || true)" "$@" <<'PYTHON'
import json, sys
path, commit, gpus, skipped, *outcomes = sys.argv[1:]
steps = [dict(zip(("step", "status", "seconds"), (n, int(s), int(t)))) for n, s, t in (o.split("=") for o in outcomes)]
json.dump({"commit": commit, "gpus": gpus.splitlines(), "steps": steps, "skipped": skipped.splitlines()}, open(path, "w"), indent=1)
PYTHON
}

everything() {
    say "on $(nvidia-smi -L | wc -l) GPU(s): $(nvidia-smi -L | head -1), commit $(git rev-parse --short HEAD)"
    check conformance conformance
    check loading loading
    check build build
    check devices devices
    check plant plant
    check audit audit "$drill/drill/audit.toml" "$drill/f32"
    check audit-bf16 bf16
    cat "$notes"/* 2>/dev/null || true
    write_record "${outcomes[@]}"
    ! printf '%s\n' "${outcomes[@]}" | grep -qv '=0='
}

rm -rf "$notes" "$drill"
mkdir -p "$drill"
status=0
everything 2>&1 | tee "$log" || status=$?
say "the record is $record, the whole output $log"
exit "$status"
