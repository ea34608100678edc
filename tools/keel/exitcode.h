/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The exit statuses of `keel`: part of its interface, never renumbered. It
 * must not know how a guest comes to its end.
 */
#ifndef KEEL_TOOL_EXITCODE_H
#define KEEL_TOOL_EXITCODE_H

enum exitcode {
	EXIT_OK = 0,		/* run: the guest powered off */
	EXIT_LAUNCHER = 1,	/* the launcher failed; stderr says why */
	EXIT_USAGE = 2,
	EXIT_REBOOT = 3,	/* the guest rebooted, under --no-reboot */
	EXIT_CRASHED = 4,	/* triple fault */
	EXIT_EMULATION = 5,	/* an instruction that Keel does not emulate */
	EXIT_ENTRY = 6,		/* the CPU refused to enter the guest */
	EXIT_MEMORY = 7,	/* guest memory could not be reached */
	EXIT_KILLED = 8,	/* keel kill, Ctrl-] q or a second SIGTERM */
	EXIT_BUGGED = 9,	/* the module stopped the VM: a bug in Keel */
	EXIT_NO_VM = 10,	/* no VM of that name */
	EXIT_UNAVAILABLE = 69,	/* /dev/keel is absent or the CPUs are taken */
};

/* The paragraph of --help and of the manual that lists them. */
#define EXITCODE_HELP \
"Exit status:\n" \
"   0  the guest powered off (other commands: done)\n" \
"   1  the launcher failed; the message says why\n" \
"   2  wrong usage\n" \
"   3  the guest rebooted, and --no-reboot was given\n" \
"   4  the guest crashed (triple fault)\n" \
"   5  the guest used an instruction that Keel does not emulate\n" \
"   6  the CPU refused to enter the guest\n" \
"   7  guest memory could not be reached\n" \
"   8  the VM was killed (keel kill, Ctrl-] q, a second SIGTERM)\n" \
"   9  the module stopped the VM after a broken invariant: a bug in Keel\n" \
"  10  there is no VM of that name\n" \
"  69  /dev/keel is not there, or somebody else owns the CPUs\n"

#endif /* KEEL_TOOL_EXITCODE_H */
