// SPDX-License-Identifier: GPL-2.0
/*
 * Keel's ABI as functions. It must not know a device, a guest or a verb.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ledger.h"
#include "vm.h"

/* Every struct of the ABI starts with its size. */
#define SIZED(type)	((struct type){ .size = sizeof(struct type) })

static int call(int fd, unsigned long request, void *arg)
{
	int rc = ioctl(fd, request, arg);

	return rc < 0 ? -errno : rc;
}

/* As call(), with a word to the user when it fails. */
static int must(int fd, unsigned long request, void *arg, const char *what)
{
	int rc = call(fd, request, arg);

	if (rc < 0)
		say("%s failed: %s", what, strerror(-rc));
	return rc;
}

/* ---- the device -------------------------------------------------------- */

int vm_info(int dev, struct keel_info *info, char **report)
{
	int rc;

	*info = SIZED(keel_info);
	rc = call(dev, KEEL_INFO, info);
	if (!report || rc < 0)
		return rc;
	*report = NULL;
	if (!info->report_size)
		return 0;
	*report = calloc(1, info->report_size + 1);
	if (!*report)
		return -ENOMEM;
	info->report = (unsigned long)*report;
	rc = call(dev, KEEL_INFO, info);
	if (rc < 0) {
		free(*report);
		*report = NULL;
	}
	return rc;
}

enum exitcode vm_open_device(struct vm *vm)
{
	int rc;

	vm->fd = -1;
	vm->dev = open(KEEL_DEVICE, O_RDWR | O_CLOEXEC);
	if (vm->dev < 0) {
		rc = errno;
		if (rc == ENOENT || rc == ENXIO || rc == ENODEV)
			say("no " KEEL_DEVICE ": load the module as root (insmod keel.ko)");
		else if (rc == EACCES || rc == EPERM)
			say("no permission for " KEEL_DEVICE ": be root, or chgrp it");
		else
			say("cannot open " KEEL_DEVICE ": %s", strerror(rc));
		return EXIT_UNAVAILABLE;
	}
	rc = vm_info(vm->dev, &vm->info, NULL);
	if (rc < 0) {
		say("KEEL_INFO: %s: launcher and module do not fit together", strerror(-rc));
		return EXIT_UNAVAILABLE;
	}
	return EXIT_OK;
}

/* ---- the VM ------------------------------------------------------------ */

static const char *busy_remedy(u32 reason)
{
	switch (reason) {
	case KEEL_BUSY_KVM:
		return "KVM owns the CPUs: stop its VMs, or rmmod kvm_amd (kvm_intel)";
	case KEEL_BUSY_FOREIGN:
		return "another hypervisor owns the CPUs: unload it (see dmesg)";
	case KEEL_BUSY_FIRMWARE:
		return "the firmware keeps it off: enable SVM or VT-x in its setup";
	default:
		return "somebody else owns the CPUs (dmesg tells who)";
	}
}

enum exitcode vm_create(struct vm *vm, u64 features)
{
	struct keel_create_vm create = SIZED(keel_create_vm);
	int rc;

	create.features = features;
	rc = call(vm->dev, KEEL_CREATE_VM, &create);
	if (rc >= 0) {
		vm->fd = rc;
		return EXIT_OK;
	}
	if (rc == -EBUSY || create.busy_reason)
		say("cannot create a VM: %s", busy_remedy(create.busy_reason));
	else if (rc == -EOPNOTSUPP)
		say("this host cannot run VMs (`keel info` tells what is missing)");
	else
		say("cannot create a VM: %s", strerror(-rc));
	return rc == -EBUSY || rc == -EOPNOTSUPP ? EXIT_UNAVAILABLE : EXIT_LAUNCHER;
}

void vm_destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpu[i].run)
			munmap(vm->vcpu[i].run, vm->info.run_size);
		if (vm->vcpu[i].ledger)
			munmap((void *)vm->vcpu[i].ledger, vm->vcpu[i].ledger_len);
		close(vm->vcpu[i].fd);
	}
	free(vm->vcpu);
	vm->vcpu = NULL;
	vm->nr_vcpus = 0;
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
}

int vm_irqchip(struct vm *vm)
{
	struct keel_irqchip chip = SIZED(keel_irqchip);

	chip.flags = KEEL_IRQCHIP_PIT;
	return must(vm->fd, KEEL_IRQCHIP, &chip, "creating the interrupt controllers");
}

int vm_map_memory(struct vm *vm, const struct memory *mem)
{
	struct keel_mem_op ops[] = {
		{ .op = KEEL_MEM_MAP, .gpa = 0, .len = mem->low,
		  .hva = (unsigned long)mem->base },
		{ .op = KEEL_MEM_MAP, .gpa = MEMORY_HIGH, .len = mem->high,
		  .hva = (unsigned long)mem->base + mem->low },
	};
	struct keel_mem_commit commit = SIZED(keel_mem_commit);

	commit.ops = (unsigned long)ops;
	commit.nr = mem->high ? 2 : 1;
	return must(vm->fd, KEEL_MEM_COMMIT, &commit, "mapping the guest's memory");
}

int vm_policy(struct vm *vm, const struct keel_policy *policy)
{
	struct keel_policy copy = *policy;

	copy.size = sizeof(copy);
	return must(vm->fd, KEEL_POLICY_SET, &copy, "setting the access policy");
}

static int create_vcpu(struct vm *vm, u32 id)
{
	struct keel_create_vcpu create = SIZED(keel_create_vcpu);
	struct vcpu *vcpu = &vm->vcpu[id];
	int fd;

	create.id = id;
	fd = must(vm->fd, KEEL_CREATE_VCPU, &create, "creating a vCPU");
	if (fd < 0)
		return fd;
	vcpu->fd = fd;
	vm->nr_vcpus = id + 1;
	vcpu->run = mmap(NULL, vm->info.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		fd = -errno;
		say("mapping a vCPU's run page failed: %s", strerror(-fd));
		return fd;
	}
	vcpu->ledger = ledger_map(fd, &vcpu->ledger_len);
	if (vcpu->ledger)
		return 0;
	fd = -errno;
	say("mapping a vCPU's exit ledger failed: %s", strerror(-fd));
	return fd;
}

int vm_create_vcpus(struct vm *vm, unsigned int nr)
{
	int rc = 0;

	vm->vcpu = calloc(nr, sizeof(*vm->vcpu));
	if (!vm->vcpu)
		return -ENOMEM;
	for (unsigned int id = 0; id < nr && rc >= 0; id++)
		rc = create_vcpu(vm, id);
	return rc;
}

/* ---- CPUID and registers ------------------------------------------------ */

int vm_get_cpuid(struct vm *vm, struct keel_cpuid_entry **entries, u32 *nr, u32 spare)
{
	struct keel_cpuid get = SIZED(keel_cpuid);
	u32 room = 128;
	int rc;

	/* Twice: the second time with the room that the first has named. */
	for (unsigned int try = 0; try < 2; try++) {
		*entries = calloc(room + spare, sizeof(**entries));
		if (!*entries)
			return -ENOMEM;
		get.entries = (unsigned long)*entries;
		get.nr = room;
		rc = call(vm->dev, KEEL_CPUID_GET, &get);
		*nr = get.nr;
		if (rc >= 0)
			return 0;
		free(*entries);
		if (rc != -E2BIG)
			break;
		room = get.nr;
	}
	say("reading the host's CPUID failed: %s", strerror(-rc));
	return rc;
}

int vm_set_cpuid(struct vm *vm, struct keel_cpuid_entry *entries, u32 nr)
{
	struct keel_cpuid set = SIZED(keel_cpuid);
	int rc;

	set.entries = (unsigned long)entries;
	set.nr = nr;
	rc = call(vm->fd, KEEL_CPUID_SET, &set);
	if (rc < 0 && set.bad < nr)
		say("setting the guest's CPUID failed at leaf %#x.%u: %s",
		    entries[set.bad].leaf, entries[set.bad].index, strerror(-rc));
	else if (rc < 0)
		say("setting the guest's CPUID failed: %s", strerror(-rc));
	return rc;
}

struct sregs_record {
	struct keel_rec head;
	struct keel_sregs sregs;
};

struct regs_record {
	struct keel_rec head;
	struct keel_regs regs;
};

struct cpu_records {
	struct regs_record r;
	struct sregs_record s;
};

/* Payloads are padded to 8 bytes: these need none, so the structs are the format. */
static_assert(sizeof(struct sregs_record) ==
	       sizeof(struct keel_rec) + sizeof(struct keel_sregs), "no padding");
static_assert(sizeof(struct keel_sregs) % 8 == 0, "no padding");
static_assert(sizeof(struct keel_regs) % 8 == 0, "no padding");

int vm_get_sregs(struct vcpu *vcpu, struct keel_sregs *sregs)
{
	struct sregs_record rec = { .head = { .type = KEEL_REC_SREGS, .version = 1 } };
	struct keel_state get = SIZED(keel_state);
	int rc;

	get.buf = (unsigned long)&rec;
	get.buf_size = sizeof(rec);
	get.used = sizeof(rec.head);
	rc = must(vcpu->fd, KEEL_STATE_GET, &get, "reading a vCPU's registers");
	if (rc >= 0)
		*sregs = rec.sregs;
	return rc;
}

int vm_set_regs(struct vcpu *vcpu, const struct keel_regs *regs, const struct keel_sregs *sregs)
{
	struct cpu_records rec = {
		.r = { .head = { .type = KEEL_REC_REGS, .version = 1, .len = sizeof(*regs) },
		       .regs = *regs },
		.s = { .head = { .type = KEEL_REC_SREGS, .version = 1, .len = sizeof(*sregs) },
		       .sregs = *sregs },
	};
	struct keel_state set = SIZED(keel_state);
	int rc;

	set.buf = (unsigned long)&rec;
	set.buf_size = sizeof(rec);
	set.used = sizeof(rec);
	rc = call(vcpu->fd, KEEL_STATE_SET, &set);
	if (rc == -EINVAL)
		say("a vCPU's registers were refused: record %u, offset %u",
		    set.bad_type, set.bad_offset);
	else if (rc < 0)
		say("setting a vCPU's registers failed: %s", strerror(-rc));
	return rc;
}

int vm_set_msrs(struct vcpu *vcpu, const struct keel_rec_msr *msrs, unsigned int nr)
{
	struct {
		struct keel_rec head;
		struct keel_rec_msr msrs[VM_MSRS];
	} rec = {
		.head = { .type = KEEL_REC_MSRS, .version = 1, .len = nr * sizeof(*msrs) },
	};
	struct keel_state set = SIZED(keel_state);
	int rc;

	if (nr > VM_MSRS)
		return -EINVAL;
	memcpy(rec.msrs, msrs, nr * sizeof(*msrs));
	set.buf = (unsigned long)&rec;
	set.buf_size = sizeof(rec);
	set.used = sizeof(rec.head) + rec.head.len;
	rc = call(vcpu->fd, KEEL_STATE_SET, &set);
	if (rc == -EINVAL && set.bad_offset / sizeof(*msrs) < nr)
		say("a vCPU's MSR %#x was refused", msrs[set.bad_offset / sizeof(*msrs)].index);
	else if (rc < 0)
		say("setting a vCPU's MSRs failed: %s", strerror(-rc));
	return rc;
}

/* ---- a running VM --------------------------------------------------------- */

int vm_irq_line(struct vm *vm, u32 gsi, bool level)
{
	struct keel_irq_line line = SIZED(keel_irq_line);

	line.gsi = gsi;
	line.level = level;
	return call(vm->fd, KEEL_IRQ_LINE, &line);
}

int vm_pause(struct vm *vm)
{
	struct keel_pause pause = SIZED(keel_pause);

	return call(vm->fd, KEEL_PAUSE, &pause);
}

int vm_resume(struct vm *vm)
{
	struct keel_pause resume = SIZED(keel_pause);

	return call(vm->fd, KEEL_RESUME, &resume);
}

int vm_kick(struct vcpu *vcpu)
{
	return call(vcpu->fd, KEEL_KICK, NULL);
}

int vm_run(struct vcpu *vcpu)
{
	return call(vcpu->fd, KEEL_RUN, NULL);
}

int vm_stats_fd(struct vm *vm)
{
	struct keel_stats_fd stats = SIZED(keel_stats_fd);

	return call(vm->fd, KEEL_STATS_FD, &stats);
}
