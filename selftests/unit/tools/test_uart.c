// SPDX-License-Identifier: GPL-2.0
/*
 * The launcher's 16550: registers, FIFO, interrupts, loopback, and the probe
 * sequence by which Linux tells a 16550A from its relatives. It knows the
 * register model alone.
 */
#include "ktap.h"
#include "tools/keel/uart.h"

enum { RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

static struct uart u;
static u8 sent[4096];
static unsigned int nr_sent, nr_wanted, nr_edges;
static bool line;

static void transmit(void *ctx, u8 byte)
{
	CHECK(ctx == &u);
	sent[nr_sent++ % sizeof(sent)] = byte;
}

static void irq(void *ctx, bool level)
{
	CHECK(ctx == &u);
	CHECK(level != line, "only changes are told");
	line = level;
	nr_edges += level;
}

static void wanted(void *ctx)
{
	CHECK(ctx == &u);
	CHECK(uart_room(&u) > 0);
	nr_wanted++;
}

static const struct uart_ops ops = { transmit, irq, wanted };

static u8 in(unsigned int reg)
{
	return uart_read(&u, reg, 1);
}

static void out(unsigned int reg, u8 value)
{
	uart_write(&u, reg, 1, value);
}

static void reset(void)
{
	nr_sent = 0;
	nr_wanted = 0;
	nr_edges = 0;
	line = false;
	u.heed_rts = false;
	uart_init(&u, &ops, &u);
}

static void power_on(void)
{
	reset();
	CHECK_EQ(in(IER), 0);
	CHECK_EQ(in(IIR), 0x01);
	CHECK_EQ(in(LCR), 0);
	CHECK_EQ(in(MCR), 0);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(MSR), 0xb0);
	CHECK_EQ(in(RBR), 0);
	CHECK(!line);
}

static void transmits(void)
{
	reset();
	for (const char *s = "keel"; *s; s++) {
		CHECK_EQ(in(LSR) & 0x60, 0x60);
		out(RBR, *s);
	}
	CHECK_EQ(nr_sent, 4);
	CHECK_EQ(sent[0], 'k');
	CHECK_EQ(sent[3], 'l');
}

static void divisor_and_scratch(void)
{
	reset();
	out(LCR, 0x83);
	out(RBR, 0x34);
	out(IER, 0x12);
	CHECK_EQ(in(RBR), 0x34);
	CHECK_EQ(in(IER), 0x12);
	out(LCR, 0x03);
	CHECK_EQ(in(IER), 0);	/* the latch is not IER */
	CHECK_EQ(nr_sent, 0);
	out(SCR, 0xa5);
	CHECK_EQ(in(SCR), 0xa5);
	out(LSR, 0);
	CHECK_EQ(in(LSR), 0x60);
}

static void thre_interrupt(void)
{
	reset();
	out(MCR, 0x08);
	out(IER, 0x02);
	CHECK(line, "enabling it with an empty transmitter raises it");
	CHECK_EQ(in(IIR), 0x02);
	CHECK(!line, "reading IIR takes it");
	CHECK_EQ(in(IIR), 0x01);
	out(RBR, 'x');
	CHECK(line);
	out(RBR, 'y');
	CHECK(line);
	CHECK_EQ(in(IIR), 0x02);
	out(IER, 0x02);
	CHECK(!line, "no rising edge of the enable, no interrupt");
	out(IER, 0x00);
	out(IER, 0x02);
	CHECK(line);
	CHECK_EQ(nr_edges, 3);
}

static void out2_gates(void)
{
	reset();
	out(IER, 0x02);
	CHECK(!line);
	out(MCR, 0x08);
	CHECK(line);
	out(MCR, 0x18);
	CHECK(!line, "loopback switches OUT2 off");
}

static void receive_fifo(void)
{
	reset();
	out(MCR, 0x08);
	out(IIR, 0x41);		/* FIFO, trigger at 4 */
	out(IER, 0x01);
	for (unsigned int i = 0; i < 3; i++)
		uart_receive(&u, 'a' + i);
	CHECK(line);
	CHECK_EQ(in(IIR), 0xcc);	/* below the trigger: character timeout */
	uart_receive(&u, 'd');
	CHECK_EQ(in(IIR), 0xc4);
	for (unsigned int i = 0; i < 4; i++) {
		CHECK_EQ(in(LSR), 0x61);
		CHECK_EQ(in(RBR), 'a' + i);
	}
	CHECK_EQ(in(LSR), 0x60);
	CHECK(!line);
	CHECK_EQ(nr_wanted, 3);	/* FIFO on, OUT2, and empty again */
}

static void overrun(void)
{
	reset();
	out(IIR, 0x01);
	out(MCR, 0x08);
	CHECK_EQ(uart_room(&u), 16);
	for (unsigned int i = 0; i < 16; i++)
		uart_receive(&u, i);
	CHECK_EQ(uart_room(&u), 0);
	out(IER, 0x04);
	CHECK(!line);
	uart_receive(&u, 99);
	CHECK(line);
	CHECK_EQ(in(IIR), 0xc6);
	CHECK_EQ(in(LSR), 0x63);
	CHECK_EQ(in(LSR), 0x61);	/* reading takes the error */
	CHECK(!line);
	for (unsigned int i = 0; i < 16; i++)
		CHECK_EQ(in(RBR), i);
}

static void without_fifo(void)
{
	reset();
	CHECK_EQ(uart_room(&u), 1);
	uart_receive(&u, 1);
	CHECK_EQ(uart_room(&u), 0);
	uart_receive(&u, 2);
	CHECK_EQ(in(LSR), 0x63);
	CHECK_EQ(in(RBR), 2);	/* the newcomer is kept */
}

static void fifo_reset(void)
{
	reset();
	out(IIR, 0x01);
	uart_receive(&u, 1);
	out(IIR, 0x03);
	CHECK_EQ(in(LSR), 0x60);
	uart_receive(&u, 2);
	out(IIR, 0x00);
	CHECK_EQ(in(LSR), 0x60);	/* switching it off empties it */
}

static void break_condition(void)
{
	reset();
	out(IIR, 0x01);
	uart_break(&u);
	CHECK_EQ(in(LSR), 0x71);
	CHECK_EQ(in(RBR), 0);
	CHECK_EQ(in(LSR), 0x60);
}

static void loopback(void)
{
	reset();
	out(IIR, 0x01);
	out(MCR, 0x10);
	CHECK_EQ(in(MSR) & 0xf0, 0);
	CHECK_EQ(in(MSR), 0);	/* reading takes the deltas */
	for (unsigned int mcr = 0; mcr < 16; mcr++) {
		u8 want = (mcr & 1 ? 0x20 : 0) | (mcr & 2 ? 0x10 : 0) |
			  (mcr & 4 ? 0x40 : 0) | (mcr & 8 ? 0x80 : 0);

		out(MCR, 0x10 | mcr);
		CHECK_EQ(in(MSR) & 0xf0, want);
	}
	out(RBR, 0x5a);
	CHECK_EQ(nr_sent, 0);
	CHECK_EQ(in(RBR), 0x5a);
	CHECK_EQ(uart_room(&u), 0);	/* nothing comes from outside */
	out(MCR, 0x14);
	in(MSR);
	out(MCR, 0x10);
	CHECK_EQ(in(MSR) & 0x0f, 0x04);	/* ring's trailing edge */
}

static void modem_interrupt(void)
{
	reset();
	out(IER, 0x08);
	out(MCR, 0x10);
	out(MCR, 0x08);
	CHECK(line, "leaving loopback moves the lines");
	CHECK_EQ(in(IIR), 0x00);
	in(MSR);
	CHECK(!line);
}

static void priorities(void)
{
	reset();
	out(IIR, 0x01);
	out(MCR, 0x10);
	out(MCR, 0x08);
	out(IER, 0x0f);
	uart_break(&u);
	CHECK_EQ(in(IIR) & 0x0f, 0x06);
	in(LSR);
	CHECK_EQ(in(IIR) & 0x0f, 0x04);
	in(RBR);
	CHECK_EQ(in(IIR) & 0x0f, 0x02);
	CHECK_EQ(in(IIR) & 0x0f, 0x00);
	in(MSR);
	CHECK_EQ(in(IIR) & 0x0f, 0x01);
	CHECK(!line);
}

static void rts_holds_input(void)
{
	reset();
	u.heed_rts = true;
	CHECK_EQ(uart_room(&u), 0);
	nr_wanted = 0;
	out(MCR, 0x03);
	CHECK_EQ(nr_wanted, 1);
	CHECK_EQ(uart_room(&u), 1);
}

/* What Linux's 8250 driver asks to find a 16550A and nothing better. */
static void linux_probe(void)
{
	reset();
	out(IER, 0x0f);
	CHECK_EQ(in(IER) & 0x0f, 0x0f);
	out(IER, 0);
	CHECK_EQ(in(IER) & 0x0f, 0);
	out(MCR, 0x1a);
	CHECK_EQ(in(MSR) & 0xf0, 0x90);
	out(MCR, 0);
	out(LCR, 0xbf);
	out(IIR, 0);
	out(LCR, 0);
	out(IIR, 0x01);
	CHECK_EQ(in(IIR) >> 6, 3);
	out(LCR, 0xbf);
	CHECK(in(IIR) != 0, "no EFR");
	out(LCR, 0);
	out(IIR, 0x01);
	CHECK_EQ(in(IIR) >> 5 & 7, 6);
	out(LCR, 0x80);
	out(IIR, 0x21);
	CHECK_EQ(in(IIR) >> 5 & 7, 6);	/* no 64-byte FIFO */
	out(LCR, 0);
	out(IER, 0x40);
	CHECK_EQ(in(IER), 0);	/* no UUE */
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(power_on), KTAP_TEST(transmits), KTAP_TEST(divisor_and_scratch),
		KTAP_TEST(thre_interrupt), KTAP_TEST(out2_gates), KTAP_TEST(receive_fifo),
		KTAP_TEST(overrun), KTAP_TEST(without_fifo), KTAP_TEST(fifo_reset),
		KTAP_TEST(break_condition), KTAP_TEST(loopback), KTAP_TEST(modem_interrupt),
		KTAP_TEST(priorities), KTAP_TEST(rts_holds_input), KTAP_TEST(linux_probe),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
