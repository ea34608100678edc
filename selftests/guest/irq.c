// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts, from the launcher's, the devices' and the guest's side: messages,
 * lines, IPIs, timers, NMIs, windows and start-up of further CPUs.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "host.h"
#include "libkeel.h"

/*
 * QEMU's VMRUN leaves the vector that it has injected in the CPU's
 * exception_index; a request to leave the loop that runs the CPU, as they come
 * where several CPUs share a thread or flush each other's TLB, delivers it a
 * second time: one VMRUN with one event, two handlers. So what the guest counts
 * means nothing there; what Keel has injected does.
 */
static bool host_doubles_interrupts(void)
{
	return host_is_tcg() && host_nr_cpus() > 1;
}

static bool cpu_delivers(void)
{
	struct keel_info info;

	keel_info(&info);
	return info.cpu_caps & KEEL_CAP_VIRT_INTR;
}

static struct vm *any_machine(u32 flags, unsigned int cpus)
{
	struct vm *vm = vm_new(flags);
	struct keel_info info;
	unsigned int i;

	keel_info(&info);
	for (i = 0; i < cpus; i++)
		vcpu_new(vm, i);
	*(u64 *)GP(vm, tsc_khz) = info.tsc_khz;
	*(u64 *)GP(vm, may_double) = host_doubles_interrupts();
	*(u64 *)GP(vm, forgets_shadow) = host_is_tcg();
	return vm;
}

/* For those that count. */
static struct vm *machine(u32 flags, unsigned int cpus)
{
	if (host_doubles_interrupts())
		ktap_skip("QEMU with several CPUs may deliver an interrupt twice");
	return any_machine(flags, cpus);
}

static void need(u64 feature, const char *name)
{
	struct keel_info info;

	keel_info(&info);
	if (!(info.features & feature))
		ktap_skip("no %s here", name);
}

static void alone(u64 fn, u64 arg)
{
	struct vm *vm = machine(VM_IRQCHIP | VM_PIT, 1);

	guest_start(&vm->vcpu[0], fn, arg, 0ULL, 0ULL);
	guest_done(&vm->vcpu[0]);
	vm_free(vm);
}

static void msi(u64 x2)
{
	struct vm *vm = machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, msi, x2);
	guest_sync(v, 1);
	CHECK_EQ(vm_msi(vm, 0xfee00000, 0x40), 1);
	guest_sync(v, 2);
	CHECK_EQ(vm_msi(vm, 0xfee00000, 0x41), 1);
	/* To APIC ID 5, which nobody has. */
	CHECK_EQ(vm_msi(vm, 0xfee05000, 0x40), 0);
	guest_done(v);
	vm_free(vm);
}

#define NEED_X2APIC()	need(KEEL_FEAT_X2APIC, "x2APIC")

TEST(msi_xapic) { msi(0); }
TEST(msi_x2apic) { NEED_X2APIC(); msi(1); }
TEST(self_ipi_xapic) { alone(G(self_ipi), 0); }
TEST(self_ipi_x2apic) { NEED_X2APIC(); alone(G(self_ipi), 1); }
TEST(priorities) { alone(G(priorities), 0); }
TEST(nesting) { alone(G(nesting), 0); }
TEST(task_priority_xapic) { alone(G(task_priority), 0); }
TEST(task_priority_x2apic) { NEED_X2APIC(); alone(G(task_priority), 1); }
TEST(sti_shadow) { alone(G(sti_shadow), 0); }
TEST(timer_oneshot) { alone(G(timer_oneshot), 0); }
TEST(timer_oneshot_x2apic) { NEED_X2APIC(); alone(G(timer_oneshot), 1); }
TEST(timer_periodic) { alone(G(timer_periodic), 0); }
TEST(x2apic_registers) { NEED_X2APIC(); alone(G(x2apic), 0); }
TEST(pit_tick) { alone(G(pit_tick), 0); }
TEST(nmi_by_ipi) { alone(G(nmi_by_ipi), 0); }

TEST(timer_deadline)
{
	need(KEEL_FEAT_TSC_DEADLINE, "TSC deadline");
	alone(G(timer_deadline), 0);
}

TEST(ioapic_edge)
{
	struct vm *vm = machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, ioapic_edge);
	guest_sync(v, 1);
	CHECK_EQ(vm_irq_line(vm, 4, 1), 0);
	guest_sync(v, 2);
	CHECK_EQ(vm_irq_line(vm, 4, 1), 0);
	CHECK_EQ(vm_irq_line(vm, 4, 0), 0);
	CHECK_EQ(vm_irq_line(vm, 4, 1), 0);
	guest_sync(v, 3);
	CHECK_EQ(vm_irq_line(vm, 4, 0), 0);
	guest_sync(v, 4);
	CHECK_EQ(vm_irq_line(vm, 4, 1), 0);
	guest_done(v);
	vm_free(vm);
}

TEST(ioapic_level)
{
	struct vm *vm = machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, ioapic_level);
	guest_sync(v, 1);
	CHECK_EQ(vm_irq_line(vm, 10, 1), 0);
	guest_sync(v, 2);
	CHECK_EQ(vm_irq_line(vm, 10, 0), 0);
	guest_done(v);
	vm_free(vm);
}

TEST(pic)
{
	static const u32 gsi[] = { 3, 10, 4 };
	struct vm *vm = machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];
	unsigned int i;

	GUEST_START(v, pic);
	for (i = 0; i < 3; i++) {
		guest_sync(v, i + 1);
		CHECK_EQ(vm_irq_line(vm, gsi[i], 1), 0);
	}
	guest_done(v);
	vm_free(vm);
}

TEST(nmi_waits_for_iret)
{
	struct vm *vm = machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, nmi);
	guest_sync(v, 1);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 0, 0), 0);
	guest_sync(v, 2);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 0, 0), 0);
	guest_done(v);
	vm_free(vm);
}

/* ---- halted and woken -------------------------------------------------------- */

TEST(nmi_wakes_a_halted_cpu)
{
	struct vm *vm = any_machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];
	struct vcpu_thread *t;
	int i;

	GUEST_START(v, nmi_wakes);
	guest_sync(v, 1);
	t = vcpu_spawn(v);
	for (i = 0; i < 6; i++) {
		sleep_ms(30);
		CHECK_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 0, 0), 0);
	}
	vcpu_join(t);
	vm_free(vm);
}

static void irqfd(struct vm *vm, int fd, u32 gsi, u32 flags, int resample)
{
	struct keel_irqfd arg = {
		.fd = fd, .gsi = gsi, .flags = flags, .resample_fd = resample,
	};

	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_IRQFD, &arg), 0);
}

TEST(irqfd_wakes_a_halted_cpu)
{
	struct vm *vm = any_machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];
	struct vcpu_thread *t;
	int fd = eventfd(0, 0);
	int i;

	irqfd(vm, fd, 5, 0, 0);
	GUEST_START(v, wait_irqs, 5ULL);
	guest_sync(v, 1);
	t = vcpu_spawn(v);
	for (i = 0; i < 5; i++) {
		sleep_ms(20);
		eventfd_write(fd, 1);
	}
	vcpu_join(t);
	vm_free(vm);
}

TEST(irqfd_before_it_is_assigned)
{
	struct vm *vm = any_machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];
	int fd = eventfd(1, 0);

	/* A signal that is there already counts. */
	GUEST_START(v, wait_irqs, 1ULL);
	guest_sync(v, 1);
	irqfd(vm, fd, 5, 0, 0);
	guest_done(v);
	vm_free(vm);
}

TEST(irqfd_resample)
{
	struct vm *vm = machine(VM_IRQCHIP, 1);
	struct vcpu *v = &vm->vcpu[0];
	int fd = eventfd(0, 0), ack = eventfd(0, EFD_NONBLOCK);
	eventfd_t count = 0;

	irqfd(vm, fd, 11, KEEL_IRQFD_RESAMPLE, ack);
	GUEST_START(v, resample);
	guest_sync(v, 1);
	eventfd_write(fd, 1);
	/* The signal is handled in its own time. */
	sleep_ms(20);
	guest_sync(v, 2);
	WAIT_FOR(1000, !eventfd_read(ack, &count));
	CHECK_EQ(count, 1);
	guest_done(v);
	vm_free(vm);
}

/* ---- windows ------------------------------------------------------------------- */

TEST(interrupt_window)
{
	struct vm *vm = machine(0, 1);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, window);
	guest_sync(v, 1);
	CHECK_EQ(v->run->irq_ready, 0);
	v->run->flags = KEEL_RUN_IRQ_WINDOW;
	vcpu_expect(v, KEEL_EXIT_IRQ_WINDOW);
	CHECK_EQ(v->run->irq_ready, 1);
	CHECK_EQ(v->run->regs.rflags & 0x200, 0x200);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 0x60, 0), 0);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 0x61, 0), -EBUSY);
	v->run->flags = 0;
	guest_sync(v, 2);
	guest_done(v);
	vm_free(vm);
}

/* Injected while the guest cannot take it: it waits, and is not lost. */
TEST(interrupt_waits_for_the_window)
{
	struct vm *vm = machine(0, 1);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, window);
	guest_sync(v, 1);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 0x60, 0), 0);
	CHECK_EQ(vcpu_inject(v, KEEL_INJECT_IRQ, 0x61, 0), -EBUSY);
	guest_sync(v, 2);
	guest_done(v);
	vm_free(vm);
}

/* ---- CPUs ------------------------------------------------------------------------- */

/*
 * The guest takes @irqs interrupts, and up to one more a CPU that may be stopped
 * before it comes. What Keel injected is exact wherever the emulator doubles.
 */
static void smp(u64 fn, unsigned int cpus, u64 irqs)
{
	struct vm *vm = any_machine(VM_IRQCHIP, cpus);
	struct vcpu_thread *t[GUEST_MAX_CPUS];
	unsigned int i;
	u64 injected = 0;

	guest_start(&vm->vcpu[0], fn, (u64)cpus, 0ULL, 0ULL);
	for (i = 0; i < cpus; i++)
		t[i] = vcpu_spawn(&vm->vcpu[i]);
	for (i = 0; i < cpus; i++) {
		u64 id = vcpu_join(t[i]);

		if (i)
			CHECK_EQ(id, i);
		injected += vm_stat(vm, i, "irqs_injected");
	}
	/* What the CPU delivers by itself nobody counts. */
	if (!cpu_delivers()) {
		CHECK_GE(injected, irqs);
		CHECK_LE(injected, irqs + cpus - 1);
	}
	vm_free(vm);
}

TEST(smp_start_up_and_ipis) { smp(G(smp), 2, 3 * 2 + 48); }
TEST(smp_four) { smp(G(smp), 4, 3 * 4 + 48); }
TEST(smp_logical_destination) { smp(G(smp_logical), 2, 1); }
