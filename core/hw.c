// SPDX-License-Identifier: GPL-2.0
/*
 * Ownership of the CPUs' virtualization.  Keel takes it with the first VM and
 * gives it back with the last, CPU by CPU, and never clears what it did not
 * set.  It must not know how a vendor switches it on.
 *
 * Locks: hw_mutex covers users, ownership and what is known of KVM.  It is
 * taken outside of the CPU hotplug lock; the hotplug callbacks take nothing.
 * A CPU's own word (hw_taken) changes on that CPU with IRQs off only.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/keel.h>
#include "core/backend.h"
#include "core/compat.h"
#include "core/hw.h"

static char *ownership = "lazy";
module_param(ownership, charp, 0444);
MODULE_PARM_DESC(ownership,
		 "lazy: hold the CPUs' virtualization while a VM lives (default); eager: while the module is loaded");

static bool veto_kvm = true;
module_param(veto_kvm, bool, 0644);
MODULE_PARM_DESC(veto_kvm, "refuse to load kvm_intel and kvm_amd while Keel holds the CPUs (default Y)");

static bool allow_idle_kvm;
module_param(allow_idle_kvm, bool, 0644);
MODULE_PARM_DESC(allow_idle_kvm,
		 "create VMs beside an idle KVM that shares the kernel's emergency callback (default N)");

bool keel_hw_rebooting;

static DEFINE_MUTEX(hw_mutex);
static unsigned int hw_users;		/* hw_mutex */
static bool hw_owned;			/* hw_mutex; suspend reads it with all else stopped */
static bool hw_emergency;		/* hw_mutex: the emergency slot is ours */
static int hw_state;			/* hw_mutex: our CPU hotplug state while owned */
static unsigned long hw_kvm_seen;	/* hw_mutex: kvm_modules[] on their way in or loaded */

/* Why the last CPU refused; written by the hotplug callbacks, one at a time. */
static enum keel_busy hw_why;
static int hw_why_cpu;

static DEFINE_PER_CPU(bool, hw_taken);

static const char *const kvm_modules[] = { "kvm_amd", "kvm_intel" };

/* ---- one CPU ----------------------------------------------------------------- */

/* [cpu] check and set are one step for everybody else on this CPU */
static int hw_cpu_take(enum keel_busy *why)
{
	int ret;

	if (READ_ONCE(keel_hw_rebooting))
		return -EBUSY;
	if (__this_cpu_read(hw_taken))
		return 0;
	ret = keel_backend->cpu_on(why);
	if (!ret)
		__this_cpu_write(hw_taken, true);
	return ret;
}

/* [cpu] */
static void hw_cpu_release(void *unused)
{
	if (!__this_cpu_read(hw_taken))
		return;
	__this_cpu_write(hw_taken, false);
	keel_backend->cpu_off();
}

bool keel_hw_cpu_ready(void)
{
	return __this_cpu_read(hw_taken);
}

/* In the CPU's hotplug thread: for each online CPU when ownership is taken,
 * later for each that comes up.  An error keeps that CPU offline.
 */
static int hw_online(unsigned int cpu)
{
	enum keel_busy why = KEEL_BUSY_BY_NONE;
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = hw_cpu_take(&why);
	local_irq_restore(flags);
	if (ret) {
		WRITE_ONCE(hw_why, why);
		WRITE_ONCE(hw_why_cpu, cpu);
		if (READ_ONCE(hw_owned))
			pr_notice("CPU %u stays offline: cannot switch %s on (%d)\n", cpu,
				  keel_backend->name, ret);
	}
	return ret;
}

static int hw_offline(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	hw_cpu_release(NULL);
	local_irq_restore(flags);
	return 0;
}

/* ---- suspend, reboot, crash -------------------------------------------------- */

/* On the boot CPU, IRQs off; the other CPUs are offline. */
static void hw_suspend(void)
{
	hw_cpu_release(NULL);
}

static void hw_resume(void)
{
	enum keel_busy why = KEEL_BUSY_BY_NONE;

	if (hw_owned && hw_cpu_take(&why))
		pr_err("CPU %d: cannot switch %s on after sleep: VMs cannot run there\n",
		       raw_smp_processor_id(), keel_backend->name);
}

/*
 * A CPU that is in VMX operation blocks INIT, and firmware may hang on it: go
 * out before a reboot or a kexec.  Nobody takes a CPU back after the flag.
 */
static int hw_reboot(struct notifier_block *nb, unsigned long event, void *data)
{
	WRITE_ONCE(keel_hw_rebooting, true);
	on_each_cpu(hw_cpu_release, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block hw_reboot_nb = {
	.notifier_call = hw_reboot,
};

/* In NMI context on a machine that crashes: no locks, no messages. */
static void hw_emergency_off(void)
{
	WRITE_ONCE(keel_hw_rebooting, true);
	if (__this_cpu_read(hw_taken))
		keel_backend->cpu_emergency_off();
}

/* ---- beside KVM -------------------------------------------------------------- */

static bool hw_path_exists(const char *name)
{
	struct path path;

	if (kern_path(name, 0, &path))
		return false;
	path_put(&path);
	return true;
}

/* [hw_mutex] a loaded KVM vendor module (or one that is about to be), or NULL */
static const char *hw_kvm_module(void)
{
	char name[32];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kvm_modules); i++) {
		snprintf(name, sizeof(name), "/sys/module/%s", kvm_modules[i]);
		if (test_bit(i, &hw_kvm_seen) || hw_path_exists(name))
			return kvm_modules[i];
	}
	return NULL;
}

/*
 * Newer kernels let KVM register the emergency callback whenever it takes the
 * CPUs; they can be told by the parameter that says when.
 */
static bool hw_kvm_wants_slot(void)
{
	return hw_path_exists("/sys/module/kvm/parameters/enable_virt_at_load");
}

static int hw_kvm_index(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kvm_modules); i++)
		if (!strcmp(name, kvm_modules[i]))
			return i;
	return -1;
}

/*
 * KVM that comes while we hold the CPUs would find the emergency slot taken
 * and warn about itself; a refused load is the clean answer.
 */
static int hw_module_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct module *module = data;
	int kvm = hw_kvm_index(module->name);
	int ret = NOTIFY_DONE;

	if (kvm < 0 || (event != MODULE_STATE_COMING && event != MODULE_STATE_GOING))
		return NOTIFY_DONE;
	mutex_lock(&hw_mutex);
	if (event == MODULE_STATE_GOING) {
		__clear_bit(kvm, &hw_kvm_seen);
	} else if (hw_owned && veto_kvm) {
		pr_notice("%s is refused while Keel holds the CPUs: end Keel's VMs first (keel.veto_kvm=0 allows it)\n",
			  module->name);
		ret = notifier_from_errno(-EBUSY);
	} else {
		__set_bit(kvm, &hw_kvm_seen);
	}
	mutex_unlock(&hw_mutex);
	return ret;
}

static struct notifier_block hw_module_nb = {
	.notifier_call = hw_module_event,
};

/* ---- first VM to last VM ----------------------------------------------------- */

/* One line that names the holder and the remedy; returns KEEL_BUSY_*. */
static u32 hw_explain(const char *kvm)
{
	int cpu = READ_ONCE(hw_why_cpu);

	switch (READ_ONCE(hw_why)) {
	case KEEL_BUSY_BY_OTHER:
		if (!kvm) {
			pr_notice("CPU %d: another hypervisor holds the CPU's virtualization: unload it\n",
				  cpu);
			return KEEL_BUSY_FOREIGN;
		}
		if (hw_kvm_wants_slot())
			pr_notice("%s holds the CPUs: end its VMs, and unload it (rmmod %s) or load kvm with enable_virt_at_load=0\n",
				  kvm, kvm);
		else
			pr_notice("%s holds the CPUs: end its VMs or unload it (rmmod %s)\n",
				  kvm, kvm);
		return KEEL_BUSY_KVM;
	case KEEL_BUSY_BY_FIRMWARE:
		pr_notice("CPU %d: the firmware has switched virtualization off: enable it in the firmware's set-up\n",
			  cpu);
		return KEEL_BUSY_FIRMWARE;
	default:
		return KEEL_BUSY_NONE;
	}
}

/* [hw_mutex] */
static int hw_acquire(u32 *reason)
{
	const char *kvm = hw_kvm_module();
	int state;

	*reason = KEEL_BUSY_NONE;
	if (kvm && hw_kvm_wants_slot() && !allow_idle_kvm) {
		pr_notice("%s is loaded and holds the CPUs, or may at any time: unload it (rmmod %s), or load kvm with enable_virt_at_load=0 and set keel.allow_idle_kvm=1\n",
			  kvm, kvm);
		*reason = KEEL_BUSY_KVM;
		return -EBUSY;
	}
	WRITE_ONCE(hw_why, KEEL_BUSY_BY_NONE);
	state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/keel:online", hw_online, hw_offline);
	if (state < 0) {
		*reason = hw_explain(kvm);
		return *reason == KEEL_BUSY_FIRMWARE ? -EOPNOTSUPP : state;
	}
	hw_state = state;
	WRITE_ONCE(hw_owned, true);
	/* One slot for the whole machine: KVM's while its module is loaded. */
	if (!kvm)
		hw_emergency = keel_emergency_register(hw_emergency_off);
	return 0;
}

/* [hw_mutex] */
static void hw_release(void)
{
	WRITE_ONCE(hw_owned, false);
	cpuhp_remove_state(hw_state);
	if (hw_emergency)
		keel_emergency_unregister(hw_emergency_off);
	hw_emergency = false;
}

int keel_hw_get(u32 *reason)
{
	int ret = 0;

	*reason = KEEL_BUSY_NONE;
	mutex_lock(&hw_mutex);
	if (!hw_owned)
		ret = hw_acquire(reason);
	if (!ret)
		hw_users++;
	mutex_unlock(&hw_mutex);
	return ret;
}

void keel_hw_put(void)
{
	mutex_lock(&hw_mutex);
	if (!--hw_users)
		hw_release();
	mutex_unlock(&hw_mutex);
}

int keel_hw_init(void)
{
	bool eager = !strcmp(ownership, "eager");
	u32 reason;
	int ret;

	if (!eager && strcmp(ownership, "lazy")) {
		pr_err("ownership=%s: lazy or eager\n", ownership);
		return -EINVAL;
	}
	if (!keel_backend)
		return 0;
	ret = register_module_notifier(&hw_module_nb);
	if (ret)
		return ret;
	ret = register_reboot_notifier(&hw_reboot_nb);
	if (ret)
		goto err_module;
	keel_syscore_register(hw_suspend, hw_resume);
	if (eager) {
		ret = keel_hw_get(&reason);
		if (ret)
			goto err_syscore;
	}
	return 0;

err_syscore:
	keel_syscore_unregister();
	unregister_reboot_notifier(&hw_reboot_nb);
err_module:
	unregister_module_notifier(&hw_module_nb);
	return ret;
}

void keel_hw_exit(void)
{
	if (!keel_backend)
		return;
	if (hw_users)		/* eager: the module itself is the last user */
		keel_hw_put();
	keel_syscore_unregister();
	unregister_reboot_notifier(&hw_reboot_nb);
	unregister_module_notifier(&hw_module_nb);
}
