#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The main job, end to end, on this machine alone: build, start a local CA
# (Pebble) and acmed with a five-line configuration, obtain certificates
# through acmed's own port-80 listener, have a real nginx reload and serve
# them, look at the status, let a certificate come due and watch its renewal.
#
# Runs in a network and mount namespace of its own, so that port 80, /run and
# /var/lib of this machine are not touched.
#
#   sh tests/demo.sh          clean up at the end
#   sh tests/demo.sh --keep   leave it running, and say how to look at it
set -eu
cd "$(dirname "$0")/.."
ROOT=$(pwd)
. tests/lib/setup.sh

KEEP=false
case ${1:-} in
--keep) KEEP=true ;;
'' | --inside) ;;
*) die "usage: sh tests/demo.sh [--keep]" ;;
esac

if [ "${1:-}" != --inside ]; then
	[ "$(id -u)" = 0 ] || die "run this as root: it installs packages, and acmed drops to users of its own"
	need $BUILD_PACKAGES $DEMO_PACKAGES
	users
	say "building"
	B=$(place "${ACMED_BUILD:-$ROOT/build}")
	build "$B" -DCMAKE_BUILD_TYPE=RelWithDebInfo
	ls -l "$B/acmed" "$B/acmed-engine" "$B/acmed-keeper" "$B/acmectl"
	export B KEEP
	exec unshare --net --mount --pid --fork --kill-child --mount-proc \
	    sh tests/demo.sh --inside
fi

# From here on: nobody else's port 80, /run and /var/lib.
ip link set lo up
mount --make-rprivate /
mount -t tmpfs -o mode=755 demo /run
mount -t tmpfs -o mode=755 demo /var/lib
mkdir -p /run/demo /var/lib/nginx /var/log/nginx
D=/run/demo
PATH=/usr/sbin:/sbin:$PATH

say "a CA of our own: Pebble, certificates of 60 seconds"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout $D/ca.key -out $D/ca.pem -days 2 -subj '/CN=demo' 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout $D/pebble.key -out $D/pebble.csr -subj '/CN=localhost' 2>/dev/null
echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >$D/ext
openssl x509 -req -in $D/pebble.csr -CA $D/ca.pem -CAkey $D/ca.key -days 2 \
    -extfile $D/ext -out $D/pebble.pem 2>/dev/null
cat >$D/pebble.json <<END
{ "pebble": { "listenAddress": "127.0.0.1:14000",
  "managementListenAddress": "127.0.0.1:15000",
  "certificate": "$D/pebble.pem", "privateKey": "$D/pebble.key",
  "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "",
  "externalAccountBindingRequired": false,
  "certificateValidityPeriod": 60 } }
END
pebble-challtestsrv -dns01 127.0.0.1:8053 -http01 '' -https01 '' \
    -tlsalpn01 '' -management 127.0.0.1:8055 -defaultIPv4 127.0.0.1 \
    -defaultIPv6 '' >$D/dns.log 2>&1 &
PEBBLE_VA_NOSLEEP=1 pebble -config $D/pebble.json \
    -dnsserver 127.0.0.1:8053 >$D/pebble.log 2>&1 &

# Wait for something to become true: a minute, then say what did not.
await() {
	what=$1
	shift
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt 600 ] || {
			tail -n 20 $D/*.log
			die "waited in vain for $what"
		}
		sleep 0.1
	done
}
await "the CA" curl -s --cacert $D/ca.pem https://localhost:14000/dir
# port 8053; the first validation asks there
await "its DNS server" grep -q ':1F75 00000000:0000 07' /proc/net/udp

say "nginx, which serves what acmed keeps in /var/lib/acmed/live"
{
	printf 'pid %s/nginx.pid; error_log %s/nginx.log;\n' $D $D
	printf 'events {}\nhttp { access_log off;\n'
	for n in example.org shop.example.org api.example.org; do
		cat <<END
  server {
    listen 443 ssl; server_name $n;
    ssl_certificate     /var/lib/acmed/live/$n/fullchain.pem;
    ssl_certificate_key /var/lib/acmed/live/$n/privkey.pem;
    return 200 "this is $n\n";
  }
END
	done
	echo '}'
} >$D/nginx.conf
# As "systemctl reload-or-restart nginx" would.
cat >$D/reload-nginx <<END
#!/bin/sh
nginx -t -q -c $D/nginx.conf || exit 1
if [ -s $D/nginx.pid ]; then
	nginx -c $D/nginx.conf -s reload && echo reloaded
else
	nginx -c $D/nginx.conf && echo started
fi
END
chmod 755 $D/reload-nginx

say "the whole configuration"
cat >$D/acmed.yaml <<END
email: admin@example.org
agree-tos: true
reload: $D/reload-nginx
domains: [example.org, [shop.example.org, www.shop.example.org], api.example.org]
ca: {letsencrypt: {directory: "https://localhost:14000/dir", ca-file: $D/ca.pem}}
END
cat $D/acmed.yaml

say "acmed"
"$B/acmed" -c $D/acmed.yaml 2>$D/acmed.log &
echo $! >$D/acmed.pid
await "the control socket" "$B/acmectl" version
served() {
	echo | openssl s_client -connect 127.0.0.1:443 -servername "$1" \
	    2>/dev/null | openssl x509 -noout -serial 2>/dev/null
}
installed() {
	openssl x509 -noout -serial -in "/var/lib/acmed/live/$1/cert.pem" \
	    2>/dev/null
}
in_service() {
	have=$(installed "$1")
	[ -n "$have" ] && [ "$(served "$1")" = "$have" ]
}
for n in example.org shop.example.org api.example.org; do
	await "$n at nginx" in_service $n
done
grep -v level=debug $D/acmed.log
say "acmectl status"
"$B/acmectl" status
say "what is on disk"
ls -l /var/lib/acmed/live /var/lib/acmed/live/example.org/
say "what nginx serves"
curl -s --resolve shop.example.org:443:127.0.0.1 -k https://shop.example.org/
was=$(served example.org)
echo "example.org: $was"
ps -o user:14,pid,args -C acmed,acmed-engine,acmed-keeper

say "one comes due (certificates of 60 s are renewed after about 30)"
renewed() {
	now=$(served example.org)
	[ -n "$now" ] && [ "$now" != "$was" ]
}
n=0
until renewed; do
	n=$((n + 1))
	[ $n -lt 240 ] || die "example.org was not renewed"
	sleep 0.5
done
grep 'cert=example.org' $D/acmed.log | grep -v level=debug | tail -n 4
echo "example.org: $was before, $(served example.org) now, at nginx"
say "acmectl show example.org"
"$B/acmectl" show example.org

if $KEEP; then
	say "left running: nsenter -t $(cat $D/acmed.pid) -m -n -p $B/acmectl status"
	echo "press return, or interrupt, to end it"
	read -r _ || sleep infinity
fi
kill "$(cat $D/acmed.pid)"
n=0
while kill -0 "$(cat $D/acmed.pid)" 2>/dev/null && [ $n -lt 100 ]; do
	n=$((n + 1))
	sleep 0.1
done
say "done: everything above ran in namespaces that end here"
