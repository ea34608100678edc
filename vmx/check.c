// SPDX-License-Identifier: GPL-2.0
/*
 * Why an entry was refused: the checks of guest state in the manual's order, so
 * that a report can name the broken one.  It must not run on a successful
 * entry.
 */
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/processor.h>
#include "vmx/vmx.h"

#define VMX_FIRST_CONTROL_RULE	100	/* ordinals of control rules, behind guest state's */
#define DEBUGCTL_DEFINED	0xffc7ULL
#define PDPTE_RESERVED	(GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5))
#define ATTR_TYPE	0xfU
#define ATTR_S		BIT(4)
#define ATTR_DPL(a)	(((a) >> 5) & 3)
#define ATTR_P		BIT(7)
#define ATTR_RESERVED	(GENMASK(11, 8) | GENMASK(31, 17))
#define ATTR_L		BIT(13)
#define ATTR_DB		BIT(14)
#define ATTR_G		BIT(15)

enum { AT_ES, AT_CS, AT_SS, AT_DS, AT_FS, AT_GS, AT_LDTR, AT_TR, NR_AT };

/* Read once; a rule is a question about it. */
struct guest {
	u64 cr0, cr3, cr4, efer, rflags, rip, dr7, debugctl, pending_debug, link;
	u64 pdpte[4];
	u32 entry, event, shadow, activity;
	struct {
		u64 base;
		u32 limit, attr;
		u16 selector;
	} seg[NR_AT];
	u64 gdt_base, idt_base;
	u32 gdt_limit, idt_limit;
	u64 pat, sysenter_esp, sysenter_eip;
};

static void read_guest(struct guest *g)
{
	int i;

	*g = (struct guest){
		.cr0 = vmx_read(VMX_GUEST_CR0), .cr3 = vmx_read(VMX_GUEST_CR3),
		.cr4 = vmx_read(VMX_GUEST_CR4), .efer = vmx_read(VMX_GUEST_EFER),
		.rflags = vmx_read(VMX_GUEST_RFLAGS), .rip = vmx_read(VMX_GUEST_RIP),
		.dr7 = vmx_read(VMX_GUEST_DR7), .entry = vmx_read(VMX_ENTRY_CONTROLS),
		.event = vmx_read(VMX_ENTRY_EVENT), .shadow = vmx_read(VMX_GUEST_SHADOW),
		.activity = vmx_read(VMX_GUEST_ACTIVITY),
		.gdt_base = vmx_read(VMX_GUEST_GDTR_BASE),
		.idt_base = vmx_read(VMX_GUEST_IDTR_BASE),
		.gdt_limit = vmx_read(VMX_GUEST_GDTR_LIMIT),
		.idt_limit = vmx_read(VMX_GUEST_IDTR_LIMIT),
		.pat = vmx_read(VMX_GUEST_PAT),
		.sysenter_esp = vmx_read(VMX_GUEST_SYSENTER_ESP),
		.sysenter_eip = vmx_read(VMX_GUEST_SYSENTER_EIP),
		.debugctl = vmx_read(VMX_GUEST_DEBUGCTL),
		.pending_debug = vmx_read(VMX_GUEST_PENDING_DEBUG),
		.link = vmx_read(VMX_VMCS_LINK),
	};
	for (i = 0; i < ARRAY_SIZE(g->pdpte); i++)
		g->pdpte[i] = vmx_read(VMX_GUEST_PDPTE0 + i * 2);
	for (i = 0; i < NR_AT; i++) {
		g->seg[i].base = vmx_read(VMX_GUEST_ES_BASE + i * 2);
		g->seg[i].limit = vmx_read(VMX_GUEST_ES_LIMIT + i * 2);
		g->seg[i].attr = vmx_read(VMX_GUEST_ES_ATTR + i * 2);
		g->seg[i].selector = vmx_read(VMX_GUEST_ES_SELECTOR + i * 2);
	}
}

static bool long_mode(const struct guest *g) { return g->entry & VMX_ENTRY_GUEST_64; }
static bool vm86(const struct guest *g) { return g->rflags & X86_EFLAGS_VM; }
static bool usable(const struct guest *g, int i) { return !(g->seg[i].attr & VMX_ATTR_UNUSABLE); }

static bool canonical(u64 val)
{
	u8 shift = boot_cpu_has(X86_FEATURE_LA57) ? 7 : 16;

	return (u64)((s64)(val << shift) >> shift) == val;
}

/* A register that VMX fixes bits of: those that must be set, those that may. */
static bool bad_fixed(u64 val, u64 fixed, u32 may_msr)
{
	u64 may = ~0ULL;

	rdmsrl_safe(may_msr, &may);
	return (val & fixed) != fixed || (val & ~may);
}

static bool bad_cr0(const struct guest *g)
{
	return bad_fixed(g->cr0, vmx_global.cr0_fixed, MSR_IA32_VMX_CR0_FIXED1);
}

static bool bad_cr4(const struct guest *g)
{
	return bad_fixed(g->cr4, vmx_global.cr4_fixed, MSR_IA32_VMX_CR4_FIXED1);
}

static bool bad_pg(const struct guest *g)
{
	return (g->cr0 & X86_CR0_PG) && !(g->cr0 & X86_CR0_PE);
}

static bool bad_debugctl(const struct guest *g) { return g->debugctl & ~DEBUGCTL_DEFINED; }

static bool bad_long_paging(const struct guest *g)
{
	return long_mode(g) && (!(g->cr0 & X86_CR0_PG) || !(g->cr4 & X86_CR4_PAE));
}

static bool bad_pcid(const struct guest *g)
{
	return !long_mode(g) && (g->cr4 & X86_CR4_PCIDE);
}

static bool bad_cr3(const struct guest *g) { return g->cr3 >> boot_cpu_data.x86_phys_bits; }
static bool bad_dr7(const struct guest *g) { return g->dr7 >> 32; }

static bool bad_sysenter(const struct guest *g)
{
	return !canonical(g->sysenter_esp) || !canonical(g->sysenter_eip);
}

static bool bad_pat(const struct guest *g)
{
	int i;

	for (i = 0; i < 64; i += 8)
		if (((g->pat >> i) & 0xff) > 7 || ((g->pat >> i) & 0xfe) == 2)
			return true;
	return false;
}

static bool bad_efer(const struct guest *g)
{
	return g->efer & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX);
}

static bool bad_lma(const struct guest *g)
{
	bool lma = g->efer & EFER_LMA;

	return lma != long_mode(g) ||
	       ((g->cr0 & X86_CR0_PG) && lma != !!(g->efer & EFER_LME));
}

static bool bad_tr_selector(const struct guest *g) { return g->seg[AT_TR].selector & 4; }
static bool bad_ldtr_selector(const struct guest *g)
{
	return usable(g, AT_LDTR) && (g->seg[AT_LDTR].selector & 4);
}

static bool bad_vm86(const struct guest *g)
{
	int i;

	for (i = AT_ES; vm86(g) && i <= AT_GS; i++)
		if (g->seg[i].base != (u64)g->seg[i].selector << 4 ||
		    g->seg[i].limit != 0xffff || g->seg[i].attr != 0xf3)
			return true;
	return false;
}

static bool bad_bases(const struct guest *g)
{
	int i;

	if (g->seg[AT_CS].base >> 32 || !canonical(g->seg[AT_TR].base) ||
	    !canonical(g->seg[AT_FS].base) || !canonical(g->seg[AT_GS].base) ||
	    (usable(g, AT_LDTR) && !canonical(g->seg[AT_LDTR].base)))
		return true;
	for (i = AT_ES; i <= AT_DS; i++)
		if (i != AT_CS && usable(g, i) && g->seg[i].base >> 32)
			return true;
	return false;
}

static bool bad_cs_type(const struct guest *g)
{
	u32 type = g->seg[AT_CS].attr & ATTR_TYPE;

	return !vm86(g) && type != 3 && type != 9 && type != 11 && type != 13 && type != 15;
}

static bool bad_ss_type(const struct guest *g)
{
	u32 type = g->seg[AT_SS].attr & ATTR_TYPE;

	return !vm86(g) && usable(g, AT_SS) && type != 3 && type != 7;
}

static bool bad_data_type(const struct guest *g)
{
	int i;

	for (i = AT_ES; !vm86(g) && i <= AT_GS; i++) {
		u32 type = g->seg[i].attr & ATTR_TYPE;

		if (i == AT_CS || i == AT_SS || !usable(g, i))
			continue;
		/* accessed; and readable where it is code */
		if (!(type & 1) || ((type & 8) && !(type & 2)))
			return true;
	}
	return false;
}

static bool bad_present(const struct guest *g)
{
	int i;

	for (i = AT_ES; !vm86(g) && i <= AT_GS; i++)
		if ((i == AT_CS || usable(g, i)) &&
		    (g->seg[i].attr & (ATTR_S | ATTR_P)) != (ATTR_S | ATTR_P))
			return true;
	return false;
}

static bool bad_reserved(const struct guest *g)
{
	int i;

	for (i = AT_ES; i < NR_AT; i++)
		if (usable(g, i) && (g->seg[i].attr & ATTR_RESERVED))
			return true;
	return false;
}

static bool bad_cs_l_db(const struct guest *g)
{
	u32 both = ATTR_L | ATTR_DB;

	return long_mode(g) && (g->seg[AT_CS].attr & both) == both;
}

/* Granularity must say what the limit needs. */
static bool bad_limits(const struct guest *g)
{
	int i;

	for (i = AT_ES; !vm86(g) && i < NR_AT; i++) {
		bool pages = g->seg[i].attr & ATTR_G;

		if (!usable(g, i) && i != AT_CS)
			continue;
		if (pages ? (g->seg[i].limit & 0xfff) != 0xfff : g->seg[i].limit >> 20)
			return true;
	}
	return false;
}

static bool bad_dpl(const struct guest *g)
{
	u32 cs = g->seg[AT_CS].attr, ss = ATTR_DPL(g->seg[AT_SS].attr);
	u32 type = cs & ATTR_TYPE;

	if (vm86(g))
		return false;
	if (!(g->cr0 & X86_CR0_PE) || type == 3)
		return ss;
	if (type == 9 || type == 11)
		return ATTR_DPL(cs) != ss;
	return ATTR_DPL(cs) > ss;
}

static bool bad_tr(const struct guest *g)
{
	u32 attr = g->seg[AT_TR].attr, type = attr & ATTR_TYPE;

	return !usable(g, AT_TR) || (attr & ATTR_S) || !(attr & ATTR_P) ||
	       (type != 11 && (type != 3 || long_mode(g)));
}

static bool bad_ldtr(const struct guest *g)
{
	u32 attr = g->seg[AT_LDTR].attr;

	return usable(g, AT_LDTR) &&
	       ((attr & ATTR_TYPE) != 2 || (attr & ATTR_S) || !(attr & ATTR_P));
}

static bool bad_tables(const struct guest *g)
{
	return !canonical(g->gdt_base) || !canonical(g->idt_base) || g->gdt_limit >> 16 ||
	       g->idt_limit >> 16;
}

static bool bad_rip(const struct guest *g)
{
	bool wide = long_mode(g) && (g->seg[AT_CS].attr & ATTR_L);

	return wide ? !canonical(g->rip) : g->rip >> 32;
}

static bool bad_rflags(const struct guest *g)
{
	return g->rflags >> 22 || (g->rflags & 0x8028) || !(g->rflags & 2) ||
	       (vm86(g) && (long_mode(g) || !(g->cr0 & X86_CR0_PE)));
}

static bool injects(const struct guest *g, u32 type)
{
	return (g->event & KEEL_WORD_VALID) && (g->event & KEEL_WORD_TYPE) == type;
}

static bool bad_event_flags(const struct guest *g)
{
	return injects(g, KEEL_WORD_INTR) && !(g->rflags & X86_EFLAGS_IF);
}

static bool bad_shadow(const struct guest *g)
{
	const u32 both = VMX_SHADOW_STI | VMX_SHADOW_MOV_SS;

	return (g->shadow & both) == both || g->shadow >> 5 ||
	       ((g->shadow & VMX_SHADOW_STI) && !(g->rflags & X86_EFLAGS_IF));
}

static bool bad_shadow_event(const struct guest *g)
{
	const u32 irq = VMX_SHADOW_STI | VMX_SHADOW_MOV_SS;

	return (injects(g, KEEL_WORD_INTR) && (g->shadow & irq)) ||
	       (injects(g, KEEL_WORD_NMI) && (g->shadow & (irq | VMX_SHADOW_NMI)));
}

static bool bad_activity(const struct guest *g) { return g->activity; }

/* In a shadow a single step has to be pending exactly if one is on. */
static bool bad_pending_debug(const struct guest *g)
{
	bool step = (g->rflags & X86_EFLAGS_TF) && !(g->debugctl & DEBUGCTLMSR_BTF);

	return (g->shadow & (VMX_SHADOW_STI | VMX_SHADOW_MOV_SS)) &&
	       step != !!(g->pending_debug & VMX_PENDING_DEBUG_BS);
}

static bool bad_link(const struct guest *g) { return g->link != ~0ULL; }

static bool bad_pdpte(const struct guest *g)
{
	u64 reserved = PDPTE_RESERVED | ~0ULL << boot_cpu_data.x86_phys_bits;
	bool pae = (g->cr0 & X86_CR0_PG) && (g->cr4 & X86_CR4_PAE) && !long_mode(g);
	int i;

	for (i = 0; pae && i < ARRAY_SIZE(g->pdpte); i++)
		if ((g->pdpte[i] & 1) && (g->pdpte[i] & reserved))
			return true;
	return false;
}

static const struct {
	bool (*broken)(const struct guest *g);
	const char *name;
} vmx_rules[] = {
	{ bad_cr0, "CR0 has bits that VMX does not take" },
	{ bad_cr4, "CR4 has bits that VMX does not take" },
	{ bad_pg, "CR0.PG without CR0.PE" },
	{ bad_debugctl, "DEBUGCTL has reserved bits" },
	{ bad_long_paging, "long mode without CR0.PG or CR4.PAE" },
	{ bad_pcid, "CR4.PCIDE outside long mode" },
	{ bad_cr3, "CR3 has reserved bits" },
	{ bad_dr7, "DR7 bits 63-32 are not zero" },
	{ bad_sysenter, "SYSENTER_ESP or _EIP is not canonical" },
	{ bad_pat, "the PAT has a reserved type" },
	{ bad_efer, "EFER has reserved bits" },
	{ bad_lma, "EFER.LMA is not EFER.LME and CR0.PG" },
	{ bad_tr_selector, "TR's selector names the LDT" },
	{ bad_ldtr_selector, "LDTR's selector names the LDT" },
	{ bad_vm86, "a segment is not what virtual-8086 mode has" },
	{ bad_bases, "a segment's base is too high or not canonical" },
	{ bad_cs_type, "CS is no code segment" },
	{ bad_ss_type, "SS is not writable data" },
	{ bad_data_type, "a data segment's type is not readable" },
	{ bad_present, "a segment is not present or a system segment" },
	{ bad_reserved, "a segment's attributes have reserved bits" },
	{ bad_cs_l_db, "CS.L and CS.D are both set in long mode" },
	{ bad_limits, "a segment's limit and granularity disagree" },
	{ bad_dpl, "CS's and SS's privilege levels disagree" },
	{ bad_tr, "TR is no busy TSS" },
	{ bad_ldtr, "LDTR is no LDT" },
	{ bad_tables, "GDTR or IDTR is not canonical or too long" },
	{ bad_rip, "RIP is not canonical" },
	{ bad_rflags, "RFLAGS has reserved bits or VM in the wrong mode" },
	{ bad_event_flags, "an interrupt is injected with RFLAGS.IF clear" },
	{ bad_shadow, "the interrupt shadow contradicts itself or RFLAGS" },
	{ bad_shadow_event, "the interrupt shadow contradicts the event" },
	{ bad_activity, "the activity state is not active" },
	{ bad_pending_debug, "the pending single step contradicts RFLAGS.TF" },
	{ bad_link, "the VMCS link pointer is in use" },
	{ bad_pdpte, "a PDPTE has reserved bits" },
};

/* ---- controls: the instruction itself fails -------------------------------------- */

static bool bad_tpr_threshold(const struct vmx_vcpu *vmx)
{
	return vmx_read(VMX_TPR_THRESHOLD) > *(u32 *)(vmx->virtual_apic + 0x80) >> 4;
}

/* Vectors with an error code, delivered in protected mode. */
static bool bad_event(const struct vmx_vcpu *vmx)
{
	u32 event = vmx_read(VMX_ENTRY_EVENT);
	u32 type = event & KEEL_WORD_TYPE, vector = event & 0xff;
	bool error = type == KEEL_WORD_EXCEPTION && vector < 32 &&
		     (KEEL_WITH_ERROR & BIT(vector)) &&
		     (vmx_read(VMX_GUEST_CR0) & X86_CR0_PE);

	if (!(event & KEEL_WORD_VALID))
		return false;
	return (type == KEEL_WORD_NMI && vector != 2) ||
	       (type == KEEL_WORD_EXCEPTION && vector > 31) ||
	       error != !!(event & KEEL_WORD_HAS_ERROR);
}

static bool bad_eptp(const struct vmx_vcpu *vmx)
{
	return (vmx_read(VMX_EPTP) & 7) != VMX_EPTP_WB;
}

static const struct {
	bool (*broken)(const struct vmx_vcpu *vmx);
	const char *name;
} vmx_control_rules[] = {
	{ bad_tpr_threshold, "the TPR threshold is above the TPR" },
	{ bad_event, "the event to inject contradicts itself" },
	{ bad_eptp, "the EPT pointer's memory type is not write-back" },
};

/* What the instruction itself says, where that is more than "a control field" */
static const struct {
	u32 error;
	const char *name;
} vmx_errors[] = {
	{ 0, "no VMCS is current" },
	{ 4, "VMLAUNCH of a VMCS that is launched" },
	{ 5, "VMRESUME of a VMCS that is not launched" },
	{ 8, "a host-state field is invalid" },
	{ 26, "an entry in the shadow of MOV SS" },
};

static const char *check_controls(const struct vmx_vcpu *vmx, u32 *rule)
{
	u32 error = vmx_read(VMX_INSN_ERROR);
	int i;

	for (i = 0; i < ARRAY_SIZE(vmx_errors); i++)
		if (vmx_errors[i].error == error)
			return vmx_errors[i].name;
	for (i = 0; i < ARRAY_SIZE(vmx_control_rules); i++) {
		if (vmx_control_rules[i].broken(vmx)) {
			*rule = VMX_FIRST_CONTROL_RULE + i;
			return vmx_control_rules[i].name;
		}
	}
	return "a control field is invalid";
}

/* @reason 0: the instruction itself failed. */
const char *vmx_check(struct keel_vcpu *vcpu, u32 reason, u32 *rule)
{
	struct guest guest;
	int i;

	*rule = 0;
	if (!reason)
		return check_controls(to_vmx(vcpu), rule);
	if ((reason & 0xffff) == VMX_X_MSR_LOAD)
		return "an MSR of the entry list was refused";
	if ((reason & 0xffff) == VMX_X_ENTRY_MCE)
		return "a machine check during entry";
	read_guest(&guest);
	for (i = 0; i < ARRAY_SIZE(vmx_rules); i++) {
		if (vmx_rules[i].broken(&guest)) {
			*rule = i + 1;
			return vmx_rules[i].name;
		}
	}
	return "no known rule of the VMCS is broken";
}
