/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Event file descriptors: irqfd (an eventfd raises a GSI) and ioeventfd (a
 * guest write signals an eventfd).  It must not know interrupt controllers
 * beyond irqchip.h, or what rings a doorbell.
 */
#ifndef KEEL_CORE_EVENT_H
#define KEEL_CORE_EVENT_H

#include "core/types.h"

struct keel_vm;
struct keel_irqfd;
struct keel_ioeventfd;

/* [task] the module's start and end; at the end no VM is left */
int keel_event_setup(void);
void keel_event_teardown(void);

/* [task, vm->lock] arguments are kernel copies, sizes and reserved fields checked */
int keel_irqfd_ioctl(struct keel_vm *vm, const struct keel_irqfd *arg);
int keel_ioeventfd_ioctl(struct keel_vm *vm, const struct keel_ioeventfd *arg);
void keel_event_init(struct keel_vm *vm);
/* [task, vm->lock not held] VM teardown: release all, wait for work */
void keel_event_fini(struct keel_vm *vm);

#endif /* KEEL_CORE_EVENT_H */
