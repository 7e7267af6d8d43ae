# SPDX-License-Identifier: ISC
# Sourced by demo.sh and run.sh: what the machine needs, from its own mirror
# and nowhere else.  Sets CACHE, a folder that may be kept between runs.

CACHE=${ACMED_CACHE:-/var/cache/acmed-tests}

BUILD_PACKAGES='gcc libc6-dev cmake ninja-build pkg-config libmbedtls-dev
	libcurl4-openssl-dev libevent-dev libjansson-dev libyaml-dev
	libseccomp-dev libpsl-dev libc-ares-dev'
DEMO_PACKAGES='pebble nginx-light openssl curl python3 ca-certificates'
TEST_PACKAGES='clang clang-format clang-tidy libclang-rt-dev llvm cppcheck
	libcmocka-dev python3-pytest python3-pytest-rerunfailures
	python3-pytest-xdist
	debootstrap dpkg-dev file lintian mandoc util-linux procps iproute2
	gcovr xz-utils python3-cryptography'

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# Install what is missing of the packages named.
need() {
	missing=
	for p; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
		    grep -q 'ok installed' || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "needs root, to install:$missing"
	say "installing$missing"
	# shellcheck disable=SC2086
	{
		apt-get -q update &&
		    DEBIAN_FRONTEND=noninteractive apt-get -q -y \
			--no-install-recommends install $missing
	} >"${TMPDIR:-/tmp}/acmed-apt.log" 2>&1 || {
		tail -n 30 "${TMPDIR:-/tmp}/acmed-apt.log" >&2
		die "these packages could not be installed:$missing"
	}
}

# The mirror this machine uses, as its own apt knows it.
mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
	    grep -v security | sort | uniq -c | sort -rn |
	    awk 'NR == 1 { print $2 }'
}

# The system users that the daemon's processes run as.
users() {
	for u in acmed acmed-keeper; do
		getent passwd "$u" >/dev/null ||
		    useradd --system --user-group --no-create-home \
			--home-dir /nonexistent --shell /usr/sbin/nologin "$u"
	done
}

# Pebble of Debian unstable, beside the system's own: its programs need libc
# only.  Prints the folder, or nothing when it cannot be had.
newest_pebble() {
	to=$CACHE/pebble-sid
	if [ ! -x "$to/usr/bin/pebble" ]; then
		apt=$CACHE/apt
		rm -rf "$apt" "$to.part"
		mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" \
		    "$apt/parts" "$to.part"
		printf 'deb [signed-by=%s] %s sid main\n' \
		    /usr/share/keyrings/debian-archive-keyring.gpg \
		    "$(mirror)" >"$apt/sources.list"
		set -- -o "Dir::Etc::SourceList=$apt/sources.list" \
		    -o "Dir::Etc::SourceParts=$apt/parts" \
		    -o "Dir::State::Lists=$apt/lists" \
		    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root
		(
			cd "$apt" && apt-get -q "$@" update &&
			    apt-get -q "$@" download pebble &&
			    dpkg -x pebble_*.deb "$to.part" &&
			    rm -rf "$to" && mv "$to.part" "$to"
		) >"$CACHE/pebble.log" 2>&1 || return 0
	fi
	printf '%s\n' "$to"
}

# place DIR: a folder to build in.  acmed's own users must be able to reach
# what they run, and a checkout below /root is closed to them.
place() {
	mkdir -p "$1"
	if setpriv --reuid=acmed --clear-groups test -x "$1"; then
		printf '%s\n' "$1"
		return
	fi
	to=/var/tmp/acmed-$(printf '%s' "$1" | cksum | cut -d ' ' -f 1)
	mkdir -p "$to" && chmod 755 "$to"
	printf '%s\n' "$to"
}

# build DIR OPTIONS...: configure and build this checkout there.
build() {
	dir=$1
	shift
	cmake -S "$ROOT" -B "$dir" -G Ninja "$@" >"$dir.log" 2>&1 &&
	    ninja -C "$dir" >>"$dir.log" 2>&1 || {
		tail -n 40 "$dir.log" >&2
		die "the build in $dir failed"
	}
}
