#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
What the daemon costs, beside what it may cost.  Not a test: it fails when
something does not work, not when something is slow.  See run.sh.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import ca
import lines
import listener
import procs
import state

AT_ONCE = 8
FEW, MANY = 1000, 100000
SCRAPES = 20


class Report:
    """The rows of the table at the end."""

    def __init__(self):
        self.rows = []

    def add(self, what, measured, unit="", goal=None, form="{:.2f}"):
        text = f"{form.format(measured)} {unit}".strip()
        verdict, want = "", ""
        if goal is not None:
            want = f"{form.format(goal)} {unit}".strip()
            verdict = "ok" if measured <= goal else "over"
        self.rows.append([what, want, text, verdict])
        print(f"  {what}: {text}" + (f" (at most {want}: {verdict})"
                                     if verdict else ""), flush=True)

    def note(self, what, text):
        self.rows.append([what, "", text, ""])
        print(f"  {what}: {text}", flush=True)


def say(text):
    print(f"\n== {text}", flush=True)


def median(values):
    return sorted(values)[len(values) // 2]


def again(what):
    """A measurement that is repeated when the CA broke under it."""
    for _ in range(20):
        try:
            return what()
        except ca.Wedged as e:
            print(f"  once more: {e}", flush=True)
    raise procs.Failed("Pebble does not stay alive")


def wait_until_issued(live, n, daemon, pebble):
    """All n certificates.  Raises when there is no new one for 30 s."""
    have, since = 0, time.monotonic()
    while have < n:
        time.sleep(0.05)
        daemon.alive()
        now = len(os.listdir(live))
        if now != have:
            have, since = now, time.monotonic()
        elif time.monotonic() - since > 30:
            pebble.ask_whether_wedged()
            raise procs.Failed(f"only {have} of {n} certificates; "
                               + procs.read(daemon.log)[-1000:])


class Bench:
    def __init__(self, options, folder):
        self.o, self.top, self.report = options, folder, Report()
        self.build = os.path.abspath(options.build)

    def folder(self):
        """A new one, which the daemon's users may enter."""
        path = tempfile.mkdtemp(dir=self.top)
        os.chmod(path, 0o755)
        return path

    # Issuing

    def arithmetic(self):
        say("what cannot be avoided")
        out = subprocess.run(
            [f"{self.build}/tests/bench/bench_arith", self.folder()],
            check=True, capture_output=True, text=True).stdout
        times = json.loads(out)
        for name, what in (("sign", "one signature"),
                           ("generate", "one new key"),
                           ("csr", "one certificate request"),
                           ("replace", "one file made durable")):
            self.report.note(what + ", processor (wall)",
                             f"{times[name]['cpu']:.3f} ms "
                             f"({times[name]['wall']:.3f} ms)")
        return times

    def sustained_once(self):
        with ca.Pebble(self.o.pebble, self.folder()) as pebble:
            return ca.sustained(pebble, self.o.orders, AT_ONCE)

    def sustained(self):
        say("the CA alone")
        seconds, cpu = again(self.sustained_once)
        rate = self.o.orders / seconds
        self.report.note(f"Pebble alone, {AT_ONCE} orders at once",
                         f"{rate:.0f} certificates/s, {cpu:.1f} ms of "
                         "processor each")
        return rate

    def issue_once(self, folder=None):
        folder, n = folder or self.folder(), self.o.orders
        names = [state.name_of(i) for i in range(n)]
        live = f"{folder}/state/live"
        with ca.Pebble(self.o.pebble, folder) as pebble:
            conf = state.configuration(folder, names, pebble.root)
            with procs.Acmed(self.build, conf, folder) as daemon:
                begin = time.monotonic()
                memory = procs.Memory(daemon.pids)
                memory.start()
                wait_until_issued(live, n, daemon, pebble)
                wall = time.monotonic() - begin
                daemon.settle()
                result = {
                    "wall": wall, "peak_kb": memory.stop(),
                    "cpu": daemon.cpu(),
                    "hwm": {name: procs.status_kb(pid, "VmHWM")
                            for name, pid in daemon.by_name().items()},
                    "pebble": pebble.cpu_ms() / n,
                    "requests": pebble.requests() / n}
        log = procs.read(daemon.log)
        if "level=error" in log or "level=warn" in log:
            raise procs.Failed("acmed complained:\n" + "\n".join(
                line for line in log.splitlines()
                if "level=error" in line or "level=warn" in line)[:2000])
        return result

    def issue_in_memory(self):
        """The same without a disk: what remains is ours."""
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            os.chmod(folder, 0o755)
            return self.issue_once(folder)

    def issue(self):
        n = self.o.orders
        times, rate = self.arithmetic(), self.sustained()
        say(f"{n} certificates, {AT_ONCE} orders at once")
        runs = []
        for _ in range(self.o.runs):
            r = again(self.issue_once)
            total = sum(sum(c) for c in r["cpu"].values())
            print(f"  {r['wall']:.1f} s; processor {total / n:.2f} ms each",
                  flush=True)
            runs.append((total / n, r))
        runs.sort(key=lambda r: r[0])
        each, r = runs[len(runs) // 2]
        unavoidable = (times["sign"]["cpu"] * r["requests"]
                       + times["generate"]["cpu"] + times["csr"]["cpu"])
        wall = median([r["wall"] for _, r in runs])
        add = self.report.add
        self.report.note("signed requests for one certificate",
                         f"{r['requests']:.2f}")
        add("arithmetic of one certificate", unavoidable, "ms")
        add("processor of one certificate, all processes", each, "ms",
            unavoidable + 4)
        for name, (user, system) in sorted(r["cpu"].items()):
            self.report.note(f"  of it {name}",
                             f"{(user + system) / n:.2f} ms "
                             f"(user {user / n:.2f}, system {system / n:.2f})")
        if os.access("/dev/shm", os.W_OK):
            m = again(self.issue_in_memory)
            total = sum(sum(c) for c in m["cpu"].values())
            self.report.note("  the same with all files in memory",
                             f"{total / n:.2f} ms; {m['wall']:.1f} s for all")
        add(f"{n} certificates, wall", wall, "s",
            1.5 * max(n / rate, n * unavoidable / 1000))
        self.report.note("  certificates/s", f"{n / wall:.0f}")
        self.report.note("  of it the CA's processor",
                         f"{r['pebble']:.1f} ms for each")
        add(f"memory while {n} are issued (PSS of all)",
            max(r["peak_kb"] for _, r in runs) / 1024, "MB", 24, "{:.1f}")
        self.report.note("  largest resident sets", ", ".join(
            f"{name} {kb / 1024:.1f} MB" for name, kb in sorted(
                r["hwm"].items())))

    # A daemon that has its certificates already

    def idle_state(self, n):
        folder = self.folder()
        names = state.generate(folder, n)
        ca.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                   f"{folder}/ca.key", "-out", f"{folder}/ca.pem", "-days",
                   "2", "-subj", "/CN=bench")
        os.chmod(f"{folder}/ca.pem", 0o644)
        state.configuration(folder, names, f"{folder}/ca.pem")
        return folder

    def daemon(self, folder):
        return procs.Acmed(self.build, f"{folder}/acmed.yaml", folder)

    def check_idle(self, daemon):
        """The state that we made must be what the daemon itself would have
        written: then nothing is due, and nothing was lost."""
        log = procs.read(daemon.log)
        if "issuing" in log or "renewing" in log or "damaged" in log:
            raise procs.Failed("the state was not understood:\n" + log[:2000])

    def status(self, folder):
        begin = time.monotonic()
        done = subprocess.run(
            [f"{self.build}/acmectl", "-s", f"{folder}/acmed.sock", "status",
             "--all"], stdout=subprocess.DEVNULL, check=False)
        if done.returncode == 2:
            raise procs.Failed("acmectl status: could not ask")
        return time.monotonic() - begin

    def scrape(self, folder):
        """Seconds and bytes of all metrics, and how long port 80 kept anybody
        waiting meanwhile."""
        with procs.Waits(("127.0.0.1", 5080)) as waits:
            before = waits.longest_ms(1)
            begin = time.monotonic()
            for _ in range(SCRAPES):
                page = subprocess.run(
                    [f"{self.build}/acmectl", "-s", f"{folder}/acmed.sock",
                     "metrics"], capture_output=True, check=True).stdout
            took = (time.monotonic() - begin) / SCRAPES
            return took, len(page), before, waits.longest_ms(0)

    def start_once(self, folder):
        with self.daemon(folder) as daemon:
            self.check_idle(daemon)
            return daemon.start_s

    def memory_at_start(self, folder):
        """PSS of all: the most until a moment after the start, and after each
        certificate has been asked for."""
        memory = procs.Memory(lambda: procs.with_children(os.getpid())[1:],
                              0.02)
        memory.start()
        with self.daemon(folder) as daemon:
            daemon.settle()
            started = memory.peak_kb
            now = sum(procs.pss_kb(pid) for pid in daemon.pids())
            hwm = {name: procs.status_kb(pid, "VmHWM")
                   for name, pid in daemon.by_name().items()}
            memory.stop()
            memory = procs.Memory(daemon.pids, 0.02)  # without acmectl
            memory.start()
            took = self.status(folder)
            daemon.settle()
            peak = memory.stop()
            scrape = self.scrape(folder)
        return {"started_kb": started, "now_kb": now, "hwm": hwm,
                "peak_kb": peak, "status_s": took, "scrape": scrape}

    def start(self, n, starts, seconds, megabytes):
        say(f"start with {n} certificates")
        folder = self.idle_state(n)
        self.start_once(folder)  # what is read is in memory from here on
        add = self.report.add
        add(f"start with {n} certificates",
            median([self.start_once(folder) for _ in range(starts)]), "s",
            seconds, "{:.3f}")
        m = self.memory_at_start(folder)
        add(f"memory with {n}, start (PSS of all, most)",
            m["started_kb"] / 1024, "MB", megabytes, "{:.1f}")
        self.report.note("  afterwards", f"{m['now_kb'] / 1024:.1f} MB")
        self.report.note("  largest resident sets", ", ".join(
            f"{name} {kb / 1024:.1f} MB"
            for name, kb in sorted(m["hwm"].items())))
        add(f"memory with {n}, status --all asked for", m["peak_kb"] / 1024,
            "MB", megabytes, "{:.1f}")
        self.report.note("  which took", f"{m['status_s']:.2f} s")
        seconds, size, before, longest = m["scrape"]
        self.report.note(f"metrics of {n}",
                         f"{size / 1024:.0f} KiB in {seconds * 1000:.0f} ms; "
                         f"port 80 waits {longest:.1f} ms at most "
                         f"({before:.1f} without)")

    def idle(self):
        seconds = self.o.idle
        say(f"idle for {seconds} s")
        folder = self.idle_state(FEW)
        with self.daemon(folder) as daemon:
            daemon.settle(2)
            pids = daemon.by_name()
            before = {name: procs.wakeups(pid) for name, pid in pids.items()}
            cpu = daemon.cpu()
            time.sleep(seconds)
            for name, pid in sorted(pids.items()):
                self.report.note(f"wake-ups of {name} in {seconds} s",
                                 str(procs.wakeups(pid) - before[name]))
            used = {name: sum(c) - sum(cpu[name])
                    for name, c in daemon.cpu().items()}
            self.report.note("  processor of all",
                             f"{sum(used.values()):.0f} ms")

    # Others

    def listeners(self):
        say(f"listener: wrk -t1 -c{listener.CONNECTIONS}, then "
            f"{listener.IDLE} connections that ask nothing or half a question")
        table = [["server", "requests/s", "99 %", "processor of one",
                  "memory", "challenges meanwhile", "among the crowd",
                  "memory then"]]
        many = lambda c: (f"{c[0]}/{listener.CHALLENGES} in {c[1]:.2f} ms, "
                          f"99 % {c[2]:.2f}, all {c[3]:.2f}")
        for r in listener.compare(self.build, self.o.pebble, self.folder(),
                                  self.o.runs):
            print(f"  {r['name']}: {r['rate']:.0f}/s", flush=True)
            table.append([r["name"], f"{r['rate']:.0f}", f"{r['p99']:.2f} ms",
                          f"{r['cpu_us']:.1f} us",
                          f"{r['memory_kb'] / 1024:.1f} MB",
                          many(r["challenge"]), many(r["crowd"]),
                          f"{r['crowd_kb'] / 1024:.1f} MB"])
            if r["name"] == "acmed" and \
                    min(r["challenge"][0], r["crowd"][0]) < \
                    listener.CHALLENGES:
                raise procs.Failed(f"challenges were not answered: {r}")
        return table

    def run(self):
        parts = {
            "issue": self.issue,
            "start": lambda: (self.start(FEW, 5, 0.2, 24),
                              self.start(MANY, 3, 5, 150)),
            "idle": self.idle,
            "listener": None,
            "code": None}
        for name in self.o.only:
            if parts[name] is not None:
                parts[name]()
        table = self.listeners() if "listener" in self.o.only else None
        if self.report.rows:
            say("all of it")
            lines.print_table([["", "at most", "measured", ""],
                              *self.report.rows])
        if table:
            print()
            lines.print_table(table)
            print("(memory: PSS of all its processes; acmed's are three)")
        if "code" in self.o.only:
            print()
            lines.print_table([lines.HEAD, *lines.rows(self.o.source,
                                                    self.o.coverage)])


PARTS = ["issue", "start", "idle", "listener", "code"]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", required=True)
    p.add_argument("--source", required=True)
    p.add_argument("--pebble", required=True)
    p.add_argument("--only", type=lambda s: s.split(","), default=PARTS)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--orders", type=int, default=FEW)
    p.add_argument("--idle", type=int, default=300)
    p.add_argument("--coverage")
    o = p.parse_args()
    if not set(o.only) <= set(PARTS):
        p.error("--only wants some of " + ",".join(PARTS))
    # On a disk.  Nothing is removed before the end: see run.sh on inodes.
    where = os.environ.get("ACMED_BENCH_DIR", "/var/tmp")
    with tempfile.TemporaryDirectory(prefix="acmed-bench-", dir=where) as top:
        os.chmod(top, 0o755)
        try:
            Bench(o, top).run()
        except (procs.Failed, OSError, subprocess.CalledProcessError) as e:
            print(f"bench: {e}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
