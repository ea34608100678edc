/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The first and the last instructions of a guest program, its exception stubs
 * and the way of a second CPU from real mode to C. The host side enters at
 * guest_entry: RAX is the function, RDI RSI RDX its arguments, RBX the CPU.
 */
#include "lib/layout.h"

	.section .text.start, "ax"
	.code64
	.globl guest_entry
guest_entry:
	cld
	pushq %rax
	pushq %rdi
	pushq %rsi
	pushq %rdx
	movl %ebx, %edi
	call guest_cpu_init
	popq %rdx
	popq %rsi
	popq %rdi
	popq %rax
	xorl %ebp, %ebp
	call *%rax
	movq %rax, %rdi
	movl $GUEST_CALL_DONE, %eax
	movl $GUEST_PORT, %edx
	outl %eax, %dx
1:	hlt
	jmp 1b

	/* A stub for each vector, 16 bytes apart; all leave the same frame. */
	.text
	.balign 16
	.globl guest_stubs
guest_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq $0
	.endif
	pushq $vector
	jmp guest_common
	.set vector, vector + 1
	.endr

guest_common:
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	call guest_trap
	.globl guest_restore
guest_restore:
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq

	/* u32 call_safe(void (*fn)(u64), u64 arg); guest_trap() comes back to
	 * guest_recover with the vector in RAX.
	 */
	.globl call_safe, guest_recover
call_safe:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	subq $8, %rsp
	movq %rsp, guest_recover_rsp
	movq %rdi, %rax
	movq %rsi, %rdi
	call *%rax
	movl $0xffff, %eax
guest_recover:
	movq guest_recover_rsp, %rsp
	movq $0, guest_recover_rsp
	addq $8, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

	/*
	 * Copied to GUEST_TRAMPOLINE; a start-up IPI begins here. The first CPU
	 * has filled in what is behind it.
	 */
	.code16
	.globl guest_trampoline, guest_trampoline_end
guest_trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl (tramp_gdt - guest_trampoline)
	movl $0x620, %eax
	movl %eax, %cr4
	movl $GUEST_TABLES, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x900, %eax
	wrmsr
	movl $0x80010033, %eax
	movl %eax, %cr0
	ljmpl $GUEST_CS64, $guest_ap
	.balign 8
tramp_gdt:
	.word GUEST_TSS(GUEST_MAX_CPUS) - 1
	.long guest_gdt
guest_trampoline_end:

	.code64
guest_ap:
	movl $GUEST_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl $1, %ebx
	lock xaddl %ebx, guest_next_cpu
	movl %ebx, %eax
	shll $16, %eax
	movl $GUEST_STACK(0), %esp
	subl %eax, %esp
	movq guest_ap_fn, %rax
	movl %ebx, %edi
	jmp guest_entry

	.data
	.balign 16
	.globl guest_gdt
guest_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* GUEST_CS64 */
	.quad 0x00cf93000000ffff	/* GUEST_DS */
	.quad 0x00cf9b000000ffff	/* GUEST_CS32 */
	.quad 0x00cff3000000ffff	/* GUEST_USER_DS */
	.quad 0x00affb000000ffff	/* GUEST_USER_CS64 */
	.quad 0, 0
	.fill GUEST_MAX_CPUS * 2, 8, 0	/* task segments: guest_cpu_init() */

	.globl guest_next_cpu, guest_ap_fn, guest_recover_rsp
	.balign 8
guest_ap_fn:
	.quad 0
guest_recover_rsp:
	.quad 0
guest_next_cpu:
	.long 1
