// SPDX-License-Identifier: GPL-2.0
/*
 * The request protocol of core/request.h between real threads: each request of
 * two kickers is answered, or a deadline tells that it was lost.
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include "core/request.h"
#include "ktap.h"

#define ROUNDS		50000
#define DEADLINE_S	20

static struct keel_requests req;
static unsigned int ipi;			/* latched interrupt */
static unsigned long asked[2], answered[2];	/* round numbers */
static int stop;

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void *kicker(void *arg)
{
	enum keel_request which = (enum keel_request)(long)arg;
	unsigned long i;
	time_t end;

	for (i = 1; i <= ROUNDS && !READ_ONCE(stop); i++) {
		/* Of one round: a busy machine may take long for all. */
		end = seconds() + DEADLINE_S;
		WRITE_ONCE(asked[which], i);
		keel_requests_set(&req, which);
		if (keel_requests_owes_ipi(&req))
			xchg(&ipi, 1);
		while (READ_ONCE(answered[which]) < i) {
			sched_yield();
			if (seconds() > end) {
				CHECK(false, "request %d, round %lu was lost", which, i);
				WRITE_ONCE(stop, 1);
				return NULL;
			}
		}
	}
	return NULL;
}

static void owner(void)
{
	unsigned int i;

	while (answered[0] < ROUNDS || answered[1] < ROUNDS) {
		xchg(&ipi, 0);
		if (keel_requests_enter(&req)) {
			while (!READ_ONCE(ipi)) {
				if (READ_ONCE(stop))
					return;
				sched_yield();
			}
			keel_requests_leave(&req);
		}
		for (i = 0; i < 2; i++)
			if (keel_requests_take(&req, i))
				WRITE_ONCE(answered[i], READ_ONCE(asked[i]));
	}
}

static void no_request_is_lost(void)
{
	pthread_t kickers[2];
	long i;

	for (i = 0; i < 2; i++)
		pthread_create(&kickers[i], NULL, kicker, (void *)i);
	owner();
	for (i = 0; i < 2; i++)
		pthread_join(kickers[i], NULL);
	ktap_cases(2 * ROUNDS);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(no_request_is_lost),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
