"""Between a server's EXISTS and the start of the hook there is no disk flush: ARCHITECTURE 5."""

import pytest

import preload
from mails import mail
from waiting import wait_for

pytestmark = preload.needs_preload

FLUSHES = {"fsync", "fdatasync", "sync_file_range", "syncfs", "sync", "msync"}
MANY = 300


class Watched:
    """A mailcall whose calls are written down; a warm-up mail is behind it."""

    def __init__(self, home, server):
        self.server = server
        self.log = home.folder / "calls"
        self.seen = home.folder / "seen"
        home.configure({"work": home.scripted_account(server)}, [
            {"name": "all", "sh": f"echo $MAILCALL_UID >>{self.seen}"}])
        self.program = home.run("work/INBOX", env=preload.orders(log=self.log))
        wait_for(lambda: server.idling, "the client to idle")
        server.deliver(mail("warm-up"))
        self.wait(1)

    def wait(self, hooks: int):
        wait_for(lambda: self.seen.exists() and self.seen.read_text().count("\n") >= hooks,
                 f"{hooks} hooks", 60, alive=self.program.assert_alive)

    def calls_of(self, deliver, hooks: int) -> list:
        """The calls from the EXISTS for what is delivered to the last start of a hook."""
        begin = len(preload.read_log(self.log))
        deliver()
        self.wait(hooks)
        calls = ["reader" if what == "reader" else call  # who reads the mail is no hook
                 for call, what in preload.read_log(self.log)[begin:]]
        last = len(calls) - calls[::-1].index("spawn")
        return calls[calls.index("exists"):last]


@pytest.fixture
def watched(home, server):
    return Watched(home, server())


def test_the_library_sees_flushes(watched):
    """Or the other tests would mean nothing: a first baseline is flushed."""
    assert FLUSHES & {call for call, _ in preload.read_log(watched.log)}


def test_no_flush_before_the_hook_of_a_mail(watched):
    for number in range(5):
        calls = watched.calls_of(
            lambda: watched.server.deliver(mail(f"mail {number}")), number + 2)
        assert "pwrite" in calls and "spawn" in calls
        assert not FLUSHES & set(calls), calls


@pytest.mark.parametrize("pace", ["at once", "one by one"])
def test_no_flush_before_the_last_hook_of_many(watched, pace):
    """However long the journal's log grows meanwhile; and, one by one, although there is nothing
    else to do each time before the server sends the next."""

    def send_one_by_one(c, tag, arguments):
        uid_set, _, items = arguments.partition(" ")
        for number, uid, message in c.matching(uid_set):
            watched.wait(uid - 1)
            c.send_fetch(number, uid, message, items)
        c.ok(tag)

    def deliver():
        for number in range(MANY - 1):
            watched.server.deliver(mail(f"mail {number}"), announce=False)
        watched.server.deliver(mail("the last"))

    if pace == "one by one":
        watched.server.on["UID FETCH"] = send_one_by_one
    calls = watched.calls_of(deliver, MANY + 1)
    assert calls.count("spawn") == MANY
    assert not FLUSHES & set(calls)
