// SPDX-License-Identifier: GPL-2.0
/*
 * The thread that runs one vCPU: RUN, act on the exit, RUN again. It must not
 * know what a device does, nor what becomes of a machine that has ended.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "machine.h"

static void exit_none(struct machine *m, unsigned int id, struct keel_run *run)
{
	(void)m;
	(void)id;
	(void)run;
}

static void exit_pio(struct machine *m, unsigned int id, struct keel_run *run)
{
	struct keel_exit_pio *pio = &run->pio;

	(void)id;
	pthread_mutex_lock(&m->dev_lock);
	if (pio->dir == KEEL_DIR_IN)
		pio->data = iobus_in(&m->bus, pio->port, pio->size);
	else
		iobus_out(&m->bus, pio->port, pio->size, pio->data);
	pthread_mutex_unlock(&m->dev_lock);
	/* Not under the lock: it may wait for the terminal. */
	if (pio->dir == KEEL_DIR_OUT)
		console_throttle();
}

/* The policy answers MMIO in the kernel; what still comes has no device. */
static void exit_mmio(struct machine *m, unsigned int id, struct keel_run *run)
{
	(void)m;
	(void)id;
	if (run->mmio.dir == KEEL_DIR_IN)
		run->mmio.data = ~0ULL;
}

static void exit_msr(struct machine *m, unsigned int id, struct keel_run *run)
{
	(void)m;
	(void)id;
	run->msr.fault = 1;
}

static void exit_hypercall(struct machine *m, unsigned int id, struct keel_run *run)
{
	(void)m;
	(void)id;
	run->hypercall.ret = ~0ULL;
}

static void exit_shutdown(struct machine *m, unsigned int id, struct keel_run *run)
{
	machine_end(m, END_CRASH, "vCPU %u crashed: %s at rip %#llx", id,
		    run->shutdown.cause == KEEL_SHUTDOWN_TRIPLE_FAULT ?
		    "triple fault" : "an INIT that no state can take",
		    run->shutdown.rip);
}

static const char *mode_name(u32 mode)
{
	static const char * const names[] = {
		[KEEL_MODE_REAL] = "real mode", [KEEL_MODE_VM86] = "virtual-8086 mode",
		[KEEL_MODE_PROT16] = "16-bit protected mode",
		[KEEL_MODE_PROT32] = "32-bit protected mode",
		[KEEL_MODE_LONG64] = "64-bit mode",
	};

	return mode < ARRAY_SIZE(names) ? names[mode] : "an unknown mode";
}

static const char *emul_why(u32 why)
{
	static const char * const names[] = {
		[KEEL_EMULFAIL_UNKNOWN] = "instruction not emulated",
		[KEEL_EMULFAIL_FETCH] = "instruction bytes could not be read",
		[KEEL_EMULFAIL_TASK_SWITCH] = "task switch",
		[KEEL_EMULFAIL_UNEXPECTED] = "unexpected exit",
		[KEEL_EMULFAIL_DELIVERY] = "device memory touched while an event was delivered",
	};

	return why && why < ARRAY_SIZE(names) ? names[why] : "unknown reason";
}

static void exit_emul(struct machine *m, unsigned int id, struct keel_run *run)
{
	const struct keel_exit_emul *e = &run->emul;
	static const char hex[] = "0123456789abcdef";
	char bytes[3 * sizeof(e->bytes) + 1], *p = bytes;
	char gpa[40] = "";

	for (u32 i = 0; i < e->nr_bytes && i < sizeof(e->bytes); i++) {
		*p++ = ' ';
		*p++ = hex[e->bytes[i] >> 4];
		*p++ = hex[e->bytes[i] & 0xf];
	}
	*p = '\0';
	if (e->gpa != ~0ULL)
		snprintf(gpa, sizeof(gpa), ", gpa %#llx", e->gpa);
	machine_end(m, END_EMULATION, "vCPU %u: %s: bytes%s, rip %#llx, %s%s, exit code %#x",
		    id, emul_why(e->why), bytes, e->rip, mode_name(e->mode), gpa,
		    e->vendor_code);
}

static void exit_entry(struct machine *m, unsigned int id, struct keel_run *run)
{
	const struct keel_exit_entry *e = &run->entry;

	machine_end(m, END_ENTRY, "vCPU %u: the CPU refused to enter the guest (code %#x): %.*s",
		    id, e->vendor_code, (int)sizeof(e->name),
		    e->rule ? e->name : "no broken rule was found");
}

static void exit_mem(struct machine *m, unsigned int id, struct keel_run *run)
{
	const struct keel_exit_mem *e = &run->mem;
	const char *access = e->access & KEEL_ACCESS_EXEC ? "execute" :
			     e->access & KEEL_ACCESS_WRITE ? "write" : "read";

	if (e->error)
		machine_end(m, END_MEMORY, "vCPU %u: %s at gpa %#llx: the host gave no page: %s",
			    id, access, e->gpa, strerror(e->error));
	else
		machine_end(m, END_MEMORY, "vCPU %u: %s at gpa %#llx: there is no memory",
			    id, access, e->gpa);
}

static void (*const on_exit[KEEL_EXIT_NR])(struct machine *, unsigned int, struct keel_run *) = {
	[KEEL_EXIT_NONE] = exit_none,
	[KEEL_EXIT_PIO] = exit_pio,
	[KEEL_EXIT_MMIO] = exit_mmio,
	[KEEL_EXIT_RDMSR] = exit_msr,
	[KEEL_EXIT_WRMSR] = exit_msr,
	[KEEL_EXIT_SHUTDOWN] = exit_shutdown,
	[KEEL_EXIT_EMUL_FAIL] = exit_emul,
	[KEEL_EXIT_ENTRY_FAIL] = exit_entry,
	[KEEL_EXIT_MEM_FAULT] = exit_mem,
	[KEEL_EXIT_KICKED] = exit_none,
	[KEEL_EXIT_IRQ_WINDOW] = exit_none,
	[KEEL_EXIT_HYPERCALL] = exit_hypercall,
};

static void run(struct machine *m, unsigned int id)
{
	struct vcpu *vcpu = &m->vm.vcpu[id];

	while (atomic_load_explicit(&m->end, memory_order_relaxed) == END_NONE) {
		int rc = vm_run(vcpu);
		u32 reason = vcpu->run->exit_reason;

		if (rc == -EINTR)
			continue;
		if (rc == -EIO)
			machine_end(m, END_BUGGED, "vCPU %u: stopped by a bug in Keel: see dmesg",
				    id);
		else if (rc < 0)
			machine_end(m, END_LAUNCHER, "vCPU %u: running it failed: %s", id,
				    strerror(-rc));
		else if (reason >= KEEL_EXIT_NR || !on_exit[reason])
			machine_end(m, END_LAUNCHER, "vCPU %u: unexpected exit %u", id, reason);
		else
			on_exit[reason](m, id, vcpu->run);
	}
}

void *vcpu_main(void *arg)
{
	struct vcpu_thread *self = arg;
	struct machine *m = self->machine;
	unsigned int seen = 0;

	pthread_mutex_lock(&m->run_lock);
	for (;;) {
		while (m->generation == seen && !m->quit)
			pthread_cond_wait(&m->started, &m->run_lock);
		if (m->quit)
			break;
		seen = m->generation;
		pthread_mutex_unlock(&m->run_lock);
		run(m, self->id);
		pthread_mutex_lock(&m->run_lock);
		if (!--m->nr_running)
			pthread_cond_signal(&m->parked);
	}
	pthread_mutex_unlock(&m->run_lock);
	return NULL;
}
