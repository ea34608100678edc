# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# bash completion for keel(1): commands, options, and the names of machines.

_keel()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local common='--output --help' words=

	if [ "$COMP_CWORD" -eq 1 ]; then
		words='run list stop kill pause resume stat info help'
	elif [ "$prev" = -o ] || [ "$prev" = --output ]; then
		words='text json'
	elif [ "$prev" = --kernel ] || [ "$prev" = --initrd ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	else
		case ${COMP_WORDS[1]} in
		run) words="--kernel --initrd --append --memory --cpus --name
			--no-reboot --no-sandbox $common" ;;
		stop) words="--timeout --no-wait $common" ;;
		stat) words="--csv --plot --watch $common" ;;
		list | info | kill | pause | resume) words=$common ;;
		help) words='run list stop kill pause resume stat info' ;;
		esac
		case ${COMP_WORDS[1]}:$cur in
		stop:-* | kill:-* | pause:-* | resume:-* | stat:-*) ;;
		stop:* | kill:* | pause:* | resume:* | stat:*)
			words=$(keel list 2>/dev/null | awk 'NR > 1 { print $1 }') ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -o filenames -F _keel keel
