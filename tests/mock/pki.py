# SPDX-License-Identifier: ISC
"""The keys and certificates of a CA: its own for TLS, a chain with alternates,
and what it signs."""
import datetime
import ipaddress
import secrets

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jose import b64, unb64

PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
YEAR = 366 * 86400


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def instant(t):
    utc = datetime.timezone.utc
    return datetime.datetime.fromtimestamp(t, utc).replace(tzinfo=None)


def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn
                     else [])


def alt_name(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def names_of(san):
    return {str(x.value) for x in san}


def sign(subject, public, by, key, start, end, *extensions, serial=None):
    """extensions: (extension, critical)"""
    b = (x509.CertificateBuilder()
         .subject_name(subject).issuer_name(by).public_key(public)
         .serial_number(serial or new_serial())
         .not_valid_before(instant(start)).not_valid_after(instant(end))
         .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
             key.public_key()), False)
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(public),
                        False))
    for e, critical in extensions:
        b = b.add_extension(e, critical)
    return b.sign(key, hashes.SHA256())


def new_serial():
    """With the topmost bit: DER puts 00 in front, which an ARI id keeps."""
    return int.from_bytes(b"\x80" + secrets.token_bytes(15), "big")


CA = (x509.BasicConstraints(True, None), True)


class Authority:
    """A chain of n certificates below each of 1 + alternates roots."""

    def __init__(self, label, now, n=1, alternates=0, end=None):
        self.roots, self.tops = [], []
        keys = [new_key() for _ in range(n)]
        names = [f"{label} intermediate {i + 1}" for i in range(n)]
        for i in range(alternates + 1):
            key, cn = new_key(), f"{label} root {i}"
            self.roots.append(sign(
                name(cn), key.public_key(), name(cn), key, now - 86400,
                now + YEAR, CA))
            self.tops.append(sign(
                name(names[0]), keys[0].public_key(), name(cn), key,
                now - 86400, end or now + YEAR, CA))
        self.rest = [sign(name(names[i]), keys[i].public_key(),
                          name(names[i - 1]), keys[i - 1], now - 86400,
                          end or now + YEAR, CA) for i in range(1, n)]
        self.key, self.name = keys[-1], names[-1]

    def chain(self, alternate=0):
        """From the issuer of leaves up to below the root."""
        return [*reversed(self.rest), self.tops[alternate]]

    def issue(self, public, names, start, end):
        return sign(
            name(None), public, name(self.name), self.key, start, end,
            (x509.SubjectAlternativeName([alt_name(x) for x in names]), True),
            (x509.BasicConstraints(False, None), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False))


def pem(*certs):
    return b"".join(c.public_bytes(PEM) for c in certs)


def ari_id(cert):
    """RFC 9773 4.1"""
    aki = cert.extensions.get_extension_for_class(
        x509.AuthorityKeyIdentifier).value.key_identifier
    n = cert.serial_number
    return f"{b64(aki)}.{b64(n.to_bytes(n.bit_length() // 8 + 1, 'big'))}"


class Tls:
    """The root that clients are told to trust, and a server's certificate."""

    def __init__(self, where, now):
        self.root = where / "root.pem"
        self.server = where / "server.pem"
        self.server_key = where / "server.key"
        key, mine = new_key(), new_key()
        root = sign(
            name("mock TLS root"), key.public_key(), name("mock TLS root"),
            key, now - YEAR, now + 3 * YEAR, CA)
        leaf = sign(
            name("localhost"), mine.public_key(), root.subject, key,
            now - YEAR, now + 3 * YEAR, (x509.SubjectAlternativeName(
                [alt_name("localhost"), alt_name("127.0.0.1")]), False))
        self.root.write_bytes(pem(root))
        self.server.write_bytes(pem(leaf))
        self.server_key.touch(mode=0o600)
        self.server_key.write_bytes(mine.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        self.root.chmod(0o644)


class BadCsr(Exception):
    pass


def read_csr(der, names, account_key):
    """The public key of a CSR for exactly these names (E21)."""
    try:
        csr = x509.load_der_x509_csr(der)
    except ValueError as e:
        raise BadCsr(f"not a CSR: {e}") from None
    if not csr.is_signature_valid:
        raise BadCsr("its signature is wrong")
    for e in csr.extensions:
        if not isinstance(e.value, x509.SubjectAlternativeName):
            raise BadCsr(f"it asks for {e.oid}")
    san = csr.extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value
    if names_of(san) != set(names):
        raise BadCsr(f"it is for {sorted(names_of(san))}")
    for cn in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if cn.value not in names or len(cn.value) > 64:
            raise BadCsr(f"common name {cn.value}")
    if csr.public_key().public_numbers() == \
            account_key.public.public_numbers():
        raise BadCsr("it is for the account's key")
    return csr.public_key()
