# SPDX-License-Identifier: ISC
"""SIGKILL between a newOrder and its answer, at CAs with a list of orders."""
import threading
import time

import pytest
from proxy import Proxy
from util import until

pytestmark = pytest.mark.root
A, B = "a.example.org", "b.example.org"
LATE = "on POST ^/order$ hit {}: delay 60s\n"


def cut_off(ca, d, orders=1):
    """Kill it when the CA has made so many orders, the last one unheard."""
    until(lambda: ca.orders == orders, 20, "the order to be made")
    d.kill()


@pytest.mark.parametrize("version", ["system", "newest"])
def test_found(cas, acmed, version):
    """Pebble does not give the same order again, but has it in its list, some
    pages on."""
    ca = cas(version, PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0")
    p = Proxy(ca)
    try:
        d = acmed(p, [A, *(f"n{i}.example.org" for i in range(7)), [A, B]])
        d.conf["domains"][-1] = {"name": "both", "names": [A, B]}
        last = d.conf["domains"].pop()
        d.start().installed(*(f"n{i}.example.org" for i in range(7)), A)
        d.stop()
        d.conf["domains"].append(last)
        d.write()
        p.rule("POST", "^/order-plz", keep=threading.Event())
        d.start()
        cut_off(ca, d, 9)
        d.start().installed("both")
        assert ca.orders == 9 and ca.accounts == 1
        assert not d.find("a new order was never heard of")
        said = d.find("looked for orders that were not heard of")
        assert [(x["lost"], x["found"]) for x in said] == [(1, 1)]
        assert not d.cert("both").get("trouble")
    finally:
        p.stop()


def test_crash_loop(ca, acmed):
    """Q2: with the list as without it, dying in newOrder again and again makes
    no order each time."""
    p = Proxy(ca)
    try:
        p.rule("POST", "^/order-plz", times=99, keep=threading.Event())
        listed = p.rule("POST", "^/list-order", times=99,
                        hold=threading.Event())
        d = acmed(p, [A]).start()
        cut_off(ca, d)
        for i in range(1, 6):
            d.start()
            until(lambda i=i: listed.hits == i, 20, "the list to be asked for")
            assert not d.cert(A).get("trouble")
            d.kill()
        assert ca.orders == 1
        listed.what["hold"].set()
        d.start().installed(A)
        assert ca.orders == 1
        assert len(p.requests("POST", "^/order-plz")) == 1
    finally:
        p.stop()


def test_long_list(mock, acmed):
    """A hundred thousand orders: some requests, and less than a second for
    them here."""
    ca = mock(LATE.format(1) + "list 5000 100000")
    d = acmed(ca, [A]).start()
    cut_off(ca, d)
    began = time.monotonic()
    d.start().installed(A)
    print(f"found and installed in {time.monotonic() - began:.1f} s")
    assert ca.orders == 1
    assert ca.count("orders") == 21
    # looked at, and gone on with
    assert 2 <= ca.count("order") <= 5


def test_endless_list(mock, acmed):
    """Too many pages: what is behind them is not known, and it counts as a
    failure."""
    ca = mock(LATE.format(1) + "list 1 100000")
    d = acmed(ca, [A], at_ca={"max-requests": "1000/1s"}).start()
    cut_off(ca, d)
    d.start()
    d.wait("a new order was never heard of", timeout=40)
    assert d.cert(A)["trouble"]["type"] == "interrupted"
    assert ca.count("orders") <= 100
    # some list may begin with the newest
    assert ca.count("order") == 8
    assert ca.orders == 1
    d.renew(A)
    d.installed(A)
    assert ca.orders == 2


@pytest.mark.parametrize("spoilt", [
    "problem malformed 404", "problem unauthorized 401", "status 500",
    "html", "rst", "drop", "body [1,2", "del orders",
    "set orders = 7", "header Link: <$base/orders/1-0>;rel=\"next\"",
    "endless", "problem rateLimited 429", "problem accountDoesNotExist"])
def test_bad_list(mock, acmed, spoilt):
    """As if there were none, and nobody else at that CA suffers."""
    ca = mock(LATE.format(1) + "list 1 3\n"
              f"on POST ^/orders/: {spoilt}")
    d = acmed(ca, [A]).start()
    cut_off(ca, d)
    d.conf["domains"].append(B)
    d.write()
    d.start()
    d.installed(B)
    d.wait("a new order was never heard of")
    assert d.cert(A)["trouble"]["type"] == "interrupted"
    assert 1 <= ca.count("orders") <= 4
    assert ca.accounts == 1
    assert ca.orders == 2
    assert not d.find("CA not usable for now")
