/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where an interrupt goes: the message that reaches LAPICs, and the table from
 * GSIs to PIC pins, IOAPIC pins and messages.  Pure.  It must not know a LAPIC
 * or who raises a GSI.
 */
#ifndef KEEL_IRQCHIP_ROUTE_H
#define KEEL_IRQCHIP_ROUTE_H

#include "core/pure.h"

struct keel_route;

/* Delivery modes, as LVT, ICR, redirection entries and MSI data encode them. */
#define IRQ_MODE_FIXED		0
#define IRQ_MODE_LOWEST		1
#define IRQ_MODE_SMI		2
#define IRQ_MODE_NMI		4
#define IRQ_MODE_INIT		5
#define IRQ_MODE_SIPI		6
#define IRQ_MODE_EXTINT		7

/* Destination shorthands of the ICR. */
#define IRQ_TO_DEST		0
#define IRQ_TO_SELF		1
#define IRQ_TO_ALL		2
#define IRQ_TO_OTHERS		3

/* One interrupt message on its way to LAPICs. */
struct irq_msg {
	u32 dest;
	u8 vector;
	u8 mode;		/* IRQ_MODE_* */
	u8 shorthand;		/* IRQ_TO_* */
	bool logical;		/* @dest is a logical destination */
	bool level;		/* level-triggered: ends with an EOI broadcast */
	bool wide;		/* @dest has 32 bits: sent by an x2APIC */
};

#define IRQ_NR_GSIS		1024	/* IRQ_MAX_GSI of irqchip.h */
#define IRQ_NR_PIC_PINS		16
#define IRQ_NR_IOAPIC_PINS	24
#define IRQ_MAX_ROUTES		4096

/* One route; those of a GSI stand side by side, in the order they were given. */
struct irq_route {
	u16 index;		/* in the table that was given */
	u8 type;		/* KEEL_ROUTE_* */
	u8 pin;
	u32 data;
	u64 address;
};

/* A checked table: the routes of GSI g are routes[first[g]] to routes[first[g + 1] - 1]. */
struct irq_routes {
	u32 nr;
	u16 first[IRQ_NR_GSIS + 1];
	struct irq_route routes[];
};

/*
 * Checks @nr routes and sorts them into @table, which has room for @nr.
 * -EINVAL: *@bad is the index of the route to blame.
 */
int route_build(struct irq_routes *table, const struct keel_route *routes, u32 nr, u32 *bad);

/* The table of a new irqchip; @table has room for ROUTE_NR_DEFAULT routes. */
#define ROUTE_NR_DEFAULT	(IRQ_NR_PIC_PINS + IRQ_NR_IOAPIC_PINS)
void route_build_default(struct irq_routes *table);

/* Decodes an MSI.  1; 0: it asks for nothing (a level that drops); -EINVAL: not an MSI. */
int route_parse_msi(u64 address, u32 data, struct irq_msg *msg);

#endif /* KEEL_IRQCHIP_ROUTE_H */
