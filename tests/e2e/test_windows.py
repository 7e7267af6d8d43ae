# SPDX-License-Identifier: ISC
"""Renewal windows (RFC 9773) of a Pebble that knows them; what odd CAs say of
them is in test_ari.py."""
import base64
import json
import threading
import time

import pytest
from proxy import Proxy, problem
from util import openssl, seconds_to, until

pytestmark = pytest.mark.root

ORDER = r"^/order-plz"
INFO = r"/renewalInfo/"
WHY = "https://ca.example/why?incident=7"
RECALL = "the CA wants this certificate replaced now: its renewal window is over"


@pytest.fixture(params=[None])
def px(cas, request):
    p = Proxy(cas("newest", life=request.param, PEBBLE_WFE_NONCEREJECT="0",
                  PEBBLE_AUTHZREUSE="0"))
    yield p
    p.stop()


def ari_id(d, name):
    """As openssl sees the certificate, not as acmed does."""
    out = openssl("x509", "-in", d.live(name) / "cert.pem", "-noout",
                  "-serial", "-ext", "authorityKeyIdentifier")
    lines = [x.strip() for x in out.splitlines()]
    serial = next(x for x in lines if x.startswith("serial="))[7:]
    serial = bytes.fromhex("0" * (len(serial) % 2) + serial)
    if serial[0] & 0x80:
        serial = b"\0" + serial
    keyid = bytes.fromhex(lines[-1].removeprefix("keyid:").replace(":", ""))
    return ".".join(base64.urlsafe_b64encode(x).decode().rstrip("=")
                    for x in (keyid, serial))


def recall(d, name):
    """The CA says that its window is over since an hour."""
    now = int(time.time())
    d.ca.ca.window((d.live(name) / "cert.pem").read_text(), now - 7200,
                   now - 3600, WHY)


def replaces(ex):
    return json.loads(ex.payload).get("replaces")


def test_window(px, acmed):
    """J1 to J3: asked once there is a certificate, and then not before the CA
    says; its one instant outlives a restart."""
    d = acmed(px, ["a.example.org"]).start()
    d.wait("renewal window", cert="a.example.org")
    d.installed("a.example.org")
    c = d.cert("a.example.org")
    w = c["window"]
    assert w["start"] <= w["picked"] <= w["end"]
    assert c["renew_at"] == w["picked"]
    shown = d.ctl("show", "a.example.org").stdout
    assert f"CA's window: {w['start']}" in shown and w["end"] in shown
    assert "replace" not in c
    asked, = px.requests("GET", INFO)
    assert asked.path.rsplit("/", 1)[1] == c["ari_id"] == ari_id(
        d, "a.example.org")
    assert 0 < seconds_to(w["asked_again"]) < 1.1 * 21600
    d.stop()
    d.start()
    again = d.cert("a.example.org")
    assert (again["window"], again["renew_at"]) == (w, c["renew_at"])
    assert len(px.requests("GET", INFO)) == 1


@pytest.mark.parametrize("px", [60], indirect=True)
def test_recalled(px, acmed):
    """J10 to J12: a window that is over means now, and that is said loudly;
    when "replaces" is refused, without it in the same attempt.  A twentieth
    of a life must be over, and so it is a short one."""
    known, hold = threading.Event(), threading.Event()
    px.rule("GET", INFO, hold=known)
    px.rule("POST", ORDER, skip=1, hold=hold,
            answer=problem("alreadyReplaced", 409))
    d = acmed(px, ["a.example.org"]).start()
    d.installed("a.example.org")
    old, first = ari_id(d, "a.example.org"), d.serial("a.example.org")
    recall(d, "a.example.org")
    known.set()
    said = d.wait(RECALL, cert="a.example.org")
    assert said["level"] == "warn" and said["see"] == WHY
    until(lambda: len(px.requests("POST", ORDER)) == 2, 20)
    assert d.cert("a.example.org")["replace"]["url"] == WHY
    for r in d.ctl("status"), d.ctl("show", "a.example.org"):
        assert "wants it replaced" in r.stdout and WHY in r.stdout
    hold.set()
    d.installed("a.example.org", version=2)
    assert d.serial("a.example.org") != first
    assert [replaces(x) for x in px.requests("POST", ORDER)] == [
        None, old, None]
    assert not d.find("certificate not issued")
    # The new one has a window of its own.
    new = ari_id(d, "a.example.org")
    assert new != old
    until(lambda: px.requests("GET", INFO)[-1].path.endswith(new), 20)
    assert "replace" not in d.cert("a.example.org")


def test_recalled_later(px, acmed):
    """J17: some of many are recalled while acmed is away: it finds out soon
    after its start, though not all at the same moment."""
    names = [f"r{i}.example.org" for i in range(12)]
    px.rule("GET", INFO, times=12, answer=(503, [], b""))
    d = acmed(px, names).start()
    d.installed(*names, timeout=60)
    until(lambda: len(px.requests("GET", INFO)) == 12, 20)
    d.stop()
    for n in names:
        recall(d, n)
        # What was installed today is not hurried.
        d.remembered(n, lambda root: root["certificate"].update(
            installed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(
                time.time() - 30 * 86400))))
    d.start()
    name = d.wait(RECALL, timeout=60)["cert"]
    d.installed(name, version=2)
    assert len(px.requests("GET", INFO)) < 24
    assert replaces(px.requests("POST", ORDER)[12])
