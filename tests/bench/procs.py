# SPDX-License-Identifier: ISC
"""Starting programs, and what the kernel counts of them."""
import os
import select
import signal
import socket
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE_KB = 1024


class Failed(Exception):
    pass


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def wait_for(what, test, seconds=30, step=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = test()
        if value:
            return value
        time.sleep(step)
    raise Failed(f"waited {seconds} s in vain for {what}")


def can_connect(address):
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


def with_children(pid):
    """pid and what it has started."""
    pids = [pid]
    for child in read(f"/proc/{pid}/task/{pid}/children").split():
        pids += with_children(int(child))
    return pids


def name_of(pid):
    return read(f"/proc/{pid}/comm").strip()


def cpu_ms(pid):
    """User and system time, ended children included."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    user, system, child_user, child_system = map(int, fields[11:15])
    return ((user + child_user) * 1000 / TICK,
            (system + child_system) * 1000 / TICK)


def pss_kb(pid):
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise Failed(f"no Pss of process {pid}")


def status_kb(pid, key):
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise Failed(f"no {key} of process {pid}")


def wakeups(pid):
    """How often its threads went to sleep, and so how often they woke."""
    n = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        n += status_kb(f"{pid}/task/{task}", "voluntary_ctxt_switches")
    return n


class Memory(threading.Thread):
    """The largest sum of the proportional set sizes of some processes."""

    def __init__(self, pids, every=0.05):
        super().__init__(daemon=True)
        self.pids, self.every = pids, every
        self.peak_kb = 0
        self.stopped = threading.Event()

    def look(self):
        try:
            now = sum(pss_kb(pid) for pid in self.pids())
        except OSError:  # one has ended
            return
        self.peak_kb = max(self.peak_kb, now)

    def run(self):
        while not self.stopped.wait(self.every):
            self.look()

    def stop(self):
        self.stopped.set()
        self.join()
        self.look()
        return self.peak_kb


class Program:
    """A program with its output in a file; ends with the "with" block."""

    def __init__(self, args, log, env=None, **more):
        self.log = log
        with open(log, "w", encoding="utf-8") as out:
            self.proc = subprocess.Popen(
                [str(a) for a in args], stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, env=dict(os.environ, **(env or {})),
                **more)
        self.pid = self.proc.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def pids(self):
        return with_children(self.pid)

    def alive(self):
        if self.proc.poll() is not None:
            raise Failed(f"{self.proc.args[0]} has ended:\n"
                         + "\n".join(read(self.log).splitlines()[-10:]))
        return True

    def stop(self):
        if self.proc.poll() is not None:
            return
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()


class Acmed(Program):
    """acmed, which says by NOTIFY_SOCKET when it is ready."""

    def __init__(self, build, conf, folder, seconds=60):
        notify = os.path.join(folder, "notify")
        if os.path.exists(notify):
            os.unlink(notify)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(notify)
            begin = time.monotonic()
            super().__init__([os.path.join(build, "acmed"), "-c", conf],
                             os.path.join(folder, "acmed.log"),
                             {"NOTIFY_SOCKET": notify})
            try:
                self._wait(s, begin + seconds)
            except BaseException:
                self.stop()
                raise
            self.start_s = time.monotonic() - begin

    def _wait(self, s, end):
        while time.monotonic() < end:
            self.alive()
            if select.select([s], [], [], 0.2)[0] and \
                    b"READY=1" in s.recv(4096):
                return
        raise Failed("acmed is not ready in time")

    def by_name(self):
        return {name_of(pid): pid for pid in self.pids()}

    def cpu(self):
        return {name_of(pid): cpu_ms(pid) for pid in self.pids()}

    def settle(self, still_s=0.5):
        """Until none of them uses the processor any more."""
        last, since = None, time.monotonic()
        while time.monotonic() - since < still_s:
            now = self.cpu()
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.05)


class Waits(threading.Thread):
    """Asks an HTTP server again and again, and how long that takes it."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.longest, self.stopped = address, 0, False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.join()

    def run(self):
        with socket.create_connection(self.address, 10) as s:
            while not self.stopped:
                begin = time.monotonic()
                s.sendall(b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n")
                s.recv(65536)
                self.longest = max(self.longest, time.monotonic() - begin)

    def longest_ms(self, seconds):
        """Of those from the last time that this was asked for until then."""
        time.sleep(seconds)
        longest, self.longest = self.longest, 0
        return longest * 1000
