"""Every command of the README, run as it stands there; only the server's address is another."""

import re
import subprocess

import pytest

import expect
from mailcall import PROGRAM, ROOT
from mails import mail
from waiting import wait_for

README = (ROOT / "README.md").read_text()
URL = "imaps://me@example.org@imap.example.org"


def blocks(language: str) -> list:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def commands() -> list:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.split("   ")[0] for line in lines if line and not line.startswith("#")]


ONE_LINERS = [c for c in commands() if URL in c]
OTHERS = [c for c in commands() if URL not in c]


def test_this_file_knows_every_command():
    assert len(ONE_LINERS) == 5
    assert OTHERS == ["make demo", "make check", "mailcall check", "mailcall test -v mail.eml",
                      "mailcall show -l mail.eml", "mailcall run -n",
                      "mailcall run", "mailcall failed", "mailcall retry --all"]


@pytest.fixture
def shell(home, user):
    """A shell as a user of this server has it: mailcall on PATH, the password in ~/.netrc."""
    programs = home.folder / "bin"
    programs.mkdir()
    (programs / "mailcall").symlink_to(PROGRAM)
    for name in ("notify-send", "curl"):
        (programs / name).write_text(
            '#!/bin/sh\nfor a; do printf "%s\\n" "$a"; done > "$HOME/ran.part"\n'
            'mv "$HOME/ran.part" "$HOME/ran"\n')
        (programs / name).chmod(0o755)
    netrc = home.folder / "home/.netrc"
    netrc.write_text(f"machine localhost login {user.name} password {user.password}\n")
    netrc.chmod(0o600)
    started = []

    def start(command: str):
        environment = home.environment(SSL_CERT_FILE=home.certs.ca_file)
        environment["PATH"] = f"{programs}:{environment['PATH']}"
        url = f"imaps://{user.name}@localhost:{user.server.tls_port}"
        # -v: the line that says it watches is what we wait for
        command = command.replace(URL, url).replace("mailcall watch", "exec mailcall -v watch")
        log = home.folder / f"shell.{len(started)}"
        with open(log, "wb") as err, open(home.folder / "shell.out", "wb") as out:
            started.append(subprocess.Popen(
                ["sh", "-c", command], env=environment, cwd=home.folder / "home",
                stdin=subprocess.DEVNULL, stdout=out, stderr=err))
        wait_for(lambda: re.search(expect.watching("localhost", "INBOX"), log.read_text()),
                 f"{command} to watch")
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        process.wait()


def ran(home) -> list:
    file = home.folder / "home/ran"
    wait_for(file.exists, "the command to run")
    return file.read_text().splitlines()


def test_tail_f_for_a_mailbox(home, user, shell):
    shell(ONE_LINERS[0])
    user.deliver(mail("hello"))
    out = home.folder / "shell.out"
    wait_for(lambda: out.read_text().endswith("\thello\n"), "the line")


def test_a_desktop_notification(home, user, shell):
    shell(ONE_LINERS[1])
    user.deliver(mail("--help; $(touch canary)", sender="Ann Example <ann@example.org>"))
    assert ran(home) == ["-a", "mail", "--", "Ann Example", "--help; $(touch canary)"]


def test_every_invoice_under_its_number(home, user, shell):
    shell(ONE_LINERS[2])
    message = mail("Your Invoice 4711")
    user.deliver(message)
    file = home.folder / "home/invoice-4711.eml"
    wait_for(lambda: file.exists() and file.read_bytes() == message, "the invoice")


def test_urgent_mail_to_the_phone(home, user, shell):
    shell(ONE_LINERS[3])
    user.deliver(mail("not urgent", headers=[("X-Priority", "3")]))
    user.deliver(mail("fire", headers=[("X-Priority", "1 (Highest)")]))
    assert ran(home) == ["-fsS", "-H", "Title: fire", "--data-raw", "ann@example.org",
                         "https://ntfy.sh/my-topic"]


def test_block_until_a_build_is_announced(home, user, shell):
    process = shell(ONE_LINERS[4])
    user.deliver(mail("build 41 passed", sender="someone@example.org"))
    user.deliver(mail("Build 42 passed", sender="CI <ci@example.org>"))
    assert process.wait(timeout=60) == 0
    assert (home.folder / "shell.out").read_text() == "42\n"


def test_the_configuration_and_what_is_done_with_it(home, user):
    """The YAML as it stands passes `check`; for the others its account is this server's."""
    [text] = blocks("yaml")
    (home.folder / "config/hooks").symlink_to(ROOT / "hooks")
    home.configure_text(text)
    configured = {"MAILCALL_CONFIG": home.config_file}
    done = home.call("check", env=configured)
    assert (done.returncode, done.stdout) == (0, "fine: 1 account, 2 mailboxes, 3 rules\n")

    user.create("Lists/dev")
    user.create("Archive/Invoices")
    url = f"imaps://{user.name}@localhost:{user.server.tls_port}"
    text = text.replace("imaps://ann@example.com@imap.example.com", url)
    text = text.replace("[pass, show, mail/work]", f"[echo, {user.password}]\n"
                        f"    tls_ca_file: {home.certs.ca_file}")
    text = text.replace("    run: [save-message]", "    run: [save-message]\n"
                        f"    env: {{ SAVE_DIR: {home.folder}/saved }}")
    home.configure_text(text + "daemon: { allow_root: true }\n")
    dry = home.start("run", "-n", env=configured)
    dry.wait_watching("work/INBOX")
    run = home.start("run", env=configured)
    run.wait_watching("work/INBOX")
    run.wait_watching("work/Lists/dev")
    message = (ROOT / "tests/e2e/invoice.eml").read_bytes()
    (home.folder / "mail.eml").write_bytes(message)
    done = home.call("test", "-v", "mail.eml", env=configured)
    assert done.returncode == 0 and "number=2026-17" in done.stdout
    done = home.call("show", "-l", "mail.eml", env=configured)
    assert done.returncode == 0 and "application/pdf" in done.stdout
    user.deliver(message)
    wait_for(lambda: list((home.folder / "saved").glob("*.eml")), "the saved mail")
    [saved] = (home.folder / "saved").glob("*.eml")
    assert saved.read_bytes() == message
    wait_for(lambda: len(user.uids("Archive/Invoices")) == 1 and not user.uids(), "the move")
    done = home.call("failed", env=configured)
    assert (done.returncode, done.stdout) == (0, "")
    assert home.call("retry", "--all", env=configured).returncode == 0
    wait_for(lambda: "invoices would run" in dry.out, "the dry run's line")


def test_install_puts_everything_in_its_place(home):
    subprocess.run(["make", "-s", "install", f"DESTDIR={home.folder}/root", "PREFIX=/usr/local",
                    f"BUILD={PROGRAM.parent}"], cwd=ROOT, check=True, capture_output=True)
    installed = home.folder / "root/usr/local"
    assert (installed / "bin/mailcall").stat().st_mode & 0o777 == 0o755
    assert {p.name for p in (installed / "share/mailcall/hooks").iterdir()} == \
        {p.name for p in (ROOT / "hooks").iterdir()}
    subprocess.run(["make", "-s", "uninstall", f"DESTDIR={home.folder}/root", "PREFIX=/usr/local"],
                   cwd=ROOT, check=True, capture_output=True)
    assert not [p for p in (home.folder / "root").rglob("*") if p.is_file()]


def test_the_two_commands_are_what_is_run_elsewhere():
    """make demo and make check cannot run inside make check; .ci/run runs both."""
    ci = (ROOT / ".ci/run").read_text()
    assert re.search(r"make\b.* check$", ci, re.M) and re.search(r"make demo$", ci, re.M)
