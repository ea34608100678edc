// SPDX-License-Identifier: GPL-2.0
/*
 * The registry of state records.  A set of records is read whole, checked
 * whole, and only then applied, in the order of the tables here; so a call
 * changes everything it names or nothing.  It must not know what a record
 * holds.
 */
#include <linux/keel.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "core/state.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define STATE_MAX_BYTES		BIT(20)
#define STATE_ALIGN		8U

/*
 * The order of application.  SREGS first: CPU mode decides what the rest means
 * (the LAPIC's mode comes with apic_base, the XSAVE area needs XCR0); EVENTS
 * last, since loading registers drops events that no longer fit.
 */
static const struct keel_record *const vcpu_records[] = {
	&keel_rec_tsc,
	&keel_rec_sregs,
	&keel_rec_xsave,
	&keel_rec_msrs,
	&lapic_record,
	&keel_rec_debug,
	&keel_rec_regs,
	&keel_rec_events,
};

/* Lines last change in the PIT: first those who listen. */
static const struct keel_record *const vm_records[] = {
	&pic_record,
	&ioapic_record,
	&pit_record,
};

#define STATE_MAX_RECORDS	ARRAY_SIZE(vcpu_records)
static_assert(ARRAY_SIZE(vm_records) <= STATE_MAX_RECORDS);

/* One call's work. */
struct state_call {
	struct keel_vm *vm;
	struct keel_vcpu *vcpu;
	const struct keel_record *const *records;
	u32 nr_records;
	/* per record type: where its header lies in the buffer, or STATE_ABSENT */
	u32 at[STATE_MAX_RECORDS];
};

#define STATE_ABSENT	U32_MAX

static void state_begin(struct state_call *call, struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	u32 i;

	call->vm = vm;
	call->vcpu = vcpu;
	call->records = vcpu ? vcpu_records : vm_records;
	call->nr_records = vcpu ? ARRAY_SIZE(vcpu_records) : ARRAY_SIZE(vm_records);
	for (i = 0; i < STATE_MAX_RECORDS; i++)
		call->at[i] = STATE_ABSENT;
}

/* Index of @type, or -1. */
static int state_index(const struct state_call *call, u32 type)
{
	u32 i;

	for (i = 0; i < call->nr_records; i++)
		if (call->records[i]->type == type)
			return i;
	return -1;
}

/*
 * Finds the records in @buf: known types and versions, none twice, all of it
 * inside @used bytes.  @payload: a header is followed by its payload.
 */
static int state_parse(struct state_call *call, const void *buf, u32 used, bool payload,
		       struct keel_state *arg)
{
	const struct keel_rec *rec;
	u32 at = 0;
	int i;

	while (at < used) {
		if (used - at < sizeof(*rec))
			return -EINVAL;
		rec = buf + at;
		arg->bad_type = rec->type;
		if (rec->reserved || (!payload && rec->len))
			return -EINVAL;
		i = state_index(call, rec->type);
		if (i < 0 || rec->version != call->records[i]->version)
			return -EOPNOTSUPP;
		if (call->at[i] != STATE_ABSENT)
			return -EINVAL;
		call->at[i] = at;
		at += sizeof(*rec);
		if (rec->len > used - at)
			return -EINVAL;
		/* The last record's padding may be missing. */
		at += min(round_up(rec->len, STATE_ALIGN), used - at);
	}
	arg->bad_type = 0;
	return 0;
}

/* ---- who may look ------------------------------------------------------------ */

/*
 * A vCPU's records need the vCPU; a VM's need vm->lock and every vCPU stopped:
 * taken here, or parked inside RUN by a pause that vm->lock keeps up.
 */
static int state_lock(struct state_call *call)
{
	struct keel_vcpu *vcpu;
	u32 i;

	if (call->vcpu)
		return keel_vcpu_own(call->vcpu);
	if (mutex_lock_killable(&call->vm->lock))
		return -EINTR;
	if (call->vm->paused)
		return 0;
	keel_for_each_vcpu(i, vcpu, call->vm) {
		if (!keel_vcpu_own(vcpu))
			continue;
		while (i--)
			if (call->vm->vcpus[i])
				keel_vcpu_disown(call->vm->vcpus[i]);
		mutex_unlock(&call->vm->lock);
		return -EBUSY;
	}
	return 0;
}

static void state_unlock(struct state_call *call)
{
	struct keel_vcpu *vcpu;
	u32 i;

	if (call->vcpu) {
		keel_vcpu_disown(call->vcpu);
		return;
	}
	if (!call->vm->paused)
		keel_for_each_vcpu(i, vcpu, call->vm)
			keel_vcpu_disown(vcpu);
	mutex_unlock(&call->vm->lock);
}

/* ---- GET --------------------------------------------------------------------- */

/* Bytes of record @i with header and padding; 0: not wanted or not there. */
static u32 state_room(const struct state_call *call, u32 i, bool all)
{
	u32 len;

	if (!all && call->at[i] == STATE_ABSENT)
		return 0;
	len = call->records[i]->size(call->vm, call->vcpu);
	return len ? sizeof(struct keel_rec) + round_up(len, STATE_ALIGN) : 0;
}

/* Everything wanted into @buf, which has @size zeroed bytes. */
static int state_save(struct state_call *call, void *buf, u32 size, bool all,
		      struct keel_state *arg)
{
	const struct keel_record *record;
	struct keel_rec *rec;
	u32 i, room, at = 0;
	int ret;

	for (i = 0; i < call->nr_records; i++) {
		record = call->records[i];
		room = state_room(call, i, all);
		if (!room)
			continue;
		if (room > size - at) {
			keel_vm_bugged(call->vm, "a state record grew while it was saved");
			return -EIO;
		}
		rec = buf + at;
		rec->type = record->type;
		rec->version = record->version;
		rec->len = record->size(call->vm, call->vcpu);
		ret = record->save(call->vm, call->vcpu, rec + 1, rec->len);
		if (ret) {
			arg->bad_type = record->type;
			return ret;
		}
		at += room;
	}
	arg->used = at;
	return 0;
}

int keel_state_get(struct keel_vm *vm, struct keel_vcpu *vcpu, struct keel_state *arg)
{
	void __user *ubuf = u64_to_user_ptr(arg->buf);
	struct keel_rec wanted[STATE_MAX_RECORDS];
	bool all = !arg->used;
	struct state_call call;
	void *buf = NULL;
	u32 i, size = 0;
	int ret;

	arg->size_needed = 0;
	arg->bad_type = 0;
	arg->bad_offset = 0;
	if (arg->used > arg->buf_size || arg->used > sizeof(wanted))
		return -EINVAL;
	if (copy_from_user(wanted, ubuf, arg->used))
		return -EFAULT;
	state_begin(&call, vm, vcpu);
	ret = state_parse(&call, wanted, arg->used, false, arg);
	if (ret)
		return ret;

	ret = state_lock(&call);
	if (ret)
		return ret;
	for (i = 0; i < call.nr_records; i++)
		size += state_room(&call, i, all);
	arg->size_needed = size;
	arg->used = 0;
	if (size > arg->buf_size) {
		ret = -ENOSPC;
	} else if (size) {
		buf = kvzalloc(size, GFP_KERNEL_ACCOUNT);
		ret = buf ? state_save(&call, buf, size, all, arg) : -ENOMEM;
	}
	state_unlock(&call);
	if (!ret && copy_to_user(ubuf, buf, arg->used))
		ret = -EFAULT;
	kvfree(buf);
	return ret;
}

/* ---- SET --------------------------------------------------------------------- */

/* What check() and load() rely on: the state is there, and all of the payload. */
static int state_check_len(struct state_call *call, const struct keel_record *record, u32 len,
			   u32 *bad)
{
	u32 want = record->size(call->vm, call->vcpu);

	*bad = 0;
	if (!want)
		return -EINVAL;
	if (record->any_len || len == want)
		return 0;
	*bad = min(len, want);
	return -EINVAL;
}

static int state_check(struct state_call *call, const void *buf, struct keel_state *arg)
{
	const struct keel_record *record;
	const struct keel_rec *rec;
	u32 i, bad;
	int ret;

	for (i = 0; i < call->nr_records; i++) {
		if (call->at[i] == STATE_ABSENT)
			continue;
		record = call->records[i];
		rec = buf + call->at[i];
		ret = state_check_len(call, record, rec->len, &bad);
		if (!ret)
			ret = record->check(call->vm, call->vcpu, rec + 1, rec->len, &bad);
		if (ret) {
			arg->bad_type = record->type;
			arg->bad_offset = bad;
			return ret;
		}
	}
	return 0;
}

static void state_load(struct state_call *call, const void *buf)
{
	const struct keel_rec *rec;
	u32 i;

	for (i = 0; i < call->nr_records; i++) {
		if (call->at[i] == STATE_ABSENT)
			continue;
		rec = buf + call->at[i];
		call->records[i]->load(call->vm, call->vcpu, rec + 1, rec->len);
	}
}

int keel_state_set(struct keel_vm *vm, struct keel_vcpu *vcpu, struct keel_state *arg)
{
	struct state_call call;
	void *buf;
	int ret;

	arg->size_needed = 0;
	arg->bad_type = 0;
	arg->bad_offset = 0;
	if (arg->used > arg->buf_size || arg->used > STATE_MAX_BYTES)
		return -EINVAL;
	if (!arg->used)
		return 0;
	/* One copy: what is checked is what is applied. */
	buf = vmemdup_user(u64_to_user_ptr(arg->buf), arg->used);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	state_begin(&call, vm, vcpu);
	ret = state_parse(&call, buf, arg->used, true, arg);
	if (ret)
		goto out;
	ret = state_lock(&call);
	if (ret)
		goto out;
	ret = state_check(&call, buf, arg);
	if (!ret)
		state_load(&call, buf);
	state_unlock(&call);
out:
	kvfree(buf);
	return ret;
}
