// SPDX-License-Identifier: GPL-2.0
/*
 * `keel run`: options, order of preparation, the main thread's loop, and the
 * end. It must not know a device or an ioctl.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"
#include "console.h"
#include "control.h"
#include "machine.h"
#include "privileges.h"
#include "ledger.h"
#include "stats.h"

#define DEFAULT_MEMORY	MIB(512)
#define DEFAULT_CONSOLE	"console=ttyS0"
#define TSC_OPTION	"tsc_early_khz="
#define TSC_TRUST	"tsc="
#define CLOCKSOURCE	"/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define STATS_SUFFIX	".stats"

enum { OPT_KERNEL = 1, OPT_INITRD, OPT_APPEND, OPT_NAME, OPT_NO_REBOOT, OPT_NO_SANDBOX };

/* One `keel run`, from its options to its end. */
struct session {
	struct machine machine;
	struct control control;
	char name[CONTROL_NAME];
	bool named;		/* by the user: final statistics are kept */
	bool no_reboot, no_sandbox, json;
	const char *kernel, *initrd, *append;
	char *cmdline;
	bool input_ended;
	bool stop_asked;	/* the power button was pressed once */
	int signals;		/* signalfd */
	int stats;		/* the VM's stream; -1: none */
	int keep;		/* file for the final statistics; -1: none */
	s64 started;		/* CLOCK_REALTIME */
	unsigned int reboots;
};

/* ---- options --------------------------------------------------------------------- */

static int bad_value(struct cli *cli, const char *what)
{
	return cli_error(cli->verb, "%s, not '%s'", what, cli->value);
}

static int take_option(struct session *s, struct cli *cli, int key)
{
	struct machine_config *config = &s->machine.config;
	u64 n;

	switch (key) {
	case OPT_KERNEL:
		s->kernel = cli->value;
		return 0;
	case OPT_INITRD:
		s->initrd = cli->value;
		return 0;
	case OPT_APPEND:
		s->append = cli->value;
		return 0;
	case OPT_NO_REBOOT:
		s->no_reboot = true;
		return 0;
	case OPT_NO_SANDBOX:
		s->no_sandbox = true;
		return 0;
	case OPT_NAME:
		if (!control_name_ok(cli->value))
			return bad_value(cli, "a name has up to 63 letters, digits, '_', '-', '.'");
		strcpy(s->name, cli->value);
		s->named = true;
		return 0;
	case 'm':
		if (!parse_size_mib(cli->value, &config->memory))
			return bad_value(cli, "-m takes a size in MiB, or 512M or 2G");
		return 0;
	default:
		if (!parse_number(cli->value, 1, 4096, &n))
			return bad_value(cli, "-c takes a number of CPUs");
		config->cpus = n;
		return 0;
	}
}

static int parse(struct session *s, const struct verb *verb, int argc, char **argv)
{
	struct cli cli;
	int key, rc;

	cli_begin(&cli, verb, argc, argv);
	while ((key = cli_next(&cli)) > 0) {
		rc = take_option(s, &cli, key);
		if (rc)
			return rc;
	}
	s->json = cli.json;
	if (key != CLI_END)
		return key;
	if (!cli_words(&cli, 0, NULL))
		return CLI_ERROR;
	if (!s->kernel)
		return cli_error(verb, "--kernel is missing");
	return CLI_END;
}

/* Does this host keep its own time by the TSC? */
static bool host_trusts_tsc(void)
{
	char name[16] = "";
	int fd = open(CLOCKSOURCE, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);

	if (fd >= 0)
		close(fd);
	return len > 0 && !strcmp(name, "tsc\n");
}

/*
 * What a guest cannot find out well by itself, where the user is silent: its
 * console, or it would seem dead; the frequency of its TSC, which it would
 * measure against timers that cost an exit a look; and that the TSC is as good
 * as the host found it, which it would doubt for the same reason.
 */
static int make_cmdline(struct session *s)
{
	const char *own = s->append ? s->append : "";
	const char *console = strstr(own, "console=") ? "" : DEFAULT_CONSOLE " ";
	u32 khz = s->machine.vm.info.tsc_khz;
	const char *trust = "";
	char tsc[32] = "";

	if (khz && !strstr(own, TSC_OPTION))
		snprintf(tsc, sizeof(tsc), TSC_OPTION "%u ", khz);
	if (!strstr(own, TSC_TRUST) && host_trusts_tsc())
		trust = TSC_TRUST "reliable ";
	if (asprintf(&s->cmdline, "%s%s%s%s", console, tsc, trust, own) < 0)
		return -ENOMEM;
	s->machine.config.cmdline = s->cmdline;
	return 0;
}

/* ---- preparation ------------------------------------------------------------------- */

static enum exitcode load_files(struct session *s)
{
	struct machine_config *config = &s->machine.config;

	if (blob_load(&config->kernel, s->kernel) ||
	    (s->initrd && blob_load(&config->initrd, s->initrd)) || make_cmdline(s))
		return EXIT_LAUNCHER;
	return EXIT_OK;
}

/* Signals come to the main thread's poll(), and to no other thread. */
static int take_signals(struct session *s)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? -errno : 0;
}

/* While files can still be opened. Without it there are no final statistics. */
static void open_keep(struct session *s)
{
	char path[256];

	s->keep = -1;
	if (s->named && control_path(path, sizeof(path), s->name, STATS_SUFFIX))
		s->keep = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static struct json_object *answer(void *ctx, const char *command);

/* In this order: threads before the filter that forbids them, the guest last. */
static enum exitcode prepare(struct session *s)
{
	enum exitcode code;

	code = vm_open_device(&s->machine.vm);
	if (!code)
		code = load_files(s);
	if (code)
		return code;
	if (!s->named)
		snprintf(s->name, sizeof(s->name), "vm-%d", getpid());
	s->control.answer = answer;
	s->control.ctx = s;
	if (control_open(&s->control, s->name))
		return EXIT_LAUNCHER;
	open_keep(s);
	if (take_signals(s) || (!s->no_sandbox && privileges_drop()) ||
	    machine_init(&s->machine))
		return EXIT_LAUNCHER;
	/* Its hash seed wants a file, once. */
	json_object_put(json_object_new_object());
	return EXIT_OK;
}

/* ---- what is asked of a running machine ------------------------------------------------ */

static struct json_object *done(int rc, const char *error)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "ok", json_object_new_boolean(rc >= 0));
	if (rc < 0)
		json_object_object_add(reply, "error", json_object_new_string(error));
	return reply;
}

static void press_button(struct session *s)
{
	s->stop_asked = true;
	if (!machine_power_button(&s->machine))
		say("the guest has not enabled its power button; the press waits there");
}

static void kill_machine(struct session *s, const char *who)
{
	machine_end(&s->machine, END_KILLED, "killed by %s", who);
}

static struct json_object *answer_stop(struct session *s)
{
	if (s->machine.paused)
		return done(-1, "the VM is paused: resume it first");
	press_button(s);
	return done(0, NULL);
}

static struct json_object *answer_kill(struct session *s)
{
	kill_machine(s, "keel kill");
	return done(0, NULL);
}

static struct json_object *answer_pause(struct session *s)
{
	int rc = machine_pause(&s->machine);

	return done(rc, rc == -EALREADY ? "the VM is paused already" : strerror(-rc));
}

static struct json_object *answer_resume(struct session *s)
{
	int rc = machine_resume(&s->machine);

	return done(rc, rc == -EALREADY ? "the VM is not paused" : strerror(-rc));
}

static struct json_object *answer_status(struct session *s)
{
	const struct machine_config *config = &s->machine.config;
	struct json_object *reply = done(0, NULL);

	json_object_object_add(reply, "name", json_object_new_string(s->name));
	json_object_object_add(reply, "pid", json_object_new_int(getpid()));
	json_object_object_add(reply, "state",
			       json_object_new_string(s->machine.paused ? "paused" : "running"));
	json_object_object_add(reply, "cpus", json_object_new_int(config->cpus));
	json_object_object_add(reply, "memory_bytes", json_object_new_uint64(config->memory));
	json_object_object_add(reply, "uptime_seconds",
			       json_object_new_int64((now_realtime() - s->started) / NS_PER_SEC));
	json_object_object_add(reply, "reboots", json_object_new_int(s->reboots));
	return reply;
}

/* "stats" and "ledger" into @all; false: the module gives none. */
static bool add_stats(struct session *s, struct json_object *all)
{
	struct json_object *stats = s->stats >= 0 ? stats_read(s->stats) : NULL;
	struct json_object *ledgers = json_object_new_array();
	const struct vm *vm = &s->machine.vm;

	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpu[i];
		struct json_object *ledger = ledger_read(vcpu->ledger, vcpu->ledger_len,
							 __builtin_ia32_rdtsc());

		if (ledger)
			json_object_array_add(ledgers, ledger);
	}
	json_object_object_add(all, "stats", stats);
	json_object_object_add(all, "ledger", ledgers);
	return stats;
}

static struct json_object *answer_stats(struct session *s)
{
	struct json_object *reply = done(0, NULL);

	if (add_stats(s, reply))
		return reply;
	json_object_put(reply);
	return done(-1, "the module gives no statistics");
}

static struct json_object *answer(void *ctx, const char *command)
{
	static const struct {
		const char *command;
		struct json_object *(*fn)(struct session *s);
	} commands[] = {
		{ "status", answer_status }, { "stop", answer_stop }, { "kill", answer_kill },
		{ "pause", answer_pause }, { "resume", answer_resume }, { "stats", answer_stats },
	};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(command, commands[i].command))
			return commands[i].fn(ctx);
	return NULL;
}

/* ---- the main thread's loop ---------------------------------------------------------------- */

static void on_escape(struct session *s, enum console_key key)
{
	int rc = 0;

	switch (key) {
	case CONSOLE_QUIT:
		kill_machine(s, "Ctrl-] q");
		break;
	case CONSOLE_STOP:
		press_button(s);
		break;
	case CONSOLE_PAUSE:
		rc = s->machine.paused ? machine_resume(&s->machine) : machine_pause(&s->machine);
		if (rc < 0)
			say("that failed: %s", strerror(-rc));
		else
			say("the VM is %s", s->machine.paused ? "paused (Ctrl-] p resumes it)" :
								"running");
		break;
	case CONSOLE_BREAK:
		machine_break(&s->machine);
		break;
	default:
		break;
	}
}

static void on_input(struct session *s)
{
	u8 buf[512];
	enum console_key key;
	long len;

	do {
		size_t room = machine_input_room(&s->machine);

		/* A person's keys are read in any case: Ctrl-] must work. */
		if (room > sizeof(buf) || console_interactive())
			room = sizeof(buf);
		key = console_read(buf, room, &len);
		if (len < 0)
			s->input_ended = true;
		else if (len)
			machine_input(&s->machine, buf, len);
		on_escape(s, key);
	} while (console_pending());
}

/* The first asks the guest to stop, the second does not ask. */
static void on_signal(struct session *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGQUIT || s->stop_asked)
		kill_machine(s, "a signal");
	else
		press_button(s);
}

enum { POLL_INPUT, POLL_SIGNAL, POLL_END, POLL_RTC, POLL_CONTROL };

/* Serve the world until the machine has ended. */
static void serve(struct session *s)
{
	struct machine *m = &s->machine;
	struct pollfd fds[POLL_CONTROL + CONTROL_FDS];

	while (atomic_load(&m->end) == END_NONE) {
		bool listen = !s->input_ended &&
			      (console_interactive() || machine_input_room(m));

		fds[POLL_INPUT] = (struct pollfd){ listen ? STDIN_FILENO : -1, POLLIN, 0 };
		fds[POLL_SIGNAL] = (struct pollfd){ s->signals, POLLIN, 0 };
		fds[POLL_END] = (struct pollfd){ m->end_fd, POLLIN, 0 };
		fds[POLL_RTC] = (struct pollfd){ m->rtc_fd, POLLIN, 0 };
		control_poll(&s->control, &fds[POLL_CONTROL]);
		if (poll(fds, ARRAY_SIZE(fds), listen || s->input_ended ? -1 : 100) < 0) {
			if (errno == EINTR)
				continue;
			machine_end(m, END_LAUNCHER, "poll: %s", strerror(errno));
			break;
		}
		if (fds[POLL_INPUT].revents)
			on_input(s);
		if (fds[POLL_SIGNAL].revents)
			on_signal(s);
		if (fds[POLL_RTC].revents)
			machine_rtc_expired(m);
		control_handle(&s->control, &fds[POLL_CONTROL]);
	}
}

/* ---- the end --------------------------------------------------------------- */

static struct json_object *ending(struct session *s)
{
	enum end_cause cause = atomic_load(&s->machine.end);
	struct json_object *event = json_object_new_object();

	json_object_object_add(event, "event", json_object_new_string("ended"));
	json_object_object_add(event, "name", json_object_new_string(s->name));
	json_object_object_add(event, "cause", json_object_new_string(end_cause_name(cause)));
	json_object_object_add(event, "status", json_object_new_int(end_cause_exit(cause)));
	json_object_object_add(event, "detail", json_object_new_string(s->machine.detail));
	return event;
}

/* For `keel stat NAME` after the end. */
static void keep_stats(struct session *s, struct json_object *event)
{
	struct json_object *all;
	const char *text;

	if (s->keep < 0 || s->stats < 0)
		return;
	all = json_object_new_object();
	json_object_object_add(all, "ended", json_object_get(event));
	if (add_stats(s, all)) {
		text = json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN);
		write_all(s->keep, text, strlen(text));
	}
	json_object_put(all);
}

static bool wants_restart(struct session *s)
{
	return atomic_load(&s->machine.end) == END_REBOOT && !s->no_reboot;
}

/* Lives of the machine, until one ends without a reboot. EXIT_OK: it has ended. */
static enum exitcode live(struct session *s)
{
	enum exitcode code;

	for (;;) {
		code = machine_build(&s->machine);
		if (code)
			return code;
		s->stats = vm_stats_fd(&s->machine.vm);
		s->stop_asked = false;
		machine_start(&s->machine);
		serve(s);
		machine_join(&s->machine);
		if (!wants_restart(s))
			return EXIT_OK;
		close(s->stats);
		s->stats = -1;
		machine_teardown(&s->machine);
		s->reboots++;
	}
}

static enum exitcode finish(struct session *s)
{
	enum end_cause cause = atomic_load(&s->machine.end);
	struct json_object *event = ending(s);

	keep_stats(s, event);
	if (s->stats >= 0)
		close(s->stats);
	console_close();
	machine_fini(&s->machine);
	control_close(&s->control, event);
	if (s->json)
		fprintf(stderr, "%s\n", json_object_to_json_string(event));
	else if (cause != END_POWER_OFF)
		say("%s", s->machine.detail);
	json_object_put(event);
	return end_cause_exit(cause);
}

static int run(const struct verb *verb, int argc, char **argv)
{
	/* Static: when preparation fails, parked threads outlive this call. */
	static struct session s = {
		.stats = -1, .keep = -1, .signals = -1,
		.control = { .listen = -1 },
		.machine = { .config = { .memory = DEFAULT_MEMORY, .cpus = 1 } },
	};
	enum exitcode code;
	int rc = parse(&s, verb, argc, argv);

	if (rc != CLI_END)
		return cli_exit(rc);
	s.started = now_realtime();
	code = prepare(&s);
	if (!code && console_open()) {
		say("cannot start the console's thread");
		code = EXIT_LAUNCHER;
	}
	if (!code && !s.no_sandbox && privileges_sandbox())
		code = EXIT_LAUNCHER;
	if (!code)
		code = live(&s);
	if (!code)
		return finish(&s);
	console_close();
	control_close(&s.control, NULL);
	return code;
}

static const struct option_spec options[] = {
	{ OPT_KERNEL, "kernel", "BZIMAGE", "the Linux kernel to boot" },
	{ OPT_INITRD, "initrd", "FILE", "its initial ramdisk" },
	{ OPT_APPEND, "append", "STRING", "its command line" },
	{ 'm', "memory", "MIB", "memory: 512 (the default), 512M, 2G" },
	{ 'c', "cpus", "N", "CPUs (1)" },
	{ OPT_NAME, "name", "NAME", "its name for other commands (vm-PID)" },
	{ OPT_NO_REBOOT, "no-reboot", NULL, "end when the guest reboots" },
	{ OPT_NO_SANDBOX, "no-sandbox", NULL, "keep privileges and system calls" },
	OPTION_OUTPUT,
	OPTION_HELP,
	{ 0 }
};

const struct verb verb_run = {
	.name = "run", .args = "", .summary = "Boot a virtual machine", .options = options,
	.run = run,
	.help =
"The first serial port is this terminal. Ctrl-] h tells what can be done\n"
"there: Ctrl-] q kills the VM. What --append does not say of itself is put in\n"
"front of it: " DEFAULT_CONSOLE ", " TSC_OPTION "N with the TSC's frequency, and\n"
TSC_TRUST "reliable if the host itself keeps time by its TSC.\n"
"\n"
"SIGTERM, and SIGINT without a terminal, press the guest's power button; the\n"
"second one kills the VM. A reboot starts the machine again. With --name the\n"
"final statistics are kept for `keel stat NAME`. With -o json the end is\n"
"reported on stderr as one JSON object.\n",
};
