// SPDX-License-Identifier: GPL-2.0
/*
 * The PIT against a counter that is clocked tick by tick, as the 8254's manual
 * tells it: count, OUT and edges in all modes, with the gate going up and
 * down; then latches, byte order, status, port 0x61 and the record.
 */
#include <linux/keel.h>
#include "irqchip/pit.h"
#include "ktap.h"
#include "random.h"

static struct pit pit;
static u64 now;

static void out(u16 port, u8 val)
{
	pit_write(&pit, port, val, now);
}

static u8 in(u16 port)
{
	return pit_read(&pit, port, now);
}

/* The time of clock @n, and a time when just @n have passed. */
static u64 at(u64 n)
{
	return pit_clocks_to_ns(n);
}

static void clocks(void)
{
	u64 i, n, ns;

	for (i = 0; i < 200000; i++) {
		n = random_u64() >> (24 + random_below(40));
		ns = pit_clocks_to_ns(n);
		CHECK_EQ(pit_ns_to_clocks(ns), n);
		if (ns)
			CHECK_EQ(pit_ns_to_clocks(ns - 1), n - 1);
	}
	CHECK_EQ(pit_ns_to_clocks(1000000000), 1193182);
	CHECK_EQ(pit_clocks_to_ns(1193182), 1000000000);
	ktap_cases(i);
}

/* ---- the reference: one counter, clocked --------------------------------------- */

struct ref {
	u32 mode, n, modulus;
	bool gate;
	bool loaded;		/* counts, or waits for its gate to */
	bool triggered;		/* modes 1 and 5 */
	u32 count;		/* in the counter now */
	bool phase;		/* mode 3: high half */
	bool out;
	bool done;		/* modes 4 and 5 strobe once */
	bool first;		/* mode 3, odd count: the clock that takes one instead of two */
};

static struct ref ref;

static void ref_load(void)
{
	ref.count = ref.n;
	ref.done = false;
	ref.phase = true;
	if (ref.mode == 3)
		ref.count = ref.n & ~1U;
	if (ref.mode == 0 || ref.mode == 1)
		ref.out = false;
	else
		ref.out = true;
}

static void ref_start(u32 mode, u32 n, u32 modulus)
{
	ref.mode = mode;
	ref.n = n;
	ref.modulus = modulus;
	ref.triggered = false;
	ref.out = mode != 0;
	ref.loaded = true;
	ref.count = n;
	if (mode != 1 && mode != 5)
		ref_load();
	if ((mode == 2 || mode == 3) && !ref.gate)
		ref.out = true;
}

static void ref_gate(bool gate)
{
	bool rises = gate && !ref.gate;

	ref.gate = gate;
	if (ref.mode == 2 || ref.mode == 3) {
		if (rises)
			ref_load();
		if (!gate)
			ref.out = true;
	} else if (rises && (ref.mode == 1 || ref.mode == 5)) {
		ref.triggered = true;
		ref_load();
	}
}

static void ref_dec(void)
{
	ref.count = ref.count ? ref.count - 1 : ref.modulus - 1;
}

static void ref_clock(void)
{
	switch (ref.mode) {
	case 0:
		if (!ref.gate)
			return;
		ref_dec();
		if (!ref.count)
			ref.out = true;
		return;
	case 1:
		if (!ref.triggered)
			return;
		ref_dec();
		if (!ref.count)
			ref.out = true;
		return;
	case 2:
		if (!ref.gate)
			return;
		ref_dec();
		if (ref.count == 0)
			ref.count = ref.n;
		ref.out = ref.count != 1;
		return;
	case 3:
		if (!ref.gate)
			return;
		/* The count runs out; with an odd one, one clock later in the high half. */
		if (ref.count == 2 && !(ref.phase && (ref.n & 1))) {
			ref.count = ref.n & ~1U;
			ref.phase = !ref.phase;
		} else if (ref.count == 0) {
			ref.count = ref.n & ~1U;
			ref.phase = !ref.phase;
		} else {
			ref.count -= 2;
		}
		ref.out = ref.phase;
		return;
	default:
		if (ref.mode == 4 ? !ref.gate : !ref.triggered)
			return;
		ref_dec();
		ref.out = true;
		if (!ref.count && !ref.done) {
			ref.out = false;
			ref.done = true;
		}
		return;
	}
}

static u32 bcd(u32 v)
{
	return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static void program(u32 channel, u32 mode, u32 n, bool is_bcd)
{
	u32 raw = is_bcd ? bcd(n % 10000) : n & 0xffff;

	out(0x43, (u8)(channel << 6 | 0x30 | mode << 1 | is_bcd));
	out((u16)(0x40 + channel), (u8)raw);
	out((u16)(0x40 + channel), (u8)(raw >> 8));
}

static u32 random_count(bool is_bcd)
{
	u32 limit = is_bcd ? 10000 : 65536;

	switch (random_below(4)) {
	case 0:
		return 2 + random_below(6);
	case 1:
		return 2 + random_below(40);
	case 2:
		return limit - random_below(3);
	default:
		return 2 + random_below(300);
	}
}

/*
 * The time of the reference: clocks since the count was loaded, at the first
 * ns of each, so that rounding cannot tell the two apart.
 */
static u64 origin, clocked;

static bool ref_counts(void)
{
	return ref.mode == 1 || ref.mode == 5 ? ref.triggered : ref.gate;
}

static void tick(void)
{
	if (ref_counts()) {
		clocked++;
		now = origin + at(clocked);
		ref_clock();
	} else {
		now += 1 + random_below(5000);
	}
}

static void move_gate(bool gate)
{
	bool rises = gate && !ref.gate;

	ref_gate(gate);
	out(0x61, gate);
	if (rises && ref.mode != 0 && ref.mode != 4)
		clocked = 0;
	if (rises && (ref.mode == 0 || ref.mode == 4 || !clocked))
		origin = now - at(clocked);
}

static void check_counter(bool is_bcd)
{
	u32 want = ref.count % ref.modulus;

	CHECK(pit_out(&pit.channel[2], now) == ref.out, "(mode %u count %u after %llu)",
	      ref.mode, ref.n, (unsigned long long)clocked);
	CHECK(pit_count(&pit.channel[2], now) == (is_bcd ? bcd(want) : want),
	      "(mode %u count %u after %llu: %#x, not %u)", ref.mode, ref.n,
	      (unsigned long long)clocked, pit_count(&pit.channel[2], now), want);
	CHECK_EQ(in(0x61) >> 5 & 1, ref.out);
}

/* Channel 2, whose gate moves: at every clock the model reads what the counter holds. */
static void tick_by_tick(void)
{
	u32 run, i;

	for (run = 0; run < 900; run++) {
		bool is_bcd = random_below(3) == 0;
		u32 n = random_count(is_bcd);
		u32 length = 3 * min(n, 400U) + 20;
		bool moves = random_below(2);

		pit_reset(&pit);
		now = random_u64() >> 20;
		ref = (struct ref){ .gate = random_below(4) != 0 };
		out(0x61, ref.gate);
		program(2, run % 6, n, is_bcd);
		ref_start(run % 6, n, is_bcd ? 10000 : 65536);
		origin = now;
		clocked = 0;
		/* Near its end in one leap. */
		if (n > 1000 && ref.mode != 3 && ref_counts()) {
			while (ref.count > 20)
				tick();
		}
		for (i = 0; i < length; i++) {
			check_counter(is_bcd);
			if (moves && random_below(16) == 0)
				move_gate(random_below(3) != 0);
			else
				tick();
		}
	}
	ktap_cases(run);
}

/* Channel 0: the edges that are announced are those that OUT makes. */
static void edges(void)
{
	static const u8 modes[] = { 0, 2, 3, 4 };
	u32 run, tick;

	for (run = 0; run < 600; run++) {
		u32 mode = modes[run % 4];
		u32 n = random_count(false);
		u64 seen = 0, next, start, last;
		bool was;

		if (mode == 2 && n < 2)
			n = 2;
		pit_reset(&pit);
		start = at(random_u64() >> 24);
		now = start;
		program(0, mode, n, false);
		last = now;
		was = pit_out(&pit.channel[0], now);
		next = pit_next_edge(&pit, now);
		for (tick = 1; tick < 3 * min(n, 300U) + 5; tick++) {
			bool is;

			now = start + at(tick);
			is = pit_out(&pit.channel[0], now);
			if (is && !was) {
				seen++;
				CHECK_EQ(next, now);
				CHECK(pit_next_edge(&pit, now - 1) == now);
				next = pit_next_edge(&pit, now);
			} else {
				CHECK(next > now);
				CHECK_EQ(pit_next_edge(&pit, now), next);
			}
			was = is;
			if (random_below(8) == 0) {
				CHECK_EQ(pit_edges(&pit, last, now), seen);
				seen = 0;
				last = now;
			}
		}
	}
	/* Far away, without a walk. */
	pit_reset(&pit);
	now = 0;
	program(0, 2, 1193, false);
	CHECK_EQ(pit_edges(&pit, 0, 3600ULL * 1000000000), 3600ULL * 1193182 / 1193);
	CHECK_EQ(pit_period(&pit), at(1193));
	program(0, 1, 100, false);
	CHECK_EQ(pit_next_edge(&pit, now), PIT_NEVER);
	CHECK_EQ(pit_period(&pit), 0);
	ktap_cases(run);
}

/* Two calls in a row never skip an edge or see it twice. */
static void edges_add_up(void)
{
	u64 a, b, sum = 0;
	u32 i;

	pit_reset(&pit);
	now = 12345;
	program(0, 3, 37, false);
	for (i = 0, a = now; i < 100000; i++, a = b) {
		b = a + random_below(100000);
		sum += pit_edges(&pit, a, b);
	}
	CHECK_EQ(sum, pit_edges(&pit, now, a));
	CHECK_EQ(sum, pit_ns_to_clocks(a - now) / 37);
	ktap_cases(i);
}

static void latches(void)
{
	pit_reset(&pit);
	now = 1000000;
	program(0, 2, 0x1234, false);
	now += at(0x34);
	/* Live, low then high; then latched while time goes on. */
	CHECK_EQ(in(0x40), 0x00);
	CHECK_EQ(in(0x40), 0x12);
	out(0x43, 0x00);
	now += at(0x100);
	out(0x43, 0x00);		/* the first latch stands */
	CHECK_EQ(in(0x40), 0x00);
	now += at(0x100);
	CHECK_EQ(in(0x40), 0x12);
	CHECK_EQ(in(0x40), 0x00);
	CHECK_EQ(in(0x40), 0x10);
	/* Read-back: status comes before count. */
	out(0x43, 0xc2);
	CHECK_EQ(in(0x40), 0xb4);
	CHECK_EQ(in(0x40), 0x00);
	CHECK_EQ(in(0x40), 0x10);
	/* Status alone of two channels. */
	out(0x43, 0xe0 | 0x06);
	CHECK_EQ(in(0x40), 0xb4);
	CHECK_EQ(in(0x41), 0xf6);	/* reset: mode 3, null count */
	/* A new control word drops latches, and its count is null until it is written. */
	out(0x43, 0x00);
	out(0x43, 0x30);
	out(0x43, 0xe2);
	CHECK_EQ(in(0x40), 0x70);
	out(0x40, 0x10);
	out(0x43, 0xe2);
	CHECK_EQ(in(0x40), 0x70);
	out(0x40, 0x00);
	out(0x43, 0xe2);
	CHECK_EQ(in(0x40), 0x30);
	now += at(0x10);
	out(0x43, 0xe2);
	CHECK_EQ(in(0x40), 0xb0);
	/* The control word cannot be read. */
	CHECK_EQ(in(0x43), 0);
}

static void byte_access(void)
{
	pit_reset(&pit);
	now = 5;
	out(0x43, 0x14);		/* low byte only, mode 2 */
	out(0x40, 0x80);
	CHECK_EQ(in(0x40), 0x80);
	CHECK_EQ(in(0x40), 0x80);
	out(0x43, 0x24);		/* high byte only */
	out(0x40, 0x80);
	CHECK_EQ(in(0x40), 0x80);
	out(0x43, 0x00);
	now += at(0x100);
	CHECK_EQ(in(0x40), 0x80);
	CHECK_EQ(in(0x40), 0x7f);
	/* Zero is the longest count; modes 6 and 7 are 2 and 3. */
	program(0, 6, 0, false);
	CHECK_EQ(pit.channel[0].mode, 2);
	CHECK_EQ(pit.channel[0].reload, 65536);
	program(0, 7, 0, true);
	CHECK_EQ(pit.channel[0].mode, 3);
	CHECK_EQ(pit.channel[0].reload, 10000);
	/* Half a count stops mode 0, and takes its OUT down. */
	program(0, 0, 2, false);
	now += at(10);
	CHECK(pit_out(&pit.channel[0], now));
	out(0x40, 1);
	CHECK(!pit_out(&pit.channel[0], now));
	CHECK_EQ(pit_next_edge(&pit, now), PIT_NEVER);
	out(0x40, 0);
	CHECK_EQ(pit_next_edge(&pit, now), now + at(1));
}

/* Which writes move channel 0's edges. */
static void tells_changes(void)
{
	pit_reset(&pit);
	CHECK(pit_write(&pit, 0x43, 0x34, 0));
	CHECK(!pit_write(&pit, 0x43, 0x00, 0));
	CHECK(!pit_write(&pit, 0x43, 0x74, 0));
	CHECK(!pit_write(&pit, 0x43, 0xc2, 0));
	CHECK(!pit_write(&pit, 0x42, 1, 0));
	CHECK(!pit_write(&pit, 0x61, 1, 0));
	CHECK(pit_write(&pit, 0x40, 1, 0));
	CHECK(pit_write(&pit, 0x40, 1, 0));
}

static void system_port(void)
{
	u32 toggles = 0, i;
	u8 was = 0, is;

	pit_reset(&pit);
	now = 0;
	out(0x61, 0xff);
	CHECK_EQ(in(0x61) & 0xcf, 0x03);
	out(0x61, 0);
	CHECK_EQ(in(0x61) & 0xcf, 0x00);
	/* The refresh bit changes each 15 us. */
	for (i = 0; i < 1000; i++) {
		now += 1000;
		is = in(0x61) & 0x10;
		toggles += is != was;
		was = is;
	}
	CHECK_EQ(toggles, 1000000 / 15085);
}

static void record(void)
{
	static const u16 ports[] = { 0x40, 0x41, 0x42, 0x43, 0x43, 0x61 };
	struct keel_rec_pit rec, again;
	u32 round, i, c, bad;

	for (round = 0; round < 5000; round++) {
		u64 shift = random_u64() >> 20;
		struct pit copy;

		pit_reset(&pit);
		now = random_u64() >> 24;
		for (i = 0; i < 25; i++) {
			u8 val = (u8)random_u64();

			/* Digits that BCD does not have are not kept by the record. */
			if (random_below(2) || i > 20)
				val &= 0x77;
			out(ports[random_below(6)], val & ~1);
			out(0x61, (u8)random_u64());
			if (random_below(3) == 0)
				in((u16)(0x40 + random_below(3)));
			now += random_below(100000);
		}
		copy = pit;
		pit_save(&pit, &rec, now);
		if (!CHECK(pit_check(&rec, &bad) == 0, "(blames %u)", bad))
			return;
		memset(&pit, 0x5a, sizeof(pit));
		/* On a clock that may be younger than the count. */
		pit_load(&pit, &rec, shift);
		pit_save(&pit, &again, shift);
		CHECK(!memcmp(&rec, &again, sizeof(rec)));
		for (i = 0; i < 50; i++) {
			for (c = 0; c < 3; c++) {
				CHECK_EQ(pit_count(&copy.channel[c], now + i * 777),
					 pit_count(&pit.channel[c], shift + i * 777));
				CHECK_EQ(pit_out(&copy.channel[c], now + i * 777),
					 pit_out(&pit.channel[c], shift + i * 777));
			}
		}
		if (pit_next_edge(&copy, now) == PIT_NEVER)
			CHECK_EQ(pit_next_edge(&pit, shift), PIT_NEVER);
		else
			CHECK_EQ(pit_next_edge(&copy, now) - now,
				 pit_next_edge(&pit, shift) - shift);
	}
	ktap_cases(round);
}

#define CHAN(n, field) (offsetof(struct keel_rec_pit, channel[n]) + \
			offsetof(struct keel_rec_pit_channel, field))

static void record_refuses(void)
{
	static const struct { u32 offset; u8 val; bool bad; } cases[] = {
		{ CHAN(0, mode), 5, false }, { CHAN(0, mode), 6, true },
		{ CHAN(1, bcd), 2, true }, { CHAN(0, access), 0, true },
		{ CHAN(0, access), 4, true }, { CHAN(0, write_state), 1, false },
		{ CHAN(0, write_state), 2, true }, { CHAN(2, read_state), 2, true },
		{ CHAN(0, latch_count), 2, false }, { CHAN(0, latch_count), 3, true },
		{ CHAN(0, latch_status), 2, true }, { CHAN(0, status), 255, false },
		{ CHAN(0, gate), 0, true }, { CHAN(1, gate), 2, true },
		{ CHAN(2, null_count), 2, true }, { CHAN(0, running), 3, true },
		{ CHAN(2, running), 1, true }, { CHAN(0, elapsed_ns), 1, true },
		{ CHAN(1, elapsed_ns) + 7, 0x40, true },
		{ offsetof(struct keel_rec_pit, speaker), 1, true },
		{ offsetof(struct keel_rec_pit, speaker), 2, false },
		{ offsetof(struct keel_rec_pit, speaker), 4, true },
		{ offsetof(struct keel_rec_pit, reserved) + 6, 1, true },
	};
	struct keel_rec_pit rec;
	u32 i, bad, want;
	int ret;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		pit_reset(&pit);
		pit_save(&pit, &rec, 0);
		((u8 *)&rec)[cases[i].offset] = cases[i].val;
		bad = 9999;
		want = cases[i].offset;
		if (want == CHAN(1, elapsed_ns) + 7)
			want -= 7;
		ret = pit_check(&rec, &bad);
		CHECK(!!ret == cases[i].bad, "(%u)", i);
		if (cases[i].bad)
			CHECK(bad == want, "(%u: blames %u)", i, bad);
	}
	pit_save(&pit, &rec, 0);
	rec.channel[1].bcd = 1;
	rec.channel[1].reload = 0x0a00;
	CHECK_EQ(pit_check(&rec, &bad), -EINVAL);
	CHECK_EQ(bad, CHAN(1, reload));
	rec.channel[1].bcd = 0;
	rec.channel[1].access = 1;
	rec.channel[1].latch_count = 2;
	CHECK_EQ(pit_check(&rec, &bad), -EINVAL);
	CHECK_EQ(bad, CHAN(1, latch_count));
	ktap_cases(i + 2);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(clocks),
		KTAP_TEST(tick_by_tick),
		KTAP_TEST(edges),
		KTAP_TEST(edges_add_up),
		KTAP_TEST(latches),
		KTAP_TEST(byte_access),
		KTAP_TEST(tells_changes),
		KTAP_TEST(system_port),
		KTAP_TEST(record),
		KTAP_TEST(record_refuses),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
