# SPDX-License-Identifier: ISC
"""Back from a backup: what the engine remembers is older than what is live
(J17, and J12 for what the CA then says)."""
import os
import shutil
import signal

import pytest
from test_jumps import DAY, world  # noqa: F401
from util import check_pair, freeze, run, until

pytestmark = pytest.mark.root
A = "a.example.org"


class Backup:
    """Of engine/ alone, so that the rest is newer when it comes back; or of
    the whole state folder."""

    def __init__(self, d, whole=False):
        self.d = d
        self.what = d.state if whole else d.state / "engine"
        self.copy = d.where / "backup"
        # what it saves just now would be gone before it is copied
        engine = d.engine()
        freeze(engine)
        assert run("cp", "-a", self.what, self.copy).returncode == 0
        os.kill(engine, signal.SIGCONT)

    def restore(self):
        assert self.d.stop() == 0
        shutil.rmtree(self.what)
        assert run("cp", "-a", self.copy, self.what).returncode == 0
        self.d.start()


def orders(ca):
    return [r.payload.get("replaces") for r in ca.seen("newOrder")]


@pytest.mark.parametrize("whole", [False, True])
def test_nothing_due(mock, acmed, whole):
    """What it remembers is not due, nor what is live: nothing is ordered.  A
    renewal names what it remembers, which has been replaced: that is dealt
    with in the same run, and the next one is as any other."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    backup = Backup(d, whole)
    before = d.serial(A)
    d.renew(A)
    d.installed(A, version=2)
    serial = d.serial(A)
    backup.restore()
    assert d.cert(A)["version"] == 1 and d.cert(A)["state"] == "valid"
    assert d.ctl("status").returncode == 0
    assert (d.version(A), d.serial(A)) == \
        ((1, before) if whole else (2, serial))
    assert len(orders(ca)) == 2
    d.renew(A)
    live = 2 if whole else 3
    d.installed(A, version=live)
    first, second, third = ca.acme.issued
    assert orders(ca) == [None, first.ari, first.ari, None]
    assert not d.find("certificate not issued")
    assert d.serial(A) not in (before, serial)
    check_pair(d.live(A))
    d.renew(A)
    d.installed(A, version=live + 1)
    assert orders(ca)[4:] == [third.ari]
    assert ca.accounts == 1


def test_due(world):  # noqa: F811
    """What it remembers is due: one order, and then it is up to date."""
    w = world({A: 90}, "window 30d 31d").start()
    ca, d = w.ca, w.d
    ca.acme.window = None
    until(lambda: "window" in d.remembered(A), 10, "it to be saved")
    backup = Backup(d)
    d.renew(A)
    d.installed(A, version=2)
    w.sleep(40 * DAY)
    backup.restore()
    d.installed(A, version=3)
    assert len(orders(ca)) == 4 and orders(ca)[2:] == [
        ca.acme.issued[0].ari, None]
    check_pair(d.live(A))
    d.stop()
    d.start()
    assert d.cert(A)["version"] == 3
    assert len(orders(ca)) == 4


def test_order_that_has_ended(mock, acmed):
    """An order was under way then, and has ended well since: its certificate is
    fetched again, found to be live, and nothing is ordered."""
    ca = mock()
    d = acmed(ca, [A], reload=["/bin/echo", "reloaded"]).start()
    d.installed(A)
    ca.play("on POST ^/finalize/: hold")
    d.renew(A)
    until(lambda: ca.count("finalize") == 2, 20)
    backup = Backup(d)
    ca.clear()
    ca.release()
    d.installed(A, version=2)
    serial = d.serial(A)
    old = d.live(A).resolve()
    n = len(d.lines)
    backup.restore()
    d.wait("certificate installed", part="engine", since=n, version=2)
    d.installed(A, version=2)
    assert d.live(A).resolve() == old and d.serial(A) == serial
    assert len(orders(ca)) == 2
    d.renew(A)
    d.installed(A, version=3)
    assert orders(ca)[2:] == [ca.acme.issued[1].ari]
    check_pair(d.live(A))
