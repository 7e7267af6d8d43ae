# SPDX-License-Identifier: ISC
"""
The state folder and the configuration of a daemon that has obtained any number
of certificates, none of which is due.  What the daemon opens at its start is
there; versions/ and live/ are empty, since it looks there only to install.
"""
import base64
import datetime
import hashlib
import json
import os
import pwd

DIRECTORY = "https://127.0.0.1:14000/dir"
# Of the most links that ext4 allows.
LINKS = 60000


def fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return h


def wants(names):
    """What cert_wants() of daemon/engine/certs.c makes of ec256."""
    h = 0
    for name in names:
        h = h * 31 + fnv(name.encode())
    return {"names": format(h & (1 << 64) - 1, "016x"),
            "ca": fnv(DIRECTORY.encode()) & (1 << 32) - 1,
            "profile": 0, "required": False, "key": 0}


def name_of(i):
    return f"customer{i}.example.org"


def hexes(what, i):
    return hashlib.sha256(f"{what}{i}".encode()).hexdigest()


def time_text(now, days):
    return (now + datetime.timedelta(days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def certificate(i, now):
    b64 = lambda v: base64.urlsafe_b64encode(bytes.fromhex(v)).rstrip(
        b"=").decode()
    serial = hexes("serial", i)[:36]
    made_for = wants([name_of(i)])
    return {
        "name": name_of(i), "saved_at": time_text(now, -1), "wants": made_for,
        "certificate": {
            "key": hexes("key", i), "serial": serial,
            "issuer": f"CA {i % 4}", "ca": "bench", "names": name_of(i),
            "ari": b64(hexes("issuer", i % 4)[:40]) + "." + b64(serial),
            "not_before": time_text(now, -1),
            "not_after": time_text(now, 89),
            "installed_at": time_text(now, -1),
            "by_fraction": time_text(now, 58), "version": 1,
            "made_for": made_for},
        "deploy": "done"}


def configuration(folder, names, root, port=5080, log="info"):
    path = os.path.join(folder, "acmed.yaml")
    with open(path, "w", encoding="ascii") as out:
        out.write(
            "email: admin@example.org\nagree-tos: true\n"
            f"state-dir: {folder}/state\n"
            f"log: {{level: {log}}}\n"
            f"http: {{listen: [\"127.0.0.1:{port}\"]}}\n"
            f"control: {{socket: {folder}/acmed.sock}}\n"
            f"ca: {{bench: {{directory: \"{DIRECTORY}\", "
            f"ca-file: {root}, max-orders: 8}}}}\n"
            "defaults: {ca: bench}\ndomains:\n")
        for name in names:
            out.write(f"  - {name}\n")
    return path


class Owner:
    """Makes folders and files of one user, if we may."""

    def __init__(self, user):
        self.ids = (-1, -1)
        if os.geteuid() == 0:
            entry = pwd.getpwnam(user)
            self.ids = (entry.pw_uid, entry.pw_gid)

    def folder(self, path):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o700)
        os.chown(path, *self.ids)
        return path

    def file(self, path, text):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchown(fd, *self.ids)
        os.write(fd, text.encode())
        os.close(fd)


def generate(folder, n):
    """state/ in folder, for certificates 0 to n - 1."""
    state = os.path.join(folder, "state")
    os.makedirs(state, mode=0o755)
    engine, keeper = Owner("acmed"), Owner("acmed-keeper")
    certs = engine.folder(state + "/engine") and \
        engine.folder(state + "/engine/certs")
    accounts = engine.folder(state + "/engine/accounts")
    keys = keeper.folder(state + "/keeper")
    now = datetime.datetime.now(datetime.timezone.utc)
    engine.file(accounts + "/bench.json", json.dumps({
        "directory": DIRECTORY, "key": hexes("account", 0),
        "thumbprint": base64.urlsafe_b64encode(
            bytes.fromhex(hexes("thumbprint", 0))).rstrip(b"=").decode(),
        "url": "https://127.0.0.1:14000/my-account/1",
        "email": "admin@example.org", "eab_kid": None}, indent=2))
    for i in range(n):
        engine.file(f"{certs}/{name_of(i)}.json",
                    json.dumps(certificate(i, now), indent=2))
        key = f"{keys}/cert-{hexes('key', i)}.pem"
        if i % LINKS == 0:
            first = key
            keeper.file(key, "x" * 240)
        else:
            os.link(first, key)
    return [name_of(i) for i in range(n)]
