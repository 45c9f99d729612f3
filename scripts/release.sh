#!/usr/bin/env bash
# Builds a release and packs it into the folder that it is given. The same commit, toolchain and libtorch give the same bytes in any folder
# (`make reproduce` compares two); other machines were not tried.
#
# PROFILE chooses cargo's profile (release). Nothing in the archive tells the folder, the user or the hour of the build.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
root=$(cd "$here/.." && pwd)
mkdir -p "${1:?a folder for the archive}"
out=$(cd "$1" && pwd)
cd "$root"

: "${LIBTORCH:?the folder of libtorch, as scripts/libtorch.sh prints it}"
profile=${PROFILE:-release}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
name=lethe-$version-x86_64-linux
# The commit's own time; a build of what is not committed says so.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
LETHE_COMMIT=$(git rev-parse HEAD)$(git diff --quiet HEAD -- || echo -dirty)
export SOURCE_DATE_EPOCH LETHE_COMMIT TZ=UTC LC_ALL=C

# Where sources and headers lie, as the binaries may tell it.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
maps=("$root=/lethe" "$cargo_home=/cargo" "$LIBTORCH=/libtorch")
# LLVM keeps what a loop adds up in registers, in an order that follows its own memory's addresses (LICM's scalar promotion): the kernels of
# fast_image_resize, which are compiled into lethe-data, came out otherwise in each build. Without it they are the same, and as fast.
RUSTFLAGS="-C llvm-args=-disable-licm-promotion" CFLAGS="" CXXFLAGS=""
for map in "${maps[@]}"; do
    RUSTFLAGS+=" --remap-path-prefix=$map"
    CFLAGS+=" -ffile-prefix-map=$map"
done
CXXFLAGS=$CFLAGS
export RUSTFLAGS CFLAGS CXXFLAGS
# libtorch lies in the archive's own folder, once scripts/libtorch.sh has fetched it there.
export LETHE_RPATH='$ORIGIN/../libtorch/lib' CARGO_TARGET_DIR=$root/target/release-build CARGO_INCREMENTAL=0

say "building $name ($LETHE_COMMIT, profile $profile)"
cargo build --locked --profile "$profile" -p lethe-cli -p lethe-coordinator -p lethe-worker --bins
built=$CARGO_TARGET_DIR/$([ "$profile" = dev ] && echo debug || echo "$profile")
LD_LIBRARY_PATH=$LIBTORCH/lib "$here/pack.sh" "$built" "$name" "$out"
