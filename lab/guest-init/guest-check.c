// SPDX-License-Identifier: GPL-2.0
/*
 * What the demo's guest checks and a shell cannot: a SHA-256 of its own, to
 * compare with busybox's, and one second of sleep held against two clocks that
 * come to the guest by different ways: CLOCK_MONOTONIC (TSC and timer
 * interrupts) and the CMOS clock (port I/O). It knows nothing of Keel.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <time.h>

/* ------------------------------------------------------------ SHA-256 */

struct sha256 {
	uint32_t h[8];
	uint64_t bytes;
	uint8_t block[64];
};

static uint32_t ror(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

/* The first 32 bits of the fraction of the n-th root (n is 2 or 3) of p. */
static uint32_t root_fraction(unsigned int p, int n)
{
	unsigned __int128 want = (unsigned __int128)p << (32 * n), power;
	uint64_t lo = 0, hi = 1ULL << 37, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		power = (unsigned __int128)mid * mid;
		if (n == 3)
			power *= mid;
		if (power <= want)
			lo = mid;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

static uint32_t k[64];

/* The constants are roots of the first primes: computed, not listed. */
static void sha256_init(struct sha256 *s)
{
	unsigned int n = 0, p, d;

	memset(s, 0, sizeof(*s));
	for (p = 2; n < 64; p++) {
		for (d = 2; d * d <= p && p % d; d++)
			;
		if (d * d <= p)
			continue;
		if (n < 8)
			s->h[n] = root_fraction(p, 2);
		k[n++] = root_fraction(p, 3);
	}
}

/* One round; the eight words change places by their names. */
static inline void sha256_round(uint32_t a, uint32_t b, uint32_t c, uint32_t *d,
				uint32_t e, uint32_t f, uint32_t g, uint32_t *h, uint32_t kw)
{
	uint32_t t = *h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + (g ^ (e & (f ^ g))) + kw;

	*d += t;
	*h = t + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) | (c & (a | b)));
}

static void sha256_block(struct sha256 *s, const uint8_t *block)
{
	uint32_t a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3];
	uint32_t e = s->h[4], f = s->h[5], g = s->h[6], h = s->h[7];
	uint32_t w[64];
	int i;

	for (i = 0; i < 16; i++, block += 4)
		w[i] = (uint32_t)block[0] << 24 | block[1] << 16 | block[2] << 8 | block[3];
	for (; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
	for (i = 0; i < 64; i += 8) {
		sha256_round(a, b, c, &d, e, f, g, &h, k[i] + w[i]);
		sha256_round(h, a, b, &c, d, e, f, &g, k[i + 1] + w[i + 1]);
		sha256_round(g, h, a, &b, c, d, e, &f, k[i + 2] + w[i + 2]);
		sha256_round(f, g, h, &a, b, c, d, &e, k[i + 3] + w[i + 3]);
		sha256_round(e, f, g, &h, a, b, c, &d, k[i + 4] + w[i + 4]);
		sha256_round(d, e, f, &g, h, a, b, &c, k[i + 5] + w[i + 5]);
		sha256_round(c, d, e, &f, g, h, a, &b, k[i + 6] + w[i + 6]);
		sha256_round(b, c, d, &e, f, g, h, &a, k[i + 7] + w[i + 7]);
	}
	s->h[0] += a;
	s->h[1] += b;
	s->h[2] += c;
	s->h[3] += d;
	s->h[4] += e;
	s->h[5] += f;
	s->h[6] += g;
	s->h[7] += h;
}

static void sha256_update(struct sha256 *s, const uint8_t *data, size_t len)
{
	size_t used, take;

	while (len) {
		used = s->bytes % 64;
		take = 64 - used < len ? 64 - used : len;
		memcpy(s->block + used, data, take);
		s->bytes += take;
		data += take;
		len -= take;
		if (used + take == 64)
			sha256_block(s, s->block);
	}
}

static void sha256_final(struct sha256 *s)
{
	uint64_t bits = s->bytes * 8;
	uint8_t pad[72] = { 0x80 };
	size_t n = 64 - (s->bytes + 8) % 64;
	int i;

	for (i = 0; i < 8; i++)
		pad[n + i] = bits >> (56 - 8 * i);
	sha256_update(s, pad, n + 8);
}

static int do_sha256(const char *path)
{
	static uint8_t buf[65536];
	struct sha256 s;
	size_t n;
	FILE *f = fopen(path, "rb");
	int i;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	sha256_init(&s);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		sha256_update(&s, buf, n);
	fclose(f);
	sha256_final(&s);
	for (i = 0; i < 8; i++)
		printf("%08x", s.h[i]);
	putchar('\n');
	return 0;
}

/* ------------------------------------------------------------ clocks */

#define CMOS_INDEX	0x70
#define CMOS_DATA	0x71
#define CMOS_SECONDS	0x00

static int cmos_seconds(void)
{
	int bcd;

	outb(CMOS_SECONDS, CMOS_INDEX);
	bcd = inb(CMOS_DATA);
	return (bcd >> 4) * 10 + (bcd & 15);
}

static double monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* Wait for the CMOS clock's next second; -1 if none comes within three. */
static int cmos_edge(double *when)
{
	double start = monotonic();
	int old = cmos_seconds(), now;

	do {
		sleep_ms(1);
		now = cmos_seconds();
		*when = monotonic();
		if (*when - start > 3)
			return -1;
	} while (now == old);
	return now;
}

/*
 * From one edge of the CMOS clock to another, with a sleep of a second
 * between: both clocks must agree on what passed, and the sleep must have been
 * a second. A loaded machine may wake the guest late, never early.
 */
static int do_clocks(void)
{
	double t0, t1, before, slept, mono;
	int s0, s1, cmos;

	if (ioperm(CMOS_INDEX, 2, 1)) {
		perror("ioperm");
		return 1;
	}
	s0 = cmos_edge(&t0);
	before = monotonic();
	sleep_ms(1000);
	slept = monotonic() - before;
	s1 = cmos_edge(&t1);
	if (s0 < 0 || s1 < 0) {
		puts("guest: the CMOS clock stands still");
		return 1;
	}
	cmos = (s1 - s0 + 60) % 60;
	mono = t1 - t0;
	printf("guest: slept %.3f s; %d s by the CMOS clock were %.3f s by the monotonic one\n",
	       slept, cmos, mono);
	if (slept < 1.0 || slept > 1.5) {
		puts("guest: that was no second");
		return 1;
	}
	if (mono < cmos - 0.2 || mono > cmos + 0.2) {
		puts("guest: the clocks disagree");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "sha256"))
		return do_sha256(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "clocks"))
		return do_clocks();
	fprintf(stderr, "usage: guest-check sha256 FILE | clocks\n");
	return 2;
}
