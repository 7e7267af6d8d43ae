# SPDX-License-Identifier: ISC
"""Many names in one order, and some of them fail (E19, E26)."""
import json
import os
import signal

import pytest
from util import cert_names, seconds_to, until

pytestmark = pytest.mark.root
NOWHERE = "127.0.0.2"  # nobody listens there


def names(n):
    return [f"n{i:03}.example.org" for i in range(1, n + 1)]


@pytest.fixture
def spoil(ca):
    """spoil(name...): the CA finds nobody at these; spoil.mend(): it does."""
    spoilt = []

    def fn(*hosts):
        for host in hosts:
            ca.dns("add-a", host=f"{host}.", addresses=[NOWHERE])
            spoilt.append(host)

    def mend():
        while spoilt:
            ca.dns("clear-a", host=f"{spoilt.pop()}.")

    fn.mend = mend
    yield fn
    mend()


def answered(d):
    return [x["name"] for x in d.find("challenge answered")]


def stopped_at_once(d, failing, all_names):
    """Nothing was asked after the first failure was seen, and what was asked
    before has been waited for."""
    first = d.find("validation failed")[0]
    asked = answered(d)
    assert len(asked) == len(set(asked))
    assert d.lines.index(first) > d.lines.index(
        d.find("challenge answered")[-1])
    bad = sorted(set(asked) & set(failing))
    assert bad and {x["name"] for x in d.find("validation failed")} == set(bad)
    t = d.cert(all_names[0])["trouble"]
    assert [x for x in all_names if f"{x}: " in t["text"]] == bad, t
    assert t["type"] == "connection" and t["failures"] == 1
    d.stop()
    budget = (d.state / "engine/budgets/test.json").read_text()
    assert [x for x in all_names if x in budget] == bad
    return asked


@pytest.mark.parametrize("n, bad", [(5, 1), (30, 2)],
                         ids=["1-of-5", "2-of-30"])
def test_some_fail(ca, acmed, spoil, n, bad):
    """At a CA that lists them in an order of its own."""
    all_names = names(n)
    spoil(*all_names[:bad])
    d = acmed(ca, [all_names]).start()
    d.wait("certificate not issued", cert=all_names[0])
    stopped_at_once(d, all_names[:bad], all_names)
    assert ca.orders == 1
    spoil.mend()
    d.start()
    d.renew(all_names[0])
    d.installed(all_names[0])
    assert sorted(cert_names(d.live(all_names[0]) / "cert.pem")) == all_names


@pytest.mark.parametrize("n, bad, most", [(5, (1,), 4), (30, (6, 9), 20)],
                         ids=["1-of-5", "2-of-30"])
def test_not_asked(mock, acmed, n, bad, most):
    """Four at first, three more for each that is well; what is pending then is
    left alone."""
    all_names = names(n)
    failing = [all_names[i] for i in bad]
    # What becomes of one is known as soon as it was asked, and not when chance
    # has it.
    ca = mock("\n".join(["valid always", *(
        f"fail {x} always connection no" for x in failing)]))
    d = acmed(ca, [all_names]).start()
    d.wait("certificate not issued", cert=all_names[0])
    asked = stopped_at_once(d, failing, all_names)
    assert ca.count("challenge") == len(asked) <= most
    assert ca.count("newOrder") == 1
    assert not [r for r in ca.seen("authz") if r.payload]


def test_a_few_at_a_time(ca, acmed):
    """Several are under way, though not all: it takes no longer for that."""
    all_names = names(100)
    d = acmed(ca, [all_names]).start()
    d.installed(all_names[0], timeout=300)
    assert not d.find("certificate not issued")
    assert sorted(answered(d)) == all_names
    steps = [x["msg"] + x.get("step", "") for x in d.lines]
    looks = [i for i, x in enumerate(steps) if x == "stepvalidation"]
    firsts = [i for i, x in enumerate(steps) if x == "challenge answered"]
    assert looks[0] < firsts[-1], "all were asked before the first look"
    assert len(looks) < 150


def test_told_one_by_one(mock, acmed):
    """The whole story of each name is in the log, whatever fits the status."""
    all_names = names(40)
    words = "the server said no " * 12
    ca = mock("fail * always connection " + words)
    d = acmed(ca, [all_names]).start()
    d.wait("certificate not issued", cert=all_names[0])
    told = d.find("validation failed")
    assert {x["name"] for x in told} == set(answered(d)) and len(told) == 4
    assert all(words.strip() in x["error"] for x in told)
    text = d.cert(all_names[0])["trouble"]["text"]
    assert all(f"{x}: connection" in text for x in answered(d))


# Left out of the certificate (E26)

def fail_twice(d, name):
    """A second time at once, as the ladder would in a minute."""
    d.wait("certificate not issued", cert=name)
    d.renew(name)


def without(d, name, left_out, all_names):
    """It is in service without these, and everybody is told."""
    d.installed(name, timeout=60)  # it begins within half a minute
    assert sorted(cert_names(d.live(name) / "cert.pem")) == [
        x for x in all_names if x not in left_out]
    r = d.ctl("status")
    assert r.returncode == 1
    assert f"without {len(left_out)} of its {len(all_names)} names" in r.stdout
    assert all(f"left out:    {x}, since" in r.stdout for x in left_out)
    assert all(x in d.ctl("show", name).stdout for x in left_out)
    r = d.ctl("status", "--json")
    assert r.returncode == 1
    c = json.loads(r.stdout)["certificates"][0]
    assert [x["name"] for x in c["left_out"]] == left_out
    assert c["health"] == "bad" and "trouble" not in c, c
    assert 50 * 60 <= seconds_to(c["left_out_tried_again"]) <= 70 * 60


def test_left_out(ca, acmed, spoil, work):
    """One of five names, the one that the certificate is called by, fails
    twice; a restart in between, and one afterwards; it is mended.  The reload
    command is told what the certificate has."""
    told = work / "told"
    reload = ["/bin/sh", "-c", f"echo $RENEWED_DOMAINS / $ACMED_DOMAINS >>{told}"]
    all_names = names(5)
    name = bad = all_names[0]
    spoil(bad)
    d = acmed(ca, [{"names": all_names, "partial": True,
                    "reload": reload}]).start()
    d.wait("certificate not issued", cert=name)
    d.stop()
    d.start()
    fail_twice(d, name)
    d.wait("names are left out of the certificate", cert=name)
    without(d, name, [bad], all_names)
    assert ca.issued == 1
    t = d.cert(name)["left_out"][0]
    assert t["type"] == "connection" and "connection" in t["text"], t
    d.stop()
    d.start()
    without(d, name, [bad], all_names)
    # by hand: all of them at once, and nothing is issued for the others again
    r = d.ctl("renew", name, "--wait")
    assert r.returncode == 1, r.stdout
    assert "stays without some of its names" in r.stdout
    without(d, name, [bad], all_names)
    assert ca.issued == 1
    spoil.mend()
    r = d.ctl("renew", name, "--wait")
    assert r.returncode == 0, r.stdout
    d.installed(name, version=2)
    assert sorted(cert_names(d.live(name) / "cert.pem")) == all_names
    assert d.ctl("status").returncode == 0
    assert "left_out" not in d.cert(name)
    d.wait("all of its names are in it again", cert=name)
    assert ca.issued == 2
    assert [x.split(" / ") for x in told.read_text().splitlines()] == [
        2 * [" ".join(all_names[1:])], 2 * [" ".join(all_names)]]


def test_not_left_out(ca, acmed, spoil):
    """Nobody has asked for it."""
    all_names = names(5)
    spoil(all_names[1])
    d = acmed(ca, [all_names]).start()
    for n in range(1, 4):
        d.wait("certificate not issued", cert=all_names[0], count=n)
        d.renew(all_names[0])
    d.wait("certificate not issued", cert=all_names[0], count=4)
    assert ca.issued == 0 and d.version(all_names[0]) == 0
    assert "left_out" not in d.cert(all_names[0])


def test_all_fail(ca, acmed, spoil):
    """Which is this host's doing: nothing is left out."""
    all_names = names(3)
    spoil(*all_names)
    d = acmed(ca, [all_names], defaults={"partial": True}).start()
    for n in range(1, 3):
        d.wait("certificate not issued", cert=all_names[0], count=n)
        d.renew(all_names[0])
    d.wait("certificate not issued", cert=all_names[0], count=3)
    assert ca.issued == 0
    assert "left_out" not in d.cert(all_names[0])


def test_killed_before_the_smaller_order(mock, acmed):
    """The CA refuses two names, which is noted before anything else: after a
    power cut the order is for the others."""
    all_names = names(4)
    subs = [{"type": "urn:ietf:params:acme:error:rejectedIdentifier",
             "detail": "policy", "identifier": {"type": "dns", "value": x}}
            for x in all_names[1:3]]
    ca = mock(f"""on POST ^/order$ for {all_names[2]}: problem compound 403 no
            set subproblems = {json.dumps(subs)}""")
    d = acmed(ca, [{"name": "shop", "names": all_names, "partial": True}],
              lockstep=True)
    file = d.state / "engine/certs/shop.json"

    def look(line):
        if line["msg"] == "names are left out of the certificate":
            # it says more before it orders, which it cannot yet
            until(lambda: file.exists() and "left_out" in file.read_text(), 20,
                  "it to be saved")
            for pid in d.engine(), d.pid:
                os.kill(pid, signal.SIGKILL)
    d.on_line = look
    d.spawn()
    assert d.ended() == -signal.SIGKILL
    d.on_line = None
    d.start()
    without(d, "shop", all_names[1:3], all_names)
    assert [sorted(r.names) for r in ca.seen("newOrder")] == [
        all_names, [all_names[0], all_names[3]]]
