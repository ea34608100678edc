// SPDX-License-Identifier: GPL-2.0
/*
 * State records: all that GET gives, SET takes back; a bad field is named by
 * type and offset, and then nothing of the whole set is applied.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "libkeel.h"

#define ROOM	65536

static struct {
	u8 bytes[ROOM];
	u32 used;
} __aligned(8) set, again;

static const u32 vcpu_types[] = {
	KEEL_REC_REGS, KEEL_REC_SREGS, KEEL_REC_DEBUG, KEEL_REC_MSRS, KEEL_REC_EVENTS,
	KEEL_REC_XSAVE, KEEL_REC_LAPIC, KEEL_REC_TSC,
};

static const u32 vm_types[] = { KEEL_REC_PIC, KEEL_REC_IOAPIC, KEEL_REC_PIT };

static struct vm *machine(void)
{
	struct vm *vm = vm_new(VM_IRQCHIP | VM_PIT);

	vcpu_new(vm, 0);
	return vm;
}

static void get_all(int fd, typeof(set) *s)
{
	struct keel_state arg = { .buf = (unsigned long)s->bytes, .buf_size = ROOM };

	memset(s, 0, sizeof(*s));
	REQUIRE_EQ(kcall_sized(fd, KEEL_STATE_GET, &arg), 0);
	CHECK_EQ(arg.size_needed, arg.used);
	s->used = arg.used;
}

static int set_all(int fd, typeof(set) *s, struct keel_state *arg)
{
	*arg = (struct keel_state) {
		.buf = (unsigned long)s->bytes, .buf_size = ROOM, .used = s->used,
	};
	return kcall_sized(fd, KEEL_STATE_SET, arg);
}

static struct keel_rec *find(typeof(set) *s, u32 type)
{
	struct keel_rec *rec;
	u32 at;

	for (at = 0; at + sizeof(*rec) <= s->used; at += sizeof(*rec) + ((rec->len + 7) & ~7U)) {
		rec = (struct keel_rec *)(s->bytes + at);
		if (rec->type == type)
			return rec;
	}
	return NULL;
}

/* Records whose contents are the same while the vCPU stands still. */
static void drop_time(typeof(set) *s)
{
	static const u32 types[] = { KEEL_REC_TSC, KEEL_REC_PIT };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		struct keel_rec *rec = find(s, types[i]);

		if (rec)
			memset(rec + 1, 0, rec->len);
	}
}

static void check_same(const char *when)
{
	unsigned int i;

	drop_time(&set);
	drop_time(&again);
	CHECK_EQ(set.used, again.used);
	for (i = 0; i < set.used; i++)
		if (set.bytes[i] != again.bytes[i])
			break;
	CHECK(i == set.used, "%s: byte %u of %u differs", when, i, set.used);
}

/* ---- the framing ------------------------------------------------------------- */

TEST(every_record_is_there)
{
	struct vm *vm = machine();
	unsigned int i;

	get_all(vm->vcpu[0].fd, &set);
	for (i = 0; i < ARRAY_SIZE(vcpu_types); i++) {
		struct keel_rec *rec = find(&set, vcpu_types[i]);

		REQUIRE(rec, "record %u", vcpu_types[i]);
		CHECK_EQ(rec->version, 1);
		CHECK_EQ(rec->reserved, 0);
	}
	CHECK_EQ(find(&set, KEEL_REC_REGS)->len, sizeof(struct keel_regs));
	CHECK_EQ(find(&set, KEEL_REC_SREGS)->len, sizeof(struct keel_sregs));
	CHECK_EQ(find(&set, KEEL_REC_DEBUG)->len, sizeof(struct keel_rec_debug));
	CHECK_EQ(find(&set, KEEL_REC_EVENTS)->len, sizeof(struct keel_rec_events));
	CHECK_EQ(find(&set, KEEL_REC_LAPIC)->len, sizeof(struct keel_rec_lapic));
	CHECK_EQ(find(&set, KEEL_REC_TSC)->len, sizeof(struct keel_rec_tsc));
	CHECK_EQ(find(&set, KEEL_REC_MSRS)->len % sizeof(struct keel_rec_msr), 0);
	get_all(vm->fd, &set);
	for (i = 0; i < ARRAY_SIZE(vm_types); i++)
		REQUIRE(find(&set, vm_types[i]), "record %#x", vm_types[i]);
	vm_free(vm);

	/* Not without the chips. */
	vm = vm_new(0);
	get_all(vm->fd, &set);
	CHECK_EQ(set.used, 0);
	get_all(vcpu_new(vm, 0)->fd, &set);
	CHECK(!find(&set, KEEL_REC_LAPIC));
	vm_free(vm);
}

TEST(some_records)
{
	struct keel_rec *want = (struct keel_rec *)set.bytes;
	struct keel_state arg = {
		.buf = (unsigned long)set.bytes, .buf_size = ROOM, .used = 2 * sizeof(*want),
	};
	struct vm *vm = machine();

	want[0] = (struct keel_rec) { .type = KEEL_REC_DEBUG, .version = 1 };
	want[1] = (struct keel_rec) { .type = KEEL_REC_REGS, .version = 1 };
	REQUIRE_EQ(kcall_sized(vm->vcpu[0].fd, KEEL_STATE_GET, &arg), 0);
	CHECK_EQ(arg.used, 2 * sizeof(*want) + sizeof(struct keel_regs) +
		 sizeof(struct keel_rec_debug));
	set.used = arg.used;
	CHECK(find(&set, KEEL_REC_DEBUG) && find(&set, KEEL_REC_REGS));
	vm_free(vm);
}

TEST(round_trip)
{
	struct vm *vm = machine();
	struct keel_state arg;
	int i;

	for (i = 0; i < 2; i++) {
		int fd = i ? vm->fd : vm->vcpu[0].fd;

		get_all(fd, &set);
		again = set;
		REQUIRE_EQ(set_all(fd, &again, &arg), 0);
		get_all(fd, &again);
		check_same(i ? "VM" : "vCPU");
	}
	vm_free(vm);
}

/* Values of the launcher's own, not those of a reset. */
TEST(round_trip_of_values)
{
	struct keel_rec_debug debug = { .dr = { 1, 2, 3, 0x7fffffff0000 }, .dr6 = 0xffff0ff0,
					.dr7 = 0x400 }, debug2;
	struct keel_rec_events ev = { .nmi_masked = 1, .nmi_pending = 1, .shadow = KEEL_SHADOW_STI,
				      .mp_state = KEEL_MP_HALTED }, ev2;
	struct keel_rec_tsc tsc = { .tsc = 0x123456789abcd }, tsc2;
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	struct keel_regs regs, regs2;
	struct keel_sregs sregs, sregs2;
	struct keel_info info;
	int i;

	for (i = 0; i < 16; i++)
		regs.gpr[i] = 0x1111111111111111ULL * (i + 1);
	regs.rip = 0xfff0;
	regs.rflags = 0x202;
	CHECK_EQ(state_set(v->fd, KEEL_REC_REGS, &regs, sizeof(regs), NULL), 0);
	CHECK_EQ(state_get(v->fd, KEEL_REC_REGS, &regs2, sizeof(regs2)), sizeof(regs2));
	CHECK(!memcmp(&regs, &regs2, sizeof(regs)));

	CHECK_EQ(state_set(v->fd, KEEL_REC_DEBUG, &debug, sizeof(debug), NULL), 0);
	CHECK_EQ(state_get(v->fd, KEEL_REC_DEBUG, &debug2, sizeof(debug2)), sizeof(debug2));
	CHECK(!memcmp(&debug, &debug2, sizeof(debug)));

	REQUIRE(state_get(v->fd, KEEL_REC_SREGS, &sregs, sizeof(sregs)) == sizeof(sregs));
	sregs.cr2 = 0x12345;
	sregs.seg[KEEL_SREG_FS].selector = 0x1234;
	sregs.seg[KEEL_SREG_FS].base = 0x12340;
	sregs.gdt.base = 0x5000;
	sregs.gdt.limit = 0x37;
	sregs.cr8 = 3;
	CHECK_EQ(state_set(v->fd, KEEL_REC_SREGS, &sregs, sizeof(sregs), NULL), 0);
	CHECK_EQ(state_get(v->fd, KEEL_REC_SREGS, &sregs2, sizeof(sregs2)), sizeof(sregs2));
	CHECK(!memcmp(&sregs, &sregs2, sizeof(sregs)));

	CHECK_EQ(state_set(v->fd, KEEL_REC_EVENTS, &ev, sizeof(ev), NULL), 0);
	CHECK_EQ(state_get(v->fd, KEEL_REC_EVENTS, &ev2, sizeof(ev2)), sizeof(ev2));
	CHECK(!memcmp(&ev, &ev2, sizeof(ev)));

	CHECK_EQ(msr_set(v, 0xc0000082, 0xffffffff81000000), 0);
	CHECK_EQ(msr_get(v, 0xc0000082), 0xffffffff81000000);

	keel_info(&info);
	CHECK_EQ(state_set(v->fd, KEEL_REC_TSC, &tsc, sizeof(tsc), NULL), 0);
	CHECK_EQ(state_get(v->fd, KEEL_REC_TSC, &tsc2, sizeof(tsc2)), sizeof(tsc2));
	CHECK(tsc2.tsc >= tsc.tsc && tsc2.tsc < tsc.tsc + info.tsc_khz * 2000ULL,
	      "%#llx", tsc2.tsc);
	CHECK(tsc2.host_ns && tsc2.host_ns <= now_ns());
	vm_free(vm);
}

/* Time goes on between a save and its load, if the launcher says so. */
TEST(tsc_catches_up)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	struct keel_info info;
	struct keel_rec_tsc a, b;

	keel_info(&info);
	REQUIRE(state_get(v->fd, KEEL_REC_TSC, &a, sizeof(a)) == sizeof(a));
	sleep_ms(300);
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_TSC, &a, sizeof(a), NULL), 0);
	REQUIRE(state_get(v->fd, KEEL_REC_TSC, &b, sizeof(b)) == sizeof(b));
	CHECK_GE(b.tsc - a.tsc, info.tsc_khz * 295ULL);
	a.host_ns = now_ns() + 1000 * NSEC;
	CHECK_EQ(state_set(v->fd, KEEL_REC_TSC, &a, sizeof(a), NULL), -EINVAL);
	vm_free(vm);
}

/* ---- bad buffers ---------------------------------------------------------------- */

TEST(bad_buffers)
{
	struct vm *vm = machine();
	int fd = vm->vcpu[0].fd;
	struct keel_state arg;
	struct keel_rec *rec = (struct keel_rec *)set.bytes;
	u32 need;

	get_all(fd, &set);
	need = set.used;
	arg = (struct keel_state) { .buf = (unsigned long)set.bytes, .buf_size = need - 1 };
	CHECK_EQ(kcall_sized(fd, KEEL_STATE_GET, &arg), -ENOSPC);
	CHECK_EQ(arg.size_needed, need);
	arg.buf_size = 0;
	CHECK_EQ(kcall_sized(fd, KEEL_STATE_GET, &arg), -ENOSPC);
	CHECK_EQ(arg.size_needed, need);
	arg = (struct keel_state) { .buf = 0, .buf_size = ROOM };
	CHECK_EQ(kcall_sized(fd, KEEL_STATE_GET, &arg), -EFAULT);
	arg.used = need;
	CHECK_EQ(kcall_sized(fd, KEEL_STATE_SET, &arg), -EFAULT);
	arg = (struct keel_state) { .buf = (unsigned long)set.bytes, .buf_size = 0xffffffff,
				    .used = 0xffffffff };
	CHECK_EQ(kcall_sized(fd, KEEL_STATE_SET, &arg), -EINVAL);
	arg.buf_size = need;
	arg.used = need + 8;
	CHECK_EQ(kcall_sized(fd, KEEL_STATE_SET, &arg), -EINVAL);

	/* A header cut short, a length beyond the end, a wrong one, twice. */
	get_all(fd, &set);
	set.used = sizeof(*rec) - 4;
	CHECK_EQ(set_all(fd, &set, &arg), -EINVAL);
	set.used = sizeof(*rec) + 4;
	CHECK_EQ(set_all(fd, &set, &arg), -EINVAL);
	set.used = need;
	/* What follows is no header. */
	rec->len += 8;
	CHECK(set_all(fd, &set, &arg) < 0);
	rec->len = 0xfffffff8;
	CHECK_EQ(set_all(fd, &set, &arg), -EINVAL);
	get_all(fd, &set);
	memcpy(set.bytes + need, find(&set, KEEL_REC_DEBUG), sizeof(*rec) + 48);
	set.used = need + sizeof(*rec) + 48;
	CHECK_EQ(set_all(fd, &set, &arg), -EINVAL);
	CHECK_EQ(arg.bad_type, KEEL_REC_DEBUG);
	get_all(fd, &set);
	rec->reserved = 1;
	CHECK_EQ(set_all(fd, &set, &arg), -EINVAL);
	get_all(fd, &set);
	rec->version = 2;
	CHECK_EQ(set_all(fd, &set, &arg), -EOPNOTSUPP);
	CHECK_EQ(arg.bad_type, rec->type);
	get_all(fd, &set);
	rec->type = 0x999;
	CHECK_EQ(set_all(fd, &set, &arg), -EOPNOTSUPP);
	CHECK_EQ(arg.bad_type, 0x999);
	/* A record of the other kind of fd. */
	rec->type = KEEL_REC_PIC;
	CHECK_EQ(set_all(fd, &set, &arg), -EOPNOTSUPP);
	rec->type = 0x999;
	rec->len = 0;
	rec->version = 1;
	arg = (struct keel_state) { .buf = (unsigned long)set.bytes, .buf_size = ROOM,
				    .used = sizeof(*rec) };
	CHECK_EQ(kcall_sized(fd, KEEL_STATE_GET, &arg), -EOPNOTSUPP);
	/* Asking with a payload. */
	rec->type = KEEL_REC_DEBUG;
	rec->len = 48;
	arg.used = sizeof(*rec) + 48;
	CHECK_EQ(kcall_sized(fd, KEEL_STATE_GET, &arg), -EINVAL);
	vm_free(vm);
}

/* ---- bad fields ------------------------------------------------------------------- */

#define FIELD(type, st, f, ...) \
	{ type, offsetof(struct st, f), sizeof(((struct st *)0)->f), __VA_ARGS__ }

/* XSAVE: the legacy region's MXCSR and the header. */
#define XSAVE_MXCSR	24
#define XSAVE_BV	512
#define XSAVE_COMP	520

struct bad_field {
	u32 type, offset, size;
	u64 value;
	u32 within;		/* bytes from the start of the member that is blamed as a whole */
};

static const struct bad_field bad_fields[] = {
	FIELD(KEEL_REC_REGS, keel_regs, rflags, 0),
	FIELD(KEEL_REC_REGS, keel_regs, rflags, 1ULL << 63 | 2),
	FIELD(KEEL_REC_REGS, keel_regs, rflags, 1 << 22 | 2),
	FIELD(KEEL_REC_SREGS, keel_sregs, cr0, 0x80000000),
	FIELD(KEEL_REC_SREGS, keel_sregs, cr0, 1ULL << 32),
	FIELD(KEEL_REC_SREGS, keel_sregs, cr0, 1ULL << 29),
	FIELD(KEEL_REC_SREGS, keel_sregs, cr4, 1ULL << 13),
	FIELD(KEEL_REC_SREGS, keel_sregs, cr4, 1ULL << 40),
	FIELD(KEEL_REC_SREGS, keel_sregs, cr4, 1ULL << 17),
	FIELD(KEEL_REC_SREGS, keel_sregs, cr3, 1ULL << 62),
	FIELD(KEEL_REC_SREGS, keel_sregs, cr8, 16),
	FIELD(KEEL_REC_SREGS, keel_sregs, efer, 1 << 10),
	FIELD(KEEL_REC_SREGS, keel_sregs, efer, 1 << 12),
	FIELD(KEEL_REC_SREGS, keel_sregs, efer, 1 << 9),
	FIELD(KEEL_REC_SREGS, keel_sregs, xcr0, 0xff00),
	FIELD(KEEL_REC_SREGS, keel_sregs, xcr0, 1ULL << 63 | 1),
	FIELD(KEEL_REC_SREGS, keel_sregs, apic_base, ~0ULL),
	FIELD(KEEL_REC_SREGS, keel_sregs, seg[KEEL_SREG_CS].attr, 0x0f93, 14),
	FIELD(KEEL_REC_SREGS, keel_sregs, seg[KEEL_SREG_DS].attr, 0x0100, 14),
	FIELD(KEEL_REC_SREGS, keel_sregs, gdt.limit, 0x10000, 8),
	FIELD(KEEL_REC_SREGS, keel_sregs, idt.limit, 0x10000, 8),
	FIELD(KEEL_REC_SREGS, keel_sregs, gdt.reserved, 1, 12),
	FIELD(KEEL_REC_SREGS, keel_sregs, idt.reserved, 1, 12),
	FIELD(KEEL_REC_DEBUG, keel_rec_debug, dr6, 1ULL << 32),
	FIELD(KEEL_REC_DEBUG, keel_rec_debug, dr7, 1ULL << 32),
	FIELD(KEEL_REC_DEBUG, keel_rec_debug, dr7, 1 << 13),
	FIELD(KEEL_REC_DEBUG, keel_rec_debug, dr[2], 0x8000000000000000),
	FIELD(KEEL_REC_MSRS, keel_rec_msr, index, 0x12345678),
	FIELD(KEEL_REC_MSRS, keel_rec_msr, reserved, 1, 4),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, exc_pending, 2),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, irq_injected, 2),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, irq_soft, 1),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, nmi_injected, 2),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, nmi_pending, 3),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, nmi_masked, 2),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, shadow, 4),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, mp_state, 4),
	FIELD(KEEL_REC_EVENTS, keel_rec_events, init_pending, 2),
	{ KEEL_REC_EVENTS, offsetof(struct keel_rec_events, reserved), 1, 1 },
	{ KEEL_REC_XSAVE, XSAVE_MXCSR, 4, 0xffff0000 },
	{ KEEL_REC_XSAVE, XSAVE_BV, 8, 1ULL << 62 },
	{ KEEL_REC_XSAVE, XSAVE_COMP, 8, 1ULL << 63 },
	{ KEEL_REC_XSAVE, XSAVE_COMP + 8, 8, 1 },
	FIELD(KEEL_REC_LAPIC, keel_rec_lapic, reserved, 1),
	FIELD(KEEL_REC_TSC, keel_rec_tsc, host_ns, ~0ULL),
	FIELD(KEEL_REC_TSC, keel_rec_tsc, khz, ~0ULL),
	FIELD(KEEL_REC_TSC, keel_rec_tsc, khz, 1),
	{ KEEL_REC_PIC, offsetof(struct keel_rec_pic, chip[0].reserved), 1, 1 },
	{ KEEL_REC_PIC, offsetof(struct keel_rec_pic, chip[1].reserved), 1, 1 },
	{ KEEL_REC_PIC, offsetof(struct keel_rec_pic, chip[0].poll), 1, 2 },
	{ KEEL_REC_PIC, offsetof(struct keel_rec_pic, chip[0].priority_add), 1, 8 },
	{ KEEL_REC_IOAPIC, offsetof(struct keel_rec_ioapic, redirect[5]), 8, 1ULL << 50 },
	FIELD(KEEL_REC_IOAPIC, keel_rec_ioapic, lines, 1 << 24),
	FIELD(KEEL_REC_IOAPIC, keel_rec_ioapic, irr, 1 << 24),
	{ KEEL_REC_PIT, offsetof(struct keel_rec_pit, channel[0].mode), 1, 6 },
	{ KEEL_REC_PIT, offsetof(struct keel_rec_pit, channel[1].bcd), 1, 2 },
	{ KEEL_REC_PIT, offsetof(struct keel_rec_pit, channel[2].gate), 1, 2 },
	FIELD(KEEL_REC_PIT, keel_rec_pit, speaker, 4),
	{ KEEL_REC_PIT, offsetof(struct keel_rec_pit, reserved), 1, 1 },
};

TEST(bad_fields_are_named)
{
	const struct bad_field *b;
	struct vm *vm = machine();
	struct keel_state arg;

	for (b = bad_fields; b < bad_fields + ARRAY_SIZE(bad_fields); b++) {
		int fd = b->type < KEEL_REC_PIC ? vm->vcpu[0].fd : vm->fd, ret;
		struct keel_regs *regs;
		struct keel_rec *rec;

		get_all(fd, &set);
		again = set;
		rec = find(&again, b->type);
		REQUIRE(rec && b->offset + b->size <= rec->len, "record %#x", b->type);
		/* A change in another record, that must not come through. */
		if (b->type != KEEL_REC_REGS && b->type < KEEL_REC_PIC) {
			regs = (struct keel_regs *)(find(&again, KEEL_REC_REGS) + 1);
			regs->gpr[KEEL_GPR_RBX] ^= 0x5a5a;
		}
		memcpy((u8 *)(rec + 1) + b->offset, &b->value, b->size);
		ret = set_all(fd, &again, &arg);
		CHECK(ret == -EINVAL && arg.bad_type == b->type &&
		      (arg.bad_offset == b->offset || arg.bad_offset == b->offset - b->within),
		      "record %#x offset %u value %#llx: %d, record %#x offset %u", b->type,
		      b->offset, b->value, ret, arg.bad_type, arg.bad_offset);
		get_all(fd, &again);
		check_same("after a bad field");
		if (!ret)
			set_all(fd, &set, &arg);
	}
	vm_free(vm);
}

/* ---- when ----------------------------------------------------------------------------- */

TEST(a_vm_with_a_running_vcpu)
{
	struct keel_pause p = {};
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	struct keel_rec_pic pic;
	struct keel_regs regs;

	/* jmp . */
	vm->ram[0x1000] = 0xeb;
	vm->ram[0x1001] = 0xfe;
	guest_real(v, 0x1000, 0);
	guest_spins(v);
	vcpu_spawn(v);
	REQUIRE(WAIT_FOR(5000, state_get(v->fd, KEEL_REC_REGS, &regs, sizeof(regs)) == -EBUSY));
	sleep_ms(20);
	CHECK_EQ(state_get(v->fd, KEEL_REC_REGS, &regs, sizeof(regs)), -EBUSY);
	CHECK_EQ(state_get(vm->fd, KEEL_REC_PIC, &pic, sizeof(pic)), -EBUSY);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
	CHECK_EQ(state_get(vm->fd, KEEL_REC_PIC, &pic, sizeof(pic)), sizeof(pic));
	CHECK_EQ(state_set(vm->fd, KEEL_REC_PIC, &pic, sizeof(pic), NULL), 0);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), 0);
	CHECK_EQ(state_set(vm->fd, KEEL_REC_PIC, &pic, sizeof(pic), NULL), -EBUSY);
}

/* A CPU in the middle of something, moved to a new VM, goes on. */
TEST(move_to_another_vm)
{
	/* mov $5, %cx; 1: inc %ax; out %al, $0x80; loop 1b; hlt */
	static const u8 code[] = { 0xb9, 5, 0, 0x40, 0xe6, 0x80, 0xe2, 0xfb, 0xf4 };
	struct vm *a = vm_new(0), *b = vm_new(0);
	struct vcpu *va = vcpu_new(a, 0), *vb = vcpu_new(b, 0);
	struct keel_state arg;
	u32 n = 0;

	memcpy(a->ram + 0x1000, code, sizeof(code));
	guest_real(va, 0x1000, 0);
	for (; n < 2; n++)
		vcpu_expect(va, KEEL_EXIT_PIO);
	get_all(va->fd, &set);
	REQUIRE_EQ(set_all(vb->fd, &set, &arg), 0);
	memcpy(b->ram, a->ram, a->ram_size);
	for (; vcpu_run(vb) == KEEL_EXIT_PIO; n++)
		CHECK_EQ(vb->run->pio.data, n + 1);
	CHECK_EQ(vb->run->exit_reason, KEEL_EXIT_HLT);
	CHECK_EQ(n, 5);
	vm_free(a);
	vm_free(b);
}
