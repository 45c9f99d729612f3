#!/usr/bin/env bash
# Prints the folder of the drawings, fetching two packages into the user's cache on the first call: Debian's openclipart-svg
# (public domain) and npm's emoji-datasource-twitter (pictures CC-BY-4.0).
#
# It needs no root and installs nothing: both are unpacked, not installed. DRAWINGS names a folder instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/debian.sh"

manifest=$here/drawings.sha256
clip_art=openclipart-svg
emoji=emoji-datasource-twitter
version=16.0.0
folder=$(cache_folder)/drawings
instead="set DRAWINGS to a folder with openclipart/ and emoji/ (this script says what is in them)"

# One digest a package, of every file's own: a version of the packages that looks the same is as good.
digests() {
    for part in openclipart emoji; do
        printf '%s  %s\n' "$(cd "$1/$part" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)" "$part"
    done
}

intact() { [ -d "$1/openclipart" ] && [ -d "$1/emoji" ] && [ "$(digests "$1")" = "$(cat "$manifest")" ]; }

# npm's own client knows the registry and how to reach it.
fetch_emoji() {
    command -v npm >/dev/null || fail "npm is missing (Debian: apt-get install npm); or $instead"
    (cd "$work" && npm pack --silent "$emoji@$version" >&2) || fail "$emoji $version could not be downloaded; check the network, or $instead"
    tar -xzf "$work/$emoji-$version.tgz" -C "$work"
}

install() {
    say "downloading drawings (Debian package $clip_art, 25 MB, and npm package $emoji, 62 MB, once; they are kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    unpack_debian "$instead" "$clip_art"
    fetch_emoji
    mkdir -p "$work/made/emoji"
    mv "$work/unpacked/usr/share/openclipart/svg" "$work/made/openclipart"
    mv "$work/package/emoji.json" "$work/package/img/twitter/64" "$work/made/emoji"
    intact "$work/made" || fail "the drawings as unpacked do not match $manifest; run the command again, or report it"
    rm -rf "$folder"
    mv -T "$work/made" "$folder" 2>/dev/null || intact "$folder" || fail "cannot write $folder"
}

main() {
    if [ -n "${DRAWINGS:-}" ]; then
        [ -d "$DRAWINGS/openclipart" ] && [ -f "$DRAWINGS/emoji/emoji.json" ] ||
            fail "DRAWINGS=$DRAWINGS has no openclipart/ and emoji/emoji.json; unset it, and this script fetches them"
        printf '%s\n' "$DRAWINGS"
        return
    fi
    intact "$folder" || install
    printf '%s\n' "$folder"
}

main
