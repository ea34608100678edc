// SPDX-License-Identifier: GPL-2.0
/*
 * The LAPIC by the CPU, where KEEL_INFO says so, and by the kernel: the guest sees
 * the same, the number of exits tells who did it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "host.h"
#include "libkeel.h"

static u32 caps(void)
{
	struct keel_info info;

	keel_info(&info);
	return info.cpu_caps;
}

static struct vm *machine(u64 x2, unsigned int cpus)
{
	struct keel_info info;
	unsigned int i;
	struct vm *vm;

	keel_info(&info);
	if (x2 && !(info.features & KEEL_FEAT_X2APIC))
		ktap_skip("no x2APIC");
	vm = vm_new(VM_IRQCHIP);
	for (i = 0; i < cpus; i++)
		vcpu_new(vm, i);
	*(u64 *)GP(vm, tsc_khz) = info.tsc_khz;
	return vm;
}

static void alone(u64 fn, u64 arg)
{
	struct vm *vm = machine(1, 1);

	guest_start(&vm->vcpu[0], fn, arg, 0ULL, 0ULL);
	guest_done(&vm->vcpu[0]);
	vm_free(vm);
}

static bool parameter(const char *name)
{
	char path[80], buf[16];

	snprintf(path, sizeof(path), "/sys/module/keel/parameters/%s", name);
	host_read(path, buf, sizeof(buf));
	REQUIRE(*buf == 'Y' || *buf == 'N', "%s: %s", name, buf);
	return *buf == 'Y';
}

TEST(parameters)
{
	static char report[4096];
	struct keel_info info = { .report = (u64)(unsigned long)report,
				  .report_size = sizeof(report) };
	bool apicv = parameter("apicv"), intr = parameter("virtual_intr");

	REQUIRE_EQ(kcall_sized(keel_dev(), KEEL_INFO, &info), 0);
	apicv = apicv && strstr(report, "present: APIC-register virtualization");
	intr = intr && apicv && strstr(report, "present: virtual-interrupt delivery");
	CHECK_EQ(!!(info.cpu_caps & KEEL_CAP_APICV), apicv);
	CHECK_EQ(!!(info.cpu_caps & KEEL_CAP_VIRT_INTR), intr);
}

/*
 * Bochs delivers a virtual interrupt to a guest with IF clear when its host gets an
 * interrupt at that moment. It has no posted interrupts, which every CPU has that
 * has virtual-interrupt delivery.
 */
static void closed(u64 fn, u64 arg)
{
	static char cpuinfo[16384];

	host_read("/proc/cpuinfo", cpuinfo, sizeof(cpuinfo));
	if ((caps() & KEEL_CAP_VIRT_INTR) && !strstr(cpuinfo, "posted_intr"))
		ktap_skip("an emulator that delivers while IF is clear");
	alone(fn, arg);
}

TEST(registers_xapic) { alone(G(registers), 0); }
TEST(registers_x2apic) { alone(G(registers), 1); }
TEST(timer_registers_xapic) { alone(G(timer_registers), 0); }
TEST(timer_registers_x2apic) { alone(G(timer_registers), 1); }
TEST(closed_by_flag_xapic) { closed(G(closed_by_flag), 0); }
TEST(closed_by_flag_x2apic) { closed(G(closed_by_flag), 1); }
TEST(closed_by_tpr_xapic) { closed(G(closed_by_tpr), 0); }
TEST(closed_by_tpr_x2apic) { closed(G(closed_by_tpr), 1); }
TEST(closed_in_handler_xapic) { closed(G(closed_in_handler), 0); }
TEST(closed_in_handler_x2apic) { closed(G(closed_in_handler), 1); }
TEST(closed_to_the_host) { closed(G(closed_to_the_host), 4); }
TEST(closed_xapic) { closed(G(closed), 0); }
TEST(closed_x2apic) { closed(G(closed), 1); }
TEST(modes) { alone(G(modes), 12); }
TEST(kept_ticks_xapic) { alone(G(kept_ticks), 0); }
TEST(kept_ticks_x2apic) { alone(G(kept_ticks), 1); }

/* ---- exits ---------------------------------------------------------------------- */

static const char *const names[] = {
	"exit_apic_access", "exit_apic_write", "exit_apic_eoi", "exit_wrmsr", "exit_rdmsr",
	"exit_stage2", "exit_irq_window", "irqs_injected",
};

struct counts {
	u64 n[ARRAY_SIZE(names)];
	u64 all;		/* exits of these kinds */
};

static struct counts counts(struct vm *vm)
{
	struct counts c = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		c.n[i] = vm_stat(vm, 0, names[i]);
		REQUIRE(c.n[i] != ~0ULL, "%s", names[i]);
		if (i < ARRAY_SIZE(names) - 1)
			c.all += c.n[i];
	}
	return c;
}

static u64 talk(u64 x2, u64 n)
{
	struct vm *vm = machine(x2, 1);
	struct vcpu *v = &vm->vcpu[0];
	struct counts a, b;
	unsigned int i;

	GUEST_START(v, idle_talk, x2, n);
	guest_sync(v, 1);
	a = counts(vm);
	guest_sync(v, 2);
	b = counts(vm);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (b.n[i] != a.n[i])
			ktap_note("%llu times %s", b.n[i] - a.n[i], names[i]);
	guest_done(v);
	vm_free(vm);
	return b.all - a.all;
}

/*
 * A round reads two registers, writes TPR twice, sends an IPI to itself and ends
 * it: six accesses.
 */
#define ROUNDS	50

static void check_talk(u64 x2)
{
	u64 exits = talk(x2, ROUNDS);

	/* The page or what it is made of may have to be mapped first. */
	if (caps() & KEEL_CAP_VIRT_INTR)
		CHECK_LE(exits, 5);
	else if (caps() & KEEL_CAP_APICV)
		CHECK_LE(exits, 3 * ROUNDS + 5);
	else
		CHECK_GE(exits, 6 * ROUNDS);
}

TEST(exits_xapic) { check_talk(0); }
TEST(exits_x2apic) { check_talk(1); }

/* Only the end of a level is told. */
TEST(edges_and_levels)
{
	struct vm *vm = machine(1, 1);
	struct vcpu *v = &vm->vcpu[0];
	u64 i, n = 20;

	GUEST_START(v, edges_and_levels, n);
	for (i = 1; i <= n; i++) {
		guest_sync(v, i);
		CHECK_EQ(vm_msi(vm, 0xfee00000, 0x56 | (i & 1 ? 0 : 0xc000)), 1);
	}
	guest_done(v);
	CHECK_EQ(vm_stat(vm, 0, "exit_apic_eoi"),
		 caps() & KEEL_CAP_VIRT_INTR ? n / 2 : 0);
	vm_free(vm);
}

/* ---- state ----------------------------------------------------------------------- */

static u32 reg(const struct keel_rec_lapic *rec, u32 offset)
{
	u32 val;

	memcpy(&val, rec->regs + offset, sizeof(val));
	return val;
}

static bool bit(const struct keel_rec_lapic *rec, u32 bitmap, u8 vector)
{
	return reg(rec, bitmap + vector / 32 * 16) >> (vector & 31) & 1;
}

static void mid_flight(u64 x2)
{
	static struct keel_rec_lapic rec, again, empty;
	struct vm *vm = machine(x2, 1);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, mid_flight, x2);
	guest_sync(v, 1);
	REQUIRE_EQ(state_get(v->fd, KEEL_REC_LAPIC, &rec, sizeof(rec)), sizeof(rec));
	CHECK(bit(&rec, 0x100, 0x60));
	CHECK(bit(&rec, 0x200, 0x45));
	CHECK(bit(&rec, 0x200, 0x85));
	CHECK(!bit(&rec, 0x100, 0x85));
	CHECK_EQ(reg(&rec, 0xa0) & 0xf0, 0x60);
	/* Another state in between, so that nothing is left of this one but the record. */
	empty = rec;
	memset(empty.regs + 0x100, 0, 0x180);
	memset(empty.regs + 0xa0, 0, 4);
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_LAPIC, &empty, sizeof(empty), NULL), 0);
	REQUIRE_EQ(vcpu_kick(v), 0);
	vcpu_expect(v, KEEL_EXIT_KICKED);
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_LAPIC, &rec, sizeof(rec), NULL), 0);
	REQUIRE_EQ(state_get(v->fd, KEEL_REC_LAPIC, &again, sizeof(again)), sizeof(again));
	CHECK(!memcmp(&rec, &again, sizeof(rec)));
	guest_done(v);
	vm_free(vm);
}

TEST(mid_flight_xapic) { mid_flight(0); }
TEST(mid_flight_x2apic) { mid_flight(1); }

/* ---- the page ---------------------------------------------------------------------- */

/* One LAPIC elsewhere takes the page from all, and each still finds its own. */
TEST(mixed_modes)
{
	struct vm *vm = machine(1, 2);
	struct vcpu *v = &vm->vcpu[0];
	struct vcpu_thread *ap;
	u32 what, asked = 0;

	ap = vcpu_spawn(&vm->vcpu[1]);
	GUEST_START(v, mixed);
	while ((what = guest_run(v)) == KEEL_EXIT_MMIO) {
		CHECK_EQ(v->run->mmio.gpa, 0xfee00020);
		CHECK_EQ(v->run->mmio.dir, KEEL_DIR_IN);
		v->run->mmio.data = 0x1badcafe;
		asked++;
	}
	CHECK_EQ(what, RUN_DONE);
	CHECK_EQ(asked, 8);
	CHECK_EQ(vcpu_join(ap), 0);
	vm_free(vm);
}

TEST(memory_there)
{
	struct vm *vm = machine(0, 1);
	struct vcpu *v = &vm->vcpu[0];
	u32 *mem = pages(0x1000);

	GUEST_START(v, memory_there);
	guest_sync(v, 1);
	mem[0x20 / 4] = 0x600df00d;
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, 0xfee00000, 0x1000, mem), 0);
	guest_sync(v, 2);
	CHECK_EQ(mem[0x20 / 4], 0x12345678);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_UNMAP, 0, 0xfee00000, 0x1000, NULL), 0);
	guest_done(v);
	vm_free(vm);
}
