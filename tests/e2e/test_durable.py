"""Nothing is lost: not while mailcall is down, not when it is killed, not when a hook fails for now."""

import random
import re
import signal

import expect
from mails import mail
from waiting import wait_for


def kill(home, program):
    program.process.kill()
    program.process.wait()
    home.programs.remove(program)  # whose end is no failure


def rules(home, **more):
    return [{"name": "all", "run": home.record(), "stdin": "headers", **more}]


def test_mail_that_came_while_it_was_down_is_handled_once(home, user):
    user.deliver(mail("before the first start"))
    home.configure({"work": home.account(user)}, rules(home))
    home.run("work/INBOX").stop()
    for number in range(3):
        user.deliver(mail(f"while down {number}"))
    program = home.run("work/INBOX")
    home.wait_records(3, program)
    program.stop()
    program = home.run("work/INBOX")
    user.deliver(mail("end"))
    records = home.wait_records(4, program)
    assert [r["SUBJECT"] for r in records] == [
        "while down 0", "while down 1", "while down 2", "end"]
    assert {r["ATTEMPT"] for r in records} == {"1"}


def test_a_second_run_is_told_who_was_first(home, user):
    home.configure({"work": home.account(user)}, rules(home))
    program = home.run("work/INBOX")
    done = home.call("run", "-c", home.config_file)
    assert done.returncode == expect.AGAIN
    assert done.stderr.endswith(f": already running (pid {program.pid})\n")
    kill(home, program)
    home.run("work/INBOX")


def test_killed_at_random_moments_under_load_it_loses_nothing(home, user):
    """At least once for every mail; twice only under the same EVENT_ID."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    home.configure({"work": home.account(user)}, rules(home))
    program = home.run("work/INBOX")
    total = 0
    for _ in range(12):
        for _ in range(5):
            user.deliver(mail(f"mail {total}"))
            total += 1
        # a moment in the middle of what is going on: when so many hooks have run
        enough = total - 5 + chance.randrange(6)
        wait_for(lambda: home.count() >= min(enough, total), "some hooks")
        kill(home, program)
        program = home.start("run", "-c", home.config_file)
    user.deliver(mail("end"))
    wait_for(lambda: any(r["SUBJECT"] == "end" for r in home.records()), "the last mail", 60)
    seen = {}
    for record in home.records():
        seen.setdefault(record["SUBJECT"], set()).add(record["EVENT_ID"])
    assert set(seen) == {"end"} | {f"mail {n}" for n in range(total)}, f"seed {seed}"
    assert all(len(ids) == 1 for ids in seen.values()), f"seed {seed}"


def test_what_is_done_is_not_repeated_after_a_kill(home, user):
    """The second hook starts behind the commit that knows of the first, in the order of the turn."""
    home.configure({"work": home.account(user)}, rules(home))
    program = home.run("work/INBOX")
    user.deliver(mail("first"))
    program.wait_log("all ok")
    user.deliver(mail("second"))
    home.wait_records(2, program)
    kill(home, program)
    program = home.run("work/INBOX")
    user.deliver(mail("end"))
    wait_for(lambda: any(r["SUBJECT"] == "end" for r in home.records()), "the last mail")
    assert [r["SUBJECT"] for r in home.records()].count("first") == 1


def test_a_hook_that_fails_for_now_runs_again(home, user):
    """75 twice, then 0: same EVENT_ID, counting attempts; others do not wait for it."""
    flag = home.folder / "ready"
    home.configure({"work": home.account(user)}, [
        {"name": "flaky", "match": {"subject": "flaky"}, "retry": {"backoff": "1s"},
         "sh": home.record_sh() + f"; [ $MAILCALL_ATTEMPT -gt 2 ] || exit 75; touch {flag}"},
        {"name": "calm", "match": {"subject": "calm"}, "run": home.record()}])
    program = home.run("work/INBOX")
    user.deliver(mail("flaky"))
    user.deliver(mail("calm"))
    wait_for(flag.exists, "the third attempt", 60, alive=program.assert_alive)
    flaky = [r for r in home.records() if r["RULE"] == "flaky"]
    assert [r["ATTEMPT"] for r in flaky] == ["1", "2", "3"]
    assert [r["EVENT"] for r in flaky] == ["new", "retry", "retry"]
    assert len({r["EVENT_ID"] for r in flaky}) == 1
    assert [r["SUBJECT"] for r in home.records()].index("calm") < 2
    assert len(program.lines(r"flaky again .*\(exit 75\); again in \d+ s")) == 2


def test_attempts_end_and_other_statuses_have_none(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "never", "match": {"subject": "never"},
         "retry": {"attempts": 2, "backoff": "1s"}, "sh": home.record_sh() + "; exit 111"},
        {"name": "broken", "match": {"subject": "broken"}, "sh": home.record_sh() + "; exit 1"},
        {"name": "once", "match": {"subject": "once"}, "retry": "none",
         "sh": home.record_sh() + "; exit 75"}])
    program = home.run("work/INBOX")
    for subject in ("never", "broken", "once"):
        user.deliver(mail(subject))
    program.wait_log("given up after 2 attempts")
    records = home.wait_records(4, program)
    assert sorted(r["RULE"] for r in records) == ["broken", "never", "never", "once"]
    program.stop()
    program = home.run("work/INBOX")
    user.deliver(mail("once"))
    home.wait_records(5, program)


def test_an_attempt_that_was_owed_is_made_after_a_restart(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "later", "retry": {"backoff": "2s"},
         "sh": home.record_sh() + f"; [ -e {home.folder}/net ] || exit 75"}])
    program = home.run("work/INBOX")
    message = mail("owed")
    user.deliver(message)
    program.wait_log("again in")
    program.stop()
    (home.folder / "net").touch()
    user.expunge("1")  # its message is ours by now
    program = home.run("work/INBOX")
    first, second = home.wait_records(2, program)
    assert first["EVENT_ID"] == second["EVENT_ID"]
    assert (second["EVENT"], second["ATTEMPT"]) == ("retry", "2")
    assert second.stdin == first.stdin == message


def test_a_hook_cut_short_by_our_end_runs_again(home, user):
    """Two signals end it at once; the mail is not taken for handled."""
    home.configure({"work": home.account(user)}, [
        {"name": "slow", "sh": home.record_sh()
         + f"; [ -e {home.folder}/fast ] || exec sleep 1000"}])
    program = home.run("work/INBOX")
    user.deliver(mail("cut short"))
    home.wait_records(1, program)
    program.signal(signal.SIGTERM)
    program.signal(signal.SIGINT)
    program.wait_end(0)
    (home.folder / "fast").touch()
    home.wait_records(2, home.run("work/INBOX"))


def test_a_damaged_journal_is_refused_and_left_alone(home, user):
    home.configure({"work": home.account(user)}, rules(home))
    home.run("work/INBOX").stop()
    [journal] = (home.folder / "home").rglob("journal.sqlite")
    assert journal.stat().st_mode & 0o777 == 0o600
    assert journal.parent.stat().st_mode & 0o777 == 0o700
    journal.write_bytes(b"not a database" * 100)
    done = home.call("run", "-c", home.config_file)
    assert done.returncode == expect.CONFIG
    assert re.search(r"journal\.sqlite: .*damaged", done.stderr)
    assert journal.read_bytes() == b"not a database" * 100


def test_a_mailbox_made_anew_brings_what_is_new(home, user):
    """Recreated with other mail while we were down: none of it is lost."""
    user.create("Lists")
    home.configure({"work": home.account(user, "Lists")}, rules(home))
    home.run("work/Lists").stop()
    user.delete_mailbox("Lists")
    user.create("Lists")
    user.deliver(mail("other mail"), "Lists")
    program = home.run("work/Lists")
    assert program.lines(expect.RENUMBERED)
    user.deliver(mail("new"), "Lists")
    assert sorted(r["SUBJECT"] for r in home.wait_records(2, program)) == ["new", "other mail"]


def once(home, status):
    done = home.call("run", "--once", "-c", home.config_file, seconds=60)
    assert done.returncode == status, done.stderr
    return done.stderr


def test_once_looks_at_everything_and_ends(home, user):
    user.create("Lists")
    home.configure({"work": home.account(user, "INBOX", "Lists")}, rules(home))
    once(home, expect.OK)
    assert home.count() == 0
    user.deliver(mail("one"))
    user.deliver(mail("two"), "Lists")
    once(home, expect.OK)
    assert sorted(r["SUBJECT"] for r in home.wait_records(2)) == ["one", "two"]
    once(home, expect.OK)
    assert home.count() == 2


def test_once_tells_what_is_owed_and_what_failed(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "owed", "match": {"subject": "owed"}, "sh": home.record_sh() + "; exit 75"},
        {"name": "fails", "match": {"subject": "fails"}, "sh": home.record_sh() + "; exit 1"}])
    once(home, expect.OK)
    user.deliver(mail("owed"))
    once(home, expect.AGAIN)
    once(home, expect.AGAIN)  # its time has not come
    home.wait_records(1)
    user.deliver(mail("fails"))
    once(home, expect.NO)
    assert [r["RULE"] for r in home.wait_records(2)].count("fails") == 1
    once(home, expect.AGAIN)


def test_once_says_who_could_not_be_reached(home, user):
    """The other account is looked at all the same."""
    nobody = dict(home.account(user), port=1)
    home.configure({"work": home.account(user), "gone": nobody}, rules(home))
    log = once(home, expect.AGAIN)
    assert "gone/INBOX: localhost:1: " in log
    user.deliver(mail("seen"))
    once(home, expect.AGAIN)
    home.wait_records(1)


def test_once_with_a_wrong_password_is_77(home, user):
    user.create("Lists")
    home.configure({"work": home.account(user, "INBOX", "Lists", password="wrong")}, rules(home))
    log = once(home, expect.NO_PERMISSION)
    assert log.count("login refused") == 1
