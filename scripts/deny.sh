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
ended=0
# A network that swallows what is sent must not hold up a test run.
timeout "${ADVISORY_SECONDS:-120}" "$deny" --locked --log-level warn check advisories 2>"$log" || ended=$?
if [ "$ended" -eq 0 ]; then
    cat "$log" >&2
elif [ "$ended" -eq 124 ] || grep -q "failed to fetch advisory database" "$log"; then
    say "advisories were NOT checked: the database of RustSec cannot be reached from here (it is a git repository; see SECURITY.md)"
else
    cat "$log" >&2
    fail "an advisory stands against a dependency (above); update it, or write the reason to ignore it into deny.toml"
fi
