/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory type ranges as firmware leaves them. It must not know a VM: it
 * fills an array.
 */
#ifndef KEEL_TOOL_MTRR_H
#define KEEL_TOOL_MTRR_H

#include <linux/keel_x86.h>

#include "util.h"

#define MTRR_MSRS	14

/*
 * The MSRs of every CPU: enabled, write-back, uncached where devices are.
 * @phys_bits is the width of a physical address, 33 to 52.
 */
void mtrr_firmware(struct keel_rec_msr msrs[MTRR_MSRS], unsigned int phys_bits);

#endif /* KEEL_TOOL_MTRR_H */
