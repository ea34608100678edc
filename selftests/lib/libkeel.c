// SPDX-License-Identifier: GPL-2.0
/*
 * Calls, VMs and their memory, time. It knows the ABI; what a vCPU does is in
 * vcpu.c.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"

/* The guest program, if this one has any. */
extern const char guest_blob[] __weak;
extern const char guest_blob_end[] __weak;

int kcall(int fd, unsigned int nr, void *arg)
{
	int ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

int keel_dev(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(KEEL_DEVICE, O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0, "%s: %s", KEEL_DEVICE, strerror(errno));
	return fd;
}

void keel_info(struct keel_info *info)
{
	memset(info, 0, sizeof(*info));
	REQUIRE_EQ(kcall_sized(keel_dev(), KEEL_INFO, info), 0);
}

/* ---- hooks of the harness -------------------------------------------------- */

const char *ktap_hook_start(void)
{
	struct keel_info info = { .size = sizeof(info) };
	int fd = open(KEEL_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return "no " KEEL_DEVICE ": insmod keel.ko first, and be root";
	if (!getenv("KEEL_TEST_ANY_HOST") &&
	    (kcall(fd, KEEL_INFO, &info) || !info.vendor)) {
		close(fd);
		return "this host has no virtualization that Keel can use";
	}
	close(fd);
	return NULL;
}

static bool idle(const struct keel_info *info)
{
	return !info->nr_vms && !info->nr_vcpus && !info->stage2_bytes;
}

/* A test that is over holds nothing. */
const char *ktap_hook_after(void)
{
	struct keel_info info = { .size = sizeof(info) };
	int fd = open(KEEL_DEVICE, O_RDWR | O_CLOEXEC);
	bool gone;

	/* The test may have unloaded the module. */
	if (fd < 0)
		return NULL;
	gone = WAIT_FOR(3000, kcall(fd, KEEL_INFO, &info) || idle(&info));
	close(fd);
	return gone ? NULL : "it is over, but its VMs or stage-2 tables are still there";
}

/* ---- CPUID ------------------------------------------------------------------ */

u32 keel_cpuid(struct keel_cpuid_entry entries[256])
{
	struct keel_cpuid arg = { .entries = (unsigned long)entries, .nr = 256 };

	REQUIRE_EQ(kcall_sized(keel_dev(), KEEL_CPUID_GET, &arg), 0);
	REQUIRE(arg.nr > 0 && arg.nr <= 256, "%u entries", arg.nr);
	return arg.nr;
}

const struct keel_cpuid_entry *cpuid_find(const struct keel_cpuid_entry *e, u32 nr,
					  u32 leaf, u32 index)
{
	for (; nr; nr--, e++)
		if (e->leaf == leaf && (!(e->flags & KEEL_CPUID_INDEX) || e->index == index))
			return e;
	return NULL;
}

bool host_is_tcg(void)
{
	u32 eax, text[4] = {};

	__cpuid(0x40000000, eax, text[0], text[1], text[2]);
	return eax >= 0x40000000 && !strcmp((char *)text, "TCGTCGTCGTCG");
}

bool host_is_bochs_svm(void)
{
	const char *emulator = getenv("EMULATOR");
	struct keel_info info;

	keel_info(&info);
	return emulator && !strcmp(emulator, "bochs") && info.vendor == KEEL_VENDOR_AMD;
}

/* What a VM was not created with it cannot show either. */
static void cpuid_limit(struct keel_cpuid_entry *e, u32 nr, u64 features)
{
	struct keel_cpuid_entry *leaf1 = (struct keel_cpuid_entry *)cpuid_find(e, nr, 1, 0);

	if (leaf1 && !(features & KEEL_FEAT_X2APIC))
		leaf1->ecx &= ~(1U << 21);
	if (leaf1 && !(features & KEEL_FEAT_TSC_DEADLINE))
		leaf1->ecx &= ~(1U << 24);
}

/* ---- VMs ---------------------------------------------------------------------- */

int vm_fd(u64 features)
{
	struct keel_create_vm arg = { .features = features };

	return kcall_sized(keel_dev(), KEEL_CREATE_VM, &arg);
}

void *pages(u64 len)
{
	u64 room = len + 2 * MIB;
	char *p = mmap(NULL, room, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u64 skip;

	REQUIRE(p != MAP_FAILED, "%s", strerror(errno));
	skip = -(unsigned long)p & (2 * MIB - 1);
	if (skip)
		munmap(p, skip);
	munmap(p + skip + len, room - len - skip);
	return p + skip;
}

int vm_mem(struct vm *vm, u32 op, u32 flags, u64 gpa, u64 len, void *hva)
{
	struct keel_mem_op mem = {
		.op = op, .flags = flags, .gpa = gpa, .len = len, .hva = (unsigned long)hva,
	};
	struct keel_mem_commit arg = { .ops = (unsigned long)&mem, .nr = 1 };

	return kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg);
}

static void load_guest(struct vm *vm)
{
	u64 *table = (u64 *)(vm->ram + GUEST_TABLES);
	u64 i;

	/* Level 4, level 3, then four pages of 2 MiB entries. */
	table[0] = (GUEST_TABLES + 0x1000) | 7;
	for (i = 0; i < 4; i++)
		table[512 + i] = (GUEST_TABLES + 0x2000 + i * 0x1000) | 7;
	for (i = 0; i < 4 * 512; i++)
		table[1024 + i] = (i << 21) | 0x87;
	if (guest_blob)
		memcpy(vm->ram + GUEST_IMAGE, guest_blob, guest_blob_end - guest_blob);
}

static u64 wanted_features(u32 flags)
{
	struct keel_info info;

	keel_info(&info);
	if (flags & (VM_IRQCHIP | VM_PIT))
		return info.features;
	return info.features & (KEEL_FEAT_IOEVENTFD |
				(flags & VM_DIRTY_LOG ? KEEL_FEAT_DIRTY_LOG : 0));
}

struct vm *vm_new(u32 flags)
{
	return vm_new_khz(flags, 0);
}

struct vm *vm_new_khz(u32 flags, u32 tsc_khz)
{
	struct keel_irqchip chip = { .flags = flags & VM_PIT ? KEEL_IRQCHIP_PIT : 0 };
	struct keel_cpuid_entry entries[256];
	struct keel_cpuid cpuid = { .entries = (unsigned long)entries };
	struct keel_create_vm create = { .tsc_khz = tsc_khz };
	struct vm *vm = calloc(1, sizeof(*vm));
	int i;

	for (i = 0; i < GUEST_MAX_CPUS; i++)
		vm->vcpu[i].fd = -1;
	vm->features = wanted_features(flags);
	create.features = vm->features;
	vm->fd = kcall_sized(keel_dev(), KEEL_CREATE_VM, &create);
	REQUIRE(vm->fd >= 0, "KEEL_CREATE_VM: %s", strerror(-vm->fd));

	vm->ram_size = flags & VM_BIG ? 64 * MIB : GUEST_RAM_SIZE;
	vm->ram = pages(vm->ram_size);
	load_guest(vm);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, 0, vm->ram_size, vm->ram), 0);

	cpuid.nr = keel_cpuid(entries);
	cpuid_limit(entries, cpuid.nr, vm->features);
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_CPUID_SET, &cpuid), 0);
	if (flags & (VM_IRQCHIP | VM_PIT))
		REQUIRE_EQ(kcall_sized(vm->fd, KEEL_IRQCHIP, &chip), 0);
	return vm;
}

void vm_free(struct vm *vm)
{
	int i;

	for (i = 0; i < GUEST_MAX_CPUS; i++)
		if (vm->vcpu[i].fd >= 0)
			vcpu_drop(&vm->vcpu[i]);
	close(vm->fd);
	munmap(vm->ram, vm->ram_size);
	free(vm);
}

int vm_irq_line(struct vm *vm, u32 gsi, u32 level)
{
	struct keel_irq_line arg = { .gsi = gsi, .level = level };

	return kcall_sized(vm->fd, KEEL_IRQ_LINE, &arg);
}

int vm_msi(struct vm *vm, u64 address, u32 data)
{
	struct keel_msi arg = { .address = address, .data = data };

	return kcall_sized(vm->fd, KEEL_MSI, &arg);
}

/* ---- statistics ---------------------------------------------------------------- */

static u64 find_stat(const struct keel_stats_head *head, size_t got, int vcpu, const char *name)
{
	const char *descs = (const char *)(head + 1);
	u32 all = head->nr_vm_descs + head->nr_vcpu_descs, i, at;
	u64 values = sizeof(*head) + (u64)all * head->desc_size;
	u64 value;

	for (i = 0; i < all; i++) {
		const struct keel_stat_desc *d = (const void *)(descs + (u64)i * head->desc_size);

		if (strcmp(d->name, name))
			continue;
		if (d->of != (vcpu >= 0 ? KEEL_STAT_OF_VCPU : KEEL_STAT_OF_VM))
			continue;
		at = i;
		if (vcpu >= 0)
			at = i + vcpu * head->nr_vcpu_descs;
		if (values + at * 8ULL + 8 > got)
			return ~0ULL;
		memcpy(&value, (const char *)head + values + at * 8ULL, 8);
		return value;
	}
	return ~0ULL;
}

u64 vm_stat(struct vm *vm, int vcpu, const char *name)
{
	static char buf[65536] __aligned(8);
	struct keel_stats_fd arg = {};
	int fd = kcall_sized(vm->fd, KEEL_STATS_FD, &arg);
	const struct keel_stats_head *head = (const void *)buf;
	ssize_t got;

	REQUIRE(fd >= 0, "KEEL_STATS_FD: %s", strerror(-fd));
	got = pread(fd, buf, sizeof(buf), 0);
	close(fd);
	REQUIRE(got >= (ssize_t)sizeof(*head) && head->magic == KEEL_STATS_MAGIC,
		"%zd bytes", got);
	return find_stat(head, got, vcpu, name);
}

/* ---- time ------------------------------------------------------------------------ */

u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

u64 cpu_ns(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * NSEC +
	       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000ULL;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}
