// SPDX-License-Identifier: GPL-2.0
/*
 * One entry and one exit: what the VMCB needs before VMRUN, and the
 * translation of its exit code into a neutral exit.  It must not know what an
 * exit leads to.
 */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include "core/compat.h"
#include "core/guest_context.h"
#include "core/hw.h"
#include "svm/svm.h"

typedef void (*svm_decode_fn)(struct keel_vcpu *vcpu, struct keel_exit *exit);

static void svm_decode_cr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	const struct svm_control *c = &to_svm(vcpu)->vmcb->control;

	exit->cr.cr = c->exit_code & 0xf;
	/* Bit 63: the instruction was MOV CR and the decode assist names its register. */
	exit->cr.needs_decode = !(svm_global.features & SVM_F_DECODE_ASSIST) ||
				!(c->exit_info_1 >> 63);
	exit->cr.gpr = c->exit_info_1 & 0xf;
}

static void svm_decode_exception(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_vmcb *b = svm->vmcb;

	exit->exception.vector = b->control.exit_code - SVM_X_EXCEPTION;
	exit->exception.error = b->control.exit_info_1;
	exit->exception.has_error = exit->exception.vector == 17;
	/* What such a CPU did not save can be told for a single step. */
	if (static_branch_unlikely(&svm_half_switch) && exit->exception.vector == 1 &&
	    (svm->stepping || (b->save.rflags & X86_EFLAGS_TF)))
		b->save.dr6 |= DR_STEP;
	if (exit->exception.vector == 1 && svm_step_done(vcpu))
		exit->kind = KEEL_X_NMI_WINDOW;
	else if (exit->exception.vector == 18)
		keel_host_machine_check();
}

static void svm_decode_io(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct svm_vmcb *b = to_svm(vcpu)->vmcb;
	u32 info = b->control.exit_info_1;

	exit->pio.port = info >> SVM_IO_PORT_SHIFT;
	exit->pio.size = (info >> SVM_IO_SIZE_SHIFT) & 7;
	exit->pio.in = info & SVM_IO_IN;
	exit->pio.string = !!(info & SVM_IO_STRING);
	exit->pio.rep = !!(info & SVM_IO_REP);
	/* Every SVM CPU gives the next RIP of an I/O instruction. */
	exit->insn_len = b->control.exit_info_2 - b->save.rip;
}

static void svm_decode_msr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	exit->kind = to_svm(vcpu)->vmcb->control.exit_info_1 & 1 ? KEEL_X_WRMSR : KEEL_X_RDMSR;
}

static void svm_decode_vintr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	svm_window(vcpu, KEEL_EV_IRQ, false);
}

static void svm_decode_iret(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	svm_iret_exit(vcpu);
}

static void svm_decode_npf(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	const struct svm_control *c = &to_svm(vcpu)->vmcb->control;
	u64 info = c->exit_info_1;
	u32 access = KEEL_FAULT_READ;

	if (info & SVM_NPF_FETCH)
		access = KEEL_FAULT_EXEC;
	else if (info & SVM_NPF_WRITE)
		access = KEEL_FAULT_WRITE;
	if (info & SVM_NPF_PRESENT)
		access |= KEEL_FAULT_PRESENT;
	if (info & SVM_NPF_TABLE_WALK)
		access |= KEEL_FAULT_TABLE_WALK;
	exit->fault.gpa = c->exit_info_2;
	exit->fault.access = access;
	if (svm_global.features & SVM_F_DECODE_ASSIST) {
		exit->nr_bytes = min_t(u8, c->insn_len & 0xf, sizeof(exit->bytes));
		memcpy(exit->bytes, c->insn_bytes, sizeof(exit->bytes));
	}
}

/* Codes up to SVM_X_LAST.  A row without kind is an exit that no intercept asks for. */
static const struct {
	u8 kind;
	bool next_rip;		/* the next-RIP save is valid for it */
	svm_decode_fn decode;
} svm_exits[SVM_X_LAST + 1] = {
	[SVM_X_CR_READ ... SVM_X_CR_READ + 15] = { KEEL_X_CR_READ, true, svm_decode_cr },
	[SVM_X_CR_WRITE ... SVM_X_CR_WRITE + 15] = { KEEL_X_CR_WRITE, true, svm_decode_cr },
	[SVM_X_DR_FIRST ... SVM_X_DR_LAST] = { KEEL_X_DR },
	[SVM_X_EXCEPTION ... SVM_X_EXCEPTION_LAST] = {
		KEEL_X_EXCEPTION, false, svm_decode_exception },
	[SVM_X_INTR] = { KEEL_X_INTR },
	[SVM_X_NMI] = { KEEL_X_INTR },
	[SVM_X_SMI] = { KEEL_X_INTR },
	[SVM_X_INIT] = { KEEL_X_INTR },	/* the host's own, kept pending by GIF */
	[SVM_X_VINTR] = { KEEL_X_IRQ_WINDOW, false, svm_decode_vintr },
	[SVM_X_RDPMC] = { KEEL_X_RDPMC, true },
	[SVM_X_CPUID] = { KEEL_X_CPUID, true },
	[SVM_X_IRET] = { KEEL_X_NONE, false, svm_decode_iret },
	[SVM_X_INVD] = { KEEL_X_CACHE, true },
	[SVM_X_PAUSE] = { KEEL_X_PAUSE, true },
	[SVM_X_HLT] = { KEEL_X_HLT, true },
	[SVM_X_INVLPGA] = { KEEL_X_UNDEFINED },
	[SVM_X_IOIO] = { KEEL_X_PIO, false, svm_decode_io },
	[SVM_X_MSR] = { KEEL_X_RDMSR, true, svm_decode_msr },
	[SVM_X_TASK_SWITCH] = { KEEL_X_TASK_SWITCH },
	[SVM_X_FERR_FREEZE] = { KEEL_X_INTR },
	[SVM_X_SHUTDOWN] = { KEEL_X_SHUTDOWN },
	[SVM_X_VMRUN] = { KEEL_X_UNDEFINED },
	[SVM_X_VMMCALL] = { KEEL_X_HYPERCALL, true },
	[SVM_X_VMLOAD] = { KEEL_X_UNDEFINED },
	[SVM_X_VMSAVE] = { KEEL_X_UNDEFINED },
	[SVM_X_STGI] = { KEEL_X_UNDEFINED },
	[SVM_X_CLGI] = { KEEL_X_UNDEFINED },
	[SVM_X_SKINIT] = { KEEL_X_UNDEFINED },
	[SVM_X_WBINVD] = { KEEL_X_CACHE, true },
	[SVM_X_MONITOR] = { KEEL_X_UNDEFINED },
	[SVM_X_MWAIT] = { KEEL_X_UNDEFINED },
	[SVM_X_MWAIT_ARMED] = { KEEL_X_UNDEFINED },
	[SVM_X_XSETBV] = { KEEL_X_XSETBV, true },
	[SVM_X_RDPRU] = { KEEL_X_UNDEFINED },
};

static void svm_decode(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct svm_vmcb *b = to_svm(vcpu)->vmcb;
	u32 code = b->control.exit_code;

	exit->vendor_code = code;
	exit->insn_len = 0;
	exit->nr_bytes = 0;
	exit->event_was_in_flight = !!(b->control.exit_int_info & KEEL_WORD_VALID);
	if (likely(code <= SVM_X_LAST)) {
		exit->kind = svm_exits[code].kind;
		if (svm_exits[code].next_rip && (svm_global.features & SVM_F_NRIPS) &&
		    b->control.next_rip)
			exit->insn_len = b->control.next_rip - b->save.rip;
		if (svm_exits[code].decode)
			svm_exits[code].decode(vcpu, exit);
	} else if (code == SVM_X_NPF) {
		exit->kind = KEEL_X_STAGE2;
		svm_decode_npf(vcpu, exit);
	} else if (code == SVM_X_INVALID) {
		exit->kind = KEEL_X_ENTRY_FAIL;
		exit->entry.name = svm_check(vcpu, &exit->entry.rule);
	} else {
		exit->kind = KEEL_X_UNEXPECTED;
	}
}

/* TPR, ASID, flush: what may differ since the last entry on this CPU. */
static void svm_before_entry(struct keel_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct svm_control *c = &svm->vmcb->control;

	if ((c->int_ctl & SVM_V_TPR_MASK) != vcpu->cr8) {
		c->int_ctl = (c->int_ctl & ~SVM_V_TPR_MASK) | vcpu->cr8;
		svm_unclean(svm, SVM_CLEAN_INT_CTL);
	}
	if (unlikely(svm->asid_generation != this_cpu_read(svm_cpus.asid_generation)))
		svm_assign_asid(svm);
	svm->vmcb->save.rax = vcpu->regs.gpr[KEEL_RAX];
}

void svm_enter(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_control *c = &svm->vmcb->control;

	svm_before_entry(vcpu, svm);
	amd_clear_divider();
	keel_ledger_start(&vcpu->ledger);
	keel_guest_enter_irqoff();
	if (static_branch_unlikely(&svm_half_switch))
		native_write_cr2(svm->vmcb->save.cr2);
	svm_switch_to_guest(&svm->sw, vcpu->regs.gpr);
	keel_guest_exit_irqoff();
	keel_ledger_leave(&vcpu->ledger, rdtsc());

	/* Nothing cached survives but the general registers. */
	vcpu->regs.gpr[KEEL_RAX] = svm->vmcb->save.rax;
	vcpu->valid = 0;
	vcpu->cr8 = c->int_ctl & SVM_V_TPR_MASK;
	c->tlb_ctl = SVM_TLB_KEEP;
	c->clean = SVM_CLEAN_ALL;
	if (unlikely(svm->sw.faulted)) {
		svm->sw.faulted = 0;
		exit->kind = KEEL_X_ENTRY_FAIL;
		exit->vendor_code = SVM_X_INVALID;
		exit->entry.rule = 0;
		exit->entry.name = "SVM was switched off";
		return;
	}
	/* The guest did not get the event of an entry that failed. */
	if (unlikely((u32)c->exit_code == SVM_X_INVALID)) {
		c->event_inj = svm->event_inj;
		svm_decode(vcpu, exit);
		svm_requeue(vcpu);
		return;
	}
	svm_collect_event(vcpu);
	svm_decode(vcpu, exit);
}

bool svm_skip_insn(struct keel_vcpu *vcpu, const struct keel_exit *exit)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_save *s = &svm->vmcb->save;
	u64 rip;

	if (!exit->insn_len)
		return false;
	/* A copy in the cache is stale now, unless it is the newer one. */
	if (unlikely(vcpu->dirty & KEEL_CG_RIP))
		return false;
	rip = s->rip + exit->insn_len;
	/* Outside of 64-bit code the instruction pointer wraps at 32 bits. */
	if (unlikely((rip ^ s->rip) >> 32) && !((s->efer & EFER_LMA) && (s->cs.attr & SVM_ATTR_L)))
		rip = (u32)rip;
	s->rip = rip;
	vcpu->valid &= ~(u32)KEEL_CG_RIP;
	svm->vmcb->control.int_state = 0;
	vcpu->valid &= ~(u32)KEEL_CG_SHADOW;
	if (unlikely(s->rflags & X86_EFLAGS_TF) && !svm->stepping)
		keel_queue_step_trap(vcpu);
	return true;
}
