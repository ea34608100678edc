// SPDX-License-Identifier: GPL-2.0
/*
 * The IOAPIC: registers, edges and levels against a reference that keeps one
 * struct of plain flags a pin, and its record.
 */
#include <linux/keel.h>
#include "irqchip/ioapic.h"
#include "ktap.h"
#include "random.h"

static struct ioapic io;
static struct irq_msg sent[64];
static u32 nr_sent;
static int taken = 1;		/* what deliver() answers */

static int deliver(struct ioapic *ioapic, const struct irq_msg *msg)
{
	(void)ioapic;
	if (nr_sent < ARRAY_SIZE(sent))
		sent[nr_sent] = *msg;
	nr_sent++;
	return taken;
}

static void setup(void)
{
	memset(&io, 0xff, sizeof(io));
	io.deliver = deliver;
	ioapic_reset(&io);
	nr_sent = 0;
	taken = 1;
}

static u32 reg(u32 index)
{
	ioapic_write(&io, 0, index);
	return ioapic_read(&io, 0x10);
}

static void set_reg(u32 index, u32 val)
{
	ioapic_write(&io, 0, index);
	ioapic_write(&io, 0x10, val);
}

static void set_pin(u32 pin, u64 entry)
{
	set_reg(0x11 + pin * 2, entry >> 32);
	set_reg(0x10 + pin * 2, (u32)entry);
}

static void registers(void)
{
	u32 i;

	setup();
	CHECK_EQ(reg(0), 0);
	CHECK_EQ(reg(1), 0x00170011);
	set_reg(0, 0xffffffff);
	CHECK_EQ(reg(0), 0x0f000000);
	CHECK_EQ(reg(2), 0x0f000000);
	set_reg(1, 0);
	CHECK_EQ(reg(1), 0x00170011);
	for (i = 0; i < 24; i++) {
		CHECK_EQ(reg(0x10 + 2 * i), 0x10000);
		CHECK_EQ(reg(0x11 + 2 * i), 0);
		/* Masked, every other bit: delivery status and remote IRR stay zero. */
		set_reg(0x10 + 2 * i, 0xffffffff);
		set_reg(0x11 + 2 * i, 0xffffffff);
		CHECK_EQ(reg(0x10 + 2 * i), 0x1afff);
		CHECK_EQ(reg(0x11 + 2 * i), 0xff000000);
	}
	for (i = 3; i < 0x10; i++)
		CHECK_EQ(reg(i), 0);
	for (i = 0x40; i < 0x100; i++) {
		set_reg(i, 0xffffffff);
		CHECK_EQ(reg(i), 0);
	}
	ioapic_write(&io, 0, 0xfff);
	CHECK_EQ(ioapic_read(&io, 0), 0xff);
	CHECK_EQ(ioapic_read(&io, 4), 0);
	CHECK_EQ(ioapic_read(&io, 0x40), 0);
	CHECK_EQ(nr_sent, 0);
}

static void message_fields(void)
{
	setup();
	set_pin(3, 0x5aULL << 56 | 0x0931);
	CHECK_EQ(ioapic_set_line(&io, 3, true), 1);
	CHECK_EQ(nr_sent, 1);
	CHECK_EQ(sent[0].dest, 0x5a);
	CHECK_EQ(sent[0].vector, 0x31);
	CHECK_EQ(sent[0].mode, IRQ_MODE_LOWEST);
	CHECK(sent[0].logical && !sent[0].level && !sent[0].wide && !sent[0].shorthand);
	CHECK_EQ(ioapic_set_line(&io, 24, true), 0);
}

/* A level stays up through its EOI until the line drops. */
static void level_ends(void)
{
	setup();
	set_pin(9, 0x8040);
	ioapic_set_line(&io, 9, true);
	CHECK_EQ(nr_sent, 1);
	CHECK(sent[0].level);
	CHECK_EQ(reg(0x10 + 18), 0xc040);
	ioapic_set_line(&io, 9, true);
	CHECK_EQ(nr_sent, 1);
	CHECK_EQ(ioapic_eoi(&io, 0x41), 0);
	CHECK_EQ(ioapic_eoi(&io, 0x40), BIT(9));
	CHECK_EQ(nr_sent, 1);
	ioapic_redeliver(&io, BIT(9));
	CHECK_EQ(nr_sent, 2);
	ioapic_set_line(&io, 9, false);
	CHECK_EQ(ioapic_eoi(&io, 0x40), BIT(9));
	ioapic_redeliver(&io, BIT(9));
	CHECK_EQ(nr_sent, 2);
	CHECK_EQ(ioapic_eoi(&io, 0x40), 0);
	/* Without an EOI register a guest clears remote IRR with a moment of edge mode. */
	ioapic_set_line(&io, 9, true);
	CHECK_EQ(nr_sent, 3);
	set_reg(0x10 + 18, 0x10040);
	set_reg(0x10 + 18, 0x8040);
	CHECK_EQ(nr_sent, 4);
}

/* The reference: what a pin does, by the chip's manual. */
struct ref_pin {
	bool masked, level, line, remote;
	u8 vector;
};

static void against_reference(void)
{
	struct ref_pin ref[24];
	u32 step, pin, i;

	setup();
	for (i = 0; i < 24; i++)
		ref[i] = (struct ref_pin){ .masked = true };
	for (step = 0; step < 300000; step++) {
		u32 want = 0, before = nr_sent;
		struct ref_pin *r;
		u64 entry;
		u8 vector;

		pin = random_below(24);
		r = &ref[pin];
		taken = random_below(4) ? 1 : 0;
		switch (random_below(3)) {
		case 0:
			i = random_below(2);
			want = r->level ? i && !r->masked && !r->remote :
					  i && !r->line && !r->masked;
			r->line = i;
			if (want && r->level && taken)
				r->remote = true;
			ioapic_set_line(&io, pin, i);
			break;
		case 1:
			vector = (u8)(0x30 + random_below(4));
			r->masked = random_below(3) == 0;
			r->level = random_below(2);
			r->vector = vector;
			if (!r->level)
				r->remote = false;
			want = r->level && r->line && !r->masked && !r->remote;
			if (want && taken)
				r->remote = true;
			entry = vector | (r->level ? 0x8000 : 0) | (r->masked ? 0x10000 : 0);
			set_reg(0x10 + pin * 2, (u32)entry);
			break;
		case 2:
			vector = (u8)(0x30 + random_below(4));
			for (i = 0; i < 24; i++) {
				if (!ref[i].remote || ref[i].vector != vector)
					continue;
				ref[i].remote = false;
				if (ref[i].line && !ref[i].masked) {
					want++;
					ref[i].remote = taken;
				}
			}
			ioapic_redeliver(&io, ioapic_eoi(&io, vector));
			break;
		}
		CHECK_EQ(nr_sent - before, want);
		for (i = 0; i < 24; i++) {
			CHECK_EQ(!!(io.redirect[i] & IOAPIC_REMOTE_IRR), ref[i].remote);
			CHECK_EQ(!!(io.lines & BIT(i)), ref[i].line);
		}
	}
	ktap_cases(step);
}

static void record(void)
{
	struct keel_rec_ioapic rec, again;
	u32 round, i, bad;

	for (round = 0; round < 2000; round++) {
		setup();
		for (i = 0; i < 40; i++) {
			taken = random_below(2);
			set_reg(random_below(0x40), (u32)random_u64());
			ioapic_set_line(&io, random_below(24), random_below(2));
		}
		ioapic_save(&io, &rec);
		if (!CHECK_EQ(ioapic_check(&rec, &bad), 0))
			return;
		/* Nobody takes anything on the other side: nothing changes. */
		setup();
		taken = 0;
		ioapic_load(&io, &rec);
		ioapic_save(&io, &again);
		CHECK(!memcmp(&rec, &again, sizeof(rec)));
	}
	ktap_cases(round);
}

static const struct {
	u32 offset;
	u64 or;
	u32 len;
	bool bad;
} broken[] = {
	{ offsetof(struct keel_rec_ioapic, redirect[0]), BIT_ULL(12), 8, true },
	{ offsetof(struct keel_rec_ioapic, redirect[23]), BIT_ULL(17), 8, true },
	{ offsetof(struct keel_rec_ioapic, redirect[5]), BIT_ULL(55), 8, true },
	{ offsetof(struct keel_rec_ioapic, redirect[5]), BIT_ULL(56), 8, false },
	{ offsetof(struct keel_rec_ioapic, redirect[5]), IOAPIC_REMOTE_IRR, 8, true },
	{ offsetof(struct keel_rec_ioapic, redirect[5]), IOAPIC_REMOTE_IRR | IOAPIC_LEVEL, 8,
	  false },
	{ offsetof(struct keel_rec_ioapic, lines), BIT(24), 4, true },
	{ offsetof(struct keel_rec_ioapic, lines), BIT(23), 4, false },
	{ offsetof(struct keel_rec_ioapic, irr), BIT(23), 4, true },
	{ offsetof(struct keel_rec_ioapic, id), 0x10000000, 4, true },
	{ offsetof(struct keel_rec_ioapic, id), 0x00800000, 4, true },
	{ offsetof(struct keel_rec_ioapic, select), 0x100, 4, true },
};

static void record_refuses(void)
{
	struct keel_rec_ioapic rec;
	u32 i, bad;
	int ret;

	for (i = 0; i < ARRAY_SIZE(broken); i++) {
		u64 v = 0;

		setup();
		ioapic_save(&io, &rec);
		memcpy(&v, (char *)&rec + broken[i].offset, broken[i].len);
		v |= broken[i].or;
		memcpy((char *)&rec + broken[i].offset, &v, broken[i].len);
		bad = 9999;
		ret = ioapic_check(&rec, &bad);
		CHECK(ret == (broken[i].bad ? -EINVAL : 0), "(%u)", i);
		if (broken[i].bad)
			CHECK(bad == broken[i].offset, "(%u: blames %u)", i, bad);
	}
	/* An edge cannot wait, even where its line is up. */
	setup();
	ioapic_save(&io, &rec);
	rec.lines = BIT(4);
	rec.irr = BIT(4);
	CHECK_EQ(ioapic_check(&rec, &bad), -EINVAL);
	CHECK_EQ(bad, offsetof(struct keel_rec_ioapic, irr));
	ktap_cases(i + 1);
}

/* A level that waited in the record is delivered by loading it. */
static void record_delivers(void)
{
	struct keel_rec_ioapic rec;

	setup();
	taken = 0;
	set_pin(7, 0x8077);
	ioapic_set_line(&io, 7, true);
	ioapic_save(&io, &rec);
	CHECK_EQ(rec.irr, BIT(7));
	setup();
	ioapic_load(&io, &rec);
	CHECK_EQ(nr_sent, 1);
	CHECK_EQ(sent[0].vector, 0x77);
	CHECK(io.redirect[7] & IOAPIC_REMOTE_IRR);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(registers),
		KTAP_TEST(message_fields),
		KTAP_TEST(level_ends),
		KTAP_TEST(against_reference),
		KTAP_TEST(record),
		KTAP_TEST(record_refuses),
		KTAP_TEST(record_delivers),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
