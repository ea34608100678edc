// SPDX-License-Identifier: GPL-2.0
/*
 * irqfds and ioeventfds.  An irqfd hooks the wait queue of its eventfd and
 * raises its GSI in the signaller's context; an ioeventfd is a device on a bus
 * whose writes signal.  It must not know interrupt controllers beyond
 * irqchip.h, nor what rings a doorbell.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/keel.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "core/compat.h"
#include "core/event.h"
#include "core/iobus.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "irqchip/irqchip.h"

/* For what the end of an eventfd leaves to do: its own context may not sleep. */
static struct workqueue_struct *event_wq;

int keel_event_setup(void)
{
	event_wq = alloc_workqueue("keel-event", 0, 0);
	return event_wq ? 0 : -ENOMEM;
}

void keel_event_teardown(void)
{
	destroy_workqueue(event_wq);
}

void keel_event_init(struct keel_vm *vm)
{
	INIT_LIST_HEAD(&vm->irqfds);
	INIT_LIST_HEAD(&vm->ioeventfds);
}

/* ---- irqfd -------------------------------------------------------------------- */

struct irqfd {
	struct list_head node;		/* vm->irqfds; vm->lock; empty: taken off */
	struct keel_vm *vm;		/* constant, as all that follows */
	u32 gsi;
	bool resample;
	struct eventfd_ctx *ctx;
	struct eventfd_ctx *resample_ctx;
	struct irq_ack_hook hook;	/* with @resample */

	struct poll_table_struct poll;	/* while it is set up */
	wait_queue_head_t *wqh;		/* the eventfd's */
	wait_queue_entry_t wait;
	struct work_struct work;	/* the eventfd was closed */
	/* Who frees: set once, by the removal or by the closed eventfd, whose work it is then. */
	bool claimed;
	struct rcu_head rcu;
};

static void irqfd_inject(struct irqfd *irqfd)
{
	irq_set_gsi(irqfd->vm, irqfd->gsi, true,
		    irqfd->resample ? IRQ_SOURCE_RESAMPLE : IRQ_SOURCE_IRQFD);
}

/* The eventfd's wait-queue lock is held and IRQs are off: any context signals. */
static int irqfd_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t flags = key_to_poll(key);
	int taken = 0;
	u64 count;

	if (flags & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->ctx, &count);
		irqfd_inject(irqfd);
		taken = 1;
	}
	if ((flags & EPOLLHUP) && !xchg(&irqfd->claimed, true))
		queue_work(event_wq, &irqfd->work);
	return taken;
}

static void irqfd_queue(struct file *file, wait_queue_head_t *wqh, poll_table *poll)
{
	struct irqfd *irqfd = container_of(poll, struct irqfd, poll);

	irqfd->wqh = wqh;
	add_wait_queue_priority(wqh, &irqfd->wait);
}

/* The guest ended the GSI: its level drops, and whoever still wants it says so. */
static void irqfd_ended(struct irq_ack_hook *hook)
{
	struct irqfd *irqfd = container_of(hook, struct irqfd, hook);

	irq_set_gsi(irqfd->vm, irqfd->gsi, false, IRQ_SOURCE_RESAMPLE);
	keel_eventfd_signal(irqfd->resample_ctx);
}

static void irqfd_free(struct irqfd *irqfd)
{
	if (irqfd->resample_ctx)
		eventfd_ctx_put(irqfd->resample_ctx);
	eventfd_ctx_put(irqfd->ctx);
	kfree(irqfd);
	keel_account(-(long)sizeof(*irqfd));
}

static void irqfd_free_rcu(struct rcu_head *rcu)
{
	irqfd_free(container_of(rcu, struct irqfd, rcu));
}

static bool resampler_left(struct keel_vm *vm, u32 gsi)
{
	struct irqfd *i;

	list_for_each_entry(i, &vm->irqfds, node)
		if (i->resample && i->gsi == gsi)
			return true;
	return false;
}

/* vm->lock held: after this it raises nothing any more. */
static void irqfd_unlink(struct irqfd *irqfd)
{
	u64 count;

	list_del_init(&irqfd->node);
	eventfd_ctx_remove_wait_queue(irqfd->ctx, &irqfd->wait, &count);
	if (!irqfd->resample)
		return;
	irq_del_ack_hook(irqfd->vm, &irqfd->hook);
	/* Nobody is left who would lower the level. */
	if (!resampler_left(irqfd->vm, irqfd->gsi))
		irq_set_gsi(irqfd->vm, irqfd->gsi, false, IRQ_SOURCE_RESAMPLE);
}

/* vm->lock held. */
static void irqfd_remove(struct irqfd *irqfd)
{
	irqfd_unlink(irqfd);
	/* Off the wait queue nobody claims it any more; it may have been before. */
	if (!xchg(&irqfd->claimed, true))
		call_srcu(&keel_srcu, &irqfd->rcu, irqfd_free_rcu);
}

/* The eventfd was closed: its last user is gone, so is the irqfd. */
static void irqfd_work(struct work_struct *work)
{
	struct irqfd *irqfd = container_of(work, struct irqfd, work);
	struct keel_vm *vm = irqfd->vm;

	mutex_lock(&vm->lock);
	if (!list_empty(&irqfd->node))
		irqfd_unlink(irqfd);
	mutex_unlock(&vm->lock);
	call_srcu(&keel_srcu, &irqfd->rcu, irqfd_free_rcu);
}

static struct irqfd *irqfd_find(struct keel_vm *vm, const struct eventfd_ctx *ctx)
{
	struct irqfd *i;

	list_for_each_entry(i, &vm->irqfds, node)
		if (i->ctx == ctx)
			return i;
	return NULL;
}

/* Takes over @file's eventfd; -errno leaves nothing behind. */
static struct irqfd *irqfd_alloc(struct keel_vm *vm, const struct keel_irqfd *arg,
				 struct file *file)
{
	struct irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	struct eventfd_ctx *ctx;

	if (!irqfd)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&irqfd->node);
	INIT_WORK(&irqfd->work, irqfd_work);
	irqfd->vm = vm;
	irqfd->gsi = arg->gsi;
	irqfd->resample = arg->flags & KEEL_IRQFD_RESAMPLE;
	ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(ctx))
		goto fail;
	irqfd->ctx = ctx;
	if (irqfd->resample) {
		ctx = eventfd_ctx_fdget(arg->resample_fd);
		if (IS_ERR(ctx)) {
			eventfd_ctx_put(irqfd->ctx);
			goto fail;
		}
		irqfd->resample_ctx = ctx;
		irqfd->hook.gsi = irqfd->gsi;
		irqfd->hook.fn = irqfd_ended;
	}
	keel_account(sizeof(*irqfd));
	return irqfd;
fail:
	kfree(irqfd);
	return ERR_CAST(ctx);
}

/* Signals that came before the hook was there. */
static void irqfd_catch_up(struct irqfd *irqfd)
{
	u64 count;

	spin_lock_irq(&irqfd->wqh->lock);
	eventfd_ctx_do_read(irqfd->ctx, &count);
	spin_unlock_irq(&irqfd->wqh->lock);
	/* 0: the wake-up function has had it meanwhile. */
	if (count)
		irqfd_inject(irqfd);
}

static int irqfd_assign(struct keel_vm *vm, const struct keel_irqfd *arg, struct file *file)
{
	struct irqfd *irqfd = irqfd_alloc(vm, arg, file);

	if (IS_ERR(irqfd))
		return PTR_ERR(irqfd);
	if (irqfd_find(vm, irqfd->ctx)) {
		irqfd_free(irqfd);
		return -EBUSY;
	}
	list_add_tail(&irqfd->node, &vm->irqfds);
	if (irqfd->resample)
		irq_add_ack_hook(vm, &irqfd->hook);
	/* Live from here on.  @file is held, so that the eventfd cannot be closed yet. */
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wake);
	init_poll_funcptr(&irqfd->poll, irqfd_queue);
	if (vfs_poll(file, &irqfd->poll) & EPOLLIN)
		irqfd_catch_up(irqfd);
	return 0;
}

static int irqfd_deassign(struct keel_vm *vm, const struct keel_irqfd *arg, struct file *file)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fileget(file);
	struct irqfd *irqfd;
	int ret = -ENOENT;

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	irqfd = irqfd_find(vm, ctx);
	if (irqfd && irqfd->gsi == arg->gsi) {
		irqfd_remove(irqfd);
		ret = 0;
	}
	eventfd_ctx_put(ctx);
	return ret;
}

int keel_irqfd_ioctl(struct keel_vm *vm, const struct keel_irqfd *arg)
{
	struct file *file;
	int ret;

	lockdep_assert_held(&vm->lock);
	if (arg->flags & ~(KEEL_IRQFD_DEASSIGN | KEEL_IRQFD_RESAMPLE) || arg->gsi >= IRQ_MAX_GSI)
		return -EINVAL;
	/* A field that the call does not use is zero. */
	if (arg->resample_fd && arg->flags != KEEL_IRQFD_RESAMPLE)
		return -EINVAL;
	if (!vm->irqchip)
		return -EINVAL;
	file = fget(arg->fd);
	if (!file)
		return -EBADF;
	ret = arg->flags & KEEL_IRQFD_DEASSIGN ? irqfd_deassign(vm, arg, file) :
						 irqfd_assign(vm, arg, file);
	fput(file);
	return ret;
}

/* ---- ioeventfd ------------------------------------------------------------------- */

struct ioeventfd {
	struct keel_iodev dev;
	struct list_head node;		/* vm->ioeventfds; vm->lock */
	struct eventfd_ctx *ctx;	/* constant, as all that follows */
	u64 data;
	u32 len;			/* of the write, 0: any */
	bool match;
	enum keel_bus bus;
	struct rcu_head rcu;
};

static int ioeventfd_write(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len,
			   u64 val)
{
	struct ioeventfd *e = container_of(dev, struct ioeventfd, dev);

	if (e->len && e->len != len)
		return -EOPNOTSUPP;
	if (e->match) {
		if (len < sizeof(val))
			val &= (1ULL << len * 8) - 1;
		if (val != e->data)
			return -EOPNOTSUPP;
	}
	keel_eventfd_signal(e->ctx);
	return 0;
}

static int ioeventfd_read(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len,
			  u64 *val)
{
	return -EOPNOTSUPP;
}

static const struct keel_iodev_ops ioeventfd_ops = {
	.read = ioeventfd_read,
	.write = ioeventfd_write,
};

static void ioeventfd_free(struct ioeventfd *e)
{
	eventfd_ctx_put(e->ctx);
	kfree(e);
	keel_account(-(long)sizeof(*e));
}

static void ioeventfd_free_rcu(struct rcu_head *rcu)
{
	ioeventfd_free(container_of(rcu, struct ioeventfd, rcu));
}

/* vm->lock held. */
static void ioeventfd_remove(struct keel_vm *vm, struct ioeventfd *e)
{
	list_del(&e->node);
	keel_iobus_remove(vm, e->bus, &e->dev);
	call_srcu(&keel_srcu, &e->rcu, ioeventfd_free_rcu);
}

/* Could one write ring both? */
static bool ioeventfd_overlaps(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (a->bus != b->bus || a->dev.addr != b->dev.addr)
		return false;
	if (a->len && b->len && a->len != b->len)
		return false;
	return !a->match || !b->match || a->data == b->data;
}

static bool ioeventfd_same(const struct ioeventfd *a, const struct ioeventfd *b)
{
	return a->bus == b->bus && a->dev.addr == b->dev.addr && a->len == b->len &&
		a->match == b->match && a->data == b->data && a->ctx == b->ctx;
}

/* @want: what the call describes.  Keeps a copy of it, with its reference to the eventfd. */
static int ioeventfd_assign(struct keel_vm *vm, const struct ioeventfd *want)
{
	struct ioeventfd *e;
	int ret;

	list_for_each_entry(e, &vm->ioeventfds, node)
		if (ioeventfd_overlaps(e, want))
			return -EEXIST;
	e = kmemdup(want, sizeof(*want), GFP_KERNEL_ACCOUNT);
	if (!e)
		return -ENOMEM;
	ret = keel_iobus_add(vm, e->bus, &e->dev);
	if (ret) {
		kfree(e);
		return ret;
	}
	keel_account(sizeof(*e));
	list_add_tail(&e->node, &vm->ioeventfds);
	return 0;
}

static int ioeventfd_deassign(struct keel_vm *vm, const struct ioeventfd *want)
{
	struct ioeventfd *e;

	list_for_each_entry(e, &vm->ioeventfds, node) {
		if (ioeventfd_same(e, want)) {
			ioeventfd_remove(vm, e);
			return 0;
		}
	}
	return -ENOENT;
}

static bool ioeventfd_valid(const struct keel_ioeventfd *arg)
{
	u64 last;

	if (arg->flags & ~(KEEL_IOEVENTFD_DEASSIGN | KEEL_IOEVENTFD_PIO | KEEL_IOEVENTFD_MATCH))
		return false;
	if (arg->len > 8 || (arg->len && !is_power_of_2(arg->len)))
		return false;
	if (check_add_overflow(arg->addr, (u64)max_t(u32, arg->len, 1) - 1, &last))
		return false;
	if ((arg->flags & KEEL_IOEVENTFD_PIO) && (last > U16_MAX || arg->len > 4))
		return false;
	if (!(arg->flags & KEEL_IOEVENTFD_MATCH))
		return !arg->data;
	/* A value is matched in a width, and has to fit there. */
	return arg->len && (arg->len == 8 || !(arg->data >> arg->len * 8));
}

int keel_ioeventfd_ioctl(struct keel_vm *vm, const struct keel_ioeventfd *arg)
{
	struct ioeventfd want = {
		/* By its first byte: which lengths it takes is asked after. */
		.dev = { .ops = &ioeventfd_ops, .addr = arg->addr, .len = 1 },
		.data = arg->data,
		.len = arg->len,
		.match = arg->flags & KEEL_IOEVENTFD_MATCH,
		.bus = arg->flags & KEEL_IOEVENTFD_PIO ? KEEL_BUS_PIO : KEEL_BUS_MMIO,
	};
	bool deassign = arg->flags & KEEL_IOEVENTFD_DEASSIGN;
	int ret;

	lockdep_assert_held(&vm->lock);
	if (!ioeventfd_valid(arg))
		return -EINVAL;
	want.ctx = eventfd_ctx_fdget(arg->fd);
	if (IS_ERR(want.ctx))
		return PTR_ERR(want.ctx);
	ret = deassign ? ioeventfd_deassign(vm, &want) : ioeventfd_assign(vm, &want);
	/* Only what was assigned keeps the reference. */
	if (ret || deassign)
		eventfd_ctx_put(want.ctx);
	return ret;
}

/* ---- teardown -------------------------------------------------------------------- */

void keel_event_fini(struct keel_vm *vm)
{
	struct ioeventfd *e, *next_e;
	struct irqfd *i, *next_i;

	mutex_lock(&vm->lock);
	list_for_each_entry_safe(i, next_i, &vm->irqfds, node)
		irqfd_remove(i);
	list_for_each_entry_safe(e, next_e, &vm->ioeventfds, node)
		ioeventfd_remove(vm, e);
	mutex_unlock(&vm->lock);
	/* Closed eventfds whose work still holds the VM. */
	flush_workqueue(event_wq);
}
