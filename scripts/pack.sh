#!/usr/bin/env bash
# pack.sh BINARIES NAME OUT: packs built binaries with all that belongs to a release, as OUT/NAME.tar.gz, and sums it.
#
# The same binaries give the same bytes: order, times, owners and modes are its own. SOURCE_DATE_EPOCH is the time in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
root=$(cd "$here/.." && pwd)
binaries=${1:?the folder of the binaries} name=${2:?the name of the archive} out=${3:?a folder}
: "${SOURCE_DATE_EPOCH:?the time in the archive}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
into=$work/$name
mkdir -p "$into"/{bin,share/completions,share/licences,scripts}
for binary in lethe lethe-coordinator lethe-worker; do
    cp "$binaries/$binary" "$into/bin/"
done
"$into/bin/lethe" man --out "$into/share/man/man1" >/dev/null
"$into/bin/lethe" completions bash >"$into/share/completions/lethe.bash"
"$into/bin/lethe" completions zsh >"$into/share/completions/_lethe"
"$into/bin/lethe" completions fish >"$into/share/completions/lethe.fish"
cp "$root"/{LICENSE,NOTICE,README.md,CHANGELOG.md,SECURITY.md} "$into/"
"$here/licences.py" >"$into/share/licences/THIRD-PARTY.txt"
# What fetches libtorch by its hashes: ln -s "$(scripts/libtorch.sh)" libtorch
cp "$here"/{libtorch.sh,libtorch.txt,libtorch.sha256,say.sh,slim.py,wheels.py,wheels.sh} "$into/scripts/"
"$here/sbom.sh" "$into/share/lethe.cdx.json"

find "$into" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
chmod 755 "$into"/bin/* "$into/scripts/libtorch.sh"
tar --create --directory "$work" --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    "$name" | gzip --no-name --best >"$out/$name.tar.gz"
cp "$into/share/lethe.cdx.json" "$out/$name.cdx.json"
(cd "$out" && sha256sum "$name.tar.gz" "$name.cdx.json" >SHA256SUMS)
say "$out/$name.tar.gz: $(du -h "$out/$name.tar.gz" | cut -f1)"
