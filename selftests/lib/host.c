// SPDX-License-Identifier: GPL-2.0
/*
 * Modules, CPUs and the kernel's log of the host that tests run on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "host.h"
#include "ktap.h"

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 10000000 };

	nanosleep(&ts, NULL);
}

int host_insmod(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);
	return ret;
}

int host_rmmod(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

bool host_has_module(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

void host_need_keel(void)
{
	int ret = host_has_module("keel") ? 0 : host_insmod(HOST_KEEL, "");
	int i;

	REQUIRE(!ret, "insmod: %s", strerror(-ret));
	/* Its node comes a little later. */
	for (i = 0; i < 200 && access("/dev/keel", F_OK); i++)
		nap();
}

int host_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

int host_cpu_online(unsigned int cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
	return host_write(path, online ? "1" : "0");
}

unsigned int host_nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

int host_pin(unsigned int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) ? -errno : 0;
}

const char *host_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n < 0 ? 0 : n] = 0;
	if (fd >= 0)
		close(fd);
	return buf;
}

static int kmsg = -1;

void host_log_start(void)
{
	if (kmsg < 0)
		kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kmsg, 0, SEEK_END);
}

bool host_log_has(const char *text)
{
	char line[2048];
	bool found = false;
	ssize_t n;

	/* One read is one record; what has been overwritten is -EPIPE. */
	for (;;) {
		n = read(kmsg, line, sizeof(line) - 1);
		if (n < 0 && errno != EPIPE)
			break;
		if (n < 0)
			continue;
		line[n] = 0;
		found = found || strstr(line, text);
	}
	return found;
}
