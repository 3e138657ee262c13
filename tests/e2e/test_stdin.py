"""What a hook reads on stdin is the message as it was delivered, byte for byte."""

import os

import pytest

import mailcall
from mails import header_block, mail

BODIES = {
    "text": b"Hello.\n",
    "nothing": b"",
    "no newline at the end": b"first\nlast",
    "many newlines at the end": b"text\n\n\n\n",
    "a very long line": b"x" * 200_000 + b"\n",
    "a long line of three-byte characters": "の".encode() * 70_000 + b"\n",
    "eight bits": bytes(range(128, 256)) * 10 + b"\n",
    "control bytes": bytes(b for b in range(1, 32) if b not in (10, 13)) + b"\x7f\n",
    "lines of dots": b".\n..\n...\n.hidden\n",
    "a From_ line": b"From ann@example.org Fri Oct  3 14:02:07 2025\n>From here\n",
    "imap words": b"a1 OK done\r\n)\r\n* BYE\r\n+ \r\n{10}\r\n".replace(b"\r", b""),
    "boundaries": b"--x\n\n--x--\n" * 50,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_the_message_arrives_byte_for_byte(home, user, body):
    home.configure({"work": home.account(user)}, [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    message = mail("bytes", body=body)
    user.deliver(message)
    [record] = home.wait_records(1, program)
    assert record.stdin == message
    assert record["SUBJECT"] == "bytes"


ODD_MESSAGES = {
    "no header at all": b"\nonly a body\n",
    "a header only": b"Subject: x\nFrom: a@example.org\n\n",
    "eight bits in the header": b"Subject: caf\xe9 \xff\n\nbody\n",
    "a From_ line on top of the header": b"From ann Fri Oct  3 14:02:07 2025\nSubject: x\n\nbody\n",
    "a colon less line": b"Subject: x\nnot a header\nTo: b@example.org\n\nbody\n",
    "one byte": b"x",
}


@pytest.mark.parametrize("message", ODD_MESSAGES.values(), ids=ODD_MESSAGES.keys())
def test_odd_messages_arrive_too(home, user, message):
    home.configure({"work": home.account(user)}, [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    user.deliver(message)
    [record] = home.wait_records(1, program)
    assert record.stdin == message


def test_each_rule_gets_what_it_asks_for(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "none", "run": home.record(), "stdin": "none"},
        {"name": "headers", "run": home.record(), "stdin": "headers"},
        {"name": "message", "run": home.record(), "stdin": "message"},
    ])
    program = home.run("work/INBOX")
    message = mail("for all", body=b"\nbody\n\nmore\n")
    user.deliver(message)
    none, headers, whole = sorted(home.wait_records(3, program),
                                  key=lambda r: ["none", "headers", "message"].index(r["RULE"]))
    assert none.stdin_is_null and none.stdin == b""
    assert headers.stdin_is_file and headers.stdin == header_block(message)
    assert whole.stdin_is_file and whole.stdin == message
    for r in (headers, whole):
        assert r.stdin_start == 0
        assert not r.stdin_writable


def test_headers_alone_are_fetched_when_nobody_wants_more(home, user):
    home.configure({"work": home.account(user)}, [
        {"name": "headers", "run": home.record(), "stdin": "headers"}])
    program = home.run("work/INBOX")
    message = mail("headers", body=b"the body\n")
    user.deliver(message)
    [record] = home.wait_records(1, program)
    assert record.stdin == header_block(message)
    assert record["FILE"] == ""
    assert record["SIZE"] == str(len(message.replace(b"\n", b"\r\n")))


def test_the_file_is_the_message_too(home, user):
    home.configure({"work": home.account(user)}, [{
        "name": "all", "sh": f'cat "$MAILCALL_FILE" >{home.folder}/copy && ' + home.record_sh()}])
    program = home.run("work/INBOX")
    message = mail("in a file")
    user.deliver(message)
    [record] = home.wait_records(1, program)
    assert (home.folder / "copy").read_bytes() == message
    assert record.stdin == message


def test_twenty_megabytes_pass_through_without_being_held_in_memory(home, user):
    home.configure({"work": home.account(user)}, [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    user.deliver(mail("small"))
    home.wait_records(1, program)
    before = program.memory("VmHWM")
    line = os.urandom(36).hex().encode() + b"\n"
    message = mail("large", body=line * (20 * 1024 * 1024 // len(line)))
    user.deliver(message)
    large = home.wait_records(2, program, seconds=60)[1]
    assert large.stdin == message
    if not mailcall.SANITIZED:
        # far less would do; the point is that it is not the message's size
        assert program.memory("VmHWM") - before < 16 * 1024 * 1024
    user.deliver(mail("after"))
    home.wait_records(3, program)
