#!/usr/bin/env bash
# Runs every chaos scenario CHAOS_RUNS times (once by default) and prints a table: runs, failures, seconds of each.
#
# CHAOS_ONLY=WORD keeps to the scenarios whose test's name has the word. Binaries must be built, as `make chaos` does.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/say.sh

runs=${CHAOS_RUNS:-1}
[[ $runs =~ ^[1-9][0-9]*$ ]] || fail "CHAOS_RUNS=$runs is no number of runs; expected 1 or more"
CHAOS_TABLE=$(mktemp)
export CHAOS_TABLE
trap 'rm -f "$CHAOS_TABLE"' EXIT

once() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run -p lethe-tests --test chaos --locked --run-ignored all --no-fail-fast ${CHAOS_ONLY:+"$CHAOS_ONLY"}
    else
        cargo test -p lethe-tests --test chaos --locked --no-fail-fast -- --include-ignored --test-threads=1 \
            ${CHAOS_ONLY:+"$CHAOS_ONLY"}
    fi
}

# Columns: scenario, runs, failures, skips, seconds at least, in the middle, at most.
report() {
    sort -t $'\t' -k1,1 -k3,3n "$CHAOS_TABLE" | awk -F '\t' '
        function line() {
            if (runs) printf "| %s | %d | %d | %d | %.0f | %.0f | %.0f |\n", name, runs, failures, skips, s[1], s[int((runs + 1) / 2)], s[runs]
        }
        BEGIN { print "| scenario | runs | failures | skipped | seconds, least | median | most |"; print "| --- | --- | --- | --- | --- | --- | --- |" }
        $1 != name { line(); name = $1; runs = failures = skips = 0 }
        { s[++runs] = $3; failures += ($2 == "FAILED"); skips += ($2 == "skipped") }
        END { line() }'
}

failed=0
for ((run = 1; run <= runs; run++)); do
    say "chaos: run $run of $runs"
    once || failed=1
done
report
exit $failed
