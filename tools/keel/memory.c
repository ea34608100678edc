// SPDX-License-Identifier: GPL-2.0
/*
 * Guest RAM as one anonymous mapping, cut in two at the device hole. It must
 * not know what is written there, nor how a VM is told.
 */
#include <errno.h>
#include <sys/mman.h>

#include "memory.h"

#define HUGE_PAGE	MIB(2)

int memory_alloc(struct memory *mem, u64 bytes)
{
	u64 lead;
	u8 *p;

	if (bytes > GIB(1ULL << 20))
		return -ENOMEM;
	/* A huge page in the guest wants a huge page here: align the start. */
	p = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	lead = align_up((u64)p, HUGE_PAGE) - (u64)p;
	if (lead)
		munmap(p, lead);
	if (lead < HUGE_PAGE)
		munmap(p + lead + bytes, HUGE_PAGE - lead);
	p += lead;
	/* Without THP, or without core dumps, these fail: nothing is lost. */
	madvise(p, bytes, MADV_HUGEPAGE);
	madvise(p, bytes, MADV_DONTDUMP);
	mem->base = p;
	mem->low = bytes < MEMORY_HOLE ? bytes : MEMORY_HOLE;
	mem->high = bytes - mem->low;
	return 0;
}

void memory_free(struct memory *mem)
{
	if (mem->base)
		munmap(mem->base, mem->low + mem->high);
	*mem = (struct memory){ 0 };
}

int memory_clear(struct memory *mem)
{
	return madvise(mem->base, mem->low + mem->high, MADV_DONTNEED) ? -errno : 0;
}

void *memory_at(const struct memory *mem, u64 gpa, u64 len)
{
	if (gpa < mem->low && len <= mem->low - gpa)
		return mem->base + gpa;
	if (gpa < MEMORY_HIGH)
		return NULL;
	gpa -= MEMORY_HIGH;
	if (gpa < mem->high && len <= mem->high - gpa)
		return mem->base + mem->low + gpa;
	return NULL;
}
