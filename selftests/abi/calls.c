// SPDX-License-Identifier: GPL-2.0
/*
 * Every call with everything that can be wrong about its struct, whatever the
 * call: pointers, sizes, flags, reserved fields, the kind of fd, another
 * process. What is wrong with the contents is in the other files here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libkeel.h"

#define PAGE	4096

enum fd_kind { ON_DEV, ON_VM, ON_VCPU, ON_STATS, ON_FILE, NR_KINDS };

/* One of each. */
struct scene {
	struct vm *vm;
	int fd[NR_KINDS];
	int event;
};

/* The largest struct and what may follow it. */
union arg {
	__u32 head[2];
	struct keel_info info;
	struct keel_cpuid cpuid;
	struct keel_create_vm create_vm;
	struct keel_mem_commit mem;
	struct keel_dirty_get dirty;
	struct keel_create_vcpu create_vcpu;
	struct keel_irqchip irqchip;
	struct keel_irq_line irq_line;
	struct keel_msi msi;
	struct keel_routes routes;
	struct keel_irqfd irqfd;
	struct keel_ioeventfd ioeventfd;
	struct keel_policy policy;
	struct keel_pause pause;
	struct keel_stats_fd stats_fd;
	struct keel_inject inject;
	struct keel_translate translate;
	struct keel_state state;
	u8 bytes[512];
};

static struct keel_cpuid_entry entries[256];
static struct keel_mem_op mem_op;
static u8 records[65536] __aligned(8);

static void fill_cpuid(struct scene *s, union arg *a)
{
	a->cpuid.entries = (unsigned long)entries;
	a->cpuid.nr = 256;
}

static void fill_cpuid_set(struct scene *s, union arg *a)
{
	a->cpuid.entries = (unsigned long)entries;
	a->cpuid.nr = keel_cpuid(entries);
}

static void fill_mem(struct scene *s, union arg *a)
{
	mem_op = (struct keel_mem_op) {
		.op = KEEL_MEM_MAP, .gpa = 0x20000000, .len = PAGE,
		.hva = (unsigned long)s->vm->ram,
	};
	a->mem.ops = (unsigned long)&mem_op;
	a->mem.nr = 1;
}

static void fill_dirty(struct scene *s, union arg *a)
{
	a->dirty.len = 64 * PAGE;
	a->dirty.bitmap = (unsigned long)records;
	a->dirty.bitmap_size = 8;
}

static void fill_create_vcpu(struct scene *s, union arg *a) { a->create_vcpu.id = 1; }
static void fill_irq_line(struct scene *s, union arg *a) { a->irq_line.gsi = 5; }
static void fill_msi(struct scene *s, union arg *a) { a->msi.address = 0xfee00000; }

static void fill_irqfd(struct scene *s, union arg *a)
{
	a->irqfd.fd = s->event;
	a->irqfd.gsi = 5;
}

static void fill_ioeventfd(struct scene *s, union arg *a)
{
	a->ioeventfd.fd = s->event;
	a->ioeventfd.addr = 0x600;
	a->ioeventfd.len = 2;
	a->ioeventfd.flags = KEEL_IOEVENTFD_PIO;
}

static void fill_policy(struct scene *s, union arg *a)
{
	a->policy.pio = KEEL_POLICY_EXIT;
	a->policy.mmio = KEEL_POLICY_EXIT;
}

static void fill_resume(struct scene *s, union arg *a)
{
	struct keel_pause p = {};

	REQUIRE_EQ(kcall_sized(s->vm->fd, KEEL_PAUSE, &p), 0);
}

static void fill_inject(struct scene *s, union arg *a) { a->inject.kind = KEEL_INJECT_NMI; }

static void fill_translate(struct scene *s, union arg *a)
{
	a->translate.access = KEEL_ACCESS_READ;
}

static void fill_state_get(struct scene *s, union arg *a)
{
	a->state.buf = (unsigned long)records;
	a->state.buf_size = sizeof(records);
}

/* An empty set changes nothing. */
static void fill_state_set(struct scene *s, union arg *a) { fill_state_get(s, a); }

#define NO_RESERVED	0
#define RESERVED(type)	offsetof(struct type, reserved)

static const struct call {
	const char *name;
	unsigned int nr;
	enum fd_kind on;
	u32 size;
	u32 reserved;		/* offset of a field that has to be zero */
	u32 known_flags;	/* that do not fail for another reason */
	bool no_chip;		/* wants a VM without irqchip and vCPUs */
	bool new_fd;
	void (*fill)(struct scene *s, union arg *a);
} calls[] = {
	{ "INFO", KEEL_INFO, ON_DEV, sizeof(struct keel_info) },
	{ "CPUID_GET", KEEL_CPUID_GET, ON_DEV, sizeof(struct keel_cpuid), .fill = fill_cpuid },
	{ "CREATE_VM", KEEL_CREATE_VM, ON_DEV, sizeof(struct keel_create_vm),
	  offsetof(struct keel_create_vm, tsc_khz), .new_fd = true },	/* without its feature */
	{ "MEM_COMMIT", KEEL_MEM_COMMIT, ON_VM, sizeof(struct keel_mem_commit), .fill = fill_mem },
	{ "DIRTY_GET", KEEL_DIRTY_GET, ON_VM, sizeof(struct keel_dirty_get), .fill = fill_dirty },
	{ "CREATE_VCPU", KEEL_CREATE_VCPU, ON_VM, sizeof(struct keel_create_vcpu),
	  RESERVED(keel_create_vcpu), .new_fd = true, .fill = fill_create_vcpu },
	{ "IRQCHIP", KEEL_IRQCHIP, ON_VM, sizeof(struct keel_irqchip),
	  .known_flags = KEEL_IRQCHIP_PIT, .no_chip = true },
	{ "IRQ_LINE", KEEL_IRQ_LINE, ON_VM, sizeof(struct keel_irq_line), .fill = fill_irq_line },
	{ "MSI", KEEL_MSI, ON_VM, sizeof(struct keel_msi), RESERVED(keel_msi), .fill = fill_msi },
	{ "ROUTES", KEEL_ROUTES, ON_VM, sizeof(struct keel_routes) },
	{ "IRQFD", KEEL_IRQFD, ON_VM, sizeof(struct keel_irqfd), RESERVED(keel_irqfd),
	  .known_flags = KEEL_IRQFD_DEASSIGN | KEEL_IRQFD_RESAMPLE, .fill = fill_irqfd },
	{ "IOEVENTFD", KEEL_IOEVENTFD, ON_VM, sizeof(struct keel_ioeventfd),
	  .known_flags = 7, .fill = fill_ioeventfd },
	{ "CPUID_SET", KEEL_CPUID_SET, ON_VM, sizeof(struct keel_cpuid), .fill = fill_cpuid_set },
	{ "POLICY_SET", KEEL_POLICY_SET, ON_VM, sizeof(struct keel_policy), .fill = fill_policy },
	{ "PAUSE", KEEL_PAUSE, ON_VM, sizeof(struct keel_pause) },
	{ "RESUME", KEEL_RESUME, ON_VM, sizeof(struct keel_pause), .fill = fill_resume },
	{ "STATS_FD", KEEL_STATS_FD, ON_VM, sizeof(struct keel_stats_fd), .new_fd = true },
	{ "STATE_GET on a VM", KEEL_STATE_GET, ON_VM, sizeof(struct keel_state),
	  RESERVED(keel_state), .fill = fill_state_get },
	{ "STATE_SET on a VM", KEEL_STATE_SET, ON_VM, sizeof(struct keel_state),
	  RESERVED(keel_state), .fill = fill_state_set },
	{ "STATE_GET on a vCPU", KEEL_STATE_GET, ON_VCPU, sizeof(struct keel_state),
	  RESERVED(keel_state), .fill = fill_state_get },
	{ "STATE_SET on a vCPU", KEEL_STATE_SET, ON_VCPU, sizeof(struct keel_state),
	  RESERVED(keel_state), .fill = fill_state_set },
	{ "INJECT", KEEL_INJECT, ON_VCPU, sizeof(struct keel_inject), RESERVED(keel_inject),
	  .fill = fill_inject },
	{ "TRANSLATE", KEEL_TRANSLATE, ON_VCPU, sizeof(struct keel_translate),
	  .fill = fill_translate },
};

#define for_each_call(c) for ((c) = calls; (c) < calls + ARRAY_SIZE(calls); (c)++)

static void scene_new(struct scene *s, const struct call *c)
{
	struct keel_stats_fd stats = {};

	s->vm = vm_new(c && c->no_chip ? 0 : VM_IRQCHIP);
	if (c && c->no_chip) {
		close(s->vm->fd);
		s->vm->fd = vm_fd(KEEL_FEAT_IRQCHIP);
		REQUIRE(s->vm->fd >= 0);
	}
	if (s->vm->features & KEEL_FEAT_DIRTY_LOG)
		REQUIRE_EQ(vm_mem(s->vm, KEEL_MEM_PROTECT, KEEL_MEM_LOG_DIRTY, 0,
				  s->vm->ram_size, NULL), 0);
	s->fd[ON_DEV] = keel_dev();
	s->fd[ON_VM] = s->vm->fd;
	s->fd[ON_VCPU] = c && c->no_chip ? -1 : vcpu_new(s->vm, 0)->fd;
	s->fd[ON_STATS] = kcall_sized(s->vm->fd, KEEL_STATS_FD, &stats);
	REQUIRE(s->fd[ON_STATS] >= 0);
	s->fd[ON_FILE] = open("/dev/null", O_RDWR);
	s->event = eventfd(0, EFD_NONBLOCK);
}

static void scene_free(struct scene *s)
{
	close(s->fd[ON_STATS]);
	close(s->fd[ON_FILE]);
	close(s->event);
	vm_free(s->vm);
}

static void valid(struct scene *s, const struct call *c, union arg *a)
{
	memset(a, 0, sizeof(*a));
	if (c->fill)
		c->fill(s, a);
	a->head[0] = c->size;
}

/* The call, and what it made is undone. */
static int issue(struct scene *s, const struct call *c, void *arg)
{
	int ret = kcall(s->fd[c->on], c->nr, arg);

	if (ret >= 0 && c->new_fd) {
		close(ret);
		ret = 0;
	}
	return ret;
}

/* ---- what a refused call must not have changed ------------------------------- */

struct trace {
	u32 nr_vms, nr_vcpus;
	u64 kernel_bytes;
	u32 used[2];
	u8 state[2][16384] __aligned(8);
};

static void take_trace(struct scene *s, struct trace *t)
{
	struct keel_info info;
	int i;

	memset(t, 0, sizeof(*t));
	keel_info(&info);
	t->nr_vms = info.nr_vms;
	t->nr_vcpus = info.nr_vcpus;
	t->kernel_bytes = info.kernel_bytes;
	for (i = 0; i < 2; i++) {
		struct keel_state get = {
			.buf = (unsigned long)t->state[i], .buf_size = sizeof(t->state[i]),
		};
		int fd = s->fd[i ? ON_VCPU : ON_VM];

		if (fd >= 0)
			REQUIRE_EQ(kcall_sized(fd, KEEL_STATE_GET, &get), 0);
		t->used[i] = get.used;
	}
}

/* Time goes on: leave its records out. */
static void drop_time(u8 *state, u32 used)
{
	struct keel_rec *rec;
	u32 at;

	for (at = 0; at + sizeof(*rec) <= used; at += sizeof(*rec) + ((rec->len + 7) & ~7U)) {
		rec = (struct keel_rec *)(state + at);
		if (rec->type == KEEL_REC_TSC || rec->type == KEEL_REC_PIT ||
		    rec->type == KEEL_REC_MSRS)
			memset(rec + 1, 0, rec->len);
	}
}

static void unchanged(const char *name, const char *what, struct trace *a, struct trace *b)
{
	int i;

	CHECK(a->nr_vms == b->nr_vms && a->nr_vcpus == b->nr_vcpus,
	      "%s, %s: %u VMs, %u vCPUs, now %u, %u", name, what, a->nr_vms, a->nr_vcpus,
	      b->nr_vms, b->nr_vcpus);
	for (i = 0; i < 2; i++) {
		drop_time(a->state[i], a->used[i]);
		drop_time(b->state[i], b->used[i]);
		CHECK(a->used[i] == b->used[i] && !memcmp(a->state[i], b->state[i], a->used[i]),
		      "%s, %s: the %s's state has changed", name, what, i ? "vCPU" : "VM");
	}
}

/* ---- pointers and sizes ------------------------------------------------------------ */

static struct trace before, after;

TEST(valid_calls)
{
	const struct call *c;

	for_each_call(c) {
		struct scene s;
		union arg a;
		int ret;

		scene_new(&s, c);
		valid(&s, c, &a);
		ret = issue(&s, c, &a);
		CHECK(ret == 0, "%s: %s", c->name, strerror(-ret));
		scene_free(&s);
	}
}

/* A valid struct that ends where the address space does. */
static void *at_the_edge(const union arg *a, u32 readable)
{
	u8 *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	munmap(p + PAGE, PAGE);
	memcpy(p + PAGE - readable, a, readable);
	return p + PAGE - readable;
}

TEST(pointers)
{
	const struct call *c;

	for_each_call(c) {
		void *ptr[] = { NULL, (void *)-4096L, (void *)0xffff888000000000, NULL, NULL };
		struct scene s;
		union arg a;
		unsigned int i;

		scene_new(&s, c);
		valid(&s, c, &a);
		ptr[3] = at_the_edge(&a, 8);	/* the size is there, the rest is not */
		ptr[4] = at_the_edge(&a, 2);
		take_trace(&s, &before);
		for (i = 0; i < ARRAY_SIZE(ptr); i++) {
			int ret = issue(&s, c, ptr[i]);

			/* A struct of two words has no rest. */
			if (i == 3 && c->size == 8)
				continue;
			CHECK(ret == -EFAULT, "%s: pointer %u: %d", c->name, i, ret);
		}
		if (c->size > 8) {
			take_trace(&s, &after);
			unchanged(c->name, "bad pointer", &before, &after);
		}
		scene_free(&s);
	}
}

/* Where a call has an answer, and it cannot be written. */
TEST(read_only_structs)
{
	static const unsigned int nrs[] = { KEEL_INFO, KEEL_CPUID_GET };
	union arg *ro = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nrs); i++) {
		REQUIRE_EQ(mprotect(ro, PAGE, PROT_READ | PROT_WRITE), 0);
		memset(ro, 0, PAGE);
		if (nrs[i] == KEEL_CPUID_GET)
			fill_cpuid(NULL, ro);
		ro->head[0] = nrs[i] == KEEL_INFO ? sizeof(ro->info) : sizeof(ro->cpuid);
		REQUIRE_EQ(mprotect(ro, PAGE, PROT_READ), 0);
		CHECK_EQ(kcall(keel_dev(), nrs[i], ro), -EFAULT);
	}
}

TEST(sizes)
{
	/* No struct has grown yet: the last one is each struct's own. */
	u32 small[] = { 0, 1, 4, 7, 0 };
	const struct call *c;

	for_each_call(c) {
		struct scene s;
		union arg a;
		unsigned int i;
		int ret;

		scene_new(&s, c);
		take_trace(&s, &before);
		small[4] = c->size - 1;
		for (i = 0; i < ARRAY_SIZE(small); i++) {
			memset(&a, 0, sizeof(a));
			a.head[0] = small[i];
			ret = issue(&s, c, &a);
			CHECK(ret == -EINVAL, "%s: size %u: %d", c->name, small[i], ret);
		}
		valid(&s, c, &a);
		a.head[0] = c->size + 8;
		a.bytes[c->size + 7] = 1;
		ret = issue(&s, c, &a);
		CHECK(ret == -E2BIG, "%s: a longer struct, tail not zero: %d", c->name, ret);
		a.head[0] = 0xffffffff;
		ret = issue(&s, c, &a);
		CHECK(ret == -E2BIG || ret == -EFAULT, "%s: size ~0: %d", c->name, ret);
		if (c->nr != KEEL_RESUME) {
			take_trace(&s, &after);
			unchanged(c->name, "bad size", &before, &after);
			valid(&s, c, &a);
		}
		a.bytes[c->size + 7] = 0;
		a.head[0] = c->size + 8;
		ret = issue(&s, c, &a);
		CHECK(ret == 0, "%s: a longer struct, tail zero: %d", c->name, ret);
		scene_free(&s);
	}
}

TEST(flags_and_reserved_fields)
{
	const struct call *c;

	for_each_call(c) {
		struct scene s;
		union arg a;
		int bit, ret;

		scene_new(&s, c);
		valid(&s, c, &a);
		take_trace(&s, &before);
		for (bit = 0; bit < 32; bit++) {
			if (c->known_flags & 1U << bit)
				continue;
			a.head[1] ^= 1U << bit;
			ret = issue(&s, c, &a);
			a.head[1] ^= 1U << bit;
			CHECK(ret == -EINVAL, "%s: flag %d: %d", c->name, bit, ret);
			if (ret >= 0)
				break;
		}
		if (c->reserved) {
			a.bytes[c->reserved + 3] = 0x80;
			ret = issue(&s, c, &a);
			CHECK(ret == -EINVAL, "%s: reserved: %d", c->name, ret);
		}
		take_trace(&s, &after);
		unchanged(c->name, "bad flags", &before, &after);
		scene_free(&s);
	}
}

/* ---- fds ------------------------------------------------------------------------------ */

TEST(wrong_kind_of_fd)
{
	const struct call *c;
	struct scene s;
	union arg a;
	int kind, ret;

	scene_new(&s, NULL);
	take_trace(&s, &before);
	for_each_call(c) {
		for (kind = 0; kind < NR_KINDS; kind++) {
			if (kind == (int)c->on)
				continue;
			/* These two are calls on two kinds of fd. */
			if ((c->nr == KEEL_STATE_GET || c->nr == KEEL_STATE_SET) &&
			    (kind == ON_VM || kind == ON_VCPU))
				continue;
			memset(&a, 0, sizeof(a));
			a.head[0] = c->size;
			ret = kcall(s.fd[kind], c->nr, &a);
			CHECK(ret == -ENOTTY, "%s on fd kind %d: %d", c->name, kind, ret);
		}
	}
	for (kind = 0; kind < NR_KINDS; kind++) {
		if (kind == ON_VCPU)
			continue;
		CHECK_EQ(kcall(s.fd[kind], KEEL_RUN, NULL), -ENOTTY);
		CHECK_EQ(kcall(s.fd[kind], KEEL_KICK, NULL), -ENOTTY);
	}
	take_trace(&s, &after);
	unchanged("calls", "wrong fd", &before, &after);
	scene_free(&s);
}

TEST(unknown_calls)
{
	struct scene s;
	union arg a = { .head = { sizeof(a) } };
	int kind;
	u32 nr;

	scene_new(&s, NULL);
	for (kind = ON_DEV; kind <= ON_STATS; kind++) {
		for (nr = 0x62; nr < 0x100; nr++)
			CHECK_EQ(kcall(s.fd[kind], _IO(KEEL_IOC_MAGIC, nr), &a), -ENOTTY);
		CHECK_EQ(kcall(s.fd[kind], _IO(0xae, 0), &a), -ENOTTY);
		/* The right number with a size or direction is another call. */
		CHECK_EQ(kcall(s.fd[kind], _IOR(KEEL_IOC_MAGIC, 0, struct keel_info), &a), -ENOTTY);
		CHECK_EQ(kcall(s.fd[kind], 0, &a), -ENOTTY);
	}
	scene_free(&s);
}

TEST(another_process)
{
	const struct call *c;
	struct scene s;
	union arg a;
	int status;
	pid_t pid;

	scene_new(&s, NULL);
	take_trace(&s, &before);
	pid = fork();
	if (!pid) {
		for_each_call(c) {
			int ret;

			if (c->on == ON_DEV || c->nr == KEEL_STATS_FD)
				continue;
			memset(&a, 0, sizeof(a));
			if (c->fill && c->nr != KEEL_RESUME)
				c->fill(&s, &a);
			a.head[0] = c->size;
			ret = kcall(s.fd[c->on], c->nr, &a);
			CHECK(ret == -EPERM, "%s: %d", c->name, ret);
		}
		CHECK_EQ(kcall(s.fd[ON_VCPU], KEEL_RUN, NULL), -EPERM);
		/* Who has the fd may watch and kick. */
		CHECK_EQ(kcall(s.fd[ON_VCPU], KEEL_KICK, NULL), 0);
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && !status);
	take_trace(&s, &after);
	unchanged("calls", "another process", &before, &after);
	scene_free(&s);
}

/* The child's end of the fds does not take the VM with it. */
TEST(fds_survive_a_fork)
{
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0);
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(vcpu_kick(v), 0);
	vcpu_expect(v, KEEL_EXIT_KICKED);
	vm_free(vm);
}

/* A vCPU or statistics fd alone keeps the VM; fds are closed at exec. */
TEST(lifetimes)
{
	struct keel_stats_fd stats = {};
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_info info;
	int fd = kcall_sized(vm->fd, KEEL_STATS_FD, &stats);
	char buf[8192];

	CHECK_EQ(fcntl(vm->fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(v->fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(vm->fd);
	CHECK_EQ(vcpu_kick(v), 0);
	vcpu_expect(v, KEEL_EXIT_KICKED);
	munmap(v->run, PAGE);
	close(v->fd);
	CHECK(pread(fd, buf, sizeof(buf), 0) > 0);
	keel_info(&info);
	CHECK_EQ(info.nr_vms, 1);
	close(fd);
	CHECK(WAIT_FOR(2000, (keel_info(&info), info.nr_vms == 0)));
}

/* An open run page keeps what it needs, and no more. */
TEST(run_page_outlives_its_fd)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	close(v->fd);
	close(vm->fd);
	v->run->flags = 0x1234;
	CHECK_EQ(v->run->flags, 0x1234);
	munmap(v->run, PAGE);
}
