/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the host side and the guest side of a test agree on: where things are
 * in guest memory, and how the guest calls its host. Included by both, so it
 * must not need a header of either.
 */
#ifndef KEEL_SELFTESTS_LAYOUT_H
#define KEEL_SELFTESTS_LAYOUT_H

#define GUEST_RAM_SIZE		0x800000	/* at 0 */
#define GUEST_TABLES		0x10000		/* page tables: 4 GiB, one to one, 2 MiB pages */
#define GUEST_TRAMPOLINE	0x9000		/* start-up vector 9 */
#define GUEST_IMAGE		0x200000
#define GUEST_STACK(cpu)	(0x700000 - (cpu) * 0x10000)
#define GUEST_SCRATCH		0x400000	/* 2 MiB for the test's own use */
#define GUEST_MAX_CPUS		8

#define GUEST_HOLE		0xd0000000	/* no slot, no device */

/* Selectors */
#define GUEST_CS64		0x08
#define GUEST_DS		0x10
#define GUEST_CS32		0x18
#define GUEST_USER_DS		0x20
#define GUEST_USER_CS64		0x28
#define GUEST_TSS(cpu)		(0x40 + (cpu) * 16)

/*
 * A 4-byte OUT to this port is a call: EAX says which, RDI, RSI, RBX and RCX
 * are its arguments.
 */
#define GUEST_PORT		0x4b5
#define GUEST_CALL_DONE		1	/* the function has returned RDI */
#define GUEST_CALL_SYNC		2	/* RDI: stage, RSI, RBX: values */
#define GUEST_CALL_FAIL		3	/* RDI: file, RSI: line, RBX: text, RCX: values[2] */
#define GUEST_CALL_NOTE		4	/* RDI: text, RSI: value */
#define GUEST_CALL_FAULT	5	/* RDI: struct guest_frame *, RSI: CR2 */

#endif /* KEEL_SELFTESTS_LAYOUT_H */
