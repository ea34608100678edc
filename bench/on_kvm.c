// SPDX-License-Identifier: GPL-2.0
/*
 * The seam on KVM, to compare with. It must not know what is measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hv.h"

const char * const hv_name = "kvm";
const bool hv_has_pause;

static int dev = -1;
static int run_size;

/* What hv_cpuid_set() gave, for the vCPUs to come. */
static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[256];
} cpuid;

static int call(int fd, unsigned long nr, unsigned long arg, const char *what)
{
	int ret = ioctl(fd, nr, arg);

	if (ret < 0)
		die("%s: %s", what, strerror(errno));
	return ret;
}

#define CALL(fd, nr, arg)	call(fd, nr, (unsigned long)(arg), #nr)

static void kicked(int sig)
{
}

void hv_open(void)
{
	struct sigaction sa = { .sa_handler = kicked };

	sigaction(SIGUSR1, &sa, NULL);
	dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		die("/dev/kvm: %s", strerror(errno));
	run_size = CALL(dev, KVM_GET_VCPU_MMAP_SIZE, 0);
}

u32 hv_tsc_khz(struct hv_vcpu *v)
{
	return CALL(v->fd, KVM_GET_TSC_KHZ, 0);
}

void hv_vm_create(struct hv_vm *vm, unsigned int flags)
{
	struct kvm_pit_config pit = { 0 };
	unsigned long long identity = 0xfffbc000;

	*vm = (struct hv_vm){ .fd = CALL(dev, KVM_CREATE_VM, 0) };
	vm->irqchip = flags & (HV_IRQCHIP | HV_PIT);
	/* A launcher has to, on Intel; nothing lies there. */
	CALL(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	CALL(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000);
	if (vm->irqchip)
		CALL(vm->fd, KVM_CREATE_IRQCHIP, 0);
	if (flags & HV_PIT)
		CALL(vm->fd, KVM_CREATE_PIT2, &pit);
}

void hv_vm_destroy(struct hv_vm *vm)
{
	close(vm->fd);
}

void hv_map(struct hv_vm *vm, u64 gpa, u64 len, void *hva)
{
	struct kvm_userspace_memory_region slot = {
		.slot = vm->nr_slots++, .guest_phys_addr = gpa, .memory_size = len,
		.userspace_addr = (unsigned long)hva,
	};

	CALL(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);
}

void hv_unmap(struct hv_vm *vm, u64 gpa, u64 len, void *hva)
{
	struct kvm_userspace_memory_region slot = {
		.slot = --vm->nr_slots, .guest_phys_addr = gpa, .memory_size = 0,
		.userspace_addr = (unsigned long)hva,
	};

	CALL(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);
}

#define LEAF1_TSC_DEADLINE	(1U << 24)

u32 hv_cpuid_get(struct keel_cpuid_entry *entries, u32 room)
{
	u32 i;

	cpuid.head.nent = 256;
	CALL(dev, KVM_GET_SUPPORTED_CPUID, &cpuid);
	for (i = 0; i < cpuid.head.nent && i < room; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid.entry[i];

		entries[i] = (struct keel_cpuid_entry){
			.leaf = e->function, .index = e->index,
			.flags = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX ? KEEL_CPUID_INDEX : 0,
			.eax = e->eax, .ebx = e->ebx, .ecx = e->ecx, .edx = e->edx,
		};
		/* A capability of its own, which every launcher puts here. */
		if (e->function == 1)
			entries[i].ecx |= LEAF1_TSC_DEADLINE;
	}
	return i;
}

void hv_cpuid_set(struct hv_vm *vm, struct keel_cpuid_entry *entries, u32 nr)
{
	u32 i;

	cpuid.head.nent = nr;
	for (i = 0; i < nr; i++) {
		const struct keel_cpuid_entry *e = &entries[i];

		cpuid.entry[i] = (struct kvm_cpuid_entry2){
			.function = e->leaf, .index = e->index,
			.flags = e->flags & KEEL_CPUID_INDEX ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = e->eax, .ebx = e->ebx, .ecx = e->ecx, .edx = e->edx,
		};
	}
}

void hv_vcpu_create(struct hv_vm *vm, struct hv_vcpu *v, u32 id)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

	*v = (struct hv_vcpu){ .vm = vm, .id = id };
	v->fd = CALL(vm->fd, KVM_CREATE_VCPU, id);
	v->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		die("run page: %s", strerror(errno));
	if (cpuid.head.nent)
		CALL(v->fd, KVM_SET_CPUID2, &cpuid);
	/* The others would wait for a start-up IPI. */
	if (id && vm->irqchip)
		CALL(v->fd, KVM_SET_MP_STATE, &mp);
}

void hv_vcpu_destroy(struct hv_vcpu *v)
{
	munmap(v->run, run_size);
	close(v->fd);
}

/* ---- state ---- */

static struct kvm_segment to_kvm(const struct keel_segment *s)
{
	return (struct kvm_segment){
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.type = s->attr & 15, .s = s->attr >> 4 & 1, .dpl = s->attr >> 5 & 3,
		.present = s->attr >> 7 & 1, .avl = s->attr >> 12 & 1, .l = s->attr >> 13 & 1,
		.db = s->attr >> 14 & 1, .g = s->attr >> 15 & 1, .unusable = !(s->attr & 0x80),
	};
}

static struct keel_segment from_kvm(const struct kvm_segment *s)
{
	return (struct keel_segment){
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.attr = s->type | s->s << 4 | s->dpl << 5 |
			(s->present && !s->unusable) << 7 | s->avl << 12 | s->l << 13 |
			s->db << 14 | s->g << 15,
	};
}

/* In the order of Keel's segments */
static struct kvm_segment *segment(struct kvm_sregs *s, u32 i)
{
	struct kvm_segment *all[] = { &s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs, &s->tr,
				      &s->ldt };

	return all[i];
}

void hv_sregs_get(struct hv_vcpu *v, struct keel_sregs *sregs)
{
	struct kvm_sregs s;
	u32 i;

	CALL(v->fd, KVM_GET_SREGS, &s);
	*sregs = (struct keel_sregs){
		.gdt = { .base = s.gdt.base, .limit = s.gdt.limit },
		.idt = { .base = s.idt.base, .limit = s.idt.limit },
		.cr0 = s.cr0, .cr2 = s.cr2, .cr3 = s.cr3, .cr4 = s.cr4, .cr8 = s.cr8,
		.efer = s.efer, .apic_base = s.apic_base,
	};
	for (i = 0; i < KEEL_SREG_NR; i++)
		sregs->seg[i] = from_kvm(segment(&s, i));
}

void hv_sregs_set(struct hv_vcpu *v, const struct keel_sregs *sregs)
{
	struct kvm_sregs s = {
		.gdt = { .base = sregs->gdt.base, .limit = sregs->gdt.limit },
		.idt = { .base = sregs->idt.base, .limit = sregs->idt.limit },
		.cr0 = sregs->cr0, .cr2 = sregs->cr2, .cr3 = sregs->cr3, .cr4 = sregs->cr4,
		.cr8 = sregs->cr8, .efer = sregs->efer, .apic_base = sregs->apic_base,
	};
	u32 i;

	for (i = 0; i < KEEL_SREG_NR; i++)
		*segment(&s, i) = to_kvm(&sregs->seg[i]);
	CALL(v->fd, KVM_SET_SREGS, &s);
}

void hv_regs_set(struct hv_vcpu *v, const struct keel_regs *r)
{
	struct kvm_regs k = {
		.rax = r->gpr[0], .rcx = r->gpr[1], .rdx = r->gpr[2], .rbx = r->gpr[3],
		.rsp = r->gpr[4], .rbp = r->gpr[5], .rsi = r->gpr[6], .rdi = r->gpr[7],
		.r8 = r->gpr[8], .r9 = r->gpr[9], .r10 = r->gpr[10], .r11 = r->gpr[11],
		.r12 = r->gpr[12], .r13 = r->gpr[13], .r14 = r->gpr[14], .r15 = r->gpr[15],
		.rip = r->rip, .rflags = r->rflags,
	};

	CALL(v->fd, KVM_SET_REGS, &k);
}

void hv_regs_get(struct hv_vcpu *v, struct keel_regs *r)
{
	struct kvm_regs k;

	CALL(v->fd, KVM_GET_REGS, &k);
	*r = (struct keel_regs){
		.gpr = { k.rax, k.rcx, k.rdx, k.rbx, k.rsp, k.rbp, k.rsi, k.rdi, k.r8, k.r9,
			 k.r10, k.r11, k.r12, k.r13, k.r14, k.r15 },
		.rip = k.rip, .rflags = k.rflags,
	};
}

void hv_describe(struct hv_vcpu *v, char *text, size_t size)
{
	const struct kvm_run *run = v->run;

	snprintf(text, size, "exit %u", run->exit_reason);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(text, size, "internal error %u", run->internal.suberror);
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		snprintf(text, size, "entry failed: %#llx",
			 run->fail_entry.hardware_entry_failure_reason);
}

/* ---- running ---- */

enum hv_exit hv_run(struct hv_vcpu *v)
{
	struct kvm_run *run = v->run;
	long ret = hv_syscall(SYS_ioctl, v->fd, KVM_RUN, 0);

	if (__builtin_expect(ret, 0)) {
		if (ret == -EINTR) {
			run->immediate_exit = 0;
			return HV_KICKED;
		}
		die("KVM_RUN: %s", strerror(-ret));
	}
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		v->addr = run->io.port;
		v->size = run->io.size;
		v->write = run->io.direction;
		v->data = (char *)run + run->io.data_offset;
		return HV_PIO;
	case KVM_EXIT_MMIO:
		v->addr = run->mmio.phys_addr;
		v->size = run->mmio.len;
		v->write = run->mmio.is_write;
		v->data = run->mmio.data;
		return HV_MMIO;
	case KVM_EXIT_HLT:
		return HV_HLT;
	case KVM_EXIT_SHUTDOWN:
		return HV_SHUTDOWN;
	}
	return HV_OTHER;
}

void hv_thread(struct hv_vcpu *v)
{
	v->tid = hv_syscall(SYS_gettid, 0, 0, 0);
}

/* As launchers do it: the flag is for a thread that is not in the call yet. */
void hv_kick(struct hv_vcpu *v)
{
	struct kvm_run *run = v->run;

	*(volatile __u8 *)&run->immediate_exit = 1;
	hv_syscall(SYS_tkill, v->tid, SIGUSR1, 0);
}

void hv_kick_self(struct hv_vcpu *v)
{
	struct kvm_run *run = v->run;

	run->immediate_exit = 1;
}

void hv_pause(struct hv_vm *vm)
{
}

void hv_resume(struct hv_vm *vm)
{
}

void hv_ioeventfd(struct hv_vm *vm, u64 addr, u32 len, bool pio, int fd)
{
	struct kvm_ioeventfd arg = {
		.flags = pio ? KVM_IOEVENTFD_FLAG_PIO : 0, .addr = addr, .len = len, .fd = fd,
	};

	CALL(vm->fd, KVM_IOEVENTFD, &arg);
}

void hv_irq_line(struct hv_vm *vm, u32 gsi, bool level)
{
	struct kvm_irq_level arg = { .irq = gsi, .level = level };

	hv_syscall(SYS_ioctl, vm->fd, KVM_IRQ_LINE, (long)&arg);
}

/* KVM's binary statistics: what a vCPU counts. */
void hv_stats(struct hv_vm *vm, struct hv_vcpu *v, void (*line)(const char *name, u64 value))
{
	struct kvm_stats_header head;
	static char descs[65536], values[65536];
	struct kvm_stats_desc *d;
	size_t one;
	int fd = CALL(v->fd, KVM_GET_STATS_FD, 0);
	u32 i;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head))
		die("statistics: %s", strerror(errno));
	one = sizeof(*d) + head.name_size;
	if (head.num_desc * one > sizeof(descs) ||
	    pread(fd, descs, head.num_desc * one, head.desc_offset) < 0 ||
	    pread(fd, values, sizeof(values), head.data_offset) < 0)
		die("statistics: %s", strerror(errno));
	close(fd);
	for (i = 0; i < head.num_desc; i++) {
		d = (void *)(descs + i * one);
		if (d->size == 1)
			line(d->name, *(u64 *)(values + d->offset));
	}
}
