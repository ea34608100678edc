// SPDX-License-Identifier: GPL-2.0
/*
 * The PIC pair against a reference that keeps an ordered list of pins instead
 * of rotated masks, and walks it; the sequences of command words; its record.
 */
#include <linux/keel.h>
#include "irqchip/pic.h"
#include "ktap.h"
#include "random.h"

static struct pic pic;

static void init_pair(u8 icw4)
{
	pic_reset(&pic);
	pic_write(&pic, 0x20, 0x11);
	pic_write(&pic, 0x21, 0x30);
	pic_write(&pic, 0x21, 0x04);
	pic_write(&pic, 0x21, icw4);
	pic_write(&pic, 0xa0, 0x11);
	pic_write(&pic, 0xa1, 0x38);
	pic_write(&pic, 0xa1, 0x02);
	pic_write(&pic, 0xa1, icw4);
}

static u8 irr(u16 port)
{
	pic_write(&pic, port, 0x0a);
	return pic_read(&pic, port);
}

static u8 isr(u16 port)
{
	pic_write(&pic, port, 0x0b);
	return pic_read(&pic, port);
}

static void edge_and_level(void)
{
	init_pair(1);
	pic_set_line(&pic, 1, true);
	CHECK(pic.output);
	/* The latch holds when the line drops. */
	pic_set_line(&pic, 1, false);
	CHECK(pic.output);
	CHECK_EQ(irr(0x20), 0x02);
	CHECK_EQ(pic_ack(&pic), 0x31);
	CHECK_EQ(isr(0x20), 0x02);
	CHECK_EQ(irr(0x20), 0);
	CHECK(!pic.output);
	pic_write(&pic, 0x20, 0x20);
	CHECK_EQ(pic.ended, 0x0002);
	CHECK(!pic.output);
	/* A level requests as long as it is there. */
	pic_write(&pic, 0x4d0, 0xff);
	CHECK_EQ(pic_read(&pic, 0x4d0), 0xf8);
	pic_write(&pic, 0x4d1, 0xff);
	CHECK_EQ(pic_read(&pic, 0x4d1), 0xde);
	pic_set_line(&pic, 5, true);
	CHECK_EQ(pic_ack(&pic), 0x35);
	CHECK_EQ(irr(0x20), 0x20);
	CHECK(!pic.output);
	pic_write(&pic, 0x20, 0x65);
	CHECK(pic.output);
	pic_set_line(&pic, 5, false);
	CHECK(!pic.output);
}

static void cascade(void)
{
	init_pair(1);
	pic_set_line(&pic, 10, true);
	CHECK_EQ(irr(0x20), 0x04);
	CHECK_EQ(pic_ack(&pic), 0x3a);
	CHECK_EQ(isr(0x20), 0x04);
	CHECK_EQ(isr(0xa0), 0x04);
	/* A higher pin of the slave waits for the master's EOI too. */
	pic_set_line(&pic, 8, true);
	CHECK(!pic.output);
	pic_write(&pic, 0xa0, 0x20);
	CHECK(!pic.output);
	pic_write(&pic, 0x20, 0x20);
	CHECK(pic.output);
	CHECK_EQ(pic_ack(&pic), 0x38);
	pic_write(&pic, 0xa0, 0x20);
	pic_write(&pic, 0x20, 0x20);
	CHECK_EQ(pic.ended, BIT(10) | BIT(2) | BIT(8));
	/* The cascade is not a pin that anybody else drives. */
	CHECK(!pic_set_line(&pic, 2, true));
	CHECK(!pic.output);
}

static void special_fully_nested(void)
{
	init_pair(0x11);
	pic_set_line(&pic, 10, true);
	CHECK_EQ(pic_ack(&pic), 0x3a);
	pic_set_line(&pic, 8, true);
	CHECK(pic.output);
	CHECK_EQ(pic_ack(&pic), 0x38);
	CHECK_EQ(isr(0xa0), 0x05);
}

static void spurious(void)
{
	init_pair(1);
	CHECK_EQ(pic_ack(&pic), 0x37);
	CHECK_EQ(isr(0x20), 0);
	/* A request that its level withdrew. */
	pic_write(&pic, 0x4d0, 0x20);
	pic_set_line(&pic, 5, true);
	pic_set_line(&pic, 5, false);
	CHECK(!pic.output);
	CHECK_EQ(pic_ack(&pic), 0x37);
	/* The slave's part: the master latched what the slave withdrew. */
	pic_set_line(&pic, 9, true);
	pic.chip[1].irr = 0;
	CHECK_EQ(pic_ack(&pic), 0x3f);
	CHECK_EQ(isr(0xa0), 0);
	CHECK_EQ(isr(0x20), 0x04);
}

static void auto_eoi(void)
{
	u32 i;

	init_pair(3);
	pic_set_line(&pic, 3, true);
	CHECK_EQ(pic_ack(&pic), 0x33);
	CHECK_EQ(isr(0x20), 0);
	CHECK_EQ(pic.ended, BIT(3));
	/* Two of the slave's: the second is not lost though the cascade never fell. */
	pic_set_line(&pic, 12, true);
	pic_set_line(&pic, 13, true);
	CHECK_EQ(pic_ack(&pic), 0x3c);
	CHECK(pic.output);
	CHECK_EQ(pic_ack(&pic), 0x3d);
	CHECK(!pic.output);
	/* Rotation: everybody in turn. */
	pic_write(&pic, 0x4d0, 0x38);
	pic_write(&pic, 0x20, 0x80);
	for (i = 3; i < 6; i++)
		pic_set_line(&pic, i, true);
	for (i = 0; i < 9; i++)
		CHECK_EQ(pic_ack(&pic), 0x33 + i % 3);
	pic_write(&pic, 0x20, 0x00);
	pic_write(&pic, 0x20, 0xc7);
	CHECK_EQ(pic_ack(&pic), 0x33);
	CHECK_EQ(pic_ack(&pic), 0x33);
}

static void poll(void)
{
	init_pair(1);
	pic_write(&pic, 0x20, 0x0c);
	CHECK_EQ(pic_read(&pic, 0x20), 0);
	pic_set_line(&pic, 6, true);
	pic_write(&pic, 0x20, 0x0c);
	CHECK_EQ(pic_read(&pic, 0x20), 0x86);
	CHECK(!pic.output);
	CHECK_EQ(isr(0x20), 0x40);
	pic_write(&pic, 0x20, 0x66);
	/* The data port polls as well, once. */
	pic_set_line(&pic, 14, true);
	pic_write(&pic, 0xa0, 0x0c);
	CHECK_EQ(pic_read(&pic, 0xa1), 0x86);
	CHECK_EQ(pic_read(&pic, 0xa1), 0);
	/* The master's latch of it went with it. */
	CHECK(!pic.output);
}

static void init_words(void)
{
	init_pair(1);
	pic_set_line(&pic, 0, true);
	pic_write(&pic, 0x21, 0xa5);
	CHECK_EQ(pic_read(&pic, 0x21), 0xa5);
	/* ICW1 forgets edges, masks, service; without IC4 there is no ICW4. */
	pic_write(&pic, 0x20, 0x10);
	CHECK_EQ(irr(0x20), 0);
	pic_write(&pic, 0x21, 0x47);
	pic_write(&pic, 0x21, 0xff);
	CHECK_EQ(pic_read(&pic, 0x21), 0);
	pic_write(&pic, 0x21, 0xfe);
	CHECK_EQ(pic_read(&pic, 0x21), 0xfe);
	pic_set_line(&pic, 0, false);
	pic_set_line(&pic, 0, true);
	CHECK_EQ(pic_ack(&pic), 0x40);
	/* A single chip awaits no ICW3. */
	pic_write(&pic, 0x20, 0x13);
	pic_write(&pic, 0x21, 0x50);
	pic_write(&pic, 0x21, 0x03);
	pic_write(&pic, 0x21, 0x11);
	CHECK_EQ(pic_read(&pic, 0x21), 0x11);
	CHECK(pic.chip[0].auto_eoi);
}

/* ---- the reference: one chip ---------------------------------------------------- */

struct ref {
	u8 order[8];		/* pins, highest priority first */
	bool irr[8], imr[8], isr[8], line[8], level[8];
	bool special_mask, auto_eoi, rotate;
};

static struct ref ref;

static void ref_rotate(u32 lowest)
{
	u32 i;

	for (i = 0; i < 8; i++)
		ref.order[i] = (lowest + 1 + i) % 8;
}

static bool ref_requests(u32 pin)
{
	return (ref.level[pin] ? ref.line[pin] : ref.irr[pin]) && !ref.imr[pin];
}

static int ref_pending(void)
{
	u32 i;

	for (i = 0; i < 8; i++) {
		u32 pin = ref.order[i];

		/* In service: blocks itself and what is below, unless masked specially. */
		if (ref.isr[pin] && !(ref.special_mask && ref.imr[pin]))
			return -1;
		if (ref_requests(pin))
			return (int)pin;
	}
	return -1;
}

static void ref_ack(u32 pin)
{
	if (!ref.level[pin])
		ref.irr[pin] = false;
	ref.isr[pin] = !ref.auto_eoi;
	if (ref.auto_eoi && ref.rotate)
		ref_rotate(pin);
}

static void ref_eoi(bool rotate)
{
	u32 i;

	for (i = 0; i < 8; i++) {
		u32 pin = ref.order[i];

		if (!ref.isr[pin] || (ref.special_mask && ref.imr[pin]))
			continue;
		ref.isr[pin] = false;
		if (rotate)
			ref_rotate(pin);
		return;
	}
}

static void ref_line(u32 pin, bool on)
{
	if (on && !ref.line[pin])
		ref.irr[pin] = true;
	ref.line[pin] = on;
	if (ref.level[pin])
		ref.irr[pin] = on;
}

/* One step on the master, pin 2 apart: the slave is quiet. */
static void random_step(void)
{
	u32 pin = random_below(8), i, v;
	int pending;

	switch (random_below(9)) {
	case 0:
	case 1:
	case 2:
		if (pin == 2)
			break;
		v = random_below(2);
		ref_line(pin, v);
		pic_set_line(&pic, pin, v);
		break;
	case 3:
	case 4:
		pending = ref_pending();
		if (pending >= 0)
			ref_ack((u32)pending);
		CHECK_EQ(pic_ack(&pic), 0x30 + (pending < 0 ? 7 : pending));
		break;
	case 5:
		v = random_below(2);
		ref_eoi(v);
		pic_write(&pic, 0x20, v ? 0xa0 : 0x20);
		break;
	case 6:
		v = random_below(2);
		ref.isr[pin] = false;
		if (v)
			ref_rotate(pin);
		pic_write(&pic, 0x20, (u8)((v ? 0xe0 : 0x60) | pin));
		break;
	case 7:
		v = random_below(5);
		if (v == 0) {
			ref_rotate(pin);
			pic_write(&pic, 0x20, (u8)(0xc0 | pin));
		} else if (v == 1) {
			ref.rotate = random_below(2);
			pic_write(&pic, 0x20, ref.rotate ? 0x80 : 0x00);
		} else if (v == 2) {
			ref.special_mask = random_below(2);
			pic_write(&pic, 0x20, ref.special_mask ? 0x68 : 0x48);
		} else if (v == 3) {
			v = random_below(256) & 0xf8;
			for (i = 3; i < 8; i++) {
				ref.level[i] = v >> i & 1;
				if (ref.level[i])
					ref.irr[i] = ref.line[i];
			}
			pic_write(&pic, 0x4d0, (u8)v);
		} else {
			pic_write(&pic, 0x20, 0x40);	/* no operation */
		}
		break;
	case 8:
		v = random_below(256) & random_below(256);
		for (i = 0; i < 8; i++)
			ref.imr[i] = v >> i & 1;
		pic_write(&pic, 0x21, (u8)v);
		break;
	}
}

static u32 mask_of(const bool *bits)
{
	u32 i, mask = 0;

	for (i = 0; i < 8; i++)
		mask |= (u32)bits[i] << i;
	return mask;
}

static void against_reference(void)
{
	u32 step;

	for (step = 0; step < 400000; step++) {
		if (step % 400 == 0) {
			bool aeoi = random_below(3) == 0;

			memset(&ref, 0, sizeof(ref));
			ref_rotate(7);
			ref.auto_eoi = aeoi;
			init_pair(aeoi ? 3 : 1);
		}
		random_step();
		CHECK_EQ(pic.output, ref_pending() >= 0);
		CHECK_EQ(irr(0x20), mask_of(ref.irr));
		CHECK_EQ(isr(0x20), mask_of(ref.isr));
		CHECK_EQ(pic_read(&pic, 0x21), mask_of(ref.imr));
	}
	ktap_cases(step);
}

/* ---- both chips: nothing is lost ------------------------------------------------- */

/* Each edge on any pin is acknowledged once, in whatever order and nesting. */
static void no_edge_lost(void)
{
	u32 edges[16] = { 0 }, acks[16] = { 0 }, step, i;
	bool up[16] = { false }, waits[16] = { false };

	init_pair(1);
	for (step = 0; step < 200000; step++) {
		u32 pin = random_below(16);

		if (pin != 2 && random_below(3)) {
			up[pin] = !up[pin];
			if (up[pin] && !waits[pin]) {
				waits[pin] = true;
				edges[pin]++;
			}
			pic_set_line(&pic, pin, up[pin]);
		}
		if (pic.output && random_below(2)) {
			u8 vector = pic_ack(&pic);

			if (!CHECK(vector >= 0x30 && vector < 0x40))
				return;
			acks[vector - 0x30]++;
			waits[vector - 0x30] = false;
		}
		if (random_below(2)) {
			if (isr(0xa0))
				pic_write(&pic, 0xa0, 0x20);
			if (isr(0x20) != 0x04 || !isr(0xa0))
				pic_write(&pic, 0x20, 0x20);
		}
	}
	for (i = 0; i < 64; i++) {
		while (pic.output) {
			u8 vector = pic_ack(&pic);

			acks[vector - 0x30]++;
		}
		pic_write(&pic, 0xa0, 0x20);
		pic_write(&pic, 0x20, 0x20);
	}
	for (i = 0; i < 16; i++)
		CHECK(acks[i] == edges[i], "(pin %u: %u edges, %u acks)", i, edges[i], acks[i]);
	ktap_cases(step);
}

static void record(void)
{
	struct keel_rec_pic rec, again;
	u32 round, i, bad;
	static const u16 ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };

	for (round = 0; round < 3000; round++) {
		init_pair((u8)random_below(32));
		for (i = 0; i < 30; i++) {
			pic_write(&pic, ports[random_below(6)], (u8)random_u64());
			pic_set_line(&pic, random_below(16), random_below(2));
			if (pic.output && random_below(2))
				pic_ack(&pic);
		}
		pic_save(&pic, &rec);
		if (!CHECK_EQ(pic_check(&rec, &bad), 0))
			return;
		i = pic.output;
		memset(&pic, 0x5a, sizeof(pic));
		pic_load(&pic, &rec);
		CHECK_EQ(pic.output, i);
		pic_save(&pic, &again);
		CHECK(!memcmp(&rec, &again, sizeof(rec)));
	}
	ktap_cases(round);
}

#define CHIP(n, field) (offsetof(struct keel_rec_pic, chip[n]) + \
			offsetof(struct keel_rec_pic_chip, field))

static void record_refuses(void)
{
	static const struct { u32 offset; u8 val; bool bad; } cases[] = {
		{ CHIP(0, irr), 0xff, false }, { CHIP(0, imr), 0xff, false },
		{ CHIP(1, isr), 0xff, false }, { CHIP(1, lines), 0xff, false },
		{ CHIP(0, vector_base), 0xf8, false }, { CHIP(0, vector_base), 0x31, true },
		{ CHIP(1, init_state), 4, false }, { CHIP(1, init_state), 5, true },
		{ CHIP(1, priority_add), 7, false }, { CHIP(1, priority_add), 8, true },
		{ CHIP(0, read_isr), 2, true }, { CHIP(0, poll), 2, true },
		{ CHIP(0, special_mask), 2, true }, { CHIP(1, auto_eoi), 2, true },
		{ CHIP(0, rotate_auto_eoi), 255, true }, { CHIP(0, special_nested), 2, true },
		{ CHIP(1, need_icw4), 2, true }, { CHIP(0, elcr), 0xf8, false },
		{ CHIP(0, elcr), 0x01, true }, { CHIP(0, elcr), 0x04, true },
		{ CHIP(1, elcr), 0x21, true }, { CHIP(1, elcr), 0xde, false },
		{ CHIP(0, reserved), 1, true }, { CHIP(1, reserved), 0x80, true },
	};
	struct keel_rec_pic rec;
	u32 i, bad;
	int ret;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&rec, 0, sizeof(rec));
		((u8 *)&rec)[cases[i].offset] = cases[i].val;
		bad = 9999;
		ret = pic_check(&rec, &bad);
		CHECK(!!ret == cases[i].bad, "(%u)", i);
		if (cases[i].bad)
			CHECK(bad == cases[i].offset, "(%u: blames %u)", i, bad);
	}
	ktap_cases(i);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(edge_and_level),
		KTAP_TEST(cascade),
		KTAP_TEST(special_fully_nested),
		KTAP_TEST(spurious),
		KTAP_TEST(auto_eoi),
		KTAP_TEST(poll),
		KTAP_TEST(init_words),
		KTAP_TEST(against_reference),
		KTAP_TEST(no_edge_lost),
		KTAP_TEST(record),
		KTAP_TEST(record_refuses),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
