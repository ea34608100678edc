// SPDX-License-Identifier: GPL-2.0
/*
 * The launcher's clock chips and power management: MC146818, PM timer, PM1
 * block, reset ports, the empty PCI bus, and the I/O bus that leads to them. Time is what the test
 * says it is.
 */
#include "ktap.h"
#include "tools/keel/iobus.h"
#include "tools/keel/pci.h"
#include "tools/keel/pm.h"
#include "tools/keel/rtc.h"

/* 2024-02-29 23:59:58.5 UTC, a Thursday */
#define LEAP_EVE	(1709251198LL * NS_PER_SEC + NS_PER_SEC / 2)

static s64 now;
static bool line;
static unsigned int nr_rearm, nr_off, nr_reset;

static s64 clock_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void set_line(void *ctx, bool level)
{
	(void)ctx;
	CHECK(level != line, "only changes are told");
	line = level;
}

static void rearm(void *ctx)
{
	(void)ctx;
	nr_rearm++;
}

static void power_off(void *ctx)
{
	(void)ctx;
	nr_off++;
}

static void reset(void *ctx)
{
	(void)ctx;
	nr_reset++;
}

static const struct rtc_ops rtc_ops = { clock_now, set_line, rearm };
static const struct pm_ops pm_ops = { clock_now, set_line, power_off, reset };
static struct rtc rtc;
static struct pm pm;
static struct pci pci;

static u8 cmos(u8 index)
{
	rtc_write(&rtc, 0, 1, index);
	return rtc_read(&rtc, 1, 1);
}

static void set_cmos(u8 index, u8 value)
{
	rtc_write(&rtc, 0, 1, index);
	rtc_write(&rtc, 1, 1, value);
}

static void start(s64 at)
{
	now = at;
	line = false;
	nr_rearm = 0;
	rtc_init(&rtc, &rtc_ops, NULL);
}

static void check_time(const u8 *want)
{
	static const u8 index[] = { 0, 2, 4, 6, 7, 8, 9, 0x32 };

	for (unsigned int i = 0; i < sizeof(index); i++)
		CHECK_EQ(cmos(index[i]), want[i]);
}

static void rtc_reads(void)
{
	start(LEAP_EVE);
	check_time((u8 []){ 0x58, 0x59, 0x23, 0x05, 0x29, 0x02, 0x24, 0x20 });
	now += 2 * NS_PER_SEC;
	check_time((u8 []){ 0x00, 0x00, 0x00, 0x06, 0x01, 0x03, 0x24, 0x20 });
	CHECK_EQ(cmos(0x0d), 0x80);
	CHECK_EQ(rtc_read(&rtc, 0, 1), 0xff);
}

static void rtc_formats(void)
{
	start(LEAP_EVE);
	set_cmos(0x0b, 0x06);	/* binary, 24 h */
	check_time((u8 []){ 58, 59, 23, 5, 29, 2, 24, 20 });
	set_cmos(0x0b, 0x00);	/* BCD, 12 h */
	CHECK_EQ(cmos(4), 0x91);	/* 11 p.m. */
	now += 2 * NS_PER_SEC;
	CHECK_EQ(cmos(4), 0x12);	/* midnight is 12 a.m. */
	now += 12 * 3600 * NS_PER_SEC;
	CHECK_EQ(cmos(4), 0x92);	/* noon is 12 p.m. */
}

static void rtc_uip(void)
{
	start(LEAP_EVE);
	CHECK_EQ(cmos(0x0a), 0x26);
	now += NS_PER_SEC / 2 - 200000;
	CHECK_EQ(cmos(0x0a), 0xa6);
	now += 200000;
	CHECK_EQ(cmos(0x0a), 0x26);
	set_cmos(0x0b, 0x82);
	now += NS_PER_SEC - 100000;
	CHECK_EQ(cmos(0x0a), 0x26);	/* no update while SET */
}

/* As Linux's mc146818_set_time() does it. */
static void rtc_set(void)
{
	u8 b, a;

	start(LEAP_EVE);
	b = cmos(0x0b);
	set_cmos(0x0b, b | 0x80);
	a = cmos(0x0a);
	set_cmos(0x0a, a | 0x70);
	now += 3 * NS_PER_SEC;
	check_time((u8 []){ 0x58, 0x59, 0x23, 0x05, 0x29, 0x02, 0x24, 0x20 });
	set_cmos(0x32, 0x19);
	set_cmos(9, 0x99);
	set_cmos(8, 0x12);
	set_cmos(7, 0x31);
	set_cmos(4, 0x23);
	set_cmos(2, 0x59);
	set_cmos(0, 0x30);
	set_cmos(0x0b, b);
	CHECK_EQ(cmos(0), 0x30);
	now += 30 * NS_PER_SEC;
	CHECK_EQ(cmos(0), 0x30);	/* the divider still stands */
	set_cmos(0x0a, a);
	now += 31 * NS_PER_SEC;
	check_time((u8 []){ 0x01, 0x00, 0x00, 0x07, 0x01, 0x01, 0x00, 0x20 });
	set_cmos(0x32, 0x19);
	set_cmos(9, 0x85);
	CHECK_EQ(cmos(0x32), 0x19);
	CHECK_EQ(cmos(9), 0x85);
	set_cmos(2, 0x45);
	CHECK_EQ(cmos(2), 0x45);	/* without SET it is set at once */
}

static void rtc_update_interrupt(void)
{
	start(LEAP_EVE);
	CHECK_EQ(rtc_deadline(&rtc), 0);
	set_cmos(0x0b, 0x12);
	CHECK(nr_rearm > 0);
	CHECK_EQ(rtc_deadline(&rtc), LEAP_EVE + NS_PER_SEC / 2);
	rtc_expire(&rtc);
	CHECK(!line, "too early");
	now = rtc_deadline(&rtc);
	rtc_expire(&rtc);
	CHECK(line);
	CHECK_EQ(rtc_deadline(&rtc), 0);	/* until it is taken */
	CHECK_EQ(cmos(0x0c), 0xd0);	/* the 1024 Hz flag sets itself, too */
	CHECK(!line);
	CHECK_EQ(cmos(0x0c), 0);
	CHECK_EQ(rtc_deadline(&rtc), LEAP_EVE + NS_PER_SEC * 3 / 2);
}

static void rtc_alarm(void)
{
	start(LEAP_EVE);
	set_cmos(1, 0x05);
	set_cmos(3, 0x00);
	set_cmos(5, 0x00);
	set_cmos(0x0b, 0x22);
	CHECK_EQ(rtc_deadline(&rtc), LEAP_EVE + NS_PER_SEC / 2 + 6 * NS_PER_SEC);
	now += 4 * NS_PER_SEC;
	rtc_expire(&rtc);
	CHECK(!line);
	now += 60 * NS_PER_SEC;
	rtc_expire(&rtc);
	CHECK(line, "it is seen later, too");
	CHECK_EQ(cmos(0x0c), 0xf0);
	set_cmos(1, 0xff);
	set_cmos(3, 0xc0);
	set_cmos(5, 0x11);
	CHECK_EQ(rtc_deadline(&rtc), (LEAP_EVE - NS_PER_SEC / 2) + (2 + 11 * 3600) * NS_PER_SEC);
	set_cmos(5, 0xff);
	CHECK_EQ(rtc_deadline(&rtc) / NS_PER_SEC, now / NS_PER_SEC + 1);
	set_cmos(3, 0x75);
	CHECK_EQ(rtc_deadline(&rtc), 0);	/* a minute that never comes */
}

static void rtc_periodic(void)
{
	unsigned int n = 0;
	s64 end;

	start(LEAP_EVE);
	set_cmos(0x0a, 0x26);	/* 1024 Hz */
	set_cmos(0x0b, 0x42);
	for (end = now + NS_PER_SEC; now < end; n++) {
		s64 at = rtc_deadline(&rtc);

		if (!CHECK(at > now && at - now <= 976563))
			return;
		now = at;
		rtc_expire(&rtc);
		CHECK(line);
		CHECK_EQ(cmos(0x0c) & 0xc0, 0xc0);
	}
	CHECK_EQ(n, 1024);
	/* Rates 1 and 2 repeat 8 and 9: 256 and 128 Hz. */
	now = LEAP_EVE;
	set_cmos(0x0a, 0x21);
	cmos(0x0c);
	CHECK_EQ(rtc_deadline(&rtc) - now, NS_PER_SEC / 256);
	set_cmos(0x0a, 0x22);
	CHECK_EQ(rtc_deadline(&rtc) - now, NS_PER_SEC / 128);
	set_cmos(0x0a, 0x20);
	CHECK_EQ(rtc_deadline(&rtc), 0);	/* rate 0 is off */
}

static void rtc_ram(void)
{
	start(LEAP_EVE);
	for (unsigned int i = 0x0e; i < 0x80; i++)
		if (i != RTC_CENTURY)
			set_cmos(i, i ^ 0x5a);
	for (unsigned int i = 0x0e; i < 0x80; i++)
		if (i != RTC_CENTURY)
			CHECK_EQ(cmos(i), i ^ 0x5a);
	set_cmos(0x8f, 0x11);
	CHECK_EQ(cmos(0x0f), 0x11);	/* the index's top bit is the NMI mask */
}

/* ---- power management ------------------------------------------------------------- */

static void pm_start(void)
{
	now = 5 * NS_PER_SEC;
	line = false;
	nr_off = 0;
	nr_reset = 0;
	pm_init(&pm, &pm_ops, NULL);
}

static void pm_button(void)
{
	pm_start();
	CHECK_EQ(pm_read(&pm, 4, 2) & 1, 1);	/* in ACPI mode */
	CHECK(!pm_power_button(&pm), "nobody listens");
	CHECK(!line);
	pm_write(&pm, 2, 2, 0x0100);
	CHECK(line);
	CHECK_EQ(pm_read(&pm, 0, 2), 0x0100);
	CHECK_EQ(pm_read(&pm, 2, 2), 0x0100);
	pm_write(&pm, 0, 2, 0x0001);
	CHECK(line, "only a one clears its own bit");
	pm_write(&pm, 0, 2, 0x0100);
	CHECK(!line);
	CHECK(pm_power_button(&pm));
	CHECK(line);
	pm_write(&pm, 3, 1, 0);
	CHECK(!line, "byte access to the enable register");
	CHECK_EQ(pm_read(&pm, 1, 1), 1);
	pm_write(&pm, 0, 2, 0xffff);
	pm_write(&pm, 2, 2, 0x0400);
	CHECK(!line);
	pm_rtc_event(&pm);
	CHECK(line);
	pm_write(&pm, 0, 2, 0x0400);
	CHECK(!line);
	pm_write(&pm, 2, 2, 0xffff);
	CHECK_EQ(pm_read(&pm, 2, 2) & 1, 0);	/* no timer carry */
}

static void pm_sleep(void)
{
	pm_start();
	pm_write(&pm, 4, 2, 5 << 10);
	CHECK_EQ(nr_off, 0);	/* no SLP_EN */
	for (unsigned int type = 0; type < 8; type++)
		if (type != 5)
			pm_write(&pm, 4, 2, type << 10 | 0x2000);
	CHECK_EQ(nr_off, 0);	/* no such state */
	pm_write(&pm, 4, 2, 5 << 10 | 0x2000);
	CHECK_EQ(nr_off, 1);
	CHECK_EQ(pm_read(&pm, 4, 2), 5 << 10 | 1);	/* SLP_EN reads 0 */
	pm_write(&pm, 4, 1, 0);
	pm_write(&pm, 5, 1, 0x34);
	CHECK_EQ(nr_off, 2);	/* by bytes */
}

static void pm_timer(void)
{
	u32 a, b;

	pm_start();
	a = pm_read(&pm, 8, 4);
	now += NS_PER_SEC;
	b = pm_read(&pm, 8, 4);
	CHECK_EQ(b - a, PM_TIMER_HZ);
	now = 1LL << 62;
	a = pm_read(&pm, 8, 4);
	now += 1000000;
	CHECK_EQ(pm_read(&pm, 8, 4) - a, 3579);
	pm_write(&pm, 8, 4, 0);
	CHECK_EQ(pm_read(&pm, 8, 4) - a, 3579);
}

static struct iobus make_bus(void)
{
	struct iobus bus = { .nr = 0 };
	const struct io_device devices[] = {
		{ "pm", PM1_EVT_PORT, PM_PORTS, 4, pm_read, pm_write, &pm },
		{ "pci", PCI_PORT, PCI_PORTS, 4, pci_read, pci_write, &pci },
		{ "reset", PM_RESET_PORT, 1, 1, pm_reset_read, pm_reset_write, &pm },
		{ "a20", PM_FAST_A20_PORT, 1, 1, pm_a20_read, pm_a20_write, &pm },
		{ "i8042", PM_I8042_STATUS, 1, 1, pm_i8042_read, pm_i8042_write, &pm },
		{ "rtc", 0x70, 2, 1, rtc_read, rtc_write, &rtc },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(devices); i++)
		CHECK_EQ(iobus_add(&bus, &devices[i]), 0);
	return bus;
}

static void resets(void)
{
	struct iobus bus = make_bus();

	pm_start();
	iobus_out(&bus, PM_RESET_PORT, 1, 0x02);
	iobus_out(&bus, 0xcf8, 4, 0x8000ffff);
	iobus_out(&bus, 0xcf8, 2, 0x0600);
	CHECK_EQ(nr_reset, 0);	/* a PCI address is no reset */
	iobus_out(&bus, PM_RESET_PORT, 1, 0x06);
	CHECK_EQ(nr_reset, 1);
	iobus_out(&bus, PM_FAST_A20_PORT, 1, 0x02);
	CHECK_EQ(nr_reset, 1);
	iobus_out(&bus, PM_FAST_A20_PORT, 1, 0x03);
	CHECK_EQ(nr_reset, 2);
	iobus_out(&bus, PM_I8042_STATUS, 1, 0xd1);
	CHECK_EQ(nr_reset, 2);
	iobus_out(&bus, PM_I8042_STATUS, 1, 0xfe);
	CHECK_EQ(nr_reset, 3);
	CHECK_EQ(iobus_in(&bus, PM_I8042_STATUS, 1), 0);
}

/* As Linux's pci_check_type1() and its walk over a bus do it. */
static void empty_pci(void)
{
	struct iobus bus = make_bus();

	pm_start();
	pci_init(&pci);
	CHECK_EQ(iobus_in(&bus, 0xcf8, 4), 0);
	iobus_out(&bus, 0xcfb, 1, 0x01);
	CHECK_EQ(iobus_in(&bus, 0xcf8, 4), 0);	/* a byte is no address */
	iobus_out(&bus, 0xcf8, 4, 0x80000000);
	CHECK_EQ(iobus_in(&bus, 0xcf8, 4), 0x80000000);
	iobus_out(&bus, 0xcf8, 4, 0xffffffff);
	CHECK_EQ(iobus_in(&bus, 0xcf8, 4), 0x80fffffc);
	CHECK_EQ(iobus_in(&bus, 0xcf8, 1), 0xff);	/* no mechanism 2 */
	CHECK_EQ(iobus_in(&bus, 0xcfa, 1), 0xff);
	for (u32 devfn = 0; devfn < 256; devfn++) {
		iobus_out(&bus, 0xcf8, 4, 0x80000000 | devfn << 8);
		CHECK_EQ(iobus_in(&bus, 0xcfc, 4), 0xffffffff);
		CHECK_EQ(iobus_in(&bus, 0xcfe, 2), 0xffff);
		CHECK_EQ(iobus_in(&bus, 0xcff, 1), 0xff);
		iobus_out(&bus, 0xcfc, 4, 0);
		CHECK_EQ(iobus_in(&bus, 0xcf8, 4), 0x80000000 | devfn << 8);
	}
	CHECK_EQ(nr_reset, 0);
}

static void bus(void)
{
	struct iobus bus = make_bus();
	const struct io_device overlap = { "x", 0x71, 2, 1, rtc_read, rtc_write, &rtc };
	const struct io_device same = { "x", PCI_PORT, PCI_PORTS, 1, rtc_read, rtc_write, &rtc };
	const struct io_device first = { "x", PCI_PORT, 1, 1, rtc_read, rtc_write, &rtc };
	const struct io_device wraps = { "x", 0xffff, 2, 1, rtc_read, rtc_write, &rtc };
	const struct io_device empty = { "x", 0x10, 0, 1, rtc_read, rtc_write, &rtc };

	CHECK(iobus_add(&bus, &overlap) < 0);
	CHECK(iobus_add(&bus, &same) < 0);
	CHECK(iobus_add(&bus, &first) < 0);
	CHECK(iobus_add(&bus, &wraps) < 0);
	CHECK(iobus_add(&bus, &empty) < 0);
	CHECK_EQ(iobus_in(&bus, 0x1234, 1), 0xff);
	CHECK_EQ(iobus_in(&bus, 0x1234, 2), 0xffff);
	CHECK_EQ(iobus_in(&bus, 0x1234, 4), 0xffffffff);
	start(LEAP_EVE);
	/* A word to a byte device is two bytes: index and data at once. */
	iobus_out(&bus, 0x70, 2, 0x770e);
	CHECK_EQ(cmos(0x0e), 0x77);
	CHECK_EQ(iobus_in(&bus, 0x70, 2), 0x77ff);
	CHECK_EQ(iobus_in(&bus, 0x71, 4), 0xffffff77);	/* beyond the device: ones */
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(rtc_reads), KTAP_TEST(rtc_formats), KTAP_TEST(rtc_uip),
		KTAP_TEST(rtc_set), KTAP_TEST(rtc_update_interrupt), KTAP_TEST(rtc_alarm),
		KTAP_TEST(rtc_periodic), KTAP_TEST(rtc_ram), KTAP_TEST(pm_button),
		KTAP_TEST(pm_sleep), KTAP_TEST(pm_timer), KTAP_TEST(resets),
		KTAP_TEST(empty_pci), KTAP_TEST(bus),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
