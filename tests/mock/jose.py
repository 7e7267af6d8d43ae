# SPDX-License-Identifier: ISC
"""Signed requests, as strictly as RFC 8555 lets a server look at them."""
import base64
import hashlib
import hmac
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    encode_dss_signature)

ALGORITHMS = ("ES256", "ES384", "RS256")


class Bad(Exception):
    """A request that no client should send: type, what, breach or not."""

    def __init__(self, kind, what, status=400, breach=True):
        super().__init__(what)
        self.kind, self.what = kind, what
        self.status, self.breach = status, breach


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text):
    if not isinstance(text, str) or not re.fullmatch(r"[\w-]*", text,
                                                     re.ASCII):
        raise Bad("malformed", "not base64url without padding")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unb64_int(text):
    return int.from_bytes(unb64(text), "big")


class Key:
    """A public key from a JWK that has its members and no others."""

    def __init__(self, jwk):
        self.jwk = jwk
        kind = jwk.get("kty") if isinstance(jwk, dict) else None
        want = {"EC": {"kty", "crv", "x", "y"}, "RSA": {"kty", "n", "e"}}
        if kind not in want or set(jwk) != want[kind]:
            raise Bad("badPublicKey", f"jwk {jwk!r}")
        if kind == "EC":
            self.curve, self.size, self.alg, self.hash = {
                "P-256": (ec.SECP256R1(), 32, "ES256", hashes.SHA256()),
                "P-384": (ec.SECP384R1(), 48, "ES384", hashes.SHA384()),
            }[jwk["crv"]]
            if any(len(unb64(jwk[m])) != self.size for m in "xy"):
                raise Bad("badPublicKey", "coordinates are not padded")
            self.public = ec.EllipticCurvePublicNumbers(
                unb64_int(jwk["x"]), unb64_int(jwk["y"]),
                self.curve).public_key()
        else:
            self.alg = "RS256"
            if any(unb64(jwk[m])[:1] in (b"", b"\0") for m in "ne"):
                raise Bad("badPublicKey", "n or e with a leading zero")
            self.public = rsa.RSAPublicNumbers(
                unb64_int(jwk["e"]), unb64_int(jwk["n"])).public_key()
        text = json.dumps(jwk, sort_keys=True, separators=(",", ":"))
        self.thumbprint = b64(hashlib.sha256(text.encode()).digest())

    def verify(self, signature, data):
        try:
            if self.alg == "RS256":
                self.public.verify(signature, data, padding.PKCS1v15(),
                                   hashes.SHA256())
                return
            if len(signature) != 2 * self.size:
                raise Bad("malformed", "signature is not R and S, padded")
            r, s = (int.from_bytes(x, "big") for x in
                    (signature[:self.size], signature[self.size:]))
            self.public.verify(encode_dss_signature(r, s), data,
                               ec.ECDSA(self.hash))
        except InvalidSignature:
            raise Bad("malformed", "the signature is wrong") from None


class Jws:
    """One flattened JWS (A6, A7): members checked, signature not yet."""

    def __init__(self, body):
        try:
            root = json.loads(body)
        except ValueError:
            raise Bad("malformed", "the body is not JSON") from None
        if not isinstance(root, dict) or set(root) != {
                "protected", "payload", "signature"}:
            raise Bad("malformed", "members of the JWS")
        self.signed = f"{root['protected']}.{root['payload']}".encode()
        self.signature = unb64(root["signature"])
        self.protected = json.loads(unb64(root["protected"]))
        self.text = unb64(root["payload"]).decode()
        self.payload = json.loads(self.text) if self.text else None

    def check_header(self, by):
        """by: "jwk" or "kid"."""
        h = self.protected
        if set(h) != {"alg", "nonce", "url", by}:
            raise Bad("malformed", f"header has {sorted(h)}, not {by}")
        if h["alg"] not in ALGORITHMS:
            raise Bad("badSignatureAlgorithm", f"alg {h['alg']}")

    def check_signature(self, key):
        if self.protected["alg"] != key.alg:
            raise Bad("badSignatureAlgorithm",
                      f"alg {self.protected['alg']} of a key for {key.alg}")
        key.verify(self.signature, self.signed)


def check_binding(eab, jwk, url, secrets):
    """externalAccountBinding (D11): the kid it is for."""
    try:
        jws = Jws(json.dumps(eab))
    except (Bad, ValueError, TypeError):
        raise Bad("malformed", "externalAccountBinding") from None
    h = jws.protected
    if set(h) != {"alg", "kid", "url"} or h["url"] != url:
        raise Bad("malformed", f"header of the binding: {h}")
    if jws.payload != jwk:
        raise Bad("malformed", "the binding is for another key")
    if h["kid"] not in secrets:
        raise Bad("unauthorized", f"no such kid {h['kid']}", 403, False)
    digest = {"HS256": "sha256", "HS384": "sha384",
              "HS512": "sha512"}[h["alg"]]
    mac = hmac.new(unb64(secrets[h["kid"]].rstrip("=")), jws.signed, digest)
    if not hmac.compare_digest(mac.digest(), jws.signature):
        raise Bad("unauthorized", "the MAC of the binding is wrong", 403,
                  False)
    return h["kid"]
