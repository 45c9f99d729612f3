#!/usr/bin/env bash
# Prints the folder of Fashion-MNIST's four files, fetching Debian's package into the user's cache on the first call.
#
# It needs no root and installs nothing: the package is unpacked, not installed. FASHION_MNIST names a folder instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/debian.sh"

manifest=$here/fashion_mnist.sha256
package=dataset-fashion-mnist
folder=$(cache_folder)/fashion-mnist

intact() { (cd "$1" 2>/dev/null && sha256sum --check --status "$manifest" 2>/dev/null); }

install() {
    say "downloading Fashion-MNIST (Debian package $package, 30 MB, once; it is kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    unpack_debian "set FASHION_MNIST to a folder with Fashion-MNIST's four .gz files" "$package"
    local data=$work/unpacked/usr/share/datasets/fashion-mnist
    intact "$data" || fail "Fashion-MNIST as unpacked does not match $manifest; run the command again, or report it"
    rm -rf "$folder"
    mv -T "$data" "$folder" 2>/dev/null || intact "$folder" || fail "cannot write $folder"
}

main() {
    if [ -n "${FASHION_MNIST:-}" ]; then
        [ -f "$FASHION_MNIST/train-images-idx3-ubyte.gz" ] ||
            fail "FASHION_MNIST=$FASHION_MNIST has no train-images-idx3-ubyte.gz; expected a folder with the four .gz files"
        printf '%s\n' "$FASHION_MNIST"
        return
    fi
    intact "$folder" || install
    printf '%s\n' "$folder"
}

main
