# SPDX-License-Identifier: ISC
"""Fixtures.  ACMED_BUILD names the folder of the programs under test."""
import fcntl
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "mock"))

import pebble  # noqa: E402
from acmed import Acmed  # noqa: E402
from ca import CA  # noqa: E402
from util import BUILD, IS_ROOT, free_port  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "root: needs root, for separate users; skipped without")


def pytest_report_header(config):
    return [pebble.describe(), f"programs: {BUILD}"]


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("root") and not IS_ROOT:
            item.add_marker(pytest.mark.skip(
                reason="NOT TESTED: needs root and the users acmed and "
                       "acmed-keeper"))


def pytest_sessionstart(session):
    for name in ("acmed", "acmed-engine", "acmed-keeper", "acmectl"):
        if not (BUILD / name).exists():
            pytest.exit(f"no {name} in {BUILD}: set ACMED_BUILD", 4)


# Held by who is about to begin, and by all that run: a second try has both to
# itself, so that it has the machine, and others wait for it.
locks = [os.open(p, os.O_RDONLY | os.O_CLOEXEC)
         for p in (__file__, Path(__file__).parent)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    begin, running = locks
    alone = getattr(item, "execution_count", 1) > 1
    fcntl.flock(begin, fcntl.LOCK_EX)
    fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    fcntl.flock(begin, fcntl.LOCK_UN)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown():
    yield
    fcntl.flock(locks[1], fcntl.LOCK_UN)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    item.went_wrong = True
    for i, d in enumerate(getattr(item, "daemons", [])):
        report.sections.append((f"acmed {i}: end of its log", d.tail()))
    for i, m in enumerate(getattr(item, "mocks", [])):
        report.sections.append((f"mock {i}: all it saw", m.log()[-6000:]))
    cas = item.funcargs.get("cas")
    for ca in cas.used if cas else []:
        report.sections.append(
            (f"Pebble {ca.version}: end of its log",
             "\n".join(ca.log().splitlines()[-25:])))


def pytest_terminal_summary(terminalreporter):
    """Why a first try has failed: a race worth mending, in a test or not."""
    for r in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first try of {r.nodeid}")
        terminalreporter.write_line(r.longreprtext)
        for title, text in r.sections:
            terminalreporter.write_line(f"-- {title}\n{text}")
        why = r.longreprtext.splitlines() or [""]
        why = [x for x in why if x.startswith("E ")] or why
        terminalreporter.write_line(f"RERUN {r.nodeid} - {why[0]}")


@pytest.fixture(scope="session")
def all_cas():
    cas = pebble.Cas()
    yield cas
    cas.close()


@pytest.fixture
def cas(all_cas, request):
    """cas(version, **options): a Pebble, with its counters at zero."""
    request.node.went_wrong = False
    yield all_cas
    all_cas.done_with_test(request.node.went_wrong)


@pytest.fixture
def ca(cas):
    """The system's Pebble, as most tests want it: every nonce is good, nothing
    is reused by chance."""
    return cas("system", PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0")


@pytest.fixture(params=pebble.VERSIONS)
def both(request, cas):
    """Both Pebbles, one after the other, with their own default chances."""
    return cas(request.param)


@pytest.fixture
def work():
    """An empty folder that the daemon's users can enter."""
    where = Path(tempfile.mkdtemp(prefix="acmed-e2e-"))
    where.chmod(0o755)
    yield where
    if os.environ.get("ACMED_E2E_KEEP"):
        print(f"kept: {where}")
    else:
        shutil.rmtree(where, ignore_errors=True)


@pytest.fixture
def mock(request, work):
    """mock(scenario, breaches=False): a CA of our own, which must find nothing
    to complain about unless the test says so."""
    request.node.mocks = []
    tolerant = []

    def make(scenario="", breaches=False):
        where = work / f"mock{len(request.node.mocks)}"
        where.mkdir(mode=0o755)
        m = CA(where, free_port(), scenario, free_port(),
               agent=r"acmed/\S+")
        request.node.mocks.append(m)
        if breaches:
            tolerant.append(m)
        return m

    yield make
    for m in request.node.mocks:
        m.close()
    assert [b for m in request.node.mocks if m not in tolerant
            for b in m.breaches] == []


@pytest.fixture
def acmed(request, work):
    """acmed(ca, domains, **conf): a daemon that is not yet running."""
    request.node.daemons = []

    def make(ca=None, domains=None, **kw):
        where = work / f"acmed{len(request.node.daemons)}"
        where.mkdir(mode=0o755)
        d = Acmed(where, ca, domains, **kw)
        request.node.daemons.append(d)
        return d

    yield make
    for d in request.node.daemons:
        d.close()
    # One that has died of a fault is started again, and the test may be happy.
    for d in request.node.daemons:
        if d.log_file.exists():
            assert not re.search("Sanitizer:|runtime error:|Assertion `",
                                 d.text()), d.log_file
