#!/usr/bin/env bash
# Checks that the machine has what a build needs, and with the word "test" what the tests need, and names everything that is missing at once.
#
# It never installs anything: that may need root, and it is the operator's machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }

need cargo "cargo (Rust 1.95 or later, through rustup)"
need g++ "g++ (Debian: apt-get install g++)"
need git "git (Debian: apt-get install git)"
need python3 "python3 (Debian: apt-get install python3)"
if command -v python3 >/dev/null && [ -z "${LIBTORCH:-}" ]; then
    python3 -m pip --version >/dev/null 2>&1 || missing+=("pip for $(command -v python3) (Debian: apt-get install python3-pip)")
fi
if [ "${1:-}" = test ]; then
    need npm "npm (Debian: apt-get install npm), for the accessibility check's axe-core"
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=("venv for $(command -v python3) (Debian: apt-get install python3-venv)")
    python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null ||
        missing+=("a python3 of 3.11 to 3.14, for which the tools that look at manifests are pinned")
fi
[ "${#missing[@]}" -eq 0 ] || fail "missing on this machine:$(printf '\n  %s' "${missing[@]}")"
