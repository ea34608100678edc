// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of sized structs, as core/call.h checks them, seen from a caller
 * that is older, as old, and newer than the kernel.
 */
#include "core/call.h"
#include "ktap.h"

/* A call in its second version: @added came later. */
struct sample {
	u32 size;
	u32 flags;
	u64 value;
	u32 id;
	u32 reserved;
	u64 added;
};

#define V1_SIZE		offsetof(struct sample, added)

static const struct keel_call call = {
	.min_size = V1_SIZE,
	.size = sizeof(struct sample),
	.flags_mask = 5,
	.reserved_at = offsetof(struct sample, reserved),
	.reserved_len = sizeof_field(struct sample, reserved),
};

static void sizes(void)
{
	u32 size;

	for (size = 0; size < V1_SIZE; size++)
		CHECK_EQ(keel_call_check_size(&call, size), -EINVAL);
	for (; size <= KEEL_CALL_MAX_SIZE; size++)
		CHECK_EQ(keel_call_check_size(&call, size), 0);
	CHECK_EQ(keel_call_check_size(&call, size), -E2BIG);
	CHECK_EQ(keel_call_check_size(&call, U32_MAX), -E2BIG);
}

/* A struct without a first version's size still has its two words. */
static void head_is_needed(void)
{
	struct keel_call tiny = { .min_size = 0, .size = 8 };

	CHECK_EQ(keel_call_check_size(&tiny, 7), -EINVAL);
	CHECK_EQ(keel_call_check_size(&tiny, 8), 0);
}

static void what_is_copied(void)
{
	CHECK_EQ(keel_call_common(&call, V1_SIZE), V1_SIZE);
	CHECK_EQ(keel_call_common(&call, sizeof(struct sample)), sizeof(struct sample));
	CHECK_EQ(keel_call_common(&call, sizeof(struct sample) + 8), sizeof(struct sample));
}

static void flags(void)
{
	struct sample arg = { .size = sizeof(arg) };
	int bit;

	for (bit = 0; bit < 32; bit++) {
		arg.flags = 1U << bit;
		CHECK_EQ(keel_call_check(&call, &arg, sizeof(arg)),
			 arg.flags & 5 ? 0 : -EINVAL);
	}
}

static void reserved_bytes(void)
{
	struct sample arg = { .size = sizeof(arg), .value = ~0ULL, .id = ~0U, .added = ~0ULL };
	u8 *bytes = (u8 *)&arg;
	u32 at;

	CHECK_EQ(keel_call_check(&call, &arg, sizeof(arg)), 0);
	for (at = 0; at < 4; at++) {
		bytes[offsetof(struct sample, reserved) + at] = 0x80;
		CHECK_EQ(keel_call_check(&call, &arg, sizeof(arg)), -EINVAL);
		bytes[offsetof(struct sample, reserved) + at] = 0;
	}
}

/* The caller changes the size between the two copies. */
static void size_is_read_once(void)
{
	struct sample arg = { .size = sizeof(arg) + 8 };

	CHECK_EQ(keel_call_check(&call, &arg, sizeof(arg)), -EINVAL);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(sizes),
		KTAP_TEST(head_is_needed),
		KTAP_TEST(what_is_copied),
		KTAP_TEST(flags),
		KTAP_TEST(reserved_bytes),
		KTAP_TEST(size_is_read_once),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
