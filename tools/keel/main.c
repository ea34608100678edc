// SPDX-License-Identifier: GPL-2.0
/*
 * `keel`: finds the verb. It must not know what a verb does.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct verb *find_verb(const char *name)
{
	for (const struct verb * const *v = verbs; *v; v++)
		if (!strcmp((*v)->name, name))
			return *v;
	return NULL;
}

static void print_help(FILE *out)
{
	fprintf(out, "Usage: keel COMMAND [OPTION]...\nVirtual machines on the Keel hypervisor.\n"
		"\nCommands:\n");
	for (const struct verb * const *v = verbs; *v; v++)
		fprintf(out, "  %-8s  %s\n", (*v)->name, (*v)->summary);
	fprintf(out, "  %-8s  %s\n", "help", "This text; `keel help COMMAND` tells more");
	fprintf(out, "\n%s", EXITCODE_HELP);
}

static int on_help(int argc, char **argv)
{
	const struct verb *v;

	if (argc < 3 || !strcmp(argv[2], "help")) {
		print_help(stdout);
		return EXIT_OK;
	}
	v = find_verb(argv[2]);
	if (!v) {
		say("there is no command '%s' (try `keel help`)", argv[2]);
		return EXIT_USAGE;
	}
	cli_help(v, stdout);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	const struct verb *v;

	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return on_help(argc, argv);
	v = find_verb(argv[1]);
	if (v)
		return v->run(v, argc - 1, argv + 1);
	say("there is no command '%s' (try `keel help`)", argv[1]);
	return EXIT_USAGE;
}
