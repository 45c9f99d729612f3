#!/usr/bin/env bash
# Makes the stored conformance answers again with open_clip, transformers and PyTorch, and lets them load what Lethe wrote.
#
# The tests never need it: they read the stored answers. scripts/torch_venv.sh installs what it needs (5 GB).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

venv=$("$here/torch_venv.sh")
cd "$here/.."
reference=tests/reference
"$venv/bin/python" $reference/make_reference.py

# The other way: a checkpoint that Lethe trained for a step and wrote is loaded by open_clip.
LIBTORCH=$("$here/libtorch.sh")
export LIBTORCH
cargo build -p lethe-model --locked --example checkpoint_for_open_clip --example families_for_their_libraries
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LD_LIBRARY_PATH=$LIBTORCH/lib "${CARGO_TARGET_DIR:-target}/debug/examples/checkpoint_for_open_clip" \
    $reference "$work/ours.safetensors"
"$venv/bin/python" $reference/make_reference.py --check "$work/ours.safetensors"

# The same for every family of checkpoints, with the library that its names are from.
LD_LIBRARY_PATH=$LIBTORCH/lib "${CARGO_TARGET_DIR:-target}/debug/examples/families_for_their_libraries" \
    $reference/families "$work/families"
"$venv/bin/python" $reference/make_reference.py --returned "$work/families"
