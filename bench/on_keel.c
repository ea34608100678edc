// SPDX-License-Identifier: GPL-2.0
/*
 * The seam on Keel. It must not know what is measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hv.h"

const char * const hv_name = "keel";
const bool hv_has_pause = true;

static int dev = -1;
static struct keel_info info;

static int call(int fd, unsigned int nr, void *arg, const char *what)
{
	int ret = ioctl(fd, nr, arg);

	if (ret < 0)
		die("%s: %s", what, strerror(errno));
	return ret;
}

#define CALL(fd, nr, ptr) ({				\
	(ptr)->size = sizeof(*(ptr));			\
	call(fd, nr, ptr, #nr);				\
})

void hv_open(void)
{
	dev = open(KEEL_DEVICE, O_RDWR | O_CLOEXEC);
	if (dev < 0)
		die(KEEL_DEVICE ": %s", strerror(errno));
	CALL(dev, KEEL_INFO, &info);
}

u32 hv_tsc_khz(struct hv_vcpu *v)
{
	return info.tsc_khz;
}

void hv_vm_create(struct hv_vm *vm, unsigned int flags)
{
	struct keel_create_vm create = { .features = info.features };
	struct keel_irqchip chip = { .flags = flags & HV_PIT ? KEEL_IRQCHIP_PIT : 0 };
	struct keel_policy policy = {
		.msr = KEEL_POLICY_FAULT, .pio = KEEL_POLICY_EXIT,
		.mmio = KEEL_POLICY_EXIT, .hypercall = KEEL_POLICY_ZERO,
	};

	if (!(flags & (HV_IRQCHIP | HV_PIT)))
		create.features = 0;
	*vm = (struct hv_vm){ .fd = CALL(dev, KEEL_CREATE_VM, &create) };
	vm->irqchip = flags & (HV_IRQCHIP | HV_PIT);
	CALL(vm->fd, KEEL_POLICY_SET, &policy);
	if (vm->irqchip)
		CALL(vm->fd, KEEL_IRQCHIP, &chip);
}

void hv_vm_destroy(struct hv_vm *vm)
{
	close(vm->fd);
}

static void mem(struct hv_vm *vm, u32 op, u64 gpa, u64 len, void *hva)
{
	struct keel_mem_op one = { .op = op, .gpa = gpa, .len = len, .hva = (unsigned long)hva };
	struct keel_mem_commit commit = { .ops = (unsigned long)&one, .nr = 1 };

	CALL(vm->fd, KEEL_MEM_COMMIT, &commit);
}

void hv_map(struct hv_vm *vm, u64 gpa, u64 len, void *hva)
{
	mem(vm, KEEL_MEM_MAP, gpa, len, hva);
}

void hv_unmap(struct hv_vm *vm, u64 gpa, u64 len, void *hva)
{
	mem(vm, KEEL_MEM_UNMAP, gpa, len, NULL);
}

u32 hv_cpuid_get(struct keel_cpuid_entry *entries, u32 room)
{
	struct keel_cpuid arg = { .entries = (unsigned long)entries, .nr = room };

	CALL(dev, KEEL_CPUID_GET, &arg);
	return arg.nr;
}

void hv_cpuid_set(struct hv_vm *vm, struct keel_cpuid_entry *entries, u32 nr)
{
	struct keel_cpuid arg = { .entries = (unsigned long)entries, .nr = nr };

	CALL(vm->fd, KEEL_CPUID_SET, &arg);
}

void hv_vcpu_create(struct hv_vm *vm, struct hv_vcpu *v, u32 id)
{
	struct keel_create_vcpu arg = { .id = id };

	*v = (struct hv_vcpu){ .vm = vm, .id = id };
	v->fd = CALL(vm->fd, KEEL_CREATE_VCPU, &arg);
	v->run = mmap(NULL, info.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		die("run page: %s", strerror(errno));
}

void hv_vcpu_destroy(struct hv_vcpu *v)
{
	munmap(v->run, info.run_size);
	close(v->fd);
}

/* ---- state ---- */

struct sregs_record {
	struct keel_rec head;
	struct keel_sregs sregs;
};

struct regs_record {
	struct keel_rec head;
	struct keel_regs regs;
};

static void get(struct hv_vcpu *v, void *buf, u32 size)
{
	struct keel_state arg = {
		.buf = (unsigned long)buf, .buf_size = size, .used = sizeof(struct keel_rec),
	};

	CALL(v->fd, KEEL_STATE_GET, &arg);
}

void hv_sregs_get(struct hv_vcpu *v, struct keel_sregs *sregs)
{
	struct sregs_record rec = { .head = { .type = KEEL_REC_SREGS, .version = 1 } };

	get(v, &rec, sizeof(rec));
	*sregs = rec.sregs;
}

void hv_sregs_set(struct hv_vcpu *v, const struct keel_sregs *sregs)
{
	struct sregs_record rec = {
		.head = { .type = KEEL_REC_SREGS, .version = 1, .len = sizeof(*sregs) },
		.sregs = *sregs,
	};
	struct {
		struct sregs_record s;
		struct keel_rec head;
		struct keel_rec_events events;
	} both = {
		.s = rec,
		.head = { .type = KEEL_REC_EVENTS, .version = 1, .len = sizeof(both.events) },
		.events = { .mp_state = KEEL_MP_RUNNABLE },
	};
	struct keel_state arg = {
		.buf = (unsigned long)&both, .buf_size = sizeof(both), .used = sizeof(both),
	};

	CALL(v->fd, KEEL_STATE_SET, &arg);
}

void hv_regs_set(struct hv_vcpu *v, const struct keel_regs *regs)
{
	struct keel_run *run = v->run;

	run->regs = *regs;
	run->commit = KEEL_GROUP_REGS;
}

void hv_regs_get(struct hv_vcpu *v, struct keel_regs *regs)
{
	struct regs_record rec = { .head = { .type = KEEL_REC_REGS, .version = 1 } };

	get(v, &rec, sizeof(rec));
	*regs = rec.regs;
}

void hv_describe(struct hv_vcpu *v, char *text, size_t size)
{
	const struct keel_run *run = v->run;

	snprintf(text, size, "exit %u", run->exit_reason);
	if (run->exit_reason == KEEL_EXIT_ENTRY_FAIL)
		snprintf(text, size, "entry failed: %.56s", run->entry.name);
	if (run->exit_reason == KEEL_EXIT_EMUL_FAIL)
		snprintf(text, size,
			 "emulation failed: why %u code %#x gpa %#llx bytes %02x %02x %02x",
			 run->emul.why, run->emul.vendor_code, run->emul.gpa, run->emul.bytes[0],
			 run->emul.bytes[1], run->emul.bytes[2]);
}

/* ---- running ---- */

enum hv_exit hv_run(struct hv_vcpu *v)
{
	struct keel_run *run = v->run;
	long ret = hv_syscall(SYS_ioctl, v->fd, KEEL_RUN, 0);

	if (__builtin_expect(ret, 0)) {
		if (ret == -EINTR)
			return HV_KICKED;
		die("KEEL_RUN: %s", strerror(-ret));
	}
	switch (run->exit_reason) {
	case KEEL_EXIT_PIO:
		v->addr = run->pio.port;
		v->size = run->pio.size;
		v->write = run->pio.dir;
		v->data = &run->pio.data;
		return HV_PIO;
	case KEEL_EXIT_MMIO:
		v->addr = run->mmio.gpa;
		v->size = run->mmio.size;
		v->write = run->mmio.dir;
		v->data = &run->mmio.data;
		return HV_MMIO;
	case KEEL_EXIT_KICKED:
		return HV_KICKED;
	case KEEL_EXIT_HLT:
		return HV_HLT;
	case KEEL_EXIT_SHUTDOWN:
		return HV_SHUTDOWN;
	}
	return HV_OTHER;
}

void hv_thread(struct hv_vcpu *v)
{
}

void hv_kick(struct hv_vcpu *v)
{
	hv_syscall(SYS_ioctl, v->fd, KEEL_KICK, 0);
}

void hv_kick_self(struct hv_vcpu *v)
{
	hv_kick(v);
}

void hv_pause(struct hv_vm *vm)
{
	struct keel_pause arg = { .size = sizeof(arg) };

	hv_syscall(SYS_ioctl, vm->fd, KEEL_PAUSE, (long)&arg);
}

void hv_resume(struct hv_vm *vm)
{
	struct keel_pause arg = { .size = sizeof(arg) };

	hv_syscall(SYS_ioctl, vm->fd, KEEL_RESUME, (long)&arg);
}

void hv_ioeventfd(struct hv_vm *vm, u64 addr, u32 len, bool pio, int fd)
{
	struct keel_ioeventfd arg = {
		.flags = pio ? KEEL_IOEVENTFD_PIO : 0, .addr = addr, .len = len, .fd = fd,
	};

	CALL(vm->fd, KEEL_IOEVENTFD, &arg);
}

void hv_irq_line(struct hv_vm *vm, u32 gsi, bool level)
{
	struct keel_irq_line arg = { .size = sizeof(arg), .gsi = gsi, .level = level };

	hv_syscall(SYS_ioctl, vm->fd, KEEL_IRQ_LINE, (long)&arg);
}

void hv_stats(struct hv_vm *vm, struct hv_vcpu *v, void (*line)(const char *name, u64 value))
{
	struct keel_stats_fd arg = { 0 };
	static u64 buf[8192];
	const struct keel_stats_head *head = (void *)buf;
	const struct keel_stat_desc *desc;
	const u64 *value;
	int fd = CALL(vm->fd, KEEL_STATS_FD, &arg);
	u32 i;

	if (pread(fd, buf, sizeof(buf), 0) < (ssize_t)sizeof(*head))
		die("statistics: %s", strerror(errno));
	close(fd);
	desc = (void *)((char *)buf + head->head_size);
	value = (void *)((char *)desc +
			 head->desc_size * (head->nr_vm_descs + head->nr_vcpu_descs));
	desc += head->nr_vm_descs;
	value += head->nr_vm_descs;
	for (i = 0; i < head->nr_vcpu_descs; i++)
		line(desc[i].name, value[v->id * head->nr_vcpu_descs + i]);
}
