// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest's control registers accept, and what a change of one brings
 * with it.  It must not know how a write got here (MOV, WRMSR, the launcher).
 */
#include <linux/mm.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/fpu/types.h>
#include "core/cpuid.h"
#include "core/run.h"
#include "irqchip/irqchip.h"

/* Bits whose change makes PAE paging read its top entries */
#define CR0_PAGING	(X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR0_DEFINED	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | \
			 X86_CR0_PG)

bool keel_cr0_valid(u64 cr0)
{
	if (cr0 & ~(u64)CR0_DEFINED)
		return false;
	if ((cr0 & X86_CR0_PG) && !(cr0 & X86_CR0_PE))
		return false;
	return !(cr0 & X86_CR0_NW) || (cr0 & X86_CR0_CD);
}

bool keel_cr4_valid(struct keel_vm *vm, u64 cr4)
{
	return !(cr4 & ~keel_guest_cr4_mask(vm));
}

bool keel_efer_valid(struct keel_vm *vm, u64 efer)
{
	return !(efer & ~keel_guest_efer_mask(vm));
}

bool keel_xcr0_valid(struct keel_vm *vm, u64 xcr0)
{
	const u64 avx512 = XFEATURE_MASK_OPMASK | XFEATURE_MASK_ZMM_Hi256 | XFEATURE_MASK_Hi16_ZMM;
	const u64 bnd = XFEATURE_MASK_BNDREGS | XFEATURE_MASK_BNDCSR;

	if (!(xcr0 & XFEATURE_MASK_FP) || (xcr0 & ~keel_guest_xcr0_mask(vm)))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	if ((xcr0 & bnd) && (xcr0 & bnd) != bnd)
		return false;
	return !(xcr0 & avx512) ||
	       ((xcr0 & avx512) == avx512 && (xcr0 & XFEATURE_MASK_YMM));
}

bool keel_pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);
}

/* Of a top entry of PAE paging that is present */
#define PDPTR_RESERVED	(GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5))

/*
 * PAE paging reads its four top entries when CR0, CR3 or CR4 is written, not when
 * they are used.  Memory that is not mapped reads as entries that are not present.
 */
int keel_load_pdptrs(struct keel_vcpu *vcpu, bool check)
{
	u64 reserved = PDPTR_RESERVED | ~0ULL << keel_guest_maxphyaddr(vcpu->vm);
	u64 pdptr[ARRAY_SIZE(vcpu->pdptr)];
	int i;

	if (keel_guest_read(vcpu->vm, vcpu->sregs.cr3 & ~0x1fULL, pdptr, sizeof(pdptr)))
		memset(pdptr, 0, sizeof(pdptr));
	for (i = 0; check && i < ARRAY_SIZE(pdptr); i++)
		if ((pdptr[i] & 1) && (pdptr[i] & reserved))
			return -EINVAL;
	memcpy(vcpu->pdptr, pdptr, sizeof(pdptr));
	keel_touch(vcpu, KEEL_CG_PDPTR);
	return 0;
}

int keel_set_cr0(struct keel_vcpu *vcpu, u64 value)
{
	u64 efer;

	keel_need(vcpu, KEEL_CG_CR | KEEL_CG_CS);
	efer = vcpu->sregs.efer;
	value |= X86_CR0_ET;
	if (!keel_cr0_valid(value))
		return -EINVAL;
	/* Paging going on or off takes long mode with it. */
	if ((value ^ vcpu->sregs.cr0) & X86_CR0_PG && (efer & EFER_LME)) {
		if (value & X86_CR0_PG) {
			if (!(vcpu->sregs.cr4 & X86_CR4_PAE) ||
			    (vcpu->sregs.seg[KEEL_SREG_CS].attr & KEEL_ATTR_L))
				return -EINVAL;
			efer |= EFER_LMA;
		} else {
			if (vcpu->sregs.seg[KEEL_SREG_CS].attr & KEEL_ATTR_L)
				return -EINVAL;
			efer &= ~(u64)EFER_LMA;
		}
	}
	if (!(value & X86_CR0_PG) && (vcpu->sregs.cr4 & X86_CR4_PCIDE))
		return -EINVAL;
	if (((value ^ vcpu->sregs.cr0) & CR0_PAGING) &&
	    keel_pae_paging(value, vcpu->sregs.cr4, efer) && keel_load_pdptrs(vcpu, true))
		return -EINVAL;
	vcpu->sregs.cr0 = value;
	vcpu->sregs.efer = efer;
	keel_touch(vcpu, KEEL_CG_CR);
	return 0;
}

/* Bits that change what translations mean; others leave the TLB as it is. */
#define CR4_PAGING	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_SMEP | \
			 X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_LA57)

int keel_set_cr4(struct keel_vcpu *vcpu, u64 value)
{
	u64 old;

	keel_need(vcpu, KEEL_CG_CR);
	old = vcpu->sregs.cr4;
	if (!keel_cr4_valid(vcpu->vm, value))
		return -EINVAL;
	if (vcpu->sregs.efer & EFER_LMA) {
		if (!(value & X86_CR4_PAE) || ((value ^ old) & X86_CR4_LA57))
			return -EINVAL;
		if ((value & X86_CR4_PCIDE) && !(old & X86_CR4_PCIDE) &&
		    (vcpu->sregs.cr3 & 0xfff))
			return -EINVAL;
	} else if (value & X86_CR4_PCIDE) {
		return -EINVAL;
	}
	if (((value ^ old) & CR4_PAGING) &&
	    keel_pae_paging(vcpu->sregs.cr0, value, vcpu->sregs.efer) &&
	    keel_load_pdptrs(vcpu, true))
		return -EINVAL;
	vcpu->sregs.cr4 = value;
	keel_touch(vcpu, KEEL_CG_CR);
	if ((value ^ old) & CR4_PAGING)
		keel_backend->flush(vcpu);
	if ((value ^ old) & X86_CR4_OSXSAVE)
		keel_update_xcr0(vcpu);
	return 0;
}

int keel_set_cr8(struct keel_vcpu *vcpu, u64 value)
{
	if (value & ~0xfULL)
		return -EINVAL;
	vcpu->cr8 = value;
	lapic_set_cr8(vcpu, value);
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
	return 0;
}

int keel_set_efer(struct keel_vcpu *vcpu, u64 value)
{
	u64 old;

	keel_need(vcpu, KEEL_CG_CR);
	old = vcpu->sregs.efer;
	/* LMA is the CPU's: a write neither sets nor clears it. */
	value = (value & ~(u64)EFER_LMA) | (old & EFER_LMA);
	if (!keel_efer_valid(vcpu->vm, value))
		return -EINVAL;
	if ((vcpu->sregs.cr0 & X86_CR0_PG) && ((value ^ old) & EFER_LME))
		return -EINVAL;
	vcpu->sregs.efer = value;
	keel_touch(vcpu, KEEL_CG_CR);
	if ((value ^ old) & EFER_NX)
		keel_backend->flush(vcpu);
	return 0;
}

int keel_set_xcr0(struct keel_vcpu *vcpu, u64 value)
{
	if (!keel_xcr0_valid(vcpu->vm, value))
		return -EINVAL;
	vcpu->xcr0 = value;
	keel_update_xcr0(vcpu);
	return 0;
}
