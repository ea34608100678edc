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

const char *const keel_exit_names[KEEL_X_NR] = {
	[KEEL_X_NONE] = "none",
	[KEEL_X_INTR] = "interrupt",
	[KEEL_X_TIMER] = "timer",
	[KEEL_X_IRQ_WINDOW] = "irq_window",
	[KEEL_X_NMI_WINDOW] = "nmi_window",
	[KEEL_X_CPUID] = "cpuid",
	[KEEL_X_HLT] = "hlt",
	[KEEL_X_PAUSE] = "pause",
	[KEEL_X_PIO] = "pio",
	[KEEL_X_RDMSR] = "rdmsr",
	[KEEL_X_WRMSR] = "wrmsr",
	[KEEL_X_CR_READ] = "cr_read",
	[KEEL_X_CR_WRITE] = "cr_write",
	[KEEL_X_DR] = "dr",
	[KEEL_X_STAGE2] = "stage2",
	[KEEL_X_APIC_ACCESS] = "apic_access",
	[KEEL_X_APIC_WRITE] = "apic_write",
	[KEEL_X_APIC_EOI] = "apic_eoi",
	[KEEL_X_EXCEPTION] = "exception",
	[KEEL_X_HYPERCALL] = "hypercall",
	[KEEL_X_XSETBV] = "xsetbv",
	[KEEL_X_CACHE] = "cache",
	[KEEL_X_RDPMC] = "rdpmc",
	[KEEL_X_UNDEFINED] = "undefined",
	[KEEL_X_TASK_SWITCH] = "task_switch",
	[KEEL_X_SHUTDOWN] = "shutdown",
	[KEEL_X_INIT] = "init",
	[KEEL_X_ENTRY_FAIL] = "entry_fail",
	[KEEL_X_UNEXPECTED] = "unexpected",
};

/* What is in the struct; the exits, which come first, are in the ledger. */
static const struct vcpu_stat vcpu_stats[] = {
	VCPU(user_exits, KEEL_STAT_COUNTER),
	VCPU(signal_exits, KEEL_STAT_COUNTER),
	VCPU(halts, KEEL_STAT_COUNTER),
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

/* The exits and their sum, then the rest. */
#define NR_VCPU_DESCS	(KEEL_X_NR + 1 + ARRAY_SIZE(vcpu_stats))
#define NR_DESCS	(ARRAY_SIZE(vm_stats) + NR_VCPU_DESCS)

/* Bytes with @nr_vcpus vCPUs. */
static size_t stats_size(u32 nr_vcpus)
{
	return sizeof(struct keel_stats_head) + NR_DESCS * sizeof(struct keel_stat_desc) +
	       (ARRAY_SIZE(vm_stats) + nr_vcpus * NR_VCPU_DESCS) * sizeof(u64);
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
		.nr_vcpu_descs = NR_VCPU_DESCS,
		.nr_vcpus = nr_vcpus,
	};
	for (i = 0; i < ARRAY_SIZE(vm_stats); i++)
		*desc++ = vm_stats[i].desc;
	for (i = 0; i < KEEL_X_NR; i++, desc++) {
		*desc = (struct keel_stat_desc){ .of = KEEL_STAT_OF_VCPU };
		snprintf(desc->name, sizeof(desc->name), "exit_%s", keel_exit_names[i]);
	}
	*desc++ = (struct keel_stat_desc){ .name = "entries", .of = KEEL_STAT_OF_VCPU };
	for (i = 0; i < ARRAY_SIZE(vcpu_stats); i++)
		*desc++ = vcpu_stats[i].desc;
}

/* Each value is a word that its owner writes: read it as one. */
static u64 *stats_vcpu(const struct keel_vcpu *vcpu, u64 *value)
{
	u64 entries = 0;
	u32 i;

	for (i = 0; i < KEEL_X_NR; i++) {
		*value = keel_ledger_exits(&vcpu->ledger, i);
		entries += *value++;
	}
	*value++ = entries;
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
