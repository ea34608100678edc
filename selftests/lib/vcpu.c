// SPDX-License-Identifier: GPL-2.0
/*
 * vCPUs: creation, modes, running them with a time limit, and the calls of the
 * guest program. It knows no test.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "internal.h"

/* ---- the watchdog ------------------------------------------------------------ */

#define WATCHED_MAX	64

/* The signal handler reads without the lock: a vCPU more or less is nothing to it. */
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static int watched[WATCHED_MAX];
static unsigned int nr_watched;		/* entries in use, closed ones among them */
static unsigned int nr_alive;
static volatile sig_atomic_t expired;

static unsigned int watchdog_seconds(void)
{
	return ktap_deadline() / 3;
}

/* Every vCPU leaves its RUN, whichever thread the signal met. */
static void bark(int sig)
{
	unsigned int i;

	(void)sig;
	expired = 1;
	for (i = 0; i < nr_watched; i++)
		if (watched[i] >= 0)
			ioctl(watched[i], KEEL_KICK, 0);
	alarm(1);
}

static void watch(int fd)
{
	struct sigaction sa = { .sa_handler = bark };
	unsigned int i;

	pthread_mutex_lock(&watch_lock);
	for (i = 0; i < nr_watched && watched[i] >= 0; i++)
		;
	if (i < WATCHED_MAX) {
		watched[i] = fd;
		if (i == nr_watched)
			nr_watched++;
		if (!nr_alive++) {
			sigaction(SIGALRM, &sa, NULL);
			alarm(watchdog_seconds());
		}
	}
	pthread_mutex_unlock(&watch_lock);
}

static void unwatch(int fd)
{
	unsigned int i;

	pthread_mutex_lock(&watch_lock);
	for (i = 0; i < nr_watched; i++) {
		if (watched[i] != fd)
			continue;
		watched[i] = -1;
		/* What the test does without a vCPU is not the watchdog's business. */
		if (!--nr_alive)
			alarm(0);
	}
	pthread_mutex_unlock(&watch_lock);
}

/* ---- vCPUs -------------------------------------------------------------------- */

struct vcpu *vcpu_new(struct vm *vm, u32 id)
{
	struct keel_create_vcpu arg = { .id = id };
	struct keel_info info;
	struct vcpu *v;

	REQUIRE(id < GUEST_MAX_CPUS, "%u", id);
	v = &vm->vcpu[id];
	keel_info(&info);
	v->vm = vm;
	v->id = id;
	v->fd = kcall_sized(vm->fd, KEEL_CREATE_VCPU, &arg);
	REQUIRE(v->fd >= 0, "KEEL_CREATE_VCPU: %s", strerror(-v->fd));
	v->run = mmap(NULL, info.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	REQUIRE(v->run != MAP_FAILED, "run page: %s", strerror(errno));
	v->run->want = KEEL_GROUPS_ALL;
	watch(v->fd);
	return v;
}

void vcpu_drop(struct vcpu *v)
{
	unwatch(v->fd);
	munmap(v->run, 4096);
	close(v->fd);
	v->fd = -1;
}

int vcpu_kick(struct vcpu *v)
{
	return kcall(v->fd, KEEL_KICK, NULL);
}

int vcpu_inject(struct vcpu *v, u32 kind, u32 vector, u32 error)
{
	struct keel_inject arg = { .kind = kind, .vector = vector, .error_code = error };

	return kcall_sized(v->fd, KEEL_INJECT, &arg);
}

const char *exit_name(u32 reason)
{
	static const char * const names[] = {
		"NONE", "PIO", "MMIO", "RDMSR", "WRMSR", "HLT", "SHUTDOWN", "EMUL_FAIL",
		"ENTRY_FAIL", "MEM_FAULT", "KICKED", "IRQ_WINDOW", "HYPERCALL",
	};

	if (reason < ARRAY_SIZE(names))
		return names[reason];
	return reason == RUN_DONE ? "(done)" : reason == RUN_SYNC ? "(sync)" : "(unknown)";
}

static void dump_exit(const struct keel_run *run)
{
	char bytes[64] = "";
	u32 i, n = 0;

	switch (run->exit_reason) {
	case KEEL_EXIT_PIO:
		ktap_note("port %#x size %u dir %u data %#x", run->pio.port, run->pio.size,
			  run->pio.dir, run->pio.data);
		break;
	case KEEL_EXIT_MMIO:
		ktap_note("gpa %#llx size %u dir %u data %#llx", run->mmio.gpa, run->mmio.size,
			  run->mmio.dir, run->mmio.data);
		break;
	case KEEL_EXIT_RDMSR:
	case KEEL_EXIT_WRMSR:
		ktap_note("msr %#x data %#llx", run->msr.index, run->msr.data);
		break;
	case KEEL_EXIT_SHUTDOWN:
		ktap_note("cause %u rip %#llx", run->shutdown.cause, run->shutdown.rip);
		break;
	case KEEL_EXIT_EMUL_FAIL:
		for (i = 0; i < run->emul.nr_bytes && i < 16; i++)
			n += sprintf(bytes + n, " %02x", run->emul.bytes[i]);
		ktap_note("why %u mode %u code %#x rip %#llx gpa %#llx bytes%s", run->emul.why,
			  run->emul.mode, run->emul.vendor_code, run->emul.rip, run->emul.gpa,
			  bytes);
		break;
	case KEEL_EXIT_ENTRY_FAIL:
		ktap_note("code %#x rule %u: %.56s", run->entry.vendor_code, run->entry.rule,
			  run->entry.name);
		break;
	case KEEL_EXIT_MEM_FAULT:
		ktap_note("gpa %#llx access %u error %u", run->mem.gpa, run->mem.access,
			  run->mem.error);
		break;
	}
}

void vcpu_dump(struct vcpu *v)
{
	const struct keel_run *run = v->run;
	const __u64 *r = run->regs.gpr;

	ktap_note("vCPU %u: exit %u %s", v->id, run->exit_reason, exit_name(run->exit_reason));
	dump_exit(run);
	if (!(run->valid & KEEL_GROUP_REGS))
		return;
	ktap_note("rip %llx flags %llx rax %llx rcx %llx rdx %llx rbx %llx rsp %llx",
		  run->regs.rip, run->regs.rflags, r[0], r[1], r[2], r[3], r[4]);
	ktap_note("rbp %llx rsi %llx rdi %llx r8 %llx r9 %llx r10 %llx r11 %llx",
		  r[5], r[6], r[7], r[8], r[9], r[10], r[11]);
	if (run->valid & KEEL_GROUP_SREGS)
		ktap_note("cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx cs %x base %llx",
			  run->sregs.cr0, run->sregs.cr2, run->sregs.cr3, run->sregs.cr4,
			  run->sregs.efer, run->sregs.seg[KEEL_SREG_CS].selector,
			  run->sregs.seg[KEEL_SREG_CS].base);
}

/* What the kernel counted: tells a lost event from one that was never sent. */
static void note_counters(struct vcpu *v)
{
	static const char * const names[] = {
		"entries", "irqs_injected", "exceptions_injected", "exit_interrupt",
		"exit_irq_window", "exit_stage2",
	};
	unsigned int i;
	u64 val;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		val = vm_stat(v->vm, 0, names[i]);
		if (val != ~0ULL)
			ktap_note("%s %llu", names[i], val);
	}
}

/* What waits in the LAPIC and what is in service. */
static void note_lapic(struct vcpu *v)
{
	static struct keel_rec_lapic lapic;
	struct keel_rec_events ev;
	u32 isr, irr;
	int i;

	if (state_get(v->fd, KEEL_REC_EVENTS, &ev, sizeof(ev)) == sizeof(ev))
		ktap_note("irq_injected %u vector %#x shadow %u mp_state %u nmi %u masked %u",
			  ev.irq_injected, ev.irq_vector, ev.shadow, ev.mp_state,
			  ev.nmi_pending, ev.nmi_masked);
	if (state_get(v->fd, KEEL_REC_LAPIC, &lapic, sizeof(lapic)) != sizeof(lapic))
		return;
	for (i = 0; i < 8; i++) {
		memcpy(&isr, lapic.regs + 0x100 + i * 16, 4);
		memcpy(&irr, lapic.regs + 0x200 + i * 16, 4);
		if (isr || irr)
			ktap_note("vectors from %#x: isr %#x irr %#x", i * 32, isr, irr);
	}
}

/* ---- running --------------------------------------------------------------------- */

int vcpu_enter(struct vcpu *v)
{
	return kcall(v->fd, KEEL_RUN, NULL);
}

void vcpu_check_time(struct vcpu *v)
{
	if (!expired)
		return;
	CHECK(false, "the guest is still running after %u s", watchdog_seconds());
	vcpu_dump(v);
	note_counters(v);
	note_lapic(v);
	ktap_end();
}

u32 vcpu_run(struct vcpu *v)
{
	int ret = vcpu_enter(v);

	vcpu_check_time(v);
	if (ret) {
		CHECK(false, "KEEL_RUN: %s", strerror(-ret));
		vcpu_dump(v);
		ktap_end();
	}
	return v->run->exit_reason;
}

void vcpu_expect(struct vcpu *v, u32 reason)
{
	u32 got = vcpu_run(v);

	if (got == reason)
		return;
	CHECK(false, "exit %s, not %s", exit_name(got), exit_name(reason));
	vcpu_dump(v);
	ktap_end();
}

/* ---- modes ------------------------------------------------------------------------ */

static void set_segment(struct keel_segment *s, u16 selector, u16 attr)
{
	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->limit = 0xffffffff;
	s->attr = attr;
}

static void set_state(struct vcpu *v, struct keel_regs *regs, struct keel_sregs *sregs)
{
	struct state_bad bad;
	int ret;

	ret = state_set(v->fd, KEEL_REC_SREGS, sregs, sizeof(*sregs), &bad);
	REQUIRE(!ret, "sregs: %s, offset %u", strerror(-ret), bad.offset);
	ret = state_set(v->fd, KEEL_REC_REGS, regs, sizeof(*regs), &bad);
	REQUIRE(!ret, "regs: %s, offset %u", strerror(-ret), bad.offset);
}

/* These come from the guest program; without one they are not used. */
extern char g_guest_entry[] __weak;
extern char g_guest_gdt[] __weak;

void guest_start(struct vcpu *v, u64 fn, ...)
{
	struct keel_regs regs = { .rip = (unsigned long)g_guest_entry, .rflags = 2 };
	struct keel_rec_events events = {};
	struct keel_sregs sregs;
	va_list ap;
	int i;

	REQUIRE(state_get(v->fd, KEEL_REC_SREGS, &sregs, sizeof(sregs)) == sizeof(sregs));
	for (i = 0; i < KEEL_SREG_NR; i++)
		set_segment(&sregs.seg[i], GUEST_DS, 0xc093);
	set_segment(&sregs.seg[KEEL_SREG_CS], GUEST_CS64, 0xa09b);
	set_segment(&sregs.seg[KEEL_SREG_TR], 0, 0x8b);
	sregs.seg[KEEL_SREG_TR].limit = 0x67;
	memset(&sregs.seg[KEEL_SREG_LDTR], 0, sizeof(sregs.seg[0]));
	sregs.gdt.base = (unsigned long)g_guest_gdt;
	sregs.gdt.limit = GUEST_TSS(GUEST_MAX_CPUS) - 1;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = 0x80010033;		/* PG WP NE ET MP PE */
	sregs.cr2 = 0;
	sregs.cr3 = GUEST_TABLES;
	sregs.cr4 = 0x620;		/* OSXMMEXCPT OSFXSR PAE */
	sregs.cr8 = 0;
	sregs.efer = 0xd01;		/* NXE LMA LME SCE */

	va_start(ap, fn);
	regs.gpr[KEEL_GPR_RAX] = fn;
	regs.gpr[KEEL_GPR_RDI] = va_arg(ap, u64);
	regs.gpr[KEEL_GPR_RSI] = va_arg(ap, u64);
	regs.gpr[KEEL_GPR_RDX] = va_arg(ap, u64);
	va_end(ap);
	regs.gpr[KEEL_GPR_RBX] = v->id;
	regs.gpr[KEEL_GPR_RSP] = GUEST_STACK(v->id);
	set_state(v, &regs, &sregs);

	/* No event of the past, and running. */
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_EVENTS, &events, sizeof(events), NULL), 0);
}

void guest_spins(struct vcpu *v)
{
	struct keel_regs regs;

	if (!host_is_bochs_svm())
		return;
	REQUIRE(state_get(v->fd, KEEL_REC_REGS, &regs, sizeof(regs)) == sizeof(regs));
	regs.rflags |= 1 << 9;
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_REGS, &regs, sizeof(regs), NULL), 0);
}

void guest_real(struct vcpu *v, u32 base, u16 ip)
{
	struct keel_regs regs = { .rip = ip, .rflags = 2 };
	struct keel_sregs sregs;
	int i;

	REQUIRE(state_get(v->fd, KEEL_REC_SREGS, &sregs, sizeof(sregs)) == sizeof(sregs));
	for (i = KEEL_SREG_ES; i <= KEEL_SREG_GS; i++) {
		set_segment(&sregs.seg[i], base >> 4, 0x93);
		sregs.seg[i].base = base;
		sregs.seg[i].limit = 0xffff;
	}
	sregs.seg[KEEL_SREG_CS].attr = 0x9b;
	regs.gpr[KEEL_GPR_RSP] = 0xfff0;
	set_state(v, &regs, &sregs);
}

/* ---- guest calls -------------------------------------------------------------------- */

static const char *guest_string(struct vm *vm, u64 gpa)
{
	if (!gpa || gpa >= vm->ram_size - 256)
		return "?";
	return (const char *)vm->ram + gpa;
}

/* An exception that the guest did not expect: its frame ends with vector, error,
 * rip, cs, rflags, rsp, ss after 15 registers.
 */
static void guest_faulted(struct vcpu *v)
{
	const u64 *f = (const u64 *)guest_string(v->vm, v->arg[0]) + 15;

	ktap_fail("guest", 0, "exception %llu error %#llx rip %#llx rsp %#llx cr2 %#llx",
		  f[0], f[1], f[2], f[5], v->arg[1]);
	ktap_end();
}

/* RUN_*, or 0: the host side has dealt with it. */
static u32 guest_called(struct vcpu *v)
{
	struct vm *vm = v->vm;
	const u64 *val;

	switch (v->run->pio.data) {
	case GUEST_CALL_DONE:
		return RUN_DONE;
	case GUEST_CALL_SYNC:
		return RUN_SYNC;
	case GUEST_CALL_FAIL:
		val = (const u64 *)guest_string(vm, v->arg[3]);
		ktap_fail(guest_string(vm, v->arg[0]), v->arg[1], "guest: %s: %#llx, %#llx",
			  guest_string(vm, v->arg[2]), val[0], val[1]);
		note_counters(v);
		ktap_end();
	case GUEST_CALL_NOTE:
		ktap_note("guest: %s: %#llx", guest_string(vm, v->arg[0]), v->arg[1]);
		return 0;
	case GUEST_CALL_FAULT:
		guest_faulted(v);
		return 0;
	default:
		CHECK(false, "guest call %u", v->run->pio.data);
		ktap_end();
	}
}

u32 guest_run(struct vcpu *v)
{
	const struct keel_run *run = v->run;
	u32 reason;

	for (;;) {
		reason = vcpu_run(v);
		if (reason != KEEL_EXIT_PIO || run->pio.port != GUEST_PORT ||
		    run->pio.size != 4 || run->pio.dir != KEEL_DIR_OUT)
			return reason;
		v->arg[0] = run->regs.gpr[KEEL_GPR_RDI];
		v->arg[1] = run->regs.gpr[KEEL_GPR_RSI];
		v->arg[2] = run->regs.gpr[KEEL_GPR_RBX];
		v->arg[3] = run->regs.gpr[KEEL_GPR_RCX];
		reason = guest_called(v);
		if (reason)
			return reason;
	}
}

static void guest_expect(struct vcpu *v, u32 reason)
{
	u32 got = guest_run(v);

	if (got == reason)
		return;
	CHECK(false, "the guest came to %s, not to %s", exit_name(got), exit_name(reason));
	vcpu_dump(v);
	ktap_end();
}

void guest_sync(struct vcpu *v, u64 stage)
{
	guest_expect(v, RUN_SYNC);
	REQUIRE_EQ(v->arg[0], stage);
}

u64 guest_done(struct vcpu *v)
{
	guest_expect(v, RUN_DONE);
	return v->arg[0];
}

/* ---- threads --------------------------------------------------------------------------- */

struct vcpu_thread {
	pthread_t thread;
	struct vcpu *v;
	u64 result;
};

static void *vcpu_main(void *arg)
{
	struct vcpu_thread *t = arg;

	t->result = guest_done(t->v);
	return NULL;
}

struct vcpu_thread *vcpu_spawn(struct vcpu *v)
{
	struct vcpu_thread *t = calloc(1, sizeof(*t));

	t->v = v;
	REQUIRE_EQ(pthread_create(&t->thread, NULL, vcpu_main, t), 0);
	return t;
}

u64 vcpu_join(struct vcpu_thread *t)
{
	u64 result;

	pthread_join(t->thread, NULL);
	result = t->result;
	free(t);
	return result;
}
