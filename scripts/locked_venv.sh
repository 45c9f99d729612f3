# To be sourced after say.sh. A venv of the cache that holds exactly what a list of hashes names.

# locked_venv LIST NAME WHAT: prints the venv's folder, which is made where it is not that list's.
locked_venv() {
    local list=$1 folder python
    # Compiled packages are of one Python.
    python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    folder=$(cache_folder)/$2-python$python
    if ! cmp -s "$list" "$folder/.complete"; then
        say "installing $3 in $folder (once)"
        rm -rf "$folder"
        python3 -m venv "$folder" >&2 || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
        "$folder/bin/pip" install --no-deps --only-binary=:all: --require-hashes --no-cache-dir --disable-pip-version-check -q \
            --requirement "$list" >&2 ||
            fail "$3 could not be installed (pip's message is above); check the network and run the command again (Python 3.11 to 3.14 is needed, this is $python)"
        cp "$list" "$folder/.complete"
    fi
    printf '%s\n' "$folder"
}
