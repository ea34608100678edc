// SPDX-License-Identifier: GPL-2.0
/*
 * The memory type ranges as firmware leaves them: an operating system that
 * finds them off believes that nobody has set up caching, and does without its
 * own page attributes (PAT). It must not know a VM.
 */
#include <assert.h>

#include "memory.h"
#include "mtrr.h"

#define MTRR_BASE_0	0x200
#define MTRR_MASK_0	0x201
#define MTRR_DEF_TYPE	0x2ff

#define TYPE_UC		0ULL
#define TYPE_WP		5ULL
#define TYPE_WB		6ULL
#define MASK_VALID	BIT(11)
#define DEF_FIXED	BIT(10)
#define DEF_ENABLED	BIT(11)

/* Eight ranges of one type. */
#define ALL(type)	((type) * 0x0101010101010101ULL)

/* The fixed ranges: RAM to 640 KiB, a frame buffer, then ROMs as in shadow RAM. */
static const struct {
	u32 index;
	u64 types;
} fixed[] = {
	{ 0x250, ALL(TYPE_WB) },	/* 00000 */
	{ 0x258, ALL(TYPE_WB) },	/* 80000 */
	{ 0x259, ALL(TYPE_UC) },	/* a0000 */
	{ 0x268, ALL(TYPE_WP) },	/* c0000 */
	{ 0x269, ALL(TYPE_WP) },
	{ 0x26a, ALL(TYPE_WP) },
	{ 0x26b, ALL(TYPE_WP) },
	{ 0x26c, ALL(TYPE_WP) },
	{ 0x26d, ALL(TYPE_WP) },
	{ 0x26e, ALL(TYPE_WP) },
	{ 0x26f, ALL(TYPE_WP) },
};

static_assert(ARRAY_SIZE(fixed) + 3 == MTRR_MSRS, "all of them");
/* One range has the size of its alignment. */
static_assert(MEMORY_HOLE % (MEMORY_HIGH - MEMORY_HOLE) == 0, "the hole is one range");

void mtrr_firmware(struct keel_rec_msr msrs[MTRR_MSRS], unsigned int phys_bits)
{
	u64 mask = (1ULL << phys_bits) - (MEMORY_HIGH - MEMORY_HOLE);
	unsigned int n = 0;

	for (; n < ARRAY_SIZE(fixed); n++)
		msrs[n] = (struct keel_rec_msr){
			.index = fixed[n].index, .value = fixed[n].types,
		};
	msrs[n++] = (struct keel_rec_msr){
		.index = MTRR_BASE_0, .value = MEMORY_HOLE | TYPE_UC,
	};
	msrs[n++] = (struct keel_rec_msr){ .index = MTRR_MASK_0, .value = mask | MASK_VALID };
	msrs[n++] = (struct keel_rec_msr){
		.index = MTRR_DEF_TYPE, .value = DEF_ENABLED | DEF_FIXED | TYPE_WB,
	};
}
