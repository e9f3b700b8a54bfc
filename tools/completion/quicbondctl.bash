# SPDX-License-Identifier: BSD-2-Clause
# bash completion for quicbondctl; commands come from --help, names of links from the running daemon.

_quicbondctl_commands() {
	quicbondctl --help 2>/dev/null | sed -n '/^commands:/,/^options:/s/^  \([a-z]*\) .*/\1/p'
}

# Names of links, as `links` prints them into a pipe: the column LINK.
_quicbondctl_links() {
	quicbondctl "$@" links 2>/dev/null |
		awk 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "LINK") c = i; next } { print $c }'
}

# What can be set of the bond and of links, as the daemon lists it for a key that cannot.
_quicbondctl_settings() {
	local link list key

	quicbondctl "$@" set "" "" 2>&1 | sed -n 's/.* these can be: //p' | tr ';' '\n' | while read -r list; do
		for key in ${list##*.}; do
			case $list in
			Bond.*) echo "Bond.${key%,}" ;;
			Link.*) for link in $(_quicbondctl_links "$@"); do echo "Link.$link.${key%,}"; done ;;
			esac
		done
	done
}

_quicbondctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local socket=() command="" pos=0 i

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket)
			socket=(-s "${COMP_WORDS[i + 1]-}")
			((i++))
			;;
		-*) ;;
		*)
			[[ -n $command ]] && ((pos++))
			[[ -z $command ]] && command=${COMP_WORDS[i]}
			;;
		esac
	done
	if [[ $prev == -s || $prev == --socket ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "-h -j -s -V --help --json --report --site --socket --version" -- "$cur")
	elif [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_quicbondctl_commands)" -- "$cur")
	elif [[ $command == check && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ ($command == link || $command == explain) && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_quicbondctl_links "${socket[@]}")" -- "$cur")
	elif [[ $command == link && $pos == 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"up down drain tier=primary tier=secondary tier=backup tier=never" -- "$cur")
	elif [[ $command == failover && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "now back stats" -- "$cur")
	elif [[ $command == io && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "stats" -- "$cur")
	elif [[ $command == tun && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "show" -- "$cur")
	elif [[ $command == block && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "add del list" -- "$cur")
	elif [[ $command == qlog && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "start stop status" -- "$cur")
	elif [[ $command == known && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "show forget" -- "$cur")
	elif [[ $command == known && $pos == 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_quicbondctl_links "${socket[@]}")" -- "$cur")
	elif [[ $command == sched && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "show explain set" -- "$cur")
	elif [[ $command == sched && $pos == 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(quicbondctl "${socket[@]}" sched 2>/dev/null | cut -c 3-) bpf:" -- "$cur")
	elif [[ $command == bond && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "show set" -- "$cur")
	elif [[ $command == fec && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "stats" -- "$cur")
	elif [[ $command == set && $pos == 0 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "Log.Level $(_quicbondctl_settings "${socket[@]}")" -- "$cur")
	fi
}

complete -o filenames -F _quicbondctl quicbondctl
