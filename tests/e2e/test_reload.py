# SPDX-License-Identifier: ISC
"""SIGHUP and acmectl reload: all of a new configuration, or nothing of it."""
import os
import signal
import socket
import threading

import pytest
from proxy import Proxy
from test_kill import most_orders
from util import (BUILD, alive, cert_names, free_port, proc_fds, proc_inodes,
                  raw, run, until)

pytestmark = pytest.mark.root

GOOD = """\
email: admin@example.org
agree-tos: true
state-dir: {state}
control: {{socket: {socket}}}
http: {{listen: "127.0.0.1:{port}"}}
log: {{level: debug, format: json}}
ca:
  test: {{directory: "{directory}", ca-file: {root}}}
defaults: {{ca: test}}
domains:
  - one.example.org
"""
# Each of these is said, at this line and column.
BAD_LINES = [
    ("  - {names: [x.example.org], chalenge: http-01}\n", "chalenge"),
    ("  - \"*.example.org\"\n", "wildcard"),
    ("  - {names: [y.example.org], key: ed25519}\n", "ed25519"),
    ("  - {names: [z.example.org], ca: nowhere}\n", "nowhere"),
]


def text(d, more=""):
    return GOOD.format(state=d.state, socket=d.socket,
                       port=d.ca.http_port, directory=d.ca.directory,
                       root=d.ca.pki.root) + more


@pytest.fixture
def running(ca, acmed):
    d = acmed(ca)
    d.write(text(d))
    d.start().installed("one.example.org")
    return d


def bad(d):
    d.write(text(d, "".join(line for line, _ in BAD_LINES)))
    first = text(d).count("\n") + 1
    return [(first + i, word) for i, (_, word) in enumerate(BAD_LINES)]


def check_errors(lines, d, wanted):
    """Every error, each with file, line, column and what is wrong."""
    errors = [x for x in lines if x.startswith(str(d.config))]
    for number, word in wanted:
        mine = [x for x in errors
                if x.startswith(f"{d.config}:{number}:")]
        assert len(mine) == 1, (number, word, errors)
        column = mine[0][len(f"{d.config}:{number}:"):].split(":")[0]
        assert 1 <= int(column) <= 60
        assert word in mine[0]
    assert len(errors) == len(wanted)


REFUSED = "configuration refused, an older one is in force"


def agree_refused(d, error, n, checks=True):
    """Status, its exit and the metrics: not all is well, and why."""
    s = d.status()
    assert not s["healthy"]
    told = s["config_refused"]
    assert (told["error"], told["errors"]) == (error, n)
    assert s["config_loaded"] <= told["since"] <= told["at"] <= s["now"]
    assert ("acmed -t -c " + str(d.config) in told["hint"]) == checks
    r = d.ctl("status")
    assert r.returncode == d.ctl("status", "--json").returncode == 1
    assert "something needs you." in r.stdout
    assert "The configuration was refused" in r.stdout
    # A path may be longer than a line, and is then not folded.
    assert "".join(error.split()) in "".join(r.stdout.split())
    assert "acmectl reload" in " ".join(r.stdout.split())
    page = d.ctl("metrics").stdout
    assert "\nacmed_config_refused 1\n" in page
    assert "\nacmed_healthy 0\n" in page
    return told


def agree_taken(d):
    assert "config_refused" not in d.status()
    assert d.ctl("status").returncode == 0
    assert "\nacmed_config_refused 0\n" in d.ctl("metrics").stdout


def reloaded(d, what):
    n = len(d.lines)
    what()
    d.wait("ready", part="supervisor", since=n)


def test_hup_bad(running):
    d = running
    wanted = bad(d)
    before = d.pids()
    d.signal(signal.SIGHUP)
    d.wait("not reloaded", count=len(wanted))
    event = d.wait(REFUSED, part="engine")
    assert event["errors"] == len(wanted)
    assert event["error"].startswith(f"{d.config}:{wanted[0][0]}:")
    agree_refused(d, event["error"], len(wanted))
    # Whoever misses the name that the new one has is told why.
    r = d.ctl("show", "new.example.org")
    assert r.returncode == 2 and "a newer one was refused" in r.stderr
    check_errors([x[k] for x in d.find("not reloaded") for k in x
                  if k not in ("msg", "level", "time", "part")], d, wanted)
    assert d.pids() == before
    # The old one is in force, and works.
    d.renew("one.example.org")
    d.installed("one.example.org", version=2)


def test_ctl_bad(running):
    d = running
    wanted = bad(d)
    before = d.pids()
    r = d.ctl("reload")
    assert r.returncode == 1
    assert "old one stays in force" in r.stderr
    lines = [x.removeprefix("acmectl: ") for x in r.stderr.splitlines()]
    check_errors(lines, d, wanted)
    assert d.pids() == before
    agree_refused(d, next(x for x in lines if x.startswith(str(d.config))),
                  len(wanted))


def test_refused_is_not_forgotten(running):
    """By a new engine, and by other errors; but by what is good, be it the same
    as before."""
    d = running
    bad(d)
    d.signal(signal.SIGHUP)
    first = agree_refused(d, d.wait(REFUSED)["error"], len(BAD_LINES))
    reloaded(d, lambda: os.kill(d.engine(), signal.SIGKILL))
    assert agree_refused(d, first["error"], len(BAD_LINES)) == first
    n = len(d.lines)
    d.write(text(d) + "domians: []\n")
    d.signal(signal.SIGHUP)
    error = d.wait(REFUSED, since=n)["error"]
    assert "domians" in error
    assert agree_refused(d, error, 1)["since"] == first["since"]
    d.write(text(d))
    reloaded(d, lambda: d.signal(signal.SIGHUP))
    agree_taken(d)
    # Nor does it come back.
    reloaded(d, lambda: os.kill(d.engine(), signal.SIGKILL))
    agree_taken(d)


def test_refused_without_engine(running):
    """Read while no engine runs: the next one hears of it."""
    d = running
    engine = d.engine()
    os.kill(engine, signal.SIGSTOP)
    bad(d)
    d.signal(signal.SIGHUP)
    d.wait("not reloaded", count=len(BAD_LINES))
    reloaded(d, lambda: os.kill(engine, signal.SIGKILL))
    agree_refused(d, d.wait(REFUSED)["error"], len(BAD_LINES))


def test_not_yaml(running):
    d = running
    d.write("email: [unclosed\n  : :\n")
    r = d.ctl("reload")
    assert r.returncode == 1
    assert f"{d.config}:" in r.stderr
    d.config.unlink()
    r = d.ctl("reload")
    assert r.returncode == 1
    assert "No such file" in r.stderr
    agree_refused(d, r.stderr.splitlines()[-1].removeprefix("acmectl: "), 1)


def test_what_cannot_change(running):
    d = running
    d.write(text(d).replace(f"state-dir: {d.state}",
                            f"state-dir: {d.state}-other"))
    r = d.ctl("reload")
    assert r.returncode == 1
    assert "state-dir" in r.stderr and "restart" in r.stderr
    told = d.status()["config_refused"]["error"]
    assert "state-dir" in told and "restart" in told
    # acmed -t would find nothing wrong with it.
    assert run(BUILD / "acmed", "-t", "-c", d.config).returncode == 0
    agree_refused(d, told, 1, checks=False)
    d.write(text(d))
    assert d.ctl("reload").returncode == 0
    until(lambda: d.ctl("status").returncode == 0, 10)
    agree_taken(d)


def test_writable_by_others(running):
    d = running
    d.config.chmod(0o666)
    r = d.ctl("reload")
    assert r.returncode == 1
    assert str(d.config) in r.stderr
    assert d.ctl("status").returncode == 1
    d.config.chmod(0o644)
    reloaded(d, lambda: d.signal(signal.SIGHUP))
    agree_taken(d)


@pytest.mark.parametrize("way", ["hup", "ctl"])
def test_good(running, way):
    """A new engine, the same listening sockets."""
    d = running
    before, sockets = d.pids(), proc_inodes(d.pid)
    listening = {v for v in proc_inodes(d.engine()) if v in sockets}
    assert len(listening) >= 2  # port 80 and the control socket
    d.write(text(d, "  - two.example.org\n"))
    n = len(d.lines)
    if way == "hup":
        d.signal(signal.SIGHUP)
    else:
        r = d.ctl("reload")
        assert (r.returncode, r.stderr) == (0, "")
        assert r.stdout == "configuration read again\n"
    d.wait("ready", part="supervisor", since=n)
    after = d.pids()
    assert set(after) == set(before)
    assert after["acmed-engine"] != before["acmed-engine"]
    assert listening <= proc_inodes(d.engine())
    d.installed("two.example.org")
    assert cert_names(d.live("two.example.org") / "cert.pem") == {
        "two.example.org"}
    assert d.version("one.example.org") == 1
    assert not d.find("stopped unexpectedly, both are started again")


def test_certificate_removed(running):
    """Its files stay: who serves it must not be left without."""
    d = running
    d.write(text(d).replace("one.example.org", "other.example.org"))
    assert d.ctl("reload").returncode == 0
    d.installed("other.example.org")
    assert d.live("one.example.org").exists()
    assert d.ask("GET", "/v1/certificates/one.example.org")[0] == 404


def test_address_added(running):
    d = running
    other = free_port()
    d.write(text(d).replace(
        f'"127.0.0.1:{d.ca.http_port}"',
        f'["127.0.0.1:{d.ca.http_port}", "127.0.0.1:{other}"]'))
    assert d.ctl("reload").returncode == 0
    got = until(lambda: raw(("127.0.0.1", other),
                            b"GET / HTTP/1.0\r\n\r\n"), 10)
    assert got.startswith(b"HTTP/1.1 ")
    # And taken away again.
    d.write(text(d))
    assert d.ctl("reload").returncode == 0

    def refused():
        try:
            socket.create_connection(("127.0.0.1", other), 5).close()
        except ConnectionRefusedError:
            return True
        return False
    until(refused, 10, "the port to be closed")


def test_address_taken(running):
    """A new address that cannot be had: nothing changes."""
    d = running
    before = d.pids()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        d.write(text(d).replace(f"127.0.0.1:{d.ca.http_port}",
                                f"127.0.0.1:{port}"))
        r = d.ctl("reload")
    assert r.returncode == 1
    assert f"127.0.0.1:{port}" in r.stderr
    assert d.pids() == before


class Hammer(threading.Thread):
    """Connect anew and ask, as fast as it goes."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.over = port, threading.Event()
        self.good, self.bad = 0, []

    def run(self):
        while not self.over.is_set():
            try:
                got = raw(("127.0.0.1", self.port),
                          b"GET / HTTP/1.1\r\nHost: x\r\n"
                          b"Connection: close\r\n\r\n", shut=False)
                if got.startswith(b"HTTP/1.1 308 "):
                    self.good += 1
                else:
                    self.bad.append(got)
            except OSError as e:
                self.bad.append(e)


def test_nobody_is_turned_away(running):
    """Twenty reloads under fire: no connection is refused."""
    d = running
    h = Hammer(d.ca.http_port)
    h.start()
    engines = {d.engine()}
    for i in range(20):
        n = len(d.lines)
        before = h.good
        if i % 2:
            d.signal(signal.SIGHUP)
        else:
            assert d.ctl("reload").returncode == 0
        d.wait("ready", part="supervisor", since=n)
        engines.add(d.engine())
        until(lambda: h.good > before or h.bad, 10, "an answer")
    h.over.set()
    h.join()
    refused = [x for x in h.bad if isinstance(x, ConnectionRefusedError)]
    assert refused == []
    # One that the old engine had accepted may see it end.
    assert len(h.bad) <= 20, h.bad
    assert all(isinstance(x, ConnectionResetError) or x == b""
               for x in h.bad), h.bad
    assert len(engines) == 21
    assert h.good >= 20
    # Nothing leaks in the supervisor.
    assert len(proc_fds(d.pid)) < 40


def test_reload_in_mid_order(ca, acmed):
    """An order in progress goes on where it was: no second one."""
    d = acmed(ca, [["a.example.org", "b.example.org"]], lockstep=True)
    hits = []

    def look(line):
        if line["msg"] == "step" and line["step"] in (
                "authorization", "validation", "finalize",
                "certificate") and line["step"] not in hits:
            hits.append(line["step"])
            os.kill(d.process.pid, signal.SIGHUP)
    d.on_line = look
    d.spawn()
    # The CA may be asking at port 80, and is hung up on.
    d.insist("a.example.org", why=("connection",))
    d.on_line = None
    d.wait("reloaded", part="supervisor")
    assert hits
    assert ca.orders == most_orders(d)
    d.check_state("a.example.org")


def test_includes(ca, acmed, work):
    """A glob of files; an error in one of them names that file."""
    d = acmed(ca, [])
    more = work / "d"
    more.mkdir()
    (more / "1.yaml").write_text("- inc1.example.org\n")
    (more / "2.yaml").write_text("domains: [inc2.example.org]\n")
    d.set(domains=["one.example.org"], include=f"{more}/*.yaml").write()
    d.start().installed("one.example.org", "inc1.example.org",
                        "inc2.example.org")
    (more / "3.yaml").write_text("- good.example.org\n- -bad-.example\n")
    r = d.ctl("reload")
    assert r.returncode == 1
    assert f"{more}/3.yaml:2:" in r.stderr
    assert len(d.status()["certificates"]) == 3


def test_check_and_print(ca, acmed, work):
    """-t tells all errors and starts nothing; -T prints what -T prints again."""
    d = acmed(ca)
    d.write(text(d))
    r = run(BUILD / "acmed", "-t", "-c", d.config)
    assert (r.returncode, r.stderr) == (0, "")
    # The presets count as CAs.
    assert r.stdout.startswith(f"{d.config}: ok (1 certificate, ")
    once = run(BUILD / "acmed", "-T", "-c", d.config)
    assert once.returncode == 0
    assert "max-connections: 1024" in once.stdout
    again = work / "printed.yaml"
    again.write_text(once.stdout)
    twice = run(BUILD / "acmed", "-T", "-c", again)
    assert (twice.returncode, twice.stderr) == (0, "")
    assert twice.stdout == once.stdout
    wanted = bad(d)
    for flag in "-t", "-T":
        r = run(BUILD / "acmed", flag, "-c", d.config)
        assert r.returncode == 1
        assert r.stdout == ""
        check_errors(r.stderr.splitlines(), d, wanted)
    assert not d.state.exists()
    # A daemon that is started with it says the same and does not try again.
    d.spawn()
    assert d.ended() == 2
    check_errors(d.other, d, wanted)
    for usage in ("-x",), ("-c",), ("surplus",):
        r = run(BUILD / "acmed", *usage)
        assert r.returncode == 2
        assert "usage:" in r.stderr
    assert run(BUILD / "acmed", "-V").stdout.startswith("acmed 0.")
    assert "acmed.yaml(5)" in run(BUILD / "acmed", "-h").stdout


def test_printed_configuration_runs(ca, acmed, work):
    """The output of -T is a configuration."""
    d = acmed(ca, [{"names": ["a.example.org", "127.0.0.1"], "key": "rsa2048",
                    "reload": ["/bin/sh", "-c", "true \"a b\" 'c'\n: $0 \\"]}])
    d.write()
    out = run(BUILD / "acmed", "-T", "-c", d.config).stdout
    d.write(out)
    d.start().installed("a.example.org")
    argv = d.cert("a.example.org")["reload"]
    assert argv == ["/bin/sh", "-c", "true \"a b\" 'c'\n: $0 \\"]


@pytest.mark.parametrize("late", [False, True])
def test_reload_while_an_order_is_made(ca, acmed, late):
    """A planned restart waits for the answer to newOrder: that order is the
    one that is used.  Also when the engine hears of the keeper's end before it
    is told of its own."""
    p = Proxy(ca)
    try:
        held = p.rule("POST", "^/order-plz", keep=threading.Event())
        d = acmed(p, ["a.example.org"]).start()
        until(lambda: held.hits == 1 and ca.orders == 1, 20,
              "the order to be made")
        n = len(d.lines)
        engine, keeper = d.engine(), d.keeper()
        if late:
            os.kill(engine, signal.SIGSTOP)
        d.signal(signal.SIGHUP)
        d.wait("reloaded", since=n)
        if late:
            until(lambda: not alive(keeper), 20, "the keeper to end")
            os.kill(engine, signal.SIGCONT)
        held.what["keep"].set()
        d.wait("ready", part="supervisor", since=n)
        d.installed("a.example.org")
        assert ca.orders == 1
        assert len(d.find("order made")) == 1
        assert not d.find("certificate not issued")
    finally:
        p.stop()
