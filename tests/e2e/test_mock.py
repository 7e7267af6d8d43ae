# SPDX-License-Identifier: ISC
"""The mock CA itself: that it finds what it is there to find."""
import hashlib
import hmac
import http.client
import json
import ssl
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature)
from jose import b64, unb64
from limits import Limits, registered_domain
from pki import DER, alt_name, name, new_key
from script import ScriptError
from util import ROOT


class Client:
    """As little of an ACME client as finds the mock's mistakes."""

    def __init__(self, ca):
        self.ca = ca
        self.tls = ssl.create_default_context(cafile=str(ca.pki.root))
        self.conn = None
        self.key = new_key()
        n = self.key.public_key().public_numbers()
        self.jwk = {"kty": "EC", "crv": "P-256",
                    "x": b64(n.x.to_bytes(32, "big")),
                    "y": b64(n.y.to_bytes(32, "big"))}
        self.kid = self.nonce = None
        text = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        self.thumbprint = b64(hashlib.sha256(text.encode()).digest())

    def http(self, method, url, body=None, headers=None):
        if self.conn is None:
            self.conn = http.client.HTTPSConnection(
                "localhost", self.ca.port, context=self.tls, timeout=10)
        self.conn.request(method, url.removeprefix(self.ca.base), body,
                          {"User-Agent": "acmed/0", **(headers or {})})
        r = self.conn.getresponse()
        text = r.read()
        self.nonce = r.headers.get("Replay-Nonce", self.nonce)
        kind = r.headers.get("Content-Type", "")
        return r, json.loads(text) if kind.endswith("json") else text

    def sign(self, header, payload):
        h = b64(json.dumps(header).encode())
        p = b64(payload.encode())
        r, s = decode_dss_signature(self.key.sign(
            f"{h}.{p}".encode(), ec.ECDSA(hashes.SHA256())))
        return {"protected": h, "payload": p, "signature": b64(
            r.to_bytes(32, "big") + s.to_bytes(32, "big"))}

    def post(self, path, payload="", headers=None, jws=None, **change):
        """change: of the protected header; None takes a member away."""
        url = path if path.startswith("https") else self.ca.base + path
        if self.nonce is None:
            self.http("HEAD", self.ca.base + "/nonce")
        by = {"kid": self.kid} if self.kid else {"jwk": self.jwk}
        header = {"alg": "ES256", "nonce": self.nonce, "url": url, **by,
                  **change}
        self.nonce = None
        if not isinstance(payload, str):
            payload = json.dumps(payload)
        body = self.sign({k: v for k, v in header.items() if v is not None},
                         payload)
        body = {**body, **(jws or {})}
        return self.http("POST", url, json.dumps(body), {
            "Content-Type": "application/jose+json", **(headers or {})})

    def register(self, **more):
        self.http("GET", self.ca.directory)
        r, body = self.post("/account", {"termsOfServiceAgreed": True,
                                         **more})
        if r.status in (200, 201):
            self.kid = r.headers["Location"]
        return r, body

    def order(self, *names, **more):
        return self.post("/order", {"identifiers": [
            {"type": "dns", "value": n} for n in names], **more})

    def issue(self, *names, **more):
        """The whole way; the order's last body."""
        r, o = self.order(*names, **more)
        assert r.status == 201, o
        url = r.headers["Location"]
        for z in o["authorizations"]:
            _, z = self.post(z)
            c = next(c for c in z["challenges"] if c["type"] == "http-01")
            if z["status"] == "pending":
                self.post(c["url"], "{}")
        csr = x509.CertificateSigningRequestBuilder().subject_name(
            name(None)).add_extension(x509.SubjectAlternativeName(
                [alt_name(n) for n in names]), False).sign(
            new_key(), hashes.SHA256())
        r, o = self.post(o["finalize"], {"csr": b64(csr.public_bytes(DER))})
        assert r.status == 200, o
        return self.post(url)[1]


@pytest.fixture
def client(mock):
    c = Client(mock("valid always", breaches=True))
    assert c.register()[0].status == 201
    assert c.ca.breaches == []
    return c


def test_whole_way(client):
    o = client.issue("a.example.org", "b.example.org")
    assert o["status"] == "valid"
    client.post(o["certificate"], headers={
        "Accept": "application/pem-certificate-chain"})
    assert client.ca.breaches == []
    assert client.ca.issued == client.ca.orders == 1


@pytest.mark.parametrize("change, why", [
    ({"alg": "none"}, "alg none"),
    ({"alg": "ES384"}, "alg ES384 of a key for ES256"),
    ({"nonce": None}, "header has"),
    ({"nonce": "A" * 22}, "nonce that we did not make"),
    ({"url": "https://localhost/order"}, "url https://localhost/order is not"),
    ({"crit": ["b64"]}, "header has"),
    ({"jwk": {"kty": "EC"}}, "header has"),
    ({"payload": "{"}, "payload '{'"),
    ({"headers": {"Content-Type": "application/json"}}, "Content-Type is"),
    ({"headers": {"User-Agent": "curl/8"}}, "User-Agent curl/8"),
    ({"jws": {"header": {}}}, "members of the JWS"),
    ({"jws": {"signature": "A" * 86}}, "signature is wrong"),
    ({"jws": {"signature": "A" * 80}}, "not R and S"),
    ({"jws": {"signature": "A" * 85 + "="}}, "not base64url")],
    ids=lambda x: x if isinstance(x, str) else "")
def test_breaches(client, change, why):
    """A6 to A11, B1: each is told, and none of them gets an answer."""
    r, o = client.order("a.example.org")
    client.ca.breaches.clear()
    if "payload" in change:
        change["payload"] = '{"a":1}'
        why = "payload"
    r, _ = client.post(r.headers["Location"], **change)
    assert why in " ".join(client.ca.breaches)
    assert r.status >= 400 or "User-Agent" in why


def test_nonce_twice(client):
    n = client.ca.acme.nonce()
    for _ in range(2):
        r, body = client.post(client.kid, nonce=n)
    assert body["type"].endswith(":badNonce")
    assert "used twice" in client.ca.breaches[0]


def test_stranger_to_our_urls(client):
    client.ca.urls.discard(f"{client.ca.base}/order/77")
    client.post("/order/77")
    client.http("GET", f"{client.ca.base}/order/77")
    text = " ".join(client.ca.breaches)
    assert "never gave" in text and "no GET /order/77" in text


@pytest.mark.parametrize("payload", [
    {"notAfter": "2030-01-01T00:00:00Z"}, {"identifiers": []},
    {"identifiers": [{"type": "dns", "value": "A.example.org"}]},
    {"identifiers": [{"type": "dns", "value": "10.0.0.1"}]}])
def test_bad_orders(client, payload):
    r, body = client.post("/order", {"identifiers": [
        {"type": "dns", "value": "a.example.org"}], **payload})
    assert r.status == 400 and client.ca.breaches


def test_bad_csr(client):
    """E21: names, and the account's key."""
    for key, names, why in ((new_key(), ["x.org"], "it is for"),
                            (client.key, ["a.org"], "the account's key")):
        _, o = client.order("a.org")
        _, z = client.post(o["authorizations"][0])
        c = next(c for c in z["challenges"] if c["type"] == "http-01")
        client.post(c["url"], "{}")
        csr = x509.CertificateSigningRequestBuilder().subject_name(
            name(None)).add_extension(x509.SubjectAlternativeName(
                [alt_name(n) for n in names]), False).sign(
            key, hashes.SHA256())
        r, body = client.post(o["finalize"],
                              {"csr": b64(csr.public_bytes(DER))})
        assert body["type"].endswith(":badCSR") and why in body["detail"]


def test_binding(mock):
    key = b64(b"k" * 32)
    c = Client(mock(f"eab kid-1 {key}", breaches=True))

    def bind(mac):
        h = b64(json.dumps({"alg": "HS256", "kid": "kid-1",
                            "url": c.ca.base + "/account"}).encode())
        p = b64(json.dumps(c.jwk).encode())
        return {"protected": h, "payload": p, "signature": b64(hmac.new(
            mac, f"{h}.{p}".encode(), "sha256").digest())}
    assert c.register()[1]["type"].endswith(":externalAccountRequired")
    r, _ = c.register(externalAccountBinding=bind(b"x" * 32))
    assert r.status == 403
    r, _ = c.register(externalAccountBinding=bind(unb64(key)))
    assert r.status == 201


def ari(client, o):
    c = client.ca.acme.certs[o["certificate"].rpartition("/")[2]]
    return c.ari


def test_renewal_info(client):
    """J1, J2, J11"""
    o = client.issue("a.example.org")
    i = ari(client, o)
    assert i.partition(".")[2].startswith("AI"), "leading 00 of the serial"
    _, body = client.http("GET", f"{client.ca.base}/ari/{i}")
    assert set(body["suggestedWindow"]) == {"start", "end"}
    for names, status in (["b.example.org"], 400), (["a.example.org"], 201):
        assert client.order(*names, replaces=i)[0].status == status
    client.issue("a.example.org", replaces=i)
    r, body = client.order("a.example.org", replaces=i)
    assert r.status == 409 and body["type"].endswith(":alreadyReplaced")
    assert client.ca.breaches == []
    client.http("GET", f"{client.ca.base}/ari/{i.partition('.')[0]}.AA")
    assert "a stranger" in client.ca.breaches[0]


def test_rules(client):
    """Which requests a rule is for, and what it does to them."""
    ca = client.ca
    ca.play("""
        on POST ^/order$ hit 2..3 for a.org: problem rateLimited 429 slow down
            header Retry-After: soon
        on POST ^/order$ with profile: status 204
        on POST ^/authz/ every 2:
            set challenges = []
            set expires = null
            header Replay-Nonce: -
        on POST ^/finalize/ hit 2: drop""")
    got = [client.order(n)[0] for n in ("a.org", "b.org", "a.org", "a.org",
                                        "a.org")]
    assert [r.status for r in got] == [201, 201, 429, 429, 201]
    assert got[2].headers["Retry-After"] == "soon"
    assert client.order("b.org", profile="x")[0].status == 204
    _, o = client.order("a.org", "c.org")
    a, b = (client.post(z) for z in o["authorizations"])
    assert a[1]["challenges"] == [] and a[1]["expires"] is None
    assert "Replay-Nonce" not in a[0].headers
    assert b[1]["challenges"] != []
    assert ca.breaches == []


def test_wire(client):
    ca = client.ca
    ca.play("""
        on GET ^/dir\\?1: rst
        on GET ^/dir\\?2: rst-body
        on GET ^/dir\\?3: drip 1ms
        on GET ^/dir\\?4: close
        on GET ^/dir reused hit 1: rst""")
    for i, (ends, body) in enumerate(((True, None), (True, None),
                                      (False, dict), (False, dict)), 1):
        client.conn = None
        try:
            body = client.http("GET", f"{ca.directory}?{i}")[1]
            assert not ends and isinstance(body, dict), i
        except (OSError, http.client.HTTPException) as e:
            assert ends, (i, e)
    assert client.conn.sock.recv(1) == b"", "closed behind our back"
    client.conn = None
    client.http("GET", ca.directory)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.http("GET", ca.directory)


def test_holds(client):
    ca = client.ca
    ca.play("hold order processing 2\nhold authz processing 1 for b.org")
    o = client.issue("b.org")
    assert o["status"] == "processing"
    _, z = client.post(o["authorizations"][0])
    assert z["status"] == "pending" and "processing" in [
        c["status"] for c in z["challenges"]]
    assert client.post(o["authorizations"][0])[1]["status"] == "valid"
    url = ca.seen("order")[-1].path
    assert client.post(url)[1]["status"] == "valid"


@pytest.mark.parametrize("text, why", [
    ("on POST: x", "line 1: on POST: x: not a rule"),
    ("\non POST ^/x:\n\tdance", "line 3: dance: no such action"),
    ("life long", "no span of time"), ("hold order invalid 3", "there are"),
    ("hold authz error 3", "has TYPE"), ("challenges http-02", "no such"),
    ("on GET ^/(: rst", "line 1"), ("valid", None), ("pem x", "no such")])
def test_bad_scripts(mock, text, why):
    ca = mock()
    if why is None:
        ca.play(text)
        return
    with pytest.raises(ScriptError, match=why.replace("(", "\\(")):
        ca.play(text)


class TestLimits:
    """M.1, in a time of our own."""

    def setup_method(self):
        self.now = 1000.0
        self.of = Limits("letsencrypt", lambda: self.now)

    def order(self, *names, ari=False, renewal=False):
        try:
            self.of.new_order("acct", list(names), ari, renewal)
            self.of.issued(list(names), ari, renewal)
            return 0
        except Exception as e:
            return int(dict(getattr(e, "headers", ())).get("Retry-After", -1))

    def test_exact_set(self):
        assert [self.order("a.org") for _ in range(5)] == [0] * 5
        wait = self.order("a.org")
        assert wait == 7 * 86400 // 5 + 1
        assert self.order("a.org", renewal=True) == wait
        assert self.order("a.org", ari=True) == 0
        self.now += wait
        assert self.order("a.org") == 0
        assert self.order("a.org") > 0

    def test_domain(self):
        assert [self.order(f"n{i}.x.co.uk") for i in range(50)] == [0] * 50
        assert self.order("new.x.co.uk") == 7 * 86400 // 50 + 1
        assert self.order("n1.y.co.uk") == 0
        assert self.order("n1.x.co.uk", renewal=True) == 0
        assert self.of.refused == 1

    def test_orders(self):
        assert sum(self.order(f"d{i}.org") for i in range(300)) == 0
        assert self.order("e.org") == 37
        assert self.order("d1.org", renewal=True) == 0

    def test_failures_and_pause(self):
        for _ in range(5):
            self.of.failed("acct", "bad.org")
        assert self.order("bad.org") == 721
        assert self.order("good.org") == 0
        for i in range(1148):
            self.of.failed("acct", "bad.org")
        self.now += 3600 * 300
        assert self.order("bad.org") == -1 and self.of.paused

    def test_domains_of_names(self):
        assert [registered_domain(n) for n in (
            "a.b.example.org", "*.example.org", "x.y.co.uk", "10.0.0.1",
            "::1")] == ["example.org", "example.org", "y.co.uk", "10.0.0.1",
                        "::1"]


@pytest.mark.root
@pytest.mark.parametrize("key", ["ec256", "ec384", "rsa2048"])
def test_acmed(mock, acmed, key):
    """A6 to A14, E5, E21: the daemon gives it nothing to complain about, also
    when every URL has a query that must come back unchanged (A9)."""
    ca = mock("urls odd\nchain 2\nhold order processing 1")
    d = acmed(ca, [["b.example.org", "a.example.org"], "127.0.0.1"],
              at_ca={"account-key": key}).start()
    d.installed("b.example.org", "127.0.0.1")
    d.renew("127.0.0.1")
    d.installed("127.0.0.1", version=2)
    assert {a.key.alg for a in ca.acme.accounts.values()} == {
        {"ec256": "ES256", "ec384": "ES384", "rsa2048": "RS256"}[key]}
    posts = [r for r in ca.requests if r.method == "POST"]
    assert all("?x=%2F&Y=%C3%A9;=" in r.path for r in posts
               if r.endpoint not in ("newAccount", "newOrder"))
    assert ca.most["newOrder"] == 1 and ca.breaches == []


def test_program(work):
    """As a command: what it prints, its log, its exit status."""
    (work / "s").write_text("valid always\nlife 1h\n")
    p = subprocess.Popen(
        [sys.executable, ROOT / "tests/mock/ca.py", work / "s", "--where",
         work, "--log", work / "log", "--for", "30"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = json.loads(p.stdout.readline())
    tls = ssl.create_default_context(cafile=said["root"])
    port = int(said["directory"].rpartition(":")[2].partition("/")[0])
    c = http.client.HTTPSConnection("localhost", port, context=tls)
    c.request("GET", "/dir")
    assert c.getresponse().status == 200
    c.close()
    began = time.monotonic()
    p.terminate()
    assert "User-Agent" in p.communicate(timeout=20)[1]
    assert p.returncode == 1 and time.monotonic() - began < 15
    line, = (work / "log").read_text().splitlines()
    assert json.loads(line)["endpoint"] == "directory"
