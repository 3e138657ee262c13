"""A hook that writes down how it was run. Installed by mailcall.py behind a #! line.

    recorder FOLDER [ARGUMENT]...

FOLDER/ID.json appears whole when the hook starts, FOLDER/ID.stdin lies beside it, and
FOLDER/ID.done when it ends by itself. The rule's `env:` tells it what else to do:
RECORD_PRINT text for stdout, RECORD_PRINT_ERR for stderr, RECORD_CHILD=1 leaves a child that never
ends, RECORD_DEAF=1 ignores SIGTERM, RECORD_GATE waits until that file exists, RECORD_SIGNAL dies
of that signal, RECORD_EXIT is the exit status."""

import fcntl
import json
import os
import signal
import stat
import sys
import time

CHUNK = 1 << 20


def save_stdin(path):
    with open(path, "wb") as out:
        while chunk := os.read(0, CHUNK):
            out.write(chunk)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def status_line(name):
    for line in read("/proc/self/status").decode().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1]
    return ""


def main():
    began = time.time()
    fds = [int(fd) for fd in os.listdir("/proc/self/fd")]
    folder = sys.argv[1]
    environ = dict(
        entry.split(b"=", 1) for entry in read("/proc/self/environ").split(b"\0") if b"=" in entry)
    setting = {k[7:].decode(): v for k, v in environ.items() if k.startswith(b"RECORD_")}
    umask = os.umask(0)
    os.umask(umask)
    if "DEAF" in setting:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000") if "CHILD" in setting else 0

    path = f"{folder}/{os.getpid()}-{time.time_ns()}"
    kind = os.fstat(0)
    start = os.lseek(0, 0, os.SEEK_CUR) if stat.S_ISREG(kind.st_mode) else -1
    record = {
        "argv": [os.fsencode(a).decode("latin-1") for a in sys.argv[2:]],
        "environ": {k.decode("latin-1"): v.decode("latin-1") for k, v in environ.items()},
        "pid": os.getpid(), "parent": os.getppid(), "group": os.getpgrp(), "session": os.getsid(0),
        "child": child, "cwd": os.getcwd(), "umask": umask,
        "signals_ignored": status_line("SigIgn"), "signals_blocked": status_line("SigBlk"),
        "stdin_is_file": stat.S_ISREG(kind.st_mode),
        "stdin_is_null": stat.S_ISCHR(kind.st_mode) and kind.st_rdev == os.makedev(1, 3),
        "stdin_writable": fcntl.fcntl(0, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY,
        "stdin_start": start, "stdin_mode": stat.S_IMODE(kind.st_mode),
        # one of them is the listing itself
        "fds": sorted(fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")),
        "began": began,
    }
    save_stdin(path + ".stdin")
    with open(path + ".part", "w") as f:
        json.dump(record, f)
    os.rename(path + ".part", path + ".json")

    for name, stream in (("PRINT", 1), ("PRINT_ERR", 2)):
        if name in setting:
            os.write(stream, setting[name].decode("unicode_escape").encode("latin-1"))
    if "GATE" in setting:
        while not os.path.exists(setting["GATE"]):
            time.sleep(0.01)
    with open(path + ".done", "w") as f:
        f.write(repr(time.time()))
    if "SIGNAL" in setting:
        os.kill(os.getpid(), int(setting["SIGNAL"]))
    sys.exit(int(setting.get("EXIT", 0)))


main()
