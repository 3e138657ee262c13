"""A message that kills its reader: it costs two lives, then it is set aside and the rest goes on.

A small library stands between mailcall and the functions through which a message's bytes pass, and
dies of a word, as a bug would."""

import os
import signal
import subprocess

import pytest

import expect
from lifetimes import dead_letters, is_no_failure, kill, shown, shows, wait_dead_letters
from mails import mail
from preload import needs_preload
from waiting import wait_for

pytestmark = needs_preload

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
overflow(volatile char *above)
{
    volatile char frame[4096];
    frame[0] = above[0];
    return overflow(frame) + frame[0];
}

static void
fall_into_the_pit(void)
{
    const char *pit = getenv("POISON_PIT");
    if (pit == NULL)
        return;
    close(open(pit, O_CREAT | O_WRONLY, 0600));
    for (;;)
        pause();
}

static void
taste(const char *text, size_t n)
{
    if (memmem(text, n, "poison-fault", 12) != NULL)
        *(volatile int *)(uintptr_t)16 = 0;
    if (memmem(text, n, "poison-abort", 12) != NULL)
        abort();
    if (memmem(text, n, "poison-depth", 12) != NULL)
        overflow("");
    if (memmem(text, n, "poison-pit", 10) != NULL)
        fall_into_the_pit();
}

int
pcre2_match_8(const void *code, const char *subject, size_t length, size_t start,
    uint32_t options, void *data, void *context)
{
    int (*real)(const void *, const char *, size_t, size_t, uint32_t, void *, void *) =
        dlsym(RTLD_NEXT, "pcre2_match_8");
    taste(subject, length == SIZE_MAX ? strlen(subject) : length);
    return real(code, subject, length, start, options, data, context);
}

void *
g_mime_utils_header_decode_date(const char *text)
{
    void *(*real)(const char *) = dlsym(RTLD_NEXT, "g_mime_utils_header_decode_date");
    if (text != NULL)
        taste(text, strlen(text));
    return real(text);
}
"""


@pytest.fixture(scope="session")
def poison(folder):
    """The library, for LD_PRELOAD."""
    source, library = folder / "poison.c", folder / "poison.so"
    source.write_text(SOURCE)
    subprocess.run([os.environ.get("CC", "cc"), "-O0", "-w", "-shared", "-fPIC", "-o", library,
                    source, "-ldl"], check=True)
    return library


@pytest.fixture
def world(home, user, poison):
    """A mailbox that is watched already, and a rule that reads every subject."""
    home.configure({"work": home.account(user)}, [
        {"name": "all", "match": {"subject": "."},
         "sh": shown(home.folder / "lines", "SUBJECT", "ATTEMPT")}])
    assert home.call("run", "--once", "-c", home.config_file).returncode == expect.OK
    return World(home, user, poison)


class World:
    def __init__(self, home, user, poison):
        self.home, self.user = home, user
        self.environment = {"LD_PRELOAD": poison}

    def once(self, **more) -> int:
        """One look at the mailbox; negative: the signal it died of."""
        return self.home.call("run", "--once", "-c", self.home.config_file, seconds=60,
                              env={**self.environment, **more}).returncode

    def start(self, **more):
        return self.home.start("run", "-c", self.home.config_file,
                               env={**self.environment, **more})

    def ran(self) -> list:
        return shows(self.home.folder / "lines")


def around(user, message: bytes):
    user.deliver(mail("before"))
    user.deliver(message)
    user.deliver(mail("behind-1"))
    user.deliver(mail("behind-2"))


GOOD = [["before", "1"], ["behind-1", "1"], ["behind-2", "1"]]


@pytest.mark.parametrize("word, number", [
    ("poison-fault", signal.SIGSEGV), ("poison-abort", signal.SIGABRT),
    ("poison-depth", signal.SIGSEGV)])
def test_a_subject_that_kills_twice_is_set_aside(world, word, number):
    around(world.user, mail(f"a {word} pill"))
    assert [world.once(), world.once()] == [-number, -number]
    assert world.once() == expect.NO, "something was set aside"
    assert world.ran() == GOOD
    [letter] = dead_letters(world.home)
    assert (letter.result, letter.message) == ("unparsable", "work/INBOX:2")
    assert world.once() == expect.OK
    assert world.ran() == GOOD


def test_a_date_that_kills_twice_is_set_aside(world):
    around(world.user, mail("pill").replace(b"Fri, 3 Oct", b"poison-fault"))
    assert [world.once(), world.once(), world.once()] == [
        -signal.SIGSEGV, -signal.SIGSEGV, expect.NO]
    assert world.ran() == GOOD


def test_a_daemon_that_is_started_again_and_again_gets_past_it(world):
    """As a service manager would start it."""
    home, user = world.home, world.user
    program = world.start()
    program.wait_watching("work/INBOX")
    around(user, mail("poison-fault"))
    for _ in range(2):
        assert program.wait_end() == -signal.SIGSEGV
        is_no_failure(program)
        program = world.start()
    program.wait_watching("work/INBOX")
    [letter] = wait_dead_letters(home, 1, program)
    assert (letter.result, letter.message) == ("unparsable", "work/INBOX:2")
    user.deliver(mail("end"))
    wait_for(lambda: ["end", "1"] in world.ran(), "the last mail", alive=program.assert_alive)
    assert world.ran() == [*GOOD, ["end", "1"]]


def test_each_of_several_has_two_lives(world):
    world.user.deliver(mail("poison-fault"))
    around(world.user, mail("poison-abort"))
    deaths = [world.once() for _ in range(5)]
    assert sorted(deaths[:4]) == sorted([-signal.SIGSEGV, -signal.SIGABRT] * 2)
    assert deaths[4] == expect.NO
    assert world.ran() == GOOD
    assert [letter.message for letter in dead_letters(world.home)] == [
        "work/INBOX:1", "work/INBOX:3"]


def test_a_program_that_can_read_it_by_now_does_not_set_it_aside(world):
    """One death, then an update."""
    world.user.deliver(mail("poison-fault"))
    assert world.once() == -signal.SIGSEGV
    assert world.once(LD_PRELOAD=None) == expect.OK
    assert world.ran() == [["poison-fault", "1"]]
    assert dead_letters(world.home) == []


def test_who_is_killed_from_outside_does_not_blame_the_mail(world):
    """Three kills while this very message was being read."""
    pit = world.home.folder / "pit"
    world.user.deliver(mail("poison-pit"))
    for _ in range(3):
        program = world.start(POISON_PIT=pit)
        wait_for(pit.exists, "the pit", alive=program.assert_alive)
        kill(program)
        pit.unlink()
    assert world.once() == expect.OK
    assert world.ran() == [["poison-pit", "1"]]


def test_what_was_set_aside_may_be_dropped(world):
    world.user.deliver(mail("poison-abort"))
    assert [world.once() for _ in range(3)][2] == expect.NO
    [letter] = dead_letters(world.home)
    done = world.home.call("drop", letter.event, "-c", world.home.config_file)
    assert done.returncode == expect.OK, done.stderr
    assert dead_letters(world.home) == []
    assert world.once() == expect.OK


def test_what_was_set_aside_may_be_tried_by_a_better_program(world):
    around(world.user, mail("poison-abort"))
    assert [world.once() for _ in range(3)][2] == expect.NO
    [letter] = dead_letters(world.home)
    done = world.home.call("retry", letter.event, "-c", world.home.config_file)
    assert done.returncode == expect.OK, done.stderr
    assert world.once(LD_PRELOAD=None) == expect.OK
    assert world.ran() == [*GOOD, ["poison-abort", "1"]]
    assert dead_letters(world.home) == []


def test_what_is_tried_again_and_kills_again_is_set_aside_again(world):
    around(world.user, mail("poison-abort"))
    assert [world.once() for _ in range(3)][2] == expect.NO
    [letter] = dead_letters(world.home)
    assert world.home.call("retry", letter.event, "-c", world.home.config_file).returncode == 0
    ends = [world.once() for _ in range(4)]
    assert ends == [-signal.SIGABRT, -signal.SIGABRT, expect.NO, expect.OK]
    assert world.ran() == GOOD
    assert [again.result for again in dead_letters(world.home)] == ["unparsable"]
