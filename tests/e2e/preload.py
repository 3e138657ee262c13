"""The C programs of the tests, compiled when first asked for: preload.c and quickhook.c."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import mailcall

needs_preload = pytest.mark.skipif(
    mailcall.SANITIZED, reason="a sanitizer's library must come first")


@functools.cache
def _folder() -> Path:
    path = Path(tempfile.mkdtemp(prefix="mailcall."))
    path.chmod(0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _compile(source: str, output: str, *options: str) -> Path:
    path = _folder() / output
    subprocess.run([os.environ.get("CC", "cc"), "-O1", *options, "-o", path,
                    Path(__file__).with_name(source), "-ldl"], check=True)
    return path


@functools.cache
def library() -> Path:
    return _compile("preload.c", "preload.so", "-shared", "-fPIC")


@functools.cache
def quickhook() -> Path:
    return _compile("quickhook.c", "quickhook")


def orders(log=None, kill=None, full=None) -> dict:
    """The environment of a mailcall that has the library before it; see preload.c. kill is
    (call, place, number, "before" or "after"), full is (folder, flag, errno)."""
    given = {"LOG": log, "KILL": kill, "FULL": full}
    return {"LD_PRELOAD": library(), **{
        f"PRELOAD_{name}": " ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in given.items() if value is not None}}


def read_log(path: Path) -> list:
    """(call, place) in the order in which they began."""
    return [tuple(line.split()) for line in path.read_text().splitlines()]
