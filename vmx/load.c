// SPDX-License-Identifier: GPL-2.0
/*
 * The VMCS on a CPU: made current, cached, cleared when the vCPU moves on, and
 * the host's own state that an exit brings back.  It must not know what the
 * guest's fields hold.
 */
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/segment.h>
#include "core/mitigate.h"
#include "vmx/vmx.h"

/* ---- which CPU has the VMCS ------------------------------------------------------ */

/* [cpu] */
static void vmx_detach(void *arg)
{
	struct vmx_vcpu *vmx = arg;
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);

	if (vmx->last_cpu != smp_processor_id())
		return;
	vmx_clear(__pa(vmx->vmcs));
	list_del_init(&vmx->loaded);
	if (vc->current_vcpu == vmx)
		vc->current_vcpu = NULL;
	vmx->sw.launched = 0;
	WRITE_ONCE(vmx->last_cpu, -1);
}

void vmx_unload(struct vmx_vcpu *vmx)
{
	int cpu = READ_ONCE(vmx->last_cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, vmx_detach, vmx, true);
}

/* What of the host's state is a CPU's, not a thread's. */
static void vmx_write_cpu_state(int cpu)
{
	struct desc_ptr idt;
	u64 val;

	store_idt(&idt);
	vmx_write(VMX_HOST_IDTR_BASE, idt.address);
	vmx_write(VMX_HOST_GDTR_BASE, (unsigned long)get_current_gdt_ro());
	vmx_write(VMX_HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	rdmsrl(MSR_GS_BASE, val);
	vmx_write(VMX_HOST_GS_BASE, val);
	rdmsrl(MSR_IA32_SYSENTER_ESP, val);
	vmx_write(VMX_HOST_SYSENTER_ESP, val);
}

void vmx_attach(struct vmx_vcpu *vmx, int cpu)
{
	struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);
	bool moved = vmx->last_cpu != cpu;
	unsigned long flags;

	if (moved)
		vmx_unload(vmx);
	local_irq_save(flags);
	if (moved) {
		list_add(&vmx->loaded, &vc->loaded);
		WRITE_ONCE(vmx->last_cpu, cpu);
	}
	if (vc->current_vcpu != vmx) {
		vc->current_vcpu = vmx;
		vmx_load_ptr(__pa(vmx->vmcs));
	}
	local_irq_restore(flags);
	if (moved) {
		vmx_write_cpu_state(cpu);
		/* Translations of an earlier stay may be left on this CPU. */
		vmx->flush = true;
	}
}

/* ---- the host's thread around it ------------------------------------------------- */

/* Selectors of a 64-bit thread are null, mostly; an exit loads null. */
static void vmx_save_host_segments(struct vmx_vcpu *vmx)
{
	current_save_fsgs();
	vmx->host_fs = current->thread.fsindex;
	vmx->host_gs = current->thread.gsindex;
	savesegment(ds, vmx->host_ds);
	savesegment(es, vmx->host_es);
	store_ldt(vmx->host_ldt);
	vmx_write(VMX_HOST_FS_BASE, current->thread.fsbase);
}

static void vmx_restore_host_segments(struct vmx_vcpu *vmx)
{
	if (unlikely(vmx->host_ldt))
		asm volatile("lldt %0" : : "rm" (vmx->host_ldt));
	if (unlikely(vmx->host_ds | vmx->host_es)) {
		loadsegment(ds, vmx->host_ds);
		loadsegment(es, vmx->host_es);
	}
	/* Any selector but 0 is gone, whatever its privilege level and table. */
	if (unlikely(vmx->host_fs)) {
		loadsegment(fs, vmx->host_fs);
		wrmsrl(MSR_FS_BASE, current->thread.fsbase);
	}
	/* Before KERNEL_GS_BASE, which this overwrites. */
	if (unlikely(vmx->host_gs))
		load_gs_index(vmx->host_gs);
	/* An exit leaves limits of 64 KiB behind. */
	load_fixmap_gdt(raw_smp_processor_id());
	invalidate_tss_limit();
}

void vmx_load(struct keel_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (this_cpu_read(vmx_cpus.current_vcpu) != vmx)
		vmx_attach(vmx, cpu);
	if (!vmx->msrs_live) {
		vmx_save_host_segments(vmx);
		vmx_load_msrs(vcpu);
	}
	vmx->sw.switch_spec_ctrl = keel_spec_ctrl_load(vcpu, &vmx->sw.guest_spec_ctrl,
						       &vmx->sw.host_spec_ctrl);
}

void vmx_put(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_save_msrs(vcpu);
	vmx_restore_host_segments(vmx);
	vmx_unload_msrs(vcpu);
}
