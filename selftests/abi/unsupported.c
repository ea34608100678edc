// SPDX-License-Identifier: GPL-2.0
/*
 * A host that Keel cannot run on (elsewhere all is skipped): the module loads,
 * says what is missing, and creates no VM.
 */
#include <errno.h>
#include <stdlib.h>
#include "libkeel.h"

/* The other programs skip such a host. */
__attribute__((constructor)) static void any_host(void)
{
	setenv("KEEL_TEST_ANY_HOST", "1", 1);
}

static bool usable(void)
{
	struct keel_info info;

	keel_info(&info);
	return info.features != 0;
}

TEST(info_says_what_is_missing)
{
	static char text[65536];
	struct keel_info info = { .report = (unsigned long)text, .report_size = sizeof(text) };

	REQUIRE_EQ(kcall_sized(keel_dev(), KEEL_INFO, &info), 0);
	if (info.features)
		ktap_skip("this host is fine");
	CHECK(strlen(text) > 10, "'%s'", text);
	CHECK_EQ(strlen(text) + 1, info.report_size);
	CHECK_EQ(info.nr_vms, 0);
	ktap_note("%.*s", (int)strcspn(text, "\n"), text);
}

TEST(no_vm)
{
	struct keel_create_vm arg = {};

	if (usable())
		ktap_skip("this host is fine");
	CHECK_EQ(kcall_sized(keel_dev(), KEEL_CREATE_VM, &arg), -EOPNOTSUPP);
	arg.features = 1ULL << 63;
	CHECK_EQ(kcall_sized(keel_dev(), KEEL_CREATE_VM, &arg), -EOPNOTSUPP);
}
