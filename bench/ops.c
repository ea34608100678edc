// SPDX-License-Identifier: GPL-2.0
/*
 * Every operation: its name, the guest's loop and what has to be there for it.
 * It must not know which hypervisor it is on, nor what becomes of the samples.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "machine.h"
#include "ops.h"

#define MIB		(1ULL << 20)
#define GIB		(1ULL << 30)

#define DECLARE(name)	extern const char name[]

DECLARE(g_empty); DECLARE(g_cpuid); DECLARE(g_wbinvd); DECLARE(g_rdmsr); DECLARE(g_wrmsr);
DECLARE(g_tsc_deadline); DECLARE(g_vmcall); DECLARE(g_vmmcall); DECLARE(g_out_user);
DECLARE(g_in_user); DECLARE(g_out_doorbell); DECLARE(g_write); DECLARE(g_read); DECLARE(g_touch);
DECLARE(g_touch_once); DECLARE(g_init_x2apic); DECLARE(g_init_xapic); DECLARE(g_self_ipi);
DECLARE(g_irq_window); DECLARE(g_hlt_timer); DECLARE(g_ping); DECLARE(g_pong);
DECLARE(g_ping_spin); DECLARE(g_pong_spin); DECLARE(g_spin);

/*
 * Stamps around what a launcher does. A trace sees the first of them, and one
 * stop more, so that every operation has three.
 */
static u64 begin(u32 i)
{
	if (!i)
		machine_stop();
	return rdtsc();
}

static u32 end(u64 since, u32 i)
{
	u32 took = rdtsc() - since;

	if (!i) {
		machine_stop();
		machine_stop();
	}
	return took;
}

/* ---- loops of one vCPU ----------------------------------------------------- */

#define X2APIC	(1U << 0)
#define XAPIC	(1U << 1)
#define FD	(1U << 2)	/* an eventfd: on port PORT_DOORBELL, or GUEST_HOLE */
#define FD_4	(1U << 3)	/* of 4 bytes, else of any length */
#define FD_PIO	(1U << 4)
#define IRQS	(1U << 5)	/* one interrupt a turn has to be handled */

struct loop {
	const char *fn, *fn_amd;
	u64 r8, r9;
	u32 flags;
};

/*
 * @n differences of @n + 1 stamps. The first turns warm up: memory that the
 * loop needs, and whatever a hypervisor does once.
 */
static void deltas(struct machine *m, u32 n, u32 *out)
{
	const u32 *stamp = machine_samples(m, n + 1);
	u32 i;

	for (i = 0; i < n; i++)
		out[i] = stamp[i + 1] - stamp[i];
}

static void init_apic(struct machine *m, u32 cpu, u32 flags)
{
	if (flags & X2APIC)
		machine_call(m, cpu, g_init_x2apic, 0, 0, 0, 0);
	if (flags & XAPIC)
		machine_call(m, cpu, g_init_xapic, 0, 0, 0, 0);
}

/*
 * A turn whose interrupt was not handled is none. On Bochs' AMD model KVM is late
 * with one or two of a few hundred, which no median shows; it is said.
 */
static void check_handled(const struct op *op, struct machine *m, u32 turns)
{
	u64 handled = machine_count(m, COUNT_IRQ);

	if (handled == turns)
		return;
	if (handled > turns || handled < turns - turns / 50)
		die("%s: %llu interrupts handled, not %u", op->name, handled, turns);
	fprintf(stderr, "# %s %s: %llu interrupts handled, not %u\n", hv_name, op->name, handled,
		turns);
}

static u32 run_loop(const struct op *op, u32 n, u32 *out)
{
	const struct loop *l = op->arg;
	const char *fn = l->fn_amd && machine_on_amd() ? l->fn_amd : l->fn;
	struct machine m;
	int fd = -1;

	machine_new(&m, 1);
	if (l->flags & FD) {
		fd = eventfd(0, EFD_NONBLOCK);
		hv_ioeventfd(&m.vm, l->flags & FD_PIO ? PORT_DOORBELL : GUEST_HOLE,
			     l->flags & FD_4 ? 4 : l->flags & FD_PIO ? 1 : 0, l->flags & FD_PIO,
			     fd);
	}
	init_apic(&m, 0, l->flags);
	machine_call(&m, 0, fn, 32, l->r8, l->r9, 0);
	machine_count_clear(&m);
	machine_call(&m, 0, fn, n + 1, l->r8, l->r9, 0);
	if (l->flags & IRQS)
		check_handled(op, &m, n + 1);
	deltas(&m, n, out);
	machine_free(&m);
	if (fd >= 0)
		close(fd);
	return n;
}

#define LOOP(...)	(&(const struct loop){ __VA_ARGS__ })

/* ---- first touch ------------------------------------------------------------ */

struct touch {
	u64 step;		/* bytes from one touch to the next */
	u32 max;		/* touches */
	bool present;
};

#define TOUCH_FIRST	4

static u32 run_touch(const struct op *op, u32 n, u32 *out)
{
	const struct touch *t = op->arg;
	u64 len;
	struct machine m;
	void *mem;

	if (n > t->max)
		n = t->max;
	len = (t->step * (n + 1 + TOUCH_FIRST) + 2 * MIB - 1) & -(2 * MIB);
	mem = pages(len, 2 * MIB, t->step > 4096, t->present);
	machine_new(&m, 1);
	machine_call(&m, 0, g_touch, 32, 0x1e0000, 0, 0);
	hv_map(&m.vm, GUEST_TOUCH, len, mem);
	/* Tables come with the first pages. */
	machine_call(&m, 0, g_touch, TOUCH_FIRST, GUEST_TOUCH, t->step, 0);
	machine_call(&m, 0, g_touch, n + 1, GUEST_TOUCH + TOUCH_FIRST * t->step, t->step, 0);
	deltas(&m, n, out);
	machine_free(&m);
	munmap(mem, len);
	return n;
}

#define TOUCH(...)	(&(const struct touch){ __VA_ARGS__ })

#ifndef MAP_HUGE_1GB
#define MAP_HUGE_1GB	(30 << 26)
#endif

/* One page that the guest loses and touches again: there is only one. */
static u32 run_touch_1g(const struct op *op, u32 n, u32 *out)
{
	void *mem = mmap(NULL, GIB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_1GB, -1, 0);
	struct machine m;
	u32 i;

	if (mem == MAP_FAILED)
		return 0;
	*(volatile u8 *)mem = 1;
	if (n > 40)
		n = 40;
	machine_new(&m, 1);
	machine_call(&m, 0, g_touch, 32, 0x1e0000, 0, 0);
	for (i = 0; i < n; i++) {
		hv_map(&m.vm, GUEST_TOUCH, GIB, mem);
		/* From memory that is there to the page */
		machine_call(&m, 0, g_touch, 2, 0x1e0000, GUEST_TOUCH - 0x1e0000, 0);
		deltas(&m, 1, out + i);
		hv_unmap(&m.vm, GUEST_TOUCH, GIB, mem);
	}
	machine_free(&m);
	munmap(mem, GIB);
	return n;
}

/* ---- halted ------------------------------------------------------------------ */

#define HLT_US		2000	/* longer than any polling */

static u32 run_hlt_timer(const struct op *op, u32 n, u32 *out)
{
	const u32 *late;
	struct machine m;

	machine_new(&m, 1);
	init_apic(&m, 0, X2APIC);
	machine_count_clear(&m);
	machine_call(&m, 0, g_hlt_timer, n + 1, (u64)hv_tsc_khz(&m.cpu[0]) * HLT_US / 1000, 0,
		     0);
	check_handled(op, &m, n + 1);
	late = machine_samples(&m, n + 1);
	memcpy(out, late + 1, n * sizeof(*out));
	machine_free(&m);
	return n;
}

/* The thread of another vCPU: runs it until it is kicked. */
struct other {
	struct machine *m;
	u32 cpu;
	bool pinned;
	pthread_t thread;
	sem_t ready;
};

/* Where a test wants two CPUs, vCPU and CPU have the same number. */
static void pin(u32 cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU %u: not allowed", cpu);
}

static void *other_main(void *arg)
{
	struct other *o = arg;

	if (o->pinned)
		pin(o->cpu);
	hv_thread(&o->m->cpu[o->cpu]);
	sem_post(&o->ready);
	machine_run(o->m, o->cpu);
	return NULL;
}

static void other_start(struct other *o, struct machine *m, u32 cpu, bool pinned)
{
	*o = (struct other){ .m = m, .cpu = cpu, .pinned = pinned };
	sem_init(&o->ready, 0, 0);
	if (pthread_create(&o->thread, NULL, other_main, o))
		die("no thread");
	sem_wait(&o->ready);
	usleep(5000);
}

static void other_end(struct other *o)
{
	hv_kick(&o->m->cpu[o->cpu]);
	pthread_join(o->thread, NULL);
}

struct ping {
	const char *ping, *pong;
	u32 host_cpus;
};

static u32 run_ping(const struct op *op, u32 n, u32 *out)
{
	const struct ping *p = op->arg;
	struct machine m;
	struct other o;

	if (sysconf(_SC_NPROCESSORS_ONLN) < p->host_cpus)
		return 0;
	machine_new(&m, 2);
	init_apic(&m, 0, X2APIC);
	init_apic(&m, 1, X2APIC);
	machine_start(&m, 1, p->pong, 0, 0, 0, 0);
	if (p->host_cpus > 1)
		pin(0);
	other_start(&o, &m, 1, p->host_cpus > 1);
	machine_call(&m, 0, p->ping, n + 1, 0, 0, 0);
	deltas(&m, n, out);
	other_end(&o);
	machine_free(&m);
	return n;
}

#define PING(...)	(&(const struct ping){ __VA_ARGS__ })

/* ---- what a launcher does ------------------------------------------------------ */

static u32 run_immediate(const struct op *op, u32 n, u32 *out)
{
	struct machine m;
	u64 t;
	u32 i;

	machine_new(&m, 1);
	machine_call(&m, 0, g_empty, 32, 0, 0, 0);
	machine_start(&m, 0, g_spin, 0, 0, 0, 0);
	for (i = 0; i < n; i++) {
		hv_kick_self(&m.cpu[0]);
		t = begin(i);
		hv_run(&m.cpu[0]);
		out[i] = end(t, i);
	}
	machine_free(&m);
	return n;
}

static u32 run_null(const struct op *op, u32 n, u32 *out)
{
	u64 t;
	u32 i;

	for (i = 0; i < n; i++) {
		t = begin(i);
		hv_syscall(SYS_getppid, 0, 0, 0);
		out[i] = end(t, i);
	}
	return n;
}

/* Like other_main(), and comes back each time it is told to. */
struct spinner {
	struct machine *m;
	pthread_t thread;
	sem_t left, again;
	volatile bool quit;
};

static void *spinner_main(void *arg)
{
	struct spinner *s = arg;

	hv_thread(&s->m->cpu[0]);
	sem_post(&s->left);
	while (!s->quit) {
		hv_run(&s->m->cpu[0]);
		sem_post(&s->left);
		while (sem_wait(&s->again))
			;
	}
	return NULL;
}

static void spinner_start(struct spinner *s, struct machine *m)
{
	machine_new(m, 1);
	machine_start(m, 0, g_spin, 0, 0, 0, 0);
	*s = (struct spinner){ .m = m };
	sem_init(&s->left, 0, 0);
	sem_init(&s->again, 0, 0);
	if (pthread_create(&s->thread, NULL, spinner_main, s))
		die("no thread");
	sem_wait(&s->left);
}

static void spinner_end(struct spinner *s)
{
	s->quit = true;
	hv_kick(&s->m->cpu[0]);
	sem_post(&s->again);
	pthread_join(s->thread, NULL);
	machine_free(s->m);
}

/* From the kick until the one who kicked knows that the vCPU is in the launcher. */
static u32 run_kick(const struct op *op, u32 n, u32 *out)
{
	struct machine m;
	struct spinner s;
	u64 t;
	u32 i;

	spinner_start(&s, &m);
	for (i = 0; i < n; i++) {
		usleep(1000);
		t = begin(i);
		hv_kick(&m.cpu[0]);
		sem_wait(&s.left);
		out[i] = end(t, i);
		sem_post(&s.again);
	}
	spinner_end(&s);
	return n;
}

/* Stop a vCPU in the guest and let it go on. */
static u32 run_pause(const struct op *op, u32 n, u32 *out)
{
	struct machine m;
	struct spinner s;
	u64 t;
	u32 i;

	spinner_start(&s, &m);
	for (i = 0; i < n; i++) {
		usleep(1000);
		t = begin(i);
		if (hv_has_pause) {
			hv_pause(&m.vm);
			hv_resume(&m.vm);
		} else {
			hv_kick(&m.cpu[0]);
			sem_wait(&s.left);
			sem_post(&s.again);
		}
		out[i] = end(t, i);
	}
	spinner_end(&s);
	return n;
}

/* ---- create and destroy ---------------------------------------------------------- */

/* A VM with one vCPU, one exit, and all of it away again. */
static u32 vm_life(u32 i)
{
	struct machine m;
	u64 t = begin(i);

	machine_create(&m, 1, 0);
	machine_long_mode(&m, 0);
	machine_call(&m, 0, g_touch_once, 0, 0x1e0000, 0, 0);
	machine_free(&m);
	return end(t, i);
}

static u32 run_vm(const struct op *op, u32 n, u32 *out)
{
	u32 i;

	if (n > 100)
		n = 100;
	if (!machine_tracing)
		for (i = 0; i < 4; i++)
			vm_life(i);
	for (i = 0; i < n; i++)
		out[i] = vm_life(i);
	return n;
}

/* An id is not used twice: KVM's vCPUs live until their VM goes, whatever is closed. */
static u32 run_vcpu(const struct op *op, u32 n, u32 *out)
{
	struct machine m;
	u32 i, id;
	u64 t;

	if (n > 96)
		n = 96;
	for (i = 0; i < n; i++) {
		id = i % (HV_MAX_VCPUS - 1) + 1;
		if (id == 1)
			machine_create(&m, 1, HV_IRQCHIP);
		t = begin(i);
		hv_vcpu_create(&m.vm, &m.cpu[id], id);
		hv_vcpu_destroy(&m.cpu[id]);
		out[i] = end(t, i);
		if (id == HV_MAX_VCPUS - 1 || i == n - 1)
			machine_free(&m);
	}
	return n;
}

const struct op ops[] = {
	{ "empty_loop", run_loop, LOOP(g_empty) },
	{ "null_syscall", run_null },
	{ "cpuid", run_loop, LOOP(g_cpuid) },
	{ "wbinvd", run_loop, LOOP(g_wbinvd) },
	{ "rdmsr_apic_base", run_loop, LOOP(g_rdmsr, .r8 = 0x1b) },
	{ "wrmsr_tsc_deadline", run_loop, LOOP(g_tsc_deadline, .r8 = 0x4000000, .flags = X2APIC) },
	{ "wrmsr_x2apic_eoi", run_loop, LOOP(g_wrmsr, .r8 = 0x80b, .flags = X2APIC) },
	{ "hypercall", run_loop, LOOP(g_vmcall, g_vmmcall) },
	{ "self_ipi", run_loop, LOOP(g_self_ipi, .flags = X2APIC | IRQS) },
	{ "irq_window", run_loop, LOOP(g_irq_window, .flags = X2APIC | IRQS) },
	{ "pio_out_user", run_loop, LOOP(g_out_user) },
	{ "pio_in_user", run_loop, LOOP(g_in_user) },
	{ "run_immediate", run_immediate },
	{ "pio_ioeventfd", run_loop, LOOP(g_out_doorbell, .flags = FD | FD_PIO) },
	{ "mmio_write_user", run_loop, LOOP(g_write, .r8 = GUEST_HOLE) },
	{ "mmio_read_user", run_loop, LOOP(g_read, .r8 = GUEST_HOLE) },
	{ "mmio_ioeventfd", run_loop, LOOP(g_write, .r8 = GUEST_HOLE, .flags = FD | FD_4) },
	{ "mmio_ioeventfd_any", run_loop, LOOP(g_write, .r8 = GUEST_HOLE, .flags = FD) },
	{ "xapic_tpr", run_loop, LOOP(g_write, .r8 = GUEST_LAPIC + 0x80, .flags = XAPIC) },
	{ "xapic_eoi", run_loop, LOOP(g_write, .r8 = GUEST_LAPIC + 0xb0, .flags = XAPIC) },
	{ "xapic_timer", run_loop, LOOP(g_write, .r8 = GUEST_LAPIC + 0x380, .flags = XAPIC) },
	{ "fault_4k_present", run_touch, TOUCH(4096, 400, true) },
	{ "fault_4k_new", run_touch, TOUCH(4096, 400, false) },
	{ "fault_2m_present", run_touch, TOUCH(2 * MIB, 32, true) },
	{ "fault_2m_new", run_touch, TOUCH(2 * MIB, 32, false) },
	{ "fault_1g_present", run_touch_1g },
	{ "ipi_halted", run_ping, PING(g_ping, g_pong, 1) },
	{ "ipi_running", run_ping, PING(g_ping_spin, g_pong_spin, 2) },
	{ "hlt_timer", run_hlt_timer },
	{ "kick", run_kick },
	{ "pause_resume", run_pause },
	{ "vcpu_create_destroy", run_vcpu },
	{ "vm_create_destroy", run_vm },
	{ NULL }
};
