/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The MC146818 real-time clock and its CMOS RAM. It must not know timers,
 * threads or a VM: the caller holds its lock, tells it the time, and comes
 * back at the moment that rtc_deadline() names.
 */
#ifndef KEEL_TOOL_RTC_H
#define KEEL_TOOL_RTC_H

#include "util.h"

#define RTC_CENTURY	0x32	/* CMOS index of the century, told to the guest in the FADT */

struct rtc_ops {
	s64 (*now)(void *ctx);			/* ns since 1970, UTC */
	void (*irq)(void *ctx, bool level);	/* on changes only */
	void (*rearm)(void *ctx);		/* rtc_deadline() may have changed */
};

struct rtc {
	const struct rtc_ops *ops;
	void *ctx;
	u8 index;
	u8 cmos[128];		/* time registers are current only while frozen */
	s64 offset;		/* guest's clock minus the host's, ns */
	s64 seen;		/* guest time up to which the flags of C are known */
	bool irq_level;
};

void rtc_init(struct rtc *rtc, const struct rtc_ops *ops, void *ctx);

/* Ports 0x70 (@offset 0) and 0x71 (1): the signatures of struct io_device. */
u32 rtc_read(void *dev, unsigned int offset, unsigned int size);
void rtc_write(void *dev, unsigned int offset, unsigned int size, u32 value);

/* Host time (ns, UTC) of the next enabled interrupt; 0: none. */
s64 rtc_deadline(struct rtc *rtc);
/* That time has come: raise what is due. */
void rtc_expire(struct rtc *rtc);

#endif /* KEEL_TOOL_RTC_H */
