// SPDX-License-Identifier: GPL-2.0
/*
 * The MSR bitmap, and the syscall MSRs that VMX does not switch: they are the
 * guest's while the vCPU is loaded.  It must not know what the other MSRs
 * mean: core/msr.c does.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <asm/msr.h>
#include "core/stats.h"
#include "vmx/vmx.h"

/* The VMCS moves these, or load and put do. */
static const u32 vmx_guest_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

#define VMX_BITMAP_HIGH		1024	/* read bits of c0000000-c0001fff; low ones come first */
#define VMX_BITMAP_WRITE	2048	/* the write half */

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
	for (i = 0; i < ARRAY_SIZE(vmx_guest_msrs); i++) {
		u32 msr = vmx_guest_msrs[i];
		u32 at = (msr & 0x1fff) / 8 + (msr & 0xc0000000U ? VMX_BITMAP_HIGH : 0);

		map[at] &= ~BIT(msr & 7);
		map[at + VMX_BITMAP_WRITE] &= ~BIT(msr & 7);
	}
	return page;
}

/* [cpu] The guest's values into the CPU; the kernel itself needs none of them. */
void vmx_load_msrs(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct keel_msrs *m = &vcpu->msr;

	rdmsrl(MSR_KERNEL_GS_BASE, vmx->host_kernel_gs_base);
	wrmsrl_safe(MSR_STAR, m->star);
	wrmsrl_safe(MSR_LSTAR, m->lstar);
	wrmsrl_safe(MSR_CSTAR, m->cstar);
	wrmsrl_safe(MSR_SYSCALL_MASK, m->sfmask);
	wrmsrl_safe(MSR_KERNEL_GS_BASE, m->kernel_gs_base);
	vmx->msrs_live = true;
}

/* The guest writes them without an exit: the CPU has the truth while they are live. */
static void vmx_read_live(struct keel_vcpu *vcpu)
{
	struct keel_msrs *m = &vcpu->msr;

	rdmsrl_safe(MSR_STAR, &m->star);
	rdmsrl_safe(MSR_LSTAR, &m->lstar);
	rdmsrl_safe(MSR_CSTAR, &m->cstar);
	rdmsrl_safe(MSR_SYSCALL_MASK, &m->sfmask);
	rdmsrl_safe(MSR_KERNEL_GS_BASE, &m->kernel_gs_base);
}

/* [cpu] The host's again, before anything returns to user mode. */
void vmx_save_msrs(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_read_live(vcpu);
	wrmsrl_safe(MSR_STAR, vmx_global.star);
	wrmsrl_safe(MSR_LSTAR, vmx_global.lstar);
	wrmsrl_safe(MSR_CSTAR, vmx_global.cstar);
	wrmsrl_safe(MSR_SYSCALL_MASK, vmx_global.sfmask);
	wrmsrl_safe(MSR_KERNEL_GS_BASE, vmx->host_kernel_gs_base);
	vmx->msrs_live = false;
}

/* Group MSR; the VMCS is current. */
void vmx_get_msrs(struct keel_vcpu *vcpu)
{
	struct keel_msrs *m = &vcpu->msr;

	if (to_vmx(vcpu)->msrs_live)
		vmx_read_live(vcpu);
	m->sysenter_cs = vmx_read(VMX_GUEST_SYSENTER_CS);
	m->sysenter_esp = vmx_read(VMX_GUEST_SYSENTER_ESP);
	m->sysenter_eip = vmx_read(VMX_GUEST_SYSENTER_EIP);
	m->pat = vmx_read(VMX_GUEST_PAT);
	m->debugctl = vmx_read(VMX_GUEST_DEBUGCTL);
}

void vmx_set_msrs(struct keel_vcpu *vcpu)
{
	const struct keel_msrs *m = &vcpu->msr;

	if (to_vmx(vcpu)->msrs_live) {
		wrmsrl_safe(MSR_STAR, m->star);
		wrmsrl_safe(MSR_LSTAR, m->lstar);
		wrmsrl_safe(MSR_CSTAR, m->cstar);
		wrmsrl_safe(MSR_SYSCALL_MASK, m->sfmask);
		wrmsrl_safe(MSR_KERNEL_GS_BASE, m->kernel_gs_base);
	}
	vmx_write(VMX_GUEST_SYSENTER_CS, m->sysenter_cs);
	vmx_write(VMX_GUEST_SYSENTER_ESP, m->sysenter_esp);
	vmx_write(VMX_GUEST_SYSENTER_EIP, m->sysenter_eip);
	vmx_write(VMX_GUEST_PAT, m->pat);
	vmx_write(VMX_GUEST_DEBUGCTL, m->debugctl);
}
