/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every test of Keel starts with: calls as -errno, a VM with memory, CPUID
 * and a guest program, vCPUs in a known mode, state records, time limits. It is
 * the launcher of the tests and knows the ABI only.
 *
 * Unless a comment says otherwise a function that fails ends the test.
 */
#ifndef KEEL_SELFTESTS_LIBKEEL_H
#define KEEL_SELFTESTS_LIBKEEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/keel.h>
#include "ktap.h"
#include "layout.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MIB		0x100000ULL
#define NSEC		1000000000ULL

struct vm;

struct vcpu {
	int fd;
	u32 id;
	struct vm *vm;
	struct keel_run *run;
	/* of the last guest call */
	u64 arg[4];
};

struct vm {
	int fd;
	u64 features;
	u8 *ram;		/* GPA 0 */
	u64 ram_size;
	struct vcpu vcpu[GUEST_MAX_CPUS];
};

/* ---- calls --------------------------------------------------------------- */

/* ioctl() that returns the result or -errno; never ends the test. */
int kcall(int fd, unsigned int nr, void *arg);
/* The same for a struct with a size field, which is set here. */
#define kcall_sized(fd, nr, ptr) ({		\
	(ptr)->size = sizeof(*(ptr));		\
	kcall(fd, nr, ptr);			\
})

/* /dev/keel, opened once a process. */
int keel_dev(void);
void keel_info(struct keel_info *info);
/* CPUID leaves that the host offers; returns how many of the 256 are filled. */
u32 keel_cpuid(struct keel_cpuid_entry entries[256]);
/* The entry of a table, NULL: none. */
const struct keel_cpuid_entry *cpuid_find(const struct keel_cpuid_entry *e, u32 nr,
					  u32 leaf, u32 index);

/*
 * Is this host emulated by QEMU's TCG? Its SVM does not arm a guest's
 * breakpoints at VMRUN (and it crashes when they are changed), and it has no
 * intercept of XSETBV.
 */
bool host_is_tcg(void);

/*
 * Is this host an AMD CPU in Bochs? The lab says so, for no test can try what
 * is wrong there and live: an exit with RFLAGS.TF set is a #DB of the host, which
 * dies of it, and no interrupt ends a guest that was entered with IF clear.
 */
bool host_is_bochs_svm(void);

/* ---- machines ------------------------------------------------------------- */

#define VM_IRQCHIP	(1U << 0)	/* with all features that the host has */
#define VM_PIT		(1U << 1)	/* and an irqchip */
#define VM_BIG		(1U << 2)	/* 64 MiB of memory in place of 8 */
#define VM_DIRTY_LOG	(1U << 3)	/* with that feature */

/* A VM without anything; features as they are. Returns the fd or -errno. */
int vm_fd(u64 features);
/* Memory, the guest program, CPUID and by @flags interrupt controllers. */
struct vm *vm_new(u32 flags);
/* The same with another frequency of the TSC; @flags with VM_IRQCHIP. */
struct vm *vm_new_khz(u32 flags, u32 tsc_khz);
/* Closes all fds and unmaps the memory. */
void vm_free(struct vm *vm);
/* One operation of KEEL_MEM_COMMIT; 0 or -errno. */
int vm_mem(struct vm *vm, u32 op, u32 flags, u64 gpa, u64 len, void *hva);
/* Fresh memory of the process, zeroed, aligned to 2 MiB. */
void *pages(u64 len);
/* A value of struct keel_stats_fd by name; ~0: no such name. vCPU -1: the VM's. */
u64 vm_stat(struct vm *vm, int vcpu, const char *name);
/* KEEL_IRQ_LINE; -errno does not end the test. */
int vm_irq_line(struct vm *vm, u32 gsi, u32 level);
int vm_msi(struct vm *vm, u64 address, u32 data);

/* A vCPU, its run page mapped, register groups wanted at every exit. */
struct vcpu *vcpu_new(struct vm *vm, u32 id);
int vcpu_kick(struct vcpu *v);
int vcpu_inject(struct vcpu *v, u32 kind, u32 vector, u32 error);

/* KEEL_RUN as it is: 0 or -errno, never ends the test. */
int vcpu_enter(struct vcpu *v);
/*
 * Ends the test if its vCPUs have used up their time: a third of the test's
 * deadline, from the first one's creation until none is left. They are kicked
 * when it is over.
 */
void vcpu_check_time(struct vcpu *v);
/* KEEL_RUN until an exit: its reason. A signal or an error ends the test. */
u32 vcpu_run(struct vcpu *v);
/* The same, and the reason has to be @reason. */
void vcpu_expect(struct vcpu *v, u32 reason);
const char *exit_name(u32 reason);
/* Notes about the last exit and the registers at it. */
void vcpu_dump(struct vcpu *v);

/* ---- guest programs --------------------------------------------------------- */

/* The guest address of a symbol of this program's guest side. */
#define G(sym) ({				\
	extern char g_##sym[];			\
						\
	(u64)(unsigned long)g_##sym;		\
})
/* The same as a pointer into the test's view of guest memory. */
#define GP(vm, sym)	((void *)((vm)->ram + G(sym)))

/* Long mode, at guest function @fn with up to three arguments, interrupts off. */
void guest_start(struct vcpu *v, u64 fn, ...);
/*
 * The guest that was started never leaves by itself, and nothing interrupts it:
 * it spins with interrupts off, but for hosts that would not get it back.
 */
void guest_spins(struct vcpu *v);
#define GUEST_START(v, fn, ...) guest_start(v, G(fn), ##__VA_ARGS__, 0ULL, 0ULL, 0ULL)
/* Real mode at @base:ip, all segments flat at @base, the stack below @base. */
void guest_real(struct vcpu *v, u32 base, u16 ip);

/* Results of guest_run() beyond exit reasons */
#define RUN_DONE	0x100		/* arg[0]: the function's result */
#define RUN_SYNC	0x101		/* arg[0]: stage */

/*
 * Run until the guest says something or exits otherwise. A failed assertion or
 * an unexpected exception of the guest is a failed check and ends the test.
 */
u32 guest_run(struct vcpu *v);
/* The guest reaches GUEST_SYNC(@stage); the values are in v->arg[1..2]. */
void guest_sync(struct vcpu *v, u64 stage);
/* The guest's function returns; its result. */
u64 guest_done(struct vcpu *v);
/* Start, run to the end; its result. */
#define GUEST_CALL(v, fn, ...) ({			\
	struct vcpu *call_vcpu = (v);			\
							\
	GUEST_START(call_vcpu, fn, ##__VA_ARGS__);	\
	guest_done(call_vcpu);				\
})

/* A thread that runs the vCPU to its end; vcpu_join() gives the function's result. */
struct vcpu_thread;
struct vcpu_thread *vcpu_spawn(struct vcpu *v);
u64 vcpu_join(struct vcpu_thread *t);

/* ---- state ------------------------------------------------------------------ */

/* Record @type of a VM or vCPU fd: payload bytes or -errno. */
int state_get(int fd, u32 type, void *buf, u32 len);
/* 0 or -errno; @bad may be NULL or gets type and offset. */
struct state_bad {
	u32 type;
	u32 offset;
};

int state_set(int fd, u32 type, const void *buf, u32 len, struct state_bad *bad);
/* One MSR through KEEL_REC_MSRS: 0 or -errno. */
int msr_set(struct vcpu *v, u32 index, u64 value);
u64 msr_get(struct vcpu *v, u32 index);

/* ---- time -------------------------------------------------------------------- */

u64 now_ns(void);			/* CLOCK_MONOTONIC */
u64 cpu_ns(void);			/* of this process, user and system */
void sleep_ms(unsigned int ms);
/* Wait up to @ms (on a usual host) for a condition; true if it came. */
#define WAIT_FOR(ms, cond) ({				\
	u64 wait_end = now_ns() + (ms) * 1000000ULL * ktap_slow();	\
	bool wait_ok;					\
							\
	while (!(wait_ok = !!(cond)) && now_ns() < wait_end)	\
		sleep_ms(2);				\
	wait_ok;					\
})

#endif /* KEEL_SELFTESTS_LIBKEEL_H */
