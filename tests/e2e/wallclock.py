# SPDX-License-Identifier: ISC
"""The clocks of one acmed, set as a person, NTP or a suspend would."""
import mmap
import os
import struct
import subprocess
import time

from util import ROOT, until

PLAN = struct.Struct("=qqI")  # struct plan of wallclock.c
DAY = 86400


class Clock:
    """What a preloaded library tells the processes of d, and the CA's clock
    with it when asked."""

    def __init__(self, d, where):
        library = where / "wallclock.so"
        if not library.exists():
            subprocess.run(
                ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE",
                 "-shared", "-fPIC", "-o", library,
                 ROOT / "tests/e2e/wallclock.c"], check=True)
        self.file = d.where / "wallclock"
        self.file.write_bytes(bytes(PLAN.size))
        self.file.chmod(0o666)  # the engine counts in it
        self.fd = os.open(self.file, os.O_RDWR | os.O_CLOEXEC)
        self.map = mmap.mmap(self.fd, PLAN.size)
        d.env = {"LD_PRELOAD": str(library), "ACMED_WALLCLOCK": str(self.file)}
        self.d = d

    def close(self):
        self.map.close()
        os.close(self.fd)

    @property
    def offsets(self):
        return PLAN.unpack(self.map)[:2]

    @property
    def heard(self):
        return PLAN.unpack(self.map)[2]

    def now(self):
        """As acmed has it."""
        return time.time() + self.offsets[0] / 1000

    def jump(self, seconds, suspend=False):
        """The wall clock is set, or the machine sleeps so long; returns when
        the engine, if there is one, has heard of it."""
        before = self.heard
        wall, boot = self.offsets
        ms = int(seconds * 1000)
        os.pwrite(self.fd, struct.pack(
            "=qq", wall + ms, boot + ms * suspend), 0)
        if self.d.process is not None and self.d.process.poll() is None:
            until(lambda: self.heard > before, 20, "the engine to hear of it")

    def to(self, seconds):
        """The wall clock shows that instant."""
        self.jump(seconds - self.now())
