// SPDX-License-Identifier: GPL-2.0
/*
 * The control socket: names and folders, the machine's end, the user's end.
 * It must not know how a machine does what it is asked.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"

#define SOCKET_SUFFIX	".sock"
#define ANSWER_SECONDS	10
#define ANSWER_MAX	MIB(1)

/* ---- names and folders ----------------------------------------------------------- */

bool control_name_ok(const char *name)
{
	if (!isalnum((unsigned char)*name) || strlen(name) >= CONTROL_NAME)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_-.", *name))
			return false;
	return true;
}

const char *control_dir(void)
{
	static char dir[96];
	const char *own = getenv("KEEL_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (own && *own)
		n = snprintf(dir, sizeof(dir), "%s", own);
	else if (!geteuid())
		n = snprintf(dir, sizeof(dir), "/run/keel");
	else if (xdg && *xdg)
		n = snprintf(dir, sizeof(dir), "%s/keel", xdg);
	else
		n = -1;
	if (n < 0 || (size_t)n >= sizeof(dir)) {
		say("no folder for the control socket: set KEEL_RUNTIME_DIR to a short path");
		return NULL;
	}
	if (mkdir(dir, 0700) && errno != EEXIST) {
		say("cannot make %s: %s (KEEL_RUNTIME_DIR names another folder)", dir,
		    strerror(errno));
		return NULL;
	}
	return dir;
}

bool control_path(char *path, size_t size, const char *name, const char *suffix)
{
	const char *dir = control_dir();
	int n;

	if (!dir)
		return false;
	n = snprintf(path, size, "%s/%s%s", dir, name, suffix);
	if (n < 0 || (size_t)n >= size) {
		say("the control socket's path is too long: shorten KEEL_RUNTIME_DIR");
		return false;
	}
	return true;
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	return sun;
}

/* A connection, or -errno: -ECONNREFUSED means that a dead VM has left it. */
static int connect_path(const char *path)
{
	struct sockaddr_un sun = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* One launcher at a time looks for leftovers, removes and binds. A fd to close. */
static int lock_dir(void)
{
	const char *dir = control_dir();
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

/* ---- the machine's end ------------------------------------------------------------- */

static int bind_path(const char *path)
{
	struct sockaddr_un sun = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&sun, sizeof(sun)) && !chmod(path, 0600) &&
	    !listen(fd, CONTROL_CLIENTS))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int control_open(struct control *ctl, const char *name)
{
	int lock, fd;

	ctl->listen = -1;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		ctl->client[i].fd = -1;
	if (!control_path(ctl->path, sizeof(ctl->path), name, SOCKET_SUFFIX))
		return -EINVAL;
	lock = lock_dir();
	fd = connect_path(ctl->path);
	if (fd >= 0) {
		close(fd);
		fd = -EADDRINUSE;
		say("a VM named %s is running: give another --name, or `keel stop %s`",
		    name, name);
	} else {
		if (fd == -ECONNREFUSED)
			unlink(ctl->path);
		fd = bind_path(ctl->path);
		if (fd < 0)
			say("cannot listen at %s: %s", ctl->path, strerror(-fd));
	}
	if (lock >= 0)
		close(lock);
	if (fd < 0)
		return fd;
	ctl->listen = fd;
	return 0;
}

static void hang_up(struct control_client *c)
{
	close(c->fd);
	c->fd = -1;
}

/* A client that does not read within a second is dropped. */
static bool send_json(int fd, struct json_object *obj)
{
	const char *text = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN);
	size_t len = strlen(text);

	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		len -= n;
	}
	return send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
}

void control_close(struct control *ctl, struct json_object *event)
{
	if (ctl->listen < 0)
		return;
	/* First the name, so that who is told of the end can take it. */
	unlink(ctl->path);
	close(ctl->listen);
	ctl->listen = -1;
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *c = &ctl->client[i];

		if (c->fd < 0)
			continue;
		if (event)
			send_json(c->fd, event);
		hang_up(c);
	}
}

/* Only root, and whoever runs this machine. */
static bool peer_allowed(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) &&
	       (!cred.uid || cred.uid == geteuid());
}

static void accept_client(struct control *ctl)
{
	const struct timeval patience = { .tv_sec = 1 };
	int fd = accept4(ctl->listen, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS && peer_allowed(fd); i++) {
		struct control_client *c = &ctl->client[i];

		if (c->fd >= 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		c->fd = fd;
		c->len = 0;
		return;
	}
	close(fd);
}

static struct json_object *refusal(const char *why)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "ok", json_object_new_boolean(false));
	json_object_object_add(reply, "error", json_object_new_string(why));
	return reply;
}

static bool answer_line(struct control *ctl, struct control_client *c)
{
	struct json_object *request = json_tokener_parse(c->line), *command, *reply;
	bool sent;

	if (json_object_is_type(request, json_type_object) &&
	    json_object_object_get_ex(request, "command", &command) &&
	    json_object_is_type(command, json_type_string))
		reply = ctl->answer(ctl->ctx, json_object_get_string(command));
	else
		reply = refusal("a request is a line {\"command\": NAME}");
	if (!reply)
		reply = refusal("unknown command");
	sent = send_json(c->fd, reply);
	json_object_put(reply);
	json_object_put(request);
	return sent;
}

/* False: the client is to go. */
static bool read_client(struct control *ctl, struct control_client *c)
{
	ssize_t n = recv(c->fd, c->line + c->len, sizeof(c->line) - 1 - c->len, MSG_DONTWAIT);
	char *end;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	c->len += n;
	c->line[c->len] = '\0';
	while ((end = memchr(c->line, '\n', c->len))) {
		size_t used = end + 1 - c->line;

		*end = '\0';
		if (!answer_line(ctl, c))
			return false;
		c->len -= used;
		memmove(c->line, c->line + used, c->len + 1);
	}
	return c->len < sizeof(c->line) - 1;
}

void control_poll(struct control *ctl, struct pollfd *fds)
{
	fds[0] = (struct pollfd){ .fd = ctl->listen, .events = POLLIN };
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		fds[1 + i] = (struct pollfd){ .fd = ctl->client[i].fd, .events = POLLIN };
}

void control_handle(struct control *ctl, const struct pollfd *fds)
{
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *c = &ctl->client[i];

		if (c->fd >= 0 && fds[1 + i].fd == c->fd && fds[1 + i].revents &&
		    !read_client(ctl, c))
			hang_up(c);
	}
	if (fds[0].revents)
		accept_client(ctl);
}

/* ---- the user's end ------------------------------------------------------------------ */

int control_connect(const char *name)
{
	char path[108];
	int fd;

	if (!control_name_ok(name))
		return -ENOENT;
	if (!control_path(path, sizeof(path), name, SOCKET_SUFFIX))
		return -EINVAL;
	fd = connect_path(path);
	return fd == -ECONNREFUSED ? -ENOENT : fd;
}

/*
 * A line is read a byte at a time: what follows it stays in the socket for the
 * next call, and a control connection is in no hurry.
 */
struct json_object *control_read(int fd, int timeout_ms)
{
	const s64 until = now_monotonic() + timeout_ms * 1000000LL;
	struct json_object *obj = NULL;
	size_t len = 0, room = 4096;
	char *line = malloc(room);

	while (line && room <= ANSWER_MAX) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		s64 left = (until - now_monotonic()) / 1000000;

		if (poll(&pfd, 1, timeout_ms < 0 ? -1 : left > 0 ? left : 0) == 0) {
			errno = ETIMEDOUT;
			break;
		}
		errno = 0;
		if (recv(fd, line + len, 1, 0) != 1) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (line[len] == '\n') {
			line[len] = '\0';
			obj = json_tokener_parse(line);
			break;
		}
		if (++len == room) {
			char *more = realloc(line, room *= 2);

			if (!more)
				break;
			line = more;
		}
	}
	free(line);
	return obj;
}

struct json_object *control_ask(int fd, const char *command)
{
	struct json_object *request = json_object_new_object(), *reply = NULL;

	json_object_object_add(request, "command", json_object_new_string(command));
	if (send_json(fd, request))
		reply = control_read(fd, ANSWER_SECONDS * 1000);
	json_object_put(request);
	return reply;
}

/* "NAME.sock" to "NAME"; false if it is no such file. */
static bool socket_name(const char *file, char *name, size_t size)
{
	size_t len = strlen(file), tail = strlen(SOCKET_SUFFIX);

	if (len <= tail || strcmp(file + len - tail, SOCKET_SUFFIX) || len - tail >= size)
		return false;
	memcpy(name, file, len - tail);
	name[len - tail] = '\0';
	return control_name_ok(name);
}

/* Between two looks it may have been bound anew: look again under the lock. */
static void remove_stale(const char *name)
{
	char path[108];
	int lock, fd;

	if (!control_path(path, sizeof(path), name, SOCKET_SUFFIX))
		return;
	lock = lock_dir();
	fd = connect_path(path);
	if (fd >= 0)
		close(fd);
	else if (fd == -ECONNREFUSED)
		unlink(path);
	if (lock >= 0)
		close(lock);
}

void control_each(void (*fn)(void *ctx, const char *name, int fd), void *ctx)
{
	const char *dir = control_dir();
	struct dirent **files;
	int nr = dir ? scandir(dir, &files, NULL, alphasort) : -1;

	for (int i = 0; i < nr; i++) {
		char name[CONTROL_NAME];
		int fd;

		if (socket_name(files[i]->d_name, name, sizeof(name))) {
			fd = control_connect(name);
			if (fd >= 0) {
				fn(ctx, name, fd);
				close(fd);
			} else if (fd == -ENOENT) {
				remove_stale(name);
			}
		}
		free(files[i]);
	}
	if (nr >= 0)
		free(files);
}
