// SPDX-License-Identifier: GPL-2.0
/*
 * The 64-bit Linux boot protocol. Low memory as the kernel finds it:
 *
 *	0x01000	GDT
 *	0x07000	boot_params ("zero page")
 *	0x09000	identity page tables of the first 4 GiB
 *	0x20000	command line
 *	0x9fc00	end of the RAM below 640 KiB
 *	0xe0000	ACPI tables (acpi.h)
 *
 * The kernel's 64-bit part goes to the address it prefers, the initrd as high
 * as the kernel can reach. It must not know a VM, a file or a device.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <asm/bootparam.h>

#include "acpi.h"
#include "boot_linux.h"

#define GDT_GPA		0x1000
#define ZEROPAGE_GPA	0x7000
#define PAGETABLE_GPA	0x9000
#define CMDLINE_GPA	0x20000
#define CMDLINE_ROOM	0x10000
#define STACK_GPA	0x7000	/* grows down from the zero page */
#define LOWMEM_END	0x9fc00
#define BIOS_END	0x100000

#define SETUP_HEADER	0x1f1
#define BOOT_FLAG	0xaa55
#define HEADER_MAGIC	0x53726448	/* "HdrS" */
#define MIN_VERSION	0x020c		/* the first with xloadflags */
#define RSDP_VERSION	0x020e		/* the first with acpi_rsdp_addr */
#define SECTOR		512
#define ENTRY_64	0x200
#define LOADER_UNKNOWN	0xff
#define VID_MODE_NORMAL	0xffff

#define BOOT_CS		0x10
#define BOOT_DS		0x18

#define CR0_PE		BIT(0)
#define CR0_ET		BIT(4)
#define CR0_PG		BIT(31)
#define CR4_PAE		BIT(5)
#define EFER_LME	BIT(8)
#define EFER_LMA	BIT(10)
#define RFLAGS_FIXED	BIT(1)

#define PTE_PRESENT	BIT(0)
#define PTE_WRITE	BIT(1)
#define PTE_HUGE	BIT(7)

/* What is being put together, and where the pieces went. */
struct loader {
	const struct boot_linux *boot;
	const struct memory *mem;
	struct setup_header hdr;
	u64 kernel_gpa, kernel_end;
	u64 initrd_gpa;
	char *why;
	size_t why_size;
};

static int __printf(2, 3) refuse(struct loader *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->why, l->why_size, fmt, ap);
	va_end(ap);
	return -1;
}

/* The setup header, checked; fields that the image is too old for are zero. */
static int read_header(struct loader *l)
{
	const struct blob *k = &l->boot->kernel;
	size_t len;

	if (k->len < SETUP_HEADER + sizeof(l->hdr))
		return refuse(l, "the kernel is no bzImage: it is too short");
	/* The byte at 0x201 is the offset of the header's end from 0x202. */
	len = 0x202 - SETUP_HEADER + k->data[0x201];
	if (len > sizeof(l->hdr))
		len = sizeof(l->hdr);
	memcpy(&l->hdr, k->data + SETUP_HEADER, len);
	if (l->hdr.boot_flag != BOOT_FLAG || l->hdr.header != HEADER_MAGIC)
		return refuse(l, "the kernel is no bzImage: give one like /boot/vmlinuz-*");
	if (l->hdr.version < MIN_VERSION || !(l->hdr.xloadflags & XLF_KERNEL_64))
		return refuse(l, "a kernel without 64-bit entry (boot protocol %u.%u)",
			      l->hdr.version >> 8, l->hdr.version & 0xff);
	return 0;
}

static int place_kernel(struct loader *l)
{
	const struct blob *k = &l->boot->kernel;
	u64 setup = (l->hdr.setup_sects ? l->hdr.setup_sects + 1 : 5) * SECTOR;
	u64 need;
	void *to;

	if (k->len <= setup)
		return refuse(l, "the kernel image is cut short");
	l->kernel_gpa = l->hdr.pref_address;
	need = l->hdr.init_size > k->len - setup ? l->hdr.init_size : k->len - setup;
	l->kernel_end = l->kernel_gpa + need;
	if (l->kernel_gpa < BIOS_END || l->kernel_end < l->kernel_gpa)
		return refuse(l, "the kernel asks for an impossible load address (%#llx)",
			      l->kernel_gpa);
	if (!memory_at(l->mem, l->kernel_gpa, need))
		return refuse(l, "the kernel unpacks up to MiB %llu: give more memory with -m",
			      (l->kernel_end + MIB(1) - 1) >> 20);
	to = memory_at(l->mem, l->kernel_gpa, k->len - setup);
	memcpy(to, k->data + setup, k->len - setup);
	return 0;
}

static int place_initrd(struct loader *l)
{
	const struct blob *rd = &l->boot->initrd;
	u64 top = (u64)l->hdr.initrd_addr_max + 1;

	if (!rd->len)
		return 0;
	if (top > l->mem->low)
		top = l->mem->low;
	if (rd->len > top || align_down(top - rd->len, 4096) < l->kernel_end)
		return refuse(l, "the initrd (%zu MiB) does not fit: give more memory with -m",
			      (rd->len >> 20) + 1);
	l->initrd_gpa = align_down(top - rd->len, 4096);
	memcpy(memory_at(l->mem, l->initrd_gpa, rd->len), rd->data, rd->len);
	return 0;
}

static int place_cmdline(struct loader *l)
{
	size_t len = strlen(l->boot->cmdline);
	size_t max = l->hdr.cmdline_size < CMDLINE_ROOM - 1 ? l->hdr.cmdline_size :
							      CMDLINE_ROOM - 1;

	if (len > max)
		return refuse(l, "the command line has %zu bytes, the kernel takes %zu", len, max);
	memcpy(memory_at(l->mem, CMDLINE_GPA, len + 1), l->boot->cmdline, len + 1);
	return 0;
}

static void add_e820(struct boot_params *bp, u64 start, u64 end, u32 type)
{
	if (start >= end)
		return;
	bp->e820_table[bp->e820_entries++] = (struct boot_e820_entry){
		.addr = start, .size = end - start, .type = type,
	};
}

#define E820_RAM	1
#define E820_RESERVED	2

static void place_zeropage(struct loader *l)
{
	struct boot_params *bp = memory_at(l->mem, ZEROPAGE_GPA, sizeof(*bp));
	const struct blob *rd = &l->boot->initrd;

	memset(bp, 0, sizeof(*bp));
	bp->hdr = l->hdr;
	bp->hdr.type_of_loader = LOADER_UNKNOWN;
	bp->hdr.loadflags |= LOADED_HIGH;
	bp->hdr.vid_mode = VID_MODE_NORMAL;
	bp->hdr.cmd_line_ptr = CMDLINE_GPA;
	bp->hdr.ramdisk_image = l->initrd_gpa;
	bp->hdr.ramdisk_size = rd->len;
	bp->ext_ramdisk_size = (u64)rd->len >> 32;
	if (l->hdr.version >= RSDP_VERSION)
		bp->acpi_rsdp_addr = l->boot->rsdp;

	add_e820(bp, 0, LOWMEM_END, E820_RAM);
	add_e820(bp, LOWMEM_END, 0xa0000, E820_RESERVED);
	add_e820(bp, ACPI_GPA, BIOS_END, E820_RESERVED);
	add_e820(bp, BIOS_END, l->mem->low, E820_RAM);
	add_e820(bp, MEMORY_HIGH, MEMORY_HIGH + l->mem->high, E820_RAM);
}

/* One table of each upper level, four of 2 MiB pages: the first 4 GiB. */
static void place_pagetables(const struct memory *mem)
{
	u64 *pml4 = memory_at(mem, PAGETABLE_GPA, 6 * 4096);
	u64 *pdpt = pml4 + 512, *pd = pdpt + 512;

	memset(pml4, 0, 6 * 4096);
	pml4[0] = (PAGETABLE_GPA + 4096) | PTE_PRESENT | PTE_WRITE;
	for (unsigned int i = 0; i < 4; i++)
		pdpt[i] = (PAGETABLE_GPA + (2 + i) * 4096) | PTE_PRESENT | PTE_WRITE;
	for (u64 i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | PTE_PRESENT | PTE_WRITE | PTE_HUGE;
}

static struct keel_segment flat(u16 selector, u16 attr)
{
	return (struct keel_segment){ .limit = 0xffffffff, .selector = selector, .attr = attr };
}

/* The descriptor in memory from the register's hidden part (flat segments only). */
static u64 descriptor(const struct keel_segment *s)
{
	return 0x000f00000000ffffULL | (u64)s->attr << 40;
}

static void place_gdt(const struct memory *mem, struct keel_sregs *s)
{
	u64 *gdt = memory_at(mem, GDT_GPA, 4 * sizeof(*gdt));

	memset(gdt, 0, 4 * sizeof(*gdt));
	gdt[BOOT_CS / 8] = descriptor(&s->seg[KEEL_SREG_CS]);
	gdt[BOOT_DS / 8] = descriptor(&s->seg[KEEL_SREG_DS]);
	s->gdt = (struct keel_dtable){ .base = GDT_GPA, .limit = 4 * sizeof(*gdt) - 1 };
	/* The kernel loads its own before it allows an interrupt. */
	s->idt = (struct keel_dtable){ 0 };
}

static void cpu_state(const struct loader *l, struct keel_regs *r, struct keel_sregs *s)
{
	const struct keel_segment code = flat(BOOT_CS, 0xb | KEEL_ATTR_S | KEEL_ATTR_P |
					      KEEL_ATTR_L | KEEL_ATTR_G);
	const struct keel_segment data = flat(BOOT_DS, 0x3 | KEEL_ATTR_S | KEEL_ATTR_P |
					      KEEL_ATTR_DB | KEEL_ATTR_G);

	for (unsigned int i = KEEL_SREG_ES; i <= KEEL_SREG_GS; i++)
		s->seg[i] = i == KEEL_SREG_CS ? code : data;
	/* A busy 64-bit TSS is what every CPU accepts; nobody uses it. */
	s->seg[KEEL_SREG_TR] = (struct keel_segment){ .limit = 0xffff,
						      .attr = 0xb | KEEL_ATTR_P };
	s->seg[KEEL_SREG_LDTR] = (struct keel_segment){ .attr = 0 };
	s->cr0 = CR0_PE | CR0_ET | CR0_PG;
	s->cr2 = 0;
	s->cr3 = PAGETABLE_GPA;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;

	memset(r, 0, sizeof(*r));
	r->rip = l->kernel_gpa + ENTRY_64;
	r->rflags = RFLAGS_FIXED;
	r->gpr[KEEL_GPR_RSI] = ZEROPAGE_GPA;
	r->gpr[KEEL_GPR_RSP] = STACK_GPA;
}

int boot_linux_load(const struct boot_linux *boot, const struct memory *mem,
		    struct keel_regs *regs, struct keel_sregs *sregs,
		    char *why, size_t why_size)
{
	struct loader l = { .boot = boot, .mem = mem, .why = why, .why_size = why_size };

	if (mem->low < MEMORY_MIN)
		return refuse(&l, "Linux needs at least %llu MiB: give more with -m",
			      MEMORY_MIN >> 20);
	if (read_header(&l) || place_kernel(&l) || place_initrd(&l) || place_cmdline(&l))
		return -1;
	place_zeropage(&l);
	place_pagetables(mem);
	cpu_state(&l, regs, sregs);
	place_gdt(mem, sregs);
	return 0;
}
