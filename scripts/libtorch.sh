#!/usr/bin/env bash
# Prints the folder of libtorch for a CPU build, fetching it into the user's cache on the first call.
#
# It never touches a libtorch that LIBTORCH names, and a download that stops half-way leaves nothing behind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/wheels.sh"

manifest=$here/libtorch.sha256
folder=$(cache_folder)/libtorch-2.13.0-cpu

# The stamp is the manifest that the folder was checked against: a new pin makes the old stamp stale.
stamped() { cmp -s "$manifest" "$folder/.checked"; }
intact() { [ -d "$1/torch/include" ] && (cd "$1" && sha256sum --check --status "$manifest"); }

install() {
    needs_linux libtorch "set LIBTORCH to a libtorch 2.13.0"
    scratch_beside "$folder"
    say "downloading libtorch 2.13.0 (540 MB, once; it is kept in $folder)"
    download_wheels "$here/libtorch.txt" "$work/wheels" ||
        fail "libtorch could not be downloaded (pip's message is above); check the network and run the command again, or set LIBTORCH to a libtorch 2.13.0"
    say "unpacking libtorch"
    python3 "$here/slim.py" "$work/wheels" "$work/out"
    intact "$work/out" || fail "libtorch as unpacked does not match $manifest; run the command again, or report it"
    cp "$manifest" "$work/out/.checked"
    publish "$work/out" "$folder"
}

main() {
    if [ -n "${LIBTORCH:-}" ]; then
        [ -d "$LIBTORCH/lib" ] || fail "LIBTORCH=$LIBTORCH has no folder lib; expected an unpacked libtorch 2.13.0"
        printf '%s\n' "$LIBTORCH"
        return
    fi
    if ! stamped; then
        if intact "$folder"; then cp "$manifest" "$folder/.checked"; else install; fi
    fi
    printf '%s\n' "$folder/torch"
}

main
