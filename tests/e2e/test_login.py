"""Getting in: passwords, tokens, and what happens when the server says no."""

import base64
import re
import time

import pytest

import expect
from mails import mail
from waiting import wait_for

TOKEN_MECHANISMS = ["XOAUTH2", "OAUTHBEARER"]


def rules(home):
    return [{"name": "all", "run": home.record()}]


def token_command(home, *tokens) -> list:
    """A command that prints the tokens one after the other, one each time it is asked, the last
    one for ever; and counts."""
    script = home.folder / "token"
    asked = home.folder / "asked"
    script.write_text("#!/bin/sh\n"
                      f'echo >>{asked}\nn=$(wc -l <{asked})\n'
                      f'set -- {" ".join(tokens)}\n'
                      '[ "$n" -gt "$#" ] && n=$#\nshift "$((n - 1))"\necho "$1"\n')
    script.chmod(0o755)
    return [str(script)]


def times_asked(home) -> int:
    asked = home.folder / "asked"
    return asked.read_text().count("\n") if asked.exists() else 0


def capable(mechanisms: str) -> str:
    return f"IMAP4rev1 SASL-IR LITERAL+ ID IDLE {mechanisms}"


def works(home, s, **account):
    home.configure({"work": home.scripted_account(s, **account)}, rules(home))
    program = home.run("work/INBOX")
    s.deliver(mail("it works"))
    home.wait_records(1, program)
    return program


# --- passwords ---

def test_plain_with_its_initial_response(home, server):
    s = server()
    works(home, s)
    [(_, arguments)] = [c for c in s.last.commands if c[0] == "AUTHENTICATE"]
    assert arguments == "PLAIN " + base64.b64encode(b"\0ann\0secret").decode()


def test_plain_without_initial_response(home, server):
    s = server(capabilities="IMAP4rev1 IDLE AUTH=PLAIN")
    works(home, s)
    assert [a for n, a in s.last.commands if n == "AUTHENTICATE"] == ["PLAIN"]


def test_login_where_there_is_nothing_better(home, server):
    s = server(capabilities="IMAP4rev1 IDLE")
    works(home, s)
    assert s.commands("LOGIN") == 1


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 IDLE", "IMAP4rev1 IDLE LITERAL+",
                                          "IMAP4rev1 IDLE SASL-IR AUTH=PLAIN"])
@pytest.mark.parametrize("password", [
    'quotes " and \\ backslashes', " blanks ", "pässwörd の", "a1 LOGOUT", "{5}", "%s%n", "(x)", "~"])
def test_odd_passwords(home, server, password, capabilities):
    s = server(capabilities=capabilities)
    s.passwords = {password}
    works(home, s, password=password)


def test_a_server_that_forbids_login_never_hears_the_password(home, server):
    s = server(capabilities="IMAP4rev1 IDLE LOGINDISABLED")
    home.configure({"work": home.scripted_account(s)}, rules(home))
    program = home.start("run", "-c", home.config_file)
    program.wait_log(r"work.*login", seconds=30)
    assert s.commands("LOGIN") + s.commands("AUTHENTICATE") == 0
    assert b"secret" not in s.everything_read()


def test_capabilities_are_asked_for_when_nobody_tells_them(home, server):
    s = server()
    s.greeting = b"* OK Gimap ready\r\n"
    s.on["AUTHENTICATE"] = lambda c, tag, _: c.ok(tag, "in")
    works(home, s)
    assert s.commands("CAPABILITY") >= 1


def test_id_is_told_where_it_is_offered_and_after_login(home, server):
    s = server()
    works(home, s)
    names = [n for n, _ in s.last.commands]
    assert names.index("AUTHENTICATE") < names.index("ID") < names.index("EXAMINE")


def test_id_is_not_told_where_it_is_not_offered(home, server):
    s = server(capabilities="IMAP4rev1 SASL-IR IDLE AUTH=PLAIN")
    works(home, s)
    assert s.commands("ID") == 0


@pytest.mark.parametrize("refuse", ["no", "bad"])
def test_a_server_that_refuses_id_is_forgiven(home, server, refuse):
    s = server()
    s.on["ID"] = lambda c, tag, _: getattr(c, refuse)(tag)
    works(home, s)


def test_a_refused_password_is_sent_once_and_said_once(home, server):
    refusing, good = server(), server()
    refusing.passwords = set()
    home.configure({"bad": home.scripted_account(refusing), "good": home.scripted_account(good)},
                   rules(home))
    program = home.run("good/INBOX")
    program.wait_log(rf"\bbad\b.*({expect.LOGIN_REFUSED})")
    end = time.monotonic() + 3
    handled = 0
    while time.monotonic() < end:  # longer than the first reconnects would take
        good.deliver(mail(f"mail {handled}"))
        handled += 1
        home.wait_records(handled, program)
    assert refusing.commands("AUTHENTICATE") + refusing.commands("LOGIN") == 1
    assert len(program.lines(rf"\bbad\b.*({expect.LOGIN_REFUSED})")) == 1


def test_a_changed_password_is_taken_after_a_refusal(home, server):
    """A password is kept, and asked for again when the server refuses it."""
    s = server()
    home.configure({"work": home.scripted_account(
        s, password=None, password_command=token_command(home, "secret", "changed"))}, rules(home))
    program = home.run("work/INBOX")
    s.last.close()
    program.wait_watching("work/INBOX", times=2)
    assert times_asked(home) == 1
    s.passwords = {"changed"}
    s.last.close()
    program.wait_watching("work/INBOX", times=3, seconds=30)
    assert times_asked(home) == 2


def test_a_temporary_refusal_is_tried_again(home, server):
    s = server()
    refusals = iter([True])
    s.on["AUTHENTICATE"] = lambda c, tag, a: (
        c.no(tag, "[UNAVAILABLE] try again later") if next(refusals, False)
        else c.do_authenticate(tag, a))
    works(home, s)
    assert s.commands("AUTHENTICATE") == 2


# --- where secrets come from ---

def test_each_place_a_password_may_come_from(home, server):
    s = server()
    (home.folder / "password").write_text("secret\nnot this line\n")
    (home.folder / "password").chmod(0o600)
    (home.folder / "credentials").mkdir()
    (home.folder / "credentials" / "mail-bot").write_text("secret\n")
    places = {
        "file": {"password_file": str(home.folder / "password")},
        "env": {"password_env": "BOT_PASS"},
        "credential": {"password_credential": "mail-bot"},
        "argv": {"password_command": ["printf", "%s\\n", "secret"]},
        "shell": {"password_command": "printf 'sec%s\\nmore\\n' ret"},
    }
    home.configure({name: home.scripted_account(s, password=None, **keys)
                    for name, keys in places.items()}, rules(home))
    home.run(*[f"{name}/INBOX" for name in places],
             env={"BOT_PASS": "secret", "CREDENTIALS_DIRECTORY": home.folder / "credentials"})


@pytest.mark.parametrize("command", ["exit 3", "true", "no-such-program-anywhere"])
def test_a_command_that_gives_no_secret_is_said(home, server, command):
    s = server()
    home.configure({"work": home.scripted_account(s, password=None, password_command=command)},
                   rules(home))
    program = home.start("run", "-c", home.config_file)
    program.wait_log(rf"work.*({expect.NO_SECRET})")
    assert s.commands("AUTHENTICATE") + s.commands("LOGIN") == 0
    program.assert_alive()


def test_no_secret_reaches_a_hook_or_the_log(home, server):
    s = server()
    s.passwords = {"hunter2"}
    home.configure(
        {"work": home.scripted_account(s, password=None, password_env="BOT_PASS")}, rules(home))
    program = home.start("run", "-v", "-v", "-c", home.config_file, env={
        "BOT_PASS": "hunter2", "CREDENTIALS_DIRECTORY": "/nowhere", "NOTIFY_SOCKET": "/nowhere",
        "WATCHDOG_USEC": "5000000000", "WATCHDOG_PID": "1", "LISTEN_FDS": "0", "LISTEN_PID": "1",
        "LISTEN_FDNAMES": "x", "HARMLESS": "stays"})
    program.wait_watching("work/INBOX")
    s.deliver(mail())
    [record] = home.wait_records(1, program)
    for name in ["BOT_PASS", *expect.SECRET_NAMES]:
        assert name not in record.environ
    assert record.environ["HARMLESS"] == b"stays"
    assert not [v for v in record.environ.values() if b"hunter2" in v]
    encoded = base64.b64encode(b"\0ann\0hunter2").decode()
    assert "hunter2" not in program.log and encoded not in program.log


# --- tokens ---

@pytest.mark.parametrize("mechanism", TOKEN_MECHANISMS)
def test_a_token_is_asked_for_at_every_connect(home, server, mechanism):
    s = server(capabilities=capable(f"AUTH=PLAIN AUTH={mechanism}"))
    s.tokens = {"first", "second"}
    home.configure({"work": home.scripted_account(
        s, password=None, token_command=token_command(home, "first", "second"))}, rules(home))
    program = home.run("work/INBOX")
    assert times_asked(home) == 1
    s.tokens = {"second"}
    s.last.close()
    program.wait_watching("work/INBOX", times=2)
    assert times_asked(home) == 2
    assert s.commands("AUTHENTICATE") == 2
    s.deliver(mail())
    home.wait_records(1, program)

    for connection, token in zip(s.connections, ("first", "second")):
        [arguments] = [a for n, a in connection.commands if n == "AUTHENTICATE"]
        name, _, initial = arguments.partition(" ")
        assert name == mechanism
        answer = base64.b64decode(initial)
        if mechanism == "XOAUTH2":
            assert answer == b"user=ann\x01auth=Bearer %s\x01\x01" % token.encode()
        else:
            assert answer == (b"n,a=ann,\x01host=localhost\x01port=%d\x01auth=Bearer %s\x01\x01"
                              % (s.port, token.encode()))


@pytest.mark.parametrize("mechanism", TOKEN_MECHANISMS)
def test_a_refused_token_ends_with_the_right_answer_and_a_new_one_is_asked_for(
        home, server, mechanism):
    s = server(capabilities=capable(f"AUTH={mechanism}"))
    s.tokens = {"fresh"}
    home.configure({"work": home.scripted_account(
        s, password=None, token_command=token_command(home, "stale", "fresh"))}, rules(home))
    program = home.run("work/INBOX")
    assert times_asked(home) == 2
    # the failure dance: an empty line for XOAUTH2, a lone 0x01 for OAUTHBEARER
    assert s.connections[0].refusal_answer == (b"" if mechanism == "XOAUTH2" else b"\x01")
    s.deliver(mail())
    home.wait_records(1, program)


def test_tokens_that_are_refused_again_and_again_stop_the_account(home, server):
    s, good = server(capabilities=capable("AUTH=XOAUTH2")), server()
    home.configure({
        "work": home.scripted_account(s, password=None,
                                      token_command=token_command(home, "stale")),
        "good": home.scripted_account(good),
    }, rules(home))
    program = home.run("good/INBOX")
    program.wait_log(rf"\bwork\b.*({expect.LOGIN_REFUSED}|token).*", seconds=60)
    end = time.monotonic() + 2
    handled = 0
    while time.monotonic() < end:
        good.deliver(mail())
        handled += 1
        home.wait_records(handled, program)
    assert s.commands("AUTHENTICATE") <= 3
    assert "stale" not in program.log


@pytest.mark.parametrize("mechanism", TOKEN_MECHANISMS)
def test_a_token_without_initial_response(home, server, mechanism):
    s = server(capabilities=f"IMAP4rev1 IDLE AUTH={mechanism}")
    s.tokens = {"tok"}
    works(home, s, password=None, token_command=token_command(home, "tok"))


def test_a_token_is_never_sent_as_a_password(home, server):
    s = server(capabilities=capable("AUTH=PLAIN"))
    home.configure({"work": home.scripted_account(
        s, password=None, token_command=token_command(home, "tok"))}, rules(home))
    program = home.start("run", "-c", home.config_file)
    program.wait_log(r"\bwork\b.*(OAUTH|token|login)")
    assert s.commands("LOGIN") == 0
    for arguments in (a for n, a in s.last.commands if n == "AUTHENTICATE"):
        assert not arguments.startswith("PLAIN")


def test_a_secret_command_reads_nothing_of_ours(home, server):
    s = server()
    report = home.folder / "report"
    command = f"cat >{report}; ls /proc/self/fd >{report}.fds; echo secret"
    home.configure({"work": home.scripted_account(s, password=None, password_command=command)},
                   rules(home))
    home.run("work/INBOX")
    assert report.read_bytes() == b""
    fds = set(map(int, re.findall(r"\d+", (home.folder / "report.fds").read_text())))
    assert fds <= {0, 1, 2, 3}  # 3 is ls reading the folder


def test_two_mailboxes_of_an_account_ask_for_the_password_once(home, server):
    s = server()
    s.mailboxes["Second"] = type(s.mailboxes["INBOX"])()
    home.configure({"work": home.scripted_account(
        s, password=None, mailboxes=["INBOX", "Second"],
        password_command=token_command(home, "secret"))}, rules(home))
    home.run("work/INBOX", "work/Second")
    wait_for(lambda: len(s.idling) == 2, "both to idle")
    assert times_asked(home) == 1
