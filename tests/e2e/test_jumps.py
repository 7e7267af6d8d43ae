# SPDX-License-Identifier: ISC
"""The clock of a host is set while acmed runs, and the host sleeps (Q5, J16,
R35).  The clocks are those of wallclock.py, the CA is the mock, whose clock
moves when the test says so."""
import time

import pytest
from util import PATIENCE, back_off, seconds_to, until
from wallclock import DAY, Clock

pytestmark = pytest.mark.root

HOUR = 3600
A, B, C = "a.example.org", "b.example.org", "c.example.org"
BAD = "the clock is wrong: nothing is renewed until it is right, or a CA " \
    "confirms it"
RIGHT = "the clock is right again"
AHEAD = "state was saved by a clock that was ahead"
SET = "the clock was set"
OFF = ("the clock of this host differs from the CA's: what acmed does it does "
       "by the CA's; look after the clock")
AGREES = "the clock agrees with the CA's again"
KEPT = ("the new certificate is not valid by the clock of this host: the old "
        "one stays until it is; look after the clock")
SOON = 20  # seconds, to act: less than any wait of acmed's own


class World:
    """One acmed whose clock can be set, and its CA."""

    def __init__(self, mock, acmed, work, lives, scenario="", **conf):
        """lives: of each name's certificate, in days."""
        profiles = "\n".join(f"profile d{n} {n}d" for n in set(lives.values()))
        self.ca = mock(profiles + "\n" + scenario)
        self.d = acmed(self.ca, [{"name": k, "names": [k], "profile": f"d{n}"}
                                 for k, n in lives.items()],
                       at_ca={"max-orders": 1}, **conf)
        self.clock = Clock(self.d, work)
        self.names = list(lives)

    def start(self):
        self.d.start()
        self.d.installed(*self.names)
        for name in self.names:
            self.d.wait("renewal window", cert=name)
        return self

    def ca_clock(self, seconds):
        """That far ahead of ours as it was first."""
        self.ca.play(f"clock {int(seconds)}s")

    def sleep(self, seconds):
        """The host, and the world goes on."""
        self.ca_clock(self.ca.acme.skew + seconds)
        self.clock.jump(seconds, suspend=True)

    def ordered(self):
        """The names of all orders, in the order in which they were made."""
        return [r.names[0] for r in self.ca.seen("newOrder", status=201)]

    def in_s(self, instant):
        """From acmed's own now."""
        return seconds_to(instant) - self.clock.offsets[0] / 1000

    def renewals(self):
        return {c["name"]: c["renew_at"]
                for c in self.d.status()["certificates"]}


@pytest.fixture
def world(mock, acmed, work):
    made = []

    def make(*args, **kw):
        made.append(World(mock, acmed, work, *args, **kw))
        return made[-1]

    yield make
    for w in made:
        w.d.close()
        w.clock.close()


def test_boot_in_1970(world):
    """Nothing is renewed or called expired by a clock that nobody has set yet;
    what is due by the right one is renewed once it is there."""
    w = world({A: 90, B: 300}).start()
    d, n = w.d, len(w.d.lines)
    d.stop()
    asked = w.ca.count()
    w.clock.to(600)
    d.start()
    d.wait(BAD, since=n)
    s = d.status()
    assert s["clock_right"] is False and s["healthy"] is False
    for c in s["certificates"]:
        assert (c["state"], c["next"]) == (
            "valid", "wait for the clock to be right")
    w.clock.jump(5)  # still 1970
    assert d.cert(A)["state"] == "valid"
    assert w.ca.count() == asked

    w.ca_clock(70 * DAY)
    w.clock.to(time.time() + 70 * DAY)
    d.installed(A, version=2)
    assert d.status()["clock_right"] is True
    d.installed(B)
    assert w.ordered() == [A, B, A]
    assert len(d.find(BAD, since=n)) == len(d.find(RIGHT, since=n)) == 1
    assert until(lambda: d.status()["healthy"], 5)


@pytest.mark.parametrize("asked", [False, True], ids=["due", "window"])
def test_sleep(world, asked):
    """Of weeks: what became due meanwhile is renewed at once, most urgent
    first, and each once; so is what the CA's window asked for."""
    w = world({A: 200, B: 90, C: 75}, "window 30d 40d" if asked else "").start()
    d, n = w.d, len(w.d.lines)
    if asked:
        old = d.cert(A)
        w.ca.play(f"""
            window
            on GET ^/ari/{old["ari_id"]}:
                set suggestedWindow.start = "{old["window"]["start"]}"
                set suggestedWindow.end = "{old["window"]["end"]}"
            """)
    due = [C, B, A] if asked else [C, B]
    w.sleep(70 * DAY)
    began = time.monotonic()
    w.ca.wait("newOrder", 3 + len(due), status=201)
    assert time.monotonic() - began < SOON * PATIENCE
    d.installed(*due, version=2)
    for name in due:
        d.wait("renewal window", cert=name, since=n)
    assert w.ordered()[3] == C
    assert sorted(w.ordered()[3:]) == sorted(due)
    assert all(r.payload["replaces"] for r in w.ca.seen("newOrder")[3:])
    assert not d.find(BAD) and not d.find(SET)
    assert until(lambda: d.status()["healthy"], 5)


@pytest.mark.parametrize("ahead", [70 * DAY, 365 * DAY, 4 * 365 * DAY])
def test_forward_alone(world, ahead):
    """Nobody else's clock is there: nothing is renewed, and it is told.  With
    the last one, no TLS can be had either."""
    w = world({A: 90, B: 75}).start()
    d, n = w.d, len(w.d.lines)
    at = w.renewals()
    w.clock.jump(ahead)
    assert d.wait(SET, since=n)["level"] == "warn"
    told = d.wait(OFF, since=n)
    assert told["level"] == "warn" and abs(told["ahead_s"] + ahead) < 60
    s = d.status()
    assert abs(s["cas"][0]["clock_ahead_s"] + ahead) < 60
    for c in s["certificates"]:
        assert (c["state"], c["next"], c["alarm"]) == \
            ("valid", "renew", "none")
    assert w.renewals() == at
    if ahead < 3 * 365 * DAY:
        r = d.ctl("renew", A, "--wait")  # a person may
        w.ca.wait("certificate", 3)
    if ahead < 90 * DAY:
        assert r.returncode == 0, r.stdout
        d.installed(A, version=2)
    elif ahead < 3 * 365 * DAY:
        # nobody waits for the clock
        assert r.returncode == 1 and " the new certificate is" in r.stdout
        d.wait(KEPT, since=n, cert=A)
    n, orders = len(d.lines), w.ca.orders
    w.clock.jump(-ahead)
    d.wait(AGREES, since=n)
    if ahead < 3 * 365 * DAY:
        d.installed(A, version=2)
        left = seconds_to(w.renewals()[A])
        assert abs(left - 60 * DAY) < 2 * DAY
    s = d.status()
    assert s["clock_right"] is True
    assert s["cas"][0]["clock_ahead_s"] == 0
    assert w.renewals()[B] == at[B]
    assert w.ca.orders == orders
    # And it is still known how to renew.
    w.ca_clock(70 * DAY)
    w.clock.jump(70 * DAY)
    d.installed(B, version=2)
    assert w.ordered()[orders:].count(B) == 1


def test_forward_unheard(world):
    """The same when no CA has told the time for long: one is asked before
    anything is renewed for it."""
    w = world({A: 90, B: 75}).start()
    d = w.d
    w.ca.stop()
    w.clock.jump(25 * HOUR, suspend=True)
    w.ca_clock(25 * HOUR)
    until(lambda: d.status()["cas"][0]["clock_ahead_s"] == 0, 5)
    d.stop()
    w.ca.start()
    w.clock.jump(70 * DAY)
    n = len(d.lines)
    d.start()
    d.wait(OFF, since=n)
    until(lambda: [c["state"] for c in d.status()["certificates"]] ==
          ["valid"] * 2, 5)
    w.clock.jump(1)
    assert d.cert(B)["state"] == "valid"
    assert w.ca.orders == 2


def test_answer_from_before(world):
    """What a CA was asked before the clock was set, it answers by the time of
    then: that is not believed, and it is asked once more."""
    w = world({A: 90, B: 75}).start()
    d, n = w.d, len(w.d.lines)
    asked = w.ca.count("directory")
    # nobody else tells what time it is
    w.ca.play("""
        on GET ^/dir$ hit 1:
            keep
        on GET ^/ari/:
            header Date: -
        """)
    w.clock.jump(HOUR)
    until(lambda: w.ca.count("directory", status=200) > asked, 10,
          "it to be asked")
    # acmed knows to the millisecond when that was
    at = time.monotonic()
    until(lambda: time.monotonic() - at > 0.005, 10)
    w.ca_clock(70 * DAY)
    w.clock.jump(70 * DAY - HOUR)
    w.ca.release()
    d.installed(B, version=2)
    assert w.ca.count("directory") == asked + 2
    assert len(d.find(AGREES, since=n)) == 1


def test_answer_from_before_a_sleep(world):
    """Nor is what comes when the host has slept, but was said before."""
    w = world({A: 90}).start()
    d, n = w.d, len(w.d.lines)
    w.ca.play("""
        on POST ^/order$:
            keep
        """)
    d.renew(A)
    until(lambda: w.ca.orders == 2, 20, "it to be said")
    w.sleep(3 * HOUR)
    w.ca.release()
    d.installed(A, version=2)
    assert not d.find(OFF, since=n)
    assert d.status()["cas"][0]["clock_ahead_s"] == 0


def test_told_in_passing(world):
    """Any answer counts, not only that to the question what time it is."""
    w = world({A: 90, B: 75}).start()
    d, n = w.d, len(w.d.lines)
    w.ca.play("""
        on GET ^/dir$:
            header Date: -
        """)
    w.ca_clock(70 * DAY)
    w.clock.jump(70 * DAY)
    d.wait(OFF, since=n)
    d.wait(AGREES, since=n)
    d.installed(B, version=2)
    assert w.ordered().count(B) == 2


@pytest.mark.parametrize("back", [365, 1])
def test_back(world, back):
    """What was noted by the clock of before is in the future now: nothing
    waits for it, and nothing is ordered twice."""
    w = world({A: 90, C: 90}, "clock 500d\nfail c.example.org always dns")
    w.clock.jump(500 * DAY)
    d = w.d.start()
    d.installed(A)
    d.wait("renewal window", cert=A)
    d.wait("certificate not issued", cert=C)
    at, orders = d.cert(A)["renew_at"], w.ca.orders
    left = until(lambda: (c := d.cert(C)).get("next_at") and
                 w.in_s(c["next_at"]), 5)
    began = time.monotonic()
    n = len(d.lines)
    w.clock.jump(-back * DAY)
    d.wait(SET, since=n)
    d.wait(OFF, since=n)
    assert abs(w.in_s(d.cert(C)["next_at"]) -
               (left - (time.monotonic() - began))) < 10
    assert d.cert(A)["renew_at"] == at
    assert d.status()["clock_right"] is True
    # The CA's was wrong with it, and both are right now.
    w.ca_clock((500 - back) * DAY)
    d.renew(C)
    d.wait("certificate not issued", cert=C, since=n)
    d.wait(AGREES, since=n)
    assert d.cert(A)["renew_at"] == at
    assert w.ordered()[orders:] == [C]


def test_back_with_what_was_saved(world):
    """By a clock that was months ahead, and died so: a limit of the CA and
    saved_at are in the future, and hold up nothing."""
    w = world({A: 90, B: 90}).start()
    d = w.d
    w.clock.jump(70 * DAY)
    d.renew(A)
    d.installed(A, version=2)
    w.ca.play("""
        on POST ^/order$:
            status 503
            header Retry-After: 7200
        """)
    d.renew(B)
    d.wait("CA not usable for now")
    d.stop()
    w.ca.clear()
    w.clock.to(time.time())
    n = len(d.lines)
    d.start()
    d.wait(BAD, since=n)
    d.wait(AHEAD, since=n)
    d.wait(RIGHT, since=n)
    assert d.status()["clock_right"] is True
    d.renew(A)
    d.installed(A, version=3)
    assert w.ordered() == [A, B, A, A]
    n = len(d.lines)
    d.stop()
    d.start()
    d.renew(B)
    d.installed(B, version=2)
    assert not d.find(BAD, since=n)


def test_steps(world):
    """NTP's, of two seconds: nobody's business."""
    w = world({A: 90}).start()
    d = w.d
    at, n, asked = w.renewals(), len(d.lines), w.ca.count()
    for i in range(20):
        w.clock.jump(2 if i % 2 else -2)
    w.clock.jump(0.5)
    assert d.status()["healthy"] is True
    assert w.renewals() == at
    assert w.ca.count() == asked
    assert [x for x in d.lines[n:] if x["level"] != "debug"] == []


@pytest.mark.parametrize("how", ["forward", "back", "sleep"])
def test_within_validation(world, how):
    """An order under way goes on: no time-out is over for that."""
    w = world({A: 90}, "hold authz pending 2")
    d = w.d.start()
    w.ca.wait("authz", 2)
    if how == "sleep":
        w.sleep(3 * HOUR)
    else:
        w.clock.jump(DAY if how == "forward" else -DAY)
    d.installed(A)
    assert w.ordered() == [A]
    assert not d.find("certificate not issued")


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_within_retry_after(world, by):
    """The CA's seconds are seconds."""
    w = world({A: 90}, """
        on POST ^/order$ hit 1:
            problem rateLimited 503 wait
            header Retry-After: 2
        """)
    d = w.d.start()
    first = w.ca.wait("newOrder")
    d.wait("asking again")
    w.clock.jump(by)
    second = w.ca.wait("newOrder", 2)
    assert 2 <= second.at - first.at < 2 + SOON * PATIENCE
    d.installed(A)
    assert first.status == 503 and w.ordered() == [A]


def test_within_back_off(world):
    """Its length is what it was, whatever the clock shows; a sleep counts."""
    w = world({A: 90}, "fail a.example.org 1 dns")
    d = w.d.start()
    d.wait("certificate not issued")
    began, t = time.monotonic(), d.cert(A)["trouble"]
    assert 40 < back_off(t) < 75
    left = w.in_s(t["next"])
    for by in 365 * DAY, -365 * DAY, -DAY, 2 * DAY, -DAY:
        w.clock.jump(by)
        assert abs(w.in_s(d.cert(A)["trouble"]["next"]) -
                   (left - (time.monotonic() - began))) < 10
    assert w.ca.orders == 1
    w.sleep(80)
    began = time.monotonic()
    d.installed(A)
    assert time.monotonic() - began < SOON * PATIENCE
    assert w.ca.orders == 2


def test_sleep_counts_for_the_ca(world):
    """A CA that wants to be left alone for hours has been, on waking up."""
    w = world({A: 90}, """
        on POST ^/order$ hit 1:
            status 503
            header Retry-After: 7200
        """)
    d = w.d.start()
    d.wait("CA not usable for now")
    w.sleep(3 * HOUR)
    began = time.monotonic()
    d.installed(A)
    assert time.monotonic() - began < SOON * PATIENCE
    assert w.ca.orders == 1


def test_sleep_counts_for_reloads(world, work):
    """And a reload command that is to be run again is."""
    gate = work / "broken"
    gate.touch()
    w = world({A: 90}, defaults={
        "reload": ["/bin/sh", "-c", f"! test -e {gate}"]})
    d = w.d.start()
    until(lambda: d.cert(A).get("deploy_trouble"), 20, "the reload to fail")
    gate.unlink()
    w.sleep(HOUR)
    began = time.monotonic()
    d.installed(A)
    assert time.monotonic() - began < SOON * PATIENCE
    assert w.ca.orders == 1
