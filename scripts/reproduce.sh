#!/usr/bin/env bash
# Builds the release twice, from two clones in two folders, and compares the archives byte by byte. What is not committed is not in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
root=$(cd "$here/.." && pwd)

# Of one commit, whatever is committed while the first build runs.
commit=$(git -C "$root" rev-parse HEAD)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in one another/and-a-longer-one; do
    mkdir -p "$(dirname "$work/$place")"
    git clone --quiet --local --no-checkout "$root" "$work/$place"
    git -C "$work/$place" checkout --quiet --detach "$commit"
    "$work/$place/scripts/release.sh" "$work/$place/out"
    mkdir "$work/$place/unpacked"
    tar --extract --file "$work/$place"/out/*.tar.gz --directory "$work/$place/unpacked"
    # The disk is not asked for two build folders at once.
    rm -rf "$work/$place/target"
done
if ! cmp "$work"/one/out/*.tar.gz "$work"/another/and-a-longer-one/out/*.tar.gz; then
    diff --recursive --brief "$work/one/unpacked" "$work/another/and-a-longer-one/unpacked" >&2 || true
    fail "two builds of $commit differ"
fi
say "two builds of $commit in two folders gave the same archive: $(sha256sum "$work"/one/out/*.tar.gz | cut -d' ' -f1)"
