# SPDX-License-Identifier: ISC
"""The supervisor below an engine in an intruder's hands: one that says what it
likes, as often as it likes (doc/THREATS.md)."""
import re
import shutil
import socket
import time

import pytest
from util import BUILD, ROOT, free_port, proc_fds, until

pytestmark = pytest.mark.root

ENGINE = """#!/usr/bin/python3
import os, select, socket, struct, sys

TYPES = {types!r}
up = socket.socket(fileno=4)
n = 0

def send(what, body=b"", fds=()):
    global n
    m = struct.pack("=III", TYPES[what], n, len(body)) + body
    n += 1
    while True:
        r, w, _ = select.select([up], [up], [])
        if r and not up.recv(1 << 18):
            sys.exit(1)
        if w:
            socket.send_fds(up, [m], list(fds))
            return

def say(text):
    os.write(2, ('{{"msg":"hostile","part":"engine","did":"%s"}}\\n'
                 % text).encode())

up.recv(1 << 16)
send("READY", bytes(4))
{deed}
say("all")
while up.recv(1 << 18):
    pass
"""
FLOODS = {
    "status": (20000, 'send("STATUS", struct.pack("=IIIIq", i, 1, 1, 1, 0))'),
    "alive": (20000, 'send("ALIVE", bytes(4))'),
    "find": (20000, 'send("FIND", struct.pack("=II65s3x", 0, 0, b""))'),
    # each is a line of the log
    "forget": (2000, 'send("FORGET", (b"x%d" % i).ljust(65, bytes(1)))'),
}


def types():
    """The numbers of the messages, as the compiler counts them."""
    text = (ROOT / "lib/ipc/ipc.h").read_text()
    body = re.search(r"enum ipc_type \{(.*?)\};", text, re.S).group(1)
    names = re.findall(r"^\s*IPC_(\w+)", body, re.M)
    return {name: i + 1 for i, name in enumerate(names)}


@pytest.fixture
def hostile(acmed, work):
    """hostile(deed): acmed, told so by systemd's socket, with that engine."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(work / "notify"))
    listener.setblocking(False)

    def make(deed, **conf):
        programs = work / "programs"
        programs.mkdir(mode=0o755)
        for name in "acmed", "acmed-keeper":
            shutil.copy(BUILD / name, programs / name)
        engine = programs / "acmed-engine"
        engine.write_text(ENGINE.format(types=types(), deed=deed))
        engine.chmod(0o755)
        d = acmed(None, [{"name": "www", "names": ["www.example.org"]}],
                  http={"listen": [f"127.0.0.1:{free_port()}"]}, **conf)
        d.prefix = ["/bin/sh", "-c", f'shift; exec {programs}/acmed "$@"',
                    "sh"]
        d.env = {"NOTIFY_SOCKET": str(work / "notify"),
                 "WATCHDOG_USEC": "90000000"}
        d.notify = listener
        return d

    yield make
    listener.close()


def told(d):
    """How often systemd has been told something."""
    n = 0
    try:
        while d.notify.recv(4096):
            n += 1
    except BlockingIOError:
        return n


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def ends_at_once(d):
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("what", sorted(FLOODS))
def test_floods(hostile, what):
    """Neither is root's memory theirs, nor systemd's time."""
    many, deed = FLOODS[what]
    d = hostile(f"for i in range({many}):\n    {deed}")
    begun = time.monotonic()
    d.start()
    d.wait("hostile", did="all", timeout=60)
    assert rss_kib(d.pid) < 32 << 10
    # READY twice with the first watchdog; each second a status, two watchdogs
    assert told(d) < 5 + 3 * (time.monotonic() - begun)
    ends_at_once(d)


def test_reload_commands(hostile, work):
    """Three at once, then one in five seconds, however many are asked for."""
    ran = work / "ran"
    begun = time.monotonic()
    d = hostile('for i in range(100):\n'
                '    send("HOOK", struct.pack("=II16x", 0, 0))',
                reload=["/bin/sh", "-c", f"echo >>{ran}"]).start()
    d.wait("hostile", did="all")

    def runs():
        return len(ran.read_text()) if ran.exists() else 0
    until(lambda: runs() >= 4, 20, "the fourth")
    assert runs() <= 3 + (time.monotonic() - begun) / 5
    ends_at_once(d)


def test_descriptors(hostile):
    """What is sent and not wanted is closed, and costs the sender its life."""
    d = hostile('send("ALIVE", bytes(4), [0] * 200)').spawn()
    for count in 1, 2, 3:
        d.wait("stopped unexpectedly, both are started again", count=count)
        assert len(proc_fds(d.pid)) < 64
    d.stop()
