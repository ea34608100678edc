// SPDX-License-Identifier: GPL-2.0
/*
 * The verbs that talk to running machines through their control sockets: list,
 * stop, kill, pause, resume, stat. It must not know /dev/keel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "control.h"
#include "ledger.h"
#include "stats.h"

#define STOP_SECONDS	60
#define KILL_SECONDS	10
#define STATS_SUFFIX	".stats"

enum { OPT_NO_WAIT = 1, OPT_CSV, OPT_PLOT };

/* ---- answers -------------------------------------------------------------------- */

static const char *text_of(struct json_object *obj, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(obj, key, &v) ? json_object_get_string(v) : "?";
}

static s64 number_of(struct json_object *obj, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(obj, key, &v) ? json_object_get_int64(v) : 0;
}

static void print_json(struct json_object *obj)
{
	printf("%s\n", json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_SPACED |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
}

static enum exitcode no_vm(const char *name)
{
	say("there is no VM named %s (`keel list` shows all)", name);
	return EXIT_NO_VM;
}

/* Connect to @name, and tell the user why not. A fd, or minus what to exit with. */
static int connect_to(const char *name)
{
	int fd = control_connect(name);

	if (fd >= 0)
		return fd;
	if (fd == -ENOENT)
		return -(int)no_vm(name);
	say("cannot reach VM %s: %s", name, strerror(-fd));
	return -EXIT_LAUNCHER;
}

/* Ask and check. EXIT_OK and the answer (or NULL if @reply is), or told to the user. */
static enum exitcode ask(int fd, const char *name, const char *command,
			 struct json_object **reply)
{
	struct json_object *got = control_ask(fd, command), *ok;

	if (!got) {
		say("VM %s does not answer", name);
		return EXIT_LAUNCHER;
	}
	if (!json_object_object_get_ex(got, "ok", &ok) || !json_object_get_boolean(ok)) {
		say("VM %s refused to %s: %s", name, command, text_of(got, "error"));
		json_object_put(got);
		return EXIT_LAUNCHER;
	}
	if (reply)
		*reply = got;
	else
		json_object_put(got);
	return EXIT_OK;
}

/* ---- list ------------------------------------------------------------------------- */

static void add_status(void *ctx, const char *name, int fd)
{
	struct json_object *reply = control_ask(fd, "status");

	if (reply) {
		json_object_object_del(reply, "ok");
		json_object_array_add(ctx, reply);
	} else if (errno == ETIMEDOUT) {
		/* One that hangs is worth a line; one that ends just now is not. */
		say("VM %s does not answer", name);
	}
}

static void print_list(struct json_object *vms)
{
	size_t nr = json_object_array_length(vms);

	printf("%-20s %8s  %-8s %5s %11s %10s\n", "NAME", "PID", "STATE", "CPUS", "MEMORY/MiB",
	       "UPTIME/s");
	for (size_t i = 0; i < nr; i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);

		printf("%-20s %8lld  %-8s %5lld %11lld %10lld\n", text_of(vm, "name"),
		       number_of(vm, "pid"), text_of(vm, "state"), number_of(vm, "cpus"),
		       number_of(vm, "memory_bytes") >> 20, number_of(vm, "uptime_seconds"));
	}
}

static int list(const struct verb *verb, int argc, char **argv)
{
	struct json_object *vms;
	struct cli cli;
	int rc;

	cli_begin(&cli, verb, argc, argv);
	rc = cli_common(&cli);
	if (rc != CLI_END)
		return cli_exit(rc);
	if (!cli_words(&cli, 0, NULL))
		return EXIT_USAGE;
	if (!control_dir())
		return EXIT_LAUNCHER;
	vms = json_object_new_array();
	control_each(add_status, vms);
	if (cli.json)
		print_json(vms);
	else
		print_list(vms);
	json_object_put(vms);
	return EXIT_OK;
}

/* ---- pause, resume, kill, stop ------------------------------------------------------- */

static void report(const struct cli *cli, const char *name, const char *what)
{
	struct json_object *obj;

	if (!cli->json) {
		printf("%s: %s\n", name, what);
		return;
	}
	obj = json_object_new_object();
	json_object_object_add(obj, "name", json_object_new_string(name));
	json_object_object_add(obj, "result", json_object_new_string(what));
	print_json(obj);
	json_object_put(obj);
}

/* A verb that is one request: ask for it, and say what has become of the VM. */
static int simple(const struct verb *verb, int argc, char **argv, const char *done)
{
	enum exitcode code;
	const char *name;
	struct cli cli;
	int rc, fd;

	cli_begin(&cli, verb, argc, argv);
	rc = cli_common(&cli);
	if (rc != CLI_END)
		return cli_exit(rc);
	if (!cli_words(&cli, 1, &name))
		return EXIT_USAGE;
	fd = connect_to(name);
	if (fd < 0)
		return -fd;
	code = ask(fd, name, verb->name, NULL);
	close(fd);
	if (!code)
		report(&cli, name, done);
	return code;
}

static int pause_vm(const struct verb *verb, int argc, char **argv)
{
	return simple(verb, argc, argv, "paused");
}

static int resume_vm(const struct verb *verb, int argc, char **argv)
{
	return simple(verb, argc, argv, "running");
}

/* Wait for the machine's last word. False: it has not come in time. */
static bool wait_end(int fd, int seconds)
{
	struct json_object *event;

	do {
		event = control_read(fd, seconds * 1000);
		json_object_put(event);
	} while (event);
	return errno != ETIMEDOUT;
}

static enum exitcode kill_and_wait(int fd, const char *name)
{
	enum exitcode code = ask(fd, name, "kill", NULL);

	if (code || wait_end(fd, KILL_SECONDS))
		return code;
	say("VM %s does not end: kill its process (`keel list` shows the PID)", name);
	return EXIT_LAUNCHER;
}

static int kill_vm(const struct verb *verb, int argc, char **argv)
{
	enum exitcode code;
	const char *name;
	struct cli cli;
	int rc, fd;

	cli_begin(&cli, verb, argc, argv);
	rc = cli_common(&cli);
	if (rc != CLI_END)
		return cli_exit(rc);
	if (!cli_words(&cli, 1, &name))
		return EXIT_USAGE;
	fd = connect_to(name);
	if (fd < 0)
		return -fd;
	code = kill_and_wait(fd, name);
	close(fd);
	if (!code)
		report(&cli, name, "killed");
	return code;
}

struct stop_options {
	bool wait;
	s64 kill_after;		/* seconds; -1: never */
};

static int parse_stop(struct cli *cli, struct stop_options *opt)
{
	u64 n;
	int key;

	while ((key = cli_next(cli)) > 0) {
		if (key == OPT_NO_WAIT) {
			opt->wait = false;
			continue;
		}
		if (!parse_number(cli->value, 0, 86400, &n))
			return cli_error(cli->verb, "-t takes seconds, not '%s'", cli->value);
		opt->kill_after = n;
	}
	return key;
}

static enum exitcode stop_and_wait(int fd, const char *name, const struct stop_options *opt,
				   const char **done)
{
	enum exitcode code = ask(fd, name, "stop", NULL);

	*done = "asked to stop";
	if (code || !opt->wait)
		return code;
	*done = "stopped";
	if (wait_end(fd, opt->kill_after < 0 ? STOP_SECONDS : opt->kill_after))
		return EXIT_OK;
	*done = "killed";
	if (opt->kill_after >= 0)
		return kill_and_wait(fd, name);
	say("VM %s has not heeded its power button for %u s (`keel kill %s` ends it)", name,
	    STOP_SECONDS, name);
	return EXIT_LAUNCHER;
}

static int stop(const struct verb *verb, int argc, char **argv)
{
	struct stop_options opt = { .wait = true, .kill_after = -1 };
	const char *name, *done;
	enum exitcode code;
	struct cli cli;
	int rc, fd;

	cli_begin(&cli, verb, argc, argv);
	rc = parse_stop(&cli, &opt);
	if (rc != CLI_END)
		return cli_exit(rc);
	if (!cli_words(&cli, 1, &name))
		return EXIT_USAGE;
	fd = connect_to(name);
	if (fd < 0)
		return -fd;
	code = stop_and_wait(fd, name, &opt, &done);
	close(fd);
	if (!code)
		report(&cli, name, done);
	return code;
}

/* ---- stat -------------------------------------------------------------------------------- */

/* What a VM with a name has left behind when it ended. */
static struct json_object *kept_stats(const char *name)
{
	char path[256];

	if (!control_name_ok(name) || !control_path(path, sizeof(path), name, STATS_SUFFIX) ||
	    access(path, R_OK))
		return NULL;
	return json_object_from_file(path);
}

static enum exitcode get_stats(const char *name, struct json_object **all)
{
	enum exitcode code;
	int fd = control_connect(name);

	if (fd == -ENOENT) {
		*all = kept_stats(name);
		return *all ? EXIT_OK : no_vm(name);
	}
	if (fd < 0) {
		say("cannot reach VM %s: %s", name, strerror(-fd));
		return EXIT_LAUNCHER;
	}
	code = ask(fd, name, "stats", all);
	close(fd);
	if (!code)
		json_object_object_del(*all, "ok");
	return code;
}

typedef void (*ledger_fn)(struct json_object *vcpus, FILE *out);

/* How the answer is shown: @ledger is NULL with -o json. */
struct stat_view {
	ledger_fn ledger;
	bool counters;
	int every;		/* seconds; 0: once */
};

static void print_stats(const char *name, struct json_object *all, const struct stat_view *view)
{
	struct json_object *ended, *stats, *ledger;

	if (!view->ledger) {
		print_json(all);
		return;
	}
	if (view->counters && json_object_object_get_ex(all, "ended", &ended))
		printf("%s: ended (%s)\n", name, text_of(ended, "cause"));
	if (json_object_object_get_ex(all, "ledger", &ledger))
		view->ledger(ledger, stdout);
	if (view->counters && json_object_object_get_ex(all, "stats", &stats))
		stats_print(stats, stdout);
}

/* Once, or again and again until the VM is gone. */
static enum exitcode show_stats(const char *name, const struct stat_view *view)
{
	struct json_object *all, *ended;
	enum exitcode code;
	bool last;

	for (;;) {
		code = get_stats(name, &all);
		if (code)
			return code;
		last = !view->every || json_object_object_get_ex(all, "ended", &ended);
		if (view->every && isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout);
		print_stats(name, all, view);
		json_object_put(all);
		fflush(stdout);
		if (last)
			return EXIT_OK;
		sleep(view->every);
	}
}

static int stat_option(struct cli *cli, int key, struct stat_view *view)
{
	switch (key) {
	case OPT_CSV:
		*view = (struct stat_view){ .ledger = ledger_csv, .every = view->every };
		return 0;
	case OPT_PLOT:
		*view = (struct stat_view){ .ledger = ledger_plot, .every = view->every };
		return 0;
	}
	view->every = atoi(cli->value);
	if (view->every < 1 || view->every > 86400)
		return cli_error(cli->verb, "--watch takes seconds, 1 to 86400, not '%s'",
				 cli->value);
	return 0;
}

static int stat_vm(const struct verb *verb, int argc, char **argv)
{
	struct stat_view view = { .ledger = ledger_print, .counters = true };
	const char *name;
	struct cli cli;
	int key;

	cli_begin(&cli, verb, argc, argv);
	while ((key = cli_next(&cli)) > 0)
		if (stat_option(&cli, key, &view))
			return EXIT_USAGE;
	if (key != CLI_END)
		return cli_exit(key);
	if (!cli_words(&cli, 1, &name))
		return EXIT_USAGE;
	if (cli.json)
		view.ledger = NULL;
	return show_stats(name, &view);
}

/* ---- tables --------------------------------------------------------------------------------- */

static const struct option_spec common_options[] = { OPTION_OUTPUT, OPTION_HELP, { 0 } };

static const struct option_spec stop_options[] = {
	{ 't', "timeout", "SECONDS", "kill it if it has not stopped by then" },
	{ OPT_NO_WAIT, "no-wait", NULL, "press the button and return" },
	OPTION_OUTPUT,
	OPTION_HELP,
	{ 0 }
};

static const struct option_spec stat_options[] = {
	{ OPT_CSV, "csv", NULL, "the histograms as vcpu,reason,path,from_ns,count" },
	{ OPT_PLOT, "plot", NULL, "draw a histogram of each reason's times" },
	{ 'w', "watch", "SECONDS", "again and again until the VM has ended" },
	OPTION_OUTPUT,
	OPTION_HELP,
	{ 0 }
};

const struct verb verb_list = {
	.name = "list", .args = "", .summary = "List the running virtual machines",
	.options = common_options, .run = list,
};

const struct verb verb_pause = {
	.name = "pause", .args = "NAME", .summary = "Halt a virtual machine where it is",
	.options = common_options, .run = pause_vm,
};

const struct verb verb_resume = {
	.name = "resume", .args = "NAME", .summary = "Let a paused virtual machine go on",
	.options = common_options, .run = resume_vm,
};

const struct verb verb_kill = {
	.name = "kill", .args = "NAME", .summary = "End a virtual machine without asking it",
	.options = common_options, .run = kill_vm,
};

const struct verb verb_stop = {
	.name = "stop", .args = "NAME", .summary = "Press a virtual machine's power button",
	.options = stop_options, .run = stop,
	.help =
"It waits until the guest has powered off: 60 seconds, or with -t until the\n"
"time is over and the VM is killed.\n",
};

const struct verb verb_stat = {
	.name = "stat", .args = "NAME",
	.summary = "Show where a virtual machine's time goes, and its exits by reason",
	.options = stat_options, .run = stat_vm,
	.help =
"An exit counts where it led: handled in the entry loop, in the kernel, or by\n"
"the launcher. Its time is from the exit to the next entry, without the time\n"
"in which the vCPU was halted or waited for a CPU of the host.\n"
"For a VM that was started with --name and has ended, its final figures.\n",
};
