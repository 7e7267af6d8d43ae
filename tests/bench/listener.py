# SPDX-License-Identifier: ISC
"""
The daemon's own port-80 listener beside servers that people run: the same
bytes, the same machine, the same minute, one processor each and another one
for those who ask.
"""
import multiprocessing
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import time

import ca
import procs
import state

CONNECTIONS = 64
IDLE = 5000
CHALLENGES = 1000
SHARE = "/.well-known/acme-challenge/"


def pin(pids, cpu):
    if os.cpu_count() < 2:
        return
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), {cpu})


def on_last_cpu():
    pin([os.getpid()], os.cpu_count() - 1)


class Server:
    def __init__(self, name, port, pids, program=None):
        self.name, self.port, self.pids = name, port, pids
        self.program = program


def write(path, text):
    with open(path, "w", encoding="ascii") as out:
        out.write(text)
    return path


def others(folder, token, body):
    """nginx, lighttpd and HAProxy, as many of them as there are."""
    www = os.path.join(folder, "www")
    os.makedirs(www + SHARE)
    write(www + SHARE + token, body)
    temp = f"{folder}/nginx-temp"
    nginx = lambda port, location: write(
        f"{folder}/nginx{port}.conf",
        f"pid {folder}/nginx{port}.pid; error_log {folder}/nginx.err; "
        "daemon off; worker_processes 1; worker_rlimit_nofile 16384;\n"
        "events { worker_connections 8192; }\n"
        "http { access_log off; default_type text/plain; sendfile on; "
        "tcp_nopush on; keepalive_requests 100000000; "
        f"client_body_temp_path {temp}; proxy_temp_path {temp}; "
        f"fastcgi_temp_path {temp}; uwsgi_temp_path {temp}; "
        f"scgi_temp_path {temp};\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; {location} }} }}\n")
    lighttpd = write(
        f"{folder}/lighttpd.conf",
        f'server.document-root = "{www}"\nserver.port = 5083\n'
        'server.bind = "127.0.0.1"\nserver.max-fds = 16384\n'
        "server.max-connections = 8192\nserver.listen-backlog = 4096\n"
        "server.max-keep-alive-requests = 100000000\n"
        'mimetype.assign = ( "" => "text/plain" )\n')
    haproxy = write(
        f"{folder}/haproxy.cfg",
        "global\n nbthread 1\n maxconn 8192\n"
        "defaults\n mode http\n timeout client 30s\n timeout http-request 10s\n"
        "frontend f\n bind 127.0.0.1:5084 backlog 4096\n"
        f" http-request return status 200 content-type text/plain "
        f"string \"{body}\" if {{ path {SHARE}{token} }}\n")
    candidates = (
        ("nginx, file", 5081, "nginx", lambda: [
            "-c", nginx(5081, f"location / {{ root {www}; }}")]),
        ("nginx, return", 5082, "nginx", lambda: [
            "-c", nginx(5082, f"location = {SHARE}{token} "
                        f"{{ return 200 \"{body}\"; }}")]),
        ("lighttpd, file", 5083, "lighttpd", lambda: ["-D", "-f", lighttpd]),
        ("haproxy, return", 5084, "haproxy", lambda: ["-db", "-f", haproxy]))
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for name, port, program, args in candidates:
        program = shutil.which(program, path=path)
        if program is None:
            continue
        with procs.Program([program, *args()],
                           os.path.join(folder, f"server{port}.log")) as p:
            procs.wait_for(name, lambda: p.alive() and
                           procs.can_connect(("127.0.0.1", port)))
            yield Server(name, port, p.pids(), p)


def fetch(port, token, body):
    """One challenge request, as a CA makes it.  Milliseconds; None: wrong."""
    begin = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.sendall(f"GET {SHARE}{token} HTTP/1.1\r\nHost: a.example.org\r\n"
                      "Connection: close\r\n\r\n".encode())
            reply = b""
            while part := s.recv(4096):
                reply += part
    except OSError:
        return None
    head, _, text = reply.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or text != body.encode():
        return None
    return (time.monotonic() - begin) * 1000


def fetch_many(port, token, body):
    """How many were answered; milliseconds: median, 99 %, longest."""
    times = [fetch(port, token, body) for _ in range(CHALLENGES)]
    good = sorted(t for t in times if t is not None)
    if not good:
        return 0, 0, 0, 0
    return (len(good), good[len(good) // 2], good[len(good) * 99 // 100],
            good[-1])


def hold_open(port, count, held):
    """Keep connections open that ask nothing, or half a question."""
    on_last_cpu()
    poll, open_, waiting = select.epoll(), {}, list(range(count))
    while True:
        for i in waiting:
            s = socket.socket()
            s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            s.bind((f"127.0.1.{i % 200 + 1}", 0))
            try:
                s.connect(("127.0.0.1", port))
                if i % 2 == 0:
                    s.sendall(f"GET {SHARE}abc".encode())
            except OSError:
                pass  # its hang-up is seen below
            open_[s.fileno()] = (i, s)
            poll.register(s, select.EPOLLRDHUP | select.EPOLLHUP)
        held.value = len(open_)
        time.sleep(1)
        waiting = []
        for fd, _ in poll.poll(0, count):
            i, s = open_.pop(fd)
            s.close()
            waiting.append(i)
        held.value = len(open_)


class Crowd:
    """5,000 of them, as long as the "with" block lasts."""

    def __init__(self, port):
        fork = multiprocessing.get_context("fork")
        self.held = fork.Value("i", 0)
        self.process = fork.Process(target=hold_open,
                                    args=(port, IDLE, self.held))

    def __enter__(self):
        self.process.start()
        procs.wait_for("the crowd", lambda: self.held.value >= IDLE, 60)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()


def wrk(port, token, seconds):
    return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency",
            f"http://127.0.0.1:{port}{SHARE}{token}"]


def milliseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def run_wrk(server, token, seconds):
    """Requests a second, 99 %, processor microseconds of one."""
    cpu = sum(sum(procs.cpu_ms(p)) for p in server.pids)
    run = subprocess.run(wrk(server.port, token, seconds), check=True,
                         capture_output=True, text=True,
                         preexec_fn=on_last_cpu)
    cpu = sum(sum(procs.cpu_ms(p)) for p in server.pids) - cpu
    if "Non-2xx" in run.stdout or "Socket errors" in run.stdout:
        raise procs.Failed(f"{server.name}: {run.stdout}")
    requests = int(re.search(r"(\d+) requests in", run.stdout).group(1))
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)",
                                run.stdout).group(1)),
        "p99": milliseconds(re.search(r"^ +99% +(\S+)", run.stdout,
                                      re.M).group(1)),
        "cpu_us": cpu * 1000 / requests}


def under_wrk(server, token, body, seconds, runs):
    """The best run, since others may want the processor too; then what a CA
    sees meanwhile."""
    result = max((run_wrk(server, token, seconds) for _ in range(runs)),
                 key=lambda r: r["rate"])
    with subprocess.Popen(wrk(server.port, token, 120),
                          stdout=subprocess.DEVNULL,
                          preexec_fn=on_last_cpu) as p:
        try:
            time.sleep(0.3)
            challenge = fetch_many(server.port, token, body)
        finally:
            p.terminate()
    result["challenge"] = challenge
    return result


def measure(server, token, body, seconds, runs):
    pin(server.pids, 0)
    memory = procs.Memory(lambda: server.pids)
    memory.start()
    result = {"name": server.name,
              **under_wrk(server, token, body, seconds, runs)}
    result["memory_kb"] = memory.stop()
    memory = procs.Memory(lambda: server.pids)
    memory.start()
    with Crowd(server.port) as crowd:
        result["crowd"] = fetch_many(server.port, token, body)
        result["held"] = crowd.held.value
    result["crowd_kb"] = memory.stop()
    return result


def live_token(folder):
    """Of the only certificate, whose order stays pending: what the daemon has
    noted, wherever it does."""
    engine = pathlib.Path(folder, "state", "engine")
    try:
        text = "".join(f.read_text() for f in engine.glob("*/*.json"))
    except OSError:  # replaced meanwhile
        return None
    token = re.search(r'"tokens": *"([\w-]+)', text)
    thumbprint = re.search(r'"thumbprint": *"([\w-]+)', text)
    if token is None or thumbprint is None:
        return None
    body = f"{token.group(1)}.{thumbprint.group(1)}"
    answer = fetch(ca.HTTP, token.group(1), body)
    return (token.group(1), body) if answer is not None else None


def compare(build, pebble, folder, runs, seconds=5):
    """Results, acmed's first.  The order of the daemon that is measured stays
    pending because the CA sleeps before it validates."""
    with ca.Pebble(pebble, folder, PEBBLE_VA_NOSLEEP="0",
                   PEBBLE_VA_SLEEPTIME="1000000") as p:
        conf = state.configuration(folder, [state.name_of(0)], p.root)
        with procs.Acmed(build, conf, folder) as daemon:
            token, body = procs.wait_for("a live token",
                                         lambda: live_token(folder))
            yield measure(Server("acmed", ca.HTTP, daemon.pids()), token, body,
                          seconds, runs)
        for server in others(folder, token, body):
            yield measure(server, token, body, seconds, runs)
