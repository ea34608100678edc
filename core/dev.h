/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The files that user space holds: the device, VMs and vCPUs, and the tables
 * of their calls.  It must not know what a call does.
 */
#ifndef KEEL_CORE_DEV_H
#define KEEL_CORE_DEV_H

#include <linux/fs.h>
#include "core/types.h"

struct keel_report;

int keel_dev_init(void);	/* [task] /dev/keel appears; last step of module init */
void keel_dev_exit(void);	/* [task] no file is open */

/*
 * For anon_inode_getfile(); private_data is the struct keel_vm or the struct
 * keel_vcpu.  A file holds one reference to the VM, which its release drops.
 * Create the file last, install its descriptor after all has succeeded.
 */
extern const struct file_operations keel_vm_fops;
extern const struct file_operations keel_vcpu_fops;

/* [task] core/module.c: what this machine has and lacks, a line a finding */
void keel_audit(struct keel_report *report);

#endif /* KEEL_CORE_DEV_H */
