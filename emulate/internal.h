/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the emulator's own files share: the shape of the opcode tables, operand and memory
 * access, and the arithmetic that computes flags. Nothing outside emulate/ includes it. It must
 * not know more of its surroundings than emulate.h says.
 */
#ifndef KEEL_EMULATE_INTERNAL_H
#define KEEL_EMULATE_INTERNAL_H

#include "emulate/emulate.h"

/* RFLAGS */
#define FL_CF		0x00000001UL
#define FL_FIXED	0x00000002UL
#define FL_PF		0x00000004UL
#define FL_AF		0x00000010UL
#define FL_ZF		0x00000040UL
#define FL_SF		0x00000080UL
#define FL_TF		0x00000100UL
#define FL_IF		0x00000200UL
#define FL_DF		0x00000400UL
#define FL_OF		0x00000800UL
#define FL_IOPL		0x00003000UL
#define FL_NT		0x00004000UL
#define FL_RF		0x00010000UL
#define FL_VM		0x00020000UL
#define FL_AC		0x00040000UL
#define FL_VIF		0x00080000UL
#define FL_VIP		0x00100000UL
#define FL_ID		0x00200000UL
#define FL_IOPL_SHIFT	12
#define FL_ARITH	(FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* Exception vectors that instructions raise here */
#define EXC_DE	0
#define EXC_UD	6
#define EXC_SS	12
#define EXC_GP	13
#define EXC_AC	17

/* Operand kinds of a table entry */
enum emul_operand {
	O_NONE,
	O_RM,		/* ModRM r/m, or the memory of a moffs form */
	O_REG,		/* ModRM reg */
	O_OREG,		/* the opcode's low three bits */
	O_ACC,		/* AL, AX, EAX, RAX */
	O_IMM,
	O_ONE,		/* the constant 1 */
	O_CL,
	O_SREG,		/* segment register of ModRM reg */
};

/* Immediate kinds, the low bits of emul_op.flags */
enum {
	IMM_NONE,
	IMM_8S,		/* a byte, sign-extended */
	IMM_8U,
	IMM_16,
	IMM_Z,		/* 2 bytes with a 16-bit operand, else 4, sign-extended */
	IMM_V,		/* as many as the operand has, up to 8 */
	IMM_16_8,	/* ENTER */
	IMM_MOFFS,	/* an address of the address size */
	IMM_FAR,	/* offset of the operand size and a selector */
};

#define OP_IMM		0x000fU		/* mask of the above */
#define OP_MODRM	0x0010U
#define OP_BYTE		0x0020U		/* operand size is one byte */
#define OP_LOCK		0x0040U		/* LOCK is allowed when the r/m is memory */
#define OP_D64		0x0080U		/* long mode: 64 bits unless 66 makes it 16 (stack) */
#define OP_F64		0x0100U		/* long mode: 64 bits (near branches) */
#define OP_NO64		0x0200U		/* #UD in long mode */
#define OP_MEM		0x0400U		/* #UD when the r/m is a register */
#define OP_UD		0x0800U		/* undefined: #UD */
#define OP_PREFIX	0x1000U		/* a legacy prefix; aux says which */
#define OP_GROUP	0x2000U		/* aux: table of eight, by ModRM reg */
#define OP_BYPFX	0x4000U		/* aux: table of four, by none, 66, F3, F2 */
#define OP_HOLE		0x8000U		/* not even the length is known here */
#define OP_REGONLY	0x10000U	/* the r/m is a register whatever ModRM mod says */

/* One row of the tables. A row without exec has a known length and nothing else. */
struct emul_op {
	int (*exec)(struct keel_emul *e);
	u32 flags;
	u8 dst;		/* enum emul_operand */
	u8 src;
	u8 aux;		/* what the handler makes of it: operation, condition, source size */
};

/* aux of OP_PREFIX rows */
enum {
	PFX_OPSZ, PFX_ADSZ, PFX_LOCK, PFX_REP, PFX_REPNE,
	PFX_SEG_ES, PFX_SEG_CS, PFX_SEG_SS, PFX_SEG_DS, PFX_SEG_FS, PFX_SEG_GS,
};

extern const struct emul_op emul_map_one[256];
extern const struct emul_op emul_map_0f[256];
extern const struct emul_op emul_map_0f38_other;	/* all of 0F 38 but F0 and F1 */
extern const struct emul_op emul_map_0f38_f0[2];
extern const struct emul_op emul_map_0f3a;		/* all of 0F 3A */
extern const struct emul_op emul_groups[][8];
extern const struct emul_op emul_bypfx[][4];

/* The operations of ALU rows, numbered as in encodings */
enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAL, SH_SAR };
enum { UN_NOT, UN_NEG, UN_INC, UN_DEC };
enum { BT_BT, BT_BTS, BT_BTR, BT_BTC };
enum { STR_MOVS, STR_CMPS, STR_STOS, STR_LODS, STR_SCAS, STR_INS, STR_OUTS };
enum { FLG_CLC, FLG_STC, FLG_CMC, FLG_CLD, FLG_STD, FLG_SAHF };

/* A word of @size bytes: its mask and its sign bit. */
static __always_inline u64 emul_mask(unsigned int size)
{
	return ~0ULL >> (64 - 8 * size);
}

static __always_inline u64 emul_sign(unsigned int size)
{
	return 1ULL << (8 * size - 1);
}

static __always_inline u64 emul_sext(u64 v, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (u64)((s64)(v << shift) >> shift);
}

/*
 * alu.c. Operands are zero-extended words of @size bytes, so are results; @fl is RFLAGS, in and
 * out.
 */
u64 alu_binary(unsigned int op, u64 a, u64 b, unsigned int size, u64 *fl);
u64 alu_unary(unsigned int op, u64 a, unsigned int size, u64 *fl);
u64 alu_shift(unsigned int op, u64 a, unsigned int count, unsigned int size, u64 *fl);
u64 alu_shift_double(bool right, u64 a, u64 b, unsigned int count, unsigned int size, u64 *fl);
/* Product of two words: the low word is returned, *hi is the high one. */
u64 alu_mul(bool sign, u64 a, u64 b, unsigned int size, u64 *hi, u64 *fl);
/* Divide *hi:*lo by @d; the quotient goes to *lo, the remainder to *hi. False is #DE. */
bool alu_div(bool sign, u64 *hi, u64 *lo, u64 d, unsigned int size);
bool alu_condition(unsigned int cc, u64 fl);

/*
 * operand.c. What returns int returns enum keel_emul_result.
 */

/* The exec step of everything ends here: RIP moves on and one step is counted. */
int emul_done(struct keel_emul *e);

/* Read and write a general register, with AH..BH for byte registers 4 to 7 without REX. */
u64 emul_reg(const struct keel_emul *e, unsigned int reg, unsigned int size);
void emul_set_reg(struct keel_emul *e, unsigned int reg, unsigned int size, u64 val);

/* Write @val to the low @size bytes of a register as addresses and counters are written. */
void emul_set_word(u64 *reg, unsigned int size, u64 val);

/* The register operands, and the immediates, of a row. Not for O_RM. */
u64 emul_operand(const struct keel_emul *e, unsigned int kind, unsigned int size);
void emul_set_operand(struct keel_emul *e, unsigned int kind, unsigned int size, u64 val);

/* Offset of the memory operand in its segment. */
u64 emul_offset(const struct keel_emul *e);

/* For emul_linear() in long mode: a misaligned address is #GP, before anything else about it is. */
#define EMUL_ACC_ALIGNED	0x80U

/* Segmentation: checks [@off, @off + @size) of @seg for the access, *lin is its linear address. */
int emul_linear(struct keel_emul *e, unsigned int seg, u64 off, unsigned int size, unsigned int acc,
		gva_t *lin);

/* Whether @off may become RIP. */
int emul_check_rip(struct keel_emul *e, u64 off);

/* Whether @lin is canonical, with the guest's number of address bits. */
bool emul_canonical(const struct keel_emul *e, u64 lin);

/* Memory at a segment and offset; @size up to 8. */
int emul_read(struct keel_emul *e, unsigned int seg, u64 off, unsigned int size, unsigned int acc,
	      u64 *val);
int emul_write(struct keel_emul *e, unsigned int seg, u64 off, unsigned int size, unsigned int acc,
	       u64 val);

/* An r/m operand between its read and its write. */
struct emul_rm {
	u64 val;
	gva_t lin;
	bool locked;
};

/* Read the r/m operand; with KEEL_EMUL_ACC_WRITE it will be written by emul_rm_write(). */
int emul_rm_read(struct keel_emul *e, unsigned int size, unsigned int acc, struct emul_rm *rm);
int emul_rm_write(struct keel_emul *e, unsigned int size, const struct emul_rm *rm, u64 val);

/* Write the r/m operand without reading it. */
int emul_rm_store(struct keel_emul *e, unsigned int size, u64 val);

int emul_gp0(struct keel_emul *e);
int emul_ud(struct keel_emul *e);

/*
 * Handlers. Each executes e->insn and returns enum keel_emul_result.
 */

/* exec_int.c */
int exec_mov(struct keel_emul *e);
int exec_movzx(struct keel_emul *e);
int exec_movsx(struct keel_emul *e);
int exec_movsxd(struct keel_emul *e);
int exec_movbe(struct keel_emul *e);
int exec_mov_from_sreg(struct keel_emul *e);
int exec_lea(struct keel_emul *e);
int exec_xchg(struct keel_emul *e);
int exec_xadd(struct keel_emul *e);
int exec_cmpxchg(struct keel_emul *e);
int exec_cmpxchg8b(struct keel_emul *e);
int exec_cmov(struct keel_emul *e);
int exec_setcc(struct keel_emul *e);
int exec_alu(struct keel_emul *e);
int exec_test(struct keel_emul *e);
int exec_unary(struct keel_emul *e);
int exec_shift(struct keel_emul *e);
int exec_shld(struct keel_emul *e);
int exec_nop(struct keel_emul *e);
int exec_fence(struct keel_emul *e);
int exec_cache_line(struct keel_emul *e);

/* exec_math.c */
int exec_mul(struct keel_emul *e);
int exec_imul(struct keel_emul *e);
int exec_div(struct keel_emul *e);
int exec_bt(struct keel_emul *e);
int exec_bitscan(struct keel_emul *e);
int exec_popcnt(struct keel_emul *e);
int exec_bswap(struct keel_emul *e);
int exec_cbw(struct keel_emul *e);
int exec_cwd(struct keel_emul *e);
int exec_flag(struct keel_emul *e);
int exec_lahf(struct keel_emul *e);
int exec_xlat(struct keel_emul *e);
int exec_in(struct keel_emul *e);
int exec_out(struct keel_emul *e);

/* exec_stack.c */
int exec_push(struct keel_emul *e);
int exec_push_sreg(struct keel_emul *e);
int exec_pop(struct keel_emul *e);
int exec_pusha(struct keel_emul *e);
int exec_popa(struct keel_emul *e);
int exec_pushf(struct keel_emul *e);
int exec_popf(struct keel_emul *e);
int exec_enter(struct keel_emul *e);
int exec_leave(struct keel_emul *e);
int exec_call(struct keel_emul *e);
int exec_jmp(struct keel_emul *e);
int exec_ret(struct keel_emul *e);
int exec_jcc(struct keel_emul *e);
int exec_loop(struct keel_emul *e);

/* exec_string.c */
int exec_string(struct keel_emul *e);

#endif /* KEEL_EMULATE_INTERNAL_H */
