/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lists of MSRs that a VMX CPU loads as part of an entry and of an exit,
 * kept as a pair: what the guest runs with, and what the host has again.
 * Pure: it must not know a VMCS or who wants which MSR.
 */
#ifndef KEEL_VMX_MSRLIST_H
#define KEEL_VMX_MSRLIST_H

#include "core/pure.h"

/* As the CPU reads it. */
struct vmx_msr_entry {
	u32 index;
	u32 reserved;		/* 0 */
	u64 value;
};

static_assert(sizeof(struct vmx_msr_entry) == 16);

#define VMX_MSRLIST_ROOM	8

/* The lists begin on 16 bytes: whoever allocates it sees to that. */
struct vmx_msrlists {
	struct vmx_msr_entry guest[VMX_MSRLIST_ROOM];	/* loaded by the entry */
	struct vmx_msr_entry host[VMX_MSRLIST_ROOM];	/* loaded by the exit */
	u32 nr;			/* of both */
};

static_assert(offsetof(struct vmx_msrlists, host) % 16 == 0);

/* One MSR that is to change exactly at entry and exit. */
struct vmx_msr_change {
	u32 index;
	u64 host, guest;
};

/*
 * May the CPU load this MSR from a list?  A value that it refuses ends the entry,
 * and at an exit the machine: so only those that perf is known to ask for.
 */
bool vmx_msrlist_allowed(u32 index);

/*
 * Makes the lists say what @changes say, in their order: those with two
 * values, allowed, the first @most (at most VMX_MSRLIST_ROOM).  Writes only
 * what differs.  True: the number has changed.
 */
bool vmx_msrlist_set(struct vmx_msrlists *lists, const struct vmx_msr_change *changes, u32 nr,
		     u32 most);

/* The host's value of @index in the lists; 0: it is not there. */
u64 vmx_msrlist_host(const struct vmx_msrlists *lists, u32 index);

#endif /* KEEL_VMX_MSRLIST_H */
