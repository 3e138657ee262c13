"""failed, retry, drop: what failed for good is listed, run again, forgotten; the same whether a
daemon is asked or the journal itself."""

import json
import re
import stat

import pytest

import expect
from mails import mail
from waiting import wait_for

FAIL = r"\b\S+ fail \d"
WHEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class Failed:
    """One line of `failed`."""

    def __init__(self, line: str):
        (self.event, self.when, self.rule, self.place, self.result, self.attempts,
         self.subject) = line.split("\t")


def call(home, *arguments, status=expect.OK, **keys):
    done = home.call(*arguments, **keys)
    assert done.returncode == status, done.stderr
    return done


def failed(home, *arguments) -> list:
    done = call(home, "failed", *arguments)
    assert done.stderr == ""
    return [Failed(line) for line in done.stdout.splitlines()]


def fixed(home):
    return home.folder / "fixed"


def spooled(home) -> list:
    return [p for p in (home.folder / "home/.local/state/mailcall/spool").iterdir() if p.is_file()]


def breaks(home, **more) -> dict:
    """A rule whose hook fails for good until somebody mends it."""
    return {"name": "breaks", "sh": home.record_sh() + f"; echo oops; [ -e {fixed(home)} ]", **more}


@pytest.fixture(params=["running", "stopped"])
def is_running(request):
    return request.param == "running"


@pytest.fixture
def start(home, user, is_running):
    """Lets these mails fail, one after the other; the daemon has gone again if it is to be."""

    def start(*mails, rules=None, results=1):
        home.configure({"work": home.account(user)}, rules or [breaks(home)])
        program = home.run("work/INBOX")
        for number, message in enumerate(mails, 1):
            user.deliver(message)
            program.wait_log(FAIL, number * results)
        if not is_running:
            program.stop()
        return program

    return start


def go_on(home, program, is_running):
    """The daemon that runs what was retried."""
    return program if is_running else home.run("work/INBOX")


def test_what_failed_is_listed(home, start):
    start(mail("first"), mail("second"))
    first, second = home.wait_records(2)
    lines = failed(home)
    assert [line.event for line in lines] == [first["EVENT_ID"], second["EVENT_ID"]]
    assert [line.subject for line in lines] == ["first", "second"]
    for line, record in zip(lines, (first, second)):
        assert re.fullmatch(WHEN, line.when)
        assert line.place == f"work/INBOX:{record.uid}"
        assert (line.rule, line.result, line.attempts) == ("breaks", "fail", "1")
    assert [line.event for line in failed(home, "-r", "breaks")] == [line.event for line in lines]


def test_one_that_is_named_is_shown_with_its_output(home, start):
    start(mail("first"), mail("second"))
    first, second = (line.event for line in failed(home))
    done = call(home, "failed", first)
    line, empty, output = done.stdout.splitlines()
    assert Failed(line).event == first and (empty, output) == ("", "oops")
    done = call(home, "failed", second, first)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [
        first, "    oops", second, "    oops"]


def test_as_json(home, start):
    start(mail("späm \"quoted\""))
    [line] = failed(home)
    [found] = map(json.loads, call(home, "failed", "--json").stdout.splitlines())
    assert found == {
        "v": 1, "event_id": line.event, "when": line.when, "rule": "breaks", "account": "work",
        "mailbox": "INBOX", "uid": home.records()[0].uid, "result": "fail", "status": 1,
        "attempts": 1, "subject": "späm \"quoted\""}
    shown = json.loads(call(home, "failed", "--json", line.event).stdout)
    assert shown == {**found, "output": "oops"}


def test_quiet_only_tells_whether_there_are_any(home, start):
    start(mail("one"))
    done = call(home, "failed", "-q", status=expect.NO)
    assert (done.stdout, done.stderr) == ("", "")
    done = call(home, "drop", "-q", "-r", "breaks")
    assert (done.stdout, done.stderr) == ("", "")
    call(home, "failed", "-q")


def test_what_is_retried_runs_again(home, start, is_running):
    """Under its name, its attempts counted on, with the message; and then it is forgotten."""
    program = start(mail("mend me", body=b"the body\n"))
    [first] = home.wait_records(1)
    fixed(home).touch()
    done = call(home, "retry", first["EVENT_ID"])
    assert done.stdout == ""
    assert done.stderr.startswith("1 job queued\n")
    assert ("no mailcall is running" in done.stderr) == (not is_running)
    assert failed(home) == []
    program = go_on(home, program, is_running)
    first, second = home.wait_records(2, program)
    assert second["EVENT_ID"] == first["EVENT_ID"]
    assert (second["EVENT"], second["ATTEMPT"]) == ("retry", "2")
    assert second.stdin == first.stdin and b"the body" in second.stdin
    program.wait_log(expect.outcome("breaks", "ok"))
    wait_for(lambda: spooled(home) == [], "the message to go")
    program.stop()
    assert failed(home) == []
    home.run("work/INBOX").stop()
    assert home.count() == 2


def test_what_fails_again_is_kept_again(home, start, is_running):
    program = start(mail("still broken"))
    [before] = failed(home)
    call(home, "retry", before.event)
    program = go_on(home, program, is_running)
    home.wait_records(2, program)
    program.wait_log(expect.outcome("breaks", "fail"), 2 if is_running else 1)
    [after] = failed(home)
    assert after.event == before.event and after.attempts == "2"


def test_a_rule_or_all_are_retried(home, start, is_running):
    rules = [breaks(home), breaks(home, name="too")]
    program = start(mail("one"), mail("two"), rules=rules, results=2)
    fixed(home).touch()
    assert call(home, "retry", "-r", "too").stderr.startswith("2 jobs queued\n")
    assert [line.rule for line in failed(home)] == ["breaks", "breaks"]
    assert call(home, "retry", "--all").stderr.startswith("2 jobs queued\n")
    assert failed(home) == []
    home.wait_records(8, go_on(home, program, is_running))


def test_what_is_dropped_is_forgotten(home, start, is_running):
    program = start(mail("one"), mail("two"))
    one, two = failed(home)
    assert len(spooled(home)) == 2
    done = call(home, "drop", one.event)
    assert (done.stdout, done.stderr) == ("", "1 job dropped\n")
    assert [line.event for line in failed(home)] == [two.event]
    assert len(spooled(home)) == 1
    fixed(home).touch()
    call(home, "retry", "--all")
    program = go_on(home, program, is_running)
    home.wait_records(3, program)
    assert call(home, "retry", one.event, status=expect.NO).stdout == ""


def test_a_message_stays_while_another_job_has_it(home, start):
    start(mail("one"), rules=[breaks(home), breaks(home, name="too")], results=2)
    assert len(spooled(home)) == 1
    call(home, "drop", "-r", "too")
    assert len(spooled(home)) == 1
    call(home, "drop", "-r", "breaks")
    assert spooled(home) == []


def test_a_message_stays_for_the_dead_when_another_job_is_done_with_it(
        home, user, start, is_running):
    """Then it is only to be had from us."""
    program = start(mail("one"), rules=[breaks(home), breaks(home, name="too")], results=2)
    user.expunge("1")
    fixed(home).touch()
    call(home, "retry", "-r", "too")
    program = go_on(home, program, is_running)
    program.wait_log(expect.outcome("too", "ok"))
    program.stop()
    assert [line.rule for line in failed(home)] == ["breaks"]
    call(home, "retry", "-r", "breaks")
    program = home.run("work/INBOX")
    records = home.wait_records(4, program)
    assert records[3]["RULE"] == "breaks" and records[3].stdin == records[0].stdin
    program.wait_log(expect.outcome("breaks", "ok"))
    wait_for(lambda: spooled(home) == [], "the message to go")


def test_a_message_goes_when_the_last_job_that_has_it_is_done(home, user):
    """The dead one, for which it was kept, was dropped before."""
    gate = home.folder / "gate"
    home.configure({"work": home.account(user)}, [
        breaks(home), {"name": "slow", "run": home.record(), "env": {"RECORD_GATE": str(gate)}}])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    home.wait_records(2, program)
    call(home, "drop", "-r", "breaks")
    assert len(spooled(home)) == 1
    gate.touch()
    wait_for(lambda: spooled(home) == [], "the message to go", alive=program.assert_alive)


def test_jobs_of_one_message_that_is_lost_are_retried_together(home, user, start, is_running):
    program = start(mail("one"), rules=[breaks(home), breaks(home, name="too")], results=2)
    for path in spooled(home):
        path.unlink()
    fixed(home).touch()
    call(home, "retry", "--all")
    program = go_on(home, program, is_running)
    for rule in ("breaks", "too"):
        program.wait_log(expect.outcome(rule, "ok"))
    user.deliver(mail("another"))
    records = home.wait_records(6, program)
    assert sorted((r["RULE"], r["ATTEMPT"]) for r in records[2:4]) == [
        ("breaks", "2"), ("too", "2")]
    assert len({r.stdin for r in records[:4]}) == 1
    assert failed(home) == []


def test_unknown_ids_are_named_and_the_others_done(home, start):
    start(mail("one"))
    [line] = failed(home)
    done = call(home, "failed", "nope", line.event, status=expect.NO)
    assert line.event in done.stdout and "'nope'" in done.stderr
    done = call(home, "retry", "-r", "no such rule", status=expect.NO)
    assert "'no such rule'" in done.stderr and "queued" not in done.stderr
    done = call(home, "drop", "nope", line.event, "\udcff\033[31m", status=expect.NO)
    assert "'nope'" in done.stderr and "1 job dropped" in done.stderr
    assert "\033" not in done.stderr
    assert failed(home) == []


def test_a_hostile_subject_stays_in_its_field(home, start):
    subject = "=?utf-8?q?=1b]0;title=07=1b[31mred=09tab=0d=0anew=e2=80=aeline=00?="
    start(mail(subject), mail(""), mail(None))
    done = call(home, "failed")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout)
    hostile, empty, missing = map(Failed, done.stdout.splitlines())
    assert "red" in hostile.subject and "tab" in hostile.subject
    assert (empty.subject, missing.subject) == ("-", "-")


def test_hostile_output_is_made_visible(home, start):
    print_it = r"printf '\033[31mred\a\n\ttab\r\n\377\n'"
    start(mail("one"), rules=[{"name": "loud", "sh": f"{print_it}; exit 1"}])
    [line] = failed(home)
    done = call(home, "failed", line.event)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout)
    assert "[31mred" in done.stdout and "tab" in done.stdout


def test_the_last_of_long_output_is_kept(home, start):
    start(mail("one"), rules=[{"name": "loud", "sh": "seq 1 100000; exit 1"}])
    [line] = failed(home)
    output = call(home, "failed", line.event).stdout.splitlines()[2:]
    assert output[-1] == "100000" and output[-100] == "99901"
    assert expect.TAIL_MAX - 100 < len("\n".join(output)) <= expect.TAIL_MAX


def test_other_ends_have_their_names(home, user, is_running):
    home.configure({"work": home.account(user)}, [
        {"name": "slow", "match": {"subject": "slow"}, "sh": "sleep 1000", "timeout": "1s",
         "retry": "none"},
        {"name": "dies", "match": {"subject": "dies"}, "sh": "kill -SEGV $$", "retry": "none"},
        {"name": "missing", "match": {"subject": "missing"}, "run": [str(home.folder / "missing")],
         "retry": "none"}])
    program = home.run("work/INBOX")
    for subject in ("slow", "dies", "missing"):
        user.deliver(mail(subject))
    for rule, result in (("slow", "timeout"), ("dies", "signal"), ("missing", "spawn")):
        program.wait_log(expect.outcome(rule, result))
    if not is_running:
        program.stop()
    assert {line.rule: line.result for line in failed(home)} == {
        "slow": "timeout", "dies": "signal", "missing": "spawn"}


# --- no daemon, no state, another daemon ---


def test_without_any_state_there_is_nothing_and_nothing_is_made(home):
    done = call(home, "failed")
    assert (done.stdout, done.stderr) == ("", "")
    call(home, "failed", "-q")
    assert "'abc'" in call(home, "failed", "abc", status=expect.NO).stderr
    assert "'abc'" in call(home, "retry", "abc", status=expect.NO).stderr
    assert "'abc'" in call(home, "drop", "-r", "abc", status=expect.NO).stderr
    assert call(home, "retry", "--all").stderr == "0 jobs queued\n"
    assert list((home.folder / "home").iterdir()) == []
    assert list((home.folder / "run").iterdir()) == []


def test_a_damaged_journal_is_refused(home):
    state = home.folder / "home/.local/state/mailcall"
    state.mkdir(parents=True, mode=0o700)
    (state / "journal.sqlite").write_bytes(b"not a database" * 100)
    for command in (["failed"], ["retry", "--all"], ["drop", "-r", "x"]):
        assert "damaged" in call(home, *command, status=expect.CONFIG).stderr


@pytest.mark.parametrize("arguments", [["retry"], ["drop"], ["drop", "--all"], ["retry", "--al"],
                                       ["retry", "--all", "abc"], ["failed", "--all"]], ids=repr)
def test_wrong_usage_is_64(home, arguments):
    done = call(home, *arguments, status=expect.USAGE)
    assert done.stdout == "" and f"mailcall help {arguments[0]}" in done.stderr


def test_the_socket_is_private_and_goes_with_the_daemon(home, user):
    home.configure({"work": home.account(user)}, [breaks(home)])
    socket = home.folder / "run/mailcall/ctl"
    program = home.run("work/INBOX")
    assert stat.S_ISSOCK(socket.stat().st_mode)
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    program.stop()
    assert not socket.exists()


def test_the_socket_of_a_killed_daemon_is_in_nobodys_way(home, user):
    home.configure({"work": home.account(user)}, [breaks(home)])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    program.wait_log(expect.outcome("breaks", "fail"))
    wait_for(lambda: len(failed(home)) == 1, "the job to be dead")
    program.process.kill()
    program.process.wait()
    home.programs.remove(program)  # whose end is no failure
    assert len(failed(home)) == 1
    program = home.run("work/INBOX")
    assert len(failed(home)) == 1
    fixed(home).touch()
    assert call(home, "retry", "--all").stderr == "1 job queued\n"
    home.wait_records(2, program)


def test_a_daemon_that_cannot_be_asked_is_named(home, user):
    home.configure({"work": home.account(user)}, [breaks(home)])
    program = home.run("work/INBOX")
    (home.folder / "run/mailcall/ctl").unlink()
    for command in (["failed"], ["retry", "--all"], ["drop", "-r", "breaks"]):
        done = call(home, *command, status=expect.NOT_RUNNING)
        assert f"running (pid {program.pid})" in done.stderr
        assert "control socket does not answer" in done.stderr


def test_a_daemon_with_another_state_is_not_asked(home, user):
    """Both share the runtime folder; the second has no socket then, or its own state's answer."""
    home.configure({"work": home.account(user)}, [breaks(home)])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    program.wait_log(expect.outcome("breaks", "fail"))
    other = {"XDG_STATE_HOME": home.folder / "other"}
    done = call(home, "failed", env=other)
    assert done.stdout == ""
    call(home, "drop", "-r", "breaks", env=other, status=expect.NO)
    assert len(failed(home)) == 1
