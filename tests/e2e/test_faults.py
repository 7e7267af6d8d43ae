# SPDX-License-Identifier: ISC
"""What no Pebble does by itself: lost answers, limits, outages, odd replies.
And the wire, looked at from outside."""
import json
import re
import threading

import pytest
from proxy import Proxy, problem
from util import check_pair, until

pytestmark = pytest.mark.root

ORDER = r"^/order-plz"
FINALIZE = r"^/finalize-order/"
CERT = r"^/certZ/"
AUTHZ = r"^/authZ/"
CHALLENGE = r"^/chalZ/"


@pytest.fixture
def px(ca):
    p = Proxy(ca)
    yield p
    p.stop()


@pytest.mark.parametrize("version", ["system", "newest"])
def test_wire(cas, acmed, version):
    """A3, A6 to A11, B1, E12: every request, as it should be."""
    ca = cas(version)
    p = Proxy(ca)
    try:
        d = acmed(p, [["a.example.org", "b.example.org"]]).start()
        d.installed("a.example.org")
    finally:
        p.stop()
    nonces, jwk = [], []
    for x in p.requests():
        assert re.match(r"acmed/\S+ libcurl/\S+", x.headers["User-Agent"]), x
        if x.method != "POST":
            assert re.match(r"/(dir|nonce-plz|.*/renewalInfo/.+)$", x.path), x
            assert not x.body and "Content-Type" not in x.headers
            continue
        assert x.headers["Content-Type"] == "application/jose+json"
        assert set(json.loads(x.body)) == {"protected", "payload", "signature"}
        h = x.protected
        assert set(h) == {"alg", "nonce", "url",
                          "jwk" if x.path == "/sign-me-up" else "kid"}
        assert h["url"] == f"https://localhost:{p.port}{x.path}"
        assert h["alg"] == "ES256"
        nonces.append(h["nonce"])
        jwk += [x] if "jwk" in h else []
    assert len(set(nonces)) == len(nonces)
    for x in p.requests("POST", CHALLENGE):
        assert x.payload == "{}"
    for path in AUTHZ, CERT, r"^/my-order/":
        assert all(x.payload == "" for x in p.requests("POST", path))
    assert p.requests("POST", CERT)[0].headers["Accept"] == \
        "application/pem-certificate-chain"
    assert len(p.requests("GET", "/dir")) == 1
    assert jwk
    new = json.loads(p.requests("POST", "/sign-me-up")[0].payload)
    assert new == {"termsOfServiceAgreed": True,
                   "contact": ["mailto:admin@example.org"]}


def test_lost_reply_to_new_order(px, acmed):
    """A24: ambiguous; asked again, at most one order more."""
    px.rule("POST", ORDER, drop=True)
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org", timeout=40)
    assert px.ca.orders == 2
    assert px.ca.issued == 1


def test_lost_reply_to_finalize(px, acmed):
    """A24: the order is asked, not made again."""
    px.rule("POST", FINALIZE, drop=True)
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org", timeout=40)
    assert px.ca.orders == px.ca.issued == 1


@pytest.mark.parametrize("path", ["/nonce-plz", "/sign-me-up", AUTHZ,
                                  CHALLENGE, r"^/my-order/", CERT])
def test_connection_dies(px, acmed, path):
    """A23: once is no reason to fail."""
    px.rule("HEAD" if "nonce" in path else "POST", path, reset=True)
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org", timeout=40)
    assert px.ca.orders == px.ca.accounts == 1


@pytest.mark.parametrize("how", [
    {"rst_body": True}, {"delay_body": 1}, {"drip": 0.0005}, {"close": True},
    {"idle": 0.01}, {"reset": True, "reused": True}, {"date": 7200},
    {"headers": {"Content-Type": 'APPLICATION/json; charset="x"',
                 "Link": None}}], ids=lambda how: next(iter(how)))
@pytest.mark.parametrize("path", [FINALIZE, CERT])
def test_odd_wire(px, acmed, path, how):
    """A20, A23: whatever an answer's way is like, it is one order."""
    px.rule("POST", path, **how)
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org", timeout=40)
    assert px.ca.orders == px.ca.issued == 1
    assert px.rules[0].hits == 1


@pytest.mark.parametrize("path", ["/sign-me-up", ORDER, AUTHZ, CHALLENGE,
                                  r"^/my-order/", FINALIZE, CERT])
def test_server_error_once(px, acmed, path):
    """P: 500 with an HTML page is tried again."""
    px.rule("POST", path, answer=(
        500, [("Content-Type", "text/html")], b"<h1>\x1b[31moops</h1>"))
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org", timeout=40)
    assert px.ca.orders == px.ca.issued == px.ca.accounts == 1
    assert "\x1b" not in d.text() and "\\u001b" not in d.text()


def test_retry_after(px, acmed):
    """A 503 of the load balancer says when: not before."""
    px.rule("POST", ORDER, answer=(503, [("Retry-After", "2")], b""))
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org", timeout=40)
    waited = d.find("asking again")
    assert len(waited) == 1 and waited[0]["wait_ms"] >= 2000


def test_order_not_ready(px, acmed):
    """E20"""
    px.rule("POST", FINALIZE, answer=problem("orderNotReady", 403))
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org", timeout=40)
    assert px.ca.orders == 1


def test_rate_limited(px, acmed):
    """M1: not before the time that the CA names, restart or not."""
    px.rule("POST", ORDER, times=99, answer=problem(
        "rateLimited", 429, "too many, retry after tomorrow",
        [("Retry-After", "86400")]))
    d = acmed(px, ["a.example.org"]).start()
    x = d.wait("certificate not issued")
    assert x["type"] == "rateLimited"
    told = d.cert("a.example.org")["trouble"]
    assert "retry after tomorrow" in told["text"]
    for _ in range(3):
        d.stop()
        d.start()
    again = d.cert("a.example.org")["trouble"]
    assert again == told
    assert len(px.requests("POST", ORDER)) == 1
    r = d.ctl("status")
    assert "23 h" in r.stdout or "24 h" in r.stdout or "1 day" in r.stdout


def test_paused(px, acmed):
    """M2: the whole URL, and a person."""
    url = "https://ca.example/sfe/v1/unpause?jwt=" + "x" * 300
    px.rule("POST", ORDER, times=99, answer=problem(
        "rateLimited", 429, f"Your account is paused. Please visit: {url}"))
    d = acmed(px, ["a.example.org"]).start()
    d.wait("certificate not issued")
    t = d.cert("a.example.org")["trouble"]
    assert t["operator"] is True
    assert t["url"] == url
    r = d.ctl("status")
    assert r.returncode == 1
    assert url in r.stdout
    assert len(px.requests("POST", ORDER)) == 1


def test_terms_changed(px, acmed):
    """D10: no retry, the CA's words, until a person acts."""
    px.rule("POST", ORDER, times=99, answer=problem(
        "userActionRequired", 403, "new terms", [(
            "Link", '<https://ca.example/tos2>;rel="terms-of-service"')],
        instance="https://ca.example/agree"))
    d = acmed(px, ["a.example.org"]).start()
    until(lambda: "new terms" in json.dumps(d.status()), 20)
    r = d.ctl("status")
    assert r.returncode == 1
    assert "new terms" in " ".join(r.stdout.split())
    assert len(px.requests("POST", ORDER)) == 1


def test_outage(px, acmed):
    """Q8: one finds out, all wait; a person may ask at once; it recovers."""
    names = [f"o{i}.example.org" for i in range(20)]
    px.stop()
    d = acmed(px, names).start()
    d.wait("CA not usable for now")
    view = d.status()["cas"][0]
    assert view["next_at"] and "trouble" in view
    # Nobody's certificate has failed by that.
    assert d.status()["counts"]["certificates"] == 20
    assert not d.find("certificate not issued")
    px.start()
    d.renew(names[3])
    d.installed(*names, timeout=60)
    assert px.ca.orders == 20


def test_hanging_server(px, acmed):
    """A server that never answers costs no more than its certificate; the end
    of the daemon does not wait for it."""
    hold = threading.Event()
    px.rule("POST", ORDER, hold=hold)
    d = acmed(px, ["a.example.org"]).start()
    until(lambda: px.requests("POST", ORDER), 20)
    assert d.ctl("status").returncode == 0
    assert d.stop(10) == 0
    hold.set()


@pytest.mark.parametrize("body", [
    b"", b"{}", b"[]", b"null", b"{\"status\":", b"\0" * 1000,
    b'{"status":"pending"}', b'{"status":7,"identifiers":"x"}',
    b"[" * 100000],
    ids=["empty", "object", "array", "null", "cut", "zeroes", "bare",
         "types", "deep"])
def test_garbage_order(px, acmed, body):
    """A CA that talks nonsense fails an attempt, not the daemon."""
    def edit(status, headers, _):
        return status, headers, body
    px.rule("POST", ORDER, times=99, edit=edit)
    d = acmed(px, ["a.example.org"]).start()
    pids = d.pids()
    d.wait("certificate not issued", timeout=40)
    assert d.pids() == pids
    assert len(px.requests("POST", ORDER)) <= 2


@pytest.mark.parametrize("member", ["newNonce", "newAccount", "newOrder"])
def test_directory_without(px, acmed, member):
    """C1"""
    def edit(status, headers, body):
        root = json.loads(body)
        del root[member]
        return status, headers, json.dumps(root).encode()
    px.rule("GET", "/dir", times=99, edit=edit)
    d = acmed(px, ["a.example.org"]).start()
    d.wait("CA not usable for now")
    assert member in d.status()["cas"][0]["trouble"]
    assert px.requests("POST") == []


def test_directory_of_nulls(px, acmed):
    """C1: all that is optional may be null."""
    def edit(status, headers, body):
        root = json.loads(body)
        keep = {k: root[k] for k in ("newNonce", "newAccount", "newOrder")}
        null = dict.fromkeys(("meta", "revokeCert", "keyChange",
                              "renewalInfo", "newAuthz", "surprise"))
        return status, headers, json.dumps({**null, **keep}).encode()
    px.rule("GET", "/dir", edit=edit)
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org")


@pytest.mark.parametrize("what", ["directory", "location", "finalize",
                                  "authorizations"])
def test_plain_http_urls(px, acmed, what):
    """A1: refused wherever they stand."""
    def edit(status, headers, body):
        if what == "location":
            headers = [(k, v.replace("https:", "http:") if k.lower() ==
                        "location" else v) for k, v in headers]
        else:
            root = json.loads(body)
            for k in ("newOrder", what):
                if k in root:
                    root[k] = json.loads(json.dumps(root[k]).replace(
                        "https:", "http:"))
            body = json.dumps(root).encode()
        return status, headers, body
    px.rule("GET" if what == "directory" else "POST",
            "/dir" if what == "directory" else ORDER, times=99, edit=edit)
    d = acmed(px, ["a.example.org"]).start()
    until(lambda: d.find("certificate not issued") or
          d.find("CA not usable for now"), 40)
    said = json.dumps(d.status())
    assert "not an https URL" in said or "no https Location" in said
    assert px.requests("POST", AUTHZ) == []
    assert px.ca.issued == 0


@pytest.mark.parametrize("what", ["key", "text", "other", "empty"])
def test_spoilt_certificate(px, acmed, what, cas):
    """H1, H2: what was not ordered is not installed; the old pair stays."""
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org")
    old = d.serial("a.example.org")

    def edit(status, headers, body):
        return status, headers, {
            "key": body + b"-----BEGIN PRIVATE KEY-----\nMAA=\n"
                          b"-----END PRIVATE KEY-----\n",
            "text": b"<html>sorry</html>",
            "other": (d.live("a.example.org") /
                      "fullchain.pem").read_bytes(),
            "empty": b""}[what]
    px.rule("POST", CERT, times=99, edit=edit)
    d.renew("a.example.org")
    d.wait("certificate not issued")
    assert d.serial("a.example.org") == old
    check_pair(d.live("a.example.org"))
    assert px.ca.orders <= 3


def test_hostile_token(px, acmed, work):
    """E11: checked before it is used for anything."""
    tokens = ["../../../../etc/passwd", "", "x" * 10000, "a/b" * 20,
              "%2e%2e%2f" * 5, 7, None]

    def edit(status, headers, body):
        root = json.loads(body)
        for c in root["challenges"]:
            c["token"] = tokens[0]
        return status, headers, json.dumps(root).encode()
    px.rule("POST", AUTHZ, times=999, edit=edit)
    d = acmed(px, ["a.example.org"]).start()
    for i in range(len(tokens)):
        d.wait("certificate not issued", count=i + 1)
        tokens.pop(0)
        if tokens:
            d.renew("a.example.org")
    assert px.requests("POST", CHALLENGE) == []


def test_strange_challenges(px, acmed):
    """E10: types that nobody knows, without token, are passed over."""
    def edit(status, headers, body):
        root = json.loads(body)
        root["challenges"] = [
            {"type": "dns-persist-01", "url": "https://x.example/1",
             "status": "pending", "issuer-domain-names": ["x"]},
            {"type": "new-02", "token": {"a": 1}, "url": 3}, 5, None,
            *root["challenges"]]
        return status, headers, json.dumps(root).encode()
    px.rule("POST", AUTHZ, times=99, edit=edit)
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org")


def test_hostile_words(px, acmed):
    """A22: what a CA says cannot work a terminal."""
    px.rule("POST", ORDER, times=9, answer=problem(
        "malformed", 400, "a\x1b[2Jb\nc\u0000d\u009b31me\u202ef"))
    d = acmed(px, ["a.example.org"]).start()
    d.wait("certificate not issued")
    shown = d.ctl("status").stdout + d.ctl("show", "a.example.org").stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", d.text())


def test_few_at_once(px, acmed):
    """Q6: not more orders at once than max-orders, however many are due; and
    newOrder never twice at the same time."""
    names = [f"q{i}.example.org" for i in range(30)]
    d = acmed(px, names, at_ca={"max-orders": 3}).start()
    d.installed(*names, timeout=60)
    assert px.most <= 4
    assert len(px.requests("GET", "/dir")) == 1
    assert len(px.requests("POST", "/sign-me-up")) == 1
    assert px.ca.orders == 30


def test_alternate_not_to_be_had(cas, acmed):
    """H6: the default chain is used then."""
    ca = cas("system", PEBBLE_CHAIN_LENGTH="4", PEBBLE_ALTERNATE_ROOTS="3")
    roots = re.findall(r"Generated new root issuer CN=(.*?) with serial",
                       ca.log_file.read_text())
    p = Proxy(ca)
    try:
        p.rule("POST", r"^/certZ/.*/alternate", times=99,
               answer=(503, [("Retry-After", "3600")], b""))
        d = acmed(p, [{"names": ["a.example.org"],
                       "preferred-chain": roots[2]}]).start()
        d.installed("a.example.org", timeout=40)
    finally:
        p.stop()
    assert ca.issued == 1
