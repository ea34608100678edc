// SPDX-License-Identifier: GPL-2.0
/*
 * The machine's devices and their wires: which ports, which interrupt lines,
 * which host clock. It must not know how a device works inside, nor how a
 * guest's access arrives. All device state is under m->dev_lock.
 */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "console.h"
#include "machine.h"

#define COM1_PORT	0x3f8
#define COM1_GSI	4
#define RTC_PORT	0x70
#define RTC_GSI		8

static void set_line(struct machine *m, u32 gsi, bool level)
{
	int rc = vm_irq_line(&m->vm, gsi, level);

	if (rc < 0 && rc != -EIO)
		machine_end(m, END_LAUNCHER, "interrupt line %u: %s", gsi, strerror(-rc));
}

/* ---- UART ----------------------------------------------------------------- */

static void com1_transmit(void *ctx, u8 byte)
{
	(void)ctx;
	console_put(byte);
}

static void com1_irq(void *ctx, bool level)
{
	set_line(ctx, COM1_GSI, level);
}

/* Move what waits into the UART, as far as it has room. */
static void feed(struct machine *m)
{
	while (m->input_len && uart_room(&m->uart)) {
		u8 byte = m->input[m->input_head];

		m->input_head = (m->input_head + 1) % MACHINE_INPUT;
		m->input_len--;
		uart_receive(&m->uart, byte);
	}
}

static void com1_wanted(void *ctx)
{
	feed(ctx);
}

static const struct uart_ops com1_ops = {
	.transmit = com1_transmit, .irq = com1_irq, .wanted = com1_wanted,
};

size_t machine_input_room(struct machine *m)
{
	size_t room;

	pthread_mutex_lock(&m->dev_lock);
	room = MACHINE_INPUT - m->input_len;
	pthread_mutex_unlock(&m->dev_lock);
	return room;
}

void machine_input(struct machine *m, const u8 *data, size_t len)
{
	pthread_mutex_lock(&m->dev_lock);
	/* Beyond the ring it is lost, as on a line without flow control. */
	for (size_t i = 0; i < len && m->input_len < MACHINE_INPUT; i++)
		m->input[(m->input_head + m->input_len++) % MACHINE_INPUT] = data[i];
	feed(m);
	pthread_mutex_unlock(&m->dev_lock);
}

void machine_break(struct machine *m)
{
	pthread_mutex_lock(&m->dev_lock);
	uart_break(&m->uart);
	pthread_mutex_unlock(&m->dev_lock);
}

/* ---- RTC ------------------------------------------------------------------- */

static s64 rtc_now(void *ctx)
{
	(void)ctx;
	return now_realtime();
}

static void rtc_irq(void *ctx, bool level)
{
	struct machine *m = ctx;

	set_line(m, RTC_GSI, level);
	if (level)
		pm_rtc_event(&m->pm);
}

static void rtc_rearm(void *ctx)
{
	struct machine *m = ctx;
	s64 at = rtc_deadline(&m->rtc);
	struct itimerspec when = {
		.it_value = { .tv_sec = at / NS_PER_SEC, .tv_nsec = at % NS_PER_SEC },
	};

	if (at == m->rtc_armed)
		return;
	m->rtc_armed = at;
	timerfd_settime(m->rtc_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static const struct rtc_ops rtc_ops = {
	.now = rtc_now, .irq = rtc_irq, .rearm = rtc_rearm,
};

void machine_rtc_expired(struct machine *m)
{
	u64 count;

	/* A timer that was set anew meanwhile has nothing to read: no matter. */
	if (read(m->rtc_fd, &count, sizeof(count)) != sizeof(count))
		return;
	pthread_mutex_lock(&m->dev_lock);
	m->rtc_armed = 0;
	rtc_expire(&m->rtc);
	rtc_rearm(m);
	pthread_mutex_unlock(&m->dev_lock);
}

/* ---- power management -------------------------------------------------------- */

static s64 pm_now(void *ctx)
{
	(void)ctx;
	return now_monotonic();
}

static void pm_sci(void *ctx, bool level)
{
	set_line(ctx, PM_SCI, level);
}

static void pm_power_off(void *ctx)
{
	machine_end(ctx, END_POWER_OFF, "the guest powered off");
}

static void pm_reset(void *ctx)
{
	machine_end(ctx, END_REBOOT, "the guest rebooted");
}

static const struct pm_ops pm_ops = {
	.now = pm_now, .sci = pm_sci, .power_off = pm_power_off, .reset = pm_reset,
};

bool machine_power_button(struct machine *m)
{
	bool heard;

	pthread_mutex_lock(&m->dev_lock);
	heard = pm_power_button(&m->pm);
	pthread_mutex_unlock(&m->dev_lock);
	return heard;
}

/* ---- all ----------------------------------------------------------------------- */

void devices_reset(struct machine *m)
{
	pthread_mutex_lock(&m->dev_lock);
	/*
	 * A pipe's bytes wait until the guest has opened the port. A person
	 * sees when it is time to type, and a simple guest sets no RTS.
	 */
	m->uart.heed_rts = !console_interactive();
	uart_init(&m->uart, &com1_ops, m);
	rtc_init(&m->rtc, &rtc_ops, m);
	pm_init(&m->pm, &pm_ops, m);
	pci_init(&m->pci);
	rtc_rearm(m);
	pthread_mutex_unlock(&m->dev_lock);
}

int devices_init(struct machine *m)
{
	const struct io_device devices[] = {
		{ "com1", COM1_PORT, 8, 1, uart_read, uart_write, &m->uart },
		{ "rtc", RTC_PORT, 2, 1, rtc_read, rtc_write, &m->rtc },
		{ "pm", PM1_EVT_PORT, PM_PORTS, 4, pm_read, pm_write, &m->pm },
		{ "pci", PCI_PORT, PCI_PORTS, 4, pci_read, pci_write, &m->pci },
		{ "reset", PM_RESET_PORT, 1, 1, pm_reset_read, pm_reset_write, &m->pm },
		{ "a20", PM_FAST_A20_PORT, 1, 1, pm_a20_read, pm_a20_write, &m->pm },
		{ "i8042-data", PM_I8042_DATA, 1, 1, pm_i8042_read, pm_data_write, &m->pm },
		{ "i8042", PM_I8042_STATUS, 1, 1, pm_i8042_read, pm_i8042_write, &m->pm },
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(devices) && !rc; i++)
		rc = iobus_add(&m->bus, &devices[i]);
	return rc;
}
