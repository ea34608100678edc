// SPDX-License-Identifier: GPL-2.0
/*
 * The table of verbs, in the order in which help lists them. It must not know
 * what a verb does.
 */
#include "cli.h"

const struct verb * const verbs[] = {
	&verb_run, &verb_list, &verb_stop, &verb_kill, &verb_pause, &verb_resume, &verb_stat,
	&verb_info, NULL
};
