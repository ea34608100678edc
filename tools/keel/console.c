// SPDX-License-Identifier: GPL-2.0
/*
 * The user's end of the serial port. Output goes through a buffer and a thread
 * of its own: vCPUs do not wait for a terminal, and what piles up while one
 * write() runs leaves with the next. It must not know a UART or a VM.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "console.h"

#define OUT_SIZE	65536
#define OUT_THROTTLE	(OUT_SIZE / 2)
/* console_close() gives up on output that nobody has taken for this long. */
#define DRAIN_SECONDS	2

#define ESCAPE		0x1d	/* Ctrl-] */

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t filled, drained;
	/* Under @lock: bytes of the run in @buf; two buffers take turns. */
	u8 buf[2][OUT_SIZE];
	unsigned int turn;
	size_t len;
	bool writing, closing, dead;
	u64 written;

	/* Owned by the thread that opens, reads and closes. */
	struct termios saved;
	bool opened, raw, escaped;
	u8 in[512];
	size_t in_pos, in_len;
} con = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* ---- output ------------------------------------------------------------- */

static void *writer(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&con.lock);
	for (;;) {
		const u8 *data;
		size_t len;
		int rc;

		while (!con.len && !con.closing)
			pthread_cond_wait(&con.filled, &con.lock);
		if (!con.len)
			break;
		data = con.buf[con.turn];
		len = con.len;
		con.turn ^= 1;
		con.len = 0;
		con.writing = true;
		pthread_mutex_unlock(&con.lock);
		rc = con.dead ? 0 : write_all(STDOUT_FILENO, data, len);
		pthread_mutex_lock(&con.lock);
		con.writing = false;
		con.written += len;
		/* The reader has gone: the guest runs on, unseen. */
		if (rc)
			con.dead = true;
		pthread_cond_broadcast(&con.drained);
	}
	pthread_mutex_unlock(&con.lock);
	return NULL;
}

void console_put(u8 byte)
{
	pthread_mutex_lock(&con.lock);
	/* Callers throttle at half of it; what a full buffer drops is nobody's fault. */
	if (con.len < OUT_SIZE)
		con.buf[con.turn][con.len++] = byte;
	if (con.len == 1 && !con.writing)
		pthread_cond_signal(&con.filled);
	pthread_mutex_unlock(&con.lock);
}

void console_throttle(void)
{
	pthread_mutex_lock(&con.lock);
	while (con.len > OUT_THROTTLE && !con.closing)
		pthread_cond_wait(&con.drained, &con.lock);
	pthread_mutex_unlock(&con.lock);
}

/* Wait until all is out, as long as some of it moves. */
static bool drain(void)
{
	u64 before = con.written;
	struct timespec until;
	bool empty;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += DRAIN_SECONDS;
	pthread_mutex_lock(&con.lock);
	con.closing = true;
	pthread_cond_signal(&con.filled);
	pthread_cond_broadcast(&con.drained);
	while (con.len || con.writing) {
		if (con.written != before) {
			before = con.written;
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += DRAIN_SECONDS;
		}
		if (pthread_cond_timedwait(&con.drained, &con.lock, &until) == ETIMEDOUT)
			break;
	}
	empty = !con.len && !con.writing;
	pthread_mutex_unlock(&con.lock);
	return empty;
}

/* ---- the terminal ---------------------------------------------------------- */

bool console_interactive(void)
{
	return con.raw;
}

static void make_raw(void)
{
	struct termios t;

	/* In the background it is somebody else's terminal. */
	if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
	    tcgetattr(STDIN_FILENO, &con.saved))
		return;
	t = con.saved;
	cfmakeraw(&t);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t))
		return;
	con.raw = true;
	say_raw(isatty(STDERR_FILENO));
}

int console_open(void)
{
	pthread_condattr_t attr;
	int rc;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&con.filled, &attr);
	pthread_cond_init(&con.drained, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&con.thread, NULL, writer, NULL);
	if (rc)
		return -rc;
	con.opened = true;
	make_raw();
	return 0;
}

void console_close(void)
{
	if (!con.opened)
		return;
	con.opened = false;
	/* A writer that is stuck in write() ends with the process. */
	if (drain())
		pthread_join(con.thread, NULL);
	if (!con.raw)
		return;
	/* Unless output is stuck: then waiting for it would be for ever. */
	tcsetattr(STDIN_FILENO, TCSANOW, &con.saved);
	con.raw = false;
	say_raw(false);
}

static void print_keys(void)
{
	say("after Ctrl-]:  q kill the VM   s stop it (power button)   p pause or resume");
	say("               b send a break  Ctrl-] send that key      h this help");
}

/* A key after the escape key. Returns what the launcher has to do. */
static enum console_key command(u8 key)
{
	switch (key) {
	case 'q': return CONSOLE_QUIT;
	case 's': return CONSOLE_STOP;
	case 'p': return CONSOLE_PAUSE;
	case 'b': return CONSOLE_BREAK;
	case ESCAPE: return CONSOLE_NONE;
	default:
		print_keys();
		return CONSOLE_NONE;
	}
}

bool console_pending(void)
{
	return con.in_pos < con.in_len;
}

enum console_key console_read(u8 *buf, size_t room, long *len)
{
	*len = 0;
	if (con.in_pos == con.in_len) {
		/* No more than can be handed on: poll() does not see leftovers. */
		size_t max = room < sizeof(con.in) ? room : sizeof(con.in);
		ssize_t n = read(STDIN_FILENO, con.in, max);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return CONSOLE_NONE;
		if (n <= 0) {
			*len = -1;
			return CONSOLE_NONE;
		}
		con.in_pos = 0;
		con.in_len = n;
	}
	while (con.in_pos < con.in_len && (size_t)*len < room) {
		u8 key = con.in[con.in_pos++];

		if (con.escaped) {
			enum console_key what = command(key);

			con.escaped = false;
			if (what != CONSOLE_NONE)
				return what;
			if (key != ESCAPE)
				continue;
		} else if (con.raw && key == ESCAPE) {
			con.escaped = true;
			continue;
		}
		buf[(*len)++] = key;
	}
	return CONSOLE_NONE;
}
