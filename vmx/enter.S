/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMX world switch: general registers in, VMLAUNCH or VMRESUME, general
 * registers out, and the speculation barriers on both sides.  It must not know
 * why the guest left: that is in the VMCS.
 */
#include <asm/unwind_hints.h>
#include "core/compat_asm.h"

/* struct vmx_switch, asserted in vmx.h */
#define SW_HOST_RSP		0
#define SW_GUEST_SPEC_CTRL	8
#define SW_HOST_SPEC_CTRL	12
#define SW_LAUNCHED		16
#define SW_SWITCH_SPEC_CTRL	17

#define VMX_HOST_RSP		0x6c14
#define MSR_SPEC_CTRL		0x48

/* Offsets in the register array: hardware encoding order, RSP is the VMCS's. */
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

.section .noinstr.text, "ax"

/*
 * int vmx_switch_to_guest(struct vmx_switch *sw, u64 *gpr)
 *
 * IRQs are off.  Returns 0 after a VM exit, 1 when the instruction itself failed
 * (or faulted, because VMX was switched off).
 */
SYM_FUNC_START(vmx_switch_to_guest)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi				/* 8(%rsp): gpr */
	push	%rdi				/* 0(%rsp): sw */

	/* The stack is the same from one RUN to the next, mostly. */
	cmp	%rsp, SW_HOST_RSP(%rdi)
	je	.Lrsp_ready
	mov	%rsp, SW_HOST_RSP(%rdi)
	mov	$VMX_HOST_RSP, %eax
1:	vmwrite	%rsp, %rax
.Lrsp_ready:
	cmpb	$0, SW_SWITCH_SPEC_CTRL(%rdi)
	jne	.Lguest_spec_ctrl
.Lguest_ready:
	/* CF says which instruction; MOV keeps it and VERW changes ZF alone. */
	btw	$0, SW_LAUNCHED(%rdi)
	mov	G_RAX(%rsi), %rax
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

	CLEAR_CPU_BUFFERS
	jnc	.Llaunch
	/* The exit goes on at vmx_exit_entry with this stack: tell the unwinder. */
	UNWIND_HINT_SAVE
2:	vmresume
	jmp	.Lfailed
.Llaunch:
3:	vmlaunch
	jmp	.Lfailed

SYM_INNER_LABEL(vmx_exit_entry, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR

	push	%rax
	mov	16(%rsp), %rax
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
	pop	G_RAX(%rax)
	xor	%ebx, %ebx			/* the return value */

.Lhost:
	pop	%rdi
	/* The guest's values must not steer the host's speculation. */
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

	/* Before anything that returns: a RET must not be predicted by the guest. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT,\
			   X86_FEATURE_RSB_VMEXIT_LITE
	cmpb	$0, SW_SWITCH_SPEC_CTRL(%rdi)
	jne	.Lhost_spec_ctrl
.Lhost_ready:
	/* Nor may it be predicted that SPEC_CTRL is not written. */
	ALTERNATIVE "", "lfence", X86_FEATURE_MSR_SPEC_CTRL
	CLEAR_BRANCH_HISTORY_VMEXIT
	mov	%ebx, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	pop	%rsi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lfailed:
	mov	$1, %ebx
	jmp	.Lhost

.Lguest_spec_ctrl:
	mov	SW_GUEST_SPEC_CTRL(%rdi), %eax
	xor	%edx, %edx
	mov	$MSR_SPEC_CTRL, %ecx
	wrmsr
	jmp	.Lguest_ready

.Lhost_spec_ctrl:
	mov	SW_HOST_SPEC_CTRL(%rdi), %eax
	xor	%edx, %edx
	mov	$MSR_SPEC_CTRL, %ecx
	wrmsr
	jmp	.Lhost_ready

	_ASM_EXTABLE(1b, .Lrsp_ready)
	_ASM_EXTABLE(2b, .Lfailed)
	_ASM_EXTABLE(3b, .Lfailed)
SYM_FUNC_END(vmx_switch_to_guest)
STACK_FRAME_NON_STANDARD_FP vmx_switch_to_guest
