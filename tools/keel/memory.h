/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest RAM: where it lies in the guest and in the launcher. It must not know
 * what is written there, nor how a VM is told.
 */
#ifndef KEEL_TOOL_MEMORY_H
#define KEEL_TOOL_MEMORY_H

#include "util.h"

/* RAM ends here and goes on at 4 GiB; between them are devices. */
#define MEMORY_HOLE	GIB(3)
#define MEMORY_HIGH	GIB(4)
#define MEMORY_MIN	MIB(2)

struct memory {
	u8 *base;		/* @low bytes at GPA 0, then @high at 4 GiB */
	u64 low, high;		/* bytes; @high may be 0 */
};

/* Anonymous, not reserved, huge pages welcome. 0 or -errno. */
int memory_alloc(struct memory *mem, u64 bytes);
void memory_free(struct memory *mem);
/* All of it reads as zero again, and its pages are given back. */
int memory_clear(struct memory *mem);
/* [@gpa, @gpa + @len) in the launcher, or NULL if that is not all RAM. */
void *memory_at(const struct memory *mem, u64 gpa, u64 len);

#endif /* KEEL_TOOL_MEMORY_H */
