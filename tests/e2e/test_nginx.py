# SPDX-License-Identifier: ISC
"""With a real web server: what it serves is what was installed last."""
import os
import shutil
import signal
import socket
import ssl
import threading

import pytest
from util import ROOT, free_port, run, until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("nginx", path="/usr/sbin:/usr/bin"),
                       reason="NOT TESTED: there is no nginx")]


class Nginx:
    def __init__(self, where, live, more=""):
        self.port = free_port()
        self.where = where
        self.conf = where / "nginx.conf"
        self.pid_file = where / "nginx.pid"
        paths = "".join(
            f"{k}_temp_path {where}/{k};\n" for k in
            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.conf.write_text(f"""
pid {self.pid_file}; error_log {where}/error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{ access_log off; {paths} {more}
 server {{ listen 127.0.0.1:{self.port} ssl;
  ssl_certificate {live}/fullchain.pem;
  ssl_certificate_key {live}/privkey.pem;
  return 200 "hello\\n"; }} }}
""")
        hook = where / "reload"
        hook.write_text(f"""#!/bin/sh
nginx -t -q -c {self.conf} || exit 1
if [ -s {self.pid_file} ]; then exec nginx -c {self.conf} -s reload
else exec nginx -c {self.conf}; fi
""")
        hook.chmod(0o755)
        self.hook = [str(hook)]

    def serial(self):
        """Of the certificate that a client is shown; 0: nobody there."""
        ctx = ssl.create_default_context()
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s, \
                    ctx.wrap_socket(s, server_hostname="w.example.org") as t:
                der = t.getpeercert(True)
        except OSError:
            return 0
        pem = ssl.DER_cert_to_PEM_cert(der)
        out = run("openssl", "x509", "-noout", "-serial", input=pem)
        return int(out.stdout.split("=")[1], 16)

    def stop(self):
        if self.pid_file.exists():
            os.kill(int(self.pid_file.read_text()), signal.SIGTERM)
            until(lambda: not self.pid_file.exists(), 10, "nginx to end")


def test_nginx(cas, acmed, work):
    """It starts with the first certificate and goes on with each renewal,
    while a client sees no bad pair and no refused connection."""
    ca = cas("system", life=20)
    d = acmed(ca, ["w.example.org"])
    web = Nginx(work, d.live("w.example.org"))
    d.set(reload=web.hook)
    try:
        d.start()
        d.installed("w.example.org")
        until(lambda: web.serial() == d.serial("w.example.org"), 20,
              "nginx to serve the first one")
        first = d.serial("w.example.org")
        over, missed = threading.Event(), []

        def watch():
            while not over.wait(0.02):
                if web.serial() == 0:
                    missed.append(d.version("w.example.org"))
        t = threading.Thread(target=watch, daemon=True)
        t.start()
        r = d.ctl("renew", "w.example.org", "--wait")
        assert r.returncode == 0, r.stderr
        until(lambda: web.serial() == d.serial("w.example.org") != first, 20,
              "nginx to serve the second one")
        # And one without being asked.
        until(lambda: d.version("w.example.org") >= 3, 40, "the renewal")
        until(lambda: web.serial() == d.serial("w.example.org"), 20,
              "nginx to serve the third one")
        over.set()
        t.join()
        assert missed == []
        assert not d.find("reload command failed", part="engine")
    finally:
        d.stop()  # first: it would start nginx again
        web.stop()


def manual_says(port):
    """How acmed.yaml(5) lets a web server keep port 80."""
    page = (ROOT / "lib/config/acmed.yaml.5").read_text()
    text = page[page.index("location /.well-known/acme-challenge/"):]
    text = text[:text.index("\n.Ed")]
    assert "http://127.0.0.1:8080;" in text
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{port}")


def test_behind_nginx(ca, acmed, work):
    """nginx has port 80 and passes on what is acmed's, as the manual says."""
    port = free_port()
    d = acmed(ca, ["w.example.org", "x.example.org"],
              http={"listen": f"127.0.0.1:{port}"})
    # it cannot serve what there is not yet
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
        "/CN=x", "-keyout", work / "privkey.pem", "-out",
        work / "fullchain.pem")
    web = Nginx(work, work, f"server {{ listen 127.0.0.1:{ca.http_port}; "
                            f"{manual_says(port)} location / {{ return 404; }} }}")
    assert run(*web.hook).returncode == 0
    try:
        d.start().installed("w.example.org", "x.example.org")
        assert d.status()["http"]["challenges_answered"] >= 2
    finally:
        web.stop()
