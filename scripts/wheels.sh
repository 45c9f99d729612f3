# Folders of the cache that are made from pinned wheels. To be sourced after say.sh.

# needs_linux WHAT [INSTEAD]
needs_linux() {
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "$1 is fetched for Linux x86_64 only, this is $(uname -sm)${2:+; $2}"
}

# download_wheels REQUIREMENTS FOLDER: whatever Python runs this, one wheel of each, so that its hash can be pinned.
download_wheels() {
    local version platforms=()
    # pip takes no older manylinux for granted, so that every wheel's own is named.
    for version in _2_28 _2_27 _2_25 _2_18 _2_17 2014; do
        platforms+=(--platform "manylinux${version}_x86_64")
    done
    python3 -m pip download --no-deps --only-binary=:all: --require-hashes --no-cache-dir \
        --disable-pip-version-check --implementation cp --python-version 3.11 --abi cp311 \
        "${platforms[@]}" --dest "$2" --requirement "$1" >&2
}

# scratch_beside FOLDER: sets `work` to a folder on the same disk, which goes when the script ends.
scratch_beside() {
    mkdir -p "$(dirname "$1")"
    work=$(mktemp -d "$1.XXXXXX")
    trap 'rm -rf "$work"' EXIT
}

# publish FROM FOLDER: where `stamped` says that FOLDER is stale it goes; one that another call published meanwhile stays.
publish() {
    stamped || rm -rf "$2"
    mv -T "$1" "$2" 2>/dev/null || stamped || fail "cannot write $2"
}
