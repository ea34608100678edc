# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A lab host in Bochs: VMX, or a stricter SVM than QEMU's. The functions are
# those of qemu.sh. One tick of the TSC is one instruction, and everything that
# the host does is the same from run to run, to the digit.
# shellcheck disable=SC2154,SC2034 # lab/run sets what is used here, and back

# Initialization that no test needs: parsing BTF (which the first of those who
# register kfuncs does), walking ftrace's records, self-tests of cryptography,
# certificates. Half of the way to user space.
blacklist=(bpf_rstat_kfunc_init bpf_key_sig_kfuncs_init kfunc_init
	   bpf_prog_test_run_init bpf_tcp_ca_kfunc_init cubictcp_register
	   bpf_dummy_struct_ops_init btf_module_init
	   init_kprobe_trace trace_eval_init ftrace_check_for_weak_functions
	   blake2s_mod_init jent_mod_init load_system_certificate_list
	   crypto_kdf108_init slab_sysfs_init slab_late_init)

emulator_check()
{
	local IFS=,

	[ -z "$no_npt" ] || die "--no-npt is for QEMU; here, name a --model"
	[ -z "$cpu_flags" ] || die "--cpu-flags is for QEMU"
	[ -z "$icount" ] || die "--icount is for QEMU; Bochs always counts so"
	if [ -z "$model" ]; then
		case $cpu in
		intel) model=corei7_skylake_x ;;
		amd) model=ryzen ;;
		esac
	fi
	: "${ips:=20000000}" "${mem:=512}"
	# The tests' deadlines are in the host's seconds, which hold this few
	# instructions; 100 million are about a second of wall time.
	[ "$ips" -ge 100000000 ] || slow=$((slow * 100000000 / ips))
	cmdline+=" nmi_watchdog=0 watchdog_thresh=60"

	[ -n "$with_tracing" ] || blacklist+=(tracer_init_tracefs)
	cmdline+=" tsc_early_khz=$((ips / 1000)) nokaslr reboot=t"
	# The AMD model never returns from MWAITX; without the other two, and
	# with the seed that the boot sector passes, each boot draws the same
	# random numbers.
	cmdline+=" clearcpuid=rdrand,rdseed,mwaitx"
	# The compacted format puts upper halves of YMM registers over the
	# header of the XSAVE area.
	cmdline+=",xsavec,xsaves"
	# The Skylake's sizes of XSAVE contradict each other: Linux would switch
	# it off with a warning.
	[ "$model" != corei7_skylake_x ] || cmdline+=" noxsave"
	expect+='|(RETBleed|Speculative Return Stack Overflow): WARNING'
	# The CPUID leaves of topology do not agree, as 6.12 notices.
	[ "$cpu" = amd ] || expect+='|WARNING: .* parse_legacy'
	cmdline+=" initcall_blacklist=${blacklist[*]}"
}

# The disk with the boot sectors and the kernel, kept in the cache.
make_boot_disk()
{
	local out=$1

	[ ! -e "$out" ] || return 0
	find "$cache" -maxdepth 1 -name 'bochs-*.disk' -mtime +7 -delete
	gcc -c -o "$out.o" "$lab/bochs-boot.S"
	ld -Ttext=0x7c00 --oformat=binary -o "$out.sectors" "$out.o"
	"$lab/bochs-disk" kernel "$out.sectors" "$image" "$out.tmp"
	mv "$out.tmp" "$out"
	rm -f "$out.o" "$out.sectors"
}

# Bochs takes any triple fault for its end, stops in its debugger, and only then
# asks whether it was that of a guest, which ends by an exit. Such a CPU stops at
# what follows VMRUN, CLI; one that triple-faulted itself does not go on.
debugger_answers()
{
	local line cpus=0 answer=

	[ -z "$debugger" ] || return 0
	tail -n +1 -s 0.1 -f --pid=$$ "$work/bochs.out" | while read -r line; do
		case $line in
		'('?') ['*':fff0 '*) continue ;; # at reset
		'('?') ['*' cli '*) answer=c ;;
		'('?') ['*) ;;
		*) continue ;;
		esac
		cpus=$((cpus + 1))
		[ "$cpus" -eq "$smp" ] || continue
		[ -n "$answer" ] || break
		echo "$answer"
		cpus=0 answer=
	done
}

emulator_start()
{
	local disk n panics=

	: >"$work/bochs.out"
	for ((n = 0; n < smp; n++)); do
		[ "$cpu" = intel ] || panics+=", cpu$n=report"
	done
	disk=$cache/bochs-$({
		cat "$lab/bochs-boot.S" "$lab/bochs-disk"
		stat -L -c '%n %s %Y' "$image"
	} | sha256sum | cut -c 1-16).disk
	[ -e "$disk" ] || locked bochs make_boot_disk "$disk"

	# By way of a link: Bochs locks an image by a file beside it.
	ln -s "$disk" "$work/kernel.disk"
	"$lab/bochs-disk" run "$cmdline" "$work/initrd" "$work/run.disk"
	mkfifo "$work/command"
	cat >"$work/bochsrc" <<END
config_interface: textconfig
display_library: rfb, options="timeout=0"
plugin_ctrl: unmapped=1, biosdev=1, serial=1, extfpuirq=1
plugin_ctrl: speaker=0, parallel=0, iodebug=0
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=$model, count=$smp, ips=$ips, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=$mem, host=$((mem < 2048 ? mem : 2048))
clock: sync=none, time0=1700000000
boot: disk
ata0-master: type=disk, mode=flat, path=$work/kernel.disk
ata0-slave: type=disk, mode=flat, path=$work/run.disk
com1: enabled=1, mode=file, dev=$log
com2: enabled=1, mode=file, dev=$work/command
log: $work/bochs.log
panic: action=fatal$panics
error: action=ignore
info: action=ignore
debug: action=ignore
END
	echo c >"$work/rc"
	if [ -n "$debugger" ]; then
		echo "magic_break: enabled=1" >>"$work/bochsrc"
		cp "${debugger%%:*}" "$work/rc"
	fi
	cat "$work/command" &
	output_pid=$!
	# It writes its own log before it knows where that goes.
	timeout --foreground -k 5 "$limit" \
		bochs-bin -q -f "$work/bochsrc" -rc "$work/rc" \
		< <(debugger_answers) >"$work/bochs.out" 2>&1 &
	emulator_pid=$!
}

emulator_finish()
{
	# Bochs opens the pipe with the first byte: the reader may still wait.
	: <>"$work/command"
	wait "$output_pid" || true
	[ -z "$debugger" ] || cp "$work/bochs.out" "${debugger#*:}"
	# What a CPU complained of and went on after, but for those.
	sed -n "/exception with no resolution/d; s/.*p\[CPU.*>>PANIC<< /BUG: Bochs: /p" \
		"$work/bochs.log" >>"$log"
}

emulator_message()
{
	local last at

	last=$(sed -n 's/^[0-9]*p\[.*>>PANIC<< //p' "$work/bochs.log" | tail -n 1)
	at=$(sed -n 's/^([0-9]*)\.\[[0-9]*\] //p' "$work/bochs.out" | tail -n 1)
	echo "Bochs: ${last:-status $emulator_status}${at:+, at $at}"
}
