/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ACPI tables of the launcher's machine. It must not know guest memory or
 * a VM: it fills a buffer that will stand at a given address.
 */
#ifndef KEEL_TOOL_ACPI_H
#define KEEL_TOOL_ACPI_H

#include "util.h"

/* Where the tables start: in the BIOS area, where a guest looks for the RSDP. */
#define ACPI_GPA	0xe0000
#define ACPI_ROOM	0x1f000	/* the last page is for SMBIOS */

/*
 * Build all tables for @nr_cpus CPUs (APIC IDs from 0) into @buf of @room
 * bytes, which the guest will see at @gpa (16-byte aligned). The RSDP is
 * first. Returns the bytes used, 0 if @room is too small.
 */
size_t acpi_build(u8 *buf, size_t room, u32 gpa, unsigned int nr_cpus);

#endif /* KEEL_TOOL_ACPI_H */
