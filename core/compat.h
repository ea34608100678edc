/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernel versions, and nothing else.  What a kernel
 * offers is found by compiling core/probes/ into keel_config.h; no version
 * number is asked for anywhere.  It must not know Keel's own structures.
 */
#ifndef KEEL_CORE_COMPAT_H
#define KEEL_CORE_COMPAT_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/timer.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include "keel_config.h"

#if !IS_ENABLED(CONFIG_KVM) || !IS_ENABLED(CONFIG_PREEMPT_NOTIFIERS) || \
	!IS_ENABLED(CONFIG_MMU_NOTIFIER)
#error "Keel needs a kernel configured with CONFIG_KVM: it selects what a hypervisor builds on"
#endif

/* ---- timers ------------------------------------------------------------------ */

#ifndef HAVE_HRTIMER_SETUP
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*fn)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}
#endif

#ifndef HAVE_TIMER_DELETE
#define timer_delete(timer)		del_timer(timer)
#define timer_delete_sync(timer)	del_timer_sync(timer)
#endif

/* ---- other CPUs ------------------------------------------------------------- */

/* Any context: an interrupt for @cpu that ends guest mode and does nothing else. */
static inline void keel_send_reschedule(int cpu)
{
#ifdef HAVE_ARCH_SMP_SEND_RESCHEDULE
	arch_smp_send_reschedule(cpu);
#else
	smp_send_reschedule(cpu);
#endif
}

/* ---- eventfd ----------------------------------------------------------------- */

/* Any context: add one to the counter of @ctx. */
static inline void keel_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef HAVE_EVENTFD_SIGNAL_VOID
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* ---- memory ------------------------------------------------------------------ */

/* A page fault on behalf of a guest may be cut short by any signal, not only a
 * fatal one; where the kernel cannot, it is only killable.
 */
#ifdef HAVE_FOLL_INTERRUPTIBLE
#define KEEL_FOLL_INTERRUPTIBLE		FOLL_INTERRUPTIBLE
#else
#define KEEL_FOLL_INTERRUPTIBLE		0
#endif

#ifndef HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* ---- FPU --------------------------------------------------------------------- */

/* The guest's FPU state as an XSAVE area of standard format, @size bytes; only
 * the components of @xfeatures are looked at where the kernel can choose.
 */
static inline void keel_fpu_to_uabi(struct fpu_guest *fpu, void *buf, unsigned int size,
				    u64 xfeatures, u32 pkru)
{
#ifdef HAVE_FPU_UABI_XFEATURES
	fpu_copy_guest_fpstate_to_uabi(fpu, buf, size, xfeatures, pkru);
#else
	fpu_copy_guest_fpstate_to_uabi(fpu, buf, size, pkru);
#endif
}

/* [entry] The guest's FPU registers into the CPU, if another task's are there. */
static inline void keel_fpu_load(void)
{
	fpregs_assert_state_consistent();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

/* ---- speculation ------------------------------------------------------------- */

/* [cpu] A guest ran here: no user code's branches must follow its training. */
static inline void keel_ibpb_before_user(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/*
 * [cpu] From the first guest of an AMD CPU to the last.  The kernel leaves the
 * feature's bit set where this is its mitigation of SRSO, and the bit of the
 * MSR to the hypervisor.
 */
static inline void keel_reduce_speculation(bool on)
{
#ifdef X86_FEATURE_SRSO_BP_SPEC_REDUCE
	u64 cfg;

	if (!cpu_feature_enabled(X86_FEATURE_SRSO_BP_SPEC_REDUCE) ||
	    rdmsrl_safe(MSR_ZEN4_BP_CFG, &cfg))
		return;
	cfg &= ~BIT_ULL(MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
	if (on)
		cfg |= BIT_ULL(MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
	wrmsrl_safe(MSR_ZEN4_BP_CFG, cfg);
#endif
}

/* ---- perf ---------------------------------------------------------------------- */

/*
 * [entry] The MSRs of this CPU that perf wants to hold other values while a
 * guest runs; *@nr of them.  NULL: none, *@nr means nothing.
 */
static inline const struct perf_guest_switch_msr *keel_perf_guest_msrs(int *nr)
{
#ifdef HAVE_PERF_GUEST_GET_MSRS
	return perf_guest_get_msrs(nr, NULL);	/* no counters of the guest's own */
#else
	return NULL;
#endif
}

/* ---- work before guest mode: core/compat_work.c ------------------------------ */

bool keel_guest_mode_work_pending(void);	/* any; exact only with IRQs off */
int keel_handle_guest_mode_work(void);		/* [task] 0, or -EINTR: return to user space */

/* ---- tracing ----------------------------------------------------------------- */

#ifdef HAVE_ASSIGN_STR_ONE_ARG
#define keel_assign_str(dst, src)	__assign_str(dst)
#else
#define keel_assign_str(dst, src)	__assign_str(dst, src)
#endif

/* ---- RCU around guest mode: for core/guest_context.h alone ------------------- */

#ifdef HAVE_RCU_VIRT_NOTE_NO_ARG
#define keel_rcu_note_guest()		rcu_virt_note_context_switch()
#else
#define keel_rcu_note_guest()		rcu_virt_note_context_switch(smp_processor_id())
#endif

/* ---- suspend and crash: core/compat.c ---------------------------------------- */

/*
 * [task] Call @suspend on the boot CPU, IRQs off, as the last thing before
 * sleep, and @resume as the first thing after.  One user: core/hw.c.
 */
void keel_syscore_register(void (*suspend)(void), void (*resume)(void));
void keel_syscore_unregister(void);

/*
 * [task] Have @cb called on each CPU, in NMI context, before a crash kernel or
 * an emergency restart takes over.  The kernel has one slot and warns when
 * it is taken: the caller knows that no other hypervisor uses it.  False:
 * this kernel has no slot (and switches virtualization off by itself).
 */
bool keel_emergency_register(void (*cb)(void));
void keel_emergency_unregister(void (*cb)(void));

#endif /* KEEL_CORE_COMPAT_H */
