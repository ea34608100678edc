// SPDX-License-Identifier: GPL-2.0
/*
 * A 16550A at infinite speed. What is written to the transmitter has left at
 * once; what arrives waits in the FIFO. It must not know a terminal, a thread
 * or a VM; the caller holds its lock.
 */
#include "uart.h"

enum { RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define IER_RDA		0x01
#define IER_THRE	0x02
#define IER_LINE	0x04
#define IER_MODEM	0x08
#define IER_MASK	0x0f	/* the other bits are zero on this part, and probed for */

#define IIR_NONE	0x01
#define IIR_MODEM	0x00
#define IIR_THRE	0x02
#define IIR_RDA		0x04
#define IIR_LINE	0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFO	0xc0

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02

#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define MCR_MASK	0x1f

#define LSR_DR		0x01
#define LSR_OVERRUN	0x02
#define LSR_BREAK	0x10
#define LSR_ERRORS	0x1e
#define LSR_IDLE	0x60	/* holding and shift register empty */

#define MSR_DELTA	0x0f
#define MSR_TERI	0x04	/* ring went away */
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

static unsigned int capacity(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

/* Without the FIFO, and at its lowest trigger, one byte is news. */
static unsigned int trigger(const struct uart *u)
{
	static const u8 level[4] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* The modem lines as the guest sees them: looped back, or of a live peer. */
static u8 modem_lines(u8 mcr)
{
	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (mcr & MCR_DTR ? MSR_DSR : 0) | (mcr & MCR_RTS ? MSR_CTS : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

/* The highest interrupt that is both there and enabled. */
static u8 cause(const struct uart *u)
{
	if ((u->ier & IER_LINE) && (u->lsr & LSR_ERRORS))
		return IIR_LINE;
	/* Below the trigger a real part waits four characters' time: none here. */
	if ((u->ier & IER_RDA) && u->count)
		return u->count >= trigger(u) ? IIR_RDA : IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thr_pending)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTA))
		return IIR_MODEM;
	return IIR_NONE;
}

/*
 * On a PC the interrupt passes a gate that OUT2 opens; in loopback all four
 * outputs are off, and so is the gate.
 */
static void update_irq(struct uart *u)
{
	bool gate = (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP);
	bool level = gate && cause(u) != IIR_NONE;

	if (level == u->irq_level)
		return;
	u->irq_level = level;
	u->ops->irq(u->ctx, level);
}

static void push(struct uart *u, u8 byte)
{
	if (u->count >= capacity(u)) {
		u->lsr |= LSR_OVERRUN;
		/* Without a FIFO the newcomer replaces what was there. */
		if (capacity(u) == 1)
			u->fifo[u->head] = byte;
		return;
	}
	u->fifo[(u->head + u->count++) % UART_FIFO] = byte;
}

void uart_init(struct uart *u, const struct uart_ops *ops, void *ctx)
{
	bool heed_rts = u->heed_rts;

	*u = (struct uart){ .ops = ops, .ctx = ctx, .heed_rts = heed_rts,
			    .divisor = 12, .thr_pending = true };
}

unsigned int uart_room(const struct uart *u)
{
	if ((u->mcr & MCR_LOOP) || (u->heed_rts && !(u->mcr & MCR_RTS)))
		return 0;
	return u->count < capacity(u) ? capacity(u) - u->count : 0;
}

void uart_receive(struct uart *u, u8 byte)
{
	push(u, byte);
	update_irq(u);
}

void uart_break(struct uart *u)
{
	push(u, 0);
	u->lsr |= LSR_BREAK;
	update_irq(u);
}

static u8 read_rbr(struct uart *u)
{
	u8 byte = u->fifo[u->head];

	if (!u->count)
		return 0;
	u->head = (u->head + 1) % UART_FIFO;
	if (!--u->count && uart_room(u))
		u->ops->wanted(u->ctx);
	return byte;
}

static u8 read_iir(struct uart *u)
{
	u8 id = cause(u);

	/* Reading it is the acknowledgment, when that is what is read. */
	if (id == IIR_THRE)
		u->thr_pending = false;
	return id | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static u8 read_lsr(struct uart *u)
{
	u8 value = u->lsr | LSR_IDLE | (u->count ? LSR_DR : 0);

	u->lsr = 0;
	return value;
}

static u8 read_msr(struct uart *u)
{
	u8 value = modem_lines(u->mcr) | u->msr;

	u->msr = 0;
	return value;
}

static u8 read_reg(struct uart *u, unsigned int reg)
{
	if (u->lcr & LCR_DLAB && reg <= IER)
		return reg == RBR ? u->divisor & 0xff : u->divisor >> 8;
	switch (reg) {
	case RBR: return read_rbr(u);
	case IER: return u->ier;
	case IIR: return read_iir(u);
	case LCR: return u->lcr;
	case MCR: return u->mcr;
	case LSR: return read_lsr(u);
	case MSR: return read_msr(u);
	default: return u->scr;
	}
}

u32 uart_read(void *dev, unsigned int offset, unsigned int size)
{
	struct uart *u = dev;
	u8 value;

	(void)size;
	value = read_reg(u, offset);
	update_irq(u);
	return value;
}

static void write_thr(struct uart *u, u8 byte)
{
	if (u->mcr & MCR_LOOP)
		push(u, byte);
	else
		u->ops->transmit(u->ctx, byte);
	/*
	 * Filled and empty again. If the interrupt was pending already the line
	 * stays up: its edge has been seen, and reading IIR will lower it.
	 */
	u->thr_pending = true;
}

static void write_ier(struct uart *u, u8 value)
{
	/* Enabling it while the transmitter is empty raises it. */
	if (value & ~u->ier & IER_THRE)
		u->thr_pending = true;
	u->ier = value & IER_MASK;
}

static void write_fcr(struct uart *u, u8 value)
{
	/* Switching the FIFO on or off empties it; its other bits need it on. */
	if ((value ^ u->fcr) & FCR_ENABLE || value & FCR_CLEAR_RX) {
		u->head = 0;
		u->count = 0;
	}
	u->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
	if (uart_room(u))
		u->ops->wanted(u->ctx);
}

static void write_mcr(struct uart *u, u8 value)
{
	u8 before = modem_lines(u->mcr), after, changed;

	u->mcr = value & MCR_MASK;
	after = modem_lines(u->mcr);
	changed = (before ^ after) & (MSR_CTS | MSR_DSR | MSR_DCD);
	u->msr |= changed >> 4;
	if (before & ~after & MSR_RI)
		u->msr |= MSR_TERI;
	if (uart_room(u))
		u->ops->wanted(u->ctx);
}

static void write_reg(struct uart *u, unsigned int reg, u8 value)
{
	if (u->lcr & LCR_DLAB && reg <= IER) {
		u->divisor = reg == RBR ? (u->divisor & 0xff00) | value :
					  (u->divisor & 0xff) | value << 8;
		return;
	}
	switch (reg) {
	case RBR:
		write_thr(u, value);
		break;
	case IER:
		write_ier(u, value);
		break;
	case IIR:
		write_fcr(u, value);
		break;
	case LCR:
		u->lcr = value;
		break;
	case MCR:
		write_mcr(u, value);
		break;
	case SCR:
		u->scr = value;
		break;
	default:
		break;	/* LSR and MSR are read-only */
	}
}

void uart_write(void *dev, unsigned int offset, unsigned int size, u32 value)
{
	struct uart *u = dev;

	(void)size;
	write_reg(u, offset, value);
	update_irq(u);
}
