/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The instruction emulator: decode the bytes of one x86 instruction, execute it on a register
 * array, and reach memory, ports and segments through callbacks. It owns the meaning of
 * instructions and their exact exceptions. It must not know vCPUs, exits, page tables, the
 * interrupt controllers or the launcher.
 *
 * Use, for one instruction:
 *
 *	e->regs, e->ops, e->ctx, e->features		once
 *	e->mode, e->cpl, e->flags			whenever they may have changed
 *	keel_emul_begin(e, bytes, len)		bytes that hardware already fetched, or NULL, 0
 *	r = keel_emul_decode(e);
 *	if (r == KEEL_EMUL_OK)
 *		r = keel_emul_exec(e);
 *
 * Commit rule. Registers, RFLAGS and RIP change only when an instruction, or one iteration of a
 * REP string instruction, has come to its end: PENDING, FAULT, RETRY, UNKNOWN and ERROR leave
 * e->regs as they were at the start of that instruction or iteration. Memory writes that were
 * already accepted by a callback are not undone; instructions with several writes probe them
 * all first, so that no fault comes in between.
 *
 * Replay rule. The emulator is deterministic: run again on the same registers and the same read
 * data, it makes the same callbacks in the same order. So a callback that needs the launcher
 * returns
 * KEEL_EMUL_PENDING, and the caller, with the answer in hand, executes the instruction again
 * from the start and answers from its log those accesses that are already done. The log belongs
 * to one instruction or to one REP iteration: e->steps, which is never reset, grows by one with
 * each commit, and a log with another step number than e->steps is stale. No decode is needed
 * between two executions of the same instruction.
 *
 * What is the caller's: single-step traps, RF, the interrupt shadow, I/O permission (in pio_in
 * and pio_out), intercepts, and everything that paging does. The registers it gives are those
 * before the instruction.
 *
 * Flags that the architecture leaves undefined are always set the same way, see emulate/alu.c.
 */
#ifndef KEEL_EMULATE_EMULATE_H
#define KEEL_EMULATE_EMULATE_H

#include "core/types.h"

enum keel_emul_result {
	KEEL_EMUL_OK = 0,	/* decoded; or, from a callback, done */
	KEEL_EMUL_DONE = 0,	/* executed: RIP is on the next instruction */
	KEEL_EMUL_DONE_MORE,	/* a REP has iterations left: RIP is on it, let interrupts in */
	KEEL_EMUL_FAULT,	/* e->exc is to be injected, RIP is on the instruction */
	KEEL_EMUL_PENDING,	/* a callback waits for the launcher: execute again after that */
	KEEL_EMUL_RETRY,	/* a locked write lost a race: run it again, here or in the guest */
	KEEL_EMUL_UNKNOWN,	/* not emulated: e->bytes has its bytes, nothing was done */
	KEEL_EMUL_ERROR,	/* a callback failed for good: not the guest's fault */
};

enum keel_emul_mode {
	KEEL_EMUL_REAL,		/* CR0.PE clear */
	KEEL_EMUL_VM86,		/* RFLAGS.VM */
	KEEL_EMUL_PROT16,	/* CS.D clear; also 16-bit compatibility mode */
	KEEL_EMUL_PROT32,	/* CS.D set; also 32-bit compatibility mode */
	KEEL_EMUL_LONG64,	/* EFER.LMA and CS.L */
};

/* General registers, indexed by their number in encodings. */
enum {
	KEEL_RAX, KEEL_RCX, KEEL_RDX, KEEL_RBX, KEEL_RSP, KEEL_RBP, KEEL_RSI, KEEL_RDI,
	KEEL_R8, KEEL_R9, KEEL_R10, KEEL_R11, KEEL_R12, KEEL_R13, KEEL_R14, KEEL_R15,
	KEEL_NR_GPRS
};

/* Segment registers, by their number in encodings. */
enum {
	KEEL_SEG_ES, KEEL_SEG_CS, KEEL_SEG_SS, KEEL_SEG_DS, KEEL_SEG_FS, KEEL_SEG_GS,
	KEEL_NR_SEGS
};

struct keel_emul_regs {
	u64 gpr[KEEL_NR_GPRS];
	u64 rip;
	u64 rflags;
};

/*
 * A segment's hidden part. attr holds bits 8 to 23 of the descriptor's upper half, as VMX has
 * them in its access-rights field; @limit is in bytes, granularity applied.
 */
struct keel_emul_segment {
	u64 base;
	u32 limit;
	u32 attr;
	u16 selector;
};

#define KEEL_SEGA_TYPE		0x000fU
#define KEEL_SEGA_ACCESSED	0x0001U
#define KEEL_SEGA_WR		0x0002U		/* data: writable; code: readable */
#define KEEL_SEGA_DOWN		0x0004U		/* data: expand-down; code: conforming */
#define KEEL_SEGA_CODE		0x0008U
#define KEEL_SEGA_S		0x0010U		/* code or data, not a system segment */
#define KEEL_SEGA_DPL		0x0060U
#define KEEL_SEGA_P		0x0080U
#define KEEL_SEGA_L		0x2000U
#define KEEL_SEGA_DB		0x4000U
#define KEEL_SEGA_G		0x8000U
#define KEEL_SEGA_UNUSABLE	0x10000U	/* a null selector was loaded */

/* What a memory callback is told about an access. */
#define KEEL_EMUL_ACC_WRITE	0x1U	/* a read: its bytes are written next, check for that */
#define KEEL_EMUL_ACC_LOCKED	0x2U	/* part of a locked read-modify-write */
#define KEEL_EMUL_ACC_STACK	0x4U	/* implicit stack access, by PUSH, CALL and the like */

struct keel_emul;

/*
 * Callbacks. All return KEEL_EMUL_OK, _FAULT (after keel_emul_fault()), _PENDING or _ERROR.
 * Linear addresses have passed segmentation, the canonical check and the alignment check; the
 * callback does paging with e->cpl. An access may cross a page: both pages have to be checked
 * before any byte is written. Lengths are 1 to 8, or 16 for the 16-byte compare-and-exchange;
 * buffers are little-endian and of any alignment.
 */
struct keel_emul_ops {
	/* Instruction bytes. Never crosses a page; @len is 1 to 15. */
	int (*fetch)(struct keel_emul *e, gva_t lin, void *buf, unsigned int len);
	int (*read)(struct keel_emul *e, gva_t lin, void *buf, unsigned int len, unsigned int acc);
	int (*write)(struct keel_emul *e, gva_t lin, const void *buf, unsigned int len,
		     unsigned int acc);
	/*
	 * The write of a locked read-modify-write that read @old: RAM is changed atomically and
	 * only if it still holds @old, else KEEL_EMUL_RETRY; on MMIO it is a write.
	 */
	int (*replace)(struct keel_emul *e, gva_t lin, const void *old, const void *new,
		       unsigned int len);
	/*
	 * Check the page permissions of an access, and do nothing to it. @acc has
	 * KEEL_EMUL_ACC_WRITE for a write. MMIO is KEEL_EMUL_OK. @len is up to 32 + 256 bytes
	 * (the frame of ENTER).
	 */
	int (*probe)(struct keel_emul *e, gva_t lin, unsigned int len, unsigned int acc);
	/*
	 * Segment register @seg, as KEEL_SEG_*. Long mode asks for FS and GS, and for a
	 * selector's value.
	 */
	int (*segment)(struct keel_emul *e, unsigned int seg, struct keel_emul_segment *out);
	/* Port access with its permission check; @size is 1, 2 or 4. For INS, OUTS, IN and OUT. */
	int (*pio_in)(struct keel_emul *e, u16 port, unsigned int size, u32 *val);
	int (*pio_out)(struct keel_emul *e, u16 port, unsigned int size, u32 val);
};

struct keel_emul_exception {
	u8 vector;
	bool has_error;
	u32 error;
	u64 cr2;	/* for a page fault */
};

struct emul_op;

/* A decoded instruction; independent of register values. */
struct keel_emul_insn {
	const struct emul_op *op;
	u64 imm;		/* sign-extended immediate, or relative branch distance */
	u64 disp;		/* sign-extended displacement, or the address of a moffs form */
	u8 length;		/* bytes, 1 to 15 */
	u8 map;			/* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	u8 opcode;		/* last opcode byte */
	u8 prefixes;		/* KEEL_EMUL_PFX_* */
	u8 rex;			/* the REX byte, or 0 */
	u8 modrm;		/* the ModRM byte, where there is one */
	u8 reg;			/* ModRM.reg with REX.R: a register, or an opcode's extension */
	u8 rm;			/* ModRM.rm with REX.B when it is a register */
	bool mem;		/* the ModRM r/m operand is memory */
	u8 base;		/* register, KEEL_EMUL_NOREG or KEEL_EMUL_RIP */
	u8 index;		/* register or KEEL_EMUL_NOREG */
	u8 scale;		/* shift, 0 to 3 */
	u8 seg;			/* of the memory operand: the default's or the override's */
	u8 op_size;		/* operand, in bytes: 1, 2, 4 or 8 */
	u8 addr_size;		/* address, in bytes: 2, 4 or 8 */
	u8 imm2;		/* second immediate (ENTER's nesting level) */
};

#define KEEL_EMUL_NOREG		0xff
#define KEEL_EMUL_RIP		0xfe

#define KEEL_EMUL_PFX_LOCK	0x01
#define KEEL_EMUL_PFX_REP	0x02	/* F3 */
#define KEEL_EMUL_PFX_REPNE	0x04	/* F2 */
#define KEEL_EMUL_PFX_OPSZ	0x08	/* 66 */
#define KEEL_EMUL_PFX_ADSZ	0x10	/* 67 */
#define KEEL_EMUL_PFX_SEG	0x20	/* an override that counts in this mode */

#define KEEL_EMUL_MAX_BYTES	15

/* e->features: what the guest's CPU has and an encoding's meaning depends on */
#define KEEL_EMUL_F_BMI1	0x1U	/* F3 0F BC is TZCNT, else BSF */
#define KEEL_EMUL_F_LZCNT	0x2U	/* F3 0F BD is LZCNT, else BSR */
#define KEEL_EMUL_F_POPCNT	0x4U

/* e->flags: state of the guest's CPU */
#define KEEL_EMUL_S_AM		0x1U	/* CR0.AM: RFLAGS.AC checks alignment at CPL 3 */
#define KEEL_EMUL_S_LA57	0x2U	/* CR4.LA57: canonical means 57 bits, else 48 */
#define KEEL_EMUL_S_VME		0x4U	/* CR4.VME or CR4.PVI: CLI, STI, PUSHF, POPF may mean VIF */

/*
 * One emulator. Belongs to its vCPU's owner, holds no lock, allocates nothing, may live in the
 * vCPU struct (zeroed once). The caller writes the first group, reads @exc, @bytes, @insn and
 * @steps.
 */
struct keel_emul {
	struct keel_emul_regs *regs;
	const struct keel_emul_ops *ops;
	void *ctx;		/* the caller's, for its callbacks */
	u8 mode;		/* enum keel_emul_mode */
	u8 cpl;
	u8 features;		/* KEEL_EMUL_F_* */
	u8 flags;		/* KEEL_EMUL_S_* */
	u16 batch;		/* REP iterations in one call; 0 means KEEL_EMUL_BATCH */

	u8 fetched;		/* valid bytes in @bytes */
	u8 bytes[KEEL_EMUL_MAX_BYTES];
	u32 steps;		/* commits so far; wraps */
	struct keel_emul_insn insn;
	struct keel_emul_exception exc;
};

#define KEEL_EMUL_BATCH		64

/**
 * keel_emul_begin() - start with the instruction at regs->rip.
 * @e: the emulator, with its first group of fields set
 * @bytes: the instruction's first bytes as hardware fetched them, or NULL
 * @len: how many; more than 15 are ignored
 */
void keel_emul_begin(struct keel_emul *e, const void *bytes, unsigned int len);

/**
 * keel_emul_decode() - decode the instruction, fetching what bytes are missing.
 * @e: the emulator, after keel_emul_begin()
 *
 * On KEEL_EMUL_OK e->insn is valid, in particular its length: also of the instructions that
 * keel_emul_exec() does not execute but a back end skips or handles itself (CPUID, HLT, RDMSR,
 * MOV CR, INT n, VMMCALL, ...). Registers are not read beyond RIP.
 *
 * Return: KEEL_EMUL_OK, _FAULT (#UD, #GP of an over-long instruction or past the CS limit, or
 * what fetch raised), _UNKNOWN, _PENDING, _ERROR.
 */
int keel_emul_decode(struct keel_emul *e);

/**
 * keel_emul_exec() - execute the decoded instruction, or up to e->batch iterations of a REP.
 * @e: the emulator, after keel_emul_decode() returned KEEL_EMUL_OK
 *
 * Return: any of enum keel_emul_result.
 */
int keel_emul_exec(struct keel_emul *e);

/**
 * keel_emul_fault() - fill in the exception that the instruction raises.
 * @e: the emulator
 * @vector: 0 to 31
 * @error: error code, for the vectors that have one; real mode drops it
 * @cr2: faulting linear address of a page fault, else 0
 *
 * Return: KEEL_EMUL_FAULT, for a callback to return.
 */
int keel_emul_fault(struct keel_emul *e, u8 vector, u32 error, u64 cr2);

#endif /* KEEL_EMULATE_EMULATE_H */
