/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One virtual CPU: its register cache, its pending events, its requests, and
 * who owns it.  It must not know a control block (vcpu->arch is the back
 * end's own) or how an exit is handled.
 */
#ifndef KEEL_CORE_VCPU_H
#define KEEL_CORE_VCPU_H

#include <linux/jump_label.h>
#include <linux/keel.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include "core/backend.h"
#include "core/ledger.h"
#include "core/request.h"
#include "core/stats.h"
#include "core/vm.h"
#include "emulate/emulate.h"

struct keel_lapic;

/* MSRs that the world switch or the back end moves; group KEEL_CG_MSR. */
struct keel_msrs {
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat;
	u64 debugctl;
};

/* An access of the emulated instruction that has its answer already. */
struct keel_mmio_fragment {
	gpa_t gpa;
	u64 data;
	u8 len;
	u8 write;
	u8 pio;
	u8 done;
};

#define KEEL_MAX_FRAGMENTS	16

/* Exceptions with an error code: #DF #TS #NP #SS #GP #PF #AC */
#define KEEL_WITH_ERROR	(BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17))

/* What RUN has to finish first when the launcher comes back. */
enum keel_pending_user {
	KEEL_PEND_NONE,
	KEEL_PEND_PIO,		/* plain IN or OUT: AL/AX/EAX, then skip */
	KEEL_PEND_EMUL,		/* the emulator waits for fragment @nr_fragments - 1 */
	KEEL_PEND_RDMSR,
	KEEL_PEND_WRMSR,
	KEEL_PEND_HYPERCALL,
};

/* Run states, for PAUSE. */
enum keel_run_state { KEEL_IDLE, KEEL_ACTIVE, KEEL_PARKED };

/*
 * Locks: "owner" is the thread that holds vcpu->owned (RUN, STATE_*, ...; -EBUSY
 * for everybody else), "any" is any context with atomics.
 */
struct keel_vcpu {
	/* hot: touched by every exit */
	struct keel_emul_regs regs;	/* owner; rip rsp rflags as @valid says */
	u32 valid;			/* owner: KEEL_CG_* in the cache */
	u32 dirty;			/* owner: KEEL_CG_* newer in the cache */
	struct keel_requests req;	/* any */
	int cpu;			/* owner: loaded here, -1: nowhere; any: READ_ONCE */
	struct keel_vm *vm;		/* constant */
	struct keel_lapic *lapic;	/* constant; NULL without irqchip */
	void *arch;			/* the back end's */
	struct keel_vcpu_stats stats;	/* owner writes */
	struct keel_ledger ledger;	/* owner */
	struct keel_exit exit;		/* owner: the latest */
	u8 cr8;				/* owner: TPR[7:4]; the back end moves it */
	u8 cpl;				/* owner: group CPL */
	u8 mp_state;			/* owner: KEEL_MP_* */
	bool dr_live;			/* owner: the guest has the debug registers for itself */
	bool irq_window;		/* owner: an IRQ window is open */
	bool fresh;			/* owner: interrupts were on since the last entry */

	/* events; owner, but for the posted ones */
	struct keel_event injected;	/* delivery began; taken up again at the next entry */
	struct keel_event exception;	/* raised before the next instruction */
	u64 exception_cr2;
	u8 nmi_pending;			/* owner; fed from @nmi_posted */
	bool nmi_masked;		/* owner, cache of group SHADOW */
	u8 shadow;			/* owner, KEEL_SHADOW_*, group SHADOW */
	u8 irq_user;			/* owner: KEEL_INJECT_IRQ's vector */
	bool irq_user_pending;		/* owner */
	atomic_t nmi_posted;		/* any */
	unsigned long posted;		/* any: KEEL_POST_* */
	u8 sipi_vector;			/* any, with KEEL_POST_SIPI */

	/* register cache beyond the general registers; owner */
	struct keel_sregs sregs;	/* groups CR CS SEG DTABLE; cr8 and apic_base unused */
	u64 dr[4], dr6, dr7;		/* group DEBUG */
	u64 pdptr[4];			/* group PDPTR */
	struct keel_msrs msr;		/* group MSR */
	u64 xcr0;			/* owner: the guest's XCR0 */
	u64 host_xcr0;			/* constant */
	u64 host_xss;			/* constant: not 0 only where the host uses such state */
	u64 entry_xcr0;			/* owner: the guest's once it has OSXSAVE */
	u64 tsc_aux, host_tsc_aux;	/* owner */
	bool tsc_aux_live;		/* owner: the CPU holds the guest's */
	u64 tsc_adjust;			/* owner */
	u64 spec_ctrl;			/* owner */
	u64 misc_enable, mtrr_def_type;	/* owner: plain storage MSRs */
	u64 mtrr_fixed[11], mtrr_var[16];
	u64 mcg_status;

	/* emulation; owner */
	struct keel_emul emul;
	struct keel_mmio_fragment frag[KEEL_MAX_FRAGMENTS];
	u8 nr_fragments;
	u8 frag_pos;			/* next to replay */
	u32 frag_step;			/* emul.steps they belong to */
	u8 pending_user;		/* enum keel_pending_user */
	u8 pio_size;			/* of KEEL_PEND_PIO */
	u8 user_insn_len;		/* of KEEL_PEND_RDMSR and WRMSR */
	gpa_t fault_gpa;		/* of the access that led to emulation */
	struct keel_exit_mem mem_error;	/* why a callback said ERROR; .error 0: unknown */
	struct s2_cache s2_cache;	/* owner: pages for stage-2 tables, kept between faults */

	struct fpu_guest guest_fpu;	/* owner */
	bool fpu_reset;			/* owner: to its power-on state when RUN is over */

	struct keel_run *run;		/* the mmapped page: written, read once at RUN */
	u32 id;				/* constant: index and APIC ID */
	u32 run_flags;			/* owner: copy of run->flags of this RUN */
	u32 run_want;			/* owner: copy of run->want */
	atomic_t owned;			/* any: 1 while somebody owns the vCPU */
	int run_state;			/* owner stores, PAUSE reads: enum keel_run_state */
	struct rcuwait wait;		/* owner sleeps here when halted */
	struct preempt_notifier preempt;
};

#define KEEL_POST_INIT		0
#define KEEL_POST_SIPI		1
#define KEEL_POST_TRIPLE_FAULT	2

/* [task, vm->lock] KEEL_CREATE_VCPU: new fd or -errno */
int keel_vcpu_create(struct keel_vm *vm, u32 id);
/* [task] VM teardown: no fd refers to it any more */
void keel_vcpu_destroy(struct keel_vcpu *vcpu);
/* [owner] power-on (or INIT) state into cache and control block */
void keel_vcpu_reset(struct keel_vcpu *vcpu, bool init);

/* [task] become the owner: 0 or -EBUSY.  Release wakes PAUSE. */
int keel_vcpu_own(struct keel_vcpu *vcpu);
void keel_vcpu_disown(struct keel_vcpu *vcpu);

/* Any context: note @req and see that it is looked at before the next guest instruction. */
void keel_vcpu_request(struct keel_vcpu *vcpu, enum keel_request req);
/* Any context with IRQs on: as above for every vCPU, and wait until each has left guest mode. */
void keel_vm_request_wait(struct keel_vm *vm, enum keel_request req);
/* Any context */
void keel_vcpu_nmi(struct keel_vcpu *vcpu);
void keel_vcpu_init_ipi(struct keel_vcpu *vcpu);
void keel_vcpu_sipi(struct keel_vcpu *vcpu, u8 vector);

/* [owner] make @groups valid in the cache */
static inline void keel_need(struct keel_vcpu *vcpu, u32 groups)
{
	u32 miss = groups & ~vcpu->valid;

	if (miss) {
		static_call(keel_backend_state_get)(vcpu, miss);
		vcpu->valid |= miss;
	}
}

/* [owner] @groups were changed in the cache, all of their fields are meaningful */
static inline void keel_touch(struct keel_vcpu *vcpu, u32 groups)
{
	vcpu->valid |= groups;
	vcpu->dirty |= groups;
}

/* [owner] KEEL_RUN */
int keel_vcpu_run(struct keel_vcpu *vcpu);
/* [owner] KEEL_INJECT (NMI: any), KEEL_TRANSLATE */
int keel_vcpu_inject(struct keel_vcpu *vcpu, const struct keel_inject *arg);
int keel_vcpu_translate(struct keel_vcpu *vcpu, struct keel_translate *arg);

/* [owner] an exception for the next entry; two become #DF or a triple fault as in a CPU */
void keel_queue_exception(struct keel_vcpu *vcpu, u8 vector, bool has_error, u32 error, u64 cr2);
/* [owner] #DB of a single step that Keel's own emulation stood in for */
void keel_queue_step_trap(struct keel_vcpu *vcpu);
#define keel_queue_gp(vcpu)	keel_queue_exception(vcpu, 13, true, 0, 0)
#define keel_queue_ud(vcpu)	keel_queue_exception(vcpu, 6, false, 0, 0)

/* [entry] the CPU took a machine check in guest mode: the host's handler has it */
void keel_host_machine_check(void);
/* [owner] after a change of CR4.OSXSAVE or XCR0 */
void keel_update_xcr0(struct keel_vcpu *vcpu);

/*
 * The CPU does not intercept XSETBV, as QEMU's does not: what the guest wrote is
 * found after the exit.  Constant after module init.
 */
DECLARE_STATIC_KEY_FALSE(keel_xcr0_unseen);
/* The CPU has the LAPIC's registers itself (APICv).  Constant after module init. */
DECLARE_STATIC_KEY_FALSE(keel_apicv);

/* [owner] write what is newer in the cache to the control block */
static inline void keel_flush_state(struct keel_vcpu *vcpu)
{
	if (vcpu->dirty) {
		static_call(keel_backend_state_set)(vcpu, vcpu->dirty);
		vcpu->dirty = 0;
	}
}

/* [owner] MSRs that are the kernel's: 0; -EINVAL: #GP; -ENOENT: unknown, policy decides */
int keel_msr_read(struct keel_vcpu *vcpu, u32 index, u64 *val);
int keel_msr_write(struct keel_vcpu *vcpu, u32 index, u64 val);

#endif /* KEEL_CORE_VCPU_H */
