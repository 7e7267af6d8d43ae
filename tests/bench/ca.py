# SPDX-License-Identifier: ISC
"""
A local CA (Pebble), and how many certificates it can issue: a client that
does nothing but ask.  It keeps no state, writes no files, makes its requests
for certificates beforehand and signs with OpenSSL, which is many times as fast
as what the daemon signs with.
"""
import base64
import contextlib
import ctypes
import ctypes.util
import hashlib
import http.client
import json
import multiprocessing
import os
import select
import signal
import socket
import ssl
import subprocess
import threading
import time

from procs import Failed, Program, can_connect, cpu_ms, wait_for

DIRECTORY = 14000
MANAGEMENT = 15000
DNS = 8053
HTTP = 5080


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


# Between asking for a certificate and looking for it: Pebble may stand still
# for ever when an order is looked at while it is completed
# (github.com/letsencrypt/pebble/issues/554).
PAUSE_S = 0.01


class Wedged(Exception):
    """It is Pebble that has stopped."""


class Pebble:
    """Pebble and its name server.  "env" are Pebble's own settings."""

    def __init__(self, program, folder, **env):
        self.folder, self.program = folder, program
        self.env = dict({"PEBBLE_VA_NOSLEEP": "1",
                         "PEBBLE_WFE_NONCEREJECT": "0",
                         "PEBBLE_AUTHZREUSE": "0"}, **env)
        self.root = os.path.join(folder, "ca.pem")
        self.dns = self.ca = None

    def _certificate(self):
        f = lambda name: os.path.join(self.folder, name)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", f("ca.key"),
                "-out", self.root, "-days", "2", "-subj", "/CN=bench")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", f("pebble.key"), "-out", f("pebble.csr"),
                "-subj", "/CN=localhost")
        with open(f("ext"), "w", encoding="ascii") as out:
            out.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", f("pebble.csr"), "-CA", self.root,
                "-CAkey", f("ca.key"), "-days", "2", "-extfile", f("ext"),
                "-out", f("pebble.pem"))
        os.chmod(self.root, 0o644)

    def _name_server(self):
        args = [self.program + "-challtestsrv"]
        text = subprocess.run(args + ["-h"], capture_output=True, text=True,
                              check=False).stderr
        args += ["-dnsserver" if "-dnsserver" in text else "-dns01",
                 f"127.0.0.1:{DNS}"]
        for off in ("-http01", "-https01", "-tlsalpn01", "-doh"):
            if off + " " in text:
                args += [off, ""]
        args += ["-management", "127.0.0.1:8055", "-defaultIPv4", "127.0.0.1",
                 "-defaultIPv6", ""]
        return Program(args, os.path.join(self.folder, "dns.log"))

    def __enter__(self):
        for port in (DIRECTORY, MANAGEMENT, HTTP):
            if can_connect(("127.0.0.1", port)):
                raise Failed(f"somebody listens on port {port}: run this as "
                             "root, in a network of its own")
        self._certificate()
        conf = os.path.join(self.folder, "pebble.json")
        with open(conf, "w", encoding="ascii") as out:
            json.dump({"pebble": {
                "listenAddress": f"127.0.0.1:{DIRECTORY}",
                "managementListenAddress": f"127.0.0.1:{MANAGEMENT}",
                "certificate": os.path.join(self.folder, "pebble.pem"),
                "privateKey": os.path.join(self.folder, "pebble.key"),
                "httpPort": HTTP, "tlsPort": 5443, "ocspResponderURL": "",
                "externalAccountBindingRequired": False}}, out)
        self.dns = self._name_server()
        self.ca = Program([self.program, "-config", conf, "-dnsserver",
                           f"127.0.0.1:{DNS}"],
                          os.path.join(self.folder, "pebble.log"), self.env)
        try:
            wait_for("Pebble", lambda: self.ca.alive() and
                     can_connect(("127.0.0.1", DIRECTORY)))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.ca.stop()
        self.dns.stop()

    def ask_whether_wedged(self):
        """Raises Wedged if all that it does is wait for its own locks.  Ends
        it either way."""
        self.ca.proc.send_signal(signal.SIGQUIT)  # Go says what it was doing
        self.ca.proc.wait(10)
        with open(self.ca.log, encoding="utf-8", errors="replace") as f:
            if "[sync.RWMutex" in f.read():
                raise Wedged("Pebble waits for itself, as some versions do")

    def cpu_ms(self):
        return sum(cpu_ms(self.ca.pid))

    def requests(self):
        """Signed requests that it has seen."""
        with open(self.ca.log, encoding="utf-8") as f:
            return sum(1 for line in f if " POST /" in line)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """A P-256 key of OpenSSL, of which Python has no module."""

    P256 = 415

    def __init__(self):
        c = ctypes.CDLL(ctypes.util.find_library("crypto"))
        pointer = ctypes.c_void_p
        for name, result, args in (
                ("EC_KEY_new_by_curve_name", pointer, [ctypes.c_int]),
                ("EC_KEY_generate_key", ctypes.c_int, [pointer]),
                ("EC_KEY_get0_group", pointer, [pointer]),
                ("EC_KEY_get0_public_key", pointer, [pointer]),
                ("EC_POINT_point2oct", ctypes.c_size_t,
                 [pointer, pointer, ctypes.c_int, ctypes.c_char_p,
                  ctypes.c_size_t, pointer]),
                ("ECDSA_sign", ctypes.c_int,
                 [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p,
                  ctypes.POINTER(ctypes.c_uint), pointer])):
            f = getattr(c, name)
            f.restype, f.argtypes = result, args
        self.c, self.key = c, c.EC_KEY_new_by_curve_name(self.P256)
        c.EC_KEY_generate_key(self.key)
        point = ctypes.create_string_buffer(65)
        c.EC_POINT_point2oct(c.EC_KEY_get0_group(self.key),
                             c.EC_KEY_get0_public_key(self.key), 4, point, 65,
                             None)
        self.point = point.raw
        self.jwk = {"crv": "P-256", "kty": "EC", "x": b64(point.raw[1:33]),
                    "y": b64(point.raw[33:])}
        text = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        self.thumbprint = b64(hashlib.sha256(text.encode()).digest())

    def sign_der(self, data):
        out, size = ctypes.create_string_buffer(80), ctypes.c_uint()
        self.c.ECDSA_sign(0, hashlib.sha256(data).digest(), 32, out, size,
                          self.key)
        return out.raw[:size.value]

    def sign(self, data):
        der = self.sign_der(data)
        n = der[3]
        r, s = der[4:4 + n], der[6 + n:]
        return b"".join(v.lstrip(b"\0").rjust(32, b"\0") for v in (r, s))


class Client:
    """One connection."""

    def __init__(self, root, key, kid=None):
        context = ssl.create_default_context(cafile=root)
        self.http = http.client.HTTPSConnection("127.0.0.1", DIRECTORY,
                                                timeout=5, context=context)
        self.key, self.kid, self.nonce = key, kid, None

    def ask(self, method, url, body=None):
        self.http.request(method, "/" + url.split("/", 3)[3], body,
                          {"Content-Type": "application/jose+json",
                           "User-Agent": "bench"})
        reply = self.http.getresponse()
        text = reply.read()
        self.nonce = reply.headers.get("Replay-Nonce", self.nonce)
        if reply.status >= 400:
            raise RuntimeError(f"{url}: {reply.status} {text[:200]}")
        return reply.headers, text

    def post(self, url, payload=None):
        head = {"alg": "ES256", "nonce": self.nonce, "url": url}
        head.update({"kid": self.kid} if self.kid else {"jwk": self.key.jwk})
        protected = b64(json.dumps(head).encode())
        text = b64(json.dumps(payload).encode()) if payload is not None else ""
        signature = b64(self.key.sign(f"{protected}.{text}".encode()))
        return self.ask("POST", url, json.dumps(
            {"protected": protected, "payload": text, "signature": signature}))

    def until(self, url, states):
        while True:
            object_ = json.loads(self.post(url)[1])
            if object_["status"] in states:
                return object_
            if object_["status"] == "invalid":
                raise RuntimeError(f"{url}: {object_}")


def answer_all(listener, thumbprint):
    """Answer each http-01 token there can be."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    open_ = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                s = listener.accept()[0]
                open_[s.fileno()] = s
                poll.register(s, select.EPOLLIN)
                continue
            with open_.pop(fd) as s, contextlib.suppress(OSError):
                poll.unregister(s)
                path = s.recv(4096).split(b" ", 2)
                if len(path) < 3:
                    continue
                body = path[1].rpartition(b"/")[2] + b"." + thumbprint
                s.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                          b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


def one_order(client, urls, name, request):
    headers, text = client.post(
        urls["newOrder"], {"identifiers": [{"type": "dns", "value": name}]})
    order = json.loads(text)
    authz = order["authorizations"][0]
    for challenge in json.loads(client.post(authz)[1])["challenges"]:
        if challenge["type"] == "http-01":
            client.post(challenge["url"], {})
    client.until(authz, ("valid",))
    client.post(order["finalize"], {"csr": request})
    time.sleep(PAUSE_S)
    order = client.until(headers["Location"], ("valid",))
    client.post(order["certificate"])


def der(tag, content):
    n = len(content)
    size = bytes([n] if n < 128 else [0x81, n] if n < 256 else
                 [0x82, n >> 8, n & 255])
    return bytes([tag]) + size + content


def csr(key, name):
    """A request for one name (RFC 2986), by hand: there may be thousands."""
    oid = lambda text: der(6, bytes.fromhex(text))
    public = der(0x30, der(0x30, oid("2a8648ce3d0201")
                           + oid("2a8648ce3d030107"))
                 + der(3, b"\0" + key.point))
    san = der(0x30, oid("551d11") + der(4, der(0x30, der(0x82, name))))
    attribute = der(0x30, oid("2a864886f70d01090e")
                    + der(0x31, der(0x30, san)))
    info = der(0x30, der(2, b"\0") + der(0x30, b"") + public
               + der(0xa0, attribute))
    return b64(der(0x30, info + der(0x30, oid("2a8648ce3d040302"))
                   + der(3, b"\0" + key.sign_der(info))))


def sustained(pebble, orders, at_once):
    """Seconds for that many orders, and Pebble's milliseconds for one."""
    key, of_certificates = Key(), Key()
    names = [f"load{i}.example.org" for i in range(orders)]
    todo = iter([(n, csr(of_certificates, n.encode())) for n in names])
    listener = socket.create_server(("127.0.0.1", HTTP), backlog=512)
    responder = multiprocessing.get_context("fork").Process(
        target=answer_all, args=(listener, key.thumbprint.encode()))
    responder.start()
    try:
        first = Client(pebble.root, key)
        urls = json.loads(
            first.ask("GET", f"https://127.0.0.1:{DIRECTORY}/dir")[1])
        first.ask("HEAD", urls["newNonce"])
        kid = first.post(urls["newAccount"],
                         {"termsOfServiceAgreed": True})[0]["Location"]
        errors = []

        def work():
            client = Client(pebble.root, key, kid)
            try:
                client.ask("HEAD", urls["newNonce"])
                for name, request in todo:  # all threads take from it
                    one_order(client, urls, name, request)
            except Exception as e:  # told by the thread that waits
                errors.append(e)

        threads = [threading.Thread(target=work) for _ in range(at_once)]
        begin, cpu = time.monotonic(), pebble.cpu_ms()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if any(isinstance(e, TimeoutError) for e in errors):
            pebble.ask_whether_wedged()
        if errors:
            raise errors[0]
        return (time.monotonic() - begin, (pebble.cpu_ms() - cpu) / orders)
    finally:
        responder.terminate()
        responder.join()
        listener.close()


if __name__ == "__main__":
    import sys
    import tempfile
    with tempfile.TemporaryDirectory() as where:
        with Pebble(sys.argv[1], where) as p:
            print(sustained(p, int(sys.argv[2]), 8), p.requests())
