// SPDX-License-Identifier: GPL-2.0
/*
 * Work that the kernel wants done before this thread enters a guest: signals,
 * rescheduling, notifications.  It owns a stand-in for a struct that the
 * kernel's own function writes to.  It must not know a vCPU of Keel's.
 */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>
#include "core/compat.h"

/*
 * Up to Linux 6.17 xfer_to_guest_mode_handle_work() takes a KVM vCPU, and on
 * a signal stores an exit reason and counts it there.  It reads nothing from
 * it: one that nobody looks at serves all.
 */
static struct kvm_run work_run;
static struct kvm_vcpu work_vcpu = { .run = &work_run };

bool keel_guest_mode_work_pending(void)
{
	return __xfer_to_guest_mode_work_pending();
}

int keel_handle_guest_mode_work(void)
{
	return xfer_to_guest_mode_handle_work(&work_vcpu) ? -EINTR : 0;
}
