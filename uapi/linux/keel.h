/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The vendor- and architecture-neutral half of Keel's ABI: calls, exits and
 * the structs they carry.  It must not know a control block or a kernel type:
 * user space includes it alone.
 *
 * Rules that hold for every struct here
 *  - it starts with __u32 size (in bytes, set by the caller to sizeof) and
 *    __u32 flags; one that is shorter than a later version is zero-extended,
 *    shorter than its first version it is -EINVAL; a longer one whose tail is
 *    not zero is -E2BIG; reserved fields are zero or -EINVAL;
 *  - fixed-width fields only, pointers travel as __u64, the 32-bit layout is
 *    the 64-bit one; time is in nanoseconds of CLOCK_MONOTONIC;
 *  - there is no version: KEEL_INFO returns feature bits, KEEL_CREATE_VM names
 *    the wanted ones, unknown is -EOPNOTSUPP.
 *
 * Every call may return -EFAULT (unreadable or unwritable struct), -EINVAL
 * (size, reserved bits or fields), -E2BIG, -ENOTTY (no such call on this kind
 * of fd), -ENOMEM, -EINTR (killed while it waited for a lock) and, on VM and
 * vCPU fds, -EIO (the VM is bugged: a broken invariant stopped it for good;
 * close it) and -EPERM (called from a process whose memory is not the one the
 * VM was created with; KICK and STATS_FD may come from any).
 */
#ifndef _UAPI_LINUX_KEEL_H
#define _UAPI_LINUX_KEEL_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/keel_x86.h>

#define KEEL_DEVICE		"/dev/keel"
#define KEEL_IOC_MAGIC		0xb6

/* Calls on /dev/keel */
#define KEEL_INFO		_IO(KEEL_IOC_MAGIC, 0x00)
#define KEEL_CPUID_GET		_IO(KEEL_IOC_MAGIC, 0x01)
#define KEEL_CREATE_VM		_IO(KEEL_IOC_MAGIC, 0x02)

/* Calls on a VM fd */
#define KEEL_MEM_COMMIT		_IO(KEEL_IOC_MAGIC, 0x10)
#define KEEL_CREATE_VCPU	_IO(KEEL_IOC_MAGIC, 0x11)
#define KEEL_IRQCHIP		_IO(KEEL_IOC_MAGIC, 0x12)
#define KEEL_IRQ_LINE		_IO(KEEL_IOC_MAGIC, 0x13)
#define KEEL_MSI		_IO(KEEL_IOC_MAGIC, 0x14)
#define KEEL_ROUTES		_IO(KEEL_IOC_MAGIC, 0x15)
#define KEEL_IRQFD		_IO(KEEL_IOC_MAGIC, 0x16)
#define KEEL_IOEVENTFD		_IO(KEEL_IOC_MAGIC, 0x17)
#define KEEL_CPUID_SET		_IO(KEEL_IOC_MAGIC, 0x18)
#define KEEL_POLICY_SET		_IO(KEEL_IOC_MAGIC, 0x19)
#define KEEL_PAUSE		_IO(KEEL_IOC_MAGIC, 0x1a)
#define KEEL_RESUME		_IO(KEEL_IOC_MAGIC, 0x1b)
#define KEEL_STATS_FD		_IO(KEEL_IOC_MAGIC, 0x1c)
#define KEEL_DIRTY_GET		_IO(KEEL_IOC_MAGIC, 0x1d)

/* Calls on a vCPU fd */
#define KEEL_RUN		_IO(KEEL_IOC_MAGIC, 0x40)
#define KEEL_KICK		_IO(KEEL_IOC_MAGIC, 0x41)
#define KEEL_INJECT		_IO(KEEL_IOC_MAGIC, 0x42)
#define KEEL_TRANSLATE		_IO(KEEL_IOC_MAGIC, 0x43)

/* Calls on a VM fd (interrupt controllers) and on a vCPU fd (the CPU) */
#define KEEL_STATE_GET		_IO(KEEL_IOC_MAGIC, 0x60)
#define KEEL_STATE_SET		_IO(KEEL_IOC_MAGIC, 0x61)

/* ---- /dev/keel ------------------------------------------------------- */

/* Features: reported by KEEL_INFO, asked for in KEEL_CREATE_VM. */
#define KEEL_FEAT_IRQCHIP	(1ULL << 0)	/* KEEL_IRQCHIP and all that needs it */
#define KEEL_FEAT_IRQFD		(1ULL << 1)	/* KEEL_IRQFD */
#define KEEL_FEAT_IOEVENTFD	(1ULL << 2)	/* KEEL_IOEVENTFD */
#define KEEL_FEAT_X2APIC	(1ULL << 3)	/* x2APIC mode in the kernel's LAPIC */
#define KEEL_FEAT_TSC_DEADLINE	(1ULL << 4)	/* the LAPIC timer's TSC-deadline mode */
#define KEEL_FEAT_TSC_SCALING	(1ULL << 5)	/* keel_create_vm.tsc_khz; not on every CPU */
#define KEEL_FEAT_DIRTY_LOG	(1ULL << 6)	/* KEEL_MEM_LOG_DIRTY and KEEL_DIRTY_GET */
#define KEEL_FEATS_ALL		((1ULL << 7) - 1)

/* keel_info.vendor */
#define KEEL_VENDOR_NONE	0	/* no usable virtualization: see the report */
#define KEEL_VENDOR_AMD		1
#define KEEL_VENDOR_INTEL	2

/* keel_info.cpu_caps: what the CPUs offer; Documentation says what Keel uses */
#define KEEL_CAP_NESTED_PAGING	(1U << 0)
#define KEEL_CAP_NRIPS		(1U << 1)	/* next-RIP save */
#define KEEL_CAP_DECODE_ASSIST	(1U << 2)
#define KEEL_CAP_FLUSH_BY_ASID	(1U << 3)
#define KEEL_CAP_VGIF		(1U << 4)
#define KEEL_CAP_VNMI		(1U << 5)
#define KEEL_CAP_VMCB_CLEAN	(1U << 6)
#define KEEL_CAP_PAUSE_FILTER	(1U << 7)
#define KEEL_CAP_TSC_SCALING	(1U << 8)
#define KEEL_CAP_1G_PAGES	(1U << 9)
#define KEEL_CAP_X2APIC		(1U << 10)
#define KEEL_CAP_VPID		(1U << 11)
#define KEEL_CAP_EPT_AD		(1U << 12)	/* accessed and dirty bits in EPT */
#define KEEL_CAP_PREEMPTION_TIMER (1U << 13)	/* LAPIC timers are counted in guest mode */
#define KEEL_CAP_APICV		(1U << 14)	/* APIC-register virtualization */
#define KEEL_CAP_VIRT_INTR	(1U << 15)	/* virtual-interrupt delivery */
#define KEEL_CAP_PML		(1U << 16)	/* page-modification logging */

/*
 * KEEL_INFO: what this host can do, and what Keel holds now.  @report is a
 * user buffer of @report_size bytes for the text of the capability audit (one
 * line a finding, NUL-terminated, cut to fit); 0 asks for none.  Works on a
 * host without virtualization, so that a user learns what is missing.
 */
struct keel_info {
	__u32 size;
	__u32 flags;
	__u64 features;		/* out: KEEL_FEAT_* */
	__u32 vendor;		/* out: KEEL_VENDOR_* */
	__u32 cpu_caps;		/* out: KEEL_CAP_* */
	__u32 max_vcpus;	/* out: per VM */
	__u32 max_slots;	/* out: memory slots per VM */
	__u32 gpa_bits;		/* out: guest-physical address width */
	__u32 run_size;		/* out: bytes to mmap() from a vCPU fd */
	__u32 tsc_khz;		/* out: frequency of a guest's TSC that is not scaled */
	__u32 xsave_size;	/* out: largest KEEL_REC_XSAVE payload */
	__u64 xcr0;		/* out: XCR0 bits a guest may set */
	__u32 nr_vms;		/* out: VMs alive on this host */
	__u32 nr_vcpus;		/* out: vCPUs alive on this host */
	__u64 kernel_bytes;	/* out: memory Keel holds, stage-2 tables excluded */
	__u64 stage2_bytes;	/* out: memory in stage-2 tables */
	__u64 report;		/* in: char *, or 0 */
	__u32 report_size;	/* in: bytes; out: bytes that the whole text needs */
	__u32 tsc_khz_max;	/* out: highest keel_create_vm.tsc_khz; 0: not scaled here */
};

/*
 * KEEL_CPUID_GET: the CPUID leaves that this host can give a guest, after
 * everything that Keel does not emulate is taken out.  @entries points to
 * @nr entries; on return @nr is how many there are.  -E2BIG: the array was
 * too small, @nr says what it takes.
 */
struct keel_cpuid {
	__u32 size;
	__u32 flags;
	__u64 entries;		/* struct keel_cpuid_entry * */
	__u32 nr;		/* in: room or count; out: count */
	__u32 bad;		/* out of KEEL_CPUID_SET: index of the refused entry */
};

/* keel_create_vm.busy_reason: who holds the CPUs after -EBUSY */
#define KEEL_BUSY_NONE		0
#define KEEL_BUSY_KVM		1	/* a kvm vendor module: stop its VMs or unload it */
#define KEEL_BUSY_FOREIGN	2	/* something else has virtualization switched on */
#define KEEL_BUSY_FIRMWARE	3	/* -EOPNOTSUPP: the firmware has switched it off */

/*
 * KEEL_CREATE_VM: returns a VM fd (O_CLOEXEC).  The VM is bound to the
 * caller's address space.  -EBUSY: somebody else owns the CPUs, @busy_reason
 * says who; -EOPNOTSUPP: unknown @features bit, or no virtualization here.
 * @tsc_khz needs KEEL_FEAT_TSC_SCALING and lies between KEEL_TSC_KHZ_MIN and
 * keel_info.tsc_khz_max, else -EINVAL.
 */
#define KEEL_TSC_KHZ_MIN	1000
struct keel_create_vm {
	__u32 size;
	__u32 flags;
	__u64 features;		/* in: KEEL_FEAT_* wanted */
	__u32 busy_reason;	/* out: KEEL_BUSY_* */
	__u32 tsc_khz;		/* in: frequency of the guest's TSC; 0: as the host's */
};

/* ---- VM: memory ------------------------------------------------------- */

#define KEEL_MEM_MAP		1
#define KEEL_MEM_UNMAP		2
#define KEEL_MEM_PROTECT	3

#define KEEL_MEM_READONLY	(1U << 0)	/* guest writes become MMIO exits */
#define KEEL_MEM_LOG_DIRTY	(1U << 1)	/* guest writes are logged: KEEL_DIRTY_GET */

/*
 * One change of the guest-physical map.  All addresses and lengths are
 * multiples of 4096.  MAP: [gpa, gpa + len) must be free.  UNMAP and PROTECT:
 * must name exactly one existing slot by @gpa and @len; PROTECT sets @flags.
 *
 * A slot is logged from the MAP or PROTECT that sets LOG_DIRTY to the one that
 * does not, or UNMAP; what was not fetched by then is forgotten.
 */
struct keel_mem_op {
	__u32 op;		/* KEEL_MEM_* */
	__u32 flags;		/* KEEL_MEM_READONLY, KEEL_MEM_LOG_DIRTY */
	__u64 gpa;
	__u64 len;		/* bytes */
	__u64 hva;		/* MAP: address in the launcher; else 0 */
};

/*
 * KEEL_MEM_COMMIT: applies @nr operations in order, all or none.  -EEXIST:
 * overlaps a slot; -ENOENT: no such slot; -EINVAL: alignment, wrap, zero
 * length, beyond gpa_bits, not user memory; -ENOSPC: more than max_slots;
 * -EOPNOTSUPP: LOG_DIRTY without KEEL_FEAT_DIRTY_LOG.  On these errors @bad is
 * the index of the operation to blame.
 */
struct keel_mem_commit {
	__u32 size;
	__u32 flags;
	__u64 ops;		/* const struct keel_mem_op * */
	__u32 nr;		/* 1 to 4096 */
	__u32 bad;		/* out */
};

/*
 * KEEL_DIRTY_GET: which pages of 4096 bytes in [@gpa, @gpa + @len) were written,
 * by the guest or by the kernel for it, since the log began or the page was last
 * reported.  Each write is in this call's bitmap or in a later one's: read a page
 * after the call that reports it, and what you missed is reported again.  More may
 * be reported than has changed (the guest's own page tables, as they are walked);
 * what the launcher itself writes is not.
 *
 * Bit n % 8 of byte n / 8 of @bitmap stands for the page at @gpa + n * 4096.  It is
 * written in whole 8 bytes, which @bitmap_size has to hold.  -ENOENT: the range is
 * not within one slot; -ENODATA: that slot is not logged; -EINVAL: alignment, zero
 * length, wrap, @bitmap_size; -EFAULT: and nothing is taken from the log;
 * -EOPNOTSUPP: KEEL_FEAT_DIRTY_LOG was not asked for.
 */
struct keel_dirty_get {
	__u32 size;
	__u32 flags;
	__u64 gpa;
	__u64 len;		/* bytes */
	__u64 bitmap;		/* void * */
	__u64 bitmap_size;	/* bytes */
	__u64 count;		/* out: bits set in @bitmap */
};

/* ---- VM: vCPUs, interrupts, events --------------------------------------- */

/*
 * KEEL_CREATE_VCPU: returns a vCPU fd (O_CLOEXEC).  @id is also its APIC ID.
 * vCPU 0 starts at the reset vector; with an in-kernel LAPIC the others wait
 * for a start-up IPI.  -EEXIST: id taken; -EINVAL: id >= max_vcpus.
 */
struct keel_create_vcpu {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 reserved;
};

/*
 * KEEL_IRQCHIP: LAPICs, an IOAPIC of 24 pins at 0xfec00000, a PIC pair and,
 * with KEEL_IRQCHIP_PIT, a PIT (ports 0x40-0x43 and 0x61) in the kernel.
 * -EBUSY: there are vCPUs already; -EEXIST: called before; -EOPNOTSUPP:
 * KEEL_FEAT_IRQCHIP was not asked for.
 */
#define KEEL_IRQCHIP_PIT	(1U << 0)

struct keel_irqchip {
	__u32 size;
	__u32 flags;		/* KEEL_IRQCHIP_PIT */
};

/* KEEL_IRQ_LINE: sets the level of a GSI.  -EINVAL: no route for it. */
struct keel_irq_line {
	__u32 size;
	__u32 flags;
	__u32 gsi;
	__u32 level;		/* 0 or 1 */
};

/*
 * KEEL_MSI: sends one message.  Returns how many LAPICs took it.
 * -EINVAL: @address is not in the 0xfeexxxxx window.
 */
struct keel_msi {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u32 data;
	__u32 reserved;
};

#define KEEL_ROUTE_PIC		1	/* chip pin 0-15 of the PIC pair */
#define KEEL_ROUTE_IOAPIC	2	/* pin 0-23 */
#define KEEL_ROUTE_MSI		3

struct keel_route {
	__u32 gsi;		/* below 1024 */
	__u32 type;		/* KEEL_ROUTE_* */
	__u32 pin;		/* PIC, IOAPIC */
	__u32 data;		/* MSI */
	__u64 address;		/* MSI */
};

/*
 * KEEL_ROUTES: replaces the whole routing table.  The table that KEEL_IRQCHIP
 * installs routes GSI 0-15 to the PIC and GSI 0-23 to the IOAPIC (GSI 0 to
 * pin 2).  -EINVAL: bad type, pin, gsi or address, a GSI routed to two MSIs.
 */
struct keel_routes {
	__u32 size;
	__u32 flags;
	__u64 routes;		/* const struct keel_route * */
	__u32 nr;		/* 0 to 4096 */
	__u32 bad;		/* out: index of the refused route */
};

#define KEEL_IRQFD_DEASSIGN	(1U << 0)
#define KEEL_IRQFD_RESAMPLE	(1U << 1)

/*
 * KEEL_IRQFD: each signal of eventfd @fd raises @gsi: an edge, or with
 * RESAMPLE a level that drops at the guest's EOI, which signals @resample_fd.
 * -EBUSY: assigned already; -ENOENT (DEASSIGN): it is not.
 */
struct keel_irqfd {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 gsi;
	__s32 resample_fd;
	__u32 reserved;
};

#define KEEL_IOEVENTFD_DEASSIGN	(1U << 0)
#define KEEL_IOEVENTFD_PIO	(1U << 1)	/* a port, not a GPA */
#define KEEL_IOEVENTFD_MATCH	(1U << 2)	/* only writes of @data */

/*
 * KEEL_IOEVENTFD: a guest write of @len bytes (1, 2, 4, 8; 0: any length) at
 * @addr signals eventfd @fd and goes no further.  -EEXIST: an identical or
 * overlapping doorbell; -ENOENT (DEASSIGN): none like it; -ENOSPC: too many.
 */
struct keel_ioeventfd {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 data;
	__u32 len;
	__s32 fd;
};

/*
 * KEEL_CPUID_SET uses struct keel_cpuid: replaces the VM's CPUID table; the
 * kernel fills in APIC IDs, OSXSAVE, OSPKE and the XSAVE sizes by itself.
 * -EBUSY: a vCPU has run; -EOPNOTSUPP: an entry shows a feature that
 * KEEL_CPUID_GET does not, @bad is its index; -EINVAL: a leaf twice.
 */

#define KEEL_POLICY_FAULT	0	/* MSR: #GP; hypercall: #UD */
#define KEEL_POLICY_EXIT	1	/* to the launcher */
#define KEEL_POLICY_ZERO	2	/* reads 0 or all ones, writes dropped; counted */

/*
 * KEEL_POLICY_SET: what an access that nobody claims does.  Before the first
 * call: msr FAULT, pio EXIT, mmio EXIT, hypercall FAULT.  For pio and mmio FAULT
 * is -EINVAL; ZERO makes pio and mmio reads all ones, and a hypercall -1 in RAX.
 */
struct keel_policy {
	__u32 size;
	__u32 flags;
	__u32 msr;
	__u32 pio;
	__u32 mmio;
	__u32 hypercall;
};

/*
 * KEEL_PAUSE: returns when every vCPU has left guest mode and every timer of
 * the VM stands still; KEEL_RUN then waits in the kernel until KEEL_RESUME.
 * PAUSE of a paused VM and RESUME of a running one are -EALREADY.
 */
struct keel_pause {
	__u32 size;
	__u32 flags;
};

/*
 * KEEL_STATS_FD: on a VM fd returns a read-only fd (O_CLOEXEC).  pread() at
 * offset 0 gives struct keel_stats_head, then the descriptors, then for the VM
 * and each vCPU a block of __u64 values in the order of the descriptors.
 */
struct keel_stats_fd {
	__u32 size;
	__u32 flags;
};

#define KEEL_STATS_MAGIC	0x5354454bU	/* "KETS" */

#define KEEL_STAT_COUNTER	0	/* only grows */
#define KEEL_STAT_GAUGE		1	/* a level */
#define KEEL_STAT_NS		2	/* nanoseconds, only grows */
#define KEEL_STAT_BYTES		3	/* a level in bytes */

#define KEEL_STAT_OF_VM		0
#define KEEL_STAT_OF_VCPU	1

struct keel_stats_head {
	__u32 magic;		/* KEEL_STATS_MAGIC */
	__u32 head_size;	/* of this struct */
	__u32 desc_size;	/* of one struct keel_stat_desc */
	__u32 nr_vm_descs;
	__u32 nr_vcpu_descs;
	__u32 nr_vcpus;		/* value blocks after the VM's, in order of id */
	__u64 reserved;
};

struct keel_stat_desc {
	char name[40];		/* NUL-terminated, [a-z0-9_] */
	__u16 kind;		/* KEEL_STAT_* */
	__u16 of;		/* KEEL_STAT_OF_* */
	__u32 reserved;
};

/* ---- vCPU: the exit ledger ---------------------------------------------------- */

/*
 * The read-only mapping of a vCPU fd at offset KEEL_LEDGER_OFFSET, MAP_SHARED
 * and without PROT_WRITE (-EACCES) or PROT_EXEC (-EINVAL).  Its first page
 * holds the head, which says how large the whole is; any part of it may be
 * mapped (-EINVAL beyond).  It is written while it is read, each __u64 as one.
 * Always on.  Offsets are from its beginning; ticks are those of the host's TSC.
 *
 *  times	nr_times __u64: ticks of each class of time.  All but the one that
 *		runs now are settled; they add up to @since less the vCPU's birth,
 *		or to within one stay in guest mode while @now is KEEL_LEDGER_RUNNING.
 *  cells	[nr_reasons][nr_paths] of { __u64 ticks; __u64 bucket[nr_buckets]; }:
 *		an exit is in one cell, by its reason and by how far it led;
 *		bucket i counts those that took from 2^i to 2^(i+1) - 1 ticks until
 *		the next entry (the last: and longer), halted and ready time apart.
 *  names	of KEEL_LEDGER_NAME bytes each, NUL-terminated, [a-z0-9_].
 */
#define KEEL_LEDGER_OFFSET	0x100000
#define KEEL_LEDGER_MAGIC	0x474c454bU	/* "KELG" */
#define KEEL_LEDGER_NAME	16
#define KEEL_LEDGER_RUNNING	(~0U)
#define KEEL_LEDGER_NONE	(~0U)

struct keel_ledger_head {
	__u32 magic;		/* KEEL_LEDGER_MAGIC */
	__u32 head_size;	/* of this struct, in bytes */
	__u32 size;		/* of all that is described here, in bytes */
	__u32 tick_khz;		/* ticks in a millisecond */
	__u32 nr_times;
	__u32 nr_reasons;
	__u32 nr_paths;
	__u32 nr_buckets;
	__u32 times;		/* offset */
	__u32 cells;		/* offset */
	__u32 time_names;	/* offset */
	__u32 path_names;	/* offset */
	__u32 reason_names;	/* offset */
	__u32 now;		/* index of the class that runs, or KEEL_LEDGER_RUNNING */
	__u64 since;		/* host TSC at which it began */
	__u32 open_reason;	/* the last exit while it has not ended and is in no cell... */
	__u32 open_path;	/* ...or both KEEL_LEDGER_NONE */
};

/* ---- vCPU: the run page ---------------------------------------------------- */

#define KEEL_EXIT_NONE		0	/* nothing happened: -EINTR and other errors */
#define KEEL_EXIT_PIO		1
#define KEEL_EXIT_MMIO		2
#define KEEL_EXIT_RDMSR		3
#define KEEL_EXIT_WRMSR		4
#define KEEL_EXIT_HLT		5	/* only without an in-kernel LAPIC */
#define KEEL_EXIT_SHUTDOWN	6
#define KEEL_EXIT_EMUL_FAIL	7
#define KEEL_EXIT_ENTRY_FAIL	8
#define KEEL_EXIT_MEM_FAULT	9
#define KEEL_EXIT_KICKED	10
#define KEEL_EXIT_IRQ_WINDOW	11
#define KEEL_EXIT_HYPERCALL	12
#define KEEL_EXIT_NR		13

#define KEEL_DIR_IN		0	/* the guest reads */
#define KEEL_DIR_OUT		1	/* the guest writes */

struct keel_exit_pio {
	__u16 port;
	__u8 size;		/* 1, 2, 4 */
	__u8 dir;		/* KEEL_DIR_* */
	__u32 data;		/* IN: fill in before the next RUN */
};

struct keel_exit_mmio {
	__u64 gpa;
	__u32 size;		/* 1 to 8 */
	__u32 dir;
	__u64 data;		/* IN: fill in before the next RUN */
};

/* RDMSR: fill in @data, or set @fault to make it #GP. WRMSR: @fault too. */
struct keel_exit_msr {
	__u32 index;
	__u32 fault;
	__u64 data;
};

#define KEEL_SHUTDOWN_TRIPLE_FAULT	1
#define KEEL_SHUTDOWN_INIT		2	/* INIT that no vCPU state can take */

struct keel_exit_shutdown {
	__u32 cause;
	__u32 reserved;
	__u64 rip;
};

#define KEEL_EMULFAIL_UNKNOWN	1	/* an instruction the emulator does not know */
#define KEEL_EMULFAIL_FETCH		2	/* its bytes could not be read */
#define KEEL_EMULFAIL_TASK_SWITCH	3
#define KEEL_EMULFAIL_UNEXPECTED	4	/* an exit that this guest should not cause */
#define KEEL_EMULFAIL_DELIVERY	5	/* MMIO touched while an event was delivered */

struct keel_exit_emul {
	__u32 why;		/* KEEL_EMULFAIL_* */
	__u32 nr_bytes;		/* valid in @bytes */
	__u8 bytes[16];
	__u32 mode;		/* KEEL_MODE_* */
	__u32 vendor_code;	/* the CPU's own exit code, for a report */
	__u64 rip;
	__u64 gpa;		/* of the access that led here, or ~0 */
};

struct keel_exit_entry {
	__u32 vendor_code;	/* the CPU's own error or exit code */
	__u32 rule;		/* ordinal in the list of entry checks, 0: none found */
	char name[56];		/* the broken rule, NUL-terminated */
};

#define KEEL_ACCESS_READ	(1U << 0)
#define KEEL_ACCESS_WRITE	(1U << 1)
#define KEEL_ACCESS_EXEC	(1U << 2)

/* The launcher's memory under a slot could not be reached (errno), or the
 * guest tried to execute where no slot is.
 */
struct keel_exit_mem {
	__u64 gpa;
	__u32 access;		/* KEEL_ACCESS_* */
	__u32 error;		/* errno of the host's page fault, 0: no slot */
};

/* Fill in @ret before the next RUN: it becomes RAX.  User mode gets #UD instead. */
struct keel_exit_hypercall {
	__u64 nr;		/* RAX */
	__u64 arg[4];		/* RBX RCX RDX RSI */
	__u64 ret;
};

/* Register groups of the run page */
#define KEEL_GROUP_REGS		(1U << 0)	/* keel_run.regs */
#define KEEL_GROUP_SREGS	(1U << 1)	/* keel_run.sregs */
#define KEEL_GROUPS_ALL		3U

#define KEEL_RUN_IRQ_WINDOW	(1U << 0)	/* exit as soon as an interrupt can be injected */

/*
 * The page behind mmap(vcpu_fd).  The kernel copies what it reads from here
 * once, at RUN, and checks it; what it writes it never reads back.  Registers
 * that are committed (or loaded by STATE_SET) while an access waits for its
 * answer drop that access: its answer is not used.
 *
 * KEEL_RUN takes no argument.  0: @exit_reason says why; -EINTR: a signal;
 * -EBUSY: the vCPU is running; -EINVAL: bad bits or registers in this page.
 */
struct keel_run {
	/* in */
	__u32 flags;		/* KEEL_RUN_* */
	__u32 want;		/* KEEL_GROUP_*: copy out at every exit */
	__u32 commit;		/* KEEL_GROUP_*: copy in at this RUN; the kernel clears it */
	__u32 reserved_in;
	/* out */
	__u32 exit_reason;	/* KEEL_EXIT_* */
	__u32 valid;		/* KEEL_GROUP_* copied out */
	__u32 irq_ready;	/* 1: KEEL_INJECT of an interrupt would be taken now */
	__u32 reserved_out;
	union {
		struct keel_exit_pio pio;
		struct keel_exit_mmio mmio;
		struct keel_exit_msr msr;
		struct keel_exit_shutdown shutdown;
		struct keel_exit_emul emul;
		struct keel_exit_entry entry;
		struct keel_exit_mem mem;
		struct keel_exit_hypercall hypercall;
		__u8 pad[96];
	};
	struct keel_regs regs;
	struct keel_sregs sregs;
};

/* KEEL_KICK takes no argument: makes the running or next RUN return KICKED. */

#define KEEL_INJECT_IRQ		1	/* without in-kernel LAPIC; waits for the guest */
#define KEEL_INJECT_NMI		2
#define KEEL_INJECT_EXCEPTION	3

/*
 * KEEL_INJECT: the vCPU may be running for an NMI; IRQ and EXCEPTION want it
 * stopped (-EBUSY), and none of their kind waiting (-EBUSY).  -EINVAL: bad kind,
 * vector or error code for the vector, IRQ with an in-kernel LAPIC.
 */
struct keel_inject {
	__u32 size;
	__u32 flags;
	__u32 kind;
	__u32 vector;
	__u32 error_code;
	__u32 reserved;
};

/*
 * KEEL_TRANSLATE: walks the guest's own page tables for @gva.  -ENXIO: not
 * mapped or not permitted for @access.  The vCPU must be stopped (-EBUSY).
 */
struct keel_translate {
	__u32 size;
	__u32 flags;
	__u64 gva;
	__u64 gpa;		/* out */
	__u32 access;		/* in: KEEL_ACCESS_*, at supervisor level */
	__u32 fault;		/* out: page-fault error code with -ENXIO */
};

/* ---- state records -------------------------------------------------------------- */

/*
 * KEEL_STATE_GET: fills @buf with records (struct keel_rec followed by @len
 * bytes, padded to 8).  If @buf holds records already (@used bytes, headers
 * with len 0), only those types are returned; @used 0 asks for all.
 * -ENOSPC: @size_needed says what it takes.
 *
 * KEEL_STATE_SET: checks every record in @used bytes, then applies them all in
 * the kernel's own order, or changes nothing: -EINVAL with @bad_type and
 * @bad_offset naming the first wrong field (offset in its payload);
 * -EOPNOTSUPP: unknown type or version.  The vCPU must be stopped; on a VM fd
 * every vCPU must be, or the VM be paused (-EBUSY).
 */
struct keel_state {
	__u32 size;
	__u32 flags;
	__u64 buf;
	__u32 buf_size;		/* bytes, at most 1 MiB */
	__u32 used;		/* in: bytes of records; out: bytes written */
	__u32 size_needed;	/* out */
	__u32 bad_type;		/* out */
	__u32 bad_offset;	/* out */
	__u32 reserved;
};

struct keel_rec {
	__u32 type;		/* KEEL_REC_* */
	__u32 version;		/* 1 */
	__u32 len;		/* payload bytes, without padding */
	__u32 reserved;
};

#endif /* _UAPI_LINUX_KEEL_H */
