// SPDX-License-Identifier: GPL-2.0
/*
 * What leaves the guest for the launcher, and what comes back: ports, MMIO
 * through the emulator, hypercalls, MSRs, CPUID, missing memory, shutdown. It
 * plays the device; the guest side checks what it reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "libkeel.h"

#define PORT	0x600

static u8 device[8192];
static unsigned int nr_reads, nr_writes;

/* Bytes at @base answer every MMIO exit until something else happens. */
static u32 run_device_at(struct vcpu *v, u64 base)
{
	struct keel_run *run = v->run;
	u64 offset;
	u32 reason;

	for (;;) {
		reason = guest_run(v);
		if (reason != KEEL_EXIT_MMIO)
			return reason;
		offset = run->mmio.gpa - base;
		REQUIRE(run->mmio.gpa >= base && run->mmio.size && run->mmio.size <= 8 &&
			offset + run->mmio.size <= sizeof(device), "gpa %#llx size %u",
			run->mmio.gpa, run->mmio.size);
		if (run->mmio.dir == KEEL_DIR_OUT) {
			memcpy(device + offset, &run->mmio.data, run->mmio.size);
			nr_writes++;
		} else {
			run->mmio.data = 0xeeeeeeeeeeeeeeee;
			memcpy(&run->mmio.data, device + offset, run->mmio.size);
			nr_reads++;
		}
	}
}

static void run_device(u64 fn)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	guest_start(v, fn, 0ULL, 0ULL, 0ULL);
	CHECK_EQ(run_device_at(v, GUEST_HOLE), RUN_DONE);
	vm_free(vm);
}

TEST(real_mode_hello)
{
	/* mov $msg, %si; 1: lodsb; or %al, %al; jz 2f; out %al, $0xe9; jmp 1b; 2: hlt */
	static const u8 code[] = {
		0xbe, 0x0e, 0x00, 0xac, 0x08, 0xc0, 0x74, 0x04, 0xe6, 0xe9, 0xeb, 0xf7,
		0xf4, 0x00, 'h', 'e', 'l', 'l', 'o', 0,
	};
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	char got[16];
	unsigned int n = 0;

	memcpy(vm->ram + 0x1000, code, sizeof(code));
	guest_real(v, 0x1000, 0);
	while (vcpu_run(v) == KEEL_EXIT_PIO && n < sizeof(got) - 1) {
		CHECK_EQ(v->run->pio.port, 0xe9);
		CHECK_EQ(v->run->pio.size, 1);
		CHECK_EQ(v->run->pio.dir, KEEL_DIR_OUT);
		got[n++] = v->run->pio.data;
	}
	got[n] = 0;
	CHECK_EQ(v->run->exit_reason, KEEL_EXIT_HLT);
	CHECK(!strcmp(got, "hello"), "it said '%s'", got);
	CHECK_EQ(v->run->regs.rip, 0xd);
	vm_free(vm);
}

TEST(reset_vector)
{
	/* mov $0x1234, %ax; out %ax, $0x80 */
	static const u8 code[] = { 0xb8, 0x34, 0x12, 0xe7, 0x80, 0xf4 };
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	u8 *rom = pages(0x10000);

	memcpy(rom + 0xfff0, code, sizeof(code));
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, KEEL_MEM_READONLY, 0xffff0000, 0x10000, rom), 0);
	vcpu_expect(v, KEEL_EXIT_PIO);
	CHECK_EQ(v->run->pio.port, 0x80);
	CHECK_EQ(v->run->pio.data, 0x1234);
	CHECK_EQ(v->run->pio.size, 2);
	vcpu_expect(v, KEEL_EXIT_HLT);
	vm_free(vm);
}

static void expect_out(struct vcpu *v, u16 port, u8 size, u32 data)
{
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_PIO);
	CHECK_EQ(v->run->pio.dir, KEEL_DIR_OUT);
	CHECK_EQ(v->run->pio.port, port);
	CHECK_EQ(v->run->pio.size, size);
	CHECK_EQ(v->run->pio.data, data);
}

static void expect_in(struct vcpu *v, u16 port, u8 size, u32 answer)
{
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_PIO);
	CHECK_EQ(v->run->pio.dir, KEEL_DIR_IN);
	CHECK_EQ(v->run->pio.port, port);
	CHECK_EQ(v->run->pio.size, size);
	v->run->pio.data = answer;
}

TEST(pio_sizes)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	int i;

	GUEST_START(v, pio_sizes, (u64)PORT);
	expect_out(v, PORT, 1, 0xa1);
	expect_out(v, PORT + 2, 2, 0xb1b2);
	expect_out(v, PORT + 4, 4, 0xc1c2c3c4);
	/* Bits beyond the size do not count. */
	for (i = 0; i < 2; i++) {
		expect_in(v, PORT, 1, 0xffffff5a);
		expect_in(v, PORT + 2, 2, 0xffff5a5b);
		expect_in(v, PORT + 4, 4, 0x5a5b5c5d);
	}
	expect_out(v, 0xe8, 1, 0x77);
	expect_in(v, 0xe8, 1, 0x77);
	guest_done(v);
	vm_free(vm);
}

TEST(pio_strings)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	u32 i;

	GUEST_START(v, pio_strings, (u64)PORT);
	for (i = 1; i <= 5; i++)
		expect_out(v, PORT, 1, i);
	for (i = 1; i <= 3; i++)
		expect_out(v, PORT, 4, i * 0x11111111);
	for (i = 0; i < 3; i++)
		expect_in(v, PORT, 4, 0x100 + i);
	guest_done(v);
	vm_free(vm);
}

TEST(mmio_sizes)
{
	run_device(G(mmio_sizes));
	CHECK_EQ(nr_writes, 4);
	CHECK_EQ(nr_reads, 4);
	CHECK_EQ(device[0x10], 0xa1);
	CHECK_EQ(device[0x1f], 0xd1);
	/* No write went beyond its size. */
	CHECK_EQ(device[0x11], 0);
	CHECK_EQ(device[0x20], 0);
}

TEST(mmio_moves) { run_device(G(mmio_moves)); }
TEST(mmio_alu) { run_device(G(mmio_alu)); }
TEST(mmio_strings) { run_device(G(mmio_strings)); }
TEST(mmio_straddle) { run_device(G(mmio_straddle)); }
TEST(mmio_fault) { run_device(G(mmio_fault)); }

TEST(mmio_edge_of_ram)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	GUEST_START(v, mmio_edge);
	CHECK_EQ(run_device_at(v, GUEST_RAM_SIZE), RUN_DONE);
	CHECK_EQ(*(u32 *)(vm->ram + GUEST_RAM_SIZE - 4), 0xb1b2b3b4);
	CHECK_EQ(*(u32 *)device, 0xa1a2a3a4);
	vm_free(vm);
}

TEST(mmio_unknown_instruction)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	u32 reason;

	GUEST_START(v, mmio_unknown);
	reason = guest_run(v);
	/* Who can emulate it may. */
	if (reason == KEEL_EXIT_MMIO)
		ktap_skip("the emulator knows MOVUPS");
	REQUIRE_EQ(reason, KEEL_EXIT_EMUL_FAIL);
	CHECK_EQ(v->run->emul.why, KEEL_EMULFAIL_UNKNOWN);
	CHECK_EQ(v->run->emul.mode, KEEL_MODE_LONG64);
	CHECK_EQ(v->run->emul.gpa, GUEST_HOLE);
	CHECK(v->run->emul.nr_bytes >= 2 && v->run->emul.bytes[0] == 0x0f &&
	      v->run->emul.bytes[1] == 0x10, "%u bytes, %02x %02x", v->run->emul.nr_bytes,
	      v->run->emul.bytes[0], v->run->emul.bytes[1]);
	CHECK_EQ(v->run->emul.rip, v->run->regs.rip);
	vm_free(vm);
}

TEST(rom)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	static const u8 code[] = { 0xb8, 0x77, 0, 0, 0, 0xc3 };
	u8 *rom = pages(0x1000);

	*(u32 *)rom = 0x600d;
	memcpy(rom + 16, code, sizeof(code));
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, KEEL_MEM_READONLY, 0x10000000, 0x1000, rom), 0);
	GUEST_START(v, rom_write, 0x10000000ULL);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_MMIO);
	CHECK_EQ(v->run->mmio.dir, KEEL_DIR_OUT);
	CHECK_EQ(v->run->mmio.gpa, 0x10000000);
	CHECK_EQ(v->run->mmio.size, 4);
	CHECK_EQ(v->run->mmio.data, 0xbad);
	guest_done(v);
	CHECK_EQ(*(u32 *)rom, 0x600d);
	vm_free(vm);
}

TEST(exec_without_slot)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	GUEST_START(v, jump, (u64)GUEST_HOLE);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_MEM_FAULT);
	CHECK_EQ(v->run->mem.gpa & ~0xfffULL, GUEST_HOLE);
	CHECK_EQ(v->run->mem.access, KEEL_ACCESS_EXEC);
	CHECK_EQ(v->run->mem.error, 0);
	vm_free(vm);
}

TEST(launcher_memory_gone)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	u64 *mem = pages(0x2000);

	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, 0x10000000, 0x2000, mem), 0);
	mem[0] = 0x5eed;
	CHECK_EQ(GUEST_CALL(v, peek, 0x10000000ULL), 0x5eed);

	munmap(mem, 0x1000);
	GUEST_START(v, peek, 0x10000000ULL);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_MEM_FAULT);
	CHECK_EQ(v->run->mem.gpa & ~0xfffULL, 0x10000000);
	CHECK_EQ(v->run->mem.access & KEEL_ACCESS_READ, KEEL_ACCESS_READ);
	CHECK_EQ(v->run->mem.error, EFAULT);

	/* Back again, the same access goes on. */
	REQUIRE(mmap(mem, 0x1000, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem);
	mem[0] = 0x600d;
	CHECK_EQ(guest_done(v), 0x600d);
	vm_free(vm);
}

/* ---- policies ------------------------------------------------------------------ */

static void set_policy(struct vm *vm, u32 msr, u32 pio, u32 mmio, u32 hypercall)
{
	struct keel_policy p = { .msr = msr, .pio = pio, .mmio = mmio, .hypercall = hypercall };

	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_POLICY_SET, &p), 0);
}

static u64 is_intel(void)
{
	struct keel_info info;

	keel_info(&info);
	return info.vendor == KEEL_VENDOR_INTEL;
}

TEST(hypercall_policies)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	u64 *ret = (u64 *)(vm->ram + GUEST_SCRATCH);
	struct keel_run *run = v->run;

	/* Before the first call: FAULT. */
	CHECK_EQ(GUEST_CALL(v, hypercall, is_intel(), 5ULL, (u64)GUEST_SCRATCH), 6);

	set_policy(vm, KEEL_POLICY_FAULT, KEEL_POLICY_EXIT, KEEL_POLICY_EXIT, KEEL_POLICY_EXIT);
	GUEST_START(v, hypercall, is_intel(), 0x123456789aULL, (u64)GUEST_SCRATCH);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_HYPERCALL);
	CHECK_EQ(run->hypercall.nr, 0x123456789aULL);
	CHECK_EQ(run->hypercall.arg[0], 1);
	CHECK_EQ(run->hypercall.arg[1], 2);
	CHECK_EQ(run->hypercall.arg[2], 3);
	CHECK_EQ(run->hypercall.arg[3], 4);
	run->hypercall.ret = 0xabcdef0123;
	CHECK_EQ(guest_done(v), 0xffff);
	CHECK_EQ(*ret, 0xabcdef0123);

	set_policy(vm, KEEL_POLICY_FAULT, KEEL_POLICY_EXIT, KEEL_POLICY_EXIT, KEEL_POLICY_ZERO);
	CHECK_EQ(GUEST_CALL(v, hypercall, is_intel(), 5ULL, (u64)GUEST_SCRATCH), 0xffff);
	CHECK_EQ(*ret, ~0ULL);
	vm_free(vm);
}

TEST(msr_policies)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_run *run = v->run;
	u64 *value = GP(vm, msr_value);
	u64 msr = 0x4b45454c;	/* nobody's */

	CHECK_EQ(GUEST_CALL(v, msr_read, msr), 13);
	CHECK_EQ(GUEST_CALL(v, msr_write, msr, 1ULL), 13);

	set_policy(vm, KEEL_POLICY_EXIT, KEEL_POLICY_EXIT, KEEL_POLICY_EXIT, KEEL_POLICY_FAULT);
	GUEST_START(v, msr_read, msr);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_RDMSR);
	CHECK_EQ(run->msr.index, msr);
	run->msr.data = 0x1122334455667788;
	run->msr.fault = 0;
	CHECK_EQ(guest_done(v), 0xffff);
	CHECK_EQ(*value, 0x1122334455667788);

	GUEST_START(v, msr_read, msr);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_RDMSR);
	run->msr.fault = 1;
	CHECK_EQ(guest_done(v), 13);

	GUEST_START(v, msr_write, msr, 0x8877665544332211ULL);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_WRMSR);
	CHECK_EQ(run->msr.index, msr);
	CHECK_EQ(run->msr.data, 0x8877665544332211ULL);
	run->msr.fault = 0;
	CHECK_EQ(guest_done(v), 0xffff);

	GUEST_START(v, msr_write, msr, 1ULL);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_WRMSR);
	run->msr.fault = 1;
	CHECK_EQ(guest_done(v), 13);

	set_policy(vm, KEEL_POLICY_ZERO, KEEL_POLICY_EXIT, KEEL_POLICY_EXIT, KEEL_POLICY_FAULT);
	*value = 1;
	CHECK_EQ(GUEST_CALL(v, msr_read, msr), 0xffff);
	CHECK_EQ(*value, 0);
	CHECK_EQ(GUEST_CALL(v, msr_write, msr, 1ULL), 0xffff);
	vm_free(vm);
}

TEST(pio_mmio_zero_policy)
{
	/* in (%dx), %eax; hlt */
	static const u8 code[] = { 0x66, 0xed, 0xf4 };
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	set_policy(vm, KEEL_POLICY_FAULT, KEEL_POLICY_ZERO, KEEL_POLICY_ZERO, KEEL_POLICY_FAULT);
	memcpy(vm->ram + 0x1000, code, sizeof(code));
	guest_real(v, 0x1000, 0);
	vcpu_expect(v, KEEL_EXIT_HLT);
	CHECK_EQ(v->run->regs.gpr[KEEL_GPR_RAX] & 0xffffffff, 0xffffffff);

	set_policy(vm, KEEL_POLICY_FAULT, KEEL_POLICY_EXIT, KEEL_POLICY_ZERO, KEEL_POLICY_FAULT);
	CHECK_EQ(GUEST_CALL(v, peek, (u64)GUEST_HOLE), ~0ULL);
	GUEST_CALL(v, poke, (u64)GUEST_HOLE, 5ULL);
	vm_free(vm);
}

/* ---- CPUID ------------------------------------------------------------------------ */

/* Bits that the kernel fills in by itself, or the guest's own state shows. */
static void mask_dynamic(u32 leaf, u32 index, u32 r[4])
{
	switch (leaf) {
	case 1:
		r[1] &= 0x00ffffff;	/* APIC ID */
		r[2] &= ~(1U << 27);	/* OSXSAVE */
		r[3] &= ~(1U << 9);	/* APIC: IA32_APIC_BASE */
		break;
	case 7:
		r[2] &= ~(1U << 4);	/* OSPKE */
		break;
	case 0xb:
	case 0x1f:
		r[3] = 0;		/* x2APIC ID */
		break;
	case 0xd:
		r[1] = index > 1 ? r[1] : 0;	/* sizes for the current XCR0 */
		break;
	case 0x15:
		r[0] = 0;		/* the guest's own frequencies */
		r[1] = 0;
		r[2] = 0;
		break;
	case 0x16:
		r[0] = 0;
		r[1] = 0;
		break;
	case 0x80000001:
		r[3] &= ~(1U << 9);	/* APIC */
		break;
	case 0x8000001e:
		r[0] = 0;		/* extended APIC ID */
		r[1] = 0;
		break;
	}
}

TEST(cpuid_is_the_table)
{
	struct keel_cpuid_entry e[256];
	u32 nr = keel_cpuid(e), i, j;
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0);
	u32 (*t)[6] = (void *)(vm->ram + GUEST_SCRATCH);

	for (i = 0; i < nr; i++) {
		t[i][0] = e[i].leaf;
		t[i][1] = e[i].index;
	}
	GUEST_CALL(v, cpuid_all, (u64)GUEST_SCRATCH, (u64)nr);
	for (i = 0; i < nr; i++) {
		u32 want[4] = { e[i].eax, e[i].ebx, e[i].ecx, e[i].edx };

		mask_dynamic(e[i].leaf, e[i].index, want);
		mask_dynamic(e[i].leaf, e[i].index, &t[i][2]);
		for (j = 0; j < 4; j++)
			CHECK(want[j] == t[i][2 + j],
			      "leaf %#x index %u e%cx: %#x in the table, %#x in the guest",
			      e[i].leaf, e[i].index, "abcd"[j], want[j], t[i][2 + j]);
	}
	vm_free(vm);
}

/* ---- ends ---------------------------------------------------------------------------- */

TEST(triple_fault)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	GUEST_START(v, triple_fault);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_SHUTDOWN);
	CHECK_EQ(v->run->shutdown.cause, KEEL_SHUTDOWN_TRIPLE_FAULT);
	/* The launcher may give the vCPU a new life. */
	CHECK_EQ(GUEST_CALL(v, peek, (u64)GUEST_TABLES), *(u64 *)(vm->ram + GUEST_TABLES));
	vm_free(vm);
}

TEST(halt_without_irqchip)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	GUEST_START(v, halt_once);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_HLT);
	CHECK_EQ(guest_done(v), 0x4a17);
	vm_free(vm);
}

TEST(kick_leaves_the_guest)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	int i;

	/* Sticky: a kick before RUN is not lost, and is used up by it. */
	for (i = 0; i < 3; i++) {
		GUEST_START(v, spin);
		CHECK_EQ(vcpu_kick(v), 0);
		CHECK_EQ(vcpu_kick(v), 0);
		CHECK_EQ(guest_run(v), KEEL_EXIT_KICKED);
	}
	GUEST_START(v, halt_once);
	CHECK_EQ(guest_run(v), KEEL_EXIT_HLT);
	vm_free(vm);
}

/* ---- doorbells -------------------------------------------------------------------------- */

static u64 drain(int fd)
{
	eventfd_t count = 0;

	return eventfd_read(fd, &count) ? 0 : count;
}

static void bell(struct vm *vm, u64 addr, u32 len, u32 flags, u64 data, int fd)
{
	struct keel_ioeventfd arg = {
		.addr = addr, .len = len, .flags = flags, .data = data, .fd = fd,
	};

	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_IOEVENTFD, &arg), 0);
}

TEST(ioeventfd_mmio)
{
	int fd = eventfd(0, EFD_NONBLOCK), match = eventfd(0, EFD_NONBLOCK);
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	bell(vm, GUEST_HOLE, 4, 0, 0, fd);
	bell(vm, GUEST_HOLE + 8, 4, KEEL_IOEVENTFD_MATCH, 2, match);
	bell(vm, GUEST_HOLE + 16, 0, 0, 0, fd);

	GUEST_CALL(v, ring, (u64)GUEST_HOLE, 0ULL, 5ULL);
	CHECK_EQ(drain(fd), 5);
	GUEST_CALL(v, ring, (u64)GUEST_HOLE + 16, 0ULL, 4ULL);
	CHECK_EQ(drain(fd), 4);

	/* Writes of 3, 2, 1: only the 2 rings, the others come here. */
	GUEST_START(v, ring, (u64)GUEST_HOLE + 8, 0ULL, 3ULL);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_MMIO);
	CHECK_EQ(v->run->mmio.data, 3);
	CHECK_EQ(drain(match), 0);
	REQUIRE_EQ(guest_run(v), KEEL_EXIT_MMIO);
	CHECK_EQ(v->run->mmio.data, 1);
	CHECK_EQ(drain(match), 1);
	guest_done(v);

	/* Another size is another access, and so is a read. */
	GUEST_START(v, poke, (u64)GUEST_HOLE, 1ULL);
	CHECK_EQ(guest_run(v), KEEL_EXIT_MMIO);
	CHECK_EQ(drain(fd), 0);
	guest_done(v);
	vm_free(vm);
}

TEST(ioeventfd_pio)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct keel_ioeventfd off = {
		.addr = PORT, .len = 2, .fd = fd,
		.flags = KEEL_IOEVENTFD_PIO | KEEL_IOEVENTFD_DEASSIGN,
	};
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	bell(vm, PORT, 2, KEEL_IOEVENTFD_PIO, 0, fd);
	GUEST_CALL(v, ring, (u64)PORT, 1ULL, 7ULL);
	CHECK_EQ(drain(fd), 7);
	CHECK_EQ(kcall_sized(vm->fd, KEEL_IOEVENTFD, &off), 0);
	GUEST_START(v, ring, (u64)PORT, 1ULL, 1ULL);
	expect_out(v, PORT, 2, 1);
	guest_done(v);
	CHECK_EQ(drain(fd), 0);
	vm_free(vm);
}
