// SPDX-License-Identifier: GPL-2.0
/*
 * The decoder: bytes to struct keel_emul_insn, by direct look-up in the tables of tables.c. It
 * owns prefixes, ModRM and SIB, immediates, the effective sizes, and the faults that an
 * encoding itself raises. It must not know what instructions do, and reads no register but RIP.
 */
#include "emulate/internal.h"

void keel_emul_begin(struct keel_emul *e, const void *bytes, unsigned int len)
{
	e->fetched = (u8)min_t(unsigned int, len, KEEL_EMUL_MAX_BYTES);
	if (e->fetched)
		memcpy(e->bytes, bytes, e->fetched);
}

/*
 * Fetch more bytes: to the end of their page, of the longest instruction, and of the code
 * segment.
 */
static noinline int fetch_more(struct keel_emul *e)
{
	unsigned int have = e->fetched, want = KEEL_EMUL_MAX_BYTES - have;
	struct keel_emul_segment cs;
	u64 off = e->regs->rip + have;
	int r;

	if (!want)
		return emul_gp0(e);
	if (e->mode == KEEL_EMUL_LONG64) {
		if (!emul_canonical(e, off))
			return emul_gp0(e);
	} else {
		r = e->ops->segment(e, KEEL_SEG_CS, &cs);
		if (r)
			return r;
		off = (u32)e->regs->rip + (u64)have;
		if (off > cs.limit)
			return emul_gp0(e);
		want = (unsigned int)min_t(u64, want, cs.limit - off + 1);
		off = (u32)(off + cs.base);
	}
	want = min_t(unsigned int, want, KEEL_PAGE_SIZE - keel_page_offset(off));
	r = e->ops->fetch(e, off, e->bytes + have, want);
	if (!r)
		e->fetched = (u8)(have + want);
	return r;
}

/* Take @n bytes; insn.length is the cursor. */
static int take(struct keel_emul *e, unsigned int n, u64 *val)
{
	unsigned int at = e->insn.length, i;
	u64 v = 0;
	int r;

	while (unlikely(at + n > e->fetched)) {
		r = fetch_more(e);
		if (r)
			return r;
	}
	for (i = 0; i < n; i++)
		v |= (u64)e->bytes[at + i] << (8 * i);
	e->insn.length = (u8)(at + n);
	*val = v;
	return KEEL_EMUL_OK;
}

static __always_inline int take_byte(struct keel_emul *e, u8 *b)
{
	int r;

	if (unlikely(e->insn.length >= e->fetched)) {
		r = fetch_more(e);
		if (r)
			return r;
	}
	*b = e->bytes[e->insn.length++];
	return KEEL_EMUL_OK;
}

static int take_signed(struct keel_emul *e, unsigned int n, u64 *val)
{
	u64 v;
	int r = take(e, n, &v);

	if (!r)
		*val = emul_sext(v, n);
	return r;
}

static void take_prefix(struct keel_emul_insn *in, unsigned int which, bool long64)
{
	switch (which) {
	case PFX_OPSZ:
		in->prefixes |= KEEL_EMUL_PFX_OPSZ;
		break;
	case PFX_ADSZ:
		in->prefixes |= KEEL_EMUL_PFX_ADSZ;
		break;
	case PFX_LOCK:
		in->prefixes |= KEEL_EMUL_PFX_LOCK;
		break;
	case PFX_REP:
		in->prefixes &= ~KEEL_EMUL_PFX_REPNE;
		in->prefixes |= KEEL_EMUL_PFX_REP;
		break;
	case PFX_REPNE:
		in->prefixes &= ~KEEL_EMUL_PFX_REP;
		in->prefixes |= KEEL_EMUL_PFX_REPNE;
		break;
	default:
		/* In long mode an override of ES, CS, SS or DS is as if it were not there. */
		if (long64 && which < PFX_SEG_FS)
			break;
		in->prefixes |= KEEL_EMUL_PFX_SEG;
		in->seg = (u8)(which - PFX_SEG_ES);
		break;
	}
}

/* Prefixes and opcode bytes; *op is the row, before groups are resolved. */
static int take_opcode(struct keel_emul *e, const struct emul_op **op)
{
	struct keel_emul_insn *in = &e->insn;
	bool long64 = e->mode == KEEL_EMUL_LONG64;
	u8 b;
	int r;

	for (;;) {
		r = take_byte(e, &b);
		if (r)
			return r;
		if (long64 && (b & 0xf0) == 0x40) {
			in->rex = b;
			continue;
		}
		*op = &emul_map_one[b];
		if (likely(!((*op)->flags & OP_PREFIX)))
			break;
		take_prefix(in, (*op)->aux, long64);
		in->rex = 0;	/* REX counts only right before the opcode */
	}
	if (b == 0x0f) {
		in->map = 1;
		r = take_byte(e, &b);
		if (r)
			return r;
		*op = &emul_map_0f[b];
		if (b == 0x38 || b == 0x3a) {
			in->map = b == 0x38 ? 2 : 3;
			r = take_byte(e, &b);
			if (r)
				return r;
			if (in->map == 3)
				*op = &emul_map_0f3a;
			else
				*op = (b & ~1) == 0xf0 ? &emul_map_0f38_f0[b & 1] :
							 &emul_map_0f38_other;
		}
	}
	in->opcode = b;
	return KEEL_EMUL_OK;
}

static const struct emul_op *by_prefix(const struct keel_emul_insn *in, unsigned int table)
{
	unsigned int i = in->prefixes & KEEL_EMUL_PFX_OPSZ ? 1 : 0;

	if (in->prefixes & KEEL_EMUL_PFX_REP)
		i = 2;
	else if (in->prefixes & KEEL_EMUL_PFX_REPNE)
		i = 3;
	return &emul_bypfx[table][i];
}

static void set_sizes(struct keel_emul *e, const struct emul_op *op)
{
	struct keel_emul_insn *in = &e->insn;
	bool opsz = in->prefixes & KEEL_EMUL_PFX_OPSZ, adsz = in->prefixes & KEEL_EMUL_PFX_ADSZ;

	if (e->mode == KEEL_EMUL_LONG64) {
		in->addr_size = adsz ? 4 : 8;
		if ((in->rex & 8) || (op->flags & OP_F64))
			in->op_size = 8;
		else if (op->flags & OP_D64)
			in->op_size = opsz ? 2 : 8;
		else
			in->op_size = opsz ? 2 : 4;
	} else {
		in->addr_size = (e->mode == KEEL_EMUL_PROT32) != adsz ? 4 : 2;
		in->op_size = (e->mode == KEEL_EMUL_PROT32) != opsz ? 4 : 2;
	}
	if (op->flags & OP_BYTE)
		in->op_size = 1;
}

/* Memory operands of 16-bit addressing, by ModRM rm. */
static const struct {
	u8 base, index, seg;
} modrm16[8] = {
	{ KEEL_RBX, KEEL_RSI, KEEL_SEG_DS },
	{ KEEL_RBX, KEEL_RDI, KEEL_SEG_DS },
	{ KEEL_RBP, KEEL_RSI, KEEL_SEG_SS },
	{ KEEL_RBP, KEEL_RDI, KEEL_SEG_SS },
	{ KEEL_RSI, KEEL_EMUL_NOREG, KEEL_SEG_DS },
	{ KEEL_RDI, KEEL_EMUL_NOREG, KEEL_SEG_DS },
	{ KEEL_RBP, KEEL_EMUL_NOREG, KEEL_SEG_SS },
	{ KEEL_RBX, KEEL_EMUL_NOREG, KEEL_SEG_DS },
};

static int take_mem16(struct keel_emul *e, u8 mod, u8 rm, u8 *seg)
{
	struct keel_emul_insn *in = &e->insn;

	if (mod == 0 && rm == 6)
		return take_signed(e, 2, &in->disp);
	in->base = modrm16[rm].base;
	in->index = modrm16[rm].index;
	*seg = modrm16[rm].seg;
	return mod ? take_signed(e, mod, &in->disp) : KEEL_EMUL_OK;
}

static int take_mem32(struct keel_emul *e, u8 mod, u8 rm, u8 *seg)
{
	struct keel_emul_insn *in = &e->insn;
	u8 sib, base = rm;
	int r;

	if (rm == 4) {
		r = take_byte(e, &sib);
		if (r)
			return r;
		base = sib & 7;
		in->index = (sib >> 3 & 7) | (in->rex & 2) << 2;
		in->scale = sib >> 6;
		if (in->index == 4)
			in->index = KEEL_EMUL_NOREG;
	}
	if (mod == 0 && base == 5) {
		if (rm == 5 && e->mode == KEEL_EMUL_LONG64)
			in->base = KEEL_EMUL_RIP;
		return take_signed(e, 4, &in->disp);
	}
	in->base = base | (in->rex & 1) << 3;
	if (in->base == KEEL_RSP || in->base == KEEL_RBP)
		*seg = KEEL_SEG_SS;
	if (!mod)
		return KEEL_EMUL_OK;
	return take_signed(e, mod == 1 ? 1 : 4, &in->disp);
}

static int take_operands(struct keel_emul *e, bool regonly)
{
	struct keel_emul_insn *in = &e->insn;
	u8 mod = in->modrm >> 6, rm = in->modrm & 7, seg = KEEL_SEG_DS;
	int r;

	in->reg = (in->modrm >> 3 & 7) | (in->rex & 4) << 1;
	in->rm = rm | (in->rex & 1) << 3;
	if (mod == 3 || regonly)
		return KEEL_EMUL_OK;
	in->mem = true;
	if (in->addr_size == 2)
		r = take_mem16(e, mod, rm, &seg);
	else
		r = take_mem32(e, mod, rm, &seg);
	if (!(in->prefixes & KEEL_EMUL_PFX_SEG))
		in->seg = seg;
	return r;
}

static int take_immediate(struct keel_emul *e, unsigned int kind)
{
	struct keel_emul_insn *in = &e->insn;
	u64 v;
	int r;

	switch (kind) {
	case IMM_NONE:
		return KEEL_EMUL_OK;
	case IMM_8S:
		return take_signed(e, 1, &in->imm);
	case IMM_8U:
		return take(e, 1, &in->imm);
	case IMM_16:
		return take(e, 2, &in->imm);
	case IMM_Z:
		return take_signed(e, in->op_size == 8 ? 4 : in->op_size, &in->imm);
	case IMM_V:
		return take_signed(e, in->op_size, &in->imm);
	case IMM_MOFFS:
		in->mem = true;
		return take(e, in->addr_size, &in->disp);
	case IMM_16_8:
		r = take(e, 2, &in->imm);
		break;
	default: /* IMM_FAR: the selector is of no use to anybody yet */
		r = take(e, in->op_size, &in->imm);
		return r ? r : take(e, 2, &v);
	}
	if (!r)
		r = take_byte(e, &in->imm2);
	return r;
}

/* Forms that are not for this mode, or whose meaning needs more than the row says. */
static int check_form(struct keel_emul *e, const struct emul_op *op)
{
	struct keel_emul_insn *in = &e->insn;
	bool long64 = e->mode == KEEL_EMUL_LONG64;

	if (op->flags & OP_UD)
		return emul_ud(e);
	if (op->flags & OP_HOLE)
		return KEEL_EMUL_UNKNOWN;
	/* Intel and AMD differ in what 66 does to a near branch. */
	if (op->flags & OP_F64 && long64 && (in->prefixes & KEEL_EMUL_PFX_OPSZ) && !(in->rex & 8))
		return KEEL_EMUL_UNKNOWN;
	return KEEL_EMUL_OK;
}

int keel_emul_decode(struct keel_emul *e)
{
	struct keel_emul_insn *in = &e->insn;
	const struct emul_op *op;
	int r;

	*in = (struct keel_emul_insn){
		.base = KEEL_EMUL_NOREG, .index = KEEL_EMUL_NOREG, .seg = KEEL_SEG_DS,
	};
	r = take_opcode(e, &op);
	if (r)
		return r;
	if (unlikely(op->flags & OP_NO64) && e->mode == KEEL_EMUL_LONG64)
		return emul_ud(e);
	if (op->flags & OP_BYPFX)
		op = by_prefix(in, op->aux);
	if (op->flags & OP_MODRM) {
		r = take_byte(e, &in->modrm);
		if (r)
			return r;
		if (op->flags & OP_GROUP)
			op = &emul_groups[op->aux][in->modrm >> 3 & 7];
	}
	r = check_form(e, op);
	if (r)
		return r;
	set_sizes(e, op);
	if (op->flags & OP_MODRM) {
		r = take_operands(e, op->flags & OP_REGONLY);
		if (r)
			return r;
	}
	r = take_immediate(e, op->flags & OP_IMM);
	if (r)
		return r;
	if (op->flags & OP_MEM && !in->mem)
		return emul_ud(e);
	if (in->prefixes & KEEL_EMUL_PFX_LOCK && op->exec && !(in->mem && op->flags & OP_LOCK))
		return emul_ud(e);
	in->op = op;
	return KEEL_EMUL_OK;
}

int keel_emul_exec(struct keel_emul *e)
{
	const struct emul_op *op = e->insn.op;

	if (!op || !op->exec)
		return KEEL_EMUL_UNKNOWN;
	return op->exec(e);
}
