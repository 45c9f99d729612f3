#!/usr/bin/env bash
# Prints the folder of what builds and tries images (buildah, bubblewrap), fetching Debian's packages into the user's cache on the
# first call.
#
# It needs no root and installs nothing: packages are unpacked. IMAGE_TOOLS names a folder instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/debian.sh"

folder=$(cache_folder)/image-tools
instead="set IMAGE_TOOLS to a folder with usr/bin/buildah and usr/bin/bwrap"
# buildah's and bubblewrap's own, and the libraries of theirs that a small Debian lacks.
packages=(buildah bubblewrap libgpgme11 libassuan0 libgpg-error0 libdevmapper1.02.1 libseccomp2 libcap2 libselinux1 libudev1)

works() { [ -x "$1/usr/bin/buildah" ] && [ -x "$1/usr/bin/bwrap" ]; }

install() {
    say "downloading buildah and bubblewrap (Debian packages, 8 MB, once; they are kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    unpack_debian "$instead" "${packages[@]}"
    works "$work/unpacked" || fail "the packages hold no buildah and bwrap; $instead"
    # One that another call published meanwhile stays.
    mv -T "$work/unpacked" "$folder" 2>/dev/null || works "$folder" || fail "cannot write $folder"
}

main() {
    if [ -n "${IMAGE_TOOLS:-}" ]; then
        works "$IMAGE_TOOLS" || fail "IMAGE_TOOLS=$IMAGE_TOOLS has no usr/bin/buildah and usr/bin/bwrap"
        printf '%s\n' "$IMAGE_TOOLS"
        return
    fi
    works "$folder" || install
    printf '%s\n' "$folder"
}

main
