// SPDX-License-Identifier: GPL-2.0
/*
 * The routing table from GSIs to chip pins and messages, and the decoding of
 * an MSI.  Pure.  It must not know chips or LAPICs.
 */
#include <linux/keel.h>
#include "irqchip/route.h"

#define MSI_ADDRESS_WINDOW	0xfeeULL	/* address bits 63:20 */
#define MSI_ADDRESS_LOGICAL	BIT(2)
#define MSI_ADDRESS_HINT	BIT(3)
#define MSI_DATA_ASSERT		BIT(14)
#define MSI_DATA_LEVEL		BIT(15)

static bool route_valid(const struct keel_route *r)
{
	if (r->gsi >= IRQ_NR_GSIS)
		return false;
	switch (r->type) {
	case KEEL_ROUTE_PIC:
		return r->pin < IRQ_NR_PIC_PINS && !r->data && !r->address;
	case KEEL_ROUTE_IOAPIC:
		return r->pin < IRQ_NR_IOAPIC_PINS && !r->data && !r->address;
	case KEEL_ROUTE_MSI:
		return !r->pin && r->address >> 20 == MSI_ADDRESS_WINDOW;
	default:
		return false;
	}
}

/* The bit of a route among those that a GSI can have: each pin once, and one message. */
static u64 route_bit(const struct irq_route *r)
{
	switch (r->type) {
	case KEEL_ROUTE_PIC:
		return BIT_ULL(r->pin);
	case KEEL_ROUTE_IOAPIC:
		return BIT_ULL(IRQ_NR_PIC_PINS + r->pin);
	default:
		return BIT_ULL(IRQ_NR_PIC_PINS + IRQ_NR_IOAPIC_PINS);
	}
}

/* The lowest index of a route that repeats an earlier one of its GSI, or nr. */
static u32 route_find_repeat(const struct irq_routes *table)
{
	u32 gsi, i, bad = table->nr;

	for (gsi = 0; gsi < IRQ_NR_GSIS; gsi++) {
		u64 seen = 0;

		for (i = table->first[gsi]; i < table->first[gsi + 1]; i++) {
			u64 bit = route_bit(&table->routes[i]);

			if (seen & bit)
				bad = min_t(u32, bad, table->routes[i].index);
			seen |= bit;
		}
	}
	return bad;
}

int route_build(struct irq_routes *table, const struct keel_route *routes, u32 nr, u32 *bad)
{
	u32 i, j;

	if (nr > IRQ_MAX_ROUTES) {
		*bad = IRQ_MAX_ROUTES;
		return -EINVAL;
	}
	memset(table->first, 0, sizeof(table->first));
	table->nr = nr;
	for (i = 0; i < nr; i++) {
		if (!route_valid(&routes[i])) {
			*bad = i;
			return -EINVAL;
		}
		table->first[routes[i].gsi]++;
	}
	/* Counts become the end of each GSI's part, then, filled from behind, its start. */
	for (i = 0, j = 0; i < IRQ_NR_GSIS; i++) {
		j += table->first[i];
		table->first[i] = (u16)j;
	}
	table->first[IRQ_NR_GSIS] = (u16)nr;
	for (i = nr; i--; ) {
		const struct keel_route *r = &routes[i];
		struct irq_route *to = &table->routes[--table->first[r->gsi]];

		to->index = (u16)i;
		to->type = (u8)r->type;
		to->pin = (u8)r->pin;
		to->data = r->data;
		to->address = r->address;
	}
	i = route_find_repeat(table);
	if (i < nr) {
		*bad = i;
		return -EINVAL;
	}
	return 0;
}

void route_build_default(struct irq_routes *table)
{
	struct keel_route routes[ROUTE_NR_DEFAULT];
	u32 gsi, nr = 0, bad;

	memset(routes, 0, sizeof(routes));
	for (gsi = 0; gsi < IRQ_NR_PIC_PINS; gsi++, nr++) {
		routes[nr].gsi = gsi;
		routes[nr].type = KEEL_ROUTE_PIC;
		routes[nr].pin = gsi;
	}
	for (gsi = 0; gsi < IRQ_NR_IOAPIC_PINS; gsi++, nr++) {
		routes[nr].gsi = gsi;
		routes[nr].type = KEEL_ROUTE_IOAPIC;
		/* The PC's timer comes in at pin 2; GSI 2, the cascade, takes its place. */
		routes[nr].pin = gsi == 0 ? 2 : gsi == 2 ? 0 : gsi;
	}
	WARN_ON_ONCE(route_build(table, routes, nr, &bad));
}

int route_parse_msi(u64 address, u32 data, struct irq_msg *msg)
{
	if (address >> 20 != MSI_ADDRESS_WINDOW)
		return -EINVAL;
	memset(msg, 0, sizeof(*msg));
	msg->dest = (address >> 12) & 0xff;
	msg->vector = data & 0xff;
	msg->mode = (data >> 8) & 7;
	msg->logical = address & MSI_ADDRESS_LOGICAL;
	msg->level = data & MSI_DATA_LEVEL;
	if (msg->mode == IRQ_MODE_FIXED && (address & MSI_ADDRESS_HINT) && msg->logical)
		msg->mode = IRQ_MODE_LOWEST;
	if (msg->mode == IRQ_MODE_SIPI)		/* not a mode of messages */
		return 0;
	return !msg->level || (data & MSI_DATA_ASSERT);
}
