#!/usr/bin/env bash
# Builds the images of Containerfile from the binaries of this checkout, without an engine: image.sh FOLDER PROFILE [services|cuda]
#
# With `services`, coordinator and worker alone are built: what an update replaces. With `cuda`, the worker with CUDA as well: the
# same program, with the libraries of scripts/libtorch_cuda.sh and NCCL's half. LIBTORCH is the CPU's, which all others have.
# FOLDER gets store/ (buildah's) and an archive of each image (OCI). PROFILE is release, or debug for what `make build` built.
# It must never put into an image what is not listed here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/debian.sh"

out=$(realpath -m "$1")
services_alone=
with_cuda=
case "${3:-}" in
    '') ;;
    services) services_alone=yes ;;
    cuda) with_cuda=yes ;;
    *) fail "$3 is no choice of images; expected services, cuda or nothing" ;;
esac
binaries=${CARGO_TARGET_DIR:-$here/../target}/$2
context=$out/context
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml" | head -n 1)
# What the binaries link beside libtorch, and the authorities that object stores are believed by.
base_packages=(base-files libc6 libgcc-s1 libstdc++6 ca-certificates)
# cuDNN's libraries link the first, and nothing else here does; NCCL opens libibverbs where there is InfiniBand.
cuda_packages=(zlib1g libibverbs1 ibverbs-providers libnl-3-200 libnl-route-3-200)
# The folders of programs' own, and of what says where they come from.
etcd_packages=(etcd-server etcd-client)

# take_packages INTO PACKAGE...: unpacks them, and leaves a note of each where scanners look for it.
take_packages() {
    local into=$1
    shift
    work=$(mktemp -d "$out/packages.XXXXXX")
    unpack_debian "run the command where Debian's packages can be had" "$@"
    mkdir -p "$into/var/lib/dpkg/status.d"
    for package in "$work"/*.deb; do
        dpkg-deb -f "$package" >"$into/var/lib/dpkg/status.d/$(dpkg-deb -f "$package" Package)"
    done
    cp -a "$work/unpacked/." "$into/"
    rm -rf "$work"
}

lay_base() {
    local base=$context/base
    mkdir -p "$base"
    take_packages "$base" "${base_packages[@]}"
    # Of the packages what is read at run time; the licences stay.
    rm -rf "$base"/usr/share/{man,info,locale,lintian,doc-base,gcc,gdb,base-files,common-licenses/../doc/*/changelog*} \
        "$base"/usr/lib/x86_64-linux-gnu/gconv "$base"/lib/x86_64-linux-gnu/gconv "$base"/usr/{sbin,games} "$base"/{home,root,srv,media,mnt,opt,boot}
    find "$base/etc" -mindepth 1 -maxdepth 1 ! -name debian_version ! -name os-release -exec rm -rf {} +
    mkdir -p "$base/etc/ssl/certs" "$base/tmp" "$base/usr/bin"
    chmod 1777 "$base/tmp"
    # The package's own script would make it.
    cat "$base"/usr/share/ca-certificates/mozilla/*.crt >"$base/etc/ssl/certs/ca-certificates.crt"
    printf 'root:x:0:0:root:/:/nonexistent\nlethe:x:65532:65532:Lethe:/tmp:/nonexistent\n' >"$base/etc/passwd"
    printf 'root:x:0:\nlethe:x:65532:\n' >"$base/etc/group"
    printf 'hosts: files dns\n' >"$base/etc/nsswitch.conf"
}

# Of our own code and of the crates in it; Debian's packages bring theirs, and libtorch's lie with it.
lay_licences() {
    local into=$context/base/usr/share/doc/lethe
    mkdir -p "$into"
    cp "$here"/../{LICENSE,NOTICE} "$into/"
    "$here/licences.py" >"$into/THIRD-PARTY.txt"
}

lay_binaries() {
    mkdir -p "$context/bin"
    local names=(lethe-coordinator lethe-worker)
    [ -n "$services_alone" ] || names+=(lethe)
    for name in "${names[@]}"; do
        [ -x "$binaries/$name" ] || fail "there is no $binaries/$name; run 'make image', which builds it"
        strip --strip-debug -o "$context/bin/$name" "$binaries/$name"
    done
}

# The libraries, laid as in a wheel, and their licences: libtorch finds CUDA's beside itself.
lay_libtorch() {
    mkdir -p "$context/libtorch/torch"
    cp -a "$LIBTORCH/lib" "$context/libtorch/torch/lib"
    rm -f "$context"/libtorch/torch/lib/*.a
    [ -d "$LIBTORCH/../licences" ] || fail "LIBTORCH=$LIBTORCH has no licences beside it, which an image must carry; take that of scripts/libtorch.sh"
    cp -a "$LIBTORCH/../licences" "$context/libtorch/licences"
    [ ! -d "$LIBTORCH/../nvidia" ] || cp -a "$LIBTORCH/../nvidia" "$context/libtorch/nvidia"
}

# lay FOLDER INTO: without a copy where both are on one disk.
lay() { cp -alT "$1" "$2" 2>/dev/null || cp -aT "$1" "$2"; }

# Two folders, one for each layer: the large one is the same for every version of ours.
lay_cuda() {
    local libtorch nccl
    libtorch=$("$here/libtorch_cuda.sh")
    nccl=$("$here/nccl.sh")
    mkdir -p "$context/cuda/opt/libtorch/torch" "$context/worker-cuda/opt/nccl" "$context/worker-cuda/usr/bin"
    lay "$libtorch/lib" "$context/cuda/opt/libtorch/torch/lib"
    lay "$libtorch/../nvidia" "$context/cuda/opt/libtorch/nvidia"
    lay "$libtorch/../licences" "$context/cuda/opt/libtorch/licences"
    take_packages "$context/cuda" "${cuda_packages[@]}"
    rm -rf "$context"/cuda/usr/share/doc/*/changelog*
    # The cache may be its owner's alone.
    install -m 755 "$nccl" "$context/worker-cuda/opt/nccl/liblethe_nccl.so"
    cp "$context/bin/lethe-worker" "$context/worker-cuda/usr/bin/"
}

lay_etcd() {
    take_packages "$out/etcd" "${etcd_packages[@]}"
    mkdir -p "$context/etcd"
    cp "$out/etcd/usr/bin/"{etcd,etcdctl} "$context/etcd/"
    rm -rf "$out/etcd"
}

# buildah without the configuration of a machine: nothing is pulled, and no registry is known.
builder() {
    LD_LIBRARY_PATH=$tools/usr/lib/x86_64-linux-gnu:$tools/lib/x86_64-linux-gnu CONTAINERS_REGISTRIES_CONF=/dev/null \
        "$tools/usr/bin/buildah" --root "$out/store" --runroot "$out/run" --storage-driver vfs "$@"
}

build() {
    local target=$1 name=$2
    say "building $name:$version"
    builder build --quiet --isolation chroot --pull-never --signature-policy "$out/policy.json" --layers --timestamp 0 \
        --build-arg "VERSION=$version" --target "$target" --tag "$name:$version" --file "$here/../Containerfile" "$context" >/dev/null
    # What a rehearsal alone takes needs no archive, nor may it stand in a release's place.
    [ -z "$services_alone" ] || return 0
    rm -f "$out/$name.tar"
    builder push --quiet --signature-policy "$out/policy.json" "$name:$version" "oci-archive:$out/$name.tar:$name:$version"
    printf '%s:%s\t%s MB\n' "$name" "$version" "$(($(stat -c %s "$out/$name.tar") / 1000000))"
}

# A next version of another day's code is none of this build's.
forget_next() {
    [ -e "$out/next" ] || return 0
    local next
    next=$(cat "$out/next")
    rm -f "$out/next"
    builder rmi "lethe-coordinator:$next" "lethe-worker:$next" >/dev/null 2>&1 || true
}

main() {
    : "${LIBTORCH:?the folder of libtorch, as scripts/libtorch.sh prints it}"
    [ ! -e "$LIBTORCH/lib/libtorch_cuda.so" ] ||
        fail "LIBTORCH=$LIBTORCH is one with CUDA, which every image would carry; unset it, and say 'make image CUDA=1'"
    tools=$("$here/image_tools.sh")
    mkdir -p "$out"
    rm -rf "$context"
    printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' >"$out/policy.json"
    [ -n "$services_alone" ] || forget_next
    say "laying out what images hold"
    lay_base
    lay_licences
    lay_binaries
    lay_libtorch
    build coordinator lethe-coordinator
    build worker lethe-worker
    if [ -z "$services_alone" ]; then
        lay_etcd
        build etcd lethe-etcd
        build cli lethe
    fi
    if [ -n "$with_cuda" ]; then
        lay_cuda
        build worker-cuda lethe-worker-cuda
        "$here/sbom.sh" "$out/lethe-worker-cuda.cdx.json" --cuda
    elif [ -z "$services_alone" ]; then
        # One of another day's binaries is no part of this build.
        rm -f "$out"/lethe-worker-cuda.{tar,cdx.json}
        builder rmi "lethe-worker-cuda:$version" >/dev/null 2>&1 || true
    fi
    # Images that these replaced have no name any more, and each would stay whole; but not what somebody runs.
    builder rmi --prune >/dev/null 2>&1 || true
}

main
