#!/bin/sh
# SPDX-License-Identifier: ISC
# What each program cannot do, as the linker has it: links.sh BUILD_DIR
dir=${1:?usage: links.sh BUILD_DIR}
bad=0

violation()
{
	echo "links: $*"
	bad=$((bad + 1))
}

# no_libs PROGRAM REGEX: none of these libraries, not even through another.
no_libs()
{
	libs=$(ldd "$dir/$1" 2>&1) || violation "$1: $libs"
	for lib in $(echo "$libs" | awk '{ print $1 }' | grep -E "^lib($2)"); do
		violation "$1 is linked to $lib"
	done
}

# no_own_libs PROGRAM REGEX: it does not ask for these itself.
no_own_libs()
{
	for lib in $(objdump -p "$dir/$1" | awk '$1 == "NEEDED" { print $2 }' |
	    grep -E "^lib($2)"); do
		violation "$1 is linked to $lib"
	done
}

# no_calls PROGRAM REGEX: it has no way to call these functions of libc.
no_calls()
{
	# A sanitizer's runtime that is linked in brings its own.
	if nm -D --defined-only "$dir/$1" | grep -qE ' __(a|ub|t|m)san_'; then
		echo "links: $1 is instrumented: its calls are not checked"
		return
	fi
	for call in $(nm -D --undefined-only "$dir/$1" |
	    awk '{ sub(/@.*/, "", $2); print $2 }' | grep -xE "$2"); do
		violation "$1 can call $call()"
	done
}

for program in acmed acmed-engine acmed-keeper acmectl; do
	test -x "$dir/$program" || violation "$dir/$program: not there"
	! grep -q ACMED_FAULTS "$dir/$program" ||
		violation "$program has a disk that fails on demand"
done
test "$bad" = 0 || exit 1

exec_calls='exec(l|le|lp|v|ve|vp|vpe|veat)|fexecve|v?fork|clone'
exec_calls="$exec_calls|posix_spawnp?|system|popen"
net_calls='socket|connect|bind|listen|accept4?|getaddrinfo|sendto|recvfrom'

# Root parses nothing that came from a network.
no_libs acmed 'curl|cares|jansson|mbed|ssl|crypto|gnutls|psl'
no_calls acmed 'evhttp_.*|curl_.*|ares_.*|json_.*|getaddrinfo'

# What faces the network runs no program.
no_calls acmed-engine "$exec_calls"
objdump -p "$dir/acmed-engine" | grep -q 'NEEDED *libcurl' ||
	violation "acmed-engine has no libcurl: is this the right program?"

# What holds the keys reaches nobody.
no_libs acmed-keeper 'curl|cares|jansson|ssl|gnutls|psl'
no_calls acmed-keeper "$exec_calls|$net_calls"

# The client knows no keys; of the configuration it reads what plan sends.
no_own_libs acmectl 'mbed|seccomp'
no_calls acmectl "$exec_calls"

test "$bad" = 0 || exit 1
echo "links: clean"
