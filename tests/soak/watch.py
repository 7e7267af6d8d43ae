# SPDX-License-Identifier: ISC
"""What is looked at while the soak runs: pairs, processes, files, orders."""
import json
import os
import re
import ssl
import threading
import time
from collections import Counter

from util import check_pair, proc_fds

PROGRAMS = ("acmed", "acmed-engine", "acmed-keeper")
HEX = re.compile(r"\b[0-9a-f]{64}\b")


class Reader(threading.Thread):
    """Looks at one live/ pair after the other, without end: does the key fit,
    and until when is it valid.  Keeps when a certificate was expired."""

    def __init__(self, d, every=0.02):
        super().__init__(daemon=True)
        self.d, self.every = d, every
        self.lock = threading.Lock()
        self.wanted = {}    # name: since when
        self.serial = {}
        self.life = {}      # name: (from, until)
        self.gaps = {}      # name: [[from, until or None]], expired or none
        self.bad = []
        self.checks = 0
        self.ended = threading.Event()

    def want(self, names):
        now = time.time()
        with self.lock:
            for name in names:
                self.wanted.setdefault(name, now)
            for name in set(self.wanted) - set(names):
                del self.wanted[name]
                self.close_gap(name, now)

    def close_gap(self, name, now):
        gaps = self.gaps.get(name)
        if gaps and gaps[-1][1] is None:
            gaps[-1][1] = now

    def look(self, name):
        try:
            info = check_pair(self.d.live(name))
        except FileNotFoundError:
            return
        except (OSError, ssl.SSLError) as e:
            self.bad.append((time.time(), name, repr(e)))
            return
        self.checks += 1
        span = [ssl.cert_time_to_seconds(info[k])
                for k in ("notBefore", "notAfter")]
        now = time.time()
        with self.lock:
            if self.serial.get(name) != info["serialNumber"]:
                self.serial[name] = info["serialNumber"]
                self.life[name] = span
            # the last second is in it (RFC 5280 4.1.2.5)
            out = span[1] + 1 < now and name in self.wanted
            gaps = self.gaps.setdefault(name, [])
            if out and (not gaps or gaps[-1][1] is not None):
                gaps.append([max(span[1] + 1, self.wanted[name]), None])
            elif not out:
                self.close_gap(name, now)

    def run(self):
        while not self.ended.is_set():
            for name in list(self.wanted) or ["-"]:
                self.look(name)
                if self.ended.wait(self.every):
                    break

    def stop(self):
        self.ended.set()
        self.join()
        with self.lock:
            for name in self.gaps:
                self.close_gap(name, time.time())

    def shares(self):
        """What is left of each lifetime, of 1; 0: expired or not there."""
        now = time.time()
        with self.lock:
            return {n: max(0, (u + 1 - now) / (u + 1 - f))
                    if (f, u) != (0, 1) else 0
                    for n in self.wanted
                    for f, u in [self.life.get(n, (0, 1))]}


def memory(pid):
    """Pss, Rss and what of it is nobody else's and no file's, in kB."""
    want = {"Pss": 0, "Rss": 0, "Pss_Anon": 0}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            key, _, rest = line.partition(":")
            if key in want:
                want[key] = int(rest.split()[0])
    return want


def zombies_of(pid):
    found = set()
    for child in open(f"/proc/{pid}/task/{pid}/children",
                      encoding="ascii").read().split():
        try:
            stat = open(f"/proc/{child}/stat", encoding="ascii").read()
        except OSError:
            continue
        if stat.rpartition(")")[2].split()[0] == "Z":
            found.add(int(child))
    return found


class Curve:
    """One row each time that sample() is called."""

    def __init__(self, d, reader, proxies):
        self.d, self.reader, self.proxies = d, reader, proxies
        self.begin, self.started = time.monotonic(), time.time()
        self.rows = []
        self.orders = Counter()      # 201 for newOrder, by CA
        self.requests = Counter()
        self.texts = Counter()       # (minute, message, certificate): lines
        self.lines = Counter()       # minute: lines
        self.zombies, self.stayed = set(), set()
        self.odd = []                # printed, and no line of the log

    def minute(self):
        return int((time.monotonic() - self.begin) / 60)

    def drain(self):
        """Count what the proxies and the log have, and forget it."""
        for ca, p in self.proxies.items():
            with p.lock:
                seen, p.seen = p.seen, []
            self.requests[ca] += len(seen)
            self.orders[ca] += sum(
                x.method == "POST" and x.path == "/order-plz" and
                x.status == 201 for x in seen)
            # their answers are not there yet
            with p.lock:
                p.seen[:0] = [x for x in seen if x.status is None and
                              x.path == "/order-plz"][-20:]
        lines = self.d.take_lines()
        for x in lines:
            self.texts[self.minute(), x["msg"], x.get("cert", "")] += 1
        self.lines[self.minute()] += len(lines)
        self.odd += self.d.other
        self.d.other = []

    def processes(self):
        pids = {"acmed": self.d.pid, **self.d.pids()}
        row = {}
        for program in PROGRAMS:
            try:
                row[program] = {"pid": pids[program],
                                **memory(pids[program]),
                                "fds": len(proc_fds(pids[program]))}
            except (KeyError, OSError):
                return None          # it is just being started anew
        return row

    def files(self):
        n = {"files": 0, "keys": 0, "orders": 0, "versions": 0, "odd": 0}
        for folder, subs, names in os.walk(self.d.state):
            below = os.path.relpath(folder, self.d.state).split(os.sep)
            if below[0] == "archive":
                subs[:] = []
                continue
            n["files"] += len(names)
            n["odd"] += sum(".bad-" in x for x in names)
            if below[0] == "keeper":
                n["keys"] += sum(x.startswith("cert-") for x in names)
            elif below == ["engine", "orders"]:
                n["orders"] += len(names)
            elif below[0] == "versions" and len(below) == 2:
                n["versions"] = max(n["versions"], sum(
                    x.isdigit() for x in subs))
        return n

    def ask(self):
        try:
            code, body = self.d.ask("GET", "/v1/status")
            return body if code == 200 else None
        except OSError:
            return None

    def sample(self):
        self.drain()
        now = zombies_of(self.d.pid)
        self.stayed |= now & self.zombies
        self.zombies = now
        row = {"at": time.monotonic() - self.begin,
               "processes": self.processes(), **self.files()}
        shares = self.reader.shares()
        row["valid"] = sum(x > 0 for x in shares.values())
        row["wanted"] = len(shares)
        row["least"] = min(shares.values(), default=0)
        row["made"] = sum(self.orders.values())
        status = self.ask()
        row["healthy"] = status and status["healthy"]
        row["failing"] = status and status["counts"]["failing"]
        self.rows.append(row)
        return row


def keys_named(state):
    """Keys that some state file of the engine names."""
    ids = set()
    for path in (state / "engine").rglob("*.json"):
        ids |= set(HEX.findall(path.read_text()))
    return ids


def key_files(state):
    return {m[0] for p in (state / "keeper").glob("cert-*.pem")
            for m in [HEX.findall(p.name)] if m}


def troubles(d):
    _, body = d.ask("GET", "/v1/certificates")
    return {c["name"]: json.dumps(c["trouble"]) for c in body["certificates"]
            if "trouble" in c}
