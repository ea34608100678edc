/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The model of one local APIC, xAPIC and x2APIC: registers, priorities, the
 * timer as arithmetic on a time that is passed in.  Pure.  It must not know
 * vCPUs, hrtimers or the other LAPICs of its VM.
 *
 * Threads: "owner" is the vCPU's owner thread and calls everything but what is
 * marked "any".  Other CPUs hand over interrupts in @posted, whose first 64
 * bytes are laid out as VT-d's posted-interrupt descriptor, and read the
 * registers that say who is addressed, one word at a time.
 */
#ifndef KEEL_IRQCHIP_LAPIC_H
#define KEEL_IRQCHIP_LAPIC_H

#include "irqchip/route.h"

struct keel_rec_lapic;

/* Registers: offsets in the page.  The x2APIC's MSR is 0x800 + offset / 16. */
#define LAPIC_ID		0x020
#define LAPIC_VERSION		0x030
#define LAPIC_TPR		0x080
#define LAPIC_APR		0x090
#define LAPIC_PPR		0x0a0
#define LAPIC_EOI		0x0b0
#define LAPIC_RRD		0x0c0
#define LAPIC_LDR		0x0d0
#define LAPIC_DFR		0x0e0
#define LAPIC_SVR		0x0f0
#define LAPIC_ISR		0x100
#define LAPIC_TMR		0x180
#define LAPIC_IRR		0x200
#define LAPIC_ESR		0x280
#define LAPIC_ICR		0x300
#define LAPIC_ICR2		0x310
#define LAPIC_LVT_TIMER		0x320
#define LAPIC_LVT_THERMAL	0x330
#define LAPIC_LVT_PMC		0x340
#define LAPIC_LVT_LINT0		0x350
#define LAPIC_LVT_LINT1		0x360
#define LAPIC_LVT_ERROR		0x370
#define LAPIC_TMICT		0x380
#define LAPIC_TMCCT		0x390
#define LAPIC_TDCR		0x3e0
#define LAPIC_SELF_IPI		0x3f0

#define LAPIC_REGS_SIZE		0x400	/* bytes that hold registers */
#define LAPIC_X2_FIRST		0x800	/* MSRs */
#define LAPIC_X2_LAST		0x8ff

#define LAPIC_SVR_ENABLE	BIT(8)
#define LAPIC_LVT_MASKED	BIT(16)

/* IA32_APIC_BASE */
#define LAPIC_BASE_BSP		BIT_ULL(8)
#define LAPIC_BASE_X2		BIT_ULL(10)
#define LAPIC_BASE_ENABLE	BIT_ULL(11)
#define LAPIC_BASE_DEFAULT	0xfee00000ULL

/* Error status bits. */
#define LAPIC_ESR_SEND_VECTOR	BIT(5)
#define LAPIC_ESR_RECV_VECTOR	BIT(6)
#define LAPIC_ESR_REGISTER	BIT(7)
#define LAPIC_ESR_ALL		0xe0U

/* The timer counts at 1 GHz before its divider. */
#define LAPIC_TIMER_OFF		U64_MAX
/* Shortest period of the periodic mode: what a guest can cost the host. */
#define LAPIC_MIN_PERIOD_NS	200000
/* Periodic ticks that are kept while the guest does not take them. */
#define LAPIC_MAX_BACKLOG	32

/*
 * A posted-interrupt descriptor: a bit a vector, then the word with the
 * outstanding-notification bit.  Any CPU sets bits, the owner takes them.
 */
struct lapic_posted {
	unsigned long pir[4];
	unsigned long control;
	unsigned long reserved[3];
} __aligned(64);

#define LAPIC_POSTED_ON		0	/* bit of @control */

struct lapic {
	struct lapic_posted posted;	/* any */
	unsigned long posted_level[4];	/* any: trigger mode of what was posted */

	u32 *regs;		/* a zeroed page; owner writes, any reads a few */
	u64 base;		/* IA32_APIC_BASE; owner writes, any reads */
	u64 base_reserved;	/* bits of it that this guest does not have; constant */
	u32 id;			/* constant */
	s16 isr_top;		/* highest vector in service, -1: none */
	bool irr_maybe;		/* false: IRR is empty */
	/*
	 * The CPU moves vectors through IRR and ISR and ends them (virtual-interrupt
	 * delivery): the two above are not kept.
	 */
	bool cpu_delivers;
	/*
	 * What the timer runs by: a CPU that has the registers itself has overwritten
	 * them when it tells of the write.
	 */
	u32 timer_lvt, timer_tdcr;
	bool has_deadline;	/* the timer has the TSC-deadline mode; constant */
	u32 esr;		/* errors since ESR was written */

	/* The timer.  Times in ns. */
	u64 target;		/* next expiry, LAPIC_TIMER_OFF: none */
	u64 period;		/* from start to expiry; one-shot and periodic */
	u64 deadline;		/* IA32_TSC_DEADLINE, guest ticks */
	u32 backlog;		/* periodic ticks that IRR could not hold */
};

/* What a register write leaves for the caller to do. */
#define LAPIC_DO_LOOK		BIT(0)	/* an interrupt may get in now */
#define LAPIC_DO_TIMER		BIT(1)	/* @target changed */
#define LAPIC_DO_EOI		BIT(2)	/* a level ended: tell the IOAPIC @vector */
#define LAPIC_DO_SEND		BIT(3)	/* send @msg */
#define LAPIC_DO_MODE		BIT(4)	/* enabled, disabled, or changed between modes */

struct lapic_todo {
	u32 what;		/* LAPIC_DO_* */
	u8 vector;
	struct irq_msg msg;
};

static inline u32 lapic_reg(const struct lapic *l, u32 offset)
{
	return READ_ONCE(l->regs[offset / sizeof(u32)]);
}

static inline bool lapic_hw_enabled(const struct lapic *l)
{
	return READ_ONCE(l->base) & LAPIC_BASE_ENABLE;
}

static inline bool lapic_x2(const struct lapic *l)
{
	return READ_ONCE(l->base) & LAPIC_BASE_X2;
}

/*
 * Power-on state, or with @init what INIT leaves: ID and base stay.
 * @bsp: the bootstrap processor.  @l->regs, @id, @base_reserved and
 * @has_deadline are set.
 */
void lapic_model_reset(struct lapic *l, bool bsp, bool init);

/* ---- any CPU ------------------------------------------------------------- */

/* Is this LAPIC addressed?  Shorthands are the caller's. */
bool lapic_addressed(const struct lapic *l, const struct irq_msg *msg);
/* Would it take a fixed interrupt? */
bool lapic_accepts(const struct lapic *l);
/* Does INTR of the PIC reach the CPU: through LVT0, or past a disabled LAPIC? */
bool lapic_accepts_extint(const struct lapic *l);

#define LAPIC_POST_NOTIFY	BIT(0)	/* the owner must be told to look */
#define LAPIC_POST_MERGED	BIT(1)	/* the vector was waiting already */
/* Hands over a fixed interrupt.  Returns LAPIC_POST_*. */
u32 lapic_post(struct lapic *l, u8 vector, bool level);

/* ---- owner ----------------------------------------------------------------- */

static inline bool lapic_has_posted(const struct lapic *l)
{
	return READ_ONCE(l->posted.control) & BIT(LAPIC_POSTED_ON);
}

void lapic_merge(struct lapic *l);		/* takes what was posted into IRR */
int lapic_deliverable(struct lapic *l);		/* the vector that may interrupt now, or -1 */
int lapic_ack(struct lapic *l);			/* moves it to in service; -1 */
u32 lapic_ppr(const struct lapic *l);
/* The priority class that TPR has to be below for a waiting interrupt; 0: none waits on TPR. */
u8 lapic_threshold(struct lapic *l);
void lapic_set_tpr(struct lapic *l, u8 tpr, struct lapic_todo *todo);

/* The register page.  @now: the clock that @target is on. */
u64 lapic_page_read(struct lapic *l, u32 offset, u32 len, u64 now);
void lapic_page_write(struct lapic *l, u32 offset, u32 len, u64 val, u64 now,
		      struct lapic_todo *todo);
/* The MSRs, @index from LAPIC_X2_FIRST.  -EINVAL: #GP. */
int lapic_x2_read(struct lapic *l, u32 index, u64 *val, u64 now);
int lapic_x2_write(struct lapic *l, u32 index, u64 val, u64 now, struct lapic_todo *todo);
/* A register was written by a CPU that has the page itself: what the write does beyond. */
void lapic_written(struct lapic *l, u32 offset, u64 now, struct lapic_todo *todo);
/* Who moves vectors from now on; IRR and ISR are in the page for both. */
void lapic_set_delivery(struct lapic *l, bool cpu);
/*
 * With @cpu_delivers: the next kept tick into IRR.  The vector whose EOI brings
 * the one after it, -1: none is kept.
 */
int lapic_next_tick(struct lapic *l);
/* @cpu_delivers, and the CPU has ended @vector, whose EOI somebody waits for. */
void lapic_ended(struct lapic *l, u8 vector, struct lapic_todo *todo);
/* EOI, the hot one of the above. */
void lapic_eoi(struct lapic *l, struct lapic_todo *todo);

/* IA32_APIC_BASE: is @value a legal one at all; may it be written now (-EINVAL: #GP). */
bool lapic_base_valid(const struct lapic *l, u64 value);
int lapic_write_base(struct lapic *l, u64 value, struct lapic_todo *todo);
/* A valid value out of a record: no transition, registers stay. */
void lapic_model_load_base(struct lapic *l, u64 value);

static inline u32 lapic_timer_mode(const struct lapic *l)
{
	return lapic_reg(l, LAPIC_LVT_TIMER) >> 17 & 3;
}

#define LAPIC_TIMER_ONESHOT	0
#define LAPIC_TIMER_PERIODIC	1
#define LAPIC_TIMER_DEADLINE	2

/* The timer expired: what it raises, and its next expiry. */
void lapic_timer_expire(struct lapic *l, u64 now);
/* ns until a running one-shot or periodic timer expires, 0: stopped. */
u64 lapic_timer_left(const struct lapic *l, u64 now);

/* The record: @left is its timer_left_ns on a clock that reads @now. */
void lapic_model_save(struct lapic *l, struct keel_rec_lapic *rec, u64 now);
int lapic_model_check(const struct lapic *l, const struct keel_rec_lapic *rec, u32 *bad_offset);
void lapic_model_load(struct lapic *l, const struct keel_rec_lapic *rec, u64 now);

#endif /* KEEL_IRQCHIP_LAPIC_H */
