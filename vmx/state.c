// SPDX-License-Identifier: GPL-2.0
/*
 * Moves register groups between the vCPU's cache and the VMCS.  It must not
 * know who reads or changes them.
 */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include "core/cpuid.h"
#include "vmx/vmx.h"

/* The place of each segment in the VMCS's order: ES CS SS DS FS GS LDTR TR. */
static const u8 vmx_seg_at[KEEL_SREG_NR] = {
	[KEEL_SREG_ES] = 0, [KEEL_SREG_CS] = 1, [KEEL_SREG_SS] = 2, [KEEL_SREG_DS] = 3,
	[KEEL_SREG_FS] = 4, [KEEL_SREG_GS] = 5, [KEEL_SREG_LDTR] = 6, [KEEL_SREG_TR] = 7,
};

static const u8 vmx_cs_group[] = { KEEL_SREG_CS, KEEL_SREG_SS };
static const u8 vmx_seg_group[] = {
	KEEL_SREG_ES, KEEL_SREG_DS, KEEL_SREG_FS, KEEL_SREG_GS, KEEL_SREG_TR, KEEL_SREG_LDTR,
};

/* The lower bits of TYPE: accessed, and for a TSS busy. */
#define TYPE_ACCESSED	BIT(0)
#define TYPE_BUSY	BIT(1)

static void vmx_get_seg(struct keel_vcpu *vcpu, u8 seg)
{
	struct keel_segment *to = &vcpu->sregs.seg[seg];
	u32 at = vmx_seg_at[seg] * 2, attr = vmx_read(VMX_GUEST_ES_ATTR + at);

	to->base = vmx_read(VMX_GUEST_ES_BASE + at);
	to->limit = vmx_read(VMX_GUEST_ES_LIMIT + at);
	to->selector = vmx_read(VMX_GUEST_ES_SELECTOR + at);
	to->attr = attr & 0xf0ff;
	if (attr & VMX_ATTR_UNUSABLE)
		to->attr &= ~KEEL_ATTR_P;
}

static void vmx_set_seg(struct keel_vcpu *vcpu, u8 seg)
{
	const struct keel_segment *from = &vcpu->sregs.seg[seg];
	u32 at = vmx_seg_at[seg] * 2, attr = from->attr;

	if (!(attr & KEEL_ATTR_P))
		attr |= VMX_ATTR_UNUSABLE;
	else if (attr & KEEL_ATTR_S)
		attr |= TYPE_ACCESSED;	/* the CPU sets it when it loads one */
	else if (seg == KEEL_SREG_TR)
		attr |= TYPE_BUSY;	/* the same for the task register */
	vmx_write(VMX_GUEST_ES_BASE + at, from->base);
	vmx_write(VMX_GUEST_ES_LIMIT + at, from->limit);
	vmx_write(VMX_GUEST_ES_SELECTOR + at, from->selector);
	vmx_write(VMX_GUEST_ES_ATTR + at, attr);
}

/* CR0 bits that are not the guest's: what VMX wants set, and caching, which is the host's. */
static u64 vmx_cr0_mask(void)
{
	return vmx_global.cr0_fixed | X86_CR0_CD | X86_CR0_NW;
}

/* CR4 bits that a guest changes without an exit: nobody else has to follow. */
static u64 vmx_cr4_mask(struct keel_vm *vm)
{
	return ~(keel_guest_cr4_mask(vm) &
		 ~(u64)(X86_CR4_OSXSAVE | X86_CR4_PKE | X86_CR4_MCE | X86_CR4_VMXE |
			X86_CR4_LA57));
}

/* CR2 is the CPU's own register: the cache is kept by enter. */
static void vmx_get_cr(struct keel_vcpu *vcpu)
{
	u64 mask = vmx_cr0_mask();

	vcpu->sregs.cr0 = (vmx_read(VMX_GUEST_CR0) & ~mask) | (vmx_read(VMX_CR0_SHADOW) & mask);
	mask = vmx_cr4_mask(vcpu->vm);
	vcpu->sregs.cr4 = (vmx_read(VMX_GUEST_CR4) & ~mask) | (vmx_read(VMX_CR4_SHADOW) & mask);
	vcpu->sregs.cr3 = vmx_read(VMX_GUEST_CR3);
	vcpu->sregs.efer = vmx_read(VMX_GUEST_EFER);
}

static void vmx_set_cr(struct keel_vcpu *vcpu)
{
	u64 cr0 = vcpu->sregs.cr0, cr4 = vcpu->sregs.cr4, efer = vcpu->sregs.efer;

	vmx_write(VMX_CR0_MASK, vmx_cr0_mask());
	vmx_write(VMX_CR0_SHADOW, cr0);
	vmx_write(VMX_GUEST_CR0, (cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW)) | vmx_global.cr0_fixed);
	/* A machine check exits only while CR4.MCE is set: it stays as the host has it. */
	vmx_write(VMX_CR4_MASK, vmx_cr4_mask(vcpu->vm));
	vmx_write(VMX_CR4_SHADOW, cr4);
	vmx_write(VMX_GUEST_CR4, cr4 | vmx_global.cr4_fixed | (cr4_read_shadow() & X86_CR4_MCE));
	vmx_write(VMX_GUEST_CR3, vcpu->sregs.cr3);
	vmx_write(VMX_GUEST_EFER, efer);
	vmx_set_syscall(vcpu, efer & EFER_SCE);
	/* The CPU keeps this bit true at exits; here the mode was set from outside. */
	vmx_write(VMX_ENTRY_CONTROLS,
		  efer & EFER_LMA ? vmx_global.entry | VMX_ENTRY_GUEST_64 : vmx_global.entry);
}

static void vmx_get_groups(struct keel_vcpu *vcpu, u32 groups)
{
	struct keel_sregs *s = &vcpu->sregs;
	int i;

	if (groups & KEEL_CG_CR)
		vmx_get_cr(vcpu);
	for (i = 0; (groups & KEEL_CG_CS) && i < ARRAY_SIZE(vmx_cs_group); i++)
		vmx_get_seg(vcpu, vmx_cs_group[i]);
	for (i = 0; (groups & KEEL_CG_SEG) && i < ARRAY_SIZE(vmx_seg_group); i++)
		vmx_get_seg(vcpu, vmx_seg_group[i]);
	if (groups & KEEL_CG_DTABLE) {
		s->gdt = (struct keel_dtable){ .base = vmx_read(VMX_GUEST_GDTR_BASE),
					       .limit = vmx_read(VMX_GUEST_GDTR_LIMIT) };
		s->idt = (struct keel_dtable){ .base = vmx_read(VMX_GUEST_IDTR_BASE),
					       .limit = vmx_read(VMX_GUEST_IDTR_LIMIT) };
	}
	if (groups & KEEL_CG_DEBUG)
		vcpu->dr7 = vmx_read(VMX_GUEST_DR7);
	if (groups & KEEL_CG_MSR)
		vmx_get_msrs(vcpu);
}

void vmx_state_get(struct keel_vcpu *vcpu, u32 groups)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 shadow;

	vmx_access_begin(vmx);
	if (groups & KEEL_CG_RIP)
		vcpu->regs.rip = vmx_read(VMX_GUEST_RIP);
	if (groups & KEEL_CG_RSP)
		vcpu->regs.gpr[KEEL_RSP] = vmx_read(VMX_GUEST_RSP);
	if (groups & KEEL_CG_RFLAGS)
		vcpu->regs.rflags = vmx_read(VMX_GUEST_RFLAGS);
	if (groups & KEEL_CG_CPL)
		vcpu->cpl = vmx_read(VMX_GUEST_SS_ATTR) >> KEEL_ATTR_DPL_SHIFT & 3;
	if (groups & KEEL_CG_SHADOW) {
		shadow = vmx_shadow(vmx);
		vcpu->shadow = (shadow & VMX_SHADOW_STI ? KEEL_SHADOW_STI : 0) |
			       (shadow & VMX_SHADOW_MOV_SS ? KEEL_SHADOW_MOV_SS : 0);
		vcpu->nmi_masked = shadow & VMX_SHADOW_NMI;
	}
	if (groups & ~(KEEL_CG_RIP | KEEL_CG_RSP | KEEL_CG_RFLAGS | KEEL_CG_SHADOW | KEEL_CG_CPL))
		vmx_get_groups(vcpu, groups);
	vmx_access_end(vmx);
}

static void vmx_set_groups(struct keel_vcpu *vcpu, u32 groups)
{
	const struct keel_sregs *s = &vcpu->sregs;
	int i;

	if (groups & KEEL_CG_CR)
		vmx_set_cr(vcpu);
	for (i = 0; (groups & KEEL_CG_PDPTR) && i < ARRAY_SIZE(vcpu->pdptr); i++)
		vmx_write(VMX_GUEST_PDPTE0 + i * 2, vcpu->pdptr[i]);
	for (i = 0; (groups & KEEL_CG_CS) && i < ARRAY_SIZE(vmx_cs_group); i++)
		vmx_set_seg(vcpu, vmx_cs_group[i]);
	for (i = 0; (groups & KEEL_CG_SEG) && i < ARRAY_SIZE(vmx_seg_group); i++)
		vmx_set_seg(vcpu, vmx_seg_group[i]);
	if (groups & KEEL_CG_DTABLE) {
		vmx_write(VMX_GUEST_GDTR_BASE, s->gdt.base);
		vmx_write(VMX_GUEST_GDTR_LIMIT, s->gdt.limit);
		vmx_write(VMX_GUEST_IDTR_BASE, s->idt.base);
		vmx_write(VMX_GUEST_IDTR_LIMIT, s->idt.limit);
	}
	if (groups & KEEL_CG_DEBUG)
		vmx_write(VMX_GUEST_DR7, vcpu->dr7);
	if (groups & KEEL_CG_MSR)
		vmx_set_msrs(vcpu);
}

/*
 * What was loaded may come from a CPU that knows one kind of shadow; with IF clear
 * it cannot be STI's.  A single step that waits in a shadow is a field of its own,
 * which the entry wants to agree with RFLAGS.
 */
static void vmx_settle_shadow(struct vmx_vcpu *vmx, bool loaded)
{
	u32 shadow = vmx_shadow(vmx);
	u64 rflags, pending;

	if (likely(!(shadow & (VMX_SHADOW_STI | VMX_SHADOW_MOV_SS)))) {
		/* Nor does one wait for the end of a shadow that was there before. */
		if (loaded)
			vmx_write(VMX_GUEST_PENDING_DEBUG, 0);
		return;
	}
	rflags = vmx_read(VMX_GUEST_RFLAGS);
	if ((shadow & VMX_SHADOW_STI) && !(rflags & X86_EFLAGS_IF))
		vmx_set_shadow(vmx, (shadow & ~(u32)VMX_SHADOW_STI) | VMX_SHADOW_MOV_SS);
	pending = vmx_read(VMX_GUEST_PENDING_DEBUG) & ~(u64)VMX_PENDING_DEBUG_BS;
	if (rflags & X86_EFLAGS_TF)
		pending |= VMX_PENDING_DEBUG_BS;
	vmx_write(VMX_GUEST_PENDING_DEBUG, pending);
}

void vmx_state_set(struct keel_vcpu *vcpu, u32 groups)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_access_begin(vmx);
	if (groups & KEEL_CG_RIP)
		vmx_write(VMX_GUEST_RIP, vcpu->regs.rip);
	if (groups & KEEL_CG_RSP)
		vmx_write(VMX_GUEST_RSP, vcpu->regs.gpr[KEEL_RSP]);
	if (groups & KEEL_CG_RFLAGS)
		vmx_write(VMX_GUEST_RFLAGS, vcpu->regs.rflags);
	if (groups & KEEL_CG_SHADOW)
		vmx_set_shadow(vmx, (vcpu->shadow & KEEL_SHADOW_STI ? VMX_SHADOW_STI : 0) |
				    (vcpu->shadow & KEEL_SHADOW_MOV_SS ? VMX_SHADOW_MOV_SS : 0) |
				    (vcpu->nmi_masked ? VMX_SHADOW_NMI : 0));
	if (groups & (KEEL_CG_RFLAGS | KEEL_CG_SHADOW))
		vmx_settle_shadow(vmx, groups & KEEL_CG_SHADOW);
	if (groups & ~(KEEL_CG_RIP | KEEL_CG_RSP | KEEL_CG_RFLAGS | KEEL_CG_SHADOW))
		vmx_set_groups(vcpu, groups);
	vmx_access_end(vmx);
}
