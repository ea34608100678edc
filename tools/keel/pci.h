/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI configuration space, mechanism 1, of a machine without a PCI device: the
 * address register works, and nobody answers at any address. It must not know
 * what else lives at these ports.
 */
#ifndef KEEL_TOOL_PCI_H
#define KEEL_TOOL_PCI_H

#include "util.h"

#define PCI_PORT	0xcf8	/* address, 4 bytes; data, 4 bytes */
#define PCI_PORTS	8

struct pci {
	u32 address;
};

void pci_init(struct pci *pci);

/* Signatures of struct io_device; offsets count from PCI_PORT. */
u32 pci_read(void *dev, unsigned int offset, unsigned int size);
void pci_write(void *dev, unsigned int offset, unsigned int size, u32 value);

#endif /* KEEL_TOOL_PCI_H */
