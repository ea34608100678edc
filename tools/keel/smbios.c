// SPDX-License-Identifier: GPL-2.0
/*
 * SMBIOS: firmware, system, end of table. A guest names the machine by them,
 * and Linux trusts a PCI configuration mechanism without a device behind it
 * only if the firmware's date is of this century. It must not know guest
 * memory or a VM.
 */
#include <assert.h>
#include <string.h>

#include "smbios.h"

/* The format has no padding, and fields where they come to lie. */
#pragma pack(push, 1)

struct entry_point {
	char anchor[5];
	u8 checksum;
	u8 length;
	u8 major, minor, docrev;
	u8 revision;		/* of this struct: 1 */
	u8 reserved;
	u32 max_size;		/* of all tables */
	u64 address;
};

struct smbios_header {
	u8 type, length;
	u16 handle;
};

/* Strings are numbers: of the strings behind the struct, from 1; 0: none. */
struct bios_info {
	struct smbios_header h;
	u8 vendor, version;
	u16 segment;
	u8 release_date, rom_size;
	u64 characteristics;
	u8 extension[2];
	u8 major, minor, ec_major, ec_minor;
	u16 rom_size2;
};

struct system_info {
	struct smbios_header h;
	u8 manufacturer, product, version, serial;
	u8 uuid[16];		/* zeroes: none */
	u8 wake_up;
	u8 sku, family;
};

#pragma pack(pop)

static_assert(sizeof(struct entry_point) == 24, "entry point of SMBIOS 3");
static_assert(sizeof(struct bios_info) == 26, "firmware of SMBIOS 3.1");
static_assert(sizeof(struct system_info) == 27, "system of SMBIOS 2.4");

#define NO_CHARACTERISTICS	BIT(3)
#define EXT2_VIRTUAL_MACHINE	BIT(4)
#define WAKE_UP_POWER_SWITCH	6

struct writer {
	u8 *buf;
	size_t room, used;
	bool full;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (len > w->room - w->used) {
		w->full = true;
		return;
	}
	memcpy(w->buf + w->used, data, len);
	w->used += len;
}

/* The strings of a struct stand behind it, each with its zero; one more ends them. */
static void put_string(struct writer *w, const char *text)
{
	put(w, text, strlen(text) + 1);
}

static void put_tables(struct writer *w)
{
	const struct bios_info bios = {
		.h = { 0, sizeof(bios), 0 },
		.vendor = 1, .version = 2, .segment = 0xf000, .release_date = 3,
		.characteristics = NO_CHARACTERISTICS,
		.extension = { 0, EXT2_VIRTUAL_MACHINE },
		.major = 1, .ec_major = 0xff, .ec_minor = 0xff,
	};
	const struct system_info system = {
		.h = { 1, sizeof(system), 1 },
		.manufacturer = 1, .product = 2, .wake_up = WAKE_UP_POWER_SWITCH,
	};
	const struct smbios_header end = { 127, sizeof(end), 2 };

	put(w, &bios, sizeof(bios));
	put_string(w, "Keel");
	put_string(w, "1");
	put_string(w, "01/01/2026");
	put_string(w, "");
	put(w, &system, sizeof(system));
	put_string(w, "Keel");
	put_string(w, "Virtual Machine");
	put_string(w, "");
	put(w, &end, sizeof(end));
	put_string(w, "");	/* no strings: both zeroes */
	put_string(w, "");
}

size_t smbios_build(u8 *buf, size_t room, u32 gpa)
{
	struct writer w = { .buf = buf, .room = room };
	struct entry_point entry = {
		.anchor = "_SM3_", .length = sizeof(entry), .major = 3, .minor = 1,
		.revision = 1, .address = gpa + sizeof(entry),
	};
	u8 sum = 0;

	put(&w, &entry, sizeof(entry));
	put_tables(&w);
	if (w.full)
		return 0;
	entry.max_size = w.used - sizeof(entry);
	for (size_t i = 0; i < sizeof(entry); i++)
		sum += ((const u8 *)&entry)[i];
	entry.checksum = -sum;
	memcpy(buf, &entry, sizeof(entry));
	return w.used;
}
