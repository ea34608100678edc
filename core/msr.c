// SPDX-License-Identifier: GPL-2.0
/*
 * The MSRs of a guest: one sorted table of who reads and writes each, the
 * policy for all others, and the record that saves them.  It must not know
 * which of them a vendor's world switch moves by itself.
 */
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include "core/cpuid.h"
#include "core/mitigate.h"
#include "core/run.h"
#include "core/state.h"
#include "irqchip/irqchip.h"

const u32 keel_guest_msrs[KEEL_NR_GUEST_MSRS] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

#define MSR_X2APIC_FIRST	0x800
#define MSR_X2APIC_LAST		0x8ff

#define MSR_MTRR_CAP		0x0fe
#define MSR_MTRR_DEF_TYPE	0x2ff

#define MTRR_CAP		0x508	/* 8 variable ranges, fixed ranges, write-combining */
#define MTRR_TYPE_VALID		(BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6))
#define PAT_TYPE_VALID		(MTRR_TYPE_VALID | BIT(7))
#define MISC_ENABLE_BITS	(BIT_ULL(0) | BIT_ULL(3) | BIT_ULL(11) | BIT_ULL(12) | \
				 BIT_ULL(16) | BIT_ULL(22))
#define PATCH_LEVEL		0x01000065	/* newer than any that a guest checks for */
#define HWCR_TSC_FREQ_SEL	BIT_ULL(24)	/* the TSC runs at P0's frequency */
#define HWCR_IGNORED		(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8) | BIT_ULL(18) | BIT_ULL(24))
#define VM_CR_SVM_LOCKED_OFF	0x18		/* SVMDIS and LOCK */
#define DE_CFG_LFENCE		BIT_ULL(1)	/* LFENCE is serializing */
#define FEATURE_CONTROL_LOCKED	1

typedef int (*msr_read_fn)(struct keel_vcpu *vcpu, u32 index, u64 *val);
typedef int (*msr_write_fn)(struct keel_vcpu *vcpu, u32 index, u64 val);

/* ---- plain storage: 64 bits in struct keel_vcpu or one of its caches ------------- */

static u64 *msr_group_slot(struct keel_vcpu *vcpu, u32 index)
{
	switch (index) {
	case MSR_STAR:
		return &vcpu->msr.star;
	case MSR_LSTAR:
		return &vcpu->msr.lstar;
	case MSR_CSTAR:
		return &vcpu->msr.cstar;
	case MSR_SYSCALL_MASK:
		return &vcpu->msr.sfmask;
	case MSR_KERNEL_GS_BASE:
		return &vcpu->msr.kernel_gs_base;
	case MSR_IA32_SYSENTER_CS:
		return &vcpu->msr.sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &vcpu->msr.sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &vcpu->msr.sysenter_eip;
	default:
		return &vcpu->msr.pat;
	}
}

static bool canonical(struct keel_vcpu *vcpu, u64 val)
{
	u8 shift = keel_guest_cr4_mask(vcpu->vm) & X86_CR4_LA57 ? 7 : 16;

	return (u64)((s64)(val << shift) >> shift) == val;
}

static int read_group(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	keel_need(vcpu, KEEL_CG_MSR);
	*val = *msr_group_slot(vcpu, index);
	return 0;
}

static int write_group(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	keel_need(vcpu, KEEL_CG_MSR);
	*msr_group_slot(vcpu, index) = val;
	keel_touch(vcpu, KEEL_CG_MSR);
	return 0;
}

static int write_group_address(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return canonical(vcpu, val) ? write_group(vcpu, index, val) : -EINVAL;
}

static int write_group_32(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return val >> 32 ? -EINVAL : write_group(vcpu, index, val);
}

/* Every byte of @val is a memory type of @valid. */
static bool memory_types(u64 val, u32 valid)
{
	int i;

	for (i = 0; i < 64; i += 8)
		if (((val >> i) & 0xff) > 7 || !(valid & BIT((val >> i) & 7)))
			return false;
	return true;
}

static int write_pat(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return memory_types(val, PAT_TYPE_VALID) ? write_group(vcpu, index, val) : -EINVAL;
}

/* ---- segment bases --------------------------------------------------------------- */

static u64 *msr_base_slot(struct keel_vcpu *vcpu, u32 index)
{
	return &vcpu->sregs.seg[index == MSR_FS_BASE ? KEEL_SREG_FS : KEEL_SREG_GS].base;
}

static int read_base(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	keel_need(vcpu, KEEL_CG_SEG);
	*val = *msr_base_slot(vcpu, index);
	return 0;
}

static int write_base(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	if (!canonical(vcpu, val))
		return -EINVAL;
	keel_need(vcpu, KEEL_CG_SEG);
	*msr_base_slot(vcpu, index) = val;
	keel_touch(vcpu, KEEL_CG_SEG);
	return 0;
}

/* ---- time ------------------------------------------------------------------------ */

static int read_tsc(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = keel_guest_tsc(vcpu->vm) + vcpu->tsc_adjust;
	return 0;
}

static int read_tsc_adjust(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = vcpu->tsc_adjust;
	return 0;
}

static int write_tsc_adjust(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	vcpu->tsc_adjust = val;
	keel_vcpu_request(vcpu, KEEL_REQ_TSC);
	return 0;
}

static int write_tsc(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return write_tsc_adjust(vcpu, index, val - keel_guest_tsc(vcpu->vm));
}

static int read_tsc_deadline(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	if (!vcpu->lapic || !(vcpu->vm->guest_has & KEEL_G_TSC_DEADLINE))
		return -ENOENT;
	*val = lapic_tsc_deadline(vcpu);
	if (*val)
		*val += vcpu->tsc_adjust;
	return 0;
}

static int write_tsc_deadline(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	if (!vcpu->lapic || !(vcpu->vm->guest_has & KEEL_G_TSC_DEADLINE))
		return -ENOENT;
	/* 0 disarms; a deadline that the adjustment makes 0 has long passed. */
	if (val)
		val = val - vcpu->tsc_adjust ?: 1;
	lapic_set_tsc_deadline(vcpu, val);
	return 0;
}

static int read_tsc_aux(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	if (!(vcpu->vm->guest_has & (KEEL_G_RDTSCP | KEEL_G_RDPID)))
		return -ENOENT;
	*val = vcpu->tsc_aux;
	return 0;
}

/* The CPU holds the guest's value while the vCPU is loaded. */
static int write_tsc_aux(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	if (!(vcpu->vm->guest_has & (KEEL_G_RDTSCP | KEEL_G_RDPID)))
		return -ENOENT;
	if (val >> 32)
		return -EINVAL;
	preempt_disable();
	vcpu->tsc_aux = val;
	if (vcpu->cpu >= 0) {
		wrmsrl_safe(MSR_TSC_AUX, val);
		vcpu->tsc_aux_live = true;
	}
	preempt_enable();
	return 0;
}

/* ---- interrupt controller -------------------------------------------------------- */

static int read_apic_base(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	if (!vcpu->lapic)
		return -ENOENT;
	*val = lapic_base(vcpu);
	return 0;
}

static int write_apic_base(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	if (!vcpu->lapic)
		return -ENOENT;
	return lapic_set_base(vcpu, val);
}

static int read_x2apic(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	return vcpu->lapic ? lapic_msr_read(vcpu, index, val) : -ENOENT;
}

static int write_x2apic(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	int err = vcpu->lapic ? lapic_msr_write(vcpu, index, val) : -ENOENT;

	if (!err) {
		vcpu->cr8 = lapic_get_cr8(vcpu);
		keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
	}
	return err;
}

/* ---- modes and speculation ------------------------------------------------------- */

static int read_efer(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	keel_need(vcpu, KEEL_CG_CR);
	*val = vcpu->sregs.efer;
	return 0;
}

static int write_efer(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return keel_set_efer(vcpu, val);
}

static int read_spec_ctrl(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	if (!(vcpu->vm->guest_has & KEEL_G_SPEC_CTRL))
		return -ENOENT;
	*val = vcpu->spec_ctrl;
	return 0;
}

static int write_spec_ctrl(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	if (!(vcpu->vm->guest_has & KEEL_G_SPEC_CTRL))
		return -ENOENT;
	if (val & ~keel_spec_ctrl_bits)
		return -EINVAL;
	vcpu->spec_ctrl = val;
	/* The back end switches it at entry; it reads the value when it loads. */
	preempt_disable();
	if (vcpu->cpu >= 0)
		keel_backend->load(vcpu, vcpu->cpu);
	preempt_enable();
	return 0;
}

static int read_zero(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = 0;
	return 0;
}

static int write_pred_cmd(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	if (!(vcpu->vm->guest_has & KEEL_G_IBPB))
		return -ENOENT;
	if (val & ~(u64)PRED_CMD_IBPB)
		return -EINVAL;
	if (val)
		wrmsrl_safe(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	return 0;
}

/* ---- memory type ranges: storage, since stage 2 decides -------------------------- */

static int read_mtrr_cap(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = MTRR_CAP;
	return 0;
}

static const u32 mtrr_fixed_msrs[] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static u64 *mtrr_slot(struct keel_vcpu *vcpu, u32 index)
{
	int i;

	if (index == MSR_MTRR_DEF_TYPE)
		return &vcpu->mtrr_def_type;
	if (index - 0x200 < 16)
		return &vcpu->mtrr_var[index - 0x200];
	for (i = 0; i < ARRAY_SIZE(mtrr_fixed_msrs); i++)
		if (mtrr_fixed_msrs[i] == index)
			return &vcpu->mtrr_fixed[i];
	return NULL;
}

static int read_mtrr(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	u64 *slot = mtrr_slot(vcpu, index);

	if (!slot)
		return -ENOENT;
	*val = *slot;
	return 0;
}

static bool mtrr_valid(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	u64 high = ~(BIT_ULL(keel_guest_maxphyaddr(vcpu->vm)) - 1);

	if (index == MSR_MTRR_DEF_TYPE)
		return !(val & ~0xcffULL) && (val & 0xff) < 8 && (MTRR_TYPE_VALID & BIT(val & 7));
	if (index - 0x200 >= 16)
		return memory_types(val, MTRR_TYPE_VALID);
	if (index & 1)	/* mask: valid bit and address */
		return !(val & (high | 0x7ff));
	return !(val & (high | 0xf00)) && (val & 0xff) < 8 && (MTRR_TYPE_VALID & BIT(val & 7));
}

static int write_mtrr(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	u64 *slot = mtrr_slot(vcpu, index);

	if (!slot)
		return -ENOENT;
	if (!mtrr_valid(vcpu, index, val))
		return -EINVAL;
	*slot = val;
	return 0;
}

/* ---- odds and ends that operating systems touch ---------------------------------- */

static int read_patch_level(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = keel_backend->vendor == KEEL_VENDOR_AMD ? PATCH_LEVEL : (u64)PATCH_LEVEL << 32;
	return 0;
}

/* Software clears it before CPUID writes the level into it. */
static int write_patch_level(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return val ? -EINVAL : 0;
}

static int read_misc_enable(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = vcpu->misc_enable;
	return 0;
}

static int write_misc_enable(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	if (val & ~MISC_ENABLE_BITS)
		return -EINVAL;
	vcpu->misc_enable = val;
	return 0;
}

static int read_mcg_status(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = vcpu->mcg_status;
	return 0;
}

static int write_mcg_status(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	if (val)
		return -EINVAL;	/* only clearing is architectural */
	vcpu->mcg_status = 0;
	return 0;
}

static int write_if_zero(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return val ? -ENOENT : 0;
}

static int read_feature_control(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = FEATURE_CONTROL_LOCKED;
	return 0;
}

static int read_hwcr(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = HWCR_TSC_FREQ_SEL;
	return 0;
}

static int write_hwcr(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return val & ~HWCR_IGNORED ? -EINVAL : 0;
}

static int read_vm_cr(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = VM_CR_SVM_LOCKED_OFF;
	return 0;
}

static int read_de_cfg(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	*val = boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? DE_CFG_LFENCE : 0;
	return 0;
}

static int write_de_cfg(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	return val & ~DE_CFG_LFENCE ? -EINVAL : 0;
}

#define MSR_BOTH	0
#define MSR_AMD		BIT(0)
#define MSR_INTEL	BIT(1)
#define MSR_SAVED	BIT(2)	/* part of KEEL_REC_MSRS */

static const struct msr_row {
	u32 first, last;
	u32 flags;
	msr_read_fn read;	/* NULL: #GP */
	msr_write_fn write;	/* NULL: #GP */
} msr_table[] = {
	{ MSR_IA32_TSC, MSR_IA32_TSC, MSR_BOTH, read_tsc, write_tsc },
	{ MSR_IA32_APICBASE, MSR_IA32_APICBASE, MSR_BOTH, read_apic_base, write_apic_base },
	{ MSR_IA32_FEAT_CTL, MSR_IA32_FEAT_CTL, MSR_INTEL, read_feature_control, NULL },
	{ MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_ADJUST, MSR_BOTH, read_tsc_adjust, write_tsc_adjust },
	{ MSR_IA32_SPEC_CTRL, MSR_IA32_SPEC_CTRL, MSR_SAVED, read_spec_ctrl, write_spec_ctrl },
	{ MSR_IA32_PRED_CMD, MSR_IA32_PRED_CMD, MSR_BOTH, NULL, write_pred_cmd },
	{ MSR_IA32_UCODE_REV, MSR_IA32_UCODE_REV, MSR_BOTH, read_patch_level, write_patch_level },
	{ MSR_MTRR_CAP, MSR_MTRR_CAP, MSR_BOTH, read_mtrr_cap, NULL },
	{ MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_CS, MSR_SAVED, read_group, write_group_32 },
	{ MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, MSR_SAVED, read_group,
	  write_group_address },
	{ MSR_IA32_MCG_CAP, MSR_IA32_MCG_CAP, MSR_BOTH, read_zero, NULL },
	{ MSR_IA32_MCG_STATUS, MSR_IA32_MCG_STATUS, MSR_SAVED, read_mcg_status, write_mcg_status },
	{ MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, MSR_SAVED, read_misc_enable,
	  write_misc_enable },
	{ MSR_IA32_DEBUGCTLMSR, MSR_IA32_DEBUGCTLMSR, MSR_BOTH, read_zero, write_if_zero },
	{ 0x200, 0x20f, MSR_SAVED, read_mtrr, write_mtrr },
	{ 0x250, 0x250, MSR_SAVED, read_mtrr, write_mtrr },
	{ 0x258, 0x259, MSR_SAVED, read_mtrr, write_mtrr },
	{ 0x268, 0x26f, MSR_SAVED, read_mtrr, write_mtrr },
	{ MSR_IA32_CR_PAT, MSR_IA32_CR_PAT, MSR_SAVED, read_group, write_pat },
	{ MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, MSR_SAVED, read_mtrr, write_mtrr },
	{ MSR_IA32_TSC_DEADLINE, MSR_IA32_TSC_DEADLINE, MSR_BOTH, read_tsc_deadline,
	  write_tsc_deadline },
	{ MSR_X2APIC_FIRST, MSR_X2APIC_LAST, MSR_BOTH, read_x2apic, write_x2apic },
	{ MSR_EFER, MSR_EFER, MSR_BOTH, read_efer, write_efer },
	{ MSR_STAR, MSR_STAR, MSR_SAVED, read_group, write_group },
	{ MSR_LSTAR, MSR_CSTAR, MSR_SAVED, read_group, write_group_address },
	{ MSR_SYSCALL_MASK, MSR_SYSCALL_MASK, MSR_SAVED, read_group, write_group_32 },
	{ MSR_FS_BASE, MSR_GS_BASE, MSR_BOTH, read_base, write_base },
	{ MSR_KERNEL_GS_BASE, MSR_KERNEL_GS_BASE, MSR_SAVED, read_group, write_group_address },
	{ MSR_TSC_AUX, MSR_TSC_AUX, MSR_SAVED, read_tsc_aux, write_tsc_aux },
	{ MSR_AMD64_SYSCFG, MSR_AMD64_SYSCFG, MSR_AMD, read_zero, write_if_zero },
	{ MSR_K7_HWCR, MSR_K7_HWCR, MSR_AMD, read_hwcr, write_hwcr },
	{ MSR_K8_TOP_MEM1, MSR_K8_TOP_MEM1, MSR_AMD, read_zero, NULL },
	{ MSR_K8_TOP_MEM2, MSR_K8_TOP_MEM2, MSR_AMD, read_zero, NULL },
	{ MSR_AMD64_NB_CFG, MSR_AMD64_NB_CFG, MSR_AMD, read_zero, write_if_zero },
	{ MSR_K8_INT_PENDING_MSG, MSR_K8_INT_PENDING_MSG, MSR_AMD, read_zero, write_if_zero },
	{ MSR_VM_CR, MSR_VM_CR, MSR_AMD, read_vm_cr, NULL },
	{ MSR_AMD64_DC_CFG, MSR_AMD64_DC_CFG, MSR_AMD, read_zero, write_if_zero },
	{ MSR_AMD64_DE_CFG, MSR_AMD64_DE_CFG, MSR_AMD, read_de_cfg, write_de_cfg },
};

/*
 * Where to look first, by some bits of the index: it saves the hot MSRs most of
 * the search.  Several MSRs share a slot; the first to come has it.
 */
#define MSR_HINTS	256

static u8 msr_hints[MSR_HINTS];		/* row; any value is a legal guess */

static u32 msr_hint(u32 index)
{
	return (index ^ index >> 4 ^ index >> 24) % MSR_HINTS;
}

static bool msr_is_in(const struct msr_row *row, u32 index)
{
	return index - row->first <= row->last - row->first;
}

static bool msr_of_vendor(const struct msr_row *row)
{
	u32 vendor = keel_backend->vendor == KEEL_VENDOR_AMD ? MSR_AMD : MSR_INTEL;

	return !(row->flags & (MSR_AMD | MSR_INTEL)) || (row->flags & vendor);
}

static noinline const struct msr_row *msr_search(u32 index)
{
	u32 lo = 0, hi = ARRAY_SIZE(msr_table);

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;
		const struct msr_row *row = &msr_table[mid];

		if (index < row->first)
			hi = mid;
		else if (index > row->last)
			lo = mid + 1;
		else if (!msr_of_vendor(row))
			return NULL;
		else
			return row;
	}
	return NULL;
}

static __always_inline const struct msr_row *msr_find(u32 index)
{
	const struct msr_row *row = &msr_table[msr_hints[msr_hint(index)]];

	return likely(msr_is_in(row, index)) ? row : msr_search(index);
}

void keel_msr_setup(void)
{
	bool taken[MSR_HINTS] = { };
	u32 row, index, slot;

	for (row = 0; row < ARRAY_SIZE(msr_table); row++) {
		if (!msr_of_vendor(&msr_table[row]))
			continue;
		for (index = msr_table[row].first; index <= msr_table[row].last; index++) {
			slot = msr_hint(index);
			if (!taken[slot])
				msr_hints[slot] = row;
			taken[slot] = true;
		}
	}
}

int keel_msr_read(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	const struct msr_row *row = msr_find(index);

	if (!row)
		return -ENOENT;
	return row->read ? row->read(vcpu, index, val) : -EINVAL;
}

int keel_msr_write(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	const struct msr_row *row = msr_find(index);

	if (!row)
		return -ENOENT;
	return row->write ? row->write(vcpu, index, val) : -EINVAL;
}

/* ---- exits ----------------------------------------------------------------------- */

static int msr_to_user(struct keel_vcpu *vcpu, struct keel_exit *exit, u32 index, u64 val,
		       bool write)
{
	int next;

	/* Find the length now, while RIP is on it; the step comes with the answer. */
	if (!exit->insn_len) {
		next = keel_decode_at_rip(vcpu, exit);
		if (next != KEEL_NEXT_SLOW)
			return next;
		exit->insn_len = vcpu->emul.insn.length;
	}
	vcpu->user_insn_len = exit->insn_len;
	vcpu->run->exit_reason = write ? KEEL_EXIT_WRMSR : KEEL_EXIT_RDMSR;
	vcpu->run->msr = (struct keel_exit_msr){ .index = index, .data = val };
	vcpu->pending_user = write ? KEEL_PEND_WRMSR : KEEL_PEND_RDMSR;
	return KEEL_NEXT_USER;
}

/* Nobody's MSR, or one that refused: 0 to go on with *@val. */
static int msr_policy(struct keel_vcpu *vcpu, struct keel_exit *exit, u32 index, u64 *val,
		      bool write, int err)
{
	u8 policy = READ_ONCE(vcpu->vm->policy.msr);

	if (err == -ENOENT && policy == KEEL_POLICY_EXIT)
		return msr_to_user(vcpu, exit, index, *val, write);
	if (err == -ENOENT && policy == KEEL_POLICY_ZERO) {
		vcpu->stats.policy_msr++;
		*val = 0;
		return KEEL_NEXT_SLOW;
	}
	keel_queue_gp(vcpu);
	return KEEL_NEXT_ENTER;
}

static void msr_result(struct keel_vcpu *vcpu, u64 val)
{
	vcpu->regs.gpr[KEEL_RAX] = (u32)val;
	vcpu->regs.gpr[KEEL_RDX] = val >> 32;
}

int keel_rdmsr_exit(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u32 index = vcpu->regs.gpr[KEEL_RCX];
	u64 val = 0;
	int next, err = keel_msr_read(vcpu, index, &val);

	if (unlikely(err)) {
		next = msr_policy(vcpu, exit, index, &val, false, err);
		if (next != KEEL_NEXT_SLOW)
			return next;
	}
	next = keel_skip(vcpu, exit);
	if (next == KEEL_NEXT_ENTER)
		msr_result(vcpu, val);
	return next;
}

int keel_wrmsr_exit(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u32 index = vcpu->regs.gpr[KEEL_RCX];
	u64 val = (u32)vcpu->regs.gpr[KEEL_RAX] | vcpu->regs.gpr[KEEL_RDX] << 32;
	int next, err = keel_msr_write(vcpu, index, val);

	if (unlikely(err)) {
		next = msr_policy(vcpu, exit, index, &val, true, err);
		if (next != KEEL_NEXT_SLOW)
			return next;
	}
	return keel_skip(vcpu, exit);
}

int keel_msr_finish(struct keel_vcpu *vcpu, bool write)
{
	struct keel_exit exit = { .insn_len = vcpu->user_insn_len };

	if (READ_ONCE(vcpu->run->msr.fault)) {
		keel_queue_gp(vcpu);
		return KEEL_NEXT_ENTER;
	}
	if (!write)
		msr_result(vcpu, READ_ONCE(vcpu->run->msr.data));
	return keel_skip(vcpu, &exit);
}

/* ---- the record ------------------------------------------------------------------ */

typedef int (*saved_fn)(u32 index, u64 val, void *ctx);

/* Calls @fn for every saved MSR that this guest has, until it returns non-zero. */
static int walk_saved(struct keel_vcpu *vcpu, saved_fn fn, void *ctx)
{
	u32 index;
	u64 val;
	int i, err;

	for (i = 0; i < ARRAY_SIZE(msr_table); i++) {
		if (!(msr_table[i].flags & MSR_SAVED))
			continue;
		for (index = msr_table[i].first; index <= msr_table[i].last; index++) {
			if (keel_msr_read(vcpu, index, &val))
				continue;
			err = fn(index, val, ctx);
			if (err)
				return err;
		}
	}
	return 0;
}

static int count_one(u32 index, u64 val, void *ctx)
{
	(*(u32 *)ctx)++;
	return 0;
}

static u32 rec_msrs_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	u32 n = 0;

	walk_saved(vcpu, count_one, &n);
	return n * sizeof(struct keel_rec_msr);
}

static int save_one(u32 index, u64 val, void *ctx)
{
	struct keel_rec_msr **pos = ctx;

	*(*pos)++ = (struct keel_rec_msr){ .index = index, .value = val };
	return 0;
}

static int rec_msrs_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	struct keel_rec_msr *pos = buf;

	return walk_saved(vcpu, save_one, &pos);
}

/* A value is good when a guest could have written it.  Try it, and put the old one back. */
static bool msr_acceptable(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	const struct msr_row *row = msr_find(index);
	u64 old;

	if (!row || !(row->flags & MSR_SAVED) || row->read(vcpu, index, &old))
		return false;
	if (row->write(vcpu, index, val))
		return false;
	row->write(vcpu, index, old);
	return true;
}

static int rec_msrs_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			  u32 *bad_offset)
{
	const struct keel_rec_msr *m = buf;
	u32 i;

	if (len % sizeof(*m)) {
		*bad_offset = len;
		return -EINVAL;
	}
	for (i = 0; i < len / sizeof(*m); i++) {
		*bad_offset = i * sizeof(*m);
		if (m[i].reserved || !msr_acceptable(vcpu, m[i].index, m[i].value))
			return -EINVAL;
	}
	return 0;
}

static void rec_msrs_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	const struct keel_rec_msr *m = buf;
	u32 i;

	for (i = 0; i < len / sizeof(*m); i++)
		keel_msr_write(vcpu, m[i].index, m[i].value);
}

const struct keel_record keel_rec_msrs = {
	.type = KEEL_REC_MSRS,
	.version = 1,
	.any_len = true,
	.size = rec_msrs_size,
	.save = rec_msrs_save,
	.check = rec_msrs_check,
	.load = rec_msrs_load,
};
