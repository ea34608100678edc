// SPDX-License-Identifier: GPL-2.0
/*
 * The names of the counters and the self-describing stream that user space
 * reads them from.  Adding a counter is adding a line here.  It must not know
 * what is counted.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/keel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "core/mem.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* ---- of a vCPU --------------------------------------------------------------- */

struct vcpu_stat {
	struct keel_stat_desc desc;
	u32 offset;		/* in struct keel_vcpu_stats */
};

#define VCPU(field, what) {							\
	.desc = { .name = #field, .kind = (what), .of = KEEL_STAT_OF_VCPU },	\
	.offset = offsetof(struct keel_vcpu_stats, field) }
#define EXIT(kind_of_exit, text) {						\
	.desc = { .name = "exit_" text, .kind = KEEL_STAT_COUNTER,		\
		  .of = KEEL_STAT_OF_VCPU },					\
	.offset = offsetof(struct keel_vcpu_stats, exits) + (kind_of_exit) * sizeof(u64) }

static const struct vcpu_stat vcpu_stats[] = {
	EXIT(KEEL_X_NONE, "none"),
	EXIT(KEEL_X_INTR, "interrupt"),
	EXIT(KEEL_X_IRQ_WINDOW, "irq_window"),
	EXIT(KEEL_X_NMI_WINDOW, "nmi_window"),
	EXIT(KEEL_X_CPUID, "cpuid"),
	EXIT(KEEL_X_HLT, "hlt"),
	EXIT(KEEL_X_PAUSE, "pause"),
	EXIT(KEEL_X_PIO, "pio"),
	EXIT(KEEL_X_RDMSR, "rdmsr"),
	EXIT(KEEL_X_WRMSR, "wrmsr"),
	EXIT(KEEL_X_CR_READ, "cr_read"),
	EXIT(KEEL_X_CR_WRITE, "cr_write"),
	EXIT(KEEL_X_DR, "dr"),
	EXIT(KEEL_X_STAGE2, "stage2"),
	EXIT(KEEL_X_EXCEPTION, "exception"),
	EXIT(KEEL_X_HYPERCALL, "hypercall"),
	EXIT(KEEL_X_XSETBV, "xsetbv"),
	EXIT(KEEL_X_CACHE, "cache"),
	EXIT(KEEL_X_RDPMC, "rdpmc"),
	EXIT(KEEL_X_UNDEFINED, "undefined"),
	EXIT(KEEL_X_TASK_SWITCH, "task_switch"),
	EXIT(KEEL_X_SHUTDOWN, "shutdown"),
	EXIT(KEEL_X_INIT, "init"),
	EXIT(KEEL_X_ENTRY_FAIL, "entry_fail"),
	EXIT(KEEL_X_UNEXPECTED, "unexpected"),
	VCPU(entries, KEEL_STAT_COUNTER),
	VCPU(user_exits, KEEL_STAT_COUNTER),
	VCPU(signal_exits, KEEL_STAT_COUNTER),
	VCPU(halts, KEEL_STAT_COUNTER),
	VCPU(halt_ns, KEEL_STAT_NS),
	VCPU(kicks, KEEL_STAT_COUNTER),
	VCPU(irqs_injected, KEEL_STAT_COUNTER),
	VCPU(nmis_injected, KEEL_STAT_COUNTER),
	VCPU(exceptions_injected, KEEL_STAT_COUNTER),
	VCPU(mmio_emulated, KEEL_STAT_COUNTER),
	VCPU(emulated_insns, KEEL_STAT_COUNTER),
	VCPU(stage2_mapped, KEEL_STAT_COUNTER),
	VCPU(flushes, KEEL_STAT_COUNTER),
	VCPU(policy_msr, KEEL_STAT_COUNTER),
	VCPU(policy_pio, KEEL_STAT_COUNTER),
	VCPU(policy_mmio, KEEL_STAT_COUNTER),
	VCPU(requests, KEEL_STAT_COUNTER),
};

/* Every word has its name. */
static_assert(ARRAY_SIZE(vcpu_stats) == sizeof(struct keel_vcpu_stats) / sizeof(u64));

/* ---- of a VM ----------------------------------------------------------------- */

static u64 vm_vcpus(struct keel_vm *vm)
{
	return READ_ONCE(vm->nr_vcpus);
}

static u64 vm_slots(struct keel_vm *vm)
{
	struct keel_memmap *map;
	int idx = srcu_read_lock(&keel_srcu);
	u64 nr;

	map = srcu_dereference(vm->memmap, &keel_srcu);
	nr = map ? map->nr : 0;
	srcu_read_unlock(&keel_srcu, idx);
	return nr;
}

static u64 vm_stage2_bytes(struct keel_vm *vm)
{
	return (u64)atomic_long_read(&vm->s2.tables) << PAGE_SHIFT;
}

static u64 vm_mapped_4k(struct keel_vm *vm)
{
	return atomic_long_read(&vm->s2.mapped[0]);
}

static u64 vm_mapped_2m(struct keel_vm *vm)
{
	return atomic_long_read(&vm->s2.mapped[1]);
}

static u64 vm_mapped_1g(struct keel_vm *vm)
{
	return atomic_long_read(&vm->s2.mapped[2]);
}

static u64 vm_paused(struct keel_vm *vm)
{
	return READ_ONCE(vm->paused);
}

static u64 vm_tsc_khz(struct keel_vm *vm)
{
	return keel_tsc_khz(vm);
}

struct vm_stat {
	struct keel_stat_desc desc;
	u64 (*read)(struct keel_vm *vm);
};

#define VM(field, what) {							\
	.desc = { .name = #field, .kind = (what), .of = KEEL_STAT_OF_VM },	\
	.read = vm_##field }

static const struct vm_stat vm_stats[] = {
	VM(vcpus, KEEL_STAT_GAUGE),
	VM(slots, KEEL_STAT_GAUGE),
	VM(stage2_bytes, KEEL_STAT_BYTES),
	VM(mapped_4k, KEEL_STAT_GAUGE),
	VM(mapped_2m, KEEL_STAT_GAUGE),
	VM(mapped_1g, KEEL_STAT_GAUGE),
	VM(paused, KEEL_STAT_GAUGE),
	VM(tsc_khz, KEEL_STAT_GAUGE),
};

/* ---- the stream -------------------------------------------------------------- */

#define NR_DESCS	(ARRAY_SIZE(vm_stats) + ARRAY_SIZE(vcpu_stats))

/* Bytes with @nr_vcpus vCPUs. */
static size_t stats_size(u32 nr_vcpus)
{
	return sizeof(struct keel_stats_head) + NR_DESCS * sizeof(struct keel_stat_desc) +
	       (ARRAY_SIZE(vm_stats) + nr_vcpus * ARRAY_SIZE(vcpu_stats)) * sizeof(u64);
}

static void stats_describe(struct keel_stats_head *head, u32 nr_vcpus)
{
	struct keel_stat_desc *desc = (void *)(head + 1);
	u32 i;

	*head = (struct keel_stats_head){
		.magic = KEEL_STATS_MAGIC,
		.head_size = sizeof(*head),
		.desc_size = sizeof(*desc),
		.nr_vm_descs = ARRAY_SIZE(vm_stats),
		.nr_vcpu_descs = ARRAY_SIZE(vcpu_stats),
		.nr_vcpus = nr_vcpus,
	};
	for (i = 0; i < ARRAY_SIZE(vm_stats); i++)
		*desc++ = vm_stats[i].desc;
	for (i = 0; i < ARRAY_SIZE(vcpu_stats); i++)
		*desc++ = vcpu_stats[i].desc;
}

/* Each value is a word that its owner writes: read it as one. */
static u64 *stats_vcpu(const struct keel_vcpu *vcpu, u64 *value)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(vcpu_stats); i++)
		*value++ = READ_ONCE(*(const u64 *)((const char *)&vcpu->stats +
						    vcpu_stats[i].offset));
	return value;
}

/* The whole stream as of now; vCPUs that come meanwhile are in the next one. */
static void *stats_snapshot(struct keel_vm *vm, size_t *size)
{
	struct keel_vcpu *vcpu;
	u32 i, nr = 0, room;
	u64 *value;
	void *buf;

	keel_for_each_vcpu(i, vcpu, vm)
		nr++;
	room = nr;
	*size = stats_size(nr);
	buf = kvzalloc(*size, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return NULL;
	stats_describe(buf, nr);
	value = buf + sizeof(struct keel_stats_head) + NR_DESCS * sizeof(struct keel_stat_desc);
	for (i = 0; i < ARRAY_SIZE(vm_stats); i++)
		*value++ = vm_stats[i].read(vm);
	keel_for_each_vcpu(i, vcpu, vm) {
		if (!room--)
			break;
		value = stats_vcpu(vcpu, value);
	}
	return buf;
}

static ssize_t stats_read(struct file *file, char __user *ubuf, size_t count, loff_t *pos)
{
	size_t size;
	void *buf = stats_snapshot(file->private_data, &size);
	ssize_t ret;

	if (!buf)
		return -ENOMEM;
	ret = simple_read_from_buffer(ubuf, count, pos, buf, size);
	kvfree(buf);
	return ret;
}

static int stats_release(struct inode *inode, struct file *file)
{
	keel_vm_put(file->private_data);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.release = stats_release,
	.read = stats_read,
	.llseek = default_llseek,
};

int keel_stats_fd(struct keel_vm *vm)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	keel_vm_get(vm);
	file = anon_inode_getfile("[keel-stats]", &stats_fops, vm, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		keel_vm_put(vm);
		return PTR_ERR(file);
	}
	/* anon inode files are not seekable by default; pread() needs it. */
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD;
	fd_install(fd, file);
	return fd;
}
