// SPDX-License-Identifier: GPL-2.0
/*
 * The VM that operations are measured in. It must not know which hypervisor it
 * is on, nor what is measured.
 */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "machine.h"

#define MAX_LEAVES	256

#define PTE_P		1ULL
#define PTE_W		2ULL
#define PTE_A		0x20ULL
#define PTE_D		0x40ULL
#define PTE_PS		0x80ULL

extern const char guest_start[], guest_end[];
extern const char g_fault[], g_irq[], g_wake[], g_irq_xapic[];

static struct keel_cpuid_entry leaves[MAX_LEAVES];
static u32 nr_leaves;
static u8 *ram;

void *pages(u64 len, u64 align, bool huge, bool fill)
{
	u8 *p = mmap(NULL, len + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u8 *aligned;

	if (p == MAP_FAILED)
		die("no memory for %llu bytes", len);
	aligned = (u8 *)(((unsigned long)p + align - 1) & -align);
	if (aligned > p)
		munmap(p, aligned - p);
	munmap(aligned + len, p + align - aligned);
	madvise(aligned, len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	if (fill)
		memset(aligned, 0, len);
	return aligned;
}

bool machine_on_amd(void)
{
	u32 a, b, c, d;

	__cpuid(0, a, b, c, d);
	return b == signature_AMD_ebx;
}

/* ---- what is in the guest's memory ---- */

static void put_tables(void)
{
	u64 *pml4 = (void *)(ram + GUEST_TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;
	u64 i;

	pml4[0] = (GUEST_TABLES + 0x1000) | PTE_P | PTE_W | PTE_A;
	for (i = 0; i < 4; i++)
		pdpt[i] = (GUEST_TABLES + 0x2000 + i * 0x1000) | PTE_P | PTE_W | PTE_A;
	for (i = 0; i < 2048; i++)
		pd[i] = i << 21 | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS;
}

static u64 guest_address(const char *fn)
{
	return GUEST_CODE + (fn - guest_start);
}

static void put_gate(u32 vector, const char *fn)
{
	u64 *gate = (void *)(ram + GUEST_IDT + vector * 16), at = guest_address(fn);

	gate[0] = (at & 0xffff) | (u64)GUEST_CS << 16 | 0x8e00ULL << 32 |
		  (at >> 16 & 0xffff) << 48;
	gate[1] = at >> 32;
}

static void put_ram(void)
{
	u64 *gdt = (void *)(ram + GUEST_GDT);
	u32 i;

	memcpy(ram + GUEST_CODE, guest_start, guest_end - guest_start);
	gdt[GUEST_CS / 8] = 0x00af9b000000ffffULL;
	gdt[GUEST_DS / 8] = 0x00cf93000000ffffULL;
	for (i = 0; i < 32; i++)
		put_gate(i, g_fault);
	put_gate(VEC_IRQ, g_irq);
	put_gate(VEC_WAKE, g_wake);
	put_gate(VEC_XAPIC, g_irq_xapic);
	put_tables();
}

void machine_init(void)
{
	hv_open();
	nr_leaves = hv_cpuid_get(leaves, MAX_LEAVES);
	ram = pages(GUEST_RAM, 0x200000, false, true);
	put_ram();
}

/* ---- creation ---- */

static void set_long_mode(struct keel_sregs *s)
{
	const struct keel_segment code = {
		.limit = ~0U, .selector = GUEST_CS,
		.attr = 0xb | KEEL_ATTR_S | KEEL_ATTR_P | KEEL_ATTR_L | KEEL_ATTR_G,
	};
	const struct keel_segment data = {
		.limit = ~0U, .selector = GUEST_DS,
		.attr = 0x3 | KEEL_ATTR_S | KEEL_ATTR_P | KEEL_ATTR_DB | KEEL_ATTR_G,
	};
	u32 i;

	for (i = KEEL_SREG_ES; i <= KEEL_SREG_GS; i++)
		s->seg[i] = i == KEEL_SREG_CS ? code : data;
	s->seg[KEEL_SREG_TR] = (struct keel_segment){ .limit = 0xffff, .attr = 0xb | KEEL_ATTR_P };
	s->seg[KEEL_SREG_LDTR] = (struct keel_segment){ .attr = 0 };
	s->gdt = (struct keel_dtable){ .base = GUEST_GDT, .limit = 0x1f };
	s->idt = (struct keel_dtable){ .base = GUEST_IDT, .limit = 0xfff };
	s->cr0 = 0x80000031;
	s->cr3 = GUEST_TABLES;
	s->cr4 = 0x20;
	s->efer = 0x500;
}

void machine_long_mode(struct machine *m, u32 cpu)
{
	struct keel_sregs sregs;

	hv_sregs_get(&m->cpu[cpu], &sregs);
	set_long_mode(&sregs);
	hv_sregs_set(&m->cpu[cpu], &sregs);
}

/* What needs a LAPIC: x2APIC mode and its timer's TSC-deadline mode */
#define LEAF1_OF_LAPIC	(1U << 21 | 1U << 24)

void machine_create(struct machine *m, u32 nr_cpus, unsigned int hv_flags)
{
	u32 i;

	for (i = 0; i < nr_leaves; i++)
		if (leaves[i].leaf == 1)
			leaves[i].ecx = hv_flags ? leaves[i].ecx | LEAF1_OF_LAPIC :
						   leaves[i].ecx & ~LEAF1_OF_LAPIC;

	m->ram = ram;
	m->nr_cpus = nr_cpus;
	hv_vm_create(&m->vm, hv_flags);
	hv_map(&m->vm, 0, GUEST_RAM, ram);
	hv_cpuid_set(&m->vm, leaves, nr_leaves);
	for (i = 0; i < nr_cpus; i++)
		hv_vcpu_create(&m->vm, &m->cpu[i], i);
}

void machine_new(struct machine *m, u32 nr_cpus)
{
	u32 i;

	machine_create(m, nr_cpus, HV_IRQCHIP);
	machine_count_clear(m);
	for (i = 0; i < nr_cpus; i++)
		machine_long_mode(m, i);
}

void machine_free(struct machine *m)
{
	while (m->nr_cpus)
		hv_vcpu_destroy(&m->cpu[--m->nr_cpus]);
	hv_vm_destroy(&m->vm);
}

/* ---- running ---- */

bool machine_tracing;

/*
 * Where a traced loop would store its stamp, MOV [RDI+RSI*4],EAX, it stops at
 * the debugger, XCHG BX,BX: the turn has the same number of instructions.
 */
static void set_stops(const char *fn, bool stop)
{
	static const u8 code[2][3] = { { 0x89, 0x04, 0xb7 }, { 0x66, 0x87, 0xdb } };
	u8 *p = ram + guest_address(fn), *end = p + 256;

	for (; p < end; p++) {
		if (memcmp(p, code[!stop], 3))
			continue;
		memcpy(p, code[stop], 3);
		return;
	}
}

void machine_start(struct machine *m, u32 cpu, const char *fn, u32 n, u64 r8, u64 r9, u64 r10)
{
	struct keel_regs regs = { .rip = guest_address(fn), .rflags = 2 };

	if (n > GUEST_MAX_SAMPLES)
		die("%u samples are too many", n);
	if (machine_tracing)
		set_stops(fn, n == TRACED_TURNS);
	regs.gpr[KEEL_GPR_RSP] = GUEST_STACK(cpu);
	regs.gpr[KEEL_GPR_RDI] = GUEST_SAMPLES + n * 4;
	regs.gpr[KEEL_GPR_RSI] = -(u64)n;
	regs.gpr[8] = r8;
	regs.gpr[9] = r9;
	regs.gpr[10] = r10;
	hv_regs_set(&m->cpu[cpu], &regs);
}

attribute(noreturn)
static void went_wrong(struct hv_vcpu *v)
{
	struct keel_regs regs;
	char text[128];
	u64 *stack;

	hv_describe(v, text, sizeof(text));
	hv_regs_get(v, &regs);
	stack = regs.gpr[KEEL_GPR_RSP] < GUEST_RAM - 32 ?
		(void *)(ram + regs.gpr[KEEL_GPR_RSP]) : NULL;
	die("vCPU %u: %s at code + %#llx, address %#llx, stack %#llx %#llx", v->id, text,
	    regs.rip - GUEST_CODE, v->addr, stack ? stack[0] : 0, stack ? stack[1] : 0);
}

/* The launcher of every measured exit: nothing but the way back. */
bool machine_run(struct machine *m, u32 cpu)
{
	struct hv_vcpu *v = &m->cpu[cpu];

	for (;;) {
		switch (hv_run(v)) {
		case HV_PIO:
			if (v->addr == PORT_USER) {
				if (!v->write)
					*(u8 *)v->data = 0x5a;
				break;
			}
			if (v->addr == PORT_DONE)
				return true;
			went_wrong(v);
		case HV_MMIO:
			if (!v->write)
				*(u32 *)v->data = 0x5a5a5a5a;
			break;
		case HV_KICKED:
			return false;
		default:
			went_wrong(v);
		}
	}
}

void machine_call(struct machine *m, u32 cpu, const char *fn, u32 n, u64 r8, u64 r9, u64 r10)
{
	machine_start(m, cpu, fn, n, r8, r9, r10);
	while (!machine_run(m, cpu))
		;
}

const u32 *machine_samples(struct machine *m, u32 n)
{
	return (void *)(m->ram + GUEST_SAMPLES);
}

u64 machine_count(struct machine *m, u32 where)
{
	return *(volatile u64 *)(m->ram + where);
}

void machine_count_clear(struct machine *m)
{
	memset(m->ram + COUNT_IRQ, 0, 64);
}
