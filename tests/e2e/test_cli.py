"""The command line itself."""

import re

import pytest

import expect
from mailcall import ROOT


def test_the_version_is_the_one_of_the_makefile(home):
    [version] = re.findall(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M)
    done = home.call("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"mailcall {version}\n", "")


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"]])
def test_help_names_every_command(home, arguments):
    done = home.call(*arguments)
    assert done.returncode == expect.OK and done.stderr == ""
    for command in ("run", "watch", "check", "help"):
        assert re.search(rf"\bmailcall {command}\b", done.stdout), command


@pytest.mark.parametrize("command", ["run", "watch", "check"])
def test_each_command_has_its_help(home, command):
    texts = [home.call("help", command), home.call(command, "--help"), home.call(command, "-h")]
    for done in texts:
        assert done.returncode == expect.OK and done.stderr == ""
        assert done.stdout == texts[0].stdout
        assert f"mailcall {command}" in done.stdout


def test_the_fields_of_the_contract_are_all_documented(home):
    done = home.call("help", "fields")
    assert done.returncode == expect.OK
    listed = set(re.findall(r"^ *\{?(?:MAILCALL_)?([A-Za-z_]+)", done.stdout, re.M))
    listed = {name.upper() for name in listed}
    assert set(expect.FIXED_FIELDS) <= listed


def test_the_exit_codes_are_documented(home):
    done = home.call("help", "exit-codes")
    assert done.returncode == expect.OK
    for code in (64, 66, 68, 69, 70, 73, 74, 75, 76, 77, 78, 124):
        assert re.search(rf"^ *{code}\b", done.stdout, re.M), code


@pytest.mark.parametrize("typo, meant", [("wach", "watch"), ("chekc", "check"), ("rum", "run"),
                                         ("hlep", "help")])
def test_a_typo_gets_a_suggestion(home, typo, meant):
    done = home.call(typo)
    assert done.returncode == expect.USAGE
    assert done.stdout == ""
    assert f"'{typo}'" in done.stderr and f"'{meant}'" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["--no-such-option"], ["run", "extra"],
                                       ["run", "--no-such-option"], ["help", "frobnicate"],
                                       ["check", "a", "b"], ["ru"], ["run", "--dry"]], ids=repr)
def test_wrong_usage_is_64_with_a_pointer_to_help(home, arguments):
    done = home.call(*arguments)
    assert done.returncode == expect.USAGE
    assert done.stdout == ""
    assert done.stderr.startswith("mailcall: ") and "help" in done.stderr


def test_options_may_stand_before_and_behind_the_command(home):
    for arguments in (["-q", "check", "/nowhere"], ["check", "-q", "/nowhere"],
                      ["check", "/nowhere", "-q"], ["-c", "/nowhere", "check"]):
        assert home.call(*arguments).returncode in (expect.NO_INPUT, expect.CONFIG)


def test_an_unknown_rule_or_target_is_said(home):
    home.configure({"work": {"host": "localhost", "user": "ann", "password": "x"}},
                   [{"name": "invoices", "run": ["true"]}])
    done = home.call("run", "-c", home.config_file, "-r", "invoice")
    assert done.returncode in (expect.USAGE, expect.CONFIG)
    assert "'invoice'" in done.stderr and "invoices" in done.stderr
    done = home.call("run", "-c", home.config_file, "--in", "home/INBOX")
    assert done.returncode in (expect.USAGE, expect.CONFIG)
    assert done.stderr.startswith("mailcall: ")
