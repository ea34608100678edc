// SPDX-License-Identifier: GPL-2.0
/*
 * VPIDs, the EPT pointer, and flushes: which tag a vCPU's translations carry
 * and when they are dropped.  It must not know what the translations are.
 */
#include <linux/bitmap.h>
#include <linux/spinlock.h>
#include "vmx/vmx.h"

/* VPID 0 is the host's.  Tags beyond these share 0 and flush at every entry. */
#define VMX_NR_VPIDS	4096

static DECLARE_BITMAP(vmx_vpids, VMX_NR_VPIDS);	/* vmx_vpid_lock */
static DEFINE_SPINLOCK(vmx_vpid_lock);

#define INV_ONE		1ULL
#define INV_ALL		2ULL

static void vmx_invept(u64 type, u64 eptp)
{
	struct {
		u64 eptp, zero;
	} desc = { eptp, 0 };

	asm volatile("1: invept %0, %1\n2:" _ASM_EXTABLE(1b, 2b)
		     : : "m" (desc), "r" (type) : "cc", "memory");
}

static void vmx_invvpid(u64 type, u16 vpid)
{
	struct {
		u64 vpid, gva;
	} desc = { vpid, 0 };

	asm volatile("1: invvpid %0, %1\n2:" _ASM_EXTABLE(1b, 2b)
		     : : "m" (desc), "r" (type) : "cc", "memory");
}

int vmx_vpid_alloc(struct vmx_vcpu *vmx)
{
	unsigned long n;

	if (!(vmx_global.proc2 & VMX_PROC2_VPID))
		return 0;
	spin_lock(&vmx_vpid_lock);
	n = find_next_zero_bit(vmx_vpids, VMX_NR_VPIDS, 1);
	if (n < VMX_NR_VPIDS)
		__set_bit(n, vmx_vpids);
	spin_unlock(&vmx_vpid_lock);
	if (n == VMX_NR_VPIDS)
		return -ENOSPC;
	vmx->vpid = n;
	return 0;
}

void vmx_vpid_free(struct vmx_vcpu *vmx)
{
	if (!vmx->vpid)
		return;
	spin_lock(&vmx_vpid_lock);
	__clear_bit(vmx->vpid, vmx_vpids);
	spin_unlock(&vmx_vpid_lock);
}

u64 vmx_eptp(hpa_t root)
{
	return root | VMX_EPTP_WB | 3ULL << VMX_EPTP_LEVELS_SHIFT |
	       (vmx_global.ept_cap & VMX_EPT_CAP_AD ? VMX_EPTP_AD : 0);
}

void vmx_flush(struct keel_vcpu *vcpu)
{
	to_vmx(vcpu)->flush = true;
}

/* [entry] Stage 2 and guest translations of this vCPU on this CPU. */
void vmx_flush_now(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->flush = false;
	if (vmx_global.ept_cap & VMX_EPT_CAP_INVEPT_ONE)
		vmx_invept(INV_ONE, vmx_eptp(vcpu->vm->s2.root));
	else
		vmx_invept(INV_ALL, 0);
	/* Without VPID every transition flushes by itself. */
	if (!vmx->vpid)
		return;
	if (vmx_global.ept_cap & VMX_EPT_CAP_INVVPID_ONE)
		vmx_invvpid(INV_ONE, vmx->vpid);
	else
		vmx_invvpid(INV_ALL, 0);
}

void vmx_set_root(struct keel_vcpu *vcpu, hpa_t root)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_access_begin(vmx);
	vmx_write(VMX_EPTP, vmx_eptp(root));
	vmx_access_end(vmx);
	vmx->flush = true;
}
