// SPDX-License-Identifier: GPL-2.0
/*
 * Why VMRUN refused a VMCB: the consistency checks of the manual, in its
 * order, so that a report can name the broken one.  It must not run on a
 * successful entry.
 */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/processor.h>
#include "core/cpuid.h"
#include "svm/svm.h"

static bool svm_cr0_high(const struct svm_vmcb *b) { return b->save.cr0 >> 32; }
static bool svm_cr0_nw(const struct svm_vmcb *b)
{
	return (b->save.cr0 & (X86_CR0_CD | X86_CR0_NW)) == X86_CR0_NW;
}

/* With the bits that some CPUs define: a CPU without one refuses a guest's write of it. */
#define EFER_DEFINED	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_SVME | EFER_LMSLE | \
			 EFER_FFXSR | BIT_ULL(15) | BIT_ULL(17) | BIT_ULL(18) | BIT_ULL(20) | \
			 BIT_ULL(21))

static bool svm_efer_svme(const struct svm_vmcb *b) { return !(b->save.efer & EFER_SVME); }
static bool svm_efer_reserved(const struct svm_vmcb *b) { return b->save.efer & ~EFER_DEFINED; }
static bool svm_cr4_high(const struct svm_vmcb *b) { return b->save.cr4 >> 32; }
static bool svm_dr6_high(const struct svm_vmcb *b) { return b->save.dr6 >> 32; }
static bool svm_dr7_high(const struct svm_vmcb *b) { return b->save.dr7 >> 32; }

static bool svm_long_pg(const struct svm_vmcb *b)
{
	return (b->save.efer & EFER_LME) && (b->save.cr0 & X86_CR0_PG);
}

static bool svm_long_no_pae(const struct svm_vmcb *b)
{
	return svm_long_pg(b) && !(b->save.cr4 & X86_CR4_PAE);
}

static bool svm_long_no_pe(const struct svm_vmcb *b)
{
	return svm_long_pg(b) && !(b->save.cr0 & X86_CR0_PE);
}

static bool svm_cs_l_and_d(const struct svm_vmcb *b)
{
	return svm_long_pg(b) && (b->save.cs.attr & SVM_ATTR_L) && (b->save.cs.attr & SVM_ATTR_DB);
}

static bool svm_cr3_reserved(const struct svm_vmcb *b)
{
	u64 address = b->save.cr3 & ~GENMASK_ULL(63, 52);

	return svm_long_pg(b) && address >> boot_cpu_data.x86_phys_bits;
}

static bool svm_no_vmrun(const struct svm_vmcb *b)
{
	return !(b->control.intercept_misc2 & SVM_I2_VMRUN);
}

static bool svm_asid_zero(const struct svm_vmcb *b) { return !b->control.asid; }
static bool svm_nested_cr3(const struct svm_vmcb *b)
{
	return (b->control.nested_cr3 & ~PAGE_MASK) ||
	       b->control.nested_cr3 >> boot_cpu_data.x86_phys_bits;
}

static bool svm_event_type(const struct svm_vmcb *b)
{
	u32 type = b->control.event_inj & KEEL_WORD_TYPE;

	return (b->control.event_inj & KEEL_WORD_VALID) && type != KEEL_WORD_INTR &&
	       type != KEEL_WORD_NMI && type != KEEL_WORD_EXCEPTION && type != KEEL_WORD_SOFT;
}

/* Not #DE #DB, #BP to #DF, #TS to #PF, #MF to #XF, #CP, #HV #VC #SX */
#define NO_EXCEPTION	(~(u32)(GENMASK(1, 0) | GENMASK(8, 3) | GENMASK(14, 10) | \
				GENMASK(19, 16) | BIT(21) | GENMASK(30, 28)))

static bool svm_event_vector(const struct svm_vmcb *b)
{
	u32 event = b->control.event_inj, vector = event & 0xff;

	return (event & KEEL_WORD_VALID) && (event & KEEL_WORD_TYPE) == KEEL_WORD_EXCEPTION &&
	       (vector > 31 || (NO_EXCEPTION & BIT(vector)));
}

/* Types are 8 values of 3 bits: PA0..PA7, each known and below 8, not 2 or 3. */
static bool svm_pat(const struct svm_vmcb *b)
{
	int i;

	for (i = 0; i < 64; i += 8) {
		u8 type = b->save.pat >> i;

		if (type > 7 || type == 2 || type == 3)
			return true;
	}
	return false;
}

static const struct {
	bool (*broken)(const struct svm_vmcb *b);
	const char *name;
} svm_rules[] = {
	{ svm_efer_svme, "EFER.SVME is clear" },
	{ svm_efer_reserved, "EFER has reserved bits" },
	{ svm_cr0_nw, "CR0.NW is set and CR0.CD clear" },
	{ svm_cr0_high, "CR0 bits 63-32 are not zero" },
	{ svm_cr3_reserved, "CR3 has reserved bits" },
	{ svm_cr4_high, "CR4 has reserved bits" },
	{ svm_dr6_high, "DR6 bits 63-32 are not zero" },
	{ svm_dr7_high, "DR7 bits 63-32 are not zero" },
	{ svm_long_no_pae, "EFER.LME and CR0.PG without CR4.PAE" },
	{ svm_long_no_pe, "EFER.LME and CR0.PG without CR0.PE" },
	{ svm_cs_l_and_d, "CS.L and CS.D are both set in long mode" },
	{ svm_no_vmrun, "the VMRUN intercept is clear" },
	{ svm_asid_zero, "ASID is zero" },
	{ svm_nested_cr3, "nested CR3 is no page address" },
	{ svm_event_type, "EVENTINJ has a reserved type" },
	{ svm_event_vector, "EVENTINJ has an exception that there is not" },
	{ svm_pat, "the guest's PAT has a reserved type" },
};

/* The first broken rule's name, and its ordinal from 1 in *@rule; 0: none found. */
const char *svm_check(struct keel_vcpu *vcpu, u32 *rule)
{
	const struct svm_vmcb *b = to_svm(vcpu)->vmcb;
	int i;

	for (i = 0; i < ARRAY_SIZE(svm_rules); i++) {
		if (svm_rules[i].broken(b)) {
			*rule = i + 1;
			return svm_rules[i].name;
		}
	}
	*rule = 0;
	return "no known rule of the VMCB is broken";
}
