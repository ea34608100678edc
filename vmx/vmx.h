/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of vmx/ share: field encodings, control bits, instruction
 * wrappers, and a vCPU's and a CPU's VMX state.  It must not be included from
 * outside vmx/.
 */
#ifndef KEEL_VMX_VMX_H
#define KEEL_VMX_VMX_H

#include <linux/percpu-defs.h>
#include <asm/asm.h>
#include "core/event_word.h"
#include "core/vcpu.h"
#include "vmx/msrlist.h"

/* ---- VMCS fields ------------------------------------------------------------- */

/* 16 bits */
#define VMX_VPID			0x0000
#define VMX_GUEST_ES_SELECTOR		0x0800	/* ES CS SS DS FS GS LDTR TR, step 2 */
#define VMX_GUEST_INTR_STATUS		0x0810
#define VMX_GUEST_PML_INDEX		0x0812
#define VMX_HOST_ES_SELECTOR		0x0c00
#define VMX_HOST_CS_SELECTOR		0x0c02
#define VMX_HOST_SS_SELECTOR		0x0c04
#define VMX_HOST_DS_SELECTOR		0x0c06
#define VMX_HOST_FS_SELECTOR		0x0c08
#define VMX_HOST_GS_SELECTOR		0x0c0a
#define VMX_HOST_TR_SELECTOR		0x0c0c
/* 64 bits */
#define VMX_MSR_BITMAP			0x2004
#define VMX_EXIT_MSR_LOAD_LIST		0x2008
#define VMX_ENTRY_MSR_LOAD_LIST		0x200a
#define VMX_PML_ADDRESS			0x200e
#define VMX_TSC_OFFSET			0x2010
#define VMX_VIRTUAL_APIC		0x2012
#define VMX_APIC_ACCESS			0x2014
#define VMX_EPTP			0x201a
#define VMX_EOI_EXIT0			0x201c	/* 4 of them, step 2: a bit a vector */
#define VMX_XSS_BITMAP			0x202c
#define VMX_TSC_MULTIPLIER		0x2032
#define VMX_GUEST_PHYSICAL		0x2400
#define VMX_VMCS_LINK			0x2800
#define VMX_GUEST_DEBUGCTL		0x2802
#define VMX_GUEST_PAT			0x2804
#define VMX_GUEST_EFER			0x2806
#define VMX_GUEST_PDPTE0		0x280a	/* 1 to 3: step 2 */
#define VMX_HOST_PAT			0x2c00
#define VMX_HOST_EFER			0x2c02
/* 32 bits */
#define VMX_PIN_CONTROLS		0x4000
#define VMX_PROC_CONTROLS		0x4002
#define VMX_EXCEPTION_BITMAP		0x4004
#define VMX_PF_ERROR_MASK		0x4006
#define VMX_PF_ERROR_MATCH		0x4008
#define VMX_CR3_TARGET_COUNT		0x400a
#define VMX_EXIT_CONTROLS		0x400c
#define VMX_EXIT_MSR_STORE_COUNT	0x400e
#define VMX_EXIT_MSR_LOAD_COUNT		0x4010
#define VMX_ENTRY_CONTROLS		0x4012
#define VMX_ENTRY_MSR_LOAD_COUNT	0x4014
#define VMX_ENTRY_EVENT			0x4016
#define VMX_ENTRY_EVENT_ERROR		0x4018
#define VMX_ENTRY_INSN_LEN		0x401a
#define VMX_TPR_THRESHOLD		0x401c
#define VMX_PROC2_CONTROLS		0x401e
#define VMX_PLE_GAP			0x4020
#define VMX_PLE_WINDOW			0x4022
#define VMX_INSN_ERROR			0x4400
#define VMX_EXIT_REASON			0x4402
#define VMX_EXIT_EVENT			0x4404
#define VMX_EXIT_EVENT_ERROR		0x4406
#define VMX_IDT_EVENT			0x4408
#define VMX_IDT_EVENT_ERROR		0x440a
#define VMX_EXIT_INSN_LEN		0x440c
#define VMX_GUEST_ES_LIMIT		0x4800	/* as the selectors */
#define VMX_GUEST_GDTR_LIMIT		0x4810
#define VMX_GUEST_IDTR_LIMIT		0x4812
#define VMX_GUEST_ES_ATTR		0x4814	/* as the selectors */
#define VMX_GUEST_SS_ATTR		0x4818
#define VMX_GUEST_SHADOW		0x4824	/* interruptibility state */
#define VMX_GUEST_ACTIVITY		0x4826
#define VMX_GUEST_SYSENTER_CS		0x482a
#define VMX_TIMER_VALUE			0x482e
#define VMX_HOST_SYSENTER_CS		0x4c00
/* natural width */
#define VMX_CR0_MASK			0x6000
#define VMX_CR4_MASK			0x6002
#define VMX_CR0_SHADOW			0x6004
#define VMX_CR4_SHADOW			0x6006
#define VMX_EXIT_QUALIFICATION		0x6400
#define VMX_GUEST_CR0			0x6800
#define VMX_GUEST_CR3			0x6802
#define VMX_GUEST_CR4			0x6804
#define VMX_GUEST_ES_BASE		0x6806	/* as the selectors */
#define VMX_GUEST_GDTR_BASE		0x6816
#define VMX_GUEST_IDTR_BASE		0x6818
#define VMX_GUEST_DR7			0x681a
#define VMX_GUEST_RSP			0x681c
#define VMX_GUEST_RIP			0x681e
#define VMX_GUEST_RFLAGS		0x6820
#define VMX_GUEST_PENDING_DEBUG		0x6822
#define VMX_GUEST_SYSENTER_ESP		0x6824
#define VMX_GUEST_SYSENTER_EIP		0x6826
#define VMX_HOST_CR0			0x6c00
#define VMX_HOST_CR3			0x6c02
#define VMX_HOST_CR4			0x6c04
#define VMX_HOST_FS_BASE		0x6c06
#define VMX_HOST_GS_BASE		0x6c08
#define VMX_HOST_TR_BASE		0x6c0a
#define VMX_HOST_GDTR_BASE		0x6c0c
#define VMX_HOST_IDTR_BASE		0x6c0e
#define VMX_HOST_SYSENTER_ESP		0x6c10
#define VMX_HOST_SYSENTER_EIP		0x6c12
#define VMX_HOST_RSP			0x6c14
#define VMX_HOST_RIP			0x6c16

/* ---- controls ------------------------------------------------------------------ */

#define VMX_PIN_INTR			BIT(0)
#define VMX_PIN_NMI			BIT(3)
#define VMX_PIN_VNMI			BIT(5)
#define VMX_PIN_TIMER			BIT(6)

#define VMX_PROC_IRQ_WINDOW		BIT(2)
#define VMX_PROC_TSC_OFFSET		BIT(3)
#define VMX_PROC_HLT			BIT(7)
#define VMX_PROC_MWAIT			BIT(10)
#define VMX_PROC_RDPMC			BIT(11)
#define VMX_PROC_CR3_LOAD		BIT(15)
#define VMX_PROC_CR3_STORE		BIT(16)
#define VMX_PROC_TPR_SHADOW		BIT(21)
#define VMX_PROC_NMI_WINDOW		BIT(22)
#define VMX_PROC_DR			BIT(23)
#define VMX_PROC_IO			BIT(24)
#define VMX_PROC_MSR_BITMAPS		BIT(28)
#define VMX_PROC_MONITOR		BIT(29)
#define VMX_PROC_SECONDARY		BIT(31)

#define VMX_PROC2_APIC_ACCESS		BIT(0)
#define VMX_PROC2_EPT			BIT(1)
#define VMX_PROC2_RDTSCP		BIT(3)
#define VMX_PROC2_X2APIC		BIT(4)
#define VMX_PROC2_VPID			BIT(5)
#define VMX_PROC2_WBINVD		BIT(6)
#define VMX_PROC2_UNRESTRICTED		BIT(7)
#define VMX_PROC2_APIC_REGS		BIT(8)
#define VMX_PROC2_VIRT_INTR		BIT(9)
#define VMX_PROC2_PLE			BIT(10)
#define VMX_PROC2_INVPCID		BIT(12)
#define VMX_PROC2_PML			BIT(17)
#define VMX_PROC2_TSC_SCALING		BIT(25)

/* What apicv.c switches, by the mode of a vCPU's LAPIC. */
#define VMX_PROC2_APICV		(VMX_PROC2_APIC_ACCESS | VMX_PROC2_X2APIC | \
				 VMX_PROC2_APIC_REGS | VMX_PROC2_VIRT_INTR)

#define VMX_EXIT_SAVE_DEBUG		BIT(2)
#define VMX_EXIT_HOST_64		BIT(9)
#define VMX_EXIT_SAVE_PAT		BIT(18)
#define VMX_EXIT_LOAD_PAT		BIT(19)
#define VMX_EXIT_SAVE_EFER		BIT(20)
#define VMX_EXIT_LOAD_EFER		BIT(21)

#define VMX_ENTRY_LOAD_DEBUG		BIT(2)
#define VMX_ENTRY_GUEST_64		BIT(9)
#define VMX_ENTRY_LOAD_PAT		BIT(14)
#define VMX_ENTRY_LOAD_EFER		BIT(15)

/* IA32_VMX_EPT_VPID_CAP */
#define VMX_EPT_CAP_4LEVEL		BIT_ULL(6)
#define VMX_EPT_CAP_WB			BIT_ULL(14)
#define VMX_EPT_CAP_2M			BIT_ULL(16)
#define VMX_EPT_CAP_1G			BIT_ULL(17)
#define VMX_EPT_CAP_INVEPT		BIT_ULL(20)
#define VMX_EPT_CAP_AD			BIT_ULL(21)
#define VMX_EPT_CAP_INVEPT_ONE		BIT_ULL(25)
#define VMX_EPT_CAP_INVEPT_ALL		BIT_ULL(26)
#define VMX_EPT_CAP_INVVPID		BIT_ULL(32)
#define VMX_EPT_CAP_INVVPID_ONE		BIT_ULL(41)
#define VMX_EPT_CAP_INVVPID_ALL		BIT_ULL(42)

#define VMX_EPTP_WB			6ULL
#define VMX_EPTP_LEVELS_SHIFT		3
#define VMX_EPTP_AD			BIT_ULL(6)

/* ---- event words, shadow --------------------------------------------------------- */

#define VMX_EV_PRIVILEGED		(5U << KEEL_WORD_TYPE_SHIFT)	/* INT1 */
#define VMX_EV_SOFT_EXCEPTION		(6U << KEEL_WORD_TYPE_SHIFT)
#define VMX_EV_NMI_UNBLOCKED		BIT(12)	/* of an exit: IRET had begun */

#define VMX_SHADOW_STI			BIT(0)
#define VMX_SHADOW_MOV_SS		BIT(1)
#define VMX_SHADOW_NMI			BIT(3)

#define VMX_ATTR_UNUSABLE		BIT(16)

#define VMX_PENDING_DEBUG_BS		BIT(14)

/* ---- exit reasons ---------------------------------------------------------------- */

#define VMX_X_EXCEPTION_NMI	0
#define VMX_X_INTR		1
#define VMX_X_TRIPLE_FAULT	2
#define VMX_X_INIT		3
#define VMX_X_SIPI		4
#define VMX_X_IRQ_WINDOW	7
#define VMX_X_NMI_WINDOW	8
#define VMX_X_TASK_SWITCH	9
#define VMX_X_CPUID		10
#define VMX_X_GETSEC		11
#define VMX_X_HLT		12
#define VMX_X_INVD		13
#define VMX_X_INVLPG		14
#define VMX_X_RDPMC		15
#define VMX_X_VMCALL		18
#define VMX_X_VMX_FIRST		19	/* VMCLEAR ... VMXON */
#define VMX_X_VMX_LAST		27
#define VMX_X_CR		28
#define VMX_X_DR		29
#define VMX_X_IO		30
#define VMX_X_RDMSR		31
#define VMX_X_WRMSR		32
#define VMX_X_GUEST_STATE	33
#define VMX_X_MSR_LOAD		34
#define VMX_X_MWAIT		36
#define VMX_X_MONITOR		39
#define VMX_X_PAUSE		40
#define VMX_X_ENTRY_MCE		41
#define VMX_X_TPR_THRESHOLD	43
#define VMX_X_APIC_ACCESS	44
#define VMX_X_EOI		45
#define VMX_X_EPT_VIOLATION	48
#define VMX_X_EPT_MISCONFIG	49
#define VMX_X_INVEPT		50
#define VMX_X_TIMER		52
#define VMX_X_INVVPID		53
#define VMX_X_WBINVD		54
#define VMX_X_XSETBV		55
#define VMX_X_APIC_WRITE	56
#define VMX_X_PML_FULL		62
#define VMX_X_LAST		63
#define VMX_X_ENTRY_FAILED	BIT(31)

/* EPT violation: exit qualification */
#define VMX_EPT_READ		BIT_ULL(0)
#define VMX_EPT_WRITE		BIT_ULL(1)
#define VMX_EPT_FETCH		BIT_ULL(2)
#define VMX_EPT_PRESENT		(BIT_ULL(3) | BIT_ULL(4) | BIT_ULL(5))
#define VMX_EPT_LINEAR		BIT_ULL(7)
#define VMX_EPT_TRANSLATED	BIT_ULL(8)
#define VMX_EPT_NMI_UNBLOCKED	BIT_ULL(12)

/* I/O: exit qualification */
#define VMX_IO_SIZE		7U	/* bytes less one */
#define VMX_IO_IN		BIT(3)
#define VMX_IO_STRING		BIT(4)
#define VMX_IO_REP		BIT(5)
#define VMX_IO_PORT_SHIFT	16

/* CR access: exit qualification */
#define VMX_CR_NUMBER		15U
#define VMX_CR_TYPE_SHIFT	4
#define VMX_CR_TYPE		3U
#define VMX_CR_TO		0
#define VMX_CR_FROM		1
#define VMX_CR_GPR_SHIFT	8

/* ---- a vCPU, a CPU --------------------------------------------------------------- */

/* What enter.S needs; offsets stand there too. */
struct vmx_switch {
	u64 host_rsp;			/* 0: what the VMCS holds */
	u32 guest_spec_ctrl;		/* 8 */
	u32 host_spec_ctrl;		/* 12 */
	u8 launched;			/* 16: VMRESUME, not VMLAUNCH */
	u8 switch_spec_ctrl;		/* 17 */
};

static_assert(offsetof(struct vmx_switch, guest_spec_ctrl) == 8);
static_assert(offsetof(struct vmx_switch, host_spec_ctrl) == 12);
static_assert(offsetof(struct vmx_switch, launched) == 16);
static_assert(offsetof(struct vmx_switch, switch_spec_ctrl) == 17);

/* A VMCS region, with its revision in the first word. */
struct vmx_vmcs {
	u32 revision;
	u32 abort;
	u8 data[];
};

/* All owner's, but for what says otherwise. */
struct vmx_vcpu {
	struct vmx_switch sw;
	struct keel_vcpu *vcpu;		/* constant */
	struct vmx_vmcs *vmcs;		/* constant */
	u8 *tpr_page;			/* constant: a page for the TPR alone */
	u8 *virtual_apic;		/* page that holds the TPR: @tpr_page or the LAPIC's */
	bool has_lapic;			/* @virtual_apic is the LAPIC's */
	u16 vpid;			/* constant; 0: none */
	bool pml_on;			/* the CPU logs writes */
	u64 *pml;			/* constant: page of the log; NULL: none */
	int last_cpu;			/* the VMCS may be cached there; -1: nowhere */
	struct list_head loaded;	/* [cpu, IRQs off] on last_cpu's vmx_cpu.loaded */
	/* copies of fields, so that they are written only when they change */
	u32 proc;			/* VMX_PROC_CONTROLS */
	u32 apicv;			/* VMX_PROC2_APICV, of VMX_PROC2_CONTROLS */
	u64 eoi_exit[4];		/* VMX_EOI_EXIT0 and on */
	u32 exceptions;			/* VMX_EXCEPTION_BITMAP */
	u32 tpr_threshold;
	u64 host_cr3, host_cr4;
	u32 shadow;			/* VMX_GUEST_SHADOW, when @shadow_valid */
	bool shadow_valid;
	bool event;			/* an event stands in VMX_ENTRY_EVENT */
	u32 event_info, event_error;
	bool irq_window, nmi_window;	/* what the run loop asked for */
	u64 timer_deadline;		/* host TSC; U64_MAX: none */
	u32 timer_value;		/* VMX_TIMER_VALUE */
	bool timer_look;		/* the next entry may want another value */
	bool flush;			/* drop all translations before the next entry */
	/* syscall MSRs: in the CPU while loaded */
	bool msrs_live;
	bool has_syscall;		/* EFER.SCE: the guest can see the syscall MSRs */
	u64 host_kernel_gs_base;
	struct vmx_msrlists *msrlists;	/* constant; NULL: nobody asks for MSRs */
	u64 host_pebs;			/* PEBS_ENABLE, when it was cleared for an entry */
	u64 host_debugctl;		/* an exit leaves 0 there */
	u16 host_fs, host_gs, host_ds, host_es, host_ldt;
};

#define VMX_NR_SYSCALL_MSRS	4	/* STAR LSTAR CSTAR SFMASK */

struct vmx_cpu {
	struct page *vmxon;		/* region, while VMX is on */
	struct list_head loaded;	/* [cpu, IRQs off] vCPUs whose VMCS may be cached here */
	struct vmx_vcpu *current_vcpu;	/* [cpu] whose VMCS is current */
	bool on;			/* [cpu] we set VMXE */
	u64 syscall[VMX_NR_SYSCALL_MSRS]; /* [cpu] what those MSRs hold */
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpus);

/* Set by vmx_setup(), constant after. */
struct vmx_globals {
	u32 revision;
	u32 pin, proc, proc2, exit, entry;	/* controls of every vCPU */
	u64 cr0_fixed, cr4_fixed;		/* bits that must be one */
	u64 ept_cap;
	u32 caps;				/* KEEL_CAP_* */
	struct page *msr_bitmap;
	u32 msrlist_most;			/* MSRs in a list; 0: perf has none */
	u32 apicv;				/* VMX_PROC2_APICV, where in use */
	struct page *x2apic_bitmap;		/* MSR bitmap of vCPUs in that mode, with @apicv */
	bool timer;				/* LAPIC timers run on the preemption timer */
	u8 timer_shift;				/* it counts TSC bits from here up */
	u32 slice;				/* VMX_TIMER_VALUE without a deadline */
	u64 syscall[VMX_NR_SYSCALL_MSRS];	/* the host's, on every CPU */
};

extern struct vmx_globals vmx_global;

static inline struct vmx_vcpu *to_vmx(struct keel_vcpu *vcpu)
{
	return vcpu->arch;
}

/* ---- instructions ---------------------------------------------------------------- */

/*
 * A fault means that VMX was switched off under us, which only an emergency
 * restart does: reads give 0, writes are dropped, nobody will enter.
 */
static __always_inline u64 vmx_read(u64 field)
{
	u64 value = 0;

	asm volatile("1: vmread %1, %0\n2:" _ASM_EXTABLE(1b, 2b)
		     : "+r" (value) : "r" (field) : "cc");
	return value;
}

static __always_inline void vmx_write(u64 field, u64 value)
{
	asm volatile("1: vmwrite %1, %0\n2:" _ASM_EXTABLE(1b, 2b)
		     : : "r" (field), "rm" (value) : "cc", "memory");
}

static __always_inline void vmx_clear(u64 pa)
{
	asm volatile("1: vmclear %0\n2:" _ASM_EXTABLE(1b, 2b) : : "m" (pa) : "cc", "memory");
}

static __always_inline void vmx_load_ptr(u64 pa)
{
	asm volatile("1: vmptrld %0\n2:" _ASM_EXTABLE(1b, 2b) : : "m" (pa) : "cc", "memory");
}

/* caps.c */
int vmx_probe(struct keel_report *report);
u32 vmx_caps(void);
int vmx_setup(void);
void vmx_teardown(void);
int vmx_cpu_on(enum keel_busy *why);
void vmx_cpu_off(void);
void vmx_cpu_emergency_off(void);

/* ctl.c */
void vmx_control_reset(struct keel_vcpu *vcpu);	/* VMCS current */
void vmx_set_proc(struct vmx_vcpu *vmx, u32 bits, bool on);
u32 vmx_proc2(struct keel_vcpu *vcpu);		/* what VMX_PROC2_CONTROLS has to be */
void vmx_tpr_threshold(struct keel_vcpu *vcpu, u8 threshold);
void vmx_set_tsc_offset(struct keel_vcpu *vcpu, u64 offset);
void vmx_dr_access(struct keel_vcpu *vcpu, bool intercept);
void vmx_dump(struct keel_vcpu *vcpu);

/* load.c: the VMCS on a CPU, and the host's state around it */
void vmx_load(struct keel_vcpu *vcpu, int cpu);
void vmx_put(struct keel_vcpu *vcpu);
void vmx_unload(struct vmx_vcpu *vmx);		/* [task] from whatever CPU has it */
/* [preemption off; IRQs off only if the VMCS is on this CPU already] make it current */
void vmx_attach(struct vmx_vcpu *vmx, int cpu);

/* [any, owner] make the VMCS current for a moment: preemption is off until vmx_access_end() */
static __always_inline void vmx_access_begin(struct vmx_vcpu *vmx)
{
	preempt_disable();
	if (unlikely(this_cpu_read(vmx_cpus.current_vcpu) != vmx))
		vmx_attach(vmx, smp_processor_id());
}

/* The same, where the caller has another way: false, and preemption is as it was. */
static __always_inline bool vmx_access_ready(struct vmx_vcpu *vmx)
{
	preempt_disable();
	if (likely(this_cpu_read(vmx_cpus.current_vcpu) == vmx))
		return true;
	preempt_enable();
	return false;
}

static __always_inline void vmx_access_end(struct vmx_vcpu *vmx)
{
	preempt_enable();
}

/* exit.c */
void vmx_enter(struct keel_vcpu *vcpu, struct keel_exit *exit);
bool vmx_skip_insn(struct keel_vcpu *vcpu, const struct keel_exit *exit);

/* event.c */
void vmx_inject(struct keel_vcpu *vcpu, const struct keel_event *event);
void vmx_requeue(struct keel_vcpu *vcpu);
bool vmx_can_inject(struct keel_vcpu *vcpu, enum keel_event_kind kind);
void vmx_window(struct keel_vcpu *vcpu, enum keel_event_kind kind, bool open);
/* [entry] the event of @info was cut short: it goes back to the vCPU */
void vmx_collect_event(struct keel_vcpu *vcpu, u32 info);
/* [entry] IRET had unmasked NMIs when its own access faulted: they are masked still */
void vmx_iret_cut(struct vmx_vcpu *vmx);
/* The interruptibility state, read once an exit. */
static __always_inline u32 vmx_shadow(struct vmx_vcpu *vmx)
{
	if (!vmx->shadow_valid) {
		vmx->shadow = vmx_read(VMX_GUEST_SHADOW);
		vmx->shadow_valid = true;
	}
	return vmx->shadow;
}
void vmx_set_shadow(struct vmx_vcpu *vmx, u32 shadow);

/* apicv.c */
void vmx_apicv_audit(u32 proc2, struct keel_report *report);	/* what the parameter switched off */
int vmx_apicv_setup(void);
void vmx_apicv_teardown(void);
void vmx_apicv_reset(struct vmx_vcpu *vmx);	/* VMCS current */
bool vmx_sync_apic(struct keel_vcpu *vcpu, const struct keel_apic_state *state);
void vmx_decode_apic_access(struct keel_vcpu *vcpu, struct keel_exit *exit);
void vmx_decode_apic_write(struct keel_vcpu *vcpu, struct keel_exit *exit);
void vmx_decode_eoi(struct keel_vcpu *vcpu, struct keel_exit *exit);

/* timer.c */
void vmx_timer_audit(u32 pin, struct keel_report *report);	/* what the parameter switched off */
void vmx_timer_setup(void);
void vmx_timer_reset(struct vmx_vcpu *vmx);	/* VMCS current */
bool vmx_set_timer(struct keel_vcpu *vcpu, u64 deadline);
void vmx_timer_write(struct vmx_vcpu *vmx);	/* [entry] */
void vmx_decode_timer(struct keel_vcpu *vcpu, struct keel_exit *exit);

/* pml.c */
void vmx_pml_setup(void);			/* what module parameters take away */
bool vmx_pml_of_vm(const struct keel_vm *vm);	/* do its CPUs log writes? */
void vmx_pml_reset(struct keel_vcpu *vcpu);
void vmx_log_dirty(struct keel_vcpu *vcpu);
void vmx_pml_drain(struct keel_vcpu *vcpu);

/* msr.c */
struct page *vmx_msr_bitmap_alloc(void);
void vmx_read_syscall_msrs(u64 *values);
void vmx_set_syscall(struct keel_vcpu *vcpu, bool on);	/* EFER.SCE changed, or did not */
/* In a bitmap: @msr does not exit any more when it is read, or written. */
void vmx_msr_pass(struct page *bitmap, u32 msr, bool write);
void vmx_load_msrs(struct keel_vcpu *vcpu);
void vmx_save_msrs(struct keel_vcpu *vcpu);
void vmx_unload_msrs(struct keel_vcpu *vcpu);
void vmx_get_msrs(struct keel_vcpu *vcpu);
void vmx_set_msrs(struct keel_vcpu *vcpu);
u32 vmx_msrlist_most(u64 misc);
int vmx_msrlists_alloc(struct vmx_vcpu *vmx);
void vmx_msrlists_free(struct vmx_vcpu *vmx);
void vmx_msrlists_reset(struct vmx_vcpu *vmx);	/* VMCS current */
/* [entry] perf's MSRs into the lists; after an entry that failed: what was cleared for it */
void vmx_perf_enter(struct vmx_vcpu *vmx);
void vmx_perf_failed(struct vmx_vcpu *vmx);

/* state.c */
void vmx_state_get(struct keel_vcpu *vcpu, u32 groups);
void vmx_state_set(struct keel_vcpu *vcpu, u32 groups);

/* tlb.c */
int vmx_vpid_alloc(struct vmx_vcpu *vmx);
void vmx_vpid_free(struct vmx_vcpu *vmx);
u64 vmx_eptp(hpa_t root);
void vmx_flush(struct keel_vcpu *vcpu);
void vmx_flush_now(struct keel_vcpu *vcpu);
void vmx_set_root(struct keel_vcpu *vcpu, hpa_t root);

/* check.c */
const char *vmx_check(struct keel_vcpu *vcpu, u32 reason, u32 *rule);

/* enter.S: one VMLAUNCH or VMRESUME; IRQs off.  0: the guest ran, 1: VMfail */
int vmx_switch_to_guest(struct vmx_switch *sw, u64 *gpr);
extern const char vmx_exit_entry[];	/* HOST_RIP */

#endif /* KEEL_VMX_VMX_H */
