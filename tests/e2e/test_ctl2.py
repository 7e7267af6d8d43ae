# SPDX-License-Identifier: ISC
"""Looking ahead and putting away: plan, budget, check, forget."""
import copy
import json
import os
import re
import signal
import time

import pytest
from util import ROOT, run, seconds_to, until

pytestmark = pytest.mark.root

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


DOMAINS = ["a.example.org", {"name": "shop", "names": ["b.example.org"]}]
# Nothing of it comes back while a test looks.
LIMITS = {"new-orders": "300/30d", "per-domain": "50/7d", "per-names": "5/7d"}


@pytest.fixture
def running(ca, acmed):
    d = acmed(ca, DOMAINS, reload=["/bin/echo", "reloaded"]).start()
    d.installed("a.example.org", "shop")
    return d


@pytest.fixture
def limited(ca, acmed):
    d = acmed(ca, DOMAINS, at_ca={"limits": LIMITS}).start()
    d.installed("a.example.org", "shop")
    return d


def planned(d, *args, **change):
    """What acmectl says of a configuration with those keys changed."""
    new = d.where / "new.yaml"
    new.write_text(json.dumps({**copy.deepcopy(d.conf), **change}))
    new.chmod(0o644)
    return d.ctl("plan", str(new), *args)


def reloaded(d, **change):
    n = len(d.lines)
    d.set(**change).write()
    d.signal(signal.SIGHUP)
    d.wait("ready", part="supervisor", since=n)


def test_plan_of_what_runs(running):
    r = running.ctl("plan", str(running.config))
    assert (r.returncode, r.stderr) == (0, "")
    assert "No certificate to order." in r.stdout
    assert "2 certificates stay as they are." in r.stdout


def test_plan(running):
    """Each reason; and it changes nothing."""
    d = running
    orders = d.ca.orders
    domains = ["new.example.org",
               {"name": "shop", "names": ["b.example.org", "c.example.org"]}]
    r = planned(d, "--json", domains=domains)
    assert r.returncode == 0, r.stderr
    p = json.loads(r.stdout)
    assert {(o["name"], o["why"], o["ca"]) for o in p["orders"]} == {
        ("new.example.org", "new", "test"), ("shop", "names", "test")}
    assert p["n_orders"] == 2 and p["n_unchanged"] == 0
    assert p["forgotten"] == ["a.example.org"]
    assert p["reloads"] == [{"command": ["/bin/echo", "reloaded"],
                             "certificates": 2}]
    assert "first_limit" not in p
    r = planned(d, domains=domains)
    assert "2 certificates to order at test:" in r.stdout
    assert re.search(r"new +1 +new\.example\.org\n", r.stdout)
    assert re.search(r"other names +1 +shop\n", r.stdout)
    assert "for 2: /bin/echo reloaded" in r.stdout
    assert "No longer renewed, but kept:\n  a.example.org\n" in r.stdout
    r = planned(d, "--json", defaults={"ca": "test", "key": "ec384"})
    assert {o["why"] for o in json.loads(r.stdout)["orders"]} == {"key"}
    other = {**d.conf["ca"], "other": d.conf["ca"]["test"]}
    r = planned(d, "--json", ca=other, defaults={"ca": "other"})
    assert {(o["why"], o["ca"])
            for o in json.loads(r.stdout)["orders"]} == {("ca", "other")}
    assert d.ca.orders == orders
    assert d.ctl("status").returncode == 0


def test_plan_meets_a_limit(limited):
    d = limited
    r = planned(d, "--json", domains=[f"n{i}.example.org" for i in range(60)])
    p = json.loads(r.stdout)
    assert p["n_orders"] == 60
    first = p["first_limit"]
    assert (first["ca"], first["limit"], first["of"]) == (
        "test", "per-domain", "example.org")
    assert sum("limit" in o for o in p["orders"]) == 60 - 48
    assert p["ends"] >= p["orders"][-1]["at"]
    r = planned(d, domains=[f"n{i}.example.org" for i in range(60)])
    assert "12 wait for a limit" in r.stdout
    assert "per-domain of test for example.org" in r.stdout
    assert "all done:" in r.stdout


def test_plan_of_many(running):
    """Far more than any other request may have."""
    d = running
    many = [f"n{i}.example{i % 5000}.org" for i in range(20000)]
    p = json.loads(planned(d, "--json", domains=many).stdout)
    assert p["n_orders"] == 20000
    assert len(p["orders"]) == 1000 and p["orders_not_shown"] == 19000
    at = [o["at"] for o in p["orders"]]
    assert at == sorted(at)
    r = planned(d, domains=many)
    assert "20,000 certificates to order at test:" in r.stdout
    assert d.ctl("status").returncode == 0


def test_plan_of_what_is_wrong(running):
    r = planned(running, domians=[], bogus=1)
    assert r.returncode == 1 and r.stdout == ""
    assert "is not good" in r.stderr
    assert re.search(r"new\.yaml:1:\d+: .*domians", r.stderr)
    assert re.search(r"new\.yaml:1:\d+: .*bogus", r.stderr)


def test_large_requests_of_others(running):
    """Only who may change things makes the daemon hold much."""
    d = running
    many = [f"n{i}.example{i % 5000}.org" for i in range(20000)]
    new = d.where / "new.yaml"
    planned(d, domains=many)
    r = d.ctl("plan", str(new), prefix=NOBODY, timeout=20)  # at once
    assert r.returncode == 2 and "only" in r.stderr and "root" in r.stderr
    planned(d)
    r = d.ctl("plan", str(new), prefix=NOBODY)
    assert r.returncode == 2 and "only root" in r.stderr
    assert d.ctl("status").returncode == 0


def test_budget(limited):
    d = limited
    code, b = d.ask("GET", "/v1/budget")
    assert code == 200
    test, = (c for c in b["cas"] if c["name"] == "test")
    new, = (x for x in test["limits"] if x["limit"] == "new-orders")
    assert (new["capacity"], new["period_s"], new["left"]) == (
        300, 30 * 86400, 298)
    domain, = test["domains"]
    assert (domain["of"], domain["capacity"], domain["left"]) == (
        "example.org", 50, 48)
    assert {x["of"] for x in test["names"]} == {"a.example.org",
                                                "b.example.org"}
    r = d.ctl("budget")
    assert r.returncode == 0
    assert "300 orders in 30 days: 298 of 300 left" in r.stdout
    assert re.search(r"example\.org +48 of 50 left, all in ", r.stdout)
    assert json.loads(d.ctl("budget", "--json").stdout)["cas"]


def test_forget(running):
    d = running
    r = d.ctl("forget", "shop", "--yes")
    assert r.returncode == 2 and "is in the configuration" in r.stderr
    reloaded(d, domains=["a.example.org"])
    old, = d.status()["unconfigured"]
    assert old["name"] == "shop" and "not_after" in old
    r = d.ctl("status")
    assert r.returncode == 0
    assert "No longer in the configuration, kept, not renewed:" in r.stdout
    assert re.search(r"\n  shop +valid +in ", r.stdout)
    assert d.version("shop") == 1
    r = d.ctl("forget", "shop", "--yes", prefix=NOBODY)
    assert r.returncode == 2 and "only root" in r.stderr
    r = d.ctl("forget", "shop", "--yes")
    assert r.returncode == 0, r.stderr
    archived, = (d.state / "archive").iterdir()
    assert str(archived) in r.stdout
    assert re.fullmatch(r"shop-\d{8}T\d{6}Z", archived.name)
    assert (archived / "1" / "privkey.pem").exists()
    assert (d.state / "archive").stat().st_mode & 0o777 == 0o700
    assert not d.live("shop").is_symlink()
    assert not (d.state / "versions" / "shop").exists()
    assert "unconfigured" not in d.status() or not d.status()["unconfigured"]
    assert "No longer" not in d.ctl("status").stdout
    until(lambda: not list((d.state / "engine").rglob("shop*")), 5,
          "its state to go")
    # who asks again did not hear it
    again = d.ctl("forget", "shop", "--yes")
    assert (again.returncode, again.stdout) == (0, r.stdout)
    never = d.ctl("forget", "never", "--yes")
    assert never.returncode == 2 and "nothing of never in" in never.stderr
    # what was forgotten can be had again
    reloaded(d, domains=DOMAINS)
    d.installed("shop")
    assert "is not in" not in d.ctl("status").stdout


def manual_says(d, days):
    """The commands in acmed(8) that delete what is old, with that age."""
    page = (ROOT / "daemon/supervisor/acmed.8").read_text()
    text = page[page.index("cd /var/lib/acmed || exit 1"):]
    text = text[:text.index("\n.Ed")].replace("/var/lib/acmed", str(d.state))
    assert text.count("-ctime +90") == 2
    r = run("sh", "-c", text.replace("-ctime +90", f"-ctime {days}"))
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")


def test_kept_for_ever(running):
    """What is archived or put aside stays, until a person follows the manual;
    and acmed does without."""
    d = running
    reloaded(d, domains=["a.example.org"])
    r = d.ctl("forget", "shop", "--yes")
    assert r.returncode == 0 and "until you delete them" in r.stdout
    d.stop()
    archived, = (d.state / "archive").iterdir()
    account = d.state / "engine" / "accounts" / "test.json"
    account.write_bytes(b"{]")
    old = time.time() - 10 * 365 * 86400
    for p in archived, *archived.rglob("*"):
        os.utime(p, (old, old), follow_symlinks=False)
    d.start()
    aside, = account.parent.glob(".bad-*")
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    manual_says(d, "+90")
    assert (archived / "1" / "privkey.pem").exists() and aside.exists()
    kept = sorted(p for x in ("engine", "keeper", "versions")
                  for p in (d.state / x).rglob("*.[jp]*")
                  if p != aside and p.suffix != ".new")
    manual_says(d, "-1")
    assert not archived.exists() and not aside.exists()
    assert (d.state / "archive").is_dir()
    assert all(p.exists() for p in kept)
    r = d.ctl("forget", "shop", "--yes")
    assert r.returncode == 2 and "shop" in r.stderr
    reloaded(d, domains=DOMAINS)
    d.installed("shop")


def test_forget_what_was_never_issued(ca, acmed):
    d = acmed(ca, ["a.example.org", "www.blocked.example"]).start()
    d.installed("a.example.org")
    d.wait("certificate not issued")
    reloaded(d, domains=["a.example.org"])
    r = d.ctl("forget", "www.blocked.example", "--yes")
    assert r.returncode == 0 and "there were no files" in r.stdout
    until(lambda: not list((d.state / "engine").rglob("www.blocked*")), 5,
          "its state to go")
    r = d.ctl("forget", "never.example.org", "--yes")
    assert r.returncode == 2 and "never.example.org" in r.stderr


def test_check(running):
    d = running
    orders = d.ca.orders
    r = d.ctl("check", "shop")
    assert r.returncode == 0, r.stdout
    lines = r.stdout.splitlines()
    assert lines[-1].partition(" ")[2].startswith("check passed")
    assert any(" check: " in x for x in lines)
    assert d.ca.orders == orders
    r = d.ctl("check", "shop", prefix=NOBODY)
    assert r.returncode == 2 and "only root" in r.stderr
    r = d.ctl("check", "unknown.example")
    assert r.returncode == 2 and "unknown.example" in r.stderr


@pytest.fixture
def rehearsing(cas, acmed):
    """A daemon whose CA has a test directory; and both."""
    ca = cas("system", PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0")
    test = cas("system", own=True, PEBBLE_WFE_NONCEREJECT="0",
               PEBBLE_AUTHZREUSE="0")
    d = acmed(ca, ["a.example.org"], reload=["/bin/echo", "reloaded"],
              http={"listen": [f"127.0.0.1:{ca.http_port}",
                               f"127.0.0.1:{test.http_port}"]},
              at_ca={"staging": "rehearsal"})
    d.set(ca={"rehearsal": {"directory": test.directory,
                            "ca-file": str(test.pki.root)}}).start()
    d.installed("a.example.org")
    return d, ca, test


def test_rehearse(rehearsing):
    """A whole issuance, of which nothing is left."""
    d, ca, test = rehearsing
    orders, serial = ca.orders, d.serial("a.example.org")
    files = sorted(str(p) for p in d.state.glob("versions/**/*"))
    n = len(d.lines)
    r = d.ctl("check", "a.example.org", "--rehearse")
    assert r.returncode == 0, r.stdout
    assert " check passed" in r.stdout.splitlines()[-1]
    assert test.issued == 1
    assert ca.orders == orders
    assert d.serial("a.example.org") == serial
    assert sorted(str(p) for p in d.state.glob("versions/**/*")) == files
    assert not d.find("reloaded", since=n)


def test_rehearsal_fails(rehearsing):
    """The CA refuses the name; what is live is as good as ever."""
    d, _, _ = rehearsing
    reloaded(d, domains=["a.example.org", "www.blocked.example"])
    d.wait("certificate not issued", cert="www.blocked.example")
    r = d.ctl("check", "www.blocked.example", "--rehearse")
    assert r.returncode == 1
    last = r.stdout[r.stdout.index(" check failed"):]
    assert "blocked" in last and "hint: " in last
    assert max(map(len, r.stdout.splitlines())) <= 80
    assert d.version("www.blocked.example") == 0
    assert d.version("a.example.org") == 1


def test_rehearse_without_a_test_directory(running):
    r = running.ctl("check", "shop", "--rehearse")
    assert r.returncode != 0
    assert "staging" in r.stdout + r.stderr


def test_by_hand_in_vain(mock, acmed):
    """Nobody tries again what is not due: it is renewed when it is."""
    a = "a.example.org"
    ca = mock()
    d = acmed(ca, [a]).start()
    d.installed(a)
    ca.play(f"fail {a} always connection no way in")
    d.renew(a)
    d.wait("certificate not issued")
    c = d.cert(a)
    assert c["trouble"]["failures"] == 1 and c["next"] == "renew"
    assert seconds_to(c["next_at"]) > 30 * 86400
    # nor has that kept it waiting
    r = d.ctl("renew", a, "--wait")
    assert r.returncode == 1 and "lifted" not in r.stdout


def test_ca_away(mock, acmed):
    """Who sits and waits is told until when, and what to look at."""
    a = "a.example.org"
    ca = mock()
    d = acmed(ca, [a]).start()
    d.installed(a)
    ca.stop()
    r = d.ctl("renew", a, "--wait")
    assert r.returncode == 1
    assert re.search(r"issuing has to wait: ca test, next 20\S+Z\n  error: ",
                     r.stdout)
    assert "hint:        no connection to the CA" in r.stdout
    assert re.search(r"acmed will:  ask the CA again in \d+ s\n",
                     d.ctl("show", a).stdout)
