# SPDX-License-Identifier: ISC
"""What the programs say of themselves, and to who asks them wrongly."""
import os
import re

import pytest
from util import BUILD, ROOT, run

PROGRAMS = ("acmed", "acmectl", "acmed-engine", "acmed-keeper")
VERSION = re.search(r"project\(acmed VERSION (\S+)",
                    (ROOT / "CMakeLists.txt").read_text())[1]
COMMANDS = ("status", "show", "renew", "check", "budget", "plan", "forget",
            "reload", "version", "help")


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version(program):
    for option in "--help", "-h":
        r = run(BUILD / program, option)
        assert (r.returncode, r.stderr) == (0, "")
        assert r.stdout.startswith(f"usage: {program} ")
        assert max(map(len, r.stdout.splitlines())) <= 80
    for option in "--version", "-V":
        r = run(BUILD / program, option)
        assert (r.returncode, r.stderr) == (0, "")
        assert r.stdout.startswith(f"{program} {VERSION}\n")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("argv, word", ((["-x"], "x"), (["--bad"], "bad"),
                                        (["wrong"], "wrong")))
def test_used_wrongly(program, argv, word):
    r = run(BUILD / program, *argv)
    assert (r.returncode, r.stdout) == (2, "")
    first, rest = r.stderr.split("\n", 1)
    assert re.search(rf"\b{word}\b", first.split(":", 1)[1])
    assert "help" in first + rest


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    r = run(BUILD / "acmectl", "help", command)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout.startswith(f"usage: acmectl [-s SOCKET] {command}")
    assert max(map(len, r.stdout.splitlines())) <= 80
    other = run(BUILD / "acmectl", command, "--help")
    assert (other.returncode, other.stdout) == (0, r.stdout)


@pytest.mark.parametrize("argv, said", (
    (["reload", "--json"], "reload does not take --json"),
    (["renew", "www", "--watch"], "renew does not take --watch"),
    (["staus"], "no such command: staus, did you mean status?"),
    (["help", "renwe"], "no such command: renwe, did you mean renew?"),
    (["rollback"], "no such command: rollback: see"),
    (["help", "show", "renew"], "too many arguments for help"),
))
def test_wrong_options_and_commands(argv, said):
    r = run(BUILD / "acmectl", *argv)
    assert (r.returncode, r.stdout) == (2, "")
    assert said in r.stderr


def test_nobody_hears_it():
    """What cannot be written has not been told."""
    r = run("sh", "-c", f"exec {BUILD / 'acmectl'} help >/dev/full")
    assert r.returncode == 2
    assert "No space left on device" in r.stderr


def check(work, text):
    """acmed -t with that in the configuration, and what it says of it."""
    file = work / "acmed.yaml"
    file.write_text(f"agree-tos: true\ndomains: [a.example]\n{text}\n")
    file.chmod(0o644)
    r = run(BUILD / "acmed", "-t", "-c", file)
    return r.returncode, r.stderr.replace(f"{file}: ", "")


@pytest.mark.root
@pytest.mark.parametrize("text, said", (
    ("user: nosuch", 'there is no user "nosuch": run systemd-sysusers'),
    ("control: {group: nosuch}", 'there is no group "nosuch": groupadd'),
))
def test_what_root_would_not_start_with(work, text, said):
    """-t says what the start would fail of."""
    code, stderr = check(work, text)
    assert code == 1 and said in stderr


@pytest.mark.root
@pytest.mark.parametrize("text, said", (
    ("reload: no-such-program now", "run no-such-program: not found in /usr"),
    ("reload: /etc/passwd", "run /etc/passwd: Permission denied"),
    ("ca: {x: {directory: 'https://x.example/', ca-file: /no/where.pem}}\n"
     "defaults: {ca: x}", "ca-file: /no/where.pem: No such file"),
))
def test_what_may_come_later(work, text, said):
    """A program or file that is not there is worth a word, no refusal."""
    code, stderr = check(work, text)
    assert code == 0 and stderr.startswith("warning: ") and said in stderr


def test_no_configuration(work):
    r = run(BUILD / "acmed", "-c", work / "none.yaml")
    assert r.returncode == 2
    assert r.stderr == (f"{work}/none.yaml: cannot be opened: No such file or "
                        "directory: acmed.yaml(5) begins with an example\n")


def test_priority_in_the_journal(work):
    """journalctl -p err finds why it does not start."""
    r = run(BUILD / "acmed", "-c", work / "none.yaml",
            env={**os.environ, "JOURNAL_STREAM": "1:1"})
    assert r.returncode == 2
    assert r.stderr.startswith("<3>level=error part=supervisor ")
    assert "none.yaml" in r.stderr
