// SPDX-License-Identifier: GPL-2.0
/*
 * The bus tables: looked up without a lock by every port and MMIO access that
 * the kernel may claim, copied and replaced when a device comes or goes.  It
 * must not know what a device does.
 */
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include "core/iobus.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* A table without devices, for buses that have none: never freed. */
static struct keel_iobus empty_bus;

static long bus_bytes(u32 nr)
{
	return (long)struct_size((struct keel_iobus *)NULL, entries, nr);
}

static struct keel_iobus *bus_alloc(u32 nr)
{
	struct keel_iobus *bus = kmalloc(bus_bytes(nr), GFP_KERNEL_ACCOUNT);

	if (bus) {
		bus->nr = nr;
		keel_account(bus_bytes(nr));
	}
	return bus;
}

static void bus_free(struct keel_iobus *bus)
{
	if (bus == &empty_bus)
		return;
	keel_account(-bus_bytes(bus->nr));
	kfree(bus);
}

static void bus_free_rcu(struct rcu_head *rcu)
{
	bus_free(container_of(rcu, struct keel_iobus, rcu));
}

static struct keel_iobus *bus_locked(struct keel_vm *vm, enum keel_bus bus)
{
	return rcu_dereference_protected(vm->bus[bus], lockdep_is_held(&vm->lock));
}

/* vm->lock held: readers see @new from now on, @old goes when the last one left it. */
static void bus_publish(struct keel_vm *vm, enum keel_bus bus, struct keel_iobus *old,
			struct keel_iobus *new)
{
	keel_iobus_set_reach(new->entries, new->nr);
	rcu_assign_pointer(vm->bus[bus], new);
	if (old != &empty_bus)
		call_srcu(&keel_srcu, &old->rcu, bus_free_rcu);
}

int keel_iobus_init(struct keel_vm *vm)
{
	int i;

	for (i = 0; i < KEEL_NR_BUSES; i++)
		RCU_INIT_POINTER(vm->bus[i], &empty_bus);
	return 0;
}

void keel_iobus_fini(struct keel_vm *vm)
{
	int i;

	for (i = 0; i < KEEL_NR_BUSES; i++) {
		bus_free(rcu_dereference_protected(vm->bus[i], true));
		RCU_INIT_POINTER(vm->bus[i], &empty_bus);
	}
}

int keel_iobus_add(struct keel_vm *vm, enum keel_bus bus, struct keel_iodev *dev)
{
	struct keel_iobus *old = bus_locked(vm, bus), *new;
	u32 i, at, nr = 0;

	for (i = 0; i < old->nr; i++)
		nr += !!old->entries[i].dev;
	if (nr >= KEEL_MAX_IODEVS)
		return -ENOSPC;
	new = bus_alloc(nr + 1);
	if (!new)
		return -ENOMEM;
	/* Behind those of the same address, and without the holes of failed removals. */
	at = keel_iobus_below(old->entries, old->nr, dev->addr);
	for (i = 0, nr = 0; i < at; i++)
		if (old->entries[i].dev)
			new->entries[nr++] = old->entries[i];
	new->entries[nr++] = (struct keel_iobus_entry){
		.addr = dev->addr,
		.last = dev->addr + (dev->len - 1),
		.dev = dev,
	};
	for (; i < old->nr; i++)
		if (old->entries[i].dev)
			new->entries[nr++] = old->entries[i];
	bus_publish(vm, bus, old, new);
	return 0;
}

int keel_iobus_remove(struct keel_vm *vm, enum keel_bus bus, struct keel_iodev *dev)
{
	struct keel_iobus *old = bus_locked(vm, bus), *new;
	u32 i, at = old->nr, nr = 0;

	for (i = 0; i < old->nr; i++) {
		if (old->entries[i].dev == dev)
			at = i;
		else if (old->entries[i].dev)
			nr++;
	}
	if (at == old->nr)
		return -ENOENT;
	/* Without devices it is as it was before the first one. */
	new = nr ? bus_alloc(nr) : &empty_bus;
	if (!new) {
		/* Leaves a hole: what cannot fail in memory's need is to remove a device. */
		WRITE_ONCE(old->entries[at].dev, NULL);
		return 0;
	}
	for (i = 0, nr = 0; i < old->nr; i++)
		if (i != at && old->entries[i].dev)
			new->entries[nr++] = old->entries[i];
	bus_publish(vm, bus, old, new);
	return 0;
}

/* ---- access ------------------------------------------------------------------ */

/*
 * Asks every device whose range holds @addr, the nearest one first.  An access
 * is its device's by where it starts; a device sees to its own end.
 */
static __always_inline int bus_access(struct keel_vcpu *vcpu, enum keel_bus which, u64 addr,
				      u32 len, u64 *val, bool write)
{
	int idx, ret = -EOPNOTSUPP;
	const struct keel_iobus *bus;
	struct keel_iodev *dev;
	u32 n;

	idx = srcu_read_lock(&keel_srcu);
	bus = srcu_dereference(vcpu->vm->bus[which], &keel_srcu);
	n = keel_iobus_below(bus->entries, bus->nr, addr);
	while (ret == -EOPNOTSUPP && (dev = keel_iobus_next(bus->entries, &n, addr)) != NULL)
		ret = write ? dev->ops->write(vcpu, dev, addr, len, *val) :
			      dev->ops->read(vcpu, dev, addr, len, val);
	srcu_read_unlock(&keel_srcu, idx);
	return ret;
}

int keel_iobus_read(struct keel_vcpu *vcpu, enum keel_bus bus, u64 addr, u32 len, u64 *val)
{
	return bus_access(vcpu, bus, addr, len, val, false);
}

int keel_iobus_write(struct keel_vcpu *vcpu, enum keel_bus bus, u64 addr, u32 len, u64 val)
{
	return bus_access(vcpu, bus, addr, len, &val, true);
}
