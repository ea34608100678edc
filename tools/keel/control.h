/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control socket of a running machine, both ends: a line of JSON asks, a
 * line of JSON answers. It must not know how a machine does what it is asked.
 *
 * Requests: {"command": C} with C one of status, stop, kill, pause, resume,
 * stats. Answers: {"ok": true, ...} or {"ok": false, "error": TEXT}. When the
 * machine ends, everyone connected gets {"event": "ended", "cause": CAUSE,
 * "status": N, "detail": TEXT} and then the end of the stream.
 */
#ifndef KEEL_TOOL_CONTROL_H
#define KEEL_TOOL_CONTROL_H

#include <json-c/json.h>
#include <poll.h>

#include "util.h"

#define CONTROL_CLIENTS	8
#define CONTROL_FDS	(1 + CONTROL_CLIENTS)
#define CONTROL_LINE	4096
#define CONTROL_NAME	64	/* with its NUL */

/* Letters, digits, '_', '-', '.'; starts with a letter or digit. */
bool control_name_ok(const char *name);

/*
 * ${KEEL_RUNTIME_DIR}, /run/keel for root, $XDG_RUNTIME_DIR/keel for others;
 * made if it is not there. NULL, told to the user, if there is none.
 */
const char *control_dir(void);
/* DIR/NAME + @suffix. False, told to the user, if it is too long. */
bool control_path(char *path, size_t size, const char *name, const char *suffix);

/* ---- the machine's end ------------------------------------------------------- */

struct control_client {
	int fd;			/* -1: free */
	size_t len;
	char line[CONTROL_LINE];
};

struct control {
	int listen;		/* -1: closed */
	char path[108];		/* as long as a socket's name can be */
	struct control_client client[CONTROL_CLIENTS];
	/* Answers one request; the reference goes to the caller. */
	struct json_object *(*answer)(void *ctx, const char *command);
	void *ctx;
};

/* Listen as @name. 0; -EADDRINUSE: a VM of that name runs; -errno. All are told. */
int control_open(struct control *ctl, const char *name);
/* Say goodbye to the clients with @event (may be NULL), remove the socket. */
void control_close(struct control *ctl, struct json_object *event);
/* Fill @fds (CONTROL_FDS); then, after poll(), act on what it returned. */
void control_poll(struct control *ctl, struct pollfd *fds);
void control_handle(struct control *ctl, const struct pollfd *fds);

/* ---- the user's end ------------------------------------------------------------ */

/* A connection to VM @name: a fd, or -ENOENT when there is none, or -errno. Tells nobody. */
int control_connect(const char *name);
/* Ask, and wait for the answer. NULL: the machine has gone or does not answer. */
struct json_object *control_ask(int fd, const char *command);
/* One line within @timeout_ms (-1: for ever). NULL: end, error, or timeout (errno ETIMEDOUT). */
struct json_object *control_read(int fd, int timeout_ms);
/* Call @fn for the name of every VM that answers; leftovers of dead ones are removed. */
void control_each(void (*fn)(void *ctx, const char *name, int fd), void *ctx);

#endif /* KEEL_TOOL_CONTROL_H */
