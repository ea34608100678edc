/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rules of the ABI's sized structs, as pure checks over one row of a call
 * table: how much to copy, which bits are known, what must be zero.  It must
 * not know user memory or what a call does: core/dev.c copies and dispatches.
 */
#ifndef KEEL_CORE_CALL_H
#define KEEL_CORE_CALL_H

#include "core/pure.h"

/* Every struct begins with these two words. */
struct keel_call_head {
	u32 size;
	u32 flags;
};

#define KEEL_CALL_MAX_SIZE	4096	/* no struct of the ABI will grow beyond this */

/* One call's struct. */
struct keel_call {
	u32 min_size;		/* of its first version: what a caller must at least know */
	u32 size;		/* what this kernel knows */
	u32 flags_mask;		/* known bits of flags */
	u16 reserved_at;	/* first byte of the reserved field, 0: none */
	u16 reserved_len;
};

/*
 * The struct says it has @usize bytes: 0, -EINVAL: shorter than the call's
 * first version, -E2BIG: longer than any version may become.
 */
static inline int keel_call_check_size(const struct keel_call *call, u32 usize)
{
	if (usize < sizeof(struct keel_call_head) || usize < call->min_size)
		return -EINVAL;
	if (usize > KEEL_CALL_MAX_SIZE)
		return -E2BIG;
	return 0;
}

/* Bytes to copy, in and out; what is beyond must be zero on the way in. */
static inline u32 keel_call_common(const struct keel_call *call, u32 usize)
{
	return min(usize, call->size);
}

/*
 * @arg is the kernel's copy: call->size bytes, zero where the caller's ended.
 * @usize is the size that was checked; the copy must still say the same.
 */
static inline int keel_call_check(const struct keel_call *call, const void *arg, u32 usize)
{
	const struct keel_call_head *head = arg;
	const u8 *reserved = (const u8 *)arg + call->reserved_at;
	u32 i;

	if (head->size != usize)
		return -EINVAL;
	if (head->flags & ~call->flags_mask)
		return -EINVAL;
	for (i = 0; call->reserved_at && i < call->reserved_len; i++)
		if (reserved[i])
			return -EINVAL;
	return 0;
}

#endif /* KEEL_CORE_CALL_H */
