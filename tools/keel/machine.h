/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One virtual machine: memory, devices and vCPU threads put together, from
 * start to end, and again after a reboot. It must not know the command line,
 * the terminal's keys or the control socket.
 */
#ifndef KEEL_TOOL_MACHINE_H
#define KEEL_TOOL_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "exitcode.h"
#include "iobus.h"
#include "memory.h"
#include "pci.h"
#include "pm.h"
#include "rtc.h"
#include "uart.h"
#include "vm.h"

#define MACHINE_INPUT	4096

enum end_cause {
	END_NONE,		/* it lives */
	END_POWER_OFF,
	END_REBOOT,
	END_CRASH,
	END_EMULATION,
	END_ENTRY,
	END_MEMORY,
	END_KILLED,
	END_BUGGED,
	END_LAUNCHER,
	END_NR
};

/* "power-off", ... and the status that `keel run` leaves with. */
const char *end_cause_name(enum end_cause cause);
enum exitcode end_cause_exit(enum end_cause cause);

struct machine_config {
	struct blob kernel, initrd;
	const char *cmdline;
	u64 memory;		/* bytes */
	unsigned int cpus;
};

struct machine;

struct vcpu_thread {
	struct machine *machine;
	unsigned int id;
	pthread_t thread;
};

struct machine {
	struct machine_config config;	/* constant */
	struct vm vm;			/* changes only while the vCPU threads are parked */
	struct memory mem;
	struct iobus bus;		/* constant after machine_init() */
	int end_fd;			/* eventfd: signalled once the end has a cause */
	int rtc_fd;			/* timerfd of rtc_deadline() */
	unsigned int phys_bits;		/* of the guest's CPUID */
	bool paused;			/* owner: the main thread */

	pthread_mutex_t dev_lock;	/* protects the devices below */
	struct uart uart;
	struct rtc rtc;
	struct pm pm;
	struct pci pci;
	u8 input[MACHINE_INPUT];	/* ring of bytes that wait for the UART */
	size_t input_head, input_len;
	s64 rtc_armed;

	pthread_mutex_t run_lock;	/* protects what follows */
	pthread_cond_t started, parked;
	unsigned int generation;	/* counts starts */
	unsigned int nr_running;
	bool quit;
	char detail[256];		/* of the end */
	atomic_int end;			/* enum end_cause; vCPUs read it without the lock */

	unsigned int nr_threads;
	struct vcpu_thread *thread;
};

/*
 * Memory, devices, and one parked thread a vCPU. The device must be open
 * (m->vm) and m->config be filled. 0 or -errno, told to the user.
 */
int machine_init(struct machine *m);
/* All of it goes; the VM must have ended or never been started. */
void machine_fini(struct machine *m);

/* Create the VM, load the guest. EXIT_OK, or what to exit with. */
enum exitcode machine_build(struct machine *m);
/* Let the vCPUs of a built machine run. */
void machine_start(struct machine *m);
/* Wait until all vCPU threads are parked; only after machine_end(). */
void machine_join(struct machine *m);
/* Give the ended VM back to the kernel; guest memory reads as zero again. */
void machine_teardown(struct machine *m);

/* The machine ends for @cause; the first caller is right. From any thread. */
void machine_end(struct machine *m, enum end_cause cause, const char *fmt, ...)
	__printf(3, 4);

/* For the main thread. */
int machine_pause(struct machine *m);	/* 0, -EALREADY or -errno */
int machine_resume(struct machine *m);
bool machine_power_button(struct machine *m);	/* false: the guest does not listen */
size_t machine_input_room(struct machine *m);
void machine_input(struct machine *m, const u8 *data, size_t len);
void machine_break(struct machine *m);
void machine_rtc_expired(struct machine *m);

/* devices.c: put the devices on the bus; their state after power-on. */
int devices_init(struct machine *m);
void devices_reset(struct machine *m);
/* vcpu.c: the thread that runs a vCPU. */
void *vcpu_main(void *arg);

#endif /* KEEL_TOOL_MACHINE_H */
