// SPDX-License-Identifier: GPL-2.0
/*
 * The opcode tables: for each opcode its handler, operands, immediate and rules. A row without
 * a handler gives the length of an instruction that is not executed here; a hole gives not even
 * that. It owns what the emulator knows; it must hold no code.
 */
#include "emulate/internal.h"

#define X(fn, d, s, fl)		{ .exec = exec_##fn, .flags = (fl), .dst = (d), .src = (s) }
#define XA(fn, d, s, fl, a) \
	{ .exec = exec_##fn, .flags = (fl), .dst = (d), .src = (s), .aux = (a) }
#define M		OP_MODRM
#define B		OP_BYTE
#define L		OP_LOCK
#define HOLE		{ .flags = OP_HOLE }
#define UD		{ .flags = OP_UD }
#define LEN(fl)		{ .flags = (fl) }	/* the length, and no more */
#define PFX(p)		{ .flags = OP_PREFIX, .aux = PFX_##p }
#define GROUP(g)	{ .flags = OP_GROUP | M, .aux = (g) }
#define BYPFX(t)	{ .flags = OP_BYPFX, .aux = (t) }

enum {
	G_80, G_81, G_83, G_8F, G_C6, G_C7, G_F6, G_F7, G_FE, G_FF, G_BA,
	G_0FC7, G_0FC7_REP, G_0FAE, G_0FAE_66,
	NR_GROUPS
};

enum { P_BC, P_BD, P_B8, P_C3, P_C7, P_AE, P_38F0, P_38F1, NR_BYPFX };

/* The two-operand operations, by operand form */
#define RM_REG(op, fl)	XA(alu, O_RM, O_REG, M | (fl), ALU_##op)
#define REG_RM(op, fl)	XA(alu, O_REG, O_RM, M | (fl), ALU_##op)
#define ACC_IMM(op, fl)	XA(alu, O_ACC, O_IMM, fl, ALU_##op)
#define RM_IMM(op, fl)	XA(alu, O_RM, O_IMM, M | (fl), ALU_##op)

#define SHIFT(src, fl)	X(shift, O_RM, src, M | (fl))
#define STR(s, fl)	XA(string, O_NONE, O_NONE, fl, STR_##s)
#define PUSHS(seg, fl)	XA(push_sreg, O_NONE, O_NONE, OP_D64 | (fl), KEEL_SEG_##seg)
#define FLAG(f)		XA(flag, O_NONE, O_NONE, 0, FLG_##f)
#define SHORT_JCC	X(jcc, O_NONE, O_IMM, OP_F64 | IMM_8S)
#define NEAR_JCC	X(jcc, O_NONE, O_IMM, OP_F64 | IMM_Z)
#define LOOP		X(loop, O_NONE, O_IMM, OP_F64 | IMM_8S)

const struct emul_op emul_map_one[256] = {
	[0x00] = RM_REG(ADD, B | L),
	[0x01] = RM_REG(ADD, L),
	[0x02] = REG_RM(ADD, B),
	[0x03] = REG_RM(ADD, 0),
	[0x04] = ACC_IMM(ADD, B | IMM_8S),
	[0x05] = ACC_IMM(ADD, IMM_Z),
	[0x06] = PUSHS(ES, OP_NO64),
	[0x07] = LEN(OP_NO64),
	[0x08] = RM_REG(OR, B | L),
	[0x09] = RM_REG(OR, L),
	[0x0a] = REG_RM(OR, B),
	[0x0b] = REG_RM(OR, 0),
	[0x0c] = ACC_IMM(OR, B | IMM_8S),
	[0x0d] = ACC_IMM(OR, IMM_Z),
	[0x0e] = PUSHS(CS, OP_NO64),
	[0x0f] = HOLE,				/* the maps of two bytes and more */
	[0x10] = RM_REG(ADC, B | L),
	[0x11] = RM_REG(ADC, L),
	[0x12] = REG_RM(ADC, B),
	[0x13] = REG_RM(ADC, 0),
	[0x14] = ACC_IMM(ADC, B | IMM_8S),
	[0x15] = ACC_IMM(ADC, IMM_Z),
	[0x16] = PUSHS(SS, OP_NO64),
	[0x17] = LEN(OP_NO64),
	[0x18] = RM_REG(SBB, B | L),
	[0x19] = RM_REG(SBB, L),
	[0x1a] = REG_RM(SBB, B),
	[0x1b] = REG_RM(SBB, 0),
	[0x1c] = ACC_IMM(SBB, B | IMM_8S),
	[0x1d] = ACC_IMM(SBB, IMM_Z),
	[0x1e] = PUSHS(DS, OP_NO64),
	[0x1f] = LEN(OP_NO64),
	[0x20] = RM_REG(AND, B | L),
	[0x21] = RM_REG(AND, L),
	[0x22] = REG_RM(AND, B),
	[0x23] = REG_RM(AND, 0),
	[0x24] = ACC_IMM(AND, B | IMM_8S),
	[0x25] = ACC_IMM(AND, IMM_Z),
	[0x26] = PFX(SEG_ES),
	[0x27] = LEN(OP_NO64),
	[0x28] = RM_REG(SUB, B | L),
	[0x29] = RM_REG(SUB, L),
	[0x2a] = REG_RM(SUB, B),
	[0x2b] = REG_RM(SUB, 0),
	[0x2c] = ACC_IMM(SUB, B | IMM_8S),
	[0x2d] = ACC_IMM(SUB, IMM_Z),
	[0x2e] = PFX(SEG_CS),
	[0x2f] = LEN(OP_NO64),
	[0x30] = RM_REG(XOR, B | L),
	[0x31] = RM_REG(XOR, L),
	[0x32] = REG_RM(XOR, B),
	[0x33] = REG_RM(XOR, 0),
	[0x34] = ACC_IMM(XOR, B | IMM_8S),
	[0x35] = ACC_IMM(XOR, IMM_Z),
	[0x36] = PFX(SEG_SS),
	[0x37] = LEN(OP_NO64),
	[0x38] = RM_REG(CMP, B),
	[0x39] = RM_REG(CMP, 0),
	[0x3a] = REG_RM(CMP, B),
	[0x3b] = REG_RM(CMP, 0),
	[0x3c] = ACC_IMM(CMP, B | IMM_8S),
	[0x3d] = ACC_IMM(CMP, IMM_Z),
	[0x3e] = PFX(SEG_DS),
	[0x3f] = LEN(OP_NO64),

	/* in long mode these are REX */
	[0x40 ... 0x47] = XA(unary, O_OREG, O_NONE, 0, UN_INC),
	[0x48 ... 0x4f] = XA(unary, O_OREG, O_NONE, 0, UN_DEC),

	[0x50 ... 0x57] = X(push, O_NONE, O_OREG, OP_D64),
	[0x58 ... 0x5f] = X(pop, O_OREG, O_NONE, OP_D64),
	[0x60] = X(pusha, O_NONE, O_NONE, OP_NO64),
	[0x61] = X(popa, O_NONE, O_NONE, OP_NO64),
	[0x62] = HOLE,				/* BOUND, EVEX */
	[0x63] = XA(movsxd, O_REG, O_RM, M, 4),	/* outside long mode ARPL */
	[0x64] = PFX(SEG_FS),
	[0x65] = PFX(SEG_GS),
	[0x66] = PFX(OPSZ),
	[0x67] = PFX(ADSZ),
	[0x68] = X(push, O_NONE, O_IMM, OP_D64 | IMM_Z),
	[0x69] = X(imul, O_REG, O_IMM, M | IMM_Z),
	[0x6a] = X(push, O_NONE, O_IMM, OP_D64 | IMM_8S),
	[0x6b] = X(imul, O_REG, O_IMM, M | IMM_8S),
	[0x6c] = STR(INS, B),
	[0x6d] = STR(INS, 0),
	[0x6e] = STR(OUTS, B),
	[0x6f] = STR(OUTS, 0),
	[0x70 ... 0x7f] = SHORT_JCC,

	[0x80] = GROUP(G_80),
	[0x81] = GROUP(G_81),
	[0x82] = { .flags = OP_GROUP | M | OP_NO64, .aux = G_80 },
	[0x83] = GROUP(G_83),
	[0x84] = X(test, O_RM, O_REG, M | B),
	[0x85] = X(test, O_RM, O_REG, M),
	[0x86] = X(xchg, O_RM, O_REG, M | B | L),
	[0x87] = X(xchg, O_RM, O_REG, M | L),
	[0x88] = X(mov, O_RM, O_REG, M | B),
	[0x89] = X(mov, O_RM, O_REG, M),
	[0x8a] = X(mov, O_REG, O_RM, M | B),
	[0x8b] = X(mov, O_REG, O_RM, M),
	[0x8c] = X(mov_from_sreg, O_RM, O_SREG, M),
	[0x8d] = X(lea, O_REG, O_RM, M | OP_MEM),
	[0x8e] = LEN(M),			/* MOV to a segment register */
	[0x8f] = GROUP(G_8F),

	[0x90 ... 0x97] = X(xchg, O_ACC, O_OREG, 0),	/* the first is NOP and PAUSE */
	[0x98] = X(cbw, O_ACC, O_NONE, 0),
	[0x99] = X(cwd, O_NONE, O_NONE, 0),
	[0x9a] = LEN(OP_NO64 | IMM_FAR),	/* far CALL */
	[0x9b] = LEN(0),			/* FWAIT */
	[0x9c] = X(pushf, O_NONE, O_NONE, OP_D64),
	[0x9d] = X(popf, O_NONE, O_NONE, OP_D64),
	[0x9e] = FLAG(SAHF),
	[0x9f] = X(lahf, O_NONE, O_NONE, 0),

	[0xa0] = X(mov, O_ACC, O_RM, B | IMM_MOFFS),
	[0xa1] = X(mov, O_ACC, O_RM, IMM_MOFFS),
	[0xa2] = X(mov, O_RM, O_ACC, B | IMM_MOFFS),
	[0xa3] = X(mov, O_RM, O_ACC, IMM_MOFFS),
	[0xa4] = STR(MOVS, B),
	[0xa5] = STR(MOVS, 0),
	[0xa6] = STR(CMPS, B),
	[0xa7] = STR(CMPS, 0),
	[0xa8] = X(test, O_ACC, O_IMM, B | IMM_8S),
	[0xa9] = X(test, O_ACC, O_IMM, IMM_Z),
	[0xaa] = STR(STOS, B),
	[0xab] = STR(STOS, 0),
	[0xac] = STR(LODS, B),
	[0xad] = STR(LODS, 0),
	[0xae] = STR(SCAS, B),
	[0xaf] = STR(SCAS, 0),

	[0xb0 ... 0xb7] = X(mov, O_OREG, O_IMM, B | IMM_8S),
	[0xb8 ... 0xbf] = X(mov, O_OREG, O_IMM, IMM_V),
	[0xc0] = SHIFT(O_IMM, B | IMM_8U),
	[0xc1] = SHIFT(O_IMM, IMM_8U),
	[0xc2] = X(ret, O_NONE, O_IMM, OP_F64 | IMM_16),
	[0xc3] = X(ret, O_NONE, O_NONE, OP_F64),
	[0xc4 ... 0xc5] = HOLE,			/* LES, LDS, VEX */
	[0xc6] = GROUP(G_C6),
	[0xc7] = GROUP(G_C7),
	[0xc8] = X(enter, O_NONE, O_IMM, OP_D64 | IMM_16_8),
	[0xc9] = X(leave, O_NONE, O_NONE, OP_D64),
	[0xca] = LEN(IMM_16),			/* far RET */
	[0xcb] = LEN(0),
	[0xcc] = LEN(0),			/* INT3 */
	[0xcd] = LEN(IMM_8U),			/* INT */
	[0xce] = LEN(OP_NO64),			/* INTO */
	[0xcf] = LEN(0),			/* IRET */

	[0xd0] = SHIFT(O_ONE, B),
	[0xd1] = SHIFT(O_ONE, 0),
	[0xd2] = SHIFT(O_CL, B),
	[0xd3] = SHIFT(O_CL, 0),
	[0xd4 ... 0xd5] = LEN(OP_NO64 | IMM_8U),	/* AAM, AAD */
	[0xd6] = LEN(OP_NO64),
	[0xd7] = X(xlat, O_ACC, O_NONE, B),
	[0xd8 ... 0xdf] = LEN(M),		/* x87 */
	[0xe0 ... 0xe3] = LOOP,
	[0xe4] = X(in, O_ACC, O_IMM, B | IMM_8U),
	[0xe5] = X(in, O_ACC, O_IMM, IMM_8U),
	[0xe6] = X(out, O_NONE, O_IMM, B | IMM_8U),
	[0xe7] = X(out, O_NONE, O_IMM, IMM_8U),
	[0xe8] = X(call, O_NONE, O_IMM, OP_F64 | IMM_Z),
	[0xe9] = X(jmp, O_NONE, O_IMM, OP_F64 | IMM_Z),
	[0xea] = LEN(OP_NO64 | IMM_FAR),	/* far JMP */
	[0xeb] = X(jmp, O_NONE, O_IMM, OP_F64 | IMM_8S),
	[0xec] = X(in, O_ACC, O_NONE, B),
	[0xed] = X(in, O_ACC, O_NONE, 0),
	[0xee] = X(out, O_NONE, O_NONE, B),
	[0xef] = X(out, O_NONE, O_NONE, 0),

	[0xf0] = PFX(LOCK),
	[0xf1] = LEN(0),			/* INT1 */
	[0xf2] = PFX(REPNE),
	[0xf3] = PFX(REP),
	[0xf4] = LEN(0),			/* HLT */
	[0xf5] = FLAG(CMC),
	[0xf6] = GROUP(G_F6),
	[0xf7] = GROUP(G_F7),
	[0xf8] = FLAG(CLC),
	[0xf9] = FLAG(STC),
	[0xfa ... 0xfb] = LEN(0),		/* CLI, STI */
	[0xfc] = FLAG(CLD),
	[0xfd] = FLAG(STD),
	[0xfe] = GROUP(G_FE),
	[0xff] = GROUP(G_FF),
};

#define CMOV		X(cmov, O_REG, O_RM, M)
#define SETCC		X(setcc, O_RM, O_NONE, M | B)
#define BT_REG(op, lock) XA(bt, O_RM, O_REG, M | (lock), BT_##op)
#define BT_IMM(op, lock) XA(bt, O_RM, O_IMM, M | IMM_8U | (lock), BT_##op)

const struct emul_op emul_map_0f[256] = {
	[0x00 ... 0x03] = LEN(M),		/* LLDT and kin, LGDT and kin, LAR, LSL */
	[0x04] = HOLE,
	[0x05 ... 0x09] = LEN(0),		/* SYSCALL CLTS SYSRET INVD WBINVD */
	[0x0a] = HOLE,
	[0x0b] = UD,
	[0x0c] = HOLE,
	[0x0d] = X(nop, O_NONE, O_NONE, M),	/* PREFETCHW */
	[0x0e] = LEN(0),			/* FEMMS */
	[0x0f] = HOLE,
	[0x10 ... 0x17] = LEN(M),
	[0x18 ... 0x19] = X(nop, O_NONE, O_NONE, M),
	[0x1a ... 0x1b] = LEN(M),		/* MPX's, which may check something */
	[0x1c ... 0x1f] = X(nop, O_NONE, O_NONE, M),
	[0x20 ... 0x23] = LEN(M | OP_REGONLY),	/* MOV to and from CR and DR */
	[0x24 ... 0x27] = HOLE,
	[0x28 ... 0x2f] = LEN(M),
	[0x30 ... 0x35] = LEN(0),		/* WRMSR RDTSC RDMSR RDPMC SYSENTER SYSEXIT */
	[0x36] = HOLE,
	[0x37] = LEN(0),
	[0x38 ... 0x3f] = HOLE,			/* two of them are the maps of three bytes */
	[0x40 ... 0x4f] = CMOV,
	[0x50 ... 0x6f] = LEN(M),
	[0x70 ... 0x73] = LEN(M | IMM_8U),
	[0x74 ... 0x76] = LEN(M),
	[0x77] = LEN(0),
	[0x78 ... 0x7b] = HOLE,
	[0x7c ... 0x7f] = LEN(M),
	[0x80 ... 0x8f] = NEAR_JCC,
	[0x90 ... 0x9f] = SETCC,
	[0xa0] = PUSHS(FS, 0),
	[0xa1] = LEN(OP_D64),			/* POP FS */
	[0xa2] = LEN(0),			/* CPUID */
	[0xa3] = BT_REG(BT, 0),
	[0xa4] = XA(shld, O_RM, O_IMM, M | IMM_8U, 0),
	[0xa5] = XA(shld, O_RM, O_CL, M, 0),
	[0xa6 ... 0xa7] = HOLE,
	[0xa8] = PUSHS(GS, 0),
	[0xa9] = LEN(OP_D64),			/* POP GS */
	[0xaa] = LEN(0),			/* RSM */
	[0xab] = BT_REG(BTS, L),
	[0xac] = XA(shld, O_RM, O_IMM, M | IMM_8U, 1),
	[0xad] = XA(shld, O_RM, O_CL, M, 1),
	[0xae] = BYPFX(P_AE),
	[0xaf] = X(imul, O_REG, O_REG, M),
	[0xb0] = X(cmpxchg, O_RM, O_REG, M | B | L),
	[0xb1] = X(cmpxchg, O_RM, O_REG, M | L),
	[0xb2] = LEN(M | OP_MEM),		/* LSS */
	[0xb3] = BT_REG(BTR, L),
	[0xb4 ... 0xb5] = LEN(M | OP_MEM),	/* LFS, LGS */
	[0xb6] = XA(movzx, O_REG, O_RM, M, 1),
	[0xb7] = XA(movzx, O_REG, O_RM, M, 2),
	[0xb8] = BYPFX(P_B8),
	[0xb9] = { .flags = OP_UD | M },
	[0xba] = GROUP(G_BA),
	[0xbb] = BT_REG(BTC, L),
	[0xbc] = BYPFX(P_BC),
	[0xbd] = BYPFX(P_BD),
	[0xbe] = XA(movsx, O_REG, O_RM, M, 1),
	[0xbf] = XA(movsx, O_REG, O_RM, M, 2),
	[0xc0] = X(xadd, O_RM, O_REG, M | B | L),
	[0xc1] = X(xadd, O_RM, O_REG, M | L),
	[0xc2] = LEN(M | IMM_8U),
	[0xc3] = BYPFX(P_C3),
	[0xc4 ... 0xc6] = LEN(M | IMM_8U),
	[0xc7] = BYPFX(P_C7),
	[0xc8 ... 0xcf] = X(bswap, O_OREG, O_NONE, 0),
	[0xd0 ... 0xfe] = LEN(M),
	[0xff] = { .flags = OP_UD | M },
};

const struct emul_op emul_map_0f38_other = LEN(M);
const struct emul_op emul_map_0f3a = LEN(M | IMM_8U);
const struct emul_op emul_map_0f38_f0[2] = {
	BYPFX(P_38F0), BYPFX(P_38F1),
};

#define INC_RM(fl)	XA(unary, O_RM, O_NONE, M | L | (fl), UN_INC)
#define DEC_RM(fl)	XA(unary, O_RM, O_NONE, M | L | (fl), UN_DEC)
#define CACHE_LINE	X(cache_line, O_RM, O_NONE, M)
#define FENCE		X(fence, O_NONE, O_NONE, M)

const struct emul_op emul_groups[NR_GROUPS][8] = {
	[G_80] = {
		RM_IMM(ADD, B | IMM_8S | L),
		RM_IMM(OR, B | IMM_8S | L),
		RM_IMM(ADC, B | IMM_8S | L),
		RM_IMM(SBB, B | IMM_8S | L),
		RM_IMM(AND, B | IMM_8S | L),
		RM_IMM(SUB, B | IMM_8S | L),
		RM_IMM(XOR, B | IMM_8S | L),
		RM_IMM(CMP, B | IMM_8S),
	},
	[G_81] = {
		RM_IMM(ADD, IMM_Z | L),
		RM_IMM(OR, IMM_Z | L),
		RM_IMM(ADC, IMM_Z | L),
		RM_IMM(SBB, IMM_Z | L),
		RM_IMM(AND, IMM_Z | L),
		RM_IMM(SUB, IMM_Z | L),
		RM_IMM(XOR, IMM_Z | L),
		RM_IMM(CMP, IMM_Z),
	},
	[G_83] = {
		RM_IMM(ADD, IMM_8S | L),
		RM_IMM(OR, IMM_8S | L),
		RM_IMM(ADC, IMM_8S | L),
		RM_IMM(SBB, IMM_8S | L),
		RM_IMM(AND, IMM_8S | L),
		RM_IMM(SUB, IMM_8S | L),
		RM_IMM(XOR, IMM_8S | L),
		RM_IMM(CMP, IMM_8S),
	},
	[G_8F] = { X(pop, O_RM, O_NONE, M | OP_D64), [1 ... 7] = HOLE },	/* XOP */
	[G_C6] = { X(mov, O_RM, O_IMM, M | B | IMM_8S), [1 ... 7] = HOLE },	/* XABORT */
	[G_C7] = { X(mov, O_RM, O_IMM, M | IMM_Z), [1 ... 7] = HOLE },		/* XBEGIN */
	[G_F6] = {
		X(test, O_RM, O_IMM, M | B | IMM_8S),
		X(test, O_RM, O_IMM, M | B | IMM_8S),
		XA(unary, O_RM, O_NONE, M | B | L, UN_NOT),
		XA(unary, O_RM, O_NONE, M | B | L, UN_NEG),
		XA(mul, O_NONE, O_RM, M | B, 0),
		XA(mul, O_NONE, O_RM, M | B, 1),
		XA(div, O_NONE, O_RM, M | B, 0),
		XA(div, O_NONE, O_RM, M | B, 1),
	},
	[G_F7] = {
		X(test, O_RM, O_IMM, M | IMM_Z),
		X(test, O_RM, O_IMM, M | IMM_Z),
		XA(unary, O_RM, O_NONE, M | L, UN_NOT),
		XA(unary, O_RM, O_NONE, M | L, UN_NEG),
		XA(mul, O_NONE, O_RM, M, 0),
		XA(mul, O_NONE, O_RM, M, 1),
		XA(div, O_NONE, O_RM, M, 0),
		XA(div, O_NONE, O_RM, M, 1),
	},
	[G_FE] = { INC_RM(B), DEC_RM(B), [2 ... 7] = UD },
	[G_FF] = {
		INC_RM(0),
		DEC_RM(0),
		X(call, O_NONE, O_RM, M | OP_F64),
		LEN(M | OP_MEM),		/* far CALL */
		X(jmp, O_NONE, O_RM, M | OP_F64),
		LEN(M | OP_MEM),		/* far JMP */
		X(push, O_NONE, O_RM, M | OP_D64),
		UD,
	},
	[G_BA] = {
		[0 ... 3] = UD,
		BT_IMM(BT, 0),
		BT_IMM(BTS, L),
		BT_IMM(BTR, L),
		BT_IMM(BTC, L),
	},
	[G_0FC7] = {
		LEN(M),
		X(cmpxchg8b, O_RM, O_NONE, M | L | OP_MEM),
		[2 ... 7] = LEN(M),		/* XRSTORS, VMPTRLD, RDRAND and more */
	},
	[G_0FC7_REP] = { [0 ... 7] = LEN(M) },
	[G_0FAE] = {
		[0 ... 4] = LEN(M),		/* FXSAVE FXRSTOR LDMXCSR STMXCSR XSAVE */
		FENCE,				/* with memory XRSTOR and XSAVEOPT */
		FENCE,
		CACHE_LINE,
	},
	[G_0FAE_66] = { [0 ... 5] = LEN(M), CACHE_LINE, CACHE_LINE },
};

#define BSF		XA(bitscan, O_REG, O_RM, M, 0)
#define BSR		XA(bitscan, O_REG, O_RM, M, 1)
#define POPCNT		X(popcnt, O_REG, O_RM, M)
#define MOVNTI		X(mov, O_RM, O_REG, M | OP_MEM)
#define MOVBE_R		X(movbe, O_REG, O_RM, M | OP_MEM)
#define MOVBE_W		X(movbe, O_RM, O_REG, M | OP_MEM)

const struct emul_op emul_bypfx[NR_BYPFX][4] = {
	/*	   none		 66		 F3		 F2 */
	[P_BC] = { BSF,		 BSF,		 BSF,		 BSF },
	[P_BD] = { BSR,		 BSR,		 BSR,		 BSR },
	[P_B8] = { HOLE,	 HOLE,		 POPCNT,	 HOLE },
	[P_C3] = { MOVNTI,	 LEN(M),	 LEN(M),	 LEN(M) },
	[P_C7] = { GROUP(G_0FC7), GROUP(G_0FC7), GROUP(G_0FC7_REP), GROUP(G_0FC7) },
	[P_AE] = { GROUP(G_0FAE), GROUP(G_0FAE_66), LEN(M), LEN(M) },
	[P_38F0] = { MOVBE_R,	 MOVBE_R,	 LEN(M),	 LEN(M) },	/* F2: CRC32 */
	[P_38F1] = { MOVBE_W,	 MOVBE_W,	 LEN(M),	 LEN(M) },
};
