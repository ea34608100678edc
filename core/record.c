// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's state records: registers, events, FPU and time, and which values
 * the launcher may load.  It must not know the stream that holds records
 * (core/state.c) or a control block.
 */
#include <linux/mm.h>
#include <asm/fpu/api.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "core/compat.h"
#include "core/cpuid.h"
#include "core/run.h"
#include "core/state.h"
#include "irqchip/irqchip.h"

/* Refuse the payload: the first wrong field stands at @field's offset in @type. */
#define BAD(type, field)	({ *bad_offset = offsetof(type, field); -EINVAL; })

#define RFLAGS_DEFINED	0x3f7fd7ULL
#define RFLAGS_FIXED	2ULL
#define ATTR_DEFINED	0xf0ffU
#define DR_HIGH		(~0ULL << 32)

static bool is_canonical(u64 val, bool la57)
{
	u8 shift = la57 ? 7 : 16;

	return (u64)((s64)(val << shift) >> shift) == val;
}

/* ---- general registers ----------------------------------------------------------- */

int keel_regs_check(struct keel_vcpu *vcpu, const struct keel_regs *r, u32 *bad_offset)
{
	if ((r->rflags & ~RFLAGS_DEFINED) || !(r->rflags & RFLAGS_FIXED))
		return BAD(struct keel_regs, rflags);
	return 0;
}

/* New registers end whatever instruction waited for the launcher. */
void keel_regs_load(struct keel_vcpu *vcpu, const struct keel_regs *r)
{
	memcpy(vcpu->regs.gpr, r->gpr, sizeof(vcpu->regs.gpr));
	vcpu->regs.rip = r->rip;
	vcpu->regs.rflags = r->rflags;
	keel_touch(vcpu, KEEL_CG_RIP | KEEL_CG_RSP | KEEL_CG_RFLAGS);
	vcpu->pending_user = KEEL_PEND_NONE;
}

void keel_regs_save(struct keel_vcpu *vcpu, struct keel_regs *r)
{
	keel_need(vcpu, KEEL_CG_RIP | KEEL_CG_RSP | KEEL_CG_RFLAGS);
	memcpy(r->gpr, vcpu->regs.gpr, sizeof(r->gpr));
	r->rip = vcpu->regs.rip;
	r->rflags = vcpu->regs.rflags;
}

static u32 rec_regs_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return sizeof(struct keel_regs);
}

static int rec_regs_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	keel_regs_save(vcpu, buf);
	return 0;
}

static int rec_regs_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			  u32 *bad_offset)
{
	return keel_regs_check(vcpu, buf, bad_offset);
}

static void rec_regs_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	keel_regs_load(vcpu, buf);
}

const struct keel_record keel_rec_regs = {
	.type = KEEL_REC_REGS, .version = 1, .size = rec_regs_size,
	.save = rec_regs_save, .check = rec_regs_check, .load = rec_regs_load,
};

/* ---- system registers ------------------------------------------------------------ */

static int check_modes(struct keel_vm *vm, const struct keel_sregs *s, u32 *bad_offset)
{
	bool pg = s->cr0 & X86_CR0_PG;
	bool lme = s->efer & EFER_LME, lma = s->efer & EFER_LMA;

	if (!keel_cr0_valid(s->cr0))
		return BAD(struct keel_sregs, cr0);
	if (!keel_cr4_valid(vm, s->cr4))
		return BAD(struct keel_sregs, cr4);
	if (!keel_efer_valid(vm, s->efer) || lma != (lme && pg))
		return BAD(struct keel_sregs, efer);
	if (lma && !(s->cr4 & X86_CR4_PAE))
		return BAD(struct keel_sregs, cr4);
	if ((s->cr4 & X86_CR4_PCIDE) && !lma)
		return BAD(struct keel_sregs, cr4);
	if (s->cr3 >> keel_guest_maxphyaddr(vm))
		return BAD(struct keel_sregs, cr3);
	if (s->cr8 > 15)
		return BAD(struct keel_sregs, cr8);
	/* Without XSAVE the register is not there; its reset value passes. */
	if (keel_guest_xcr0_mask(vm) ? !keel_xcr0_valid(vm, s->xcr0) : s->xcr0 > 1)
		return BAD(struct keel_sregs, xcr0);
	return 0;
}

static int check_segments(const struct keel_sregs *s, u32 *bad_offset)
{
	bool lma = s->efer & EFER_LMA, la57 = s->cr4 & X86_CR4_LA57;
	int i;

	for (i = 0; i < KEEL_SREG_NR; i++) {
		const struct keel_segment *seg = &s->seg[i];

		*bad_offset = offsetof(struct keel_sregs, seg) + i * sizeof(*seg);
		if (seg->attr & ~ATTR_DEFINED)
			return -EINVAL;
		if (lma && !is_canonical(seg->base, la57))
			return -EINVAL;
		/* Only FS, GS and the system segments have bases beyond 4 GiB. */
		if (seg->base >> 32 && i < KEEL_SREG_FS)
			return -EINVAL;
	}
	if (lma && (s->seg[KEEL_SREG_CS].attr & (KEEL_ATTR_L | KEEL_ATTR_DB)) ==
		   (KEEL_ATTR_L | KEEL_ATTR_DB)) {
		*bad_offset = offsetof(struct keel_sregs, seg[KEEL_SREG_CS]);
		return -EINVAL;
	}
	return 0;
}

int keel_sregs_check(struct keel_vcpu *vcpu, const struct keel_sregs *s, u32 *bad_offset)
{
	struct keel_vm *vm = vcpu->vm;
	bool la57 = s->cr4 & X86_CR4_LA57;
	int err = check_modes(vm, s, bad_offset);

	if (!err)
		err = check_segments(s, bad_offset);
	if (err)
		return err;
	if (s->gdt.limit > 0xffff || s->gdt.reserved || !is_canonical(s->gdt.base, la57))
		return BAD(struct keel_sregs, gdt);
	if (s->idt.limit > 0xffff || s->idt.reserved || !is_canonical(s->idt.base, la57))
		return BAD(struct keel_sregs, idt);
	if (vcpu->lapic ? !lapic_base_ok(vcpu, s->apic_base) : s->apic_base)
		return BAD(struct keel_sregs, apic_base);
	return 0;
}

void keel_sregs_load(struct keel_vcpu *vcpu, const struct keel_sregs *s)
{
	/* The mode of an instruction that waits for the launcher may be another now. */
	vcpu->pending_user = KEEL_PEND_NONE;
	vcpu->sregs = *s;
	vcpu->cr8 = s->cr8;
	vcpu->xcr0 = s->xcr0;
	keel_touch(vcpu, KEEL_CG_CR | KEEL_CG_CS | KEEL_CG_SEG | KEEL_CG_DTABLE);
	/* What is wrong in them is the entry's to say. */
	if (keel_pae_paging(s->cr0, s->cr4, s->efer))
		keel_load_pdptrs(vcpu, false);
	keel_update_xcr0(vcpu);
	if (vcpu->lapic) {
		lapic_load_base(vcpu, s->apic_base);
		lapic_set_cr8(vcpu, s->cr8);
	}
	keel_vcpu_request(vcpu, KEEL_REQ_FLUSH);
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

void keel_sregs_save(struct keel_vcpu *vcpu, struct keel_sregs *s)
{
	keel_need(vcpu, KEEL_CG_CR | KEEL_CG_CS | KEEL_CG_SEG | KEEL_CG_DTABLE);
	*s = vcpu->sregs;
	s->cr8 = vcpu->cr8;
	s->xcr0 = vcpu->xcr0;
	s->apic_base = vcpu->lapic ? lapic_base(vcpu) : 0;
}

static u32 rec_sregs_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return sizeof(struct keel_sregs);
}

static int rec_sregs_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	keel_sregs_save(vcpu, buf);
	return 0;
}

static int rec_sregs_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			   u32 *bad_offset)
{
	return keel_sregs_check(vcpu, buf, bad_offset);
}

static void rec_sregs_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	keel_sregs_load(vcpu, buf);
}

const struct keel_record keel_rec_sregs = {
	.type = KEEL_REC_SREGS, .version = 1, .size = rec_sregs_size,
	.save = rec_sregs_save, .check = rec_sregs_check, .load = rec_sregs_load,
};

/* ---- debug registers ------------------------------------------------------------- */

static u32 rec_debug_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return sizeof(struct keel_rec_debug);
}

static int rec_debug_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	struct keel_rec_debug *d = buf;

	keel_need(vcpu, KEEL_CG_DEBUG);
	memcpy(d->dr, vcpu->dr, sizeof(d->dr));
	d->dr6 = vcpu->dr6;
	d->dr7 = vcpu->dr7;
	return 0;
}

static int rec_debug_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			   u32 *bad_offset)
{
	const struct keel_rec_debug *d = buf;
	int i;

	for (i = 0; i < 4; i++) {
		*bad_offset = offsetof(struct keel_rec_debug, dr) + i * sizeof(d->dr[0]);
		if (!is_canonical(d->dr[i], keel_guest_cr4_mask(vm) & X86_CR4_LA57))
			return -EINVAL;
	}
	if (d->dr6 & DR_HIGH)
		return BAD(struct keel_rec_debug, dr6);
	/* General detect would exit for ever: the CPU clears it, a launcher must not set it. */
	if (d->dr7 & (DR_HIGH | BIT(13)))
		return BAD(struct keel_rec_debug, dr7);
	return 0;
}

static void rec_debug_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	const struct keel_rec_debug *d = buf;

	memcpy(vcpu->dr, d->dr, sizeof(vcpu->dr));
	vcpu->dr6 = d->dr6 | 0xffff0ff0ULL;
	vcpu->dr7 = d->dr7 | BIT(10);
	vcpu->dr_live = vcpu->dr7 & 0xff;
	keel_backend->dr_access(vcpu, !vcpu->dr_live);
	keel_touch(vcpu, KEEL_CG_DEBUG);
}

const struct keel_record keel_rec_debug = {
	.type = KEEL_REC_DEBUG, .version = 1, .size = rec_debug_size,
	.save = rec_debug_save, .check = rec_debug_check, .load = rec_debug_load,
};

/* ---- events ---------------------------------------------------------------------- */

static u32 rec_events_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return sizeof(struct keel_rec_events);
}

static int rec_events_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	struct keel_rec_events *e = buf;
	const struct keel_event *exc = &vcpu->exception;

	keel_need(vcpu, KEEL_CG_SHADOW);
	memset(e, 0, sizeof(*e));
	if (vcpu->injected.kind == KEEL_EV_EXCEPTION) {
		exc = &vcpu->injected;
		e->exc_injected = 1;
	} else if (exc->kind) {
		e->exc_pending = 1;
		e->exc_cr2 = vcpu->exception_cr2;
	}
	if (exc->kind) {
		e->exc_vector = exc->vector;
		e->exc_has_error = exc->has_error;
		e->exc_error = exc->error;
	}
	if (vcpu->injected.kind == KEEL_EV_IRQ) {
		e->irq_injected = 1;
		e->irq_vector = vcpu->injected.vector;
	}
	if (vcpu->irq_user_pending) {
		e->irq_pending = 1;
		e->irq_pending_vector = vcpu->irq_user;
	}
	e->nmi_injected = vcpu->injected.kind == KEEL_EV_NMI;
	e->nmi_pending = min(vcpu->nmi_pending + atomic_read(&vcpu->nmi_posted), 2);
	e->nmi_masked = vcpu->nmi_masked;
	e->shadow = vcpu->shadow;
	e->mp_state = vcpu->mp_state;
	e->init_pending = test_bit(KEEL_POST_INIT, &vcpu->posted);
	if (test_bit(KEEL_POST_SIPI, &vcpu->posted)) {
		e->mp_state = KEEL_MP_SIPI;
		e->sipi_vector = READ_ONCE(vcpu->sipi_vector);
	}
	return 0;
}

static int rec_events_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			    u32 *bad_offset)
{
	const struct keel_rec_events *e = buf;
	int i;

	if (e->exc_pending > 1)
		return BAD(struct keel_rec_events, exc_pending);
	if (e->exc_injected > 1 || (e->exc_injected && e->exc_pending))
		return BAD(struct keel_rec_events, exc_injected);
	if (e->exc_vector > 31 || e->exc_vector == 2)
		return BAD(struct keel_rec_events, exc_vector);
	/* The vectors that have a code go without one in real mode. */
	if (e->exc_has_error > 1 || (e->exc_has_error && !(KEEL_WITH_ERROR & BIT(e->exc_vector))))
		return BAD(struct keel_rec_events, exc_has_error);
	if (e->irq_injected > 1 || (e->irq_injected && e->exc_injected))
		return BAD(struct keel_rec_events, irq_injected);
	if (e->irq_soft)
		return BAD(struct keel_rec_events, irq_soft);
	if (e->nmi_injected > 1 || (e->nmi_injected && (e->irq_injected || e->exc_injected)))
		return BAD(struct keel_rec_events, nmi_injected);
	if (e->nmi_pending > 2)
		return BAD(struct keel_rec_events, nmi_pending);
	if (e->nmi_masked > 1)
		return BAD(struct keel_rec_events, nmi_masked);
	/* One or the other: the second of two does not shadow again. */
	if (e->shadow > KEEL_SHADOW_MOV_SS)
		return BAD(struct keel_rec_events, shadow);
	if (e->mp_state > KEEL_MP_SIPI || (e->mp_state != KEEL_MP_RUNNABLE && !vm->irqchip))
		return BAD(struct keel_rec_events, mp_state);
	if (e->init_pending > 1 || (e->init_pending && !vm->irqchip))
		return BAD(struct keel_rec_events, init_pending);
	if (e->irq_pending > 1 || (e->irq_pending && vm->irqchip))
		return BAD(struct keel_rec_events, irq_pending);
	for (i = 0; i < ARRAY_SIZE(e->reserved); i++)
		if (e->reserved[i])
			return BAD(struct keel_rec_events, reserved);
	return 0;
}

static void rec_events_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	const struct keel_rec_events *e = buf;
	struct keel_event exc = {
		.kind = e->exc_pending || e->exc_injected ? KEEL_EV_EXCEPTION : KEEL_EV_NONE,
		.vector = e->exc_vector,
		.has_error = e->exc_has_error,
		.error = e->exc_error,
	};

	vcpu->exception.kind = KEEL_EV_NONE;
	vcpu->injected.kind = KEEL_EV_NONE;
	vcpu->irq_user_pending = e->irq_pending;
	vcpu->irq_user = e->irq_pending_vector;
	if (e->exc_injected)
		vcpu->injected = exc;
	else if (e->exc_pending)
		vcpu->exception = exc;
	vcpu->exception_cr2 = e->exc_cr2;
	if (e->irq_injected)
		vcpu->injected = (struct keel_event){
			.kind = KEEL_EV_IRQ, .vector = e->irq_vector };
	if (e->nmi_injected)
		vcpu->injected = (struct keel_event){ .kind = KEEL_EV_NMI, .vector = 2 };
	atomic_set(&vcpu->nmi_posted, 0);
	vcpu->nmi_pending = e->nmi_pending;
	vcpu->nmi_masked = e->nmi_masked;
	vcpu->shadow = e->shadow;
	keel_touch(vcpu, KEEL_CG_SHADOW);
	vcpu->mp_state = e->mp_state;
	xchg(&vcpu->posted, 0);
	if (e->init_pending)
		set_bit(KEEL_POST_INIT, &vcpu->posted);
	if (e->mp_state == KEEL_MP_SIPI) {
		vcpu->mp_state = KEEL_MP_WAIT_SIPI;
		WRITE_ONCE(vcpu->sipi_vector, e->sipi_vector);
		set_bit(KEEL_POST_SIPI, &vcpu->posted);
	}
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

const struct keel_record keel_rec_events = {
	.type = KEEL_REC_EVENTS, .version = 1, .size = rec_events_size,
	.save = rec_events_save, .check = rec_events_check, .load = rec_events_load,
};

/* ---- FPU ------------------------------------------------------------------------- */

static u32 rec_xsave_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return keel_xsave_size;
}

static int rec_xsave_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	struct xregs_state *x = buf;

	keel_fpu_to_uabi(&vcpu->guest_fpu, buf, len, keel_host_xcr0 | XFEATURE_MASK_FPSSE, 0);
	/* Some kernels add what they know of protection keys. */
	x->header.xfeatures &= keel_host_xcr0 | XFEATURE_MASK_FPSSE;
	return 0;
}

static int rec_xsave_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			   u32 *bad_offset)
{
	const struct xregs_state *x = buf;
	u64 allowed = keel_guest_xcr0_mask(vm) | XFEATURE_MASK_FPSSE;
	int i;

	if (x->header.xfeatures & ~allowed)
		return BAD(struct xregs_state, header.xfeatures);
	if (x->header.xcomp_bv)
		return BAD(struct xregs_state, header.xcomp_bv);
	for (i = 0; i < ARRAY_SIZE(x->header.reserved); i++)
		if (x->header.reserved[i])
			return BAD(struct xregs_state, header.reserved);
	/* A reserved MXCSR bit would fault in the host's own restore. */
	if (x->i387.mxcsr & ~(u32)0xffff)
		return BAD(struct xregs_state, i387.mxcsr);
	return 0;
}

static void rec_xsave_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	u32 pkru = 0;

	/* Checked above: only a broken invariant can make this fail. */
	if (fpu_copy_uabi_to_guest_fpstate(&vcpu->guest_fpu, buf,
					   keel_host_xcr0 | XFEATURE_MASK_FPSSE, &pkru))
		keel_vm_bugged(vm, "FPU state refused after its check");
}

/* An area without components is one where all have their initial values. */
void keel_fpu_reset(struct keel_vcpu *vcpu)
{
	struct xregs_state *x = kvzalloc(keel_xsave_size, GFP_KERNEL_ACCOUNT);

	if (!x)
		return;	/* tried again at the end of the next RUN */
	x->i387.mxcsr = MXCSR_DEFAULT;
	rec_xsave_load(vcpu->vm, vcpu, x, keel_xsave_size);
	kvfree(x);
	vcpu->fpu_reset = false;
}

const struct keel_record keel_rec_xsave = {
	.type = KEEL_REC_XSAVE, .version = 1, .size = rec_xsave_size,
	.save = rec_xsave_save, .check = rec_xsave_check, .load = rec_xsave_load,
};

/* ---- time ------------------------------------------------------------------------ */

/* Before it told the frequency. */
#define TSC_LEN_FIRST	offsetof(struct keel_rec_tsc, khz)

static u32 rec_tsc_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return sizeof(struct keel_rec_tsc);
}

static int rec_tsc_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	struct keel_rec_tsc *t = buf;

	t->tsc = keel_guest_tsc(vm) + vcpu->tsc_adjust;
	t->host_ns = ktime_get_ns();
	t->adjust = vcpu->tsc_adjust;
	t->khz = keel_tsc_khz(vm);
	return 0;
}

static int rec_tsc_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			 u32 *bad_offset)
{
	const struct keel_rec_tsc *t = buf;

	if (len != sizeof(*t) && len != TSC_LEN_FIRST) {
		*bad_offset = min_t(u32, len, sizeof(*t));
		return -EINVAL;
	}
	if (t->host_ns > ktime_get_ns())
		return BAD(struct keel_rec_tsc, host_ns);
	if (len == sizeof(*t) && t->khz && !keel_tsc_khz_matches(vm, t->khz))
		return BAD(struct keel_rec_tsc, khz);
	return 0;
}

/* With a time the guest's clock has gone on since; without, it stood still. */
static void rec_tsc_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	const struct keel_rec_tsc *t = buf;
	u64 since = t->host_ns ? ktime_get_ns() - t->host_ns : 0;
	u64 tsc = t->tsc + keel_ns_to_tsc(vm, since);

	/*
	 * The VM has one offset, so that all its TSCs are in step; what is left
	 * over is this vCPU's adjustment.  The boot vCPU's record moves the VM.
	 */
	if (vcpu->id == 0)
		keel_vm_set_tsc(vm, tsc - t->adjust);
	vcpu->tsc_adjust = vcpu->id == 0 ? t->adjust : tsc - keel_guest_tsc(vm);
	keel_vcpu_request(vcpu, KEEL_REQ_TSC);
}

const struct keel_record keel_rec_tsc = {
	.type = KEEL_REC_TSC, .version = 1, .any_len = true, .size = rec_tsc_size,
	.save = rec_tsc_save, .check = rec_tsc_check, .load = rec_tsc_load,
};
