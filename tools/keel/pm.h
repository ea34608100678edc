/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Power management: the ACPI PM1 block with its power button, the PM timer,
 * and the three ways by which a PC is reset (0xcf9, port 0x92, the keyboard
 * controller). It must not know what power-off or reset lead to.
 */
#ifndef KEEL_TOOL_PM_H
#define KEEL_TOOL_PM_H

#include "util.h"

#define PM1_EVT_PORT	0x600	/* status and enable, 2 bytes each */
#define PM1_CNT_PORT	0x604	/* 2 bytes */
#define PM_TIMER_PORT	0x608	/* 4 bytes */
#define PM_PORTS	12	/* from PM1_EVT_PORT */
#define PM_RESET_PORT	0xcf9
#define PM_RESET_VALUE	0x06
#define PM_FAST_A20_PORT	0x92
#define PM_I8042_DATA	0x60
#define PM_I8042_STATUS	0x64
#define PM_S5_TYPE	5	/* SLP_TYP of power-off, told to the guest in \_S5_ */
#define PM_SCI		9	/* GSI */
#define PM_TIMER_HZ	3579545

struct pm_ops {
	s64 (*now)(void *ctx);			/* ns, monotonic */
	void (*sci)(void *ctx, bool level);	/* on changes only */
	void (*power_off)(void *ctx);
	void (*reset)(void *ctx);
};

struct pm {
	const struct pm_ops *ops;
	void *ctx;
	u16 status, enable, control;
	bool sci_level;
};

void pm_init(struct pm *pm, const struct pm_ops *ops, void *ctx);
/* Somebody presses the power button. False: the guest has not enabled it. */
bool pm_power_button(struct pm *pm);

/* The RTC has raised its interrupt: the chipset's wake status follows. */
void pm_rtc_event(struct pm *pm);

/* Signatures of struct io_device; offsets count from the block's first port. */
u32 pm_read(void *dev, unsigned int offset, unsigned int size);
void pm_write(void *dev, unsigned int offset, unsigned int size, u32 value);
u32 pm_reset_read(void *dev, unsigned int offset, unsigned int size);
void pm_reset_write(void *dev, unsigned int offset, unsigned int size, u32 value);
u32 pm_a20_read(void *dev, unsigned int offset, unsigned int size);
void pm_a20_write(void *dev, unsigned int offset, unsigned int size, u32 value);
u32 pm_i8042_read(void *dev, unsigned int offset, unsigned int size);
void pm_data_write(void *dev, unsigned int offset, unsigned int size, u32 value);
void pm_i8042_write(void *dev, unsigned int offset, unsigned int size, u32 value);

#endif /* KEEL_TOOL_PM_H */
