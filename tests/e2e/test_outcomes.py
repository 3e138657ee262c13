"""How a hook may end, and what follows: the table of INTERFACE 4. One program with a rule for every
way of ending; each test looks at its own."""

import os
import re
import signal
from types import SimpleNamespace

import pytest

import expect
import mailcall
from mails import mail
from waiting import DEADLINE, wait_for

RETRY = {"attempts": 3, "backoff": "1s", "max_backoff": "1s"}
ONCE_MORE = {**RETRY, "attempts": 2}
BIG = b"A line of a mail that nobody wants to read, again and again and again.\n" * 700000

# the shell's words for each way, after the run was noted; what else the rule says
WAYS = {
    "ok": ("exit 0", {}),
    "fail": ("echo sorry; exit 1", {}),
    "later": ("exit 75", {}),
    "last": ("exit 99", {}),
    "qmail": ("exit 111", {}),
    "denied": ("exit 126", {}),
    "unknown": ("exit 127", {}),
    "nothing": ("/nowhere/is/no/program", {}),
    "slow": ("exec sleep 1000", {"timeout": "2s", "retry": ONCE_MORE, "concurrency": 2}),
    "deaf": ("trap '' TERM; while :; do sleep 0.2; done",
             {"timeout": "2s", "kill_after": "500ms", "retry": ONCE_MORE, "concurrency": 2}),
    "crash": ("kill -SEGV $$", {}),
    "parent": ("sleep 1000 & echo $! >$NOTES/child; exit 0", {}),
    "unread": ("exit 0", {"stdin": "message"}),
    "flaky": ("[ $MAILCALL_ATTEMPT -gt 1 ] || exit 75", {}),
    "single": ("exit 75", {"retry": "none"}),
    "any": ("exit 3", {"retry": {**RETRY, "codes": "any"}}),
    "own": ("exit 7", {"retry": {**RETRY, "codes": [7, 8]}}),
    "other": ("exit 75", {"retry": {**RETRY, "codes": [7, 8]}}),
}
NEVER_START = ("vanished", "unusable", "orphan")  # programs that are no more when the mail comes

# rule: runs of one mail, result in `failed` or None for a success
TABLE = {
    "ok": (1, None), "fail": (1, "fail"), "later": (3, "fail"), "last": (1, None),
    "qmail": (3, "fail"), "denied": (3, "fail"), "unknown": (3, "fail"), "nothing": (3, "fail"),
    "slow": (2, "timeout"), "deaf": (2, "timeout"), "crash": (3, "signal"), "parent": (1, None),
    "unread": (1, None), "flaky": (2, None), "single": (1, "fail"), "any": (3, "fail"),
    "own": (3, "fail"), "other": (1, "fail"),
    "vanished": (0, "spawn"), "unusable": (0, "spawn"), "orphan": (0, "spawn"),
}
STATUS = {"fail": 1, "later": 75, "qmail": 111, "denied": 126, "unknown": 127, "nothing": 127,
          "single": 75, "any": 3, "own": 7, "other": 75}


def write_program(path, text: str):
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def make_rules(home, notes) -> list:
    note = (f"printf '%s\\n' \"$MAILCALL_RULE $MAILCALL_UID $MAILCALL_ATTEMPT $MAILCALL_EVENT "
            f"$MAILCALL_EVENT_ID\" >>{notes}/runs\n")
    rules = []
    for name, (words, more) in WAYS.items():
        program = write_program(home.folder / f"{name}.sh", f"#!/bin/sh\n{note}{words}\n")
        rules.append({"name": name, "match": {"subject": f"^{name}$"}, "run": [program],
                      "env": {"NOTES": str(notes)}, "stdin": "none", "retry": RETRY, **more})
    for name in NEVER_START:
        program = write_program(home.folder / f"{name}.sh", f"#!{home.folder}/interpreter\n")
        rules.append({"name": name, "match": {"subject": f"^{name}$"}, "run": [program],
                      "retry": RETRY, "stdin": "none"})
    write_program(home.folder / "interpreter", "#!/bin/sh\n")
    rules.append({"name": "after", "stdin": "none", "sh": note})
    return rules


def subjects() -> list:
    return [*WAYS, *NEVER_START]


class Runs:
    """The lines that the hooks leave: rule, uid, attempt, event, event id."""

    def __init__(self, file):
        self.file = file

    def all(self) -> list:
        if not self.file.exists():
            return []
        return [SimpleNamespace(rule=r, uid=int(u), attempt=int(a), event=e, id=i)
                for r, u, a, e, i in map(str.split, self.file.read_text().splitlines())]

    def of(self, rule: str, uid: int = None) -> list:
        return [r for r in self.all() if r.rule == rule and uid in (None, r.uid)]

    def count(self, rule: str) -> int:
        return len(self.of(rule))


@pytest.fixture(scope="module")
def outcomes(home_of_module, dovecot_of_session):
    """Two mails for every rule, all of it over and done with."""
    home, user = home_of_module, dovecot_of_session.new_user()
    notes = home.folder / "notes"
    notes.mkdir()
    home.configure({"work": home.account(user)}, make_rules(home, notes),
                   daemon={"allow_root": True, "max_hooks": 40})
    runs = Runs(notes / "runs")
    program = home.run("work/INBOX")
    (home.folder / "vanished.sh").unlink()
    (home.folder / "unusable.sh").chmod(0o644)
    (home.folder / "interpreter").unlink()
    # of "later" both before any time of another attempt has come
    mails = sorted([*subjects(), *subjects()], key=lambda subject: subject != "later")
    for subject in mails:
        user.deliver(mail(subject, body=BIG if subject == "unread" else b"Hello.\n"))
    told = SimpleNamespace(home=home, user=user, program=program, runs=runs, notes=notes,
                           failures=2 * sum(result is not None for _, result in TABLE.values()))

    def is_over():
        return all(runs.count(rule) >= 2 * n for rule, (n, _) in TABLE.items()) and \
            len(failed(told)) >= told.failures

    wait_for(is_over, "every outcome", 4 * DEADLINE, alive=program.assert_alive)
    told.uids = {s: [uid for uid, other in enumerate(mails, 1) if other == s] for s in mails}
    yield told
    child = notes / "child"
    if child.exists():
        os.kill(int(child.read_text()), signal.SIGKILL)


def failed(outcomes) -> list:
    done = outcomes.home.call("failed", "-c", outcomes.home.config_file)
    assert (done.returncode, done.stderr) == (expect.OK, "")
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", TABLE)
def test_it_runs_as_often_as_the_table_says(outcomes, name):
    runs, _ = TABLE[name]
    for uid in outcomes.uids[name]:
        several = outcomes.runs.of(name, uid)
        assert [r.attempt for r in several] == list(range(1, runs + 1))
        assert [r.event for r in several] == ["new", *["retry"] * (runs - 1)][:runs]
        assert len({r.id for r in several}) == min(runs, 1)
        assert all(re.fullmatch(expect.EVENT_ID, r.id) for r in several)


@pytest.mark.parametrize("name", TABLE)
def test_later_rules_go_on_unless_it_says_99(outcomes, name):
    for uid in outcomes.uids[name]:
        assert len(outcomes.runs.of("after", uid)) == (name != "last")


@pytest.mark.parametrize("name", TABLE)
def test_what_failed_for_good_is_listed_and_nothing_else(outcomes, name):
    runs, result = TABLE[name]
    lines = [line for line in failed(outcomes) if line[2] == name]
    if result is None:
        assert lines == []
        return
    first, second = outcomes.uids[name]
    attempts = str(runs or RETRY["attempts"])
    assert sorted(line[3:] for line in lines) == sorted(
        [f"work/INBOX:{uid}", result, attempts, name] for uid in (first, second))
    for event, when, _, target, *_ in lines:
        assert re.fullmatch(expect.EVENT_ID, event)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", when)
        uid = int(target.rpartition(":")[2])
        assert {r.id for r in outcomes.runs.of(name, uid)} <= {event}


def test_a_retry_lets_the_next_mail_pass(outcomes):
    """Of two mails for a rule with concurrency 1, both were tried before one was tried again."""
    tried = [(r.uid, r.attempt) for r in outcomes.runs.of("later")]
    first, second = outcomes.uids["later"]
    assert tried.index((second, 1)) < tried.index((first, 3))


@pytest.mark.parametrize("name", TABLE)
def test_every_run_is_a_line_that_says_how_it_ended(outcomes, name):
    """One for each attempt, and only the last word is final."""
    runs, result = TABLE[name]
    attempts = runs or RETRY["attempts"]
    lines = outcomes.program.lines(
        rf"\b{name} (ok|again|fail|timeout|signal|spawn) \d.* work/INBOX:")
    assert len(lines) == 2 * attempts, lines
    good = outcomes.program.lines(expect.outcome(name, "ok"))
    assert len(good) == (0 if result else 2)
    if name in STATUS:
        assert all(f"exit {STATUS[name]}" in line for line in lines)
    if result in ("timeout", "signal", "spawn"):
        assert outcomes.program.lines(expect.outcome(name, result)) == lines


def test_who_was_deaf_is_no_more(outcomes):
    program = str(outcomes.home.folder / "deaf.sh").encode()
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as f:
                assert program not in f.read()
        except OSError:
            continue


def test_the_output_of_a_failed_hook_is_kept(outcomes):
    event = next(line[0] for line in failed(outcomes) if line[2] == "fail")
    done = outcomes.home.call("failed", "-c", outcomes.home.config_file, event)
    assert done.returncode == expect.OK
    first, *output = done.stdout.splitlines()
    assert first.split("\t")[0] == event
    assert [line.strip() for line in output if line.strip()] == ["sorry"]


def test_quiet_failed_tells_by_its_exit_status(outcomes):
    done = outcomes.home.call("failed", "-q", "-c", outcomes.home.config_file)
    assert done.returncode == expect.NO


def test_a_big_mail_that_is_not_read_is_run_all_the_same(outcomes):
    assert len(BIG) > 45e6 or mailcall.SANITIZED
    assert outcomes.runs.count("unread") == 2


def test_it_ends_well_after_all_this(outcomes):
    """The last of these tests: what failed is still known when no daemon runs, and to the next."""
    outcomes.program.stop()
    assert len(failed(outcomes)) == outcomes.failures
    before = len(outcomes.runs.all())
    done = outcomes.home.call("run", "--once", "-c", outcomes.home.config_file, seconds=60)
    assert done.returncode == expect.OK, done.stderr
    assert len(outcomes.runs.all()) == before
    assert len(failed(outcomes)) == outcomes.failures
