"""A full disk and a folder that cannot be written: nothing is lost, and it recovers by itself."""

import errno
import os
import subprocess

import pytest

import expect
import preload
from mails import mail
from waiting import wait_for

CANNOT_CREATE, IO_ERROR = 73, 74
# what the log says of it, whoever says it
SHORT = r"no space|disk is full|read-only|i/o error|input/output"


def as_root():
    return pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")


class Tmpfs:
    """A small file system of its own."""

    def __init__(self, folder, size: str):
        self.folder = folder
        folder.mkdir(parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "mailcall",
                               folder], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")

    def remount(self, how: str):
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)

    def fill(self):
        """To the last byte."""
        with open(self.folder / "ballast", "ab", buffering=0) as f:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while f.write(b"\0" * size) == size:
                        pass
                except OSError as e:
                    assert e.errno == errno.ENOSPC

    def relieve(self):
        (self.folder / "ballast").unlink()

    def close(self):
        subprocess.run(["umount", "-l", self.folder], check=False)


@pytest.fixture
def tmpfs():
    made = []

    def make(folder, size="3m") -> Tmpfs:
        made.append(Tmpfs(folder, size))
        return made[-1]

    yield make
    for t in made:
        t.close()


class Injected:
    """The same by the library: while its flag is there, a folder takes nothing."""

    def __init__(self, home, folder, error: int):
        self.flag = home.folder / "disk-is-full"
        self.env = preload.orders(full=(folder, self.flag, error))

    def fill(self):
        self.flag.touch()

    def relieve(self):
        self.flag.unlink()


def gated_rules(home, gate) -> list:
    return [{"name": "gated", "match": {"subject": "gated"}, "run": home.record(),
             "env": {"RECORD_GATE": str(gate)}},
            {"name": "all", "match": {"not": {"subject": "gated"}}, "run": home.record()}]


def state_of(home):
    return home.folder / "home/.local/state/mailcall"


def subjects(home) -> list:
    return [r["SUBJECT"] for r in home.records()]


def live_through_it(home, server, disk, env):
    """Three mails are journalled and wait for their hooks when the disk fills; one comes after."""
    s, gate = server(), home.folder / "gate"
    home.configure({"work": home.scripted_account(s)}, gated_rules(home, gate))
    program = home.run("work/INBOX", env=env)
    wait_for(lambda: s.idling, "the client to idle")
    early = ["gated 0", "gated 1", "gated 2", "behind them"]
    late = ["late 0", "late 1"]
    for subject in early[:3]:
        s.deliver(mail(subject), announce=False)
    s.deliver(mail(early[3]))
    # it was sorted after the three, in the same turn or a later one
    wait_for(lambda: sorted(subjects(home)) == ["behind them", "gated 0"], "two hooks",
             alive=program.assert_alive)
    disk.fill()
    for subject in late:
        s.deliver(mail(subject))
    program.wait_log(SHORT)
    gate.touch()
    program.wait_log(expect.outcome("gated", "ok"), times=3)
    assert sorted(subjects(home)) == sorted(early), program.log
    disk.relieve()
    home.wait_records(6, program, 60)
    s.deliver(mail("afterwards"))
    records = home.wait_records(7, program)
    assert sorted(subjects(home)) == sorted([*early, *late, "afterwards"])
    assert {r["ATTEMPT"] for r in records} == {"1"}
    assert len(program.lines(r"journal\.sqlite: ")) == 1, program.log
    program.wait_log(expect.outcome("all", "ok"), times=4)
    program.stop()
    nothing_is_left(home, 7)


def nothing_is_left(home, n: int):
    done = home.call("run", "--once", "-c", home.config_file, seconds=60)
    assert done.returncode == expect.OK, done.stderr
    assert home.count() == n, home.records()


@preload.needs_preload
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_a_state_folder_that_takes_nothing_for_a_while(home, server, error):
    disk = Injected(home, state_of(home), error)
    live_through_it(home, server, disk, disk.env)


@as_root()
def test_a_full_file_system_of_its_own(home, server, tmpfs):
    live_through_it(home, server, tmpfs(state_of(home)), None)


@preload.needs_preload
def test_killed_while_the_disk_is_full(home, server):
    """Then nobody knows what became of the hook that ran, and it runs again; the others once."""
    s, gate = server(), home.folder / "gate"
    disk = Injected(home, state_of(home), errno.ENOSPC)
    home.configure({"work": home.scripted_account(s)}, gated_rules(home, gate))
    program = home.run("work/INBOX", env=disk.env)
    wait_for(lambda: s.idling, "the client to idle")
    s.deliver(mail("gated"))
    home.wait_records(1, program)
    disk.fill()
    s.deliver(mail("late"))
    program.wait_log(SHORT)
    gate.touch()
    program.wait_log(expect.outcome("gated", "ok"))
    program.kill()
    home.programs.remove(program)
    disk.relieve()
    program = home.run("work/INBOX")
    first, *others = home.wait_records(3, program)
    again = next(r for r in others if r["SUBJECT"] == "gated")
    assert again["EVENT_ID"] == first["EVENT_ID"] and again["ATTEMPT"] == "2"
    assert [r["SUBJECT"] for r in others if r is not again] == ["late"]
    program.wait_log(expect.outcome("all", "ok"))
    program.stop()
    nothing_is_left(home, 3)


# --- a start without a place to write ---


def refused(home, env=None) -> str:
    done = home.call("run", "-c", home.config_file, env=env)
    assert done.returncode in (CANNOT_CREATE, IO_ERROR), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def configured(home, server):
    s = server()
    home.configure({"work": home.scripted_account(s)}, [{"name": "all", "run": home.record()}])
    return s


def test_a_state_folder_that_cannot_be_made(home, configured):
    (home.folder / "file").write_text("I am no folder\n")
    place = home.folder / "file/state"
    line = refused(home, {"STATE_DIRECTORY": place})
    assert str(place) in line or str(home.folder / "file") in line
    assert "Not a directory" in line or "not a folder" in line
    assert (home.folder / "file").read_text() == "I am no folder\n"


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_state_folder_without_permission(home, configured):
    closed = home.folder / "closed"
    closed.mkdir(mode=0o500)
    assert "Permission denied" in refused(home, {"STATE_DIRECTORY": closed / "state"})


@preload.needs_preload
def test_a_full_disk_at_the_first_start(home, configured):
    disk = Injected(home, home.folder / "home", errno.ENOSPC)
    disk.fill()
    line = refused(home, disk.env)
    assert "No space left" in line or "full" in line
    disk.relieve()
    home.run("work/INBOX")


@as_root()
def test_a_read_only_file_system_at_the_start(home, configured, tmpfs):
    """Mail that comes meanwhile is handled when it can be written again."""
    disk = tmpfs(state_of(home))
    home.run("work/INBOX").stop()
    disk.remount("ro")
    configured.deliver(mail("meanwhile"))
    line = refused(home)
    assert str(state_of(home)) in line and "Read-only" in line
    assert home.count() == 0
    disk.remount("rw")
    program = home.run("work/INBOX")
    home.wait_records(1, program)
    program.stop()
    nothing_is_left(home, 1)
