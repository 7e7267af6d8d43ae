# SPDX-License-Identifier: ISC
"""What every other file here needs: waiting, ports, certificates, processes."""
import ctypes
import datetime
import os
import pwd
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ACMED_BUILD", ROOT / "build")).resolve()
IS_ROOT = os.geteuid() == 0
# A machine that is busy with something else must not fail a test.
PATIENCE = float(os.environ.get("ACMED_E2E_PATIENCE", "1"))
# Nor is anything waited for less long: it costs nothing when all is well, and
# is less than acmed waits before it tries what has failed once more.
LEAST = 20

_libc = ctypes.CDLL(None, use_errno=True)
_claims = []


def until(cond, timeout=20, what="the condition", every=0.01):
    """Wait until cond() is true, and return what it returned.

    It has its last chance after the end: we may have been kept from looking
    all the time."""
    end = time.monotonic() + max(timeout, LEAST) * PATIENCE
    while True:
        over = time.monotonic() > end
        value = cond()
        if value:
            return value
        if over:
            raise TimeoutError(f"waited {timeout} s in vain for {what}")
        time.sleep(every)


def free_port(*hosts):
    """A port that is free on all hosts and below those that the kernel hands
    to outgoing connections, so that none of these can take it meanwhile.

    It is ours until we end, though nobody may be listening there: others who
    run these tests see that its name among the abstract sockets is taken."""
    for _ in range(1000):
        port = random.randrange(10000, 30000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0acmed-e2e-port-{port}")
            for host in hosts or ("127.0.0.1", "::1"):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    family = (socket.AF_INET6 if ":" in host
                              else socket.AF_INET)
                    with socket.socket(family, kind) as s:
                        s.bind((host, port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise RuntimeError("no free port")


def listens(address, port):
    """Whether somebody listens there, by UDP and by TCP.

    To bind it, to find out, would be in the way of who is about to."""
    here = int.from_bytes(socket.inet_aton(address), sys.byteorder)
    return all(f": {here:08X}:{port:04X} 00000000:0000 {state} " in
               Path(f"/proc/net/{kind}").read_text()
               for kind, state in (("udp", "07"), ("tcp", "0A")))


def inotify_new():
    fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd == -1:
        raise OSError(ctypes.get_errno(), "inotify")
    return fd


def inotify_add(fd, folder, mask):
    """-1: it is not there."""
    return _libc.inotify_add_watch(fd, os.fsencode(folder), mask)


def watch_renames(folder):
    """A descriptor that can be read when something in folder was renamed."""
    fd = inotify_new()
    moved_to = 0x80
    if inotify_add(fd, folder, moved_to) == -1:
        raise OSError(ctypes.get_errno(), "inotify")
    return fd


def die_with_parent():
    """For preexec_fn: nothing outlives a test run that is killed."""
    _libc.prctl(1, signal.SIGKILL)


def run(*argv, timeout=60, **kw):
    """Run to the end; text of both streams, no exception for a status."""
    return subprocess.run([str(a) for a in argv], capture_output=True,
                          text=True, timeout=timeout, **kw)


def openssl(*argv, data=None):
    r = run("openssl", *argv, input=data)
    assert r.returncode == 0, f"openssl {argv}: {r.stderr}"
    return r.stdout


def state(pid):
    """R: running, S: asleep, T: stopped, Z: dead...; "": it is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rsplit(")", 1)[1].split()[0]


def alive(pid):
    return state(pid) not in ("", "Z")


def freeze(pid):
    """It does not one thing more until it is sent SIGCONT, or SIGKILL."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state(pid) in ("T", "Z", ""), 20, "it to stop")


def children(pid):
    """{name: pid} of the children of pid."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, rest = stat.read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest.split()[1]) == pid:
            found[head.split("(", 1)[1]] = int(stat.parent.name)
    return found


def proc_status(pid):
    """/proc/PID/status as a dict."""
    text = Path(f"/proc/{pid}/status").read_text()
    return dict((k, v.strip()) for k, v in
                (line.split(":", 1) for line in text.splitlines()))


def proc_fds(pid):
    """{number: what it is} of the open descriptors of pid."""
    fds = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            fds[int(link.name)] = os.readlink(link)
        except FileNotFoundError:
            continue
    return fds


def proc_inodes(pid):
    """The sockets that pid holds, as "socket:[n]"."""
    return {v for v in proc_fds(pid).values() if v.startswith("socket:")}


def when(text):
    """An instant of RFC 3339, as time.time() has it."""
    return datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")).timestamp()


def seconds_to(text):
    """How far away an instant of RFC 3339 is."""
    return when(text) - time.time()


def back_off(trouble):
    """How long after a failure the next attempt is, in seconds: whenever that
    is looked at."""
    return when(trouble["next"]) - when(trouble["at"])


def scenario(name):
    """Play one of tests/scenarios: what takes days is virtual there."""
    program = Path(os.environ.get(
        "ACMED_SCENARIOS", BUILD / "tests/scenarios/scenarios"))
    assert program.exists(), f"no {program}: build it, or set ACMED_SCENARIOS"
    r = run(program, ROOT / f"tests/scenarios/{name}.scn")
    assert r.returncode == 0, r.stdout + r.stderr


def uid_of(name):
    return pwd.getpwnam(name).pw_uid


def cert_info(path):
    """subject, issuer, serialNumber, notBefore, notAfter, subjectAltName of
    the first certificate in a PEM file."""
    return ssl._ssl._test_decode_cert(str(path))


def cert_names(path):
    return {v for _, v in cert_info(path).get("subjectAltName", ())}


def check_pair(folder):
    """The key and the certificate of one opened folder belong together.

    Opened once: a swap of live/NAME in between must not matter."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        here = f"/proc/self/fd/{fd}"
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(f"{here}/fullchain.pem", f"{here}/privkey.pem")
        return cert_info(f"{here}/cert.pem")
    finally:
        os.close(fd)


def pem_blocks(path, kind="CERTIFICATE"):
    text = Path(path).read_text()
    return text.count(f"-----BEGIN {kind}-----")


def raw(address, data, timeout=10, shut=True):
    """Send bytes, and return all that comes back until the other side ends."""
    host, port = address
    with socket.create_connection((host, port), timeout=timeout) as s:
        s.sendall(data)
        if shut:
            s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            part = s.recv(65536)
            if not part:
                return got
            got += part
