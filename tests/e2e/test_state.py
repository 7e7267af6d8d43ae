# SPDX-License-Identifier: ISC
"""The state folder: full, damaged, in use; and what is remembered in it."""
import os
import select
import shutil
import threading

import pytest
from util import (cert_info, check_pair, free_port, run, until,
                  watch_renames)

pytestmark = pytest.mark.root


@pytest.fixture
def small_disk(work):
    """A file system of 1 MB that is ours alone; fill() leaves no byte."""
    where = work / "disk"
    where.mkdir(mode=0o755)
    r = run("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "e2e", where)
    if r.returncode != 0:
        pytest.skip(f"NOT TESTED: no tmpfs can be mounted: {r.stderr}")

    class Disk:
        path = where

        def fill(self, leave=0):
            with open(where / "ballast", "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"x" * 4096)
                except OSError:
                    pass
                if leave:
                    f.truncate(f.tell() - leave)

        def free(self):
            (where / "ballast").unlink()

    yield Disk()
    if run("umount", where).returncode != 0:
        run("umount", "-l", where)
        pytest.fail("somebody still uses the file system")


def snapshot(d, name):
    return {p.name: p.read_bytes() for p in d.live(name).iterdir()}


@pytest.mark.parametrize("leave", [0, 4096, 8192, 12288, 16384, 24576])
def test_full_disk(ca, small_disk, acmed, leave):
    """H10: wherever in the attempt the space ends, the old pair stays, nothing
    half is left, and it recovers when there is space again."""
    d = acmed(ca, ["a.example.org"], state_dir=str(small_disk.path / "s"))
    d.state = small_disk.path / "s"
    d.start().installed("a.example.org")
    old = snapshot(d, "a.example.org")
    account = sorted(p.name for p in (d.state / "keeper").glob("account-*"))
    small_disk.fill(leave)
    n = len(d.lines)
    d.renew("a.example.org")

    def over():
        return (d.find("certificate not issued", since=n) or
                d.find("certificate installed", since=n, part="engine"))
    until(over, 30, "the attempt to end")
    # There may have been room for the pair, but not for what we know of it.
    if d.version("a.example.org") == 1:
        assert d.find("certificate not issued", since=n)
        assert snapshot(d, "a.example.org") == old
    check_pair(d.live("a.example.org"))
    orders = ca.orders
    assert orders <= 2
    # Nor does a restart lose anything while the disk is full.
    assert d.stop() == 0
    check_pair(d.live("a.example.org"))
    small_disk.free()
    d.start()
    if d.version("a.example.org") == 1:
        d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    d.check_state("a.example.org")
    assert sorted(p.name for p in
                  (d.state / "keeper").glob("account-*")) == account
    assert ca.accounts == 1
    assert ca.orders <= 3


def test_full_at_first(ca, small_disk, acmed):
    """Nothing at all can be written: no account is made that would be lost."""
    d = acmed(ca, ["a.example.org"], state_dir=str(small_disk.path / "s"))
    d.state = small_disk.path / "s"
    d.set(domains=["a.example.org"])
    d.write()
    # The folders are there from an earlier start.
    d.state.mkdir(mode=0o755)
    d.start()
    d.installed("a.example.org")
    d.stop()
    for p in list(d.state.rglob("*")):
        if p.is_file() and p.name != "lock":
            p.unlink()
    (d.state / "live" / "a.example.org").unlink()
    shutil.rmtree(d.state / "versions" / "a.example.org")
    ca.mark()
    small_disk.fill()
    d.start()
    d.wait("CA not usable for now")
    assert ca.accounts == 0
    small_disk.free()
    d.renew("a.example.org")
    d.installed("a.example.org")
    assert ca.accounts == 1


def test_second_instance(ca, acmed):
    """Q12"""
    d = acmed(ca, ["a.example.org"]).start()
    other = acmed(ca, ["a.example.org"], state_dir=str(d.state)).spawn()
    assert other.ended() == 1
    why = other.wait("cannot run")
    assert "another acmed uses" in why["error"]
    assert str(d.state) in why["error"]
    d.installed("a.example.org")
    # Nor does it take the first one's socket away.
    assert d.ctl("status").returncode == 0


def test_same_socket(ca, acmed):
    """The control socket of a running daemon is not stolen."""
    d = acmed(ca, ["a.example.org"]).start()
    other = acmed(ca, ["a.example.org"],
                  control={"socket": str(d.socket)}).spawn()
    assert other.ended() == 1
    assert d.ctl("status").returncode in (0, 1)
    d.installed("a.example.org")


def test_failing_validation_and_restarts(ca, acmed):
    """Q2: fifty restarts, one newOrder; E19: nothing is deactivated."""
    d = acmed(ca, ["a.example.org"])
    # The CA asks a port where nobody is.
    d.set(http={"listen": f"127.0.0.1:{free_port()}"})
    d.start()
    first = d.wait("certificate not issued", timeout=60)
    assert first["type"] in ("connection", "unauthorized")
    assert ca.orders == 1
    told = d.cert("a.example.org")["trouble"]
    assert told["failures"] == 1 and told["next"] == first["next"]
    assert str(ca.http_port) in told["text"]
    # A minute is soon over; after the second failure it is ten.
    d.renew("a.example.org")
    d.wait("certificate not issued", count=2, timeout=60)
    told = d.cert("a.example.org")["trouble"]
    assert told["failures"] == 2 and ca.orders == 2
    requests = ca.requests()
    for i in range(50):
        if i % 10 == 9:
            d.kill()
        else:
            assert d.stop() == 0
        d.start()
    again = d.cert("a.example.org")["trouble"]
    assert again == told
    assert ca.orders == 2
    assert ca.requests() == requests
    # A person may ask for another try, once.
    d.renew("a.example.org")
    d.wait("certificate not issued", count=3, timeout=60)
    assert ca.orders == 3
    assert d.cert("a.example.org")["trouble"]["failures"] == 3


@pytest.mark.parametrize("damage", [
    b"", b"{", b"\0" * 600, b"\xff\xfe garbage", b"[]",
    b'{"version": "x"}'],
    ids=["empty", "cut", "zeroes", "garbage", "array", "wrong-type"])
def test_damaged_state(ca, acmed, damage):
    """Q11: put aside; the neighbour is not touched, the pair stays."""
    d = acmed(ca, ["a.example.org", "b.example.org"]).start()
    d.installed("a.example.org", "b.example.org")
    assert d.stop() == 0
    old = snapshot(d, "a.example.org")
    file = d.state / "engine" / "certs" / "a.example.org.json"
    file.write_bytes(damage)
    orders = ca.orders
    d.start()
    aside = [p.name for p in file.parent.iterdir() if ".bad-" in p.name]
    assert len(aside) == 1 and "a.example.org" in aside[0]
    assert (file.parent / aside[0]).read_bytes() == damage
    assert d.find("damaged state put aside, begun anew")
    # Q4: made anew from what is in service, without an order.
    until(lambda: "restored" in d.cert("a.example.org"), 20, "its memory")
    d.installed("a.example.org", version=1)
    assert snapshot(d, "a.example.org") == old
    check_pair(d.live("a.example.org"))
    assert d.version("b.example.org") == 1
    assert "restored" not in d.cert("b.example.org")
    assert ca.orders == orders
    assert ca.accounts == 1
    # And it is complete: the next renewal is as any other.
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    assert ca.orders == orders + 1


def test_damaged_account(ca, acmed):
    """The account file is put aside; certificates go on."""
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    d.stop()
    (d.state / "engine" / "accounts" / "test.json").write_bytes(b"{]")
    d.start()
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    check_pair(d.live("a.example.org"))
    assert [p for p in (d.state / "engine" / "accounts").iterdir()
            if ".bad-" in p.name]
    assert ca.accounts == 2


def test_lost_key(ca, acmed):
    """R17: a certificate key that is empty is not used for ever."""
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    d.stop()
    for key in (d.state / "keeper").glob("cert-*"):
        key.write_bytes(b"")
    d.start()
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    check_pair(d.live("a.example.org"))


def test_lost_account_key(ca, acmed):
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    d.stop()
    for key in (d.state / "keeper").glob("account-*"):
        key.unlink()
    d.start()
    d.renew("a.example.org")
    d.wait("the account's key is lost: a new account will be made")
    d.installed("a.example.org", version=2)
    assert ca.accounts == 2


def test_something_in_the_way(ca, acmed):
    """live/NAME is somebody else's folder: it is left alone, and told."""
    d = acmed(ca, ["a.example.org"])
    d.state.mkdir(mode=0o755)
    (d.state / "live").mkdir(mode=0o755)
    mine = d.live("a.example.org")
    mine.mkdir()
    (mine / "precious").write_text("x")
    d.start()
    x = d.wait("certificate not issued")
    assert "in the way" in x["error"]
    assert (mine / "precious").read_text() == "x"
    (mine / "precious").unlink()
    mine.rmdir()
    d.renew("a.example.org")
    d.installed("a.example.org")
    # What was issued is used: no order for that.
    assert ca.orders == 1


def test_state_of_others(ca, acmed):
    d = acmed(ca, ["a.example.org"])
    d.state.mkdir()
    d.state.chmod(0o777)
    d.spawn()
    assert d.ended() == 1
    assert "others may write there" in d.wait("cannot run")["error"]
    d.state.chmod(0o755)
    os.chown(d.state, 65534, 65534)
    d.spawn()
    assert d.ended() == 1
    error = d.lines[-1]["error"]
    assert "belongs to uid 65534" in error
    assert f"chown root {d.state}" in error
    os.chown(d.state, 0, 0)
    (d.state / "live").symlink_to(d.where)
    d.spawn()
    assert d.ended() == 1
    assert "live must be a folder, and not a symlink" in d.lines[-1]["error"]


def test_unknown_users(ca, acmed):
    d = acmed(ca, ["a.example.org"], user="no-such-user").spawn()
    assert d.ended() == 1
    assert "no-such-user" in d.wait("cannot run")["error"]
    d.set(user="acmed", keeper_user="acmed").write()
    d.spawn()
    assert d.ended() == 2
    assert "`user` and `keeper-user` are both `acmed`" in d.other[-1]
    d.set(keeper_user="root").write()
    d.spawn()
    assert d.ended() == 1
    assert "root" in d.lines[-1]["error"]


class Reader(threading.Thread):
    """Open each live folder once, and look whether the pair matches: at the
    moment of each swap, and all the time."""

    def __init__(self, d, names):
        super().__init__(daemon=True)
        self.d, self.names = d, names
        self.over = threading.Event()
        self.looks, self.bad = 0, []
        self.serials = {n: set() for n in names}

    def look(self, name):
        try:
            info = check_pair(self.d.live(name))
            self.serials[name].add(info["serialNumber"])
            self.looks += 1
        except Exception as e:  # whatever it is, it is wrong
            self.bad.append((name, repr(e)))

    def run(self):
        fd = watch_renames(self.d.state / "live")
        try:
            while not self.over.is_set():
                if select.select([fd], [], [], 0.005)[0]:
                    text = os.read(fd, 65536)
                    for n in self.names:
                        if f"{n}\0".encode() in text:
                            self.look(n)
                else:
                    for n in self.names:
                        self.look(n)
        finally:
            os.close(fd)


def test_short_lives(cas, acmed):
    """S5: certificates of 12 s, renewed again and again; a reader never sees a
    key and a certificate that do not belong together, nor an expired one."""
    ca = cas("system", life=12)
    names = [f"s{i}.example.org" for i in range(8)]
    d = acmed(ca, names).start()
    d.installed(*names)
    reader = Reader(d, names)
    reader.start()
    until(lambda: all(len(s) >= 4 for s in reader.serials.values()) and
          reader.looks > 500, 180, "three renewals of each", every=0.2)
    reader.over.set()
    reader.join()
    assert reader.bad == []
    # Renewed at about half of their life, and only then.
    assert ca.orders <= sum(len(s) for s in reader.serials.values()) + 8
    assert ca.accounts == 1
    # Keys of old certificates are not kept for ever; an attempt has one more.
    until(lambda: len(list((d.state / "keeper").glob("cert-*"))) <=
          3 * len(names), 20, "keys of old certificates to go")
    assert not d.find("certificate not issued")
    assert d.stop() == 0  # or another one may just be being installed
    for n in names:
        info = cert_info(d.live(n) / "cert.pem")
        assert info["notAfter"]
        assert len(list((d.state / "versions" / n).iterdir())) == 3
        assert len(list((d.state / "engine" / "certs").iterdir())) == 8


def test_share_left(cas, acmed):
    """What status says of a life of seconds is a share of it."""
    ca = cas("system", life=60)
    d = acmed(ca, ["a.example.org"]).start()
    d.installed("a.example.org")
    share = until(lambda: (x := d.cert("a.example.org")["left_permille"]) <
                  1000 and x, 10)
    assert 700 <= share < 1000
