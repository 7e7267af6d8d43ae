# SPDX-License-Identifier: ISC
"""What a change of the configuration orders, and what it leaves alone (J13)."""
import pytest
from util import cert_info, cert_names, seconds_to, until

pytestmark = pytest.mark.root

DAY = 86400
PROFILES = {"profiles": {
    "long": {"description": "quarter", "validityPeriod": 90 * DAY},
    "short": {"description": "week", "validityPeriod": 6 * DAY}}}
OPTIONS = {"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
X = "a.example.org"


@pytest.fixture
def profiled(cas):
    return cas("newest", more=PROFILES, **OPTIONS)


def reloaded(d, **change):
    """What asks next is answered by what was loaded."""
    d.set(**change).write()
    r = d.ctl("reload")
    assert r.returncode == 0, r.stderr


def days(d, name):
    c = d.cert(name)
    return round((seconds_to(c["not_after"]) -
                  seconds_to(c["not_before"])) / DAY)


def test_profile(profiled, acmed):
    """K1, K2: another profile is another order, at once; one that is not
    offered is dropped where it is preferred, and a person's matter where it is
    required, without a question to the CA."""
    d = acmed(profiled, [{"names": [X], "profile": "long"}]).start()
    d.installed(X)
    assert days(d, X) == 90
    reloaded(d, domains=[{"names": [X], "profile": "short"}])
    d.installed(X, version=2)
    assert days(d, X) == 6
    assert sorted(d.status()["cas"][0]["profiles"]) == ["long", "short"]
    orders = profiled.orders
    reloaded(d, domains=[{"names": [X], "profile": "none"}])
    x = d.wait("certificate not issued")
    assert x["type"] == "invalidProfile"
    for word in "none", "long", "short":
        assert word in x["error"]
    assert d.cert(X)["trouble"]["operator"] is True
    assert profiled.orders == orders
    reloaded(d, domains=[{"names": [X], "preferred-profile": "none"}])
    d.installed(X, version=3)
    assert d.find("the CA does not offer the preferred profile")
    assert "trouble" not in d.cert(X)


def test_names_and_key_and_order_of_names(ca, acmed):
    """Names and keys are ordered anew; an order of names is not."""
    d = acmed(ca, [{"name": "x", "names": [X, "b.example.org"]}]).start()
    d.installed("x")
    reloaded(d, domains=[{"name": "x", "names": ["b.example.org", X]}])
    assert d.cert("x")["config_changed"] is False
    assert ca.orders == 1
    reloaded(d, domains=[{"name": "x", "names": [X], "key": "rsa2048"}])
    d.installed("x", version=2)
    assert cert_names(d.live("x") / "cert.pem") == {X}
    assert d.cert("x")["key_type"] == "rsa2048"
    assert ca.orders == 2


def test_first_ca(ca, cas, acmed):
    """Another first CA is another order; one more at the end is not."""
    other = cas("system", second=True, **OPTIONS)
    d = acmed({"one": ca, "two": other}, [X], defaults={"ca": ["one"]})
    d.start().installed(X)
    reloaded(d, defaults={"ca": ["one", "two"]})
    assert d.cert(X)["config_changed"] is False
    assert (ca.orders, other.orders) == (1, 0)
    reloaded(d, defaults={"ca": ["two", "one"]})
    d.installed(X, version=2)
    assert d.cert(X)["issued_by"] == "two"
    assert (ca.orders, other.orders) == (1, 1)


def test_removed_and_back(ca, acmed):
    """What goes from the file stays on disk, and is no new order when it comes
    back; when it was forgotten, it is."""
    both = [X, "b.example.org"]
    d = acmed(ca, both).start()
    d.installed(*both)
    info = cert_info(d.live(X) / "cert.pem")
    for _ in range(2):
        reloaded(d, domains=["b.example.org"])
        gone, = d.status()["unconfigured"]
        assert (gone["name"], gone["ca"]) == (X, "test")
        assert d.ask("GET", f"/v1/certificates/{X}")[0] == 404
        assert cert_info(d.live(X) / "cert.pem") == info
        reloaded(d, domains=both)
        c = d.cert(X)
        assert (c["state"], c["version"]) == ("valid", 1)
        assert not d.status().get("unconfigured")
    assert ca.orders == 2
    reloaded(d, domains=["b.example.org"])
    r = d.ctl("forget", X, "--yes")
    assert r.returncode == 0, r.stderr
    assert not d.live(X).is_symlink()
    reloaded(d, domains=both)
    d.installed(X)
    assert cert_info(d.live(X) / "cert.pem") != info
    assert ca.orders == 3
    until(lambda: d.status()["healthy"], 5)
