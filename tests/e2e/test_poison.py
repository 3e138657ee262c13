"""A mail that kills its reader. Mail is read in processes of its own, at most two at once, and the
daemon outlives them: a mail whose reader dies is read by another that has read nothing yet, and is
set aside when that dies as well.

No mail is known that kills a reader, so the tests do. Which mail is hit is no matter of luck: a
reader that is stopped while it has nothing to do is handed the next mail all the same."""

import os
import random
import signal
import threading
from pathlib import Path

import pytest

import expect
import scripted
from lifetimes import dead_letters, shown, shows, wait_dead_letters
from mails import mail
from waiting import wait_for


class Reader:
    """One such process, as /proc shows it."""

    def __init__(self, pid: int):
        self.pid = pid
        self.folder = Path(f"/proc/{pid}")

    def state(self) -> str:
        """As in ps: R, S, T and so on."""
        return (self.folder / "stat").read_text().rpartition(")")[2].split()[0]

    def is_starting(self) -> bool:
        """Before it says that it is ready it closes its output, and then itself to all eyes."""
        try:
            return os.readlink(self.folder / "fd/1") != os.devnull
        except PermissionError:
            return False

    def is_idle(self) -> bool:
        return not self.is_starting() and self.state() == "S"

    def has_ended(self) -> bool:
        """Whoever is its parent by now may not have noticed yet."""
        try:
            return self.state() in "ZX"
        except OSError:
            return True

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        wait_for(lambda: self.state() == "T", "a reader to stop")

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        """The daemon knows of it when this returns."""
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: not self.folder.exists(), "a reader's end")


def readers(program) -> list:
    """Those of this daemon that live; any of its threads may have started them."""
    children = Path(f"/proc/{program.pid}/task").glob("*/children")
    return [Reader(int(pid)) for path in children for pid in path.read_text().split()
            if _is_reader(pid)]


def _is_reader(pid: str) -> bool:
    try:
        return b"__sort" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _wait_reader(program, *known: Reader) -> Reader:
    pids = {reader.pid for reader in known}
    return wait_for(lambda: [r for r in readers(program) if r.pid not in pids], "a new reader",
                    alive=program.assert_alive)[0]


def _is_handing_over(program) -> bool:
    """Whether it holds a message open to be read: by a reader, or by a hook that begins."""
    for path in Path(f"/proc/{program.pid}/fd").iterdir():
        try:
            flags = Path(f"/proc/{program.pid}/fdinfo/{path.name}").read_text().split()[3]
            if os.readlink(path).endswith(".eml") and int(flags, 8) & os.O_ACCMODE == os.O_RDONLY:
                return True
        except FileNotFoundError:
            pass
    return False


def _long_mail(name: str) -> bytes:
    """To read one takes some milliseconds."""
    return mail(name, headers=[("Content-Type", "text/html")],
                body=b"<p>so <b>it <i>goes</i></b>\n" * 3000)


class World:
    """A program that runs a hook for every mail, and mails with a name of their own each."""

    def __init__(self, home):
        self.home = home
        self.write = mail
        self.program = None
        self.n = 0

    def bring(self, n: int = 1) -> list:
        """Has so many mails arrive, one after the other; their names."""
        raise NotImplementedError

    def next_name(self) -> str:
        self.n += 1
        return f"mail-{self.n}"

    def rule(self, **more) -> dict:
        return {"name": "all", "sh": shown(self.home.folder / "lines", "SUBJECT", "ATTEMPT"),
                **more}

    def ran(self) -> list:
        """The mails whose hook has run, once for each time."""
        lines = shows(self.home.folder / "lines")
        assert all(attempt == "1" for _, attempt in lines)
        return sorted((name for name, _ in lines), key=lambda name: int(name.split("-")[1]))

    def all_but(self, *names: str) -> list:
        every = [f"mail-{number}" for number in range(1, self.n + 1)]
        return [name for name in every if name not in names]

    def wait_ran(self, names: list):
        wait_for(lambda: set(names) <= set(self.ran()), f"the hooks of {names}",
                 alive=self.program.assert_alive)

    def readers(self) -> list:
        return readers(self.program)

    def hand_over(self, bring=None):
        """What bring() has arrive is with a stopped reader then."""
        wait_for(lambda: not _is_handing_over(self.program), "the last hook to have its mail")
        brought = (bring or self.bring)()
        wait_for(lambda: _is_handing_over(self.program), "a mail to be handed to a reader",
                 alive=self.program.assert_alive)
        return brought

    def stop_the_only_reader(self) -> Reader:
        """It has read a mail, waits for the next one, and does nothing about it when it comes."""
        for reader in self.readers():
            reader.kill()
        self.wait_ran(self.bring())
        [reader] = self.readers()
        reader.stop()
        return reader

    def stop_both_readers(self):
        """The next mail will be handed to the first of these; when that dies, to the second: it is
        there, and has read nothing yet."""
        while True:
            used = self.stop_the_only_reader()
            two = self.bring(2)  # one for this reader, and one that another is started for
            fresh = _wait_reader(self.program, used)
            fresh.stop()
            in_time = fresh.is_starting()
            if not in_time:
                fresh.go_on()
            used.go_on()
            self.wait_ran(two)
            if in_time:
                break
        fresh.go_on()
        wait_for(fresh.is_idle, "a reader that waits")
        fresh.stop()
        used.stop()
        return used, fresh

    def kill_both(self, bring=None):
        """What bring() has arrive costs two readers."""
        used, fresh = self.stop_both_readers()
        brought = self.hand_over(bring)
        used.kill()
        fresh.kill()
        return brought

    def set_one_aside(self):
        """Its name, and the line of `failed`."""
        [poison] = self.kill_both()
        [letter] = wait_dead_letters(self.home, 1, self.program)
        return poison, letter

    def call(self, *arguments):
        done = self.home.call(*arguments, "-c", self.home.config_file)
        assert done.returncode == expect.OK, done.stderr
        return done


class Watching(World):
    """A daemon and two mailboxes."""

    def __init__(self, home, server):
        super().__init__(home)
        self.server = server
        server.mailboxes["Lists"] = scripted.Mailbox()
        account = home.scripted_account(server, mailboxes=["INBOX", "Lists"])
        home.configure({"work": account}, [self.rule()])
        self.start()

    def start(self):
        self.program = self.home.run("work/INBOX", "work/Lists")

    def bring(self, n: int = 1, mailbox: str = "INBOX") -> list:
        names = [self.next_name() for _ in range(n)]
        for name in names:
            self.server.deliver(self.write(name), mailbox)
        return names


class Once(World):
    """A look at a mailbox whose server sends each mail when the test has it arrive."""

    def __init__(self, home, server, mails: int):
        super().__init__(home)
        self.server, self.mails = server, mails
        self.sendable = threading.Condition()
        home.configure({"work": home.scripted_account(server)}, [self.rule(stdin="none")])
        assert self.look_again() == expect.OK
        for number in range(1, mails + 1):
            server.deliver(mail(f"mail-{number}"))
        server.on["UID FETCH"] = self._fetch
        self.program = home.start("run", "--once", "-c", home.config_file)

    def _fetch(self, c, tag, arguments):
        uids, _, items = arguments.partition(" ")
        for number, uid, message in c.matching(uids):
            with self.sendable:
                self.sendable.wait_for(lambda: uid <= self.n)
            c.send_fetch(number, uid, message, items)
        c.ok(tag)

    def bring(self, n: int = 1) -> list:
        assert self.n + n <= self.mails
        with self.sendable:
            names = [self.next_name() for _ in range(n)]
            self.sendable.notify_all()
        return names

    def look_again(self) -> int:
        return self.home.call("run", "--once", "-c", self.home.config_file).returncode


@pytest.fixture
def world(home, server):
    return Watching(home, server())


@pytest.fixture(params=["running", "stopped"])
def stopped(request):
    return request.param == "stopped"


# --- one death ---

def test_a_mail_whose_reader_dies_is_read_by_the_next(world):
    reader = world.stop_the_only_reader()
    names = world.hand_over()
    reader.kill()
    world.wait_ran(names + world.bring(2))
    assert world.ran() == world.all_but()
    assert dead_letters(world.home) == []


def test_a_reader_that_dies_of_nothing_is_replaced(world):
    world.stop_the_only_reader().kill()
    world.wait_ran(world.bring())
    assert world.ran() == world.all_but()


def test_a_daemon_that_ends_takes_its_readers_along_and_no_mail(world):
    """Both stopped, one of them with a mail in its hands."""
    both = world.stop_both_readers()
    names = world.hand_over()
    world.program.stop()
    wait_for(lambda: all(reader.has_ended() for reader in both), "the end of the readers")
    world.start()
    world.wait_ran(names)
    assert world.ran() == world.all_but()


def test_readers_that_are_killed_at_any_moment_cost_no_mail(world):
    """Of each handful of mails at most one is hit, and that one not again."""
    dice = random.Random()
    world.write = _long_mail
    while world.n < 100:
        idle = world.readers()
        stopped = dice.choice(idle) if idle and dice.random() < 0.3 else None
        if stopped:
            stopped.stop()
        names = world.bring(dice.randint(1, 8))
        for _ in range(dice.randrange(200)):
            world.readers()
        victim = stopped or dice.choice(world.readers() or [_wait_reader(world.program)])
        victim.kill()
        world.wait_ran(names)
    assert world.ran() == world.all_but()
    assert dead_letters(world.home) == []


# --- two deaths ---

def test_a_mail_that_costs_two_readers_is_set_aside(world):
    """And nothing else is: not what stands before it or behind it, nor what is read meanwhile."""
    used, fresh = world.stop_both_readers()
    [poison] = world.hand_over()
    used.kill()
    behind = world.bring(2)
    world.wait_ran(world.bring(mailbox="Lists"))
    fresh.kill()
    [letter] = wait_dead_letters(world.home, 1, world.program)
    assert letter.result == "unparsable"
    assert letter.message == "work/INBOX:" + poison.removeprefix("mail-")
    world.wait_ran(behind + world.bring())
    assert world.ran() == world.all_but(poison)


def test_what_was_set_aside_is_shown(world):
    _, letter = world.set_one_aside()
    line, empty, *words = world.call("failed", letter.event).stdout.splitlines()
    assert line.split("\t")[0] == letter.event
    assert empty == "" and words


def test_each_of_several_is_set_aside(world):
    poison = [*world.kill_both(), *world.kill_both()]
    letters = wait_dead_letters(world.home, 2, world.program)
    assert [letter.result for letter in letters] == ["unparsable"] * 2
    world.wait_ran(world.bring())
    assert world.ran() == world.all_but(*poison)


def test_what_was_set_aside_stays_so_in_the_next_life(world):
    poison, letter = world.set_one_aside()
    world.program.stop()
    world.start()
    world.wait_ran(world.bring())
    assert world.ran() == world.all_but(poison)
    assert [again.event for again in dead_letters(world.home)] == [letter.event]


def test_what_was_set_aside_may_be_read_again(world, stopped):
    poison, letter = world.set_one_aside()
    if stopped:
        world.program.stop()
    world.call("retry", letter.event)
    if stopped:
        world.start()
    world.wait_ran([poison])
    assert dead_letters(world.home) == []
    world.wait_ran(world.bring())
    assert world.ran() == world.all_but()


def test_what_is_read_again_and_kills_again_is_set_aside_again(world):
    poison, letter = world.set_one_aside()
    world.kill_both(lambda: world.call("retry", letter.event))
    [again] = wait_dead_letters(world.home, 1, world.program)
    assert (again.event, again.result) == (letter.event, "unparsable")
    world.wait_ran(world.bring())
    assert world.ran() == world.all_but(poison)


def test_what_was_set_aside_may_be_dropped(world, stopped):
    poison, letter = world.set_one_aside()
    if stopped:
        world.program.stop()
    world.call("drop", letter.event)
    assert dead_letters(world.home) == []
    if stopped:
        world.start()
    world.wait_ran(world.bring())
    assert world.ran() == world.all_but(poison)


def test_a_single_look_tells_by_its_exit_code(home, server):
    world = Once(home, server(), 60)
    [poison] = world.kill_both()
    world.bring(world.mails - world.n)
    world.program.wait_end(expect.NO)
    assert world.ran() == world.all_but(poison)
    assert [letter.result for letter in dead_letters(home)] == ["unparsable"]
    assert world.look_again() == expect.OK
    assert world.ran() == world.all_but(poison)
