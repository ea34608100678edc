// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a virtual CPU, who owns it, and how other threads and interrupt
 * handlers reach it.  It must not know what runs between two requests:
 * core/run.c does.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/fpu/xcr.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "core/compat.h"
#include "core/cpuid.h"
#include "core/dev.h"
#include "core/mitigate.h"
#include "core/run.h"
#include "core/vcpu.h"
#include "irqchip/irqchip.h"

#define RESET_RFLAGS	2ULL
#define RESET_CR0	0x60000010ULL	/* CD, NW, ET */
#define RESET_RIP	0xfff0ULL
#define RESET_CS	0xf000
#define RESET_CS_BASE	0xffff0000ULL
#define RESET_DR6	0xffff0ff0ULL
#define RESET_DR7	0x400ULL
#define RESET_PAT	0x0007040600070406ULL

/* Descriptor attributes after reset: present, accessed, 64 KiB. */
#define ATTR_CODE	0x9b
#define ATTR_DATA	0x93
#define ATTR_LDT	0x82
#define ATTR_TSS	0x8b

static void reset_segments(struct keel_sregs *s)
{
	int i;

	for (i = 0; i < KEEL_SREG_NR; i++)
		s->seg[i] = (struct keel_segment){ .limit = 0xffff, .attr = ATTR_DATA };
	s->seg[KEEL_SREG_CS] = (struct keel_segment){ .base = RESET_CS_BASE, .limit = 0xffff,
						      .selector = RESET_CS, .attr = ATTR_CODE };
	s->seg[KEEL_SREG_LDTR].attr = ATTR_LDT;
	s->seg[KEEL_SREG_TR].attr = ATTR_TSS;
	s->gdt = (struct keel_dtable){ .limit = 0xffff };
	s->idt = (struct keel_dtable){ .limit = 0xffff };
}

static void reset_events(struct keel_vcpu *vcpu)
{
	vcpu->injected.kind = KEEL_EV_NONE;
	vcpu->exception.kind = KEEL_EV_NONE;
	vcpu->nmi_pending = 0;
	vcpu->nmi_masked = false;
	vcpu->shadow = 0;
	vcpu->irq_user_pending = false;
	vcpu->irq_window = false;
	vcpu->pending_user = KEEL_PEND_NONE;
	vcpu->nr_fragments = 0;
	atomic_set(&vcpu->nmi_posted, 0);
}

/* The boot CPU runs, the others wait for its start-up IPI. */
static u8 first_mp_state(const struct keel_vcpu *vcpu)
{
	return vcpu->id == 0 || !vcpu->vm->irqchip ? KEEL_MP_RUNNABLE : KEEL_MP_WAIT_SIPI;
}

void keel_vcpu_reset(struct keel_vcpu *vcpu, bool init)
{
	u64 cr0 = RESET_CR0;

	/* INIT keeps the caching bits, the FPU and most MSRs. */
	if (init) {
		keel_need(vcpu, KEEL_CG_CR | KEEL_CG_MSR);
		cr0 = (vcpu->sregs.cr0 & RESET_CR0) | 0x10;
	} else {
		memset(&vcpu->msr, 0, sizeof(vcpu->msr));
		vcpu->msr.pat = RESET_PAT;
		vcpu->xcr0 = vcpu->host_xcr0 ? XFEATURE_MASK_FP : 0;
		vcpu->misc_enable = 1;		/* fast strings */
		vcpu->tsc_aux = 0;
		vcpu->tsc_adjust = 0;
		vcpu->mcg_status = 0;
		vcpu->mtrr_def_type = 0;
		memset(vcpu->mtrr_fixed, 0, sizeof(vcpu->mtrr_fixed));
		memset(vcpu->mtrr_var, 0, sizeof(vcpu->mtrr_var));
		vcpu->mp_state = first_mp_state(vcpu);
		vcpu->spec_ctrl = 0;
	}
	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs.gpr[KEEL_RDX] = 0x600;	/* a family that nothing depends on */
	vcpu->regs.rip = RESET_RIP;
	vcpu->regs.rflags = RESET_RFLAGS;
	reset_segments(&vcpu->sregs);
	vcpu->sregs.cr0 = cr0;
	vcpu->sregs.cr2 = 0;
	vcpu->sregs.cr3 = 0;
	vcpu->sregs.cr4 = 0;
	vcpu->sregs.efer = 0;
	vcpu->cr8 = 0;
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->dr6 = RESET_DR6;
	vcpu->dr7 = RESET_DR7;
	vcpu->dr_live = false;
	reset_events(vcpu);
	keel_backend->vcpu_reset(vcpu);
	keel_touch(vcpu, KEEL_CG_ALL);
	keel_update_xcr0(vcpu);
	lapic_reset(vcpu, init);
}

void keel_update_xcr0(struct keel_vcpu *vcpu)
{
	keel_need(vcpu, KEEL_CG_CR);
	vcpu->entry_xcr0 = vcpu->sregs.cr4 & X86_CR4_OSXSAVE ? vcpu->xcr0 : vcpu->host_xcr0;
}

void keel_host_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	struct pt_regs regs = {
		.cs = 3,	/* as from user mode: a guest's page must not end the host */
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#endif
}

void keel_vcpu_destroy(struct keel_vcpu *vcpu)
{
	lapic_destroy(vcpu);
	keel_guest_forget(vcpu);
	keel_backend->vcpu_fini(vcpu);
	s2_cache_free(vcpu);
	if (vcpu->guest_fpu.fpstate)
		fpu_free_guest_fpstate(&vcpu->guest_fpu);
	if (vcpu->run) {
		free_page((unsigned long)vcpu->run);
		keel_account(-(long)PAGE_SIZE);
	}
	if (vcpu->ledger.map) {
		free_pages_exact(vcpu->ledger.map, KEEL_LEDGER_SIZE);
		keel_account(-(long)KEEL_LEDGER_SIZE);
	}
	kfree(vcpu);
	keel_account(-(long)sizeof(*vcpu));
	atomic_long_dec(&keel_nr_vcpus);
}

static void vcpu_init_fields(struct keel_vcpu *vcpu, struct keel_vm *vm, u32 id)
{
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = -1;
	vcpu->host_xcr0 = boot_cpu_has(X86_FEATURE_OSXSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl_safe(MSR_IA32_XSS, &vcpu->host_xss);
	rcuwait_init(&vcpu->wait);
	keel_run_init(vcpu);
}

static bool vcpu_open_ledger(struct keel_vcpu *vcpu)
{
	vcpu->ledger.map = alloc_pages_exact(KEEL_LEDGER_SIZE, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vcpu->ledger.map)
		return false;
	keel_account(KEEL_LEDGER_SIZE);
	keel_ledger_init(&vcpu->ledger, keel_exit_names, KEEL_X_NR, tsc_khz, rdtsc());
	return true;
}

static struct keel_vcpu *vcpu_alloc(struct keel_vm *vm, u32 id)
{
	struct keel_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	atomic_long_inc(&keel_nr_vcpus);
	keel_account(sizeof(*vcpu));
	vcpu_init_fields(vcpu, vm, id);
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run)
		goto fail;
	keel_account(PAGE_SIZE);
	if (!vcpu_open_ledger(vcpu))
		goto fail;
	if (!fpu_alloc_guest_fpstate(&vcpu->guest_fpu))
		goto fail;
	err = keel_backend->vcpu_init(vcpu);
	if (err)
		goto fail;
	err = vm->irqchip ? lapic_create(vcpu) : 0;
	if (err)
		goto fail;
	keel_vcpu_reset(vcpu, false);
	return vcpu;
fail:
	keel_vcpu_destroy(vcpu);
	return ERR_PTR(err);
}

int keel_vcpu_create(struct keel_vm *vm, u32 id)
{
	struct keel_vcpu *vcpu;
	struct file *file;
	int fd;

	if (id >= KEEL_MAX_VCPUS)
		return -EINVAL;
	if (vm->vcpus[id])
		return -EEXIST;
	vcpu = vcpu_alloc(vm, id);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto fail;
	file = anon_inode_getfile("[keel-vcpu]", &keel_vcpu_fops, vcpu, O_RDWR | O_CLOEXEC);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto fail;
	}
	/* Its release drops this reference; the vCPU itself lives as long as the VM. */
	keel_vm_get(vm);
	vm->nr_vcpus++;
	/* Pairs with keel_vm_vcpu(): complete before it is seen. */
	smp_store_release(&vm->vcpus[id], vcpu);
	if (id >= vm->max_vcpu_id) {
		/* Pairs with keel_vm_next_vcpu(). */
		smp_store_release(&vm->max_vcpu_id, id + 1);
	}
	fd_install(fd, file);
	return fd;
fail:
	keel_vcpu_destroy(vcpu);
	return fd;
}

int keel_vcpu_own(struct keel_vcpu *vcpu)
{
	if (atomic_cmpxchg_acquire(&vcpu->owned, 0, 1))
		return -EBUSY;
	return 0;
}

void keel_vcpu_disown(struct keel_vcpu *vcpu)
{
	atomic_set_release(&vcpu->owned, 0);
}

/* ---- requests ------------------------------------------------------------------- */

void keel_vcpu_request(struct keel_vcpu *vcpu, enum keel_request req)
{
	keel_requests_set(&vcpu->req, req);
	if (keel_requests_owes_ipi(&vcpu->req)) {
		int cpu = READ_ONCE(vcpu->cpu);

		/* It entered on this CPU: whoever runs here now has ended that. */
		if (cpu >= 0 && cpu != raw_smp_processor_id()) {
			vcpu->stats.kicks++;
			keel_send_reschedule(cpu);
		}
		return;
	}
	rcuwait_wake_up(&vcpu->wait);
	/* A parked vCPU sleeps with the others of its VM. */
	if (unlikely(READ_ONCE(vcpu->run_state) == KEEL_PARKED))
		wake_up_all(&vcpu->vm->pause_wait);
}

static void kick_ack(void *unused)
{
}

void keel_vm_request_wait(struct keel_vm *vm, enum keel_request req)
{
	struct keel_vcpu *vcpu;
	u32 i;

	keel_for_each_vcpu(i, vcpu, vm) {
		keel_requests_set(&vcpu->req, req);
		/* Order the request before the mode: pairs with keel_requests_enter(). */
		smp_mb();
		if (READ_ONCE(vcpu->req.mode) != KEEL_OUTSIDE) {
			int cpu = READ_ONCE(vcpu->cpu);

			if (cpu >= 0)
				smp_call_function_single(cpu, kick_ack, NULL, true);
		} else {
			rcuwait_wake_up(&vcpu->wait);
		}
	}
}

void keel_vcpu_nmi(struct keel_vcpu *vcpu)
{
	/* No more than two can ever wait. */
	if (atomic_read(&vcpu->nmi_posted) < 2)
		atomic_inc(&vcpu->nmi_posted);
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

void keel_vcpu_init_ipi(struct keel_vcpu *vcpu)
{
	set_bit(KEEL_POST_INIT, &vcpu->posted);
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

void keel_vcpu_sipi(struct keel_vcpu *vcpu, u8 vector)
{
	WRITE_ONCE(vcpu->sipi_vector, vector);
	/* The vector before the bit that announces it. */
	smp_wmb();
	set_bit(KEEL_POST_SIPI, &vcpu->posted);
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}
