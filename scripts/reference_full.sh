#!/usr/bin/env bash
# Compares ViT-B/32 and RN50 in their whole size with open_clip and transformers: random weights, written for this and removed.
#
# Slow: 2 GB of files, some minutes. `make test` has the same on shrunken models.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

venv=$("$here/torch_venv.sh")
cd "$here/.."
LIBTORCH=$("$here/libtorch.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$venv/bin/python" tests/reference/make_reference.py --full "$work"
export LIBTORCH FULL_REFERENCE=$work
cargo test -p lethe-model --locked --test model full:: -- --ignored --nocapture --test-threads 1
