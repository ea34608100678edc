// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer over the decoder, the executor and the guest page walk: any state, any bytes,
 * callbacks that answer, fault, wait or lose as the input says. Beyond what the sanitizers see
 * it checks the emulator's promises: a length of 1 to 15; nothing committed by what did not
 * end; linear addresses that passed segmentation; the same accesses when run again.
 */
#include <stdlib.h>

#include "emulate/emulate.h"
#include "emulate/paging.h"

#define REQUIRE(cond) do { if (!(cond)) abort(); } while (0)

struct fuzz {
	struct keel_emul e;
	struct keel_emul_regs regs;
	struct keel_emul_segment seg[KEEL_NR_SEGS];
	const u8 *data;
	size_t size, at;
	u8 code[16];
	u64 trace;		/* of all callbacks and their arguments */
	unsigned int calls;
};

static u64 take(struct fuzz *f, unsigned int n)
{
	u64 v = 0;

	while (n-- && f->at < f->size)
		v = v << 8 | f->data[f->at++];
	return v;
}

static struct fuzz *fuzz_of(struct keel_emul *e)
{
	return container_of(e, struct fuzz, e);
}

static void trace(struct fuzz *f, u64 kind, u64 a, u64 b)
{
	f->calls++;
	f->trace = (f->trace ^ kind) * 0x100000001b3ULL;
	f->trace = (f->trace ^ a) * 0x100000001b3ULL;
	f->trace = (f->trace ^ b) * 0x100000001b3ULL;
}

/* How a callback ends. */
static int outcome(struct fuzz *f)
{
	switch (take(f, 1) & 31) {
	case 0:
		return keel_emul_fault(&f->e, 14, 2, 0x1234);
	case 1:
		return KEEL_EMUL_PENDING;
	case 2:
		return KEEL_EMUL_ERROR;
	default:
		return KEEL_EMUL_OK;
	}
}

static void check_linear(struct fuzz *f, u64 lin, unsigned int len)
{
	if (f->e.mode != KEEL_EMUL_LONG64)
		REQUIRE(lin + len - 1 <= 0xffffffff);
	else
		REQUIRE(lin + len - 1 >= lin);
}

static int do_fetch(struct keel_emul *e, gva_t lin, void *buf, unsigned int len)
{
	struct fuzz *f = fuzz_of(e);

	REQUIRE(len >= 1 && len <= 15);
	REQUIRE((lin & 0xfff) + len <= 0x1000);
	memcpy(buf, f->code + e->fetched, len);
	return KEEL_EMUL_OK;
}

static int do_read(struct keel_emul *e, gva_t lin, void *buf, unsigned int len, unsigned int acc)
{
	struct fuzz *f = fuzz_of(e);
	unsigned int i;

	REQUIRE(len >= 1 && len <= 16);
	REQUIRE(!(acc & ~7U));
	check_linear(f, lin, len);
	trace(f, 'r', lin, len);
	for (i = 0; i < len; i++)
		((u8 *)buf)[i] = (u8)take(f, 1);
	return outcome(f);
}

static int do_write(struct keel_emul *e, gva_t lin, const void *buf, unsigned int len,
		    unsigned int acc)
{
	struct fuzz *f = fuzz_of(e);
	u64 v = 0;

	REQUIRE(len >= 1 && len <= 16);
	REQUIRE(acc & KEEL_EMUL_ACC_WRITE);
	check_linear(f, lin, len);
	memcpy(&v, buf, min_t(unsigned int, len, 8));
	trace(f, 'w', lin, v);
	return outcome(f);
}

static int do_replace(struct keel_emul *e, gva_t lin, const void *old, const void *new,
		      unsigned int len)
{
	int r = do_write(e, lin, new, len, KEEL_EMUL_ACC_WRITE);

	(void)old;
	return r == KEEL_EMUL_ERROR ? KEEL_EMUL_RETRY : r;
}

static int do_probe(struct keel_emul *e, gva_t lin, unsigned int len, unsigned int acc)
{
	(void)acc;
	check_linear(fuzz_of(e), lin, len);
	trace(fuzz_of(e), 'p', lin, len);
	return outcome(fuzz_of(e));
}

static int do_segment(struct keel_emul *e, unsigned int seg, struct keel_emul_segment *out)
{
	REQUIRE(seg < KEEL_NR_SEGS);
	*out = fuzz_of(e)->seg[seg];
	return KEEL_EMUL_OK;
}

static int do_pio_in(struct keel_emul *e, u16 port, unsigned int size, u32 *val)
{
	REQUIRE(size == 1 || size == 2 || size == 4);
	trace(fuzz_of(e), 'i', port, size);
	*val = (u32)take(fuzz_of(e), 4);
	return outcome(fuzz_of(e));
}

static int do_pio_out(struct keel_emul *e, u16 port, unsigned int size, u32 val)
{
	REQUIRE(size == 1 || size == 2 || size == 4);
	trace(fuzz_of(e), 'o', port, val);
	return outcome(fuzz_of(e));
}

static const struct keel_emul_ops ops = {
	.fetch = do_fetch,
	.read = do_read,
	.write = do_write,
	.replace = do_replace,
	.probe = do_probe,
	.segment = do_segment,
	.pio_in = do_pio_in,
	.pio_out = do_pio_out,
};

static bool repeats(const struct keel_emul *e)
{
	return e->insn.prefixes & (KEEL_EMUL_PFX_REP | KEEL_EMUL_PFX_REPNE);
}

static void fuzz_emulator(const u8 *data, size_t size)
{
	static struct fuzz f, again;
	struct keel_emul_regs saved;
	unsigned int i;
	int r, r2;

	memset(&f, 0, sizeof(f));
	f.data = data;
	f.size = size;
	for (i = 0; i < 15; i++)
		f.code[i] = (u8)take(&f, 1);
	f.e.regs = &f.regs;
	f.e.ops = &ops;
	f.e.mode = (u8)(take(&f, 1) % 5);
	f.e.cpl = take(&f, 1) & 3;
	f.e.features = take(&f, 1) & 7;
	f.e.flags = take(&f, 1) & 7;
	f.e.batch = 8;
	for (i = 0; i < KEEL_NR_GPRS; i++)
		f.regs.gpr[i] = take(&f, 1 + (i & 7));
	f.regs.rip = take(&f, 4);
	f.regs.rflags = take(&f, 3) | 2;
	for (i = 0; i < KEEL_NR_SEGS; i++) {
		f.seg[i].base = take(&f, 2) << (take(&f, 1) & 31);
		f.seg[i].limit = (u32)(take(&f, 2) << 16 | 0xffff);
		f.seg[i].attr = (u32)take(&f, 2);
	}
	saved = f.regs;
	keel_emul_begin(&f.e, f.code, data[0] & 15);
	r = keel_emul_decode(&f.e);
	REQUIRE(!memcmp(&saved, &f.regs, sizeof(saved)));
	if (r != KEEL_EMUL_OK)
		return;
	REQUIRE(f.e.insn.length >= 1 && f.e.insn.length <= 15);
	again = f;
	again.e.regs = &again.regs;
	r = keel_emul_exec(&f.e);
	if (r != KEEL_EMUL_DONE && r != KEEL_EMUL_DONE_MORE && !repeats(&f.e)) {
		REQUIRE(!memcmp(&saved, &f.regs, sizeof(saved)));
		REQUIRE(f.e.steps == 0);
	}
	REQUIRE(r != KEEL_EMUL_DONE || f.e.steps > 0);
	REQUIRE(r != KEEL_EMUL_DONE_MORE || f.e.steps == 8);
	REQUIRE(r != KEEL_EMUL_UNKNOWN || f.calls == 0 || f.e.insn.length > 0);
	r2 = keel_emul_exec(&again.e);
	REQUIRE(r == r2 && f.trace == again.trace);
	REQUIRE(!memcmp(&again.regs, &f.regs, sizeof(f.regs)));
}

static int read_entry(void *ctx, gpa_t gpa, unsigned int size, u64 *entry)
{
	struct fuzz *f = ctx;

	REQUIRE(gpa % size == 0 && gpa >> 52 == 0);
	*entry = take(f, size);
	return take(f, 1) == 0xff;
}

static int replace_entry(void *ctx, gpa_t gpa, unsigned int size, u64 old, u64 new)
{
	REQUIRE((old & new) == old && old != new);
	REQUIRE(size == 8 || new <= 0xffffffff);
	(void)gpa;
	return (int)(take(ctx, 1) % 9 == 0);
}

static void fuzz_paging(const u8 *data, size_t size)
{
	static const struct keel_walk_ops walk_ops = { read_entry, replace_entry };
	struct fuzz f = { .data = data, .size = size };
	struct keel_paging p = { 0 };
	struct keel_walk out;
	unsigned int access;
	u64 gva;
	int r;

	p.mode = (u8)(take(&f, 1) % 5);
	p.flags = (u16)take(&f, 2);
	p.maxphyaddr = (u8)take(&f, 1);
	p.cr3 = take(&f, 8);
	p.pkru = (u32)take(&f, 4);
	p.pdptr[1] = take(&f, 8);
	access = take(&f, 1) & 31;
	gva = take(&f, 8);
	r = keel_paging_walk(&p, gva, access, &walk_ops, &f, &out);
	REQUIRE(r >= KEEL_WALK_OK && r <= KEEL_WALK_NOMEM);
	if (r == KEEL_WALK_FAULT)
		REQUIRE(!(out.error & KEEL_PF_RSVD) || out.error & KEEL_PF_PRESENT);
	if (r == KEEL_WALK_OK && p.mode != KEEL_PAGING_NONE)
		REQUIRE((out.gpa ^ gva) % (1ULL << out.shift) == 0 && out.gpa >> 52 == 0);
}

/* The name that libFuzzer calls. */
int fuzz_one(const u8 *data, size_t size) __asm__("LLVMFuzzerTestOneInput");

int fuzz_one(const u8 *data, size_t size)
{
	if (size < 24)
		return 0;
	if (data[size - 1] & 0x80)
		fuzz_paging(data, size);
	else
		fuzz_emulator(data, size);
	return 0;
}
