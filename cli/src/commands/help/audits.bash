# The first word after these commands is an audit's id.
_lethe_with_audits() {
    _lethe "$@"
    case "${COMP_WORDS[1]:-}" in
        show | watch | pause | resume | approve | cancel | fetch | mark | marks | rerun)
            if [ "$COMP_CWORD" -eq 2 ] && [[ ${COMP_WORDS[2]:-} != -* ]] && [ -n "${LETHE_COORDINATOR:-}" ]; then
                COMPREPLY=($(compgen -W "$(lethe ids 2>/dev/null)" -- "${COMP_WORDS[2]:-}"))
            fi
            ;;
    esac
}
complete -F _lethe_with_audits -o nosort -o bashdefault -o default lethe 2>/dev/null || complete -F _lethe_with_audits lethe
