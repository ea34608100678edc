# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the scripts of this folder share: where things are kept, how a
# caller is told, one lock for each thing that is made once, and how a folder
# becomes an initramfs. It knows nothing of kernels or of QEMU.

lab=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck disable=SC2034 # for those who source this file
top=$(dirname "$lab")
cache=${KEEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keel}
# shellcheck disable=SC2034
build=${KEEL_BUILD:-$top/build}

mkdir -p "$cache"

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

note()
{
	echo "${0##*/}: $*" >&2
}

# locked NAME COMMAND...: run COMMAND with the cache's lock NAME held. Says so
# when another caller makes the same thing at the moment.
locked()
{
	local name=$1 fd rc=0

	shift
	exec {fd}>"$cache/$name.lock"
	if ! flock -n "$fd"; then
		note "waiting for another run that prepares $name"
		flock "$fd"
	fi
	"$@" {fd}>&- || rc=$?
	exec {fd}>&-
	return $rc
}

# A folder as a cpio archive. All times are zero and the order is fixed, so
# that the same contents are the same archive.
pack()
{
	(cd "$1" && find . -mindepth 1 -exec touch -h -d @0 {} + &&
	 find . -mindepth 1 -print0 | LC_ALL=C sort -z |
		cpio -0 -o -H newc -R 0:0 --reproducible --quiet)
}

# busybox and its applets, under the folder $1.
put_busybox()
{
	local applet

	mkdir -p "$1/bin"
	cp "$(command -v busybox)" "$1/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
	done
}
