// SPDX-License-Identifier: GPL-2.0
/*
 * The arithmetic of the emulator: results and flags of the integer operations on words of 1, 2,
 * 4 and 8 bytes, in plain C, so that the same code runs under a fuzzer. It owns what each flag
 * becomes. It must not know operands, memory or instructions.
 *
 * Flags that the architecture leaves undefined, and what they become here: AF after a logical
 * operation, a shift or a multiplication is 0; OF after a shift by more than one is what the
 * last single step would give; SF and PF after a multiplication are those of the low word, ZF
 * is 0; a division leaves all flags.
 */
#include "emulate/internal.h"

/* PF: set when the low byte has an even number of ones. */
static __always_inline u64 parity(u64 v)
{
	v ^= v >> 4;
	return (0x9669U >> (v & 15)) & 1 ? FL_PF : 0;
}

static __always_inline u64 szp(u64 r, unsigned int size)
{
	return (r ? 0 : FL_ZF) | (r & emul_sign(size) ? FL_SF : 0) | parity(r);
}

/*
 * Carries out of each bit position give CF and AF, and OF is a carry into the sign that does
 * not leave it.
 */
static __always_inline u64 flags_of(u64 carries, u64 overflow, u64 r, unsigned int size)
{
	u64 sign = emul_sign(size);

	return szp(r, size) | (carries & sign ? FL_CF : 0) | (carries & 8 ? FL_AF : 0) |
	       (overflow & sign ? FL_OF : 0);
}

static __always_inline u64 add(u64 a, u64 b, u64 c, unsigned int size, u64 *set)
{
	u64 r = (a + b + c) & emul_mask(size);

	*set = flags_of((a & b) | ((a | b) & ~r), (a ^ r) & (b ^ r), r, size);
	return r;
}

static __always_inline u64 sub(u64 a, u64 b, u64 c, unsigned int size, u64 *set)
{
	u64 r = (a - b - c) & emul_mask(size);

	*set = flags_of((~a & b) | ((~a | b) & r), (a ^ b) & (a ^ r), r, size);
	return r;
}

u64 alu_binary(unsigned int op, u64 a, u64 b, unsigned int size, u64 *fl)
{
	u64 set, r;

	switch (op) {
	case ALU_ADD:
		r = add(a, b, 0, size, &set);
		break;
	case ALU_ADC:
		r = add(a, b, *fl & FL_CF, size, &set);
		break;
	case ALU_SUB:
	case ALU_CMP:
		r = sub(a, b, 0, size, &set);
		break;
	case ALU_SBB:
		r = sub(a, b, *fl & FL_CF, size, &set);
		break;
	case ALU_OR:
		r = a | b;
		set = szp(r, size);
		break;
	case ALU_AND:
		r = a & b;
		set = szp(r, size);
		break;
	default:
		r = a ^ b;
		set = szp(r, size);
		break;
	}
	*fl = (*fl & ~FL_ARITH) | set;
	return r;
}

u64 alu_unary(unsigned int op, u64 a, unsigned int size, u64 *fl)
{
	u64 set, r;

	switch (op) {
	case UN_NOT:
		return ~a & emul_mask(size);
	case UN_NEG:
		r = sub(0, a, 0, size, &set);
		break;
	case UN_INC:
		r = add(a, 1, 0, size, &set);
		set = (set & ~FL_CF) | (*fl & FL_CF);
		break;
	default:
		r = sub(a, 1, 0, size, &set);
		set = (set & ~FL_CF) | (*fl & FL_CF);
		break;
	}
	*fl = (*fl & ~FL_ARITH) | set;
	return r;
}

/* Rotates change CF and OF only. @n is not zero, but may be a multiple of the width. */
static u64 rotate(unsigned int op, u64 a, unsigned int n, unsigned int size, u64 *fl)
{
	unsigned int bits = 8 * size;
	u64 sign = emul_sign(size), r = a, set;

	n &= bits - 1;
	if (op == SH_ROL) {
		if (n)
			r = ((a << n) | (a >> (bits - n))) & emul_mask(size);
		set = r & 1 ? FL_CF : 0;
		if (!(r & sign) != !(r & 1))
			set |= FL_OF;
	} else {
		if (n)
			r = ((a >> n) | (a << (bits - n))) & emul_mask(size);
		set = r & sign ? FL_CF : 0;
		if (!(r & sign) != !(r & (sign >> 1)))
			set |= FL_OF;
	}
	*fl = (*fl & ~(FL_CF | FL_OF)) | set;
	return r;
}

/* Rotates through CF: one bit more than the word has. @n is less than that. */
static u64 rotate_carry(unsigned int op, u64 a, unsigned int n, unsigned int size, u64 *fl)
{
	unsigned int bits = 8 * size;
	u64 sign = emul_sign(size), cf = *fl & FL_CF, r, set;

	if (!n)
		return a;
	if (op == SH_RCL) {
		r = (a << 1 | cf) << (n - 1);
		if (n > 1)
			r |= a >> (bits + 1 - n);
		set = (a >> (bits - n)) & 1;
		r &= emul_mask(size);
		if (!(r & sign) != !set)
			set |= FL_OF;
	} else {
		r = n < bits ? a >> n : 0;
		r |= cf << (bits - n);
		if (n > 1)
			r |= a << (bits + 1 - n);
		set = (a >> (n - 1)) & 1;
		r &= emul_mask(size);
		if (!(r & sign) != !(r & (sign >> 1)))
			set |= FL_OF;
	}
	*fl = (*fl & ~(FL_CF | FL_OF)) | set;
	return r;
}

/* SHL, SHR, SAR by @n, 1 to 63, which may be more than the word has. */
static u64 shift(unsigned int op, u64 a, unsigned int n, unsigned int size, u64 *fl)
{
	unsigned int bits = 8 * size;
	u64 sign = emul_sign(size), r, set;

	switch (op) {
	case SH_SHR:
		r = n < bits ? a >> n : 0;
		set = n <= bits ? (a >> (n - 1)) & 1 : 0;
		/* The bit that was the sign before the last step. */
		if (n <= bits && ((a >> (n - 1)) & sign))
			set |= FL_OF;
		break;
	case SH_SAR:
		a = emul_sext(a, size);
		r = (u64)((s64)a >> n) & emul_mask(size);
		set = (u64)((s64)a >> (n - 1)) & 1;
		break;
	default:
		r = (a << n) & emul_mask(size);
		set = n <= bits ? (a >> (bits - n)) & 1 : 0;
		if (!(r & sign) != !set)
			set |= FL_OF;
		break;
	}
	*fl = (*fl & ~FL_ARITH) | set | szp(r, size);
	return r;
}

u64 alu_shift(unsigned int op, u64 a, unsigned int count, unsigned int size, u64 *fl)
{
	unsigned int n = count & (size == 8 ? 63 : 31);

	if (!n)
		return a;
	if (op == SH_ROL || op == SH_ROR)
		return rotate(op, a, n, size, fl);
	if (op == SH_RCL || op == SH_RCR)
		return rotate_carry(op, a, n % (8 * size + 1), size, fl);
	return shift(op, a, n, size, fl);
}

/*
 * SHLD and SHRD. A 16-bit one by more than 16 is undefined; it goes on as if the destination
 * followed the source again.
 */
u64 alu_shift_double(bool right, u64 a, u64 b, unsigned int count, unsigned int size, u64 *fl)
{
	unsigned int bits = 8 * size, n = count & (size == 8 ? 63 : 31);
	u64 sign = emul_sign(size), r, cf;

	if (!n)
		return a;
	if (n > bits) {
		swap(a, b);
		n -= bits;
	}
	if (right) {
		cf = (a >> (n - 1)) & 1;
		r = n < bits ? (a >> n) | (b << (bits - n)) : b;
	} else {
		cf = (a >> (bits - n)) & 1;
		r = n < bits ? (a << n) | (b >> (bits - n)) : b;
	}
	r &= emul_mask(size);
	*fl = (*fl & ~FL_ARITH) | cf | szp(r, size) | ((a ^ r) & sign ? FL_OF : 0);
	return r;
}

u64 alu_mul(bool sign, u64 a, u64 b, unsigned int size, u64 *hi, u64 *fl)
{
	u64 mask = emul_mask(size), lo, h;
	bool over;

	if (sign) {
		__int128_t p = (__int128_t)(s64)emul_sext(a, size) * (s64)emul_sext(b, size);

		lo = (u64)p & mask;
		h = (size == 8 ? (u64)(p >> 64) : (u64)p >> (8 * size)) & mask;
		over = (__int128_t)(s64)emul_sext(lo, size) != p;
	} else {
		__uint128_t p = (__uint128_t)a * b;

		lo = (u64)p & mask;
		h = (size == 8 ? (u64)(p >> 64) : (u64)p >> (8 * size)) & mask;
		over = h != 0;
	}
	*hi = h;
	*fl = (*fl & ~FL_ARITH) | (over ? FL_CF | FL_OF : 0) | (lo & emul_sign(size) ? FL_SF : 0) |
	      parity(lo);
	return lo;
}

/* hi:lo / d with hi < d, bit by bit: the kernel has no 128-bit division. */
static u64 div128(u64 hi, u64 lo, u64 d, u64 *rem)
{
	unsigned int i;

	for (i = 0; i < 64; i++) {
		u64 out = hi >> 63;

		hi = hi << 1 | lo >> 63;
		lo <<= 1;
		if (out || hi >= d) {
			hi -= d;
			lo |= 1;
		}
	}
	*rem = hi;
	return lo;
}

static bool div_unsigned(u64 *hi, u64 *lo, u64 d, unsigned int size)
{
	u64 n, q, rem;

	if (!d || *hi >= d)
		return false;
	if (size == 8) {
		q = div128(*hi, *lo, d, &rem);
	} else {
		n = *hi << (8 * size) | *lo;
		q = div64_u64_rem(n, d, &rem);
	}
	*lo = q;
	*hi = rem;
	return true;
}

bool alu_div(bool sign, u64 *hi, u64 *lo, u64 d, unsigned int size)
{
	u64 mask = emul_mask(size), top = emul_sign(size);
	bool neg_n, neg_d;

	if (!sign)
		return div_unsigned(hi, lo, d, size);

	/* Divide the magnitudes; the remainder has the dividend's sign. */
	neg_n = *hi & top;
	neg_d = d & top;
	if (neg_n) {
		*lo = -*lo & mask;
		*hi = (~*hi + !*lo) & mask;
	}
	if (neg_d)
		d = -d & mask;
	if (!div_unsigned(hi, lo, d, size))
		return false;
	if (*lo > (neg_n != neg_d ? top : top - 1))
		return false;
	if (neg_n != neg_d)
		*lo = -*lo & mask;
	if (neg_n)
		*hi = -*hi & mask;
	return true;
}

bool alu_condition(unsigned int cc, u64 fl)
{
	bool less = !(fl & FL_SF) != !(fl & FL_OF);
	bool r;

	switch (cc >> 1 & 7) {
	case 0:
		r = fl & FL_OF;
		break;
	case 1:
		r = fl & FL_CF;
		break;
	case 2:
		r = fl & FL_ZF;
		break;
	case 3:
		r = fl & (FL_CF | FL_ZF);
		break;
	case 4:
		r = fl & FL_SF;
		break;
	case 5:
		r = fl & FL_PF;
		break;
	case 6:
		r = less;
		break;
	default:
		r = less || (fl & FL_ZF);
		break;
	}
	return r != (cc & 1);
}
