#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A CA that plays a scenario, and looks at every request as a lawyer would.

    ca.py [SCENARIO...] [--port N] [--http-port N] [--where DIR] [--log FILE]
          [--for SECONDS]

See README."""
import argparse
import collections
import json
import os
import re
import signal
import ssl
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pki  # noqa: E402
import script  # noqa: E402
from acme import Acme, endpoint  # noqa: E402
from jose import Bad  # noqa: E402
from wire import Handler, Server  # noqa: E402

JSON = "application/json"
PROBLEM = "application/problem+json"
# As in the tests' own util.py.
PATIENCE = float(os.environ.get("ACMED_E2E_PATIENCE", "1"))
INSTEAD = ("status", "problem", "body", "html")


class Request:
    """One request, and what came of it."""

    def __init__(self, handler, base):
        self.at = time.monotonic()
        self.method, self.path = handler.command, handler.path
        self.headers = handler.headers
        self.body = handler.read_body()
        self.base = base
        self.url = base + self.path
        self.plain = self.path.partition("?")[0]
        self.endpoint = endpoint(self.method, self.plain)
        self.connection = id(handler)
        self.reused = handler.served > 0
        self.jws = self.account = self.key = self.payload = None
        self.status, self.rule, self.error, self.names = None, None, "", []
        self.reply, self.gave = b"", None  # its body, its nonce
        self.date = None  # what time it is by the answer

    def record(self):
        return {"at": round(self.at, 3), "method": self.method,
                "path": self.path, "endpoint": self.endpoint,
                "status": self.status, "error": self.error,
                "headers": dict(self.headers.items()),
                "protected": self.jws and self.jws.protected,
                "payload": self.payload, "names": self.names,
                "rule": self.rule and self.rule.text,
                "reused": self.reused}

    def __repr__(self):
        return f"{self.method} {self.path} {self.status} {self.error}"


def edit_json(body, action, value):
    """set or del of one member; the last part of a path may be new."""
    root = json.loads(body)
    *way, last = (value if action == "del" else value[0]).split(".")
    at = root
    for key in way:
        at = at[int(key)] if isinstance(at, list) else at[key]
    key = int(last) if isinstance(at, list) else last
    if action == "set":
        at[key] = value[1]
    elif isinstance(at, list) or key in at:
        del at[key]
    return json.dumps(root).encode()


class MockHandler(Handler):
    def serve(self):
        ca = self.server.ca
        req = Request(self, ca.base)
        with ca.changed:
            ca.requests.append(req)
            ca.enter(req)
            rule = req.rule = ca.find_rule(req, self.served)
        try:
            self.play(ca, req, dict(rule.actions) if rule else {})
        finally:
            with ca.changed:
                ca.leave(req)
                ca.changed.notify_all()

    def play(self, ca, req, do):
        if "hold" in do:
            req.rule.gate.wait(60)
        if "rst" in do:
            self.abort()
            return
        status, headers, body = ca.answer(req, do)
        if "drop" in do:
            if req.jws is not None:
                ca.acme.lost.add(req.jws.protected.get("nonce"))
            self.abort()
            return
        req.status, req.reply = status, body
        ca.urls.update(re.findall(re.escape(ca.base) + r'[^"\s<>\\]*',
                                  body.decode(errors="replace") +
                                  "\n".join(v for _, v in headers)))
        how = {k.replace("-", "_"): v for k, v in do.items() if k in (
            "delay-body", "drip", "idle", "rst-body", "close", "endless")}
        self.pause(do.get("delay", 0))
        if "keep" in do:
            req.rule.gate.wait(60)
        # Not later: the next one may come as soon as this one is read.
        ca.leave(req)
        self.reply(status, headers, body, how)


class CA:
    """The mock, running.  Looks like the Pebble of the other tests."""
    version = "mock"

    def __init__(self, where, http_port, scenario="", port=0, log=None,
                 agent=r"\S+/\S+"):
        self.pki = pki.Tls(Path(where), time.time())
        self.http_port = http_port
        self.agent = agent
        self.acme = Acme(http_port)
        self.requests = []
        self.urls = set()  # all that we ever gave out
        self.inside = set()  # requests that are not answered yet
        self.most = collections.Counter()
        self.changed = threading.Condition(self.acme.lock)
        self.out = open(log, "w", buffering=1) if log else None
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.pki.server, self.pki.server_key)
        self.port = port
        self.server = None
        self.play(scenario)
        self.start()

    # Life

    def start(self):
        self.server = Server(self.port, MockHandler, self.tls)
        self.server.ca = self
        self.port = self.server.server_address[1]
        self.base = f"https://localhost:{self.port}"
        self.directory = f"{self.base}/dir"
        self.urls |= {self.directory, f"{self.base}/", self.base}

    def stop(self):
        """An outage: the port is closed, what is known stays."""
        if self.server is not None:
            self.release()
            self.server.stop()
            self.server = None

    def forget(self):
        """All that was known is lost: accounts, orders, keys."""
        self.acme.forget()

    def close(self):
        self.stop()
        if self.out:
            self.out.close()

    # The script

    def play(self, text):
        """Add to the scenario."""
        with self.changed:
            script.parse(textwrap.dedent(text), self.acme)

    def clear(self):
        """Take all rules, holds and failures back."""
        with self.changed:
            self.release()
            self.acme.rules, self.acme.holds = [], []
            self.acme.failures = []

    def release(self):
        """Let all go that a rule's "hold" or "keep" has stopped."""
        for r in self.acme.rules:
            r.gate.set()

    def enter(self, req):
        self.inside.add(req)
        for what in req.endpoint, "all":
            n = sum(what in (r.endpoint, "all") for r in self.inside)
            self.most[what] = max(self.most[what], n)

    def leave(self, req):
        """It is about to have its answer, or will have none."""
        with self.changed:
            if req in self.inside:
                self.inside.remove(req)
                self.write(req)

    def find_rule(self, req, served):
        try:
            body = json.loads(req.body)
            req.payload = json.loads(
                pki.unb64(body["payload"]) or b"null")
        except Exception:  # whatever it is, authenticate() will say
            req.payload = None
        req.names = self.acme.names_of(req)
        text = json.dumps(req.payload)
        found = [r for r in self.acme.rules if r.wants(
            req.method, req.path, req.names, text, served)]
        for r in found[1:]:
            r.hits -= 1
        return found[0] if found else None

    # Answers

    def check(self, req):
        """What every request owes us; raises Bad."""
        if not re.fullmatch(self.agent, req.headers.get("User-Agent", "")
                            .split(" ")[0]):
            self.acme.breach(f"{req}: User-Agent "
                             f"{req.headers.get('User-Agent')}")
        if req.endpoint is None:
            raise Bad("malformed", f"no {req.method} {req.path}", 404)
        if req.url not in self.urls and req.endpoint != "renewalInfo":
            self.acme.breach(f"{req}: a URL that we never gave")
        if req.method == "POST":
            self.acme.authenticate(req)
        elif req.body or "Content-Type" in req.headers:
            self.acme.breach(f"{req}: a body")

    def process(self, req):
        try:
            self.check(req)
            with self.acme.lock:
                return getattr(self.acme, f"on_{req.endpoint}")(req)
        except Bad as e:
            return self.refuse(req, e)
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            return self.refuse(req, Bad("malformed", repr(e)))

    def refuse(self, req, e):
        if e.breach:
            self.acme.breach(f"{req.method} {req.path}: {e.what}")
        req.error = e.kind
        return e.status, list(getattr(e, "headers", ())), \
            self.acme.problem(e.kind, e.what, e.status)

    def answer(self, req, do):
        """(status, headers, body) after what the rule says."""
        with self.changed:
            req.date = self.acme.now() + self.acme.date_skew
            instead = any(k in do for k in INSTEAD)
            if not instead or "process" in do:
                got = self.process(req)
            else:
                try:
                    self.check(req)
                except Bad as e:
                    self.refuse(req, e)
                got = 200, [], b""
            if instead:
                got = self.other(req, do, got)
            status, headers, body = got
            kind = PROBLEM if status >= 400 else JSON
            if isinstance(body, dict):
                body = json.dumps(body).encode()
            headers = self.usual(req, headers, kind if body else None)
            return self.edit(req, status, headers, body)

    def other(self, req, do, got):
        status, headers, body = got
        if "problem" in do:
            kind, status, detail = do["problem"]
            body = self.acme.problem(kind, detail, status)
            req.error, headers = kind, []
        if "body" in do:
            body = do["body"]
        if "html" in do:
            headers = [*headers, ("Content-Type", "text/html")]
            body = do["html"] or b"<html><h1>Bad Gateway</h1></html>"
        return do.get("status", status), headers, body

    def usual(self, req, headers, kind):
        names = {k.lower() for k, _ in headers}
        more = [("Date", self.acme.date(req.date)),
                ("Cache-Control", "no-store")]
        if req.method != "GET" or req.endpoint == "newNonce":
            req.gave = self.acme.nonce()
            more.append(("Replay-Nonce", req.gave))
        if kind and "content-type" not in names:
            more.append(("Content-Type", kind))
        if req.endpoint != "directory":
            more.append(("Link", f'<{self.base}/dir>;rel="index"'))
        return [*more, *headers]

    def edit(self, req, status, headers, body):
        """The rule's own edits, in its order; a header takes the place of all
        of that name, "-" of a value takes it away, "+" adds one."""
        for action, value in req.rule.actions if req.rule else ():
            if action == "header":
                key, text = value
                if not text.startswith("+"):
                    headers = [(k, v) for k, v in headers
                               if k.lower() != key.lower()]
                if text != "-":
                    headers.append((key, self.filled(req, text.removeprefix(
                        "+"))))
            elif action in ("set", "del"):
                body = edit_json(body, action, value).replace(
                    b"$base", self.base.encode())
            elif action == "pem":
                body = self.acme.spoil(req, value, body)
        return status, headers, body

    def filled(self, req, text):
        """text with $base, and with instants such as $date+2s: from Date."""
        return re.sub(r"\$(date|rfc850|asctime)([+-]\w+)",
                      lambda m: self.acme.date(
                          req.date + script.span(m[2]), m[1]),
                      text.replace("$base", self.base))

    def write(self, req):
        if self.out:
            self.out.write(json.dumps(req.record()) + "\n")

    # What it has seen

    @property
    def breaches(self):
        return self.acme.breaches

    def seen(self, what=None, **kv):
        """Requests of an endpoint, with attributes like these."""
        with self.changed:
            return [r for r in self.requests
                    if what in (None, r.endpoint) and
                    all(getattr(r, k) == v for k, v in kv.items())]

    def count(self, what=None, **kv):
        return len(self.seen(what, **kv))

    def wait(self, what, n=1, timeout=20, **kv):
        """Until the n-th such request has been answered; that request."""
        end = time.monotonic() + timeout * PATIENCE
        with self.changed:
            while True:
                found = [r for r in self.requests
                         if r.endpoint == what and r.status is not None and
                         all(getattr(r, k) == v for k, v in kv.items())]
                if len(found) >= n:
                    return found[n - 1]
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no {what} {kv}: {self.requests}")
                self.changed.wait(left)

    @property
    def issued(self):
        return len(self.acme.issued)

    @property
    def orders(self):
        return self.count("newOrder", status=201)

    @property
    def accounts(self):
        return self.count("newAccount", status=201)

    def log(self):
        return "\n".join([*(repr(r) for r in self.requests),
                          *(f"BREACH {b}" for b in self.breaches)])


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("scenario", nargs="*")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--http-port", type=int, default=5002)
    p.add_argument("--where", help="for root.pem; a new folder if left out")
    p.add_argument("--log", help="one JSON object for each request")
    p.add_argument("--for", type=float, dest="seconds",
                   help="end by itself after so many seconds")
    a = p.parse_args()
    where = a.where or tempfile.mkdtemp(prefix="mock-ca-")
    text = "\n".join(Path(s).read_text() for s in a.scenario)
    over = threading.Event()
    for signo in signal.SIGINT, signal.SIGTERM:
        signal.signal(signo, lambda *_: over.set())
    try:
        ca = CA(where, a.http_port, text, a.port, a.log)
    except script.ScriptError as e:
        sys.exit(f"ca.py: {e}")
    print(json.dumps({"directory": ca.directory,
                      "root": str(ca.pki.root)}), flush=True)
    over.wait(a.seconds)
    ca.close()
    for b in ca.breaches:
        print(f"BREACH {b}", file=sys.stderr)
    return 1 if ca.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
