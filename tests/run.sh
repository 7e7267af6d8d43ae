#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Everything that tests acmed, on a Debian machine, as root: installs what it
# needs from the machine's own mirror, and ends in one line of counts.
#
#   sh tests/run.sh              all stages
#   sh tests/run.sh unit e2e     these only
set -u
cd "$(dirname "$0")/.." || exit 1
ROOT=$(pwd)
. tests/lib/setup.sh

STAGES='lint unit clang trixie docs e2e conformance kill faults systemd demo'
JOBS=$(nproc)
passed=0 failed=0 skipped=0

# count LOG: add the results that ctest or pytest, or a script's own closing
# line, left in a log.
count() {
	c=$(awk '
	/% tests passed, [0-9]+ tests failed out of [0-9]+/ {
		f += $4; p += $NF - $4; seen = 1 }
	/^[0-9]+% tests passed, .* out of/ { seen = 1 }
	/\(Not Run\)|\*\*\*Skipped/ { s++; p-- }
	/^(=+ )?([0-9]+ (passed|failed|skipped|xfailed|rerun|errors?|error|deselected|warnings?),? ?)+( in .*)?$/ {
		for (i = 1; i < NF; i++) {
			if ($(i + 1) ~ /^passed/) p += $i
			if ($(i + 1) ~ /^xfailed/) s += $i
			if ($(i + 1) ~ /^(failed|error)/) f += $i
			if ($(i + 1) ~ /^skipped/) s += $i
		}
		seen = 1 }
	END { if (seen) print p + 0, f + 0, s + 0 }' "$1")
	printf '%s' "$c"
}

# stage NAME COMMAND...: run it, show its end when it fails, count.
stage() {
	name=$1
	shift
	log=$OUT/$name.log
	began=$(date +%s)
	printf '%-10s ' "$name"
	("$@") >"$log" 2>&1
	r=$?
	took=$(($(date +%s) - began))
	set -- $(count "$log")
	if [ $r -eq 77 ]; then
		skipped=$((skipped + 1))
		printf 'skipped: %s (%s s)\n' "$(tail -n 1 "$log")" $took
		return
	fi
	[ $# -eq 3 ] || set -- $((r == 0)) $((r != 0)) 0
	[ $r -eq 0 ] || [ "$2" -gt 0 ] || set -- "$1" 1 "$3"
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
	printf '%s passed, %s failed, %s skipped (%s s)\n' "$1" "$2" "$3" $took
	grep -E '^SKIP|SKIPPED|\*\*\*Skipped|^XFAIL' "$log" | sed 's/^/    /'
	sed -n '/^S1  *[pFN]/,/^$/p' "$log" | sed 's/^\(.\)/    \1/; /^$/d'
	grep -E '^RERUN' "$log" | sed 's/^RERUN/    second try:/'
	[ $r -ne 0 ] || grep -F '***Failed' "$log" | sed 's/^/    second try: /'
	if [ $r -ne 0 ]; then
		grep -E '^(FAILED|ERROR) ' "$log" | sed 's/^/    /'
		printf '    the end of %s:\n' "$log"
		tail -n 60 "$log" | sed 's/^/    | /'
	fi
}

# A test that loses a race for two busy cores gets a second try, and is named.
tests_in() {
	(cd "$1" && shift &&
	    ctest -j "$JOBS" --repeat until-pass:2 --output-on-failure "$@")
}

# gcc with sanitizers.
sanitized() {
	[ ! -e "$OUT/gcc.done" ] || return 0
	build "$OUT/gcc" -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug \
	    -DACMED_WERROR=ON -DACMED_TESTS=ON \
	    -DACMED_SANITIZE=address,undefined && : >"$OUT/gcc.done"
}

# Unit, scenarios, torture, fleet.
do_unit() {
	sanitized && tests_in "$OUT/gcc"
}

# clang, warnings as errors, and a short run of every fuzz target.
do_clang() {
	build "$OUT/clang" -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug \
	    -DACMED_WERROR=ON -DACMED_FUZZ=ON &&
	    tests_in "$OUT/clang" -R '^fuzz/'
}

do_lint() {
	cmake -S "$ROOT" -B "$OUT/lint" -G Ninja -DCMAKE_C_COMPILER=clang \
	    -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DACMED_TESTS=ON &&
	    sh tests/lint.sh "$OUT/lint"
}

do_trixie() {
	sh tests/lib/trixie.sh "$ROOT"
}

# What the following stages use: as it is installed, optimised.
release() {
	[ ! -e "$OUT/release.done" ] || return 0
	build "$OUT/release" -DCMAKE_C_COMPILER=gcc \
	    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DACMED_WERROR=ON \
	    -DCMAKE_INSTALL_PREFIX=/usr && : >"$OUT/release.done"
}

do_docs() {
	release && sh tests/docs.sh "$OUT/release"
}

# Most of their time is waiting, so that the sanitizers cost nothing here.
do_e2e() {
	sanitized && sh tests/e2e/run.sh "$OUT/gcc"
}

do_conformance() {
	release && sh tests/e2e/run.sh "$OUT/release" --conformance
}

# The longer the more of them: ACMED_KILLS.
do_kill() {
	release && cd tests/e2e && ACMED_BUILD=$OUT/release \
	    PATH=/usr/sbin:/sbin:$PATH PYTHONDONTWRITEBYTECODE=1 \
	    /usr/bin/python3 -m pytest -p no:cacheprovider -rP --reruns 1 \
	    --tb=short test_killing.py
}

# A disk that fails at every call: ACMED_FAULTS_FULL.
do_faults() {
	build "$OUT/faults" -DCMAKE_C_COMPILER=gcc \
	    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DACMED_WERROR=ON \
	    -DACMED_FAULTS=ON &&
	    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/faults/disk.py \
		"$OUT/faults"
}

do_systemd() {
	release && sh tests/e2e/systemd.sh "$OUT/release"
}

do_demo() {
	ACMED_BUILD=$OUT/demo sh tests/demo.sh
}

[ "$(id -u)" = 0 ] || die "run this as root: it installs packages, and tests with real users"
need $BUILD_PACKAGES $DEMO_PACKAGES $TEST_PACKAGES
users
mkdir -p "$CACHE"
OUT=$(place "${ACMED_OUT:-$ROOT/build-tests}")
rm -f "$OUT/gcc.done" "$OUT/release.done"
newest_pebble >/dev/null
began_all=$(date +%s)
for s in ${*:-$STAGES}; do
	case " $STAGES " in
	*" $s "*) stage "$s" "do_$s" ;;
	*) die "no such stage: $s (there are: $STAGES)" ;;
	esac
done
printf '\nin %s s\n' $(($(date +%s) - began_all))
printf '%s passed, %s failed, %s skipped\n' $passed $failed $skipped
[ $failed -eq 0 ]
