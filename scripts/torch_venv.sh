#!/usr/bin/env bash
# Prints the folder of a Python venv with the full torch, open_clip, transformers and webdataset, installed on the first call (5 GB, in
# the cache).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

venv=$(cache_folder)/reference-venv
pins=(torch==2.13.0 torchvision==0.28.0 open_clip_torch==3.3.0 safetensors==0.8.0)
# A mark of its own, so that the 5 GB above stay where only this changes.
more=(transformers==5.24.0 webdataset==1.0.2 scikit-image==0.26.0)

is_marked() { # mark, packages
    local mark=$venv/$1
    shift
    cmp -s <(printf '%s\n' "$@") "$mark"
}

install() { # mark, packages
    local mark=$venv/$1
    shift
    "$venv/bin/pip" install --no-cache-dir --disable-pip-version-check "$@" >&2 ||
        fail "the packages could not be installed (pip's message is above)"
    printf '%s\n' "$@" >"$mark"
}

is_complete() { is_marked .complete "${pins[@]}" && is_marked .complete-more "${more[@]}"; }

if ! is_complete; then
    mkdir -p "$(dirname "$venv")"
    # Beside the folder, which is removed. Held to the end: a second set-up waits, and finds it made.
    exec {lock}>"$venv.lock"
    flock "$lock" || fail "cannot lock $venv.lock"
fi
if ! is_marked .complete "${pins[@]}"; then
    say "installing ${pins[*]} in $venv (5 GB, once)"
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
    install .complete "${pins[@]}"
fi
if ! is_marked .complete-more "${more[@]}"; then
    say "installing ${more[*]} in $venv (200 MB, once)"
    install .complete-more "${more[@]}"
fi
printf '%s\n' "$venv"
