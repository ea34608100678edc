// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of user space: one table for each kind of file, one function that
 * copies, checks, locks and dispatches.  It must not know what a call does
 * beyond handing over its arguments.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/types.h>
#include <linux/ioctl.h>
/* The 32-bit layout is the 64-bit one if neither has padding: make gcc prove it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"
#include <linux/keel.h>
#pragma GCC diagnostic pop
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>
#include "core/call.h"
#include "core/compat.h"
#include "core/cpuid.h"
#include "core/dev.h"
#include "core/event.h"
#include "core/state.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "irqchip/irqchip.h"

#define DEV_MAX_MEM_OPS		4096
#define DEV_MAX_ROUTES		4096

/* Stack space for the largest struct of any call. */
union dev_arg {
	struct keel_call_head head;
	struct keel_info info;
	struct keel_cpuid cpuid;
	struct keel_create_vm create_vm;
	struct keel_mem_commit mem_commit;
	struct keel_dirty_get dirty_get;
	struct keel_create_vcpu create_vcpu;
	struct keel_irqchip irqchip;
	struct keel_irq_line irq_line;
	struct keel_msi msi;
	struct keel_routes routes;
	struct keel_irqfd irqfd;
	struct keel_ioeventfd ioeventfd;
	struct keel_policy policy;
	struct keel_pause pause;
	struct keel_stats_fd stats_fd;
	struct keel_inject inject;
	struct keel_translate translate;
	struct keel_state state;
};

/* The sizes of the first version are for ever. */
static_assert(sizeof(struct keel_info) == 96);
static_assert(sizeof(struct keel_cpuid) == 24);
static_assert(sizeof(struct keel_create_vm) == 24);
static_assert(sizeof(struct keel_mem_op) == 32);
static_assert(sizeof(struct keel_mem_commit) == 24);
static_assert(sizeof(struct keel_dirty_get) == 48);
static_assert(sizeof(struct keel_create_vcpu) == 16);
static_assert(sizeof(struct keel_irqchip) == 8);
static_assert(sizeof(struct keel_irq_line) == 16);
static_assert(sizeof(struct keel_msi) == 24);
static_assert(sizeof(struct keel_route) == 24);
static_assert(sizeof(struct keel_routes) == 24);
static_assert(sizeof(struct keel_irqfd) == 24);
static_assert(sizeof(struct keel_ioeventfd) == 32);
static_assert(sizeof(struct keel_policy) == 24);
static_assert(sizeof(struct keel_pause) == 8);
static_assert(sizeof(struct keel_stats_fd) == 8);
static_assert(sizeof(struct keel_stats_head) == 32);
static_assert(sizeof(struct keel_stat_desc) == 48);
static_assert(sizeof(struct keel_inject) == 24);
static_assert(sizeof(struct keel_translate) == 32);
static_assert(sizeof(struct keel_state) == 40);
static_assert(sizeof(struct keel_rec) == 16);
static_assert(sizeof(struct keel_regs) == 144);
static_assert(sizeof(struct keel_sregs) == 224);
static_assert(sizeof(struct keel_cpuid_entry) == 32);
static_assert(sizeof(struct keel_run) == 496);
static_assert(offsetof(struct keel_run, pio) == 32);
static_assert(offsetof(struct keel_run, regs) == 128);

/* What a handler gets. */
struct dev_ctx {
	struct keel_vm *vm;	/* NULL on the device */
	struct keel_vcpu *vcpu;	/* NULL but on a vCPU */
	void *array;		/* kernel copy of what the row's array fields name */
};

/* Row flags */
#define CALL_LOCK	BIT(0)	/* vm->lock is held around the handler */
#define CALL_OWN	BIT(1)	/* the caller owns the vCPU around the handler */
#define CALL_ANY_MM	BIT(2)	/* harmless: any process may call */
#define CALL_OUT	BIT(3)	/* the struct is copied back, whatever the result */
#define CALL_OUT_FAILED	BIT(4)	/* the struct is copied back when the call failed */

/* An array behind a struct: copied in before any lock is taken. */
struct dev_array {
	u16 ptr_at;		/* offset of its __u64 address, 0: no array */
	u16 nr_at;		/* offset of its __u32 count */
	u32 elem;		/* bytes of an element */
	u32 min, max;		/* count, else -EINVAL */
};

struct dev_call {
	struct keel_call call;
	struct dev_array array;
	u32 flags;
	long (*fn)(struct dev_ctx *ctx, void *arg);
};

/* ---- handlers: /dev/keel ----------------------------------------------------- */

/* The text of the audit into the caller's buffer, cut to fit. */
static int info_report(struct keel_info *info)
{
	struct keel_report report = { .size = min_t(u32, info->report_size, 65536) };
	int ret = 0;

	if (!info->report && info->report_size)
		return -EINVAL;
	if (report.size) {
		report.buf = kvzalloc(report.size, GFP_KERNEL_ACCOUNT);
		if (!report.buf)
			return -ENOMEM;
	}
	keel_audit(&report);
	if (report.size && copy_to_user(u64_to_user_ptr(info->report), report.buf,
					min(report.len + 1, report.size)))
		ret = -EFAULT;
	kvfree(report.buf);
	info->report_size = report.len + 1;
	return ret;
}

static long dev_get_info(struct dev_ctx *ctx, void *arg)
{
	struct keel_info *info = arg;

	info->max_vcpus = KEEL_MAX_VCPUS;
	info->max_slots = KEEL_MAX_SLOTS;
	info->run_size = PAGE_SIZE;
	info->vendor = KEEL_VENDOR_NONE;
	info->features = 0;
	info->cpu_caps = 0;
	if (keel_backend) {
		info->vendor = keel_backend->vendor;
		info->features = KEEL_FEATS_ALL;
		if (!keel_tsc_khz_max())
			info->features &= ~KEEL_FEAT_TSC_SCALING;
		info->cpu_caps = keel_backend->caps();
	}
	info->gpa_bits = keel_gpa_bits();
	info->tsc_khz = tsc_khz;
	info->tsc_khz_max = keel_tsc_khz_max();
	info->xsave_size = keel_xsave_size;
	info->xcr0 = keel_host_xcr0;
	info->nr_vms = atomic_long_read(&keel_nr_vms);
	info->nr_vcpus = atomic_long_read(&keel_nr_vcpus);
	info->kernel_bytes = atomic_long_read(&keel_mem_kernel);
	info->stage2_bytes = atomic_long_read(&keel_mem_stage2);
	return info_report(info);
}

static long dev_cpuid_get(struct dev_ctx *ctx, void *arg)
{
	struct keel_cpuid *cpuid = arg;
	struct keel_cpuid_entry *entries = NULL;
	u32 nr = min_t(u32, cpuid->nr, KEEL_MAX_CPUID);
	int ret;

	if (nr) {
		entries = kvcalloc(nr, sizeof(*entries), GFP_KERNEL_ACCOUNT);
		if (!entries)
			return -ENOMEM;
	}
	ret = keel_cpuid_supported(entries, &nr);
	cpuid->nr = nr;
	cpuid->bad = 0;
	if (!ret && copy_to_user(u64_to_user_ptr(cpuid->entries), entries,
				 array_size(nr, sizeof(*entries))))
		ret = -EFAULT;
	kvfree(entries);
	return ret;
}

static long dev_create_vm(struct dev_ctx *ctx, void *arg)
{
	return keel_vm_create(arg);
}

/* ---- handlers: VM ------------------------------------------------------------ */

static long vm_mem_commit(struct dev_ctx *ctx, void *arg)
{
	struct keel_mem_commit *commit = arg;

	commit->bad = 0;
	return keel_mem_commit(ctx->vm, ctx->array, commit->nr, &commit->bad);
}

/* It takes vm->lock itself, and drops it before it writes to the launcher. */
static long vm_dirty_get(struct dev_ctx *ctx, void *arg)
{
	return keel_dirty_get(ctx->vm, arg);
}

static long vm_create_vcpu(struct dev_ctx *ctx, void *arg)
{
	struct keel_create_vcpu *create = arg;

	return keel_vcpu_create(ctx->vm, create->id);
}

static long vm_irqchip(struct dev_ctx *ctx, void *arg)
{
	struct keel_irqchip *irqchip = arg;
	struct keel_vm *vm = ctx->vm;

	if (!(vm->features & KEEL_FEAT_IRQCHIP))
		return -EOPNOTSUPP;
	if (vm->irqchip)
		return -EEXIST;
	if (vm->nr_vcpus)
		return -EBUSY;
	return irqchip_create(vm, irqchip->flags & KEEL_IRQCHIP_PIT);
}

/* No lock: the controllers have their own, and vm->irqchip is set for good. */
static long vm_irq_line(struct dev_ctx *ctx, void *arg)
{
	struct keel_irq_line *line = arg;
	int ret;

	if (line->level > 1 || !READ_ONCE(ctx->vm->irqchip))
		return -EINVAL;
	ret = irq_set_gsi(ctx->vm, line->gsi, line->level, IRQ_SOURCE_USER);
	return min(ret, 0);
}

static long vm_msi(struct dev_ctx *ctx, void *arg)
{
	struct keel_msi *msi = arg;

	if (!READ_ONCE(ctx->vm->irqchip))
		return -EINVAL;
	return irq_send_msi(ctx->vm, msi->address, msi->data);
}

static long vm_routes(struct dev_ctx *ctx, void *arg)
{
	struct keel_routes *routes = arg;

	routes->bad = 0;
	if (!ctx->vm->irqchip)
		return -EINVAL;
	return irq_set_routes(ctx->vm, ctx->array, routes->nr, &routes->bad);
}

static long vm_irqfd(struct dev_ctx *ctx, void *arg)
{
	if (!(ctx->vm->features & KEEL_FEAT_IRQFD))
		return -EOPNOTSUPP;
	return keel_irqfd_ioctl(ctx->vm, arg);
}

static long vm_ioeventfd(struct dev_ctx *ctx, void *arg)
{
	if (!(ctx->vm->features & KEEL_FEAT_IOEVENTFD))
		return -EOPNOTSUPP;
	return keel_ioeventfd_ioctl(ctx->vm, arg);
}

static long vm_cpuid_set(struct dev_ctx *ctx, void *arg)
{
	struct keel_cpuid *cpuid = arg;

	cpuid->bad = 0;
	return keel_cpuid_set(ctx->vm, ctx->array, cpuid->nr, &cpuid->bad);
}

static long vm_policy_set(struct dev_ctx *ctx, void *arg)
{
	return keel_vm_policy(ctx->vm, arg);
}

static long vm_pause(struct dev_ctx *ctx, void *arg)
{
	return keel_vm_pause(ctx->vm);
}

static long vm_resume(struct dev_ctx *ctx, void *arg)
{
	return keel_vm_resume(ctx->vm);
}

static long vm_stats_fd(struct dev_ctx *ctx, void *arg)
{
	return keel_stats_fd(ctx->vm);
}

/* ---- handlers: vCPU ---------------------------------------------------------- */

static long vcpu_inject(struct dev_ctx *ctx, void *arg)
{
	struct keel_inject *inject = arg;
	int ret;

	/* An NMI may come from anywhere, the rest changes what RUN works on. */
	if (inject->kind == KEEL_INJECT_NMI)
		return keel_vcpu_inject(ctx->vcpu, inject);
	ret = keel_vcpu_own(ctx->vcpu);
	if (ret)
		return ret;
	ret = keel_vcpu_inject(ctx->vcpu, inject);
	keel_vcpu_disown(ctx->vcpu);
	return ret;
}

static long vcpu_translate(struct dev_ctx *ctx, void *arg)
{
	return keel_vcpu_translate(ctx->vcpu, arg);
}

/* ---- handlers: state, of a VM or of a vCPU ----------------------------------- */

static long any_state_get(struct dev_ctx *ctx, void *arg)
{
	return keel_state_get(ctx->vm, ctx->vcpu, arg);
}

static long any_state_set(struct dev_ctx *ctx, void *arg)
{
	return keel_state_set(ctx->vm, ctx->vcpu, arg);
}

/* ---- the tables -------------------------------------------------------------- */

#define CALL(type, mask)						\
	.call = { .min_size = sizeof(struct type), .size = sizeof(struct type),	\
		  .flags_mask = (mask) }
#define CALL_RESERVED(type, mask)					\
	.call = { .min_size = sizeof(struct type), .size = sizeof(struct type),	\
		  .flags_mask = (mask),					\
		  .reserved_at = offsetof(struct type, reserved),	\
		  .reserved_len = sizeof_field(struct type, reserved) }
#define ARRAY(type, field, item, lo, hi)				\
	.array = { .ptr_at = offsetof(struct type, field),		\
		   .nr_at = offsetof(struct type, nr),			\
		   .elem = sizeof(struct item), .min = (lo), .max = (hi) }

static const struct dev_call dev_calls[] = {
	[_IOC_NR(KEEL_INFO)] = {
		CALL(keel_info, 0), .flags = CALL_OUT, .fn = dev_get_info },
	[_IOC_NR(KEEL_CPUID_GET)] = {
		CALL(keel_cpuid, 0), .flags = CALL_OUT, .fn = dev_cpuid_get },
	[_IOC_NR(KEEL_CREATE_VM)] = {
		CALL(keel_create_vm, 0), .flags = CALL_OUT_FAILED, .fn = dev_create_vm },
};

#define VM_FIRST	_IOC_NR(KEEL_MEM_COMMIT)
#define STATE_FIRST	_IOC_NR(KEEL_STATE_GET)
#define VCPU_FIRST	_IOC_NR(KEEL_RUN)

static const struct dev_call vm_calls[] = {
	[_IOC_NR(KEEL_MEM_COMMIT) - VM_FIRST] = {
		CALL(keel_mem_commit, 0),
		ARRAY(keel_mem_commit, ops, keel_mem_op, 1, DEV_MAX_MEM_OPS),
		.flags = CALL_LOCK | CALL_OUT_FAILED, .fn = vm_mem_commit },
	[_IOC_NR(KEEL_CREATE_VCPU) - VM_FIRST] = {
		CALL_RESERVED(keel_create_vcpu, 0), .flags = CALL_LOCK, .fn = vm_create_vcpu },
	[_IOC_NR(KEEL_IRQCHIP) - VM_FIRST] = {
		CALL(keel_irqchip, KEEL_IRQCHIP_PIT), .flags = CALL_LOCK, .fn = vm_irqchip },
	[_IOC_NR(KEEL_IRQ_LINE) - VM_FIRST] = {
		CALL(keel_irq_line, 0), .fn = vm_irq_line },
	[_IOC_NR(KEEL_MSI) - VM_FIRST] = {
		CALL_RESERVED(keel_msi, 0), .fn = vm_msi },
	[_IOC_NR(KEEL_ROUTES) - VM_FIRST] = {
		CALL(keel_routes, 0),
		ARRAY(keel_routes, routes, keel_route, 0, DEV_MAX_ROUTES),
		.flags = CALL_LOCK | CALL_OUT_FAILED, .fn = vm_routes },
	[_IOC_NR(KEEL_IRQFD) - VM_FIRST] = {
		CALL_RESERVED(keel_irqfd, KEEL_IRQFD_DEASSIGN | KEEL_IRQFD_RESAMPLE),
		.flags = CALL_LOCK, .fn = vm_irqfd },
	[_IOC_NR(KEEL_IOEVENTFD) - VM_FIRST] = {
		CALL(keel_ioeventfd, KEEL_IOEVENTFD_DEASSIGN | KEEL_IOEVENTFD_PIO |
				     KEEL_IOEVENTFD_MATCH),
		.flags = CALL_LOCK, .fn = vm_ioeventfd },
	[_IOC_NR(KEEL_CPUID_SET) - VM_FIRST] = {
		CALL(keel_cpuid, 0),
		ARRAY(keel_cpuid, entries, keel_cpuid_entry, 0, KEEL_MAX_CPUID),
		.flags = CALL_LOCK | CALL_OUT_FAILED, .fn = vm_cpuid_set },
	[_IOC_NR(KEEL_POLICY_SET) - VM_FIRST] = {
		CALL(keel_policy, 0), .flags = CALL_LOCK, .fn = vm_policy_set },
	[_IOC_NR(KEEL_PAUSE) - VM_FIRST] = {
		CALL(keel_pause, 0), .flags = CALL_LOCK, .fn = vm_pause },
	[_IOC_NR(KEEL_RESUME) - VM_FIRST] = {
		CALL(keel_pause, 0), .flags = CALL_LOCK, .fn = vm_resume },
	[_IOC_NR(KEEL_STATS_FD) - VM_FIRST] = {
		CALL(keel_stats_fd, 0), .flags = CALL_ANY_MM, .fn = vm_stats_fd },
	[_IOC_NR(KEEL_DIRTY_GET) - VM_FIRST] = {
		CALL(keel_dirty_get, 0), .flags = CALL_OUT, .fn = vm_dirty_get },
};

/* KEEL_RUN and KEEL_KICK have no struct and no row: see vcpu_ioctl(). */
static const struct dev_call vcpu_calls[] = {
	[_IOC_NR(KEEL_INJECT) - VCPU_FIRST] = {
		CALL_RESERVED(keel_inject, 0), .fn = vcpu_inject },
	[_IOC_NR(KEEL_TRANSLATE) - VCPU_FIRST] = {
		CALL(keel_translate, 0), .flags = CALL_OWN | CALL_OUT, .fn = vcpu_translate },
};

/* core/state.c takes the vCPU, or vm->lock, after it has copied the records. */
static const struct dev_call state_calls[] = {
	[_IOC_NR(KEEL_STATE_GET) - STATE_FIRST] = {
		CALL_RESERVED(keel_state, 0), .flags = CALL_OUT, .fn = any_state_get },
	[_IOC_NR(KEEL_STATE_SET) - STATE_FIRST] = {
		CALL_RESERVED(keel_state, 0), .flags = CALL_OUT, .fn = any_state_set },
};

static const struct dev_call *dev_find(const struct dev_call *rows, unsigned int nr_rows,
				       unsigned int first, unsigned int cmd)
{
	unsigned int nr = _IOC_NR(cmd) - first;

	/* _IO() calls: size and direction are zero, or it is another call. */
	if (cmd != _IO(KEEL_IOC_MAGIC, _IOC_NR(cmd)) || nr >= nr_rows)
		return NULL;
	nr = array_index_nospec(nr, nr_rows);
	return rows[nr].fn ? &rows[nr] : NULL;
}

/* ---- copy, check, lock, dispatch --------------------------------------------- */

static int dev_copy_in(const struct keel_call *call, void *arg, u32 *usize, void __user *uarg)
{
	int ret;

	if (get_user(*usize, (u32 __user *)uarg))
		return -EFAULT;
	ret = keel_call_check_size(call, *usize);
	if (ret)
		return ret;
	ret = copy_struct_from_user(arg, call->size, uarg, *usize);
	if (ret)
		return ret;
	return keel_call_check(call, arg, *usize);
}

static int dev_copy_array(const struct dev_array *array, const void *arg, void **copy)
{
	u64 ptr = *(const u64 *)(arg + array->ptr_at);
	u32 nr = *(const u32 *)(arg + array->nr_at);
	void *p;

	if (nr < array->min || nr > array->max)
		return -EINVAL;
	if (!nr)
		return 0;
	p = vmemdup_user(u64_to_user_ptr(ptr), array_size(nr, array->elem));
	if (IS_ERR(p))
		return PTR_ERR(p);
	*copy = p;
	return 0;
}

/* The handler, inside of what its row asks for. */
static long dev_locked(const struct dev_call *row, struct dev_ctx *ctx, void *arg)
{
	long ret;

	if (row->flags & CALL_LOCK) {
		if (mutex_lock_killable(&ctx->vm->lock))
			return -EINTR;
		/* It may have broken while we waited. */
		ret = READ_ONCE(ctx->vm->bugged) ? -EIO : row->fn(ctx, arg);
		mutex_unlock(&ctx->vm->lock);
		return ret;
	}
	if (row->flags & CALL_OWN) {
		ret = keel_vcpu_own(ctx->vcpu);
		if (ret)
			return ret;
		ret = row->fn(ctx, arg);
		keel_vcpu_disown(ctx->vcpu);
		return ret;
	}
	return row->fn(ctx, arg);
}

static long dev_dispatch(const struct dev_call *row, struct dev_ctx *ctx, unsigned long uarg)
{
	void __user *user = (void __user *)uarg;
	union dev_arg arg;
	u32 usize, common;
	long ret;

	ret = dev_copy_in(&row->call, &arg, &usize, user);
	if (ret)
		return ret;
	if (row->array.ptr_at) {
		ret = dev_copy_array(&row->array, &arg, &ctx->array);
		if (ret)
			return ret;
	}
	ret = dev_locked(row, ctx, &arg);
	kvfree(ctx->array);
	if ((row->flags & CALL_OUT) || ((row->flags & CALL_OUT_FAILED) && ret < 0)) {
		common = keel_call_common(&row->call, usize);
		if (copy_to_user(user, &arg, common))
			return -EFAULT;
	}
	return ret;
}

/* What holds for every call on a VM or a vCPU, before it looks at anything. */
static int dev_admit(struct keel_vm *vm, bool any_mm)
{
	if (unlikely(current->mm != vm->mm) && !any_mm)
		return -EPERM;
	return unlikely(READ_ONCE(vm->bugged)) ? -EIO : 0;
}

/* ---- files ------------------------------------------------------------------- */

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct dev_call *row = dev_find(dev_calls, ARRAY_SIZE(dev_calls), 0, cmd);
	struct dev_ctx ctx = { };

	return row ? dev_dispatch(row, &ctx, arg) : -ENOTTY;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct dev_call *row = dev_find(vm_calls, ARRAY_SIZE(vm_calls), VM_FIRST, cmd);
	struct dev_ctx ctx = { .vm = file->private_data };
	int ret;

	if (!row)
		row = dev_find(state_calls, ARRAY_SIZE(state_calls), STATE_FIRST, cmd);
	if (!row)
		return -ENOTTY;
	ret = dev_admit(ctx.vm, row->flags & CALL_ANY_MM);
	return ret ?: dev_dispatch(row, &ctx, arg);
}

static long vcpu_run(struct keel_vcpu *vcpu, unsigned long arg)
{
	int ret = dev_admit(vcpu->vm, false);

	if (unlikely(ret))
		return ret;
	if (unlikely(arg))
		return -EINVAL;
	ret = keel_vcpu_own(vcpu);
	if (unlikely(ret))
		return ret;
	ret = keel_vcpu_run(vcpu);
	keel_vcpu_disown(vcpu);
	return ret;
}

/* Any process may kick: it learns nothing and the run loop copes. */
static long vcpu_kick(struct keel_vcpu *vcpu, unsigned long arg)
{
	int ret = dev_admit(vcpu->vm, true);

	if (ret)
		return ret;
	if (arg)
		return -EINVAL;
	keel_vcpu_request(vcpu, KEEL_REQ_KICK);
	return 0;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct keel_vcpu *vcpu = file->private_data;
	const struct dev_call *row;
	struct dev_ctx ctx;
	int ret;

	if (likely(cmd == KEEL_RUN))
		return vcpu_run(vcpu, arg);
	if (cmd == KEEL_KICK)
		return vcpu_kick(vcpu, arg);

	row = dev_find(vcpu_calls, ARRAY_SIZE(vcpu_calls), VCPU_FIRST, cmd);
	if (!row)
		row = dev_find(state_calls, ARRAY_SIZE(state_calls), STATE_FIRST, cmd);
	if (!row)
		return -ENOTTY;
	ctx = (struct dev_ctx){ .vm = vcpu->vm, .vcpu = vcpu };
	ret = dev_admit(ctx.vm, row->flags & CALL_ANY_MM);
	return ret ?: dev_dispatch(row, &ctx, arg);
}

static int vm_release(struct inode *inode, struct file *file)
{
	keel_vm_put(file->private_data);
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct keel_vcpu *vcpu = file->private_data;

	keel_vm_put(vcpu->vm);
	return 0;
}

/* The run page.  The mapping holds the file, the file holds the vCPU. */
static vm_fault_t run_page_fault(struct vm_fault *vmf)
{
	struct keel_vcpu *vcpu = vmf->vma->vm_file->private_data;

	if (vmf->pgoff)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(vcpu->run);
	get_page(vmf->page);
	return 0;
}

static vm_fault_t ledger_fault(struct vm_fault *vmf)
{
	struct keel_vcpu *vcpu = vmf->vma->vm_file->private_data;
	unsigned long at = (vmf->pgoff << PAGE_SHIFT) - KEEL_LEDGER_OFFSET;

	if (at >= KEEL_LEDGER_SIZE)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page((void *)vcpu->ledger.map + at);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct run_page_ops = {
	.fault = run_page_fault,
};

static const struct vm_operations_struct ledger_ops = {
	.fault = ledger_fault,
};

/* Nobody but the vCPU writes its ledger. */
static int ledger_mmap(struct vm_area_struct *vma)
{
	unsigned long first = vma->vm_pgoff - (KEEL_LEDGER_OFFSET >> PAGE_SHIFT);
	unsigned long pages = KEEL_LEDGER_SIZE >> PAGE_SHIFT;

	if (first >= pages || vma_pages(vma) > pages - first)
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
	vm_flags_clear(vma, VM_MAYWRITE);
	vma->vm_ops = &ledger_ops;
	return 0;
}

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct keel_vcpu *vcpu = file->private_data;
	int ret = dev_admit(vcpu->vm, false);

	static_assert(sizeof(struct keel_run) <= PAGE_SIZE);
	if (ret)
		return ret;
	if (!(vma->vm_flags & VM_SHARED) || (vma->vm_flags & VM_EXEC))
		return -EINVAL;
	if (vma->vm_pgoff) {
		ret = ledger_mmap(vma);
		if (ret)
			return ret;
	} else {
		if (vma_pages(vma) != 1)
			return -EINVAL;
		vma->vm_ops = &run_page_ops;
	}
	vm_flags_clear(vma, VM_MAYEXEC);
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	return 0;
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

const struct file_operations keel_vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

const struct file_operations keel_vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice dev_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "keel",
	.nodename = "keel",
	.mode = 0660,
	.fops = &dev_fops,
};

int keel_dev_init(void)
{
	return misc_register(&dev_misc);
}

void keel_dev_exit(void)
{
	misc_deregister(&dev_misc);
}
