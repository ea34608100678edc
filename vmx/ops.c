// SPDX-License-Identifier: GPL-2.0
/*
 * The VMX back end's table, and the life of its per-VM and per-vCPU parts.
 * It must not know anything above core/backend.h.
 */
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include "core/stats.h"
#include "vmx/vmx.h"

static int vmx_vm_init(struct keel_vm *vm)
{
	u8 max_leaf = vmx_global.caps & KEEL_CAP_1G_PAGES ? S2_LEVEL_1G : S2_LEVEL_2M;
	bool ad = vmx_global.ept_cap & VMX_EPT_CAP_AD;

	vm->s2.t.hw_log = vmx_pml_of_vm(vm);
	return s2_init(vm, ad ? &ept_format : &ept_format_no_ad, 4, max_leaf);
}

static void vmx_free_page(void *page)
{
	if (!page)
		return;
	free_page((unsigned long)page);
	keel_account(-(long)PAGE_SIZE);
}

static void *vmx_alloc_page(void)
{
	void *page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

	if (page)
		keel_account(PAGE_SIZE);
	return page;
}

static void vmx_vcpu_fini(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx)
		return;
	vmx_unload(vmx);
	vmx_vpid_free(vmx);
	vmx_msrlists_free(vmx);
	vmx_free_page(vmx->pml);
	vmx_free_page(vmx->tpr_page);
	vmx_free_page(vmx->vmcs);
	kfree(vmx);
	keel_account(-(long)sizeof(*vmx));
	vcpu->arch = NULL;
}

static int vmx_vcpu_init(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!vmx)
		return -ENOMEM;
	keel_account(sizeof(*vmx));
	vcpu->arch = vmx;
	vmx->vcpu = vcpu;
	vmx->last_cpu = -1;
	vmx->timer_deadline = U64_MAX;
	INIT_LIST_HEAD(&vmx->loaded);
	vmx->vmcs = vmx_alloc_page();
	vmx->tpr_page = vmx_alloc_page();
	vmx->virtual_apic = vmx->tpr_page;
	if (!vmx->vmcs || !vmx->tpr_page)
		goto fail;
	if (vmx_pml_of_vm(vcpu->vm)) {
		vmx->pml = vmx_alloc_page();
		if (!vmx->pml)
			goto fail;
	}
	err = vmx_msrlists_alloc(vmx);
	if (!err)
		err = vmx_vpid_alloc(vmx);
	if (err)
		goto fail;
	vmx->vmcs->revision = vmx_global.revision;
	/* The region may be anything to the CPU until it is cleared once. */
	get_cpu();
	vmx_clear(__pa(vmx->vmcs));
	put_cpu();
	return 0;
fail:
	vmx_vcpu_fini(vcpu);
	return err;
}

static void vmx_vcpu_reset(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_access_begin(vmx);
	vmx_control_reset(vcpu);
	vmx_access_end(vmx);
	vcpu->valid = 0;
	vcpu->dirty = 0;
}

const struct keel_backend_ops vmx_ops = {
	.name = "vmx",
	.vendor = KEEL_VENDOR_INTEL,
	.tsc_format = { .int_bits = 16, .frac_bits = 48 },
	.probe = vmx_probe,
	.caps = vmx_caps,
	.setup = vmx_setup,
	.teardown = vmx_teardown,
	.cpu_on = vmx_cpu_on,
	.cpu_off = vmx_cpu_off,
	.cpu_emergency_off = vmx_cpu_emergency_off,
	.vm_init = vmx_vm_init,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_fini = vmx_vcpu_fini,
	.vcpu_reset = vmx_vcpu_reset,
	.load = vmx_load,
	.put = vmx_put,
	.enter = vmx_enter,
	.state_get = vmx_state_get,
	.state_set = vmx_state_set,
	.inject = vmx_inject,
	.requeue = vmx_requeue,
	.can_inject = vmx_can_inject,
	.window = vmx_window,
	.tpr_threshold = vmx_tpr_threshold,
	.set_root = vmx_set_root,
	.flush = vmx_flush,
	.log_dirty = vmx_log_dirty,
	.set_tsc_offset = vmx_set_tsc_offset,
	.set_timer = vmx_set_timer,
	.sync_apic = vmx_sync_apic,
	.dr_access = vmx_dr_access,
	.skip_insn = vmx_skip_insn,
	.dump = vmx_dump,
};
