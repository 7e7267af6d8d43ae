# SPDX-License-Identifier: ISC
"""Renewal information: the instant that is picked, and when it is asked for."""
import pytest
from test_jumps import DAY, world  # noqa: F401
from util import seconds_to, until, when

pytestmark = pytest.mark.root
A = "a.example.org"


def test_picked_and_kept(mock, acmed):
    """J3: one instant within the window, the same after a restart; picked anew
    only when the window is another one."""
    ca = mock("window 10d 20d")
    d = acmed(ca, [A]).start()
    d.installed(A)
    ca.wait("renewalInfo")
    at = until(lambda: (x := d.cert(A)["renew_at"]) and
               seconds_to(x) < 21 * 86400 and x, 10, "an instant")
    assert 10 * 86400 - 60 <= seconds_to(at) <= 20 * 86400 + 60
    for _ in range(3):
        d.stop()
        d.start()
        assert d.cert(A)["renew_at"] == at
    assert ca.orders == 1


def test_narrow_window(mock, acmed):
    """J3, J14: a window of a second is hit, though nobody asks meanwhile.  (It
    does not hurry what has just been installed: a twentieth of the life.)"""
    ca = mock("life 80s\non GET ^/ari/ hit 1: hold")
    d = acmed(ca, [A]).start()
    d.installed(A)
    # From now on, however long that took.
    ca.play("window 7s 8s")
    start, end = ca.acme.window
    ca.release()
    first = ca.wait("renewalInfo")
    ca.acme.window = None  # the next one is not renewed at once
    begun = when(d.wait("renewing", timeout=30)["time"])
    assert int(start) <= begun <= end + 2
    d.installed(A, version=2)
    assert ca.seen("newOrder")[1].payload["replaces"] == \
        ca.acme.issued[0].ari
    assert len([r for r in ca.seen("renewalInfo")
                if r.path == first.path]) == 1


def test_window_past(mock, acmed):
    """J10: the CA wants it replaced: now, and loudly, with its own reason."""
    ca = mock("""
        life 80s
        window -2h -1h
        explanation https://mock.example/incident""")
    d = acmed(ca, [A])
    ca.play("on POST ^/order$ with replaces: problem rateLimited 429 not now\n"
            "\theader Retry-After: 3600")
    d.start().installed(A)
    d.wait("certificate not issued")  # tried in seconds, and told
    c = d.cert(A)
    assert c["replace"]["url"] == "https://mock.example/incident"
    assert -7300 < seconds_to(c["replace"]["since"]) <= 0
    assert c["alarm"] in ("warning", "critical")
    assert "https://mock.example/incident" in d.text()
    assert "https://mock.example/incident" in d.ctl("status").stdout
    ca.acme.window = None
    ca.clear()
    d.renew(A)
    d.installed(A, version=2)
    until(lambda: "replace" not in d.cert(A), 10)


@pytest.mark.parametrize("url", ["http://mock.example/x", "javascript:x",
                                 "https://mock.example/\x1b[31m"])
def test_explanation_is_untrusted(mock, acmed, url):
    """J10, A22: https only, and nothing that works a terminal."""
    ca = mock("life 80s\nwindow -2h -1h")
    ca.acme.explanation = url
    ca.play("on POST ^/order$ with replaces: problem rateLimited 429\n"
            "\theader Retry-After: 3600")
    d = acmed(ca, [A]).start()
    d.installed(A)
    d.wait("certificate not issued")
    assert not url.startswith("https") or "\x1b" not in d.text()
    if not url.startswith("https"):
        assert "url" not in d.cert(A).get("replace", {})
        assert url not in d.ctl("status").stdout


@pytest.mark.parametrize("text", ["0", "1", "-5", "99999999999999", "soon"])
def test_asked_seldom(mock, acmed, text):
    """J6: at least a minute apart, whatever the CA says."""
    ca = mock(f"ari-retry-after {text}")
    d = acmed(ca, [A, "b.example.org"]).start()
    d.installed(A)
    ca.wait("renewalInfo", names=[A])
    for _ in range(3):
        d.stop()
        d.start()
        assert d.cert(A)["state"] == "valid"
    assert len([r for r in ca.seen("renewalInfo") if A in r.names]) <= 2


def test_replaced_is_not_asked_for(mock, acmed):
    """J8, J17: of the certificate that there is now, and no other."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    ca.wait("renewalInfo")
    d.renew(A)
    d.installed(A, version=2)
    ca.wait("renewalInfo", 2)
    asked = [r.path.rpartition("/")[2] for r in ca.seen("renewalInfo")]
    assert asked == [c.ari for c in ca.acme.issued]


def test_late_window_is_not_waited_for(world):  # noqa: F811
    """J5: a window near or after the end makes nothing later than the life
    does."""
    w = world({A: 90}, "window 89d 90d")
    d = w.d.start()
    d.installed(A)
    told = d.wait("the CA's renewal window is later than acmed waits")
    assert when(told["renewal"]) < when(told["start"])
    w.sleep(66 * DAY)
    assert d.cert(A)["state"] == "valid" and w.ca.orders == 1
    w.sleep(2 * DAY)
    d.installed(A, version=2)
    assert w.ca.orders == 2
