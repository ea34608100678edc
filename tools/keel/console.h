/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The user's end of the serial port: terminal mode, the escape key, and the
 * output's thread. It must not know a UART or a VM.
 */
#ifndef KEEL_TOOL_CONSOLE_H
#define KEEL_TOOL_CONSOLE_H

#include "util.h"

enum console_key {
	CONSOLE_NONE,		/* nothing for the launcher */
	CONSOLE_QUIT,		/* Ctrl-] q */
	CONSOLE_STOP,		/* Ctrl-] s */
	CONSOLE_PAUSE,		/* Ctrl-] p */
	CONSOLE_BREAK,		/* Ctrl-] b */
};

/* Start the output's thread; make the terminal raw if stdin is ours. 0 or -errno. */
int console_open(void);
/* Let what was written leave (not for ever), and restore the terminal. */
void console_close(void);

/* A person types there: stdin is a terminal and we are in its foreground. */
bool console_interactive(void);

/* From any thread, never blocks. */
void console_put(u8 byte);
/* Wait until the output has caught up somewhat. Call it without locks held. */
void console_throttle(void);

/*
 * Read what has been typed: up to @room bytes for the guest go to @buf, their
 * number to *@len. *@len -1: end of input. At most one escape is returned a
 * call; call again while console_pending(), without it a call may block.
 */
enum console_key console_read(u8 *buf, size_t room, long *len);
bool console_pending(void);

#endif /* KEEL_TOOL_CONSOLE_H */
