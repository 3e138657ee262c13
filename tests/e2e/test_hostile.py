"""Mail is written by strangers. Whatever they write, it stays a value: it reaches no shell, breaks
no line of the environment contract, and the next mail is handled as ever."""

import re

import pytest

import expect
from mails import mail
from waiting import DEADLINE, wait_for


CANARY = b"@CANARY@"


def word(text: bytes, charset="utf-8") -> bytes:
    """An RFC 2047 encoded word around any bytes; Q, so that the canary's name can be put in."""
    encoded = b"".join(b"=%02X" % b for b in text)
    encoded = encoded.replace(b"".join(b"=%02X" % b for b in CANARY), CANARY)
    return b"=?" + charset.encode() + b"?Q?" + encoded + b"?="

# what would leave a canary if any shell ever saw it
SHELL = [
    b'"; touch @CANARY@; "', b"'; touch @CANARY@; '", b"$(touch @CANARY@)", b"`touch @CANARY@`",
    b"; touch @CANARY@ #", b"| touch @CANARY@", b"& touch @CANARY@ &", b"&& touch @CANARY@",
    b"\\$(touch @CANARY@)", b"$((`touch @CANARY@`))", b"${IFS}touch${IFS}@CANARY@",
    b"() { :; }; touch @CANARY@", b"() { x; } ; touch @CANARY@", b">@CANARY@", b"<(touch @CANARY@)",
    b"--help", b"-rf /", b"{from}", b"{{subject}}", b"%s%n%n%n", b"*", b"~", b"$HOME", b"!!",
]

SUBJECTS = {
    **{f"shell {text[:24].decode()}": text for text in SHELL},
    **{f"encoded {text[:24].decode()}": word(text)
       for text in SHELL[:6]},
    "newline in an encoded word": word(b"one\ntouch @CANARY@\nMAILCALL_UID=666\n"),
    "cr lf in an encoded word": word(b"one\r\nX-Injected: yes\r\n\r\nbody"),
    "nul in an encoded word": word(b"before\0touch @CANARY@\0after"),
    "nul in the header": b"before\0after",
    "escape sequences": b"\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "escape sequences encoded": word(b"\x1b]0;title\x07\x1b[2J"),
    "c1 control bytes": word("\u009b31m\u0085next\u0090".encode()),
    "line separators": word("one\u2028two\u2029three".encode()),
    "bidi overrides": word("\u202egnp.exe\u202c \u2066x\u2069".encode()),
    "invalid utf-8": b"caf\xe9 \xff\xfe \xc0\xaf \xed\xa0\x80",
    "invalid utf-8 encoded": word(b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf5\x80\x80\x80"),
    "unknown charset": word(b"hello", "x-no-such-charset"),
    "utf-7": word(b"+ACIAOwB0AG8AdQBjAGg-", "utf-7"),
    "utf-16": word("schön".encode("utf-16"), "utf-16"),
    "broken base64": b"=?utf-8?B?!!!!=?=",
    "an endless encoded word": b"=?utf-8?Q?" + b"=41" * 50_000,
    "ten thousand encoded words": b"\n ".join([word(b"x")] * 10_000),
    "tabs and folds": b"one\n\ttwo\n  \n three",
    "one megabyte": b"x" * 1_000_000,
    "one megabyte of three-byte characters": "の".encode() * 333_333,
    "a header line of two megabytes": b"y z" * 700_000,
    "just under and over the limit": b"a" + "の".encode() * 3000,
    "empty": b"",
    "blanks": b"   \t  ",
}

ADDRESSES = {
    "a:a:a of 200 kB": b"a:" * 100_000,
    "nested comments": b"(" * 100_000,
    "nested angle brackets": b"<" * 100_000,
    "a hundred thousand addresses": b", ".join([b"a@b.c"] * 20_000),
    "a quoted canary": b'"$(touch @CANARY@)" <"$(touch @CANARY@)"@example.org>',
    "an encoded address": word(b"evil@example.org") + b" <good@example.org>",
    "an encoded newline": word(b"Ann\nBcc: x") + b" <ann@example.org>",
    "an open quote": b'"' + b"x" * 100_000,
    "backslashes": b"\\" * 50_000,
    "a group": b"friends: a@example.org, b@example.org;",
    "nothing": b"",
    "shellshock": b'"() { :; }; touch @CANARY@" <ann@example.org>',
    "eight bits": b"J\xfcrgen <j\xfcrgen@example.org>",
}

HEADERS = {
    "ten thousand headers": [(f"X-H{n}", "v" * 20) for n in range(10_000)],
    "ten thousand times the same": [("X-Same", str(n)) for n in range(10_000)],
    "a header name of 100 kB": [(b"X-" + b"n" * 100_000, "value")],
    "duplicates": [("Subject", "the second"), ("From", "eve@example.net"), ("Subject", "third")],
    "a name that would be a variable": [("BASH_FUNC_ls%%", "() { touch @CANARY@; }"),
                                        ("MAILCALL_UID", "666"), ("LD_PRELOAD", "/tmp/x.so")],
    "a folded line of a megabyte": [("X-Folded", b"\n ".join([b"x" * 70] * 14_000))],
    "a message id with everything": [("Message-ID", "<$(touch @CANARY@)@`x`\t;>"),
                                     ("References", "<a> " * 20_000)],
    "list id": [("List-Id", b'"; touch @CANARY@" <$(touch @CANARY@).example.org>')],
    "recipient": [("Delivered-To", b"ann+$(touch @CANARY@)@example.org"),
                  ("Return-Path", b"<`touch @CANARY@`@example.org>")],
    "dates": [("Date", "Fri, 99 Foo 99999 99:99:99 +9999")],
    "mime parameters": [("Content-Type", "multipart/mixed; " + "; ".join(
        f"a*{n}=x" for n in range(20_000)))],
}


def messages():
    for name, subject in SUBJECTS.items():
        yield f"subject: {name}", mail(subject)
    for name, address in ADDRESSES.items():
        yield f"from: {name}", mail("hostile from", sender=address, headers=[("Cc", address)])
    for name, headers in HEADERS.items():
        yield f"headers: {name}", mail("hostile headers", headers=headers)


MESSAGES = dict(messages())


def assert_contract(record):
    """INTERFACE 3.1, for one run."""
    ours = record.ours
    missing = [name for name in expect.FIXED_FIELDS if name not in ours]
    assert not missing
    total = 0
    for name, value in ours.items():
        text = value.decode("utf-8")  # raises if it is not
        assert len(value) <= expect.VALUE_MAX, name
        total += len("MAILCALL_") + len(name) + 1 + len(value) + 1
        assert not re.search("[\0-\x1f\x7f-\x9f\u2028\u2029]", text), (name, text)
        assert text == text.strip(" ") or text.startswith(" () {"), (name, text)
        assert not text.startswith("() {"), (name, text)
    assert total <= expect.TOTAL_MAX
    for name in record.environ:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name), name
        assert not name.startswith(("BASH_FUNC", "LD_")), name
    assert ours["UID"].isdigit() and ours["UID"] != b"666"
    for argument in record.argv:
        argument.decode("utf-8")
        assert b"\n" not in argument


def arm(home, user):
    """A program with two rules for everything: one with placeholders, one through a shell."""
    home.configure({"work": home.account(user)}, [
        {"name": "argv", "match": {"subject": "(?<all>.*)"}, "stdin": "headers",
         "run": home.record("{subject}", "--from={from_name}", "{from}", "{match_all}",
                            "{message_id}", "{list_id}", "{recipient}", "{extension}", "{cc}")},
        {"name": "shell", "stdin": "message", "sh": home.record_sh(
            '"$MAILCALL_SUBJECT" "$MAILCALL_FROM_NAME" "$MAILCALL_FROM" "$MAILCALL_MESSAGE_ID"')},
    ])
    return home.run("work/INBOX")


class Aftermath:
    """Every hostile mail was delivered to one program, and a normal one behind them."""

    def __init__(self, home, user):
        self.home, self.user = home, user
        self.program = arm(home, user)
        for message in [*MESSAGES.values(), mail("a normal mail")]:
            user.deliver(self.final(message))
        runs = 2 * (len(MESSAGES) + 1)
        wait_for(lambda: home.count() >= runs or self.program.process.poll() is not None,
                 f"{runs} hook runs", 8 * DEADLINE, otherwise=lambda: None)
        self.records = home.records()
        whole = {r.stdin: r.uid for r in self.records if r["RULE"] == "shell"}
        # IMAP cannot carry NUL: Dovecot sends 0x80 for it
        uids = {name: whole.get(self.final(message).replace(b"\0", b"\x80"))
                for name, message in MESSAGES.items()}
        self.of = {name: [r for r in self.records if r.uid == uid] for name, uid in uids.items()}

    def final(self, message: bytes) -> bytes:
        return message.replace(CANARY, bytes(self.home.canary))


@pytest.fixture(scope="module")
def aftermath(certs, dovecot_of_session, home_of_module):
    return Aftermath(home_of_module, dovecot_of_session.new_user())


@pytest.mark.parametrize("name", MESSAGES)
def test_a_hostile_mail_is_a_mail(aftermath, request, name):
    request.node.home = aftermath.home
    records = {r["RULE"]: r for r in aftermath.of[name]}
    assert set(records) == {"argv", "shell"} and len(aftermath.of[name]) == 2
    for record in records.values():
        assert_contract(record)
        assert record.argv[0].decode() == record["SUBJECT"]
    assert records["argv"].argv[1].decode() == "--from=" + records["argv"]["FROM_NAME"]
    # a shell hands on what it was given, word for word
    assert records["shell"].argv[1].decode() == records["shell"]["FROM_NAME"]


def test_after_all_hostile_mails_the_program_is_well(aftermath, request):
    request.node.home = aftermath.home
    home, program = aftermath.home, aftermath.program
    program.assert_alive()
    assert not home.canary.exists()
    assert [p.name for p in home.folder.iterdir() if "canary" in p.name] == []
    assert [r["RULE"] for r in aftermath.records if r["SUBJECT"] == "a normal mail"
            ] == ["argv", "shell"]
    # the log is text for a terminal, too
    assert not re.search(rb"[\0-\x08\x0b-\x1f\x7f]", program.log_file.read_bytes())
    assert not re.search("[\x80-\x9f\u202a-\u202e\u2066-\u2069]", program.log)
    before = home.count()
    aftermath.user.deliver(mail("another normal mail"))
    home.wait_records(before + 2, program)


@pytest.fixture
def armed(home, user):
    return arm(home, user)


def deliver_armed(home, user, message: bytes):
    user.deliver(message.replace(CANARY, bytes(home.canary)))


def one(home, user, program, message: bytes, rule="argv"):
    deliver_armed(home, user, message)
    return [r for r in home.wait_records(2, program) if r["RULE"] == rule][0]


def test_what_a_decoded_subject_looks_like(home, user, armed):
    record = one(home, user, armed, mail(word(b"one\ntwo\r\n\tthree\0four")))
    assert re.fullmatch(r"one two +three four", record["SUBJECT"])


def test_shellshock_gets_a_blank(home, user, armed):
    record = one(home, user, armed, mail(b"() { :; }; touch @CANARY@"))
    assert record.ours["SUBJECT"].startswith(b" () { :; };")


def test_adjacent_words_of_one_character_are_joined(home, user, armed):
    text = "日本語の件名".encode()
    record = one(home, user, armed, mail(b"%s\n %s" % (word(text[:4]), word(text[4:]))))
    assert record["SUBJECT"] == "日本語の件名"


def test_a_cut_value_is_named_and_ends_between_characters(home, user, armed):
    record = one(home, user, armed, mail("の" * 5000, sender="Ann <ann@example.org>"))
    assert "SUBJECT" in re.split(r"[ ,]+", record["TRUNCATED"])
    assert set(record["SUBJECT"]) == {"の"}
    assert expect.VALUE_MAX - 3 < len(record.ours["SUBJECT"]) <= expect.VALUE_MAX
    assert record["FROM"] == "ann@example.org"


def test_an_address_is_never_taken_from_an_encoded_word(home, user, armed):
    record = one(home, user, armed, mail(sender=word(b"<evil@example.net>") + b" <ok@example.org>"))
    assert record["FROM"] == "ok@example.org"


def test_a_name_never_comes_from_a_mail(home, user, armed):
    record = one(home, user, armed, mail(headers=HEADERS["a name that would be a variable"]))
    assert record.uid == 1
    known = set(expect.FIXED_FIELDS) | {"MATCH_ALL"} | set(expect.CONDITIONAL_FIELDS)
    assert set(record.ours) <= known


def test_a_pattern_that_runs_away_does_not_stop_the_program(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "runaway", "match": {"subject": "(a+)+$"}, "run": home.record()},
        {"name": "under not", "match": {"not": {"subject": "(a|aa)+$"}}, "run": home.record()},
        {"name": "all", "run": home.record()},
    ])
    program = home.run("work/INBOX")
    user.deliver(mail("a" * 4000 + "!"))
    user.deliver(mail("after"))
    records = home.wait_records(3, program, seconds=4 * DEADLINE)
    assert [(r.uid, r["RULE"]) for r in records if r["RULE"] == "all"] == [(1, "all"), (2, "all")]
    assert [(r.uid, r["RULE"]) for r in records if r["RULE"] != "all"] == [(2, "under not")]


@pytest.mark.parametrize("string", [
    "echo {subject}", 'echo "{from}"', "{match_x}", "x{from_name}y"])
def test_a_placeholder_in_a_shell_string_is_an_error(home, user, string):
    home.configure({"work": home.account(user)}, [
        {"name": "bad", "match": {"subject": "(?<x>.)"}, "sh": string}])
    done = home.call("check", home.config_file)
    assert done.returncode == expect.CONFIG
    assert "$MAILCALL_" in done.stderr


def test_the_output_of_a_hook_cannot_write_to_the_terminal(home, user):
    home.configure({"work": home.account(user)}, [{
        "name": "loud", "run": home.record(), "env": {
            "RECORD_PRINT": r"one\nt\x1b[2Jwo\nthree\x07\x00\x9b31m\r\nlast without newline"}}])
    program = home.run("work/INBOX")
    user.deliver(mail())
    home.wait_records(1, program)
    program.wait_log(expect.outcome("loud", "ok"))
    raw = program.log_file.read_bytes()
    assert not re.search(rb"[\0-\x08\x0b-\x1f\x7f]", raw)
    lines = program.lines(expect.hook_line("loud"))
    assert len(lines) == 4, lines
    assert lines[0].endswith("one") and lines[3].endswith("last without newline")
    assert "[2J" in lines[1]
