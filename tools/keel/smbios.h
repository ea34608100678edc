/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The SMBIOS tables of the launcher's machine: who made it. It must not know
 * guest memory or a VM: it fills a buffer that will stand at a given address.
 */
#ifndef KEEL_TOOL_SMBIOS_H
#define KEEL_TOOL_SMBIOS_H

#include "util.h"

/* Where a guest looks for the entry point: 16-byte steps from 0xf0000 on. */
#define SMBIOS_GPA	0xff000
#define SMBIOS_ROOM	0x1000

/*
 * Build the entry point (64-bit, version 3) and the tables into @buf of @room
 * bytes, which the guest will see at @gpa (16-byte aligned). Returns the bytes
 * used, 0 if @room is too small.
 */
size_t smbios_build(u8 *buf, size_t room, u32 gpa);

#endif /* KEEL_TOOL_SMBIOS_H */
