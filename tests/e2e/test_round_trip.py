"""From EXISTS to the hook: one client write, one round trip. A scripted server counts."""

import re

from mails import mail
from waiting import wait_for


def start(home, s, **account):
    home.configure({"work": home.scripted_account(s, **account)},
                   [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    wait_for(lambda: s.idling, "the client to idle", alive=program.assert_alive)
    return program


def since(connection, mark):
    return connection.minutes[mark:]


def test_one_write_and_one_round_trip_from_exists_to_hook(home, server):
    s = server()
    program = start(home, s)
    connection = s.last
    for number in range(3):
        wait_for(lambda: s.idling, "the client to idle")
        mark = len(connection.minutes)
        s.deliver(mail(f"mail {number}"))
        home.wait_records(number + 1, program)
        wait_for(lambda: s.idling, "the client to idle again")
        minutes = since(connection, mark)
        assert minutes[0][1].endswith(b" EXISTS\r\n")
        writes = [data for who, data in minutes if who == "C"]
        assert len(writes) == 1, writes
        assert re.fullmatch(
            rb"DONE\r\n(\S+) UID FETCH %d:4294967295 \([^)]*BODY\.PEEK\[\][^)]*\)\r\n(\S+) IDLE\r\n"
            % (number + 1), writes[0]), writes[0]


def test_the_hook_does_not_wait_for_idle_to_be_accepted_again(home, server):
    """The one answer that the hook needs is the FETCH: all else may take as long as it likes."""
    s = server()
    program = start(home, s)
    s.on["IDLE"] = lambda connection, tag, _: setattr(connection, "held", tag)
    s.deliver(mail("urgent"))
    home.wait_records(1, program)
    s.last.call(lambda: s.last.accept_idle(s.last.held))
    del s.on["IDLE"]
    s.deliver(mail("next"))
    home.wait_records(2, program)


def test_the_connection_is_used_on_and_on(home, server):
    s = server()
    program = start(home, s)
    for number in range(5):
        s.deliver(mail(f"mail {number}"))
        home.wait_records(number + 1, program)
    assert len(s.connections) == 1
    assert s.commands("EXAMINE") == 1
    assert s.commands("SELECT") == 0


def test_every_idle_is_the_exact_bytes(home, server):
    """Some servers answer BAD to a blank behind IDLE."""
    s = server()
    program = start(home, s)
    s.deliver(mail())
    home.wait_records(1, program)
    everything = s.everything_read()
    for line in re.findall(rb"[^\n]*\bIDLE[^\n]*\n", everything):
        assert re.fullmatch(rb"[A-Za-z0-9]+ IDLE\r\n", line), line


def test_headers_are_enough_when_no_hook_reads_the_message(home, server):
    s = server()
    home.configure({"work": home.scripted_account(s)},
                   [{"name": "all", "run": home.record(), "stdin": "headers"}])
    program = home.run("work/INBOX")
    s.deliver(mail("headers", body=b"x" * 100_000))
    home.wait_records(1, program)
    fetches = [a for n, a in s.last.commands if n == "UID FETCH"]
    assert fetches and all("BODY.PEEK[HEADER]" in a for a in fetches)
    assert "BODY.PEEK[]" not in " ".join(fetches)


def test_no_command_can_mark_a_mail_as_read(home, server):
    s = server()
    program = start(home, s)
    s.deliver(mail())
    home.wait_records(1, program)
    program.stop()
    everything = s.everything_read()
    assert b"BODY[" not in everything
    for word in (b"SELECT", b"STORE", b"EXPUNGE", b"COPY", b"MOVE", b"APPEND"):
        assert word not in everything


def test_termination_says_good_bye(home, server):
    s = server()
    program = start(home, s)
    program.stop()
    wait_for(lambda: s.last.over, "the connection to end")
    assert s.commands("LOGOUT") == 1


def test_a_renewal_is_the_same_single_write(home, server):
    """It keeps the connection, proves it alive, and finds the mail that was never announced."""
    s = server()
    program = start(home, s, keepalive="1s")
    connection = s.last
    s.deliver(mail("silent"), announce=False)
    [record] = home.wait_records(1, program)
    assert record["SUBJECT"] == "silent"
    wait_for(lambda: sum(who == "C" and data.startswith(b"DONE") for who, data
                         in connection.minutes) >= 3, "three renewals")
    writes = [data for who, data in connection.minutes if who == "C" and b"IDLE" in data]
    for data in writes[1:]:
        assert re.fullmatch(rb"DONE\r\n\S+ UID FETCH [12]:4294967295 \([^)]*\)\r\n\S+ IDLE\r\n",
                            data), data
    assert len(s.connections) == 1
    assert home.count() == 1
