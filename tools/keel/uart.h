/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A 16550A at infinite speed: registers in, bytes and an interrupt level out.
 * It must not know a terminal, a thread or a VM; the caller holds its lock.
 */
#ifndef KEEL_TOOL_UART_H
#define KEEL_TOOL_UART_H

#include "util.h"

#define UART_FIFO	16

struct uart_ops {
	void (*transmit)(void *ctx, u8 byte);
	/* Called on changes only. */
	void (*irq)(void *ctx, bool level);
	/* uart_room() has become more than 0: bytes that waited may come. */
	void (*wanted)(void *ctx);
};

struct uart {
	const struct uart_ops *ops;
	void *ctx;
	bool heed_rts;		/* no bytes from outside while the guest holds RTS off */

	u8 ier, fcr, lcr, mcr, scr;
	u8 lsr;			/* error bits; data and transmitter bits are computed */
	u8 msr;			/* the four delta bits; levels are computed */
	u16 divisor;
	bool thr_pending;	/* "transmitter empty" has not been taken yet */
	bool irq_level;
	u8 fifo[UART_FIFO];
	u8 head, count;
};

void uart_init(struct uart *uart, const struct uart_ops *ops, void *ctx);

/* Register access, @offset 0-7, @size 1: the signatures of struct io_device. */
u32 uart_read(void *dev, unsigned int offset, unsigned int size);
void uart_write(void *dev, unsigned int offset, unsigned int size, u32 value);

/* How many bytes uart_receive() would take now without an overrun. */
unsigned int uart_room(const struct uart *uart);
/* A byte, or a break condition, arrives from outside. */
void uart_receive(struct uart *uart, u8 byte);
void uart_break(struct uart *uart);

#endif /* KEEL_TOOL_UART_H */
