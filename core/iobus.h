/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who claims a port or a guest-physical address inside the kernel: a sorted
 * table per bus, read without a lock.  It must not know what a device does.
 */
#ifndef KEEL_CORE_IOBUS_H
#define KEEL_CORE_IOBUS_H

#include <linux/rcupdate.h>
#include "core/iobus_table.h"
#include "core/types.h"

struct keel_vm;
struct keel_vcpu;
struct keel_iodev;

enum keel_bus { KEEL_BUS_PIO, KEEL_BUS_MMIO, KEEL_NR_BUSES };

#define KEEL_MAX_IODEVS		1024

/* Called in the vCPU's owner thread, preemptible or in the entry loop with
 * IRQs off: must not sleep.  0, or -EOPNOTSUPP: not mine after all.  @len is 1
 * to 8 and may run beyond the device's end; @val has @len valid bytes.
 */
struct keel_iodev_ops {
	int (*read)(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len, u64 *val);
	int (*write)(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len, u64 val);
};

/* Embedded in its device.  @addr and @len are constant while registered. */
struct keel_iodev {
	const struct keel_iodev_ops *ops;
	u64 addr;
	u64 len;		/* bytes claimed, not 0: an access that starts here is its */
};

/* Sorted by addr; published under SRCU, replaced under vm->lock. */
struct keel_iobus {
	struct rcu_head rcu;
	u32 nr;
	struct keel_iobus_entry entries[];
};

int keel_iobus_init(struct keel_vm *vm);
void keel_iobus_fini(struct keel_vm *vm);

/*
 * [task, vm->lock] 0, -ENOSPC, -ENOMEM.  Devices may overlap (doorbells that
 * differ by datamatch): all are asked, the one that begins nearest below the
 * access first, until one claims it.  Removal fails only with -ENOENT; after it
 * the device may be freed by call_srcu(&keel_srcu, ...) only.
 */
int keel_iobus_add(struct keel_vm *vm, enum keel_bus bus, struct keel_iodev *dev);
int keel_iobus_remove(struct keel_vm *vm, enum keel_bus bus, struct keel_iodev *dev);

/* [vCPU owner, takes SRCU itself] 0: done; -EOPNOTSUPP: nobody here */
int keel_iobus_read(struct keel_vcpu *vcpu, enum keel_bus bus, u64 addr, u32 len, u64 *val);
int keel_iobus_write(struct keel_vcpu *vcpu, enum keel_bus bus, u64 addr, u32 len, u64 val);

#endif /* KEEL_CORE_IOBUS_H */
