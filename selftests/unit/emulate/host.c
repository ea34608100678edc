// SPDX-License-Identifier: GPL-2.0
/*
 * The flat machine around an emulator under test; see host.h. Its MMIO follows the replay rule that
 * emulate.h asks of a caller: an access waits once, and is answered from the log ever after.
 */
#include "host.h"

static struct host *host_of(struct keel_emul *e)
{
	return container_of(e, struct host, e);
}

static void record(struct host *h, char kind, u64 addr, const void *data, unsigned int len,
		   unsigned int acc)
{
	struct host_access *a;

	if (h->log_at != h->e.steps) {
		h->log_at = h->e.steps;
		h->log_step_start = h->logged;
	}
	if (h->logged >= ARRAY_SIZE(h->log))
		return;
	a = &h->log[h->logged++];
	*a = (struct host_access){ .kind = kind, .len = (u8)len, .acc = (u8)acc, .addr = addr };
	if (data)
		memcpy(a->data, data, min_t(unsigned int, len, 16));
}

/* Where the bytes are; a page fault as paging would raise it; NULL in *p is MMIO. */
static int translate(struct host *h, u64 lin, unsigned int len, unsigned int acc, u8 **p)
{
	unsigned int i, kind, error = h->e.cpl == 3 ? 4 : 0;
	bool mmio = false;

	if (acc & KEEL_EMUL_ACC_WRITE)
		error |= 2;
	for (i = 0; i < len; i++) {
		u64 off = lin + i - h->base;

		kind = HOST_NONE;
		if (off < HOST_PAGES * KEEL_PAGE_SIZE)
			kind = h->page[off >> KEEL_PAGE_SHIFT];
		if (kind == HOST_NONE)
			return keel_emul_fault(&h->e, 14, error, lin + i);
		if (kind == HOST_RO && acc & KEEL_EMUL_ACC_WRITE)
			return keel_emul_fault(&h->e, 14, error | 1, lin + i);
		mmio = mmio || kind == HOST_MMIO;
	}
	*p = mmio ? NULL : h->mem + (lin - h->base);
	return KEEL_EMUL_OK;
}

/* Whether an access to a device has to wait, and if not, its place in the log is passed. */
static bool waits(struct host *h)
{
	if (!h->pending)
		return false;
	if (h->answered_step != h->e.steps) {
		h->answered_step = h->e.steps;
		h->answered = 0;
		h->cursor = 0;
	}
	if (h->cursor < h->answered) {
		h->cursor++;
		return false;
	}
	h->answered++;
	return true;
}

static int do_fetch(struct keel_emul *e, gva_t lin, void *buf, unsigned int len)
{
	struct host *h = host_of(e);

	if (lin < h->code_at || lin >= h->code_at + h->code_len)
		return keel_emul_fault(e, 14, 0x10, lin);
	memset(buf, 0x90, len);
	memcpy(buf, h->code + (lin - h->code_at), min_t(u64, len, h->code_at + h->code_len - lin));
	return KEEL_EMUL_OK;
}

static int do_read(struct keel_emul *e, gva_t lin, void *buf, unsigned int len, unsigned int acc)
{
	struct host *h = host_of(e);
	u8 *p;
	int r = translate(h, lin, len, acc, &p);

	if (r)
		return r;
	if (p) {
		memcpy(buf, p, len);
	} else {
		if (waits(h))
			return KEEL_EMUL_PENDING;
		memset(buf, 0, len);
		memcpy(buf, &h->mmio_value, min_t(unsigned int, len, 8));
	}
	record(h, 'r', lin, buf, len, acc);
	return KEEL_EMUL_OK;
}

static int do_write(struct keel_emul *e, gva_t lin, const void *buf, unsigned int len,
		    unsigned int acc)
{
	struct host *h = host_of(e);
	u8 *p;
	int r = translate(h, lin, len, acc | KEEL_EMUL_ACC_WRITE, &p);

	if (r)
		return r;
	if (!p && waits(h))
		return KEEL_EMUL_PENDING;
	if (p)
		memcpy(p, buf, len);
	record(h, 'w', lin, buf, len, acc);
	return KEEL_EMUL_OK;
}

static int do_replace(struct keel_emul *e, gva_t lin, const void *old, const void *new,
		      unsigned int len)
{
	struct host *h = host_of(e);
	u8 *p;
	int r = translate(h, lin, len, KEEL_EMUL_ACC_WRITE, &p);

	if (r)
		return r;
	if (p && (h->lose_race || memcmp(p, old, len)))
		return KEEL_EMUL_RETRY;
	if (!p && waits(h))
		return KEEL_EMUL_PENDING;
	if (p)
		memcpy(p, new, len);
	record(h, 'x', lin, new, len, KEEL_EMUL_ACC_LOCKED);
	return KEEL_EMUL_OK;
}

static int do_probe(struct keel_emul *e, gva_t lin, unsigned int len, unsigned int acc)
{
	u8 *p;

	return translate(host_of(e), lin, len, acc, &p);
}

static int do_segment(struct keel_emul *e, unsigned int seg, struct keel_emul_segment *out)
{
	*out = host_of(e)->seg[seg];
	return KEEL_EMUL_OK;
}

static int do_pio_in(struct keel_emul *e, u16 port, unsigned int size, u32 *val)
{
	struct host *h = host_of(e);

	if (waits(h))
		return KEEL_EMUL_PENDING;
	*val = (u32)h->mmio_value;
	record(h, 'i', port, val, size, 0);
	return KEEL_EMUL_OK;
}

static int do_pio_out(struct keel_emul *e, u16 port, unsigned int size, u32 val)
{
	struct host *h = host_of(e);

	if (waits(h))
		return KEEL_EMUL_PENDING;
	record(h, 'o', port, &val, size, 0);
	return KEEL_EMUL_OK;
}

static const struct keel_emul_ops host_ops = {
	.fetch = do_fetch,
	.read = do_read,
	.write = do_write,
	.replace = do_replace,
	.probe = do_probe,
	.segment = do_segment,
	.pio_in = do_pio_in,
	.pio_out = do_pio_out,
};

void host_init(struct host *h, unsigned int mode, u64 base, u8 *mem)
{
	unsigned int i;

	memset(h, 0, sizeof(*h));
	h->base = base;
	h->mem = mem;
	memset(h->page, HOST_RW, sizeof(h->page));
	for (i = 0; i < KEEL_NR_SEGS; i++) {
		h->seg[i].limit = mode <= KEEL_EMUL_VM86 ? 0xffff : 0xffffffff;
		h->seg[i].attr = KEEL_SEGA_P | KEEL_SEGA_S | KEEL_SEGA_WR | KEEL_SEGA_ACCESSED;
		h->seg[i].selector = (u16)(0x10 + 8 * i);
		if (mode == KEEL_EMUL_PROT32)
			h->seg[i].attr |= KEEL_SEGA_DB | KEEL_SEGA_G;
	}
	if (mode >= KEEL_EMUL_PROT16)
		h->seg[KEEL_SEG_CS].attr |= KEEL_SEGA_CODE;
	h->regs.rflags = 2;
	h->e.regs = &h->regs;
	h->e.ops = &host_ops;
	h->e.mode = (u8)mode;
	h->e.cpl = mode == KEEL_EMUL_VM86 ? 3 : 0;
	h->e.features = KEEL_EMUL_F_BMI1 | KEEL_EMUL_F_LZCNT | KEEL_EMUL_F_POPCNT;
}

int host_decode(struct host *h, u64 rip, const void *bytes, unsigned int len)
{
	h->regs.rip = rip;
	h->code_at = rip + (h->e.mode == KEEL_EMUL_LONG64 ? 0 : h->seg[KEEL_SEG_CS].base);
	h->code_len = min_t(unsigned int, len, sizeof(h->code));
	memcpy(h->code, bytes, h->code_len);
	keel_emul_begin(&h->e, NULL, 0);
	return keel_emul_decode(&h->e);
}

int host_exec(struct host *h)
{
	h->cursor = 0;
	if (h->log_at == h->e.steps)
		h->logged = h->log_step_start;
	return keel_emul_exec(&h->e);
}

int host_run(struct host *h, u64 rip, const void *bytes, unsigned int len)
{
	int r = host_decode(h, rip, bytes, len);

	h->logged = 0;
	h->log_step_start = 0;
	h->log_at = h->e.steps;
	if (r)
		return r;
	do {
		r = host_exec(h);
	} while (r == KEEL_EMUL_DONE_MORE);
	return r;
}
