// SPDX-License-Identifier: GPL-2.0
/*
 * State records, one at a time. It knows the framing of records and nothing of
 * what is in them.
 */
#include <errno.h>
#include <stdlib.h>
#include "libkeel.h"

#define RECORDS_MAX	65536

int state_get(int fd, u32 type, void *buf, u32 len)
{
	struct keel_rec *rec = calloc(1, RECORDS_MAX);
	struct keel_state arg = {
		.buf = (unsigned long)rec, .buf_size = RECORDS_MAX, .used = sizeof(*rec),
	};
	int ret;

	rec->type = type;
	rec->version = 1;
	ret = kcall_sized(fd, KEEL_STATE_GET, &arg);
	if (!ret) {
		REQUIRE(arg.used >= sizeof(*rec) && rec->type == type,
			"record %#x came back as %#x in %u bytes", type, rec->type, arg.used);
		ret = rec->len;
		memcpy(buf, rec + 1, rec->len < len ? rec->len : len);
	}
	free(rec);
	return ret;
}

int state_set(int fd, u32 type, const void *buf, u32 len, struct state_bad *bad)
{
	struct keel_rec *rec = calloc(1, sizeof(*rec) + len + 8);
	struct keel_state arg = {
		.buf = (unsigned long)rec, .buf_size = sizeof(*rec) + ((len + 7) & ~7U),
	};
	int ret;

	arg.used = arg.buf_size;
	rec->type = type;
	rec->version = 1;
	rec->len = len;
	memcpy(rec + 1, buf, len);
	ret = kcall_sized(fd, KEEL_STATE_SET, &arg);
	free(rec);
	if (bad) {
		bad->type = arg.bad_type;
		bad->offset = arg.bad_offset;
	}
	return ret;
}

int msr_set(struct vcpu *v, u32 index, u64 value)
{
	struct keel_rec_msr msr = { .index = index, .value = value };

	return state_set(v->fd, KEEL_REC_MSRS, &msr, sizeof(msr), NULL);
}

u64 msr_get(struct vcpu *v, u32 index)
{
	static struct keel_rec_msr msrs[1024];
	int len = state_get(v->fd, KEEL_REC_MSRS, msrs, sizeof(msrs));
	unsigned int i;

	REQUIRE(len >= 0, "%s", strerror(-len));
	for (i = 0; i < len / sizeof(*msrs); i++)
		if (msrs[i].index == index)
			return msrs[i].value;
	CHECK(false, "MSR %#x is not in the record", index);
	return 0;
}
