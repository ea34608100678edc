// SPDX-License-Identifier: GPL-2.0
// vm_flags of a mapping are changed through helpers.
#include <linux/mm.h>

void keel_probe(struct vm_area_struct *vma);
void keel_probe(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_DONTEXPAND);
}
