// SPDX-License-Identifier: GPL-2.0
/*
 * The decoder's lengths against those of an independent one, binutils' objdump: random
 * encodings in 16-, 32- and 64-bit mode, each in a slot of a file that objdump disassembles.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "host.h"
#include "ktap.h"

#define SLOT	32U
#define SLOTS	50000U

static u64 seed = 0x9e3779b97f4a7c15ULL;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dULL >> 11;
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)(rnd() % n);
}

/* Prefixes, REX where there is one, an opcode of any map, and random bytes behind it. */
static void make_slot(u8 *slot, unsigned int mode)
{
	static const u8 prefixes[] = {
		0x66, 0x66, 0x66, 0x67, 0x67, 0xf3, 0xf2, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
	};
	unsigned int n = 0, i, count = below(3) ? 0 : 1 + below(2);

	memset(slot, 0x90, SLOT);
	while (count--)
		slot[n++] = prefixes[below(ARRAY_SIZE(prefixes))];
	if (mode == KEEL_EMUL_LONG64 && below(2))
		slot[n++] = (u8)(0x40 | below(16));
	switch (below(8)) {
	case 0:
	case 1:
	case 2:
		slot[n++] = 0x0f;
		break;
	case 3:
		slot[n++] = 0x0f;
		slot[n++] = below(2) ? 0x38 : 0x3a;
		if (slot[n - 1] == 0x38 && below(2))
			slot[n++] = (u8)(0xf0 | below(2));
		break;
	}
	for (i = n; i < 15; i++)
		slot[i] = (u8)rnd();
}

static unsigned int objdump_len[SLOTS];
static bool objdump_bad[SLOTS];
static char objdump_text[SLOTS][40];
static u8 slots[SLOTS][SLOT];

/* What an address line of objdump's says. */
static void note(unsigned long addr, const char *text, unsigned long *start, long *current)
{
	unsigned long slot = addr / SLOT;

	if (*current >= 0 && objdump_len[*current] == 0)
		objdump_len[*current] = (unsigned int)(addr - *start);
	*current = -1;
	if (addr % SLOT || slot >= SLOTS)
		return;
	*start = addr;
	*current = (long)slot;
	objdump_bad[slot] = strstr(text, "(bad)");
	snprintf(objdump_text[slot], sizeof(objdump_text[slot]), "%s", text);
}

static bool run_objdump(const char *machine)
{
	char command[200], path[] = "/tmp/keel-decode-XXXXXX", line[400], *tab;
	int fd = mkstemp(path);
	unsigned long start = 0;
	long current = -1;
	FILE *f;

	if (fd < 0)
		return false;
	f = fdopen(fd, "w");
	fwrite(slots, sizeof(slots), 1, f);
	fclose(f);
	memset(objdump_len, 0, sizeof(objdump_len));
	snprintf(command, sizeof(command),
		 "objdump -Dwz --no-show-raw-insn -b binary -m i386 -M %s %s 2>/dev/null", machine,
		 path);
	f = popen(command, "r");
	while (f && fgets(line, sizeof(line), f)) {
		char *end;
		unsigned long addr = strtoul(line, &end, 16);

		if (*end != ':' || end == line)
			continue;
		tab = strchr(line, '\t');
		if (tab) {
			tab[strcspn(tab, "\n")] = 0;
			note(addr, tab + 1, &start, &current);
		}
	}
	if (f)
		pclose(f);
	unlink(path);
	return start != 0;
}

/* Whether a line of objdump's is nothing but prefixes that it does not attach to what follows. */
static bool only_prefixes(const char *text)
{
	static const char *const words[] = {
		"lock", "repz", "repnz", "data16", "data32", "addr16", "addr32", "bnd", "cs", "ds",
		"es", "fs", "gs", "ss",
	};
	char copy[sizeof(objdump_text[0])], *word, *rest = copy;
	unsigned int i;

	strcpy(copy, text);
	while ((word = strsep(&rest, " "))) {
		if (!*word || !strncmp(word, "rex", 3))
			continue;
		for (i = 0; i < ARRAY_SIZE(words) && strcmp(word, words[i]); i++)
			;
		if (i == ARRAY_SIZE(words))
			return false;
	}
	return true;
}

/*
 * Where the two differ by objdump's choice: it also takes FWAIT for a prefix of x87
 * instructions.
 */
static bool excused(const struct keel_emul *e, const char *text)
{
	return only_prefixes(text) || (e->insn.map == 0 && e->insn.opcode == 0x9b);
}

static void compare(unsigned int mode, const char *machine)
{
	static struct host h;
	static u8 mem[HOST_PAGES * KEEL_PAGE_SIZE];
	unsigned long compared = 0;
	unsigned int i, n;
	int r;

	for (i = 0; i < SLOTS; i++)
		make_slot(slots[i], mode);
	if (!run_objdump(machine)) {
		ktap_skip("no objdump");
		return;
	}
	host_init(&h, mode, 0x100000, mem);
	for (i = 0; i < SLOTS; i++) {
		char hex[64];

		r = host_decode(&h, 0x1000, slots[i], SLOT);
		if (r != KEEL_EMUL_OK || objdump_bad[i] || excused(&h.e, objdump_text[i]))
			continue;
		compared++;
		if (h.e.insn.length == objdump_len[i])
			continue;
		for (n = 0; n < 15; n++)
			snprintf(hex + 3 * n, 4, "%02x ", slots[i][n]);
		ktap_fail(__FILE__, __LINE__, "%s: %u bytes, objdump %u: %s", hex, h.e.insn.length,
			  objdump_len[i], objdump_text[i]);
	}
	CHECK(compared > SLOTS / 2, "only %lu compared", compared);
	ktap_cases(compared);
}

static void lengths_64(void)
{
	compare(KEEL_EMUL_LONG64, "x86-64");
}

static void lengths_32(void)
{
	compare(KEEL_EMUL_PROT32, "i386");
}

static void lengths_16(void)
{
	compare(KEEL_EMUL_REAL, "i8086");
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(lengths_64), KTAP_TEST(lengths_32), KTAP_TEST(lengths_16),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
