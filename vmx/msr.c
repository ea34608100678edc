// SPDX-License-Identifier: GPL-2.0
/*
 * The MSR bitmap; the syscall MSRs that VMX does not switch: they are the
 * guest's while the vCPU is loaded; and the lists of those that change exactly
 * at entry and exit.  It must not know what the other MSRs mean: core/msr.c
 * does.
 */
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/io.h>
#include <asm/msr.h>
#include "core/compat.h"
#include "core/stats.h"
#include "vmx/vmx.h"

#define VMX_BITMAP_HIGH		1024	/* read bits of c0000000-c0001fff; low ones come first */
#define VMX_BITMAP_WRITE	2048	/* the write half */

/* The order of struct keel_msrs. */
static const u32 vmx_syscall_msrs[VMX_NR_SYSCALL_MSRS] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
};

static_assert(offsetof(struct keel_msrs, sfmask) - offsetof(struct keel_msrs, star) ==
	      (VMX_NR_SYSCALL_MSRS - 1) * sizeof(u64));

static void vmx_bitmap_set(u8 *map, u32 msr, bool intercept)
{
	u32 at = (msr & 0x1fff) / 8 + (msr & 0xc0000000U ? VMX_BITMAP_HIGH : 0);
	u8 bit = BIT(msr & 7);

	map[at] = intercept ? map[at] | bit : map[at] & ~bit;
	at += VMX_BITMAP_WRITE;
	map[at] = intercept ? map[at] | bit : map[at] & ~bit;
}

void vmx_msr_pass(struct page *bitmap, u32 msr, bool write)
{
	u32 at = (msr & 0x1fff) / 8 + (msr & 0xc0000000U ? VMX_BITMAP_HIGH : 0);
	u8 *map = page_address(bitmap);

	map[at + (write ? VMX_BITMAP_WRITE : 0)] &= ~BIT(msr & 7);
}

struct page *vmx_msr_bitmap_alloc(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u8 *map;
	int i;

	if (!page)
		return NULL;
	keel_account(PAGE_SIZE);
	map = page_address(page);
	memset(map, 0xff, PAGE_SIZE);
	for (i = 0; i < KEEL_NR_GUEST_MSRS; i++)
		vmx_bitmap_set(map, keel_guest_msrs[i], false);
	/*
	 * The VMCS does not move these.  A guest writes them once, and what is
	 * intercepted need not be read back whenever the vCPU leaves the CPU.
	 */
	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		vmx_bitmap_set(map, vmx_syscall_msrs[i], true);
	return page;
}

void vmx_read_syscall_msrs(u64 *values)
{
	int i;

	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		if (rdmsrl_safe(vmx_syscall_msrs[i], &values[i]))
			values[i] = 0;
}

/* [cpu] Each is written only where the CPU holds something else. */
static void vmx_write_syscall_msrs(const u64 *values)
{
	u64 *now = this_cpu_ptr(&vmx_cpus)->syscall;
	int i;

	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++) {
		if (now[i] == values[i])
			continue;
		wrmsrl_safe(vmx_syscall_msrs[i], values[i]);
		now[i] = values[i];
	}
}

/* [cpu] Nobody can see them while SYSCALL is switched off: then they stay the host's. */
static void vmx_settle_syscall_msrs(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->msrs_live)
		vmx_write_syscall_msrs(vmx->has_syscall ? &vcpu->msr.star : vmx_global.syscall);
}

void vmx_set_syscall(struct keel_vcpu *vcpu, bool on)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->has_syscall == on)
		return;
	vmx->has_syscall = on;
	vmx_settle_syscall_msrs(vcpu);
}

/* [cpu] The guest's values into the CPU; the kernel itself needs none of them. */
void vmx_load_msrs(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->msrs_live = true;
	/* vmx_save_host_segments() has just read it. */
	vmx->host_kernel_gs_base = current->thread.gsbase;
	if (vcpu->msr.kernel_gs_base != vmx->host_kernel_gs_base)
		wrmsrl(MSR_KERNEL_GS_BASE, vcpu->msr.kernel_gs_base);
	if (vmx->has_syscall)
		vmx_write_syscall_msrs(&vcpu->msr.star);
}

/* [cpu] What the guest changed without an exit. */
void vmx_save_msrs(struct keel_vcpu *vcpu)
{
	rdmsrl(MSR_KERNEL_GS_BASE, vcpu->msr.kernel_gs_base);
}

/* [cpu] The host's again, before anything returns to user mode. */
void vmx_unload_msrs(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	/* A segment that was restored has overwritten it. */
	if (vcpu->msr.kernel_gs_base != vmx->host_kernel_gs_base || vmx->host_gs)
		wrmsrl(MSR_KERNEL_GS_BASE, vmx->host_kernel_gs_base);
	if (vmx->has_syscall)
		vmx_write_syscall_msrs(vmx_global.syscall);
	vmx->msrs_live = false;
}

/* Group MSR; the VMCS is current. */
void vmx_get_msrs(struct keel_vcpu *vcpu)
{
	struct keel_msrs *m = &vcpu->msr;

	if (to_vmx(vcpu)->msrs_live)
		vmx_save_msrs(vcpu);
	m->sysenter_cs = vmx_read(VMX_GUEST_SYSENTER_CS);
	m->sysenter_esp = vmx_read(VMX_GUEST_SYSENTER_ESP);
	m->sysenter_eip = vmx_read(VMX_GUEST_SYSENTER_EIP);
	m->pat = vmx_read(VMX_GUEST_PAT);
	m->debugctl = vmx_read(VMX_GUEST_DEBUGCTL);
}

void vmx_set_msrs(struct keel_vcpu *vcpu)
{
	const struct keel_msrs *m = &vcpu->msr;

	if (to_vmx(vcpu)->msrs_live)
		wrmsrl_safe(MSR_KERNEL_GS_BASE, m->kernel_gs_base);
	vmx_settle_syscall_msrs(vcpu);
	vmx_write(VMX_GUEST_SYSENTER_CS, m->sysenter_cs);
	vmx_write(VMX_GUEST_SYSENTER_ESP, m->sysenter_esp);
	vmx_write(VMX_GUEST_SYSENTER_EIP, m->sysenter_eip);
	vmx_write(VMX_GUEST_PAT, m->pat);
	vmx_write(VMX_GUEST_DEBUGCTL, m->debugctl);
}

/* ---- lists -------------------------------------------------------------------------- */

#define VMX_MISC_MSR_LIST_SHIFT	25	/* three bits: recommended length, in 512 less one */
#define VMX_MISC_MSR_LIST_MASK	7U
#define VMX_MISC_MSR_LIST_UNIT	512U

/* Counters that perf may ask about: all that an MSR list has room for are looked at. */
#define VMX_PERF_MSRS		16

/* A power of two is naturally aligned, as the CPU wants the lists. */
#define VMX_MSRLISTS_SIZE	roundup_pow_of_two(sizeof(struct vmx_msrlists))

/* [task] How long the lists may be; 0: the kernel has no counters to keep from guests. */
u32 vmx_msrlist_most(u64 misc)
{
	u32 most = ((misc >> VMX_MISC_MSR_LIST_SHIFT & VMX_MISC_MSR_LIST_MASK) + 1) *
		   VMX_MISC_MSR_LIST_UNIT;
	bool there;
	int nr;

	preempt_disable();
	there = keel_perf_guest_msrs(&nr);
	preempt_enable();
	return there ? min_t(u32, most, VMX_MSRLIST_ROOM) : 0;
}

int vmx_msrlists_alloc(struct vmx_vcpu *vmx)
{
	if (!vmx_global.msrlist_most)
		return 0;
	vmx->msrlists = kzalloc(VMX_MSRLISTS_SIZE, GFP_KERNEL_ACCOUNT);
	if (!vmx->msrlists)
		return -ENOMEM;
	keel_account(VMX_MSRLISTS_SIZE);
	return 0;
}

void vmx_msrlists_free(struct vmx_vcpu *vmx)
{
	if (!vmx->msrlists)
		return;
	kfree(vmx->msrlists);
	keel_account(-(long)VMX_MSRLISTS_SIZE);
}

void vmx_msrlists_reset(struct vmx_vcpu *vmx)
{
	vmx_write(VMX_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VMX_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VMX_ENTRY_MSR_LOAD_COUNT, 0);
	if (!vmx->msrlists)
		return;
	vmx->msrlists->nr = 0;
	vmx_write(VMX_EXIT_MSR_LOAD_LIST, __pa(vmx->msrlists->host));
	vmx_write(VMX_ENTRY_MSR_LOAD_LIST, __pa(vmx->msrlists->guest));
}

void vmx_perf_enter(struct vmx_vcpu *vmx)
{
	const struct perf_guest_switch_msr *msrs;
	struct vmx_msr_change changes[VMX_PERF_MSRS];
	int i, nr = 0;

	msrs = keel_perf_guest_msrs(&nr);
	nr = msrs ? clamp(nr, 0, VMX_PERF_MSRS) : 0;
	for (i = 0; i < nr; i++)
		changes[i] = (struct vmx_msr_change){
			.index = msrs[i].msr, .host = msrs[i].host, .guest = msrs[i].guest };
	if (unlikely(vmx_msrlist_set(vmx->msrlists, changes, nr, vmx_global.msrlist_most))) {
		vmx_write(VMX_EXIT_MSR_LOAD_COUNT, vmx->msrlists->nr);
		vmx_write(VMX_ENTRY_MSR_LOAD_COUNT, vmx->msrlists->nr);
	}
	if (likely(!vmx->msrlists->nr))
		return;
	/*
	 * A record may be on its way when PEBS is switched off: with the entry
	 * itself it would still be written, to an address of the guest.
	 */
	vmx->host_pebs = vmx_msrlist_host(vmx->msrlists, MSR_IA32_PEBS_ENABLE);
	if (vmx->host_pebs)
		wrmsrl_safe(MSR_IA32_PEBS_ENABLE, 0);
}

/* No exit, so nothing was loaded. */
void vmx_perf_failed(struct vmx_vcpu *vmx)
{
	if (vmx->msrlists && vmx->msrlists->nr && vmx->host_pebs)
		wrmsrl_safe(MSR_IA32_PEBS_ENABLE, vmx->host_pebs);
}
