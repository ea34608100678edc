/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the LAPIC's tests share: LAPICs with a page each, in the modes.  It
 * knows nothing of what is tested on them.
 */
#ifndef KEEL_UNIT_LAPICS_H
#define KEEL_UNIT_LAPICS_H

#include "irqchip/lapic.h"

/* A LAPIC in the page's form after power-on. */
void lapics_new(struct lapic *l, u32 id);
void lapics_free(struct lapic *l);
void lapics_to_x2(struct lapic *l);

/* Register accesses that have to succeed; todo of the last write. */
extern struct lapic_todo lapics_todo;
u32 lapics_read(struct lapic *l, u32 offset);
void lapics_write(struct lapic *l, u32 offset, u32 val);
void lapics_write_at(struct lapic *l, u32 offset, u32 val, u64 now);

#endif /* KEEL_UNIT_LAPICS_H */
