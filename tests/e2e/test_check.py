"""`mailcall check`: everything that can be said without a network, in one pass."""

import os

import pytest

import expect

GOOD = """\
accounts:
  me: { url: imaps://me@example.org@imap.example.org, password_command: [pass, mail/me] }
rules:
  - match: { subject: '\\binvoice\\b' }
    run: ["true"]
"""


def check(home, text, *arguments, **keys):
    return home.call("check", *arguments, home.configure_text(text), **keys)


def test_a_good_file_is_good(home):
    done = check(home, GOOD)
    assert done.returncode == expect.OK
    assert "error" not in done.stderr


def test_the_file_may_come_by_option_and_by_environment(home):
    path = home.configure_text(GOOD)
    assert home.call("check", "-c", path).returncode == expect.OK
    assert home.call("-c", path, "check").returncode == expect.OK
    assert home.call("check", env={"MAILCALL_CONFIG": path}).returncode == expect.OK
    standard = home.folder / "home/.config/mailcall"
    standard.mkdir(parents=True)
    path.rename(standard / "mailcall.yaml")
    assert home.call("check").returncode == expect.OK


def test_no_network_is_touched(home, server):
    s = server()
    home.configure({"work": home.scripted_account(s)}, [{"run": ["true"]}])
    assert home.call("check", home.config_file).returncode == expect.OK
    assert not s.connections


def test_all_errors_in_one_pass_on_stderr_with_their_places(home):
    done = check(home, """\
accounts:
  me: { url: imaps://me@imap.example.org, password_command: [pass, mail/me], colour: red }
rules:
  - name: one
    on_sucess: { flag: seen }
    match: { subject: '^\\[deploy\\] (?<app>[a-z]+' }
    run: ["true"]
  - name: two
    timeout: 5
    run: [no-such-program-anywhere-at-all]
""")
    assert done.returncode == expect.CONFIG
    assert done.stdout == ""
    for words in ("mailcall.yaml:2:", "colour", "mailcall.yaml:5:5: error", "on_sucess",
                  "did you mean 'on_success'", "mailcall.yaml:6:", "missing closing parenthesis",
                  "mailcall.yaml:9:"):
        assert words in done.stderr, done.stderr
    assert done.stderr.count("error:") == 4, done.stderr
    assert "^" in done.stderr


BAD = {
    "duplicate key": (GOOD + "rules: []\n", "rules"),
    "unknown top key": (GOOD + "rulez: []\n", "did you mean 'rules'"),
    "tab": ("accounts:\n\tme: {}\n", ":2:"),
    "no secret": (GOOD.replace(", password_command: [pass, mail/me]", ""), "password"),
    "two secrets": (GOOD.replace("[pass, mail/me]", "x, password_env: Y"), "password"),
    "run with blanks": (GOOD.replace('["true"]', "echo hello"), "sh"),
    "both run and sh": (GOOD + "    sh: 'true'\n", "sh"),
    "unknown placeholder": (GOOD.replace('"true"', "'true', '{subjcet}'"), "subject"),
    "unknown account in a rule": (GOOD + "    in: mee\n", "mee"),
    "a password in the url": (GOOD.replace("me@example.org@", "me:hunter2@"), "password"),
    "a missing program": (GOOD.replace('"true"', "no-such-program-anywhere"), "no-such-program"),
    "later key": (GOOD.replace("subject: '\\binvoice\\b'", "search: UNSEEN"), "not supported yet"),
    "bad stdin": (GOOD + "    stdin: everything\n", "stdin"),
    "bad duration": (GOOD + "    timeout: 5\n", "timeout"),
    "backspace": (GOOD.replace("'\\binvoice\\b'", '"\\binvoice\\b"'), "backspace"),
    "unquoted glob": (GOOD.replace("'\\binvoice\\b'", "*.pdf"), "quote"),
    "duplicate capture": (
        GOOD.replace("subject: '\\binvoice\\b'", "subject: '(?<n>a)', from: '(?<n>b)'"), "n"),
    "our own variable": (GOOD + "    env: { MAILCALL_X: y }\n", "MAILCALL_"),
    "not yaml": ("a: [b\n", "error"),
    "empty": ("", "account"),
}


@pytest.mark.parametrize("text, words", BAD.values(), ids=BAD.keys())
def test_a_mistake_is_an_error(home, text, words):
    done = check(home, text)
    assert done.returncode == expect.CONFIG, done.stderr
    assert done.stdout == ""
    assert words in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("text", [t for t, _ in BAD.values()], ids=BAD.keys())
def test_run_refuses_what_check_refuses(home, text):
    if "no-such-program" in text:
        pytest.skip("a program may be installed while mailcall runs")
    home.configure_text(text)
    done = home.call("run", "-c", home.config_file)
    assert done.returncode == expect.CONFIG, done.stderr


def test_a_clear_password_needs_a_private_file(home):
    path = home.configure_text(GOOD.replace("password_command: [pass, mail/me]", "password: x"))
    assert home.call("check", path).returncode == expect.OK
    path.chmod(0o644)
    done = home.call("check", path)
    assert done.returncode == expect.CONFIG
    assert "0600" in done.stderr or "chmod" in done.stderr


def test_a_hook_that_is_not_executable_is_named(home):
    hook = home.folder / "hook.sh"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o644)
    done = check(home, GOOD.replace('"true"', str(hook)))
    assert done.returncode == expect.CONFIG
    assert str(hook) in done.stderr


def test_a_file_that_is_not_there(home):
    done = home.call("check", "/nowhere/mailcall.yaml")
    assert done.returncode in (expect.NO_INPUT, expect.CONFIG)
    assert "/nowhere/mailcall.yaml" in done.stderr
    assert done.stderr.startswith("mailcall: ")


def test_no_file_at_all(home):
    if os.path.exists("/etc/mailcall/mailcall.yaml"):
        pytest.skip("this machine has one")
    done = home.call("check")
    assert done.returncode == expect.CONFIG
    assert "mailcall.yaml" in done.stderr


def test_from_standard_input(home):
    assert home.call("check", "-", stdin=GOOD).returncode == expect.OK
    assert home.call("check", "-c", "-", stdin="rulez: 1\n").returncode == expect.CONFIG


def test_includes_are_read_and_their_errors_placed(home):
    more = home.config_file.parent / "rules.d"
    more.mkdir()
    (more / "10-a.yaml").write_text("rules:\n  - { name: a, run: [\"true\"] }\n")
    text = "include: [rules.d/*.yaml]\n" + GOOD
    assert check(home, text).returncode == expect.OK
    (more / "20-b.yaml").write_text("rules:\n  - { name: b, rum: [\"true\"] }\n")
    done = check(home, text)
    assert done.returncode == expect.CONFIG
    assert "20-b.yaml:2:" in done.stderr and "did you mean 'run'" in done.stderr
