#!/usr/bin/env bash
# Lists the tests that did not run and why, since a skipped check is not a passed one.
set -euo pipefail
cd "$(dirname "$0")/.."
ignored=$(git grep -nE '#\[ignore' -- '*.rs' | sed -E 's/^([^:]+):([0-9]+):.*#\[ignore *=? *"?([^]"]*).*/  \1:\2 \3/' || true)
if [ -n "$ignored" ]; then printf 'skipped on every machine unless asked for:\n%s\n' "$ignored"; else echo "skipped: nothing"; fi
# Checks that found out as they ran that they could not run here.
cat "${CARGO_TARGET_DIR:-target}"/tmp/*/skipped/* 2>/dev/null || true
