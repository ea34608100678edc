// SPDX-License-Identifier: GPL-2.0
/*
 * Handler of the string instructions and of REP. It owns their iterations: each is committed on
 * its own, so that a fault, an interrupt or a wait for the launcher in the middle leaves the
 * registers that the architecture wants. It must not know what lies behind an address.
 *
 * A REP whose count is zero from the start changes no register but RIP. When an iteration of
 * CMPS or SCAS faults, the flags are again those from before the instruction, as the manual
 * says of page faults: no iteration needs the flags of the one before.
 */
#include "emulate/internal.h"

/* What is the same in all iterations. */
struct string {
	unsigned int size;	/* of an element */
	unsigned int asize;	/* of addresses and the counter */
	u64 amask;
	u64 step;		/* to the next element: size, or minus that */
};

static u64 si_off(const struct keel_emul *e, const struct string *s)
{
	return e->regs->gpr[KEEL_RSI] & s->amask;
}

static u64 di_off(const struct keel_emul *e, const struct string *s)
{
	return e->regs->gpr[KEEL_RDI] & s->amask;
}

static void advance(struct keel_emul *e, const struct string *s, unsigned int reg)
{
	emul_set_word(&e->regs->gpr[reg], s->asize, e->regs->gpr[reg] + s->step);
}

static int read_si(struct keel_emul *e, const struct string *s, u64 *val)
{
	return emul_read(e, e->insn.seg, si_off(e, s), s->size, 0, val);
}

static int read_di(struct keel_emul *e, const struct string *s, u64 *val)
{
	return emul_read(e, KEEL_SEG_ES, di_off(e, s), s->size, 0, val);
}

static int write_di(struct keel_emul *e, const struct string *s, u64 val)
{
	return emul_write(e, KEEL_SEG_ES, di_off(e, s), s->size, 0, val);
}

static int do_movs(struct keel_emul *e, const struct string *s)
{
	u64 val;
	int r;

	r = read_si(e, s, &val);
	if (!r)
		r = write_di(e, s, val);
	if (r)
		return r;
	advance(e, s, KEEL_RSI);
	advance(e, s, KEEL_RDI);
	return KEEL_EMUL_OK;
}

/* Processors look at the second operand first, which shows when neither can be read. */
static int do_cmps(struct keel_emul *e, const struct string *s)
{
	u64 a, b;
	int r;

	r = read_di(e, s, &b);
	if (!r)
		r = read_si(e, s, &a);
	if (r)
		return r;
	alu_binary(ALU_CMP, a, b, s->size, &e->regs->rflags);
	advance(e, s, KEEL_RSI);
	advance(e, s, KEEL_RDI);
	return KEEL_EMUL_OK;
}

static int do_stos(struct keel_emul *e, const struct string *s)
{
	int r = write_di(e, s, e->regs->gpr[KEEL_RAX] & emul_mask(s->size));

	if (!r)
		advance(e, s, KEEL_RDI);
	return r;
}

static int do_lods(struct keel_emul *e, const struct string *s)
{
	u64 val;
	int r;

	r = read_si(e, s, &val);
	if (r)
		return r;
	emul_set_word(&e->regs->gpr[KEEL_RAX], s->size, val);
	advance(e, s, KEEL_RSI);
	return KEEL_EMUL_OK;
}

static int do_scas(struct keel_emul *e, const struct string *s)
{
	u64 val;
	int r;

	r = read_di(e, s, &val);
	if (r)
		return r;
	alu_binary(ALU_CMP, e->regs->gpr[KEEL_RAX] & emul_mask(s->size), val, s->size,
		   &e->regs->rflags);
	advance(e, s, KEEL_RDI);
	return KEEL_EMUL_OK;
}

/* The destination is probed first: what a port has given cannot be put back. */
static int do_ins(struct keel_emul *e, const struct string *s)
{
	gva_t lin;
	u32 val;
	int r;

	r = emul_linear(e, KEEL_SEG_ES, di_off(e, s), s->size, KEEL_EMUL_ACC_WRITE, &lin);
	if (!r)
		r = e->ops->probe(e, lin, s->size, KEEL_EMUL_ACC_WRITE);
	if (!r)
		r = e->ops->pio_in(e, (u16)e->regs->gpr[KEEL_RDX], s->size, &val);
	if (!r)
		r = e->ops->write(e, lin, &val, s->size, KEEL_EMUL_ACC_WRITE);
	if (!r)
		advance(e, s, KEEL_RDI);
	return r;
}

static int do_outs(struct keel_emul *e, const struct string *s)
{
	u64 val;
	int r;

	r = read_si(e, s, &val);
	if (!r)
		r = e->ops->pio_out(e, (u16)e->regs->gpr[KEEL_RDX], s->size, (u32)val);
	if (!r)
		advance(e, s, KEEL_RSI);
	return r;
}

static int (*const iterations[])(struct keel_emul *e, const struct string *s) = {
	[STR_MOVS] = do_movs,
	[STR_CMPS] = do_cmps,
	[STR_STOS] = do_stos,
	[STR_LODS] = do_lods,
	[STR_SCAS] = do_scas,
	[STR_INS] = do_ins,
	[STR_OUTS] = do_outs,
};

/* Whether CMPS or SCAS under REPE or REPNE has found what ends it. */
static bool found(const struct keel_emul *e)
{
	bool zf = e->regs->rflags & FL_ZF;

	if (e->insn.op->aux != STR_CMPS && e->insn.op->aux != STR_SCAS)
		return false;
	return zf == !!(e->insn.prefixes & KEEL_EMUL_PFX_REPNE);
}

int exec_string(struct keel_emul *e)
{
	unsigned int what = e->insn.op->aux, left = e->batch ? e->batch : KEEL_EMUL_BATCH;
	bool port = what == STR_INS || what == STR_OUTS;
	u64 *rcx = &e->regs->gpr[KEEL_RCX], flags = e->regs->rflags;
	struct string s;
	int r;

	s.size = port ? min_t(unsigned int, e->insn.op_size, 4) : e->insn.op_size;
	s.asize = e->insn.addr_size;
	s.amask = emul_mask(s.asize);
	s.step = e->regs->rflags & FL_DF ? -(u64)s.size : s.size;
	if (!(e->insn.prefixes & (KEEL_EMUL_PFX_REP | KEEL_EMUL_PFX_REPNE))) {
		r = iterations[what](e, &s);
		return r ? r : emul_done(e);
	}
	if (!(*rcx & s.amask))
		return emul_done(e);
	for (;;) {
		r = iterations[what](e, &s);
		if (r == KEEL_EMUL_FAULT)
			e->regs->rflags = flags;
		if (r)
			return r;
		emul_set_word(rcx, s.asize, *rcx - 1);
		if (!(*rcx & s.amask) || found(e))
			return emul_done(e);
		e->steps++;
		if (!--left)
			return KEEL_EMUL_DONE_MORE;
	}
}
