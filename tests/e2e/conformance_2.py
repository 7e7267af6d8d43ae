# SPDX-License-Identifier: ISC
"""The conformance run, items 3, 4 and 7 to 11."""
import re
import subprocess

import pytest
from acmed import STEPS
from conformance import FULL, row
from test_issue import issuers
from test_kill import PROGRAMS, kill_at, most_orders
from test_state import small_disk  # noqa: F401
from util import ROOT, back_off, check_pair, run, until

pytestmark = pytest.mark.root
A = "a.example.org"
HOUR, DAY = 3600, 86400


@pytest.mark.parametrize("version", ["system", "newest"])
@pytest.mark.parametrize("chance", ["0", "100"])
def test_s03_authorizations_reused(cas, acmed, version, chance):
    ca = cas(version, PEBBLE_AUTHZREUSE=chance, PEBBLE_WFE_NONCEREJECT="0")
    d = acmed(ca, [[A, "b.example.org"]]).start()
    d.installed(A)
    for v in range(2, 5):
        d.renew(A)
        d.installed(A, version=v)
    seen = ca.count("Starting 3 validations")
    assert seen == 2 if chance == "100" else 6 <= seen <= 8
    assert ca.orders == 4 and not d.find("certificate not issued")
    row("S3", f"Pebble {version}, reuse {chance} %",
        "4 issuances of 2 names, {} validations", seen)


def test_s04_chains(cas, acmed):
    ca = cas("system", PEBBLE_CHAIN_LENGTH="4", PEBBLE_ALTERNATE_ROOTS="3")
    roots = re.findall(r"Generated new root issuer CN=(.*?) with serial",
                       ca.log_file.read_text())
    d = acmed(ca, [{"names": [f"r{i}.example.org"], "preferred-chain": r}
                   for i, r in enumerate(roots)] + ["none.example.org"])
    names = [f"r{i}.example.org" for i in range(4)]
    d.start().installed(*names, "none.example.org")
    tops = [issuers(d.live(n) / "fullchain.pem") for n in names]
    assert [t[-1] for t in tops] == roots
    assert {len(t) for t in tops} == {5}
    assert issuers(d.live("none.example.org") /
                   "fullchain.pem")[-1] == roots[0]
    row("S4", "chains of 4, 3 alternates", "each of {} roots chosen by name, "
        "the CA's own without", len(roots))


def test_s07_kill(ca, acmed):
    """After each, the pair is whole and there is no order too many."""
    points = [(p, s) for p in PROGRAMS for s in STEPS
              if FULL or p == "acmed-engine" or s in ("finalize", "install")]
    extra = 0
    for program, step in points:
        ca.mark()
        d = acmed(ca, [[A, "b.example.org"]], lockstep=True)
        kill_at(d, program, msg="step", step=step)
        d.check_state(A)
        assert ca.orders <= most_orders(d), (program, step)
        assert ca.accounts == 1
        assert d.status()["healthy"]
        extra += ca.orders - 1
        assert d.stop() == 0
    row("S7", "every process at every step" if FULL else
        "engine at every step, the others at two",
        "{} kills, every pair whole, {} orders more, for a closed port 80",
        len(points), extra)


ISSUED = ("bad-nonce", "internal", "not-ready", "conflict", "vanished",
          "weak-key", "new-500")
DAILY = (22 * HOUR, 26 * HOUR)
LADDER = (35, 75)
# name: type, is it a person's, when
REFUSED = {
    "limited": ("rateLimited", False, (7140, 7260)),
    "paused": ("rateLimited", True, DAILY),
    "unsaid": ("rateLimited", False, (3540, 3660)),
    "unauthorized": ("unauthorized", False, LADDER),
    "weak-keys": ("badPublicKey", True, DAILY),
    "csr": ("badCSR", True, DAILY),
    "malformed": ("malformed", True, DAILY),
    "rejected": ("rejectedIdentifier", True, DAILY),
    "unsupported": ("unsupportedIdentifier", True, DAILY),
    "caa": ("caa", None, LADDER), "dns": ("dns", False, LADDER),
    "connection": ("connection", False, LADDER),
    "tls": ("tls", False, LADDER), "wrong": ("unauthorized", False, LADDER),
    "incorrect": ("incorrectResponse", False, LADDER),
    "compound": ("rejectedIdentifier", True, DAILY),
    "reasonless": ("dns", False, LADDER),
    "revoked": (None, False, LADDER), "new": (None, False, LADDER)}
# What stops an account, or makes a CA wait: is it stopped?
CAS = {
    "terms": ("on POST ^/order$: problem userActionRequired 403", True),
    "eab": ("on POST ^/account$: problem externalAccountRequired 403", True),
    "bad-eab": ("on POST ^/account$: problem unauthorized 401", True),
    "key": ("on POST ^/account$: problem badPublicKey", True),
    "alg": ("on POST ^/account$: problem badSignatureAlgorithm", True),
    "contact": ("on POST ^/account$: problem invalidContact", True),
    "lb": ("on POST ^/order$: status 503\n\theader Retry-After: 900", False),
    "reset": ("on GET ^/dir: rst", False), "down": ("", False)}


def test_s08_policy(mock, acmed):
    """One daemon, a certificate for each row."""
    ca = mock((ROOT / "tests/mock/policy.scn").read_text())
    d = acmed(ca, [f"{n}.example" for n in (*ISSUED, *REFUSED)])
    for name, (script, _) in CAS.items():
        other = mock(script)
        other.acme.http_port = ca.http_port
        d.set(ca={name: {"directory": other.directory,
                         "ca-file": str(other.pki.root)}})
        d.conf["domains"].append({"names": [f"{name}.cas.example"],
                                  "ca": name})
        if name == "down":
            other.stop()
    d.start()
    d.installed(*(f"{n}.example" for n in ISSUED), timeout=60)
    for name, (kind, operator, when) in REFUSED.items():
        d.wait("certificate not issued", cert=f"{name}.example", timeout=60)
        t = d.cert(f"{name}.example")["trouble"]
        assert kind in (None, t["type"]), (name, t)
        assert operator in (None, t["operator"]), (name, t)
        assert t["failures"] == 1, (name, t)
        assert when[0] <= back_off(t) <= when[1], (name, t)
        assert len([r for r in ca.seen("newOrder")
                    if f"{name}.example" in r.names]) == 1, name
    assert d.cert("paused.example")["trouble"]["url"].startswith("https://")

    def told():
        seen = {c["name"]: c for c in d.status()["cas"]}
        return all("trouble" in seen[n] for n in CAS) and seen
    seen = until(told, 30, "trouble of all CAs")
    for name, (_, stopped) in CAS.items():
        assert seen[name]["stopped"] is stopped, seen[name]
        assert stopped or seen[name]["next_at"]
    row("S8", "one scenario for each line, two dozen at one CA",
        "{} issued after all, {} refused and {} CAs stopped or waiting as the "
        "table says, {} requests", len(ISSUED), len(REFUSED), len(CAS),
        len(ca.requests))


J12 = {"replaced": "alreadyReplaced 409", "conflict": "conflict 409",
       "unknown": "malformed 404", "field": "malformed 400",
       "other": "unauthorized 401", "account": "unauthorized 403",
       "server": "serverInternal 500", "untyped": "about:blank 422"}


def test_s09_replaces(mock, acmed):
    ca = mock("\n".join(
        f"on POST ^/order$ with replaces for {n}.example: problem {p}"
        for n, p in J12.items()))
    names = [f"{n}.example" for n in J12]
    d = acmed(ca, names).start()
    d.installed(*names)
    for n in names:
        d.renew(n)
    d.installed(*names, version=2, timeout=60)
    assert not d.find("certificate not issued")
    for n in names:
        orders = ["replaces" in r.payload for r in ca.seen("newOrder")
                  if n in r.names]
        assert orders[:2] == [False, True] and orders[-1] is False, n
    row("S9", "J12: 8 refusals of replaces", "{} renewed in the same attempt, "
        "{} orders asked for", len(names), ca.count("newOrder"))


def test_s09_odd_orders(mock, acmed):
    """M2, E3, E22, L4, H6, all at once."""
    ca = mock("""
        limits letsencrypt
        alternates 1
        challenges dns-persist-00 dns-persist-01 dns-persist-02 http-01 odd
        hold order processing 4 for slow.example
        on POST ^/cert/.*/alt/: status 503
            header Retry-After: 3600
        on POST ^/order$ for paused.example: problem rateLimited 429 \
Please visit: https://mock.example/sfe/v1/unpause?jwt=abc""")
    born = {"ready-empty": mock("born ready empty"),
            "ready-missing": mock("born ready missing"),
            "ready": mock("born ready listed"), "valid": mock("born valid")}
    root = ca.acme.authority.roots[1].subject.rfc4514_string()[3:]
    d = acmed(ca, ["slow.example", "paused.example", {
        "names": ["alternate.example"], "preferred-chain": root}])
    for name, other in born.items():
        d.set(ca={name: {"directory": other.directory,
                         "ca-file": str(other.pki.root)}})
        d.conf["domains"].append({"names": [f"{name}.born.example"],
                                  "ca": name})
    d.start()
    d.installed("alternate.example", *(f"{n}.born.example" for n in born
                                       if n != "valid"))
    ca.wait("finalize", names=["slow.example"])
    d.stop()
    d.start()
    d.installed("slow.example", timeout=60)
    assert len([r for r in ca.seen("newOrder")
                if "slow.example" in r.names]) == 1
    assert d.cert("paused.example")["trouble"]["operator"] is True
    assert d.find("certificate not issued", cert="valid.born.example")
    assert d.version("valid.born.example") == 0
    assert born["valid"].orders <= 2
    row("S9", "M2, E3, E22, L4, H6", "paused told; ready with, without and "
        "with empty authorizations issued; valid with a stranger's key left; "
        "processing over a restart: 1 order; three forms of dns-persist-01 "
        "passed over; alternate 503: default chain")


PRELOAD = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int fail(void)
{
	return access(getenv("EIO_IF"), F_OK) == 0 ? (errno = EIO, 1) : 0;
}
int fsync(int fd) { return fail() ? -1 : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return fail() ? -1 : (int)syscall(SYS_fdatasync, fd); }
"""


def disk_is_bad(ca, d, spoil, mend):
    """A renewal while it is, and one afterwards."""
    d.installed(A)
    old = d.serial(A)
    version = d.version(A)
    n = len(d.find("certificate not issued"))
    spoil()
    d.renew(A)
    d.wait("certificate not issued", count=n + 1)
    assert d.serial(A) == old
    check_pair(d.live(A))
    mend()
    d.renew(A)
    d.installed(A, version=version + 1)
    d.check_state(A)


def test_s10_full_disk(ca, small_disk, acmed):  # noqa: F811
    d = acmed(ca, [A], state_dir=str(small_disk.path / "s"))
    d.state = small_disk.path / "s"
    d.start()
    for leave in (0, 4096, 8192):
        disk_is_bad(ca, d, lambda: small_disk.fill(leave), small_disk.free)
    assert ca.orders <= 7
    row("S10", "full at three places",
        "3 renewals failed and made up for, {} orders", ca.orders)


def test_s10_read_only(ca, small_disk, acmed):  # noqa: F811
    """From the start, for which nothing must be open."""
    d = acmed(ca, [A], state_dir=str(small_disk.path / "s"))
    d.state = small_disk.path / "s"
    d.start().installed(A)
    old = d.serial(A)
    assert d.stop() == 0
    mode = "remount,ro"
    assert run("mount", "-o", mode, small_disk.path).returncode == 0
    orders = ca.orders
    d.spawn()
    assert d.ended() == 1
    assert "Read-only file system" in d.wait("cannot run")["error"]
    check_pair(d.live(A))
    assert run("mount", "-o", "remount,rw", small_disk.path).returncode == 0
    d.start()
    d.renew(A)
    d.installed(A, version=2)
    assert d.serial(A) != old and ca.orders == orders + 1
    row("S10", "read-only", "refuses to start, with the reason; the pair is "
        "whole; {} orders", ca.orders)


def test_s10_eio(ca, acmed, work):
    """Of root's process, which installs; the disk test has all of them."""
    (work / "eio.c").write_text(PRELOAD)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", work / "eio.so",
                    work / "eio.c"], check=True)
    gate = work / "eio"
    d = acmed(ca, [A])
    d.env = {"LD_PRELOAD": str(work / "eio.so"), "EIO_IF": str(gate)}
    d.start()
    disk_is_bad(ca, d, gate.touch, gate.unlink)
    said = [x for x in d.lines if "Input/output error" in str(x)]
    assert said and ca.orders == 2
    row("S10", "EIO on fsync of root's process",
        "1 renewal failed and made up for with the same order, {} orders",
        ca.orders)


def test_s11_newest(cas, acmed):
    """User-Agent, Location, profiles at random, DNS by TCP: issued all the
    same, many at once."""
    ca = cas("newest")
    names = [f"n{i}.example.org" for i in range(50)]
    d = acmed(ca, [*names, "127.0.0.1", ["x.example.org", "y.example.org"]])
    d.start().installed(*names, "127.0.0.1", "x.example.org", timeout=300)
    assert not d.find("certificate not issued")
    assert ca.orders == ca.issued == 52 and ca.accounts == 1
    row("S11", "Pebble 2.10, its own chances", "{} issuances, 0 failures; "
        "items 2, 3 and 6 ran with it too", ca.issued)
