"""When the machine is short of something, readers are gone, and signals come at odd moments."""

import os
import pty
import resource
import signal
import subprocess
import termios

import pytest

import expect
import mailcall
from mails import mail
from waiting import wait_for

SLOW_LOOKUP = """
#include <netdb.h>
#include <unistd.h>
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
    struct addrinfo **found)
{
    sleep(1000);
    return EAI_AGAIN;
}
"""


def configure(home, s, rule=None, **account):
    home.configure({"work": home.scripted_account(s, **account)},
                   [{"name": "all", "run": home.record(), **(rule or {})}])


def idle(s, program=None):
    wait_for(lambda: s.idling, "the client to idle", alive=program and program.assert_alive)


def announce(s):
    s.last.call(s.last.tell_news)


def limit(program, what, soft):
    """From now on, for the program alone: the tests' own process has needs of its own."""
    resource.prlimit(program.pid, what, (soft, resource.getrlimit(what)[1]))


def watch_arguments(home, s, *more) -> list:
    secret = home.folder / "password"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    return ["watch", f"imaps://ann@localhost:{s.port}/INBOX", "--password-file", secret,
            "--tls-ca-file", home.certs.ca_file, *more]


# --- servers that give up early ---


def test_a_connection_that_dies_after_each_message_gets_on_all_the_same(home, server):
    s = server()
    configure(home, s)
    program = home.run("work/INBOX")
    idle(s, program)

    def one_and_goodbye(c, tag, arguments):
        uid_set, _, items = arguments.partition(" ")
        found = [m for m in c.matching(uid_set) if m[1] >= int(uid_set.split(":")[0])]
        if not found:
            return c.ok(tag)
        c.send_fetch(*found[0], items)
        c._leave()

    s.on["UID FETCH"] = one_and_goodbye
    for number in range(3):
        s.mailboxes["INBOX"].add(mail(f"number {number}"))
    announce(s)
    records = home.wait_records(3, program)
    assert [r.uid for r in records] == [1, 2, 3]


# --- a machine that is short of something ---


def test_a_burst_with_few_descriptors_loses_nothing(home, user):
    home.configure({"work": home.account(user)}, [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    limit(program, resource.RLIMIT_NOFILE, 40)
    for number in range(150):
        user.deliver(mail(f"number {number}"))
    records = home.wait_records(150, program, 60)
    assert [r.uid for r in records] == list(range(1, 151))


def test_a_file_over_the_limit_is_an_error_and_the_mail_comes_again(home, user):
    home.configure({"work": home.account(user)}, [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    limit(program, resource.RLIMIT_FSIZE, 1 << 20)
    user.deliver(mail("big", body=b"x" * 70 + b"\n" * (2 << 20)))
    program.wait_log("File too large.*next try")
    limit(program, resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    program.signal(signal.SIGUSR1)
    [record] = home.wait_records(1, program)
    assert record["SUBJECT"] == "big"


def test_more_mails_than_may_wait_for_their_hooks_are_all_run(home, server):
    s = server()
    gate, seen = home.folder / "gate", home.folder / "seen"
    home.configure(
        {"work": home.scripted_account(s)},
        [{"name": "all", "stdin": "none",
          "sh": f"until [ -e {gate} ]; do sleep 0.1; done; echo $MAILCALL_UID >>{seen}"}])
    program = home.run("work/INBOX")
    idle(s, program)
    for number in range(1200):
        s.deliver(mail(f"number {number}"), announce=False)
    announce(s)
    wait_for(lambda: len(list(home.state.rglob("spool/*.eml"))) == 1200, "1200 mails")
    gate.touch()
    wait_for(lambda: seen.exists() and seen.read_text().count("\n") >= 1200, "1200 hooks", 60,
             alive=program.assert_alive)
    assert seen.read_text().split() == [str(uid) for uid in range(1, 1201)]


# --- readers that are gone ---


@pytest.mark.parametrize("dry_run", [True, False], ids=["run -n", "watch"])
def test_who_prints_for_nobody_ends(home, server, dry_run):
    s = server()
    configure(home, s)
    arguments = ["run", "-n", "-c", home.config_file] if dry_run else watch_arguments(home, s)
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([mailcall.PROGRAM, *arguments], env=home.environment(),
                               stdin=subprocess.DEVNULL, stdout=writer)
    os.close(writer)
    try:
        idle(s)
        s.deliver(mail("for nobody"))
        assert process.wait(15) == expect.OK
    finally:
        process.kill()


@pytest.mark.parametrize("dry_run", [True, False], ids=["run -n", "watch"])
def test_output_that_cannot_be_written_is_said(home, server, dry_run):
    s = server()
    configure(home, s)
    arguments = ["run", "-n", "-c", home.config_file] if dry_run else watch_arguments(home, s)
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen([mailcall.PROGRAM, *arguments], env=home.environment(),
                                   stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE)
    try:
        idle(s)
        s.deliver(mail("for a full disk"))
        words = process.communicate(timeout=15)[1].decode()
    finally:
        process.kill()
    assert process.returncode == 74
    assert "standard output: No space left on device" in words


def test_exit_on_error_runs_nothing_after_the_first_failure(home, server):
    s = server()
    seen = home.folder / "seen"
    program = home.start(*watch_arguments(
        home, s, "--exit-on-error", "-s", f"echo $MAILCALL_UID >>{seen}; exit $MAILCALL_UID"))
    idle(s, program)
    for number in range(5):
        s.deliver(mail(f"number {number}"), announce=False)
    announce(s)
    program.wait_end(1)
    assert seen.read_text() == "1\n"


# --- signals at odd moments ---


def test_termination_while_a_password_is_asked_for_ends_the_command(home, server):
    s = server()
    pid_file = home.folder / "pid"
    configure(home, s, password=None,
              password_command=f"echo $$ >{pid_file}.part; mv {pid_file}.part {pid_file}; "
                               "exec sleep 1000")
    program = home.start("run", "-c", home.config_file)
    wait_for(pid_file.exists, "the command to run")
    program.signal(signal.SIGTERM)
    program.wait_end(0)
    wait_for(lambda: not os.path.exists(f"/proc/{pid_file.read_text().strip()}"), "its end")


@pytest.mark.skipif(mailcall.SANITIZED, reason="a sanitizer's library must come first")
def test_termination_while_a_name_server_is_silent(home, server):
    source, library = home.folder / "slow.c", home.folder / "slow.so"
    source.write_text(SLOW_LOOKUP)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, source],
                   check=True)
    configure(home, server())
    program = home.start("run", "-v", "-c", home.config_file, env={"LD_PRELOAD": library})
    wait_for(lambda: len(os.listdir(f"/proc/{program.pid}/task")) > 1, "a lookup")
    program.signal(signal.SIGTERM)
    program.wait_end(0)


def test_usr1_before_anything_is_watched_kills_nobody(home, server):
    s = server()
    configure(home, s)
    fifo = home.folder / "config" / "fifo.yaml"
    os.mkfifo(fifo, 0o600)
    program = home.start("run", "-c", fifo)
    with open(fifo, "wb") as f:  # whoever opens the other end has begun
        program.signal(signal.SIGUSR1)
        f.write(home.config_file.read_bytes())
    program.wait_watching("work/INBOX")


@pytest.mark.parametrize("ignored", [True, False])
def test_a_hangup_that_nohup_ignores_is_ignored(home, server, ignored):
    s = server()
    configure(home, s)
    was = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        program = home.run("work/INBOX")
    finally:
        signal.signal(signal.SIGHUP, was)
    idle(s, program)
    program.signal(signal.SIGHUP)
    if not ignored:
        program.wait_end(0)
        return
    s.deliver(mail("after the hangup"))
    [record] = home.wait_records(1, program)
    assert not int(record.signals_ignored, 16) & 1 << signal.SIGHUP - 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_terminal_shows_again_what_is_typed_after_a_signal_at_the_prompt(home, number):
    try:
        pid, terminal = pty.fork()
    except OSError:
        pytest.skip("no pseudo-terminals here")
    if pid == 0:
        os.execve(mailcall.PROGRAM, ["mailcall", "watch", "imaps://ann@localhost:1/"],
                  home.environment())

    def echoes():
        return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)

    wait_for(lambda: not echoes(), "the prompt")
    # its settings last as long as somebody has it open
    terminal_of_child = os.open(f"/proc/{pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
    os.kill(pid, number)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == number
    assert echoes()
    os.close(terminal_of_child)
    os.close(terminal)


# --- global options ---


@pytest.mark.parametrize("arguments", [
    ["-vv", "check"], ["--config=@", "check"], ["-c@", "-qv", "check"], ["check", "-c@", "-vv"],
    ["-v", "--quiet", "check", "--config", "@"],
], ids=" ".join)
def test_global_options_in_every_form(home, server, arguments):
    configure(home, server())
    done = home.call(*[a.replace("@", str(home.config_file)) for a in arguments],
                     env={"MAILCALL_CONFIG": home.config_file})
    assert done.returncode == expect.OK, done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["run", "--version"], ["-v", "--version"]],
                         ids=" ".join)
def test_the_version_may_be_asked_for_anywhere(home, arguments):
    done = home.call(*arguments)
    assert (done.returncode, done.stdout.split()[0]) == (expect.OK, "mailcall")
