// SPDX-License-Identifier: GPL-2.0
/*
 * The IOAPIC's registers and pins.  Pure; the caller serializes.  It must not
 * know where its messages go.
 */
#include <linux/keel.h>
#include "irqchip/ioapic.h"

#define IOAPIC_REG_SELECT	0x00
#define IOAPIC_REG_WINDOW	0x10

#define IOAPIC_IDX_ID		0x00
#define IOAPIC_IDX_VERSION	0x01
#define IOAPIC_IDX_ARB		0x02
#define IOAPIC_IDX_REDIRECT	0x10

#define IOAPIC_VERSION		(0x11U | (IOAPIC_PINS - 1) << 16)

void ioapic_reset(struct ioapic *ioapic)
{
	u32 pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->redirect[pin] = IOAPIC_MASKED;
	ioapic->lines = 0;
	ioapic->id = 0;
	ioapic->select = 0;
}

static int ioapic_send(struct ioapic *ioapic, u64 entry)
{
	struct irq_msg msg = {
		.dest = (u32)(entry >> IOAPIC_DEST_SHIFT),
		.vector = entry & IOAPIC_VECTOR,
		.mode = (entry >> IOAPIC_MODE_SHIFT) & 7,
		.logical = entry & IOAPIC_LOGICAL,
		.level = entry & IOAPIC_LEVEL,
	};

	return ioapic->deliver(ioapic, &msg);
}

/*
 * A level pin whose interrupt may be due: asserted, not masked, not under way.
 * One that no LAPIC takes stays pending until its entry or its line changes.
 */
static int ioapic_service_level(struct ioapic *ioapic, u32 pin)
{
	u64 *entry = &ioapic->redirect[pin];
	int taken;

	if (!(*entry & IOAPIC_LEVEL) || !(ioapic->lines & BIT(pin)) ||
	    (*entry & (IOAPIC_MASKED | IOAPIC_REMOTE_IRR)))
		return 0;
	taken = ioapic_send(ioapic, *entry);
	if (taken > 0)
		*entry |= IOAPIC_REMOTE_IRR;
	return taken;
}

int ioapic_set_line(struct ioapic *ioapic, u32 pin, bool asserted)
{
	u32 was = ioapic->lines;

	if (pin >= IOAPIC_PINS)
		return 0;
	if (asserted)
		ioapic->lines |= BIT(pin);
	else
		ioapic->lines &= ~(u32)BIT(pin);
	if (ioapic->redirect[pin] & IOAPIC_LEVEL)
		return ioapic_service_level(ioapic, pin);
	/* An edge at a masked pin is lost, as the chip's manual says. */
	if (!(ioapic->lines & ~was & BIT(pin)) || (ioapic->redirect[pin] & IOAPIC_MASKED))
		return 0;
	return ioapic_send(ioapic, ioapic->redirect[pin]);
}

static u32 ioapic_read_window(struct ioapic *ioapic)
{
	u32 index = ioapic->select, pin;

	switch (index) {
	case IOAPIC_IDX_ID:
	case IOAPIC_IDX_ARB:
		return ioapic->id;
	case IOAPIC_IDX_VERSION:
		return IOAPIC_VERSION;
	}
	pin = (index - IOAPIC_IDX_REDIRECT) >> 1;
	if (index < IOAPIC_IDX_REDIRECT || pin >= IOAPIC_PINS)
		return 0;
	return (u32)(ioapic->redirect[pin] >> (index & 1 ? 32 : 0));
}

static void ioapic_write_window(struct ioapic *ioapic, u32 val)
{
	u32 index = ioapic->select, pin;
	u64 entry;

	if (index == IOAPIC_IDX_ID)
		ioapic->id = val & IOAPIC_ID_MASK;
	pin = (index - IOAPIC_IDX_REDIRECT) >> 1;
	if (index < IOAPIC_IDX_REDIRECT || pin >= IOAPIC_PINS)
		return;
	entry = ioapic->redirect[pin];
	if (index & 1)
		entry = (entry & U32_MAX) | (u64)val << 32;
	else
		entry = (entry & ~(u64)U32_MAX) | val;
	entry = (entry & IOAPIC_WRITABLE) | (ioapic->redirect[pin] & IOAPIC_REMOTE_IRR);
	/* An edge has no remote IRR: without an EOI register, this is how a guest clears it. */
	if (!(entry & IOAPIC_LEVEL))
		entry &= ~IOAPIC_REMOTE_IRR;
	ioapic->redirect[pin] = entry;
	ioapic_service_level(ioapic, pin);
}

u32 ioapic_read(struct ioapic *ioapic, u32 offset)
{
	if (offset == IOAPIC_REG_SELECT)
		return ioapic->select;
	return offset == IOAPIC_REG_WINDOW ? ioapic_read_window(ioapic) : 0;
}

void ioapic_write(struct ioapic *ioapic, u32 offset, u32 val)
{
	if (offset == IOAPIC_REG_SELECT)
		ioapic->select = val & 0xff;
	else if (offset == IOAPIC_REG_WINDOW)
		ioapic_write_window(ioapic, val);
}

u32 ioapic_eoi(struct ioapic *ioapic, u8 vector)
{
	u32 pin, ended = 0;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = ioapic->redirect[pin];

		if ((entry & IOAPIC_VECTOR) != vector || !(entry & IOAPIC_REMOTE_IRR))
			continue;
		ioapic->redirect[pin] = entry & ~IOAPIC_REMOTE_IRR;
		ended |= BIT(pin);
	}
	return ended;
}

void ioapic_redeliver(struct ioapic *ioapic, u32 pins)
{
	u32 pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (pins & BIT(pin))
			ioapic_service_level(ioapic, pin);
}

/* A level that no LAPIC has taken yet: masked, or nobody there. */
static bool ioapic_waits(const struct keel_rec_ioapic *rec, u32 pin)
{
	return (rec->lines & BIT(pin)) && (rec->redirect[pin] & IOAPIC_LEVEL) &&
		!(rec->redirect[pin] & IOAPIC_REMOTE_IRR);
}

void ioapic_save(const struct ioapic *ioapic, struct keel_rec_ioapic *rec)
{
	u32 pin;

	memcpy(rec->redirect, ioapic->redirect, sizeof(rec->redirect));
	rec->lines = ioapic->lines;
	rec->irr = 0;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if (ioapic_waits(rec, pin))
			rec->irr |= BIT(pin);
	rec->id = ioapic->id;
	rec->select = ioapic->select;
}

#define IOAPIC_BAD(field) ({ *bad_offset = offsetof(struct keel_rec_ioapic, field); -EINVAL; })

int ioapic_check(const struct keel_rec_ioapic *rec, u32 *bad_offset)
{
	u32 pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = rec->redirect[pin];

		if ((entry & ~(IOAPIC_WRITABLE | IOAPIC_REMOTE_IRR)) ||
		    ((entry & IOAPIC_REMOTE_IRR) && !(entry & IOAPIC_LEVEL))) {
			*bad_offset = (u32)(pin * sizeof(rec->redirect[0]));
			return -EINVAL;
		}
	}
	if (rec->lines & ~IOAPIC_PIN_MASK)
		return IOAPIC_BAD(lines);
	if (rec->irr & ~IOAPIC_PIN_MASK)
		return IOAPIC_BAD(irr);
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		if ((rec->irr & BIT(pin)) && !ioapic_waits(rec, pin))
			return IOAPIC_BAD(irr);
	if (rec->id & ~IOAPIC_ID_MASK)
		return IOAPIC_BAD(id);
	if (rec->select > 0xff)
		return IOAPIC_BAD(select);
	return 0;
}

void ioapic_load(struct ioapic *ioapic, const struct keel_rec_ioapic *rec)
{
	memcpy(ioapic->redirect, rec->redirect, sizeof(ioapic->redirect));
	ioapic->lines = rec->lines;
	ioapic->id = rec->id;
	ioapic->select = rec->select;
	ioapic_redeliver(ioapic, IOAPIC_PIN_MASK);
}
