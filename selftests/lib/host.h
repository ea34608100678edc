/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lab host as tests change it: modules, CPUs, the kernel's log. It knows
 * nothing of VMs. Failures are -errno unless a comment says otherwise.
 */
#ifndef KEEL_SELFTESTS_HOST_H
#define KEEL_SELFTESTS_HOST_H

#include <stdbool.h>
#include <stddef.h>

#define HOST_KEEL	"/lib/keel/keel.ko"

int host_insmod(const char *path, const char *params);
/* Without waiting: -EWOULDBLOCK if the module is in use. */
int host_rmmod(const char *name);
bool host_has_module(const char *name);
/* keel.ko as it should be for the next test: loaded. Fails the test. */
void host_need_keel(void);

/* CPU @cpu through sysfs; -ENOENT: there is no such CPU, or it cannot go. */
int host_cpu_online(unsigned int cpu, bool online);
unsigned int host_nr_cpus(void);	/* online now */
/* This thread on one CPU. */
int host_pin(unsigned int cpu);

/* Contents of a small file as a string, "" if it cannot be read. */
const char *host_read(const char *path, char *buf, size_t size);

/* A word into a file of sysfs. */
int host_write(const char *path, const char *text);

/* Lines of the kernel's log from now on: start, then look for a text in them. */
void host_log_start(void);
bool host_log_has(const char *text);

#endif /* KEEL_SELFTESTS_HOST_H */
