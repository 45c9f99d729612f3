#!/usr/bin/env bash
# Prints the folder of Fashion-MNIST's four files, fetching Debian's package into the user's cache on the first call.
#
# It needs no root and installs nothing: the package is unpacked, not installed. FASHION_MNIST names a folder instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

manifest=$here/fashion_mnist.sha256
package=dataset-fashion-mnist
folder=$(cache_folder)/fashion-mnist

intact() { (cd "$1" 2>/dev/null && sha256sum --check --status "$manifest" 2>/dev/null); }

# Package lists of our own, for a machine whose lists were never fetched: refreshing the system's would need root.
update_lists() {
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
    private=(-o "Dir::State=$work/state" -o "Dir::State::lists=$work/state/lists"
        -o "Dir::State::status=/var/lib/dpkg/status" -o "Dir::Cache=$work/cache")
    say "fetching package lists"
    apt-get "${private[@]}" update >&2
}

download() {
    say "downloading Fashion-MNIST (Debian package $package, 30 MB, once; it is kept in $folder)"
    private=()
    apt-get download "$package" >&2 2>"$work/first.log" ||
        { update_lists && apt-get "${private[@]}" download "$package" >&2; } || {
        cat "$work/first.log" >&2
        fail "$package could not be downloaded (apt's message is above); check the network, run 'apt-get update' as root, or set FASHION_MNIST to a folder with its four .gz files"
    }
}

install() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        fail "apt-get and dpkg-deb are missing; set FASHION_MNIST to a folder with Fashion-MNIST's four .gz files"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && download && dpkg-deb -x "$package"_*.deb "$work/unpacked")
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
