"""Mail arrives at a real server; the hook runs once for each message, whatever happens."""

import re
import signal

import expect
from mails import mail
from waiting import wait_for


def rule_for_all(home, **keys):
    return {"name": "all", "run": home.record(), **keys}


def test_several_accounts_and_mailboxes_at_once(home, dovecot):
    ann, bob = dovecot.new_user(), dovecot.new_user()
    boxes = {"ann": (ann, ["INBOX", "Lists/dev", "Ünïcode & Co"]), "bob": (bob, ["INBOX", "Print"])}
    for user, names in boxes.values():
        for name in names[1:]:
            user.create(name)
    home.configure({name: home.account(user, *names) for name, (user, names) in boxes.items()},
                   [rule_for_all(home)])
    targets = [f"{name}/{box}" for name, (_, names) in boxes.items() for box in names]
    program = home.run(*targets)
    for name, (user, names) in boxes.items():
        for box in names:
            user.deliver(mail(f"for {name} in {box}"), box)

    records = home.wait_records(len(targets), program)
    assert {f"{r['ACCOUNT']}/{r['MAILBOX']}" for r in records} == set(targets)
    for r in records:
        assert r["SUBJECT"] == f"for {r['ACCOUNT']} in {r['MAILBOX']}"
    assert len({r["EVENT_ID"] for r in records}) == len(targets)


def test_rules_see_only_the_mailboxes_they_name(home, user):
    user.create("Lists/dev")
    user.create("Lists/ops")
    home.configure(
        {"work": home.account(user, "INBOX", "Lists/dev", "Lists/ops")},
        [
            rule_for_all(home, name="inbox", **{"in": "work/INBOX"}),
            rule_for_all(home, name="lists", **{"in": ["work/Lists/*"]}),
        ])
    program = home.run("work/INBOX", "work/Lists/dev", "work/Lists/ops")
    for box in ("INBOX", "Lists/dev", "Lists/ops"):
        user.deliver(mail(box), box)
    records = home.wait_records(3, program)
    assert {(r["RULE"], r["MAILBOX"]) for r in records} == {
        ("inbox", "INBOX"), ("lists", "Lists/dev"), ("lists", "Lists/ops")}


def test_mail_that_was_there_before_is_not_new(home, user):
    for number in range(3):
        user.deliver(mail(f"old {number}"))
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    user.deliver(mail("new"))
    [record] = home.wait_records(1, program)
    assert record["SUBJECT"] == "new"
    assert record.uid == 4


def test_only_matching_mail_runs_the_hook(home, user):
    home.configure({"work": home.account(user)}, [{
        "name": "invoices",
        "match": {"subject": r"invoice (?<number>\d[\d-]+)", "from": {"domain": "example.org"}},
        "run": home.record("--number", "{match_number}"),
    }])
    program = home.run("work/INBOX")
    user.deliver(mail("lunch"))
    user.deliver(mail("Invoice 2026-16", sender="eve@example.net"))
    user.deliver(mail("Your INVOICE 2026-17 is here"))
    [record] = home.wait_records(1, program)
    assert record.argv == [b"--number", b"2026-17"]
    assert record["MATCH_NUMBER"] == "2026-17"
    assert record["MATCH"]
    assert record.uid == 3


def test_a_burst_of_200_gives_200_runs_each_with_its_own_message(home, user):
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    for number in range(200):
        user.deliver(mail(f"mail {number:03d}", body=b"body %d\n" % number))
    records = home.wait_records(200, program, seconds=120)
    assert sorted(r["SUBJECT"] for r in records) == [f"mail {n:03d}" for n in range(200)]
    assert sorted(r.uid for r in records) == list(range(1, 201))
    for r in records:
        assert r.stdin.endswith(b"body %d\n" % int(r["SUBJECT"][5:]))
    # and nothing is repeated when the next one comes
    user.deliver(mail("one more"))
    home.wait_records(201, program)


def test_one_rule_takes_the_mails_of_a_mailbox_in_order(home, user):
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    for number in range(20):
        user.deliver(mail(f"mail {number}"))
    records = home.wait_records(20, program)
    assert [r.uid for r in records] == sorted(r.uid for r in records)


def test_expunges_between_arrivals_neither_miss_nor_repeat_a_run(home, user):
    for number in range(5):
        user.deliver(mail(f"old {number}"))
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    expected = 0
    for round in range(4):
        user.deliver(mail(f"first {round}"))
        expected += 1
        home.wait_records(expected, program)
        uids = user.uids()
        # as many go as come: EXISTS tells nothing then
        user.expunge(",".join(map(str, uids[:2])))
        user.deliver(mail(f"second {round}"))
        user.deliver(mail(f"third {round}"))
        expected += 2
        home.wait_records(expected, program)
    records = home.records()
    assert len({r.uid for r in records}) == expected
    assert {r["SUBJECT"] for r in records} == {
        f"{word} {round}" for round in range(4) for word in ("first", "second", "third")}


def test_emptying_the_mailbox_does_not_confuse(home, user):
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    for round in range(3):
        user.deliver(mail(f"mail {round}"))
        home.wait_records(round + 1, program)
        user.expunge("1:*")


def test_flag_changes_between_arrivals_neither_miss_nor_repeat_a_run(home, user):
    user.deliver(mail("old"))
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    for round in range(4):
        user.flag("1:*", r"\Seen \Flagged Keyword")
        user.deliver(mail(f"mail {round}"))
        user.flag("1:*", r"\Seen", how="-FLAGS")
        home.wait_records(round + 1, program)
    assert len({r.uid for r in home.records()}) == 4


def test_the_mailbox_is_left_as_it_was(home, user):
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    user.deliver(mail("new"))
    home.wait_records(1, program)
    assert rb"\Seen" not in user.flags(1)
    assert user.uids() == [1]


def test_a_mail_appended_with_flags_is_new_too(home, user):
    home.configure({"work": home.account(user)}, [
        rule_for_all(home, match={"flag": "seen"}),
        rule_for_all(home, name="unseen", match={"flag": "!seen"}),
    ])
    program = home.run("work/INBOX")
    with user.imap() as imap:
        imap.append("INBOX", r"(\Seen MyLabel)", None, mail("seen").replace(b"\n", b"\r\n"))
    user.deliver(mail("not seen"))
    records = {r["SUBJECT"]: r for r in home.wait_records(2, program)}
    assert records["seen"]["RULE"] == "all"
    assert set(records["seen"]["FLAGS"].split()) - {r"\Recent"} == {r"\Seen", "MyLabel"}
    assert records["not seen"]["RULE"] == "unseen"


def _lose_and_return(home, server, how):
    """Mail that arrives while the server is away is handled once, when it is back."""
    ann, bob = server.new_user(), server.new_user()
    ann.create("Lists")
    home.configure({"ann": home.account(ann, "INBOX", "Lists"), "bob": home.account(bob)},
                   [rule_for_all(home)])
    targets = ["ann/INBOX", "ann/Lists", "bob/INBOX"]
    program = home.run(*targets)
    ann.deliver(mail("before"))
    home.wait_records(1, program)
    how(server)
    ann.deliver(mail("meanwhile 1"))
    ann.deliver(mail("meanwhile 2"), "Lists")
    bob.deliver(mail("meanwhile 3"))
    server.restart()
    for target in targets:
        program.wait_watching(target, times=2, seconds=60)
    home.wait_records(4, program)
    ann.deliver(mail("after"))
    records = home.wait_records(5, program)
    assert sorted(r["SUBJECT"] for r in records) == [
        "after", "before", "meanwhile 1", "meanwhile 2", "meanwhile 3"]


def test_a_server_restarted_while_idle_loses_nothing(home, own_dovecot):
    _lose_and_return(home, own_dovecot, lambda server: server.stop())


def test_a_server_killed_while_idle_loses_nothing(home, own_dovecot):
    _lose_and_return(home, own_dovecot, lambda server: server.kill())


def test_a_server_that_is_away_at_the_start_is_waited_for(home, own_dovecot):
    user = own_dovecot.new_user()
    own_dovecot.stop()
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    program = home.start("run", "-c", home.config_file)
    program.wait_log(r"work.*(refused|connect|reach)")
    own_dovecot.restart()
    program.wait_watching("work/INBOX", seconds=60)
    user.deliver(mail())
    home.wait_records(1, program)


def test_a_mailbox_made_anew_under_its_name_brings_what_is_new(home, own_dovecot):
    user = own_dovecot.new_user()
    user.create("Print")
    home.configure({"work": home.account(user, "Print")}, [rule_for_all(home)])
    program = home.run("work/Print")
    user.deliver(mail("one"), "Print")
    home.wait_records(1, program)
    own_dovecot.stop()
    folder = user.home / "Maildir" / ".Print"
    folder.rename(user.home / "Maildir" / ".Was")
    user.create("Print")
    user.deliver(mail("in the new one"), "Print")
    own_dovecot.restart()
    program.wait_log(expect.RENUMBERED, seconds=60)
    program.wait_watching("work/Print", times=2)
    user.deliver(mail("after"), "Print")
    records = home.wait_records(3, program)
    assert [r["SUBJECT"] for r in records] == ["one", "in the new one", "after"]
    assert records[0]["UIDVALIDITY"] != records[1]["UIDVALIDITY"] == records[2]["UIDVALIDITY"]


def test_a_mailbox_that_is_not_there_disturbs_nobody(home, user):
    home.configure({"work": home.account(user, "INBOX", "Nowhere")}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    program.wait_log(rf"work/Nowhere.*({expect.NO_MAILBOX})")
    user.deliver(mail())
    home.wait_records(1, program)


def test_a_wrong_password_disturbs_no_other_account(home, dovecot):
    ann, bob = dovecot.new_user(), dovecot.new_user()
    ann.create("Second")
    home.configure(
        {"ann": home.account(ann, "INBOX", "Second", password="not the password"),
         "bob": home.account(bob)},
        [rule_for_all(home)])
    program = home.run("bob/INBOX")
    program.wait_log(rf"\bann\b.*({expect.LOGIN_REFUSED})")
    ann.deliver(mail("for ann"))
    for number in range(5):
        bob.deliver(mail(f"mail {number}"))
        home.wait_records(number + 1, program)
    assert len(program.lines(rf"\bann\b.*({expect.LOGIN_REFUSED})")) == 1
    assert "not the password" not in program.log
    assert {r["ACCOUNT"] for r in home.records()} == {"bob"}


def test_starttls_to_dovecot(home, user):
    home.configure({"work": home.account(user, port=user.server.plain_port, tls="starttls")},
                   [rule_for_all(home)])
    program = home.run("work/INBOX")
    user.deliver(mail("over starttls"))
    [record] = home.wait_records(1, program)
    assert record["SUBJECT"] == "over starttls"
    assert re.search(rf"Login: user=<{user.name}>.*TLS", user.server.log())


def test_plain_text_over_loopback(home, user):
    home.configure(
        {"work": home.account(user, port=user.server.plain_port, tls="none", tls_ca_file=None)},
        [rule_for_all(home)])
    program = home.run("work/INBOX")
    user.deliver(mail())
    home.wait_records(1, program)


def test_an_account_given_as_a_url(home, user):
    account = {"url": f"imaps://{user.name}@localhost:{user.server.tls_port}",
               "tls_ca_file": str(home.certs.ca_file),
               "password_command": ["printf", "%s\\nsecond line\\n", user.password]}
    home.configure({"work": account}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    user.deliver(mail())
    [record] = home.wait_records(1, program)
    assert record["URL"] == (
        f"imaps://{user.name}@localhost:{user.server.tls_port}/INBOX"
        f";UIDVALIDITY={record['UIDVALIDITY']}/;UID=1")


def test_usr1_looks_at_once(home, server):
    """A server that has no IDLE is asked every few minutes; the signal does not wait for that."""
    s = server(capabilities="IMAP4rev1 SASL-IR AUTH=PLAIN")
    home.configure({"work": home.scripted_account(s)}, [rule_for_all(home)])
    program = home.run("work/INBOX")
    s.deliver(mail("hello"))
    program.signal(signal.SIGUSR1)
    home.wait_records(1, program)


def test_an_event_id_is_a_name_that_no_two_messages_share(home, user):
    home.configure({"work": home.account(user)}, [rule_for_all(home)])
    first = home.run("work/INBOX")
    user.deliver(mail())
    [one] = home.wait_records(1, first)
    first.stop()
    second = home.run("work/INBOX")
    user.deliver(mail())
    _, two = home.wait_records(2, second)
    assert re.fullmatch(expect.EVENT_ID, one["EVENT_ID"])
    assert one["EVENT_ID"] != two["EVENT_ID"]


def test_the_spool_is_private_and_empty_afterwards(home, user):
    gate = home.folder / "gate"
    home.configure({"work": home.account(user)}, [
        rule_for_all(home, env={"RECORD_GATE": str(gate)})])
    program = home.run("work/INBOX")
    user.deliver(mail("secret plans"))
    [record] = home.wait_records(1, program)
    files = [p for p in home.state.rglob("*") if p.is_file()]
    assert files
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
    gate.touch()
    program.wait_log(expect.outcome("all", "ok"))
    wait_for(lambda: not list(home.state.rglob("spool/*")),
             "the spool to be empty", alive=program.assert_alive)
