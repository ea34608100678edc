/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the guest's loops and the driver agree on: where things are in guest
 * memory, vectors and ports. Included by C and assembly, so it needs no header.
 */
#ifndef KEEL_BENCH_GUEST_H
#define KEEL_BENCH_GUEST_H

#define GUEST_RAM	0x200000	/* bytes at 0 */
#define GUEST_GDT	0x1000
#define GUEST_IDT	0x2000
#define GUEST_TABLES	0x10000		/* 4 GiB, one to one, 2 MiB pages */
#define GUEST_CODE	0x100000
#define GUEST_STACK(cpu) (0x180000 + (cpu) * 0x10000)
#define GUEST_SAMPLES	0x1a0000	/* u32 each */
#define GUEST_MAX_SAMPLES 8192

/* What handlers count, u64 each */
#define COUNT_IRQ	0x4000
#define COUNT_WAKE	0x4008		/* CPU 1's */
#define COUNT_FAULT	0x4010		/* exceptions, which nothing here should raise */
#define SPIN_WORD	0x4018

#define GUEST_TOUCH	0x40000000	/* memory that is touched, where a test maps it */
#define GUEST_HOLE	0xd0000000	/* nothing */
#define GUEST_LAPIC	0xfee00000

#define GUEST_CS	0x08
#define GUEST_DS	0x10

#define PORT_DONE	0xe1
#define PORT_FAULT	0xe2
#define PORT_USER	0xe8
#define PORT_DOORBELL	0xe9

#define VEC_IRQ		0x40		/* counts in COUNT_IRQ */
#define VEC_WAKE	0x42		/* counts in COUNT_WAKE */
#define VEC_XAPIC	0x44		/* as VEC_IRQ, with the xAPIC's EOI */

#endif /* KEEL_BENCH_GUEST_H */
