#!/usr/bin/env bash
# Prints the path of a server that speaks S3 with uploads in parts and bulk deletion (moto), installed in a venv in the user's cache on
# the first call. MOTO_SERVER names one instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/locked_venv.sh"

if [ -n "${MOTO_SERVER:-}" ]; then
    [ -x "$MOTO_SERVER" ] || fail "MOTO_SERVER=$MOTO_SERVER is no program; expected the path of a moto_server"
    printf '%s\n' "$MOTO_SERVER"
    exit
fi
venv=$(locked_venv "$here/moto.txt" moto "a server that speaks S3 (60 MB)")
printf '%s\n' "$venv/bin/moto_server"
