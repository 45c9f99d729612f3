#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (15 by default; FUZZ_ONLY=NAME one alone) and fails with the first input that breaks
# one. What it learns stays in fuzz/corpus, beside the seeds in fuzz/seeds.
#
# cargo-fuzz is installed into the user's cache. On the stable compiler there are counters but no sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/say.sh

version=0.13.2
seconds=${FUZZ_SECONDS:-15}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "FUZZ_SECONDS=$seconds is no number of seconds; expected 1 or more"
tool=$(cache_folder)/cargo-fuzz-$version

install() {
    say "installing cargo-fuzz $version (a minute, once; it is kept in $tool)"
    work=$(mktemp -d "$tool.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    CARGO_TARGET_DIR="$work/target" cargo install --quiet --locked --root "$work/root" --version "$version" cargo-fuzz >&2 ||
        fail "cargo-fuzz $version could not be installed (cargo's message is above); check the network"
    mv -T "$work/root" "$tool" 2>/dev/null || [ -x "$tool/bin/cargo-fuzz" ] || fail "cannot write $tool"
}

mkdir -p "$(cache_folder)"
[ -x "$tool/bin/cargo-fuzz" ] || install
LIBTORCH=${LIBTORCH:-$(scripts/libtorch.sh)}
export LIBTORCH PATH="$tool/bin:$PATH"

targets=${FUZZ_ONLY:-$(cargo fuzz list --fuzz-dir fuzz)}
say "building the fuzz targets with counters (minutes the first time)"
cargo fuzz build --fuzz-dir fuzz --sanitizer none >&2
for target in $targets; do
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    log=$(mktemp)
    if ! cargo fuzz run --fuzz-dir fuzz --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=60 -rss_limit_mb=1500 -max_len=65536 -print_final_stats=1 >"$log" 2>&1; then
        tail -60 "$log" >&2
        fail "fuzz target $target broke; its input is in fuzz/artifacts/$target (cargo fuzz run --sanitizer none $target FILE repeats it)"
    fi
    say "fuzz target $target: $(grep -o 'number_of_executed_units: *[0-9]*' "$log" | grep -o '[0-9]*$') inputs in $seconds s, none broke it"
    rm -f "$log"
done
