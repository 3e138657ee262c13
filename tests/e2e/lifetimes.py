"""Ends that are no failures, waits that are cut short, and what was left for people to look at."""

import shlex
import signal

from waiting import DEADLINE, wait_for

NEXT_TRY = "next try"


def kill(program):
    """kill -9: nothing is written any more, nothing said."""
    program.process.kill()
    program.process.wait()
    is_no_failure(program)


def is_no_failure(program):
    """This program may have died of a signal."""
    program.stop = program.assert_no_report


def nudged(program, condition, what: str, seconds: float = DEADLINE):
    """As wait_for(), and no wait before another try to connect is sat out. The program runs with
    -v: else only the first of equal failures is told."""
    nudges = 0

    def poll():
        nonlocal nudges
        waits = len(program.lines(NEXT_TRY))
        if waits > nudges:
            nudges = waits
            program.signal(signal.SIGUSR1)
        return condition()

    return wait_for(poll, what, seconds, alive=program.assert_alive)


def shows(path) -> list:
    """The lines that hooks wrote by `shown()`, each as a list of its words."""
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def shown(path, *variables: str) -> str:
    """A hook for `sh:` that only appends these variables to a file: quicker than a recorder."""
    words = " ".join("$MAILCALL_" + name for name in variables)
    return f'echo "{words}" >>{shlex.quote(str(path))}'


class DeadLetter:
    """One line of `mailcall failed`."""

    def __init__(self, line: str):
        (self.event, self.when, self.rule, self.message, self.result, self.attempts,
         self.subject) = line.split("\t")

    def __repr__(self):
        return f"<{self.rule} {self.result} {self.message} {self.subject!r}>"


def dead_letters(home) -> list:
    done = home.call("failed", "-c", home.config_file)
    assert done.returncode == 0, done.stderr
    return [DeadLetter(line) for line in done.stdout.splitlines()]


def wait_dead_letters(home, n: int, program=None) -> list:
    wait_for(lambda: len(dead_letters(home)) >= n, f"{n} dead letters",
             alive=program and program.assert_alive)
    found = dead_letters(home)
    assert len(found) == n, found
    return found
