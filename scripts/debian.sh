# Debian packages without root: downloaded and unpacked, never installed. To be sourced after say.sh.

# Package lists of our own, for a machine whose lists were never fetched: refreshing the system's would need root.
update_lists() {
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
    private=(-o "Dir::State=$work/state" -o "Dir::State::lists=$work/state/lists"
        -o "Dir::State::status=/var/lib/dpkg/status" -o "Dir::Cache=$work/cache")
    say "fetching package lists"
    apt-get "${private[@]}" update >&2
}

# unpack_debian INSTEAD PACKAGE...: unpacks packages into $work/unpacked; INSTEAD says what a person can do where that fails.
unpack_debian() {
    local instead=$1
    shift
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "apt-get and dpkg-deb are missing; $instead"
    private=()
    (
        cd "$work"
        # What the first try brought may be of another version than the new lists'.
        apt-get download "$@" >&2 2>first.log || { rm -f ./*.deb && update_lists && apt-get "${private[@]}" download "$@" >&2; } || {
            cat first.log >&2
            fail "$* could not be downloaded (apt's message is above); check the network, run 'apt-get update' as root, or $instead"
        }
        for package in *.deb; do dpkg-deb -x "$package" unpacked; done
    )
}
