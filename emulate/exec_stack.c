// SPDX-License-Identifier: GPL-2.0
/*
 * Handlers of the stack and near-branch instructions. It owns the width of the stack pointer,
 * which is SS's and not the operand's, and the checks of a branch target. It must not know far
 * transfers.
 */
#include "emulate/internal.h"

/* The part of rSP that is the stack pointer. */
static int stack_mask(struct keel_emul *e, u64 *mask)
{
	struct keel_emul_segment ss;
	int r;

	*mask = ~0ULL;
	if (e->mode == KEEL_EMUL_LONG64)
		return KEEL_EMUL_OK;
	r = e->ops->segment(e, KEEL_SEG_SS, &ss);
	*mask = ss.attr & KEEL_SEGA_DB ? 0xffffffff : 0xffff;
	return r;
}

static u64 stack_add(u64 sp, u64 delta, u64 mask)
{
	return (sp & ~mask) | ((sp + delta) & mask);
}

/* Push below *sp and move it; the caller makes it rSP at the end. */
static int push(struct keel_emul *e, u64 *sp, u64 mask, u64 val)
{
	unsigned int size = e->insn.op_size;
	u64 to = stack_add(*sp, -(u64)size, mask);
	int r;

	r = emul_write(e, KEEL_SEG_SS, to & mask, size, KEEL_EMUL_ACC_STACK, val);
	if (!r)
		*sp = to;
	return r;
}

static int pop(struct keel_emul *e, u64 *sp, u64 mask, u64 *val)
{
	unsigned int size = e->insn.op_size;
	int r;

	r = emul_read(e, KEEL_SEG_SS, *sp & mask, size, KEEL_EMUL_ACC_STACK, val);
	if (!r)
		*sp = stack_add(*sp, size, mask);
	return r;
}

/* Whether @n pushes below @sp will be possible. */
static int probe_pushes(struct keel_emul *e, u64 sp, u64 mask, unsigned int n)
{
	unsigned int size = e->insn.op_size, acc = KEEL_EMUL_ACC_WRITE | KEEL_EMUL_ACC_STACK;
	gva_t lin;
	int r = KEEL_EMUL_OK;

	while (!r && n--) {
		sp = stack_add(sp, -(u64)size, mask);
		r = emul_linear(e, KEEL_SEG_SS, sp & mask, size, acc, &lin);
		if (!r)
			r = e->ops->probe(e, lin, size, acc);
	}
	return r;
}

/* The common end of one push of @val. */
static int push_one(struct keel_emul *e, u64 val)
{
	u64 sp = e->regs->gpr[KEEL_RSP], mask;
	int r;

	r = stack_mask(e, &mask);
	if (!r)
		r = push(e, &sp, mask, val);
	if (r)
		return r;
	e->regs->gpr[KEEL_RSP] = sp;
	return emul_done(e);
}

int exec_push(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size;
	struct emul_rm rm;
	int r;

	if (e->insn.op->src != O_RM)
		return push_one(e, emul_operand(e, e->insn.op->src, size));
	r = emul_rm_read(e, size, 0, &rm);
	return r ? r : push_one(e, rm.val);
}

/* The selector is pushed zero-extended to the operand size. */
int exec_push_sreg(struct keel_emul *e)
{
	struct keel_emul_segment desc;
	int r;

	r = e->ops->segment(e, e->insn.op->aux, &desc);
	return r ? r : push_one(e, desc.selector);
}

/* A memory operand based on rSP is addressed with rSP after the pop. */
int exec_pop(struct keel_emul *e)
{
	struct keel_emul_insn *in = &e->insn;
	unsigned int size = in->op_size;
	u64 *rsp = &e->regs->gpr[KEEL_RSP], sp = *rsp, disp = in->disp, mask, val;
	int r;

	r = stack_mask(e, &mask);
	if (!r)
		r = pop(e, &sp, mask, &val);
	if (r)
		return r;
	if (in->mem) {
		if (in->base == KEEL_RSP)
			in->disp += sp - *rsp;
		r = emul_rm_store(e, size, val);
		in->disp = disp;
		if (r)
			return r;
		*rsp = sp;
	} else {
		*rsp = sp;
		if (in->op->dst == O_RM)
			emul_set_reg(e, in->rm, size, val);
		else
			emul_set_operand(e, in->op->dst, size, val);
	}
	return emul_done(e);
}

int exec_pusha(struct keel_emul *e)
{
	u64 *gpr = e->regs->gpr, sp = gpr[KEEL_RSP], mask;
	unsigned int i;
	int r;

	r = stack_mask(e, &mask);
	if (!r)
		r = probe_pushes(e, sp, mask, 8);
	for (i = KEEL_RAX; !r && i <= KEEL_RDI; i++)
		r = push(e, &sp, mask, gpr[i]);
	if (r)
		return r;
	gpr[KEEL_RSP] = sp;
	return emul_done(e);
}

int exec_popa(struct keel_emul *e)
{
	u64 *gpr = e->regs->gpr, sp = gpr[KEEL_RSP], mask, val[8];
	unsigned int i;
	int r;

	r = stack_mask(e, &mask);
	for (i = 8; !r && i--;)
		r = pop(e, &sp, mask, &val[i]);
	if (r)
		return r;
	for (i = 0; i < 8; i++)
		if (i != KEEL_RSP)
			emul_set_word(&gpr[i], e->insn.op_size, val[i]);
	gpr[KEEL_RSP] = sp;
	return emul_done(e);
}

/*
 * PUSHF and POPF in virtual-8086 mode need IOPL 3, unless the mode's extensions give them
 * another meaning, which is not emulated; the same extensions change POPF at CPL 3 in protected
 * mode.
 */
static int check_flags_access(struct keel_emul *e, bool popf)
{
	unsigned int iopl = (e->regs->rflags & FL_IOPL) >> FL_IOPL_SHIFT;
	bool vme = e->flags & KEEL_EMUL_S_VME;

	if (iopl == 3)
		return KEEL_EMUL_OK;
	if (e->mode == KEEL_EMUL_VM86)
		return vme ? KEEL_EMUL_UNKNOWN : emul_gp0(e);
	if (popf && vme && e->cpl == 3 && e->mode != KEEL_EMUL_REAL)
		return KEEL_EMUL_UNKNOWN;
	return KEEL_EMUL_OK;
}

int exec_pushf(struct keel_emul *e)
{
	int r = check_flags_access(e, false);

	return r ? r : push_one(e, (e->regs->rflags & ~(FL_VM | FL_RF)) | FL_FIXED);
}

int exec_popf(struct keel_emul *e)
{
	u64 change = FL_ARITH | FL_TF | FL_DF | FL_NT, mask, val;
	u64 *fl = &e->regs->rflags, sp = e->regs->gpr[KEEL_RSP];
	bool real = e->mode == KEEL_EMUL_REAL;
	int r;

	r = check_flags_access(e, true);
	if (!r)
		r = stack_mask(e, &mask);
	if (!r)
		r = pop(e, &sp, mask, &val);
	if (r)
		return r;
	if (e->insn.op_size > 2)
		change |= FL_AC | FL_ID | FL_RF;
	val &= ~FL_RF;
	if (real || (e->mode != KEEL_EMUL_VM86 && e->cpl == 0))
		change |= FL_IOPL;
	if (real || e->cpl <= (*fl & FL_IOPL) >> FL_IOPL_SHIFT)
		change |= FL_IF;
	*fl = (*fl & ~change) | (val & change) | FL_FIXED;
	e->regs->gpr[KEEL_RSP] = sp;
	return emul_done(e);
}

/*
 * An operand size other than the stack's is not emulated: manuals leave open which part of rBP
 * counts.
 */
int exec_enter(struct keel_emul *e)
{
	unsigned int size = e->insn.op_size, level = e->insn.imm2 & 31, i;
	unsigned int acc = KEEL_EMUL_ACC_WRITE | KEEL_EMUL_ACC_STACK;
	u64 *gpr = e->regs->gpr, sp = gpr[KEEL_RSP], bp = gpr[KEEL_RBP], frame, mask, val;
	gva_t lin;
	int r;

	r = stack_mask(e, &mask);
	if (r)
		return r;
	if (mask != emul_mask(size))
		return KEEL_EMUL_UNKNOWN;
	r = probe_pushes(e, sp, mask, level + 1);
	if (r)
		return r;
	frame = stack_add(sp, -(u64)size, mask);
	/* The new top of the stack has to be writable, although nothing is written there. */
	val = stack_add(frame, -(e->insn.imm + (u64)level * size), mask) & mask;
	r = emul_linear(e, KEEL_SEG_SS, val, size, acc, &lin);
	if (!r)
		r = e->ops->probe(e, lin, size, acc);
	if (!r)
		r = push(e, &sp, mask, bp);
	for (i = 1; !r && i < level; i++) {
		bp = stack_add(bp, -(u64)size, mask);
		r = emul_read(e, KEEL_SEG_SS, bp & mask, size, KEEL_EMUL_ACC_STACK, &val);
		if (!r)
			r = push(e, &sp, mask, val);
	}
	if (!r && level)
		r = push(e, &sp, mask, frame);
	if (r)
		return r;
	emul_set_word(&gpr[KEEL_RBP], size, frame);
	gpr[KEEL_RSP] = stack_add(sp, -e->insn.imm, mask);
	return emul_done(e);
}

int exec_leave(struct keel_emul *e)
{
	u64 *gpr = e->regs->gpr, sp, mask, val;
	int r;

	r = stack_mask(e, &mask);
	if (r)
		return r;
	sp = (gpr[KEEL_RSP] & ~mask) | (gpr[KEEL_RBP] & mask);
	r = pop(e, &sp, mask, &val);
	if (r)
		return r;
	emul_set_word(&gpr[KEEL_RBP], e->insn.op_size, val);
	gpr[KEEL_RSP] = sp;
	return emul_done(e);
}

/* The address after this instruction, plus a relative distance, in the operand size. */
static u64 relative(const struct keel_emul *e, u64 distance)
{
	return (e->regs->rip + e->insn.length + distance) & emul_mask(e->insn.op_size);
}

/* The target of CALL and JMP: relative, or in a register or memory. */
static int branch_target(struct keel_emul *e, u64 *target)
{
	struct emul_rm rm;
	int r;

	if (e->insn.op->src == O_IMM) {
		*target = relative(e, e->insn.imm);
	} else {
		r = emul_rm_read(e, e->insn.op_size, 0, &rm);
		if (r)
			return r;
		*target = rm.val;
	}
	return KEEL_EMUL_OK;
}

static int jump_done(struct keel_emul *e, u64 target)
{
	e->regs->rip = target;
	e->steps++;
	return KEEL_EMUL_DONE;
}

int exec_jmp(struct keel_emul *e)
{
	u64 target;
	int r = branch_target(e, &target);

	if (!r)
		r = emul_check_rip(e, target);
	return r ? r : jump_done(e, target);
}

/* A fault of the push comes before one of the target. */
int exec_call(struct keel_emul *e)
{
	u64 sp = e->regs->gpr[KEEL_RSP], target, mask;
	int r;

	r = branch_target(e, &target);
	if (!r)
		r = stack_mask(e, &mask);
	if (!r)
		r = probe_pushes(e, sp, mask, 1);
	if (!r)
		r = emul_check_rip(e, target);
	if (!r)
		r = push(e, &sp, mask, relative(e, 0));
	if (r)
		return r;
	e->regs->gpr[KEEL_RSP] = sp;
	return jump_done(e, target);
}

/* The immediate is the number of bytes to drop, or none. */
int exec_ret(struct keel_emul *e)
{
	u64 sp = e->regs->gpr[KEEL_RSP], target, mask;
	int r;

	r = stack_mask(e, &mask);
	if (!r)
		r = pop(e, &sp, mask, &target);
	if (!r)
		r = emul_check_rip(e, target);
	if (r)
		return r;
	e->regs->gpr[KEEL_RSP] = stack_add(sp, e->insn.imm, mask);
	return jump_done(e, target);
}

static int jump_if(struct keel_emul *e, bool taken)
{
	u64 target = relative(e, e->insn.imm);
	int r;

	if (!taken)
		return emul_done(e);
	r = emul_check_rip(e, target);
	return r ? r : jump_done(e, target);
}

int exec_jcc(struct keel_emul *e)
{
	return jump_if(e, alu_condition(e->insn.opcode, e->regs->rflags));
}

/* LOOPNE LOOPE LOOP JCXZ, which count in as much of rCX as addresses have. */
int exec_loop(struct keel_emul *e)
{
	u64 *rcx = &e->regs->gpr[KEEL_RCX], old = *rcx, mask = emul_mask(e->insn.addr_size);
	bool zf = e->regs->rflags & FL_ZF, taken;
	int r;

	if (e->insn.opcode == 0xe3)
		return jump_if(e, !(old & mask));
	taken = (old - 1) & mask;
	if (e->insn.opcode == 0xe0)
		taken = taken && !zf;
	else if (e->insn.opcode == 0xe1)
		taken = taken && zf;
	emul_set_word(rcx, e->insn.addr_size, old - 1);
	r = jump_if(e, taken);
	if (r)
		*rcx = old;
	return r;
}
