/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What lapic.c and lapic_reg.c share.  Pure; all of it the owner's.  Nobody
 * else includes it.
 */
#ifndef KEEL_IRQCHIP_LAPIC_INT_H
#define KEEL_IRQCHIP_LAPIC_INT_H

#include "irqchip/lapic.h"

#define LAPIC_STRIDE		4	/* u32 from one register to the next */
#define LAPIC_MAX_LVT		5
/* Integrated APIC, without suppression of EOI broadcasts. */
#define LAPIC_VERSION_VALUE	(0x14U | LAPIC_MAX_LVT << 16)

void lapic_accept(struct lapic *l, u8 vector, bool level);	/* into IRR */
bool lapic_local(struct lapic *l, u32 lvt);
void lapic_error(struct lapic *l, u32 bits);
void lapic_look(struct lapic *l, struct lapic_todo *todo);
void lapic_cache_vectors(struct lapic *l);	/* IRR and ISR were replaced */
void lapic_set_ids(struct lapic *l);		/* ID and LDR for the mode */

#endif /* KEEL_IRQCHIP_LAPIC_INT_H */
