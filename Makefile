# SPDX-License-Identifier: GPL-2.0
#
# `make help` tells what there is. The module is built in a folder of its own
# for each kernel, so that several kernels can be built at the same time.

KDIR ?= /lib/modules/$(shell uname -r)/build
KEEL_BUILD ?= $(CURDIR)/build
LAB_KERNELS := 6.1 6.12

# make obj is for a kernel of the lab.
OBJ_KERNEL := $(if $(KERNEL),$(KERNEL),6.1)

# Called by the targets below with KERNEL=, the name of the build folder.
KERNEL ?= $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KDIR)/include/generated/utsrelease.h 2>/dev/null)

# Folders that go into the module, as far as they exist.
MODULE_DIRS := $(wildcard core svm vmx ept irqchip emulate sched virtio uapi)

B := $(KEEL_BUILD)/$(KERNEL)
export KEEL_BUILD

# Without the kernel's vmlinux there is no BTF to base the module's on.
KBUILD = $(MAKE) --no-print-directory -C $(KDIR) M=$(B)/obj \
	$(if $(wildcard $(KDIR)/vmlinux),,CONFIG_DEBUG_INFO_BTF_MODULES=)

.PHONY: all
all: module tools
	@cp $(B)/keel.ko keel.ko

# ------------------------------------------------------------------ module

.PHONY: kdir
kdir:
	@test -e $(KDIR)/Makefile || { \
		echo "no kernel to build against in $(KDIR)" >&2; \
		echo "install linux-headers-$$(uname -r), or give KDIR=..." >&2; \
		exit 1; }

# The sources, mirrored to the kernel's build folder with their times. What is
# excluded there (all that the build made) is not deleted.
.PHONY: sources
sources: kdir
	@mkdir -p $(B)/obj
	@rsync -a --delete --prune-empty-dirs --exclude='/core/probes' \
		--exclude='/keel_config.h' --exclude='*.mod.c' \
		--include='*/' --include='*.[chS]' --include='/Kbuild' \
		--exclude='*' Kbuild $(MODULE_DIRS) $(B)/obj/

# What this kernel offers. Asked again when a probe or the kernel changes.
$(B)/kdir: FORCE
	@mkdir -p $(B)
	@echo $(abspath $(KDIR)) | cmp -s - $@ || echo $(abspath $(KDIR)) >$@

$(B)/probed: $(B)/kdir core/conftest.sh $(wildcard core/probes/*.c) \
		$(wildcard $(KDIR)/Module.symvers) | sources
	@core/conftest.sh $(KDIR) $(B)/obj/keel_config.h
	@touch $@

.PHONY: module
module: sources $(B)/probed
	+@$(KBUILD) modules
	@cmp -s $(B)/obj/keel.ko $(B)/keel.ko || cp $(B)/obj/keel.ko $(B)/keel.ko

# One or more objects of the module alone: make obj KERNEL=6.1 OBJ=core/vm.o
.PHONY: obj
obj:
	+@$(MAKE) --no-print-directory some-objects \
		KDIR=$$(lab/kernel kdir $(OBJ_KERNEL)) KERNEL=$(OBJ_KERNEL)

.PHONY: some-objects
some-objects: sources $(B)/probed
	+@$(KBUILD) $(OBJ)

# For each kernel of the lab.
.PHONY: modules-lab
modules-lab: $(addprefix module-,$(LAB_KERNELS))

.PHONY: module-%
module-%:
	+@$(MAKE) --no-print-directory module KERNEL=$* \
		KDIR=$$(lab/kernel kdir $*)

# ------------------------------------------------------------------ the rest

.PHONY: tools
tools:
	+@$(MAKE) --no-print-directory -C tools O=$(KEEL_BUILD)/host/tools

.PHONY: selftests
selftests:
	+@$(MAKE) --no-print-directory -C selftests O=$(KEEL_BUILD)/host/selftests

.PHONY: unit
unit:
	+@$(MAKE) --no-print-directory -C selftests unit \
		O=$(KEEL_BUILD)/host/selftests

# The demo's guest: see lab/guest-init.
.PHONY: guest-initrd
guest-initrd: $(KEEL_BUILD)/host/guest-initrd

$(KEEL_BUILD)/host/guest-initrd: lab/guest-initrd lab/lib.sh \
		$(wildcard lab/guest-init/*)
	@mkdir -p $(@D)
	@lab/guest-initrd $@

# Everything that the next three need comes with them; lab/setup says what to
# do if it may not install packages.
.PHONY: check
check:
	@lab/step "packages" lab/setup
	+@lab/check $(HOSTS)

.PHONY: check-debug
check-debug:
	@lab/step "packages" lab/setup
	+@lab/check $(or $(HOSTS),amd/debug-6.1)

.PHONY: demo
demo:
	@lab/step "packages" lab/setup
	+@lab/demo $(CPU)

# Keel and KVM side by side; HOSTS="bochs-intel ..." for some of the hosts.
.PHONY: bench bench-check
bench bench-check:
	@lab/step "packages" lab/setup
	+@lab/step "the module for 6.1" $(MAKE) --no-print-directory module-6.1
	+@lab/step "the benchmark's programs" $(MAKE) --no-print-directory bench-programs
	@bench/run $(if $(filter bench-check,$@),--check) $(HOSTS)

.PHONY: bench-programs
bench-programs:
	+@$(MAKE) --no-print-directory -C bench

# Style, and the rules of the tree that a compiler does not know.
.PHONY: lint
lint:
	@lab/step "packages" lab/setup
	+@selftests/lint/run

.PHONY: clean
clean:
	rm -rf $(KEEL_BUILD) keel.ko

.PHONY: help
help:
	@echo '  make [KDIR=...] [W=1 C=2]  keel.ko for the running kernel (or KDIR), and the tools'
	@echo '  make demo [CPU=intel]      boot Debian on Keel in an emulated AMD or Intel host'
	@echo '  make check [HOSTS=...]     all tests: here, and on emulated AMD and Intel hosts with 6.1 and 6.12'
	@echo '  make check-debug           the same on a kernel with KASAN, lockdep and the like'
	@echo '  make bench                 Keel and KVM on emulated hosts, to bench/results'
	@echo '  make bench-check           the same, compared with bench/results'
	@echo '  make unit                  the tests that need no host'
	@echo '  make lint                  style, sparse, headers, layers'
	@echo '  make modules-lab           keel.ko for the kernels of the lab (module-6.1 for one)'
	@echo '  make obj OBJ=core/vm.o     some objects alone, for KERNEL=6.1'
	@echo '  make tools selftests       the programs of those folders'
	@echo '  make clean                 remove what was built (the cache of lab/ stays)'
	@echo
	@echo 'Built things are in build/ or $$KEEL_BUILD, unpacked kernels in ~/.cache/keel or $$KEEL_CACHE.'

.PHONY: FORCE
FORCE:
