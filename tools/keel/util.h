/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The launcher's small change: fixed-width types, messages to the user, files
 * read whole. It must not know a VM, a device or a verb.
 */
#ifndef KEEL_TOOL_UTIL_H
#define KEEL_TOOL_UTIL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

/* A test has these from the kernel's side already. */
#ifndef BIT
#define attribute(a)	__attribute__((a))
#define __printf(a, b)	attribute(format(printf, a, b))
#define BIT(n)		(1U << (n))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

#define NS_PER_SEC	1000000000LL

#define KIB(n)		((u64)(n) << 10)
#define MIB(n)		((u64)(n) << 20)
#define GIB(n)		((u64)(n) << 30)

/* @align is a power of two. */
static inline u64 align_up(u64 value, u64 align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline u64 align_down(u64 value, u64 align)
{
	return value & ~(align - 1);
}

/*
 * One line to stderr, "keel: " before it. While the console is raw the line
 * ends in CR LF. Thread-safe.
 */
void say(const char *fmt, ...) __printf(1, 2);
/* Whether stderr is a terminal that somebody switched to raw mode. */
void say_raw(bool raw);

/* Nanoseconds of CLOCK_MONOTONIC, CLOCK_REALTIME. */
s64 now_monotonic(void);
s64 now_realtime(void);

/* A file in memory, whole. */
struct blob {
	const u8 *data;
	size_t len;
};

/*
 * Map @path (or read it, where it cannot be mapped) into @blob. 0, or -errno
 * after telling the user what is wrong with it. An empty file is -EINVAL.
 */
int blob_load(struct blob *blob, const char *path);

/* Write all of @len bytes to a blocking @fd. 0 or -errno. */
int write_all(int fd, const void *data, size_t len);

/*
 * "512", "512M", "2G" in MiB by default; *@bytes gets bytes. False if it is
 * no size, is zero or overflows.
 */
bool parse_size_mib(const char *text, u64 *bytes);
/* A whole decimal number within [@min, @max]. */
bool parse_number(const char *text, u64 min, u64 max, u64 *value);

#endif /* KEEL_TOOL_UTIL_H */
