// SPDX-License-Identifier: GPL-2.0
/*
 * The preemption timer, which ends guest mode by itself: at the deadline of the
 * vCPU's LAPIC timer, and after a slice of time whatever happens.  It must not
 * know the guest's clock: deadlines come in ticks of the host's TSC.
 */
#include <linux/moduleparam.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "vmx/vmx.h"

static bool preemption_timer = true;
module_param(preemption_timer, bool, 0444);
MODULE_PARM_DESC(preemption_timer,
		 "count LAPIC timers in guest mode where the CPU can (default: 1)");

/*
 * A backstop: no guest stays longer, whatever becomes of the host's interrupts.
 * Bochs forgets one that waits when a guest with IF clear is entered.  The CPU
 * starts from the value in the VMCS at every entry: unchanged it costs nothing.
 */
#define VMX_SLICE_MS	10

void vmx_timer_audit(u32 pin, struct keel_report *report)
{
	if ((pin & VMX_PIN_TIMER) && !preemption_timer)
		keel_report(report, "not used: preemption timer (preemption_timer=0)\n");
}

void vmx_timer_setup(void)
{
	bool there = vmx_global.pin & VMX_PIN_TIMER;

	vmx_global.slice = min_t(u64, (u64)tsc_khz * VMX_SLICE_MS >> vmx_global.timer_shift,
				 U32_MAX);
	vmx_global.timer = there && preemption_timer;
	if (!vmx_global.timer)
		vmx_global.caps &= ~(u32)KEEL_CAP_PREEMPTION_TIMER;
}

void vmx_timer_reset(struct vmx_vcpu *vmx)
{
	if (!(vmx_global.pin & VMX_PIN_TIMER))
		return;
	vmx->timer_value = vmx_global.slice;
	vmx_write(VMX_TIMER_VALUE, vmx->timer_value);
}

bool vmx_set_timer(struct keel_vcpu *vcpu, u64 deadline)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->timer_deadline = deadline;
	vmx->timer_look = vmx_global.timer;
	return vmx_global.timer;
}

/* The value at which the counter, which has the TSC's upper bits, reaches @deadline. */
static u32 vmx_timer_until(u64 deadline)
{
	const u8 shift = vmx_global.timer_shift;
	u64 now = rdtsc(), last = deadline + (BIT_ULL(shift) - 1);

	if (deadline <= now)
		return 0;
	/* Rounded up: never early. */
	return min_t(u64, (last >> shift) - (now >> shift), vmx_global.slice);
}

void vmx_timer_write(struct vmx_vcpu *vmx)
{
	u32 value = vmx_global.slice;

	if (vmx->timer_deadline == U64_MAX)
		vmx->timer_look = false;
	else
		value = vmx_timer_until(vmx->timer_deadline);
	if (value == vmx->timer_value)
		return;
	vmx->timer_value = value;
	vmx_write(VMX_TIMER_VALUE, value);
}

/* The slice's end lets the host's interrupts in; the deadline is the guest's alone. */
void vmx_decode_timer(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (to_vmx(vcpu)->timer_deadline <= rdtsc())
		exit->kind = KEEL_X_TIMER;
}
