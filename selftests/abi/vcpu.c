// SPDX-License-Identifier: GPL-2.0
/*
 * The calls on a vCPU and its run page: who may run it, what the page is
 * checked for, kicks, injections, translations.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include "libkeel.h"

/* A vCPU that runs "jmp ." in a thread, and is surely inside. */
struct spinning {
	struct vm *vm;
	struct vcpu *v;
	pthread_t thread;
	volatile bool over;
	int ret;
};

static void *spin(void *arg)
{
	struct spinning *s = arg;

	s->ret = vcpu_enter(s->v);
	s->over = true;
	return NULL;
}

static void start_spinning(struct spinning *s, u32 flags)
{
	memset(s, 0, sizeof(*s));
	s->vm = vm_new(flags);
	s->v = vcpu_new(s->vm, 0);
	/* incl 0x100; jmp back */
	memcpy(s->vm->ram + 0x1000, "\x66\xff\x06\x00\x01\xeb\xf9", 7);
	guest_real(s->v, 0x1000, 0);
	guest_spins(s->v);
	pthread_create(&s->thread, NULL, spin, s);
	REQUIRE(WAIT_FOR(10000, *(volatile u32 *)(s->vm->ram + 0x1100)));
}

static void stop_spinning(struct spinning *s)
{
	vcpu_kick(s->v);
	pthread_join(s->thread, NULL);
	CHECK_EQ(s->ret, 0);
	CHECK_EQ(s->v->run->exit_reason, KEEL_EXIT_KICKED);
	vm_free(s->vm);
}

TEST(second_run_of_a_running_vcpu)
{
	struct keel_translate tr = { .access = KEEL_ACCESS_READ };
	struct spinning s;
	struct keel_regs regs;

	start_spinning(&s, 0);
	CHECK_EQ(vcpu_enter(s.v), -EBUSY);
	CHECK_EQ(vcpu_enter(s.v), -EBUSY);
	CHECK_EQ(state_get(s.v->fd, KEEL_REC_REGS, &regs, sizeof(regs)), -EBUSY);
	CHECK_EQ(state_set(s.v->fd, KEEL_REC_REGS, &regs, sizeof(regs), NULL), -EBUSY);
	CHECK_EQ(kcall_sized(s.v->fd, KEEL_TRANSLATE, &tr), -EBUSY);
	CHECK_EQ(vcpu_inject(s.v, KEEL_INJECT_IRQ, 0x40, 0), -EBUSY);
	CHECK_EQ(vcpu_inject(s.v, KEEL_INJECT_EXCEPTION, 6, 0), -EBUSY);
	CHECK(!s.over);
	stop_spinning(&s);
}

static void on_signal(int sig)
{
}

TEST(signal_ends_run)
{
	struct spinning s;
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	start_spinning(&s, 0);
	pthread_kill(s.thread, SIGUSR1);
	pthread_join(s.thread, NULL);
	CHECK_EQ(s.ret, -EINTR);
	CHECK_EQ(s.v->run->exit_reason, KEEL_EXIT_NONE);
	/* It goes on where it was. */
	pthread_create(&s.thread, NULL, spin, &s);
	*(volatile u32 *)(s.vm->ram + 0x1100) = 0;
	REQUIRE(WAIT_FOR(10000, *(volatile u32 *)(s.vm->ram + 0x1100)));
	stop_spinning(&s);
}

TEST(kick_from_everywhere)
{
	struct spinning s;
	int i;

	for (i = 0; i < 20; i++) {
		start_spinning(&s, i & 1 ? VM_IRQCHIP : 0);
		stop_spinning(&s);
	}
}

TEST(arguments_of_run_and_kick)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	CHECK_EQ(kcall(v->fd, KEEL_RUN, (void *)1), -EINVAL);
	CHECK_EQ(kcall(v->fd, KEEL_KICK, (void *)1), -EINVAL);
	/* That was no kick. */
	vm->ram[0x1000] = 0xf4;
	guest_real(v, 0x1000, 0);
	vcpu_expect(v, KEEL_EXIT_HLT);
	vm_free(vm);
}

/* ---- the run page --------------------------------------------------------------- */

TEST(run_page_is_checked)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_run *run = v->run;

	/* hlt; jmp back */
	memcpy(vm->ram + 0x1000, "\xf4\xeb\xfd", 3);
	guest_real(v, 0x1000, 0);
	run->flags = 2;
	CHECK_EQ(vcpu_enter(v), -EINVAL);
	run->flags = 0;
	run->want = 4;
	CHECK_EQ(vcpu_enter(v), -EINVAL);
	run->want = KEEL_GROUPS_ALL;
	run->commit = 0x80000000;
	CHECK_EQ(vcpu_enter(v), -EINVAL);
	run->commit = 0;
	run->reserved_in = 1;
	CHECK_EQ(vcpu_enter(v), -EINVAL);
	run->reserved_in = 0;
	/* The registers are still those of before. */
	vcpu_expect(v, KEEL_EXIT_HLT);
	CHECK_EQ(run->valid, KEEL_GROUPS_ALL);
	CHECK_EQ(run->regs.rip, 1);

	/* Bad ones are refused, and good ones beside them are not taken. */
	run->regs.rip = 0x77;
	run->sregs.cr0 = 0x80000000;
	run->commit = KEEL_GROUPS_ALL;
	CHECK_EQ(vcpu_enter(v), -EINVAL);
	state_get(v->fd, KEEL_REC_REGS, &run->regs, sizeof(run->regs));
	CHECK_EQ(run->regs.rip, 1);
	vm_free(vm);
}

TEST(registers_through_the_run_page)
{
	/* out %al, $0x80; hlt */
	static const u8 code[] = { 0xe6, 0x80, 0xf4 };
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_run *run = v->run;

	memcpy(vm->ram + 0x1000, code, sizeof(code));
	guest_real(v, 0x1000, 0);
	vcpu_expect(v, KEEL_EXIT_PIO);
	run->regs.gpr[KEEL_GPR_RAX] = 0x5a;
	run->regs.rip = 0;
	run->commit = KEEL_GROUP_REGS;
	vcpu_expect(v, KEEL_EXIT_PIO);
	CHECK_EQ(run->commit, 0);
	CHECK_EQ(run->pio.data, 0x5a);
	/* Another code segment. */
	memcpy(vm->ram + 0x2000, "\xb0\x33\xe6\x81\xf4", 5);
	run->sregs.seg[KEEL_SREG_CS].base = 0x2000;
	run->sregs.seg[KEEL_SREG_CS].selector = 0x200;
	run->regs.rip = 0;
	run->commit = KEEL_GROUPS_ALL;
	vcpu_expect(v, KEEL_EXIT_PIO);
	CHECK_EQ(run->pio.port, 0x81);
	CHECK_EQ(run->pio.data, 0x33);
	/* Only what is wanted comes out. */
	run->want = 0;
	memset(&run->regs, 0x77, sizeof(run->regs));
	vcpu_expect(v, KEEL_EXIT_HLT);
	CHECK_EQ(run->valid, 0);
	CHECK_EQ(run->regs.rip, 0x7777777777777777);
	vm_free(vm);
}

TEST(run_page_mappings)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	const int rw = PROT_READ | PROT_WRITE;

	CHECK(mmap(NULL, 4096, rw, MAP_PRIVATE, v->fd, 0) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, rw | PROT_EXEC, MAP_SHARED, v->fd, 0) == MAP_FAILED);
	CHECK(mmap(NULL, 8192, rw, MAP_SHARED, v->fd, 0) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, rw, MAP_SHARED, v->fd, 4096) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, rw, MAP_SHARED, vm->fd, 0) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, rw, MAP_SHARED, keel_dev(), 0) == MAP_FAILED);
	CHECK_EQ(mprotect(v->run, 4096, rw | PROT_EXEC), -1);
	vm_free(vm);
}

/* A thread scribbles over the page while the vCPU runs. */
static volatile bool stop_scribbling;

static void *scribble(void *arg)
{
	volatile u32 *p = arg;
	u32 x = 1, i;

	while (!stop_scribbling)
		for (i = 0; i < 1024; i++) {
			x = x * 1103515245 + 12345;
			p[i] = x;
		}
	return NULL;
}

TEST(run_page_is_not_trusted)
{
	/* 1: in $0x80, %al; out %al, $0x81; jmp 1b */
	static const u8 code[] = { 0xe4, 0x80, 0xe6, 0x81, 0xeb, 0xfa };
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	unsigned int i, ran = 0, refused = 0;
	pthread_t thread;

	memcpy(vm->ram + 0x1000, code, sizeof(code));
	guest_real(v, 0x1000, 0);
	pthread_create(&thread, NULL, scribble, v->run);
	for (i = 0; i < 2000; i++) {
		int ret;

		/* Its registers may take it anywhere. */
		if (i % 50 == 0)
			guest_real(v, 0x1000, 0);
		vcpu_kick(v);
		ret = vcpu_enter(v);
		CHECK(ret == 0 || ret == -EINVAL || ret == -EINTR, "%d", ret);
		ran += ret == 0;
		refused += ret == -EINVAL;
	}
	stop_scribbling = true;
	pthread_join(thread, NULL);
	ktap_note("%u runs, %u refused", ran, refused);
	memset(v->run, 0, 4096);
	guest_real(v, 0x1000, 0);
	do
		i = vcpu_run(v);
	while (i == KEEL_EXIT_KICKED);
	CHECK_EQ(i, KEEL_EXIT_PIO);
	vm_free(vm);
}

/* ---- INJECT, TRANSLATE ------------------------------------------------------------ */

TEST(inject_refuses)
{
	struct vm *vm = vm_new(0), *chip = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0), *c = vcpu_new(chip, 0);
	u32 vec;

	CHECK_EQ(vcpu_inject(v, 0, 0, 0), -EINVAL);
	CHECK_EQ(vcpu_inject(v, 4, 0, 0), -EINVAL);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 256, 0), -EINVAL);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 0x40, 1), -EINVAL);
	CHECK_EQ(vcpu_inject(c, KEEL_INJECT_IRQ, 0x40, 0), -EINVAL);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 2, 0), -EINVAL);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 0, 1), -EINVAL);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_EXCEPTION, 2, 0), -EINVAL);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_EXCEPTION, 32, 0), -EINVAL);
	/* An error code where there is none. */
	for (vec = 0; vec < 32; vec++) {
		bool has = vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 ||
			   vec == 29 || vec == 30;

		if (!has)
			CHECK(vcpu_inject(v, KEEL_INJECT_EXCEPTION, vec, 1) == -EINVAL, "%u", vec);
	}
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_EXCEPTION, 13, 1), 0);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_EXCEPTION, 13, 1), -EBUSY);
	vm_free(vm);
	vm_free(chip);
}

static int translate(struct vcpu *v, u64 gva, u32 access, struct keel_translate *out)
{
	*out = (struct keel_translate) { .gva = gva, .access = access };
	return kcall_sized(v->fd, KEEL_TRANSLATE, out);
}

TEST(translate)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	u64 *pde = (u64 *)(vm->ram + GUEST_TABLES + 0x2000);
	struct keel_translate tr;

	/* Without paging an address is itself. */
	CHECK_EQ(translate(v, 0x12345, KEEL_ACCESS_READ, &tr), 0);
	CHECK_EQ(tr.gpa, 0x12345);

	/* With it, by the tables of the guest; 4 MiB is mapped to 2 MiB. */
	guest_start(v, 0x1000ULL, 0ULL, 0ULL, 0ULL);
	pde[2] = 1 << 21 | 0x83;
	CHECK_EQ(translate(v, 0x412345, KEEL_ACCESS_READ, &tr), 0);
	CHECK_EQ(tr.gpa, 0x212345);
	CHECK_EQ(tr.fault, 0);
	pde[3] = 0;
	CHECK_EQ(translate(v, 0x600000, KEEL_ACCESS_READ, &tr), -ENXIO);
	CHECK_EQ(tr.fault, 0);
	CHECK_EQ(translate(v, 0x600000, KEEL_ACCESS_WRITE, &tr), -ENXIO);
	CHECK_EQ(tr.fault, 2);
	pde[3] = 3 << 21 | 0x81 | 1ULL << 63;
	CHECK_EQ(translate(v, 0x600000, KEEL_ACCESS_READ, &tr), 0);
	CHECK_EQ(translate(v, 0x600000, KEEL_ACCESS_WRITE, &tr), -ENXIO);
	CHECK_EQ(tr.fault, 3);
	CHECK_EQ(translate(v, 0x600000, KEEL_ACCESS_EXEC, &tr), -ENXIO);
	CHECK_EQ(tr.fault, 0x11);
	/* No accessed bit is set by asking. */
	CHECK_EQ(pde[3] & 0x60, 0);
	CHECK_EQ(translate(v, 0x8000000000000000, KEEL_ACCESS_READ, &tr), -ENXIO);
	CHECK_EQ(translate(v, 0x1000, 8, &tr), -EINVAL);
	CHECK_EQ(translate(v, 0x1000, 0xffffffff, &tr), -EINVAL);
	/* Tables where there is no memory. */
	pde[3] = 0x0000000200000003;
	CHECK_EQ(translate(v, 0x600000, KEEL_ACCESS_READ, &tr), -ENXIO);
	vm_free(vm);
}
