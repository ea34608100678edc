/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What of CPUID may pass from a host to a guest, as rules by leaf, and a
 * table's checks and lookups.  Pure: it must not know VMs or the CPU it runs
 * on; the host's CPUID comes through a function.
 */
#ifndef KEEL_CORE_CPUID_RULES_H
#define KEEL_CORE_CPUID_RULES_H

#include "core/cpuid.h"

enum { KEEL_EAX, KEEL_EBX, KEEL_ECX, KEEL_EDX };

/* Bits that the kernel fills in when the guest asks */
#define KEEL_CPUID_OSXSAVE	BIT(27)	/* leaf 1 ECX */
#define KEEL_CPUID_APIC		BIT(9)	/* leaf 1 EDX */
#define KEEL_CPUID_OSPKE	BIT(4)	/* leaf 7 ECX */
#define KEEL_CPUID_XSAVEC	BIT(1)	/* leaf 0xd.1 EAX */

/* The host, as far as the rules ask about it. */
struct keel_cpuid_host {
	void (*read)(u32 leaf, u32 index, u32 *regs);
	u64 xcr0;		/* states that a guest may have, 0: no XSAVE */
	u32 xsave_size;		/* of those, standard format */
	u8 phys_bits;
	bool spec_ctrl;		/* SPEC_CTRL is there and switched with the guest */
	bool ibpb;		/* PRED_CMD is there */
};

/* Emulated features that a VM was not created with. */
struct keel_cpuid_limits {
	bool no_x2apic;
	bool no_tsc_deadline;
};

/* Fills @entries, sorted; returns how many, 0: @room is too small. */
u32 keel_cpuid_build(const struct keel_cpuid_host *host, struct keel_cpuid_entry *entries,
		     u32 room);
/* Takes the bits of @limits out. */
void keel_cpuid_limit(struct keel_cpuid_entry *entries, u32 nr,
		      const struct keel_cpuid_limits *limits);
/*
 * May a launcher install @entries?  0; -EINVAL: malformed or a leaf twice;
 * -EOPNOTSUPP: shows what @supported does not.  *@bad: the entry to blame.
 */
int keel_cpuid_check(const struct keel_cpuid_entry *supported, u32 nr_supported,
		     const struct keel_cpuid_limits *limits,
		     const struct keel_cpuid_entry *entries, u32 nr, u32 *bad);
/* <0, 0, >0: by leaf, then index */
int keel_cpuid_order(const struct keel_cpuid_entry *a, const struct keel_cpuid_entry *b);

/* Fills what a lookup needs, entries sorted; then what follows from the features. */
void keel_cpuid_index(struct keel_cpuid_table *table);
void keel_cpuid_derive(struct keel_cpuid_table *table, const struct keel_cpuid_host *host);
/* Leaves 0x15 and 0x16 of @table, where it has them, tell of a TSC of @khz. */
void keel_cpuid_tsc(struct keel_cpuid_table *table, u32 khz);
/* The leaf whose data the CPU gives for @leaf. */
u32 keel_cpuid_clamp(const struct keel_cpuid_table *table, u32 leaf);
/* The entry for @leaf and @index, or NULL: zeroes. */
const struct keel_cpuid_entry *keel_cpuid_find(const struct keel_cpuid_table *table, u32 leaf,
					       u32 index);

#endif /* KEEL_CORE_CPUID_RULES_H */
