"""When hooks run, in what order, and how many together; and bursts that become one run. What the
clock has to do with it is shown by the queue's own tests; here each manner once, end to end."""

import json
import signal

import pytest

import expect
from mails import mail
from waiting import DEADLINE, wait_for

LONG = {"debounce": "1h", "max_delay": "1h"}


class Scene:
    """A scripted server and a mailcall with these rules; mail comes when the test says so."""

    def __init__(self, home, server):
        self.home, self.server = home, server
        self.program = None

    def start(self, *rules, env=None, **daemon):
        self.home.configure({"work": self.home.scripted_account(self.server)}, list(rules),
                            daemon={"allow_root": True, **daemon})
        self.restart(env)

    def restart(self, env=None):
        self.program = self.home.run("work/INBOX", env=env)
        wait_for(lambda: self.server.idling, "the client to idle", alive=self.program.assert_alive)

    def deliver(self, *subjects: str):
        """All of them in one announcement."""
        for subject in subjects[:-1]:
            self.server.deliver(mail(subject), announce=False)
        return self.server.deliver(mail(subjects[-1]))

    def kill(self):
        self.program.kill()
        self.home.programs.remove(self.program)

    def records(self, n: int) -> list:
        return self.home.wait_records(n, self.program)

    def of(self, rule: str) -> list:
        return [r for r in self.home.records() if r["RULE"] == rule]

    def wait_of(self, rule: str, n: int) -> list:
        wait_for(lambda: len(self.of(rule)) >= n, f"{n} runs of {rule}",
                 alive=self.program.assert_alive)
        assert len(self.of(rule)) == n
        return self.of(rule)

    def run_once(self):
        done = self.home.call("run", "--once", "-c", self.home.config_file, seconds=60)
        assert done.returncode == expect.OK, done.stderr

    def ends_with_nothing_left(self, n: int):
        self.program.stop()
        self.run_once()
        assert self.home.count() == n, self.home.records()
        failed = self.home.call("failed", "-c", self.home.config_file)
        assert (failed.returncode, failed.stdout) == (expect.OK, ""), failed.stderr


@pytest.fixture
def scene(home, server):
    return Scene(home, server())


def rule(home, name, **keys):
    if "sh" not in keys:
        keys.setdefault("run", home.record())
    return {"name": name, **keys}


def gated(home, name, gate, **keys):
    return rule(home, name, env={"RECORD_GATE": str(gate)}, **keys)


def ended(record) -> float:
    """When a recorder ended by itself."""
    file = record.path.with_suffix(".done")
    wait_for(file.exists, "the hook's end")
    return float(wait_for(file.read_text, "the hook's last word"))


def most_together(records) -> int:
    """How many ran at once at the worst moment."""
    return max(sum(r.began <= other.began < ended(r) for r in records) for other in records)


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def subjects(records) -> list:
    return [r["SUBJECT"] for r in records]


def json_lines(record) -> list:
    return [json.loads(line) for line in record.stdin.decode().splitlines()]


# --- order ---


def test_a_rule_takes_mail_in_the_order_of_uids(home, scene):
    scene.start(rule(home, "one", sh=f"echo $MAILCALL_UID >>{home.folder}/one"),
                rule(home, "two", sh=f"echo $MAILCALL_UID >>{home.folder}/two"))
    for first in range(0, 60, 20):
        scene.deliver(*[f"mail {n}" for n in range(first, first + 20)])

    def read(name):
        file = home.folder / name
        return file.read_text().split() if file.exists() else []

    wait_for(lambda: len(read("one")) + len(read("two")) >= 120, "120 hooks",
             alive=scene.program.assert_alive)
    assert read("one") == read("two") == [str(uid) for uid in range(1, 61)]


def test_the_rules_of_one_message_run_one_after_the_other_in_file_order(home, scene):
    """However many may run at once."""
    names = ["zeta", "alpha", "beta"]
    scene.start(*[rule(home, name, concurrency=4) for name in names])
    scene.deliver("a", "b", "c")
    records = scene.records(9)
    for uid in (1, 2, 3):
        own = [r for r in records if r.uid == uid]
        assert [r["RULE"] for r in own] == names
        assert most_together(own) == 1


def test_concurrency_of_two(home, scene):
    gate = home.folder / "gate"
    scene.start(gated(home, "pairs", gate, concurrency=2))
    scene.deliver("a", "b", "c", "d")
    wait_for(lambda: home.count() == 2, "two hooks", alive=scene.program.assert_alive)
    gate.touch()
    records = scene.records(4)
    assert sorted(r.uid for r in records) == [1, 2, 3, 4]
    assert sorted(r.uid for r in records[:2]) == [1, 2]
    assert most_together(records) == 2


def test_max_hooks_holds_for_all_rules_together(home, scene):
    gate = home.folder / "gate"
    scene.start(*[gated(home, f"rule {n}", gate, match={"subject": f"^{n}$"}) for n in range(5)],
                max_hooks=2)
    scene.deliver(*map(str, range(5)))
    wait_for(lambda: home.count() == 2, "two hooks", alive=scene.program.assert_alive)
    gate.touch()
    records = scene.records(5)
    assert sorted(r["RULE"] for r in records[:2]) == ["rule 0", "rule 1"]
    assert most_together(records) == 2


# --- bursts ---


def test_a_burst_is_one_run(home, scene):
    scene.start(rule(home, "burst", debounce="1s", max_delay="1m", stdin="json"))
    scene.deliver("first", "second", "third")
    [record] = scene.records(1)
    assert (record["EVENT"], record["COUNT"], record["UIDS"]) == ("batch", "3", "1 2 3")
    assert (record["UID"], record["SUBJECT"], record["ATTEMPT"]) == ("3", "third", "1")
    lines = json_lines(record)
    assert [(line["v"], line["uid"], line["subject"]) for line in lines] == [
        (1, 1, "first"), (1, 2, "second"), (1, 3, "third")]
    assert {(line["rule"], line["account"], line["mailbox"]) for line in lines} == {
        ("burst", "work", "INBOX")}
    assert lines[2]["event_id"] == record["EVENT_ID"]
    assert len({line["event_id"] for line in lines}) == 3
    assert lines[0]["from"] == {"name": "Ann", "address": "ann@example.org"}
    scene.deliver("fourth")
    record = scene.records(2)[1]
    assert (record["COUNT"], record["UIDS"], record["SUBJECT"]) == ("1", "4", "fourth")
    assert len(json_lines(record)) == 1
    scene.program.wait_log(expect.outcome("burst", "ok"), 2)
    scene.ends_with_nothing_left(2)


def test_a_burst_that_never_ends_runs_all_the_same(home, scene):
    """More mail comes before it is quiet, again and again, until max_delay has its way."""
    scene.start(rule(home, "burst", debounce="2s", max_delay="2s"),
                rule(home, "each", sh=f"echo >>{home.folder}/each"))
    each = home.folder / "each"

    def next_one():
        if home.count():
            return True
        before = each.read_text().count("\n") if each.exists() else 0
        scene.deliver("another")
        wait_for(lambda: each.exists() and each.read_text().count("\n") > before, "its hook")
        return False

    wait_for(next_one, "the run", alive=scene.program.assert_alive)
    record = home.records()[0]
    assert int(record["COUNT"]) > 1
    assert record["UIDS"].split() == [str(n + 1) for n in range(int(record["COUNT"]))]


def test_a_burst_that_fails_for_now_runs_again_whole(home, scene):
    gate = home.folder / "good"
    scene.start(rule(home, "burst", debounce="1s", max_delay="1m", stdin="json",
                     retry={"attempts": 3, "backoff": "1s"},
                     sh=home.record_sh() + f"; [ -e {gate} ] || exit 75"))
    scene.deliver("first", "second")
    scene.records(1)
    scene.program.wait_log("burst again")
    gate.touch()
    first, second = scene.records(2)
    assert first["EVENT_ID"] == second["EVENT_ID"]
    assert [(r["ATTEMPT"], r["EVENT"], r["COUNT"], r["UIDS"]) for r in (first, second)] == [
        ("1", "batch", "2", "1 2"), ("2", "retry", "2", "1 2")]
    assert [line["subject"] for line in json_lines(second)] == ["first", "second"]
    assert {line["attempt"] for line in json_lines(second)} == {2}
    scene.program.wait_log(expect.outcome("burst", "ok"))
    scene.ends_with_nothing_left(2)


def test_a_burst_is_not_waited_for_at_the_end_and_run_by_the_next(home, scene):
    scene.start(rule(home, "burst", **LONG), rule(home, "each"))
    scene.deliver("first", "second")
    scene.wait_of("each", 2)
    scene.program.wait_log(expect.outcome("each", "ok"), 2)
    scene.program.stop()
    assert not scene.of("burst")
    scene.run_once()
    [record] = scene.of("burst")
    assert (record["UIDS"], record["EVENT"], record["ATTEMPT"]) == ("1 2", "batch", "1")
    scene.run_once()
    assert home.count() == 3


def test_a_burst_that_gathered_is_not_lost_by_a_kill(home, scene):
    scene.start(rule(home, "burst", **LONG), rule(home, "each"))
    scene.deliver("first", "second")
    scene.wait_of("each", 2)
    scene.program.wait_log(expect.outcome("each", "ok"), 2)
    scene.kill()
    scene.restart()
    scene.deliver("third")
    wait_for(lambda: any(r.uid == 3 for r in scene.of("each")), "the third",
             alive=scene.program.assert_alive)
    scene.program.stop()
    scene.run_once()
    records = scene.of("burst")
    assert sorted(uid for r in records for uid in r["UIDS"].split()) == ["1", "2", "3"]
    assert {r["ATTEMPT"] for r in records} == {"1"}
    scene.run_once()
    assert len(scene.of("burst")) == len(records)


def test_a_burst_that_says_so_ends_all_its_messages(home, scene):
    """Exit 99: no further rule, for none of them."""
    scene.start(rule(home, "burst", **LONG, env={"RECORD_EXIT": "99"}),
                rule(home, "behind", **LONG))
    scene.program.stop()
    scene.deliver("first", "second", "third")
    scene.run_once()
    assert [(r["RULE"], r["UIDS"]) for r in home.records()] == [("burst", "1 2 3")]
    scene.run_once()
    assert home.count() == 1


# --- a busy rule ---


def test_busy_means_queue(home, scene):
    gate = home.folder / "gate"
    scene.start(gated(home, "busy", gate, on_busy="queue"))
    scene.deliver("first")
    scene.records(1)
    scene.deliver("second", "third")
    gate.touch()
    assert subjects(scene.records(3)) == ["first", "second", "third"]
    assert most_together(home.records()) == 1


def test_busy_may_mean_skip(home, scene):
    """The second and third are not run, then or later; their other rules are."""
    gate = home.folder / "gate"
    scene.start(gated(home, "busy", gate, on_busy="skip"), rule(home, "other"))
    scene.deliver("first")
    scene.wait_of("busy", 1)
    scene.deliver("second", "third")
    scene.program.wait_log(r"\bbusy skipped", 2)
    gate.touch()
    scene.wait_of("other", 3)
    scene.program.wait_log(expect.outcome("busy", "ok"))
    scene.deliver("fourth")
    scene.wait_of("other", 4)
    assert subjects(scene.of("busy")) == ["first", "fourth"]
    scene.program.wait_log(expect.outcome("other", "ok"), 4)
    scene.ends_with_nothing_left(6)


def test_busy_may_mean_restart(home, scene):
    """The running one is stopped and done with, the newer one runs."""
    never = home.folder / "never"
    scene.start(rule(home, "busy", on_busy="restart", kill_after="20s",
                     sh=home.record_sh() + f"; [ $MAILCALL_UID = 2 ] && exit 0; "
                     f"while ! [ -e {never} ]; do sleep 0.05; done"))
    scene.deliver("first")
    [first] = scene.records(1)
    scene.deliver("second")
    second = scene.records(2)[1]
    assert second["SUBJECT"] == "second" and second["ATTEMPT"] == "1"
    assert is_gone(first.parent), "the first hook's shell"
    scene.program.wait_log(expect.outcome("busy", "ok"))
    scene.ends_with_nothing_left(2)


# --- the end ---


def test_who_takes_too_long_at_the_end_is_stopped_and_runs_again(home, scene):
    """Which does not count as an attempt."""
    gate = home.folder / "gate"
    scene.start(gated(home, "slow", gate, retry="none"), shutdown_timeout="500ms")
    scene.deliver("slow", "behind it")
    [first] = scene.records(1)
    scene.program.signal(signal.SIGTERM)
    scene.program.wait_end(0, 2 * DEADLINE)
    wait_for(lambda: is_gone(first.pid), "the hook's end")
    assert not first.done
    gate.touch()
    scene.restart()
    records = scene.records(3)
    assert subjects(records) == ["slow", "slow", "behind it"]
    assert records[1]["EVENT_ID"] == first["EVENT_ID"]
    assert {r["ATTEMPT"] for r in records} == {"1"}
    scene.program.wait_log(expect.outcome("slow", "ok"), 2)
    scene.ends_with_nothing_left(3)


def test_who_is_deaf_at_the_end_is_killed(home, scene):
    never = home.folder / "never"
    scene.start(rule(home, "deaf", kill_after="500ms",
                     env={"RECORD_DEAF": "1", "RECORD_GATE": str(never)}),
                shutdown_timeout="500ms")
    scene.deliver("deaf")
    [record] = scene.records(1)
    scene.program.signal(signal.SIGTERM)
    scene.program.wait_end(0, 2 * DEADLINE)
    wait_for(lambda: is_gone(record.pid), "the hook's end")
