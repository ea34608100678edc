/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The x86 half of Keel's ABI: registers, CPUID entries and the payloads of
 * state records.  Included by <linux/keel.h>; it must not know a vendor's
 * control block.
 */
#ifndef _UAPI_LINUX_KEEL_X86_H
#define _UAPI_LINUX_KEEL_X86_H

#include <linux/types.h>

/* Hardware encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15 */
#define KEEL_GPR_RAX	0
#define KEEL_GPR_RCX	1
#define KEEL_GPR_RDX	2
#define KEEL_GPR_RBX	3
#define KEEL_GPR_RSP	4
#define KEEL_GPR_RBP	5
#define KEEL_GPR_RSI	6
#define KEEL_GPR_RDI	7

struct keel_regs {
	__u64 gpr[16];
	__u64 rip;
	__u64 rflags;
};

/*
 * @attr is the access-rights word: bits 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL,
 * 13 L, 14 D/B, 15 G; bits 8-11 are zero.  A segment without P is unusable.
 * @limit is in bytes, as the CPU's hidden part holds it.
 */
struct keel_segment {
	__u64 base;
	__u32 limit;
	__u16 selector;
	__u16 attr;
};

#define KEEL_SREG_ES	0
#define KEEL_SREG_CS	1
#define KEEL_SREG_SS	2
#define KEEL_SREG_DS	3
#define KEEL_SREG_FS	4
#define KEEL_SREG_GS	5
#define KEEL_SREG_TR	6
#define KEEL_SREG_LDTR	7
#define KEEL_SREG_NR	8

#define KEEL_ATTR_S	(1U << 4)
#define KEEL_ATTR_DPL_SHIFT	5
#define KEEL_ATTR_P	(1U << 7)
#define KEEL_ATTR_L	(1U << 13)
#define KEEL_ATTR_DB	(1U << 14)
#define KEEL_ATTR_G	(1U << 15)

struct keel_dtable {
	__u64 base;
	__u32 limit;		/* 16 bits */
	__u32 reserved;
};

struct keel_sregs {
	struct keel_segment seg[KEEL_SREG_NR];
	struct keel_dtable gdt;
	struct keel_dtable idt;
	__u64 cr0;
	__u64 cr2;
	__u64 cr3;
	__u64 cr4;
	__u64 cr8;
	__u64 efer;
	__u64 xcr0;
	__u64 apic_base;	/* with an in-kernel LAPIC, else 0 */
};

/* keel_exit_emul.mode */
#define KEEL_MODE_REAL		0
#define KEEL_MODE_VM86		1
#define KEEL_MODE_PROT16	2
#define KEEL_MODE_PROT32	3
#define KEEL_MODE_LONG64	4

#define KEEL_CPUID_INDEX	(1U << 0)	/* @index is significant */

struct keel_cpuid_entry {
	__u32 leaf;
	__u32 index;
	__u32 flags;		/* KEEL_CPUID_INDEX */
	__u32 eax;
	__u32 ebx;
	__u32 ecx;
	__u32 edx;
	__u32 reserved;
};

/* Records of a vCPU fd */
#define KEEL_REC_REGS		1	/* struct keel_regs */
#define KEEL_REC_SREGS		2	/* struct keel_sregs */
#define KEEL_REC_DEBUG		3	/* struct keel_rec_debug */
#define KEEL_REC_MSRS		4	/* struct keel_rec_msr[] */
#define KEEL_REC_EVENTS		5	/* struct keel_rec_events */
#define KEEL_REC_XSAVE		6	/* the XSAVE area, standard format */
#define KEEL_REC_LAPIC		7	/* struct keel_rec_lapic */
#define KEEL_REC_TSC		8	/* struct keel_rec_tsc */
/* Records of a VM fd */
#define KEEL_REC_PIC		0x100	/* struct keel_rec_pic */
#define KEEL_REC_IOAPIC		0x101	/* struct keel_rec_ioapic */
#define KEEL_REC_PIT		0x102	/* struct keel_rec_pit */

struct keel_rec_debug {
	__u64 dr[4];
	__u64 dr6;
	__u64 dr7;
};

struct keel_rec_msr {
	__u32 index;
	__u32 reserved;
	__u64 value;
};

#define KEEL_MP_RUNNABLE	0
#define KEEL_MP_HALTED		1
#define KEEL_MP_WAIT_SIPI	2
#define KEEL_MP_SIPI		3	/* SIPI seen, @sipi_vector valid */

#define KEEL_SHADOW_STI		(1U << 0)
#define KEEL_SHADOW_MOV_SS	(1U << 1)

/*
 * Events on their way into the guest.  @injected: delivery had begun and will
 * be taken up again; else the exception is raised before the next instruction.
 */
struct keel_rec_events {
	__u8 exc_pending;
	__u8 exc_injected;
	__u8 exc_vector;
	__u8 exc_has_error;	/* only where the vector has a code; never in real mode */
	__u32 exc_error;
	__u64 exc_cr2;		/* payload of a pending #PF */
	__u8 irq_injected;
	__u8 irq_vector;
	__u8 irq_soft;		/* an INT n instruction */
	__u8 nmi_injected;
	__u8 nmi_pending;	/* 0 to 2 */
	__u8 nmi_masked;
	__u8 shadow;		/* 0 or one of KEEL_SHADOW_* */
	__u8 mp_state;		/* KEEL_MP_* */
	__u8 sipi_vector;
	__u8 init_pending;
	__u8 irq_pending;	/* KEEL_INJECT_IRQ waits until the guest can take it */
	__u8 irq_pending_vector;
	__u8 reserved[4];
};

/* The architectural register page (xAPIC layout, 16-byte stride), and what it
 * does not hold.
 */
struct keel_rec_lapic {
	__u8 regs[1024];
	__u64 tsc_deadline;	/* guest TSC, 0: none */
	__u64 timer_left_ns;	/* one-shot and periodic: until it fires, 0: stopped */
	__u64 reserved;
};

/*
 * @khz lets a launcher create the VM that a state goes on in.  Another frequency
 * than the VM's is refused; 0, or a record that ends before it, asks for none.
 */
struct keel_rec_tsc {
	__u64 tsc;		/* the guest's TSC at the time of the call */
	__u64 host_ns;		/* CLOCK_MONOTONIC at that time; SET: 0 or a time in the past */
	__u64 adjust;		/* IA32_TSC_ADJUST */
	__u64 khz;		/* the TSC's frequency */
};

struct keel_rec_pic_chip {
	__u8 irr, imr, isr, lines;
	__u8 vector_base, init_state, priority_add, read_isr;
	__u8 poll, special_mask, auto_eoi, rotate_auto_eoi;
	__u8 special_nested, need_icw4, elcr, reserved;
};

struct keel_rec_pic {
	struct keel_rec_pic_chip chip[2];	/* master, slave */
};

struct keel_rec_ioapic {
	__u64 redirect[24];
	__u32 lines;		/* level of each pin */
	__u32 irr;		/* edges not yet delivered, levels pending */
	__u32 id;
	__u32 select;
};

struct keel_rec_pit_channel {
	__u16 reload;
	__u16 latched;
	__u8 mode;
	__u8 bcd;
	__u8 access;
	__u8 write_state, read_state;
	__u8 latch_count, latch_status, status;
	__u8 gate;
	__u8 write_low;
	__u8 null_count;
	__u8 running;		/* 0 no count yet, 1 counting, 2 waits for gate or trigger */
	__u64 elapsed_ns;	/* counted since it was loaded */
};

struct keel_rec_pit {
	struct keel_rec_pit_channel channel[3];
	__u8 speaker;		/* port 0x61: bit 0 gate 2, bit 1 speaker data */
	__u8 reserved[7];
};

#endif /* _UAPI_LINUX_KEEL_X86_H */
