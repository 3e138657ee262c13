"""One mailbox, several lives of mailcall, each ended by a SIGKILL but the last; and the law that
holds over all of them.

Every run of a hook is told by two lines in one file (quickhook.c), so their order is known, and in
which life of mailcall a run began."""

import shutil
import tempfile
import threading
from collections import namedtuple
from pathlib import Path

import expect
import mailcall
import preload
import scripted
from mails import mail
from waiting import wait_for

Run = namedtuple("Run", "life pid event attempt kind rule uid uids hash subject")

RETRY = {"attempts": 20, "backoff": "1s", "max_backoff": "1s"}


def fnv(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


class Server(scripted.Server):
    """Has a mailbox for what was moved, and moves whole or not at all, whoever dies meanwhile."""

    def __init__(self, **keys):
        super().__init__(capabilities=scripted.CAPABILITIES + " MOVE UIDPLUS", **keys)
        self.mailboxes["Done"] = scripted.Mailbox()
        self.on["UID MOVE"] = self._move
        self.life = 0  # of mailcall, by now
        self.moved_in = {}  # uid: the life in which it was asked for

    def _move(self, c, tag, arguments):
        with self.lock:
            found = c.matching(arguments.split()[0])
            for _, uid, message in found:
                c.selected.remove(uid)
                self.moved_in[uid] = self.life
                self.mailboxes["Done"].add(message)
        for number, _, _ in reversed(found):
            c.told -= 1
            c.line(f"* {number} EXPUNGE")
        c.ok(tag, "moved")

    @property
    def moved(self) -> list:
        with self.lock:
            return [message for _, message in self.mailboxes["Done"].messages]


class Story:
    """A server and a home, and what is expected of all hook runs in it."""

    def __init__(self, certs, template: Path = None, pause: int = 0, watched=None):
        self.server = Server(tls=certs.good.server_context())
        self.home = mailcall.Home(Path(tempfile.mkdtemp(prefix="mailcall.")), certs)
        self.runs_file = self.home.folder / "runs"
        self.marks = self.home.folder / "marks"
        self.marks.mkdir()
        self.runs_file.touch()
        self.expected = {}  # (rule, uid): (subject, hash)
        self.to_be_moved = []
        self.life = 0
        self.watched = watched
        self.home.configure({"work": self.home.scripted_account(self.server)}, [
            {"name": "flaky", "match": {"subject": "flaky"}, "retry": RETRY,
             "run": self.hook("once", pause)},
            {"name": "file", "match": {"subject": "file"}, "retry": RETRY,
             "run": self.hook("ok", pause), "on_success": {"move": "Done"}},
            {"name": "all", "retry": RETRY, "run": self.hook("ok", pause)},
            {"name": "burst", "debounce": "50ms", "max_delay": "250ms", "retry": RETRY,
             "run": self.hook("ok", pause)},
            {"name": "none", "match": {"subject": "never"}, "run": self.hook("ok", 0)},
        ])
        if template:
            shutil.copytree(template, self.state, symlinks=True)

    def hook(self, how: str, pause: int) -> list:
        return [str(preload.quickhook()), str(self.runs_file), str(self.marks), how, str(pause)]

    @property
    def state(self) -> Path:
        return self.home.folder / "home/.local/state"

    def close(self):
        for program in self.home.programs:
            program.kill()
        self.home.programs.clear()
        self.home.close()
        self.server.close()

    # --- mail ---

    def deliver(self, subject: str, announce: bool = True):
        message = mail(subject)
        with self.server.lock:
            uid = self.server.deliver(message, announce=announce)
            for rule in ("flaky", "file", "all", "burst"):
                if rule in ("all", "burst") or rule in subject:
                    self.expected[rule, uid] = (subject, fnv(message))
            if "file" in subject:
                self.to_be_moved.append(message)

    # --- lives ---

    def begin(self, command: str = "run", env=None) -> mailcall.Program:
        self.server.life = self.life = self.life + 1
        return self.home.start("run", *command.split()[1:], "-c", self.home.config_file,
                               env={"LIFE": self.life, **(env or {})})

    def kill(self, program):
        program.kill()
        program.assert_no_report()
        self.home.programs.remove(program)  # whose end is no failure

    def baseline(self) -> Path:
        """Lives once until the mailbox is watched; the state folder to begin other stories with."""
        program = self.begin()
        program.wait_watching("work/INBOX")
        program.stop()
        return self.state

    # --- what was run ---

    def read(self):
        """All runs in order, and the exit status of those that have ended, by (life, pid)."""
        runs, ends = [], {}
        text = self.runs_file.read_text()
        for line in text[: text.rfind("\n") + 1].splitlines():
            kind, *fields = line.split("\t")
            if kind == "B":
                run = Run(*fields)
                runs.append(run._replace(
                    life=int(run.life), attempt=int(run.attempt), uid=int(run.uid),
                    uids=[int(uid) for uid in run.uids.split()]))
            else:
                ends[int(fields[0]), fields[1]] = int(fields[2])
        return runs, ends

    def is_done(self) -> bool:
        runs, ends = self.read()
        with self.server.lock:
            good = {(r.rule, uid) for r in runs if ends.get((r.life, r.pid)) == 0
                    for uid in r.uids}
            return good >= set(self.expected) and len(self.server.moved) >= len(self.to_be_moved)

    def is_done_by(self, program) -> bool:
        """And this one is well on its feet, so that it can be asked to end."""
        return self.is_done() and program.lines(expect.watching("work", "INBOX"))

    def look_once(self):
        self.server.life = self.life = self.life + 1
        done = self.home.call("run", "--once", "-c", self.home.config_file,
                              env={"LIFE": self.life}, seconds=60)
        assert done.returncode == expect.OK, done.stderr

    def finish(self, seconds: float = 60) -> "Story":
        """The last life: everything is done, it ends in order, and nothing is left to another."""
        program = self.begin()
        wait_for(lambda: self.is_done_by(program), "every hook and move", seconds,
                 alive=program.assert_alive)
        program.stop()
        # a hook whose end was not noted before a kill is owed another run, though we saw it end
        self.look_once()
        before = len(self.read()[0])
        self.look_once()
        assert len(self.read()[0]) == before, "a hook ran again after all was done"
        failed = self.home.call("failed", "-c", self.home.config_file)
        assert (failed.returncode, failed.stdout) == (expect.OK, ""), failed.stderr
        return self

    # --- the law ---

    def faults(self) -> list:
        """(job, what is wrong with it), in the order of the mails; nothing, if all is well."""
        runs, ends = self.read()
        latest = {(r.life, r.rule): r for r in runs}  # the last to begin, in each life
        by_job = {job: [] for job in self.expected}
        for run in runs:
            for uid in run.uids:
                by_job.setdefault((run.rule, uid), []).append(run)
        found = []
        for job, several in sorted(by_job.items(), key=lambda item: item[0][1]):
            several.sort(key=lambda r: (r.life, r.attempt))
            found += [(job, fault) for fault in self._job_faults(
                several, ends, latest, job[1], self.expected.get(job))]
        found += [((r.rule, r.uid), f"ran in life {r.life}, though moved before") for r in runs
                  if r.rule == "file" and r.life > self.server.moved_in.get(r.uid, r.life)]
        if sorted(self.server.moved) != sorted(self.to_be_moved):
            found.append((None, f"{len(self.server.moved)} were moved, "
                                f"not {len(self.to_be_moved)}"))
        return found + [(None, protest) for protest in self.server.protests]

    def _job_faults(self, runs, ends, latest, uid, message):
        if message is None:
            yield "ran for no mail"
            return
        if not any(ends.get((r.life, r.pid)) == 0 for r in runs):
            yield "never ran to its end"
        if len({r.event for r in runs}) > 1:
            yield "has several event ids"
        if {(r.subject, r.hash) for r in runs if r.uid == uid} - {message}:
            yield "was given another message"
        for run in runs:
            first_kind = "batch" if run.rule == "burst" else "new"
            if run.kind != (first_kind if run.attempt == 1 else "retry"):
                yield f"was {run.kind} at attempt {run.attempt}"
        for first, second in zip(runs, runs[1:]):
            status = ends.get((first.life, first.pid))
            if second.attempt <= first.attempt:
                yield f"ran again with attempt {second.attempt} after {first.attempt}"
            if status == 75:
                continue
            if first.life == second.life:
                yield f"ran again after exit {status} within one life"
            elif latest[first.life, first.rule] is not first:
                yield f"ran again after exit {status}, although another one of its rule had begun"

    def check(self, what: str):
        faults = self.faults()
        if not faults:
            return
        _, ends = self.read()
        words = [f"{what}: {len(faults)} faults"]
        for job, fault in faults[:5]:
            words.append(f"{job}: {fault}")
            words += [f"    {r}, exit {ends.get((r.life, r.pid))}" for r in self.read()[0]
                      if job and r.rule == job[0] and job[1] in r.uids]
        raise AssertionError("\n".join(words))

    def repeated(self) -> int:
        """How many runs there were for no other reason than a kill."""
        runs, ends = self.read()
        good = [(r.rule, r.uid) for r in runs if ends.get((r.life, r.pid)) != 75]
        return len(good) - len(set(good))


class Feeder(threading.Thread):
    """Delivers mail while the main thread does something else."""

    def __init__(self, story: Story, subjects, gap: float):
        super().__init__(daemon=True)
        self.story, self.subjects, self.gap = story, subjects, gap
        self.over = threading.Event()

    def run(self):
        for subject in self.subjects:
            if self.over.wait(self.gap):
                return
            self.story.deliver(subject)
