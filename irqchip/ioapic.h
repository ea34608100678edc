/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The model of an 82093AA IOAPIC: 24 pins, version 0x11, without an EOI
 * register.  Pure; the caller serializes.  It must not know LAPICs: messages
 * leave through a callback.
 */
#ifndef KEEL_IRQCHIP_IOAPIC_H
#define KEEL_IRQCHIP_IOAPIC_H

#include "irqchip/route.h"

struct keel_rec_ioapic;

#define IOAPIC_PINS		IRQ_NR_IOAPIC_PINS
#define IOAPIC_PIN_MASK		((1U << IOAPIC_PINS) - 1)

/* A redirection entry. */
#define IOAPIC_VECTOR		0xffULL
#define IOAPIC_MODE_SHIFT	8
#define IOAPIC_LOGICAL		BIT_ULL(11)
#define IOAPIC_BUSY		BIT_ULL(12)	/* delivery status: never seen set */
#define IOAPIC_LOW		BIT_ULL(13)	/* polarity: stored, lines say asserted or not */
#define IOAPIC_REMOTE_IRR	BIT_ULL(14)	/* a level was delivered and not ended yet */
#define IOAPIC_LEVEL		BIT_ULL(15)
#define IOAPIC_MASKED		BIT_ULL(16)
#define IOAPIC_DEST_SHIFT	56
#define IOAPIC_WRITABLE		(0xffULL << IOAPIC_DEST_SHIFT | IOAPIC_MASKED | IOAPIC_LEVEL | \
				 IOAPIC_LOW | IOAPIC_LOGICAL | 0x700ULL | IOAPIC_VECTOR)
#define IOAPIC_ID_MASK		0x0f000000U

struct ioapic {
	u64 redirect[IOAPIC_PINS];
	u32 lines;		/* a bit a pin: asserted */
	u32 id;
	u32 select;
	/* Sends @msg; returns how many LAPICs took it. */
	int (*deliver)(struct ioapic *ioapic, const struct irq_msg *msg);
};

void ioapic_reset(struct ioapic *ioapic);	/* power-on; @deliver stays */

/* Sets a pin's line; returns how many LAPICs took an interrupt of it now. */
int ioapic_set_line(struct ioapic *ioapic, u32 pin, bool asserted);

/* The registers: @offset in the chip's page.  Others read as zero. */
u32 ioapic_read(struct ioapic *ioapic, u32 offset);
void ioapic_write(struct ioapic *ioapic, u32 offset, u32 val);

/*
 * A LAPIC ended @vector.  Returns the pins that this ended, for
 * ioapic_redeliver() after whoever waits for the end has lowered the line.
 */
u32 ioapic_eoi(struct ioapic *ioapic, u8 vector);
/* Delivers again what is still asserted among @pins. */
void ioapic_redeliver(struct ioapic *ioapic, u32 pins);

/* The record: save, check (-EINVAL with the offset) and load, which delivers what waits. */
void ioapic_save(const struct ioapic *ioapic, struct keel_rec_ioapic *rec);
int ioapic_check(const struct keel_rec_ioapic *rec, u32 *bad_offset);
void ioapic_load(struct ioapic *ioapic, const struct keel_rec_ioapic *rec);

#endif /* KEEL_IRQCHIP_IOAPIC_H */
