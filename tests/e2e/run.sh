#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The end-to-end tests against the programs in BUILD_DIR, in two processes side
# by side.  Whatever comes after BUILD_DIR is for pytest, e.g. -k or -x.
#
#   sh tests/e2e/run.sh BUILD_DIR [PYTEST_ARGUMENT...]
set -eu
[ $# -ge 1 ] || { echo "usage: run.sh BUILD_DIR [ARGUMENT...]" >&2; exit 2; }
ACMED_BUILD=$(cd "$1" && pwd)
export ACMED_BUILD
shift
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
    test_modes_host.py test_policy.py"
first=
for f in test_*.py; do
	case " $(echo $second) " in
	*" $f "*) ;;
	*) first="$first $f" ;;
	esac
done

out=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null || :; done; rm -rf "$out"' EXIT
trap 'exit 130' INT TERM
begin=$(date +%s)
n=0
for share in "$first" "$second"; do
	n=$((n + 1))
	# shellcheck disable=SC2086
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest \
	    -p no:cacheprovider -rsxX --tb=short "$@" $share \
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
	cat "$out"/* | grep -Eo "[0-9]+ $1" | tail -n 2 |
	    awk '{ n += $1 } END { print n + 0 }'
}
printf '\nend to end: %s passed, %s failed, %s errors, ' "$(total passed)" \
    "$(total failed)" "$(total 'errors?')"
printf '%s known failures, %s not tested; %s s\n' "$(total xfailed)" \
    "$(total skipped)" "$(($(date +%s) - begin))"
exit $status
