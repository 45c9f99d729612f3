#!/usr/bin/env bash
# Measures open_clip with webdataset and Pillow on shards, and prints JSON; `data` as the first word makes the shards.
#
# The full torch (5 GB) is installed into the user's cache, shared with scripts/reference.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
venv=$("$here/torch_venv.sh")
if [ "${1:-}" = data ]; then
    shift
    exec "$venv/bin/python" "$here/bench_score_data.py" "$@"
fi
exec "$venv/bin/python" "$here/bench_score.py" "$@"
