# SPDX-License-Identifier: ISC
"""Every row of the table from error to action: what becomes of a certificate
whose CA answers so, when it is tried again, and what the CA hears meanwhile."""
import json

import pytest
from util import back_off, seconds_to, until, when

pytestmark = pytest.mark.root
A, B = "a.example.org", "b.example.org"
MINUTE, HOUR, DAY = 60, 3600, 86400


class Case:
    """A CA that plays a script, and a daemon with two certificates, of which
    the rules "for a.example.org" spoil one."""

    def __init__(self, ca, d):
        self.ca, self.d = ca, d

    def failed(self, count=1, name=A):
        """The trouble of its count-th failure."""
        self.d.wait("certificate not issued", cert=name, count=count,
                    timeout=40)
        return self.d.cert(name)["trouble"]

    def next(self, low, high, name=A):
        """The next attempt is so far away, and a restart changes nothing."""
        self.d.installed(B)  # so that nothing else is under way
        t = self.d.cert(name)["trouble"]
        assert low <= back_off(t) <= high, t
        asked = self.ca.count(method="POST")
        self.d.stop()
        self.d.start()
        assert self.d.cert(name)["trouble"] == t
        assert self.ca.count(method="POST") == asked

    def stopped(self):
        """What the CA's entry says when its account is stopped."""
        return until(lambda: (c := self.d.status()["cas"][0])["stopped"] and
                     c["trouble"], 20, "the account to be stopped")

    def orders(self, name=A):
        return [r for r in self.ca.seen("newOrder") if name in r.names]

    def neighbour(self):
        self.d.installed(B)


@pytest.fixture
def case(mock, acmed):
    def make(script, names=(A, B), **kw):
        ca = mock(script)
        return Case(ca, acmed(ca, list(names), **kw).start())
    return make


def by_ladder(t, operator=False):
    """A failed attempt like any other: the first step is a minute."""
    assert t["operator"] is operator and t["failures"] == 1
    assert 40 <= back_off(t) <= 75


def closed(cas):
    """For how long a CA is left alone after its first failure."""
    return when(cas["next_at"]) - when(cas["since"])


def daily(c, t):
    """A person's matter: looked at again once a day, and told as such."""
    assert t["operator"] is True
    assert c.d.cert(A)["health"] == "bad"
    assert c.d.ctl("status").returncode == 1
    c.next(22 * HOUR, 26 * HOUR)


def test_p_bad_nonce(case):
    """At once, with the nonce of the refusal."""
    c = case("on POST ^/order$ hit 1..3 for a.example.org: problem badNonce")
    c.d.installed(A, B)
    asked = c.orders()
    assert len(asked) == 4
    for refusal, again in zip(asked, asked[1:]):
        assert again.jws.protected["nonce"] == refusal.gave
        assert again.at - refusal.at < 10
    assert not c.d.find("asking again")
    assert len({r.jws.protected["nonce"] for r in asked}) == 4


def test_p_bad_nonce_always(case):
    """Not more than ten times; its neighbour is not touched."""
    c = case("on POST ^/order$ for a.example.org: problem badNonce 400 stale")
    t = c.failed()
    assert t["type"] == "badNonce" and "stale" in t["text"]
    assert 5 <= len(c.orders()) <= 11
    by_ladder(t)
    c.neighbour()


@pytest.mark.parametrize("said", [7200, 200000])
def test_p_rate_limited(case, said):
    """Not before that, also after a restart; it is this certificate's."""
    c = case(f"""
        on POST ^/order$ for a.example.org: problem rateLimited 429 too many
            header Retry-After: {said}
            header Link: +<https://mock.example/limits>;rel="help" """)
    t = c.failed()
    assert t["type"] == "rateLimited" and "too many" in t["text"]
    assert "https://mock.example/limits" in t["text"]
    assert t["operator"] is False and "wait" in t["hint"]
    c.neighbour()
    c.next(said - 60, said + 60)
    assert len(c.orders()) == 1


def test_p_rate_limited_beyond_its_end(case):
    """M1: obeyed; but a person hears at once what it comes to."""
    c = case("life 3d")
    c.d.installed(A)
    c.ca.play("""
        on POST ^/order$ for a.example.org: problem rateLimited 429 too many
            header Retry-After: 500000""")
    c.d.renew(A)
    said = c.d.wait("certificate not issued")
    assert "list another CA" in said["hint"] and said["ends"] < said["next"]
    r = c.d.ctl("status")
    assert r.returncode == 1
    assert "list another CA" in " ".join(r.stdout.split())


def test_p_rate_limited_paused(case):
    """The whole address, a person, a look a day."""
    url = "https://mock.example/sfe/v1/unpause?jwt=" + "x" * 400
    c = case("on POST ^/order$ for a.example.org: problem rateLimited 429 "
             f"Please visit: {url}")
    t = c.failed()
    assert t["url"] == url
    assert url in c.d.ctl("status").stdout
    c.neighbour()
    daily(c, t)
    assert len(c.orders()) == 1


def test_p_rate_limited_unsaid(case):
    """An hour, then two, and so on."""
    c = case("on POST ^/order$ for a.example.org: problem rateLimited 429")
    t = c.failed()
    assert t["operator"] is False and "url" not in t
    assert HOUR - 60 <= back_off(t) <= HOUR + 60
    c.neighbour()
    c.d.renew(A)
    t = c.failed(2)
    assert 2 * HOUR - 60 <= back_off(t) <= 2 * HOUR + 60
    c.next(2 * HOUR - 70, 2 * HOUR + 60)
    assert len(c.orders()) == 2


@pytest.mark.parametrize("how", [
    "problem serverInternal 500", "html 502\n status 502", "status 503",
    "status 504", "rst"])
def test_p_transient(case, how):
    """A few tries within seconds, and then a minute: of the certificate, or of
    the CA."""
    c = case(f"on POST ^/order$:\n {how}", names=[A])
    until(lambda: c.d.find("certificate not issued") or
          c.d.find("CA not usable for now"), 40)
    asked = c.orders()
    # libcurl tries a connection that it has used before once more by itself.
    assert 2 <= len(asked) <= (6 if how == "rst" else 3)
    for one, two in zip(asked, asked[1:]):
        assert how == "rst" or 0.1 <= two.at - one.at
    assert all(x["wait_ms"] <= 6000 for x in c.d.find("asking again"))
    cas = c.d.status()["cas"][0]
    if "next_at" in cas:
        assert 20 <= closed(cas) <= 90
        assert "failures" not in c.d.cert(A).get("trouble", {}) or \
            c.d.cert(A)["trouble"]["failures"] == 0
    else:
        by_ladder(c.failed())
    c.ca.clear()
    c.d.renew(A)
    c.d.installed(A)


def test_p_transient_retry_after(case):
    """The CA's own time, for all of its certificates."""
    c = case("""
        on POST ^/order$:
            status 503
            header Retry-After: 1000""")
    c.d.wait("CA not usable for now")
    at = seconds_to(c.d.status()["cas"][0]["next_at"])
    assert 950 <= at <= 1010
    n = c.ca.count("newOrder")
    assert n <= 2
    c.d.stop()
    c.d.start()
    assert abs(seconds_to(c.d.status()["cas"][0]["next_at"]) - at) < 20
    assert c.ca.count("newOrder") == n


def test_p_ca_down(mock, acmed):
    """Connection refused: one finds out, nobody's certificate has failed."""
    ca = mock()
    ca.stop()
    names = [f"d{i}.example.org" for i in range(10)]
    d = acmed(ca, names).start()
    d.wait("CA not usable for now")
    assert 20 <= closed(d.status()["cas"][0]) <= 45
    assert not d.find("certificate not issued")
    ca.start()
    d.renew(names[3])
    d.installed(*names, timeout=60)
    assert ca.orders == 10


def test_p_dns_of_ca(mock, acmed):
    """No network at boot: half a minute, and nothing has failed."""
    ca = mock()
    d = acmed(ca, [A], at_ca={
        "directory": "https://no-such-host.invalid/dir"}).start()
    d.wait("CA not usable for now")
    cas = d.status()["cas"][0]
    assert 20 <= closed(cas) <= 45
    assert "no-such-host.invalid" in cas["trouble"]
    assert d.cert(A).get("trouble", {}).get("failures", 0) == 0
    assert not d.find("certificate not issued")


def test_p_order_not_ready(case):
    """The order is looked at; the same order goes on."""
    c = case("on POST ^/finalize/ hit 1 for a.example.org: "
             "problem orderNotReady 403")
    c.d.installed(A, B)
    assert len(c.orders()) == 1
    assert [r.error for r in c.ca.seen("finalize") if A in r.names] == [
        "orderNotReady", ""]
    between = c.ca.requests[
        c.ca.requests.index(c.ca.seen("finalize", error="orderNotReady")[0]):]
    assert [r for r in between if r.endpoint == "order" and A in r.names]


@pytest.mark.parametrize("kind", ["conflict", "malformed"])
def test_p_conflict_on_challenge(case, kind):
    """It is being validated: the authorization is polled."""
    c = case(f"""
        on POST ^/challenge/ for a.example.org:
            process
            problem {kind} 409""")
    c.d.installed(A, B)
    assert len([r for r in c.ca.seen("challenge") if A in r.names]) == 1
    assert len(c.orders()) == 1


def test_p_already_replaced(case):
    """Without replaces, in the same attempt."""
    c = case("")
    c.d.installed(A, B)
    c.ca.play("on POST ^/order$ with replaces: problem alreadyReplaced 409")
    c.d.renew(A)
    c.d.installed(A, version=2)
    assert ["replaces" in r.payload for r in c.orders()] == [
        False, True, False]
    assert not c.d.find("certificate not issued")


def test_p_account_does_not_exist(case):
    """Registered again, once, with the same key."""
    c = case("on POST ^/order$ hit 1: problem accountDoesNotExist")
    c.d.installed(A, B)
    assert c.ca.count("newAccount") == 2
    assert len(c.ca.acme.accounts) == 1
    c.ca.play("on POST ^/order$ for a.example.org: "
              "problem accountDoesNotExist 400 who")
    n = len(c.orders())
    c.d.renew(A)
    t = c.failed()
    assert t["type"] == "accountDoesNotExist" and "who" in t["text"]
    # sent again when the account was found to be there
    assert len(c.orders()) == n + 2 and c.ca.count("newAccount") == 2


def test_p_unauthorized_new_order(case):
    """The account is asked about itself; it is valid, so it is the order's."""
    c = case("on POST ^/order$ for a.example.org: problem unauthorized 403 no")
    t = c.failed()
    assert t["type"] == "unauthorized"
    by_ladder(t)
    assert c.ca.wait("account").status == 200
    c.neighbour()
    assert c.ca.count("account") == 1


def test_p_unauthorized_account(case):
    """And when the account is not valid: a person."""
    c = case("")
    c.d.installed(A, B)
    c.ca.play("accounts deactivated")
    c.d.renew(A)
    assert "deactivated" in c.stopped()
    assert c.ca.count("newAccount") == 1
    n = len(c.ca.requests)
    assert c.d.ctl("status").returncode == 1
    assert len(c.ca.requests) == n


def test_p_user_action_required(case):
    """The links, for a person; nobody of this account goes on."""
    c = case("""
        on POST ^/order$: problem userActionRequired 403 new terms
            header Link: +<https://mock.example/t2>;rel="terms-of-service"
            set instance = "https://mock.example/agree" """)
    said = c.stopped()
    assert "https://mock.example/agree" in said and "new terms" in said
    assert "https://mock.example/t2" in said
    n = c.ca.count("newOrder")
    assert n <= 2
    assert "https://mock.example/agree" in c.d.ctl("status").stdout
    assert c.ca.count("newOrder") == n


def test_p_user_action_required_done(case):
    """When the person has acted, and said so, nothing waits any more."""
    c = case("on POST ^/order$ hit 1..2: problem userActionRequired 403 terms")
    c.stopped()
    c.ca.clear()
    assert c.d.ctl("reload").returncode == 0
    c.d.installed(A, B)


@pytest.mark.parametrize("how", [
    "externalAccountRequired 403", "unauthorized 401 bad MAC",
    "malformed 400 no such kid", "unauthorized 403 expired"])
def test_p_external_account(case, how):
    """Stopped until the configuration changes."""
    c = case(f"on POST ^/account$: problem {how}")
    assert how.split()[0] in c.stopped()
    assert c.ca.count("newAccount") == 1
    n = len(c.ca.requests)
    assert c.d.ctl("status").returncode == 1
    assert len(c.ca.requests) == n and c.ca.count("newOrder") == 0
    c.ca.clear()
    c.d.set(email="other@example.org").write()
    assert c.d.ctl("reload").returncode == 0
    c.d.installed(A, B)


def test_p_bad_public_key(case):
    """Of a certificate: another key, once; then a person."""
    c = case("on POST ^/finalize/ hit 1 for a.example.org: "
             "problem badPublicKey")
    c.d.installed(A, B)
    csrs = {r.payload["csr"] for r in c.ca.seen("finalize") if A in r.names}
    assert len(csrs) == 2 and len(c.orders()) == 1
    c.ca.play("on POST ^/finalize/ for a.example.org: "
              "problem badPublicKey 400 weak")
    n = c.ca.count("finalize")
    c.d.renew(A)
    t = c.failed()
    assert t["type"] == "badPublicKey" and "key" in t["hint"]
    assert c.ca.count("finalize") == n + 2
    daily(c, t)


def test_p_bad_public_key_account(case):
    """Of the account: a person."""
    c = case("on POST ^/account$: problem badPublicKey 400 blocked key")
    assert "blocked key" in c.stopped()
    assert c.ca.count("newAccount") == 1


def test_p_bad_signature_algorithm(case):
    """What the CA takes is told."""
    c = case("""
        on POST ^/account$: problem badSignatureAlgorithm 400 not that one
            set algorithms = ["ES521", "EdDSA"]""")
    said = c.stopped()
    assert "ES521, EdDSA" in said and "not that one" in said
    assert c.ca.count("newAccount") == 1


@pytest.mark.parametrize("path, kind", [
    ("finalize/", "badCSR"), ("order$", "malformed"),
    ("finalize/", "malformed")])
def test_p_bad_csr_malformed(case, path, kind):
    """Nothing that a retry would help."""
    c = case(f"on POST ^/{path} for a.example.org: problem {kind} 400 so")
    t = c.failed()
    assert t["type"] == kind and "so" in t["text"] and t["hint"]
    c.neighbour()
    asked = [r for r in c.ca.requests if r.error == kind]
    assert len(asked) == 1
    daily(c, t)


@pytest.mark.parametrize("kind", ["rejectedIdentifier",
                                  "unsupportedIdentifier"])
def test_p_refused_name(case, kind):
    """A person's; its neighbours go on, and a change of names is tried."""
    c = case(f"on POST ^/order$ for a.example.org: problem {kind} 400 policy")
    t = c.failed()
    assert t["type"] == kind and "name" in t["hint"]
    c.neighbour()
    daily(c, t)
    assert len(c.orders()) == 1
    c.d.set(domains=[B, {"name": A, "names": ["c.example.org"]}]).write()
    assert c.d.ctl("reload").returncode == 0
    c.d.installed(A)
    assert "trouble" not in c.d.cert(A)


@pytest.mark.parametrize("how", ["preferred-profile", "profile"])
def test_p_invalid_profile(mock, acmed, how):
    """Preferred: without it; required: a person."""
    ca = mock("""
        profile short 6d
        on POST ^/order$ with short: problem invalidProfile 400 not for you""")
    d = acmed(ca, [{"names": [A], how: "short"}]).start()
    if how == "profile":
        d.wait("certificate not issued")
        t = d.cert(A)["trouble"]
        assert t["type"] == "invalidProfile" and t["operator"] is True
        assert ca.count("newOrder") == 1
    else:
        d.installed(A)
        assert ["profile" in r.payload for r in ca.seen("newOrder")] == [
            True, False]


@pytest.mark.parametrize("kind", ["invalidContact", "unsupportedContact"])
def test_p_contact(case, kind):
    """Of an account that exists: told, and issuing goes on."""
    c = case(f"on POST ^/account/: problem {kind} 400 not that one")
    c.d.installed(A, B)
    c.d.stop()
    c.d.set(email="new@example.org").write()
    c.d.start()
    c.d.renew(A)
    c.d.installed(A, version=2)
    x, = c.d.find("contact not changed")
    assert kind in x["error"] and "not that one" in x["error"]
    assert c.ca.count("account") == 1


def test_p_contact_at_first(case):
    """Of a new one: there is no account without."""
    c = case("on POST ^/account$: problem invalidContact 400 not that one")
    assert "not that one" in c.stopped()
    assert c.ca.count("newAccount") == 1


@pytest.mark.parametrize("where", ["order", "authz"])
def test_p_caa(case, where):
    """A person's, by the ladder; the name, and what the CA calls itself."""
    c = case(f"on POST ^/order$ for {A}: problem caa 403 {A} forbids it"
             if where == "order" else f"fail {A} 1 caa {A} forbids it")
    t = c.failed()
    assert t["type"] == "caa" and A in t["text"] and "CAA" in t["hint"]
    assert "names this CA as mock.example" in t["text"]
    by_ladder(t, operator=True)
    assert c.d.status()["cas"][0]["caa_identities"] == ["mock.example"]
    c.neighbour()
    assert len(c.orders()) == 1


@pytest.mark.parametrize("kind, hint", [
    ("dns", "look the name up"), ("connection", "port 80"), ("tls", "TLS"),
    ("unauthorized", "wrong answer"), ("incorrectResponse", "wrongly")])
def test_p_validation(case, kind, hint):
    """The ladder, with a new order; what to look at."""
    c = case(f"fail {A} 1 {kind} says the CA")
    t = c.failed()
    assert t["type"] == kind and hint in t["hint"]
    assert A in t["text"] and "says the CA" in t["text"]
    by_ladder(t)
    c.neighbour()
    c.next(30, 75)
    first = set(c.ca.acme.orders)
    c.d.renew(A)
    c.d.installed(A)
    assert len(c.orders()) == 2
    assert not {r.path.split("/")[2] for r in c.ca.seen("finalize")
                if A in r.names} & first


@pytest.mark.parametrize("worst, operator", [("dns", False),
                                             ("rejectedIdentifier", True)])
def test_p_compound(case, worst, operator):
    """As the worst of its parts; all of them are told."""
    subs = [{"type": f"urn:ietf:params:acme:error:{k}", "detail": f"{k} here",
             "identifier": {"type": "dns", "value": n}}
            for k, n in (("connection", A),
                         (worst, "www." + A))]
    c = case(f"""
        on POST ^/order$ for a.example.org: problem compound 403 both
            set subproblems = {json.dumps(subs)}""")
    t = c.failed()
    assert t["operator"] is operator
    assert A in t["text"] and "www." + A in t["text"]
    assert f"{worst} here" in t["text"]
    if operator:
        assert t["type"] == worst
        daily(c, t)
    else:
        by_ladder(t)
    assert len(c.orders()) == 1


def test_hint_of_the_account(case):
    """A certificate that waits for its CA is told what the CA is."""
    c = case("on POST ^/account$: problem unauthorized 403 who are you")
    c.stopped()
    t = until(lambda: c.d.cert(A).get("trouble"), 20, "it to wait")
    assert t["hint"] == c.d.status()["cas"][0]["hint"]
    assert "eab" in t["hint"] and "order these names" not in t["hint"]


@pytest.mark.parametrize("what, words", (
    ("not trusted", "certificate of the CA's own server is not trusted"),
    ("no roots", "that ca-file is there"),
    ("no directory", "no ACME directory"),
))
def test_hint_of_the_connection(mock, acmed, what, words):
    """No firewall is to blame."""
    ca = mock("on GET ^/dir: html hello\n  status 404"
              if what == "no directory" else "")
    d = acmed(ca, [A])
    if what == "not trusted":
        del d.conf["ca"]["test"]["ca-file"]
    elif what == "no roots":
        d.set(ca={"test": {"ca-file": "/nowhere/roots.pem"}})
    d.start().wait("CA not usable for now")
    cas, = d.status()["cas"]
    assert words in cas["hint"]
    t = until(lambda: d.cert(A).get("trouble"), 20, "it to wait")
    assert t["hint"] == cas["hint"]


def test_p_invalid_without_error(case):
    """The reason is looked for in the authorizations."""
    c = case(f"""
        fail {A} 1 dns looked up in vain
        on POST ^/authz/ hit 2 for {A}: set status = "valid" """)
    t = c.failed()
    assert t["type"] == "dns" and "looked up in vain" in t["text"]
    by_ladder(t)
    assert [r for r in c.ca.seen("order") if A in r.names]


def test_p_already_revoked(case):
    """Success, where it can be an answer: acmed asks for no revocation yet, and
    to anything else it is an error like those that nobody knows."""
    c = case("on POST ^/order$ for a.example.org: problem alreadyRevoked 400")
    t = c.failed()
    assert t["operator"] is False
    by_ladder(t)
    assert c.ca.count("revokeCert") == 0


@pytest.mark.parametrize("urn, status", [
    ("urn:ietf:params:acme:error:brandNew", 403),
    ("https://mock.example/errors/x", 422), ("about:blank", 418)])
def test_p_unknown(case, urn, status):
    """4xx: the ladder, in the CA's words."""
    c = case(f"on POST ^/order$ for a.example.org: problem {urn} {status} hm")
    t = c.failed()
    assert "hm" in t["text"]
    by_ladder(t)
    c.neighbour()
    assert len(c.orders()) == 1


def test_p_unknown_5xx(case):
    """Tried again within seconds."""
    c = case("on POST ^/order$ hit 1 for a.example.org: "
             "problem urn:ietf:params:acme:error:brandNew 500")
    c.d.installed(A, B)
    assert len(c.orders()) == 2
    assert not c.d.find("certificate not issued")
