// SPDX-License-Identifier: GPL-2.0
/*
 * /init of the guest whose boot is measured: four pieces of work, and after each
 * a byte to the launcher's port. It must not know who runs it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "stages.h"

static void stage(int n)
{
	outb(n, STAGE_PORT);
}

static void fork_and_exec(char *self)
{
	pid_t child = vfork();

	if (!child) {
		execl(self, self, "leave", NULL);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	char *mem;
	int i;

	if (argc > 1 && !strcmp(argv[1], "leave"))
		return 0;
	if (iopl(3))
		return 1;
	stage(STAGE_USER);
	for (i = 0; i < 50; i++)
		fork_and_exec(argv[0]);
	stage(STAGE_FORKS);
	mem = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return 1;
	/* Not memset(): libraries do it as the CPU likes it. */
	for (i = 0; i < 32 << 20; i += 4096)
		mem[i] = 1;
	stage(STAGE_MEMORY);
	for (i = 0; i < 100; i++)
		nanosleep(&ms, NULL);
	stage(STAGE_SLEEPS);
	reboot(RB_POWER_OFF);
	return 1;
}
