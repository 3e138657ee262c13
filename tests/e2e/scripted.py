"""An IMAP server that keeps the minutes and misbehaves on cue.

Every client write is recorded as it arrived: one TLS record, or one read of plain text. What the
server does is the small default below, and for each command a test may put a function in its
place: `server.on["IDLE"] = lambda c, tag, arguments: c.no(tag)`.

What no client may do to somebody's mail, such as a plain EXPUNGE, is kept as a protest, and fails
the test at its end.
"""

import base64
import queue
import re
import select
import socket
import ssl
import struct
import threading
from datetime import datetime, timezone

PASSWORD = "secret"

CAPABILITIES = "IMAP4rev1 SASL-IR LITERAL+ ID IDLE AUTH=PLAIN"


DATE = datetime(2025, 10, 3, 14, 2, 11, tzinfo=timezone.utc).timestamp()


class Mailbox:
    def __init__(self, uidvalidity: int = 1700000000):
        self.uidvalidity = uidvalidity  # None: not told
        self.messages = []  # (uid, bytes with LF)
        self.uidnext = 1
        self.flags = {}  # uid: set; none where there is no entry
        self.dates = {}  # uid: INTERNALDATE in seconds since 1970; DATE where there is no entry
        self.permanent = r"\Answered \Flagged \Deleted \Seen \Draft \*"

    def add(self, message: bytes, flags=(), date: float = None) -> int:
        uid = self.uidnext
        self.uidnext += 1
        self.messages.append((uid, message))
        if flags:
            self.flags[uid] = set(flags)
        if date is not None:
            self.dates[uid] = date
        return uid

    @property
    def uids(self) -> list:
        return [uid for uid, _ in self.messages]

    def flags_of(self, uid: int) -> set:
        return self.flags.get(uid, set())

    def date_of(self, uid: int) -> datetime:
        return datetime.fromtimestamp(self.dates.get(uid, DATE), timezone.utc)

    def remove(self, uid: int):
        self.messages = [m for m in self.messages if m[0] != uid]
        self.flags.pop(uid, None)
        self.dates.pop(uid, None)


class Server:
    """Listens on a port of its own until closed; each connection has a thread."""

    def __init__(self, tls: ssl.SSLContext = None, starttls: ssl.SSLContext = None,
                 capabilities: str = CAPABILITIES):
        self.tls, self.starttls = tls, starttls
        self.capabilities = capabilities
        self.capabilities_after_login = None  # None: the same
        self.mailboxes = {"INBOX": Mailbox()}
        self.passwords = {PASSWORD}
        self.tokens = set()
        self.on = {}
        self.greeting = None  # bytes in place of the usual line
        self.behind_starttls_ok = b""  # sent in one write with it
        self.connections = []
        self.protests = []  # what should never have been asked for
        self.lock = threading.RLock()
        self.closing = False
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing = True
        self.stop_listening()
        for connection in list(self.connections):
            connection.close()

    def stop_listening(self):
        # wakes the thread in accept()
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _accept(self):
        while not self.closing:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, plain)
            with self.lock:
                self.connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()

    # --- what tests ask and do ---

    @property
    def last(self) -> "Connection":
        return self.connections[-1]

    @property
    def idling(self) -> list:
        with self.lock:
            return [c for c in self.connections if c.idle_tag and not c.over]

    def deliver(self, message: bytes, mailbox: str = "INBOX", announce: bool = True,
                **more) -> int:
        with self.lock:
            uid = self.mailboxes[mailbox].add(message, **more)
            for connection in self.idling if announce else []:
                if connection.selected is self.mailboxes[mailbox]:
                    connection.call(connection.tell_news)
            return uid

    def commands(self, name: str) -> int:
        """How many commands of this name all connections have brought."""
        with self.lock:
            return sum(1 for c in self.connections for n, _ in c.commands if n == name)

    def asked(self, *names: str) -> list:
        """(NAME, arguments) of all commands of these names that all connections have brought."""
        with self.lock:
            return [(n, a) for c in self.connections for n, a in c.commands if n in names]

    def everything_read(self) -> bytes:
        with self.lock:
            return b"".join(w for c in self.connections for w in c.writes)

    def mailbox(self, name: str) -> Mailbox:
        return self.mailboxes.get("INBOX" if name.upper() == "INBOX" else name)

    def offers(self, capability: str) -> bool:
        return capability in (self.capabilities_after_login or self.capabilities).split()


class Gone(Exception):
    pass


class Connection:
    def __init__(self, server: Server, plain: socket.socket):
        self.server = server
        self.socket = plain
        self.secure = False
        self.writes = []  # each write of the client
        self.minutes = []  # ("C" | "S", bytes), in order
        self.commands = []  # (NAME, arguments)
        self.selected = None
        self.writable = False
        self.idle_tag = None
        self.over = False
        self.failure = ""
        self.answering = threading.Event()
        self.answering.set()
        self.told = 0  # messages the client knows of
        self.refusal_answer = None  # what the client said to a refused token
        self._input = b""
        self._tasks = queue.SimpleQueue()
        self._bell, self._ear = socket.socketpair()

    # --- its life ---

    def serve(self):
        try:
            if self.server.tls:
                self.start_tls(self.server.tls)
            greeting = self.server.greeting
            self.send(greeting if greeting is not None else
                      b"* OK [CAPABILITY %s] ready\r\n" % self.server.capabilities.encode())
            while True:
                self._command(self._read_command())
        except (Gone, OSError, ValueError) as e:
            self.failure = f"{type(e).__name__}: {e}"
        finally:
            self.over = True
            self.socket.close()

    def call(self, task):
        """Has task() run in the connection's own thread: a TLS object bears only one."""
        self._tasks.put(task)
        self._bell.send(b"!")

    def start_tls(self, context: ssl.SSLContext):
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.secure = True

    def close(self):
        """In order: what was sent arrives, then the end of the stream."""
        self.answering.set()
        self.call(self._leave)

    def reset(self):
        """A TCP reset, as from a machine that knows nothing of us any more."""
        self.answering.set()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.call(self._leave)

    def _leave(self):
        raise Gone("closed by the test")

    def hang_up(self):
        """In the connection's own thread, from a function in `on`: what was sent arrives, whatever
        the client is sending meanwhile."""
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(1 << 16):
            pass
        self._leave()

    @property
    def sent(self) -> int:
        """Bytes the client was told."""
        with self.server.lock:
            return sum(len(data) for who, data in self.minutes if who == "S")

    def stall(self):
        """Reads on, answers nothing, until `answering` is set again."""
        self.answering.clear()

    # --- bytes ---

    def _receive(self) -> bytes:
        while not (self.secure and self.socket.pending()):
            ready, _, _ = select.select([self.socket, self._ear], [], [])
            if self._ear in ready:
                self._ear.recv(1)
                self._tasks.get()()
            elif ready:
                break
        data = self.socket.recv(1 << 16)
        if not data:
            raise Gone("closed by the client")
        with self.server.lock:
            self.writes.append(data)
            self.minutes.append(("C", data))
        return data

    def _line(self) -> bytes:
        while b"\n" not in self._input:
            self._input += self._receive()
        line, _, self._input = self._input.partition(b"\n")
        return line.rstrip(b"\r")

    def _read_command(self) -> bytes:
        """One command, its literals put in place as quoted text would be."""
        line = self._line()
        while True:
            literal = re.search(rb"\{(\d+)(\+?)\}$", line)
            if not literal:
                return line
            if not literal[2]:
                self.send(b"+ go on\r\n")
            size = int(literal[1])
            while len(self._input) < size:
                self._input += self._receive()
            text, self._input = self._input[:size], self._input[size:]
            line = line[: literal.start()] + _quote(text) + self._line()

    def send(self, data: bytes):
        self.answering.wait()
        with self.server.lock:
            self.minutes.append(("S", data))
        self.socket.sendall(data)

    def line(self, text: str):
        self.send(text.encode() + b"\r\n")

    def ok(self, tag: str, text: str = "done"):
        self.line(f"{tag} OK {text}")

    def no(self, tag: str, text: str = "not today"):
        self.line(f"{tag} NO {text}")

    def bad(self, tag: str, text: str = "what?"):
        self.line(f"{tag} BAD {text}")

    def ask(self, challenge: bytes = b"") -> bytes:
        """A continuation; the client's answer, decoded."""
        self.line("+ " + base64.b64encode(challenge).decode())
        return base64.b64decode(self._line())

    # --- commands ---

    def _command(self, line: bytes):
        text = line.decode("utf-8", "surrogateescape")
        if self.idle_tag and text.upper() == "DONE":
            with self.server.lock:
                self.commands.append(("DONE", ""))
                tag, self.idle_tag = self.idle_tag, None
            override = self.server.on.get("DONE")
            if override:
                override(self, tag, "")
            else:
                self.ok(tag, "IDLE terminated")
            return
        tag, _, rest = text.partition(" ")
        name, _, arguments = rest.partition(" ")
        name = name.upper()
        if name == "UID":
            sub, _, arguments = arguments.partition(" ")
            name = "UID " + sub.upper()
        with self.server.lock:
            self.commands.append((name, arguments))
            self._protest(name, arguments)
        override = self.server.on.get(name)
        if override:
            override(self, tag, arguments)
        else:
            self.default(name, tag, arguments)

    def _protest(self, name: str, arguments: str):
        why = None
        if name in ("EXPUNGE", "CLOSE"):
            why = "it would remove what others have marked"
        elif name in ("STORE", "COPY", "MOVE", "FETCH"):
            why = "sequence numbers may mean another message by now"
        elif name in ("UID STORE", "UID MOVE", "UID EXPUNGE") and not self.writable:
            why = "the mailbox was opened to be read"
        elif name == "UID MOVE" and not self.server.offers("MOVE"):
            why = "not offered"
        elif name == "UID EXPUNGE" and not self.server.offers("UIDPLUS"):
            why = "not offered"
        if why:
            self.server.protests.append(f"{name} {arguments}: {why}")

    def default(self, name: str, tag: str, arguments: str):
        method = getattr(self, "do_" + name.lower().replace(" ", "_"), None)
        if method is None:
            self.bad(tag, "unknown command")
        else:
            method(tag, arguments)

    def do_capability(self, tag, _):
        after = self.server.capabilities_after_login
        logged_in = any(n in ("LOGIN", "AUTHENTICATE") for n, _ in self.commands)
        self.line("* CAPABILITY " + (after if after and logged_in else self.server.capabilities))
        self.ok(tag)

    def do_starttls(self, tag, _):
        if not self.server.starttls:
            return self.bad(tag)
        self.send(tag.encode() + b" OK begin TLS\r\n" + self.server.behind_starttls_ok)
        self._input = b""
        self.start_tls(self.server.starttls)

    def do_login(self, tag, arguments):
        _, password = _words(arguments)[:2]
        self.login_result(tag, password in self.server.passwords)

    def do_authenticate(self, tag, arguments):
        mechanism, _, initial = arguments.partition(" ")
        if initial:
            answer = b"" if initial == "=" else base64.b64decode(initial)
        else:
            answer = self.ask()
        if mechanism.upper() == "PLAIN":
            good = answer.split(b"\0")[-1].decode() in self.server.passwords
        else:
            token = re.search(rb"\x01auth=Bearer ([^\x01]*)\x01\x01$", answer)
            good = bool(token) and token[1].decode() in self.server.tokens
            if not good:
                self.refusal_answer = self.ask(b'{"status":"401","schemes":"bearer"}')
        self.login_result(tag, good)

    def login_result(self, tag, good: bool):
        if good:
            after = self.server.capabilities_after_login or self.server.capabilities
            self.ok(tag, f"[CAPABILITY {after}] logged in")
        else:
            self.no(tag, "[AUTHENTICATIONFAILED] wrong user or password")

    def do_id(self, tag, _):
        self.line('* ID ("name" "scripted")')
        self.ok(tag)

    def do_noop(self, tag, _):
        self.tell_news()
        self.ok(tag)

    def do_namespace(self, tag, _):
        self.line('* NAMESPACE (("" "/")) NIL NIL')
        self.ok(tag)

    def do_enable(self, tag, _):
        self.ok(tag)

    def do_list(self, tag, _):
        for name in self.server.mailboxes:
            self.line(f'* LIST () "/" "{name}"')
        self.ok(tag)

    def do_examine(self, tag, arguments):
        self.open_mailbox(tag, arguments, writable=False)

    def do_select(self, tag, arguments):
        self.open_mailbox(tag, arguments, writable=True)

    def open_mailbox(self, tag, arguments, writable: bool):
        self.selected = box = self.server.mailbox(_words(arguments)[0])
        self.writable = writable
        if box is None:
            return self.no(tag, "[NONEXISTENT] no such mailbox")
        self.tell_exists()
        self.line("* 0 RECENT")
        self.line(r"* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)")
        self.line(f"* OK [PERMANENTFLAGS ({box.permanent if writable else ''})] kept")
        if box.uidvalidity is not None:
            self.line(f"* OK [UIDVALIDITY {box.uidvalidity}] valid")
        self.line(f"* OK [UIDNEXT {box.uidnext}] next")
        self.ok(tag, f"[{'READ-WRITE' if writable else 'READ-ONLY'}] open")

    def do_status(self, tag, arguments):
        name = _words(arguments)[0]
        box = self.server.mailboxes[name]
        self.line(f'* STATUS "{name}" (MESSAGES {len(box.messages)} UIDNEXT {box.uidnext} '
                  f"UIDVALIDITY {box.uidvalidity or 0})")
        self.ok(tag)

    def do_uid_search(self, tag, arguments):
        try:
            found = self.search(arguments)
        except (ValueError, IndexError):
            return self.bad(tag, "what are you looking for?")
        self.line(" ".join(["* SEARCH", *map(str, found)]))
        self.ok(tag)

    def search(self, arguments: str) -> list:
        """UIDs that meet all criteria; a few of RFC 3501's, and ValueError for the others."""
        words = _words(arguments.upper())
        with self.server.lock:
            found = list(self.selected.uids)
            while words:
                meets = self._criterion(words)
                found = [uid for uid in found if meets(uid)]
        return found

    def _criterion(self, words: list):
        """Takes one off the front; a function of a UID."""
        box, key = self.selected, words.pop(0)
        flag = "\\" + key.removeprefix("UN").capitalize()
        if key == "ALL":
            return lambda uid: True
        if key in ("SEEN", "DELETED", "FLAGGED"):
            return lambda uid: flag in box.flags_of(uid)
        if key in ("UNSEEN", "UNDELETED", "UNFLAGGED"):
            return lambda uid: flag not in box.flags_of(uid)
        if key == "SINCE":
            day = datetime.strptime(words.pop(0), "%d-%b-%Y").date()
            return lambda uid: box.date_of(uid).date() >= day
        if key == "UID":
            named = {uid for _, uid, _ in self.matching(words.pop(0))}
            return lambda uid: uid in named
        if key == "OR":
            one, other = self._criterion(words), self._criterion(words)
            return lambda uid: one(uid) or other(uid)
        if key == "NOT":
            one = self._criterion(words)
            return lambda uid: not one(uid)
        raise ValueError(key)

    def do_uid_fetch(self, tag, arguments):
        self.tell_news()
        uid_set, _, items = arguments.partition(" ")
        for number, uid, message in self.matching(uid_set):
            self.send_fetch(number, uid, message, items)
        self.ok(tag)

    def matching(self, uid_set: str) -> list:
        """(sequence number, uid, message); "n:*" has the last message in any case."""
        with self.server.lock:
            messages = list(self.selected.messages)
        if not messages:
            return []
        highest = messages[-1][0]
        wanted = []
        for part in uid_set.split(","):
            first, _, last = part.partition(":")
            ends = [highest if end == "*" else int(end) for end in (first, last or first)]
            wanted.append((min(ends), max(ends)))
        return [(number, uid, message) for number, (uid, message) in enumerate(messages, 1)
                if any(low <= uid <= high for low, high in wanted)]

    def send_fetch(self, number: int, uid: int, message: bytes, items: str):
        wire = message.replace(b"\n", b"\r\n")
        section = "BODY[]"
        if "HEADER" in items.upper():
            section = "BODY[HEADER]"
            wire = wire[: wire.index(b"\r\n\r\n") + 4]
        attributes = [b"UID %d" % uid]
        if "FLAGS" in items:
            attributes.append(b"FLAGS (%s)" % self.told_flags(uid))
        if "INTERNALDATE" in items:
            date = self.selected.date_of(uid).strftime("%d-%b-%Y %H:%M:%S +0000")
            attributes.append(b'INTERNALDATE "%s"' % date.encode())
        if "RFC822.SIZE" in items:
            attributes.append(b"RFC822.SIZE %d" % len(message.replace(b"\n", b"\r\n")))
        if "BODY" in items.upper():
            attributes.append(b"%s {%d}\r\n%s" % (section.encode(), len(wire), wire))
        self.send(b"* %d FETCH (%s)\r\n" % (number, b" ".join(attributes)))

    def told_flags(self, uid: int) -> bytes:
        return " ".join(sorted(self.selected.flags_of(uid))).encode()

    def do_uid_store(self, tag, arguments):
        uid_set, item, *words = arguments.replace("(", " ").replace(")", " ").split()
        flags = {_flag(word) for word in words}
        item, _, silent = item.upper().partition(".")
        for number, uid, _ in self.matching(uid_set):
            with self.server.lock:
                now = self.selected.flags.setdefault(uid, set())
                if item == "-FLAGS":
                    now -= flags
                else:
                    now |= flags
            if not silent:
                self.send(b"* %d FETCH (UID %d FLAGS (%s))\r\n" % (
                    number, uid, self.told_flags(uid)))
        self.ok(tag)

    def do_uid_copy(self, tag, arguments):
        code = self.copy(arguments)
        if code is None:
            return self.no(tag, "[TRYCREATE] no such mailbox")
        self.ok(tag, f"{code}copied")

    def do_uid_move(self, tag, arguments):
        code = self.copy(arguments)
        if code is None:
            return self.no(tag, "[TRYCREATE] no such mailbox")
        if code:
            self.line(f"* OK {code}moved")
        self.take_out([uid for _, uid, _ in self.matching(arguments.split()[0])])
        self.ok(tag, "moved")

    def copy(self, arguments: str):
        """The COPYUID code, "" where it means nothing; None if there is no such mailbox."""
        uid_set, name = _words(arguments)[:2]
        target = self.server.mailbox(name)
        if target is None:
            return None
        with self.server.lock:
            pairs = [(uid, target.add(message, self.selected.flags_of(uid),
                                      self.selected.dates.get(uid)))
                     for _, uid, message in self.matching(uid_set)]
        if not pairs or not self.server.offers("UIDPLUS"):
            return ""
        old, new = (",".join(map(str, uids)) for uids in zip(*pairs))
        return f"[COPYUID {target.uidvalidity or 0} {old} {new}] "

    def do_uid_expunge(self, tag, arguments):
        self.take_out([uid for _, uid, _ in self.matching(arguments)
                       if r"\Deleted" in self.selected.flags_of(uid)])
        self.ok(tag)

    def take_out(self, uids: list):
        for uid in uids:
            with self.server.lock:
                number = self.selected.uids.index(uid) + 1
                self.selected.remove(uid)
                self.told -= 1
            self.line(f"* {number} EXPUNGE")

    def do_idle(self, tag, _):
        self.accept_idle(tag)

    def accept_idle(self, tag):
        self.line("+ idling")
        self.idle_tag = tag
        self.tell_news()

    def tell_news(self):
        if self.selected and len(self.selected.messages) != self.told:
            self.tell_exists()

    def tell_exists(self):
        self.told = len(self.selected.messages)
        self.line(f"* {self.told} EXISTS")

    def do_logout(self, tag, _):
        self.line("* BYE")
        self.ok(tag)
        raise Gone("logged out")


def _quote(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _flag(word: str) -> str:
    """System flags in one spelling."""
    return "\\" + word[1:].capitalize() if word.startswith("\\") else word


def _words(arguments: str) -> list:
    """Atoms and quoted strings."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', arguments)
    return [re.sub(r"\\(.)", r"\1", quoted) if not atom else atom for quoted, atom in words]
