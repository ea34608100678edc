// SPDX-License-Identifier: GPL-2.0
/*
 * KEEL_DIRTY_GET and KEEL_MEM_LOG_DIRTY: every refusal, what a refused call leaves
 * alone, and what a log costs. What a log has in it is in guest/dirty.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "libkeel.h"

#define PAGE	4096ULL
#define BASE	0x10000000ULL
#define LOG	KEEL_MEM_LOG_DIRTY

static u64 bitmap[1024];

static int get(struct vm *vm, u64 gpa, u64 len, u64 size)
{
	struct keel_dirty_get arg = {
		.gpa = gpa, .len = len, .bitmap = (unsigned long)bitmap, .bitmap_size = size,
		.count = 77,
	};
	int ret = kcall_sized(vm->fd, KEEL_DIRTY_GET, &arg);

	CHECK_EQ(arg.count, ret == -E2BIG ? 77 : 0);
	return ret;
}

TEST(not_without_the_feature)
{
	struct vm *vm = vm_new(0);
	void *mem = pages(PAGE);

	CHECK_EQ(get(vm, 0, PAGE, 8), -EOPNOTSUPP);
	CHECK_EQ(vm_mem(vm, KEEL_MEM_MAP, LOG, BASE, PAGE, mem), -EOPNOTSUPP);
	CHECK_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, 0, vm->ram_size, NULL), -EOPNOTSUPP);
	CHECK_EQ(vm_mem(vm, KEEL_MEM_UNMAP, LOG, 0, vm->ram_size, NULL), -EOPNOTSUPP);
	vm_free(vm);
}

TEST(bad_ranges)
{
	struct vm *vm = vm_new(VM_DIRTY_LOG);
	u8 *mem = pages(256 * PAGE);
	const struct {
		u64 gpa, len, size;
		int ret;
	} table[] = {
		{ BASE, 128 * PAGE, 16, 0 },
		{ BASE, 128 * PAGE, 8192, 0 },
		{ BASE + 127 * PAGE, PAGE, 8, 0 },
		{ BASE, 1, 8, -EINVAL },
		{ BASE, PAGE + 0x800, 8, -EINVAL },
		{ BASE + 1, PAGE, 8, -EINVAL },
		{ BASE + 0x800, PAGE, 8, -EINVAL },
		{ BASE, 0, 8, -EINVAL },
		{ BASE, -PAGE, -PAGE, -EINVAL },
		{ -PAGE, PAGE, 8, -EINVAL },
		{ -PAGE, 2 * PAGE, 8, -EINVAL },
		/* Whole words, and enough of them. */
		{ BASE, PAGE, 0, -EINVAL },
		{ BASE, PAGE, 1, -EINVAL },
		{ BASE, PAGE, 7, -EINVAL },
		{ BASE, 65 * PAGE, 15, -EINVAL },
		{ BASE, 128 * PAGE, 15, -EINVAL },
		/* Within one slot. */
		{ BASE, 129 * PAGE, 8192, -ENOENT },
		{ BASE + 127 * PAGE, 2 * PAGE, 8192, -ENOENT },
		{ BASE - PAGE, PAGE, 8192, -ENOENT },
		{ BASE - PAGE, 2 * PAGE, 8192, -ENOENT },
		{ BASE + 256 * PAGE, PAGE, 8192, -ENOENT },
		{ 0x8000000000000000, PAGE, 8192, -ENOENT },
		{ BASE, 0x4000000000000000, -1, -ENOENT },
		/* One that is not logged. */
		{ 0, PAGE, 8192, -ENODATA },
		{ BASE + 128 * PAGE, 128 * PAGE, 8192, -ENODATA },
	};
	unsigned int i;

	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, LOG, BASE, 128 * PAGE, mem), 0);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, BASE + 128 * PAGE, 128 * PAGE, mem), 0);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		int ret;

		memset(bitmap, 0x55, sizeof(bitmap));
		ret = get(vm, table[i].gpa, table[i].len, table[i].size);
		CHECK(ret == table[i].ret, "row %u: %d, not %d", i, ret, table[i].ret);
		/* What is refused writes nothing. */
		CHECK(!ret == !bitmap[0], "row %u: %#llx", i, bitmap[0]);
	}
	vm_free(vm);
}

TEST(bad_bitmaps)
{
	struct vm *vm = vm_new(VM_DIRTY_LOG);
	struct keel_dirty_get arg = { .gpa = BASE, .len = 64 * PAGE, .bitmap_size = 8 };
	u8 *mem = pages(64 * PAGE);
	const u64 bad[] = { 0, 1, -8, 0xffff888000000000, 0x8000000000000000 };
	unsigned int i;

	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, LOG, BASE, 64 * PAGE, mem), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		arg.bitmap = bad[i];
		CHECK_EQ(kcall_sized(vm->fd, KEEL_DIRTY_GET, &arg), -EFAULT);
	}
	REQUIRE_EQ(mprotect(mem, PAGE, PROT_READ), 0);
	arg.bitmap = (unsigned long)mem;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_DIRTY_GET, &arg), -EFAULT);
	/* It need not be aligned. */
	arg.bitmap = (unsigned long)bitmap + 3;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_DIRTY_GET, &arg), 0);
	vm_free(vm);
}

static u64 kernel_bytes(void)
{
	struct keel_info info;

	keel_info(&info);
	return info.kernel_bytes;
}

TEST(a_log_is_counted_and_given_back)
{
	struct vm *vm = vm_new(VM_DIRTY_LOG);
	u64 len = 1024 * MIB, bits = len / PAGE / 8, before, i;
	u8 *mem = pages(len);

	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, BASE, len, mem), 0);
	before = kernel_bytes();
	for (i = 0; i < 3; i++) {
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, BASE, len, NULL), 0);
		CHECK_GE(kernel_bytes(), before + bits);
		/* Not a second one for the same slot. */
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG | KEEL_MEM_READONLY, BASE, len, NULL),
			   0);
		CHECK(WAIT_FOR(3000, kernel_bytes() <= before + bits + PAGE));
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, 0, BASE, len, NULL), 0);
		CHECK(WAIT_FOR(3000, kernel_bytes() <= before + PAGE));
	}
	/* With the slot, and with the VM. */
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, BASE, len, NULL), 0);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_UNMAP, 0, BASE, len, NULL), 0);
	CHECK(WAIT_FOR(3000, kernel_bytes() <= before + PAGE));
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, 0, vm->ram_size, NULL), 0);
	vm_free(vm);
	CHECK(WAIT_FOR(3000, kernel_bytes() < before));
}

/* A commit that fails has begun no log, and ended none. */
TEST(all_or_none)
{
	struct vm *vm = vm_new(VM_DIRTY_LOG);
	struct keel_mem_op ops[] = {
		{ .op = KEEL_MEM_PROTECT, .gpa = BASE, .len = PAGE },
		{ .op = KEEL_MEM_PROTECT, .flags = LOG, .gpa = 2 * BASE, .len = PAGE },
		{ .op = KEEL_MEM_PROTECT, .flags = 4, .gpa = BASE, .len = PAGE },
	};
	struct keel_mem_commit arg = { .ops = (unsigned long)ops, .nr = ARRAY_SIZE(ops) };
	u8 *mem = pages(PAGE);

	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, LOG, BASE, PAGE, mem), 0);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, 2 * BASE, PAGE, mem), 0);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg), -EINVAL);
	CHECK_EQ(arg.bad, 2);
	CHECK_EQ(get(vm, BASE, PAGE, 8), 0);
	CHECK_EQ(get(vm, 2 * BASE, PAGE, 8), -ENODATA);
	/* The last word counts. */
	ops[2].flags = LOG;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg), 0);
	CHECK_EQ(get(vm, BASE, PAGE, 8), 0);
	CHECK_EQ(get(vm, 2 * BASE, PAGE, 8), 0);
	vm_free(vm);
}

/* A slot as large as they come: a log, or no memory for one, and no warning. */
TEST(the_largest_slot)
{
	struct vm *vm = vm_new(VM_DIRTY_LOG);
	struct keel_info info;
	u64 len;
	int ret;

	keel_info(&info);
	len = info.gpa_bits > 46 ? 1ULL << 46 : 1ULL << (info.gpa_bits - 1);
	ret = vm_mem(vm, KEEL_MEM_MAP, LOG, len, len, (void *)0x10000);
	CHECK(!ret || ret == -ENOMEM, "%d", ret);
	if (!ret)
		CHECK_EQ(get(vm, 2 * len - PAGE, PAGE, 8), 0);
	CHECK_EQ(get(vm, len, PAGE, 8), ret ? -ENOENT : 0);
	vm_free(vm);
}
