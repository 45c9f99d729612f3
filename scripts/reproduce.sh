#!/usr/bin/env bash
# Builds the release twice, from two clones in two folders, and compares the archives byte by byte. What is not committed is not in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
root=$(cd "$here/.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in one another/and-a-longer-one; do
    mkdir -p "$(dirname "$work/$place")"
    git clone --quiet --local "$root" "$work/$place"
    "$work/$place/scripts/release.sh" "$work/$place/out"
    # The disk is not asked for two build folders at once.
    rm -rf "$work/$place/target"
done
cmp "$work"/one/out/*.tar.gz "$work"/another/and-a-longer-one/out/*.tar.gz ||
    fail "two builds of one commit differ; diffoscope tells where"
say "two builds in two folders gave the same archive: $(sha256sum "$work"/one/out/*.tar.gz | cut -d' ' -f1)"
