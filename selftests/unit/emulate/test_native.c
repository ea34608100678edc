// SPDX-License-Identifier: GPL-2.0
/*
 * The emulator against the processor that runs the test: random forms of unprivileged instructions,
 * on random registers and memory, run once natively and once emulated; registers, defined flags,
 * memory, length, and the vector and error code of a fault have to be the same. Which of several
 * faults comes first is compared on Intel's processors only, whose order the emulator follows.
 *
 * The native side writes a stub around the instruction: it loads all sixteen registers and the
 * flags, runs the instruction, and saves them. A signal handler notes the fault and goes on with
 * the saving part.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "forms.h"
#include "host.h"
#include "ktap.h"

/* Fixed and below 4 GiB, so that 32-bit addresses reach it. */
#define CODE_AT		0x10000000UL
#define DATA_AT		0x10010000UL	/* page 0 none, 1 and 2 read-write, 3 read-only */
#define GS_BASE		0x08000000UL
#define HOLE_AT		0x400		/* of the instruction, in the code page */
#define EXIT_AT		0x440
#define BRANCH		5		/* a taken branch goes this far beyond the instruction */

struct native {
	u64 in[16];
	u64 in_flags;
	u64 out[16];
	u64 out_flags;
	u64 host_rsp;		/* right after out_flags, which is pushed */
	u64 scratch[4];
	u64 taken;
	volatile u64 vector;	/* ~0: no fault */
	volatile u64 error, cr2, rip, fault_flags;
};

static u8 *code;
static struct native *nat;	/* in the page after the code */
static u8 *data;		/* the native side's memory */
static u8 shadow[HOST_PAGES * KEEL_PAGE_SIZE];
static u8 before[HOST_PAGES * KEEL_PAGE_SIZE];

static u64 seed = 0x243f6a8885a308d3ULL;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dULL >> 7 ^ seed << 50;
}

static u64 below(u64 n)
{
	return (rnd() >> 8) % n;
}

/* Values that find the edges: small, near powers of two, few bits, or anything. */
static u64 value(void)
{
	switch (below(6)) {
	case 0:
		return below(4) - 1;
	case 1:
		return (1ULL << below(64)) - below(3) + 1;
	case 2:
		return rnd() & rnd() & rnd();
	case 3:
		return 0x8080808080808080ULL ^ (rnd() & 0x0101010101010101ULL);
	default:
		return rnd();
	}
}

static u8 *emit_p;

static void emit(const void *bytes, unsigned int n)
{
	memcpy(emit_p, bytes, n);
	emit_p += n;
}

/* op reg, [rip + slot] */
static void emit_slot(u8 op, unsigned int reg, const void *slot)
{
	u8 b[7] = { 0x48 | reg >> 3 << 2, op, 0x05 | (reg & 7) << 3 };
	s32 disp = (s32)((const u8 *)slot - (emit_p + 7));

	memcpy(b + 3, &disp, 4);
	emit(b, 7);
}

/*
 * entry: save what calls preserve, load flags and registers, jump to HOLE_AT. The instruction
 * is followed by a jump to `exit` of BRANCH bytes, and that by the place where branches go.
 */
static void make_stub(void)
{
	static const u8 save[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57 };
	static const u8 restore[] = { 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b };
	unsigned int i;
	s32 rel;

	emit_p = code;
	emit(save, sizeof(save));
	emit_slot(0x89, KEEL_RSP, &nat->host_rsp);
	emit_slot(0x8d, KEEL_RSP, &nat->in_flags);
	emit("\x9d", 1);				/* popfq */
	for (i = 0; i < 16; i++)
		emit_slot(0x8b, i, &nat->in[i]);
	emit("\xe9", 1);
	rel = (s32)(code + HOLE_AT - (emit_p + 4));
	emit(&rel, 4);

	emit_p = code + EXIT_AT;
	for (i = 0; i < 16; i++)
		emit_slot(0x89, i, &nat->out[i]);
	emit_slot(0x8d, KEEL_RSP, &nat->host_rsp);	/* the word below is out_flags */
	emit("\x9c", 1);				/* pushfq */
	emit_slot(0x8d, KEEL_RSP, nat->scratch + ARRAY_SIZE(nat->scratch));
	emit("\x6a\x02\x9d", 3);			/* push 2; popfq */
	emit_slot(0x8b, KEEL_RSP, &nat->host_rsp);
	emit(restore, sizeof(restore));
	emit("\xc3", 1);
}

static void put_instruction(const u8 *insn, unsigned int len)
{
	s32 rel;

	emit_p = code + HOLE_AT;
	emit(insn, len);
	emit("\xe9", 1);
	rel = (s32)(code + EXIT_AT - (emit_p + 4));
	emit(&rel, 4);
	/* mov dword [rip + taken], 1 */
	emit("\xc7\x05", 2);
	rel = (s32)((u8 *)&nat->taken - (emit_p + 8));
	emit(&rel, 4);
	emit("\x01\0\0\0\xe9", 5);
	rel = (s32)(code + EXIT_AT - (emit_p + 4));
	emit(&rel, 4);
}

__attribute__((no_sanitize("address", "undefined")))
static void on_fault(int sig, siginfo_t *info, void *uc_)
{
	ucontext_t *uc = uc_;
	greg_t *g = uc->uc_mcontext.gregs;

	/* Alignment checks are still on. */
	__asm__ __volatile__("pushfq; andq $~0x40000, (%%rsp); popfq" : : : "memory", "cc");
	(void)info;
	if ((u64)g[REG_RIP] - CODE_AT >= KEEL_PAGE_SIZE) {
		signal(sig, SIG_DFL);	/* not the instruction under test */
		return;
	}
	nat->vector = (u64)g[REG_TRAPNO];
	nat->error = (u64)g[REG_ERR];
	nat->cr2 = (u64)g[REG_CR2];
	nat->rip = (u64)g[REG_RIP];
	nat->fault_flags = (u64)g[REG_EFL];
	g[REG_RIP] = CODE_AT + EXIT_AT;
	g[REG_EFL] &= ~(greg_t)FL_AC;
}

static bool setup(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static u8 alt_stack[1 << 16];
	stack_t alt = { .ss_sp = alt_stack, .ss_size = sizeof(alt_stack) };
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	unsigned int i;

	code = mmap((void *)CODE_AT, 2 * KEEL_PAGE_SIZE,
		    PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
	data = mmap((void *)DATA_AT, HOST_PAGES * KEEL_PAGE_SIZE,
		    PROT_READ | PROT_WRITE, flags, -1, 0);
	if (code != (u8 *)CODE_AT || data != (u8 *)DATA_AT)
		return false;
	nat = (void *)(code + KEEL_PAGE_SIZE);
	make_stub();
	mprotect(data, KEEL_PAGE_SIZE, PROT_NONE);
	mprotect(data + 3 * KEEL_PAGE_SIZE, KEEL_PAGE_SIZE, PROT_READ);
	sigaltstack(&alt, NULL);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
	return !syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
}

/*
 * This processor: what encodings mean on it, and whether it is one whose order of checks is
 * known.
 */
#define ALL_FEATURES	(KEEL_EMUL_F_BMI1 | KEEL_EMUL_F_LZCNT | KEEL_EMUL_F_POPCNT)
static u8 features;
static bool has_movbe, order_known;

static void ask_processor(void)
{
	unsigned int a, b, c, d;

	if (__get_cpuid(0, &a, &b, &c, &d))
		order_known = b == signature_INTEL_ebx;
	if (__get_cpuid(1, &a, &b, &c, &d)) {
		has_movbe = c & bit_MOVBE;
		features |= c & bit_POPCNT ? KEEL_EMUL_F_POPCNT : 0;
	}
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
		features |= b & bit_BMI ? KEEL_EMUL_F_BMI1 : 0;
	if (__get_cpuid(0x80000001, &a, &b, &c, &d))
		features |= c & bit_LZCNT ? KEEL_EMUL_F_LZCNT : 0;
}

static struct host host;
static u8 insn[24];
static unsigned int insn_len;
static u8 insn_op;
static bool insn_rexw, insn_66, insn_lock, insn_67, insn_gs;

static void byte(unsigned int b)
{
	insn[insn_len++] = (u8)b;
}

static void little(u64 v, unsigned int n)
{
	while (n--) {
		byte(v & 0xff);
		v >>= 8;
	}
}

/* An address to go at: mostly well inside, sometimes at an edge, sometimes nowhere. */
static u64 target(unsigned int align)
{
	u64 at;

	switch (below(12)) {
	case 0:
		at = DATA_AT + KEEL_PAGE_SIZE - below(20);		/* none, read-write */
		break;
	case 1:
		at = DATA_AT + 3 * KEEL_PAGE_SIZE - below(20);		/* read-write, read-only */
		break;
	case 2:
		at = DATA_AT + 2 * KEEL_PAGE_SIZE - below(20);
		break;
	default:
		at = DATA_AT + KEEL_PAGE_SIZE + 512 + below(2 * KEEL_PAGE_SIZE - 1024);
		break;
	}
	if (!below(100))
		at = 0x4000000000000000ULL + below(1ULL << 62);		/* not canonical */
	return at & ~(u64)(align - 1);
}

static unsigned int operand_size(const struct form *f)
{
	if (f->flags & F_BYTE)
		return 1;
	if (insn_rexw)
		return 8;
	if (insn_66)
		return 2;
	return f->flags & F_STACK ? 8 : 4;
}

/* ModRM, SIB and displacement of a memory operand at @at, setting the registers that address it. */
static void put_memory(u64 at, unsigned int reg, u8 *rex, u8 *tail, unsigned int *ntail)
{
	unsigned int base = (unsigned int)below(16),
		     index = (unsigned int)below(16), scale = below(4);
	unsigned int mod = (unsigned int)below(3), n = 0;
	bool sib = (base & 7) == 4 || below(2), has_index;
	u64 *gpr = nat->in, ea = at - (insn_gs ? GS_BASE : 0), rest;
	s32 disp = mod == 1 ? (s8)rnd() : mod == 2 ? (s32)below(0x2000) - 0x1000 : 0;

	*rex |= (base >> 3) | (reg >> 3) << 2;
	has_index = sib && index != 4 && index != base && base != 4;
	if (sib) {
		if (!has_index)
			index = 4;
		*rex |= index >> 3 << 1;
		has_index = index != 4;
	}
	if (mod == 0 && (base & 7) == 5) {
		/*
		 * No base: RIP-relative, or absolute with SIB; both reach with 32 bits or the
		 * test faults.
		 */
		tail[n++] = (reg & 7) << 3 | (sib ? 4 : 5);
		if (sib)
			tail[n++] = scale << 6 | 4 << 3 | 5;
		*rex &= ~2;
		if (sib)
			disp = (s32)ea;
		else
			disp = (s32)(ea - CODE_AT - HOLE_AT - 8);
		memcpy(tail + n, &disp, 4);
		*ntail = n + 4;
		return;
	}
	tail[n++] = mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7);
	if (sib)
		tail[n++] = scale << 6 | (index & 7) << 3 | (base & 7);
	rest = ea - (u64)(s64)disp;
	if (has_index) {
		if (below(2))
			gpr[index] = below(1024);
		rest -= gpr[index] << scale;
	}
	if (base != KEEL_RSP || has_index)
		gpr[base] = rest;
	else
		gpr[base] = rest & ~7ULL;
	if (insn_67)
		gpr[base] = (u32)rest | (rnd() & ~0xffffffffULL);
	memcpy(tail + n, &disp, mod == 0 ? 0 : mod == 1 ? 1 : 4);
	*ntail = n + (mod == 0 ? 0 : mod == 1 ? 1 : 4);
}

static void random_state(void)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		nat->in[i] = value();
	for (i = 0; i < sizeof(before); i += 8) {
		u64 v = rnd();

		if (i % 64 == 0)
			memcpy(before + i, &v, 8);
	}
	nat->in_flags = (rnd() & (FL_ARITH | FL_DF)) | 0x202;
	if (!below(8))
		nat->in_flags |= FL_AC;
	nat->in[KEEL_RSP] = target(8);
}

/* Registers that a form wants to be something in particular. */
static void special_state(const struct form *f, u64 at)
{
	u64 *gpr = nat->in;
	unsigned int size = operand_size(f);

	if (f->flags & F_STRING) {
		gpr[KEEL_RSI] = target(1);
		gpr[KEEL_RDI] = target(1);
		gpr[KEEL_RCX] = below(20);
		if (insn_67) {
			gpr[KEEL_RSI] = (u32)gpr[KEEL_RSI] | rnd() << 32;
			gpr[KEEL_RDI] = (u32)gpr[KEEL_RDI] | rnd() << 32;
			/* What a count of zero does to the upper halves is the processor's own. */
			gpr[KEEL_RCX] = (1 + below(20)) | rnd() << 32;
		}
		if (insn_gs)
			gpr[KEEL_RSI] -= GS_BASE;
		if (below(2))
			memset(before + KEEL_PAGE_SIZE, (int)rnd(), 2 * KEEL_PAGE_SIZE);
	}
	if (f->map == 0 && (insn_op & 0xfc) == 0xe0 && below(2))
		gpr[KEEL_RCX] = below(3);
	if (f->map == 0 && insn_op == 0xd7)
		gpr[KEEL_RBX] = target(1) - (gpr[KEEL_RAX] & 0xff) - (insn_gs ? GS_BASE : 0);
	if (f->map == 0 && (insn_op == 0xc8 || insn_op == 0xc9))
		gpr[KEEL_RBP] = target(8);
	/* A branch that goes somewhere has to go to the one place that is prepared for it. */
	if (f->map == 0 && (insn_op == 0xc2 || insn_op == 0xc3)) {
		u64 to = CODE_AT + HOLE_AT + insn_len + (insn_op == 0xc2 ? 2 : 0) + BRANCH;

		gpr[KEEL_RSP] = DATA_AT + KEEL_PAGE_SIZE + 8 * below(900);
		memcpy(before + (gpr[KEEL_RSP] - DATA_AT), &to, 8);
	}
	/* Some compares should succeed. */
	if (f->map == 1 && (insn_op & 0xfe) == 0xb0 && below(2) &&
	    at - DATA_AT < sizeof(before) - 8)
		memcpy(&gpr[KEEL_RAX], before + (at - DATA_AT), 8);
	if (f->map == 1 && insn_op == 0xc7 && below(2) && at - DATA_AT < sizeof(before) - 16) {
		unsigned int half = insn_rexw ? 8 : 4;

		memcpy(&gpr[KEEL_RAX], before + (at - DATA_AT), half);
		memcpy(&gpr[KEEL_RDX], before + (at - DATA_AT) + half, half);
	}
	/* Half of the divisions should not fault. */
	if (f->flags & F_DIV && below(2)) {
		gpr[KEEL_RDX] = f->ext == 7 && below(2) ? ~0ULL : 0;
		if (size == 1)
			gpr[KEEL_RAX] &= 0xff;
	}
}

/* Make up one instruction of a form and the state it runs on. False if it is not to be run. */
static bool make_case(const struct form *f)
{
	unsigned int reg = f->ext >= 0 ? (unsigned int)f->ext :
					 (unsigned int)below(16),
		     size, ntail = 0;
	u8 rex = 0, tail[16];
	u64 at = 0, imm = rnd();
	bool mem = f->flags & F_MODRM && (f->flags & F_MEM || below(4));

	if ((f->map == 2 && !has_movbe) || (f->flags & F_REP && features != ALL_FEATURES))
		return false;
	memcpy(before, shadow, sizeof(before));
	random_state();
	insn_len = 0;
	insn_66 = !(f->flags & F_NO66) && !below(4);
	insn_67 = !below(6);
	insn_gs = !below(10);
	insn_rexw = below(3) == 0;
	/* LOCK where it is not allowed is #UD, and that is a case too. */
	insn_lock = mem && f->flags & F_LOCKED ? !below(3) : f->flags & F_MODRM && !below(40);
	if (f->flags & F_STRING && below(3))
		byte(below(2) ? 0xf3 : 0xf2);
	if (!below(6))
		byte("\x26\x2e\x36\x3e"[below(4)]);
	if (insn_gs)
		byte(0x65);
	if (insn_66)
		byte(0x66);
	if (insn_67)
		byte(0x67);
	if (insn_lock)
		byte(0xf0);
	if (f->flags & F_REP)
		byte(0xf3);
	size = operand_size(f);
	if (f->map == 1 && insn_op == 0xc7)
		size = insn_rexw ? 16 : 8;
	if (f->flags & F_MODRM) {
		if (mem) {
			/* No split locks: the host may make them slow. */
			bool locked = insn_lock || (insn_op & 0xfe) == 0x86 || size == 16;

			at = target(locked && !(size == 16 && !below(4)) ? size : 1);
			put_memory(at, reg, &rex, tail, &ntail);
			if (f->flags & F_BITS)
				nat->in[reg] = below(4) ? below(256) - 128 : value();
		} else {
			unsigned int rm = (unsigned int)below(16);

			rex |= rm >> 3 | reg >> 3 << 2;
			tail[0] = 0xc0 | (reg & 7) << 3 | (rm & 7);
			ntail = 1;
			/* A branch to a register goes anywhere. */
			if (insn_op == 0xff && (f->ext == 2 || f->ext == 4))
				return false;
		}
	} else if (!below(4)) {
		rex |= 1;
	}
	if (insn_rexw)
		rex |= 8;
	if (rex || !below(6))
		byte(0x40 | rex);
	if (f->map)
		byte(0x0f);
	if (f->map == 2)
		byte(0x38);
	byte(insn_op);
	memcpy(insn + insn_len, tail, ntail);
	insn_len += ntail;
	if (f->flags & F_IMM16)
		little(insn_op == 0xc8 ? imm & 0xff : imm & 0xfff8, 2);
	if (f->flags & F_IMM8)
		little(insn_op == 0xc8 && f->map == 0 ? imm & 3 : imm >> 16, 1);
	if (f->flags & F_IMM8Z)
		little(BRANCH, 1);
	if (f->flags & F_IMMZ)
		little(imm, insn_66 && !insn_rexw ? 2 : 4);
	if (f->flags & F_IMMV)
		little(imm, insn_rexw ? 8 : insn_66 ? 2 : 4);
	if (insn_len > 15)
		return false;
	special_state(f, at);
	/* Branches through memory go to the prepared place, if the memory is there. */
	if (insn_op == 0xff && f->map == 0 && (f->ext == 2 || f->ext == 4)) {
		u64 to = CODE_AT + HOLE_AT + insn_len + BRANCH, off = at - DATA_AT;

		if (off < KEEL_PAGE_SIZE || off > sizeof(before) - 8 || insn_67 || insn_gs)
			return false;
		memcpy(before + off, &to, 8);
	}
	return true;
}

/* Flags that this very case leaves undefined. */
static unsigned int undefined_flags(const struct form *f)
{
	unsigned int size = operand_size(f), count, masked;

	if (!(f->flags & F_SHIFT))
		return f->undefined;
	if (f->flags & F_IMM8)
		count = insn[insn_len - 1];
	else if (f->map == 0 && (insn_op & 0xfe) == 0xd0)
		count = 1;
	else
		count = nat->in[KEEL_RCX] & 0xff;
	masked = count & (size == 8 ? 63 : 31);
	if (!masked)
		return 0;
	if (f->map == 1)
		return FL_AF | (masked > 1 ? FL_OF : 0) | (masked > 8 * size ? FL_ARITH : 0);
	if (f->ext < 4)
		return masked > 1 ? FL_OF : 0;
	return FL_AF | (masked > 1 ? FL_OF : 0) | (masked >= 8 * size && f->ext != 7 ? FL_CF : 0);
}

/* SHLD and SHRD of a word by more than its bits give anything. */
static bool undefined_result(const struct form *f)
{
	return f->flags & F_SHIFT && f->map == 1 && operand_size(f) == 2 &&
	       undefined_flags(f) == FL_ARITH;
}

static unsigned long undefined_differ, faults_seen[32], ran;

__printf(2, 3)
static void show(const struct form *f, const char *fmt, ...)
{
	char hex[64], what[200];
	unsigned int i, n = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	for (i = 0; i < insn_len; i++)
		n += (unsigned int)snprintf(hex + n, sizeof(hex) - n, "%02x ", insn[i]);
	ktap_fail(__FILE__, __LINE__, "%s: %s: %s", f->name, hex, what);
}

/*
 * An ENTER that faults has pushed already on some processors, and which of its accesses is
 * checked first is theirs as well: only that there is a fault is compared.
 */
static bool is_enter(const struct form *f)
{
	return f->map == 0 && insn_op == 0xc8;
}

/* CALL, JMP and RET. A CALL whose target faults may have pushed. */
static bool is_indirect(const struct form *f)
{
	return f->map == 0 && ((insn_op == 0xff && (f->ext == 2 || f->ext == 4)) ||
			       (insn_op & 0xfe) == 0xc2);
}

static void compare_fault(const struct form *f, int r)
{
	const struct keel_emul_exception *exc = &host.e.exc;
	bool faulted = nat->vector != ~0ULL;

	if (faulted ? r != KEEL_EMUL_FAULT : r != KEEL_EMUL_DONE) {
		show(f, "native vector %lld error %#llx cr2 %#llx, emulated result %d vector %u",
		     (long long)nat->vector, nat->error, nat->cr2, r, exc->vector);
		return;
	}
	if (r == KEEL_EMUL_DONE) {
		u64 rip = CODE_AT + HOLE_AT + insn_len + (nat->taken ? BRANCH : 0);

		if (host.regs.rip != rip)
			show(f, "RIP differs");
		return;
	}
	faults_seen[nat->vector & 31]++;
	if (is_enter(f) || !order_known)
		return;
	if (nat->vector != exc->vector || nat->error != exc->error ||
	    (nat->vector == 14 && nat->cr2 != exc->cr2))
		show(f, "native vector %llu error %#llx cr2 %#llx, emulated %u %#x %#llx",
		     nat->vector, nat->error, nat->cr2, exc->vector, exc->error, exc->cr2);
	if (host.regs.rip != nat->rip)
		show(f, "RIP of the fault differs");
}

static void compare_flags(const struct form *f, bool faulted)
{
	u64 flags = faulted ? nat->fault_flags : nat->out_flags;
	u64 differ = (flags ^ host.regs.rflags) & (FL_ARITH | FL_DF);

	if (differ & ~(u64)undefined_flags(f)) {
		show(f, "flags were %#llx, native %#llx, emulated %#llx", nat->in_flags, flags,
		     host.regs.rflags);
	} else if (differ) {
		undefined_differ++;
		if (getenv("KEEL_SHOW_UNDEFINED"))
			show(f, "undefined: were %#llx, native %#llx, emulated %#llx",
			     nat->in_flags, flags, host.regs.rflags);
	}
}

static void compare_state(const struct form *f, int r)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		u64 differ = nat->out[i] ^ host.regs.gpr[i];

		/*
		 * Some processors have cut the 32-bit registers of a REP when its first iteration
		 * faults.
		 */
		if (r && f->flags & F_STRING && insn_67)
			differ = (u32)differ;
		if (differ)
			show(f, "r%u was %#llx, native %#llx, emulated %#llx", i, nat->in[i],
			     nat->out[i], host.regs.gpr[i]);
	}
	compare_flags(f, r);
	if (!(r && (is_enter(f) || is_indirect(f))) &&
	    memcmp(data + KEEL_PAGE_SIZE, shadow + KEEL_PAGE_SIZE, 3 * KEEL_PAGE_SIZE))
		show(f, "memory differs");
}

static void run_case(const struct form *f)
{
	bool pushf = f->map == 0 && insn_op == 0x9c;
	int r;

	if (pushf)	/* what else is in there is the host's */
		nat->in_flags &= ~(u64)FL_AC;
	mprotect(data + 3 * KEEL_PAGE_SIZE, KEEL_PAGE_SIZE, PROT_READ | PROT_WRITE);
	memcpy(data + KEEL_PAGE_SIZE, before + KEEL_PAGE_SIZE, 3 * KEEL_PAGE_SIZE);
	mprotect(data + 3 * KEEL_PAGE_SIZE, KEEL_PAGE_SIZE, PROT_READ);
	memcpy(shadow, before, sizeof(shadow));

	host_init(&host, KEEL_EMUL_LONG64, DATA_AT, shadow);
	host.page[0] = HOST_NONE;
	host.page[3] = HOST_RO;
	host.e.cpl = 3;
	host.e.flags = KEEL_EMUL_S_AM;
	host.e.features = features;
	host.seg[KEEL_SEG_GS].base = GS_BASE;
	memcpy(host.regs.gpr, nat->in, sizeof(nat->in));
	host.regs.rflags = nat->in_flags;
	r = host_run(&host, CODE_AT + HOLE_AT, insn, insn_len);
	/*
	 * Memory of this program that is not the test's stays alone; so does the wrap at the
	 * very top.
	 */
	if (r == KEEL_EMUL_UNKNOWN ||
	    (r == KEEL_EMUL_FAULT && host.e.exc.vector == 14 && !(host.e.exc.cr2 >> 63) &&
	     host.e.exc.cr2 - DATA_AT >= sizeof(before)))
		return;

	/* An indirect branch that went wild in the test would go wild on the processor. */
	if (r == KEEL_EMUL_DONE && is_indirect(f) &&
	    host.regs.rip != CODE_AT + HOLE_AT + insn_len + BRANCH)
		return;

	put_instruction(insn, insn_len);
	nat->vector = ~0ULL;
	nat->taken = 0;
	((void (*)(void))code)();
	/* Linux hides whether the kernel's half is mapped. */
	if (nat->vector == 14 && nat->cr2 >> 63)
		nat->error &= ~1ULL;
	ran++;
	compare_fault(f, r);
	if (!undefined_result(f))
		compare_state(f, r);
	ktap_cases(1);
}

static unsigned int rounds = 300;

static void same_as_processor(void)
{
	unsigned int i, n;

	for (i = 0; i < nr_forms; i++)
		for (n = 0; n < rounds * (forms[i].more + 1U); n++) {
			insn_op = (u8)(forms[i].op + n % (forms[i].more + 1U));
			if (make_case(&forms[i]))
				run_case(&forms[i]);
		}
	printf("# flags that are undefined differed in %lu cases\n", undefined_differ);
}

/* The test is worth something only if it got to all the faults it can have. */
static void all_faults_met(void)
{
	static const u8 vectors[] = { 0, 6, 12, 13, 14, 17 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		printf("# vector %u: %lu\n", vectors[i], faults_seen[vectors[i]]);
		CHECK(faults_seen[vectors[i]] > 10, "vector %u", vectors[i]);
	}
	CHECK(ran > 100UL * nr_forms);
}

int main(int argc, char **argv)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(same_as_processor), KTAP_TEST(all_faults_met),
	};

	if (argc > 1)
		rounds = (unsigned int)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0) | 1;
	ask_processor();
	if (!setup()) {
		printf("1..0 # SKIP no memory at the addresses that the test needs\n");
		return 4;
	}
	return ktap_main(tests, ARRAY_SIZE(tests));
}
