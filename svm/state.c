// SPDX-License-Identifier: GPL-2.0
/*
 * Moves register groups between the vCPU's cache and the VMCB.  It must not
 * know who reads or changes them.
 */
#include <linux/math64.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include "svm/svm.h"

/* The VMCB leaves out the limit's four bits between the two halves. */
static u16 svm_attr_pack(u16 attr)
{
	return (attr & 0xff) | ((attr >> 4) & 0xf00);
}

static u16 svm_attr_unpack(u16 attr)
{
	return (attr & 0xff) | ((attr & 0xf00) << 4);
}

static void svm_get_seg(struct keel_segment *to, const struct svm_segment *from)
{
	to->base = from->base;
	to->limit = from->limit;
	to->selector = from->selector;
	to->attr = svm_attr_unpack(from->attr);
}

static void svm_set_seg(struct svm_segment *to, const struct keel_segment *from)
{
	to->base = from->base;
	to->limit = from->limit;
	to->selector = from->selector;
	to->attr = svm_attr_pack(from->attr);
}

static void svm_get_cs(struct keel_vcpu *vcpu, const struct svm_save *s)
{
	struct keel_segment *ss = &vcpu->sregs.seg[KEEL_SREG_SS];

	svm_get_seg(&vcpu->sregs.seg[KEEL_SREG_CS], &s->cs);
	svm_get_seg(ss, &s->ss);
	/* The privilege level is a field of its own; SS.DPL may be stale in real mode. */
	ss->attr &= ~(3U << KEEL_ATTR_DPL_SHIFT);
	ss->attr |= (s->cpl & 3) << KEEL_ATTR_DPL_SHIFT;
}

static void svm_set_cs(struct keel_vcpu *vcpu, struct svm_save *s)
{
	svm_set_seg(&s->cs, &vcpu->sregs.seg[KEEL_SREG_CS]);
	svm_set_seg(&s->ss, &vcpu->sregs.seg[KEEL_SREG_SS]);
	s->cpl = (vcpu->sregs.seg[KEEL_SREG_SS].attr >> KEEL_ATTR_DPL_SHIFT) & 3;
}

/*
 * A machine check in guest mode exits only while CR4.MCE is set; without, the CPU
 * shuts down.  So the host's bit stays on, and a guest that has it off reads
 * CR4 through an exit.
 */
static u64 svm_cr4(struct svm_vcpu *svm, u64 cr4)
{
	u32 *word = &svm->vmcb->control.intercept_cr;
	bool hide = (cr4_read_shadow() & X86_CR4_MCE) && !(cr4 & X86_CR4_MCE);

	if (svm->hide_mce != hide) {
		svm->hide_mce = hide;
		*word = hide ? *word | SVM_CR_READ(4) : *word & ~SVM_CR_READ(4);
		svm_unclean(svm, SVM_CLEAN_INTERCEPTS);
	}
	return hide ? cr4 | X86_CR4_MCE : cr4;
}

static void svm_get_cr(struct keel_vcpu *vcpu, const struct svm_save *s)
{
	vcpu->sregs.cr0 = s->cr0;
	vcpu->sregs.cr2 = s->cr2;
	vcpu->sregs.cr3 = s->cr3;
	vcpu->sregs.cr4 = to_svm(vcpu)->hide_mce ? s->cr4 & ~(u64)X86_CR4_MCE : s->cr4;
	vcpu->sregs.efer = s->efer & ~(u64)EFER_SVME;
}

static void svm_set_cr(struct keel_vcpu *vcpu, struct svm_save *s)
{
	s->cr0 = vcpu->sregs.cr0;
	s->cr2 = vcpu->sregs.cr2;
	s->cr3 = vcpu->sregs.cr3;
	s->cr4 = svm_cr4(to_svm(vcpu), vcpu->sregs.cr4);
	s->efer = vcpu->sregs.efer | EFER_SVME;
}

/* Which group's segments stand where in the VMCB. */
static const struct {
	u8 seg;
	u16 offset;
} svm_segs[] = {
	{ KEEL_SREG_ES, offsetof(struct svm_save, es) },
	{ KEEL_SREG_DS, offsetof(struct svm_save, ds) },
	{ KEEL_SREG_FS, offsetof(struct svm_save, fs) },
	{ KEEL_SREG_GS, offsetof(struct svm_save, gs) },
	{ KEEL_SREG_TR, offsetof(struct svm_save, tr) },
	{ KEEL_SREG_LDTR, offsetof(struct svm_save, ldtr) },
};

static void svm_move_msrs(struct keel_msrs *m, struct svm_save *s, bool get)
{
	struct {
		u64 *cache, *block;
	} row[] = {
		{ &m->star, &s->star }, { &m->lstar, &s->lstar }, { &m->cstar, &s->cstar },
		{ &m->sfmask, &s->sfmask }, { &m->kernel_gs_base, &s->kernel_gs_base },
		{ &m->sysenter_cs, &s->sysenter_cs }, { &m->sysenter_esp, &s->sysenter_esp },
		{ &m->sysenter_eip, &s->sysenter_eip }, { &m->pat, &s->pat },
		{ &m->debugctl, &s->debugctl },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(row); i++) {
		if (get)
			*row[i].cache = *row[i].block;
		else
			*row[i].block = *row[i].cache;
	}
}

static u64 svm_guest_rflags(const struct svm_vcpu *svm)
{
	const u64 ours = X86_EFLAGS_TF | X86_EFLAGS_RF;
	u64 rflags = svm->vmcb->save.rflags;

	return svm->stepping ? (rflags & ~ours) | (svm->step_rflags & ours) : rflags;
}

void svm_state_get(struct keel_vcpu *vcpu, u32 groups)
{
	const struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_save *s = &svm->vmcb->save;
	int i;

	if (groups & KEEL_CG_RIP)
		vcpu->regs.rip = s->rip;
	if (groups & KEEL_CG_RSP)
		vcpu->regs.gpr[KEEL_RSP] = s->rsp;
	if (groups & KEEL_CG_RFLAGS)
		vcpu->regs.rflags = svm_guest_rflags(svm);
	if (groups & KEEL_CG_CPL)
		vcpu->cpl = s->cpl & 3;
	if (groups & KEEL_CG_CR)
		svm_get_cr(vcpu, s);
	if (groups & KEEL_CG_CS)
		svm_get_cs(vcpu, s);
	if (groups & KEEL_CG_SEG)
		for (i = 0; i < ARRAY_SIZE(svm_segs); i++)
			svm_get_seg(&vcpu->sregs.seg[svm_segs[i].seg],
				    (void *)s + svm_segs[i].offset);
	if (groups & KEEL_CG_DTABLE) {
		vcpu->sregs.gdt.base = s->gdtr.base;
		vcpu->sregs.gdt.limit = s->gdtr.limit;
		vcpu->sregs.idt.base = s->idtr.base;
		vcpu->sregs.idt.limit = s->idtr.limit;
	}
	if (groups & KEEL_CG_DEBUG) {
		vcpu->dr6 = s->dr6;
		vcpu->dr7 = s->dr7;
	}
	if (groups & KEEL_CG_MSR)
		svm_move_msrs(&vcpu->msr, s, true);
	if (groups & KEEL_CG_SHADOW)
		vcpu->shadow = svm->vmcb->control.int_state & SVM_INT_SHADOW ? KEEL_SHADOW_STI : 0;
}

static void svm_set_rflags(struct svm_vcpu *svm, u64 rflags)
{
	svm->vmcb->save.rflags = rflags;
	if (svm->stepping) {
		svm->step_rflags = rflags;
		svm->vmcb->save.rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
	}
}

void svm_state_set(struct keel_vcpu *vcpu, u32 groups)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_save *s = &svm->vmcb->save;
	int i;

	if (groups & KEEL_CG_RIP)
		s->rip = vcpu->regs.rip;
	if (groups & KEEL_CG_RSP)
		s->rsp = vcpu->regs.gpr[KEEL_RSP];
	if (groups & KEEL_CG_RFLAGS)
		svm_set_rflags(svm, vcpu->regs.rflags);
	if (groups & KEEL_CG_CR) {
		svm_set_cr(vcpu, s);
		svm_unclean(svm, SVM_CLEAN_CR | SVM_CLEAN_CR2);
	}
	if (groups & KEEL_CG_CS) {
		svm_set_cs(vcpu, s);
		svm_unclean(svm, SVM_CLEAN_SEG);
	}
	if (groups & KEEL_CG_SEG) {
		for (i = 0; i < ARRAY_SIZE(svm_segs); i++)
			svm_set_seg((void *)s + svm_segs[i].offset,
				    &vcpu->sregs.seg[svm_segs[i].seg]);
		svm_unclean(svm, SVM_CLEAN_SEG);
	}
	if (groups & KEEL_CG_DTABLE) {
		s->gdtr.base = vcpu->sregs.gdt.base;
		s->gdtr.limit = vcpu->sregs.gdt.limit;
		s->idtr.base = vcpu->sregs.idt.base;
		s->idtr.limit = vcpu->sregs.idt.limit;
		svm_unclean(svm, SVM_CLEAN_DT);
	}
	if (groups & KEEL_CG_DEBUG) {
		s->dr6 = vcpu->dr6;
		s->dr7 = vcpu->dr7;
		svm_unclean(svm, SVM_CLEAN_DR);
	}
	if (groups & KEEL_CG_MSR) {
		svm_move_msrs(&vcpu->msr, s, false);
		svm_unclean(svm, SVM_CLEAN_NP);	/* the guest's PAT belongs to nested paging */
	}
	if (groups & KEEL_CG_SHADOW) {
		svm->vmcb->control.int_state = vcpu->shadow ? SVM_INT_SHADOW : 0;
		if (vcpu->nmi_masked && !svm->iret_running)
			svm_watch_iret(vcpu);
	}
}
