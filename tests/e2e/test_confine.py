# SPDX-License-Identifier: ISC
"""Who the processes are, what they may, what they hold and what they tell."""
import fcntl
import json
import os
import re
import signal
import subprocess

import pytest
from util import (BUILD, proc_fds, proc_status, run, uid_of, until)

pytestmark = pytest.mark.root

HMAC = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@pytest.fixture
def running(ca, acmed):
    d = acmed(ca, ["a.example.org"], reload=["/bin/true"]).start()
    d.installed("a.example.org")
    return d


def test_users(ca, acmed):
    """Each as itself, with no group, no capability, and no way back, whatever
    the supervisor has."""
    running = acmed(ca, ["a.example.org"])
    running.prefix = ["setpriv", "--groups=4,24"]
    running.start()
    assert proc_status(running.pid)["Groups"].split() == ["4", "24"]
    for program, user in (("acmed-engine", "acmed"),
                          ("acmed-keeper", "acmed-keeper")):
        s = proc_status(running.pids()[program])
        uid = str(uid_of(user))
        assert s["Uid"].split() == [uid] * 4
        assert len(set(s["Gid"].split())) == 1 and s["Gid"].split()[0] != "0"
        assert s["Groups"] == ""
        for cap in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            assert int(s[cap], 16) == 0, cap
        assert s["NoNewPrivs"] == "1"
        assert s["Seccomp"] == "2"
        assert s["Seccomp_filters"] >= "1"
    s = proc_status(running.pid)
    assert s["Uid"].split() == ["0"] * 4
    confined = {x["part"]: x for x in running.find("confined")}
    assert set(confined) == {"engine", "keeper"}
    assert all(x["seccomp"] == 1 for x in confined.values())


def test_no_core_and_no_tracer(running):
    for pid in running.pids().values():
        text = open(f"/proc/{pid}/limits").read()
        assert re.search(r"Max core file size +0 +0", text)
        # Not dumpable: its own user may not look into it.
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0


def as_user(user, *argv):
    return run("setpriv", f"--reuid={user}", f"--regid={user}",
               "--clear-groups", *argv)


def test_files(running):
    """The engine cannot reach a key, nor can the keeper the engine's state."""
    d = running
    keys = list((d.state / "keeper").iterdir())
    assert len(keys) >= 2
    for key in keys:
        r = as_user("acmed", "cat", key)
        assert r.returncode != 0 and "Permission denied" in r.stderr
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.stat().st_uid == uid_of("acmed-keeper")
    r = as_user("acmed", "cat", d.live("a.example.org") / "privkey.pem")
    assert "Permission denied" in r.stderr
    r = as_user("acmed-keeper", "ls", d.state / "engine")
    assert "Permission denied" in r.stderr
    r = as_user("65534", "cat", d.live("a.example.org") / "fullchain.pem")
    assert r.returncode == 0
    # Neither may put anything where root reads or servers look.
    for user in "acmed", "acmed-keeper":
        for folder in "", "live", "versions", "versions/a.example.org":
            r = as_user(user, "touch", d.state / folder / "x")
            assert "Permission denied" in r.stderr, folder
    for folder, mode in (("", 0o755), ("engine", 0o700), ("keeper", 0o700),
                         ("live", 0o755), ("versions", 0o755)):
        assert (d.state / folder).stat().st_mode & 0o777 == mode


def kinds(fds):
    return {n: re.sub(r"\d+", "N", v) for n, v in fds.items()}


def test_descriptors(running):
    """What each holds, number by number: no key file, no folder of another,
    no socket that is not its own."""
    d = running
    engine = kinds(proc_fds(d.engine()))
    keeper = kinds(proc_fds(d.keeper()))
    assert engine[0] == keeper[0] == "/dev/null"
    assert engine[1] == engine[2] == keeper[2] == "pipe:[N]"
    # The configuration has been read, and is closed.
    assert not any("memfd" in x for x in
                   [*engine.values(), *keeper.values()])
    assert engine[4] == engine[5] == keeper[4] == keeper[5] == "socket:[N]"
    assert proc_fds(d.engine())[6] == str(d.state / "engine")
    assert proc_fds(d.keeper())[6] == str(d.state / "keeper")
    # control socket and one listener
    assert engine[7] == engine[8] == "socket:[N]"
    own = {"anon_inode:[eventpoll]", "anon_inode:[eventfd]",
           "anon_inode:[timerfd]", "pipe:[N]", "/dev/null", "socket:[N]"}
    state = str(d.state)
    for n, v in proc_fds(d.keeper()).items():
        if n > 6:
            assert not v.startswith("socket:"), (n, v)
            assert re.sub(r"\d+", "N", v) in own or \
                v.startswith(f"{state}/keeper"), (n, v)
    for n, v in proc_fds(d.engine()).items():
        assert not v.startswith(f"{state}/keeper"), (n, v)
        assert not v.startswith(f"{state}/live"), (n, v)
        assert not v.startswith(f"{state}/versions"), (n, v)
        if n > 8:
            assert re.sub(r"\d+", "N", v) in own or \
                v.startswith(f"{state}/engine"), (n, v)


def test_environment(ca, acmed):
    """Of ours, they get what they need and nothing else."""
    d = acmed(ca, ["a.example.org"])
    d.env = {"MY_SECRET": "x", "LD_PRELOAD": "",
             "https_proxy": "", "TERM": "x"}
    d.start()
    for pid in d.pids().values():
        names = {x.split("=")[0] for x in
                 open(f"/proc/{pid}/environ").read().split("\0") if x}
        assert names <= {"PATH", "JOURNAL_STREAM", "INVOCATION_ID",
                         "http_proxy", "https_proxy", "HTTPS_PROXY",
                         "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
                         "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}


def test_configuration_is_sealed(running):
    """Nobody can change it under another one's hands."""
    number, = (n for n, v in proc_fds(running.pid).items() if "memfd" in v)
    with open(f"/proc/{running.pid}/fd/{number}", "rb") as f:
        seals = fcntl.fcntl(f, fcntl.F_GET_SEALS)
    for seal in (fcntl.F_SEAL_WRITE, fcntl.F_SEAL_GROW, fcntl.F_SEAL_SHRINK,
                 fcntl.F_SEAL_SEAL):
        assert seals & seal


def test_process_listing(running):
    """No argument tells anything; each is called by its name."""
    for program, pid in running.pids().items():
        assert open(f"/proc/{pid}/cmdline").read() == f"{program}\0"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_other_users_cannot_use_them(running):
    """The engine is no program to be run by hand."""
    for program in "acmed-engine", "acmed-keeper":
        r = run(BUILD / program, timeout=10)
        assert r.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)


def test_nothing_secret_in_the_log(cas, acmed, work):
    """A27: at level debug, on success and on failure."""
    secret = work / "hmac"
    secret.touch(mode=0o600)
    secret.write_text(HMAC)
    ca = cas("system", eab={"kid-1": HMAC}, PEBBLE_WFE_NONCEREJECT="50")
    d = acmed(ca, ["a.example.org", "www.blocked.example"], at_ca={
        "eab": {"kid": "kid-1", "hmac-file": str(secret)}}).start()
    d.insist("a.example.org")
    d.wait("certificate not issued", cert="www.blocked.example")
    d.renew("a.example.org")
    d.insist("a.example.org", version=2)
    everything = (json.dumps(d.status()) +
                  d.ctl("show", "a.example.org", "--json").stdout)
    d.stop()  # or a file may be gone before it is read
    everything += d.text()
    for f in (d.state / "engine").rglob("*"):
        if f.is_file():
            everything += f.read_text(errors="replace")
    assert "PRIVATE KEY" not in everything
    assert HMAC not in everything and HMAC[:20] not in everything
    assert '"signature"' not in everything
    assert '\\"signature\\"' not in everything
    for key in (d.state / "keeper").iterdir():
        for line in key.read_text().splitlines()[1:-1]:
            assert line not in everything


def test_text_log(ca, acmed):
    """One line each, told apart by process."""
    d = acmed(ca, ["a.example.org"], log={"level": "info", "format": "text"})
    d.spawn()
    d.installed("a.example.org")
    d.stop()
    assert d.lines == []
    for line in d.other:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (error|warn|info) |"
                        r"(time|level)=", line) or "info" in line, line
    assert any("certificate installed" in x and "cert=a.example.org" in x
               for x in d.other)
    assert not any("debug" in x for x in d.other)


def test_keeper_refuses_strangers(running):
    """ldd: what the linker proves, proved."""
    def needs(program):
        r = subprocess.run(["ldd", str(BUILD / program)],
                           capture_output=True, text=True)
        return r.stdout
    assert "mbed" not in needs("acmed")
    assert "curl" not in needs("acmed")
    assert "jansson" not in needs("acmed")
    assert "curl" not in needs("acmed-keeper")


def test_without_root(ca, acmed, work):
    """The same three processes under one uid, and a warning."""
    d = acmed(ca, ["a.example.org"])
    d.where.chmod(0o777)  # its control socket is made there
    d.state.mkdir()
    os.chown(d.state, 65534, 65534)
    d.prefix = ["setpriv", "--reuid=65534", "--regid=65534",
                "--clear-groups"]
    d.start()
    warned = d.find(level="warn")
    assert any("without root" in x["msg"] for x in warned)
    for pid in (d.pid, *d.pids().values()):
        s = proc_status(pid)
        assert s["Uid"].split() == ["65534"] * 4
        if pid != d.pid:
            assert s["Seccomp"] == "2"
            assert int(s["CapEff"], 16) == 0
    d.installed("a.example.org")
    d.check_state("a.example.org")
    r = d.ctl("status", prefix=d.prefix)
    assert r.returncode == 0


def test_without_root_port_80(acmed, ca):
    """What it may not do, it says."""
    port = until(lambda: 79, 1)
    d = acmed(ca, ["a.example.org"], http={"listen": f"127.0.0.1:{port}"})
    d.where.chmod(0o777)
    d.state.mkdir()
    os.chown(d.state, 65534, 65534)
    d.prefix = ["setpriv", "--reuid=65534", "--regid=65534",
                "--clear-groups", "--inh-caps=-all"]
    if int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) <= 79:
        pytest.skip("every user may bind low ports here")
    d.spawn()
    assert d.ended() == 1
    assert f"127.0.0.1:{port}" in d.wait("cannot run")["error"]
