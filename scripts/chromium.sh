#!/usr/bin/env bash
# Prints a folder with the programs chromium and chromedriver, fetching Debian's packages into the user's cache on the first call.
#
# It needs no root and installs nothing: the packages, with those libraries that the system lacks, are unpacked, not installed.
# CHROMIUM names a folder instead; where both are installed, theirs is printed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/debian.sh"

folder=$(cache_folder)/chromium
instead="install chromium and chromium-driver, or set CHROMIUM to a folder with both"

version() { "$1" --version 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+){3}' | head -n 1; }

# One drives the other only where they are of one major version.
check() {
    local browser driver
    browser=$(version "$1/chromium") || true
    driver=$(version "$1/chromedriver") || true
    [ -n "$browser" ] && [ "${browser%%.*}" = "${driver%%.*}" ] ||
        fail "$1 has chromium ${browser:-that does not start} and chromedriver ${driver:-that does not start}; $instead"
}

# What of a set of packages, with all that they need, is not installed here.
missing() {
    apt-get "${private[@]}" --simulate --no-install-recommends install "$@" | sed -n 's/^Inst \([^ ]*\) .*/\1/p'
}

# The browser finds its libraries and fonts in the folder, and whoever starts it need not know.
wrap() {
    local program=$1 name
    name=$(basename "$program")
    cat >"$work/unpacked/$name" <<WRAPPER
#!/bin/sh
here=\$(cd "\$(dirname "\$0")" && pwd)
export LD_LIBRARY_PATH="\$here/usr/lib/$multiarch:\$here/lib/$multiarch:\$here/usr/lib/$multiarch/pulseaudio\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export FONTCONFIG_FILE="\$here/fonts.conf"
exec "\$here/$program" "\$@"
WRAPPER
    chmod +x "$work/unpacked/$name"
}

fonts() {
    cat >"$work/unpacked/fonts.conf" <<FONTS
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>$folder/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <match target="pattern"><edit name="family" mode="append_last"><string>DejaVu Sans</string></edit></match>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
FONTS
}

install() {
    say "downloading chromium (Debian packages, about 150 MB, once; they are kept in $folder)"
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "apt-get and dpkg are missing; $instead"
    multiarch=$(dpkg --print-architecture | sed 's/amd64/x86_64-linux-gnu/; s/arm64/aarch64-linux-gnu/')
    mkdir -p "$(dirname "$folder")"
    work=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    private=()
    local packages
    packages=$(missing chromium chromium-driver fonts-dejavu-core 2>/dev/null) || packages=
    if [ -z "$packages" ]; then
        update_lists
        packages=$(missing chromium chromium-driver fonts-dejavu-core) || fail "Debian has no chromium for this machine; $instead"
    fi
    # shellcheck disable=SC2086 # one argument a package
    unpack_debian "$instead" $packages
    wrap usr/lib/chromium/chromium
    wrap usr/bin/chromedriver
    fonts
    check "$work/unpacked"
    # One that another call published meanwhile stays.
    mv -T "$work/unpacked" "$folder" 2>/dev/null || [ -x "$folder/chromium" ] || fail "cannot write $folder"
}

main() {
    if [ -n "${CHROMIUM:-}" ]; then
        [ -x "$CHROMIUM/chromium" ] && [ -x "$CHROMIUM/chromedriver" ] ||
            fail "CHROMIUM=$CHROMIUM lacks chromium or chromedriver; expected a folder with both"
        folder=$CHROMIUM
    elif [ -x /usr/bin/chromium ] && [ -x /usr/bin/chromedriver ]; then
        folder=/usr/bin
    else
        [ -x "$folder/chromium" ] || install
    fi
    check "$folder"
    printf '%s\n' "$folder"
}

main
