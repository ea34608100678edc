// SPDX-License-Identifier: GPL-2.0
/*
 * The ACPI tables: RSDP, XSDT, FADT, FACS, DSDT, MADT. Written out by hand, the
 * DSDT as AML bytes, because the machine is small and never changes at run
 * time. It must not know guest memory or a VM.
 */
#include <assert.h>
#include <string.h>

#include "acpi.h"
#include "pm.h"
#include "rtc.h"

#define LAPIC_GPA	0xfee00000U
#define IOAPIC_GPA	0xfec00000U

/* The format has no padding, and fields where they come to lie. */
#pragma pack(push, 1)

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
};

struct rsdp {
	char signature[8];
	u8 checksum;		/* of the first 20 bytes */
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
};

struct xsdt {
	struct acpi_header h;
	u64 table[2];
};

/* Generic address. */
struct gas {
	u8 space;		/* 1: I/O port */
	u8 bit_width;
	u8 bit_offset;
	u8 access;		/* 1, 2, 3: byte, word, dword */
	u64 address;
};

struct fadt {
	struct acpi_header h;
	u32 facs;
	u32 dsdt;
	u8 reserved0;
	u8 preferred_profile;
	u16 sci;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios, pstate;
	u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	u8 gpe0_len, gpe1_len, gpe1_base, cst;
	u16 c2_latency, c3_latency, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 iapc_boot_arch;
	u8 reserved1;
	u32 flags;
	struct gas reset;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor;
	u64 x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
	struct gas x_gpe0, x_gpe1, sleep_control, sleep_status;
	char hypervisor[8];
};

static_assert(sizeof(struct fadt) == 276, "FADT of ACPI 6");

#define FADT_WBINVD		BIT(0)
#define FADT_C1			BIT(2)
#define FADT_NO_SLEEP_BUTTON	BIT(5)
#define FADT_TIMER_32		BIT(8)
#define FADT_RESET_REG		BIT(10)

#define BOOT_LEGACY_DEVICES	BIT(0)
#define BOOT_NO_VGA		BIT(2)
#define BOOT_NO_ASPM		BIT(4)

struct facs {
	char signature[4];
	u32 length;
	u32 hardware_signature, waking_vector, global_lock, flags;
	u64 x_waking_vector;
	u8 version;
	u8 reserved[31];
};

struct madt {
	struct acpi_header h;
	u32 lapic;
	u32 flags;		/* 1: a PIC pair is there too */
};

struct madt_lapic {
	u8 type, len, uid, apic_id;
	u32 flags;		/* 1: enabled */
};

struct madt_x2apic {
	u8 type, len;
	u16 reserved;
	u32 apic_id, flags, uid;
};

struct madt_ioapic {
	u8 type, len, id, reserved;
	u32 address, gsi_base;
};

struct madt_override {
	u8 type, len, bus, irq;
	u32 gsi;
	u16 flags;
};

struct madt_nmi {
	u8 type, len, uid;
	u16 flags;
	u8 lint;
};

#pragma pack(pop)

#define MADT_LEVEL_HIGH	0x000d	/* level-triggered, active high */

/* IDs from here on need an x2APIC entry: 255 is the broadcast of xAPIC. */
#define FIRST_X2APIC_ID	255

/*
 * DefinitionBlock ("", "DSDT", 2, "KEEL", "KEELDSDT", 1) {
 *	Name (\_S5, Package () { 5, 5, 0, 0 })
 *	Scope (\_SB) {
 *		Device (COM1) {
 *			Name (_HID, EisaId ("PNP0501"))
 *			Name (_UID, 1)
 *			Name (_STA, 0x0f)
 *			Name (_CRS, ResourceTemplate () {
 *				IO (Decode16, 0x3f8, 0x3f8, 1, 8)
 *				IRQNoFlags () { 4 }
 *			})
 *		}
 *		Device (RTC) {
 *			Name (_HID, EisaId ("PNP0B00"))
 *			Name (_STA, 0x0f)
 *			Name (_CRS, ResourceTemplate () {
 *				IO (Decode16, 0x70, 0x70, 1, 2)
 *				IRQNoFlags () { 8 }
 *			})
 *		}
 *	}
 * }
 */
static const u8 dsdt_aml[] = {
	0x08, '\\', '_', 'S', '5', '_',
		0x12, 0x08, 0x04, 0x0a, PM_S5_TYPE, 0x0a, PM_S5_TYPE, 0x00, 0x00,
	0x10, 0x49, 0x06, '\\', '_', 'S', 'B', '_',
		0x5b, 0x82, 0x32, 'C', 'O', 'M', '1',
			0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01,
			0x08, '_', 'U', 'I', 'D', 0x01,
			0x08, '_', 'S', 'T', 'A', 0x0a, 0x0f,
			0x08, '_', 'C', 'R', 'S', 0x11, 0x10, 0x0a, 0x0d,
				0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08,
				0x22, 0x10, 0x00,
				0x79, 0x00,
		0x5b, 0x82, 0x2c, 'R', 'T', 'C', '_',
			0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0b, 0x00,
			0x08, '_', 'S', 'T', 'A', 0x0a, 0x0f,
			0x08, '_', 'C', 'R', 'S', 0x11, 0x10, 0x0a, 0x0d,
				0x47, 0x01, 0x70, 0x00, 0x70, 0x00, 0x01, 0x02,
				0x22, 0x00, 0x01,
				0x79, 0x00,
};

/* The buffer that fills up, table by table. */
struct writer {
	u8 *buf;
	size_t room, used;
	u32 gpa;
	bool full;
};

static u8 checksum(const void *data, size_t len)
{
	const u8 *p = data;
	u8 sum = 0;

	while (len--)
		sum += *p++;
	return -sum;
}

/* Copy @len bytes to the next @align boundary; returns their address. */
static u32 put(struct writer *w, const void *data, size_t len, size_t align)
{
	size_t at = align_up(w->used, align);

	if (at + len > w->room) {
		w->full = true;
		return 0;
	}
	memset(w->buf + w->used, 0, at - w->used);
	memcpy(w->buf + at, data, len);
	w->used = at + len;
	return w->gpa + at;
}

static struct acpi_header header(const char *signature, u8 revision, u32 length)
{
	struct acpi_header h = {
		.length = length, .revision = revision, .oem_id = "KEEL  ",
		.oem_revision = 1, .creator_id = "KEEL", .creator_revision = 1,
	};

	memcpy(h.signature, signature, 4);
	memcpy(h.oem_table_id, "KEEL", 4);
	memcpy(h.oem_table_id + 4, signature, 4);
	return h;
}

/* A table that is contiguous from @gpa on gets its final length and checksum. */
static void seal(struct writer *w, u32 gpa)
{
	struct acpi_header h;
	u8 *table = w->buf + (gpa - w->gpa);

	if (w->full)
		return;
	memcpy(&h, table, sizeof(h));
	h.length = w->buf + w->used - table;
	h.checksum = 0;
	memcpy(table, &h, sizeof(h));
	h.checksum = checksum(table, h.length);
	memcpy(table, &h, sizeof(h));
}

static u32 put_facs(struct writer *w)
{
	const struct facs facs = {
		.signature = "FACS", .length = sizeof(facs), .version = 2,
	};

	return put(w, &facs, sizeof(facs), 64);
}

static u32 put_dsdt(struct writer *w)
{
	struct acpi_header h = header("DSDT", 2, 0);
	u32 gpa = put(w, &h, sizeof(h), 16);

	put(w, dsdt_aml, sizeof(dsdt_aml), 1);
	seal(w, gpa);
	return gpa;
}

static struct gas port(u16 address, u8 bytes)
{
	return (struct gas){
		.space = 1, .bit_width = bytes * 8, .address = address,
		.access = bytes == 4 ? 3 : bytes,
	};
}

static u32 put_fadt(struct writer *w, u32 facs, u32 dsdt)
{
	struct fadt fadt = {
		.h = header("FACP", 6, 0),
		.facs = facs,
		.dsdt = dsdt,
		.preferred_profile = 4,		/* enterprise server */
		.sci = PM_SCI,
		.pm1a_evt = PM1_EVT_PORT,
		.pm1a_cnt = PM1_CNT_PORT,
		.pm_tmr = PM_TIMER_PORT,
		.pm1_evt_len = 4,
		.pm1_cnt_len = 2,
		.pm_tmr_len = 4,
		.c2_latency = 0xffff,		/* no C2, no C3 */
		.c3_latency = 0xffff,
		.century = RTC_CENTURY,
		.iapc_boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_ASPM,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_BUTTON | FADT_TIMER_32 |
			 FADT_RESET_REG,
		.reset = port(PM_RESET_PORT, 1),
		.reset_value = PM_RESET_VALUE,
		.x_dsdt = dsdt,
		.x_pm1a_cnt = port(PM1_CNT_PORT, 2),
		.x_pm_tmr = port(PM_TIMER_PORT, 4),
		.hypervisor = "KEEL",
	};
	u32 gpa;

	/* The event block is a pair of words: 32 bits wide, accessed by words. */
	fadt.x_pm1a_evt = port(PM1_EVT_PORT, 4);
	fadt.x_pm1a_evt.access = 2;
	gpa = put(w, &fadt, sizeof(fadt), 16);
	seal(w, gpa);
	return gpa;
}

static void put_cpu(struct writer *w, unsigned int id)
{
	const struct madt_lapic lapic = {
		.type = 0, .len = sizeof(lapic), .uid = id, .apic_id = id, .flags = 1,
	};
	const struct madt_x2apic x2apic = {
		.type = 9, .len = sizeof(x2apic), .apic_id = id, .flags = 1, .uid = id,
	};

	if (id < FIRST_X2APIC_ID)
		put(w, &lapic, sizeof(lapic), 1);
	else
		put(w, &x2apic, sizeof(x2apic), 1);
}

static u32 put_madt(struct writer *w, unsigned int nr_cpus)
{
	const struct madt madt = {
		.h = header("APIC", 5, 0), .lapic = LAPIC_GPA, .flags = 1,
	};
	const struct madt_ioapic ioapic = {
		.type = 1, .len = sizeof(ioapic), .address = IOAPIC_GPA,
	};
	/* The PIT is wired to pin 2; the SCI is level-triggered. */
	const struct madt_override overrides[] = {
		{ .type = 2, .len = sizeof(overrides[0]), .irq = 0, .gsi = 2 },
		{ .type = 2, .len = sizeof(overrides[0]), .irq = PM_SCI, .gsi = PM_SCI,
		  .flags = MADT_LEVEL_HIGH },
	};
	/* NMI comes in at LINT1 of every CPU. */
	const struct madt_nmi nmi = {
		.type = 4, .len = sizeof(nmi), .uid = 0xff, .lint = 1,
	};
	u32 gpa = put(w, &madt, sizeof(madt), 16);

	for (unsigned int id = 0; id < nr_cpus; id++)
		put_cpu(w, id);
	put(w, &ioapic, sizeof(ioapic), 1);
	put(w, overrides, sizeof(overrides), 1);
	put(w, &nmi, sizeof(nmi), 1);
	seal(w, gpa);
	return gpa;
}

static u32 put_xsdt(struct writer *w, u32 fadt, u32 madt)
{
	const struct xsdt xsdt = {
		.h = header("XSDT", 1, 0), .table = { fadt, madt },
	};
	u32 gpa = put(w, &xsdt, sizeof(xsdt), 16);

	seal(w, gpa);
	return gpa;
}

size_t acpi_build(u8 *buf, size_t room, u32 gpa, unsigned int nr_cpus)
{
	struct writer w = { .buf = buf, .room = room, .gpa = gpa };
	struct rsdp rsdp = {
		.signature = "RSD PTR ", .oem_id = "KEEL  ", .revision = 2,
		.length = sizeof(rsdp),
	};
	u32 facs, dsdt, fadt, madt;

	put(&w, &rsdp, sizeof(rsdp), 16);
	facs = put_facs(&w);
	dsdt = put_dsdt(&w);
	fadt = put_fadt(&w, facs, dsdt);
	madt = put_madt(&w, nr_cpus);
	rsdp.xsdt = put_xsdt(&w, fadt, madt);
	if (w.full)
		return 0;
	rsdp.checksum = checksum(&rsdp, 20);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(buf, &rsdp, sizeof(rsdp));
	return w.used;
}
