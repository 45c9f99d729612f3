#!/usr/bin/env bash
# Measures DAO as one would write it with PyTorch, and prints JSON.
#
# The full torch (5 GB) is installed into the user's cache, shared with scripts/reference.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
venv=$("$here/torch_venv.sh")
"$venv/bin/python" "$here/bench_dao.py" "$@"
