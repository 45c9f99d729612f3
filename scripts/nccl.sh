#!/usr/bin/env bash
# Prints the path of NCCL's half of the collectives, compiling it into the user's cache when its sources are new.
#
# It needs no GPU and no CUDA: NVIDIA's headers come from PyPI, by hash. LETHE_NCCL names an object instead.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

sources=$here/../collective/csrc
requirements=$here/nccl.txt
headers=$(cache_folder)/cuda-headers-13.0

# The stamp is the list that the headers were fetched by: a new pin makes the old stamp stale.
fetch_headers() {
    cmp -s "$requirements" "$headers/.fetched" && return
    say "downloading NVIDIA's headers for NCCL (210 MB of wheels, 23 MB are kept in $headers)"
    mkdir -p "$(dirname "$headers")"
    work=$(mktemp -d "$headers.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --no-deps --only-binary=:all: --require-hashes --no-cache-dir \
        --disable-pip-version-check --implementation cp --python-version 3.11 --abi cp311 \
        --platform manylinux_2_18_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        --dest "$work/wheels" --requirement "$requirements" >&2 ||
        fail "NVIDIA's headers could not be downloaded (pip's message is above); check the network and run the command again"
    python3 "$here/headers.py" "$work/wheels" "$work/out"
    cp "$requirements" "$work/out/.fetched"
    rm -rf "$headers"
    # One that another call published meanwhile stays.
    mv -T "$work/out" "$headers" 2>/dev/null || cmp -s "$requirements" "$headers/.fetched" || fail "cannot write $headers"
}

# What the object is made from: our sources, the headers' list, and the libtorch that it will meet.
fingerprint() {
    { cat "$requirements" "$here/nccl.sh" "$1/build-version" 2>/dev/null || true
      find "$sources" -type f -print0 | sort -z | xargs -0 cat; } | sha256sum | cut -c 1-16
}

compile() {
    say "compiling NCCL's half of the collectives (a minute, once for these sources)"
    local half
    half=$(mktemp "$2.XXXXXX")
    g++ -std=c++20 -O1 -shared -fPIC -fvisibility=hidden -Wall -Wextra -DUSE_C10D_NCCL -D_GLIBCXX_USE_CXX11_ABI=1 \
        -I "$sources" -isystem "$sources/cuda_stub" -isystem "$headers/nvidia/cu13/include" \
        -isystem "$headers/nvidia/cu13/include/cccl" -isystem "$headers/nvidia/nccl/include" \
        -isystem "$1/include" -isystem "$1/include/torch/csrc/api/include" \
        -o "$half" "$sources/nccl.cpp" >&2 || { rm -f "$half"; fail "NCCL's half does not compile (g++'s message is above); report it"; }
    mv "$half" "$2"
}

main() {
    if [ -n "${LETHE_NCCL:-}" ]; then
        [ -f "$LETHE_NCCL" ] || fail "LETHE_NCCL=$LETHE_NCCL is no file; expected what scripts/nccl.sh built"
        printf '%s\n' "$LETHE_NCCL"
        return
    fi
    local libtorch object
    libtorch=$("$here/libtorch.sh")
    object=$(cache_folder)/nccl/$(fingerprint "$libtorch")/liblethe_nccl.so
    if [ ! -f "$object" ]; then
        fetch_headers
        mkdir -p "$(dirname "$object")"
        compile "$libtorch" "$object"
    fi
    printf '%s\n' "$object"
}

main
