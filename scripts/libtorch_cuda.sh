#!/usr/bin/env bash
# Prints the folder of a libtorch with CUDA, fetching it into the user's cache on the first call: the libraries alone, for the
# worker's image.
#
# It needs no GPU. Nothing is built with it: programs that were built with the CPU's libtorch, of the same wheel, load it in its place.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/wheels.sh"

requirements=$here/libtorch_cuda.txt
folder=$(cache_folder)/libtorch-2.13.0-cuda

# The stamp is the list of wheels and what takes libraries out of them: a change to either makes the old stamp stale.
stamp() { cat "$requirements" "$here/cuda_libraries.py" "$here/wheels.py"; }
stamped() { stamp | cmp -s - "$folder/.fetched"; }

install() {
    needs_linux "libtorch with CUDA"
    scratch_beside "$folder"
    say "downloading libtorch 2.13.0 with CUDA (2.5 GB of wheels, once; 3.6 GB are kept in $folder)"
    download_wheels "$requirements" "$work/wheels" ||
        fail "libtorch with CUDA could not be downloaded (pip's message is above); check the network and the room in $(dirname "$folder"), and run the command again"
    say "unpacking libtorch with CUDA"
    # Whoever runs the image reads them.
    umask 022
    python3 "$here/cuda_libraries.py" "$work/wheels" "$work/out"
    stamp >"$work/out/.fetched"
    publish "$work/out" "$folder"
}

main() {
    stamped || install
    printf '%s\n' "$folder/torch"
}

main
