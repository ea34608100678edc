// SPDX-License-Identifier: GPL-2.0
/*
 * A whole launcher: one page of memory, one CPU, eight bytes of real-mode code
 * that add two numbers and say the sum. It owns nothing and knows the ABI
 * alone; <linux/keel.h> explains each call.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/keel.h>

#define CODE_GPA	0x1000
#define PORT		0xe9

static const unsigned char code[] = {
	0x00, 0xd8,	/* add %bl, %al */
	0x04, '0',	/* add $'0', %al: a digit to print */
	0xe6, PORT,	/* out %al, $PORT: no device claims it, so it comes to us */
	0xf4,		/* hlt: without interrupt controllers that comes to us, too */
	0x90,		/* nop */
};

/* Every struct starts with its own size: so a newer kernel knows an older us. */
#define SIZED(type) { .size = sizeof(struct type) }

static int call(int fd, unsigned long request, void *arg, const char *name)
{
	int rc = ioctl(fd, request, arg);

	if (rc < 0)
		err(1, "%s", name);
	return rc;
}

#define CALL(fd, request, arg) call(fd, request, arg, #request)

int main(void)
{
	struct keel_info info = SIZED(keel_info);
	struct keel_create_vm create_vm = SIZED(keel_create_vm);
	struct keel_create_vcpu create_vcpu = SIZED(keel_create_vcpu);
	struct keel_mem_commit commit = SIZED(keel_mem_commit);
	struct keel_mem_op map = { .op = KEEL_MEM_MAP, .gpa = CODE_GPA, .len = 4096 };
	struct keel_run *run;
	void *page;
	int dev, vm, vcpu;

	/* The device says what there is; a VM has what its creator asks for: here nothing. */
	dev = open(KEEL_DEVICE, O_RDWR | O_CLOEXEC);
	if (dev < 0)
		err(69, "open " KEEL_DEVICE " (is keel.ko loaded?)");
	CALL(dev, KEEL_INFO, &info);
	vm = CALL(dev, KEEL_CREATE_VM, &create_vm);

	/* Guest memory is our memory: a page of it, with the code at its start. */
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		err(1, "mmap");
	memcpy(page, code, sizeof(code));
	map.hva = (unsigned long)page;
	commit.ops = (unsigned long)&map;
	commit.nr = 1;
	CALL(vm, KEEL_MEM_COMMIT, &commit);

	/* The run page is where the kernel and we exchange registers and exits. */
	vcpu = CALL(vm, KEEL_CREATE_VCPU, &create_vcpu);
	run = mmap(NULL, info.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "mmap of the vCPU");

	/* It is at the reset vector now. Ask for its registers: this RUN does not enter it. */
	run->want = KEEL_GROUPS_ALL;
	CALL(vcpu, KEEL_KICK, NULL);
	CALL(vcpu, KEEL_RUN, NULL);
	run->sregs.seg[KEEL_SREG_CS].selector = 0;
	run->sregs.seg[KEEL_SREG_CS].base = 0;
	run->regs.rip = CODE_GPA;
	run->regs.gpr[KEEL_GPR_RAX] = 2;
	run->regs.gpr[KEEL_GPR_RBX] = 3;
	run->commit = KEEL_GROUPS_ALL;	/* the next RUN takes them over */

	for (;;) {
		CALL(vcpu, KEEL_RUN, NULL);
		if (run->exit_reason != KEEL_EXIT_PIO || run->pio.dir != KEEL_DIR_OUT)
			break;
		printf("the guest wrote '%c' to port %#x\n", run->pio.data, run->pio.port);
	}
	printf("exit reason %u%s, rip %#llx\n", run->exit_reason,
	       run->exit_reason == KEEL_EXIT_HLT ? " (HLT: done)" : "", run->regs.rip);
	return run->exit_reason != KEEL_EXIT_HLT;
}
