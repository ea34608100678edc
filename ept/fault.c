// SPDX-License-Identifier: GPL-2.0
/*
 * Stage-2 faults: from a guest-physical address over the slot and the launcher's
 * page to a leaf in the tables.  It owns the order of these steps (struct keel_s2
 * says why it is safe); it must not know exits, or who removes leaves.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include <linux/srcu.h>
#include <linux/swap.h>
#include "core/compat.h"
#include "core/mem.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "ept/ept.h"

/* One fault on its way. */
struct s2_fault {
	gfn_t gfn;
	hva_t hva;
	unsigned long seq;	/* of the holders, from before the slot was looked up */
	struct keel_slot slot;	/* a copy: a host page fault may take for ever */
	struct page *page;	/* with a reference */
	bool write;		/* the access writes */
	bool writable;		/* @page was taken for writing */
	u8 level;		/* S2_LEVEL_* that page, slot and CPU allow */
};

/* ---- table pages ---------------------------------------------------------- */

/* [task] Before the lock: pages for every table that the walk could want. */
static int s2_cache_fill(struct s2_cache *cache, u8 levels)
{
	while (cache->nr < levels - 1) {
		unsigned long page = get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!page)
			return -ENOMEM;
		cache->page[cache->nr++] = (u64 *)page;
		keel_account_stage2(PAGE_SIZE);
	}
	return 0;
}

void s2_cache_free(struct keel_vcpu *vcpu)
{
	struct s2_cache *cache = &vcpu->s2_cache;

	while (cache->nr) {
		free_page((unsigned long)cache->page[--cache->nr]);
		keel_account_stage2(-(long)PAGE_SIZE);
	}
}

/* ---- the host's side --------------------------------------------------------- */

static bool s2_find_slot(struct keel_vm *vm, struct s2_fault *f)
{
	const struct keel_slot *slot;
	int idx;

	/* Before the slot and the page: pairs with s2_release_locked(). */
	f->seq = smp_load_acquire(&vm->s2.hold_seq);
	idx = srcu_read_lock(&keel_srcu);
	slot = keel_mem_slot(vm, f->gfn);
	if (slot) {
		f->slot = *slot;
		f->hva = keel_slot_hva(slot, f->gfn);
	}
	srcu_read_unlock(&keel_srcu, idx);
	return slot;
}

static bool s2_get_fast(struct s2_fault *f, bool write)
{
	if (get_user_pages_fast_only(f->hva, 1, write ? FOLL_WRITE : 0, &f->page) != 1)
		return false;
	f->writable = write;
	return true;
}

/*
 * Takes the host's page, for writing where that costs nothing: then the guest's
 * first write does not fault again.  0 or -errno.
 */
static int s2_get_page(struct s2_fault *f)
{
	bool may_write = !(f->slot.flags & KEEL_MEM_READONLY);
	unsigned int flags = FOLL_HWPOISON | KEEL_FOLL_INTERRUPTIBLE;
	struct page *page;
	long n;

	if (may_write && s2_get_fast(f, true))
		return 0;
	if (!f->write && s2_get_fast(f, false))
		return 0;

	if (f->write)
		flags |= FOLL_WRITE;
	n = get_user_pages_unlocked(f->hva, 1, &page, flags);
	if (n != 1)
		return n < 0 ? n : -EFAULT;
	if (!f->write && may_write && s2_get_fast(f, true)) {
		put_page(page);
		return 0;
	}
	f->page = page;
	f->writable = f->write;
	return 0;
}

/*
 * The size of the host's own mapping of @hva.  IRQs off keep the launcher's page
 * tables from being freed; what changes meanwhile is a held range.
 */
static u8 s2_host_level(struct mm_struct *mm, hva_t hva)
{
	u8 level = S2_LEVEL_4K;
	unsigned long flags;
	pgd_t *pgdp, pgd;
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgdp = pgd_offset(mm, hva);
	pgd = READ_ONCE(*pgdp);
	if (pgd_none(pgd))
		goto out;
	p4dp = p4d_offset_lockless(pgdp, pgd, hva);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pudp = pud_offset_lockless(p4dp, p4d, hva);
	pud = READ_ONCE(*pudp);
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = S2_LEVEL_1G;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset_lockless(pudp, pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = S2_LEVEL_2M;
out:
	local_irq_restore(flags);
	return level;
}

/*
 * The largest leaf: the slot holds all of it, the same offset within it on the
 * guest's, the launcher's and the host's side, and one host mapping behind it.
 */
static u8 s2_leaf_level(struct keel_vm *vm, const struct s2_fault *f)
{
	const struct s2_tables *t = &vm->s2.t;
	hfn_t hfn = page_to_pfn(f->page);
	u8 level = t->max_leaf, host;

	for (; level > S2_LEVEL_4K; level--) {
		u64 mask = s2_level_frames(t->format, level) - 1;
		gfn_t first = f->gfn & ~mask;

		if (!(((f->hva >> PAGE_SHIFT) ^ f->gfn) & mask) && !((hfn ^ f->gfn) & mask) &&
		    first >= f->slot.base && first + mask < f->slot.base + f->slot.npages)
			break;
	}
	if (level == S2_LEVEL_4K)
		return level;
	host = s2_host_level(vm->mm, f->hva);
	return min(level, host);
}

/* ---- publish ------------------------------------------------------------------ */

/* [read side] Has the launcher's memory, or the map of slots, changed since? */
static bool s2_fault_is_stale(const struct keel_s2 *s2, const struct s2_fault *f)
{
	unsigned long size = s2_level_frames(s2->t.format, f->level) << PAGE_SHIFT;
	hva_t start = f->hva & ~(size - 1);

	if (s2->hold_seq != f->seq)
		return true;
	return s2->holders && start < s2->hold_end && start + size > s2->hold_start;
}

static void s2_mark_page(struct page *page, bool write)
{
	/* The zero page and its like belong to nobody. */
	if (PageReserved(page))
		return;
	if (write)
		SetPageDirty(page);
	mark_page_accessed(page);
}

/*
 * [read side, as the install] A write is noted, and leaves that were split are
 * counted.  The log is alive: it ends with its map, which would have changed
 * the sequence first.
 */
static void s2_publish_logged(struct keel_s2 *s2, struct s2_cache *cache, const struct s2_fault *f)
{
	u8 level;

	for (level = S2_LEVEL_2M; level <= S2_LEVEL_1G; level++) {
		if (!(cache->split & BIT(level)))
			continue;
		atomic_long_dec(&s2->mapped[level - 1]);
		atomic_long_add(1L << s2->t.format->level[level - 1].bits,
				&s2->mapped[level - 2]);
	}
	cache->split = 0;
	if (f->write)
		keel_log_set(f->slot.log, f->gfn - f->slot.base);
}

/* Installs the leaf, unless @f was overtaken. */
static enum s2_result s2_publish(struct keel_vcpu *vcpu, const struct s2_fault *f)
{
	struct keel_s2 *s2 = &vcpu->vm->s2;
	struct s2_cache *cache = &vcpu->s2_cache;
	struct s2_map map = {
		.gfn = f->gfn,
		.hpa = keel_hfn_to_hpa(page_to_pfn(f->page)),
		.level = f->level,
		.write = f->writable,
		.exec = true,
		.dirty = f->write,
		.logged = f->slot.log,
	};
	enum s2_installed done;
	u8 had = cache->nr;
	u8 level;

	read_lock(&s2->lock);
	if (unlikely(s2->dead || s2_fault_is_stale(s2, f))) {
		read_unlock(&s2->lock);
		/* Who changes it may wait for this CPU. */
		cond_resched();
		return S2_MAPPED;
	}
	done = s2_install(&s2->t, cache, &map, &level);
	if (done == S2_NEW)
		atomic_long_inc(&s2->mapped[level - 1]);
	if (unlikely(f->slot.log))
		s2_publish_logged(s2, cache, f);
	read_unlock(&s2->lock);

	if (had != cache->nr)
		atomic_long_add(had - cache->nr, &s2->tables);
	if (done == S2_STALE)
		/* Cannot be: a notifier was missing.  The safe answer costs a fault. */
		s2_unmap(vcpu->vm, f->gfn, f->gfn);
	else if (done == S2_NO_PAGE)
		keel_vm_bugged(vcpu->vm, "stage-2 page cache ran dry");
	s2_mark_page(f->page, f->write);
	return S2_MAPPED;
}

/* What a host page fault that failed means for the vCPU. */
static enum s2_result s2_fault_failed(int err, int *error)
{
	switch (err) {
	case -EAGAIN:
		return S2_MAPPED;
	case -EINTR:
	case -ERESTARTSYS:
		return S2_SIGNAL;
	default:
		*error = -err;
		return S2_ERROR;
	}
}

/* ---- the xAPIC page ------------------------------------------------------------ */

int s2_apic_create(struct keel_vm *vm)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!page)
		return -ENOMEM;
	keel_account(PAGE_SIZE);
	vm->s2.apic_page = keel_hfn_to_hpa(page_to_pfn(page));
	return 0;
}

void s2_apic_free(struct keel_vm *vm)
{
	if (!vm->s2.apic_page)
		return;
	__free_page(pfn_to_page(vm->s2.apic_page >> PAGE_SHIFT));
	keel_account(-(long)PAGE_SIZE);
	vm->s2.apic_page = 0;
}

/*
 * No slot: the CPU's page for the LAPIC, if nothing forbids it.  A veto comes
 * before its unmapping, so that either we see the one or the other sees our leaf.
 */
static enum s2_result s2_fault_no_slot(struct keel_vcpu *vcpu, const struct s2_fault *f,
				       u32 access)
{
	struct keel_s2 *s2 = &vcpu->vm->s2;
	struct s2_cache *cache = &vcpu->s2_cache;
	struct s2_map map = {
		.gfn = f->gfn, .hpa = s2->apic_page, .level = S2_LEVEL_4K,
		.write = true, .dirty = true,
	};
	enum s2_result result = S2_MMIO;
	u8 had, level;

	if (access & KEEL_FAULT_EXEC)
		return S2_NO_EXEC;
	if (likely(f->gfn != S2_APIC_GFN) || !s2->apic_page || atomic_read(&s2->apic_vetoes))
		return S2_MMIO;
	if (s2_cache_fill(cache, s2->levels))
		return S2_MMIO;
	had = cache->nr;
	read_lock(&s2->lock);
	if (!s2->dead && !atomic_read(&s2->apic_vetoes)) {
		enum s2_installed done = s2_install(&s2->t, cache, &map, &level);

		if (done == S2_NEW)
			atomic_long_inc(&s2->mapped[level - 1]);
		result = done == S2_NEW || done == S2_SAME ? S2_MAPPED : S2_MMIO;
	}
	read_unlock(&s2->lock);
	if (had != cache->nr)
		atomic_long_add(had - cache->nr, &s2->tables);
	return result;
}

enum s2_result s2_fault(struct keel_vcpu *vcpu, gpa_t gpa, u32 access, int *error)
{
	struct keel_vm *vm = vcpu->vm;
	struct s2_fault f = {
		.gfn = keel_gpa_to_gfn(gpa),
		.write = access & KEEL_FAULT_WRITE,
	};
	enum s2_result result;
	int err;

	*error = 0;
	if (!s2_find_slot(vm, &f))
		return s2_fault_no_slot(vcpu, &f, access);
	if (f.write && (f.slot.flags & KEEL_MEM_READONLY))
		return S2_MMIO;
	if (READ_ONCE(vm->s2.dead)) {
		*error = EFAULT;
		return S2_ERROR;
	}

	err = s2_cache_fill(&vcpu->s2_cache, vm->s2.levels);
	if (!err)
		err = s2_get_page(&f);
	if (err)
		return s2_fault_failed(err, error);

	/* A write that is logged is one of 4 KiB. */
	f.level = unlikely(f.slot.log) && f.write ? S2_LEVEL_4K : s2_leaf_level(vm, &f);
	result = s2_publish(vcpu, &f);
	put_page(f.page);
	return result;
}
