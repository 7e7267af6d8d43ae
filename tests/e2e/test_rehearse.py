# SPDX-License-Identifier: ISC
"""At the CA's test directory first, once a validation has failed (M5)."""
import threading

import pytest
from proxy import Proxy
from util import free_port, until

pytestmark = pytest.mark.root

NAME = "a.example.org"


@pytest.fixture
def real(cas):
    return cas("system", PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0")


@pytest.fixture
def trial(cas):
    p = Proxy(cas("newest", second=True, PEBBLE_WFE_NONCEREJECT="0",
                  PEBBLE_AUTHZREUSE="0",
                  more={"caaIdentities": ["trial.example"]}))
    yield p
    p.stop()


@pytest.fixture
def daemon(real, trial, acmed):
    d = acmed({"real": real, "trial": trial}, [NAME])
    return d.set(ca={"real": {"staging": "trial"}}, defaults={"ca": "real"})


@pytest.fixture
def failed(daemon):
    """Stopped, after a validation that failed; its next try is due."""
    listen = dict(daemon.conf["http"])
    daemon.set(http={"listen": f"127.0.0.1:{free_port()}"}).start()
    daemon.wait("certificate not issued")
    daemon.stop()
    assert daemon.remembered(NAME)["try"]["rehearse"] is True
    due(daemon)
    daemon.set(http=listen).write()
    return daemon


def due(d):
    """As if the time until the next try had passed."""
    d.remembered(NAME, lambda root: root["trouble"].pop("next"))


def files(d):
    return {str(p): p.stat().st_ino for top in ("versions", "live")
            for p in d.state.glob(f"{top}/**/*")}


def cert_keys(d):
    return sorted(p.name for p in (d.state / "keeper").glob("cert-*"))


def test_tried_out_first(failed, real, trial):
    """A whole issuance there, seen as such, and then the real one."""
    hold = threading.Event()
    trial.rule("POST", "^/order-plz", hold=hold)
    d = failed.start()
    d.wait("trying out", cert=NAME, ca="trial")
    until(lambda: trial.requests("POST", "^/order-plz"), 20)
    c = d.cert(NAME)
    assert c["rehearsing"] is True and c["ca"] == "trial"
    assert c["state"] == "trying out"
    assert "at the CA's test directory" in d.ctl("show", NAME).stdout
    assert real.orders == 1
    hold.set()
    d.wait("tried out and found well, now for real", cert=NAME)
    d.installed(NAME)
    assert d.cert(NAME)["issued_by"] == "real"
    assert (trial.ca.orders, trial.ca.issued) == (1, 1)
    assert (real.orders, real.issued) == (2, 1)
    assert d.version(NAME) == 1
    assert len(cert_keys(d)) == 1


def test_as_long_as_it_fails(failed, real, trial):
    """The real CA's count of failures is spared, yet not for ever."""
    d = failed.set(http={"listen": f"127.0.0.1:{free_port()}"})
    d.write()
    for i in 2, 3, 4:
        d.start()
        x = d.wait("certificate not issued", failures=i)
        assert x["error"].startswith("tried out at trial: ")
        d.stop()
        due(d)
    assert (real.orders, trial.ca.orders) == (1, 3)
    d.start()
    x = d.wait("certificate not issued", failures=5)
    assert "tried out" not in x["error"]
    assert (real.orders, trial.ca.orders) == (2, 3)


def test_check_rehearse(daemon, real, trial):
    """Leaves no file and no key of its own behind."""
    d = daemon.start()
    d.installed(NAME)
    before, keys = files(d), cert_keys(d)
    r = d.ctl("check", NAME, "--rehearse")
    assert r.returncode == 0, r.stdout
    assert (trial.ca.orders, trial.ca.issued, real.orders) == (1, 1, 1)
    assert files(d) == before
    until(lambda: cert_keys(d) == keys, 5, "the rehearsal's key to go")
    c = d.cert(NAME)
    assert c["version"] == 1 and "trouble" not in c and c["ca"] == "real"


def test_check_of_caa(daemon, trial):
    """Before anything is asked of a CA; with a hint when it would fail."""
    d = daemon.set(resolvers=[f"127.0.0.1:{trial.ca.dns_port}"],
                   defaults={"ca": "trial"}).start()
    d.installed(NAME)
    orders = trial.ca.orders
    for value, status, word in (("other.example", 1, "check failed"),
                                ("trial.example", 0, "check passed")):
        trial.ca.dns("add-caa", host="example.org", policies=[
            {"tag": "issue", "value": value}])
        r = d.ctl("check", NAME)
        trial.ca.dns("clear-caa", host="example.org")
        assert r.returncode == status, r.stdout
        assert f" {word}" in r.stdout
        if status == 1:
            assert "other.example" in r.stdout and "hint" in r.stdout
    assert trial.ca.orders == orders
    assert d.cert(NAME)["health"] == "ok"


def test_rehearse_in_vain(daemon, real, trial):
    """A refusal there is told, and is no failure of the real one."""
    d = daemon.start()
    d.installed(NAME)
    before = files(d)
    trial.ca.dns("set-default-ipv4", ip="")
    try:
        r = d.ctl("check", NAME, "--rehearse")
    finally:
        trial.ca.dns("set-default-ipv4", ip="127.0.0.1")
    assert r.returncode == 1
    assert "check failed" in r.stdout and "hint" in r.stdout
    assert files(d) == before and len(cert_keys(d)) == 1
    assert "trouble" not in d.cert(NAME)
    assert real.orders == 1
