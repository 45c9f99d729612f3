#!/usr/bin/env bash
# Prints the folder of libtorch for a CPU build, fetching it into the user's cache on the first call.
#
# It never touches a libtorch that LIBTORCH names, and a download that stops half-way leaves nothing behind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

manifest=$here/libtorch.sha256
folder=$(cache_folder)/libtorch-2.13.0-cpu

# The stamp is the manifest that the folder was checked against: a new pin makes the old stamp stale.
stamped() { cmp -s "$manifest" "$folder/.checked"; }
intact() { [ -d "$1/torch/include" ] && (cd "$1" && sha256sum --check --status "$manifest"); }

download() {
    say "downloading libtorch 2.13.0 (540 MB, once; it is kept in $folder)"
    # One wheel whatever Python runs this, so that its hash can be pinned.
    python3 -m pip download --no-deps --only-binary=:all: --require-hashes --no-cache-dir \
        --disable-pip-version-check --implementation cp --python-version 3.11 --abi cp311 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64 \
        --platform manylinux2014_x86_64 --dest "$1" --requirement "$here/libtorch.txt" >&2 ||
        fail "libtorch could not be downloaded (pip's message is above); check the network and run the command again, or set LIBTORCH to a libtorch 2.13.0"
}

install() {
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        fail "libtorch is fetched for Linux x86_64 only, this is $(uname -sm); set LIBTORCH to a libtorch 2.13.0"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    download "$work/wheels"
    say "unpacking libtorch"
    python3 "$here/slim.py" "$work/wheels" "$work/out"
    intact "$work/out" || fail "libtorch as unpacked does not match $manifest; run the command again, or report it"
    cp "$manifest" "$work/out/.checked"
    publish "$work/out"
}

# A folder with a stale stamp goes; one that another call published meanwhile stays.
publish() {
    stamped || rm -rf "$folder"
    mv -T "$1" "$folder" 2>/dev/null || stamped || fail "cannot write $folder"
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
