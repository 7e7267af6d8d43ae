# SPDX-License-Identifier: ISC
"""The main job against real Pebbles: certificates of all kinds, obtained
through acmed's own listener and installed."""
import json
import re
import time

import pytest
from util import (cert_info, cert_names, check_pair, openssl, pem_blocks,
                  until)

pytestmark = pytest.mark.root


def test_main_job(both, acmed):
    d = acmed(both, ["one.example.org",
                     ["two.example.org", "www.two.example.org"],
                     {"name": "third", "names": ["three.example.org"]}])
    d.start().installed("one.example.org", "two.example.org", "third")
    assert d.status()["healthy"]
    d.check_state("one.example.org", "two.example.org", "third")
    assert cert_names(d.live("two.example.org") / "cert.pem") == {
        "two.example.org", "www.two.example.org"}
    assert both.orders == both.issued == 3
    assert both.accounts == 1
    live = d.live("third")
    assert pem_blocks(live / "cert.pem") == 1
    assert pem_blocks(live / "chain.pem") == 1
    assert ((live / "cert.pem").read_text() +
            (live / "chain.pem").read_text() ==
            (live / "fullchain.pem").read_text())
    modes = {p.name: oct(p.stat().st_mode & 0o777) for p in live.iterdir()}
    assert modes == {"cert.pem": "0o644", "chain.pem": "0o644",
                     "fullchain.pem": "0o644", "privkey.pem": "0o600"}
    assert d.stop() == 0
    # Nothing is asked of the CA by a start that finds everything in order, but
    # for renewal information, which may be looked for in its first second.
    both.mark()
    d.start()
    assert d.status()["counts"]["valid"] == 3
    assert d.stop() == 0
    assert both.requests("POST") == both.requests("HEAD") == 0
    assert both.requests("GET", "/dir") <= 1


@pytest.mark.parametrize("version", ["system", "newest"])
def test_half_of_the_nonces_refused(cas, acmed, version):
    """B2"""
    ca = cas(version, PEBBLE_WFE_NONCEREJECT="50")
    names = [f"n{i}.example.org" for i in range(4)]
    d = acmed(ca, names).start()
    # One request in 512 is refused nine times, and then its certificate waits.
    d.insist(*names)
    assert ca.orders == 4
    assert ca.accounts == 1


@pytest.mark.parametrize("version", ["system", "newest"])
def test_every_nonce_refused(cas, acmed, version):
    """B3, S2: ends by itself with few requests, and then waits."""
    ca = cas(version, PEBBLE_WFE_NONCEREJECT="100")
    d = acmed(ca, ["never.example.org"]).start()
    d.wait("issuing has to wait", cert="never.example.org", timeout=30)
    cas_view = d.status()["cas"][0]
    assert "badNonce" in cas_view["trouble"] or "nonce" in cas_view["trouble"]
    assert cas_view["next_at"]
    assert ca.accounts == ca.orders == 0
    assert 5 <= ca.requests("POST") <= 11
    assert ca.requests() <= 30
    seen = ca.requests()
    line = d.wait("CA not usable for now")
    assert 20 <= line["retry_in_s"] <= 40
    assert d.status()["cas"][0]["next_at"]
    assert ca.requests() == seen


@pytest.mark.parametrize("reuse", ["0", "100"])
def test_authorizations_reused(cas, acmed, reuse):
    """E3, E8: an order that is born ready is no special case."""
    ca = cas("system", PEBBLE_AUTHZREUSE=reuse, PEBBLE_WFE_NONCEREJECT="0")
    d = acmed(ca, [[f"{x}.example.org" for x in "abcd"]]).start()
    d.installed("a.example.org")
    first = ca.count("Starting 3 validations")
    assert first == 4
    ca.mark()
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    again = ca.count("Starting 3 validations")
    if reuse == "100":
        assert again == 0
    else:
        assert again >= 1  # 0 % still leaves about 1 % of reuse each: not all
    d.check_state("a.example.org")


def test_authorizations_reused_newest(cas, acmed):
    ca = cas("newest", PEBBLE_AUTHZREUSE="100")
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    assert ca.count("Starting 3 validations") == 1


def issuers(path):
    """Common name of the issuer of each certificate in a PEM file."""
    out = openssl("crl2pkcs7", "-nocrl", "-certfile", path)
    text = openssl("pkcs7", "-print_certs", "-noout", data=out)
    return re.findall(r"issuer=.*?CN ?= ?(.*)", text)


def test_long_chain_and_preferred(cas, acmed):
    """H4, H5, H13: chain of four, three alternates."""
    ca = cas("system", PEBBLE_CHAIN_LENGTH="4", PEBBLE_ALTERNATE_ROOTS="3")
    roots = re.findall(r"Generated new root issuer CN=(.*?) with serial",
                       ca.log_file.read_text())
    assert len(roots) == 4
    d = acmed(ca, [
        "plain.example.org",
        {"names": ["last.example.org"], "preferred-chain": roots[3]},
        {"names": ["second.example.org"], "preferred-chain": roots[1]},
        {"names": ["none.example.org"], "preferred-chain": "No Such Root"},
    ]).start()
    names = [f"{n}.example.org" for n in ("plain", "last", "second", "none")]
    d.installed(*names)
    tops = [issuers(d.live(n) / "fullchain.pem") for n in names]
    assert all(len(t) == 5 for t in tops)
    assert [t[-1] for t in tops] == [roots[0], roots[3], roots[1], roots[0]]
    # No match is told, and does not stop the certificate.
    told = [x for x in d.find(level="warn") if x.get("cert") == names[3]]
    assert len(told) == 1 and "No Such Root" in json.dumps(told[0])
    d.check_state(*names)


def test_chain_newest(cas, acmed):
    ca = cas("newest", PEBBLE_CHAIN_LENGTH="4", PEBBLE_ALTERNATE_ROOTS="1")
    roots = re.findall(r"Generated new root issuer CN=(.*?) with serial",
                       ca.log_file.read_text())
    d = acmed(ca, [{"names": ["other.example.org"],
                    "preferred-chain": roots[1]}]).start()
    d.installed("other.example.org")
    assert issuers(d.live("other.example.org") /
                   "fullchain.pem")[-1] == roots[1]


KEYS = {"ec256": r"prime256v1", "ec384": "secp384r1",
        "rsa2048": "2048 bit", "rsa3072": "3072 bit", "rsa4096": "4096 bit"}


def test_key_types(ca, acmed):
    """All of them, from one daemon at the same time: a signature does not wait
    behind an RSA key."""
    d = acmed(ca, [{"names": [f"{k}.example.org"], "key": k} for k in KEYS])
    d.start().installed(*[f"{k}.example.org" for k in KEYS], timeout=300)
    for kind, mark in KEYS.items():
        live = d.live(f"{kind}.example.org")
        check_pair(live)
        assert mark in openssl("x509", "-in", live / "cert.pem", "-noout",
                               "-text")
        assert (live / "privkey.pem").read_text().startswith(
            "-----BEGIN PRIVATE KEY-----\n")
    assert ca.orders == 5 and not d.find("certificate not issued")


@pytest.mark.parametrize("kind", ["ec384", "rsa2048"])
def test_account_key_types(ca, acmed, kind):
    """A12; ec256 is what all other tests use."""
    d = acmed(ca, ["a.example.org"],
              at_ca={"account-key": kind}).start()
    d.installed("a.example.org")
    key, = (d.state / "keeper").glob("account-*.pem")
    assert {"ec384": "secp384r1", "rsa2048": "2048 bit"}[kind] in openssl(
        "pkey", "-in", key, "-noout", "-text")


def test_hundred_names(both, acmed):
    names = [f"host{i}.example.org" for i in range(100)]
    d = acmed(both, [names]).start()
    d.installed(names[0], timeout=300)
    assert cert_names(d.live(names[0]) / "cert.pem") == set(names)
    assert both.orders == 1 and not d.find("certificate not issued")


def test_two_hundred_certificates(mock, acmed):
    """C8, D1: one account, one directory, no more orders than certificates;
    reload commands are shared.  Not Pebble's: it can lock up when an order is
    asked for while it is completed."""
    ca = mock()
    names = [f"c{i}.example.org" for i in range(200)]
    began = time.monotonic()
    d = acmed(ca, names, reload=["/bin/true"]).start()
    until(lambda: d.ask("GET", "/v1/status?limit=0")[1]["counts"]["valid"] ==
          200, 300, "200 certificates", every=0.1)
    assert ca.count("directory") == ca.accounts == 1
    assert ca.orders == ca.issued == 200
    assert not d.find("certificate not issued")
    d.wait("reload command ran", part="engine")
    until(lambda: all(c["deploy"] == "done"
                      for c in d.status()["certificates"]), 30, "reloads")
    runs = d.find("reload command ran", part="engine")
    assert sum(x["certificates"] for x in runs) == 200
    # a run waits ten seconds for others
    assert len(runs) <= 8 + (time.monotonic() - began) // 10
    # By its own words it had 8 orders in the air at most.
    live = most = 0
    for x in d.lines:
        if x["msg"] == "issuing":
            live += 1
        elif x["msg"] == "certificate installed" and x["part"] == "engine":
            live -= 1
        most = max(most, live)
    assert most <= 8
    d.check_state(*names)


def test_many_newest(cas, acmed):
    """Pebble 2.10 locks up when newOrders come side by side (O.1)."""
    ca = cas("newest")
    names = [f"c{i}.example.org" for i in range(24)]
    d = acmed(ca, names).start()
    d.installed(*names, timeout=300)
    assert ca.accounts == 1
    assert ca.orders == 24 and not d.find("certificate not issued")


def test_one_directory(cas, acmed):
    """C8: exactly one, though everything begins at once."""
    ca = cas("system", own=True)
    ca.mark()
    names = [f"d{i}.example.org" for i in range(10)]
    d = acmed(ca, names).start()
    d.installed(*names)
    assert ca.requests("GET", "/dir") == 1
    assert ca.requests("POST", "/sign-me-up") <= 10  # 5 % of nonces are bad
    assert ca.accounts == 1


def test_ip_address(ca, acmed):
    """F8, G1, G2"""
    d = acmed(ca, ["127.0.0.1"]).start()
    d.installed("127.0.0.1")
    info = cert_info(d.live("127.0.0.1") / "cert.pem")
    assert info["subjectAltName"] == (("IP Address", "127.0.0.1"),)


def test_ipv6_listener(cas, acmed):
    """The CA comes by IPv6 only."""
    ca = cas("system", own=True)
    ca.dns("set-default-ipv4", ip="")
    ca.dns("set-default-ipv6", ip="::1")
    d = acmed(ca, ["six.example.org"],
              http={"listen": f"[::1]:{ca.http_port}"}).start()
    d.installed("six.example.org")
    assert d.status()["http"]["challenges_answered"] >= 1


def test_both_families(cas, acmed):
    """F4: [::] does not swallow IPv4, so that both can be bound."""
    ca = cas("system")
    d = acmed(ca, ["v.example.org"], http={
        "listen": [f"0.0.0.0:{ca.http_port}", f"[::]:{ca.http_port}"]})
    d.start().installed("v.example.org")
    assert d.wait("ready", part="engine")["listeners"] == 2


HMAC = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def write_secret(path, text):
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def test_eab(cas, acmed, work):
    """D11, D12"""
    ca = cas("system", eab={"kid-1": HMAC})
    secret = write_secret(work / "hmac", f"  {HMAC}\n")
    d = acmed(ca, ["eab.example.org"], at_ca={
        "eab": {"kid": "kid-1", "hmac-file": str(secret)}}).start()
    d.installed("eab.example.org")
    assert ca.accounts == 1
    assert HMAC not in d.text()
    # D13: once registered, a binding that is of no use any more is not asked
    # for again.
    d.stop()
    secret.write_text("bm90IHRoZSBrZXk\n")
    d.start()
    d.renew("eab.example.org")
    d.installed("eab.example.org", version=2)
    assert ca.accounts == 1


def test_eab_newest(cas, acmed, work):
    ca = cas("newest", eab={"kid-1": HMAC})
    secret = write_secret(work / "hmac", HMAC)
    d = acmed(ca, ["eab.example.org"], at_ca={
        "eab": {"kid": "kid-1", "hmac-file": str(secret)}}).start()
    d.installed("eab.example.org")


def test_eab_secret_open_to_all(ca, acmed, work):
    secret = write_secret(work / "hmac", HMAC)
    secret.chmod(0o644)
    d = acmed(ca, ["eab.example.org"], at_ca={
        "eab": {"kid": "kid-1", "hmac-file": str(secret)}}).spawn()
    assert d.ended() == 2
    assert f"chmod 600 {secret}" in d.other[0]


def test_eab_file_not_there(cas, acmed, work):
    """It is told of when it is needed, and acmed runs all the same."""
    ca = cas("system", eab={"kid-1": HMAC})
    d = acmed(ca, ["eab.example.org"], at_ca={
        "eab": {"kid": "kid-1", "hmac-file": str(work / "hmac")}}).start()
    d.wait("issuing has to wait")
    assert str(work / "hmac") in d.status()["cas"][0]["trouble"]
    assert d.status()["cas"][0]["stopped"] is True
    assert ca.requests("POST") == 0
    write_secret(work / "hmac", HMAC)
    assert d.ctl("reload").returncode == 0
    d.installed("eab.example.org")


def test_eab_missing(cas, acmed):
    """C5: a clear error before any newAccount."""
    ca = cas("system", eab={"kid-1": HMAC})
    d = acmed(ca, ["eab.example.org"]).start()
    d.wait("issuing has to wait")
    view = d.status()
    assert view["cas"][0]["stopped"] is True
    assert "external account binding" in view["cas"][0]["trouble"]
    assert "hmac-file" in view["cas"][0]["trouble"]
    assert view["healthy"] is False
    assert ca.requests("POST") == 0
    r = d.ctl("status")
    assert r.returncode == 1
    assert "hmac-file" in r.stdout


def test_eab_wrong(cas, acmed, work):
    """The CA refuses it: told in its own words, and not asked again."""
    ca = cas("system", eab={"kid-1": HMAC}, PEBBLE_WFE_NONCEREJECT="0")
    secret = write_secret(work / "hmac", HMAC[::-1])
    d = acmed(ca, ["eab.example.org"], at_ca={
        "eab": {"kid": "kid-1", "hmac-file": str(secret)}}).start()
    d.wait("issuing has to wait")
    assert d.status()["cas"][0]["stopped"] is True
    assert ca.requests("POST") == 1
    assert ca.accounts == 0


@pytest.mark.parametrize("version", ["system", "newest"])
def test_ca_loses_everything(cas, acmed, version):
    """D6: registers once more with the same key, and goes on."""
    ca = cas(version, own=True, PEBBLE_WFE_NONCEREJECT="0")
    d = acmed(ca, ["a.example.org", "b.example.org"]).start()
    d.installed("a.example.org", "b.example.org")
    keys = sorted(p.name for p in (d.state / "keeper").glob("account-*"))
    assert len(keys) == 1
    serial = d.serial("a.example.org")
    ca.kill()
    ca.start()
    ca.mark()
    d.renew("a.example.org")
    d.installed("a.example.org", version=2, timeout=60)
    assert ca.accounts == 1
    assert d.serial("a.example.org") != serial
    assert sorted(p.name for p in
                  (d.state / "keeper").glob("account-*")) == keys
    assert len(d.find("the CA does not know our account any more: "
                      "registering again")) == 1
    # A chain of the CA's new key.
    check_pair(d.live("a.example.org"))
    # And that is what is on disk: no second registration after a restart.
    d.stop()
    d.start()
    d.renew("b.example.org")
    d.installed("b.example.org", version=2)
    assert ca.accounts == 1


def test_contact_changed(ca, acmed):
    """D9: told to the CA once, not at each start."""
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    d.stop()
    ca.mark()
    d.set(email="other@example.org").write()
    d.start()
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    assert ca.requests("POST", "/my-account/") == 1
    d.stop()
    ca.mark()
    d.start()
    d.renew("a.example.org")
    d.installed("a.example.org", version=3)
    assert ca.requests("POST", "/my-account/") == 0


def test_names_changed(ca, acmed):
    """J13: what the configuration says now is obtained now."""
    d = acmed(ca, [{"name": "x", "names": ["a.example.org"]}]).start()
    d.installed("x")
    d.set(domains=[{"name": "x", "names": ["a.example.org", "b.example.org"]}])
    d.write()
    assert d.ctl("reload").returncode == 0
    d.installed("x", version=2)
    assert cert_names(d.live("x") / "cert.pem") == {"a.example.org",
                                                    "b.example.org"}
    d.set(domains=[{"name": "x", "names": ["b.example.org", "a.example.org"],
                    "key": "ec384"}])
    d.write()
    assert d.ctl("reload").returncode == 0
    d.installed("x", version=3)
    assert "secp384r1" in openssl("x509", "-in", d.live("x") / "cert.pem",
                                  "-noout", "-text")


def test_wrong_root(cas, ca, acmed):
    """A2: a server that our root does not vouch for is told nothing."""
    d = acmed(ca, ["a.example.org"], at_ca={
        "ca-file": str(cas.other_pki.root)}).start()
    d.wait("issuing has to wait")
    assert re.search("certificate|SSL|verif",
                     d.status()["cas"][0]["trouble"])
    assert ca.requests() == 0


def test_wrong_name(ca, acmed):
    """A2: the right root, but not the name that was asked for."""
    # The name resolves, but the certificate is for localhost and 127.0.0.1.
    d = acmed(ca, ["a.example.org"], at_ca={
        "directory": f"https://other.localhost:{ca.acme_port}/dir"}).start()
    d.wait("issuing has to wait")
    assert ca.requests() == 0
    assert ca.accounts == 0


@pytest.mark.parametrize("version", ["system", "newest"])
def test_refused_name(cas, acmed, version):
    """P: rejectedIdentifier waits for a person; its neighbours do not."""
    ca = cas(version, PEBBLE_WFE_NONCEREJECT="0")
    d = acmed(ca, ["www.blocked.example", "fine.example.org"]).start()
    d.wait("certificate not issued", cert="www.blocked.example")
    d.installed("fine.example.org")
    c = d.cert("www.blocked.example")
    assert c["trouble"]["type"] == "rejectedIdentifier"
    assert "blocked" in c["trouble"]["text"]
    assert c["trouble"]["operator"] is True
    assert c["health"] == "bad"
    assert ca.requests("POST", "/order-plz") == 2
