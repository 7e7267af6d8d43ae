# SPDX-License-Identifier: ISC
"""A certificate authority of our own: Pebble, with a DNS server beside it."""
import functools
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from util import (ROOT, die_with_parent, free_port, listens, openssl, run,
                  until)

# The distribution's own (2.4 in Debian 12, 2.6 in 13) and that of unstable.
VERSIONS = ("system", "newest")


@functools.cache
def folder(version):
    """Where the programs are; None: not to be had."""
    if version == "system":
        found = shutil.which("pebble")
        return Path(found).parent if found else None
    r = subprocess.run(
        ["sh", "-c", ". tests/lib/setup.sh; newest_pebble"], cwd=ROOT,
        capture_output=True, text=True, timeout=600)
    where = Path(r.stdout.strip() or "/nonexistent") / "usr/bin"
    return where if (where / "pebble").exists() else None


def describe():
    """For the head of the report: which Pebbles there are."""
    r = run("dpkg-query", "-W", "-f", "${Version}", "pebble")
    newest = sorted(folder("newest").parents[2].glob("apt/**/pebble_*.deb")) \
        if folder("newest") else []
    return (f"Pebble: system {r.stdout or 'none'}, newest "
            f"{newest[-1].name.split('_')[1] if newest else '?'}")


class Pki:
    """The root that acmed is told to trust, and a certificate for localhost."""

    def __init__(self, where, name="root"):
        self.root = where / f"{name}.pem"
        self.key = where / f"{name}.key"
        self.server = where / f"{name}-server.pem"
        self.server_key = where / f"{name}-server.key"
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
              "-nodes"]
        openssl("req", "-x509", *ec, "-keyout", self.key, "-out", self.root,
                "-days", "2", "-subj", f"/CN=e2e {name}")
        csr = where / f"{name}.csr"
        ext = where / f"{name}.ext"
        openssl("req", *ec, "-keyout", self.server_key, "-out", csr,
                "-subj", "/CN=localhost")
        ext.write_text("subjectAltName=DNS:localhost,DNS:ca.example.test,"
                       "IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", csr, "-CA", self.root, "-CAkey",
                self.key, "-days", "2", "-extfile", ext, "-out", self.server)
        self.root.chmod(0o644)


class Pebble:
    """One running Pebble.

    Counting is by its own log, from where the last mark() was."""

    def __init__(self, version, pki, where, life=None, eab=None, more=None,
                 **env):
        programs = folder(version)
        if programs is None:
            pytest.skip(f"Pebble {version} cannot be had from the mirror")
        self.version = version
        self.pki = pki
        self.where = where
        self.programs = programs
        self.http_port = free_port()
        self.acme_port = free_port()
        self.dns_port = free_port()
        self.management_port = free_port()
        self.directory = f"https://localhost:{self.acme_port}/dir"
        self.log_file = where / "pebble.log"
        self._mark = 0
        self._procs = []
        self.env = {"PEBBLE_VA_NOSLEEP": "1", **env}
        conf = {
            "listenAddress": f"127.0.0.1:{self.acme_port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(pki.server),
            "privateKey": str(pki.server_key),
            "httpPort": self.http_port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(eab),
            "externalAccountMACKeys": eab or {},
            "domainBlocklist": ["blocked.example"],
            # Each takes what it knows: 2.4 has no retryAfter, and a life
            # belongs to a profile since 2.7.
            "retryAfter": {"authz": 1, "order": 1},
            "certificateValidityPeriod": life or 7776000,
            "profiles": {"default": {"description": "the only one",
                                     "validityPeriod": life or 7776000}},
            **(more or {}),
        }
        self.config = where / "pebble.json"
        self.config.write_text(json.dumps({"pebble": conf}))
        self._dns()
        self.start()

    def _spawn(self, argv, log, env):
        with open(log, "ab") as out:
            p = subprocess.Popen(
                [str(a) for a in argv], stdout=out, stderr=out,
                stdin=subprocess.DEVNULL, env={**os.environ, **env},
                preexec_fn=die_with_parent)
        self._procs.append(p)
        return p

    def _dns(self):
        server = self.programs / "pebble-challtestsrv"
        r = run(server, "-h")
        new = "-dnsserver" in r.stdout + r.stderr
        argv = [server, "-dnsserver" if new else "-dns01",
                f"127.0.0.1:{self.dns_port}", "-http01", "",
                "-https01", "", "-tlsalpn01", "", "-management",
                f"127.0.0.1:{free_port()}", "-defaultIPv4", "127.0.0.1",
                "-defaultIPv6", ""]
        if new:
            argv += ["-doh", ""]
        self.dns_control = argv[argv.index("-management") + 1]
        self._spawn(argv, self.where / "dns.log", {})
        # or the first validation may find nobody there
        until(lambda: listens("127.0.0.1", self.dns_port), 30,
              "the DNS server to listen")

    def start(self):
        self.process = self._spawn(
            [self.programs / "pebble", "-config", self.config, "-dnsserver",
             f"127.0.0.1:{self.dns_port}"], self.log_file, self.env)
        # of a long chain and its alternates each key is an RSA one
        until(self.answers, 120, f"Pebble {self.version} to answer")

    def answers(self):
        assert self.process.poll() is None, self.log()[-2000:]
        try:
            self.fetch("/dir")
            return True
        except OSError:
            return False

    def fetch(self, path):
        ctx = ssl.create_default_context(cafile=str(self.pki.root))
        url = f"https://localhost:{self.acme_port}{path}"
        req = urllib.request.Request(url, headers={"User-Agent": "e2e"})
        with urllib.request.urlopen(req, context=ctx, timeout=10) as r:
            return json.load(r)

    def window(self, pem, start, end, url=None):
        """What the CA says of the renewal of that certificate from now on."""
        ctx = ssl.create_default_context(cafile=str(self.pki.root))
        info = {"suggestedWindow": {
            k: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t))
            for k, t in (("start", start), ("end", end))}}
        if url:
            info["explanationURL"] = url
        body = {"certificate": pem, "ariResponse": json.dumps(info)}
        req = urllib.request.Request(
            f"https://localhost:{self.management_port}/set-renewal-info/",
            data=json.dumps(body).encode())
        with urllib.request.urlopen(req, context=ctx, timeout=10) as r:
            assert r.status == 200

    def dns(self, call, **kw):
        """One call of the DNS server's management interface."""
        def once():
            req = urllib.request.Request(
                f"http://{self.dns_control}/{call}",
                data=json.dumps(kw).encode())
            try:
                with urllib.request.urlopen(req, timeout=10) as r:
                    return r.status == 200
            except OSError:
                return False
        until(once, 10, f"the DNS server to {call}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        for p in self._procs:
            if p.poll() is None:
                p.kill()
        for p in self._procs:
            p.wait()

    # What it has seen

    def log(self):
        return self.log_file.read_text(errors="replace")[self._mark:]

    def mark(self):
        self._mark = len(self.log_file.read_text(errors="replace"))

    def count(self, pattern):
        return len(re.findall(pattern, self.log()))

    @property
    def orders(self):
        """How many orders were made (a refused nonce makes none)."""
        return self.count(r"Added order ")

    @property
    def accounts(self):
        return self.count(r"There are now \d+ accounts in memory")

    @property
    def issued(self):
        return self.count(r"Issued certificate serial")

    def requests(self, method="(?:GET|HEAD|POST)", path=r"/\S*"):
        return self.count(rf" {method} {path} -> calling handler")


class Cas:
    """Pebbles by their options, started when first asked for and kept."""

    def __init__(self):
        self.where = Path(tempfile.mkdtemp(prefix="acmed-e2e-ca-"))
        self.where.chmod(0o755)
        self.pki = Pki(self.where)
        self.other_pki = Pki(self.where, "stranger")
        self.known = {}
        self.used = []

    def __call__(self, version="system", life=None, eab=None, own=False,
                 more=None, second=False, **env):
        """own: not shared with other tests, because it will be mistreated.
        more: of its configuration.  second: another CA, whose root is another
        one too."""
        key = (version, life, json.dumps([eab, more, second]),
               tuple(sorted(env.items())), time.monotonic_ns() if own else 0)
        ca = self.known.get(key)
        if ca is None:
            where = Path(tempfile.mkdtemp(dir=self.where))
            where.chmod(0o755)
            ca = Pebble(version, self.other_pki if second else self.pki,
                        where, life, eab, more, **env)
            self.known[key] = ca
        else:
            ca.mark()
        ca.own = own
        self.used.append(ca)
        return ca

    def done_with_test(self, failed):
        """After a failure the next test gets a Pebble that has nothing left of
        it: two newOrders that meet can lock it up, for one."""
        for ca in self.used:
            if ca.own or failed:
                ca.stop()
                self.known = {k: v for k, v in self.known.items()
                              if v is not ca}
        self.used = []

    def close(self):
        for ca in self.known.values():
            ca.stop()
        shutil.rmtree(self.where, ignore_errors=True)
