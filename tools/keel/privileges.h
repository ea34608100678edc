/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the launcher gives up before the guest runs. It must not know a VM: it
 * says what a process may still do.
 */
#ifndef KEEL_TOOL_PRIVILEGES_H
#define KEEL_TOOL_PRIVILEGES_H

/*
 * Capabilities, new privileges and what resource limits can forbid, for this
 * thread and those that it will start. 0 or -errno, told to the user.
 */
int privileges_drop(void);

/*
 * A system-call filter on all threads of the process: no new files, programs,
 * threads or connections. 0, or -errno, told to the user; a kernel without
 * filters is told as a warning and is no error.
 */
int privileges_sandbox(void);

#endif /* KEEL_TOOL_PRIVILEGES_H */
