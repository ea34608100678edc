// SPDX-License-Identifier: GPL-2.0
/*
 * The state records of the interrupt controllers: where a model's own save,
 * check and load meet the locks and timers around it.  It must not know what
 * a record holds.
 */
#include <linux/keel.h>
#include "core/state.h"
#include "irqchip/internal.h"

/* A payload of another length is wrong where it ends. */
static int check_len(u32 len, u32 want, u32 *bad_offset)
{
	if (len == want)
		return 0;
	*bad_offset = min(len, want);
	return -EINVAL;
}

/* ---- LAPIC ------------------------------------------------------------------------ */

static u32 lapic_rec_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return vcpu && vcpu->lapic ? sizeof(struct keel_rec_lapic) : 0;
}

static int lapic_rec_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	struct keel_lapic *l = vcpu->lapic;

	lapic_timer_look(l);
	lapic_refresh(l);
	lapic_model_save(&l->m, buf, irq_clock(l->chip));
	return 0;
}

static int lapic_rec_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			   u32 *bad_offset)
{
	if (check_len(len, lapic_rec_size(vm, vcpu), bad_offset))
		return -EINVAL;
	lapic_learn_features(vcpu->lapic);
	return lapic_model_check(&vcpu->lapic->m, buf, bad_offset);
}

static void lapic_rec_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	struct keel_lapic *l = vcpu->lapic;

	lapic_model_load(&l->m, buf, irq_clock(l->chip));
	if (l->m.deadline)
		lapic_timer_set_deadline(l);
	else
		lapic_timer_arm(l);
	vcpu->cr8 = lapic_get_cr8(vcpu);
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

const struct keel_record lapic_record = {
	.type = KEEL_REC_LAPIC,
	.version = 1,
	.size = lapic_rec_size,
	.save = lapic_rec_save,
	.check = lapic_rec_check,
	.load = lapic_rec_load,
};

/* ---- PIC --------------------------------------------------------------------------- */

static u32 pic_rec_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return vm->irqchip ? sizeof(struct keel_rec_pic) : 0;
}

static int pic_rec_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->irqchip->lock, flags);
	pic_save(&vm->irqchip->pic, buf);
	raw_spin_unlock_irqrestore(&vm->irqchip->lock, flags);
	return 0;
}

static int pic_rec_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			 u32 *bad_offset)
{
	if (check_len(len, pic_rec_size(vm, vcpu), bad_offset))
		return -EINVAL;
	return pic_check(buf, bad_offset);
}

static void pic_rec_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	unsigned long flags;

	raw_spin_lock_irqsave(&chip->lock, flags);
	pic_load(&chip->pic, buf);
	irq_pic_notify(chip, false);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
}

const struct keel_record pic_record = {
	.type = KEEL_REC_PIC,
	.version = 1,
	.size = pic_rec_size,
	.save = pic_rec_save,
	.check = pic_rec_check,
	.load = pic_rec_load,
};

/* ---- IOAPIC ------------------------------------------------------------------------- */

static u32 ioapic_rec_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return vm->irqchip ? sizeof(struct keel_rec_ioapic) : 0;
}

static int ioapic_rec_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->irqchip->lock, flags);
	ioapic_save(&vm->irqchip->ioapic, buf);
	raw_spin_unlock_irqrestore(&vm->irqchip->lock, flags);
	return 0;
}

static int ioapic_rec_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			    u32 *bad_offset)
{
	if (check_len(len, ioapic_rec_size(vm, vcpu), bad_offset))
		return -EINVAL;
	return ioapic_check(buf, bad_offset);
}

static void ioapic_rec_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->irqchip->lock, flags);
	ioapic_load(&vm->irqchip->ioapic, buf);
	raw_spin_unlock_irqrestore(&vm->irqchip->lock, flags);
}

const struct keel_record ioapic_record = {
	.type = KEEL_REC_IOAPIC,
	.version = 1,
	.size = ioapic_rec_size,
	.save = ioapic_rec_save,
	.check = ioapic_rec_check,
	.load = ioapic_rec_load,
};

/* ---- PIT ----------------------------------------------------------------------------- */

static u32 pit_rec_size(struct keel_vm *vm, struct keel_vcpu *vcpu)
{
	return vm->irqchip && vm->irqchip->has_pit ? sizeof(struct keel_rec_pit) : 0;
}

static int pit_rec_save(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	unsigned long flags;

	raw_spin_lock_irqsave(&chip->lock, flags);
	pit_save(&chip->pit, buf, irq_clock(chip));
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	return 0;
}

static int pit_rec_check(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
			 u32 *bad_offset)
{
	if (check_len(len, pit_rec_size(vm, vcpu), bad_offset))
		return -EINVAL;
	return pit_check(buf, bad_offset);
}

static void pit_rec_load(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	unsigned long flags;
	u64 now;

	raw_spin_lock_irqsave(&chip->lock, flags);
	now = irq_clock(chip);
	pit_load(&chip->pit, buf, now);
	pit_timer_restart(chip, now);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
}

const struct keel_record pit_record = {
	.type = KEEL_REC_PIT,
	.version = 1,
	.size = pit_rec_size,
	.save = pit_rec_save,
	.check = pit_rec_check,
	.load = pit_rec_load,
};
