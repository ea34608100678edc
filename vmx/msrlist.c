// SPDX-License-Identifier: GPL-2.0
/*
 * The pair of MSR lists.  It is compared with what is wanted at each entry and
 * is right already almost always.  It must not know a VMCS.
 */
#include "vmx/msrlist.h"

/* First and last of each range: event selectors, counter control, PEBS. */
static const struct {
	u32 first, last;
} allowed[] = {
	{ 0x186, 0x18d },	/* IA32_PERFEVTSEL0 ... 7 */
	{ 0x38f, 0x38f },	/* IA32_PERF_GLOBAL_CTRL */
	{ 0x3f1, 0x3f2 },	/* IA32_PEBS_ENABLE, MSR_PEBS_DATA_CFG */
	{ 0x600, 0x600 },	/* IA32_DS_AREA */
};

bool vmx_msrlist_allowed(u32 index)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(allowed); i++)
		if (index >= allowed[i].first && index <= allowed[i].last)
			return true;
	return false;
}

static void entry_set(struct vmx_msr_entry *entry, u32 index, u64 value)
{
	if (entry->index != index)
		entry->index = index;
	if (entry->value != value)
		entry->value = value;
}

bool vmx_msrlist_set(struct vmx_msrlists *lists, const struct vmx_msr_change *changes, u32 nr,
		     u32 most)
{
	u32 i, n = 0;
	bool changed;

	most = min_t(u32, most, VMX_MSRLIST_ROOM);
	for (i = 0; i < nr && n < most; i++) {
		if (changes[i].host == changes[i].guest || !vmx_msrlist_allowed(changes[i].index))
			continue;
		entry_set(&lists->guest[n], changes[i].index, changes[i].guest);
		entry_set(&lists->host[n], changes[i].index, changes[i].host);
		n++;
	}
	changed = n != lists->nr;
	lists->nr = n;
	return changed;
}

u64 vmx_msrlist_host(const struct vmx_msrlists *lists, u32 index)
{
	u32 i;

	for (i = 0; i < lists->nr; i++)
		if (lists->host[i].index == index)
			return lists->host[i].value;
	return 0;
}
