/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The boot sector of the lab's Bochs hosts.
 *
 * A boot CD and its loader cost such a host a second of wall time, and the
 * kernel's own decompressor one to eight more, at every start. So the kernel
 * comes unpacked, as it stands in memory; the disk's DMA brings it to its place
 * while the CPU is halted, which costs nothing; and it is entered by the 64-bit
 * boot protocol. lab/bochs-disk lays out the two disks, in sectors:
 *
 *   first disk    0-1   this; its last 8 bytes are the kernel's entry point and
 *                       its size in sectors
 *                 2-9   boot_params with the kernel's setup header
 *                 10-   the kernel
 *   second disk   0-7   the size of the initramfs (4 bytes), the command line,
 *                       a setup_data node with a seed for random numbers
 *                 8-    the initramfs
 *
 * No error is handled: a host that does not start runs into its deadline.
 */
#define PARAMS		0x10000
#define RUN_PAGE	0x20000
#define CMDLINE		(RUN_PAGE + 4)
#define PAGE_TABLES	0x30000
#define E820		0x9000
#define KERNEL		0x1000000	/* where Debian links it */
#define INITRD		0xc000000	/* the kernel and its .bss end below */

#define FIRST_DISK	0xe0
#define SECOND_DISK	0xf0

	.section .text
	.code16
	.globl	_start
_start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp

	inb	$0x92, %al		/* the A20 line */
	orb	$2, %al
	outb	%al, $0x92

	movw	$0x0201, %ax		/* the second sector, behind this one */
	movw	$second_sector, %bx
	movw	$0x0002, %cx
	movw	$0x0080, %dx
	int	$0x13

	/* The BIOS' memory map; its entries are those of boot_params. */
	xorl	%ebx, %ebx
	movw	$E820, %di
1:	movl	$0xe820, %eax
	movl	$0x534d4150, %edx
	movl	$20, %ecx
	int	$0x15
	jc	2f
	addw	$20, %di
	testl	%ebx, %ebx
	jnz	1b
2:	movw	%di, e820_end

	/* Bus master registers: BAR 4 of the IDE function of the PIIX3. */
	movl	$0x80000920, %eax
	movw	$0xcf8, %dx
	outl	%eax, %dx
	movb	$0xfc, %dl
	inw	%dx, %ax
	andb	$0xf0, %al
	movw	%ax, bus_master

	movb	$FIRST_DISK, %bl
	movl	$2, %ebp
	movl	$8, %esi
	movl	$PARAMS, %edi
	call	read
	movl	kernel_sectors, %esi
	movl	$KERNEL, %edi
	call	read

	movb	$SECOND_DISK, %bl
	xorl	%ebp, %ebp
	movl	$8, %esi
	movl	$RUN_PAGE, %edi
	call	read
	movw	$RUN_PAGE >> 4, %ax
	movw	%ax, %ds
	movl	0, %esi
	xorw	%ax, %ax
	movw	%ax, %ds
	movl	%esi, initrd_size
	addl	$511, %esi
	shrl	$9, %esi
	movl	$INITRD, %edi
	call	read

	cli
	lgdt	gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x08, $protected

/*
 * Read %esi sectors of disk %bl to physical address %edi, from sector %ebp on;
 * %ebp and %edi advance. 64 KiB a command, which %edi is aligned to.
 */
read:
	movl	$128, %ecx
	cmpl	%ecx, %esi
	jae	1f
	movl	%esi, %ecx
1:	jecxz	3f
	movl	%ecx, %eax
	shll	$9, %eax
	movl	%edi, prd
	movw	%ax, prd + 4
	addl	%eax, %edi

	movw	bus_master, %dx
	addw	$2, %dx
	movb	$0x06, %al		/* clear interrupt and error */
	outb	%al, %dx
	addw	$2, %dx
	movl	$prd, %eax
	outl	%eax, %dx

	movw	$0x1f2, %dx
	movb	%cl, %al
	outb	%al, %dx
	movl	%ebp, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	incw	%dx
	outb	%al, %dx
	movb	%bl, %al
	incw	%dx
	outb	%al, %dx
	incw	%dx
	movb	$0xc8, %al		/* READ DMA */
	outb	%al, %dx
	movw	bus_master, %dx
	movb	$0x09, %al		/* start, to memory */
	outb	%al, %dx

	addl	%ecx, %ebp
	subl	%ecx, %esi
	addw	$2, %dx
2:	sti
	hlt
	cli
	inb	%dx, %al
	testb	$0x04, %al		/* the drive's interrupt */
	jz	2b
	subw	$2, %dx
	xorb	%al, %al
	outb	%al, %dx
	movw	$0x1f7, %dx
	inb	%dx, %al
	jmp	read
3:	ret

	.org	510
	.word	0xaa55
second_sector:

	.code32
protected:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss

	movl	initrd_size, %eax
	movl	%eax, PARAMS + 0x21c	/* ramdisk_size */
	movl	$INITRD, PARAMS + 0x218	/* ramdisk_image */
	movl	$CMDLINE, PARAMS + 0x228 /* cmd_line_ptr */
	movb	$0xff, PARAMS + 0x210	/* type_of_loader: no known one */
	movl	$E820, %esi
	movl	$PARAMS + 0x2d0, %edi	/* e820_table */
	movzwl	e820_end, %ecx
	subl	%esi, %ecx
	movl	%ecx, %eax
	rep movsb
	movb	$20, %cl
	divb	%cl
	movb	%al, PARAMS + 0x1e8	/* e820_entries */

	/* The first GiB, mapped to itself in pages of 2 MiB. */
	movl	$PAGE_TABLES, %edi
	movl	%edi, %cr3
	xorl	%eax, %eax
	movl	$3 * 4096 / 4, %ecx
	rep stosl
	movl	$PAGE_TABLES + 0x1003, PAGE_TABLES
	movl	$PAGE_TABLES + 0x2003, PAGE_TABLES + 0x1000
	subl	$4096, %edi
	movl	$0x83, %eax
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	cmpl	$0x40000000, %eax
	jb	1b

	movl	%cr4, %eax
	orb	$0x20, %al		/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* EFER */
	rdmsr
	orb	$1, %ah			/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax	/* PG */
	movl	%eax, %cr0
	ljmp	$0x10, $long_mode

	.code64
long_mode:
	movl	$PARAMS, %esi
	movl	kernel_entry, %eax
	jmp	*%rax

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* 0x08: 32-bit code */
	.quad	0x00af9b000000ffff	/* 0x10: 64-bit code, as Linux has it */
	.quad	0x00cf93000000ffff	/* 0x18: data */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt
	.balign	4
prd:	.long	0			/* physical region: address, bytes, last */
	.long	0x80000000
initrd_size:
	.long	0
e820_end:
	.word	0
bus_master:
	.word	0

	.org	1016
kernel_entry:
	.long	0
kernel_sectors:
	.long	0
