// SPDX-License-Identifier: GPL-2.0
/*
 * One virtual machine: its life, pause and resume.  Everything here
 * happens in the caller's thread and waits for no grace period.  It must not
 * know a vendor's control block, nor what a device does.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/keel.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "core/compat.h"
#include "core/cpuid.h"
#include "core/dev.h"
#include "core/event.h"
#include "core/hw.h"
#include "core/run.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "irqchip/irqchip.h"

DEFINE_SRCU(keel_srcu);

atomic_long_t keel_mem_kernel, keel_mem_stage2, keel_nr_vms, keel_nr_vcpus;

/* ---- life -------------------------------------------------------------------- */

static struct keel_vm *vm_alloc(u64 features)
{
	struct keel_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm)
		return NULL;
	refcount_set(&vm->refs, 1);
	mutex_init(&vm->lock);
	INIT_LIST_HEAD(&vm->irqfds);
	INIT_LIST_HEAD(&vm->ioeventfds);
	init_waitqueue_head(&vm->pause_wait);
	vm->features = features;
	vm->policy.msr = KEEL_POLICY_FAULT;
	vm->policy.pio = KEEL_POLICY_EXIT;
	vm->policy.mmio = KEEL_POLICY_EXIT;
	vm->policy.hypercall = KEEL_POLICY_FAULT;
	vm->mm = current->mm;
	mmgrab(vm->mm);
	keel_account(sizeof(*vm));
	atomic_long_inc(&keel_nr_vms);
	return vm;
}

static void vm_free(struct keel_vm *vm)
{
	mmdrop(vm->mm);
	mutex_destroy(&vm->lock);
	kfree(vm);
	keel_account(-(long)sizeof(*vm));
	atomic_long_dec(&keel_nr_vms);
}

/* The parts of a VM that is not visible to anybody yet. */
static int vm_build(struct keel_vm *vm)
{
	int ret;

	ret = keel_mem_init(vm);
	if (ret)
		return ret;
	ret = keel_iobus_init(vm);
	if (ret)
		goto err_mem;
	keel_event_init(vm);
	mutex_lock(&vm->lock);
	ret = keel_cpuid_default(vm);
	mutex_unlock(&vm->lock);
	if (ret)
		goto err_iobus;
	ret = keel_backend->vm_init(vm);
	if (ret)
		goto err_cpuid;
	return 0;

err_cpuid:
	keel_cpuid_fini(vm);
err_iobus:
	keel_iobus_fini(vm);
err_mem:
	keel_mem_fini(vm);
	return ret;
}

/*
 * The last reference is gone: no file, so no call and no vCPU thread.  What
 * can still act on the VM goes first, in the order in which one would call
 * the next: eventfds and timers, which raise interrupts; the mmu notifier,
 * which kicks vCPUs; the vCPUs; the controllers; the memory.
 */
static void vm_destroy(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	u32 i;

	keel_event_fini(vm);
	if (vm->irqchip && !vm->paused)
		irqchip_pause(vm);
	s2_fini(vm);
	keel_for_each_vcpu(i, vcpu, vm) {
		vm->vcpus[i] = NULL;
		keel_vcpu_destroy(vcpu);
	}
	mutex_lock(&vm->lock);
	irqchip_destroy(vm);
	keel_iobus_fini(vm);
	keel_cpuid_fini(vm);
	mutex_unlock(&vm->lock);
	keel_mem_fini(vm);
	vm_free(vm);
	keel_hw_put();
}

void keel_vm_put(struct keel_vm *vm)
{
	if (refcount_dec_and_test(&vm->refs))
		vm_destroy(vm);
}

int keel_vm_create(struct keel_create_vm *arg)
{
	struct keel_vm *vm;
	struct file *file;
	int fd, ret;

	arg->busy_reason = KEEL_BUSY_NONE;
	if (!keel_backend || (arg->features & ~KEEL_FEATS_ALL))
		return -EOPNOTSUPP;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	ret = keel_hw_get(&arg->busy_reason);
	if (ret)
		goto err_fd;
	vm = vm_alloc(arg->features);
	if (!vm) {
		ret = -ENOMEM;
		goto err_hw;
	}
	ret = keel_tsc_init(vm, arg->tsc_khz);
	if (!ret)
		ret = vm_build(vm);
	if (ret) {
		vm_free(vm);
		goto err_hw;
	}
	file = anon_inode_getfile("keel-vm", &keel_vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		keel_vm_put(vm);	/* takes the hardware reference along */
		goto err_fd;
	}
	fd_install(fd, file);
	return fd;

err_hw:
	keel_hw_put();
err_fd:
	put_unused_fd(fd);
	return ret;
}

void keel_vm_bugged(struct keel_vm *vm, const char *what)
{
	struct keel_vcpu *vcpu;
	u32 i;

	if (xchg(&vm->bugged, true))
		return;
	WARN_ONCE(1, "keel: VM stopped for good, broken invariant: %s\n", what);
	keel_for_each_vcpu(i, vcpu, vm)
		keel_vcpu_request(vcpu, KEEL_REQ_DEAD);
	wake_up_all(&vm->pause_wait);
}

/* ---- policy ------------------------------------------------------------------ */

int keel_vm_policy(struct keel_vm *vm, const struct keel_policy *arg)
{
	if (arg->msr > KEEL_POLICY_ZERO || arg->hypercall > KEEL_POLICY_ZERO)
		return -EINVAL;
	if (arg->pio != KEEL_POLICY_EXIT && arg->pio != KEEL_POLICY_ZERO)
		return -EINVAL;
	if (arg->mmio != KEEL_POLICY_EXIT && arg->mmio != KEEL_POLICY_ZERO)
		return -EINVAL;
	WRITE_ONCE(vm->policy.msr, arg->msr);
	WRITE_ONCE(vm->policy.pio, arg->pio);
	WRITE_ONCE(vm->policy.mmio, arg->mmio);
	WRITE_ONCE(vm->policy.hypercall, arg->hypercall);
	return 0;
}

/* ---- pause ------------------------------------------------------------------- */

/* No vCPU is between the start of RUN and the place where it parks. */
static bool vm_is_quiet(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	u32 i;

	/* Order vm->paused before the states; pairs with the run loop's barrier. */
	smp_mb();
	keel_for_each_vcpu(i, vcpu, vm)
		if (READ_ONCE(vcpu->run_state) == KEEL_ACTIVE)
			return false;
	return true;
}

static void vm_unpark(struct keel_vm *vm)
{
	WRITE_ONCE(vm->paused, false);
	wake_up_all(&vm->pause_wait);
}

int keel_vm_pause(struct keel_vm *vm)
{
	lockdep_assert_held(&vm->lock);
	if (vm->paused)
		return -EALREADY;
	WRITE_ONCE(vm->pause_tsc, 0);
	WRITE_ONCE(vm->paused, true);
	keel_vm_request_wait(vm, KEEL_REQ_PAUSE);
	if (wait_event_interruptible(vm->pause_wait, vm_is_quiet(vm))) {
		vm_unpark(vm);
		return -EINTR;
	}
	/* The clock stops first: timers are measured against where it stands. */
	keel_tsc_freeze(vm);
	if (vm->irqchip)
		irqchip_pause(vm);
	return 0;
}

int keel_vm_resume(struct keel_vm *vm)
{
	lockdep_assert_held(&vm->lock);
	if (!vm->paused)
		return -EALREADY;
	keel_tsc_thaw(vm);
	if (vm->irqchip)
		irqchip_resume(vm);
	vm_unpark(vm);
	return 0;
}
