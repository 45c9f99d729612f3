#!/usr/bin/env bash
# Prints the path of a server that speaks S3 with uploads in parts and bulk deletion (moto), installed in a venv in the user's cache on
# the first call. MOTO_SERVER names one instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

pins=('moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5)
venv=$(cache_folder)/moto-venv

if [ -n "${MOTO_SERVER:-}" ]; then
    [ -x "$MOTO_SERVER" ] || fail "MOTO_SERVER=$MOTO_SERVER is no program; expected the path of a moto_server"
    printf '%s\n' "$MOTO_SERVER"
    exit
fi
if ! cmp -s <(printf '%s\n' "${pins[@]}") "$venv/.complete"; then
    say "installing ${pins[*]} in $venv (60 MB, once)"
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
    "$venv/bin/pip" install --no-cache-dir --disable-pip-version-check "${pins[@]}" >&2 ||
        fail "the packages could not be installed (pip's message is above)"
    printf '%s\n' "${pins[@]}" >"$venv/.complete"
fi
printf '%s\n' "$venv/bin/moto_server"
