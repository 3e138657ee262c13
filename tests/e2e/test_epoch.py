"""A server that gives its mails other numbers: nothing old runs again, nothing new is lost."""

import os
import subprocess
import time

import pytest

import expect
from lifetimes import kill, nudged, shown, shows
from mails import mail
from preload import needs_preload
from scripted import Gone, Mailbox
from waiting import wait_for

HOUR = 3600
DAY = 24 * HOUR


def rules(home):
    return [{"name": "all", "stdin": "headers",
             "sh": shown(home.folder / "lines", "ATTEMPT", "SUBJECT")}]


def subjects(home) -> list:
    """Of the mails that were run, without the second attempts that a kill may lead to."""
    return [" ".join(subject) for attempt, *subject in shows(home.folder / "lines")
            if attempt == "1"]


def ran(home, program, *wanted: str):
    """These hooks have run, in this order, and no others."""
    nudged(program, lambda: len(subjects(home)) >= len(wanted), f"the hooks for {wanted}")
    assert subjects(home) == list(wanted)


def ago(seconds: float) -> float:
    return time.time() - seconds


# --- Dovecot ---


@pytest.mark.parametrize("while_", ["running", "down"])
def test_a_mailbox_deleted_and_made_again_with_other_mail(home, user, while_):
    """Some of it lay there long before us, some was seen before, some is new."""
    user.create("Box")
    user.deliver(mail("lay there", sender="a@example.org"), "Box", received=ago(3 * HOUR))
    home.configure({"work": home.account(user, "Box")}, rules(home))
    program = home.run("work/Box", options=["-v"])
    kept = mail("kept")
    user.deliver(kept, "Box")
    ran(home, program, "kept")
    if while_ == "down":
        program.stop()
    user.delete_mailbox("Box")
    user.create("Box")
    user.deliver(mail("lay elsewhere"), "Box", received=ago(30 * DAY))
    user.deliver(mail("lay there"), "Box", received=ago(3 * HOUR))
    user.deliver(kept, "Box")
    user.deliver(mail("new"), "Box")
    if while_ == "down":
        program = home.run("work/Box", options=["-v"])
    ran(home, program, "kept", "new")
    assert program.lines(expect.RENUMBERED)
    user.deliver(mail("end"), "Box")
    ran(home, program, "kept", "new", "end")


@pytest.mark.parametrize("while_", ["running", "down", "killed"])
def test_the_same_mail_under_other_numbers(home, own_dovecot, while_):
    """The server lost its index; mail that came meanwhile is among the renumbered."""
    user = own_dovecot.new_user()
    user.deliver(mail("lay there"), received=ago(HOUR))
    home.configure({"work": home.account(user)}, rules(home))
    program = home.run("work/INBOX", options=["-v"])
    first, second = mail("first"), mail("second")
    user.deliver(first)
    user.deliver(second)
    ran(home, program, "first", "second")
    if while_ == "down":
        program.stop()
    if while_ == "killed":
        kill(program)
    own_dovecot.stop()
    user.renumber()
    user.deliver(mail("meanwhile"))
    own_dovecot.restart()
    if while_ != "running":
        program = home.run("work/INBOX", options=["-v"])
    ran(home, program, "first", "second", "meanwhile")
    user.deliver(mail("end"))
    ran(home, program, "first", "second", "meanwhile", "end")
    assert program.lines(expect.RENUMBERED)


def test_a_mail_whose_hook_is_owed_runs_once_under_either_number(home, own_dovecot):
    user = own_dovecot.new_user()
    net = home.folder / "net"
    home.configure({"work": home.account(user)}, [
        {"name": "all", "retry": {"backoff": "1s"}, "sh": shown(
            home.folder / "lines", "SUBJECT", "ATTEMPT", "EVENT_ID")
            + f"; [ -e {net} ] || exit 75"}])
    program = home.run("work/INBOX", options=["-v"])
    user.deliver(mail("owed"))
    program.wait_log("again in")
    program.stop()
    own_dovecot.stop()
    user.renumber()
    own_dovecot.restart()
    net.touch()
    program = home.run("work/INBOX", options=["-v"])
    user.deliver(mail("end"))
    words = nudged(program, lambda: [w for w in shows(home.folder / "lines") if w[0] == "end"],
                   "the last mail")
    wait_for(lambda: len(shows(home.folder / "lines")) >= 3, "the attempt that was owed",
             alive=program.assert_alive)
    program.stop()
    owed = [w for w in shows(home.folder / "lines") if w[0] == "owed"]
    assert len(words) == 1
    assert [attempt for _, attempt, _ in owed] == ["1", "2"]
    assert len({event for _, _, event in owed}) == 1


# --- scripted ---


def start(home, s, **account):
    home.configure({"work": home.scripted_account(s, **account)}, rules(home))
    return home.run("work/INBOX", options=["-v"])


def renumbered(box: Mailbox, uidvalidity, first: int = 1) -> Mailbox:
    """The same messages with UIDs from `first` on."""
    made = Mailbox(uidvalidity)
    made.uidnext = first
    for uid, message in box.messages:
        made.add(message, box.flags_of(uid), box.dates.get(uid))
    return made


def deliver(s, subject: str):
    s.deliver(mail(subject), date=time.time())


def replace(s, box: Mailbox):
    """At the next connect; the present one ends."""
    s.mailboxes["INBOX"] = box
    s.last.close()


@pytest.mark.parametrize("killed", [False, True], ids=["lost", "killed"])
def test_renumbered_between_the_header_block_and_the_rest(home, server, killed):
    """Who has seen the header block of a mail has not dealt with it."""
    s = server()
    [rule] = rules(home)
    home.configure({"work": home.scripted_account(s)},
                   [{**rule, "match": {"subject": "."}, "stdin": "message"}])
    program = home.run("work/INBOX", options=["-v"])

    def headers_only(c, tag, arguments):
        if "HEADER" in arguments:
            c.do_uid_fetch(tag, arguments)
        else:
            c.stall()

    s.on["UID FETCH"] = headers_only
    deliver(s, "half")
    wait_for(lambda: any("BODY.PEEK[]" in arguments for c in s.connections
                         for name, arguments in c.commands if name == "UID FETCH"),
             "the whole to be asked for", alive=program.assert_alive)
    if killed:
        kill(program)
    del s.on["UID FETCH"]
    replace(s, renumbered(s.mailboxes["INBOX"], 1700000001, 1))
    if killed:
        program = home.run("work/INBOX", options=["-v"])
    ran(home, program, "half")


@pytest.mark.parametrize("uidvalidity, first", [
    (1700000001, 1), (1600000000, 1), (1700000001, 500), (1700000000, 1)],
    ids=["greater", "smaller", "greater-uids", "uidnext-back"])
def test_renumbered_at_a_reconnect(home, server, uidvalidity, first):
    s = server()
    for number in range(20):
        s.mailboxes["INBOX"].add(mail(f"old {number}"), date=ago(DAY))
    s.mailboxes["INBOX"].uidnext = 100
    program = start(home, s)
    deliver(s, "seen 1")
    deliver(s, "seen 2")
    ran(home, program, "seen 1", "seen 2")
    box = renumbered(s.mailboxes["INBOX"], uidvalidity, first)
    box.add(mail("meanwhile"), date=time.time())
    replace(s, box)
    ran(home, program, "seen 1", "seen 2", "meanwhile")
    assert program.lines(expect.RENUMBERED)
    deliver(s, "end")
    ran(home, program, "seen 1", "seen 2", "meanwhile", "end")


def test_two_servers_that_take_turns(home, server):
    """Replicas that never agreed on their numbers: each connect may bring the other's."""
    s = server()
    s.mailboxes["INBOX"].add(mail("old"), date=ago(DAY))
    program = start(home, s)
    deliver(s, "0")
    wanted = ["0"]
    ran(home, program, *wanted)
    for number in range(1, 5):
        box = renumbered(s.mailboxes["INBOX"], 1700000000 + number % 2, 1 + 10 * (number % 2))
        box.add(mail(str(number)), date=time.time())
        replace(s, box)
        wanted.append(str(number))
        ran(home, program, *wanted)
    program.stop()
    program = home.run("work/INBOX", options=["-v"])
    deliver(s, "end")
    ran(home, program, *wanted, "end")


@pytest.mark.parametrize("uidvalidity", [0, None], ids=["zero", "missing"])
@pytest.mark.parametrize("moves", [False, True], ids=["same-uids", "other-uids"])
def test_a_server_without_uidvalidity(home, server, uidvalidity, moves):
    """Whether its UIDs are still the same cannot be known, at no reconnect."""
    s = server()
    s.mailboxes["INBOX"] = Mailbox(uidvalidity)
    for number in range(5):
        s.mailboxes["INBOX"].add(mail(f"old {number}"), date=ago(DAY))
    program = start(home, s)
    deliver(s, "0")
    wanted = ["0"]
    ran(home, program, *wanted)
    for number in range(1, 6, 2):
        box = s.mailboxes["INBOX"]
        if moves:
            box = renumbered(box, uidvalidity, 1 + number * 7 % 5)
        box.add(mail(str(number)), date=time.time())
        replace(s, box)
        wanted.append(str(number))
        ran(home, program, *wanted)
        deliver(s, str(number + 1))
        wanted.append(str(number + 1))
        ran(home, program, *wanted)
    program.stop()
    program = home.run("work/INBOX", options=["-v"])
    deliver(s, "end")
    ran(home, program, *wanted, "end")


@pytest.mark.parametrize("behind", [2, HOUR, DAY], ids=["seconds", "hour", "day"])
def test_a_server_whose_clock_is_behind(home, server, behind):
    """What it received after we began it dates before; the mail already seen tells."""
    s = server()
    s.mailboxes["INBOX"].add(mail("old"), date=ago(9 * DAY))
    program = start(home, s)
    s.deliver(mail("seen"), date=ago(behind))
    ran(home, program, "seen")
    box = renumbered(s.mailboxes["INBOX"], 1700000001)
    box.add(mail("meanwhile"), date=ago(behind))
    replace(s, box)
    ran(home, program, "seen", "meanwhile")


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    const char *ahead = getenv("CLOCK_AHEAD");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME && ahead != NULL)
        now->tv_sec += atol(ahead);
    return result;
}

time_t
time(time_t *p)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return p != NULL ? *p = now.tv_sec : now.tv_sec;
}
"""


@pytest.fixture(scope="session")
def clock(folder):
    """The environment of a mailcall whose clock is so many seconds ahead."""
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(CLOCK)
    subprocess.run([os.environ.get("CC", "cc"), "-w", "-shared", "-fPIC", "-o", library, source,
                    "-ldl"], check=True)
    return lambda ahead: {"LD_PRELOAD": library, "CLOCK_AHEAD": ahead}


@needs_preload
def test_our_clock_was_ahead_when_we_began(home, server, clock):
    s = server()
    home.configure({"work": home.scripted_account(s)}, rules(home))
    home.run("work/INBOX", env=clock(400 * DAY)).stop()
    program = home.run("work/INBOX", options=["-v"])
    deliver(s, "seen")
    ran(home, program, "seen")
    box = renumbered(s.mailboxes["INBOX"], 1700000001)
    box.add(mail("meanwhile"), date=time.time())
    replace(s, box)
    ran(home, program, "seen", "meanwhile")


@needs_preload
def test_our_clock_is_behind_when_all_is_renumbered(home, server, clock):
    """As that of a machine without a battery is, until it has asked somebody."""
    s = server()
    program = start(home, s)
    deliver(s, "seen")
    ran(home, program, "seen")
    program.stop()
    box = s.mailboxes["INBOX"] = renumbered(s.mailboxes["INBOX"], 1700000001)
    box.add(mail("meanwhile"), date=time.time())
    home.run("work/INBOX", env=clock(-30 * DAY)).stop()
    program = home.run("work/INBOX", options=["-v"])
    deliver(s, "end")
    ran(home, program, "seen", "meanwhile", "end")


def test_a_strangers_message_id_hides_nothing(home, server):
    """Who knows the Message-ID of a mail you have cannot make another one pass for it."""
    s = server()
    program = start(home, s)
    headers = [("Message-ID", "<known@example.org>")]

    def one(subject, **more):
        return mail(subject, **more).replace(b"Message-ID: <", b"X-Number: <")

    s.deliver(one("original", headers=headers), date=time.time())
    ran(home, program, "original")
    box = renumbered(s.mailboxes["INBOX"], 1700000001)
    box.add(one("another", headers=headers), date=time.time())
    box.add(one("original", headers=headers, sender="eve@example.net"), date=time.time())
    box.add(one("original", headers=headers).replace(b"3 Oct", b"4 Oct"), date=time.time())
    replace(s, box)
    ran(home, program, "original", "another", "original", "original")


def test_twins_are_two_mails_while_nothing_is_renumbered(home, server):
    s = server()
    program = start(home, s)
    twin = mail("twin")
    for _ in range(3):
        s.deliver(twin, date=time.time())
    deliver(s, "end")
    ran(home, program, "twin", "twin", "twin", "end")


def test_mails_without_a_message_id_are_told_apart(home, server):
    s = server()
    program = start(home, s)

    def bare(subject):
        head, _, body = mail(subject).partition(b"\n\n")
        return head.partition(b"\nMessage-ID")[0] + b"\n\n" + body

    s.deliver(bare("one"), date=time.time())
    ran(home, program, "one")
    box = renumbered(s.mailboxes["INBOX"], 1700000001)
    box.add(bare("two"), date=time.time())
    replace(s, box)
    ran(home, program, "one", "two")


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("command", ["UID SEARCH", "UID FETCH"])
def test_killed_while_it_looks_for_what_is_new(home, server, command, again):
    """The new numbers are known by then, what they stand for is not; and they may change again."""
    s = server()
    s.mailboxes["INBOX"].add(mail("old"), date=ago(DAY))
    program = start(home, s)
    deliver(s, "seen")
    ran(home, program, "seen")
    box = renumbered(s.mailboxes["INBOX"], 1700000001, 50)
    box.add(mail("meanwhile 1"), date=time.time())
    box.add(mail("meanwhile 2"), date=time.time())
    before = s.commands(command)
    s.on[command] = lambda c, tag, _: c.stall()
    replace(s, box)
    nudged(program, lambda: s.commands(command) > before, "the question")
    kill(program)
    del s.on[command]
    if again:
        s.mailboxes["INBOX"] = renumbered(box, 1700000002, 7)
    program = home.run("work/INBOX", options=["-v"])
    ran(home, program, "seen", "meanwhile 1", "meanwhile 2")
    deliver(s, "end")
    ran(home, program, "seen", "meanwhile 1", "meanwhile 2", "end")


def test_what_comes_and_goes_while_it_looks(home, server):
    """One mail arrives behind the search, and one that it found is gone when it is asked for."""
    s = server()
    program = start(home, s)
    deliver(s, "seen")
    ran(home, program, "seen")
    box = renumbered(s.mailboxes["INBOX"], 1700000001)
    going = box.add(mail("going"), date=time.time())
    box.add(mail("staying"), date=time.time())

    def search(c, tag, arguments):
        del s.on["UID SEARCH"]
        box.add(mail("coming"), date=time.time())
        c.do_uid_search(tag, arguments)
        box.remove(going)

    s.on["UID SEARCH"] = search
    replace(s, box)
    ran(home, program, "seen", "staying", "coming")
    deliver(s, "end")
    ran(home, program, "seen", "staying", "coming", "end")
    assert s.commands("UID FETCH") < 12


@pytest.mark.parametrize("refuse", ["no", "bad", "cut"])
def test_a_search_that_is_refused_is_not_taken_for_an_answer(home, server, refuse):
    s = server()
    program = start(home, s)
    deliver(s, "seen")
    ran(home, program, "seen")

    def refuse_once(c, tag, _):
        del s.on["UID SEARCH"]
        if refuse == "cut":
            raise Gone("cut")
        getattr(c, refuse)(tag)

    s.on["UID SEARCH"] = refuse_once
    box = renumbered(s.mailboxes["INBOX"], 1700000001)
    box.add(mail("meanwhile"), date=time.time())
    replace(s, box)
    ran(home, program, "seen", "meanwhile")
