/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Host mitigations that are code and not a macro.  It must not know when one
 * is due: the back ends do.
 */
#ifndef KEEL_CORE_MITIGATE_H
#define KEEL_CORE_MITIGATE_H

int keel_mitigate_setup(void);		/* [task] module init */
void keel_mitigate_teardown(void);	/* [task] */
/* [entry] Nothing of the host is left in the L1 data cache. */
void keel_flush_l1d(void);

#endif /* KEEL_CORE_MITIGATE_H */
