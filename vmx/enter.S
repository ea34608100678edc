/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMX world switch: general registers in, VMLAUNCH or VMRESUME, general
 * registers out, and the speculation barriers on both sides.  It must not know
 * why the guest left: that is in the VMCS.
 */
#include <asm/unwind_hints.h>
#include "core/switch_asm.h"

/* struct vmx_switch, asserted in vmx.h */
#define SW_HOST_RSP		0
#define SW_GUEST_SPEC_CTRL	8
#define SW_HOST_SPEC_CTRL	12
#define SW_LAUNCHED		16
#define SW_SWITCH_SPEC_CTRL	17

#define VMX_HOST_RSP		0x6c14

.section .noinstr.text, "ax"

/*
 * int vmx_switch_to_guest(struct vmx_switch *sw, u64 *gpr)
 *
 * IRQs are off.  Returns 0 after a VM exit, 1 when the instruction itself failed
 * (or faulted, because VMX was switched off).
 */
SYM_FUNC_START(vmx_switch_to_guest)
	SWITCH_ENTER_FRAME

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
	SWITCH_LOAD_GUEST

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
	SWITCH_SAVE_GUEST
	pop	G_RAX(%rax)
	xor	%ebx, %ebx			/* the return value */

.Lhost:
	pop	%rdi
	SWITCH_CLEAR_GUEST

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
	SWITCH_LEAVE_FRAME
	RET

.Lfailed:
	mov	$1, %ebx
	jmp	.Lhost

.Lguest_spec_ctrl:
	SWITCH_WRITE_SPEC_CTRL SW_GUEST_SPEC_CTRL(%rdi)
	jmp	.Lguest_ready

.Lhost_spec_ctrl:
	SWITCH_WRITE_SPEC_CTRL SW_HOST_SPEC_CTRL(%rdi)
	jmp	.Lhost_ready

	_ASM_EXTABLE(1b, .Lrsp_ready)
	_ASM_EXTABLE(2b, .Lfailed)
	_ASM_EXTABLE(3b, .Lfailed)
SYM_FUNC_END(vmx_switch_to_guest)
STACK_FRAME_NON_STANDARD_FP vmx_switch_to_guest
