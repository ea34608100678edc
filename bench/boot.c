// SPDX-License-Identifier: GPL-2.0
/*
 * A whole guest: Debian's kernel on the launcher's devices, timed at the stages
 * that its init tells of. The devices are those of tools/keel. It must not know
 * which hypervisor it is on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../tools/keel/acpi.h"
#include "../tools/keel/boot_linux.h"
#include "../tools/keel/cpuid.h"
#include "../tools/keel/iobus.h"
#include "../tools/keel/memory.h"
#include "../tools/keel/pci.h"
#include "../tools/keel/pm.h"
#include "../tools/keel/rtc.h"
#include "../tools/keel/uart.h"
#include "boot.h"
#include "hv.h"
#include "stages.h"

#define GUEST_MEMORY	(160ULL << 20)
#define ZEROPAGE_GPA	0x7000		/* boot_linux.c's */
#define SEED_GPA	0x40000
#define SETUP_RNG_SEED	9
#define COM1_GSI	4
#define RTC_GSI		8
#define MAX_LEAVES	256
#define SPARE_LEAVES	8

static const char * const stage_name[STAGE_NR] = {
	[STAGE_USER] = "userspace", [STAGE_FORKS] = "forks", [STAGE_MEMORY] = "memory",
	[STAGE_SLEEPS] = "sleeps",
};

struct guest {
	struct hv_vm vm;
	struct hv_vcpu cpu;
	struct memory mem;
	struct iobus bus;
	struct uart uart;
	struct rtc rtc;
	struct pm pm;
	struct pci pci;
	bool verbose, over;
	u64 begin, returns;
};

/* ---- devices ---- */

static void com1_transmit(void *ctx, u8 byte)
{
	struct guest *g = ctx;

	if (g->verbose)
		fputc(byte, stderr);
}

static void com1_irq(void *ctx, bool level)
{
	hv_irq_line(&((struct guest *)ctx)->vm, COM1_GSI, level);
}

static void nothing(void *ctx)
{
}

static s64 rtc_now(void *ctx)
{
	return now_realtime();
}

static void rtc_irq(void *ctx, bool level)
{
	hv_irq_line(&((struct guest *)ctx)->vm, RTC_GSI, level);
}

static s64 pm_now(void *ctx)
{
	return now_monotonic();
}

static void pm_sci(void *ctx, bool level)
{
	hv_irq_line(&((struct guest *)ctx)->vm, PM_SCI, level);
}

static void over(void *ctx)
{
	((struct guest *)ctx)->over = true;
}

static const struct uart_ops uart_ops = { com1_transmit, com1_irq, nothing };
static const struct rtc_ops rtc_ops = { rtc_now, rtc_irq, nothing };
static const struct pm_ops pm_ops = { pm_now, pm_sci, over, over };

static void add_devices(struct guest *g)
{
	const struct io_device devices[] = {
		{ "com1", 0x3f8, 8, 1, uart_read, uart_write, &g->uart },
		{ "rtc", 0x70, 2, 1, rtc_read, rtc_write, &g->rtc },
		{ "pm", PM1_EVT_PORT, PM_PORTS, 4, pm_read, pm_write, &g->pm },
		{ "pci", PCI_PORT, PCI_PORTS, 4, pci_read, pci_write, &g->pci },
		{ "reset", PM_RESET_PORT, 1, 1, pm_reset_read, pm_reset_write, &g->pm },
		{ "a20", PM_FAST_A20_PORT, 1, 1, pm_a20_read, pm_a20_write, &g->pm },
		{ "i8042-data", PM_I8042_DATA, 1, 1, pm_i8042_read, pm_data_write, &g->pm },
		{ "i8042", PM_I8042_STATUS, 1, 1, pm_i8042_read, pm_i8042_write, &g->pm },
	};
	size_t i;

	uart_init(&g->uart, &uart_ops, g);
	rtc_init(&g->rtc, &rtc_ops, g);
	pm_init(&g->pm, &pm_ops, g);
	pci_init(&g->pci);
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (iobus_add(&g->bus, &devices[i]))
			die("device %s", devices[i].name);
}

/* ---- what is measured ---- */

static u64 exits;

/* KVM has a counter of all, Keel one of each kind. */
static void sum_exits(const char *name, u64 value)
{
	if (!strcmp(name, "exits") || !strncmp(name, "exit_", 5))
		exits += value;
}

static void show(const char *name, u64 value)
{
	if (value)
		printf("# %s %s %llu\n", hv_name, name, value);
}

static const char *prefix;

static void figure(const char *stage, const char *what, u64 value)
{
	printf("%s %s_%s_%s %llu %llu %llu 1\n", hv_name, prefix, stage, what, value, value,
	       value);
}

static void stage(struct guest *g, u8 n)
{
	u64 took = rdtsc() - g->begin;

	if (!n || n >= STAGE_NR)
		return;
	exits = 0;
	hv_stats(&g->vm, &g->cpu, sum_exits);
	figure(stage_name[n], "instructions", took);
	figure(stage_name[n], "exits", exits);
	figure(stage_name[n], "returns", g->returns);
	if (n == STAGE_USER || g->verbose)
		hv_stats(&g->vm, &g->cpu, show);
	if (n == STAGE_NR - 1)
		g->over = true;
	fflush(stdout);
}

/* ---- the guest ---- */

static void run(struct guest *g)
{
	struct hv_vcpu *v = &g->cpu;
	char text[128];
	u32 value;

	hv_thread(v);
	g->begin = rdtsc();
	while (!g->over) {
		switch (hv_run(v)) {
		case HV_PIO:
			value = 0;
			if (v->write)
				memcpy(&value, v->data, v->size);
			if (v->addr == STAGE_PORT)
				stage(g, value);
			else if (v->write)
				iobus_out(&g->bus, v->addr, v->size, value);
			else
				value = iobus_in(&g->bus, v->addr, v->size);
			if (!v->write)
				memcpy(v->data, &value, v->size);
			break;
		case HV_MMIO:
			/* There is no device: all ones. */
			if (!v->write)
				memset(v->data, 0xff, v->size);
			break;
		case HV_KICKED:
			break;
		default:
			hv_describe(v, text, sizeof(text));
			die("the guest stopped: %s", text);
		}
		g->returns++;
	}
}

/*
 * A seed for the guest's random numbers, as a boot loader gives one: without it
 * a guest waits for entropy, as long as chance will have it.
 */
static void put_seed(struct guest *g)
{
	struct {
		u64 next;
		u32 type, len;
		u8 seed[32];
	} *node = memory_at(&g->mem, SEED_GPA, sizeof(*node));

	node->next = 0;
	node->type = SETUP_RNG_SEED;
	node->len = sizeof(node->seed);
	memset(node->seed, 0x5a, sizeof(node->seed));
	*(u64 *)memory_at(&g->mem, ZEROPAGE_GPA + 0x250, 8) = SEED_GPA;
}

static void load(struct guest *g, const char *kernel, const char *initrd, const char *cmdline)
{
	struct boot_linux boot = { .cmdline = cmdline, .rsdp = ACPI_GPA };
	struct keel_sregs sregs;
	struct keel_regs regs;
	char why[256];

	if (blob_load(&boot.kernel, kernel) || blob_load(&boot.initrd, initrd))
		exit(1);
	hv_sregs_get(&g->cpu, &sregs);
	if (boot_linux_load(&boot, &g->mem, &regs, &sregs, why, sizeof(why)))
		die("%s", why);
	put_seed(g);
	if (!acpi_build(memory_at(&g->mem, ACPI_GPA, ACPI_ROOM), ACPI_ROOM, ACPI_GPA, 1))
		die("no room for the ACPI tables");
	hv_sregs_set(&g->cpu, &sregs);
	hv_regs_set(&g->cpu, &regs);
}

/*
 * What a hypervisor tells of itself: without it the guest does the same on both,
 * with it KVM's guest has KVM's clock and its paravirtual EOI.
 */
static u32 drop_paravirtual(struct keel_cpuid_entry *leaves, u32 nr)
{
	u32 i, kept = 0;

	for (i = 0; i < nr; i++)
		if (leaves[i].leaf >> 28 != 4)
			leaves[kept++] = leaves[i];
	return kept;
}

void boot_guest(const char *kernel, const char *initrd, const char *cmdline, bool paravirtual,
		bool verbose)
{
	static struct keel_cpuid_entry leaves[MAX_LEAVES + SPARE_LEAVES];
	static struct guest g;
	u32 nr;

	g.verbose = verbose;
	prefix = paravirtual ? "boot" : "boot_plain";
	hv_open();
	if (memory_alloc(&g.mem, GUEST_MEMORY))
		die("no memory for the guest");
	hv_vm_create(&g.vm, HV_IRQCHIP | HV_PIT);
	hv_map(&g.vm, 0, g.mem.low, g.mem.base);
	nr = hv_cpuid_get(leaves, MAX_LEAVES);
	if (!paravirtual)
		nr = drop_paravirtual(leaves, nr);
	nr = cpuid_shape(leaves, nr, 1);
	hv_cpuid_set(&g.vm, leaves, nr);
	hv_vcpu_create(&g.vm, &g.cpu, 0);
	add_devices(&g);
	load(&g, kernel, initrd, cmdline);
	run(&g);
	hv_vcpu_destroy(&g.cpu);
	hv_vm_destroy(&g.vm);
	memory_free(&g.mem);
}
