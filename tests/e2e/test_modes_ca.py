# SPDX-License-Identifier: ISC
"""What CAs do to clients: the failure modes of real life that have a number,
played by the mock CA against the running daemon.  The others are in
test_modes_host.py."""
import json
import re
import time

import pytest
from util import (back_off, cert_names, free_port, proc_status, scenario,
                  seconds_to, until)

pytestmark = pytest.mark.root
A = "a.example.org"


def failed(d, name=A, count=1, timeout=40):
    """The trouble of a certificate after its count-th failed attempt."""
    d.wait("certificate not issued", cert=name, count=count, timeout=timeout)
    return d.cert(name)["trouble"]


REFUSALS = {
    "replaced": "alreadyReplaced 409", "conflict": "conflict 409",
    "unknown": "malformed 404 no such certificate",
    "field": "malformed 400 unknown field replaces",
    "other": "unauthorized 401", "account": "unauthorized 403",
    "server": "serverInternal 500 no such certificate",
    "untyped": "about:blank 422"}


def test_r01_replaces_refused(mock, acmed):
    """J12: once more without it in the same attempt, and never again for that
    predecessor."""
    ca = mock()
    names = [f"{n}.example.org" for n in REFUSALS]
    d = acmed(ca, names).start()
    d.installed(*names)
    for name, problem in zip(names, REFUSALS.values()):
        ca.play(f"on POST ^/order$ with replaces for {name}: "
                f"problem {problem}")
    for name in names:
        d.renew(name)
    d.installed(*names, version=2, timeout=60)
    assert not d.find("certificate not issued")
    for name in names:
        orders = ["replaces" in r.payload for r in ca.seen("newOrder")
                  if name in r.names]
        assert orders[:2] == [False, True] and orders[-1] is False, name
        assert 3 <= len(orders) <= 5, name  # a 500 is tried again first
    # The next one has another predecessor, which may be named.
    ca.clear()
    d.renew(names[0])
    d.installed(names[0], version=3)
    before = [c.ari for c in ca.acme.issued if c.names == [names[0]]]
    assert ca.seen("newOrder")[-1].payload["replaces"] == before[1]


@pytest.mark.parametrize("kind, status", [
    ("rateLimited", 429), ("caa", 403), ("rejectedIdentifier", 400),
    ("userActionRequired", 403)])
def test_r01_replaces_not_to_blame(mock, acmed, kind, status):
    """J12: what replaces has nothing to do with is not asked twice."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    ca.play(f"on POST ^/order$ with replaces: problem {kind} {status}")
    n = ca.count("newOrder")
    d.renew(A)
    until(lambda: ca.seen("newOrder")[n:] and
          ca.seen("newOrder")[-1].status == status and
          kind in json.dumps(d.status()), 20, "the refusal")
    assert ca.count("newOrder") == n + 1


def test_r02_ari_id(mock, acmed):
    """J1: the 00 in front of a serial is part of the id."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    want = ca.acme.issued[0].ari
    assert want.partition(".")[2].startswith("AI")
    assert d.cert(A)["ari_id"] == want


def test_r02_ari_asked(mock, acmed):
    """J2: that id, at the end of the URL; the mock complains of others."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    r = ca.wait("renewalInfo", status=200)
    assert r.path == f"/ari/{ca.acme.issued[0].ari}"
    assert d.find("certificate not issued") == []


def planned_by_life(d, ca, name=A):
    """Whether renew_at is where a third of the life is left."""
    c = ca.acme.issued[-1]
    due = c.end - (c.end - c.start) / 3
    at = time.time() + seconds_to(d.cert(name)["renew_at"])
    return abs(at - due) < (c.end - c.start) / 50


WINDOWS = {
    "zero-width": '{"start": "2027-01-01T00:00:00Z", '
                  '"end": "2027-01-01T00:00:00Z"}',
    "backwards": '{"start": "2027-02-01T00:00:00Z", '
                 '"end": "2027-01-01T00:00:00Z"}',
    "no-end": '{"start": "2027-01-01T00:00:00Z"}',
    "missing": "null", "numbers": '{"start": 1, "end": 2}',
    "no-dates": '{"start": "soon", "end": "later"}',
    "absurd": '{"start": "9999-01-01T00:00:00Z", '
              '"end": "9999-12-31T23:59:59Z"}',
    "long-ago": '{"start": "0000-01-01T00:00:00Z", '
                '"end": "0001-01-01T00:00:00Z"}'}


def test_r03_bad_windows(mock, acmed):
    """J4: no window is no answer."""
    names = [f"{n}.example.org" for n in WINDOWS]
    ca = mock("\n".join(
        f"on GET ^/ari/ for {name}: set suggestedWindow = {window}"
        for name, window in zip(names, WINDOWS.values())))
    d = acmed(ca, names).start()
    pids = d.pids()
    d.installed(*names)
    for i, name in enumerate(names):
        ca.wait("renewalInfo", names=[name])
        assert planned_by_life(d, ca, name)
    assert d.pids() == pids
    assert ca.orders == len(names)


ARI_DOWN = {
    "404": "problem malformed 404", "500": "html\n\tstatus 500",
    "rst": "rst", "lost": "drop", "cut": "body {", "endless": "endless",
    "nothing": "status 204", "limited": "problem rateLimited 429",
    "hangs": "hold", "too-late":
        'set suggestedWindow.start = "2098-01-01T00:00:00Z"\n'
        '\tset suggestedWindow.end = "2099-01-01T00:00:00Z"'}


def test_r04_ari_down(mock, acmed):
    """J5: whatever is wrong with renewalInfo, renewing goes on by the life."""
    d = acmed(mock(), ["x.example.org"])
    cas = {}
    for name, how in ARI_DOWN.items():
        ca = cas[name] = mock(f"life 20s\non GET ^/ari/:\n\t{how}")
        ca.acme.http_port = d.ca.http_port
        d.set(ca={name: {"directory": ca.directory,
                         "ca-file": str(ca.pki.root)}})
        d.conf["domains"].append({"names": [f"{name}.example.org"],
                                  "ca": name})
    d.start()
    d.installed(*[f"{n}.example.org" for n in cas], version=2, timeout=60)
    assert not d.find("certificate not issued")
    for name, ca in cas.items():
        assert 1 <= ca.count("renewalInfo") <= 12, name


def test_r04_ari_of_another_ca(mock, acmed):
    """J9, J11: the CA that issued is asked, and another one is not told of a
    certificate that is not its own."""
    one, two = mock(), mock()
    two.acme.http_port = one.http_port
    d = acmed(one, [A]).start()
    d.installed(A)
    one.wait("renewalInfo")
    d.set(ca={"second": {"directory": two.directory,
                         "ca-file": str(two.pki.root)}},
          defaults={"ca": "second"}).write()
    assert d.ctl("reload").returncode == 0
    d.installed(A, version=2)
    two.wait("renewalInfo")
    assert ["replaces" in r.payload for r in two.seen("newOrder")] == [False]
    assert {r.path for r in two.seen("renewalInfo")} == {
        f"/ari/{two.acme.issued[0].ari}"}


def test_r05_old_nonces(mock, acmed):
    """B2, B3, B6: those kept over a wait are refused; each refusal brings the
    next one, and nothing loops."""
    ca = mock("""
        nonce-life 1h
        on POST ^/authz/ hit 2: hold""")
    d = acmed(ca, [A]).start()
    until(lambda: ca.count("authz") == 2, 20, "the first poll")
    with ca.changed:
        for n in ca.acme.nonces:
            ca.acme.nonces[n] -= 2 * 3600
    ca.release()
    d.installed(A)
    refused = [r for r in ca.requests if r.error == "badNonce"]
    assert 1 <= len(refused) <= 3
    assert ca.count("newNonce") <= 2
    assert ca.orders == 1 and len(ca.requests) <= 20


def test_r05_no_nonce_is_good(mock, acmed):
    ca = mock("nonce-reject 100")
    d = acmed(ca, [A]).start()
    d.wait("CA not usable for now")
    assert 5 <= ca.count("newAccount") <= 11
    assert len(ca.requests) <= 25


@pytest.mark.parametrize("script", [
    "on POST ^/finalize/ hit 1..2: problem orderNotReady 403",
    "hold order pending 3"])
def test_r06_order_not_ready(mock, acmed, script):
    """E20: the order is looked at, and finalized when it is ready."""
    ca = mock(script)
    d = acmed(ca, [A]).start()
    d.installed(A, timeout=40)
    assert ca.orders == ca.issued == 1
    assert ca.count("finalize") <= 3


@pytest.mark.parametrize("born", ["ready listed", "ready empty",
                                  "ready missing"])
def test_r07_born_ready(mock, acmed, born):
    """E3: there is nothing to prove."""
    ca = mock(f"born {born}")
    d = acmed(ca, [[A, "b.example.org"]]).start()
    d.installed(A)
    assert ca.orders == ca.issued == 1
    assert ca.count("challenge") == 0


@pytest.mark.parametrize("script", [
    'set status = "valid"\n set certificate = "$base/cert/999"',
    'set status = "valid"', 'set status = "invalid"',
    'del authorizations', 'set authorizations = null'])
def test_r07_born_otherwise(mock, acmed, script):
    """E2, E3: another order is made, once; nothing crashes."""
    ca = mock(f"on POST ^/order$ hit 1:\n {script}")
    d = acmed(ca, [A]).start()
    pids = d.pids()
    until(lambda: d.find("certificate not issued") or d.version(A), 40)
    if not d.version(A):
        d.renew(A)
    d.installed(A)
    assert d.pids() == pids
    assert ca.orders == 2 and ca.issued == 1


@pytest.mark.parametrize("born", ["valid", "certless", "processing missing"])
def test_r07_never_of_use(mock, acmed, born):
    """E3: a CA that makes nothing but such orders: few of them."""
    ca = mock(f"born {born}")
    if born.startswith("valid"):
        failed(acmed(ca, [A]).start())
    else:
        d = acmed(ca, [A]).start()
        ca.wait("newOrder")
        until(lambda: d.find("certificate not issued") or
              ca.count("order") >= 3, 40)
        assert d.stop(10) == 0
    assert ca.orders <= 2
    assert ca.count("finalize") == 0


def test_r08_authorization_valid(mock, acmed):
    """E8: no token is published, no challenge answered."""
    ca = mock("reuse authzs")
    d = acmed(ca, [[A, "b.example.org"]]).start()
    d.installed(A)
    asked = ca.count("challenge"), len(ca.acme.fetched)
    assert asked == (2, 2)
    d.renew(A)
    d.installed(A, version=2)
    assert (ca.count("challenge"), len(ca.acme.fetched)) == asked
    # One is, the other is not.
    ca.acme.authzs[next(iter(ca.acme.authzs))].status = "expired"
    d.renew(A)
    d.installed(A, version=3)
    assert ca.count("challenge") == 3


@pytest.mark.parametrize("script, most", [
    ("hold authz processing 3", 1), ("hold authz pending 3", 1),
    ("hold authz error 1 dns no such name", 2),
    ("hold authz error 1 dns no such name\nrepost refused", 2)])
def test_r10_challenge_takes_long(mock, acmed, script, most):
    """E14, E15: processing is waited for; what stays pending with an error is
    answered again, a few times."""
    ca = mock(script)
    d = acmed(ca, [A]).start()
    if "refused" in script:
        d.wait("validation failed, the CA will try again")
        ca.wait("challenge", 2, timeout=30)
        until(lambda: ca.count("authz") >= 3, 20, "another look")
        assert d.cert(A)["state"] == "issuing"
    else:
        d.installed(A, timeout=40)
    assert ca.count("challenge") == most
    assert ca.orders == 1


@pytest.mark.parametrize("token", [
    "../../../../etc/passwd", "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc", "", "a/b" * 20,
    "short", "x" * 10000, "nul\0nul" * 10, "ü" * 30])
def test_r11_token(mock, acmed, token):
    """E11"""
    ca = mock(f"""
        challenges http-01
        on POST ^/authz/: set challenges.0.token = {json.dumps(token)}""")
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert "token" in t["text"]
    assert ca.count("challenge") == 0
    assert [p for p in d.state.rglob("*") if "passwd" in p.name] == []


PLAIN = {
    "newNonce": ("GET ^/dir", "newNonce"), "newOrder": ("GET ^/dir",
                                                        "newOrder"),
    "finalize": ("POST ^/order$", "finalize"),
    "authorizations": ("POST ^/order$", "authorizations.0"),
    "certificate": ("POST ^/(order|finalize)/", "certificate"),
    "challenge": ("POST ^/authz/", "challenges.0.url")}


@pytest.mark.parametrize("what", [*PLAIN, "Location"])
def test_r12_plain_http(mock, acmed, what):
    """A1: not one byte goes there."""
    port = free_port()
    bad = f"http://localhost:{port}/x"
    if what == "Location":
        ca = mock(f"on POST ^/order$: header Location: {bad}")
    else:
        on, member = PLAIN[what]
        ca = mock(f'challenges http-01\non {on}: set {member} = "{bad}"')
    d = acmed(ca, [A]).start()
    until(lambda: d.find("certificate not issued") or
          d.find("CA not usable for now"), 40)
    said = json.dumps(d.status())
    assert "https" in said and ca.orders <= 2
    assert d.version(A) == 0


def test_r13_huge_retry_after(mock, acmed):
    """E16: minutes at most, which a scenario waits for; here a person need
    not, and no number is too large."""
    scenario("e16-retry-after")
    ca = mock("""
        on POST ^/order$ hit 1: problem rateLimited 429 slow down
            header Retry-After: 99999999999999999999
        on POST ^/order$ hit 2: problem rateLimited 429 slow down
            header Retry-After: 31536000""")
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert 3000 < seconds_to(t["next"]) < 90000
    d.renew(A)
    t = failed(d, count=2)
    assert seconds_to(t["next"]) > 3600
    assert d.ctl("status").returncode in (0, 1)
    d.renew(A)
    d.installed(A)
    assert ca.count("newOrder") == 3


@pytest.mark.parametrize("form, skew", [("date", "0s"), ("rfc850", "-50h"),
                                        ("asctime", "26h")])
def test_r14_retry_after_date(mock, acmed, form, skew):
    """E17: three forms of a date, by the server's own clock."""
    ca = mock(f"""
        date {skew}
        on POST ^/order$ hit 1: status 503
            header Retry-After: ${form}+2s""")
    d = acmed(ca, [A]).start()
    d.installed(A)
    x, = d.find("asking again")
    assert 1000 <= x["wait_ms"] <= 3000
    first, second = ca.seen("newOrder")
    assert second.at - first.at >= 0.9


def test_r22_account_vanished(mock, acmed):
    """D6: registered again, once, with the same key."""
    ca = mock()
    d = acmed(ca, [A, "b.example.org"]).start()
    d.installed(A, "b.example.org")
    key = {a.key.thumbprint for a in ca.acme.accounts.values()}
    ca.forget()
    d.renew(A)
    d.renew("b.example.org")
    d.installed(A, "b.example.org", version=2)
    assert {a.key.thumbprint for a in ca.acme.accounts.values()} == key
    assert ca.accounts == 2 and len(ca.acme.accounts) == 1
    # Gone again within half a minute: that is not a loop, nor a failure of
    # the certificate.
    ca.forget()
    n = ca.count("newAccount")
    d.renew(A)
    d.wait("issuing has to wait", cert=A)
    assert d.cert(A)["trouble"]["type"] == "accountDoesNotExist"
    assert ca.count("newAccount") == n
    d.installed(A, version=3, timeout=60)
    assert ca.count("newAccount") == n + 1
    assert not d.find("certificate not issued")


@pytest.mark.parametrize("status", ["deactivated", "revoked"])
def test_r22_account_not_valid(mock, acmed, status):
    """D6, D7: never again by itself."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    ca.play(f"accounts {status}")
    n = ca.count("newAccount")
    d.renew(A)
    until(lambda: d.status()["cas"][0]["stopped"], 20)
    assert status in d.status()["cas"][0]["trouble"]
    assert ca.count("newAccount") == n
    assert ca.count("newOrder") == 2


def test_r23_registration_race(mock, acmed):
    """D1: fifty begin at once, one account is made."""
    ca = mock("on POST ^/account$: delay 500ms")
    names = [f"r{i}.example.org" for i in range(50)]
    d = acmed(ca, names).start()
    d.installed(*names, timeout=60)
    assert ca.count("newAccount") == len(ca.acme.accounts) == 1
    assert len(list((d.state / "keeper").glob("account-*"))) == 1
    assert ca.count("directory") == 1
    assert ca.most["newOrder"] == 1


def test_r24_binding_used_once(mock, acmed, work):
    """D13: the secret is of use once; then it may be gone."""
    secret = work / "hmac"
    secret.touch(mode=0o600)
    secret.write_text("A" * 43)
    ca = mock(f"eab kid-1 {'A' * 43}")
    d = acmed(ca, [A], at_ca={
        "eab": {"kid": "kid-1", "hmac-file": str(secret)}}).start()
    d.installed(A)
    ca.acme.eab.clear()
    secret.unlink()
    d.stop()
    d.start()
    assert f"hmac-file: {secret}: No such file" in d.text()
    d.renew(A)
    d.installed(A, version=2)
    assert ca.count("newAccount") == 1


def test_r24_binding_expired(mock, acmed, work):
    """It never was of use: told, and not tried again."""
    secret = work / "hmac"
    secret.touch(mode=0o600)
    secret.write_text("A" * 43)
    ca = mock("eab other " + "B" * 42 + "A")
    d = acmed(ca, [A], at_ca={
        "eab": {"kid": "kid-1", "hmac-file": str(secret)}}).start()
    until(lambda: d.status()["cas"][0]["stopped"], 20)
    assert "kid-1" in d.status()["cas"][0]["trouble"]
    assert ca.count("newAccount") == 1


@pytest.mark.parametrize("script", [
    "", "hold order processing 2",
    "on POST ^/finalize/: header Location: https://mock.example/elsewhere"])
def test_r25_no_location_later(mock, acmed, script):
    """E1: the Location of newOrder is the order's URL, and no other."""
    ca = mock(script)
    d = acmed(ca, [A]).start()
    d.installed(A)
    assert ca.orders == ca.issued == 1


@pytest.mark.parametrize("script", [
    "\n".join(f"set {m} = null" for m in (
        "meta", "revokeCert", "keyChange", "renewalInfo")),
    "set meta.profiles = null\nset meta.caaIdentities = null\n"
    "set meta.website = 7\nset meta.termsOfService = []",
    "set meta = []", "header Content-Type: text/plain",
    "header Content-Type: Application/JSON; charset=utf-8",
    "del meta\ndel renewalInfo\ndel revokeCert\ndel keyChange"])
def test_r26_poor_directory(mock, acmed, script):
    """C1, A20"""
    lines = "\n".join(f"\t{x}" for x in script.splitlines())
    ca = mock(f"on GET ^/dir:\n{lines}")
    d = acmed(ca, [A]).start()
    d.installed(A)
    assert ca.count("directory") == 1


def test_r26_redirected_directory(mock, acmed):
    """A26, C4: redirects; an empty path; a query."""
    for path, script in (
            ("/dir", "on GET ^/dir$: status 301\n"
                     "\theader Location: $base/dir/2"),
            ("", ""), ("/", ""), ("/dir?a=%2F&b", "")):
        ca = mock(script, breaches=True)
        d = acmed(ca, [A], at_ca={"directory": ca.base + path}).start()
        d.installed(A)
        assert [b for b in ca.breaches if "directory" not in b and
                "/dir" not in b and "GET /" not in b] == []
        d.stop()
    ca = mock("on POST ^/order$: status 307\n\theader Location: $base/dir")
    d = acmed(ca, [A]).start()
    failed(d)
    assert ca.count("newOrder") == 1 and ca.count("directory") == 1


@pytest.mark.parametrize("script, says", [
    ("html 400 <h1>\x1b[31mno</h1>", "HTTP 400"), ("status 400", "HTTP 400"),
    ('body {"type":"urn:ietf:params:acme:error:malformed",'
     '"detail":"so\\u001b it is"}\n\tstatus 400', "so? it is"),
    ('body {"detail":"only that"}\n\tstatus 418', "only that"),
    ('body ["x"]\n\tstatus 422', "HTTP 422")])
def test_r27_odd_problems(mock, acmed, script, says):
    """A21: told as far as it can be."""
    if script.startswith("html"):
        script = script.replace("400 ", "", 1) + "\n\tstatus 400"
    ca = mock(f"on POST ^/order$:\n\t{script}")
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert says in t["text"]
    assert not re.search("[\x00-\x1f]", t["text"])
    assert ca.count("newOrder") == 1


def test_r27_html_5xx(mock, acmed):
    """P: tried again, soon, a few times; then it is the CA's trouble."""
    ca = mock("on POST ^/order$ hit 1..2: html <p>oops</p>\n\tstatus 502")
    d = acmed(ca, [A]).start()
    d.installed(A)
    ca.play("on POST ^/order$: html <p>oops</p>\n\tstatus 502")
    n = ca.count("newOrder")
    d.renew(A)
    d.wait("CA not usable for now")
    assert "oops" in d.status()["cas"][0]["trouble"]
    assert ca.count("newOrder") - n <= 3


@pytest.mark.parametrize("kind, detail, hint", [
    ("connection", "2001:db8::1: Fetching http://a.example.org/: Timeout",
     "AAAA"),
    ("unauthorized", "2001:db8::1: Invalid response: 404", "AAAA")])
def test_r28_aaaa_elsewhere(mock, acmed, kind, detail, hint):
    """F6: the address that the CA went to is told, and what to look at."""
    ca = mock(f"fail {A} 1 {kind} {detail}")
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert t["type"] == kind and "2001:db8::1" in t["text"]
    assert hint in t["hint"]
    assert hint in " ".join(d.ctl("status").stdout.split())


def test_r29_no_newline(mock, acmed):
    """F1: the answer to a challenge, byte for byte."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    (status, headers, body), = ca.acme.fetched
    token = next(c.token for c in ca.acme.challenges.values()
                 if c.kind == "http-01")
    thumb = d.status()["cas"][0]["thumbprint"]
    assert status == 200 and body == f"{token}.{thumb}".encode()
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("kind, detail, words", [
    ("tls", "Fetching https://a.example.org/: tls error", "redirects"),
    ("unauthorized", "Invalid response from https://b.example.org/login: 200",
     "another server"),
    ("incorrectResponse", "The key authorization file was wrong",
     "another web server"),
    ("unauthorized", "During secondary validation: Invalid response",
     "several places")])
def test_r30_redirected_elsewhere(mock, acmed, kind, detail, words):
    """F7: what to look at; our own listener never redirects a challenge."""
    ca = mock(f"fail {A} 1 {kind} {detail}")
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert words in t["hint"] and detail in t["text"]
    assert [s for s, _, _ in ca.acme.fetched] == [200]


def test_r31_csr(mock, acmed):
    """E21: long names, addresses and many names: the mock takes the CSR apart,
    and lets nothing but the names in."""
    long = ["x" * 63 + ".example.org", "a." + "b" * 62 + ".example.org"]
    many = [f"n{i}.example.org" for i in range(100)]
    sets = [long, ["127.0.0.1", "::1", A], ["127.0.0.2"], many,
            ["xn--bcher-kva.example"]]
    ca = mock("valid always")
    d = acmed(ca, [{"name": f"s{i}", "names": s, "key": k} for i, (s, k) in
                   enumerate(zip(sets, ("ec256", "ec384", "rsa2048", "ec256",
                                        "ec256")))]).start()
    d.installed(*[f"s{i}" for i in range(len(sets))], timeout=60)
    assert cert_names(d.live("s3") / "cert.pem") == set(many)
    assert ca.orders == ca.issued == len(sets)


def test_r32_old_order(mock, acmed):
    """E9: what has failed is not tried on the same order."""
    ca = mock(f"fail {A} 1 connection refused")
    d = acmed(ca, [[A, "b.example.org"]]).start()
    failed(d)
    first = set(ca.acme.orders)
    d.renew(A)
    d.installed(A)
    used = {r.path.split("/")[2] for r in ca.seen("finalize")}
    assert len(used) == 1 and not used & first


@pytest.mark.parametrize("status", ["invalid", "expired", "revoked",
                                    "deactivated"])
def test_r32_reused_order(mock, acmed, status):
    """E9, E25: of a CA that gives the old order again: left alone, and no
    loop."""
    ca = mock(f"""
        on POST ^/order$ hit 1:
        reuse orders
        on POST ^/authz/ hit 1: set status = "{status}" """)
    d = acmed(ca, [A]).start()
    until(lambda: d.version(A) or d.find("certificate not issued"), 40)
    if not d.version(A):
        d.renew(A)
    d.installed(A)
    assert ca.count("newOrder") <= 3
    assert not any(r.payload and r.payload.get("status")
                   for r in ca.requests)


def test_r32_expired_order(mock, acmed):
    """E25: a CA that gives an order again which is about to expire, and when it
    has: that is waited for, then there are few questions and no loop."""
    ca = mock("order-life 1s\nreuse expired")
    d = acmed(ca, [A]).start()
    d.wait("the CA's order ends too soon, waiting for a new one")
    failed(d)
    assert ca.count("newOrder") <= 3 and ca.issued == 0
    ca.play("reuse\norder-life 1h")
    d.renew(A)
    d.installed(A)


def test_r34_chains(mock, acmed):
    """H5, H8: the wrong alternate is never chosen, and a chain that ends
    before its leaf is told."""
    ca = mock("alternates 2\nchain-end 30d")
    roots = [c.subject.rfc4514_string().removeprefix("CN=")
             for c in ca.acme.authority.roots]
    d = acmed(ca, [{"name": "x", "names": [A], "preferred-chain": roots[2]},
                   {"name": "y", "names": [A], "preferred-chain": "DST X3"},
                   {"name": "z", "names": ["z.example.org"]}]).start()
    d.installed("x", "y", "z")
    tops = [ca.acme.authority.tops[i] for i in (2, 0, 0)]
    for name, top in zip("xyz", tops):
        chain = (d.live(name) / "chain.pem").read_bytes()
        assert chain == top.public_bytes(pem_encoding())
    assert len(d.find("an issuer in the chain ends before the certificate: "
                      "look for another chain of the CA, for "
                      "preferred-chain")) == 3
    x, = d.find("preferred chain not offered, the CA's default is used")
    assert x["cert"] == "y"


def pem_encoding():
    from cryptography.hazmat.primitives.serialization import Encoding
    return Encoding.PEM


@pytest.mark.parametrize("what", ["wrong-key", "expired", "not-yet", "key",
                                  "more-names", "empty"])
def test_r34_not_what_was_ordered(mock, acmed, what):
    """H1, H2: the old pair stays."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    old = d.serial(A)
    ca.play(f"on POST ^/cert/: pem {what}")
    d.renew(A)
    failed(d)
    assert d.serial(A) == old and d.version(A) == 1
    d.check_state(A)
    assert ca.orders <= 3
    ca.clear()
    d.renew(A)
    d.installed(A, version=2)


@pytest.mark.parametrize("script", [
    "on POST ^/{} reused hit 1: rst", "on POST ^/{} hit 1: drop",
    "on POST ^/{} hit 1: rst-body", "on POST ^/{}: close",
    "on POST ^/{}: idle 1ms"])
@pytest.mark.parametrize("path", ["order$", "(challenge|finalize|cert)/"])
def test_r36_stale_connections(mock, acmed, script, path):
    """A23, A24: a connection that dies costs a retry, and for newOrder one
    order at most."""
    ca = mock(script.format(path))
    d = acmed(ca, [A]).start()
    d.installed(A, timeout=40)
    assert ca.issued == 1
    lost = "order" in path and ("drop" in script or "body" in script)
    made = len([o for o in ca.acme.orders.values()])
    assert made == (2 if lost else 1)


def test_r37_terms_changed(mock, acmed):
    """D10: one question, the CA's words, a person."""
    ca = mock()
    names = [A, "b.example.org", "c.example.org"]
    d = acmed(ca, names).start()
    d.installed(*names)
    ca.play("""
        on POST ^/order$: problem userActionRequired 403 new terms
            header Link: <https://mock.example/tos2>;rel="terms-of-service"
            set instance = "https://mock.example/agree" """)
    n = ca.count("newOrder")
    for name in names:
        d.renew(name)
    until(lambda: d.status()["cas"][0]["stopped"], 20)
    said = d.status()["cas"][0]["trouble"]
    assert "https://mock.example/agree" in said
    assert "https://mock.example/tos2" in said
    assert "new terms" in " ".join(d.ctl("status").stdout.split())
    assert ca.count("newOrder") - n <= len(names)
    ca.clear()
    assert d.ctl("reload").returncode == 0
    d.renew(A)
    d.installed(A, version=2)


def test_r38_paused(mock, acmed):
    """M2, Q1: a name that has failed for too long: the whole address, and no
    more than a look a day; a scenario waits for that day."""
    scenario("m02-paused")
    scenario("q01-ladder")
    ca = mock("limits letsencrypt")
    d = acmed(ca, [A, "b.example.org"])
    d.set(domains=["b.example.org"]).start()
    d.installed("b.example.org")
    account = next(iter(ca.acme.accounts))
    ca.acme.limits.paused.add((account, A))
    d.set(domains=["b.example.org", A]).write()
    assert d.ctl("reload").returncode == 0
    t = failed(d)
    assert t["operator"] is True and t["type"] == "rateLimited"
    assert t["url"].endswith("x" * 200)
    assert 22 * 3600 < seconds_to(t["next"]) < 26 * 3600
    assert t["url"] in d.ctl("status").stdout
    # Its neighbour is not touched.
    d.renew("b.example.org")
    d.installed("b.example.org", version=2)
    n = ca.count("newOrder")
    d.stop()
    d.start()
    assert d.cert(A)["trouble"] == t
    assert ca.count("newOrder") == n


@pytest.mark.parametrize("change", [
    {"names": [A, "b.example.org"]}, {"key": "ec384"}, {"ca": "second"},
    {"profile": "short"}],
    ids=lambda c: next(iter(c)))
def test_r39_changed_configuration(mock, acmed, change):
    """J13: at once, whatever the CA's window says."""
    ca = mock("window 40d 50d\nprofile short 6d\nprofile long 90d")
    two = mock()
    two.acme.http_port = ca.http_port
    entry = {"name": "x", "names": [A]}
    d = acmed(ca, [entry])
    d.set(ca={"second": {"directory": two.directory,
                         "ca-file": str(two.pki.root)}}).start()
    d.installed("x")
    d.set(domains=[{**entry, **change}]).write()
    assert d.ctl("reload").returncode == 0
    d.installed("x", version=2)
    assert ca.issued + two.issued == 2
    if "profile" in change:
        assert ca.seen("newOrder")[-1].payload["profile"] == "short"


@pytest.mark.parametrize("how", ["down", "html 503", "problem serverInternal "
                                                     "500"])
def test_r40_failover(mock, acmed, how):
    """N2: the next CA of the list, with an account of its own."""
    one, two = mock(), mock()
    two.acme.http_port = one.http_port
    d = acmed(one, [A])
    d.set(ca={"second": {"directory": two.directory,
                         "ca-file": str(two.pki.root)}},
          defaults={"ca": ["test", "second"], "failover-after": 1})
    if how == "down":
        one.stop()
    else:
        one.play(f"on POST ^/order$: {how}\n" +
                 ("\tstatus 503" if "html" in how else ""))
    d.start()
    d.installed(A, timeout=90)
    assert one.issued == 0 and two.issued == 1
    assert d.cert(A)["issued_by"] == "second"
    assert len(one.requests) <= 40


@pytest.mark.parametrize("kind", ["connection", "dns"])
def test_r40_no_failover(mock, acmed, kind):
    """N2: what would fail anywhere is no reason to go elsewhere."""
    one, two = mock(f"fail {A} always {kind}"), mock()
    two.acme.http_port = one.http_port
    d = acmed(one, [A])
    d.set(ca={"second": {"directory": two.directory,
                         "ca-file": str(two.pki.root)}},
          defaults={"ca": ["test", "second"], "failover-after": 1})
    d.start()
    failed(d)
    assert two.count("newOrder") == 0
    assert back_off(d.cert(A)["trouble"]) > 40


def test_r41_caa(mock, acmed):
    """P: the name, the CA's own identities, the ladder; not a person's matter
    alone, because DNS may lag."""
    ca = mock(f"fail {A} 1 caa CAA record for {A} prevents issuance")
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert t["type"] == "caa" and A in t["text"]
    assert "CAA" in t["hint"]
    assert d.status()["cas"][0]["caa_identities"] == ["mock.example"]
    assert 40 < back_off(t) < 80
    d.renew(A)
    d.installed(A)


@pytest.mark.parametrize("record, good", [
    ("other.example", False), ("mock.example", True), (";", False)])
def test_r41_caa_before_ordering(mock, cas, acmed, record, good):
    """C6: acmed looks itself, also at the domain above."""
    dns = cas("system")
    dns.dns("add-caa", host="caa.example.",
            policies=[{"tag": "issue", "value": record}])
    ca = mock()
    d = acmed(ca, ["www.caa.example"], resolvers=[
        f"127.0.0.1:{dns.dns_port}"]).start()
    d.installed("www.caa.example")
    try:
        r = d.ctl("check", "www.caa.example")
        assert (r.returncode == 0) == good, r.stdout + r.stderr
        if not good:
            assert "caa.example" in r.stdout + r.stderr
            assert "mock.example" in r.stdout + r.stderr
    finally:
        dns.dns("clear-caa", host="caa.example.")


@pytest.mark.parametrize("script", [
    "challenges dns-persist-00 http-01", "challenges http-01 dns-persist-01",
    "challenges dns-persist-02 unknown odd http-01 dns-01"])
def test_r44_challenges_without_token(mock, acmed, script):
    """E10, L4, L7"""
    ca = mock(script)
    d = acmed(ca, [[A, "b.example.org"]]).start()
    d.installed(A)
    asked = {ca.acme.challenges[r.path.split("/")[2]].kind
             for r in ca.seen("challenge")}
    assert asked == {"http-01"}


def test_r44_nothing_for_us(mock, acmed):
    ca = mock("challenges dns-persist-00 dns-persist-01 unknown odd dns-01")
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert "no http-01 challenge" in t["text"]
    assert "dns-01" in t["text"]
    assert ca.count("challenge") == 0


@pytest.mark.parametrize("form, good", [
    ("crlf", True), ("no-newline", True), ("text", True), ("nul", False),
    ("leaf-only", True)])
def test_r43_pem(mock, acmed, form, good):
    """H1, H3: what is between certificates, and at the end of them."""
    ca = mock(f"on POST ^/cert/: pem {form}")
    d = acmed(ca, [A]).start()
    pids = d.pids()
    if good:
        d.installed(A)
        d.check_state(A)
        text = (d.live(A) / "fullchain.pem").read_bytes()
        assert b"\r" not in text and b"subject=" not in text
        assert text.endswith(b"-----END CERTIFICATE-----\n")
    else:
        failed(d)
        assert d.version(A) == 0
    assert d.pids() == pids


def test_r43_hostile_numbers(mock, acmed):
    """Dates, sizes, depths and lengths that break parsers."""
    ca = mock("""
        on POST ^/order$ hit 1: set expires = "9999-12-31T23:59:59Z"
        on POST ^/order$ hit 2: set expires = "99999-12-31T23:59:59Z"
        on POST ^/order$ hit 3: endless
        on POST ^/order$ hit 4: header Replay-Nonce: \
""" + "A" * 9000 + """
        on POST ^/order$ hit 5: header Link: <<<>>;;;"=,,rel=
        on POST ^/order$ hit 6: set authorizations = """ +
              json.dumps([f"https://localhost/{i}" for i in range(3000)]) + """
        on POST ^/order$ hit 7: body """ + '{"a":' * 40000 + """
        on POST ^/cert/ hit 2: pem nul
        on POST ^/cert/ hit 3: pem crlf
        """, breaches=True)
    d = acmed(ca, [A]).start()
    pids = d.pids()
    ended = 0
    while ca.count("newOrder") < 7:
        # an order whose certificate was of no use goes on: not one for each
        until(lambda: sum(line["msg"] in (
            "certificate installed", "certificate not issued",
            "issuing has to wait") for line in d.lines) > ended, 40,
            f"attempt {ended + 1}")
        ended += 1
        d.renew(A)
    until(lambda: d.cert(A)["state"] in ("valid", "none"), 40)
    assert d.pids() == pids
    d.check_state(A)
    assert int(proc_status(pids["acmed-engine"])["VmHWM"].split()[0]) < 80000
    key, = (d.state / "keeper").glob("account-*")
    assert key.stat().st_mode & 0o777 == 0o600
