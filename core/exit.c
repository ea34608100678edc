// SPDX-License-Identifier: GPL-2.0
/*
 * What each kind of exit leads to: one short handler a kind, found through one
 * table.  It must not know a vendor's exit codes.
 */
#include <asm/processor-flags.h>
#include "core/cpuid.h"
#include "core/iobus.h"
#include "core/run.h"
#include "irqchip/irqchip.h"

static u64 io_mask(u32 size)
{
	return size >= 8 ? ~0ULL : BIT_ULL(size * 8) - 1;
}

/* ---- instructions ---------------------------------------------------------------- */

static int exit_cpuid(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	int next = keel_skip(vcpu, exit);

	if (likely(next == KEEL_NEXT_ENTER))
		keel_cpuid_emulate(vcpu);
	return next;
}

static int exit_hlt(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	int next = keel_skip(vcpu, exit);

	if (next != KEEL_NEXT_ENTER)
		return next;
	if (!vcpu->lapic) {
		vcpu->run->exit_reason = KEEL_EXIT_HLT;
		return KEEL_NEXT_USER;
	}
	vcpu->stats.halts++;
	vcpu->mp_state = KEEL_MP_HALTED;
	/* The entry loop must not go round again. */
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
	return KEEL_NEXT_ENTER;
}

/* A guest that spins lets somebody else have the CPU. */
static int exit_pause(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	int next = keel_skip(vcpu, exit);

	if (next == KEEL_NEXT_ENTER)
		cond_resched();
	return next;
}

static int exit_cache(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return keel_skip(vcpu, exit);
}

static int exit_undefined(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_queue_ud(vcpu);
	return KEEL_NEXT_ENTER;
}

/* CPUID shows no performance counters. */
static int exit_rdpmc(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_queue_gp(vcpu);
	return KEEL_NEXT_ENTER;
}

static int exit_xsetbv(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	const u64 *gpr = vcpu->regs.gpr;
	u64 value = (u32)gpr[KEEL_RAX] | gpr[KEEL_RDX] << 32;

	keel_need(vcpu, KEEL_CG_CR);
	if (!(vcpu->sregs.cr4 & X86_CR4_OSXSAVE)) {
		keel_queue_ud(vcpu);
		return KEEL_NEXT_ENTER;
	}
	if (keel_cpl(vcpu) || (u32)gpr[KEEL_RCX] || keel_set_xcr0(vcpu, value)) {
		keel_queue_gp(vcpu);
		return KEEL_NEXT_ENTER;
	}
	return keel_skip(vcpu, exit);
}

int keel_finish_hypercall(struct keel_vcpu *vcpu)
{
	vcpu->regs.gpr[KEEL_RAX] = READ_ONCE(vcpu->run->hypercall.ret);
	return KEEL_NEXT_ENTER;
}

static int exit_hypercall(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u8 policy = READ_ONCE(vcpu->vm->policy.hypercall);
	u64 *gpr = vcpu->regs.gpr;
	int next;

	if (policy == KEEL_POLICY_FAULT || keel_cpl(vcpu)) {
		keel_queue_ud(vcpu);
		return KEEL_NEXT_ENTER;
	}
	next = keel_skip(vcpu, exit);
	if (next != KEEL_NEXT_ENTER)
		return next;
	if (policy == KEEL_POLICY_ZERO) {
		gpr[KEEL_RAX] = ~0ULL;
		return KEEL_NEXT_ENTER;
	}
	vcpu->run->exit_reason = KEEL_EXIT_HYPERCALL;
	vcpu->run->hypercall = (struct keel_exit_hypercall){
		.nr = gpr[KEEL_RAX],
		.arg = { gpr[KEEL_RBX], gpr[KEEL_RCX], gpr[KEEL_RDX], gpr[KEEL_RSI] },
	};
	vcpu->pending_user = KEEL_PEND_HYPERCALL;
	return KEEL_NEXT_USER;
}

/* ---- control and debug registers ------------------------------------------------- */

static int write_cr(struct keel_vcpu *vcpu, u8 cr, u64 value)
{
	switch (cr) {
	case 0:
		return keel_set_cr0(vcpu, value);
	case 4:
		return keel_set_cr4(vcpu, value);
	case 8:
		return keel_set_cr8(vcpu, value);
	}
	return -EINVAL;
}

/* Which register MOV CR moves: KEEL_NEXT_SLOW with *@gpr, or what to do instead. */
static int cr_operand(struct keel_vcpu *vcpu, struct keel_exit *exit, u8 *gpr)
{
	int next;

	*gpr = exit->cr.gpr;
	if (!exit->cr.needs_decode)
		return KEEL_NEXT_SLOW;
	next = keel_decode_at_rip(vcpu, exit);
	if (next == KEEL_NEXT_SLOW) {
		*gpr = vcpu->emul.insn.rm & 15;
		exit->insn_len = vcpu->emul.insn.length;
	}
	return next;
}

/* A read exits only where the control block's CR4 is not what the guest set. */
static int exit_cr_read(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u8 gpr;
	int next = cr_operand(vcpu, exit, &gpr);

	if (next != KEEL_NEXT_SLOW)
		return next;
	if (exit->cr.cr != 4)
		return keel_emul_fail(vcpu, KEEL_EMULFAIL_UNEXPECTED, exit);
	next = keel_skip(vcpu, exit);
	if (next != KEEL_NEXT_ENTER)
		return next;
	keel_need(vcpu, KEEL_CG_CR);
	vcpu->regs.gpr[gpr] = vcpu->sregs.cr4;
	if (gpr == KEEL_RSP)
		keel_touch(vcpu, KEEL_CG_RSP);
	return KEEL_NEXT_ENTER;
}

/* MOV to a control register; LMSW and CLTS never get here, nor do CR2 and CR3. */
static int exit_cr_write(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u64 value;
	u8 gpr;
	int next = cr_operand(vcpu, exit, &gpr);

	if (next != KEEL_NEXT_SLOW)
		return next;
	keel_need(vcpu, KEEL_CG_CR | KEEL_CG_RSP);
	value = vcpu->regs.gpr[gpr];
	if (!(vcpu->sregs.efer & EFER_LMA))
		value = (u32)value;
	if (keel_cpl(vcpu) || write_cr(vcpu, exit->cr.cr, value)) {
		keel_queue_gp(vcpu);
		return KEEL_NEXT_ENTER;
	}
	return keel_skip(vcpu, exit);
}

/* A code that no control bit asks for. */
static int exit_unexpected(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return keel_emul_fail(vcpu, KEEL_EMULFAIL_UNEXPECTED, exit);
}

/* First touch in this slice: from here on the guest has them for itself. */
static int exit_dr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	vcpu->dr_live = true;
	keel_backend->dr_access(vcpu, false);
	return KEEL_NEXT_ENTER;
}

/* ---- ports ----------------------------------------------------------------------- */

static void pio_result(struct keel_vcpu *vcpu, u32 size, u32 data)
{
	u64 *rax = &vcpu->regs.gpr[KEEL_RAX];

	if (size == 4)
		*rax = data;
	else
		*rax = (*rax & ~io_mask(size)) | (data & io_mask(size));
}

int keel_finish_pio(struct keel_vcpu *vcpu)
{
	/* The size is ours; only the data is the launcher's. */
	pio_result(vcpu, vcpu->pio_size, READ_ONCE(vcpu->run->pio.data));
	return KEEL_NEXT_ENTER;
}

static int pio_to_user(struct keel_vcpu *vcpu, const struct keel_exit *exit, u32 data)
{
	vcpu->run->exit_reason = KEEL_EXIT_PIO;
	vcpu->run->pio = (struct keel_exit_pio){
		.port = exit->pio.port,
		.size = exit->pio.size,
		.dir = exit->pio.in ? KEEL_DIR_IN : KEEL_DIR_OUT,
		.data = data,
	};
	if (exit->pio.in) {
		vcpu->pio_size = exit->pio.size;
		vcpu->pending_user = KEEL_PEND_PIO;
	}
	return KEEL_NEXT_USER;
}

static int exit_pio(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u8 size = exit->pio.size;
	u64 val = vcpu->regs.gpr[KEEL_RAX] & io_mask(size);
	int err, next;

	if (unlikely(exit->pio.string))
		return keel_emulate(vcpu, exit, KEEL_GPA_INVALID);
	next = keel_skip(vcpu, exit);
	if (next != KEEL_NEXT_ENTER)
		return next;
	if (exit->pio.in)
		err = keel_iobus_read(vcpu, KEEL_BUS_PIO, exit->pio.port, size, &val);
	else
		err = keel_iobus_write(vcpu, KEEL_BUS_PIO, exit->pio.port, size, val);
	if (err) {
		if (READ_ONCE(vcpu->vm->policy.pio) == KEEL_POLICY_EXIT)
			return pio_to_user(vcpu, exit, exit->pio.in ? 0 : val);
		vcpu->stats.policy_pio++;
		val = ~0ULL;
	}
	if (exit->pio.in)
		pio_result(vcpu, size, val);
	return KEEL_NEXT_ENTER;
}

/* ---- memory ---------------------------------------------------------------------- */

static int mem_fault(struct keel_vcpu *vcpu, const struct keel_exit *exit, int error)
{
	vcpu->run->exit_reason = KEEL_EXIT_MEM_FAULT;
	vcpu->run->mem = (struct keel_exit_mem){
		.gpa = exit->fault.gpa,
		.access = exit->fault.access & (KEEL_ACCESS_READ | KEEL_ACCESS_WRITE |
						KEEL_ACCESS_EXEC),
		.error = error,
	};
	return KEEL_NEXT_USER;
}

static int exit_stage2(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	int error = 0;

	switch (s2_fault(vcpu, exit->fault.gpa, exit->fault.access, &error)) {
	case S2_MAPPED:
		vcpu->stats.stage2_mapped++;
		return KEEL_NEXT_ENTER;
	case S2_MMIO:
		/* The instruction is not the cause when the CPU was pushing a frame. */
		if (exit->event_was_in_flight)
			return keel_emul_fail(vcpu, KEEL_EMULFAIL_DELIVERY, exit);
		return keel_emulate(vcpu, exit, exit->fault.gpa);
	case S2_SIGNAL:
		return -EINTR;
	case S2_NO_EXEC:
	case S2_ERROR:
		break;
	}
	return mem_fault(vcpu, exit, error);
}

/* ---- the LAPIC, where the CPU has its registers ---------------------------------- */

static int exit_apic_access(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (exit->event_was_in_flight)
		return keel_emul_fail(vcpu, KEEL_EMULFAIL_DELIVERY, exit);
	return keel_emulate(vcpu, exit, exit->fault.gpa);
}

static int exit_apic_write(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	lapic_cpu_wrote(vcpu, exit->apic.offset);
	return KEEL_NEXT_ENTER;
}

static int exit_apic_eoi(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	lapic_cpu_ended(vcpu, exit->apic.vector);
	return KEEL_NEXT_ENTER;
}

/* ---- the rest -------------------------------------------------------------------- */

static int exit_none(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return KEEL_NEXT_ENTER;
}

/* A host interrupt: let it in, which the entry loop does on its way out. */
static int exit_intr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return KEEL_NEXT_ENTER;
}

/* The LAPIC's timer: a deadline that guest mode counted. */
static int exit_timer(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	lapic_timer_exit(vcpu);
	return KEEL_NEXT_ENTER;
}

static int exit_irq_window(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	vcpu->irq_window = false;
	if (!vcpu->lapic && (vcpu->run_flags & KEEL_RUN_IRQ_WINDOW) && !vcpu->irq_user_pending) {
		vcpu->run->exit_reason = KEEL_EXIT_IRQ_WINDOW;
		return KEEL_NEXT_USER;
	}
	keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
	return KEEL_NEXT_ENTER;
}

static int exit_nmi_window(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
	return KEEL_NEXT_ENTER;
}

/* Intercepted for the host's sake; the guest gets what it caused. */
static int exit_exception(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (exit->exception.vector == 18)
		return KEEL_NEXT_ENTER;	/* the host has handled it */
	keel_queue_exception(vcpu, exit->exception.vector, exit->exception.has_error,
			     exit->exception.error, 0);
	return KEEL_NEXT_ENTER;
}

static int exit_task_switch(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return keel_emul_fail(vcpu, KEEL_EMULFAIL_TASK_SWITCH, exit);
}

int keel_shutdown(struct keel_vcpu *vcpu, u32 cause)
{
	keel_need(vcpu, KEEL_CG_RIP);
	vcpu->run->exit_reason = KEEL_EXIT_SHUTDOWN;
	vcpu->run->shutdown = (struct keel_exit_shutdown){
		.cause = cause,
		.rip = vcpu->regs.rip,
	};
	/* The control block may be undefined now: whoever runs on starts from reset. */
	preempt_disable();
	keel_vcpu_reset(vcpu, false);
	preempt_enable();
	vcpu->fpu_reset = true;
	return KEEL_NEXT_USER;
}

static int exit_shutdown(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return keel_shutdown(vcpu, KEEL_SHUTDOWN_TRIPLE_FAULT);
}

static int exit_init(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return keel_shutdown(vcpu, KEEL_SHUTDOWN_INIT);
}

static int exit_entry_fail(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	pr_notice_ratelimited("keel: vCPU %u: entry failed: %s (code %#x, rule %u)\n", vcpu->id,
			      exit->entry.name, exit->vendor_code, exit->entry.rule);
	vcpu->run->exit_reason = KEEL_EXIT_ENTRY_FAIL;
	vcpu->run->entry = (struct keel_exit_entry){
		.vendor_code = exit->vendor_code,
		.rule = exit->entry.rule,
	};
	strscpy(vcpu->run->entry.name, exit->entry.name, sizeof(vcpu->run->entry.name));
	return KEEL_NEXT_USER;
}

const struct keel_exit_row keel_exit_table[KEEL_X_NR] = {
	[KEEL_X_NONE] = { exit_none, .fast_any = true },
	[KEEL_X_INTR] = { exit_intr },
	[KEEL_X_TIMER] = { exit_timer, .fast_any = true },
	[KEEL_X_IRQ_WINDOW] = { exit_irq_window, .fast_any = true },
	[KEEL_X_NMI_WINDOW] = { exit_nmi_window, .fast_any = true },
	[KEEL_X_CPUID] = { exit_cpuid, .fast = true },
	[KEEL_X_HLT] = { exit_hlt },
	[KEEL_X_PAUSE] = { exit_pause },
	[KEEL_X_PIO] = { exit_pio },
	[KEEL_X_RDMSR] = { keel_rdmsr_exit, .fast = true },
	[KEEL_X_WRMSR] = { keel_wrmsr_exit, .fast = true },
	[KEEL_X_CR_READ] = { exit_cr_read },
	[KEEL_X_CR_WRITE] = { exit_cr_write },
	[KEEL_X_DR] = { exit_dr, .fast_any = true },
	[KEEL_X_STAGE2] = { exit_stage2 },
	[KEEL_X_APIC_ACCESS] = { exit_apic_access },
	[KEEL_X_APIC_WRITE] = { exit_apic_write, .fast_any = true },
	[KEEL_X_APIC_EOI] = { exit_apic_eoi, .fast_any = true },
	[KEEL_X_EXCEPTION] = { exit_exception, .fast_any = true },
	[KEEL_X_HYPERCALL] = { exit_hypercall, .fast = true },
	[KEEL_X_XSETBV] = { exit_xsetbv, .fast = true },
	[KEEL_X_CACHE] = { exit_cache, .fast = true },
	[KEEL_X_RDPMC] = { exit_rdpmc, .fast_any = true },
	[KEEL_X_UNDEFINED] = { exit_undefined, .fast_any = true },
	[KEEL_X_TASK_SWITCH] = { exit_task_switch },
	[KEEL_X_SHUTDOWN] = { exit_shutdown },
	[KEEL_X_INIT] = { exit_init },
	[KEEL_X_ENTRY_FAIL] = { exit_entry_fail },
	[KEEL_X_UNEXPECTED] = { exit_unexpected },
};
