/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Host mitigations that are code and not a macro.  It must not know a control
 * block: the back ends ask when one is due.
 */
#ifndef KEEL_CORE_MITIGATE_H
#define KEEL_CORE_MITIGATE_H

#include "core/types.h"

/* When the L1 data cache is to be emptied; constant after setup. */
enum {
	KEEL_L1D_NEVER,
	KEEL_L1D_PASS,		/* before an entry that follows others' code: interrupts were on */
	KEEL_L1D_ENTRY,		/* before every entry */
};

extern u8 keel_l1d_when;
/* SPEC_CTRL bits that this CPU takes from a guest; constant after setup */
extern u64 keel_spec_ctrl_bits;

int keel_mitigate_setup(void);		/* [task] module init */
void keel_mitigate_teardown(void);	/* [task] */
struct keel_vcpu;

/* [cpu] @vcpu comes to this CPU: IBPB, if another one was the last here */
void keel_guest_comes(const struct keel_vcpu *vcpu);
/* [task] A later vCPU at this address must not be taken for @vcpu. */
void keel_guest_forget(const struct keel_vcpu *vcpu);
/*
 * [cpu] SPEC_CTRL of the guest and of this CPU's host, for the world switch.
 * False: it need not write them.
 */
bool keel_spec_ctrl_load(const struct keel_vcpu *vcpu, u32 *guest, u32 *host);
/* [entry] Nothing of the host is left in the L1 data cache. */
void keel_flush_l1d(void);

#endif /* KEEL_CORE_MITIGATE_H */
