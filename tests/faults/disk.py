#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A disk that fails at every call, in turn, of every process: disk.py BUILD.

BUILD is one with ACMED_FAULTS (fault.c).  A run without faults counts the calls
by which each process changes what is below the state folder: while a first
certificate is issued, and while one is renewed whose oldest version goes.  Then
there is a daemon for each of these calls, whose call fails.  It must say so,
keep the old pair, recover by itself when the fault is gone, with the one order
that it made, and leave nothing behind.

  ACMED_FAULTS_FULL=1    every errno at every call both once and until it was
                         told, instead of one or the other
  ACMED_FAULTS_ONLY=TEXT only runs whose name has this
"""
import collections
import concurrent.futures
import errno
import http.client
import json
import mmap
import os
import queue
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if len(sys.argv) != 2:
    sys.exit("usage: disk.py BUILD")
os.environ["ACMED_BUILD"] = sys.argv[1]
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
import pebble  # noqa: E402
from acmed import Acmed  # noqa: E402
from util import BUILD, check_pair, run  # noqa: E402

FULL = bool(os.environ.get("ACMED_FAULTS_FULL"))
ONLY = os.environ.get("ACMED_FAULTS_ONLY", "")
SLOTS = 24     # daemons side by side
SPEED = 40     # of the engine's clock: a minute until the next attempt
LIMIT = 60     # seconds for one recovery
FOREVER = 2**32 - 1
PROCESSES = ("acmed", "acmed-engine", "acmed-keeper")
# As in fault.c.
KINDS = ("none", "create", "write", "fsync", "sync_file_range", "ftruncate",
         "close", "fchmod", "fchown", "mkdir", "rename", "symlink", "unlink",
         "note")
PLAN = struct.Struct("=3Q7I3I")
CALLS_MAX = 512
ALL = 2**len(KINDS) - 1
# A full disk still lets go of things.
NEEDS_ROOM = sum(1 << KINDS.index(k) for k in
                 ("create", "write", "fsync", "mkdir", "rename", "symlink",
                  "note"))
# Nothing is lost by a hint, nor anybody's by a line of the journal.
HARMLESS = ("sync_file_range", "note")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)

# Those lines of the log say what to do as well.
HINTED = ("cannot run", "certificate not installed", "no new key",
          "certificate not issued", "old version not removed, tried again at "
          "the next install", "old key not removed")

Fault = collections.namedtuple("Fault", "phase process nth kind num times")


class Plan:
    """What the processes of one daemon share with us."""

    def __init__(self, path, dev):
        path.write_bytes(bytes(PLAN.size + len(PROCESSES) * CALLS_MAX))
        path.chmod(0o666)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)
        self.dev = dev
        self.set()

    def set(self, fault=None):
        now = int(time.clock_gettime(time.CLOCK_REALTIME) * 1000)
        boot = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
        f = fault or Fault("", 0, 0, "", 0, 0)
        later = NEEDS_ROOM if f.num == errno.ENOSPC else ALL
        PLAN.pack_into(self.map, 0, self.dev, now, boot, SPEED, f.process,
                       f.nth, f.times, f.num, later, 0, 0, 0, 0)

    def disarm(self):
        struct.pack_into("=I", self.map, 36, 0)

    @property
    def failed(self):
        return struct.unpack_from("=I", self.map, 48)[0]

    def calls(self, process):
        n = struct.unpack_from("=3I", self.map, 52)[process]
        assert n <= CALLS_MAX
        at = PLAN.size + process * CALLS_MAX
        return [KINDS[k] for k in self.map[at:at + n]]


def name_of(f):
    return (f"{f.phase}/{PROCESSES[f.process]}/{f.nth}-{f.kind}/"
            f"{errno.errorcode[f.num]}{'' if f.times == 1 else '-on'}")


class Slot:
    """One daemon at a time, and a CA of its own: a Pebble locks up for good
    when two newOrders meet."""

    def __init__(self, world, i):
        self.world = world
        self.name = "a.example.org"
        self.where = world.where / f"slot{i}"
        self.where.mkdir(mode=0o755)
        self.base = world.disk / f"base{i}"
        ca = self.where / "ca"
        ca.mkdir(mode=0o755)
        self.ca = pebble.Pebble("system", world.pki, ca,
                                PEBBLE_WFE_NONCEREJECT="0",
                                PEBBLE_AUTHZREUSE="0")
        self.n = 0

    def daemon(self, state=None):
        self.n += 1
        where = self.where / str(self.n)
        where.mkdir(mode=0o755)
        to = self.world.disk / f"{self.where.name}-{self.n}"
        if state is not None:
            subprocess.run(["cp", "-a", state, to], check=True)
        # Of the engine's own time, which runs fast.
        d = Acmed(where, self.ca, [self.name], state_dir=str(to),
                  http={"timeout": "600s"}, defaults={"reload": ["/bin/true"]})
        d.state = to
        d.plan = Plan(where / "plan", self.world.dev)
        d.env["ACMED_FAULTS"] = str(where / "plan")
        return d

    def prepare(self):
        """A state whose next renewal is due, and removes a version and a key:
        what there is behind three issuances."""
        d = self.daemon()
        d.start()
        for version in (1, 2, 3, 4):
            d.installed(self.name, version=version)
            if version < 4:
                d.renew(self.name)
        assert d.stop() == 0
        file = d.state / "engine" / "certs" / f"{self.name}.json"
        text = file.read_text()
        due = re.sub(r'("by_fraction": ")[^"]*', r"\g<1>2026-11-02T00:00:00Z",
                     text)
        assert due != text
        file.write_text(due)
        # The journal is full: an older one of it is made.
        with open(d.state / "engine" / "events", "a") as f:
            f.write('{"event": "x"}\n' * ((2**20 - f.tell()) // 15))
        shutil.move(d.state, self.base)
        shutil.rmtree(d.where)
        return self


class Run:
    """One daemon that meets one fault."""

    def __init__(self, slot, phase, fault=None):
        self.slot, self.fault, self.phase = slot, fault, phase
        self.name = slot.name
        renewal = phase == "renewal"
        self.d = slot.daemon(slot.base if renewal else None)
        self.version = 5 if renewal else 1
        self.said = self.shown = False
        self.words = os.strerror(fault.num) if fault else None

    def listen(self):
        """Whether the log has told of the fault."""
        if self.words and not self.said:
            found = [x for x in self.d.lines if x["level"] in ("warn", "error")
                     and self.words in json.dumps(x)]
            assert all(x["hint"] for x in found if x["msg"] in HINTED), found
            self.said = bool(found)
        return self.said

    def look(self):
        """Whether all is well; remembers whether it showed its trouble."""
        d = self.d
        try:
            code, status = d.ask("GET", "/v1/certificates", timeout=1)
        except (OSError, http.client.HTTPException):
            return False
        if code != 200:
            return False
        if self.words and (self.words in json.dumps(status) or
                           status["counts"]["unsaved"]):
            self.shown = True
        c = status["certificates"][0]
        return (status["healthy"] and c["health"] == "ok" and
                c["state"] == "valid" and c["deploy"] == "done" and
                d.version(self.name) >= self.version)

    def until_well(self):
        d, end = self.d, time.monotonic() + LIMIT
        while True:
            if self.phase == "renewal":
                check_pair(d.live(self.name))
            up = d.find("ready", part="engine", since=self.since)
            if up and self.look():
                return
            assert time.monotonic() < end, \
                f"not well after {LIMIT} s; told: {self.said}"
            if d.process.poll() is not None:
                # As systemd would.
                assert d.ended() == 1 and self.listen(), "it just ended"
                d.plan.disarm()
                d.spawn()
            elif self.listen() and (self.shown or not up):
                d.plan.disarm()
            time.sleep(0.02)

    def go(self):
        d = self.d
        self.slot.ca.mark()
        if self.fault:
            d.plan.set(self.fault)
        self.since = 0
        d.spawn()
        self.until_well()
        self.hit_alive = d.plan.failed > 0
        assert d.stop() == 0
        self.hit = d.plan.failed > 0
        if self.fault:
            self.kind = self.kind_hit()
            self.listen()
            d.plan.disarm()
            self.again()
        self.check()
        return self

    def again(self):
        """What is on disk is enough to go on from."""
        d, self.since = self.d, len(self.d.lines)
        d.spawn()
        d.wait("ready", part="supervisor", since=self.since)
        self.until_well()
        assert d.stop() == 0
        for what in ("damaged state put aside, begun anew", "order made"):
            assert not d.find(what, since=self.since), f"after all: {what}"

    def kind_hit(self):
        """Of what happens side by side, the order may be another one than in
        the run that counted."""
        calls = self.d.plan.calls(self.fault.process)
        return calls[self.fault.nth - 1] if self.hit else None

    @property
    def told(self):
        """A disk that fails as acmed ends may have nobody left to tell."""
        return (self.said or not self.hit_alive or self.kind in HARMLESS or
                # An order that stays behind is found to be over.
                (self.kind == "unlink" and self.fault.process == 1))

    def check(self):
        d = self.d
        ca = self.slot.ca
        assert (len(d.orders()), ca.orders) == (1, 1)
        assert ca.accounts == (self.phase == "first")
        assert d.version(self.name) == self.version
        assert d.other == [], d.other  # e.g. a sanitizer's report
        self.check_versions()
        d.check_state(self.name)
        self.check_engine()
        self.check_keeper()

    def versions(self):
        return sorted(int(p.name) for p in
                      (self.d.state / "versions" / self.name).iterdir())

    def check_versions(self):
        """What could not be removed is removed by the next install, and may be
        half of a version until then."""
        want = [3, 4, 5] if self.phase == "renewal" else [1]
        if self.versions() == want:
            return
        assert self.said and self.versions() == [2, *want], self.versions()
        self.since = len(self.d.lines)
        self.version += 1
        self.d.spawn()
        self.d.wait("ready", part="engine", since=self.since)
        self.d.renew(self.name)
        self.until_well()
        assert self.d.stop() == 0
        assert self.versions() == [4, 5, 6]

    def check_engine(self):
        engine = self.d.state / "engine"
        for p in engine.rglob("*.json"):
            assert json.loads(p.read_text()), p
        for p in engine.glob("events*"):
            for line in p.read_text().splitlines():
                assert json.loads(line), p
        self.have = json.loads(
            (engine / "certs" / f"{self.name}.json").read_text())
        assert self.have["certificate"]["version"] == self.version
        assert list((engine / "orders").iterdir()) == []

    def check_keeper(self):
        keeper = self.d.state / "keeper"
        account = json.loads((self.d.state / "engine" / "accounts" /
                              "test.json").read_text())
        known = {f"account-{account['key']}.pem"}
        known |= {f"cert-{k}.pem" for k in
                  [self.have["certificate"]["key"],
                   *self.have.get("old_keys", "").split()]}
        found = {p.name for p in keeper.iterdir()}
        assert known <= found, f"lost: {known - found}"
        self.orphans = found - known
        f = self.fault
        assert not self.orphans or self.kind == "unlink" or (
            f.num == errno.EROFS and f.times > 1), self.orphans
        for name in known:
            text = (keeper / name).read_text()
            assert text.endswith("-----END PRIVATE KEY-----\n"), name
        live = self.d.live(self.name)
        key = self.have["certificate"]["key"]
        assert (live / "privkey.pem").read_bytes() == \
            (keeper / f"cert-{key}.pem").read_bytes()


class World:
    def __init__(self):
        self.where = Path(tempfile.mkdtemp(prefix="acmed-faults-"))
        self.where.chmod(0o755)
        self.disk = self.where / "disk"
        self.disk.mkdir(mode=0o755)
        r = run("mount", "-t", "tmpfs", "-o", "size=512m,mode=755", "faults",
                self.disk)
        if r.returncode != 0:
            print(f"NOT TESTED: no tmpfs can be mounted: {r.stderr}")
            sys.exit(77)
        self.dev = self.disk.stat().st_dev
        self.pki = pebble.Pki(self.where)
        self.free = queue.Queue()
        self.slots = []

    def close(self):
        for s in self.slots:
            s.ca.stop()
        run("umount", "-l", self.disk)
        if not os.environ.get("ACMED_E2E_KEEP"):
            shutil.rmtree(self.where, ignore_errors=True)


def faults_of(phase, calls):
    """The faults for each call of a dry run."""
    found = []
    for process, kinds in enumerate(calls):
        for i, kind in enumerate(kinds):
            # Neighbours in one class of calls get others.
            seen = kinds[:i].count(kind) + process
            for n, num in enumerate(ERRORS):
                times = (1, FOREVER) if FULL else \
                    ((1, FOREVER)[(seen + n) % 2],)
                found += [Fault(phase, process, i + 1, kind, num, t)
                          for t in times]
    return [f for f in found if ONLY in name_of(f)]


def one(world, fault):
    slot = world.free.get()
    r = Run(slot, fault.phase, fault)
    try:
        r.go()
        return fault, None, r
    except Exception as e:  # noqa: BLE001: any is this run's failure
        return fault, f"{type(e).__name__}: {e}\n{r.d.tail(30)}", r
    finally:
        r.d.close()
        if not os.environ.get("ACMED_E2E_KEEP"):
            shutil.rmtree(r.d.state, ignore_errors=True)
        world.free.put(slot)


def play(world):
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(SLOTS) as pool:
        world.slots = list(pool.map(lambda i: Slot(world, i), range(SLOTS)))
        for s in pool.map(Slot.prepare, world.slots):
            world.free.put(s)
        faults = []
        for phase in ("first", "renewal"):
            d = Run(world.slots[0], phase).go().d
            calls = [d.plan.calls(p) for p in range(len(PROCESSES))]
            faults += faults_of(phase, calls)
            for p, kinds in zip(PROCESSES, calls):
                by = collections.Counter(kinds)
                print(f"{phase}: {p}: {len(kinds)} calls:",
                      ", ".join(f"{n} {k}" for k, n in sorted(by.items())))
        print(f"{len(faults)} runs, {SLOTS} side by side; prepared in "
              f"{time.monotonic() - began:.0f} s", flush=True)
        results = list(pool.map(lambda f: one(world, f), faults))
        # each Pebble dies with the thread that started it
        return [again(world, x) if x[1] or not x[2].told else x
                for x in results]


def again(world, result):
    """A second try, with none beside it."""
    fault, why, _ = result
    print(f"RERUN {name_of(fault)} - {(why or 'not told').splitlines()[0]}")
    return one(world, fault)


def report(results):
    """How many runs failed, and those that cannot be told apart from it."""
    bad = [x for x in results if x[1]]
    for fault, why, _ in bad:
        print(f"\nFAILED {name_of(fault)}: {why}")
    good = [r for _, why, r in results if not why]

    def those(what, which):
        names = [name_of(r.fault) for r in good if which(r)]
        print(f"{what}: {len(names)}{':' if 0 < len(names) < 40 else ''}",
              *names[:40 if len(names) < 40 else 0])
        return len(names)

    failed = len(bad)
    # How many calls there are depends on what happens at the same time.
    missed = those("not reached", lambda r: not r.hit)
    failed += missed if missed > len(results) // 50 else 0
    failed += those("not told", lambda r: not r.told)
    those("told in the log, and over before anybody could ask",
          lambda r: r.said and not r.shown)
    those("a key that nobody knows could not be removed",
          lambda r: r.orphans)
    return failed


def check_interposed():
    """No other call changes a file: those left are for the control socket."""
    changing = set(
        "rename renameat2 link linkat symlink unlink rmdir creat truncate "
        "fdatasync sync syncfs pwrite pwrite64 pwritev writev fallocate "
        "posix_fallocate mknod mknodat chmod fchmodat chown lchown fchownat "
        "copy_file_range sendfile splice fopen fopen64 freopen mkstemp "
        "mkostemp mkdtemp tmpfile".split())
    for p in PROCESSES:
        names = {x.split()[-1].split("@")[0] for x in
                 run("nm", "-D", "-u", BUILD / p).stdout.splitlines()}
        assert "openat" in names, p
        found = names & changing - {"chmod", "lchown", "fchownat", "unlink"}
        assert not found, f"{p} calls {found}: to be had by fault.c"


def main():
    check_interposed()
    world = World()
    began = time.monotonic()
    try:
        results = play(world)
        failed = report(results)
        print(f"{time.monotonic() - began:.0f} s")
        print(f"{len(results) - failed} passed, {failed} failed")
    finally:
        world.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
