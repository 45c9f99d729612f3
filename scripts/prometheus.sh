#!/usr/bin/env bash
# Prints the folder of a prometheus and a promtool, fetching Debian's package into the user's cache on the first call.
#
# It needs no root and installs nothing: the package is unpacked, not installed. PROMETHEUS names a folder instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/debian.sh"

folder=$(cache_folder)/prometheus
instead="set PROMETHEUS to a folder with prometheus and promtool, version 2.40 or later"

version() { "$1" --version 2>&1 | sed -n 's/^[a-z]*, version \([0-9][0-9.]*\).*/\1/p'; }

check() {
    local program found
    for program in prometheus promtool; do
        [ -x "$1/$program" ] || fail "$1 holds no $program; $instead"
        found=$(version "$1/$program") || true
        case $found in
            2.[4-9][0-9].* | [3-9].* | [1-9][0-9].*) ;;
            *) fail "$1/$program is ${found:+version $found, }no $program of version 2.40 or later; $instead" ;;
        esac
    done
}

install() {
    say "downloading prometheus (Debian package, 20 MB, once; it is kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    unpack_debian "$instead" prometheus
    check "$work/unpacked/usr/bin"
    # One that another call published meanwhile stays.
    mv -T "$work/unpacked/usr/bin" "$folder" 2>/dev/null || [ -x "$folder/prometheus" ] || fail "cannot write $folder"
}

main() {
    if [ -n "${PROMETHEUS:-}" ]; then
        check "$PROMETHEUS"
        printf '%s\n' "$PROMETHEUS"
        return
    fi
    [ -x "$folder/prometheus" ] || install
    check "$folder"
    printf '%s\n' "$folder"
}

main
