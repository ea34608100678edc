// SPDX-License-Identifier: GPL-2.0
/*
 * A launcher that is killed at any moment leaves nothing behind: VMs, vCPUs,
 * memory, stage-2 tables are what they were.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libkeel.h"

#define ROUNDS	25
#define ROOT	4096	/* bytes of stage-2 tables that stay as long as the VM */

static void *keep_running(void *arg)
{
	struct vcpu *v = arg;

	for (;;)
		vcpu_enter(v);
	return NULL;
}

static void *keep_calling(void *arg)
{
	struct vm *vm = arg;
	struct keel_pause p = {};
	u8 *mem = pages(MIB);

	for (;;) {
		vm_mem(vm, KEEL_MEM_MAP, 0, 0x10000000, MIB, mem);
		kcall_sized(vm->fd, KEEL_PAUSE, &p);
		kcall_sized(vm->fd, KEEL_RESUME, &p);
		vm_irq_line(vm, 5, 1);
		vm_irq_line(vm, 5, 0);
		vm_mem(vm, KEEL_MEM_UNMAP, 0, 0x10000000, MIB, NULL);
		madvise(vm->ram + 0x100000, MIB, MADV_DONTNEED);
	}
	return NULL;
}

/* Everything at once, for ever. */
static void launcher(void)
{
	for (;;) {
		struct vm *vm = vm_new(VM_IRQCHIP | VM_PIT);
		struct keel_irqfd irqfd = { .fd = eventfd(0, 0), .gsi = 9 };
		struct keel_ioeventfd bell = {
			.fd = irqfd.fd, .addr = 0x600, .len = 2, .flags = KEEL_IOEVENTFD_PIO,
		};
		pthread_t thread;
		int i;

		kcall_sized(vm->fd, KEEL_IRQFD, &irqfd);
		kcall_sized(vm->fd, KEEL_IOEVENTFD, &bell);
		for (i = 0; i < 2; i++) {
			struct vcpu *v = vcpu_new(vm, i);
			struct keel_rec_events run = {};

			/* 1: incl 0x100; out %ax, %dx; jmp 1b */
			memcpy(vm->ram + 0x1000, "\x66\xff\x06\x00\x01\xef\xeb\xf8", 8);
			guest_real(v, 0x1000, 0);
			state_set(v->fd, KEEL_REC_EVENTS, &run, sizeof(run), NULL);
			pthread_create(&thread, NULL, keep_running, v);
		}
		pthread_create(&thread, NULL, keep_calling, vm);
		sleep_ms(20);
	}
}

static void counters(u64 c[4])
{
	struct keel_info info;

	keel_info(&info);
	c[0] = info.nr_vms;
	c[1] = info.nr_vcpus;
	c[2] = info.kernel_bytes;
	c[3] = info.stage2_bytes;
}

static bool same(const u64 base[4])
{
	u64 now[4];

	counters(now);
	return !memcmp(base, now, sizeof(now));
}

TEST(at_any_moment)
{
	u64 base[4], now[4];
	int i, status;
	pid_t pid;

	counters(base);
	CHECK_EQ(base[0], 0);
	srand(getpid());
	for (i = 0; i < ROUNDS; i++) {
		pid = fork();
		if (!pid)
			launcher();
		usleep(rand() % 120000);
		kill(pid, SIGKILL);
		REQUIRE_EQ(waitpid(pid, &status, 0), pid);
		REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
			"the launcher ended by itself: %#x", status);
		if (WAIT_FOR(5000, same(base)))
			continue;
		counters(now);
		CHECK(false, "round %d: VMs %llu vCPUs %llu bytes %llu (%llu) stage-2 %llu", i,
		      now[0], now[1], now[2], base[2], now[3]);
		ktap_end();
	}
}

/* The fds live on in another process; the launcher's memory does not. */
TEST(fds_outlive_the_launcher)
{
	u64 base[4], now[4];
	int up[2], down[2], status;
	pid_t pid;
	char c;

	counters(base);
	REQUIRE(!pipe(up) && !pipe(down));
	pid = fork();
	if (!pid) {
		struct vm *vm = vm_new(VM_IRQCHIP);
		struct vcpu *v = vcpu_new(vm, 0);
		pid_t heir;

		heir = fork();
		if (!heir) {
			struct keel_pause p = {};

			close(down[1]);
			/* Only the dead could run it, and what it mapped is gone. */
			CHECK_EQ(read(down[0], &c, 1), 0);
			CHECK_EQ(vcpu_enter(v), -EPERM);
			CHECK_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), -EPERM);
			CHECK_EQ(vm_stat(vm, -1, "stage2_bytes"), ROOT);
			CHECK_EQ(write(up[1], "k", 1), 1);
			_exit(0);
		}
		/* Not before the fork, which takes all pages from the guest. */
		memcpy(vm->ram + 0x1000, "\xe6\x80", 2);	/* out %al, $0x80 */
		guest_real(v, 0x1000, 0);
		vcpu_expect(v, KEEL_EXIT_PIO);
		CHECK(vm_stat(vm, -1, "stage2_bytes") > ROOT, "no tables");
		_exit(0);
	}
	close(down[0]);
	close(up[1]);
	REQUIRE_EQ(waitpid(pid, &status, 0), pid);
	sleep_ms(50);
	/* The tables went with the memory, the VM is there. */
	CHECK(WAIT_FOR(2000, ({ counters(now); now[0] == 1; })));
	close(down[1]);
	CHECK_EQ(read(up[0], &c, 1), 1);
	CHECK(WAIT_FOR(5000, same(base)));
}
