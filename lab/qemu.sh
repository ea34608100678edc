# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A lab host in QEMU: TCG with SVM. What lab/run wants of an emulator:
#
#   emulator_check      refuse what it cannot do; called after the options
#   emulator_start      start it in the background, sets $emulator_pid
#   emulator_finish     see the command's last output through, after it ended
#   emulator_message    its own last words
#
# The kernel's log goes to $log, the command's terminal is stdin and stdout.
# shellcheck disable=SC2154,SC2034 # lab/run sets what is used here, and back

emulator_check()
{
	[ "$cpu" = amd ] || die "QEMU emulates no VMX: --cpu intel needs Bochs"
	[ -z "$model" ] || die "--model is for Bochs"
	[ -z "$ips" ] || die "--ips is for Bochs"
	[ -z "$debugger" ] || die "--debugger is for Bochs"
	[ -z "$icount" ] || [ "$smp" -eq 1 ] || die "--icount is for one CPU"
	: "${mem:=1024}"
	cmdline+=" nmi_watchdog=0 watchdog_thresh=$((slow > 1 ? 60 : 30))"
	# REP STOSB would count once a byte.
	[ -z "$icount" ] || cmdline+=" nokaslr clearcpuid=rdrand,rdseed,erms"
	with_guest=1
	with_selftests=1
}

emulator_start()
{
	local accel=tcg console=(-chardev "stdio,id=command,signal=off")
	local npt=+npt same=()

	[ -z "$icount" ] || same=(-icount "shift=0,sleep=off" -seed 1
				  -rtc "base=2023-11-14,clock=vm" -net none)
	[ "$smp" -eq 1 ] || accel=tcg,thread=single
	[ -z "$no_npt" ] || npt=-npt
	if [ -t 0 ]; then
		console=(-chardev "stdio,id=command,signal=off,mux=on"
			 -mon "chardev=command,mode=readline")
	fi
	timeout --foreground -k 5 "$limit" qemu-system-x86_64 \
		-nodefaults -no-user-config -display none -no-reboot \
		-machine q35 -accel "$accel" -cpu "max,+svm,$npt$cpu_flags" \
		-smp "$smp" -m "$mem" ${same[@]+"${same[@]}"} \
		-kernel "$image" -initrd "$work/initrd" -append "$cmdline" \
		-chardev "file,id=log,path=$log" -serial chardev:log \
		"${console[@]}" -serial chardev:command <&0 &
	emulator_pid=$!
}

emulator_finish()
{
	:
}

emulator_message()
{
	echo "QEMU's status $emulator_status"
}
