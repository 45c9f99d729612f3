#!/usr/bin/env bash
# Prints the path of an etcd server, fetching Debian's package into the user's cache on the first call.
#
# It needs no root and installs nothing: the package is unpacked, not installed. ETCD names a binary instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/debian.sh"

folder=$(cache_folder)/etcd
instead="set ETCD to an etcd binary, version 3.4 or later"

version() { "$1" --version 2>/dev/null | sed -n 's/^etcd Version: //p'; }

# 3.5.0 to 3.5.2 can lose committed data when they are killed (etcd-io/etcd#13766).
check() {
    local found
    found=$(version "$1") || true
    case $found in
        3.5.[0-2]) fail "$1 is etcd $found, which can lose committed data when it is killed; $instead but 3.5.0 to 3.5.2" ;;
        3.[4-9].* | 3.[1-9][0-9].*) ;;
        *) fail "$1 is ${found:+etcd $found, }no etcd of version 3.4 or later; $instead" ;;
    esac
}

install() {
    say "downloading etcd (Debian package etcd-server, 8 MB, once; it is kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    unpack_debian "$instead" etcd-server
    check "$work/unpacked/usr/bin/etcd"
    # One that another call published meanwhile stays.
    mv -T "$work/unpacked/usr/bin" "$folder" 2>/dev/null || [ -x "$folder/etcd" ] || fail "cannot write $folder"
}

main() {
    if [ -n "${ETCD:-}" ]; then
        [ -x "$ETCD" ] || fail "ETCD=$ETCD is no program; expected the path of an etcd binary"
        check "$ETCD"
        printf '%s\n' "$ETCD"
        return
    fi
    [ -x "$folder/etcd" ] || install
    check "$folder/etcd"
    printf '%s\n' "$folder/etcd"
}

main
