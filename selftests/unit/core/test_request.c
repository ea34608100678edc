// SPDX-License-Identifier: GPL-2.0
/*
 * The request and kick protocol: the functions of core/request.h, run on a
 * model of the machine in every order of their accesses, never lose a request;
 * and the same search finds what is wrong with five protocols that look right.
 */
#include "core/pure.h"
#include "ktap.h"
#include "model.h"

/* ---- the protocol on the model machine ------------------------------------------- */

#undef READ_ONCE
#undef WRITE_ONCE
#undef smp_mb
#undef smp_mb__after_atomic
#undef cmpxchg
#define READ_ONCE(x)		model_read(&(x))
#define WRITE_ONCE(x, val)	model_write(&(x), val)
/* Barriers are accesses of the model, too. */
#define smp_mb()		model_mb()
/* As above. */
#define smp_mb__after_atomic()	model_mb()
#define cmpxchg(p, old, new)	((int)model_cmpxchg(p, old, new))
#define set_bit(nr, p)		((void)model_or(p, 1UL << (nr)))
#define clear_bit(nr, p)	((void)model_and(p, ~(1UL << (nr))))
#define test_bit(nr, p)		((model_read(p) >> (nr)) & 1)
#include "core/request.h"

static struct keel_requests req;
static unsigned int ipi;		/* latched interrupt of the owner's CPU */
static unsigned int payload[2];		/* what each request announces */

struct protocol {
	bool (*enter)(struct keel_requests *r);
	bool (*owes_ipi)(struct keel_requests *r);
	bool (*take)(struct keel_requests *r, enum keel_request req);
	bool (*stay)(struct keel_requests *r);	/* after an exit of the guest's own; may be NULL */
};

static const struct protocol *protocol;
static unsigned int rounds;		/* requests of each kicker */

static void reset(void)
{
	memset(&req, 0, sizeof(req));
	memset(payload, 0, sizeof(payload));
	ipi = 0;
}

static void kicker(enum keel_request which)
{
	unsigned int i;

	for (i = 1; i <= rounds; i++) {
		WRITE_ONCE(payload[which], i);
		keel_requests_set(&req, which);
		if (protocol->owes_ipi(&req))
			model_or(&ipi, 1);
	}
}

static void kicker0(void)
{
	kicker(0);
}

static void kicker1(void)
{
	kicker(1);
}

/* Goes on until it has seen the last of everybody's requests. */
static void owner_of(unsigned int kickers)
{
	unsigned int seen[2] = { 0, 0 }, i, left = kickers;

	while (left) {
		/* Interrupts are on outside: one that waits is lost on nobody. */
		model_and(&ipi, 0);
		if (protocol->enter(&req)) {
			if (!protocol->stay || protocol->stay(&req))
				model_wait(&ipi);	/* guest mode */
			keel_requests_leave(&req);
		}
		for (i = 0; i < kickers; i++) {
			if (!protocol->take(&req, i))
				continue;
			if (seen[i] == rounds)
				continue;
			seen[i] = model_read(&payload[i]);
			if (!seen[i])
				model_fail("the request came before what it announces");
			if (seen[i] == rounds)
				left--;
		}
	}
}

static void owner_one(void)
{
	owner_of(1);
}

static void owner_two(void)
{
	owner_of(2);
}

static const char *search(const struct protocol *p, unsigned int kickers, unsigned int nr_rounds)
{
	static const model_fn one[] = { owner_one, kicker0 };
	static const model_fn two[] = { owner_two, kicker0, kicker1 };

	protocol = p;
	rounds = nr_rounds;
	return model_check(kickers == 1 ? one : two, kickers + 1, reset);
}

static const struct protocol real = {
	keel_requests_enter, keel_requests_owes_ipi, keel_requests_take, NULL,
};

/* The guest left by itself once, and the owner had nothing to do or something of its own. */
static bool stay(struct keel_requests *r)
{
	return keel_requests_stay(r);
}

static bool stay_with_own_request(struct keel_requests *r)
{
	keel_requests_set(r, 2);
	/* No IPI to itself. */
	keel_requests_owes_ipi(r);
	if (keel_requests_stay(r))
		return true;
	keel_requests_leave(r);
	keel_requests_take(r, 2);
	return keel_requests_enter(r);
}

static const struct protocol staying = {
	keel_requests_enter, keel_requests_owes_ipi, keel_requests_take, stay,
};

static const struct protocol staying_busy = {
	keel_requests_enter, keel_requests_owes_ipi, keel_requests_take, stay_with_own_request,
};

static void one_kicker_never_loses(void)
{
	const char *what = search(&real, 1, 3);

	CHECK(!what, "%s", what ?: "");
	ktap_cases(model_states);
}

static void two_kickers_never_lose(void)
{
	const char *what = search(&real, 2, 1);

	CHECK(!what, "%s", what ?: "");
	ktap_cases(model_states);
}

static void nothing_is_lost_between_two_stays(void)
{
	const char *what = search(&staying, 1, 3);
	unsigned long states = model_states;

	CHECK(!what, "%s", what ?: "");
	what = search(&staying, 2, 1);
	CHECK(!what, "two kickers: %s", what ?: "");
	ktap_cases(states + model_states);
}

static void nor_by_an_own_request(void)
{
	const char *what = search(&staying_busy, 1, 2);

	CHECK(!what, "%s", what ?: "");
	ktap_cases(model_states);
}

/* ---- protocols with a fault -------------------------------------------------------- */

/* No barrier between the mode and the look at requests. */
static bool enter_without_barrier(struct keel_requests *r)
{
	WRITE_ONCE(r->mode, KEEL_ENTERING);
	if (!READ_ONCE(r->pending))
		return true;
	WRITE_ONCE(r->mode, KEEL_OUTSIDE);
	return false;
}

/* Looks first, announces then. */
static bool enter_late(struct keel_requests *r)
{
	if (READ_ONCE(r->pending))
		return false;
	WRITE_ONCE(r->mode, KEEL_ENTERING);
	/* The real one's barrier, where it helps nobody. */
	smp_mb();
	return true;
}

/* Thinks that whoever sees LEAVING may take the IPI as his own. */
static bool owes_ipi_once(struct keel_requests *r)
{
	static unsigned int sent;

	/* As in the real one. */
	smp_mb();
	if (READ_ONCE(r->mode) != KEEL_ENTERING || model_read(&sent))
		return false;
	model_or(&sent, 1);
	return true;
}

/* Serves first and clears then: what came in between is gone. */
static bool take_late(struct keel_requests *r, enum keel_request which)
{
	if (!test_bit(which, &r->pending))
		return false;
	model_read(&payload[which]);
	return true;
}

static bool take_clears_all(struct keel_requests *r, enum keel_request which)
{
	if (!take_late(r, which))
		return false;
	model_and(&r->pending, 0);
	return true;
}

static void finds_missing_barrier(void)
{
	static const struct protocol p = {
		enter_without_barrier, keel_requests_owes_ipi, keel_requests_take, NULL,
	};
	const char *what = search(&p, 1, 1);

	CHECK(what && !strcmp(what, "stuck"), "the search says: %s", what ?: "fine");
}

static void finds_late_announcement(void)
{
	static const struct protocol p = {
		enter_late, keel_requests_owes_ipi, keel_requests_take, NULL,
	};
	const char *what = search(&p, 1, 1);

	CHECK(what && !strcmp(what, "stuck"), "the search says: %s", what ?: "fine");
}

static void finds_ipi_saved(void)
{
	static const struct protocol p = {
		keel_requests_enter, owes_ipi_once, keel_requests_take, NULL,
	};
	const char *what = search(&p, 1, 2);

	CHECK(what && !strcmp(what, "stuck"), "the search says: %s", what ?: "fine");
}

static void finds_request_cleared_unseen(void)
{
	static const struct protocol p = {
		keel_requests_enter, keel_requests_owes_ipi, take_clears_all, NULL,
	};
	const char *what = search(&p, 2, 1);

	CHECK(what && !strcmp(what, "stuck"), "the search says: %s", what ?: "fine");
}

/* Serves its own request and stays: LEAVING, which it caused, hides it from kickers. */
static bool stay_unannounced(struct keel_requests *r)
{
	keel_requests_set(r, 2);
	keel_requests_owes_ipi(r);
	keel_requests_take(r, 2);
	return keel_requests_stay(r);
}

static void finds_stay_unannounced(void)
{
	static const struct protocol p = {
		keel_requests_enter, keel_requests_owes_ipi, keel_requests_take, stay_unannounced,
	};
	const char *what = search(&p, 1, 1);

	CHECK(what && !strcmp(what, "stuck"), "the search says: %s", what ?: "fine");
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(one_kicker_never_loses),
		KTAP_TEST(two_kickers_never_lose),
		KTAP_TEST(nothing_is_lost_between_two_stays),
		KTAP_TEST(nor_by_an_own_request),
		KTAP_TEST(finds_missing_barrier),
		KTAP_TEST(finds_late_announcement),
		KTAP_TEST(finds_ipi_saved),
		KTAP_TEST(finds_request_cleared_unseen),
		KTAP_TEST(finds_stay_unannounced),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
