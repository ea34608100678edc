// SPDX-License-Identifier: GPL-2.0
/*
 * APIC virtualization: a guest reads and writes the registers of its LAPIC in the
 * LAPIC's own page, the CPU delivers from IRR and ends in ISR, and exits tell of
 * what else a write does.  It owns the controls and fields for that; it must not
 * know what a register means beyond the layout of the vector bitmaps.
 */
#include <linux/bitops.h>
#include <linux/gfp.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <asm/io.h>
#include "core/stats.h"
#include "vmx/vmx.h"

static bool apicv = true;
module_param(apicv, bool, 0444);
MODULE_PARM_DESC(apicv, "let the CPU virtualize the LAPIC's registers where it can (default: 1)");

/*
 * Off: the one CPU that it could be tried on, Bochs', delivers a virtual interrupt
 * while RFLAGS.IF is clear when an interrupt of the host comes at that moment.
 */
static bool virtual_intr;
module_param(virtual_intr, bool, 0444);
MODULE_PARM_DESC(virtual_intr,
		 "with apicv: let the CPU deliver virtual interrupts where it can (default: 0)");

/* Registers without interrupts are of use, not the other way round. */
#define VMX_APICV_NEEDS	(VMX_PROC2_APIC_ACCESS | VMX_PROC2_X2APIC | VMX_PROC2_APIC_REGS)

#define APIC_PAGE_GPA	0xfee00000ULL
#define APIC_ISR	0x100
#define APIC_TMR	0x180
#define APIC_IRR	0x200
#define APIC_STRIDE	4	/* u32 from one word of a bitmap to the next */

/*
 * MSRs of the x2APIC mode that do not exit.  Not among them: PPR, which the CPU
 * keeps only where it delivers; ICR, whose halves the LAPIC has in two places; the
 * timer's count; and what is no register, whose #GP is ours.
 */
static const struct {
	u16 first, last;
	bool write;
	bool delivery;		/* with virtual-interrupt delivery alone */
} vmx_x2apic_msrs[] = {
	{ 0x802, 0x803 },			/* ID, VERSION */
	{ 0x808, 0x808 }, { 0x808, 0x808, .write = true },	/* TPR */
	{ 0x80a, 0x80a, .delivery = true },	/* PPR */
	{ 0x80b, 0x80b, .write = true, .delivery = true },	/* EOI */
	{ 0x80d, 0x80d },			/* LDR */
	{ 0x80f, 0x828 },			/* SVR, ISR, TMR, IRR, ESR */
	{ 0x832, 0x838 },			/* LVT, initial count */
	{ 0x83e, 0x83e },			/* divider */
	{ 0x83f, 0x83f, .write = true, .delivery = true },	/* SELF IPI */
};

/* ---- what the CPU has, and what is used of it ------------------------------------ */

void vmx_apicv_audit(u32 proc2, struct keel_report *report)
{
	if (!apicv && (proc2 & VMX_PROC2_APIC_REGS))
		keel_report(report, "not used: APIC-register virtualization (apicv=0)\n");
	if ((!apicv || !virtual_intr) && (proc2 & VMX_PROC2_VIRT_INTR))
		keel_report(report, "not used: virtual-interrupt delivery (%s=0)\n",
			    apicv ? "virtual_intr" : "apicv");
}

static void vmx_choose_apicv(void)
{
	if (!apicv || (vmx_global.apicv & VMX_APICV_NEEDS) != VMX_APICV_NEEDS)
		vmx_global.apicv = 0;
	else if (!virtual_intr)
		vmx_global.apicv &= ~(u32)VMX_PROC2_VIRT_INTR;
	if (!vmx_global.apicv)
		vmx_global.caps &= ~(u32)KEEL_CAP_APICV;
	if (!(vmx_global.apicv & VMX_PROC2_VIRT_INTR))
		vmx_global.caps &= ~(u32)KEEL_CAP_VIRT_INTR;
}

int vmx_apicv_setup(void)
{
	bool delivery;
	u32 msr;
	int i;

	vmx_choose_apicv();
	if (!vmx_global.apicv)
		return 0;
	vmx_global.x2apic_bitmap = vmx_msr_bitmap_alloc();
	if (!vmx_global.x2apic_bitmap)
		return -ENOMEM;
	delivery = vmx_global.apicv & VMX_PROC2_VIRT_INTR;
	for (i = 0; i < ARRAY_SIZE(vmx_x2apic_msrs); i++) {
		if (vmx_x2apic_msrs[i].delivery && !delivery)
			continue;
		for (msr = vmx_x2apic_msrs[i].first; msr <= vmx_x2apic_msrs[i].last; msr++)
			vmx_msr_pass(vmx_global.x2apic_bitmap, msr, vmx_x2apic_msrs[i].write);
	}
	static_branch_enable(&keel_apicv);
	return 0;
}

void vmx_apicv_teardown(void)
{
	if (!vmx_global.x2apic_bitmap)
		return;
	__free_page(vmx_global.x2apic_bitmap);
	keel_account(-(long)PAGE_SIZE);
	vmx_global.x2apic_bitmap = NULL;
}

/* ---- a vCPU ---------------------------------------------------------------------- */

void vmx_apicv_reset(struct vmx_vcpu *vmx)
{
	int i;

	vmx->apicv = 0;
	if (!vmx_global.apicv)
		return;
	for (i = 0; i < ARRAY_SIZE(vmx->eoi_exit); i++) {
		vmx->eoi_exit[i] = 0;
		vmx_write(VMX_EOI_EXIT0 + i * 2, 0);
	}
}

/* The LAPIC exists after the control block: from the first sync on its page is the CPU's too. */
static void vmx_share_page(struct vmx_vcpu *vmx, const struct keel_apic_state *state)
{
	vmx->has_lapic = true;
	vmx->virtual_apic = (u8 *)state->page;
	vmx_write(VMX_VIRTUAL_APIC, state->regs);
	vmx_write(VMX_APIC_ACCESS, state->access);
}

static u32 vmx_apic_controls(u8 mode)
{
	static const u32 controls[] = {
		[KEEL_APIC_OFF] = 0,
		[KEEL_APIC_PAGE] = VMX_PROC2_APIC_ACCESS | VMX_PROC2_APIC_REGS |
				   VMX_PROC2_VIRT_INTR,
		[KEEL_APIC_PAGE_IDLE] = VMX_PROC2_APIC_ACCESS,
		[KEEL_APIC_MSRS] = VMX_PROC2_X2APIC | VMX_PROC2_APIC_REGS | VMX_PROC2_VIRT_INTR,
	};

	return controls[mode] & vmx_global.apicv;
}

static void vmx_switch_mode(struct vmx_vcpu *vmx, u32 controls)
{
	vmx->apicv = controls;
	vmx_write(VMX_PROC2_CONTROLS, vmx_proc2(vmx->vcpu));
	vmx_write(VMX_MSR_BITMAP, page_to_phys(controls & VMX_PROC2_X2APIC ?
					       vmx_global.x2apic_bitmap : vmx_global.msr_bitmap));
	/* Translations remember whether they lead to the APIC-access page. */
	vmx->flush = true;
}

static const u32 *vmx_vector_word(const u32 *page, u32 bitmap, int word)
{
	return &page[bitmap / sizeof(u32) + word * APIC_STRIDE];
}

/* 0: none, which the CPU's fields say in the same way. */
static u8 vmx_highest_vector(const u32 *page, u32 bitmap)
{
	int i;

	for (i = 7; i >= 0; i--) {
		u32 word = *vmx_vector_word(page, bitmap, i);

		if (word)
			return i * 32 + __fls(word);
	}
	return 0;
}

/* What the CPU keeps of the bitmaps: the highest requested, the highest in service. */
static void vmx_write_vectors(struct vmx_vcpu *vmx, const struct keel_apic_state *state)
{
	const u32 *page = state->page;
	int i;

	vmx_write(VMX_GUEST_INTR_STATUS, vmx_highest_vector(page, APIC_ISR) << 8 |
					 vmx_highest_vector(page, APIC_IRR));
	for (i = 0; i < ARRAY_SIZE(vmx->eoi_exit); i++) {
		u64 bits = *vmx_vector_word(page, APIC_TMR, i * 2) |
			   (u64)*vmx_vector_word(page, APIC_TMR, i * 2 + 1) << 32;

		if (state->watch >> 6 == i)
			bits |= BIT_ULL(state->watch & 63);
		if (bits == vmx->eoi_exit[i])
			continue;
		vmx->eoi_exit[i] = bits;
		vmx_write(VMX_EOI_EXIT0 + i * 2, bits);
	}
}

bool vmx_sync_apic(struct keel_vcpu *vcpu, const struct keel_apic_state *state)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 controls = vmx_apic_controls(state->mode);

	if (unlikely(!vmx->has_lapic))
		vmx_share_page(vmx, state);
	if (unlikely(vmx->apicv != controls))
		vmx_switch_mode(vmx, controls);
	if (!(controls & VMX_PROC2_VIRT_INTR))
		return false;
	vmx_write_vectors(vmx, state);
	return true;
}

/* ---- exits ----------------------------------------------------------------------- */

#define VMX_APIC_OFFSET		0xfffU	/* exit qualification: place in the page */
#define VMX_APIC_TYPE_SHIFT	12
#define VMX_APIC_TYPE		15U
#define VMX_APIC_TYPE_WRITE	1

void vmx_decode_apic_access(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u64 info = vmx_read(VMX_EXIT_QUALIFICATION);
	u32 type = (info >> VMX_APIC_TYPE_SHIFT) & VMX_APIC_TYPE;

	exit->fault.gpa = APIC_PAGE_GPA + (info & VMX_APIC_OFFSET);
	exit->fault.access = type == VMX_APIC_TYPE_WRITE ? KEEL_FAULT_WRITE : KEEL_FAULT_READ;
}

void vmx_decode_apic_write(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	exit->apic.offset = vmx_read(VMX_EXIT_QUALIFICATION) & VMX_APIC_OFFSET;
}

void vmx_decode_eoi(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	exit->apic.vector = vmx_read(VMX_EXIT_QUALIFICATION);
}
