"""What earlier lives left behind: jobs in the journal, messages in the spool, letters; and what
becomes of it when some of that is lost, is of another time, or cannot be written."""

import contextlib
import errno
import os
import resource
import signal
import sqlite3
import time

import pytest

import expect
from lifetimes import dead_letters, kill, nudged, shows
from mails import mail
from preload import needs_preload
from scripted import CAPABILITIES, Mailbox
from test_disk import IO_ERROR, SHORT, Injected
from waiting import wait_for

WAITING, RAN = 3, 4  # stages of a job
LATER = {"backoff": "1h", "max_backoff": "1h"}
DAY_MS = 24 * 3600 * 1000
LEFT_MAX = 64  # hooks whose pipe is still listened to when they are over


class World:
    """A mailbox, and a mailcall that lives as long as it has something to do, or until told."""

    def __init__(self, home, server):
        self.home, self.server = home, server
        self.inbox = server.mailboxes["INBOX"]
        self.state = home.state
        self.mended = home.folder / "mended"

    def configure(self, *rules, **accounts):
        """These rules, and more accounts than "work"."""
        self.home.configure({"work": self.home.scripted_account(self.server), **accounts},
                            list(rules))

    def flaky(self, name="flaky", **more) -> dict:
        """A rule whose hook fails for now until somebody mends it."""
        return {"name": name, "retry": LATER,
                "sh": self.home.record_sh() + f"; [ -e {self.mended} ] || exit 75", **more}

    def deliver(self, *subjects: str):
        for subject in subjects:
            self.server.deliver(mail(subject), date=time.time())

    # --- lives ---

    def once(self, *options, env=None) -> int:
        """A life that deals with what there is, and ends."""
        done = self.home.call("run", "--once", *options, "-c", self.home.config_file, env=env)
        assert done.returncode >= 0, f"died of signal {-done.returncode}: {done.stderr}"
        return done.returncode

    def start(self, env=None):
        """A life that goes on."""
        return self.home.start("run", "-v", "-c", self.home.config_file, env=env)

    def owe(self, *rules, subjects=("one",)):
        """Lives until these rules have failed for now with these mails."""
        self.configure(*rules)
        assert self.once() == expect.OK
        self.deliver(*subjects)
        assert self.once() == expect.AGAIN

    # --- what is left between them ---

    def journal(self, statement: str, *values) -> list:
        """Asks or changes the journal."""
        with contextlib.closing(sqlite3.connect(self.state / "journal.sqlite")) as db, db:
            return db.execute(statement, values).fetchall()

    def stages(self) -> dict:
        return dict(self.journal("SELECT rule, stage FROM job ORDER BY id"))

    def make_due(self):
        self.journal("UPDATE job SET due = 1")

    def spooled(self) -> list:
        return [path for path in (self.state / "spool").iterdir() if path.is_file()]

    def lose(self):
        for path in self.spooled():
            path.unlink()

    def damage(self):
        for path in self.spooled():
            path.write_bytes(b"x")

    def renumber(self):
        """At the next connect all UIDs mean nothing, though they are the same."""
        self.inbox.uidvalidity += 1
        self.server.last.close()

    # --- what has run ---

    def runs(self) -> list:
        return [(r["RULE"], r["SUBJECT"], r["ATTEMPT"]) for r in self.home.records()]

    def nothing_is_left(self):
        """Neither to do nor of what was done."""
        before = self.home.count()
        assert self.once() == expect.OK
        assert self.home.count() == before, self.runs()
        assert self.stages() == {} and self.spooled() == []


@pytest.fixture
def world(home, server):
    s = server(capabilities=CAPABILITIES + " UIDPLUS MOVE")
    s.mailboxes["Done"] = Mailbox()
    return World(home, s)


# --- a message that is in the spool no more ---


@pytest.mark.parametrize("spoil", [World.lose, World.damage], ids=["lost", "damaged"])
def test_a_message_that_is_lost_is_fetched_again(home, world, spoil):
    world.owe(world.flaky())
    spoil(world)
    world.mended.touch()
    world.make_due()
    assert world.once() == expect.OK
    first, second = home.records()
    assert second.stdin == first.stdin and second["EVENT_ID"] == first["EVENT_ID"]
    assert world.runs() == [("flaky", "one", "1"), ("flaky", "one", "2")]
    world.nothing_is_left()


@pytest.mark.parametrize("uidvalidity", [1700000000, None], ids=["numbered", "unnumbered"])
def test_a_message_that_nobody_has_any_more_becomes_a_dead_letter(world, uidvalidity):
    """It is kept as one, though there is nothing left to run with."""
    world.inbox.uidvalidity = uidvalidity
    world.owe(world.flaky())
    world.lose()
    world.inbox.remove(1)
    assert world.once() == expect.NO
    [letter] = dead_letters(world.home)
    assert (letter.rule, letter.result, letter.subject) == ("flaky", "gone", "one")
    assert letter.message == "work/INBOX:1"
    world.mended.touch()
    assert world.once() == expect.OK
    assert [again.event for again in dead_letters(world.home)] == [letter.event]
    assert world.runs() == [("flaky", "one", "1")]


def test_a_message_that_was_fetched_again_is_known_under_its_next_number(world):
    world.owe(world.flaky())
    [message] = [path.read_bytes() for path in world.spooled()]
    owed = world.journal("SELECT event, stage, attempt FROM job")
    world.lose()
    program = world.start()
    wait_for(lambda: message in [path.read_bytes() for path in world.spooled()], "the message",
             alive=program.assert_alive)
    world.renumber()
    nudged(program, lambda: program.lines(expect.RENUMBERED), "the new numbers")
    world.deliver("end")
    nudged(program, lambda: program.lines(expect.outcome("flaky", "again")), "the last hook")
    program.stop()
    assert world.runs() == [("flaky", "one", "1"), ("flaky", "end", "1")]
    assert world.journal("SELECT event, stage, attempt FROM job")[:1] == owed


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_who_waits_for_a_message_of_a_mailbox_that_is_renumbered_waits_in_vain(world, when):
    """Its number means another one by now, if any; it may have been asked for before."""
    world.owe(world.flaky())
    world.lose()
    if when == "before":
        world.renumber()
    else:
        world.server.on["UID FETCH"] = lambda c, tag, _: c.stall()
    before = world.server.commands("UID FETCH")
    program = world.start()
    if when == "meanwhile":
        nudged(program, lambda: world.server.commands("UID FETCH") > before, "the question")
        world.server.on.clear()
        world.renumber()
    nudged(program, lambda: program.lines(expect.RENUMBERED), "the new numbers")
    [letter] = nudged(program, lambda: dead_letters(world.home), "the dead letter")
    assert (letter.rule, letter.result) == ("flaky", "gone")
    program.stop()
    assert world.once() == expect.OK
    assert world.runs() == [("flaky", "one", "1")]


def test_the_jobs_of_one_message_may_have_different_files(world):
    """One needs no message, so it did not see to it that its file was replaced."""
    world.owe(world.flaky("a", stdin="json"), world.flaky("b"))
    world.lose()
    world.journal("UPDATE job SET due = 1 WHERE rule = 'b'")
    assert world.once() == expect.AGAIN
    assert world.runs()[2:] == [("b", "one", "2")]
    world.inbox.remove(1)
    world.mended.touch()
    world.make_due()
    assert world.once() == expect.OK
    assert sorted(world.runs()[3:]) == [("a", "one", "2"), ("b", "one", "3")]
    assert len({r.stdin for r in world.home.records() if r["RULE"] == "b"}) == 1
    world.nothing_is_left()


def test_a_command_that_is_owed_gets_its_message(home, world):
    """Its hook has run, and only the hook's message was in the spool."""
    world.configure({"name": "all", "run": home.record(),
                     "on_success": [{"flag": "seen"}, {"run": home.record("after")}]})
    assert world.once() == expect.OK
    world.server.on["UID STORE"] = lambda c, tag, _: c.stall()
    program = world.start()
    program.wait_watching("work/INBOX")
    world.deliver("one")
    wait_for(lambda: world.server.commands("UID STORE"), "the flag", alive=program.assert_alive)
    kill(program)
    assert world.stages() == {"all": RAN}
    world.server.on.clear()
    world.lose()
    assert world.once() == expect.OK
    hook, after = home.records()
    assert after.argv == [b"after"] and after.stdin == hook.stdin
    assert world.inbox.flags == {1: {r"\Seen"}}
    world.nothing_is_left()


@pytest.mark.parametrize("fate", ["expunged", "renumbered"])
def test_what_could_not_be_read_is_kept_until_it_can_be(home, world, fate):
    """Somebody wants it tried again, and the server has it no longer: our copy is the last."""
    world.configure({"name": "breaks", "sh": home.record_sh() + "; exit 1"})
    assert world.once() == expect.OK
    world.deliver("one")
    assert world.once() == expect.NO
    world.journal("UPDATE job SET result = 'unparsable', letter = x'', rule = ''")
    [before] = dead_letters(home)
    [path] = world.spooled()
    message = path.read_bytes()
    if fate == "expunged":
        world.inbox.remove(1)
    else:
        world.renumber()
    assert home.call("retry", "--all", "-c", home.config_file).returncode == expect.OK
    for _ in range(2):
        world.once()
        [after] = dead_letters(home)
        assert after.event == before.event
        assert [path.read_bytes() for path in world.spooled()] == [message]


# --- letters ---


def test_a_letter_of_a_later_version_is_kept_for_it(world):
    world.owe(world.flaky(), subjects=["one", "two"])
    [(letter,)] = world.journal("SELECT letter FROM job WHERE uid = 1")
    change = "UPDATE job SET letter = ? WHERE uid = 1"
    world.journal(change, bytes([letter[0] + 1]) + letter[1:])
    before = {path.name for path in world.spooled()}
    world.once()
    assert {path.name for path in world.spooled()} == before
    assert [dead.message for dead in dead_letters(world.home)] == ["work/INBOX:1"]
    world.journal(change, letter)
    world.mended.touch()
    world.make_due()
    done = world.home.call("retry", "--all", "-c", world.home.config_file)
    assert done.returncode == expect.OK, done.stderr
    assert world.once() == expect.OK
    assert sorted(subject for _, subject, _ in world.runs()) == ["one", "one", "two", "two"]
    world.nothing_is_left()


@pytest.mark.parametrize("kinds", [("message", "json"), ("json", "message")], ids="-".join)
def test_a_burst_may_span_a_change_of_the_rules(home, world, kinds):
    """What its first mail was to be given is not what its second is."""
    for kind, subject in zip(kinds, ("one", "two")):
        world.configure({"name": "each", "run": home.record()},
                        {"name": "burst", "run": home.record(), "stdin": kind,
                         "debounce": "1h", "max_delay": "1h"})
        program = home.run("work/INBOX")
        world.deliver(subject)
        program.wait_log(expect.outcome("each", "ok"))
        program.stop()
    assert world.once() == expect.OK
    bursts = [r for r in home.records() if r["RULE"] == "burst"]
    assert sorted(uid for r in bursts for uid in r["UIDS"].split()) == ["1", "2"]
    assert all(b"one" in r.stdin or b"two" in r.stdin for r in bursts)
    world.nothing_is_left()


# --- the clock ---


def test_a_clock_that_was_ahead_does_not_delay_what_is_owed(world):
    """When it was told that the attempt failed, it was next year."""
    world.owe(world.flaky(retry={"backoff": "1s", "max_backoff": "1s"}))
    world.journal("UPDATE job SET since = since + ?1, due = due + ?1", 400 * DAY_MS)
    world.mended.touch()
    program = world.start()
    world.home.wait_records(2, program)
    program.wait_log(expect.outcome("flaky", "ok"))
    program.stop()
    world.nothing_is_left()


# --- jobs of others ---


@pytest.fixture
def other(home, server, world):
    """Another account, that has nothing to do with it."""
    return {"other": home.scripted_account(server())}


def of_work(rule: dict) -> dict:
    return {**rule, "in": ["work"]}


def test_an_attempt_for_an_account_that_is_not_looked_at_stays_owed(world, other):
    world.configure(of_work(world.flaky()), **other)
    assert world.once() == expect.OK
    world.deliver("one")
    assert world.once() == expect.AGAIN
    world.lose()
    world.make_due()
    world.mended.touch()
    world.once("--in", "other")
    assert world.stages() == {"flaky": WAITING}
    assert world.once() == expect.OK
    assert world.runs() == [("flaky", "one", "1"), ("flaky", "one", "2")]
    world.nothing_is_left()


def mover(home) -> dict:
    return of_work({"name": "mover", "run": home.record(), "on_success": {"move": "Done"},
                    "env": {"RECORD_GATE": str(home.folder / "gate")}})


def ends_moved(world):
    """The next life does what is owed, and not the hook again."""
    assert world.stages() == {"mover": RAN}
    assert world.once() == expect.OK
    assert [len(box.messages) for box in (world.inbox, world.server.mailboxes["Done"])] == [0, 1]
    assert world.runs() == [("mover", "one", "1")]
    world.nothing_is_left()


def test_a_move_for_an_account_that_is_not_looked_at_stays_owed(home, world, other):
    world.configure(mover(home), **other)
    (home.folder / "gate").touch()
    world.server.on["UID MOVE"] = lambda c, tag, _: c.stall()
    program = home.run("work/INBOX", "other/INBOX")
    world.deliver("one")
    wait_for(lambda: world.server.commands("UID MOVE"), "the move", alive=program.assert_alive)
    kill(program)
    world.server.on.clear()
    world.once("--in", "other")
    ends_moved(world)


def test_a_move_for_an_account_whose_login_is_refused_stays_owed(home, world, other):
    """The hook ends when nobody can act for it any more."""
    world.configure(mover(home), **other)
    program = home.run("work/INBOX", "other/INBOX", options=["-v"])
    world.deliver("one")
    home.wait_records(1, program)
    world.server.passwords = {"another"}
    for connection in world.server.connections:
        connection.close()
    nudged(program, lambda: program.lines(r"\bwork: .*this account stops"), "the refusal")
    (home.folder / "gate").touch()
    program.wait_log(expect.outcome("mover", "ok"))
    program.stop()
    world.server.passwords = {"secret"}
    ends_moved(world)


# --- many ---


def test_what_waits_for_its_next_attempt_is_in_nobodys_way(home, world):
    """Ten thousand of them, and a new mail."""
    world.owe(world.flaky(stdin="none", match={"subject": "one"}),
              {"name": "calm", "match": {"not": {"subject": "one"}}, "run": home.record()})
    columns = [name for _, name, *_ in world.journal("PRAGMA table_info(job)")]
    changed = {"id": "id + i", "event": "event || i", "uid": "uid + i"}
    world.journal(f"""
        WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 10010)
        INSERT INTO job ({', '.join(columns)})
        SELECT {', '.join(changed.get(name, name) for name in columns)} FROM job, n""")
    world.deliver("two")
    assert world.once() == expect.AGAIN
    assert world.runs() == [("flaky", "one", "1"), ("calm", "two", "1")]


# --- processes ---


def kill_each(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_who_stays_behind_a_hook_does_not_cost_us_a_descriptor_for_ever(home, world):
    """Each hook leaves a child that keeps our pipe open: more of them than descriptors."""
    left = home.folder / "left"
    world.configure({"name": "all", "stdin": "none", "concurrency": 4,
                     "sh": f"sleep 1000 & echo $! >>{left}"})
    program = world.start()
    program.wait_watching("work/INBOX")
    most = len(os.listdir(f"/proc/{program.pid}/fd")) + LEFT_MAX + 20
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (most, most))
    try:
        for number in range(most + 20):
            world.server.deliver(mail(str(number)), announce=number == most + 19)
        wait_for(lambda: len(shows(left)) == most + 20, "the last hook",
                 alive=program.assert_alive)
    finally:
        kill_each(int(pid) for pid, in shows(left))
    program.stop()


# --- a full disk ---


@pytest.fixture
def disk(home, world):
    return Injected(home, world.state, errno.ENOSPC)


@needs_preload
def test_a_server_that_leaves_behind_a_baseline_that_cannot_be_written(home, world, disk):
    """All in one write, so we hear of it in the middle of things."""
    world.configure({"name": "all", "run": home.record()})

    def examine(c, tag, arguments):
        disk.fill()
        world.server.on.clear()
        c.send(b"* 0 EXISTS\r\n* OK [UIDVALIDITY %d] valid\r\n* OK [UIDNEXT 1] next\r\n"
               b"%s OK [READ-ONLY] open\r\n* BYE bye\r\n"
               % (world.inbox.uidvalidity, tag.encode()))
        c.hang_up()

    world.server.on["EXAMINE"] = examine
    program = world.start(env=disk.env)
    program.wait_log(SHORT)
    disk.relieve()
    nudged(program, lambda: program.lines(expect.watching("work", "INBOX")), "the mailbox")
    world.deliver("one")
    home.wait_records(1, program)
    program.wait_log(expect.outcome("all", "ok"))
    program.stop()
    world.nothing_is_left()


@needs_preload
@pytest.mark.parametrize("command", ["EXAMINE", "UID FETCH"], ids=["baseline", "mail"])
def test_once_ends_although_nothing_can_be_written(home, world, disk, command):
    world.configure({"name": "all", "run": home.record()})
    if command == "UID FETCH":
        assert world.once() == expect.OK
        world.deliver("one")

    def fill(c, tag, arguments):
        disk.fill()
        c.default(command, tag, arguments)

    world.server.on[command] = fill
    assert world.once(env=disk.env) in (expect.AGAIN, IO_ERROR)
    world.server.on.clear()
    disk.relieve()
    if command == "EXAMINE":
        assert world.once() == expect.OK
        world.deliver("one")
    assert world.once() == expect.OK
    assert world.runs() == [("all", "one", "1")]
    world.nothing_is_left()


def gated(home, **more) -> dict:
    return {"name": "gated", "run": home.record(),
            "env": {"RECORD_GATE": str(home.folder / "gate")}, **more}


@needs_preload
def test_what_is_over_but_cannot_be_written_when_we_end_keeps_its_message(home, world, disk):
    """It counts as an attempt that was begun, and the server may have lost the mail by then."""
    world.configure(gated(home))
    program = world.start(env=disk.env)
    program.wait_watching("work/INBOX")
    world.deliver("one")
    home.wait_records(1, program)
    disk.fill()
    (home.folder / "gate").touch()
    program.wait_log(expect.outcome("gated", "ok"))
    program.signal(signal.SIGTERM)
    program.wait_end()
    disk.relieve()
    world.inbox.remove(1)
    assert world.once() == expect.OK
    first, second = home.records()
    assert world.runs() == [("gated", "one", "1"), ("gated", "one", "2")]
    assert second.stdin == first.stdin and second["EVENT_ID"] == first["EVENT_ID"]
    world.nothing_is_left()


@needs_preload
def test_a_disk_that_recovers_while_we_end_brings_no_new_mail(home, world, disk):
    """The mailbox is kept open only for what the hook's end wants changed."""
    world.server.mailboxes["Read"] = Mailbox()
    short_gate = home.folder / "short-gate"
    home.configure(
        {"work": home.scripted_account(world.server, mailboxes=["INBOX", "Read"])},
        [gated(home, **{"in": "work/INBOX", "on_success": {"flag": "seen"}},
               match={"not": {"subject": "short"}}),
         {"name": "short", "match": {"subject": "short"}, "run": home.record(),
          "env": {"RECORD_GATE": str(short_gate)}}])
    program = home.run("work/INBOX", "work/Read", env=disk.env)
    world.deliver("one", "short")
    home.wait_records(2, program)
    disk.fill()
    short_gate.touch()
    program.wait_log(r"journal\.sqlite: ")
    program.signal(signal.SIGTERM)
    wait_for(lambda: world.server.commands("LOGOUT"), "the other mailbox to be left",
             alive=program.assert_alive)
    disk.relieve()
    program.wait_log("written again")
    before = world.server.commands("UID FETCH")
    world.deliver("two")
    (home.folder / "gate").touch()
    program.wait_end(0)
    assert world.server.commands("UID FETCH") == before
    assert world.inbox.flags == {1: {r"\Seen"}}
    assert world.once() == expect.OK
    assert world.runs()[2:] == [("gated", "two", "1")]
    world.nothing_is_left()
