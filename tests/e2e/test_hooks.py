"""How hooks are run: INTERFACE 4."""

import os
import re
import signal
import time

import pytest

import expect
from mails import mail
from waiting import DEADLINE, wait_for


def watch(home, user, *rules, **more):
    home.configure({"work": home.account(user)}, list(rules), **more)
    return home.run("work/INBOX")


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ignored(mask: str) -> set:
    """The signals of a mask in /proc; 32 and 33 are the C library's own and cannot be reset."""
    bits = int(mask, 16)
    return {n for n in range(1, 65) if bits >> (n - 1) & 1} - {32, 33}


def rule(home, name, **keys):
    if "sh" not in keys:
        keys.setdefault("run", home.record())
    return {"name": name, **keys}


def hook_env(**settings) -> dict:
    return {f"RECORD_{k.upper()}": str(v) for k, v in settings.items()}


def ran(home) -> list:
    return [r["RULE"] for r in home.records()]


# --- which rules, and in what order ---

def test_all_matching_rules_run_in_file_order(home, user):
    names = ["zeta", "alpha", "mid", "beta"]
    program = watch(home, user, *[rule(home, n) for n in names],
                    rule(home, "never", match={"subject": "something else"}),
                    rule(home, "off", enabled=False))
    for number in range(3):
        user.deliver(mail(f"mail {number}"))
    home.wait_records(12, program)
    by_uid = {uid: [r["RULE"] for r in home.records() if r.uid == uid] for uid in (1, 2, 3)}
    assert by_uid == {uid: names for uid in (1, 2, 3)}


def test_a_rule_of_a_message_starts_when_the_one_before_has_ended(home, user):
    gate = home.folder / "gate"
    program = watch(home, user, rule(home, "first", env=hook_env(gate=gate)), rule(home, "second"))
    user.deliver(mail())
    home.wait_records(1, program)
    gate.touch()
    home.wait_records(2, program)
    first, second = home.records()
    assert float(first.path.with_suffix(".done").read_text()) <= second.began


def test_stop_ends_the_message(home, user):
    program = watch(
        home, user,
        rule(home, "first"),
        rule(home, "stopper", match={"subject": "stop"}, stop=True),
        rule(home, "last"))
    user.deliver(mail("stop here"))
    user.deliver(mail("go on"))
    home.wait_records(4, program)
    assert [r["RULE"] for r in home.records() if r.uid == 1] == ["first", "stopper"]
    assert [r["RULE"] for r in home.records() if r.uid == 2] == ["first", "last"]


def test_exit_99_ends_the_message_and_is_a_success(home, user):
    program = watch(home, user, rule(home, "first", env=hook_env(exit=99)), rule(home, "second"))
    user.deliver(mail("one"))
    user.deliver(mail("two"))
    home.wait_records(2, program)
    program.wait_log(expect.outcome("first", "ok"), times=2)
    assert ran(home) == ["first", "first"]


@pytest.mark.parametrize("status, result", [
    (0, "ok"), (1, "fail"), (100, "fail"), (255, "fail"), (75, "again"), (111, "again")])
def test_later_rules_go_on_whatever_the_exit_status(home, user, status, result):
    program = watch(home, user, rule(home, "first", env=hook_env(exit=status)),
                    rule(home, "second"))
    user.deliver(mail())
    home.wait_records(2, program)
    [line] = program.wait_log(expect.outcome("first", result))
    if status:
        assert str(status) in line
    program.wait_log(expect.outcome("second", "ok"))


def test_a_hook_that_dies_of_a_signal(home, user):
    program = watch(home, user, rule(home, "first", env=hook_env(signal=signal.SIGSEGV)),
                    rule(home, "second"))
    user.deliver(mail())
    home.wait_records(2, program)
    program.wait_log(expect.outcome("first", "signal"))


def test_a_hook_that_is_gone_when_the_mail_comes(home, user):
    program_file = home.folder / "vanishing"
    program_file.write_text("#!/bin/sh\n")
    program_file.chmod(0o755)
    program = watch(home, user, rule(home, "first", run=[str(program_file)]), rule(home, "second"))
    program_file.unlink()
    user.deliver(mail())
    home.wait_records(1, program)
    program.wait_log(expect.outcome("first", "(spawn|again)"))
    assert ran(home) == ["second"]


# --- what a hook is given ---

def test_the_environment_tells_everything(home, user):
    program = watch(home, user, rule(home, "facts", env={"DEST": "/here", "PLAIN": "$HOME {x}"}))
    user.deliver(mail(
        "Invoice", sender='"Ann, the first" <Ann@Example.org>, Second <b@example.org>',
        to="Bob <bob@example.com>, carol@example.com",
        headers=[("Cc", "dave@example.com"), ("Reply-To", "reply@example.org"),
                 ("Return-Path", "<bounce@example.org>"),
                 ("Delivered-To", "ann+bills@example.org"), ("In-Reply-To", "<q1@example.org>"),
                 ("List-Id", "The list <dev.example.org>")]))
    [r] = home.wait_records(1, program)
    assert {name: r[name] for name in (
        "EVENT", "ATTEMPT", "RULE", "ACCOUNT", "MAILBOX", "MAILBOX_ROLE", "UID", "SUBJECT", "FROM",
        "FROM_NAME", "TO", "CC", "REPLY_TO", "SENDER", "RECIPIENT", "EXTENSION", "IN_REPLY_TO",
        "LIST_ID", "DATE", "TRUNCATED")} == {
        "EVENT": "new", "ATTEMPT": "1", "RULE": "facts", "ACCOUNT": "work", "MAILBOX": "INBOX",
        "MAILBOX_ROLE": "inbox", "UID": "1", "SUBJECT": "Invoice", "FROM": "Ann@Example.org",
        "FROM_NAME": "Ann, the first", "TO": "bob@example.com carol@example.com",
        "CC": "dave@example.com", "REPLY_TO": "reply@example.org", "SENDER": "bounce@example.org",
        "RECIPIENT": "ann+bills@example.org", "EXTENSION": "bills",
        "IN_REPLY_TO": "q1@example.org", "LIST_ID": "dev.example.org",
        "DATE": "2025-10-03T14:02:07Z", "TRUNCATED": ""}
    assert re.fullmatch(expect.EVENT_ID, r["EVENT_ID"])
    assert re.fullmatch(r"\d+@example\.org", r["MESSAGE_ID"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r["RECEIVED"])
    assert abs(int(r["RECEIVED_EPOCH"]) - time.time()) < 3600
    assert int(r["UIDVALIDITY"]) > 0
    assert r["URL"].startswith("imaps://") and r["URL"].endswith(";UID=1")
    assert r.environ["DEST"] == b"/here" and r.environ["PLAIN"] == b"$HOME {x}"


def test_every_fixed_variable_is_set_even_for_an_empty_mail(home, user):
    program = watch(home, user, rule(home, "all", match={"any": [
        {"subject": "(?<never>no)"}, {"not": {"subject": "x"}}]}))
    user.deliver(b"\n")
    [r] = home.wait_records(1, program)
    assert [name for name in expect.FIXED_FIELDS if name not in r.ours] == []
    assert r["MATCH_NEVER"] == ""
    assert r["SUBJECT"] == r["FROM"] == r["DATE"] == ""


def test_inherited_variables_of_ours_are_removed_and_the_rest_stays(home, user):
    home.configure({"work": home.account(user)}, [rule(home, "all")])
    program = home.run("work/INBOX", env={
        "MAILCALL_SUBJECT": "inherited", "MAILCALL_MATCH_EVIL": "x", "MAILCALL_CONFIG": "/nowhere",
        "DISPLAY": ":7"})
    user.deliver(mail("mine"))
    [r] = home.wait_records(1, program)
    assert r["SUBJECT"] == "mine"
    assert "MAILCALL_MATCH_EVIL" not in r.environ and "MAILCALL_CONFIG" not in r.environ
    assert r.environ["DISPLAY"] == b":7"


def test_the_process_is_clean(home, user):
    program = watch(home, user, rule(home, "all"))
    user.deliver(mail())
    [r] = home.wait_records(1, program)
    assert r.fds == [0, 1, 2]
    assert r.group == r.pid
    assert r.group != os.getpgid(program.pid)
    assert int(r.signals_blocked, 16) == 0
    # Python itself ignores these two
    assert ignored(r.signals_ignored) <= {signal.SIGPIPE, signal.SIGXFSZ}
    assert r.cwd == str(home.folder / "home")
    assert r.umask == 0o077
    assert r.parent == program.pid


def test_sigpipe_is_at_its_default(home, user):
    program = watch(home, user, rule(
        home, "pipe", sh=f"grep SigIgn /proc/self/status >{home.folder}/ignored"))
    user.deliver(mail())
    program.wait_log(expect.outcome("pipe", "ok"))
    assert ignored((home.folder / "ignored").read_text().split()[1]) == set()


def test_cwd_and_umask_are_the_rules(home, user):
    place = home.folder / "a place"
    place.mkdir()
    program = watch(home, user, rule(home, "all", cwd=str(place), umask="027"))
    user.deliver(mail())
    [r] = home.wait_records(1, program)
    assert r.cwd == str(place)
    assert r.umask == 0o027


def test_defaults_are_inherited_and_a_rules_own_key_wins(home, user):
    program = watch(
        home, user,
        rule(home, "own", stdin="message", umask="007", env={"B": "own"}),
        rule(home, "inherits"),
        defaults={"stdin": "none", "umask": "022", "env": {"A": "default", "B": "default"}})
    user.deliver(mail())
    own, inherits = home.wait_records(2, program)
    assert (own.umask, own.environ["A"], own.environ["B"]) == (0o007, b"default", b"own")
    assert own.stdin and inherits.stdin == b""
    assert (inherits.umask, inherits.environ["B"]) == (0o022, b"default")


def test_placeholders_fill_single_arguments(home, user):
    program = watch(home, user, rule(
        home, "all", match={"subject": "order (?<order>.*)"},
        run=home.record("{subject}", "a{match_order}b", "{{subject}", '{"json": 1}', "{ print $1 }",
                        "", "{uid}{uid}", "--", "{from_name}")))
    user.deliver(mail("order 4 2; 'x' \"y\""))
    [r] = home.wait_records(1, program)
    assert r.argv == [b"order 4 2; 'x' \"y\"", b"a4 2; 'x' \"y\"b",
                      b"{subject}", b'{"json": 1}', b"{ print $1 }", b"", b"11", b"--", b"Ann"]


def test_programs_are_found_beside_the_configuration_first(home, user):
    hooks = home.config_file.parent / "hooks"
    hooks.mkdir()
    (hooks / "true").write_text(f"#!/bin/sh\nexec {home.record_sh('ours')}\n")
    (hooks / "true").chmod(0o755)
    program = watch(home, user, rule(home, "all", run=["true"]))
    user.deliver(mail())
    [r] = home.wait_records(1, program)
    assert r.argv == [b"ours"]


def test_a_shell_hook_has_sh_as_its_name(home, user):
    program = watch(home, user, rule(home, "all", sh=home.record_sh('"$0" "$#"')))
    user.deliver(mail())
    [r] = home.wait_records(1, program)
    assert r.argv == [b"sh", b"0"]


# --- output ---

def test_output_is_logged_line_by_line_and_stderr_is_no_failure(home, user):
    program = watch(home, user, rule(home, "talk", env=hook_env(
        print=r"out 1\nout 2\n", print_err=r"err 1\n")))
    user.deliver(mail())
    home.wait_records(1, program)
    program.wait_log(expect.outcome("talk", "ok"))
    lines = [re.sub(".*" + expect.hook_line("talk"), "", line)
             for line in program.lines(expect.hook_line("talk"))]
    assert lines == ["out 1", "out 2", "err 1"]


def test_endless_output_does_not_stop_the_program(home, user):
    program = watch(
        home, user,
        rule(home, "loud", sh="head -c 3000000 /dev/zero | tr '\\0' x; echo; yes | head -n 20000"),
        rule(home, "after"))
    user.deliver(mail())
    home.wait_records(1, program, seconds=4 * DEADLINE)
    program.wait_log(expect.outcome("loud", "ok"))


def test_a_hook_may_leave_somebody_behind(home, user):
    """A child that holds the output open delays nothing."""
    program = watch(home, user, rule(home, "parent", env=hook_env(child=1)), rule(home, "next"))
    user.deliver(mail())
    records = home.wait_records(2, program)
    program.wait_log(expect.outcome("parent", "ok"))
    os.kill(records[0].child, signal.SIGKILL)


def test_a_hook_that_closes_its_output_early_is_still_waited_for(home, user):
    gate = home.folder / "gate"
    program = watch(
        home, user,
        rule(home, "silent", sh=f"exec >&- 2>&-; while ! [ -e {gate} ]; do :; done"),
        rule(home, "next"))
    user.deliver(mail())
    user.deliver(mail())
    assert home.count() == 0
    gate.touch()
    home.wait_records(2, program)
    program.wait_log(expect.outcome("silent", "ok"), times=2)


# --- time ---

def test_a_timeout_ends_the_whole_group(home, user):
    program = watch(home, user, rule(
        home, "slow", timeout="1s", kill_after="20s",
        env=hook_env(child=1, gate=home.folder / "never")), rule(home, "next"))
    user.deliver(mail())
    records = home.wait_records(2, program, seconds=30)
    program.wait_log(expect.outcome("slow", "timeout"))
    assert [r["RULE"] for r in records] == ["slow", "next"]
    wait_for(lambda: not alive(records[0].pid) and not alive(records[0].child),
             "the group to be gone")
    assert not records[0].done


def test_who_is_deaf_to_term_is_killed(home, user):
    program = watch(home, user, rule(
        home, "deaf", timeout="500ms", kill_after="500ms",
        env=hook_env(deaf=1, child=1, gate=home.folder / "never")))
    user.deliver(mail())
    [record] = home.wait_records(1, program)
    program.wait_log(expect.outcome("deaf", "timeout"), seconds=30)
    wait_for(lambda: not alive(record.pid) and not alive(record.child), "the group to be gone")


def test_a_slow_hook_of_one_mailbox_does_not_hold_up_another(home, user):
    user.create("Other")
    gate = home.folder / "gate"
    home.configure({"work": home.account(user, "INBOX", "Other")}, [
        rule(home, "slow", env=hook_env(gate=gate), **{"in": "work/INBOX"}),
        rule(home, "fast", **{"in": "work/Other"})])
    program = home.run("work/INBOX", "work/Other")
    user.deliver(mail("slow"))
    home.wait_records(1, program)
    user.deliver(mail("fast"), "Other")
    home.wait_records(2, program)
    gate.touch()


# --- the end ---

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_hook_may_finish_after_a_signal(home, user, number):
    gate = home.folder / "gate"
    program = watch(home, user, rule(home, "slow", env=hook_env(gate=gate)))
    user.deliver(mail())
    [record] = home.wait_records(1, program)
    program.signal(number)
    wait_for(lambda: f"imap({user.name})" in user.server.log(), "the good-bye to the server")
    assert program.process.poll() is None
    gate.touch()
    program.wait_end(0)
    assert record.done
    assert program.lines(expect.outcome("slow", "ok"))


def test_a_second_signal_ends_at_once(home, user):
    program = watch(home, user, rule(home, "slow", env=hook_env(
        deaf=1, child=1, gate=home.folder / "never")))
    user.deliver(mail())
    [record] = home.wait_records(1, program)
    program.signal(signal.SIGINT)
    program.signal(signal.SIGTERM)
    program.wait_end()
    wait_for(lambda: not alive(record.pid) and not alive(record.child), "the hook to be gone")


def test_mail_that_waits_for_its_turn_is_still_run_when_asked_to_end(home, user):
    gate = home.folder / "gate"
    program = watch(home, user, rule(home, "all", env=hook_env(gate=gate)))
    for number in range(3):
        user.deliver(mail(f"mail {number}"))
    home.wait_records(1, program)
    gate.touch()
    home.wait_records(3, program)
    program.stop()
    assert len(program.lines(expect.outcome("all", "ok"))) == 3


def test_termination_before_the_first_connection(home, own_dovecot):
    user = own_dovecot.new_user()
    own_dovecot.stop()
    home.configure({"work": home.account(user)}, [rule(home, "all")])
    program = home.start("run", "-c", home.config_file)
    program.wait_log("work")
    program.signal(signal.SIGTERM)
    program.wait_end(0)


def test_run_as_root_must_be_allowed(home, user):
    if os.getuid() != 0:
        pytest.skip("not root")
    home.configure({"work": home.account(user)}, [rule(home, "all")], daemon={})
    done = home.call("run", "-c", home.config_file)
    assert done.returncode == expect.CONFIG
    assert expect.NOT_AS_ROOT in done.stderr


# --- run -n ---

def test_a_dry_run_prints_what_would_run_and_runs_nothing(home, user):
    home.configure({"work": home.account(user)}, [
        rule(home, "invoices", match={"subject": "invoice"}, stop=True),
        rule(home, "rest")])
    program = home.run("work/INBOX", options=["-n"])
    user.deliver(mail("Invoice 7"))
    user.deliver(mail("lunch"))
    wait_for(lambda: (program.out + program.log).count(expect.WOULD_RUN) == 2, "two lines",
             alive=program.assert_alive)
    lines = [line for line in (program.out + program.log).splitlines()
             if expect.WOULD_RUN in line]
    assert "invoices" in lines[0] and "Invoice 7" in lines[0]
    assert "rest" in lines[1] and "lunch" in lines[1]
    program.stop()
    assert home.count() == 0


def test_run_may_be_limited_to_targets_and_rules(home, user):
    user.create("Other")
    home.configure({"work": home.account(user, "INBOX", "Other")},
                   [rule(home, "one"), rule(home, "two")])
    program = home.run("work/Other", options=["--in", "work/Other", "-r", "two"])
    user.deliver(mail("not this"))
    user.deliver(mail("this"), "Other")
    [record] = home.wait_records(1, program)
    assert (record["RULE"], record["SUBJECT"]) == ("two", "this")
    assert not program.lines(expect.watching("work", "INBOX"))
