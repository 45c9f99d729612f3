# The first word after these commands is an audit's id.
complete -c lethe -n "__fish_seen_subcommand_from show watch pause resume approve cancel fetch mark marks rerun; and test (count (commandline -opc)) -eq 2; and set -q LETHE_COORDINATOR" -f -a "(lethe ids 2>/dev/null)"
