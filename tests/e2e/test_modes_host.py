# SPDX-License-Identifier: ISC
"""What a host does to clients: disks, keys, clocks, hooks, restarts, operators;
the other half of test_modes_ca.py."""
import os
import re
import signal
import time

import pytest
from test_state import Reader, small_disk  # noqa: F401
from util import (ROOT, alive, back_off, check_pair, proc_fds, run, scenario,
                  seconds_to, until)

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
        until(lambda: len(reader.serials[A]) == version - 1, 10,
              "it to see the one before")
        d.renew(A)
        d.installed(A, version=version)
    until(lambda: len(reader.serials[A]) == 5 and reader.looks > 50, 60,
          "it to see the last one")
    reader.over.set()
    reader.join()
    assert reader.bad == []
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
    d = acmed(ca, [{"names": [A], "reload": hook, "reload-timeout": "5s"},
                   B]).start()
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 20)
    d.installed(B)
    d.renew(B)
    d.installed(B, version=2)
    x = d.wait("reload command failed", part="engine", timeout=20)
    assert "killed after 5 s" in x["error"]
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
    assert 40 < back_off(c["deploy_trouble"]) < 80
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
    failed(d)
    d.renew(A)  # a minute is soon over; after the second failure it is ten
    t = failed(d, count=2)
    for i in range(20):
        d.kill() if i % 2 else d.stop()
        d.start()
        assert d.cert(A)["trouble"] == t
    assert ca.count("newOrder") == 2
    assert ca.acme.limits.refused == 0


def restored(d, version, timeout=20):
    until(lambda: d.version(A) == version and d.cert(A).get("restored"),
          timeout, f"version {version}")
    check_pair(d.live(A))
    return d.cert(A)["restored"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\0" * 512],
                         ids=["empty", "cut", "zeroes"])
def test_r21_lost_memory(mock, acmed, damage):
    """Q4: it is made anew from what is in service, however often, and nothing
    is ordered for it."""
    ca = mock("limits letsencrypt")
    d = acmed(ca, [A, B]).start()
    d.installed(A, B)
    was = d.cert(A)
    for _ in range(8):
        d.stop()
        (d.state / f"engine/certs/{A}.json").write_bytes(damage)
        d.start()
        assert "memory was damaged or gone: made anew from version 1" in \
            restored(d, 1)
    c = d.cert(A)
    assert c["state"] == "valid" and c["health"] == "ok"
    for key in ("not_after", "issued_by"):
        assert c[key] == was[key]
    assert "its memory was damaged or gone" in d.ctl("show", A).stdout
    assert ca.orders == ca.issued == 2
    d.stop()
    assert d.serial(A) == int(d.remembered(A)["certificate"]["serial"], 16)
    d.start()
    d.renew(A)
    d.installed(A, version=2)


@pytest.mark.parametrize("damage", ["empty", "removed", "other"])
def test_r21_damaged_key(mock, acmed, work, damage):
    """Q4: the keeper has it still."""
    log = work / "log"
    ca = mock("limits letsencrypt")
    d = acmed(ca, [A, B],
              reload=script(work / "hook", f"echo >>{log}")).start()
    d.installed(A, B)
    other = (d.live(B) / "privkey.pem").read_bytes()
    for version in range(2, 8):
        d.stop()
        key = d.live(A) / "privkey.pem"
        if damage == "removed":
            key.unlink()
        else:
            key.write_bytes(b"" if damage == "empty" else other)
        ran = len(log.read_text())
        d.start()
        assert "files were damaged: made anew" in restored(d, version)
        until(lambda: len(log.read_text()) > ran, 20, "the reload command")
    assert ca.orders == ca.issued == 2
    assert d.cert(A)["state"] == "valid"


def test_r21_swapped_by_hand(mock, acmed):
    """Q4: another version that is whole is somebody's wish; a link that points
    to nothing is none."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    d.renew(A)
    d.installed(A, version=2)
    d.stop()
    link = d.state / "live" / A
    link.unlink()
    link.symlink_to(f"../versions/{A}/1")
    d.start()
    d.wait("another version is live than was installed last: left so", cert=A)
    assert d.version(A) == 1
    for target in (None, f"../versions/{A}/77"):
        d.stop()
        link.unlink()
        if target:
            link.symlink_to(target)
        d.start()
        restored(d, 2)
    assert ca.orders == 2


def test_r21_older_version(mock, acmed):
    """Q4: nothing of the latest can be read, so the one before is in service;
    that is not due, and nothing is ordered."""
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    d.renew(A)
    d.installed(A, version=2)
    old = (d.state / f"versions/{A}/1/fullchain.pem").read_bytes()
    d.stop()
    for p in d.live(A).iterdir():
        p.write_bytes(b"")
    d.start()
    assert "an older one is in service again, from version 1" in restored(d, 3)
    assert (d.live(A) / "fullchain.pem").read_bytes() == old
    assert ca.orders == 2


def test_r21_damaged_files(mock, acmed):
    """Q4: all of them, again and again, do not use up the five certificates of
    a week; nor with the memory of it."""
    ca = mock("limits letsencrypt")
    d = acmed(ca, [A]).start()
    d.installed(A)
    for i in range(8):
        d.stop()
        for p in (d.state / "versions").glob("*/*/*.pem"):
            p.write_bytes(b"")
        if i % 2:
            (d.state / f"engine/certs/{A}.json").write_bytes(b"{")
        d.start()
        if i < 2:
            until(lambda: ca.issued == i + 2, 20, "another one")
            until(lambda: d.cert(A)["state"] == "valid", 20)
            check_pair(d.live(A))
        else:
            until(lambda: d.cert(A).get("trouble", {}).get("type") ==
                  "damaged", 20, "it to be told")
    assert ca.issued == ca.orders == 3
    assert ca.acme.limits.refused == 0
    t = until(lambda: d.cert(A).get("trouble"), 10)
    assert t["type"] == "damaged" and t["operator"] is True
    assert 6.9 * 86400 < seconds_to(t["next"]) < 7 * 86400
    told = " ".join(d.ctl("status").stdout.split())
    assert "damaged or gone more than 2 times in a week" in told
    d.renew(A)
    until(lambda: ca.issued == 4, 20, "a person's word to count")
    until(lambda: d.cert(A)["state"] == "valid", 20)
    check_pair(d.live(A))


def test_r33_backoff(mock, acmed):
    """Q1, Q2, Q3: a minute, then ten; neither a restart nor half a success
    begins it again."""
    ca = mock(f"""
        fail {A} 1 connection refused
        on POST ^/finalize/: problem badCSR 400 no""", breaches=True)
    d = acmed(ca, [A]).start()
    t = failed(d)
    assert t["failures"] == 1 and 45 < back_off(t) < 75
    d.stop()
    d.start()
    assert d.cert(A)["trouble"] == t
    ca.acme.rules.pop()
    ca.play("on POST ^/finalize/: problem serverInternal 403 not today")
    d.renew(A)  # is validated this time, and fails later
    t = until(lambda: (x := d.cert(A)["trouble"])["failures"] == 2 and x, 40)
    assert ca.count("finalize") == 1
    assert 470 < back_off(t) < 730
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
    began = time.monotonic()
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
    # ten of them in a minute
    minutes = 1 + (time.monotonic() - began) // 60
    assert max(told.values()) <= 10 * minutes + 2, told
    assert d.find("equal lines left out")
