// SPDX-License-Identifier: GPL-2.0
/*
 * Handlers of the integer instructions that move, exchange, add, compare and shift. Each reads
 * its operands, computes, writes memory, and only then registers and flags: what fails on the
 * way has changed nothing. It must not know addresses or segments.
 */
#include "emulate/internal.h"

int exec_mov(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;
	unsigned int size = e->insn.op_size;
	struct emul_rm rm;
	int r;

	if (op->dst == O_RM) {
		r = emul_rm_store(e, size, emul_operand(e, op->src, size));
		return r ? r : emul_done(e);
	}
	if (op->src == O_RM) {
		r = emul_rm_read(e, size, 0, &rm);
		if (r)
			return r;
	} else {
		rm.val = emul_operand(e, op->src, size);
	}
	emul_set_operand(e, op->dst, size, rm.val);
	return emul_done(e);
}

int exec_movzx(struct keel_emul *e)
{
	struct emul_rm rm;
	int r;

	r = emul_rm_read(e, e->insn.op->aux, 0, &rm);
	if (r)
		return r;
	emul_set_reg(e, e->insn.reg, e->insn.op_size, rm.val);
	return emul_done(e);
}

int exec_movsx(struct keel_emul *e)
{
	unsigned int size = min_t(unsigned int, e->insn.op->aux, e->insn.op_size);
	struct emul_rm rm;
	int r;

	r = emul_rm_read(e, size, 0, &rm);
	if (r)
		return r;
	emul_set_reg(e, e->insn.reg, e->insn.op_size, emul_sext(rm.val, size));
	return emul_done(e);
}

int exec_movsxd(struct keel_emul *e)
{
	return e->mode == KEEL_EMUL_LONG64 ? exec_movsx(e) : KEEL_EMUL_UNKNOWN;
}

static u64 swap_bytes(u64 v, unsigned int size)
{
	return __builtin_bswap64(v) >> (64 - 8 * size);
}

int exec_movbe(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	struct emul_rm rm;
	int r;

	if (e->insn.op->dst == O_RM) {
		r = emul_rm_store(e, size, swap_bytes(emul_reg(e, e->insn.reg, size), size));
		return r ? r : emul_done(e);
	}
	r = emul_rm_read(e, size, 0, &rm);
	if (r)
		return r;
	emul_set_reg(e, e->insn.reg, size, swap_bytes(rm.val, size));
	return emul_done(e);
}

/* Memory gets the 16 bits of the selector, a register all of its operand size. */
int exec_mov_from_sreg(struct keel_emul *e)
{
	struct keel_emul_segment desc;
	unsigned int seg = e->insn.reg & 7;
	int r;

	if (seg >= KEEL_NR_SEGS)
		return emul_ud(e);
	r = e->ops->segment(e, seg, &desc);
	if (!r)
		r = emul_rm_store(e, e->insn.mem ? 2 : e->insn.op_size, desc.selector);
	return r ? r : emul_done(e);
}

int exec_lea(struct keel_emul *e)
{
	emul_set_reg(e, e->insn.reg, e->insn.op_size, emul_offset(e));
	return emul_done(e);
}

/*
 * With memory this is locked even without LOCK. With rAX twice it is NOP, and clears no upper
 * half.
 */
int exec_xchg(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;
	unsigned int size = e->insn.op_size;
	struct emul_rm rm;
	u64 val;
	int r;

	if (op->dst == O_ACC && !(e->insn.opcode & 7) && !(e->insn.rex & 1))
		return emul_done(e);
	val = emul_operand(e, op->src, size);
	if (op->dst == O_ACC) {
		emul_set_operand(e, op->src, size, emul_operand(e, O_ACC, size));
		emul_set_operand(e, O_ACC, size, val);
		return emul_done(e);
	}
	r = emul_rm_read(e, size, KEEL_EMUL_ACC_WRITE | KEEL_EMUL_ACC_LOCKED, &rm);
	if (!r)
		r = emul_rm_write(e, size, &rm, val);
	if (r)
		return r;
	emul_set_reg(e, e->insn.reg, size, rm.val);
	return emul_done(e);
}

int exec_xadd(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	u64 fl = e->regs->rflags, sum;
	struct emul_rm rm;
	int r;

	r = emul_rm_read(e, size, KEEL_EMUL_ACC_WRITE, &rm);
	if (r)
		return r;
	sum = alu_binary(ALU_ADD, rm.val, emul_reg(e, e->insn.reg, size), size, &fl);
	if (e->insn.mem) {
		r = emul_rm_write(e, size, &rm, sum);
		if (r)
			return r;
	}
	emul_set_reg(e, e->insn.reg, size, rm.val);
	if (!e->insn.mem)	/* the destination wins if both are one register */
		emul_set_reg(e, e->insn.rm, size, sum);
	e->regs->rflags = fl;
	return emul_done(e);
}

/* The destination is written in any case: with the source, or with what it had. */
int exec_cmpxchg(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	u64 fl = e->regs->rflags, src = emul_reg(e, e->insn.reg, size);
	struct emul_rm rm;
	bool equal;
	int r;

	r = emul_rm_read(e, size, KEEL_EMUL_ACC_WRITE, &rm);
	if (r)
		return r;
	alu_binary(ALU_CMP, emul_operand(e, O_ACC, size), rm.val, size, &fl);
	equal = fl & FL_ZF;
	if (equal || e->insn.mem) {
		r = emul_rm_write(e, size, &rm, equal ? src : rm.val);
		if (r)
			return r;
	}
	if (!equal)
		emul_set_operand(e, O_ACC, size, rm.val);
	e->regs->rflags = fl;
	return emul_done(e);
}

/* CMPXCHG8B and CMPXCHG16B. */
int exec_cmpxchg8b(struct keel_emul *e)
{
	unsigned int half = e->insn.op_size == 8 ? 8 : 4, acc = KEEL_EMUL_ACC_WRITE;
	bool locked = e->insn.prefixes & KEEL_EMUL_PFX_LOCK, equal;
	u64 *gpr = e->regs->gpr, mask = emul_mask(half);
	u64 lo = 0, hi = 0;
	u8 old[16], new[16];
	gva_t lin;
	int r;

	if (locked)
		acc |= KEEL_EMUL_ACC_LOCKED;
	r = emul_linear(e, e->insn.seg, emul_offset(e), 2 * half,
			half == 8 ? acc | EMUL_ACC_ALIGNED : acc, &lin);
	if (r)
		return r;
	r = e->ops->read(e, lin, old, 2 * half, acc);
	if (r)
		return r;
	memcpy(&lo, old, half);
	memcpy(&hi, old + half, half);
	equal = lo == (gpr[KEEL_RAX] & mask) && hi == (gpr[KEEL_RDX] & mask);
	memcpy(new, equal ? (void *)&gpr[KEEL_RBX] : (void *)&lo, half);
	memcpy(new + half, equal ? (void *)&gpr[KEEL_RCX] : (void *)&hi, half);
	if (locked)
		r = e->ops->replace(e, lin, old, new, 2 * half);
	else
		r = e->ops->write(e, lin, new, 2 * half, acc);
	if (r)
		return r;
	if (equal) {
		e->regs->rflags |= FL_ZF;
	} else {
		gpr[KEEL_RAX] = lo;
		gpr[KEEL_RDX] = hi;
		e->regs->rflags &= ~FL_ZF;
	}
	return emul_done(e);
}

/* The source is read, and a 32-bit destination cleared above, whatever the condition says. */
int exec_cmov(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	struct emul_rm rm;
	int r;

	r = emul_rm_read(e, size, 0, &rm);
	if (r)
		return r;
	if (!alu_condition(e->insn.opcode, e->regs->rflags))
		rm.val = emul_reg(e, e->insn.reg, size);
	emul_set_reg(e, e->insn.reg, size, rm.val);
	return emul_done(e);
}

int exec_setcc(struct keel_emul *e)
{
	int r = emul_rm_store(e, 1, alu_condition(e->insn.opcode, e->regs->rflags));

	return r ? r : emul_done(e);
}

/* ADD OR ADC SBB AND SUB XOR CMP in all their forms. */
int exec_alu(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;
	unsigned int size = e->insn.op_size;
	u64 fl = e->regs->rflags, val;
	struct emul_rm rm;
	int r;

	if (op->dst == O_RM) {
		r = emul_rm_read(e, size, op->aux == ALU_CMP ? 0 : KEEL_EMUL_ACC_WRITE, &rm);
		if (r)
			return r;
		val = alu_binary(op->aux, rm.val, emul_operand(e, op->src, size), size, &fl);
		r = op->aux == ALU_CMP ? 0 : emul_rm_write(e, size, &rm, val);
		if (r)
			return r;
	} else {
		rm.val = emul_operand(e, op->src, size);
		r = op->src == O_RM ? emul_rm_read(e, size, 0, &rm) : 0;
		if (r)
			return r;
		val = alu_binary(op->aux, emul_operand(e, op->dst, size), rm.val, size, &fl);
		if (op->aux != ALU_CMP)
			emul_set_operand(e, op->dst, size, val);
	}
	e->regs->rflags = fl;
	return emul_done(e);
}

int exec_test(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;
	unsigned int size = e->insn.op_size;
	struct emul_rm rm;
	int r;

	rm.val = emul_operand(e, op->dst, size);
	r = op->dst == O_RM ? emul_rm_read(e, size, 0, &rm) : 0;
	if (r)
		return r;
	alu_binary(ALU_AND, rm.val, emul_operand(e, op->src, size), size, &e->regs->rflags);
	return emul_done(e);
}

/* NOT NEG INC DEC. */
int exec_unary(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;
	unsigned int size = e->insn.op_size;
	u64 fl = e->regs->rflags, val;
	struct emul_rm rm;
	int r;

	if (op->dst != O_RM) {
		val = alu_unary(op->aux, emul_operand(e, op->dst, size), size, &fl);
		emul_set_operand(e, op->dst, size, val);
	} else {
		r = emul_rm_read(e, size, KEEL_EMUL_ACC_WRITE, &rm);
		if (r)
			return r;
		r = emul_rm_write(e, size, &rm, alu_unary(op->aux, rm.val, size, &fl));
		if (r)
			return r;
	}
	e->regs->rflags = fl;
	return emul_done(e);
}

/* ROL ROR RCL RCR SHL SHR SAR. A count of zero still reads and writes. */
int exec_shift(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;
	unsigned int size = e->insn.op_size, count = emul_operand(e, op->src, 1);
	u64 fl = e->regs->rflags, val;
	struct emul_rm rm;
	int r;

	r = emul_rm_read(e, size, KEEL_EMUL_ACC_WRITE, &rm);
	if (r)
		return r;
	val = alu_shift(e->insn.reg & 7, rm.val, count, size, &fl);
	r = emul_rm_write(e, size, &rm, val);
	if (r)
		return r;
	e->regs->rflags = fl;
	return emul_done(e);
}

/* SHLD, and SHRD if aux says so. */
int exec_shld(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;
	unsigned int size = e->insn.op_size, count = emul_operand(e, op->src, 1);
	u64 fl = e->regs->rflags, val;
	struct emul_rm rm;
	int r;

	r = emul_rm_read(e, size, KEEL_EMUL_ACC_WRITE, &rm);
	if (r)
		return r;
	val = alu_shift_double(op->aux, rm.val, emul_reg(e, e->insn.reg, size), count, size, &fl);
	r = emul_rm_write(e, size, &rm, val);
	if (r)
		return r;
	e->regs->rflags = fl;
	return emul_done(e);
}

int exec_nop(struct keel_emul *e)
{
	return emul_done(e);
}

/* LFENCE and MFENCE; their opcodes are state instructions with memory. */
int exec_fence(struct keel_emul *e)
{
	return e->insn.mem ? KEEL_EMUL_UNKNOWN : emul_done(e);
}

/*
 * CLFLUSH and its kin fault as a read of one byte would, and do nothing more: Keel's memory is
 * coherent.
 */
int exec_cache_line(struct keel_emul *e)
{
	gva_t lin;
	int r;

	if (!e->insn.mem)	/* SFENCE; what the others are is not known */
		return e->insn.prefixes & KEEL_EMUL_PFX_OPSZ ? KEEL_EMUL_UNKNOWN : emul_done(e);
	r = emul_linear(e, e->insn.seg, emul_offset(e), 1, 0, &lin);
	if (!r)
		r = e->ops->probe(e, lin, 1, 0);
	return r ? r : emul_done(e);
}
