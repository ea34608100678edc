// SPDX-License-Identifier: GPL-2.0
/*
 * keel.ko comes and goes: not while anything of a VM lives, and as often as one
 * likes otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "host.h"
#include "libkeel.h"

static void works(void)
{
	struct vm *vm;
	struct vcpu *v;

	vm = vm_new(VM_IRQCHIP | VM_PIT);
	v = vcpu_new(vm, 0);
	CHECK_EQ(vcpu_kick(v), 0);
	vcpu_expect(v, KEEL_EXIT_KICKED);
	vm_free(vm);
}

/* In a child, so that no fd of the device is left here. */
#define IN_CHILD(statement) do {			\
	int child_status;				\
	pid_t child = fork();				\
							\
	if (!child) {					\
		statement;				\
		_exit(0);				\
	}						\
	waitpid(child, &child_status, 0);		\
} while (0)

/* The last thing that is left of a VM. */
enum last { LAST_DEV, LAST_VM, LAST_VCPU, LAST_RUN_PAGE, LAST_STATS, LAST_NR };

static void refused_while(enum last last)
{
	struct keel_create_vm arg = { .size = sizeof(arg) };
	struct keel_create_vcpu vcpu_arg = { .size = sizeof(vcpu_arg) };
	struct keel_stats_fd stats_arg = { .size = sizeof(stats_arg) };
	int fd[LAST_NR], i;
	void *run;

	fd[LAST_DEV] = open(KEEL_DEVICE, O_RDWR | O_CLOEXEC);
	REQUIRE(fd[LAST_DEV] >= 0);
	fd[LAST_VM] = kcall(fd[LAST_DEV], KEEL_CREATE_VM, &arg);
	REQUIRE(fd[LAST_VM] >= 0);
	fd[LAST_VCPU] = kcall(fd[LAST_VM], KEEL_CREATE_VCPU, &vcpu_arg);
	fd[LAST_STATS] = kcall(fd[LAST_VM], KEEL_STATS_FD, &stats_arg);
	REQUIRE(fd[LAST_VCPU] >= 0 && fd[LAST_STATS] >= 0);
	run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd[LAST_VCPU], 0);
	REQUIRE(run != MAP_FAILED);
	CHECK_EQ(kcall(fd[LAST_VCPU], KEEL_KICK, NULL), 0);
	CHECK_EQ(kcall(fd[LAST_VCPU], KEEL_RUN, NULL), 0);

	for (i = 0; i < LAST_NR; i++)
		if (i != LAST_RUN_PAGE && i != (int)last)
			close(fd[i]);
	if (last != LAST_RUN_PAGE)
		munmap(run, 4096);
	CHECK(host_rmmod("keel") == -EWOULDBLOCK, "gone, with %d open", last);
	if (last == LAST_RUN_PAGE)
		munmap(run, 4096);
	else
		close(fd[last]);
}

TEST(refused_while_in_use)
{
	int last;

	host_need_keel();
	for (last = 0; last < LAST_NR; last++)
		refused_while(last);
	/* The last of it is gone. */
	CHECK(WAIT_FOR(5000, !host_rmmod("keel")));
	CHECK(access(KEEL_DEVICE, F_OK) != 0);
	host_need_keel();
}

TEST(again_and_again)
{
	int i;

	for (i = 0; i < 6; i++) {
		host_need_keel();
		IN_CHILD(works());
		REQUIRE(WAIT_FOR(5000, !host_rmmod("keel")), "round %d", i);
		REQUIRE(!host_has_module("keel"));
	}
	host_need_keel();
}

/* Straight after the launcher's death, when its VM is still being taken apart. */
TEST(right_after_a_kill)
{
	int i, to[2];
	pid_t pid;
	char c;

	for (i = 0; i < 4; i++) {
		host_need_keel();
		REQUIRE_EQ(pipe(to), 0);
		pid = fork();
		if (!pid) {
			struct vm *vm = vm_new(VM_IRQCHIP | VM_PIT);
			struct vcpu *v = vcpu_new(vm, 0);

			memcpy(vm->ram + 0x1000, "\xeb\xfe", 2);
			guest_real(v, 0x1000, 0);
			guest_spins(v);
			if (write(to[1], "x", 1) == 1)
				vcpu_enter(v);
			_exit(0);
		}
		REQUIRE_EQ(read(to[0], &c, 1), 1);
		sleep_ms(10 * i);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		CHECK(WAIT_FOR(5000, !host_rmmod("keel")));
		close(to[0]);
		close(to[1]);
	}
	host_need_keel();
}

TEST(bad_parameters)
{
	host_need_keel();
	REQUIRE(WAIT_FOR(5000, !host_rmmod("keel")));
	CHECK_EQ(host_insmod(HOST_KEEL, "ownership=greedy"), -EINVAL);
	CHECK(!host_has_module("keel"));
	CHECK_EQ(host_insmod(HOST_KEEL, "ownership=eager"), 0);
	IN_CHILD(works());
	REQUIRE(WAIT_FOR(5000, !host_rmmod("keel")));
	host_need_keel();
}
