# SPDX-License-Identifier: ISC
"""Numbers for a monitoring system (protocol Q9): well formed, and the same that
the status says, in every state there is."""
import datetime
import http.client
import signal

import pytest
from acmed import UnixConnection
from exposition import Bad, Page
from util import BUILD, ROOT, run, until

pytestmark = pytest.mark.root
A, B = "a.example.org", "b.example.org"
BLOCKED = "www.blocked.example"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
ALARMS = ("none", "info", "warning", "critical")


def seconds(text):
    return None if text is None else int(datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")).timestamp())


def scrape(d, query=""):
    status, body = d.ask("GET", "/v1/metrics" + query)
    assert status == 200, body
    return Page(body)


def compare_cert(m, c, one):
    """c: as in the status; one: all that is known of it."""
    get = lambda name, **more: m.get("certificate_" + name, cert=c["name"],
                                     **more)
    trouble = c.get("trouble", {})
    assert get("info", ca=c["ca"]) == 1
    for key in "not_before", "not_after":
        assert get(key + "_timestamp_seconds") == seconds(one.get(key))
    assert get("renew_timestamp_seconds") == seconds(c.get("renew_at"))
    assert get("failures") == trouble.get("failures", 0)
    assert m.label("certificate_error_info", "type", cert=c["name"]) == (
        {trouble["type"]: 1} if trouble else {})
    assert get("alarm_level") == ALARMS.index(c["alarm"])
    assert get("needs_person") == (c["health"] == "bad")
    assert get("names_left_out") == c.get("left_out_count", 0)
    assert get("reload_due") == (c["deploy"] == "reload due")
    assert get("reload_failures") == c.get("deploy_trouble", {}).get(
        "failures", 0)
    # What is queued has an instant only by a plan for all, which takes long.
    if c["deploy"] != "reload due" and (c["state"], c["next"]) != (
            "queued", "wait for a limit of the CA"):
        told = get("next_attempt_timestamp_seconds")
        # a limit's refill is counted from now, and rounded
        assert told == seconds(c.get("next_at")) or abs(
            told - seconds(c["next_at"])) <= 1


def compare_sums(m, s):
    certs, counts = s["certificates"], s["counts"]
    assert m.get("healthy") == s["healthy"]
    assert m.get("clock_right") == s["clock_right"]
    assert m.get("build_info", version=s["version"]) == 1
    assert m.get("engine_start_timestamp_seconds") == seconds(s["started"])
    assert m.get("certificates") == counts["certificates"] == len(certs)
    assert m.get("certificates_valid") == counts["valid"]
    assert m.get("certificates_unsaved") == counts["unsaved"]
    assert m.get("certificates_unconfigured") == len(s["unconfigured"])
    assert m.get("certificates_waiting_for_limit") == s["queue"]["limited"]
    for name in "state", "health", "alarm":
        shown = m.label(f"certificates_by_{name}", name)
        assert sum(shown.values()) == len(certs)
        for value, n in shown.items():
            assert n == sum(c[name] == value for c in certs), (name, value)
    errors = [c["trouble"]["type"] for c in certs if "trouble" in c]
    assert m.label("certificates_by_error", "type") == {
        t: errors.count(t) for t in errors}
    assert m.get("certificates_partial") == sum("left_out" in c for c in certs)
    assert m.get("certificates_reload_due") == sum(
        c["deploy"] == "reload due" for c in certs)
    assert m.get("certificates_reload_failing") == sum(
        "deploy_trouble" in c for c in certs)


def compare_cas(m, s, budget):
    left = {c["name"]: c for c in budget["cas"]}
    assert set(m.label("ca_blocked", "ca")) == {c["name"] for c in s["cas"]}
    for ca in s["cas"]:
        get = lambda name, **more: m.get("ca_" + name, ca=ca["name"], **more)
        assert get("blocked") == ("trouble" in ca)
        assert get("needs_person") == ca["stopped"]
        assert get("next_attempt_timestamp_seconds") == seconds(
            ca.get("next_at"))
        assert get("clock_ahead_seconds") in (ca["clock_ahead_s"], None)
        assert get("orders_active") == ca["active"]
        assert get("orders_queued") == ca["queued"]
        for key in "limits", "domains", "names", "failures":
            lines = left[ca["name"]][key]
            if lines:
                limit = lines[0]["limit"]
                assert get("limit_capacity", limit=limit) == \
                    lines[0]["capacity"]
                assert get("limit_left", limit=limit) == min(
                    x["left"] for x in lines)
                assert get("limit_exhausted", limit=limit) == sum(
                    x["left"] == 0 for x in lines)


def agree(d):
    """What the status says, when nothing moves; and the numbers then."""
    def look():
        s = d.status()
        return {k: v for k, v in s.items() if k not in ("now", "http")}

    def twice():
        s = look()
        ones = {c["name"]: d.cert(c["name"]) for c in s["certificates"]}
        m, budget = scrape(d), d.ask("GET", "/v1/budget")[1]
        return (s, ones, m, budget) if look() == s else None
    s, ones, m, budget = until(twice, 20, "a moment in which nothing happens")
    compare_sums(m, s)
    compare_cas(m, s, budget)
    for c in s["certificates"]:
        compare_cert(m, c, ones[c["name"]])
    return m


# The states

def test_valid(ca, acmed):
    odd = "Odd_name-of.2"
    d = acmed(ca, [A, {"name": odd, "names": [B, "c.example.org"]}],
              reload=["/bin/true"])
    d.write()
    before = d.config.stat().st_mtime
    d.start()
    d.installed(A, odd)
    m = agree(d)
    assert m.get("healthy") == 1
    assert m.get("certificates_valid") == 2
    assert m.get("certificate_alarm_level", cert=odd) == 0
    assert m.get("certificates_not_shown") == 0
    assert m.get("http_challenges_answered_total") >= 3
    assert before - 1 <= m.get("config_load_timestamp_seconds") <= m.get(
        "engine_start_timestamp_seconds")


def test_failing(ca, acmed):
    """What the CA said is a label, and in no series of those that are well."""
    d = acmed(ca, [BLOCKED, A]).start()
    d.wait("certificate not issued")
    d.installed(A)
    m = agree(d)
    assert m.label("certificates_by_error", "type") == {
        "rejectedIdentifier": 1}
    assert m.get("certificate_failures", cert=BLOCKED) == 1
    assert m.get("certificate_needs_person", cert=BLOCKED) == 1
    assert m.get("certificate_not_after_timestamp_seconds",
                 cert=BLOCKED) is None
    assert m.get("certificate_next_attempt_timestamp_seconds",
                 cert=BLOCKED) > m.get("engine_start_timestamp_seconds")
    assert m.get("healthy") == 0
    # That it is so is no failure of asking.
    r = d.ctl("metrics")
    assert (r.returncode, r.stderr) == (0, "")
    assert Page(r.stdout.encode()).get("healthy") == 0


def test_left_out(ca, acmed):
    d = acmed(ca, [A, {"name": "x", "names": [B, BLOCKED],
                       "partial": True}]).start()
    d.installed(A, "x")
    m = agree(d)
    assert m.label("certificate_names_left_out", "cert") == {A: 0, "x": 1}
    assert m.get("certificates_partial") == 1
    assert m.get("healthy") == 0


def test_reload_fails(ca, acmed):
    d = acmed(ca, [A], reload=["/bin/false"]).start()
    d.wait("reload command failed", part="engine")
    until(lambda: "deploy_trouble" in d.cert(A), 10)
    m = agree(d)
    assert m.get("certificate_reload_due", cert=A) == 1
    assert m.get("certificate_reload_failures", cert=A) == 1
    assert m.get("certificate_failures", cert=A) == 0


@pytest.mark.parametrize("limit", ["per-domain", "new-orders"])
def test_waits_for_a_limit(mock, acmed, limit):
    """It sleeps until then, or waits among those that are due."""
    names = [f"n{i}.example.org" for i in range(4)]
    limits = {"per-domain": "90/7d", "new-orders": "90/3h", limit: "3/7d"}
    d = acmed(mock(), names, at_ca={"limits": limits}).start()
    d.wait("an order waits for a limit of the CA")
    until(lambda: d.status()["counts"]["valid"] == 3, 20)
    m = agree(d)
    other = next(x for x in limits if x != limit)
    assert m.get("certificates_waiting_for_limit") == 1
    assert m.get("ca_limit_left", ca="test", limit=limit) == 0
    assert m.get("ca_limit_exhausted", ca="test", limit=limit) == 1
    assert m.get("ca_limit_left", ca="test", limit=other) == 87
    assert m.get("certificates_by_state", state="queued") == (
        limit == "new-orders")


def test_ca_down(mock, acmed):
    ca = mock()
    ca.stop()
    d = acmed(ca, [A, B]).start()
    d.wait("CA not usable for now")
    m = agree(d)
    assert m.get("ca_blocked", ca="test") == 1
    assert m.get("ca_needs_person", ca="test") == 0
    assert m.get("ca_failures", ca="test") == 1
    assert m.get("ca_orders_queued", ca="test") == 2
    assert m.get("certificates_by_state", state="queued") == 2


def test_wrong_clock(mock, acmed):
    ca = mock()
    d = acmed(ca, [A]).start()
    d.installed(A)
    d.stop()
    then = datetime.datetime.now(datetime.timezone.utc) + \
        datetime.timedelta(2)
    d.remembered(A, lambda root: root.update(
        saved_at=then.strftime("%Y-%m-%dT%H:%M:%SZ")))
    ca.stop()
    d.start()
    until(lambda: not d.status()["clock_right"], 10)
    m = agree(d)
    assert m.get("clock_right") == m.get("healthy") == 0
    assert m.get("certificate_next_attempt_timestamp_seconds", cert=A) is None


def test_removed(ca, acmed):
    d = acmed(ca, [A, B]).start()
    d.installed(A, B)
    was = agree(d)
    n = len(d.lines)
    d.set(domains=[A]).write()
    d.signal(signal.SIGHUP)
    d.wait("ready", part="supervisor", since=n)
    m = agree(d)
    assert m.get("certificates") == 1
    assert m.get("certificates_unconfigured") == 1
    assert m.label("certificate_info", "cert") == {A: 1}
    # Nobody loads a configuration that an engine that has ended comes back to.
    loaded = m.get("config_load_timestamp_seconds")
    assert was.get("config_load_timestamp_seconds") <= loaded
    d.stop()
    d.start()
    assert agree(d).get("config_load_timestamp_seconds") >= loaded


def test_engine_killed(ca, acmed):
    """The configuration is as old as it was; counters begin anew."""
    d = acmed(ca, [A]).start()
    d.installed(A)
    was = agree(d)
    n, pid = len(d.lines), d.engine()
    run("kill", "-KILL", str(pid))
    d.wait("ready", part="engine", since=n)
    m = until(lambda: _or_none(lambda: agree(d)), 20, "the new engine")
    assert m.get("config_load_timestamp_seconds") == was.get(
        "config_load_timestamp_seconds")
    assert m.get("engine_start_timestamp_seconds") >= was.get(
        "engine_start_timestamp_seconds")
    assert m.get("http_challenges_answered_total") == 0


def _or_none(what):
    try:
        return what()
    except (OSError, http.client.HTTPException):
        return None


def test_odd_label(ca, acmed):
    """The one text in a label that a damaged state can have made up."""
    d = acmed(ca, [BLOCKED]).start()
    d.wait("certificate not issued")
    d.stop()
    odd = 'a"b\\c\n# TYPE {d="e"} 1 \u00e4'
    d.remembered(BLOCKED, lambda root: root["trouble"].update(type=odd))
    d.start()
    m = agree(d)
    assert m.label("certificate_error_info", "type", cert=BLOCKED) == {odd: 1}


def test_more_than_shown(ca, acmed):
    """Of many, those that something is wrong with."""
    d = acmed(ca, [A, B, BLOCKED]).start()
    d.wait("certificate not issued")
    d.installed(A, B)
    assert agree(d).get("certificates_not_shown") == 0
    m = scrape(d, "?limit=2")
    assert m.label("certificate_info", "cert") == {BLOCKED: 1}
    assert m.get("certificates_not_shown") == 2
    assert m.get("certificates") == 3
    m = scrape(d, "?limit=0")
    assert m.label("certificate_info", "cert") == {}
    assert m.label("certificates_by_error", "type") == {
        "rejectedIdentifier": 1}
    for bad in "?limit=5001", "?limit=x", "?limit=":
        status, body = d.ask("GET", "/v1/metrics" + bad)
        assert status == 400 and "5000" in body["error"]


# Asking

def test_http(ca, acmed):
    d = acmed(ca, [A]).start()
    d.installed(A)
    c = UnixConnection(d.socket)
    c.request("GET", "/v1/metrics")
    r = c.getresponse()
    assert r.getheader("Content-Type") == \
        "text/plain; version=0.0.4; charset=utf-8"
    body = r.read()
    assert len(body) == int(r.getheader("Content-Length"))
    c = UnixConnection(d.socket)
    c.request("HEAD", "/v1/metrics")
    assert (r := c.getresponse()).status == 200 and r.read() == b""
    assert d.ask("POST", "/v1/metrics")[0] == 405
    # The same from the program, and nothing else.
    shown = Page(d.ctl("metrics").stdout.encode())
    assert shown.families.keys() == Page(body).families.keys()
    assert run("curl", "-s", "--unix-socket", d.socket,
               "http://acmed/v1/metrics").stdout.startswith("# HELP acmed_")


def test_who_may_ask(ca, acmed):
    d = acmed(ca, [A]).start()
    assert d.ctl("metrics", prefix=NOBODY).returncode == 0
    d.stop()
    d = acmed(ca, [A], control={"others": "refuse"}).start()
    r = d.ctl("metrics", prefix=NOBODY)
    assert (r.returncode, r.stdout) == (2, "")
    assert d.ctl("metrics").returncode == 0
    d.socket.chmod(0o666)  # it is the daemon that says no
    r = d.ctl("metrics", prefix=NOBODY)
    assert (r.returncode, r.stdout) == (2, "")
    assert "only root" in r.stderr


def test_textfile(ca, acmed, work):
    """As in acmectl(1): a file is replaced by a whole one, or stays."""
    page = (ROOT / "daemon/ctl/acmectl.1").read_text()
    line = next(x for x in page.splitlines()
                if x.startswith("acmectl metrics >"))
    line = line.replace("acmectl", f"{BUILD}/acmectl -s {work}/socket")
    shell = lambda: run("sh", "-c", f"cd {work} && {line}").returncode
    d = acmed(ca, [A], control={"socket": f"{work}/socket"}).start()
    d.socket = work / "socket"
    d.installed(A)
    assert shell() == 0
    was = (work / "acmed.prom").read_bytes()
    assert Page(was).get("certificates") == 1
    d.stop()
    assert shell() == 2
    assert (work / "acmed.prom").read_bytes() == was


@pytest.mark.parametrize("bad", [
    b"acmed_a 1\n", b"# HELP acmed_a b\nacmed_a 1\n",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_a 1",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_a 1 2\n",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_a 1.\n",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_a 1\nacmed_a 2\n",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_b 1\n",
    b"# HELP acmed_a b\n# TYPE acmed_a counter\nacmed_a 1\n",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_a{x=\"\"\"} 1\n",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_a{x=\"a\\b\"} 1\n",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_a{x=\"a\",} 1\n",
    b"# HELP acmed_a b\n# TYPE acmed_a gauge\nacmed_a{x=\"\"} 1\n\n",
    b"# HELP acmed_a b\n# TYPE acmed_a info\nacmed_a 1\n"])
def test_reader(bad):
    with pytest.raises(Bad):
        Page(bad)
