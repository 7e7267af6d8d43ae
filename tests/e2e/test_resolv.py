# SPDX-License-Identifier: ISC
"""resolv.conf, which others replace while acmed runs."""
import random
import shutil

import pytest
from util import listens, run, until

pytestmark = pytest.mark.root

X = "a.example.org"


@pytest.fixture
def etc(work):
    """A folder that is /etc for what is started with its prefix, in a mount
    namespace of its own."""
    copy = work / "etc"
    copy.mkdir(mode=0o755)
    for name in "passwd", "group", "hosts", "ld.so.cache":
        shutil.copy(f"/etc/{name}", copy)
    if run("unshare", "-m", "mount", "--bind", copy, "/etc").returncode != 0:
        pytest.skip("NOT TESTED: no mount namespace")
    (copy / "nsswitch.conf").write_text("hosts: files dns\n")

    class Etc:
        prefix = ["unshare", "-m", "sh", "-c",
                  f"mount --bind {copy} /etc && exec \"$@\"", "sh"]

        @staticmethod
        def nameserver(address):
            """As dhclient and NetworkManager do it: another file."""
            new = copy / "resolv.conf.new"
            new.write_text(f"nameserver {address}\noptions timeout:1\n")
            new.rename(copy / "resolv.conf")
    return Etc


@pytest.fixture
def named(cas):
    """A CA whose name only its own DNS server knows, at port 53."""
    address = ".".join(["127", *(str(random.randrange(2, 250))
                                 for _ in range(3))])
    ca = cas("system", own=True, PEBBLE_WFE_NONCEREJECT="0")
    ca._spawn([ca.programs / "pebble-challtestsrv", "-dns01", f"{address}:53",
               "-http01", "", "-https01", "", "-tlsalpn01", "", "-management",
               "127.0.0.1:0", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""],
              ca.where / "dns53.log", {})
    until(lambda: listens(address, 53), 10, "the DNS server at port 53")
    return ca, address


def test_replaced(named, etc, acmed):
    """A host that gets its name server late, and then another one."""
    ca, address = named
    etc.nameserver("127.255.255.1")  # nobody
    d = acmed(ca, [X], at_ca={
        "directory": f"https://ca.example.test:{ca.acme_port}/dir"})
    d.prefix = etc.prefix
    d.start()
    d.wait("CA not usable for now")
    assert "resolve" in d.status()["cas"][0]["trouble"]
    for version in 1, 2:
        etc.nameserver(address)
        d.renew(X)
        d.installed(X, version=version)
        etc.nameserver("127.255.255.1")
    assert until(lambda: d.status()["healthy"], 10)
