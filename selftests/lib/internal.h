/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of libkeel share and tests do not see.
 */
#ifndef KEEL_SELFTESTS_INTERNAL_H
#define KEEL_SELFTESTS_INTERNAL_H

#include "libkeel.h"

/* Unmap the run page and close the fd of a vCPU. */
void vcpu_drop(struct vcpu *v);

#endif /* KEEL_SELFTESTS_INTERNAL_H */
