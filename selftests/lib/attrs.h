/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's names for what the compiler is told, for both sides of a test.
 */
#ifndef KEEL_SELFTESTS_ATTRS_H
#define KEEL_SELFTESTS_ATTRS_H

#define __aligned(x)	__attribute((__aligned__(x)))
#define __noreturn	__attribute((__noreturn__))
#define __packed	__attribute((__packed__))
#define __printf(a, b)	__attribute((__format__(__printf__, a, b)))
#define __weak		__attribute((__weak__))
#define noinline	__attribute((__noinline__))

#endif /* KEEL_SELFTESTS_ATTRS_H */
