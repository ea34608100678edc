// SPDX-License-Identifier: GPL-2.0
/*
 * One entry and one exit: what the CPU needs before it enters, and the
 * translation of its exit reason into a neutral exit.  It must not know what
 * an exit leads to.
 */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include "core/compat.h"
#include "core/guest_context.h"
#include "core/mitigate.h"
#include "vmx/vmx.h"

#define VEC_DB		1
#define VEC_DF		8
#define VEC_MC		18
#define APIC_TPR	0x80
#define DR6_BD		BIT_ULL(13)
#define DR6_TRAPS	(0xfULL | BIT_ULL(13) | BIT_ULL(14))
#define DR7_GD		BIT_ULL(13)

typedef void (*vmx_decode_fn)(struct keel_vcpu *vcpu, struct keel_exit *exit);

/* ---- decoding -------------------------------------------------------------------- */

/*
 * #DB exits before the CPU has told the guest: DR6 is ours to fill in, and a
 * handler that could not read it would be its own next cause.
 */
static void vmx_debug_trap(struct keel_vcpu *vcpu, u32 info)
{
	u64 cause = vmx_read(VMX_EXIT_QUALIFICATION) & DR6_TRAPS;

	/* INT1 is a trap, but it exits with RIP on it. */
	if (unlikely((info & KEEL_WORD_TYPE) == VMX_EV_PRIVILEGED)) {
		keel_need(vcpu, KEEL_CG_RIP);
		vcpu->regs.rip += vmx_read(VMX_EXIT_INSN_LEN);
		keel_touch(vcpu, KEEL_CG_RIP);
	}
	vcpu->dr6 = (vcpu->dr6 & ~0xfULL) | cause;
	keel_need(vcpu, KEEL_CG_DEBUG);
	if (unlikely(vcpu->dr7 & DR7_GD)) {
		vcpu->dr7 &= ~DR7_GD;
		keel_touch(vcpu, KEEL_CG_DEBUG);
	}
}

static void vmx_decode_exception(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u32 info = vmx_read(VMX_EXIT_EVENT);

	if ((info & KEEL_WORD_TYPE) == KEEL_WORD_NMI) {
		/* NMIs are blocked until this handler's IRET; it must come first. */
		asm volatile("int $2");
		exit->kind = KEEL_X_INTR;
		return;
	}
	exit->exception.vector = info & 0xff;
	exit->exception.has_error = !!(info & KEEL_WORD_HAS_ERROR);
	exit->exception.error = info & KEEL_WORD_HAS_ERROR ? vmx_read(VMX_EXIT_EVENT_ERROR) : 0;
	if ((info & VMX_EV_NMI_UNBLOCKED) && exit->exception.vector != VEC_DF &&
	    !exit->event_was_in_flight)
		vmx_iret_cut(to_vmx(vcpu));
	if (exit->exception.vector == VEC_DB)
		vmx_debug_trap(vcpu, info);
	else if (exit->exception.vector == VEC_MC)
		keel_host_machine_check();
}

/* An NMI may be what waits for it: vmx_set_windows() says why. */
static void vmx_decode_irq_window(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx->irq_window)
		exit->kind = KEEL_X_NMI_WINDOW;
	vmx_window(vcpu, vmx->irq_window ? KEEL_EV_IRQ : KEEL_EV_NMI, false);
}

static void vmx_decode_nmi_window(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	vmx_window(vcpu, KEEL_EV_NMI, false);
}

static void vmx_decode_cr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u64 info = vmx_read(VMX_EXIT_QUALIFICATION);
	u32 type = (info >> VMX_CR_TYPE_SHIFT) & VMX_CR_TYPE;

	exit->cr.cr = info & VMX_CR_NUMBER;
	exit->cr.gpr = (info >> VMX_CR_GPR_SHIFT) & 15;
	exit->cr.needs_decode = 0;
	/* CLTS and LMSW change nothing that the masks withhold. */
	exit->kind = type == VMX_CR_TO ? KEEL_X_CR_WRITE :
		     type == VMX_CR_FROM ? KEEL_X_CR_READ : KEEL_X_UNEXPECTED;
}

static void vmx_decode_io(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u64 info = vmx_read(VMX_EXIT_QUALIFICATION);

	exit->pio.port = info >> VMX_IO_PORT_SHIFT;
	exit->pio.size = (info & VMX_IO_SIZE) + 1;
	exit->pio.in = !!(info & VMX_IO_IN);
	exit->pio.string = !!(info & VMX_IO_STRING);
	exit->pio.rep = !!(info & VMX_IO_REP);
}

/* The threshold was crossed: the LAPIC hears of the new TPR from the run loop. */
static void vmx_decode_tpr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

/* Every exit empties the log. */
static void vmx_decode_pml_full(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (!exit->event_was_in_flight &&
	    (vmx_read(VMX_EXIT_QUALIFICATION) & VMX_EPT_NMI_UNBLOCKED))
		vmx_iret_cut(to_vmx(vcpu));
}

static void vmx_decode_ept(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u64 info = vmx_read(VMX_EXIT_QUALIFICATION);
	u32 access = KEEL_FAULT_READ;

	if (info & VMX_EPT_FETCH)
		access = KEEL_FAULT_EXEC;
	else if (info & VMX_EPT_WRITE)
		access = KEEL_FAULT_WRITE;
	if (info & VMX_EPT_PRESENT)
		access |= KEEL_FAULT_PRESENT;
	if ((info & VMX_EPT_LINEAR) && !(info & VMX_EPT_TRANSLATED))
		access |= KEEL_FAULT_TABLE_WALK;
	exit->fault.gpa = vmx_read(VMX_GUEST_PHYSICAL);
	exit->fault.access = access;
	if (unlikely(info & VMX_EPT_NMI_UNBLOCKED) && !exit->event_was_in_flight)
		vmx_iret_cut(to_vmx(vcpu));
}

/* A row without kind is an exit that no control asks for. */
static const struct vmx_exit_row {
	u8 kind;
	bool length;		/* the exit instruction length is valid */
	vmx_decode_fn decode;
} vmx_exits[VMX_X_LAST + 1] = {
	[VMX_X_EXCEPTION_NMI] = { KEEL_X_EXCEPTION, false, vmx_decode_exception },
	[VMX_X_INTR] = { KEEL_X_INTR },
	[VMX_X_TRIPLE_FAULT] = { KEEL_X_SHUTDOWN },
	[VMX_X_INIT] = { KEEL_X_INIT },
	[VMX_X_IRQ_WINDOW] = { KEEL_X_IRQ_WINDOW, false, vmx_decode_irq_window },
	[VMX_X_NMI_WINDOW] = { KEEL_X_NMI_WINDOW, false, vmx_decode_nmi_window },
	[VMX_X_TASK_SWITCH] = { KEEL_X_TASK_SWITCH },
	[VMX_X_CPUID] = { KEEL_X_CPUID, true },
	[VMX_X_GETSEC] = { KEEL_X_UNDEFINED },
	[VMX_X_HLT] = { KEEL_X_HLT, true },
	[VMX_X_INVD] = { KEEL_X_CACHE, true },
	[VMX_X_RDPMC] = { KEEL_X_RDPMC, true },
	[VMX_X_VMCALL] = { KEEL_X_HYPERCALL, true },
	[VMX_X_VMX_FIRST ... VMX_X_VMX_LAST] = { KEEL_X_UNDEFINED },
	[VMX_X_CR] = { KEEL_X_CR_WRITE, true, vmx_decode_cr },
	[VMX_X_DR] = { KEEL_X_DR },
	[VMX_X_IO] = { KEEL_X_PIO, true, vmx_decode_io },
	[VMX_X_RDMSR] = { KEEL_X_RDMSR, true },
	[VMX_X_WRMSR] = { KEEL_X_WRMSR, true },
	[VMX_X_MWAIT] = { KEEL_X_UNDEFINED },
	[VMX_X_MONITOR] = { KEEL_X_UNDEFINED },
	[VMX_X_PAUSE] = { KEEL_X_PAUSE, true },
	[VMX_X_TPR_THRESHOLD] = { KEEL_X_NONE, false, vmx_decode_tpr },
	[VMX_X_APIC_ACCESS] = { KEEL_X_APIC_ACCESS, false, vmx_decode_apic_access },
	[VMX_X_EOI] = { KEEL_X_APIC_EOI, false, vmx_decode_eoi },
	[VMX_X_EPT_VIOLATION] = { KEEL_X_STAGE2, false, vmx_decode_ept },
	[VMX_X_INVEPT] = { KEEL_X_UNDEFINED },
	[VMX_X_TIMER] = { KEEL_X_INTR, false, vmx_decode_timer },
	[VMX_X_INVVPID] = { KEEL_X_UNDEFINED },
	[VMX_X_WBINVD] = { KEEL_X_CACHE, true },
	[VMX_X_XSETBV] = { KEEL_X_XSETBV, true },
	[VMX_X_APIC_WRITE] = { KEEL_X_APIC_WRITE, false, vmx_decode_apic_write },
	[VMX_X_PML_FULL] = { KEEL_X_NONE, false, vmx_decode_pml_full },
};

static __always_inline void vmx_decode(struct keel_vcpu *vcpu, struct keel_exit *exit, u32 reason)
{
	const struct vmx_exit_row *row = &vmx_exits[reason];

	exit->vendor_code = reason;
	exit->insn_len = 0;
	exit->nr_bytes = 0;
	exit->kind = KEEL_X_UNEXPECTED;
	if (unlikely(reason > VMX_X_LAST))
		return;
	exit->kind = row->kind;
	if (row->length)
		exit->insn_len = vmx_read(VMX_EXIT_INSN_LEN);
	if (row->decode)
		row->decode(vcpu, exit);
}

/* The guest is as it was before; so is the event that it did not get. */
static void vmx_entry_failed(struct keel_vcpu *vcpu, struct keel_exit *exit, u32 reason)
{
	exit->kind = KEEL_X_ENTRY_FAIL;
	exit->vendor_code = reason;
	exit->insn_len = 0;
	exit->entry.name = vmx_check(vcpu, reason, &exit->entry.rule);
	vmx_requeue(vcpu);
	if ((reason & 0xffff) == VMX_X_ENTRY_MCE)
		keel_host_machine_check();
}

/* ---- entering -------------------------------------------------------------------- */

/* The host's CR3 and CR4 change with the thread, not with every stay in the loop. */
static void vmx_write_host_cr(struct vmx_vcpu *vmx)
{
	u64 cr3 = __get_current_cr3_fast(), cr4 = cr4_read_shadow();

	if (unlikely(cr3 != vmx->host_cr3)) {
		vmx->host_cr3 = cr3;
		vmx_write(VMX_HOST_CR3, cr3);
	}
	if (unlikely(cr4 != vmx->host_cr4)) {
		vmx->host_cr4 = cr4;
		vmx_write(VMX_HOST_CR4, cr4);
	}
}

/* What others may have changed, or left in the cache, while interrupts were on. */
static noinline void vmx_fresh_entry(struct keel_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	if (vcpu->fresh) {
		vmx->host_debugctl = get_debugctlmsr();
		vmx_write_host_cr(vmx);
	}
	vcpu->fresh = false;
	if (keel_l1d_when)
		keel_flush_l1d();
}

static __always_inline void vmx_before_entry(struct keel_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	u32 *tpr = (u32 *)(vmx->virtual_apic + APIC_TPR);

	/* The LAPIC's own page has more bits of it, and they are right. */
	if (!static_branch_unlikely(&keel_apicv) || !vmx->has_lapic)
		*tpr = vcpu->cr8 << 4;
	if (vmx->timer_look)
		vmx_timer_write(vmx);
	if (unlikely(vmx->flush))
		vmx_flush_now(vcpu);
	if (unlikely(vcpu->dr_live))
		set_debugreg(vcpu->dr6, 6);
	if (native_read_cr2() != vcpu->sregs.cr2)
		native_write_cr2(vcpu->sregs.cr2);
	if (vmx->msrlists)
		vmx_perf_enter(vmx);
	if (unlikely(vcpu->fresh) || unlikely(keel_l1d_when == KEEL_L1D_ENTRY))
		vmx_fresh_entry(vcpu, vmx);
}

void vmx_enter(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 reason, info;
	int failed;

	vmx_before_entry(vcpu, vmx);
	keel_ledger_start(&vcpu->ledger);
	keel_guest_enter_irqoff();
	failed = vmx_switch_to_guest(&vmx->sw, vcpu->regs.gpr);
	keel_guest_exit_irqoff();
	if (unlikely(vmx->host_debugctl))
		update_debugctlmsr(vmx->host_debugctl);
	keel_ledger_leave(&vcpu->ledger, rdtsc());

	/* Nothing cached survives but the general registers and CR2. */
	vcpu->sregs.cr2 = native_read_cr2();
	vcpu->valid = 0;
	vmx->shadow_valid = false;
	vcpu->cr8 = *(u32 *)(vmx->virtual_apic + APIC_TPR) >> 4;
	if (unlikely(vcpu->dr_live)) {
		get_debugreg(vcpu->dr6, 6);
		set_debugreg(0, 6);
	}
	if (unlikely(failed)) {
		vmx_perf_failed(vmx);
		vmx_entry_failed(vcpu, exit, 0);
		return;
	}
	reason = vmx_read(VMX_EXIT_REASON);
	/* A VMCS with which no entry has succeeded is not launched. */
	if (unlikely(reason & VMX_X_ENTRY_FAILED)) {
		vmx_entry_failed(vcpu, exit, reason);
		return;
	}
	vmx->sw.launched = 1;
	/* A successful entry has taken the event; the CPU cleared its valid bit. */
	vmx->event = false;
	info = vmx_read(VMX_IDT_EVENT);
	exit->event_was_in_flight = info >> 31;
	if (unlikely(info & KEEL_WORD_VALID))
		vmx_collect_event(vcpu, info);
	if (unlikely(vmx->pml_on))
		vmx_pml_drain(vcpu);
	vmx_decode(vcpu, exit, reason);
}

#define SKIP_SHADOW	(VMX_SHADOW_STI | VMX_SHADOW_MOV_SS)

/* Outside of 64-bit code the instruction pointer wraps at 32 bits. */
static noinline u64 vmx_wrap_rip(struct keel_vcpu *vcpu, u64 rip)
{
	keel_need(vcpu, KEEL_CG_CS | KEEL_CG_CR);
	if (!(vcpu->sregs.efer & EFER_LMA) ||
	    !(vcpu->sregs.seg[KEEL_SREG_CS].attr & KEEL_ATTR_L))
		rip = (u32)rip;
	return rip;
}

/* A shadow ends with its instruction, and a single step traps behind it. */
static noinline bool vmx_skip_effects(struct keel_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	if (vmx->shadow & SKIP_SHADOW) {
		vmx_set_shadow(vmx, vmx->shadow & ~SKIP_SHADOW);
		vcpu->valid &= ~(u32)KEEL_CG_SHADOW;
	}
	vmx_access_end(vmx);
	if (vcpu->regs.rflags & X86_EFLAGS_TF)
		keel_queue_step_trap(vcpu);
	return true;
}

static noinline bool vmx_skip_elsewhere(struct keel_vcpu *vcpu, const struct keel_exit *exit)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool done;

	vmx_access_begin(vmx);
	done = vmx_skip_insn(vcpu, exit);
	vmx_access_end(vmx);
	return done;
}

/* Every exit comes through here: what is rare is a tail call, so that nothing is pushed. */
bool vmx_skip_insn(struct keel_vcpu *vcpu, const struct keel_exit *exit)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 from, rip;

	if (!exit->insn_len)
		return false;
	if (unlikely(!vmx_access_ready(vmx)))
		return vmx_skip_elsewhere(vcpu, exit);
	from = vcpu->valid & KEEL_CG_RIP ? vcpu->regs.rip : vmx_read(VMX_GUEST_RIP);
	if (!(vcpu->valid & KEEL_CG_RFLAGS))
		vcpu->regs.rflags = vmx_read(VMX_GUEST_RFLAGS);
	vcpu->valid |= KEEL_CG_RIP | KEEL_CG_RFLAGS;
	vcpu->dirty &= ~(u32)KEEL_CG_RIP;
	rip = from + exit->insn_len;
	if (unlikely((rip ^ from) >> 32))
		rip = vmx_wrap_rip(vcpu, rip);
	vcpu->regs.rip = rip;
	vmx_write(VMX_GUEST_RIP, rip);
	if (unlikely((vmx_shadow(vmx) & SKIP_SHADOW) | (vcpu->regs.rflags & X86_EFLAGS_TF)))
		return vmx_skip_effects(vcpu, vmx);
	vmx_access_end(vmx);
	return true;
}
