#!/usr/bin/env bash
# Plays the Kubernetes installation on this machine with the images of `make image`: rehearsal.sh IMAGES OUT [OVERLAY [WORKER]]
#
# WORKER names the image of the workers, lethe-worker or lethe-worker-cuda; there need be no GPU for the latter, and none is used.
# It needs root, for network namespaces; the machine's own network is never touched. Logs are in OUT/logs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

[ "$(id -u)" = 0 ] || fail "a rehearsal needs root, for network namespaces"
for tool in ip unshare setpriv openssl; do
    command -v "$tool" >/dev/null || fail "$tool is missing (Debian: apt-get install iproute2 util-linux openssl)"
done
images=$(realpath "$1")
out=$(realpath -m "$2")
overlay=${3:-cpu}
worker=${4:-lethe-worker}
[ -d "$images/store" ] || fail "$images holds no images; run 'make image'"
[ -e "$images/$worker.tar" ] || fail "$images holds no image $worker; run 'make image', with CUDA=1 for lethe-worker-cuda"
rm -rf "$out"
mkdir -p "$out"
# The containers' user must get there, which a cache of root's keeps from him.
cp -a "$("$here/image_tools.sh")" "$out/tools"
cp -a "$FASHION_MNIST" "$out/fashion-mnist"
KUBE=$("$here/kube.sh")
export KUBE
# Names of network namespaces lie in a folder of this one's alone, and go with it.
if [ "$overlay" = bucket ]; then
    MOTO_SERVER=$("$here/s3.sh")
    export MOTO_SERVER
fi
# Where a next version was built, an update is to it; of the worker with CUDA none is built.
next=()
[ ! -e "$images/next" ] || [ "$worker" != lethe-worker ] || next=("$(cat "$images/next")")
exec unshare --net --mount sh -c 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && exec "$@"' sh \
    python3 "$here/rehearsal" "$out/tools" "$images" "$out/fashion-mnist" "$out" "$overlay" "$worker" "${next[@]}"
