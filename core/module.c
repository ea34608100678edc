// SPDX-License-Identifier: GPL-2.0
/*
 * The module: finds the back end of this machine, brings the parts up in
 * order and takes them down in the reverse one.  The only file of core/ that
 * knows which vendors there are.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/module.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include "core/backend.h"
#include "core/cpuid.h"
#include "core/dev.h"
#include "core/event.h"
#include "core/hw.h"
#include "core/mitigate.h"
#include "core/run.h"
#include "core/vm.h"

static const struct keel_backend_ops *const backends[] = { &svm_ops, &vmx_ops };

const struct keel_backend_ops *keel_backend __ro_after_init;

DEFINE_STATIC_CALL_NULL(keel_backend_enter, KEEL_BACKEND_FN(enter));
DEFINE_STATIC_CALL_NULL(keel_backend_skip_insn, KEEL_BACKEND_FN(skip_insn));
DEFINE_STATIC_CALL_NULL(keel_backend_state_get, KEEL_BACKEND_FN(state_get));
DEFINE_STATIC_CALL_NULL(keel_backend_state_set, KEEL_BACKEND_FN(state_set));

#define AUDIT_SIZE	4096

void keel_report(struct keel_report *report, const char *fmt, ...)
{
	size_t at;
	va_list args;
	int len;

	if (!report)
		return;
	at = min(report->len, report->size);
	va_start(args, fmt);
	len = vsnprintf(report->buf ? report->buf + at : NULL,
			report->buf ? report->size - at : 0, fmt, args);
	va_end(args);
	report->len += max(len, 0);
}

void keel_audit(struct keel_report *report)
{
	unsigned int i;

	if (keel_backend) {
		keel_backend->probe(report);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(backends); i++)
		if (backends[i]->probe(report) != -ENODEV)
			return;
	keel_report(report, "this CPU's vendor has no back end in this module\n");
}

/* The findings, a line of the log each. */
static void __init log_audit(struct keel_report *report)
{
	char *text = report->buf, *line;

	while ((line = strsep(&text, "\n")) != NULL)
		if (*line)
			pr_notice("%s\n", line);
}

static void __init bind_backend(void)
{
	static_call_update(keel_backend_enter, keel_backend->enter);
	static_call_update(keel_backend_skip_insn, keel_backend->skip_insn);
	static_call_update(keel_backend_state_get, keel_backend->state_get);
	static_call_update(keel_backend_state_set, keel_backend->state_set);
}

/* A machine without virtualization is no error: the device then tells why. */
static int __init choose_backend(void)
{
	struct keel_report report = { .size = AUDIT_SIZE };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(backends) && !keel_backend; i++)
		if (!backends[i]->probe(NULL))
			keel_backend = backends[i];
	if (keel_backend) {
		bind_backend();
		return keel_backend->setup();
	}

	report.buf = kzalloc(AUDIT_SIZE, GFP_KERNEL);
	if (!report.buf)
		return -ENOMEM;
	keel_audit(&report);
	pr_notice("no usable virtualization on this machine; no VM can be created\n");
	log_audit(&report);
	kfree(report.buf);
	return 0;
}

static int __init keel_module_init(void)
{
	int ret;

	ret = choose_backend();
	if (ret)
		return ret;
	ret = keel_cpuid_setup();
	if (ret)
		goto err_backend;
	if (keel_backend)
		keel_msr_setup();
	ret = keel_mitigate_setup();
	if (ret)
		goto err_backend;
	ret = keel_event_setup();
	if (ret)
		goto err_mitigate;
	ret = keel_hw_init();
	if (ret)
		goto err_event;
	keel_run_setup();
	ret = keel_dev_init();
	if (ret)
		goto err_run;
	pr_info("ready%s%s\n", keel_backend ? ", back end " : "",
		keel_backend ? keel_backend->name : "");
	return 0;

err_run:
	keel_run_teardown();
	keel_hw_exit();
err_event:
	keel_event_teardown();
err_mitigate:
	keel_mitigate_teardown();
err_backend:
	if (keel_backend)
		keel_backend->teardown();
	return ret;
}

/* Every open file holds the module, so no VM is left here; what they handed to
 * RCU may be.
 */
static void __exit keel_module_exit(void)
{
	keel_dev_exit();
	keel_run_teardown();
	keel_event_teardown();
	s2_exit();
	srcu_barrier(&keel_srcu);
	rcu_barrier();
	keel_hw_exit();
	keel_mitigate_teardown();
	if (keel_backend)
		keel_backend->teardown();
}

module_init(keel_module_init);
module_exit(keel_module_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Keel hypervisor core");
MODULE_VERSION("0.1");
