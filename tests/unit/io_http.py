#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The server that io_http.c talks to: HTTP/1.1 and a little HTTP/2, made to
misbehave on request.  Takes a folder for its certificates and its Unix socket,
prints "name port" lines and "ready", and ends when its stdin does."""

import os, socket, ssl, subprocess, sys, threading

lock = threading.Condition()
counts = {"conns": 0, "plain": 0, "goes": 0, "rst": 0, "partial": 0, "die": 0,
          "never": 0}


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, cwd=sys.argv[1],
                   stderr=subprocess.DEVNULL)


def make_certs():
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for name in ("ca", "other"):
        openssl(*new, "-subj", "/CN=" + name, "-keyout", name + ".key",
                "-out", name + ".pem")
    for name, san in (("leaf", "DNS:localhost,IP:127.0.0.1"),
                      ("wrong", "DNS:wrong.example")):
        openssl(*new, "-CA", "ca.pem", "-CAkey", "ca.key", "-subj",
                "/CN=" + name, "-addext", "subjectAltName=" + san, "-addext",
                "basicConstraints=critical,CA:FALSE", "-keyout",
                name + ".key", "-out", name + ".pem")


def context(cert, alpn):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(f"{sys.argv[1]}/{cert}.pem", f"{sys.argv[1]}/{cert}.key")
    ctx.set_alpn_protocols(alpn)
    return ctx


def count(key):
    with lock:
        counts[key] += 1
        lock.notify_all()
        return counts[key]


class Closed(Exception):
    pass


class Conn:
    """A connection as bytes, then as HTTP/1.1."""

    def __init__(self, sock):
        self.sock, self.data, self.served = sock, b"", 0
        self.number = count("conns")

    def more(self):
        got = self.sock.recv(65536)
        if not got:
            raise Closed
        self.data += got

    def take(self, n):
        while len(self.data) < n:
            self.more()
        out, self.data = self.data[:n], self.data[n:]
        return out

    def request(self):
        while b"\r\n\r\n" not in self.data:
            self.more()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        self.method, self.path, _ = self.head.split("\r\n")[0].split(" ", 2)
        n = 0
        for line in self.head.split("\r\n")[1:]:
            if line.lower().startswith("content-length:"):
                n = int(line.split(":")[1])
        self.body = self.take(n).decode()

    def answer(self, body="", status="200 OK", headers=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}",
                 f"X-Conn: {self.number}", *headers, "", ""]
        text = "\r\n".join(lines)
        self.sock.sendall((text + ("" if self.method == "HEAD" else body))
                          .encode())

    def chunk(self, text):
        self.sock.sendall(f"{len(text):x}\r\n{text}\r\n".encode())


def hello(c):
    c.answer("hello", headers=["Content-Type: text/plain; charset=utf-8",
                               "X-Twice: one", "x-twice:two \t",
                               "X-Empty:"])


def echo(c):
    c.answer(c.head.replace("\r", "") + "\n\n" + c.body)


def big(c):
    c.answer("x" * int(c.path.split("?")[1]))


def endless(c):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        c.chunk("x" * 65536)


def endless_head(c):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        c.sock.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def many_interim(c):
    while True:
        c.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)


def interim(c):
    c.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nX-Old: yes\r\n\r\n")
    c.answer("late", headers=["X-New: yes"])


def trailer(c):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   b"1\r\nx\r\n0\r\nX-Trailer: yes\r\n\r\n")


def redirect(c):
    c.answer("elsewhere", "307 Temporary Redirect",
             ["X-Hop: yes", "Location: " + c.path.split("?", 1)[1]])


def never(c):
    count("never")
    try:
        c.more()
    finally:
        with lock:
            counts["never"] -= 1


def die_second(c):
    count("die")
    if c.served > 0:
        raise Closed
    c.answer("alive")


def partial(c):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut")
    if not c.path.endswith("?torn"):
        c.sock.unwrap()  # TLS says that this is the end
    raise Closed


def partial_once(c):
    # On a connection that was in use before the body is cut.
    if c.served > 0:
        count("partial")
        partial(c)
    c.answer("whole body")


def stream(c):
    with lock:
        counts["goes"] = 0
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    c.chunk("one ")
    for word in ("two ", "three"):
        with lock:
            lock.wait_for(lambda: counts["goes"] > 0)
            counts["goes"] -= 1
        c.chunk(word)
    c.sock.sendall(b"0\r\n\r\n")


def go(c):
    count("goes")
    c.answer()


def stats(c):
    with lock:
        text = " ".join(f"{k}={v}" for k, v in counts.items())
    c.answer(text)


ROUTES = {"/hello": hello, "/big": big, "/endless": endless,
          "/endless-head": endless_head, "/interim": interim,
          "/many-interim": many_interim, "/trailer": trailer,
          "/redirect": redirect, "/never": never, "/die-second": die_second,
          "/partial-once": partial_once, "/partial": partial,
          "/stream": stream, "/go": go, "/stats": stats}


def http1(c):
    while True:
        c.request()
        ROUTES.get(c.path.split("?")[0], echo)(c)
        c.served += 1


def plain(c):
    count("plain")
    http1(c)


# HTTP/2 without looking at headers: the port says how to behave.

HEADERS, RST, SETTINGS, GOAWAY = 1, 3, 4, 7


def frame(kind, flags, stream, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) +
            stream.to_bytes(4, "big") + payload)


def reply(c, stream):
    # 0x88 is ":status: 200" in HPACK's static table.
    c.sock.sendall(frame(HEADERS, 4, stream, b"\x88") +
                   frame(0, 1, stream, str(c.number).encode()))


def streams(c):
    c.take(24)
    c.sock.sendall(frame(SETTINGS, 0, 0))
    while True:
        head = c.take(9)
        c.take(int.from_bytes(head[:3], "big"))
        if head[3] == SETTINGS and not head[4] & 1:
            c.sock.sendall(frame(SETTINGS, 1, 0))
        if head[3] == HEADERS:
            yield int.from_bytes(head[5:9], "big")


def h2_hold(c):
    """Answers only when twenty requests wait on one connection."""
    waiting = []
    for s in streams(c):
        waiting.append(s)
        if len(waiting) == 20:
            for s in waiting:
                reply(c, s)
            waiting = []


def h2_rst(c):
    """Every other connection breaks each stream (INTERNAL_ERROR)."""
    broken = count("rst") % 2 == 1
    for s in streams(c):
        if broken:
            c.sock.sendall(frame(RST, 0, s, (2).to_bytes(4, "big")))
        else:
            reply(c, s)


def h2_goaway(c):
    """One request a connection; the second was "not processed"."""
    for s in streams(c):
        if s > 1:
            c.sock.sendall(frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") +
                                 (0).to_bytes(4, "big")))
            return
        reply(c, s)


def h2_early(c):
    """Answers the first request without waiting for its body, and takes no
    more of it when the second comes."""
    for s in streams(c):
        if s == 1:
            # content-length is 28 in the static table; "2" as it is.
            c.sock.sendall(frame(HEADERS, 4, s, b"\x88\x0f\x0d\x012") +
                           frame(0, 0, s, b"no"))
        else:
            c.sock.sendall(frame(RST, 0, 1, (0).to_bytes(4, "big")))
            reply(c, s)


def serve(sock, ctx, protocol):
    def run(s):
        try:
            if ctx is not None:
                s = ctx.wrap_socket(s, server_side=True)
            protocol(Conn(s))
        except (Closed, OSError, ValueError):
            pass
        s.close()

    sock.listen(64)
    while True:
        s, _ = sock.accept()
        threading.Thread(target=run, args=(s,), daemon=True).start()


def start(name, ctx, protocol):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    print(name, sock.getsockname()[1])
    threading.Thread(target=serve, args=(sock, ctx, protocol),
                     daemon=True).start()


make_certs()
start("https", context("leaf", ["http/1.1"]), http1)
start("wrong", context("wrong", ["http/1.1"]), http1)
start("plain", None, plain)
for name, protocol in (("hold", h2_hold), ("rst", h2_rst),
                       ("goaway", h2_goaway), ("early", h2_early)):
    start(name, context("leaf", ["h2", "http/1.1"]), protocol)
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1] + "/sock")
threading.Thread(target=serve, args=(unix, None, http1), daemon=True).start()
print("ready", 0, flush=True)
sys.stdin.read()
os._exit(0)
