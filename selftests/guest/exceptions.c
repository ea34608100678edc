// SPDX-License-Identifier: GPL-2.0
/*
 * Exceptions: those the launcher injects, those the guest causes, and those
 * that end it.
 */
#include "libkeel.h"

struct seen {
	u64 count, vector, error, rip, rflags, cr2, dr6;
};

static void plain(u64 fn, u64 arg)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	guest_start(v, fn, arg, 0ULL, 0ULL);
	guest_done(v);
	vm_free(vm);
}

static void injected(u32 vector, u32 error)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	const struct seen *seen = GP(vm, seen);

	GUEST_START(v, take, (u64)vector);
	guest_sync(v, 1);
	REQUIRE_EQ(vcpu_inject(v, KEEL_INJECT_EXCEPTION, vector, error), 0);
	guest_done(v);
	CHECK_EQ(seen->vector, vector);
	CHECK_EQ(seen->error, error);
	/* Behind the OUT of the stage, which has been done. */
	CHECK_EQ(*(u8 *)(vm->ram + seen->rip - 1), 0xef);
	vm_free(vm);
}

TEST(inject_ud) { injected(6, 0); }
TEST(inject_gp) { injected(13, 0x18); }
TEST(inject_ac) { injected(17, 0); }
TEST(inject_de) { injected(0, 0); }
/* No instruction of the guest's: the handler returns to where it was. */
TEST(inject_bp) { injected(3, 0); }
TEST(inject_of) { injected(4, 0); }

TEST(inject_pf_by_record)
{
	struct keel_rec_events ev = {
		.exc_pending = 1, .exc_vector = 14, .exc_has_error = 1, .exc_error = 6,
		.exc_cr2 = 0x123456000,
	};
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	const struct seen *seen = GP(vm, seen);

	GUEST_START(v, take, 14ULL);
	guest_sync(v, 1);
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_EVENTS, &ev, sizeof(ev), NULL), 0);
	guest_done(v);
	CHECK_EQ(seen->error, 6);
	CHECK_EQ(seen->cr2, 0x123456000);
	vm_free(vm);
}

TEST(software_interrupts) { plain(G(software), 0); }
TEST(single_step) { plain(G(single_step), 0); }

TEST(step_over_exits)
{
	if (host_is_bochs_svm())
		ktap_skip("the host would take the guest's single step at its exit");
	plain(G(step_over_exits), 0);
}

TEST(page_faults) { plain(G(page_faults), 0); }
TEST(no_execute) { plain(G(no_execute), 0); }
TEST(double_fault) { plain(G(double_fault), 0); }
/* QEMU takes any CR0, Bochs' SVM paging without protection (and that is legal in a VMCB). */
TEST(control_registers)
{
	plain(G(control_registers), host_is_tcg() ? 0 : host_is_bochs_svm() ? 1 : 2);
}

TEST(virtualization_instructions) { plain(G(virtualization_instructions), 0); }

static void ends(u64 fn)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	guest_start(v, fn, 0ULL, 0ULL, 0ULL);
	CHECK_EQ(guest_run(v), KEEL_EXIT_SHUTDOWN);
	CHECK_EQ(v->run->shutdown.cause, KEEL_SHUTDOWN_TRIPLE_FAULT);
	vm_free(vm);
}

TEST(triple_fault_by_gates) { ends(G(no_double_fault)); }

TEST(bad_stack_is_a_double_fault)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	/* It arrives, and nobody in the guest expects it. */
	GUEST_START(v, stack_fault);
	REQUIRE_EQ(vcpu_run(v), KEEL_EXIT_PIO);
	CHECK_EQ(v->run->pio.data, GUEST_CALL_FAULT);
	CHECK_EQ(*(u64 *)(vm->ram + v->run->regs.gpr[KEEL_GPR_RDI] + 15 * 8), 8);
	vm_free(vm);
}
