#!/usr/bin/env bash
# Measures the many-small-tasks load on Ray, one node, and prints JSON: the other side of `lethe bench control-plane`.
#
# Ray is installed into the user's cache, never into the machine's Python, and is stopped at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

version=2.60.0
venv=$(cache_folder)/ray-$version

install() {
    say "installing ray $version (70 MB, once; it is kept in $venv)"
    mkdir -p "$(dirname "$venv")"
    work=$(mktemp -d "$venv.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m venv "$work" >&2 || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
    # Wheels only: nothing is compiled.
    "$work/bin/python" -m pip install --only-binary=:all: --no-cache-dir --disable-pip-version-check --quiet "ray==$version" >&2 ||
        fail "ray $version could not be installed (pip's message is above); check the network"
    # Only this script calls into it, always through bin/python, so the folder may move.
    mv -T "$work" "$venv" 2>/dev/null || [ -x "$venv/bin/python" ] || fail "cannot write $venv"
}

[ -x "$venv/bin/python" ] || install
# A folder of its own, short: Ray's sockets lie in it, and a socket's path has at most 107 bytes.
scratch=$(mktemp -d /tmp/lethe-ray.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
RAY_TMPDIR=$scratch "$venv/bin/python" "$here/bench_ray.py" "$@"
