# SPDX-License-Identifier: ISC
"""Reload commands: what they are given, and what they cannot do to us."""
import os
import signal
import time

import pytest
from util import alive, proc_status, until

pytestmark = pytest.mark.root


def script(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return [str(path)]


def test_environment(ca, acmed, work):
    """Exactly this, and nothing of ours."""
    out = work / "out"
    hook = script(work / "hook", f"""
exec >{out}.part
env -0 | sort -z | tr '\\0' '\\n'
echo --
ls /proc/self/fd | tr '\\n' ' '; echo
pwd; umask; id -u; cat | wc -c
grep -E '^(Sig(Blk|Ign)|CapEff|NoNewPrivs)' /proc/self/status
mv {out}.part {out}""")
    d = acmed(ca, [{"name": "x", "names": ["a.example.org",
                                           "b.example.org"]}], reload=hook)
    d.env = {"SECRET": "do not pass on", "LD_LIBRARY_PATH": "/nonexistent"}
    d.start().installed("x")
    env, rest = until(lambda: out.exists() and out.read_text(), 10).split(
        "--\n")
    live = d.live("x")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert dict(x.split("=", 1) for x in env.splitlines()) == {
        "ACMED_EVENT": "reload",
        "ACMED_COUNT": "1",
        "ACMED_NAME": "x",
        "ACMED_NAMES": "x",
        "ACMED_DOMAINS": "a.example.org b.example.org",
        "ACMED_DIR": str(live),
        "ACMED_CERT": f"{live}/cert.pem",
        "ACMED_CHAIN": f"{live}/chain.pem",
        "ACMED_FULLCHAIN": f"{live}/fullchain.pem",
        "ACMED_KEY": f"{live}/privkey.pem",
        "RENEWED_LINEAGE": str(live),
        "RENEWED_DOMAINS": "a.example.org b.example.org",
        "PATH": path,
        "PWD": "/",  # the shell's own
    }
    fds, cwd, umask, uid, stdin, *status = rest.splitlines()
    assert fds.split() == ["0", "1", "2", "3"]  # 3: ls reads the folder
    assert (cwd, umask, uid, stdin) == ("/", "0022", "0", "0")
    status = dict(x.split(":\t") for x in status)
    assert int(status["SigBlk"], 16) == int(status["SigIgn"], 16) == 0
    assert int(status["CapEff"], 16) != 0  # root's, whole
    assert status["NoNewPrivs"] == "0"


def test_several_share_a_run(ca, acmed, work):
    out = work / "out"
    hook = script(work / "hook",
                  f'echo "$ACMED_COUNT $ACMED_NAMES" >>{out}')
    names = [f"h{i}.example.org" for i in range(12)]
    began = time.monotonic()
    d = acmed(ca, names, reload=hook).start()
    d.installed(*names)
    took = time.monotonic() - began
    runs = [x.split() for x in out.read_text().splitlines()]
    assert sum(int(x[0]) for x in runs) == 12
    assert sorted(n for x in runs for n in x[1:]) == sorted(names)
    assert len(runs) <= 3 + took // 10  # a run waits no longer for others


def test_failing(ca, acmed, work):
    """H11: retried by its own back-off, never a new order."""
    gate = work / "gate"
    hook = script(work / "hook",
                  f"[ -e {gate} ] && exit 0; echo no gate >&2; exit 3")
    d = acmed(ca, ["a.example.org"], reload=hook).start()
    d.wait("reload command failed", part="engine")
    c = until(lambda: (x := d.cert("a.example.org")).get("deploy_trouble")
              and x, 10)
    assert c["state"] == "valid"
    assert c["deploy"] == "reload due"
    assert c["next"] == "run the reload command again"
    assert c["deploy_trouble"]["failures"] == 1
    assert c["deploy_trouble"]["text"] == "exit status 3: no gate\n" or \
        c["deploy_trouble"]["text"].startswith("exit status 3: no gate")
    r = d.ctl("status")
    assert "installed but not reloaded" in r.stdout
    assert "no gate" in r.stdout
    # Neither a restart nor an hour of them makes an order, nor resets it.
    for _ in range(3):
        n = len(d.lines)
        assert d.stop() == 0
        d.start()
        assert d.cert("a.example.org")["deploy_trouble"]["failures"] == 1
        assert not d.find("reload command failed", since=n)
    assert ca.orders == 1
    # The operator mends it, and says so.
    gate.touch()
    d.renew("a.example.org")
    d.installed("a.example.org", version=2)
    assert "deploy_trouble" not in d.cert("a.example.org")
    assert ca.orders == 2


def test_missing_program(ca, acmed, work):
    hook = script(work / "hook", "exit 0")
    d = acmed(ca, ["a.example.org"], reload=hook)
    d.write()
    os.unlink(hook[0])
    d.start()
    x = d.wait("reload command failed", part="engine")
    assert "No such file" in x["error"]
    assert ca.orders == 1
    assert d.version("a.example.org") == 1


def test_hanging(ca, acmed, work):
    """F21: the time limit ends the whole group, and nothing waits for it."""
    pids = work / "pids"
    hook = script(work / "hook", f"""
trap '' TERM
sh -c 'trap "" TERM; sleep 998' & echo $! >>{pids}
echo $$ >>{pids}
echo before
sleep 999 & wait
sleep 997""")
    # long enough for it to come so far
    d = acmed(ca, ["a.example.org"], reload=hook,
              reload_timeout="5s").start()
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 20)
    # Meanwhile the daemon does its work.
    assert d.ctl("status").returncode in (0, 1)
    x = d.wait("reload command failed", part="engine", timeout=20)
    assert x["error"] == "killed after 5 s"
    assert "before" in x["output"]
    assert 5000 <= x["ms"] < 15000
    for pid in pids.read_text().split():
        until(lambda: not alive(int(pid)), 5, "the group to be dead")
    assert ca.orders == 1


def test_hanging_at_the_end(ca, acmed, work):
    """Q10: stopping does not wait for it, and takes it along."""
    pids = work / "pids"
    hook = script(work / "hook", f"echo $$ >{pids}; exec sleep 999")
    d = acmed(ca, ["a.example.org"], reload=hook).start()
    pid = int(until(lambda: pids.exists() and pids.read_text(), 20))
    d.signal(signal.SIGTERM)
    assert d.ended(10) == 0
    until(lambda: not alive(pid), 5, "the command to be dead")
    # It did not succeed: the next start runs it again.
    script(work / "hook", "exit 0")
    d.start().installed("a.example.org")
    assert ca.orders == 1


def test_flooding(ca, acmed, work):
    """200 MB of output: the end of it is kept, in little memory."""
    hook = script(work / "hook", "head -c 200000000 /dev/zero | tr '\\0' x; "
                                 "echo; echo the end; exit 1")
    d = acmed(ca, ["a.example.org"], reload=hook).start()
    x = d.wait("reload command failed", part="engine", timeout=60)
    assert x["error"] == "exit status 1"
    text = d.cert("a.example.org")["deploy_trouble"]["text"]
    assert len(text) < 5000
    assert text.rstrip().endswith("the end")
    assert int(proc_status(d.pid)["VmHWM"].split()[0]) < 60000


def test_hostile_output(ca, acmed, work):
    """A22: control characters do not reach terminal or log."""
    hook = script(work / "hook",
                  "printf '\\033[31mred\\007\\000\\377bell'; exit 1")
    d = acmed(ca, ["a.example.org"], reload=hook).start()
    d.wait("reload command failed", part="engine")
    until(lambda: "deploy_trouble" in d.cert("a.example.org"), 10)
    shown = d.ctl("status").stdout + d.ctl("show", "a.example.org").stdout
    assert "red" in shown
    assert not [c for c in shown + d.text()
                if ord(c) < 32 and c != "\n" or ord(c) == 127]


def test_left_behind(ca, acmed, work):
    """A command that leaves a process with our pipe open has ended."""
    pids = work / "pids"
    hook = script(work / "hook", f"setsid sleep 300 & echo $! >{pids}")
    d = acmed(ca, ["a.example.org"], reload=hook).start()
    try:
        d.installed("a.example.org")
    finally:
        os.kill(int(pids.read_text()), signal.SIGKILL)
