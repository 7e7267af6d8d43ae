# SPDX-License-Identifier: ISC
"""Let's Encrypt's limits as token buckets, in a time that may run faster."""
from jose import Bad

H, D = 3600, 86400
# capacity, period; per account, but domain and names: for the whole CA.
LIMITS = {
    "letsencrypt": {
        "accounts": (10, 3 * H), "orders": (300, 3 * H),
        "domain": (50, 7 * D), "names": (5, 7 * D), "failures": (5, H),
        "consecutive": (1152, 1152 * D)},
    "letsencrypt-staging": {
        "accounts": (50, 3 * H), "orders": (1500, 3 * H),
        "domain": (30000, 7 * D), "names": (30000, 7 * D),
        "failures": (200, H), "consecutive": (3600, 6 * H)},
}
WORDS = {
    "accounts": "too many registrations from this IP address",
    "orders": "too many new orders from this account",
    "domain": "too many certificates already issued for {}",
    "names": "too many certificates already issued for this exact set of "
             "identifiers: {}",
    "failures": "too many failed authorizations for {}"}
HELP = "https://letsencrypt.example/docs/rate-limits"
TWO = {"co.uk", "org.uk", "com.au", "co.jp", "com.br"}


def registered_domain(name):
    """Near enough to the public suffix list for the names of tests."""
    if name.replace(".", "").isdigit() or ":" in name:
        return name
    labels = name.removeprefix("*.").split(".")
    n = 3 if ".".join(labels[-2:]) in TWO else 2
    return ".".join(labels[-n:])


class Limits:
    def __init__(self, name, clock, scale=1):
        """clock: seconds now; scale: how much faster a limit's time runs."""
        self.of = LIMITS[name]
        self.clock, self.scale = clock, scale
        self.full_at = {}  # (limit, of what): when the bucket is full again
        self.refused = 0
        self.paused = set()  # (account, name)

    def _step(self, limit):
        capacity, period = self.of[limit]
        return period / capacity / self.scale, period / self.scale

    def wait(self, limit, key):
        """Seconds until one can be taken."""
        step, period = self._step(limit)
        full_at = self.full_at.get((limit, key), 0)
        return max(0, full_at + step - period - self.clock())

    def spend(self, limit, key):
        step, _ = self._step(limit)
        at = max(self.full_at.get((limit, key), 0), self.clock())
        self.full_at[limit, key] = at + step

    def left(self, limit, key):
        step, period = self._step(limit)
        ahead = max(0, self.full_at.get((limit, key), 0) - self.clock())
        return int((period - ahead) / step + 1e-9)

    def refuse(self, limit, key, wait):
        self.refused += 1
        e = Bad("rateLimited", f"{WORDS[limit].format(key)}, retry after "
                f"{int(wait) + 1} s: see {HELP}", 429, False)
        e.headers = [("Retry-After", str(int(wait) + 1)),
                     ("Link", f'<{HELP}>;rel="help"')]
        raise e

    def new_account(self):
        wait = self.wait("accounts", "")
        if wait > 0:
            self.refuse("accounts", "", wait)
        self.spend("accounts", "")

    def new_order(self, account, names, ari, renewal):
        """Raise Bad, or take what an order takes.  Only the limit that ends
        last is told."""
        if (paused := [n for n in names if (account, n) in self.paused]):
            self.refused += 1
            raise Bad("rateLimited", "Your account is temporarily prevented "
                      f"from requesting certificates for {paused[0]} due to "
                      "repeated failures. Please visit: https://mock.example"
                      f"/sfe/v1/unpause?jwt={'x' * 200}", 429, False)
        asked = [("failures", f"{account} {n}", n) for n in names]
        if not ari:
            key = ",".join(sorted(names))
            asked.append(("names", key, key))
        if not ari and not renewal:
            asked.append(("orders", account, account))
            asked += [("domain", d, d) for d in
                      sorted({registered_domain(n) for n in names})]
        waits = [(self.wait(limit, key), limit, shown)
                 for limit, key, shown in asked]
        wait, limit, shown = max(waits)
        if wait > 0:
            self.refuse(limit, shown, wait)
        if not ari and not renewal:
            self.spend("orders", account)

    def issued(self, names, ari, renewal):
        if not ari:
            self.spend("names", ",".join(sorted(names)))
        if not ari and not renewal:
            for d in {registered_domain(n) for n in names}:
                self.spend("domain", d)

    def failed(self, account, name):
        self.spend("failures", f"{account} {name}")
        key = f"{account} {name}"
        self.spend("consecutive", key)
        if self.left("consecutive", key) <= 0:
            self.paused.add((account, name))

    def succeeded(self, account, name):
        self.full_at.pop(("consecutive", f"{account} {name}"), None)
