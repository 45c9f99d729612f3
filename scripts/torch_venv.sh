#!/usr/bin/env bash
# Prints the folder of a Python venv with the full torch and open_clip, installed on the first call (5 GB, in the cache).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

venv=$(cache_folder)/reference-venv
pins=(torch==2.13.0 torchvision==0.28.0 open_clip_torch==3.3.0 safetensors==0.8.0)

if ! cmp -s <(printf '%s\n' "${pins[@]}") "$venv/.complete"; then
    say "installing ${pins[*]} in $venv (5 GB, once)"
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
    "$venv/bin/pip" install --no-cache-dir --disable-pip-version-check "${pins[@]}" >&2 ||
        fail "the packages could not be installed (pip's message is above)"
    printf '%s\n' "${pins[@]}" >"$venv/.complete"
fi
printf '%s\n' "$venv"
