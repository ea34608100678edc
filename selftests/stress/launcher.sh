#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The launcher as its users see it: verbs, output, exit statuses, two machines
# beside each other, and nothing left of one that was killed. The guests are
# bzImages of a few bytes, made here, so that it takes seconds.

# shellcheck source=selftests/ktap.sh
. "$(dirname "$0")/../ktap.sh"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# ------------------------------------------------------------------ guests

# at OFFSET BYTES: bytes as printf takes them, into $image.
at()
{
	# shellcheck disable=SC2059 # escapes are the point
	printf "$2" | dd of="$image" bs=1 seek="$(($1))" conv=notrunc 2>/dev/null
}

# kernel NAME CODE: a bzImage whose 64-bit entry is CODE.
kernel()
{
	image=$dir/$1
	dd if=/dev/zero of="$image" bs=4096 count=1 2>/dev/null
	at 0x1f1 '\001'				# one sector of setup
	at 0x1fe '\125\252\353\152HdrS\017\002'	# flag, jump over the header, version 2.15
	at 0x211 '\001'				# loaded high
	at 0x22c '\377\377\377\177'		# initrd below 2 GiB
	at 0x236 '\001'				# has a 64-bit entry
	at 0x238 '\377\007'			# longest command line
	at 0x258 '\000\000\000\001'		# wants to be at 16 MiB
	at 0x260 '\000\000\020'			# and 1 MiB there
	at 0x600 "$2"
}

# mov $0x3400, %ax; mov $0x604, %dx; out %ax, %dx: sleep state S5
off='\146\270\000\064\146\272\004\006\146\357'
# mov $0x3f8, %dx; mov $c, %al; out %al, %dx
say_k='\146\272\370\003\260\113\356'
say_nl='\146\272\370\003\260\012\356'

kernel off "$say_k$say_nl$off\\353\\376"
# mov $6, %al; mov $0xcf9, %dx; out %al, %dx
kernel reboot '\260\006\146\272\371\014\356\353\376'
# movq $0, (0x100); movq $0, (0x108); lidt (0x100); int3
kernel crash '\110\307\004\045\000\001\000\000\000\000\000\000\110\307\004\045\010\001\000\000\000\000\000\000\017\001\034\045\000\001\000\000\314'
# mov $0xd0000000, %eax; fnstcw (%rax): no slot there, and an x87 access
kernel strange '\270\000\000\000\320\331\070\353\376'
# mov $0xd0000000, %eax; jmp *%rax
kernel jump '\270\000\000\000\320\377\340'
# 1: jmp 1b
kernel spin '\353\376'
# cli; 1: hlt; jmp 1b
kernel sleep '\372\364\353\375'
printf 'no kernel at all' >"$dir/text"

# run_guest NAME OPTION...: in the background; its status is in $dir/NAME.status.
run_guest()
{
	name=$1
	shift
	(
		keel run --name "$name" -m 32 "$@" </dev/null >"$dir/$name.out" 2>"$dir/$name.err"
		echo $? >"$dir/$name.status"
	) &
}

# ends KERNEL STATUS [CAUSE [OPTION...]]: CAUSE is in its last words.
ends()
{
	image=$1
	want=$2
	cause=$3
	shift $(($# < 3 ? $# : 3))
	keel run -m 32 -o json --kernel "$dir/$image" "$@" </dev/null >"$dir/out" 2>"$dir/err"
	got=$?
	check "$image: exit status $got, not $want" [ $got -eq "$want" ]
	[ -z "$cause" ] || check "$image: no cause \"$cause\" in its last words: $(cat "$dir/err")" \
		grep -q "\"cause\": *\"$cause\"" "$dir/err"
	[ -z "$cause" ] || check "$image: no status $want in its last words" \
		grep -q "\"status\": *${want}[^0-9]" "$dir/err"
}

running()
{
	keel list -o json | grep -q "\"name\": *\"$1\""
}

held()
{
	keel info -o json | grep -E '"(vms|vcpus|kernel_bytes|stage2_bytes)"'
}

# ------------------------------------------------------------------ tests

test_usage()
{
	for words in "run" "walk" "run --kernel" "stat" "pause" "list x" "run --kernel x -c none" \
		     "run --kernel x -m -1" "stop -t soon x" "info -o xml"; do
		# shellcheck disable=SC2086 # words
		keel $words >"$dir/out" 2>"$dir/err" </dev/null
		check "keel $words: status $?" [ $? -eq 2 ]
		check "keel $words: says nothing" [ -s "$dir/err" ]
	done
	for verb in stop kill pause resume stat; do
		keel $verb nobody >/dev/null 2>&1
		check "keel $verb nobody: status $?" [ $? -eq 10 ]
	done
	keel help >"$dir/out"
	check "keel help" grep -q "Exit status" "$dir/out"
	keel run -h >"$dir/out"
	check "keel run -h" grep -q -e --initrd "$dir/out"
}

test_info()
{
	keel info >"$dir/out" || fail "status $?"
	check "no audit" grep -q "Capability audit" "$dir/out"
	keel info -o json >"$dir/out" || fail "status $?"
	check "no vendor" grep -qE '"vendor": *"(amd|intel)"' "$dir/out"
	check "no features" grep -q '"irqchip"' "$dir/out"
}

test_ends()
{
	ends off 0 power-off
	check "no K on the console" grep -q K "$dir/out"
	ends reboot 3 reboot --no-reboot
	ends crash 4 crash
	ends strange 5 emulation-failure
	ends jump 7 memory-fault
	ends text 1
	keel run --kernel "$dir/none" >/dev/null 2>&1
	check "no such file: status $?" [ $? -eq 1 ]
	keel run -m 8 --kernel "$dir/off" >/dev/null 2>&1
	check "too little memory: status $?" [ $? -eq 1 ]
}

test_verbs()
{
	run_guest spin --kernel "$dir/spin"
	check "spin does not appear in the list" wait_for 100 running spin
	check "list" sh -c "keel list | grep -q '^spin .*running'"
	keel run --name spin -m 32 --kernel "$dir/off" >/dev/null 2>&1 </dev/null
	check "a second VM of that name: status $?" [ $? -eq 1 ]
	keel stat spin >"$dir/out" || fail "stat: $?"
	check "stat shows no exits" grep -q "^  interrupt  *[1-9]" "$dir/out"
	check "stat shows no guest time" grep -q "^  guest  .*%" "$dir/out"
	keel stat -o json spin >"$dir/out" || fail "stat -o json: $?"
	check "stat -o json" grep -q '"entries"' "$dir/out"

	keel pause spin >/dev/null || fail "pause: $?"
	check "list says paused" sh -c "keel list | grep -q '^spin .*paused'"
	keel pause spin >/dev/null 2>&1 && fail "a second pause"
	pid=$(keel list -o json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
	before=$(cpu_ms "$pid")
	sleep 1
	after=$(cpu_ms "$pid")
	check "paused, and used $((after - before)) ms" [ $((after - before)) -le 50 ]
	keel resume spin >/dev/null || fail "resume: $?"
	keel resume spin >/dev/null 2>&1 && fail "a second resume"
	sleep 1
	check "resumed, and used no time" [ "$(cpu_ms "$pid")" -gt "$after" ]

	keel stop --no-wait spin >/dev/null || fail "stop --no-wait: $?"
	keel stop -t 1 spin >"$dir/out" || fail "stop -t 1: $?"
	check "stop: $(cat "$dir/out")" grep -q killed "$dir/out"
	check "run ends" wait_for 50 test -s "$dir/spin.status"
	check "status of run: $(cat "$dir/spin.status")" [ "$(cat "$dir/spin.status")" = 8 ]
	running spin && fail "still in the list"
	# Its last figures are kept.
	keel stat spin >"$dir/out" || fail "stat afterwards: $?"
	check "stat afterwards" grep -q ended "$dir/out"
}

test_two_beside_each_other()
{
	run_guest one --kernel "$dir/spin"
	run_guest two --kernel "$dir/sleep" -c 2
	check "one" wait_for 100 running one
	check "two" wait_for 100 running two
	ends off 0 ""
	check "one has gone" running one
	keel kill one >/dev/null || fail "kill: $?"
	check "two went along" running two
	keel kill -o json two >"$dir/out" || fail "kill: $?"
	check "kill -o json" grep -q '"result"' "$dir/out"
	wait
	check "status of one" [ "$(cat "$dir/one.status")" = 8 ]
	check "status of two" [ "$(cat "$dir/two.status")" = 8 ]
	check "the list is not empty" [ "$(keel list | wc -l)" -eq 1 ]
}

test_signals()
{
	run_guest term --kernel "$dir/sleep"
	check "term" wait_for 100 running term
	pid=$(keel list -o json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
	kill -TERM "$pid"
	sleep 0.3
	check "one SIGTERM is the power button" running term
	kill -TERM "$pid"
	check "two end it" wait_for 50 test -s "$dir/term.status"
	check "status $(cat "$dir/term.status")" [ "$(cat "$dir/term.status")" = 8 ]
}

test_sandbox()
{
	run_guest box --kernel "$dir/sleep"
	check "box" wait_for 100 running box
	pid=$(keel list -o json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
	check "capabilities" grep -q '^CapEff:[[:space:]]*0*$' "/proc/$pid/status"
	check "no_new_privs" grep -q '^NoNewPrivs:[[:space:]]*1' "/proc/$pid/status"
	check "no system-call filter" grep -q '^Seccomp:[[:space:]]*2' "/proc/$pid/status"
	keel kill box >/dev/null
	wait
}

# kill -9 at random moments, from the first system call to a running guest.
test_kill9()
{
	before=$(held)
	for delay in 0.00 0.02 0.04 0.06 0.08 0.1 0.15 0.2 0.3 0.4; do
		keel run -m 32 -c 2 --kernel "$dir/spin" </dev/null >/dev/null 2>&1 &
		pid=$!
		sleep $delay
		kill -KILL $pid
		wait $pid 2>/dev/null
	done
	same() { [ "$(held)" = "$before" ]; }
	check "something is left: before: $before, now: $(held)" wait_for 50 same
}

test_without_module()
{
	wait_for 50 rmmod keel 2>/dev/null
	keel info >/dev/null 2>&1
	check "info: status $?" [ $? -eq 69 ]
	keel run --kernel "$dir/off" >/dev/null 2>&1 </dev/null
	check "run: status $?" [ $? -eq 69 ]
	insmod /lib/keel/keel.ko || fail "insmod"
}

run_tests usage info ends verbs two_beside_each_other signals sandbox kill9 \
	without_module
