#!/usr/bin/env python3
"""Holds the architecture: which room may include which, one library one file, pure rooms pure.

    layers.py [ROOT]      prints what is wrong under ROOT (default: the repository); exits 1 if any
    layers.py --self-test plants one violation of each kind in a copy and wants each to be found

Plain Python 3; needs nothing else."""

import re
import shutil
import sys
import tempfile
from pathlib import Path

# What a room may include besides itself.
MAY = {
    "base": set(),
    "imap": {"base"},
    "mail": {"base"},
    "rule": {"base", "mail"},
    "hook": {"base", "mail", "rule"},
    "job": {"base", "sys"},
    "sys": {"base"},
    "net": {"base", "sys"},
    "sort": {"base", "mail", "rule", "sys"},
    "config": {"base", "rule"},
    "watch": {"base", "imap", "rule", "hook", "job", "sort", "sys", "net", "config"},
    "cmd": {"base", "rule", "hook", "job", "sort", "sys", "config", "watch"},
}

# Doors between rooms that only these files have, and only to these headers.
ALSO = {
    "hook/run.c": {"sys/": None},
    "hook/run.h": {"sys/": None},
    "config/": {"hook/": {"hook/letter.h", "hook/fields.h", "hook/action.h"},
                "job/": {"job/retry.h", "job/queue.h"},
                "net/": {"net/stream.h"}},
}

# A library's headers, and the files that may see them.
LIBRARIES = {
    r"openssl/": {"net/tls.c", "base/digest.c"},
    r"yaml\.h$": {"config/yaml.c"},
    r"pcre2": {"rule/regex.c"},
    r"(gmime|glib|gio)[/.-]": {"mail/message.c"},
    r"uv(/|\.h$)": {"sys/", "net/"},
    r"sqlite3\.h$": {"job/journal.c"},
    r"jansson": {"hook/event.c", "watch/control.c"},
    r"libxml": {"mail/html.c"},
    r"seccomp": {"sort/sandbox.c"},
    r"(gsasl|systemd|curl|iconv)": set(),
}

# Rooms without descriptors, clocks, processes and logs; and the files that are not so pure.
PURE = {"base", "imap", "mail", "rule", "hook"}
PURE_FILES = {"job/queue.c", "job/retry.c", "watch/backoff.c", "watch/outcome.c"}
NOT_PURE = {"hook/run.c"}
WORLD = re.compile(
    r"^(unistd|fcntl|time|poll|syslog|signal|spawn|pthread|netdb|dirent|threads|"
    r"sys/(socket|time|wait|stat|select|epoll|mman|uio|ioctl|random)|netinet/.*|arpa/.*)\.h$")
# stdio.h is for snprintf there, nothing that is a stream
STREAMS = re.compile(r"\b(FILE(?=\s*\*)|std(?:in|out|err)\b(?!_)|(?:f?printf|fopen|fdopen|fread|fwrite|"
                     r"fputs|puts|putchar|perror)(?=\s*\())")

TOP_LEVEL = {
    "cmd", "src", "hooks", "tests", "completions", "man", "build", "Makefile", "README.md",
    "LICENSE", ".ci", ".clang-format", ".editorconfig", ".gitignore", ".git",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)


class Tree:
    """The sources under a root, by name: "imap/lex.c", "cmd/run.c"."""

    def __init__(self, root: Path):
        self.root = root
        self.text = {}
        for folder in (root / "src", root / "cmd"):
            for path in sorted(folder.rglob("*.[ch]")):
                name = path.relative_to(root / "src" if folder.name == "src" else root)
                self.text[name.as_posix()] = path.read_text(encoding="utf-8")

    def includes(self, name: str, bracket: str) -> list:
        return [to for kind, to in INCLUDE.findall(self.text[name]) if kind == bracket]


def room_of(name: str) -> str:
    return name.split("/")[0]


def may_include(name: str, to: str) -> bool:
    if room_of(to) == room_of(name) or room_of(to) in MAY.get(room_of(name), ()):
        return True
    for who, doors in ALSO.items():
        for prefix, headers in doors.items():
            if name.startswith(who) and to.startswith(prefix) and (headers is None or to in headers):
                return True
    return False


def matrix(tree):
    for name in tree.text:
        if room_of(name) not in MAY:
            yield f"{name}: a room that the architecture does not have"
        for to in tree.includes(name, '"'):
            if room_of(name) == "cmd" and to == "cmd.h":
                continue
            if "/" not in to or to not in tree.text:
                yield f'{name}: #include "{to}": not a "room/file.h" of this tree'
            elif not may_include(name, to):
                yield f"{name}: may not include {to}"


def find_cycle(edges: dict):
    """The names of one cycle, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for to in sorted(edges.get(node, ())):
            if found := visit(to):
                return found
        path.pop()
        done.add(node)
        return None

    for start in sorted(edges):
        if found := visit(start):
            return found
    return None


def cycles(tree):
    files = {n: {t for t in tree.includes(n, '"') if t in tree.text} for n in tree.text}
    rooms = {}
    for name, to in files.items():
        rooms.setdefault(room_of(name), set()).update(room_of(t) for t in to)
    for room in rooms:
        rooms[room].discard(room)
    for what, edges in (("files", files), ("rooms", rooms)):
        if cycle := find_cycle(edges):
            yield f"a cycle of {what}: {' -> '.join(cycle)}"


def libraries(tree):
    for name in tree.text:
        for header in tree.includes(name, "<"):
            for pattern, where in LIBRARIES.items():
                if re.match(pattern, header) and not any(
                        name == w or (w.endswith("/") and name.startswith(w)) for w in where):
                    yield f"{name}: <{header}> belongs to {', '.join(sorted(where)) or 'nobody'}"


def is_pure(name: str) -> bool:
    if name in NOT_PURE or name.removesuffix(".h") + ".c" in NOT_PURE:
        return False
    return room_of(name) in PURE or name in PURE_FILES


def without_text(source: str) -> str:
    """The code without comments and string literals."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"', " ", source, flags=re.S)


def purity(tree):
    for name in filter(is_pure, tree.text):
        for header in tree.includes(name, "<"):
            if WORLD.match(header):
                yield f"{name}: <{header}> in a pure room"
        # out of memory ends the program from there, with its last words
        if name != "base/mem.c" and (found := STREAMS.search(without_text(tree.text[name]))):
            yield f"{name}: {found[1]} in a pure room"


def opening_comment(source: str) -> str:
    found = re.match(r"\s*(?:/\* SPDX[^\n]*\*/\s*)?/\*(.*?)\*/", source, re.S)
    return re.sub(r"[\s*]+", " ", found[1]) if found else ""


def promises(tree):
    for name, source in tree.text.items():
        if name.endswith(".h") and not re.search(r"\bnever knows\b", opening_comment(source), re.I):
            yield f'{name}: the opening comment does not say what it "never knows"'


def rooms_and_places(tree):
    for folder in sorted((tree.root / "src").iterdir()):
        if not folder.is_dir():
            yield f"src/{folder.name}: not in a room"
        elif not any(n.startswith(folder.name + "/") and n.endswith(".c") for n in tree.text):
            yield f"src/{folder.name}: an empty room"
    for entry in sorted(tree.root.iterdir()):
        if entry.name not in TOP_LEVEL and not re.match(r"build-", entry.name):
            yield f"{entry.name}: not a top-level entry of the architecture"


CHECKS = (matrix, cycles, libraries, purity, promises, rooms_and_places)


def violations(root: Path) -> list:
    tree = Tree(root)
    return [text for check in CHECKS for text in check(tree)]


# --- the test of the test ---

HEADER = "/*\n * {0}: a sample. Never knows anything.\n */\n"
SOURCE = "/* SPDX-License-Identifier: ISC */\n/* A sample. */\n"

SAMPLE = {
    "src/base/span.h": HEADER.format("span"),
    "src/base/span.c": SOURCE + '#include "base/span.h"\n#include <string.h>\n',
    "src/imap/lex.h": HEADER.format("lex") + '#include "base/span.h"\n',
    "src/imap/lex.c": SOURCE + '#include "imap/lex.h"\n#include <stdio.h>\n',
    "src/net/tls.c": SOURCE + "#include <openssl/ssl.h>\n#include <unistd.h>\n",
    "src/hook/run.c": SOURCE + '#include "sys/child.h"\n#include <unistd.h>\n',
    "src/hook/letter.h": HEADER.format("letter"),
    "src/hook/event.h": HEADER.format("event"),
    "src/sys/child.h": HEADER.format("child"),
    "src/sys/child.c": SOURCE + "#include <uv.h>\n",
    "src/config/config.c": SOURCE + '#include "hook/letter.h"\n',
    "cmd/cmd.h": HEADER.format("cmd"),
    "cmd/main.c": SOURCE + '#include "cmd.h"\n#include "config/config.h"\n',
    "src/config/config.h": HEADER.format("config"),
}

# what is appended to which file, and words of the complaint
PLANTED = [
    ("src/imap/lex.c", '#include "sys/child.h"\n', "may not include sys/child.h"),
    ("src/base/span.c", '#include "imap/lex.h"\n', "may not include imap/lex.h"),
    ("src/hook/letter.c", '#include "sys/child.h"\n', "may not include sys/child.h"),
    ("src/config/config.c", '#include "hook/event.h"\n', "may not include hook/event.h"),
    ("src/imap/lex.c", '#include "span.h"\n', 'not a "room/file.h"'),
    ("src/base/span.h", '#include "imap/lex.h"\n', "a cycle of files"),
    ("src/base/span.c", ' #  include "imap/lex.h"\n', "a cycle of rooms"),
    ("src/imap/lex.c", "#include <openssl/evp.h>\n", "<openssl/evp.h> belongs to"),
    ("src/net/tls.c", "#include <yaml.h>\n", "<yaml.h> belongs to"),
    ("src/imap/lex.c", "#include <uv.h>\n", "<uv.h> belongs to"),
    ("src/sys/child.c", "#include <sqlite3.h>\n", "<sqlite3.h> belongs to"),
    ("src/sys/child.c", "#include <jansson.h>\n", "<jansson.h> belongs to"),
    ("src/sys/child.c", "#include <curl/curl.h>\n", "belongs to nobody"),
    ("src/imap/lex.c", "#include <unistd.h>\n", "<unistd.h> in a pure room"),
    ("src/hook/letter.c", "#include <sys/socket.h>\n", "<sys/socket.h> in a pure room"),
    ("src/imap/lex.c", 'void f(void) { fprintf(stderr, "x"); }\n', "fprintf in a pure room"),
    ("src/imap/value.h", "/* value: knows it all */\n", "never knows"),
    ("src/rule/match.h", HEADER.format("match"), "src/rule: an empty room"),
    ("src/attic/old.c", SOURCE, "a room that the architecture does not have"),
    ("src/stray.c", SOURCE, "not in a room"),
    ("docs/notes.txt", "", "docs: not a top-level entry"),
]


def write_sample(root: Path):
    for name, text in SAMPLE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found_in_sample(planted=None) -> list:
    root = Path(tempfile.mkdtemp(prefix="layers."))
    try:
        write_sample(root)
        if planted:
            path = root / planted[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((path.read_text() if path.exists() else "") + planted[1])
        return violations(root)
    finally:
        shutil.rmtree(root)


def self_test() -> list:
    failures = [f"in the clean sample: {text}" for text in found_in_sample()]
    for planted in PLANTED:
        if not any(planted[2] in text for text in found_in_sample(planted)):
            failures.append(f"not found: {planted[2]!r} planted in {planted[0]}")
    return failures


def main(arguments: list) -> int:
    if arguments == ["--self-test"]:
        wrong, what = self_test(), f"{len(PLANTED)} planted violations found"
    else:
        root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1]
        wrong, what = violations(root), "the layers hold"
    for text in wrong:
        print(text)
    if not wrong:
        print(what)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
