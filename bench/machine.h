/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VM that operations are measured in: memory, tables, vCPUs in long mode,
 * a loop of guest.S run to its end. It must not know which hypervisor it is on.
 */
#ifndef KEEL_BENCH_MACHINE_H
#define KEEL_BENCH_MACHINE_H

#include "guest.h"
#include "hv.h"

struct machine {
	struct hv_vm vm;
	struct hv_vcpu cpu[HV_MAX_VCPUS];
	u32 nr_cpus;
	u8 *ram;
};

/* Once a program: CPUID, and the guest's memory, which all machines share in turn. */
void machine_init(void);
bool machine_on_amd(void);
/* Ready to run at any guest function, interrupts off. */
void machine_new(struct machine *m, u32 nr_cpus);
void machine_free(struct machine *m);
/* The parts of machine_new(), for those who time them */
void machine_create(struct machine *m, u32 nr_cpus, unsigned int hv_flags);
void machine_long_mode(struct machine *m, u32 cpu);

/* Where the next run starts: @fn of guest.S with @n samples and three values. */
void machine_start(struct machine *m, u32 cpu, const char *fn, u32 n, u64 r8, u64 r9, u64 r10);
/* Run until the guest is done (true) or the vCPU is kicked (false). */
bool machine_run(struct machine *m, u32 cpu);
/* Both */
void machine_call(struct machine *m, u32 cpu, const char *fn, u32 n, u64 r8, u64 r9, u64 r10);

/*
 * The debugger is to see the operations: loops of so many turns stop at the end
 * of each, and record nothing.
 */
#define TRACED_TURNS	3
extern bool machine_tracing;
/* The same in the launcher; see there. */
static inline void machine_stop(void)
{
	if (machine_tracing)
		asm volatile("xchg %%bx, %%bx" : : : "memory");
}

/* The first of the @n samples of the last loop. */
const u32 *machine_samples(struct machine *m, u32 n);
u64 machine_count(struct machine *m, u32 where);
void machine_count_clear(struct machine *m);

/* Memory of this process aligned to @align; @huge: may be huge pages; zeroed if @fill. */
void *pages(u64 len, u64 align, bool huge, bool fill);

#endif /* KEEL_BENCH_MACHINE_H */
