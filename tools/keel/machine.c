// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a machine: built, started, ended, taken apart, and after a
 * reboot all of it again on the same threads and the same memory. It must not
 * know the command line, the terminal's keys or the control socket.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "acpi.h"
#include "boot_linux.h"
#include "cpuid.h"
#include "machine.h"
#include "mtrr.h"
#include "smbios.h"

/* What the launcher's machine is made of, where the host has it. */
#define NEEDED		KEEL_FEAT_IRQCHIP
#define WELCOME		(KEEL_FEAT_IRQCHIP | KEEL_FEAT_IRQFD | KEEL_FEAT_IOEVENTFD | \
			 KEEL_FEAT_X2APIC | KEEL_FEAT_TSC_DEADLINE)

static const struct {
	const char *name;
	enum exitcode status;
} causes[END_NR] = {
	[END_NONE] = { "running", EXIT_OK },
	[END_POWER_OFF] = { "power-off", EXIT_OK },
	[END_REBOOT] = { "reboot", EXIT_REBOOT },
	[END_CRASH] = { "crash", EXIT_CRASHED },
	[END_EMULATION] = { "emulation-failure", EXIT_EMULATION },
	[END_ENTRY] = { "entry-failure", EXIT_ENTRY },
	[END_MEMORY] = { "memory-fault", EXIT_MEMORY },
	[END_KILLED] = { "killed", EXIT_KILLED },
	[END_BUGGED] = { "bugged", EXIT_BUGGED },
	[END_LAUNCHER] = { "launcher-failure", EXIT_LAUNCHER },
};

const char *end_cause_name(enum end_cause cause)
{
	return causes[cause].name;
}

enum exitcode end_cause_exit(enum end_cause cause)
{
	return causes[cause].status;
}

/* ---- threads ------------------------------------------------------------------ */

static int create_threads(struct machine *m)
{
	m->thread = calloc(m->config.cpus, sizeof(*m->thread));
	if (!m->thread)
		return -ENOMEM;
	while (m->nr_threads < m->config.cpus) {
		struct vcpu_thread *t = &m->thread[m->nr_threads];
		int rc;

		t->machine = m;
		t->id = m->nr_threads;
		rc = pthread_create(&t->thread, NULL, vcpu_main, t);
		if (rc)
			return -rc;
		m->nr_threads++;
	}
	return 0;
}

int machine_init(struct machine *m)
{
	int rc;

	pthread_mutex_init(&m->dev_lock, NULL);
	pthread_mutex_init(&m->run_lock, NULL);
	pthread_cond_init(&m->started, NULL);
	pthread_cond_init(&m->parked, NULL);
	m->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->rtc_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	rc = m->end_fd < 0 || m->rtc_fd < 0 ? -errno : 0;
	if (!rc)
		rc = memory_alloc(&m->mem, m->config.memory);
	if (rc == -ENOMEM)
		say("cannot get %llu MiB for the guest: give less with -m",
		    m->config.memory >> 20);
	else if (rc)
		say("cannot prepare the machine: %s", strerror(-rc));
	if (rc)
		return rc;
	rc = devices_init(m);
	if (!rc)
		rc = create_threads(m);
	if (rc)
		say("cannot prepare the machine: %s", strerror(-rc));
	return rc;
}

void machine_fini(struct machine *m)
{
	pthread_mutex_lock(&m->run_lock);
	m->quit = true;
	pthread_cond_broadcast(&m->started);
	pthread_mutex_unlock(&m->run_lock);
	for (unsigned int i = 0; i < m->nr_threads; i++)
		pthread_join(m->thread[i].thread, NULL);
	free(m->thread);
	m->thread = NULL;
	vm_destroy(&m->vm);
	memory_free(&m->mem);
	close(m->end_fd);
	close(m->rtc_fd);
}

/* ---- the VM --------------------------------------------------------------------- */

static int set_cpuid(struct machine *m)
{
	struct keel_cpuid_entry *entries;
	u32 nr;
	int rc = vm_get_cpuid(&m->vm, &entries, &nr, CPUID_SPARE);

	if (rc < 0)
		return rc;
	nr = cpuid_shape(entries, nr, m->config.cpus);
	m->phys_bits = cpuid_phys_bits(entries, nr);
	rc = vm_set_cpuid(&m->vm, entries, nr);
	free(entries);
	return rc;
}

/* What firmware does on every CPU before an operating system comes. */
static int set_msrs(struct machine *m)
{
	struct keel_rec_msr msrs[MTRR_MSRS];
	int rc = 0;

	mtrr_firmware(msrs, m->phys_bits);
	for (unsigned int i = 0; i < m->vm.nr_vcpus && rc >= 0; i++)
		rc = vm_set_msrs(&m->vm.vcpu[i], msrs, MTRR_MSRS);
	return rc;
}

static int load_guest(struct machine *m)
{
	const struct boot_linux boot = {
		.kernel = m->config.kernel, .initrd = m->config.initrd,
		.cmdline = m->config.cmdline, .rsdp = ACPI_GPA,
	};
	struct keel_sregs sregs;
	struct keel_regs regs;
	char why[256];
	u8 *tables;
	int rc;

	rc = vm_get_sregs(&m->vm.vcpu[0], &sregs);
	if (rc < 0)
		return rc;
	if (boot_linux_load(&boot, &m->mem, &regs, &sregs, why, sizeof(why))) {
		say("%s", why);
		return -EINVAL;
	}
	tables = memory_at(&m->mem, ACPI_GPA, ACPI_ROOM);
	if (!tables || !acpi_build(tables, ACPI_ROOM, ACPI_GPA, m->config.cpus)) {
		say("the ACPI tables do not fit: give fewer CPUs with -c");
		return -ENOSPC;
	}
	tables = memory_at(&m->mem, SMBIOS_GPA, SMBIOS_ROOM);
	if (!tables || !smbios_build(tables, SMBIOS_ROOM, SMBIOS_GPA)) {
		say("the SMBIOS tables do not fit");
		return -ENOSPC;
	}
	return vm_set_regs(&m->vm.vcpu[0], &regs, &sregs);
}

static bool check_host(struct machine *m)
{
	const struct keel_info *info = &m->vm.info;

	if (m->config.cpus > info->max_vcpus) {
		say("this host gives a VM at most %u CPUs, not %u", info->max_vcpus,
		    m->config.cpus);
		return false;
	}
	if (info->run_size < sizeof(struct keel_run)) {
		say("this launcher is newer than the module: load its keel.ko");
		return false;
	}
	return true;
}

enum exitcode machine_build(struct machine *m)
{
	/*
	 * MMIO that nobody claims is answered in the kernel, and counted: there
	 * is no device behind it here. Ports come to the launcher's bus.
	 */
	const struct keel_policy policy = {
		.msr = KEEL_POLICY_FAULT, .pio = KEEL_POLICY_EXIT,
		.mmio = KEEL_POLICY_ZERO, .hypercall = KEEL_POLICY_FAULT,
	};
	enum exitcode code;
	u64 drain;

	code = vm_create(&m->vm, (m->vm.info.features & WELCOME) | NEEDED);
	if (code)
		return code;
	if (!check_host(m) || vm_policy(&m->vm, &policy) < 0 || vm_irqchip(&m->vm) < 0 ||
	    vm_map_memory(&m->vm, &m->mem) < 0 || set_cpuid(m) < 0 ||
	    vm_create_vcpus(&m->vm, m->config.cpus) < 0 || set_msrs(m) < 0 ||
	    load_guest(m) < 0) {
		vm_destroy(&m->vm);
		return EXIT_LAUNCHER;
	}
	/* What the last life has left behind. */
	if (read(m->end_fd, &drain, sizeof(drain)) < 0 && errno != EAGAIN)
		return EXIT_LAUNCHER;
	m->detail[0] = '\0';
	m->paused = false;
	atomic_store(&m->end, END_NONE);
	devices_reset(m);
	return EXIT_OK;
}

void machine_start(struct machine *m)
{
	pthread_mutex_lock(&m->run_lock);
	m->nr_running = m->nr_threads;
	m->generation++;
	pthread_cond_broadcast(&m->started);
	pthread_mutex_unlock(&m->run_lock);
}

void machine_end(struct machine *m, enum end_cause cause, const char *fmt, ...)
{
	const u64 one = 1;
	va_list ap;

	pthread_mutex_lock(&m->run_lock);
	if (atomic_load(&m->end) == END_NONE) {
		va_start(ap, fmt);
		vsnprintf(m->detail, sizeof(m->detail), fmt, ap);
		va_end(ap);
		atomic_store(&m->end, cause);
		/* A kick is sticky: a vCPU on its way into RUN comes back too. */
		for (unsigned int i = 0; i < m->vm.nr_vcpus; i++)
			vm_kick(&m->vm.vcpu[i]);
		if (write(m->end_fd, &one, sizeof(one)) < 0)
			say("cannot wake the main thread: %s", strerror(errno));
	}
	pthread_mutex_unlock(&m->run_lock);
}

void machine_join(struct machine *m)
{
	/* A paused vCPU waits in the kernel, where the kick waits for it. */
	if (m->paused)
		machine_resume(m);
	pthread_mutex_lock(&m->run_lock);
	while (m->nr_running)
		pthread_cond_wait(&m->parked, &m->run_lock);
	pthread_mutex_unlock(&m->run_lock);
}

void machine_teardown(struct machine *m)
{
	vm_destroy(&m->vm);
	memory_clear(&m->mem);
}

int machine_pause(struct machine *m)
{
	int rc = vm_pause(&m->vm);

	if (rc >= 0)
		m->paused = true;
	return rc;
}

int machine_resume(struct machine *m)
{
	int rc = vm_resume(&m->vm);

	if (rc >= 0)
		m->paused = false;
	return rc;
}
