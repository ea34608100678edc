// SPDX-License-Identifier: GPL-2.0
/*
 * Power management: PM1 block, PM timer, reset ports. It must not know what
 * power-off or reset lead to; the caller holds its lock.
 */
#include "pm.h"

#define STS_PWRBTN	0x0100
#define STS_WAKE	0x8000
#define STS_RTC		0x0400
#define STS_GLOBAL	0x0020
#define STS_MASK	(STS_PWRBTN | STS_RTC | STS_WAKE | STS_GLOBAL)
/*
 * Enable bits that stick. The timer's carry is not one of them: the timer is
 * 32 bits wide, and a bit that reads back 0 says that nothing would come.
 */
#define EN_MASK		(STS_PWRBTN | STS_RTC | STS_GLOBAL)

#define CNT_SCI_EN	0x0001
#define CNT_SLP_TYP	0x1c00
#define CNT_SLP_SHIFT	10
#define CNT_SLP_EN	0x2000

#define RESET_CPU	0x04	/* of 0xcf9 */
#define A20_RESET	0x01	/* of 0x92 */
#define A20_ON		0x02
#define I8042_PULSE_RESET	0xfe

static void update_sci(struct pm *pm)
{
	bool level = pm->status & pm->enable;

	if (level == pm->sci_level)
		return;
	pm->sci_level = level;
	pm->ops->sci(pm->ctx, level);
}

void pm_init(struct pm *pm, const struct pm_ops *ops, void *ctx)
{
	/* There is no SMI command port: the machine is in ACPI mode for good. */
	*pm = (struct pm){ .ops = ops, .ctx = ctx, .control = CNT_SCI_EN };
}

bool pm_power_button(struct pm *pm)
{
	pm->status |= STS_PWRBTN;
	update_sci(pm);
	return pm->enable & STS_PWRBTN;
}

void pm_rtc_event(struct pm *pm)
{
	pm->status |= STS_RTC;
	update_sci(pm);
}

/* As many ones as @size bytes have. */
static u32 ones(unsigned int size)
{
	return size == 4 ? ~0U : BIT(size * 8) - 1;
}

static u32 pm_timer(struct pm *pm)
{
	s64 now = pm->ops->now(pm->ctx);

	/* Seconds apart, so that the product stays inside 64 bits. */
	return now / NS_PER_SEC * PM_TIMER_HZ +
	       now % NS_PER_SEC * PM_TIMER_HZ / NS_PER_SEC;
}

u32 pm_read(void *dev, unsigned int offset, unsigned int size)
{
	struct pm *pm = dev;
	u32 word;

	switch (offset & ~3U) {
	case 0:
		word = pm->status | (u32)pm->enable << 16;
		break;
	case PM1_CNT_PORT - PM1_EVT_PORT:
		word = pm->control;
		break;
	default:
		word = pm_timer(pm);
	}
	return word >> (offset & 3) * 8 & ones(size);
}

static void write_control(struct pm *pm, u16 value)
{
	pm->control = (value & CNT_SLP_TYP) | CNT_SCI_EN;
	if (value & CNT_SLP_EN && (value & CNT_SLP_TYP) >> CNT_SLP_SHIFT == PM_S5_TYPE)
		pm->ops->power_off(pm->ctx);
}

void pm_write(void *dev, unsigned int offset, unsigned int size, u32 value)
{
	struct pm *pm = dev;
	unsigned int shift = (offset & 3) * 8;
	u32 mask, word;

	mask = ones(size) << shift;
	word = value << shift;
	switch (offset & ~3U) {
	case 0:
		pm->status &= ~(word & mask & STS_MASK);
		mask >>= 16;
		pm->enable = ((pm->enable & ~mask) | (word >> 16 & mask)) & EN_MASK;
		update_sci(pm);
		break;
	case PM1_CNT_PORT - PM1_EVT_PORT:
		write_control(pm, (pm->control & ~mask) | (word & mask));
		break;
	default:
		break;		/* the timer is read-only */
	}
}

u32 pm_reset_read(void *dev, unsigned int offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

void pm_reset_write(void *dev, unsigned int offset, unsigned int size, u32 value)
{
	struct pm *pm = dev;

	(void)offset;
	(void)size;
	if (value & RESET_CPU)
		pm->ops->reset(pm->ctx);
}

u32 pm_a20_read(void *dev, unsigned int offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return A20_ON;
}

void pm_a20_write(void *dev, unsigned int offset, unsigned int size, u32 value)
{
	struct pm *pm = dev;

	(void)offset;
	(void)size;
	if (value & A20_RESET)
		pm->ops->reset(pm->ctx);
}

/*
 * There is no keyboard controller, and the FADT says so. But who wants to
 * reset by it waits first for "input buffer empty": so 0, and not the all
 * ones of an absent device, which cost Linux 65536 polls.
 */
u32 pm_i8042_read(void *dev, unsigned int offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

/* The data port of the controller that is not there. */
void pm_data_write(void *dev, unsigned int offset, unsigned int size, u32 value)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)value;
}

void pm_i8042_write(void *dev, unsigned int offset, unsigned int size, u32 value)
{
	struct pm *pm = dev;

	(void)offset;
	(void)size;
	if ((value & 0xff) == I8042_PULSE_RESET)
		pm->ops->reset(pm->ctx);
}
