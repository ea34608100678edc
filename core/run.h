/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the run loop's own files share: core/run.c (the loop), core/inject.c
 * (events on their way in), core/exit.c (one handler a kind of exit),
 * core/emul.c (the emulator's glue).  It must not be used elsewhere.
 */
#ifndef KEEL_CORE_RUN_H
#define KEEL_CORE_RUN_H

#include "core/vcpu.h"

/*
 * What an exit's handler (and everything like it) answers.  A negative value
 * is an errno for the launcher, with registers as before the instruction.
 */
enum keel_next {
	KEEL_NEXT_USER = 0,	/* vcpu->run says why */
	KEEL_NEXT_ENTER = 1,	/* enter again */
	KEEL_NEXT_SLOW = 2,	/* a fast handler cannot: call it again with IRQs on */
};

struct keel_exit_row {
	int (*handle)(struct keel_vcpu *vcpu, struct keel_exit *exit);
	/* may run with IRQs off, when the CPU gave the instruction's length */
	bool fast;
	/* may run with IRQs off, always */
	bool fast_any;
};

extern const struct keel_exit_row keel_exit_table[KEEL_X_NR];

/* core/run.c */
void keel_run_init(struct keel_vcpu *vcpu);	/* [task] */
/* [task] module init and exit: once, for it patches the scheduler's code on every CPU */
void keel_run_setup(void);
void keel_run_teardown(void);

/* core/exit.c: leave with SHUTDOWN, and the vCPU in its reset state */
int keel_shutdown(struct keel_vcpu *vcpu, u32 cause);
/* the launcher answered */
int keel_finish_pio(struct keel_vcpu *vcpu);
int keel_finish_hypercall(struct keel_vcpu *vcpu);

/* core/inject.c */
/* [owner, task] take what other CPUs posted: NMI, INIT, SIPI.  KEEL_NEXT_ENTER or KEEL_NEXT_USER */
int keel_take_posted(struct keel_vcpu *vcpu);
/* [entry] put at most one event into the control block, open windows for the rest */
void keel_inject_events(struct keel_vcpu *vcpu);
/* [owner] could a halted vCPU go on? */
bool keel_can_wake(struct keel_vcpu *vcpu);

/* core/emul.c; [owner, task] */
int keel_emulate(struct keel_vcpu *vcpu, struct keel_exit *exit, gpa_t gpa);
/* finish what the launcher answered: KEEL_NEXT_ENTER, KEEL_NEXT_USER, -errno */
int keel_emulate_resume(struct keel_vcpu *vcpu);
/* step over the instruction of @exit, which the CPU did not give the length of */
int keel_skip_unknown(struct keel_vcpu *vcpu, struct keel_exit *exit);
/* step over the instruction of @exit, decoding it if the CPU did not say its length */
static __always_inline int keel_skip(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (likely(static_call(keel_backend_skip_insn)(vcpu, exit)))
		return KEEL_NEXT_ENTER;
	return keel_skip_unknown(vcpu, exit);
}
/* decode the instruction at RIP into vcpu->emul.insn; KEEL_NEXT_ENTER with a fault
 * queued, KEEL_NEXT_USER, or KEEL_NEXT_SLOW: decoded
 */
int keel_decode_at_rip(struct keel_vcpu *vcpu, const struct keel_exit *exit);
int keel_emul_fail(struct keel_vcpu *vcpu, u32 why, const struct keel_exit *exit);
enum keel_emul_mode keel_cpu_mode(struct keel_vcpu *vcpu);	/* needs CR CS RFLAGS */
/* one field, where the whole of CS and SS is not in the cache anyway */
static inline u8 keel_cpl(struct keel_vcpu *vcpu)
{
	if (vcpu->valid & KEEL_CG_CS)
		return (vcpu->sregs.seg[KEEL_SREG_SS].attr >> KEEL_ATTR_DPL_SHIFT) & 3;
	keel_need(vcpu, KEEL_CG_CPL);
	return vcpu->cpl;
}

/* core/msr.c */
void keel_msr_setup(void);	/* [task] module init, the back end is known */
int keel_rdmsr_exit(struct keel_vcpu *vcpu, struct keel_exit *exit);
int keel_wrmsr_exit(struct keel_vcpu *vcpu, struct keel_exit *exit);
int keel_msr_finish(struct keel_vcpu *vcpu, bool write);	/* the launcher answered */

/* core/cr.c: what control registers accept; -EINVAL: #GP */
int keel_set_cr0(struct keel_vcpu *vcpu, u64 value);
int keel_set_cr4(struct keel_vcpu *vcpu, u64 value);
int keel_set_cr8(struct keel_vcpu *vcpu, u64 value);
int keel_set_efer(struct keel_vcpu *vcpu, u64 value);
int keel_set_xcr0(struct keel_vcpu *vcpu, u64 value);
bool keel_pae_paging(u64 cr0, u64 cr4, u64 efer);
/* [owner, task] read the top entries of PAE paging again; with @check, reserved bits are -EINVAL */
int keel_load_pdptrs(struct keel_vcpu *vcpu, bool check);
bool keel_cr0_valid(u64 cr0);
bool keel_cr4_valid(struct keel_vm *vm, u64 cr4);
bool keel_efer_valid(struct keel_vm *vm, u64 efer);
bool keel_xcr0_valid(struct keel_vm *vm, u64 xcr0);

/* core/record.c */
void keel_fpu_reset(struct keel_vcpu *vcpu);	/* [owner, task] its state is not loaded */
int keel_sregs_check(struct keel_vcpu *vcpu, const struct keel_sregs *s, u32 *bad_offset);
int keel_regs_check(struct keel_vcpu *vcpu, const struct keel_regs *r, u32 *bad_offset);
void keel_regs_load(struct keel_vcpu *vcpu, const struct keel_regs *r);
void keel_sregs_load(struct keel_vcpu *vcpu, const struct keel_sregs *s);
void keel_regs_save(struct keel_vcpu *vcpu, struct keel_regs *r);
void keel_sregs_save(struct keel_vcpu *vcpu, struct keel_sregs *s);

#endif /* KEEL_CORE_RUN_H */
