// SPDX-License-Identifier: GPL-2.0
/*
 * The calls on the device and on a VM: their contents, good and bad, and the
 * errno of each refusal.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "libkeel.h"

/* ---- INFO ------------------------------------------------------------------- */

TEST(info)
{
	struct keel_info info;

	keel_info(&info);
	CHECK(info.vendor == KEEL_VENDOR_AMD || info.vendor == KEEL_VENDOR_INTEL);
	CHECK_EQ(info.features & ~KEEL_FEATS_ALL, 0);
	CHECK(info.features & KEEL_FEAT_IRQCHIP);
	CHECK(info.max_vcpus >= 1 && info.max_vcpus <= 4096);
	CHECK(info.run_size >= sizeof(struct keel_run) && info.run_size % 4096 == 0);
	CHECK(info.tsc_khz > 0);
	CHECK_EQ(info.nr_vms, 0);
	CHECK_EQ(info.nr_vcpus, 0);
	CHECK_EQ(info.stage2_bytes, 0);
	if (info.xcr0) {
		CHECK_EQ(info.xcr0 & 3, 3);
		CHECK(info.xsave_size >= 576);
	}
}

TEST(info_report)
{
	struct keel_info info = {};
	char text[8192], cut[17];
	u32 need;

	memset(text, 'x', sizeof(text));
	info.report = (unsigned long)text;
	info.report_size = sizeof(text);
	REQUIRE_EQ(kcall_sized(keel_dev(), KEEL_INFO, &info), 0);
	need = info.report_size;
	REQUIRE(need > 1 && need < sizeof(text), "%u", need);
	CHECK_EQ(strlen(text) + 1, need);
	/* Cut, but still a string, and nothing beyond the room. */
	memset(cut, 'x', sizeof(cut));
	info.report = (unsigned long)cut;
	info.report_size = sizeof(cut) - 1;
	REQUIRE_EQ(kcall_sized(keel_dev(), KEEL_INFO, &info), 0);
	CHECK_EQ(info.report_size, need);
	CHECK_EQ(cut[sizeof(cut) - 2], 0);
	CHECK_EQ(cut[sizeof(cut) - 1], 'x');
	CHECK(!strncmp(cut, text, sizeof(cut) - 2));
	info.report = 0;
	info.report_size = 0;
	CHECK_EQ(kcall_sized(keel_dev(), KEEL_INFO, &info), 0);
	info.report = 0xffff888000000000;
	info.report_size = 4096;
	CHECK_EQ(kcall_sized(keel_dev(), KEEL_INFO, &info), -EFAULT);
}

TEST(counters_follow)
{
	struct keel_info info;
	struct vm *vm[3];
	int i;

	for (i = 0; i < 3; i++) {
		vm[i] = vm_new(0);
		vcpu_new(vm[i], 0);
		vcpu_new(vm[i], 1);
		keel_info(&info);
		CHECK_EQ(info.nr_vms, i + 1);
		CHECK_EQ(info.nr_vcpus, 2 * (i + 1));
		CHECK_NE(info.kernel_bytes, 0);
		CHECK_NE(info.stage2_bytes, 0);
	}
	for (i = 0; i < 3; i++)
		vm_free(vm[i]);
	CHECK(WAIT_FOR(2000, (keel_info(&info), !info.nr_vms && !info.nr_vcpus &&
			      !info.stage2_bytes)));
}

/* ---- CREATE_VM and vCPUs -------------------------------------------------------- */

TEST(features)
{
	struct keel_info info;
	int bit, fd;

	keel_info(&info);
	for (bit = 0; bit < 64; bit++) {
		fd = vm_fd(1ULL << bit);
		if (info.features & 1ULL << bit)
			CHECK(fd >= 0, "feature %d: %d", bit, fd);
		else
			CHECK(fd == -EOPNOTSUPP, "feature %d: %d", bit, fd);
		if (fd >= 0)
			close(fd);
	}
}

/* What was not asked for is not there. */
TEST(features_default_off)
{
	struct keel_irqchip chip = {};
	struct keel_irqfd irqfd = { .fd = eventfd(0, 0), .gsi = 5 };
	struct keel_ioeventfd bell = { .fd = irqfd.fd, .addr = 0x600, .len = 1,
				       .flags = KEEL_IOEVENTFD_PIO };
	int fd = vm_fd(0);

	REQUIRE(fd >= 0);
	CHECK_EQ(kcall_sized(fd, KEEL_IRQCHIP, &chip), -EOPNOTSUPP);
	CHECK_EQ(kcall_sized(fd, KEEL_IRQFD, &irqfd), -EOPNOTSUPP);
	CHECK_EQ(kcall_sized(fd, KEEL_IOEVENTFD, &bell), -EOPNOTSUPP);
	close(fd);
}

TEST(vcpu_ids)
{
	struct keel_create_vcpu arg = { .id = 0 };
	struct keel_info info;
	struct vm *vm = vm_new(0);
	int a, b;

	keel_info(&info);
	a = kcall_sized(vm->fd, KEEL_CREATE_VCPU, &arg);
	CHECK(a >= 0, "%d", a);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_CREATE_VCPU, &arg), -EEXIST);
	arg.id = info.max_vcpus;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_CREATE_VCPU, &arg), -EINVAL);
	arg.id = 0xffffffff;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_CREATE_VCPU, &arg), -EINVAL);
	arg.id = info.max_vcpus - 1;
	b = kcall_sized(vm->fd, KEEL_CREATE_VCPU, &arg);
	CHECK(b >= 0, "%d", b);
	keel_info(&info);
	CHECK_EQ(info.nr_vcpus, 2);
	close(a);
	close(b);
	vm_free(vm);
}

TEST(irqchip_once_and_early)
{
	struct keel_irqchip chip = {};
	struct keel_create_vcpu vcpu = {};
	int fd = vm_fd(KEEL_FEAT_IRQCHIP), v;

	REQUIRE_EQ(kcall_sized(fd, KEEL_IRQCHIP, &chip), 0);
	CHECK_EQ(kcall_sized(fd, KEEL_IRQCHIP, &chip), -EEXIST);
	close(fd);
	fd = vm_fd(KEEL_FEAT_IRQCHIP);
	v = kcall_sized(fd, KEEL_CREATE_VCPU, &vcpu);
	REQUIRE(v >= 0);
	CHECK_EQ(kcall_sized(fd, KEEL_IRQCHIP, &chip), -EBUSY);
	close(v);
	close(fd);
}

/* ---- CPUID -------------------------------------------------------------------------- */

TEST(cpuid_get_says_how_many)
{
	struct keel_cpuid_entry e[256];
	struct keel_cpuid arg = { .entries = (unsigned long)e };
	u32 nr = keel_cpuid(e), i, j;

	arg.nr = nr - 1;
	memset(e, 0x77, sizeof(e));
	CHECK_EQ(kcall_sized(keel_dev(), KEEL_CPUID_GET, &arg), -E2BIG);
	CHECK_EQ(arg.nr, nr);
	CHECK_EQ(e[nr - 1].leaf, 0x77777777);
	arg.nr = nr;
	CHECK_EQ(kcall_sized(keel_dev(), KEEL_CPUID_GET, &arg), 0);
	for (i = 0; i < nr; i++) {
		CHECK_EQ(e[i].reserved, 0);
		CHECK_EQ(e[i].flags & ~KEEL_CPUID_INDEX, 0);
		for (j = 0; j < i; j++)
			CHECK(e[i].leaf != e[j].leaf || e[i].index != e[j].index,
			      "leaf %#x twice", e[i].leaf);
	}
	arg.entries = 0;
	CHECK_EQ(kcall_sized(keel_dev(), KEEL_CPUID_GET, &arg), -EFAULT);
	/* Nested virtualization is not offered. */
	CHECK(!(cpuid_find(e, nr, 1, 0)->ecx & 1 << 5));
	if (cpuid_find(e, nr, 0x80000001, 0))
		CHECK(!(cpuid_find(e, nr, 0x80000001, 0)->ecx & 1 << 2));
}

static int cpuid_set(struct vm *vm, struct keel_cpuid_entry *e, u32 nr, u32 *bad)
{
	struct keel_cpuid arg = { .entries = (unsigned long)e, .nr = nr, .bad = 999 };
	int ret = kcall_sized(vm->fd, KEEL_CPUID_SET, &arg);

	*bad = arg.bad;
	return ret;
}

TEST(cpuid_set_refuses)
{
	struct keel_cpuid_entry e[257], *leaf1;
	u32 nr = keel_cpuid(e), bad;
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v;

	leaf1 = (struct keel_cpuid_entry *)cpuid_find(e, nr, 1, 0);
	REQUIRE(leaf1);
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), 0);

	/* A feature that is not offered: VMX. */
	leaf1->ecx |= 1 << 5;
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), -EOPNOTSUPP);
	CHECK_EQ(bad, leaf1 - e);
	leaf1->ecx &= ~(1U << 5);
	/* Fewer are fine. */
	leaf1->ecx &= ~1U;
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), 0);
	/* Twice. */
	e[nr] = *leaf1;
	CHECK_EQ(cpuid_set(vm, e, nr + 1, &bad), -EINVAL);
	CHECK_EQ(bad, nr);
	e[1].reserved = 1;
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), -EINVAL);
	CHECK_EQ(bad, 1);
	e[1].reserved = 0;
	e[2].flags ^= 1U << 5;
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), -EINVAL);
	CHECK_EQ(bad, 2);
	e[2].flags ^= 1U << 5;
	CHECK_EQ(cpuid_set(vm, NULL, nr, &bad), -EFAULT);
	CHECK_EQ(cpuid_set(vm, e, 129, &bad), -EINVAL);
	CHECK_EQ(cpuid_set(vm, e, 0x10000000, &bad), -EINVAL);
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), 0);

	v = vcpu_new(vm, 0);
	vcpu_kick(v);
	vcpu_expect(v, KEEL_EXIT_KICKED);
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), -EBUSY);
	vm_free(vm);
}

/* An emulated feature is shown only to a VM that was created with it. */
TEST(cpuid_set_knows_the_features)
{
	struct keel_cpuid_entry e[256], *leaf1;
	u32 nr = keel_cpuid(e), bad;
	struct vm *vm = vm_new(0);

	leaf1 = (struct keel_cpuid_entry *)cpuid_find(e, nr, 1, 0);
	REQUIRE(leaf1);
	if (!(leaf1->ecx & (1 << 21 | 1 << 24)))
		ktap_skip("the host offers neither x2APIC nor TSC deadline");
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), -EOPNOTSUPP);
	CHECK_EQ(bad, leaf1 - e);
	leaf1->ecx &= ~(1U << 21 | 1U << 24);
	CHECK_EQ(cpuid_set(vm, e, nr, &bad), 0);
	vm_free(vm);
}

/* ---- policies -------------------------------------------------------------------------- */

TEST(policy_values)
{
	struct vm *vm = vm_new(0);
	u32 msr, pio, mmio, hyper;
	int want;

	for (msr = 0; msr < 4; msr++)
		for (pio = 0; pio < 4; pio++)
			for (mmio = 0; mmio < 4; mmio++)
				for (hyper = 0; hyper < 4; hyper++) {
					struct keel_policy p = {
						.msr = msr, .pio = pio, .mmio = mmio,
						.hypercall = hyper,
					};
					bool good = msr < 3 && pio < 3 && pio && mmio < 3 &&
						    mmio && hyper < 3;

					want = good ? 0 : -EINVAL;
					CHECK(kcall_sized(vm->fd, KEEL_POLICY_SET, &p) == want,
					      "msr %u pio %u mmio %u hypercall %u", msr, pio,
					      mmio, hyper);
				}
	vm_free(vm);
}

/* ---- interrupts ------------------------------------------------------------------------- */

TEST(irq_line_and_msi)
{
	struct keel_irq_line line = { .gsi = 5, .level = 2 };
	struct vm *vm = vm_new(VM_IRQCHIP), *plain = vm_new(0);

	vcpu_new(vm, 0);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_IRQ_LINE, &line), -EINVAL);
	CHECK_EQ(vm_irq_line(vm, 5, 1), 0);
	CHECK_EQ(vm_irq_line(vm, 5, 0), 0);
	CHECK_EQ(vm_irq_line(vm, 23, 1), 0);
	CHECK_EQ(vm_irq_line(vm, 24, 1), -EINVAL);
	CHECK_EQ(vm_irq_line(vm, 1023, 1), -EINVAL);
	CHECK_EQ(vm_irq_line(vm, 1024, 1), -EINVAL);
	CHECK_EQ(vm_irq_line(vm, 0xffffffff, 1), -EINVAL);
	CHECK_EQ(vm_msi(vm, 0xfec00000, 0x40), -EINVAL);
	CHECK_EQ(vm_msi(vm, 0, 0x40), -EINVAL);
	CHECK_EQ(vm_msi(vm, 0x1fee00000, 0x40), -EINVAL);
	CHECK(vm_irq_line(plain, 5, 1) < 0);
	CHECK(vm_msi(plain, 0xfee00000, 0x40) < 0);
	vm_free(vm);
	vm_free(plain);
}

static int set_routes(struct vm *vm, struct keel_route *r, u32 nr, u32 *bad)
{
	struct keel_routes arg = { .routes = (unsigned long)r, .nr = nr, .bad = 999 };
	int ret = kcall_sized(vm->fd, KEEL_ROUTES, &arg);

	*bad = arg.bad;
	return ret;
}

TEST(routes)
{
	static const struct keel_route bad_ones[] = {
		{ .gsi = 1024, .type = KEEL_ROUTE_IOAPIC, .pin = 1 },
		{ .gsi = 7, .type = 0, .pin = 1 },
		{ .gsi = 7, .type = 4, .pin = 1 },
		{ .gsi = 7, .type = KEEL_ROUTE_IOAPIC, .pin = 24 },
		{ .gsi = 7, .type = KEEL_ROUTE_PIC, .pin = 16 },
		{ .gsi = 7, .type = KEEL_ROUTE_MSI, .address = 0x1000, .data = 0x40 },
		{ .gsi = 100, .type = KEEL_ROUTE_MSI, .address = 0xfee00000, .data = 0x41 },
	};
	struct keel_route r[3] = {
		{ .gsi = 100, .type = KEEL_ROUTE_MSI, .address = 0xfee00000, .data = 0x40 },
		{ .gsi = 9, .type = KEEL_ROUTE_IOAPIC, .pin = 9 },
	};
	struct vm *vm = vm_new(VM_IRQCHIP);
	unsigned int i;
	u32 bad;

	for (i = 0; i < ARRAY_SIZE(bad_ones); i++) {
		r[2] = bad_ones[i];
		CHECK(set_routes(vm, r, 3, &bad) == -EINVAL && bad == 2, "row %u, bad %u", i, bad);
	}
	/* The old table is still there, then the new one alone, then none. */
	CHECK_EQ(vm_irq_line(vm, 5, 1), 0);
	CHECK_EQ(vm_irq_line(vm, 100, 1), -EINVAL);
	CHECK_EQ(set_routes(vm, r, 2, &bad), 0);
	CHECK_EQ(vm_irq_line(vm, 5, 1), -EINVAL);
	CHECK_EQ(vm_irq_line(vm, 100, 1), 0);
	CHECK_EQ(vm_irq_line(vm, 9, 1), 0);
	CHECK_EQ(set_routes(vm, NULL, 0, &bad), 0);
	CHECK_EQ(vm_irq_line(vm, 9, 1), -EINVAL);
	CHECK_EQ(set_routes(vm, NULL, 1, &bad), -EFAULT);
	CHECK_EQ(set_routes(vm, r, 4097, &bad), -EINVAL);
	vm_free(vm);
}

static int irqfd(struct vm *vm, int fd, u32 gsi, u32 flags, int resample)
{
	struct keel_irqfd arg = { .fd = fd, .gsi = gsi, .flags = flags, .resample_fd = resample };

	return kcall_sized(vm->fd, KEEL_IRQFD, &arg);
}

TEST(irqfd_assignment)
{
	struct vm *vm = vm_new(VM_IRQCHIP);
	int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);

	CHECK_EQ(irqfd(vm, a, 5, KEEL_IRQFD_DEASSIGN, 0), -ENOENT);
	CHECK_EQ(irqfd(vm, a, 5, 0, 0), 0);
	CHECK_EQ(irqfd(vm, a, 5, 0, 0), -EBUSY);
	CHECK_EQ(irqfd(vm, b, 5, KEEL_IRQFD_DEASSIGN, 0), -ENOENT);
	CHECK_EQ(irqfd(vm, a, 6, 0, 0), -EBUSY);
	CHECK_EQ(irqfd(vm, a, 6, KEEL_IRQFD_DEASSIGN, 0), -ENOENT);
	CHECK_EQ(irqfd(vm, a, 5, KEEL_IRQFD_DEASSIGN, 0), 0);
	CHECK_EQ(irqfd(vm, a, 5, KEEL_IRQFD_DEASSIGN, 0), -ENOENT);
	CHECK_EQ(irqfd(vm, a, 5, 0, 0), 0);
	CHECK_EQ(irqfd(vm, a, 5, 0, 0), -EBUSY);
	/* Not eventfds. */
	CHECK_EQ(irqfd(vm, -1, 7, 0, 0), -EBADF);
	CHECK_EQ(irqfd(vm, 0x7fffffff, 7, 0, 0), -EBADF);
	CHECK_EQ(irqfd(vm, keel_dev(), 7, 0, 0), -EINVAL);
	CHECK_EQ(irqfd(vm, b, 1024, 0, 0), -EINVAL);
	CHECK_EQ(irqfd(vm, b, 7, KEEL_IRQFD_RESAMPLE, -1), -EBADF);
	/* Without RESAMPLE the second fd has no meaning. */
	CHECK_EQ(irqfd(vm, b, 7, 0, a), -EINVAL);
	/* A closed eventfd is released by itself; the VM can go first, too. */
	close(a);
	CHECK_EQ(irqfd(vm, b, 7, KEEL_IRQFD_RESAMPLE, eventfd(0, 0)), 0);
	vm_free(vm);
	eventfd_write(b, 1);
}

static int bell(struct vm *vm, u64 addr, u32 len, u32 flags, u64 data, int fd)
{
	struct keel_ioeventfd arg = {
		.addr = addr, .len = len, .flags = flags, .data = data, .fd = fd,
	};

	return kcall_sized(vm->fd, KEEL_IOEVENTFD, &arg);
}

TEST(ioeventfd_assignment)
{
	struct vm *vm = vm_new(0);
	int fd = eventfd(0, 0), other = eventfd(0, 0);
	const u32 pio = KEEL_IOEVENTFD_PIO, off = KEEL_IOEVENTFD_DEASSIGN;
	const u32 match = KEEL_IOEVENTFD_MATCH;

	CHECK_EQ(bell(vm, 0x600, 2, pio, 0, fd), 0);
	CHECK_EQ(bell(vm, 0x600, 2, pio, 0, fd), -EEXIST);
	CHECK_EQ(bell(vm, 0x600, 2, pio, 0, other), -EEXIST);
	CHECK_EQ(bell(vm, 0x600, 2, pio | match, 1, other), -EEXIST);
	CHECK_EQ(bell(vm, 0x600, 2, pio | off, 0, other), -ENOENT);
	CHECK_EQ(bell(vm, 0x600, 4, pio | off, 0, fd), -ENOENT);
	CHECK_EQ(bell(vm, 0x600, 2, off, 0, fd), -ENOENT);
	CHECK_EQ(bell(vm, 0x600, 2, pio | off, 0, fd), 0);
	CHECK_EQ(bell(vm, 0x600, 2, pio | off, 0, fd), -ENOENT);
	/* Data values tell doorbells apart. */
	CHECK_EQ(bell(vm, 0xd0000000, 4, match, 1, fd), 0);
	CHECK_EQ(bell(vm, 0xd0000000, 4, match, 2, fd), 0);
	CHECK_EQ(bell(vm, 0xd0000000, 4, match, 2, other), -EEXIST);
	CHECK_EQ(bell(vm, 0xd0000000, 4, match | off, 3, fd), -ENOENT);
	CHECK_EQ(bell(vm, 0xd0000000, 4, match | off, 2, fd), 0);
	/* Lengths, ports, data without MATCH or wider than the access. */
	CHECK_EQ(bell(vm, 0xd0001000, 3, 0, 0, fd), -EINVAL);
	CHECK_EQ(bell(vm, 0xd0001000, 16, 0, 0, fd), -EINVAL);
	CHECK_EQ(bell(vm, 0x10000, 2, pio, 0, fd), -EINVAL);
	CHECK_EQ(bell(vm, 0xffff, 2, pio, 0, fd), -EINVAL);
	CHECK_EQ(bell(vm, ~0ULL, 4, 0, 0, fd), -EINVAL);
	CHECK_EQ(bell(vm, 0xd0001000, 0, match, 1, fd), -EINVAL);
	CHECK_EQ(bell(vm, 0xd0001000, 4, 0, 0, -1), -EBADF);
	CHECK_EQ(bell(vm, 0xd0001000, 4, 0, 0, keel_dev()), -EINVAL);
	vm_free(vm);
}

TEST(as_many_doorbells_as_fit)
{
	struct vm *vm = vm_new(0);
	int fd = eventfd(0, 0), ret = 0;
	u32 n;

	for (n = 0; n < 5000 && !ret; n++)
		ret = bell(vm, 0xd0000000 + n * 8, 4, 0, 0, fd);
	CHECK_EQ(ret, -ENOSPC);
	CHECK(n > 64, "%u", n);
	CHECK_EQ(bell(vm, 0xd0000000, 4, KEEL_IOEVENTFD_DEASSIGN, 0, fd), 0);
	CHECK_EQ(bell(vm, 0xd0000000, 4, 0, 0, fd), 0);
	vm_free(vm);
}

/* ---- pause --------------------------------------------------------------------------------- */

TEST(pause_and_resume)
{
	struct keel_pause p = {};
	struct vm *vm = vm_new(VM_IRQCHIP | VM_PIT);

	vcpu_new(vm, 0);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), -EALREADY);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), -EALREADY);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), 0);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), -EALREADY);
	/* A paused VM can be closed. */
	CHECK_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
	vm_free(vm);
}

static volatile bool has_run;

static void *run_once(void *arg)
{
	struct vcpu *v = arg;
	long ret = vcpu_enter(v);

	has_run = true;
	return (void *)ret;
}

TEST(run_waits_for_resume)
{
	struct keel_pause p = {};
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	pthread_t thread;
	void *ret;

	/* hlt */
	vm->ram[0x1000] = 0xf4;
	guest_real(v, 0x1000, 0);
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
	pthread_create(&thread, NULL, run_once, v);
	sleep_ms(100);
	CHECK(!has_run);
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), 0);
	pthread_join(thread, &ret);
	CHECK_EQ((long)ret, 0);
	CHECK_EQ(v->run->exit_reason, KEEL_EXIT_HLT);
	vm_free(vm);
}

/* ---- statistics --------------------------------------------------------------------- */

static bool good_name(const char *name, size_t room)
{
	size_t i;

	for (i = 0; i < room && name[i]; i++)
		if (!islower(name[i]) && !isdigit(name[i]) && name[i] != '_')
			return false;
	return i && i < room;
}

TEST(statistics)
{
	static char buf[65536] __aligned(8);
	const struct keel_stats_head *h = (const void *)buf;
	struct keel_stats_fd arg = {};
	struct vm *vm = vm_new(0);
	u32 i, j, all;
	ssize_t got;
	int fd;

	vcpu_new(vm, 0);
	vcpu_new(vm, 3);
	fd = kcall_sized(vm->fd, KEEL_STATS_FD, &arg);
	REQUIRE(fd >= 0);
	got = pread(fd, buf, sizeof(buf), 0);
	REQUIRE(got > (ssize_t)sizeof(*h));
	CHECK_EQ(h->magic, KEEL_STATS_MAGIC);
	CHECK_GE(h->head_size, sizeof(*h));
	CHECK_GE(h->desc_size, sizeof(struct keel_stat_desc));
	CHECK_EQ(h->nr_vcpus, 2);
	CHECK_EQ(h->reserved, 0);
	all = h->nr_vm_descs + h->nr_vcpu_descs;
	CHECK(h->nr_vcpu_descs > 0);
	CHECK_EQ(got, h->head_size + all * h->desc_size +
		 8 * (h->nr_vm_descs + h->nr_vcpus * h->nr_vcpu_descs));
	for (i = 0; i < all; i++) {
		const struct keel_stat_desc *d = (void *)(buf + h->head_size + i * h->desc_size);

		CHECK(good_name(d->name, sizeof(d->name)), "'%.40s'", d->name);
		CHECK(d->kind <= KEEL_STAT_BYTES, "%s: kind %u", d->name, d->kind);
		CHECK_EQ(d->of, i < h->nr_vm_descs ? KEEL_STAT_OF_VM : KEEL_STAT_OF_VCPU);
		for (j = 0; j < i; j++) {
			const struct keel_stat_desc *e =
				(void *)(buf + h->head_size + j * h->desc_size);

			CHECK(d->of != e->of || strcmp(d->name, e->name), "%s twice", d->name);
		}
	}
	/* A part of it, and beyond the end. */
	CHECK_EQ(pread(fd, buf, 8, 0), 8);
	CHECK_EQ(pread(fd, buf, 8, 1 << 20), 0);
	CHECK_EQ(pread(fd, (void *)-4096L, 8, 0), -1);
	CHECK_EQ(write(fd, buf, 8), -1);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	vm_free(vm);
}
