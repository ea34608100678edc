// SPDX-License-Identifier: GPL-2.0
/*
 * KEEL_RUN: from the launcher into the guest and back.  It owns the order of
 * things around an entry (requests, events, FPU, mode word) and the pause.  It
 * must not know what an exit means: core/exit.c has a row for each kind.
 */
#include <linux/hw_breakpoint.h>
#include <linux/preempt.h>
#include <linux/sched/signal.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include "core/compat.h"
#include "core/cpuid.h"
#include "core/guest_context.h"
#include "core/hw.h"
#include "core/mitigate.h"
#include "core/run.h"
#include "core/trace.h"
#include "irqchip/irqchip.h"

/* Requests that the entry loop serves without leaving it. */
#define LOOP_REQUESTS	BIT(KEEL_REQ_EVENT)

/*
 * Exits in a row with interrupts off.  A host interrupt ends the guest by itself;
 * this bounds what a CPU that is late with it can do to the host.
 */
#define LOOP_EXITS	64

#define DR7_ENABLED	0xffULL		/* the L and G bits of the four breakpoints */

/* ---- the vCPU on a CPU ----------------------------------------------------------- */

/* TSC_AUX as the kernel set it when the CPU came up: it never changes. */
static DEFINE_PER_CPU(struct {
	u64 value;
	bool known;
}, run_host_tsc_aux);

/* The guest reads TSC_AUX from the CPU itself (RDTSCP, RDPID). */
static void run_load_tsc_aux(struct keel_vcpu *vcpu)
{
	if (!(vcpu->vm->guest_has & (KEEL_G_RDTSCP | KEEL_G_RDPID)))
		return;
	if (unlikely(!this_cpu_read(run_host_tsc_aux.known))) {
		if (rdmsrl_safe(MSR_TSC_AUX, this_cpu_ptr(&run_host_tsc_aux.value)))
			return;
		this_cpu_write(run_host_tsc_aux.known, true);
	}
	vcpu->host_tsc_aux = this_cpu_read(run_host_tsc_aux.value);
	vcpu->tsc_aux_live = vcpu->host_tsc_aux != vcpu->tsc_aux;
	if (vcpu->tsc_aux_live)
		wrmsrl_safe(MSR_TSC_AUX, vcpu->tsc_aux);
}

static void run_put_tsc_aux(struct keel_vcpu *vcpu)
{
	if (vcpu->tsc_aux_live)
		wrmsrl_safe(MSR_TSC_AUX, vcpu->host_tsc_aux);
	vcpu->tsc_aux_live = false;
}

static void run_load(struct keel_vcpu *vcpu, int cpu)
{
	WRITE_ONCE(vcpu->cpu, cpu);
	keel_guest_comes(vcpu);
	keel_backend->load(vcpu, cpu);
	run_load_tsc_aux(vcpu);
}

static void run_put(struct keel_vcpu *vcpu)
{
	run_put_tsc_aux(vcpu);
	keel_backend->put(vcpu);
	keel_ibpb_before_user();
	WRITE_ONCE(vcpu->cpu, -1);
}

static void run_sched_in(struct preempt_notifier *pn, int cpu)
{
	struct keel_vcpu *vcpu = container_of(pn, struct keel_vcpu, preempt);

	if (vcpu->ledger.class == KEEL_TIME_READY)
		keel_ledger_switch(&vcpu->ledger, KEEL_TIME_KERNEL, rdtsc());
	run_load(vcpu, cpu);
}

static void run_sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct keel_vcpu *vcpu = container_of(pn, struct keel_vcpu, preempt);

	run_put(vcpu);
	if (vcpu->ledger.class == KEEL_TIME_KERNEL && task_is_running(current))
		keel_ledger_switch(&vcpu->ledger, KEEL_TIME_READY, rdtsc());
}

static struct preempt_ops run_preempt_ops = {
	.sched_in = run_sched_in,
	.sched_out = run_sched_out,
};

void keel_run_init(struct keel_vcpu *vcpu)
{
	preempt_notifier_init(&vcpu->preempt, &run_preempt_ops);
}

void keel_run_setup(void)
{
	preempt_notifier_inc();
}

void keel_run_teardown(void)
{
	preempt_notifier_dec();
}

static void run_begin(struct keel_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->guest_fpu, true);
	preempt_disable();
	preempt_notifier_register(&vcpu->preempt);
	run_load(vcpu, smp_processor_id());
	preempt_enable();
}

static void run_end(struct keel_vcpu *vcpu)
{
	preempt_disable();
	run_put(vcpu);
	preempt_notifier_unregister(&vcpu->preempt);
	preempt_enable();
	fpu_swap_kvm_fpstate(&vcpu->guest_fpu, false);
	if (unlikely(vcpu->fpu_reset))
		keel_fpu_reset(vcpu);
}

/* ---- debug registers ------------------------------------------------------------- */

/*
 * The CPU does not switch DR0-DR3.  The guest gets them at its first access in
 * a slice, or at once while its own breakpoints are on.
 */
static void run_load_debug(struct keel_vcpu *vcpu)
{
	set_debugreg(vcpu->dr[0], 0);
	set_debugreg(vcpu->dr[1], 1);
	set_debugreg(vcpu->dr[2], 2);
	set_debugreg(vcpu->dr[3], 3);
}

static void run_save_debug(struct keel_vcpu *vcpu)
{
	get_debugreg(vcpu->dr[0], 0);
	get_debugreg(vcpu->dr[1], 1);
	get_debugreg(vcpu->dr[2], 2);
	get_debugreg(vcpu->dr[3], 3);
	keel_need(vcpu, KEEL_CG_DEBUG);
	if (!(vcpu->dr7 & DR7_ENABLED)) {
		vcpu->dr_live = false;
		keel_backend->dr_access(vcpu, true);
	}
}

/* ---- the entry loop -------------------------------------------------------------- */

/*
 * Which state components XSAVE and XSAVES move.  A guest has no XSS; XSAVES in
 * it must not move what the host enabled for itself.
 */
static __always_inline void run_swap_xsave(struct keel_vcpu *vcpu, bool guest)
{
	if (unlikely(vcpu->entry_xcr0 != vcpu->host_xcr0))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, guest ? vcpu->entry_xcr0 : vcpu->host_xcr0);
	if (unlikely(vcpu->host_xss))
		wrmsrl_safe(MSR_IA32_XSS, guest ? 0 : vcpu->host_xss);
}

DEFINE_STATIC_KEY_FALSE(keel_xcr0_unseen);

/*
 * [entry] Nobody could refuse what the guest wrote to XCR0: what it may not have
 * does not outlive this exit.
 */
static noinline void run_find_xcr0(struct keel_vcpu *vcpu)
{
	u64 xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);

	if (likely(xcr0 == vcpu->entry_xcr0))
		return;
	xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->host_xcr0);
	if (keel_xcr0_valid(vcpu->vm, xcr0)) {
		vcpu->xcr0 = xcr0;
		vcpu->entry_xcr0 = xcr0;
	}
}

/* [entry] An entry between states that most guests share with the host. */
static noinline void run_enter_swapped(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (vcpu->dr_live)
		run_load_debug(vcpu);
	run_swap_xsave(vcpu, true);
	static_call(keel_backend_enter)(vcpu, exit);
	if (static_branch_unlikely(&keel_xcr0_unseen))
		run_find_xcr0(vcpu);
	run_swap_xsave(vcpu, false);
	if (vcpu->dr_live)
		run_save_debug(vcpu);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}

/* [entry] One look in place of one for each of them. */
static __always_inline bool run_must_swap(const struct keel_vcpu *vcpu, bool host_breakpoints)
{
	return static_branch_unlikely(&keel_xcr0_unseen) ||
	       unlikely((vcpu->entry_xcr0 ^ vcpu->host_xcr0) | vcpu->host_xss |
			vcpu->dr_live | host_breakpoints);
}

/* [entry] One entry.  The guest's CR8 goes to the LAPIC when it has changed. */
static __always_inline void run_enter(struct keel_vcpu *vcpu, struct keel_exit *exit,
				      bool host_breakpoints)
{
	u8 cr8 = vcpu->cr8;

	if (run_must_swap(vcpu, host_breakpoints))
		run_enter_swapped(vcpu, exit);
	else
		static_call(keel_backend_enter)(vcpu, exit);
	if (unlikely(cr8 != vcpu->cr8))
		lapic_set_cr8(vcpu, vcpu->cr8);
}

/* [entry] Events into the control block; false: something has to be done outside first. */
static bool run_prepare(struct keel_vcpu *vcpu)
{
	unsigned long pending = READ_ONCE(vcpu->req.pending);

	if (pending & ~LOOP_REQUESTS)
		return false;
	if (pending) {
		/* INIT and start-up change the whole CPU. */
		if (READ_ONCE(vcpu->posted))
			return false;
		keel_requests_take(&vcpu->req, KEEL_REQ_EVENT);
		keel_flush_state(vcpu);
		keel_inject_events(vcpu);
	} else if (vcpu->injected.kind || vcpu->exception.kind) {
		keel_flush_state(vcpu);
		keel_inject_events(vcpu);
	}
	return true;
}

/* [entry] What the exit that has just been handled left: events for the next entry? */
static __always_inline bool run_may_stay(struct keel_vcpu *vcpu)
{
	return keel_requests_stay(&vcpu->req) &&
	       likely(!(vcpu->injected.kind | vcpu->exception.kind));
}

/* [entry] Enter, and handle what can be handled here, as long as that is all there is to do. */
static __always_inline int run_stay(struct keel_vcpu *vcpu, struct keel_exit *exit,
				    unsigned int *left)
{
	/* Nobody changes the host's breakpoints while its interrupts are off. */
	bool host_breakpoints = hw_breakpoint_active();
	const struct keel_exit_row *row;
	int next;

	do {
		keel_flush_state(vcpu);
		trace_keel_entry(vcpu->id);
		run_enter(vcpu, exit, host_breakpoints);
		trace_keel_exit(vcpu->id, exit);
		keel_ledger_exit(&vcpu->ledger, exit->kind);
		row = &keel_exit_table[exit->kind];
		if (!row->fast_any && !(row->fast && exit->insn_len))
			return KEEL_NEXT_SLOW;
		next = row->handle(vcpu, exit);
	} while (next == KEEL_NEXT_ENTER && --*left && run_may_stay(vcpu));
	return next;
}

/*
 * Enter until an exit needs interrupts on, somebody wants something, or the
 * launcher is due.  KEEL_NEXT_SLOW: @exit waits for its handler.
 *
 * Work for this thread is looked for once: what comes later comes with an
 * interrupt, which ends the guest and the loop.
 */
static int run_guest(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	unsigned int left = LOOP_EXITS;
	int next = KEEL_NEXT_ENTER;

	preempt_disable();
	local_irq_disable();
	/* A CPU on its way up or down is not ours for a moment; after a crash none is. */
	if (unlikely(!keel_hw_cpu_ready())) {
		local_irq_enable();
		preempt_enable();
		if (READ_ONCE(keel_hw_rebooting))
			return -EIO;
		schedule_timeout_interruptible(1);
		return KEEL_NEXT_ENTER;
	}
	vcpu->fresh = true;
	keel_fpu_load();
	keel_guest_time_enter();
	if (unlikely(keel_guest_mode_work_pending()))
		left = 0;
	while (next == KEEL_NEXT_ENTER && left && run_prepare(vcpu)) {
		if (!keel_requests_enter(&vcpu->req)) {
			keel_backend->requeue(vcpu);
			continue;
		}
		next = run_stay(vcpu, exit, &left);
		keel_requests_leave(&vcpu->req);
	}
	keel_ledger_path(&vcpu->ledger, KEEL_PATH_KERNEL);
	/* What waits (the interrupt that ended the guest, the tick) is the guest's time. */
	local_irq_enable();
	local_irq_disable();
	keel_guest_time_exit();
	local_irq_enable();
	preempt_enable();
	return next;
}

/* ---- requests -------------------------------------------------------------------- */

static int run_kicked(struct keel_vcpu *vcpu)
{
	vcpu->run->exit_reason = KEEL_EXIT_KICKED;
	return KEEL_NEXT_USER;
}

/* PAUSE waits for this state; whoever resumes or kicks wakes us. */
static int run_park(struct keel_vcpu *vcpu)
{
	struct keel_vm *vm = vcpu->vm;
	int err = 0;

	while (READ_ONCE(vm->paused) && !err) {
		WRITE_ONCE(vcpu->run_state, KEEL_PARKED);
		wake_up_all(&vm->pause_wait);
		keel_ledger_switch(&vcpu->ledger, KEEL_TIME_HALTED, rdtsc());
		err = wait_event_interruptible(vm->pause_wait,
					       !READ_ONCE(vm->paused) || READ_ONCE(vm->bugged) ||
					       test_bit(KEEL_REQ_KICK, &vcpu->req.pending));
		keel_ledger_switch(&vcpu->ledger, KEEL_TIME_KERNEL, rdtsc());
		if (READ_ONCE(vm->bugged))
			return -EIO;
		/* Straight out: nothing of the guest may change while it is paused. */
		if (keel_requests_take(&vcpu->req, KEEL_REQ_KICK))
			return run_kicked(vcpu);
		WRITE_ONCE(vcpu->run_state, KEEL_ACTIVE);
		/* Order the state before the flag: pairs with keel_vm_pause(). */
		smp_mb();
	}
	return err ? -EINTR : KEEL_NEXT_ENTER;
}

static int run_serve_requests(struct keel_vcpu *vcpu)
{
	struct keel_requests *req = &vcpu->req;
	int next = KEEL_NEXT_ENTER;
	bool tsc;

	vcpu->stats.requests++;
	if (keel_requests_take(req, KEEL_REQ_DEAD))
		return -EIO;
	if (keel_requests_take(req, KEEL_REQ_PAUSE))
		next = run_park(vcpu);
	if (unlikely(keel_requests_take(req, KEEL_REQ_APIC)))
		s2_apic_drop(vcpu->vm);
	preempt_disable();
	if (keel_requests_take(req, KEEL_REQ_FLUSH)) {
		vcpu->stats.flushes++;
		keel_backend->flush(vcpu);
	}
	if (keel_requests_take(req, KEEL_REQ_LOG))
		keel_backend->log_dirty(vcpu);
	tsc = keel_requests_take(req, KEEL_REQ_TSC);
	if (tsc)
		keel_backend->set_tsc_offset(vcpu, keel_tsc_offset(vcpu));
	preempt_enable();
	if (tsc)
		lapic_tsc_changed(vcpu);
	if (next == KEEL_NEXT_ENTER && keel_requests_take(req, KEEL_REQ_KICK))
		return run_kicked(vcpu);
	return next;
}

/* Halted, or waiting for a start-up IPI: sleep until a request comes. */
static int run_halted(struct keel_vcpu *vcpu)
{
	int err;

	keel_requests_take(&vcpu->req, KEEL_REQ_EVENT);
	if (READ_ONCE(vcpu->posted))
		return keel_take_posted(vcpu);
	if (vcpu->mp_state == KEEL_MP_HALTED && keel_can_wake(vcpu)) {
		vcpu->mp_state = KEEL_MP_RUNNABLE;
		keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
		return KEEL_NEXT_ENTER;
	}
	lapic_timer_to_host(vcpu);
	keel_ledger_switch(&vcpu->ledger, KEEL_TIME_HALTED, rdtsc());
	err = rcuwait_wait_event(&vcpu->wait, READ_ONCE(vcpu->req.pending), TASK_INTERRUPTIBLE);
	keel_ledger_switch(&vcpu->ledger, KEEL_TIME_KERNEL, rdtsc());
	return err ? -EINTR : KEEL_NEXT_ENTER;
}

static int run_once(struct keel_vcpu *vcpu)
{
	/* Not on the stack, which the compiler would clear. */
	struct keel_exit *exit = &vcpu->exit;
	int next;

	if (keel_guest_mode_work_pending() && keel_handle_guest_mode_work())
		return -EINTR;
	if (READ_ONCE(vcpu->req.pending) & ~LOOP_REQUESTS) {
		next = run_serve_requests(vcpu);
		if (next != KEEL_NEXT_ENTER)
			return next;
	}
	if (vcpu->mp_state != KEEL_MP_RUNNABLE) {
		next = run_halted(vcpu);
		if (vcpu->mp_state == KEEL_MP_RUNNABLE) {
			lapic_timer_to_guest(vcpu);
			/* The one that was taken while it slept is owed to the control block. */
			keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
		}
		return next;
	}
	if (READ_ONCE(vcpu->posted))
		return keel_take_posted(vcpu);
	next = run_guest(vcpu, exit);
	return next == KEEL_NEXT_SLOW ? keel_exit_table[exit->kind].handle(vcpu, exit) : next;
}

/* ---- the launcher's side --------------------------------------------------------- */

/* Copy once what the launcher wrote, check it, then use the copy.  Apart: it has much to clear. */
static noinline int run_commit(struct keel_vcpu *vcpu, u32 commit)
{
	struct keel_run *run = vcpu->run;
	struct keel_sregs sregs;
	struct keel_regs regs;
	u32 bad;

	memcpy(&regs, &run->regs, sizeof(regs));
	memcpy(&sregs, &run->sregs, sizeof(sregs));
	barrier();	/* checks below see the copies */
	if ((commit & KEEL_GROUP_SREGS) && keel_sregs_check(vcpu, &sregs, &bad))
		return -EINVAL;
	if ((commit & KEEL_GROUP_REGS) && keel_regs_check(vcpu, &regs, &bad))
		return -EINVAL;
	if (commit & KEEL_GROUP_SREGS)
		keel_sregs_load(vcpu, &sregs);
	if (commit & KEEL_GROUP_REGS)
		keel_regs_load(vcpu, &regs);
	WRITE_ONCE(run->commit, 0);
	return 0;
}

static int run_copy_in(struct keel_vcpu *vcpu)
{
	struct keel_run *run = vcpu->run;
	u32 commit = READ_ONCE(run->commit);

	vcpu->run_flags = READ_ONCE(run->flags);
	vcpu->run_want = READ_ONCE(run->want);
	if ((vcpu->run_flags & ~KEEL_RUN_IRQ_WINDOW) || (vcpu->run_want & ~KEEL_GROUPS_ALL) ||
	    (commit & ~KEEL_GROUPS_ALL) || READ_ONCE(run->reserved_in))
		return -EINVAL;
	return likely(!commit) ? 0 : run_commit(vcpu, commit);
}

static void run_copy_out(struct keel_vcpu *vcpu)
{
	struct keel_run *run = vcpu->run;

	if (unlikely(vcpu->run_want & KEEL_GROUP_REGS))
		keel_regs_save(vcpu, &run->regs);
	if (unlikely(vcpu->run_want & KEEL_GROUP_SREGS))
		keel_sregs_save(vcpu, &run->sregs);
	run->valid = vcpu->run_want;
	if (!vcpu->lapic) {
		keel_flush_state(vcpu);
		run->irq_ready = !vcpu->irq_user_pending && !vcpu->injected.kind &&
				 !vcpu->exception.kind &&
				 keel_backend->can_inject(vcpu, KEEL_EV_IRQ);
	}
}

/* What the last exit left for the launcher's answer. */
static int run_finish_user(struct keel_vcpu *vcpu)
{
	u8 what = vcpu->pending_user;

	if (likely(what == KEEL_PEND_NONE))
		return KEEL_NEXT_ENTER;
	vcpu->pending_user = KEEL_PEND_NONE;
	switch (what) {
	case KEEL_PEND_PIO:
		return keel_finish_pio(vcpu);
	case KEEL_PEND_EMUL:
		return keel_emulate_resume(vcpu);
	case KEEL_PEND_HYPERCALL:
		return keel_finish_hypercall(vcpu);
	default:
		return keel_msr_finish(vcpu, what == KEEL_PEND_WRMSR);
	}
}

/* What the launcher gave was in order. */
static int run_admitted(struct keel_vcpu *vcpu)
{
	struct keel_vm *vm = vcpu->vm;
	int next;

	if (unlikely(!READ_ONCE(vm->has_run)))
		WRITE_ONCE(vm->has_run, true);

	if (!vcpu->lapic && (vcpu->run_flags & KEEL_RUN_IRQ_WINDOW))
		keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
	WRITE_ONCE(vcpu->run_state, KEEL_ACTIVE);
	/* Order the state before the flag: pairs with keel_vm_pause(). */
	smp_mb();
	next = READ_ONCE(vm->paused) ? run_park(vcpu) : KEEL_NEXT_ENTER;

	if (next == KEEL_NEXT_ENTER) {
		run_begin(vcpu);
		next = run_finish_user(vcpu);
		while (next == KEEL_NEXT_ENTER)
			next = run_once(vcpu);
		run_end(vcpu);
	}
	if (next == KEEL_NEXT_USER)
		vcpu->stats.user_exits++;
	else
		vcpu->stats.signal_exits++;
	run_copy_out(vcpu);

	WRITE_ONCE(vcpu->run_state, KEEL_IDLE);
	if (unlikely(READ_ONCE(vm->paused)))
		wake_up_all(&vm->pause_wait);
	return next;
}

int keel_vcpu_run(struct keel_vcpu *vcpu)
{
	int next;

	keel_ledger_switch(&vcpu->ledger, KEEL_TIME_KERNEL, rdtsc());
	vcpu->run->exit_reason = KEEL_EXIT_NONE;
	next = run_copy_in(vcpu);
	if (!next)
		next = run_admitted(vcpu);
	keel_ledger_path(&vcpu->ledger, KEEL_PATH_LAUNCHER);
	keel_ledger_switch(&vcpu->ledger, KEEL_TIME_LAUNCHER, rdtsc());
	return next;
}
