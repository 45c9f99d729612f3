# The first word after some commands is an audit's id.
_lethe_audits() {
    local -a audits
    [[ -n "$LETHE_COORDINATOR" ]] && audits=("${(@f)$(lethe ids 2>/dev/null)}")
    compadd -a audits
}
