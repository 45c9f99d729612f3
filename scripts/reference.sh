#!/usr/bin/env bash
# Makes the stored conformance answers again with open_clip and PyTorch, and lets open_clip load what Lethe wrote.
#
# The tests never need it: they read the stored answers. It installs the full torch (5 GB) in a venv in the cache.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

venv=$(cache_folder)/reference-venv
pins=(torch==2.13.0 torchvision==0.28.0 open_clip_torch==3.3.0 safetensors==0.8.0)

if ! cmp -s <(printf '%s\n' "${pins[@]}") "$venv/.complete"; then
    say "installing ${pins[*]} in $venv (5 GB, once)"
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
    "$venv/bin/pip" install --disable-pip-version-check "${pins[@]}" >&2 ||
        fail "the reference's packages could not be installed (pip's message is above)"
    printf '%s\n' "${pins[@]}" >"$venv/.complete"
fi
cd "$here/.."
reference=tests/reference
"$venv/bin/python" $reference/make_reference.py

# The other way: a checkpoint that Lethe trained for a step and wrote is loaded by open_clip.
LIBTORCH=$("$here/libtorch.sh")
export LIBTORCH
cargo build --workspace --locked --example checkpoint_for_open_clip
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LD_LIBRARY_PATH=$LIBTORCH/lib "${CARGO_TARGET_DIR:-target}/debug/examples/checkpoint_for_open_clip" \
    $reference "$work/ours.safetensors"
"$venv/bin/python" $reference/make_reference.py --check "$work/ours.safetensors"
