// SPDX-License-Identifier: GPL-2.0
/*
 * ASIDs and flushes: which tag a vCPU's translations carry on this CPU.  It
 * must not know what the translations are.
 */
#include <linux/percpu.h>
#include "svm/svm.h"

/* ASID 0 is the host's. */
#define SVM_FIRST_ASID	1

/*
 * [entry] Give the vCPU an ASID of this CPU's current generation.  When a
 * generation is used up, the next begins with one flush of everything.
 */
void svm_assign_asid(struct svm_vcpu *svm)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	struct svm_control *c = &svm->vmcb->control;

	if (sc->next_asid >= svm_global.nr_asids) {
		sc->asid_generation++;
		sc->next_asid = SVM_FIRST_ASID;
		c->tlb_ctl = SVM_TLB_FLUSH_ALL;
	}
	svm->asid_generation = sc->asid_generation;
	c->asid = sc->next_asid++;
	svm_unclean(svm, SVM_CLEAN_ASID);
}

/* [entry or vcpu] */
void svm_flush(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm_global.features & SVM_F_FLUSH_BY_ASID)
		svm->vmcb->control.tlb_ctl = SVM_TLB_FLUSH_ASID;
	else
		svm->asid_generation = 0;	/* a fresh ASID has no translations */
}

void svm_set_root(struct keel_vcpu *vcpu, hpa_t root)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->control.nested_cr3 = root;
	svm_unclean(svm, SVM_CLEAN_NP);
	svm_flush(vcpu);
}
