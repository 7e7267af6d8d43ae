# SPDX-License-Identifier: ISC
"""Many names in one order, and some of them fail (E19)."""
import pytest
from util import cert_names

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
