#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The end-to-end tests against the programs in BUILD_DIR, in two processes side
# by side.  Whatever comes after BUILD_DIR is for pytest, e.g. -k or -x.  A test
# that fails gets a second try, and is named: --reruns 0 for none.
#
#   sh tests/e2e/run.sh BUILD_DIR [--conformance] [PYTEST_ARGUMENT...]
#
# --conformance runs the pre-release list instead, and prints a table of it.
# With ACMED_CONFORMANCE=full, what is short there otherwise is long: an hour
# of renewals, a thousand issuances, every process killed at every step.
set -eu
[ $# -ge 1 ] || { echo "usage: run.sh BUILD_DIR [ARGUMENT...]" >&2; exit 2; }
ACMED_BUILD=$(cd "$1" && pwd)
export ACMED_BUILD
shift
what="end to end"
if [ "${1:-}" = --conformance ]; then
	what=conformance
	shift
fi
cd "$(dirname "$0")"
# So that the two do not both fetch it.
(
	cd ../.. && . tests/lib/setup.sh && mkdir -p "$CACHE" &&
	    newest_pebble
) >/dev/null
PATH=/usr/sbin:/sbin:$PATH
# Some tests play a scenario; a build without tests does not have that program.
if [ ! -x "${ACMED_SCENARIOS:=$ACMED_BUILD/tests/scenarios/scenarios}" ]; then
	ACMED_SCENARIOS=$ACMED_BUILD.scenarios/tests/scenarios/scenarios
	cmake -S ../.. -B "$ACMED_BUILD.scenarios" -G Ninja -DACMED_TESTS=ON \
	    >/dev/null && ninja -C "$ACMED_BUILD.scenarios" scenarios >/dev/null
fi
export ACMED_SCENARIOS
# Two shares that take about the same time; a new file is in the first one.
second="test_kill.py test_state.py test_reload.py test_hooks.py
    test_modes_ca.py test_many.py test_jumps.py test_lost.py"
alone=test_killing.py # tests/run.sh kill
first=
for f in test_*.py; do
	case " $(echo $second $alone) " in
	*" $f "*) ;;
	*) first="$first $f" ;;
	esac
done

if [ "$what" = conformance ]; then
	first=conformance_1.py second=conformance_2.py
fi
out=$(mktemp -d)
ACMED_TABLE=$out/table
export ACMED_TABLE
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null || :; done; rm -rf "$out"' EXIT
trap 'exit 130' INT TERM
begin=$(date +%s)
n=0
for share in "$first" "$second"; do
	n=$((n + 1))
	# shellcheck disable=SC2086
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest \
	    -p no:cacheprovider -rfEsxX --reruns 1 --tb=short "$@" $share \
	    >"$out/$n" 2>&1 &
	pids="$pids $!"
done
status=0
n=0
for p in $pids; do
	n=$((n + 1))
	r=0
	wait "$p" || r=$?
	cat "$out/$n"
	# 5: nothing of this share was asked for
	[ $r = 0 ] || [ $r = 5 ] || status=1
done
pids=
total() {
	cat "$out"/[12] | grep -Eo "[0-9]+ $1" | tail -n 2 |
	    awk '{ n += $1 } END { print n + 0 }'
}
# table: a line for each form of each item that has passed; what has not, and
# what waits for something, by the name of its test.
table() {
	/usr/bin/python3 - "$ACMED_TABLE" "$out/1" "$out/2" <<-'EOF'
	import json, re, sys, textwrap
	rows = []
	try:
	    rows = [json.loads(x) for x in open(sys.argv[1])]
	except FileNotFoundError:
	    pass
	text = "".join(open(f, errors="replace").read() for f in sys.argv[2:])
	bad = re.findall(r"(?:FAILED|ERROR) \S+::test_(s(\d+)\w*)", text)
	for i in range(1, 12):
	    lines = [("passed", f"{form}: {figures}")
	             for item, form, figures in rows if item == f"S{i}"]
	    lines += [("FAILED", name) for name, n in bad if int(n) == i]
	    for how, what in lines or [("NOT RUN", "-")]:
	        print(textwrap.fill(
	            what, 79, initial_indent=f"S{i:<4}{how:9}",
	            subsequent_indent=" " * 14))
	EOF
}
if [ "$what" = conformance ]; then
	printf '\n'
	table
fi
printf '\n%s: %s passed, %s failed, %s errors, ' "$what" "$(total passed)" \
    "$(total failed)" "$(total 'errors?')"
printf '%s known failures, %s not tested, %s second tries; %s s\n' \
    "$(total xfailed)" "$(total skipped)" "$(total rerun)" \
    "$(($(date +%s) - begin))"
exit $status
