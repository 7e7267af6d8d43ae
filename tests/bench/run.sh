#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What the daemon costs: processor and wall time of a certificate against a
# local CA, memory, wake-ups, start, the port-80 listener beside other servers,
# and the size of the code.  Prints a table: goal, measured, ok or over.  It is
# no test: only what does not work at all makes it fail.
#
#   sh tests/bench/run.sh [BUILD_DIR] [options]
#     --quick          shorter: 30 s of idleness, one run of each
#     --only A,B       of issue,start,idle,listener,code
#     --runs N         of issuing (3, the median counts) and of wrk (the best)
#     --coverage DIR   a build with ACMED_COVERAGE=ON whose tests have run
#
# ACMED_BENCH_DIR is where the state is written (/var/tmp): the disk matters.
# As root it runs in a network of its own, with the daemon's real users, and in
# a file system of its own on that disk: how long ext4 looks for a free inode
# depends on what others have deleted in the last minutes, if it has no journal.
set -eu
cd "$(dirname "$0")/../.."
ROOT=$(pwd)
. tests/lib/setup.sh

if [ "${1:-}" = --inside ]; then
	shift
	ip link set lo up
	where=${ACMED_BENCH_DIR:-/var/tmp}
	image=$where/acmed-bench.$$
	truncate -s 4G "$image"
	# nobody else sees what is mounted here
	if mkfs.ext4 -q -F -i 8192 "$image" && mount -o loop "$image" /mnt; then
		export ACMED_BENCH_DIR=/mnt
	else
		echo "no file system of its own: the state is in $where"
	fi
	rm -f "$image"
	exec /usr/bin/python3 "$@"
fi

B=$ROOT/build-bench
case ${1:-} in
'' | -*) ;;
*) B=$(mkdir -p "$1" && cd "$1" && pwd) && shift ;;
esac
for arg; do
	shift
	case $arg in
	--quick) set -- "$@" --runs 1 --idle 30 ;;
	*) set -- "$@" "$arg" ;;
	esac
done

need $BUILD_PACKAGES pebble openssl python3 iproute2 e2fsprogs \
    nginx-light lighttpd haproxy wrk
build "$B" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DACMED_BENCH=ON
pebble=$(command -v pebble)
if [ "$(id -u)" = 0 ]; then
	users
	mkdir -p "$CACHE"
	newest=$(newest_pebble)
	[ -z "$newest" ] || pebble=$newest/usr/bin/pebble
fi

set -- tests/bench/bench.py --build "$B" --source "$ROOT" --pebble "$pebble" \
    "$@"
printf '%s, %s processors, load %s\n' "$(uname -sr)" "$(nproc)" \
    "$(cut -d ' ' -f 1-3 /proc/loadavg)"
[ "$(id -u)" = 0 ] || exec /usr/bin/python3 "$@"
exec unshare --net --mount --pid --fork --kill-child --mount-proc \
    sh tests/bench/run.sh --inside "$@"
