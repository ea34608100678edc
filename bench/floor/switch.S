/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The floor itself: registers in, the guest, registers out, why it left, one
 * instruction further, does anybody want this CPU, again. Everything else that a
 * hypervisor does between an exit and an entry is above this.
 */
#include <linux/linkage.h>

#define VMCB_EXIT_CODE	0x70
#define VMCB_RIP	0x578
#define SVM_EXIT_VMMCALL 0x81
#define VMCS_EXIT_REASON 0x4402
#define VMCS_LENGTH	0x440c
#define VMCS_RIP	0x681e
#define VMCS_HOST_RSP	0x6c14
#define VMCS_HOST_RIP	0x6c16
#define VMX_EXIT_VMCALL	18

#define WORK		0x0c	/* signal pending, need to reschedule */

/* The bodies of both guests are those of guest.S: a call and four more. */
.macro GUEST call
1:	\call
	rdtsc
	mov	%eax, (%rdi, %rsi, 4)
	inc	%rsi
	jnz	1b
	cpuid
	ud2
.endm

.macro LOAD base
	mov	1*8(\base), %rcx
	mov	2*8(\base), %rdx
	mov	3*8(\base), %rbx
	mov	5*8(\base), %rbp
	mov	6*8(\base), %rsi
	mov	7*8(\base), %rdi
	mov	8*8(\base), %r8
	mov	9*8(\base), %r9
	mov	10*8(\base), %r10
	mov	11*8(\base), %r11
	mov	12*8(\base), %r12
	mov	13*8(\base), %r13
	mov	14*8(\base), %r14
	mov	15*8(\base), %r15
.endm

.macro SAVE base
	mov	%rcx, 1*8(\base)
	mov	%rdx, 2*8(\base)
	mov	%rbx, 3*8(\base)
	mov	%rbp, 5*8(\base)
	mov	%rsi, 6*8(\base)
	mov	%rdi, 7*8(\base)
	mov	%r8, 8*8(\base)
	mov	%r9, 9*8(\base)
	mov	%r10, 10*8(\base)
	mov	%r11, 11*8(\base)
	mov	%r12, 12*8(\base)
	mov	%r13, 13*8(\base)
	mov	%r14, 14*8(\base)
	mov	%r15, 15*8(\base)
.endm

.macro PUSH_CALLEE
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
.endm

.macro POP_CALLEE
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
.endm

.text

SYM_CODE_START(floor_guest_intel)
	GUEST	vmcall
SYM_CODE_END(floor_guest_intel)

SYM_CODE_START(floor_guest_amd)
	GUEST	vmmcall
SYM_CODE_END(floor_guest_amd)

/* RDI, RSI: physical addresses of both VMCBs, RDX: the guest's, RCX, R8: gpr, flags */
SYM_CODE_START(floor_switch_svm)
	PUSH_CALLEE
	push	%r8			/* 32(%rsp) */
	push	%rcx			/* 24(%rsp) */
	push	%rdx			/* 16(%rsp) */
	push	%rsi			/* 8(%rsp) */
	push	%rdi			/* 0(%rsp) */
.Lsvm_enter:
	clgi
	mov	24(%rsp), %rax
	LOAD	%rax
	mov	(%rsp), %rax
	vmload	%rax
	vmrun	%rax
	vmsave	%rax
	mov	24(%rsp), %rax
	SAVE	%rax
	mov	8(%rsp), %rax
	vmload	%rax			/* FS, GS, TR, LDTR and system call MSRs */
	stgi
	mov	16(%rsp), %rdx
	cmpl	$SVM_EXIT_VMMCALL, VMCB_EXIT_CODE(%rdx)
	jne	.Lsvm_out
	addq	$3, VMCB_RIP(%rdx)
	mov	32(%rsp), %rax
	testl	$WORK, (%rax)
	jz	.Lsvm_enter
	jmp	.Lsvm_enter		/* here a hypervisor would leave; interrupts are off */
.Lsvm_out:
	add	$40, %rsp
	POP_CALLEE
	RET
SYM_CODE_END(floor_switch_svm)

/* RDI: gpr, RSI: flags. 1: VMLAUNCH failed. */
SYM_CODE_START(floor_switch_vmx)
	PUSH_CALLEE
	push	%rsi			/* 8(%rsp) */
	push	%rdi			/* 0(%rsp) */
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	mov	$VMCS_HOST_RIP, %eax
	lea	.Lvmx_exit(%rip), %rdx
	vmwrite	%rdx, %rax
	mov	%rdi, %rax
	LOAD	%rax
	mov	0*8(%rax), %rax
	vmlaunch
	mov	$1, %eax
	jmp	.Lvmx_out

.Lvmx_exit:
	push	%rax
	mov	8(%rsp), %rax
	SAVE	%rax
	pop	(%rax)
	mov	$VMCS_EXIT_REASON, %edx
	vmread	%rdx, %rdx
	cmp	$VMX_EXIT_VMCALL, %edx
	jne	.Lvmx_done
	mov	$VMCS_LENGTH, %edx
	vmread	%rdx, %rdx
	mov	$VMCS_RIP, %ecx
	vmread	%rcx, %rbx
	add	%rdx, %rbx
	vmwrite	%rbx, %rcx
	mov	8(%rsp), %rdx
	testl	$WORK, (%rdx)
	jz	.Lvmx_enter
	/* Here a hypervisor would leave; interrupts are off. */
.Lvmx_enter:
	LOAD	%rax
	mov	0*8(%rax), %rax
	vmresume
.Lvmx_done:
	xor	%eax, %eax
.Lvmx_out:
	add	$16, %rsp
	POP_CALLEE
	RET
SYM_CODE_END(floor_switch_vmx)

.section .note.GNU-stack, "", @progbits
