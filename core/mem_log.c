// SPDX-License-Identifier: GPL-2.0
/*
 * Logs of what was written to a slot: their life, marks from outside of stage 2,
 * and KEEL_DIRTY_GET.  It must not know how a guest's write comes to be noticed.
 */
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <linux/keel.h>
#include "core/mem.h"
#include "core/stats.h"
#include "core/vm.h"
#include "ept/ept.h"

static size_t log_size(u64 npages)
{
	return size_add(sizeof(struct keel_dirty_log),
			array_size(BITS_TO_LONGS(npages), sizeof(long)));
}

struct keel_dirty_log *keel_log_new(u64 npages)
{
	struct keel_dirty_log *log;

	/* No warning: a slot may be larger than what the kernel can have a log for. */
	log = kvzalloc(log_size(npages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!log)
		return NULL;
	refcount_set(&log->refs, 1);
	log->npages = npages;
	keel_account(log_size(npages));
	return log;
}

void keel_log_put(struct keel_dirty_log *log)
{
	if (!log || !refcount_dec_and_test(&log->refs))
		return;
	keel_account(-(long)log_size(log->npages));
	kvfree(log);
}

void keel_log_gfn(struct keel_vm *vm, gfn_t gfn)
{
	const struct keel_slot *slot = keel_mem_slot(vm, gfn);

	if (slot && slot->log)
		keel_log_set(slot->log, gfn - slot->base);
}

/* What one call works on. */
struct log_get {
	gfn_t gfn;
	u64 npages;
	size_t size;			/* bytes of @bits, whole words */
	unsigned long *bits;		/* what was taken */
	struct keel_dirty_log *log;	/* with a reference */
	u64 first;			/* page of the log that is bit 0 */
};

static int log_get_check(const struct keel_dirty_get *arg, struct log_get *get)
{
	u64 end;

	if ((arg->gpa | arg->len) & (KEEL_PAGE_SIZE - 1))
		return -EINVAL;
	if (!arg->len || check_add_overflow(arg->gpa, arg->len, &end))
		return -EINVAL;
	get->gfn = keel_gpa_to_gfn(arg->gpa);
	get->npages = arg->len >> KEEL_PAGE_SHIFT;
	get->size = BITS_TO_LONGS(get->npages) * sizeof(long);
	return arg->bitmap_size < get->size ? -EINVAL : 0;
}

/* [vm->lock] */
static int log_get_take(struct keel_vm *vm, struct log_get *get, u64 *count)
{
	const struct keel_memmap *map;
	const struct keel_slot *slot = NULL;
	u32 i;

	map = rcu_dereference_protected(vm->memmap, lockdep_is_held(&vm->lock));
	for (i = 0; map && i < map->nr && !slot; i++)
		if (map->slots[i].base + map->slots[i].npages > get->gfn)
			slot = &map->slots[i];
	if (!slot || slot->base > get->gfn ||
	    slot->base + slot->npages - get->gfn < get->npages)
		return -ENOENT;
	if (!slot->log)
		return -ENODATA;
	get->bits = kvzalloc(get->size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!get->bits)
		return -ENOMEM;
	get->log = keel_log_get(slot->log);
	get->first = get->gfn - slot->base;
	*count = s2_log_collect(vm, slot, get->first, get->first + get->npages - 1, get->bits);
	return 0;
}

/* The caller did not get them: they are for the next one. */
static void log_get_undo(struct log_get *get)
{
	unsigned long bit;

	for_each_set_bit(bit, get->bits, get->npages)
		keel_log_set(get->log, get->first + bit);
}

int keel_dirty_get(struct keel_vm *vm, struct keel_dirty_get *arg)
{
	struct log_get get = { };
	int err;

	arg->count = 0;
	if (!(vm->features & KEEL_FEAT_DIRTY_LOG))
		return -EOPNOTSUPP;
	err = log_get_check(arg, &get);
	if (err)
		return err;
	if (mutex_lock_killable(&vm->lock))
		return -EINTR;
	err = READ_ONCE(vm->bugged) ? -EIO : log_get_take(vm, &get, &arg->count);
	mutex_unlock(&vm->lock);
	if (err)
		return err;
	/* Without the lock: the bitmap may be anything that the launcher can map. */
	if (copy_to_user(u64_to_user_ptr(arg->bitmap), get.bits, get.size)) {
		log_get_undo(&get);
		arg->count = 0;
		err = -EFAULT;
	}
	kvfree(get.bits);
	keel_log_put(get.log);
	return err;
}
