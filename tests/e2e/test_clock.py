# SPDX-License-Identifier: ISC
"""Clocks that differ from the CA's, and state of a clock that was ahead (Q5,
J16).  Those that are set while acmed runs are in test_jumps.py."""
import datetime

import pytest
from proxy import Proxy
from util import seconds_to, until

pytestmark = pytest.mark.root

HOUR = 3600
X = "a.example.org"
OFF = ("the clock of this host differs from the CA's: what acmed does it does "
       "by the CA's; look after the clock")
BAD = "the clock is wrong: nothing is renewed until it is right, or a CA " \
    "confirms it"


@pytest.fixture
def px(cas):
    """Of certificates for eight hours."""
    p = Proxy(cas("system", life=8 * HOUR, PEBBLE_WFE_NONCEREJECT="0",
                  PEBBLE_AUTHZREUSE="0"))
    yield p
    p.stop()


def rfc3339(seconds):
    t = datetime.datetime.now(datetime.timezone.utc)
    return (t + datetime.timedelta(seconds=seconds)).strftime(
        "%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("ahead, off", [(240, False), (360, True),
                                        (3 * HOUR, True)])
def test_ca_ahead(px, acmed, ahead, off):
    """Below five minutes nobody cares; beyond, renewals are by the CA's clock:
    of a life of 8 h, half."""
    dates = px.rule(None, "", times=-1, date=ahead)
    d = acmed(px, [X, "b.example.org"]).start()
    d.installed(X, "b.example.org")
    said = d.find(OFF)
    assert len(said) == off
    shown = d.status()["cas"][0]["clock_ahead_s"]
    assert abs(shown - ahead * off) <= 30
    assert d.status()["clock_right"] is True
    left = 4 * HOUR - ahead * off
    c = until(lambda: (c := d.cert(X))["state"] == "valid" and c, 5)
    assert abs(seconds_to(c["next_at"]) - left) < 0.02 * 8 * HOUR
    if not off:
        return
    assert said[0]["level"] == "warn" and said[0]["ca"] == "test"
    assert abs(said[0]["ahead_s"] - ahead) <= 30
    dates.times = 0
    d.renew(X)
    d.wait("the clock agrees with the CA's again")
    d.installed(X, version=2)
    c = d.cert(X)
    assert abs(seconds_to(c["next_at"]) - 4 * HOUR) < 0.02 * 8 * HOUR
    assert d.status()["cas"][0]["clock_ahead_s"] == 0


def test_state_of_the_future(px, acmed):
    """A clock that was ahead wrote it: the CA is asked what time it is, and
    what would have waited for that clock waits no more."""
    d = acmed(px, [X, "www.blocked.example"]).start()
    d.installed(X)
    d.wait("certificate not issued", cert="www.blocked.example")
    d.stop()
    d.remembered(X, lambda root: root.update(saved_at=rfc3339(48 * HOUR)))

    def later(root):
        root["saved_at"] = rfc3339(48 * HOUR)
        root["trouble"]["at"] = rfc3339(47 * HOUR)
        root["trouble"]["next"] = rfc3339(72 * HOUR)
    d.remembered("www.blocked.example", later)
    orders = px.ca.orders
    n = len(d.lines)
    d.start()
    said = d.wait(BAD, since=n)
    assert said["level"] == "error"
    d.renew(X)  # or within a minute
    mended = d.wait("state was saved by a clock that was ahead", since=n)
    assert mended["waits_ended"] == 1
    d.wait("the clock is right again", since=n)
    d.wait("certificate not issued", since=n, cert="www.blocked.example")
    assert d.status()["clock_right"] is True
    d.installed(X, version=2)
    assert px.ca.orders == orders + 1
    # And it is on disk: the next start finds nothing wrong.
    n = len(d.lines)
    d.stop()
    d.start()
    assert d.status()["clock_right"] is True
    assert not d.find(BAD, since=n)


def test_state_of_the_future_and_no_ca(px, acmed):
    """Nobody to ask: nothing is done in haste, and it is told."""
    d = acmed(px, [X]).start()
    d.installed(X)
    d.stop()
    d.remembered(X, lambda root: root.update(saved_at=rfc3339(48 * HOUR)))
    px.stop()
    d.start()
    d.wait(BAD)
    s = d.status()
    assert s["clock_right"] is False and s["healthy"] is False
    assert "clock" in d.ctl("status").stdout
    assert d.ctl("status").returncode == 1
    assert d.cert(X)["next"] == "wait for the clock to be right"
