#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The stock Debian kernel as a guest: booted it costs no CPU time while it has
# nothing to do; another one, with two CPUs, boots beside it, finds itself well
# and powers itself off.

# shellcheck source=selftests/ktap.sh
. "$(dirname "$0")/../ktap.sh"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# boot NAME OPTION...: in the background; its status is in $dir/NAME.status.
boot()
{
	name=$1
	shift
	: >"$dir/$name.out"
	(
		keel run --name "$name" -m 192 --kernel /guest/vmlinuz --initrd /guest/initrd \
			"$@" </dev/null >"$dir/$name.out" 2>"$dir/$name.err"
		echo $? >"$dir/$name.status"
	) &
}

verdict()
{
	grep -q '^guest: \(all is well\|FAILED\)' "$dir/$1.out" || [ -e "$dir/$1.status" ]
}

# well NAME: has it come to its verdict, and is that good? Shows what it said if not.
well()
{
	check "$1 comes to no verdict" wait_for 2400 verdict "$1"
	grep -q '^guest: all is well' "$dir/$1.out" && return
	fail "$1 is not well"
	tail -n 15 "$dir/$1.out" "$dir/$1.err" | sed 's/^/# /'
}

pid_of()
{
	keel list -o json | tr -d '\n' | tr '{' '\n' |
		sed -n "s/.*\"name\": *\"$1\".*\"pid\": *\([0-9]*\).*/\1/p"
}

test_boots()
{
	boot first --append "console=ttyS0 quiet keel.data=4 keel.hold=600"
	well first
}

# An idle guest: less than 5 % of one CPU over three seconds, launcher and
# vCPU thread together.
test_idles()
{
	sleep 1
	pid=$(pid_of first)
	before=$(cpu_ms "$pid")
	sleep 3
	used=$(($(cpu_ms "$pid") - before))
	echo "# $used ms of 3 s"
	check "$used ms of CPU time in 3 s" [ "$used" -lt 150 ]
}

test_second_with_two_cpus()
{
	boot second -c 2 --append "console=ttyS0 quiet keel.data=4"
	well second
	check "it does not power off" wait_for 300 test -s "$dir/second.status"
	check "status $(cat "$dir/second.status")" [ "$(cat "$dir/second.status")" = 0 ]
	check "CPUs: $(grep 'guest: .* x' "$dir/second.out")" grep -q '^guest: 2 x' \
		"$dir/second.out"
	keel stat second >"$dir/stat"
	check "no figures of it" grep -q "^  interrupt  *[1-9]" "$dir/stat"
}

test_first_is_still_there()
{
	check "not in the list" [ -n "$(pid_of first)" ]
	check "it has ended" [ ! -e "$dir/first.status" ]
	keel kill first >/dev/null || fail "kill: $?"
	wait
	check "status $(cat "$dir/first.status")" [ "$(cat "$dir/first.status")" = 8 ]
}

run_tests boots idles second_with_two_cpus first_is_still_there
