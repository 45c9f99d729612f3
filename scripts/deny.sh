#!/usr/bin/env bash
# Checks every dependency against deny.toml: licences, bans, sources, and the advisories where their database can be reached.
#
# It never lets a database that cannot be reached pass for one that has nothing against us: that is said, in one line.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
cd "$here/.."

deny=$("$here/cargo_deny.sh")
"$deny" --locked --log-level warn check licenses bans sources

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if "$deny" --locked --log-level warn check advisories 2>"$log"; then
    cat "$log" >&2
elif grep -q "failed to fetch advisory database" "$log"; then
    say "advisories were NOT checked: the database of RustSec cannot be reached from here (it is a git repository; see SECURITY.md)"
else
    cat "$log" >&2
    fail "an advisory stands against a dependency (above); update it, or write the reason to ignore it into deny.toml"
fi
