/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The 64-bit Linux boot protocol: puts a bzImage, its initrd and command line
 * into guest memory, and says with which registers the CPU must start. It must
 * not know a VM, a file or a device.
 */
#ifndef KEEL_TOOL_BOOT_LINUX_H
#define KEEL_TOOL_BOOT_LINUX_H

#include <linux/keel_x86.h>

#include "memory.h"

struct boot_linux {
	struct blob kernel;
	struct blob initrd;	/* len 0: none */
	const char *cmdline;
	u64 rsdp;		/* GPA of the ACPI RSDP */
};

/*
 * Fills @mem; @regs and @sregs get the state of the boot CPU, in which
 * apic_base, xcr0 and cr8 are left as they are. 0, or -1 with the reason and
 * its remedy in @why.
 */
int boot_linux_load(const struct boot_linux *boot, const struct memory *mem,
		    struct keel_regs *regs, struct keel_sregs *sregs,
		    char *why, size_t why_size);

#endif /* KEEL_TOOL_BOOT_LINUX_H */
