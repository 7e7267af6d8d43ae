# SPDX-License-Identifier: ISC
"""What a CA knows and does (RFC 8555, RFC 9773), without a word about sockets:
every method of Acme named on_* answers one endpoint."""
import http.client
import ipaddress
import json
import random
import re
import secrets
import threading
import time
from email.utils import formatdate

import pki
from jose import Bad, Jws, Key, b64, check_binding, unb64
from limits import Limits
from script import ScriptError, number, span

DAY = 86400
HTTP01 = "/.well-known/acme-challenge/"
ORDER_MEMBERS = {"identifiers", "profile", "replaces"}
FORMS = {"date": "%a, %d %b %Y %H:%M:%S GMT",
         "rfc850": "%A, %d-%b-%y %H:%M:%S GMT",
         "asctime": "%a %b %e %H:%M:%S %Y"}
KINDS = {"http-01", "dns-01", "tls-alpn-01", "dns-persist-00",
         "dns-persist-01", "dns-persist-02", "unknown", "odd"}


def rfc3339(t):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))


class Thing:
    """Something with a number, as the CA remembers it."""

    def __init__(self, **kw):
        self.__dict__.update(kw)


def is_ip(text):
    try:
        ipaddress.ip_address(text)
        return True
    except ValueError:
        return False


class Acme:
    def __init__(self, http_port):
        self.http_port = http_port
        self.lock = threading.RLock()
        self.rules, self.holds, self.failures = [], [], []
        self.breaches = []
        self.skew = self.date_skew = 0
        self.life, self.backdate = 90 * DAY, 0
        self.order_life, self.authz_life = 7 * DAY, 7 * DAY
        self.always_valid = False
        self.nonce_reject, self.nonce_life = 0, 0
        self.eab, self.eab_required = {}, False
        self.meta = {"termsOfService": "https://mock.example/terms",
                     "website": "https://mock.example",
                     "caaIdentities": ["mock.example"]}
        self.profiles = {}
        self.born, self.authorizations = "pending", "listed"
        self.reuse = set()
        self.window, self.explanation, self.ari_wait = None, None, "21600"
        self.kinds = ["http-01", "dns-01", "tls-alpn-01"]
        self.odd_urls = self.repost_refused = False
        self.per_page = self.strangers = 0
        self.limits = None
        self.shape = {"n": 1, "alternates": 0, "end": None}
        self.authority = None
        self.random = random.Random(1)
        self.nonces, self.used, self.lost = {}, set(), set()
        self.by_ari, self.past = {}, set()
        self.issued = []  # every certificate, for ever
        self.fetched = []  # what port 80 said: status, headers, body
        self.forget()

    def forget(self):
        """As after a loss of the whole data base, keys too."""
        with self.lock:
            self.past |= set(self.by_ari)
            self.accounts, self.orders, self.authzs = {}, {}, {}
            self.challenges, self.certs, self.by_ari = {}, {}, {}
            # What it gave out before is nobody's fault.
            self.lost |= self.used | set(self.nonces)
            self.nonces, self.used = {}, set()
            self.numbers = 0
            self.rekey()

    def rekey(self):
        self.authority = pki.Authority(f"mock {secrets.token_hex(3)}",
                                       self.now(), **self.shape)

    def now(self):
        return time.time() + self.skew

    def breach(self, text):
        self.breaches.append(text)

    # Settings of the script

    def set(self, key, words):
        one = words[0] if words else ""
        spans = {"life": "life", "backdate": "backdate", "clock": "skew",
                 "date": "date_skew", "order-life": "order_life",
                 "authz-life": "authz_life", "nonce-life": "nonce_life"}
        if key in spans:
            setattr(self, spans[key], span(one))
        elif key in ("chain", "alternates", "chain-end"):
            self.shape[{"chain": "n", "chain-end": "end"}.get(key, key)] = \
                self.now() + span(one) if key == "chain-end" else number(one)
            self.rekey()
        elif key == "valid":
            self.always_valid = one == "always"
        elif key == "nonce-reject":
            self.nonce_reject = number(one)
        elif key == "eab":
            self.eab[one] = words[1]
            self.eab_required = words[2:] != ["optional"]
        elif key == "profile":
            self.profiles[one] = span(words[1])
        elif key == "meta":
            self.meta[one] = json.loads(" ".join(words[1:]))
        elif key == "born":
            self.born = one
            self.authorizations = words[1] if words[1:] else "listed"
        elif key == "reuse":
            self.reuse = set(words)
        elif key == "window":
            self.window = tuple(self.now() + span(w) for w in words) or None
        elif key == "explanation":
            self.explanation = one
        elif key == "ari-retry-after":
            self.ari_wait = one
        elif key == "challenges" and set(words) <= KINDS:
            self.kinds = words
        elif key == "urls" and one in ("odd", "plain"):
            self.odd_urls = one == "odd"
        elif key == "list":
            self.per_page = number(one)
            self.strangers = number(words[1]) if words[1:] else 0
        elif key == "repost":
            self.repost_refused = one == "refused"
        elif key == "limits":
            self.limits = Limits(one, self.now, float(words[1])
                                 if words[1:] else 1)
        elif key == "accounts":
            for a in self.accounts.values():
                a.status = one
        else:
            raise ScriptError(f"no such command: {key} {' '.join(words)}")

    # Nonces

    def nonce(self):
        n = secrets.token_urlsafe(16)
        self.nonces[n] = time.monotonic()
        return n

    def take_nonce(self, n):
        if n in self.used:
            if n not in self.lost:
                self.breach(f"nonce {n} used twice")
            raise Bad("badNonce", "used before", breach=False)
        made = self.nonces.pop(n, None)
        if made is None:
            if n not in self.lost:
                self.breach(f"a nonce that we did not make: {n}")
            raise Bad("badNonce", "unknown", breach=False)
        self.used.add(n)
        if self.nonce_life and time.monotonic() - made > self.nonce_life:
            raise Bad("badNonce", "expired", breach=False)
        if self.random.randrange(100) < self.nonce_reject:
            raise Bad("badNonce", "by chance", breach=False)

    # URLs

    def path(self, kind, n):
        more = "?x=%2F&Y=%C3%A9;=" if self.odd_urls else ""
        return f"/{kind}/{n}{more}"

    def url(self, req, kind, n):
        return req.base + self.path(kind, n)

    def number(self):
        self.numbers += 1
        return str(self.numbers)

    # Who asks, and what (A6 to A11)

    def authenticate(self, req):
        """Raise Bad, or set req.jws, req.account, req.payload."""
        if req.headers.get("Content-Type") != "application/jose+json":
            raise Bad("malformed", "Content-Type is "
                      f"{req.headers.get('Content-Type')}", 415)
        jws = req.jws = Jws(req.body)
        h = jws.protected
        by_key = req.endpoint in ("newAccount", "revokeCert") and "jwk" in h
        jws.check_header("jwk" if by_key else "kid")
        if h["url"] != req.url:
            raise Bad("unauthorized", f"url {h['url']} is not {req.url}")
        self.take_nonce(h["nonce"])
        if by_key:
            req.key = Key(h["jwk"])
        else:
            req.account = self.accounts.get(h["kid"])
            if req.account is None:
                raise Bad("accountDoesNotExist", f"no account {h['kid']}",
                          breach=False)
            req.key = req.account.key
        jws.check_signature(req.key)
        if req.account is not None and req.account.status != "valid":
            if req.endpoint != "account":
                raise Bad("unauthorized", "Account is not valid, has status "
                          f'"{req.account.status}"', 403, False)
        req.payload = jws.payload
        want = {"authz": "", "order": "", "orders": "", "certificate": "",
                "alternate": "", "challenge": "{}"}.get(req.endpoint)
        if want is not None and jws.text != want:
            raise Bad("malformed", f"payload {jws.text!r} is not {want!r}")

    def names_of(self, req):
        """The names that a request is about, for rules."""
        kind, _, n = req.plain.strip("/").partition("/")
        n = n.partition("/")[0]
        if req.endpoint == "newOrder" and req.payload:
            return [i.get("value") for i in
                    req.payload.get("identifiers", [])]
        if kind in ("order", "finalize") and n in self.orders:
            return self.orders[n].names
        if kind == "cert" and n in self.certs:
            return self.certs[n].names
        if kind == "authz" and n in self.authzs:
            return [self.authzs[n].shown]
        if kind == "challenge" and n in self.challenges:
            return [self.challenges[n].authz.shown]
        if kind == "ari" and n in self.by_ari:
            return self.by_ari[n].names
        return []

    # Directory and nonces

    def on_directory(self, req):
        meta = dict(self.meta)
        if self.eab_required:
            meta["externalAccountRequired"] = True
        if self.profiles:
            meta["profiles"] = {p: f"lasts {n:g} s"
                                for p, n in self.profiles.items()}
        return 200, [], {
            "newNonce": f"{req.base}/nonce", "newOrder": f"{req.base}/order",
            "newAccount": f"{req.base}/account",
            "revokeCert": f"{req.base}/revoke",
            "keyChange": f"{req.base}/key-change",
            "renewalInfo": f"{req.base}/ari", "meta": meta,
            secrets.token_urlsafe(8): "https://mock.example/adding-random"}

    def on_newNonce(self, req):
        return 200 if req.method == "HEAD" else 204, [], b""

    # Accounts

    def account_body(self, req, a):
        body = {"status": a.status, "contact": a.contact}
        if self.per_page:
            body["orders"] = self.url(req, "orders", f"{a.n}-0")
        return body

    def on_newAccount(self, req):
        p = req.payload
        known = next((a for a in self.accounts.values()
                      if a.key.thumbprint == req.key.thumbprint), None)
        if known is not None:
            return 200, [("Location", known.url)], self.account_body(req, known)
        if p.get("onlyReturnExisting"):
            raise Bad("accountDoesNotExist", "no account with this key",
                      breach=False)
        if set(p) - {"termsOfServiceAgreed", "contact",
                     "externalAccountBinding"}:
            raise Bad("malformed", f"members {sorted(p)}")
        if p.get("termsOfServiceAgreed") is not True:
            raise Bad("userActionRequired", "agree to the terms", 403, False)
        for c in p.get("contact", []):
            if not re.fullmatch(r"mailto:[^@,?\s]+@[^@,?\s]+", c, re.ASCII):
                raise Bad("invalidContact", c, breach=False)
        if "externalAccountBinding" in p:
            check_binding(p["externalAccountBinding"], req.key.jwk, req.url,
                          self.eab)
        elif self.eab_required:
            raise Bad("externalAccountRequired", "bind it", 403, False)
        if self.limits:
            self.limits.new_account()
        n = self.number()
        a = Thing(n=n, url=self.url(req, "account", n), key=req.key,
                  status="valid", contact=p.get("contact", []))
        self.accounts[a.url] = a
        return 201, [("Location", a.url)], self.account_body(req, a)

    def on_account(self, req):
        p = req.payload or {}
        if "contact" in p:
            req.account.contact = p["contact"]
        if p.get("status") == "deactivated":
            req.account.status = "deactivated"
        return 200, [], self.account_body(req, req.account)

    def on_orders(self, req):
        """A page of the account's orders, the newest last (7.1.2.1)."""
        n, _, page = req.plain.split("/")[2].partition("-")
        if n != req.account.n:
            raise Bad("unauthorized", "another account's", 403)
        mine = [o.n for o in self.orders.values()
                if o.account is req.account]
        first = int(page) * self.per_page
        total = self.strangers + len(mine)
        links = [("Link", f'<{self.url(req, "orders", f"{n}-{int(page) + 1}")}'
                  '>;rel="next"')] if first + self.per_page < total else []
        return 200, links, {"orders": [
            self.url(req, "order", f"9{i:09}" if i < self.strangers
                     else mine[i - self.strangers])
            for i in range(first, min(first + self.per_page, total))]}

    # Orders

    def check_names(self, idents):
        for i in idents:
            kind, v = i.get("type"), i.get("value")
            if set(i) != {"type", "value"} or kind not in ("dns", "ip"):
                raise Bad("malformed", f"identifier {i}")
            if kind == "ip" and str(ipaddress.ip_address(v)) != v:
                raise Bad("malformed", f"address {v} is not canonical")
            if kind == "dns" and (is_ip(v) or v != v.lower().rstrip(".") or
                                  len(v) > 253 or not v.isascii()):
                raise Bad("malformed", f"name {v}")
        if len({i["value"] for i in idents}) != len(idents) or not idents:
            raise Bad("malformed", "no names, or some twice")

    def check_replaces(self, req, names):
        """The certificate that is to be replaced; J11."""
        if "replaces" not in req.payload:
            return None
        c = self.by_ari.get(req.payload["replaces"])
        if c is None:
            raise Bad("malformed", "no certificate like replaces", 404, False)
        if c.account is not req.account:
            raise Bad("unauthorized", "replaces is another account's", 403,
                      False)
        if not set(c.names) & set(names):
            raise Bad("malformed", "replaces shares no name", 400, False)
        if c.replaced:
            raise Bad("alreadyReplaced", "cannot be replaced again", 409,
                      False)
        return c

    def reused(self, req, names):
        for o in self.orders.values():
            if o.account is not req.account or o.names != names:
                continue
            if "expired" in self.reuse or \
                    ("orders" in self.reuse and o.expires > self.now() and
                     self.status(o) in ("pending", "ready")):
                return o
        return None

    def on_newOrder(self, req):
        p = req.payload
        if set(p) - ORDER_MEMBERS:
            raise Bad("malformed", f"members {sorted(p)}")
        self.check_names(p["identifiers"])
        names = sorted(i["value"] for i in p["identifiers"])
        profile = p.get("profile")
        if profile is not None and profile not in self.profiles:
            raise Bad("invalidProfile", f"no profile {profile}", breach=False)
        before = self.check_replaces(req, names)
        ari = before is not None and \
            self.window_of(before)[0] <= self.now() <= \
            self.window_of(before)[1]
        renewal = any(c.names == names and c.account is req.account
                      for c in self.certs.values())
        if self.limits:
            self.limits.new_order(req.account.url, names, ari, renewal)
        o = self.reused(req, names)
        if o is None:
            o = self.make_order(req, names, profile, before, ari, renewal)
        return 201, [("Location", self.url(req, "order", o.n))], \
            self.order_body(req, o)

    def make_order(self, req, names, profile, before, ari, renewal):
        now = self.now()
        o = Thing(n=self.number(), account=req.account, names=names,
                  idents=[{"type": "ip" if is_ip(v) else "dns", "value": v}
                          for v in names], profile=profile, replaces=before,
                  ari=ari, renewal=renewal, expires=now + self.order_life,
                  finalized=False, cert=None, error=None)
        o.authzs = [self.make_authz(req, v) for v in names]
        self.random.shuffle(o.authzs)
        self.random.shuffle(o.idents)
        self.orders[o.n] = o
        if self.born in ("valid", "certless", "processing"):
            o.finalized = True
        if self.born == "valid":  # with a certificate for somebody else's key
            self.issue(o, pki.new_key().public_key())
        return o

    def make_authz(self, req, name):
        for a in self.authzs.values():
            if "authzs" in self.reuse and a.account is req.account and \
                    a.shown == name and a.status == "valid" and \
                    a.expires > self.now():
                return a
        a = Thing(n=self.number(), account=req.account, shown=name,
                  name=name.removeprefix("*."), wildcard=name[:2] == "*.",
                  status="pending", expires=self.now() + self.authz_life)
        a.challenges = [self.make_challenge(a, k) for k in self.kinds]
        self.random.shuffle(a.challenges)
        if self.born != "pending":
            a.status = "valid"
        self.authzs[a.n] = a
        return a

    def make_challenge(self, authz, kind):
        c = Thing(n=self.number(), authz=authz, kind=kind, status="pending",
                  token=secrets.token_urlsafe(32), error=None, posts=0)
        self.challenges[c.n] = c
        return c

    def status(self, o):
        """What an order's status really is."""
        if any(a.status != "valid" and a.status != "pending"
               for a in o.authzs) or o.error:
            return "invalid"
        if o.expires < self.now():
            return "invalid"
        if o.finalized:
            return "valid" if o.cert or self.born == "certless" \
                else "processing"
        return "ready" if all(a.status == "valid" for a in o.authzs) \
            else "pending"

    def held(self, of, key, names, *shows, count=True):
        return next((h for h in self.holds if h.of == of and
                     h.show in shows and h.wants(key, names, count)), None)

    def shown_status(self, o, count=True):
        real = self.status(o)
        held = None
        if o.finalized and real == "valid":
            held = self.held("order", o.n, o.names, "processing", "ready",
                             count=count)
        elif real == "ready":
            held = self.held("order", o.n, o.names, "pending", count=count)
        return held.show if held else real

    def order_body(self, req, o):
        body = {"status": self.shown_status(o), "identifiers": o.idents,
                "expires": rfc3339(o.expires),
                "finalize": self.url(req, "finalize", o.n)}
        if self.authorizations == "listed":
            body["authorizations"] = [self.url(req, "authz", a.n)
                                      for a in o.authzs]
        elif self.authorizations == "empty":
            body["authorizations"] = []
        if o.profile:
            body["profile"] = o.profile
        if o.replaces:
            body["replaces"] = o.replaces.ari
        if body["status"] == "invalid" and o.error:
            body["error"] = o.error
        if body["status"] == "valid" and o.cert:
            body["certificate"] = self.url(req, "cert", o.cert.n)
        return body

    def mine(self, req, table):
        x = table.get(req.plain.split("/")[2])
        if x is None:
            raise Bad("malformed", f"no {req.plain}", 404, False)
        owner = x.authz.account if hasattr(x, "authz") else x.account
        if owner is not req.account:
            raise Bad("unauthorized", "another account's", 403)
        return x

    def on_order(self, req):
        return 200, [], self.order_body(req, self.mine(req, self.orders))

    def on_finalize(self, req):
        o = self.mine(req, self.orders)
        if set(req.payload) != {"csr"}:
            raise Bad("malformed", f"members {sorted(req.payload)}")
        if self.shown_status(o, count=False) != "ready":
            raise Bad("orderNotReady", f"it is {self.shown_status(o)}", 403,
                      False)
        try:
            public = pki.read_csr(unb64(req.payload["csr"]), o.names, req.key)
        except pki.BadCsr as e:
            raise Bad("badCSR", str(e)) from None
        o.finalized = True
        self.issue(o, public)
        return 200, [], self.order_body(req, o)

    def issue(self, o, public):
        start = self.now() - self.backdate
        end = start + (self.profiles.get(o.profile) or self.life)
        leaf = self.authority.issue(public, o.names, start, end)
        c = o.cert = Thing(
            n=self.number(), account=o.account, names=o.names, leaf=leaf,
            authority=self.authority, start=start, end=end, replaced=False,
            ari=pki.ari_id(leaf), public=public, order=o, at=self.now())
        self.certs[c.n] = self.by_ari[c.ari] = c
        self.issued.append(c)
        if o.replaces:
            o.replaces.replaced = True
        if self.limits:
            self.limits.issued(o.names, o.ari, o.renewal)

    # Authorizations

    def on_authz(self, req):
        a = self.mine(req, self.authzs)
        body = {"identifier": {"type": "ip" if is_ip(a.name) else "dns",
                               "value": a.name}, "status": a.status,
                "expires": rfc3339(a.expires),
                "challenges": [self.challenge_body(req, c)
                               for c in a.challenges
                               if not a.wildcard or c.kind == "dns-01"]}
        if a.wildcard:
            body["wildcard"] = True
        if a.status == "valid" and \
                any(c.posts for c in a.challenges):
            held = self.held("authz", a.n, [a.shown], "pending", "processing")
            if held:
                body["status"] = "pending"
                for c in body["challenges"]:
                    if c["status"] == "valid":
                        c["status"] = held.show
        return 200, [], body

    def challenge_body(self, req, c):
        url = self.url(req, "challenge", c.n)
        body = {"type": c.kind, "url": url, "status": c.status,
                "token": c.token}
        if c.kind.startswith("dns-persist-0"):
            # The three forms of the drafts; none has a token.
            del body["token"]
            body["type"] = "dns-persist-01"
            if c.kind == "dns-persist-02":
                body["issuerDomainNames"] = ["mock.example"]
            else:
                body["issuer-domain-names"] = ["mock.example"]
            if c.kind == "dns-persist-01":
                body["accounturi"] = c.authz.account.url
        elif c.kind == "unknown":
            body = {"type": "carrier-pigeon-07", "url": url,
                    "status": "pending"}
        elif c.kind == "odd":
            body = {"type": ["http-01"], "url": 7, "status": None,
                    "token": {"a": 1}}
        if c.error:
            body["error"] = c.error
        return body

    def on_challenge(self, req):
        c = self.mine(req, self.challenges)
        if self.repost_refused and c.posts:
            raise Bad("malformed", "Challenge is not pending", 400, False)
        if c.authz.status == "pending" and c.status == "pending":
            c.posts += 1
            c.status = "processing"
            if self.always_valid:
                self.judge(c, None)
            else:
                threading.Thread(target=self.validate, args=(c,),
                                 daemon=True).start()
        return 200, [("Link", f'<{self.url(req, "authz", c.authz.n)}>;'
                      'rel="up"')], self.challenge_body(req, c)

    def validate(self, c):
        """http-01, at this machine whatever the name."""
        name = c.authz.name
        want = f"{c.token}.{c.authz.account.key.thumbprint}"
        error = None
        try:
            conn = http.client.HTTPConnection("127.0.0.1", self.http_port,
                                              timeout=10)
            conn.request("GET", HTTP01 + c.token, headers={
                "Host": f"[{name}]" if ":" in name else name,
                "User-Agent": "mock-validator"})
            r = conn.getresponse()
            got = r.read(1000)
            conn.close()
            self.fetched.append((r.status, dict(r.getheaders()), got))
            if r.status != 200 or got != want.encode():
                error = ("unauthorized", "127.0.0.1: Invalid response from "
                         f"http://{name}{HTTP01}{c.token}: {r.status}")
        except (OSError, http.client.HTTPException) as e:
            error = ("connection", "127.0.0.1: Fetching http://"
                     f"{name}{HTTP01}{c.token}: {e}")
        with self.lock:
            self.judge(c, error)

    def judge(self, c, error):
        a = c.authz
        f = next((f for f in self.failures if f.wants(a.shown)), None)
        if f is not None:
            error = (f.kind, f.detail)
        again = self.held("authz", a.n, [a.shown], "error")
        if again is not None:
            error = again.problem
        c.status = "pending" if again else "invalid" if error else "valid"
        c.error = error and self.problem(*error, 403)
        if again:
            return
        a.status = c.status
        account = a.account.url
        if self.limits and error:
            self.limits.failed(account, a.shown)
        elif self.limits:
            self.limits.succeeded(account, a.shown)

    @staticmethod
    def problem(kind, detail, status):
        urn = kind if ":" in kind else f"urn:ietf:params:acme:error:{kind}"
        return {"type": urn, "detail": detail, "status": status}

    # Certificates

    def download(self, req, alternate):
        c = self.mine(req, self.certs)
        if req.headers.get("Accept") != "application/pem-certificate-chain":
            self.breach(f"certificate with Accept {req.headers.get('Accept')}")
        links = [("Link", f'<{self.url(req, "cert", c.n + f"/alt/{i}")}>;'
                  'rel="alternate"')
                 for i in range(1, len(c.authority.tops)) if i != alternate]
        return 200, [("Content-Type", "application/pem-certificate-chain"),
                     *links], pki.pem(c.leaf, *c.authority.chain(alternate))

    def on_certificate(self, req):
        return self.download(req, 0)

    def on_alternate(self, req):
        return self.download(req, int(req.plain.split("/")[4]))

    def spoil(self, req, kind, body):
        """Another text instead of the certificate's."""
        c = self.certs.get(req.plain.split("/")[2])
        chain = pki.pem(*c.authority.chain())

        def other(public=c.public, names=c.names, start=c.start, end=c.end):
            return pki.pem(c.authority.issue(public, names, start,
                                             end)) + chain
        now = self.now()
        return {
            "key": lambda: body + b"-----BEGIN PRIVATE KEY-----\nMAA=\n"
                                  b"-----END PRIVATE KEY-----\n",
            "text": lambda: b"subject=nobody\n\n" + body,
            "crlf": lambda: body.replace(b"\n", b"\r\n"),
            "no-newline": lambda: body.rstrip(b"\n"),
            "nul": lambda: body + b"\0",
            "empty": lambda: b"",
            "leaf-only": lambda: pki.pem(c.leaf),
            "wrong-key": lambda: other(pki.new_key().public_key()),
            "expired": lambda: other(start=now - 2 * DAY, end=now - DAY),
            "not-yet": lambda: other(start=now + DAY, end=now + 2 * DAY),
            "more-names": lambda: other(names=[*c.names, "more.example"]),
        }[kind]()

    def window_of(self, c):
        """A fiftieth of the life wide, around a third (or half) of what is
        left of it, as Boulder's."""
        if self.window:
            return self.window
        life = c.end - c.start
        at = c.end - life / (2 if life < 10 * DAY else 3)
        return at - life / 100, at + life / 100

    def on_renewalInfo(self, req):
        c = self.by_ari.get(req.plain.split("/")[2])
        if c is None:
            if req.plain.split("/")[2] not in self.past:
                self.breach(f"renewalInfo of a stranger: {req.plain}")
            raise Bad("malformed", "no such certificate", 404, False)
        start, end = self.window_of(c)
        body = {"suggestedWindow": {"start": rfc3339(start),
                                    "end": rfc3339(end)}}
        if self.explanation:
            body["explanationURL"] = self.explanation
        return 200, [("Retry-After", self.ari_wait)], body

    def on_revokeCert(self, req):
        return 200, [], b""

    def on_keyChange(self, req):
        raise Bad("malformed", "not here", 404, False)

    @staticmethod
    def date(t, form=None):
        """An instant in one of the three forms of RFC 9110."""
        if form is None:
            return formatdate(t, usegmt=True)
        return time.strftime(FORMS[form], time.gmtime(t))


ENDPOINTS = [(m, re.compile(p), e) for m, p, e in (
    ("GET", r"/(dir.*)?", "directory"),
    ("HEAD", r"/nonce", "newNonce"), ("GET", r"/nonce", "newNonce"),
    ("POST", r"/account", "newAccount"), ("POST", r"/account/\d+", "account"),
    ("POST", r"/orders/\d+-\d+", "orders"),
    ("POST", r"/order", "newOrder"), ("POST", r"/order/\d+", "order"),
    ("POST", r"/finalize/\d+", "finalize"),
    ("POST", r"/authz/\d+", "authz"),
    ("POST", r"/challenge/\d+", "challenge"),
    ("POST", r"/cert/\d+", "certificate"),
    ("POST", r"/cert/\d+/alt/\d+", "alternate"),
    ("GET", r"/ari/[^/]+", "renewalInfo"),
    ("POST", r"/revoke", "revokeCert"),
    ("POST", r"/key-change", "keyChange"))]


def endpoint(method, path):
    return next((e for m, p, e in ENDPOINTS
                 if m == method and p.fullmatch(path)), None)
