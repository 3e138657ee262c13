"""Fixtures: one Dovecot for the whole session, a fresh home for every test."""

import shutil
import tempfile
from pathlib import Path

import pytest

import mailcall
import scripted
from certs import Certs
from dovecot import Dovecot


def pytest_sessionstart(session):
    if not mailcall.PROGRAM.exists():
        pytest.exit(f"{mailcall.PROGRAM} is missing; run make first", returncode=2)


@pytest.fixture(scope="session")
def folder():
    """Short and open to Dovecot's users, unlike tmp_path: socket names are limited in length."""
    path = Path(tempfile.mkdtemp(prefix="mailcall."))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def certs(folder):
    (folder / "certs").mkdir()
    return Certs(folder / "certs")


def _dovecot(folder, certs):
    (folder / "dovecot").mkdir()
    return Dovecot(folder / "dovecot", certs)


@pytest.fixture(scope="session")
def dovecot_of_session(folder, certs):
    server = _dovecot(folder, certs)
    yield server
    server.stop()


@pytest.fixture
def dovecot(dovecot_of_session, request):
    request.node.dovecot = dovecot_of_session
    request.node.dovecot_log_start = dovecot_of_session.log_size()
    return dovecot_of_session


@pytest.fixture
def own_dovecot(certs, request):
    """A server that the test may stop."""
    path = Path(tempfile.mkdtemp(prefix="mailcall."))
    path.chmod(0o755)
    server = _dovecot(path, certs)
    request.node.dovecot = server
    request.node.dovecot_log_start = 0
    yield server
    server.stop()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def user(dovecot):
    return dovecot.new_user()


def _home(certs) -> mailcall.Home:
    return mailcall.Home(Path(tempfile.mkdtemp(prefix="mailcall.")), certs)


@pytest.fixture
def home(certs, request):
    h = request.node.home = _home(certs)
    yield h
    h.close()


@pytest.fixture(scope="module")
def home_of_module(certs):
    h = _home(certs)
    yield h
    h.close()


@pytest.fixture
def server(certs):
    """Makes scripted servers; over TLS with the good certificate unless told otherwise."""
    made = []

    def make(**keys) -> scripted.Server:
        if "tls" not in keys and "starttls" not in keys:
            keys["tls"] = certs.good.server_context()
        made.append(scripted.Server(**keys))
        return made[-1]

    yield make
    for s in made:
        s.close()
    assert not [protest for s in made for protest in s.protests]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    if hasattr(item, "home"):
        report.sections.append(("mailcall", item.home.logs()))
    if hasattr(item, "dovecot"):
        report.sections.append(("dovecot", item.dovecot.log(item.dovecot_log_start)))
