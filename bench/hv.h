/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The seam between the driver and a hypervisor: what both have, in Keel's
 * types. One implementation is linked into each program (on_keel.c, on_kvm.c).
 * A function that fails says why and ends the program, unless it says otherwise.
 */
#ifndef KEEL_BENCH_HV_H
#define KEEL_BENCH_HV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/keel.h>
#include <sys/syscall.h>

/* Spelled as tools/keel/util.h does. */
#define attribute(a)	__attribute__((a))

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define HV_MAX_VCPUS	16

struct hv_vm {
	int fd;
	u32 nr_slots;
	bool irqchip;
};

enum hv_exit {
	HV_PIO,
	HV_MMIO,
	HV_KICKED,
	HV_HLT,
	HV_SHUTDOWN,
	HV_OTHER,
};

struct hv_vcpu {
	int fd;
	u32 id;
	struct hv_vm *vm;
	void *run;
	/* of the last HV_PIO or HV_MMIO; an answer is written to @data */
	u64 addr;
	u32 size;
	u32 write;
	void *data;
	/* KVM: who is to be signalled */
	volatile int tid;
};

extern const char * const hv_name;

void hv_open(void);
u32 hv_tsc_khz(struct hv_vcpu *v);

#define HV_IRQCHIP	1
#define HV_PIT		2
void hv_vm_create(struct hv_vm *vm, unsigned int flags);
/* All its vCPUs are gone. */
void hv_vm_destroy(struct hv_vm *vm);
void hv_map(struct hv_vm *vm, u64 gpa, u64 len, void *hva);
/* What hv_map() mapped last. */
void hv_unmap(struct hv_vm *vm, u64 gpa, u64 len, void *hva);

/*
 * What the host offers. The table is the program's own: hv_cpuid_set() gives
 * entries to the VM. KVM keeps them in the vCPU, so @v exists already there and
 * hv_vcpu_create() does it.
 */
u32 hv_cpuid_get(struct keel_cpuid_entry *entries, u32 room);
/* Before the first vCPU; the entries stay in place. */
void hv_cpuid_set(struct hv_vm *vm, struct keel_cpuid_entry *entries, u32 nr);

void hv_vcpu_create(struct hv_vm *vm, struct hv_vcpu *v, u32 id);
void hv_vcpu_destroy(struct hv_vcpu *v);
void hv_sregs_get(struct hv_vcpu *v, struct keel_sregs *sregs);
void hv_sregs_set(struct hv_vcpu *v, const struct keel_sregs *sregs);
void hv_regs_set(struct hv_vcpu *v, const struct keel_regs *regs);
/* RIP and the like for a message; all 0 if it cannot be read. */
void hv_regs_get(struct hv_vcpu *v, struct keel_regs *regs);
/* For a message: the exit that was no other. */
void hv_describe(struct hv_vcpu *v, char *text, size_t size);

/* One KEEL_RUN or KVM_RUN. */
enum hv_exit hv_run(struct hv_vcpu *v);
/* Another thread's: its run returns HV_KICKED. */
void hv_kick(struct hv_vcpu *v);
/* The next run returns at once; called by the thread that runs it. */
void hv_kick_self(struct hv_vcpu *v);
/* The thread that is going to run @v. */
void hv_thread(struct hv_vcpu *v);

/* Keel's own calls; KVM's launchers do it with kicks (false). */
extern const bool hv_has_pause;
void hv_pause(struct hv_vm *vm);
void hv_resume(struct hv_vm *vm);

/* @len 0: any. A port if @pio. */
void hv_ioeventfd(struct hv_vm *vm, u64 addr, u32 len, bool pio, int fd);
void hv_irq_line(struct hv_vm *vm, u32 gsi, bool level);

/* Exits by reason since the vCPU's creation, as text lines "NAME VALUE". */
void hv_stats(struct hv_vm *vm, struct hv_vcpu *v, void (*line)(const char *name, u64 value));

/* ---- what the hot paths are made of ---- */

static inline long hv_syscall(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("syscall" : "=a" (ret) : "a" (nr), "D" (a), "S" (b), "d" (c)
		     : "rcx", "r11", "memory");
	return ret;
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a" (lo), "=d" (hi) : : "memory");
	return lo | (u64)hi << 32;
}

attribute(noreturn) attribute(format(printf, 1, 2))
void die(const char *fmt, ...);

#endif /* KEEL_BENCH_HV_H */
