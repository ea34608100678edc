// SPDX-License-Identifier: GPL-2.0
/*
 * What the launcher gives up before the guest runs: capabilities, the way to
 * new privileges, core dumps of guest memory, and every system call that a
 * running machine does not need. It must not know a VM.
 */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/keel.h>

#include "privileges.h"
#include "util.h"

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	/* Without CAP_SETPCAP the bounding set stays; no_new_privs makes it moot. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, none) ? -errno : 0;
}

int privileges_drop(void)
{
	const struct rlimit no_core = { 0, 0 };
	int rc = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		rc = -errno;
	if (!rc)
		rc = drop_capabilities();
	/* Guest memory does not end up in a file when we crash. */
	if (!rc && setrlimit(RLIMIT_CORE, &no_core))
		rc = -errno;
	if (rc)
		say("cannot drop privileges: %s (--no-sandbox keeps them)", strerror(-rc));
	return rc;
}

/*
 * What a running machine does: run vCPUs, wait, move bytes between descriptors
 * that are open already, accept control connections, manage its memory, reboot.
 */
static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
	SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(lseek),
	SCMP_SYS(ftruncate), SCMP_SYS(unlink),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(restart_syscall),
	SCMP_SYS(accept4), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(shutdown),
	SCMP_SYS(timerfd_settime), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(gettid), SCMP_SYS(getpid),
	SCMP_SYS(tgkill), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigaction),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(getrandom), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
};

/* Of ioctl(): Keel's own calls (by their magic) and the terminal's modes. */
static int allow_ioctl(scmp_filter_ctx ctx)
{
	static const unsigned int terminal[] = { TCGETS, TCSETS, TCSETSW, TCSETSF };
	int rc;

	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
			      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffff00,
				      (unsigned int)KEEL_IOC_MAGIC << 8));
	for (size_t i = 0; i < ARRAY_SIZE(terminal) && !rc; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				      SCMP_A1(SCMP_CMP_EQ, terminal[i]));
	return rc;
}

/* Memory yes, code no. */
static int allow_memory(scmp_filter_ctx ctx)
{
	int rc;

	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc)
		return rc;
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

int privileges_sandbox(void)
{
	/*
	 * A refused call fails, it does not kill: nothing that a forgotten line
	 * above could break is worth the user's guest.
	 */
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = ctx ? 0 : -ENOMEM;

	if (!rc)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* A binary search: the filter is in the way of every RUN. */
	if (!rc)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < ARRAY_SIZE(allowed) && !rc; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!rc)
		rc = allow_ioctl(ctx);
	if (!rc)
		rc = allow_memory(ctx);
	if (!rc)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc == -EOPNOTSUPP || rc == -ENOSYS) {
		say("warning: this kernel has no system-call filters: going without");
		return 0;
	}
	if (rc)
		say("cannot install the system-call filter: %s (--no-sandbox goes without)",
		    strerror(-rc));
	return rc;
}
