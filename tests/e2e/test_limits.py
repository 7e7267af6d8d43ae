# SPDX-License-Identifier: ISC
"""A CA's limits: what is known of them is kept before it is refused."""
import pytest
from util import seconds_to, until

pytestmark = pytest.mark.root
A = "a.example.org"
LETSENCRYPT = {"new-orders": "300/3h", "per-domain": "50/7d",
               "per-names": "5/7d", "failures": "5/1h",
               "renewals-exempt": True}


def budgeted(mock, acmed, names, scale=1, **limits):
    ca = mock(f"limits letsencrypt {scale}")
    d = acmed(ca, names, at_ca={"limits": {**LETSENCRYPT, **limits}})
    return ca, d.start()


def valid(d):
    return d.ask("GET", "/v1/status?limit=0")[1]["counts"]["valid"]


def test_per_domain(mock, acmed):
    """Fifty of a domain, and its others wait, while another domain's go on."""
    names = [f"n{i}.example.org" for i in range(55)]
    ca, d = budgeted(mock, acmed, [*names, "x.example.net"])
    until(lambda: valid(d) == 51, 300, "fifty and one", every=0.1)
    d.installed("x.example.net")
    waiting = [c for c in d.status()["certificates"]
               if c["state"] != "valid"]
    assert len(waiting) == 5
    for c in waiting:
        assert "per-domain" in c["waiting_for"] or \
            "example.org" in c["waiting_for"]
        assert 3600 < seconds_to(c["next_at"]) < 5 * 86400
    assert ca.acme.limits.refused == 0
    assert ca.orders == 51
    # It is on disk.
    d.kill()
    d.start()
    until(lambda: d.status()["counts"]["busy"] == 0 or
          d.status()["counts"]["valid"] == 51, 10)
    assert ca.orders == 51 and ca.acme.limits.refused == 0


def test_per_names(mock, acmed):
    """Five of the same names: a person's sixth is told to wait, and the CA is
    not asked.  (By replaces within the window it would be let through.)"""
    ca, d = budgeted(mock, acmed, [A])
    d.installed(A)
    for version in range(2, 9):
        d.renew(A)

        def over():
            c = d.cert(A)
            return (c.get("version", 0) >= version and c["state"] == "valid"
                    or c.get("waiting_for") or c.get("trouble"))
        until(over, 20, f"version {version}, or a reason why not")
    assert ca.acme.limits.refused == 0, ca.log()


def test_failures(mock, acmed):
    """Not even a person's impatience gets a name locked."""
    ca = mock(f"limits letsencrypt\nfail {A} always connection")
    d = acmed(ca, [A], at_ca={"limits": LETSENCRYPT}).start()
    d.wait("certificate not issued")
    for _ in range(8):
        d.renew(A)
        until(lambda: d.cert(A)["state"] == "none", 20, "the attempt to end")
    assert ca.acme.limits.refused == 0
    assert 2 <= ca.orders <= 5


def test_budget_shows(mock, acmed):
    """What is left is what the CA would say.  Nothing comes back meanwhile."""
    ca, d = budgeted(mock, acmed, [f"n{i}.example.org" for i in range(10)],
                     scale=1 / 240, **{"new-orders": "300/30d"})
    until(lambda: valid(d) == 10, 30)
    status, body = d.ask("GET", "/v1/budget")
    assert status == 200
    mine = next(c for c in body["cas"] if c["name"] == "test")
    left = {x["limit"]: x["left"] for x in mine["limits"]}
    account = next(iter(ca.acme.accounts))
    limits = ca.acme.limits
    assert left["new-orders"] == limits.left("orders", account) == 290
    domain = next(x for x in mine["domains"] if x["of"] == "example.org")
    assert domain["left"] == limits.left("domain", "example.org") == 40
    assert domain["capacity"] == 50


def test_unknown_limits(mock, acmed):
    """Those that the configuration does not say are learnt from refusals, and
    each is met once."""
    ca = mock("limits letsencrypt")
    names = [f"n{i}.example.org" for i in range(60)]
    d = acmed(ca, names).start()
    # A CA counts what it has issued: the orders of that moment get through.
    until(lambda: valid(d) >= 50, 300, "fifty", every=0.1)
    until(lambda: d.status()["counts"]["busy"] == 0, 30)
    assert valid(d) <= 58
    assert 1 <= ca.acme.limits.refused <= 10
    for c in d.status()["certificates"]:
        if c["state"] != "valid":
            assert seconds_to(c["next_at"]) > 3600
