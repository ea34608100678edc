// SPDX-License-Identifier: GPL-2.0
/*
 * Handlers of multiplication and division, of the bit instructions, of single flags, and of
 * port access. The same rule holds as everywhere: registers and flags change after the last
 * callback. It must not know addresses or segments, but for the bit offset that moves a memory
 * operand.
 */
#include "emulate/internal.h"

/* One-operand MUL and IMUL (aux): rDX:rAX, or AX, is rAX times r/m. */
int exec_mul(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	u64 *gpr = e->regs->gpr, lo, hi;
	struct emul_rm rm;
	int r;

	r = emul_rm_read(e, size, 0, &rm);
	if (r)
		return r;
	lo = alu_mul(e->insn.op->aux, emul_operand(e, O_ACC, size), rm.val, size, &hi,
		     &e->regs->rflags);
	if (size == 1) {
		emul_set_word(&gpr[KEEL_RAX], 2, hi << 8 | lo);
	} else {
		emul_set_word(&gpr[KEEL_RAX], size, lo);
		emul_set_word(&gpr[KEEL_RDX], size, hi);
	}
	return emul_done(e);
}

/* IMUL with two operands, or three if there is an immediate. */
int exec_imul(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;
	unsigned int size = e->insn.op_size;
	struct emul_rm rm;
	u64 lo, hi;
	int r;

	r = emul_rm_read(e, size, 0, &rm);
	if (r)
		return r;
	lo = alu_mul(true, rm.val, emul_operand(e, op->src, size), size, &hi, &e->regs->rflags);
	emul_set_reg(e, e->insn.reg, size, lo);
	return emul_done(e);
}

int exec_div(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	u64 *gpr = e->regs->gpr, lo, hi;
	struct emul_rm rm;
	int r;

	r = emul_rm_read(e, size, 0, &rm);
	if (r)
		return r;
	lo = gpr[KEEL_RAX] & emul_mask(size);
	hi = (size == 1 ? gpr[KEEL_RAX] >> 8 : gpr[KEEL_RDX]) & emul_mask(size);
	if (!alu_div(e->insn.op->aux, &hi, &lo, rm.val, size))
		return keel_emul_fault(e, EXC_DE, 0, 0);
	if (size == 1) {
		emul_set_word(&gpr[KEEL_RAX], 2, hi << 8 | lo);
	} else {
		emul_set_word(&gpr[KEEL_RAX], size, lo);
		emul_set_word(&gpr[KEEL_RDX], size, hi);
	}
	return emul_done(e);
}

static u64 altered(unsigned int op, u64 val, u64 bit)
{
	switch (op) {
	case BT_BTS:
		return val | bit;
	case BT_BTR:
		return val & ~bit;
	case BT_BTC:
		return val ^ bit;
	default:
		return val;
	}
}

/*
 * BT BTS BTR BTC. A register's bit number reaches beyond a memory operand, either way: the word
 * that holds the bit is the operand, in units of the operand size.
 */
int exec_bt(struct keel_emul *e)
{
	struct keel_emul_insn *in = &e->insn;
	const struct emul_op *op = in->op;
	unsigned int size = in->op_size, acc = op->aux == BT_BT ? 0 : KEEL_EMUL_ACC_WRITE;
	u64 n = emul_operand(e, op->src, op->src == O_IMM ? 1 : size), disp = in->disp, bit;
	unsigned int shift = size == 8 ? 6 : size == 4 ? 5 : 4;
	struct emul_rm rm;
	int r;

	if (in->mem && op->src == O_REG)
		in->disp += (u64)((s64)emul_sext(n, size) >> shift) * size;
	r = emul_rm_read(e, size, acc, &rm);
	in->disp = disp;
	if (r)
		return r;
	bit = 1ULL << (n & (8 * size - 1));
	if (op->aux != BT_BT) {
		r = emul_rm_write(e, size, &rm, altered(op->aux, rm.val, bit));
		if (r)
			return r;
	}
	e->regs->rflags = (e->regs->rflags & ~FL_CF) | (rm.val & bit ? FL_CF : 0);
	return emul_done(e);
}

/*
 * BSF and BSR (aux), and TZCNT and LZCNT where the CPU has them and F3 asks for them. BSF and
 * BSR of zero leave the destination; only ZF is defined after them, and after the counts CF and
 * ZF.
 */
int exec_bitscan(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size, bits = 8 * size;
	bool reverse = e->insn.op->aux, count;
	u64 set, val;
	struct emul_rm rm;
	int r;

	count = (e->insn.prefixes & KEEL_EMUL_PFX_REP) &&
		(e->features & (reverse ? KEEL_EMUL_F_LZCNT : KEEL_EMUL_F_BMI1));
	r = emul_rm_read(e, size, 0, &rm);
	if (r)
		return r;
	if (rm.val)
		val = reverse ? (u64)fls64(rm.val) - 1 : (u64)__builtin_ctzll(rm.val);
	else
		val = 0;
	if (count) {
		if (!rm.val)
			val = bits;
		else if (reverse)
			val = bits - 1 - val;
		set = (rm.val ? 0 : FL_CF) | (val ? 0 : FL_ZF);
		e->regs->rflags = (e->regs->rflags & ~(FL_CF | FL_ZF)) | set;
	} else {
		set = rm.val ? 0 : FL_ZF;
		e->regs->rflags = (e->regs->rflags & ~FL_ZF) | set;
	}
	if (count || rm.val)
		emul_set_reg(e, e->insn.reg, size, val);
	return emul_done(e);
}

int exec_popcnt(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	struct emul_rm rm;
	int r;

	if (!(e->features & KEEL_EMUL_F_POPCNT))
		return emul_ud(e);
	r = emul_rm_read(e, size, 0, &rm);
	if (r)
		return r;
	e->regs->rflags = (e->regs->rflags & ~FL_ARITH) | (rm.val ? 0 : FL_ZF);
	emul_set_reg(e, e->insn.reg, size, hweight64(rm.val));
	return emul_done(e);
}

/* Of a 16-bit register the result is undefined. */
int exec_bswap(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	u64 val;

	if (size == 2)
		return KEEL_EMUL_UNKNOWN;
	val = __builtin_bswap64(emul_operand(e, O_OREG, size)) >> (64 - 8 * size);
	emul_set_operand(e, O_OREG, size, val);
	return emul_done(e);
}

/* CBW CWDE CDQE. */
int exec_cbw(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	u64 val = emul_sext(emul_operand(e, O_ACC, size / 2), size / 2);

	emul_set_operand(e, O_ACC, size, val);
	return emul_done(e);
}

/* CWD CDQ CQO. */
int exec_cwd(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	bool neg = emul_operand(e, O_ACC, size) & emul_sign(size);

	emul_set_word(&e->regs->gpr[KEEL_RDX], size, neg ? ~0ULL : 0);
	return emul_done(e);
}

int exec_flag(struct keel_emul *e)
{
	const u64 loaded = FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF;
	u64 *fl = &e->regs->rflags;

	switch (e->insn.op->aux) {
	case FLG_CLC:
		*fl &= ~FL_CF;
		break;
	case FLG_STC:
		*fl |= FL_CF;
		break;
	case FLG_CMC:
		*fl ^= FL_CF;
		break;
	case FLG_CLD:
		*fl &= ~FL_DF;
		break;
	case FLG_STD:
		*fl |= FL_DF;
		break;
	default: /* SAHF */
		*fl = (*fl & ~loaded) | (e->regs->gpr[KEEL_RAX] >> 8 & loaded);
		break;
	}
	return emul_done(e);
}

int exec_lahf(struct keel_emul *e)
{
	const u64 stored = FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF;
	u64 *rax = &e->regs->gpr[KEEL_RAX];

	*rax = (*rax & ~0xff00ULL) | ((e->regs->rflags & stored) | FL_FIXED) << 8;
	return emul_done(e);
}

int exec_xlat(struct keel_emul *e)
{
	u64 off, val;
	int r;

	off = e->regs->gpr[KEEL_RBX] + (e->regs->gpr[KEEL_RAX] & 0xff);
	r = emul_read(e, e->insn.seg, off & emul_mask(e->insn.addr_size), 1, 0, &val);
	if (r)
		return r;
	emul_set_word(&e->regs->gpr[KEEL_RAX], 1, val);
	return emul_done(e);
}

static u16 port_of(const struct keel_emul *e)
{
	return e->insn.op->src == O_IMM ? (u8)e->insn.imm : (u16)e->regs->gpr[KEEL_RDX];
}

int exec_in(struct keel_emul *e)
{
	unsigned int size = min_t(unsigned int, e->insn.op_size, 4);
	u32 val;
	int r;

	r = e->ops->pio_in(e, port_of(e), size, &val);
	if (r)
		return r;
	emul_set_operand(e, O_ACC, size, val);
	return emul_done(e);
}

int exec_out(struct keel_emul *e)
{
	unsigned int size = min_t(unsigned int, e->insn.op_size, 4);
	int r;

	r = e->ops->pio_out(e, port_of(e), size, (u32)emul_operand(e, O_ACC, size));
	return r ? r : emul_done(e);
}
