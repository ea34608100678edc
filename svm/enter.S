/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The SVM world switch: general registers in, VMRUN, general registers out,
 * and the speculation barriers on both sides.  It must not know why the guest
 * left: that is in the VMCB.
 */
#include "core/switch_asm.h"

/* struct svm_switch, asserted in svm.h */
#define SW_VMCB_PA		0
#define SW_HOST_PA		8
#define SW_GUEST_SPEC_CTRL	16
#define SW_HOST_SPEC_CTRL	20
#define SW_SWITCH_SPEC_CTRL	24
#define SW_FAULTED		25

.section .noinstr.text, "ax"

/*
 * void svm_switch_to_guest(struct svm_switch *sw, u64 *gpr)
 *
 * IRQs are off.  GIF is clear from before the guest's SPEC_CTRL is loaded until
 * the host's GS base is back: an NMI in between would run on the guest's.
 */
SYM_FUNC_START(svm_switch_to_guest)
	SWITCH_ENTER_FRAME

1:	clgi
	cmpb	$0, SW_SWITCH_SPEC_CTRL(%rdi)
	jne	.Lguest_spec_ctrl
.Lguest_ready:
	mov	SW_VMCB_PA(%rdi), %rax
	SWITCH_LOAD_GUEST

	VM_CLEAR_CPU_BUFFERS
	/* With V_INTR_MASKING it is the host's IF that lets interrupts end the guest. */
	sti
2:	vmload	%rax
3:	vmrun	%rax
4:	cli
5:	vmsave	%rax				/* VMRUN brought RAX back */

6:	mov	8(%rsp), %rax
	SWITCH_SAVE_GUEST

	pop	%rdi
	mov	SW_HOST_PA(%rdi), %rax
7:	vmload	%rax				/* the host's FS, GS, TR, LDTR, syscall MSRs */

8:	SWITCH_CLEAR_GUEST
	xor	%ebx, %ebx

	cmpb	$0, SW_SWITCH_SPEC_CTRL(%rdi)
	jne	.Lhost_spec_ctrl
.Lhost_ready:
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	KEEL_UNTRAIN_RET
	xor	%ecx, %ecx
	xor	%edx, %edx
9:	stgi
10:	SWITCH_LEAVE_FRAME
	RET

.Lguest_spec_ctrl:
	SWITCH_WRITE_SPEC_CTRL SW_GUEST_SPEC_CTRL(%rdi)
	jmp	.Lguest_ready

.Lhost_spec_ctrl:
	SWITCH_WRITE_SPEC_CTRL SW_HOST_SPEC_CTRL(%rdi)
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
