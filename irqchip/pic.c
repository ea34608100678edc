// SPDX-License-Identifier: GPL-2.0
/*
 * The PIC pair: priorities, the command words, the cascade.  Pure; the caller
 * serializes.  It must not know CPUs or vectors' meaning.
 */
#include <linux/keel.h>
#include "irqchip/pic.h"

#define PIC_MASTER	0
#define PIC_SLAVE	1
#define PIC_NO_PRIORITY	8

/* Command port, by bits 4 and 3. */
#define ICW1_SELECT	BIT(4)
#define OCW3_SELECT	BIT(3)

#define ICW1_ICW4	BIT(0)
#define ICW1_SINGLE	BIT(1)

#define ICW4_AUTO_EOI	BIT(1)
#define ICW4_NESTED	BIT(4)

#define OCW3_READ	0x03	/* 2: IRR, 3: ISR */
#define OCW3_POLL	BIT(2)
#define OCW3_SPECIAL	0x60	/* 0x40: clear, 0x60: set */

#define POLL_REQUEST	BIT(7)

/* Pins that can be made level-triggered: not the timer, keyboard, cascade, RTC, FPU. */
static const u8 elcr_mask[2] = { 0xf8, 0xde };

/* 0 is the highest; PIC_NO_PRIORITY: no pin in @mask. */
static u8 pic_priority(const struct pic_chip *c, u8 mask)
{
	u32 turned = (u32)(mask | mask << 8) >> c->priority_add & 0xff;

	return turned ? (u8)__ffs(turned) : PIC_NO_PRIORITY;
}

/* The pin that may interrupt now, or -1. */
static int pic_chip_pending(const struct pic *pic, u32 which)
{
	const struct pic_chip *c = &pic->chip[which];
	u8 request = pic_priority(c, c->irr & (u8)~c->imr);
	u8 blocking = c->isr;

	if (request == PIC_NO_PRIORITY)
		return -1;
	if (c->special_mask)
		blocking &= (u8)~c->imr;
	/* Special fully nested: the slave may interrupt again from a higher pin of its own. */
	if (c->special_nested && which == PIC_MASTER)
		blocking &= (u8)~BIT(PIC_CASCADE);
	if (request >= pic_priority(c, blocking))
		return -1;
	return (request + c->priority_add) & 7;
}

/* Returns true when the line made a request. */
static bool pic_chip_line(struct pic_chip *c, u32 pin, bool asserted)
{
	u8 bit = (u8)BIT(pin), was = c->lines & bit;

	if (asserted)
		c->lines |= bit;
	else
		c->lines &= (u8)~bit;
	if (c->elcr & bit) {
		c->irr = (c->irr & (u8)~bit) | (c->lines & bit);
		return asserted && !was;
	}
	if (!asserted || was)
		return false;
	c->irr |= bit;
	return true;
}

/* Carries the slave's output to the master's pin and the master's to INTR. */
static void pic_update(struct pic *pic)
{
	bool slave = pic_chip_pending(pic, PIC_SLAVE) >= 0;

	pic_chip_line(&pic->chip[PIC_MASTER], PIC_CASCADE, slave);
	/* A request has to hold until it is acknowledged; the slave's was withdrawn. */
	if (!slave)
		pic->chip[PIC_MASTER].irr &= (u8)~BIT(PIC_CASCADE);
	WRITE_ONCE(pic->output, pic_chip_pending(pic, PIC_MASTER) >= 0);
}

void pic_reset(struct pic *pic)
{
	memset(pic, 0, sizeof(*pic));
}

bool pic_set_line(struct pic *pic, u32 pin, bool asserted)
{
	bool requested;

	if (pin >= PIC_PINS || pin == PIC_CASCADE)
		return false;
	requested = pic_chip_line(&pic->chip[pin >> 3], pin & 7, asserted);
	pic_update(pic);
	return requested;
}

bool pic_pin_waits(const struct pic *pic, u32 pin)
{
	const struct pic_chip *c = &pic->chip[pin >> 3];

	if (pin >= 8 && (pic->chip[PIC_MASTER].imr & BIT(PIC_CASCADE)))
		return false;
	return c->irr & ~c->imr & BIT(pin & 7);
}

static void pic_end(struct pic *pic, u32 which, u32 pin)
{
	pic->chip[which].isr &= (u8)~BIT(pin);
	pic->ended |= (u16)(BIT(pin) << (which * 8));
}

/* The chip's part of an INTA cycle, or a poll. */
static void pic_chip_ack(struct pic *pic, u32 which, u32 pin)
{
	struct pic_chip *c = &pic->chip[which];

	/* A level goes on requesting until its line drops. */
	if (!(c->elcr & BIT(pin)))
		c->irr &= (u8)~BIT(pin);
	c->isr |= (u8)BIT(pin);
	if (!c->auto_eoi)
		return;
	pic_end(pic, which, pin);
	if (c->rotate_auto_eoi)
		c->priority_add = (pin + 1) & 7;
}

u8 pic_ack(struct pic *pic)
{
	int pin = pic_chip_pending(pic, PIC_MASTER);
	u32 which = PIC_MASTER;

	if (pin >= 0)
		pic_chip_ack(pic, PIC_MASTER, (u32)pin);
	if (pin == PIC_CASCADE) {
		which = PIC_SLAVE;
		pin = pic_chip_pending(pic, PIC_SLAVE);
		if (pin >= 0)
			pic_chip_ack(pic, PIC_SLAVE, (u32)pin);
		/* The slave's output drops during INTA: what is next is a new edge. */
		pic_chip_line(&pic->chip[PIC_MASTER], PIC_CASCADE, false);
	}
	pic_update(pic);
	/* A request that went away meanwhile looks like pin 7, not in service. */
	return (u8)(pic->chip[which].vector_base + (pin < 0 ? 7 : pin));
}

static void pic_write_icw1(struct pic *pic, u32 which, u8 val)
{
	struct pic_chip *c = &pic->chip[which];

	c->irr &= c->elcr;	/* edges are forgotten */
	c->isr = 0;
	c->imr = 0;
	c->priority_add = 0;
	c->read_isr = false;
	c->poll = false;
	c->special_mask = false;
	c->auto_eoi = false;
	c->rotate_auto_eoi = false;
	c->special_nested = false;
	c->need_icw4 = val & ICW1_ICW4;
	c->init_state = val & ICW1_SINGLE ? PIC_ICW2_SINGLE : PIC_ICW2;
}

static void pic_write_ocw3(struct pic_chip *c, u8 val)
{
	if (val & OCW3_POLL)
		c->poll = true;
	if (val & 0x02)
		c->read_isr = (val & OCW3_READ) == 3;
	if (val & 0x40)
		c->special_mask = (val & OCW3_SPECIAL) == OCW3_SPECIAL;
}

/* EOI of the pin in service of highest priority; returns it, or -1. */
static int pic_end_highest(struct pic *pic, u32 which)
{
	struct pic_chip *c = &pic->chip[which];
	u8 priority, pin;

	/* In special mask mode a masked pin is ended by name only. */
	priority = pic_priority(c, c->special_mask ? c->isr & (u8)~c->imr : c->isr);
	if (priority == PIC_NO_PRIORITY)
		return -1;
	pin = (priority + c->priority_add) & 7;
	pic_end(pic, which, pin);
	return pin;
}

static void pic_write_ocw2(struct pic *pic, u32 which, u8 val)
{
	struct pic_chip *c = &pic->chip[which];
	u8 named = val & 7;
	int pin;

	switch (val >> 5) {
	case 0:
		c->rotate_auto_eoi = false;
		break;
	case 4:
		c->rotate_auto_eoi = true;
		break;
	case 1:
		pic_end_highest(pic, which);
		break;
	case 5:
		pin = pic_end_highest(pic, which);
		if (pin >= 0)
			c->priority_add = (pin + 1) & 7;
		break;
	case 7:
		c->priority_add = (named + 1) & 7;
		fallthrough;
	case 3:
		if (c->isr & BIT(named))
			pic_end(pic, which, named);
		break;
	case 6:
		c->priority_add = (named + 1) & 7;
		break;
	default:		/* 2: no operation */
		break;
	}
}

static void pic_write_data(struct pic_chip *c, u8 val)
{
	u8 after_cascade = c->need_icw4 ? PIC_ICW4 : PIC_READY;

	switch (c->init_state) {
	case PIC_ICW2:
		c->vector_base = val & 0xf8;
		c->init_state = PIC_ICW3;
		break;
	case PIC_ICW2_SINGLE:
		c->vector_base = val & 0xf8;
		c->init_state = after_cascade;
		break;
	case PIC_ICW3:		/* the cascade is wired */
		c->init_state = after_cascade;
		break;
	case PIC_ICW4:
		c->special_nested = val & ICW4_NESTED;
		c->auto_eoi = val & ICW4_AUTO_EOI;
		c->init_state = PIC_READY;
		break;
	default:		/* OCW1 */
		c->imr = val;
		break;
	}
}

static void pic_write_elcr(struct pic_chip *c, u32 which, u8 val)
{
	c->elcr = val & elcr_mask[which];
	/* A pin that is level-triggered now requests exactly while it is asserted. */
	c->irr = (c->irr & (u8)~c->elcr) | (c->lines & c->elcr);
}

void pic_write(struct pic *pic, u16 port, u8 val)
{
	u32 which = (port & ~1U) == PIC_PORT_SLAVE ? PIC_SLAVE : PIC_MASTER;
	struct pic_chip *c = &pic->chip[which];

	if ((port & ~1U) == PIC_PORT_ELCR)
		pic_write_elcr(&pic->chip[port & 1], port & 1, val);
	else if (port & 1)
		pic_write_data(c, val);
	else if (val & ICW1_SELECT)
		pic_write_icw1(pic, which, val);
	else if (val & OCW3_SELECT)
		pic_write_ocw3(c, val);
	else
		pic_write_ocw2(pic, which, val);
	pic_update(pic);
}

static u8 pic_read_poll(struct pic *pic, u32 which)
{
	int pin = pic_chip_pending(pic, which);

	pic->chip[which].poll = false;
	if (pin < 0)
		return 0;
	pic_chip_ack(pic, which, (u32)pin);
	pic_update(pic);
	return (u8)(POLL_REQUEST | (u32)pin);
}

u8 pic_read(struct pic *pic, u16 port)
{
	u32 which = (port & ~1U) == PIC_PORT_SLAVE ? PIC_SLAVE : PIC_MASTER;
	struct pic_chip *c = &pic->chip[which];

	if ((port & ~1U) == PIC_PORT_ELCR)
		return pic->chip[port & 1].elcr;
	if (c->poll)
		return pic_read_poll(pic, which);
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

void pic_save(const struct pic *pic, struct keel_rec_pic *rec)
{
	u32 i;

	memset(rec, 0, sizeof(*rec));
	for (i = 0; i < 2; i++) {
		const struct pic_chip *c = &pic->chip[i];
		struct keel_rec_pic_chip *r = &rec->chip[i];

		r->irr = c->irr;
		r->imr = c->imr;
		r->isr = c->isr;
		r->lines = c->lines;
		r->vector_base = c->vector_base;
		r->init_state = c->init_state;
		r->priority_add = c->priority_add;
		r->read_isr = c->read_isr;
		r->poll = c->poll;
		r->special_mask = c->special_mask;
		r->auto_eoi = c->auto_eoi;
		r->rotate_auto_eoi = c->rotate_auto_eoi;
		r->special_nested = c->special_nested;
		r->need_icw4 = c->need_icw4;
		r->elcr = c->elcr;
	}
}

#define CHIP_FIELD(field, max, bits) \
	{ offsetof(struct keel_rec_pic_chip, field), max, bits }

/* What a byte of the record may be: at most @max, and no bit of @clear. */
static const struct pic_field {
	u8 offset;
	u8 max;
	u8 clear;
} pic_fields[] = {
	CHIP_FIELD(vector_base, 0xf8, 7),
	CHIP_FIELD(init_state, PIC_INIT_NR - 1, 0),
	CHIP_FIELD(priority_add, 7, 0),
	CHIP_FIELD(read_isr, 1, 0),
	CHIP_FIELD(poll, 1, 0),
	CHIP_FIELD(special_mask, 1, 0),
	CHIP_FIELD(auto_eoi, 1, 0),
	CHIP_FIELD(rotate_auto_eoi, 1, 0),
	CHIP_FIELD(special_nested, 1, 0),
	CHIP_FIELD(need_icw4, 1, 0),
};

int pic_check(const struct keel_rec_pic *rec, u32 *bad_offset)
{
	u32 i, j;

	for (i = 0; i < 2; i++) {
		const u8 *bytes = (const u8 *)&rec->chip[i];
		u32 base = (u32)(i * sizeof(rec->chip[0]));

		for (j = 0; j < ARRAY_SIZE(pic_fields); j++) {
			const struct pic_field *f = &pic_fields[j];

			*bad_offset = base + f->offset;
			if (bytes[f->offset] > f->max || (bytes[f->offset] & f->clear))
				return -EINVAL;
		}
		*bad_offset = base + offsetof(struct keel_rec_pic_chip, elcr);
		if (rec->chip[i].elcr & ~elcr_mask[i])
			return -EINVAL;
		*bad_offset = base + offsetof(struct keel_rec_pic_chip, reserved);
		if (rec->chip[i].reserved)
			return -EINVAL;
	}
	return 0;
}

void pic_load(struct pic *pic, const struct keel_rec_pic *rec)
{
	u32 i;

	for (i = 0; i < 2; i++) {
		const struct keel_rec_pic_chip *r = &rec->chip[i];

		pic->chip[i] = (struct pic_chip){
			.irr = (r->irr & (u8)~r->elcr) | (r->lines & r->elcr),
			.imr = r->imr,
			.isr = r->isr,
			.lines = r->lines,
			.vector_base = r->vector_base,
			.init_state = r->init_state,
			.priority_add = r->priority_add,
			.read_isr = r->read_isr,
			.poll = r->poll,
			.special_mask = r->special_mask,
			.auto_eoi = r->auto_eoi,
			.rotate_auto_eoi = r->rotate_auto_eoi,
			.special_nested = r->special_nested,
			.need_icw4 = r->need_icw4,
			.elcr = r->elcr,
		};
	}
	pic->ended = 0;
	pic_update(pic);
}
