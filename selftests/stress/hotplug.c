// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs that go offline and come back while VMs run on them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "host.h"
#include "libkeel.h"

static void need_two(void)
{
	if (host_nr_cpus() < 2)
		ktap_skip("this host has one CPU");
}

/* A guest that counts at 0x1100, forever. */
struct counter {
	struct vm *vm;
	volatile u32 *count;
	pthread_t thread;
	u32 end;
};

static void *run_counter(void *arg)
{
	struct counter *c = arg;

	do
		c->end = vcpu_enter(&c->vm->vcpu[0]);
	while ((int)c->end == -EINTR);
	return NULL;
}

static void start(struct counter *c)
{
	struct vcpu *v;

	c->vm = vm_new(VM_IRQCHIP);
	v = vcpu_new(c->vm, 0);
	/* 1: incl 0x100; jmp 1b */
	memcpy(c->vm->ram + 0x1000, "\x66\xff\x06\x00\x01\xeb\xf9", 7);
	guest_real(v, 0x1000, 0);
	guest_spins(v);
	c->count = (u32 *)(c->vm->ram + 0x1100);
	pthread_create(&c->thread, NULL, run_counter, c);
}

static bool counts(struct counter *c)
{
	u32 seen = *c->count;

	return WAIT_FOR(10000, *c->count != seen);
}

static void stop(struct counter *c)
{
	vcpu_kick(&c->vm->vcpu[0]);
	pthread_join(c->thread, NULL);
	CHECK_EQ(c->end, 0);
	CHECK_EQ(c->vm->vcpu[0].run->exit_reason, KEEL_EXIT_KICKED);
	vm_free(c->vm);
}

TEST(under_running_vms)
{
	struct counter c[3];
	int i, round;

	need_two();
	for (i = 0; i < 3; i++)
		start(&c[i]);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < 3; i++)
			CHECK(counts(&c[i]));
		REQUIRE_EQ(host_cpu_online(1, round & 1), 0);
	}
	for (i = 0; i < 3; i++) {
		CHECK(counts(&c[i]));
		stop(&c[i]);
	}
	host_cpu_online(1, true);
}

/* The VM comes while the CPU is away; it must be taken when it is back. */
TEST(online_with_a_vm)
{
	struct vm *vm;
	struct vcpu *v;
	int i;

	need_two();
	REQUIRE_EQ(host_cpu_online(1, false), 0);
	vm = vm_new(0);
	v = vcpu_new(vm, 0);
	REQUIRE_EQ(host_cpu_online(1, true), 0);
	for (i = 0; i < 6; i++) {
		REQUIRE_EQ(host_pin(i & 1), 0);
		vm->ram[0x1000] = 0xf4;
		guest_real(v, 0x1000, 0);
		vcpu_expect(v, KEEL_EXIT_HLT);
	}
	vm_free(vm);
}

/* And the other way round: taken, away, the last VM ends, back. */
TEST(offline_over_the_last_vm)
{
	struct vm *vm;

	need_two();
	vm = vm_new(0);
	REQUIRE_EQ(host_cpu_online(1, false), 0);
	vm_free(vm);
	REQUIRE_EQ(host_cpu_online(1, true), 0);
	vm = vm_new(0);
	vm->ram[0x1000] = 0xf4;
	REQUIRE_EQ(host_pin(1), 0);
	guest_real(vcpu_new(vm, 0), 0x1000, 0);
	vcpu_expect(&vm->vcpu[0], KEEL_EXIT_HLT);
	vm_free(vm);
}

/* A guest that counts in EAX and comes out at each number. */
static struct vcpu *counting_vcpu(void)
{
	/* 1: inc %eax; out %al, $0x80; jmp 1b */
	static const u8 code[] = { 0x66, 0x40, 0xe6, 0x80, 0xeb, 0xfa };
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	memcpy(vm->ram + 0x1000, code, sizeof(code));
	guest_real(v, 0x1000, 0);
	return v;
}

static void count_on(struct vcpu *v, unsigned int cpu, u32 number)
{
	REQUIRE_EQ(host_pin(cpu), 0);
	vcpu_expect(v, KEEL_EXIT_PIO);
	CHECK_EQ(v->run->regs.gpr[KEEL_GPR_RAX], number);
}

/* A vCPU that wanders between CPUs keeps its state. */
TEST(migration)
{
	struct vcpu *v;
	u32 i;

	need_two();
	v = counting_vcpu();
	for (i = 1; i < 200; i++)
		count_on(v, i & 1, i);
	vm_free(v->vm);
}

/* What the CPU that goes holds of a vCPU that is not running is written back first. */
TEST(last_cpu_of_a_vcpu_that_waits)
{
	struct vcpu *v;
	u32 i;

	need_two();
	v = counting_vcpu();
	for (i = 1; i < 9; i += 2) {
		count_on(v, 1, i);
		REQUIRE_EQ(host_pin(0), 0);
		REQUIRE_EQ(host_cpu_online(1, false), 0);
		count_on(v, 0, i + 1);
		REQUIRE_EQ(host_cpu_online(1, true), 0);
	}
	vm_free(v->vm);
}
