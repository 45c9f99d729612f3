# To be sourced after say.sh. A venv of the cache that holds exactly what a list of hashes names.

# locked_venv LIST NAME WHAT: prints the venv's folder, which is made where it is not that list's.
locked_venv() {
    local list=$1 folder python lock
    # Compiled packages are of one Python.
    python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    folder=$(cache_folder)/$2-python$python
    if ! cmp -s "$list" "$folder/.complete"; then
        mkdir -p "$(dirname "$folder")"
        # Beside the folder, which is removed; whoever waited finds it made.
        exec {lock}>"$folder.lock"
        flock "$lock" || fail "cannot lock $folder.lock"
        cmp -s "$list" "$folder/.complete" || make_venv "$list" "$folder" "$3"
        exec {lock}>&-
    fi
    printf '%s\n' "$folder"
}

# make_venv LIST FOLDER WHAT
make_venv() {
    say "installing $3 in $2 (once)"
    rm -rf "$2"
    python3 -m venv "$2" >&2 || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
    "$2/bin/pip" install --no-deps --only-binary=:all: --require-hashes --no-cache-dir --disable-pip-version-check -q --requirement "$1" >&2 ||
        fail "$3 could not be installed (pip's message is above); check the network and run the command again (Python 3.11 to 3.14 is needed, this is $("$2/bin/python" -V))"
    cp "$1" "$2/.complete"
}
