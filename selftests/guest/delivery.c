// SPDX-License-Identifier: GPL-2.0
/*
 * Events on the last steps to their handlers: with stage 2 gone under the tables
 * and the stack, behind STI and MOV SS, at an IRET that leaves the guest; and what
 * a CPU reads at a MOV to CR0.
 */
#include <stddef.h>
#include <sys/mman.h>
#include "libkeel.h"

struct seen {
	u64 count, vector, error, rip, rsp, dr6, nested;
};

static struct vm *machine(void)
{
	struct vm *vm = vm_new(0);

	/* Each table of the guest in a page of its own, for stage 2 too. */
	madvise(vm->ram, vm->ram_size, MADV_NOHUGEPAGE);
	vcpu_new(vm, 0);
	return vm;
}

/* Stage 2 has nothing any more; what is in memory stays. */
static void take_away(struct vm *vm)
{
	REQUIRE_EQ(mprotect(vm->ram, vm->ram_size, PROT_NONE), 0);
	REQUIRE_EQ(mprotect(vm->ram, vm->ram_size, PROT_READ | PROT_WRITE), 0);
}

/* ---- delivery that is cut short ------------------------------------------------- */

enum { CUT_INT, CUT_INT3, CUT_UD, CUT_GP, CUT_IRQ, CUT_NMI };

static void cut(u64 what)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	int i;

	/* The second time everything in the guest's own tables is accessed already. */
	for (i = 0; i < 2; i++) {
		GUEST_START(v, cut, what);
		guest_sync(v, 1);
		if (what == CUT_IRQ)
			REQUIRE_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 0x41, 0), 0);
		if (what == CUT_NMI)
			REQUIRE_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 0, 0), 0);
		take_away(vm);
		guest_done(v);
	}
	vm_free(vm);
}

TEST(cut_software_interrupt) { cut(CUT_INT); }
TEST(cut_breakpoint) { cut(CUT_INT3); }
TEST(cut_undefined) { cut(CUT_UD); }
TEST(cut_protection) { cut(CUT_GP); }
TEST(cut_interrupt) { cut(CUT_IRQ); }
TEST(cut_nmi) { cut(CUT_NMI); }

static void into_the_hole(u64 irq)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, into_the_hole, irq);
	guest_sync(v, 1);
	if (irq)
		REQUIRE_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 0x41, 0), 0);
	CHECK_EQ(guest_run(v), KEEL_EXIT_EMUL_FAIL);
	CHECK_EQ(v->run->emul.why, KEEL_EMULFAIL_DELIVERY);
	vm_free(vm);
}

TEST(interrupt_frame_without_memory) { into_the_hole(1); }
TEST(software_interrupt_frame_without_memory) { into_the_hole(0); }

/* ---- NMIs ------------------------------------------------------------------------- */

TEST(nmi_at_an_iret_that_faults)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, nmi_at_iret);
	guest_sync(v, 1);
	REQUIRE_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 0, 0), 0);
	guest_sync(v, 2);
	REQUIRE_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 0, 0), 0);
	take_away(vm);
	guest_done(v);
	vm_free(vm);
}

static void nmi_behind(u8 shadow)
{
	struct keel_rec_events ev = { .shadow = shadow, .nmi_pending = 1 };
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	struct keel_regs regs;

	GUEST_START(v, nmi_behind_shadow);
	guest_sync(v, 1);
	REQUIRE(state_get(v->fd, KEEL_REC_REGS, &regs, sizeof(regs)) > 0);
	regs.rflags |= 1 << 9;
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_REGS, &regs, sizeof(regs), NULL), 0);
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_EVENTS, &ev, sizeof(ev), NULL), 0);
	guest_done(v);
	vm_free(vm);
}

TEST(nmi_behind_sti) { nmi_behind(KEEL_SHADOW_STI); }
TEST(nmi_behind_mov_ss) { nmi_behind(KEEL_SHADOW_MOV_SS); }

/* ---- shadows ------------------------------------------------------------------------ */

static void shadow(u64 fn)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];

	guest_start(v, fn, 0ULL, 0ULL, 0ULL);
	guest_sync(v, 1);
	REQUIRE_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 0x41, 0), 0);
	guest_done(v);
	vm_free(vm);
}

TEST(sti_over_an_exit) { shadow(G(shadow_over_exit)); }
TEST(sti_over_a_fault)
{
	if (host_is_tcg())
		ktap_skip("QEMU's VMRUN forgets a shadow");
	shadow(G(shadow_over_fault));
}

enum { STEP_NOP, STEP_CPUID, STEP_FAULT, STEP_ICEBP };

static void step(u64 what)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, step_behind_mov_ss, what);
	guest_sync(v, 1);
	guest_done(v);
	vm_free(vm);
}

TEST(step_behind_mov_ss) { step(STEP_NOP); }
TEST(step_behind_mov_ss_over_an_exit) { step(STEP_CPUID); }
TEST(step_behind_mov_ss_over_a_fault) { step(STEP_FAULT); }
TEST(icebp_behind_mov_ss)
{
	if (host_is_tcg())
		ktap_skip("QEMU has no INT1");
	step(STEP_ICEBP);
}

TEST(general_detect)
{
	struct vm *vm;

	if (host_is_tcg())
		ktap_skip("QEMU does not know DR7.GD");
	vm = machine();
	GUEST_CALL(&vm->vcpu[0], general_detect);
	vm_free(vm);
}

/* ---- PAE paging ------------------------------------------------------------------------ */

#define TOP	0x8000
#define DIR(n)	(0x9000 + (n) * 0x1000)

/* Two page directories that differ in what is at 4 MiB. */
static void pae_tables(struct vm *vm)
{
	u64 *dir;
	u64 i, n;

	for (n = 0; n < 2; n++) {
		dir = (u64 *)(vm->ram + DIR(n));
		for (i = 0; i < 4; i++)
			dir[i] = i << 21 | 0x83;
		dir[2] = (2 + n) << 21 | 0x83;
		*(u32 *)(vm->ram + ((2 + n) << 21)) = 0x1111 * (n + 1);
	}
	memset(vm->ram + TOP, 0, 32);
	*(u64 *)(vm->ram + TOP) = DIR(0) | 1;
	*(u64 *)(vm->ram + TOP + 0x100) = DIR(1) | 1;
}

TEST(pae_entries_are_read_at_mov_to_cr0)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	struct keel_sregs sregs;
	struct keel_regs regs = { .rip = G(pae_by_cr0), .rflags = 2 };
	int i;

	pae_tables(vm);
	REQUIRE(state_get(v->fd, KEEL_REC_SREGS, &sregs, sizeof(sregs)) > 0);
	for (i = KEEL_SREG_ES; i <= KEEL_SREG_GS; i++)
		sregs.seg[i] = (struct keel_segment) {
			.selector = 0x10, .limit = 0xffffffff,
			.attr = i == KEEL_SREG_CS ? 0xc09b : 0xc093,
		};
	sregs.cr0 = 0x11;
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_SREGS, &sregs, sizeof(sregs), NULL), 0);
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_REGS, &regs, sizeof(regs), NULL), 0);
	for (i = 1; i <= 2; i++) {
		vcpu_expect(v, KEEL_EXIT_PIO);
		CHECK_EQ(v->run->pio.data, 0x1111 * i);
	}
	vm_free(vm);
}
