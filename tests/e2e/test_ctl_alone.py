# SPDX-License-Identifier: ISC
"""acmectl's commands against a daemon that says what we want it to say."""
import http.server
import json
import os
import pty
import re
import socketserver
import struct
import subprocess
import threading

import pytest
from util import BUILD, run

GONE = (404, {"error": "no certificate is called old in the configuration"})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        d = self.server.daemon
        begun = d.begun  # of this command, though the next one may be first
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        d.asked.append((self.command, self.path, body))
        if self.path.startswith("/v1/events"):
            self.events(d, begun)
            return
        late = d.late if self.command == "POST" else None
        if late is not None:
            begun.set()
            late.wait(20)
        code, what = d.answers.get((self.command, self.path), GONE)
        data = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        if d.late is None:
            begun.set()

    def events(self, d, begun):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b'{"event": "listening"}\n')
        begun.wait(20)
        for e in d.events:
            line = {"time": "2026-11-23T15:04:05Z", "cert": "www", **e}
            self.wfile.write(json.dumps(line).encode() + b"\n")
        self.close_connection = True

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Daemon:
    def __init__(self, where):
        self.where = where
        self.socket = where / "ctl.sock"
        self.asked, self.answers, self.events = [], {}, []
        self.begun = threading.Event()
        self.late = None  # set: what was asked for is answered
        self.server = Server(str(self.socket), Handler)
        self.server.daemon = self
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def argv(self, *args):
        return [str(BUILD / "acmectl"), "-s", str(self.socket), *args]

    def ctl(self, *args):
        self.begun = threading.Event()
        return run(*self.argv(*args))

    def on_terminal(self, *args, say):
        """What it prints on a terminal where somebody says that."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["NO_COLOR"] = "1"
            os.execv(str(BUILD / "acmectl"), self.argv(*args))
        seen = b""
        try:
            while part := os.read(fd, 4096):
                seen += part
                if say is not None and seen.endswith(b"[y/N] "):
                    os.write(fd, say)
                    say = None
        except OSError:
            pass  # the other end of a terminal has gone
        os.close(fd)
        return (os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),
                seen.decode().replace("\r\n", "\n"))

    def posts(self):
        return [path for method, path, _ in self.asked if method == "POST"]


@pytest.fixture
def daemon(work):
    d = Daemon(work)
    yield d
    d.server.shutdown()
    d.server.server_close()


def records(bundle):
    """(name, text) of each file in it."""
    out = []
    while bundle:
        magic, name, text = struct.unpack("=III", bundle[:12])
        assert magic == 0x31666361
        out.append((bundle[12:12 + name].decode(),
                    bundle[12 + name:12 + name + text].decode()))
        bundle = bundle[12 + name + text:]
    return out


PLAN = {"orders": [], "n_orders": 0, "n_unchanged": 1, "forgotten": [],
        "reloads": []}


def test_plan_sends_the_files(daemon):
    """The file, and what it includes, as they are."""
    (daemon.where / "more").mkdir()
    texts = {"acmed.yaml": "include: more/*.yaml\nemail: a@example.org\n",
             "more/one.yaml": "domains: [a.example.org]\n",
             "more/two.yaml": "domains: [b.example.org]\n"}
    for name, text in texts.items():
        (daemon.where / name).write_text(text)
        (daemon.where / name).chmod(0o644)
    daemon.answers["POST", "/v1/plan"] = (200, PLAN)
    r = daemon.ctl("plan", str(daemon.where / "acmed.yaml"))
    assert (r.returncode, r.stderr) == (0, "")
    assert "No certificate to order." in r.stdout
    (method, path, body), = daemon.asked
    assert (method, path) == ("POST", "/v1/plan")
    assert records(body) == [(str(daemon.where / n), t)
                             for n, t in texts.items()]
    r = daemon.ctl("plan", str(daemon.where / "acmed.yaml"), "--json")
    assert json.loads(r.stdout) == PLAN


def test_plan_refused(daemon):
    conf = daemon.where / "acmed.yaml"
    r = daemon.ctl("plan", str(conf))
    assert r.returncode == 1
    assert f"{conf}: cannot be opened: No such file" in r.stderr
    conf.write_text("include: none.yaml\n")
    conf.chmod(0o666)
    r = daemon.ctl("plan", str(conf))
    assert r.returncode == 1 and "chmod go-w" in r.stderr
    conf.chmod(0o644)
    r = daemon.ctl("plan", str(conf))
    assert r.returncode == 1
    assert f"{conf}:1:10: " in r.stderr and "none.yaml" in r.stderr
    assert daemon.asked == []
    conf.write_text("domians: []\n")
    daemon.answers["POST", "/v1/plan"] = (422, {
        "error": "acmed.yaml:1:1: unknown key `domians`\n"})
    r = daemon.ctl("plan", str(conf))
    assert r.returncode == 1 and r.stdout == ""
    assert f"{conf} is not good:" in r.stderr
    assert "acmed.yaml:1:1: unknown key" in r.stderr
    for code in 403, 413, 503:
        daemon.answers["POST", "/v1/plan"] = (code, {"error": "not now"})
        r = daemon.ctl("plan", str(conf))
        assert r.returncode == 2 and "not now" in r.stderr


def test_plan_of_many(daemon):
    """More than a megabyte, for which an HTTP client asks first; and more than
    a daemon takes."""
    conf = daemon.where / "acmed.yaml"
    names = "".join(f"  - a{i:06}.example.org\n" for i in range(100000))
    conf.write_text("domains:\n" + names)
    conf.chmod(0o644)
    daemon.answers["POST", "/v1/plan"] = (200, PLAN)
    r = daemon.ctl("plan", str(conf))
    assert (r.returncode, r.stderr) == (0, "")
    (_, _, body), = daemon.asked
    assert records(body) == [(str(conf), conf.read_text())]
    (daemon.where / "big.yaml").write_text("# " + "x" * (9 << 20) + "\n")
    (daemon.where / "big.yaml").chmod(0o644)
    conf.write_text("include: [" + ", ".join(["big.yaml"] * 4) + "]\n")
    r = daemon.ctl("plan", str(conf))
    assert r.returncode == 1 and "MiB" in r.stderr
    assert len(daemon.asked) == 1


def test_forget(daemon):
    daemon.answers["GET", "/v1/status?limit=0"] = (200, {"unconfigured": [
        {"name": "old", "not_after": "2020-01-01T00:00:00Z"}]})
    daemon.answers["POST", "/v1/certificates/old/forget"] = (
        200, {"archived": "/var/lib/acmed/archive/old-20261123T150405Z"})
    # nobody is there who could be asked
    r = daemon.ctl("forget", "old")
    assert r.returncode == 2 and "--yes" in r.stderr
    assert daemon.asked == []
    r = daemon.ctl("forget", "old", "--yes")
    assert r.returncode == 0
    assert r.stdout == ("old: forgotten; its files and keys are in\n"
                        "/var/lib/acmed/archive/old-20261123T150405Z\n"
                        "until you delete them\n")
    assert daemon.posts() == ["/v1/certificates/old/forget"]
    for say in b"n\n", b"\n", b"yess\n", b"\x04":
        code, seen = daemon.on_terminal("forget", "old", say=say)
        assert code == 1 and "Nothing has been changed." in seen
        assert "Its certificate has expired" in seen
        assert "archive/" in seen
    assert len(daemon.posts()) == 1
    code, seen = daemon.on_terminal("forget", "old", say=b"y\n")
    assert code == 0 and "archive/old-20261123T150405Z" in seen
    assert len(daemon.posts()) == 2


def test_forget_nothing(daemon):
    daemon.answers["POST", "/v1/certificates/old/forget"] = (200, {})
    r = daemon.ctl("forget", "old", "--yes")
    assert (r.returncode, r.stdout) == (
        0, "old: forgotten; there were no files\n")
    r = daemon.ctl("forget", "other", "--yes")
    assert r.returncode == 2 and "no certificate" in r.stderr


def test_forget_configured(daemon):
    daemon.answers["GET", "/v1/certificates/www"] = (200, {"name": "www"})
    code, seen = daemon.on_terminal("forget", "www", say=b"y\n")
    assert code == 2 and "is in the configuration" in seen
    assert daemon.posts() == []
    daemon.answers["POST", "/v1/certificates/www/forget"] = (
        409, {"error": "www is in the configuration"})
    r = daemon.ctl("forget", "www", "--yes")
    assert r.returncode == 2 and "is in the configuration" in r.stderr


def test_check_busy(daemon):
    """That nothing was checked is not that it would not be issued."""
    daemon.answers["POST", "/v1/certificates/www/check"] = (
        409, {"error": "an attempt is under way"})
    r = daemon.ctl("check", "www")
    assert (r.returncode, r.stderr) == (2, "acmectl: an attempt is under way\n")


def test_told_before_the_answer(daemon):
    """What has failed at once is told while the answer is on its way, which
    says what was lifted."""
    daemon.answers["GET", "/v1/certificates/www"] = (200, {"name": "www"})
    daemon.answers["POST", "/v1/certificates/www/renew"] = (202, {
        "name": "www", "lifted": [{"ca": "one", "text": "no way"}]})
    daemon.events = [{"event": "certificate not issued"}]
    daemon.late = threading.Event()
    with subprocess.Popen(daemon.argv("renew", "www", "--wait"),
                          stdout=subprocess.PIPE, text=True) as p:
        assert "certificate not issued" in p.stdout.readline()
        daemon.late.set()
        assert "lifted:      CA one waited for you: no way" in p.stdout.read()
    assert p.returncode == 1


@pytest.mark.parametrize("argv, path", [
    (["check", "www"], "/v1/certificates/www/check"),
    (["check", "www", "--rehearse"],
     "/v1/certificates/www/check?rehearse=1")])
def test_check(daemon, argv, path):
    daemon.answers["POST", path] = (202, {})
    daemon.events = [{"event": "check: CAA allows", "name": "a.example.org"},
                     {"event": "certificate not issued"},
                     {"event": "check passed"},
                     {"event": "never seen"}]
    r = daemon.ctl(*argv)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout.splitlines() == [
        "2026-11-23T15:04:05Z check: CAA allows: name a.example.org",
        "2026-11-23T15:04:05Z certificate not issued",
        "2026-11-23T15:04:05Z check passed"]
    # only then, so that nothing is missed
    assert [x[1] for x in daemon.asked] == ["/v1/events?cert=www", path]
    daemon.events = [{"event": "check failed", "level": "error",
                      "error": "CAA of example.org forbids it",
                      "hint": "add letsencrypt.org to it"}]
    r = daemon.ctl(*argv)
    assert r.returncode == 1
    assert r.stdout == ("2026-11-23T15:04:05Z check failed\n"
                        "  error:       CAA of example.org forbids it\n"
                        "  hint:        add letsencrypt.org to it\n")


def test_limits_are_not_waited_for(daemon):
    """They may take days."""
    daemon.answers["POST", "/v1/certificates/www/renew"] = (202, {})
    daemon.answers["GET", "/v1/certificates/www"] = (200, {"name": "www"})
    daemon.events = [{"event": "an order waits for a limit of the CA",
                      "limit": "new-orders"}]
    r = daemon.ctl("renew", "www", "--wait")
    assert r.returncode == 1 and "limit new-orders" in r.stdout


def test_check_refused(daemon):
    r = daemon.ctl("check", "old")
    assert r.returncode == 2 and "no certificate is called old" in r.stderr
    daemon.answers["POST", "/v1/certificates/www/check"] = (202, {})
    daemon.events = [{"event": "check: CAA allows"}]
    r = daemon.ctl("check", "www")  # the daemon has ended in between
    assert r.returncode == 2 and "ask again" in r.stderr


def test_budget(daemon):
    body = {"cas": [{"name": "letsencrypt", "limits": []}]}
    daemon.answers["GET", "/v1/budget"] = (200, body)
    r = daemon.ctl("budget")
    assert (r.returncode, r.stdout) == (
        0, "letsencrypt\n  nothing is used of any limit that is known\n")
    assert json.loads(daemon.ctl("budget", "--json").stdout) == body


def test_metrics(daemon):
    """Letter by letter, or status 2 and nothing: it goes into a file."""
    page = b"# HELP acmed_a b\n# TYPE acmed_a gauge\n" + \
        b"acmed_a{cert=\"a\"} 1\n" * 300000
    daemon.answers["GET", "/v1/metrics"] = (200, page)
    daemon.answers["GET", "/v1/metrics?limit=5000"] = (
        200, b"acmed_b\x1b[31m\x07 1\n")
    r = daemon.ctl("metrics")
    assert (r.returncode, r.stdout, r.stderr) == (0, page.decode(), "")
    # but for what would reach the terminal of root
    assert daemon.ctl("metrics", "--all").stdout == "acmed_b?[31m? 1\n"
    for argv in ["metrics"], ["metrics", "--all"]:  # more than a buffer, less
        with open("/dev/full", "wb") as full:
            r = subprocess.run(daemon.argv(*argv), stdout=full, text=True,
                               stderr=subprocess.PIPE, timeout=60, check=False)
        assert r.returncode == 2 and "No space left" in r.stderr, argv
    for code in 400, 403, 404, 422, 500, 503:
        daemon.answers["GET", "/v1/metrics"] = (code, {"error": "not now"})
        r = daemon.ctl("metrics")
        assert (r.returncode, r.stdout, r.stderr) == (
            2, "", "acmectl: not now\n")
    r = daemon.ctl("metrics", "x")
    assert r.returncode == 2 and "too many" in r.stderr


def test_asked_wrongly(daemon):
    for argv, word in ((["check"], "name is missing"),
                       (["check", "../x"], "not a certificate's name"),
                       (["forget"], "name is missing"),
                       (["forget", "a/b", "--yes"], "not a certificate's"),
                       (["budget", "x"], "too many"),
                       (["plan", "a", "b"], "too many")):
        r = daemon.ctl(*argv)
        assert r.returncode == 2 and word in r.stderr, argv
    assert daemon.asked == []


EVIL = "a\x1b]0;b\x07c\x9b31md\x7fe\r\nf"


@pytest.mark.parametrize("argv, path, code, key", [
    (["show", "www"], "/v1/certificates/www", 404, "error"),
    (["show", "www", "--json"], "/v1/certificates/www", 200, "name"),
    (["status", "--json"], "/v1/status", 200, "version"),
    (["status"], "/v1/status", 200, "version"),
    (["budget", "--json"], "/v1/budget", 200, EVIL),
    (["reload"], "/v1/reload", 200, "warnings"),
    (["reload"], "/v1/reload", 422, "error"),
    (["version"], "/v1/status?limit=0", 200, "version")])
def test_nothing_for_the_terminal(daemon, argv, path, code, key):
    """Whoever is in the engine does not reach the terminal of root."""
    method = "POST" if argv == ["reload"] else "GET"
    daemon.answers[method, path] = (code, {key: EVIL})
    r = daemon.ctl(*argv)
    assert re.search(r"a.*b.*c.*d.*e", r.stdout + r.stderr), r
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]",
                         r.stdout + r.stderr)


def test_no_event_for_the_terminal(daemon):
    daemon.answers["POST", "/v1/certificates/www/check"] = (202, {})
    daemon.events = [{"event": EVIL, EVIL: EVIL}, {"event": "x", EVIL: 1},
                     {"event": "check passed"}]
    r = daemon.ctl("check", "www")
    assert len(r.stdout.splitlines()) == 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", r.stdout)


def test_reload_not_allowed(daemon):
    """Nothing is said of a configuration that nobody has looked at."""
    daemon.answers["POST", "/v1/reload"] = (403, {"error": "only root may"})
    r = daemon.ctl("reload")
    assert (r.returncode, r.stderr) == (2, "acmectl: only root may\n")
    daemon.answers["POST", "/v1/reload"] = (422, {"error": "x:1:1: bad"})
    r = daemon.ctl("reload")
    assert r.returncode == 1
    assert "the old one stays in force" in r.stderr and "x:1:1: bad" in r.stderr


def test_refused_by_the_server(daemon):
    """An answer that is not the daemon's own, since it is not JSON."""
    class Html(Handler):
        def answer(self):
            data = b"<html>no</html>"
            self.send_response(400)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        do_GET = do_POST = answer
    daemon.server.RequestHandlerClass = Html
    r = daemon.ctl("budget")
    assert r.returncode == 2
    assert re.search(r"HTTP status 400", r.stderr)
