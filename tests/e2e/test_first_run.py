"""What of the mail that lies in a mailbox at the very first start is new: first_run."""

import time

import pytest

import expect
from lifetimes import kill, nudged, shown, shows
from mails import mail
from scripted import Gone, Mailbox
from waiting import wait_for

HOUR = 3600
DAY = 24 * HOUR
MANY = 10_000
SCATTERED = 150  # more than fit as ranges into one question


def rules(home, *variables):
    """Writes a line for each run; what it says is in `lines()`."""
    return [{"name": "all", "stdin": "headers",
             "sh": shown(home.folder / "lines", *(variables or ["SUBJECT"]))}]


def lines(home) -> list:
    return shows(home.folder / "lines")


def once(home, status=expect.OK) -> str:
    done = home.call("run", "--once", "-c", home.config_file, seconds=60)
    assert done.returncode == status, done.stderr
    return done.stderr


def seconds_ago(age: float) -> float:
    return time.time() - age


# --- on a real server ---


def test_unseen_mail_is_run_once(home, user):
    user.deliver(mail("read"), flags="S")
    user.deliver(mail("unread"))
    user.deliver(mail("starred"), flags="F")
    home.configure({"work": home.account(user, first_run="unseen")}, rules(home))
    once(home)
    assert lines(home) == [["unread"], ["starred"]]
    user.deliver(mail("read elsewhere"), flags="S")
    once(home)
    assert lines(home)[2:] == [["read", "elsewhere"]], "what comes later is new, read or not"
    once(home)
    assert len(lines(home)) == 3


def test_all_mail_is_run_once_in_its_order(home, user):
    for number in range(5):
        user.deliver(mail(f"number {number}"), flags="S" if number % 2 else "")
    home.configure({"work": home.account(user, first_run="all")}, rules(home))
    program = home.run("work/INBOX")
    wait_for(lambda: len(lines(home)) >= 5, "all", alive=program.assert_alive)
    user.deliver(mail("number 5"))
    wait_for(lambda: len(lines(home)) >= 6, "the new one", alive=program.assert_alive)
    program.stop()
    once(home)
    assert lines(home) == [["number", str(number)] for number in range(6)]


def test_mail_up_to_an_age_is_run_once(home, user):
    """To the second, although servers search by the day. The server's date counts, not the
    sender's."""
    ages = {"ancient": 400 * DAY, "too old": 7 * DAY + HOUR, "just in": 7 * DAY - HOUR,
            "yesterday": DAY, "now": 0}
    for subject, age in ages.items():
        user.deliver(mail(subject), received=seconds_ago(age))
    home.configure({"work": home.account(user, first_run="7d")}, rules(home))
    once(home)
    assert lines(home) == [["just", "in"], ["yesterday"], ["now"]]
    once(home)
    assert len(lines(home)) == 3


def test_new_is_what_comes_from_now_on(home, user):
    for number in range(3):
        user.deliver(mail(f"old {number}"))
    home.configure({"work": home.account(user, first_run="new")}, rules(home))
    once(home)
    user.deliver(mail("fresh"))
    once(home)
    assert lines(home) == [["fresh"]]


def test_each_mailbox_has_a_first_time_of_its_own(home, user):
    user.create("Lists")
    user.deliver(mail("inbox"))
    user.deliver(mail("lists"), "Lists")
    home.configure({"work": home.account(user, "INBOX", first_run="all")}, rules(home))
    once(home)
    home.configure({"work": home.account(user, "INBOX", "Lists", first_run="all")}, rules(home))
    once(home)
    assert lines(home) == [["inbox"], ["lists"]]


def test_only_rules_that_match_are_run(home, user):
    for subject in ("yes 1", "no", "yes 2"):
        user.deliver(mail(subject))
    home.configure({"work": home.account(user, first_run="all")},
                   [{**rules(home)[0], "match": {"subject": "^yes"}}])
    once(home)
    assert lines(home) == [["yes", "1"], ["yes", "2"]]


def test_killed_in_the_middle_it_goes_on_where_it_was(home, user):
    """A hook that ran at the kill runs again and says so; nothing else does."""
    for number in range(100):
        user.deliver(mail(f"number {number}"), flags="S" if number % 10 == 9 else "")
    home.configure({"work": home.account(user, first_run="unseen")},
                   rules(home, "UID", "ATTEMPT", "EVENT_ID"))
    program = home.start("run", "-c", home.config_file)
    wait_for(lambda: len(lines(home)) >= 30, "some hooks", alive=program.assert_alive)
    kill(program)
    once(home)
    assert_each_once(lines(home), [n for n in range(1, 101) if n % 10 != 0])


def assert_each_once(ran: list, uids: list):
    """Words are UID, ATTEMPT, EVENT_ID; one hook at a time, and one kill."""
    runs = {}
    for uid, attempt, event in ran:
        runs.setdefault(int(uid), []).append((int(attempt), event))
    assert sorted(runs) == uids
    repeated = [r for r in runs.values() if len(r) > 1]
    assert len(repeated) <= 1
    for (first, event), *more in runs.values():
        assert first == 1 or not more
        assert all(attempt == 2 and again == event for attempt, again in more)
        assert len(more) <= 1


# --- in a mailbox of many: what it costs ---


@pytest.fixture
def many(server):
    """A server whose INBOX holds 10,000 messages, all read but for every 66th."""
    s = server()
    message = mail("one of many")
    box = s.mailboxes["INBOX"]
    box.messages = [(uid, message) for uid in range(1, MANY + 1)]
    box.uidnext = MANY + 1
    unread = range(MANY // SCATTERED, MANY + 1, MANY // SCATTERED)
    box.flags = {uid: {r"\Seen"} for uid in range(1, MANY + 1) if uid not in unread}
    s.unread = list(unread)
    return s


def cost(s) -> int:
    return sum(c.sent for c in s.connections)


def test_the_first_start_in_a_mailbox_of_many_asks_one_question(home, many):
    home.configure({"work": home.scripted_account(many, first_run="new")}, rules(home, "UID"))
    program = home.run("work/INBOX")
    assert many.commands("UID FETCH") == 1 and many.commands("UID SEARCH") == 0
    assert cost(many) < 2000
    many.deliver(mail("new"))
    wait_for(lambda: lines(home), "the new one", alive=program.assert_alive)
    program.stop()

    fetches, bytes_before = many.commands("UID FETCH"), cost(many)
    program = home.run("work/INBOX")
    assert many.commands("UID FETCH") == fetches + 1 and many.commands("UID SEARCH") == 0
    assert cost(many) - bytes_before < 2000
    many.deliver(mail("newer"))
    wait_for(lambda: len(lines(home)) >= 2, "the newer one", alive=program.assert_alive)
    assert lines(home) == [[str(MANY + 1)], [str(MANY + 2)]]


def test_unseen_ones_scattered_among_many_are_each_run_once(home, many):
    home.configure({"work": home.scripted_account(many, first_run="unseen")}, rules(home, "UID"))
    program = home.run("work/INBOX")
    wait_for(lambda: len(lines(home)) >= len(many.unread), "all unseen ones",
             alive=program.assert_alive)
    program.stop()
    assert many.commands("UID FETCH") <= 10
    assert cost(many) < 1000 * len(many.unread)
    many.deliver(mail("new"))
    once(home)
    assert sorted(int(uid) for [uid] in lines(home)) == many.unread + [MANY + 1]


@pytest.mark.parametrize("end", [kill, lambda program: program.stop()], ids=["kill", "stop"])
def test_ended_before_all_of_it_was_fetched_it_asks_for_the_rest(home, server, end):
    """What was new at the first start stays so, also when somebody reads it meanwhile."""
    s = server()
    s.mailboxes["INBOX"] = box = Mailbox()
    for number in range(12):
        box.add(mail(f"number {number}"), flags={r"\Seen"} if number < 2 else ())

    def three_and_silence(c, tag, arguments):
        uid_set, _, items = arguments.partition(" ")
        for number, uid, message in c.matching(uid_set)[:3]:
            c.send_fetch(number, uid, message, items)
        c.stall()

    s.on["UID FETCH"] = three_and_silence
    home.configure({"work": home.scripted_account(s, first_run="unseen")},
                   rules(home, "UID", "ATTEMPT", "EVENT_ID"))
    program = home.start("run", "-c", home.config_file)
    wait_for(lambda: len(lines(home)) >= 3, "the first three", alive=program.assert_alive)
    end(program)
    del s.on["UID FETCH"]
    for uid in box.uids:
        box.flags[uid] = {r"\Seen"}
    once(home)
    assert_each_once(lines(home), list(range(3, 13)))


@pytest.mark.parametrize("how", ["no", "bad", "cut", "kill"])
@pytest.mark.parametrize("first_run", ["unseen", "7d"])
def test_a_search_without_an_answer_is_made_again(home, server, first_run, how):
    """Until it is answered there was no first time."""
    s = server()
    box = s.mailboxes["INBOX"]
    for number in range(4):
        box.add(mail(f"number {number}"), flags={r"\Seen"} if number < 2 else (),
                date=seconds_ago(30 * DAY if number < 2 else 0))

    def refuse(c, tag, _):
        if how == "kill":
            return c.stall()
        del s.on["UID SEARCH"]
        if how == "cut":
            raise Gone("cut")
        getattr(c, how)(tag)

    s.on["UID SEARCH"] = refuse
    home.configure({"work": home.scripted_account(s, first_run=first_run)}, rules(home, "UID"))
    program = home.start("run", "-v", "-c", home.config_file)
    if how == "kill":
        wait_for(lambda: s.commands("UID SEARCH"), "the search", alive=program.assert_alive)
        kill(program)
        del s.on["UID SEARCH"]
        program = home.start("run", "-v", "-c", home.config_file)
    nudged(program, lambda: len(lines(home)) >= 2, "the two")
    deliver_end(s, home, program)
    assert lines(home) == [["3"], ["4"], ["5"]]


def deliver_end(s, home, program):
    s.deliver(mail("end"), date=time.time())
    nudged(program, lambda: [str(s.mailboxes["INBOX"].uids[-1])] in lines(home), "the last mail")


@pytest.mark.parametrize("first_run", ["all", "unseen", "7d"])
def test_renumbered_before_all_of_it_was_fetched(home, server, first_run):
    """What was owed from the first start is still owed, whatever its number."""
    s = server()
    box = s.mailboxes["INBOX"]
    for number in range(12):
        box.add(mail(f"number {number}"), date=seconds_ago(HOUR))

    def three_and_silence(c, tag, arguments):
        uid_set, _, items = arguments.partition(" ")
        for number, uid, message in c.matching(uid_set)[:3]:
            c.send_fetch(number, uid, message, items)
        c.stall()

    s.on["UID FETCH"] = three_and_silence
    home.configure({"work": home.scripted_account(s, first_run=first_run)}, rules(home))
    program = home.start("run", "-v", "-c", home.config_file)
    wait_for(lambda: len(lines(home)) >= 3, "the first three", alive=program.assert_alive)
    program.stop()
    del s.on["UID FETCH"]
    s.mailboxes["INBOX"] = again = Mailbox(1700000001)
    for uid, message in box.messages:
        again.add(message, date=box.dates[uid])
    once(home)
    assert sorted(int(number) for _, number in lines(home)) == list(range(12))
