// SPDX-License-Identifier: GPL-2.0
/*
 * The floor on SVM: a VMCB whose guest is the host itself, but for RIP and RSP.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include <asm/svm.h>
#include "floor.h"

/* Type, S, DPL, P, and in bits 8-11 AVL, L, D/B, G */
#define CODE_ATTR	0xa9b
#define DATA_ATTR	0xc93

static void set_guest(struct vmcb *vmcb, void *stack)
{
	struct vmcb_save_area *save = &vmcb->save;
	struct desc_ptr gdt, idt;

	vmcb->control.intercepts[INTERCEPT_VMRUN / 32] |= 1U << INTERCEPT_VMRUN % 32;
	vmcb->control.intercepts[INTERCEPT_VMMCALL / 32] |= 1U << INTERCEPT_VMMCALL % 32;
	vmcb->control.intercepts[INTERCEPT_CPUID / 32] |= 1U << INTERCEPT_CPUID % 32;
	vmcb->control.asid = 1;

	native_store_gdt(&gdt);
	store_idt(&idt);
	save->gdtr = (struct vmcb_seg){ .limit = gdt.size, .base = gdt.address };
	save->idtr = (struct vmcb_seg){ .limit = idt.size, .base = idt.address };
	save->cs = (struct vmcb_seg){ .selector = __KERNEL_CS, .attrib = CODE_ATTR, .limit = ~0U };
	save->ss = (struct vmcb_seg){ .selector = __KERNEL_DS, .attrib = DATA_ATTR, .limit = ~0U };
	save->ds = save->ss;
	save->es = save->ss;
	save->cr0 = read_cr0();
	save->cr3 = __read_cr3();
	save->cr4 = __read_cr4();
	rdmsrl(MSR_EFER, save->efer);
	save->dr6 = 0xffff0ff0;
	save->dr7 = 0x400;
	save->rflags = 2;
	save->rip = (unsigned long)floor_guest_amd;
	save->rsp = (unsigned long)stack + PAGE_SIZE;
}

int floor_run_svm(struct floor_guest *guest, void *stack)
{
	struct vmcb *vmcb = (void *)get_zeroed_page(GFP_ATOMIC);
	void *host = (void *)get_zeroed_page(GFP_ATOMIC);
	void *hsave = (void *)get_zeroed_page(GFP_ATOMIC);
	u64 efer, old_hsave;
	int err = -ENOMEM;

	if (!vmcb || !host || !hsave)
		goto out;
	err = -EBUSY;
	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		goto out;
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	rdmsrl(MSR_VM_HSAVE_PA, old_hsave);
	wrmsrl(MSR_VM_HSAVE_PA, __pa(hsave));
	set_guest(vmcb, stack);
	asm volatile("vmsave %0" : : "a" (__pa(vmcb)) : "memory");
	asm volatile("vmsave %0" : : "a" (__pa(host)) : "memory");
	floor_switch_svm(__pa(vmcb), __pa(host), vmcb, guest->gpr,
			 &current->thread_info.flags);
	err = vmcb->control.exit_code == SVM_EXIT_CPUID ? 0 : -EIO;
	if (err)
		pr_err("bench_floor: exit code %#x\n", vmcb->control.exit_code);
	wrmsrl(MSR_VM_HSAVE_PA, old_hsave);
	wrmsrl(MSR_EFER, efer);
out:
	free_page((unsigned long)hsave);
	free_page((unsigned long)host);
	free_page((unsigned long)vmcb);
	return err;
}
