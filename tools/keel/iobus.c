// SPDX-License-Identifier: GPL-2.0
/*
 * The launcher's I/O ports as a table. It must not know what a device does,
 * nor how an access came here.
 */
#include <errno.h>

#include "iobus.h"

/* Wholly behind the first port of @outer: who asks there does not mean @inner. */
static bool inside(const struct io_device *inner, const struct io_device *outer)
{
	return inner->base > outer->base &&
	       (u32)inner->base + inner->len <= (u32)outer->base + outer->len;
}

int iobus_add(struct iobus *bus, const struct io_device *device)
{
	u32 end = (u32)device->base + device->len;

	if (!device->len || end > 0x10000)
		return -EINVAL;
	for (unsigned int i = 0; i < bus->nr; i++) {
		const struct io_device *other = &bus->device[i];

		if (device->base < (u32)other->base + other->len && other->base < end &&
		    !inside(device, other) && !inside(other, device))
			return -EEXIST;
	}
	if (bus->nr == IOBUS_MAX)
		return -ENOSPC;
	bus->device[bus->nr++] = *device;
	return 0;
}

/*
 * The first port decides, and of two devices the inner one. So a dword to the
 * PCI address port 0xcf8 does not hit the reset register, and a byte to 0xcf9
 * hits nothing else.
 */
static const struct io_device *find(const struct iobus *bus, u16 port)
{
	const struct io_device *found = NULL;

	for (unsigned int i = 0; i < bus->nr; i++) {
		const struct io_device *d = &bus->device[i];

		if (port >= d->base && port - d->base < d->len &&
		    (!found || d->len < found->len))
			found = d;
	}
	return found;
}

static bool fits(const struct io_device *d, unsigned int offset, unsigned int size)
{
	return size <= d->width && offset + size <= d->len;
}

u32 iobus_in(const struct iobus *bus, u16 port, unsigned int size)
{
	const u32 ones = size == 4 ? ~0U : (1U << size * 8) - 1;
	const struct io_device *d = find(bus, port);
	unsigned int offset;
	u32 value = ones;

	if (!d)
		return ones;
	offset = port - d->base;
	if (fits(d, offset, size))
		return d->read(d->dev, offset, size) & ones;
	for (unsigned int i = 0; i < size && offset + i < d->len; i++) {
		value &= ~(0xffU << i * 8);
		value |= (d->read(d->dev, offset + i, 1) & 0xff) << i * 8;
	}
	return value;
}

void iobus_out(const struct iobus *bus, u16 port, unsigned int size, u32 value)
{
	const struct io_device *d = find(bus, port);
	unsigned int offset;

	if (!d)
		return;
	offset = port - d->base;
	if (fits(d, offset, size)) {
		d->write(d->dev, offset, size, value);
		return;
	}
	for (unsigned int i = 0; i < size && offset + i < d->len; i++)
		d->write(d->dev, offset + i, 1, value >> i * 8 & 0xff);
}
