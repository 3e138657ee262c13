"""`mailcall show`: a message for people, and its pieces for hooks."""

import base64
import json
import os
import pty
import re
import stat
import subprocess

import pytest

import expect
import mailcall
from mails import mail

PDF = b"%PDF-1.4\n" + bytes(range(256)) * 40


def part(content: bytes, *fields: str, encode=True) -> bytes:
    head = "\n".join(fields).encode()
    if encode:
        head += b"\nContent-Transfer-Encoding: base64"
        content = base64.encodebytes(content)
    return b"--b\n" + head + b"\n\n" + content + b"\n"


def attached(name: str, content=PDF, kind="application/pdf") -> bytes:
    return part(content, f"Content-Type: {kind}",
                f"Content-Disposition: attachment; filename={name}")


def mixed(*parts: bytes, subject="Invoice 2026-17", **keys) -> bytes:
    text = part("Grüße\n\nTotal:\t12 EUR\n".encode(), "Content-Type: text/plain; charset=utf-8")
    return mail(subject, b"".join([text, *parts, b"--b--\n"]),
                headers=[("MIME-Version", "1.0"),
                         ("Content-Type", "multipart/mixed; boundary=b"),
                         *keys.pop("headers", ())], **keys)


@pytest.fixture
def show(home):
    """Shows a message that lies in a file."""

    def show(message: bytes, *arguments, status=expect.OK, **keys):
        path = home.folder / "message.eml"
        path.write_bytes(message)
        done = home.call("show", *arguments, path, **keys)
        assert done.returncode == status, done.stderr
        return done.stdout

    return show


def on_terminal(home, *arguments) -> bytes:
    """What a person would see."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([mailcall.PROGRAM, *map(str, arguments)], stdout=theirs,
                               stdin=subprocess.DEVNULL, env=home.environment(), cwd=home.folder)
    os.close(theirs)
    seen = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    os.close(ours)
    assert process.wait() == 0
    return seen


# --- for people ---

def test_a_message_reads_well(show):
    out = show(mixed(attached("invoice.pdf")))
    lines = out.splitlines()
    assert lines[:4] == ["From: Ann <ann@example.org>", "To: bob@example.com",
                         "Subject: Invoice 2026-17", "Date: Fri, 3 Oct 2025 14:02:07 +0000"]
    assert lines[4] == ""
    assert lines[5] == "Grüße"
    assert "Total:\t12 EUR" in lines
    assert lines[-1] == "[2] invoice.pdf  application/pdf  10K"


def test_what_is_not_there_leaves_no_line(show):
    assert show(b"Subject: hello\n\n") == "Subject: hello\n"


def test_an_empty_file_is_an_empty_message(show):
    assert show(b"") == ""


def test_a_terminal_sees_nothing_that_moves_or_hides(home):
    path = home.folder / "message.eml"
    path.write_bytes(mail("=?utf-8?q?a=1B=5B2Jb=E2=80=AEc?=",
                          "one\x1b]0;owned\x07\ttwo\u202eeerht\n".encode(),
                          headers=[("Content-Type", "text/plain; charset=utf-8")]))
    seen = on_terminal(home, "show", path)
    assert b"\x1b" not in seen and b"\x07" not in seen
    assert "\u202e".encode() not in seen
    assert b"\ttwo" in seen


def test_a_pipe_gets_the_text_as_it_is(show):
    text = "right \u202eto left\n"
    assert show(mail("x", text.encode(), headers=[("Content-Type", "text/plain; charset=utf-8")]),
                "-t") == text


# --- standard input ---

def test_standard_input_is_read(home):
    text = mail("hello").decode()
    for arguments in ([], ["-"]):
        done = home.call("show", "-H", "subject", *arguments, stdin=text)
        assert (done.returncode, done.stdout) == (expect.OK, "hello\n")


def test_the_line_an_mbox_puts_in_front_is_dropped(home):
    text = "From ann@example.org Fri Oct  3 14:02:07 2025\n" + mail("hello").decode()
    done = home.call("show", "-H", "subject", stdin=text)
    assert (done.returncode, done.stdout) == (expect.OK, "hello\n")


def test_the_first_piece_of_a_pipe_may_be_short(home):
    process = subprocess.Popen([mailcall.PROGRAM, "show", "-H", "subject"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=home.environment())
    for piece in (b"Fr", b"om ann\nSub", b"ject: hello\n", b"\n"):
        process.stdin.write(piece)
        process.stdin.flush()
    out, _ = process.communicate()
    assert out == b"hello\n"


# --- pieces ---

def test_a_header_is_decoded_and_one_line_for_each_instance(show):
    message = mail("=?utf-8?q?Gr=C3=BC=C3=9Fe=0Aaus?= Bonn",
                   headers=[("X-Tag", "one"), ("x-tag", "two\n words")])
    assert show(message, "-H", "SUBJECT") == "Grüße aus Bonn\n"
    assert show(message, "-H", "X-Tag") == "one\ntwo words\n"
    assert show(message, "--header", "subject", "-H", "x-tag").splitlines()[1:] == [
        "one", "two words"]


def test_a_header_that_is_not_there_is_no(show):
    assert show(mail(), "-H", "X-None", status=expect.NO) == ""


def test_the_text_of_html(show):
    out = show(mail("x", b"<p>one<script>no()</script></p><p>two &amp; three</p>",
                    headers=[("Content-Type", "text/html")]), "-t")
    assert [line for line in out.splitlines() if line] == ["one", "two & three"]


def test_every_part_is_listed(show):
    rows = [line.split("\t") for line in show(mixed(attached("invoice.pdf")), "-l").splitlines()]
    assert ["2", "application/pdf", str(len(PDF)), "invoice.pdf"] in rows
    assert any(r[:2] == ["1", "text/plain"] and r[3] == "-" for r in rows)
    assert any(r[1] == "multipart/mixed" for r in rows)


def test_json_tells_of_the_message_alone(show):
    event = json.loads(show(mixed(attached("invoice.pdf"), headers=[("X-Tag", "one")]), "--json"))
    assert event["v"] == 1
    assert event["subject"] == "Invoice 2026-17"
    assert event["from"] == {"name": "Ann", "address": "ann@example.org"}
    assert event["text"].startswith("Grüße\n")
    assert [a["name"] for a in event["attachments"]] == ["invoice.pdf"]
    assert event["headers"]["x-tag"] == ["one"]
    assert not {"rule", "attempt", "event", "event_id", "uid", "match"} & set(event)


# --- extracting ---

def extract(home, show, message, **keys):
    out = show(message, "-x", home.folder / "out", **keys)
    return out.splitlines()


def test_attachments_become_files(home, show):
    paths = extract(home, show, mixed(attached("invoice.pdf"), attached("b.bin", b"x\0y")))
    folder = home.folder / "out"
    assert paths == [str(folder / "invoice.pdf"), str(folder / "b.bin")]
    assert (folder / "invoice.pdf").read_bytes() == PDF
    assert (folder / "b.bin").read_bytes() == b"x\0y"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "b.bin").stat().st_mode) == 0o600
    assert sorted(p.name for p in folder.iterdir()) == ["b.bin", "invoice.pdf"]


def test_no_file_is_overwritten_and_no_link_followed(home, show):
    folder = home.folder / "out"
    folder.mkdir()
    (folder / "invoice.pdf").write_text("mine")
    (folder / "invoice-2.pdf").symlink_to(home.canary)
    paths = extract(home, show, mixed(attached("invoice.pdf")))
    assert (folder / "invoice.pdf").read_text() == "mine"
    assert not home.canary.exists()
    assert paths == [str(folder / "invoice-3.pdf")]
    again = extract(home, show, mixed(attached("invoice.pdf")))
    assert again == [str(folder / "invoice-4.pdf")]


@pytest.mark.parametrize("name", [
    '"../../../../canary"', '"/etc/canary"', '"..\\\\..\\\\canary"', '"..', '"."', '""', '"-rf"',
    '".bashrc"', '"a\x1b[2J.txt"', "=?utf-8?q?=2E=2E=2Fcanary?=",
    "\"" + "x" * 300 + ".pdf\"", '"' + "\N{PILE OF POO}" * 90 + '.pdf"', '"a\tb"'])
def test_names_are_made_safe(home, show, name):
    paths = extract(home, show, mixed(attached(name)))
    assert len(paths) == 1
    found = list((home.folder / "out").iterdir())
    assert [str(p) for p in found] == paths
    assert not found[0].name.startswith((".", "-"))
    assert len(found[0].name.encode()) <= 120
    assert not re.search(r"[\x00-\x1f\x7f/\\]", found[0].name)
    assert found[0].read_bytes() == PDF
    assert not home.canary.exists()


def test_a_message_without_attachments_extracts_nothing(home, show):
    assert extract(home, show, mail()) == []
    assert list((home.folder / "out").iterdir()) == []


def test_a_folder_that_cannot_be_made(home):
    (home.folder / "m").write_bytes(mail())
    done = home.call("show", "-x", home.folder / "no/such/folder", home.folder / "m")
    assert done.returncode == expect.CANNOT_CREATE
    (home.folder / "file").touch()
    done = home.call("show", "-x", home.folder / "file", home.folder / "m")
    assert done.returncode == expect.CANNOT_CREATE


# --- refusals ---

def test_what_cannot_be_read(home):
    for name in ("missing.eml", "."):
        done = home.call("show", name)
        assert done.returncode == expect.NO_INPUT
        assert done.stdout == ""
        assert name in done.stderr


@pytest.mark.parametrize("arguments", [
    ["-t", "-l"], ["-t", "-H", "x"], ["-x"], ["--json", "-x", "d"], ["a", "b"], ["--nothing"],
    ["-x", "", "a"]])
def test_wrong_usage(home, arguments):
    assert home.call("show", *arguments).returncode == expect.USAGE


def test_nothing_stays_behind(home, show):
    show(mixed(attached("invoice.pdf")))
    assert not list((home.folder / "run").rglob("*.eml"))


# --- hostile ---

def nested(kind: str, depth: int) -> bytes:
    if kind == "rfc822":
        return b"Content-Type: message/rfc822\n\n" * depth + b"Subject: deep\n\nend\n"
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i)
                    for i in range(depth)) + b"\nend\n"


@pytest.mark.parametrize("message", [
    mail(b"x" * 1_000_000),
    b"From: " + b"a:" * 500_000 + b"\n\n",
    b"X: y\n" * 100_000 + b"Subject: late\n\n",
    mail("x", nested("rfc822", 20_000), headers=[("Content-Type", "message/rfc822")]),
    nested("multipart", 20_000),
    b"\0" * 100_000,
    bytes(range(256)) * 1000,
    mail("x", b"<b>" * 200_000, headers=[("Content-Type", "text/html")]),
], ids=["subject", "groups", "headers", "rfc822", "multipart", "zeros", "bytes", "tags"])
def test_hostile_messages_are_shown_or_refused(home, message):
    path = home.folder / "message.eml"
    path.write_bytes(message)
    for arguments in ([], ["-l"], ["--json"], ["-x", home.folder / "out"]):
        done = home.call("show", *arguments, path)
        assert done.returncode in (expect.OK, expect.BAD_MESSAGE), done.stderr
        assert "\0" not in done.stdout


# --- dead letters ---

def test_the_message_of_a_job_that_failed(home, user):
    home.configure({"work": home.account(user)}, [{"name": "breaks", "sh": "exit 1"}])
    program = home.run("work/INBOX")
    user.deliver(mixed(attached("invoice.pdf")))
    program.wait_log(expect.outcome("breaks", "fail"))
    event = home.call("failed").stdout.split("\t")[0]
    busy = home.call("show", event)
    assert busy.returncode in (expect.OK, expect.AGAIN)
    program.stop()
    done = home.call("show", "-H", "subject", event)
    assert (done.returncode, done.stdout) == (expect.OK, "Invoice 2026-17\n")
    done = home.call("show", "-x", home.folder / "out", event)
    assert (home.folder / "out/invoice.pdf").read_bytes() == PDF
    assert home.call("failed").stdout.startswith(event)


def test_an_event_that_is_not_there(home):
    done = home.call("show", "a" * 26)
    assert done.returncode == expect.NO_INPUT
    assert not home.state.exists() or not (home.state / "journal.sqlite").exists()
