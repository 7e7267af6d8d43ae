# SPDX-License-Identifier: ISC
"""Between acmed and Pebble: sees every exchange, and can spoil it.

The Host field goes through unchanged, so that all URLs which Pebble makes lead
back here."""
import base64
import http.client
import json
import re
import ssl
import threading
import time
from email.utils import formatdate

from util import free_port
from wire import Handler, Server

WIRE = ("delay", "delay_body", "drip", "rst_body", "endless", "idle", "close")


class Exchange:
    def __init__(self, method, path, headers, body):
        self.method, self.path = method, path
        self.headers, self.body = headers, body
        self.status = None
        self.at = time.monotonic()

    @property
    def protected(self):
        """The JWS's protected header; {} when there is none."""
        if not self.body:
            return {}
        text = json.loads(self.body)["protected"]
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text)
                                                                 % 4)))

    @property
    def payload(self):
        text = json.loads(self.body)["payload"]
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()

    def __repr__(self):
        return f"{self.method} {self.path} {self.status}"


class Rule:
    """What to do with the requests that match: the skip first ones pass, the
    next times ones are spoilt (-1: all).  Without a method: whatever it is.

    answer: (status, headers, body) instead of asking Pebble
    edit:   fn(status, headers, body) -> the same, after asking it
    drop:   ask it, and close without an answer
    reset:  close with RST, without asking
    hold:   a threading.Event to wait for, before asking
    keep:   the same, after asking: the answer is kept back
    headers: {name: text, or None for none} to be changed in the answer
    date:   how many seconds the CA's clock is ahead, by its Date
    delay, delay_body, drip, rst_body, endless, idle, close: see wire.py
    reused: only requests that are not the first of their connection"""

    def __init__(self, method, path, times=1, skip=0, reused=False, **what):
        self.method, self.path = method, re.compile(path)
        self.times, self.skip, self.reused = times, skip, reused
        self.what = what
        self.hits = 0

    def wants(self, method, path, served):
        if self.method not in (None, method) or \
                not self.path.search(path) or (self.reused and served == 0):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times == 0:
            return False
        self.times -= 1
        self.hits += 1
        return True


class ProxyHandler(Handler):
    def ask_pebble(self, ex):
        p = self.server.proxy
        c = http.client.HTTPSConnection(
            "localhost", p.ca.acme_port, timeout=30, context=p.upstream)
        try:
            c.putrequest(ex.method, ex.path, skip_host=True,
                         skip_accept_encoding=True)
            for k, v in self.headers.items():
                if k.lower() != "connection":
                    c.putheader(k, v)
            c.endheaders(ex.body or None)
            r = c.getresponse()
            headers = [(k, v) for k, v in r.getheaders() if k.lower() not in
                       ("transfer-encoding", "connection", "content-length")]
            return r.status, headers, r.read()
        finally:
            c.close()

    def serve(self):
        p = self.server.proxy
        ex = Exchange(self.command, self.path, dict(self.headers.items()),
                      self.read_body())
        with p.lock:
            p.seen.append(ex)
            p.inside.add(ex)
            p.most = max(p.most, len(p.inside))
            rule = next((r for r in p.rules
                         if r.wants(self.command, self.path,
                                     self.served)), None)
        try:
            self.handle_exchange(ex, rule.what if rule else {})
        finally:
            p.leave(ex)

    def handle_exchange(self, ex, what):
        if "hold" in what:
            what["hold"].wait(60)
        if "reset" in what:
            self.abort()
            return
        if "answer" in what:
            status, headers, body = what["answer"]
        else:
            status, headers, body = self.ask_pebble(ex)
        if "keep" in what:
            ex.status = status
            what["keep"].wait(60)
        if "drop" in what:
            self.abort()
            return
        if "edit" in what:
            status, headers, body = what["edit"](status, list(headers), body)
        for key, value in what.get("headers", {}).items():
            headers = [(k, v) for k, v in headers if k.lower() != key.lower()]
            headers += [(key, value)] if value is not None else []
        if "date" in what:
            headers = [(k, v) for k, v in headers if k.lower() != "date"]
            headers.append(("Date", formatdate(time.time() + what["date"],
                                               usegmt=True)))
        ex.status = status
        how = {k: what[k] for k in WIRE if k in what}
        self.pause(how.pop("delay", 0))
        # Not later: the next one may come as soon as this one is read.
        self.server.proxy.leave(ex)
        self.reply(status, headers, body, how)


class Proxy:
    """Looks like the Pebble behind it."""

    def __init__(self, ca):
        self.ca, self.pki, self.http_port = ca, ca.pki, ca.http_port
        self.port = free_port()
        self.directory = f"https://localhost:{self.port}/dir"
        self.lock = threading.Lock()
        self.seen, self.rules = [], []
        self.inside = set()  # exchanges that are not answered yet
        self.most = 0
        self.upstream = ssl.create_default_context(cafile=str(ca.pki.root))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(ca.pki.server, ca.pki.server_key)
        self.server = None
        self.start()

    def start(self):
        self.server = Server(self.port, ProxyHandler, self.tls)
        self.server.proxy = self

    def stop(self):
        for r in self.rules:
            for event in "hold", "keep":
                if event in r.what:
                    r.what[event].set()
        if self.server is not None:
            self.server.stop()
            self.server = None

    def leave(self, ex):
        with self.lock:
            self.inside.discard(ex)

    def rule(self, method, path, **kw):
        r = Rule(method, path, **kw)
        self.rules.append(r)
        return r

    def requests(self, method=None, path=""):
        with self.lock:
            return [x for x in self.seen if method in (None, x.method) and
                    re.search(path, x.path)]


def problem(kind, status, detail="told by the test", headers=(), **more):
    """(status, headers, body) of a problem document."""
    body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail,
            "status": status, **more}
    return (status, [("Content-Type", "application/problem+json"), *headers],
            json.dumps(body).encode())
