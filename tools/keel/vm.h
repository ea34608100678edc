/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Keel's ABI as functions: one for each call that the launcher makes, with the
 * errors told to the user. It must not know a device, a guest or a verb.
 */
#ifndef KEEL_TOOL_VM_H
#define KEEL_TOOL_VM_H

#include <linux/keel.h>

#include "exitcode.h"
#include "memory.h"

#define VM_MSRS	32

struct vcpu {
	int fd;
	struct keel_run *run;
	const void *ledger;	/* the exit ledger, read-only */
	size_t ledger_len;
};

struct vm {
	int dev;		/* /dev/keel */
	int fd;			/* -1: none */
	struct keel_info info;
	unsigned int nr_vcpus;
	struct vcpu *vcpu;
};

/* Open /dev/keel and read what it offers. EXIT_OK, or what to exit with. */
enum exitcode vm_open_device(struct vm *vm);
/* KEEL_INFO with the text of the capability audit (malloc'ed, or NULL). 0 or -errno. */
int vm_info(int dev, struct keel_info *info, char **report);

/* KEEL_CREATE_VM with @features. EXIT_OK, or what to exit with. */
enum exitcode vm_create(struct vm *vm, u64 features);
/* The VM, its vCPUs and their mappings go; the device stays open. */
void vm_destroy(struct vm *vm);

/* All of these: 0 or -errno, after telling the user. */
int vm_irqchip(struct vm *vm);
int vm_map_memory(struct vm *vm, const struct memory *mem);
int vm_policy(struct vm *vm, const struct keel_policy *policy);
int vm_create_vcpus(struct vm *vm, unsigned int nr);
int vm_set_cpuid(struct vm *vm, struct keel_cpuid_entry *entries, u32 nr);
int vm_get_sregs(struct vcpu *vcpu, struct keel_sregs *sregs);
int vm_set_regs(struct vcpu *vcpu, const struct keel_regs *regs, const struct keel_sregs *sregs);
/* At most VM_MSRS of them, all or none. */
int vm_set_msrs(struct vcpu *vcpu, const struct keel_rec_msr *msrs, unsigned int nr);

/* *@entries is malloc'ed, with room for @spare more. 0 or -errno. */
int vm_get_cpuid(struct vm *vm, struct keel_cpuid_entry **entries, u32 *nr, u32 spare);

/* These tell nobody: 0 or -errno. */
int vm_irq_line(struct vm *vm, u32 gsi, bool level);
int vm_pause(struct vm *vm);
int vm_resume(struct vm *vm);
int vm_kick(struct vcpu *vcpu);
int vm_run(struct vcpu *vcpu);
int vm_stats_fd(struct vm *vm);		/* a fd or -errno */

#endif /* KEEL_TOOL_VM_H */
