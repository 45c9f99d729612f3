#!/usr/bin/env bash
# Prints the folder of a libtorch with CUDA, fetching it into the user's cache on the first call: the libraries alone, for the
# worker's image.
#
# It needs no GPU. Nothing is built with it: programs that were built with the CPU's libtorch, of the same wheel, load it in its place.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

requirements=$here/libtorch_cuda.txt
folder=$(cache_folder)/libtorch-2.13.0-cuda

# The stamp is the list of wheels and what takes libraries out of them: a change to either makes the old stamp stale.
stamp() { cat "$requirements" "$here/cuda_libraries.py"; }
stamped() { stamp | cmp -s - "$folder/.fetched"; }

download() {
    say "downloading libtorch 2.13.0 with CUDA (2.5 GB of wheels, once; 3.6 GB are kept in $folder)"
    # pip takes no older manylinux for granted, so that every wheel's own is named.
    python3 -m pip download --no-deps --only-binary=:all: --require-hashes --no-cache-dir \
        --disable-pip-version-check --implementation cp --python-version 3.11 --abi cp311 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
        --platform manylinux_2_18_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        --dest "$1" --requirement "$requirements" >&2 ||
        fail "libtorch with CUDA could not be downloaded (pip's message is above); check the network and the room in $(dirname "$folder"), and run the command again"
}

install() {
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "libtorch with CUDA is fetched for Linux x86_64 only, this is $(uname -sm)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    download "$work/wheels"
    say "unpacking libtorch with CUDA"
    # Whoever runs the image reads them.
    umask 022
    python3 "$here/cuda_libraries.py" "$work/wheels" "$work/out"
    stamp >"$work/out/.fetched"
    publish "$work/out"
}

# A folder with a stale stamp goes; one that another call published meanwhile stays.
publish() {
    stamped || rm -rf "$folder"
    mv -T "$1" "$folder" 2>/dev/null || stamped || fail "cannot write $folder"
}

main() {
    stamped || install
    printf '%s\n' "$folder/torch"
}

main
