# SPDX-License-Identifier: ISC
"""acmectl and the control socket: what it says, to whom, and to the hostile."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from acmed import UnixConnection
from util import BUILD, proc_inodes, run, until

pytestmark = pytest.mark.root

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def running(ca, acmed):
    d = acmed(ca, ["a.example.org",
                   {"name": "shop", "names": ["b.example.org",
                                              "www.b.example.org"]}],
              reload=["/bin/echo", "reloaded"]).start()
    d.installed("a.example.org", "shop")
    return d


@pytest.fixture
def troubled(ca, acmed):
    d = acmed(ca, ["www.blocked.example", "a.example.org"]).start()
    d.wait("certificate not issued")
    d.installed("a.example.org")
    return d


def test_all_is_well(running):
    r = running.ctl("status")
    assert (r.returncode, r.stderr) == (0, "")
    lines = r.stdout.splitlines()
    assert re.fullmatch(r"acmed \S+: 2 certificates, 2 valid\.", lines[0])
    assert re.match(r"  NAME +STATE +EXPIRES +NEXT", lines[2])
    for line in lines[3:]:
        assert re.match(r"  (shop|a\.example\.org) +valid +in \S+ \S+ +"
                        r"renew in \S+ \S+", line)
    assert len(lines) == 5
    assert all(len(x) <= 80 for x in lines)
    assert "\033" not in r.stdout


def test_something_needs_a_person(troubled):
    r = troubled.ctl("status")
    assert r.returncode == 1
    assert "1 in trouble: something needs you." in r.stdout
    text = " ".join(r.stdout.split())
    # which name, since when, what the CA said, what next, what to do
    assert "www.blocked.example: no certificate, 1 failed attempt" in text
    assert "error:" in text and "blocked" in text
    assert "acmed will: try again in" in text
    assert "you should:" in text
    # The worst comes first.
    rows = [x for x in r.stdout.splitlines() if x.startswith(("! ", "  a."))]
    assert rows[0].startswith("! www.blocked.example")
    assert all(len(x) <= 80 for x in r.stdout.splitlines())
    assert troubled.ctl("status", "--json").returncode == 1


def test_json(running):
    r = running.ctl("status", "--json")
    assert r.returncode == 0
    root = json.loads(r.stdout)
    assert root["healthy"] is True
    counts = root["counts"]
    assert counts.pop("certificates") == counts.pop("valid") == 2
    assert {"busy", "failing"} <= set(counts) and not any(counts.values())
    assert {c["name"] for c in root["certificates"]} == {"a.example.org",
                                                         "shop"}
    assert root["cas"][0]["account"].startswith("https://localhost:")
    r = running.ctl("show", "shop", "--json")
    c = json.loads(r.stdout)
    assert c["names"] == ["b.example.org", "www.b.example.org"]
    assert c["dir"] == str(running.live("shop"))
    assert int(c["serial"], 16) == running.serial("shop")
    # What the CA has to say of its renewal may come in between.
    until(lambda: json.loads(running.ctl("show", "shop", "--json").stdout) ==
          running.cert("shop"), 10, "acmectl to say the same")


def test_show(running):
    r = running.ctl("show", "shop")
    assert r.returncode == 0
    assert running.ctl("status", "shop").stdout.startswith("shop\n")
    assert r.stdout.startswith("shop\n")
    assert "b.example.org www.b.example.org" in r.stdout
    assert "/bin/echo reloaded" in r.stdout
    assert str(running.live("shop")) in "".join(r.stdout.split())
    for label in "state:", "key type:", "serial:", "expires:", "next:":
        assert label in r.stdout


def test_renew(running):
    serial = running.serial("shop")
    r = running.ctl("renew", "shop")
    assert r.returncode == 0
    assert "renewal begun" in r.stdout
    running.installed("shop", version=2)
    assert running.serial("shop") != serial
    assert running.version("a.example.org") == 1


def test_renew_wait(running):
    r = running.ctl("renew", "shop", "--wait")
    assert (r.returncode, r.stderr) == (0, "")
    for step in ("newOrder", "authorization", "finalize", "certificate",
                 "install"):
        assert re.search(rf"Z step: {step}\b", r.stdout), step
    order = [r.stdout.index(x) for x in (
        "renewal asked for", "step: newOrder", "step: finalize",
        "certificate installed", "Z reloaded")]
    assert order == sorted(order)
    assert running.version("shop") == 2


def test_renew_wait_fails(troubled):
    r = troubled.ctl("renew", "www.blocked.example", "--wait")
    assert r.returncode == 1
    assert "certificate not issued" in r.stdout
    assert "blocked" in r.stdout


def test_renew_wait_reload_fails(ca, acmed, work):
    gate = work / "gate"
    gate.touch()
    d = acmed(ca, ["a.example.org"], reload=["/usr/bin/test", "-e",
                                             str(gate)]).start()
    d.installed("a.example.org")
    gate.unlink()
    r = d.ctl("renew", "a.example.org", "--wait")
    assert r.returncode == 1
    assert "reload failed: command /usr/bin/test\n" in r.stdout
    assert d.version("a.example.org") == 2


def test_asked_wrongly(running):
    for argv, word in ((["nonsense"], "no such command"),
                       ([], "command is missing"),
                       (["show"], "name is missing"),
                       (["status", "../x"], "not a certificate's name"),
                       (["status", "unknown.example"], "unknown.example"),
                       (["show", "../x"], "not a certificate's name"),
                       (["renew", "a", "b"], "too many"),
                       (["--bad"], "bad"),
                       (["show", "unknown.example"], "unknown.example"),
                       (["renew", "unknown.example", "--wait"],
                        "unknown.example")):
        r = running.ctl(*argv)
        assert r.returncode == 2, argv
        assert word in r.stderr, (argv, r.stderr)
        assert r.stdout == ""


def test_not_running(work):
    for command in ["status"], ["reload"], ["renew", "x", "--wait"]:
        r = run(BUILD / "acmectl", "-s", work / "none.sock", *command)
        assert r.returncode == 2
        assert "acmed is not running" in r.stderr
        assert str(work / "none.sock") in r.stderr


def test_version_and_help(running, work):
    r = running.ctl("version")
    assert r.returncode == 0
    assert re.fullmatch(r"acmectl (\S+)\nacmed   \1\n", r.stdout)
    r = run(BUILD / "acmectl", "-s", work / "none", "--version")
    assert r.returncode == 0 and "not reached" in r.stdout
    for flag in "help", "--help", "-h":
        r = run(BUILD / "acmectl", flag)
        assert r.returncode == 0
        for word in "status", "show", "renew", "reload", "version":
            assert re.search(rf"^  {word}\b", r.stdout, re.M)


def test_others_may_read(running):
    d = running
    r = d.ctl("status", prefix=NOBODY)
    assert r.returncode == 0
    for command in ["renew", "shop"], ["reload"]:
        r = d.ctl(*command, prefix=NOBODY)
        assert r.returncode == 2, (command, r.stderr)
        assert "only root" in r.stderr
    assert d.version("shop") == 1


def test_others_refused(ca, acmed):
    d = acmed(ca, ["a.example.org"], control={"others": "refuse"}).start()
    d.installed("a.example.org")
    r = d.ctl("status", prefix=NOBODY)
    assert r.returncode == 2
    assert r.stdout == ""
    assert "may not" in r.stderr or "only root" in r.stderr
    assert d.ctl("status").returncode == 0


def test_group(ca, acmed):
    """A member of control.group may renew, whether or not it is the first of
    its groups; the engine's own user may as well not."""
    import grp
    group = next(g for g in grp.getgrall() if g.gr_name == "adm")
    d = acmed(ca, ["a.example.org"],
              control={"group": "adm", "others": "refuse"}).start()
    d.installed("a.example.org")
    member = ("setpriv", "--reuid=65534", "--regid=65534",
              f"--groups={group.gr_gid}")
    r = d.ctl("status", prefix=member)
    assert r.returncode == 0, r.stderr
    r = d.ctl("renew", "a.example.org", "--wait", prefix=member)
    assert r.returncode == 0, r.stderr
    assert d.version("a.example.org") == 2
    stranger = ("setpriv", "--reuid=65534", "--regid=65534",
                f"--groups={group.gr_gid + 1}")
    assert d.ctl("status", prefix=stranger).returncode == 2
    st = d.socket.stat()
    assert st.st_gid == group.gr_gid
    assert st.st_mode & 0o007 == 0


def test_curl(running):
    """The example of the manual page."""
    r = run("curl", "-s", "--unix-socket", running.socket,
            "http://acmed/v1/status")
    assert r.returncode == 0
    assert json.loads(r.stdout)["healthy"] is True
    r = run("curl", "-s", "-X", "POST", "--unix-socket", running.socket,
            "http://acmed/v1/certificates/shop/renew")
    assert json.loads(r.stdout)["name"] == "shop"
    running.installed("shop", version=2)


def test_limit(running):
    code, body = running.ask("GET", "/v1/status?limit=1")
    assert code == 200
    assert len(body["certificates"]) == 1 and body["not_shown"] == 1
    first = body["certificates"][0]["name"]
    code, body = running.ask("GET", "/v1/certificates?limit=1&from=1")
    assert code == 200 and "not_shown" not in body
    assert [c["name"] for c in body["certificates"]] not in ([], [first])
    code, body = running.ask("GET", "/v1/certificates?from=2")
    assert code == 200 and body["certificates"] == []
    assert body["counts"]["certificates"] == 2
    # one answer is bounded, whoever asks
    assert running.ask("GET", "/v1/certificates?limit=5001")[0] == 400
    assert running.ask("GET", "/v1/status?limit=x")[0] == 400
    assert running.ask("GET", "/v1/status?limit=-1")[0] == 400


def test_events(running):
    """What happens from now on, one JSON object a line."""
    d = running
    c = UnixConnection(d.socket)
    c.request("GET", "/v1/events?cert=shop")
    r = c.getresponse()
    assert r.status == 200
    assert r.headers["Content-Type"] == "application/x-ndjson"
    assert json.loads(r.readline()) == {"event": "listening"}
    d.renew("a.example.org")
    d.renew("shop")
    seen = []
    while not seen or seen[-1]["event"] != "reloaded":
        seen.append(json.loads(r.readline()))
    c.close()
    assert all(x["cert"] == "shop" for x in seen)
    assert [x["step"] for x in seen if x["event"] == "step"][:2] == [
        "prepare", "newOrder"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", x["time"])
               for x in seen)


def connections(d):
    """How many the engine has at its control socket."""
    mine = proc_inodes(d.engine())
    accepted = "03"  # state: connected
    return sum(x[-1] == str(d.socket) and f"socket:[{x[6]}]" in mine and
               x[5] == accepted for x in
               (line.split() for line in
                Path("/proc/net/unix").read_text().splitlines()))


def test_many_listeners(running):
    """Bounded; and those that go are forgotten."""
    d = running
    many = []
    for _ in range(17):
        c = UnixConnection(d.socket)
        c.request("GET", "/v1/events")
        many.append((c, c.getresponse()))
    assert [r.status for _, r in many] == [200] * 16 + [503]
    for c, r in many:
        r.close()
        c.close()
    until(lambda: connections(d) == 0, 10, "them to be closed")
    c = UnixConnection(d.socket)
    c.request("GET", "/v1/events")
    assert c.getresponse().status == 200


# Takes what connections there are, of two kinds, and waits to be ended.
HOLD = """
import socket, sys
held = []
for i in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    try:
        s.sendall(b"GET /v1/" if i % 2 else
                  b"GET /v1/events HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    except OSError:
        pass
    held.append(s)
print("held", flush=True)
sys.stdin.read()
"""


def test_others_cannot_keep_us_out(running):
    d = running
    p = subprocess.Popen(
        [*NOBODY, sys.executable, "-c", HOLD, str(d.socket)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "held\n"
        r = d.ctl("status", timeout=10)
        assert r.returncode == 0, r.stderr
        listener = UnixConnection(d.socket)
        listener.request("GET", "/v1/events")
        assert listener.getresponse().status == 200
    finally:
        p.communicate()


def raw(d, data, shut=True):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(d.socket))
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        got = b""
        try:
            while part := s.recv(65536):
                got += part
        except ConnectionResetError:
            pass
        return got


HOSTILE = [
    (b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", (404,)),
    (b"GET /v1/certificates/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
     (404, 400)),
    (b"GET /v1/certificates/%2e%2e%2fshop HTTP/1.1\r\nHost: x\r\n\r\n",
     (404, 400)),
    (b"GET /v1/certificates/shop%00x HTTP/1.1\r\nHost: x\r\n\r\n", (404, 400)),
    (b"GET /v1/certificates/%00 HTTP/1.1\r\nHost: x\r\n\r\n", (404, 400)),
    (b"GET /v1/certificates/%zz HTTP/1.1\r\nHost: x\r\n\r\n", (404, 400)),
    (b"GET /v1/certificates/" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
     (404, 400)),
    (b"GET /v1/status?limit=%00 HTTP/1.1\r\nHost: x\r\n\r\n", (400, 200)),
    (b"DELETE /v1/certificates/shop HTTP/1.1\r\nHost: x\r\n\r\n", (405, 501)),
    (b"POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
     (405,)),
    (b"GET /v1/reload HTTP/1.1\r\nHost: x\r\n\r\n", (405,)),
    (b"HEAD /v1/certificates/shop/renew HTTP/1.1\r\nHost: x\r\n\r\n", (405,)),
    (b"FROB / HTTP/1.1\r\n\r\n", (400, 405, 501)),
    (b"GET /v1/status HTTP/9.9\r\n\r\n", (400, 505, 200)),
    (b"GET http://[::1 HTTP/1.1\r\n\r\n", (400, 404)),
    (b"\0" * 200 + b"\r\n\r\n", (400, None)),
    (b"GET /v1/status HTTP/1.1\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
     (400, 413, 431, None)),
    (b"GET /v1/status HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
     (400, 413, 431, None)),
    (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
     + b"z" * 100000, (413, 400, None)),
    (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
     (400, None)),
    (b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
     b"\r\nffffffffffffffffff\r\n", (400, 413, None)),
    (b"", (None,)),
    (b"\x16\x03\x01\x02\x00", (400, None)),
]


def test_hostile(running):
    """Each costs its own connection, and nothing else."""
    d = running
    pids = d.pids()
    for data, codes in HOSTILE:
        got = raw(d, data)
        m = re.match(rb"HTTP/1\.[01] (\d+) ", got)
        code = int(m.group(1)) if m else None
        assert code in codes, (data[:100], got[:300])
        assert d.pids() == pids, data[:100]
        assert d.ctl("status").returncode == 0
    assert d.version("shop") == 1
    assert not d.find("stopped unexpectedly, both are started again")


def test_slow_clients(running):
    """A full house of idle clients does not keep a person out for ever, nor
    does it cost anything else."""
    d = running
    idle = []
    try:
        for _ in range(100):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(1)
            s.connect(str(d.socket))
            idle.append(s)
        # The others are served as ever.
        d.signal(signal.SIGHUP)
        d.wait("reloaded", part="supervisor")
    finally:
        for s in idle:
            s.close()
    assert d.ctl("status", timeout=60).returncode == 0


def test_client_goes_during_reload(running):
    """Whoever asked for a reload and left is not missed."""
    d = running
    for _ in range(5):
        n = len(d.lines)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(d.socket))
            s.sendall(b"POST /v1/reload HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Length: 0\r\n\r\n")
        d.wait("ready", part="supervisor", since=n)
    assert d.ctl("status").returncode == 0


def test_watch(running):
    """Every two seconds, until it is interrupted."""
    p = subprocess.Popen([BUILD / "acmectl", "-s", running.socket, "status",
                          "--watch"], stdout=subprocess.PIPE, text=True)
    try:
        seen = 0
        for line in p.stdout:
            seen += "2 certificates, 2 valid" in line
            if seen == 2:
                break
        assert p.poll() is None
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def test_watch_ends_with_the_daemon(running):
    p = subprocess.Popen([BUILD / "acmectl", "-s", running.socket, "status",
                          "--watch"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    try:
        p.stdout.readline()
        running.stop()
        assert p.wait(20) == 2
    finally:
        p.kill()
        p.communicate()


def test_colours(running, work):
    """On a terminal only, and not with NO_COLOR."""
    for env, colour in (({}, True), ({"NO_COLOR": "1"}, False)):
        r = run("script", "-qec",
                f"{BUILD}/acmectl -s {running.socket} status", "/dev/null",
                env={**os.environ, **env})
        assert ("\033[32m" in r.stdout) is colour


def test_restart_in_between(running):
    """A client that asks while the engine is being started anew waits."""
    d = running
    os.kill(d.engine(), 9)
    r = d.ctl("status")
    assert r.returncode == 0
    assert isinstance(d.status(), dict)
    with pytest.raises((http.client.HTTPException, OSError)):
        d.stop()
        d.status()
