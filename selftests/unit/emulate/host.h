/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the emulator's tests share: a flat machine of a few pages around an emulator, with a log
 * of what the callbacks did. It knows the emulator's public header only.
 */
#ifndef KEEL_UNIT_EMULATE_HOST_H
#define KEEL_UNIT_EMULATE_HOST_H

#include "emulate/emulate.h"

#define HOST_PAGES	4

enum host_page { HOST_NONE, HOST_RO, HOST_RW, HOST_MMIO };

struct host_access {
	char kind;	/* 'r'ead 'w'rite 'x'change 'p'robe 'i'n 'o'ut */
	u8 len;
	u8 acc;
	u64 addr;
	u8 data[16];
};

struct host {
	struct keel_emul e;
	struct keel_emul_regs regs;
	struct keel_emul_segment seg[KEEL_NR_SEGS];

	/* Linear [base, base + HOST_PAGES pages) is @mem; elsewhere nothing is mapped. */
	u64 base;
	u8 *mem;
	u8 page[HOST_PAGES];	/* enum host_page */
	u8 code[32];		/* instruction bytes, at regs.rip plus CS base, when @code_len */
	unsigned int code_len;
	u64 code_at;

	/*
	 * MMIO and ports: reads answer with this; when @pending, first PENDING and then the
	 * answer.
	 */
	u64 mmio_value;
	bool pending;
	unsigned int answered_step;	/* the step that the answers belong to */
	unsigned int answered;	/* entries of the replay log that have their answer */
	unsigned int cursor;	/* the next access of this execution */
	bool lose_race;

	/* What was done; a step that is executed again replaces what it had logged before. */
	struct host_access log[64];
	unsigned int logged;
	unsigned int log_step_start;	/* entries of earlier steps */
	unsigned int log_at;		/* the step that the later ones belong to */
};

/* A machine of @mode with flat or real-mode segments, RW pages, and @mem for them. */
void host_init(struct host *h, unsigned int mode, u64 base, u8 *mem);

/* Put an instruction at @rip and decode it. */
int host_decode(struct host *h, u64 rip, const void *bytes, unsigned int len);

/* Decode and execute, over all iterations of a REP; @bytes as above. */
int host_run(struct host *h, u64 rip, const void *bytes, unsigned int len);

/* Execute the decoded instruction once, with a fresh cursor in the replay log. */
int host_exec(struct host *h);

#endif /* KEEL_UNIT_EMULATE_HOST_H */
