#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: sh make.sh  (in this folder; OpenSSL 3)
#
# Makes the certificates that crypto_x509.c reads, and the key of one.  The other
# keys are thrown away; the tests know the leaves by leaf.id and leaf-rsa.id.
# The rfc*.pem files are the keys and the certificate that those RFCs print.
set -eu
here=$(pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

cat >ca.cnf <<'CNF'
[ca]
default_ca = all
[all]
database = index
unique_subject = no
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
email_in_dn = no
[any]
commonName = optional
organizationName = optional
countryName = optional
[req]
distinguished_name = dn
prompt = no
utf8 = yes
string_mask = utf8only
[dn]
[issuer]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[leaf]
authorityKeyIdentifier = keyid
subjectAltName = DNS:www.Example.org,DNS:example.org,DNS:*.example.org,IP:192.0.2.7,IP:2001:db8::7
[one]
authorityKeyIdentifier = keyid
subjectAltName = DNS:www.example.org
[no_aki]
subjectKeyIdentifier = none
authorityKeyIdentifier = none
subjectAltName = DNS:www.example.org
[aki_issuer]
authorityKeyIdentifier = issuer:always
subjectAltName = DNS:www.example.org
[critical]
1.3.6.1.4.1.11129.2.4.99 = critical,DER:05:00
authorityKeyIdentifier = keyid,issuer:always
subjectAltName = DNS:www.example.org
certificatePolicies = critical,1.2.3.4
[odd]
# www.example.org with NUL and more, 192.0.2.7 as DNS name, an address
subjectAltName = DER:30:39:82:19:77:77:77:2E:65:78:61:6D:70:6C:65:2E:6F:72:67:00:2E:65:76:69:6C:2E:6F:72:67:82:09:31:39:32:2E:30:2E:32:2E:37:81:0B:61:40:65:78:61:6D:70:6C:65:2E:6F:82:04:61:1B:62:63
CNF
: >index

# new NAME ALGORITHM...: a key
new() { name=$1; shift; openssl genpkey -quiet -out "$name.key" "$@"; }
p256='-algorithm EC -pkeyopt ec_paramgen_curve:P-256'
p384='-algorithm EC -pkeyopt ec_paramgen_curve:P-384'
p521='-algorithm EC -pkeyopt ec_paramgen_curve:P-521'
rsa='-algorithm RSA -pkeyopt rsa_keygen_bits:2048'

# sign NAME KEY SUBJECT EXTENSIONS ISSUER START END SERIAL [OPTION...]
sign()
{
	name=$1 key=$2 subject=$3 ext=$4 issuer=$5 start=$6 end=$7
	echo "$8" >serial
	shift 8
	openssl req -new -config ca.cnf -utf8 -key "$key.key" -subj "$subject" \
	    -out "$name.csr"
	if [ "$issuer" = "$name" ]; then
		set -- -selfsign -keyfile "$key.key" "$@"
	else
		set -- -cert "$issuer.crt" -keyfile "$issuer.key" "$@"
	fi
	openssl ca -config ca.cnf -batch -notext -in "$name.csr" \
	    -out "$name.crt" -extensions "$ext" -startdate "$start" \
	    -enddate "$end" "$@" 2>ca.log || { cat ca.log; exit 1; }
}

from=20260101000000Z to=20260401000000Z far=20460101000000Z

new root $p384
new inter $p256
new leaf $p256
sign root root /CN=Test\ Root/O=Test issuer root $from $far 01
sign inter inter /CN=Test\ Issuer\ 1/O=Test issuer root $from \
    20300101000000Z 02 -md sha384
sign leaf leaf / leaf inter $from $to 00A1B2C3D4
cp inter.key inter-old.key
sign inter-old inter-old /CN=Test\ Issuer\ 1/O=Test issuer root $from \
    20260201000000Z 03
new inter-fake $p256 # a real one's name, another key
sign inter-fake inter-fake /CN=Test\ Issuer\ 1/O=Test issuer root $from $far 04

new root-fake $p384
sign root-fake root-fake /CN=Test\ Root/O=Test issuer root-fake $from $far 05

new root-rsa $rsa
new inter-rsa $rsa
new leaf-rsa $rsa
sign root-rsa root-rsa /C=XX/O=Only\ an\ organisation issuer root-rsa $from \
    $far 11
sign inter-rsa inter-rsa /CN=Test\ RSA\ Issuer issuer root-rsa $from $far 12
sign leaf-rsa leaf-rsa /CN=www.example.org one inter-rsa $from $to 13
sign leaf-pss leaf-rsa / one inter-rsa $from $to 14 -sigopt rsa_padding_mode:pss
sign leaf-o leaf / no_aki root-rsa $from $to 15

new p521 $p521
sign p521 p521 "/CN=$(printf 'P-521\033[31m evil\001\303\251')" issuer p521 \
    $from $far 21
sign leaf-p521 leaf / critical p521 $from $to 22 -md sha512
sign leaf-odd leaf / odd p521 $from $to 23
new country $p256
sign country country /C=XX issuer country $from $far 31
sign leaf-country leaf / aki_issuer country $from $to 32

for f in *.crt; do
	openssl x509 -in "$f" -out "$here/${f%.crt}.pem"
done
for f in leaf leaf-rsa; do
	openssl pkey -in "$f.key" -pubout -outform DER | sha256sum |
	    cut -d ' ' -f 1 >"$here/$f.id"
done
cp leaf.key "$here/leaf-key.pem"
