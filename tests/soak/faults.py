# SPDX-License-Identifier: ISC
"""What happens to acmed during the soak.

A fault is a function of (soak, seconds): it begins, lasts about that long, ends
what it began, and returns which CAs it was about; ALL: acmed or its host."""
import json
import os
import random
import re
import signal
import socket
import time

from proxy import problem

ALL = ("a", "b", "stage")


class Share:
    """A rule of the proxy for a share of all requests below a path."""

    def __init__(self, rng, share, path="", method=None, **what):
        self.rng, self.share, self.what = rng, share, what
        self.path, self.method = re.compile(path), method

    def wants(self, method, path, served):
        return self.method in (None, method) and \
            self.path.search(path) and self.rng.random() < self.share


class Late:
    """For "hold": goes on by itself, after a while of its own."""

    def __init__(self, rng, most):
        self.rng, self.most, self.over = rng, most, False

    def wait(self, _):
        if not self.over:
            time.sleep(self.rng.uniform(0.2, self.most))

    def set(self):
        self.over = True


def spoil(s, seconds, share, path="", method=None, **what):
    """Have one of the CAs' proxies do that for so long."""
    name = s.rng.choice("ab")
    p = s.proxies[name]
    # of its own: how many requests there are must not change the schedule
    rule = Share(random.Random(s.rng.random()), share, path, method, **what)
    with p.lock:
        p.rules.append(rule)
    s.sleep(seconds)
    with p.lock:
        p.rules.remove(rule)
    return (name,)


def lost_ca(s, seconds):
    """It dies, and comes back without accounts, orders, and its keys."""
    name = s.rng.choice("ab")
    s.proxies[name].stop()
    s.cas[name].kill()
    s.sleep(seconds)
    s.cas[name].start()
    s.proxies[name].start()
    return (name,)


def nonce_storm(s, seconds):
    """The same, twice: in between it takes few nonces, or none."""
    name = s.rng.choice("ab")
    ca = s.cas[name]
    for percent in s.rng.choice((50, 80, 100)), 5:
        ca.kill()
        ca.env["PEBBLE_WFE_NONCEREJECT"] = str(percent)
        ca.start()
        if percent != 5:
            s.sleep(seconds)
    return (name,)


def resets(s, seconds):
    return spoil(s, seconds, 0.4, reset=True)


def dropped(s, seconds):
    """Asked, and the answer is lost."""
    return spoil(s, seconds, 0.25, drop=True)


def unavailable(s, seconds):
    status = s.rng.choice((502, 503))
    wait = str(s.rng.randint(1, 15))
    return spoil(s, seconds, 0.6, answer=(
        status, [("Retry-After", wait)], b"<h1>try later</h1>"))


def html(s, seconds):
    return spoil(s, seconds, 0.4, answer=(
        500, [("Content-Type", "text/html")], b"<html>\x1b[31moops</html>"))


def internal(s, seconds):
    return spoil(s, seconds, 0.4, answer=problem("serverInternal", 500))


def slow(s, seconds):
    return spoil(s, seconds, 0.7, hold=Late(random.Random(s.rng.random()), 3))


def past_windows(s, seconds):
    """All certificates of a CA are to be replaced, it says."""
    def edit(status, headers, _):
        now = time.time()
        window = {k: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))
                  for k, t in (("start", now - 7200), ("end", now - 3600))}
        return 200, headers, json.dumps({"suggestedWindow": window}).encode()
    return spoil(s, seconds, 1, "renewalInfo", "GET", edit=edit)


def no_answer_of_names(s, seconds):
    """A name points elsewhere: its validation fails, and is rehearsed."""
    name = s.elsewhere()
    for ca in s.cas.values():
        ca.dns("add-a", host=name, addresses=["127.0.0.9"])
    s.daemon.ask("POST", f"/v1/certificates/{name}/renew")
    s.sleep(seconds)
    for ca in s.cas.values():
        ca.dns("clear-a", host=name)
    return ALL


def reload(s, seconds):
    """Names and certificates come and go."""
    s.change()
    s.sleep(seconds / 3)
    s.forget()
    return ALL


def kill(s, program, seconds):
    pid = s.daemon.pids().get(program)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    s.sleep(seconds / 3)
    return ALL


def kill_engine(s, seconds):
    return kill(s, "acmed-engine", seconds)


def kill_keeper(s, seconds):
    return kill(s, "acmed-keeper", seconds)


def hanging_clients(s, seconds):
    """Of the control socket: some ask by half, some never read."""
    socks = []
    for i in range(24):
        c = socket.socket(socket.AF_UNIX)
        c.settimeout(5)
        try:
            c.connect(str(s.daemon.socket))
            c.sendall((b"GET /v1/status HT", b"GET /v1/events?follow=1 "
                       b"HTTP/1.1\r\nHost: x\r\n\r\n", b"")[i % 3])
        except OSError:
            pass
        socks.append(c)
    s.sleep(seconds)
    for c in socks:
        c.close()
    return ()


def strangers(s, seconds):
    """At port 80: garbage, endless headers, and those who say nothing."""
    end = time.monotonic() + seconds
    rng = random.Random(s.rng.random())
    socks = []
    while time.monotonic() < end:
        c = socket.socket()
        c.settimeout(2)
        try:
            c.connect(("127.0.0.1",
                       s.cas[rng.choice(ALL)].http_port))
            c.sendall(rng.choice((
                b"", b"\x16\x03\x01\0\xee", b"GET / HTTP/1.1\r\n",
                b"GET /.well-known/acme-challenge/" + b"x" * 43 +
                b" HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
                b"GET / HTTP/1.1\r\nX: " + b"y" * 9000)))
        except OSError:
            pass
        socks.append(c)
        if len(socks) > 60:
            socks.pop(0).close()
        s.sleep(0.1)
    for c in socks:
        c.close()
    return ()


KINDS = (lost_ca, nonce_storm, resets, dropped, unavailable, html, internal,
         slow, past_windows, no_answer_of_names, reload, kill_engine,
         kill_keeper, hanging_clients, strangers)
