# SPDX-License-Identifier: ISC
"""The conformance run, items 1, 2, 5 and 6; the others are in the other
half, which runs beside this one."""
import re
import time

import pytest
from conformance import FULL, Watcher, row
from proxy import Proxy
from util import check_pair, until

pytestmark = pytest.mark.root


def test_s05_continuous_renewal(cas, acmed):
    """Short lives, one after the other: no gap, no mismatch."""
    seconds, life = (3600, 180) if FULL else (90, 20)
    ca = cas("system", life=life)
    names = [f"s{i}.example.org" for i in range(6)]
    d = acmed(ca, names).start()
    d.installed(*names)
    w = Watcher(d, names)
    w.start()
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end or w.bad, seconds + 10,
          "the end", every=0.2)
    w.over.set()
    w.join()
    assert w.bad == []
    renewals = sum(len(s) - 1 for s in w.serials.values())
    least = min(len(s) - 1 for s in w.serials.values())
    assert least >= seconds // (life / 2) // 2
    assert not d.find("certificate not issued")
    assert ca.orders <= renewals + 2 * len(names)
    row("S5", f"{seconds} s, lives of {life} s",
        "{} renewals of {} certificates, {} looks at pairs, 0 mismatches, "
        "0 gaps", renewals, len(names), w.looks)


def test_s01_issuances(cas, acmed):
    """A Pebble with its own chances of refused nonces and reused
    authorizations, seen from outside."""
    n = 1000 if FULL else 200
    ca = cas("system", own=True)
    p = Proxy(ca)
    entries = [f"c{i}.example.org" for i in range(n - 15)]
    entries += [[f"m{i}.example.org", f"www.m{i}.example.org"]
                for i in range(10)]
    entries += [f"127.0.0.{i}" for i in range(1, 6)]
    began = time.monotonic()
    try:
        # On every address of 127.0.0.0/8.
        d = acmed(p, entries, http={"listen": f"0.0.0.0:{ca.http_port}"})
        d.start()
        until(lambda: d.find("certificate not issued") or
              d.ask("GET", "/v1/status?limit=0")[1]["counts"]["valid"] == n,
              300, f"{n} certificates", every=0.1)
        took = time.monotonic() - began
        assert d.stop() == 0
        nonces = [x.protected["nonce"] for x in p.requests("POST")]
        refused = len([x for x in p.requests("POST") if x.status == 400])
    finally:
        p.stop()
    assert not d.find("certificate not issued")
    assert len(set(nonces)) == len(nonces)
    assert ca.issued == n and ca.accounts == 1
    d.check_state(*(e if isinstance(e, str) else e[0] for e in entries))
    row("S1", f"{n} issuances, http-01: names, several names, addresses",
        "0 failures, 0 nonces used twice in {} POSTs ({} refused), {:.0f} s",
        len(nonces), refused, took)


@pytest.mark.parametrize("version", ["system", "newest"])
def test_s02_no_nonce_is_good(cas, acmed, version):
    ca = cas(version, PEBBLE_WFE_NONCEREJECT="100")
    d = acmed(ca, ["never.example.org"]).start()
    x = d.wait("CA not usable for now", timeout=30)
    posts = ca.requests("POST")
    assert 5 <= posts <= 11
    assert 20 <= x["retry_in_s"] <= 40
    assert d.stop() == 0
    assert ca.requests("POST") == posts
    row("S2", f"Pebble {version}", "ends after {} POSTs, next try in {} s",
        posts, x["retry_in_s"])


@pytest.mark.parametrize("version", ["system", "newest"])
def test_s06_ca_loses_everything(cas, acmed, version):
    ca = cas(version, own=True, PEBBLE_WFE_NONCEREJECT="0")
    names = [f"l{i}.example.org" for i in range(5)]
    d = acmed(ca, names).start()
    d.installed(*names)
    first = re.findall(r"Generated new root issuer CN=(.*?) with", ca.log())
    ca.kill()
    ca.start()
    ca.mark()
    for n in names:
        d.renew(n)
    d.installed(*names, version=2, timeout=60)
    assert ca.accounts == 1 and ca.orders == len(names)
    assert not d.find("certificate not issued")
    for n in names:
        check_pair(d.live(n))
    row("S6", f"Pebble {version}", "{} renewals at the new CA ({} before), 1 "
        "account registered again, {} orders", len(names), first[0]
        if first else "another", ca.orders)
