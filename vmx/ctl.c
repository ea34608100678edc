// SPDX-License-Identifier: GPL-2.0
/*
 * The VMCS's control and host fields: which guest actions exit, and the
 * power-on form.  It must not know guest registers or what an exit leads to.
 */
#include <linux/mm.h>
#include <linux/printk.h>
#include <asm/desc.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/segment.h>
#include "vmx/vmx.h"

#define VMX_PLE_GAP_CYCLES	128	/* between two PAUSEs of one loop */
#define VMX_PLE_WINDOW_CYCLES	4096	/* in one loop before an exit */

void vmx_set_proc(struct vmx_vcpu *vmx, u32 bits, bool on)
{
	u32 proc = on ? vmx->proc | bits : vmx->proc & ~bits;

	if (proc == vmx->proc)
		return;
	vmx->proc = proc;
	vmx_write(VMX_PROC_CONTROLS, proc);
}

static void vmx_write_host(void)
{
	u64 val;

	vmx_write(VMX_HOST_CR0, read_cr0() & ~(u64)X86_CR0_TS);
	vmx_write(VMX_HOST_CS_SELECTOR, __KERNEL_CS);
	vmx_write(VMX_HOST_SS_SELECTOR, __KERNEL_DS);
	vmx_write(VMX_HOST_DS_SELECTOR, 0);
	vmx_write(VMX_HOST_ES_SELECTOR, 0);
	vmx_write(VMX_HOST_FS_SELECTOR, 0);
	vmx_write(VMX_HOST_GS_SELECTOR, 0);
	vmx_write(VMX_HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmx_write(VMX_HOST_RIP, (unsigned long)vmx_exit_entry);
	rdmsrl(MSR_IA32_SYSENTER_CS, val);
	vmx_write(VMX_HOST_SYSENTER_CS, val);
	rdmsrl(MSR_IA32_SYSENTER_EIP, val);
	vmx_write(VMX_HOST_SYSENTER_EIP, val);
	rdmsrl(MSR_EFER, val);
	vmx_write(VMX_HOST_EFER, val);
	rdmsrl(MSR_IA32_CR_PAT, val);
	vmx_write(VMX_HOST_PAT, val);
}

/* Of what the CPU offers, what this vCPU has a use for. */
u32 vmx_proc2(struct keel_vcpu *vcpu)
{
	u32 proc2 = vmx_global.proc2;

	if (!to_vmx(vcpu)->vpid)
		proc2 &= ~(u32)VMX_PROC2_VPID;
	if (!vcpu->vm->tsc_ratio)
		proc2 &= ~(u32)VMX_PROC2_TSC_SCALING;
	if (!to_vmx(vcpu)->pml_on)
		proc2 &= ~(u32)VMX_PROC2_PML;
	return proc2 | to_vmx(vcpu)->apicv;
}

static void vmx_write_controls(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->proc = vmx_global.proc;
	vmx->exceptions = KEEL_HOST_EXCEPTIONS;
	vmx_write(VMX_PIN_CONTROLS, vmx_global.pin);
	vmx_write(VMX_PROC_CONTROLS, vmx->proc);
	vmx_pml_reset(vcpu);
	vmx_apicv_reset(vmx);
	vmx_write(VMX_PROC2_CONTROLS, vmx_proc2(vcpu));
	vmx_write(VMX_EXIT_CONTROLS, vmx_global.exit);
	vmx_write(VMX_ENTRY_CONTROLS, vmx_global.entry);
	vmx_write(VMX_EXCEPTION_BITMAP, vmx->exceptions);
	vmx_write(VMX_PF_ERROR_MASK, 0);
	vmx_write(VMX_PF_ERROR_MATCH, 0);
	vmx_write(VMX_CR3_TARGET_COUNT, 0);
	vmx_msrlists_reset(vmx);
	vmx_write(VMX_MSR_BITMAP, page_to_phys(vmx_global.msr_bitmap));
	vmx_write(VMX_VIRTUAL_APIC, __pa(vmx->virtual_apic));
	vmx_write(VMX_TPR_THRESHOLD, 0);
	vmx_write(VMX_EPTP, vmx_eptp(vcpu->vm->s2.root));
	vmx_write(VMX_TSC_OFFSET, keel_tsc_offset(vcpu));
	if (vcpu->vm->tsc_ratio)
		vmx_write(VMX_TSC_MULTIPLIER, vcpu->vm->tsc_ratio);
	if (vmx->vpid)
		vmx_write(VMX_VPID, vmx->vpid);
	vmx_timer_reset(vmx);
	if (vmx_global.proc2 & VMX_PROC2_PLE) {
		vmx_write(VMX_PLE_GAP, VMX_PLE_GAP_CYCLES);
		vmx_write(VMX_PLE_WINDOW, VMX_PLE_WINDOW_CYCLES);
	}
}

void vmx_control_reset(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_write_host();
	vmx_write_controls(vcpu);
	vmx_write(VMX_VMCS_LINK, ~0ULL);
	vmx_write(VMX_GUEST_ACTIVITY, 0);
	vmx_write(VMX_GUEST_SHADOW, 0);
	vmx_write(VMX_GUEST_PENDING_DEBUG, 0);
	vmx_write(VMX_GUEST_DEBUGCTL, 0);
	vmx_write(VMX_ENTRY_EVENT, 0);
	/* Written at the next entry, when they differ. */
	vmx->host_cr3 = 0;
	vmx->host_cr4 = 0;
	vmx_write(VMX_HOST_CR3, 0);
	vmx_write(VMX_HOST_CR4, 0);
	vmx->tpr_threshold = 0;
	vmx->shadow = 0;
	vmx->shadow_valid = true;
	vmx->event = false;
	vmx->irq_window = false;
	vmx->nmi_window = false;
	vmx->flush = true;
}

void vmx_tpr_threshold(struct keel_vcpu *vcpu, u8 threshold)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->tpr_threshold == threshold)
		return;
	vmx->tpr_threshold = threshold;
	vmx_write(VMX_TPR_THRESHOLD, threshold);
}

void vmx_set_tsc_offset(struct keel_vcpu *vcpu, u64 offset)
{
	vmx_access_begin(to_vmx(vcpu));
	vmx_write(VMX_TSC_OFFSET, offset);
	vmx_access_end(to_vmx(vcpu));
}

void vmx_dr_access(struct keel_vcpu *vcpu, bool intercept)
{
	vmx_access_begin(to_vmx(vcpu));
	vmx_set_proc(to_vmx(vcpu), VMX_PROC_DR, intercept);
	vmx_access_end(to_vmx(vcpu));
}

void vmx_dump(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_access_begin(vmx);
	pr_info("vCPU %u: exit %#llx qualification %#llx event %#llx/%#llx shadow %#llx error %llu\n",
		vcpu->id, vmx_read(VMX_EXIT_REASON), vmx_read(VMX_EXIT_QUALIFICATION),
		vmx_read(VMX_IDT_EVENT), vmx_read(VMX_ENTRY_EVENT), vmx_read(VMX_GUEST_SHADOW),
		vmx_read(VMX_INSN_ERROR));
	pr_info("  rip %#llx rsp %#llx rflags %#llx cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx\n",
		vmx_read(VMX_GUEST_RIP), vmx_read(VMX_GUEST_RSP), vmx_read(VMX_GUEST_RFLAGS),
		vmx_read(VMX_GUEST_CR0), vmx_read(VMX_GUEST_CR3), vmx_read(VMX_GUEST_CR4),
		vmx_read(VMX_GUEST_EFER));
	vmx_access_end(vmx);
}
