// SPDX-License-Identifier: GPL-2.0
/*
 * Every call that allocates, with its first, second, third ... allocation (or
 * copy from or to user space) failing: the errno is right, nothing has
 * changed, the same call works afterwards, and nothing is left behind. The
 * kernel fails the allocations of one thread on demand where it is built with
 * fault injection: the debug kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "libkeel.h"

#define PAGE		4096
#define MAX_NTH		400	/* allocations of one call */

/* ---- the kernel's fault injection --------------------------------------------- */

static int nth_fd = -1;

static void set(const char *file, const char *value)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		ktap_skip("no %s: this kernel has no fault injection", path);
	REQUIRE(write(fd, value, strlen(value)) > 0, "%s: %s", path, strerror(errno));
	close(fd);
}

static void need_injection(void)
{
	set("failslab/ignore-gfp-wait", "N");
	set("failslab/verbose", "0");
	set("fail_page_alloc/ignore-gfp-wait", "N");
	set("fail_page_alloc/ignore-gfp-highmem", "N");
	set("fail_page_alloc/min-order", "0");
	set("fail_page_alloc/verbose", "0");
	set("fail_usercopy/verbose", "0");
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		ktap_skip("no fail-nth: this kernel has no fault injection");
}

static void arm(unsigned int nth)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%u", nth);

	/* What is still armed may hit the copy of this write. */
	if (pwrite(nth_fd, buf, len, 0) != len)
		REQUIRE_EQ(pwrite(nth_fd, buf, len, 0), len);
}

/* Disarms. True: the failure has happened; if it hits the read here, it has not. */
static bool has_failed(void)
{
	char buf[16] = "";
	ssize_t got = pread(nth_fd, buf, sizeof(buf) - 1, 0);

	arm(0);
	return got > 0 && atoi(buf) == 0;
}

/* ---- calls ------------------------------------------------------------------------ */

struct scene {
	struct vm *vm;
	struct vcpu *v;
	void *mem;
	int event;
	u8 *records;
	u32 used;
};

static struct keel_cpuid_entry entries[256];
static u32 nr_entries;
static struct keel_mem_op ops[3];
static struct keel_route routes[24];

static int create_vm(struct scene *s)
{
	return vm_fd(0);
}

static int create_vcpu(struct scene *s)
{
	struct keel_create_vcpu arg = { .id = 3 };

	return kcall_sized(s->vm->fd, KEEL_CREATE_VCPU, &arg);
}

static int irqchip(struct scene *s)
{
	struct keel_irqchip arg = { .flags = KEEL_IRQCHIP_PIT };

	return kcall_sized(s->vm->fd, KEEL_IRQCHIP, &arg);
}

static int mem_commit_flags(struct scene *s, u32 flags)
{
	struct keel_mem_commit arg = { .ops = (unsigned long)ops, .nr = ARRAY_SIZE(ops) };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		ops[i] = (struct keel_mem_op) {
			.op = KEEL_MEM_MAP, .gpa = 0x20000000 + i * 4 * PAGE, .len = PAGE,
			.hva = (unsigned long)s->mem, .flags = flags,
		};
	return kcall_sized(s->vm->fd, KEEL_MEM_COMMIT, &arg);
}

static int mem_commit(struct scene *s)
{
	return mem_commit_flags(s, 0);
}

static int mem_commit_logged(struct scene *s)
{
	return mem_commit_flags(s, KEEL_MEM_LOG_DIRTY);
}

static int dirty_get(struct scene *s)
{
	static u64 bitmap[1024];
	struct keel_dirty_get arg = {
		.len = s->vm->ram_size, .bitmap = (unsigned long)bitmap,
		.bitmap_size = sizeof(bitmap),
	};

	return kcall_sized(s->vm->fd, KEEL_DIRTY_GET, &arg);
}

static int set_routes(struct scene *s)
{
	struct keel_routes arg = { .routes = (unsigned long)routes, .nr = ARRAY_SIZE(routes) };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(routes); i++)
		routes[i] = (struct keel_route) {
			.gsi = i, .type = KEEL_ROUTE_IOAPIC, .pin = i,
		};
	return kcall_sized(s->vm->fd, KEEL_ROUTES, &arg);
}

static int irqfd(struct scene *s)
{
	struct keel_irqfd arg = { .fd = s->event, .gsi = 5 };

	return kcall_sized(s->vm->fd, KEEL_IRQFD, &arg);
}

static int irqfd_resample(struct scene *s)
{
	struct keel_irqfd arg = {
		.fd = s->event, .gsi = 9, .resample_fd = s->event, .flags = KEEL_IRQFD_RESAMPLE,
	};

	return kcall_sized(s->vm->fd, KEEL_IRQFD, &arg);
}

static int ioeventfd(struct scene *s)
{
	struct keel_ioeventfd arg = {
		.fd = s->event, .addr = 0x600, .len = 2, .flags = KEEL_IOEVENTFD_PIO,
	};

	return kcall_sized(s->vm->fd, KEEL_IOEVENTFD, &arg);
}

static int cpuid_get(struct scene *s)
{
	static struct keel_cpuid_entry to[256];
	struct keel_cpuid arg = { .entries = (unsigned long)to, .nr = 256 };

	return kcall_sized(keel_dev(), KEEL_CPUID_GET, &arg);
}

static int cpuid_set(struct scene *s)
{
	struct keel_cpuid arg = { .entries = (unsigned long)entries, .nr = nr_entries };

	return kcall_sized(s->vm->fd, KEEL_CPUID_SET, &arg);
}

static int info_report(struct scene *s)
{
	static char text[4096];
	struct keel_info arg = {
		.report = (unsigned long)text, .report_size = sizeof(text),
	};

	return kcall_sized(keel_dev(), KEEL_INFO, &arg);
}

static int stats_fd(struct scene *s)
{
	struct keel_stats_fd arg = {};

	return kcall_sized(s->vm->fd, KEEL_STATS_FD, &arg);
}

static int state_of(int fd, unsigned int nr, u8 *buf, u32 *used)
{
	struct keel_state arg = { .buf = (unsigned long)buf, .buf_size = 65536 };
	int ret;

	if (nr == KEEL_STATE_SET)
		arg.used = *used;
	ret = kcall_sized(fd, nr, &arg);
	*used = arg.used;
	return ret;
}

static int state_get_all(struct scene *s)
{
	static u8 buf[65536] __aligned(8);
	u32 used;

	return state_of(s->v->fd, KEEL_STATE_GET, buf, &used);
}

static int state_set_all(struct scene *s)
{
	u32 used = s->used;

	return state_of(s->v->fd, KEEL_STATE_SET, s->records, &used);
}

/* The first instruction ever: tables, the page itself, the run page's fault. */
static int run(struct scene *s)
{
	int ret = vcpu_enter(s->v);

	if (ret)
		return ret;
	if (s->v->run->exit_reason == KEEL_EXIT_MEM_FAULT) {
		CHECK(s->v->run->mem.error, "MEM_FAULT without an error");
		return -(int)s->v->run->mem.error;
	}
	CHECK_EQ(s->v->run->exit_reason, KEEL_EXIT_HLT);
	return 0;
}

#define NEW_FD	(1U << 0)	/* the result is a fd */
#define BARE	(1U << 1)	/* a VM without irqchip and vCPU */
#define CHIP	(1U << 2)	/* a VM with irqchip */

static const struct call {
	const char *name;
	int (*fn)(struct scene *s);
	u32 flags;
} calls[] = {
	{ "INFO", info_report },
	{ "CPUID_GET", cpuid_get },
	{ "CREATE_VM", create_vm, NEW_FD },
	{ "CREATE_VCPU", create_vcpu, NEW_FD },
	{ "CREATE_VCPU with irqchip", create_vcpu, NEW_FD | CHIP },
	{ "IRQCHIP", irqchip, BARE },
	{ "MEM_COMMIT", mem_commit },
	{ "MEM_COMMIT of logged slots", mem_commit_logged, CHIP },
	{ "DIRTY_GET", dirty_get, CHIP },
	{ "ROUTES", set_routes, CHIP },
	{ "IRQFD", irqfd, CHIP },
	{ "IRQFD with resample", irqfd_resample, CHIP },
	{ "IOEVENTFD", ioeventfd },
	{ "CPUID_SET", cpuid_set, CHIP },
	{ "STATS_FD", stats_fd, NEW_FD },
	{ "STATE_GET", state_get_all, CHIP },
	{ "STATE_SET", state_set_all, CHIP },
	{ "RUN", run },
};

static void scene_new(struct scene *s, const struct call *c)
{
	memset(s, 0, sizeof(*s));
	s->vm = vm_new(c->flags & CHIP ? VM_IRQCHIP : 0);
	if (c->flags & BARE) {
		close(s->vm->fd);
		s->vm->fd = vm_fd(KEEL_FEAT_IRQCHIP);
		REQUIRE(s->vm->fd >= 0);
	} else {
		s->v = vcpu_new(s->vm, 0);
		s->vm->ram[0x1000] = 0xf4;	/* hlt */
		guest_real(s->v, 0x1000, 0);
		s->records = pages(65536);
		REQUIRE_EQ(state_of(s->v->fd, KEEL_STATE_GET, s->records, &s->used), 0);
	}
	if (c->fn == dirty_get)
		REQUIRE_EQ(vm_mem(s->vm, KEEL_MEM_PROTECT, KEEL_MEM_LOG_DIRTY, 0,
				  s->vm->ram_size, NULL), 0);
	s->mem = pages(PAGE);
	s->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void scene_free(struct scene *s)
{
	close(s->event);
	munmap(s->mem, PAGE);
	if (s->records)
		munmap(s->records, 65536);
	vm_free(s->vm);
}

/* ---- what is left ------------------------------------------------------------------- */

struct trace {
	u64 vms, vcpus, kernel, stage2;
	int fd;			/* the lowest that is free */
};

static void take(struct trace *t)
{
	struct keel_info info;

	memset(t, 0, sizeof(*t));
	keel_info(&info);
	t->vms = info.nr_vms;
	t->vcpus = info.nr_vcpus;
	t->kernel = info.kernel_bytes;
	t->stage2 = info.stage2_bytes;
	t->fd = dup(1);
	close(t->fd);
}

static bool came_back(const struct trace *before, struct trace *now)
{
	return WAIT_FOR(5000, ({ take(now); !memcmp(before, now, sizeof(*now)); }));
}

/* The @nth allocation fails. False: there are not so many, the call has succeeded. */
static bool fail_one(const struct call *c, unsigned int nth, unsigned int *nomem)
{
	struct trace before, now;
	struct scene s;
	bool failed;
	int ret;

	scene_new(&s, c);
	take(&before);
	arm(nth);
	ret = c->fn(&s);
	failed = has_failed();
	*nomem += ret == -ENOMEM;
	CHECK(ret >= 0 || (failed && (ret == -ENOMEM || ret == -EFAULT)), "%s, failure %u: %d",
	      c->name, nth, ret);
	if (ret >= 0 && c->flags & NEW_FD)
		close(ret);
	if (ret < 0) {
		CHECK(c->fn == run || came_back(&before, &now),
		      "%s, failure %u: VMs %llu vCPUs %llu bytes %lld stage-2 %lld more, fd %d",
		      c->name, nth, now.vms - before.vms, now.vcpus - before.vcpus,
		      now.kernel - before.kernel, now.stage2 - before.stage2,
		      now.fd - before.fd);
		/* It has changed nothing: so it works now. */
		ret = c->fn(&s);
		CHECK(ret >= 0, "%s after failure %u: %d", c->name, nth, ret);
		if (ret >= 0 && c->flags & NEW_FD)
			close(ret);
	}
	scene_free(&s);
	return failed;
}

static void fail_all(const struct call *c)
{
	struct trace before, now;
	unsigned int nth, nomem = 0;

	take(&before);
	for (nth = 1; nth < MAX_NTH && !ktap_has_failed(); nth++)
		if (!fail_one(c, nth, &nomem))
			break;
	ktap_note("%s: %u allocations and copies, %u x -ENOMEM", c->name, nth - 1, nomem);
	CHECK(nomem > 0, "%s: no allocation has failed", c->name);
	CHECK(nth < MAX_NTH);
	CHECK(came_back(&before, &now), "%s leaves %lld bytes", c->name,
	      now.kernel - before.kernel);
}

/* [first, last) of the table: a test each would be much ado about little. */
static void fail_range(const char *first, const char *last)
{
	const struct call *c = calls;

	need_injection();
	nr_entries = keel_cpuid(entries);
	while (strcmp(c->name, first))
		c++;
	for (; c < calls + ARRAY_SIZE(calls) && strcmp(c->name, last); c++)
		fail_all(c);
}

TEST_DEADLINE(device, 300) { fail_range("INFO", "CREATE_VCPU"); }
TEST_DEADLINE(vcpu, 300) { fail_range("CREATE_VCPU", "IRQCHIP"); }
TEST_DEADLINE(interrupts, 300) { fail_range("IRQCHIP", "MEM_COMMIT"); }
TEST_DEADLINE(memory, 300) { fail_range("MEM_COMMIT", "ROUTES"); }
TEST_DEADLINE(events, 300) { fail_range("ROUTES", "CPUID_SET"); }
TEST_DEADLINE(state, 300) { fail_range("CPUID_SET", "RUN"); }
TEST_DEADLINE(first_entry, 300) { fail_range("RUN", ""); }
