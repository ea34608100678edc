// SPDX-License-Identifier: GPL-2.0
/*
 * The launcher's help is complete: every command that `keel help` lists has its
 * own, and each option there is in the manual and in the bash completion too.
 * It runs the built launcher, and is skipped where that has not been built.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ktap.h"

static char keel[4096], manuals[65536], completion[16384];

/* All of @path behind what is in @buf. */
static void append_file(char *buf, size_t size, const char *path)
{
	size_t used = strlen(buf);
	FILE *f = fopen(path, "r");

	if (!CHECK(f, "%s", path))
		return;
	used += fread(buf + used, 1, size - used - 1, f);
	buf[used] = '\0';
	fclose(f);
}

/* roff writes a hyphen that is meant as one with a backslash. */
static void drop_backslashes(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (*s != '\\' || s[1] != '-')
			*to++ = *s;
	*to = '\0';
}

static void load(void)
{
	char path[4096];
	char *slash;
	ssize_t n = readlink("/proc/self/exe", keel, sizeof(keel) - 32);

	keel[n < 0 ? 0 : n] = '\0';
	for (unsigned int up = 0; up < 3; up++) {
		slash = strrchr(keel, '/');
		if (slash)
			*slash = '\0';
	}
	strcat(keel, "/tools/keel");
	snprintf(path, sizeof(path), "%s", __FILE__);
	*strstr(path, "selftests/") = '\0';
	slash = path + strlen(path);
	strcpy(slash, "tools/keel/keel.1");
	append_file(manuals, sizeof(manuals), path);
	strcpy(slash, "tools/keel/keel-run.1");
	append_file(manuals, sizeof(manuals), path);
	strcpy(slash, "tools/keel/keel.bash");
	append_file(completion, sizeof(completion), path);
	drop_backslashes(manuals);
}

/* What `keel ARGS` prints; its status goes to *@status. */
static void run(const char *args, char *out, size_t size, int *status)
{
	char command[5000];
	FILE *p;

	snprintf(command, sizeof(command), "%s %s 2>&1", keel, args);
	p = popen(command, "r");
	if (!CHECK(p, "%s", command))
		exit(1);
	out[fread(out, 1, size - 1, p)] = '\0';
	*status = WEXITSTATUS(pclose(p));
}

/* @option, as "--name", is documented everywhere. */
static void check_option(const char *verb, const char *option)
{
	CHECK(strstr(manuals, option), "%s %s is not in the manual", verb, option);
	CHECK(strstr(completion, option), "%s %s is not in the completion", verb, option);
}

static void check_verb(const char *verb)
{
	char args[64], out[16384], option[64];
	int status;

	snprintf(args, sizeof(args), "%s --help", verb);
	run(args, out, sizeof(out), &status);
	CHECK_EQ(status, 0);
	CHECK(strstr(out, "Exit status:"), "%s", verb);
	CHECK(strstr(out, "--output"), "%s", verb);
	snprintf(args, sizeof(args), "help %s", verb);
	CHECK(strstr(manuals, verb), "%s is not in the manual", verb);
	CHECK(strstr(completion, verb), "%s is not in the completion", verb);
	for (char *p = strstr(out, "Options:"); p && *p; p = strchr(p, '\n')) {
		if (sscanf(++p, " -%*c, %63[-a-z]", option) == 1 ||
		    sscanf(p, " %63[-a-z]", option) == 1)
			if (!strncmp(option, "--", 2))
				check_option(verb, option);
	}
	snprintf(args, sizeof(args), "%s --no-such-option", verb);
	run(args, out, sizeof(out), &status);
	CHECK_EQ(status, 2);
	CHECK(strstr(out, "--help"), "%s: the message names the remedy", verb);
}

static void help_is_complete(void)
{
	char out[16384], verb[32];
	unsigned int n = 0;
	int status;

	if (access(keel, X_OK)) {
		ktap_skip("the launcher is not built");
		return;
	}
	run("help", out, sizeof(out), &status);
	CHECK_EQ(status, 0);
	for (char *p = strstr(out, "Commands:"); p; p = strchr(p, '\n')) {
		if (sscanf(++p, "  %31[a-z] ", verb) != 1 || strncmp(p, "  ", 2))
			continue;
		if (strcmp(verb, "help") && p[2] == verb[0]) {
			check_verb(verb);
			n++;
		}
	}
	CHECK(n >= 8, "%u commands", n);
	ktap_cases(n);
	run("", out, sizeof(out), &status);
	CHECK_EQ(status, 2);
	run("nonsense", out, sizeof(out), &status);
	CHECK_EQ(status, 2);
}

int main(void)
{
	static const struct ktap_test tests[] = { KTAP_TEST(help_is_complete) };

	load();
	return ktap_main(tests, 1);
}
