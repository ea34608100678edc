// SPDX-License-Identifier: GPL-2.0
/*
 * The LAPIC's interrupt state against plain arrays of flags, its addressing
 * against the manual's words, its modes against the diagram of them, and posts
 * from several threads at once.
 */
#include <pthread.h>
#include <sched.h>
#include "ktap.h"
#include "lapics.h"
#include "random.h"

/* ---- requests, service, priorities ------------------------------------------------ */

struct ref {
	bool irr[256], isr[256], tmr[256];
	u8 tpr;
};

static struct ref ref;

static int top(const bool *bits)
{
	int v;

	for (v = 255; v >= 0; v--)
		if (bits[v])
			return v;
	return -1;
}

static u32 ref_ppr(void)
{
	int isr = top(ref.isr);
	u32 class = isr < 0 ? 0 : (u32)isr / 16;

	return ref.tpr / 16 >= class ? ref.tpr : class * 16;
}

static int ref_deliverable(void)
{
	int v = top(ref.irr);

	return v >= 0 && (u32)v / 16 > ref_ppr() / 16 ? v : -1;
}

static u32 ref_word(const bool *bits, u32 word)
{
	u32 i, w = 0;

	for (i = 0; i < 32; i++)
		w |= (u32)bits[word * 32 + i] << i;
	return w;
}

static void check_state(struct lapic *l)
{
	int irr = top(ref.irr), isr = top(ref.isr);
	u32 i;

	for (i = 0; i < 8; i++) {
		CHECK_EQ(lapics_read(l, LAPIC_IRR + i * 16), ref_word(ref.irr, i));
		CHECK_EQ(lapics_read(l, LAPIC_ISR + i * 16), ref_word(ref.isr, i));
		CHECK_EQ(lapics_read(l, LAPIC_TMR + i * 16), ref_word(ref.tmr, i));
	}
	CHECK_EQ(lapics_read(l, LAPIC_PPR), ref_ppr());
	CHECK_EQ(lapics_read(l, LAPIC_TPR), ref.tpr);
	CHECK_EQ(lapic_deliverable(l), ref_deliverable());
	/* Lowering TPR below the threshold lets the interrupt in, and nothing else does. */
	CHECK_EQ(lapic_threshold(l), irr >= 0 && irr / 16 > isr / 16 ? irr / 16 : 0);
}

static void step(struct lapic *l)
{
	u8 v = (u8)(16 + random_below(240));
	int want;
	u32 i;

	switch (random_below(8)) {
	case 0:
	case 1:
		for (i = 0; i < 1 + random_below(3); i++, v = (u8)(16 + random_below(240))) {
			bool level = random_below(2), waits = ref.irr[v];
			u32 ret = lapic_post(l, v, level);

			CHECK_EQ(!!(ret & LAPIC_POST_MERGED), waits);
			CHECK(!!(ret & LAPIC_POST_NOTIFY) == (i == 0), "(post %u)", i);
			ref.irr[v] = true;
			ref.tmr[v] = level;
		}
		CHECK(lapic_has_posted(l));
		lapic_merge(l);
		CHECK(!lapic_has_posted(l));
		break;
	case 2:
		if (lapic_x2(l))
			lapics_write(l, LAPIC_SELF_IPI, v);
		else
			lapics_write(l, LAPIC_ICR, 0x40000 | v);
		ref.irr[v] = true;
		ref.tmr[v] = false;
		CHECK_EQ(!!(lapics_todo.what & LAPIC_DO_LOOK), ref_deliverable() >= 0);
		break;
	case 3:
	case 4:
		want = ref_deliverable();
		CHECK_EQ(lapic_ack(l), want);
		if (want >= 0) {
			ref.irr[want] = false;
			ref.isr[want] = true;
		}
		break;
	case 5:
	case 6:
		want = top(ref.isr);
		lapics_write(l, LAPIC_EOI, 0);
		if (want >= 0)
			ref.isr[want] = false;
		CHECK_EQ(!!(lapics_todo.what & LAPIC_DO_EOI), want >= 0 && ref.tmr[want]);
		if (lapics_todo.what & LAPIC_DO_EOI)
			CHECK_EQ(lapics_todo.vector, want);
		if (want >= 0)
			CHECK_EQ(!!(lapics_todo.what & LAPIC_DO_LOOK), ref_deliverable() >= 0);
		break;
	case 7:
		ref.tpr = random_below(3) ? v & 0x7f : 0;
		lapics_write(l, LAPIC_TPR, ref.tpr);
		CHECK_EQ(!!(lapics_todo.what & LAPIC_DO_LOOK), ref_deliverable() >= 0);
		break;
	}
}

static void priorities(void)
{
	struct lapic l;
	u32 run, i;

	for (run = 0; run < 200; run++) {
		memset(&ref, 0, sizeof(ref));
		lapics_new(&l, run & 63);
		if (run & 1)
			lapics_to_x2(&l);
		lapics_write(&l, LAPIC_SVR, 0x1ff);
		for (i = 0; i < 500; i++) {
			step(&l);
			check_state(&l);
		}
		lapics_free(&l);
	}
	ktap_cases(run * 500);
}

static void illegal_vectors(void)
{
	struct lapic l;
	u32 v;

	for (v = 0; v < 16; v++) {
		lapics_new(&l, 1);
		lapics_write(&l, LAPIC_SVR, 0x1ff);
		lapics_write(&l, LAPIC_LVT_ERROR, 0x44);
		lapic_post(&l, (u8)v, false);
		lapic_post(&l, 0x20, false);
		lapic_merge(&l);
		CHECK_EQ(lapics_read(&l, LAPIC_IRR), 0);
		CHECK_EQ(lapics_read(&l, LAPIC_ESR), 0);
		lapics_write(&l, LAPIC_ESR, 0);
		CHECK_EQ(lapics_read(&l, LAPIC_ESR), LAPIC_ESR_RECV_VECTOR);
		lapics_write(&l, LAPIC_ESR, 0);
		CHECK_EQ(lapics_read(&l, LAPIC_ESR), 0);
		CHECK_EQ(lapic_ack(&l), 0x44);
		lapics_free(&l);
	}
}

/* ---- who is addressed -------------------------------------------------------------- */

static bool ref_addressed(u32 id, bool x2, u32 ldr, u32 dfr, const struct irq_msg *m)
{
	u32 cluster, set;

	if (m->wide ? m->dest == 0xffffffff : m->dest == 0xff)
		return true;
	if (!m->logical)
		return m->dest == id;
	if (x2) {
		cluster = id / 16;
		set = 1U << (id % 16);
		return m->dest >> 16 == cluster && (m->dest & 0xffff & set);
	}
	if (m->dest > 255)
		return false;
	switch (dfr >> 28) {
	case 15:
		return (ldr >> 24) & m->dest;
	case 0:
		return ldr >> 28 == m->dest >> 4 && (ldr >> 24 & 15 & m->dest);
	default:
		return false;
	}
}

static void addressing(void)
{
	struct lapic l;
	u32 run, i, hits = 0;

	for (run = 0; run < 4000; run++) {
		u32 id = random_below(64);
		u32 ldr = random_below(2) ? 1U << (24 + random_below(8)) : (u32)random_u64();
		u32 dfrs[] = { 0xffffffff, 0x0fffffff, (u32)random_u64() };
		u32 dfr = dfrs[random_below(3)];
		bool x2 = random_below(2);

		lapics_new(&l, id);
		lapics_write(&l, LAPIC_LDR, ldr);
		lapics_write(&l, LAPIC_DFR, dfr);
		if (x2)
			lapics_to_x2(&l);
		for (i = 0; i < 200; i++) {
			struct irq_msg m = { .vector = 0x40 };
			bool is;

			m.logical = random_below(2);
			m.wide = random_below(2);
			switch (random_below(5)) {
			case 0:
				m.dest = id;
				break;
			case 1:
				m.dest = ldr >> 24;
				break;
			case 2:
				m.dest = random_below(300);
				break;
			case 3:
				m.dest = random_below(5) << 16 | (random_u64() & 0xffff);
				break;
			default:
				m.dest = random_below(2) ? 0xff : 0xffffffff;
				break;
			}
			is = lapic_addressed(&l, &m);
			hits += is;
			CHECK(is == ref_addressed(id, x2, ldr & 0xff000000, dfr, &m),
			      "(id %u x2 %u ldr %#x dfr %#x dest %#x logical %u wide %u)",
			      id, x2, ldr, dfr, m.dest, m.logical, m.wide);
		}
		/* A LAPIC that is switched off hears nothing. */
		l.base &= ~(LAPIC_BASE_ENABLE | LAPIC_BASE_X2);
		CHECK(!lapic_addressed(&l, &(struct irq_msg){ .dest = 0xff }));
		lapics_free(&l);
	}
	CHECK(hits > 100000);
	ktap_cases(run * 200);
}

static void acceptance(void)
{
	struct lapic l;
	struct lapic_todo todo = { .what = 0 };

	lapics_new(&l, 0);
	CHECK(!lapic_accepts(&l));
	CHECK(!lapic_accepts_extint(&l));
	lapics_write(&l, LAPIC_SVR, 0x1ff);
	CHECK(lapic_accepts(&l));
	lapics_write(&l, LAPIC_LVT_LINT0, 0x700);
	CHECK(lapics_todo.what & LAPIC_DO_LOOK);
	CHECK(lapic_accepts_extint(&l));
	lapics_write(&l, LAPIC_LVT_LINT0, 0x10700);
	CHECK(!lapic_accepts_extint(&l));
	lapics_write(&l, LAPIC_LVT_LINT0, 0x030);
	CHECK(!lapic_accepts_extint(&l));
	/* Switched off, the CPU's pin is the PIC's. */
	CHECK_EQ(lapic_write_base(&l, LAPIC_BASE_DEFAULT, &todo), 0);
	CHECK(todo.what & LAPIC_DO_MODE);
	CHECK(lapic_accepts_extint(&l));
	CHECK(!lapic_accepts(&l));
	lapics_free(&l);
}

/* ---- modes ---------------------------------------------------------------------------- */

static void modes(void)
{
	static const u64 bits[4] = { 0, LAPIC_BASE_ENABLE, LAPIC_BASE_ENABLE | LAPIC_BASE_X2,
				     LAPIC_BASE_X2 };
	/* From disabled, xAPIC, x2APIC to those and to what does not exist. */
	static const bool legal[3][4] = {
		{ true, true, false, false },
		{ true, true, true, false },
		{ true, false, true, false },
	};
	struct lapic_todo todo;
	struct lapic l;
	u32 from, to, i;

	for (from = 0; from < 3; from++) {
		for (to = 0; to < 4; to++) {
			u64 was;

			lapics_new(&l, 37);
			todo.what = 0;
			if (from == 0)
				lapic_write_base(&l, 0xfee00000, &todo);
			if (from == 2)
				lapics_to_x2(&l);
			was = l.base;
			CHECK(lapic_write_base(&l, 0x12345000 | bits[to], &todo) ==
			      (legal[from][to] ? 0 : -EINVAL), "(%u to %u)", from, to);
			CHECK_EQ(l.base, legal[from][to] ? 0x12345000 | bits[to] : was);
			lapics_free(&l);
		}
	}
	lapics_new(&l, 37);
	for (i = 0; i < 64; i++) {
		u64 value = LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE;
		bool is = (i >= 12 && i < 40) || i == 8 || i == 10 || i == 11;

		todo.what = 0;
		CHECK(lapic_base_valid(&l, value | BIT_ULL(i)) == is, "(bit %u)", i);
	}
	CHECK(!lapic_base_valid(&l, LAPIC_BASE_X2));
	/* The x2APIC's IDs are wired, and the page's are back when it is left. */
	CHECK_EQ(lapics_read(&l, LAPIC_ID), 37U << 24);
	lapics_write(&l, LAPIC_ID, 0);
	CHECK_EQ(lapics_read(&l, LAPIC_ID), 37U << 24);
	lapics_to_x2(&l);
	CHECK_EQ(lapics_read(&l, LAPIC_ID), 37);
	CHECK_EQ(lapics_read(&l, LAPIC_LDR), 2 << 16 | 1 << 5);
	/* INIT leaves the mode and the ID. */
	lapic_model_reset(&l, false, true);
	CHECK(lapic_x2(&l));
	CHECK_EQ(lapics_read(&l, LAPIC_ID), 37);
	CHECK_EQ(lapic_write_base(&l, LAPIC_BASE_DEFAULT, &todo), 0);
	CHECK_EQ(lapic_write_base(&l, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE, &todo), 0);
	CHECK_EQ(lapics_read(&l, LAPIC_ID), 37U << 24);
	CHECK_EQ(lapics_read(&l, LAPIC_LDR), 0);
	lapics_free(&l);
}

/* ---- posts from other CPUs ---------------------------------------------------------- */

#define POSTERS		3
#define POSTS		200000

static struct lapic shared;
static unsigned long notified;
static u32 posted_new[POSTERS][256];
static u32 posters_left;

static void *poster(void *arg)
{
	u32 who = (u32)(size_t)arg, i, x = who * 977 + 1;

	for (i = 0; i < POSTS; i++) {
		u32 ret;
		u8 v;

		x = x * 1664525 + 1013904223;
		/* Vectors of its own, so that a merged post is one that it sent itself. */
		v = (u8)(32 + who * 64 + (x >> 24) % 64);
		ret = lapic_post(&shared, v, who == 1);
		if (!(ret & LAPIC_POST_MERGED))
			posted_new[who][v]++;
		/* Let the owner in between, also on a machine of one CPU. */
		if (i % 16 == 0)
			sched_yield();
		if (ret & LAPIC_POST_NOTIFY)
			__atomic_store_n(&notified, 1, __ATOMIC_SEQ_CST);
	}
	__atomic_sub_fetch(&posters_left, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Takes everything that waits; returns how much. */
static u32 take_all(u32 *taken)
{
	struct lapic_todo todo = { .what = 0 };
	u32 n = 0;
	int v;

	if (lapic_has_posted(&shared))
		lapic_merge(&shared);
	while ((v = lapic_ack(&shared)) >= 0) {
		todo.what = 0;
		lapic_eoi(&shared, &todo);
		CHECK_EQ(!!(todo.what & LAPIC_DO_EOI), v >= 96 && v < 160);
		taken[v]++;
		n++;
	}
	return n;
}

/* The CPU moves vectors behind the model's back: every answer comes from the page. */
static void cpu_delivers(void)
{
	struct lapic_todo todo = { .what = 0 };
	struct lapic l;

	lapics_new(&l, 0);
	lapics_write(&l, LAPIC_SVR, 0x1ff);
	lapic_set_delivery(&l, true);
	l.regs[(LAPIC_IRR + 0x20) / 4] = BIT(5);	/* 0x45 */
	CHECK_EQ(lapic_deliverable(&l), 0x45);
	l.regs[(LAPIC_ISR + 0x20) / 4] = BIT(0x18);	/* 0x58 */
	CHECK_EQ(lapic_deliverable(&l), -1);
	CHECK_EQ(lapic_ppr(&l), 0x50);
	CHECK_EQ(lapic_threshold(&l), 0);
	/* An EOI that somebody else ends has to be told to the CPU. */
	lapic_eoi(&l, &todo);
	CHECK_EQ(l.regs[(LAPIC_ISR + 0x20) / 4], 0);
	CHECK(todo.what & LAPIC_DO_LOOK);
	CHECK(!(todo.what & LAPIC_DO_EOI));
	/* Kept ticks: one at a time, told until the last. */
	lapics_write(&l, LAPIC_LVT_TIMER, 0x20050);
	l.backlog = 2;
	CHECK_EQ(lapic_next_tick(&l), 0x50);
	CHECK_EQ(l.regs[(LAPIC_IRR + 0x20) / 4], BIT(5) | BIT(0x10));
	CHECK_EQ(lapic_next_tick(&l), 0x50);
	l.regs[(LAPIC_IRR + 0x20) / 4] &= ~BIT(0x10);
	CHECK_EQ(lapic_next_tick(&l), -1);
	CHECK_EQ(l.backlog, 0);
	/* Back: what the model remembers is what the page has. */
	lapic_set_delivery(&l, false);
	CHECK_EQ(lapic_ack(&l), 0x50);
	todo.what = 0;
	lapic_eoi(&l, &todo);
	CHECK_EQ(lapic_ack(&l), 0x45);
	/* A level that the CPU has ended. */
	lapic_set_delivery(&l, true);
	l.regs[(LAPIC_TMR + 0x20) / 4] = BIT(5);
	todo.what = 0;
	lapic_ended(&l, 0x45, &todo);
	CHECK(todo.what & LAPIC_DO_EOI);
	CHECK_EQ(todo.vector, 0x45);
	lapics_free(&l);
}

/*
 * The owner looks only when it was notified, and still has everything: each
 * vector at least as often as it was posted anew, and none is left over.
 */
static void posts_from_threads(void)
{
	static u32 taken[256];
	pthread_t threads[POSTERS];
	u32 i, v, sum = 0;

	memset(posted_new, 0, sizeof(posted_new));
	lapics_new(&shared, 0);
	lapics_write(&shared, LAPIC_SVR, 0x1ff);
	posters_left = POSTERS;
	for (i = 0; i < POSTERS; i++)
		if (pthread_create(&threads[i], NULL, poster, (void *)(size_t)i))
			return ktap_skip("no threads");
	while (__atomic_load_n(&posters_left, __ATOMIC_SEQ_CST))
		if (__atomic_exchange_n(&notified, 0, __ATOMIC_SEQ_CST))
			sum += take_all(taken);
	for (i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	if (notified)
		sum += take_all(taken);
	CHECK(!lapic_has_posted(&shared));
	for (i = 0; i < 4; i++)
		CHECK_EQ(shared.posted.pir[i], 0);
	for (v = 32; v < 224; v++) {
		u32 want = posted_new[(v - 32) / 64][v];

		CHECK(taken[v] >= want && want && taken[v] <= POSTS, "(vector %u: %u of %u)", v,
		      taken[v], want);
	}
	CHECK(sum > 0);
	ktap_cases(sum);
	lapics_free(&shared);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(priorities),
		KTAP_TEST(illegal_vectors),
		KTAP_TEST(addressing),
		KTAP_TEST(acceptance),
		KTAP_TEST(modes),
		KTAP_TEST(cpu_delivers),
		KTAP_TEST(posts_from_threads),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
