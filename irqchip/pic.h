/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The model of the PC's pair of 8259A interrupt controllers with their
 * edge/level registers.  Pure; the caller serializes.  It must not know who
 * takes the interrupt.
 */
#ifndef KEEL_IRQCHIP_PIC_H
#define KEEL_IRQCHIP_PIC_H

#include "core/pure.h"

struct keel_rec_pic;

#define PIC_PINS		16
#define PIC_CASCADE		2	/* the master's pin that the slave's output feeds */

#define PIC_PORT_MASTER		0x20	/* two ports: command, data */
#define PIC_PORT_SLAVE		0xa0
#define PIC_PORT_ELCR		0x4d0	/* two ports: master, slave */

/* Steps of the initialization sequence, as the data port awaits them. */
enum pic_init { PIC_READY, PIC_ICW2, PIC_ICW3, PIC_ICW4, PIC_ICW2_SINGLE, PIC_INIT_NR };

/* One 8259A.  Pins are numbered 0 to 7; a bit a pin in the masks. */
struct pic_chip {
	u8 irr;			/* requested */
	u8 imr;			/* masked */
	u8 isr;			/* in service */
	u8 lines;		/* asserted */
	u8 vector_base;
	u8 init_state;		/* enum pic_init */
	u8 priority_add;	/* the pin of highest priority */
	bool read_isr;		/* the command port reads ISR, not IRR */
	bool poll;		/* the next read is a poll */
	bool special_mask;
	bool auto_eoi;
	bool rotate_auto_eoi;
	bool special_nested;
	bool need_icw4;
	u8 elcr;		/* level-triggered pins */
};

struct pic {
	struct pic_chip chip[2];	/* master, slave */
	bool output;		/* INTR: written by the model alone, anybody may READ_ONCE() */
	u16 ended;		/* pins ended since the caller looked; the caller clears it */
};

void pic_reset(struct pic *pic);

/* Sets a pin's line, 0 to 15.  Returns true when this made a request of it. */
bool pic_set_line(struct pic *pic, u32 pin, bool asserted);
/* A request of @pin waits and is not masked at its chip or at the cascade. */
bool pic_pin_waits(const struct pic *pic, u32 pin);
/* The INTA cycle: returns the vector; the spurious one (pin 7) when nothing requests. */
u8 pic_ack(struct pic *pic);

/* One byte at one of the ports above. */
u8 pic_read(struct pic *pic, u16 port);
void pic_write(struct pic *pic, u16 port, u8 val);

void pic_save(const struct pic *pic, struct keel_rec_pic *rec);
int pic_check(const struct keel_rec_pic *rec, u32 *bad_offset);
void pic_load(struct pic *pic, const struct keel_rec_pic *rec);

#endif /* KEEL_IRQCHIP_PIC_H */
