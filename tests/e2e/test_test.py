"""`mailcall test`: what the rules would do with a message; nothing is done unless told to."""

import base64
import json
import os
import subprocess

import pytest

import expect
from mails import header_block, mail

ACCOUNTS = {
    "work": {"url": "imaps://ann@example.com@imap.example.com", "password": "x",
             "mailboxes": ["INBOX", "Lists/dev"], "trust_auth_results": "mx.example.com"},
    "gmail": {"url": "imaps://ann@imap.example.org", "password": "x"},
}
PDF = b"%PDF-1.4 " * 3300
INVOICE = mail(
    "Invoice 2026-17", b"--b\nContent-Type: text/plain\n\nTotal: 12 EUR\n"
    b"--b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=invoice.pdf\n"
    b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(PDF) + b"--b--\n",
    sender="billing@stripe.com",
    headers=[("MIME-Version", "1.0"), ("Content-Type", "multipart/mixed; boundary=b")])


def invoices(home, **more) -> dict:
    return {"name": "invoices", "in": ["work/INBOX"],
            "match": {"from": {"domain": ["stripe.com", "hetzner.com"]},
                      "subject": r"\b(?:invoice|rechnung)\b.*?(?<number>\d[\d-]{3,})",
                      "attachment": "*.pdf"},
            "run": home.record("--number", "{match_number}"), "attachments": "decode",
            "on_success": [{"flag": "seen"}, {"move": "Archive/Invoices"}],
            "on_failure": [{"flag": "InvoiceFailed"}], "stop": True, **more}


def deploy(home, **more) -> dict:
    return {"name": "deploy", "match": {"from": {"is": "release-bot@example.com"}},
            "sh": home.record_sh(), "stdin": "none", **more}


def everything(home, **more) -> dict:
    return {"name": "everything", "run": home.record(), **more}


@pytest.fixture
def test(home):
    """Tests messages that lie in files against these rules."""

    def test(rules, *arguments, messages=(INVOICE,), status=expect.OK, **keys):
        home.configure(ACCOUNTS, rules)
        paths = []
        for number, message in enumerate(messages, 1):
            paths.append(home.folder / f"m{number}.eml")
            paths[-1].write_bytes(message)
        done = home.call("test", "-c", home.config_file, *arguments, *paths, **keys)
        assert done.returncode == status, done.stderr
        return done

    return test


def call(home, *arguments, **keys):
    return home.call("test", "-c", home.config_file, *arguments, **keys)


# --- what is said ---

def test_one_line_for_each_rule_that_matches(home, test):
    done = test([invoices(home, stop=False), deploy(home), everything(home)])
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [["invoices", "MATCH"], ["everything", "MATCH"]]
    assert lines[0][2].startswith(str(home.config_file) + ":")
    assert done.stderr == ""
    assert home.count() == 0


def test_every_condition_is_explained(home, test):
    out = test([invoices(home), deploy(home)], "-v").stdout
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["invoices", "MATCH"]
    assert lines[1].split() == ["ok", "from", "domain", "stripe.com,", "hetzner.com",
                                "billing@stripe.com"]
    assert lines[2].split()[:2] == ["ok", "subject"]
    assert lines[2].endswith('"Invoice 2026-17"   number=2026-17')
    assert lines[3].split() == ["ok", "attachment", "*.pdf", "invoice.pdf", "(29K)"]
    assert lines[4].startswith("  run  ") and "--number 2026-17   stdin: message, " in lines[4]
    assert lines[5] == "  then flag seen, move Archive/Invoices; stop"
    assert lines[6] == "  else flag InvoiceFailed"
    assert lines[7].split()[:2] == ["deploy", "no"]
    assert lines[8].split() == ["FAIL", "from", "is", "release-bot@example.com",
                                "billing@stripe.com"]
    assert len(lines) == 9


def test_the_columns_stand_below_each_other(home, test):
    lines = test([invoices(home)], "-v").stdout.splitlines()[1:4]
    wanted = [line.index(text) for line, text in zip(lines, ("domain", "/", "*.pdf"))]
    found = [line.index(text) for line, text in
             zip(lines, ("billing", '"Invoice', "invoice.pdf"))]
    assert len(set(wanted)) == 1 and len(set(found)) == 1


def test_groups_are_told_with_their_parts(home, test):
    rule = everything(home, match={"any": [{"subject": "SEV[12]"}, {"not": {"body": "EUR"}},
                                           {"all": [{"subject": "invoice"}, {"larger": "1K"}]}]})
    lines = [line.split() for line in test([rule], "-v").stdout.splitlines()]
    assert [line[:2] for line in lines[1:7]] == [
        ["ok", "any"], ["no", "subject"], ["no", "not"], ["yes", "all"], ["yes", "subject"],
        ["yes", "larger"]]


def test_several_files_are_told_apart(home, test):
    out = test([deploy(home)], messages=[INVOICE, mail(sender="release-bot@example.com")]).stdout
    assert out.splitlines()[0].endswith('m1.eml  "Invoice 2026-17"')
    assert out.splitlines()[1].endswith('m2.eml  "hello"')
    assert out.splitlines()[2].split()[:2] == ["deploy", "MATCH"]


def test_what_comes_after_stop_is_not_reached(home, test):
    out = test([invoices(home), everything(home)], "-v").stdout
    last = out.splitlines()[-2]
    assert last.startswith("everything  MATCH") or last.startswith("everything")
    assert "not reached: invoices stops" in out
    assert out.count("  run  ") == 1


def test_quiet_says_nothing(home, test):
    done = test([everything(home)], "-q")
    assert (done.stdout, done.stderr) == ("", "")


def test_mail_moves_nothing_on_the_terminal(home, test):
    hostile = mail("=?utf-8?q?a=1B=5B2J=0A=E2=80=AEb?=", sender='"\x1b]0;x\x07" <a@b.org>')
    done = test([everything(home, match={"subject": "(?<x>.*)", "from": {"domain": "b.org"}})],
                "-v", messages=[hostile])
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)


# --- which rules ---

def test_no_rule_matches(home, test):
    assert test([deploy(home)], status=expect.NO).stdout == ""


def test_rules_by_name_even_if_disabled(home, test):
    rules = [invoices(home), everything(home, enabled=False)]
    out = test(rules, "-r", "everything").stdout
    assert out.split()[:2] == ["everything", "MATCH"]
    assert "everything" not in test(rules).stdout


def test_an_unknown_rule_is_refused_with_a_suggestion(home, test):
    done = test([invoices(home)], "-r", "invoice", status=expect.USAGE)
    assert "did you mean 'invoices'" in done.stderr


def test_trusted_results_are_those_of_any_account(home, test):
    signed = mail(headers=[("Authentication-Results",
                            "mx.example.com; dkim=pass header.d=stripe.com")])
    rule = everything(home, **{"in": "work/INBOX"},
                      match={"auth": {"dkim": "pass", "dkim_domain": "stripe.com"}})
    test([rule], messages=[signed])
    forged = signed.replace(b"mx.example.com;", b"mx.evil.org;")
    test([rule], messages=[forged], status=expect.NO)


# --- for programs ---

def test_json_has_a_line_for_each_rule(home, test):
    done = test([invoices(home, stop=False), deploy(home)], "--json")
    one, two = map(json.loads, done.stdout.splitlines())
    assert (one["matched"], one["rule"], one["v"]) == (True, "invoices", 1)
    assert one["match"] == {"number": "2026-17"}
    assert one["run"][-1] == "2026-17"
    assert one["subject"] == two["subject"] == "Invoice 2026-17"
    assert one["event"] == "test"
    assert (two["matched"], two["match"]) == (False, {})


def environment(text: str) -> dict:
    """What a shell makes of `--env`."""
    shell = subprocess.run(["env", "-i", "sh", "-ac", 'eval "$1"; exec env -0', "sh", text],
                           capture_output=True, check=True)
    return dict(e.split(b"=", 1) for e in shell.stdout.split(b"\0") if e)


def test_the_environment_is_the_hooks_own(home, test):
    subject = "it's \"$(touch canary)\" `x` \\ Grüße"
    rules = [everything(home, env={"DEST": "a b"})]
    arguments = {"messages": [mail(subject)], "env": {"SECRET_TOKEN": "t"}}
    by_shell = environment(test(rules, "--env", **arguments).stdout)
    by_json = json.loads(test(rules, "--env", "--json", **arguments).stdout)
    by_zero = dict(e.split("=", 1) for e in
                   test(rules, "--env", "-0", **arguments).stdout.split("\0") if e)
    for found in (by_json, by_zero):
        assert found["MAILCALL_SUBJECT"] == subject
        assert found["DEST"] == "a b"
        assert found["MAILCALL_EVENT"] == "test"
        assert found["SECRET_TOKEN"] == "t"
        assert set(expect.FIXED_FIELDS) <= {k[9:] for k in found if k.startswith("MAILCALL_")}
    assert by_shell[b"MAILCALL_SUBJECT"].decode() == subject
    assert by_shell[b"DEST"] == b"a b"
    assert not list(home.folder.rglob("canary"))


def test_an_environment_that_no_rule_makes(home, test):
    assert test([deploy(home)], "--env", status=expect.NO).stdout == ""


# --- running the hook ---

def test_exec_runs_the_hook_and_touches_nothing_else(home, test):
    done = test([invoices(home, on_success=[{"sh": f"touch {home.canary}"}]), everything(home)],
                "--exec")
    record, = home.wait_records(1)
    assert record["EVENT"] == "test"
    assert record["RULE"] == "invoices"
    assert (record["ACCOUNT"], record["MAILBOX"]) == ("work", "INBOX")
    assert record.argv[-2:] == [b"--number", b"2026-17"]
    assert record.stdin == INVOICE
    assert expect.outcome("invoices", "ok").replace(r"\b", "")[:11] in done.stderr
    assert not home.canary.exists()


def test_exec_gives_the_attachments_and_the_event_as_files(home, test):
    look = 'cat "$MAILCALL_ATTACHMENTS_DIR"/invoice.pdf | wc -c; cat "$MAILCALL_JSON_FILE"'
    rule = everything(home, run=["sh", "-c", look], attachments="decode")
    lines = test([rule], "--exec").stderr.splitlines()
    said = [line.split("] ", 1)[1] for line in lines if line.startswith("[everything] ")]
    assert said[0].strip() == str(len(PDF))
    event = json.loads("".join(said[1:]))
    assert event["attachments"][0]["path"].endswith("/invoice.pdf")
    assert not os.path.exists(event["attachments"][0]["path"])


@pytest.mark.parametrize("kind", ["message", "headers", "none", "json", "body"])
def test_exec_gives_every_kind_of_standard_input(home, test, kind):
    test([everything(home, stdin=kind)], "--exec")
    record, = home.wait_records(1)
    if kind == "json":
        assert json.loads(record.stdin)["event"] == "test"
    else:
        assert record.stdin == {"message": INVOICE, "headers": header_block(INVOICE), "none": b"",
                                "body": b"Total: 12 EUR\n"}[kind]


@pytest.mark.parametrize("kind", ["message", "headers"])
def test_exec_gives_crlf_where_that_is_wanted(home, test, kind):
    test([everything(home, stdin=kind, stdin_eol="crlf")], "--exec")
    record, = home.wait_records(1)
    whole = INVOICE if kind == "message" else header_block(INVOICE)
    assert record.stdin == whole.replace(b"\n", b"\r\n")


def test_a_hook_that_fails_is_no(home, test):
    done = test([everything(home, env={"RECORD_EXIT": "3", "RECORD_PRINT": "\x1b[2Jhello"})],
                "--exec", status=expect.NO)
    assert "[everything] \\e[2Jhello" in done.stderr
    assert "(exit 3)" in done.stderr


def test_root_is_asked_twice(home):
    if os.geteuid() != 0:
        pytest.skip("we are not root")
    home.configure(ACCOUNTS, [everything(home)], daemon={})
    (home.folder / "m").write_bytes(mail())
    done = call(home, "--exec", home.folder / "m")
    assert done.returncode == expect.CONFIG and "allow_root" in done.stderr
    assert call(home, home.folder / "m").returncode == expect.OK


# --- where messages come from ---

def test_standard_input_with_the_line_of_an_mbox(home, test):
    test([everything(home)])
    text = "From ann@example.org Fri Oct  3 14:02:07 2025\n" + mail().decode()
    done = call(home, "--exec", "-", stdin=text)
    assert done.returncode == expect.OK
    record, = home.wait_records(1)
    assert record.stdin == text.split("\n", 1)[1].encode()


def test_line_ends_are_those_of_a_file(home, test):
    crlf = INVOICE.replace(b"\n", b"\r\n")
    test([invoices(home)], "--exec", messages=[crlf])
    record, = home.wait_records(1)
    assert record.stdin == INVOICE


def test_one_file_that_cannot_be_read_does_not_hide_the_others(home, test):
    test([everything(home)])
    done = call(home, home.folder / "missing", home.folder / "m1.eml")
    assert done.returncode == expect.NO_INPUT
    assert "missing" in done.stderr
    assert "MATCH" in done.stdout


def test_a_mailbox_cannot_be_asked_yet(home, test):
    test([everything(home)])
    done = call(home, "--in", "work/INBOX", "--last", "5")
    assert done.returncode == expect.USAGE and "not supported yet" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["-0", "x"], ["--env", "-0", "--json", "x"],
                                       ["--nothing", "x"]])
def test_wrong_usage(home, arguments):
    home.configure(ACCOUNTS, [everything(home)])
    assert call(home, *arguments).returncode == expect.USAGE


def test_a_bad_configuration(home):
    home.configure_text("rules: 7\n")
    (home.folder / "m").write_bytes(mail())
    assert call(home, home.folder / "m").returncode == expect.CONFIG


# --- hostile ---

def test_a_regex_that_never_ends_is_named_and_does_not_match(home, test):
    evil = everything(home, match={"subject": "^(a+)+$"})
    done = test([evil], "-v", messages=[mail("a" * 5000 + "!")], status=expect.NO)
    assert "subject" in done.stderr
    assert "took too long" in done.stdout


def test_nothing_stays_behind(home, test):
    test([invoices(home), everything(home)], "--exec")
    left = [p for p in (home.folder / "run").rglob("*") if p.is_file() or "spool." in p.name or
            p.name.startswith(".mailcall.")]
    assert left == []


def test_a_stranger_cannot_fill_the_terminal(home, test):
    done = test([everything(home, match={"subject": "(?<all>.*)"})], "-v",
                messages=[mail("x" * 8000)])
    assert max(map(len, done.stdout.splitlines())) < 1000
