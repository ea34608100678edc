/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's side of every operation, in long mode, the same bytes on each
 * hypervisor. A loop gets RDI: one behind the last sample, RSI: minus the number
 * of samples, R8 and R9: what the operation wants. It stamps the TSC after each
 * turn; a turn is the operation and the four instructions of STAMP. The code is
 * copied to GUEST_CODE and must not refer to itself by address.
 */
#include "guest.h"

	.section .rodata.guest, "a"
	.code64
	.balign 4096
	.globl guest_start
guest_start:

.macro BEGIN name
	.balign 64
	.globl \name
\name:
.endm

.macro DONE
9:	out	%al, $PORT_DONE
	jmp	9b
.endm

/* 3 instructions and the branch */
.macro STAMP
	rdtsc
	mov	%eax, (%rdi, %rsi, 4)
	inc	%rsi
	jnz	1b
	DONE
.endm

/* ---- nothing, and plain exits ---- */

BEGIN g_empty
1:	STAMP

BEGIN g_cpuid
1:	xor	%eax, %eax
	cpuid
	STAMP

BEGIN g_wbinvd
1:	wbinvd
	STAMP

/* RDMSR of R8 */
BEGIN g_rdmsr
	mov	%r8d, %ecx
1:	rdmsr
	STAMP

/* WRMSR of R8: R9, and what the launcher put into R10 for the upper half */
BEGIN g_wrmsr
	mov	%r8d, %ecx
1:	mov	%r9d, %eax
	mov	%r10d, %edx
	wrmsr
	STAMP

BEGIN g_tsc_deadline
	mov	$0x832, %ecx		/* LVT timer: TSC-deadline mode */
	mov	$(0x40000 | VEC_IRQ), %eax
	xor	%edx, %edx
	wrmsr
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	add	%r8, %rax
	mov	%rax, %r9
	mov	%rax, %r10
	shr	$32, %r10
	mov	$0x6e0, %ecx
1:	mov	%r9d, %eax
	mov	%r10d, %edx
	wrmsr
	rdtsc
	mov	%eax, (%rdi, %rsi, 4)
	inc	%rsi
	jnz	1b
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr				/* off */
	DONE

/* A number that no hypervisor knows. */
BEGIN g_vmcall
1:	mov	$0x4b45454c, %eax
	vmcall
	STAMP

BEGIN g_vmmcall
1:	mov	$0x4b45454c, %eax
	vmmcall
	STAMP

/* ---- ports and memory ---- */

BEGIN g_out_user
1:	out	%al, $PORT_USER
	STAMP

BEGIN g_in_user
1:	in	$PORT_USER, %al
	STAMP

BEGIN g_out_doorbell
1:	out	%al, $PORT_DOORBELL
	STAMP

/* 4 bytes to R8 */
BEGIN g_write
1:	mov	%ecx, (%r8)
	STAMP

BEGIN g_read
1:	mov	(%r8), %ecx
	STAMP

/* Ever further from R8 by R9 */
BEGIN g_touch
1:	mov	%ecx, (%r8)
	add	%r9, %r8
	STAMP

/* One write to R8, for those who stamp around RUN */
BEGIN g_touch_once
	mov	%ecx, (%r8)
	DONE

/* ---- interrupts ---- */

BEGIN g_init_x2apic
	mov	$0x1b, %ecx
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$0x80f, %ecx		/* spurious vector, software enable */
	mov	$0x1ff, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0x808, %ecx		/* TPR */
	xor	%eax, %eax
	wrmsr
	DONE

BEGIN g_init_xapic
	mov	$GUEST_LAPIC, %ebx
	movl	$0x1ff, 0xf0(%rbx)
	movl	$0, 0x80(%rbx)
	movl	$0x10000, 0x320(%rbx)	/* the timer masked, one-shot, divided by 1 */
	movl	$0xb, 0x3e0(%rbx)
	DONE

BEGIN g_self_ipi
	mov	$0x83f, %ecx
	sti
1:	mov	$VEC_IRQ, %eax
	xor	%edx, %edx
	wrmsr
	STAMP

/* By the ICR, which KVM handles faster than the self-IPI register. */
BEGIN g_irq_window
	mov	$0x830, %ecx
1:	cli
	mov	$VEC_IRQ, %eax
	xor	%edx, %edx
	wrmsr
	sti
	nop
	STAMP

/*
 * HLT until the timer, R8 TSC ticks from now. The sample is how much later than
 * that it is. COUNT_IRQ says whether the handler has run.
 */
BEGIN g_hlt_timer
	mov	$0x832, %ecx
	mov	$(0x40000 | VEC_IRQ), %eax
	xor	%edx, %edx
	wrmsr
	mov	$0x6e0, %ecx
	mov	COUNT_IRQ, %r10
1:	cli
	inc	%r10
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	add	%r8, %rax
	mov	%rax, %r9
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
2:	sti
	hlt
	cmp	%r10, COUNT_IRQ
	je	3f
	cli
	cmp	%r10, COUNT_IRQ
	jne	2b
	sti
3:	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	sub	%r9, %rax
	mov	%eax, (%rdi, %rsi, 4)
	inc	%rsi
	jnz	1b
	DONE

/* CPU 0: an IPI to CPU 1, HLT until CPU 1's comes. */
BEGIN g_ping
	mov	$0x830, %ecx
	mov	COUNT_IRQ, %r10
1:	sti
	inc	%r10
	mov	$VEC_WAKE, %eax
	mov	$1, %edx
	wrmsr
2:	cmp	%r10, COUNT_IRQ
	je	3f
	cli
	cmp	%r10, COUNT_IRQ
	je	3f
	sti
	hlt
	jmp	2b
3:	STAMP

/* CPU 1: HLT until an IPI comes, answer it, for ever. */
BEGIN g_pong
	mov	$0x830, %ecx
	xor	%r10d, %r10d
2:	sti
	cmp	%r10, COUNT_WAKE
	jne	3f
	cli
	cmp	%r10, COUNT_WAKE
	jne	3f
	sti
	hlt
	jmp	2b
3:	sti
	inc	%r10
	mov	$VEC_IRQ, %eax
	xor	%edx, %edx
	wrmsr
	jmp	2b

/*
 * CPU 0: an IPI to CPU 1, which spins, and spin until CPU 1's comes. PAUSE, where
 * it ends a guest, is what brings KVM's back from a Bochs that forgot a host
 * interrupt.
 */
BEGIN g_ping_spin
	mov	$0x830, %ecx
	mov	COUNT_IRQ, %r10
1:	sti
	inc	%r10
	mov	$VEC_WAKE, %eax
	mov	$1, %edx
	wrmsr
2:	pause
	cmp	%r10, COUNT_IRQ
	jne	2b
	STAMP

BEGIN g_pong_spin
	mov	$0x830, %ecx
	xor	%r10d, %r10d
	sti
2:	pause
	cmp	%r10, COUNT_WAKE
	je	2b
	inc	%r10
	mov	$VEC_IRQ, %eax
	xor	%edx, %edx
	wrmsr
	jmp	2b

/* Bochs lets a host interrupt end a guest only with IF set. */
BEGIN g_spin
	sti
1:	incq	SPIN_WORD
	jmp	1b

/* ---- handlers ---- */

BEGIN g_irq
	push	%rax
	push	%rcx
	push	%rdx
	incq	COUNT_IRQ
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

BEGIN g_wake
	push	%rax
	push	%rcx
	push	%rdx
	incq	COUNT_WAKE
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

BEGIN g_irq_xapic
	push	%rbx
	incq	COUNT_IRQ
	mov	$GUEST_LAPIC, %ebx
	movl	$0, 0xb0(%rbx)
	pop	%rbx
	iretq

BEGIN g_fault
	incq	COUNT_FAULT
1:	out	%al, $PORT_FAULT
	jmp	1b

	.balign 4096
	.globl guest_end
guest_end:

	.section .note.GNU-stack, "", @progbits
