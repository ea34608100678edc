// SPDX-License-Identifier: GPL-2.0
/*
 * Events into the guest: injection, the windows that say when the guest can
 * take one, and the events whose delivery an exit cut short.  It must not know
 * where an event comes from.
 */
#include <asm/processor-flags.h>
#include "vmx/vmx.h"

void vmx_set_shadow(struct vmx_vcpu *vmx, u32 shadow)
{
	if (vmx->shadow_valid && vmx->shadow == shadow)
		return;
	vmx->shadow = shadow;
	vmx->shadow_valid = true;
	vmx_write(VMX_GUEST_SHADOW, shadow);
}

void vmx_inject(struct keel_vcpu *vcpu, const struct keel_event *event)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 shadow = vmx_shadow(vmx) & ~(VMX_SHADOW_STI | VMX_SHADOW_MOV_SS);

	/*
	 * Delivery ends a shadow and masks NMIs by itself; what stands in the field
	 * now would contradict the event.  #BP and #OF go in as hardware exceptions
	 * too: RIP is where their handlers return to.
	 */
	vmx_set_shadow(vmx, event->kind == KEEL_EV_NMI ? shadow & ~VMX_SHADOW_NMI : shadow);
	if (event->kind == KEEL_EV_SOFT)
		vmx_write(VMX_ENTRY_INSN_LEN, event->insn_len);
	vmx->event_info = keel_event_word(event);
	vmx->event_error = event->error;
	vmx->event = true;
	if (event->has_error)
		vmx_write(VMX_ENTRY_EVENT_ERROR, event->error);
	vmx_write(VMX_ENTRY_EVENT, vmx->event_info);
}

/* The CPU masks NMIs by itself when it delivers one, and unmasks them at IRET. */
bool vmx_can_inject(struct keel_vcpu *vcpu, enum keel_event_kind kind)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 shadow = vmx_shadow(vmx);

	if (vmx->event || (shadow & (VMX_SHADOW_STI | VMX_SHADOW_MOV_SS)))
		return false;
	if (kind == KEEL_EV_NMI)
		return !(shadow & VMX_SHADOW_NMI);
	keel_need(vcpu, KEEL_CG_RFLAGS);
	return vcpu->regs.rflags & X86_EFLAGS_IF;
}

/*
 * STI's shadow keeps NMIs out too, but the NMI window may be open in it: an exit
 * without an instruction in between, for ever.  The window for interrupts opens
 * where the shadow ends.
 */
static void vmx_set_windows(struct vmx_vcpu *vmx)
{
	bool sti = vmx->nmi_window && (vmx_shadow(vmx) & VMX_SHADOW_STI);

	vmx_set_proc(vmx, VMX_PROC_IRQ_WINDOW, vmx->irq_window || sti);
	vmx_set_proc(vmx, VMX_PROC_NMI_WINDOW, vmx->nmi_window && !sti);
}

void vmx_window(struct keel_vcpu *vcpu, enum keel_event_kind kind, bool open)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (kind == KEEL_EV_IRQ)
		vmx->irq_window = open;
	else
		vmx->nmi_window = open;
	vmx_set_windows(vmx);
}

void vmx_requeue(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx->event)
		return;
	keel_event_back(vcpu, vmx->event_info, vmx->event_error);
	vmx->event = false;
	vmx_write(VMX_ENTRY_EVENT, 0);
}

void vmx_collect_event(struct keel_vcpu *vcpu, u32 info)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	keel_event_back(vcpu, info,
			info & KEEL_WORD_HAS_ERROR ? vmx_read(VMX_IDT_EVENT_ERROR) : 0);
	vcpu->exception_cr2 = vcpu->sregs.cr2;
	/* It will be delivered again, which wants NMIs unmasked. */
	if ((info & KEEL_WORD_TYPE) == KEEL_WORD_NMI)
		vmx_set_shadow(vmx, vmx_shadow(vmx) & ~(u32)VMX_SHADOW_NMI);
}

void vmx_iret_cut(struct vmx_vcpu *vmx)
{
	vmx_set_shadow(vmx, vmx_shadow(vmx) | VMX_SHADOW_NMI);
}
