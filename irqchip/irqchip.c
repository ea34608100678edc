// SPDX-License-Identifier: GPL-2.0
/*
 * The controllers that a VM's vCPUs share: life, GSIs and messages on their
 * way to LAPICs, the end of level interrupts, and the ports and the page of
 * PIC, PIT and IOAPIC.  It must not know LAPIC registers or a vendor.
 */
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/stddef.h>
#include "core/stats.h"
#include "irqchip/internal.h"

#define IOAPIC_GPA		0xfec00000
#define IOAPIC_SIZE		0x100

/* ---- delivery to LAPICs ------------------------------------------------------ */

/* Returns 1 when @l takes it. */
static int deliver_one(struct keel_lapic *l, const struct irq_msg *msg, u32 *how)
{
	u32 post;

	switch (msg->mode) {
	case IRQ_MODE_FIXED:
	case IRQ_MODE_LOWEST:
		if (!lapic_accepts(&l->m))
			return 0;
		post = lapic_post(&l->m, msg->vector, msg->level);
		*how |= post & LAPIC_POST_MERGED ? IRQ_MERGED : IRQ_FRESH;
		if (post & LAPIC_POST_NOTIFY)
			keel_vcpu_request(l->vcpu, KEEL_REQ_EVENT);
		return 1;
	case IRQ_MODE_NMI:
		keel_vcpu_nmi(l->vcpu);
		return 1;
	case IRQ_MODE_INIT:
		keel_vcpu_init_ipi(l->vcpu);
		return 1;
	case IRQ_MODE_SIPI:
		keel_vcpu_sipi(l->vcpu, msg->vector);
		return 1;
	default:		/* SMI: there is no SMM; ExtINT: goes through LVT0 */
		return 0;
	}
}

static bool addressed(const struct keel_lapic *l, const struct irq_msg *msg,
		      const struct keel_lapic *src)
{
	switch (msg->shorthand) {
	case IRQ_TO_DEST:
		return lapic_addressed(&l->m, msg);
	case IRQ_TO_SELF:
		return l == src;
	case IRQ_TO_OTHERS:
		return l != src && lapic_hw_enabled(&l->m);
	default:
		return lapic_hw_enabled(&l->m);
	}
}

/*
 * Lowest priority: of those addressed the one whose task priority is lowest,
 * in turn among equals.
 */
static struct keel_lapic *lowest(struct keel_vm *vm, const struct irq_msg *msg,
				 const struct keel_lapic *src)
{
	u32 start = (u32)atomic_inc_return(&vm->irqchip->rotor), i, n;
	struct keel_lapic *best = NULL;
	u32 best_class = U32_MAX;

	/* Pairs with the store-release of vCPU creation. */
	n = smp_load_acquire(&vm->max_vcpu_id);
	for (i = 0; i < n; i++) {
		struct keel_vcpu *vcpu = keel_vm_vcpu(vm, (start + i) % n);
		u32 class;

		if (!vcpu || !lapic_accepts(&vcpu->lapic->m) || !addressed(vcpu->lapic, msg, src))
			continue;
		class = lapic_reg(&vcpu->lapic->m, LAPIC_TPR) >> 4;
		if (class < best_class) {
			best_class = class;
			best = vcpu->lapic;
		}
	}
	return best;
}

int irq_deliver(struct keel_vm *vm, const struct irq_msg *msg, const struct keel_lapic *src,
		u32 *how)
{
	struct keel_lapic *l;
	struct keel_vcpu *vcpu;
	int taken = 0;
	u32 i;

	if (msg->mode == IRQ_MODE_LOWEST) {
		l = lowest(vm, msg, src);
		return l ? deliver_one(l, msg, how) : 0;
	}
	/* The common case: one CPU by its ID. */
	if (msg->shorthand == IRQ_TO_DEST && !msg->logical &&
	    msg->dest != (msg->wide ? U32_MAX : 0xff)) {
		vcpu = keel_vm_vcpu(vm, msg->dest);
		if (!vcpu || !lapic_hw_enabled(&vcpu->lapic->m))
			return 0;
		return deliver_one(vcpu->lapic, msg, how);
	}
	keel_for_each_vcpu(i, vcpu, vm)
		if (addressed(vcpu->lapic, msg, src))
			taken += deliver_one(vcpu->lapic, msg, how);
	return taken;
}

int irq_send_msi(struct keel_vm *vm, u64 address, u32 data)
{
	struct irq_msg msg;
	u32 how = 0;
	int ret;

	if (!vm->irqchip)
		return -EINVAL;
	ret = route_parse_msi(address, data, &msg);
	return ret > 0 ? irq_deliver(vm, &msg, NULL, &how) : ret;
}

static int ioapic_deliver(struct ioapic *ioapic, const struct irq_msg *msg)
{
	struct keel_irqchip_state *chip = container_of(ioapic, struct keel_irqchip_state, ioapic);

	return irq_deliver(chip->vm, msg, NULL, &chip->how);
}

/* ---- the PIC's output ------------------------------------------------------------ */

/* Does the PIC's output reach any vCPU? */
static bool pic_is_heard(struct keel_irqchip_state *chip)
{
	struct keel_vcpu *vcpu;
	u32 i;

	keel_for_each_vcpu(i, vcpu, chip->vm)
		if (lapic_accepts_extint(&vcpu->lapic->m))
			return true;
	return false;
}

void irq_pic_notify(struct keel_irqchip_state *chip, bool was)
{
	struct keel_vcpu *vcpu;
	u32 i;

	if (was || !chip->pic.output)
		return;
	keel_for_each_vcpu(i, vcpu, chip->vm)
		if (lapic_accepts_extint(&vcpu->lapic->m))
			keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

/* ---- GSIs --------------------------------------------------------------------------- */

static int set_pic_pin(struct keel_irqchip_state *chip, u32 pin, bool asserted)
{
	bool was = chip->pic.output, requested;

	requested = pic_set_line(&chip->pic, pin, asserted);
	irq_pic_notify(chip, was);
	return requested;
}

/* @lock held: how many GSIs hold the route's pin up. */
static u16 *pin_high(struct keel_irqchip_state *chip, const struct irq_route *route)
{
	return route->type == KEEL_ROUTE_PIC ? &chip->pic_high[route->pin] :
					       &chip->ioapic_high[route->pin];
}

static int set_pin(struct keel_irqchip_state *chip, const struct irq_route *route, bool asserted)
{
	if (route->type == KEEL_ROUTE_PIC)
		return set_pic_pin(chip, route->pin, asserted);
	return ioapic_set_line(&chip->ioapic, route->pin, asserted);
}

static int pulse_pin(struct keel_irqchip_state *chip, const struct irq_route *route)
{
	bool waited;
	int taken;

	/* A line that somebody holds up has no edge. */
	if (*pin_high(chip, route))
		return 0;
	waited = route->type == KEEL_ROUTE_PIC && pic_pin_waits(&chip->pic, route->pin);
	taken = set_pin(chip, route, true);
	set_pin(chip, route, false);
	if (route->type == KEEL_ROUTE_PIC && pic_pin_waits(&chip->pic, route->pin) &&
	    pic_is_heard(chip))
		chip->how |= waited ? IRQ_MERGED : IRQ_FRESH;
	return taken;
}

static int send_route(struct keel_irqchip_state *chip, const struct irq_route *route)
{
	struct irq_msg msg;

	if (route_parse_msi(route->address, route->data, &msg) <= 0)
		return 0;
	return irq_deliver(chip->vm, &msg, NULL, &chip->how);
}

int irq_pulse_locked(struct keel_irqchip_state *chip, u32 gsi)
{
	const struct irq_routes *table = chip->routes;
	u32 i = table->first[gsi], end = table->first[gsi + 1];
	int taken = 0;

	if (i == end)
		return -EINVAL;
	for (; i < end; i++) {
		const struct irq_route *route = &table->routes[i];

		taken += route->type == KEEL_ROUTE_MSI ? send_route(chip, route) :
							 pulse_pin(chip, route);
	}
	return taken;
}

static int set_level_locked(struct keel_irqchip_state *chip, u32 gsi, bool level, u32 source)
{
	const struct irq_routes *table = chip->routes;
	u32 i = table->first[gsi], end = table->first[gsi + 1];
	u8 was = chip->gsi_level[gsi], is;
	int taken = 0;

	if (i == end)
		return -EINVAL;
	is = level ? was | BIT(source) : was & (u8)~BIT(source);
	chip->gsi_level[gsi] = is;
	for (; i < end; i++) {
		const struct irq_route *route = &table->routes[i];
		u16 *high;

		if (route->type == KEEL_ROUTE_MSI) {
			if (is && !was)
				taken += send_route(chip, route);
			continue;
		}
		high = pin_high(chip, route);
		*high += !!is - !!was;
		/* Also when nothing changed here: a record may have set the line. */
		taken += set_pin(chip, route, *high);
	}
	return taken;
}

int irq_set_gsi(struct keel_vm *vm, u32 gsi, bool level, u32 source)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	unsigned long flags;
	int ret;

	if (!chip || gsi >= IRQ_NR_GSIS)
		return -EINVAL;
	raw_spin_lock_irqsave(&chip->lock, flags);
	if (source == IRQ_SOURCE_IRQFD)
		ret = level ? irq_pulse_locked(chip, gsi) : 0;
	else
		ret = set_level_locked(chip, gsi, level, source);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	return ret;
}

/* ---- routes ---------------------------------------------------------------------------- */

static struct irq_routes *routes_alloc(u32 nr)
{
	struct irq_routes *table;

	table = kvzalloc(struct_size(table, routes, nr), GFP_KERNEL_ACCOUNT);
	if (table) {
		table->nr = nr;
		keel_account(struct_size(table, routes, nr));
	}
	return table;
}

static void routes_free(struct irq_routes *table)
{
	if (!table)
		return;
	keel_account(-(long)struct_size(table, routes, table->nr));
	kvfree(table);
}

/* @lock held: counts anew who holds which pin up, and moves the lines that this changes. */
static void recount_pins(struct keel_irqchip_state *chip)
{
	u16 pic_was[IRQ_NR_PIC_PINS], ioapic_was[IRQ_NR_IOAPIC_PINS];
	const struct irq_routes *table = chip->routes;
	u32 gsi, i;

	memcpy(pic_was, chip->pic_high, sizeof(pic_was));
	memcpy(ioapic_was, chip->ioapic_high, sizeof(ioapic_was));
	memset(chip->pic_high, 0, sizeof(chip->pic_high));
	memset(chip->ioapic_high, 0, sizeof(chip->ioapic_high));
	for (gsi = 0; gsi < IRQ_NR_GSIS; gsi++) {
		if (!chip->gsi_level[gsi])
			continue;
		for (i = table->first[gsi]; i < table->first[gsi + 1]; i++)
			if (table->routes[i].type != KEEL_ROUTE_MSI)
				++*pin_high(chip, &table->routes[i]);
	}
	for (i = 0; i < IRQ_NR_PIC_PINS; i++)
		if (!pic_was[i] != !chip->pic_high[i])
			set_pic_pin(chip, i, chip->pic_high[i]);
	for (i = 0; i < IRQ_NR_IOAPIC_PINS; i++)
		if (!ioapic_was[i] != !chip->ioapic_high[i])
			ioapic_set_line(&chip->ioapic, i, chip->ioapic_high[i]);
}

int irq_set_routes(struct keel_vm *vm, const struct keel_route *routes, u32 nr, u32 *bad)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	struct irq_routes *table;
	unsigned long flags;
	int ret;

	if (nr > IRQ_MAX_ROUTES) {
		*bad = IRQ_MAX_ROUTES;
		return -EINVAL;
	}
	table = routes_alloc(nr);
	if (!table)
		return -ENOMEM;
	ret = route_build(table, routes, nr, bad);
	if (!ret) {
		raw_spin_lock_irqsave(&chip->lock, flags);
		swap(chip->routes, table);
		recount_pins(chip);
		raw_spin_unlock_irqrestore(&chip->lock, flags);
	}
	routes_free(table);
	return ret;
}

/* ---- the end of an interrupt ------------------------------------------------- */

void irq_add_ack_hook(struct keel_vm *vm, struct irq_ack_hook *hook)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	unsigned long flags;

	raw_spin_lock_irqsave(&chip->lock, flags);
	list_add_rcu(&hook->node, &chip->ack_hooks);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
}

void irq_del_ack_hook(struct keel_vm *vm, struct irq_ack_hook *hook)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	unsigned long flags;

	raw_spin_lock_irqsave(&chip->lock, flags);
	list_del_rcu(&hook->node);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
}

/* Does @gsi reach one of these pins? */
static bool gsi_ended(struct keel_irqchip_state *chip, u32 gsi, u32 pic_pins, u32 ioapic_pins)
{
	const struct irq_routes *table;
	unsigned long flags;
	bool ended = false;
	u32 i;

	raw_spin_lock_irqsave(&chip->lock, flags);
	table = chip->routes;
	for (i = table->first[gsi]; i < table->first[gsi + 1]; i++) {
		const struct irq_route *route = &table->routes[i];

		if (route->type == KEEL_ROUTE_PIC)
			ended |= !!(pic_pins & BIT(route->pin));
		else if (route->type == KEEL_ROUTE_IOAPIC)
			ended |= !!(ioapic_pins & BIT(route->pin));
	}
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	return ended;
}

/* No lock held: hooks raise and lower GSIs and signal eventfds. */
static void run_ack_hooks(struct keel_irqchip_state *chip, u32 pic_pins, u32 ioapic_pins)
{
	struct irq_ack_hook *hook;
	int idx;

	if (list_empty(&chip->ack_hooks))
		return;
	idx = srcu_read_lock(&keel_srcu);
	list_for_each_entry_srcu(hook, &chip->ack_hooks, node, srcu_read_lock_held(&keel_srcu))
		if (gsi_ended(chip, hook->gsi, pic_pins, ioapic_pins))
			hook->fn(hook);
	srcu_read_unlock(&keel_srcu, idx);
}

void irq_pic_unlock(struct keel_irqchip_state *chip, bool was, unsigned long flags)
	__releases(&chip->lock)
{
	u32 ended = chip->pic.ended;

	chip->pic.ended = 0;
	irq_pic_notify(chip, was);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	if (ended)
		run_ack_hooks(chip, ended, 0);
}

void irq_level_eoi(struct keel_irqchip_state *chip, u8 vector)
{
	unsigned long flags;
	u32 pins;

	raw_spin_lock_irqsave(&chip->lock, flags);
	pins = ioapic_eoi(&chip->ioapic, vector);
	if (pins && !list_empty(&chip->ack_hooks)) {
		/* Hooks lower the line, before it is looked at again. */
		raw_spin_unlock_irqrestore(&chip->lock, flags);
		run_ack_hooks(chip, 0, pins);
		raw_spin_lock_irqsave(&chip->lock, flags);
	}
	ioapic_redeliver(&chip->ioapic, pins);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
}

/* ---- ports and the IOAPIC's page --------------------------------------------- */

/* The device's bytes of an access; what runs beyond its end reads as ones. */
static u32 bytes_inside(const struct keel_iodev *dev, u64 addr, u32 len)
{
	return (u32)min_t(u64, len, dev->addr + dev->len - addr);
}

static int pic_io_read(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len, u64 *val)
{
	struct keel_irqchip_state *chip = vcpu->vm->irqchip;
	u32 i, n = bytes_inside(dev, addr, len);
	unsigned long flags;
	bool was;

	*val = ~0ULL;
	raw_spin_lock_irqsave(&chip->lock, flags);
	was = chip->pic.output;
	for (i = 0; i < n; i++)
		((u8 *)val)[i] = pic_read(&chip->pic, (u16)(addr + i));
	irq_pic_unlock(chip, was, flags);
	return 0;
}

static int pic_io_write(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len, u64 val)
{
	struct keel_irqchip_state *chip = vcpu->vm->irqchip;
	u32 i, n = bytes_inside(dev, addr, len);
	unsigned long flags;
	bool was;

	raw_spin_lock_irqsave(&chip->lock, flags);
	was = chip->pic.output;
	for (i = 0; i < n; i++)
		pic_write(&chip->pic, (u16)(addr + i), (u8)(val >> i * 8));
	irq_pic_unlock(chip, was, flags);
	return 0;
}

static int pit_io_read(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len, u64 *val)
{
	struct keel_irqchip_state *chip = vcpu->vm->irqchip;
	u32 i, n = bytes_inside(dev, addr, len);
	unsigned long flags;
	u64 now;

	*val = ~0ULL;
	raw_spin_lock_irqsave(&chip->lock, flags);
	now = irq_clock(chip);
	for (i = 0; i < n; i++)
		((u8 *)val)[i] = pit_read(&chip->pit, (u16)(addr + i), now);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	return 0;
}

static int pit_io_write(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len, u64 val)
{
	struct keel_irqchip_state *chip = vcpu->vm->irqchip;
	u32 i, n = bytes_inside(dev, addr, len);
	unsigned long flags;
	u64 now;

	raw_spin_lock_irqsave(&chip->lock, flags);
	now = irq_clock(chip);
	for (i = 0; i < n; i++)
		if (pit_write(&chip->pit, (u16)(addr + i), (u8)(val >> i * 8), now))
			pit_timer_restart(chip, now);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	return 0;
}

static int ioapic_io_read(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len,
			  u64 *val)
{
	struct keel_irqchip_state *chip = vcpu->vm->irqchip;
	unsigned long flags;

	raw_spin_lock_irqsave(&chip->lock, flags);
	*val = ioapic_read(&chip->ioapic, (u32)(addr - dev->addr));
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	return 0;
}

static int ioapic_io_write(struct keel_vcpu *vcpu, struct keel_iodev *dev, u64 addr, u32 len,
			   u64 val)
{
	struct keel_irqchip_state *chip = vcpu->vm->irqchip;
	u32 data = (u32)(len < 4 ? val & ((1ULL << len * 8) - 1) : val);
	unsigned long flags;

	raw_spin_lock_irqsave(&chip->lock, flags);
	ioapic_write(&chip->ioapic, (u32)(addr - dev->addr), data);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	return 0;
}

static const struct keel_iodev_ops pic_ops = { .read = pic_io_read, .write = pic_io_write };
static const struct keel_iodev_ops pit_ops = { .read = pit_io_read, .write = pit_io_write };
static const struct keel_iodev_ops ioapic_ops = {
	.read = ioapic_io_read,
	.write = ioapic_io_write,
};

static const struct chip_place {
	const struct keel_iodev_ops *ops;
	enum keel_bus bus;
	u32 addr, len;
} chip_places[IRQ_NR_IODEVS] = {
	{ &ioapic_ops, KEEL_BUS_MMIO, IOAPIC_GPA, IOAPIC_SIZE },
	{ &pic_ops, KEEL_BUS_PIO, PIC_PORT_MASTER, 2 },
	{ &pic_ops, KEEL_BUS_PIO, PIC_PORT_SLAVE, 2 },
	{ &pic_ops, KEEL_BUS_PIO, PIC_PORT_ELCR, 2 },
	{ &pit_ops, KEEL_BUS_PIO, PIT_PORT, 4 },
	{ &pit_ops, KEEL_BUS_PIO, PIT_PORT_SYSTEM, 1 },
};

static bool place_used(const struct keel_irqchip_state *chip, u32 i)
{
	return chip->has_pit || chip_places[i].ops != &pit_ops;
}

/* All or none. */
static int iodevs_add(struct keel_irqchip_state *chip)
{
	u32 i;
	int ret;

	for (i = 0; i < IRQ_NR_IODEVS; i++) {
		if (!place_used(chip, i))
			continue;
		chip->iodevs[i].ops = chip_places[i].ops;
		chip->iodevs[i].addr = chip_places[i].addr;
		chip->iodevs[i].len = chip_places[i].len;
		ret = keel_iobus_add(chip->vm, chip_places[i].bus, &chip->iodevs[i]);
		if (ret)
			goto fail;
	}
	return 0;
fail:
	while (i--)
		if (place_used(chip, i))
			keel_iobus_remove(chip->vm, chip_places[i].bus, &chip->iodevs[i]);
	return ret;
}

/* ---- life -------------------------------------------------------------------- */

static void chip_free(struct keel_irqchip_state *chip)
{
	routes_free(chip->routes);
	kfree(chip);
	keel_account(-(long)sizeof(*chip));
}

int irqchip_create(struct keel_vm *vm, bool pit)
{
	struct keel_irqchip_state *chip;
	int ret = -ENOMEM;

	chip = kzalloc(sizeof(*chip), GFP_KERNEL_ACCOUNT);
	if (!chip)
		return -ENOMEM;
	keel_account(sizeof(*chip));
	raw_spin_lock_init(&chip->lock);
	chip->vm = vm;
	chip->has_pit = pit;
	chip->clock_offset = ktime_get_ns();
	chip->frozen = vm->paused;
	INIT_LIST_HEAD(&chip->ack_hooks);
	pic_reset(&chip->pic);
	chip->ioapic.deliver = ioapic_deliver;
	ioapic_reset(&chip->ioapic);
	pit_reset(&chip->pit);
	pit_timer_setup(chip);
	chip->routes = routes_alloc(ROUTE_NR_DEFAULT);
	if (!chip->routes)
		goto fail;
	route_build_default(chip->routes);
	if (static_key_enabled(&keel_apicv) && s2_apic_create(vm))
		goto fail;
	ret = iodevs_add(chip);
	if (ret)
		goto fail;
	/* Whoever sees the pointer without vm->lock sees what it points to. */
	smp_store_release(&vm->irqchip, chip);
	return 0;
fail:
	s2_apic_free(vm);
	chip_free(chip);
	return ret;
}

void irqchip_destroy(struct keel_vm *vm)
{
	struct keel_irqchip_state *chip = vm->irqchip;

	if (!chip)
		return;
	/* Frozen, so that the PIT's callback does not start it again. */
	irqchip_pause(vm);
	vm->irqchip = NULL;
	chip_free(chip);
}
