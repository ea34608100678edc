// SPDX-License-Identifier: GPL-2.0
/*
 * Who has the CPUs: Keel and the real KVM in both orders, on kernels whose KVM
 * takes them with its first VM (6.1) or when it is loaded (6.12). Each gets a
 * clean refusal, and what it needs once the other is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "host.h"
#include "libkeel.h"

#define MODULES	"/lib/kvm/"

static bool intel(void)
{
	return __builtin_cpu_is("intel");
}

static const char *vendor(void)
{
	return intel() ? "kvm_intel" : "kvm_amd";
}

/* 0 or -errno of the vendor's module. */
static int load_kvm(const char *params)
{
	int ret;

	host_insmod(MODULES "irqbypass.ko", "");
	ret = host_insmod(MODULES "kvm.ko", params);
	if (ret == -ENOENT)
		ktap_skip("no " MODULES "kvm.ko here");
	REQUIRE(!ret || ret == -EEXIST, "kvm.ko: %s", strerror(-ret));
	return host_insmod(intel() ? MODULES "kvm-intel.ko" : MODULES "kvm-amd.ko", "");
}

static int unload_kvm(void)
{
	int ret = host_rmmod(vendor());

	host_rmmod("kvm");
	host_rmmod("irqbypass");
	return ret;
}

/* A KVM VM that has taken the CPUs: its fd, or -errno. */
static int kvm_vm(void)
{
	int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC), fd;

	if (dev < 0)
		return -errno;
	fd = ioctl(dev, KVM_CREATE_VM, 0);
	if (fd < 0)
		fd = -errno;
	close(dev);
	return fd;
}

/* KVM that holds the CPUs from the moment it is loaded. */
static bool kvm_holds_at_load(void)
{
	char buf[8];

	return host_read("/sys/module/kvm/parameters/enable_virt_at_load", buf,
			 sizeof(buf))[0] == 'Y';
}

static int create(u32 *reason)
{
	struct keel_create_vm arg = {};
	int fd = kcall_sized(keel_dev(), KEEL_CREATE_VM, &arg);

	*reason = arg.busy_reason;
	return fd;
}

static void keel_works(void)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	vm->ram[0x1000] = 0xf4;
	guest_real(v, 0x1000, 0);
	vcpu_expect(v, KEEL_EXIT_HLT);
	vm_free(vm);
}

/* Keel did not notice. */
static void still_works(struct vcpu *v)
{
	v->vm->ram[0x1000] = 0xf4;
	guest_real(v, 0x1000, 0);
	vcpu_expect(v, KEEL_EXIT_HLT);
}

static void kvm_works(void)
{
	int fd = kvm_vm();

	CHECK(fd >= 0, "KVM_CREATE_VM: %s", strerror(-fd));
	close(fd);
}

TEST(keel_then_kvm)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	host_log_start();
	/* It is not even let in. */
	CHECK_EQ(load_kvm(""), -EBUSY);
	CHECK(host_log_has("is refused while Keel holds the CPUs"));
	still_works(v);
	vm_free(vm);

	/* And now it is KVM's turn. */
	REQUIRE_EQ(load_kvm(""), 0);
	kvm_works();
	CHECK_EQ(unload_kvm(), 0);
	keel_works();
}

/* Let in by the administrator, it finds the CPUs taken. */
TEST(keel_then_kvm_without_veto)
{
	struct vm *vm;
	int fd;

	host_insmod(MODULES "irqbypass.ko", "");
	if (host_insmod(MODULES "kvm.ko", "") == -ENOENT)
		ktap_skip("no " MODULES "kvm.ko here");
	/* kvm_intel takes the callback at load on every kernel that has one, and warns. */
	if (intel() || kvm_holds_at_load()) {
		host_rmmod("kvm");
		ktap_skip("this KVM takes the CPUs, and the emergency callback, when it is loaded");
	}
	vm = vm_new(0);
	vcpu_new(vm, 0);
	REQUIRE_EQ(host_write("/sys/module/keel/parameters/veto_kvm", "N"), 0);
	CHECK_EQ(load_kvm(""), 0);
	fd = kvm_vm();
	CHECK(fd == -EBUSY, "KVM_CREATE_VM: %d", fd);
	still_works(&vm->vcpu[0]);
	vm_free(vm);
	host_write("/sys/module/keel/parameters/veto_kvm", "Y");
	kvm_works();
	CHECK_EQ(unload_kvm(), 0);
	keel_works();
}

/* Held as long as the module is there, without a VM. */
TEST(eager)
{
	REQUIRE(WAIT_FOR(5000, !host_rmmod("keel")));
	REQUIRE_EQ(host_insmod(HOST_KEEL, "ownership=eager"), 0);
	host_log_start();
	CHECK_EQ(load_kvm(""), -EBUSY);
	CHECK(host_log_has("is refused while Keel holds the CPUs"));
	REQUIRE(WAIT_FOR(5000, !host_rmmod("keel")));
	host_need_keel();
	keel_works();
	REQUIRE_EQ(load_kvm(""), 0);
	CHECK_EQ(unload_kvm(), 0);
}

TEST(kvm_then_keel)
{
	struct keel_info info;
	u32 reason;
	int fd, ret;

	REQUIRE_EQ(load_kvm(""), 0);
	fd = kvm_vm();
	REQUIRE(fd >= 0, "KVM_CREATE_VM: %s", strerror(-fd));
	host_log_start();
	ret = create(&reason);
	CHECK_EQ(ret, -EBUSY);
	CHECK_EQ(reason, KEEL_BUSY_KVM);
	CHECK(host_log_has(vendor()), "no line in the log names the holder");
	keel_info(&info);
	CHECK_EQ(info.nr_vms, 0);
	/* KVM did not notice. */
	kvm_works();
	close(fd);
	CHECK_EQ(unload_kvm(), 0);
	keel_works();
}

TEST_DEADLINE(idle_kvm, 120)
{
	u32 reason;
	bool holds;
	int fd;

	REQUIRE_EQ(load_kvm(""), 0);
	holds = kvm_holds_at_load();
	fd = create(&reason);
	if (holds) {
		CHECK_EQ(fd, -EBUSY);
		CHECK_EQ(reason, KEEL_BUSY_KVM);
	} else {
		CHECK(fd >= 0, "%s", strerror(-fd));
		CHECK_EQ(kvm_vm(), -EBUSY);
		close(fd);
		WAIT_FOR(1000, (fd = kvm_vm()) >= 0);
		CHECK(fd >= 0, "KVM_CREATE_VM after Keel: %s", strerror(-fd));
		close(fd);
	}
	CHECK_EQ(unload_kvm(), 0);
	keel_works();
}

/* Hand-overs, ten of them: whatever one sets, it takes back. */
TEST_DEADLINE(back_and_forth, 120)
{
	int i;

	for (i = 0; i < 5; i++) {
		keel_works();
		REQUIRE_EQ(load_kvm(""), 0);
		kvm_works();
		REQUIRE_EQ(unload_kvm(), 0);
	}
	keel_works();
}
