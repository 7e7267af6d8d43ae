#!/bin/sh
# SPDX-License-Identifier: ISC
# What machines can say about the source: lint.sh BUILD_DIR, where the build
# has a compile_commands.json.  Prints each finding, and one line at the end.
build=$(cd "${1:?usage: lint.sh BUILD_DIR}" && pwd) || exit 1
cd "$(dirname "$0")/.." || exit 1
failed=

run()
{
	what=$1
	shift
	if ! "$@"; then
		failed="$failed $what"
	fi
}

format()
{
	find lib daemon tests -name '*.[ch]' | xargs clang-format \
	    --dry-run -Werror
}

# Both analysers are blind to what AUTO() frees, so leaks are left to the
# sanitizers; a flag on the stack that lives as long as the call it watches
# looks like a dangling pointer; unnamed parameters look like swapped ones.
analyse()
{
	# Its own idea of TAILQ_FOREACH is none.
	queue=$(echo '#include <sys/queue.h>' | cc -M -xc - | tr ' ' '\n' |
	    grep 'sys/queue\.h')
	cppcheck --enable=warning,portability --error-exitcode=1 --quiet \
	    --inline-suppr --std=c11 -I. --include="$queue" -D_GNU_SOURCE \
	    -DACMED_VERSION='""' -DACMED_VERSION_NUMBER=1u -DACMED_LIBEXECDIR='""' \
	    --suppress=memleak --suppress=resourceLeak \
	    --suppress=autoVariables --suppress=funcArgOrderDifferent \
	    --suppress=internalAstError lib daemon
}

tidy()
{
	find lib daemon -name '*.c' | sort |
	    xargs -P2 -n4 clang-tidy -p "$build" --quiet 2>/dev/null
}

run format format
run floors python3 tests/floors.py
run rules python3 tests/lint.py
run cppcheck analyse
run clang-tidy tidy

if test -n "$failed"; then
	echo "lint: failed:$failed"
	exit 1
fi
echo "lint: clean"
