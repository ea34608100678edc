// SPDX-License-Identifier: GPL-2.0
/*
 * KEEL_MEM_COMMIT: every refusal names the operation to blame and leaves the
 * map as it was; what is applied is applied as a whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "libkeel.h"

#define PAGE	4096ULL
#define BASE	0x10000000ULL

static u8 *mem;

static int commit(struct vm *vm, struct keel_mem_op *ops, u32 nr, u32 *bad)
{
	struct keel_mem_commit arg = { .ops = (unsigned long)ops, .nr = nr, .bad = 77 };
	int ret = kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg);

	*bad = arg.bad;
	return ret;
}

static struct keel_mem_op map(u64 gpa, u64 len)
{
	struct keel_mem_op op = {
		.op = KEEL_MEM_MAP, .gpa = gpa, .len = len, .hva = (unsigned long)mem,
	};

	return op;
}

static struct keel_mem_op unmap(u64 gpa, u64 len)
{
	struct keel_mem_op op = { .op = KEEL_MEM_UNMAP, .gpa = gpa, .len = len };

	return op;
}

/* Is exactly [BASE, BASE + len) a slot? Finding out changes nothing. */
static bool slot_is(struct vm *vm, u64 gpa, u64 len)
{
	return !vm_mem(vm, KEEL_MEM_PROTECT, 0, gpa, len, NULL);
}

TEST(bad_operations)
{
	struct keel_info info;
	struct vm *vm = vm_new(0);
	u32 bad;

	keel_info(&info);
	mem = pages(16 * PAGE);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, BASE, 4 * PAGE, mem), 0);

	const u64 top = 1ULL << info.gpa_bits, user = (unsigned long)mem;
	const struct {
		struct keel_mem_op op;
		int ret;
	} table[] = {
		{ { 0, 0, 2 * BASE, PAGE, user }, -EINVAL },
		{ { 4, 0, 2 * BASE, PAGE, user }, -EINVAL },
		{ { 0xffffffff, 0, 2 * BASE, PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 4, 2 * BASE, PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, KEEL_MEM_LOG_DIRTY | 4, 2 * BASE, PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, KEEL_MEM_LOG_DIRTY, 2 * BASE, PAGE, user }, -EOPNOTSUPP },
		{ { KEEL_MEM_MAP, 1U << 31, 2 * BASE, PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE, 0, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE + 1, PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE + 0x800, PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE, PAGE + 1, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE, 0x800, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE, PAGE, user + 1 }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE, PAGE, user + 0x800 }, -EINVAL },
		/* Wrapping, in each of the two spaces. */
		{ { KEEL_MEM_MAP, 0, -PAGE, 2 * PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, -PAGE, PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, PAGE, -PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE, 2 * PAGE, -PAGE }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE, -2 * PAGE, user }, -EINVAL },
		/* Beyond what there is. */
		{ { KEEL_MEM_MAP, 0, top, PAGE, user }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, top - PAGE, 2 * PAGE, user }, -EINVAL },
		/* Not user memory. */
		{ { KEEL_MEM_MAP, 0, 2 * BASE, PAGE, 0xffff888000000000 }, -EINVAL },
		{ { KEEL_MEM_MAP, 0, 2 * BASE, PAGE, 0x8000000000000000 }, -EINVAL },
		/* Overlap in every way. */
		{ { KEEL_MEM_MAP, 0, BASE, 4 * PAGE, user }, -EEXIST },
		{ { KEEL_MEM_MAP, 0, BASE, PAGE, user }, -EEXIST },
		{ { KEEL_MEM_MAP, 0, BASE + PAGE, PAGE, user }, -EEXIST },
		{ { KEEL_MEM_MAP, 0, BASE + 3 * PAGE, 2 * PAGE, user }, -EEXIST },
		{ { KEEL_MEM_MAP, 0, BASE - PAGE, 2 * PAGE, user }, -EEXIST },
		{ { KEEL_MEM_MAP, 0, BASE - PAGE, 6 * PAGE, user }, -EEXIST },
		{ { KEEL_MEM_MAP, 0, 0, PAGE, user }, -EEXIST },
		/* No such slot: another length, another start, a part of one. */
		{ { KEEL_MEM_UNMAP, 0, 2 * BASE, PAGE, 0 }, -ENOENT },
		{ { KEEL_MEM_UNMAP, 0, BASE, PAGE, 0 }, -ENOENT },
		{ { KEEL_MEM_UNMAP, 0, BASE, 5 * PAGE, 0 }, -ENOENT },
		{ { KEEL_MEM_UNMAP, 0, BASE + PAGE, 3 * PAGE, 0 }, -ENOENT },
		{ { KEEL_MEM_PROTECT, KEEL_MEM_READONLY, BASE, PAGE, 0 }, -ENOENT },
		{ { KEEL_MEM_UNMAP, 0, BASE, 4 * PAGE, user }, -EINVAL },
		{ { KEEL_MEM_UNMAP, KEEL_MEM_READONLY, BASE, 4 * PAGE, 0 }, -EINVAL },
		{ { KEEL_MEM_UNMAP, 0, BASE, 0, 0 }, -EINVAL },
		{ { KEEL_MEM_UNMAP, 0, BASE + 1, 4 * PAGE, 0 }, -EINVAL },
		{ { KEEL_MEM_PROTECT, 4, BASE, 4 * PAGE, 0 }, -EINVAL },
		{ { KEEL_MEM_PROTECT, KEEL_MEM_LOG_DIRTY, BASE, 4 * PAGE, 0 }, -EOPNOTSUPP },
		{ { KEEL_MEM_PROTECT, 0, BASE, 4 * PAGE, user }, -EINVAL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct keel_mem_op op = table[i].op, two[2] = { map(3 * BASE, PAGE), op };
		int ret = commit(vm, &op, 1, &bad);

		CHECK(ret == table[i].ret && bad == 0, "row %u: %d, not %d; bad %u", i, ret,
		      table[i].ret, bad);
		/* Behind a good one: that is not done either. */
		ret = commit(vm, two, 2, &bad);
		CHECK(ret == table[i].ret && bad == 1, "row %u as the second: %d, not %d; bad %u",
		      i, ret, table[i].ret, bad);
		REQUIRE(!slot_is(vm, 3 * BASE, PAGE), "row %u", i);
		REQUIRE(slot_is(vm, BASE, 4 * PAGE), "row %u", i);
	}
	vm_free(vm);
}

TEST(the_list_itself)
{
	struct keel_mem_op op;
	struct keel_mem_commit arg = { .ops = (unsigned long)&op, .nr = 0 };
	struct vm *vm = vm_new(0);

	mem = pages(PAGE);
	op = map(BASE, PAGE);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg), -EINVAL);
	arg.nr = 4097;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg), -EINVAL);
	arg.nr = 0xffffffff;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg), -EINVAL);
	arg.nr = 1;
	arg.ops = 0;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg), -EFAULT);
	arg.ops = 0xffff888000000000;
	CHECK_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg), -EFAULT);
	/* The second half of the list is not there. */
	arg.ops = (unsigned long)mem + PAGE - sizeof(op);
	arg.nr = 2;
	memcpy((void *)(unsigned long)arg.ops, &op, sizeof(op));
	munmap(mem + PAGE, PAGE);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_MEM_COMMIT, &arg), -EFAULT);
	CHECK(!slot_is(vm, BASE, PAGE));
	vm_free(vm);
}

TEST(order_within_a_commit)
{
	struct vm *vm = vm_new(0);
	struct keel_mem_op ops[6];
	u32 bad;

	mem = pages(16 * PAGE);
	/* Each stands on the one before. */
	ops[0] = map(BASE, PAGE);
	ops[1] = map(BASE + PAGE, PAGE);
	ops[2] = unmap(BASE, PAGE);
	ops[3] = map(BASE, PAGE);
	ops[4] = unmap(BASE + PAGE, PAGE);
	CHECK_EQ(commit(vm, ops, 5, &bad), 0);
	CHECK(slot_is(vm, BASE, PAGE));
	CHECK(!slot_is(vm, BASE + PAGE, PAGE));

	/* A swap that fails in the middle leaves the old map. */
	ops[0] = unmap(BASE, PAGE);
	ops[1] = map(BASE, 2 * PAGE);
	ops[2] = map(BASE + PAGE, PAGE);
	ops[3] = unmap(7 * BASE, PAGE);
	CHECK_EQ(commit(vm, ops, 4, &bad), -EEXIST);
	CHECK_EQ(bad, 2);
	CHECK(slot_is(vm, BASE, PAGE));
	CHECK(!slot_is(vm, BASE, 2 * PAGE));
	vm_free(vm);
}

TEST(as_many_slots_as_info_says)
{
	struct keel_mem_op *ops = calloc(4096, sizeof(*ops));
	struct vm *vm = vm_new(0);
	struct keel_info info;
	u32 i, bad, room;

	keel_info(&info);
	REQUIRE(info.max_slots >= 32 && info.max_slots <= 4095);
	mem = pages(PAGE);
	room = info.max_slots - 1;	/* one is the RAM */
	for (i = 0; i <= room; i++)
		ops[i] = map(BASE + i * 2 * PAGE, PAGE);
	CHECK_EQ(commit(vm, ops, room + 1, &bad), -ENOSPC);
	CHECK_EQ(bad, room);
	CHECK(!slot_is(vm, BASE, PAGE));
	CHECK_EQ(commit(vm, ops, room, &bad), 0);
	CHECK_EQ(commit(vm, ops + room, 1, &bad), -ENOSPC);
	CHECK(slot_is(vm, BASE + (room - 1) * 2 * PAGE, PAGE));
	for (i = 0; i < room; i++)
		ops[i] = unmap(BASE + i * 2 * PAGE, PAGE);
	CHECK_EQ(commit(vm, ops, room, &bad), 0);
	vm_free(vm);
}

/* The highest page that a guest can address, and a map of the whole space. */
TEST(the_whole_space)
{
	struct vm *vm = vm_new(0);
	struct keel_info info;
	u64 top;

	keel_info(&info);
	REQUIRE(info.gpa_bits >= 36 && info.gpa_bits <= 52);
	top = 1ULL << info.gpa_bits;
	mem = pages(PAGE);
	CHECK_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, top - PAGE, PAGE, mem), 0);
	CHECK_EQ(vm_mem(vm, KEEL_MEM_UNMAP, 0, top - PAGE, PAGE, NULL), 0);
	vm_free(vm);
}
