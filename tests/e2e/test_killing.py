# SPDX-License-Identifier: ISC
"""Hundreds of SIGKILLs, at random instants and at named points, while a reader
looks at every pair in live/ all the time.

  ACMED_KILLS       how many (500)
  ACMED_KILLS_SEED  what chance is made of; a run prints its own"""
import collections
import concurrent.futures
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from acmed import STEPS
from util import check_pair, raw, run, until

pytestmark = pytest.mark.root

KILLS = int(os.environ.get("ACMED_KILLS", "500"))
SEED = int(os.environ.get("ACMED_KILLS_SEED", "0")) or \
    random.SystemRandom().randrange(1, 10**9)
DAEMONS = 6
LIFE = 120    # seconds of a certificate
PATIENT = 1   # seconds for a named point, then it is a random one
PROGRAMS = ("acmed", "acmed-engine", "acmed-keeper")
# Lines of the log, as find() takes them.
POINTS = (
    [{"msg": "step", "step": s} for s in STEPS] +
    [{"msg": m} for m in
     ("starting", "started", "confined", "order made", "challenge answered",
      "certificate key made", "version live", "certificate installed",
      "reload command ended", "reload command ran", "reloaded")] +
    [{"msg": "ready", "part": p} for p in ("engine", "supervisor")])


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text()
                   .rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Target:
    """One daemon, whose socket is ours, so that only its own death matters and
    not that nobody listens at port 80; and a CA of its own, because a Pebble
    locks up for good when two newOrders meet."""

    def __init__(self, make, ca, i):
        self.ca, self.quota = ca, (KILLS + DAEMONS - 1) // DAEMONS
        self.chance = random.Random(SEED * 1000 + i)
        certs = [[f"{c}{n}.example.org" for n in range(names)]
                 for c, names in (("a", 1), ("b", 2), ("c", 3))]
        self.d = make(ca, certs, lockstep=True,
                      defaults={"reload": ["/bin/sh", "-c", "sleep 0.02"]})
        self.d.listener = socket.create_server(("127.0.0.1", ca.http_port),
                                               backlog=128)
        self.names = [c[0] for c in certs]
        self.kills = collections.Counter()  # (program, how)
        self.pids = {}
        self.want = None
        self.over = threading.Event()
        self.shot = threading.Event()
        self.d.on_line = self.look

    # The killing

    def look(self, line):
        if line["msg"] == "started":
            self.pids = {"acmed-engine": line["engine"],
                         "acmed-keeper": line["keeper"]}
        want = self.want
        if want is not None and all(line.get(k) == v for k, v in
                                    want[1].items()):
            if self.fire(want[0]):
                self.want = None
                self.shot.set()

    def fire(self, program):
        """Kill it, if it is there."""
        pid = self.d.pid if program == "acmed" else self.pids.get(program, 0)
        if program != "acmed" and parent_of(pid) != self.d.pid:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.victim = pid
        return True

    def kill(self, program):
        """At a named point or at a random instant."""
        how = "named"
        if self.chance.random() < 0.5:
            self.shot.clear()
            self.want = (program, self.chance.choice(POINTS))
            self.shot.wait(PATIENT)
            self.want = None
        else:
            time.sleep(self.chance.uniform(0, 0.5))
            self.shot.clear()
        if not self.shot.is_set():
            how = "random"
            # A child may be between two lives.
            until(lambda: self.fire(program), 20, f"{program} to be there")
        self.kills[program, how] += 1
        if program == "acmed":
            children = list(self.pids.values())
            assert self.d.ended() == -signal.SIGKILL
            until(lambda: not any(parent_of(p) for p in children), 10,
                  "the children to go with it")
        else:
            until(lambda: parent_of(self.victim) != self.d.pid, 20,
                  "the dead to be buried")

    def hunt(self):
        """A supervisor waits ever longer before it starts crashing children
        anew, so that each lives for a few such only."""
        ask = threading.Thread(target=self.keep_busy, daemon=True)
        ask.start()
        while sum(self.kills.values()) < self.quota:
            self.d.spawn()
            for _ in range(self.chance.randrange(4)):
                self.kill(self.chance.choice(PROGRAMS[1:]))
            self.kill("acmed")
        self.over.set()
        ask.join()

    def keep_busy(self):
        """Renewals all the time, and not only when a life is half over."""
        while not self.over.wait(0.1):
            try:
                self.d.ask("POST", "/v1/certificates/"
                           f"{random.choice(self.names)}/renew", timeout=0.5)
            except (OSError, http.client.HTTPException):
                pass

    # Afterwards

    def grow_old(self):
        """Two days later keys that nobody knows are gone."""
        t = time.time() - 2 * 86400
        for p in (self.d.state / "keeper").iterdir():
            os.utime(p, (t, t))
        n = len(self.d.lines)
        self.d.start()
        until(lambda: self.d.find("no key that nobody knows", since=n) or
              self.d.find("keys that nobody knows dropped", since=n), 20)

    def settle(self):
        """All is well again, with a person's help at most where a lost
        newOrder has to be asked for (Q2)."""
        d = self.d
        d.on_line = None
        d.start()
        for name in self.names:
            until(lambda name=name: self.well(name), 60, f"{name} to be well",
                  every=0.1)
        assert d.status()["healthy"]

    def well(self, name):
        c = self.d.cert(name)
        if c.get("trouble"):
            self.d.renew(name)
        return (c["health"] == "ok" and c["state"] == "valid" and
                c["deploy"] == "done" and not c.get("trouble"))

    def check_state(self):
        d = self.d
        d.check_state(*self.names)
        keys = {p.name for p in (d.state / "keeper").iterdir()}
        account = json.loads(
            (d.state / "engine/accounts/test.json").read_text())
        assert f"account-{account['key']}.pem" in keys
        needed = set()
        for name in self.names:
            have = json.loads(
                (d.state / f"engine/certs/{name}.json").read_text())
            assert have["certificate"]["version"] == d.version(name)
            needed |= {have["certificate"]["key"],
                       *have.get("old_keys", "").split()}
            for v in (d.state / "versions" / name).iterdir():
                check_pair(v)
        lost = {f"cert-{k}.pem" for k in needed} - keys
        assert not lost
        assert list((d.state / "engine/orders").iterdir()) == []
        # a second account's, of a kill before it was noted, stays
        return len([k for k in keys if k.startswith("cert-")]) - len(needed)

    def count(self):
        """What became of each order that the daemon knew of, how many were
        found again of those whose answer was on its way in a kill, or had come
        and was not saved yet, and how many were looked for in vain."""
        n = collections.Counter()
        last, made, ordering = {}, set(), set()
        for line in self.d.lines:
            msg, cert = line["msg"], line.get("cert")
            if msg == "order made":
                # Its order before this one must have come to an end.
                if cert in last:
                    n["forgotten"] += 1
                    print("forgotten:", self.d.where, last[cert])
                last[cert] = line["order"]
                made.add(cert)
                n["made"] += 1
            elif msg == "order found that was not heard of":
                last[cert] = line["order"]
                made.add(cert)  # and is found again, if it is not saved
                n["found"] += 1
            elif msg == "a new order was never heard of":
                n["forgotten"] += cert in last
                n["not found"] += 1
            elif msg == "certificate installed":
                n["installed"] += last.pop(cert, None) is not None
            elif msg in ("certificate not issued", "order abandoned"):
                why = line.get("type") or "abandoned"
                n[f"failed: {why}"] += last.pop(cert, None) is not None
            elif msg == "started":  # and so had died
                # One newOrder at a time is under way.
                n["unheard"] += bool(ordering)
                for c in made:
                    last.pop(c)
                ordering.clear()
                made.clear()
            if msg in ("order made", "step", "certificate not issued"):
                ordering.discard(cert)
            if msg == "step":  # what was learned before is saved
                made.discard(cert)
                if line["step"] == "newOrder":
                    ordering.add(cert)
        return n

    def check_tokens(self):
        """E29"""
        found = set(re.findall(r"/\.well-known/acme-challenge/([\w-]+)",
                               self.ca.log()))
        for t in found:
            got = raw(("127.0.0.1", self.ca.http_port),
                      b"GET /.well-known/acme-challenge/" + t.encode() +
                      b" HTTP/1.0\r\nHost: x\r\n\r\n")
            assert got.split(b" ", 2)[1] == b"404", (t, got)
        return len(found)

    def root(self):
        """Pebble's own, which is made anew at each of its starts."""
        r = run("curl", "-sk",
                f"https://127.0.0.1:{self.ca.management_port}/roots/0")
        assert "BEGIN CERTIFICATE" in r.stdout
        return r.stdout


def test_hundreds_of_kills(cas, acmed, work):
    began = time.monotonic()
    print(f"ACMED_KILLS_SEED={SEED}")
    targets = [
        Target(acmed, cas("system", life=LIFE, own=True,
                          PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0",
                          PEBBLE_WFE_ORDERS_PER_PAGE="20"),
               i) for i in range(DAEMONS)]
    roots = work / "roots.pem"
    roots.write_text("".join(t.root() for t in targets))
    reader = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("reader.py"), roots,
         *[t.d.live(n) for t in targets for n in t.names]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        with concurrent.futures.ThreadPoolExecutor(DAEMONS) as pool:
            list(pool.map(Target.hunt, targets))
            hunted = time.monotonic() - began
            list(pool.map(Target.settle, targets))
            tokens = sum(pool.map(Target.check_tokens, targets))
            # Each dies with the thread that started it.
            assert [t.d.stop() for t in targets] == [0] * DAEMONS
    finally:
        seen = json.loads(reader.communicate("")[0])
    orphans = sum(t.check_state() for t in targets)
    with concurrent.futures.ThreadPoolExecutor(DAEMONS) as pool:
        list(pool.map(Target.grow_old, targets))
        assert [t.d.stop() for t in targets] == [0] * DAEMONS
    assert [t.check_state() for t in targets] == [0] * DAEMONS
    kills = sum((t.kills for t in targets), collections.Counter())
    n = sum((t.count() for t in targets), collections.Counter())
    orders, issued, accounts = (
        sum(getattr(t.ca, what) for t in targets)
        for what in ("orders", "issued", "accounts"))
    print(f"{sum(kills.values())} kills in {hunted:.0f} s:",
          ", ".join(f"{k} {p} {how}" for (p, how), k in sorted(
              kills.items())))
    print(f"reader: {seen['looks']} looks at {seen['pairs']} pairs, "
          f"{seen['swaps']} swaps")
    print(f"orders: {orders} at the CA, {dict(n)}; {issued} issued")
    print(f"{accounts} accounts, {tokens} tokens, {orphans} keys that nobody "
          f"knows; {time.monotonic() - began:.0f} s")
    assert sum(kills.values()) >= KILLS
    assert seen["bad"] == []
    assert seen["there"] == DAEMONS * 3
    assert min(seen["swaps"], seen["pairs"]) > DAEMONS * 3
    assert [t.ca.accounts for t in targets] == [1] * DAEMONS
    assert tokens > 0
    assert n["forgotten"] == 0
    assert n["made"] <= orders <= n["made"] + n["unheard"]
    # The CA's own question may die with the engine, and its order with it;
    # nothing else that dies is a failure.
    assert {k for k in n if k.startswith("failed")} <= {"failed: connection"}
    # None is made in vain, but for what the CA makes after we have looked.
    lost = orders - issued - n["failed: connection"]
    print(f"{lost} orders lost")
    assert lost <= min(n["not found"], KILLS // 100)
    assert n["found"] > 0
