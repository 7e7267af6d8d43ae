# SPDX-License-Identifier: ISC
"""One acmed under test: its configuration, processes, log, socket and state."""
import fcntl
import http.client
import json
import os
import select
import socket
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

from util import (BUILD, LEAST, PATIENCE, alive, cert_info, check_pair,
                  children, die_with_parent, run, until)

F_SETPIPE_SZ = 1031
# For a build with AddressSanitizer: confined processes cannot look for leaks,
# and what a test has preloaded comes before its library.
SANITIZED = {"ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}
STEPS = ("prepare", "newOrder", "authorization", "publish", "challenge", "validation",
         "order", "key", "csr", "finalize", "certificate", "install")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("acmed", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Acmed:
    def __init__(self, where, ca=None, domains=None, lockstep=False, at_ca=None,
                 **conf):
        """conf: keys of the configuration, "_" for "-"; ca: a Pebble, or
        anything with directory, pki and http_port, or {name: such a one} in
        the order in which they are asked; at_ca: more keys of its entry.

        lockstep: every line of the log is taken by us before the daemon can
        write the next but one, so that on_line() acts at that very moment."""
        self.where = Path(where)
        self.ca = ca
        self.lockstep = lockstep
        self.state = self.where / "state"
        self.socket = self.where / "ctl.sock"
        self.config = self.where / "acmed.yaml"
        self.log_file = self.where / "acmed.log"
        self.conf = {
            "email": "admin@example.org",
            "agree-tos": True,
            "state-dir": str(self.state),
            "control": {"socket": str(self.socket)},
            "log": {"level": "debug", "format": "json"},
        }
        if ca is not None:
            all_cas = ca if isinstance(ca, dict) else {"test": ca}
            self.conf["http"] = {"listen": [
                f"127.0.0.1:{c.http_port}" for c in all_cas.values()]}
            self.conf["ca"] = {name: {
                "directory": c.directory, "ca-file": str(c.pki.root),
                **(at_ca or {})} for name, c in all_cas.items()}
            self.conf["defaults"] = {
                "ca": list(ca) if isinstance(ca, dict) else "test"}
        self.set(**conf)
        if domains is not None:
            self.conf["domains"] = domains
        self._lines = []
        self.other = []  # what was printed and is no line of the log
        self.on_line = None
        self.changed = threading.Condition()
        self.process = None
        self._reader = None
        self._reading = threading.Lock()  # held by whoever uses these two
        self._log, self._taken = None, 0  # the pipe, bytes out of it
        self.prefix = []
        self.env = {}
        self.listener = None  # a socket to hand over as systemd does

    # Configuration

    def set(self, **conf):
        """Change keys; of mappings, only the keys given."""
        for key, value in conf.items():
            key = key.replace("_", "-")
            if isinstance(value, dict) and isinstance(self.conf.get(key), dict):
                for k, v in value.items():
                    if isinstance(v, dict) and k in self.conf[key]:
                        self.conf[key][k] = {**self.conf[key][k], **v}
                    else:
                        self.conf[key][k] = v
            elif value is None:
                self.conf.pop(key, None)
            else:
                self.conf[key] = value
        return self

    def write(self, text=None):
        """JSON is YAML."""
        new = self.config.with_suffix(".new")
        new.write_text(text if text is not None
                       else json.dumps(self.conf, indent=1))
        new.chmod(0o644)
        new.rename(self.config)

    # Life

    def _pipe(self):
        r, w = os.pipe2(os.O_CLOEXEC | (os.O_DIRECT if self.lockstep else 0))
        if self.lockstep:
            fcntl.fcntl(w, F_SETPIPE_SZ, 4096)  # one slot: one line
        return r, w

    def _before_exec(self):
        die_with_parent()
        if self.listener:
            os.dup2(self.listener.fileno(), 3)

    def spawn(self, *args):
        """Start it, and read its log; does not wait for anything."""
        if not self.config.exists():
            self.write()
        r, w = self._pipe()
        activate = ["/bin/sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"',
                    "sh"] if self.listener else []
        self.process = subprocess.Popen(
            [*activate, *self.prefix, str(BUILD / "acmed"),
             "-c", str(self.config), *args], stdin=subprocess.DEVNULL, stdout=w, stderr=w,
            env={**SANITIZED, **os.environ, **self.env}, cwd="/",
            pass_fds=(3,) if self.listener else (),
            preexec_fn=self._before_exec)
        os.close(w)
        self._log = r
        self._reader = threading.Thread(target=self._read, args=(r,),
                                        daemon=True)
        self._reader.start()
        return self

    def start(self, *args):
        n = len(self.lines)
        self.spawn(*args)
        self.wait("ready", part="supervisor", since=n)
        return self

    def _read(self, fd):
        data, rest = b"any", b""
        ready = select.poll()
        ready.register(fd, select.POLLIN)
        with open(self.log_file, "ab", buffering=0) as keep:
            while data:
                ready.poll()
                with self._reading:
                    data = os.read(fd, 65536)
                    keep.write(data)
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self._line(line)
                    self._taken += len(data)
        with self._reading:
            self._log = None if self._log == fd else self._log
            os.close(fd)
        with self.changed:
            self.changed.notify_all()

    def _catch_up(self):
        """Wait for what is in the pipe by now."""
        end = None
        while threading.current_thread() is not self._reader:
            with self._reading:
                if self._log is None:
                    return
                left, = struct.unpack("i", fcntl.ioctl(
                    self._log, termios.FIONREAD, bytes(4)))
                end = self._taken + left if end is None else end
                if self._taken >= end:
                    return
            time.sleep(0.001)

    def _line(self, line):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or "msg" not in entry:
            self.other.append(line.decode(errors="replace"))
            return
        if self.on_line is not None:
            self.on_line(entry)
        with self.changed:
            self._lines.append(entry)
            self.changed.notify_all()

    @property
    def lines(self):
        """All that acmed has said: of what we know otherwise, and came after a
        line, that line is there."""
        self._catch_up()
        return self._lines

    def take_lines(self):
        """Those that were not taken before, for who runs for long."""
        with self.changed:
            lines, self._lines = self._lines, []
        return lines

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        """{"acmed-engine": pid, "acmed-keeper": pid}"""
        return {k: v for k, v in children(self.pid).items()
                if k.startswith("acmed-")}

    def engine(self):
        return until(lambda: self.pids().get("acmed-engine"), 20,
                     "the engine")

    def keeper(self):
        return until(lambda: self.pids().get("acmed-keeper"), 20,
                     "the keeper")

    def signal(self, signo):
        self.process.send_signal(signo)

    def ended(self, timeout=30):
        """Wait for the end by itself; the exit status."""
        status = self.process.wait(timeout * PATIENCE)
        if self._reader is not None:
            self._reader.join(10)
        return status

    def stop(self, timeout=30):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        return self.ended(timeout)

    def kill(self):
        """Everything at once, as a power cut would."""
        if self.process is None:
            return
        both = list(self.pids().values())
        self.process.kill()
        self.ended()
        until(lambda: not any(alive(p) for p in both), 10,
              "the children to die with the supervisor")

    def close(self):
        self.on_line = None
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                self.stop(15)
            except subprocess.TimeoutExpired:
                self.kill()

    # Log

    def find(self, msg=None, since=0, **kv):
        self._catch_up()
        return self._find(msg, since, **kv)

    def _find(self, msg, since, **kv):
        return [x for x in self._lines[since:]
                if (msg is None or x["msg"] == msg) and
                all(x.get(k) == v for k, v in kv.items())]

    def wait(self, msg=None, timeout=20, since=0, count=1, **kv):
        """Wait for the count-th line of the log like this, and return it."""
        end = time.monotonic() + max(timeout, LEAST) * PATIENCE
        with self.changed:
            while True:
                left = end - time.monotonic()
                found = self._find(msg, since, **kv)
                if len(found) >= count:
                    return found[count - 1]
                if left <= 0:
                    raise TimeoutError(
                        f"no {msg!r} {kv} in the log within {timeout} s")
                if self.process.poll() is not None and \
                        not self._reader.is_alive():
                    raise RuntimeError(
                        f"acmed ended with {self.process.returncode} before "
                        f"{msg!r} {kv}: {self.other}")
                self.changed.wait(min(left, 0.5))

    def text(self):
        return self.log_file.read_text(errors="replace")

    def tail(self, n=40):
        if not self.log_file.exists():
            return ""
        return "".join(self.text().splitlines(True)[-n:])

    # Control socket

    def ask(self, method, path, headers=None, timeout=20):
        c = UnixConnection(self.socket, timeout)
        try:
            c.request(method, path, headers=headers or {})
            r = c.getresponse()
            body = r.read()
        finally:
            c.close()
        try:
            return r.status, json.loads(body)
        except ValueError:
            return r.status, body

    def status(self):
        code, body = self.ask("GET", "/v1/certificates")
        assert code == 200, body
        return body

    def cert(self, name):
        code, body = self.ask("GET", f"/v1/certificates/{name}")
        assert code == 200, body
        return body

    def ctl(self, *args, prefix=(), timeout=60, env=None):
        return run(*prefix, BUILD / "acmectl", "-s", self.socket, *args,
                   timeout=timeout, env=env)

    def renew(self, name):
        code, body = self.ask("POST", f"/v1/certificates/{name}/renew")
        assert code == 202, body

    # Certificates

    def live(self, name):
        return self.state / "live" / name

    def version(self, name):
        try:
            return int(os.readlink(self.live(name)).rsplit("/", 1)[1])
        except FileNotFoundError:
            return 0

    def installed(self, *names, timeout=30, version=1):
        """Wait until each has (at least) that version, its reload command has
        run, and nothing is under way."""
        def done(name):
            if self.version(name) < version:
                return False
            try:
                c = self.cert(name)
            except (OSError, http.client.HTTPException):
                return False
            return (c.get("version", 0) >= version and
                    c["state"] == "valid" and c["deploy"] == "done")
        for name in names:
            until(lambda: done(name), timeout, f"{name} to be installed")

    def insist(self, *names, version=1, why=("badNonce",), timeout=60):
        """As installed(), but ask again when it has failed for one of those
        reasons: once for each failure, or we may ask when it has just
        succeeded."""
        asked = {}

        def done(name):
            try:
                c = self.cert(name)
                if c.get("version", 0) >= version and c["state"] == "valid":
                    return True
                t = c.get("trouble", {})
                if t.get("type") in why and asked.get(name) != (
                        t["failures"], t["at"]):
                    self.renew(name)
                    asked[name] = t["failures"], t["at"]
            except (OSError, http.client.HTTPException):
                pass
            return False
        for name in names:
            until(lambda: done(name), timeout, f"{name} to be installed",
                  every=0.05)
        self.installed(*names, version=version)

    def remembered(self, name, edit=None):
        """What the stopped engine has on disk about it; edited, if asked."""
        file = self.state / "engine" / "certs" / f"{name}.json"
        root = json.loads(file.read_text())
        if edit is not None:
            edit(root)
            file.write_text(json.dumps(root))
        return root

    def serial(self, name):
        return int(cert_info(self.live(name) / "cert.pem")["serialNumber"], 16)

    def orders(self):
        """URLs of the orders that the daemon says it made."""
        return [x["order"] for x in self.find("order made")]

    def check_pair_only(self, name):
        return check_pair(self.live(name))

    def check_state(self, *names):
        """Whole: pairs match, nothing half-written is left anywhere."""
        for name in names:
            check_pair(self.live(name))
        def left():
            return [str(p) for p in self.state.rglob("*")
                    if ".new" in p.name or ".bad-" in p.name]
        # A window that was learned may just be being saved.
        until(lambda: left() == [], 5, f"nothing to be left behind: {left()}")
        for d in self.state.glob("versions/*/*"):
            assert {p.name for p in d.iterdir()} == {
                "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"}
            check_pair(d)
