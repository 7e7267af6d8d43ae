# SPDX-License-Identifier: ISC
"""Many at once against Pebble: limits that are kept before the CA has to say so,
and the queue that comes of it.  What a CA with limits makes of acmed is in
test_limits.py."""
import json
import os
import re
import threading
import time

import pytest
from proxy import Proxy
from util import seconds_to, until

pytestmark = pytest.mark.root

ORDER = r"^/order-plz"


@pytest.fixture
def px(ca):
    p = Proxy(ca)
    yield p
    p.stop()


@pytest.fixture
def easy(cas):
    """A CA that believes everybody, so that many are cheap."""
    return cas("system", PEBBLE_VA_ALWAYS_VALID="1",
               PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0")


@pytest.fixture
def fast(easy):
    p = Proxy(easy)
    yield p
    p.stop()


def ordered(px):
    return [json.loads(x.payload)["identifiers"][0]["value"]
            for x in px.requests("POST", ORDER)]


def check_rate(requests, n, per_s, since):
    """Never sooner than a bucket of n that fills in per_s lets them.

    since: when the first one had not been sent yet.  How long it was on its
    way nobody knows."""
    at = [x.at - since for x in requests]
    for i in range(n, len(at)):
        assert at[i] >= (i - n + 1) * per_s / n - 0.01, (i, at)


def waiting(d):
    return [c for c in d.status()["certificates"] if "waiting_for" in c]


def test_new_orders(px, acmed):
    """M1 before the fact: those that have to wait say for what, and until
    when, the next one first."""
    names = [f"l{i}.example.org" for i in reversed(range(6))]
    d = acmed(px, names, at_ca={"limits": {"new-orders": "3/1h"}}).start()
    until(lambda: len(waiting(d)) == 3 and
          d.status()["counts"]["valid"] == 3, 20)
    s = d.status()
    assert s["queue"]["limited"] == s["queue"]["waiting"] == 3
    assert 3500 < seconds_to(s["queue"]["ends"]) <= 4000
    late = waiting(d)
    assert [c["name"] for c in late] == names[3:]
    assert sorted(c["next_at"] for c in late) == [c["next_at"] for c in late]
    for c in late:
        assert "test: limit new-orders, 3 in 60 min" in c["waiting_for"]
    # who cannot wait is told where that is to be seen
    r = d.ctl("renew", names[5], "--wait")
    assert r.returncode == 1 and "acmectl status says when" in r.stdout
    assert "limit new-orders" in d.ctl("status").stdout
    limits = d.ask("GET", "/v1/budget")[1]["cas"][0]["limits"]
    assert {x["limit"]: x["left"] for x in limits}["new-orders"] == 0
    assert len(px.requests("POST", ORDER)) == 3
    assert not d.find("certificate not issued")


def test_new_orders_in_turn(px, acmed):
    """And then they have their turn, not sooner."""
    names = [f"t{i}.example.org" for i in range(6)]
    d = acmed(px, names, at_ca={"limits": {"new-orders": "3/6s"}}).start()
    d.installed(*names)
    before, = px.requests("POST", "/sign-me-up")
    check_rate(px.requests("POST", ORDER), 3, 6, before.at)
    assert len(px.requests("POST", ORDER)) == 6
    assert not d.find("certificate not issued")


def test_per_domain_and_restart(px, acmed):
    """The count outlives a restart and a kill; other domains go on."""
    limits = {"new-orders": "5/1h", "per-domain": "2/1h"}
    names = ["a.example.org", "b.example.org", "c.example.org",
             "a.example.net"]
    d = acmed(px, names, at_ca={"limits": limits}).start()
    d.installed("a.example.net")
    until(lambda: len(waiting(d)) == 1 and
          d.status()["counts"]["valid"] == 3, 20)
    late, = waiting(d)
    assert "limit per-domain, 2 in 60 min, of example.org" in late["waiting_for"]
    for end in d.stop, d.kill:
        end()
        d.start()
        again, = until(lambda: waiting(d), 20)
        assert (again["name"], again["waiting_for"]) == (
            late["name"], late["waiting_for"])
        test, = d.ask("GET", "/v1/budget")[1]["cas"]
        assert {(x["of"], x["left"]) for x in test["domains"]} == {
            ("example.org", 0), ("example.net", 1)}
        assert test["limits"][0]["left"] == 2
    assert re.search(r"example\.org +none of 2, ", d.ctl("budget").stdout)
    assert len(px.requests("POST", ORDER)) == 3
    d.set(ca={"test": {"limits": {"new-orders": "5/1h"}}})
    d.write()
    assert d.ctl("reload").returncode == 0
    d.installed(late["name"])


def test_max_requests(fast, acmed):
    """Q6: whatever there is to do."""
    names = [f"m{i}.example.org" for i in range(4)]
    began = time.monotonic()
    d = acmed(fast, names, at_ca={"max-requests": "10/1s"}).start()
    d.installed(*names)
    assert len(fast.requests()) > 20
    check_rate(fast.requests(), 10, 1, began)


def test_max_hooks(ca, acmed, work):
    """Q6: commands that take long do not become a crowd."""
    names = [f"h{i}.example.org" for i in range(4)]
    for n in names:
        os.mkfifo(work / n)
    log = work / "hooks"
    hook = work / "hook"
    hook.write_text(f"#!/bin/sh\necho begin $1 >>{log}\nread x <{work}/$1\n"
                    f"echo end $1 >>{log}\n")
    hook.chmod(0o755)

    def lines():
        return log.read_text().split("\n")[:-1] if log.exists() else []
    d = acmed(ca, [{"names": [n], "reload": [str(hook), n]} for n in names],
              max_hooks=2).start()
    until(lambda: d.status()["counts"]["valid"] == 4, 30)
    for i in range(4):
        until(lambda: len(lines()) == min(2 + 2 * i, 4 + i), 20)
        done = {x[4:] for x in lines() if x.startswith("end ")}
        begun = [x[6:] for x in lines() if x.startswith("begin ")]
        assert len(begun) - len(done) == min(2, 4 - i)
        (work / next(n for n in begun if n not in done)).write_text("go\n")
    d.installed(*names)
    assert sorted(lines()) == sorted(
        [f"begin {n}" for n in names] + [f"end {n}" for n in names])


@pytest.fixture
def reusing(cas):
    """One whose validations do not lock it up, side by side by the hundred:
    that of a name is used again."""
    p = Proxy(cas("system", own=True, PEBBLE_VA_ALWAYS_VALID="1",
                  PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="100"))
    yield p
    p.stop()


def test_many_at_first(reusing, acmed):
    """Q7, C8: 500 new ones that share a name; one directory, one account,
    max-orders in the air, and how far it is can be seen."""
    easy = reusing.ca
    directories = easy.requests("GET", "/dir")
    # It stands still now and then, or all may be over when we look.
    stops = [reusing.rule("POST", ORDER, skip=n, hold=threading.Event())
             for n in range(80, 481, 80)]
    d = acmed(reusing, [{"name": f"f{i}", "names": ["f.example.org"]}
                        for i in range(500)], at_ca={"max-orders": 16}).start()
    seen = []

    def over():
        s = d.ask("GET", "/v1/status?limit=0")[1]
        seen.append(s["queue"])
        return s["counts"]["valid"] == 500
    for i, stop in enumerate(stops):
        until(lambda stop=stop: stop.hits == 1, 300, "80 orders more")
        over()
        if i == 2:
            assert re.search(r"\d+ .*wait", d.ctl("status").stdout)
        stop.what["hold"].set()
    until(over, 300, every=0.1)
    for q in seen[:-1]:
        assert q["running"] <= 16 and q["limited"] == 0
        assert q["done"] + q["running"] + q["waiting"] in (0, 500)
        assert "ends" in q or q["waiting"] < 100 or q["done"] < 100
    assert [q["done"] for q in seen[:-1]] == sorted(
        q["done"] for q in seen[:-1])
    assert len({q["done"] for q in seen}) > 5
    until(lambda: d.ask("GET", "/v1/status?limit=0")[1]["queue"] == {
        "done": 0, "running": 0, "waiting": 0, "limited": 0}, 5)
    assert easy.requests("GET", "/dir") == directories + 1
    assert easy.requests("POST", "/sign-me-up") == easy.accounts == 1
    assert easy.orders == easy.issued == 500
    live = most = 0
    for what in re.findall("Added order|Issued certificate", easy.log()):
        live += 1 if what == "Added order" else -1
        most = max(most, live)
    assert 1 < most <= 16


def test_most_urgent_first(fast, acmed):
    """Q7: after a long downtime, what has expired or is about to; what is new
    after that, and before what ends later."""
    shares = {"fresh": 90, "due": 30, "soon": 10, "last": 2, "over": -5}
    names = {f"{k}.example.org": v for k, v in shares.items()}
    d = acmed(fast, list(names)).start()
    d.installed(*names)
    d.stop()

    def aged(left):
        def edit(root):
            now, life = int(time.time()), 86400 * 90
            for key, t in (("not_before", now - life * (100 - left) // 100),
                           ("not_after", now + life * left // 100),
                           ("by_fraction", now - 1 if left < 33 else
                            now + life * (left - 33) // 100)):
                root["certificate"][key] = time.strftime(
                    "%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))
        return edit
    for n, left in names.items():
        d.remembered(n, aged(left))
    before = len(ordered(fast))
    d.set(domains=[*names, "new.example.org"],
          ca={"test": {"max-orders": 1}}).write()
    d.start()
    until(lambda: len(ordered(fast)) == before + 5, 30)
    d.installed("due.example.org", version=2)
    got = [n.split(".")[0] for n in ordered(fast)[before:]]
    assert sorted(got[:2]) == ["last", "over"]
    assert got[2:] == ["soon", "new", "due"]
    assert d.version("fresh.example.org") == 1
