#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# conftest.sh KDIR OUT: find out what the kernel of KDIR offers and write it to
# the header OUT, which core/compat.h includes. Each file core/probes/NAME.c is
# compiled by the kernel's own build; OUT defines HAVE_<NAME> for those that
# compile. A line "// needs-export: SYMBOL" in a probe asks in addition that
# modules can link to the symbol. Nothing asks for a version number: vendors
# carry new interfaces back to old versions.

set -eu

kdir=$1
out=$2
probes=$(dirname "$(readlink -f "$0")")/probes

work=$(mktemp -d "${TMPDIR:-/tmp}/keel-conftest.XXXXXX")
trap 'rm -rf "$work"' EXIT

# A probe that compiles always: it tells "the probe failed" from "this build
# environment fails".
objs=sane.o
echo 'int keel_probe(void); int keel_probe(void) { return 0; }' >"$work/sane.c"
for probe in "$probes"/*.c; do
	cp "$probe" "$work/"
	name=${probe##*/}
	objs="$objs ${name%.c}.o"
done
# Warnings that mean "no such interface", or "not with these types", are errors.
{
	echo "obj-m := $objs"
	echo 'ccflags-y := -Werror=implicit-function-declaration'
	echo 'ccflags-y += -Werror=incompatible-pointer-types'
	echo 'ccflags-y += -Werror=int-conversion'
} >"$work/Kbuild"

# One make for all: it goes on after each probe that fails. The environment of
# the make that called must not reach it (W=1 would fail probes for style).
# shellcheck disable=SC2086 # one word an object
env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES -u MAKELEVEL \
	make -k -j2 -C "$kdir" M="$work" $objs >"$work/log" 2>&1 || true
if [ ! -e "$work/sane.o" ]; then
	cat "$work/log" >&2
	echo "conftest.sh: cannot build anything against $kdir" >&2
	exit 1
fi

exported()
{
	[ -z "$1" ] || awk -v s="$1" '$2 == s { found = 1 } END { exit !found }' \
		"$kdir/Module.symvers"
}

{
	echo "/* Made by core/conftest.sh for this kernel; not to be edited. */"
	for probe in "$probes"/*.c; do
		name=$(basename "$probe" .c)
		symbol=$(sed -n 's,^// needs-export: ,,p' "$probe")
		macro=HAVE_$(echo "$name" | tr a-z A-Z)
		if [ -e "$work/$name.o" ] && exported "$symbol"; then
			echo "#define $macro 1"
		else
			echo "/* no $macro */"
		fi
	done
} >"$work/out"
# Keep the time of a header that says the same.
cmp -s "$work/out" "$out" || cp "$work/out" "$out"
