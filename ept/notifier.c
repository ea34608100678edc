// SPDX-License-Identifier: GPL-2.0
/*
 * What takes leaves away: the launcher's memory changes (mmu notifier), its map
 * of slots changes, or the VM ends.  It owns holding, zapping, flushing and the
 * life of the tables; it must not know how a leaf came to be.
 */
#include <linux/completion.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include "core/mem.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "ept/internal.h"

/*
 * The notifier outlives the VM: unregistering for good would wait for a grace
 * period, so it is cut off from the VM, which waits for callbacks that are
 * running, and freed by SRCU.
 */
struct s2_bind {
	struct mmu_notifier mn;
	spinlock_t lock;	/* innermost */
	struct keel_vm *vm;	/* @lock; NULL: cut off */
	unsigned int active;	/* @lock: callbacks that use @vm */
	struct completion idle;	/* cut off and the last of them has left */
};

/* ---- gather, flush, free -------------------------------------------------------- */

/* Still mapped by the launcher, so still its page; one mark does for a large one. */
void s2_mark_dirty(hpa_t hpa)
{
	unsigned long pfn = hpa >> PAGE_SHIFT;

	if (pfn_valid(pfn) && !PageReserved(pfn_to_page(pfn)))
		SetPageDirty(pfn_to_page(pfn));
}

static void s2_gather_leaf(void *ctx, hpa_t hpa, u8 level, bool dirty)
{
	struct keel_vm *vm = ctx;

	atomic_long_dec(&vm->s2.mapped[level - 1]);
	if (dirty)
		s2_mark_dirty(hpa);
}

void s2_gather_init(struct keel_vm *vm, struct s2_gather *g, bool may_sleep)
{
	*g = (struct s2_gather) {
		.zap = { .leaf = s2_gather_leaf, .ctx = vm },
		.may_sleep = may_sleep,
	};
}

void s2_gather_note(struct keel_s2 *s2, struct s2_gather *g)
{
	if (g->counted)
		return;
	/* Pairs with s2_gather_finish(): 0 means that their flush has happened. */
	if (atomic_read_acquire(&s2->flushing))
		g->flush = true;
	if (g->zap.removed || g->changed) {
		atomic_inc(&s2->flushing);
		g->counted = true;
	}
}

void s2_gather_break(struct keel_s2 *s2, struct s2_gather *g)
	__must_hold(&s2->lock)
{
	if (!need_resched() && !rwlock_needbreak(&s2->lock))
		return;
	s2_gather_note(s2, g);
	write_unlock(&s2->lock);
	if (g->may_sleep)
		cond_resched();
	else
		cpu_relax();
	write_lock(&s2->lock);
}

/* [write side; drops it now and then] */
static void s2_gather_zap(struct keel_s2 *s2, struct s2_gather *g, gfn_t first, gfn_t last)
{
	while (!s2_zap(&s2->t, &first, last, S2_BATCH, &g->zap))
		s2_gather_break(s2, g);
}

void s2_gather_finish(struct keel_vm *vm, struct s2_gather *g)
{
	struct keel_s2 *s2 = &vm->s2;
	unsigned long freed = 0;
	u64 *table;

	if ((g->counted || g->flush) && !g->no_vcpus)
		keel_vm_request_wait(vm, KEEL_REQ_FLUSH);
	if (g->counted) {
		/* The flush before the count: pairs with s2_gather_note(). */
		smp_mb__before_atomic();
		atomic_dec(&s2->flushing);
	}
	while ((table = s2_freed_pop(&g->zap))) {
		free_page((unsigned long)table);
		freed++;
	}
	if (freed) {
		atomic_long_sub(freed, &s2->tables);
		keel_account_stage2(-(long)(freed * PAGE_SIZE));
	}
}

/* ---- hold ------------------------------------------------------------------------ */

/* [write side] */
static void s2_hold_locked(struct keel_s2 *s2, hva_t start, hva_t end)
{
	if (s2->holders++) {
		s2->hold_start = min(s2->hold_start, start);
		s2->hold_end = max(s2->hold_end, end);
	} else {
		s2->hold_start = start;
		s2->hold_end = end;
	}
}

/* [write side] */
static void s2_release_locked(struct keel_vm *vm)
{
	struct keel_s2 *s2 = &vm->s2;

	/* What the holder changed before the sequence: pairs with s2_find_slot(). */
	smp_store_release(&s2->hold_seq, s2->hold_seq + 1);
	if (unlikely(--s2->holders < 0))
		keel_vm_bugged(vm, "stage-2 range released that nobody held");
}

void s2_hold(struct keel_vm *vm, hva_t start, hva_t end)
{
	write_lock(&vm->s2.lock);
	s2_hold_locked(&vm->s2, start, end);
	write_unlock(&vm->s2.lock);
}

void s2_release(struct keel_vm *vm)
{
	write_lock(&vm->s2.lock);
	s2_release_locked(vm);
	write_unlock(&vm->s2.lock);
}

void s2_unmap(struct keel_vm *vm, gfn_t first, gfn_t last)
{
	struct keel_s2 *s2 = &vm->s2;
	struct s2_gather g;

	s2_gather_init(vm, &g, true);
	write_lock(&s2->lock);
	s2_gather_zap(s2, &g, first, last);
	s2_gather_note(s2, &g);
	write_unlock(&s2->lock);
	s2_gather_finish(vm, &g);
}

void s2_protect(struct keel_vm *vm, gfn_t first, gfn_t last)
{
	struct keel_s2 *s2 = &vm->s2;
	struct s2_gather g;

	s2_gather_init(vm, &g, true);
	write_lock(&s2->lock);
	while (!s2_write_protect(&s2->t, &first, last, S2_BATCH, &g.changed))
		s2_gather_break(s2, &g);
	s2_gather_note(s2, &g);
	write_unlock(&s2->lock);
	s2_gather_finish(vm, &g);
}

/* ---- the mmu notifier ------------------------------------------------------------ */

static struct s2_bind *to_bind(struct mmu_notifier *mn)
{
	return container_of(mn, struct s2_bind, mn);
}

/* The VM, to be given back with s2_bind_put(), or NULL: it is gone. */
static struct keel_vm *s2_bind_get(struct mmu_notifier *mn)
{
	struct s2_bind *bind = to_bind(mn);
	struct keel_vm *vm;

	spin_lock(&bind->lock);
	vm = bind->vm;
	if (vm)
		bind->active++;
	spin_unlock(&bind->lock);
	return vm;
}

static void s2_bind_put(struct mmu_notifier *mn)
{
	struct s2_bind *bind = to_bind(mn);

	spin_lock(&bind->lock);
	if (!--bind->active && !bind->vm)
		complete(&bind->idle);
	spin_unlock(&bind->lock);
}

/*
 * The part of @slot that lies in [start, end) of the launcher's addresses, as
 * guest frames.  False: none.
 */
static bool s2_slot_overlap(const struct keel_slot *slot, hva_t start, hva_t end,
			    gfn_t *first, gfn_t *last)
{
	hva_t slot_end = slot->hva + (slot->npages << PAGE_SHIFT);

	start = max(start, slot->hva);
	end = min(end, slot_end);
	if (start >= end)
		return false;
	*first = slot->base + ((start - slot->hva) >> PAGE_SHIFT);
	*last = slot->base + ((end - 1 - slot->hva) >> PAGE_SHIFT);
	return true;
}

/*
 * [write side, SRCU; may drop the former now and then] What lies in [@start, @end)
 * of the launcher's addresses.
 *
 * The map of slots is read after the write side was taken: whoever publishes a
 * map without a slot has held and zapped it first, and a fault that used a map
 * which is not visible here comes after this section and sees the held range.
 */
static void s2_gather_zap_hva(struct keel_vm *vm, struct s2_gather *g, hva_t start, hva_t end)
{
	const struct keel_memmap *map = srcu_dereference(vm->memmap, &keel_srcu);
	gfn_t first, last;
	u32 i;

	for (i = 0; map && i < map->nr; i++)
		if (s2_slot_overlap(&map->slots[i], start, end, &first, &last))
			s2_gather_zap(&vm->s2, g, first, last);
}

static int s2_invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct keel_vm *vm = s2_bind_get(mn);
	struct s2_gather g;
	int idx;

	if (!vm)
		return 0;
	s2_gather_init(vm, &g, mmu_notifier_range_blockable(range));
	idx = srcu_read_lock(&keel_srcu);
	write_lock(&vm->s2.lock);
	s2_hold_locked(&vm->s2, range->start, range->end);
	s2_gather_zap_hva(vm, &g, range->start, range->end);
	s2_gather_note(&vm->s2, &g);
	write_unlock(&vm->s2.lock);
	srcu_read_unlock(&keel_srcu, idx);
	s2_gather_finish(vm, &g);
	s2_bind_put(mn);
	return 0;
}

static void s2_invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct keel_vm *vm = s2_bind_get(mn);

	if (!vm)
		return;
	s2_release(vm);
	s2_bind_put(mn);
}

/* [SRCU] By accessed bits. */
static bool s2_young_age(struct keel_vm *vm, hva_t start, hva_t end, bool clear)
{
	const struct keel_memmap *map;
	gfn_t first, last;
	bool young = false;
	u32 i;

	read_lock(&vm->s2.lock);
	map = srcu_dereference(vm->memmap, &keel_srcu);
	for (i = 0; map && i < map->nr; i++)
		if (s2_slot_overlap(&map->slots[i], start, end, &first, &last))
			young |= s2_age(&vm->s2.t, first, last, clear);
	read_unlock(&vm->s2.lock);
	return young;
}

/* [SRCU] Without accessed bits: what is used again has to fault. */
static bool s2_young_zap(struct keel_vm *vm, hva_t start, hva_t end)
{
	struct s2_gather g;

	s2_gather_init(vm, &g, false);
	write_lock(&vm->s2.lock);
	s2_gather_zap_hva(vm, &g, start, end);
	s2_gather_note(&vm->s2, &g);
	write_unlock(&vm->s2.lock);
	s2_gather_finish(vm, &g);
	return g.zap.removed;
}

/* Was anything in [start, end) used by the guest?  With @clear forgets it. */
static int s2_young(struct mmu_notifier *mn, hva_t start, hva_t end, bool clear)
{
	struct keel_vm *vm = s2_bind_get(mn);
	bool young;
	int idx;

	if (!vm)
		return 0;
	idx = srcu_read_lock(&keel_srcu);
	if (clear && unlikely(!vm->s2.t.format->accessed))
		young = s2_young_zap(vm, start, end);
	else
		young = s2_young_age(vm, start, end, clear);
	srcu_read_unlock(&keel_srcu, idx);
	s2_bind_put(mn);
	return young;
}

/*
 * No flush: an accessed bit that a TLB entry keeps from being set again makes a
 * page look idle a little early, as it does for the host's own mappings.
 */
static int s2_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
				unsigned long start, unsigned long end)
{
	return s2_young(mn, start, end, true);
}

static int s2_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			  unsigned long start, unsigned long end)
{
	return s2_young(mn, start, end, true);
}

static int s2_test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return s2_young(mn, address, address + PAGE_SIZE, false);
}

/* Everything goes, and nothing comes back. */
static void s2_kill(struct keel_vm *vm, bool no_vcpus)
{
	struct keel_s2 *s2 = &vm->s2;
	struct s2_gather g;

	s2_gather_init(vm, &g, true);
	g.no_vcpus = no_vcpus;
	write_lock(&s2->lock);
	s2->dead = true;
	s2_gather_zap(s2, &g, 0, s2_gfn_limit(&s2->t) - 1);
	s2_gather_note(s2, &g);
	write_unlock(&s2->lock);
	s2_gather_finish(vm, &g);
}

/* The launcher's address space ends, while others may still hold the VM's fds. */
static void s2_mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct keel_vm *vm = s2_bind_get(mn);

	if (!vm)
		return;
	s2_kill(vm, false);
	s2_bind_put(mn);
}

static void s2_bind_free(struct mmu_notifier *mn)
{
	keel_account(-(long)sizeof(struct s2_bind));
	kfree(to_bind(mn));
}

static const struct mmu_notifier_ops s2_notifier_ops = {
	.release = s2_mm_release,
	.clear_flush_young = s2_clear_flush_young,
	.clear_young = s2_clear_young,
	.test_young = s2_test_young,
	.invalidate_range_start = s2_invalidate_start,
	.invalidate_range_end = s2_invalidate_end,
	.free_notifier = s2_bind_free,
};

static int s2_bind_create(struct keel_vm *vm)
{
	struct s2_bind *bind = kzalloc(sizeof(*bind), GFP_KERNEL_ACCOUNT);
	int err;

	if (!bind)
		return -ENOMEM;
	spin_lock_init(&bind->lock);
	init_completion(&bind->idle);
	bind->vm = vm;
	bind->mn.ops = &s2_notifier_ops;
	/* Pairs with mmu_notifier_put() in s2_bind_cut(). */
	err = mmu_notifier_register(&bind->mn, vm->mm);
	if (err) {
		kfree(bind);
		return err;
	}
	keel_account(sizeof(*bind));
	vm->s2.bind = bind;
	return 0;
}

/* No callback touches the VM after this. */
static void s2_bind_cut(struct keel_vm *vm)
{
	struct s2_bind *bind = vm->s2.bind;
	bool wait;

	if (!bind)
		return;
	spin_lock(&bind->lock);
	bind->vm = NULL;
	wait = bind->active;
	spin_unlock(&bind->lock);
	if (wait)
		wait_for_completion(&bind->idle);
	vm->s2.bind = NULL;
	mmu_notifier_put(&bind->mn);
}

/* ---- life ------------------------------------------------------------------------ */

int s2_init(struct keel_vm *vm, const struct s2_format *format, u8 levels, u8 max_leaf)
{
	struct keel_s2 *s2 = &vm->s2;
	int err;

	rwlock_init(&s2->lock);
	s2->levels = levels;
	s2->t.format = format;
	s2->t.levels = levels;
	s2->t.max_leaf = max_leaf;
	s2->t.virt_base = PAGE_OFFSET;
	s2->t.enc = __sme_set(0);
	s2->t.root = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!s2->t.root)
		return -ENOMEM;
	keel_account_stage2(PAGE_SIZE);
	atomic_long_set(&s2->tables, 1);
	s2->root = __sme_set(__pa(s2->t.root));

	err = s2_bind_create(vm);
	if (err)
		s2_fini(vm);
	return err;
}

void s2_fini(struct keel_vm *vm)
{
	struct keel_s2 *s2 = &vm->s2;

	if (!s2->t.root)
		return;
	s2_bind_cut(vm);
	s2_kill(vm, true);
	s2_apic_free(vm);
	free_page((unsigned long)s2->t.root);
	keel_account_stage2(-(long)PAGE_SIZE);
	atomic_long_dec(&s2->tables);
	s2->t.root = NULL;
	s2->root = 0;
}

void s2_exit(void)
{
	mmu_notifier_synchronize();
}
