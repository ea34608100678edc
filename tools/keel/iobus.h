/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The launcher's I/O ports: which device answers at which port. It must not
 * know what a device does, nor how an access came here.
 */
#ifndef KEEL_TOOL_IOBUS_H
#define KEEL_TOOL_IOBUS_H

#include "util.h"

#define IOBUS_MAX	16

struct io_device {
	const char *name;
	u16 base;
	u16 len;		/* ports */
	u8 width;		/* widest access it takes; wider ones come as bytes */
	u32 (*read)(void *dev, unsigned int offset, unsigned int size);
	void (*write)(void *dev, unsigned int offset, unsigned int size, u32 value);
	void *dev;
};

/* Filled before the guest runs, constant afterwards. */
struct iobus {
	struct io_device device[IOBUS_MAX];
	unsigned int nr;
};

/*
 * 0; -EEXIST: overlaps a device; -ENOSPC: too many; -EINVAL: wraps. A device
 * may lie inside a larger one, but not at its first port: it takes the accesses
 * that begin at its ports.
 */
int iobus_add(struct iobus *bus, const struct io_device *device);

/*
 * One guest access of @size (1, 2, 4) bytes. The device that owns @port gets
 * it; a port without one reads as all ones and drops writes.
 */
u32 iobus_in(const struct iobus *bus, u16 port, unsigned int size);
void iobus_out(const struct iobus *bus, u16 port, unsigned int size, u32 value);

#endif /* KEEL_TOOL_IOBUS_H */
