/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The SVM world switch: general registers in, VMRUN, general registers out,
 * and the speculation barriers on both sides.  It must not know why the guest
 * left: that is in the VMCB.
 */
#include "core/compat_asm.h"

/* struct svm_switch, asserted in svm.h */
#define SW_VMCB_PA		0
#define SW_HOST_PA		8
#define SW_GUEST_SPEC_CTRL	16
#define SW_HOST_SPEC_CTRL	20
#define SW_SWITCH_SPEC_CTRL	24
#define SW_FAULTED		25

#define MSR_SPEC_CTRL		0x48

/* Offsets in the register array: hardware encoding order, RAX and RSP are the VMCB's. */
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
 * void svm_switch_to_guest(struct svm_switch *sw, u64 *gpr)
 *
 * IRQs are off.  GIF is clear from before the guest's SPEC_CTRL is loaded until
 * the host's GS base is back: an NMI in between would run on the guest's.
 */
SYM_FUNC_START(svm_switch_to_guest)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi				/* 8(%rsp): gpr */
	push	%rdi				/* 0(%rsp): sw */

1:	clgi
	cmpb	$0, SW_SWITCH_SPEC_CTRL(%rdi)
	jne	.Lguest_spec_ctrl
.Lguest_ready:
	mov	SW_VMCB_PA(%rdi), %rax
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

	VM_CLEAR_CPU_BUFFERS
	/* With V_INTR_MASKING it is the host's IF that lets interrupts end the guest. */
	sti
2:	vmload	%rax
3:	vmrun	%rax
4:	cli
5:	vmsave	%rax				/* VMRUN brought RAX back */

6:	mov	8(%rsp), %rax
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

	pop	%rdi
	mov	SW_HOST_PA(%rdi), %rax
7:	vmload	%rax				/* the host's FS, GS, TR, LDTR, syscall MSRs */

	/*
	 * The guest's values must not steer the host's speculation: clear what
	 * survives to the callers.  RBX, RBP, R12-R15 are popped below.
	 */
8:	xor	%esi, %esi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	cmpb	$0, SW_SWITCH_SPEC_CTRL(%rdi)
	jne	.Lhost_spec_ctrl
.Lhost_ready:
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	KEEL_UNTRAIN_RET
	xor	%ecx, %ecx
	xor	%edx, %edx
9:	stgi
10:	pop	%rsi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

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

	/*
	 * An SVM instruction faulted: somebody switched SVM off under us, which
	 * only an emergency restart does.  Note it and go on behind it.
	 */
.Lvmrun_faulted:
	cli
	mov	(%rsp), %rax
	movb	$1, SW_FAULTED(%rax)
	jmp	6b

	_ASM_EXTABLE(1b, .Lguest_ready)
	_ASM_EXTABLE(2b, .Lvmrun_faulted)
	_ASM_EXTABLE(3b, .Lvmrun_faulted)
	_ASM_EXTABLE(5b, 6b)
	_ASM_EXTABLE(7b, 8b)
	_ASM_EXTABLE(9b, 10b)
SYM_FUNC_END(svm_switch_to_guest)
STACK_FRAME_NON_STANDARD_FP svm_switch_to_guest
