# SPDX-License-Identifier: ISC
"""What the two halves of the conformance run share: the form, the table."""
import json
import os
import ssl
import time

from test_state import Reader
from util import PATIENCE, check_pair

FULL = os.environ.get("ACMED_CONFORMANCE") == "full"


def row(item, form, figures, *more):
    """A line of the table that run.sh prints: only what has passed gets
    here."""
    table = os.environ.get("ACMED_TABLE")
    text = json.dumps([item, form, figures.format(*more)])
    if table:
        with open(table, "a", buffering=1) as f:
            f.write(text + "\n")
    print(text)


class Watcher(Reader):
    """Sees mismatches, as the other readers do, and gaps."""

    def look(self, name):
        try:
            info = check_pair(self.d.live(name))
        except Exception as e:  # whatever it is, it is wrong
            self.bad.append((name, repr(e)))
            return
        self.looks += 1
        self.serials[name].add(info["serialNumber"])
        left = ssl.cert_time_to_seconds(info["notAfter"]) - time.time()
        if left < 0 and PATIENCE == 1:
            self.bad.append((name, f"expired {-left:.1f} s ago"))
