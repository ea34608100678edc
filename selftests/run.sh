#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [-n] GROUP|PROGRAM...: run tests on this host and print KTAP, a
# program's results as subtests. Loads keel.ko if it is not there (-n: leave
# that to the tests), and fails a program after which the kernel's log has more
# reports than before. $KEEL_PARAMS are parameters for the module, as
# "apicv=0 preemption_timer=0". Exit status: 0, 1, or 4 if everything was skipped.

# shellcheck disable=SC3040 # the busybox of lab hosts has it
set -o pipefail
dir=$(dirname "$0")
module=${KEEL_MODULE:-/lib/keel/keel.ko}

reports()
{
	dmesg | grep -cE 'BUG:|Oops|KASAN|UBSAN:|WARNING:|INFO: task|general protection fault|unable to handle|refcount_t:'
}

# Line by line, for who watches.
indent()
{
	while IFS= read -r line; do
		printf '    %s\n' "$line"
	done
}

if [ "$1" = -n ]; then
	shift
elif [ ! -e /sys/module/keel ]; then
	# shellcheck disable=SC2086 # a list of words
	insmod "$module" $KEEL_PARAMS || { echo "Bail out! cannot load $module"; exit 1; }
fi

programs=
for arg; do
	if [ -d "$dir/$arg" ]; then
		for p in "$dir/$arg"/*; do
			[ -f "$p" ] && [ -x "$p" ] && programs="$programs $p"
		done
	else
		programs="$programs $dir/$arg"
	fi
done

# shellcheck disable=SC2086 # a list of words
set -- $programs
echo "KTAP version 1"
echo "1..$#"
n=0
status=4
for p; do
	n=$((n + 1))
	name=${p#"$dir"/}
	before=$(reports)
	"$p" 2>&1 | indent
	rc=$?
	if [ "$(reports)" -gt "$before" ]; then
		dmesg | tail -n 40 | sed 's/^/# /'
		echo "not ok $n $name # the kernel reported a bug"
		status=1
		continue
	fi
	case $rc in
	0)
		echo "ok $n $name"
		[ $status -eq 1 ] || status=0
		;;
	4) echo "ok $n $name # SKIP" ;;
	*)
		echo "not ok $n $name # status $rc"
		status=1
		;;
	esac
done
exit $status
