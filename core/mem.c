// SPDX-License-Identifier: GPL-2.0
/*
 * The map of slots: looked up by everybody, changed as a whole.  And the
 * kernel's own reads and writes of guest memory, through the launcher's
 * addresses.  It must not know stage-2 tables beyond holding and forgetting
 * ranges of them.
 */
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <linux/keel.h>
#include "core/mem.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "ept/ept.h"

/* ---- lookup --------------------------------------------------------------- */

/* Index of the first slot that ends beyond @gfn, or @nr. */
static u32 mem_search(const struct keel_slot *slots, u32 nr, gfn_t gfn)
{
	u32 low = 0, high = nr;

	while (low < high) {
		u32 mid = (low + high) / 2;

		if (slots[mid].base + slots[mid].npages > gfn)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static const struct keel_slot *mem_find(const struct keel_memmap *map, gfn_t gfn)
{
	u32 i;

	if (!map)
		return NULL;
	i = mem_search(map->slots, map->nr, gfn);
	return i < map->nr && map->slots[i].base <= gfn ? &map->slots[i] : NULL;
}

const struct keel_slot *keel_mem_slot(struct keel_vm *vm, gfn_t gfn)
{
	return mem_find(srcu_dereference(vm->memmap, &keel_srcu), gfn);
}

/* ---- change: on a copy -------------------------------------------------------- */

/* Slots while the operations of one commit are applied to them. */
struct mem_edit {
	struct keel_slot *slots;
	u32 nr;
	u32 room;
	u64 gpa_end;		/* first byte that no slot can have */
	bool may_log;		/* KEEL_FEAT_DIRTY_LOG */
};

unsigned int keel_gpa_bits(void)
{
	return min_t(unsigned int, boot_cpu_data.x86_phys_bits, pgtable_l5_enabled() ? 52 : 48);
}

static u64 mem_gpa_end(struct keel_vm *vm)
{
	return min(1ULL << keel_gpa_bits(), keel_gfn_to_gpa(s2_gfn_limit(&vm->s2.t)));
}

/* The checks that all operations share. */
static int mem_check(const struct mem_edit *edit, const struct keel_mem_op *op)
{
	u64 end;

	if ((op->gpa | op->len | op->hva) & (KEEL_PAGE_SIZE - 1))
		return -EINVAL;
	if (!op->len || check_add_overflow(op->gpa, op->len, &end) || end > edit->gpa_end)
		return -EINVAL;
	if (op->flags & ~(KEEL_MEM_READONLY | KEEL_MEM_LOG_DIRTY))
		return -EINVAL;
	return (op->flags & KEEL_MEM_LOG_DIRTY) && !edit->may_log ? -EOPNOTSUPP : 0;
}

/* The slot that @op names by its exact range, or -ENOENT. */
static int mem_named(const struct mem_edit *edit, const struct keel_mem_op *op, u32 *index)
{
	gfn_t base = keel_gpa_to_gfn(op->gpa);
	const struct keel_slot *slot;

	*index = mem_search(edit->slots, edit->nr, base);
	if (*index == edit->nr)
		return -ENOENT;
	slot = &edit->slots[*index];
	if (slot->base != base || slot->npages != op->len >> KEEL_PAGE_SHIFT)
		return -ENOENT;
	return 0;
}

static int mem_op_map(struct mem_edit *edit, const struct keel_mem_op *op)
{
	struct keel_slot slot = {
		.base = keel_gpa_to_gfn(op->gpa),
		.npages = op->len >> KEEL_PAGE_SHIFT,
		.hva = op->hva,
		.flags = op->flags,
	};
	u64 end;
	u32 i;

	if (check_add_overflow(op->hva, op->len, &end) || end > TASK_SIZE_MAX ||
	    !access_ok((void __user *)slot.hva, op->len))
		return -EINVAL;
	i = mem_search(edit->slots, edit->nr, slot.base);
	if (i < edit->nr && edit->slots[i].base < slot.base + slot.npages)
		return -EEXIST;
	if (edit->nr == edit->room)
		return -ENOSPC;
	memmove(&edit->slots[i + 1], &edit->slots[i], (edit->nr - i) * sizeof(slot));
	edit->slots[i] = slot;
	edit->nr++;
	return 0;
}

static int mem_op_unmap(struct mem_edit *edit, const struct keel_mem_op *op)
{
	int err;
	u32 i;

	if (op->flags || op->hva)
		return -EINVAL;
	err = mem_named(edit, op, &i);
	if (err)
		return err;
	edit->nr--;
	memmove(&edit->slots[i], &edit->slots[i + 1], (edit->nr - i) * sizeof(edit->slots[0]));
	return 0;
}

static int mem_op_protect(struct mem_edit *edit, const struct keel_mem_op *op)
{
	int err;
	u32 i;

	if (op->hva)
		return -EINVAL;
	err = mem_named(edit, op, &i);
	if (err)
		return err;
	edit->slots[i].flags = op->flags;
	return 0;
}

static int (*const mem_ops[])(struct mem_edit *edit, const struct keel_mem_op *op) = {
	[KEEL_MEM_MAP] = mem_op_map,
	[KEEL_MEM_UNMAP] = mem_op_unmap,
	[KEEL_MEM_PROTECT] = mem_op_protect,
};

static int mem_apply(struct mem_edit *edit, const struct keel_mem_op *op)
{
	int err;

	if (op->op >= ARRAY_SIZE(mem_ops) || !mem_ops[op->op])
		return -EINVAL;
	err = mem_check(edit, op);
	return err ? err : mem_ops[op->op](edit, op);
}

/* The slot of @map with the place of @slot, both in the guest and in the launcher, or NULL. */
static const struct keel_slot *mem_same(const struct keel_memmap *map,
					const struct keel_slot *slot)
{
	const struct keel_slot *same = mem_find(map, slot->base);

	return same && same->base == slot->base && same->npages == slot->npages &&
	       same->hva == slot->hva ? same : NULL;
}

/* Logs for the slots of @map that want one: a slot that had one keeps it. */
static int mem_attach_logs(struct keel_memmap *map, const struct keel_memmap *old)
{
	u32 i;

	for (i = 0; i < map->nr; i++) {
		struct keel_slot *slot = &map->slots[i];
		const struct keel_slot *same;

		if (!(slot->flags & KEEL_MEM_LOG_DIRTY))
			continue;
		same = mem_same(old, slot);
		slot->log = same && same->log ? keel_log_get(same->log) :
						keel_log_new(slot->npages);
		if (!slot->log)
			return -ENOMEM;
	}
	return 0;
}

static void mem_free(struct keel_memmap *map)
{
	u32 i;

	if (!map)
		return;
	for (i = 0; i < map->nr; i++)
		keel_log_put(map->slots[i].log);
	keel_account(-(long)struct_size(map, slots, map->nr));
	kfree(map);
}

/* The map after @ops, or an ERR_PTR.  *@bad as of keel_mem_commit(). */
static struct keel_memmap *mem_build(struct keel_vm *vm, const struct keel_memmap *old,
				     const struct keel_mem_op *ops, u32 nr, u32 *bad)
{
	struct mem_edit edit = {
		.room = KEEL_MAX_SLOTS, .gpa_end = mem_gpa_end(vm),
		.may_log = vm->features & KEEL_FEAT_DIRTY_LOG,
	};
	struct keel_memmap *map;
	int err = 0;
	u32 i;

	edit.slots = kvmalloc_array(edit.room, sizeof(*edit.slots), GFP_KERNEL);
	if (!edit.slots)
		return ERR_PTR(-ENOMEM);
	if (old) {
		edit.nr = old->nr;
		memcpy(edit.slots, old->slots, edit.nr * sizeof(*edit.slots));
	}
	for (i = 0; i < nr && !err; i++) {
		*bad = i;
		err = mem_apply(&edit, &ops[i]);
	}
	map = ERR_PTR(err);
	if (err)
		goto out;
	*bad = 0;
	map = kmalloc(struct_size(map, slots, edit.nr), GFP_KERNEL_ACCOUNT);
	if (!map) {
		map = ERR_PTR(-ENOMEM);
		goto out;
	}
	map->nr = edit.nr;
	memcpy(map->slots, edit.slots, edit.nr * sizeof(*edit.slots));
	for (i = 0; i < map->nr; i++)
		map->slots[i].log = NULL;
	keel_account(struct_size(map, slots, map->nr));
	err = mem_attach_logs(map, old);
	if (err) {
		mem_free(map);
		map = ERR_PTR(err);
	}
out:
	kvfree(edit.slots);
	return map;
}

/* ---- change: published ----------------------------------------------------------- */

static void mem_free_srcu(struct rcu_head *rcu)
{
	mem_free(container_of(rcu, struct keel_memmap, rcu));
}

/* What a new map means for the leaves of an old slot, beyond keeping them. */
#define MEM_PROTECT	BIT(0)		/* no write any more */
#define MEM_LOG		BIT(1)		/* no write unlogged any more */
#define MEM_DROP	BIT(2)		/* they go */

static u32 mem_fate(const struct keel_slot *old, const struct keel_memmap *map)
{
	const struct keel_slot *slot = mem_same(map, old);
	u32 fate = 0;

	/* A log that ends has left small leaves behind: the next faults map large ones. */
	if (!slot || (old->log && !slot->log))
		return MEM_DROP;
	/* The other way round the next write faults and gets its permission. */
	if (slot->flags & ~old->flags & KEEL_MEM_READONLY)
		fate |= MEM_PROTECT;
	if (slot->log && !old->log)
		fate |= MEM_LOG;
	return fate;
}

/*
 * Hold what @map takes away or wants to be logged, and take the former from
 * stage 2.  True: held, so that s2_release() is owed after @map is published.
 *
 * The order is that of struct keel_s2.  Zapping comes before publishing, because
 * the mmu notifier finds leaves through the published map; the release comes
 * after it, because a fault that looked at the old map must not install.
 */
static bool mem_take_away(struct keel_vm *vm, const struct keel_memmap *old,
			  const struct keel_memmap *map)
{
	hva_t start = ULONG_MAX, end = 0;
	u32 i;

	for (i = 0; old && i < old->nr; i++) {
		const struct keel_slot *slot = &old->slots[i];

		if (!mem_fate(slot, map))
			continue;
		start = min(start, slot->hva);
		end = max(end, keel_slot_hva(slot, slot->base + slot->npages));
	}
	if (!end)
		return false;

	s2_hold(vm, start, end);
	for (i = 0; i < old->nr; i++) {
		const struct keel_slot *slot = &old->slots[i];
		gfn_t last = slot->base + slot->npages - 1;
		u32 fate = mem_fate(slot, map);

		if (fate & MEM_DROP)
			s2_unmap(vm, slot->base, last);
		if (fate & MEM_PROTECT)
			s2_protect(vm, slot->base, last);
	}
	return true;
}

/*
 * After @map is published: a write that is seen before would find no log, and
 * its page would be left as one whose writes are seen already.
 */
static void mem_begin_logs(struct keel_vm *vm, const struct keel_memmap *old,
			   const struct keel_memmap *map)
{
	u32 i;

	for (i = 0; old && i < old->nr; i++) {
		const struct keel_slot *slot = &old->slots[i];

		if (mem_fate(slot, map) & MEM_LOG)
			s2_log_begin(vm, slot->base, slot->base + slot->npages - 1);
	}
}

/* Where CPUs log writes by themselves: on while there is a slot to be logged. */
static void mem_switch_log(struct keel_vm *vm, bool on)
{
	if (vm->log_dirty == on || !vm->s2.t.hw_log)
		return;
	WRITE_ONCE(vm->log_dirty, on);
	keel_vm_request_wait(vm, KEEL_REQ_LOG);
}

static bool mem_wants_log(const struct keel_memmap *map)
{
	u32 i;

	for (i = 0; i < map->nr; i++)
		if (map->slots[i].log)
			return true;
	return false;
}

int keel_mem_commit(struct keel_vm *vm, const struct keel_mem_op *ops, u32 nr, u32 *bad)
{
	struct keel_memmap *old, *map;
	bool held, log;
	int apic;

	old = rcu_dereference_protected(vm->memmap, lockdep_is_held(&vm->lock));
	map = mem_build(vm, old, ops, nr, bad);
	if (IS_ERR(map))
		return PTR_ERR(map);

	log = mem_wants_log(map);
	/* A slot comes before the LAPIC's page. */
	apic = !!mem_find(map, S2_APIC_GFN) - (old && mem_find(old, S2_APIC_GFN));
	if (apic > 0) {
		s2_apic_veto(&vm->s2, true);
		s2_apic_drop(vm);
	}
	held = mem_take_away(vm, old, map);
	/* Before the first leaf that relies on it. */
	if (log)
		mem_switch_log(vm, true);
	rcu_assign_pointer(vm->memmap, map);
	mem_begin_logs(vm, old, map);
	if (held)
		s2_release(vm);
	if (apic < 0)
		s2_apic_veto(&vm->s2, false);
	if (!log)
		mem_switch_log(vm, false);
	if (old)
		call_srcu(&keel_srcu, &old->rcu, mem_free_srcu);
	return 0;
}

int keel_mem_init(struct keel_vm *vm)
{
	/* No map is the empty one. */
	RCU_INIT_POINTER(vm->memmap, NULL);
	return 0;
}

void keel_mem_fini(struct keel_vm *vm)
{
	mem_free(rcu_replace_pointer(vm->memmap, NULL, true));
}

/* ---- the kernel's own accesses --------------------------------------------------- */

/*
 * The launcher's address of @gpa, and how many bytes follow it in the slot.
 * 0 or -ENXIO.  The map may change right after: the address stays one of the
 * launcher's, and is only used as such.
 */
static int mem_resolve(struct keel_vm *vm, gpa_t gpa, bool write, void __user **ptr, u64 *len)
{
	gfn_t gfn = keel_gpa_to_gfn(gpa);
	unsigned long offset = keel_page_offset(gpa);
	const struct keel_slot *slot;
	int err = -ENXIO;
	int idx;

	idx = srcu_read_lock(&keel_srcu);
	slot = keel_mem_slot(vm, gfn);
	if (slot && !(write && (slot->flags & KEEL_MEM_READONLY))) {
		*ptr = (void __user *)(keel_slot_hva(slot, gfn) + offset);
		*len = keel_gfn_to_gpa(slot->base + slot->npages - gfn) - offset;
		err = 0;
	}
	srcu_read_unlock(&keel_srcu, idx);
	return err;
}

static noinline void mem_log_written(struct keel_vm *vm, gpa_t gpa, unsigned int len)
{
	gfn_t gfn = keel_gpa_to_gfn(gpa), last = keel_gpa_to_gfn(gpa + len - 1);
	int idx = srcu_read_lock(&keel_srcu);

	/* The write before its bit: pairs with who takes the bit, then reads the page. */
	smp_mb__before_atomic();
	for (; gfn <= last; gfn++)
		keel_log_gfn(vm, gfn);
	srcu_read_unlock(&keel_srcu, idx);
}

/*
 * After a write: a bit that was set before it could be taken before it.  The map
 * is looked at again; a slot that came meanwhile is reported without need.
 */
static void mem_written(struct keel_vm *vm, gpa_t gpa, unsigned int len)
{
	if (unlikely(vm->features & KEEL_FEAT_DIRTY_LOG))
		mem_log_written(vm, gpa, len);
}

int keel_guest_read(struct keel_vm *vm, gpa_t gpa, void *buf, unsigned int len)
{
	while (len) {
		void __user *ptr;
		unsigned int n;
		u64 room;
		int err = mem_resolve(vm, gpa, false, &ptr, &room);

		if (err)
			return err;
		n = min_t(u64, len, room);
		if (copy_from_user(buf, ptr, n))
			return -EFAULT;
		gpa += n;
		buf += n;
		len -= n;
	}
	return 0;
}

int keel_guest_write(struct keel_vm *vm, gpa_t gpa, const void *buf, unsigned int len)
{
	while (len) {
		void __user *ptr;
		unsigned int n;
		u64 room;
		int err = mem_resolve(vm, gpa, true, &ptr, &room);

		if (err)
			return err;
		n = min_t(u64, len, room);
		/* Some of it may be written even so. */
		if (copy_to_user(ptr, buf, n))
			err = -EFAULT;
		mem_written(vm, gpa, n);
		if (err)
			return err;
		gpa += n;
		buf += n;
		len -= n;
	}
	return 0;
}

/* One size of keel_guest_cmpxchg(), inside user_access_begin(). */
#define mem_try_cmpxchg(type, ptr, old, new, label) ({			\
	type __mem_old = (old);						\
									\
	unsafe_try_cmpxchg_user((type __user *)(ptr), &__mem_old, (type)(new), label); \
})

int keel_guest_cmpxchg(struct keel_vm *vm, gpa_t gpa, unsigned int size, u64 old, u64 new)
{
	void __user *ptr;
	bool done = false;
	u64 room;
	int err;

	if (!is_power_of_2(size) || size > sizeof(u64) || !IS_ALIGNED(gpa, size))
		return -EINVAL;
	err = mem_resolve(vm, gpa, true, &ptr, &room);
	if (err)
		return err;
	if (!user_access_begin(ptr, size))
		return -EFAULT;
	switch (size) {
	case 1:
		done = mem_try_cmpxchg(u8, ptr, old, new, fault);
		break;
	case 2:
		done = mem_try_cmpxchg(u16, ptr, old, new, fault);
		break;
	case 4:
		done = mem_try_cmpxchg(u32, ptr, old, new, fault);
		break;
	case 8:
		done = mem_try_cmpxchg(u64, ptr, old, new, fault);
		break;
	}
	user_access_end();
	if (done)
		mem_written(vm, gpa, size);
	return !done;
fault:
	user_access_end();
	return -EFAULT;
}
