// SPDX-License-Identifier: GPL-2.0
/*
 * Many at once: VMs in one process and in many, created and closed while
 * others run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libkeel.h"

static volatile unsigned int races;	/* of racer(): RUNs that have ended */

/* Sum of 1..n by the guest: mov $n, %cx; 1: add %cx, %ax; loop 1b; hlt */
static u32 sum(struct vcpu *v, u16 n)
{
	u8 code[] = { 0x31, 0xc0, 0xb9, n & 0xff, n >> 8, 0x01, 0xc8, 0xe2, 0xfc, 0xf4 };

	memcpy(v->vm->ram + 0x1000, code, sizeof(code));
	guest_real(v, 0x1000, 0);
	vcpu_expect(v, KEEL_EXIT_HLT);
	return v->run->regs.gpr[KEEL_GPR_RAX] & 0xffff;
}

static void some_work(unsigned int seed, unsigned int rounds)
{
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		struct vm *vm = vm_new(i & 1 ? 0 : VM_BIG);
		struct vcpu *v = vcpu_new(vm, 0);
		u16 n = 10 + (seed + i) % 50;

		CHECK_EQ(sum(v, n), n * (n + 1) / 2);
		if (i % 3 == 0)
			madvise(vm->ram, vm->ram_size, MADV_DONTNEED);
		CHECK_EQ(sum(v, n + 1), (n + 1) * (n + 2) / 2);
		vm_free(vm);
	}
}

static void *worker(void *arg)
{
	some_work((unsigned long)arg, 8);
	return NULL;
}

TEST(threads)
{
	pthread_t thread[6];
	unsigned long i;

	for (i = 0; i < 6; i++)
		pthread_create(&thread[i], NULL, worker, (void *)i);
	for (i = 0; i < 6; i++)
		pthread_join(thread[i], NULL);
}

TEST(processes)
{
	int i, status;

	for (i = 0; i < 6; i++)
		if (!fork()) {
			some_work(i * 7, 8);
			_exit(0);
		}
	for (i = 0; i < 6; i++) {
		REQUIRE(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
}

TEST(many_vms_alive)
{
	struct vm *vm[40];
	struct keel_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm); i++) {
		vm[i] = vm_new(VM_IRQCHIP);
		vcpu_new(vm[i], 0);
	}
	keel_info(&info);
	CHECK_EQ(info.nr_vms, ARRAY_SIZE(vm));
	for (i = 0; i < ARRAY_SIZE(vm); i++) {
		/* cli; hlt would wait: count in a port instead */
		memcpy(vm[i]->ram + 0x1000, "\xb0\x00\xe6\x80", 4);
		vm[i]->ram[0x1001] = i;
		guest_real(&vm[i]->vcpu[0], 0x1000, 0);
	}
	for (i = ARRAY_SIZE(vm); i--;) {
		vcpu_expect(&vm[i]->vcpu[0], KEEL_EXIT_PIO);
		CHECK_EQ(vm[i]->vcpu[0].run->pio.data, i);
	}
	for (i = 0; i < ARRAY_SIZE(vm); i++)
		vm_free(vm[i]);
}

#define RACES	150

/* Kicks and pauses race with a vCPU that starts. */
static void *racer(void *arg)
{
	struct vcpu *v = arg;
	int ret;

	while (races < RACES) {
		ret = vcpu_enter(v);
		if (ret || v->run->exit_reason != KEEL_EXIT_KICKED)
			CHECK(false, "%d, exit %u", ret, v->run->exit_reason);
		races++;
	}
	return NULL;
}

TEST(kicks_and_pauses)
{
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_pause p = {};
	pthread_t thread;
	unsigned int i;

	memcpy(vm->ram + 0x1000, "\xeb\xfe", 2);
	/* Where the NMI's vector, 0:0, leads. */
	memcpy(vm->ram, "\xeb\xfe", 2);
	guest_real(v, 0x1000, 0);
	pthread_create(&thread, NULL, racer, v);
	/* One kick ends one RUN, whenever it comes: none may be lost, none count twice. */
	for (i = 0; i < RACES && !ktap_has_failed(); i++) {
		usleep(rand() % 1500);
		CHECK_EQ(vcpu_kick(v), 0);
		if (i % 4 == 0) {
			CHECK_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
			CHECK_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), 0);
		}
		if (i % 4 == 1)
			vcpu_inject(v, KEEL_INJECT_NMI, 0, 0);
		CHECK(WAIT_FOR(5000, races > i), "kick %u is lost", i);
		CHECK_EQ(races, i + 1);
	}
	if (!ktap_has_failed())
		pthread_join(thread, NULL);
	/* Else the process takes the thread along. */
	if (!ktap_has_failed())
		vm_free(vm);
}
