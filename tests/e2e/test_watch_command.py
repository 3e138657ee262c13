"""`mailcall watch URL …`: the door for those who want no configuration."""

import json
import re
import signal
import socket

import pytest

import expect
from mails import mail
from waiting import wait_for


@pytest.fixture
def watch(home):
    """Starts a watch on a Dovecot user and waits until it idles."""
    def start(user, *arguments, mailbox="INBOX", env=None, scheme="imaps"):
        secret = home.folder / "password"
        secret.write_text(user.password + "\n")
        secret.chmod(0o600)
        port = user.server.tls_port if scheme == "imaps" else user.server.plain_port
        url = f"{scheme}://{user.name}@localhost:{port}/{mailbox}"
        program = home.start("-v", "watch", url, "--password-file", secret, *arguments,
                             env={"SSL_CERT_FILE": home.certs.ca_file, **(env or {})})
        program.wait_log(expect.watching("localhost", mailbox))
        return program
    return start


def lines(program, n) -> list:
    wait_for(lambda: program.out.count("\n") >= n, f"{n} lines")
    found = program.out.splitlines()
    assert len(found) == n, found
    return found


def test_without_a_command_it_prints_tab_separated_lines(user, watch):
    program = watch(user)
    user.deliver(mail("first\tone", sender="Ann <ann@example.org>"))
    user.deliver(mail(None, sender=None))
    first, second = lines(program, 2)
    received, box, uid, sender, subject = first.split("\t")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", received)
    assert (box, uid, sender, subject) == ("localhost/INBOX", "1", "ann@example.org", "first one")
    assert second.split("\t")[1:] == ["localhost/INBOX", "2", "-", "-"]


def test_a_line_stays_a_line_whatever_the_mail_says(user, watch):
    program = watch(user)
    user.deliver(mail("=?utf-8?Q?one=0Atwo=09three=1B[2J?=", sender='"a\tb" <x@example.org>'))
    [line] = lines(program, 1)
    assert line.count("\t") == 4
    assert "\x1b" not in line


def test_filters_are_those_of_the_configuration(user, watch):
    program = watch(user, "--subject", r"^\[build\] (?<what>\w+)", "--from-domain", "example.org")
    user.deliver(mail("[build] no", sender="x@example.net"))
    user.deliver(mail("no [build] at the front"))
    user.deliver(mail("[BUILD] yes"))
    [line] = lines(program, 1)
    assert line.endswith("[BUILD] yes")


def test_different_filters_are_anded_and_repeated_ones_ored(user, watch):
    program = watch(user, "--subject", "red", "--subject", "blue", "--not-from", "eve@")
    for subject, sender in (("red", "ann@example.org"), ("green", "ann@example.org"),
                            ("blue", "ann@example.org"), ("red", "eve@example.org")):
        user.deliver(mail(subject, sender=sender))
    user.deliver(mail("red end"))
    assert [line.split("\t")[4] for line in lines(program, 3)] == ["red", "blue", "red end"]


def test_header_filters(user, watch):
    program = watch(user, "--header", "X-Prio: ^1", "--header", "X-Alert", "--larger", "100")
    user.deliver(mail("none"))
    user.deliver(mail("prio", headers=[("X-Prio", "1 (high)")]))
    user.deliver(mail("alert", headers=[("X-Alert", "")]))
    user.deliver(mail("low", headers=[("X-Prio", "21")]))
    user.deliver(mail("end", headers=[("X-Prio", "1")]))
    assert [line.split("\t")[4] for line in lines(program, 3)] == ["prio", "alert", "end"]


def test_a_command_runs_without_a_shell(home, user, watch):
    program = watch(user, "--subject", "deploy (?<tag>.*)", "--",
                    *home.record("{match_tag}", "$HOME", "{from}", "a b"))
    message = mail("deploy v1; touch canary")
    user.deliver(message)
    [r] = home.wait_records(1, program)
    assert r.argv == [b"v1; touch canary", b"$HOME", b"ann@example.org", b"a b"]
    assert r.stdin == message
    assert r["ACCOUNT"] == "localhost" and r["EVENT"] == "new"
    assert r.cwd == str(home.folder)
    assert program.out == ""


def test_s_runs_a_shell_and_its_output_is_the_commands(home, user, watch):
    program = watch(user, "-s", 'printf "%s|" "$MAILCALL_SUBJECT"; wc -c; echo oops >&2')
    message = mail("for the shell")
    user.deliver(message)
    [line] = lines(program, 1)
    assert re.fullmatch(rf"for the shell\| *{len(message)}", line)
    program.wait_log("^oops$")


def test_stdin_may_be_headers_or_none(home, user, watch):
    program = watch(user, "--stdin", "none", "--", *home.record())
    user.deliver(mail())
    [r] = home.wait_records(1, program)
    assert r.stdin_is_null


def test_n_ends_after_so_many_mails(home, user, watch):
    program = watch(user, "-N", "2", "--subject", "yes", "--", *home.record())
    for subject in ("yes 1", "no", "yes 2", "yes 3"):
        user.deliver(mail(subject))
    program.wait_end(0)
    assert [r["SUBJECT"] for r in home.wait_records(2)] == ["yes 1", "yes 2"]


def test_n_1_without_a_command(user, watch):
    program = watch(user, "-N", "1")
    user.deliver(mail("only this"))
    user.deliver(mail("not that"))
    program.wait_end(0)
    assert len(lines(program, 1)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(user, watch, number):
    program = watch(user)
    program.signal(number)
    program.wait_end(0)


def test_a_time_limit_ends_it_with_124(user, watch):
    program = watch(user, "-t", "2s")
    program.wait_end(expect.TIMED_OUT)


def test_exit_on_error_ends_with_the_commands_status(user, watch):
    program = watch(user, "--exit-on-error", "-s", "exit 42")
    user.deliver(mail())
    program.wait_end(42)


def test_without_it_a_failing_command_changes_nothing(home, user, watch):
    program = watch(user, "-s", home.record_sh() + "; exit 42")
    user.deliver(mail())
    home.wait_records(1, program)
    user.deliver(mail())
    home.wait_records(2, program)


def test_another_mailbox_and_starttls(user, watch):
    user.create("Lists/dev")
    program = watch(user, mailbox="Lists/dev", scheme="imap")
    user.deliver(mail("here"), "Lists/dev")
    [line] = lines(program, 1)
    assert line.split("\t")[1] == "localhost/Lists/dev"


def test_an_own_format(user, watch):
    program = watch(user, "-o", r"{uid}\t{subject}")
    user.deliver(mail("formatted"))
    assert lines(program, 1) == ["1\tformatted"]


def test_a_reconnect_loses_nothing(home, own_dovecot, watch):
    user = own_dovecot.new_user()
    program = watch(user)
    own_dovecot.kill()
    user.deliver(mail("meanwhile"))
    own_dovecot.restart()
    [line] = lines(program, 1)
    assert line.endswith("meanwhile")


def test_nothing_is_left_on_disk(home, user, watch):
    program = watch(user, "-N", "1", "--", *home.record())
    user.deliver(mail())
    home.wait_records(1)
    program.wait_end(0)
    left = [p for root in ("home", "run") for p in (home.folder / root).rglob("*") if p.is_file()]
    assert left == []


def test_the_password_may_come_from_netrc_or_a_command(home, user):
    url = f"imaps://{user.name}@localhost:{user.server.tls_port}/INBOX"
    trust = {"SSL_CERT_FILE": home.certs.ca_file}
    program = home.start("-v", "watch", url, "--password-command", f"echo {user.password}",
                         env=trust)
    program.wait_log(expect.watching("localhost", "INBOX"))
    netrc = home.folder / "home/.netrc"
    netrc.write_text(f"machine localhost login {user.name} password {user.password}\n")
    netrc.chmod(0o600)
    program = home.start("-v", "watch", url, env=trust)
    program.wait_log(expect.watching("localhost", "INBOX"))


# --- how it fails ---

def fails(home, status, *arguments, env=None, stdin=None):
    done = home.call("watch", *arguments, env={"SSL_CERT_FILE": home.certs.ca_file, **(env or {})},
                     stdin=stdin, seconds=60)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("mailcall: "), done.stderr
    assert len(done.stderr.splitlines()) <= 2, done.stderr
    return done.stderr


def url_of(user, name=None):
    return f"imaps://{name or user.name}@localhost:{user.server.tls_port}/INBOX"


@pytest.mark.parametrize("arguments", [
    [], ["not-a-url"], ["http://example.org/"], ["imaps://"], ["imaps://host-without-user/INBOX"],
    ["imaps://a@b:99999/INBOX"], ["imaps://a@b/INBOX", "--no-such-option"],
    ["imaps://a@b/INBOX", "-N", "many"], ["imaps://a@b/INBOX", "-s", "x", "--", "y"],
    ["imaps://a@b/INBOX", "imaps://c@d/INBOX"], ["imaps://a@b/INBOX", "--subject"],
    ["imaps://a@b/INBOX", "--stdin", "everything"],
], ids=repr)
def test_wrong_usage_is_64(home, arguments):
    fails(home, expect.USAGE, *arguments)


def test_a_password_in_the_url_is_refused(home):
    said = fails(home, expect.USAGE, "imaps://ann:hunter2@imap.example.org/INBOX")
    assert "password" in said and "hunter2" not in said


def test_a_bad_regex_is_shown(home):
    done = home.call("watch", "imaps://a@b/INBOX", "--subject", "(")
    assert done.returncode == expect.USAGE
    assert "missing closing parenthesis" in done.stderr


def test_an_unknown_host_is_68(home):
    fails(home, expect.NO_HOST, "imaps://ann@no-such-host.invalid/INBOX",
          "--password-command", "echo x")


def test_an_unreachable_server_is_69(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        fails(home, expect.UNAVAILABLE, f"imaps://ann@127.0.0.1:{taken.getsockname()[1]}/INBOX",
              "--password-command", "echo x")


def test_a_wrong_password_is_77(home, user):
    said = fails(home, expect.NO_PERMISSION, url_of(user), "--password-command", "echo wrong")
    assert "wrong" not in said.replace("wrong password", "").replace("wrong user", "")


def test_no_password_is_77(home, user):
    fails(home, expect.NO_PERMISSION, url_of(user))


def test_a_wrong_certificate_is_refused(home, user):
    said = fails(home, expect.UNAVAILABLE, url_of(user), "--password-command", "echo x",
                 env={"SSL_CERT_FILE": home.certs.strangers_ca_file})
    assert re.search(expect.UNKNOWN_CA, said)


def test_a_mailbox_that_is_not_there_is_said(home, user):
    url = url_of(user).replace("INBOX", "Nowhere")
    done = home.call("watch", url, "--password-command", f"echo {user.password}",
                     env={"SSL_CERT_FILE": home.certs.ca_file})
    assert done.returncode not in (0, expect.USAGE)
    assert "Nowhere" in done.stderr


def test_a_burst_that_gathers_runs_once_and_at_the_end_at_once(home, user, watch):
    """Nothing outlives a watch: what gathers when it is ended has to run."""
    program = watch(user, "-v", "--debounce", "1h", "--max-delay", "2h", "--stdin", "json", "--",
                    *home.record())
    for subject in ("one", "two"):
        user.deliver(mail(subject))
        program.wait_log(r"checked, 1 new", 1 + (subject == "two"))
    assert home.count() == 0
    program.stop()
    [record] = home.records()
    assert (record["EVENT"], record["COUNT"], record["UIDS"]) == ("batch", "2", "1 2")
    assert [json.loads(line)["subject"] for line in record.stdin.splitlines()] == ["one", "two"]
