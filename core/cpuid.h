/* SPDX-License-Identifier: GPL-2.0 */
/*
 * CPUID: what this host can give (masks by leaf), what a VM shows, and the
 * guest features that other code asks about.  It must not know exits.
 */
#ifndef KEEL_CORE_CPUID_H
#define KEEL_CORE_CPUID_H

#include <linux/keel_x86.h>
#include "core/types.h"

struct keel_vm;
struct keel_vcpu;
struct keel_cpuid_entry;

#define KEEL_MAX_CPUID		128

/* Leaves with a direct index into the table; the rest is searched. */
#define KEEL_CPUID_BASIC	0x20
#define KEEL_CPUID_EXTENDED	0x28
#define KEEL_CPUID_NONE		0xff

/* A VM's table, sorted by (leaf, index), and what follows from it.  Constant
 * after the first RUN.
 */
struct keel_cpuid_table {
	u32 nr;
	u32 guest_has;		/* KEEL_G_* */
	u64 cr4_mask, efer_mask, xcr0_mask;
	u32 max_basic, max_extended;
	u8 maxphyaddr;
	bool intel;		/* beyond the highest leaf: the highest basic one, not zeroes */
	u8 basic[KEEL_CPUID_BASIC];		/* first entry of leaf n, or KEEL_CPUID_NONE */
	u8 extended[KEEL_CPUID_EXTENDED];	/* of leaf 0x80000000 + n */
	struct keel_cpuid_entry entries[];
};

/* Guest features that the kernel acts on: vm->guest_has, derived from the table. */
#define KEEL_G_X2APIC		BIT(0)
#define KEEL_G_TSC_DEADLINE	BIT(1)
#define KEEL_G_NX		BIT(2)
#define KEEL_G_LM		BIT(3)
#define KEEL_G_1G		BIT(4)
#define KEEL_G_RDTSCP		BIT(5)
#define KEEL_G_RDPID		BIT(6)
#define KEEL_G_SPEC_CTRL	BIT(7)
#define KEEL_G_IBPB		BIT(8)
#define KEEL_G_XSAVE		BIT(9)
#define KEEL_G_SYSCALL		BIT(10)
#define KEEL_G_BMI1		BIT(11)
#define KEEL_G_LZCNT		BIT(12)
#define KEEL_G_POPCNT		BIT(13)
#define KEEL_G_FSRM_EFER_FFXSR	BIT(14)	/* EFER.FFXSR */
#define KEEL_G_HYPERVISOR	BIT(15)

int keel_cpuid_setup(void);		/* [task] module init, after the back end's setup */
/* [task] what a guest may see; 0 or -E2BIG with *@nr needed */
int keel_cpuid_supported(struct keel_cpuid_entry *entries, u32 *nr);
/* [task, vm->lock] checks and installs; errors of KEEL_CPUID_SET */
int keel_cpuid_set(struct keel_vm *vm, const struct keel_cpuid_entry *entries, u32 nr, u32 *bad);
/* [task, vm->lock] what a VM shows before KEEL_CPUID_SET: all that is supported */
int keel_cpuid_default(struct keel_vm *vm);
void keel_cpuid_fini(struct keel_vm *vm);
/* [vCPU owner] what the CPUID instruction does to @vcpu's registers */
void keel_cpuid_emulate(struct keel_vcpu *vcpu);

/* Constant after keel_cpuid_set(): bits a guest may set. */
u64 keel_guest_cr4_mask(struct keel_vm *vm);
u64 keel_guest_efer_mask(struct keel_vm *vm);
u64 keel_guest_xcr0_mask(struct keel_vm *vm);
u8 keel_guest_maxphyaddr(struct keel_vm *vm);

extern u64 keel_host_xcr0;	/* XCR0 bits that Keel hands out; 0: no XSAVE */
extern u32 keel_xsave_size;	/* standard-format size of those */

#endif /* KEEL_CORE_CPUID_H */
