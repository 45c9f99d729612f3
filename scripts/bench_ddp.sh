#!/usr/bin/env bash
# Measures the steps of a CLIP under DistributedDataParallel with Gloo, beside the same processes without communication,
# and prints JSON.
#
# The full torch (5 GB) is installed into the user's cache, shared with scripts/reference.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
venv=$("$here/torch_venv.sh")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$venv/bin/python" "$here/bench_ddp.py" --scratch "$scratch" "$@"
