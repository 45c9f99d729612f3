#!/usr/bin/env bash
# Prints the path of libfaketime's library, fetching Debian's package into the user's cache on the first call.
#
# It needs no root and installs nothing: the package is unpacked, not installed. FAKETIME_LIBRARY names one instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/debian.sh"

folder=$(cache_folder)/faketime
instead="set FAKETIME_LIBRARY to a libfaketime.so.1"

library() { find "$1" -name libfaketime.so.1 -print -quit 2>/dev/null; }

install() {
    say "downloading libfaketime (Debian package, 0.1 MB, once; it is kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    unpack_debian "$instead" libfaketime
    [ -n "$(library "$work/unpacked")" ] || fail "the package libfaketime holds no libfaketime.so.1; $instead"
    # One that another call published meanwhile stays.
    mv -T "$work/unpacked" "$folder" 2>/dev/null || [ -n "$(library "$folder")" ] || fail "cannot write $folder"
}

main() {
    if [ -n "${FAKETIME_LIBRARY:-}" ]; then
        [ -f "$FAKETIME_LIBRARY" ] || fail "FAKETIME_LIBRARY=$FAKETIME_LIBRARY is no file; expected a libfaketime.so.1"
        printf '%s\n' "$FAKETIME_LIBRARY"
        return
    fi
    [ -n "$(library "$folder")" ] || install
    library "$folder"
}

main
