"""SIGKILL at each step of the turn, and at random moments under load: every delivered mail has its
hook run to the end, and none runs twice but one that was running at the kill."""

import collections
import concurrent.futures
import itertools
import os
import random
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

import preload
from lives import Feeder, Story
from waiting import wait_for

# how many of the points are tried; 0 = all there are
POINTS = int(os.environ.get("CRASH_POINTS", 200))
PAIRS = int(os.environ.get("CRASH_PAIRS", 20))
KILLS = int(os.environ.get("CRASH_KILLS", 300))
SEED = int(os.environ.get("CRASH_SEED", random.randrange(1 << 32)))
AT_ONCE = 6  # each case mostly waits for the second attempt of a hook

# the turn is in these; what else there is comes as well
STEPS = {("make", "spool"), ("write", "spool"), ("pwrite", "wal"), ("spawn", "process"),
         ("reap", "process"), ("write", "socket"), ("unlink", "spool")}
FIRST_MAILS = ["flaky one", "file two"]
LATER_MAILS = ["plain three"]


@pytest.fixture(scope="module")
def template(certs):
    """The state of a mailcall that has seen the empty mailbox."""
    story = Story(certs)
    folder = Path(tempfile.mkdtemp(prefix="mailcall.")) / "state"
    try:
        shutil.copytree(story.baseline(), folder)
    finally:
        story.close()
    yield folder
    shutil.rmtree(folder.parent)


@pytest.fixture
def story(certs, template):
    made = []

    def make(**keys) -> Story:
        made.append(Story(certs, template, **keys))
        return made[-1]

    yield make
    for s in made:
        s.close()


def prepare(story: Story) -> Story:
    """Some mails lie there at the start; the last come when the client waits for such."""
    for subject in FIRST_MAILS:
        story.deliver(subject)
    later = list(LATER_MAILS)

    def idle(c, tag, _):
        c.accept_idle(tag)
        while later:
            story.deliver(later.pop(0), announce=False)
        c.tell_news()

    story.server.on["IDLE"] = idle
    return story


def live_and_die(story: Story, point) -> bool:
    """One life with a kill at this point; whether it came so far. Without one, all is done."""
    program = story.begin(env=preload.orders(kill=point))
    wait_for(lambda: program.process.poll() is not None or story.is_done_by(program),
             "the kill or the end of the work")
    if program.process.poll() is None:
        program.signal(signal.SIGTERM)
    assert program.wait_end() in (0, -signal.SIGKILL), program.log
    story.home.programs.remove(program)
    return program.process.returncode != 0


def learn(story: Story) -> list:
    """Every point that a life without a kill comes by."""
    log = story.home.folder / "calls"
    program = prepare(story).begin(env=preload.orders(log=log))
    wait_for(story.is_done, "every hook and move", alive=program.assert_alive)
    program.stop()
    story.finish().check("without a kill")
    counts = collections.Counter(preload.read_log(log))
    assert STEPS <= set(counts), counts
    return [(call, place, number, when)
            for (call, place), n in sorted(counts.items())
            for number in range(1, n + 1)
            for when in (("after",) if call in ("reap", "exists") else ("before", "after"))]


def sample(points: list, n: int) -> list:
    """Evenly, in an order in which neighbours lie together: kinds, then numbers."""
    if not n or n >= len(points):
        return points
    return [points[i * len(points) // n] for i in range(n)]


def try_all(certs, template, cases):
    """Each case, a list of points for one life after the other, in a story of its own. Returns how
    many of the first kills were reached."""

    def run(case):
        story = Story(certs, template)
        try:
            prepare(story)
            reached = [live_and_die(story, point) for point in case]
            story.finish().check(f"killed at {case}")
            return reached[0], None
        except AssertionError as e:
            return False, f"killed at {case}: {e}\n{story.home.logs()}"
        finally:
            story.close()

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(run, cases))
    failures = [words for _, words in results if words]
    assert not failures, f"{len(failures)} of {len(cases)} cases; seed {SEED}\n" + \
        "\n\n".join(failures[:3])
    return sum(reached for reached, _ in results)


@preload.needs_preload
def test_killed_at_each_step_it_loses_and_repeats_nothing(certs, template, story):
    points = learn(story())
    chosen = sample(points, POINTS)
    reached = try_all(certs, template, [[p] for p in chosen])
    print(f"{len(points)} points, {len(chosen)} tried, {reached} reached")
    assert reached > len(chosen) / 2


@preload.needs_preload
def test_killed_again_while_it_recovers(certs, template, story):
    points = learn(story())
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    try_all(certs, template,
            [[chance.choice(points), chance.choice(points)] for _ in range(PAIRS)])


def test_killed_at_random_moments_under_load(story):
    """Here a time, drawn at random, decides."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    s = story(pause=4000)
    subjects = (f"{'flaky ' * (n % 10 == 1)}{'file ' * (n % 3 == 1)}mail {n}"
                for n in itertools.count())
    feeder = Feeder(s, subjects, 0.025)
    feeder.start()
    for _ in range(KILLS):
        program = s.begin()
        try:
            wait_for(lambda: program.process.poll() is not None, "nothing",
                     chance.uniform(0.005, 0.15), otherwise=lambda: True)
            program.assert_alive()
        finally:
            s.kill(program)
    feeder.over.set()
    feeder.join()
    runs = len(s.read()[0])
    s.finish(120).check(f"seed {SEED}")
    print(f"{len(s.expected)} jobs, {runs} runs before the last life, "
          f"{s.repeated()} repeated")
