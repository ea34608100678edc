/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The instructions that test_native tries: what their encodings are made of, and which flags
 * they leave undefined. Rows of data; how they are filled in and run is the test's.
 */
#ifndef KEEL_UNIT_EMULATE_FORMS_H
#define KEEL_UNIT_EMULATE_FORMS_H

#include "core/types.h"

#define FL_CF		0x001U
#define FL_PF		0x004U
#define FL_AF		0x010U
#define FL_ZF		0x040U
#define FL_SF		0x080U
#define FL_DF		0x400U
#define FL_OF		0x800U
#define FL_AC		0x40000U
#define FL_ARITH	(FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

#define F_MODRM		0x0001
#define F_IMM8		0x0002
#define F_IMMZ		0x0004
#define F_IMMV		0x0008
#define F_IMM16		0x0010
#define F_LOCKED	0x0020	/* LOCK is allowed */
#define F_MEM		0x0040	/* memory only */
#define F_BITS		0x0080	/* the register is a bit offset */
#define F_SHIFT		0x0100	/* count in imm8, CL or 1: undefined flags depend on it */
#define F_STRING	0x0200
#define F_BYTE		0x0400
#define F_NO66		0x0800
#define F_REP		0x1000	/* F3 is part of the opcode */
#define F_IMM8Z		0x2000	/* a short branch */
#define F_STACK		0x4000
#define F_DIV		0x8000

struct form {
	const char *name;
	u8 map;		/* 0, 1: 0F, 2: 0F 38 */
	u8 op;
	u16 flags;
	s8 ext;		/* ModRM reg, or -1: a register */
	u16 undefined;	/* flags */
	u8 more;	/* opcodes that follow and are of the same form */
};

extern const struct form forms[];
extern const unsigned int nr_forms;

#endif /* KEEL_UNIT_EMULATE_FORMS_H */
