# SPDX-License-Identifier: ISC
"""SIGKILL of each process at each step, and what is left afterwards.

The daemon's log goes through a pipe that holds one line only, and the process
dies in the moment in which its line is taken out: before it can have written
the next line but one."""
import os
import signal
import threading

import pytest
from acmed import STEPS
from proxy import Proxy
from util import alive, freeze, state, until

pytestmark = pytest.mark.root

NAMES = ["a.example.org", "b.example.org"]
PROGRAMS = ("acmed", "acmed-engine", "acmed-keeper")
# After the last step.
LATE = ("version live", "certificate installed", "reload command ended",
        "reload command ran")


class Killer:
    """Kill one program when the first line like this is seen.

    idle_from: a step in which it has nothing to do, and from which on it does
    nothing."""

    def __init__(self, d, program, idle_from=None, **line):
        self.d, self.program, self.want = d, program, line
        self.idle_from = idle_from
        self.victim = None
        self.done = threading.Event()
        d.on_line = self.look

    def look(self, line):
        if line["msg"] == "started":
            self.started(line)
        if self.victim is not None:
            return
        if self.idle_from and line.get("step") == self.idle_from:
            freeze(self.pids[self.program])
        if all(line.get(k) == v for k, v in self.want.items()):
            self.victim = self.pids[self.program]
            os.kill(self.victim, signal.SIGKILL)
            self.bury()
            self.done.set()

    def started(self, line):
        self.pids = {"acmed": self.d.process.pid,
                     "acmed-engine": line["engine"],
                     "acmed-keeper": line["keeper"]}

    def bury(self):
        """No line is taken before it is dead, or the others would go on: with
        root's process go these, whatever they were doing, and port 80 too."""
        dead = self.pids.values() if self.program == "acmed" else [self.victim]
        until(lambda: not any(alive(p) for p in dead), 10, "them to be dead")

    def wait(self):
        assert self.done.wait(60), f"never saw {self.want}"
        if self.program == "acmed":
            assert self.d.ended() == -signal.SIGKILL


# When the CA may be asking at port 80: who has let it in and dies, or goes on
# without root's process, which has that port, makes it refuse the order.
ASKED = ("challenge", "validation")


def kill_at(d, program, **line):
    k = Killer(d, program, **line)
    d.spawn()
    k.wait()
    if program == "acmed":
        d.spawn()
    # Dying in newOrder before the CA has heard it counts as a failure, which
    # has to wait (Q2) unless a person asks.  So does a CA that found nobody.
    d.insist("a.example.org", why=("interrupted", "connection")
             if line.get("step") in ASKED else ("interrupted",))
    return k


def check(d, ca):
    d.check_state("a.example.org")
    orders, issued, accounts = ca.orders, ca.issued, ca.accounts
    seen = f"{orders} orders, {issued} issued, {accounts} accounts at the CA"
    print(seen)
    assert orders <= most_orders(d), seen
    assert accounts == 1, seen
    assert len(list((d.state / "keeper").glob("account-*"))) == 1
    # Nothing is left to do.
    assert d.status()["healthy"]
    assert d.stop() == 0


def most_orders(d):
    """Two when the CA found nobody at port 80, and so that order is invalid."""
    return 1 + len(d.find("certificate not issued", type="connection"))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_kill_at_step(ca, acmed, program, step):
    """S7: no order too many, also when the reply to newOrder was lost."""
    d = acmed(ca, [NAMES], lockstep=True)
    kill_at(d, program, msg="step", step=step)
    check(d, ca)
    if program != "acmed":
        said = d.find("stopped unexpectedly, both are started again")
        assert len(said) == 1
        # The other one, which ends by itself then, may be reaped before it.
        assert [x["program"] for x in said + d.find("ended")
                if x["how"] == "killed by signal 9"] == [
            program.removeprefix("acmed-")]


@pytest.mark.parametrize("step", ["newOrder", "validation", "finalize",
                                  "install"])
def test_kill_at_step_newest(cas, acmed, step):
    ca = cas("newest", PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0")
    d = acmed(ca, [NAMES], lockstep=True)
    kill_at(d, "acmed-engine", msg="step", step=step)
    check(d, ca)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("said", LATE)
def test_kill_after_install(ca, acmed, program, said):
    """Installed is installed, and its reload command runs: once more rather
    than not at all."""
    d = acmed(ca, [NAMES], lockstep=True, reload=["/bin/true"])
    kill_at(d, program, msg=said)
    ran = len(d.find("reload command ended"))
    assert 1 <= ran <= 2
    check(d, ca)
    assert d.version("a.example.org") == 1


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("part", ["keeper", "engine"])
def test_kill_at_registration(ca, acmed, program, part):
    """D1: a key that was made is the one that is registered, or was never
    heard of by the CA."""
    d = acmed(ca, [NAMES], lockstep=True)
    k = Killer(d, program, msg="account key made", part=part)
    d.spawn()
    k.wait()
    if program == "acmed":
        d.spawn()
    d.insist("a.example.org", why=("interrupted",))
    assert ca.accounts == 1
    assert ca.orders == 1


def test_crash_loop_at_new_order(ca, acmed):
    """Q2: dying while newOrder is not answered yet, and being started again
    and again, makes no order each time, at a CA where the one that was made
    cannot be looked for."""
    p = Proxy(ca)
    try:
        p.rule("POST", "^/my-account/", times=99,
               edit=lambda status, h, body: (status, h, body.replace(
                   b'"orders"', b'"ordres"')))
        p.rule("POST", "^/order-plz", times=99, keep=threading.Event())
        d = acmed(p, [NAMES]).start()
        until(lambda: ca.orders == 1, 20)
        d.kill()
        for _ in range(5):
            d.start()
            t = until(lambda: d.cert("a.example.org").get("trouble"), 20)
            assert t["type"] == "interrupted" and t["failures"] == 1
            assert t["next"]
            d.kill()
        assert ca.orders == 1
        assert len(p.requests("POST", "^/order-plz")) == 1
    finally:
        p.stop()


def test_renewal_killed(ca, acmed):
    """The old pair stays until the new one is whole."""
    d = acmed(ca, [NAMES], lockstep=True).start()
    d.installed("a.example.org")
    old = d.serial("a.example.org")
    # not "challenge": with port 80 gone the CA may refuse that order for good
    for step in ("authorization", "csr", "certificate", "install"):
        # or it may have installed it by the time we see the line
        k = Killer(d, "acmed", msg="step", step=step, idle_from="certificate")
        k.started(d.find("started")[-1])
        version = d.version("a.example.org")
        d.renew("a.example.org")
        k.wait()
        d.check_pair_only("a.example.org")
        assert d.version("a.example.org") == version
        assert d.serial("a.example.org") == old
        d.start()
        d.installed("a.example.org", version=version + 1)
        assert d.serial("a.example.org") != old
        old = d.serial("a.example.org")
    assert ca.orders == 5
    d.check_state("a.example.org")
    # The last three versions stay.
    assert sorted(p.name for p in
                  (d.state / "versions" / "a.example.org").iterdir()) == [
        "3", "4", "5"]


def test_engine_killed_again_and_again(ca, acmed):
    """Restarts are spaced, and no order is lost or made twice by them."""
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    for i in range(4):
        old = d.engine()
        n = len(d.lines)
        os.kill(old, signal.SIGKILL)
        d.wait("ready", part="supervisor", since=n)
        assert d.engine() != old
    waits = [x["in_ms"] for x in
             d.find("stopped unexpectedly, both are started again")]
    assert waits == [100, 200, 400, 800]
    assert ca.orders == 1
    assert d.ctl("status").returncode == 0


def test_hung_engine(ca, acmed):
    """An engine that hears nothing does not keep the supervisor from ending:
    a second signal stops at once."""
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    os.kill(d.engine(), signal.SIGSTOP)
    d.signal(signal.SIGTERM)
    d.wait("stopping")
    d.signal(signal.SIGTERM)
    assert d.ended(5) == 0


def keys(d):
    return {p.name for p in (d.state / "keeper").glob("cert-*")}


def test_key_left_behind(ca, acmed):
    """Killed between a new key and the note of it: nobody knows that key.  It
    goes at a start when it is a day old, and nothing else does."""
    d = acmed(ca, [NAMES], lockstep=True)

    def look(line):
        if line["msg"] == "exchange" and "/my-order/" in line["url"]:
            # which says before it answers that it has made a key, and cannot
            # have said so yet
            freeze(d.keeper())
        elif line["msg"] == "step" and line["step"] == "key":
            engine = d.engine()
            until(lambda: state(engine) == "S", 20, "it to wait for the key")
            freeze(engine)
            os.kill(d.keeper(), signal.SIGCONT)
            until(lambda: keys(d), 20, "the key's file")
            os.kill(engine, signal.SIGKILL)
            os.kill(d.pid, signal.SIGKILL)
    d.on_line = look
    d.spawn()
    assert d.ended() == -signal.SIGKILL
    left = keys(d)
    d.on_line = None
    d.start().installed("a.example.org")
    assert len(left) == 1 and len(keys(d)) == 2
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)

    def start_anew():
        d.stop()
        n = len(d.lines)
        d.start()
        until(lambda: d.find("no key that nobody knows", since=n) or
              d.find("keys that nobody knows dropped", since=n), 20)
    start_anew()  # an hour later, say
    assert len(keys(d)) == 3
    for p in (d.state / "keeper").iterdir():
        os.utime(p, (0, 0))
    # not while some state is damaged, which may have known it
    bad = d.state / "engine" / "orders" / ".bad-1-b.example.org.json"
    bad.touch()
    d.stop()
    d.start()
    d.wait("keys that nobody knows stay: some state is damaged, or was and is "
           "kept aside")
    assert len(keys(d)) == 3
    bad.unlink()
    start_anew()
    assert d.find("keys that nobody knows dropped")[-1]["dropped"] == 1
    assert len(keys(d)) == 2 and not keys(d) & left
    assert list((d.state / "keeper").glob("account-*"))
    # the version before this one can be gone back to, and both renewed
    d.check_state("a.example.org")
    d.renew("a.example.org")
    d.installed("a.example.org", version=3)
    assert d.stop() == 0
