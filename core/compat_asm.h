/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The assembler's half of core/compat.h: speculation barriers of the world
 * switch whose macros differ between kernels.  It must not hold code that
 * knows a vendor's control block.
 */
#ifndef KEEL_CORE_COMPAT_ASM_H
#define KEEL_CORE_COMPAT_ASM_H

#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

/*
 * Untrain the return predictor before the first RET after a guest: the guest
 * may have trained it.  Clobbers RAX, RCX, RDX.
 */
.macro KEEL_UNTRAIN_RET
#ifdef UNTRAIN_RET_VM
	UNTRAIN_RET_VM
#else
	UNTRAIN_RET
#ifdef X86_FEATURE_IBPB_ON_VMEXIT
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
#endif
#endif
.endm

/*
 * VERW before a guest.  AMD's guests have a macro of their own; before Intel's the
 * kernel clears under the condition of its own exits to user mode.  Kernels
 * without the macros have no such mitigation.
 */
#ifndef CLEAR_CPU_BUFFERS
#define CLEAR_CPU_BUFFERS
#endif
#ifndef VM_CLEAR_CPU_BUFFERS
#define VM_CLEAR_CPU_BUFFERS
#endif

#endif /* KEEL_CORE_COMPAT_ASM_H */
