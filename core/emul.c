// SPDX-License-Identifier: GPL-2.0
/*
 * The emulator's glue: its view of this vCPU's registers, memory, ports and
 * MMIO, and the log of accesses that lets an instruction start again when the
 * launcher has answered.  It must not know instructions.
 */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "core/cpuid.h"
#include "core/iobus.h"
#include "core/mem.h"
#include "core/run.h"
#include "emulate/paging.h"
#include "irqchip/irqchip.h"

#define VEC_PF	14
#define LAPIC_SIZE	4096

/* Registers that every emulation reads. */
#define EMUL_GROUPS	(KEEL_CG_RIP | KEEL_CG_RSP | KEEL_CG_RFLAGS | KEEL_CG_CR | KEEL_CG_CS)

static struct keel_vcpu *emul_vcpu(struct keel_emul *e)
{
	return e->ctx;
}

enum keel_emul_mode keel_cpu_mode(struct keel_vcpu *vcpu)
{
	const struct keel_segment *cs = &vcpu->sregs.seg[KEEL_SREG_CS];

	if (!(vcpu->sregs.cr0 & X86_CR0_PE))
		return KEEL_EMUL_REAL;
	if (vcpu->regs.rflags & X86_EFLAGS_VM)
		return KEEL_EMUL_VM86;
	if ((vcpu->sregs.efer & EFER_LMA) && (cs->attr & KEEL_ATTR_L))
		return KEEL_EMUL_LONG64;
	return cs->attr & KEEL_ATTR_DB ? KEEL_EMUL_PROT32 : KEEL_EMUL_PROT16;
}

/* ---- the guest's page tables ----------------------------------------------------- */

static int walk_read(void *ctx, gpa_t gpa, unsigned int size, u64 *entry)
{
	struct keel_vcpu *vcpu = ctx;

	*entry = 0;
	return keel_guest_read(vcpu->vm, gpa, entry, size);
}

static int walk_replace(void *ctx, gpa_t gpa, unsigned int size, u64 old, u64 new)
{
	struct keel_vcpu *vcpu = ctx;

	return keel_guest_cmpxchg(vcpu->vm, gpa, size, old, new);
}

static const struct keel_walk_ops walk_ops = {
	.read = walk_read,
	.replace = walk_replace,
};

static void paging_state(struct keel_vcpu *vcpu, struct keel_paging *p)
{
	const struct keel_sregs *s = &vcpu->sregs;

	p->cr3 = s->cr3;
	p->pkru = 0;
	p->maxphyaddr = keel_guest_maxphyaddr(vcpu->vm);
	p->flags = (s->cr0 & X86_CR0_WP ? KEEL_PAGING_F_WP : 0) |
		   (s->cr4 & X86_CR4_PSE ? KEEL_PAGING_F_PSE : 0) |
		   (s->efer & EFER_NX ? KEEL_PAGING_F_NXE : 0) |
		   (s->cr4 & X86_CR4_SMEP ? KEEL_PAGING_F_SMEP : 0) |
		   (s->cr4 & X86_CR4_SMAP ? KEEL_PAGING_F_SMAP : 0) |
		   (vcpu->vm->guest_has & KEEL_G_1G ? KEEL_PAGING_F_1G : 0);
	if (!(s->cr0 & X86_CR0_PG))
		p->mode = KEEL_PAGING_NONE;
	else if (!(s->cr4 & X86_CR4_PAE))
		p->mode = KEEL_PAGING_32;
	else if (!(s->efer & EFER_LMA))
		p->mode = KEEL_PAGING_PAE;
	else
		p->mode = s->cr4 & X86_CR4_LA57 ? KEEL_PAGING_5LEVEL : KEEL_PAGING_4LEVEL;
}

/* [owner, task] Translate for the emulator; KEEL_EMUL_FAULT with the #PF filled in. */
static int emul_translate(struct keel_emul *e, gva_t gva, u32 access, gpa_t *gpa)
{
	struct keel_vcpu *vcpu = emul_vcpu(e);
	struct keel_paging paging;
	struct keel_walk walk;
	int r;

	paging_state(vcpu, &paging);
	if (e->cpl == 3)
		access |= KEEL_WALK_USER;
	else if (vcpu->regs.rflags & X86_EFLAGS_AC)
		access |= KEEL_WALK_AC;
	r = keel_paging_walk(&paging, gva, access, &walk_ops, vcpu, &walk);
	switch (r) {
	case KEEL_WALK_OK:
		*gpa = walk.gpa;
		return KEEL_EMUL_OK;
	case KEEL_WALK_FAULT:
		return keel_emul_fault(e, VEC_PF, walk.error, gva);
	case KEEL_WALK_RETRY:
		return KEEL_EMUL_RETRY;
	}
	return KEEL_EMUL_ERROR;
}

/* ---- MMIO and ports -------------------------------------------------------------- */

/* The kernel's own devices; -EOPNOTSUPP: the launcher's. */
static int mmio_in_kernel(struct keel_vcpu *vcpu, gpa_t gpa, u64 *val, u32 len, bool write)
{
	gpa_t base;

	if (vcpu->lapic && lapic_mmio_enabled(vcpu, &base) && gpa - base < LAPIC_SIZE) {
		if (!write) {
			lapic_mmio_read(vcpu, gpa - base, len, val);
			return 0;
		}
		lapic_mmio_write(vcpu, gpa - base, len, *val);
		vcpu->cr8 = lapic_get_cr8(vcpu);
		keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
		return 0;
	}
	return write ? keel_iobus_write(vcpu, KEEL_BUS_MMIO, gpa, len, *val) :
		       keel_iobus_read(vcpu, KEEL_BUS_MMIO, gpa, len, val);
}

/*
 * One access that may need the launcher.  Accesses that this instruction has
 * made before are answered from the log; a new one that nobody in the kernel
 * claims is logged and left to the launcher.
 */
static int fragment(struct keel_vcpu *vcpu, gpa_t gpa, u64 *val, u32 len, bool write, bool pio)
{
	struct keel_mmio_fragment *f;
	u8 policy = pio ? READ_ONCE(vcpu->vm->policy.pio) : READ_ONCE(vcpu->vm->policy.mmio);
	int err;

	if (vcpu->frag_step != vcpu->emul.steps) {
		vcpu->frag_step = vcpu->emul.steps;
		vcpu->nr_fragments = 0;
		vcpu->frag_pos = 0;
	}
	if (vcpu->frag_pos < vcpu->nr_fragments) {
		f = &vcpu->frag[vcpu->frag_pos];
		if (f->gpa == gpa && f->len == len && f->write == write && f->pio == pio) {
			vcpu->frag_pos++;
			*val = write ? *val : f->data;
			return KEEL_EMUL_OK;
		}
		/* The guest changed the instruction or its registers: forget the old one. */
		vcpu->nr_fragments = vcpu->frag_pos;
	}
	if (vcpu->nr_fragments == KEEL_MAX_FRAGMENTS)
		return KEEL_EMUL_ERROR;

	f = &vcpu->frag[vcpu->nr_fragments];
	*f = (struct keel_mmio_fragment){ .gpa = gpa, .len = len, .write = write, .pio = pio };
	if (pio)
		err = write ? keel_iobus_write(vcpu, KEEL_BUS_PIO, gpa, len, *val) :
			      keel_iobus_read(vcpu, KEEL_BUS_PIO, gpa, len, val);
	else
		err = mmio_in_kernel(vcpu, gpa, val, len, write);
	if (err && policy == KEEL_POLICY_ZERO) {
		if (pio)
			vcpu->stats.policy_pio++;
		else
			vcpu->stats.policy_mmio++;
		if (!write)
			*val = ~0ULL;
		err = 0;
	}
	f->data = *val;
	vcpu->nr_fragments++;
	if (err)
		return KEEL_EMUL_PENDING;
	vcpu->frag_pos++;
	return KEEL_EMUL_OK;
}

/* The launcher's own memory is not there: the exit tells where. */
static int memory_error(struct keel_vcpu *vcpu, gpa_t gpa, u32 access)
{
	vcpu->mem_error = (struct keel_exit_mem){ .gpa = gpa, .access = access, .error = EFAULT };
	return KEEL_EMUL_ERROR;
}

/* An access that lies within one page: memory, or MMIO in pieces of up to 8 bytes. */
static int access_page(struct keel_vcpu *vcpu, gpa_t gpa, void *buf, u32 len, bool write)
{
	int err = write ? keel_guest_write(vcpu->vm, gpa, buf, len) :
			  keel_guest_read(vcpu->vm, gpa, buf, len);

	if (err == -EFAULT)
		return memory_error(vcpu, gpa, write ? KEEL_ACCESS_WRITE : KEEL_ACCESS_READ);
	if (!err)
		return KEEL_EMUL_OK;
	while (len) {
		u32 piece = min(len, 8U);
		u64 val = 0;

		if (write)
			memcpy(&val, buf, piece);
		err = fragment(vcpu, gpa, &val, piece, write, false);
		if (err != KEEL_EMUL_OK)
			return err;
		if (!write)
			memcpy(buf, &val, piece);
		gpa += piece;
		buf += piece;
		len -= piece;
	}
	return KEEL_EMUL_OK;
}

/* Both pages are translated before a byte of either moves. */
static int emul_access(struct keel_emul *e, gva_t gva, void *buf, u32 len, u32 walk, bool write)
{
	u32 first = min_t(u32, len, KEEL_PAGE_SIZE - keel_page_offset(gva));
	gpa_t gpa[2];
	int r;

	r = emul_translate(e, gva, walk, &gpa[0]);
	if (r == KEEL_EMUL_OK && first < len)
		r = emul_translate(e, gva + first, walk, &gpa[1]);
	if (r == KEEL_EMUL_OK)
		r = access_page(emul_vcpu(e), gpa[0], buf, first, write);
	if (r == KEEL_EMUL_OK && first < len)
		r = access_page(emul_vcpu(e), gpa[1], buf + first, len - first, write);
	return r;
}

static int emul_fetch(struct keel_emul *e, gva_t lin, void *buf, unsigned int len)
{
	gpa_t gpa;
	int r = emul_translate(e, lin, KEEL_WALK_FETCH, &gpa);

	if (r != KEEL_EMUL_OK)
		return r;
	r = keel_guest_read(emul_vcpu(e)->vm, gpa, buf, len);
	if (r == -EFAULT)
		return memory_error(emul_vcpu(e), gpa, KEEL_ACCESS_EXEC);
	return r ? KEEL_EMUL_ERROR : KEEL_EMUL_OK;
}

static int emul_read(struct keel_emul *e, gva_t lin, void *buf, unsigned int len, unsigned int acc)
{
	u32 walk = acc & KEEL_EMUL_ACC_WRITE ? KEEL_WALK_WRITE : 0;

	return emul_access(e, lin, buf, len, walk, false);
}

static int emul_write(struct keel_emul *e, gva_t lin, const void *buf, unsigned int len,
		      unsigned int acc)
{
	return emul_access(e, lin, (void *)buf, len, KEEL_WALK_WRITE, true);
}

/* Aligned and in memory: atomic.  Otherwise as a read and a write, as on a bus without locks. */
static int emul_replace(struct keel_emul *e, gva_t lin, const void *old, const void *new,
			unsigned int len)
{
	struct keel_vcpu *vcpu = emul_vcpu(e);
	u64 o = 0, n = 0;
	gpa_t gpa;
	int r;

	if (len > 8 || !IS_ALIGNED(lin, len))
		return emul_write(e, lin, new, len, KEEL_EMUL_ACC_LOCKED);
	r = emul_translate(e, lin, KEEL_WALK_WRITE, &gpa);
	if (r != KEEL_EMUL_OK)
		return r;
	memcpy(&o, old, len);
	memcpy(&n, new, len);
	r = keel_guest_cmpxchg(vcpu->vm, gpa, len, o, n);
	if (r == -ENXIO)
		return access_page(vcpu, gpa, &n, len, true);
	if (r < 0)
		return KEEL_EMUL_ERROR;
	return r ? KEEL_EMUL_RETRY : KEEL_EMUL_OK;
}

static int emul_probe(struct keel_emul *e, gva_t lin, unsigned int len, unsigned int acc)
{
	u32 walk = acc & KEEL_EMUL_ACC_WRITE ? KEEL_WALK_WRITE : 0;
	gva_t last = lin + len - 1;
	gpa_t gpa;
	int r = emul_translate(e, lin, walk, &gpa);

	if (r == KEEL_EMUL_OK && ((lin ^ last) & KEEL_PAGE_MASK))
		r = emul_translate(e, last & KEEL_PAGE_MASK, walk, &gpa);
	return r;
}

static int emul_segment(struct keel_emul *e, unsigned int seg, struct keel_emul_segment *out)
{
	struct keel_vcpu *vcpu = emul_vcpu(e);
	const struct keel_segment *s = &vcpu->sregs.seg[seg];

	if (seg != KEEL_SREG_CS && seg != KEEL_SREG_SS)
		keel_need(vcpu, KEEL_CG_SEG);
	*out = (struct keel_emul_segment){
		.base = s->base,
		.limit = s->limit,
		.attr = s->attr & KEEL_ATTR_P ? s->attr : s->attr | KEEL_SEGA_UNUSABLE,
		.selector = s->selector,
	};
	return KEEL_EMUL_OK;
}

/* I/O permission was the CPU's to check: the exit comes after. */
static int emul_pio_in(struct keel_emul *e, u16 port, unsigned int size, u32 *val)
{
	u64 v = 0;
	int r = fragment(emul_vcpu(e), port, &v, size, false, true);

	*val = v;
	return r;
}

static int emul_pio_out(struct keel_emul *e, u16 port, unsigned int size, u32 val)
{
	u64 v = val;

	return fragment(emul_vcpu(e), port, &v, size, true, true);
}

static const struct keel_emul_ops emul_ops = {
	.fetch = emul_fetch,
	.read = emul_read,
	.write = emul_write,
	.replace = emul_replace,
	.probe = emul_probe,
	.segment = emul_segment,
	.pio_in = emul_pio_in,
	.pio_out = emul_pio_out,
};

/* ---- running it ------------------------------------------------------------------ */

static void emul_begin(struct keel_vcpu *vcpu, const struct keel_exit *exit)
{
	struct keel_emul *e = &vcpu->emul;
	u32 has = vcpu->vm->guest_has;

	keel_need(vcpu, EMUL_GROUPS);
	vcpu->mem_error.error = 0;
	e->regs = &vcpu->regs;
	e->ops = &emul_ops;
	e->ctx = vcpu;
	e->mode = keel_cpu_mode(vcpu);
	e->cpl = e->mode == KEEL_EMUL_REAL ? 0 : e->mode == KEEL_EMUL_VM86 ? 3 : keel_cpl(vcpu);
	e->features = (has & KEEL_G_BMI1 ? KEEL_EMUL_F_BMI1 : 0) |
		      (has & KEEL_G_LZCNT ? KEEL_EMUL_F_LZCNT : 0) |
		      (has & KEEL_G_POPCNT ? KEEL_EMUL_F_POPCNT : 0);
	e->flags = (vcpu->sregs.cr0 & X86_CR0_AM ? KEEL_EMUL_S_AM : 0) |
		   (vcpu->sregs.cr4 & X86_CR4_LA57 ? KEEL_EMUL_S_LA57 : 0) |
		   (vcpu->sregs.cr4 & (X86_CR4_VME | X86_CR4_PVI) ? KEEL_EMUL_S_VME : 0);
	keel_emul_begin(e, exit->nr_bytes ? exit->bytes : NULL, exit->nr_bytes);
}

int keel_emul_fail(struct keel_vcpu *vcpu, u32 why, const struct keel_exit *exit)
{
	struct keel_exit_emul *out = &vcpu->run->emul;
	u8 n = min_t(u8, vcpu->emul.fetched, sizeof(out->bytes));

	keel_need(vcpu, EMUL_GROUPS);
	if (why != KEEL_EMULFAIL_UNKNOWN && why != KEEL_EMULFAIL_FETCH)
		n = 0;
	vcpu->run->exit_reason = KEEL_EXIT_EMUL_FAIL;
	*out = (struct keel_exit_emul){
		.why = why,
		.nr_bytes = n,
		.mode = keel_cpu_mode(vcpu),
		.vendor_code = exit ? exit->vendor_code : 0,
		.rip = vcpu->regs.rip,
		.gpa = vcpu->fault_gpa,
	};
	memcpy(out->bytes, vcpu->emul.bytes, n);
	return KEEL_NEXT_USER;
}

static int emul_to_user(struct keel_vcpu *vcpu)
{
	const struct keel_mmio_fragment *f = &vcpu->frag[vcpu->nr_fragments - 1];

	vcpu->pending_user = KEEL_PEND_EMUL;
	if (f->pio) {
		vcpu->run->exit_reason = KEEL_EXIT_PIO;
		vcpu->run->pio = (struct keel_exit_pio){
			.port = f->gpa, .size = f->len,
			.dir = f->write ? KEEL_DIR_OUT : KEEL_DIR_IN,
			.data = f->write ? f->data : 0,
		};
		return KEEL_NEXT_USER;
	}
	vcpu->run->exit_reason = KEEL_EXIT_MMIO;
	vcpu->run->mmio = (struct keel_exit_mmio){
		.gpa = f->gpa, .size = f->len,
		.dir = f->write ? KEEL_DIR_OUT : KEEL_DIR_IN,
		.data = f->write ? f->data : 0,
	};
	return KEEL_NEXT_USER;
}

/* What an emulated instruction leaves in the vCPU. */
static void emul_done(struct keel_vcpu *vcpu, bool more)
{
	vcpu->stats.emulated_insns++;
	keel_touch(vcpu, KEEL_CG_RIP | KEEL_CG_RSP | KEEL_CG_RFLAGS);
	if (more)
		return;
	keel_need(vcpu, KEEL_CG_SHADOW);
	if (vcpu->shadow) {
		vcpu->shadow = 0;
		keel_touch(vcpu, KEEL_CG_SHADOW);
	}
	if (vcpu->regs.rflags & X86_EFLAGS_TF)
		keel_queue_step_trap(vcpu);
}

/* A result of the emulator as an answer to the run loop. */
static int emul_result(struct keel_vcpu *vcpu, int r, const struct keel_exit *exit)
{
	const struct keel_emul_exception *exc = &vcpu->emul.exc;

	switch (r) {
	case KEEL_EMUL_DONE:
	case KEEL_EMUL_DONE_MORE:
		emul_done(vcpu, r == KEEL_EMUL_DONE_MORE);
		return KEEL_NEXT_ENTER;
	case KEEL_EMUL_FAULT:
		keel_touch(vcpu, KEEL_CG_RIP | KEEL_CG_RSP | KEEL_CG_RFLAGS);
		keel_queue_exception(vcpu, exc->vector, exc->has_error, exc->error, exc->cr2);
		return KEEL_NEXT_ENTER;
	case KEEL_EMUL_PENDING:
		keel_touch(vcpu, KEEL_CG_RIP | KEEL_CG_RSP | KEEL_CG_RFLAGS);
		return emul_to_user(vcpu);
	case KEEL_EMUL_RETRY:
		return KEEL_NEXT_ENTER;
	case KEEL_EMUL_UNKNOWN:
		return keel_emul_fail(vcpu, KEEL_EMULFAIL_UNKNOWN, exit);
	}
	if (vcpu->mem_error.error) {
		vcpu->run->exit_reason = KEEL_EXIT_MEM_FAULT;
		vcpu->run->mem = vcpu->mem_error;
		return KEEL_NEXT_USER;
	}
	return keel_emul_fail(vcpu, KEEL_EMULFAIL_FETCH, exit);
}

int keel_emulate(struct keel_vcpu *vcpu, struct keel_exit *exit, gpa_t gpa)
{
	int r;

	vcpu->fault_gpa = gpa;
	vcpu->nr_fragments = 0;
	vcpu->frag_pos = 0;
	vcpu->frag_step = vcpu->emul.steps;
	vcpu->stats.mmio_emulated++;
	emul_begin(vcpu, exit);
	r = keel_emul_decode(&vcpu->emul);
	if (r == KEEL_EMUL_OK)
		r = keel_emul_exec(&vcpu->emul);
	return emul_result(vcpu, r, exit);
}

int keel_emulate_resume(struct keel_vcpu *vcpu)
{
	struct keel_mmio_fragment *f = &vcpu->frag[vcpu->nr_fragments - 1];

	if (!f->write)
		f->data = f->pio ? READ_ONCE(vcpu->run->pio.data) : READ_ONCE(vcpu->run->mmio.data);
	vcpu->frag_pos = 0;
	vcpu->mem_error.error = 0;
	/* The launcher may have changed registers: everything is read again. */
	keel_need(vcpu, EMUL_GROUPS);
	return emul_result(vcpu, keel_emul_exec(&vcpu->emul), NULL);
}

int keel_decode_at_rip(struct keel_vcpu *vcpu, const struct keel_exit *exit)
{
	int r;

	vcpu->fault_gpa = KEEL_GPA_INVALID;
	emul_begin(vcpu, exit);
	r = keel_emul_decode(&vcpu->emul);
	return r == KEEL_EMUL_OK ? KEEL_NEXT_SLOW : emul_result(vcpu, r, exit);
}

int keel_skip_unknown(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	int next;

	if (!exit->insn_len) {
		next = keel_decode_at_rip(vcpu, exit);
		if (next != KEEL_NEXT_SLOW)
			return next;
		exit->insn_len = vcpu->emul.insn.length;
	}
	if (keel_backend->skip_insn(vcpu, exit))
		return KEEL_NEXT_ENTER;
	/* A newer RIP is in the cache. */
	vcpu->regs.rip += exit->insn_len;
	keel_touch(vcpu, KEEL_CG_RIP);
	return KEEL_NEXT_ENTER;
}

/* Long mode looks at more of an address than it translates. */
static bool canonical(const struct keel_paging *p, u64 gva)
{
	u8 shift = p->mode == KEEL_PAGING_5LEVEL ? 7 : 16;

	if (p->mode != KEEL_PAGING_4LEVEL && p->mode != KEEL_PAGING_5LEVEL)
		return true;
	return (u64)((s64)(gva << shift) >> shift) == gva;
}

int keel_vcpu_translate(struct keel_vcpu *vcpu, struct keel_translate *arg)
{
	struct keel_paging paging;
	struct keel_walk walk;
	u32 access = KEEL_WALK_NO_AD | KEEL_WALK_AC;
	int r;

	if (arg->access & ~(KEEL_ACCESS_READ | KEEL_ACCESS_WRITE | KEEL_ACCESS_EXEC))
		return -EINVAL;
	if (arg->access & KEEL_ACCESS_WRITE)
		access |= KEEL_WALK_WRITE;
	if (arg->access & KEEL_ACCESS_EXEC)
		access |= KEEL_WALK_FETCH;
	keel_need(vcpu, KEEL_CG_CR);
	arg->gpa = 0;
	arg->fault = 0;
	paging_state(vcpu, &paging);
	if (!canonical(&paging, arg->gva))
		return -ENXIO;
	r = keel_paging_walk(&paging, arg->gva, access, &walk_ops, vcpu, &walk);
	arg->gpa = r == KEEL_WALK_OK ? walk.gpa : 0;
	arg->fault = r == KEEL_WALK_FAULT ? walk.error : 0;
	return r == KEEL_WALK_OK ? 0 : -ENXIO;
}
