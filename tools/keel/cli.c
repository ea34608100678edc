// SPDX-License-Identifier: GPL-2.0
/*
 * Option tables: parsing by getopt_long(), and the --help text. It must not
 * know what a verb does.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static size_t nr_options(const struct verb *verb)
{
	size_t n = 0;

	while (verb->options[n].name)
		n++;
	return n;
}

static bool is_letter(char key)
{
	return key > ' ';
}

void cli_begin(struct cli *cli, const struct verb *verb, int argc, char **argv)
{
	size_t n = nr_options(verb);
	char *s = cli->shorts;

	*cli = (struct cli){ .verb = verb, .argc = argc, .argv = argv };
	cli->longs = calloc(n + 1, sizeof(*cli->longs));
	if (!cli->longs)
		abort();
	/* ':' first: a missing argument and an unknown option are told apart. */
	*s++ = ':';
	for (size_t i = 0; i < n; i++) {
		const struct option_spec *spec = &verb->options[i];

		cli->longs[i] = (struct option){
			.name = spec->name, .val = spec->key,
			.has_arg = spec->arg ? required_argument : no_argument,
		};
		if (!is_letter(spec->key))
			continue;
		*s++ = spec->key;
		if (spec->arg)
			*s++ = ':';
	}
	*s = '\0';
	optind = 0;
	opterr = 0;
}

int cli_error(const struct verb *verb, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say("%s: %s (try `keel %s --help`)", verb->name, text, verb->name);
	return CLI_ERROR;
}

static int common(struct cli *cli, int key)
{
	if (key == 'h') {
		cli_help(cli->verb, stdout);
		return CLI_HELP;
	}
	if (!strcmp(optarg, "json"))
		cli->json = true;
	else if (!strcmp(optarg, "text"))
		cli->json = false;
	else
		return cli_error(cli->verb, "-o takes text or json, not '%s'", optarg);
	return 0;
}

static int next(struct cli *cli)
{
	const char *word;
	int key = getopt_long(cli->argc, cli->argv, cli->shorts, cli->longs, NULL);

	cli->value = optarg;
	if (key != '?' && key != ':')
		return key == -1 ? CLI_END : key;
	/* With optopt the letter is known; else the word that was read last. */
	word = optind > 0 ? cli->argv[optind - 1] : "";
	if (key == ':')
		return cli_error(cli->verb, "%s wants an argument", word);
	if (is_letter(optopt) && strncmp(word, "--", 2))
		return cli_error(cli->verb, "there is no option -%c", optopt);
	return cli_error(cli->verb, "bad option %s", word);
}

int cli_next(struct cli *cli)
{
	int key;

	do {
		key = next(cli);
		if (key == 'o' || key == 'h')
			key = common(cli, key);
	} while (!key);
	if (key < 0) {
		free(cli->longs);
		cli->longs = NULL;
	}
	return key;
}

bool cli_words(struct cli *cli, int nr, const char **words)
{
	int given = cli->argc - optind;

	if (given < nr) {
		cli_error(cli->verb, "%s is missing", cli->verb->args);
		return false;
	}
	if (given > nr) {
		cli_error(cli->verb, "unexpected argument '%s'", cli->argv[optind + nr]);
		return false;
	}
	for (int i = 0; i < nr; i++)
		words[i] = cli->argv[optind + i];
	return true;
}

int cli_common(struct cli *cli)
{
	int key = cli_next(cli);

	/* There is none left that this verb would know. */
	return key > 0 ? CLI_ERROR : key;
}

enum exitcode cli_exit(int next)
{
	return next == CLI_HELP ? EXIT_OK : EXIT_USAGE;
}

void cli_help(const struct verb *verb, FILE *out)
{
	fprintf(out, "Usage: keel %s [OPTION]...%s%s\n%s.\n\nOptions:\n", verb->name,
		*verb->args ? " " : "", verb->args, verb->summary);
	for (const struct option_spec *spec = verb->options; spec->name; spec++) {
		const char *arg = spec->arg ? spec->arg : "";
		char left[48];

		if (is_letter(spec->key))
			snprintf(left, sizeof(left), "-%c, --%s %s", spec->key, spec->name, arg);
		else
			snprintf(left, sizeof(left), "    --%s %s", spec->name, arg);
		fprintf(out, "  %-22s  %s\n", left, spec->help);
	}
	if (verb->help)
		fprintf(out, "\n%s", verb->help);
	fprintf(out, "\n%s", EXITCODE_HELP);
}
