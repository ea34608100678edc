/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The seam between the vendor-neutral machine and a vendor's control block:
 * neutral exits, neutral events and the table of operations that svm/ and
 * vmx/ fill in.  It must not know a VMCB, a VMCS, or who handles an exit.
 */
#ifndef KEEL_CORE_BACKEND_H
#define KEEL_CORE_BACKEND_H

#include <linux/static_call.h>
#include "core/tsc_math.h"
#include "core/types.h"

struct keel_vm;
struct keel_vcpu;

/* Why the CPU left guest mode, in neutral terms. */
enum keel_exit_kind {
	KEEL_X_UNEXPECTED,	/* a code that no control bit asked for */
	KEEL_X_NONE,		/* handled inside the back end: enter again */
	KEEL_X_INTR,		/* a host interrupt, already delivered */
	KEEL_X_TIMER,		/* what set_timer() asked for */
	KEEL_X_IRQ_WINDOW,	/* the guest can take an interrupt now */
	KEEL_X_NMI_WINDOW,	/* the guest can take an NMI now */
	KEEL_X_CPUID,
	KEEL_X_HLT,
	KEEL_X_PAUSE,
	KEEL_X_PIO,		/* exit.pio */
	KEEL_X_RDMSR,		/* ECX names it */
	KEEL_X_WRMSR,
	KEEL_X_CR_READ,		/* exit.cr */
	KEEL_X_CR_WRITE,
	KEEL_X_DR,		/* a debug register was touched the first time */
	KEEL_X_STAGE2,		/* exit.fault */
	KEEL_X_APIC_ACCESS,	/* exit.fault: the LAPIC's page, to be emulated */
	KEEL_X_APIC_WRITE,	/* exit.apic: a register of it was written */
	KEEL_X_APIC_EOI,	/* exit.apic: a vector was ended whose EOI is wanted */
	KEEL_X_EXCEPTION,	/* exit.exception: intercepted, not delivered */
	KEEL_X_HYPERCALL,
	KEEL_X_XSETBV,
	KEEL_X_CACHE,		/* INVD, WBINVD: nothing to do */
	KEEL_X_RDPMC,
	KEEL_X_UNDEFINED,	/* an instruction this guest does not have: #UD */
	KEEL_X_TASK_SWITCH,
	KEEL_X_SHUTDOWN,	/* triple fault */
	KEEL_X_INIT,
	KEEL_X_ENTRY_FAIL,	/* exit.entry */
	KEEL_X_NR
};

/* exit.fault.access */
#define KEEL_FAULT_READ		BIT(0)
#define KEEL_FAULT_WRITE	BIT(1)
#define KEEL_FAULT_EXEC		BIT(2)
#define KEEL_FAULT_PRESENT	BIT(3)	/* an entry was there and did not permit it */
#define KEEL_FAULT_TABLE_WALK	BIT(4)	/* the guest's own page tables were touched */

/*
 * One exit.  Filled by enter(); lives on the run loop's stack and is read by
 * the one handler of its kind.  Only the member that @kind names is valid.
 */
struct keel_exit {
	u32 kind;		/* enum keel_exit_kind */
	u32 vendor_code;	/* for reports only */
	u8 insn_len;		/* 0: the CPU did not say */
	u8 nr_bytes;		/* instruction bytes the CPU has fetched, or 0 */
	u8 event_was_in_flight;	/* delivery of an event was interrupted */
	u8 bytes[15];
	union {
		struct {
			u16 port;
			u8 size;	/* 1, 2, 4 */
			u8 in;		/* IN or INS */
			u8 string;	/* INS, OUTS */
			u8 rep;
		} pio;
		struct {
			u8 cr;		/* 0, 3, 4, 8 */
			u8 gpr;		/* valid unless @needs_decode */
			u8 needs_decode;
		} cr;
		struct {
			gpa_t gpa;
			u32 access;	/* KEEL_FAULT_* */
		} fault;
		struct {
			u16 offset;	/* APIC_WRITE */
			u8 vector;	/* APIC_EOI */
		} apic;
		struct {
			u8 vector;
			u8 has_error;
			u32 error;
		} exception;
		struct {
			u32 rule;	/* ordinal in the list of entry checks */
			const char *name;
		} entry;
	};
};

/* How the guest reaches its LAPIC's registers, and what is asked of a CPU that has them itself. */
enum keel_apic_mode {
	KEEL_APIC_OFF,		/* disabled, or a base that no CPU helps with */
	KEEL_APIC_PAGE,		/* xAPIC: the page at its usual place */
	KEEL_APIC_PAGE_IDLE,	/* the same, software-disabled: takes no interrupts */
	KEEL_APIC_MSRS,		/* x2APIC */
};

struct keel_apic_state {
	u8 mode;		/* enum keel_apic_mode */
	s16 watch;		/* vector whose EOI exits beside those in TMR, -1: none */
	hpa_t regs;		/* the registers, laid out as in the xAPIC page */
	u32 *page;		/* the same, mapped */
	hpa_t access;		/* what stage 2 has for the xAPIC page while it has something */
};

enum keel_event_kind {
	KEEL_EV_NONE,
	KEEL_EV_IRQ,		/* external interrupt */
	KEEL_EV_NMI,
	KEEL_EV_EXCEPTION,
	KEEL_EV_SOFT,		/* INT n, INT3, INTO: taken up again at its instruction */
};

/* An event for the guest.  Always from a kernel struct, never from shared memory. */
struct keel_event {
	u8 kind;		/* enum keel_event_kind */
	u8 vector;
	u8 has_error;
	u8 insn_len;		/* soft events */
	u32 error;
};

/*
 * Register groups, the unit in which state moves between the vCPU's cache
 * (vcpu->regs, vcpu->sregs ...) and the control block.
 */
#define KEEL_CG_RIP		BIT(0)
#define KEEL_CG_RSP		BIT(1)
#define KEEL_CG_RFLAGS		BIT(2)
#define KEEL_CG_CR		BIT(3)	/* cr0 cr2 cr3 cr4 efer */
#define KEEL_CG_CS		BIT(4)	/* cs and ss: mode and privilege level */
#define KEEL_CG_SEG		BIT(5)	/* es ds fs gs tr ldtr */
#define KEEL_CG_DTABLE		BIT(6)	/* gdt idt */
#define KEEL_CG_DEBUG		BIT(7)	/* dr0-3 dr6 dr7 */
#define KEEL_CG_MSR		BIT(8)	/* vcpu->msr: what the world switch moves */
#define KEEL_CG_SHADOW		BIT(9)	/* interrupt shadow, NMI mask */
#define KEEL_CG_PDPTR		BIT(10)	/* vcpu->pdptr: set only, PAE paging of a loaded state */
#define KEEL_CG_CPL		BIT(11)	/* vcpu->cpl: get only, what CS and SS say of it */
#define KEEL_CG_ALL		(BIT(10) - 1)

/*
 * Exceptions that always exit.  #MC is the host's.  #DB and #AC must exit because
 * a guest can make their delivery raise them again for ever, which no interrupt
 * would end.
 */
#define KEEL_HOST_EXCEPTIONS	((u32)(BIT(1) | BIT(17) | BIT(18)))

/*
 * MSRs that a guest reads and writes without an exit: the world switch moves
 * them, or load and put do.
 */
#define KEEL_NR_GUEST_MSRS	10
extern const u32 keel_guest_msrs[KEEL_NR_GUEST_MSRS];

/* Text of a capability audit, a line a finding. */
struct keel_report {
	char *buf;
	size_t size;		/* of buf */
	size_t len;		/* bytes the whole text needs, without NUL */
};

/* What one CPU brought up costs to take down again: see hw.c. */
enum keel_busy {
	KEEL_BUSY_BY_NONE,
	KEEL_BUSY_BY_OTHER,	/* virtualization is switched on already */
	KEEL_BUSY_BY_FIRMWARE,	/* switched off and locked */
};

/*
 * One vendor.  Contexts: [task] may sleep; [cpu] runs on the CPU concerned
 * with IRQs off; [vcpu] in the vCPU's owner thread, preemption off, the vCPU
 * loaded; [entry] as [vcpu] with IRQs off.
 */
struct keel_backend_ops {
	const char *name;		/* "svm", "vmx" */
	u32 vendor;			/* KEEL_VENDOR_* */
	struct keel_tsc_format tsc_format;	/* of vm->tsc_ratio, with KEEL_CAP_TSC_SCALING */

	/* [task] Is this CPU of this vendor and complete?  0, -ENODEV (another
	 * vendor) or -EOPNOTSUPP; names every finding in @report (may be NULL).
	 */
	int (*probe)(struct keel_report *report);
	u32 (*caps)(void);		/* KEEL_CAP_* in use, after setup */
	int (*setup)(void);		/* [task] module-wide tables */
	void (*teardown)(void);		/* [task] */

	/* [cpu] take virtualization; 0 or -EBUSY / -EOPNOTSUPP with @why set */
	int (*cpu_on)(enum keel_busy *why);
	void (*cpu_off)(void);		/* [cpu] only what cpu_on() set */
	void (*cpu_emergency_off)(void);/* [cpu] NMI-safe */

	int (*vm_init)(struct keel_vm *vm);		/* [task] stage 2, with s2_init() */
	int (*vcpu_init)(struct keel_vcpu *vcpu);	/* [task] */
	void (*vcpu_fini)(struct keel_vcpu *vcpu);	/* [task] */
	/* [task or vcpu] control block to its power-on form; the register cache
	 * is set by the caller, which marks it dirty
	 */
	void (*vcpu_reset)(struct keel_vcpu *vcpu);

	/* [vcpu] make current on this CPU, lazily; put releases what is lazy */
	void (*load)(struct keel_vcpu *vcpu, int cpu);
	void (*put)(struct keel_vcpu *vcpu);

	/* [entry] exactly one entry; the exit's essentials in @exit */
	void (*enter)(struct keel_vcpu *vcpu, struct keel_exit *exit);

	/* [vcpu, or task while the vCPU is not loaded anywhere] */
	void (*state_get)(struct keel_vcpu *vcpu, u32 groups);
	void (*state_set)(struct keel_vcpu *vcpu, u32 groups);

	/* [entry] */
	void (*inject)(struct keel_vcpu *vcpu, const struct keel_event *event);
	/* the entry is called off: what inject() prepared goes back to vcpu->injected */
	void (*requeue)(struct keel_vcpu *vcpu);
	bool (*can_inject)(struct keel_vcpu *vcpu, enum keel_event_kind kind);
	void (*window)(struct keel_vcpu *vcpu, enum keel_event_kind kind, bool open);
	/* exit when the guest lowers CR8 below @threshold, not above vcpu->cr8 (0: never) */
	void (*tpr_threshold)(struct keel_vcpu *vcpu, u8 threshold);

	/* [entry] stage-2 root changed or must be flushed for this vCPU */
	void (*set_root)(struct keel_vcpu *vcpu, hpa_t root);
	void (*flush)(struct keel_vcpu *vcpu);
	/* [vcpu] where s2.t.hw_log is set, else NULL: the CPU logs writes if vm->log_dirty
	 * says so.  Every return from enter() has emptied its log already.
	 */
	void (*log_dirty)(struct keel_vcpu *vcpu);

	/* [vcpu] */
	void (*set_tsc_offset)(struct keel_vcpu *vcpu, u64 offset);
	/*
	 * [owner] Leave guest mode with KEEL_X_TIMER once the host's TSC has reached
	 * @deadline, not before; U64_MAX: no more.  It counts in guest mode alone: a
	 * deadline that has passed elsewhere ends the next entry at once.  False, or
	 * NULL: this CPU cannot, now and always.
	 */
	bool (*set_timer)(struct keel_vcpu *vcpu, u64 deadline);
	void (*dr_access)(struct keel_vcpu *vcpu, bool intercept);
	/* [vcpu] step over the instruction that caused @exit; false: its length
	 * is unknown, the caller must decode
	 */
	bool (*skip_insn)(struct keel_vcpu *vcpu, const struct keel_exit *exit);
	/*
	 * [entry] With keel_apicv alone: what the LAPIC's registers are now, after
	 * every change by others than the guest.  True: the CPU delivers what IRR
	 * holds, and nobody else may.
	 */
	bool (*sync_apic)(struct keel_vcpu *vcpu, const struct keel_apic_state *state);
	void (*dump)(struct keel_vcpu *vcpu);		/* to the log, ratelimited by caller */
};

/* The vendor of this machine; NULL when neither probes.  Set once at module init. */
extern const struct keel_backend_ops *keel_backend;

/* What every exit needs, without an indirect branch. */
#define KEEL_BACKEND_FN(op)	(*((const struct keel_backend_ops *)0)->op)
DECLARE_STATIC_CALL(keel_backend_enter, KEEL_BACKEND_FN(enter));
DECLARE_STATIC_CALL(keel_backend_skip_insn, KEEL_BACKEND_FN(skip_insn));
DECLARE_STATIC_CALL(keel_backend_state_get, KEEL_BACKEND_FN(state_get));
DECLARE_STATIC_CALL(keel_backend_state_set, KEEL_BACKEND_FN(state_set));

/* The vendors: used by core/module.c alone. */
extern const struct keel_backend_ops svm_ops, vmx_ops;

/* printf into @report; NULL is fine. */
__printf(2, 3) void keel_report(struct keel_report *report, const char *fmt, ...);

#endif /* KEEL_CORE_BACKEND_H */
