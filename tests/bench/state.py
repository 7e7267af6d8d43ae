# SPDX-License-Identifier: ISC
"""
The state folder and the configuration of a daemon that has obtained any number
of certificates, none of which is due.  What the daemon opens at its start is
there, and what is in service of those that it looks at in its first minute.
"""
import base64
import datetime
import hashlib
import json
import os
import pwd
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "mock"))
import pki  # noqa: E402

DIRECTORY = "https://127.0.0.1:14000/dir"
# Of the most links that ext4 allows.
LINKS = 60000
# It looks at one each 20 ms for damage.
LOOKED_AT = 3000


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


def serial_of(i):
    """Positive, which spares a byte."""
    return "1" + hexes("serial", i)[1:36]


def time_text(now, days):
    return (now + datetime.timedelta(days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def certificate(i, now):
    b64 = lambda v: base64.urlsafe_b64encode(bytes.fromhex(v)).rstrip(
        b"=").decode()
    serial = serial_of(i)
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


class Live:
    """versions/ and live/, as root has them: one key and one CA for all."""

    def __init__(self, state, now):
        self.versions, self.live = f"{state}/versions", f"{state}/live"
        os.makedirs(self.versions, 0o755)
        os.makedirs(self.live, 0o755)
        self.begin = now.timestamp() - 86400
        self.key, self.by = pki.new_key(), pki.new_key()
        self.issuer = pki.name("bench")
        self.chain = pki.sign(
            self.issuer, self.by.public_key(), self.issuer, self.by,
            self.begin, self.begin + 900 * 86400,
            (pki.x509.BasicConstraints(True, None), True)).public_bytes(
                pki.PEM)
        self.privkey = self.key.private_bytes(
            pki.PEM, pki.serialization.PrivateFormat.PKCS8,
            pki.serialization.NoEncryption())

    def add(self, i):
        name = name_of(i)
        leaf = pki.sign(
            pki.name(None), self.key.public_key(), self.issuer, self.by,
            self.begin, self.begin + 90 * 86400,
            (pki.x509.SubjectAlternativeName([pki.alt_name(name)]), True),
            serial=int(serial_of(i), 16)).public_bytes(pki.PEM)
        where = f"{self.versions}/{name}/1"
        os.makedirs(where, 0o755)
        for file, data in (("cert", leaf), ("chain", self.chain),
                           ("fullchain", leaf + self.chain),
                           ("privkey", self.privkey)):
            with open(f"{where}/{file}.pem", "wb") as out:
                out.write(data)
        os.symlink(f"../versions/{name}/1", f"{self.live}/{name}")


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
    live = Live(state, now)
    for i in range(n):
        if i < LOOKED_AT:
            live.add(i)
        engine.file(f"{certs}/{name_of(i)}.json",
                    json.dumps(certificate(i, now), indent=2))
        key = f"{keys}/cert-{hexes('key', i)}.pem"
        if i % LINKS == 0:
            first = key
            keeper.file(key, live.privkey.decode())
        else:
            os.link(first, key)
    return [name_of(i) for i in range(n)]
