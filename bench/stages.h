/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the measured guest tells the launcher.
 */
#ifndef KEEL_BENCH_STAGES_H
#define KEEL_BENCH_STAGES_H

#define STAGE_PORT	0x4b6
#define STAGE_USER	1	/* init runs */
#define STAGE_FORKS	2	/* 50 fork and exec */
#define STAGE_MEMORY	3	/* 32 MiB touched */
#define STAGE_SLEEPS	4	/* 100 sleeps of a millisecond */
#define STAGE_NR	5

#endif /* KEEL_BENCH_STAGES_H */
