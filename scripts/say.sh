# How the set-up scripts speak: always on stderr, so that stdout is their result. To be sourced.

say() { printf 'lethe: %s\n' "$*" >&2; }
fail() { printf 'lethe: error: %s\n' "$*" >&2; exit 1; }

# The user's cache, outside the checkout, so that a second clone downloads nothing.
cache_folder() { printf '%s\n' "${LETHE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lethe}"; }
