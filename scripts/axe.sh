#!/usr/bin/env bash
# Prints the path of axe-core, which checks pages for accessibility, fetching it into the user's cache on the first call.
#
# It is pinned by its digest. AXE names another axe.min.js instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

version=4.14.1
folder=$(cache_folder)/axe-core-$version
instead="set AXE to an axe.min.js"

install() {
    command -v npm >/dev/null || fail "npm is missing; install it, or $instead"
    say "downloading axe-core $version (npm package, 2 MB, once; it is kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && npm pack --silent "axe-core@$version" >&2) || fail "axe-core could not be downloaded; check the network, or $instead"
    tar -xzf "$work/axe-core-$version.tgz" -C "$work" package/axe.min.js package/LICENSE
    (cd "$work/package" && sha256sum --check --status "$here/axe.sha256") || fail "axe-core $version has another digest than scripts/axe.sha256"
    # One that another call published meanwhile stays.
    mv -T "$work/package" "$folder" 2>/dev/null || [ -f "$folder/axe.min.js" ] || fail "cannot write $folder"
}

main() {
    if [ -n "${AXE:-}" ]; then
        [ -f "$AXE" ] || fail "AXE=$AXE is no file; expected an axe.min.js"
        printf '%s\n' "$AXE"
        return
    fi
    [ -f "$folder/axe.min.js" ] || install
    printf '%s\n' "$folder/axe.min.js"
}

main
