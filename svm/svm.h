/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of svm/ share: the VMCB's layout, its bits, and a vCPU's and
 * a CPU's SVM state.  It must not be included from outside svm/.
 */
#ifndef KEEL_SVM_SVM_H
#define KEEL_SVM_SVM_H

#include <linux/jump_label.h>
#include <linux/percpu-defs.h>
#include <asm/asm.h>
#include "core/event_word.h"
#include "core/vcpu.h"

/* ---- intercepts ------------------------------------------------------------ */

/* misc1: control word at 0x0c */
#define SVM_I1_INTR		BIT(0)
#define SVM_I1_NMI		BIT(1)
#define SVM_I1_SMI		BIT(2)
#define SVM_I1_INIT		BIT(3)
#define SVM_I1_VINTR		BIT(4)
#define SVM_I1_RDPMC		BIT(15)
#define SVM_I1_CPUID		BIT(18)
#define SVM_I1_IRET		BIT(20)
#define SVM_I1_INVD		BIT(22)
#define SVM_I1_PAUSE		BIT(23)
#define SVM_I1_HLT		BIT(24)
#define SVM_I1_INVLPGA		BIT(26)
#define SVM_I1_IOIO		BIT(27)
#define SVM_I1_MSR		BIT(28)
#define SVM_I1_TASK_SWITCH	BIT(29)
#define SVM_I1_FERR_FREEZE	BIT(30)
#define SVM_I1_SHUTDOWN		BIT(31)

/* misc2: control word at 0x10 */
#define SVM_I2_VMRUN		BIT(0)
#define SVM_I2_VMMCALL		BIT(1)
#define SVM_I2_VMLOAD		BIT(2)
#define SVM_I2_VMSAVE		BIT(3)
#define SVM_I2_STGI		BIT(4)
#define SVM_I2_CLGI		BIT(5)
#define SVM_I2_SKINIT		BIT(6)
#define SVM_I2_WBINVD		BIT(9)
#define SVM_I2_MONITOR		BIT(10)
#define SVM_I2_MWAIT		BIT(11)
#define SVM_I2_MWAIT_ARMED	BIT(12)
#define SVM_I2_XSETBV		BIT(13)
#define SVM_I2_RDPRU		BIT(14)

#define SVM_CR_READ(n)		BIT(n)
#define SVM_CR_WRITE(n)		BIT(16 + (n))

/* ---- int_ctl, clean bits ------------------------------------------ */

#define SVM_V_TPR_MASK		0x0fU
#define SVM_V_IRQ		BIT(8)
#define SVM_V_NMI_PENDING	BIT(11)
#define SVM_V_NMI_BLOCKED	BIT(12)
#define SVM_V_INTR_PRIO_MAX	(0x0fU << 16)
#define SVM_V_IGN_TPR		BIT(20)
#define SVM_V_INTR_MASKING	BIT(24)
#define SVM_V_NMI_ENABLE	BIT(26)

#define SVM_INT_SHADOW		BIT(0)		/* int_state */
#define SVM_NP_ENABLE		BIT(0)		/* nested_ctl */

#define SVM_CLEAN_INTERCEPTS	BIT(0)
#define SVM_CLEAN_BITMAPS	BIT(1)
#define SVM_CLEAN_ASID		BIT(2)
#define SVM_CLEAN_INT_CTL	BIT(3)
#define SVM_CLEAN_NP		BIT(4)
#define SVM_CLEAN_CR		BIT(5)
#define SVM_CLEAN_DR		BIT(6)
#define SVM_CLEAN_DT		BIT(7)
#define SVM_CLEAN_SEG		BIT(8)
#define SVM_CLEAN_CR2		BIT(9)
#define SVM_CLEAN_ALL		(BIT(10) - 1)

#define SVM_TLB_KEEP		0
#define SVM_TLB_FLUSH_ALL	1
#define SVM_TLB_FLUSH_ASID	3

/* ---- exit codes ------------------------------------------------------------------ */

#define SVM_X_CR_READ		0x00
#define SVM_X_CR_WRITE		0x10
#define SVM_X_DR_FIRST		0x20
#define SVM_X_DR_LAST		0x3f
#define SVM_X_EXCEPTION		0x40
#define SVM_X_EXCEPTION_LAST	0x5f
#define SVM_X_INTR		0x60
#define SVM_X_NMI		0x61
#define SVM_X_SMI		0x62
#define SVM_X_INIT		0x63
#define SVM_X_VINTR		0x64
#define SVM_X_RDPMC		0x6f
#define SVM_X_CPUID		0x72
#define SVM_X_IRET		0x74
#define SVM_X_INVD		0x76
#define SVM_X_PAUSE		0x77
#define SVM_X_HLT		0x78
#define SVM_X_INVLPGA		0x7a
#define SVM_X_IOIO		0x7b
#define SVM_X_MSR		0x7c
#define SVM_X_TASK_SWITCH	0x7d
#define SVM_X_FERR_FREEZE	0x7e
#define SVM_X_SHUTDOWN		0x7f
#define SVM_X_VMRUN		0x80
#define SVM_X_VMMCALL		0x81
#define SVM_X_VMLOAD		0x82
#define SVM_X_VMSAVE		0x83
#define SVM_X_STGI		0x84
#define SVM_X_CLGI		0x85
#define SVM_X_SKINIT		0x86
#define SVM_X_WBINVD		0x89
#define SVM_X_MONITOR		0x8a
#define SVM_X_MWAIT		0x8b
#define SVM_X_MWAIT_ARMED	0x8c
#define SVM_X_XSETBV		0x8d
#define SVM_X_RDPRU		0x8e
#define SVM_X_LAST		0x8f
#define SVM_X_NPF		0x400
#define SVM_X_INVALID		0xffffffffU	/* VMEXIT_INVALID: the VMCB broke a rule */

/* NPF: exit_info_1 */
#define SVM_NPF_PRESENT		BIT_ULL(0)
#define SVM_NPF_WRITE		BIT_ULL(1)
#define SVM_NPF_RESERVED	BIT_ULL(3)
#define SVM_NPF_FETCH		BIT_ULL(4)
#define SVM_NPF_TABLE_WALK	BIT_ULL(33)

/* IOIO: exit_info_1 */
#define SVM_IO_IN		BIT(0)
#define SVM_IO_STRING		BIT(2)
#define SVM_IO_REP		BIT(3)
#define SVM_IO_SIZE_SHIFT	4
#define SVM_IO_PORT_SHIFT	16

/* ---- the control block ----------------------------------------------------------- */

/* Attributes as the VMCB packs them: descriptor bits 40-47 and 52-55. */
#define SVM_ATTR_L	BIT(9)
#define SVM_ATTR_DB	BIT(10)

struct svm_segment {
	u16 selector;
	u16 attr;
	u32 limit;
	u64 base;
} __packed;

struct svm_control {
	u32 intercept_cr;		/* 0x000 reads low, writes high */
	u32 intercept_dr;
	u32 intercept_exception;
	u32 intercept_misc1;
	u32 intercept_misc2;		/* 0x010 */
	u32 intercept_misc3;
	u8 reserved_18[0x3c - 0x18];
	u16 pause_threshold;		/* 0x03c */
	u16 pause_count;
	u64 iopm_pa;			/* 0x040 */
	u64 msrpm_pa;
	u64 tsc_offset;			/* 0x050 */
	u32 asid;			/* 0x058 */
	u8 tlb_ctl;
	u8 reserved_5d[3];
	u32 int_ctl;			/* 0x060 */
	u32 int_vector;
	u32 int_state;			/* 0x068 */
	u32 reserved_6c;
	u32 exit_code;			/* 0x070 */
	u32 exit_code_high;
	u64 exit_info_1;		/* 0x078 */
	u64 exit_info_2;		/* 0x080 */
	u32 exit_int_info;		/* 0x088 */
	u32 exit_int_error;
	u64 nested_ctl;			/* 0x090 */
	u64 avic_bar;
	u64 ghcb;			/* 0x0a0 */
	u32 event_inj;			/* 0x0a8 */
	u32 event_error;
	u64 nested_cr3;			/* 0x0b0 */
	u64 virt_ext;			/* 0x0b8 */
	u32 clean;			/* 0x0c0 */
	u32 reserved_c4;
	u64 next_rip;			/* 0x0c8 */
	u8 insn_len;			/* 0x0d0 */
	u8 insn_bytes[15];
	u8 reserved_e0[0x400 - 0xe0];
} __packed;

struct svm_save {
	struct svm_segment es, cs, ss, ds, fs, gs;	/* 0x400 */
	struct svm_segment gdtr, ldtr, idtr, tr;	/* 0x460 */
	u8 reserved_4a0[0x4cb - 0x4a0];
	u8 cpl;				/* 0x4cb */
	u32 reserved_4cc;
	u64 efer;			/* 0x4d0 */
	u8 reserved_4d8[0x548 - 0x4d8];
	u64 cr4;			/* 0x548 */
	u64 cr3;
	u64 cr0;			/* 0x558 */
	u64 dr7;
	u64 dr6;			/* 0x568 */
	u64 rflags;
	u64 rip;			/* 0x578 */
	u8 reserved_580[0x5d8 - 0x580];
	u64 rsp;			/* 0x5d8 */
	u8 reserved_5e0[0x5f8 - 0x5e0];
	u64 rax;			/* 0x5f8 */
	u64 star;			/* 0x600 */
	u64 lstar;
	u64 cstar;			/* 0x610 */
	u64 sfmask;
	u64 kernel_gs_base;		/* 0x620 */
	u64 sysenter_cs;
	u64 sysenter_esp;		/* 0x630 */
	u64 sysenter_eip;
	u64 cr2;			/* 0x640 */
	u8 reserved_648[0x668 - 0x648];
	u64 pat;			/* 0x668 */
	u64 debugctl;			/* 0x670 */
	u8 reserved_678[0x1000 - 0x678];
} __packed;

struct svm_vmcb {
	struct svm_control control;
	struct svm_save save;
} __packed;

static_assert(offsetof(struct svm_vmcb, control.iopm_pa) == 0x040);
static_assert(offsetof(struct svm_vmcb, control.int_ctl) == 0x060);
static_assert(offsetof(struct svm_vmcb, control.exit_code) == 0x070);
static_assert(offsetof(struct svm_vmcb, control.event_inj) == 0x0a8);
static_assert(offsetof(struct svm_vmcb, control.clean) == 0x0c0);
static_assert(offsetof(struct svm_vmcb, control.insn_bytes) == 0x0d1);
static_assert(offsetof(struct svm_vmcb, save.es) == 0x400);
static_assert(offsetof(struct svm_vmcb, save.tr) == 0x490);
static_assert(offsetof(struct svm_vmcb, save.cpl) == 0x4cb);
static_assert(offsetof(struct svm_vmcb, save.efer) == 0x4d0);
static_assert(offsetof(struct svm_vmcb, save.cr4) == 0x548);
static_assert(offsetof(struct svm_vmcb, save.rip) == 0x578);
static_assert(offsetof(struct svm_vmcb, save.rsp) == 0x5d8);
static_assert(offsetof(struct svm_vmcb, save.rax) == 0x5f8);
static_assert(offsetof(struct svm_vmcb, save.cr2) == 0x640);
static_assert(offsetof(struct svm_vmcb, save.pat) == 0x668);

/* ---- a vCPU, a CPU --------------------------------------------------------------- */

/* What enter.S needs, in the order in which it reads it; offsets stand there too. */
struct svm_switch {
	u64 vmcb_pa;			/* 0 */
	u64 host_pa;			/* 8: host's VMSAVE area on this CPU */
	u32 guest_spec_ctrl;		/* 16 */
	u32 host_spec_ctrl;		/* 20 */
	u8 switch_spec_ctrl;		/* 24: both have to be written */
	u8 faulted;			/* 25: an SVM instruction faulted */
};

static_assert(offsetof(struct svm_switch, host_pa) == 8);
static_assert(offsetof(struct svm_switch, guest_spec_ctrl) == 16);
static_assert(offsetof(struct svm_switch, host_spec_ctrl) == 20);
static_assert(offsetof(struct svm_switch, switch_spec_ctrl) == 24);
static_assert(offsetof(struct svm_switch, faulted) == 25);

/* All owner's, but for what says otherwise. */
struct svm_vcpu {
	struct svm_vmcb *vmcb;		/* constant */
	struct svm_switch sw;
	u64 asid_generation;		/* 0: needs an ASID */
	int last_cpu;			/* where the control block was used last */
	bool irq_window;		/* VINTR armed */
	u32 event_inj;			/* as written for this entry: a failed one clears it */
	bool iret_watched;		/* IRET intercepted: NMIs are masked */
	bool iret_running;		/* an IRET was let go: unmasked once RIP moves */
	bool stepping;			/* TF is ours, to find the end of IRET or of a shadow */
	u64 iret_rip;
	u64 step_rflags;		/* the guest's TF and RF while stepping */
	bool hide_mce;			/* CR4.MCE is the host's, not the guest's */
	u8 tpr_threshold;
};

/* Allocated at setup for every possible CPU. */
struct svm_cpu {
	struct page *hsave;		/* VM_HSAVE_PA while we own the CPU */
	struct page *host;		/* VMSAVE area of the host */
	u64 old_hsave_pa;		/* what we found */
	bool on;			/* [cpu] we set SVME */
	u64 asid_generation;		/* [cpu, IRQs off] */
	u32 next_asid;			/* [cpu, IRQs off] */
};

DECLARE_PER_CPU(struct svm_cpu, svm_cpus);

/* Set by svm_setup(), constant after. */
struct svm_globals {
	u32 features;			/* CPUID 8000000A EDX */
	u32 nr_asids;
	u32 caps;			/* KEEL_CAP_* */
	struct page *iopm;		/* intercepts every port */
	struct page *msrpm;		/* which MSRs the guest has for itself */
	u8 stage2_levels;
};

extern struct svm_globals svm_global;

#define SVM_F_NPT		BIT(0)
#define SVM_F_NRIPS		BIT(3)
#define SVM_F_VMCB_CLEAN	BIT(5)
#define SVM_F_FLUSH_BY_ASID	BIT(6)
#define SVM_F_DECODE_ASSIST	BIT(7)
#define SVM_F_PAUSE_FILTER	BIT(10)
#define SVM_F_VGIF		BIT(16)
#define SVM_F_VNMI		BIT(25)

static inline struct svm_vcpu *to_svm(struct keel_vcpu *vcpu)
{
	return vcpu->arch;
}

/* A cached part of the control block was changed. */
static inline void svm_unclean(struct svm_vcpu *svm, u32 bits)
{
	svm->vmcb->control.clean &= ~bits;
}

/* [cpu] The host's FS, GS, TR and syscall MSRs, to where enter.S loads them from. */
static inline void svm_host_save(u64 host_pa)
{
	asm volatile("1: vmsave %0\n2:" _ASM_EXTABLE(1b, 2b) : : "a" (host_pa) : "memory");
}

/* caps.c */
int svm_probe(struct keel_report *report);
u32 svm_caps(void);
int svm_setup(void);
void svm_teardown(void);
int svm_cpu_on(enum keel_busy *why);
void svm_cpu_off(void);
void svm_cpu_emergency_off(void);

/* ctl.c */
void svm_control_reset(struct keel_vcpu *vcpu);
void svm_intercept_misc1(struct svm_vcpu *svm, u32 bits, bool on);
void svm_intercept_exception(struct svm_vcpu *svm, u8 vector, bool on);
void svm_tpr_threshold(struct keel_vcpu *vcpu, u8 threshold);
void svm_set_tsc_offset(struct keel_vcpu *vcpu, u64 offset);
void svm_dr_access(struct keel_vcpu *vcpu, bool intercept);
void svm_dump(struct keel_vcpu *vcpu);

/* exit.c */
void svm_enter(struct keel_vcpu *vcpu, struct keel_exit *exit);
bool svm_skip_insn(struct keel_vcpu *vcpu, const struct keel_exit *exit);

/* event.c */
void svm_inject(struct keel_vcpu *vcpu, const struct keel_event *event);
bool svm_can_inject(struct keel_vcpu *vcpu, enum keel_event_kind kind);
void svm_window(struct keel_vcpu *vcpu, enum keel_event_kind kind, bool open);
void svm_requeue(struct keel_vcpu *vcpu);
void svm_collect_event(struct keel_vcpu *vcpu);
void svm_watch_iret(struct keel_vcpu *vcpu);
void svm_iret_exit(struct keel_vcpu *vcpu);
bool svm_step_done(struct keel_vcpu *vcpu);

/* msr.c */
struct page *svm_msrpm_alloc(void);

/* quirk.c */
DECLARE_STATIC_KEY_FALSE(svm_half_switch);	/* the list is in quirk.c */
int svm_quirk_probe(void);

/* state.c */
void svm_state_get(struct keel_vcpu *vcpu, u32 groups);
void svm_state_set(struct keel_vcpu *vcpu, u32 groups);

/* tlb.c */
void svm_assign_asid(struct svm_vcpu *svm);
void svm_flush(struct keel_vcpu *vcpu);
void svm_set_root(struct keel_vcpu *vcpu, hpa_t root);

/* check.c */
const char *svm_check(struct keel_vcpu *vcpu, u32 *rule);

/* enter.S: one VMRUN, GIF cleared around it; IRQs off */
void svm_switch_to_guest(struct svm_switch *sw, u64 *gpr);

#endif /* KEEL_SVM_SVM_H */
