/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Verbs and their options as tables, from which parsing and --help both come:
 * so no option is without help. It must not know what a verb does.
 */
#ifndef KEEL_TOOL_CLI_H
#define KEEL_TOOL_CLI_H

#include <stdio.h>

#include "exitcode.h"
#include "util.h"

struct option_spec {
	char key;		/* the letter, or a value from 1 to 31 without one */
	const char *name;	/* long name */
	const char *arg;	/* what to call its argument; NULL: takes none */
	const char *help;
};

struct verb {
	const char *name;
	const char *args;	/* "NAME", or "" */
	const char *summary;	/* for the list of verbs */
	const char *help;	/* the text under the options; may be NULL */
	const struct option_spec *options;	/* until a NULL name */
	int (*run)(const struct verb *verb, int argc, char **argv);
};

extern const struct verb * const verbs[];	/* in the order of help; until NULL */

extern const struct verb verb_run, verb_list, verb_info, verb_stop, verb_kill,
			 verb_pause, verb_resume, verb_stat;

/* -o and -h, which every verb takes: the last two of its options. */
#define OPTION_OUTPUT	{ 'o', "output", "FORMAT", "text (the default) or json" }
#define OPTION_HELP	{ 'h', "help", NULL, "this text" }

struct cli {
	const struct verb *verb;
	bool json;
	int argc;
	char **argv;
	const char *value;	/* of the option that cli_next() returned */
	/* Built from the verb's table: */
	struct option *longs;
	char shorts[80];
};

#define CLI_END		(-1)	/* no more options */
#define CLI_ERROR	(-2)	/* told to the user: return EXIT_USAGE */
#define CLI_HELP	(-3)	/* printed: return EXIT_OK */

/* Start on @verb's arguments (argv[0] is the verb). */
void cli_begin(struct cli *cli, const struct verb *verb, int argc, char **argv);
/* The key of the next option that is the verb's own, or CLI_*. */
int cli_next(struct cli *cli);
/*
 * After CLI_END: the words that are no options, exactly @nr of them, go to
 * @words. False, told to the user, if there are more or less.
 */
bool cli_words(struct cli *cli, int nr, const char **words);
/* Parse a verb that has only the common options. CLI_END: go on. */
int cli_common(struct cli *cli);
/* CLI_ERROR, after one line and the hint at --help. */
int cli_error(const struct verb *verb, const char *fmt, ...)
	__printf(2, 3);
/* What to return from a verb for a cli_next() below zero other than CLI_END. */
enum exitcode cli_exit(int next);

void cli_help(const struct verb *verb, FILE *out);

#endif /* KEEL_TOOL_CLI_H */
