// SPDX-License-Identifier: GPL-2.0
/*
 * Routing tables: what is refused and which route is blamed, where the routes
 * of a GSI stand; the decoding of messages; the search in a bus's table.
 */
#include <linux/keel.h>
#include "core/iobus_table.h"
#include "irqchip/route.h"
#include "ktap.h"
#include "random.h"

#define MSI	0xfee00000ULL

static struct {
	struct irq_routes table;
	struct irq_route room[IRQ_MAX_ROUTES];
} t;

static const struct refusal {
	const char *what;
	struct keel_route routes[3];
	u32 nr;
	int bad;		/* -1: accepted */
} refusals[] = {
	{ "empty", { { 0 } }, 0, -1 },
	{ "gsi at the limit", { { 1023, KEEL_ROUTE_PIC, 1, 0, 0 } }, 1, -1 },
	{ "gsi beyond", { { 1024, KEEL_ROUTE_PIC, 1, 0, 0 } }, 1, 0 },
	{ "no type", { { 1, 0, 1, 0, 0 } }, 1, 0 },
	{ "unknown type", { { 1, 4, 1, 0, 0 } }, 1, 0 },
	{ "last PIC pin", { { 1, KEEL_ROUTE_PIC, 15, 0, 0 } }, 1, -1 },
	{ "PIC pin beyond", { { 1, KEEL_ROUTE_PIC, 16, 0, 0 } }, 1, 0 },
	{ "last IOAPIC pin", { { 1, KEEL_ROUTE_IOAPIC, 23, 0, 0 } }, 1, -1 },
	{ "IOAPIC pin beyond", { { 1, KEEL_ROUTE_IOAPIC, 24, 0, 0 } }, 1, 0 },
	{ "pin with data", { { 1, KEEL_ROUTE_IOAPIC, 1, 1, 0 } }, 1, 0 },
	{ "pin with address", { { 1, KEEL_ROUTE_PIC, 1, 0, MSI } }, 1, 0 },
	{ "message", { { 1, KEEL_ROUTE_MSI, 0, 0x4031, MSI } }, 1, -1 },
	{ "message with pin", { { 1, KEEL_ROUTE_MSI, 1, 0x31, MSI } }, 1, 0 },
	{ "message elsewhere", { { 1, KEEL_ROUTE_MSI, 0, 0x31, 0xfed00000 } }, 1, 0 },
	{ "message above 4G", { { 1, KEEL_ROUTE_MSI, 0, 0x31, MSI | 1ULL << 32 } }, 1, 0 },
	{ "two messages", { { 1, KEEL_ROUTE_MSI, 0, 1, MSI }, { 2, KEEL_ROUTE_PIC, 2, 0, 0 },
			    { 1, KEEL_ROUTE_MSI, 0, 2, MSI } }, 3, 2 },
	{ "same pin twice", { { 5, KEEL_ROUTE_PIC, 3, 0, 0 }, { 5, KEEL_ROUTE_PIC, 3, 0, 0 } },
	  2, 1 },
	{ "pin of each chip", { { 5, KEEL_ROUTE_PIC, 3, 0, 0 },
				{ 5, KEEL_ROUTE_IOAPIC, 3, 0, 0 },
				{ 5, KEEL_ROUTE_MSI, 0, 0, MSI } }, 3, -1 },
	{ "two GSIs, one pin", { { 5, KEEL_ROUTE_PIC, 3, 0, 0 }, { 6, KEEL_ROUTE_PIC, 3, 0, 0 } },
	  2, -1 },
};

static void refuses(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];
		u32 bad = 99;
		int ret = route_build(&t.table, r->routes, r->nr, &bad);

		CHECK(ret == (r->bad < 0 ? 0 : -EINVAL), "(%s: %d)", r->what, ret);
		if (r->bad >= 0)
			CHECK(bad == (u32)r->bad, "(%s: blames %u)", r->what, bad);
	}
	ktap_cases(i);
}

/* Every route is found under its GSI, in the order it was given, and nothing else. */
static void sorts(void)
{
	static struct keel_route routes[IRQ_MAX_ROUTES];
	u32 round, i, j, k, bad, nr;

	for (round = 0; round < 200; round++) {
		u8 used[64][41] = { 0 };

		nr = 0;
		for (i = 0; i < 1 + random_below(300); i++) {
			u32 gsi = random_below(64), what = random_below(41);
			struct keel_route *r = &routes[nr];

			if (used[gsi][what]++)
				continue;
			memset(r, 0, sizeof(*r));
			r->gsi = gsi * 16 + (gsi & 15);
			r->type = what < 16 ? KEEL_ROUTE_PIC : what < 40 ? KEEL_ROUTE_IOAPIC :
									   KEEL_ROUTE_MSI;
			r->pin = what < 16 ? what : what < 40 ? what - 16 : 0;
			r->address = what == 40 ? MSI | random_below(256) << 12 : 0;
			r->data = what == 40 ? random_below(0x10000) : 0;
			nr++;
		}
		if (!CHECK_EQ(route_build(&t.table, routes, nr, &bad), 0))
			return;
		CHECK_EQ(t.table.first[0], 0);
		CHECK_EQ(t.table.first[IRQ_NR_GSIS], nr);
		for (i = 0, k = 0; i < IRQ_NR_GSIS; i++) {
			CHECK_EQ(t.table.first[i], k);
			for (j = 0; j < nr; j++) {
				const struct irq_route *r = &t.table.routes[k];

				if (routes[j].gsi != i)
					continue;
				CHECK_EQ(r->type, routes[j].type);
				CHECK_EQ(r->pin, routes[j].pin);
				CHECK_EQ(r->data, routes[j].data);
				CHECK_EQ(r->address, routes[j].address);
				k++;
			}
		}
	}
	ktap_cases(round);
}

static void limits(void)
{
	static struct keel_route routes[IRQ_MAX_ROUTES + 1];
	u32 i, bad = 0;

	for (i = 0; i < IRQ_MAX_ROUTES; i++)
		routes[i] = (struct keel_route){ .gsi = i % 1024, .type = KEEL_ROUTE_IOAPIC,
						 .pin = i / 1024 };
	CHECK_EQ(route_build(&t.table, routes, IRQ_MAX_ROUTES, &bad), 0);
	CHECK_EQ(route_build(&t.table, routes, IRQ_MAX_ROUTES + 1, &bad), -EINVAL);
	CHECK_EQ(bad, IRQ_MAX_ROUTES);
	/* All of them the same. */
	memset(routes, 0, sizeof(routes));
	for (i = 0; i < IRQ_MAX_ROUTES; i++)
		routes[i].type = KEEL_ROUTE_PIC;
	CHECK_EQ(route_build(&t.table, routes, IRQ_MAX_ROUTES, &bad), -EINVAL);
	CHECK_EQ(bad, 1);
}

static void default_table(void)
{
	u32 gsi;

	route_build_default(&t.table);
	for (gsi = 0; gsi < 24; gsi++) {
		const struct irq_route *r = &t.table.routes[t.table.first[gsi]];
		u32 n = t.table.first[gsi + 1] - t.table.first[gsi];
		u32 pin = gsi == 0 ? 2 : gsi == 2 ? 0 : gsi;

		CHECK_EQ(n, gsi < 16 ? 2 : 1);
		if (gsi < 16) {
			CHECK_EQ(r->type, KEEL_ROUTE_PIC);
			CHECK_EQ(r->pin, gsi);
			r++;
		}
		CHECK_EQ(r->type, KEEL_ROUTE_IOAPIC);
		CHECK_EQ(r->pin, pin);
	}
	CHECK_EQ(t.table.first[24], t.table.first[IRQ_NR_GSIS]);
}

static const struct message {
	u64 address;
	u32 data;
	int ret;
	struct irq_msg msg;
} messages[] = {
	{ 0xfee05000, 0x0031, 1, { .dest = 5, .vector = 0x31 } },
	{ 0xfee0500c, 0x0031, 1, { .dest = 5, .vector = 0x31, .logical = true,
				   .mode = IRQ_MODE_LOWEST } },
	{ 0xfee05008, 0x0031, 1, { .dest = 5, .vector = 0x31 } },
	{ 0xfee05004, 0x0131, 1, { .dest = 5, .vector = 0x31, .logical = true,
				   .mode = IRQ_MODE_LOWEST } },
	{ 0xfeeff000, 0xc0fe, 1, { .dest = 255, .vector = 0xfe, .level = true } },
	{ 0xfeeff000, 0x80fe, 0, { 0 } },
	{ 0xfee00000, 0x0400, 1, { .mode = IRQ_MODE_NMI } },
	{ 0xfee00000, 0x0500, 1, { .mode = IRQ_MODE_INIT } },
	{ 0xfee00000, 0x0600, 0, { 0 } },
	{ 0xfef00000, 0x0031, -EINVAL, { 0 } },
	{ 0x1fee00000, 0x0031, -EINVAL, { 0 } },
	{ 0, 0, -EINVAL, { 0 } },
};

static void parses(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(messages); i++) {
		const struct message *m = &messages[i];
		struct irq_msg msg;

		if (!CHECK(route_parse_msi(m->address, m->data, &msg) == m->ret, "(%u)", i) ||
		    m->ret <= 0)
			continue;
		CHECK(msg.dest == m->msg.dest && msg.vector == m->msg.vector &&
		      msg.mode == m->msg.mode && msg.logical == m->msg.logical &&
		      msg.level == m->msg.level && !msg.wide && !msg.shorthand, "(%u)", i);
	}
	ktap_cases(i);
}

/* A bus gives every device that holds an address, each once, whatever overlaps. */
static void bus_finds_all(void)
{
	struct keel_iobus_entry entries[24];
	static char devices[24];
	u32 round, i, n, addr;

	for (round = 0; round < 2000; round++) {
		u32 nr = random_below(24), at = 0;

		for (i = 0; i < nr; i++) {
			at += random_below(4);
			entries[i].addr = at;
			entries[i].last = at + random_below(random_below(4) ? 2 : 30);
			entries[i].dev = random_below(8) ? (void *)&devices[i] : NULL;
		}
		keel_iobus_set_reach(entries, nr);
		for (addr = 0; addr < 128; addr++) {
			u32 want = 0, got = 0;
			struct keel_iodev *dev;

			for (i = 0; i < nr; i++)
				if (entries[i].dev && entries[i].addr <= addr &&
				    entries[i].last >= addr)
					want |= 1U << i;
			n = keel_iobus_below(entries, nr, addr);
			while ((dev = keel_iobus_next(entries, &n, addr)) != NULL) {
				u32 bit = 1U << ((char *)dev - devices);

				CHECK(!(got & bit), "(asked twice)");
				/* The nearest first. */
				CHECK(!got || bit < (got & -got));
				got |= bit;
			}
			CHECK_EQ(got, want);
		}
	}
	ktap_cases(round * 128);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(refuses),
		KTAP_TEST(sorts),
		KTAP_TEST(limits),
		KTAP_TEST(default_table),
		KTAP_TEST(parses),
		KTAP_TEST(bus_finds_all),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
