// SPDX-License-Identifier: GPL-2.0
/*
 * The format of AMD's nested page tables: the long-mode page table, read by the
 * CPU as if every guest access were a user's.  It owns the meaning of each bit
 * and nothing else.
 */
#include "ept/walk.h"

/*
 * An entry, by bits:
 *    0     P    present
 *    1     RW   writes allowed (here and at every level above)
 *    2     US   user: without it no guest access passes at all
 *    3, 4  PWT, PCD: with PAT the memory type; all clear is PAT entry 0, write-back
 *    5     A    set by the CPU on a walk, at every level
 *    6     D    set by the CPU on a write, leaf only
 *    7     PS   leaf at 2 MiB and 1 GiB; in a 4 KiB entry it is PAT
 *    8     G    global: without meaning in nested tables, not used
 *    9-10       available to software, not used
 *   11          available to software: the host page was taken for writing
 *   12     PAT  in a large leaf; else the address's lowest bit
 *   12-51       host-physical address; the memory-encryption bit is one of them
 *   52-58       available to software, not used
 *   59-62       protection key: without meaning in nested tables, not used
 *   63     NX   no execution (the host runs with EFER.NXE)
 */
#define NPT_P		BIT_ULL(0)
#define NPT_RW		BIT_ULL(1)
#define NPT_US		BIT_ULL(2)
#define NPT_PWT		BIT_ULL(3)
#define NPT_PCD		BIT_ULL(4)
#define NPT_A		BIT_ULL(5)
#define NPT_D		BIT_ULL(6)
#define NPT_PS		BIT_ULL(7)
#define NPT_G		BIT_ULL(8)
#define NPT_SW_HOST_W	BIT_ULL(11)
#define NPT_ADDR	GENMASK_ULL(51, 12)
#define NPT_NX		BIT_ULL(63)

/* A is set at once in tables: the CPU would write each of them one time more. */
#define NPT_TABLE	(NPT_P | NPT_RW | NPT_US | NPT_A)
#define NPT_LEAF	(NPT_P | NPT_US)

static_assert(NPT_P == 0x1);
static_assert(NPT_RW == 0x2);
static_assert(NPT_US == 0x4);
static_assert((NPT_PWT | NPT_PCD) == 0x18);
static_assert(NPT_A == 0x20);
static_assert(NPT_D == 0x40);
static_assert(NPT_PS == 0x80);
static_assert(NPT_G == 0x100);
static_assert(NPT_SW_HOST_W == 0x800);
static_assert(NPT_ADDR == 0x000ffffffffff000ULL);
static_assert(NPT_NX == 0x8000000000000000ULL);
/* No bit has two meanings. */
static_assert((NPT_P ^ NPT_RW ^ NPT_US ^ NPT_PWT ^ NPT_PCD ^ NPT_A ^ NPT_D ^ NPT_PS ^ NPT_G ^
	       NPT_SW_HOST_W ^ NPT_ADDR ^ NPT_NX) ==
	      (NPT_P | NPT_RW | NPT_US | NPT_PWT | NPT_PCD | NPT_A | NPT_D | NPT_PS | NPT_G |
	       NPT_SW_HOST_W | NPT_ADDR | NPT_NX));
/* What the engine wants: see struct s2_format. */
static_assert(!(NPT_P & ~GENMASK_ULL(11, 0)));
static_assert(!(NPT_TABLE & (NPT_PS | NPT_NX | NPT_G)));

const struct s2_format npt_format = {
	.name		= "npt",
	.level = {
		[1] = { .shift = 12, .bits = 9, .leaf = true },
		[2] = { .shift = 21, .bits = 9, .leaf = true },
		[3] = { .shift = 30, .bits = 9, .leaf = true },
		[4] = { .shift = 39, .bits = 9 },
		[5] = { .shift = 48, .bits = 9 },
	},
	.present	= NPT_P,
	.table		= NPT_TABLE,
	.leaf		= NPT_LEAF,
	.large		= NPT_PS,
	.write		= NPT_RW,
	.exec		= 0,
	.noexec		= NPT_NX,
	.accessed	= NPT_A,
	.dirty		= NPT_D,
	.addr		= NPT_ADDR,
	.memtype	= NPT_PWT | NPT_PCD,
	.memtype_wb	= 0,
	.host_write	= NPT_SW_HOST_W,
};
