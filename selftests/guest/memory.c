// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory is the launcher's memory, whatever the host does to it: huge
 * pages, unmapping, protection, swap, sharing, copies on write.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libkeel.h"

#define PAGE	4096ULL
#define AREA	0x10000000ULL		/* the test's own slot */
#define LEN	(2 * MIB)

static struct vm *with_area(void *mem, u64 len, u32 flags)
{
	struct vm *vm = vm_new(0);

	vcpu_new(vm, 0);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, flags, AREA, len, mem), 0);
	return vm;
}

static u64 stage2(void)
{
	struct keel_info info;

	keel_info(&info);
	return info.stage2_bytes;
}

TEST(fresh_memory_is_zero)
{
	struct vm *vm = with_area(pages(LEN), LEN, 0);

	CHECK_EQ(GUEST_CALL(&vm->vcpu[0], sum, AREA, 0x10000ULL), 0);
	vm_free(vm);
}

TEST(both_sides_see_the_same)
{
	u64 *mem = pages(LEN), i;
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_CALL(v, fill, AREA, LEN, 0x1111ULL);
	for (i = 0; i < LEN; i += PAGE)
		REQUIRE_EQ(mem[i / 8], 0x1111 + AREA + i);
	for (i = 0; i < LEN; i += PAGE)
		mem[i / 8] += 0x2222;
	CHECK_EQ(GUEST_CALL(v, compare, AREA, LEN, 0x3333ULL), LEN / PAGE);
	vm_free(vm);
}

TEST(dontneed_gives_zero_pages)
{
	void *mem = pages(LEN);
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_CALL(v, fill, AREA, LEN, 5ULL);
	REQUIRE_EQ(madvise(mem, LEN / 2, MADV_DONTNEED), 0);
	CHECK_EQ(GUEST_CALL(v, compare, AREA, LEN, 5ULL), LEN / PAGE / 2);
	vm_free(vm);
}

TEST(dontneed_under_a_running_guest)
{
	void *mem = pages(LEN);
	struct vm *vm = with_area(mem, LEN / 8, 0);
	struct vcpu *v = &vm->vcpu[0];
	volatile u64 *rounds = GP(vm, rounds);
	struct vcpu_thread *t;
	u64 seen;
	int i;

	*rounds = 1;
	GUEST_START(v, churn, AREA, LEN / 8);
	guest_spins(v);
	t = vcpu_spawn(v);
	for (i = 0; i < 60; i++) {
		REQUIRE_EQ(madvise(mem + (i % 4) * LEN / 32, LEN / 32, MADV_DONTNEED), 0);
		if (i % 20 == 0) {
			seen = *rounds;
			CHECK(WAIT_FOR(10000, *rounds > seen + 1));
		}
	}
	*(volatile u64 *)GP(vm, stop) = 1;
	vcpu_join(t);
	vm_free(vm);
}

/* Linux switches them off by itself on a host of less than 512 MiB. */
static bool want_huge_pages(bool on)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	static char before[8] = "madvise";
	char modes[64];
	FILE *f = fopen(path, on ? "r+" : "w");
	bool ok;

	if (!f)
		return false;
	if (on && fgets(modes, sizeof(modes), f)) {
		if (sscanf(modes, "%*[^[][%7[a-z]", before) != 1)
			sscanf(modes, "[%7[a-z]", before);
		rewind(f);
	}
	ok = fputs(on ? "madvise" : before, f) >= 0;
	return !fclose(f) && ok;
}

TEST(huge_pages)
{
	u64 len = 32 * MIB, before, used;
	void *mem = pages(len);
	struct vm *vm;

	if (!want_huge_pages(true))
		ktap_skip("no huge pages in this kernel");
	madvise(mem, len, MADV_HUGEPAGE);
	vm = with_area(mem, len, 0);
	GUEST_CALL(&vm->vcpu[0], peek, AREA);
	before = stage2();
	GUEST_CALL(&vm->vcpu[0], fill, AREA, len, 1ULL);
	used = stage2() - before;
	/* With small pages it would take a table for each 2 MiB. */
	CHECK_LE(used, len / (2 * MIB) * PAGE / 4);
	/* Split by the host, it is still all there. */
	REQUIRE_EQ(madvise(mem + 5 * PAGE, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(GUEST_CALL(&vm->vcpu[0], compare, AREA, len, 1ULL), len / PAGE - 1);
	vm_free(vm);
	want_huge_pages(false);
}

TEST(protection_is_the_launchers)
{
	u64 *mem = pages(LEN);
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_CALL(v, fill, AREA, LEN, 7ULL);
	REQUIRE_EQ(mprotect(mem, LEN, PROT_READ), 0);
	CHECK_EQ(GUEST_CALL(v, compare, AREA, LEN, 7ULL), LEN / PAGE);
	GUEST_START(v, poke, AREA + 8, 9ULL);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_MEM_FAULT);
	CHECK_EQ(v->run->mem.gpa & ~0xfffULL, AREA);
	CHECK_EQ(v->run->mem.access & KEEL_ACCESS_WRITE, KEEL_ACCESS_WRITE);
	CHECK_EQ(v->run->mem.error, EFAULT);
	CHECK_EQ(mem[1], 0);
	REQUIRE_EQ(mprotect(mem, LEN, PROT_READ | PROT_WRITE), 0);
	guest_done(v);
	CHECK_EQ(mem[1], 9);
	vm_free(vm);
}

TEST(slots_come_and_go)
{
	u64 *a = pages(LEN), *b = pages(LEN);
	struct vm *vm = with_area(a, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];
	struct keel_mem_op ops[2] = {
		{ .op = KEEL_MEM_UNMAP, .gpa = AREA, .len = LEN },
		{ .op = KEEL_MEM_MAP, .gpa = AREA, .len = LEN, .hva = (unsigned long)b },
	};
	struct keel_mem_commit swap = { .ops = (unsigned long)ops, .nr = 2 };
	int i;

	a[0] = 0xa;
	b[0] = 0xb;
	for (i = 0; i < 10; i++) {
		CHECK_EQ(GUEST_CALL(v, peek, AREA), i % 2 ? 0xb : 0xa);
		ops[1].hva = (unsigned long)(i % 2 ? a : b);
		REQUIRE_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &swap), 0);
	}
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_UNMAP, 0, AREA, LEN, NULL), 0);
	GUEST_START(v, peek, AREA);
	CHECK_EQ(guest_run(v), KEEL_EXIT_MMIO);
	vm_free(vm);
}

TEST(protect_makes_a_slot_read_only)
{
	u64 *mem = pages(LEN);
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_CALL(v, poke, AREA, 1ULL);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, KEEL_MEM_READONLY, AREA, LEN, NULL), 0);
	GUEST_START(v, poke, AREA, 2ULL);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_MMIO);
	CHECK_EQ(v->run->mmio.data, 2);
	guest_done(v);
	CHECK_EQ(mem[0], 1);
	CHECK_EQ(GUEST_CALL(v, peek, AREA), 1);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, 0, AREA, LEN, NULL), 0);
	GUEST_CALL(v, poke, AREA, 3ULL);
	CHECK_EQ(mem[0], 3);
	vm_free(vm);
}

/* The same guest-physical address twice. */
TEST(aliases)
{
	u64 *mem = pages(LEN);
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];

	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, 2 * AREA, LEN, mem), 0);
	GUEST_CALL(v, poke, AREA + 0x5000, 0x1234ULL);
	CHECK_EQ(GUEST_CALL(v, peek, 2 * AREA + 0x5000), 0x1234);
	REQUIRE_EQ(madvise(mem, LEN, MADV_DONTNEED), 0);
	CHECK_EQ(GUEST_CALL(v, peek, AREA + 0x5000), 0);
	CHECK_EQ(GUEST_CALL(v, peek, 2 * AREA + 0x5000), 0);
	vm_free(vm);
}

TEST(two_vms_are_apart)
{
	struct vm *vm[2] = { vm_new(0), vm_new(0) };
	int i, round;

	for (i = 0; i < 2; i++)
		GUEST_CALL(vcpu_new(vm[i], 0), fill, (u64)GUEST_SCRATCH, 0x40000ULL, i + 1ULL);
	for (round = 0; round < 5; round++)
		for (i = 0; i < 2; i++)
			CHECK_EQ(GUEST_CALL(&vm[i]->vcpu[0], compare, (u64)GUEST_SCRATCH,
					    0x40000ULL, i + 1ULL), 64);
	vm_free(vm[0]);
	CHECK_EQ(GUEST_CALL(&vm[1]->vcpu[0], compare, (u64)GUEST_SCRATCH, 0x40000ULL, 2ULL), 64);
	vm_free(vm[1]);
}

TEST(memfd_shared_by_two_vms)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct vm *vm[2];
	void *mem[2];
	int i;

	REQUIRE(fd >= 0 && !ftruncate(fd, LEN));
	for (i = 0; i < 2; i++) {
		mem[i] = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		vm[i] = with_area(mem[i], LEN, 0);
	}
	GUEST_CALL(&vm[0]->vcpu[0], fill, AREA, LEN, 3ULL);
	CHECK_EQ(GUEST_CALL(&vm[1]->vcpu[0], compare, AREA, LEN, 3ULL), LEN / PAGE);
	/* A hole in the file is one in both. */
	REQUIRE_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LEN / 2), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(GUEST_CALL(&vm[i]->vcpu[0], compare, AREA, LEN, 3ULL), LEN / PAGE / 2);
	/* Beyond the end of the file is nothing. */
	REQUIRE_EQ(ftruncate(fd, PAGE), 0);
	GUEST_START(&vm[0]->vcpu[0], peek, AREA + PAGE);
	REQUIRE_EQ(guest_run(&vm[0]->vcpu[0]), KEEL_EXIT_MEM_FAULT);
	CHECK_EQ(vm[0]->vcpu[0].run->mem.gpa & ~0xfffULL, AREA + PAGE);
	vm_free(vm[0]);
	vm_free(vm[1]);
}

TEST(private_file_is_copied_on_write)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	u64 *file, *mem;
	struct vm *vm;
	struct vcpu *v;

	REQUIRE(fd >= 0 && !ftruncate(fd, LEN));
	file = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mem = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	file[0] = 0xf11e;
	vm = with_area(mem, LEN, 0);
	v = &vm->vcpu[0];
	CHECK_EQ(GUEST_CALL(v, peek, AREA), 0xf11e);
	GUEST_CALL(v, poke, AREA, 0xc0b1ULL);
	CHECK_EQ(file[0], 0xf11e);
	CHECK_EQ(mem[0], 0xc0b1);
	CHECK_EQ(GUEST_CALL(v, peek, AREA), 0xc0b1);
	vm_free(vm);
}

/* A child's copy on write must not leave the guest on the old page. */
TEST(copy_on_write_after_fork)
{
	u64 *mem = pages(LEN);
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];
	int go[2], status;
	pid_t pid;
	char c;

	GUEST_CALL(v, poke, AREA, 1ULL);
	REQUIRE_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1) || mem[0] != 1);
	}
	mem[0] = 2;
	CHECK_EQ(GUEST_CALL(v, peek, AREA), 2);
	GUEST_CALL(v, poke, AREA, 3ULL);
	CHECK_EQ(mem[0], 3);
	close(go[1]);
	REQUIRE_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	vm_free(vm);
}

TEST(mremap_moves_the_memory_away)
{
	u64 *mem = pages(LEN);
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_CALL(v, poke, AREA, 1ULL);
	REQUIRE(mremap(mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, pages(LEN)) != MAP_FAILED);
	GUEST_START(v, peek, AREA);
	CHECK_EQ(guest_run(v), KEEL_EXIT_MEM_FAULT);
	vm_free(vm);
}

/* ---- swap -------------------------------------------------------------------------- */

static int command(const char *line)
{
	int status = system(line);

	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static bool have_swap(void)
{
	if (!command("grep -q ^/dev/ /proc/swaps"))
		return true;
	command("cd /lib/kvm && for m in zsmalloc lzo lzo-rle zram; do insmod $m.ko; done 2>&-");
	if (command("echo 64M 2>/dev/null >/sys/block/zram0/disksize"))
		return false;
	return !command("mkswap /dev/zram0 >/dev/null 2>&1 && swapon /dev/zram0");
}

static u64 resident(void *mem, u64 len)
{
	static unsigned char vec[512];
	u64 i, n = 0;

	REQUIRE_EQ(mincore(mem, len, vec), 0);
	for (i = 0; i < len / PAGE; i++)
		n += vec[i] & 1;
	return n;
}

TEST(swapped_out_and_in)
{
	void *mem = pages(LEN);
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu *v = &vm->vcpu[0];
	int i;

	if (!have_swap())
		ktap_skip("no swap, and no zram to make some");
	GUEST_CALL(v, fill, AREA, LEN, 0x5a5aULL);
	CHECK_EQ(resident(mem, LEN), LEN / PAGE);
	/*
	 * The first time the pages are young, for the guest has used them; that
	 * is noticed, and forgotten. Then they go: nothing pins them.
	 */
	for (i = 0; i < 3 && resident(mem, LEN); i++)
		REQUIRE_EQ(madvise(mem, LEN, MADV_PAGEOUT), 0);
	CHECK_LE(resident(mem, LEN), LEN / PAGE / 4);
	CHECK_EQ(GUEST_CALL(v, compare, AREA, LEN, 0x5a5aULL), LEN / PAGE);
	CHECK_EQ(resident(mem, LEN), LEN / PAGE);
	vm_free(vm);
}

/* ---- many at once --------------------------------------------------------------------- */

TEST(faults_in_parallel)
{
	u64 *mem = pages(LEN), i;
	struct vm *vm = with_area(mem, LEN, 0);
	struct vcpu_thread *t[4];

	for (i = 0; i < 4; i++) {
		if (i)
			vcpu_new(vm, i);
		GUEST_START(&vm->vcpu[i], add, AREA, LEN, 3ULL);
	}
	for (i = 0; i < 4; i++)
		t[i] = vcpu_spawn(&vm->vcpu[i]);
	for (i = 0; i < 4; i++)
		vcpu_join(t[i]);
	for (i = 0; i < LEN; i += PAGE)
		REQUIRE_EQ(mem[i / 8], 12);
	vm_free(vm);
}
