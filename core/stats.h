/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters of a vCPU and of a VM, and the self-describing stream that
 * KEEL_STATS_FD reads them through.  It must not know what is counted.
 */
#ifndef KEEL_CORE_STATS_H
#define KEEL_CORE_STATS_H

#include "core/backend.h"

/* Owner thread writes, anybody reads: each a naturally atomic word.  Names for
 * user space stand in core/stats.c, in this order.
 */
struct keel_vcpu_stats {
	u64 user_exits;		/* returns to the launcher with an exit reason */
	u64 signal_exits;
	u64 halts;
	u64 kicks;		/* IPIs sent to this vCPU; any CPU, approximate */
	u64 irqs_injected;
	u64 nmis_injected;
	u64 exceptions_injected;
	u64 mmio_emulated;
	u64 emulated_insns;
	u64 stage2_mapped;
	u64 flushes;
	u64 policy_msr;		/* unknown accesses that the ZERO policy answered */
	u64 policy_pio;
	u64 policy_mmio;
	u64 requests;
};

/* Of each enum keel_exit_kind. */
extern const char *const keel_exit_names[KEEL_X_NR];

struct keel_vm;
int keel_stats_fd(struct keel_vm *vm);	/* [task] new fd or -errno */

/* Memory that Keel holds, in bytes, stage-2 tables apart; for KEEL_INFO and leak tests. */
extern atomic_long_t keel_mem_kernel, keel_mem_stage2, keel_nr_vms, keel_nr_vcpus;
static inline void keel_account(long bytes) { atomic_long_add(bytes, &keel_mem_kernel); }
static inline void keel_account_stage2(long bytes) { atomic_long_add(bytes, &keel_mem_stage2); }

#endif /* KEEL_CORE_STATS_H */
