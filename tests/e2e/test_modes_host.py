# SPDX-License-Identifier: ISC
"""What a host does to clients: disks, keys, clocks, hooks, restarts, operators;
the other half of test_modes_ca.py."""
import os
import re
import signal

import pytest
from test_state import Reader, small_disk  # noqa: F401
from util import (ROOT, alive, check_pair, proc_fds, run, scenario, seconds_to,
                  until)

pytestmark = pytest.mark.root
A, B = "a.example.org", "b.example.org"


def script(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return [str(path)]


def failed(d, name=A, count=1, timeout=40):
    d.wait("certificate not issued", cert=name, count=count, timeout=timeout)
    return d.cert(name)["trouble"]


def test_every_mode_has_one():
    """45 of them, by number, in these two files."""
    text = "".join((ROOT / f"tests/e2e/test_modes_{x}.py").read_text()
                   for x in ("ca", "host"))
    assert {int(n) for n in re.findall(r"^def test_r(\d\d)_", text, re.M)} \
        == set(range(1, 46))


@pytest.mark.parametrize("names", [["example.org", "*.example.org"],
                                   ["*.example.org"]])
def test_r09_apex_and_wildcard(mock, acmed, names):
    """F15: both their TXT records would be at one name.  There is no dns-01
    yet, and the configuration says so before anything is asked of a CA."""
    ca = mock()
    d = acmed(ca, [names]).spawn()
    assert d.ended() == 2
    text = "\n".join(d.other)
    assert "`*.example.org`: a wildcard needs challenge dns-01" in text
    assert "not supported" in text and ca.requests == []


def test_r42_dns_propagation(mock, acmed):
    """F17: likewise."""
    ca = mock()
    d = acmed(ca, [A], defaults={"challenge": "dns-01"}).spawn()
    assert d.ended() == 2
    assert "dns-01" in d.other[0] and "not supported" in d.other[0]
    assert str(d.config) in d.other[0] and ca.requests == []


def test_r15_disk_full(mock, small_disk, acmed):  # noqa: F811
    """H10: the old pair stays, no key is empty, and there is no second order
    for what was issued."""
    ca = mock()
    d = acmed(ca, [A], state_dir=str(small_disk.path / "s"))
    d.state = small_disk.path / "s"
    d.start().installed(A)
    old = d.serial(A)
    small_disk.fill(8192)
    d.renew(A)
    failed(d)
    assert d.serial(A) == old
    check_pair(d.live(A))
    assert not [p for p in d.state.rglob("*.pem") if p.stat().st_size == 0]
    small_disk.free()
    d.renew(A)
    d.installed(A, version=2)
    d.check_state(A)
    assert ca.orders <= 3 and ca.issued <= 3
    assert len(ca.acme.accounts) == 1


def test_r16_partial_write(mock, acmed):
    """H9: a reader sees the old pair or the new one."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    reader = Reader(d, [A])
    reader.start()
    for version in range(2, 6):
        d.renew(A)
        d.installed(A, version=version)
    until(lambda: len(reader.serials[A]) >= 5, 10, "it to see them all")
    reader.over.set()
    reader.join()
    assert reader.bad == [] and reader.looks > 50
    d.check_state(A)


@pytest.mark.parametrize("which", ["cert", "account"])
@pytest.mark.parametrize("text", [b"", b"-----BEGIN PRIVATE KEY-----\n"])
def test_r17_empty_key(mock, acmed, which, text):
    """A key that is none is not used, and another one is made."""
    ca = mock()
    d = acmed(ca, [A, B]).start()
    d.installed(A, B)
    d.stop()
    for key in (d.state / "keeper").glob(f"{which}-*"):
        key.write_bytes(text)
    d.start()
    d.renew(A)
    d.installed(A, version=2)
    check_pair(d.live(A))
    check_pair(d.live(B))
    assert len(ca.acme.accounts) == (2 if which == "account" else 1)
    assert ca.orders == 3


@pytest.mark.parametrize("damage", [b"", b"\0" * 4096, b'{"url": 7}'],
                         ids=["empty", "zeroes", "wrong-type"])
def test_r18_corrupt_job(mock, acmed, damage):
    """Q11: the file is put aside, and only its own certificate begins anew."""
    ca = mock(f"hold order processing for-ever for {A}")
    d = acmed(ca, [A, B]).start()
    d.installed(B)
    ca.wait("finalize", names=[A])
    until(lambda: (d.state / f"engine/orders/{A}.json").exists(), 10)
    d.kill()
    (d.state / f"engine/orders/{A}.json").write_bytes(damage)
    ca.clear()
    n = len(d.lines)
    d.start()
    d.installed(A)
    assert [p for p in (d.state / "engine/orders").iterdir()
            if ".bad-" in p.name]
    assert d.find("damaged state put aside, begun anew", since=n)
    assert d.version(B) == 1
    assert ca.orders == 3
    d.renew(B)
    d.installed(B, version=2)


def test_r19_hanging_hook(mock, acmed, work):
    """F21: it is killed with all it started; the daemon never waits for it."""
    pids = work / "pids"
    hook = script(work / "hook",
                  f"echo $$ >{pids}; sleep 998 & echo $! >>{pids}; wait")
    ca = mock()
    d = acmed(ca, [{"names": [A], "reload": hook, "reload-timeout": "2s"},
                   B]).start()
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 20)
    d.renew(B)
    d.installed(B, version=2 if d.version(B) else 1)
    x = d.wait("reload command failed", part="engine", timeout=20)
    assert "killed after 2 s" in x["error"]
    for pid in pids.read_text().split():
        until(lambda: not alive(int(pid)), 5, "the group to be dead")
    assert ca.count("newOrder") <= 3


def test_r20_reload_failed(mock, acmed, work):
    """H11: it shows, it is repeated, and it makes no order."""
    gate = work / "gate"
    hook = script(work / "hook", f"[ -e {gate} ] || {{ echo no; exit 9; }}")
    ca = mock()
    d = acmed(ca, [A], reload=hook).start()
    d.wait("reload command failed", part="engine")
    c = until(lambda: (x := d.cert(A)).get("deploy_trouble") and x, 10)
    assert c["deploy"] == "reload due"
    assert c["health"] == "warning"
    assert 40 < seconds_to(c["deploy_trouble"]["next"]) < 80
    assert "exit status 9: no" in c["deploy_trouble"]["text"]
    assert "not reloaded" in d.ctl("status").stdout
    assert run("openssl", "x509", "-noout", "-in",
               d.live(A) / "cert.pem").returncode == 0
    d.stop()
    d.start()
    assert d.cert(A)["deploy"] == "reload due"
    gate.touch()
    d.renew(A)
    d.installed(A, version=2)
    assert "deploy_trouble" not in d.cert(A)
    assert ca.orders == 2


def test_r21_crash_loop(mock, acmed, work):
    """Q2, D1: whatever kills it after each start, there is one order."""
    hook = script(work / "hook", "kill -9 $PPID")
    ca = mock("limits letsencrypt")
    d = acmed(ca, [A], reload=hook)
    for _ in range(8):
        d.spawn()
        assert d.ended() == -signal.SIGKILL
    script(work / "hook", "exit 0")
    d.start()
    d.installed(A)
    assert ca.orders == ca.issued == len(ca.acme.accounts) == 1
    assert ca.acme.limits.refused == 0


def test_r21_failing_loop(mock, acmed):
    """Q2: nor does a loop of restarts hurry what has failed."""
    ca = mock(f"limits letsencrypt\nfail {A} always connection")
    d = acmed(ca, [A]).start()
    t = failed(d)
    for i in range(20):
        d.kill() if i % 2 else d.stop()
        d.start()
        assert d.cert(A)["trouble"] == t
    assert ca.count("newOrder") == 1
    assert ca.acme.limits.refused == 0


def test_r21_damaged_files(mock, acmed):
    """Q4: files that go missing again and again do not use up the five
    certificates of a week."""
    ca = mock("limits letsencrypt")
    d = acmed(ca, [A]).start()
    d.installed(A)
    for _ in range(8):
        d.stop()
        for p in d.live(A).iterdir():
            p.write_bytes(b"")
        d.start()
        until(lambda: d.cert(A)["state"] in ("valid", "none"), 20)
    assert ca.issued <= 3
    assert ca.acme.limits.refused == 0


def test_r33_backoff(mock, acmed):
    """Q1, Q2, Q3: a minute, then ten; neither a restart nor half a success
    begins it again."""
    ca = mock(f"""
        fail {A} 1 connection refused
        on POST ^/finalize/: problem badCSR 400 no""", breaches=True)
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert t["failures"] == 1 and 45 < seconds_to(t["next"]) < 75
    d.stop()
    d.start()
    assert d.cert(A)["trouble"] == t
    ca.acme.rules.pop()
    ca.play("on POST ^/finalize/: problem serverInternal 403 not today")
    d.renew(A)  # is validated this time, and fails later
    t = until(lambda: (x := d.cert(A)["trouble"])["failures"] == 2 and x, 40)
    assert ca.count("finalize") == 1
    assert 470 < seconds_to(t["next"]) < 730
    ca.clear()
    d.renew(A)
    d.installed(A)
    assert "trouble" not in d.cert(A)


def test_r35_wrong_clock(mock, acmed):
    """Q5: scenarios move the clock; here the CA's is ahead.  Within an hour it
    is taken, beyond that what comes is not valid yet, and not installed while
    there is another one; nor ordered again."""
    for name in ("q05-clock", "q05-clock-at-boot", "q05-clock-behind-state",
                 "q05-suspend", "h02-skew"):
        scenario(name)
    ca = mock("clock 30m")
    d = acmed(ca, [A]).start()
    d.installed(A)
    assert d.status()["clock_right"] is True
    ca.play("clock 5h")
    n = len(d.lines)
    d.renew(A)
    until(lambda: any("not valid by the clock" in x["msg"]
                      for x in d.lines[n:]), 30,
          "the certificate to be found too new")
    assert d.version(A) == 1
    assert d.cert(A)["step"] == "install"
    assert ca.count("newOrder") == 2


@pytest.mark.parametrize("skew, wrong", [("2h", True), ("-26h", True),
                                         ("20s", False)])
def test_r35_offset(mock, acmed, skew, wrong):
    """J16: by the CA's Date; said once, and issued all the same."""
    ca = mock(f"date {skew}")
    d = acmed(ca, [A, B]).start()
    d.installed(A, B)
    said = [x for x in d.find(level="warn") if "clock" in x["msg"]]
    assert len(said) == (1 if wrong else 0)


def test_r45_nothing_held_open(mock, acmed):
    """The log is stderr's, whoever keeps it; what acmed writes for itself has
    an end."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    for pid in (d.pid, d.engine(), d.keeper()):
        held = [f for n, f in proc_fds(pid).items()
                if n > 2 and f.startswith("/") and os.path.isfile(f) and
                f.endswith((".log", ".txt"))]
        assert held == []
    events = [p for p in (d.state / "engine").iterdir()
              if p.name.startswith("events")]
    assert events and sum(p.stat().st_size for p in events) < 2 << 20


def test_r45_log_growth(mock, acmed):
    """One and the same message, again and again, is said a few times and
    counted then."""
    ca = mock("on GET ^/dir: rst")
    d = acmed(ca, [A], log={"level": "info"}).start()
    for i in range(30):
        n = ca.count("directory")
        d.renew(A)
        until(lambda: ca.count("directory") > n and
              d.cert(A)["state"] == "queued", 20, "another try")
    d.stop()
    told = {}
    for x in d.lines:
        line = str({k: v for k, v in x.items() if k != "time"})
        told[line] = told.get(line, 0) + 1
    assert max(told.values()) <= 12, told
    assert d.find("equal lines left out")
