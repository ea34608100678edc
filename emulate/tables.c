// SPDX-License-Identifier: GPL-2.0
/*
 * The opcode tables: for each opcode its handler, operands, immediate and rules. A row without a handler
 * gives the length of an instruction that is not executed here; a hole gives not even that. It owns what the
 * emulator knows; it must hold no code.
 */
#include "emulate/internal.h"

#define X(fn, d, s, fl)		{ .exec = exec_##fn, .flags = (fl), .dst = (d), .src = (s) }
#define XA(fn, d, s, fl, a)	{ .exec = exec_##fn, .flags = (fl), .dst = (d), .src = (s), .aux = (a) }
#define M		OP_MODRM
#define B		OP_BYTE
#define L		OP_LOCK
#define HOLE		{ .flags = OP_HOLE }
#define UD		{ .flags = OP_UD }
#define LEN(fl)		{ .flags = (fl) }	/* the length, and no more */
#define PFX(p)		{ .flags = OP_PREFIX, .aux = PFX_##p }
#define GROUP(g)	{ .flags = OP_GROUP | M, .aux = (g) }
#define BYPFX(t)	{ .flags = OP_BYPFX, .aux = (t) }

#define N4(...)		__VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__
#define N8(...)		N4(__VA_ARGS__), N4(__VA_ARGS__)
#define N16(...)	N8(__VA_ARGS__), N8(__VA_ARGS__)

enum { G_80, G_81, G_83, G_8F, G_C6, G_C7, G_F6, G_F7, G_FE, G_FF, G_BA, G_0FC7, G_0FC7_REP, G_0FAE,
       G_0FAE_66, G_0D, NR_GROUPS };
enum { P_BC, P_BD, P_B8, P_C3, P_C7, P_AE, P_38F0, P_38F1, NR_BYPFX };

/* Six rows of the two-operand operations, as 00 to 05 have them. */
#define ALU6(op, lock)							\
	XA(alu, O_RM, O_REG, M | B | (lock), op),			\
	XA(alu, O_RM, O_REG, M | (lock), op),				\
	XA(alu, O_REG, O_RM, M | B, op),				\
	XA(alu, O_REG, O_RM, M, op),					\
	XA(alu, O_ACC, O_IMM, B | IMM_8S, op),				\
	XA(alu, O_ACC, O_IMM, IMM_Z, op)

#define SHIFT(src, fl)	X(shift, O_RM, src, M | (fl))
#define STR2(s)		XA(string, O_NONE, O_NONE, B, STR_##s), XA(string, O_NONE, O_NONE, 0, STR_##s)
#define PUSHS(seg, fl)	XA(push_sreg, O_NONE, O_NONE, OP_D64 | (fl), KEEL_SEG_##seg)
#define SHORT_JCC	X(jcc, O_NONE, O_IMM, OP_F64 | IMM_8S)
#define NEAR_JCC	X(jcc, O_NONE, O_IMM, OP_F64 | IMM_Z)
#define LOOP		X(loop, O_NONE, O_IMM, OP_F64 | IMM_8S)

const struct emul_op emul_map_one[256] = {
	/* 00 */ ALU6(ALU_ADD, L), PUSHS(ES, OP_NO64), LEN(OP_NO64),
	/* 08 */ ALU6(ALU_OR, L), PUSHS(CS, OP_NO64), HOLE,
	/* 10 */ ALU6(ALU_ADC, L), PUSHS(SS, OP_NO64), LEN(OP_NO64),
	/* 18 */ ALU6(ALU_SBB, L), PUSHS(DS, OP_NO64), LEN(OP_NO64),
	/* 20 */ ALU6(ALU_AND, L), PFX(SEG_ES), LEN(OP_NO64),
	/* 28 */ ALU6(ALU_SUB, L), PFX(SEG_CS), LEN(OP_NO64),
	/* 30 */ ALU6(ALU_XOR, L), PFX(SEG_SS), LEN(OP_NO64),
	/* 38 */ ALU6(ALU_CMP, 0), PFX(SEG_DS), LEN(OP_NO64),
	/* 40: in long mode these are REX */
	N8(XA(unary, O_OREG, O_NONE, 0, UN_INC)),
	N8(XA(unary, O_OREG, O_NONE, 0, UN_DEC)),
	/* 50 */ N8(X(push, O_NONE, O_OREG, OP_D64)),
	/* 58 */ N8(X(pop, O_OREG, O_NONE, OP_D64)),
	/* 60 */
	X(pusha, O_NONE, O_NONE, OP_NO64),
	X(popa, O_NONE, O_NONE, OP_NO64),
	HOLE,					/* BOUND, EVEX */
	XA(movsxd, O_REG, O_RM, M, 4),		/* outside long mode ARPL */
	PFX(SEG_FS), PFX(SEG_GS), PFX(OPSZ), PFX(ADSZ),
	/* 68 */
	X(push, O_NONE, O_IMM, OP_D64 | IMM_Z),
	X(imul, O_REG, O_IMM, M | IMM_Z),
	X(push, O_NONE, O_IMM, OP_D64 | IMM_8S),
	X(imul, O_REG, O_IMM, M | IMM_8S),
	STR2(INS), STR2(OUTS),
	/* 70 */ N16(SHORT_JCC),
	/* 80 */
	GROUP(G_80), GROUP(G_81),
	{ .flags = OP_GROUP | M | OP_NO64, .aux = G_80 },
	GROUP(G_83),
	X(test, O_RM, O_REG, M | B), X(test, O_RM, O_REG, M),
	X(xchg, O_RM, O_REG, M | B | L), X(xchg, O_RM, O_REG, M | L),
	/* 88 */
	X(mov, O_RM, O_REG, M | B), X(mov, O_RM, O_REG, M),
	X(mov, O_REG, O_RM, M | B), X(mov, O_REG, O_RM, M),
	X(mov_from_sreg, O_RM, O_SREG, M),
	X(lea, O_REG, O_RM, M | OP_MEM),
	LEN(M),					/* MOV to a segment register */
	GROUP(G_8F),
	/* 90: XCHG, and with rAX NOP and PAUSE */
	N8(X(xchg, O_ACC, O_OREG, 0)),
	/* 98 */
	X(cbw, O_ACC, O_NONE, 0), X(cwd, O_NONE, O_NONE, 0),
	LEN(OP_NO64 | IMM_FAR), LEN(0),		/* far CALL, FWAIT */
	X(pushf, O_NONE, O_NONE, OP_D64), X(popf, O_NONE, O_NONE, OP_D64),
	XA(flag, O_NONE, O_NONE, 0, FLG_SAHF), X(lahf, O_NONE, O_NONE, 0),
	/* a0 */
	X(mov, O_ACC, O_RM, B | IMM_MOFFS), X(mov, O_ACC, O_RM, IMM_MOFFS),
	X(mov, O_RM, O_ACC, B | IMM_MOFFS), X(mov, O_RM, O_ACC, IMM_MOFFS),
	STR2(MOVS), STR2(CMPS),
	/* a8 */
	X(test, O_ACC, O_IMM, B | IMM_8S), X(test, O_ACC, O_IMM, IMM_Z),
	STR2(STOS), STR2(LODS), STR2(SCAS),
	/* b0 */ N8(X(mov, O_OREG, O_IMM, B | IMM_8S)),
	/* b8 */ N8(X(mov, O_OREG, O_IMM, IMM_V)),
	/* c0 */
	SHIFT(O_IMM, B | IMM_8U), SHIFT(O_IMM, IMM_8U),
	X(ret, O_NONE, O_IMM, OP_F64 | IMM_16), X(ret, O_NONE, O_NONE, OP_F64),
	HOLE, HOLE,				/* LES, LDS, VEX */
	GROUP(G_C6), GROUP(G_C7),
	/* c8 */
	X(enter, O_NONE, O_IMM, OP_D64 | IMM_16_8), X(leave, O_NONE, O_NONE, OP_D64),
	LEN(IMM_16), LEN(0), LEN(0), LEN(IMM_8U), LEN(OP_NO64), LEN(0),
	/* d0 */
	SHIFT(O_ONE, B), SHIFT(O_ONE, 0), SHIFT(O_CL, B), SHIFT(O_CL, 0),
	LEN(OP_NO64 | IMM_8U), LEN(OP_NO64 | IMM_8U), LEN(OP_NO64),
	X(xlat, O_ACC, O_NONE, B),
	/* d8: x87 */ N8(LEN(M)),
	/* e0 */
	N4(LOOP),
	X(in, O_ACC, O_IMM, B | IMM_8U), X(in, O_ACC, O_IMM, IMM_8U),
	X(out, O_NONE, O_IMM, B | IMM_8U), X(out, O_NONE, O_IMM, IMM_8U),
	/* e8 */
	X(call, O_NONE, O_IMM, OP_F64 | IMM_Z), X(jmp, O_NONE, O_IMM, OP_F64 | IMM_Z),
	LEN(OP_NO64 | IMM_FAR),
	X(jmp, O_NONE, O_IMM, OP_F64 | IMM_8S),
	X(in, O_ACC, O_NONE, B), X(in, O_ACC, O_NONE, 0),
	X(out, O_NONE, O_NONE, B), X(out, O_NONE, O_NONE, 0),
	/* f0 */
	PFX(LOCK), LEN(0), PFX(REPNE), PFX(REP), LEN(0),
	XA(flag, O_NONE, O_NONE, 0, FLG_CMC),
	GROUP(G_F6), GROUP(G_F7),
	/* f8 */
	XA(flag, O_NONE, O_NONE, 0, FLG_CLC), XA(flag, O_NONE, O_NONE, 0, FLG_STC),
	LEN(0), LEN(0),				/* CLI, STI */
	XA(flag, O_NONE, O_NONE, 0, FLG_CLD), XA(flag, O_NONE, O_NONE, 0, FLG_STD),
	GROUP(G_FE), GROUP(G_FF),
};

#define CMOV		X(cmov, O_REG, O_RM, M)
#define SETCC		X(setcc, O_RM, O_NONE, M | B)
#define BT(op, lock)	XA(bt, O_RM, O_REG, M | (lock), op)
#define BTI(op, lock)	XA(bt, O_RM, O_IMM, M | IMM_8U | (lock), op)
#define BSWAP		X(bswap, O_OREG, O_NONE, 0)
#define CONTROL		LEN(M | OP_REGONLY)	/* MOV to and from CR and DR */

const struct emul_op emul_map_0f[256] = {
	/* 00 */
	LEN(M), LEN(M), LEN(M), LEN(M), HOLE, LEN(0), LEN(0), LEN(0),
	/* 08 */
	LEN(0), LEN(0), HOLE, UD, HOLE, GROUP(G_0D), LEN(0), HOLE,
	/* 10 */ N8(LEN(M)),
	/* 18: hints; 1A and 1B are MPX's, which change nothing without it but may check */
	X(nop, O_NONE, O_NONE, M), X(nop, O_NONE, O_NONE, M), LEN(M), LEN(M),
	N4(X(nop, O_NONE, O_NONE, M)),
	/* 20 */
	N4(CONTROL), N4(HOLE),
	/* 28 */ N8(LEN(M)),
	/* 30 */
	N4(LEN(0)), LEN(0), LEN(0), HOLE, LEN(0),
	/* 38: the maps of three bytes */ N8(HOLE),
	/* 40 */ N16(CMOV),
	/* 50 */ N16(LEN(M)),
	/* 60 */ N16(LEN(M)),
	/* 70 */
	N4(LEN(M | IMM_8U)), LEN(M), LEN(M), LEN(M), LEN(0),
	/* 78 */ HOLE, HOLE, HOLE, HOLE, N4(LEN(M)),
	/* 80 */ N16(NEAR_JCC),
	/* 90 */ N16(SETCC),
	/* a0 */
	PUSHS(FS, 0), LEN(OP_D64), LEN(0), BT(BT_BT, 0),
	XA(shld, O_RM, O_IMM, M | IMM_8U, 0), XA(shld, O_RM, O_CL, M, 0), HOLE, HOLE,
	/* a8 */
	PUSHS(GS, 0), LEN(OP_D64), LEN(0), BT(BT_BTS, L),
	XA(shld, O_RM, O_IMM, M | IMM_8U, 1), XA(shld, O_RM, O_CL, M, 1), BYPFX(P_AE),
	X(imul, O_REG, O_REG, M),
	/* b0 */
	X(cmpxchg, O_RM, O_REG, M | B | L), X(cmpxchg, O_RM, O_REG, M | L),
	LEN(M), BT(BT_BTR, L), LEN(M), LEN(M),
	XA(movzx, O_REG, O_RM, M, 1), XA(movzx, O_REG, O_RM, M, 2),
	/* b8 */
	BYPFX(P_B8), { .flags = OP_UD | M }, GROUP(G_BA), BT(BT_BTC, L),
	BYPFX(P_BC), BYPFX(P_BD),
	XA(movsx, O_REG, O_RM, M, 1), XA(movsx, O_REG, O_RM, M, 2),
	/* c0 */
	X(xadd, O_RM, O_REG, M | B | L), X(xadd, O_RM, O_REG, M | L),
	LEN(M | IMM_8U), BYPFX(P_C3), LEN(M | IMM_8U), LEN(M | IMM_8U), LEN(M | IMM_8U),
	BYPFX(P_C7),
	/* c8 */ N8(BSWAP),
	/* d0 */ N16(LEN(M)),
	/* e0 */ N16(LEN(M)),
	/* f0 */ N8(LEN(M)),
	/* f8 */ N4(LEN(M)), LEN(M), LEN(M), LEN(M), { .flags = OP_UD | M },
};

const struct emul_op emul_map_0f38_other = LEN(M);
const struct emul_op emul_map_0f3a = LEN(M | IMM_8U);
const struct emul_op emul_map_0f38_f0[2] = {
	BYPFX(P_38F0), BYPFX(P_38F1),
};

/* The immediate forms of the two-operand operations. */
#define ALUI(fl)							\
	{								\
		XA(alu, O_RM, O_IMM, M | L | (fl), ALU_ADD), XA(alu, O_RM, O_IMM, M | L | (fl), ALU_OR), \
		XA(alu, O_RM, O_IMM, M | L | (fl), ALU_ADC), XA(alu, O_RM, O_IMM, M | L | (fl), ALU_SBB), \
		XA(alu, O_RM, O_IMM, M | L | (fl), ALU_AND), XA(alu, O_RM, O_IMM, M | L | (fl), ALU_SUB), \
		XA(alu, O_RM, O_IMM, M | L | (fl), ALU_XOR), XA(alu, O_RM, O_IMM, M | (fl), ALU_CMP), \
	}

#define GROUP3(fl, imm)							\
	{								\
		X(test, O_RM, O_IMM, M | (fl) | (imm)), X(test, O_RM, O_IMM, M | (fl) | (imm)), \
		XA(unary, O_RM, O_NONE, M | L | (fl), UN_NOT),		\
		XA(unary, O_RM, O_NONE, M | L | (fl), UN_NEG),		\
		XA(mul, O_NONE, O_RM, M | (fl), 0), XA(mul, O_NONE, O_RM, M | (fl), 1), \
		XA(div, O_NONE, O_RM, M | (fl), 0), XA(div, O_NONE, O_RM, M | (fl), 1), \
	}

#define INC_RM(fl)	XA(unary, O_RM, O_NONE, M | L | (fl), UN_INC)
#define DEC_RM(fl)	XA(unary, O_RM, O_NONE, M | L | (fl), UN_DEC)
#define CACHE_LINE	X(cache_line, O_RM, O_NONE, M)
#define FENCE		X(fence, O_NONE, O_NONE, M)
#define NOP_M		X(nop, O_NONE, O_NONE, M)

const struct emul_op emul_groups[NR_GROUPS][8] = {
	[G_80] = ALUI(B | IMM_8S),
	[G_81] = ALUI(IMM_Z),
	[G_83] = ALUI(IMM_8S),
	[G_8F] = { X(pop, O_RM, O_NONE, M | OP_D64), HOLE, HOLE, HOLE, N4(HOLE) },
	[G_C6] = { X(mov, O_RM, O_IMM, M | B | IMM_8S), N4(HOLE), HOLE, HOLE, HOLE },
	[G_C7] = { X(mov, O_RM, O_IMM, M | IMM_Z), N4(HOLE), HOLE, HOLE, HOLE },
	[G_F6] = GROUP3(B, IMM_8S),
	[G_F7] = GROUP3(0, IMM_Z),
	[G_FE] = { INC_RM(B), DEC_RM(B), N4(UD), UD, UD },
	[G_FF] = {
		INC_RM(0), DEC_RM(0),
		X(call, O_NONE, O_RM, M | OP_F64), LEN(M | OP_MEM),
		X(jmp, O_NONE, O_RM, M | OP_F64), LEN(M | OP_MEM),
		X(push, O_NONE, O_RM, M | OP_D64), UD,
	},
	[G_BA] = { N4(UD), BTI(BT_BT, 0), BTI(BT_BTS, L), BTI(BT_BTR, L), BTI(BT_BTC, L) },
	[G_0FC7] = {
		LEN(M), X(cmpxchg8b, O_RM, O_NONE, M | L | OP_MEM), LEN(M), LEN(M), N4(LEN(M)),
	},
	[G_0FC7_REP] = { N8(LEN(M)) },
	/* FXSAVE FXRSTOR LDMXCSR STMXCSR XSAVE XRSTOR XSAVEOPT CLFLUSH; the last with registers: fences */
	[G_0FAE] = { N4(LEN(M)), LEN(M), FENCE, FENCE, CACHE_LINE },
	/* CLWB and CLFLUSHOPT */
	[G_0FAE_66] = { N4(LEN(M)), LEN(M), LEN(M), CACHE_LINE, CACHE_LINE },
	[G_0D] = { N8(NOP_M) },
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
