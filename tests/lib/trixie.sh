#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: sh tests/lib/trixie.sh SRC_DIR
#
# Builds SRC_DIR in a Debian 13 root (mbedTLS 3.6 and the rest of that release)
# and runs its unit and scenario tests there.  The root is made once, from the
# machine's own package mirror, and kept in ACMED_CACHE; the build is not.
# Prints ctest's output and exits as ctest did; 77 when the root cannot be had.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin

cache=${ACMED_CACHE:-/var/cache/acmed-tests}
root=$cache/trixie
packages=gcc,g++,make,libc6-dev,cmake,ninja-build,pkg-config,libmbedtls-dev
packages=$packages,libcurl4-openssl-dev,libevent-dev,libjansson-dev
packages=$packages,libyaml-dev,libseccomp-dev,libpsl-dev,libc-ares-dev
packages=$packages,libcmocka-dev,python3,openssl,ca-certificates

skip()
{
	echo "SKIP: $*"
	exit 77
}

mirror()
{
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
	    grep -E '^https?://' | grep -v security | head -n 1
}

# Debootstrap may be older than the suite; one script serves all of today's.
script()
{
	for suite in trixie sid; do
		[ -e "/usr/share/debootstrap/scripts/$suite" ] || continue
		echo "/usr/share/debootstrap/scripts/$suite"
		return
	done
}

# The root appears by one rename, so what is there is whole.
complete()
{
	[ "$(cat "$root/.packages" 2>/dev/null)" = "$packages" ]
}

make_root()
{
	command -v debootstrap >/dev/null || skip "debootstrap is not installed"
	uri=$(mirror) || uri=
	[ -n "$uri" ] || skip "apt knows no http mirror"
	rm -rf --one-file-system "$root.part" "$root"
	# what debootstrap mounts ends with its namespace, however it ends
	unshare --mount --propagation private debootstrap --variant=minbase \
	    --include="$packages" trixie "$root.part" "$uri" "$(script)" \
	    >"$cache/trixie.log" 2>&1 || {
		tail -n 5 "$cache/trixie.log"
		skip "no Debian 13 root; see $cache/trixie.log"
	}
	rm -rf "$root.part/var/cache/apt/archives" "$root.part/var/lib/apt/lists"
	echo "$packages" >"$root.part/.packages"
	mv "$root.part" "$root"
}

# Runs in a mount and a pid namespace of its own ($1 root, $2 source): nothing
# that it mounts or starts stays.  The shell stays, too, as its init.
inside='
set -eu
mount -t tmpfs -o mode=755 tmpfs "$1/mnt"
mkdir "$1/mnt/src" "$1/mnt/build"
tar -C "$2" --exclude=./.git -cf - . | tar -C "$1/mnt/src" --no-same-owner -xf -
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 \
    CTEST_OUTPUT_ON_FAILURE=1 chroot "$1" sh -euc "
	cd /mnt/build
	cmake -S ../src -B . -G Ninja -DCMAKE_BUILD_TYPE=Debug \
	    -DACMED_WERROR=ON -DACMED_TESTS=ON >cmake.log 2>&1 ||
	    { cat cmake.log; exit 1; }
	ninja >ninja.log || { grep -v \"^\[\" ninja.log; exit 1; }
	exec ctest -j \"\$(nproc)\" --repeat until-pass:2 -R \"^(unit/|scenario)\" --no-tests=error
" || exit $?
exit 0
'

[ $# -eq 1 ] && [ -f "$1/CMakeLists.txt" ] || {
	echo "usage: trixie.sh SRC_DIR" >&2
	exit 2
}
src=$(cd "$1" && pwd)
[ "$(id -u)" -eq 0 ] || skip "only root can make and enter a Debian 13 root"
mkdir -p "$cache"
# shared while in use, exclusive to make it
exec 9>"$cache/trixie.lock"
flock -s 9
if ! complete; then
	flock 9
	complete || make_root
	flock -s 9
fi
exec unshare --mount --propagation private --pid --fork --kill-child \
    sh -c "$inside" trixie "$root" "$src"
