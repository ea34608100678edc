# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# The harness of the tests that are shell scripts: test_NAME functions, checks
# that let a test go on, KTAP lines. It knows nothing of Keel.

failed=

fail()
{
	echo "# $current: $*"
	failed=1
}

skip()
{
	skipped=$*
}

# check MESSAGE COMMAND...
check()
{
	message=$1
	shift
	"$@" || fail "$message"
}

# wait_for TENTHS COMMAND...: until it succeeds; longer on a slow host.
wait_for()
{
	left=$(($1 * ${KTAP_SLOW:-1}))
	shift
	until "$@"; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.1
	done
}

# CPU time of a process, user and system.
cpu_ms()
{
	# The name in parentheses may hold anything; clock ticks are 10 ms.
	sed 's/.*) //' "/proc/$1/stat" | awk '{ print ($12 + $13) * 10 }'
}

# run_tests NAME...: exits
run_tests()
{
	any=
	all_skipped=1
	n=0
	echo "KTAP version 1"
	echo "1..$#"
	for current; do
		n=$((n + 1))
		failed=
		skipped=
		"test_$current"
		if [ -n "$failed" ]; then
			echo "not ok $n $current"
			any=1
		elif [ -n "$skipped" ]; then
			echo "ok $n $current # SKIP $skipped"
			continue
		else
			echo "ok $n $current"
		fi
		all_skipped=
	done
	[ -z "$any" ] || exit 1
	[ -z "$all_skipped" ] || exit 4
	exit 0
}
