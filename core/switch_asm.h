/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The half of a world switch that is the same for every vendor: the frame of
 * the function around it, the guest's general registers in and out, and the
 * clearing of what a guest left in them.  It must not know an instruction that
 * enters a guest.
 */
#ifndef KEEL_CORE_SWITCH_ASM_H
#define KEEL_CORE_SWITCH_ASM_H

#include "core/compat_asm.h"

#define MSR_SPEC_CTRL	0x48

/* Offsets in the register array: hardware encoding order, RSP is the control block's. */
#define G_RAX	(0 * 8)
#define G_RCX	(1 * 8)
#define G_RDX	(2 * 8)
#define G_RBX	(3 * 8)
#define G_RBP	(5 * 8)
#define G_RSI	(6 * 8)
#define G_RDI	(7 * 8)
#define G_R8	(8 * 8)
#define G_R9	(9 * 8)
#define G_R10	(10 * 8)
#define G_R11	(11 * 8)
#define G_R12	(12 * 8)
#define G_R13	(13 * 8)
#define G_R14	(14 * 8)
#define G_R15	(15 * 8)

/* fn(sw, gpr): then 0(%rsp) is sw and 8(%rsp) gpr. */
.macro SWITCH_ENTER_FRAME
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi
	push	%rdi
.endm

/* When sw is popped already. */
.macro SWITCH_LEAVE_FRAME
	pop	%rsi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
.endm

/* From the array at RSI, which goes last; RAX and RSP are the caller's.  Keeps the flags. */
.macro SWITCH_LOAD_GUEST
	mov	G_RCX(%rsi), %rcx
	mov	G_RDX(%rsi), %rdx
	mov	G_RBX(%rsi), %rbx
	mov	G_RBP(%rsi), %rbp
	mov	G_RDI(%rsi), %rdi
	mov	G_R8(%rsi), %r8
	mov	G_R9(%rsi), %r9
	mov	G_R10(%rsi), %r10
	mov	G_R11(%rsi), %r11
	mov	G_R12(%rsi), %r12
	mov	G_R13(%rsi), %r13
	mov	G_R14(%rsi), %r14
	mov	G_R15(%rsi), %r15
	mov	G_RSI(%rsi), %rsi
.endm

/* Into the array at RAX; RAX itself and RSP are the caller's. */
.macro SWITCH_SAVE_GUEST
	mov	%rcx, G_RCX(%rax)
	mov	%rdx, G_RDX(%rax)
	mov	%rbx, G_RBX(%rax)
	mov	%rbp, G_RBP(%rax)
	mov	%rsi, G_RSI(%rax)
	mov	%rdi, G_RDI(%rax)
	mov	%r8, G_R8(%rax)
	mov	%r9, G_R9(%rax)
	mov	%r10, G_R10(%rax)
	mov	%r11, G_R11(%rax)
	mov	%r12, G_R12(%rax)
	mov	%r13, G_R13(%rax)
	mov	%r14, G_R14(%rax)
	mov	%r15, G_R15(%rax)
.endm

/*
 * The guest's values must not steer the host's speculation.  RAX, RCX and RDX
 * are written on the way out, RDI is sw; RBX the caller clears or uses.
 */
.macro SWITCH_CLEAR_GUEST
	xor	%esi, %esi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%ebp, %ebp
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
.endm

/* Writes the 32 bits at @at.  Clobbers RAX, RCX and RDX. */
.macro SWITCH_WRITE_SPEC_CTRL at:req
	mov	\at, %eax
	xor	%edx, %edx
	mov	$MSR_SPEC_CTRL, %ecx
	wrmsr
.endm

#endif /* KEEL_CORE_SWITCH_ASM_H */
