#!/usr/bin/env bash
# Measures how soon torchrun's elastic restart goes on after kill -9 of one rank, and prints JSON: the other side of
# `lethe bench collective`.
#
# The full torch (5 GB) is installed into the user's cache, shared with scripts/reference.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
venv=$("$here/torch_venv.sh")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$venv/bin/python" "$here/bench_torchrun.py" --scratch "$scratch" "$@"
