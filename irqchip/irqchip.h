/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interrupt controllers in the kernel: LAPIC, IOAPIC, PIC pair, PIT and
 * the routes between them.  The one public header of irqchip/.  The models
 * (lapic.c ioapic.c pic.c pit.c route.c) are pure; irqchip.c and timer.c hold
 * locks, hrtimers and vCPUs.  It must not know a vendor.
 */
#ifndef KEEL_IRQCHIP_IRQCHIP_H
#define KEEL_IRQCHIP_IRQCHIP_H

#include <linux/list.h>
#include "core/types.h"

struct keel_vm;
struct keel_vcpu;
struct keel_routes;
struct keel_route;

/* ---- the VM's side ------------------------------------------------------- */

/* [task, vm->lock, no vCPUs yet] @pit: with a PIT.  Sets vm->irqchip. */
int irqchip_create(struct keel_vm *vm, bool pit);
/* [task] VM teardown: timers paused before the vCPUs went; NULL vm->irqchip is fine */
void irqchip_destroy(struct keel_vm *vm);

#define IRQ_MAX_GSI		1024	/* GSIs are below */

/* Any context, also IRQs off.  -EINVAL: no route.  Returns number of targets. */
int irq_set_gsi(struct keel_vm *vm, u32 gsi, bool level, u32 source);
#define IRQ_SOURCE_USER		0	/* KEEL_IRQ_LINE */
#define IRQ_SOURCE_IRQFD	2	/* edges: true pulses the GSI, false does nothing */
#define IRQ_SOURCE_RESAMPLE	3	/* a bit for all resampling irqfds of a GSI */
int irq_send_msi(struct keel_vm *vm, u64 address, u32 data);
/* [task, vm->lock] replace the table; *@bad: the refused route */
int irq_set_routes(struct keel_vm *vm, const struct keel_route *routes, u32 nr, u32 *bad);
/*
 * [task, vm->lock] Resampling: @fn is called when the guest ends @gsi, in a
 * vCPU's owner thread, perhaps with IRQs off, under keel_srcu: what was
 * deleted is freed by call_srcu() only.  @fn may raise and lower GSIs.
 */
struct irq_ack_hook {
	struct list_head node;		/* irqchip's lock */
	u32 gsi;
	void (*fn)(struct irq_ack_hook *hook);
};

void irq_add_ack_hook(struct keel_vm *vm, struct irq_ack_hook *hook);
void irq_del_ack_hook(struct keel_vm *vm, struct irq_ack_hook *hook);

/*
 * [task, vm->lock (or nobody else has the VM), every vCPU parked] Timers of PIT
 * and LAPICs stand still and go on: the remaining times are kept.  Pausing
 * twice is fine.
 */
void irqchip_pause(struct keel_vm *vm);
void irqchip_resume(struct keel_vm *vm);

/* ---- the vCPU's side; all NULL-safe where vm->irqchip is NULL --------------- */

int lapic_create(struct keel_vcpu *vcpu);	/* [task] sets vcpu->lapic */
void lapic_destroy(struct keel_vcpu *vcpu);	/* [task] cancels the timer */
void lapic_reset(struct keel_vcpu *vcpu, bool init);	/* [vCPU owner] INIT keeps the APIC ID */

/*
 * [vCPU owner] An external interrupt (LAPIC, or the PIC through LVT0) waits and
 * the guest's priorities let it in.  Cheap: called before every entry with
 * KEEL_REQ_EVENT pending, and when halted.
 */
bool irqchip_has_irq(struct keel_vcpu *vcpu);
/* [vCPU owner] take it: its vector, moved to in-service; -1 if it went away */
int irqchip_ack_irq(struct keel_vcpu *vcpu);
/* [vCPU owner] the CR8 value below which a waiting interrupt would get in; 0: none waits */
u8 lapic_cr8_threshold(struct keel_vcpu *vcpu);
u8 lapic_get_cr8(struct keel_vcpu *vcpu);

/* [vCPU owner] With keel_apicv: the parts of the above that a CPU leaves to others. */
struct keel_apic_state;
void lapic_get_state(struct keel_vcpu *vcpu, struct keel_apic_state *state);
void lapic_cpu_delivers(struct keel_vcpu *vcpu, bool delivers);
void lapic_cpu_wrote(struct keel_vcpu *vcpu, u32 offset);	/* also [entry] */
void lapic_cpu_ended(struct keel_vcpu *vcpu, u8 vector);	/* also [entry] */
bool irqchip_has_extint(struct keel_vcpu *vcpu);
int irqchip_ack_extint(struct keel_vcpu *vcpu);		/* -1: it went away */
void lapic_set_cr8(struct keel_vcpu *vcpu, u8 cr8);

/* [vCPU owner] The register page.  @offset below 4096.  Reads and writes of odd
 * sizes or alignment behave as documented for the xAPIC; never fail.
 */
u64 lapic_base(struct keel_vcpu *vcpu);			/* IA32_APIC_BASE */
int lapic_set_base(struct keel_vcpu *vcpu, u64 value);	/* -EINVAL: #GP */
/* State records: is it a value that a guest could have; set it without a transition. */
bool lapic_base_ok(struct keel_vcpu *vcpu, u64 value);
void lapic_load_base(struct keel_vcpu *vcpu, u64 value);
bool lapic_mmio_enabled(struct keel_vcpu *vcpu, gpa_t *base);
void lapic_mmio_read(struct keel_vcpu *vcpu, u32 offset, u32 len, u64 *val);
void lapic_mmio_write(struct keel_vcpu *vcpu, u32 offset, u32 len, u64 val);

/* [vCPU owner] x2APIC registers 0x800-0x8ff; -EINVAL: #GP */
int lapic_msr_read(struct keel_vcpu *vcpu, u32 index, u64 *val);
int lapic_msr_write(struct keel_vcpu *vcpu, u32 index, u64 val);
/* [vCPU owner] IA32_TSC_DEADLINE, in guest TSC ticks */
u64 lapic_tsc_deadline(struct keel_vcpu *vcpu);
void lapic_set_tsc_deadline(struct keel_vcpu *vcpu, u64 deadline);
/*
 * [vCPU owner] Who counts for the timer: guest mode itself, where the back end
 * can, or an hrtimer, while the vCPU sleeps.
 */
void lapic_timer_to_guest(struct keel_vcpu *vcpu);
void lapic_timer_to_host(struct keel_vcpu *vcpu);
void lapic_timer_exit(struct keel_vcpu *vcpu);	/* KEEL_X_TIMER; also [entry] */
void lapic_tsc_changed(struct keel_vcpu *vcpu);	/* the guest's TSC was set, or went on */

/*
 * What irqchip/ calls in core/ for a target vCPU, any context (core/vcpu.h):
 * keel_vcpu_request(vcpu, KEEL_REQ_EVENT)	an IRR bit was posted
 * keel_vcpu_nmi(vcpu), keel_vcpu_init_ipi(vcpu), keel_vcpu_sipi(vcpu, vector)
 * keel_guest_tsc(vm), keel_tsc_to_ns(vm, ticks)	time
 */

#endif /* KEEL_IRQCHIP_IRQCHIP_H */
