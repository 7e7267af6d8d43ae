# SPDX-License-Identifier: ISC
"""The listener for challenges, as strangers see it."""
import json
import os
import re
import socket

import pytest
from util import raw, until

pytestmark = pytest.mark.root

WELL_KNOWN = "/.well-known/acme-challenge/"


@pytest.fixture
def listener(ca, acmed):
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    return "127.0.0.1", ca.http_port


def ask(address, request, headers="Host: a.example.org\r\n"):
    got = raw(address, f"{request}\r\n{headers}Connection: close\r\n\r\n"
              .encode(), shut=False)
    head, _, body = got.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return status, dict(x.split(": ", 1) for x in fields), body


def fetch(address, method, token):
    """All that comes back, but for what day it is."""
    got = raw(address, f"{method} {WELL_KNOWN}{token} HTTP/1.1\r\nHost: x\r\n"
              "Connection: close\r\n\r\n".encode(), shut=False)
    return re.sub(rb"Date: [^\r]*", b"Date: D", got)


def test_redirect(listener):
    status, f, body = ask(listener, "GET /a?b=c%20d HTTP/1.1")
    assert status == "HTTP/1.1 308 Permanent Redirect"
    assert f["Location"] == "https://a.example.org/a?b=c%20d"
    assert body == b"" and f["Content-Length"] == "0"
    # The port of the request is not that of https.
    _, f, _ = ask(listener, "GET / HTTP/1.1", "Host: a.example.org:8080\r\n")
    assert f["Location"] == "https://a.example.org/"
    _, f, _ = ask(listener, "GET / HTTP/1.1", "Host: [::1]:80\r\n")
    assert f["Location"] == "https://[::1]/"


def test_head(listener):
    status, f, body = ask(listener, "HEAD / HTTP/1.1")
    assert status == "HTTP/1.1 308 Permanent Redirect" and body == b""
    status, f, body = ask(listener, f"HEAD {WELL_KNOWN}x HTTP/1.1")
    assert status == "HTTP/1.1 404 Not Found" and body == b""
    assert f["Content-Length"] == "10"


def test_raw_404(listener):
    """F2: constant, whatever was asked; byte for byte."""
    for token in ("unknown", "A" * 43, "../../etc/passwd", "%2e%2e%2f", "",
                  "x" * 3000, "<script>"):
        assert fetch(listener, "GET", token) == (
            b"HTTP/1.1 404 Not Found\r\n"
            b"Content-Type: text/plain\r\n"
            b"Cache-Control: no-store\r\n"
            b"Date: D\r\n"
            b"Content-Length: 10\r\n"
            b"Connection: close\r\n\r\n"
            b"not found\n"), token


@pytest.mark.parametrize("request_line, status", [
    ("POST / HTTP/1.1", "405"), ("CONNECT x:80 HTTP/1.1", "405"),
    ("get / HTTP/1.1", "405"), ("GET / HTTP/2.0", "400"), ("GET /", "400"),
    ("GET / HTTP/1.1\r\nHost: other", "400"),
    ("GET / HTTP/1.1\r\nBad Header: x", "400"),
    ("GET /\x01 HTTP/1.1", "400"),
    ("GET / HTTP/1.1\r\nX: " + "y" * 20000, "431"),
    ("OPTIONS * HTTP/1.1", "405")])
def test_not_for_us(listener, request_line, status):
    got = raw(listener, f"{request_line}\r\nHost: a.example.org\r\n\r\n"
              .encode(), shut=True)
    assert got.startswith(f"HTTP/1.1 {status} ".encode()), got[:100]


def test_hostile_host(listener):
    """What is in Host comes back in Location only if it is a host."""
    for host in ("evil/../x", "a b", "x@y", "a\"b", "", "[::", "a:99999999"):
        got = raw(listener, f"GET / HTTP/1.1\r\nHost: {host}\r\n"
                  "Connection: close\r\n\r\n".encode(), shut=False)
        assert not got.startswith(b"HTTP/1.1 30"), (host, got)
        assert got.startswith(b"HTTP/1.1 4"), (host, got)


def test_keep_alive_and_pipelining(listener):
    one = f"GET {WELL_KNOWN}x HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    got = raw(listener, one * 5, shut=True)
    assert got.count(b"HTTP/1.1 404 ") == 5


def test_tls_to_plain_port(listener):
    """A ClientHello is not waited for to the end."""
    got = raw(listener, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
              shut=False)
    assert got == b"" or got.startswith(b"HTTP/1.1 400 ")


def test_no_redirect(ca, acmed):
    d = acmed(ca, ["a.example.org"], http={"redirect": "none"}).start()
    status, f, body = ask(("127.0.0.1", ca.http_port), "GET / HTTP/1.1")
    assert status == "HTTP/1.1 404 Not Found"
    d.installed("a.example.org")


def test_redirect_status(ca, acmed):
    acmed(ca, ["a.example.org"], http={"redirect-status": 301}).start()
    status, _, _ = ask(("127.0.0.1", ca.http_port), "GET / HTTP/1.1")
    assert status == "HTTP/1.1 301 Moved Permanently"


def test_raw_answer(mock, acmed):
    """F1: the answer to a token that is published, byte for byte; the token is
    gone when the order is over."""
    ca = mock("hold authz pending for-ever")
    d = acmed(ca, ["a.example.org"]).start()
    d.wait("challenge answered")
    order, = (d.state / "engine" / "orders").iterdir()
    token = json.loads(order.read_text())["tokens"]
    address = "127.0.0.1", ca.http_port
    head, _, body = fetch(address, "GET", token).partition(b"\r\n\r\n")
    assert body == f"{token}.{d.status()['cas'][0]['thumbprint']}".encode()
    assert head == (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: application/octet-stream\r\n"
        b"Cache-Control: no-store\r\n"
        b"Date: D\r\n"
        b"Content-Length: %d\r\n"
        b"Connection: close" % len(body))
    assert fetch(address, "HEAD", token) == head + b"\r\n\r\n"
    ca.clear()
    d.installed("a.example.org")
    assert fetch(address, "GET", token).startswith(b"HTTP/1.1 404 ")


def test_idle_connections(ca, acmed):
    """Two thousand that say nothing, and some that drip: a challenge is
    answered all the same."""
    # Those that go are driven out, however long it takes to come so far.
    d = acmed(ca, ["a.example.org"], http={"timeout": "10m"}).start()
    d.installed("a.example.org")
    idle = []
    try:
        for i in range(2000):
            s = socket.socket()
            s.settimeout(10)
            s.connect(("127.0.0.1", ca.http_port))
            if i % 4 == 0:
                s.sendall(b"GET / HT")
            idle.append(s)
        d.renew("a.example.org")
        d.installed("a.example.org", version=2)
        until(lambda: d.status()["http"]["evicted"] >= 2000 - 1024, 20,
              "some to be driven out")
        assert d.status()["http"]["open"] <= 1024
    finally:
        for s in idle:
            s.close()
    fds = len(os.listdir(f"/proc/{d.engine()}/fd"))
    until(lambda: len(os.listdir(f"/proc/{d.engine()}/fd")) < 60, 15,
          f"{fds} descriptors to be closed")
