/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rows of the emulator's table test: an encoding, the state before it, and what it does. All
 * numbers are hex.
 *
 * Before:  REG=VALUE  [ADDR]=BYTES  flags=V  cpl=N  am (CR0.AM)  vme
 *          SEG.base= SEG.limit= SEG.attr= SEG.sel=  mmio=V (what devices answer)
 *          pageN=none|ro|rw|mmio
 *          race (a locked write loses)  rip=V  batch=N  nobmi (no TZCNT, LZCNT, POPCNT)
 * After:   REG=VALUE  [ADDR]=BYTES  flags=V (of the arithmetic ones, DF, IF, IOPL)  rip=V
 *          fault=VECTOR[:ERROR[:CR2]]  unknown  retry  more  log=ACCESSES ("r4@101000,w4@101000")
 * What is not named has to be what it was; RIP has to be behind the instruction, or on it after
 * a fault. Memory is four pages at 100000, in real and virtual-8086 mode at 10000; flat
 * segments, but there all at selector 1000.
 */
#ifndef KEEL_UNIT_EMULATE_ROWS_H
#define KEEL_UNIT_EMULATE_ROWS_H

struct row {
	unsigned int mode;
	const char *bytes;
	const char *before;
	const char *after;
};

extern const struct row rows[];
extern const unsigned int nr_rows;

#endif /* KEEL_UNIT_EMULATE_ROWS_H */
