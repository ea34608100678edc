// SPDX-License-Identifier: GPL-2.0
/*
 * The SVM back end's table, and the life of its per-VM and per-vCPU parts.
 * It must not know anything above core/backend.h.
 */
#include <linux/mm.h>
#include <linux/mem_encrypt.h>
#include <asm/io.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include "core/mitigate.h"
#include "core/stats.h"
#include "svm/svm.h"

static int svm_vm_init(struct keel_vm *vm)
{
	u8 max_leaf = svm_global.caps & KEEL_CAP_1G_PAGES ? S2_LEVEL_1G : S2_LEVEL_2M;
	int ret = svm_quirk_probe();

	if (ret)
		return ret;
	return s2_init(vm, &npt_format, svm_global.stage2_levels, max_leaf);
}

static void svm_vcpu_fini(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm)
		return;
	if (svm->vmcb) {
		free_page((unsigned long)svm->vmcb);
		keel_account(-(long)PAGE_SIZE);
	}
	kfree(svm);
	keel_account(-(long)sizeof(*svm));
	vcpu->arch = NULL;
}

static int svm_vcpu_init(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	if (!svm)
		return -ENOMEM;
	keel_account(sizeof(*svm));
	vcpu->arch = svm;
	svm->last_cpu = -1;
	svm->vmcb = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb) {
		svm_vcpu_fini(vcpu);
		return -ENOMEM;
	}
	keel_account(PAGE_SIZE);
	svm->sw.vmcb_pa = __sme_set(__pa(svm->vmcb));
	return 0;
}

static void svm_vcpu_reset(struct keel_vcpu *vcpu)
{
	svm_control_reset(vcpu);
	vcpu->valid = 0;
	vcpu->dirty = 0;
}

static void svm_load(struct keel_vcpu *vcpu, int cpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);

	if (svm->last_cpu != cpu) {
		svm->last_cpu = cpu;
		svm->asid_generation = 0;
		svm->vmcb->control.clean = 0;
		svm->sw.host_pa = __sme_set(page_to_phys(sc->host));
	}
	/* The host's FS, GS and syscall MSRs are this thread's: save them once a load. */
	svm_host_save(svm->sw.host_pa);
	svm->sw.switch_spec_ctrl = keel_spec_ctrl_load(vcpu, &svm->sw.guest_spec_ctrl,
						       &svm->sw.host_spec_ctrl);
}

static void svm_put(struct keel_vcpu *vcpu)
{
}

const struct keel_backend_ops svm_ops = {
	.name = "svm",
	.vendor = KEEL_VENDOR_AMD,
	.probe = svm_probe,
	.caps = svm_caps,
	.setup = svm_setup,
	.teardown = svm_teardown,
	.cpu_on = svm_cpu_on,
	.cpu_off = svm_cpu_off,
	.cpu_emergency_off = svm_cpu_emergency_off,
	.vm_init = svm_vm_init,
	.vcpu_init = svm_vcpu_init,
	.vcpu_fini = svm_vcpu_fini,
	.vcpu_reset = svm_vcpu_reset,
	.load = svm_load,
	.put = svm_put,
	.enter = svm_enter,
	.state_get = svm_state_get,
	.state_set = svm_state_set,
	.inject = svm_inject,
	.requeue = svm_requeue,
	.can_inject = svm_can_inject,
	.window = svm_window,
	.tpr_threshold = svm_tpr_threshold,
	.set_root = svm_set_root,
	.flush = svm_flush,
	.set_tsc_offset = svm_set_tsc_offset,
	.dr_access = svm_dr_access,
	.skip_insn = svm_skip_insn,
	.dump = svm_dump,
};
