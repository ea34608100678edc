// SPDX-License-Identifier: GPL-2.0
/*
 * The emulator against a table of encodings with expected results (rows.c); each row also with
 * a launcher that makes every access to a device wait once, which must change nothing; and the
 * same operations in one mode against another.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "host.h"
#include "ktap.h"
#include "rows.h"

#define FLAGS_SEEN	0x3ed5U		/* arithmetic, DF, IF, IOPL */

static const char *const reg_names[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

static const char *const seg_names[] = { "es", "cs", "ss", "ds", "fs", "gs" };

static u8 mem[HOST_PAGES * KEEL_PAGE_SIZE], want_mem[sizeof(mem)];
static struct host host, want;
static int want_result;
static char want_log[400];
static bool want_has_log, want_rip;
static unsigned long waits;

static unsigned int parse_hex(const char *s, u8 *out, unsigned int max)
{
	unsigned int n = 0;
	char two[3] = { 0 };

	while (n < max && s[0] && s[1]) {
		if (*s == ' ') {
			s++;
			continue;
		}
		memcpy(two, s, 2);
		out[n++] = (u8)strtoul(two, NULL, 16);
		s += 2;
	}
	return n;
}

static bool parse_register(struct host *h, const char *word, size_t len, u64 v)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reg_names); i++)
		if (strlen(reg_names[i]) == len && !strncmp(word, reg_names[i], len)) {
			h->regs.gpr[i] = v;
			return true;
		}
	return false;
}

static bool parse_segment(struct host *h, const char *word, u64 v)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(seg_names); i++) {
		if (strncmp(word, seg_names[i], 2) || word[2] != '.')
			continue;
		switch (word[3]) {
		case 'b':
			h->seg[i].base = v;
			break;
		case 'l':
			h->seg[i].limit = (u32)v;
			break;
		case 'a':
			h->seg[i].attr = (u32)v;
			break;
		default:
			h->seg[i].selector = (u16)v;
			break;
		}
		return true;
	}
	return false;
}

static bool parse_memory(struct host *h, u8 *to, const char *word)
{
	u8 bytes[64];
	unsigned int n = parse_hex(strchr(word, '=') + 1, bytes, sizeof(bytes));
	u64 off = strtoull(word + 1, NULL, 16) - h->base;

	if (off > sizeof(mem) - n)
		return false;
	memcpy(to + off, bytes, n);
	return true;
}

static bool parse_before(struct host *h, char *word)
{
	static const char *const pages[] = { "none", "ro", "rw", "mmio" };
	char *eq = strchr(word, '=');
	u64 v = eq ? strtoull(eq + 1, NULL, 16) : 0;
	unsigned int i;

	if (*word == '[')
		return parse_memory(h, mem, word);
	if (!strcmp(word, "am")) {
		h->e.flags |= KEEL_EMUL_S_AM;
		return true;
	}
	if (!strcmp(word, "vme")) {
		h->e.flags |= KEEL_EMUL_S_VME;
		return true;
	}
	if (!strcmp(word, "race")) {
		h->lose_race = true;
		return true;
	}
	if (!strcmp(word, "nobmi")) {
		h->e.features = 0;
		return true;
	}
	if (!eq)
		return false;
	if (!strncmp(word, "page", 4)) {
		for (i = 0; i < ARRAY_SIZE(pages); i++)
			if (!strcmp(eq + 1, pages[i]))
				h->page[word[4] - '0'] = (u8)i;
		return true;
	}
	if (!strncmp(word, "flags=", 6))
		h->regs.rflags = v | 2;
	else if (!strncmp(word, "cpl=", 4))
		h->e.cpl = (u8)v;
	else if (!strncmp(word, "mmio=", 5))
		h->mmio_value = v;
	else if (!strncmp(word, "rip=", 4))
		h->regs.rip = v;
	else if (!strncmp(word, "batch=", 6))
		h->e.batch = (u16)v;
	else
		return parse_register(h, word, (size_t)(eq - word), v) || parse_segment(h, word, v);
	return true;
}

static bool parse_after(struct host *h, char *word)
{
	char *eq = strchr(word, '=');
	u64 v = eq ? strtoull(eq + 1, NULL, 16) : 0;
	unsigned int vector = 0, error = 0;
	unsigned long long cr2 = 0;

	if (*word == '[')
		return parse_memory(h, want_mem, word);
	if (!strcmp(word, "unknown")) {
		want_result = KEEL_EMUL_UNKNOWN;
		return true;
	}
	if (!strcmp(word, "retry")) {
		want_result = KEEL_EMUL_RETRY;
		return true;
	}
	if (!eq)
		return false;
	if (!strncmp(word, "fault=", 6)) {
		int n = sscanf(eq + 1, "%x:%x:%llx", &vector, &error, &cr2);

		h->e.exc = (struct keel_emul_exception){
			.vector = (u8)vector, .has_error = n > 1, .error = error, .cr2 = cr2,
		};
		want_result = KEEL_EMUL_FAULT;
		return true;
	}
	if (!strncmp(word, "log=", 4)) {
		want_has_log = true;
		strcpy(want_log, eq + 1);
		return true;
	}
	if (!strncmp(word, "flags=", 6)) {
		h->regs.rflags = (h->regs.rflags & ~(u64)FLAGS_SEEN) | (v & FLAGS_SEEN);
		return true;
	}
	if (!strncmp(word, "rip=", 4)) {
		h->regs.rip = v;
		want_rip = true;
		return true;
	}
	return parse_register(h, word, (size_t)(eq - word), v);
}

static void each_word(struct host *h, const char *text, bool (*parse)(struct host *h, char *word),
		      const struct row *row)
{
	char copy[400], *word, *rest = copy;

	strcpy(copy, text);
	while ((word = strsep(&rest, " ")))
		if (*word && !parse(h, word))
			ktap_fail(__FILE__, __LINE__, "%s: bad word %s", row->bytes, word);
}

static void log_text(const struct host *h, char *text, size_t size)
{
	unsigned int i, n = 0;

	*text = 0;
	for (i = 0; i < h->logged && n < size; i++)
		n += (unsigned int)snprintf(text + n, size - n, "%s%c%u@%llx", i ? "," : "",
					    h->log[i].kind, h->log[i].len, h->log[i].addr);
}

static void wrong(const struct row *row, const char *what, u64 is, u64 should)
{
	ktap_fail(__FILE__, __LINE__,
		  "mode %u, %s, \"%s\": %s is %#llx, not %#llx", row->mode,
		  row->bytes, row->before, what, is, should);
}

static void compare(const struct row *row, int r, unsigned int len)
{
	char text[400];
	unsigned int i;

	if (r != want_result) {
		wrong(row, "result", (u64)r, (u64)want_result);
		return;
	}
	if (r == KEEL_EMUL_FAULT) {
		if (host.e.exc.vector != want.e.exc.vector)
			wrong(row, "vector", host.e.exc.vector, want.e.exc.vector);
		if (host.e.exc.has_error != want.e.exc.has_error)
			wrong(row, "has_error", host.e.exc.has_error, want.e.exc.has_error);
		if (host.e.exc.error != want.e.exc.error)
			wrong(row, "error code", host.e.exc.error, want.e.exc.error);
		if (host.e.exc.cr2 != want.e.exc.cr2)
			wrong(row, "CR2", host.e.exc.cr2, want.e.exc.cr2);
	}
	if (r == KEEL_EMUL_DONE && !want_rip) {
		want.regs.rip += len;
		if (row->mode != KEEL_EMUL_LONG64)
			want.regs.rip = (u32)want.regs.rip;
	}
	for (i = 0; i < KEEL_NR_GPRS; i++)
		if (host.regs.gpr[i] != want.regs.gpr[i])
			wrong(row, reg_names[i], host.regs.gpr[i], want.regs.gpr[i]);
	if (host.regs.rip != want.regs.rip)
		wrong(row, "RIP", host.regs.rip, want.regs.rip);
	if ((host.regs.rflags ^ want.regs.rflags) & FLAGS_SEEN)
		wrong(row, "flags", host.regs.rflags & FLAGS_SEEN, want.regs.rflags & FLAGS_SEEN);
	for (i = 0; i < sizeof(mem); i++)
		if (mem[i] != want_mem[i]) {
			wrong(row, "memory", host.base + i, 0);
			break;
		}
	log_text(&host, text, sizeof(text));
	if (want_has_log && strcmp(text, want_log))
		ktap_fail(__FILE__, __LINE__, "%s: accesses %s, not %s",
			  row->bytes, text, want_log);
}

/*
 * Run one row; with @pending each access to a device waits once, and the instruction is run
 * again.
 */
static void run_row(const struct row *row, bool pending)
{
	bool low = row->mode <= KEEL_EMUL_VM86;
	unsigned int i, len, waited = 0;
	u8 bytes[32];
	int r;

	memset(mem, 0, sizeof(mem));
	host_init(&host, row->mode, low ? 0x10000 : 0x100000, mem);
	for (i = 0; low && i < KEEL_NR_SEGS; i++) {
		host.seg[i].base = 0x10000;
		host.seg[i].selector = 0x1000;
	}
	host.regs.rip = 0x400;
	each_word(&host, row->before, parse_before, row);
	host.pending = pending;
	want = host;
	memcpy(want_mem, mem, sizeof(mem));
	want_result = KEEL_EMUL_DONE;
	want_has_log = false;
	want_rip = false;
	each_word(&want, row->after, parse_after, row);

	len = parse_hex(row->bytes, bytes, sizeof(bytes));
	r = host_run(&host, host.regs.rip, bytes, len);
	while (r == KEEL_EMUL_PENDING || r == KEEL_EMUL_DONE_MORE) {
		if (!CHECK(++waited < 1000, "%s", row->bytes))
			return;
		r = host_exec(&host);
	}
	waits += waited;
	compare(row, r, len);
	ktap_cases(1);
}

static void table(void)
{
	unsigned int i;

	for (i = 0; i < nr_rows; i++)
		run_row(&rows[i], false);
}

static void table_with_waits(void)
{
	unsigned int i;

	for (i = 0; i < nr_rows; i++)
		run_row(&rows[i], true);
	CHECK(waits >= 20, "%lu waits", waits);
}

/* An instruction that waits leaves everything as it was, at each of its accesses. */
static void waiting_changes_nothing(void)
{
	static const char *const insns[] = {
		"01 03",    "f0 01 03", "87 03",    "0f c1 03",
		"0f b1 03", "a5",	"a7",	    "ab",
		"ad",	    "af",	"6d",	    "6f",
		"ff 33",    "8f 03",	"ff 03",    "0f ba 2b 05",
		"c1 03 05", "d7",	"f7 23",    "c8 20 00 02",
		"c9",	    "9d",	"0f c7 0b", "60",
		"61",
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		struct keel_emul_regs saved;
		unsigned int len, steps, n = 0;
		u8 bytes[16];
		int r;

		host_init(&host, KEEL_EMUL_PROT32, 0x100000, mem);
		memset(host.page, HOST_MMIO, sizeof(host.page));
		host.pending = true;
		host.mmio_value = 0x12345;
		for (j = 0; j < 8; j++)
			host.regs.gpr[j] = 0x101000 + 0x100 * j;
		saved = host.regs;
		steps = host.e.steps;
		len = parse_hex(insns[i], bytes, sizeof(bytes));
		saved.rip = 0x400;
		r = host_run(&host, 0x400, bytes, len);
		while (r == KEEL_EMUL_PENDING && n++ < 50) {
			CHECK(!memcmp(&saved, &host.regs, sizeof(saved)), "%s", insns[i]);
			CHECK_EQ(host.e.steps, steps);
			r = host_exec(&host);
		}
		CHECK(r == KEEL_EMUL_DONE && n > 0, "%s: result %d after %u waits", insns[i], r, n);
		CHECK_EQ(host.e.steps, steps + 1);
		CHECK(memcmp(&saved, &host.regs, sizeof(saved)), "%s", insns[i]);
		ktap_cases(n);
	}
}

/* A long REP comes back in batches, with RIP on it and whole iterations done. */
static void batches(void)
{
	static const u8 insn[] = { 0xf3, 0xaa };
	int r;

	host_init(&host, KEEL_EMUL_LONG64, 0x100000, mem);
	host.regs.gpr[KEEL_RDI] = 0x101000;
	host.regs.gpr[KEEL_RCX] = 150;
	CHECK_EQ(host_decode(&host, 0x400, insn, sizeof(insn)), KEEL_EMUL_OK);
	CHECK_EQ(host_exec(&host), KEEL_EMUL_DONE_MORE);
	CHECK_EQ(host.regs.gpr[KEEL_RCX], 150 - KEEL_EMUL_BATCH);
	CHECK_EQ(host.regs.gpr[KEEL_RDI], 0x101000 + KEEL_EMUL_BATCH);
	CHECK_EQ(host.regs.rip, 0x400);
	host.e.batch = 10;
	CHECK_EQ(host_exec(&host), KEEL_EMUL_DONE_MORE);
	CHECK_EQ(host.regs.gpr[KEEL_RCX], 140 - KEEL_EMUL_BATCH);
	host.e.batch = 1000;
	r = host_exec(&host);
	CHECK_EQ(r, KEEL_EMUL_DONE);
	CHECK_EQ(host.regs.gpr[KEEL_RCX], 0);
	CHECK_EQ(host.regs.rip, 0x402);
	CHECK_EQ(host.e.steps, 150);
	ktap_cases(3);
}

/* Bytes that hardware gives are used, and only the missing ones are fetched, page by page. */
static void fetching(void)
{
	static const u8 insn[] = { 0xc7, 0x83, 0x78, 0x56, 0x34, 0x12, 1, 0, 0, 0 };
	unsigned int have;

	for (have = 0; have <= sizeof(insn); have++) {
		host_init(&host, KEEL_EMUL_LONG64, 0x100000, mem);
		host.regs.rip = 0xffb;
		host.code_at = 0xffb + have;
		host.code_len = (unsigned int)sizeof(insn) - have;
		memcpy(host.code, insn + have, host.code_len);
		keel_emul_begin(&host.e, insn, have);
		CHECK_EQ(keel_emul_decode(&host.e), KEEL_EMUL_OK);
		CHECK_EQ(host.e.insn.length, sizeof(insn));
		CHECK_EQ(host.e.insn.disp, 0x12345678);
		ktap_cases(1);
	}
	/* The second page is not there, and the first is enough or is not. */
	host_init(&host, KEEL_EMUL_LONG64, 0x100000, mem);
	host.regs.rip = 0xffb;
	host.code_at = 0xffb;
	host.code_len = 5;
	memcpy(host.code, insn, 5);
	keel_emul_begin(&host.e, NULL, 0);
	CHECK_EQ(keel_emul_decode(&host.e), KEEL_EMUL_FAULT);
	CHECK_EQ(host.e.exc.vector, 14);
	CHECK_EQ(host.e.exc.cr2, 0x1000);
	host.regs.rip = 0x7ffffffffffe;
	host.code_at = 0x7ffffffffffe;
	host.code_len = 2;
	keel_emul_begin(&host.e, NULL, 0);
	CHECK_EQ(keel_emul_decode(&host.e), KEEL_EMUL_FAULT);
	CHECK_EQ(host.e.exc.vector, 13);
}

/*
 * Each operation with a 32-bit address has the same result in 16- and 32-bit protected mode as
 * in long mode, where a processor has been asked (test_native).
 */
static int run_in(unsigned int mode, unsigned int map, unsigned int op, unsigned int reg, bool word)
{
	unsigned int n = 0, i;
	u8 insn[16];
	int r;

	memset(mem, 0, sizeof(mem));
	for (i = 0; i < 64; i++)
		mem[0x1000 + i] = (u8)(0x11 * i + op);
	host_init(&host, mode, 0x100000, mem);
	for (i = 0; i < 8; i++)
		host.regs.gpr[i] = 0x81234567 * (i + 3) & 0x7fffffff;
	host.regs.gpr[KEEL_RBX] = 0x101000;
	host.regs.gpr[KEEL_RCX] = 0x105;
	host.regs.gpr[KEEL_RSP] = 0x102000;
	host.regs.rflags = 0x2d7 & ~(u64)(reg << 4);
	/* 66 and 67 so that each mode has the same sizes */
	if (mode == KEEL_EMUL_PROT16 ? !word : word)
		insn[n++] = 0x66;
	if (mode != KEEL_EMUL_PROT32)
		insn[n++] = 0x67;
	if (map)
		insn[n++] = 0x0f;
	insn[n++] = (u8)op;
	insn[n++] = (u8)(reg << 3 | 3);		/* [rbx] */
	memset(insn + n, 0x13, 4);
	r = host_run(&host, 0x400, insn, n + 4);
	if (host.e.insn.opcode != op || !host.e.insn.mem || host.e.insn.base != KEEL_RBX)
		return KEEL_EMUL_UNKNOWN;
	/* Branches, the stack, and MOVSXD are each mode's own. */
	if (map == 0 && ((op == 0xff && reg >= 2) || op == 0x8f || op == 0x63))
		return KEEL_EMUL_UNKNOWN;
	return r;
}

static void modes_agree(void)
{
	unsigned int n, m;
	unsigned long ran = 0;

	for (n = 0; n < 2 * 256 * 8 * 2; n++) {
		unsigned int map = n >> 12, op = n >> 4 & 0xff, reg = n >> 1 & 7;
		struct keel_emul_regs result[3];
		u8 after[3][64];
		bool done = true;

		for (m = 0; m < 3; m++) {
			if (run_in(KEEL_EMUL_PROT16 + m, map, op, reg, n & 1))
				done = false;
			result[m] = host.regs;
			memcpy(after[m], mem + 0x1000, 64);
		}
		ran += done;
		for (m = 0; done && m < 2; m++) {
			CHECK(!memcmp(after[m], after[2], 64), "%u %#x/%u", map, op, reg);
			CHECK(!memcmp(result[m].gpr, result[2].gpr, sizeof(result[m].gpr)),
			      "%u %#x/%u mode %u", map, op, reg, m);
			CHECK_EQ(result[m].rflags, result[2].rflags);
		}
	}
	CHECK(ran > 1000, "%lu", ran);
	ktap_cases(ran);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(table), KTAP_TEST(table_with_waits), KTAP_TEST(waiting_changes_nothing),
		KTAP_TEST(batches), KTAP_TEST(fetching), KTAP_TEST(modes_agree),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
