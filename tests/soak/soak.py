#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
Certificates that live for 3 minutes, two CAs in trouble without end, and
nothing may grow.  Not a part of run.sh: it is for a half-hour by hand, as root,
with the users acmed and acmed-keeper (tests/lib/setup.sh makes them) and the
newest Pebble:

    /usr/bin/python3 tests/soak/soak.py --minutes 30 [--seed N] --build DIR

Forty certificates of one to five names, at CA a, CA b, or both in either order,
with a third CA to rehearse at.  One fault after the other (faults.py) in an
order that the seed decides, each half of --every seconds long, the other half
quiet; the last 4 minutes are quiet as a whole.  Every live/ pair is read all
the time.  Prints one line each 10 s, and at the end the curve, what was
asserted, and exits with 1 when something was not so.  --only KIND,KIND takes
these faults alone, --keep DIR keeps the state, the log and the samples there.
"""
import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "tests/mock")]
sys.dont_write_bytecode = True

CERTS = 40
QUIET_S = 240           # at the end: longer than a certificate lives
SAMPLE_S = 10


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument("--minutes", type=float, default=30)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--build", required=True)
    a.add_argument("--every", type=float, default=36)
    a.add_argument("--quiet", type=float, default=QUIET_S)
    a.add_argument("--only", default="")
    a.add_argument("--keep")
    return a.parse_args()


OPT = arguments()
os.environ["ACMED_BUILD"] = OPT.build

import faults                     # noqa: E402
import pebble                     # noqa: E402
import verdict                    # noqa: E402
import watch                      # noqa: E402
from acmed import Acmed           # noqa: E402
from proxy import Proxy           # noqa: E402
from util import until            # noqa: E402


class Soak:
    def __init__(self, where):
        self.where = where
        self.rng = random.Random(OPT.seed)
        self.over, self.done = threading.Event(), threading.Event()
        self.calm = False
        self.sample_s = SAMPLE_S
        self.warm_s = min(180, OPT.minutes * 15)
        self.leaks, self.troubles = set(), {}
        self.log = []                 # (from, until, kind, CAs)
        self.failed = []
        self.misled = set()
        self.gone = []                # removed, and to be forgotten
        self.cas, self.proxies = {}, {}
        pki = pebble.Pki(where)
        for name in faults.ALL:
            (where / name).mkdir(mode=0o755)
            # a looks at half of the names only: what it has seen before is good
            ca = pebble.Pebble(
                "newest", pki, where / name, life=verdict.LIFE_S,
                PEBBLE_WFE_NONCEREJECT="5",
                PEBBLE_AUTHZREUSE="50" if name == "a" else "0")
            self.cas[name], self.proxies[name] = ca, Proxy(ca)
        self.certs, self.known = {}, {}   # known: name: its CAs
        for i in range(CERTS):
            self.add(i)
        self.next = CERTS
        self.daemon = self.make_daemon()

    # Configuration

    def add(self, i):
        name = f"c{i:02}.example.org"
        cas = (["a", "b"], ["a", "b"], ["b", "a"], ["a"], ["b"])[i % 5]
        self.certs[name] = {
            "names": [name] + [f"n{k}.{name}" for k in
                               range(self.rng.randrange(5))], "ca": cas}
        self.known[name] = cas

    def make_daemon(self):
        d = Acmed(self.where)
        d.set(log={"level": "info"}, http={
            "listen": [f"127.0.0.1:{c.http_port}" for c in self.cas.values()]})
        d.conf["ca"] = {
            n: {"directory": p.directory, "ca-file": str(p.pki.root),
                **({} if n == "stage" else {"staging": "stage"})}
            for n, p in self.proxies.items()}
        d.conf["resolvers"] = [f"127.0.0.1:{self.cas['a'].dns_port}"]
        d.conf["reload"] = ["/bin/sh", "-c",
                            f"echo x >>{self.where}/reloads"]
        return d

    def configure(self):
        self.daemon.conf["domains"] = list(self.certs.values())
        self.daemon.write()

    def change(self):
        """One gets another name, one goes away, one is new."""
        names = sorted(self.certs)
        gone = self.rng.choice([n for n in names if n not in self.misled])
        cert = self.certs[self.rng.choice([n for n in names if n != gone])]
        if len(cert["names"]) < 5:
            cert["names"].append(f"x{len(cert['names'])}.{cert['names'][0]}")
        else:
            cert["names"].pop()
        del self.certs[gone]
        self.gone.append(gone)
        self.add(self.next)
        self.next += 1
        self.configure()
        self.reader.want(self.certs)
        self.daemon.signal(1)

    def forget(self):
        """What has gone is archived, once the new engine is there."""
        while self.gone:
            r = self.daemon.ctl("forget", "--yes", self.gone[0])
            if r.returncode != 0:
                print(f"   forget {self.gone[0]}: {r.stdout}{r.stderr}")
            self.gone.pop(0)

    def elsewhere(self):
        """Each but once: three failures in an hour cost a name the hour."""
        name = self.rng.choice(sorted(set(self.certs) - self.misled))
        self.misled.add(name)
        return name

    # Faults

    def sleep(self, seconds):
        self.over.wait(seconds)

    def fault(self, kind):
        begin = time.time()
        try:
            cas = kind(self, OPT.every / 2)
        except Exception as e:      # of the soak's own: it has failed
            self.failed.append(f"{kind.__name__}: {e!r}")
            cas = faults.ALL
        self.log.append((begin, time.time(), kind.__name__, cas))
        print(f"   {kind.__name__} {' '.join(cas)}", flush=True)

    def faults(self):
        kinds = [k for k in faults.KINDS
                 if not OPT.only or k.__name__ in OPT.only.split(",")]
        while not self.over.is_set():
            self.rng.shuffle(kinds)
            for kind in kinds:
                end = time.monotonic() + OPT.every
                if not self.over.is_set():
                    self.fault(kind)
                    self.sleep(end - time.monotonic())
        self.calm = True
        # what this thread started dies with it
        self.done.wait()

    # The run

    def run(self):
        self.configure()
        self.reader = watch.Reader(self.daemon)
        self.daemon.start()
        self.curve = watch.Curve(self.daemon, self.reader, self.proxies)
        until(lambda: sum(1 for _ in self.daemon.state.glob("live/*")) ==
              CERTS, 120, "the first certificates")
        self.reader.want(self.certs)
        self.reader.start()
        until(lambda: len(self.reader.life) == CERTS, 60, "a first look")
        worker = threading.Thread(target=self.faults, daemon=True)
        worker.start()
        begin = time.monotonic()
        self.samples(begin + OPT.minutes * 60 - OPT.quiet)
        self.over.set()
        until(lambda: self.calm, 60, "the last fault to end")
        self.calm_at = time.time()
        print("   quiet", flush=True)
        self.samples(begin + OPT.minutes * 60)
        self.end()

    def samples(self, end):
        while time.monotonic() < end:
            row = self.curve.sample()
            print(line_of(row), flush=True)
            time.sleep(max(0, min(SAMPLE_S, end - time.monotonic())))

    def end(self):
        """Until nothing is under way, which is when all must be tidy."""
        def tidy():
            orders = list((self.daemon.state / "engine/orders").glob("*"))
            self.leaks = (watch.key_files(self.daemon.state) -
                          watch.keys_named(self.daemon.state))
            return not orders and not self.leaks
        try:
            until(tidy, 60, "no order under way", every=0.05)
        except TimeoutError as e:
            self.failed.append(f"{e}: {sorted(self.leaks)}, " + " ".join(
                p.name for p in
                (self.daemon.state / "engine/orders").glob("*")))
        self.troubles = watch.troubles(self.daemon)
        self.curve.sample()
        self.reader.stop()
        self.status = self.daemon.stop()

    def close(self):
        self.over.set()
        self.done.set()
        self.daemon.close()
        for ca in self.cas.values():
            ca.stop()
        for p in self.proxies.values():
            p.stop()


def totals(row):
    p = row["processes"]
    return {k: sum(p[x][k] for x in watch.PROGRAMS)
            for k in ("Pss", "Rss", "Pss_Anon", "fds")} if p else None


def line_of(row):
    t = totals(row)
    text = ("-" * 5 + " being started anew " + "-" * 5 if t is None else
            f"{t['Pss']:6} {t['Rss']:6} {t['Pss_Anon']:6} {t['fds']:4}")
    return (f"{row['at'] / 60:5.1f} {text} {row['files']:5} {row['keys']:4} "
            f"{row['orders']:3} {row['made']:5} "
            f"{row['valid']:3}/{row['wanted']} {row['least']:5.2f} "
            f"{'yes' if row['healthy'] else 'no'}")


HEAD = (f"{'min':>5} {'PSS':>6} {'RSS':>6} {'anon':>6} {'fds':>4} "
        f"{'files':>5} {'keys':>4} {'ord':>3} {'made':>5} valid  least healthy")



def report(soak):
    print("\nThe curve, one of six samples\n" + HEAD)
    for row in soak.curve.rows[::6]:
        print(line_of(row))
    print("\nWhat happened: " + ", ".join(
        f"{n} {k}" for k, n in sorted(Counter(
            f[2] for f in soak.log).items())))
    print()
    fine = True
    for ok, text in verdict.all_of(soak):
        fine = fine and ok
        print(f"{'ok' if ok else 'NOT SO':6} {text}")
    return fine


def keep(soak, where):
    (where / "samples.json").write_text(json.dumps({
        "rows": soak.curve.rows, "gaps": list(verdict.gaps(soak)),
        "faults": soak.log, "started": soak.curve.started,
        "orders": soak.curve.orders, "lines": soak.curve.lines,
        "troubles": soak.troubles,
        "texts": [[*k, n] for k, n in soak.curve.texts.items()]}))


def main():
    where = Path(OPT.keep or tempfile.mkdtemp(prefix="acmed-soak-"))
    where.mkdir(mode=0o755, exist_ok=True)
    where.chmod(0o755)
    print(f"seed {OPT.seed}, {OPT.minutes} min, {OPT.build}, "
          f"{pebble.describe()}\n{HEAD}", flush=True)
    soak = Soak(where)
    try:
        soak.run()
    finally:
        soak.close()
        if OPT.keep and hasattr(soak, "curve"):
            keep(soak, where)
        if not OPT.keep:
            shutil.rmtree(where, ignore_errors=True)
    fine = report(soak)
    t = os.times()
    print(f"the soak itself: {t.user + t.system:.0f} s of processor")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
