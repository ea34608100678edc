// SPDX-License-Identifier: GPL-2.0
/*
 * The launcher's small change: messages, clocks, files, numbers. It must not
 * know a VM, a device or a verb.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

static atomic_bool stderr_raw;

void say_raw(bool raw)
{
	atomic_store(&stderr_raw, raw);
}

void say(const char *fmt, ...)
{
	char line[1024] = "keel: ";
	const size_t prefix = strlen(line);
	/* Two bytes stay free for the line's end. */
	const size_t room = sizeof(line) - prefix - 2;
	size_t len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + prefix, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	len = prefix + ((size_t)n < room ? (size_t)n : room - 1);
	if (atomic_load(&stderr_raw))
		line[len++] = '\r';
	line[len++] = '\n';
	write_all(STDERR_FILENO, line, len);
}

static s64 now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

s64 now_monotonic(void)
{
	return now(CLOCK_MONOTONIC);
}

s64 now_realtime(void)
{
	return now(CLOCK_REALTIME);
}

/* What cannot be mapped (a pipe) is read until it ends. */
static int blob_read(struct blob *blob, int fd)
{
	size_t len = 0, room = MIB(1);
	u8 *data = malloc(room);

	while (data) {
		ssize_t n = read(fd, data + len, room - len);
		u8 *more;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			free(data);
			return n;
		}
		if (!n)
			break;
		len += n;
		if (len < room)
			continue;
		room *= 2;
		more = realloc(data, room);
		if (!more)
			free(data);
		data = more;
	}
	if (!data)
		return -ENOMEM;
	blob->data = data;
	blob->len = len;
	return 0;
}

static int blob_map(struct blob *blob, int fd)
{
	struct stat st;
	void *data;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return blob_read(blob, fd);
	if (!st.st_size)
		return -EINVAL;
	if ((u64)st.st_size > SIZE_MAX)
		return -EFBIG;
	data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	blob->data = data;
	blob->len = st.st_size;
	return 0;
}

int blob_load(struct blob *blob, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd < 0) {
		rc = -errno;
		say("cannot open %s: %s", path, strerror(errno));
		return rc;
	}
	rc = blob_map(blob, fd);
	if (!rc && !blob->len)
		rc = -EINVAL;
	if (rc)
		say("cannot read %s: %s", path,
		    rc == -EINVAL ? "the file is empty" : strerror(-rc));
	close(fd);
	return rc;
}

int write_all(int fd, const void *data, size_t len)
{
	const u8 *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= n;
	}
	return 0;
}

static bool parse_digits(const char *text, u64 *value, const char **end)
{
	unsigned long long n;
	char *stop;

	/* strtoull() alone would take " -1". */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &stop, 10);
	if (errno)
		return false;
	*value = n;
	*end = stop;
	return true;
}

bool parse_number(const char *text, u64 min, u64 max, u64 *value)
{
	const char *end;

	return parse_digits(text, value, &end) && !*end && *value >= min && *value <= max;
}

bool parse_size_mib(const char *text, u64 *bytes)
{
	const char *end;
	unsigned int shift = 20;
	u64 n;

	if (!parse_digits(text, &n, &end) || !n)
		return false;
	if (*end == 'G' || *end == 'g')
		shift = 30;
	if (*end == 'M' || *end == 'm' || shift == 30)
		end++;
	if (*end || n > UINT64_MAX >> shift)
		return false;
	*bytes = n << shift;
	return true;
}
