# SPDX-License-Identifier: ISC
"""A server's look at live/NAME, again and again: reader.py ROOT LIVE...

Each look opens the folder behind the symlink once, as a server would that
loads a pair, and reads all of it.  So that no moment without a symlink is too
short to be seen, the kernel tells of all that happens to names in live/.
Until standard input ends; then one line of JSON says how many looks there
were, at how many pairs, and what was wrong."""
import hashlib
import json
import os
import select
import ssl
import struct
import sys
import tempfile

from util import inotify_add, inotify_new, run

FILES = ("privkey.pem", "fullchain.pem", "cert.pem", "chain.pem")
BAD_MAX = 20
IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x40, 0x80, 0x100, 0x200
EVENT = struct.Struct("=iIII")


class Reader:
    def __init__(self, root, where):
        self.root, self.where = root, where
        self.known = set()  # pairs that were found to be good
        self.there = set()  # what may not be missing any more
        self.looks = self.swaps = 0
        self.bad = []

    def look(self, live):
        try:
            fd = os.open(live, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            assert live not in self.there, f"{live} is gone"
            return
        self.there.add(live)
        self.looks += 1
        try:
            files = [self.read(fd, name) for name in FILES]
        finally:
            os.close(fd)
        digest = hashlib.sha256(b"\0".join(files)).digest()
        if digest not in self.known:
            self.check(*files)
            self.known.add(digest)

    def read(self, dir_fd, name):
        with open(os.open(name, os.O_RDONLY, dir_fd=dir_fd), "rb") as f:
            return f.read()

    def check(self, key, full, cert, chain):
        assert full == cert + chain, "fullchain.pem is another one"
        assert chain, "no chain"
        paths = []
        for name, data in (("key", key), ("full", full), ("chain", chain)):
            paths.append(os.path.join(self.where, name))
            with open(paths[-1], "wb") as f:
                f.write(data)
        # Compares the two public keys.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            paths[1], paths[0])
        r = run("openssl", "verify", "-no_check_time", "-CAfile", self.root,
                "-untrusted", paths[2], paths[1])
        assert r.returncode == 0, r.stderr

    def watch(self, fd, folders):
        """The folders that are not there yet."""
        return [f for f in folders if not os.path.isdir(f) or
                inotify_add(fd, f, IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE |
                            IN_DELETE) == -1]

    def events(self, fd):
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            _, mask, _, size = EVENT.unpack_from(data, at)
            at += EVENT.size
            name = data[at:at + size].rstrip(b"\0").decode()
            at += size
            # Temporary names come and go; the others are only replaced.
            if not name.startswith("."):
                self.swaps += 1
                assert mask & 0xfff == IN_MOVED_TO, f"{name}: event {mask:#x}"

    def round(self, fd, lives):
        try:
            self.events(fd)
            for live in lives:
                self.look(live)
        except (OSError, AssertionError) as e:
            if len(self.bad) < BAD_MAX:
                self.bad.append(f"{type(e).__name__}: {e}")

    def go(self, lives):
        fd = inotify_new()
        unseen = sorted({os.path.dirname(x) for x in lives})
        while sys.stdin not in select.select(
                [sys.stdin, fd], [], [], 0.002)[0]:
            unseen = self.watch(fd, unseen)
            self.round(fd, lives)
        print(json.dumps({"looks": self.looks, "pairs": len(self.known),
                          "swaps": self.swaps, "there": len(self.there),
                          "bad": self.bad}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as tmp:
        Reader(sys.argv[1], tmp).go(sys.argv[2:])
