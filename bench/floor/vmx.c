// SPDX-License-Identifier: GPL-2.0
/*
 * The floor on VMX: a VMCS whose guest is the host itself, but for RIP and RSP.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/sched.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/vmx.h>
#include "floor.h"

#define AR_CODE		0xa09b
#define AR_DATA		0xc093
#define AR_TSS		0x008b
#define AR_UNUSABLE	0x10000
#define TRUE_CONTROLS	(1ULL << 55)	/* of IA32_VMX_BASIC */

static void put(unsigned long field, unsigned long value)
{
	asm volatile("vmwrite %1, %0" : : "r" (field), "rm" (value) : "cc");
}

/* What has to be one, and @want. The TRUE MSR is the plain one's number + @step. */
static u32 control(u32 msr, u32 step, u32 want)
{
	u64 basic, allowed;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	rdmsrl(basic & TRUE_CONTROLS ? msr + step : msr, allowed);
	return (u32)allowed | want;
}

static void set_controls(void)
{
	put(PIN_BASED_VM_EXEC_CONTROL, control(MSR_IA32_VMX_PINBASED_CTLS, 12, 0));
	put(CPU_BASED_VM_EXEC_CONTROL, control(MSR_IA32_VMX_PROCBASED_CTLS, 12, 0));
	put(VM_EXIT_CONTROLS, control(MSR_IA32_VMX_EXIT_CTLS, 12, VM_EXIT_HOST_ADDR_SPACE_SIZE));
	put(VM_ENTRY_CONTROLS, control(MSR_IA32_VMX_ENTRY_CTLS, 12, VM_ENTRY_IA32E_MODE));
	put(EXCEPTION_BITMAP, 0);
	put(PAGE_FAULT_ERROR_CODE_MASK, 0);
	put(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	put(CR3_TARGET_COUNT, 0);
	put(VM_EXIT_MSR_STORE_COUNT, 0);
	put(VM_EXIT_MSR_LOAD_COUNT, 0);
	put(VM_ENTRY_MSR_LOAD_COUNT, 0);
	put(VM_ENTRY_INTR_INFO_FIELD, 0);
	put(CR0_GUEST_HOST_MASK, 0);
	put(CR4_GUEST_HOST_MASK, 0);
	put(VMCS_LINK_POINTER, ~0UL);
}

/* What host and guest share */
static void set_system(void)
{
	unsigned long tss = (unsigned long)&get_cpu_entry_area(raw_smp_processor_id())->tss.x86_tss;
	u64 val;

	put(HOST_CR0, read_cr0());
	put(GUEST_CR0, read_cr0());
	put(HOST_CR3, __read_cr3());
	put(GUEST_CR3, __read_cr3());
	put(HOST_CR4, __read_cr4());
	put(GUEST_CR4, __read_cr4());
	put(HOST_TR_BASE, tss);
	put(GUEST_TR_BASE, tss);
	rdmsrl(MSR_FS_BASE, val);
	put(HOST_FS_BASE, val);
	put(GUEST_FS_BASE, val);
	rdmsrl(MSR_GS_BASE, val);
	put(HOST_GS_BASE, val);
	put(GUEST_GS_BASE, val);
	rdmsrl(MSR_IA32_SYSENTER_CS, val);
	put(HOST_IA32_SYSENTER_CS, val);
	put(GUEST_SYSENTER_CS, val);
	rdmsrl(MSR_IA32_SYSENTER_ESP, val);
	put(HOST_IA32_SYSENTER_ESP, val);
	put(GUEST_SYSENTER_ESP, val);
	rdmsrl(MSR_IA32_SYSENTER_EIP, val);
	put(HOST_IA32_SYSENTER_EIP, val);
	put(GUEST_SYSENTER_EIP, val);
}

static void set_host(const struct desc_ptr *gdt, const struct desc_ptr *idt)
{
	put(HOST_CS_SELECTOR, __KERNEL_CS);
	put(HOST_SS_SELECTOR, __KERNEL_DS);
	put(HOST_DS_SELECTOR, 0);
	put(HOST_ES_SELECTOR, 0);
	put(HOST_FS_SELECTOR, 0);
	put(HOST_GS_SELECTOR, 0);
	put(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	put(HOST_GDTR_BASE, gdt->address);
	put(HOST_IDTR_BASE, idt->address);
}

/* ES, CS, SS, DS, FS, GS, LDTR, TR: their fields are two apart. */
static void set_segment(int n, u16 selector, u32 ar, u32 limit)
{
	put(GUEST_ES_SELECTOR + 2 * n, selector);
	put(GUEST_ES_AR_BYTES + 2 * n, ar);
	put(GUEST_ES_LIMIT + 2 * n, limit);
}

static void set_guest(const struct desc_ptr *gdt, const struct desc_ptr *idt, void *stack)
{
	int n;

	for (n = 0; n < 7; n++)
		set_segment(n, 0, AR_UNUSABLE, 0);
	set_segment(1, __KERNEL_CS, AR_CODE, ~0U);
	set_segment(2, __KERNEL_DS, AR_DATA, ~0U);
	set_segment(7, GDT_ENTRY_TSS * 8, AR_TSS, 0x67);
	put(GUEST_CS_BASE, 0);
	put(GUEST_SS_BASE, 0);
	put(GUEST_GDTR_BASE, gdt->address);
	put(GUEST_GDTR_LIMIT, gdt->size);
	put(GUEST_IDTR_BASE, idt->address);
	put(GUEST_IDTR_LIMIT, idt->size);
	put(GUEST_DR7, 0x400);
	put(GUEST_RFLAGS, 2);
	put(GUEST_RIP, (unsigned long)floor_guest_intel);
	put(GUEST_RSP, (unsigned long)stack + PAGE_SIZE);
	put(GUEST_INTERRUPTIBILITY_INFO, 0);
	put(GUEST_ACTIVITY_STATE, 0);
	put(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	put(GUEST_IA32_DEBUGCTL, 0);
}

/* The VMCS is current. */
static int enter(struct floor_guest *guest, void *stack)
{
	struct desc_ptr gdt, idt;
	unsigned long reason;
	int err;

	native_store_gdt(&gdt);
	store_idt(&idt);
	set_controls();
	set_system();
	set_host(&gdt, &idt);
	set_guest(&gdt, &idt, stack);
	err = floor_switch_vmx(guest->gpr, &current->thread_info.flags);
	/* An exit leaves limits of 64 KiB behind. */
	native_load_gdt(&gdt);
	native_load_idt(&idt);
	invalidate_tss_limit();
	asm volatile("vmread %1, %0" : "=r" (reason)
		     : "r" ((unsigned long)(err ? VM_INSTRUCTION_ERROR : VM_EXIT_REASON)) : "cc");
	if (!err && (u32)reason == EXIT_REASON_CPUID)
		return 0;
	pr_err("bench_floor: %s %#lx\n", err ? "VMLAUNCH" : "exit", reason);
	return -EIO;
}

int floor_run_vmx(struct floor_guest *guest, void *stack)
{
	u32 *on = (void *)get_zeroed_page(GFP_ATOMIC), *vmcs = (void *)get_zeroed_page(GFP_ATOMIC);
	u64 on_pa, vmcs_pa, basic;
	int err = -ENOMEM;

	if (!on || !vmcs)
		goto out;
	err = -EBUSY;
	if (__read_cr4() & X86_CR4_VMXE)
		goto out;
	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	*on = (u32)basic & 0x7fffffff;
	*vmcs = *on;
	on_pa = __pa(on);
	vmcs_pa = __pa(vmcs);
	cr4_set_bits(X86_CR4_VMXE);
	asm volatile("vmxon %0" : : "m" (on_pa) : "memory", "cc");
	asm volatile("vmclear %0" : : "m" (vmcs_pa) : "memory", "cc");
	asm volatile("vmptrld %0" : : "m" (vmcs_pa) : "memory", "cc");
	err = enter(guest, stack);
	asm volatile("vmclear %0" : : "m" (vmcs_pa) : "memory", "cc");
	asm volatile("vmxoff" : : : "memory", "cc");
	cr4_clear_bits(X86_CR4_VMXE);
out:
	free_page((unsigned long)vmcs);
	free_page((unsigned long)on);
	return err;
}
