// SPDX-License-Identifier: GPL-2.0
// fpu_copy_guest_fpstate_to_uabi() takes the features to copy.
// needs-export: fpu_copy_guest_fpstate_to_uabi
#include <asm/fpu/api.h>

void keel_probe(struct fpu_guest *fpu, void *buf, unsigned int size);
void keel_probe(struct fpu_guest *fpu, void *buf, unsigned int size)
{
	fpu_copy_guest_fpstate_to_uabi(fpu, buf, size, 0ULL, 0U);
}
