# SPDX-License-Identifier: ISC
"""An ordered list of CAs: when the next one is asked, and when not."""
import json
import signal
import threading

import pytest
from proxy import Proxy, problem
from util import cert_info, seconds_to, until

pytestmark = pytest.mark.root

ORDER = r"^/order-plz"
NAME = "a.example.org"


class Two:
    """A daemon with CAs first and second, each by way of a proxy."""

    def __init__(self, cas, acmed, after=1, more=None, **conf):
        env = {"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
        self.first = Proxy(cas("system", **env))
        self.second = cas("newest" if more else "system", second=True,
                          more=more, **env)
        self.way = Proxy(self.second)
        self.d = acmed({"first": self.first, "second": self.way}, [NAME],
                       defaults={"failover-after": after}, **conf)

    def start(self):
        """Fails at the first one, and is told to go on.  It would by itself,
        and might be over then: so the second one answers only now."""
        held = self.way.rule("GET", "/dir", times=-1, hold=threading.Event())
        self.d.start()
        self.d.wait("another CA is next", ca="first", next="second")
        self.d.renew(NAME)
        held.what["hold"].set()

    def failed(self, count):
        """Fails there; where it goes then."""
        self.d.wait("certificate not issued", count=count)
        c = self.d.cert(NAME)
        assert c["trouble"]["failures"] == count
        return c["ca"]


@pytest.fixture
def two(cas, acmed):
    made = []

    def make(**kw):
        made.append(Two(cas, acmed, **kw))
        return made[-1]
    yield make
    for t in made:
        t.first.stop()
        t.way.stop()


@pytest.mark.parametrize("kind, answer", [
    ("unavailable", (503, [], b"")),
    ("internal", problem("serverInternal", 500)),
    ("limited", problem("rateLimited", 429, "too many",
                        [("Retry-After", "86400")]))])
def test_moves_and_returns(two, kind, answer):
    """N2, N3: to the second one with its own account; and the next renewal is
    the first one's again."""
    t = two()
    broken = t.first.rule("POST", ORDER, times=-1, answer=answer)
    if kind == "unavailable":  # goes there at once
        t.d.start()
    else:
        t.start()
    t.d.installed(NAME)
    c = t.d.cert(NAME)
    assert (c["issued_by"], c["ca"]) == ("second", "first")
    assert "trouble" not in c
    assert t.second.orders == t.second.issued == t.second.accounts == 1
    assert len(list((t.d.state / "keeper").glob("account-*"))) == 2
    shown = t.d.ctl("show", NAME).stdout
    assert "first now; what is installed is from second" in shown
    broken.times = 0
    t.d.renew(NAME)
    t.d.installed(NAME, version=2)
    assert t.d.cert(NAME)["issued_by"] == "first"
    assert t.second.orders == 1
    assert t.first.ca.accounts == 1
    issuers = {str(cert_info(p)["issuer"]) for p in
               (t.d.state / "versions" / NAME).glob("*/cert.pem")}
    assert len(issuers) == 2


def test_not_at_the_first_failure(two):
    """failover-after counts them; a restart does not begin anew."""
    t = two(after=2)
    t.first.rule("POST", ORDER, times=-1, answer=problem(
        "serverInternal", 500))
    # It would be tried within half a minute, or at once.
    held = t.way.rule("GET", "/dir", times=-1, hold=threading.Event())
    t.d.start()
    assert t.failed(1) == "first"
    t.d.stop()
    t.d.start()
    t.d.renew(NAME)
    assert t.failed(2) == "second"
    assert t.second.orders == 0
    t.d.stop()
    t.d.start()
    assert t.d.cert(NAME)["ca"] == "second"
    held.what["hold"].set()
    t.d.renew(NAME)
    t.d.installed(NAME)
    assert t.d.cert(NAME)["issued_by"] == "second"


def test_renew_lifts_stops(two):
    """The first CA waits for a person, who says: now.  It is asked, though the
    second one could be, and what was lifted is said."""
    t = two()
    t.first.rule("POST", ORDER, times=1, answer=problem(
        "userActionRequired", 403, "new terms"))
    t.d.start()
    t.d.installed(NAME)
    assert t.d.cert(NAME)["issued_by"] == "second"
    r = t.d.ctl("renew", NAME)
    assert r.returncode == 0
    assert "CA first waited for you: userActionRequired: new terms" in \
        " ".join(r.stdout.split())
    t.d.installed(NAME, version=2)
    assert t.d.cert(NAME)["issued_by"] == "first"
    assert "lifted" not in t.d.ctl("renew", NAME).stdout


def test_not_for_what_is_ours(two):
    """N2: a name that no CA could validate is not taken to the next one."""
    t = two()
    # Pebble's own word for it is "connection".
    t.first.rule("POST", r"^/authZ/", times=-1, edit=lambda status, h, body: (
        status, h, body.replace(b"error:connection", b"error:dns")))
    t.first.ca.dns("set-default-ipv4", ip="")
    try:
        t.d.start()
        for i in 1, 2:
            assert t.failed(i) == "first"
            assert t.d.cert(NAME)["trouble"]["type"] == "dns"
            t.d.renew(NAME)
        t.d.wait("certificate not issued", count=3)
    finally:
        t.first.ca.dns("set-default-ipv4", ip="127.0.0.1")
    assert t.second.orders == t.second.accounts == 0


@pytest.mark.parametrize("allowed", [False, True])
def test_caa_of_the_second(two, cas, acmed, allowed):
    """N3, C6: a CA that CAA forbids to issue is not asked, and that is said;
    looked up where the configuration says."""
    t = two(more={"caaIdentities": ["second.example"]})
    t.second.dns("add-caa", host="example.org", policies=[
        {"tag": "issue", "value": "second.example" if allowed
         else "other.example"}])
    t.first.rule("POST", ORDER, times=-1, answer=problem(
        "serverInternal", 500))
    t.d.set(resolvers=[f"127.0.0.1:{t.second.dns_port}"])
    t.start()
    try:
        if allowed:
            t.d.installed(NAME)
            assert t.d.wait("check: CAA allows the CA")["at"] == "example.org"
            return
        assert t.failed(2) == "first"
    finally:
        t.second.dns("clear-caa", host="example.org")
    said = t.d.cert(NAME)["trouble"]
    assert said["type"] == "caa"
    for word in "example.org", "other.example", "second":
        assert word in said["text"]
    assert t.second.orders == 0
    assert until(lambda: "other.example" in
                 " ".join(t.d.ctl("status").stdout.split()), 5)


def test_long_queue(two):
    """N2: those whose turn at the first would come after more than an hour go
    to the second, as many as that lets pass by then; who waits for less stays.
    The plan says so before."""
    t = two()
    t.d.set(ca={"first": {"limits": {"new-orders": "2/1h"}},
                "second": {"limits": {"new-orders": "4/1h"}},
                # which takes nothing of what those two have
                "third": dict(t.d.conf["ca"]["second"])},
            domains=[{"names": [NAME], "ca": "third"}]).start()
    t.d.installed(NAME)
    names = [f"n{i}.example.org" for i in range(12)]
    t.d.set(domains=[*t.d.conf["domains"], *names]).write()
    p = json.loads(t.d.ctl("plan", "--json", str(t.d.config)).stdout)
    plan = {o["name"]: o for o in p["orders"]}
    assert "go to another CA" in t.d.ctl("plan", str(t.d.config)).stdout
    t.d.signal(signal.SIGHUP)
    now = names[0:2] + names[3:7]
    t.d.installed(*now)
    t.d.wait("an order waits for a limit of the CA", cert=names[11])
    certs = {c["name"]: c for c in t.d.status()["certificates"]}
    at = {n: certs[n].get("issued_by", certs[n]["ca"]) for n in names}
    # neither has room for n10 and n11 within the hour
    assert [n for n in names if at[n] == "second"] == names[3:10]
    assert t.first.ca.orders == 2 and t.second.orders == 1 + 4
    for n in names:
        if n in names[:10]:  # what comes later is as far as is known
            assert plan[n]["ca"] == at[n], n
            assert plan[n].get("instead_of") == (
                "first" if at[n] == "second" else None)
        if n in now:
            assert seconds_to(plan[n]["at"]) < 5
        else:
            assert abs(seconds_to(plan[n]["at"]) -
                       seconds_to(certs[n]["next_at"])) < 60
    assert certs[names[7]]["waiting_for"].startswith("second: limit new-orders")
    assert certs[names[7]]["instead"].startswith("first: limit new-orders")
    shown = " ".join(t.d.ctl("show", names[7]).stdout.split())
    assert "instead: first: limit new-orders, 2 in 60 min, would let it wait " \
        "beyond" in shown
    assert t.d.wait("a limit of the CA would make it wait: another one is "
                    "asked", cert=names[7], ca="first")["next"] == "second"
