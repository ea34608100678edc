// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel interfaces that differ between versions by more than a line:
 * suspend callbacks and the emergency slot.  It must not know what Keel does
 * in them.
 */
#include <linux/syscore_ops.h>
#include <asm/reboot.h>
#include "core/compat.h"

/* Set once before registration: a single user, core/hw.c. */
static void (*compat_suspend)(void);
static void (*compat_resume)(void);

#ifdef HAVE_REGISTER_SYSCORE

static int compat_syscore_suspend(void *data)
{
	compat_suspend();
	return 0;
}

static void compat_syscore_resume(void *data)
{
	compat_resume();
}

static const struct syscore_ops compat_syscore_ops = {
	.suspend = compat_syscore_suspend,
	.resume = compat_syscore_resume,
};

static struct syscore compat_syscore = {
	.ops = &compat_syscore_ops,
};

#define compat_register()	register_syscore(&compat_syscore)
#define compat_unregister()	unregister_syscore(&compat_syscore)

#else

static int compat_syscore_suspend(void)
{
	compat_suspend();
	return 0;
}

static void compat_syscore_resume(void)
{
	compat_resume();
}

static struct syscore_ops compat_syscore = {
	.suspend = compat_syscore_suspend,
	.resume = compat_syscore_resume,
};

#define compat_register()	register_syscore_ops(&compat_syscore)
#define compat_unregister()	unregister_syscore_ops(&compat_syscore)

#endif

void keel_syscore_register(void (*suspend)(void), void (*resume)(void))
{
	compat_suspend = suspend;
	compat_resume = resume;
	compat_register();
}

void keel_syscore_unregister(void)
{
	compat_unregister();
}

bool keel_emergency_register(void (*cb)(void))
{
#ifdef HAVE_CPU_EMERGENCY_CALLBACK
	cpu_emergency_register_virt_callback(cb);
	return true;
#else
	return false;
#endif
}

void keel_emergency_unregister(void (*cb)(void))
{
#ifdef HAVE_CPU_EMERGENCY_CALLBACK
	cpu_emergency_unregister_virt_callback(cb);
#endif
}
