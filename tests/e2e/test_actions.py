"""What becomes of a mail, and what else is run, once its hook has ended: on_success, on_failure."""

import errno
import signal

import pytest

import expect
from lifetimes import dead_letters, kill, nudged, shown, shows, wait_dead_letters
from mails import mail
from preload import needs_preload
from scripted import CAPABILITIES, Gone, Mailbox
from test_disk import Injected
from waiting import wait_for

CHANGES = ("UID STORE", "UID COPY", "UID MOVE", "UID EXPUNGE")
MOVING = CAPABILITIES + " UIDPLUS MOVE"
COPYING = CAPABILITIES + " UIDPLUS"  # a server without MOVE


def rule(home, *on_success, name="all", **keys) -> dict:
    made = {"name": name, **keys}
    if "sh" not in made:
        made.setdefault("run", home.record())
    if on_success:
        made["on_success"] = list(on_success)
    return made


def hooks(home) -> list:
    """The runs of hooks; those of actions have an argument."""
    return [r for r in home.records() if not r.argv]


def acts(home) -> list:
    return [r for r in home.records() if r.argv]


def gated(home) -> dict:
    return {"env": {"RECORD_GATE": str(home.folder / "gate")}}


def open_gate(home):
    (home.folder / "gate").touch()


# --- what each action does, on a real server ---


@pytest.mark.parametrize("action, inbox, box", [
    ({"flag": "seen"}, [("one", {r"\Flagged", r"\Seen"})], []),
    ({"flag": r"\ANSWERED"}, [("one", {r"\Flagged", r"\Answered"})], []),
    ({"flag": "$Label1"}, [("one", {r"\Flagged", "$Label1"})], []),
    ({"unflag": "flagged"}, [("one", set())], []),
    ({"copy": "Archive/Done"}, [("one", {r"\Flagged"})], [("one", {r"\Flagged"})]),
    ({"move": "Archive/Done"}, [], [("one", {r"\Flagged"})]),
    ({"delete": True}, [], []),
], ids=["seen", "answered", "keyword", "unflag", "copy", "move", "delete"])
def test_an_action_does_what_it_says_to_this_mail_alone(home, user, action, inbox, box):
    """The neighbours, one of which somebody has marked to be deleted, stay as they are."""
    user.create("Archive/Done")
    user.deliver(mail("marked"), flags="T")
    home.configure({"work": home.account(user)}, [
        rule(home, action, {"run": home.record("after")}, match={"subject": "^one$"})])
    program = home.run("work/INBOX")
    user.deliver(mail("one"), flags="F")
    user.deliver(mail("another"))
    home.wait_records(2, program)
    wait_for(lambda: len(user.content()) == 2 + len(inbox), "the neighbours")
    others = [("marked", {r"\Deleted"}), ("another", set())]
    assert sorted(user.content()) == sorted(others + inbox)
    assert user.content("Archive/Done") == box


def test_a_name_outside_ascii_is_found(home, user):
    user.create("Erledigt/Grün & Co")
    home.configure({"work": home.account(user)}, [rule(home, {"move": "Erledigt/Grün & Co"})])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    wait_for(lambda: user.content("Erledigt/Grün & Co"), "the move", alive=program.assert_alive)
    assert user.content() == []


def test_actions_are_done_in_their_order(home, user):
    user.create("Box")
    home.configure({"work": home.account(user)}, [
        rule(home, {"flag": "First"}, {"run": home.record("between")}, {"copy": "Box"},
             {"flag": "Second"}, {"sh": home.record_sh("after")})])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    records = home.wait_records(3, program)
    assert [r.argv for r in records] == [[], [b"between"], [b"after"]]
    assert user.content("Box") == [("one", {"First"})]
    assert user.content() == [("one", {"First", "Second"})]


def test_a_later_rule_runs_although_an_earlier_one_moved_the_mail(home, user):
    """What is gone cannot be flagged, and that is nobody's failure."""
    user.create("Box")
    home.configure({"work": home.account(user)}, [
        rule(home, {"move": "Box"}, name="mover"),
        rule(home, {"flag": "seen"}, {"run": home.record("after")}, name="flagger",
             **gated(home))])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    wait_for(lambda: user.content("Box"), "the move", alive=program.assert_alive)
    open_gate(home)
    records = home.wait_records(3, program)
    assert [r["RULE"] for r in records] == ["mover", "flagger", "flagger"]
    assert dead_letters(home) == []


# --- run and sh ---


@pytest.mark.parametrize("result, status, hook", [
    ("ok", "0", "exit 0"),
    ("ok", "99", "exit 99"),
    ("fail", "3", "exit 3"),
    ("fail", "75", "exit 75"),
    ("timeout", "143", "exec sleep 1000"),
    ("signal", "138", "kill -USR1 $$"),
    ("spawn", "127", None),
])
def test_a_command_is_told_what_the_hook_came_to(home, user, result, status, hook):
    vanishing = home.folder / "vanishing"
    vanishing.write_text("#!/bin/sh\n")
    vanishing.chmod(0o755)
    told = ["{hook_result}", "{hook_status}", "{subject}"]
    kind = "on_success" if result == "ok" else "on_failure"
    other = "on_failure" if result == "ok" else "on_success"
    home.configure({"work": home.account(user)}, [{
        "name": "all", "retry": "none", "timeout": "300ms" if result == "timeout" else "1m",
        **({"sh": hook} if hook else {"run": [str(vanishing)]}),
        kind: [{"run": home.record("run", *told)}, {"sh": home.record_sh("sh")}],
        other: {"run": home.record("wrong")}}])
    program = home.run("work/INBOX")
    vanishing.unlink()
    message = mail("with $(touch canary) `touch canary`", body=b"the text\n" * 100)
    user.deliver(message)
    run, sh = home.wait_records(2, program)
    assert run.argv == [b"run", result.encode(), status.encode(),
                        b"with $(touch canary) `touch canary`"]
    assert sh.argv == [b"sh"]
    for record in (run, sh):
        assert (record["HOOK_RESULT"], record["HOOK_STATUS"]) == (result, status)
        assert record.stdin == message
        assert record.stdin_is_file and record.stdin_start == 0
    assert run["EVENT_ID"] == sh["EVENT_ID"] and run["UID"] == "1"


def test_a_command_that_fails_ends_the_list_and_is_a_dead_letter(home, user):
    home.configure({"work": home.account(user)}, [
        rule(home, {"flag": "Before"}, {"sh": home.record_sh("fails") + "; exit 1"},
             {"flag": "After"})])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    [letter] = wait_dead_letters(home, 1, program)
    assert (letter.result, letter.subject, letter.message) == ("sh", "one", "work/INBOX:1")
    assert user.content() == [("one", {"Before"})]
    assert len(home.wait_records(2)) == 2


# --- only when it has failed for good ---


def test_an_attempt_that_is_repeated_is_no_failure_yet(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "flaky", "retry": {"attempts": 2, "backoff": "1s"},
         "sh": home.record_sh() + "; exit 75",
         "on_failure": [{"flag": "Failed"}, {"run": home.record("failure")}],
         "on_success": [{"run": home.record("success")}]}])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    records = home.wait_records(3, program)
    assert [r.argv for r in records] == [[], [], [b"failure"]]
    assert [r["ATTEMPT"] for r in records] == ["1", "2", "2"]
    assert user.content() == [("one", {"Failed"})]
    [letter] = wait_dead_letters(home, 1, program)
    assert letter.attempts == "2"


def test_a_success_at_the_second_attempt_is_a_success(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "flaky", "retry": {"attempts": 2, "backoff": "1s"},
         "sh": home.record_sh() + '; [ "$MAILCALL_ATTEMPT" = 2 ] || exit 75',
         "on_failure": {"flag": "Failed"},
         "on_success": [{"flag": "Done"}, {"run": home.record("success")}]}])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    records = home.wait_records(3, program)
    assert [r.argv for r in records] == [[], [], [b"success"]]
    assert user.content() == [("one", {"Done"})]
    assert dead_letters(home) == []


def test_exit_1_is_a_failure_at_once(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "broken", "sh": home.record_sh() + "; exit 1",
         "on_failure": [{"flag": "Failed"}, {"run": home.record("failure")}],
         "on_success": [{"delete": True}]}])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    records = home.wait_records(2, program)
    assert [r.argv for r in records] == [[], [b"failure"]]
    assert user.content() == [("one", {"Failed"})]
    [letter] = wait_dead_letters(home, 1, program)
    assert (letter.rule, letter.result) == ("broken", "fail")


# --- read-only unless asked ---


def test_only_a_mailbox_that_is_changed_is_opened_for_writing(home, server):
    s = server(capabilities=MOVING)
    s.mailboxes = {name: Mailbox() for name in ("INBOX", "Read", "Written")}
    home.configure(
        {"work": home.scripted_account(s, mailboxes=["INBOX", "Read", "Written"])},
        [rule(home, name="plain"),
         rule(home, {"run": home.record("a")}, {"sh": home.record_sh("b")}, name="commands",
              **{"in": "work/Read"}),
         {"name": "flags", "run": home.record(), "in": "work/Written",
          "on_failure": {"flag": "Failed"}}])
    program = home.run("work/INBOX", "work/Read", "work/Written")
    s.deliver(mail("one"), "Read")
    home.wait_records(4, program)
    assert sorted(s.asked("EXAMINE", "SELECT")) == [
        ("EXAMINE", '"INBOX"'), ("EXAMINE", '"Read"'), ("SELECT", '"Written"')]
    assert s.asked(*CHANGES) == []


# --- a mailbox that is not there ---


def test_a_move_to_nowhere_destroys_nothing_and_is_made_up_for(home, user):
    home.configure({"work": home.account(user)}, [
        rule(home, {"flag": "Kept"}, {"move": "Archive/Missing"}, {"run": home.record("after")})])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    [letter] = wait_dead_letters(home, 1, program)
    assert (letter.rule, letter.result, letter.attempts) == ("all", "move", "1")
    assert (letter.message, letter.subject) == ("work/INBOX:1", "one")
    assert user.content() == [("one", {"Kept"})]
    assert len(home.records()) == 1

    user.create("Archive/Missing")
    done = home.call("retry", "--all", "-c", home.config_file)
    assert done.returncode == expect.OK, done.stderr
    hook, after = home.wait_records(2, program)
    assert after.argv == [b"after"] and after["EVENT_ID"] == hook["EVENT_ID"] == letter.event
    assert user.content() == []
    assert user.content("Archive/Missing") == [("one", {"Kept"})]
    assert dead_letters(home) == []


def test_a_retry_without_a_daemon_is_done_at_the_next_start(home, user):
    home.configure({"work": home.account(user)}, [rule(home, {"copy": "Missing"})])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    wait_dead_letters(home, 1, program)
    program.stop()
    user.create("Missing")
    [letter] = dead_letters(home)
    assert home.call("retry", letter.event, "-c", home.config_file).returncode == expect.OK
    assert home.call("run", "--once", "-c", home.config_file).returncode == expect.OK
    assert user.content("Missing") == [("one", set())]
    assert len(home.records()) == 1


# --- between the hook and its action the world goes on ---


def test_a_server_that_was_away_is_told_when_it_is_back(home, own_dovecot):
    user = own_dovecot.new_user()
    user.create("Done")
    home.configure({"work": home.account(user)}, [rule(home, {"move": "Done"}, **gated(home))])
    program = home.run("work/INBOX", options=["-v"])
    user.deliver(mail("one"))
    home.wait_records(1, program)
    own_dovecot.stop()
    open_gate(home)
    program.wait_log(expect.outcome("all", "ok"))
    own_dovecot.restart()
    nudged(program, lambda: user.content("Done"), "the move")
    assert user.content() == []
    home.wait_records(1, program)


def test_neither_a_server_nor_we_were_there(home, own_dovecot):
    """Killed with the move still owed. The command before it shows that the hook's end is noted."""
    user = own_dovecot.new_user()
    user.create("Done")
    home.configure({"work": home.account(user)}, [
        rule(home, {"run": home.record("between")}, {"move": "Done"}, **gated(home))])
    program = home.run("work/INBOX", options=["-v"])
    user.deliver(mail("one"))
    home.wait_records(1, program)
    own_dovecot.stop()
    open_gate(home)
    home.wait_records(2, program)
    kill(program)
    own_dovecot.restart()
    program = home.start("run", "-v", "-c", home.config_file)
    nudged(program, lambda: user.content("Done"), "the move")
    assert user.content() == []
    assert len(hooks(home)) == 1
    assert len(acts(home)) in (1, 2)


def test_a_mailbox_made_anew_is_left_alone(home, user):
    """The UID means another mail by now."""
    user.create("Box")
    user.create("Done")
    home.configure({"work": home.account(user, "Box")}, [
        rule(home, {"flag": "Wrong"}, {"move": "Done"}, match={"subject": "^old$"}, **gated(home)),
        rule(home, {"flag": "Right"}, name="end", match={"subject": "^end$"})])
    program = home.run("work/Box", options=["-v"])
    user.deliver(mail("old"), "Box")
    home.wait_records(1, program)
    user.delete_mailbox("Box")
    user.create("Box")
    user.deliver(mail("other"), "Box")
    nudged(program, lambda: program.lines(expect.RENUMBERED), "the new mailbox")
    open_gate(home)
    program.wait_log(expect.ACTION_DROPPED)
    user.deliver(mail("end"), "Box")
    nudged(program, lambda: ("end", {"Right"}) in user.content("Box"), "the last mail")
    assert user.content("Box") == [("other", set()), ("end", {"Right"})]
    assert user.content("Done") == []
    assert [r["SUBJECT"] for r in home.records()] == ["old", "end"]


def test_a_mail_that_somebody_took_away_is_no_failure(home, user):
    user.create("Done")
    home.configure({"work": home.account(user)}, [
        rule(home, {"move": "Done"}, {"run": home.record("after")}, **gated(home))])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    home.wait_records(1, program)
    user.expunge("1")
    open_gate(home)
    home.wait_records(2, program)
    assert dead_letters(home) == []


# --- how it is said to the server ---


def scripted(home, server, *on_success, capabilities=MOVING, marked=None, **keys):
    s = server(capabilities=capabilities)
    s.mailboxes["Done"] = Mailbox()
    if marked:
        s.mailboxes["INBOX"].add(mail(marked), flags={r"\Deleted"})
    home.configure({"work": home.scripted_account(s)}, [rule(home, *on_success, **keys)])
    return s, home.run("work/INBOX", options=["-v"])


def subjects(box) -> list:
    return [m.partition(b"Subject: ")[2].partition(b"\n")[0].decode() for _, m in box.messages]


def verbs(s) -> list:
    return [name for name, _ in s.asked(*CHANGES)]


def test_a_move_is_one_command_where_there_is_one(home, server):
    s, program = scripted(home, server, {"move": "Done"})
    s.deliver(mail("one"))
    wait_for(lambda: subjects(s.mailboxes["Done"]) == ["one"], "the move",
             alive=program.assert_alive)
    assert s.asked(*CHANGES) == [("UID MOVE", '1 "Done"')]


def test_a_move_without_move_removes_this_mail_alone(home, server):
    s, program = scripted(home, server, {"move": "Done"}, capabilities=COPYING,
                          marked="marked by somebody")
    inbox = s.mailboxes["INBOX"]
    s.deliver(mail("one"))
    wait_for(lambda: "one" not in subjects(inbox), "the removal", alive=program.assert_alive)
    assert subjects(inbox) == ["marked by somebody"]
    assert subjects(s.mailboxes["Done"]) == ["one"]
    assert s.mailboxes["Done"].flags == {}
    copy, store, expunge = s.asked(*CHANGES)
    assert copy == ("UID COPY", '2 "Done"')
    assert store[0] == "UID STORE" and store[1].split()[0] == "2" and r"(\Deleted)" in store[1]
    assert store[1].split()[1].startswith("+FLAGS")
    assert expunge == ("UID EXPUNGE", "2")


@pytest.mark.parametrize("action", [{"move": "Done"}, {"delete": True}], ids=["move", "delete"])
def test_without_uidplus_nothing_is_expunged(home, server, action):
    """The server knows no command that removes only this one: it stays, marked."""
    s, program = scripted(home, server, action, {"run": home.record("after")},
                          capabilities=CAPABILITIES, marked="marked by somebody")
    inbox = s.mailboxes["INBOX"]
    s.deliver(mail("one"))
    home.wait_records(2, program)
    assert subjects(inbox) == ["marked by somebody", "one"]
    assert inbox.flags == {1: {r"\Deleted"}, 2: {r"\Deleted"}}
    assert verbs(s) == (["UID COPY"] if "move" in action else []) + ["UID STORE"]


@pytest.mark.parametrize("capabilities", [MOVING, COPYING], ids=["move", "copy"])
def test_a_refused_copy_removes_nothing(home, server, capabilities):
    s, program = scripted(home, server, {"move": "Nowhere"}, capabilities=capabilities)
    s.deliver(mail("one"))
    [letter] = wait_dead_letters(home, 1, program)
    assert letter.result == "move"
    assert subjects(s.mailboxes["INBOX"]) == ["one"] and s.mailboxes["INBOX"].flags == {}
    assert verbs(s) == ["UID MOVE" if "MOVE" in capabilities else "UID COPY"]


def test_a_refused_flag_ends_the_list(home, server):
    s, program = scripted(home, server, {"flag": "Nice"}, {"move": "Done"})
    s.on["UID STORE"] = lambda c, tag, _: c.no(tag, "[NOPERM] not yours")
    s.deliver(mail("one"))
    [letter] = wait_dead_letters(home, 1, program)
    assert letter.result == "flag"
    assert verbs(s) == ["UID STORE"]
    del s.on["UID STORE"]
    s.deliver(mail("two"))
    wait_for(lambda: subjects(s.mailboxes["Done"]) == ["two"], "the next mail",
             alive=program.assert_alive)
    assert len(hooks(home)) == 2


def test_an_action_that_was_lost_on_its_way_is_repeated_without_the_hook(home, server):
    s, program = scripted(home, server, {"flag": "seen"}, {"run": home.record("after")})

    def drop(c, tag, arguments):
        del s.on["UID STORE"]
        raise Gone("cut")

    s.on["UID STORE"] = drop
    s.deliver(mail("one"))
    nudged(program, lambda: acts(home), "the action behind it")
    assert s.mailboxes["INBOX"].flags == {1: {r"\Seen"}}
    assert verbs(s) == ["UID STORE", "UID STORE"]
    assert len(hooks(home)) == 1


@pytest.mark.parametrize("code", ["[UNAVAILABLE] later", "[INUSE] somebody is at it"])
def test_a_server_that_cannot_now_is_asked_again(home, server, code):
    s, program = scripted(home, server, {"flag": "seen"})

    def not_now(c, tag, arguments):
        del s.on["UID STORE"]
        c.no(tag, code)

    s.on["UID STORE"] = not_now
    s.deliver(mail("one"))
    wait_for(lambda: s.mailboxes["INBOX"].flags == {1: {r"\Seen"}}, "the flag",
             alive=program.assert_alive)
    home.wait_records(1, program)
    assert dead_letters(home) == []


def test_a_mailbox_that_only_opens_to_be_read_is_told_of(home, server):
    """Somebody else's, shared without the right to write. Nothing is asked of it in vain."""
    s = server(capabilities=MOVING)
    s.on["SELECT"] = lambda c, tag, arguments: c.open_mailbox(tag, arguments, writable=False)
    home.configure({"work": home.scripted_account(s)}, [rule(home, {"flag": "seen"})])
    program = home.run("work/INBOX")
    s.deliver(mail("one"))
    [letter] = wait_dead_letters(home, 1, program)
    assert letter.result == "flag"
    s.deliver(mail("two"))
    home.wait_records(2, program)
    assert s.asked(*CHANGES) == []


def test_two_are_removed_without_move_each_by_itself(home, server):
    s, program = scripted(home, server, {"move": "Done"}, capabilities=COPYING, concurrency=2,
                          marked="marked by somebody")
    for number in range(4):
        s.deliver(mail(str(number)), announce=number == 3)
    wait_for(lambda: s.mailboxes["INBOX"].uids == [1], "the removals",
             alive=program.assert_alive)
    assert sorted(subjects(s.mailboxes["Done"])) == ["0", "1", "2", "3"]
    assert verbs(s).count("UID COPY") == 4


def test_many_moves_over_a_connection_that_is_cut_again_and_again(home, server):
    """Whether the move was done when it was cut, or not, cannot be known; and need not be."""
    s = server(capabilities=MOVING)
    s.mailboxes["Done"] = Mailbox()
    seen = home.folder / "seen"
    home.configure({"work": home.scripted_account(s)}, [
        {"name": "all", "stdin": "none", "sh": shown(seen, "SUBJECT"), "concurrency": 4,
         "on_success": {"move": "Done"}}])
    program = home.run("work/INBOX", options=["-v"])
    moves = 0

    def move(c, tag, arguments):
        nonlocal moves
        moves += 1
        if moves % 10 == 4:
            raise Gone("cut before")
        c.do_uid_move(tag, arguments) if moves % 10 != 9 else cut_inside(c, arguments)

    def cut_inside(c, arguments):
        c.copy(arguments)
        c.selected.remove(int(arguments.split()[0]))
        raise Gone("cut behind")

    s.on["UID MOVE"] = move
    for number in range(50):
        s.deliver(mail(str(number)), announce=number % 7 == 6)
    nudged(program, lambda: s.mailboxes["INBOX"].messages == [], "the last move", 60)
    assert sorted(map(int, subjects(s.mailboxes["Done"]))) == list(range(50))
    wait_for(lambda: len(shows(seen)) >= 50, "the hooks")
    assert len(shows(seen)) == 50
    assert dead_letters(home) == []


def test_what_is_owed_was_settled_when_the_rule_hit(home, server):
    """Its rule has no actions any more at the next start; then the mailbox would only be read."""
    s, program = scripted(home, server, {"move": "Done"})
    s.on["UID MOVE"] = lambda c, tag, _: c.stall()
    s.deliver(mail("one"))
    wait_for(lambda: "UID MOVE" in verbs(s), "the move", alive=program.assert_alive)
    kill(program)
    del s.on["UID MOVE"]
    home.configure({"work": home.scripted_account(s)}, [rule(home)])
    program = home.start("run", "-v", "-c", home.config_file)
    nudged(program, lambda: subjects(s.mailboxes["Done"]) == ["one"], "the move")
    home.wait_records(1, program)


def test_all_of_a_batch_are_changed_and_the_command_runs_once(home, server):
    s, program = scripted(home, server, {"flag": "Done"}, {"run": home.record("after")},
                          debounce="1s", stdin="none")
    for number in range(3):
        s.deliver(mail(str(number)), announce=number == 2)
    hook, after = home.wait_records(2, program)
    assert hook["COUNT"] == after["COUNT"] == "3" and after.argv == [b"after"]
    wait_for(lambda: s.mailboxes["INBOX"].flags == {uid: {"Done"} for uid in (1, 2, 3)},
             "the flags", alive=program.assert_alive)


@pytest.mark.parametrize("name", ["Done ", "() { :; }"])
def test_a_mailbox_of_any_name_is_changed(home, server, name):
    """Not all of them can stand in a hook's environment as they are."""
    s = server(capabilities=MOVING)
    s.mailboxes[name] = Mailbox()
    home.configure({"work": home.scripted_account(s, mailboxes=[name])},
                   [rule(home, {"flag": "seen"})])
    program = home.run(f"work/{name}")
    s.deliver(mail("one"), name)
    wait_for(lambda: s.mailboxes[name].flags == {1: {r"\Seen"}}, "the flag",
             alive=program.assert_alive)
    assert home.count() == 1 and dead_letters(home) == []


# --- the end ---


def test_what_a_last_hook_wants_is_done_before_we_leave(home, server):
    s, program = scripted(home, server, {"move": "Done"}, **gated(home))
    s.deliver(mail("one"))
    home.wait_records(1, program)
    program.signal(signal.SIGTERM)
    open_gate(home)
    program.wait_end(0)
    assert subjects(s.mailboxes["Done"]) == ["one"]


def test_an_action_that_cannot_be_done_does_not_keep_us(home, own_dovecot):
    """The server is away; it is done at the next start."""
    user = own_dovecot.new_user()
    user.create("Done")
    home.configure({"work": home.account(user)}, [rule(home, {"move": "Done"}, **gated(home))])
    program = home.run("work/INBOX")
    user.deliver(mail("one"))
    home.wait_records(1, program)
    own_dovecot.stop()
    open_gate(home)
    program.wait_log(expect.outcome("all", "ok"))
    program.stop()
    own_dovecot.restart()
    assert home.call("run", "--once", "-c", home.config_file).returncode == expect.OK
    assert user.content("Done") == [("one", set())]
    assert len(home.records()) == 1


def test_once_does_the_actions_too(home, user):
    home.configure({"work": home.account(user, first_run="all")}, [
        rule(home, {"flag": "seen"}, {"move": "Missing"})])
    user.deliver(mail("one"))
    done = home.call("run", "--once", "-c", home.config_file)
    assert done.returncode == expect.NO, done.stderr
    assert user.content() == [("one", {r"\Seen"})]
    user.create("Missing")
    [letter] = dead_letters(home)
    assert home.call("retry", letter.event, "-c", home.config_file).returncode == expect.OK
    assert home.call("run", "--once", "-c", home.config_file).returncode == expect.OK
    assert user.content("Missing") == [("one", {r"\Seen"})]
    assert len(home.records()) == 1


# --- a connection that is lost in the middle ---


def cut_before(name):
    """The connection ends when this command comes, which is not done."""
    def arm(s):
        def cut(c, tag, arguments):
            del s.on[name]
            raise Gone("cut")
        s.on[name] = cut
    return arm


def cut_behind_copy(s):
    """The connection ends right behind the OK of COPY."""
    def copy(c, tag, arguments):
        del s.on["UID COPY"]
        c.do_uid_copy(tag, arguments)
        c.hang_up()
    s.on["UID COPY"] = copy


@pytest.mark.parametrize("arm", [cut_behind_copy, cut_before("UID STORE"),
                                 cut_before("UID EXPUNGE")], ids=["copied", "store", "expunge"])
def test_a_copy_is_not_made_twice_when_the_connection_is_lost(home, server, arm):
    s, program = scripted(home, server, {"move": "Done"}, capabilities=COPYING)
    arm(s)
    s.deliver(mail("one"))
    nudged(program, lambda: s.mailboxes["INBOX"].messages == [], "the removal")
    assert verbs(s).count("UID COPY") == 1
    assert subjects(s.mailboxes["Done"]) == ["one"]
    home.wait_records(1, program)


def test_a_copy_is_not_made_twice_when_we_are_killed(home, server):
    s, program = scripted(home, server, {"move": "Done"}, capabilities=COPYING)
    s.on["UID STORE"] = lambda c, tag, _: c.stall()
    s.deliver(mail("one"))
    wait_for(lambda: "UID STORE" in verbs(s), "the mark", alive=program.assert_alive)
    kill(program)
    del s.on["UID STORE"]
    program = home.start("run", "-v", "-c", home.config_file)
    nudged(program, lambda: s.mailboxes["INBOX"].messages == [], "the removal")
    assert verbs(s).count("UID COPY") == 1
    assert subjects(s.mailboxes["Done"]) == ["one"]
    home.wait_records(1, program)


@needs_preload
def test_nothing_is_removed_before_it_is_written_that_it_was_copied(home, server):
    """The disk is full when the copy is made. We are killed right behind what comes next."""
    s = server(capabilities=COPYING)
    s.mailboxes["Done"] = Mailbox()
    disk = Injected(home, home.state, errno.ENOSPC)
    home.configure({"work": home.scripted_account(s)}, [rule(home, {"move": "Done"})])
    program = home.run("work/INBOX", env=disk.env)

    def copy(c, tag, arguments):
        disk.fill()
        c.do_uid_copy(tag, arguments)

    s.on.update({"UID COPY": copy, "UID STORE": lambda c, tag, _: c.stall()})
    s.deliver(mail("one"))
    program.wait_log(r"journal\.sqlite: ")
    home.call("failed", "-c", home.config_file)  # is answered in a later turn
    assert verbs(s) == ["UID COPY"]
    disk.relieve()
    wait_for(lambda: "UID STORE" in verbs(s), "the removal", alive=program.assert_alive)
    kill(program)
    s.on.clear()
    program = home.start("run", "-v", "-c", home.config_file)
    nudged(program, lambda: s.mailboxes["INBOX"].messages == [], "the removal")
    assert verbs(s).count("UID COPY") == 1
    assert subjects(s.mailboxes["Done"]) == ["one"]
    home.wait_records(1, program)


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[0]


def test_what_ends_together_is_said_in_one_write(home, server):
    """Both hooks end while mailcall is stopped, so it hears of both in one turn."""
    s, program = scripted(home, server, {"flag": "Done"}, concurrency=2, **gated(home))
    s.deliver(mail("one"))
    s.deliver(mail("two"))
    records = home.wait_records(2, program)
    wait_for(lambda: s.idling, "the client to idle", alive=program.assert_alive)
    program.signal(signal.SIGSTOP)
    wait_for(lambda: state_of(program.pid) == "T", "mailcall to stand still")
    open_gate(home)
    wait_for(lambda: all(state_of(r.pid) == "Z" for r in records), "both hooks to end")
    program.signal(signal.SIGCONT)
    inbox = s.mailboxes["INBOX"]
    wait_for(lambda: inbox.flags == {1: {"Done"}, 2: {"Done"}}, "both flags",
             alive=program.assert_alive)
    [write] = [w for w in s.last.writes if b"UID STORE" in w]
    lines = write.split(b"\r\n")
    assert lines[0] == b"DONE" and lines[-2].endswith(b" IDLE") and lines[-1] == b""
