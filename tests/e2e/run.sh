#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The end-to-end tests against the programs in BUILD_DIR, some side by side.
# Whatever comes after BUILD_DIR is for pytest, e.g. -k or -x.  A test that fails
# gets a second try, with none beside it, and is named: --reruns 0 for none.
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
# So that they do not all fetch it.
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
# Most of a test is waiting: two for each processor, up to eight.  With arguments
# there is one at a time: -n says otherwise.
JOBS=$(($(nproc) * 2))
[ $JOBS -le 8 ] || JOBS=8
files="--ignore=test_killing.py" # tests/run.sh kill
if [ "$what" = conformance ]; then
	files="conformance_1.py conformance_2.py"
elif [ $# -gt 0 ]; then
	JOBS=0
fi
log=$(mktemp)
ACMED_TABLE=$log.table
export ACMED_TABLE
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || :
rm -f "$log" "$ACMED_TABLE"' EXIT
trap 'exit 130' INT TERM
begin=$(date +%s)
# shellcheck disable=SC2086
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider \
    -n $JOBS -rfEsxX --reruns 1 --tb=short $files "$@" >"$log" 2>&1 &
pid=$!
status=0
wait $pid || status=$?
pid=
cat "$log"
# 5: there is nothing of that name
[ $status = 0 ] || [ $status = 5 ] || status=1
[ $status != 5 ] || status=0
total() {
	tail -n 1 "$log" | grep -Eo "[0-9]+ $1" | awk '{ print $1 + 0; n = 1 }
	    END { if (!n) print 0 }'
}
# table: a line for each form of each item that has passed; what has not, and
# what waits for something, by the name of its test.
table() {
	/usr/bin/python3 - "$ACMED_TABLE" "$log" <<-'EOF'
	import json, re, sys, textwrap
	rows = []
	try:
	    rows = [json.loads(x) for x in open(sys.argv[1])]
	except FileNotFoundError:
	    pass
	text = open(sys.argv[2], errors="replace").read()
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
