// SPDX-License-Identifier: GPL-2.0
/*
 * The format of Intel's extended page tables.  It owns the meaning of each bit
 * and nothing else.
 */
#include "ept/walk.h"

/*
 * An entry, by bits:
 *    0     R    reads allowed
 *    1     W    writes allowed
 *    2     X    execution allowed
 *    3-5        memory type of a leaf: 6 is write-back
 *    6     IPAT ignore the guest's PAT; not used
 *    7     PS   leaf at 2 MiB and 1 GiB; ignored in a 4 KiB entry
 *    8     A    set by the CPU on a walk, where EPTP switches it on
 *    9     D    set by the CPU on a write, leaf only, likewise
 *   10     XU   user execution under mode-based control: not used
 *   11          available to software: the host page was taken for writing
 *   12-51       host-physical address
 *   52-62       available to software or features that are off
 *   63     SVE  suppress #VE: without meaning while #VE is off
 */
#define EPT_R		BIT_ULL(0)
#define EPT_W		BIT_ULL(1)
#define EPT_X		BIT_ULL(2)
#define EPT_MEMTYPE	GENMASK_ULL(5, 3)
#define EPT_MEMTYPE_WB	(6ULL << 3)
#define EPT_IPAT	BIT_ULL(6)
#define EPT_PS		BIT_ULL(7)
#define EPT_A		BIT_ULL(8)
#define EPT_D		BIT_ULL(9)
#define EPT_XU		BIT_ULL(10)
#define EPT_SW_HOST_W	BIT_ULL(11)
#define EPT_ADDR	GENMASK_ULL(51, 12)

#define EPT_TABLE	(EPT_R | EPT_W | EPT_X)
#define EPT_LEAF	(EPT_R | EPT_MEMTYPE_WB)

static_assert(EPT_TABLE == 0x7);
static_assert(EPT_MEMTYPE == 0x38);
static_assert(EPT_MEMTYPE_WB == 0x30);
static_assert(EPT_IPAT == 0x40);
static_assert(EPT_PS == 0x80);
static_assert(EPT_A == 0x100);
static_assert(EPT_D == 0x200);
static_assert(EPT_XU == 0x400);
static_assert(EPT_SW_HOST_W == 0x800);
static_assert(EPT_ADDR == 0x000ffffffffff000ULL);
/* No bit has two meanings. */
static_assert((EPT_TABLE ^ EPT_MEMTYPE ^ EPT_IPAT ^ EPT_PS ^ EPT_A ^ EPT_D ^ EPT_XU ^
	       EPT_SW_HOST_W ^ EPT_ADDR) ==
	      (EPT_TABLE | EPT_MEMTYPE | EPT_IPAT | EPT_PS | EPT_A | EPT_D | EPT_XU |
	       EPT_SW_HOST_W | EPT_ADDR));
/* What the engine wants: see struct s2_format. */
static_assert(!((EPT_R | EPT_W | EPT_X) & ~GENMASK_ULL(11, 0)));
static_assert(!(EPT_TABLE & EPT_PS));

#define EPT_FORMAT								\
	.level = {								\
		[1] = { .shift = 12, .bits = 9, .leaf = true },			\
		[2] = { .shift = 21, .bits = 9, .leaf = true },			\
		[3] = { .shift = 30, .bits = 9, .leaf = true },			\
		[4] = { .shift = 39, .bits = 9 },				\
		[5] = { .shift = 48, .bits = 9 },				\
	},									\
	.present	= EPT_R | EPT_W | EPT_X,				\
	.table		= EPT_TABLE,						\
	.leaf		= EPT_LEAF,						\
	.large		= EPT_PS,						\
	.write		= EPT_W,						\
	.exec		= EPT_X,						\
	.noexec		= 0,							\
	.addr		= EPT_ADDR,						\
	.memtype	= EPT_MEMTYPE,						\
	.memtype_wb	= EPT_MEMTYPE_WB,					\
	.host_write	= EPT_SW_HOST_W

const struct s2_format ept_format = {
	.name		= "ept",
	EPT_FORMAT,
	.accessed	= EPT_A,
	.dirty		= EPT_D,
};

/* The CPU sets neither bit: they would only ever say what a fault has said. */
const struct s2_format ept_format_no_ad = {
	.name		= "ept",
	EPT_FORMAT,
};
