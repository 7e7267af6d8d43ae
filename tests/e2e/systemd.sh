#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: sh tests/e2e/systemd.sh BUILD_DIR
#
# Makes a Debian package of BUILD_DIR, boots a Debian root's own systemd in
# namespaces of its own, and does there what an administrator would: install
# the package, start, reload with good and bad files, see a hanging engine, a
# hanging and a killed supervisor, socket activation, stop; then upgrade,
# remove, install again and purge.
#
# The root is made once, from the machine's own package mirror, and kept in
# ACMED_CACHE; what the test changes is in an overlay that it throws away.
# Exits 77, saying why, where a systemd cannot be booted.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin

cache=${ACMED_CACHE:-/var/cache/acmed-tests}
work=
init=

skip()
{
	echo "SKIP: $*"
	exit 77
}

fail()
{
	echo "FAIL: $*"
	if [ -n "$init" ]; then
		in_root systemctl --no-pager status acmed 2>&1 || :
		in_root journalctl --no-pager -q -n 60 2>&1 || :
	fi
	exit 1
}

mirror()
{
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
	    grep -E '^https?://' | grep -v security | head -n 1
}

# The root appears by one rename, so what is there is whole.
have_root()
{
	[ "$(cat "$root/.packages" 2>/dev/null)" = "$packages" ]
}

make_root()
{
	command -v debootstrap >/dev/null || skip "debootstrap is not installed"
	uri=$(mirror) || uri=
	[ -n "$uri" ] || skip "apt knows no http mirror"
	rm -rf --one-file-system "$root.part" "$root"
	unshare --mount --propagation private debootstrap --variant=minbase \
	    --include="$packages" "$VERSION_CODENAME" "$root.part" "$uri" \
	    >"$root.log" 2>&1 || {
		tail -n 5 "$root.log"
		skip "no root to boot; see $root.log"
	}
	rm -rf "$root.part/var/cache/apt/archives" "$root.part/var/lib/apt/lists"
	echo "$packages" >"$root.part/.packages"
	mv "$root.part" "$root"
}

# -- the machine -------------------------------------------------------------

# Runs in namespaces of its own: $1 is where everything is put together, $2 the
# root.  What is mounted here goes when they do.
boot='
set -eu
w=$1 lower=$2
mount -t tmpfs -o mode=755 tmpfs "$w"
mkdir "$w/upper" "$w/work" "$w/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$w/upper,workdir=$w/work" \
    overlay "$w/root" || exit 77
tar -C "$3" -cf - . | tar -C "$w/root" --no-same-owner -xf -
cd "$w/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup || exit 77
mount -t tmpfs -o mode=755 tmpfs dev
for d in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "dev/${d%:*}" c 1 "${d#*:}"
done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
pivot_root . mnt
umount -l /mnt
mount --make-rshared /
exec env -i container=other /lib/systemd/systemd --system \
    systemd.unit=multi-user.target </dev/null
'

# systemd wants a cgroup of its own, with nobody else in it.
make_cgroup()
{
	at=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -n "$at" ] || skip "no cgroup2 here"
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	cgroup=${at}${own%/}/acmed-e2e-$$
	mkdir "$cgroup" 2>/dev/null || skip "cannot make a cgroup in $at"
}

start_machine()
{
	mkdir "$work/mnt"
	sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$cgroup" \
	    unshare --mount --propagation private --pid --uts --ipc --net \
	    --cgroup --fork --kill-child \
	    sh -c "$boot" boot "$work/mnt" "$root" "$work/dest" \
	    >"$work/console" 2>&1 &
	machine=$!
	until_true 20 find_init || {
		cat "$work/console"
		skip "the namespaces could not be made"
	}
	until_true 90 in_root systemctl is-active -q multi-user.target || {
		cat "$work/console"
		skip "systemd did not boot"
	}
}

# The child of unshare, once it has become systemd.
find_init()
{
	kill -0 "$machine" 2>/dev/null || return 1
	init=$(cat "/proc/$machine/task/$machine/children")
	init=${init%% *}
	[ -n "$init" ] && [ "$(cat "/proc/$init/comm")" = systemd ]
}

in_root()
{
	nsenter -t "$init" --mount --pid --uts --ipc --net --cgroup \
	    --root --wd env -i LC_ALL=C \
	    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin "$@"
}

clean_up()
{
	status=$?
	trap - EXIT INT TERM
	[ -z "$init" ] || kill -9 "$init" 2>/dev/null || :
	[ -z "${machine:-}" ] || wait "$machine" 2>/dev/null || :
	if [ -n "${cgroup:-}" ]; then
		find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || :
	fi
	[ -z "$work" ] || rm -rf --one-file-system "$work"
	exit $status
}

# until_true SECONDS COMMAND...: ask again until it says yes.
until_true()
{
	end=$(($(date +%s) + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# -- what is installed ------------------------------------------------------

# make_package VERSION NAME: a package of that version, to be called so.
make_package()
{
	cpack --config "$build/CPackConfig.cmake" -R "$1" -B "$work/cpack" \
	    -D CPACK_PACKAGE_CONTACT="A Tester <tester@debian.org>" \
	    >"$work/cpack.log" 2>&1 ||
	    fail "cpack: $(tail -n 20 "$work/cpack.log")"
	mv "$work"/cpack/*.deb "$work/dest/opt/$2"
}

# What the root has to have: of alternatives, the first.
needed()
{
	printf 'systemd,systemd-sysv,dbus'
	dpkg-deb -f "$work/dest/opt/$1" Depends | tr , '\n' |
	    awk '$1 != "systemd" { printf ",%s", $1 }'
}

good_config()
{
	cat <<-END
	email: admin@example.org
	agree-tos: true
	ca: {here: {directory: "https://127.0.0.1:1/directory"}}
	defaults: {ca: here}
	reload: echo reloaded
	domains:
	  - example.org
	END
}

prepare()
{
	mkdir -p "$work/dest/etc/systemd/system/acmed.service.d"
	# shorter times than an administrator would set; and no leak check,
	# which wants ptrace, should this be a build with a sanitizer
	cat >"$work/dest/etc/systemd/system/acmed.service.d/test.conf" <<-END
	[Service]
	WatchdogSec=6
	TimeoutAbortSec=2
	RestartSec=1
	Environment=ASAN_OPTIONS=detect_leaks=0
	END
	# a kept root is shared: what identifies a machine is this run's
	: >"$work/dest/etc/machine-id"
}

# -- questions --------------------------------------------------------------

prop()
{
	in_root systemctl show -P "$1" "${2:-acmed}"
}

# The pid of a program of the unit's, in the machine's own numbers.
pid_of()
{
	unit=/sys/fs/cgroup/system.slice/acmed.service
	for pid in $(in_root cat "$unit/cgroup.procs"); do
		if [ "$(in_root cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]; then
			echo "$pid"
			return
		fi
	done
	return 1
}

user_of()
{
	uid=$(in_root awk '/^Uid:/ { print $2 }' "/proc/$(pid_of "$1")/status")
	in_root getent passwd "$uid" | cut -d: -f1
}

is()
{
	[ "$(prop "$1")" = "$2" ]
}

is_another()
{
	now=$(pid_of "$1") && [ "$now" != "$2" ] && is ActiveState active
}

signal()
{
	in_root sh -c 'kill -"$1" "$2"' sh "$1" "$2"
}

status_has()
{
	prop StatusText | grep -q "$1"
}

logged()
{
	in_root journalctl -q --no-pager -u acmed | grep -q -e "$1"
}

# How often all were ready.
readies()
{
	in_root journalctl -q --no-pager -u acmed |
	    grep -c 'part=supervisor msg="ready"' || :
}

is_ready_again()
{
	[ "$(readies)" -gt "$1" ]
}

# 1: nobody is there, or says something else; 2: it was hung up on
answers()
{
	nsenter -t "$init" --net --root --wd perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:80",
		    Timeout => 10) or exit 1;
		print $s "GET /x HTTP/1.1\r\nHost: example.org\r\n\r\n";
		my $line = <$s>;
		exit 2 if !defined $line;
		exit($line =~ m{^HTTP/1\.1 308 } ? 0 : 1);
	'
}

says()
{
	echo "== $*"
}

# -- the test ---------------------------------------------------------------

test_lint()
{
	says "lintian"
	command -v lintian >/dev/null || fail "lintian is not installed"
	lintian --fail-on error,warning --allow-root \
	    "$work/dest/opt/acmed.deb" || fail "lintian"
}

# apt COMMAND...: what it says is in $work/apt.
apt()
{
	in_root env DEBIAN_FRONTEND=noninteractive apt-get -y "$@" \
	    >"$work/apt" 2>&1 || fail "apt-get $*: $(cat "$work/apt")"
}

test_install()
{
	says "install"
	apt install /opt/acmed.deb
	for user in acmed acmed-keeper; do
		in_root getent passwd $user | grep -q '/usr/sbin/nologin$' ||
		    fail "user $user"
	done
	is ActiveState inactive || fail "it was started"
	is UnitFileState disabled || fail "it was enabled"
	complaints=$(in_root systemd-analyze --man=no verify \
	    "$(prop FragmentPath acmed.service)" \
	    "$(prop FragmentPath acmed.socket)" 2>&1) || :
	[ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"

	in_root systemctl start acmed 2>/dev/null &&
	    fail "it starts without a configuration"
	status_has '^not started: /etc/acmed.yaml: cannot be opened: ' ||
	    fail "STATUS: $(prop StatusText)"
	good_config | in_root tee /etc/acmed.yaml >/dev/null
}

# folder NAME OWNER MODE: below the state folder.
folder()
{
	have=$(in_root stat -c '%U:%G %a' "/var/lib/acmed$1")
	[ "$have" = "$2:$2 $3" ] || fail "/var/lib/acmed$1: $have"
}

test_start()
{
	says "start"
	in_root systemctl start acmed || fail "start"
	is ActiveState active || fail "not active"
	[ "$(user_of acmed)" = root ] || fail "user of acmed"
	[ "$(user_of acmed-engine)" = acmed ] || fail "user of acmed-engine"
	[ "$(user_of acmed-keeper)" = acmed-keeper ] ||
	    fail "user of acmed-keeper"
	until_true 20 status_has '^1 certificates, 0 valid' ||
	    fail "STATUS: $(prop StatusText)"
	until_true 20 answers || fail "port 80 does not answer"
	in_root acmectl status | grep -q example.org || fail "acmectl status"
	folder / root 755
	folder /engine acmed 700
	folder /keeper acmed-keeper 700
	folder /versions root 755
	folder /live root 755
}

test_reload()
{
	says "reload"
	main=$(prop MainPID)
	engine=$(pid_of acmed-engine)
	echo "  - second.example.org" |
	    in_root tee -a /etc/acmed.yaml >/dev/null
	in_root systemctl reload acmed || fail "a good file is refused"
	until_true 20 is_another acmed-engine "$engine" ||
	    fail "the engine is the old one"
	until_true 20 status_has '^2 certificates' ||
	    fail "STATUS: $(prop StatusText)"
	[ "$(prop MainPID)" = "$main" ] || fail "acmed is another one"

	engine=$(pid_of acmed-engine)
	echo "domians: []" | in_root tee -a /etc/acmed.yaml >/dev/null
	in_root systemctl reload acmed 2>/dev/null && fail "a bad file is taken"
	until_true 20 logged '/etc/acmed.yaml:9:1: unknown key' ||
	    fail "the error is not in the journal"
	until_true 20 is ActiveState active || fail "not active after a bad file"
	signal HUP "$main"
	until_true 20 status_has '^reload failed: /etc/acmed.yaml:9:1: ' ||
	    fail "STATUS: $(prop StatusText)"
	[ "$(pid_of acmed-engine)" = "$engine" ] || fail "the engine was ended"
	good_config | in_root tee /etc/acmed.yaml >/dev/null
	in_root systemctl reload acmed || fail "the mended file is refused"
}

test_crash()
{
	says "a killed engine"
	main=$(prop MainPID)
	engine=$(pid_of acmed-engine)
	readies=$(readies)
	signal KILL "$engine"
	until_true 20 is_another acmed-engine "$engine" || fail "no new engine"
	says "a hanging engine"
	# until then it may take minutes, and does not hang
	until_true 20 is_ready_again "$readies" || fail "it is not ready"
	engine=$(pid_of acmed-engine)
	signal STOP "$engine"
	until_true 30 is_another acmed-engine "$engine" || fail "no new engine"
	until_true 20 logged 'how="it hangs"' ||
	    fail "the hanging engine is not in the log"
	[ "$(prop MainPID)" = "$main" ] || fail "acmed is another one"
	is NRestarts 0 || fail "systemd has started it again"

	says "a hanging supervisor"
	signal STOP "$main"
	until_true 40 is NRestarts 1 || fail "systemd did not see it"
	until_true 20 is_another acmed "$main" || fail "not started again"
	says "a killed supervisor"
	main=$(prop MainPID)
	signal KILL "$main"
	until_true 20 is NRestarts 2 || fail "not started again"
	until_true 20 is_another acmed "$main" || fail "not started again"
	until_true 20 pid_of acmed-engine || fail "no engine"
}

test_stop()
{
	says "stop"
	in_root systemctl stop acmed || fail "stop"
	is ActiveState inactive || fail "not inactive"
	is Result success || fail "result: $(prop Result)"
	in_root test ! -e /run/acmed/acmed.sock || fail "the socket is left"
	pid_of acmed-engine 2>/dev/null && fail "the engine is left"
	return 0
}

test_socket()
{
	says "socket activation"
	# one of the control socket's, too
	in_root mkdir /etc/systemd/system/acmed.socket.d
	printf '[Socket]\nListenStream=/run/acmed/acmed.sock\n' |
	    in_root tee /etc/systemd/system/acmed.socket.d/control.conf \
	    >/dev/null
	in_root systemctl daemon-reload
	in_root systemctl start acmed.socket || fail "acmed.socket"
	is ActiveState inactive || fail "acmed runs already"
	answers || fail "port 80 does not answer"
	# the engine may answer before acmed has said that all are ready
	until_true 20 is ActiveState active ||
	    fail "not started by a connection"
	until_true 20 \
	    logged 'listening socket from systemd" address="*0.0.0.0:80' ||
	    fail "the socket was not taken over"
	# while it starts again nobody is refused; whom the old one has let in, and
	# who has not asked yet, it hangs up on
	in_root systemctl --no-block restart acmed
	for i in 1 2 3 4 5; do
		status=0
		answers || status=$?
		[ $status -ne 1 ] || fail "refused during a restart ($i)"
	done
	until_true 20 answers || fail "no answer after a restart"
	until_true 20 is ActiveState active || fail "not started again"
	in_root acmectl status | grep -q example.org ||
	    fail "the control socket is gone"
	in_root systemctl stop acmed.socket acmed || fail "stop"
	in_root rm -r /etc/systemd/system/acmed.socket.d
	in_root systemctl daemon-reload
}

test_bad_start()
{
	says "a bad file at the start"
	echo "domians: []" | in_root tee -a /etc/acmed.yaml >/dev/null
	in_root systemctl start acmed 2>/dev/null && fail "it started"
	until_true 20 is ActiveState failed ||
	    fail "state: $(prop ActiveState)"
	is ExecMainStatus 2 || fail "exit status $(prop ExecMainStatus)"
	good_config | in_root tee /etc/acmed.yaml >/dev/null
	in_root systemctl start acmed || fail "does not start after that"
	in_root systemctl stop acmed
}

test_upgrade()
{
	says "upgrade"
	in_root systemctl enable --now acmed 2>/dev/null || fail "enable"
	kept=/var/lib/acmed/archive/example.com-20260101/1/privkey.pem
	in_root mkdir -p "${kept%/*}"
	in_root touch "$kept"
	main=$(prop MainPID)
	apt install /opt/higher.deb
	[ "$(prop MainPID)" != "$main" ] || fail "the old one goes on"
	is ActiveState active || fail "not active"
	is UnitFileState enabled || fail "not enabled any more"
	apt install --allow-downgrades /opt/acmed.deb
	is ActiveState active || fail "not active after a downgrade"
}

test_remove()
{
	says "remove, install again"
	apt remove acmed
	is ActiveState inactive || fail "it runs without being there"
	in_root test ! -e /usr/sbin/acmed || fail "it is there"
	apt install /opt/acmed.deb
	is ActiveState active || fail "not started again"

	says "purge"
	apt purge acmed
	is ActiveState inactive || fail "it runs without being there"
	grep -q '/var/lib/acmed is left' "$work/apt" ||
	    fail "what is left is not told: $(cat "$work/apt")"
	in_root test -e "$kept" || fail "keys are gone"
	in_root find /etc/systemd /var/lib/systemd/deb-systemd-helper-enabled \
	    -name 'acmed.s*' ! -name '*.d' >"$work/found"
	[ ! -s "$work/found" ] || fail "left: $(cat "$work/found")"
}

[ $# -eq 1 ] && [ -f "$1/CPackConfig.cmake" ] || {
	echo "usage: systemd.sh BUILD_DIR, with CMAKE_INSTALL_PREFIX=/usr" >&2
	exit 2
}
build=$(cd "$1" && pwd)
[ "$(id -u)" -eq 0 ] || skip "only root can boot a systemd"
for tool in unshare nsenter cpack dpkg-shlibdeps flock; do
	command -v "$tool" >/dev/null || skip "$tool is not installed"
done
unshare --mount --pid --uts --ipc --net --cgroup --fork true 2>/dev/null ||
    skip "namespaces cannot be made here"
# programs that were built here run on the same release only
VERSION_CODENAME=
. /etc/os-release
[ -n "$VERSION_CODENAME" ] || skip "this is not a Debian release"
trap clean_up EXIT
trap 'exit 130' INT TERM
work=$(mktemp -d)
mkdir -p "$work/dest/opt"
version=$(sed -n 's/^set(CPACK_PACKAGE_VERSION "\(.*\)")$/\1/p' \
    "$build/CPackConfig.cmake")
make_package "$version" acmed.deb
make_package "$version+1" higher.deb
packages=$(needed acmed.deb)

root=$cache/$VERSION_CODENAME-systemd
mkdir -p "$cache"
# shared while in use, exclusive to make it
exec 9>"$root.lock"
flock -s 9
if ! have_root; then
	flock 9
	have_root || make_root
	flock -s 9
fi
test_lint
prepare
make_cgroup
start_machine
test_install
test_start
test_reload
test_crash
test_stop
test_socket
test_bad_start
test_upgrade
test_remove
echo "PASS: $(in_root systemctl --version | head -n 1)"
