"""Servers that misbehave: nothing stops the program, nothing is missed, nothing is run twice."""

import pytest

import expect
from mails import mail
from scripted import Gone, Mailbox
from waiting import wait_for


def start(home, s, *targets, **account):
    home.configure({"work": home.scripted_account(s, **account)},
                   [{"name": "all", "run": home.record()}])
    return home.run(*(targets or ["work/INBOX"]))


def idle(s, program):
    wait_for(lambda: s.idling, "the client to idle", alive=program.assert_alive)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_lost_connection_is_made_again_and_nothing_is_missed(home, server, how):
    s = server()
    program = start(home, s)
    for number in range(2):
        idle(s, program)
        getattr(s.last, how)()
        s.mailboxes["INBOX"].add(mail(f"meanwhile {number}"))
        home.wait_records(number + 1, program)
    assert [r.uid for r in home.records()] == [1, 2]


def test_bye_while_idle(home, server):
    s = server()
    program = start(home, s)
    idle(s, program)
    last = s.last
    last.call(lambda: last.line("* BYE Session expired, please login again."))
    last.close()
    s.mailboxes["INBOX"].add(mail("meanwhile"))
    home.wait_records(1, program)


@pytest.mark.parametrize("garbage", [
    b"Server Unavailable. 15\r\n* BYE Connection closed.\r\n",
    b"\0\0\0\0\0\0\r\n", b"\xff\xfe\xfd\r\n", b"* \r\n", b"*\r\n", b"\r\n", b"* 4294967296 EXISTS\r\n",
    b"* 99999999999999999999999999 EXISTS\r\n", b"* -1 EXISTS\r\n", b"* OK [\r\n",
    b"* 1 FETCH (UID 1 BODY[] {5}\r\nab", b"* 1 FETCH (((((((((((((\r\n", b"a999 OK what?\r\n",
    b"* 1 FETCH (UID 0 BODY[] {2}\r\nhi)\r\n", b"* LIST () \"/\" \"x\r\n", b"x" * 300_000 + b"\r\n",
    b"* 1 FETCH (UID 7 BODY[] {99999999999999999999}\r\n", b"+ \r\n+ \r\n+ idling\r\n",
], ids=lambda g: repr(g[:40]))
def test_garbage_while_idle(home, server, garbage):
    s = server()
    program = start(home, s)
    idle(s, program)
    last = s.last
    last.call(lambda: last.send(garbage))
    last.close()
    s.deliver(mail("after"))
    [record] = home.wait_records(1, program)
    assert record["SUBJECT"] == "after"


@pytest.mark.parametrize("greeting", [
    b"", b"* BYE too many connections\r\n", b"HTTP/1.0 400 Bad Request\r\n\r\n", b"* NO\r\n",
    b"\0" * 1000, b"220 smtp.example.org ESMTP\r\n", b"x" * 200_000, b"* OK" + b"\r\n" * 10,
], ids=lambda g: repr(g[:30]))
def test_a_wrong_greeting_is_survived(home, server, greeting):
    bad, good = server(), server()
    bad.greeting = greeting

    home.configure({"bad": home.scripted_account(bad), "good": home.scripted_account(good)},
                   [{"name": "all", "run": home.record()}])
    program = home.run("good/INBOX")
    wait_for(lambda: bad.connections, "a connection")
    bad.connections[0].close()
    program.wait_log(r"\bbad/INBOX: ")
    bad.greeting = None
    program.wait_watching("bad/INBOX", seconds=60)


def test_exists_before_idle_is_accepted(home, server):
    """Exchange does so."""
    s = server()
    program = start(home, s)
    idle(s, program)

    def eager(connection, tag, _):
        if s.mailboxes["INBOX"].uidnext == 2:
            s.mailboxes["INBOX"].add(mail("second"))
            connection.tell_exists()
        connection.accept_idle(tag)

    s.on["IDLE"] = eager
    s.deliver(mail("first"))
    home.wait_records(2, program)


def test_no_idle_at_all_is_still_watched(home, server):
    s = server(capabilities="IMAP4rev1 SASL-IR AUTH=PLAIN")
    start(home, s)
    assert s.commands("IDLE") == 0


@pytest.mark.parametrize("refuse", ["no", "bad"])
def test_idle_that_is_offered_but_refused_is_still_watched(home, server, refuse):
    s = server()
    s.on["IDLE"] = lambda c, tag, _: getattr(c, refuse)(tag)
    program = start(home, s)
    program.assert_alive()


def test_a_uid_at_or_below_the_mark_is_dropped(home, server):
    """n:* has the last message in any case, and some servers say more than was asked."""
    s = server()
    for number in range(3):
        s.mailboxes["INBOX"].add(mail(f"old {number}"))

    def everything(connection, tag, arguments):
        connection.tell_news()
        items = arguments.partition(" ")[2]
        for number, uid, message in connection.matching("1:*"):
            connection.send_fetch(number, uid, message, items)
        connection.ok(tag)

    s.on["UID FETCH"] = everything
    program = start(home, s)
    for number in range(3):
        s.deliver(mail(f"new {number}"))
        home.wait_records(number + 1, program)
    assert [r.uid for r in home.records()] == [4, 5, 6]


def test_messages_in_any_order_are_each_run_once(home, server):
    s = server()

    def backwards(connection, tag, arguments):
        connection.tell_news()
        uids, _, items = arguments.partition(" ")
        for number, uid, message in reversed(connection.matching(uids)):
            connection.send_fetch(number, uid, message, items)
        connection.ok(tag)

    s.on["UID FETCH"] = backwards
    program = start(home, s)
    idle(s, program)
    for number in range(1, 6):
        s.mailboxes["INBOX"].add(mail(f"mail {number}"))
    last = s.last
    last.call(last.tell_news)
    records = home.wait_records(5, program)
    assert sorted(r.uid for r in records) == [1, 2, 3, 4, 5]
    s.deliver(mail("mail 6"))
    home.wait_records(6, program)


def test_a_message_cut_off_by_the_end_of_the_connection_is_fetched_again(home, server):
    s = server()
    program = start(home, s)
    idle(s, program)

    def half(connection, tag, arguments):
        del s.on["UID FETCH"]
        connection.send(b"* 1 EXISTS\r\n* 1 FETCH (UID 1 FLAGS () BODY[] {1000}\r\nSubject: ha")
        raise Gone("cut")

    message = mail("whole", body=b"x" * 900 + b"\n")
    s.on["UID FETCH"] = half
    s.deliver(message)
    [record] = home.wait_records(1, program)
    assert record.stdin == message


def test_a_server_that_refuses_the_fetch_is_asked_again(home, server):
    s = server()
    program = start(home, s)
    idle(s, program)

    def refuse(connection, tag, arguments):
        del s.on["UID FETCH"]
        connection.no(tag, "[INUSE] later")

    s.on["UID FETCH"] = refuse
    s.deliver(mail("first"))
    s.deliver(mail("second"))
    home.wait_records(2, program, seconds=30)


def test_hints_of_every_kind_lead_to_the_mail(home, server):
    """EXISTS is usual; RECENT, an untagged FETCH or an EXPUNGE come as well, and none is counted
    with."""
    s = server()
    program = start(home, s)
    hints = ["* 1 RECENT", "* 1 FETCH (FLAGS (\\Seen))\r\n* 2 EXISTS", "* 1 EXPUNGE\r\n* 1 EXISTS",
             "* 0 EXISTS\r\n* 3 EXISTS"]
    for number, hint in enumerate(hints):
        idle(s, program)
        s.mailboxes["INBOX"].add(mail(f"mail {number}"))
        last = s.last
        last.told = len(s.mailboxes["INBOX"].messages)
        last.call(lambda hint=hint: last.line(hint))
        home.wait_records(number + 1, program)


def test_uidnext_that_goes_back_is_a_new_mailbox(home, server):
    s = server()
    for number in range(5):
        s.mailboxes["INBOX"].add(mail(f"old {number}"))
    program = start(home, s)
    idle(s, program)
    fresh = s.mailboxes["INBOX"] = Mailbox(uidvalidity=1700000001)
    fresh.add(mail("lies there"))
    s.last.close()
    program.wait_log(expect.RENUMBERED)
    program.wait_watching("work/INBOX", times=2)
    idle(s, program)
    s.deliver(mail("new"))
    [record] = home.wait_records(1, program)
    assert (record["SUBJECT"], record["UIDVALIDITY"], record.uid) == ("new", "1700000001", 2)


def test_a_server_that_does_not_tell_uidnext(home, server):
    s = server()
    s.mailboxes["INBOX"].add(mail("old"))

    def examine(connection, tag, arguments):
        line = connection.line
        connection.line = lambda text: None if "UIDNEXT" in text else line(text)
        try:
            connection.do_examine(tag, arguments)
        finally:
            del connection.line

    s.on["EXAMINE"] = examine
    program = start(home, s)
    s.deliver(mail("new"))
    [record] = home.wait_records(1, program)
    assert record.uid == 2


def test_an_alert_is_shown_once_and_cannot_write_to_the_terminal(home, server):
    s = server()
    s.greeting = (b"* OK [ALERT] quota \x1b[31mred\x07 \xe2\x80\xae exceeded\r\n"
                  b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN IDLE\r\n")
    program = start(home, s)
    log = program.log_file.read_bytes()
    assert b"\x1b" not in log and b"\x07" not in log and "\u202e".encode() not in log


def test_a_slow_server_is_waited_for(home, server):
    """One byte at a time."""
    s = server()

    def fetch(connection, tag, arguments):
        send = connection.send

        def drip(data):
            for byte in data:
                send(bytes([byte]))

        connection.send = drip
        try:
            connection.do_uid_fetch(tag, arguments)
        finally:
            del connection.send

    program = start(home, s)
    s.on["UID FETCH"] = fetch
    s.deliver(mail("drop by drop"))
    [record] = home.wait_records(1, program)
    assert record["SUBJECT"] == "drop by drop"


def test_a_server_that_falls_silent_is_left(home, server):
    """15 s for the answer to DONE, then the next connection: no mail waits longer than that."""
    s = server()
    program = start(home, s)
    idle(s, program)
    s.on["DONE"] = lambda connection, tag, _: connection.stall()
    s.deliver(mail("unheard"))
    wait_for(lambda: s.commands("DONE") == 1, "DONE", alive=program.assert_alive)
    del s.on["DONE"]
    [record] = home.wait_records(1, program, seconds=60)
    assert record["SUBJECT"] == "unheard"
    assert len(s.connections) == 2


def test_many_mailboxes_of_one_account(home, server):
    s = server()
    names = [f"box{number}" for number in range(20)]
    s.mailboxes = {name: Mailbox() for name in names}
    program = start(home, s, *[f"work/{name}" for name in names], mailboxes=names)
    wait_for(lambda: len(s.idling) == 20, "all to idle", alive=program.assert_alive)
    for name in names:
        s.deliver(mail(name), name)
    records = home.wait_records(20, program)
    assert sorted((r["MAILBOX"], r["SUBJECT"]) for r in records) == sorted(zip(names, names))
