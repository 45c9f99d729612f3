#!/usr/bin/env bash
# Builds coordinator and worker of a next version, and their images beside those in FOLDER, for `make rehearsal`: image_next.sh FOLDER PROFILE
#
# The next version is this checkout's code under the next patch number, as a release that changes nothing else: FOLDER/next holds its tag.
# It must never change the checkout.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

out=$(realpath -m "$1")
profile=$2
copy=$out/next-version
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../Cargo.toml" | head -n 1)
next=${version%.*}.$((${version##*.} + 1))
[ -d "$out/store" ] || fail "$out holds no images; run 'make image' first"

say "building $next from a copy of $version"
mkdir -p "$copy"
# What was deleted since the last time must not be built; what was built then is taken up again.
find "$copy" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
(cd "$here/.." && git ls-files -z | tar --null --files-from - --create) | tar --extract --directory "$copy"
sed -i "s/^version = \"$version\"/version = \"$next\"/" "$copy/Cargo.toml"
sed -i "/^name = \"lethe-/{n;s/\"$version\"/\"$next\"/}" "$copy/Cargo.lock"
flags=()
[ "$profile" = debug ] || flags=(--release)
export CARGO_TARGET_DIR=$copy/target
(cd "$copy" && cargo build -p lethe-coordinator -p lethe-worker --bins --locked "${flags[@]}")
"$copy/scripts/image.sh" "$out" "$profile" services
printf '%s\n' "$next" >"$out/next"
