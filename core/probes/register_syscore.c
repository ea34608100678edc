// SPDX-License-Identifier: GPL-2.0
// Suspend callbacks as struct syscore, in place of struct syscore_ops.
// needs-export: register_syscore
#include <linux/syscore_ops.h>

void keel_probe(struct syscore *s);
void keel_probe(struct syscore *s)
{
	register_syscore(s);
}
