// SPDX-License-Identifier: GPL-2.0
/*
 * `keel info`: what this host and the module offer, and what the module holds.
 * It must not know a VM.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "vm.h"

struct bit_name {
	u64 bit;
	const char *name;
};

static const struct bit_name features[] = {
	{ KEEL_FEAT_IRQCHIP, "irqchip" }, { KEEL_FEAT_IRQFD, "irqfd" },
	{ KEEL_FEAT_IOEVENTFD, "ioeventfd" }, { KEEL_FEAT_X2APIC, "x2apic" },
	{ KEEL_FEAT_TSC_DEADLINE, "tsc-deadline" }, { KEEL_FEAT_TSC_SCALING, "tsc-scaling" },
	{ KEEL_FEAT_DIRTY_LOG, "dirty-log" }, { 0 }
};

static const struct bit_name caps[] = {
	{ KEEL_CAP_NESTED_PAGING, "nested-paging" }, { KEEL_CAP_NRIPS, "next-rip-save" },
	{ KEEL_CAP_DECODE_ASSIST, "decode-assists" }, { KEEL_CAP_FLUSH_BY_ASID, "flush-by-asid" },
	{ KEEL_CAP_VGIF, "virtual-gif" }, { KEEL_CAP_VNMI, "virtual-nmi" },
	{ KEEL_CAP_VMCB_CLEAN, "vmcb-clean-bits" }, { KEEL_CAP_PAUSE_FILTER, "pause-filter" },
	{ KEEL_CAP_TSC_SCALING, "tsc-scaling" }, { KEEL_CAP_1G_PAGES, "1g-pages" },
	{ KEEL_CAP_X2APIC, "x2apic" }, { KEEL_CAP_VPID, "vpid" },
	{ KEEL_CAP_EPT_AD, "ept-a-d-bits" },
	{ KEEL_CAP_PREEMPTION_TIMER, "preemption-timer" }, { KEEL_CAP_APICV, "apicv" },
	{ KEEL_CAP_VIRT_INTR, "virtual-interrupts" },
	{ KEEL_CAP_PML, "page-modification-logging" }, { 0 }
};

static const char *vendor_name(u32 vendor)
{
	return vendor == KEEL_VENDOR_AMD ? "amd" : vendor == KEEL_VENDOR_INTEL ? "intel" : "none";
}

/* Bits without a name here are shown by number: a later module's. */
static struct json_object *names(u64 bits, const struct bit_name *table)
{
	struct json_object *array = json_object_new_array();
	char text[24];

	for (; table->name; table++) {
		if (bits & table->bit)
			json_object_array_add(array, json_object_new_string(table->name));
		bits &= ~table->bit;
	}
	for (unsigned int i = 0; i < 64; i++) {
		if (!(bits >> i & 1))
			continue;
		snprintf(text, sizeof(text), "bit-%u", i);
		json_object_array_add(array, json_object_new_string(text));
	}
	return array;
}

/* Every field once: the text is printed from this, too. */
static struct json_object *to_json(const struct keel_info *info, const char *report)
{
	const struct {
		const char *name;
		u64 value;
	} numbers[] = {
		{ "max_vcpus", info->max_vcpus }, { "max_slots", info->max_slots },
		{ "gpa_bits", info->gpa_bits }, { "run_size", info->run_size },
		{ "tsc_khz", info->tsc_khz }, { "tsc_khz_max", info->tsc_khz_max },
		{ "xsave_size", info->xsave_size },
		{ "xcr0", info->xcr0 }, { "vms", info->nr_vms }, { "vcpus", info->nr_vcpus },
		{ "kernel_bytes", info->kernel_bytes }, { "stage2_bytes", info->stage2_bytes },
	};
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "vendor", json_object_new_string(vendor_name(info->vendor)));
	json_object_object_add(obj, "features", names(info->features, features));
	json_object_object_add(obj, "cpu_capabilities", names(info->cpu_caps, caps));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_object_add(obj, numbers[i].name,
				       json_object_new_uint64(numbers[i].value));
	json_object_object_add(obj, "report", json_object_new_string(report ? report : ""));
	return obj;
}

static void print_value(struct json_object *v)
{
	if (!json_object_is_type(v, json_type_array)) {
		printf("%s\n", json_object_get_string(v));
		return;
	}
	for (size_t i = 0; i < json_object_array_length(v); i++)
		printf("%s%s", i ? " " : "",
		       json_object_get_string(json_object_array_get_idx(v, i)));
	putchar('\n');
}

static void print_text(struct json_object *obj)
{
	json_object_object_foreach(obj, name, v) {
		if (!strcmp(name, "report")) {
			printf("\nCapability audit:\n");
			print_value(v);
			continue;
		}
		printf("%-18s ", name);
		print_value(v);
	}
}

static int info(const struct verb *verb, int argc, char **argv)
{
	struct vm vm = { .dev = -1 };
	enum exitcode code;
	char *report = NULL;
	struct json_object *obj;
	struct cli cli;
	int rc;

	cli_begin(&cli, verb, argc, argv);
	rc = cli_common(&cli);
	if (rc != CLI_END)
		return cli_exit(rc);
	if (!cli_words(&cli, 0, NULL))
		return EXIT_USAGE;
	code = vm_open_device(&vm);
	if (code)
		return code;
	rc = vm_info(vm.dev, &vm.info, &report);
	if (rc < 0) {
		say("KEEL_INFO failed: %s", strerror(-rc));
		return EXIT_LAUNCHER;
	}
	obj = to_json(&vm.info, report);
	if (cli.json)
		printf("%s\n", json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY |
							      JSON_C_TO_STRING_SPACED));
	else
		print_text(obj);
	json_object_put(obj);
	free(report);
	return EXIT_OK;
}

static const struct option_spec options[] = { OPTION_OUTPUT, OPTION_HELP, { 0 } };

const struct verb verb_info = {
	.name = "info", .args = "", .summary = "Show what this host and the module offer",
	.options = options, .run = info,
	.help = "It works on a host without virtualization, too, and says what is missing.\n",
};
