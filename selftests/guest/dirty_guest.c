// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of dirty.c: every way to write to memory, and a guest that
 * does not stop writing.
 */
#include "lib/guest/guest.h"

#define PAGE	4096

volatile u64 stop, rounds;

/* One word in each page of the list that the host has put at GUEST_SCRATCH. */
void touch(u64 nr, u64 value)
{
	const u64 *list = (const u64 *)GUEST_SCRATCH;
	u64 i;

	for (i = 0; i < nr; i++)
		*(volatile u64 *)list[i] = value;
}

/* One word in every @step-th page. */
void stripe(u64 gpa, u64 end, u64 step)
{
	for (; gpa < end; gpa += step * PAGE)
		*(volatile u64 *)gpa = gpa;
}

u64 look(u64 gpa, u64 end)
{
	u64 sum = 0;

	for (; gpa < end; gpa += PAGE)
		sum += *(volatile u64 *)gpa;
	return sum;
}

void rep_stos(u64 gpa, u64 len, u64 value)
{
	asm volatile("rep stosb" : "+D"(gpa), "+c"(len) : "a"(value) : "memory");
}

/* From a port: the emulator writes what it reads. */
void rep_ins(u64 gva, u64 len)
{
	asm volatile("rep insb" : "+D"(gva), "+c"(len) : "d"((u16)0x600) : "memory");
}

/* From a device's memory, likewise; and a word that is pushed to a stack of its own. */
void from_device(u64 gpa, u64 stack)
{
	u64 from = GUEST_HOLE, bytes = 16, sp;

	asm volatile("rep movsb" : "+D"(gpa), "+S"(from), "+c"(bytes) : : "memory");
	asm volatile("movq %%rsp, %0\n\t"
		     "movq %1, %%rsp\n\t"
		     "pushq (%2)\n\t"
		     "movq %0, %%rsp"
		     : "=&r"(sp) : "r"(stack), "r"((u64)GUEST_HOLE) : "memory");
}

/*
 * Tables of the area's own behind what is mapped one to one: @dir and @table are
 * pages of it, and @data the first of those that the table maps.
 */
#define VIEW	(4ULL << 30)

void map_view(u64 dir, u64 table, u64 data)
{
	volatile u64 *level3 = (u64 *)(GUEST_TABLES + 0x1000);
	u64 i;

	for (i = 0; i < 512; i++)
		((volatile u64 *)table)[i] = (data + i * PAGE) | 3;
	*(volatile u64 *)dir = table | 3;
	level3[VIEW >> 30] = dir | 3;
	flush_tlb();
}

u64 view_read(u64 page)
{
	flush_tlb();
	return *(volatile u64 *)(VIEW + page * PAGE);
}

void view_write(u64 page)
{
	flush_tlb();
	*(volatile u64 *)(VIEW + page * PAGE) = page;
}

void view_ins(u64 page)
{
	flush_tlb();
	rep_ins(VIEW + page * PAGE, 8);
}

/* Many times to each page in turn, and never again to it: its last write counts. */
void sweep(u64 gpa, u64 end, u64 times)
{
	u64 i;

	for (; gpa < end; gpa += PAGE) {
		for (i = 1; i <= times; i++)
			*(volatile u64 *)(gpa + i % 512 * 8) = gpa + i;
		rounds++;
	}
}

/* Writes all over the area, most often to a few pages, until it is told to stop. */
void scribble(u64 gpa, u64 pages, u64 seed)
{
	u64 z = seed, at;

	while (!stop) {
		z = z * 6364136223846793005ULL + 1442695040888963407ULL;
		at = z >> 33;
		at = at & 1 ? (at >> 1) % pages : (at >> 1) % 64;
		*(volatile u64 *)(gpa + at * PAGE + (z >> 20 & 0xff8)) = z;
		rounds++;
	}
}
