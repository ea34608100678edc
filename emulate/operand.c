// SPDX-License-Identifier: GPL-2.0
/*
 * Operands: registers and their parts, effective addresses, segmentation with its faults, and
 * the reads and writes that instructions make. It owns the check of an address before a
 * callback sees it. It must not know what an instruction computes.
 *
 * Where processors differ, or an access wraps around the end of the linear address space, the
 * answer is
 * KEEL_EMUL_UNKNOWN. An access that is both misaligned (with alignment checks on) and not
 * mapped raises #AC.
 */
#include "emulate/internal.h"

int keel_emul_fault(struct keel_emul *e, u8 vector, u32 error, u64 cr2)
{
	bool has_error = vector == 8 || (vector >= 10 && vector <= 14) || vector == EXC_AC;

	if (e->mode == KEEL_EMUL_REAL)
		has_error = false;
	e->exc.vector = vector;
	e->exc.has_error = has_error;
	e->exc.error = has_error ? error : 0;
	e->exc.cr2 = cr2;
	return KEEL_EMUL_FAULT;
}

int emul_gp0(struct keel_emul *e)
{
	return keel_emul_fault(e, EXC_GP, 0, 0);
}

int emul_ud(struct keel_emul *e)
{
	return keel_emul_fault(e, EXC_UD, 0, 0);
}

int emul_done(struct keel_emul *e)
{
	u64 rip = e->regs->rip + e->insn.length;

	e->regs->rip = e->mode == KEEL_EMUL_LONG64 ? rip : (u32)rip;
	e->steps++;
	return KEEL_EMUL_DONE;
}

u64 emul_reg(const struct keel_emul *e, unsigned int reg, unsigned int size)
{
	if (size == 1 && !e->insn.rex && (reg & 4))
		return (e->regs->gpr[reg & 3] >> 8) & 0xff;
	return e->regs->gpr[reg & 15] & emul_mask(size);
}

void emul_set_word(u64 *reg, unsigned int size, u64 val)
{
	u64 mask = emul_mask(size);

	if (size == 4)
		*reg = (u32)val;
	else
		*reg = (*reg & ~mask) | (val & mask);
}

void emul_set_reg(struct keel_emul *e, unsigned int reg, unsigned int size, u64 val)
{
	u64 *gpr = e->regs->gpr;

	if (size == 1 && !e->insn.rex && (reg & 4))
		gpr[reg & 3] = (gpr[reg & 3] & ~0xff00ULL) | (val & 0xff) << 8;
	else
		emul_set_word(&gpr[reg & 15], size, val);
}

static u8 opcode_reg(const struct keel_emul *e)
{
	return (e->insn.opcode & 7) | (e->insn.rex & 1) << 3;
}

u64 emul_operand(const struct keel_emul *e, unsigned int kind, unsigned int size)
{
	switch (kind) {
	case O_REG:
		return emul_reg(e, e->insn.reg, size);
	case O_OREG:
		return emul_reg(e, opcode_reg(e), size);
	case O_ACC:
		return e->regs->gpr[KEEL_RAX] & emul_mask(size);
	case O_IMM:
		return e->insn.imm & emul_mask(size);
	case O_ONE:
		return 1;
	case O_CL:
		return e->regs->gpr[KEEL_RCX] & 0xff;
	default:
		return 0;
	}
}

void emul_set_operand(struct keel_emul *e, unsigned int kind, unsigned int size, u64 val)
{
	switch (kind) {
	case O_REG:
		emul_set_reg(e, e->insn.reg, size, val);
		break;
	case O_OREG:
		emul_set_reg(e, opcode_reg(e), size, val);
		break;
	case O_ACC:
		emul_set_word(&e->regs->gpr[KEEL_RAX], size, val);
		break;
	default:
		break;
	}
}

u64 emul_offset(const struct keel_emul *e)
{
	const struct keel_emul_insn *in = &e->insn;
	u64 off = in->disp;

	if (in->base == KEEL_EMUL_RIP)
		off += e->regs->rip + in->length;
	else if (in->base != KEEL_EMUL_NOREG)
		off += e->regs->gpr[in->base & 15];
	if (in->index != KEEL_EMUL_NOREG)
		off += e->regs->gpr[in->index & 15] << in->scale;
	return off & emul_mask(in->addr_size);
}

bool emul_canonical(const struct keel_emul *e, u64 lin)
{
	unsigned int shift = e->flags & KEEL_EMUL_S_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(lin << shift) >> shift) == lin;
}

static int segment_fault(struct keel_emul *e, unsigned int seg)
{
	return keel_emul_fault(e, seg == KEEL_SEG_SS ? EXC_SS : EXC_GP, 0, 0);
}

static int linear_long(struct keel_emul *e, unsigned int seg, u64 off, unsigned int size,
		       unsigned int acc, gva_t *lin)
{
	struct keel_emul_segment desc;
	u64 first = off, last;
	int r;

	if (seg >= KEEL_SEG_FS) {
		r = e->ops->segment(e, seg, &desc);
		if (r)
			return r;
		first += desc.base;
	}
	if (acc & EMUL_ACC_ALIGNED && !IS_ALIGNED(first, size))
		return emul_gp0(e);
	last = first + size - 1;
	if (!emul_canonical(e, first) || !emul_canonical(e, last))
		return segment_fault(e, seg);
	if (last < first)
		return KEEL_EMUL_UNKNOWN;
	*lin = first;
	return KEEL_EMUL_OK;
}

/* Whether [@off, @off + @size) lies in the segment. */
static bool in_limit(const struct keel_emul_segment *desc, u64 off, unsigned int size)
{
	u64 last = off + size - 1;

	if ((desc->attr & (KEEL_SEGA_CODE | KEEL_SEGA_DOWN)) != KEEL_SEGA_DOWN)
		return last <= desc->limit;
	return off > desc->limit && last <= (desc->attr & KEEL_SEGA_DB ? 0xffffffffU : 0xffffU);
}

/* Whether the segment's type allows the access, in protected mode. */
static bool type_allows(const struct keel_emul_segment *desc, unsigned int acc)
{
	u32 attr = desc->attr;

	if (attr & KEEL_SEGA_UNUSABLE)
		return false;
	if (acc & KEEL_EMUL_ACC_WRITE)
		return (attr & (KEEL_SEGA_CODE | KEEL_SEGA_WR)) == KEEL_SEGA_WR;
	return (attr & (KEEL_SEGA_CODE | KEEL_SEGA_WR)) != KEEL_SEGA_CODE;
}

static int linear_legacy(struct keel_emul *e, unsigned int seg, u64 off, unsigned int size,
			 unsigned int acc, gva_t *lin)
{
	struct keel_emul_segment desc;
	u32 first;
	int r;

	r = e->ops->segment(e, seg, &desc);
	if (r)
		return r;
	if (e->mode >= KEEL_EMUL_PROT16 && !type_allows(&desc, acc))
		return segment_fault(e, seg);
	if (!in_limit(&desc, off, size))
		return segment_fault(e, seg);
	first = (u32)(desc.base + off);
	if (first + (size - 1) < first)
		return KEEL_EMUL_UNKNOWN;
	*lin = first;
	return KEEL_EMUL_OK;
}

int emul_linear(struct keel_emul *e, unsigned int seg, u64 off, unsigned int size, unsigned int acc,
		gva_t *lin)
{
	int r;

	if (e->mode == KEEL_EMUL_LONG64)
		r = linear_long(e, seg, off, size, acc, lin);
	else
		r = linear_legacy(e, seg, off, size, acc, lin);
	if (r)
		return r;
	if (unlikely((e->regs->rflags & FL_AC) && e->cpl == 3 && (e->flags & KEEL_EMUL_S_AM)) &&
	    is_power_of_2(size) && size <= 8 && !IS_ALIGNED(*lin, size))
		return keel_emul_fault(e, EXC_AC, 0, 0);
	return KEEL_EMUL_OK;
}

int emul_check_rip(struct keel_emul *e, u64 off)
{
	struct keel_emul_segment cs;
	int r;

	if (e->mode == KEEL_EMUL_LONG64)
		return emul_canonical(e, off) ? KEEL_EMUL_OK : emul_gp0(e);
	r = e->ops->segment(e, KEEL_SEG_CS, &cs);
	if (r)
		return r;
	return off <= cs.limit ? KEEL_EMUL_OK : emul_gp0(e);
}

int emul_read(struct keel_emul *e, unsigned int seg, u64 off, unsigned int size, unsigned int acc,
	      u64 *val)
{
	gva_t lin;
	int r;

	r = emul_linear(e, seg, off, size, acc, &lin);
	if (r)
		return r;
	*val = 0;
	return e->ops->read(e, lin, val, size, acc);
}

int emul_write(struct keel_emul *e, unsigned int seg, u64 off, unsigned int size, unsigned int acc,
	       u64 val)
{
	gva_t lin;
	int r;

	r = emul_linear(e, seg, off, size, acc | KEEL_EMUL_ACC_WRITE, &lin);
	if (r)
		return r;
	return e->ops->write(e, lin, &val, size, acc | KEEL_EMUL_ACC_WRITE);
}

int emul_rm_read(struct keel_emul *e, unsigned int size, unsigned int acc, struct emul_rm *rm)
{
	int r;

	rm->locked = acc & KEEL_EMUL_ACC_LOCKED;
	if (!e->insn.mem) {
		rm->val = emul_reg(e, e->insn.rm, size);
		return KEEL_EMUL_OK;
	}
	if ((e->insn.prefixes & KEEL_EMUL_PFX_LOCK) && (acc & KEEL_EMUL_ACC_WRITE)) {
		rm->locked = true;
		acc |= KEEL_EMUL_ACC_LOCKED;
	}
	r = emul_linear(e, e->insn.seg, emul_offset(e), size, acc, &rm->lin);
	if (r)
		return r;
	rm->val = 0;
	return e->ops->read(e, rm->lin, &rm->val, size, acc);
}

int emul_rm_write(struct keel_emul *e, unsigned int size, const struct emul_rm *rm, u64 val)
{
	if (!e->insn.mem) {
		emul_set_reg(e, e->insn.rm, size, val);
		return KEEL_EMUL_OK;
	}
	if (rm->locked)
		return e->ops->replace(e, rm->lin, &rm->val, &val, size);
	return e->ops->write(e, rm->lin, &val, size, KEEL_EMUL_ACC_WRITE);
}

int emul_rm_store(struct keel_emul *e, unsigned int size, u64 val)
{
	if (!e->insn.mem) {
		emul_set_reg(e, e->insn.rm, size, val);
		return KEEL_EMUL_OK;
	}
	return emul_write(e, e->insn.seg, emul_offset(e), size, 0, val);
}
